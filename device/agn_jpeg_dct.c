/* Forward DCT and quantisation of the JPEG encoder.
 *
 * The DCT is separable: rows, then columns, each in even and odd part. Its factors have 13 fraction bits;
 * rows keep two more than they came with. Factors and rounding are such that the values are those of
 * libjpeg's JDCT_ISLOW (an arrangement of Loeffler, Ligtenberg and Moschytz's, 1989, whose rounded factors
 * are multiplied out here: a multiply-accumulate costs no more than a sum). Values are 8 times the DCT's of
 * T.81. */
#include "agn_jpeg_internal.h"

enum {
    SIDE = 8,
    ROW_BITS = 2,     /* more that rows keep */
    ROW_SHIFT = 11,   /* 13 - ROW_BITS */
    COLUMN_SHIFT = 15 /* 13 + ROW_BITS */
};

/* A coefficient's place in the scan, for each place in a block, row by row (T.81, figure A.6). */
static const uint8_t scan_place[SIDE * SIDE] = {
    0,  1,  5,  6,  14, 15, 27, 28, 2,  4,  7,  13, 16, 26, 29, 42, 3,  8,  12, 17, 25, 30,
    41, 43, 9,  11, 18, 24, 31, 40, 44, 53, 10, 19, 23, 32, 39, 45, 52, 54, 20, 22, 33, 38,
    46, 51, 55, 60, 21, 34, 37, 47, 50, 56, 59, 61, 35, 36, 48, 49, 57, 58, 62, 63};

/* Sums and differences of eight values, mirrored. */
struct halves {
    int32_t s0, s1, s2, s3, d0, d1, d2, d3;
};

struct odd_part {
    int32_t f1, f3, f5, f7;
};

/* sqrt(2) cos(k pi / 16), k = 1, 3, 5, 7; times 2^13, as sums of rounded factors give it. */
static inline struct odd_part odd_part(const struct halves *h, int32_t half)
{
    struct odd_part o;
    o.f1 = half + 11363 * h->d0 + 9633 * h->d1 + 6437 * h->d2 + 2260 * h->d3;
    o.f3 = half + 9633 * h->d0 - 2259 * h->d1 - 11362 * h->d2 - 6436 * h->d3;
    o.f5 = half + 6437 * h->d0 - 11362 * h->d1 + 2261 * h->d2 + 9633 * h->d3;
    o.f7 = half + 2260 * h->d0 - 6436 * h->d1 + 9633 * h->d2 - 11363 * h->d3;
    return o;
}

/* One row. Returns whether any coefficient but the first may be other than 0. */
static inline int transform_row(const uint8_t *in, int16_t *out)
{
    struct halves h = {in[0] + in[7], in[1] + in[6], in[2] + in[5], in[3] + in[4],
                       in[0] - in[7], in[1] - in[6], in[2] - in[5], in[3] - in[4]};
    int32_t even = h.s0 + h.s3, other = h.s1 + h.s2;
    int32_t rising = h.s0 - h.s3, falling = h.s1 - h.s2;
    out[0] = (int16_t)((even + other - SIDE * 128) * (1 << ROW_BITS)); /* samples are less 128 */
    if ((h.d0 | h.d1 | h.d2 | h.d3 | rising | falling | (even - other)) == 0) {
        for (unsigned x = 1; x < SIDE; x++)
            out[x] = 0;
        return 0;
    }
    const int32_t half = INT32_C(1) << (ROW_SHIFT - 1);
    struct odd_part o = odd_part(&h, half);
    out[4] = (int16_t)((even - other) * (1 << ROW_BITS));
    out[2] = (int16_t)((half + 10703 * rising + 4433 * falling) >> ROW_SHIFT);
    out[6] = (int16_t)((half + 4433 * rising - 10704 * falling) >> ROW_SHIFT);
    out[1] = (int16_t)(o.f1 >> ROW_SHIFT);
    out[3] = (int16_t)(o.f3 >> ROW_SHIFT);
    out[5] = (int16_t)(o.f5 >> ROW_SHIFT);
    out[7] = (int16_t)(o.f7 >> ROW_SHIFT);
    return 1;
}

/* Rounds to the nearest multiple of the step, halves away from 0. `value` is 8 times the coefficient,
 * dead[at] 4 times the step less 1: most values end at one comparison, and so few are left that dividing them
 * costs less than tables of reciprocals. */
static inline void quantise(int32_t value, unsigned at, const uint16_t *dead, struct agn__jpeg_block *block)
{
    uint32_t most = dead[at];
    if ((uint32_t)value + most <= 2 * most)
        return;
    uint32_t size = (uint32_t)(value < 0 ? -value : value);
    uint32_t quotient = ((size + most + 1) >> 3) / ((most + 1) >> 2);
    unsigned place = scan_place[at];
    block->values[place] = (int16_t)(value < 0 ? -(int32_t)quotient : (int32_t)quotient);
    block->nonzero[place >> 5] |= UINT32_C(0x80000000) >> (place & 31);
}

/* Column x; its results are final. */
static inline void transform_column(const int16_t *in, unsigned x, const uint16_t *dead,
                                    struct agn__jpeg_block *block)
{
    struct halves h = {in[0] + in[56], in[8] + in[48], in[16] + in[40], in[24] + in[32],
                       in[0] - in[56], in[8] - in[48], in[16] - in[40], in[24] - in[32]};
    int32_t even = h.s0 + h.s3, other = h.s1 + h.s2;
    int32_t rising = h.s0 - h.s3, falling = h.s1 - h.s2;
    const int32_t half = INT32_C(1) << (COLUMN_SHIFT - 1), half_row = INT32_C(1) << (ROW_BITS - 1);
    quantise((even + other + half_row) >> ROW_BITS, x, dead, block);
    quantise((even - other + half_row) >> ROW_BITS, x + 32, dead, block);
    quantise((half + 10703 * rising + 4433 * falling) >> COLUMN_SHIFT, x + 16, dead, block);
    quantise((half + 4433 * rising - 10704 * falling) >> COLUMN_SHIFT, x + 48, dead, block);
    struct odd_part o = odd_part(&h, half);
    quantise(o.f1 >> COLUMN_SHIFT, x + 8, dead, block);
    quantise(o.f3 >> COLUMN_SHIFT, x + 24, dead, block);
    quantise(o.f5 >> COLUMN_SHIFT, x + 40, dead, block);
    quantise(o.f7 >> COLUMN_SHIFT, x + 56, dead, block);
}

void agn__jpeg_transform(const uint8_t *samples, size_t stride, const uint16_t *dead,
                         struct agn__jpeg_block *block)
{
    int16_t rows[SIDE * SIDE];
    int columns = 0; /* but the first, have something */
    for (unsigned y = 0; y < SIDE; y++, samples += stride)
        columns |= transform_row(samples, rows + y * SIDE);
    block->values[0] = 0;
    block->nonzero[0] = block->nonzero[1] = 0;
    for (unsigned x = 0; x < (columns ? SIDE : 1u); x++)
        transform_column(rows + x, x, dead, block);
}
