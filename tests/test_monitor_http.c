/* The monitor's HTTP before friends and strangers, over raw sockets: routes, headers, methods, and clients
 * that send garbage, too much, too slowly or nothing at all. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "agilenn/base.h"
#include "agilenn/monitor.h"

enum { TIMEOUT_MS = 400, CONNECTIONS = 8, PATIENCE_MS = 5000 };

static struct agn_monitor *monitor;
static atomic_bool draining, without_model;
static char answer[1 << 20]; /* of the last request, with a zero byte behind */

static void snapshot(void *user, struct agn_server_stats *stats)
{
    assert_ptr_equal(user, &monitor);
    memset(stats, 0, sizeof *stats);
    stats->frames = 42;
    stats->model_count = without_model ? 0 : 1;
    stats->draining = draining;
    stats->uptime_s = agn_now_s();
}

static int start(void **state)
{
    (void)state;
    struct agn_monitor_config config = {.listen = "0",
                                        .snapshot = snapshot,
                                        .user = &monitor,
                                        .max_connections = CONNECTIONS,
                                        .request_timeout_ms = TIMEOUT_MS};
    return agn_monitor_start(&monitor, &config);
}

static int start_for_reports(void **state)
{
    (void)state;
    struct agn_monitor_config config = {.listen = "0",
                                        .snapshot = snapshot,
                                        .user = &monitor,
                                        .request_timeout_ms = TIMEOUT_MS,
                                        .accept_reports = true};
    return agn_monitor_start(&monitor, &config);
}

static int stop(void **state)
{
    (void)state;
    agn_monitor_stop(monitor);
    return 0;
}

/* ---- a client ------------------------------------------------------------------------------------ */

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(agn_monitor_port(monitor))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Reads into `answer` until the monitor closes; fails the test when it does not in time. */
static size_t read_to_end(int fd)
{
    size_t used = 0;
    double begin_s = agn_now_s();
    for (;;) {
        struct pollfd wait_for = {.fd = fd, .events = POLLIN};
        assert_true(poll(&wait_for, 1, PATIENCE_MS) == 1);
        ssize_t got = recv(fd, answer + used, sizeof answer - 1 - used, 0);
        if (got <= 0)
            break;
        used += (size_t)got;
        assert_true(agn_now_s() - begin_s < 1e-3 * PATIENCE_MS);
    }
    answer[used] = '\0';
    return used;
}

/* Sends bytes, reads the answer, gives its status code (0: none). */
static int exchange(const char *bytes, size_t count)
{
    int fd = dial();
    (void)!send(fd, bytes, count, MSG_NOSIGNAL);
    read_to_end(fd);
    close(fd);
    int code = 0;
    return sscanf(answer, "HTTP/1.%*d %d ", &code) == 1 ? code : 0;
}

static int ask(const char *method, const char *target)
{
    char request[512];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: monitor\r\n\r\n", method, target);
    return exchange(request, strlen(request));
}

static const char *body(void)
{
    const char *gap = strstr(answer, "\r\n\r\n");
    assert_non_null(gap);
    return gap + 4;
}

/* Does the head of the answer hold this line? */
static void head_has(const char *line)
{
    char wanted[512];
    snprintf(wanted, sizeof wanted, "\r\n%s\r\n", line);
    const char *found = strstr(answer, wanted);
    if (!found || found >= body())
        fail_msg("no line '%s' in:\n%.1000s", line, answer);
}

/* ---- tests: routes --------------------------------------------------------------------------------- */

static void test_routes(void **state)
{
    (void)state;
    assert_int_equal(ask("GET", "/metrics"), 200);
    head_has("Content-Type: text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(body(), "\nagilenn_frames_total 42\n"));
    assert_int_equal(ask("GET", "/status.json?x=1"), 200);
    head_has("Content-Type: application/json");
    head_has("Cache-Control: no-store");
    json_t *status = json_loads(body(), 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(status, "totals"), "frames")), 42);
    json_decref(status);
    assert_int_equal(ask("GET", "/healthz"), 200);
    assert_string_equal(body(), "ok\n");
    assert_int_equal(ask("GET", "/readyz"), 200);
    static const char *const nowhere[] = {"/index.html",
                                          "/../etc/passwd",
                                          "/%2e%2e/etc/passwd",
                                          "//",
                                          "/metrics/",
                                          "/.git/config",
                                          "/page.js",
                                          "/%",
                                          "/status.json%0d%0aX:y"};
    for (size_t i = 0; i < AGN_COUNT_OF(nowhere); i++)
        assert_int_equal(ask("GET", nowhere[i]), 404);
}

static void test_the_page(void **state)
{
    (void)state;
    assert_int_equal(ask("GET", "/"), 200);
    head_has("Content-Type: text/html; charset=utf-8");
    head_has("X-Content-Type-Options: nosniff");
    head_has("Referrer-Policy: no-referrer");
    const char *policy =
        strstr(answer, "\r\nContent-Security-Policy: default-src 'none'; style-src 'sha256-");
    assert_true(policy && policy < body());
    const char *line_end = strstr(policy + 2, "\r\n");
    static const char *const lax[] = {"unsafe", "http", "data:", "*"};
    for (size_t i = 0; i < AGN_COUNT_OF(lax); i++) {
        const char *found = strstr(policy, lax[i]);
        assert_true(!found || found > line_end);
    }
    /* Style and script are in, and nothing is fetched from elsewhere. */
    assert_null(strstr(body(), "@STYLE@"));
    assert_null(strstr(body(), "@SCRIPT@"));
    assert_non_null(strstr(body(), "prefers-color-scheme: dark"));
    static const char *const outside[] = {"src=", "url(", "@import", "<link", " style=", " onclick="};
    for (size_t i = 0; i < AGN_COUNT_OF(outside); i++)
        assert_null(strstr(body(), outside[i]));
    for (const char *at = body(); (at = strstr(at, "http")) != NULL; at += 4)
        assert_true(strncmp(at, "http://www.w3.org/2000/svg", 26) == 0); /* a name, not a place */
    const char *end = strstr(body(), "</html>");
    assert_non_null(end);
    assert_string_equal(end, "</html>\n"); /* all of it came */
}

static void test_head(void **state)
{
    (void)state;
    static const char *const targets[] = {"/", "/metrics", "/status.json", "/healthz", "/nowhere"};
    for (size_t i = 0; i < AGN_COUNT_OF(targets); i++) {
        int code = ask("HEAD", targets[i]);
        assert_int_equal(code, i < 4 ? 200 : 404);
        assert_string_equal(body(), "");
        assert_non_null(strstr(answer, "Content-Length: "));
    }
}

static void test_other_methods(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST",  "PUT",   "DELETE", "OPTIONS",
                                          "PATCH", "TRACE", "get",    "BREW"};
    for (size_t i = 0; i < AGN_COUNT_OF(methods); i++) {
        assert_int_equal(ask(methods[i], "/metrics"), 405);
        head_has("Allow: GET, HEAD");
        assert_null(strstr(answer, "agilenn_"));
    }
    static const char upload[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc";
    assert_int_equal(exchange(upload, strlen(upload)), 405); /* at once: the body is not waited for */
}

static void test_health(void **state)
{
    (void)state;
    draining = true;
    assert_int_equal(ask("GET", "/healthz"), 503);
    assert_string_equal(body(), "draining\n");
    assert_int_equal(ask("GET", "/readyz"), 503);
    draining = false;
    without_model = true;
    assert_int_equal(ask("GET", "/healthz"), 200);
    assert_int_equal(ask("GET", "/readyz"), 503);
    assert_string_equal(body(), "no model\n");
    without_model = false;
    assert_int_equal(ask("GET", "/readyz"), 200);
}

/* ---- tests: strangers -------------------------------------------------------------------------------- */

static void test_garbage(void **state)
{
    (void)state;
    static const char *const rubbish[] = {
        "\r\n\r\n\r\n\r\nx\r\n\r\n",
        "GET\r\n\r\n",
        "GET /metrics\r\n\r\n",
        "GET /metrics HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET /metrics HTTP/1.1\r\n\r\n", /* no host */
        "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET http://a.b/metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT a.b:1 HTTP/1.1\r\nHost: x\r\n\r\n"};
    for (size_t i = 0; i < AGN_COUNT_OF(rubbish); i++) {
        int code = exchange(rubbish[i], strlen(rubbish[i]));
        assert_true(code == 0 || (code >= 200 && code < 600));
    }
    struct agn_rng rng;
    agn_rng_seed(&rng, 5);
    for (int i = 0; i < 60; i++) {
        char noise[600];
        size_t count = agn_rng_below(&rng, sizeof noise - 8) + 1;
        for (size_t k = 0; k < count; k++)
            noise[k] = (char)agn_rng_below(&rng, i % 2 ? 256 : 127);
        memcpy(noise + count, "\r\n\r\n", 4);
        exchange(noise, count + 4);
    }
    assert_int_equal(ask("GET", "/healthz"), 200);
}

static void test_long_requests(void **state)
{
    (void)state;
    enum { LONG = 200000 };
    char *request = malloc(LONG);
    assert_non_null(request);
    memset(request, 'a', LONG);
    memcpy(request, "GET /", 5);
    int code = exchange(request, LONG); /* a target without an end */
    assert_true(code == 0 || code == 414 || code == 431 || code == 413);
    memcpy(request, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: ", 40);
    code = exchange(request, LONG); /* a header without an end */
    assert_true(code == 0 || code == 414 || code == 431 || code == 413);
    for (int i = 40; i + 8 < LONG; i += 8)
        memcpy(request + i, "a: bcd\r\n", 8); /* headers without an end */
    code = exchange(request, LONG);
    assert_true(code == 0 || code == 414 || code == 431 || code == 413);
    free(request);
    assert_int_equal(ask("GET", "/healthz"), 200);
}

/* Each byte comes before libmicrohttpd would give up; the request as a whole is too slow all the same. */
static void test_a_request_byte_by_byte(void **state)
{
    (void)state;
    int fd = dial();
    double begin_s = agn_now_s();
    bool closed = false;
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: monitor\r\nX-Slow: a";
    for (size_t i = 0; !closed && agn_now_s() - begin_s < 1e-3 * PATIENCE_MS; i++) {
        char byte = i < strlen(request) ? request[i] : 'a';
        struct pollfd wait_for = {.fd = fd, .events = POLLIN};
        closed = send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || poll(&wait_for, 1, 100) == 1;
    }
    assert_true(closed);
    assert_true(agn_now_s() - begin_s < 1e-3 * TIMEOUT_MS + 2.5);
    close(fd);
}

/* All places are taken by clients who say nothing: others wait until these are sent away, and are served. */
static void test_silent_clients(void **state)
{
    (void)state;
    int silent[2 * CONNECTIONS];
    for (size_t i = 0; i < AGN_COUNT_OF(silent); i++)
        silent[i] = dial();
    assert_int_equal(ask("GET", "/healthz"), 200);
    for (size_t i = 0; i < AGN_COUNT_OF(silent); i++)
        close(silent[i]);
    assert_int_equal(ask("GET", "/healthz"), 200);
}

/* Clients that ask and leave, the hard way. */
static void test_clients_that_leave(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        int fd = dial();
        const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        (void)!send(fd, request, i % 2 ? sizeof request - 1 : 7, MSG_NOSIGNAL);
        struct linger at_once = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
    assert_int_equal(ask("GET", "/healthz"), 200);
}

/* A client that asks for much and reads nothing does not keep others waiting. */
static void test_a_client_that_does_not_read(void **state)
{
    (void)state;
    int fd = dial();
    int small = 1024;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 0; i < 100; i++)
        (void)!send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, MSG_NOSIGNAL | MSG_DONTWAIT);
    assert_int_equal(ask("GET", "/healthz"), 200);
    close(fd);
}

/* ---- tests: reports ---------------------------------------------------------------------------------- */

static const uint64_t none[4];

/* What status.json says that was reported: predictions, right ones, fallbacks, paused; all 0 for null. */
static void assert_reported(const uint64_t counts[4])
{
    assert_int_equal(ask("GET", "/metrics"), 200);
    static const char *const names[] = {
        "\nagilenn_reported_predictions_total ", "\nagilenn_reported_correct_total ",
        "\nagilenn_reported_fallbacks_total ", "\nagilenn_reported_paused_total "};
    for (int i = 0; i < 4; i++) {
        const char *found = strstr(body(), names[i]);
        assert_int_equal(found ? strtoull(found + strlen(names[i]), NULL, 10) : 0, counts[i]);
    }
}

static int post(const char *type, const char *text)
{
    char request[2048];
    snprintf(request, sizeof request,
             "POST /report HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", type,
             strlen(text), text);
    return exchange(request, strlen(request));
}

static void test_no_reports_unless_asked_for(void **state)
{
    (void)state;
    struct agn_monitor_truth truth = {10, 9, 1, 0};
    assert_int_equal(agn_monitor_report(agn_monitor_url(monitor), &truth), AGN_ERR_UNSUPPORTED);
    assert_non_null(strstr(agn_error_message(), "does not accept reports"));
    assert_reported(none);
}

static void test_reports(void **state)
{
    (void)state;
    struct agn_monitor_truth first = {10, 9, 1, 0}, second = {5, 2, 5, 4};
    assert_int_equal(agn_monitor_report(agn_monitor_url(monitor), &first), 0);
    char place[64];
    snprintf(place, sizeof place, "localhost:%u", (unsigned)agn_monitor_port(monitor));
    assert_int_equal(agn_monitor_report(place, &second), 0);
    assert_reported((uint64_t[]){15, 11, 6, 4});
    static const char chunked[] =
        "POST /report HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
        "18\r\n{\"predictions\": 1, \"corr\r\n19\r\nect\": 1, \"fallbacks\": 0 }\r\n0\r\n\r\n";
    assert_int_equal(exchange(chunked, strlen(chunked)), 200);
    assert_reported((uint64_t[]){16, 12, 6, 4});
    assert_int_equal(ask("GET", "/report"), 404);
}

static void test_bad_reports(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"predictions\": 1, \"correct\": 1}",
        "{\"predictions\": 1, \"correct\": 1, \"fallbacks\": 0, \"more\": 1}",
        "{\"predictions\": 1, \"predictions\": 1, \"correct\": 1, \"fallbacks\": 0}",
        "{\"predictions\": 1.5, \"correct\": 1, \"fallbacks\": 0}",
        "{\"predictions\": \"1\", \"correct\": 1, \"fallbacks\": 0}",
        "{\"predictions\": 1, \"correct\": 2, \"fallbacks\": 0}",
        "{\"predictions\": 1, \"correct\": 1, \"fallbacks\": 2}",
        "{\"predictions\": -1, \"correct\": -1, \"fallbacks\": -1}",
        "{\"predictions\": 3, \"correct\": 1, \"fallbacks\": 1, \"paused\": 2}",
        "{\"predictions\": 3, \"correct\": 1, \"fallbacks\": 1, \"paused\": -1}",
        "{\"predictions\": 3, \"correct\": 1, \"fallbacks\": 1, \"paused\": \"1\"}",
        "{\"predictions\": 1000000001, \"correct\": 1, \"fallbacks\": 0}",
        "{\"predictions\": 99999999999999999999, \"correct\": 1, \"fallbacks\": 0}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["};
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        assert_int_equal(post("application/json", bad[i]), 400);
    /* A browser sends these types for pages of other origins without asking. */
    static const char good[] = "{\"predictions\": 1, \"correct\": 1, \"fallbacks\": 0}";
    assert_int_equal(post("text/plain", good), 415);
    assert_int_equal(post("application/x-www-form-urlencoded", good), 415);
    assert_int_equal(post("multipart/form-data; boundary=x", good), 415);
    char longer[1200];
    memset(longer, ' ', sizeof longer);
    memcpy(longer + sizeof longer - sizeof good, good, sizeof good);
    assert_int_equal(post("application/json", longer), 0);
    static const char promise[] = "POST /report HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                  "Content-Length: 100\r\n\r\n{"; /* the rest never comes */
    assert_int_equal(exchange(promise, strlen(promise)), 0);
    assert_reported(none);
}

static void test_reports_to_nobody(void **state)
{
    (void)state;
    struct agn_monitor_truth truth = {1, 1, 0, 0};
    assert_int_equal(agn_monitor_report("http://127.0.0.1:1/", &truth), AGN_ERR_IO);
    assert_int_equal(agn_monitor_report("https://127.0.0.1:1/", &truth), AGN_ERR_ARG);
    assert_int_equal(agn_monitor_report("http://127.0.0.1/", &truth), AGN_ERR_ARG);
    assert_int_equal(agn_monitor_report("", &truth), AGN_ERR_ARG);
    char endless[2000];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(agn_monitor_report(endless, &truth), AGN_ERR_ARG);
}

/* ---- tests: where it listens -------------------------------------------------------------------------- */

static int try_to_listen(const char *where)
{
    struct agn_monitor_config config = {.listen = where, .snapshot = snapshot, .user = &monitor};
    struct agn_monitor *other = NULL;
    int status = agn_monitor_start(&other, &config);
    agn_monitor_stop(other);
    return status;
}

static void test_addresses(void **state)
{
    (void)state;
    assert_int_equal(try_to_listen("127.0.0.1:0"), 0);
    assert_int_equal(try_to_listen("localhost:0"), 0);
    static const char *const wrong[] = {"",           ":",         "x",     "70000",    "-1",    "80x",
                                        "127.0.0.1:", "127.0.0.1", ":8080", "[::1",     "[::1]", "[]:80",
                                        "::1:8080",   " 80",       "0x50",  "[::1]x:80"};
    for (size_t i = 0; i < AGN_COUNT_OF(wrong); i++) {
        assert_int_equal(try_to_listen(wrong[i]), AGN_ERR_ARG);
        assert_non_null(strstr(agn_error_message(), "expected"));
    }
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", (unsigned)agn_monitor_port(monitor));
    assert_int_equal(try_to_listen(taken), AGN_ERR_BUSY);
    assert_non_null(strstr(agn_error_message(), taken));
    assert_int_equal(try_to_listen("192.0.2.1:0"), AGN_ERR_IO); /* not an address of this machine */
    char url[96];
    snprintf(url, sizeof url, "http://%s/", taken);
    assert_string_equal(agn_monitor_url(monitor), url);
    agn_monitor_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_the_page),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_other_methods),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_long_requests),
        cmocka_unit_test(test_a_request_byte_by_byte),
        cmocka_unit_test(test_silent_clients),
        cmocka_unit_test(test_clients_that_leave),
        cmocka_unit_test(test_a_client_that_does_not_read),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_no_reports_unless_asked_for),
        cmocka_unit_test(test_reports_to_nobody),
    };
    const struct CMUnitTest reports[] = {
        cmocka_unit_test_setup_teardown(test_reports, start_for_reports, stop),
        cmocka_unit_test_setup_teardown(test_bad_reports, start_for_reports, stop),
    };
    int failed = cmocka_run_group_tests(tests, start, stop);
    return failed + cmocka_run_group_tests(reports, NULL, NULL);
}
