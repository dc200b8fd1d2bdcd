/* One small fixed model for tests and fuzzers: 8x8x1 image, depthwise 3x3 stride 2 with padding,
 * pointwise 1 to 6 channels, map 4x4x6, k = 2, g = 2, 3 classes. */
#ifndef SMALL_MODEL_H
#define SMALL_MODEL_H

#include "agilenn/model_agn.h"

enum { SMALL_MODEL_ID = 0x00C0FFEE, SMALL_SIDE = 8, SMALL_CLASSES = 3, SMALL_SENT = 4, SMALL_MAP_SIDE = 4 };

/* The parts are static and may be changed by one test at a time; each call sets them anew. */
struct small_model {
    struct agn_model_agn model;
    struct agn_model_layer layers[2];
    struct agn_model_channel depthwise[1], pointwise[6], dense[SMALL_CLASSES];
    int8_t depthwise_weights[9], pointwise_weights[6], dense_weights[SMALL_CLASSES * 2 * 2 * 2];
};
void small_model_make(struct small_model *small);

/* An image for it: SMALL_SIDE x SMALL_SIDE bytes. */
void small_model_image(uint8_t *image);

#endif
