/* The edge server of model files: their Remote NNs behind agilenn/server.h, loaded anew when the files
 * change. Needs neither training nor data sets. */
#ifndef AGILENN_EDGE_H
#define AGILENN_EDGE_H

#include "agilenn/model.h"
#include "agilenn/server.h"

/* ---- Remote NN -------------------------------------------------------------------- */

struct agn_remote;

/* 0 asks for the default in brackets. */
struct agn_remote_config {
    const struct agn_remote *weights_of; /* of the same model: packed weights are shared with it, which takes
                                            memory once only; not created at the same time [a copy] */
    int threads;   /* of one call [agn_nn_threads()]; a server with several workers gives each one thread */
    int max_batch; /* frames computed together; more in one call are no error [32] */
    bool
        int8; /* in 8-bit integers, see agilenn/inference.h: AGN_ERR_UNSUPPORTED where that is not possible */
    int earlier; /* so many cuts before the usual one (agn_model_cuts): stages of the extractor, and then the
                    Remote NN [0: the Remote NN alone] */
};

/* The server's part of the model planned for up to max_batch frames at once, one by one included. It takes
 * what it needs from `model`. `config` NULL, and agn_remote_create: the defaults, in floats. AGN_ERR_RANGE:
 * no such cut. */
int agn_remote_create_as(const struct agn_model *model, const struct agn_remote_config *config,
                         struct agn_remote **remote);
int agn_remote_create(const struct agn_model *model, struct agn_remote **remote);
void agn_remote_free(struct agn_remote *remote);

/* features (count, h, w, sent channels), or (count, the cut's map) -> logits (count, classes). Of the type
 * that the server's `infer` wants: `remote` is a struct agn_remote. One call at a time for each remote. */
int agn_remote_infer(void *remote, const float *features, int count, float *logits);

/* ---- the edge server of model files ----------------------------------------- */

struct agn_edge; /* a server, its models and their Remote NNs, one for each worker */

struct agn_edge_config {
    const char *const *paths; /* model.safetensors files, 1 to AGN_SERVER_MAX_MODELS */
    int count;
    struct agn_server_config server;
    int threads; /* of one worker's inference, as in struct agn_remote_config */
    bool int8;   /* wanted: where the processor has no code for it, floats and a line in the log */
    int rate;    /* frames a second that are to come: the log says where fewer are made; 0 = unknown */
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

#endif
