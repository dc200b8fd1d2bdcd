/* The last minutes of a server, from its counters once a second. */
#ifndef AGN_MONITOR_HISTORY_H
#define AGN_MONITOR_HISTORY_H

#include <stdbool.h>

#include "agilenn/monitor.h"

enum { AGN__HISTORY_MOMENTS = 300, AGN__HISTORY_WINDOW = 10 };

/* What happened between two snapshots. Figures that had nothing to count are NAN. */
struct agn__rates {
    double seconds;
    /* a second */
    double packets, frames, replies, bytes_in, bytes_out, bad_packets, unanswered;
    double partial_share; /* of the frames given to the Remote NN, 0 to 1 */
    double frames_a_batch;
    double latency_p50_s, latency_p90_s, latency_p99_s;
    double queue_wait_p50_s, queue_wait_p99_s;
    double inference_p50_s, inference_p99_s;
    double accuracy, fallback_share; /* of the predictions reported, 0 to 1 */
};

struct agn__moment {
    struct agn__rates rates; /* since the moment before */
    int queue_depth, peers;
};

struct agn__history {
    struct agn__moment moments[AGN__HISTORY_MOMENTS]; /* a ring */
    int count, next;
    struct agn__snapshot {
        double at_s;
        struct agn_server_stats stats;
        struct agn_monitor_truth truth;
    } window[AGN__HISTORY_WINDOW + 1]; /* a ring: the latest snapshots */
    int snapshots, next_snapshot;
    struct agn_monitor_truth truth; /* all reports so far; the monitor adds them here */
    double loop_moved_s;            /* when the server's own clock was last seen to move */
};

/* Adds what the server says at `now_s` (agn_now_s). The first snapshot makes no moment yet. */
void agn__history_add(struct agn__history *history, double now_s, const struct agn_server_stats *stats);

/* Moment `index` from the oldest (0) to the latest (history->count - 1). */
const struct agn__moment *agn__history_moment(const struct agn__history *history, int index);

/* From the oldest snapshot kept (10 s old at most, but for late ticks) to `stats` of `now_s`. */
void agn__history_recent(const struct agn__history *history, double now_s,
                         const struct agn_server_stats *stats, struct agn__rates *rates);

/* The server's clock has stood still for longer than `limit_s`. A clock that never began does not count. */
bool agn__history_is_stalled(const struct agn__history *history, double now_s, double limit_s);

/* Sums over kinds. */
uint64_t agn__stats_bad_packets(const struct agn_server_stats *stats);
uint64_t agn__stats_unanswered(const struct agn_server_stats *stats);

#endif
