/* The table of frames; see frames.h. Links are numbers of slots, -1 is none. */
#define _GNU_SOURCE /* getrandom */
#include "server/frames.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "agilenn/base.h"

struct list {
    int head, tail, count;
};

struct entry {
    enum agn__frame_state state;
    uint32_t number;
    int sender;
    int bucket_next;
    int before, after;               /* in the list of its state */
    int sender_before, sender_after; /* among its sender's frames, oldest first */
    int heap_at;                     /* -1: not waiting */
    double due_s;
};

/* Somebody who holds a slot. */
struct sender {
    struct agn__peer peer;
    int bucket_next; /* or the next free one */
    int head, tail, count;
};

struct agn__frames {
    int slots, share, heap_count, free_sender;
    uint64_t seed;
    size_t bucket_mask;
    int *frame_buckets, *sender_buckets, *heap;
    struct entry *entries;
    struct sender *senders;
    struct list lists[AGN__FRAME_STATES];
};

/* ---- hashing ---------------------------------------------------------------------- */

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t agn__hash_seed(void)
{
    /* Better than nothing, where the system has no random bytes. */
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
    (void)!getrandom(&seed, sizeof seed, GRND_NONBLOCK);
    return seed;
}

uint64_t agn__peer_hash(const struct agn__peer *peer, uint64_t seed)
{
    uint64_t words[3], hash = seed;
    memcpy(words, peer->bytes, sizeof words);
    for (int i = 0; i < 3; i++)
        hash = mix(hash ^ words[i]) + seed;
    return hash;
}

static size_t frame_bucket(const struct agn__frames *frames, const struct agn__peer *peer, uint32_t number)
{
    return (size_t)mix(agn__peer_hash(peer, frames->seed) ^ number) & frames->bucket_mask;
}

static bool same_peer(const struct agn__peer *a, const struct agn__peer *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* ---- the order of due times: a binary heap ----------------------------------------- */

static void heap_put(struct agn__frames *frames, int at, int slot)
{
    frames->heap[at] = slot;
    frames->entries[slot].heap_at = at;
}

static bool is_earlier(const struct agn__frames *frames, int slot, int other)
{
    return frames->entries[slot].due_s < frames->entries[other].due_s;
}

static void heap_settle(struct agn__frames *frames, int at, int slot)
{
    while (at > 0 && is_earlier(frames, slot, frames->heap[(at - 1) / 2])) {
        heap_put(frames, at, frames->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (int child; (child = 2 * at + 1) < frames->heap_count; at = child) {
        if (child + 1 < frames->heap_count &&
            is_earlier(frames, frames->heap[child + 1], frames->heap[child]))
            child++;
        if (!is_earlier(frames, frames->heap[child], slot))
            break;
        heap_put(frames, at, frames->heap[child]);
    }
    heap_put(frames, at, slot);
}

static void heap_remove(struct agn__frames *frames, int slot)
{
    int at = frames->entries[slot].heap_at;
    int last = frames->heap[--frames->heap_count];
    frames->entries[slot].heap_at = -1;
    if (last != slot)
        heap_settle(frames, at, last);
}

/* ---- lists -------------------------------------------------------------------------- */

static void list_append(struct agn__frames *frames, int slot, enum agn__frame_state state)
{
    struct list *list = &frames->lists[state];
    struct entry *entry = &frames->entries[slot];
    entry->state = state;
    entry->before = list->tail;
    entry->after = -1;
    if (list->tail >= 0)
        frames->entries[list->tail].after = slot;
    else
        list->head = slot;
    list->tail = slot;
    list->count++;
}

static void list_remove(struct agn__frames *frames, int slot)
{
    struct entry *entry = &frames->entries[slot];
    struct list *list = &frames->lists[entry->state];
    if (entry->before >= 0)
        frames->entries[entry->before].after = entry->after;
    else
        list->head = entry->after;
    if (entry->after >= 0)
        frames->entries[entry->after].before = entry->before;
    else
        list->tail = entry->before;
    list->count--;
}

static void sender_append(struct agn__frames *frames, int slot)
{
    struct entry *entry = &frames->entries[slot];
    struct sender *sender = &frames->senders[entry->sender];
    entry->sender_before = sender->tail;
    entry->sender_after = -1;
    if (sender->tail >= 0)
        frames->entries[sender->tail].sender_after = slot;
    else
        sender->head = slot;
    sender->tail = slot;
    sender->count++;
}

static void sender_remove(struct agn__frames *frames, int slot)
{
    struct entry *entry = &frames->entries[slot];
    struct sender *sender = &frames->senders[entry->sender];
    if (entry->sender_before >= 0)
        frames->entries[entry->sender_before].sender_after = entry->sender_after;
    else
        sender->head = entry->sender_after;
    if (entry->sender_after >= 0)
        frames->entries[entry->sender_after].sender_before = entry->sender_before;
    else
        sender->tail = entry->sender_before;
    sender->count--;
}

/* ---- senders ------------------------------------------------------------------------- */

static int find_sender(const struct agn__frames *frames, const struct agn__peer *peer)
{
    size_t bucket = (size_t)agn__peer_hash(peer, frames->seed) & frames->bucket_mask;
    int sender = frames->sender_buckets[bucket];
    while (sender >= 0 && !same_peer(&frames->senders[sender].peer, peer))
        sender = frames->senders[sender].bucket_next;
    return sender;
}

/* There is always a free one when a slot is free: as many senders as slots. */
static int add_sender(struct agn__frames *frames, const struct agn__peer *peer)
{
    size_t bucket = (size_t)agn__peer_hash(peer, frames->seed) & frames->bucket_mask;
    int sender = frames->free_sender;
    assert(sender >= 0);
    frames->free_sender = frames->senders[sender].bucket_next;
    frames->senders[sender] = (struct sender){*peer, frames->sender_buckets[bucket], -1, -1, 0};
    frames->sender_buckets[bucket] = sender;
    return sender;
}

static void drop_sender(struct agn__frames *frames, int sender)
{
    size_t bucket = (size_t)agn__peer_hash(&frames->senders[sender].peer, frames->seed) & frames->bucket_mask;
    int *link = &frames->sender_buckets[bucket];
    while (*link != sender)
        link = &frames->senders[*link].bucket_next;
    *link = frames->senders[sender].bucket_next;
    frames->senders[sender].bucket_next = frames->free_sender;
    frames->free_sender = sender;
}

/* ---- creation ------------------------------------------------------------------------ */

static size_t bucket_count(int slots)
{
    size_t buckets = 16;
    while (buckets < 2 * (size_t)slots)
        buckets *= 2;
    return buckets;
}

size_t agn__frames_bytes(int slots)
{
    return sizeof(struct agn__frames) +
           (size_t)slots * (sizeof(struct entry) + sizeof(struct sender) + sizeof(int)) +
           2 * bucket_count(slots) * sizeof(int);
}

struct agn__frames *agn__frames_create(int slots, int share, uint64_t seed)
{
    struct agn__frames *frames = agn_alloc(1, sizeof *frames);
    if (!frames)
        return NULL;
    size_t buckets = bucket_count(slots);
    frames->slots = slots;
    frames->share = share;
    frames->seed = seed;
    frames->bucket_mask = buckets - 1;
    frames->frame_buckets = agn_alloc(buckets, sizeof(int));
    frames->sender_buckets = agn_alloc(buckets, sizeof(int));
    frames->heap = agn_alloc((size_t)slots, sizeof(int));
    frames->entries = agn_alloc((size_t)slots, sizeof *frames->entries);
    frames->senders = agn_alloc((size_t)slots, sizeof *frames->senders);
    if (!frames->frame_buckets || !frames->sender_buckets || !frames->heap || !frames->entries ||
        !frames->senders) {
        agn__frames_free(frames);
        return NULL;
    }
    for (size_t i = 0; i < buckets; i++)
        frames->frame_buckets[i] = frames->sender_buckets[i] = -1;
    for (int i = 0; i < AGN__FRAME_STATES; i++)
        frames->lists[i] = (struct list){-1, -1, 0};
    for (int i = 0; i < slots; i++) {
        frames->entries[i].heap_at = -1;
        frames->senders[i].bucket_next = i + 1 < slots ? i + 1 : -1;
        list_append(frames, i, AGN__FRAME_NONE);
    }
    return frames;
}

void agn__frames_free(struct agn__frames *frames)
{
    if (!frames)
        return;
    agn_free(frames->frame_buckets);
    agn_free(frames->sender_buckets);
    agn_free(frames->heap);
    agn_free(frames->entries);
    agn_free(frames->senders);
    agn_free(frames);
}

/* ---- frames -------------------------------------------------------------------------- */

int agn__frames_find(const struct agn__frames *frames, const struct agn__peer *peer, uint32_t frame)
{
    for (int slot = frames->frame_buckets[frame_bucket(frames, peer, frame)]; slot >= 0;
         slot = frames->entries[slot].bucket_next) {
        const struct entry *entry = &frames->entries[slot];
        if (entry->number == frame && same_peer(&frames->senders[entry->sender].peer, peer))
            return slot;
    }
    return -1;
}

static int rank(enum agn__frame_state state)
{
    return state == AGN__FRAME_ANSWERED ? 0 : state == AGN__FRAME_WORKING ? 2 : 1;
}

/* Which of a sender's own frames gives way. */
static int own_oldest(const struct agn__frames *frames, int sender)
{
    int best = frames->senders[sender].head;
    for (int slot = best; slot >= 0; slot = frames->entries[slot].sender_after)
        if (rank(frames->entries[slot].state) < rank(frames->entries[best].state))
            best = slot;
    return best;
}

static int oldest_of_all(const struct agn__frames *frames)
{
    static const enum agn__frame_state order[] = {AGN__FRAME_NONE, AGN__FRAME_ANSWERED, AGN__FRAME_WAITING,
                                                  AGN__FRAME_COMPLETE, AGN__FRAME_WORKING};
    size_t i = 0;
    while (frames->lists[order[i]].head < 0)
        i++;
    return frames->lists[order[i]].head;
}

static void detach(struct agn__frames *frames, int slot)
{
    struct entry *entry = &frames->entries[slot];
    int sender = entry->sender;
    int *link = &frames->frame_buckets[frame_bucket(frames, &frames->senders[sender].peer, entry->number)];
    while (*link != slot)
        link = &frames->entries[*link].bucket_next;
    *link = entry->bucket_next;
    if (entry->heap_at >= 0)
        heap_remove(frames, slot);
    sender_remove(frames, slot);
    if (frames->senders[sender].count == 0)
        drop_sender(frames, sender);
}

int agn__frames_take(struct agn__frames *frames, const struct agn__peer *peer, uint32_t frame, double due_s,
                     enum agn__frame_state *displaced)
{
    int sender = find_sender(frames, peer);
    bool has_share = sender >= 0 && frames->senders[sender].count >= frames->share;
    int slot = has_share ? own_oldest(frames, sender) : oldest_of_all(frames);
    struct entry *entry = &frames->entries[slot];
    *displaced = entry->state;
    if (entry->state != AGN__FRAME_NONE)
        detach(frames, slot);
    list_remove(frames, slot);

    sender = find_sender(frames, peer); /* may have gone with its last frame */
    entry->sender = sender >= 0 ? sender : add_sender(frames, peer);
    entry->number = frame;
    size_t bucket = frame_bucket(frames, peer, frame);
    entry->bucket_next = frames->frame_buckets[bucket];
    frames->frame_buckets[bucket] = slot;
    sender_append(frames, slot);
    list_append(frames, slot, AGN__FRAME_WAITING);
    entry->due_s = due_s;
    heap_settle(frames, frames->heap_count++, slot);
    return slot;
}

void agn__frames_forget_far(struct agn__frames *frames, const struct agn__peer *peer, uint32_t frame)
{
    int sender = find_sender(frames, peer), next;
    for (int slot = sender < 0 ? -1 : frames->senders[sender].head; slot >= 0; slot = next) {
        const struct entry *entry = &frames->entries[slot];
        unsigned ago = (uint8_t)(frame - entry->number);
        bool is_far =
            agn__frame_is_compact(entry->number) && ago >= AGN__FRAMES_NEAR && ago < 256 - AGN__FRAMES_AHEAD;
        next = entry->sender_after;
        if (entry->state != AGN__FRAME_ANSWERED || !is_far)
            return;
        agn__frames_move(frames, slot, AGN__FRAME_NONE);
    }
}

void agn__frames_move(struct agn__frames *frames, int slot, enum agn__frame_state state)
{
    struct entry *entry = &frames->entries[slot];
    assert(state != AGN__FRAME_WAITING && entry->state != AGN__FRAME_NONE);
    if (state == AGN__FRAME_NONE)
        detach(frames, slot);
    else if (entry->heap_at >= 0)
        heap_remove(frames, slot);
    list_remove(frames, slot);
    list_append(frames, slot, state);
}

void agn__frames_restart(struct agn__frames *frames, int slot, double due_s)
{
    struct entry *entry = &frames->entries[slot];
    assert(entry->state != AGN__FRAME_NONE);
    if (entry->heap_at >= 0)
        heap_remove(frames, slot);
    list_remove(frames, slot);
    list_append(frames, slot, AGN__FRAME_WAITING);
    sender_remove(frames, slot);
    sender_append(frames, slot);
    entry->due_s = due_s;
    heap_settle(frames, frames->heap_count++, slot);
}

enum agn__frame_state agn__frames_state(const struct agn__frames *frames, int slot)
{
    return frames->entries[slot].state;
}

uint32_t agn__frames_number(const struct agn__frames *frames, int slot)
{
    return frames->entries[slot].number;
}

int agn__frames_first(const struct agn__frames *frames, enum agn__frame_state state)
{
    return frames->lists[state].head;
}

int agn__frames_count(const struct agn__frames *frames, enum agn__frame_state state)
{
    return frames->lists[state].count;
}

int agn__frames_due(const struct agn__frames *frames, double *due_s)
{
    if (frames->heap_count == 0)
        return -1;
    *due_s = frames->entries[frames->heap[0]].due_s;
    return frames->heap[0];
}
