/* Two 16-bit lanes in a 32-bit word: the Arm DSP extension's instructions (Cortex-M4, M7, M33 and above), or
 * the same in portable C, so that what uses them is tested on any machine.
 *
 * "Low" is bits 0 to 15, "high" bits 16 to 31. No operation here may overflow its accumulator: the model's
 * checks see to that. */
#ifndef AGN_SIMD_H
#define AGN_SIMD_H

#include <stdint.h>

#include "agn_memory.h"

/* Words from any address: these processors load unaligned words in one instruction. */
static inline uint32_t agn__word(const void *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

struct agn__two_words {
    uint32_t first, second;
};

static inline void agn__put_word(void *to, uint32_t word)
{
    memcpy(to, &word, sizeof word);
}

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

#include <arm_acle.h>

/* Four values from a word address, in one load; `from` moves on. */
static inline struct agn__two_words agn__next_two_words(const int16_t **from)
{
    struct agn__two_words words;
    const int16_t *at = *from;
    typedef int16_t four_values[4];
    __asm__("ldrd %0, %1, [%2], #8"
            : "=&r"(words.first), "=&r"(words.second), "+r"(at)
            : "m"(*(const four_values *)at));
    *from = at;
    return words;
}

/* The same from any address, in two loads. (As one piece, since compilers would move the loads apart and run
 * out of registers.) */
static inline struct agn__two_words agn__next_two_any(const int16_t **from)
{
    struct agn__two_words words;
    const int16_t *at = *from;
    typedef int16_t four_values[4];
    __asm__("ldr %0, [%2], #4\n\tldr %1, [%2], #4"
            : "=&r"(words.first), "=&r"(words.second), "+r"(at)
            : "m"(*(const four_values *)at));
    *from = at;
    return words;
}

/* acc + a.low * b.low + a.high * b.high */
static inline int32_t agn__smlad(uint32_t a, uint32_t b, int32_t acc)
{
    return __smlad((int16x2_t)a, (int16x2_t)b, acc);
}

/* acc + a.low * b.low */
static inline int32_t agn__smlabb(uint32_t a, uint32_t b, int32_t acc)
{
    return __smlabb((int32_t)a, (int32_t)b, acc);
}

/* acc + a.low * b.high */
static inline int32_t agn__smlabt(uint32_t a, uint32_t b, int32_t acc)
{
    return __smlabt((int32_t)a, (int32_t)b, acc);
}

/* acc + a.high * b.low */
static inline int32_t agn__smlatb(uint32_t a, uint32_t b, int32_t acc)
{
    return __smlatb((int32_t)a, (int32_t)b, acc);
}

/* Bytes 0 and 2, sign extended. */
static inline uint32_t agn__sxtb16(uint32_t bytes)
{
    uint32_t lanes;
    __asm__("sxtb16 %0, %1" : "=r"(lanes) : "r"(bytes));
    return lanes;
}

/* Bytes 1 and 3, sign extended. */
static inline uint32_t agn__sxtb16_odd(uint32_t bytes)
{
    uint32_t lanes;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(lanes) : "r"(bytes));
    return lanes;
}

/* a.low, b.high */
static inline uint32_t agn__low_high(uint32_t a, uint32_t b)
{
    uint32_t lanes;
    __asm__("pkhbt %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b));
    return lanes;
}

/* a.low, b.low */
static inline uint32_t agn__low_low(uint32_t a, uint32_t b)
{
    uint32_t lanes;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(lanes) : "r"(a), "r"(b));
    return lanes;
}

/* a.high, b.high */
static inline uint32_t agn__high_high(uint32_t a, uint32_t b)
{
    uint32_t lanes;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(lanes) : "r"(b), "r"(a));
    return lanes;
}

/* addend + the high word of a * b */
static inline int32_t agn__smmla(int32_t a, int32_t b, int32_t addend)
{
    int32_t sum;
    __asm__("smmla %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(addend));
    return sum;
}

/* Saturated to int8. */
static inline int32_t agn__ssat8(int32_t value)
{
    int32_t saturated;
    __asm__("ssat %0, #8, %1" : "=r"(saturated) : "r"(value));
    return saturated;
}

#else

static inline struct agn__two_words agn__next_two_any(const int16_t **from)
{
    struct agn__two_words words = {agn__word(*from), agn__word(*from + 2)};
    *from += 4;
    return words;
}

static inline struct agn__two_words agn__next_two_words(const int16_t **from)
{
    return agn__next_two_any(from);
}

static inline int32_t agn__low(uint32_t lanes)
{
    return (int32_t)(lanes & 0xFFFFU) - (int32_t)((lanes & 0x8000U) << 1);
}

static inline int32_t agn__high(uint32_t lanes)
{
    return agn__low(lanes >> 16);
}

static inline int32_t agn__smlad(uint32_t a, uint32_t b, int32_t acc)
{
    return acc + agn__low(a) * agn__low(b) + agn__high(a) * agn__high(b);
}

static inline int32_t agn__smlabb(uint32_t a, uint32_t b, int32_t acc)
{
    return acc + agn__low(a) * agn__low(b);
}

static inline int32_t agn__smlabt(uint32_t a, uint32_t b, int32_t acc)
{
    return acc + agn__low(a) * agn__high(b);
}

static inline int32_t agn__smlatb(uint32_t a, uint32_t b, int32_t acc)
{
    return acc + agn__high(a) * agn__low(b);
}

static inline uint32_t agn__sxtb16(uint32_t bytes)
{
    uint32_t low = bytes & 0xFFU, high = bytes >> 16 & 0xFFU;
    return (((low ^ 0x80U) - 0x80U) & 0xFFFFU) | ((high ^ 0x80U) - 0x80U) << 16;
}

static inline uint32_t agn__sxtb16_odd(uint32_t bytes)
{
    return agn__sxtb16(bytes >> 8);
}

static inline uint32_t agn__low_high(uint32_t a, uint32_t b)
{
    return (a & 0xFFFFU) | (b & 0xFFFF0000U);
}

static inline uint32_t agn__low_low(uint32_t a, uint32_t b)
{
    return (a & 0xFFFFU) | b << 16;
}

static inline uint32_t agn__high_high(uint32_t a, uint32_t b)
{
    return a >> 16 | (b & 0xFFFF0000U);
}

static inline int32_t agn__smmla(int32_t a, int32_t b, int32_t addend)
{
    return addend + (int32_t)(((int64_t)a * b) >> 32);
}

static inline int32_t agn__ssat8(int32_t value)
{
    return value < -128 ? -128 : value > 127 ? 127 : value;
}

#endif

#endif
