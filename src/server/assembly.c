/* Puts frames together from packets; see assembly.h. Sockets and answers are left to others. */
#include "server/assembly.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "agilenn/base.h"

enum slot_state { SLOT_FREE, SLOT_WAITING, SLOT_COMPLETE, SLOT_ANSWERED };

struct slot {
    struct agn__peer peer;
    enum slot_state state;
    uint16_t frame;
    int16_t last_index; /* of the packet flagged last; -1: not known yet */
    uint16_t received;  /* distinct packets */
    uint8_t highest_index;
    uint8_t repeats_left;
    uint32_t seen[8]; /* bit i: packet i came */
    uint64_t serial;  /* age: frames are numbered as they begin */
    double due_s, answered_s;
    size_t reply_len;
    uint8_t *map, *reply;
};

struct agn__assembly {
    struct agn__assembly_limits limits;
    struct agn_map_shape shape;
    const struct agn_context_model *contexts;
    size_t map_bytes, reply_bytes;
    int frames_per_peer;
    uint64_t next_serial;
    uint8_t *scratch; /* a packet is decoded here before anything is believed */
    uint8_t *memory;
    struct slot *slots;
};

struct agn__assembly *agn__assembly_create(const struct agn__assembly_limits *limits,
                                           const struct agn_map_shape *shape,
                                           const struct agn_context_model *contexts, size_t reply_bytes)
{
    struct agn__assembly *assembly = agn_alloc(1, sizeof *assembly);
    if (!assembly)
        return NULL;
    size_t slots = (size_t)limits->frames;
    assembly->limits = *limits;
    assembly->shape = *shape;
    assembly->contexts = contexts;
    assembly->map_bytes = (size_t)shape->channels * shape->height * shape->width;
    assembly->reply_bytes = reply_bytes;
    int share = limits->frames / 8;
    assembly->frames_per_peer = share > 4 ? share : 4;
    assembly->slots = agn_alloc(slots, sizeof *assembly->slots);
    assembly->memory = agn_alloc(slots + 1, assembly->map_bytes + reply_bytes);
    if (!assembly->slots || !assembly->memory) {
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
    agn_free(assembly->slots);
    agn_free(assembly->memory);
    agn_free(assembly);
}

size_t agn__assembly_bytes(const struct agn__assembly *assembly)
{
    size_t slots = (size_t)assembly->limits.frames;
    return sizeof *assembly + slots * sizeof *assembly->slots +
           (slots + 1) * (assembly->map_bytes + assembly->reply_bytes);
}

/* ---- the table ------------------------------------------------------------------ */

static bool same_peer(const struct agn__peer *a, const struct agn__peer *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct slot *find(struct agn__assembly *assembly, const struct agn__peer *peer, uint16_t frame,
                         double now_s)
{
    for (int i = 0; i < assembly->limits.frames; i++) {
        struct slot *slot = &assembly->slots[i];
        if (slot->state == SLOT_FREE || slot->frame != frame || !same_peer(&slot->peer, peer))
            continue;
        /* An old answer must not meet a new frame whose number has come round again. */
        if (slot->state == SLOT_ANSWERED && now_s - slot->answered_s > assembly->limits.keep_s) {
            slot->state = SLOT_FREE;
            return NULL;
        }
        return slot;
    }
    return NULL;
}

/* Whether `a` should give way before `b` (which may be NULL). */
static bool gives_way(const struct slot *a, const struct slot *b)
{
    if (!b)
        return true;
    bool a_answered = a->state == SLOT_ANSWERED, b_answered = b->state == SLOT_ANSWERED;
    if (a_answered != b_answered)
        return a_answered;
    return a->serial < b->serial;
}

/* A slot for a new frame of this peer: free, or the oldest of the peer's when it has its share,
 * or the oldest of all. */
static struct slot *make_room(struct agn__assembly *assembly, const struct agn__peer *peer)
{
    struct slot *free_slot = NULL, *oldest = NULL, *own_oldest = NULL;
    int own = 0;
    for (int i = 0; i < assembly->limits.frames; i++) {
        struct slot *slot = &assembly->slots[i];
        if (slot->state == SLOT_FREE) {
            free_slot = slot;
            continue;
        }
        if (gives_way(slot, oldest))
            oldest = slot;
        if (same_peer(&slot->peer, peer)) {
            own++;
            if (gives_way(slot, own_oldest))
                own_oldest = slot;
        }
    }
    if (own >= assembly->frames_per_peer)
        return own_oldest;
    return free_slot ? free_slot : oldest;
}

/* Half of a stated deadline is left for the way here, the network's and the way back. */
static double wait_of(const struct agn__assembly *assembly, const struct agn_feature_packet *packet)
{
    double share_s = packet->deadline_ms / 2000.0;
    return packet->deadline_ms > 0 && share_s < assembly->limits.wait_s ? share_s : assembly->limits.wait_s;
}

static void begin(struct agn__assembly *assembly, struct slot *slot, const struct agn__peer *peer,
                  const struct agn_feature_packet *packet, double now_s)
{
    slot->peer = *peer;
    slot->state = SLOT_WAITING;
    slot->frame = packet->frame;
    slot->last_index = -1;
    slot->received = 0;
    slot->highest_index = 0;
    slot->repeats_left = AGN__REPEAT_LIMIT;
    memset(slot->seen, 0, sizeof slot->seen);
    slot->serial = assembly->next_serial++;
    slot->due_s = now_s + wait_of(assembly, packet);
    memset(slot->map, AGN__SYMBOL_ABSENT, assembly->map_bytes);
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
        if (symbols[i] != AGN__SYMBOL_ABSENT)
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
    if (slot->state == SLOT_WAITING && slot->last_index >= 0 && slot->received == slot->last_index + 1)
        slot->state = SLOT_COMPLETE;
}

/* A repeated or late packet of an answered frame. */
static enum agn__offer_kind offer_answered(struct slot *slot)
{
    if (slot->repeats_left == 0)
        return AGN__OFFER_SPENT;
    slot->repeats_left--;
    return AGN__OFFER_REPEAT;
}

int agn__assembly_offer(struct agn__assembly *assembly, const struct agn__peer *peer,
                        const struct agn_feature_packet *packet, double now_s, struct agn__offer *offer)
{
    int status = agn_feature_decode(packet, &assembly->shape, assembly->contexts, assembly->scratch);
    if (status < 0)
        return status;
    struct run run = run_of(assembly, packet);
    struct agn__offer made = {.kind = AGN__OFFER_STORED};
    enum relation relation = EXTENDS;
    struct slot *slot = find(assembly, peer, packet->frame, now_s);
    if (!slot) {
        slot = make_room(assembly, peer);
        made.evicted = slot->state == SLOT_WAITING || slot->state == SLOT_COMPLETE;
        begin(assembly, slot, peer, packet, now_s);
        made.began = 1;
    } else {
        relation = relate(assembly, slot, packet, run);
        if (relation == CONTRADICTS) {
            begin(assembly, slot, peer, packet, now_s);
            made.began = made.restarted = 1;
        }
    }
    made.slot = (int)(slot - assembly->slots);
    made.duplicate = relation == REPEATS;
    if (relation != REPEATS)
        store(assembly, slot, packet, run);
    if (slot->state == SLOT_ANSWERED)
        made.kind = offer_answered(slot);
    else if (relation == REPEATS)
        made.kind = AGN__OFFER_DUPLICATE;
    *offer = made;
    return 0;
}

/* ---- answers ------------------------------------------------------------------------- */

int agn__assembly_next(const struct agn__assembly *assembly, double now_s)
{
    int best = -1;
    for (int i = 0; i < assembly->limits.frames; i++) {
        const struct slot *slot = &assembly->slots[i];
        bool ready = slot->state == SLOT_COMPLETE || (slot->state == SLOT_WAITING && now_s >= slot->due_s);
        if (!ready)
            continue;
        if (best >= 0) {
            const struct slot *other = &assembly->slots[best];
            if (slot->state != other->state ? slot->state != SLOT_COMPLETE : slot->serial > other->serial)
                continue;
        }
        best = i;
    }
    return best;
}

double agn__assembly_wait(const struct agn__assembly *assembly, double now_s)
{
    double wait_s = INFINITY;
    for (int i = 0; i < assembly->limits.frames; i++) {
        const struct slot *slot = &assembly->slots[i];
        if (slot->state == SLOT_COMPLETE)
            return 0.0;
        if (slot->state == SLOT_WAITING && slot->due_s - now_s < wait_s)
            wait_s = slot->due_s - now_s;
    }
    return wait_s > 0.0 ? wait_s : 0.0;
}

int agn__assembly_is_complete(const struct agn__assembly *assembly, int slot)
{
    return assembly->slots[slot].state == SLOT_COMPLETE;
}

uint16_t agn__assembly_frame(const struct agn__assembly *assembly, int slot)
{
    return assembly->slots[slot].frame;
}

const uint8_t *agn__assembly_map(const struct agn__assembly *assembly, int slot)
{
    return assembly->slots[slot].map;
}

void agn__assembly_answered(struct agn__assembly *assembly, int slot_index, const uint8_t *reply, size_t len,
                            double now_s)
{
    struct slot *slot = &assembly->slots[slot_index];
    assert(slot->state == SLOT_WAITING || slot->state == SLOT_COMPLETE);
    assert(len <= assembly->reply_bytes);
    memcpy(slot->reply, reply, len);
    slot->reply_len = len;
    slot->state = SLOT_ANSWERED;
    slot->answered_s = now_s;
}

const uint8_t *agn__assembly_reply(const struct agn__assembly *assembly, int slot_index, size_t *len)
{
    const struct slot *slot = &assembly->slots[slot_index];
    assert(slot->state == SLOT_ANSWERED);
    *len = slot->reply_len;
    return slot->reply;
}
