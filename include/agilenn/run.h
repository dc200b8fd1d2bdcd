/* The two ends at work together: an edge server made from a model file, devices that classify a data
 * set through it, and the demo that does everything from training on. */
#ifndef AGILENN_RUN_H
#define AGILENN_RUN_H

#include <stdio.h>

#include "agilenn/client.h"
#include "agilenn/deploy.h"
#include "agilenn/server.h"

/* ---- the edge server of model files ----------------------------------------- */

struct agn_edge; /* a server, its models and their Remote NNs, one for each worker */

struct agn_edge_config {
    const char *const *paths; /* model.safetensors files, 1 to AGN_SERVER_MAX_MODELS */
    int count;
    struct agn_server_config server;
    int threads; /* of one worker's inference, as in struct agn_remote_config */
    bool int8;   /* wanted: where the processor has no code for it, floats and a line in the log */
    int rate; /* frames a second that are to come: where the machine makes less the log says so; 0 = unknown
               */
};

/* Loads the models and listens. Errors as for agn_model_load, agn_remote_create_as and agn_server_create. */
int agn_edge_open(const struct agn_edge_config *config, struct agn_edge **edge);
struct agn_server *agn_edge_server(const struct agn_edge *edge);
/* Of the file number `file`, as it is served now. */
uint32_t agn_edge_model_id(const struct agn_edge *edge, int file);

/* agn_server_run with files that are loaded anew when they change (looked at each second, taken once they
 * stay the same for a second) or agn_edge_reload asks for it. What does not load is logged and counted in the
 * statistics; what was served before is served on then. */
int agn_edge_run(struct agn_edge *edge);
/* Loads all files anew soon. Async-signal-safe. */
void agn_edge_reload(struct agn_edge *edge);
void agn_edge_close(struct agn_edge *edge);

/* ---- classifying a data set ----------------------------------------------------- */

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
    agn_progress_fn *progress;
    void *progress_user;
};

struct agn_run_report {
    int images, predictions; /* predictions < images: some were lost */
    int fused, correct, local_correct, fused_correct;
    int before_event, before_event_correct, after_event_correct;
    int reasons[AGN_CLIENT_REASON_COUNT];
    struct agn_class_count by_class[AGN_MAX_CLASSES]; /* the data set's, or the model's if it has more;
                                                         what the device said in the end, fused or local,
                                                         stands in the place of fused predictions */
    int late;                                         /* frames whose answer came, but after the deadline */
    double late_ms; /* median of these: from the first packet to the answer; NAN: none */
    int sent;       /* frames of which packets went out; the byte figures are means over these */
    double packets_mean, payload_bytes_mean, datagram_bytes_mean, coded_bytes_mean, reply_bytes_mean;
    double rate_kbps; /* of the latest frame that was sent; NAN: not measured, or nothing known */
    double raw_bytes; /* a frame's symbols at 3 bits each, without headers */
    struct {
        double min, median, p99, max;
    } device_ms, network_ms; /* of fused frames; host time, not a microcontroller's */
    double seconds;
};

int agn_run_images(const struct agn_run_config *config, struct agn_run_report *report);

/* ---- the demo --------------------------------------------------------------------- */

struct agn_demo_config {
    struct agn_preset preset;
    const char *folder;  /* for everything that it writes */
    const char *program; /* path of agilenn, started as the server */
    int images;          /* through device + socket + server, 0 = the whole test set */
    int kill_images;     /* in the run in which the server is killed half-way */
    uint32_t deadline_ms;
    FILE *text; /* headings, progress and the final table */
};

/* Trains, exports, serves, runs, kills the server, and writes summary.json, report.md and plots. */
int agn_demo_run(const struct agn_demo_config *config);

#endif
