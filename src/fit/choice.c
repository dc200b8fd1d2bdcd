/* Which design is better, which misses what, and what a limit costs. No training, no files. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/targets.h"
#include "fit/fit_internal.h"

enum { OBJECTIVES = 5 };

static const char *const limit_names[AGN_FIT_LIMITS] = {"latency", "energy", "ram", "flash", "accuracy"};

const char *agn_fit_limit_name(enum agn_fit_limit limit)
{
    return limit_names[limit];
}

/* ---- what a design costs ---------------------------------------------------------------- */

int agn__fit_design_make(const struct agn_fit_config *config, const struct agn_fit_candidate *candidate,
                         const struct agn_fit_result *result, const struct agn_fit_point *point,
                         struct agn_fit_design *design)
{
    struct agn_work work = candidate->work;
    struct agn_fit_design made = {.rung = -1, .local_accuracy = NAN};
    agn__fit_speak(config->protocol, config->base.data.classes, &work);
    made.point = point != NULL ? *point : (struct agn_fit_point){0.0, NAN, work.sent_share};
    if (result != NULL && result->packets >= 1.0) { /* as counted in that version */
        work.packets = result->packets;
        work.packet_bytes = result->packet_bytes;
        if (result->encode_instructions > 0.0)
            work.encode_instructions = result->encode_instructions;
    }
    if (result != NULL)
        made.local_accuracy = result->local_accuracy;
    double room = config->radio.longest_bytes - config->radio.header_bytes;
    if (room > 0.0 && work.packet_bytes > work.packets * room) /* the device makes smaller packets there */
        work.packets = ceil(work.packet_bytes / room);
    work.sent_share = made.point.sent_share;
    int status = agn_cost_frame(&config->board, &config->radio, &work, &made.cost);
    if (status < 0)
        return status;
    made.packets = work.packets;
    made.packet_bytes = work.packet_bytes;
    made.instructions =
        work.extract_instructions + work.local_instructions + work.sent_share * work.encode_instructions;
    made.ram_bytes = candidate->ram_bytes;
    made.flash_bytes = candidate->flash_bytes;
    made.latency_ms = work.sent_share > 0.0 ? fmax(made.cost.sent_ms.typical, made.cost.unsent_ms.typical)
                                            : made.cost.unsent_ms.typical;
    made.energy_mj = made.cost.mean_board_mj.typical;
    made.frames_per_second = made.cost.frames_per_second.typical;
    *design = made;
    return AGN_OK;
}

/* ---- limits ----------------------------------------------------------------------------------- */

/* What the library itself takes of the board's processor, whatever the model. */
static int check_memory(const struct agn_fit_limits *limits, const struct agn_board *board)
{
    const struct agn_target *target = agn_target_find(board->target);
    if (target == NULL)
        return agn_fail(AGN_ERR_RANGE, "board %s: there is no processor '%s'", board->name, board->target);
    double code = target->sizes[AGN_OPTIMISE_SPEED][AGN_RUNTIME_LEAST].code_bytes;
    double ram = target->state_bytes + (double)AGN_WIRE_MAX_PACKET;
    if (limits->value[AGN_FIT_FLASH] > 0.0 && limits->value[AGN_FIT_FLASH] <= code)
        return agn_fail(AGN_ERR_RANGE,
                        "--flash %g bytes: the library's code alone takes %g on a %s, without any model",
                        limits->value[AGN_FIT_FLASH], code, target->name);
    if (limits->value[AGN_FIT_RAM] > 0.0 && limits->value[AGN_FIT_RAM] <= ram)
        return agn_fail(AGN_ERR_RANGE,
                        "--ram %g bytes: the library's state and a packet alone take %g on a %s, without any "
                        "model",
                        limits->value[AGN_FIT_RAM], ram, target->name);
    return AGN_OK;
}

int agn_fit_check_limits(const struct agn_fit_limits *limits, const struct agn_board *board,
                         const struct agn_radio *radio)
{
    const struct agn_work nothing = {0};
    struct agn_cost least;
    for (int l = 0; l < AGN_FIT_LIMITS; l++)
        if (!(limits->value[l] >= 0.0) || isinf(limits->value[l]))
            return agn_fail(AGN_ERR_RANGE, "--%s: expected a number above 0", limit_names[l]);
    if (limits->value[AGN_FIT_ACCURACY] > 1.0)
        return agn_fail(AGN_ERR_RANGE,
                        "--accuracy %g: accuracy is a share of the images, at most 1 (0.9 is 90 %%)",
                        limits->value[AGN_FIT_ACCURACY]);
    int status = agn_cost_frame(board, radio, &nothing, &least);
    if (status < 0)
        return status;
    double latency = limits->value[AGN_FIT_LATENCY], energy = limits->value[AGN_FIT_ENERGY];
    if (latency > 0.0 && latency <= least.unsent_ms.low)
        return agn_fail(AGN_ERR_RANGE,
                        "--latency %g ms: board %s takes %.3g ms for the image alone, before anything is "
                        "computed",
                        latency, board->name, least.unsent_ms.low);
    if (energy > 0.0 && energy <= least.mean_board_mj.low)
        return agn_fail(AGN_ERR_RANGE,
                        "--energy %g mJ: board %s draws %.3g mJ in the time of an image alone, before "
                        "anything is computed",
                        energy, board->name, least.mean_board_mj.low);
    return check_memory(limits, board);
}

double agn__fit_figure(const struct agn_fit_design *design, enum agn_fit_limit limit)
{
    const double figures[AGN_FIT_LIMITS] = {design->latency_ms, design->energy_mj, design->ram_bytes,
                                            design->flash_bytes, design->point.accuracy};
    return figures[limit];
}

double agn__fit_excess(const struct agn_fit_design *design, const struct agn_fit_limits *limits,
                       enum agn_fit_limit limit)
{
    double allowed = limits->value[limit], figure = agn__fit_figure(design, limit);
    if (!(allowed > 0.0) || isnan(figure))
        return 0.0;
    return limit == AGN_FIT_ACCURACY ? (allowed - figure) / allowed : (figure - allowed) / allowed;
}

unsigned agn_fit_missed(const struct agn_fit_design *design, const struct agn_fit_limits *limits)
{
    unsigned missed = 0;
    for (int l = 0; l < AGN_FIT_LIMITS; l++)
        if (agn__fit_excess(design, limits, (enum agn_fit_limit)l) > 0.0)
            missed |= 1U << l;
    return missed;
}

unsigned agn__fit_surely_missed(const struct agn_fit_design *design, const struct agn_fit_limits *limits)
{
    struct agn_fit_design low = *design;
    low.latency_ms = design->point.sent_share > 0.0
                         ? fmax(design->cost.sent_ms.low, design->cost.unsent_ms.low)
                         : design->cost.unsent_ms.low;
    low.energy_mj = design->cost.mean_board_mj.low;
    return agn_fit_missed(&low, limits) & ~(1U << AGN_FIT_ACCURACY);
}

void agn__fit_say_missed(const struct agn_fit_design *design, const struct agn_fit_limits *limits,
                         unsigned missed, char text[AGN_FIT_REASON])
{
    static const struct {
        const char *unit;
        double scale;
    } units[AGN_FIT_LIMITS] = {{"ms", 1.0}, {"mJ", 1.0}, {"KiB", 1024.0}, {"KiB", 1024.0}, {"%", 0.01}};
    size_t used = 0;
    text[0] = '\0';
    for (int l = 0; l < AGN_FIT_LIMITS && used < AGN_FIT_REASON; l++) {
        if ((missed & 1U << l) == 0)
            continue;
        int length =
            snprintf(text + used, AGN_FIT_REASON - used, "%s%s %.4g %s, allowed %.4g", used > 0 ? "; " : "",
                     limit_names[l], agn__fit_figure(design, (enum agn_fit_limit)l) / units[l].scale,
                     units[l].unit, limits->value[l] / units[l].scale);
        used += length > 0 ? (size_t)length : 0;
    }
}

/* ---- dominance ----------------------------------------------------------------------------- */

/* All as costs. */
static void objectives(const struct agn_fit_design *d, double values[OBJECTIVES])
{
    const double all[OBJECTIVES] = {-d->point.accuracy, d->latency_ms, d->energy_mj, d->ram_bytes,
                                    d->flash_bytes};
    memcpy(values, all, sizeof all);
}

bool agn_fit_dominates(const struct agn_fit_design *a, const struct agn_fit_design *b)
{
    double of_a[OBJECTIVES], of_b[OBJECTIVES];
    bool better = false;
    objectives(a, of_a);
    objectives(b, of_b);
    for (int i = 0; i < OBJECTIVES; i++) {
        if (!(of_a[i] <= of_b[i]))
            return false;
        better = better || of_a[i] < of_b[i];
    }
    return better;
}

void agn_fit_mark_front(struct agn_fit_design *designs, int count)
{
    for (int i = 0; i < count; i++) {
        designs[i].front = true;
        for (int j = 0; j < count && designs[i].front; j++)
            designs[i].front = !agn_fit_dominates(&designs[j], &designs[i]);
    }
}

/* ---- the choice -------------------------------------------------------------------------------- */

/* The most accurate of those that miss nothing; of equals the one of less energy. */
static int most_accurate(const struct agn_fit_design *designs, int count, int rung)
{
    int best = -1;
    for (int i = 0; i < count; i++) {
        const struct agn_fit_design *d = &designs[i];
        if (d->missed != 0 || (rung >= 0 && d->rung != rung))
            continue;
        if (best < 0 || d->point.accuracy > designs[best].point.accuracy ||
            (d->point.accuracy == designs[best].point.accuracy && d->energy_mj < designs[best].energy_mj))
            best = i;
    }
    return best;
}

int agn_fit_recommend(const struct agn_fit_design *designs, int count, const struct agn_fit_limits *limits,
                      int images)
{
    int best = most_accurate(designs, count, -1), chosen = best;
    if (best < 0)
        return -1;
    double top = designs[best].point.accuracy;
    double error = images > 0 ? sqrt(top * (1.0 - top) / images) : 0.0;
    double floor = limits->value[AGN_FIT_ACCURACY] > 0.0 ? limits->value[AGN_FIT_ACCURACY] : top - error;
    for (int i = 0; i < count; i++)
        if (designs[i].missed == 0 && designs[i].point.accuracy >= floor &&
            designs[i].energy_mj < designs[chosen].energy_mj)
            chosen = i;
    return chosen;
}

/* The most accurate design of a rung that misses this limit and no other. */
static int best_without(const struct agn_fit_report *r, enum agn_fit_limit limit, int rung)
{
    int best = -1;
    for (int i = 0; i < r->design_count; i++)
        if (r->designs[i].missed == 1U << limit && r->designs[i].rung == rung &&
            (best < 0 || r->designs[i].point.accuracy > r->designs[best].point.accuracy))
            best = i;
    return best;
}

/* The one that misses this limit and no other, and by the least. */
static int nearest(const struct agn_fit_design *designs, int count, const struct agn_fit_limits *limits,
                   enum agn_fit_limit limit)
{
    int best = -1;
    for (int i = 0; i < count; i++)
        if (designs[i].missed == 1U << limit &&
            (best < 0 ||
             agn__fit_excess(&designs[i], limits, limit) < agn__fit_excess(&designs[best], limits, limit)))
            best = i;
    return best;
}

void agn__fit_find_prices(struct agn_fit_report *report, const struct agn_fit_limits *limits,
                          const struct agn_fit_design *untrained, int untrained_count)
{
    report->price_count = 0;
    for (int l = 0; l < AGN_FIT_LIMITS; l++) {
        enum agn_fit_limit limit = (enum agn_fit_limit)l;
        if (!(limits->value[l] > 0.0))
            continue;
        struct agn_fit_price price = {.limit = limit, .without = -1, .with = -1};
        for (int rung = report->rungs - 1; rung >= 0 && price.without < 0; rung--) {
            price.without = best_without(report, limit, rung);
            price.with = most_accurate(report->designs, report->design_count, rung);
        }
        price.nearest = nearest(report->designs, report->design_count, limits, limit);
        int untrained_one = nearest(untrained, untrained_count, limits, limit);
        price.nearest_untrained = untrained_one < 0 ? -1 : untrained[untrained_one].candidate;
        if (untrained_one >= 0)
            price.needed_untrained = agn__fit_figure(&untrained[untrained_one], limit);
        report->prices[report->price_count++] = price;
    }
}

/* ---- who goes on --------------------------------------------------------------------------------- */

static bool is_in(const int *list, int count, int candidate)
{
    for (int i = 0; i < count; i++)
        if (list[i] == candidate)
            return true;
    return false;
}

static int bits_in(unsigned missed)
{
    int bits = 0;
    for (; missed != 0; missed &= missed - 1)
        bits++;
    return bits;
}

/* Accuracy is still to grow, so that a floor says nothing about who goes on. */
static int misses(const struct agn_fit_design *design)
{
    return bits_in(design->missed & ~(1U << AGN_FIT_ACCURACY));
}

/* The best design of a candidate that is not chosen yet: by accuracy, or by energy among those near the top;
 * of those that miss least. */
static int best_left(const struct agn_fit_design *designs, int count, const int *chosen, int chosen_count,
                     bool by_energy)
{
    const double near_top = 0.05;
    int best = -1, least = AGN_FIT_LIMITS;
    double top = 0.0;
    for (int i = 0; i < count; i++)
        if (!is_in(chosen, chosen_count, designs[i].candidate))
            least = misses(&designs[i]) < least ? misses(&designs[i]) : least;
    for (int i = 0; i < count; i++)
        if (misses(&designs[i]) <= least)
            top = fmax(top, designs[i].point.accuracy);
    for (int i = 0; i < count; i++) {
        const struct agn_fit_design *d = &designs[i];
        if (is_in(chosen, chosen_count, d->candidate) || misses(d) > least)
            continue;
        if (by_energy && d->point.accuracy < top - near_top)
            continue;
        if (best < 0 || (by_energy ? d->energy_mj < designs[best].energy_mj
                                   : d->point.accuracy > designs[best].point.accuracy))
            best = i;
    }
    return best;
}

static bool of_one_system(const struct agn_fit_candidate *a, const struct agn_fit_candidate *b)
{
    const struct agn_system *of_a = NULL, *of_b = NULL;
    (void)agn_system_find(a->preset.model.system, &of_a);
    (void)agn_system_find(b->preset.model.system, &of_b);
    return of_a == of_b;
}

/* The most accurate candidate of a system of which none is chosen yet, however it compares with others:
 * splits learn slower than a device alone does, and would be gone before they catch up. One that knows less
 * than half of what the best knows has not begun to learn. */
static int best_of_another_system(const struct agn_fit_candidate *candidates,
                                  const struct agn_fit_design *designs, int count, const int *chosen,
                                  int chosen_count)
{
    int best = -1, least = AGN_FIT_LIMITS;
    double top = 0.0;
    for (int i = 0; i < count; i++) {
        least = misses(&designs[i]) < least ? misses(&designs[i]) : least;
        top = fmax(top, designs[i].point.accuracy);
    }
    for (int i = 0; i < count; i++) {
        const struct agn_fit_design *d = &designs[i];
        bool is_new = misses(d) <= least && d->point.accuracy >= 0.5 * top;
        for (int j = 0; j < chosen_count && is_new; j++)
            is_new = !of_one_system(&candidates[d->candidate], &candidates[chosen[j]]);
        if (is_new && (best < 0 || d->point.accuracy > designs[best].point.accuracy))
            best = i;
    }
    return best;
}

int agn__fit_choose_survivors(const struct agn_fit_candidate *candidates,
                              const struct agn_fit_design *designs, int count, int most,
                              int survivors[AGN_FIT_MOST])
{
    int chosen = 0, others = 0;
    for (int i = 0; i < count && chosen == 0; i++)
        if (candidates[designs[i].candidate].is_base)
            survivors[chosen++] = designs[i].candidate;
    most += chosen;
    while (chosen < most && chosen < AGN_FIT_MOST) {
        int best = best_of_another_system(candidates, designs, count, survivors, chosen);
        if (best < 0)
            best = best_left(designs, count, survivors, chosen, others++ % 2 == 1);
        if (best < 0)
            best = best_left(designs, count, survivors, chosen, false);
        if (best < 0)
            break;
        survivors[chosen++] = designs[best].candidate;
    }
    return chosen;
}
