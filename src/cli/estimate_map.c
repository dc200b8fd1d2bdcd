/* Which of several systems costs least at each rate of the radio and clock of the processor, and how far the
 * second is behind. */
#include <math.h>
#include <stdlib.h>

#include "cli/estimate.h"

enum { STEPS = 33 }; /* of a range */

/* ---- axes ---------------------------------------------------------------------------------------- */

static int fail_axis(const char *option, const char *text)
{
    return agn_fail(AGN_ERR_ARG,
                    "%s %s: expected LOW:HIGH, or 2 to %d numbers A,B,..., above 0 and ascending", option,
                    text, AGN__ESTIMATE_AXIS);
}

static void divide(struct agn__estimate_axis *axis, bool by_factors)
{
    double low = axis->values[0], high = axis->values[1];
    axis->count = STEPS;
    for (int i = 0; i < STEPS; i++) {
        double share = (double)i / (STEPS - 1);
        axis->values[i] = by_factors ? low * pow(high / low, share) : low + share * (high - low);
    }
    axis->values[STEPS - 1] = high;
}

int agn__estimate_read_axis(const char *option, const char *text, bool by_factors,
                            struct agn__estimate_axis *axis)
{
    struct agn__estimate_axis read = {.count = 0};
    const char *at = text;
    char between = '\0'; /* ':' or ',' */
    for (;;) {
        char *end;
        double value = strtod(at, &end);
        bool rises = read.count == 0 || value > read.values[read.count - 1];
        if (end == at || !isfinite(value) || value <= 0.0 || !rises || read.count == AGN__ESTIMATE_AXIS)
            return fail_axis(option, text);
        read.values[read.count++] = value;
        if (*end == '\0')
            break;
        bool second_colon = read.count > 1 && (*end == ':' || between == ':');
        if ((*end != ',' && *end != ':') || second_colon)
            return fail_axis(option, text);
        between = *end;
        at = end + 1;
    }
    if (read.count < 2)
        return fail_axis(option, text);
    if (between == ':')
        divide(&read, by_factors);
    *axis = read;
    return AGN_OK;
}

/* ---- who takes part, and who wins ---------------------------------------------------------------- */

bool agn__estimate_takes_part(const struct agn__estimate_options *o, const struct agn__estimate *e)
{
    return o->accuracy < 0.0 || e->accuracy >= o->accuracy;
}

static void compare(struct agn__estimate_place *place, int system, double value)
{
    if (place->winner < 0 || value < place->value) {
        place->second = place->winner;
        place->second_value = place->value;
        place->winner = system;
        place->value = value;
    } else if (place->second < 0 || value < place->second_value) {
        place->second = system;
        place->second_value = value;
    }
}

static int find_best(struct agn__estimate_map *map, int c, int r)
{
    for (int m = 0; m < AGN__MEASURES; m++)
        map->places[m][c][r] = (struct agn__estimate_place){-1, -1, NAN, NAN};
    for (int i = 0; i < map->count; i++) {
        if (!map->takes_part[i])
            continue;
        struct agn_board board = map->systems[i].board;
        struct agn_radio radio = map->systems[i].radio;
        struct agn_cost cost;
        board.clock_mhz = map->clocks->values[c];
        radio.rate_kbps = map->rates->values[r];
        int status = agn_cost_frame(&board, &radio, &map->systems[i].work, &cost);
        if (status < 0)
            return status;
        compare(&map->places[AGN__LATENCY][c][r], i, cost.mean_ms.typical);
        compare(&map->places[AGN__ENERGY][c][r], i, cost.mean_mj.typical);
    }
    return AGN_OK;
}

static int fail_below(double accuracy, const struct agn__estimate *list, int count)
{
    const struct agn__estimate *best = NULL;
    for (int i = 0; i < count; i++)
        if (isfinite(list[i].accuracy) && (best == NULL || list[i].accuracy > best->accuracy))
            best = &list[i];
    if (best == NULL)
        return agn_fail(AGN_ERR_RANGE, "--accuracy %g: none of the files of --run says an accuracy",
                        accuracy);
    return agn_fail(AGN_ERR_RANGE, "--accuracy %g: no model reaches it; the best is %s with %g", accuracy,
                    best->name, best->accuracy);
}

int agn__estimate_map_make(const struct agn__estimate_options *o, const struct agn__estimate *list, int count,
                           struct agn__estimate_map *map)
{
    int part = 0;
    map->systems = list;
    map->count = count;
    map->rates = &o->rates;
    map->clocks = &o->clocks;
    for (int i = 0; i < count; i++) {
        map->takes_part[i] = agn__estimate_takes_part(o, &list[i]);
        part += map->takes_part[i];
    }
    if (part == 0)
        return fail_below(o->accuracy, list, count);
    int status = AGN_OK;
    for (int c = 0; c < map->clocks->count && status >= 0; c++)
        for (int r = 0; r < map->rates->count && status >= 0; r++)
            status = find_best(map, c, r);
    return status;
}

/* ---- CSV ------------------------------------------------------------------------------------------- */

static void write_place(FILE *stream, const struct agn__estimate_map *map, const char *measure,
                        const struct agn__estimate_place *place)
{
    fprintf(stream, "%s,", measure);
    agn_csv_field(stream, map->systems[place->winner].name);
    fprintf(stream, ",%.5g,", place->value);
    if (place->second >= 0) {
        agn_csv_field(stream, map->systems[place->second].name);
        fprintf(stream, ",%.5g", place->second_value);
    } else {
        fputc(',', stream);
    }
    fputc('\n', stream);
}

int agn__estimate_map_write(const char *path, const struct agn__estimate_map *map)
{
    static const char *const measures[AGN__MEASURES] = {"latency_ms", "energy_mj"};
    struct agn_file_out out;
    int status = agn_file_out_open(&out, path);
    if (status < 0)
        return status;
    fprintf(out.stream, "rate_kbps,clock_mhz,modelled,winner,value,second,second_value\n");
    for (int m = 0; m < AGN__MEASURES; m++)
        for (int r = 0; r < map->rates->count; r++)
            for (int c = 0; c < map->clocks->count; c++) {
                fprintf(out.stream, "%.6g,%.6g,", map->rates->values[r], map->clocks->values[c]);
                write_place(out.stream, map, measures[m], &map->places[m][c][r]);
            }
    return agn_file_out_commit(&out);
}
