/* An ESP-AT modem's driver: commands, how long to wait for what, the search for the command mode, resets,
 * setting up. What the modem answers is esp_at_words.c's matter. */
#include "drivers/esp_at_parts.h"

/* ---- commands ------------------------------------------------------------------------------------------ */

static void put_byte(struct esp_at *modem, char character)
{
    if (modem->command_bytes < ESP_AT_COMMAND_BYTES)
        modem->command[modem->command_bytes++] = (uint8_t)character;
}

static void put(struct esp_at *modem, const char *text)
{
    while (*text)
        put_byte(modem, *text++);
}

/* In quotes; the modem wants a backslash before these three. */
static void put_quoted(struct esp_at *modem, const char *text)
{
    put_byte(modem, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == ',' || *text == '\\')
            put_byte(modem, '\\');
        put_byte(modem, *text);
    }
    put_byte(modem, '"');
}

static void put_number(struct esp_at *modem, uint32_t number)
{
    char digits[11], *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(modem, at);
}

void esp_at__begin_command(struct esp_at *modem, const char *text)
{
    modem->command_bytes = modem->command_done = 0;
    modem->filler_left = 0;
    put(modem, text);
}

static void put_join(struct esp_at *modem)
{
    esp_at__begin_command(modem, "AT+CWJAP=");
    put_quoted(modem, modem->config.ssid);
    put_byte(modem, ',');
    put_quoted(modem, modem->config.password ? modem->config.password : "");
    put(modem, "\r\n");
}

void esp_at__put_open(struct esp_at *modem)
{
    put(modem, "AT+CIPSTART=\"UDP\",");
    put_quoted(modem, modem->config.host);
    put_byte(modem, ',');
    put_number(modem, modem->config.port);
    put_byte(modem, ',');
    put_number(modem, modem->config.local_port);
    put(modem, ",0\r\n");
}

/* ---- how long to wait for what ------------------------------------------------------------------------- */

uint32_t esp_at__leaving_ms(const struct esp_at *modem, uint32_t bytes)
{
    return modem->config.uart_bps > 0 ? bytes * 10000U / modem->config.uart_bps + 1 : 0;
}

/* `ms` doubled for each reset in vain. */
static uint32_t grown_ms(const struct esp_at *modem, uint32_t ms, uint32_t max_ms)
{
    return least(ms << least(modem->resets, 6), max_ms);
}

uint32_t esp_at__patient_ms(uint32_t table_ms, uint32_t slow_ms)
{
    return most(least(slow_ms + slow_ms / 2U + MIN_PATIENCE_MS, MAX_WORD_MS), table_ms);
}

uint32_t esp_at__quick_ms(const struct esp_at *modem, uint32_t table_ms)
{
    uint32_t expected_ms = MIN_PATIENCE_MS + 3U * modem->reaction_ms;
    if (modem->losses_in_row < CAUTIOUS_LOSSES && expected_ms < table_ms)
        return expected_ms;
    return esp_at__patient_ms(table_ms, modem->reaction_ms);
}

uint32_t esp_at__word_ms(const struct esp_at *modem, uint32_t table_ms)
{
    uint32_t misses = modem->misses_in_row;
    if (misses < SUSPICIOUS_MISSES || (misses & (misses - 1U)) != 0)
        return esp_at__quick_ms(modem, table_ms);
    return most(least(table_ms * misses / 8U, MAX_WORD_MS), table_ms);
}

/* For an answer to AT: a late one is heard all the same. */
static uint32_t probe_ms(const struct esp_at *modem)
{
    uint32_t table_ms = modem->config.times->probe_ms;
    return least(esp_at__quick_ms(modem, table_ms), 4U * table_ms);
}

void esp_at__learn(uint16_t *slow_ms, uint32_t took_ms)
{
    if (took_ms >= *slow_ms)
        *slow_ms = (uint16_t)least(took_ms, MAX_SLOW_MS);
    else
        *slow_ms = (uint16_t)(*slow_ms - (*slow_ms - took_ms + 7U) / 8U);
}

uint32_t esp_at__took_ms(const struct esp_at *modem, uint32_t from_ms, uint32_t bytes, uint32_t now_ms)
{
    uint32_t took = now_ms - from_ms;
    return took - least(took, esp_at__leaving_ms(modem, bytes));
}

/* ---- states -------------------------------------------------------------------------------------------- */

void esp_at__enter(struct esp_at *modem, enum esp_at_state state, uint32_t limit_ms, uint32_t now_ms)
{
    modem->state = state;
    modem->since_ms = now_ms;
    modem->limit_ms = limit_ms;
}

void esp_at__enter_command(struct esp_at *modem, enum esp_at_state state, uint32_t limit_ms, uint32_t now_ms)
{
    esp_at__enter(modem, state, limit_ms + esp_at__leaving_ms(modem, modem->command_bytes), now_ms);
}

void esp_at__pause_before(struct esp_at *modem, enum esp_at_state next, uint32_t pause_ms, uint32_t now_ms)
{
    modem->paused = next;
    esp_at__enter(modem, ESP_AT_STATE_PAUSE, pause_ms, now_ms);
}

/* The modem works: what has failed before is forgiven. */
static void forgive(struct esp_at *modem)
{
    modem->losses_in_row = modem->misses_in_row = modem->resets = 0;
    modem->failed_steps = modem->vain_openings = modem->has_asked = 0;
}

void esp_at__conclude(struct esp_at *modem, enum esp_at_outcome outcome)
{
    if (modem->outcome != ESP_AT_PENDING)
        return;
    modem->outcome = outcome;
    modem->is_handed_over = 0;
    if (outcome == ESP_AT_FAILED) {
        modem->counts.failed++;
        return;
    }
    if (modem->config.reopen_after > 0 && ++modem->unanswered >= modem->config.reopen_after) {
        modem->unanswered = 0;
        modem->is_open = 0;
    }
    if (outcome == ESP_AT_SENT) {
        modem->counts.sent++;
        count_up(&modem->trust);
        forgive(modem);
    } else {
        modem->counts.unsure++;
    }
}

void esp_at__count_loss(struct esp_at *modem)
{
    count_up(&modem->losses_in_row);
    count_up(&modem->misses_in_row);
    if (modem->losses_in_row % REOPEN_LOSSES == 0)
        modem->is_open = 0;
}

/* ---- the search for the command mode ------------------------------------------------------------------- */

void esp_at__lose(struct esp_at *modem, uint32_t now_ms)
{
    esp_at__owe(modem, now_ms);
    esp_at__conclude(modem, ESP_AT_UNSURE);
    esp_at__count_loss(modem);
}

void esp_at__probe(struct esp_at *modem, uint32_t filler, uint32_t now_ms)
{
    esp_at__begin_command(modem, "\r\nAT\r\n");
    modem->filler = modem->filler_left = (uint16_t)filler;
    if (filler > 0 && modem->owes_end == 0) /* it may end a datagram that nobody knows of */
        esp_at__add_owed(modem, 0, now_ms, now_ms);
    modem->counts.filler_bytes += filler;
    modem->probes++;
    modem->is_speaking = modem->is_topping_up = 0;
    esp_at__enter_command(modem, ESP_AT_STATE_RESYNC, probe_ms(modem) + esp_at__leaving_ms(modem, filler),
                          now_ms);
}

void esp_at__resync(struct esp_at *modem, uint32_t filler, uint32_t now_ms)
{
    modem->counts.resyncs++;
    modem->probes = 0;
    modem->is_settling = modem->is_escaped = modem->is_heard_here = 0;
    esp_at__probe(modem, filler, now_ms);
}

void esp_at__top_up(struct esp_at *modem, uint32_t now_ms)
{
    modem->counts.resyncs++;
    modem->probes = 0;
    modem->is_settling = modem->is_speaking = modem->is_escaped = 0;
    modem->is_topping_up = 1;
    if (modem->owes_end == 1) /* its end comes after these */
        modem->owed_gone_ms = now_ms;
    esp_at__begin_command(modem, "\r\n\r\n\r\n\r\n");
    modem->counts.filler_bytes += modem->command_bytes;
    esp_at__enter_command(modem, ESP_AT_STATE_RESYNC, probe_ms(modem), now_ms);
}

/* Out of transparent transmission: +++ by itself, with silence around it. */
static void escape(struct esp_at *modem, uint32_t now_ms)
{
    modem->is_escaped = 1;
    modem->was_nudged = modem->is_speaking = 0;
    esp_at__begin_command(modem, "");
    esp_at__enter(modem, ESP_AT_STATE_ESCAPE, GUARD_MS, now_ms);
}

void esp_at__expire_escape(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->was_nudged) {
        modem->probes = 0;
        esp_at__probe(modem, 0, now_ms);
        return;
    }
    modem->counts.escapes++;
    modem->was_nudged = 1;
    esp_at__begin_command(modem, "+++");
    esp_at__enter_command(modem, ESP_AT_STATE_ESCAPE, ESCAPE_MS, now_ms);
}

int esp_at__may_reset(const struct esp_at *modem, uint32_t now_ms)
{
    uint32_t boot_ms = most(modem->config.times->boot_ms, modem->slow_boot_ms);
    if (modem->busy_in_row > 0)
        return now_ms - modem->busy_ms >= grown_ms(modem, MAX_BUSY_MS, MAX_RESET_MS);
    return modem->resets == 0 ||
           now_ms - modem->reset_ms >=
               grown_ms(modem, boot_ms, modem->is_heard ? MAX_RESET_MS / 2U : MAX_RESET_MS);
}

void esp_at__use_rate(struct esp_at *modem, uint8_t rate)
{
    if (rate == modem->rate)
        return;
    modem->rate = rate;
    modem->config.uart_bps = rate > 0 ? modem->config.rates[rate - 1] : modem->first_bps;
    modem->config.set_rate(modem->config.user, modem->config.uart_bps);
}

void esp_at__reset(struct esp_at *modem, uint32_t now_ms)
{
    int by_pin = modem->resets > 0 && modem->config.reset;
    if (!esp_at__may_reset(modem, now_ms)) {
        modem->is_set_up = modem->is_open = 0;
        esp_at__pause_before(modem, ESP_AT_STATE_RESYNC, modem->config.times->pause_ms / 4U, now_ms);
        return;
    }
    count_up(&modem->resets);
    modem->is_set_up = modem->is_open = modem->is_heard = 0;
    modem->failed_steps = modem->losses_in_row = modem->busy_in_row = modem->vain_openings = 0;
    modem->owes_prompt = 0;
    modem->reset_ms = now_ms;
    esp_at_lines_restart(&modem->lines);
    if (by_pin) {
        modem->counts.pin_resets++;
        esp_at__use_rate(modem, 0);
        esp_at__begin_command(modem, "");
        modem->config.reset(modem->config.user, 1);
        esp_at__enter(modem, ESP_AT_STATE_HOLD, modem->config.times->hold_ms, now_ms);
        return;
    }
    modem->counts.restarts++;
    esp_at__begin_command(modem, "\r\nAT+RST\r\n");
    esp_at__enter_command(modem, ESP_AT_STATE_BOOT, modem->config.times->boot_ms, now_ms);
}

/* Whether to go on at the next speed: not where the modem was heard, nor soon after a reset by pin, as it
 * then speaks at its own. AT+RST was perhaps said at the wrong one. */
static int tries_next_rate(const struct esp_at *modem, uint32_t now_ms)
{
    return modem->config.set_rate && modem->rate < modem->config.rate_count && !modem->is_heard_here &&
           (modem->rate > 0 || !modem->config.reset || esp_at__may_reset(modem, now_ms));
}

void esp_at__end_search(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->is_speaking || modem->busy_in_row > 0) {
        esp_at__reset(modem, now_ms);
    } else if (!modem->is_escaped) {
        escape(modem, now_ms);
    } else if (tries_next_rate(modem, now_ms)) {
        esp_at__use_rate(modem, (uint8_t)(modem->rate + 1));
        esp_at__resync(modem, 0, now_ms);
    } else {
        if (!modem->is_heard_here)
            esp_at__use_rate(modem, 0);
        esp_at__reset(modem, now_ms);
    }
}

/* ---- setting up ---------------------------------------------------------------------------------------- */

/* What a modem may have been left with by another program, or have in its flash. Each may be unknown to it.
 */
static const char *const settings[] = {
    "ATE0\r\n",         "AT+SYSSTORE=0\r\n",    "AT+SAVETRANSLINK=0\r\n",
    "AT+CIPMODE=0\r\n", "AT+CIPRECVMODE=0\r\n", "AT+CIPDINFO=0\r\n",
    "AT+CWMODE=1\r\n",
};
enum { SETTINGS = sizeof settings / sizeof settings[0], SAVED_TRANSPARENT = 2, STATION = SETTINGS - 1 };

/* The ways to close what is open; the others where several sockets may be. */
static const char *const closings[] = {"AT+CIPCLOSE\r\n", "AT+CIPCLOSE=5\r\n", "AT+CIPSERVER=0\r\n"};
enum { CLOSINGS = sizeof closings / sizeof closings[0] };

/* How long to wait for a step's answer. Where the modem has been quick of late: not long, as what is lost on
 * the line never comes. */
static uint32_t step_ms(const struct esp_at *modem, enum esp_at_state step)
{
    uint32_t table_ms = modem->config.times->command_ms;
    if (modem->slow_steps > 0)
        return table_ms << least(modem->slow_steps, 4);
    if (modem->step_ms == 0 || step == ESP_AT_STATE_JOIN)
        return table_ms;
    return least(table_ms, 4U * MIN_PATIENCE_MS + (step == ESP_AT_STATE_OPEN ? 6U : 3U) * modem->step_ms);
}

/* A step was answered. Opening takes longer than the others. */
static void learn_step(struct esp_at *modem, uint32_t now_ms)
{
    uint32_t took = esp_at__took_ms(modem, modem->since_ms, modem->command_bytes, now_ms);
    if (modem->slow_steps > 0 && took < modem->config.times->command_ms / 2U)
        modem->slow_steps--;
    if (!modem->was_nudged && modem->state != ESP_AT_STATE_JOIN)
        esp_at__learn(&modem->step_ms, most(took, 1));
}

void esp_at__begin_step(struct esp_at *modem, enum esp_at_state step, uint32_t now_ms)
{
    modem->was_nudged = modem->was_accepted = 0;
    switch (step) {
    case ESP_AT_STATE_SETTING:
        esp_at__begin_command(modem, settings[modem->setting]);
        break;
    case ESP_AT_STATE_JOIN:
        put_join(modem);
        break;
    case ESP_AT_STATE_CLOSE:
        esp_at__begin_command(modem, closings[modem->closing]);
        break;
    case ESP_AT_STATE_SINGLE:
        esp_at__begin_command(modem, "AT+CIPMUX=0\r\n");
        break;
    default:
        esp_at__begin_command(modem, "");
        esp_at__put_open(modem);
        step = ESP_AT_STATE_OPEN;
        break;
    }
    esp_at__enter_command(modem, step, step_ms(modem, step), now_ms);
}

static void begin_asking(struct esp_at *modem, uint32_t now_ms)
{
    esp_at__begin_command(modem, "AT+CIPSEND=");
    put_number(modem, modem->datagram_bytes);
    put(modem, "\r\n");
    modem->datagram_done = 0;
    modem->asked_bytes = modem->datagram_bytes;
    modem->has_asked = 1;
    modem->said_ms = now_ms;
    modem->was_accepted = modem->was_nudged = modem->was_prompted = 0;
    modem->was_taken = modem->was_sent = modem->was_failed = modem->is_doubtful = modem->is_draining = 0;
    esp_at__enter_command(modem, ESP_AT_STATE_ASK, esp_at__word_ms(modem, modem->config.times->prompt_ms),
                          now_ms);
}

/* A socket after one that nothing went out through: slowly, then from the settings on, then from a reset. */
static void open_again(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->has_asked) {
        modem->has_asked = 0;
        count_up(&modem->vain_openings);
    }
    modem->closing = 0;
    if (modem->vain_openings >= MAX_VAIN_OPENINGS) {
        modem->vain_openings /= 2; /* where a reset is not due */
        esp_at__reset(modem, now_ms);
    } else if (modem->vain_openings > 0 && modem->vain_openings % 2 == 0) {
        modem->setting = 0;
        esp_at__begin_step(modem, ESP_AT_STATE_SETTING, now_ms);
    } else {
        esp_at__begin_step(modem, ESP_AT_STATE_CLOSE, now_ms);
    }
}

/* The datagram would be given up before the modem has said '>', which would cost filler. */
static int is_too_late(const struct esp_at *modem, uint32_t now_ms)
{
    uint32_t least_ms = MIN_PATIENCE_MS + least(modem->reaction_ms, modem->patience_ms / 4U);
    return now_ms - modem->asked_ms + least_ms >= modem->patience_ms;
}

/* Whether the modem should first say what it owes. */
static int waits_for_owed(struct esp_at *modem, uint32_t now_ms)
{
    esp_at__forget_owed(modem, now_ms);
    return modem->owes_end > 0 && modem->owed_was_taken &&
           (modem->was_drained || esp_at__owed_left_ms(modem, now_ms) <= SHORT_OWED_MS);
}

void esp_at__go_on(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->losses_in_row >= RESET_LOSSES) {
        modem->losses_in_row /= 2;
        esp_at__reset(modem, now_ms);
    } else if (!modem->is_set_up) {
        modem->setting = 0;
        esp_at__begin_step(modem, ESP_AT_STATE_SETTING, now_ms);
    } else if (!modem->is_open) {
        open_again(modem, now_ms);
    } else if (modem->outcome == ESP_AT_PENDING && waits_for_owed(modem, now_ms)) {
        esp_at__pause_before(modem, ESP_AT_STATE_READY, esp_at__owed_left_ms(modem, now_ms), now_ms);
    } else if (modem->outcome == ESP_AT_PENDING && !is_too_late(modem, now_ms)) {
        begin_asking(modem, now_ms);
    } else {
        esp_at__enter(modem, ESP_AT_STATE_READY, 0, now_ms);
    }
}

/* The next setting that matters, or the step behind them. */
static void next_setting(struct esp_at *modem, uint32_t now_ms)
{
    modem->was_refused = 0;
    modem->setting++;
    if (modem->setting == SAVED_TRANSPARENT && !modem->was_transparent) /* it would wear the flash */
        modem->setting++;
    if (modem->setting < STATION || (modem->setting == STATION && modem->config.ssid && !modem->is_set_up)) {
        esp_at__begin_step(modem, ESP_AT_STATE_SETTING, now_ms);
    } else if (modem->config.ssid && !modem->is_set_up) {
        esp_at__begin_step(modem, ESP_AT_STATE_JOIN, now_ms);
    } else {
        modem->is_set_up = 1;
        modem->closing = 0;
        esp_at__begin_step(modem, ESP_AT_STATE_CLOSE, now_ms);
    }
}

void esp_at__note_step(struct esp_at *modem)
{
    if (modem->state == ESP_AT_STATE_JOIN) {
        modem->is_set_up = 1;
        return;
    }
    modem->is_open = 1;
    modem->refusals = modem->failed_steps = 0;
    modem->counts.opened++;
}

int esp_at__is_accepted_step(const struct esp_at *modem)
{
    return modem->was_accepted && (modem->state == ESP_AT_STATE_JOIN || modem->state == ESP_AT_STATE_OPEN);
}

void esp_at__finish_step(struct esp_at *modem, uint32_t now_ms)
{
    learn_step(modem, now_ms);
    switch (modem->state) {
    case ESP_AT_STATE_SETTING:
        if (modem->setting == SAVED_TRANSPARENT)
            modem->was_transparent = 0;
        next_setting(modem, now_ms);
        return;
    case ESP_AT_STATE_CLOSE:
        if (modem->closing == 0 || ++modem->closing == CLOSINGS)
            esp_at__begin_step(modem, ESP_AT_STATE_SINGLE, now_ms);
        else
            esp_at__begin_step(modem, ESP_AT_STATE_CLOSE, now_ms);
        return;
    case ESP_AT_STATE_SINGLE:
        esp_at__begin_step(modem, ESP_AT_STATE_OPEN, now_ms);
        return;
    default:
        esp_at__note_step(modem);
        esp_at__go_on(modem, now_ms);
        return;
    }
}

void esp_at__refuse_step(struct esp_at *modem, uint32_t now_ms)
{
    const struct esp_at_times *times = modem->config.times;
    enum esp_at_state again = modem->state;
    if (again == ESP_AT_STATE_SETTING) { /* damaged on the line, or unknown to this modem */
        if (modem->was_refused) {
            next_setting(modem, now_ms);
        } else {
            modem->was_refused = 1;
            esp_at__begin_step(modem, again, now_ms);
        }
        return;
    }
    if (again == ESP_AT_STATE_CLOSE ||
        (again == ESP_AT_STATE_OPEN && modem->was_accepted)) { /* nothing to close; or open already */
        esp_at__finish_step(modem, now_ms);
        return;
    }
    learn_step(modem, now_ms);
    if (again != ESP_AT_STATE_JOIN) { /* perhaps there are sockets already, one or several */
        modem->closing = again == ESP_AT_STATE_SINGLE && modem->failed_steps % 2 == 0;
        again = ESP_AT_STATE_CLOSE;
    }
    count_up(&modem->failed_steps);
    if (modem->failed_steps >= MAX_FAILED_STEPS && esp_at__may_reset(modem, now_ms))
        esp_at__reset(modem, now_ms);
    else
        esp_at__pause_before(
            modem, again,
            modem->failed_steps <= MAX_QUICK_STEPS
                ? times->busy_ms
                : most(times->busy_ms,
                       (uint32_t)times->pause_ms >> (SLOW_STEPS - least(modem->failed_steps, SLOW_STEPS))),
            now_ms);
}
