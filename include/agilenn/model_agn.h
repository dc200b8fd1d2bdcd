/* Writing model.agn, the quantised model that a device runs from flash.
 *
 * Layout: docs/MODEL_FORMAT.md. Integer rules: device/agn_device.h. Reading (also on the
 * host) is agn_dev_model_open's. This header knows nothing of how a model is quantised. */
#ifndef AGILENN_MODEL_AGN_H
#define AGILENN_MODEL_AGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agn_device.h"

/* Requantisation of one output channel or class: real scale = multiplier / 2^shift. */
struct agn_model_channel {
    int32_t bias;       /* in accumulator units, the input's zero point folded in:
                           round(real_bias / (in_scale * weight_scale)) - sum(weight * in_zero_point) */
    int32_t multiplier; /* 0 .. 2^31 - 1 */
    uint8_t shift;      /* AGN_DEV_MIN_SHIFT .. AGN_DEV_MAX_SHIFT */
};

/* A layer that adds: (a * multipliers[0] + b * multipliers[1] + bias) >> shift of raw int8 values, then
 * clamped; zero points and rounding are in the bias, of magnitude 2^30 at most, and shift is at most 30. */
struct agn_model_sum {
    int32_t bias;
    int16_t multipliers[2];
    uint8_t shift;
};

/* Shapes follow from the model's input and the layers before; nothing is owned. */
struct agn_model_layer {
    enum agn_layer_kind kind;
    int out_c; /* DWCONV: the input's */
    int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int8_t out_zero_point, clamp_min, clamp_max;
    const int8_t *weights; /* CONV (out_c, kernel_h, kernel_w, in_c), DWCONV (kernel_h, kernel_w, in_c) */
    const struct agn_model_channel *channels; /* out_c */
    float out_scale;                          /* information */
    /* Of networks with branches only. Tensor 0 is the image, tensor i + 1 what layer i makes. */
    int source[2];                   /* tensors made before; the second one for ADD */
    int first, in_c;                 /* channels [first, first + in_c) of it are read; in_c 0: to the last */
    const struct agn_model_sum *sum; /* ADD, which has no weights and channels and reads [0, in_c) of both */
};

/* A classifier in a network with branches: average pooling to a grid, and a dense layer, by the rules of
 * dense_weights and dense_channels below. */
struct agn_model_head {
    int tensor;       /* 1 and up; heads in ascending order */
    int first, count; /* channels of it */
    int grid;         /* g */
    int margin;  /* Q8.8: from this one on the answer is sure and what comes later is left out; 0: never */
    int softmax; /* 1..32767, in 2^-15: the same from this softmax of the best logit on, in place of a margin
                  */
    const int8_t *weights;                    /* (classes, grid, grid, count) */
    const struct agn_model_channel *channels; /* classes */
};

/* A tensor that a device may send in place of `sender`, the network being cut there (agn_dev_select_cut). */
struct agn_model_cut {
    uint32_t model_id; /* of the server's model that goes on from there */
    int tensor;        /* 0: the image as it is */
    int value_bits;    /* 1..8; 8 of the image */
    int layers;        /* the first so many are run: the tensor's, and those of an exit on it; 0: up to the
                          tensor */
};

struct agn_model_agn {
    uint32_t model_id; /* shared with the server's model */
    int input_h, input_w, input_c;
    int8_t input_zero_point[AGN_DEV_MAX_INPUT_CHANNELS]; /* mean[c] - 128 */
    float input_scale[AGN_DEV_MAX_INPUT_CHANNELS];       /* 1 / std[c]; information */

    int layer_count;
    const struct agn_model_layer *layers;

    /* A network with branches (version 4 of the file), else a chain. It has heads instead of grid,
     * dense_weights and dense_channels, and sends channels [local_c, ...) of the tensor `sender`; 0: nothing.
     */
    bool is_graph;
    int head_count;
    const struct agn_model_head *heads;
    int sender;
    int value_bits; /* 0: as symbols. 1 to 8: all of the tensor as values, see struct agn_dev_graph */
    /* Other tensors that may be sent, of a sender with value bits: up to AGN_DEV_MAX_CUTS - 1, in ascending
     * order and below `sender`. */
    int cut_count;
    const struct agn_model_cut *cuts;

    int local_c; /* k */
    int grid;    /* g */
    int classes;
    const int8_t *dense_weights; /* (classes, grid, grid, local_c) */
    /* Accumulators hold weight * average with AGN_DEV_POOL_BITS fraction bits, averages of raw int8
     * values: bias = round(real_bias / unit) - 64 * out_zero_point * sum(weight) with
     * unit = map_scale * weight_scale / 64, and multiplier / 2^shift = unit * 256. */
    const struct agn_model_channel *dense_channels; /* classes */

    uint16_t alpha_q15;                /* 0..32768 */
    uint16_t sure_margin;              /* 0..32767, agn_dev_is_sure; 0: every frame is sent */
    enum agn_codec codec;              /* preferred */
    uint8_t jpeg_quality;              /* 1..100 with AGN_CODEC_JPEG; not looked at otherwise */
    struct agn_context_model contexts; /* written if the codec needs it */
    uint8_t symbols[256];              /* symbol of the int8 value v at [v + 128] */
    float centroids[AGN_WIRE_LEVELS];  /* value of each symbol; information */
};

/* Multiplier and shift for a real scale, 0 <= scale < 0.25 (AGN_ERR_RANGE), to within 2^-31 of it
 * where it is at least 2^-32. */
int agn_model_multiplier(double scale, int32_t *multiplier, uint8_t *shift);

/* Serialises a model, then opens the result as a device would: what is written runs. `*bytes` is
 * freed with agn_free. On failure nothing is set and agn_error_message() says what is wrong. */
int agn_model_agn_write(const struct agn_model_agn *model, uint8_t **bytes, size_t *size_bytes);

#endif
