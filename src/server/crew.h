/* The workers: threads that take batches from the queue, run the Remote NN and pack replies. Sending them is
 * left to the thread that runs the server. */
#ifndef AGN_SERVER_CREW_H
#define AGN_SERVER_CREW_H

#include "server/queue.h"

struct agn__crew_config {
    int workers, max_batch;
    double max_wait_s;
    int queue_limit;
    int wake_fd; /* eventfd that is written when jobs are done */
};

struct agn__crew;

/* NULL with agn_fail when memory is short. */
struct agn__crew *agn__crew_create(const struct agn__crew_config *config);
/* Not while it works. NULL is allowed. */
void agn__crew_free(struct agn__crew *crew);

/* Starts the threads; stops them after the batches that they have in hand. AGN_ERR_MEMORY: no threads. */
int agn__crew_start(struct agn__crew *crew);
void agn__crew_stop(struct agn__crew *crew);

/* As agn__queue_put. */
int agn__crew_put(struct agn__crew *crew, struct agn__job *job);
int agn__crew_depth(struct agn__crew *crew);

/* Jobs that are done, in order, linked by `next`; NULL: none. Each job put in comes out once. */
struct agn__job *agn__crew_collect(struct agn__crew *crew);

#endif
