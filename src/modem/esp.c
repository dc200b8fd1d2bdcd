/* ESP-AT as a WiFi module speaks it, with its bad days; see esp.h. */
#include "modem/esp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double default_boot_s = 0.3, default_command_s = 0.001;

enum { BOOT_GARBAGE_BYTES = 40 };

/* ---- the serial line -------------------------------------------------------------------------------- */

enum fate { ARRIVES, IS_LOST, IS_CORRUPTED };

static enum fate draw_fate(struct agn__esp *esp, uint8_t *byte)
{
    const struct agn_modem_model *model = &esp->model;
    if (model->uart_loss <= 0 && model->uart_corrupt <= 0)
        return ARRIVES;
    double drawn = agn_rng_uniform(&esp->uart_rng);
    if (drawn < model->uart_loss)
        return IS_LOST;
    if (drawn >= model->uart_loss + model->uart_corrupt)
        return ARRIVES;
    *byte = (uint8_t)(*byte ^ (1 + agn_rng_below(&esp->uart_rng, 255)));
    return IS_CORRUPTED;
}

static void say_bytes(struct agn__esp *esp, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = bytes[i];
        esp->stats.uart_down++;
        enum fate fate = draw_fate(esp, &byte);
        esp->stats.uart_down_lost += fate == IS_LOST;
        esp->stats.uart_down_corrupted += fate == IS_CORRUPTED;
        if (fate == IS_LOST)
            continue;
        if (esp->unsent_bytes == sizeof esp->unsent)
            esp->stats.uart_down_overrun++;
        else
            esp->unsent[esp->unsent_bytes++] = byte;
    }
}

static void say(struct agn__esp *esp, const char *text)
{
    say_bytes(esp, (const uint8_t *)text, strlen(text));
}

size_t agn__esp_to_device(struct agn__esp *esp, uint8_t *bytes, size_t cap)
{
    size_t len = esp->unsent_bytes < cap ? esp->unsent_bytes : cap;
    memcpy(bytes, esp->unsent, len);
    memmove(esp->unsent, esp->unsent + len, esp->unsent_bytes - len);
    esp->unsent_bytes -= len;
    return len;
}

/* ---- states ----------------------------------------------------------------------------------------- */

static void close_socket(struct agn__esp *esp)
{
    if (esp->is_open)
        esp->world.close(esp->world.user);
    esp->is_open = false;
}

static void boot(struct agn__esp *esp, double now_s)
{
    close_socket(esp);
    esp->mode = AGN__ESP_BOOTING;
    esp->until_s = now_s + (esp->model.boot_s > 0 ? esp->model.boot_s : default_boot_s);
    esp->echoes = true;
    esp->has_network = !esp->model.ssid;
    esp->line_bytes = 0;
    esp->line_too_long = false;
}

static void reset(struct agn__esp *esp, double now_s)
{
    esp->stats.resets++;
    boot(esp, now_s);
}

void agn__esp_init(struct agn__esp *esp, const struct agn_modem_model *model,
                   const struct agn__esp_world *world, double now_s)
{
    memset(esp, 0, sizeof *esp);
    esp->model = *model;
    esp->world = *world;
    struct agn_rng seeds; /* a generator for each thing, so that one does not shift the other */
    agn_rng_seed(&seeds, model->seed);
    agn_rng_seed(&esp->uart_rng, agn_rng_u64(&seeds));
    agn_rng_seed(&esp->rng, agn_rng_u64(&seeds));
    agn__radio_init(&esp->up, model, agn_rng_u64(&seeds));
    agn__radio_init(&esp->down, model, agn_rng_u64(&seeds));
    boot(esp, now_s);
}

static void listen_again(struct agn__esp *esp)
{
    esp->mode = AGN__ESP_LISTENING;
    esp->line_bytes = 0;
    esp->line_too_long = false;
    esp->joins = esp->opens = esp->leaves = esp->restarts = false;
}

static void work(struct agn__esp *esp, const char *answer, double seconds, double now_s)
{
    esp->mode = AGN__ESP_WORKING;
    esp->answer = answer;
    esp->until_s = now_s + seconds;
}

static void end_boot(struct agn__esp *esp)
{
    uint8_t garbage[BOOT_GARBAGE_BYTES]; /* the boot loader's text at a speed of its own */
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (uint8_t)(0x80 | agn_rng_below(&esp->rng, 128));
    say_bytes(esp, garbage, sizeof garbage);
    say(esp, "\r\nready\r\n");
    if (esp->has_network)
        say(esp, "WIFI CONNECTED\r\nWIFI GOT IP\r\n");
    listen_again(esp);
}

static void end_work(struct agn__esp *esp)
{
    const char *answer = esp->answer;
    if (esp->opens) {
        esp->is_open = esp->world.open(esp->world.user, esp->host, esp->port, esp->local_port) >= 0;
        esp->stats.opened += esp->is_open;
        answer = esp->is_open ? "CONNECT\r\n\r\nOK\r\n" : "DNS Fail\r\n\r\nERROR\r\n";
    }
    if (esp->leaves)
        close_socket(esp);
    if (esp->joins)
        esp->has_network = true;
    say(esp, answer);
    if (esp->restarts)
        reset(esp, esp->until_s);
    else
        listen_again(esp);
}

/* ---- commands --------------------------------------------------------------------------------------- */

static bool begins_with(const char *line, const char *text)
{
    return strncmp(line, text, strlen(text)) == 0;
}

/* Reads a text in quotes, backslashes taken out, and steps behind it. */
static bool read_quoted(const char **at, char *text, size_t cap)
{
    const char *from = *at;
    size_t length = 0;
    if (*from++ != '"')
        return false;
    while (*from && *from != '"') {
        if (*from == '\\' && from[1])
            from++;
        if (length + 1 == cap)
            return false;
        text[length++] = *from++;
    }
    text[length] = '\0';
    *at = from + 1;
    return *from == '"';
}

static bool read_number(const char **at, long max, long *number)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    *number = strtol(*at, &end, 10);
    *at = end;
    return *number <= max;
}

static bool skip_comma(const char **at)
{
    return *(*at)++ == ',';
}

static void refuse(struct agn__esp *esp, const char *answer, double now_s)
{
    esp->stats.refused_commands++;
    work(esp, answer, esp->model.command_s > 0 ? esp->model.command_s : default_command_s, now_s);
}

static void accept(struct agn__esp *esp, double now_s)
{
    work(esp, "\r\nOK\r\n", esp->model.command_s > 0 ? esp->model.command_s : default_command_s, now_s);
}

static void join(struct agn__esp *esp, const char *arguments, double now_s)
{
    char ssid[64], password[128];
    bool is_read = read_quoted(&arguments, ssid, sizeof ssid) && skip_comma(&arguments) &&
                   read_quoted(&arguments, password, sizeof password) && *arguments == '\0';
    if (!is_read) {
        refuse(esp, "\r\nERROR\r\n", now_s);
    } else if (esp->model.ssid && (strcmp(ssid, esp->model.ssid) != 0 ||
                                   strcmp(password, esp->model.password ? esp->model.password : "") != 0)) {
        esp->stats.refused_commands++;
        work(esp, "+CWJAP:3\r\n\r\nFAIL\r\n", 1.0, now_s);
    } else {
        esp->joins = true;
        work(esp, "WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n", 1.0, now_s);
    }
}

static void open_socket(struct agn__esp *esp, const char *arguments, double now_s)
{
    char type[8];
    long port, local_port = 0, mode = 0;
    bool is_read = read_quoted(&arguments, type, sizeof type) && strcmp(type, "UDP") == 0 &&
                   skip_comma(&arguments) && read_quoted(&arguments, esp->host, sizeof esp->host) &&
                   skip_comma(&arguments) && read_number(&arguments, 65535, &port) && port > 0;
    if (is_read && *arguments)
        is_read = skip_comma(&arguments) && read_number(&arguments, 65535, &local_port);
    if (is_read && *arguments)
        is_read = skip_comma(&arguments) && read_number(&arguments, 2, &mode) && *arguments == '\0';
    if (!is_read) {
        refuse(esp, "\r\nERROR\r\n", now_s);
    } else if (esp->is_open) {
        refuse(esp, "ALREADY CONNECTED\r\n\r\nERROR\r\n", now_s);
    } else if (!esp->has_network) {
        refuse(esp, "no ip\r\n\r\nERROR\r\n", now_s);
    } else {
        esp->port = (uint16_t)port;
        esp->local_port = (uint16_t)local_port;
        esp->opens = true;
        accept(esp, now_s);
    }
}

static void begin_taking(struct agn__esp *esp, const char *arguments, double now_s)
{
    long bytes;
    if (!read_number(&arguments, AGN__RADIO_BYTES, &bytes) || bytes == 0 || *arguments) {
        refuse(esp, "\r\nERROR\r\n", now_s);
    } else if (!esp->is_open) {
        refuse(esp, "link is not valid\r\n\r\nERROR\r\n", now_s);
    } else {
        say(esp, "\r\nOK\r\n\r\n>");
        esp->mode = AGN__ESP_TAKING;
        esp->expected = (size_t)bytes;
        esp->got = 0;
        bool resets = agn_rng_uniform(&esp->rng) < esp->model.reset;
        size_t reset_at = agn_rng_below(&esp->rng, (uint32_t)bytes + 2);
        esp->reset_at = resets ? reset_at : SIZE_MAX;
        if (esp->reset_at == 0)
            reset(esp, now_s);
    }
}

static void obey(struct agn__esp *esp, const char *line, double now_s)
{
    static const char *const harmless[] = {"AT",          "ATE0",         "ATE1", "AT+SYSSTORE=0",
                                           "AT+CWMODE=1", "AT+CIPDINFO=0"};
    for (size_t i = 0; i < AGN_COUNT_OF(harmless); i++)
        if (strcmp(line, harmless[i]) == 0) {
            if (begins_with(line, "ATE"))
                esp->echoes = strcmp(line, "ATE1") == 0;
            accept(esp, now_s);
            return;
        }
    if (strcmp(line, "AT+RST") == 0) {
        esp->restarts = true;
        accept(esp, now_s);
    } else if (begins_with(line, "AT+CWJAP=")) {
        join(esp, line + strlen("AT+CWJAP="), now_s);
    } else if (strcmp(line, "AT+CIPMUX=0") == 0) {
        if (esp->is_open)
            refuse(esp, "link is builded\r\n\r\nERROR\r\n", now_s);
        else
            accept(esp, now_s);
    } else if (strcmp(line, "AT+CIPCLOSE") == 0) {
        esp->leaves = true;
        if (esp->is_open)
            work(esp, "CLOSED\r\n\r\nOK\r\n", default_command_s, now_s);
        else
            refuse(esp, "\r\nERROR\r\n", now_s);
    } else if (begins_with(line, "AT+CIPSTART=")) {
        open_socket(esp, line + strlen("AT+CIPSTART="), now_s);
    } else if (begins_with(line, "AT+CIPSEND=")) {
        begin_taking(esp, line + strlen("AT+CIPSEND="), now_s);
    } else {
        esp->stats.unknown_commands++;
        work(esp, "\r\nERROR\r\n", default_command_s, now_s);
    }
}

static void take_line(struct agn__esp *esp, double now_s)
{
    bool is_empty = esp->line_bytes == 0 && !esp->line_too_long;
    esp->line[esp->line_too_long ? 0 : esp->line_bytes] = '\0';
    esp->line_bytes = 0;
    esp->line_too_long = false;
    if (is_empty)
        return;
    esp->stats.commands++;
    double drawn = agn_rng_uniform(&esp->rng);
    if (esp->mode == AGN__ESP_WORKING || drawn < esp->model.busy) {
        esp->stats.busy++;
        say(esp, "busy p...\r\n");
    } else if (drawn < esp->model.busy + esp->model.error) {
        refuse(esp, "\r\nERROR\r\n", now_s);
    } else {
        obey(esp, esp->line, now_s);
    }
}

/* ---- bytes and datagrams ---------------------------------------------------------------------------- */

static void take_datagram_byte(struct agn__esp *esp, uint8_t byte, double now_s)
{
    char text[40];
    esp->datagram[esp->got++] = byte;
    if (esp->got == esp->reset_at) {
        reset(esp, now_s);
        return;
    }
    if (esp->got < esp->expected)
        return;
    snprintf(text, sizeof text, "\r\nRecv %zu bytes\r\n", esp->got);
    say(esp, text);
    if (esp->reset_at == esp->expected + 1) {
        reset(esp, now_s);
        return;
    }
    esp->stats.up++;
    esp->stats.up_bytes += esp->got;
    agn__radio_put(&esp->up, esp->datagram, esp->got, now_s);
    work(esp, "\r\nSEND OK\r\n", default_command_s, now_s);
}

static void take_command_byte(struct agn__esp *esp, uint8_t byte, double now_s)
{
    if (esp->echoes && esp->mode == AGN__ESP_LISTENING)
        say_bytes(esp, &byte, 1);
    if (byte == '\n' && esp->line_bytes > 0 && esp->line[esp->line_bytes - 1] == '\r') {
        esp->line_bytes--;
        take_line(esp, now_s);
    } else if (esp->line_bytes < AGN__ESP_LINE_BYTES) {
        esp->line[esp->line_bytes++] = byte ? (char)byte : '?';
    } else { /* keeps the end, to see the line's */
        esp->line[AGN__ESP_LINE_BYTES - 1] = byte ? (char)byte : '?';
        esp->line_too_long = true;
    }
}

void agn__esp_from_device(struct agn__esp *esp, const uint8_t *bytes, size_t len, double now_s)
{
    agn__esp_advance(esp, now_s);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = bytes[i];
        esp->stats.uart_up++;
        enum fate fate = draw_fate(esp, &byte);
        esp->stats.uart_up_lost += fate == IS_LOST;
        esp->stats.uart_up_corrupted += fate == IS_CORRUPTED;
        if (fate == IS_LOST || esp->mode == AGN__ESP_BOOTING)
            continue;
        if (esp->mode == AGN__ESP_TAKING)
            take_datagram_byte(esp, byte, now_s);
        else
            take_command_byte(esp, byte, now_s);
    }
}

void agn__esp_from_server(struct agn__esp *esp, const uint8_t *bytes, size_t len, double now_s)
{
    esp->stats.down++;
    esp->stats.down_bytes += len;
    if (len > 0 && len <= AGN__RADIO_BYTES)
        agn__radio_put(&esp->down, bytes, len, now_s);
    else
        esp->stats.down_overrun++;
}

static void deliver(struct agn__esp *esp, const uint8_t *bytes, size_t len)
{
    char text[40];
    if (!esp->is_open || esp->mode == AGN__ESP_BOOTING) {
        esp->stats.down_unwanted++;
        return;
    }
    esp->stats.down_delivered++;
    snprintf(text, sizeof text, "\r\n+IPD,%zu:", len);
    say(esp, text);
    say_bytes(esp, bytes, len);
}

double agn__esp_advance(struct agn__esp *esp, double now_s)
{
    const uint8_t *bytes;
    size_t len;
    while ((len = agn__radio_take(&esp->up, now_s, &bytes)) > 0)
        if (esp->world.send(esp->world.user, bytes, len) < 0)
            esp->stats.network_errors++;
        else
            esp->stats.up_sent++;
    while ((len = agn__radio_take(&esp->down, now_s, &bytes)) > 0)
        deliver(esp, bytes, len);
    if (esp->mode == AGN__ESP_WORKING && esp->until_s <= now_s)
        end_work(esp);
    if (esp->mode == AGN__ESP_BOOTING && esp->until_s <= now_s)
        end_boot(esp);
    double next_s = fmin(agn__radio_due(&esp->up), agn__radio_due(&esp->down));
    bool is_timed = esp->mode == AGN__ESP_WORKING || esp->mode == AGN__ESP_BOOTING;
    return is_timed ? fmin(next_s, esp->until_s) : next_s;
}

void agn__esp_stats(const struct agn__esp *esp, struct agn_modem_stats *stats)
{
    *stats = esp->stats;
    stats->up_lost = esp->up.lost;
    stats->up_reordered = esp->up.reordered;
    stats->up_overrun = esp->up.overrun;
    stats->down_lost = esp->down.lost;
    stats->down_reordered = esp->down.reordered;
    stats->down_overrun += esp->down.overrun;
}
