/* A load generator: many emulated devices, one process, open-loop arrivals, a model of each device's radio
 * link.
 *
 *     agn_swarm_create(&swarm, &config);
 *     agn_swarm_run(swarm, &load, &report);     // as often as wanted; or agn_swarm_ramp
 *     agn_swarm_free(swarm);
 *
 * When a frame is to be sent is decided beforehand and never waits for an answer, and every time is measured
 * from that intended moment: a slow server or a busy generator shows in the latency instead of hiding behind
 * fewer requests. Frames come from a pool that the device runtime has made of real images, so that a frame
 * costs little but its system calls; a fused prediction comes of each answer, the local one where none comes
 * in time. A device that is refused with 5.03 sends nothing until the pause is over that the server asks for
 * (agn_pause.h). Each device has a UDP socket of its own. Not thread-safe; a swarm uses one thread, the
 * caller's. */
#ifndef AGILENN_SWARM_H
#define AGILENN_SWARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agilenn/base.h"
#include "agilenn/data.h"

struct agn_swarm;

enum {
    AGN_SWARM_MAX_DEVICES = 20000, /* a source port each */
    AGN_SWARM_MAX_DEADLINE_MS = 60000,
    AGN_SWARM_GIVE_UP_S = 2, /* after an interrupt */
    AGN_SWARM_DEFAULT_IMAGES = 1000,
};

/* Of each device, the same both ways. All 0 is a perfect link. */
struct agn_swarm_link {
    double bandwidth_bps;     /* with 28 bytes of IP and UDP a datagram; 0: no limit */
    double delay_s, jitter_s; /* each datagram takes delay + jitter * [0, 1); jitter does not reorder */
    double loss;              /* share of datagrams lost, 0..1 */
};

struct agn_swarm_config {
    const char *host; /* [127.0.0.1] */
    uint16_t port;
    const void *model; /* model.agn; used while creating only, as is the data set */
    size_t model_bytes;
    const struct agn_dataset *data;
    int images;           /* in the pool, spread evenly over the data set; 0: AGN_SWARM_DEFAULT_IMAGES */
    int devices;          /* 1..AGN_SWARM_MAX_DEVICES */
    uint32_t deadline_ms; /* from the intended moment to the local prediction, 1..AGN_SWARM_MAX_DEADLINE_MS */
    struct agn_swarm_link link;
    uint64_t seed;        /* of arrivals, images, losses and delays */
    bool ignore_pauses;   /* devices go on sending when the server asks for a pause (agn_pause.h) */
    int protocol;         /* version of the protocol, 1 or 2 [1] */
    const char *psk_file; /* DTLS: device i takes identity i of these keys (agilenn/keys.h), and the first
                             again when there are no more; used while creating only [plain CoAP] */
};

/* Makes the pool and opens the sockets; sends nothing. AGN_ERR_ARG: a bad configuration;
 * AGN_ERR_NOT_FOUND: unknown host; AGN_ERR_IO: no socket; AGN_ERR_INTERRUPTED; errors of agn_hosted_open and
 * agn_hosted_check_data. */
int agn_swarm_create(struct agn_swarm **swarm, const struct agn_swarm_config *config);

/* One second of a run, or less at its end. */
struct agn_swarm_second {
    int second;                    /* from 0 */
    uint64_t offered;              /* frames whose intended moment lies in it */
    uint64_t answered, fallbacks;  /* predictions made in it, of either kind */
    uint64_t late, busy;           /* answers that came in it: after the deadline; 5.03 */
    uint64_t paused;               /* of these fallbacks: not sent, the server had asked for a pause */
    double p50_ms, p99_ms, max_ms; /* of these predictions; NAN: none */
};

struct agn_swarm_load {
    double rate_fps; /* of all devices together */
    double seconds;
    bool fixed; /* evenly spaced, devices in turn; else Poisson: every device at random, by itself */
    agn_progress_fn *progress; /* about once a second; NULL: none */
    void *progress_user;
    void (*second)(void *user, const struct agn_swarm_second *second); /* NULL: none */
    void *second_user;
};

/* Milliseconds, each within 0.5 % but for max, which is exact; NAN when nothing was counted. */
struct agn_swarm_latency {
    double p50_ms, p90_ms, p99_ms, p999_ms, max_ms;
};

struct agn_swarm_report {
    int devices;
    double seconds;   /* from the start to the last prediction, at least the load's */
    uint64_t offered; /* frames; every one ends as answered or as one of the fallbacks */
    uint64_t answered, fallbacks;
    uint64_t lost_predictions; /* offered - answered - fallbacks: 0, or the generator is wrong */
    uint64_t timed_out, busy, rejected, overslept,
        paused;         /* the fallbacks: deadline; 5.03; another error of the server; the generator came to
                           the frame only after its deadline; not sent, in a pause that 5.03 asked for */
    uint64_t late;      /* answers after the deadline; not counted elsewhere */
    uint64_t strangers; /* datagrams that are no answer to any frame; repeated answers */
    uint64_t disowned;  /* answers that the server has not the model, after others: it was changed meanwhile.
                           Their frames are among the rejected ones */
    uint64_t packets,
        packets_lost;    /* sent by devices; of these, lost by the link's model or refused by the system */
    uint64_t handshakes; /* DTLS sessions made before the run; it takes handshake_s and is no part of it */
    double handshake_s;
    uint64_t bytes;                   /* UDP payloads of these packets */
    uint64_t correct, local_correct;  /* predictions; what the Local NN alone would have got right */
    double offered_fps, achieved_fps; /* frames, answers a second */
    double fallback_rate, accuracy, local_accuracy,
        bytes_mean;                      /* shares of the frames; bytes a frame. NAN: none */
    struct agn_swarm_latency prediction; /* intended moment to prediction, all frames */
    struct agn_swarm_latency answer;     /* the same, answered frames */
    struct agn_swarm_latency
        send_lag; /* intended moment to the generator's turn: its own share of the above */
};

/* Offers the load, then waits until every frame has its prediction. An interrupt ends the load early, with 0
 * and a report of what there was; frames that still wait AGN_SWARM_GIVE_UP_S later count as timed out.
 * AGN_ERR_ARG: a bad load; AGN_ERR_MISMATCH: the server has not the model, and has answered nothing yet;
 * AGN_ERR_UNSUPPORTED, AGN_ERR_TIMEOUT: no DTLS session with a device; AGN_ERR_IO, AGN_ERR_MEMORY. */
int agn_swarm_run(struct agn_swarm *swarm, const struct agn_swarm_load *load,
                  struct agn_swarm_report *report);

/* Adds them to the list. */
void agn_swarm_figures(const struct agn_swarm_report *report, struct agn_figures *figures);

/* Of the latest run: the milliseconds within which a share `q` (0 to 1) of the frames had their predictions
 * or, with `answers`, of the answered ones their answers. Within 0.5 %; NAN where there was none. */
double agn_swarm_quantile_ms(const struct agn_swarm *swarm, bool answers, double q);

struct agn_swarm_ramp {
    struct agn_swarm_load load; /* rate_fps: where to begin; seconds: of each step */
    double fallback_limit;      /* a rate is sustained when no larger share falls back [0.01] */
    double precision;           /* stop when the lowest rate that failed is within so much of it [0.05] */
    void (*step)(void *user, const struct agn_swarm_report *report, bool sustained); /* NULL: none */
    void *step_user;
};

struct agn_swarm_ramp_report {
    bool found;                      /* false: no rate from 1 frame/s up was sustained */
    bool interrupted;                /* the search is not finished */
    struct agn_swarm_report highest; /* the highest rate sustained; if not found, the last with frames */
    struct agn_swarm_report half;    /* a run at half of that */
};

/* Searches the highest rate that is sustained: doubles (or halves), then narrows down. A step that fails is
 * tried once more before it counts, and anew while the generator itself had no turn in time, up to 6 times in
 * all. Errors of agn_swarm_run; AGN_ERR_ARG: load.rate_fps outside of 1 .. 1e6. */
int agn_swarm_ramp(struct agn_swarm *swarm, const struct agn_swarm_ramp *ramp,
                   struct agn_swarm_ramp_report *report);

/* NULL is allowed. */
void agn_swarm_free(struct agn_swarm *swarm);

#endif
