/* Seams between the files of device/.
 *
 * agn_model.c reads and checks models, agn_kernel_*.c computes rows, agn_extract.c streams
 * rows through the layers, agn_local.c is the Local NN, agn_send.c makes packets, agn_device.c keeps a
 * frame's life. */
#ifndef AGN_DEVICE_INTERNAL_H
#define AGN_DEVICE_INTERNAL_H

#include "agn_compact.h"
#include "agn_device.h"
#include "agn_kernel.h"
#include "agn_layout.h"
#include "agn_memory.h"
#include "agn_parts.h"

/* What the integer rules rest on, and no standard promises. */
typedef char agn__shifts_keep_the_sign[((int32_t)-2 >> 1 == -1 && (int64_t)-2 >> 1 == -1) ? 1 : -1];
typedef char agn__casts_take_the_low_bits[((int32_t)UINT32_MAX == -1 && (int16_t)65535 == -1) ? 1 : -1];

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
/* The same for networks with branches, whose layers are of more kinds. `panel`: memory at a word address of
 * agn__panel_bytes, for windows of four places side by side. */
void agn__graph_conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink, int16_t *panel);
/* All that a row of a full convolution is made for, in one go: values of channels [0, kept), symbols of
 * [first, end), kept <= end. Returns 0 where no kernel does that. */
struct agn__sent {
    unsigned kept, first, end;
    struct agn__sink values, symbols;
};
#if AGN_KERNEL_DSP
int agn__graph_conv_sent(const struct agn_dev_layer *layer, const int16_t *const *rows,
                         const struct agn__sent *sent, int16_t *panel);
#else
static inline int agn__graph_conv_sent(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                       const struct agn__sent *sent, int16_t *panel)
{
    (void)layer, (void)rows, (void)sent, (void)panel;
    return 0;
}
#endif
static inline uint32_t agn__panel_bytes(const struct agn_dev_layer *layer)
{
    return 32u * (uint32_t)agn__layer_groups(layer) * layer->kernel_h;
}
void agn__graph_dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink);
/* Full convolutions of pixels as they are, patch by patch, where AGN_KERNEL_DSP is 1
 * (agn_kernel_graph_bytes.c). What is prepared of one: this, and behind it the weights. */
struct agn__bytes {
    uint32_t patch, row;   /* bytes of a patch; of a row of it, a multiple of 4 */
    uint16_t pixels, step; /* bytes of such a row that are pixels; from patch to patch in the image */
    uint16_t places, rows; /* patches side by side; rows of each */
};
#if AGN_KERNEL_DSP
/* Bytes of memory, at a word address, for the patches of a row of outputs, which take `kept`, and what is
 * prepared behind them. 0: not for this layer. */
uint32_t agn__bytes_needed(const struct agn_dev_layer *layer, uint32_t *kept);
void agn__bytes_prepare(const struct agn_dev_layer *layer, struct agn__bytes *bytes);
/* Keeps a row of pixels, at the memory's begin and for row y of the patches y * row behind it. */
void agn__bytes_keep(const struct agn__bytes *bytes, const uint8_t *pixels, uint8_t *to);
/* All output channels of a row, as values. */
void agn__bytes_conv_row(const struct agn_dev_layer *layer, const struct agn__bytes *bytes,
                         const uint8_t *patches, const struct agn__sink *sink);
#else
static inline uint32_t agn__bytes_needed(const struct agn_dev_layer *layer, uint32_t *kept)
{
    (void)layer, (void)kept;
    return 0;
}
static inline void agn__bytes_prepare(const struct agn_dev_layer *layer, struct agn__bytes *bytes)
{
    (void)layer, (void)bytes;
}
static inline void agn__bytes_keep(const struct agn__bytes *bytes, const uint8_t *pixels, uint8_t *to)
{
    (void)bytes, (void)pixels, (void)to;
}
static inline void agn__bytes_conv_row(const struct agn_dev_layer *layer, const struct agn__bytes *bytes,
                                       const uint8_t *patches, const struct agn__sink *sink)
{
    (void)layer, (void)bytes, (void)patches, (void)sink;
}
#endif
/* The reference, and for layers that faster kernels leave out. */
void agn__conv_row_plain(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink);
void agn__dwconv_row_plain(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink);
/* A row of pixels, less 128, to the first layer's input row; `to` is that of x = 0, c = 0. */
void agn__pixel_row(const struct agn_dev_layer *layer, const uint8_t *pixels, int16_t *to);
/* `count` values from 8 bits to 16, and back: they fit. */
void agn__widen(const int8_t *from, int16_t *to, size_t count);
void agn__narrow(const int16_t *from, int8_t *to, size_t count);
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

/* Networks with branches (agn_graph.c), in place of agn_extract.c and agn_local.c. */
#if AGN_WITH_GRAPHS
static inline int agn__is_graph(const struct agn_dev_model *model)
{
    return model->graph.layers != NULL;
}
static inline int agn__left_early(const struct agn_dev *dev)
{
    return dev->left_early;
}
static inline int agn__sends_values(const struct agn_dev_model *model)
{
    return model->graph.value_bits > 0;
}
/* Reads and checks what version 4 has behind the header. */
int agn__graph_read(struct agn_dev_model *model, const uint8_t *data, size_t body);
/* Cuts besides the header's sender, in a model that was read. */
unsigned agn__further_cuts(const struct agn_dev_model *model);
/* Makes the model, which has further cuts, the view of its file that ends at one of them; the last is the
 * header's sender: all of the file. */
void agn__graph_cut(struct agn_dev_model *model, unsigned cut);
/* Does a cut go by this id? */
int agn__is_cut(const struct agn_dev_model *model, uint32_t model_id);
/* Memory and a layer's figures, agn_dev_memory and agn_dev_layer_info. */
void agn__graph_memory(const struct agn_dev_model *model, struct agn_dev_memory *memory);
void agn__graph_layer_info(const struct agn_dev_model *model, unsigned index,
                           struct agn_dev_layer_info *info);
void agn__graph_begin(struct agn_dev *dev);
void agn__graph_row(struct agn_dev *dev, const uint8_t *pixels);
void agn__graph_end(struct agn_dev *dev);
#else
static inline int agn__is_graph(const struct agn_dev_model *model)
{
    (void)model;
    return 0;
}
static inline int agn__left_early(const struct agn_dev *dev)
{
    (void)dev;
    return 0;
}
static inline int agn__sends_values(const struct agn_dev_model *model)
{
    (void)model;
    return 0;
}
static inline unsigned agn__further_cuts(const struct agn_dev_model *model)
{
    (void)model;
    return 0;
}
static inline void agn__graph_cut(struct agn_dev_model *model, unsigned cut)
{
    (void)model, (void)cut;
}
static inline int agn__is_cut(const struct agn_dev_model *model, uint32_t model_id)
{
    (void)model, (void)model_id;
    return 0;
}
static inline int agn__graph_read(struct agn_dev_model *model, const uint8_t *data, size_t body)
{
    (void)model, (void)data, (void)body;
    return AGN_ERR_VERSION;
}
static inline void agn__graph_memory(const struct agn_dev_model *model, struct agn_dev_memory *memory)
{
    (void)model, (void)memory;
}
static inline void agn__graph_layer_info(const struct agn_dev_model *model, unsigned index,
                                         struct agn_dev_layer_info *info)
{
    (void)model, (void)index, (void)info;
}
static inline void agn__graph_begin(struct agn_dev *dev)
{
    (void)dev;
}
static inline void agn__graph_row(struct agn_dev *dev, const uint8_t *pixels)
{
    (void)dev, (void)pixels;
}
static inline void agn__graph_end(struct agn_dev *dev)
{
    (void)dev;
}
#endif

/* How far the best of some logits is above the second best; and agn_dev_margin of those that are there. */
int32_t agn__margin_of(const int16_t *logits, unsigned classes);
int32_t agn__margin(const struct agn_dev *dev);

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

/* ---- versions of the protocol (agn_protocol.c) ---------------------------------------- */

/* How packets are written and replies read. A device calls by pointers where the build has both versions, so
 * that a program that never chooses one does not hold it. */
struct agn__protocol {
    int (*pack)(const struct agn_feature_packet *packet, uint8_t *dst, size_t cap);
    int (*read_reply)(const uint8_t *src, size_t len, uint32_t model_id, struct agn_reply_packet *reply);
    int16_t (*logit)(const struct agn_reply_packet *reply, unsigned class_index);
    uint16_t frame_mask; /* bits of a frame's number that are sent */
    uint8_t version;
    uint8_t header_bytes; /* of a packet, at most: where its payload is made */
};
extern const struct agn__protocol agn__protocol_1, agn__protocol_2;

/* With one version only the calls are direct. */
#if AGN_WITH_PROTOCOL_1 && AGN_WITH_PROTOCOL_2
#define AGN__FIRST_PROTOCOL                     (&agn__protocol_1)
#define AGN__BY_PROTOCOL(dev, member, one, two) ((dev)->protocol->member)
#elif AGN_WITH_PROTOCOL_2
#define AGN__FIRST_PROTOCOL                     (&agn__protocol_2)
#define AGN__BY_PROTOCOL(dev, member, one, two) ((void)(dev), two)
#else
#define AGN__FIRST_PROTOCOL                     NULL
#define AGN__BY_PROTOCOL(dev, member, one, two) ((void)(dev), one)
#endif

int agn__read_reply_1(const uint8_t *src, size_t len, uint32_t model_id, struct agn_reply_packet *reply);

static inline unsigned agn__version(const struct agn_dev *dev)
{
    return AGN__BY_PROTOCOL(dev, version, AGN_WIRE_VERSION, AGN_COMPACT_VERSION);
}
static inline unsigned agn__frame_mask(const struct agn_dev *dev)
{
    return AGN__BY_PROTOCOL(dev, frame_mask, 0xFFFFu, 0xFFu);
}
static inline size_t agn__packet_overhead(const struct agn_dev *dev)
{
    return (size_t)AGN__BY_PROTOCOL(dev, header_bytes, AGN_FEATURE_HEADER_BYTES, AGN_COMPACT_MOST_HEADER) +
           AGN_WIRE_CRC_BYTES;
}
#define AGN__PACK(dev)       AGN__BY_PROTOCOL(dev, pack, agn_feature_pack, agn_compact_pack)
#define AGN__READ_REPLY(dev) AGN__BY_PROTOCOL(dev, read_reply, agn__read_reply_1, agn_compact_reply_unpack)
#define AGN__LOGIT(dev)      AGN__BY_PROTOCOL(dev, logit, agn_reply_logit, agn_compact_logit)

/* ---- JPEG (agn_jpeg_send.c), where the build has it ------------------------------------ */

#if AGN_WITH_JPEG
#include "agn_jpeg.h"
static inline int agn__sends_jpeg(const struct agn_dev_model *model)
{
    return model->codec == AGN_CODEC_JPEG && model->layer_count == 0;
}
static inline int agn__quality_is_valid(const struct agn_dev_model *model, unsigned quality)
{
    return agn__sends_jpeg(model) ? quality >= 1 && quality <= AGN_JPEG_MAX_QUALITY : quality == 0;
}
static inline uint32_t agn__encoder_bytes(const struct agn_dev_model *model)
{
    return agn__sends_jpeg(model) ? AGN_DEV_JPEG_BYTES(model->input_w, model->input_c)
                                  : (uint32_t)agn_codec_state_bytes(model->codec);
}
/* Image rows of a row of MCUs. */
static inline unsigned agn__band_rows(const struct agn_dev_model *model)
{
    return model->input_c == 1 ? 8 : 16;
}
/* May an image of this shape be sent so? AGN_ERR_RANGE. */
int agn__jpeg_check(const struct agn_dev_model *model);
/* Rows of the image from `row` on, as many as fit `cap` as JPEG: the payload's length, and how many rows. 0:
 * `row` begins no row of MCUs, or that one is too long, so that its pixels go as they are. */
int agn__jpeg_payload(const struct agn_dev *dev, unsigned row, uint8_t *payload, size_t cap, unsigned *rows);
#else
static inline int agn__sends_jpeg(const struct agn_dev_model *model)
{
    (void)model;
    return 0;
}
static inline int agn__quality_is_valid(const struct agn_dev_model *model, unsigned quality)
{
    (void)model;
    return quality == 0;
}
static inline uint32_t agn__encoder_bytes(const struct agn_dev_model *model)
{
    return (uint32_t)agn_codec_state_bytes(model->codec);
}
static inline unsigned agn__band_rows(const struct agn_dev_model *model)
{
    (void)model;
    return 1;
}
static inline int agn__jpeg_check(const struct agn_dev_model *model)
{
    (void)model;
    return AGN_ERR_UNSUPPORTED;
}
static inline int agn__jpeg_payload(const struct agn_dev *dev, unsigned row, uint8_t *payload, size_t cap,
                                    unsigned *rows)
{
    (void)dev, (void)row, (void)payload, (void)cap, (void)rows;
    return 0;
}
#endif

#endif
