/* What the parts of a frame are worth as they come: accuracy after its first channels, in several orders of
 * the channels, and after its first packets; and what it saves to send packet by packet until the answer is
 * sure enough (*answer now*, docs/PROTOCOL.md).
 *
 * Device and server are emulated as curves.h says, without loss. A channel that has not come is filled as the
 * server fills it, and answers are weighed by the model's trust in so many channels. */
#ifndef AGILENN_PROGRESSIVE_H
#define AGILENN_PROGRESSIVE_H

#include "agilenn/deploy.h"

enum {
    AGN_PROGRESSIVE_SIZES = 3,
    AGN_PROGRESSIVE_PACKETS = 256,
    AGN_PROGRESSIVE_DRAWS = 8,
    AGN_PROGRESSIVE_SHARES = 3, /* 100, 50, 30 % of the frames */
    AGN_PROGRESSIVE_MARGINS = 8 /* 0, 64, 128, ... 2048 / 256, and the largest */
};

enum agn_progressive_order {
    AGN_ORDER_SENT,     /* importance, as the model was trained to send them */
    AGN_ORDER_REVERSED, /* the same from its end */
    AGN_ORDER_RANDOM,   /* mean over several permutations */
    AGN_ORDER_MEASURED, /* by falling importance_after of the model, which training measured at its end */
    AGN_ORDER_COUNT
};

/* "importance", "reversed", "random", "measured". */
const char *agn_progressive_order_name(enum agn_progressive_order order);

/* 0 asks for the default in brackets. */
struct agn_progressive_config {
    const struct agn_model *model;
    const uint8_t *device; /* as of agn_curves_config */
    size_t device_bytes;
    const struct agn_dataset *data;
    int packet_bytes[AGN_PROGRESSIVE_SIZES]; /* largest packets; 0 ends the list [1152, 64, 48] */
    int extra_bytes;                         /* what carries a packet, counted in all bytes below */
    int protocol;                            /* version of packets and answers [1] */
    int draws;                               /* random permutations [4], AGN_PROGRESSIVE_DRAWS at most */
    int order_images; /* so many images, spread evenly, are followed channel by channel, which takes most of
                         the time [all] */
    uint64_t seed;    /* of these */
    agn_progress_fn *progress;
    void *progress_user;
};

/* Means over all images. Where nothing has come the local answer counts. */
struct agn_progressive_point {
    double accuracy;
    double any_accuracy; /* were answers trusted in full */
    double bytes;        /* so far */
    double share;        /* of the frames that have so much */
};

/* Packet by packet: the next one goes only where the answer to those before lacks channels and its best class
 * is ahead by less than `margin`, as agn_link does with ask_margin. */
struct agn_progressive_ask {
    int margin; /* Q8.8 */
    double accuracy, bytes;
    double packets; /* each is a round trip of its own */
};

struct agn_progressive {
    int images, channels, protocol; /* channels: sent ones */
    int order_images;               /* of `order` */
    double local_accuracy, fused_accuracy;
    /* After the first n channels, 0 to all. Bytes are those of one packet that holds just these n, made by
     * the model's codec with its contexts in this order, header and extra_bytes included, even where that is
     * longer than a packet may be: what a device would send whose channels were so ordered. */
    struct agn_progressive_point order[AGN_ORDER_COUNT][AGN_MAX_FEATURES + 1];
    int draws;
    uint8_t drawn[AGN_PROGRESSIVE_DRAWS][AGN_MAX_FEATURES]; /* the permutations */
    bool is_measured;                                       /* order[AGN_ORDER_MEASURED] holds anything */
    int sizes, packet_bytes[AGN_PROGRESSIVE_SIZES];
    /* After the first n real packets, 0 to most[size], which the longest frame takes; frames of fewer packets
     * stay as they are with their last. */
    int most[AGN_PROGRESSIVE_SIZES];
    struct agn_progressive_point packets[AGN_PROGRESSIVE_SIZES][AGN_PROGRESSIVE_PACKETS + 1];
    /* Asking for more, of the least sure frames only; the others are not sent. Version 2 only: asks says
     * whether there is any. */
    bool asks;
    double share[AGN_PROGRESSIVE_SHARES];  /* of frames sent */
    int threshold[AGN_PROGRESSIVE_SHARES]; /* margin of the local logits, Q8.8, from which on they are not */
    struct agn_progressive_ask ask[AGN_PROGRESSIVE_SIZES][AGN_PROGRESSIVE_SHARES][AGN_PROGRESSIVE_MARGINS];
};

/* AGN_ERR_RANGE: draws, protocol, extra_bytes, a packet size; else the errors of agn_curves_measure. */
int agn_progressive_measure(const struct agn_progressive_config *config, struct agn_progressive *result);

/* progress.csv, ask.csv (where asks), then progress.png into `folder`, which is made if need be. */
int agn_progressive_write(const struct agn_progressive *result, const char *title, const char *folder);

#endif
