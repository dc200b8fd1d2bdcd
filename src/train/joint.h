/* What the parts of a step of joint training share. */
#ifndef AGN_TRAIN_JOINT_H
#define AGN_TRAIN_JOINT_H

#include "train/preparation.h"
#include "train/ranks.h"
#include "train/teacher.h"
#include "train/trainer.h"

struct agn__joint {
    struct agn_model *model;
    struct agn__trainer *trainer;
    struct agn_net *extractor, *local, *remote;
    struct agn_xai *xai;
    struct agn__teacher teacher;
    const float *taught; /* (batch, classes): the teacher's logits of this step; NULL: there is none */
    struct agn__preparation preparation;
    struct agn_group *group; /* of processes that each have a part of every batch, or NULL */
    struct agn__sharing extractor_sharing, local_sharing, remote_sharing;
    int batch; /* images of this process, of `whole` */
    int whole;
    int measured;               /* the first of a batch, whose importance is measured and anchored */
    size_t positions, features; /* of a batch: n*h*w, n*h*w*C */
    float *rest;                /* sent channels before quantisation */
    uint8_t *symbols;
    uint8_t *lost;     /* (batch, sent channels): lost on the way; NULL without joint.packet_loss and
                          joint.tail_drop */
    uint8_t *contexts; /* of each symbol; with the two below, NULL without joint.bits */
    double *counted;   /* symbols by channel and context, (sent channels, AGN_CONTEXTS, AGN_LEVELS) */
    float *bits;       /* that they cost, likewise */
    float *local_prob, *fused, *fused_prob, *diff_fused, *loss, *scratch_loss;
    float *diff_rest, *diff_attributions;
    float *channel_importance;               /* (batch, C) */
    float *importance, *importance_gradient; /* of what the importance losses compare */
};

/* ---- joint.c ---- */

/* Plans the nets and memory of a step; to be closed also after a failure. */
int agn__joint_open(struct agn__trainer *trainer, struct agn__joint *j);
/* One step, an agn__step_fn: `phase` is a struct agn__joint. */
int agn__joint_step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally);
void agn__joint_close(struct agn__joint *j);

/* Images over which losses are means: all processes', when this one's batch has `count`. */
static inline int agn__loss_images(const struct agn__joint *j, int count)
{
    return count * agn_group_size(j->group);
}

/* ---- joint_prediction.c ---- */

/* Fused logits and loss; gradients for both networks' logits and for alpha. */
void agn__prediction_loss(struct agn__joint *j, const struct agn_batch *batch, float *diff_alpha,
                          struct agn__tally *tally);
/* Back through both networks to the features; quantisation passes gradients straight through unless a soft
 * temperature is set. Sets the gradient at the extractor's output. */
int agn__prediction_backward(struct agn__joint *j);

/* ---- packet_loss.c ---- */

/* Moves model->fill towards the mean of these symbols' levels; at step 0 sets it. `symbols` (positions, sent
 * channels) of this process's images; each process has as many. */
int agn__fill_follow(struct agn_model *model, struct agn_group *group, const uint8_t *symbols,
                     size_t positions, int64_t step);
/* After quantisation: draws what is lost and puts the fill in its place. */
int agn__lose_packets(struct agn__joint *j);
/* Zeroes the gradient (positions, sent channels) of what was lost. */
void agn__forget_lost(const struct agn__joint *j, float *diff);

/* ---- symbol_rate.c ---- */

int agn__rate_open(struct agn__joint *j);
void agn__rate_close(struct agn__joint *j);
/* After quantisation: follows the counts of symbols, prices them, and notes bits and loss. */
int agn__rate_measure(struct agn__joint *j, const struct agn_batch *batch, struct agn__tally *tally);

/* Sent values and what their symbols would cost. */
struct agn__priced {
    const float *values; /* count, (positions, sent channels) */
    const uint8_t *contexts;
    const float *bits; /* (sent channels, AGN_CONTEXTS, AGN_LEVELS) */
    size_t count;
    bool clamped; /* values come from a ReLU6, whose gradient is 0 at 0 and 6: there nothing is added */
};
/* diff += weight * d bits / d values, by soft assignment to the model's levels. */
void agn__rate_gradient(const struct agn_model *model, const struct agn__priced *priced, double weight,
                        float *diff);

/* ---- joint_importance.c ---- */

/* Importances that the losses compare in a batch: of channels, or of elements of the map. */
size_t agn__importance_count(const struct agn__joint *j);
/* After agn_xai_attribute: skewness and disorder losses and the anchor; adds their gradient at the
 * extractor's output. */
int agn__importance_backward(struct agn__joint *j, const struct agn_batch *batch, struct agn__tally *tally);

#endif
