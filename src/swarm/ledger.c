/* The books; see ledger.h. */
#include "swarm/ledger.h"

#include <math.h>
#include <string.h>

enum { FIRST_CAP = 1024 };

int agn__ledger_open(struct agn__ledger *ledger, double deadline_s, uint32_t first_token)
{
    memset(ledger, 0, sizeof *ledger);
    ledger->deadline_s = deadline_s;
    ledger->begin = ledger->first_open = ledger->end = first_token;
    ledger->cap = FIRST_CAP;
    ledger->ring = agn_alloc(ledger->cap, sizeof *ledger->ring);
    return ledger->ring ? 0 : AGN_ERR_MEMORY;
}

void agn__ledger_free(struct agn__ledger *ledger)
{
    agn_free(ledger->ring);
    ledger->ring = NULL;
}

void agn__ledger_clear(struct agn__ledger *ledger)
{
    ledger->begin = ledger->first_open = ledger->end;
    ledger->last_end_s = 0;
    memset(&ledger->report, 0, sizeof ledger->report);
    memset(&ledger->second, 0, sizeof ledger->second);
    agn__durations_clear(&ledger->prediction);
    agn__durations_clear(&ledger->answer);
    agn__durations_clear(&ledger->send_lag);
    agn__durations_clear(&ledger->this_second);
}

static struct agn__entry *entry_at(const struct agn__ledger *ledger, uint32_t number)
{
    return &ledger->ring[number & (ledger->cap - 1)];
}

static int grow(struct agn__ledger *ledger)
{
    uint32_t cap = 2 * ledger->cap;
    if (cap > 1u << (AGN__TOKEN_BITS - 1))
        return agn_fail(AGN_ERR_RANGE,
                        "more than %u frames at once without a prediction; take a lower rate or a "
                        "shorter deadline",
                        ledger->cap);
    struct agn__entry *ring = agn_alloc(cap, sizeof *ring);
    if (!ring)
        return AGN_ERR_MEMORY;
    for (uint32_t number = ledger->begin; number != ledger->end; number++)
        ring[number & (cap - 1)] = *entry_at(ledger, number);
    agn_free(ledger->ring);
    ledger->ring = ring;
    ledger->cap = cap;
    return 0;
}

int agn__ledger_enter(struct agn__ledger *ledger, double intended_s, uint32_t device, uint32_t image,
                      uint16_t frame, uint32_t *token)
{
    if (ledger->end - ledger->begin == ledger->cap) {
        int status = grow(ledger);
        if (status < 0)
            return status;
    }
    *entry_at(ledger, ledger->end) = (struct agn__entry){
        .intended_s = intended_s, .device = device, .image = image, .frame = frame, .outcome = AGN__OPEN};
    *token = ledger->end++ & AGN__TOKEN_MASK;
    ledger->report.offered++;
    return 0;
}

uint32_t agn__ledger_widen(const struct agn__ledger *ledger, uint16_t low, uint32_t device)
{
    uint32_t held = ledger->end - ledger->begin, latest = (uint16_t)(ledger->end - low);
    if (latest == 0)
        latest = UINT16_MAX + 1u;
    for (uint32_t age = latest; age <= held; age += UINT16_MAX + 1u)
        if (entry_at(ledger, ledger->end - age)->device == device)
            return (ledger->end - age) & AGN__TOKEN_MASK;
    return (ledger->end - latest) & AGN__TOKEN_MASK;
}

enum agn__found agn__ledger_find(struct agn__ledger *ledger, uint32_t token, uint32_t device,
                                 struct agn__entry **entry)
{
    uint32_t age = (ledger->end - token) & AGN__TOKEN_MASK; /* 1: the latest */
    if (age == 0 || age > ledger->end - ledger->begin)      /* forgotten, or never given out */
        return age != 0 && age <= 1u << (AGN__TOKEN_BITS - 1) ? AGN__FOUND_LATE : AGN__FOUND_STRANGER;
    struct agn__entry *found = entry_at(ledger, ledger->end - age);
    if (found->device != device || (found->outcome != AGN__OPEN && found->outcome != AGN__TIMED_OUT))
        return AGN__FOUND_STRANGER;
    if (found->outcome == AGN__TIMED_OUT)
        return AGN__FOUND_LATE;
    *entry = found;
    return AGN__FOUND_OPEN;
}

void agn__ledger_end(struct agn__ledger *ledger, struct agn__entry *entry, enum agn__outcome outcome,
                     double now_s, bool fused_right, bool local_right)
{
    struct agn_swarm_report *report = &ledger->report;
    bool is_answered = outcome == AGN__ANSWERED;
    double took_s = fmax(now_s - entry->intended_s, 0.0);
    entry->outcome = (uint8_t)outcome;
    ledger->last_end_s = fmax(ledger->last_end_s, now_s);
    report->answered += is_answered;
    report->fallbacks += !is_answered;
    report->timed_out += outcome == AGN__TIMED_OUT;
    report->busy += outcome == AGN__BUSY;
    report->rejected += outcome == AGN__REJECTED;
    report->overslept += outcome == AGN__OVERSLEPT;
    report->paused += outcome == AGN__PAUSED;
    report->correct += is_answered ? fused_right : local_right;
    report->local_correct += local_right;
    ledger->second.answered += is_answered;
    ledger->second.fallbacks += !is_answered;
    ledger->second.busy += outcome == AGN__BUSY;
    ledger->second.paused += outcome == AGN__PAUSED;
    agn__durations_add(&ledger->prediction, took_s);
    agn__durations_add(&ledger->this_second, took_s);
    if (is_answered)
        agn__durations_add(&ledger->answer, took_s);
}

struct agn__entry *agn__ledger_oldest(struct agn__ledger *ledger, double now_s)
{
    while (ledger->first_open != ledger->end && entry_at(ledger, ledger->first_open)->outcome != AGN__OPEN)
        ledger->first_open++;
    while (ledger->begin != ledger->first_open &&
           entry_at(ledger, ledger->begin)->intended_s + ledger->deadline_s <= now_s)
        ledger->begin++;
    return ledger->first_open != ledger->end ? entry_at(ledger, ledger->first_open) : NULL;
}

static struct agn_swarm_latency latency_of(const struct agn__durations *durations)
{
    return (struct agn_swarm_latency){.p50_ms = 1e3 * agn__durations_quantile(durations, 0.5),
                                      .p90_ms = 1e3 * agn__durations_quantile(durations, 0.9),
                                      .p99_ms = 1e3 * agn__durations_quantile(durations, 0.99),
                                      .p999_ms = 1e3 * agn__durations_quantile(durations, 0.999),
                                      .max_ms = durations->count > 0 ? 1e3 * durations->max_s : (double)NAN};
}

void agn__ledger_report(const struct agn__ledger *ledger, double load_s, double end_s,
                        struct agn_swarm_report *report)
{
    *report = ledger->report;
    double frames = (double)report->offered;
    report->lost_predictions = report->offered - report->answered - report->fallbacks;
    report->seconds = fmax(load_s, end_s);
    report->offered_fps = frames / load_s;
    report->achieved_fps = (double)report->answered / report->seconds;
    report->fallback_rate = (double)report->fallbacks / frames; /* 0/0 is NAN, as promised */
    report->accuracy = (double)report->correct / frames;
    report->local_accuracy = (double)report->local_correct / frames;
    report->bytes_mean = (double)report->bytes / frames;
    report->prediction = latency_of(&ledger->prediction);
    report->answer = latency_of(&ledger->answer);
    report->send_lag = latency_of(&ledger->send_lag);
}
