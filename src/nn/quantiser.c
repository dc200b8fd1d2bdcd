/* Nearest-centroid quantisation to 8 ascending levels. */
#include <omp.h>

#include "nn/net_internal.h"

AGN_SIMD static void quantise_part(const float *restrict border, const float *restrict centroids,
                                   const float *src, size_t count, uint8_t *symbols, float *dst)
{
    for (size_t i = 0; i < count; i++) {
        float x = src[i], value = centroids[0];
        int symbol = 0;
        for (int level = 1; level < AGN_LEVELS; level++) {
            bool above = x > border[level];
            symbol += above;
            value = above ? centroids[level] : value;
        }
        if (symbols != NULL) {
            symbols[i] = (uint8_t)symbol;
        }
        if (dst != NULL) {
            dst[i] = value;
        }
    }
}

void agn_quantise(const float centroids[AGN_LEVELS], const float *src, size_t count, uint8_t *symbols,
                  float *dst)
{
    float border[AGN_LEVELS] = {0};
    for (int level = 1; level < AGN_LEVELS; level++) {
        border[level] = 0.5F * (centroids[level - 1] + centroids[level]);
    }
#pragma omp parallel num_threads(agn_nn_workers())
    {
        size_t begin, end;
        agn__split(count, 1024, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        quantise_part(border, centroids, src + begin, end - begin, symbols == NULL ? NULL : symbols + begin,
                      dst == NULL ? NULL : dst + begin);
    }
}
