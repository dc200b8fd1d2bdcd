/* A device's part of version 2: feature packets out, replies in. See agn_compact.h; agn_compact_serve.c has
 * the server's part, which no device links. */
#include "agn_compact.h"

#include "agn_compact_internal.h"
#include "agn_memory.h"

uint32_t agn__compact_crc(uint32_t model_id, const uint8_t *bytes, size_t len)
{
    uint8_t id[4];
    agn__store_u32(id, model_id);
    return agn_crc32(agn_crc32(0, id, sizeof id), bytes, len);
}

/* ---- feature packets -------------------------------------------------------------- */

static int is_packable(const struct agn_feature_packet *packet)
{
    if (packet->codec > AGN_CODEC_JPEG || packet->last > 1)
        return 0;
    if (packet->whole)
        return 1;
    if (packet->channel_count == 0 || packet->channel_first + packet->channel_count > 255)
        return 0;
    return !packet->band || (packet->channel_count == 1 && packet->row_count > 0 &&
                             packet->row_first + packet->row_count <= 255);
}

/* Returns what follows. */
static uint8_t *put_tile(const struct agn_feature_packet *packet, uint8_t *to)
{
    unsigned is_long = packet->index >= AGN__COMPACT_LONG_INDEX;
    *to = (uint8_t)(is_long ? (unsigned)AGN__COMPACT_LONG_INDEX : packet->index);
    *to |= (uint8_t)((packet->now ? AGN__COMPACT_NOW : 0) | (packet->last ? AGN__COMPACT_LAST : 0));
    to++;
    if (is_long)
        *to++ = (uint8_t)(packet->index - AGN__COMPACT_LONG_INDEX);
    *to++ = packet->channel_first;
    *to++ = packet->band ? 0 : packet->channel_count;
    if (packet->band) {
        *to++ = packet->row_first;
        *to++ = packet->row_count;
    }
    return to;
}

static size_t put_header(const struct agn_feature_packet *packet, uint8_t *header)
{
    uint8_t *to = header;
    unsigned units = packet->deadline_ms / AGN_COMPACT_DEADLINE_UNIT_MS;
    unsigned has_deadline = packet->deadline_ms > 0 && packet->deadline_ms <= AGN_COMPACT_MAX_DEADLINE_MS;
    *to++ = (uint8_t)(AGN_COMPACT_VERSION << AGN__COMPACT_VERSION_SHIFT |
                      (has_deadline ? AGN__COMPACT_DEADLINE : 0) | (packet->whole ? AGN__COMPACT_WHOLE : 0) |
                      packet->codec);
    agn__store_u16(to, agn_compact_handle(packet->model_id));
    to += 2;
    *to++ = (uint8_t)packet->frame;
    if (has_deadline)
        *to++ = (uint8_t)(units > 0 ? units : 1);
    if (!packet->whole)
        to = put_tile(packet, to);
    return (size_t)(to - header);
}

int agn_compact_pack(const struct agn_feature_packet *packet, uint8_t *dst, size_t cap)
{
    uint8_t header[AGN_COMPACT_MOST_HEADER];
    if (!is_packable(packet))
        return AGN_ERR_RANGE;
    size_t at = put_header(packet, header), length = at + packet->payload_bytes;
    if (packet->payload_bytes > AGN_FEATURE_MAX_PAYLOAD || length + AGN_WIRE_CRC_BYTES > cap)
        return AGN_ERR_SPACE;
    /* Downwards at most, and with no more than memcpy to rely on. */
    for (size_t i = 0; i < packet->payload_bytes; i++)
        dst[at + i] = packet->payload[i];
    memcpy(dst, header, at);
    agn__store_u32(dst + length, agn__compact_crc(packet->model_id, dst, length));
    return (int)(length + AGN_WIRE_CRC_BYTES);
}

/* ---- replies ----------------------------------------------------------------------- */

static int is_reply(const uint8_t *src, size_t len)
{
    return len >= AGN_COMPACT_REPLY_BYTES(0) && len <= AGN_COMPACT_REPLY_BYTES(AGN_WIRE_MAX_CLASSES) &&
           (src[0] & AGN__COMPACT_REPLY) != 0;
}

int agn_compact_reply_version(const uint8_t *src, size_t len, uint32_t model_id)
{
    if (!is_reply(src, len))
        return AGN_ERR_FORMAT;
    len -= AGN_WIRE_CRC_BYTES;
    if (agn__load_u32(src + len) != agn__compact_crc(model_id, src, len))
        return AGN_ERR_CHECKSUM;
    return src[0] >> AGN__COMPACT_VERSION_SHIFT & AGN__COMPACT_VERSION_MASK;
}

int agn_compact_reply_unpack(const uint8_t *src, size_t len, uint32_t model_id,
                             struct agn_reply_packet *reply)
{
    int version = agn_compact_reply_version(src, len, model_id);
    if (version != AGN_COMPACT_VERSION)
        return version < 0 ? version : AGN_ERR_VERSION;
    unsigned status = src[0] & AGN__COMPACT_STATUS_MASK,
             classes = (unsigned)(len - AGN_COMPACT_REPLY_BYTES(0));
    if (status >= AGN_REPLY_STATUS_COUNT || src[3] > AGN_COMPACT_MAX_EXPONENT ||
        (status == AGN_REPLY_OK) != (classes > 0))
        return AGN_ERR_RANGE;
    reply->model_id = model_id;
    reply->status = (uint8_t)status;
    reply->frame = src[1];
    reply->channels_missing = src[2];
    reply->exponent = src[3];
    reply->class_count = (uint16_t)classes;
    reply->logits = src + AGN_COMPACT_REPLY_HEADER_BYTES;
    return 0;
}

int16_t agn_compact_logit(const struct agn_reply_packet *reply, unsigned class_index)
{
    return (int16_t)((int8_t)reply->logits[class_index] * (1 << reply->exponent));
}
