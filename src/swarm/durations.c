/* Durations in buckets; see durations.h. */
#include "swarm/durations.h"

#include <math.h>
#include <string.h>

static const double ns_per_s = 1e9;

void agn__durations_clear(struct agn__durations *durations)
{
    memset(durations, 0, sizeof *durations);
}

static unsigned bucket_of(uint64_t ns)
{
    const uint64_t largest = (UINT64_C(1) << (AGN__DURATIONS_OCTAVES + AGN__DURATIONS_BITS)) - 1;
    if (ns > largest)
        ns = largest;
    unsigned shift = 0; /* how often to halve until only the leading bit is beyond the bucket's number */
    while (ns >> shift >= UINT64_C(2) << AGN__DURATIONS_BITS)
        shift++;
    if (ns < UINT64_C(1) << AGN__DURATIONS_BITS)
        return (unsigned)ns;
    return (shift << AGN__DURATIONS_BITS) + (unsigned)(ns >> shift);
}

/* The middle of a bucket, in nanoseconds. */
static double middle_of(unsigned bucket)
{
    const unsigned per_octave = 1u << AGN__DURATIONS_BITS;
    if (bucket < 2 * per_octave)
        return bucket;
    unsigned shift = bucket / per_octave - 1;
    double low = ldexp((double)(bucket - shift * per_octave), (int)shift);
    return low + 0.5 * (ldexp(1.0, (int)shift) - 1.0);
}

void agn__durations_add(struct agn__durations *durations, double seconds)
{
    double ns = seconds > 0 ? round(seconds * ns_per_s) : 0;
    durations->buckets[bucket_of(ns < 1e18 ? (uint64_t)ns : UINT64_C(1000000000000000000))]++;
    durations->count++;
    durations->max_s = fmax(durations->max_s, seconds);
}

double agn__durations_quantile(const struct agn__durations *durations, double q)
{
    if (durations->count == 0)
        return (double)NAN;
    double rank = fmax(1.0, ceil(q * (double)durations->count));
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < AGN__DURATIONS_BUCKETS; bucket++) {
        seen += durations->buckets[bucket];
        if ((double)seen >= rank)
            return fmin(middle_of(bucket) / ns_per_s, durations->max_s);
    }
    return durations->max_s;
}
