/* What happens to datagrams between device and server: the model of a radio link, and a queue of what is on
 * its way.
 *
 * The rules are those of `agilenn modem` (bandwidth shared by what is sent, then delay and jitter in order,
 * loss drawn for each datagram), but no bytes are kept here: thousands of links would need hundreds of
 * megabytes for them. */
#ifndef AGN_SWARM_AIR_H
#define AGN_SWARM_AIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agilenn/swarm.h"

/* One direction of one device's link. */
struct agn__air_path {
    double free_s;     /* when the sender has done with the datagrams before */
    double in_order_s; /* arrival of the latest */
};

/* Fate of a datagram of `len` bytes sent at now_s: false, lost; true, it arrives at *due_s >= now_s. */
bool agn__air_send(const struct agn_swarm_link *link, struct agn__air_path *path, struct agn_rng *rng,
                   size_t len, double now_s, double *due_s);

/* Something that arrives later. */
struct agn__air_event {
    double due_s;
    uint64_t order; /* set by the queue: events due at once leave as they came */
    uint32_t device, image, token;
    uint32_t max_age_s; /* of 5.03 */
    uint16_t frame, prediction;
    uint8_t packet;
    uint8_t kind; /* the user's */
};

/* A queue by time; grows as needed. Zero it to begin. */
struct agn__air_queue {
    struct agn__air_event *events; /* a binary heap */
    size_t count, cap;
    uint64_t order;
};

/* AGN_ERR_MEMORY. */
int agn__air_put(struct agn__air_queue *queue, const struct agn__air_event *event);
/* INFINITY when empty. */
double agn__air_due(const struct agn__air_queue *queue);
/* Takes out the next event if it is due by now_s. */
bool agn__air_take(struct agn__air_queue *queue, double now_s, struct agn__air_event *event);
void agn__air_free(struct agn__air_queue *queue);

#endif
