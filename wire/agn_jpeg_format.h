/* Images as JPEG (ITU T.81, baseline): what both ends agree on beforehand, and a whole file from the pieces
 * that arrived.
 *
 * Of a JPEG file only the entropy-coded scan depends on the image; all before it follows from a struct
 * agn_jpeg_format, and so never travels. The scan is cut into restart intervals of a number of MCUs: each is
 * a run of bytes that decodes without the others (T.81, E.1.4), as no prediction crosses its borders. The
 * device makes them (device/agn_jpeg.h); a host that received some puts a file together that any JPEG decoder
 * reads, in which what was lost is grey and the rest is in its place.
 *
 * Grey images have one component, MCUs of 8x8 pixels. Colour images are Y, Cb, Cr with 4:2:0, MCUs of 16x16
 * pixels: four blocks of Y, one of Cb, one of Cr. MCUs count from left to right, then from top to bottom. The
 * quantisation tables are those of T.81's Annex K, scaled by a quality as libjpeg does it, the Huffman tables
 * those of Annex K.
 *
 * Freestanding C99; needs memcpy and memset only, and no JPEG library. */
#ifndef AGN_JPEG_FORMAT_H
#define AGN_JPEG_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "agn_status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AGN_JPEG_MAX_SIDE = 1024,
    AGN_JPEG_MAX_QUALITY = 100,
};

struct agn_jpeg_format {
    uint16_t width, height; /* pixels, 1..AGN_JPEG_MAX_SIDE */
    uint16_t interval;      /* MCUs of a restart interval, >= 1; the last one of an image may have fewer */
    uint8_t channels;       /* 1: grey; 3: R, G, B, one byte each, in this order */
    uint8_t quality;        /* 1..AGN_JPEG_MAX_QUALITY, libjpeg's scale */
};

/* Is all of it in range? 0 or AGN_ERR_RANGE. Every other function wants a format that is. */
int agn_jpeg_format_check(const struct agn_jpeg_format *format);

/* MCUs a row of MCUs, of the image (at most 16384), and its restart intervals. */
uint16_t agn_jpeg_mcus_across(const struct agn_jpeg_format *format);
uint16_t agn_jpeg_mcus(const struct agn_jpeg_format *format);
uint16_t agn_jpeg_intervals(const struct agn_jpeg_format *format);

/* MCUs of one interval; 0 from agn_jpeg_intervals on. */
uint16_t agn_jpeg_interval_mcus(const struct agn_jpeg_format *format, uint16_t index);

/* The steps of quantisation, 64 of them, row by row: of Y or grey (table 0), of Cb and Cr (table 1). */
void agn_jpeg_steps(unsigned quality, unsigned table, uint8_t *steps);

/* Bytes of the agreed header. */
#define AGN_JPEG_HEADER_BYTES(channels) ((channels) == 1 ? 316u : 611u)

/* SOI, DQT, SOF0, DHT, DRI and SOS: all that stands before the scan. Returns AGN_JPEG_HEADER_BYTES, or
 * AGN_ERR_SPACE if `cap` is less (`dst` is untouched then). AGN_ERR_RANGE: a format out of range. */
int agn_jpeg_header(const struct agn_jpeg_format *format, uint8_t *dst, size_t cap);

/* An interval that arrived, or did not: len_bytes is 0 then. */
struct agn_jpeg_interval {
    const uint8_t *bytes;
    size_t len_bytes;
};

/* Whether the bytes may stand in a scan: 0, or AGN_ERR_FORMAT where they are empty or hold a marker, which
 * could change how all that follows is read. That they code the right number of MCUs is the decoder's to find
 * out: it does, and no other interval suffers. */
int agn_jpeg_interval_check(const uint8_t *bytes, size_t len_bytes);

/* The file: the header, `count` intervals with the markers RST0 to RST7 between them, EOI. Intervals that are
 * lost, or that agn_jpeg_interval_check refuses, become grey ones (all samples 128). Returns the file's
 * length, or, with dst NULL, what it would be. AGN_ERR_RANGE: a format out of range, or a count that is not
 * agn_jpeg_intervals. AGN_ERR_SPACE: more than cap, or 2^31 bytes and more. `dst` may be half written then.
 */
int32_t agn_jpeg_file(const struct agn_jpeg_format *format, const struct agn_jpeg_interval *intervals,
                      uint16_t count, uint8_t *dst, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
