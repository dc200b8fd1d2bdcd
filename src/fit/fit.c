/* The search from its settings to its report. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fit/fit_internal.h"

enum { SETTINGS_BYTES = 12288 };

/* ---- settings ------------------------------------------------------------------------------- */

/* All that decides the search but its time. */
static int format_settings(const struct agn_fit_config *config, char *text, size_t cap)
{
    struct agn_preset base = config->base;
    const double *limits = config->limits.value;
    base.data.path[0] = '\0';
    int length =
        snprintf(text, cap,
                 "board = %s at %g MHz\nradio = %s at %g kbit/s\nlatency = %g\nenergy = %g\nram = "
                 "%g\nflash = %g\naccuracy = %g\nprotocol = %d\nwith the base = %d\nimages = %d and %d\n",
                 config->board.name, config->board.clock_mhz, config->radio.name, config->radio.rate_kbps,
                 limits[AGN_FIT_LATENCY], limits[AGN_FIT_ENERGY], limits[AGN_FIT_RAM], limits[AGN_FIT_FLASH],
                 limits[AGN_FIT_ACCURACY], config->protocol, config->with_base, config->train->count,
                 config->validation->count);
    if (length < 0 || (size_t)length >= cap)
        return agn_fail(AGN_ERR_SPACE, "the settings are too long a text");
    return agn_preset_format(&base, text + length, cap - (size_t)length);
}

static int open_book(const struct agn_fit_config *config, struct agn__fit_book **book)
{
    char path[1024];
    char *settings = agn_alloc(SETTINGS_BYTES, 1);
    int status = settings == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status >= 0 && !config->resume)
        status = agn_make_dirs(config->out);
    if (status >= 0)
        status = agn__fit_path(config->out, "fit", "sqlite", path);
    if (status >= 0)
        status = format_settings(config, settings, SETTINGS_BYTES);
    if (status >= 0)
        status = agn__fit_book_open(path, settings, config->resume, book);
    agn_free(settings);
    return status < 0 ? status : AGN_OK;
}

/* ---- before training ------------------------------------------------------------------------------ */

/* What the candidate misses before it is trained; `design` is of that. */
static int weigh(const struct agn_fit_config *config, struct agn_fit_candidate *candidate,
                 struct agn_fit_design *design)
{
    int status = agn__fit_design_make(config, candidate, NULL, NULL, design);
    if (status < 0)
        return status;
    /* Bytes are a guess still: strong compression leaves so much of the usual ones. */
    const double least_bytes = 0.4;
    struct agn_fit_design least;
    struct agn_fit_candidate *low = agn_alloc(1, sizeof *low);
    if (low == NULL)
        return AGN_ERR_MEMORY;
    *low = *candidate;
    low->work.packet_bytes *= least_bytes;
    low->work.packets = ceil(low->work.packets * least_bytes);
    status = agn__fit_design_make(config, low, NULL, NULL, &least);
    agn_free(low);
    if (status < 0)
        return status;
    candidate->cost = design->cost;
    candidate->missed = agn__fit_surely_missed(&least, &config->limits);
    return AGN_OK;
}

/* From the book, or by building it. */
static int look_at(struct agn__fit_search *s, int number, struct agn_fit_design *design)
{
    const struct agn_fit_config *config = s->config;
    struct agn_fit_candidate *c = &s->report->candidates[number];
    int status = agn__fit_book_candidate(s->book, number, c);
    bool known = status == AGN_OK;
    *design = (struct agn_fit_design){.candidate = number, .missed = ~0U, .rung = -1};
    if (status < 0 && status != AGN_ERR_NOT_FOUND)
        return status;
    status = AGN_OK;
    if (!known && c->dropped[0] == '\0')
        status = s->trainer.needs(s->trainer.user, &config->board, c);
    if (status >= 0 && c->ram_bytes > 0.0)
        status = weigh(config, c, design);
    if (status == AGN_ERR_MEMORY || status == AGN_ERR_INTERRUPTED)
        return status;
    if (status < 0 && c->dropped[0] == '\0')
        snprintf(c->dropped, sizeof c->dropped, "cannot be built: %.220s", agn_error_message());
    design->candidate = number;
    design->missed = status >= 0 && c->ram_bytes > 0.0 ? agn_fit_missed(design, &config->limits) : ~0U;
    if (known)
        return AGN_OK;
    if (status >= 0 && c->dropped[0] == '\0' && c->missed != 0)
        agn__fit_say_missed(design, &config->limits, c->missed, c->dropped);
    return agn__fit_book_add_candidate(s->book, number, c);
}

/* The larger one of those that miss this limit alone is trained a little, to learn what the limit costs. */
static int keep_probe(struct agn__fit_search *s, enum agn_fit_limit limit)
{
    int best = -1;
    struct agn_fit_report *r = s->report;
    for (int c = 0; c < r->candidate_count; c++)
        if (r->candidates[c].missed == 1U << limit &&
            (best < 0 ||
             r->candidates[c].work.extract_instructions > r->candidates[best].work.extract_instructions))
            best = c;
    if (best < 0)
        return AGN_OK;
    r->candidates[best].dropped[0] = '\0';
    return agn__fit_book_drop(s->book, best, "");
}

static int look_at_all(struct agn__fit_search *s, struct agn_fit_design *untrained)
{
    struct agn_fit_report *r = s->report;
    double images;
    int members[AGN_FIT_MOST], count, fit = 0, status = AGN_OK;
    for (int c = 0; c < r->candidate_count && status == AGN_OK; c++) {
        status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "the search was interrupted")
                                           : look_at(s, c, &untrained[c]);
        fit += r->candidates[c].dropped[0] == '\0';
    }
    if (status < 0)
        return status;
    int begun = agn__fit_book_rung(s->book, 0, &images, members, &count);
    if (begun != 0 || fit < 3)
        return begun < 0 ? begun : AGN_OK;
    for (int l = 0; l < AGN_FIT_LIMITS && status == AGN_OK; l++)
        if (l != AGN_FIT_ACCURACY)
            status = keep_probe(s, (enum agn_fit_limit)l);
    return status;
}

/* ---- the report ------------------------------------------------------------------------------------- */

static int collect(struct agn__fit_search *s)
{
    struct agn_fit_report *r = s->report;
    r->designs = agn_alloc((size_t)AGN_FIT_RUNGS * AGN_FIT_MOST * AGN_FIT_POINTS, sizeof *r->designs);
    if (r->designs == NULL)
        return AGN_ERR_MEMORY;
    r->design_count = r->trainings = 0;
    for (int rung = 0; rung < AGN_FIT_RUNGS; rung++) {
        for (int c = 0; c < r->candidate_count; c++) {
            struct agn_fit_result result;
            int status = agn__fit_book_result(s->book, c, rung, &result);
            r->trainings += status > 0;
            if (status > 0) {
                r->candidates[c].rung = rung;
                r->measured_images = result.measured_images;
            }
            for (int p = 0; status > 0 && p < result.count; p++) {
                struct agn_fit_design *d = &r->designs[r->design_count];
                if (agn__fit_design_make(s->config, &r->candidates[c], &result, &result.points[p], d) < 0)
                    continue; /* more than the radio takes */
                d->candidate = c;
                d->rung = rung;
                d->missed = agn_fit_missed(d, &s->config->limits);
                r->design_count++;
            }
            if (status < 0)
                return status;
        }
    }
    return AGN_OK;
}

/* Of each candidate the designs of its last rung are what there is to choose from; they come last. */
static int sort_latest(struct agn_fit_report *r)
{
    struct agn_fit_design *sorted = agn_alloc((size_t)(r->design_count + 1), sizeof *sorted);
    int earlier = 0, at = 0;
    if (sorted == NULL)
        return AGN_ERR_MEMORY;
    for (int latest = 0; latest < 2; latest++) {
        for (int i = 0; i < r->design_count; i++)
            if ((r->designs[i].rung == r->candidates[r->designs[i].candidate].rung) == (latest == 1))
                sorted[at++] = r->designs[i];
        earlier = latest == 0 ? at : earlier;
    }
    memcpy(r->designs, sorted, (size_t)r->design_count * sizeof *sorted);
    agn_free(sorted);
    return earlier;
}

static int conclude(struct agn__fit_search *s, const struct agn_fit_design *untrained)
{
    struct agn_fit_report *r = s->report;
    int status = collect(s);
    int earlier = status < 0 ? status : sort_latest(r);
    if (earlier < 0)
        return earlier;
    agn_fit_mark_front(r->designs + earlier, r->design_count - earlier);
    r->recommended = agn_fit_recommend(r->designs + earlier, r->design_count - earlier, &s->config->limits,
                                       r->measured_images);
    r->recommended += r->recommended >= 0 ? earlier : 0;
    agn__fit_find_prices(r, &s->config->limits, untrained, r->candidate_count);
    r->seconds = agn__fit_used_s(s);
    return AGN_OK;
}

/* ---- all of it ------------------------------------------------------------------------------------------
 */

static int search(struct agn__fit_search *s)
{
    struct agn_fit_design *untrained = agn_alloc(AGN_FIT_MOST, sizeof *untrained);
    int status = untrained == NULL ? AGN_ERR_MEMORY : agn__fit_book_seconds(s->book, &s->before_s);
    s->report->candidate_count = agn_fit_space(&s->config->base, s->config->with_base, s->report->candidates);
    if (status == AGN_OK)
        status = look_at_all(s, untrained);
    if (status == AGN_OK)
        status = agn__fit_halve(s);
    if (status == AGN_OK)
        status = conclude(s, untrained);
    agn_free(untrained);
    return status;
}

int agn_fit_run(const struct agn_fit_config *config, struct agn_fit_report **report)
{
    struct agn__fit_trial trial = {config};
    struct agn__fit_search s = {.config = config};
    s.trainer = config->trainer != NULL ? *config->trainer : agn__fit_real_trainer(&trial);
    s.begun_s = s.trainer.now(s.trainer.user);
    int status = agn_fit_check_limits(&config->limits, &config->board, &config->radio);
    if (status == AGN_OK)
        status = open_book(config, &s.book);
    s.report = agn_alloc(1, sizeof *s.report);
    if (status == AGN_OK && s.report == NULL)
        status = AGN_ERR_MEMORY;
    if (status == AGN_OK)
        status = search(&s);
    agn__fit_book_close(s.book);
    if (status < 0) {
        agn_fit_report_free(s.report);
        return status;
    }
    *report = s.report;
    return AGN_OK;
}

void agn_fit_report_free(struct agn_fit_report *report)
{
    if (report == NULL)
        return;
    agn_free(report->designs);
    agn_free(report);
}
