/* Settings of `agilenn serve` from an ini file. */
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/server.h"
#include "cli/cli.h"
#include "cli/serve.h"

enum { MAX_CONFIG_BYTES = 1 << 20, MOST_TEXT = 1 << 16, MOST_IN_LINE = 198 };

struct setting {
    const char *section, *key;
    const char **text;
    int *integer;
    int min, max;
    bool *flag;
};

struct reading {
    struct agn_serve_options *options;
    const char *path;
    char problem[256];
};

static bool say(struct reading *reading, const char *format, const char *a, const char *b)
{
    snprintf(reading->problem, sizeof reading->problem, format, a, b);
    return false;
}

static bool set_number(struct reading *reading, const struct setting *setting, const char *value)
{
    char *end, limits[64];
    errno = 0;
    long number = strtol(value, &end, 10);
    if (errno == 0 && end != value && *end == '\0' && number >= setting->min && number <= setting->max) {
        *setting->integer = (int)number;
        return true;
    }
    snprintf(limits, sizeof limits, "%d to %d", setting->min, setting->max);
    snprintf(reading->problem, sizeof reading->problem, "%s = %s: expected %s", setting->key, value, limits);
    return false;
}

static bool set_flag(struct reading *reading, const struct setting *setting, const char *value)
{
    *setting->flag = strcmp(value, "yes") == 0;
    return *setting->flag || strcmp(value, "no") == 0 ||
           say(reading, "%s = %s: expected yes or no", setting->key, value);
}

/* Copies of texts, which stay until the program ends. NULL: more than any file needs. */
static char *keep(const char *text)
{
    static char texts[MOST_TEXT];
    static size_t used;
    size_t size = strlen(text) + 1;
    if (size > sizeof texts - used)
        return NULL;
    char *copy = memcpy(texts + used, text, size);
    used += size;
    return copy;
}

static bool add_model(struct reading *reading, const char *value)
{
    struct agn_cli_list *models = &reading->options->models;
    char *copy = models->count < AGN_SERVER_MAX_MODELS ? keep(value) : NULL;
    if (!copy)
        return say(reading, "model = %s: too many models%s", value, "");
    models->items[models->count++] = copy;
    return true;
}

static bool set(struct reading *reading, const char *section, const char *key, const char *value)
{
    struct agn_serve_options *o = reading->options;
    const struct setting settings[] = {
        {"server", "address", &o->address, NULL, 0, 0, NULL},
        {"server", "port", NULL, &o->port, 0, 65535, NULL},
        {"server", "max_peers", NULL, &o->max_peers, 0, AGN_SERVER_MAX_PEERS, NULL},
        {"server", "receive_buffer", NULL, &o->receive_buffer, 4096, AGN_SERVER_MAX_RECEIVE_BUFFER, NULL},
        {"server", "drain_ms", NULL, &o->drain_ms, 1, 60000, NULL},
        {"server", "log", &o->log, NULL, 0, 0, NULL},
        {"server", "http", &o->http, NULL, 0, 0, NULL},
        {"security", "psk_file", &o->psk_file, NULL, 0, 0, NULL},
        {"security", "dtls_port", NULL, &o->dtls_port, 0, 65535, NULL},
        {.section = "security", .key = "plain_off", .flag = &o->plain_off},
        {.section = "security", .key = "dtls_cbc", .flag = &o->dtls_cbc},
        {"security", "peer_messages_per_s", NULL, &o->peer_rate, 0, AGN_SERVE_MAX_PEER_RATE, NULL},
        {"security", "peer_bytes_per_s", NULL, &o->peer_bytes, 0, AGN_SERVE_MAX_PEER_BYTES, NULL},
        {"frames", "wait_ms", NULL, &o->wait_ms, 1, 60000, NULL},
        {"frames", "max_frames", NULL, &o->max_frames, 1, AGN_SERVER_MAX_FRAMES, NULL},
        {"inference", "workers", NULL, &o->workers, 0, AGN_SERVER_MAX_WORKERS, NULL},
        {"inference", "threads", NULL, &o->threads, 0, 256, NULL},
        {.section = "inference", .key = "int8", .flag = &o->int8},
        {"inference", "batch", NULL, &o->batch, 1, AGN_SERVER_MAX_BATCH, NULL},
        {"inference", "rate", NULL, &o->rate, 0, 10000000, NULL},
        {"inference", "batch_wait_us", NULL, &o->batch_wait_us, 0, 1000000, NULL},
        {"inference", "queue", NULL, &o->queue, 1, AGN_SERVER_MAX_QUEUE, NULL},
    };
    if (strcmp(section, "models") == 0 && strcmp(key, "model") == 0)
        return add_model(reading, value);
    for (size_t i = 0; i < AGN_COUNT_OF(settings); i++) {
        const struct setting *setting = &settings[i];
        if (strcmp(section, setting->section) != 0 || strcmp(key, setting->key) != 0)
            continue;
        if (setting->flag)
            return set_flag(reading, setting, value);
        if (setting->integer)
            return set_number(reading, setting, value);
        char *copy = setting->text ? keep(value) : NULL;
        if (copy)
            *setting->text = copy;
        return copy != NULL;
    }
    return say(reading, "unknown setting %s in section [%s]", key, section);
}

static int on_setting(void *user, const char *section, const char *key, const char *value)
{
    const struct reading *reading = user;
    return reading->problem[0] == '\0' && set(user, section, key, value); /* the first problem is told */
}

/* inih takes the rest of a line of 199 bytes or more for another line, and a zero byte for the file's end.
 * The number of a line that it would misread, or 0. */
static int find_misread(struct reading *reading, const uint8_t *text, size_t size)
{
    int line = 1;
    for (size_t at = 0, bytes = 0; at < size; at++) {
        if (text[at] == '\n') {
            line++;
            bytes = 0;
            continue;
        }
        bytes++;
        if (text[at] != '\0' && bytes <= MOST_IN_LINE)
            continue;
        snprintf(reading->problem, sizeof reading->problem,
                 text[at] ? "longer than %d bytes" : "a zero byte; expected text of at most %d bytes",
                 (int)MOST_IN_LINE);
        return line;
    }
    return 0;
}

int agn__serve_read_config(const char *path, struct agn_serve_options *options)
{
    uint8_t *text;
    size_t size;
    int status = agn_file_read(path, MAX_CONFIG_BYTES, &text, &size);
    if (status < 0)
        return agn__cli_fail("serve", status);
    struct reading reading = {.options = options, .path = path};
    int line = find_misread(&reading, text, size);
    if (line == 0)
        line = ini_parse_string((const char *)text, on_setting, &reading);
    agn_free(text);
    if (line == 0 && options->log && strcmp(options->log, "text") != 0 && strcmp(options->log, "json") != 0) {
        line = -1;
        say(&reading, "log = %s: expected text or json%s", options->log, "");
    }
    if (line == 0)
        return AGN_CLI_GO_ON;
    const char *problem = reading.problem[0] ? reading.problem : "expected [section] or key = value";
    if (line > 0)
        (void)agn_fail(AGN_ERR_FORMAT, "%s:%d: %s", path, line, problem);
    else
        (void)agn_fail(AGN_ERR_FORMAT, "%s: %s", path, problem);
    return agn__cli_fail("serve", AGN_ERR_FORMAT);
}
