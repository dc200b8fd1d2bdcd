/* See habit_modem.h. */
#include "support/habit_modem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool happens(struct habit_modem *modem, double share)
{
    return share > 0 && agn_rng_uniform(&modem->rng) < share;
}

/* ---- the serial line -------------------------------------------------------------------------------- */

static void put_byte(struct habit_modem *modem, struct habit_line *line, struct habit_byte byte)
{
    uint64_t begin_us = line->free_us > modem->now_us ? line->free_us : modem->now_us;
    line->free_us = begin_us + 11;
    byte.at_us = line->free_us;
    if (modem->modem_bps != modem->device_bps) {
        byte.owner = 0;
        byte.byte = (uint8_t)(agn_rng_u64(&modem->rng) | 0x80);
    }
    unsigned copies = happens(modem, modem->habits.loss) ? 0 : happens(modem, modem->habits.doubled) ? 2 : 1;
    for (; copies > 0 && line->count < HABIT_QUEUE; copies--)
        line->bytes[(line->begin + line->count++) % HABIT_QUEUE] = byte;
}

static void say_bytes(struct habit_modem *modem, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        put_byte(modem, &modem->down, (struct habit_byte){.byte = (uint8_t)bytes[i]});
}

static void say(struct habit_modem *modem, const char *text)
{
    say_bytes(modem, text, strlen(text));
}

void habit_modem_write(struct habit_modem *modem, const uint8_t *bytes, size_t len, uint32_t owner,
                       size_t index)
{
    for (size_t i = 0; i < len; i++)
        put_byte(modem, &modem->up,
                 (struct habit_byte){.byte = bytes[i], .owner = owner, .index = (uint16_t)(index + i)});
}

size_t habit_modem_read(struct habit_modem *modem, uint8_t *bytes, size_t cap)
{
    struct habit_line *line = &modem->down;
    size_t count = 0;
    while (count < cap && line->count > 0 && line->bytes[line->begin].at_us <= modem->now_us) {
        bytes[count++] = line->bytes[line->begin].byte;
        line->begin = (line->begin + 1) % HABIT_QUEUE;
        line->count--;
    }
    return count;
}

/* ---- events ----------------------------------------------------------------------------------------- */

static struct habit_event *plan(struct habit_modem *modem, enum habit_event_kind kind, uint32_t in_ms,
                                const char *text)
{
    static struct habit_event spare;
    struct habit_event *event =
        modem->event_count < HABIT_EVENTS ? &modem->events[modem->event_count++] : &spare;
    memset(event, 0, sizeof *event);
    event->at_us = modem->now_us + 1000ULL * in_ms;
    event->kind = kind;
    snprintf(event->text, sizeof event->text, "%s", text);
    return event;
}

static void boot(struct habit_modem *modem)
{
    modem->event_count = modem->line_bytes = modem->expected = 0;
    modem->boots++;
    modem->is_booting = true;
    modem->is_hung = modem->is_latched = modem->has_network = modem->is_open = modem->is_working =
        modem->is_joining = false;
    modem->is_multiple = modem->is_server = modem->is_transparent_mode = modem->is_passing = false;
    modem->is_escaping = modem->is_passive = modem->tells_peer = modem->is_asked = false;
    modem->echoes = true;
    modem->modem_bps = HABIT_BPS;
    plan(modem, EVENT_BOOTED, modem->habits.boot_ms, "");
    say(modem, "\xf0\x81 ets Jan  8 2013,rst cause:2, boot mode:(3,7)\r\n");
}

static bool has_access_point(const struct habit_modem *modem)
{
    uint64_t ms = (modem->now_us - modem->start_us) / 1000;
    return ms < modem->habits.absent_from_ms || ms >= modem->habits.absent_until_ms;
}

static void end_boot(struct habit_modem *modem)
{
    modem->is_booting = false;
    if (!happens(modem, modem->habits.mute))
        say(modem, "\r\nready\r\n");
    modem->is_passing = modem->is_saved;
    if (modem->habits.joins_itself) {
        modem->is_joining = modem->habits.is_busy_joining && !modem->is_passing;
        plan(modem, EVENT_JOINED, modem->habits.join_ms, "");
    }
}

/* By itself; where there is no network, again and again. */
static void join(struct habit_modem *modem)
{
    modem->is_joining = false;
    modem->has_network = has_access_point(modem);
    if (modem->has_network)
        say(modem, modem->is_passing ? "" : "WIFI CONNECTED\r\nWIFI GOT IP\r\n");
    else
        plan(modem, EVENT_JOINED, 1000, "");
}

static void act(struct habit_modem *modem, const char *answer)
{
    enum habit_action action = modem->action;
    modem->action = ACT_NONE;
    modem->is_working = false;
    if (action == ACT_JOIN) {
        modem->has_network = has_access_point(modem);
        answer =
            modem->has_network ? "WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n" : "+CWJAP:3\r\n\r\nFAIL\r\n";
    } else if (action == ACT_OPEN) {
        modem->is_open = modem->has_network;
        answer = modem->has_network ? "CONNECT\r\n\r\nOK\r\n" : "no ip\r\n\r\nERROR\r\n";
    } else if (action == ACT_CLOSE) {
        modem->is_open = false;
    }
    say(modem, answer);
    if (action == ACT_RESET)
        boot(modem);
}

static void work(struct habit_modem *modem, enum habit_action action, uint32_t ms, const char *answer)
{
    modem->is_working = true;
    modem->action = action;
    plan(modem, EVENT_DONE, ms, answer);
}

static void answer(struct habit_modem *modem, const char *text)
{
    work(modem, ACT_NONE, modem->habits.command_ms, text);
}

static void happen(struct habit_modem *modem, const struct habit_event *event)
{
    switch (event->kind) {
    case EVENT_SAY_OK:
        modem->fates[event->owner % HABIT_DATAGRAMS].said_ok = true;
        say(modem, event->text);
        break;
    case EVENT_SAY:
        say(modem, event->text);
        break;
    case EVENT_PROMPT:
        modem->is_asked = false;
        say(modem, "\r\nOK\r\n\r\n>");
        break;
    case EVENT_BOOTED:
        end_boot(modem);
        break;
    case EVENT_JOINED:
        join(modem);
        break;
    case EVENT_DONE:
        act(modem, event->text);
        break;
    case EVENT_LOST:
        modem->has_network = modem->is_open = false;
        say(modem, modem->is_passing ? "" : "WIFI DISCONNECT\r\n");
        if (modem->habits.joins_itself)
            plan(modem, EVENT_JOINED, 1000, "");
        break;
    case EVENT_ESCAPED:
        modem->is_escaping = false;
        break;
    }
}

/* ---- datagrams -------------------------------------------------------------------------------------- */

/* Onto the air; returns whose bytes these were. */
static uint32_t note_owners(struct habit_modem *modem, size_t count, bool goes)
{
    uint32_t owner = 0;
    bool is_whole = true;
    for (size_t i = 0; i < count; i++) {
        const struct habit_byte *byte = &modem->taken[i];
        if (byte->owner == 0)
            continue;
        if (owner == 0)
            owner = byte->owner;
        if (goes)
            modem->fates[byte->owner % HABIT_DATAGRAMS].is_on_air = true;
    }
    for (size_t i = 0; i < count; i++)
        is_whole = is_whole && modem->taken[i].owner == owner && modem->taken[i].index == i;
    struct habit_fate *fate = &modem->fates[owner % HABIT_DATAGRAMS];
    if (goes && owner > 0 && is_whole && fate->len == count)
        fate->is_whole = true;
    modem->on_air += goes;
    return owner;
}

static void plan_ok(struct habit_modem *modem, uint32_t in_ms, uint32_t owner)
{
    plan(modem, EVENT_SAY_OK, in_ms, "\r\nSEND OK\r\n")->owner = owner;
}

static void end_taking(struct habit_modem *modem)
{
    const struct habits *habits = &modem->habits;
    enum habit_order order = happens(modem, habits->strange) ? habits->order : ORDER_PLAIN;
    uint32_t owner = note_owners(modem, modem->expected, order != ORDER_FAIL);
    uint32_t taken_ms = habits->taken_ms, end_ms = taken_ms + habits->sent_ms;
    char text[40];
    snprintf(text, sizeof text, "\r\nRecv %zu bytes\r\n", modem->expected);
    modem->expected = 0;
    if (order == ORDER_OK_THEN_RECEIVED)
        plan_ok(modem, taken_ms, owner);
    if (order != ORDER_NO_RECEIVED)
        plan(modem, EVENT_SAY, order == ORDER_OK_THEN_RECEIVED ? end_ms : taken_ms, text);
    if (order == ORDER_PLAIN || order == ORDER_NO_RECEIVED || order == ORDER_OK_THEN_FAIL)
        plan_ok(modem, end_ms, owner);
    if (order == ORDER_FAIL || order == ORDER_FAIL_SENT || order == ORDER_FAIL_THEN_OK)
        plan(modem, EVENT_SAY, end_ms, "\r\nSEND FAIL\r\n");
    if (order == ORDER_FAIL_THEN_OK)
        plan_ok(modem, end_ms + habits->second_ms, owner);
    if (order == ORDER_OK_THEN_FAIL)
        plan(modem, EVENT_SAY, end_ms + habits->second_ms, "\r\nSEND FAIL\r\n");
    if (agn_rng_below(&modem->rng, 2) == 0 && !modem->is_passive) /* the server answers */
        plan(modem, EVENT_SAY, taken_ms + 5,
             modem->tells_peer ? "\r\n+IPD,4,\"FE80::1\",5683:OK\r\n" : "\r\n+IPD,4:OK\r\n");
    else if (modem->is_passive)
        plan(modem, EVENT_SAY, taken_ms + 5, "\r\n+IPD,4\r\n");
}

/* Transparent transmission: all goes out, but +++ by itself. */
static void pass(struct habit_modem *modem, const struct habit_byte *byte)
{
    uint64_t silent_us = byte->at_us - modem->passed_us;
    modem->passed_us = byte->at_us;
    modem->passed++;
    modem->pluses = byte->byte == '+' && (silent_us >= 20000 || modem->pluses > 0) ? modem->pluses + 1 : 0;
    modem->taken[0] = *byte;
    (void)note_owners(modem, 1, true);
}

/* When +++ will have been the last for 20 ms. */
static uint64_t escape_us(const struct habit_modem *modem)
{
    return modem->is_passing && modem->pluses == 3 ? modem->passed_us + 20000 : UINT64_MAX;
}

static void leave_passing(struct habit_modem *modem)
{
    modem->pluses = 0;
    modem->is_passing = false;
    modem->is_escaping = true;
    plan(modem, EVENT_ESCAPED, 900, "");
}

/* ---- commands --------------------------------------------------------------------------------------- */

static bool is(const char *line, const char *text)
{
    return strncmp(line, text, strlen(text)) == 0;
}

static void begin_taking(struct habit_modem *modem, const char *arguments)
{
    int count = atoi(arguments);
    if (modem->is_latched || modem->is_transparent_mode || modem->is_multiple || count < 1 || count > 2048) {
        answer(modem, "\r\nERROR\r\n");
    } else if (!modem->is_open) {
        answer(modem, "link is not valid\r\n\r\nERROR\r\n");
    } else {
        modem->expected = (size_t)count;
        modem->got = 0;
        modem->is_asked = true;
        plan(modem, EVENT_PROMPT, modem->habits.prompt_ms, "");
    }
}

static void set_mode(struct habit_modem *modem, const char *line)
{
    bool value = line[strlen(line) - 1] == '1';
    if (is(line, "ATE")) {
        modem->echoes = value;
    } else if (is(line, "AT+CIPMUX=")) {
        if (modem->is_open || modem->is_server) {
            answer(modem, "link is builded\r\n\r\nERROR\r\n");
            return;
        }
        modem->is_multiple = value;
    } else if (is(line, "AT+CIPMODE=")) {
        modem->is_transparent_mode = value;
    } else if (is(line, "AT+CIPRECVMODE=")) {
        modem->is_passive = value;
    } else if (is(line, "AT+CIPDINFO=")) {
        modem->tells_peer = value;
    } else if (is(line, "AT+SAVETRANSLINK=")) {
        modem->is_saved = value;
    } else if (is(line, "AT+CIPSERVER=")) {
        modem->is_server = value;
    }
    answer(modem, "\r\nOK\r\n");
}

static void obey(struct habit_modem *modem, const char *line)
{
    static const char *const modes[] = {
        "ATE",           "AT+CIPMUX=", "AT+CIPMODE=", "AT+CIPRECVMODE=", "AT+CIPDINFO=", "AT+SAVETRANSLINK=",
        "AT+CIPSERVER=", "AT+CWMODE=", "AT+SYSSTORE="};
    bool is_mode = false;
    for (size_t i = 0; i < AGN_COUNT_OF(modes); i++)
        is_mode |= is(line, modes[i]);
    if (modem->habits.is_old && is(line, "AT+SYSSTORE"))
        is_mode = false;
    if (is_mode) {
        set_mode(modem, line);
    } else if (strcmp(line, "AT") == 0) {
        answer(modem, "\r\nOK\r\n");
    } else if (is(line, "AT+RST")) {
        work(modem, ACT_RESET, 1, "\r\nOK\r\n");
    } else if (is(line, "AT+CWJAP=")) {
        work(modem, ACT_JOIN, modem->habits.join_ms, "");
    } else if (strcmp(line, modem->is_multiple ? "AT+CIPCLOSE=5" : "AT+CIPCLOSE") == 0) {
        work(modem, ACT_CLOSE, modem->habits.command_ms,
             modem->is_open ? "CLOSED\r\n\r\nOK\r\n" : "\r\nERROR\r\n");
    } else if (is(line, "AT+CIPSTART=") && !modem->is_open && !modem->is_multiple) {
        work(modem, ACT_OPEN, 5 + modem->habits.command_ms, "");
    } else if (is(line, "AT+CIPSEND=")) {
        begin_taking(modem, line + strlen("AT+CIPSEND="));
    } else {
        answer(modem, "\r\nERROR\r\n");
    }
}

static void take_line(struct habit_modem *modem)
{
    const struct habits *habits = &modem->habits;
    modem->line[modem->line_bytes] = '\0';
    bool is_empty = modem->line_bytes == 0,
         is_busy = modem->is_working || modem->is_asked || modem->is_joining;
    modem->line_bytes = 0;
    if (is_empty && !is_busy && habits->answers_empty)
        answer(modem, "\r\nERROR\r\n");
    if (is_empty)
        return;
    if (happens(modem, habits->hang)) {
        modem->is_hung = true;
    } else if (happens(modem, habits->reboot)) {
        boot(modem);
    } else if (is_busy && habits->obeys_reset_busy && is(modem->line, "AT+RST")) {
        boot(modem);
    } else if (is_busy || happens(modem, habits->busy)) {
        if (!habits->is_deaf_at_work)
            say(modem, habits->says_s ? "busy s...\r\n" : "busy p...\r\n");
    } else if (happens(modem, habits->error)) {
        answer(modem, "\r\nERROR\r\n");
    } else if (happens(modem, habits->close)) {
        modem->is_open = false;
        say(modem, "CLOSED\r\n");
    } else {
        if (happens(modem, habits->latch))
            modem->is_latched = true;
        obey(modem, modem->line);
    }
}

static void take_byte(struct habit_modem *modem, const struct habit_byte *byte)
{
    if (modem->is_held || modem->is_booting || modem->is_hung || modem->is_escaping)
        return;
    if (modem->is_passing) {
        pass(modem, byte);
        return;
    }
    if (modem->expected > 0 && (!modem->is_asked || modem->habits.early == EARLY_TAKEN)) {
        modem->taken[modem->got++] = *byte;
        if (modem->got == modem->expected)
            end_taking(modem);
        return;
    }
    if (modem->is_asked && modem->habits.early == EARLY_DROPPED)
        return;
    if (modem->echoes && !modem->is_working)
        say_bytes(modem, (const char *)&byte->byte, 1);
    if (byte->byte == '\n')
        take_line(modem);
    else if (byte->byte != '\r' && modem->line_bytes + 1 < sizeof modem->line)
        modem->line[modem->line_bytes++] = (char)byte->byte;
}

/* ---- the clock -------------------------------------------------------------------------------------- */

static const struct habit_event *first_event(const struct habit_modem *modem)
{
    const struct habit_event *first = NULL;
    for (size_t i = 0; i < modem->event_count; i++)
        if (!first || modem->events[i].at_us < first->at_us)
            first = &modem->events[i];
    return first;
}

void habit_modem_advance(struct habit_modem *modem, uint64_t now_us)
{
    for (;;) {
        const struct habit_event *event = first_event(modem);
        const struct habit_byte *byte = modem->up.count > 0 ? &modem->up.bytes[modem->up.begin] : NULL;
        uint64_t event_us = event ? event->at_us : UINT64_MAX, byte_us = byte ? byte->at_us : UINT64_MAX;
        uint64_t next_us = event_us < byte_us ? event_us : byte_us;
        if (escape_us(modem) < next_us && escape_us(modem) <= now_us) {
            modem->now_us = escape_us(modem);
            leave_passing(modem);
            continue;
        }
        modem->now_us = next_us < now_us ? next_us : now_us;
        if (next_us > now_us)
            return;
        if (event_us <= byte_us) {
            struct habit_event copy = *event;
            size_t at = (size_t)(event - modem->events);
            memmove(&modem->events[at], &modem->events[at + 1],
                    (--modem->event_count - at) * sizeof modem->events[0]);
            if (!modem->is_hung)
                happen(modem, &copy);
        } else {
            struct habit_byte copy = *byte;
            modem->up.begin = (modem->up.begin + 1) % HABIT_QUEUE;
            modem->up.count--;
            take_byte(modem, &copy);
        }
    }
}

uint64_t habit_modem_next_us(const struct habit_modem *modem)
{
    const struct habit_event *event = first_event(modem);
    uint64_t next_us = event ? event->at_us : UINT64_MAX;
    if (escape_us(modem) < next_us)
        next_us = escape_us(modem);
    if (modem->up.count > 0 && modem->up.bytes[modem->up.begin].at_us < next_us)
        next_us = modem->up.bytes[modem->up.begin].at_us;
    if (modem->down.count > 0 && modem->down.bytes[modem->down.begin].at_us < next_us)
        next_us = modem->down.bytes[modem->down.begin].at_us;
    return next_us;
}

void habit_modem_pin(struct habit_modem *modem, int hold)
{
    modem->is_held = hold != 0;
    if (!hold)
        boot(modem);
}

void habit_modem_lose_network(struct habit_modem *modem, uint32_t in_ms)
{
    plan(modem, EVENT_LOST, in_ms, "");
}

void habit_modem_start(struct habit_modem *modem)
{
    boot(modem);
}

void habit_modem_init(struct habit_modem *modem, uint64_t seed, uint64_t now_us)
{
    memset(modem, 0, sizeof *modem);
    agn_rng_seed(&modem->rng, seed);
    modem->start_us = modem->now_us = now_us;
    modem->modem_bps = modem->device_bps = HABIT_BPS;
    modem->habits = (struct habits){.boot_ms = 300,
                                    .join_ms = 1000,
                                    .command_ms = 1,
                                    .prompt_ms = 1,
                                    .taken_ms = 1,
                                    .sent_ms = 2,
                                    .second_ms = 10,
                                    .joins_itself = true};
    modem->has_network = true;
}

void habit_modem_reform(struct habit_modem *modem)
{
    const struct habits before = modem->habits;
    modem->habits = (struct habits){.boot_ms = before.boot_ms,
                                    .join_ms = before.join_ms,
                                    .command_ms = 1,
                                    .prompt_ms = 1,
                                    .taken_ms = 1,
                                    .sent_ms = 2,
                                    .is_old = before.is_old,
                                    .joins_itself = before.joins_itself,
                                    .is_busy_joining = before.is_busy_joining};
    modem->is_latched = false;
    if (modem->is_hung)
        boot(modem);
}
