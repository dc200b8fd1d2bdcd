/* The modem itself on a clock of the caller's: ESP-AT on one side, datagrams on the other. No sockets. */
#ifndef AGN_MODEM_ESP_H
#define AGN_MODEM_ESP_H

#include "modem/radio.h"

enum { AGN__ESP_LINE_BYTES = 256, AGN__ESP_UNSENT_BYTES = 1 << 16 };

/* What the modem needs of the world. */
struct agn__esp_world {
    void *user;
    /* Opens the socket to a host. < 0: no such host. */
    int (*open)(void *user, const char *host, uint16_t port, uint16_t local_port);
    void (*close)(void *user);
    /* Sends a datagram that has come through the radio. < 0: the network refused it. */
    int (*send)(void *user, const uint8_t *bytes, size_t len);
};

enum agn__esp_mode {
    AGN__ESP_BOOTING,
    AGN__ESP_LISTENING, /* for commands */
    AGN__ESP_WORKING,   /* on one; others are answered "busy p..." */
    AGN__ESP_TAKING,    /* the bytes of a datagram */
};

struct agn__esp {
    struct agn_modem_model model;
    struct agn__esp_world world;
    struct agn_modem_stats stats;
    struct agn_rng uart_rng, rng;
    struct agn__radio up, down;

    enum agn__esp_mode mode;
    double until_s;            /* end of booting or working */
    const char *answer;        /* said when the work is done */
    bool joins, opens, leaves; /* what the work does when it is done */
    bool restarts;
    bool echoes, has_network, is_open;

    char line[AGN__ESP_LINE_BYTES + 1];
    size_t line_bytes;
    bool line_too_long;
    uint8_t datagram[AGN__RADIO_BYTES];
    size_t expected, got, reset_at; /* reset_at: SIZE_MAX when it does not reset */
    char host[128];
    uint16_t port, local_port;

    uint8_t unsent[AGN__ESP_UNSENT_BYTES]; /* to the device, faults done */
    size_t unsent_bytes;
};

/* Begins with a boot at now_s. */
void agn__esp_init(struct agn__esp *esp, const struct agn_modem_model *model,
                   const struct agn__esp_world *world, double now_s);

/* Bytes that the device has written. */
void agn__esp_from_device(struct agn__esp *esp, const uint8_t *bytes, size_t len, double now_s);

/* A datagram that has come from the server. */
void agn__esp_from_server(struct agn__esp *esp, const uint8_t *bytes, size_t len, double now_s);

/* Does what is due by now_s. Returns when there is more to do; INFINITY: not of itself. */
double agn__esp_advance(struct agn__esp *esp, double now_s);

/* Takes out up to `cap` bytes for the device. */
size_t agn__esp_to_device(struct agn__esp *esp, uint8_t *bytes, size_t cap);

/* With the radio's counts filled in. */
void agn__esp_stats(const struct agn__esp *esp, struct agn_modem_stats *stats);

#endif
