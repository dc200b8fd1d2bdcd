/* The log of a server that runs for months: lines with the time, as text or JSON, never a flood of them. */
#define _GNU_SOURCE /* gmtime_r */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agilenn/base.h"
#include "cli/cli.h"
#include "cli/serve.h"

enum { LINES_A_SECOND = 20, TIME_BYTES = 40 };

static struct {
    pthread_mutex_t lock;
    bool json;
    time_t second;
    int lines;               /* in that second */
    unsigned long long left; /* out since then */
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const levels[] = {"error", "warning", "info", "debug"};

static void write_time(const struct timespec *now, char text[TIME_BYTES])
{
    struct tm parts;
    char seconds[24];
    gmtime_r(&now->tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, TIME_BYTES, "%s.%03ldZ", seconds, now->tv_nsec / 1000000);
}

/* "reload: 2 models served" is an event and what is to be said of it. */
static void write_json(const char *when, enum agn_log_level level, const char *line)
{
    const char *colon = strstr(line, ": ");
    size_t length = colon ? (size_t)(colon - line) : 0;
    bool has_event = length > 0 && strcspn(line, " ") > length;
    json_t *object = json_pack("{s:s, s:s}", "time", when, "level", levels[level]);
    if (object && has_event)
        json_object_set_new(object, "event", json_stringn(line, length));
    if (object)
        json_object_set_new(object, "message", agn__cli_json_string(has_event ? colon + 2 : line));
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    fprintf(stderr, "%s\n", text ? text : "{}");
    free(text);
    json_decref(object);
}

static void write_line(const struct timespec *now, enum agn_log_level level, const char *line)
{
    char when[TIME_BYTES];
    write_time(now, when);
    if (sink.json)
        write_json(when, level, line);
    else
        fprintf(stderr, "%s %s %s\n", when, levels[level], line);
}

static void on_line(void *user, enum agn_log_level level, const char *line)
{
    (void)user;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&sink.lock);
    if (now.tv_sec != sink.second) {
        sink.second = now.tv_sec;
        sink.lines = 0;
    }
    if (sink.lines++ >= LINES_A_SECOND) {
        sink.left++;
    } else {
        if (sink.left > 0) {
            char text[64];
            snprintf(text, sizeof text, "log: %llu lines left out", sink.left);
            sink.left = 0;
            write_line(&now, AGN_LOG_WARN, text);
        }
        write_line(&now, level, line);
    }
    pthread_mutex_unlock(&sink.lock);
}

void agn__serve_log_to_stderr(const char *format)
{
    sink.json = format && strcmp(format, "json") == 0;
    agn_log_to(on_line, NULL, format ? AGN_LOG_INFO : AGN_LOG_WARN);
}
