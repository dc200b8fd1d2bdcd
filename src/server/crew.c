/* Batches through the Remote NN; see crew.h. */
#define _GNU_SOURCE /* pthread_sigmask */
#include "server/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/features.h"
#include "server/served.h"

struct worker {
    struct agn__crew *crew;
    int number;
    pthread_t thread;
    struct agn__job **jobs; /* max_batch */
};

struct agn__crew {
    struct agn__crew_config config;
    struct agn__queue *queue;
    struct worker *workers;
    struct agn__job **jobs;
    int running;
    pthread_mutex_t done_lock;
    struct agn__job *done_head, *done_tail;
};

/* ---- one batch ---------------------------------------------------------------------- */

static int infer(struct agn__served *model, int worker, const struct agn__scratch *scratch, int count)
{
    const struct agn_server_model *callback = &model->model;
    if (callback->users)
        return callback->infer(callback->users[worker], scratch->features, count, scratch->logits);
    pthread_mutex_lock(&model->infer_lock);
    int status = callback->infer(callback->user, scratch->features, count, scratch->logits);
    pthread_mutex_unlock(&model->infer_lock);
    return status;
}

/* Writes the reply of one frame; `missing` < 0: the batch failed. */
static void pack(struct agn__job *job, float *logits, int16_t *fixed, int missing)
{
    const struct agn_server_model *model = &job->model->model;
    struct agn_reply_packet reply = {
        .model_id = model->model_id, .frame = job->frame, .status = AGN_REPLY_FAILED};
    if (missing > 0) {
        bool leading = agn_map_received(job->map, &model->shape).leading;
        agn_logits_scale(logits, model->classes,
                         (leading ? model->leading_trust : model->trust)[model->shape.channels - missing]);
    }
    if (missing >= 0 && agn_logits_to_q8(logits, model->classes, fixed) < 0) {
        agn_log(AGN_LOG_WARN, "inference: %s gave a logit that is not a finite number", job->model->name);
        missing = -1;
    }
    job->outcome = missing < 0 ? AGN__OUTCOME_FAILED : AGN__OUTCOME_DONE;
    if (missing >= 0) {
        reply.status = AGN_REPLY_OK;
        reply.channels_missing = (uint8_t)missing;
        reply.class_count = (uint16_t)model->classes;
    }
    size_t room = AGN_REPLY_BYTES((size_t)model->classes); /* one of version 2 is shorter */
    int length = job->is_compact ? agn_compact_reply_pack(&reply, fixed, job->reply, room)
                                 : agn_reply_pack(&reply, fixed, job->reply, room);
    job->reply_bytes = length > 0 ? (size_t)length : 0; /* always > 0: shape and classes were checked */
}

/* Puts the jobs whose device still waits in front; their number. */
static int set_expired_aside(struct agn__job **jobs, int count, double now_s)
{
    int live = 0;
    for (int i = 0; i < count; i++) {
        struct agn__job *job = jobs[i];
        if (job->deadline_s <= now_s) {
            job->outcome = AGN__OUTCOME_EXPIRED;
            continue;
        }
        jobs[i] = jobs[live];
        jobs[live++] = job;
    }
    return live;
}

/* A frame's features; the number of channels that did not wholly come. */
static int expand(const struct agn_server_model *served, const uint8_t *map, float *features)
{
    return served->expand
               ? served->expand(served->expand_user, map, features)
               : agn_features_expand(map, &served->shape, served->centroids, served->fill, features);
}

static void work(const struct worker *worker, int count)
{
    struct agn__job **jobs = worker->jobs;
    struct agn__served *model = jobs[0]->model;
    const struct agn_server_model *served = &model->model;
    const struct agn__scratch *scratch = &model->scratch[worker->number];
    int missing[AGN_SERVER_MAX_BATCH];
    int live = set_expired_aside(jobs, count, agn_now_s());
    if (live == 0)
        return;
    for (int i = 0; i < live; i++)
        missing[i] = expand(served, jobs[i]->map, scratch->features + (size_t)i * served->floats);
    double begin_s = agn_now_s();
    int status = infer(model, worker->number, scratch, live);
    double took_s = agn_now_s() - begin_s;
    if (status < 0)
        agn_log(AGN_LOG_WARN, "inference: %s failed: %s (%s)", model->name, agn_status_text(status),
                agn_error_message());
    for (int i = 0; i < live; i++) {
        jobs[i]->infer_begin_s = begin_s;
        jobs[i]->infer_s = took_s;
        pack(jobs[i], scratch->logits + (size_t)i * (size_t)served->classes, scratch->fixed,
             status < 0 ? -1 : missing[i]);
    }
    jobs[0]->batch = live;
}

/* ---- threads ------------------------------------------------------------------------- */

static void hand_over(struct agn__crew *crew, struct agn__job **jobs, int count)
{
    for (int i = 0; i < count; i++)
        jobs[i]->next = i + 1 < count ? jobs[i + 1] : NULL;
    pthread_mutex_lock(&crew->done_lock);
    bool first = crew->done_head == NULL;
    if (first)
        crew->done_head = jobs[0];
    else
        crew->done_tail->next = jobs[0];
    crew->done_tail = jobs[count - 1];
    pthread_mutex_unlock(&crew->done_lock);
    uint64_t one = 1;
    if (first)
        (void)!write(crew->config.wake_fd, &one, sizeof one);
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    struct agn__crew *crew = worker->crew;
    int count;
    while ((count = agn__queue_take(crew->queue, worker->jobs, crew->config.max_batch,
                                    crew->config.max_wait_s)) > 0) {
        work(worker, count);
        hand_over(crew, worker->jobs, count);
    }
    return NULL;
}

/* Signals are for the other threads of the program. */
static int start_thread(struct worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? 0 : agn_fail(AGN_ERR_MEMORY, "cannot start a worker thread: %s", strerror(error));
}

int agn__crew_start(struct agn__crew *crew)
{
    agn__queue_open(crew->queue);
    for (crew->running = 0; crew->running < crew->config.workers; crew->running++) {
        int status = start_thread(&crew->workers[crew->running]);
        if (status < 0) {
            agn__crew_stop(crew);
            return status;
        }
    }
    return 0;
}

void agn__crew_stop(struct agn__crew *crew)
{
    agn__queue_close(crew->queue);
    while (crew->running > 0)
        pthread_join(crew->workers[--crew->running].thread, NULL);
}

/* ---- creation and jobs ----------------------------------------------------------------- */

struct agn__crew *agn__crew_create(const struct agn__crew_config *config)
{
    struct agn__crew *crew = agn_alloc(1, sizeof *crew);
    if (!crew)
        return NULL;
    size_t workers = (size_t)config->workers, batch = (size_t)config->max_batch;
    crew->config = *config;
    pthread_mutex_init(&crew->done_lock, NULL);
    crew->queue = agn__queue_create(config->queue_limit);
    crew->workers = agn_alloc(workers, sizeof *crew->workers);
    crew->jobs = agn_alloc(workers * batch, sizeof(struct agn__job *));
    if (!crew->queue || !crew->workers || !crew->jobs) {
        agn__crew_free(crew);
        return NULL;
    }
    for (size_t i = 0; i < workers; i++)
        crew->workers[i] = (struct worker){.crew = crew, .number = (int)i, .jobs = crew->jobs + i * batch};
    return crew;
}

void agn__crew_free(struct agn__crew *crew)
{
    if (!crew)
        return;
    agn__queue_free(crew->queue);
    pthread_mutex_destroy(&crew->done_lock);
    agn_free(crew->workers);
    agn_free(crew->jobs);
    agn_free(crew);
}

int agn__crew_put(struct agn__crew *crew, struct agn__job *job)
{
    return agn__queue_put(crew->queue, job);
}

int agn__crew_depth(struct agn__crew *crew)
{
    return agn__queue_depth(crew->queue);
}

struct agn__job *agn__crew_collect(struct agn__crew *crew)
{
    pthread_mutex_lock(&crew->done_lock);
    struct agn__job *done = crew->done_head;
    crew->done_head = crew->done_tail = NULL;
    pthread_mutex_unlock(&crew->done_lock);
    return done;
}
