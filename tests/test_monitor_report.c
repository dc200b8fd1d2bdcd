/* What the monitor tells: metrics before a strict reader of the text format, status.json, rates and
 * percentiles of the last minutes, health. */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "agilenn/base.h"
#include "monitor/report.h"

/* ---- a server that has worked ------------------------------------------------------------------ */

static void add(struct agn_server_histogram *histogram, double seconds, uint64_t times)
{
    int bucket = 0;
    while (seconds > agn_server_bucket_bound_s(bucket))
        bucket++;
    histogram->buckets[bucket] += times;
    histogram->count += times;
    histogram->sum_s += seconds * (double)times;
    histogram->max_s = fmax(histogram->max_s, seconds);
}

/* Every counter has a value of its own. */
static struct agn_server_stats busy_server(void)
{
    struct agn_server_stats s = {.packets = 1001,
                                 .bytes_in = 1002,
                                 .bytes_out = 1003,
                                 .frames = 1004,
                                 .frames_complete = 1005,
                                 .frames_partial = 1006,
                                 .frames_evicted = 1007,
                                 .frames_restarted = 1008,
                                 .replies = 1009,
                                 .replies_again = 1010,
                                 .replies_failed = 1011,
                                 .refused_busy = 1012,
                                 .dropped_expired = 1013,
                                 .duplicates = 1014,
                                 .bad_malformed = 1015,
                                 .bad_checksum = 1016,
                                 .bad_version = 1017,
                                 .bad_codec = 1018,
                                 .bad_range = 1019,
                                 .bad_model = 1020,
                                 .inferences = 1021,
                                 .batches = 1022,
                                 .batch_sizes = {500, 300, 200, 22},
                                 .queue_depth = 23,
                                 .queue_limit = 256,
                                 .queue_peak = 77,
                                 .peers = 12,
                                 .workers = 3,
                                 .uptime_s = 90.5,
                                 .reloads = 1031,
                                 .reload_failures = 1032,
                                 .dtls_handshakes = 1041,
                                 .dtls_failed = 1042,
                                 .dtls_unknown = 1043,
                                 .dtls_revoked = 1044,
                                 .limited = 1045,
                                 .withheld = 1046,
                                 .dropped_datagrams = 1051,
                                 .dtls_refused = 1052,
                                 .dtls_unfinished = 1053,
                                 .stray_feature_packets = 1054,
                                 .stray_short = 1055,
                                 .stray_tls = 1056,
                                 .stray_coap = 1057,
                                 .stray_other = 1058,
                                 .key_reloads = 1047,
                                 .key_reload_failures = 1048,
                                 .dtls_peers = 9,
                                 .keys = 40,
                                 .model_count = 2};
    add(&s.latency, 0.003, 990);
    add(&s.latency, 0.9, 10);
    add(&s.latency, 1e6, 1); /* beyond every bound */
    add(&s.queue_wait, 0.0001, 5);
    add(&s.inference, 0.002, 7);
    s.models[0] = (struct agn_server_model_stats){
        0xcb447026, "/srv/secret place/demo/model.safetensors", 1, 2, 3, 4, 5};
    s.models[1] = (struct agn_server_model_stats){
        0xab, "evil\"} 1\nagilenn_fake_total 2 <script>\\\xff\xc3\xa9\xed\xa0\x80", 6, 7, 8, 9, 10};
    return s;
}

static struct agn__history history;

static struct agn__view view_of(const struct agn_server_stats *stats, double now_s)
{
    return (struct agn__view){.stats = *stats, .history = &history, .now_s = now_s};
}

/* ---- a strict reader of text format 0.0.4 -------------------------------------------------------- */

enum { MAX_SAMPLES = 2048 };
struct sample {
    char name[128], labels[512];
    double value;
};
static struct sample samples[MAX_SAMPLES];
static int sample_count;
struct family {
    char name[128], type[16];
};
static struct family families[256];
static int family_count;

static size_t name_length(const char *text)
{
    size_t length = 0;
    while (isalpha((unsigned char)text[length]) || text[length] == '_' || text[length] == ':' ||
           (length > 0 && isdigit((unsigned char)text[length])))
        length++;
    return length;
}

/* Reads {a="b",...}; returns what follows. */
static const char *read_labels(const char *text)
{
    assert_int_equal(*text, '{');
    do {
        text++;
        size_t length = name_length(text);
        assert_true(length > 0);
        text += length;
        assert_memory_equal(text, "=\"", 2);
        for (text += 2; *text != '"'; text++) {
            assert_true((unsigned char)*text >= ' ');
            if (*text == '\\') {
                text++;
                assert_non_null(strchr("\\\"n", *text));
            }
        }
        text++;
    } while (*text == ',');
    assert_int_equal(*text, '}');
    return text + 1;
}

/* Is `name` a sample of the family: itself, or one of a histogram's three? */
static bool belongs(const char *name, const struct family *family)
{
    size_t length = strlen(family->name);
    if (strncmp(name, family->name, length) != 0)
        return false;
    if (strcmp(family->type, "histogram") != 0)
        return name[length] == '\0';
    return strcmp(name + length, "_bucket") == 0 || strcmp(name + length, "_sum") == 0 ||
           strcmp(name + length, "_count") == 0;
}

static void read_sample(const char *line)
{
    assert_true(sample_count < MAX_SAMPLES && family_count > 0);
    struct sample *sample = &samples[sample_count++];
    size_t length = name_length(line);
    assert_true(length > 0 && length < sizeof sample->name);
    memcpy(sample->name, line, length);
    sample->name[length] = '\0';
    const char *rest = line[length] == '{' ? read_labels(line + length) : line + length;
    size_t label_bytes = (size_t)(rest - line) - length;
    assert_true(label_bytes < sizeof sample->labels);
    memcpy(sample->labels, line + length, label_bytes);
    sample->labels[label_bytes] = '\0';
    assert_int_equal(*rest, ' ');
    char *end;
    sample->value = strtod(rest + 1, &end);
    assert_true(end > rest + 1 && *end == '\0' && !isspace((unsigned char)rest[1]));
    assert_true(belongs(sample->name, &families[family_count - 1]));
    for (int i = 0; i + 1 < sample_count; i++)
        assert_false(strcmp(samples[i].name, sample->name) == 0 &&
                     strcmp(samples[i].labels, sample->labels) == 0);
}

static void read_type(const char *line, const char *help_name)
{
    struct family *family = &families[family_count++];
    assert_true(family_count <= 256);
    char rest[2];
    assert_int_equal(sscanf(line, "# TYPE %127s %15s%1s", family->name, family->type, rest), 2);
    assert_string_equal(family->name, help_name); /* HELP comes right before */
    assert_int_equal(name_length(family->name), strlen(family->name));
    bool counter = strcmp(family->type, "counter") == 0;
    assert_true(counter || strcmp(family->type, "gauge") == 0 || strcmp(family->type, "histogram") == 0);
    size_t length = strlen(family->name);
    assert_int_equal(counter, length > 6 && strcmp(family->name + length - 6, "_total") == 0);
    for (int i = 0; i + 1 < family_count; i++)
        assert_string_not_equal(families[i].name, family->name);
}

static void read_metrics(char *text, size_t size)
{
    sample_count = family_count = 0;
    assert_int_equal(strlen(text), size);
    assert_int_equal(text[size - 1], '\n');
    char help_name[128] = "";
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n');
        *end = '\0';
        assert_null(strchr(line, '\r'));
        if (strncmp(line, "# HELP ", 7) == 0)
            assert_int_equal(sscanf(line, "# HELP %127s %*1s", help_name), 1);
        else if (strncmp(line, "# TYPE ", 7) == 0)
            read_type(line, help_name);
        else
            read_sample(line);
        line = end + 1;
    }
}

static double value_of(const char *name, const char *labels)
{
    for (int i = 0; i < sample_count; i++)
        if (strcmp(samples[i].name, name) == 0 && strcmp(samples[i].labels, labels) == 0)
            return samples[i].value;
    fail_msg("no sample %s%s", name, labels);
    return NAN;
}

static void take_metrics(const struct agn_server_stats *stats)
{
    struct agn__view view = view_of(stats, 0.0);
    size_t size = 0;
    char *text = agn__metrics_text(&view, &size);
    assert_non_null(text);
    read_metrics(text, size);
    free(text);
}

/* ---- metrics ------------------------------------------------------------------------------------ */

static void test_every_counter_is_told(void **state)
{
    (void)state;
    struct agn_server_stats s = busy_server();
    take_metrics(&s);
    assert_true(value_of("agilenn_packets_total", "") == 1001);
    assert_true(value_of("agilenn_received_bytes_total", "") == 1002);
    assert_true(value_of("agilenn_sent_bytes_total", "") == 1003);
    assert_true(value_of("agilenn_frames_total", "") == 1004);
    assert_true(value_of("agilenn_frames_inferred_total", "{packets=\"complete\"}") == 1005);
    assert_true(value_of("agilenn_frames_inferred_total", "{packets=\"partial\"}") == 1006);
    assert_true(value_of("agilenn_frames_dropped_total", "{reason=\"evicted\"}") == 1007);
    assert_true(value_of("agilenn_frames_restarted_total", "") == 1008);
    assert_true(value_of("agilenn_replies_total", "{status=\"ok\"}") == 1009);
    assert_true(value_of("agilenn_replies_repeated_total", "") == 1010);
    assert_true(value_of("agilenn_replies_total", "{status=\"failed\"}") == 1011);
    assert_true(value_of("agilenn_frames_dropped_total", "{reason=\"busy\"}") == 1012);
    assert_true(value_of("agilenn_frames_dropped_total", "{reason=\"expired\"}") == 1013);
    assert_true(value_of("agilenn_packets_duplicate_total", "") == 1014);
    assert_true(value_of("agilenn_packets_bad_total", "{kind=\"malformed\"}") == 1015);
    assert_true(value_of("agilenn_packets_bad_total", "{kind=\"checksum\"}") == 1016);
    assert_true(value_of("agilenn_packets_bad_total", "{kind=\"version\"}") == 1017);
    assert_true(value_of("agilenn_packets_bad_total", "{kind=\"codec\"}") == 1018);
    assert_true(value_of("agilenn_packets_bad_total", "{kind=\"range\"}") == 1019);
    assert_true(value_of("agilenn_packets_bad_total", "{kind=\"model\"}") == 1020);
    assert_true(value_of("agilenn_model_reloads_total", "{result=\"ok\"}") == 1031);
    assert_true(value_of("agilenn_model_reloads_total", "{result=\"failed\"}") == 1032);
    assert_true(value_of("agilenn_dtls_handshakes_total", "{result=\"ok\"}") == 1041);
    assert_true(value_of("agilenn_dtls_handshakes_total", "{result=\"failed\"}") == 1042);
    assert_true(value_of("agilenn_dtls_handshakes_total", "{result=\"unknown\"}") == 1043);
    assert_true(value_of("agilenn_dtls_requests_revoked_total", "") == 1044);
    assert_true(value_of("agilenn_packets_limited_total", "") == 1045);
    assert_true(value_of("agilenn_replies_withheld_total", "") == 1046);
    assert_true(value_of("agilenn_dtls_handshakes_total", "{result=\"refused\"}") == 1052);
    assert_true(value_of("agilenn_dtls_handshakes_total", "{result=\"unfinished\"}") == 1053);
    assert_true(value_of("agilenn_datagrams_dropped_total", "{kind=\"system\"}") == 1051);
    assert_true(value_of("agilenn_datagrams_dropped_total", "{kind=\"feature_packet\"}") == 1054);
    assert_true(value_of("agilenn_datagrams_dropped_total", "{kind=\"short\"}") == 1055);
    assert_true(value_of("agilenn_datagrams_dropped_total", "{kind=\"tls\"}") == 1056);
    assert_true(value_of("agilenn_datagrams_dropped_total", "{kind=\"coap\"}") == 1057);
    assert_true(value_of("agilenn_datagrams_dropped_total", "{kind=\"other\"}") == 1058);
    assert_true(value_of("agilenn_key_reloads_total", "{result=\"ok\"}") == 1047);
    assert_true(value_of("agilenn_key_reloads_total", "{result=\"failed\"}") == 1048);
    assert_true(value_of("agilenn_dtls_sessions", "") == 9);
    assert_true(value_of("agilenn_keys", "") == 40);
    assert_true(value_of("agilenn_queue_depth", "") == 23);
    assert_true(value_of("agilenn_queue_limit", "") == 256);
    assert_true(value_of("agilenn_queue_depth_max", "") == 77);
    assert_true(value_of("agilenn_devices", "") == 12);
    assert_true(value_of("agilenn_workers", "") == 3);
    assert_true(value_of("agilenn_up_seconds", "") == 90.5);
    assert_true(value_of("agilenn_ready", "") == 1);
    assert_true(value_of("process_resident_memory_bytes", "") > 100000);
    assert_true(value_of("process_cpu_seconds_total", "") >= 0);
}

/* Buckets grow, end with +Inf, and agree with the count. */
static void check_histogram(const char *name, double count, double sum)
{
    char bucket[160], other[160];
    snprintf(bucket, sizeof bucket, "%s_bucket", name);
    double bound = -1.0, below = 0.0;
    int buckets = 0;
    for (int i = 0; i < sample_count; i++) {
        if (strcmp(samples[i].name, bucket) != 0)
            continue;
        double next = strtod(samples[i].labels + strlen("{le=\""), NULL); /* reads +Inf as well */
        assert_true(next > bound && samples[i].value >= below);
        bound = next;
        below = samples[i].value;
        buckets++;
    }
    assert_true(buckets > 2 && isinf(bound));
    assert_true(below == count);
    snprintf(other, sizeof other, "%s_count", name);
    assert_true(value_of(other, "") == count);
    snprintf(other, sizeof other, "%s_sum", name);
    assert_true(fabs(value_of(other, "") - sum) < 1e-9 * sum);
}

static void test_histograms(void **state)
{
    (void)state;
    struct agn_server_stats s = busy_server();
    take_metrics(&s);
    check_histogram("agilenn_frame_latency_seconds", 1001, s.latency.sum_s);
    check_histogram("agilenn_queue_wait_seconds", 5, s.queue_wait.sum_s);
    check_histogram("agilenn_inference_seconds", 7, s.inference.sum_s);
    check_histogram("agilenn_batch_size", 1022, 1021);
    assert_true(value_of("agilenn_batch_size_bucket", "{le=\"2\"}") == 800);
    assert_true(value_of("agilenn_frame_latency_seconds_bucket", "{le=\"0.0032\"}") == 990);
    assert_true(value_of("agilenn_frame_latency_seconds_bucket", "{le=\"0.0016\"}") == 0);
}

static void test_names_of_models_are_harmless(void **state)
{
    (void)state;
    struct agn_server_stats s = busy_server();
    take_metrics(&s);
    /* Of a path the last two parts; no bytes that are no UTF-8, no line breaks. */
    assert_true(
        value_of("agilenn_model_frames_total", "{model=\"cb447026\",name=\"demo/model.safetensors\"}") == 2);
    assert_true(value_of("agilenn_model_frames_in_hand",
                         "{model=\"000000ab\",name=\"evil\\\"} 1?agilenn_fake_total 2 "
                         "<script>\\\\?\xc3\xa9???\"}") == 10);
    for (int i = 0; i < family_count; i++)
        assert_null(strstr(families[i].name, "fake"));
}

static void test_names_that_are_cut_off(void **state)
{
    (void)state;
    char name[AGN_SERVER_NAME_BYTES], plain[AGN_SERVER_NAME_BYTES];
    memset(name, 'a', sizeof name); /* no zero byte at all */
    name[61] = '\xe2', name[62] = '\x82', name[63] = '\xac';
    agn__plain_name(name, plain);
    assert_int_equal(strlen(plain), 63);
    assert_string_equal(plain + 61, "??");
    static const char *const bad[] = {
        "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf8\x88", "\xc2\x85", "\x80",
        "\x7f",     "\xc3"};
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        memset(name, 0, sizeof name);
        memcpy(name, bad[i], strlen(bad[i]));
        agn__plain_name(name, plain);
        assert_int_equal(strspn(plain, "?"), strlen(bad[i]));
    }
    memset(name, 0, sizeof name);
    memcpy(name, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", 16);
    agn__plain_name(name, plain);
    assert_string_equal(plain, name);
}

/* ---- status.json -------------------------------------------------------------------------------- */

static json_t *take_status(const struct agn_server_stats *stats, double now_s)
{
    struct agn__view view = view_of(stats, now_s);
    size_t size = 0;
    char *text = agn__status_text(&view, &size);
    assert_non_null(text);
    assert_int_equal(strlen(text), size);
    json_t *status = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(status);
    free(text);
    return status;
}

static void test_status(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    struct agn_server_stats older = busy_server(), newer = older;
    agn__history_add(&history, 100.0, &older);
    newer.frames += 50;
    newer.frames_complete += 30;
    newer.frames_partial += 10;
    newer.bytes_in += 4000;
    add(&newer.latency, 0.003, 40);
    newer.uptime_s += 2.0;
    agn__history_add(&history, 102.0, &newer);
    json_t *status = take_status(&newer, 102.0);
    json_t *recent = json_object_get(status, "recent"), *seen = json_object_get(status, "history");
    assert_true(json_number_value(json_object_get(recent, "frames_per_s")) == 25.0);
    assert_true(json_number_value(json_object_get(recent, "bytes_in_per_s")) == 2000.0);
    assert_true(json_number_value(json_object_get(recent, "partial_share")) == 0.25);
    assert_true(json_is_null(json_object_get(recent, "frames_a_batch"))); /* no batch since */
    double p99 = json_number_value(json_object_get(recent, "latency_p99_ms"));
    assert_true(p99 > 2.2 && p99 <= 3.2); /* the old 0.9 s is not among the recent ones */
    assert_int_equal(json_array_size(json_object_get(seen, "frames_per_s")), 1);
    assert_true(json_number_value(json_array_get(json_object_get(seen, "frames_per_s"), 0)) == 25.0);
    assert_true(json_number_value(json_array_get(json_object_get(seen, "queue_depth"), 0)) == 23.0);
    assert_true(json_is_null(json_object_get(status, "unhealthy")));
    assert_true(json_is_null(json_object_get(status, "accuracy"))); /* nobody reported */
    assert_int_equal(json_integer_value(json_object_get(status, "devices")), 12);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(status, "queue"), "max")), 77);
    assert_int_equal(json_array_size(json_object_get(status, "models")), 2);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(status, "models"), 0), "name")),
        "demo/model.safetensors");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(status, "dtls"), "sessions")), 9);
    json_t *errors = json_object_get(status, "errors");
    assert_string_equal(json_string_value(json_object_get(json_array_get(errors, 1), "kind")), "checksum");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(errors, 1), "count")), 1016);
    json_decref(status);
}

static void test_status_of_an_idle_server(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    struct agn_server_stats none = {0};
    json_t *status = take_status(&none, 5.0); /* before the first tick */
    assert_string_equal(json_string_value(json_object_get(status, "unready")), "no model");
    assert_true(json_is_null(json_object_get(json_object_get(status, "recent"), "latency_p50_ms")));
    assert_true(json_is_null(json_object_get(json_object_get(status, "latency"), "max_ms")));
    json_decref(status);
    take_metrics(&none);
    assert_true(value_of("agilenn_ready", "") == 0);
    assert_true(value_of("agilenn_frame_latency_seconds_count", "") == 0);
}

static void test_reported_accuracy(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    struct agn_server_stats s = busy_server();
    history.truth = (struct agn_monitor_truth){100, 50, 10, 0};
    agn__history_add(&history, 100.0, &s);
    history.truth = (struct agn_monitor_truth){180, 122, 20, 9};
    agn__history_add(&history, 101.0, &s);
    json_t *status = take_status(&s, 101.0), *accuracy = json_object_get(status, "accuracy");
    assert_true(fabs(json_number_value(json_object_get(accuracy, "share")) - 122.0 / 180.0) < 1e-5);
    assert_int_equal(json_integer_value(json_object_get(accuracy, "predictions")), 180);
    assert_true(fabs(json_number_value(json_object_get(accuracy, "paused_share")) - 9.0 / 180.0) < 1e-5);
    json_t *recent = json_object_get(status, "recent");
    assert_true(json_number_value(json_object_get(recent, "accuracy")) == 0.9);
    assert_true(json_number_value(json_object_get(recent, "fallback_share")) == 0.125);
    json_decref(status);
    take_metrics(&s);
    assert_true(value_of("agilenn_reported_predictions_total", "") == 180);
    assert_true(value_of("agilenn_reported_correct_total", "") == 122);
    assert_true(value_of("agilenn_reported_fallbacks_total", "") == 20);
    assert_true(value_of("agilenn_reported_paused_total", "") == 9);
}

/* ---- history and health ----------------------------------------------------------------------------- */

/* ---- the sample dashboard ------------------------------------------------------------------------- */

static bool is_told(const char *name, size_t length)
{
    for (int i = 0; i < sample_count; i++)
        if (strlen(samples[i].name) == length && memcmp(samples[i].name, name, length) == 0)
            return true;
    return false;
}

/* Returns how many metrics the expression names, each of which there must be. */
static int check_expression(const char *expression)
{
    int names = 0;
    for (const char *at = expression; (at = strstr(at, "agilenn_")); names++) {
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        if (!is_told(at, length))
            fail_msg("'%s' asks for what is not told", expression);
        at += length;
    }
    return names;
}

static void test_the_dashboard_asks_for_what_there_is(void **state)
{
    (void)state;
    char path[1024];
    const char *root = getenv("AGN_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/packaging/grafana-agilenn.json", root ? root : ".");
    json_error_t error;
    json_t *dashboard = json_load_file(path, JSON_REJECT_DUPLICATES, &error), *panel, *target;
    if (!dashboard)
        fail_msg("%s line %d: %s", path, error.line, error.text);
    struct agn_server_stats stats = busy_server();
    take_metrics(&stats);
    int names = 0;
    size_t i, k;
    json_array_foreach(json_object_get(dashboard, "panels"), i, panel)
    {
        assert_int_equal(json_integer_value(json_object_get(panel, "id")), i + 1);
        json_array_foreach(json_object_get(panel, "targets"), k, target)
        {
            int more = check_expression(json_string_value(json_object_get(target, "expr")));
            names += more;
        }
    }
    print_message("%d panels and headings, metrics named %d times\n", (int)i, names);
    assert_true(names > 30);
    json_decref(dashboard);
}

static void test_history_forgets(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    struct agn_server_stats s = {0};
    for (int second = 0; second < 1000; second++) {
        s.frames = (uint64_t)second * (uint64_t)second; /* 2 * second - 1 more than before */
        s.queue_depth = second;
        agn__history_add(&history, second, &s);
    }
    assert_int_equal(history.count, AGN__HISTORY_MOMENTS);
    assert_int_equal(agn__history_moment(&history, 0)->queue_depth, 1000 - AGN__HISTORY_MOMENTS);
    assert_int_equal(agn__history_moment(&history, AGN__HISTORY_MOMENTS - 1)->queue_depth, 999);
    assert_true(agn__history_moment(&history, AGN__HISTORY_MOMENTS - 1)->rates.frames == 1997.0);
    struct agn__rates rates;
    agn__history_recent(&history, 999.0, &s, &rates);
    assert_true(rates.seconds == AGN__HISTORY_WINDOW);
    assert_true(rates.frames == (999.0 * 999.0 - 989.0 * 989.0) / 10.0);
}

static void test_a_server_that_began_anew(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    struct agn_server_stats before = {.frames = 1000}, after = {.frames = 30};
    agn__history_add(&history, 1.0, &before);
    agn__history_add(&history, 2.0, &after);
    assert_true(agn__history_moment(&history, 0)->rates.frames == 30.0);
}

static void test_health(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    struct agn_server_stats s = {.uptime_s = 5.0, .model_count = 1};
    agn__history_add(&history, 100.0, &s);
    struct agn__view view = view_of(&s, 109.0);
    assert_null(agn__view_health(&view));
    assert_null(agn__view_readiness(&view));
    view.now_s = 111.0; /* its clock has not moved for 11 s */
    assert_string_equal(agn__view_health(&view), "stalled");
    assert_string_equal(agn__view_readiness(&view), "stalled");
    s.uptime_s = 16.0;
    agn__history_add(&history, 111.0, &s);
    assert_null(agn__view_health(&view));
    view.stats.draining = true;
    assert_string_equal(agn__view_health(&view), "draining");
    view.stats.draining = false;
    view.stats.model_count = 0;
    assert_null(agn__view_health(&view));
    assert_string_equal(agn__view_readiness(&view), "no model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_counter_is_told),
        cmocka_unit_test(test_histograms),
        cmocka_unit_test(test_names_of_models_are_harmless),
        cmocka_unit_test(test_names_that_are_cut_off),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_status_of_an_idle_server),
        cmocka_unit_test(test_reported_accuracy),
        cmocka_unit_test(test_the_dashboard_asks_for_what_there_is),
        cmocka_unit_test(test_history_forgets),
        cmocka_unit_test(test_a_server_that_began_anew),
        cmocka_unit_test(test_health),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
