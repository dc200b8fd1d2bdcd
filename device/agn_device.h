/* The AgileNN device runtime: extractor, Local NN, packets, fusion.
 *
 * Freestanding C99, integers only, no heap, no OS; needs memcpy and memset. The model
 * (docs/MODEL_FORMAT.md) is used where it lies, normally in flash. All memory is the
 * caller's: a struct agn_dev and one arena of agn_dev_arena_bytes(). One frame at a time:
 *
 *     agn_dev_init(&dev, model, model_bytes, arena, sizeof arena);
 *     agn_dev_frame_begin(&dev, frame_number, deadline_ms);
 *     while (rows come) agn_dev_push_rows(&dev, rows, row_count);
 *     agn_dev_local(&dev);                                  // optional look at the local answer
 *     while ((n = agn_dev_next_packet(&dev, packet, sizeof packet)) > 0) send(packet, n);
 *     while (time is left and n = receive(bytes)) if (agn_dev_accept_reply(&dev, bytes, n) == 0) break;
 *     agn_dev_predict(&dev, &prediction);                   // fused, or local if no good reply came
 *
 * The library has no clock: a caller's deadline ends when it calls agn_dev_predict.
 * Nothing here is thread-safe; two struct agn_dev with arenas of their own are independent. */
#ifndef AGN_DEVICE_H
#define AGN_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "agn_status.h"
#include "agn_wire.h"

/* The version of what is below, for sources that were made for it: an exported model's header compares. */
#define AGN_DEVICE_RUNTIME 2

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limits of a model ------------------------------------------------------ */

enum {
    AGN_DEV_MAX_LAYERS = 8,
    AGN_DEV_MAX_GRAPH_LAYERS = 64, /* of a network with branches, see struct agn_dev_graph */
    AGN_DEV_MAX_KERNEL = 7,
    AGN_DEV_MAX_STRIDE = 4,
    AGN_DEV_MAX_PAD = 3, /* and less than the kernel */
    AGN_DEV_MAX_INPUT_CHANNELS = 4,
    AGN_DEV_MAX_CHANNELS = 255, /* feature map */
    AGN_DEV_MAX_INNER_CHANNELS = 1024,
    AGN_DEV_MAX_SIDE = 1024,    /* image and inner layers */
    AGN_DEV_MAX_MAP_SIDE = 255, /* feature map */
    AGN_DEV_MAX_GRID = 16,
    AGN_DEV_MAX_CLASSES = AGN_WIRE_MAX_CLASSES,
    AGN_DEV_MAX_CUTS = 8,   /* see agn_dev_select_cut */
    AGN_DEV_MIN_SHIFT = 33, /* of the requantisation rule, see below */
    AGN_DEV_MAX_SHIFT = 62,
    AGN_DEV_POOL_BITS = 6, /* fraction bits of a pooled average */
};

/* ---- model.agn: the header and the layer records ------------------------------
 * All fields little-endian, all offsets from the file's first byte and multiples of 4.
 * Kept in one place for reader and writer; docs/MODEL_FORMAT.md explains each. */
enum {
    AGN_MODEL_VERSION = 3,       /* a chain of layers */
    AGN_MODEL_VERSION_GRAPH = 4, /* any network */
    AGN_MODEL_HEADER_BYTES = 128,
    AGN_MODEL_LAYER_BYTES = 48,
    AGN_MODEL_CHANNEL_BYTES = 12, /* int32 bias, int32 multiplier, uint8 shift, 3 zero bytes */
};

/* ---- the integer rules ----------------------------------------------------------
 * Requantisation, the same for convolutions and for the dense layer:
 *     q = (acc * multiplier + 2^(shift-1)) >> shift        (64 bit, >> rounds down)
 * with 0 <= multiplier < 2^31 and 33 <= shift <= 62. As shift > 32 only the high word of the
 * product matters, so that a Cortex-M7 needs two instructions (SMMLA, ASR):
 *     q = (high32(acc * multiplier) + 2^(shift-33)) >> (shift-32)
 * Convolution: acc = bias + sum(weight * input) over raw int8 inputs (the input's zero point is
 * folded into bias); output = min(max(q + out_zero_point, clamp_min), clamp_max).
 * First input: pixel - 128; padding there is input_zero_point[channel], elsewhere the layer's
 * in_zero_point. Pooling: cell (i, j) covers rows floor(i*H/g) .. ceil((i+1)*H/g)-1, columns
 * likewise; average = floor((64 * sum + floor(n/2)) / n) of the cell's n raw int8 values.
 * Dense: acc = bias + sum(weight * average), averages ordered (cell row, cell column, channel);
 * logit = q saturated to int16, Q8.8.
 * Softmax of the best logit, for exits: e(d) = 32768 exp(-d / 256) of the distance d to the best logit, as
 * the product of constants c_k = round(32768 exp(-2^k / 256)) over the bits k = 0..11 of d, lowest first,
 * each time v = (v c_k + 2^14) >> 15 from v = 32768; 0 from d = 4096 on. It reaches t / 32768 if t sum(e) <=
 * 2^30. */
static inline int32_t agn_requantise(int32_t acc, int32_t multiplier, unsigned shift)
{
    int32_t high = (int32_t)(((int64_t)acc * multiplier) >> 32);
    return (high + (int32_t)(UINT32_C(1) << (shift - AGN_DEV_MIN_SHIFT))) >> (shift - 32);
}

/* ---- a model in flash --------------------------------------------------------- */

enum agn_layer_kind { AGN_LAYER_CONV = 0, AGN_LAYER_DWCONV = 1, AGN_LAYER_ADD = 2, AGN_LAYER_KIND_COUNT };

/* A layer as read from its record. Weights: CONV (out_c, kernel_h, kernel_w, in_c), the last two together
 * filled up to groups of four in the order 0, 2, 1, 3; DWCONV (kernel_h, kernel_w, in_c), in_c = out_c. */
struct agn_dev_layer {
    const int8_t *weights;
    const uint8_t *channels; /* out_c records of AGN_MODEL_CHANNEL_BYTES */
    uint16_t in_h, in_w, in_c, out_h, out_w, out_c;
    uint8_t kind; /* enum agn_layer_kind */
    uint8_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int8_t in_zero_point; /* 0 for the first layer, see input_zero_point */
    int8_t out_zero_point, clamp_min, clamp_max;
    uint8_t folds; /* the zero point fits into the rounding constant, and clamping is saturation */
};

/* A network with branches, several answers, exits (version 4 of the file). Private; nothing in other models.
 */
struct agn_dev_graph {
    const uint8_t *layers, *heads; /* records; layers: NULL if the model is no such network */
    uint32_t tensor_bytes;         /* memory for rows */
    uint8_t head_count;
    uint8_t sender; /* tensor whose channels [local_c, map_c) are sent; 0: none is */
    /* 0: as symbols by the table. 1 to 8: all of the tensor is sent as values, the upper so many bits of
     * each, and goes over the wire as an image's bytes do (agn_pixels_shape): map_c are its rows then, map_h
     * and map_w the runs and symbols of a row, and local_c is 0. */
    uint8_t value_bits;
    uint8_t cut; /* which of agn_dev_cuts this is; layers behind its tensor are left out */
};

/* A checked model. Points into the file, which must stay where it is. One without layers has neither
 * extractor nor Local NN: it sends the pixels (agn_pixels_shape) and has no answer of its own; layer_count,
 * local_c, grid and alpha are 0 then, and there are no tables. Of a network with branches the layers are in
 * `graph`, and `layers` is unused; grid is 0 and there are no dense_weights, as each head has its own; where
 * nothing is sent the map is 0, too. */
struct agn_dev_model {
    const uint8_t *data;
    uint32_t size_bytes;
    uint32_t model_id;
    uint16_t input_h, input_w, input_c;
    uint16_t map_h, map_w, map_c; /* the extractor's output, or what is sent of it: agn_dev_graph */
    uint16_t local_c;             /* k: channels [0,k) stay, [k,map_c) are sent */
    uint16_t grid;                /* g */
    uint16_t classes;
    uint16_t alpha_q15;          /* weight of the local logits, 0..32768 */
    uint16_t sure_margin;        /* 1..32767, see agn_dev_is_sure; 0: the device is never sure */
    const uint8_t *sure_margins; /* classes x u16, likewise, in place of sure_margin; NULL: one for all */
    uint8_t codec;               /* preferred enum agn_codec */
    uint8_t layer_count;
    int8_t input_zero_point[AGN_DEV_MAX_INPUT_CHANNELS];
    struct agn_context_model contexts; /* of range; other codecs have none: 0 channels */
    const uint8_t *symbols;            /* 256: symbol of the int8 value v at [v + 128] */
    const int8_t *dense_weights;       /* (classes, grid, grid, local_c) */
    const uint8_t *dense_channels;     /* classes records of AGN_MODEL_CHANNEL_BYTES */
    struct agn_dev_graph graph;
    struct agn_dev_layer layers[AGN_DEV_MAX_LAYERS];
};

/* Whether frames are sent at all, and whether the device has an answer of its own. */
static inline int agn_dev_model_sends(const struct agn_dev_model *model)
{
    return model->map_c > model->local_c;
}
static inline int agn_dev_model_answers(const struct agn_dev_model *model)
{
    return model->layer_count > 0 && (model->graph.layers == NULL || model->graph.head_count > 0);
}

/* Checks a whole file once and reads its header. `data` must be aligned as a uint32_t
 * (AGN_ERR_ARG): 4 bytes, but for processors that ask for less.
 * AGN_ERR_FORMAT: not a model, truncated, or longer than it says; AGN_ERR_VERSION; AGN_ERR_CHECKSUM;
 * AGN_ERR_RANGE: a size, offset, shape or table value out of bounds, layers that do not fit
 * together, accumulators that could overflow; AGN_ERR_UNSUPPORTED: unknown layer or codec.
 * `model` is untouched on failure. */
int agn_dev_model_open(struct agn_dev_model *model, const void *data, size_t len);

/* Of how many tensors a device may choose the one that it sends, see agn_dev_select_cut: 1 for most models
 * that send, 0 for others. */
unsigned agn_dev_cuts(const struct agn_dev_model *model);

/* The model as it is once `cut` is chosen: its id, map, layers, and whether it answers. What it needs of
 * memory is the same for all (agn_dev_memory). `view` may be `model`. AGN_ERR_ARG: no such cut. */
int agn_dev_model_cut(const struct agn_dev_model *model, unsigned cut, struct agn_dev_model *view);

/* How long the model is that begins at `data`, in bytes, as its header says: where a flash partition holds it
 * and the partition's rest. Not checked further. 0: no model of this version begins there, or `len` bytes do
 * not hold it. */
size_t agn_dev_model_bytes(const void *data, size_t len);

/* ---- memory and reports --------------------------------------------------------- */

/* Arena that a model needs, in bytes, whichever cut is chosen. */
uint32_t agn_dev_arena_bytes(const struct agn_dev_model *model);

/* For static sizing. Line buffer of a layer; symbols of the sent channels; a row of the local channels, and
 * what a kernel may read beyond the line buffers; pooled sums; logits. */
#define AGN_DEV_ALIGN4(bytes) (((uint32_t)(bytes) + 3u) & ~(uint32_t)3u)
#define AGN_DEV_LINE_BYTES(kernel_h, in_w, pad_w, in_c)                                                      \
    AGN_DEV_ALIGN4(2u * (uint32_t)(kernel_h) * ((uint32_t)(in_w) + 2u * (uint32_t)(pad_w)) * (uint32_t)(in_c))
#define AGN_DEV_SYMBOL_ROW_BYTES(map_w) (((size_t)(map_w)*3u + 7u) / 8u)
#define AGN_DEV_SYMBOL_BYTES(sent_c, map_h, map_w)                                                           \
    AGN_DEV_ALIGN4((uint32_t)(sent_c) * (uint32_t)(map_h)*AGN_DEV_SYMBOL_ROW_BYTES(map_w))
#define AGN_DEV_MAP_ROW_BYTES(map_w, local_c)                                                                \
    AGN_DEV_ALIGN4(2u * (uint32_t)(map_w) * (uint32_t)(local_c) + 6u)
#define AGN_DEV_POOL_BYTES(grid, local_c) ((uint32_t)(grid) * (uint32_t)(grid) * (uint32_t)(local_c)*4u)
#define AGN_DEV_LOGIT_BYTES(classes)      (2u * AGN_DEV_ALIGN4((uint32_t)(classes)*2u))
/* The arena: line buffers (sum over layers, plus the map's row) and the encoder's state share memory, as the
 * encoder starts when the last row is done. `codec`: the model's. */
#define AGN_DEV_ARENA_BYTES(line_bytes_sum, map_w, sent_c, map_h, grid, local_c, classes, codec)             \
    (AGN_DEV_SYMBOL_BYTES(sent_c, map_h, map_w) + AGN_DEV_POOL_BYTES(grid, local_c) +                        \
     AGN_DEV_LOGIT_BYTES(classes) +                                                                          \
     ((line_bytes_sum) + AGN_DEV_MAP_ROW_BYTES(map_w, local_c) > AGN_CODEC_STATE_BYTES(codec)                \
          ? (line_bytes_sum) + AGN_DEV_MAP_ROW_BYTES(map_w, local_c)                                         \
          : AGN_CODEC_STATE_BYTES(codec)))

/* The same of a model that sends JPEG (agn_jpeg.h has AGN_JPEG_BYTES): the image as it is, as nothing shorter
 * is sure to hold what it becomes, and beside it what the encoder needs, with a row of pixels. */
#define AGN_DEV_JPEG_BYTES(width, channels)                                                                  \
    (AGN_JPEG_BYTES(width, channels) + AGN_DEV_ALIGN4((uint32_t)(width) * (uint32_t)(channels)))
#define AGN_DEV_JPEG_ARENA_BYTES(height, width, channels, map_h, map_w, classes)                             \
    (AGN_DEV_SYMBOL_BYTES(height, map_h, map_w) + AGN_DEV_LOGIT_BYTES(classes) +                             \
     AGN_DEV_JPEG_BYTES(width, channels))

/* Figures of one layer, for `info` and export. */
struct agn_dev_layer_info {
    struct agn_dev_layer shape;
    uint64_t macs;          /* multiply-accumulates a frame */
    uint32_t weight_bytes;  /* flash: weights */
    uint32_t channel_bytes; /* flash: bias, multiplier, shift */
    uint32_t line_bytes;    /* RAM: its line buffer */
    uint32_t in_scale_bits; /* IEEE float32 of the quantisation scales, for information only */
    uint32_t out_scale_bits;
};
/* index < layer_count (AGN_ERR_ARG). */
int agn_dev_layer_info(const struct agn_dev_model *model, unsigned index, struct agn_dev_layer_info *info);

/* Figures of the whole device. */
struct agn_dev_memory {
    uint32_t line_bytes;    /* line buffers of all layers */
    uint32_t map_row_bytes; /* one row of the local channels */
    uint32_t encoder_bytes; /* shares memory with the two above; of JPEG, a row of pixels is part of it */
    uint32_t symbol_bytes;  /* 3-bit symbols of the sent channels; of the cut that sends most */
    uint32_t pool_bytes;    /* pooled sums */
    uint32_t logit_bytes;   /* local logits and the answer */
    uint32_t arena_bytes;   /* agn_dev_arena_bytes */
    uint32_t state_bytes;   /* sizeof(struct agn_dev) on this machine */
    uint32_t ram_bytes;     /* arena_bytes + state_bytes; a packet buffer is extra */
    uint32_t flash_bytes;   /* the model file */
    uint32_t dense_weight_bytes, dense_channel_bytes;
    uint32_t dense_macs;
    uint32_t raw_bytes; /* the sent symbols of a frame at 3 bits each, without headers */
};
/* Of a model with several cuts symbol_bytes, arena_bytes and ram_bytes are the most that one takes, the
 * others those of the cut chosen, at first of the whole network. */
void agn_dev_memory(const struct agn_dev_model *model, struct agn_dev_memory *memory);

/* ---- running --------------------------------------------------------------------- */

/* Where a layer stands in a frame. Private. */
struct agn_dev_line {
    int16_t *ring;     /* kernel_h rows of (in_w + 2 pad_w) x in_c values */
    uint8_t slot;      /* ring row to fill next; the oldest one once the ring is full */
    uint8_t countdown; /* rows until the next output row */
};

struct agn__protocol;

/* A device. The fields are private; the struct is here so that it can be allocated. */
struct agn_dev {
    struct agn_dev_model model;
    struct agn_dev_line lines[AGN_DEV_MAX_LAYERS];
    const struct agn__protocol *protocol;
    int16_t *local_row; /* local_c x map_w values, on their way to the sums; of a network with branches
                           weights prepared for an image that is kept as bytes, or NULL */
    uint8_t *scratch;   /* line buffers while rows come, then the encoder's state */
    uint8_t *symbols;
    uint32_t *pool;
    int16_t *local, *answer;
    uint16_t frame, deadline_ms;
    uint16_t rows_in, map_rows;
    uint32_t budget, spent; /* bytes a frame, overheads included; AGN_DEV_NO_BUDGET: no limit */
    uint32_t made;          /* the most that was spent since the frame began, repeated packets not counted */
    uint16_t extra_bytes;   /* overhead of a packet */
    uint16_t packet_count;  /* packets made */
    uint8_t next_channel;   /* first sent channel not yet in a packet */
    uint8_t next_row;       /* and its first row */
    uint8_t made_channels;  /* sent channels wholly in packets made */
    uint8_t phase;          /* enum in agn_device.c */
    uint8_t fused, channels_missing;
    uint8_t left_early; /* an exit was sure: later layers were not computed */
    uint8_t asks_now;   /* agn_dev_ask_now */
    uint16_t class_index;
    uint16_t exit_softmax; /* agn_dev_set_exit */
};

/* Opens the model (errors of agn_dev_model_open) and lays out the arena. `arena` must be aligned
 * as a uint32_t (AGN_ERR_ARG) and at least agn_dev_arena_bytes long (AGN_ERR_SPACE); it belongs to `dev`
 * until the device is used no more. `dev` is untouched on failure.
 *
 * The arena, the model and the pixels lie in normal memory: where the compiler may use unaligned access
 * (__ARM_FEATURE_UNALIGNED, on by default for a Cortex-M3 and above), words are loaded and stored at any
 * address. Device memory (external RAM on a Cortex-M7 until the MPU says otherwise, as the SDRAM of an
 * STM32F7 at 0xC0000000) and a processor with CCR.UNALIGN_TRP set fault at that: give the MPU a region of
 * normal memory there, or compile everything with -mno-unaligned-access, which takes the plain kernels
 * (agn_kernel.h). */
int agn_dev_init(struct agn_dev *dev, const void *model, size_t model_bytes, void *arena, size_t arena_bytes);

/* Where the network is cut: chooses which of agn_dev_cuts tensors is sent, the first being the lowest
 * (perhaps the image itself), the last the one that agn_dev_init chooses. Layers, answers and exits behind it
 * are not computed; with the image, or before the first answer, the device has none of its own
 * (agn_dev_predict). Each cut has a model id of its own, by which servers know the rest of the network. To be
 * called between frames: an unfinished one is dropped. Holds until chosen again. AGN_ERR_ARG: no such cut;
 * nothing has changed. */
int agn_dev_select_cut(struct agn_dev *dev, unsigned cut);

/* The cut chosen. */
unsigned agn_dev_cut(const struct agn_dev *dev);

/* Replaces the threshold of all exits that ask for a softmax: 1..32767, in 2^-15, or 0 for what the file
 * says. Exits that ask for a margin stay as they are. Holds for exits to come, with any cut, until set again.
 * AGN_ERR_RANGE. */
int agn_dev_set_exit(struct agn_dev *dev, uint16_t softmax_q15);

/* Which version of the protocol packets and replies have (docs/PROTOCOL.md): 1 (agn_wire.h), which a device
 * begins with unless its build has only the other, or 2 (agn_compact.h). A server takes each at a path of its
 * own. Holds until chosen again. To be called before a frame's first packet; or, where a server has not taken
 * that, with agn_dev_packets_again behind it. AGN_ERR_UNSUPPORTED: the build has no such version
 * (agn_parts.h); nothing has changed. */
int agn_dev_set_protocol(struct agn_dev *dev, unsigned version);
unsigned agn_dev_protocol(const struct agn_dev *dev);

/* Version 2 only: the packets to come ask for an answer at once with what has come of the frame so far (1),
 * or do not (0), which is how each frame begins. More packets of it may follow, and a further answer. */
void agn_dev_ask_now(struct agn_dev *dev, unsigned asks);

/* Starts a frame; drops whatever an unfinished one had. `frame` wraps; `deadline_ms` is told to the
 * server (0: not stated). */
int agn_dev_frame_begin(struct agn_dev *dev, uint16_t frame, uint16_t deadline_ms);

/* Next rows of the image: row_count x input_w x input_c bytes, top to bottom. With the last row the
 * local answer is ready. AGN_ERR_STATE: no frame begun; AGN_ERR_RANGE: more rows than the image has
 * (nothing is taken). */
int agn_dev_push_rows(struct agn_dev *dev, const uint8_t *rows, unsigned row_count);

/* Local logits, `classes` x Q8.8, valid until the next frame; NULL before the last row. All 0 where the model
 * has no Local NN. */
const int16_t *agn_dev_local(const struct agn_dev *dev);

/* How far the best local logit is above the second best, Q8.8 (0: a tie, or one class only), or AGN_ERR_STATE
 * before the last row. */
int32_t agn_dev_margin(const struct agn_dev *dev);

/* Whether the local answer is worth so much that the frame need not be sent: 1 if the margin is at least the
 * model's sure_margin, or that of the class which it is the margin of (`agilenn export --confidence` or
 * --sent finds them), else 0; always 0 where the model has none. AGN_ERR_STATE before the last row. It is the
 * caller who then leaves out the packets. */
int agn_dev_is_sure(const struct agn_dev *dev);

/* Symbol of a sent channel at a place of the finished map (for tests and tools), or AGN_ERR_STATE /
 * AGN_ERR_ARG. */
int agn_dev_symbol(const struct agn_dev *dev, unsigned channel, unsigned row, unsigned column);

/* Writes the next feature packet of at most min(cap, AGN_WIRE_MAX_PACKET) bytes; returns its length,
 * 0 when the frame has no more, or its budget is spent. AGN_ERR_STATE: before the last row or after
 * agn_dev_predict; AGN_ERR_SPACE: cap does not hold one row of symbols, or 256 packets are not enough. */
int agn_dev_next_packet(struct agn_dev *dev, uint8_t *packet, size_t cap);

/* Limits the packets of a frame to `bytes` altogether, each counted with `extra_bytes` more for what carries
 * it (CoAP, UDP, IP). The most important channels go first; the last packet that fits is flagged as such, so
 * that the server waits for no more. Packets after the first are made only where the budget still holds the
 * rest of a channel, packed raw, or a whole packet. Where it does not hold one row there is no packet at all.
 * Holds for the frames to come, until set again; to be called before a frame's first packet. There is no
 * limit at first: AGN_DEV_NO_BUDGET. */
#define AGN_DEV_NO_BUDGET UINT32_MAX
void agn_dev_set_budget(struct agn_dev *dev, uint32_t bytes, uint16_t extra_bytes);

/* The smallest budget that surely gives a packet: one row of symbols. */
uint32_t agn_dev_least_bytes(const struct agn_dev *dev);

/* Bytes of the frame's packets so far, extra_bytes counted, repeated ones not; with an answer only the share
 * of the channels sent that it does not lack. For agn_rate.h. */
uint32_t agn_dev_bytes_through(const struct agn_dev *dev);

/* Begins with the frame's first packet again. With the same caps agn_dev_next_packet makes the same bytes,
 * which the server knows as repeated: for packets or an answer that were lost. AGN_ERR_STATE: as there. */
int agn_dev_packets_again(struct agn_dev *dev);

/* Takes a reply; 0 when it is accepted. Otherwise it has no effect and the code says why: malformed
 * (errors of agn_reply_unpack); AGN_ERR_RANGE: more channels missing than are sent; AGN_ERR_MISMATCH: another
 * model, or the server has none such;
 * AGN_ERR_TIMEOUT: of another frame or cut, or after agn_dev_predict; AGN_ERR_STATE: a duplicate, or no
 * packet was made yet; of version 2, whose checksum holds the id, AGN_ERR_CHECKSUM in place of another model
 * or cut. There a further reply that lacks fewer channels, of a frame that asks (agn_dev_ask_now) also one
 * that lacks as many, takes the place of the one before; AGN_ERR_BUSY, AGN_ERR_VERSION, AGN_ERR_ENGINE: the
 * server reports so. */
int agn_dev_accept_reply(struct agn_dev *dev, const uint8_t *bytes, size_t len);

enum { AGN_DEV_NO_CLASS = 0xFFFF };

struct agn_dev_prediction {
    uint16_t class_index;     /* AGN_DEV_NO_CLASS: there is none, see agn_dev_predict */
    uint8_t fused;            /* 1: local and remote, 0: local only */
    uint8_t channels_missing; /* as told by the server; 0 if not fused */
    const int16_t *logits;    /* classes x Q8.8, valid until the next frame; rounded if fused (the
                                 class is chosen before rounding) */
};

/* The frame's prediction; closes the frame for replies and packets. May be called again.
 * AGN_ERR_STATE before the last row. AGN_ERR_TIMEOUT: no good reply came, and the model has no Local NN;
 * `prediction` is filled in all the same. */
int agn_dev_predict(struct agn_dev *dev, struct agn_dev_prediction *prediction);

#ifdef __cplusplus
}
#endif

#endif
