/* Soft assignment of values to the quantiser's levels: exponentials, as many as there are levels, for every
 * sent value of a step. Hence blocks that the first cache holds, in loops that vectorise. */
#include "train/soft_levels.h"

#include <math.h>

#include "agilenn/vector.h"

float agn__soft_tau(const float levels[AGN_LEVELS], float temperature)
{
    float low = levels[0], high = levels[0];
    for (int l = 1; l < AGN_LEVELS; l++) {
        low = levels[l] < low ? levels[l] : low;
        high = levels[l] > high ? levels[l] : high;
    }
    float gap = (high - low) / (AGN_LEVELS - 1);
    return temperature * gap * gap + 1e-12F;
}

AGN_SIMD static void assign(const float *restrict levels, float tau, const float *restrict x, size_t count,
                            float (*restrict share)[AGN__SOFT_BLOCK], float *restrict mean)
{
    float sum[AGN__SOFT_BLOCK], nearest[AGN__SOFT_BLOCK];
    for (size_t i = 0; i < count; i++) {
        nearest[i] = fabsf(x[i] - levels[0]);
        sum[i] = mean[i] = 0.0F;
    }
    for (int l = 1; l < AGN_LEVELS; l++) {
        for (size_t i = 0; i < count; i++) {
            float distance = fabsf(x[i] - levels[l]);
            nearest[i] = distance < nearest[i] ? distance : nearest[i];
        }
    }
    for (int l = 0; l < AGN_LEVELS; l++) {
        for (size_t i = 0; i < count; i++) {
            float distance = fabsf(x[i] - levels[l]);
            /* The difference of squares in a form that is exactly 0 at the nearest level, never above. */
            float power = (nearest[i] - distance) * (nearest[i] + distance) / tau;
            float weight = power < -87.0F ? 0.0F : agn__exp(power); /* exactly 0, as exp() would have it */
            share[l][i] = weight;
            sum[i] += weight;
        }
    }
    for (size_t i = 0; i < count; i++)
        sum[i] = 1.0F / sum[i];
    for (int l = 0; l < AGN_LEVELS; l++) {
        for (size_t i = 0; i < count; i++) {
            share[l][i] *= sum[i];
            mean[i] += share[l][i] * levels[l];
        }
    }
}

void agn__soft_levels(const float levels[AGN_LEVELS], float tau, const float *x, size_t count,
                      float share[AGN_LEVELS][AGN__SOFT_BLOCK], float mean[AGN__SOFT_BLOCK])
{
    assign(levels, tau, x, count, share, mean);
}
