/* The queue between the thread that reads packets and the workers; see queue.h. */
#define _GNU_SOURCE /* pthread_condattr_setclock */
#include "server/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "agilenn/base.h"

struct agn__queue {
    pthread_mutex_t lock;
    pthread_cond_t arrived;    /* for the caller in front */
    pthread_cond_t front_left; /* for those behind it */
    bool closed, front_taken, front_sleeps;
    int limit, depth;
    struct agn__job *head, *tail;
};

struct agn__queue *agn__queue_create(int limit)
{
    struct agn__queue *queue = agn_alloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->limit = limit;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->arrived, &attributes);
    pthread_cond_init(&queue->front_left, &attributes);
    pthread_condattr_destroy(&attributes);
    return queue;
}

void agn__queue_free(struct agn__queue *queue)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->front_left);
    pthread_cond_destroy(&queue->arrived);
    pthread_mutex_destroy(&queue->lock);
    agn_free(queue);
}

int agn__queue_put(struct agn__queue *queue, struct agn__job *job)
{
    pthread_mutex_lock(&queue->lock);
    bool full = queue->depth >= queue->limit;
    bool wake = !full && queue->front_sleeps;
    if (!full) {
        job->next = NULL;
        if (queue->tail)
            queue->tail->next = job;
        else
            queue->head = job;
        queue->tail = job;
        queue->depth++;
    }
    pthread_mutex_unlock(&queue->lock);
    if (wake)
        pthread_cond_signal(&queue->arrived);
    return full ? AGN_ERR_SPACE : 0;
}

/* Takes jobs of one model out of the list; their number. */
static int pull(struct agn__queue *queue, const struct agn__served *model, struct agn__job **jobs, int max)
{
    int count = 0;
    struct agn__job *kept = NULL;
    for (struct agn__job **link = &queue->head; *link && count < max;) {
        struct agn__job *job = *link;
        if (job->model == model) {
            *link = job->next;
            if (queue->tail == job)
                queue->tail = kept;
            job->next = NULL;
            jobs[count++] = job;
        } else {
            kept = job;
            link = &job->next;
        }
    }
    queue->depth -= count;
    return count;
}

static void sleep_in_front(struct agn__queue *queue, const struct timespec *until, bool *over)
{
    queue->front_sleeps = true;
    if (until)
        *over = pthread_cond_timedwait(&queue->arrived, &queue->lock, until) != 0;
    else
        pthread_cond_wait(&queue->arrived, &queue->lock);
    queue->front_sleeps = false;
}

static struct timespec moment_after(double seconds)
{
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    int64_t nanoseconds = moment.tv_nsec + (int64_t)(seconds * 1e9);
    moment.tv_sec += (time_t)(nanoseconds / 1000000000);
    moment.tv_nsec = (long)(nanoseconds % 1000000000);
    return moment;
}

int agn__queue_take(struct agn__queue *queue, struct agn__job **jobs, int max, double max_wait_s)
{
    int count = 0;
    bool over = false;
    pthread_mutex_lock(&queue->lock);
    while (queue->front_taken && !queue->closed)
        pthread_cond_wait(&queue->front_left, &queue->lock);
    if (!queue->closed) {
        queue->front_taken = true;
        while (!queue->head && !queue->closed)
            sleep_in_front(queue, NULL, NULL);
        if (!queue->closed)
            count = pull(queue, queue->head->model, jobs, max);
        if (count > 0 && count < max && max_wait_s > 0.0) {
            struct timespec until = moment_after(max_wait_s);
            while (count < max && !over && !queue->closed) {
                sleep_in_front(queue, &until, &over);
                count += pull(queue, jobs[0]->model, jobs + count, max - count);
            }
        }
        queue->front_taken = false;
    }
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->front_left);
    return count;
}

void agn__queue_close(struct agn__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_broadcast(&queue->arrived);
    pthread_cond_broadcast(&queue->front_left);
}

void agn__queue_open(struct agn__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = false;
    pthread_mutex_unlock(&queue->lock);
}

int agn__queue_depth(struct agn__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    int depth = queue->depth;
    pthread_mutex_unlock(&queue->lock);
    return depth;
}
