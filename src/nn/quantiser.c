/* Nearest-centroid quantisation to 8 levels in any order. */
#include <omp.h>

#include "nn/net_internal.h"

enum { BLOCK = 256 }; /* values that are worked on together */

AGN_SIMD static void find_symbols(const float *restrict border, const float *restrict src, size_t count,
                                  uint8_t *restrict symbols)
{
    int32_t found[BLOCK] = {0};
    for (int level = 1; level < AGN_LEVELS; level++)
        for (size_t i = 0; i < count; i++)
            found[i] += src[i] > border[level] ? 1 : 0;
    for (size_t i = 0; i < count; i++)
        symbols[i] = (uint8_t)found[i];
}

/* src and dst may be the same. */
AGN_SIMD static void find_values(const float *restrict border, const float *restrict centroids,
                                 const float *src, size_t count, float *dst)
{
    float found[BLOCK];
    for (size_t i = 0; i < count; i++)
        found[i] = centroids[0];
    for (int level = 1; level < AGN_LEVELS; level++) {
        const float from = border[level], value = centroids[level]; /* else compilers make branches */
        for (size_t i = 0; i < count; i++)
            found[i] = src[i] > from ? value : found[i];
    }
    for (size_t i = 0; i < count; i++)
        dst[i] = found[i];
}

/* Which level comes at each place when they ascend; whether that is the order in which they stand. */
static bool rank_levels(const float centroids[AGN_LEVELS], uint8_t order[AGN_LEVELS])
{
    bool ascends = true;
    for (int i = 0; i < AGN_LEVELS; i++) {
        int at = i;
        for (; at > 0 && centroids[i] < centroids[order[at - 1]]; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
        ascends = ascends && at == i;
    }
    return ascends;
}

void agn_quantise(const float centroids[AGN_LEVELS], const float *src, size_t count, uint8_t *symbols,
                  float *dst)
{
    float border[AGN_LEVELS] = {0}, ascending[AGN_LEVELS];
    uint8_t order[AGN_LEVELS];
    bool ascends = rank_levels(centroids, order);
    for (int level = 0; level < AGN_LEVELS; level++) {
        ascending[level] = centroids[order[level]];
        border[level] = level > 0 ? 0.5F * (ascending[level - 1] + ascending[level]) : 0.0F;
    }
#pragma omp parallel num_threads(agn_nn_workers())
    {
        size_t begin, end;
        agn__split(count, 1024, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        for (size_t i = begin; i < end; i += BLOCK) {
            size_t block = end - i < BLOCK ? end - i : BLOCK;
            if (symbols != NULL)
                find_symbols(border, src + i, block, symbols + i);
            for (size_t s = i; s < i + block && symbols != NULL && !ascends; s++)
                symbols[s] = order[symbols[s]];
            if (dst != NULL)
                find_values(border, ascending, src + i, block, dst + i);
        }
    }
}
