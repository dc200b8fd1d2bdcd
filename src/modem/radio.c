/* The radio's model; see radio.h. */
#include "modem/radio.h"

#include <math.h>
#include <string.h>

enum { HEADER_BYTES = 28 }; /* IPv4 and UDP */

static const double hold_back_s = 0.010; /* at least, of a datagram that others are to overtake */

void agn__radio_init(struct agn__radio *radio, const struct agn_modem_model *model, uint64_t seed)
{
    memset(radio, 0, sizeof *radio);
    agn_rng_seed(&radio->rng, seed);
    radio->bandwidth_bps = model->bandwidth_bps;
    radio->delay_s = model->delay_s;
    radio->jitter_s = model->jitter_s;
    radio->loss = model->loss;
    radio->reorder = model->reorder;
}

void agn__radio_put(struct agn__radio *radio, const uint8_t *bytes, size_t len, double now_s)
{
    /* Always the same number of draws, so that one datagram's fate does not shift the next one's. */
    bool is_lost = agn_rng_uniform(&radio->rng) < radio->loss;
    bool is_held = agn_rng_uniform(&radio->rng) < radio->reorder;
    double jitter_s = radio->jitter_s * agn_rng_uniform(&radio->rng);
    double begin_s = fmax(now_s, radio->free_s);
    if (radio->bandwidth_bps > 0)
        begin_s += 8.0 * (double)(len + HEADER_BYTES) / radio->bandwidth_bps;
    size_t place = 0;
    while (place < AGN__RADIO_DATAGRAMS && radio->flying[place].sequence != 0)
        place++;
    if (place == AGN__RADIO_DATAGRAMS) {
        radio->overrun++;
        return;
    }
    radio->free_s = begin_s; /* what is lost was sent as well */
    if (is_lost) {
        radio->lost++;
        return;
    }
    double due_s = begin_s + radio->delay_s + jitter_s;
    if (is_held) {
        due_s += fmax(2 * radio->jitter_s, hold_back_s);
        radio->reordered++;
    } else {
        due_s = radio->in_order_s = fmax(due_s, radio->in_order_s);
    }
    radio->flying[place].due_s = due_s;
    radio->flying[place].sequence = ++radio->sequence;
    radio->flying[place].len = len;
    memcpy(radio->flying[place].bytes, bytes, len);
}

/* Place of the next datagram to arrive, or AGN__RADIO_DATAGRAMS. */
static size_t find_next(const struct agn__radio *radio)
{
    size_t next = AGN__RADIO_DATAGRAMS;
    for (size_t i = 0; i < AGN__RADIO_DATAGRAMS; i++) {
        if (radio->flying[i].sequence == 0)
            continue;
        if (next == AGN__RADIO_DATAGRAMS || radio->flying[i].due_s < radio->flying[next].due_s ||
            (radio->flying[i].due_s == radio->flying[next].due_s &&
             radio->flying[i].sequence < radio->flying[next].sequence))
            next = i;
    }
    return next;
}

double agn__radio_due(const struct agn__radio *radio)
{
    size_t next = find_next(radio);
    return next < AGN__RADIO_DATAGRAMS ? radio->flying[next].due_s : (double)INFINITY;
}

size_t agn__radio_take(struct agn__radio *radio, double now_s, const uint8_t **bytes)
{
    size_t next = find_next(radio);
    if (next == AGN__RADIO_DATAGRAMS || radio->flying[next].due_s > now_s)
        return 0;
    radio->flying[next].sequence = 0;
    *bytes = radio->flying[next].bytes;
    return radio->flying[next].len;
}
