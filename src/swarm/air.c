/* Links and what is on its way; see air.h. */
#include "swarm/air.h"

#include <math.h>
#include <string.h>

enum { HEADER_BYTES = 28 }; /* IPv4 and UDP */

bool agn__air_send(const struct agn_swarm_link *link, struct agn__air_path *path, struct agn_rng *rng,
                   size_t len, double now_s, double *due_s)
{
    /* Always the same number of draws, so that one datagram's fate does not shift the next one's. */
    bool is_lost = agn_rng_uniform(rng) < link->loss;
    double jitter_s = link->jitter_s * agn_rng_uniform(rng);
    double begin_s = now_s;
    if (link->bandwidth_bps > 0) {
        begin_s = fmax(now_s, path->free_s) + 8.0 * (double)(len + HEADER_BYTES) / link->bandwidth_bps;
        path->free_s = begin_s; /* what is lost was sent as well */
    }
    if (is_lost)
        return false;
    *due_s = path->in_order_s = fmax(begin_s + link->delay_s + jitter_s, path->in_order_s);
    return true;
}

/* ---- the queue ------------------------------------------------------------------------ */

static bool is_before(const struct agn__air_event *a, const struct agn__air_event *b)
{
    return a->due_s < b->due_s || (a->due_s == b->due_s && a->order < b->order);
}

static int grow(struct agn__air_queue *queue)
{
    size_t cap = 2 * queue->cap + 256;
    struct agn__air_event *events = agn_alloc(cap, sizeof *events);
    if (!events)
        return AGN_ERR_MEMORY;
    if (queue->count > 0)
        memcpy(events, queue->events, queue->count * sizeof *events);
    agn_free(queue->events);
    queue->events = events;
    queue->cap = cap;
    return 0;
}

int agn__air_put(struct agn__air_queue *queue, const struct agn__air_event *event)
{
    if (queue->count == queue->cap) {
        int status = grow(queue);
        if (status < 0)
            return status;
    }
    struct agn__air_event added = *event;
    added.order = queue->order++;
    size_t place = queue->count++;
    while (place > 0 && is_before(&added, &queue->events[(place - 1) / 2])) {
        queue->events[place] = queue->events[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    queue->events[place] = added;
    return 0;
}

double agn__air_due(const struct agn__air_queue *queue)
{
    return queue->count > 0 ? queue->events[0].due_s : (double)INFINITY;
}

bool agn__air_take(struct agn__air_queue *queue, double now_s, struct agn__air_event *event)
{
    if (queue->count == 0 || queue->events[0].due_s > now_s)
        return false;
    *event = queue->events[0];
    struct agn__air_event moved = queue->events[--queue->count];
    size_t place = 0;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && is_before(&queue->events[child + 1], &queue->events[child]))
            child++;
        if (!is_before(&queue->events[child], &moved))
            break;
        queue->events[place] = queue->events[child];
        place = child;
    }
    if (queue->count > 0)
        queue->events[place] = moved;
    return true;
}

void agn__air_free(struct agn__air_queue *queue)
{
    agn_free(queue->events);
    memset(queue, 0, sizeof *queue);
}
