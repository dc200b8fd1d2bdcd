/* A model being served: the server's copy of it, its frames, and the memory that its jobs and workers use. */
#ifndef AGN_SERVER_SERVED_H
#define AGN_SERVER_SERVED_H

#include <pthread.h>
#include <stdbool.h>

#include "agilenn/server.h"
#include "server/assembly.h"
#include "server/coap_server.h"
#include "server/queue.h"

/* What one worker computes in. */
struct agn__scratch {
    float *features, *logits; /* max_batch frames each */
    int16_t *fixed;           /* one frame */
};

struct agn__served_limits {
    struct agn__assembly_limits assembly;
    int workers, max_batch;
    int jobs; /* at most: waiting, being worked on or finished */
};

struct agn__served {
    struct agn__served *next; /* in a list of those that retire */
    struct agn_server_model model;
    struct agn__served_limits limits;
    char name[AGN_SERVER_NAME_BYTES];
    float *fill, *trust, *leading_trust; /* the model's, copied */
    pthread_mutex_t infer_lock;          /* where the workers share one `user` */
    struct agn__scratch *scratch;

    /* Of the thread that runs the server. */
    struct agn__assembly *assembly;
    struct agn__exchange *exchanges; /* one a slot: where its latest packet came from */
    struct agn__job *jobs, *free_jobs;
    uint8_t *job_memory;
    int jobs_in_hand;
    double retired_s;
    struct agn_server_model_stats stats;
};

/* Is this something to serve? AGN_ERR_ARG. */
int agn__served_check(const struct agn_server_model *model);

/* NULL with agn_fail when memory is short. The model is released by agn__served_free, not here on failure. */
struct agn__served *agn__served_create(const struct agn_server_model *model,
                                       const struct agn__served_limits *limits);
/* Whether both, of one id, hold the same values. The id stands for networks and codecs, as devices see them;
 * fill and trusts are the server's own. */
bool agn__served_is_same(const struct agn__served *a, const struct agn__served *b);
/* Forgets its exchanges and, with `release`, gives the model back. NULL is allowed. */
void agn__served_free(struct agn__served *served, bool release);

/* A free job with the frame's symbols and times, or NULL: too many in hand. */
struct agn__job *agn__served_job(struct agn__served *served, int slot, double now_s);
void agn__served_job_done(struct agn__job *job);

#endif
