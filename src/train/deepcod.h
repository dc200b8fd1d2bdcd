/* Training of the system deepcod: what is in front of its classifier, an autoencoder of images. */
#ifndef AGN_TRAIN_DEEPCOD_H
#define AGN_TRAIN_DEEPCOD_H

#include "train/preparation.h"
#include "train/ranks.h"
#include "train/trainer.h"

/* Of the Remote NN, optimisers leave alone the classifier, or else what stands before it. */
void agn__freeze_classifier(struct agn_model *model, bool classifier);

struct agn__coder {
    struct agn_model *model;
    struct agn__trainer *trainer;
    struct agn_group *group;
    struct agn_graph *graphs[2]; /* of the Remote NN: up to the image, behind it */
    /* The classifier frozen, on the decoder's images and (only with joint.teach = logits) on the original. */
    struct agn_net *extractor, *decoder, *classifier, *teacher;
    struct agn__sharing extractor_sharing, decoder_sharing;
    struct agn__preparation preparation;
    int batch, whole;     /* images of this process, and of all */
    size_t image, values; /* floats of an image; values that the batch sends */
    float *images;        /* as the encoder sees them, the decoder's aim */
    uint8_t *symbols;     /* of the values */
    float *prob, *loss, *image_loss;
};

/* Plans the nets and memory of a step; to be closed also after a failure. */
int agn__coder_open(struct agn__trainer *trainer, struct agn__coder *c);
/* One step, an agn__step_fn: `phase` is a struct agn__coder. */
int agn__coder_step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally);
void agn__coder_close(struct agn__coder *c);

/* ---- centres.c: the quantiser's levels as DeepCOD learns them ------------------------------------- */

/* Of the soft assignment's softmax(-(x - c)^2 / tau). */
float agn__centres_tau(void);
/* Evenly over where a BN's values are. */
void agn__centres_initialise(struct agn_model *model);
/* sums[l] = sum over i of diff[i] ds/dc_l, s the soft assignment at values[i], and shares[l] of the symbols.
 */
void agn__centres_gradient(const struct agn_model *model, const float *values, const uint8_t *symbols,
                           const float *diff, size_t count, double sums[AGN_LEVELS],
                           double shares[AGN_LEVELS]);
/* A step of Adam by these, in the order that they have then, and model->usage after the shares. */
void agn__centres_step(struct agn_model *model, struct agn__beside *beside, const double sums[AGN_LEVELS],
                       const double shares[AGN_LEVELS], double rate);

#endif
