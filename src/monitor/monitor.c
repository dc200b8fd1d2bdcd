/* The monitor's thread: takes a snapshot a second, answers requests, closes connections that dawdle. HTTP
 * itself is libmicrohttpd's, driven from this thread's own loop, so that nothing here needs a lock. What is
 * told is report.h's and page.h's. */
#define _GNU_SOURCE
#include "agilenn/monitor.h"

#include <errno.h>
#include <math.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "monitor/history.h"
#include "monitor/listen.h"
#include "monitor/page.h"
#include "monitor/report.h"
#include "monitor/truth.h"

enum {
    DEFAULT_CONNECTIONS = 32,
    MAX_CONNECTIONS = 1024,
    DEFAULT_TIMEOUT_MS = 10000,
    MAX_TIMEOUT_MS = 600000,
    CONNECTION_BYTES = 16 * 1024, /* request line and headers, and what waits to be sent */
};
#define TICK_S    1.0
#define LOOK_S    0.2 /* how often dawdlers are looked for */
#define CROWDED_S 1.0 /* the time limit while others wait for a place */

struct connection {
    int fd; /* -1 = free */
    double opened_s;
};

struct agn_monitor {
    agn_monitor_snapshot_fn *snapshot;
    void *user;
    bool accept_reports;
    double timeout_s;
    struct agn__listener listener;
    struct MHD_Daemon *daemon;
    struct connection *connections;
    int max_connections;
    struct agn__page page;
    struct agn__history history;
    double next_tick_s;
    pthread_t thread;
    int wake_fd;
    atomic_bool stop;
};

/* ---- answers ------------------------------------------------------------------------------- */

static const char plain_text[] = "text/plain; charset=utf-8";

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned code, const char *type,
                                     struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* `text` is allocated and goes to the response; NULL is an answer that there was no memory for. */
static struct MHD_Response *own_text(char *text, size_t size_bytes)
{
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(size_bytes, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response)
        free(text);
    return response;
}

static enum MHD_Result send_line(struct MHD_Connection *connection, unsigned code, const char *word)
{
    char line[128];
    int length = snprintf(line, sizeof line, "%s\n", word);
    return send_response(connection, code, plain_text,
                         MHD_create_response_from_buffer((size_t)length, line, MHD_RESPMEM_MUST_COPY));
}

static void look(struct agn_monitor *monitor, struct agn__view *view)
{
    memset(view, 0, sizeof *view);
    monitor->snapshot(monitor->user, &view->stats);
    if (view->stats.model_count > AGN_SERVER_MAX_MODELS)
        view->stats.model_count = AGN_SERVER_MAX_MODELS;
    view->history = &monitor->history;
    view->now_s = agn_now_s();
}

static enum MHD_Result send_page(struct agn_monitor *monitor, struct MHD_Connection *connection)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(monitor->page.size_bytes, monitor->page.text, MHD_RESPMEM_PERSISTENT);
    if (response)
        MHD_add_response_header(response, "Content-Security-Policy", monitor->page.policy);
    return send_response(connection, MHD_HTTP_OK, "text/html; charset=utf-8", response);
}

static enum MHD_Result send_verdict(struct MHD_Connection *connection, const char *problem)
{
    return send_line(connection, problem ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
                     problem ? problem : "ok");
}

/* ---- reports ------------------------------------------------------------------------------- */

struct upload {
    size_t size_bytes; /* past AGN__REPORT_BYTES: too long, no more is kept */
    char bytes[AGN__REPORT_BYTES];
};

/* A page of another origin may not send this type without asking first, which is answered with 405. */
static bool is_json(struct MHD_Connection *connection)
{
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    return type && strcasecmp(type, "application/json") == 0;
}

/* Called for the headers, for each piece of the body and for its end. */
static enum MHD_Result take_report(struct agn_monitor *monitor, struct MHD_Connection *connection,
                                   const char *bytes, size_t *count, struct upload **request)
{
    struct upload *upload = *request;
    if (!upload) {
        if (!is_json(connection))
            return send_line(connection, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "expected application/json");
        *request = calloc(1, sizeof **request);
        return *request ? MHD_YES : MHD_NO;
    }
    if (*count > 0) {
        if (*count <= AGN__REPORT_BYTES - upload->size_bytes)
            memcpy(upload->bytes + upload->size_bytes, bytes, *count);
        else
            return MHD_NO; /* longer than any report: closed without an answer */
        upload->size_bytes += *count;
        *count = 0;
        return MHD_YES;
    }
    if (agn__truth_add(&monitor->history.truth, upload->bytes, upload->size_bytes) < 0)
        return send_line(connection, MHD_HTTP_BAD_REQUEST, agn_error_message());
    return send_line(connection, MHD_HTTP_OK, "ok");
}

static void on_completed(void *user, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how)
{
    (void)user, (void)connection, (void)how;
    free(*request);
    *request = NULL;
}

/* ---- requests ------------------------------------------------------------------------------ */

static enum MHD_Result refuse_method(struct MHD_Connection *connection)
{
    static char words[] = "only GET and HEAD\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(words), words, MHD_RESPMEM_PERSISTENT);
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    return send_response(connection, MHD_HTTP_METHOD_NOT_ALLOWED, plain_text, response);
}

/* But for reports an answer is queued as soon as the headers are in: a body that follows is never read, and
 * libmicrohttpd closes the connection after the answer. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **request)
{
    (void)version;
    struct agn_monitor *monitor = user;
    if (monitor->accept_reports && strcmp(url, "/report") == 0 && strcmp(method, MHD_HTTP_METHOD_POST) == 0)
        return take_report(monitor, connection, upload, upload_bytes, (struct upload **)request);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse_method(connection);
    if (strcmp(url, "/") == 0)
        return send_page(monitor, connection);
    struct agn__view view;
    look(monitor, &view);
    size_t size = 0;
    if (strcmp(url, "/metrics") == 0) {
        char *text = agn__metrics_text(&view, &size);
        return send_response(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                             own_text(text, size));
    }
    if (strcmp(url, "/status.json") == 0) {
        char *text = agn__status_text(&view, &size);
        return send_response(connection, MHD_HTTP_OK, "application/json", own_text(text, size));
    }
    if (strcmp(url, "/healthz") == 0)
        return send_verdict(connection, agn__view_health(&view));
    if (strcmp(url, "/readyz") == 0)
        return send_verdict(connection, agn__view_readiness(&view));
    return send_line(connection, MHD_HTTP_NOT_FOUND, "not found");
}

/* ---- connections ------------------------------------------------------------------------------ */

static void on_connection(void *user, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct agn_monitor *monitor = user;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*socket_context)
            ((struct connection *)*socket_context)->fd = -1;
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (int i = 0; info && i < monitor->max_connections; i++)
        if (monitor->connections[i].fd < 0) {
            monitor->connections[i] = (struct connection){info->connect_fd, agn_now_s()};
            *socket_context = &monitor->connections[i];
            return;
        }
}

/* libmicrohttpd's own time limit begins anew with each byte, which a stranger may send one by one. */
static void close_overdue(struct agn_monitor *monitor, double now_s)
{
    int open = 0;
    for (int i = 0; i < monitor->max_connections; i++)
        open += monitor->connections[i].fd >= 0;
    bool crowded = open == monitor->max_connections;
    double limit_s = crowded ? fmin(CROWDED_S, monitor->timeout_s) : monitor->timeout_s;
    for (int i = 0; i < monitor->max_connections; i++)
        if (monitor->connections[i].fd >= 0 && now_s > monitor->connections[i].opened_s + limit_s)
            shutdown(monitor->connections[i].fd, SHUT_RDWR); /* libmicrohttpd then closes it */
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void tick(struct agn_monitor *monitor, double now_s)
{
    if (now_s < monitor->next_tick_s)
        return;
    struct agn__view view;
    look(monitor, &view);
    agn__history_add(&monitor->history, view.now_s, &view.stats);
    monitor->next_tick_s += TICK_S;
    if (monitor->next_tick_s < now_s) /* after a long pause: no burst of ticks */
        monitor->next_tick_s = now_s + TICK_S;
}

static void *serve(void *argument)
{
    struct agn_monitor *monitor = argument;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(monitor->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd wait_for[2] = {{.fd = info ? info->epoll_fd : -1, .events = POLLIN},
                                 {.fd = monitor->wake_fd, .events = POLLIN}};
    while (!atomic_load(&monitor->stop)) {
        double wait_s = fmin(monitor->next_tick_s - agn_now_s(), LOOK_S);
        MHD_UNSIGNED_LONG_LONG asked_ms;
        if (MHD_get_timeout(monitor->daemon, &asked_ms) == MHD_YES && (double)asked_ms * 1e-3 < wait_s)
            wait_s = (double)asked_ms * 1e-3;
        poll(wait_for, 2, wait_s > 0.0 ? (int)ceil(wait_s * 1e3) : 0);
        MHD_run(monitor->daemon);
        tick(monitor, agn_now_s());
        close_overdue(monitor, agn_now_s());
    }
    return NULL;
}

static void log_line(void *user, const char *format, va_list arguments)
{
    (void)user;
    char line[256];
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\r\n")] = '\0';
    agn_log(AGN_LOG_DEBUG, "monitor: %s", line);
}

/* ---- creation ------------------------------------------------------------------------------- */

static int check_config(const struct agn_monitor_config *config)
{
    if (!config->listen || !config->snapshot)
        return agn_fail(AGN_ERR_ARG, "monitor: needs an address to listen at and a snapshot function");
    if (config->max_connections < 0 || config->max_connections > MAX_CONNECTIONS)
        return agn_fail(AGN_ERR_ARG, "monitor: %d connections, expected 1 to %d", config->max_connections,
                        (int)MAX_CONNECTIONS);
    if (config->request_timeout_ms > MAX_TIMEOUT_MS)
        return agn_fail(AGN_ERR_ARG, "monitor: a time limit of %u ms, expected at most %d",
                        (unsigned)config->request_timeout_ms, (int)MAX_TIMEOUT_MS);
    return 0;
}

static int start_daemon(struct agn_monitor *monitor, const char *where)
{
    int status = agn__monitor_listen(where, &monitor->listener);
    if (status < 0)
        return status;
    /* From here on the socket is libmicrohttpd's. */
    monitor->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, monitor, /* options: */
        MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL, MHD_OPTION_LISTEN_SOCKET, monitor->listener.fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)monitor->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ceil(monitor->timeout_s),
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, monitor, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    return monitor->daemon ? 0 : agn_fail(AGN_ERR_IO, "cannot start the HTTP server at %s", where);
}

/* No signal may end up in this thread: they are the caller's, as an interrupted run of a server is. */
static int start_thread(struct agn_monitor *monitor)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&monitor->thread, NULL, serve, monitor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? agn_fail(AGN_ERR_IO, "cannot start the monitor's thread: %s", strerror(failed)) : 0;
}

static void free_monitor(struct agn_monitor *monitor)
{
    if (monitor->daemon)
        MHD_stop_daemon(monitor->daemon);
    if (monitor->wake_fd >= 0)
        close(monitor->wake_fd);
    agn__page_free(&monitor->page);
    agn_free(monitor->connections);
    agn_free(monitor);
}

static int set_up(struct agn_monitor *monitor, const struct agn_monitor_config *config)
{
    monitor->snapshot = config->snapshot;
    monitor->user = config->user;
    monitor->accept_reports = config->accept_reports;
    monitor->timeout_s =
        1e-3 * (config->request_timeout_ms > 0 ? config->request_timeout_ms : DEFAULT_TIMEOUT_MS);
    monitor->max_connections = config->max_connections > 0 ? config->max_connections : DEFAULT_CONNECTIONS;
    monitor->next_tick_s = agn_now_s();
    monitor->connections = agn_alloc((size_t)monitor->max_connections, sizeof *monitor->connections);
    if (!monitor->connections)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < monitor->max_connections; i++)
        monitor->connections[i].fd = -1;
    int status = agn__page_make(&monitor->page);
    if (status < 0)
        return status;
    monitor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (monitor->wake_fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot make the monitor's stop signal: %s", strerror(errno));
    status = start_daemon(monitor, config->listen);
    return status < 0 ? status : start_thread(monitor);
}

int agn_monitor_start(struct agn_monitor **monitor, const struct agn_monitor_config *config)
{
    int status = check_config(config);
    if (status < 0)
        return status;
    struct agn_monitor *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->wake_fd = -1;
    status = set_up(made, config);
    if (status < 0) {
        free_monitor(made);
        return status;
    }
    *monitor = made;
    return 0;
}

uint16_t agn_monitor_port(const struct agn_monitor *monitor)
{
    return monitor->listener.port;
}

const char *agn_monitor_url(const struct agn_monitor *monitor)
{
    return monitor->listener.url;
}

void agn_monitor_stop(struct agn_monitor *monitor)
{
    if (!monitor)
        return;
    atomic_store(&monitor->stop, true);
    uint64_t one = 1;
    (void)!write(monitor->wake_fd, &one, sizeof one);
    pthread_join(monitor->thread, NULL);
    free_monitor(monitor);
}
