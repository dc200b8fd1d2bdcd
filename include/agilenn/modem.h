/* A WiFi modem on a host: speaks ESP-AT to firmware on a socket or pty, forwards UDP, models the radio.
 *
 *     agn_modem_open(&modem, &config);
 *     agn_modem_run(modem);             // until the device hangs up or an interrupt
 *     agn_modem_free(modem);
 *
 * The firmware's driver is firmware/drivers/esp_at.h; docs/MODEM.md says what is modelled. The same seed and
 * the same traffic at the same times meet the same losses. Not thread-safe. */
#ifndef AGILENN_MODEM_H
#define AGILENN_MODEM_H

#include <stdbool.h>
#include <stdint.h>

struct agn_modem;

/* Shares are 0 to 1. All 0 is a perfect modem on a perfect link. */
struct agn_modem_model {
    uint64_t seed;

    /* The radio, the same both ways but drawn independently. */
    double bandwidth_bps;     /* with 28 bytes of IP and UDP a datagram; 0: no limit */
    double delay_s, jitter_s; /* each datagram takes delay + jitter * [0, 1); jitter does not reorder */
    double loss;              /* share of datagrams lost */
    double reorder;           /* share held back so long that later ones come first */

    /* The serial line, each byte, both ways. */
    double uart_loss, uart_corrupt;

    /* The modem itself. */
    double reset;     /* share of datagrams from the device at which the modem resets: before, in the midst
                         of, or after their bytes */
    double busy;      /* share of commands answered "busy p..." and ignored */
    double error;     /* share of commands answered ERROR and ignored */
    double boot_s;    /* from a reset to "ready" [0.3] */
    double command_s; /* for a short command [0.001] */
    const char *ssid, *password; /* the only network, joined with these; NULL: joined from the start */
};

/* How the serial line is reached. */
enum agn_modem_line {
    AGN_MODEM_CONNECT, /* to a unix socket that listens: QEMU's -serial unix:PATH,server=on,wait=on */
    AGN_MODEM_LISTEN,  /* on a unix socket of its own, for one device */
    AGN_MODEM_PTY,     /* a pseudo-terminal; `path` becomes a symbolic link to it */
};

struct agn_modem_config {
    enum agn_modem_line line;
    const char *path;
    double patience_s; /* for the other side to be there */
    /* Where all datagrams go; NULL: where the device says (AT+CIPSTART). */
    const char *server_host;
    uint16_t server_port;
    struct agn_modem_model model;
};

/* Counts. "up" is from the device, "down" to it. */
struct agn_modem_stats {
    double seconds;                                          /* since the line was there */
    uint64_t uart_up, uart_up_lost, uart_up_corrupted;       /* bytes; up: as the device sent them */
    uint64_t uart_down, uart_down_lost, uart_down_corrupted; /* down: as the modem sent them */
    uint64_t uart_down_overrun;                              /* the device did not read in time */
    uint64_t commands, unknown_commands, refused_commands;   /* refused: ERROR out of turn, or by `error` */
    uint64_t busy, resets, opened;
    uint64_t up, up_bytes, up_lost, up_reordered, up_overrun, up_sent; /* overrun: too many in the air */
    uint64_t down, down_bytes, down_lost, down_reordered, down_overrun, down_delivered;
    uint64_t down_unwanted;  /* came while no socket was open or the modem restarted */
    uint64_t network_errors; /* the host's network refused a datagram */
};

/* Opens the line and waits for the other side, at most patience_s. AGN_ERR_ARG: a share or time out of range;
 * AGN_ERR_NOT_FOUND: no such host; AGN_ERR_TIMEOUT: nobody there; AGN_ERR_IO; AGN_ERR_INTERRUPTED;
 * AGN_ERR_MEMORY. */
int agn_modem_open(struct agn_modem **modem, const struct agn_modem_config *config);

/* Works until the device hangs up, agn_interrupt_requested() (both give 0), or seconds have passed: then 1,
 * and it may be called again. AGN_ERR_IO: the line broke. */
int agn_modem_run(struct agn_modem *modem, double seconds);

/* For a pty: its name. */
const char *agn_modem_line_name(const struct agn_modem *modem);

void agn_modem_stats(const struct agn_modem *modem, struct agn_modem_stats *stats);

/* Closes and removes what agn_modem_open made. NULL is allowed. */
void agn_modem_free(struct agn_modem *modem);

#endif
