/* Soft assignment of values to the quantiser's levels, for gradients through it. */
#ifndef AGN_TRAIN_SOFT_LEVELS_H
#define AGN_TRAIN_SOFT_LEVELS_H

#include <stddef.h>

#include "agilenn/nn.h"

enum { AGN__SOFT_BLOCK = 256 };

/* share[l][i] = softmax over levels l of -(x[i] - levels[l])^2 / tau, and mean[i] = sum_l share[l][i]
 * levels[l]. At most AGN__SOFT_BLOCK values. For one thread. */
void agn__soft_levels(const float levels[AGN_LEVELS], float tau, const float *x, size_t count,
                      float share[AGN_LEVELS][AGN__SOFT_BLOCK], float mean[AGN__SOFT_BLOCK]);

/* The tau of a temperature: it times the mean gap between levels, squared. */
float agn__soft_tau(const float levels[AGN_LEVELS], float temperature);

#endif
