/* Element-wise loops of the engine, split over threads. */
#include <omp.h>

#include "nn/net_internal.h"

static int thread_setting, default_threads;
static _Thread_local int worker_setting, threads_without; /* the threads when there is no worker_setting */

void agn_nn_set_threads(int threads)
{
    if (default_threads == 0)
        default_threads = omp_get_max_threads();
    thread_setting = threads > 0 ? threads : 0;
    worker_setting = 0;
    omp_set_num_threads(threads > 0 ? threads : default_threads);
}

int agn_nn_threads(void)
{
    int threads = thread_setting > 0   ? thread_setting
                  : worker_setting > 0 ? threads_without
                                       : omp_get_max_threads();
    return threads < AGN__MAX_THREADS ? threads : AGN__MAX_THREADS;
}

void agn_nn_set_workers(int workers)
{
    threads_without = agn_nn_threads();
    worker_setting = workers > 0 && workers < threads_without ? workers : 0;
    omp_set_num_threads(worker_setting > 0 ? worker_setting : threads_without);
}

int agn_nn_workers(void)
{
    return worker_setting > 0 ? worker_setting : agn_nn_threads();
}

AGN_SIMD static void add_part(float *restrict dst, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] = a[i] + b[i];
}

AGN_SIMD static void add_to_part(float *restrict dst, const float *restrict src, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] += src[i];
}

AGN_SIMD static void mask_part(float *restrict diff, const float *restrict value, size_t count)
{
    for (size_t i = 0; i < count; i++)
        diff[i] = value[i] > 0.0F && value[i] < 6.0F ? diff[i] : 0.0F;
}

/* Round to nearest, ties to even. A NaN stays one: its sign and highest bits, made quiet. */
AGN_SIMD static void to_bf16_part(uint16_t *restrict dst, const float *restrict src, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        union {
            float value;
            uint32_t bits;
        } from = {src[i]};
        uint32_t high = from.bits >> 16;
        uint32_t rounded = (from.bits + 0x7FFFU + (high & 1U)) >> 16;
        dst[i] = (uint16_t)((from.bits & 0x7FFFFFFFU) > 0x7F800000U ? high | 0x40U : rounded);
    }
}

enum { GRAIN = 1024 }; /* floats */

void agn__add_to(float *dst, const float *src, size_t count)
{
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(count, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        add_to_part(dst + begin, src + begin, end - begin);
    }
}

void agn__add(float *dst, const float *a, const float *b, size_t count)
{
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(count, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        add_part(dst + begin, a + begin, b + begin, end - begin);
    }
}

void agn__relu6_mask(float *diff, const float *value, size_t count)
{
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(count, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        mask_part(diff + begin, value + begin, end - begin);
    }
}

void agn__to_bf16(uint16_t *dst, const float *src, size_t count)
{
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(count, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        to_bf16_part(dst + begin, src + begin, end - begin);
    }
}
