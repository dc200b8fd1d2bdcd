/* What is done to a batch before a network sees it: mixup, cutout, label smoothing, channel dropout. */
#ifndef AGN_TRAIN_PREPARATION_H
#define AGN_TRAIN_PREPARATION_H

#include "agilenn/train.h"
#include "train/soft_targets.h"

struct agn__preparation {
    const struct agn_preset *preset;
    int batch, classes;
    int whole, first; /* images of the whole batch; where this process's begin in it */
    struct agn_shape image;
    float *targets;        /* (batch, classes): what a prediction should be */
    float *class_weights;  /* classes; NULL: all are 1 */
    float *target_weights; /* batch, with class_weights: the sum of each row of targets */
    int *partner;          /* of each image of the whole batch, in mixup */
};
/* `data` are the training images, whose classes train.class_weights balances; may be NULL without. On
 * failure, too, agn__preparation_release frees what there is. */
int agn__preparation_create(const struct agn_model *model, const struct agn_dataset *data,
                            const struct agn_group *group, struct agn__preparation *preparation);
/* From now on class c counts weights[c] in targets. */
int agn__preparation_weigh(struct agn__preparation *preparation, const float *weights);
/* w_c = images / (classes that have images * images of c); 1 for a class without. */
void agn__balanced_weights(const struct agn_dataset *data, int classes, float *weights);
/* What the batch prepared last is to be predicted as. */
struct agn__soft_targets agn__targets_of(const struct agn__preparation *preparation,
                                         const struct agn_batch *batch);
/* What the cross-entropy at a label counts. */
static inline float agn__label_weight(const struct agn__preparation *preparation, int32_t label)
{
    return preparation->class_weights == NULL || label < 0 ? 1.0F : preparation->class_weights[label];
}
void agn__preparation_release(struct agn__preparation *preparation);
/* Writes the batch's images, as the network is to see them, to `input`, and sets the targets. */
void agn__prepare_batch(struct agn__preparation *preparation, const struct agn_batch *batch,
                        enum agn_phase phase, int64_t step, float *input);
/* Zeroes the channels from k on in the samples that reference.channel_dropout draws at this step: of features
 * (batch, map), and again of their gradient. */
void agn__drop_channels(const struct agn__preparation *preparation, int64_t step, struct agn_shape map,
                        float *features);
/* The larger one of s and 1 - s, s from Beta(a, a); a > 0. */
double agn__draw_main_share(struct agn_rng *rng, double a);

#endif
