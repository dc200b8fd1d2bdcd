/* /status.json: everything that the page shows. Keys only ever get added; a figure that had nothing to count
 * is null. Times are in seconds but for those that end in _ms. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_build.h"
#include "monitor/report.h"

enum { SIGNIFICANT_DIGITS = 6 };

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* Names and numbers of one object. */
struct row {
    const char *key;
    double value;
};

static json_t *object_of(const struct row *rows, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, rows[i].key, real(rows[i].value));
    return object;
}

static json_t *rates_object(const struct agn__rates *rates)
{
    const struct row rows[] = {
        {"seconds", rates->seconds},
        {"packets_per_s", rates->packets},
        {"frames_per_s", rates->frames},
        {"replies_per_s", rates->replies},
        {"bytes_in_per_s", rates->bytes_in},
        {"bytes_out_per_s", rates->bytes_out},
        {"bad_packets_per_s", rates->bad_packets},
        {"unanswered_per_s", rates->unanswered},
        {"partial_share", rates->partial_share},
        {"frames_a_batch", rates->frames_a_batch},
        {"latency_p50_ms", 1e3 * rates->latency_p50_s},
        {"latency_p90_ms", 1e3 * rates->latency_p90_s},
        {"latency_p99_ms", 1e3 * rates->latency_p99_s},
        {"queue_wait_p50_ms", 1e3 * rates->queue_wait_p50_s},
        {"queue_wait_p99_ms", 1e3 * rates->queue_wait_p99_s},
        {"inference_p50_ms", 1e3 * rates->inference_p50_s},
        {"inference_p99_ms", 1e3 * rates->inference_p99_s},
        {"accuracy", rates->accuracy},
        {"fallback_share", rates->fallback_share},
    };
    return object_of(rows, AGN_COUNT_OF(rows));
}

static json_t *totals_object(const struct agn_server_stats *s)
{
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        {"packets", s->packets},
        {"bytes_in", s->bytes_in},
        {"bytes_out", s->bytes_out},
        {"frames", s->frames},
        {"frames_complete", s->frames_complete},
        {"frames_partial", s->frames_partial},
        {"replies", s->replies},
        {"replies_again", s->replies_again},
        {"inferences", s->inferences},
        {"batches", s->batches},
        {"duplicates", s->duplicates},
        {"frames_restarted", s->frames_restarted},
        {"reloads", s->reloads},
    };
    json_t *object = json_object();
    for (size_t i = 0; i < AGN_COUNT_OF(rows); i++)
        json_object_set_new(object, rows[i].key, integer(rows[i].value));
    return object;
}

static json_t *errors_array(const struct agn_server_stats *s)
{
    const struct {
        const char *kind, *text;
        uint64_t count;
    } rows[] = {
        {"malformed", "packet malformed", s->bad_malformed},
        {"checksum", "packet with a wrong checksum", s->bad_checksum},
        {"version", "packet of another protocol version", s->bad_version},
        {"codec", "packet of an unknown codec", s->bad_codec},
        {"range", "packet with impossible channels", s->bad_range},
        {"model", "packet for another model", s->bad_model},
        {"evicted", "frame dropped: too many at once", s->frames_evicted},
        {"busy", "frame refused: server busy", s->refused_busy},
        {"datagram", "datagram dropped by the system: they come too fast", s->dropped_datagrams},
        {"bare", "feature packet without CoAP around it", s->stray_feature_packets},
        {"stray", "datagram that is no CoAP", s->stray_short + s->stray_tls + s->stray_coap + s->stray_other},
        {"expired", "frame dropped: its deadline has passed", s->dropped_expired},
        {"failed", "inference failed", s->replies_failed},
        {"reload", "model reload failed", s->reload_failures},
        {"limited", "request dropped: its peer sends too much", s->limited},
        {"withheld", "answer too long for an unverified peer", s->withheld},
        {"handshake", "DTLS handshake with a wrong key", s->dtls_failed},
        {"identity", "DTLS identity unknown", s->dtls_unknown},
        {"cipher", "DTLS without a cipher in common", s->dtls_refused},
        {"unfinished", "DTLS handshake given up by the peer", s->dtls_unfinished},
        {"revoked", "request with a key that is no longer valid", s->dtls_revoked},
        {"keys", "reload of keys failed", s->key_reload_failures},
    };
    json_t *array = json_array();
    for (size_t i = 0; i < AGN_COUNT_OF(rows); i++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:o}", "kind", rows[i].kind, "text", rows[i].text,
                                               "count", integer(rows[i].count)));
    return array;
}

static json_t *histogram_object(const struct agn_server_histogram *histogram)
{
    double count = (double)histogram->count;
    const struct row rows[] = {
        {"count", count},
        {"mean_ms", count > 0.0 ? 1e3 * histogram->sum_s / count : NAN},
        {"p50_ms", count > 0.0 ? 1e3 * agn_server_quantile_s(histogram, 0.5) : NAN},
        {"p90_ms", count > 0.0 ? 1e3 * agn_server_quantile_s(histogram, 0.9) : NAN},
        {"p99_ms", count > 0.0 ? 1e3 * agn_server_quantile_s(histogram, 0.99) : NAN},
        {"max_ms", count > 0.0 ? 1e3 * histogram->max_s : NAN},
    };
    return object_of(rows, AGN_COUNT_OF(rows));
}

static json_t *batches_array(const struct agn_server_stats *stats)
{
    json_t *array = json_array();
    for (int i = 0; i < AGN_SERVER_BATCH_BUCKETS; i++)
        json_array_append_new(
            array, json_pack("{s:i, s:o}", "up_to", 1 << i, "count", integer(stats->batch_sizes[i])));
    return array;
}

static json_t *models_array(const struct agn_server_stats *stats)
{
    json_t *array = json_array();
    for (int i = 0; i < stats->model_count; i++) {
        const struct agn_server_model_stats *model = &stats->models[i];
        char name[AGN_SERVER_NAME_BYTES], id[9];
        agn__plain_name(model->name, name);
        snprintf(id, sizeof id, "%08" PRIx32, model->model_id);
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:i}", "id", id, "name", name,
                                        "packets", integer(model->packets), "frames", integer(model->frames),
                                        "replies", integer(model->replies), "failed",
                                        integer(model->replies_failed), "in_hand", model->in_hand));
    }
    return array;
}

/* One array a series, oldest first. */
static json_t *history_object(const struct agn__history *history)
{
    static const char *const names[] = {
        "seconds",         "frames_per_s",      "replies_per_s", "unanswered_per_s", "bytes_in_per_s",
        "bytes_out_per_s", "bad_packets_per_s", "partial_share", "latency_p50_ms",   "latency_p99_ms",
        "accuracy",        "fallback_share",    "queue_depth",   "devices"};
    json_t *series[AGN_COUNT_OF(names)], *object = json_object();
    for (size_t i = 0; i < AGN_COUNT_OF(names); i++) {
        series[i] = json_array();
        json_object_set_new(object, names[i], series[i]); /* the object owns it from now on */
    }
    for (int m = 0; m < history->count; m++) {
        const struct agn__moment *moment = agn__history_moment(history, m);
        const struct agn__rates *r = &moment->rates;
        const double values[AGN_COUNT_OF(names)] = {r->seconds,
                                                    r->frames,
                                                    r->replies,
                                                    r->unanswered,
                                                    r->bytes_in,
                                                    r->bytes_out,
                                                    r->bad_packets,
                                                    r->partial_share,
                                                    1e3 * r->latency_p50_s,
                                                    1e3 * r->latency_p99_s,
                                                    r->accuracy,
                                                    r->fallback_share,
                                                    moment->queue_depth,
                                                    moment->peers};
        for (size_t i = 0; i < AGN_COUNT_OF(names); i++)
            json_array_append_new(series[i], real(values[i]));
    }
    return object;
}

/* null while nobody has reported. */
static json_t *accuracy_object(const struct agn_monitor_truth *truth)
{
    double predictions = (double)truth->predictions;
    const struct row rows[] = {{"share", (double)truth->correct / predictions},
                               {"fallback_share", (double)truth->fallbacks / predictions},
                               {"paused_share", (double)truth->paused / predictions}};
    json_t *object = truth->predictions > 0 ? object_of(rows, AGN_COUNT_OF(rows)) : json_null();
    if (truth->predictions > 0)
        json_object_set_new(object, "predictions", integer(truth->predictions));
    return object;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

char *agn__status_text(const struct agn__view *view, size_t *size_bytes)
{
    const struct agn_server_stats *s = &view->stats;
    struct agn__rates rates;
    agn__history_recent(view->history, view->now_s, s, &rates);
    json_t *status =
        json_pack("{s:s, s:s, s:o, s:b, s:o, s:o, s:i, s:i, s:{s:i, s:i, s:i}}", "version", AGN_VERSION,
                  "commit", AGN_COMMIT, "uptime_s", real(s->uptime_s), "draining", (int)s->draining,
                  "unhealthy", text_or_null(agn__view_health(view)), "unready",
                  text_or_null(agn__view_readiness(view)), "devices", s->peers, "workers", s->workers,
                  "queue", "depth", s->queue_depth, "limit", s->queue_limit, "max", s->queue_peak);
    json_object_set_new(status, "dtls",
                        json_pack("{s:i, s:i, s:o}", "sessions", s->dtls_peers, "keys", s->keys, "handshakes",
                                  integer(s->dtls_handshakes)));
    json_object_set_new(status, "recent", rates_object(&rates));
    json_object_set_new(status, "accuracy", accuracy_object(&view->history->truth));
    json_object_set_new(status, "totals", totals_object(s));
    json_object_set_new(status, "latency", histogram_object(&s->latency));
    json_object_set_new(status, "queue_wait", histogram_object(&s->queue_wait));
    json_object_set_new(status, "inference", histogram_object(&s->inference));
    json_object_set_new(status, "errors", errors_array(s));
    json_object_set_new(status, "batches", batches_array(s));
    json_object_set_new(status, "models", models_array(s));
    json_object_set_new(status, "history", history_object(view->history));
    char *text = status ? json_dumps(status, JSON_COMPACT | JSON_REAL_PRECISION(SIGNIFICANT_DIGITS)) : NULL;
    json_decref(status);
    if (text)
        *size_bytes = strlen(text);
    return text;
}
