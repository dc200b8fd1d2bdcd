/* A search's outcome as text, JSON and a picture. */
#include "cli/fit_report.h"

#include <math.h>
#include <string.h>

#include "agilenn/plot.h"

static const double KIB = 1024.0;

static bool is_latest(const struct agn_fit_report *r, const struct agn_fit_design *d)
{
    return d->rung == r->candidates[d->candidate].rung;
}

/* A design's figure under a limit, in the limit's unit. */
static double figure(const struct agn_fit_design *d, enum agn_fit_limit limit)
{
    const double figures[AGN_FIT_LIMITS] = {d->latency_ms, d->energy_mj, d->ram_bytes / KIB,
                                            d->flash_bytes / KIB, 100.0 * d->point.accuracy};
    return figures[limit];
}

static double in_unit(enum agn_fit_limit limit, double value)
{
    const double factors[AGN_FIT_LIMITS] = {1.0, 1.0, 1.0 / KIB, 1.0 / KIB, 100.0};
    return value * factors[limit];
}

static const char *unit(enum agn_fit_limit limit)
{
    static const char *const units[AGN_FIT_LIMITS] = {"ms", "mJ", "KiB", "KiB", "%"};
    return units[limit];
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_share(FILE *stream, double share)
{
    if (isfinite(share))
        fprintf(stream, " %6.2f", 100.0 * share);
    else
        fprintf(stream, " %6s", "-");
}

static void print_row(FILE *stream, const struct agn_fit_report *r, int i)
{
    const struct agn_fit_design *d = &r->designs[i];
    fprintf(stream, "%c %-21s",
            i == r->recommended ? '>'
            : d->missed != 0    ? '-'
                                : ' ',
            r->candidates[d->candidate].name);
    if (d->point.asked > 0.0)
        fprintf(stream, " %5g", d->point.asked);
    else
        fprintf(stream, " %5s", "");
    print_share(stream, d->point.accuracy);
    print_share(stream, d->local_accuracy);
    fprintf(stream, " %6.1f %6.0f %7.2f %8.2f %8.3f %6.1f %6.1f %4d\n", 100.0 * d->point.sent_share,
            d->packet_bytes, 1e-6 * d->instructions, d->latency_ms, d->energy_mj, d->ram_bytes / KIB,
            d->flash_bytes / KIB, d->rung + 1);
}

static void print_front(FILE *stream, const struct agn_fit_report *r)
{
    fprintf(stream,
            "\ndesigns that no other one beats in all (* modelled, typical values; - misses a limit)\n");
    fprintf(stream, "  %-21s %5s %6s %6s %6s %6s %7s %8s %8s %6s %6s %4s\n", "design", "asked", "acc %",
            "alone%", "sent %", "bytes", "M instr", "ms*", "mJ*", "RAM K", "fl. K", "rung");
    for (int i = 0; i < r->design_count; i++)
        if (r->designs[i].front || i == r->recommended)
            print_row(stream, r, i);
}

static void print_reason(FILE *stream, const struct agn_fit_config *config, const struct agn_fit_report *r)
{
    double top = 0.0, floor = config->limits.value[AGN_FIT_ACCURACY];
    int fitting = 0;
    for (int i = 0; i < r->design_count; i++)
        if (r->designs[i].missed == 0 && is_latest(r, &r->designs[i])) {
            fitting++;
            top = fmax(top, r->designs[i].point.accuracy);
        }
    if (floor > 0.0)
        fprintf(stream, "  of %d designs that meet every limit it takes the least energy\n", fitting);
    else
        fprintf(
            stream,
            "  %d designs meet every limit, the best with %.2f %%; of those within a standard error of it "
            "(%.2f points\n  on %d images) this one takes the least energy\n",
            fitting, 100.0 * top, 100.0 * sqrt(top * (1.0 - top) / fmax(r->measured_images, 1)),
            r->measured_images);
}

static void print_recommended(FILE *stream, const struct agn_fit_config *config,
                              const struct agn__fit_outcome *o)
{
    const struct agn_fit_report *r = o->report;
    const struct agn_fit_design *d = &r->designs[r->recommended];
    const struct agn_fit_candidate *c = &r->candidates[d->candidate];
    const struct agn_interval *ms = d->point.sent_share > 0.0 ? &d->cost.sent_ms : &d->cost.unsent_ms;
    fprintf(stream, "\nrecommended: %s (system %s)\n", c->name, c->preset.model.system);
    print_reason(stream, config, r);
    fprintf(stream, "  modelled: %.3g to %.3g ms a frame, %.3g to %.3g mJ\n", ms->low, ms->high,
            d->cost.mean_board_mj.low, d->cost.mean_board_mj.high);
    if (d->frames_per_second < 1.0)
        fprintf(stream, "  no more than one frame in %.3g s: radio, board or both allow no more\n",
                1.0 / d->frames_per_second);
    fprintf(stream, "  on %d test images, in float: %.2f %%", o->test_images, 100.0 * o->test.accuracy);
    if (isfinite(o->test_local))
        fprintf(stream, ", without a server %.2f %%", 100.0 * o->test_local);
    fprintf(stream, ", %.1f %% of the frames sent\n", 100.0 * o->test.sent_share);
    fprintf(stream, "  wrote %s/recommended.ini and %s/recommended.safetensors; next:\n", config->out,
            config->out);
    if (d->point.asked > 0.0 && strcmp(c->preset.model.system, "spinn") != 0)
        fprintf(stream, "    agilenn export %s/recommended.safetensors --sent %g\n", config->out,
                d->point.asked);
    else
        fprintf(stream, "    agilenn export %s/recommended.safetensors\n", config->out);
}

static void print_price(FILE *stream, const struct agn_fit_config *config, const struct agn_fit_report *r,
                        const struct agn_fit_price *p)
{
    enum agn_fit_limit limit = p->limit;
    fprintf(stream, "  %-8s %s %.4g %s: ", agn_fit_limit_name(limit),
            limit == AGN_FIT_ACCURACY ? "at least" : "at most", in_unit(limit, config->limits.value[limit]),
            unit(limit));
    if (p->without < 0) {
        fprintf(stream, "no design misses it alone\n");
        return;
    }
    const struct agn_fit_design *without = &r->designs[p->without];
    double with = p->with >= 0 ? r->designs[p->with].point.accuracy : NAN;
    if (limit != AGN_FIT_ACCURACY && isfinite(with) && without->point.accuracy > with)
        fprintf(stream, "costs %.2f points: %s reaches %.2f %% with %.4g %s (after rung %d)\n",
                100.0 * (without->point.accuracy - with), r->candidates[without->candidate].name,
                100.0 * without->point.accuracy, figure(without, limit), unit(limit), without->rung + 1);
    else if (limit != AGN_FIT_ACCURACY && isfinite(with))
        fprintf(stream,
                "costs nothing: the best without it reaches %.2f %%, with it %.2f %% (after rung %d)\n",
                100.0 * without->point.accuracy, 100.0 * with, without->rung + 1);
    else
        fprintf(stream, "without it %s reaches %.2f %% with %.4g %s\n",
                r->candidates[without->candidate].name, 100.0 * without->point.accuracy,
                figure(without, limit), unit(limit));
}

static void print_relaxation(FILE *stream, const struct agn_fit_report *r, const struct agn_fit_price *p)
{
    enum agn_fit_limit limit = p->limit;
    const char *name = agn_fit_limit_name(limit);
    if (p->nearest >= 0)
        fprintf(stream, "  --%s %.4g %s would do alone: %s, as measured after rung %d\n", name,
                figure(&r->designs[p->nearest], limit), unit(limit),
                r->candidates[r->designs[p->nearest].candidate].name, r->designs[p->nearest].rung + 1);
    else if (p->nearest_untrained >= 0)
        fprintf(stream, "  --%s %.4g %s would do alone, accuracy aside: %s, not trained\n", name,
                in_unit(limit, p->needed_untrained), unit(limit), r->candidates[p->nearest_untrained].name);
    else
        fprintf(stream, "  --%s: to relax it alone does not help\n", name);
}

static void print_dropped(FILE *stream, const struct agn_fit_report *r)
{
    fprintf(stream, "\n%d candidates, %d trainings in %.0f s:\n", r->candidate_count, r->trainings,
            r->seconds);
    for (int c = 0; c < r->candidate_count; c++) {
        const struct agn_fit_candidate *it = &r->candidates[c];
        if (it->dropped[0] != '\0')
            fprintf(stream, "  %-21s %s\n", it->name, it->dropped);
        else
            fprintf(stream, "  %-21s trained up to rung %d\n", it->name, it->rung + 1);
    }
}

void agn__fit_print(FILE *stream, const struct agn_fit_config *config, const struct agn__fit_outcome *o)
{
    const struct agn_fit_report *r = o->report;
    fprintf(stream, "board %s, radio %s (%g kbit/s)\n", config->board.name, config->radio.name,
            config->radio.rate_kbps);
    if (config->radio.packets_per_second > 0.0 && config->radio.packets_per_second < 1.0)
        fprintf(stream, "the radio allows one packet in %.3g s\n", 1.0 / config->radio.packets_per_second);
    print_dropped(stream, r);
    if (r->design_count > 0)
        print_front(stream, r);
    if (r->recommended >= 0) {
        print_recommended(stream, config, o);
        fprintf(stream, "\nwhat the limits cost, by what was measured:\n");
        for (int i = 0; i < r->price_count; i++)
            print_price(stream, config, r, &r->prices[i]);
        return;
    }
    fprintf(stream, "\nnothing fits. One limit at a time:\n");
    for (int i = 0; i < r->price_count; i++)
        print_relaxation(stream, r, &r->prices[i]);
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static json_t *interval_json(const struct agn_interval *interval)
{
    json_t *list = json_array();
    json_array_append_new(list, agn__cli_json_real(interval->low));
    json_array_append_new(list, agn__cli_json_real(interval->typical));
    json_array_append_new(list, agn__cli_json_real(interval->high));
    return list;
}

static json_t *missed_json(unsigned missed)
{
    json_t *list = json_array();
    for (int l = 0; l < AGN_FIT_LIMITS; l++)
        if (missed & 1U << l)
            json_array_append_new(list, json_string(agn_fit_limit_name((enum agn_fit_limit)l)));
    return list;
}

static json_t *design_json(const struct agn_fit_report *r, const struct agn_fit_design *d)
{
    const struct agn_fit_candidate *c = &r->candidates[d->candidate];
    const struct agn_interval *ms = d->point.sent_share > 0.0 ? &d->cost.sent_ms : &d->cost.unsent_ms;
    return json_pack("{s:s, s:s, s:i, s:f, s:b, s:o, s:f, s:o, s:f, s:f, s:f, s:f, s:o, s:o, s:f, s:f, s:o}",
                     "name", c->name, "system", c->preset.model.system, "rung", d->rung + 1, "asked",
                     d->point.asked, "front", (int)d->front, "misses", missed_json(d->missed), "accuracy",
                     d->point.accuracy, "local_accuracy", agn__cli_json_real(d->local_accuracy), "sent_share",
                     d->point.sent_share, "packet_bytes", d->packet_bytes, "packets", d->packets,
                     "instructions", d->instructions, "modelled_latency_ms", interval_json(ms),
                     "modelled_energy_mj", interval_json(&d->cost.mean_board_mj), "ram_bytes", d->ram_bytes,
                     "flash_bytes", d->flash_bytes, "modelled_frames_per_second",
                     agn__cli_json_real(d->frames_per_second));
}

static json_t *prices_json(const struct agn_fit_config *config, const struct agn_fit_report *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->price_count; i++) {
        const struct agn_fit_price *p = &r->prices[i];
        double without = p->without >= 0 ? r->designs[p->without].point.accuracy : NAN;
        double with = p->with >= 0 ? r->designs[p->with].point.accuracy : NAN;
        double nearest = p->nearest >= 0             ? figure(&r->designs[p->nearest], p->limit)
                         : p->nearest_untrained >= 0 ? in_unit(p->limit, p->needed_untrained)
                                                     : NAN;
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:f, s:o, s:o, s:o}", "limit", agn_fit_limit_name(p->limit), "unit",
                            unit(p->limit), "allowed", in_unit(p->limit, config->limits.value[p->limit]),
                            "accuracy_without", agn__cli_json_real(without), "accuracy_with",
                            agn__cli_json_real(with), "nearest", agn__cli_json_real(nearest)));
    }
    return list;
}

static json_t *candidates_json(const struct agn_fit_report *r)
{
    json_t *list = json_array();
    for (int c = 0; c < r->candidate_count; c++) {
        const struct agn_fit_candidate *it = &r->candidates[c];
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:f, s:f, s:o}", "name", it->name, "system",
                                              it->preset.model.system, "rungs", it->rung + 1, "ram_bytes",
                                              it->ram_bytes, "flash_bytes", it->flash_bytes, "dropped",
                                              agn__cli_json_string(it->dropped)));
    }
    return list;
}

json_t *agn__fit_json(const struct agn_fit_config *config, const struct agn__fit_outcome *o)
{
    const struct agn_fit_report *r = o->report;
    json_t *designs = json_array();
    for (int i = 0; i < r->design_count; i++)
        if (r->designs[i].front)
            json_array_append_new(designs, design_json(r, &r->designs[i]));
    bool found = r->recommended >= 0;
    json_t *object =
        json_pack("{s:s, s:s, s:f, s:i, s:i, s:i, s:o, s:o, s:o, s:o}", "board", config->board.name, "radio",
                  config->radio.name, "seconds", r->seconds, "trainings", r->trainings, "rungs", r->rungs,
                  "measured_images", r->measured_images, "recommended",
                  found ? design_json(r, &r->designs[r->recommended]) : json_null(), "front", designs,
                  "limits", prices_json(config, r), "candidates", candidates_json(r));
    if (object != NULL && found)
        json_object_set_new(object, "test",
                            json_pack("{s:i, s:f, s:o, s:f}", "images", o->test_images, "accuracy",
                                      o->test.accuracy, "local_accuracy", agn__cli_json_real(o->test_local),
                                      "sent_share", o->test.sent_share));
    return object;
}

/* ---- the picture --------------------------------------------------------------------------------- */

int agn__fit_draw(const struct agn_fit_config *config, const struct agn_fit_report *r)
{
    char path[1100], title[256];
    struct agn_plot_design *designs = agn_alloc((size_t)r->design_count + 1, sizeof *designs);
    struct agn_plot_front front = {.title = title,
                                   .designs = designs,
                                   .marked = -1,
                                   .latency_limit_ms = config->limits.value[AGN_FIT_LATENCY],
                                   .energy_limit_mj = config->limits.value[AGN_FIT_ENERGY]};
    if (designs == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < r->design_count; i++) {
        const struct agn_fit_design *d = &r->designs[i];
        if (!is_latest(r, d))
            continue;
        front.marked = i == r->recommended ? front.count : front.marked;
        designs[front.count++] = (struct agn_plot_design){r->candidates[d->candidate].name, d->latency_ms,
                                                          d->energy_mj, d->point.accuracy, d->front};
    }
    snprintf(path, sizeof path, "%s/fit.png", config->out);
    snprintf(title, sizeof title, "%s, %s: accuracy as measured, costs as modelled", config->board.name,
             config->radio.name);
    int status = front.count > 0 ? agn_plot_front(path, &front) : AGN_OK;
    agn_free(designs);
    return status;
}
