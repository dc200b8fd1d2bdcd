/* The JPEG encoder: rows of pixels to rows of MCUs, and these to intervals. The DCT is agn_jpeg_dct.c's, the
 * bits are agn_jpeg_huffman.c's.
 *
 * Pixels become samples as their rows come, so that of colour half of what they were is kept. At the edges
 * samples are what libjpeg makes them: the last pixel repeats to the right and, within a block, the last row
 * of samples below; a block of Y wholly outside repeats the DC of the one before, which costs 6 bits. */
#include "agn_jpeg_internal.h"
#include "agn_memory.h"

enum { SIDE = 8 };

static unsigned band_height(const struct agn_jpeg *jpeg)
{
    return jpeg->format.channels == 1 ? SIDE : 2 * SIDE;
}

int32_t agn_jpeg_bytes(const struct agn_jpeg_format *format)
{
    int status = agn_jpeg_format_check(format);
    return status < 0 ? status : (int32_t)AGN_JPEG_BYTES(format->width, format->channels);
}

static void set_dead(struct agn_jpeg *jpeg)
{
    uint8_t steps[64];
    for (unsigned table = 0; table < (jpeg->format.channels == 1 ? 1u : 2u); table++) {
        agn_jpeg_steps(jpeg->format.quality, table, steps);
        for (unsigned i = 0; i < 64; i++)
            jpeg->dead[table][i] = (uint16_t)(4u * steps[i] - 1);
    }
}

int agn_jpeg_init(struct agn_jpeg *jpeg, const struct agn_jpeg_format *format, void *memory,
                  size_t memory_bytes)
{
    int32_t needed = agn_jpeg_bytes(format);
    if (needed < 0)
        return (int)needed;
    if (!memory || !agn__is_aligned_32(memory))
        return AGN_ERR_ARG;
    if (memory_bytes < (uint32_t)needed)
        return AGN_ERR_SPACE;
    memset(jpeg, 0, sizeof *jpeg);
    jpeg->format = *format;
    jpeg->mcus_across = agn_jpeg_mcus_across(format);
    jpeg->luma_stride = (uint16_t)(SIDE * AGN_JPEG_BLOCKS(format->width));
    jpeg->luma = (uint8_t *)memory;
    if (format->channels == 3) {
        jpeg->chroma_stride = (uint16_t)(SIDE * AGN_JPEG_BLOCKS((format->width + 1u) / 2));
        jpeg->sums = (uint32_t *)memory;
        jpeg->luma = (uint8_t *)(jpeg->sums + format->width / 2 + 1);
        jpeg->blue = jpeg->luma + (size_t)2 * SIDE * jpeg->luma_stride;
        jpeg->red = jpeg->blue + (size_t)SIDE * jpeg->chroma_stride;
    }
    set_dead(jpeg);
    agn_jpeg_frame_begin(jpeg);
    return 0;
}

static void begin_interval(struct agn_jpeg *jpeg)
{
    jpeg->left = jpeg->mcus_left < jpeg->format.interval ? jpeg->mcus_left : jpeg->format.interval;
    jpeg->dc[0] = jpeg->dc[1] = jpeg->dc[2] = 0;
    jpeg->bits = 0;
    jpeg->free_bits = 32;
    jpeg->length = 0;
}

void agn_jpeg_frame_begin(struct agn_jpeg *jpeg)
{
    jpeg->rows_in = 0;
    jpeg->band_rows = 0;
    jpeg->is_full = 0;
    jpeg->mcu_x = 0;
    jpeg->mcus_left = agn_jpeg_mcus(&jpeg->format);
    jpeg->interval_bytes = 0;
    begin_interval(jpeg);
}

/* ---- pixels to samples ------------------------------------------------------------ */

/* A pixel as green and what red and blue are above it, which saves a third of the products: the factors of
 * each sum below add up to 1 or to 0. Loaded before anything is stored, as bytes might be what is stored. */
struct pixel {
    int32_t green, red, blue;
};

static inline struct pixel pixel_at(const uint8_t *rgb)
{
    struct pixel pixel = {rgb[1], rgb[0] - rgb[1], rgb[2] - rgb[1]};
    return pixel;
}

/* BT.601 of 8 bits without head-room, as JFIF has it: 0.299 R + 0.587 G + 0.114 B with 16 fraction bits. */
static inline uint8_t luma_of(struct pixel p)
{
    return (uint8_t)(p.green + ((INT32_C(32768) + 19595 * p.red + 7471 * p.blue) >> 16));
}

/* 128 is added, and all but a half for rounding; so the sums are positive. */
#define CHROMA_CENTRE ((INT32_C(128) << 16) + 32767)

/* -0.16874 R - 0.33126 G + 0.5 B */
static inline uint32_t blue_of(struct pixel p)
{
    return (uint32_t)(CHROMA_CENTRE + p.blue * 32768 - 11059 * p.red) >> 16;
}

/* 0.5 R - 0.41869 G - 0.08131 B */
static inline uint32_t red_of(struct pixel p)
{
    return (uint32_t)(CHROMA_CENTRE + p.red * 32768 - 5329 * p.blue) >> 16;
}

/* Of two pixels side by side: Cb low, Cr high. */
static inline uint32_t chroma_of(struct pixel p, struct pixel q)
{
    return (blue_of(p) + blue_of(q)) | (red_of(p) + red_of(q)) << 16;
}

/* Means of four are of sums of four and 1 or 2 in turn, so that halves are rounded down and up. */
#define FIRST_BIAS UINT32_C(0x00010001)
#define OTHER_BIAS UINT32_C(0x00030003)

/* The first row of a pair: Y, and chroma's sums over pairs of pixels. One more is the last pixel twice, for
 * an odd width and for what blocks have beyond the image. */
static void convert_first_row(struct agn_jpeg *jpeg, const uint8_t *rgb, uint8_t *luma)
{
    unsigned width = jpeg->format.width;
    uint32_t *sums = jpeg->sums;
    for (uint32_t *end = sums + width / 2; sums < end; sums++, rgb += 6, luma += 2) {
        struct pixel p = pixel_at(rgb), q = pixel_at(rgb + 3);
        luma[0] = luma_of(p);
        luma[1] = luma_of(q);
        *sums = chroma_of(p, q);
    }
    struct pixel last = pixel_at(width & 1 ? rgb : rgb - 3);
    *sums = chroma_of(last, last);
    if (width & 1)
        *luma = luma_of(last);
}

/* The second: Y, and chroma. */
static void convert_second_row(struct agn_jpeg *jpeg, const uint8_t *rgb, uint8_t *luma, size_t chroma_at)
{
    unsigned width = jpeg->format.width;
    const uint32_t *sums = jpeg->sums;
    uint8_t *blue = jpeg->blue + chroma_at, *red = jpeg->red + chroma_at, *end = blue + width / 2;
    uint32_t bias = FIRST_BIAS, sum;
    for (; blue < end; sums++, rgb += 6, luma += 2, bias ^= OTHER_BIAS) {
        struct pixel p = pixel_at(rgb), q = pixel_at(rgb + 3);
        luma[0] = luma_of(p);
        luma[1] = luma_of(q);
        sum = *sums + chroma_of(p, q) + bias;
        *blue++ = (uint8_t)(sum >> 2);
        *red++ = (uint8_t)(sum >> 18);
    }
    struct pixel last = pixel_at(width & 1 ? rgb : rgb - 3);
    if (width & 1)
        *luma = luma_of(last);
    for (end = jpeg->blue + chroma_at + jpeg->chroma_stride; blue < end; bias ^= OTHER_BIAS) {
        sum = *sums + chroma_of(last, last) + bias;
        *blue++ = (uint8_t)(sum >> 2);
        *red++ = (uint8_t)(sum >> 18);
    }
}

/* The last row of an odd number is a pair of its own. */
static void convert_row(struct agn_jpeg *jpeg, const uint8_t *rgb, uint8_t *luma, int is_last)
{
    unsigned y = jpeg->band_rows;
    if ((y & 1) == 0)
        convert_first_row(jpeg, rgb, luma);
    if ((y & 1) || is_last)
        convert_second_row(jpeg, rgb, luma, (size_t)(y / 2) * jpeg->chroma_stride);
}

static void take_row(struct agn_jpeg *jpeg, const uint8_t *row)
{
    unsigned width = jpeg->format.width;
    uint8_t *luma = jpeg->luma + (size_t)jpeg->band_rows * jpeg->luma_stride;
    int is_last = jpeg->rows_in + 1 == jpeg->format.height;
    if (jpeg->format.channels == 1)
        memcpy(luma, row, width);
    else
        convert_row(jpeg, row, luma, is_last);
    if (width < jpeg->luma_stride)
        memset(luma + width, luma[width - 1], jpeg->luma_stride - width);
    jpeg->rows_in++;
    jpeg->band_rows++;
    jpeg->is_full = (uint8_t)(is_last || jpeg->band_rows == band_height(jpeg));
}

/* Repeats the last of `rows` up to a block's end. */
static void fill_block_rows(uint8_t *samples, size_t stride, unsigned rows)
{
    for (; rows % SIDE != 0; rows++)
        memcpy(samples + rows * stride, samples + (rows - 1) * stride, stride);
}

int agn_jpeg_push_rows(struct agn_jpeg *jpeg, const uint8_t *rows, unsigned row_count)
{
    const struct agn_jpeg_format *format = &jpeg->format;
    if (row_count > (unsigned)format->height - jpeg->rows_in)
        return AGN_ERR_RANGE;
    size_t row_bytes = (size_t)format->width * format->channels;
    unsigned taken = 0;
    for (; taken < row_count && !jpeg->is_full; taken++, rows += row_bytes)
        take_row(jpeg, rows);
    if (taken > 0 && jpeg->is_full) {
        fill_block_rows(jpeg->luma, jpeg->luma_stride, jpeg->band_rows);
        if (format->channels == 3) {
            unsigned chroma_rows = (jpeg->band_rows + 1u) / 2;
            fill_block_rows(jpeg->blue, jpeg->chroma_stride, chroma_rows);
            fill_block_rows(jpeg->red, jpeg->chroma_stride, chroma_rows);
        }
    }
    return (int)taken;
}

/* ---- intervals ---------------------------------------------------------------------- */

static void code_block(struct agn_jpeg *jpeg, const uint8_t *samples, size_t stride, unsigned component)
{
    struct agn__jpeg_block block;
    unsigned table = component > 0;
    agn__jpeg_transform(samples, stride, jpeg->dead[table], &block);
    agn__jpeg_code(jpeg, &block, table, &jpeg->dc[component]);
}

static void code_colour(struct agn_jpeg *jpeg)
{
    size_t luma_stride = jpeg->luma_stride, chroma_at = (size_t)jpeg->mcu_x * SIDE;
    for (unsigned i = 0; i < 4; i++) {
        size_t x = (size_t)jpeg->mcu_x * 2 * SIDE + (i & 1) * SIDE, y = (size_t)(i >> 1) * SIDE;
        if (x < luma_stride && y < jpeg->band_rows)
            code_block(jpeg, jpeg->luma + y * luma_stride + x, luma_stride, 0);
        else
            agn__jpeg_code_repeat(jpeg);
    }
    code_block(jpeg, jpeg->blue + chroma_at, jpeg->chroma_stride, 1);
    code_block(jpeg, jpeg->red + chroma_at, jpeg->chroma_stride, 2);
}

static void code_mcu(struct agn_jpeg *jpeg)
{
    if (jpeg->format.channels == 3)
        code_colour(jpeg);
    else
        code_block(jpeg, jpeg->luma + (size_t)jpeg->mcu_x * SIDE, jpeg->luma_stride, 0);
    jpeg->left--;
    jpeg->mcus_left--;
    if (++jpeg->mcu_x == jpeg->mcus_across) {
        jpeg->mcu_x = 0;
        jpeg->band_rows = 0;
        jpeg->is_full = 0;
    }
}

int32_t agn_jpeg_next_interval(struct agn_jpeg *jpeg, uint8_t *dst, size_t cap)
{
    if (!dst && cap > 0)
        return AGN_ERR_ARG;
    jpeg->dst = dst;
    jpeg->cap = cap;
    while (jpeg->is_full) {
        code_mcu(jpeg);
        if (jpeg->left == 0) {
            agn__jpeg_flush(jpeg);
            jpeg->interval_bytes = jpeg->length;
            begin_interval(jpeg);
            return jpeg->interval_bytes > cap ? AGN_ERR_SPACE : (int32_t)jpeg->interval_bytes;
        }
    }
    return 0;
}

uint32_t agn_jpeg_interval_bytes(const struct agn_jpeg *jpeg)
{
    return jpeg->interval_bytes;
}
