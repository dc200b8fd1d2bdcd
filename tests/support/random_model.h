/* Random quantised models within the device's limits, and small fixed ones, for tests. */
#ifndef RANDOM_MODEL_H
#define RANDOM_MODEL_H

#include "agilenn/base.h"
#include "agilenn/model_agn.h"
#include "random_contexts.h"

enum { RANDOM_MAX_HEADS = 4 };

/* Owns what `model` points to. */
struct random_model {
    struct agn_model_agn model;
    struct agn_model_layer layers[AGN_DEV_MAX_GRAPH_LAYERS];
    struct agn_model_sum sums[AGN_DEV_MAX_GRAPH_LAYERS];
    struct agn_model_head heads[RANDOM_MAX_HEADS];
    struct agn_model_cut cuts[AGN_DEV_MAX_CUTS - 1];
    struct random_contexts contexts;
    int map_h, map_w, map_c;
};

enum random_style {
    RANDOM_USUAL,   /* weights, scales and inputs as trained models have them */
    RANDOM_EXTREME, /* -128 and 127 everywhere, any multiplier and shift, large biases */
    /* Depthwise 3x3 and 1x1 in turn, few channels, clamps that are saturation, mostly even widths: what
     * faster kernels are made for; some channels that they leave out. */
    RANDOM_SEPARABLE,
    RANDOM_PATCHES, /* of networks with branches: begin with patches, and nothing else reads the image */
};

/* Sides up to max_side, channels up to max_channels (>= 2). */
void random_model_make(struct random_model *random, struct agn_rng *rng, enum random_style style,
                       int max_side, int max_channels);
/* A network with branches of `layers` layers: sums, shortcuts, exits, slices of channels, a sender or none,
 * and of half of the senders of values more tensors that may be sent. */
void random_graph_make(struct random_model *random, struct agn_rng *rng, enum random_style style, int layers,
                       int max_side, int max_channels);
void random_model_free(struct random_model *random);

/* Random pixels; one image in four has only 0 and 255. Freed with agn_free. */
uint8_t *random_image(const struct agn_model_agn *model, struct agn_rng *rng);

#endif
