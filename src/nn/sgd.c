/* SGD with momentum and decoupled weight decay. */
#include <omp.h>

#include "nn/net_internal.h"

AGN_SIMD static void step(float *restrict value, const float *restrict grad, float *restrict momentum,
                          size_t count, float rate, float keep, float decay, bool nesterov)
{
    for (size_t i = 0; i < count; i++) {
        float m = keep * momentum[i] + grad[i];
        float direction = nesterov ? keep * m + grad[i] : m;
        momentum[i] = m;
        value[i] -= rate * (direction + decay * value[i]);
    }
}

void agn_sgd_step(struct agn_params *params, const struct agn_sgd *sgd)
{
#pragma omp parallel for schedule(static) num_threads(agn_nn_workers())
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        if (param->trainable && !param->frozen) {
            step(params->value + param->offset, params->grad + param->offset,
                 params->momentum + param->offset, param->count, sgd->rate, sgd->momentum,
                 param->decay ? sgd->decay : 0.0F, sgd->nesterov);
        }
    }
    params->version++;
}
