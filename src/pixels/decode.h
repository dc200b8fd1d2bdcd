/* Inside src/pixels: one interval of JPEG, row by row. */
#ifndef AGN_PIXELS_DECODE_H
#define AGN_PIXELS_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "agn_jpeg_format.h"
#include "agn_wire.h"

struct agn__row_sink {
    void (*take)(void *user, unsigned y, const uint8_t *pixels);
    void *user;
};

/* Decodes the only interval of a picture of this format (the interval aside) of at most
 * AGN_FEATURE_MAX_PAYLOAD bytes. AGN_ERR_FORMAT: it is anything but exactly that; some rows may then have
 * been given. */
int agn__rows_decode(const struct agn_jpeg_format *format, const uint8_t *scan, size_t len,
                     const struct agn__row_sink *sink);

#endif
