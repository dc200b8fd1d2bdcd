/* What a server does, over HTTP: metrics, health checks and a page that shows it live.
 *
 *     GET /             one self-contained page
 *     GET /status.json  what the page shows
 *     GET /metrics      Prometheus text format 0.0.4 (docs/MONITORING.md lists the metrics)
 *     GET /healthz      200 while the server works, 503 when it drains or its loop stands still
 *     GET /readyz       200 when new frames are welcome, else 503
 *     POST /report      only where reports are accepted: see agn_monitor_report
 *
 * A connection serves one request. The monitor has one thread. It reads counters through one function of the
 * caller's, takes nothing in but reports where these are accepted, and shows no keys, paths or addresses of
 * devices. It is meant for an operator's network: it has no encryption and no passwords of its own. */
#ifndef AGILENN_MONITOR_H
#define AGILENN_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "agilenn/server.h"

struct agn_monitor;

/* Fills `stats`. Called from the monitor's thread once a second and before answers; must not wait long. */
typedef void agn_monitor_snapshot_fn(void *user, struct agn_server_stats *stats);

/* A value of 0 or NULL asks for the default in brackets. */
struct agn_monitor_config {
    const char *listen; /* "[ADDRESS:]PORT": IP address or host name ["127.0.0.1"]; port 0 takes any free one;
                           IPv6 addresses in brackets, as in "[::1]:9090". Needed. */
    agn_monitor_snapshot_fn *snapshot; /* needed */
    void *user;
    bool accept_reports; /* take POST /report from whoever reaches the port [no] */
    int max_connections; /* open at once; more wait for their turn [32] */
    uint32_t
        request_timeout_ms; /* from a connection's begin to its answer's end; then it is closed [10000] */
};

/* Listens and serves from a thread of its own until agn_monitor_stop. AGN_ERR_ARG: bad configuration;
 * AGN_ERR_BUSY: port in use; AGN_ERR_IO: any other refusal of the address; AGN_ERR_NOT_FOUND: unknown host;
 * AGN_ERR_MEMORY. */
int agn_monitor_start(struct agn_monitor **monitor, const struct agn_monitor_config *config);

/* The TCP port that the monitor listens at, and the page's address, as in "http://127.0.0.1:9090/". */
uint16_t agn_monitor_port(const struct agn_monitor *monitor);
const char *agn_monitor_url(const struct agn_monitor *monitor);

/* Closes all connections, ends the thread and frees everything; `snapshot` is not called any more. NULL is
 * allowed. Stop the monitor before what `user` points to goes. */
void agn_monitor_stop(struct agn_monitor *monitor);

/* ---- what only the devices' side knows ------------------------------------------------------ */

/* Predictions that were judged against labels. */
struct agn_monitor_truth {
    uint64_t predictions; /* final ones, with the server's part or without */
    uint64_t correct;     /* of these */
    uint64_t fallbacks;   /* of these, local ones */
    uint64_t paused;      /* of these, in pauses that a busy server had asked for */
};

/* A test rig tells a monitor what has come since its last report, at "[http://]HOST:PORT[/]". Waits for the
 * answer, 2 s for each step at most. AGN_ERR_ARG, AGN_ERR_NOT_FOUND (the host), AGN_ERR_IO, or
 * AGN_ERR_UNSUPPORTED: the monitor takes no reports. */
int agn_monitor_report(const char *url, const struct agn_monitor_truth *truth);

#endif
