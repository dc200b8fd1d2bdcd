/* Networks with branches: model.agn of version 4 (docs/MODEL_FORMAT.md).
 *
 * Tensor 0 is the image, tensor i + 1 what layer i makes. A layer reads one tensor, ADD two, each made before
 * it; heads read tensors too: classifiers (pool, dense layer: a local answer) and the sender (symbols). Rows
 * flow: of a tensor only those are kept that readers still need, in a ring. Layers belong to segments. One
 * segment after the other runs to its end; only the first runs while the image comes. What crosses from one
 * to another is kept whole, so rings of different segments may share memory, and an exit that is sure ends
 * the frame where its segment ends.
 *
 * Where rings lie and how many rows they have is planned by who writes the file, and checked here by playing
 * a frame with counters alone (agn__graph_play). */
#ifndef AGN_GRAPH_H
#define AGN_GRAPH_H

#include "agn_layout.h"
#include "agn_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AGN__GRAPH_TENSORS = AGN_DEV_MAX_GRAPH_LAYERS + 1,
    AGN__GRAPH_LAYER_BYTES = 64,
    AGN__GRAPH_HEAD_BYTES = 24,
    AGN__GRAPH_CUT_BYTES = 16,
    AGN__GRAPH_NEVER = 0xFF /* of a last reader: there is none */
};

/* The first 40 bytes of a layer record are those of version 3, with the segment in place of the first zero
 * byte. ADD has out_c = in_c, kernel and stride 1, no padding, no weights, and one record of channels:
 * s32 bias, s16 and s16 multipliers of both sources, u8 shift. */
enum agn__graph_field {
    AGN__GRAPH_SEGMENT = 11,
    AGN__GRAPH_SOURCES = 40,     /* u8 tensor, u8 second tensor of ADD, else 0 */
    AGN__GRAPH_FIRST = 42,       /* u16: first channel read of the source; 0 for ADD */
    AGN__GRAPH_KEPT = 44,        /* u16: channels kept of the result */
    AGN__GRAPH_STORAGE = 46,     /* u8 enum agn__storage, u8 border, u16 rows */
    AGN__GRAPH_LAST_READER = 50, /* u8: highest layer that reads the result, or AGN__GRAPH_NEVER */
    AGN__GRAPH_FOLDS = 51,       /* u8: agn_dev_layer.folds */
    AGN__GRAPH_OFFSET = 52,      /* u32, from where tensors begin in the arena */
    AGN__GRAPH_ZERO = 56,        /* zero bytes to the end */
};

/* The bit that tells a softmax from a margin; no enum, as an int may have 16 bits. */
#define AGN__HEAD_SOFTMAX 0x8000u

enum agn__head_field {
    AGN__HEAD_TENSOR = 0,
    AGN__HEAD_GRID = 1,
    AGN__HEAD_FIRST = 2,  /* u16 */
    AGN__HEAD_COUNT = 4,  /* u16 channels */
    AGN__HEAD_MARGIN = 6, /* u16: sure from there on, and an exit; 0: never. From 32768 on the softmax that
                             the best logit must reach, in 2^-15 */
    AGN__HEAD_WEIGHTS = 8,
    AGN__HEAD_CHANNELS = 12,
    AGN__HEAD_ZERO = 16
};

/* A tensor that may be sent in place of the header's, in ascending order and all below that one. */
enum agn__cut_field {
    AGN__CUT_MODEL_ID = 0, /* u32 */
    AGN__CUT_TENSOR = 4,   /* u8; 0: the image, as a model without layers sends it */
    AGN__CUT_VALUE_BITS = 5,
    AGN__CUT_MAP = 6,     /* u16 h, w, c, of the rows on the wire */
    AGN__CUT_LAYERS = 12, /* u8: so many are run, the tensor's and perhaps those of an exit on it */
    AGN__CUT_ZERO = 13
};

/* How rows of a tensor lie in memory. */
enum agn__storage {
    AGN__STORED_NOT,
    AGN__STORED_NARROW, /* int8, (width, channels), no border */
    AGN__STORED_WIDE,   /* int16, (width with borders, channels) */
    AGN__STORED_PLANAR, /* int16, (channels, width with borders, rounded up to even): for DWCONV */
    AGN__STORAGE_COUNT
};

struct agn__tensor {
    uint16_t h, w, c; /* c: channels kept */
    uint8_t storage, border;
    uint16_t rows;
    uint32_t offset;
};

struct agn__node {
    struct agn_dev_layer shape;
    uint8_t segment, source[2], last_reader;
    uint16_t first;
};

/* Does a full convolution take its source's rows where they lie? */
static inline int agn__rows_are_direct(const struct agn__node *node, const struct agn__tensor *source)
{
    return source->storage == AGN__STORED_WIDE && source->border == node->shape.pad_w &&
           source->c == node->shape.in_c;
}

struct agn__head {
    uint8_t tensor;
    uint16_t grid, first, count, margin;
    const int8_t *weights; /* (classes, grid, grid, count) */
    const uint8_t *channels;
};

/* Does the softmax of the best of these logits reach threshold / 32768? By the integer rule of agn_device.h;
 * threshold >= 1. */
int agn__softmax_reaches(const int16_t *logits, unsigned classes, unsigned threshold);

static inline const uint8_t *agn__graph_record(const struct agn_dev_model *model, unsigned layer)
{
    return model->graph.layers + (size_t)layer * AGN__GRAPH_LAYER_BYTES;
}
static inline const uint8_t *agn__graph_cut_record(const struct agn_dev_model *model, unsigned cut)
{
    return model->data + agn__load_u32(model->data + AGN__AT_CUTS) + (size_t)cut * AGN__GRAPH_CUT_BYTES;
}
void agn__graph_node(const struct agn_dev_model *model, unsigned layer, struct agn__node *node);
void agn__graph_tensor(const struct agn_dev_model *model, unsigned index, struct agn__tensor *tensor);
void agn__graph_head(const struct agn_dev_model *model, unsigned index, struct agn__head *head);
/* Bytes of a row, a multiple of 4; of all rows kept; values of a plane. */
uint32_t agn__tensor_row_bytes(const struct agn__tensor *tensor);
static inline uint32_t agn__tensor_bytes(const struct agn__tensor *tensor)
{
    return agn__tensor_row_bytes(tensor) * tensor->rows;
}
static inline size_t agn__tensor_plane(const struct agn__tensor *tensor)
{
    return ((size_t)tensor->w + 2u * tensor->border + 1u) & ~(size_t)1;
}

/* ---- the order of work ----------------------------------------------------------------------
 * The last layer of the segment that can make a row makes one, so that rows are used up as soon as can be. */

/* The next layer to make a row of, -1: none can. made[tensor]: rows there. `from`: the highest layer that may
 * have become able to. */
int agn__graph_next(const struct agn_dev_model *model, const uint16_t *made, unsigned segment, unsigned from);

/* What a frame asks of a tensor. Time counts rows made, of all tensors. */
struct agn__life {
    uint16_t rows; /* at least to be kept */
    uint32_t begin, end;
};
/* Plays a frame. AGN_ERR_RANGE: a layer never ends. */
int agn__graph_play(const struct agn_dev_model *model, struct agn__life lives[AGN__GRAPH_TENSORS]);

/* Does the sender fit the tensor that it sends? */
int agn__graph_check_sender(const struct agn_dev_model *model);
/* The table of cuts, of a model of which all else has been checked (agn_graph_cut.c). */
int agn__graph_check_cuts(const struct agn_dev_model *model, size_t body);

/* Row buffers besides the tensors, in bytes. */
uint32_t agn__graph_scratch_bytes(const struct agn_dev_model *model);
/* Sums of all heads. */
uint32_t agn__graph_pool_bytes(const struct agn_dev_model *model);
uint32_t agn__graph_state_bytes(const struct agn_dev_model *model);

#ifdef __cplusplus
}
#endif

#endif
