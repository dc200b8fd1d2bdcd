/* A device emulated on this host classifies a data set through a server. */
#ifndef AGILENN_RUN_H
#define AGILENN_RUN_H

#include "agilenn/client.h"
#include "agilenn/train.h"

/* A profile for agn_client_config.split, and where it keeps its tables: not to be moved. */
struct agn_run_split {
    struct agn_split_profile profile;
    struct agn_split_cut cut[AGN_SPLIT_MAX_CUTS];
    struct agn_split_rule rule[AGN_EXIT_THRESHOLDS];
};
/* What exits are worth, from a file that `agilenn eval --exits --json` has made. The choice may be right less
 * often than the best one by the share `may_lose`. AGN_ERR_FORMAT: no such file, or another one. */
int agn_run_split_read(const char *path, double may_lose, struct agn_run_split *split);
/* A frame's time and bytes at each cut, measured with some of the images; the device counts as `slower` times
 * slower than this machine. The server's time counts as the link's. AGN_ERR_MISMATCH: another number of cuts.
 */
int agn_run_split_measure(struct agn_run_split *split, const void *model, size_t model_bytes,
                          const struct agn_dataset *data, double slower);

struct agn_run_config {
    struct agn_client_config client; /* host, port, deadline, model.agn, losses */
    const struct agn_dataset *data;
    int images;          /* 0 = all; more than the set has = from the start again */
    bool require_server; /* a server with another model ends the run with AGN_ERR_MISMATCH,
                            one of another version of the protocol with AGN_ERR_VERSION */
    /* Called once before image `event_at` (0 = never): the demo kills the server there. */
    int event_at;
    void (*event)(void *user);
    void *event_user;
    /* Called with each frame's result, image by image. */
    void (*frame)(void *user, int index, int label, const struct agn_client_result *result);
    void *frame_user;
    const char *firmware; /* the source tree's folder firmware/: instructions are counted there; NULL: not */
    agn_progress_fn *progress;
    void *progress_user;
};

struct agn_run_spread {
    double min, median, p99, max; /* NAN: of nothing */
};

struct agn_run_report {
    int images, predictions; /* predictions < images: some were lost */
    int fused, correct, local_correct, fused_correct;
    bool no_local; /* the device has no Local NN, or none before the cuts of some frames */
    int before_event, before_event_correct, after_event_correct;
    int reasons[AGN_CLIENT_REASON_COUNT];
    struct agn_class_count by_class[AGN_MAX_CLASSES]; /* the data set's, or the model's if it has more;
                                                         what the device said in the end, fused or local,
                                                         stands in the place of fused predictions */
    int late;                                         /* frames whose answer came, but after the deadline */
    double late_ms; /* median of these: from the first packet to the answer; NAN: none */
    int sent;       /* frames of which packets went out; the byte figures are means over these */
    int protocol;   /* version of the latest of them */
    double packets_mean, payload_bytes_mean, datagram_bytes_mean, coded_bytes_mean, reply_bytes_mean;
    double rate_kbps; /* of the latest frame that was sent; NAN: not measured, or nothing known */
    double raw_bytes; /* a frame's symbols at 3 bits each, without headers */
    struct agn_run_spread device_ms, network_ms; /* of fused frames; host time, not a microcontroller's */
    int cuts, by_cut[AGN_SPLIT_MAX_CUTS];        /* of the model, and frames at each */
    double latency_ms; /* mean of all frames: the device as slow as client.slower says, then the network */
    double seconds;
    /* A Cortex-M7's instructions a frame under QEMU, mean over the first 20 images: extractor and Local NN;
     * all packets. NAN: not counted; firmware_note: why not, or NULL. */
    double row_instructions, packet_instructions;
    const char *firmware_note;
};

int agn_run_images(const struct agn_run_config *config, struct agn_run_report *report);

/* Adds them to the list. */
void agn_run_figures(const struct agn_run_report *report, struct agn_figures *figures);

#endif
