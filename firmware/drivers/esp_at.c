/* An ESP-AT modem's driver; see esp_at.h. Its parts, in this order: whose end a word is, what the modem says,
 * what is said to it and when, and the clock, output and caller's side. What the modem's bytes are is
 * esp_at_lines.c's matter. */
#include "drivers/esp_at_parts.h"

#include <string.h>

/* ==== whose end a word is =================================================================== */

/* Whose "SEND OK" it is. The modem says what became of a datagram without saying of
 * which. Ends that are still owed are counted, and while one may come, none heard proves anything of the
 * datagram under way. */

uint32_t esp_at__owing_ms(const struct esp_at *modem)
{
    if (modem->sent_ms == 0 || (modem->says_failed && modem->fails_alone < FAILS_ALONE))
        return OWED_MS;
    uint32_t ms = modem->sent_ms;
    return least(least(3U * ms + OWED_SPARE_MS, ms + ms / 2U + OWED_MOST_SPARE_MS), OWED_MS);
}

uint32_t esp_at__owed_left_ms(const struct esp_at *modem, uint32_t now_ms)
{
    uint32_t left_ms = modem->owed_until_ms - now_ms;
    return left_ms <= OWED_MS ? left_ms : 0;
}

void esp_at__add_owed(struct esp_at *modem, int was_taken, uint32_t from_ms, uint32_t now_ms)
{
    uint32_t left_ms = esp_at__owing_ms(modem), gone_ms = now_ms - from_ms;
    left_ms -= least(left_ms, gone_ms);
    if (modem->owes_end == 0) {
        modem->owed_gone_ms = from_ms;
        modem->owed_was_taken = 1;
        modem->owed_until_ms = now_ms;
    }
    modem->owed_was_taken = (uint8_t)(modem->owed_was_taken && was_taken);
    if (!was_taken)
        count_up(&modem->owes_taken);
    modem->owed_until_ms = now_ms + most(esp_at__owed_left_ms(modem, now_ms), left_ms);
    count_up(&modem->owes_end);
}

void esp_at__note_owed_taken(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->owes_end == 0 || modem->owed_was_taken)
        return;
    modem->owed_was_taken = 1;
    modem->owed_until_ms = now_ms + esp_at__owing_ms(modem);
}

/* Of the modem's words about a datagram before, one has come. About which, is not known: it took no longer
 * than since the first that is owed. */
static void learn_owed(struct esp_at *modem, uint32_t now_ms)
{
    modem->sent_ms = (uint16_t)most(modem->sent_ms, least(now_ms - modem->owed_gone_ms, MAX_SLOW_MS));
}

void esp_at__hear_owed_taken(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->owes_taken > 0) {
        modem->owes_taken--;
        modem->owed_was_taken = 1;
        if (modem->sent_ms > 0)
            learn_owed(modem, now_ms);
        modem->owed_until_ms = now_ms + most(esp_at__owed_left_ms(modem, now_ms), esp_at__owing_ms(modem));
        return;
    }
    modem->trust = 0;
    esp_at__add_owed(modem, 1, now_ms, now_ms);
    modem->owed_gone_ms = now_ms - MAX_SLOW_MS; /* long ago, perhaps */
    modem->owed_until_ms = now_ms + OWED_MS;
}

void esp_at__pay_owed(struct esp_at *modem, uint32_t now_ms)
{
    learn_owed(modem, now_ms);
    if (--modem->owes_end == 0)
        modem->owed_failed = modem->owes_taken = modem->was_drained = 0;
}

void esp_at__forget_owed(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->owes_prompt && now_ms - modem->owed_ms >= OWED_MS)
        modem->owes_prompt = 0;
    if (modem->owes_end == 0 || !modem->owed_was_taken || esp_at__owed_left_ms(modem, now_ms) > 0)
        return;
    if (modem->owed_failed)
        count_up(&modem->fails_alone);
    modem->owes_end = modem->owes_taken = modem->owed_failed = modem->was_drained = 0;
}

void esp_at__owe(struct esp_at *modem, uint32_t now_ms)
{
    modem->owes_prompt = !modem->was_prompted;
    modem->owed_ms = now_ms;
    modem->owed_failed |= modem->was_failed;
    esp_at__add_owed(modem, modem->was_taken, modem->is_handed_over ? modem->gone_ms : now_ms, now_ms);
    if (modem->was_taken && modem->trust < TRUSTED) /* late, or lost */
        modem->owed_until_ms = now_ms + OWED_MS;
}

/* ==== what the modem says =================================================================== */

/* What follows from what the modem says. */

/* ---- a datagram under way ------------------------------------------------------------------------------ */

void esp_at__begin_hand_over(struct esp_at *modem, uint32_t now_ms)
{
    modem->refusals = 0;
    modem->is_handed_over = 1;
    modem->gone_ms = now_ms;
    esp_at__note_owed_taken(modem, now_ms);
    modem->is_doubtful = modem->was_nudged; /* the second line's end may have become part of the datagram */
    esp_at__enter(modem, ESP_AT_STATE_HAND_OVER,
                  modem->config.times->sent_ms + 2 * esp_at__leaving_ms(modem, modem->datagram_bytes),
                  now_ms);
}

/* '>'. In time; or late, with the datagram handed over on "OK" alone; or so late that the modem is looked
 * for: it waits for a datagram now, and gets filler. */
static void hear_prompt(struct esp_at *modem, uint32_t now_ms)
{
    int is_late = modem->was_nudged || modem->state != ESP_AT_STATE_ASK;
    if (!is_late || modem->was_late) /* once, the command's end may have been lost instead */
        esp_at__learn(&modem->reaction_ms,
                      esp_at__took_ms(modem, modem->said_ms, modem->command_bytes, now_ms));
    modem->was_late = (uint8_t)is_late;
    modem->was_prompted = 1;
    if (modem->state == ESP_AT_STATE_ASK) {
        esp_at__begin_hand_over(modem, now_ms);
        modem->is_doubtful |= modem->owes_prompt;
        modem->owes_prompt = 0;
    } else if (modem->state == ESP_AT_STATE_HAND_OVER || modem->state == ESP_AT_STATE_AWAIT_SENT) {
        modem->is_doubtful = 1;
    } else {
        modem->owes_prompt = 0;
        esp_at__resync(modem, modem->datagram_bytes, now_ms);
    }
}

/* Counts; returns how long to wait before the next try, in milliseconds. */
static uint32_t count_busy(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->busy_in_row == 0)
        modem->busy_ms = now_ms;
    count_up(&modem->busy_in_row);
    return modem->config.times->busy_ms * (1U + modem->busy_in_row / 16U);
}

static void hear_busy(struct esp_at *modem, enum esp_at_state again, uint32_t now_ms)
{
    uint32_t pause_ms = count_busy(modem, now_ms);
    if (esp_at__may_reset(modem, now_ms))
        esp_at__reset(modem, now_ms);
    else
        esp_at__pause_before(modem, again, pause_ms, now_ms);
}

static void hear_while_asking(struct esp_at *modem, enum esp_at_word word, uint32_t now_ms)
{
    if (word == ESP_AT_OK) {
        modem->was_accepted = 1;
    } else if (word == ESP_AT_NOT_OPEN) { /* ERROR follows */
        modem->is_open = 0;
    } else if (word == ESP_AT_BUSY && (modem->was_accepted || modem->was_nudged)) { /* on its way to '>' */
        modem->was_nudged = modem->was_accepted = 1;
        esp_at__enter(modem, ESP_AT_STATE_ASK, 8U * modem->config.times->prompt_ms, now_ms);
    } else if (word == ESP_AT_BUSY) {
        hear_busy(modem, ESP_AT_STATE_READY, now_ms);
    } else if (word == ESP_AT_ERROR || word == ESP_AT_FAIL) {
        if (++modem->refusals >= MAX_REFUSALS) { /* the socket is gone */
            modem->refusals = 0;
            modem->is_open = 0;
        }
        if (modem->vain_openings > 0)
            esp_at__pause_before(
                modem, ESP_AT_STATE_READY,
                least((uint32_t)modem->config.times->busy_ms << least(2U * modem->vain_openings, 8),
                      modem->config.times->pause_ms / 4U),
                now_ms);
        else
            esp_at__go_on(modem, now_ms);
    }
}

void esp_at__end_draining(struct esp_at *modem, uint32_t now_ms)
{
    modem->is_draining = 0;
    esp_at__forget_owed(modem, now_ms);
    modem->was_drained = modem->owes_end > 0;
    if (modem->was_drained)
        esp_at__resync(modem, 0, now_ms);
    else
        esp_at__go_on(modem, now_ms);
}

static void drain(struct esp_at *modem, uint32_t now_ms)
{
    modem->is_draining = 1;
    esp_at__enter(modem, ESP_AT_STATE_AWAIT_SENT, esp_at__owed_left_ms(modem, now_ms), now_ms);
}

/* "SEND OK" with all bytes gone. Where another end is owed, this one's may still come. */
static void hear_sent(struct esp_at *modem, uint32_t now_ms)
{
    modem->refusals = 0;
    if (modem->is_draining) {
        if (modem->owed_failed)
            modem->fails_alone = 0;
        if (modem->owes_end > 0)
            esp_at__pay_owed(modem, now_ms);
        if (modem->owes_end == 0)
            esp_at__end_draining(modem, now_ms);
        return;
    }
    if (modem->owes_end > 0) {
        uint8_t failed = modem->owed_failed | modem->was_failed;
        esp_at__pay_owed(modem, now_ms);
        modem->owed_failed = failed;
        esp_at__add_owed(modem, modem->was_taken, modem->gone_ms, now_ms);
        esp_at__conclude(modem, ESP_AT_UNSURE);
        drain(modem, now_ms);
        return;
    }
    if (modem->was_failed)
        modem->fails_alone = 0;
    modem->was_sent = 1;
    if (modem->says_received && !modem->was_taken) { /* in an order of its own, or lost on the line */
        esp_at__enter(modem, ESP_AT_STATE_AWAIT_SENT, esp_at__quick_ms(modem, modem->config.times->taken_ms),
                      now_ms);
        return;
    }
    esp_at__learn(&modem->sent_ms,
                  most(esp_at__took_ms(modem, modem->gone_ms, modem->asked_bytes, now_ms), 1));
    esp_at__conclude(modem, modem->is_doubtful ? ESP_AT_UNSURE : ESP_AT_SENT);
    esp_at__go_on(modem, now_ms);
}

/* Whether `number` may be `bytes` with digits lost, or one wrong, on the line. */
static int is_damaged(size_t number, size_t bytes)
{
    int wrong = 0;
    size_t left = number;
    for (size_t a = number, b = bytes; a > 0 || b > 0; a /= 10, b /= 10) {
        wrong += a % 10 != b % 10;
        if (left > 0 && left % 10 == b % 10)
            left /= 10;
    }
    return wrong == 1 || (wrong > 0 && left == 0);
}

/* "Recv n bytes". Of another length: most likely of a datagram before, whose end comes before this one's. */
static void hear_taken(struct esp_at *modem, size_t number, int all_gone, uint32_t now_ms)
{
    int is_first = !modem->was_taken;
    modem->says_received = MAX_UNTAKEN;
    if (is_first && is_damaged(number, modem->asked_bytes)) {
        modem->is_doubtful = modem->was_taken = 1;
    } else if (number != modem->asked_bytes || !all_gone) {
        modem->is_doubtful = 1;
        if (number != modem->asked_bytes)
            esp_at__hear_owed_taken(modem, now_ms);
    } else {
        if (is_first && !modem->is_draining)
            esp_at__learn(&modem->reaction_ms,
                          esp_at__took_ms(modem, modem->gone_ms, modem->asked_bytes, now_ms));
        modem->was_taken = 1;
    }
    if (modem->is_draining) { /* its own Recv, at last */
        if (is_first && modem->was_taken && modem->owes_taken > 0)
            modem->owes_taken--;
        esp_at__note_owed_taken(modem, now_ms);
        drain(modem, now_ms);
    } else if (all_gone && modem->was_sent && modem->was_taken) {
        hear_sent(modem, now_ms);
    } else if (all_gone) {
        esp_at__enter(modem, ESP_AT_STATE_AWAIT_SENT,
                      esp_at__patient_ms(modem->config.times->sent_ms, modem->sent_ms), now_ms);
    }
}

static void hear_while_sending(struct esp_at *modem, enum esp_at_word word, size_t number, uint32_t now_ms)
{
    int all_gone = modem->state == ESP_AT_STATE_AWAIT_SENT;
    if (word == ESP_AT_RECEIVED) {
        hear_taken(modem, number, all_gone, now_ms);
    } else if (word == ESP_AT_SEND_OK && all_gone) {
        hear_sent(modem, now_ms);
    } else if (word == ESP_AT_SEND_OK) { /* too early: another's, or the modem understood another length */
        modem->is_doubtful = 1;
        if (modem->owes_end == 0)
            modem->was_sent = 1;
        else
            esp_at__pay_owed(modem, now_ms);
    } else if (word == ESP_AT_SEND_FAIL && all_gone && modem->is_draining) {
        modem->owed_failed = 1;
        modem->owed_until_ms = now_ms + most(esp_at__owed_left_ms(modem, now_ms), esp_at__owing_ms(modem));
        drain(modem, now_ms);
    } else if (word == ESP_AT_SEND_FAIL && all_gone) { /* some modems say "SEND OK" after it */
        modem->was_failed = 1;
        esp_at__enter(modem, ESP_AT_STATE_AWAIT_SENT,
                      esp_at__patient_ms(modem->config.times->taken_ms, modem->sent_ms), now_ms);
    } else if (word == ESP_AT_ERROR && all_gone &&
               !modem->is_draining) { /* it took the datagram for commands */
        esp_at__lose(modem, now_ms);
        esp_at__resync(modem, 0, now_ms);
    }
}

/* ---- everything else ----------------------------------------------------------------------------------- */

static void hear_while_lost(struct esp_at *modem, enum esp_at_word word, uint32_t now_ms)
{
    uint32_t moment_ms = modem->config.times->busy_ms;
    if (modem->is_settling)
        return;
    if (word == ESP_AT_OK)
        esp_at__note_owed_taken(modem, now_ms);
    if (word == ESP_AT_OK && modem->is_escaped) {
        modem->was_transparent = 1;
        modem->is_set_up = modem->is_open = modem->is_escaped = 0;
    }
    if (word == ESP_AT_OK && modem->probes == 1) {
        modem->owes_prompt = 0; /* nothing is under way */
        esp_at__go_on(modem, now_ms);
        return;
    }
    if (word == ESP_AT_BUSY) {
        moment_ms = count_busy(modem, now_ms);
        modem->probes = modem->probes > 2 ? 2 : modem->probes; /* its patience is another one */
        if (esp_at__may_reset(modem, now_ms)) {
            esp_at__reset(modem, now_ms);
            return;
        }
    }
    if (word == ESP_AT_SEND_OK || word == ESP_AT_RECEIVED)
        modem->losses_in_row = 0; /* it does send, if not what it should */
    if (modem->is_topping_up && word == ESP_AT_RECEIVED)
        return;
    if (modem->is_topping_up && word == ESP_AT_SEND_OK) {
        modem->is_settling = 1; /* some modems answer empty lines */
        esp_at__enter(modem, ESP_AT_STATE_RESYNC, least(2U + modem->reaction_ms, moment_ms), now_ms);
        return;
    }
    if (word ==
        ESP_AT_OK) /* answers to the probes before may still come; they answer nothing that is said next */
        modem->is_settling = 1;
    else /* it speaks, so it waits for no datagram; the filler was in AT's way, if there was any */
        modem->is_speaking = 1;
    esp_at__enter(modem, ESP_AT_STATE_RESYNC, moment_ms, now_ms);
}

/* "ready": the modem has forgotten all. Elsewhere than after a reset nobody asked for it. */
static void hear_ready(struct esp_at *modem, uint32_t now_ms)
{
    uint32_t boot_ms = now_ms - modem->reset_ms;
    modem->counts.ready_seen++;
    if (modem->resets > 0 && !modem->is_heard && boot_ms < MAX_RESET_MS / 2U)
        modem->slow_boot_ms = (uint16_t)most(modem->slow_boot_ms, boot_ms + boot_ms / 4U);
    modem->is_set_up = modem->is_open = 0;
    modem->failed_steps = modem->busy_in_row = 0;
    modem->owes_prompt = modem->owes_end = modem->owes_taken = modem->owed_failed = modem->was_drained = 0;
    modem->is_heard = 1;
    if (modem->is_handed_over)
        esp_at__conclude(modem, ESP_AT_UNSURE);
    esp_at__go_on(modem, now_ms);
}

/* The network or the socket is gone. While a datagram is under way its own time-outs lead on. */
static void hear_loss(struct esp_at *modem, uint32_t now_ms)
{
    if (!modem->is_open)
        return;
    modem->counts.disconnects++;
    modem->is_open = 0;
    if (modem->state == ESP_AT_STATE_READY)
        esp_at__pause_before(modem, ESP_AT_STATE_READY, modem->config.times->busy_ms, now_ms);
}

/* The step is done; OK, or ERROR, follows if it is not lost. */
static void accept_step(struct esp_at *modem, uint32_t now_ms)
{
    modem->was_accepted = 1;
    esp_at__enter(modem, modem->state, modem->config.times->command_ms, now_ms);
}

/* Words that mean the same in every state. Returns whether it was one. */
static int hear_always(struct esp_at *modem, enum esp_at_word word, uint32_t now_ms)
{
    if (word != ESP_AT_OTHER)
        modem->is_heard_here = 1;
    if (word != ESP_AT_OTHER && modem->state != ESP_AT_STATE_BOOT && word != ESP_AT_READY)
        modem->is_heard = 1;
    switch (word) {
    case ESP_AT_READY:
        hear_ready(modem, now_ms);
        return 1;
    case ESP_AT_CLOSED:
    case ESP_AT_WIFI_DISCONNECT:
        hear_loss(modem, now_ms);
        return 1;
    case ESP_AT_WIFI_GOT_IP:
        if (modem->state == ESP_AT_STATE_PAUSE) /* what failed may work now */
            modem->limit_ms = 0;
        if (modem->state == ESP_AT_STATE_JOIN)
            accept_step(modem, now_ms);
        return 1;
    case ESP_AT_ALREADY:
        if (modem->state == ESP_AT_STATE_OPEN)
            accept_step(modem, now_ms);
        return 1;
    case ESP_AT_OTHER:
        modem->counts.unknown_lines++;
        return 1;
    case ESP_AT_ERROR:
    case ESP_AT_FAIL:
        modem->counts.errors++;
        modem->busy_in_row = 0;
        return 0;
    case ESP_AT_SEND_FAIL:
        modem->says_failed = 1;
        modem->busy_in_row = modem->trust = 0;
        return 0;
    case ESP_AT_BUSY:
        modem->counts.busy++;
        return 0;
    default:
        modem->busy_in_row = 0;
        return 0;
    }
}

/* About a datagram given up, or one of an earlier life that filler has ended. */
static void hear_late(struct esp_at *modem, enum esp_at_word word, uint32_t now_ms)
{
    if (word == ESP_AT_SEND_OK && modem->owes_end > 0) {
        esp_at__pay_owed(modem, now_ms);
    } else if (word == ESP_AT_SEND_OK) {
        modem->trust = 0;
    } else if (word == ESP_AT_SEND_FAIL && modem->owes_end > 0) {
        modem->owed_failed = 1;
        modem->owed_until_ms = now_ms + most(esp_at__owed_left_ms(modem, now_ms), esp_at__owing_ms(modem));
    } else if (word == ESP_AT_RECEIVED) {
        esp_at__hear_owed_taken(modem, now_ms);
    }
}

static void hear(struct esp_at *modem, uint32_t now_ms)
{
    size_t number = 0;
    enum esp_at_word word = esp_at_lines_word(&modem->lines, &number);
    if (hear_always(modem, word, now_ms))
        return;
    esp_at__forget_owed(modem, now_ms);
    if (modem->state == ESP_AT_STATE_HAND_OVER || modem->state == ESP_AT_STATE_AWAIT_SENT) {
        hear_while_sending(modem, word, number, now_ms);
        return;
    }
    hear_late(modem, word, now_ms);
    switch (modem->state) {
    case ESP_AT_STATE_RESYNC:
        hear_while_lost(modem, word, now_ms);
        break;
    case ESP_AT_STATE_ASK:
        hear_while_asking(modem, word, now_ms);
        break;
    case ESP_AT_STATE_HOLD:
    case ESP_AT_STATE_BOOT:
    case ESP_AT_STATE_ESCAPE:
    case ESP_AT_STATE_PAUSE:
        if (word == ESP_AT_SEND_OK && modem->owes_end == 0 && modem->paused == ESP_AT_STATE_READY)
            modem->limit_ms = 0;
        break;
    case ESP_AT_STATE_READY:
        break;
    default:
        if (word == ESP_AT_OK)
            esp_at__finish_step(modem, now_ms);
        else if (word == ESP_AT_BUSY && !modem->was_nudged)
            hear_busy(modem, modem->state, now_ms);
        else if (word == ESP_AT_ERROR || word == ESP_AT_FAIL)
            esp_at__refuse_step(modem, now_ms);
        break;
    }
}

/* Whether '>' may be the modem's invitation, rather than a character as any other. */
static int is_prompt_wanted(const struct esp_at *modem)
{
    if (modem->state == ESP_AT_STATE_HAND_OVER || modem->state == ESP_AT_STATE_AWAIT_SENT)
        return !modem->was_prompted && !modem->is_draining;
    if (modem->state == ESP_AT_STATE_HOLD || modem->state == ESP_AT_STATE_BOOT)
        return 0;
    return modem->state == ESP_AT_STATE_ASK || modem->owes_prompt;
}

void esp_at_input(struct esp_at *modem, const uint8_t *bytes, size_t len, uint32_t now_ms)
{
    esp_at__forget_owed(modem, now_ms);
    for (size_t i = 0; i < len && modem->state != ESP_AT_STATE_HOLD; i++) {
        switch (esp_at_lines_take(&modem->lines, bytes[i], is_prompt_wanted(modem), now_ms)) {
        case ESP_AT_LINE:
            hear(modem, now_ms);
            break;
        case ESP_AT_PROMPT:
            hear_prompt(modem, now_ms);
            break;
        case ESP_AT_DATAGRAM: /* the modem does send: what nobody knows of may have arrived */
            modem->counts.received++;
            modem->unanswered = modem->losses_in_row = modem->vain_openings = 0;
            modem->config.received(modem->config.user, modem->lines.datagram, modem->lines.got);
            break;
        default:
            break;
        }
    }
}

/* ==== commands, search, setting up ========================================================== */

/* Commands, how long to wait for what, the search for the command mode, resets, setting up. */

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

/* What a modem may have been left with by another program, or have in its flash; each may be unknown. */
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

/* ==== clock, output, the caller's side ================================================= */

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
 * "busy p..." by a modem that is still at it, a second opening with "ALREADY CONNECTED" by one that is. */
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
