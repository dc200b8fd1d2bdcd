/* One direction of a radio link on a clock of the caller's: bandwidth, delay, jitter, loss, reordering. */
#ifndef AGN_MODEM_RADIO_H
#define AGN_MODEM_RADIO_H

#include <stddef.h>
#include <stdint.h>

#include "agilenn/base.h"
#include "agilenn/modem.h"

enum {
    AGN__RADIO_DATAGRAMS = 64, /* in the air at once; more are dropped, as a full queue does */
    AGN__RADIO_BYTES = 2048,   /* the longest datagram that AT+CIPSEND takes */
};

struct agn__radio {
    struct agn_rng rng;
    double bandwidth_bps, delay_s, jitter_s, loss, reorder;
    double free_s;     /* when the sender has done with the datagrams before */
    double in_order_s; /* arrival of the latest that was not held back */
    uint64_t lost, reordered, overrun, sequence;
    struct {
        double due_s;
        uint64_t sequence; /* 0: free place */
        size_t len;
        uint8_t bytes[AGN__RADIO_BYTES];
    } flying[AGN__RADIO_DATAGRAMS];
};

void agn__radio_init(struct agn__radio *radio, const struct agn_modem_model *model, uint64_t seed);

/* Takes a datagram of at most AGN__RADIO_BYTES at now_s. */
void agn__radio_put(struct agn__radio *radio, const uint8_t *bytes, size_t len, double now_s);

/* When the next datagram arrives; INFINITY: none is flying. */
double agn__radio_due(const struct agn__radio *radio);

/* Takes out a datagram that has arrived by now_s; `*bytes` stays until the next put. 0: none. */
size_t agn__radio_take(struct agn__radio *radio, double now_s, const uint8_t **bytes);

#endif
