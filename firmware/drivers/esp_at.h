/* A driver of WiFi modems that speak ESP-AT on a serial line (ESP-WROOM-02D, ESP32): UDP datagrams to one
 * server. docs/MODEM.md tells of states, time-outs and recovery.
 *
 *     esp_at_init(&modem, &config, now_ms);
 *     for (;;) {                                          // the main loop; never blocks, allocates nothing
 *         esp_at_input(&modem, bytes, count, now_ms);     // what has come from the UART, first
 *         esp_at_poll(&modem, now_ms);                    // then time-outs and output
 *         if (esp_at_is_open(&modem) && ...)
 *             esp_at_send(&modem, datagram, length, now_ms, 100);
 *     }
 *
 * Whatever the modem says or does not say, the driver comes back: each state has a time-out; beyond it the
 * driver finds the modem's command mode again, opens the socket anew, resets the modem by command, by its
 * pin, and begins again, without end, with more patience after each reset in vain. A datagram handed up may
 * be damaged where the serial line lost bytes: what it carries must have a checksum of its own. So may one
 * handed to the server.
 *
 * Not reentrant: call it from one place, never from an interrupt, and not from its own callbacks. `now_ms`
 * may wrap. */
#ifndef AGN_ESP_AT_H
#define AGN_ESP_AT_H

#include <stddef.h>
#include <stdint.h>

#include "agn_status.h"
#include "drivers/esp_at_lines.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ESP_AT_MAX_DATAGRAM = 1472, /* one Ethernet frame */
    ESP_AT_COMMAND_BYTES = 256,
};

/* How long to wait for what, in milliseconds. For a word that a modem says at once (command, prompt, taken,
 * probe, and busy after a datagram cut short) the driver learns how quick this modem is and waits less; for
 * prompt, taken and sent also how slow it is, and waits up to 3.5 s. */
struct esp_at_times {
    uint16_t command_ms; /* for the answer to a short command */
    uint16_t join_ms;    /* to join a network */
    uint16_t open_ms;    /* to open the socket, with the search for a host's name */
    uint16_t prompt_ms;  /* for '>' after AT+CIPSEND; once more after a second line's end */
    uint16_t taken_ms;   /* for "Recv n bytes" after the last byte has left */
    uint16_t sent_ms;    /* for "SEND OK" after that */
    uint16_t probe_ms;   /* for OK after AT, when looking for the command mode */
    uint16_t gap_ms;     /* of silence that ends a datagram which came in part */
    uint16_t busy_ms;    /* before a command is said again to a busy modem, at first; any such moment */
    uint16_t pause_ms;   /* before a refused command is said again */
    uint16_t boot_ms;    /* for "ready" after a reset; then the driver asks, and resets it after twice that,
                            doubled after each reset in vain, up to a minute */
    uint16_t hold_ms;    /* the reset pin is held */
};

/* For a modem on a real serial line. */
extern const struct esp_at_times esp_at_default_times;

struct esp_at_config {
    const char *host; /* the server: an address or a name */
    uint16_t port, local_port;
    const char *ssid, *password; /* the network to join; NULL: the modem knows its network */
    uint32_t uart_bps;           /* to allow for the time that bytes take to leave; 0: none */
    const uint32_t *rates;       /* other speeds that the modem may have been left at; NULL: none */
    uint8_t rate_count;
    uint16_t reopen_after; /* datagrams sent without any that came: the modem may have understood another
                              address; the socket is opened anew. 0: never */
    uint8_t *datagram;     /* receives datagrams; longer ones are dropped and counted */
    size_t datagram_cap;
    const struct esp_at_times *times; /* NULL: esp_at_default_times */
    void *user;
    /* Takes bytes for the UART without waiting; returns how many, 0 to len. */
    size_t (*write)(void *user, const uint8_t *bytes, size_t len);
    /* A datagram has come; `bytes` is config.datagram, valid during the call. */
    void (*received)(void *user, const uint8_t *bytes, size_t len);
    /* Drives the modem's reset pin: 1 holds it in reset, 0 lets it go. NULL: there is no such line. */
    void (*reset)(void *user, int hold);
    /* With `rates`: makes the UART speak at so many bit/s. The driver stays where the modem answers. */
    void (*set_rate)(void *user, uint32_t bps);
};

enum esp_at_state {
    ESP_AT_STATE_HOLD,       /* reset pin held */
    ESP_AT_STATE_BOOT,       /* waiting for "ready" */
    ESP_AT_STATE_RESYNC,     /* looking for the command mode */
    ESP_AT_STATE_ESCAPE,     /* +++: out of transparent transmission */
    ESP_AT_STATE_SETTING,    /* ATE0 and others that make the modem's state a known one */
    ESP_AT_STATE_JOIN,       /* AT+CWJAP */
    ESP_AT_STATE_CLOSE,      /* AT+CIPCLOSE: a socket of an earlier life */
    ESP_AT_STATE_SINGLE,     /* AT+CIPMUX=0 */
    ESP_AT_STATE_OPEN,       /* AT+CIPSTART */
    ESP_AT_STATE_PAUSE,      /* before a command is said again */
    ESP_AT_STATE_READY,      /* the socket is open */
    ESP_AT_STATE_ASK,        /* AT+CIPSEND, waiting for '>' */
    ESP_AT_STATE_HAND_OVER,  /* the datagram's bytes are going out */
    ESP_AT_STATE_AWAIT_SENT, /* waiting for "SEND OK" */
    ESP_AT_STATE_COUNT
};

/* What became of the latest datagram given to esp_at_send. */
enum esp_at_outcome {
    ESP_AT_NONE,
    ESP_AT_PENDING,
    ESP_AT_SENT,   /* the modem took it and said of it that it was sent */
    ESP_AT_FAILED, /* certainly not sent: no byte of it was given to the modem */
    ESP_AT_UNSURE, /* not sent, sent, or sent damaged */
};

struct esp_at_counts {
    uint32_t sent, failed, unsure; /* datagrams, by outcome */
    uint32_t received;             /* datagrams handed up */
    uint32_t opened;               /* sockets */
    uint32_t errors;               /* ERROR or FAIL to a command */
    uint32_t busy;                 /* busy p... */
    uint32_t timeouts;             /* answers that did not come */
    uint32_t resyncs;              /* searches for the command mode, and the bytes spent on them */
    uint32_t filler_bytes;
    uint32_t escapes;     /* +++ said */
    uint32_t restarts;    /* AT+RST said */
    uint32_t pin_resets;  /* resets by the pin */
    uint32_t ready_seen;  /* "ready", asked for or not */
    uint32_t disconnects; /* WIFI DISCONNECT and CLOSED that nobody asked for */
    uint32_t unknown_lines;
};

struct esp_at {
    struct esp_at_config config;
    struct esp_at_lines lines; /* with counts of damaged and over-long datagrams */
    struct esp_at_counts counts;
    enum esp_at_state state, paused; /* paused: the state to go on with after a pause */
    uint32_t since_ms, limit_ms;     /* the state's begin and time-out */
    uint8_t is_set_up, is_open;      /* what the modem is known to be */
    uint8_t setting, closing;        /* the current ones */
    uint8_t was_refused;             /* the current setting, once */
    uint8_t is_escaped, was_transparent;
    uint8_t rate; /* 0: config.uart_bps as given, else an index into rates, from 1 */
    uint32_t first_bps;

    uint8_t failed_steps;  /* since an opening, or a reset */
    uint8_t vain_openings; /* since a datagram went out, or a reset */
    uint8_t has_asked;     /* this socket's AT+CIPSEND has been said */
    uint8_t busy_in_row;
    uint8_t slow_steps;         /* that were not answered in time */
    uint16_t step_ms;           /* the slowest answer to one of late, decaying; 0: none yet */
    uint8_t resets;             /* since the last datagram that went out */
    uint8_t is_heard;           /* since the last reset */
    uint8_t is_heard_here;      /* in this search, so at this speed */
    uint32_t reset_ms, busy_ms; /* when the last reset was, when "busy" began */
    uint16_t slow_boot_ms;      /* the longest that "ready" has taken */

    uint8_t command[ESP_AT_COMMAND_BYTES]; /* output: first filler, then this, then the datagram */
    uint16_t command_bytes, command_done;
    uint16_t filler, filler_left;             /* bytes of the latest probe */
    uint8_t probes, is_settling, is_speaking; /* probes: of the latest search */

    enum esp_at_outcome outcome;
    const uint8_t *datagram;                             /* the caller's */
    uint16_t datagram_bytes, datagram_done, asked_bytes; /* asked: of the latest AT+CIPSEND */
    uint32_t asked_ms, patience_ms;
    uint32_t said_ms, gone_ms;      /* when AT+CIPSEND was said, when the datagram's last byte left */
    uint8_t is_handed_over;         /* its first byte may have gone out */
    uint8_t was_nudged;             /* the current command was given a second end, or was said again */
    uint8_t was_accepted, refusals; /* of AT+CIPSEND; accepted: also of a step */
    uint8_t was_prompted, was_taken, was_sent, was_failed, is_doubtful; /* of its bytes */
    uint8_t was_late;                                                   /* the latest prompt */
    uint8_t says_received;            /* this modem says Recv; how often it may not */
    uint8_t is_draining;              /* its end is known; that of one before may still be said */
    uint8_t says_failed, fails_alone; /* "SEND FAIL"; so often with nothing behind it */
    uint8_t trust;                    /* datagrams sent since the modem said a word out of order */
    uint8_t was_drained;           /* what is owed was waited for, but the modem may have lacked bytes then */
    uint8_t losses_in_row;         /* datagrams that nothing is known to have become of */
    uint8_t misses_in_row;         /* words about datagrams that did not come in time */
    uint8_t is_topping_up;         /* the modem is given what it may lack of a datagram */
    uint8_t owes_prompt, owes_end; /* of datagrams given up: may still be said */
    uint8_t owed_was_taken;        /* the modem lacks no bytes of these */
    uint8_t owed_failed;           /* "SEND FAIL" was said of one */
    uint8_t owes_taken;            /* of so many "Recv" may still be said */
    uint32_t owed_ms, owed_gone_ms, owed_until_ms; /* the latest was given up; the first's gone_ms; its end */
    uint16_t reaction_ms, sent_ms; /* of the modem: the slowest of late, decaying; sent: to "SEND OK", or 0 */
    uint16_t unanswered;           /* datagrams sent since one came */
};

/* Begins; the modem may be in any state. `config` is copied, what it points to must stay. AGN_ERR_ARG: no
 * host, port, buffer or callback, a character below space in a text, or texts too long for a command. */
int esp_at_init(struct esp_at *modem, const struct esp_at_config *config, uint32_t now_ms);

/* Takes what the UART received. May call `received`. */
void esp_at_input(struct esp_at *modem, const uint8_t *bytes, size_t len, uint32_t now_ms);

/* Writes what there is to write and looks at the clock. Call it at least every few milliseconds, after
 * esp_at_input: a time-out found before the bytes that answer is one too many. */
void esp_at_poll(struct esp_at *modem, uint32_t now_ms);

/* The socket is open, as far as the driver knows. */
int esp_at_is_open(const struct esp_at *modem);

/* Takes a datagram to send as soon as the modem is ready for it, but not later than patience_ms from now
 * (then it has failed). `bytes` must stay until esp_at_outcome is no longer ESP_AT_PENDING. 0; AGN_ERR_BUSY:
 * another is pending; AGN_ERR_ARG: 0 bytes or more than ESP_AT_MAX_DATAGRAM. */
int esp_at_send(struct esp_at *modem, const uint8_t *bytes, size_t len, uint32_t now_ms,
                uint32_t patience_ms);

enum esp_at_outcome esp_at_outcome(const struct esp_at *modem);

/* For reports: "ready", "resync", ... */
const char *esp_at_state_text(enum esp_at_state state);

#ifdef __cplusplus
}
#endif

#endif
