/* Frames ready to send: what the device runtime makes of some images, kept so that sending one again costs a
 * copy and a checksum only. */
#ifndef AGN_SWARM_POOL_H
#define AGN_SWARM_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "agilenn/data.h"
#include "agn_compact.h"

struct agn__pool_frame {
    uint32_t first_packet, packet_count;
    uint16_t label, local_class;
};

struct agn__pool_packet {
    struct agn_feature_packet packet; /* its payload points into the pool's `bytes` */
    size_t length;                    /* as sent, without CoAP */
};

struct agn__pool {
    int protocol; /* version of packets and replies */
    uint32_t model_id;
    uint16_t classes, alpha_q15;
    uint32_t count;
    struct agn__pool_frame *frames;
    struct agn__pool_packet *packets;
    int16_t *local; /* count x classes, Q8.8 */
    int32_t *sums;  /* classes: scratch of agn__pool_fuse */
    uint8_t *bytes;
    uint32_t packets_used, packets_cap;
    size_t bytes_used, bytes_cap;
};

/* Puts `images` of the data set, spread evenly, through the device, with version 1 or 2 of the protocol.
 * Errors as agn_swarm_create; free in any case. */
int agn__pool_make(struct agn__pool *pool, const void *model, size_t model_bytes,
                   const struct agn_dataset *data, int images, uint32_t deadline_ms, int protocol);
void agn__pool_free(struct agn__pool *pool);

/* Writes packet `index` of an image as the packet of frame number `frame`; dst holds AGN_WIRE_MAX_PACKET
 * bytes. Returns its length. */
size_t agn__pool_packet(const struct agn__pool *pool, uint32_t image, uint32_t index, uint16_t frame,
                        uint8_t *dst);

/* Reads a reply to a device of the model. Errors of agn_reply_unpack and agn_compact_reply_unpack. */
int agn__pool_reply(const struct agn__pool *pool, const uint8_t *src, size_t len,
                    struct agn_reply_packet *reply);

/* The class of local and remote logits together; the reply has the pool's number of classes. */
uint16_t agn__pool_fuse(const struct agn__pool *pool, uint32_t image, const struct agn_reply_packet *reply);

#endif
