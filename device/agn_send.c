/* Feature packets: as many whole channels as fit a datagram once encoded, or, where not even
 * one channel fits, as many of its rows.
 *
 * One pass of the preferred codec a packet: a copy of the encoder is kept at every place
 * where the packet may end, and the last copy that still fits is finished. Raw packing
 * needs no trial, its size is known; it wins when it holds more rows, or the same in fewer
 * bytes. So a packet always holds at least what raw packing would, which bounds the number
 * of packets, and a packet's trial ends at the first overflow, which bounds the work.
 *
 * A model that sends JPEG does so by whole rows of MCUs; one that does not fit goes as pixels, as far as its
 * end, so that JPEG goes on behind it.
 *
 * Under a budget a packet must know whether it is the last before the next one is tried. What raw packing
 * would take is known then, and the next packet holds at least that much. */
#include "agn_device_internal.h"

/* What a packet may hold: rows in planar order from the next unsent one. */
struct span {
    unsigned channel, row; /* the first */
    unsigned rows_left;    /* of the whole frame */
    unsigned height;
};

/* The longest packet of at most `rows` rows that makes a legal tile: a band of one channel, or whole
 * channels. */
static unsigned legal_rows(const struct span *span, unsigned rows)
{
    if (span->row > 0) {
        unsigned to_end = span->height - span->row;
        return rows < to_end ? rows : to_end;
    }
    if (rows > span->rows_left)
        rows = span->rows_left;
    /* height >= 1, as every opened model has it; NOLINTNEXTLINE(clang-analyzer-core.DivideZero) */
    return rows < span->height ? rows : rows - rows % span->height;
}

/* Row number `index` of the span; rows of all channels follow one another in memory, AGN_ROW_BYTES each. */
static const uint8_t *span_row(const struct agn_dev *dev, const struct span *span, unsigned index)
{
    return agn__symbol_row(dev, span->channel, span->row + index);
}

static struct agn_tile tile_of(const struct agn_dev *dev, const struct span *span, unsigned rows)
{
    int whole = span->row == 0 && rows >= span->height;
    struct agn_tile tile;
    tile.channel_first = (uint8_t)span->channel;
    tile.channel_count = (uint8_t)(whole ? rows / span->height : 1);
    tile.row_first = (uint8_t)span->row;
    tile.row_count = (uint8_t)(whole ? span->height : rows);
    tile.width = (uint8_t)dev->model.map_w;
    tile.contexts = &dev->model.contexts;
    return tile;
}

/* Encodes with the preferred codec, `step` rows at a time, at most `limit` of them, until it overflows;
 * `best` is the encoder at the last step that fits. Returns the rows up to there, 0 if there is none. */
static unsigned try_steps(struct agn_dev *dev, const struct span *span, unsigned step, unsigned limit,
                          struct agn_encoder *encoder, struct agn_encoder *best) AGN__NOINLINE;
static unsigned try_steps(struct agn_dev *dev, const struct span *span, unsigned step, unsigned limit,
                          struct agn_encoder *encoder, struct agn_encoder *best)
{
    unsigned rows = 0;
    while (rows < limit) {
        agn_encoder_put_rows(encoder, span_row(dev, span, rows), step);
        if (agn_encoder_size(encoder) < 0)
            break;
        rows += step;
        *best = *encoder;
    }
    return rows;
}

/* Whole channels, or where not even one fits, rows of it. */
static unsigned try_preferred(struct agn_dev *dev, const struct span *span, uint8_t *payload, size_t cap,
                              struct agn_encoder *best)
{
    struct agn_encoder encoder;
    unsigned limit = legal_rows(span, span->rows_left), codec = dev->model.codec, rows = 0;
    size_t state_bytes = (size_t)agn_codec_state_bytes((int)codec);
    struct agn_tile tile = tile_of(dev, span, limit);
    if (agn_encoder_begin(&encoder, (int)codec, &tile, dev->scratch, state_bytes, payload, cap) < 0)
        return 0;
    if (span->row == 0)
        rows = try_steps(dev, span, span->height, limit, &encoder, best);
    if (rows > 0 || span->height == 1)
        return rows;
    if (agn_encoder_begin(&encoder, (int)codec, &tile, dev->scratch, state_bytes, payload, cap) < 0)
        return 0;
    return try_steps(dev, span, 1, span->row == 0 ? span->height - 1 : limit, &encoder, best);
}

static int encode_raw(const struct agn_dev *dev, const struct span *span, unsigned rows, uint8_t *payload,
                      size_t cap)
{
    struct agn_encoder encoder;
    struct agn_tile tile = tile_of(dev, span, rows);
    int status = agn_encoder_begin(&encoder, AGN_CODEC_RAW3, &tile, NULL, 0, payload, cap);
    if (status < 0)
        return status;
    agn_encoder_put_rows(&encoder, span_row(dev, span, 0), rows);
    return agn_encoder_finish(&encoder);
}

/* Of a model that sends JPEG: rows of MCUs, or pixels of one that does not fit. */
static int fill_jpeg(const struct agn_dev *dev, const struct span *span, uint8_t *payload, size_t cap,
                     unsigned *rows, uint8_t *codec)
{
    unsigned image_rows = 0, band = agn__band_rows(&dev->model);
    int size = span->row > 0 ? 0 : agn__jpeg_payload(dev, span->channel, payload, cap, &image_rows);
    *rows = image_rows * span->height;
    *codec = AGN_CODEC_JPEG;
    if (size != 0)
        return size;
    unsigned to_end = (band - span->channel % band) * span->height - span->row;
    unsigned fitting = (unsigned)cap * 8u / (AGN_WIRE_SYMBOL_BITS * (unsigned)dev->model.map_w);
    *rows = legal_rows(span, fitting < to_end ? fitting : to_end);
    *codec = AGN_CODEC_RAW3;
    return *rows == 0 ? AGN_ERR_SPACE : encode_raw(dev, span, *rows, payload, cap);
}

/* Fills the payload; sets the codec and the number of rows taken. Returns the payload's length. */
static int fill_payload(struct agn_dev *dev, const struct span *span, uint8_t *payload, size_t cap,
                        unsigned *rows, uint8_t *codec)
{
    if (agn__sends_jpeg(&dev->model))
        return fill_jpeg(dev, span, payload, cap, rows, codec);
    unsigned row_bits = AGN_WIRE_SYMBOL_BITS * (unsigned)dev->model.map_w;
    unsigned raw_rows = legal_rows(span, (unsigned)cap * 8u / row_bits);
    int raw_size = (int)((raw_rows * row_bits + 7) / 8);
    struct agn_encoder best;
    unsigned best_rows = 0;
    if (dev->model.codec != AGN_CODEC_RAW3)
        best_rows = try_preferred(dev, span, payload, cap, &best);
    if (best_rows > raw_rows ||
        (best_rows > 0 && best_rows == raw_rows && agn_encoder_size(&best) <= raw_size)) {
        *rows = best_rows;
        *codec = dev->model.codec;
        return agn_encoder_finish(&best);
    }
    if (raw_rows == 0)
        return AGN_ERR_SPACE;
    *rows = raw_rows;
    *codec = AGN_CODEC_RAW3;
    return encode_raw(dev, span, raw_rows, payload, cap);
}

/* ---- the budget ------------------------------------------------------------------ */

/* Bytes that the next packet may have when so many are spent. */
static size_t packet_room(const struct agn_dev *dev, uint32_t spent, size_t cap)
{
    if (dev->budget == AGN_DEV_NO_BUDGET)
        return cap;
    uint32_t left = dev->budget > spent ? dev->budget - spent : 0;
    if (left <= dev->extra_bytes)
        return 0;
    left -= dev->extra_bytes;
    return cap < left ? cap : (size_t)left;
}

/* Room for that many rows of symbols, packed raw? */
static int holds_rows(const struct agn_dev *dev, size_t room, unsigned rows)
{
    uint32_t bits = (uint32_t)rows * AGN_WIRE_SYMBOL_BITS * dev->model.map_w;
    return room >= agn__packet_overhead(dev) + (bits + 7) / 8;
}

/* Whether a packet of `length` bytes that ends before `row` of a channel is the last one: the next is made
 * if it surely holds the rest of that channel, or as much as any packet. */
static int is_last(const struct agn_dev *dev, unsigned row, size_t length, size_t cap)
{
    size_t room = packet_room(dev, dev->spent + (uint32_t)length + dev->extra_bytes, cap);
    return room < cap && !holds_rows(dev, room, dev->model.map_h - row);
}

void agn_dev_set_budget(struct agn_dev *dev, uint32_t bytes, uint16_t extra_bytes)
{
    dev->budget = bytes;
    dev->extra_bytes = extra_bytes;
}

uint32_t agn_dev_least_bytes(const struct agn_dev *dev)
{
    return (uint32_t)agn__packet_overhead(dev) + (AGN_WIRE_SYMBOL_BITS * (uint32_t)dev->model.map_w + 7) / 8 +
           dev->extra_bytes;
}

uint32_t agn_dev_bytes_through(const struct agn_dev *dev)
{
    uint32_t arrived = (uint32_t)(dev->model.map_c - dev->model.local_c) - dev->channels_missing;
    if (!dev->fused || arrived >= dev->made_channels)
        return dev->made;
    return dev->made / dev->made_channels * arrived;
}

/* ---- packets ----------------------------------------------------------------------- */

/* What only packets of version 2 say; and none of theirs holds more than one of version 1, which is as long
 * as its header. */
#if AGN_WITH_PROTOCOL_2
static size_t payload_room(size_t room)
{
    return room < AGN_FEATURE_MAX_PAYLOAD ? room : (size_t)AGN_FEATURE_MAX_PAYLOAD;
}

static void describe(const struct agn_dev *dev, const struct span *span, unsigned rows,
                     struct agn_feature_packet *header)
{
    header->band = header->row_count < span->height;
    header->whole = rows == span->rows_left && span->channel == 0 && !header->band;
    header->now = dev->asks_now;
}
#else
static size_t payload_room(size_t room)
{
    return room;
}

static void describe(const struct agn_dev *dev, const struct span *span, unsigned rows,
                     struct agn_feature_packet *header)
{
    (void)dev, (void)span, (void)rows, (void)header;
}
#endif

/* Moves on behind a packet that was made. */
static void advance(struct agn_dev *dev, const struct span *span, unsigned rows, int last, int length)
{
    unsigned next = span->row + rows;
    dev->packet_count++;
    dev->spent += (uint32_t)length + dev->extra_bytes;
    dev->next_channel = (uint8_t)(span->channel + next / span->height);
    dev->next_row = (uint8_t)(next % span->height);
    if (dev->next_channel > dev->made_channels)
        dev->made_channels = dev->next_channel;
    if (dev->spent > dev->made)
        dev->made = dev->spent;
    if (last)
        dev->next_channel = (uint8_t)(dev->model.map_c - dev->model.local_c);
}

int agn_dev_next_packet(struct agn_dev *dev, uint8_t *packet, size_t cap)
{
    const struct agn_dev_model *model = &dev->model;
    unsigned sent = (unsigned)(model->map_c - model->local_c);
    if (dev->phase != AGN__PHASE_READY)
        return AGN_ERR_STATE;
    if (dev->next_channel >= sent || agn__left_early(dev))
        return 0;
    if (cap > AGN_WIRE_MAX_PACKET)
        cap = AGN_WIRE_MAX_PACKET;
    size_t overhead = agn__packet_overhead(dev);
    if (cap <= overhead || dev->packet_count > 255)
        return AGN_ERR_SPACE;
    size_t room = packet_room(dev, dev->spent, cap);
    if (room < cap && !holds_rows(dev, room, 1))
        return 0;

    struct span span = {dev->next_channel, dev->next_row, 0, model->map_h};
    span.rows_left = (sent - span.channel) * span.height - span.row;
    struct agn_feature_packet header;
    memset(&header, 0, sizeof header);
    unsigned rows = 0;
    uint8_t *payload = packet + overhead - AGN_WIRE_CRC_BYTES;
    int size = fill_payload(dev, &span, payload, payload_room(room - overhead), &rows, &header.codec);
    if (size < 0)
        return size;
    struct agn_tile tile = tile_of(dev, &span, rows);
    int last =
        rows == span.rows_left || is_last(dev, (span.row + rows) % span.height, overhead + (size_t)size, cap);
    header.model_id = model->model_id;
    header.frame = dev->frame;
    header.index = (uint8_t)dev->packet_count;
    header.last = (uint8_t)last;
    header.channel_first = tile.channel_first;
    header.channel_count = tile.channel_count;
    header.row_first = tile.row_first;
    header.row_count = tile.row_count;
    header.deadline_ms = dev->deadline_ms;
    describe(dev, &span, rows, &header);
    header.payload = payload;
    header.payload_bytes = (size_t)size;
    int length = AGN__PACK(dev)(&header, packet, room);
    if (length < 0)
        return length;
    advance(dev, &span, rows, last, length);
    return length;
}

int agn_dev_packets_again(struct agn_dev *dev)
{
    if (dev->phase != AGN__PHASE_READY)
        return AGN_ERR_STATE;
    dev->packet_count = 0;
    dev->spent = 0;
    dev->next_channel = dev->next_row = 0;
    return 0;
}

int agn_dev_symbol(const struct agn_dev *dev, unsigned channel, unsigned row, unsigned column)
{
    const struct agn_dev_model *model = &dev->model;
    if (dev->phase < AGN__PHASE_READY)
        return AGN_ERR_STATE;
    if (channel >= (unsigned)(model->map_c - model->local_c) || row >= model->map_h || column >= model->map_w)
        return AGN_ERR_ARG;
    const uint8_t *packed = agn__symbol_row(dev, channel, row);
    unsigned bit = column * AGN_WIRE_SYMBOL_BITS;
    unsigned word = packed[bit / 8];
    if (bit % 8 > 8 - AGN_WIRE_SYMBOL_BITS)
        word |= (unsigned)packed[bit / 8 + 1] << 8;
    return (int)(word >> bit % 8 & (AGN_WIRE_LEVELS - 1));
}
