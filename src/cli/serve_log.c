/* The log of a server that runs for months: lines with the time, as text or JSON, never a flood of them. What
 * repeats itself a thousand times must not hide the rest, so each origin ("reload", "inference") has a number
 * of lines a second of its own. */
#define _GNU_SOURCE /* gmtime_r */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agilenn/base.h"
#include "cli/cli.h"
#include "cli/serve.h"

enum {
    LINES_A_SECOND = 20, /* of one origin */
    ORIGINS = 12,        /* what comes beyond shares the last one */
    ORIGIN_BYTES = 16,
    TIME_BYTES = 40
};

struct origin {
    char name[ORIGIN_BYTES];
    int lines; /* in this second */
};

static struct {
    pthread_mutex_t lock;
    bool json;
    time_t second, told;     /* of the last line; of the last one that said how many were left out */
    unsigned long long left; /* out since then */
    struct origin origins[ORIGINS];
    int origin_count;
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

/* "reload: 2 models served" is an event and what is to be said of it. The event's length, or 0. */
static size_t event_length(const char *line)
{
    size_t length = strcspn(line, ": ");
    return line[length] == ':' && line[length + 1] == ' ' ? length : 0;
}

static void write_json(const char *when, enum agn_log_level level, const char *line)
{
    size_t length = event_length(line);
    json_t *object = json_pack("{s:s, s:s}", "time", when, "level", levels[level]);
    if (object && length > 0)
        json_object_set_new(object, "event", json_stringn(line, length));
    if (object)
        json_object_set_new(object, "message", agn__cli_json_string(length > 0 ? line + length + 2 : line));
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

static struct origin *origin_of(const char *line)
{
    size_t length = event_length(line);
    length = length < ORIGIN_BYTES ? length : ORIGIN_BYTES - 1;
    for (int i = 0; i < sink.origin_count; i++)
        if (strncmp(sink.origins[i].name, line, length) == 0 && sink.origins[i].name[length] == '\0')
            return &sink.origins[i];
    if (sink.origin_count == ORIGINS)
        return &sink.origins[ORIGINS - 1];
    struct origin *fresh = &sink.origins[sink.origin_count++];
    memcpy(fresh->name, line, length);
    return fresh;
}

static void say_what_was_left_out(const struct timespec *now)
{
    char text[64];
    if (sink.left == 0 || sink.told == now->tv_sec)
        return;
    snprintf(text, sizeof text, "log: %llu lines left out", sink.left);
    sink.left = 0;
    sink.told = now->tv_sec;
    write_line(now, AGN_LOG_WARN, text);
}

static void on_line(void *user, enum agn_log_level level, const char *line)
{
    (void)user;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&sink.lock);
    if (now.tv_sec != sink.second) {
        sink.second = now.tv_sec;
        for (int i = 0; i < sink.origin_count; i++)
            sink.origins[i].lines = 0;
    }
    if (origin_of(line)->lines++ >= LINES_A_SECOND) {
        sink.left++;
    } else {
        say_what_was_left_out(&now);
        write_line(&now, level, line);
    }
    pthread_mutex_unlock(&sink.lock);
}

void agn__serve_log_to_stderr(const char *format)
{
    sink.json = format && strcmp(format, "json") == 0;
    agn_log_to(on_line, NULL, format ? AGN_LOG_INFO : AGN_LOG_WARN);
}
