/* From symbols to what the Remote NN reads, and from its logits to what the wire carries. */
#ifndef AGN_SERVER_FEATURES_H
#define AGN_SERVER_FEATURES_H

#include <stdint.h>

#include "agn_wire.h"

/* Writes (height, width, channels) floats: centroids[symbol], and fill[channel] (0 when fill is NULL)
 * where nothing came (AGN__SYMBOL_ABSENT). Returns the number of channels that did not wholly come. */
int agn__features_expand(const uint8_t *map, const struct agn_map_shape *shape, const float *centroids,
                         const float *fill, float *features);

/* What the Remote NN says of a part of a frame counts less. */
void agn__logits_scale(float *logits, int count, float trust);

/* Q8.8, rounded to nearest (ties away from zero), saturated. AGN_ERR_NUMERIC: not a finite number. */
int agn__logits_to_q8(const float *logits, int count, int16_t *fixed);

#endif
