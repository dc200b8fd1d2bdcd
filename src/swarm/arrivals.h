/* When which device sends which image: decided by rate and seed alone, never by what the server does. */
#ifndef AGN_SWARM_ARRIVALS_H
#define AGN_SWARM_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

#include "agilenn/base.h"

struct agn__arrival {
    double at_s; /* from the start */
    uint32_t device, image;
};

struct agn__schedule {
    struct agn_rng rng;
    double rate_fps, end_s, poisson_s;
    bool fixed;
    uint32_t devices, images;
    uint64_t made;
};

/* rate_fps > 0; arrivals come before `end_s`. */
void agn__schedule_begin(struct agn__schedule *schedule, double rate_fps, bool fixed, double end_s,
                         uint32_t devices, uint32_t images, uint64_t seed);

/* The next arrival, in order of time; false: there is none before the end. Poisson arrivals of all devices
 * together, each given to a device at random, are Poisson arrivals of every single device. */
bool agn__schedule_next(struct agn__schedule *schedule, struct agn__arrival *arrival);

#endif
