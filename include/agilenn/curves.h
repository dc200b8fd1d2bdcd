/* Accuracy of a deployed model when packets are lost, when a frame may take only so many bytes, and when
 * frames of which the device is sure are not sent.
 *
 * The int8 device is emulated by the device library, its real packets are lost by draws from a seed, what
 * arrives is decoded and filled up as the server does it, the Remote NN's answer goes back through a reply
 * packet, and the device predicts: all that a network would do but the waiting, so that 10,000 images take
 * seconds. */
#ifndef AGILENN_CURVES_H
#define AGILENN_CURVES_H

#include "agilenn/deploy.h"

enum {
    AGN_CURVE_PACKETS = 4,  /* packet sizes */
    AGN_CURVE_LOSSES = 8,   /* 0, 5, 10, 20, 30, 40, 50, 100 % */
    AGN_CURVE_BUDGETS = 13, /* nothing to everything, in twelve steps */
    AGN_CURVE_SHARES = 21,  /* everything to nothing, in steps of 5 % */
    AGN_CURVE_ROUNDS = 4,
    AGN_CURVE_PARTS = 11, /* nothing missing; up to 10 % of the channels, 20 %, ... 100 % */
};

/* One image, all of whose packets arrived. */
struct agn_curve_frame {
    int label, local_class, second_class,
        fused_class; /* second_class: the local logits' next best; -1: none */
    int margin;      /* of the local logits, Q8.8 */
    int bytes, packets;
};

struct agn_curves_config {
    const struct agn_model *model; /* for its Remote NN, centroids and fill; not changed */
    const uint8_t *device; /* its model.agn, 4-byte aligned, of the same model_id (AGN_ERR_MISMATCH) */
    size_t device_bytes;
    const struct agn_dataset *data;
    /* Largest feature packets to measure loss with, in bytes; 0 ends the list. Budgets are measured with the
     * first. None: 1152, 512, 256. */
    int packet_bytes[AGN_CURVE_PACKETS];
    int extra_bytes; /* what carries a packet: CoAP, UDP, IP; counts in budgets and in all bytes below */
    int protocol;    /* version of packets and answers (docs/PROTOCOL.md) [1] */
    /* How often a frame's packets are sent until all are there [1], AGN_CURVE_ROUNDS at most: a device that
     * hears nothing sends them again, as firmware/apps/edge.c does. Loss curves only. */
    int rounds;
    uint64_t seed; /* of the losses: each packet on its own, those of a higher loss among those of a lower */
    struct agn_curve_frame *frames; /* one for each image of `data`, to be filled in, or NULL */
    bool whole_only; /* without losses and budgets, which then mean nothing: a tenth of the time */
    agn_progress_fn *progress;
    void *progress_user;
};

struct agn_curve_point {
    double x; /* loss, 0 to 1; budget in bytes; share of frames sent */
    double accuracy;
    double any_accuracy;  /* were answers trusted in full, however many channels they lack */
    double both_accuracy; /* with answers lost at the same rate (loss curves only) */
    double fused;         /* share of frames with a fused prediction */
    double bytes;         /* that the device sends for a frame, mean over all frames */
    double packets;
    double arrived; /* share of the sent channels' symbols that the server got */
};

/* What answers are worth that lack channels lost at random, over all losses and packet sizes. */
struct agn_curve_part {
    int answers;         /* different ones */
    double any_accuracy; /* trusted in full */
    double fused_accuracy, local_accuracy;
};

struct agn_curves {
    int images;
    double local_accuracy, fused_accuracy; /* of the int8 device: without a server, without loss */
    double raw_bytes;                      /* a frame's symbols at 3 bits each, without headers */
    int sent_channels, packet_sizes;
    int packet_bytes[AGN_CURVE_PACKETS];
    struct agn_curve_point loss[AGN_CURVE_PACKETS][AGN_CURVE_LOSSES];
    struct agn_curve_point budget[AGN_CURVE_BUDGETS];
    struct agn_curve_point share[AGN_CURVE_SHARES];
    int threshold[AGN_CURVE_SHARES]; /* margin of the local logits, Q8.8, from which on a frame is not sent */
    int sure_margin;                 /* the device model's */
    struct agn_curve_point sure;     /* frames unsent from it on */
    struct agn_curve_part parts[AGN_CURVE_PARTS];
};

/* AGN_ERR_RANGE: a packet size that does not hold a row of symbols, or a frame of more than 256 packets;
 * errors of agn_dev_model_open, agn_model_check_data, and of the Remote NN. */
int agn_curves_measure(const struct agn_curves_config *config, struct agn_curves *curves);

/* A line for each image, in the data set's order. */
int agn_curves_write_frames(const struct agn_curve_frame *frames, int count, const char *path);

/* loss.csv, budget.csv, share.csv and parts.csv into `folder`, which is made if need be; then loss.png,
 * budget.png and share.png (errors of agilenn/plot.h). */
int agn_curves_write(const struct agn_curves *curves, const char *title, const char *folder);

#endif
