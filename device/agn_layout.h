/* The bytes of model.agn, for what reads it here and what writes it on the host: where fields stand, how
 * weights are stored, and the checks of both. docs/MODEL_FORMAT.md describes them. */
#ifndef AGN_LAYOUT_H
#define AGN_LAYOUT_H

#include "agn_device.h"
#include "agn_memory.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- model.agn: where fields stand --------------------------------------------- */

enum agn__model_field {
    AGN__AT_MAGIC = 0,
    AGN__AT_VERSION = 4,
    AGN__AT_HEADER_BYTES = 6,
    AGN__AT_SIZE = 8,
    AGN__AT_MODEL_ID = 12,
    AGN__AT_INPUT = 16, /* u16 h, w, c */
    AGN__AT_MAP = 22,   /* u16 h, w, c */
    AGN__AT_LOCAL_C = 28,
    AGN__AT_GRID = 30,
    AGN__AT_CLASSES = 32,
    AGN__AT_ALPHA = 34,
    AGN__AT_CODEC = 36,
    AGN__AT_LAYER_COUNT = 37,
    AGN__AT_ZERO_1 = 38, /* 2 zero bytes */
    AGN__AT_INPUT_ZERO_POINT = 40,
    AGN__AT_LAYERS = 44, /* u32 offsets */
    AGN__AT_SYMBOLS = 48,
    AGN__AT_DENSE_WEIGHTS = 52,
    AGN__AT_DENSE_CHANNELS = 56,
    AGN__AT_INPUT_SCALE = 60, /* 4 x float32 */
    AGN__AT_CENTROIDS = 76,   /* 8 x float32 */
    AGN__AT_CONTEXTS = 108,   /* u32 offset; 0: none */
    AGN__AT_DISTRIBUTIONS = 112,
    AGN__AT_JPEG_QUALITY = 113, /* 1..100 with the codec jpeg, else 0 */
    AGN__AT_SURE_MARGIN = 114,  /* u16; 0: none; AGN__SURE_BY_CLASS: u16 x classes before the checksum */
    AGN__AT_ZERO_3 = 116,       /* zero bytes up to AGN_MODEL_HEADER_BYTES */
};

/* Header fields of version 4; the others are as in version 3. map and local_c are the sender's tensor and its
 * first sent channel; with value bits, what the tensor's rows are on the wire, and 0; all 0 without a sender.
 */
enum agn__graph_header {
    AGN__AT_CUT_COUNT = 30, /* u16: cuts besides the sender, 0..AGN_DEV_MAX_CUTS - 1 */
    AGN__AT_HEAD_COUNT = 38,
    AGN__AT_SENDER = 39,      /* u8 tensor; 0: none */
    AGN__AT_HEADS = 52,       /* u32 offset */
    AGN__AT_CUTS = 56,        /* u32 offset; 0 by custom where there are none */
    AGN__AT_VALUE_BITS = 113, /* u8: agn_dev_graph.value_bits; version 3 has the quality of JPEG there */
    AGN__AT_TENSOR_BYTES = 116,
    AGN__AT_IMAGE = 120, /* u8 storage, border, u16 rows, u32 offset, as in a layer record */
};

enum agn__layer_field {
    AGN__LAYER_KIND = 0,        /* u8 kind, kernel h, w, stride h, w, pad h, w */
    AGN__LAYER_ZERO_POINTS = 7, /* s8 in, out, clamp min, max */
    AGN__LAYER_ZERO_1 = 11,
    AGN__LAYER_SHAPE = 12, /* u16 in h, w, c, out h, w, c */
    AGN__LAYER_WEIGHTS = 24,
    AGN__LAYER_CHANNELS = 28,
    AGN__LAYER_IN_SCALE = 32,
    AGN__LAYER_OUT_SCALE = 36,
    AGN__LAYER_ZERO_2 = 40, /* zero bytes up to AGN_MODEL_LAYER_BYTES */
};

#define AGN__MODEL_MAGIC "AGN1"
/* In place of the sure margin: each class has its own. No enum, as an int may have 16 bits. */
#define AGN__SURE_BY_CLASS 0x8000u

/* One record of bias, multiplier and shift. */
struct agn__channel {
    int32_t bias, multiplier;
    uint8_t shift;
};

static inline struct agn__channel agn__channel_read(const uint8_t *channels, unsigned index)
{
    const uint8_t *from = channels + (size_t)index * AGN_MODEL_CHANNEL_BYTES;
    struct agn__channel channel = {agn__load_s32(from), agn__load_s32(from + 4), from[8]};
    return channel;
}

/* ---- checks ------------------------------------------------------------------- */

/* Kind, kernel, stride, pad, sides, channels, clamp of one convolution; out_h, out_w must follow from the
 * rest. AGN_ERR_UNSUPPORTED for an unknown kind, else AGN_ERR_RANGE. */
int agn__layer_check(const struct agn_dev_layer *layer);
/* Output side of a layer; 0 if the kernel does not fit. */
unsigned agn__layer_out_side(unsigned in, unsigned kernel, unsigned stride, unsigned pad);
uint32_t agn__layer_weight_count(const struct agn_dev_layer *layer);
/* Bytes of the weights as they are stored. CONV: each row of a window, kernel_w * in_c weights, is filled up
 * with zeros to groups of four, in which the order is 0, 2, 1, 3: sign extension of even and of odd bytes
 * then gives the pairs that neighbouring values meet. */
uint32_t agn__layer_weight_bytes(const struct agn_dev_layer *layer);
static inline size_t agn__layer_groups(const struct agn_dev_layer *layer)
{
    return ((size_t)layer->kernel_w * layer->in_c + 3u) / 4u;
}
/* Place of weight `i` of a window's row. */
static inline size_t agn__weight_place(size_t i)
{
    return (i & 1) != (i >> 1 & 1) ? i ^ 3u : i;
}

/* One output channel: `count` weights, `step` apart, times inputs of magnitude <= input_max, plus the
 * bias must stay within int32; multiplier and shift within the rule's bounds. AGN_ERR_RANGE. */
int agn__channel_check(struct agn__channel channel, const int8_t *weights, size_t count, size_t step,
                       uint32_t input_max);
enum {
    /* Up to here zero_point << (shift - 32) stays below 2^30, and so does each other part of the sum. */
    AGN__FOLD_MAX_SHIFT = 32 + 22,
    AGN__INPUT_MAX = 128,                      /* |int8| */
    AGN__POOLED_MAX = 128 << AGN_DEV_POOL_BITS /* |average| */
};

/* Numbers that belong together: map, k, grid, classes, alpha, codec, packets. AGN_ERR_UNSUPPORTED for
 * an unknown codec, else AGN_ERR_RANGE. */
int agn__model_check(const struct agn_dev_model *model);
/* sure_margin and sure_margins, as the file has them. */
void agn__read_sure(struct agn_dev_model *model);

/* The same of `classes` outputs of `inputs` averages. */
int agn__dense_check(const int8_t *weights, const uint8_t *channels, unsigned classes, size_t inputs);

/* A section of `count` bytes of a file with `body` bytes before its checksum, whose offset stands at `field`;
 * NULL if it is not inside. */
const uint8_t *agn__model_section(const uint8_t *data, size_t body, const uint8_t *field, uint32_t count);
int agn__is_zero(const uint8_t *bytes, size_t count);

/* What a layer's record says, but for weights and channels. */
void agn__layer_read(struct agn_dev_layer *layer, const uint8_t *record);
/* Finds and checks weights and channels of a convolution that agn__layer_check has passed. */
int agn__layer_bind(struct agn_dev_layer *layer, const uint8_t *data, size_t body, const uint8_t *record);

/* agn_dev_model_open, but `model` holds rubbish on failure. */
int agn__model_read(struct agn_dev_model *model, const void *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif
