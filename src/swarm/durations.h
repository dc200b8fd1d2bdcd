/* Durations in buckets of equal relative width, as HdrHistogram does: fixed memory, any quantile within 0.4
 * %. */
#ifndef AGN_SWARM_DURATIONS_H
#define AGN_SWARM_DURATIONS_H

#include <stdint.h>

/* In nanoseconds: exact below 2^7, then 2^7 buckets an octave to 2^42 (73 minutes); more counts as that. */
enum {
    AGN__DURATIONS_BITS = 7,
    AGN__DURATIONS_OCTAVES = 42 - AGN__DURATIONS_BITS,
    AGN__DURATIONS_BUCKETS = (AGN__DURATIONS_OCTAVES + 1) << AGN__DURATIONS_BITS,
};

struct agn__durations {
    uint64_t count;
    double max_s;
    uint64_t buckets[AGN__DURATIONS_BUCKETS];
};

void agn__durations_clear(struct agn__durations *durations);

/* A negative duration counts as 0. */
void agn__durations_add(struct agn__durations *durations, double seconds);

/* The smallest duration that a share `q` (0..1) of all does not exceed, in seconds, within 0.4 % and never
 * above the largest; NAN when empty. */
double agn__durations_quantile(const struct agn__durations *durations, double q);

#endif
