/* An ESP-AT modem's driver: the clock, output and the caller's side; see esp_at.h. What is said to the modem
 * and when is esp_at_steps.c's matter, what it says esp_at_words.c's. */
#include "drivers/esp_at_parts.h"

#include <string.h>

const struct esp_at_times esp_at_default_times = {
    .command_ms = 300,
    .join_ms = 20000,
    .open_ms = 6000,
    .prompt_ms = 40,
    .taken_ms = 40,
    .sent_ms = 300,
    .probe_ms = 40,
    .gap_ms = 30,
    .busy_ms = 10,
    .pause_ms = 1000,
    .boot_ms = 2000,
    .hold_ms = 20,
};

const char *esp_at_state_text(enum esp_at_state state)
{
    static const char *const texts[ESP_AT_STATE_COUNT] = {
        "hold",   "boot", "resync", "escape", "setting", "join",      "close",
        "single", "open", "pause",  "ready",  "ask",     "hand over", "await sent"};
    return (unsigned)state < ESP_AT_STATE_COUNT ? texts[state] : "?";
}

/* ---- the clock ----------------------------------------------------------------------------------------- */

static void expire_probe(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->is_settling) {
        modem->owes_prompt = 0;
        esp_at__go_on(modem, now_ms);
    } else if (modem->is_topping_up) {
        esp_at__probe(modem, modem->is_speaking ? 0 : modem->datagram_bytes / 32U, now_ms);
    } else if (modem->filler >= MAX_FILLER || modem->probes >= MAX_PROBES ||
               (modem->is_escaped && !modem->is_speaking && modem->probes > 1)) {
        esp_at__end_search(modem, now_ms);
    } else if (modem->is_speaking) {
        esp_at__probe(modem, 0, now_ms);
    } else if (modem->filler < FIRST_FILLER) {
        esp_at__probe(modem, FIRST_FILLER, now_ms);
    } else {
        esp_at__probe(modem, least(2U * modem->filler, MAX_FILLER), now_ms);
    }
}

/* An answer did not come; it, or the command's end, may have been lost. A second line's end is answered with
 * "busy p..." by a modem that is still at it, a second opening with "ALREADY CONNECTED" by one that is done.
 */
static int needs_nudge(const struct esp_at *modem)
{
    return !modem->was_accepted && ((modem->state == ESP_AT_STATE_JOIN && !modem->was_nudged) ||
                                    (modem->state == ESP_AT_STATE_OPEN && modem->was_nudged < MAX_NUDGES));
}

static void nudge(struct esp_at *modem, uint32_t limit_ms, uint32_t now_ms)
{
    esp_at__begin_command(modem, "\r\n");
    modem->was_nudged++;
    if (modem->state == ESP_AT_STATE_OPEN)
        esp_at__put_open(modem);
    esp_at__enter_command(modem, modem->state, limit_ms, now_ms);
}

static void nudge_step(struct esp_at *modem, uint32_t now_ms)
{
    const struct esp_at_times *times = modem->config.times;
    if (modem->state == ESP_AT_STATE_JOIN)
        nudge(modem, times->join_ms, now_ms);
    else
        nudge(modem, (uint32_t)times->open_ms >> (MAX_NUDGES - least(modem->was_nudged, MAX_NUDGES)), now_ms);
}

/* '>' did not come. OK alone says that the modem waits for the datagram; no word at all, that the command's
 * end may have been lost; then, that the modem is to be looked for. */
static void expire_asking(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->was_accepted) {
        esp_at__begin_hand_over(modem, now_ms);
    } else if (!modem->was_nudged) {
        nudge(modem, esp_at__word_ms(modem, modem->config.times->prompt_ms), now_ms);
    } else {
        esp_at__owe(modem, now_ms);
        esp_at__count_loss(modem);
        esp_at__resync(modem, 0, now_ms);
    }
}

/* The datagram's end has not been said. */
static void expire_sending(struct esp_at *modem, uint32_t now_ms)
{
    int is_partly = modem->state == ESP_AT_STATE_HAND_OVER;
    if (modem->is_draining) {
        esp_at__end_draining(modem, now_ms);
        return;
    }
    if (modem->was_sent) { /* of which, is not known; or this modem does not say Recv after all */
        modem->says_received = (uint8_t)(modem->says_received - (modem->says_received > 0));
        esp_at__conclude(modem, ESP_AT_UNSURE);
        esp_at__go_on(modem, now_ms);
        return;
    }
    esp_at__lose(modem, now_ms);
    if (modem->was_failed)
        esp_at__go_on(modem, now_ms);
    else if (!is_partly && !modem->was_taken)
        esp_at__top_up(modem, now_ms);
    else
        esp_at__resync(modem, modem->was_taken ? 0 : modem->datagram_bytes / 32U, now_ms);
}

static void expire_pause(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->paused == ESP_AT_STATE_READY)
        esp_at__go_on(modem, now_ms);
    else if (modem->paused == ESP_AT_STATE_RESYNC)
        esp_at__resync(modem, 0, now_ms);
    else
        esp_at__begin_step(modem, modem->paused, now_ms);
}

static void expire_step(struct esp_at *modem, uint32_t now_ms)
{
    if (esp_at__is_accepted_step(modem)) { /* only the answer's end was lost */
        esp_at__note_step(modem);
        esp_at__resync(modem, 0, now_ms);
        return;
    }
    if (modem->state == ESP_AT_STATE_BOOT) {
        esp_at__use_rate(modem, 0);
    } else {
        count_up(&modem->failed_steps);
        count_up(&modem->failed_steps);
        count_up(&modem->slow_steps);
    }
    if (modem->failed_steps >= MAX_FAILED_STEPS && esp_at__may_reset(modem, now_ms))
        esp_at__reset(modem, now_ms);
    else
        esp_at__resync(modem, 0, now_ms);
}

/* The state has lasted too long. */
static void expire(struct esp_at *modem, uint32_t now_ms)
{
    enum esp_at_state state = modem->state;
    if (state == ESP_AT_STATE_PAUSE) {
        expire_pause(modem, now_ms);
        return;
    }
    if (state == ESP_AT_STATE_ESCAPE) {
        esp_at__expire_escape(modem, now_ms);
        return;
    }
    if (state == ESP_AT_STATE_HOLD) {
        modem->config.reset(modem->config.user, 0);
        modem->reset_ms = now_ms;
        esp_at__enter(modem, ESP_AT_STATE_BOOT, modem->config.times->boot_ms, now_ms);
        return;
    }
    if (needs_nudge(modem)) {
        nudge_step(modem, now_ms);
        return;
    }
    if ((state != ESP_AT_STATE_RESYNC || !(modem->is_settling || modem->is_speaking)) && !modem->is_draining)
        modem->counts.timeouts++;
    if (state == ESP_AT_STATE_RESYNC)
        expire_probe(modem, now_ms);
    else if (state == ESP_AT_STATE_ASK)
        expire_asking(modem, now_ms);
    else if (state == ESP_AT_STATE_HAND_OVER || state == ESP_AT_STATE_AWAIT_SENT)
        expire_sending(modem, now_ms);
    else
        expire_step(modem, now_ms);
}

/* A datagram that waited too long. Where the modem may already wait for it, it gets filler instead. */
static void check_patience(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->outcome != ESP_AT_PENDING || modem->is_handed_over ||
        now_ms - modem->asked_ms < modem->patience_ms)
        return;
    esp_at__conclude(modem, ESP_AT_FAILED);
    if (modem->state == ESP_AT_STATE_ASK) {
        esp_at__owe(modem, now_ms);
        esp_at__resync(modem, modem->datagram_bytes, now_ms);
    }
}

/* ---- output -------------------------------------------------------------------------------------------- */

/* Writes bytes[*done..count). Returns whether all have gone. */
static int write_out(struct esp_at *modem, const uint8_t *bytes, uint16_t count, uint16_t *done)
{
    if (*done < count) {
        size_t written = modem->config.write(modem->config.user, bytes + *done, (size_t)(count - *done));
        *done = (uint16_t)(written < (size_t)(count - *done) ? *done + written : count);
    }
    return *done == count;
}

/* Filler: lines that are no commands, each cheap to refuse. */
static int write_filler(struct esp_at *modem)
{
    static const uint8_t lines[] = "\r\n??????????????????????????????";
    enum { LINE_BYTES = sizeof lines - 1 };
    while (modem->filler_left > 0) {
        uint16_t count = modem->filler_left < LINE_BYTES ? modem->filler_left : (uint16_t)LINE_BYTES,
                 done = 0;
        int all_gone = write_out(modem, lines, count, &done);
        modem->filler_left = (uint16_t)(modem->filler_left - done);
        if (!all_gone)
            return 0;
    }
    return 1;
}

static void write_all(struct esp_at *modem, uint32_t now_ms)
{
    if (!write_filler(modem) ||
        !write_out(modem, modem->command, modem->command_bytes, &modem->command_done) ||
        modem->state != ESP_AT_STATE_HAND_OVER ||
        !write_out(modem, modem->datagram, modem->datagram_bytes, &modem->datagram_done))
        return;
    modem->gone_ms = now_ms;
    if (modem->was_sent) { /* too early: the modem understood another length */
        esp_at__conclude(modem, ESP_AT_UNSURE);
        esp_at__go_on(modem, now_ms);
        return;
    }
    esp_at__enter(modem, ESP_AT_STATE_AWAIT_SENT,
                  esp_at__word_ms(modem, modem->config.times->taken_ms) +
                      esp_at__leaving_ms(modem, modem->datagram_bytes),
                  now_ms);
}

void esp_at_poll(struct esp_at *modem, uint32_t now_ms)
{
    esp_at_lines_expire(&modem->lines, modem->config.times->gap_ms, now_ms);
    write_all(modem, now_ms);
    check_patience(modem, now_ms);
    if (modem->state != ESP_AT_STATE_READY && now_ms - modem->since_ms >= modem->limit_ms)
        expire(modem, now_ms);
    else if (modem->state == ESP_AT_STATE_READY && (modem->outcome == ESP_AT_PENDING || !modem->is_open))
        esp_at__go_on(modem, now_ms);
    write_all(modem, now_ms);
}

/* ---- the caller's side --------------------------------------------------------------------------------- */

static int is_text(const char *text, size_t max_length)
{
    size_t length = 0;
    while (text[length] != '\0') {
        if ((unsigned char)text[length] < ' ' || length == max_length)
            return 0;
        length++;
    }
    return 1;
}

int esp_at_init(struct esp_at *modem, const struct esp_at_config *config, uint32_t now_ms)
{
    enum { MAX_HOST = 64, MAX_SSID = 32, MAX_PASSWORD = 64 }; /* all escaped, they fit a command */
    if (!config->host || !config->host[0] || !is_text(config->host, MAX_HOST) || config->port == 0 ||
        !config->datagram || config->datagram_cap == 0 || !config->write || !config->received ||
        (config->ssid && !is_text(config->ssid, MAX_SSID)) ||
        (config->password && !is_text(config->password, MAX_PASSWORD)))
        return AGN_ERR_ARG;
    memset(modem, 0, sizeof *modem);
    modem->config = *config;
    if (!config->times)
        modem->config.times = &esp_at_default_times;
    modem->first_bps = config->uart_bps;
    modem->reaction_ms = modem->config.times->taken_ms / 3U;
    esp_at_lines_init(&modem->lines, config->datagram, config->datagram_cap);
    esp_at__resync(modem, 0, now_ms);
    return 0;
}

int esp_at_is_open(const struct esp_at *modem)
{
    return modem->is_open;
}

int esp_at_send(struct esp_at *modem, const uint8_t *bytes, size_t len, uint32_t now_ms, uint32_t patience_ms)
{
    if (!bytes || len == 0 || len > ESP_AT_MAX_DATAGRAM)
        return AGN_ERR_ARG;
    if (modem->outcome == ESP_AT_PENDING)
        return AGN_ERR_BUSY;
    modem->datagram = bytes;
    modem->datagram_bytes = (uint16_t)len;
    modem->asked_ms = now_ms;
    modem->patience_ms = patience_ms;
    modem->is_handed_over = 0;
    modem->outcome = ESP_AT_PENDING;
    return 0;
}

enum esp_at_outcome esp_at_outcome(const struct esp_at *modem)
{
    return modem->outcome;
}
