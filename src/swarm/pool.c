/* The pool of frames; see pool.h. */
#include "swarm/pool.h"

#include <string.h>

#include "agilenn/base.h"
#include "agilenn/hosted.h"

/* ---- growing ------------------------------------------------------------------------ */

static int grow_bytes(struct agn__pool *pool, size_t more)
{
    if (pool->bytes_used + more <= pool->bytes_cap)
        return 0;
    size_t cap = 2 * (pool->bytes_cap + more);
    uint8_t *bytes = agn_alloc(cap, 1);
    if (!bytes)
        return AGN_ERR_MEMORY;
    if (pool->bytes_used > 0)
        memcpy(bytes, pool->bytes, pool->bytes_used);
    for (uint32_t i = 0; i < pool->packets_used; i++)
        pool->packets[i].packet.payload = bytes + (pool->packets[i].packet.payload - pool->bytes);
    agn_free(pool->bytes);
    pool->bytes = bytes;
    pool->bytes_cap = cap;
    return 0;
}

static int grow_packets(struct agn__pool *pool)
{
    if (pool->packets_used < pool->packets_cap)
        return 0;
    uint32_t cap = 2 * pool->packets_cap + 64;
    struct agn__pool_packet *packets = agn_alloc(cap, sizeof *packets);
    if (!packets)
        return AGN_ERR_MEMORY;
    if (pool->packets_used > 0)
        memcpy(packets, pool->packets, pool->packets_used * sizeof *packets);
    agn_free(pool->packets);
    pool->packets = packets;
    pool->packets_cap = cap;
    return 0;
}

static int keep_packet(struct agn__pool *pool, const uint8_t *bytes, size_t len)
{
    struct agn_feature_packet packet;
    int status = pool->protocol == AGN_COMPACT_VERSION ? agn_compact_unpack(bytes, len, &packet)
                                                       : agn_feature_unpack(bytes, len, &packet);
    if (status < 0)
        return agn_fail(status, "the device made a packet that nobody can read: %s", agn_status_text(status));
    status = grow_packets(pool);
    if (status == 0)
        status = grow_bytes(pool, packet.payload_bytes);
    if (status < 0)
        return status;
    uint8_t *payload = pool->bytes + pool->bytes_used;
    if (packet.payload_bytes > 0)
        memcpy(payload, packet.payload, packet.payload_bytes);
    packet.payload = payload;
    pool->bytes_used += packet.payload_bytes;
    pool->packets[pool->packets_used++] = (struct agn__pool_packet){packet, len};
    return 0;
}

/* ---- frames ------------------------------------------------------------------------- */

static int make_frame(struct agn__pool *pool, struct agn_hosted *device, const uint8_t *image,
                      struct agn__pool_frame *frame, int16_t *local, uint32_t deadline_ms)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int local_class = agn_hosted_image(device, image, 0, (uint16_t)deadline_ms), length;
    if (local_class < 0)
        return local_class;
    memcpy(local, agn_dev_local(&device->dev), pool->classes * sizeof *local);
    frame->local_class = (uint16_t)local_class;
    frame->first_packet = pool->packets_used;
    while ((length = agn_dev_next_packet(&device->dev, packet, sizeof packet)) > 0) {
        int status = keep_packet(pool, packet, (size_t)length);
        if (status < 0)
            return status;
    }
    if (length < 0)
        return agn_fail(length, "the device cannot code an image: %s", agn_status_text(length));
    frame->packet_count = pool->packets_used - frame->first_packet;
    return 0;
}

static int make_frames(struct agn__pool *pool, struct agn_hosted *device, const struct agn_dataset *data,
                       int images, uint32_t deadline_ms)
{
    const struct agn_dev_model *model = &device->dev.model;
    int status = agn_hosted_check_data(model, data);
    if (status < 0)
        return status;
    pool->count = (uint32_t)(images < data->count ? images : data->count);
    pool->model_id = model->model_id;
    pool->classes = model->classes;
    pool->alpha_q15 = model->alpha_q15;
    pool->frames = agn_alloc(pool->count, sizeof *pool->frames);
    pool->local = agn_alloc((size_t)pool->count * pool->classes, sizeof *pool->local);
    pool->sums = agn_alloc(pool->classes, sizeof *pool->sums);
    if (!pool->frames || !pool->local || !pool->sums)
        return AGN_ERR_MEMORY;
    size_t image_bytes = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    for (uint32_t i = 0; i < pool->count; i++) {
        size_t source = (size_t)((uint64_t)i * (uint64_t)data->count / pool->count);
        if (agn_interrupt_requested())
            return agn_fail(AGN_ERR_INTERRUPTED, "interrupted while the devices' frames were made");
        pool->frames[i].label = data->labels[source];
        status = make_frame(pool, device, data->pixels + source * image_bytes, &pool->frames[i],
                            pool->local + (size_t)i * pool->classes, deadline_ms);
        if (status < 0)
            return status;
    }
    return 0;
}

int agn__pool_make(struct agn__pool *pool, const void *model, size_t model_bytes,
                   const struct agn_dataset *data, int images, uint32_t deadline_ms, int protocol)
{
    struct agn_hosted device;
    memset(pool, 0, sizeof *pool);
    pool->protocol = protocol;
    int status = agn_hosted_open(&device, model, model_bytes);
    if (status < 0)
        return status;
    (void)agn_dev_set_protocol(&device.dev, (unsigned)protocol);
    status = make_frames(pool, &device, data, images, deadline_ms);
    agn_hosted_close(&device);
    return status;
}

void agn__pool_free(struct agn__pool *pool)
{
    agn_free(pool->frames);
    agn_free(pool->packets);
    agn_free(pool->local);
    agn_free(pool->sums);
    agn_free(pool->bytes);
}

/* ---- use ---------------------------------------------------------------------------- */

size_t agn__pool_packet(const struct agn__pool *pool, uint32_t image, uint32_t index, uint16_t frame,
                        uint8_t *dst)
{
    struct agn_feature_packet packet = pool->packets[pool->frames[image].first_packet + index].packet;
    packet.frame = frame;
    int length = pool->protocol == AGN_COMPACT_VERSION ? agn_compact_pack(&packet, dst, AGN_WIRE_MAX_PACKET)
                                                       : agn_feature_pack(&packet, dst, AGN_WIRE_MAX_PACKET);
    return length > 0 ? (size_t)length : 0; /* it was read with the same checks, so it is never 0 */
}

int agn__pool_reply(const struct agn__pool *pool, const uint8_t *src, size_t len,
                    struct agn_reply_packet *reply)
{
    return pool->protocol == AGN_COMPACT_VERSION ? agn_compact_reply_unpack(src, len, pool->model_id, reply)
                                                 : agn_reply_unpack(src, len, reply);
}

uint16_t agn__pool_fuse(const struct agn__pool *pool, uint32_t image, const struct agn_reply_packet *reply)
{
    const int16_t *local = pool->local + (size_t)image * pool->classes;
    for (unsigned i = 0; i < pool->classes; i++) {
        int16_t remote =
            pool->protocol == AGN_COMPACT_VERSION ? agn_compact_logit(reply, i) : agn_reply_logit(reply, i);
        pool->sums[i] = agn_fuse(local[i], remote, pool->alpha_q15);
    }
    return (uint16_t)agn_argmax_s32(pool->sums, pool->classes);
}
