/* Centroids that follow the features.
 *
 * `values`, as many in each process of the group: the sent features of its images. */
#ifndef AGN_TRAIN_QUANTISER_LEARNING_H
#define AGN_TRAIN_QUANTISER_LEARNING_H

#include "agilenn/distributed.h"
#include "agilenn/model.h"

/* Sets centroids to quantiles of the positive values. */
int agn__centroids_initialise(struct agn_model *model, struct agn_group *group, const float *values,
                              size_t count);
/* Moves each centroid towards the mean of its values; gives unused levels work. */
int agn__centroids_follow(struct agn_model *model, struct agn_group *group, const float *values,
                          const uint8_t *symbols, size_t count, double rate);
/* diff *= derivative of the soft assignment (soft_levels.h) at `values`; tau > 0. */
void agn__soft_gradient(const struct agn_model *model, const float *values, float tau, float *diff,
                        size_t count);
/* The same, tau by the levels' distance; temperature > 0. */
void agn__soft_quantiser_gradient(const struct agn_model *model, const float *values, double temperature,
                                  float *diff, size_t count);

#endif
