/* The counters in Prometheus' text format 0.0.4. Names are part of the interface: docs/MONITORING.md lists
 * them, dashboards rely on them. */
#define _XOPEN_SOURCE 700
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agn_build.h"
#include "monitor/report.h"

/* One sample of the server's counters. Rows of one name follow each other. */
struct counter {
    const char *name, *help, *label; /* `label` as in kind="version"; "" = none */
    size_t offset;                   /* in struct agn_server_stats */
};
#define AT(field) offsetof(struct agn_server_stats, field)

static const struct counter counters[] = {
    {"packets_total", "Requests to /v1/infer, good or bad.", "", AT(packets)},
    {"received_bytes_total", "CoAP payload bytes of these requests.", "", AT(bytes_in)},
    {"sent_bytes_total", "CoAP payload bytes of their answers.", "", AT(bytes_out)},
    {"packets_bad_total", "Packets refused, by what is wrong.", "kind=\"malformed\"", AT(bad_malformed)},
    {"packets_bad_total", "", "kind=\"checksum\"", AT(bad_checksum)},
    {"packets_bad_total", "", "kind=\"version\"", AT(bad_version)},
    {"packets_bad_total", "", "kind=\"codec\"", AT(bad_codec)},
    {"packets_bad_total", "", "kind=\"range\"", AT(bad_range)},
    {"packets_bad_total", "", "kind=\"model\"", AT(bad_model)},
    {"packets_duplicate_total", "Packets that had come before.", "", AT(duplicates)},
    {"frames_total", "Frames begun.", "", AT(frames)},
    {"frames_inferred_total", "Frames given to the Remote NN, with all packets or with what came in time.",
     "packets=\"complete\"", AT(frames_complete)},
    {"frames_inferred_total", "", "packets=\"partial\"", AT(frames_partial)},
    {"frames_dropped_total", "Frames that got no inference, by reason.", "reason=\"evicted\"",
     AT(frames_evicted)},
    {"frames_dropped_total", "", "reason=\"busy\"", AT(refused_busy)},
    {"frames_dropped_total", "", "reason=\"expired\"", AT(dropped_expired)},
    {"frames_restarted_total", "Frames started again because a packet contradicted earlier ones.", "",
     AT(frames_restarted)},
    {"replies_total", "Answers sent, by status.", "status=\"ok\"", AT(replies)},
    {"replies_total", "", "status=\"failed\"", AT(replies_failed)},
    {"replies_repeated_total", "Stored answers sent again to repeated or late packets.", "",
     AT(replies_again)},
    {"model_reloads_total", "Replacements of models, by outcome.", "result=\"ok\"", AT(reloads)},
    {"model_reloads_total", "", "result=\"failed\"", AT(reload_failures)},
    {"dtls_handshakes_total", "DTLS handshakes, by outcome.", "result=\"ok\"", AT(dtls_handshakes)},
    {"dtls_handshakes_total", "", "result=\"failed\"", AT(dtls_failed)},
    {"dtls_handshakes_total", "", "result=\"unknown\"", AT(dtls_unknown)},
    {"dtls_handshakes_total", "", "result=\"refused\"", AT(dtls_refused)},
    {"dtls_handshakes_total", "", "result=\"unfinished\"", AT(dtls_unfinished)},
    {"dtls_requests_revoked_total", "Requests of DTLS sessions whose key is no longer valid.", "",
     AT(dtls_revoked)},
    {"packets_limited_total", "Requests dropped because their peer sent too much.", "", AT(limited)},
    {"datagrams_dropped_total",
     "Datagrams without effect: dropped by the system as they came too fast, or not what the port is for.",
     "kind=\"system\"", AT(dropped_datagrams)},
    {"datagrams_dropped_total", "", "kind=\"feature_packet\"", AT(stray_feature_packets)},
    {"datagrams_dropped_total", "", "kind=\"short\"", AT(stray_short)},
    {"datagrams_dropped_total", "", "kind=\"tls\"", AT(stray_tls)},
    {"datagrams_dropped_total", "", "kind=\"coap\"", AT(stray_coap)},
    {"datagrams_dropped_total", "", "kind=\"other\"", AT(stray_other)},
    {"replies_withheld_total", "Answers not sent: too long for what an unverified peer had sent.", "",
     AT(withheld)},
    {"key_reloads_total", "Readings of the key file after the first, by outcome.", "result=\"ok\"",
     AT(key_reloads)},
    {"key_reloads_total", "", "result=\"failed\"", AT(key_reload_failures)},
};

/* Counters of struct agn_server_model_stats. */
static const struct counter model_counters[] = {
    {"model_packets_total", "Packets for this model.", "", offsetof(struct agn_server_model_stats, packets)},
    {"model_frames_total", "Frames begun for this model.", "",
     offsetof(struct agn_server_model_stats, frames)},
    {"model_replies_total", "Answers of this model, by status.", "status=\"ok\"",
     offsetof(struct agn_server_model_stats, replies)},
    {"model_replies_total", "", "status=\"failed\"", offsetof(struct agn_server_model_stats, replies_failed)},
};

static uint64_t counter_value(const void *structure, const struct counter *counter)
{
    uint64_t value;
    memcpy(&value, (const char *)structure + counter->offset, sizeof value);
    return value;
}

static void write_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP agilenn_%s %s\n# TYPE agilenn_%s %s\n", name, help, name, type);
}

static void write_counters(FILE *out, const struct agn_server_stats *stats)
{
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        const struct counter *counter = &counters[i];
        if (counter->help[0])
            write_head(out, counter->name, "counter", counter->help);
        fprintf(out, "agilenn_%s", counter->name);
        if (counter->label[0])
            fprintf(out, "{%s}", counter->label);
        fprintf(out, " %" PRIu64 "\n", counter_value(stats, counter));
    }
}

/* What somebody who knows the labels reported; left out while nobody did. */
static void write_truth(FILE *out, const struct agn_monitor_truth *truth)
{
    if (truth->predictions == 0)
        return;
    write_head(out, "reported_predictions_total", "counter", "Predictions that were judged against labels.");
    fprintf(out, "agilenn_reported_predictions_total %" PRIu64 "\n", truth->predictions);
    write_head(out, "reported_correct_total", "counter", "Of these, the right ones.");
    fprintf(out, "agilenn_reported_correct_total %" PRIu64 "\n", truth->correct);
    write_head(out, "reported_fallbacks_total", "counter",
               "Of the predictions reported, those without the server.");
    fprintf(out, "agilenn_reported_fallbacks_total %" PRIu64 "\n", truth->fallbacks);
    write_head(out, "reported_paused_total", "counter",
               "Of these, those in pauses that a busy server had asked for.");
    fprintf(out, "agilenn_reported_paused_total %" PRIu64 "\n", truth->paused);
}

static void write_gauge(FILE *out, const char *name, const char *help, double value)
{
    write_head(out, name, "gauge", help);
    fprintf(out, "agilenn_%s %.12g\n", name, value);
}

static void write_histogram(FILE *out, const char *name, const char *help,
                            const struct agn_server_histogram *histogram)
{
    write_head(out, name, "histogram", help);
    uint64_t below = 0;
    for (int i = 0; i < AGN_SERVER_LATENCY_BUCKETS; i++) {
        below += histogram->buckets[i];
        double bound = agn_server_bucket_bound_s(i);
        if (isfinite(bound))
            fprintf(out, "agilenn_%s_bucket{le=\"%.6g\"} %" PRIu64 "\n", name, bound, below);
    }
    fprintf(out, "agilenn_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, below);
    fprintf(out, "agilenn_%s_sum %.12g\nagilenn_%s_count %" PRIu64 "\n", name, histogram->sum_s, name, below);
}

static void write_batches(FILE *out, const struct agn_server_stats *stats)
{
    write_head(out, "batch_size", "histogram", "Frames in one call of the Remote NN.");
    uint64_t below = 0;
    for (int i = 0; i < AGN_SERVER_BATCH_BUCKETS; i++) {
        below += stats->batch_sizes[i];
        fprintf(out, "agilenn_batch_size_bucket{le=\"%d\"} %" PRIu64 "\n", 1 << i, below);
    }
    fprintf(out, "agilenn_batch_size_bucket{le=\"+Inf\"} %" PRIu64 "\n", below);
    fprintf(out, "agilenn_batch_size_sum %" PRIu64 "\nagilenn_batch_size_count %" PRIu64 "\n",
            stats->inferences, below);
}

static void write_label_value(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void write_model_labels(FILE *out, const struct agn_server_model_stats *model, const char *label)
{
    char name[AGN_SERVER_NAME_BYTES];
    agn__plain_name(model->name, name);
    fprintf(out, "{model=\"%08" PRIx32 "\",name=\"", model->model_id);
    write_label_value(out, name);
    fprintf(out, "\"%s%s}", label[0] ? "," : "", label);
}

static void write_models(FILE *out, const struct agn_server_stats *stats)
{
    int count = stats->model_count;
    for (size_t i = 0; count > 0 && i < sizeof model_counters / sizeof model_counters[0]; i++) {
        const struct counter *counter = &model_counters[i];
        if (counter->help[0])
            write_head(out, counter->name, "counter", counter->help);
        for (int m = 0; m < count; m++) {
            fprintf(out, "agilenn_%s", counter->name);
            write_model_labels(out, &stats->models[m], counter->label);
            fprintf(out, " %" PRIu64 "\n", counter_value(&stats->models[m], counter));
        }
    }
    if (count > 0)
        write_head(out, "model_frames_in_hand", "gauge", "Frames begun for this model and not yet answered.");
    for (int m = 0; m < count; m++) {
        fputs("agilenn_model_frames_in_hand", out);
        write_model_labels(out, &stats->models[m], "");
        fprintf(out, " %d\n", stats->models[m].in_hand);
    }
}

/* The conventional metrics of any process; those that cannot be read are left out. */
static void write_process(FILE *out)
{
    struct timespec used;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0)
        fprintf(out,
                "# HELP process_cpu_seconds_total Processor time used, in seconds.\n"
                "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n",
                (double)used.tv_sec + 1e-9 * (double)used.tv_nsec);
    char text[64] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return;
    if (fgets(text, sizeof text, file)) {
        char *resident = strchr(text, ' ');
        unsigned long long pages = resident ? strtoull(resident, NULL, 10) : 0;
        fprintf(out,
                "# HELP process_resident_memory_bytes Resident memory, in bytes.\n"
                "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %llu\n",
                pages * (unsigned long long)sysconf(_SC_PAGESIZE));
    }
    fclose(file);
}

static void write_all(FILE *out, const struct agn__view *view)
{
    const struct agn_server_stats *stats = &view->stats;
    write_head(out, "build_info", "gauge", "Always 1; the labels say what runs.");
    fprintf(out, "agilenn_build_info{version=\"%s\",commit=\"%s\"} 1\n", AGN_VERSION, AGN_COMMIT);
    write_gauge(out, "up_seconds", "Since the server began.", stats->uptime_s);
    write_gauge(out, "healthy", "1 while /healthz says so.", agn__view_health(view) ? 0.0 : 1.0);
    write_gauge(out, "ready", "1 while /readyz says so.", agn__view_readiness(view) ? 0.0 : 1.0);
    write_gauge(out, "draining", "1 while the server is shutting down and takes no new frames.",
                stats->draining);
    write_gauge(out, "devices", "Peers remembered now.", stats->peers);
    write_gauge(out, "dtls_sessions", "DTLS sessions now.", stats->dtls_peers);
    write_gauge(out, "keys", "Identities with a key.", stats->keys);
    write_gauge(out, "models", "Models served now.", stats->model_count);
    write_gauge(out, "workers", "Threads that infer.", stats->workers);
    write_gauge(out, "queue_depth", "Frames waiting for a worker.", stats->queue_depth);
    write_gauge(out, "queue_limit", "Frames that may wait.", stats->queue_limit);
    write_gauge(out, "queue_depth_max", "Most frames that have waited at once.", stats->queue_peak);
    write_counters(out, stats);
    write_histogram(out, "frame_latency_seconds", "From a frame's first packet to its answer.",
                    &stats->latency);
    write_histogram(out, "queue_wait_seconds", "From when a frame is ready to the start of its inference.",
                    &stats->queue_wait);
    write_histogram(out, "inference_seconds", "Calls of the Remote NN.", &stats->inference);
    write_batches(out, stats);
    write_models(out, stats);
    write_truth(out, &view->history->truth);
    write_process(out);
}

char *agn__metrics_text(const struct agn__view *view, size_t *size_bytes)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size_bytes);
    if (!out)
        return NULL;
    write_all(out, view);
    int failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
