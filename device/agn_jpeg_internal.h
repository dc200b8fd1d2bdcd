/* What the files of the JPEG encoder share. */
#ifndef AGN_JPEG_INTERNAL_H
#define AGN_JPEG_INTERNAL_H

#include "agn_jpeg.h"

/* A block's quantised coefficients. */
struct agn__jpeg_block {
    int16_t values[64]; /* in the order of the scan; other than [0] valid where the bit below is set */
    uint32_t
        nonzero[2]; /* bit 31 of the first is coefficient 0 (and means nothing), bit 0 of the second 63 */
};

/* DCT and quantisation of 8x8 samples, whose rows are `stride` apart. `dead`: a row of struct agn_jpeg's. */
void agn__jpeg_transform(const uint8_t *samples, size_t stride, const uint16_t *dead,
                         struct agn__jpeg_block *block);

/* Appends a block's code: its DC as a difference to *dc, which it replaces. */
void agn__jpeg_code(struct agn_jpeg *jpeg, const struct agn__jpeg_block *block, unsigned table, int16_t *dc);

/* Appends the code of a block of Y that repeats the DC of the one before. */
void agn__jpeg_code_repeat(struct agn_jpeg *jpeg);

/* Fills up the last byte with ones and writes all that is left. */
void agn__jpeg_flush(struct agn_jpeg *jpeg);

#endif
