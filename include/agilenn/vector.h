/* Loops for the width of the machine's vectors, and an exponential that compilers vectorise.
 *
 * A loop in a static function marked AGN_SIMD is compiled for several instruction sets, of which the best is
 * chosen when the program starts. What it calls must be AGN_INLINE, with flags that are constants: then each
 * case is a straight loop. */
#ifndef AGILENN_VECTOR_H
#define AGILENN_VECTOR_H

#include <stdint.h>

/* Levels rather than "fma" or "avx512f", which leave integers (exponents) to vectors of half the width. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&     \
    !defined(__SANITIZE_THREAD__)
#define AGN_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define AGN_SIMD
#endif

#define AGN_INLINE static inline __attribute__((always_inline))

/* exp(x) within 2 units in the last place for -87 <= x <= 87, and exp(-87) or exp(87), about 1e-38 and 6e37,
 * beyond; of a NaN a NaN. 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes' coefficients). Adding 1.5 * 2^23
 * leaves round(x / ln2) in the lowest bits, 127 more is its exponent. */
AGN_INLINE float agn__exp(float x)
{
    const float shift = 12582912.0F + 127.0F;
    x = 87.0F < x ? 87.0F : x; /* in this order, which a NaN survives */
    x = -87.0F > x ? -87.0F : x;
    union {
        float value;
        uint32_t bits;
    } rounded = {x * 1.44269504F + shift}, power = {.bits = rounded.bits << 23};
    float n = rounded.value - shift;
    float r = x - n * 0.693359375F - n * -2.12194440e-4F, p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * r * r + r + 1.0F;
    return p * power.value;
}

#endif
