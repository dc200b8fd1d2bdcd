/* `agilenn serve`: the edge server. Serving is src/server's work, inference src/deploy's. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/edge.h"
#include "agilenn/monitor.h"
#include "cli/cli.h"
#include "cli/serve.h"

static const char description[] =
    "Serves the Remote NNs of trained models over CoAP/UDP (POST /v1/infer) until Ctrl-C. A device must run "
    "the "
    "model.agn that was exported from one of the files.\n"
    "One thread reads packets and sends replies; --workers threads compute, each a batch of the frames that "
    "wait for "
    "one model. More workers and larger batches raise the rate, --batch-wait trades latency for larger "
    "batches at "
    "low load. Where frames come faster than they are computed, new ones are refused at once (5.03), and the "
    "device "
    "takes its local prediction; --queue bounds how many wait, and with it latency under overload.\n"
    "A changed file is loaded anew within two seconds, or at once on SIGHUP; one that does not load leaves "
    "the old "
    "model served. SIGTERM and Ctrl-C refuse new frames, answer those in hand and end. docs/SERVER.md tells "
    "how it "
    "works and how to tune it.";

static const char example[] = "agilenn serve out/fashion/model.safetensors --port 5683\n"
                              "agilenn serve a/model.safetensors b/model.safetensors --address 0.0.0.0\n"
                              "agilenn serve --config /etc/agilenn/server.conf --log json\n"
                              "agilenn serve model.safetensors --workers 4 --batch 32 --batch-wait 500\n"
                              "agilenn serve model.safetensors --psk-file devices.psk --plain-off";

static int parse(struct agn_serve_options *o, int argc, char **argv)
{
    static const char *const logs[] = {"text", "json", NULL};
    struct agn_cli_option options[] = {
        agn__cli_text("config", "FILE", &o->config,
                      "read settings from an ini file; options given here go before it"),
        agn__cli_text("address", "ADDR", &o->address,
                      "IP address or name to listen at; 0.0.0.0 is every IPv4 address of this machine"),
        agn__cli_whole("port", "PORT", &o->port, 0, 65535, "UDP port; 0 takes any free one and says which"),
        agn__cli_whole("wait", "MS", &o->wait_ms, 1, 60000,
                       "answer with what has come so long after a frame's first packet"),
        agn__cli_whole("workers", "N", &o->workers, 0, AGN_SERVER_MAX_WORKERS,
                       "threads that take batches; 0 = one for each core"),
        agn__cli_whole("threads", "N", &o->threads, 0, 256,
                       "threads that compute one batch together; 0 = the cores shared out among the workers"),
        agn__cli_flag(
            "int8", &o->int8,
            "compute the Remote NNs' convolutions in 8-bit integers, where the CPU has AVX512_VNNI"),
        agn__cli_whole("batch", "N", &o->batch, 1, AGN_SERVER_MAX_BATCH, "frames of a batch at most"),
        agn__cli_whole("batch-wait", "US", &o->batch_wait_us, 0, 1000000,
                       "microseconds that a batch which is not full waits for more"),
        agn__cli_whole("rate", "N", &o->rate, 0, 10000000,
                       "frames a second that are to come: a warning at the start where this machine makes "
                       "less; 0 = unknown"),
        agn__cli_whole("queue", "N", &o->queue, 1, AGN_SERVER_MAX_QUEUE,
                       "frames that may wait for a worker; beyond, new ones are refused as busy"),
        agn__cli_whole("max-frames", "N", &o->max_frames, 1, AGN_SERVER_MAX_FRAMES,
                       "frames of a model kept at once: waiting for packets, or just answered"),
        agn__cli_whole("max-peers", "N", &o->max_peers, 0, AGN_SERVER_MAX_PEERS,
                       "idle devices remembered; 0 = 512, or two for each key of --psk-file if that is more"),
        agn__cli_whole("receive-buffer", "BYTES", &o->receive_buffer, 4096, AGN_SERVER_MAX_RECEIVE_BUFFER,
                       "for datagrams that come faster than they are read; net.core.rmem_max bounds it"),
        agn__cli_text(
            "psk-file", "FILE", &o->psk_file,
            "offer DTLS too, to devices with a key in this file (see agilenn keys); read anew when it "
            "changes"),
        agn__cli_whole("dtls-port", "PORT", &o->dtls_port, 0, 65535,
                       "UDP port of DTLS; 0 takes any free one"),
        agn__cli_flag("plain-off", &o->plain_off, "offer DTLS only: no plain CoAP"),
        agn__cli_flag("dtls-cbc", &o->dtls_cbc,
                      "take CBC ciphers (HMAC-SHA256, -SHA1) in DTLS, too, for old devices; AEAD ones alone "
                      "otherwise"),
        agn__cli_whole("peer-rate", "N", &o->peer_rate, 0, AGN_SERVE_MAX_PEER_RATE,
                       "messages a second that one address and port may send; 0 = no limit"),
        agn__cli_whole("peer-bytes", "N", &o->peer_bytes, 0, AGN_SERVE_MAX_PEER_BYTES,
                       "bytes a second that it may send, 2000 or more; 0 = no limit"),
        agn__cli_whole("drain", "MS", &o->drain_ms, 1, 60000,
                       "how long to answer frames in hand before ending"),
        agn__cli_text(
            "log", "FORMAT", &o->log,
            "log start, reloads and the end to stderr, as text or as JSON, an object a line; without it "
            "warnings "
            "and errors only"),
        agn__cli_text(
            "http", "[ADDRESS:]PORT", &o->http,
            "show what the server does at this TCP port: a live page at /, Prometheus metrics at /metrics, "
            "/healthz, /readyz, /status.json; at 127.0.0.1 unless an address is given; not shown by default"),
        agn__cli_flag("accept-reports", &o->accept_reports,
                      "with --http: take what `agilenn run --report` tells of accuracy, and show it"),
        agn__cli_flag("json", &o->json,
                      "print one JSON object when listening and one with the counts at the end")};
    for (size_t i = 0; i < AGN_COUNT_OF(options); i++)
        if (strcmp(options[i].name, "log") == 0)
            options[i].choices = logs;
    const struct agn_cli_command command = {.name = "serve",
                                            .usage = "[options] MODEL.safetensors ...",
                                            .description = description,
                                            .example = example,
                                            .options = options,
                                            .option_count = AGN_COUNT_OF(options),
                                            .operands = &o->models,
                                            .min_operands = 0,
                                            .max_operands = AGN_SERVER_MAX_MODELS,
                                            .operand_name = "MODEL.safetensors"};
    return agn__cli_parse(&command, argc, argv);
}

/* Options are read twice: once to find the file, and once more over what it says. */
static int read_options(struct agn_serve_options *o, int argc, char **argv)
{
    const struct agn_serve_options defaults = *o;
    int code = parse(o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (o->config) {
        struct agn_serve_options file = defaults;
        code = agn__serve_read_config(o->config, &file);
        if (code != AGN_CLI_GO_ON)
            return code;
        if (o->models.count > 0)
            file.models.count = 0;
        *o = file;
        code = parse(o, argc, argv);
        if (code != AGN_CLI_GO_ON)
            return code;
    }
    if (o->models.count == 0)
        return agn__cli_usage_error("serve", "MODEL.safetensors is missing");
    return AGN_CLI_GO_ON;
}

/* ---- what is said ------------------------------------------------------------------------- */

static void say_address(const char *scheme, const char *address, unsigned port)
{
    bool six = strchr(address, ':') != NULL;
    printf("at %s://%s%s%s:%u/v1/infer; Ctrl-C ends\n", scheme, six ? "[" : "", address, six ? "]" : "",
           port);
}

/* `monitor` may be NULL. */
static int say_listening(const struct agn_serve_options *o, const struct agn_edge *edge,
                         const struct agn_monitor *monitor)
{
    const struct agn_server *server = agn_edge_server(edge);
    unsigned port = agn_server_port(server), dtls_port = agn_server_dtls_port(server);
    agn_log(
        AGN_LOG_INFO,
        "start: agilenn listens at %s, port %u plain and %u DTLS, with %d models, %d workers of %d threads",
        o->address, port, dtls_port, o->models.count, o->workers, agn_nn_threads());
    if (o->json) {
        printf("{\"listening\": {\"address\": \"%s\", \"port\": %u, \"dtls_port\": %u, \"model_id\": "
               "\"%08x\", \"models\": [",
               o->address, port, dtls_port, agn_edge_model_id(edge, 0));
        for (int i = 0; i < o->models.count; i++)
            printf("%s\"%08x\"", i > 0 ? ", " : "", agn_edge_model_id(edge, i));
        printf("]");
        if (monitor)
            printf(", \"http\": \"%s\"", agn_monitor_url(monitor));
        printf("}}\n");
    } else {
        for (int i = 0; i < o->models.count; i++)
            printf("serving %s (model %08x)\n", o->models.items[i], agn_edge_model_id(edge, i));
        if (port != 0)
            say_address("coap", o->address, port);
        if (dtls_port != 0)
            say_address("coaps", o->address, dtls_port);
        if (monitor)
            printf("page and metrics at %s\n", agn_monitor_url(monitor));
    }
    if (fflush(stdout) == 0 && !ferror(stdout))
        return AGN_CLI_SUCCESS;
    return agn__cli_fail("serve", agn_fail(AGN_ERR_IO, "cannot write to standard output where it listens"));
}

static json_t *trust_json(const struct agn_server_stats *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "dtls_handshakes",
                     (json_int_t)s->dtls_handshakes, "dtls_failed", (json_int_t)s->dtls_failed,
                     "dtls_refused", (json_int_t)s->dtls_refused, "dtls_unfinished",
                     (json_int_t)s->dtls_unfinished, "dtls_unknown", (json_int_t)s->dtls_unknown,
                     "dtls_revoked", (json_int_t)s->dtls_revoked, "limited", (json_int_t)s->limited,
                     "withheld", (json_int_t)s->withheld, "dropped_datagrams",
                     (json_int_t)s->dropped_datagrams, "key_reloads", (json_int_t)s->key_reloads,
                     "key_reload_failures", (json_int_t)s->key_reload_failures, "keys", s->keys);
}

static json_t *counts_json(const struct agn_server_stats *s, uint64_t bad)
{
    json_t *object = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "frames", (json_int_t)s->frames,
        "frames_complete", (json_int_t)s->frames_complete, "frames_partial", (json_int_t)s->frames_partial,
        "packets", (json_int_t)s->packets, "bad_packets", (json_int_t)bad, "duplicates",
        (json_int_t)s->duplicates, "bytes_in", (json_int_t)s->bytes_in, "bytes_out", (json_int_t)s->bytes_out,
        "infer_min_s", s->infer_min_s, "infer_mean_s", s->infer_mean_s, "infer_max_s", s->infer_max_s);
    json_t *fleet = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:f, s:f}", "replies", (json_int_t)s->replies,
        "refused_busy", (json_int_t)s->refused_busy, "dropped_expired", (json_int_t)s->dropped_expired,
        "evicted", (json_int_t)s->frames_evicted, "batches", (json_int_t)s->batches, "inferences",
        (json_int_t)s->inferences, "queue_peak", s->queue_peak, "reloads", (json_int_t)s->reloads,
        "reload_failures", (json_int_t)s->reload_failures, "latency_p50_s",
        agn_server_quantile_s(&s->latency, 0.5), "latency_p99_s", agn_server_quantile_s(&s->latency, 0.99));
    json_t *trust = trust_json(s);
    if (object && fleet && trust) {
        json_object_update(object, fleet);
        json_object_update(object, trust);
    }
    json_decref(fleet);
    json_decref(trust);
    return object;
}

static int say_counts(const struct agn_serve_options *o, const struct agn_server_stats *s)
{
    uint64_t bad =
        s->bad_malformed + s->bad_checksum + s->bad_version + s->bad_codec + s->bad_range + s->bad_model;
    agn_log(AGN_LOG_INFO, "end: %llu frames, %llu replies", (unsigned long long)s->frames,
            (unsigned long long)s->replies);
    if (o->json)
        return agn__cli_print_json("serve", counts_json(s, bad));
    printf("%llu frames (%llu partial), %llu packets, %llu bad, %llu duplicates, %llu bytes in, %llu out, "
           "inference min/mean/max %.2f/%.2f/%.2f ms\n",
           (unsigned long long)s->frames, (unsigned long long)s->frames_partial,
           (unsigned long long)s->packets, (unsigned long long)bad, (unsigned long long)s->duplicates,
           (unsigned long long)s->bytes_in, (unsigned long long)s->bytes_out, 1e3 * s->infer_min_s,
           1e3 * s->infer_mean_s, 1e3 * s->infer_max_s);
    printf("%llu frames in %llu batches, %llu refused as busy, %llu expired, at most %d waiting, latency "
           "median/p99 %.2f/%.2f ms\n",
           (unsigned long long)s->inferences, (unsigned long long)s->batches,
           (unsigned long long)s->refused_busy, (unsigned long long)s->dropped_expired, s->queue_peak,
           1e3 * agn_server_quantile_s(&s->latency, 0.5), 1e3 * agn_server_quantile_s(&s->latency, 0.99));
    if (s->dropped_datagrams > 0)
        printf("%llu datagrams dropped by the system: they came faster than they were read\n",
               (unsigned long long)s->dropped_datagrams);
    uint64_t others = s->stray_short + s->stray_tls + s->stray_coap + s->stray_other;
    if (s->stray_feature_packets + others > 0)
        printf("%llu feature packets without CoAP around them, %llu other datagrams that are no CoAP\n",
               (unsigned long long)s->stray_feature_packets, (unsigned long long)others);
    if (o->psk_file)
        printf(
            "%llu DTLS sessions, %llu unknown identities, %llu wrong keys, %llu without a cipher in common, "
            "%llu given up, %llu requests by revoked keys\n",
            (unsigned long long)s->dtls_handshakes, (unsigned long long)s->dtls_unknown,
            (unsigned long long)s->dtls_failed, (unsigned long long)s->dtls_refused,
            (unsigned long long)s->dtls_unfinished, (unsigned long long)s->dtls_revoked);
    if (s->limited + s->withheld > 0)
        printf("%llu requests over a peer's limit, %llu answers withheld from unverified peers\n",
               (unsigned long long)s->limited, (unsigned long long)s->withheld);
    return AGN_CLI_SUCCESS;
}

/* ---- running ---------------------------------------------------------------------------------- */

static struct agn_edge *running; /* for the signal handler */

static void on_hangup(int number)
{
    (void)number;
    agn_edge_reload(running);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* NULL: there is nothing to load anew. A file that changes after it was loaded is seen without the signal. */
static void listen_to_hangup(struct agn_edge *edge)
{
    if (edge)
        running = edge;
    handle(SIGHUP, edge ? on_hangup : SIG_IGN);
}

/* Those that this process may use. */
static long count_cores(void)
{
    cpu_set_t usable;
    return sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable)
                                                             : sysconf(_SC_NPROCESSORS_ONLN);
}

static void share_out_cores(struct agn_serve_options *o)
{
    long cores = count_cores();
    cores = cores < 1 ? 1 : cores > AGN_SERVER_MAX_WORKERS ? AGN_SERVER_MAX_WORKERS : cores;
    if (o->workers == 0)
        o->workers = o->threads > 0 && o->threads < cores ? (int)cores / o->threads
                     : o->threads > 0                     ? 1
                                                          : (int)cores;
    if (o->threads == 0)
        o->threads = cores > o->workers ? (int)cores / o->workers : 1;
}

static void take_snapshot(void *user, struct agn_server_stats *stats)
{
    agn_server_stats(user, stats);
}

static int serve(const struct agn_serve_options *o, struct agn_edge *edge)
{
    struct agn_server_stats stats;
    struct agn_monitor *monitor = NULL;
    const struct agn_monitor_config show = {.listen = o->http,
                                            .snapshot = take_snapshot,
                                            .user = agn_edge_server(edge),
                                            .accept_reports = o->accept_reports};
    int started = o->http ? agn_monitor_start(&monitor, &show) : 0;
    if (started < 0)
        return agn__cli_fail("serve", started);
    listen_to_hangup(edge);
    int code = say_listening(o, edge, monitor);
    if (code == AGN_CLI_SUCCESS) {
        int status = agn_edge_run(edge);
        agn_server_stats(agn_edge_server(edge), &stats);
        code = status < 0 ? agn__cli_fail("serve", status) : say_counts(o, &stats);
    }
    listen_to_hangup(NULL);
    agn_monitor_stop(monitor);
    return code;
}

int agn__cmd_serve(int argc, char **argv)
{
    struct agn_serve_options o = {.address = "127.0.0.1",
                                  .port = 5683,
                                  .wait_ms = 200,
                                  .batch = 16,
                                  .queue = 256,
                                  .max_frames = 1024,
                                  .receive_buffer = 262144,
                                  .drain_ms = 2000,
                                  .dtls_port = 5684,
                                  .peer_rate = 5000,
                                  .peer_bytes = 4000000};
    listen_to_hangup(NULL);
    handle(SIGPIPE, SIG_IGN); /* whoever reads the log may end first */
    int code = read_options(&o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    agn__serve_log_to_stderr(o.log);
    share_out_cores(&o);
    agn_nn_set_threads(o.threads);
    struct agn_edge_config config = {.paths = o.models.items,
                                     .count = o.models.count,
                                     .server = {.address = o.address,
                                                .port = (uint16_t)o.port,
                                                .frame_wait_ms = (uint32_t)o.wait_ms,
                                                .max_frames = o.max_frames,
                                                .max_peers = o.max_peers,
                                                .receive_buffer = o.receive_buffer,
                                                .workers = o.workers,
                                                .max_batch = o.batch,
                                                .max_wait_us = (uint32_t)o.batch_wait_us,
                                                .max_queue = o.queue,
                                                .drain_ms = (uint32_t)o.drain_ms,
                                                .psk_file = o.psk_file,
                                                .dtls_port = (uint16_t)o.dtls_port,
                                                .plain_off = o.plain_off,
                                                .dtls_cbc = o.dtls_cbc,
                                                .peer_messages_per_s = o.peer_rate > 0 ? o.peer_rate : -1,
                                                .peer_bytes_per_s = o.peer_bytes > 0 ? o.peer_bytes : -1},
                                     .threads = o.threads,
                                     .int8 = o.int8,
                                     .rate = o.rate};
    struct agn_edge *edge = NULL;
    int status = agn_edge_open(&config, &edge);
    if (status < 0)
        return agn__cli_fail("serve", status);
    code = serve(&o, edge);
    agn_edge_close(edge);
    return code;
}
