/* The choice of a cut and a threshold; see agn_split.h. */
#include "agn_split.h"

#include "agn_memory.h"

/* Means follow by an eighth of the difference. */
enum { SCALE_BITS = 10, FOLLOW_BITS = 3 };

/* Bytes between two cuts from which on a slope can be told. */
static const uint32_t least_spread = 32;

void agn_split_init(struct agn_split *split, const struct agn_split_profile *profile)
{
    memset(split, 0, sizeof *split);
    split->profile = profile;
    split->device = UINT32_C(1) << SCALE_BITS;
}

static uint32_t clamped(uint64_t ticks)
{
    return ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

/* ---- what is measured ------------------------------------------------------------------------ */

/* numerator / denominator in 2^-SCALE_BITS, of numbers as large as may be: no processor here divides 64 bits
 * by itself. denominator > 0. */
static uint32_t ratio(uint64_t numerator, uint64_t denominator)
{
    const uint64_t most = UINT64_C(1) << (32 - SCALE_BITS);
    while (numerator >= most || denominator >= most) {
        numerator >>= 1;
        denominator >>= 1;
    }
    return denominator > 0 ? ((uint32_t)numerator << SCALE_BITS) / (uint32_t)denominator : UINT32_MAX;
}

void agn_split_worked(struct agn_split *split, unsigned cut, uint32_t ticks)
{
    uint32_t profiled = split->profile->cut[cut].device;
    if (profiled == 0)
        return;
    int64_t scale = ratio(ticks, profiled);
    split->device = (uint32_t)(split->device + ((scale - split->device) >> FOLLOW_BITS));
}

/* Slope of the least squares line through exchanges, each counting less than the one after it. */
static void fit(struct agn_split *split)
{
    const uint64_t least = (uint64_t)least_spread * least_spread >> FOLLOW_BITS;
    if (split->variance >= least)
        split->slope = split->covariance > 0 ? ratio((uint64_t)split->covariance, split->variance) : 0;
}

/* Another exchange into means, of which it makes up 2^-bits; dx, dy: how far it is from them. */
static void mix(struct agn_split *split, int64_t dx, int64_t dy, unsigned bits)
{
    int64_t others = (INT64_C(1) << bits) - 1;
    split->bytes = (uint32_t)(split->bytes + (dx >> bits));
    split->ticks = (uint32_t)(split->ticks + (dy >> bits));
    split->variance = (split->variance + (uint64_t)(dx * dx >> bits)) * (uint64_t)others >> bits;
    split->covariance = (split->covariance + (dx * dy >> bits)) * others >> bits;
}

/* Bytes and ticks up to 2^23: 84 seconds in hundredths of a millisecond. */
static void take(struct agn_split *split, unsigned cut, uint32_t bytes, uint32_t ticks)
{
    const uint32_t most = UINT32_C(1) << 23;
    uint32_t server = split->profile->cut[cut].server;
    ticks = ticks > server ? ticks - server : 0;
    ticks = ticks < most ? ticks : most;
    bytes = bytes < most ? bytes : most;
    if (split->known == 0) {
        split->bytes = bytes;
        split->ticks = ticks;
        split->known = 1;
        return;
    }
    /* The second one weighs as much as the first. */
    int64_t dx = (int64_t)bytes - split->bytes, dy = (int64_t)ticks - split->ticks;
    if (split->known == 1)
        mix(split, dx, dy, 1);
    else
        mix(split, dx, dy, FOLLOW_BITS);
    split->known = 2;
    fit(split);
}

void agn_split_answered(struct agn_split *split, unsigned cut, uint32_t bytes, uint32_t ticks)
{
    take(split, cut, bytes, ticks);
    if (!split->probing) {
        split->sent = (uint8_t)(split->sent < AGN_SPLIT_PROBE_EVERY ? split->sent + 1 : split->sent);
        return;
    }
    split->sent = 0;
}

/* Of a frame that is cut there and sent, without the server. */
static uint32_t link_ticks(const struct agn_split *split, uint32_t bytes)
{
    int64_t beyond = (int64_t)bytes - split->bytes;
    int64_t ticks = split->ticks + (beyond * split->slope >> SCALE_BITS);
    return ticks > 0 ? clamped((uint64_t)ticks) : 0;
}

void agn_split_missed(struct agn_split *split, unsigned cut, uint32_t bytes, uint32_t ticks)
{
    uint64_t expected =
        split->known ? (uint64_t)link_ticks(split, bytes) + split->profile->cut[cut].server : 0;
    agn_split_answered(split, cut, bytes, ticks > expected ? ticks : clamped(expected));
}

/* ---- the choice -------------------------------------------------------------------------------- */

static uint32_t device_ticks(const struct agn_split *split, unsigned cut)
{
    return clamped((uint64_t)split->profile->cut[cut].device * split->device >> SCALE_BITS);
}

uint32_t agn_split_expected(const struct agn_split *split, unsigned cut, unsigned rule)
{
    const struct agn_split_profile *profile = split->profile;
    const struct agn_split_cut *at = &profile->cut[cut];
    uint64_t sum = 0;
    uint32_t stay = AGN_SPLIT_ONE;
    for (unsigned c = 0; c <= cut; c++) {
        uint32_t left = profile->rule[rule].left[c] < stay ? profile->rule[rule].left[c] : stay;
        sum += (uint64_t)left * device_ticks(split, c);
        stay -= left;
    }
    sum += stay * ((uint64_t)device_ticks(split, cut) + link_ticks(split, at->bytes) + at->server);
    return clamped(sum / AGN_SPLIT_ONE);
}

static uint16_t best_right(const struct agn_split_profile *profile)
{
    uint16_t best = 0;
    for (unsigned r = 0; r < profile->rules; r++)
        for (unsigned c = 0; c < profile->cuts; c++)
            best = profile->rule[r].right[c] > best ? profile->rule[r].right[c] : best;
    return best;
}

/* May the cut be tried, of which the link's speed is to be learned? A frame of another size than those of
 * late; at first the deepest one, which is the smallest as a rule. */
static int can_probe(const struct agn_split *split, unsigned cut)
{
    uint32_t bytes = split->profile->cut[cut].bytes;
    if (split->known == 0)
        return cut + 1u == split->profile->cuts;
    return bytes + least_spread <= split->bytes || split->bytes + least_spread <= bytes;
}

/* The best way, or the best one that can tell of the link. 0: there is none, and `way` stays as it is. */
static int find_way(const struct agn_split *split, int probes, unsigned needed, struct agn_split_way *way)
{
    uint32_t least = 0;
    int any = 0;
    for (unsigned c = 0; c < split->profile->cuts; c++) {
        if (probes && !can_probe(split, c))
            continue;
        for (unsigned r = 0; r < split->profile->rules; r++) {
            uint32_t ticks = agn_split_expected(split, c, r);
            if (split->profile->rule[r].right[c] < needed || (any && ticks >= least))
                continue;
            any = 1;
            least = ticks;
            way->cut = (uint8_t)c;
            way->rule = (uint8_t)r;
        }
    }
    return any;
}

void agn_split_choose(struct agn_split *split, struct agn_split_way *way)
{
    const struct agn_split_profile *profile = split->profile;
    unsigned best = best_right(profile), needed = best > profile->allowed ? best - profile->allowed : 0;
    way->cut = way->rule = 0;
    find_way(split, 0, needed, way);
    split->probing =
        (split->known < 2 || split->sent >= AGN_SPLIT_PROBE_EVERY) && find_way(split, 1, needed, way);
    way->exit = profile->rule[way->rule].exit;
}
