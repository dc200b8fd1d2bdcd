/* Sequences of feature packets from several senders, over time, into the server's assembly.
 *
 * Each step of the input: peer, frame, index, flags (1: last, 6: codec), channel, channels, row, rows,
 * milliseconds that pass, then one byte of length and as much payload. The packets need not be sealed: what
 * follows the checksum is under test here. Frames are handed out and answered as the server's loop does. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/features.h"
#include "fuzz_contexts.h"
#include "server/assembly.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP_BYTES = 10, SLOTS = 5, MAP = 4 * 5 * 6, REPLY = 8 };

static void demand(int condition)
{
    if (!condition)
        abort();
}

/* Frames at work, as the workers of the server have them: answered a step later. */
struct in_work {
    int count, slot[SLOTS * 4];
    uint64_t serial[SLOTS * 4];
    uint8_t frame[SLOTS * 4];
};

static void finish_work(struct agn__assembly *assembly, struct in_work *work, double now_s)
{
    for (int i = 0; i < work->count; i++) {
        if (!agn__assembly_is_working(assembly, work->slot[i], work->serial[i]))
            continue; /* begun anew, or gave way */
        uint8_t reply[REPLY] = {work->frame[i]};
        demand((uint8_t)agn__assembly_frame(assembly, work->slot[i]) == work->frame[i]);
        if (work->frame[i] % 8 == 7)
            agn__assembly_dropped(assembly, work->slot[i], now_s);
        else
            agn__assembly_answered(assembly, work->slot[i], reply, sizeof reply, now_s);
    }
    work->count = 0;
}

static void hand_out_ready(struct agn__assembly *assembly, const struct agn_map_shape *shape,
                           struct in_work *work, double now_s)
{
    static const float centroids[AGN_WIRE_LEVELS] = {0, 1, 2, 3, 4, 5, 6, 7};
    float features[MAP];
    for (int slot; (slot = agn__assembly_next(assembly, now_s)) >= 0; work->count++) {
        demand(slot < SLOTS && work->count < SLOTS * 4);
        const uint8_t *map = agn__assembly_map(assembly, slot);
        for (int i = 0; i < MAP; i++)
            demand(map[i] < AGN_WIRE_LEVELS || map[i] == AGN_SYMBOL_ABSENT);
        int missing = agn_features_expand(map, shape, centroids, NULL, features);
        demand(missing >= 0 && missing <= shape->channels);
        work->slot[work->count] = slot;
        work->frame[work->count] = (uint8_t)agn__assembly_frame(assembly, slot);
        work->serial[work->count] = agn__assembly_working(assembly, slot);
    }
    demand(agn__assembly_pending(assembly) <= SLOTS);
}

/* One packet; returns the bytes of input it took, 0 at the end. */
static size_t step(struct agn__assembly *assembly, const uint8_t *data, size_t size, double *now_s)
{
    if (size < STEP_BYTES || size - STEP_BYTES < data[9])
        return 0;
    struct agn__peer peer = {{data[0] & 3}};
    struct agn_feature_packet packet = {.frame = data[1],
                                        .index = data[2],
                                        .last = data[3] & 1,
                                        .codec = data[3] >> 1 & 3,
                                        .channel_first = data[4],
                                        .channel_count = data[5],
                                        .row_first = data[6],
                                        .row_count = data[7],
                                        .deadline_ms = (uint16_t)(data[3] >> 3),
                                        .payload = data + STEP_BYTES,
                                        .payload_bytes = data[9]};
    *now_s += data[8] / 1000.0;
    struct agn__offer offer;
    bool empty = packet.channel_count == 0 || packet.row_count == 0; /* unpacking refuses these */
    if (!empty && agn__assembly_offer(assembly, &peer, &packet, *now_s, &offer) == 0) {
        demand(offer.slot >= 0 && offer.slot < SLOTS);
        demand(agn__assembly_frame(assembly, offer.slot) == packet.frame);
        size_t length = 0;
        if (offer.kind == AGN__OFFER_REPEAT)
            demand(agn__assembly_reply(assembly, offer.slot, &length)[0] == data[1] && length == REPLY);
    }
    return STEP_BYTES + (size_t)data[9];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct agn_map_shape shape = {4, 5, 6};
    const struct agn__assembly_limits limits = {SLOTS, 0.1, 1.0};
    struct fuzz_contexts contexts;
    fuzz_contexts_make(&contexts, 1);
    contexts.model.channels = shape.channels;
    struct agn__assembly *assembly = agn__assembly_create(&limits, &shape, &contexts.model, NULL, REPLY);
    demand(assembly != NULL);
    double now_s = 0.0;
    struct in_work work = {0};
    for (size_t taken; (taken = step(assembly, data, size, &now_s)) > 0; data += taken, size -= taken) {
        if (data[8] & 1 || work.count > SLOTS * 2)
            finish_work(assembly, &work, now_s);
        hand_out_ready(assembly, &shape, &work, now_s);
        demand(agn__assembly_wait(assembly, now_s) > 0.0);
    }
    agn__assembly_free(assembly);
    return 0;
}
