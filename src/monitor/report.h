/* What the monitor tells: the server's counters as Prometheus text and as JSON. */
#ifndef AGN_MONITOR_REPORT_H
#define AGN_MONITOR_REPORT_H

#include <stddef.h>

#include "monitor/history.h"

/* A server that can be told about, and since when it does not answer. */
struct agn__view {
    struct agn_server_stats stats;
    const struct agn__history *history;
    double now_s; /* when `stats` was taken */
};

/* All good, or why not: a word of a few letters that never changes ("draining", "stalled", "no model"). */
const char *agn__view_health(const struct agn__view *view);    /* NULL = healthy */
const char *agn__view_readiness(const struct agn__view *view); /* NULL = ready */

/* Text of a model's name, if it is a path the last two parts of it, that is valid UTF-8 without control
 * characters, at most AGN_SERVER_NAME_BYTES with its zero byte; other bytes become '?'. */
void agn__plain_name(const char name[AGN_SERVER_NAME_BYTES], char plain[AGN_SERVER_NAME_BYTES]);

/* Each gives text that the caller frees with free(), its length in *size_bytes, or NULL (no memory). */
char *agn__metrics_text(const struct agn__view *view, size_t *size_bytes);
char *agn__status_text(const struct agn__view *view, size_t *size_bytes);

#endif
