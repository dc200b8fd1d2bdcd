/* Puts frames together from packets; see assembly.h. Sockets and answers are left to others. */
#include "server/assembly.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "agilenn/base.h"

struct slot {
    int16_t last_index; /* of the packet flagged last; -1: not known yet */
    uint16_t received;  /* distinct packets */
    uint8_t highest_index;
    uint8_t repeats_left;
    bool is_open;        /* it has asked for an answer at once */
    bool has_more, asks; /* since it was handed out; and that is to be answered at once, too */
    uint32_t seen[8];    /* bit i: packet i came */
    uint64_t serial;     /* frames are numbered as they begin */
    double began_s, deadline_s, answered_s;
    size_t reply_len;
    uint8_t *map, *reply;
};

struct agn__assembly {
    struct agn__assembly_limits limits;
    struct agn_map_shape shape;
    const struct agn_context_model *contexts;
    struct agn__image_decoder images;
    size_t map_bytes, reply_bytes;
    uint64_t next_serial;
    uint8_t *scratch; /* a packet is decoded here before anything is believed */
    uint8_t *memory;
    struct slot *slots;
    struct agn__frames *frames;
};

struct agn__assembly *agn__assembly_create(const struct agn__assembly_limits *limits,
                                           const struct agn_map_shape *shape,
                                           const struct agn_context_model *contexts,
                                           const struct agn__image_decoder *images, size_t reply_bytes)
{
    struct agn__assembly *assembly = agn_alloc(1, sizeof *assembly);
    if (!assembly)
        return NULL;
    size_t slots = (size_t)limits->frames;
    assembly->limits = *limits;
    assembly->shape = *shape;
    assembly->contexts = contexts;
    if (images)
        assembly->images = *images;
    assembly->map_bytes = (size_t)shape->channels * shape->height * shape->width;
    assembly->reply_bytes = reply_bytes;
    int share = limits->frames / 8;
    assembly->frames = agn__frames_create(limits->frames, share > 4 ? share : 4, agn__hash_seed());
    assembly->slots = agn_alloc(slots, sizeof *assembly->slots);
    assembly->memory = agn_alloc(slots + 1, assembly->map_bytes + reply_bytes);
    if (!assembly->frames || !assembly->slots || !assembly->memory) {
        agn__assembly_free(assembly);
        return NULL;
    }
    uint8_t *next = assembly->memory;
    for (size_t i = 0; i < slots; i++) {
        assembly->slots[i].map = next;
        assembly->slots[i].reply = next + assembly->map_bytes;
        next += assembly->map_bytes + reply_bytes;
    }
    assembly->scratch = next;
    return assembly;
}

void agn__assembly_free(struct agn__assembly *assembly)
{
    if (!assembly)
        return;
    agn__frames_free(assembly->frames);
    agn_free(assembly->slots);
    agn_free(assembly->memory);
    agn_free(assembly);
}

size_t agn__assembly_bytes(const struct agn__assembly *assembly)
{
    size_t slots = (size_t)assembly->limits.frames;
    return sizeof *assembly + agn__frames_bytes(assembly->limits.frames) + slots * sizeof *assembly->slots +
           (slots + 1) * (assembly->map_bytes + assembly->reply_bytes);
}

/* ---- the table ------------------------------------------------------------------ */

/* An old answer must not meet a new frame whose number has come round again. */
static int find(struct agn__assembly *assembly, const struct agn__peer *peer, uint32_t key, double now_s)
{
    int slot = agn__frames_find(assembly->frames, peer, key);
    if (slot < 0 || agn__frames_state(assembly->frames, slot) != AGN__FRAME_ANSWERED)
        return slot;
    const struct slot *held = &assembly->slots[slot];
    bool is_over = agn__frame_is_compact(key) && now_s > held->deadline_s;
    if (now_s - held->answered_s <= assembly->limits.keep_s && !is_over)
        return slot;
    agn__frames_move(assembly->frames, slot, AGN__FRAME_NONE);
    return -1;
}

int agn__assembly_knows(struct agn__assembly *assembly, const struct agn__peer *peer, uint32_t key,
                        double now_s)
{
    return find(assembly, peer, key, now_s) >= 0;
}

/* Half of a stated deadline is left for the way here, the network's and the way back. */
static double wait_of(const struct agn__assembly *assembly, const struct agn_feature_packet *packet)
{
    double share_s = packet->deadline_ms / 2000.0;
    return packet->deadline_ms > 0 && share_s < assembly->limits.wait_s ? share_s : assembly->limits.wait_s;
}

static void begin(struct agn__assembly *assembly, struct slot *slot, const struct agn_feature_packet *packet,
                  double now_s)
{
    slot->last_index = -1;
    slot->received = 0;
    slot->highest_index = 0;
    slot->repeats_left = AGN__REPEAT_LIMIT;
    slot->is_open = slot->has_more = slot->asks = false;
    memset(slot->seen, 0, sizeof slot->seen);
    slot->serial = assembly->next_serial++;
    slot->began_s = now_s;
    slot->deadline_s = packet->deadline_ms > 0 ? now_s + packet->deadline_ms / 1000.0 : INFINITY;
    memset(slot->map, AGN_SYMBOL_ABSENT, assembly->map_bytes);
}

/* ---- a packet and its frame -------------------------------------------------------- */

/* The symbols that a packet carries: one run of the map. */
struct run {
    size_t start, count;
};

static struct run run_of(const struct agn__assembly *assembly, const struct agn_feature_packet *packet)
{
    size_t width = assembly->shape.width;
    size_t first_row = (size_t)packet->channel_first * assembly->shape.height + packet->row_first;
    struct run run = {first_row * width, (size_t)packet->channel_count * packet->row_count * width};
    return run;
}

static bool has_seen(const struct slot *slot, unsigned index)
{
    return slot->seen[index / 32] >> (index % 32) & 1;
}

static bool is_absent(const uint8_t *symbols, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (symbols[i] != AGN_SYMBOL_ABSENT)
            return false;
    return true;
}

enum relation { EXTENDS, REPEATS, CONTRADICTS };

/* How the packet, decoded in scratch, relates to what the frame holds. */
static enum relation relate(const struct agn__assembly *assembly, const struct slot *slot,
                            const struct agn_feature_packet *packet, struct run run)
{
    const uint8_t *held = slot->map + run.start;
    if (has_seen(slot, packet->index)) {
        bool same_end = (slot->last_index == packet->index) == (packet->last != 0);
        bool same = memcmp(held, assembly->scratch + run.start, run.count) == 0;
        return same && same_end ? REPEATS : CONTRADICTS;
    }
    if (slot->last_index >= 0 && (packet->last || packet->index > slot->last_index))
        return CONTRADICTS;
    if (packet->last && slot->received > 0 && packet->index < slot->highest_index)
        return CONTRADICTS;
    return is_absent(held, run.count) ? EXTENDS : CONTRADICTS;
}

static void store(struct agn__assembly *assembly, struct slot *slot, const struct agn_feature_packet *packet,
                  struct run run)
{
    memcpy(slot->map + run.start, assembly->scratch + run.start, run.count);
    slot->seen[packet->index / 32] |= UINT32_C(1) << (packet->index % 32);
    slot->received++;
    if (packet->index > slot->highest_index)
        slot->highest_index = packet->index;
    if (packet->last)
        slot->last_index = packet->index;
    slot->has_more = true;
}

static bool is_whole(const struct slot *slot)
{
    return slot->last_index >= 0 && slot->received == slot->last_index + 1;
}

/* A repeated or late packet of an answered frame. */
static enum agn__offer_kind offer_answered(struct slot *slot)
{
    if (slot->repeats_left == 0)
        return AGN__OFFER_SPENT;
    slot->repeats_left--;
    return AGN__OFFER_REPEAT;
}

/* The slot of a frame that is not in the table yet. */
static int begin_new(struct agn__assembly *assembly, const struct agn__peer *peer,
                     const struct agn_feature_packet *packet, double now_s, struct agn__offer *offer)
{
    enum agn__frame_state displaced;
    uint32_t key = agn__frame_key(packet);
    if (packet->version == AGN_COMPACT_VERSION)
        agn__frames_forget_far(assembly->frames, peer, key);
    int slot = agn__frames_take(assembly->frames, peer, key, now_s + wait_of(assembly, packet), &displaced);
    offer->evicted = displaced != AGN__FRAME_NONE && displaced != AGN__FRAME_ANSWERED;
    offer->began = 1;
    begin(assembly, &assembly->slots[slot], packet, now_s);
    return slot;
}

/* Something has come of a frame that is not at a worker: it is ready, or waits (again, once it was answered).
 */
static void go_on(struct agn__assembly *assembly, int index, double due_s)
{
    const struct slot *slot = &assembly->slots[index];
    if (agn__frames_state(assembly->frames, index) != AGN__FRAME_WAITING)
        agn__frames_restart(assembly->frames, index, due_s);
    if (slot->asks || is_whole(slot))
        agn__frames_move(assembly->frames, index, AGN__FRAME_COMPLETE);
}

/* Into scratch. */
static int decode(struct agn__assembly *assembly, const struct agn_feature_packet *packet)
{
    const struct agn__image_decoder *images = &assembly->images;
    if (packet->codec == AGN_CODEC_JPEG && images->decode)
        return images->decode(images->user, packet, assembly->scratch);
    return agn_feature_decode(packet, &assembly->shape, assembly->contexts, assembly->scratch);
}

int agn__assembly_offer(struct agn__assembly *assembly, const struct agn__peer *peer,
                        const struct agn_feature_packet *packet, double now_s, struct agn__offer *offer)
{
    int status = decode(assembly, packet);
    if (status < 0)
        return status;
    struct run run = run_of(assembly, packet);
    struct agn__offer made = {.kind = AGN__OFFER_STORED};
    enum relation relation = EXTENDS;
    int slot = find(assembly, peer, agn__frame_key(packet), now_s);
    if (slot < 0) {
        slot = begin_new(assembly, peer, packet, now_s, &made);
    } else {
        relation = relate(assembly, &assembly->slots[slot], packet, run);
        if (relation == CONTRADICTS) {
            agn__frames_restart(assembly->frames, slot, now_s + wait_of(assembly, packet));
            begin(assembly, &assembly->slots[slot], packet, now_s);
            made.began = made.restarted = 1;
        }
    }
    made.slot = slot;
    made.duplicate = relation == REPEATS;
    if (relation != REPEATS)
        store(assembly, &assembly->slots[slot], packet, run);
    enum agn__frame_state now = agn__frames_state(assembly->frames, slot);
    bool reopens = now == AGN__FRAME_ANSWERED && relation != REPEATS && assembly->slots[slot].is_open;
    if (packet->now && (now != AGN__FRAME_ANSWERED || reopens))
        assembly->slots[slot].is_open = assembly->slots[slot].asks = true;
    if (now == AGN__FRAME_WAITING || reopens)
        go_on(assembly, slot, now_s + wait_of(assembly, packet));
    if (now == AGN__FRAME_ANSWERED && !reopens)
        made.kind = offer_answered(&assembly->slots[slot]);
    else if (relation == REPEATS)
        made.kind = AGN__OFFER_DUPLICATE;
    *offer = made;
    return 0;
}

/* ---- answers ------------------------------------------------------------------------- */

int agn__assembly_next(const struct agn__assembly *assembly, double now_s)
{
    int slot = agn__frames_first(assembly->frames, AGN__FRAME_COMPLETE);
    if (slot >= 0)
        return slot;
    double due_s = INFINITY;
    slot = agn__frames_due(assembly->frames, &due_s);
    return now_s >= due_s ? slot : -1;
}

double agn__assembly_wait(const struct agn__assembly *assembly, double now_s)
{
    double due_s = INFINITY;
    if (agn__frames_first(assembly->frames, AGN__FRAME_COMPLETE) >= 0)
        return 0.0;
    (void)agn__frames_due(assembly->frames, &due_s);
    return due_s > now_s ? due_s - now_s : 0.0;
}

int agn__assembly_pending(const struct agn__assembly *assembly)
{
    return agn__frames_count(assembly->frames, AGN__FRAME_WAITING) +
           agn__frames_count(assembly->frames, AGN__FRAME_COMPLETE) +
           agn__frames_count(assembly->frames, AGN__FRAME_WORKING);
}

int agn__assembly_complete(const struct agn__assembly *assembly)
{
    return agn__frames_count(assembly->frames, AGN__FRAME_COMPLETE);
}

int agn__assembly_is_complete(const struct agn__assembly *assembly, int slot)
{
    return agn__frames_state(assembly->frames, slot) == AGN__FRAME_COMPLETE;
}

uint16_t agn__assembly_frame(const struct agn__assembly *assembly, int slot)
{
    return (uint16_t)agn__frames_number(assembly->frames, slot);
}

int agn__assembly_is_compact(const struct agn__assembly *assembly, int slot)
{
    return agn__frame_is_compact(agn__frames_number(assembly->frames, slot));
}

double agn__assembly_began(const struct agn__assembly *assembly, int slot)
{
    return assembly->slots[slot].began_s;
}

double agn__assembly_deadline(const struct agn__assembly *assembly, int slot)
{
    return assembly->slots[slot].deadline_s;
}

const uint8_t *agn__assembly_map(const struct agn__assembly *assembly, int slot)
{
    return assembly->slots[slot].map;
}

uint64_t agn__assembly_working(struct agn__assembly *assembly, int slot)
{
    agn__frames_move(assembly->frames, slot, AGN__FRAME_WORKING);
    assembly->slots[slot].has_more = assembly->slots[slot].asks = false;
    return assembly->slots[slot].serial;
}

int agn__assembly_is_working(const struct agn__assembly *assembly, int slot, uint64_t serial)
{
    return agn__frames_state(assembly->frames, slot) == AGN__FRAME_WORKING &&
           assembly->slots[slot].serial == serial;
}

bool agn__assembly_answered(struct agn__assembly *assembly, int slot_index, const uint8_t *reply, size_t len,
                            double now_s)
{
    struct slot *slot = &assembly->slots[slot_index];
    assert(agn__frames_state(assembly->frames, slot_index) != AGN__FRAME_ANSWERED);
    assert(len <= assembly->reply_bytes);
    if (len > 0)
        memcpy(slot->reply, reply, len);
    slot->reply_len = len;
    slot->answered_s = now_s;
    slot->repeats_left = AGN__REPEAT_LIMIT;
    agn__frames_move(assembly->frames, slot_index, AGN__FRAME_ANSWERED);
    bool goes_on = slot->is_open && slot->has_more;
    if (goes_on)
        go_on(assembly, slot_index, fmin(now_s + assembly->limits.wait_s, (now_s + slot->deadline_s) / 2.0));
    else
        slot->asks = false;
    return goes_on;
}

void agn__assembly_dropped(struct agn__assembly *assembly, int slot, double now_s)
{
    assembly->slots[slot].is_open = false;
    (void)agn__assembly_answered(assembly, slot, NULL, 0, now_s);
    assembly->slots[slot].repeats_left = 0;
}

const uint8_t *agn__assembly_reply(const struct agn__assembly *assembly, int slot_index, size_t *len)
{
    const struct slot *slot = &assembly->slots[slot_index];
    assert(agn__frames_state(assembly->frames, slot_index) == AGN__FRAME_ANSWERED);
    *len = slot->reply_len;
    return slot->reply;
}
