/* An ESP-AT modem with bad habits, on a simulated clock, behind a serial line of 921,600 bit/s: what modems
 * do by public reports, and what is left in them by other programs. It knows what became of each datagram. */
#ifndef AGN_TEST_HABIT_MODEM_H
#define AGN_TEST_HABIT_MODEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agilenn/base.h"

enum { HABIT_DATAGRAMS = 4096, HABIT_QUEUE = 1 << 15, HABIT_EVENTS = 64, HABIT_BPS = 921600 };

/* What the modem does with bytes that come between AT+CIPSEND and '>'. */
enum habit_early { EARLY_TAKEN, EARLY_REFUSED, EARLY_DROPPED };

/* What it says about a datagram, in which order. */
enum habit_order {
    ORDER_PLAIN,
    ORDER_FAIL,         /* SEND FAIL, not sent */
    ORDER_FAIL_SENT,    /* SEND FAIL, sent all the same */
    ORDER_FAIL_THEN_OK, /* both, sent */
    ORDER_OK_THEN_FAIL,
    ORDER_OK_THEN_RECEIVED,
    ORDER_NO_RECEIVED,
    ORDER_NO_END, /* sent, and neither OK nor FAIL */
    ORDER_COUNT
};

struct habits {
    uint32_t boot_ms, join_ms, command_ms, prompt_ms, taken_ms, sent_ms, second_ms;
    enum habit_early early;
    enum habit_order order;
    double strange;       /* share of datagrams with that order */
    double loss, doubled; /* of bytes, both ways */
    double hang, reboot, latch, error, busy,
        close;                                /* of commands; latch: AT+CIPSEND is refused until a reset */
    double mute;                              /* of "ready" */
    uint32_t absent_from_ms, absent_until_ms; /* the network, since the start */
    bool says_s;                              /* busy s... */
    bool is_deaf_at_work;                     /* says nothing instead */
    bool is_busy_joining;                     /* at boot */
    bool obeys_reset_busy;                    /* AT+RST, when busy */
    bool is_old;                              /* knows no AT+SYSSTORE and the like */
    bool answers_empty;                       /* lines, with ERROR */
    bool joins_itself;
};

enum habit_action { ACT_NONE, ACT_OPEN, ACT_CLOSE, ACT_JOIN, ACT_RESET };

enum habit_event_kind {
    EVENT_SAY,
    EVENT_SAY_OK,
    EVENT_PROMPT,
    EVENT_BOOTED,
    EVENT_JOINED,
    EVENT_DONE,
    EVENT_LOST,
    EVENT_ESCAPED
};

struct habit_event {
    uint64_t at_us;
    enum habit_event_kind kind;
    uint32_t owner; /* EVENT_SAY_OK: of this datagram */
    char text[64];
};

struct habit_byte {
    uint64_t at_us;
    uint32_t owner; /* the datagram that it belongs to, or 0 */
    uint16_t index;
    uint8_t byte;
};

struct habit_line {
    struct habit_byte bytes[HABIT_QUEUE];
    size_t begin, count;
    uint64_t free_us;
};

/* What became of a datagram. */
struct habit_fate {
    uint16_t len;
    bool is_on_air, is_whole, said_ok; /* some of its bytes; all and only these; "SEND OK" was said of it */
};

struct habit_modem {
    struct habits habits;
    struct agn_rng rng;
    uint64_t start_us, now_us;
    struct habit_line up, down; /* up: from the device */
    struct habit_event events[HABIT_EVENTS];
    size_t event_count;
    struct habit_fate fates[HABIT_DATAGRAMS];
    uint32_t modem_bps, device_bps;

    bool is_held, is_booting, is_hung, is_latched, has_network, is_saved; /* saved: transparent, in flash */
    bool echoes, is_multiple, is_server, is_transparent_mode, is_passing, is_escaping, is_passive, tells_peer;
    bool is_open, is_working, is_joining;
    enum habit_action action;
    char line[512];
    size_t line_bytes;
    size_t expected, got; /* of a datagram being taken */
    bool is_asked;        /* '>' has not been said yet */
    struct habit_byte taken[2048];
    uint64_t passed_us; /* the latest byte in transparent transmission */
    unsigned pluses;
    uint32_t boots, on_air, passed;
};

/* Begins with power on for long, well-behaved, at now_us. */
void habit_modem_init(struct habit_modem *modem, uint64_t seed, uint64_t now_us);

/* From now on well-behaved: what is kept is how long booting and joining take, and the modes it is in. */
void habit_modem_reform(struct habit_modem *modem);

/* Bytes of the device, of datagram `owner` from its byte `index` on (owner 0: of none). */
void habit_modem_write(struct habit_modem *modem, const uint8_t *bytes, size_t len, uint32_t owner,
                       size_t index);

/* Does what is due by now_us. */
void habit_modem_advance(struct habit_modem *modem, uint64_t now_us);

/* Takes out what has reached the device by now. */
size_t habit_modem_read(struct habit_modem *modem, uint8_t *bytes, size_t cap);

/* When something happens next; UINT64_MAX: not of itself. */
uint64_t habit_modem_next_us(const struct habit_modem *modem);

/* Restarts by itself; loses the network. */
void habit_modem_start(struct habit_modem *modem);
void habit_modem_lose_network(struct habit_modem *modem, uint32_t in_ms);

void habit_modem_pin(struct habit_modem *modem, int hold);

#endif
