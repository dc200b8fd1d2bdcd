/* Tables and picture of a swarm's run; see swarm_report.h. */
#include "cli/swarm_report.h"

#include <math.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/plot.h"

enum { PATH_BYTES = 4096, HUNDREDTHS = 99, TAIL = 5, SHARES = HUNDREDTHS + TAIL };

static const double tail[TAIL] = {0.995, 0.999, 0.9995, 0.9999, 1.0};

/* ---- seconds ------------------------------------------------------------------------------ */

void agn__seconds_add(struct agn__seconds *seconds, const struct agn_swarm_second *second)
{
    if (seconds->count == seconds->cap) {
        size_t cap = 2 * seconds->cap + 64;
        struct agn_swarm_second *items = agn_alloc(cap, sizeof *items);
        if (!items) {
            seconds->lacks_some = true;
            return;
        }
        if (seconds->count > 0)
            memcpy(items, seconds->items, seconds->count * sizeof *items);
        agn_free(seconds->items);
        seconds->items = items;
        seconds->cap = cap;
    }
    seconds->items[seconds->count++] = *second;
}

void agn__seconds_write_header(FILE *out)
{
    fprintf(out, "second,offered,answered,fallbacks,late,busy,p50_ms,p99_ms,max_ms,paused\n");
}

void agn__seconds_write(FILE *out, const struct agn_swarm_second *s)
{
    fprintf(out, "%d,%llu,%llu,%llu,%llu,%llu,%.4g,%.4g,%.4g,%llu\n", s->second,
            (unsigned long long)s->offered, (unsigned long long)s->answered, (unsigned long long)s->fallbacks,
            (unsigned long long)s->late, (unsigned long long)s->busy, s->p50_ms, s->p99_ms, s->max_ms,
            (unsigned long long)s->paused);
}

/* ---- files --------------------------------------------------------------------------------- */

struct latency {
    double shares[SHARES], prediction_ms[SHARES], answer_ms[SHARES];
};

static void read_latency(const struct agn_swarm *swarm, struct latency *latency)
{
    for (int i = 0; i < SHARES; i++) {
        latency->shares[i] = i < HUNDREDTHS ? (i + 1) / 100.0 : tail[i - HUNDREDTHS];
        latency->prediction_ms[i] = agn_swarm_quantile_ms(swarm, false, latency->shares[i]);
        latency->answer_ms[i] = agn_swarm_quantile_ms(swarm, true, latency->shares[i]);
    }
}

static int write_seconds(const char *folder, const struct agn__seconds *seconds)
{
    char path[PATH_BYTES];
    struct agn_file_out out;
    int status = agn_path_in(path, sizeof path, folder, "seconds.csv");
    if (status == AGN_OK)
        status = agn_file_out_open(&out, path);
    if (status != AGN_OK)
        return status;
    agn__seconds_write_header(out.stream);
    for (size_t i = 0; i < seconds->count; i++)
        agn__seconds_write(out.stream, &seconds->items[i]);
    return agn_file_out_commit(&out);
}

static int write_latency(const char *folder, const struct latency *latency)
{
    char path[PATH_BYTES];
    struct agn_file_out out;
    int status = agn_path_in(path, sizeof path, folder, "latency.csv");
    if (status == AGN_OK)
        status = agn_file_out_open(&out, path);
    if (status != AGN_OK)
        return status;
    fprintf(out.stream, "share,prediction_ms,answer_ms\n");
    for (int i = 0; i < SHARES; i++)
        fprintf(out.stream, "%.4g,%.4g,%.4g\n", latency->shares[i], latency->prediction_ms[i],
                latency->answer_ms[i]);
    return agn_file_out_commit(&out);
}

static int write_figures(const char *folder, const json_t *figures)
{
    char path[PATH_BYTES];
    struct agn_file_out out;
    int status = figures ? agn_path_in(path, sizeof path, folder, "report.json") : AGN_ERR_MEMORY;
    if (status == AGN_OK)
        status = agn_file_out_open(&out, path);
    if (status != AGN_OK)
        return status;
    if (json_dumpf(figures, out.stream, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) < 0 && !ferror(out.stream)) {
        agn_file_out_abort(&out);
        return AGN_ERR_MEMORY;
    }
    fputc('\n', out.stream);
    return agn_file_out_commit(&out);
}

/* The last second is not drawn when it is none: a drop at the end would look like one of the server's. */
static int draw(const char *folder, const struct agn_swarm_report *report, const struct agn__seconds *seconds,
                const struct latency *latency)
{
    char path[PATH_BYTES], title[160];
    size_t whole = (size_t)((double)report->offered / report->offered_fps + 1e-6); /* seconds of load */
    size_t count = whole > 0 && whole < seconds->count ? whole : seconds->count;
    struct agn_plot_second *points = agn_alloc(seconds->count + 1, sizeof *points);
    int status = points ? agn_path_in(path, sizeof path, folder, "load.png") : AGN_ERR_MEMORY;
    for (size_t i = 0; i < count && points; i++) {
        const struct agn_swarm_second *s = &seconds->items[i];
        points[i] = (struct agn_plot_second){.offered = (double)s->offered,
                                             .answered = (double)s->answered,
                                             .failed = (double)(s->fallbacks - s->paused),
                                             .paused = (double)s->paused,
                                             .p50_ms = s->p50_ms,
                                             .p99_ms = s->p99_ms,
                                             .max_ms = s->max_ms};
    }
    snprintf(title, sizeof title, "%.1f frames/s from %d devices: %.1f answers/s, %.2f %% local predictions",
             report->offered_fps, report->devices, report->achieved_fps, 100 * report->fallback_rate);
    if (status == AGN_OK)
        status = agn_plot_load(path, &(struct agn_plot_load){.title = title,
                                                             .seconds = points,
                                                             .count = (int)count,
                                                             .shares = latency->shares,
                                                             .prediction_ms = latency->prediction_ms,
                                                             .answer_ms = latency->answer_ms,
                                                             .share_count = SHARES});
    agn_free(points);
    return status;
}

int agn__swarm_report_write(const char *folder, const struct agn_swarm *swarm,
                            const struct agn_swarm_report *report, const struct agn__seconds *seconds,
                            const json_t *figures)
{
    struct latency latency;
    if (seconds->lacks_some)
        return AGN_ERR_MEMORY;
    read_latency(swarm, &latency);
    int status = agn_make_dirs(folder);
    if (status == AGN_OK)
        status = write_seconds(folder, seconds);
    if (status == AGN_OK)
        status = write_latency(folder, &latency);
    if (status == AGN_OK)
        status = write_figures(folder, figures);
    if (status == AGN_OK)
        status = draw(folder, report, seconds, &latency);
    return status;
}
