/* Adam with decoupled weight decay. */
#include <assert.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "nn/net_internal.h"

/* Counted in a float, which goes no further than this; the corrections are 1 long before. */
static const float MOST_STEPS = 16777216.0F;

int agn_params_use_adam(struct agn_params *params)
{
    if (params->second == NULL)
        params->second = agn_alloc(params->total + 1, sizeof(float));
    return params->second == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

void agn_params_clear_moments(struct agn_params *params)
{
    memset(params->momentum, 0, params->total * sizeof(float));
    if (params->second != NULL)
        memset(params->second, 0, (params->total + 1) * sizeof(float));
}

/* What all parameters of a step share. */
struct factors {
    float rate, keep1, keep2, epsilon;
    float correction; /* 1 / sqrt(1 - beta2^t) */
    float shrink;     /* 1 - rate * decay, where it applies */
};

AGN_SIMD static void step(float *restrict value, const float *restrict grad, float *restrict first,
                          float *restrict second, size_t count, const struct factors *factors)
{
    struct factors f = *factors;
    for (size_t i = 0; i < count; i++) {
        float m = f.keep1 * first[i] + (1.0F - f.keep1) * grad[i];
        float v = f.keep2 * second[i] + (1.0F - f.keep2) * grad[i] * grad[i];
        first[i] = m;
        second[i] = v;
        value[i] = f.shrink * value[i] - f.rate * m / (sqrtf(v) * f.correction + f.epsilon);
    }
}

void agn_adam_step(struct agn_params *params, const struct agn_adam *adam)
{
    assert(params->second != NULL); /* agn_params_use_adam was not called */
    float *steps = &params->second[params->total];
    *steps += *steps < MOST_STEPS ? 1.0F : 0.0F;
    double t = (double)*steps, first = 1.0 - pow((double)adam->beta1, t);
    struct factors f = {.rate = (float)((double)adam->rate / first),
                        .keep1 = adam->beta1,
                        .keep2 = adam->beta2,
                        .epsilon = adam->epsilon,
                        .correction = (float)(1.0 / sqrt(1.0 - pow((double)adam->beta2, t)))};
#pragma omp parallel for schedule(static) num_threads(agn_nn_workers()) firstprivate(f)
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        f.shrink = param->decay ? 1.0F - adam->rate * adam->decay : 1.0F;
        if (param->trainable && !param->frozen) {
            step(params->value + param->offset, params->grad + param->offset,
                 params->momentum + param->offset, params->second + param->offset, param->count, &f);
        }
    }
    params->version++;
}
