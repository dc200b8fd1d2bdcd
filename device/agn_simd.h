/* Two 16-bit lanes in a 32-bit word: the Arm DSP extension's instructions (Cortex-M4, M7, M33 and above), or
 * the same in portable C, so that what uses them is tested on any little-endian machine (agn_kernel.h).
 *
 * "Low" is bits 0 to 15, "high" bits 16 to 31. No operation here may overflow its accumulator: the model's
 * checks see to that. */
#ifndef AGN_SIMD_H
#define AGN_SIMD_H

#include <stdint.h>

#include "agn_kernel.h"
#include "agn_memory.h"

/* As -ffreestanding, compilers would call a function by the name of memcpy for each word. */
#ifdef __GNUC__
#define AGN__COPY __builtin_memcpy
#else
#define AGN__COPY memcpy
#endif

/* Words from any address: these processors load unaligned words in one instruction. */
static inline uint32_t agn__word(const void *from)
{
    uint32_t word;
    AGN__COPY(&word, from, sizeof word);
    return word;
}

/* ssat8_shifted shifts by this much, a constant since the instruction wants one. */
enum { AGN__SSAT_SHIFT = 11 };

struct agn__two_words {
    uint32_t first, second;
};

struct agn__four_words {
    uint32_t first, second, third, fourth;
};

struct agn__four_sums {
    int32_t at0, at1, at2, at3;
};

static inline void agn__put_word(void *to, uint32_t word)
{
    AGN__COPY(to, &word, sizeof word);
}

static inline void agn__put_half(void *to, uint32_t low)
{
    uint16_t half = (uint16_t)low;
    AGN__COPY(to, &half, sizeof half);
}

#if AGN__HAS_DSP

#include <arm_acle.h>

/* Four weights, bytes 0 and 2 of a word as one pair, bytes 1 and 3 as another; `from` moves on. (Volatile, as
 * the loads above and below, so that compilers keep the order and with it the number of registers.) */
static inline struct agn__two_words agn__next_weights(const int8_t **from)
{
    struct agn__two_words weights;
    const int8_t *at = *from;
    typedef int8_t four_weights[4];
    __asm__ volatile("ldr %1, [%2], #4\n\tsxtb16 %0, %1\n\tsxtb16 %1, %1, ror #8"
                     : "=&r"(weights.first), "=&r"(weights.second), "+r"(at)
                     : "m"(*(const four_weights *)at));
    *from = at;
    return weights;
}

/* Four values from a word address, in one load; `from` moves on. */
static inline struct agn__two_words agn__next_two_words(const int16_t **from)
{
    struct agn__two_words words;
    const int16_t *at = *from;
    typedef int16_t four_values[4];
    __asm__ volatile("ldrd %0, %1, [%2], #8"
                     : "=&r"(words.first), "=&r"(words.second), "+r"(at)
                     : "m"(*(const four_values *)at));
    *from = at;
    return words;
}

/* Two words that are rather loaded again in each round of a loop than kept. */
static inline struct agn__two_words agn__two_again(const struct agn__two_words *from)
{
    struct agn__two_words words;
    __asm__ volatile("ldrd %0, %1, %2" : "=r"(words.first), "=r"(words.second) : "m"(*from));
    return words;
}

/* Two values, `step` apart; `to` moves on by two steps. */
static inline void agn__put_next_two(int16_t **to, size_t step, int32_t first, int32_t second)
{
    int16_t *at = *to;
    __asm__ volatile("strh %1, [%0]\n\tstrh %2, [%0, %3, lsl #1]\n\tadd %0, %0, %3, lsl #2"
                     : "+&r"(at)
                     : "r"(first), "r"(second), "r"(step)
                     : "memory");
    *to = at;
}

/* Four values, `step` apart. */
static inline void agn__put_four(int16_t *to, size_t step, const struct agn__four_sums *q)
{
    int16_t *at;
    __asm__ volatile("strh %1, [%5]\n\tadd %0, %5, %6, lsl #2\n\tstrh %2, [%5, %6, lsl #1]\n\t"
                     "strh %3, [%0]\n\tstrh %4, [%0, %6, lsl #1]"
                     : "=&r"(at)
                     : "r"(q->at0), "r"(q->at1), "r"(q->at2), "r"(q->at3), "r"(to), "r"(step)
                     : "memory");
}

/* Four values side by side, at any address; `to` moves on. */
static inline void agn__put_next_words(int16_t **to, uint32_t first, uint32_t second)
{
    int16_t *at = *to;
    __asm__ volatile("str %1, [%0], #4\n\tstr %2, [%0], #4" : "+&r"(at) : "r"(first), "r"(second) : "memory");
    *to = at;
}

/* Eight values from a word address, in one load; `from` moves on. */
static inline struct agn__four_words agn__next_four_words(const int16_t **from)
{
    /* The instruction's list of registers has to rise. */
    register uint32_t first __asm__("r2"), second __asm__("r3"), third __asm__("r4"), fourth __asm__("r5");
    const int16_t *at = *from;
    typedef int16_t eight_values[8];
    __asm__("ldm %4!, {%0, %1, %2, %3}"
            : "=r"(first), "=r"(second), "=r"(third), "=r"(fourth), "+r"(at)
            : "m"(*(const eight_values *)at));
    *from = at;
    struct agn__four_words words = {first, second, third, fourth};
    return words;
}

/* Four values from any address, in two loads. (As one piece, since compilers would move the loads apart and
 * run out of registers.) */
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

/* Four values to a word address; `to` moves on by four such. */
static inline void agn__put_panel(int16_t **to, struct agn__two_words words)
{
    int16_t *at = *to;
    __asm__ volatile("strd %1, %2, [%0], #32" : "+&r"(at) : "r"(words.first), "r"(words.second) : "memory");
    *to = at;
}

/* Four times 12 bytes between word addresses, `step` apart at `to`; both move on. */
static inline void agn__copy_four_threes(const uint8_t **from, uint8_t **to, size_t step)
{
    const uint8_t *src = *from;
    uint8_t *dst = *to;
    __asm__ volatile("ldm %0!, {r2, r3, r4}\n\tstm %1, {r2, r3, r4}\n\tadd %1, %1, %2\n\t"
                     "ldm %0!, {r2, r3, r4}\n\tstm %1, {r2, r3, r4}\n\tadd %1, %1, %2\n\t"
                     "ldm %0!, {r2, r3, r4}\n\tstm %1, {r2, r3, r4}\n\tadd %1, %1, %2\n\t"
                     "ldm %0!, {r2, r3, r4}\n\tstm %1, {r2, r3, r4}\n\tadd %1, %1, %2"
                     : "+r"(src), "+r"(dst)
                     : "r"(step)
                     : "r2", "r3", "r4", "memory");
    *from = src;
    *to = dst;
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

/* The sums of a.low and one byte, a.high and another, as the name says; bytes are unsigned. */
#define AGN__ADD_BYTES(name, i)                                                                              \
    static inline uint32_t name(uint32_t a, uint32_t bytes)                                                  \
    {                                                                                                        \
        uint32_t lanes;                                                                                      \
        __asm__("uxtab16 %0, %1, %2, ror #8*" #i : "=r"(lanes) : "r"(a), "r"(bytes));                        \
        return lanes;                                                                                        \
    }
AGN__ADD_BYTES(agn__add_bytes_0_2, 0)
AGN__ADD_BYTES(agn__add_bytes_1_3, 1)
AGN__ADD_BYTES(agn__add_bytes_2_0, 2)
AGN__ADD_BYTES(agn__add_bytes_3_1, 3)
#undef AGN__ADD_BYTES

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

/* Shifted right by 1, then saturated to int8. */
static inline int32_t agn__ssat8_half(int32_t value)
{
    int32_t saturated;
    __asm__("ssat %0, #8, %1, asr #1" : "=r"(saturated) : "r"(value));
    return saturated;
}

/* Shifted right by AGN__SSAT_SHIFT, then saturated to int8. */
static inline int32_t agn__ssat8_shifted(int32_t value)
{
    int32_t saturated;
    __asm__("ssat %0, #8, %1, asr %2" : "=r"(saturated) : "r"(value), "i"(AGN__SSAT_SHIFT));
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

static inline void agn__copy_four_threes(const uint8_t **from, uint8_t **to, size_t step)
{
    for (unsigned i = 0; i < 4; i++, *from += 12, *to += step)
        AGN__COPY(*to, *from, 12);
}

static inline struct agn__two_words agn__two_again(const struct agn__two_words *from)
{
    return *from;
}

static inline void agn__put_next_words(int16_t **to, uint32_t first, uint32_t second)
{
    agn__put_word(*to, first);
    agn__put_word(*to + 2, second);
    *to += 4;
}

static inline void agn__put_next_two(int16_t **to, size_t step, int32_t first, int32_t second)
{
    (*to)[0] = (int16_t)first;
    (*to)[step] = (int16_t)second;
    *to += 2 * step;
}

static inline void agn__put_four(int16_t *to, size_t step, const struct agn__four_sums *q)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): callers without a table have values to write */
    to[0] = (int16_t)q->at0;
    to[step] = (int16_t)q->at1;
    to[2 * step] = (int16_t)q->at2;
    to[3 * step] = (int16_t)q->at3;
}

static inline struct agn__four_words agn__next_four_words(const int16_t **from)
{
    struct agn__two_words a = agn__next_two_any(from), b = agn__next_two_any(from);
    struct agn__four_words words = {a.first, a.second, b.first, b.second};
    return words;
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

static inline uint32_t agn__add_bytes_0_2(uint32_t a, uint32_t bytes)
{
    uint32_t low = a + (bytes & 0xFFU), high = (a >> 16) + (bytes >> 16 & 0xFFU);
    return (low & 0xFFFFU) | high << 16;
}

static inline uint32_t agn__add_bytes_1_3(uint32_t a, uint32_t bytes)
{
    return agn__add_bytes_0_2(a, bytes >> 8);
}

static inline uint32_t agn__add_bytes_2_0(uint32_t a, uint32_t bytes)
{
    return agn__add_bytes_0_2(a, bytes >> 16 | bytes << 16);
}

static inline uint32_t agn__add_bytes_3_1(uint32_t a, uint32_t bytes)
{
    return agn__add_bytes_0_2(a, bytes >> 24 | bytes << 8);
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

static inline struct agn__two_words agn__next_weights(const int8_t **from)
{
    uint32_t bytes = agn__word(*from);
    struct agn__two_words weights = {agn__sxtb16(bytes), agn__sxtb16_odd(bytes)};
    *from += 4;
    return weights;
}

static inline void agn__put_panel(int16_t **to, struct agn__two_words words)
{
    agn__put_word(*to, words.first);
    agn__put_word(*to + 2, words.second);
    *to += 16;
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

static inline int32_t agn__ssat8_half(int32_t value)
{
    return agn__ssat8(value >> 1);
}

static inline int32_t agn__ssat8_shifted(int32_t value)
{
    return agn__ssat8(value >> AGN__SSAT_SHIFT);
}

#endif

/* ---- panels --------------------------------------------------------------------------------- */

/* Weights of one channel with a panel at a word address, up to its end: sums of its four places, each from
 * `bias` on; `from` moves on. `unit`, a number that the compiler knows: the groups of four weights are a
 * multiple of 4 or 2, or odd (1). */
#if AGN__HAS_DSP && defined(__OPTIMIZE__) /* else gcc runs out of registers */

/* Four weights with the four places of a panel (agn_kernel_graph_dsp.c). The loop takes all registers that
 * there are at -O0; so its end is in memory. */
#define AGN__PANEL_GROUP                                                                                     \
    "ldr r6, [%5], #4\n\tldm %4!, {r2, r3, r4, r5}\n\tsxtb16 r8, r6, ror #8\n\tsxtb16 r6, r6\n\t"            \
    "smlad %0, r2, r6, %0\n\tsmlad %0, r3, r8, %0\n\tsmlad %1, r4, r6, %1\n\tsmlad %1, r5, r8, %1\n\t"       \
    "ldm %4!, {r2, r3, r4, r5}\n\t"                                                                          \
    "smlad %2, r2, r6, %2\n\tsmlad %2, r3, r8, %2\n\tsmlad %3, r4, r6, %3\n\tsmlad %3, r5, r8, %3\n\t"
#define AGN__PANEL_LOOP(text)                                                                                \
    __asm__ volatile(text "ldr r6, %6\n\tcmp %4, r6\n\tbne 1b"                                               \
                     : "+r"(acc0), "+r"(acc1), "+r"(acc2), "+r"(acc3), "+r"(values), "+r"(weights)           \
                     : "m"(*end)                                                                             \
                     : "r2", "r3", "r4", "r5", "r6", "r8", "cc", "memory")

static inline __attribute__((always_inline)) struct agn__four_sums
agn__panel_sums(const int16_t *values, const int16_t *const *end, const int8_t **from, int32_t bias,
                unsigned unit)
{
    int32_t acc0 = bias, acc1 = bias, acc2 = bias, acc3 = bias;
    const int8_t *weights = *from;
    if (unit == 4)
        AGN__PANEL_LOOP("1:\n\t" AGN__PANEL_GROUP AGN__PANEL_GROUP AGN__PANEL_GROUP AGN__PANEL_GROUP);
    else if (unit == 2)
        AGN__PANEL_LOOP("1:\n\t" AGN__PANEL_GROUP AGN__PANEL_GROUP);
    else /* begins in the middle */
        AGN__PANEL_LOOP("b 2f\n1:\n\t" AGN__PANEL_GROUP "2:\n\t" AGN__PANEL_GROUP);
    *from = weights;
    const struct agn__four_sums sums = {acc0, acc1, acc2, acc3};
    return sums;
}
#undef AGN__PANEL_GROUP
#undef AGN__PANEL_LOOP

#else

static inline struct agn__four_sums agn__panel_sums(const int16_t *values, const int16_t *const *end,
                                                    const int8_t **from, int32_t bias, unsigned unit)
{
    int32_t acc[4] = {bias, bias, bias, bias};
    (void)unit;
    while (values != *end) {
        struct agn__two_words w = agn__next_weights(from);
        for (unsigned i = 0; i < 4; i++) {
            struct agn__two_words v = agn__next_two_words(&values);
            acc[i] = agn__smlad(v.second, w.second, agn__smlad(v.first, w.first, acc[i]));
        }
    }
    struct agn__four_sums sums = {acc[0], acc[1], acc[2], acc[3]};
    return sums;
}

#endif

/* ---- patches of bytes ------------------------------------------------------------------------- */

/* Sums of four channels over a patch of bytes (agn_kernel_graph_bytes.c): `prepared` begins with their
 * biases, pairs of weights follow up to `end`. Both pointers move on. `unit`, a number that the compiler
 * knows: the groups of four pixels are a multiple of it: 4 or 1. */
#if AGN__HAS_DSP && defined(__OPTIMIZE__)

#define AGN__BYTES_GROUP                                                                                     \
    "ldr r8, [%4], #4\n\tldm %5!, {r2, r3, r4, r5}\n\tuxtb16 r6, r8\n\tuxtb16 r8, r8, ror #8\n\t"            \
    "smlad %0, r6, r2, %0\n\tsmlad %0, r8, r3, %0\n\tsmlad %1, r6, r4, %1\n\tsmlad %1, r8, r5, %1\n\t"       \
    "ldm %5!, {r2, r3, r4, r5}\n\t"                                                                          \
    "smlad %2, r6, r2, %2\n\tsmlad %2, r8, r3, %2\n\tsmlad %3, r6, r4, %3\n\tsmlad %3, r8, r5, %3\n\t"
#define AGN__BYTES_LOOP(text)                                                                                \
    __asm__ volatile("ldm %5!, {%0, %1, %2, %3}\n1:\n\t" text "ldr r2, %6\n\tcmp %5, r2\n\tbne 1b"           \
                     : "=&r"(acc0), "=&r"(acc1), "=&r"(acc2), "=&r"(acc3), "+r"(src), "+r"(at)               \
                     : "m"(*end)                                                                             \
                     : "r2", "r3", "r4", "r5", "r6", "r8", "cc", "memory")

static inline __attribute__((always_inline)) struct agn__four_sums
agn__patch_sums(const uint8_t **pixels, const uint32_t **prepared, const uint32_t *const *end, unsigned unit)
{
    /* The instruction's list of registers has to rise. */
    register int32_t acc0 __asm__("r9"), acc1 __asm__("r10"), acc2 __asm__("r11"), acc3 __asm__("r12");
    const uint8_t *src = *pixels;
    const uint32_t *at = *prepared;
    if (unit == 4)
        AGN__BYTES_LOOP(AGN__BYTES_GROUP AGN__BYTES_GROUP AGN__BYTES_GROUP AGN__BYTES_GROUP);
    else
        AGN__BYTES_LOOP(AGN__BYTES_GROUP);
    *pixels = src;
    *prepared = at;
    const struct agn__four_sums sums = {acc0, acc1, acc2, acc3};
    return sums;
}
#undef AGN__BYTES_GROUP
#undef AGN__BYTES_LOOP

/* A sum's value, by the multiplier, addend and shift at `from`, which moves on. */
static inline __attribute__((always_inline)) int32_t agn__finish_next(const uint32_t **from, int32_t acc)
{
    const uint32_t *at = *from;
    typedef uint32_t three_words[3];
    __asm__("ldm %1!, {r2, r3, r4}\n\tsmmla %0, %0, r2, r3\n\tasr %0, %0, r4\n\tssat %0, #8, %0, asr #1"
            : "+r"(acc), "+r"(at)
            : "m"(*(const three_words *)at)
            : "r2", "r3", "r4");
    *from = at;
    return acc;
}

#else

static inline struct agn__four_sums agn__patch_sums(const uint8_t **pixels, const uint32_t **prepared,
                                                    const uint32_t *const *end, unsigned unit)
{
    const uint32_t *at = *prepared;
    uint32_t acc[4] = {at[0], at[1], at[2], at[3]}; /* modulo 2^32: the bias may overflow for a while */
    (void)unit;
    for (at += 4; at != *end; *pixels += 4) {
        uint32_t bytes = agn__word(*pixels), even = bytes & 0x00FF00FFU, odd = bytes >> 8 & 0x00FF00FFU;
        for (unsigned i = 0; i < 4; i++, at += 2)
            acc[i] += (uint32_t)agn__smlad(even, at[0], agn__smlad(odd, at[1], 0));
    }
    *prepared = at;
    struct agn__four_sums sums = {(int32_t)acc[0], (int32_t)acc[1], (int32_t)acc[2], (int32_t)acc[3]};
    return sums;
}

static inline int32_t agn__finish_next(const uint32_t **from, int32_t acc)
{
    const uint32_t *at = *from;
    *from += 3;
    return agn__ssat8_half(agn__smmla(acc, (int32_t)at[0], (int32_t)at[1]) >> at[2]);
}

#endif

#endif
