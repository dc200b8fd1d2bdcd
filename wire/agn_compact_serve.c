/* A server's part of version 2: feature packets in, replies out. See agn_compact.h. */
#include "agn_compact.h"
#include "agn_compact_internal.h"
#include "agn_memory.h"

/* ---- whose packet is it? ------------------------------------------------------------ */

/* The register of the CRC as it was four bits before: whatever was shifted out at the bottom left its mark on
 * the four bits at the top, which no two of these constants share. */
static uint32_t step_back(uint32_t state)
{
    static const uint32_t marks[16] = {
        0x00000000, 0x1DB71064, 0x26D930AC, 0x3B6E20C8, 0x4DB26158, 0x5005713C, 0x6B6B51F4, 0x76DC4190,
        0x86D3D2D4, 0x9B64C2B0, 0xA00AE278, 0xBDBDF21C, 0xCB61B38C, 0xD6D6A3E8, 0xEDB88320, 0xF00F9344,
    };
    static const uint8_t shifted_out[16] = {0, 1, 3, 2, 6, 7, 5, 4, 13, 12, 14, 15, 11, 10, 8, 9};
    unsigned mark = state >> 28;
    return (state ^ marks[mark]) << 4 | shifted_out[mark];
}

int agn_compact_model(const uint8_t *src, size_t len, uint32_t *model_id)
{
    if (len < AGN_COMPACT_LEAST_OVERHEAD || len > AGN_WIRE_MAX_PACKET || (src[0] & AGN__COMPACT_REPLY))
        return AGN_ERR_FORMAT;
    size_t body = len - AGN_WIRE_CRC_BYTES;
    uint32_t state = ~agn__load_u32(src + body);
    while (body > 0)
        state = step_back(step_back(state)) ^ src[--body];
    for (int i = 0; i < 8; i++) /* the id, which went into the register all at once */
        state = step_back(state);
    state = ~state;
    if (agn_compact_handle(state) != agn__load_u16(src + 1))
        return AGN_ERR_CHECKSUM;
    *model_id = state;
    return 0;
}

/* ---- feature packets -------------------------------------------------------------- */

/* What is still to be read of a header. */
struct reader {
    const uint8_t *at, *end;
    int is_short;
};

static uint8_t take(struct reader *reader)
{
    if (reader->at == reader->end) {
        reader->is_short = 1;
        return 0;
    }
    return *reader->at++;
}

/* AGN_ERR_RANGE. */
static int take_tile(struct reader *reader, struct agn_feature_packet *packet)
{
    unsigned flags = take(reader), index = flags & AGN__COMPACT_LONG_INDEX;
    packet->last = (flags & AGN__COMPACT_LAST) != 0;
    packet->now = (flags & AGN__COMPACT_NOW) != 0;
    if (index == AGN__COMPACT_LONG_INDEX)
        index += take(reader);
    packet->index = (uint8_t)index;
    packet->channel_first = take(reader);
    packet->channel_count = take(reader);
    packet->band = packet->channel_count == 0;
    if (packet->band) {
        packet->channel_count = 1;
        packet->row_first = take(reader);
        packet->row_count = take(reader);
    }
    if (reader->is_short)
        return 0;
    return index <= 255 && packet->channel_first + packet->channel_count <= 255 &&
                   (!packet->band || (packet->row_count > 0 && packet->row_first + packet->row_count <= 255))
               ? 0
               : AGN_ERR_RANGE;
}

int agn_compact_unpack(const uint8_t *src, size_t len, struct agn_feature_packet *packet)
{
    struct agn_feature_packet read;
    memset(&read, 0, sizeof read);
    int status = agn_compact_model(src, len, &read.model_id);
    if (status < 0)
        return status;
    if ((src[0] >> AGN__COMPACT_VERSION_SHIFT & AGN__COMPACT_VERSION_MASK) != AGN_COMPACT_VERSION)
        return AGN_ERR_VERSION;
    struct reader reader = {src + 4, src + len - AGN_WIRE_CRC_BYTES, 0};
    read.version = AGN_COMPACT_VERSION;
    read.codec = src[0] & AGN__COMPACT_CODEC_MASK;
    read.frame = src[3];
    read.whole = read.last = (src[0] & AGN__COMPACT_WHOLE) != 0;
    if (src[0] & AGN__COMPACT_DEADLINE) {
        read.deadline_ms = (uint16_t)(take(&reader) * AGN_COMPACT_DEADLINE_UNIT_MS);
        if (read.deadline_ms == 0)
            return reader.is_short ? AGN_ERR_FORMAT : AGN_ERR_RANGE;
    }
    if (!read.whole)
        status = take_tile(&reader, &read);
    if (reader.is_short)
        return AGN_ERR_FORMAT;
    read.payload = reader.at;
    read.payload_bytes = (size_t)(reader.end - reader.at);
    if (status < 0 || read.payload_bytes > AGN_FEATURE_MAX_PAYLOAD)
        return AGN_ERR_RANGE;
    *packet = read;
    return 0;
}

int agn_compact_place(struct agn_feature_packet *packet, const struct agn_map_shape *shape)
{
    if (packet->band)
        return packet->row_count < shape->height ? 0 : AGN_ERR_RANGE;
    if (packet->whole) {
        packet->channel_first = 0;
        packet->channel_count = shape->channels;
    }
    packet->row_first = 0;
    packet->row_count = shape->height;
    return 0;
}

/* ---- replies ----------------------------------------------------------------------- */

static int32_t in_steps(int16_t logit, unsigned exponent)
{
    int32_t half = exponent > 0 ? 1 << (exponent - 1) : 0;
    return (logit + half) >> exponent; /* rounds down, as all of this code has it */
}

static unsigned exponent_of(const int16_t *logits, unsigned count)
{
    unsigned exponent = 0;
    for (unsigned i = 0; i < count; i++)
        while (exponent < AGN_COMPACT_MAX_EXPONENT &&
               (in_steps(logits[i], exponent) > INT8_MAX || in_steps(logits[i], exponent) < INT8_MIN))
            exponent++;
    return exponent;
}

int agn_compact_reply_pack(const struct agn_reply_packet *reply, const int16_t *logits, uint8_t *dst,
                           size_t cap)
{
    unsigned count = reply->class_count;
    if (reply->status >= AGN_REPLY_STATUS_COUNT || count > AGN_WIRE_MAX_CLASSES ||
        (reply->status == AGN_REPLY_OK) != (count > 0))
        return AGN_ERR_RANGE;
    if (AGN_COMPACT_REPLY_BYTES(count) > cap)
        return AGN_ERR_SPACE;
    unsigned exponent = exponent_of(logits, count);
    dst[0] =
        (uint8_t)(AGN__COMPACT_REPLY | AGN_COMPACT_VERSION << AGN__COMPACT_VERSION_SHIFT | reply->status);
    dst[1] = (uint8_t)reply->frame;
    dst[2] = reply->channels_missing;
    dst[3] = (uint8_t)exponent;
    for (unsigned i = 0; i < count; i++) {
        int32_t steps = in_steps(logits[i], exponent);
        dst[AGN_COMPACT_REPLY_HEADER_BYTES + i] = (uint8_t)(steps > INT8_MAX ? INT8_MAX : steps);
    }
    size_t body = AGN_COMPACT_REPLY_HEADER_BYTES + count;
    agn__store_u32(dst + body, agn__compact_crc(reply->model_id, dst, body));
    return (int)(body + AGN_WIRE_CRC_BYTES);
}
