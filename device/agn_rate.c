/* The rate at which frames get through; see agn_rate.h.
 *
 * A mean that follows by half of the difference, and up by half of itself at most: where the budget is made
 * for half of a deadline, one frame that was quick by chance does not make the next one miss it. */
#include "agn_rate.h"

#include "agn_device.h"
#include "agn_memory.h"

enum { SCALE_BITS = 10, FAR_BELOW = 2, MISS_FACTOR = 4 };

void agn_rate_init(struct agn_rate *rate)
{
    memset(rate, 0, sizeof *rate);
}

/* Bytes in 1024 ticks, at least 1. */
static uint32_t speed_of(uint32_t bytes, uint32_t begin, uint32_t end)
{
    uint32_t ticks = end - begin, most = UINT32_MAX >> SCALE_BITS;
    uint32_t speed = ((bytes < most ? bytes : most) << SCALE_BITS) / (ticks > 0 ? ticks : 1);
    return speed > 0 ? speed : 1;
}

/* A speed far below what is believed. One after another is believed, the better of the two. */
static void take_low(struct agn_rate *rate, uint32_t speed)
{
    if (rate->held > 0)
        rate->speed = speed > rate->held ? speed : rate->held;
    rate->held = speed;
}

void agn_rate_answered(struct agn_rate *rate, uint32_t bytes, uint32_t begin, uint32_t end)
{
    uint32_t speed = speed_of(bytes, begin, end), known = rate->speed;
    int is_anew = known == 0 || rate->misses > 1;
    rate->misses = rate->probes = 0;
    if (is_anew) {
        rate->speed = speed;
        rate->held = 0;
    } else if (speed < known / FAR_BELOW) {
        take_low(rate, speed);
    } else {
        uint32_t most = known < UINT32_MAX / 2 ? known * 2 : UINT32_MAX;
        rate->held = 0;
        if (speed <= known)
            rate->speed = known - (known - speed) / 2;
        else
            rate->speed = known + ((speed < most ? speed : most) - known + 1) / 2;
    }
}

void agn_rate_missed(struct agn_rate *rate, uint32_t bytes, uint32_t begin, uint32_t end)
{
    uint32_t speed = speed_of(bytes, begin, end) / 2, quarter = rate->speed / MISS_FACTOR;
    if (rate->speed > 0 && quarter < speed)
        speed = quarter;
    if (speed == 0)
        speed = 1;
    if (rate->misses < UINT8_MAX)
        rate->misses++;
    if (rate->misses > 1)
        rate->speed = speed;
    else if (rate->speed > 0)
        take_low(rate, speed);
}

uint32_t agn_rate_speed(const struct agn_rate *rate)
{
    return (uint32_t)((uint64_t)rate->speed * 1000 >> SCALE_BITS);
}

uint32_t agn_rate_budget(struct agn_rate *rate, uint32_t ticks, uint32_t least_bytes)
{
    uint64_t bytes = (uint64_t)rate->speed * ticks >> SCALE_BITS;
    if (rate->speed == 0)
        return AGN_DEV_NO_BUDGET;
    if (bytes >= least_bytes) {
        rate->skipped = 0;
        return bytes < AGN_DEV_NO_BUDGET ? (uint32_t)bytes : AGN_DEV_NO_BUDGET - 1;
    }
    if (++rate->skipped < 2U << rate->probes)
        return 0;
    rate->skipped = 0;
    if (2U << rate->probes < AGN_RATE_PROBE_EVERY)
        rate->probes++;
    return least_bytes;
}
