/* Random numbers: xoshiro256** (Blackman and Vigna, https://prng.di.unimi.it/),
 * seeded by splitmix64. The sequences are part of the product: a seed in a
 * checkpoint or a report must give the same run everywhere. */
#include <math.h>

#include "agilenn/base.h"

static uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static uint64_t splitmix64_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void agn_rng_seed(struct agn_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->s[i] = splitmix64_next(&seed);
}

uint64_t agn_rng_u64(struct agn_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint32_t agn_rng_below(struct agn_rng *rng, uint32_t bound)
{
    /* Lemire, "Fast random integer generation in an interval", 2019: the high half of a
     * product; the few low halves that would favour some results are drawn again. */
    uint64_t product = (agn_rng_u64(rng) >> 32) * bound;
    uint32_t low = (uint32_t)product;
    if (low < bound) {
        uint32_t threshold = (0u - bound) % bound;
        while (low < threshold) {
            product = (agn_rng_u64(rng) >> 32) * bound;
            low = (uint32_t)product;
        }
    }
    return (uint32_t)(product >> 32);
}

double agn_rng_uniform(struct agn_rng *rng)
{
    return (double)(agn_rng_u64(rng) >> 11) * 0x1p-53;
}

double agn_rng_normal(struct agn_rng *rng)
{
    const double two_pi = 6.283185307179586476925;
    double radius = sqrt(-2.0 * log(1.0 - agn_rng_uniform(rng))); /* 1 - u: never log(0) */
    return radius * cos(two_pi * agn_rng_uniform(rng));
}
