/* The schedule; see schedule.h. */
#include "swarm/arrivals.h"

#include <math.h>

void agn__schedule_begin(struct agn__schedule *schedule, double rate_fps, bool fixed, double end_s,
                         uint32_t devices, uint32_t images, uint64_t seed)
{
    *schedule = (struct agn__schedule){
        .rate_fps = rate_fps, .end_s = end_s, .fixed = fixed, .devices = devices, .images = images};
    agn_rng_seed(&schedule->rng, seed);
}

bool agn__schedule_next(struct agn__schedule *schedule, struct agn__arrival *arrival)
{
    struct agn__arrival made;
    if (schedule->fixed) {
        made.at_s = (double)schedule->made / schedule->rate_fps;
        made.device = (uint32_t)(schedule->made % schedule->devices);
    } else {
        schedule->poisson_s -= log1p(-agn_rng_uniform(&schedule->rng)) / schedule->rate_fps;
        made.at_s = schedule->poisson_s;
        made.device = agn_rng_below(&schedule->rng, schedule->devices);
    }
    made.image = agn_rng_below(&schedule->rng, schedule->images);
    if (made.at_s >= schedule->end_s)
        return false;
    schedule->made++;
    *arrival = made;
    return true;
}
