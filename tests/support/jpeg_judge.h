/* libjpeg(-turbo) as the judge of JPEG bytes: what it makes of pixels, and what it sees in a file. */
#ifndef AGN_TEST_JPEG_JUDGE_H
#define AGN_TEST_JPEG_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#include "agn_jpeg_format.h"

/* A file by libjpeg with JDCT_ISLOW, 4:2:0, standard Huffman tables. Returns its length; *file is for free().
 */
size_t judge_encode(const struct agn_jpeg_format *format, const uint8_t *pixels, uint8_t **file);

/* Where the scan of a whole file begins: behind SOS. 0: there is none. */
size_t judge_scan_begin(const uint8_t *file, size_t len);

/* Decodes a file that must have the format's size and channels, into width x height x channels bytes; chroma
 * is repeated, not interpolated, so that each pixel depends on its own MCU only. Returns libjpeg's warnings,
 * -1 on an error. */
int judge_decode(const struct agn_jpeg_format *format, const uint8_t *file, size_t len, uint8_t *pixels);

#endif
