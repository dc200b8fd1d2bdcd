/* The search for the highest rate that a server sustains. */
#include "swarm/swarm_internal.h"

static const double lowest_fps = 1.0, highest_fps = 1e6;
static const double late_share = 0.1; /* of the deadline: more lag than this is too much */
enum { TRIES = 6, FAILURES = 2 };
static const double default_limit = 0.01, default_precision = 0.05;

struct search {
    struct agn_swarm *swarm;
    const struct agn_swarm_ramp *ramp;
    struct agn_swarm_ramp_report *report;
    double limit;
};

/* One run at a rate. 1: sustained; 0: not, or interrupted. */
static int try_once(const struct search *search, double rate_fps, struct agn_swarm_report *report)
{
    struct agn_swarm_load load = search->ramp->load;
    load.rate_fps = rate_fps;
    int status = agn__swarm_pause(search->swarm);
    if (status == 0)
        status = agn_swarm_run(search->swarm, &load, report);
    if (status < 0)
        return status;
    search->report->interrupted = agn_interrupt_requested();
    bool sustained =
        !search->report->interrupted && report->offered > 0 && report->fallback_rate <= search->limit;
    if (search->ramp->step)
        search->ramp->step(search->ramp->step_user, report, sustained);
    return sustained;
}

/* A step in which the generator had no turn in time says nothing of the server. */
static bool is_void(const struct agn_swarm_report *report, double deadline_ms)
{
    return report->overslept > 0 || report->send_lag.p99_ms > late_share * deadline_ms;
}

/* A hiccup of the machine fails a step once, a limit of the server twice. */
static int try_rate(const struct search *search, double rate_fps)
{
    struct agn_swarm_report report = {0};
    int status = 0, failures = 0;
    for (int i = 0; i < TRIES && failures < FAILURES && status == 0 && !search->report->interrupted; i++) {
        status = try_once(search, rate_fps, &report);
        failures += status == 0 && !is_void(&report, agn__swarm_deadline_ms(search->swarm));
    }
    if (status < 0)
        return status;
    if (status > 0)
        search->report->found = true;
    bool tells = report.offered > 0 || search->report->highest.offered == 0;
    if (status > 0 || (!search->report->found && tells))
        search->report->highest = report;
    return status;
}

/* Finds *low sustained and *high not, a factor of 2 apart. *low is 0: nothing is sustained; *high:
 * everything. */
static int bracket(const struct search *search, double *low, double *high)
{
    double rate = search->ramp->load.rate_fps;
    *low = *high = 0;
    while (rate >= lowest_fps && rate <= highest_fps && (*low <= 0 || *high <= 0)) {
        int status = try_rate(search, rate);
        if (status < 0 || search->report->interrupted)
            return status;
        if (status > 0)
            *low = rate;
        else
            *high = rate;
        rate = status > 0 ? 2 * rate : rate / 2;
    }
    return 0;
}

static int narrow(const struct search *search, double low, double high)
{
    double precision = search->ramp->precision > 0 ? search->ramp->precision : default_precision;
    while (high > low * (1 + precision) && !search->report->interrupted) {
        double middle = (low + high) / 2;
        int status = try_rate(search, middle);
        if (status < 0)
            return status;
        if (status > 0)
            low = middle;
        else
            high = middle;
    }
    return 0;
}

int agn_swarm_ramp(struct agn_swarm *swarm, const struct agn_swarm_ramp *ramp,
                   struct agn_swarm_ramp_report *report)
{
    *report = (struct agn_swarm_ramp_report){0};
    if (!(ramp->load.rate_fps >= lowest_fps && ramp->load.rate_fps <= highest_fps))
        return agn_fail(AGN_ERR_ARG, "a search that begins at %g frames/s, expected %g to %g",
                        ramp->load.rate_fps, lowest_fps, highest_fps);
    const struct search search = {.swarm = swarm,
                                  .ramp = ramp,
                                  .report = report,
                                  .limit = ramp->fallback_limit > 0 ? ramp->fallback_limit : default_limit};
    double low, high;
    int status = bracket(&search, &low, &high);
    if (status == 0 && low > 0 && high > 0 && !report->interrupted)
        status = narrow(&search, low, high);
    if (status < 0 || !report->found || report->interrupted)
        return status < 0 ? status : 0;
    status = try_once(&search, report->highest.offered_fps / 2, &report->half);
    return status < 0 ? status : 0;
}
