/* The picture of which of several systems costs least at which rate and clock. */
#include <assert.h>

#include "agilenn/plot.h"
#include "cli/estimate.h"

static_assert((int)AGN__ESTIMATE_MOST <= (int)AGN_PLOT_MAX_SYSTEMS, "all can be drawn");

enum { PLACES = AGN__ESTIMATE_AXIS * AGN__ESTIMATE_AXIS };

static void take_winners(const struct agn__estimate_map *map, int measure, unsigned char *best)
{
    for (int c = 0; c < map->clocks->count; c++)
        for (int r = 0; r < map->rates->count; r++)
            best[c * map->rates->count + r] = (unsigned char)map->places[measure][c][r].winner;
}

/* Of the models that take part, for the title. */
static const char *say_bytes(const struct agn__estimate_map *map)
{
    int measured = 0, part = 0;
    for (int i = 0; i < map->count; i++) {
        part += map->takes_part[i];
        measured += map->takes_part[i] && map->systems[i].bytes_are == AGN__FIGURES_MEASURED;
    }
    return measured == part ? "bytes measured" : measured > 0 ? "some bytes measured" : "bytes not measured";
}

int agn__estimate_plot(const char *path, const struct agn__estimate_options *o,
                       const struct agn__estimate_map *map)
{
    unsigned char best[AGN__MEASURES][PLACES];
    const char *names[AGN__ESTIMATE_MOST];
    char title[256], accuracy[64] = "";
    for (int i = 0; i < map->count; i++)
        names[i] = map->systems[i].name;
    for (int m = 0; m < AGN__MEASURES; m++)
        take_winners(map, m, best[m]);
    if (o->accuracy >= 0.0)
        snprintf(accuracy, sizeof accuracy, "accuracy of %.4g %% or more, ", 100.0 * o->accuracy);
    snprintf(title, sizeof title, "What costs least (modelled; %s%s): %s, %s", accuracy, say_bytes(map),
             map->systems->board.name, map->systems->radio.name);
    return agn_plot_best(path, &(struct agn_plot_best){.title = title,
                                                       .names = names,
                                                       .systems = map->count,
                                                       .rates_kbps = map->rates->values,
                                                       .rate_count = map->rates->count,
                                                       .clocks_mhz = map->clocks->values,
                                                       .clock_count = map->clocks->count,
                                                       .fastest = best[AGN__LATENCY],
                                                       .thriftiest = best[AGN__ENERGY]});
}
