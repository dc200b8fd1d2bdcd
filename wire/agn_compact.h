/* Version 2 of the packets: the same content as agn_wire.h's, in fewer bytes. docs/PROTOCOL.md shows them.
 *
 * What is left out is still checked. The model's id is not sent but for 16 bits of it, its handle; the
 * checksum covers the whole id as if it stood before the packet. A server finds the id from the checksum
 * (agn_compact_model), a device knows its own. Both versions use the structs of agn_wire.h; the packets of
 * one are no packets of the other. Freestanding C99, as all of wire/. */
#ifndef AGN_COMPACT_H
#define AGN_COMPACT_H

#include "agn_wire.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AGN_COMPACT_VERSION = 2,
    /* Header and checksum: of a packet that is a whole frame without a deadline, and at most. A payload is no
     * longer than one of version 1. */
    AGN_COMPACT_LEAST_OVERHEAD = 8,
    AGN_COMPACT_MOST_HEADER = 11,
    AGN_COMPACT_MOST_OVERHEAD = AGN_COMPACT_MOST_HEADER + AGN_WIRE_CRC_BYTES,
    AGN_COMPACT_DEADLINE_UNIT_MS = 8,
    AGN_COMPACT_MAX_DEADLINE_MS = 255 * AGN_COMPACT_DEADLINE_UNIT_MS,
    AGN_COMPACT_REPLY_HEADER_BYTES = 4,
    AGN_COMPACT_MAX_EXPONENT = 8,
};

#define AGN_COMPACT_REPLY_BYTES(class_count)                                                                 \
    (AGN_COMPACT_REPLY_HEADER_BYTES + (size_t)(class_count) + AGN_WIRE_CRC_BYTES)

/* What of a model's id a packet holds. */
static inline uint16_t agn_compact_handle(uint32_t model_id)
{
    return (uint16_t)(model_id ^ model_id >> 16);
}

/* ---- device to server --------------------------------------------------------------- */

/* Writes a packet; returns its length. Of ->frame the low 8 bits are sent. ->deadline_ms is rounded down to
 * units of 8 ms, but not to none; a deadline above AGN_COMPACT_MAX_DEADLINE_MS is not stated. With ->whole
 * index, tile and last are not written; without ->band the rows are not. `payload` may stand in dst, at
 * AGN_COMPACT_MOST_HEADER or behind; otherwise it must not overlap dst. AGN_ERR_SPACE, AGN_ERR_RANGE as of
 * agn_feature_pack; AGN_ERR_RANGE also for a band of several channels. */
int agn_compact_pack(const struct agn_feature_packet *packet, uint8_t *dst, size_t cap);

/* The id of the model that a packet's checksum was made with. AGN_ERR_FORMAT: no packet's length, or a reply;
 * AGN_ERR_CHECKSUM: it does not have the packet's handle, so that the packet is damaged. A damaged packet
 * passes once in 65536 times, with an id that is as good as random: one that nobody knows. Holds for packets
 * of later versions as well. `model_id` is untouched on failure. */
int agn_compact_model(const uint8_t *src, size_t len, uint32_t *model_id);

/* Reads a packet; ->payload points into src, ->frame holds 8 bits. `packet` is untouched on failure. The
 * caller must know ->model_id, or the packet is damaged or for somebody else; and must place it. Errors, in
 * this order: those of agn_compact_model; AGN_ERR_VERSION; AGN_ERR_FORMAT: shorter than its fields;
 * AGN_ERR_RANGE. */
int agn_compact_unpack(const uint8_t *src, size_t len, struct agn_feature_packet *packet);

/* Fills in what an unpacked packet leaves to the map: the tile of a whole one, the rows of whole channels.
 * AGN_ERR_RANGE: a band of all rows (whole channels are not written so); nothing has changed then. What lies
 * outside of the map is agn_feature_decode's finding. */
int agn_compact_place(struct agn_feature_packet *packet, const struct agn_map_shape *shape);

/* ---- server to device --------------------------------------------------------------- */

/* Writes a reply; returns its length. The logits, Q8.8, are rounded to the nearest step of 2^exponent, halves
 * up, the smallest step with which no class leaves -128..127; with the largest one they saturate. Errors as
 * of agn_reply_pack; ->frame as above, ->exponent is not read. */
int agn_compact_reply_pack(const struct agn_reply_packet *reply, const int16_t *logits, uint8_t *dst,
                           size_t cap);

/* Reads a reply to a device of that model: ->logits are class_count x int8, see agn_compact_logit. `reply` is
 * untouched on failure. AGN_ERR_FORMAT: no reply's length, or a feature packet; AGN_ERR_CHECKSUM: damaged, or
 * of another model; AGN_ERR_VERSION; AGN_ERR_RANGE. */
int agn_compact_reply_unpack(const uint8_t *src, size_t len, uint32_t model_id,
                             struct agn_reply_packet *reply);

/* The version of a reply to a device of that model whose checksum holds, this one or a later one. */
int agn_compact_reply_version(const uint8_t *src, size_t len, uint32_t model_id);

/* Logit of a class < class_count, Q8.8. */
int16_t agn_compact_logit(const struct agn_reply_packet *reply, unsigned class_index);

#ifdef __cplusplus
}
#endif

#endif
