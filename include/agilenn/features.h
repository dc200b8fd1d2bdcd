/* From symbols to what the Remote NN reads, and from its logits to what the wire carries. */
#ifndef AGILENN_FEATURES_H
#define AGILENN_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "agn_wire.h"

enum { AGN_SYMBOL_ABSENT = 0xFF }; /* in a map: nothing came for this place */

/* Writes (height, width, channels) floats: centroids[symbol], and fill[channel] (0 when fill is NULL)
 * where nothing came (AGN_SYMBOL_ABSENT). Returns the number of channels that did not wholly come. */
int agn_features_expand(const uint8_t *map, const struct agn_map_shape *shape, const float *centroids,
                        const float *fill, float *features);

/* How much of a map came. */
struct agn_received {
    int missing;  /* channels that did not wholly come */
    bool leading; /* those that came are the first ones: the end is lost, or not yet sent */
};
struct agn_received agn_map_received(const uint8_t *map, const struct agn_map_shape *shape);

/* What the Remote NN says of a part of a frame counts less. */
void agn_logits_scale(float *logits, int count, float trust);

/* Q8.8, rounded to nearest (ties away from zero), saturated. AGN_ERR_NUMERIC: not a finite number. */
int agn_logits_to_q8(const float *logits, int count, int16_t *fixed);

#endif
