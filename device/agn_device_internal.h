/* Seams between the files of device/ (and the writer of model.agn, which shares the checks).
 *
 * agn_model.c reads and checks models, agn_kernel_*.c computes rows, agn_extract.c streams
 * rows through the layers, agn_local.c is the Local NN, agn_send.c makes packets, agn_device.c keeps a
 * frame's life. */
#ifndef AGN_DEVICE_INTERNAL_H
#define AGN_DEVICE_INTERNAL_H

#include "agn_device.h"
#include "agn_memory.h"

/* What the integer rules rest on, and no standard promises. */
typedef char agn__shifts_keep_the_sign[((int32_t)-2 >> 1 == -1 && (int64_t)-2 >> 1 == -1) ? 1 : -1];
typedef char agn__casts_take_the_low_bits[((int32_t)UINT32_MAX == -1 && (int16_t)65535 == -1) ? 1 : -1];

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
    AGN__AT_ZERO_2 = 113,      /* a zero byte */
    AGN__AT_SURE_MARGIN = 114, /* u16; 0: none */
    AGN__AT_ZERO_3 = 116,      /* zero bytes up to AGN_MODEL_HEADER_BYTES */
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

/* Kind, kernel, stride, pad, sides, channels, clamp of one layer; out_h, out_w must follow from the
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

/* agn_dev_model_open, but `model` holds rubbish on failure. */
int agn__model_read(struct agn_dev_model *model, const void *data, size_t len);

/* ---- rows ------------------------------------------------------------------------
 * A layer's input rows hold int16, so that two values are one operand of the DSP instructions, and have
 * their borders, so that no kernel tests for them: (in_w + 2 pad_w) x in_c for CONV, in_c x (in_w + 2 pad_w)
 * for DWCONV, where neighbours in x meet neighbouring weights. */

/* Values of one x, or of one channel, apart in a row of the layer's input. */
static inline size_t agn__step_x(const struct agn_dev_layer *layer)
{
    return layer->kind == AGN_LAYER_CONV ? layer->in_c : 1;
}
static inline size_t agn__step_c(const struct agn_dev_layer *layer)
{
    return layer->kind == AGN_LAYER_CONV ? 1 : (size_t)layer->in_w + 2u * layer->pad_w;
}
static inline size_t agn__row_values(const struct agn_dev_layer *layer)
{
    return ((size_t)layer->in_w + 2u * layer->pad_w) * layer->in_c;
}

/* Where a kernel's outputs go: as values, place x of channel c to values[x * step_x + (c - first) * step_c];
 * or, with a table, as symbols, 3 bits each, channel c's row from packed[(c - first) * step_c] on, the first
 * symbol in the lowest bits. */
struct agn__sink {
    int16_t *values;
    size_t step_x, step_c;
    uint8_t *packed;
    const uint8_t *table; /* 256: symbol of value v at [v + 128]; NULL: values */
};

/* Writes symbols one after another. */
struct agn__packer {
    uint8_t *to;
    uint32_t bits;
    unsigned have; /* bits, below 8 between calls */
};
static inline void agn__packer_put(struct agn__packer *packer, uint32_t symbol)
{
    packer->bits |= symbol << packer->have;
    packer->have += AGN_WIRE_SYMBOL_BITS;
    if (packer->have >= 8) {
        *packer->to++ = (uint8_t)packer->bits;
        packer->bits >>= 8;
        packer->have -= 8;
    }
}
static inline void agn__packer_end(const struct agn__packer *packer)
{
    if (packer->have > 0)
        *packer->to = (uint8_t)packer->bits;
}

/* Output channels [first, end) of one output row. rows[0..kernel_h) are input rows. Kernels may read 3 values
 * beyond a row's end, which meet no weight or weights of 0. agn_kernel.h says which file of kernels,
 * agn_kernel_*.c, these functions come from; all give the same bits. */
void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink);
void agn__dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                     unsigned end, const struct agn__sink *sink);
/* The reference, and for layers that faster kernels leave out. */
void agn__conv_row_plain(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink);
void agn__dwconv_row_plain(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink);
/* A row of pixels, less 128, to the first layer's input row; `to` is that of x = 0, c = 0. */
void agn__pixel_row(const struct agn_dev_layer *layer, const uint8_t *pixels, int16_t *to);
/* Sum of `count` values; at most 1024 of them. */
int32_t agn__sum_row(const int16_t *values, unsigned count);

/* Streaming (agn_extract.c). */
uint32_t agn__line_bytes(const struct agn_dev_layer *layer);
void agn__extract_begin(struct agn_dev *dev);
/* Takes the next image row; the caller counts rows. */
void agn__extract_row(struct agn_dev *dev, const uint8_t *pixels);
/* After the last row: bottom padding, then the Local NN. */
void agn__extract_end(struct agn_dev *dev);

/* The Local NN (agn_local.c): a frame begins; row y of the map is in local_row; all rows were there. */
void agn__local_begin(struct agn_dev *dev);
void agn__local_row(struct agn_dev *dev, unsigned y);
void agn__local_end(struct agn_dev *dev);

enum agn__phase {
    AGN__PHASE_IDLE,
    AGN__PHASE_ROWS,  /* image rows are coming */
    AGN__PHASE_READY, /* the local answer is there; packets and a reply may follow */
    AGN__PHASE_CLOSED /* predicted */
};

/* Bytes of a packed row of symbols, and where the row of a sent channel starts. */
static inline uint8_t *agn__symbol_row(const struct agn_dev *dev, unsigned channel, unsigned row)
{
    return dev->symbols +
           ((size_t)channel * dev->model.map_h + row) * AGN_DEV_SYMBOL_ROW_BYTES(dev->model.map_w);
}

#endif
