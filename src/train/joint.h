/* What the parts of a step of joint training share. */
#ifndef AGN_TRAIN_JOINT_H
#define AGN_TRAIN_JOINT_H

#include "train/train_internal.h"

struct agn__joint {
    struct agn_model *model;
    struct agn__trainer *trainer;
    struct agn_net *extractor, *local, *remote;
    struct agn_xai *xai;
    struct agn__preparation preparation;
    struct agn_group *group; /* of processes that each have a part of every batch, or NULL */
    struct agn__sharing extractor_sharing, local_sharing, remote_sharing;
    int batch; /* images of this process, of `whole` */
    int whole;
    size_t positions, features; /* of a batch: n*h*w, n*h*w*C */
    float *rest;                /* sent channels before quantisation */
    uint8_t *symbols;
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

/* ---- joint_importance.c ---- */

/* Importances that the losses compare in a batch: of channels, or of elements of the map. */
size_t agn__importance_count(const struct agn__joint *j);
/* After agn_xai_attribute: skewness and disorder losses and the anchor; adds their gradient at the
 * extractor's output. */
int agn__importance_backward(struct agn__joint *j, const struct agn_batch *batch, struct agn__tally *tally);

#endif
