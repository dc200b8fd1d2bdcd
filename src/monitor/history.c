/* Rates and percentiles over spans of time, as differences of counters. */
#include "monitor/history.h"

#include <math.h>
#include <string.h>

uint64_t agn__stats_bad_packets(const struct agn_server_stats *stats)
{
    return stats->bad_malformed + stats->bad_checksum + stats->bad_version + stats->bad_codec +
           stats->bad_range + stats->bad_model;
}

uint64_t agn__stats_unanswered(const struct agn_server_stats *stats)
{
    return stats->frames_evicted + stats->refused_busy + stats->dropped_expired + stats->replies_failed;
}

/* A counter that went back belongs to a server that began anew: it counts from 0. */
static double grown(uint64_t older, uint64_t newer)
{
    return (double)(newer >= older ? newer - older : newer);
}

static double quantile_between(const struct agn_server_histogram *older,
                               const struct agn_server_histogram *newer, double quantile)
{
    struct agn_server_histogram between = {.max_s = newer->max_s};
    for (int i = 0; i < AGN_SERVER_LATENCY_BUCKETS; i++) {
        between.buckets[i] = (uint64_t)grown(older->buckets[i], newer->buckets[i]);
        between.count += between.buckets[i];
    }
    return between.count > 0 ? agn_server_quantile_s(&between, quantile) : NAN;
}

static void judge(const struct agn_monitor_truth *older, const struct agn_monitor_truth *newer,
                  struct agn__rates *rates)
{
    double predictions = grown(older->predictions, newer->predictions);
    rates->accuracy = predictions > 0.0 ? grown(older->correct, newer->correct) / predictions : NAN;
    rates->fallback_share = predictions > 0.0 ? grown(older->fallbacks, newer->fallbacks) / predictions : NAN;
}

static void rates_between(const struct agn_server_stats *older, const struct agn_server_stats *newer,
                          double seconds, struct agn__rates *rates)
{
    double a_second = seconds > 0.0 ? 1.0 / seconds : 0.0;
    double complete = grown(older->frames_complete, newer->frames_complete);
    double partial = grown(older->frames_partial, newer->frames_partial);
    double batches = grown(older->batches, newer->batches);
    *rates = (struct agn__rates){
        .seconds = seconds,
        .packets = a_second * grown(older->packets, newer->packets),
        .frames = a_second * grown(older->frames, newer->frames),
        .replies = a_second * grown(older->replies, newer->replies),
        .bytes_in = a_second * grown(older->bytes_in, newer->bytes_in),
        .bytes_out = a_second * grown(older->bytes_out, newer->bytes_out),
        .bad_packets = a_second * grown(agn__stats_bad_packets(older), agn__stats_bad_packets(newer)),
        .unanswered = a_second * grown(agn__stats_unanswered(older), agn__stats_unanswered(newer)),
        .partial_share = complete + partial > 0.0 ? partial / (complete + partial) : NAN,
        .frames_a_batch = batches > 0.0 ? grown(older->inferences, newer->inferences) / batches : NAN,
        .latency_p50_s = quantile_between(&older->latency, &newer->latency, 0.5),
        .latency_p90_s = quantile_between(&older->latency, &newer->latency, 0.9),
        .latency_p99_s = quantile_between(&older->latency, &newer->latency, 0.99),
        .queue_wait_p50_s = quantile_between(&older->queue_wait, &newer->queue_wait, 0.5),
        .queue_wait_p99_s = quantile_between(&older->queue_wait, &newer->queue_wait, 0.99),
        .inference_p50_s = quantile_between(&older->inference, &newer->inference, 0.5),
        .inference_p99_s = quantile_between(&older->inference, &newer->inference, 0.99),
    };
}

/* The snapshot added `back` turns before the latest (0). */
static const struct agn__snapshot *snapshot(const struct agn__history *history, int back)
{
    int slots = AGN__HISTORY_WINDOW + 1;
    return &history->window[(history->next_snapshot + slots - 1 - back) % slots];
}

void agn__history_add(struct agn__history *history, double now_s, const struct agn_server_stats *stats)
{
    if (history->snapshots == 0) {
        history->loop_moved_s = now_s;
    } else {
        const struct agn__snapshot *before = snapshot(history, 0);
        if (stats->uptime_s != before->stats.uptime_s)
            history->loop_moved_s = now_s;
        struct agn__moment *moment = &history->moments[history->next];
        rates_between(&before->stats, stats, now_s - before->at_s, &moment->rates);
        judge(&before->truth, &history->truth, &moment->rates);
        moment->queue_depth = stats->queue_depth;
        moment->peers = stats->peers;
        history->next = (history->next + 1) % AGN__HISTORY_MOMENTS;
        history->count += history->count < AGN__HISTORY_MOMENTS;
    }
    history->window[history->next_snapshot] = (struct agn__snapshot){now_s, *stats, history->truth};
    history->next_snapshot = (history->next_snapshot + 1) % (AGN__HISTORY_WINDOW + 1);
    history->snapshots += history->snapshots <= AGN__HISTORY_WINDOW;
}

const struct agn__moment *agn__history_moment(const struct agn__history *history, int index)
{
    int oldest = history->next + AGN__HISTORY_MOMENTS - history->count;
    return &history->moments[(oldest + index) % AGN__HISTORY_MOMENTS];
}

void agn__history_recent(const struct agn__history *history, double now_s,
                         const struct agn_server_stats *stats, struct agn__rates *rates)
{
    if (history->snapshots == 0) {
        rates_between(stats, stats, 0.0, rates);
        judge(&history->truth, &history->truth, rates);
        return;
    }
    int back = history->snapshots - 1;
    back = back < AGN__HISTORY_WINDOW ? back : AGN__HISTORY_WINDOW;
    const struct agn__snapshot *oldest = snapshot(history, back);
    rates_between(&oldest->stats, stats, now_s - oldest->at_s, rates);
    judge(&oldest->truth, &history->truth, rates);
}

bool agn__history_is_stalled(const struct agn__history *history, double now_s, double limit_s)
{
    return history->snapshots > 0 && snapshot(history, 0)->stats.uptime_s > 0.0 &&
           now_s - history->loop_moved_s > limit_s;
}
