/* The agreed part of JPEG images, and files from intervals; see agn_jpeg_format.h. Tables are T.81's Annex K.
 */
#include "agn_jpeg_format.h"

#include "agn_memory.h"

enum {
    BLOCK = 64,
    SOF0 = 0xC0,
    DHT = 0xC4,
    RST0 = 0xD0,
    SOI = 0xD8,
    EOI = 0xD9,
    SOS = 0xDA,
    DQT = 0xDB,
    DRI = 0xDD,
    LENGTHS = 16, /* of Huffman codes */
    DC_SYMBOLS = 12,
    AC_SYMBOLS = 162,
};

/* Tables K.1 and K.2, row by row. */
static const uint8_t base_steps[2][BLOCK] = {
    {16, 11,  10,  16, 24, 40, 51, 61, 12,  12,  14,  19,  26, 58, 60, 55,  14,  13,  16,  24, 40, 57,
     69, 56,  14,  17, 22, 29, 51, 87, 80,  62,  18,  22,  37, 56, 68, 109, 103, 77,  24,  35, 55, 64,
     81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,  112, 100, 103, 99},
    {17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99,
     99, 99, 47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
     99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99},
};

/* Place in a block, row by row, of the coefficient that comes next in a scan (figure A.6). */
static const uint8_t scan_order[BLOCK] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                          12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                          35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                          58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

/* Tables K.3 to K.6: how many codes have each length, and the symbols in the codes' order. */
static const uint8_t dc_counts[2][LENGTHS] = {{0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0},
                                              {0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0}};
static const uint8_t dc_symbols[DC_SYMBOLS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t ac_counts[2][LENGTHS] = {{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125},
                                              {0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119}};
static const uint8_t ac_symbols[2][AC_SYMBOLS] = {
    {0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
     0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33,
     0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34,
     0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55,
     0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76,
     0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96,
     0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5,
     0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4,
     0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1,
     0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA},
    {0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13,
     0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62,
     0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29,
     0x2A, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54,
     0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75,
     0x76, 0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94,
     0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3,
     0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2,
     0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA,
     0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA},
};

/* ---- the format ------------------------------------------------------------------ */

int agn_jpeg_format_check(const struct agn_jpeg_format *format)
{
    if (format->width == 0 || format->width > AGN_JPEG_MAX_SIDE || format->height == 0 ||
        format->height > AGN_JPEG_MAX_SIDE)
        return AGN_ERR_RANGE;
    if ((format->channels != 1 && format->channels != 3) || format->interval == 0)
        return AGN_ERR_RANGE;
    return format->quality == 0 || format->quality > AGN_JPEG_MAX_QUALITY ? AGN_ERR_RANGE : 0;
}

static unsigned mcus_along(const struct agn_jpeg_format *format, unsigned side)
{
    return format->channels == 1 ? (side + 7) / 8 : (side + 15) / 16;
}

uint16_t agn_jpeg_mcus_across(const struct agn_jpeg_format *format)
{
    return (uint16_t)mcus_along(format, format->width);
}

uint16_t agn_jpeg_mcus(const struct agn_jpeg_format *format)
{
    return (uint16_t)(mcus_along(format, format->width) * mcus_along(format, format->height));
}

uint16_t agn_jpeg_intervals(const struct agn_jpeg_format *format)
{
    return (uint16_t)((agn_jpeg_mcus(format) - 1u) / format->interval + 1);
}

uint16_t agn_jpeg_interval_mcus(const struct agn_jpeg_format *format, uint16_t index)
{
    uint32_t first = (uint32_t)index * format->interval, mcus = agn_jpeg_mcus(format);
    if (first >= mcus)
        return 0;
    return mcus - first < format->interval ? (uint16_t)(mcus - first) : format->interval;
}

void agn_jpeg_steps(unsigned quality, unsigned table, uint8_t *steps)
{
    uint32_t percent = quality < 50 ? 5000u / quality : 200u - 2 * quality;
    for (unsigned i = 0; i < BLOCK; i++) {
        uint32_t step = (base_steps[table][i] * percent + 50) / 100;
        steps[i] = (uint8_t)(step < 1 ? 1 : step > 255 ? 255 : step);
    }
}

/* ---- writing ----------------------------------------------------------------------- */

/* Counts what does not fit, too. Without dst it only counts. */
struct writer {
    uint8_t *dst;
    size_t cap, length;
    uint8_t overflow;
};

static void put(struct writer *w, const uint8_t *bytes, size_t count)
{
    if (w->overflow || count > (size_t)INT32_MAX - w->length || (w->dst && count > w->cap - w->length)) {
        w->overflow = 1;
        return;
    }
    if (w->dst)
        memcpy(w->dst + w->length, bytes, count);
    w->length += count;
}

static void put_byte(struct writer *w, unsigned byte)
{
    uint8_t value = (uint8_t)byte;
    put(w, &value, 1);
}

static void put_marker(struct writer *w, unsigned marker)
{
    put_byte(w, 0xFF);
    put_byte(w, marker);
}

static void put_u16(struct writer *w, unsigned value)
{
    put_byte(w, value >> 8);
    put_byte(w, value);
}

static void put_steps(struct writer *w, unsigned quality, unsigned table)
{
    uint8_t steps[BLOCK];
    agn_jpeg_steps(quality, table, steps);
    put_marker(w, DQT);
    put_u16(w, 2 + 1 + BLOCK);
    put_byte(w, table); /* of 8 bits */
    for (unsigned i = 0; i < BLOCK; i++)
        put_byte(w, steps[scan_order[i]]);
}

static void put_frame(struct writer *w, const struct agn_jpeg_format *format)
{
    put_marker(w, SOF0);
    put_u16(w, 8 + 3u * format->channels);
    put_byte(w, 8); /* bits a sample */
    put_u16(w, format->height);
    put_u16(w, format->width);
    put_byte(w, format->channels);
    for (unsigned c = 0; c < format->channels; c++) {
        put_byte(w, c + 1);
        put_byte(w, c == 0 && format->channels == 3 ? 0x22 : 0x11); /* sampling, 4:2:0 */
        put_byte(w, c > 0);                                         /* steps */
    }
}

static void put_codes(struct writer *w, unsigned table)
{
    put_marker(w, DHT);
    put_u16(w, 2 + 1 + LENGTHS + DC_SYMBOLS);
    put_byte(w, table);
    put(w, dc_counts[table], LENGTHS);
    put(w, dc_symbols, DC_SYMBOLS);
    put_marker(w, DHT);
    put_u16(w, 2 + 1 + LENGTHS + AC_SYMBOLS);
    put_byte(w, 0x10 | table);
    put(w, ac_counts[table], LENGTHS);
    put(w, ac_symbols[table], AC_SYMBOLS);
}

static void put_header(struct writer *w, const struct agn_jpeg_format *format)
{
    unsigned tables = format->channels == 1 ? 1 : 2;
    put_marker(w, SOI);
    for (unsigned table = 0; table < tables; table++)
        put_steps(w, format->quality, table);
    put_frame(w, format);
    for (unsigned table = 0; table < tables; table++)
        put_codes(w, table);
    put_marker(w, DRI);
    put_u16(w, 4);
    put_u16(w, format->interval);
    put_marker(w, SOS);
    put_u16(w, 6 + 2u * format->channels);
    put_byte(w, format->channels);
    for (unsigned c = 0; c < format->channels; c++) {
        put_byte(w, c + 1);
        put_byte(w, c > 0 ? 0x11 : 0); /* Huffman tables */
    }
    put_byte(w, 0); /* all 64 coefficients at once */
    put_byte(w, BLOCK - 1);
    put_byte(w, 0);
}

int agn_jpeg_header(const struct agn_jpeg_format *format, uint8_t *dst, size_t cap)
{
    int status = agn_jpeg_format_check(format);
    if (status < 0)
        return status;
    if (cap < AGN_JPEG_HEADER_BYTES(format->channels))
        return AGN_ERR_SPACE;
    struct writer w = {dst, cap, 0, 0};
    put_header(&w, format);
    return (int)w.length;
}

/* ---- files --------------------------------------------------------------------------- */

int agn_jpeg_interval_check(const uint8_t *bytes, size_t len_bytes)
{
    if (len_bytes == 0 || bytes[len_bytes - 1] == 0xFF)
        return AGN_ERR_FORMAT;
    for (size_t i = 0; i + 1 < len_bytes; i++)
        if (bytes[i] == 0xFF && bytes[i + 1] != 0)
            return AGN_ERR_FORMAT;
    return 0;
}

/* A block without coefficients, whose DC is the one before's: 00 1010 with table 0, 00 00 with table 1. So an
 * MCU is 6 bits of grey, or 4 x 6 + 2 x 4 = 32 bits of colour. The last byte's spare bits are 1, as an
 * encoder has them; no byte is 0xFF. */
static void put_grey(struct writer *w, unsigned channels, unsigned mcus)
{
    static const uint8_t blocks[4] = {0x28, 0xA2, 0x8A, 0x00}; /* four with table 0, two with table 1 */
    static const uint8_t last[4][3] = {{0, 0, 0}, {0x2B, 0, 0}, {0x28, 0xAF, 0}, {0x28, 0xA2, 0xBF}};
    if (channels == 3) {
        for (unsigned i = 0; i < mcus; i++)
            put(w, blocks, 4);
        return;
    }
    for (unsigned i = 0; i < mcus / 4; i++)
        put(w, blocks, 3);
    put(w, last[mcus % 4], mcus % 4);
}

int32_t agn_jpeg_file(const struct agn_jpeg_format *format, const struct agn_jpeg_interval *intervals,
                      uint16_t count, uint8_t *dst, size_t cap)
{
    if (agn_jpeg_format_check(format) < 0 || count != agn_jpeg_intervals(format))
        return AGN_ERR_RANGE;
    struct writer w = {dst, cap, 0, 0};
    put_header(&w, format);
    for (uint16_t i = 0; i < count; i++) {
        if (i > 0)
            put_marker(&w, RST0 + (i - 1u) % 8);
        if (agn_jpeg_interval_check(intervals[i].bytes, intervals[i].len_bytes) == 0)
            put(&w, intervals[i].bytes, intervals[i].len_bytes);
        else
            put_grey(&w, format->channels, agn_jpeg_interval_mcus(format, i));
    }
    put_marker(&w, EOI);
    return w.overflow ? AGN_ERR_SPACE : (int32_t)w.length;
}
