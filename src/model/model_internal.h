/* What the files of src/model share. */
#ifndef AGN_MODEL_INTERNAL_H
#define AGN_MODEL_INTERNAL_H

#include "agilenn/model.h"

/* model.c: networks and memory as the preset says, without what comes from data or a file. AGN_ERR_RANGE:
 * their weights have more than `most_floats` values. */
int agn__model_allocate(const struct agn_preset *preset, size_t most_floats, struct agn_model **model);

/* alpha.c: w as model.alpha_initial says. */
void agn__alpha_initialise(struct agn_model *model);

/* contexts.c: one distribution for all contexts. */
void agn__contexts_initialise(struct agn_model *model);

/* trust.c: 1 wherever something came. */
void agn__trust_initialise(struct agn_model *model);
/* For models of before trust was learned. The remote logits' share of the fused ones falls linearly with the
 * channels missing, to 0 where half are: on Fashion-MNIST and CIFAR-10 the fused prediction then is not worse
 * than the local one, whatever is missing (docs/results/loss.md). */
void agn__trust_guess(struct agn_model *model);

#endif
