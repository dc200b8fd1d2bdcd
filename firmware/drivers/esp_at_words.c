/* An ESP-AT modem's driver: what follows from what the modem says. What its bytes are is esp_at_lines.c's
 * matter. */
#include "drivers/esp_at_parts.h"

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
