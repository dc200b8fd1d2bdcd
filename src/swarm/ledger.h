/* The books: every frame offered is entered once and ends exactly once, as answered or as a fallback.
 *
 * Frames are entered in order of their intended moments and all have the same deadline, so they also expire
 * in that order: a ring holds them, and a frame's token is its place in it. */
#ifndef AGN_SWARM_LEDGER_H
#define AGN_SWARM_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "agilenn/swarm.h"
#include "swarm/durations.h"

enum { AGN__TOKEN_BITS = 24, AGN__TOKEN_MASK = (1 << AGN__TOKEN_BITS) - 1 };

enum agn__outcome {
    AGN__OPEN,
    AGN__ANSWERED,
    AGN__TIMED_OUT,
    AGN__BUSY,
    AGN__REJECTED,
    AGN__OVERSLEPT,
    AGN__PAUSED,
};

struct agn__entry {
    double intended_s;
    uint32_t device, image;
    uint16_t frame;
    uint8_t outcome; /* enum agn__outcome */
};

struct agn__ledger {
    struct agn__entry *ring;        /* `cap` entries, a power of two; tokens begin .. end - 1 are held */
    uint32_t cap, begin, end;       /* counted on, not wrapped; a token is the low AGN__TOKEN_BITS */
    uint32_t first_open;            /* all before it have ended */
    double deadline_s, last_end_s;  /* last_end_s: the latest prediction */
    struct agn_swarm_report report; /* counts only */
    struct agn_swarm_second second;
    struct agn__durations prediction, answer, send_lag, this_second;
};

enum agn__found {
    AGN__FOUND_OPEN,     /* *entry waits for an answer */
    AGN__FOUND_LATE,     /* the frame had its prediction before */
    AGN__FOUND_STRANGER, /* no such frame, or an answer to it was taken */
};

/* `first_token`: any number. AGN_ERR_MEMORY. */
int agn__ledger_open(struct agn__ledger *ledger, double deadline_s, uint32_t first_token);
void agn__ledger_free(struct agn__ledger *ledger);

/* Empties counts and histograms; no frame may be open. Tokens go on. */
void agn__ledger_clear(struct agn__ledger *ledger);

/* Enters a frame, open; *token becomes its token, *entry its place until the next call. AGN_ERR_MEMORY;
 * AGN_ERR_RANGE: more frames at once than there are tokens. */
int agn__ledger_enter(struct agn__ledger *ledger, double intended_s, uint32_t device, uint32_t image,
                      uint16_t frame, uint32_t *token);

/* The whole token of a device's frame of which only the low 16 bits are known: the latest one that fits. */
uint32_t agn__ledger_widen(const struct agn__ledger *ledger, uint16_t low, uint32_t device);

/* Looks up the frame of a token that came to a device. `*entry` is set if AGN__FOUND_OPEN. */
enum agn__found agn__ledger_find(struct agn__ledger *ledger, uint32_t token, uint32_t device,
                                 struct agn__entry **entry);

/* Ends an open frame with its prediction at now_s. `fused_right`: whether the fused class is the label, of an
 * answered frame; `local_right`: whether the local one is. */
void agn__ledger_end(struct agn__ledger *ledger, struct agn__entry *entry, enum agn__outcome outcome,
                     double now_s, bool fused_right, bool local_right);

/* The oldest open frame, NULL: none. Forgets ended frames before it, once their deadline is over as well
 * (until then repeated answers to them are known as such). */
struct agn__entry *agn__ledger_oldest(struct agn__ledger *ledger, double now_s);

/* Fills the report's shares, rates and latencies. */
void agn__ledger_report(const struct agn__ledger *ledger, double load_s, double end_s,
                        struct agn_swarm_report *report);

#endif
