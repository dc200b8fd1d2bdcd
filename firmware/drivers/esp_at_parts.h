/* What the parts of the ESP-AT modem's driver know of each other; see esp_at.h for all else. */
#ifndef AGN_ESP_AT_PARTS_H
#define AGN_ESP_AT_PARTS_H

#include "drivers/esp_at.h"

enum {
    MAX_FAILED_STEPS = 16, /* of setting up, before a reset; one without an answer counts for two */
    MAX_QUICK_STEPS = 3,   /* of these, said again at once: the serial line may have damaged the command */
    SLOW_STEPS = 9,        /* from so many on with the whole pause, half of it before, and so on */
    MAX_NUDGES = 4,        /* an opening is asked for again so often, each time after twice the time */
    MAX_BUSY_MS = 2000,    /* before a reset; likewise MAX_RESET_MS: */
    MAX_RESET_MS = 60000,
    MAX_FILLER = 2048, /* the longest datagram that a modem waits for */
    FIRST_FILLER = 16,
    MAX_PROBES = 30,
    REOPEN_LOSSES = 8,
    MAX_REFUSALS = 3,    /* of AT+CIPSEND in a row: a command may be damaged on the line */
    CAUTIOUS_LOSSES = 4, /* after so many in a row the modem is given all the time it may take */
    MIN_PATIENCE_MS = 4,
    SUSPICIOUS_MISSES = 16,
    RESET_LOSSES = 24,
    MAX_VAIN_OPENINGS = 6,
    MAX_SLOW_MS = 2500, /* of a modem's words; and how long one is waited for at most: */
    MAX_WORD_MS = 3500,
    OWED_MS = 3000,     /* what became of a datagram may be said so late by an unknown modem; by another: */
    OWED_SPARE_MS = 10, /* beside three times the longest of late */
    OWED_MOST_SPARE_MS = 100, /* or half as long again and this, where that is less */
    FAILS_ALONE = 3,          /* "SEND FAIL" so often and nothing behind it: nothing is said behind it */
    TRUSTED = 32,       /* datagrams whose end came in time, before one that did not is believed to be lost */
    SHORT_OWED_MS = 30, /* so short a wait makes the next datagram's end a sure one */
    MAX_UNTAKEN = 100,  /* "SEND OK" without Recv, before the modem is believed to say none */
    GUARD_MS = 60,      /* of silence before +++; ESCAPE_MS behind it */
    ESCAPE_MS = 1100,
};

static inline uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline void count_up(uint8_t *count)
{
    if (*count < UINT8_MAX)
        ++*count;
}

/* ---- commands, patience, the search for the command mode, setting up ---- */

void esp_at__begin_command(struct esp_at *modem, const char *text);
void esp_at__put_open(struct esp_at *modem);

/* How long the UART takes for so many bytes. */
uint32_t esp_at__leaving_ms(const struct esp_at *modem, uint32_t bytes);

/* How long to wait for a word that this modem has said after `slow_ms` of late: longer than the table says
 * where that was slow. */
uint32_t esp_at__patient_ms(uint32_t table_ms, uint32_t slow_ms);

/* How long to wait for a word that a modem says at once: what this one has taken of late, with a reserve.
 * Being wrong costs a datagram sent twice. */
uint32_t esp_at__quick_ms(const struct esp_at *modem, uint32_t table_ms);

/* The same for a word about a datagram. Where these stay away, some waits are much longer, to find out
 * whether they are only late: seldom, since such a wait is lost on a line that loses bytes. */
uint32_t esp_at__word_ms(const struct esp_at *modem, uint32_t table_ms);

/* Such a word has come so late; `*slow_ms` falls slowly. */
void esp_at__learn(uint16_t *slow_ms, uint32_t took_ms);

/* Since `from_ms`, without the time that so many bytes took to leave. */
uint32_t esp_at__took_ms(const struct esp_at *modem, uint32_t from_ms, uint32_t bytes, uint32_t now_ms);
void esp_at__enter(struct esp_at *modem, enum esp_at_state state, uint32_t limit_ms, uint32_t now_ms);
void esp_at__enter_command(struct esp_at *modem, enum esp_at_state state, uint32_t limit_ms, uint32_t now_ms);
void esp_at__pause_before(struct esp_at *modem, enum esp_at_state next, uint32_t pause_ms, uint32_t now_ms);

/* The datagram's end. Where no answer ever comes, the modem may have understood another address. */
void esp_at__conclude(struct esp_at *modem, enum esp_at_outcome outcome);
void esp_at__count_loss(struct esp_at *modem);
void esp_at__lose(struct esp_at *modem, uint32_t now_ms);
void esp_at__probe(struct esp_at *modem, uint32_t filler, uint32_t now_ms);

/* Looks for the command mode. The modem may wait for the rest of a datagram, which filler then ends. */
void esp_at__resync(struct esp_at *modem, uint32_t filler, uint32_t now_ms);

/* The modem most likely waits for a byte or two of the datagram that were lost. Empty lines end it and ask
 * for nothing else, so that with "SEND OK" the command mode is found. */
void esp_at__top_up(struct esp_at *modem, uint32_t now_ms);
void esp_at__expire_escape(struct esp_at *modem, uint32_t now_ms);

/* Whether the modem has had its time: to boot, to end what it is busy with, or to do what it should. */
int esp_at__may_reset(const struct esp_at *modem, uint32_t now_ms);

/* From now on the UART speaks at that of `rates`, counted from 1; 0: at the first speed. */
void esp_at__use_rate(struct esp_at *modem, uint8_t rate);

/* Begins with a modem that does not even answer AT, or never does what it should: by command first, then by
 * pin. Not too soon after the reset before: the modem may be slow. */
void esp_at__reset(struct esp_at *modem, uint32_t now_ms);

/* A search for the command mode was in vain. */
void esp_at__end_search(struct esp_at *modem, uint32_t now_ms);

/* Says the command of a step of setting up. */
void esp_at__begin_step(struct esp_at *modem, enum esp_at_state step, uint32_t now_ms);

/* In command mode: does what is to be done next. */
void esp_at__go_on(struct esp_at *modem, uint32_t now_ms);

/* Joining or opening is done. */
void esp_at__note_step(struct esp_at *modem);
int esp_at__is_accepted_step(const struct esp_at *modem);
void esp_at__finish_step(struct esp_at *modem, uint32_t now_ms);
void esp_at__refuse_step(struct esp_at *modem, uint32_t now_ms);

/* ---- datagrams given up, of which the modem may still say what became ---- */

/* How long after it has all its bytes a datagram's end may come. */
uint32_t esp_at__owing_ms(const struct esp_at *modem);
uint32_t esp_at__owed_left_ms(const struct esp_at *modem, uint32_t now_ms);

/* One more end is owed, by a modem that had all bytes at `from_ms`; or may lack some of them still. */
void esp_at__add_owed(struct esp_at *modem, int was_taken, uint32_t from_ms, uint32_t now_ms);

/* The modem has shown that it waits for no bytes: the end comes by itself. */
void esp_at__note_owed_taken(struct esp_at *modem, uint32_t now_ms);

/* "Recv n bytes" about a datagram before. Where none should be owed, this modem is later than it seemed. */
void esp_at__hear_owed_taken(struct esp_at *modem, uint32_t now_ms);

/* An end has come. */
void esp_at__pay_owed(struct esp_at *modem, uint32_t now_ms);

/* What has not come in its time does not come. */
void esp_at__forget_owed(struct esp_at *modem, uint32_t now_ms);

/* What AT+CIPSEND has not said yet may come while another datagram is under way. */
void esp_at__owe(struct esp_at *modem, uint32_t now_ms);

/* ---- what the modem says ---- */

void esp_at__begin_hand_over(struct esp_at *modem, uint32_t now_ms);

/* Nothing more has come. The modem may even lack bytes of what it had. */
void esp_at__end_draining(struct esp_at *modem, uint32_t now_ms);

#endif
