/* Feature and reply packets: bytes in, bytes out, checksum, fusion's argmax.
 * What a tile's payload means is the codecs' business (agn_codec.c). */
#include "agn_memory.h"
#include "agn_wire.h"

enum {
    REPLY_BIT = 0x80, /* in the version byte: a reply, so that an echoed packet is not taken for one */
    FLAG_LAST = 0x01,
};

uint32_t agn_crc32(uint32_t crc, const void *data, size_t len)
{
    /* One entry a nibble: 64 bytes of flash, 2 look-ups a byte. */
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    const uint8_t *bytes = (const uint8_t *)data;
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static void seal(uint8_t *packet, size_t body)
{
    agn__store_u32(packet + body, agn_crc32(0, packet, body));
}

static int is_sealed(const uint8_t *packet, size_t len)
{
    size_t body = len - AGN_WIRE_CRC_BYTES;
    return agn__load_u32(packet + body) == agn_crc32(0, packet, body);
}

/* ---- feature packets -------------------------------------------------------------- */

static int feature_check(const struct agn_feature_packet *packet)
{
    if (packet->codec > AGN_CODEC_JPEG)
        return AGN_ERR_UNSUPPORTED;
    if (packet->channel_count == 0 || packet->row_count == 0 || packet->last > 1)
        return AGN_ERR_RANGE;
    if (packet->channel_first + packet->channel_count > 255 || packet->row_first + packet->row_count > 255)
        return AGN_ERR_RANGE;
    return 0;
}

int agn_feature_pack(const struct agn_feature_packet *packet, uint8_t *dst, size_t cap)
{
    int status = feature_check(packet);
    if (status < 0)
        return status == AGN_ERR_UNSUPPORTED ? AGN_ERR_RANGE : status;
    size_t length = packet->payload_bytes + AGN_FEATURE_OVERHEAD_BYTES;
    if (packet->payload_bytes > AGN_FEATURE_MAX_PAYLOAD || length > cap)
        return AGN_ERR_SPACE;

    if (packet->payload_bytes > 0 && packet->payload != dst + AGN_FEATURE_HEADER_BYTES)
        memcpy(dst + AGN_FEATURE_HEADER_BYTES, packet->payload, packet->payload_bytes);
    dst[0] = AGN_WIRE_VERSION;
    dst[1] = packet->codec;
    agn__store_u32(dst + 2, packet->model_id);
    agn__store_u16(dst + 6, packet->frame);
    dst[8] = packet->index;
    dst[9] = packet->last ? FLAG_LAST : 0;
    dst[10] = packet->channel_first;
    dst[11] = packet->channel_count;
    dst[12] = packet->row_first;
    dst[13] = packet->row_count;
    agn__store_u16(dst + 14, packet->deadline_ms);
    seal(dst, length - AGN_WIRE_CRC_BYTES);
    return (int)length;
}

int agn_feature_unpack(const uint8_t *src, size_t len, struct agn_feature_packet *packet)
{
    struct agn_feature_packet read;
    if (len < AGN_FEATURE_OVERHEAD_BYTES || len > AGN_WIRE_MAX_PACKET || (src[0] & REPLY_BIT))
        return AGN_ERR_FORMAT;
    if (src[0] != AGN_WIRE_VERSION)
        return AGN_ERR_VERSION;
    if (!is_sealed(src, len))
        return AGN_ERR_CHECKSUM;
    read.codec = src[1];
    read.model_id = agn__load_u32(src + 2);
    read.frame = agn__load_u16(src + 6);
    read.index = src[8];
    read.last = src[9]; /* unknown flags make it > 1, which the check refuses */
    read.channel_first = src[10];
    read.channel_count = src[11];
    read.row_first = src[12];
    read.row_count = src[13];
    read.deadline_ms = agn__load_u16(src + 14);
    read.payload = src + AGN_FEATURE_HEADER_BYTES;
    read.payload_bytes = len - AGN_FEATURE_OVERHEAD_BYTES;
    read.version = AGN_WIRE_VERSION;
    read.whole = read.band = read.now = 0;
    int status = feature_check(&read);
    if (status < 0)
        return status;
    *packet = read;
    return 0;
}

int agn_feature_decode(const struct agn_feature_packet *packet, const struct agn_map_shape *shape,
                       const struct agn_context_model *contexts, uint8_t *map)
{
    int is_band = packet->row_first != 0 || packet->row_count != shape->height;
    if (packet->channel_first + packet->channel_count > shape->channels ||
        packet->row_first + packet->row_count > shape->height || (is_band && packet->channel_count != 1))
        return AGN_ERR_RANGE;
    if (agn_codec_needs_contexts(packet->codec) && (!contexts || contexts->channels != shape->channels))
        return AGN_ERR_UNSUPPORTED;
    struct agn_tile tile = {packet->channel_first, packet->channel_count, packet->row_first,
                            packet->row_count,     shape->width,          contexts};
    size_t first_row = (size_t)packet->channel_first * shape->height + packet->row_first;
    size_t count = (size_t)packet->channel_count * packet->row_count * shape->width;
    return agn_decode(packet->codec, &tile, packet->payload, packet->payload_bytes,
                      map + first_row * shape->width, count);
}

/* ---- reply packets ------------------------------------------------------------------ */

const char *agn_reply_status_text(int status)
{
    switch (status) {
#define REPLY_CASE(name, value, text)                                                                        \
    case name:                                                                                               \
        return text;
        AGN_REPLY_STATUS_TABLE(REPLY_CASE)
#undef REPLY_CASE
    default:
        return "unknown reply status";
    }
}

static int reply_check(const struct agn_reply_packet *reply)
{
    if (reply->status >= AGN_REPLY_STATUS_COUNT || reply->class_count > AGN_WIRE_MAX_CLASSES)
        return AGN_ERR_RANGE;
    return (reply->status == AGN_REPLY_OK) == (reply->class_count > 0) ? 0 : AGN_ERR_RANGE;
}

int agn_reply_pack(const struct agn_reply_packet *reply, const int16_t *logits, uint8_t *dst, size_t cap)
{
    int status = reply_check(reply);
    if (status < 0)
        return status;
    size_t length = AGN_REPLY_BYTES(reply->class_count);
    if (length > cap)
        return AGN_ERR_SPACE;
    dst[0] = AGN_WIRE_VERSION | REPLY_BIT;
    dst[1] = reply->status;
    agn__store_u32(dst + 2, reply->model_id);
    agn__store_u16(dst + 6, reply->frame);
    agn__store_u16(dst + 8, reply->class_count);
    dst[10] = reply->channels_missing;
    dst[11] = 0;
    for (unsigned i = 0; i < reply->class_count; i++)
        agn__store_u16(dst + AGN_REPLY_HEADER_BYTES + 2 * i, (uint16_t)logits[i]);
    seal(dst, length - AGN_WIRE_CRC_BYTES);
    return (int)length;
}

int agn_reply_unpack(const uint8_t *src, size_t len, struct agn_reply_packet *reply)
{
    struct agn_reply_packet read;
    if (len < AGN_REPLY_BYTES(0) || len > AGN_WIRE_MAX_REPLY || !(src[0] & REPLY_BIT))
        return AGN_ERR_FORMAT;
    if (src[0] != (AGN_WIRE_VERSION | REPLY_BIT))
        return AGN_ERR_VERSION;
    if (!is_sealed(src, len))
        return AGN_ERR_CHECKSUM;
    read.status = src[1];
    read.model_id = agn__load_u32(src + 2);
    read.frame = agn__load_u16(src + 6);
    read.class_count = agn__load_u16(src + 8);
    read.channels_missing = src[10];
    read.logits = src + AGN_REPLY_HEADER_BYTES;
    read.exponent = 0;
    int status = reply_check(&read);
    if (status < 0)
        return status;
    if (src[11] != 0)
        return AGN_ERR_RANGE;
    if (len != AGN_REPLY_BYTES(read.class_count))
        return AGN_ERR_FORMAT;
    *reply = read;
    return 0;
}

int agn_reply_version(const uint8_t *src, size_t len)
{
    if (len < AGN_REPLY_BYTES(0) || len > AGN_WIRE_MAX_REPLY || !(src[0] & REPLY_BIT))
        return AGN_ERR_FORMAT;
    return is_sealed(src, len) ? src[0] & ~REPLY_BIT : AGN_ERR_CHECKSUM;
}

int16_t agn_reply_logit(const struct agn_reply_packet *reply, unsigned class_index)
{
    return agn__load_s16(reply->logits + 2 * class_index);
}

/* ---- argmax -------------------------------------------------------------------------- */

unsigned agn_argmax_s16(const int16_t *values, unsigned count)
{
    unsigned best = 0;
    for (unsigned i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

unsigned agn_argmax_s32(const int32_t *values, unsigned count)
{
    unsigned best = 0;
    for (unsigned i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}
