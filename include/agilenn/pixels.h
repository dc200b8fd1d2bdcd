/* Images as they arrive: rows that a device sent as JPEG, decoded by libjpeg, and whole images as sending
 * them leaves them. docs/PROTOCOL.md says what packets hold. */
#ifndef AGILENN_PIXELS_H
#define AGILENN_PIXELS_H

#include <stddef.h>
#include <stdint.h>

#include "agn_jpeg_format.h"
#include "agn_wire.h"

/* An image on the wire. Of `format`, the interval is not looked at. */
struct agn_pixels_image {
    struct agn_jpeg_format format;
    struct agn_map_shape shape; /* agn_pixels_shape of its rows */
};

/* Decodes a packet of AGN_CODEC_JPEG to the symbols of its pixels, at their place in `map` (planar, one a
 * byte), as agn_feature_decode does it for other codecs. The bytes may be hostile: they are bounded by the
 * packet and the image before anything is decoded, and time and memory with them. AGN_ERR_RANGE: not rows of
 * the image that begin and end with rows of MCUs. AGN_ERR_FORMAT: not exactly the codes of these rows; the
 * tile's part of the map may then be half written. AGN_ERR_MEMORY. */
int agn_pixels_decode(const struct agn_pixels_image *image, const struct agn_feature_packet *packet,
                      uint8_t *map);

/* Makes of each of `count` images, one behind the other, what arrives of it in packets as long as they may
 * be: rows that go as JPEG become what libjpeg makes of the device's bytes, others stay. By all threads of
 * OpenMP. */
int agn_pixels_as_sent(const struct agn_pixels_image *image, uint8_t *pixels, size_t count);

#endif
