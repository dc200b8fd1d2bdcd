/* The two library functions that wire/ and device/ may call, alignment, and little-endian access.
 *
 * Declared here because a freestanding compiler need not have <string.h>; any C library,
 * or a few lines in the firmware, provides them. */
#ifndef AGN_MEMORY_H
#define AGN_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* For what would cost more inlined: registers of a hot loop, or flash. */
#if defined(__GNUC__)
#define AGN__NOINLINE __attribute__((noinline))
#else
#define AGN__NOINLINE
#endif

void *memcpy(void *dst, const void *src, size_t len);
void *memset(void *dst, int value, size_t len);

/* Alignment is the machine's: 4 and 2 bytes where words have to lie so, 1 on an AVR. */
struct agn__after_a_byte_32 {
    uint8_t byte;
    uint32_t word;
};
struct agn__after_a_byte_16 {
    uint8_t byte;
    uint16_t half;
};

static inline int agn__is_aligned_32(const void *at)
{
    return (uintptr_t)at % offsetof(struct agn__after_a_byte_32, word) == 0;
}

static inline int agn__is_aligned_16(const void *at)
{
    return (uintptr_t)at % offsetof(struct agn__after_a_byte_16, half) == 0;
}

static inline uint16_t agn__load_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] | (unsigned)from[1] << 8);
}

static inline uint32_t agn__load_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* Conversions of values above INT_MAX are written out: the standard leaves the cast open. */
static inline int32_t agn__load_s32(const uint8_t *from)
{
    uint32_t bits = agn__load_u32(from);
    return bits <= INT32_MAX ? (int32_t)bits : -(int32_t)(UINT32_MAX - bits) - 1;
}

static inline int16_t agn__load_s16(const uint8_t *from)
{
    int32_t bits = agn__load_u16(from);
    return (int16_t)(bits < 32768 ? bits : bits - 65536);
}

static inline int8_t agn__load_s8(const uint8_t *from)
{
    return (int8_t)(*from < 128 ? *from : *from - 256);
}

static inline void agn__store_u16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static inline void agn__store_u32(uint8_t *to, uint32_t value)
{
    agn__store_u16(to, value);
    agn__store_u16(to + 2, value >> 16);
}

#endif
