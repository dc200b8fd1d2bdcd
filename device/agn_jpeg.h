/* Images as JPEG on a device: rows of pixels in, restart intervals of an entropy-coded scan out.
 *
 * Freestanding C99, integers only, no heap; needs memcpy and memset. What the bytes mean, and what of a JPEG
 * file is agreed beforehand and does not travel, is said in agn_jpeg_format.h; docs/PROTOCOL.md has an
 * example. The bytes are those that libjpeg-turbo makes of the same pixels with the same quality and restart
 * interval, 4:2:0, JDCT_ISLOW and without smoothing: a quality means what people are used to.
 *
 *     agn_jpeg_init(&jpeg, &format, memory, sizeof memory);
 *     for each frame {
 *         agn_jpeg_frame_begin(&jpeg);
 *         while (rows come) {
 *             taken = agn_jpeg_push_rows(&jpeg, rows, row_count); // until a row of MCUs is complete
 *             while ((n = agn_jpeg_next_interval(&jpeg, bytes, sizeof bytes)) != 0)
 *                 if (n > 0)
 *                     send(bytes, n);                             // else it was too long and is lost
 *             // the other row_count - taken rows come next
 *         }
 *     }
 *
 * Nothing here is thread-safe; two struct agn_jpeg with memory of their own are independent. */
#ifndef AGN_JPEG_H
#define AGN_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "agn_jpeg_format.h"
#include "agn_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Memory for the samples of a row of MCUs, in bytes: 8 or 16 lines of Y, 8 of half the width of Cb and Cr,
 * and sums of two pixels. For static sizing; agn_jpeg_bytes gives the same for a format, or AGN_ERR_RANGE. */
#define AGN_JPEG_BLOCKS(samples) (((uint32_t)(samples) + 7u) / 8u)
#define AGN_JPEG_BYTES(width, channels)                                                                      \
    ((channels) == 1                                                                                         \
         ? 64u * AGN_JPEG_BLOCKS(width)                                                                      \
         : 128u * AGN_JPEG_BLOCKS(width) + 128u * AGN_JPEG_BLOCKS(((uint32_t)(width) + 1u) / 2u) +           \
               4u * ((uint32_t)(width) / 2u + 1u))
int32_t agn_jpeg_bytes(const struct agn_jpeg_format *format);

/* An encoder. The fields are private; the struct is here so that it can be allocated. */
struct agn_jpeg {
    struct agn_jpeg_format format;
    uint16_t dead[2][64]; /* by table and place: values of the DCT up to this size, in eighths, become 0 */
    uint32_t *sums;       /* of chroma, Cb low, Cr high: of the rows of a pair so far */
    uint8_t *luma, *blue, *red;
    uint16_t luma_stride, chroma_stride;
    uint16_t rows_in;            /* of the frame */
    uint8_t band_rows;           /* of the row of MCUs in memory */
    uint8_t is_full;             /* it is complete and not yet coded */
    uint16_t mcus_across, mcu_x; /* next MCU in it */
    uint16_t mcus_left, left;    /* MCUs of the frame and of the interval that are to come */
    int16_t dc[3];               /* the predictions */
    uint32_t bits, free_bits;    /* not yet written: from the word's top; how many of 32 are unused */
    uint8_t *dst;                /* the caller's, while an interval is made */
    size_t cap;
    uint32_t length;         /* of the interval, what did not fit included */
    uint32_t interval_bytes; /* of the last one that ended */
};

/* Sets up an encoder and begins a frame. `format` is copied. `memory` must be aligned as a uint32_t
 * (AGN_ERR_ARG) and at least agn_jpeg_bytes long (AGN_ERR_SPACE); it belongs to `jpeg` until that is used no
 * more. AGN_ERR_RANGE: a format out of range. `jpeg` is untouched on failure. */
int agn_jpeg_init(struct agn_jpeg *jpeg, const struct agn_jpeg_format *format, void *memory,
                  size_t memory_bytes);

/* Starts a frame; drops whatever an unfinished one had. */
void agn_jpeg_frame_begin(struct agn_jpeg *jpeg);

/* Next rows of the image: row_count x width x channels bytes, top to bottom. Takes rows until a row of MCUs
 * is complete (8 or 16 rows of the image, or its last ones) and returns how many; none while one waits for
 * agn_jpeg_next_interval. AGN_ERR_RANGE: more rows than the image has (nothing is taken). */
int agn_jpeg_push_rows(struct agn_jpeg *jpeg, const uint8_t *rows, unsigned row_count);

/* Codes what MCUs there are, up to the end of the interval. Returns its length in bytes (at least 1), or 0
 * when it needs more rows, or the frame has no more; `dst` then holds its beginning and has to be given
 * again, as it is. AGN_ERR_SPACE: the interval has ended and is longer than `cap`: `dst` holds its beginning,
 * which is of no use; agn_jpeg_interval_bytes tells its length. The next call goes on with the next interval.
 * So each interval takes one result other than 0, in their order, and a receiver takes one that did not fit
 * for a lost one. AGN_ERR_ARG: no `dst` and a cap above 0. Never writes beyond cap. */
int32_t agn_jpeg_next_interval(struct agn_jpeg *jpeg, uint8_t *dst, size_t cap);

/* Length of the last interval that ended, in bytes, whether it fitted or not; 0 before the first. */
uint32_t agn_jpeg_interval_bytes(const struct agn_jpeg *jpeg);

/* ---- as much of an image as fits ------------------------------------------------
 * Where the image is in memory, its end need not be known beforehand: whole rows of MCUs are coded as one
 * interval until the next one would be too long. */

struct agn_jpeg_source {
    struct agn_jpeg_format format; /* of the rows that are there; ->interval is not looked at */
    const uint8_t *(*row)(void *user,
                          unsigned y); /* a row's pixels, y < format.height; good until the next */
    void *user;
    void *memory; /* as agn_jpeg_init wants it */
    size_t memory_bytes;
};

/* Codes the image from its first row on: as many rows of MCUs as fit `cap`, and take fewer bytes than their
 * pixels. Returns the length, and in *rows the rows of pixels; the bytes are the only interval of a picture
 * of that height. 0: not even the first row of MCUs is so short; `dst` may be half written then, and *rows is
 * 0. Errors of agn_jpeg_init. */
int32_t agn_jpeg_fit(const struct agn_jpeg_source *source, uint8_t *dst, size_t cap, unsigned *rows);

#ifdef __cplusplus
}
#endif

#endif
