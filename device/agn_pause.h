/* Pauses that a server asks for: an overloaded one answers CoAP's 5.03 with Max-Age, the seconds after which
 * trying again makes sense. Until then a device takes its local predictions and sends nothing.
 *
 *     struct agn_pause pause = {0};
 *     for each frame:
 *         if (agn_pause_is_on(&pause, now_ms))           // the local prediction, no packets
 *     for each 5.03 that is believed:  agn_pause_refused(&pause, max_age_s, now_ms, noise);
 *     for each reply that is fused:    agn_pause_answered(&pause);
 *
 * A pause takes what the server says, doubled for every refusal in a row (a device that sends little learns
 * nothing from a short pause), at most AGN_PAUSE_MAX_S; then a random part of up to half of that again, so
 * that devices refused at one moment do not come back at one. Integers only, no memory, no clock of its own;
 * `now_ms` may wrap. */
#ifndef AGN_PAUSE_H
#define AGN_PAUSE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AGN_PAUSE_MAX_S = 60,     /* whatever a server says; the random part comes on top */
    AGN_PAUSE_DEFAULT_S = 60, /* where it says nothing: what Max-Age is then (RFC 7252, 5.10.5) */
};

/* All 0: no pause. The fields are private. */
struct agn_pause {
    uint32_t begin_ms, length_ms; /* length 0: none */
    uint8_t refusals;             /* in a row */
};

/* Whether nothing may be sent now: 1 or 0. */
int agn_pause_is_on(struct agn_pause *pause, uint32_t now_ms);

/* The server has refused a frame and asks for `max_age_s` seconds; 0 asks for none. `noise` is any number
 * that differs from device to device, as a timer's count at this moment; it need not be well spread. Refusals
 * during a pause are of frames sent before it and change nothing, but for one that asks for more than the
 * whole pause. */
void agn_pause_refused(struct agn_pause *pause, uint32_t max_age_s, uint32_t now_ms, uint32_t noise);

/* The server has answered a frame: the next pause will be as short as it says. One that is on goes on. */
void agn_pause_answered(struct agn_pause *pause);

#ifdef __cplusplus
}
#endif

#endif
