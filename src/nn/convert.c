/* Tensors from one type to another: floats, and integers times a scale. */
#include <omp.h>
#include <string.h>

#include "nn/net_internal.h"

size_t agn__type_bytes(enum agn__type type)
{
    return type == AGN__F32 ? sizeof(float) : 1;
}

/* Rounding is to the nearest, halves upwards: adding 0.5 and cutting off, on numbers made positive. */
AGN_SIMD static void to_u8(const float *restrict src, float factor, uint8_t *restrict dst, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float v = src[i] * factor + 0.5F;
        v = v > 0.0F ? v : 0.0F;
        dst[i] = (uint8_t)(int32_t)(v < 255.0F ? v : 255.0F);
    }
}

AGN_SIMD static void to_s8(const float *restrict src, float factor, int8_t *restrict dst, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float v = src[i] * factor + 128.5F;
        v = v > 0.0F ? v : 0.0F;
        dst[i] = (int8_t)((int32_t)(v < 255.0F ? v : 255.0F) - 128);
    }
}

AGN_SIMD static void from_u8(const uint8_t *restrict src, float factor, float *restrict dst, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] = factor * (float)src[i];
}

AGN_SIMD static void from_s8(const int8_t *restrict src, float factor, float *restrict dst, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] = factor * (float)src[i];
}

static void to_floats(enum agn__type type, const void *src, float factor, float *dst, size_t count)
{
    if (type == AGN__U8)
        from_u8(src, factor, dst, count);
    else
        from_s8(src, factor, dst, count);
}

static void from_floats(const float *src, float factor, enum agn__type type, void *dst, size_t count)
{
    if (type == AGN__U8)
        to_u8(src, factor, dst, count);
    else
        to_s8(src, factor, dst, count);
}

/* Integers to integers, a block of floats at a time. */
static void rescale(enum agn__type from, const uint8_t *src, float factor, enum agn__type to, uint8_t *dst,
                    size_t count)
{
    enum { BLOCK = 512 };
    float values[BLOCK];
    for (size_t i = 0; i < count; i += BLOCK) {
        size_t n = count - i < BLOCK ? count - i : BLOCK;
        to_floats(from, src + i, factor, values, n);
        from_floats(values, 1.0F, to, dst + i, n);
    }
}

void agn__convert(const struct agn__node *src, const void *values, enum agn__type type, float scale,
                  void *dst)
{
    const uint8_t *from = values;
    uint8_t *to = dst;
    float factor = src->scale / scale;
    size_t from_bytes = agn__type_bytes(src->type), to_bytes = agn__type_bytes(type);
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(src->floats, 1024, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        const void *mine = from + begin * from_bytes;
        void *target = to + begin * to_bytes;
        if (src->type == type && (type == AGN__F32 || factor == 1.0F))
            memcpy(target, mine, (end - begin) * to_bytes);
        else if (src->type == AGN__F32)
            from_floats(mine, factor, type, target, end - begin);
        else if (type == AGN__F32)
            to_floats(src->type, mine, factor, target, end - begin);
        else
            rescale(src->type, mine, factor, type, target, end - begin);
    }
}
