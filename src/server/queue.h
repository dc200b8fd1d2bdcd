/* Frames on their way to a worker: a bounded queue from which one model's frames are taken together.
 *
 * One thread puts, any number take. Jobs are not owned. */
#ifndef AGN_SERVER_QUEUE_H
#define AGN_SERVER_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct agn__served;

enum agn__outcome {
    AGN__OUTCOME_DONE,
    AGN__OUTCOME_FAILED,  /* the Remote NN failed: the reply says so */
    AGN__OUTCOME_EXPIRED, /* the device waits no more: no reply */
};

/* One frame: what a worker needs of it and what it gives back. */
struct agn__job {
    struct agn__job *next;
    struct agn__served *model;
    int slot; /* where its assembly keeps it, and under which serial number */
    uint64_t serial;
    uint16_t frame;
    uint8_t is_compact;         /* the version of the protocol that the reply is to have is 2 */
    double began_s, deadline_s; /* first packet; end of the device's patience (INFINITY: not stated) */
    double ready_s;             /* put into the queue */
    uint8_t *map;               /* its symbols, as agn__assembly_map */

    enum agn__outcome outcome;
    double infer_begin_s, infer_s; /* of its batch */
    int batch;                     /* size of its batch, on one job of each batch; 0 on the others */
    uint8_t *reply;
    size_t reply_bytes;
};

struct agn__queue;

/* NULL with agn_fail when memory is short. */
struct agn__queue *agn__queue_create(int limit);
void agn__queue_free(struct agn__queue *queue);

/* 0, or AGN_ERR_SPACE: the limit is reached (no sentence left: it is a normal event). */
int agn__queue_put(struct agn__queue *queue, struct agn__job *job);

/* Waits for a job, takes it and what else waits for the same model, in order, at most `max`; with fewer waits
 * up to max_wait_s for more. Their number; 0 once the queue is closed. One caller at a time waits for more,
 * the others stand behind it: a batch is not torn apart. */
int agn__queue_take(struct agn__queue *queue, struct agn__job **jobs, int max, double max_wait_s);

/* After closing agn__queue_take gives 0, whatever waits; opening takes that back. */
void agn__queue_close(struct agn__queue *queue);
void agn__queue_open(struct agn__queue *queue);

/* Jobs that wait now. */
int agn__queue_depth(struct agn__queue *queue);

#endif
