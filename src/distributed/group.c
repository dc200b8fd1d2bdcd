/* Groups: what is summed, when, and how long it takes. Carrying the sums is the transport's work.
 *
 * MPI moves a started sum on only while one of its functions runs, so a thread of ours looks at it from time
 * to time: often enough for a network of 10 Gbit/s, seldom enough to leave the cores to the training. */
#define _POSIX_C_SOURCE 200809L
#include "agilenn/distributed.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "distributed/transport.h"

static const long look_every_ns = 100000;
enum { MESSAGE_BYTES = 1024 };

struct agn_group {
    int rank, size;
    bool failed; /* and all know it */
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    /* under the mutex */
    bool stop;
    int under_way; /* started sums that are not known to be done */
    int status;    /* of the thread's last look */
    double began_s;
    struct agn_group_times times;
};

int agn_group_rank(const struct agn_group *group)
{
    return group == NULL ? 0 : group->rank;
}

int agn_group_size(const struct agn_group *group)
{
    return group == NULL ? 1 : group->size;
}

/* ---- sums under way ----------------------------------------------------------------- */

/* Under the mutex: all sums are done. */
static void note_end(struct agn_group *group)
{
    group->times.sums_seconds += agn_now_s() - group->began_s;
    group->under_way = 0;
}

static void *move_on(void *user)
{
    struct agn_group *group = user;
    const struct timespec pause = {.tv_nsec = look_every_ns};
    pthread_mutex_lock(&group->mutex);
    while (!group->stop) {
        bool done = false;
        if (group->under_way == 0 || group->status < 0) {
            pthread_cond_wait(&group->work, &group->mutex);
            continue;
        }
        group->status = agn__transport_test(group->under_way, &done);
        if (group->status == AGN_OK && done)
            note_end(group);
        pthread_mutex_unlock(&group->mutex);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&group->mutex);
    }
    pthread_mutex_unlock(&group->mutex);
    return NULL;
}

int agn_group_await(struct agn_group *group)
{
    if (group == NULL)
        return AGN_OK;
    double begin = agn_now_s();
    pthread_mutex_lock(&group->mutex);
    int status = group->status;
    if (status == AGN_OK && group->under_way > 0) {
        status = agn__transport_wait(group->under_way);
        note_end(group);
    }
    /* What was under way so far without being waited for was hidden. */
    group->times.hidden_seconds -= agn_now_s() - begin;
    pthread_mutex_unlock(&group->mutex);
    return status;
}

int agn_group_start_sum(struct agn_group *group, float *values, size_t count)
{
    if (group == NULL || count == 0)
        return AGN_OK;
    pthread_mutex_lock(&group->mutex);
    bool full = group->under_way == AGN__MOST_SUMS;
    pthread_mutex_unlock(&group->mutex);
    int status = full ? agn_group_await(group) : AGN_OK;
    pthread_mutex_lock(&group->mutex);
    if (status == AGN_OK)
        status = group->status;
    if (status == AGN_OK)
        status = agn__transport_start(group->under_way, values, count);
    if (status == AGN_OK) {
        group->began_s = group->under_way == 0 ? agn_now_s() : group->began_s;
        group->under_way++;
        group->times.sums++;
        group->times.megabytes += 1e-6 * (double)(count * sizeof(float));
        pthread_cond_signal(&group->work);
    }
    pthread_mutex_unlock(&group->mutex);
    return status;
}

void agn_group_times(const struct agn_group *group, struct agn_group_times *times)
{
    memset(times, 0, sizeof(*times));
    if (group != NULL) {
        *times = group->times;
        double hidden = times->sums_seconds + times->hidden_seconds;
        times->hidden_seconds = hidden > 0.0 ? hidden : 0.0;
    }
}

/* ---- what is waited for at once --------------------------------------------------------- */

static int count_call(struct agn_group *group, double begin, int status)
{
    group->times.other_seconds += agn_now_s() - begin;
    group->times.others++;
    return status;
}

int agn_group_sum(struct agn_group *group, double *values, size_t count)
{
    double begin = agn_now_s();
    return group == NULL ? AGN_OK : count_call(group, begin, agn__transport_reduce(values, count, AGN__SUM));
}

int agn_group_largest(struct agn_group *group, double *values, size_t count)
{
    double begin = agn_now_s();
    return group == NULL ? AGN_OK
                         : count_call(group, begin, agn__transport_reduce(values, count, AGN__LARGEST));
}

int agn_group_sum_floats(struct agn_group *group, float *values, size_t count)
{
    int status = agn_group_start_sum(group, values, count);
    return status == AGN_OK ? agn_group_await(group) : status;
}

int agn_group_broadcast(struct agn_group *group, void *data, size_t size_bytes)
{
    double begin = agn_now_s();
    return group == NULL ? AGN_OK : count_call(group, begin, agn__transport_broadcast(data, size_bytes, 0));
}

int agn_group_any(struct agn_group *group, bool *value)
{
    double number = *value ? 1.0 : 0.0;
    int status = agn_group_largest(group, &number, 1);
    *value = number > 0.0;
    return status;
}

int agn_group_agree(struct agn_group *group, int status)
{
    char message[MESSAGE_BYTES], host[64] = "?";
    double begin = agn_now_s();
    if (group == NULL || group->failed)
        return status;
    int worst = status < 0 ? status : AGN_OK, rank = group->rank;
    int result = count_call(group, begin, agn__transport_lowest(&worst, &rank));
    if (result < 0 || worst == AGN_OK)
        return result < 0 ? result : status;
    (void)gethostname(host, sizeof(host) - 1);
    if (group->rank == 0) {
        snprintf(message, sizeof(message), "%s", agn_error_message());
    } else {
        snprintf(message, sizeof(message), "process %d (on %s): %.900s", group->rank, host,
                 agn_error_message());
    }
    result = agn__transport_broadcast(message, sizeof(message), rank);
    group->failed = result == AGN_OK;
    return result < 0 ? result : agn_fail(worst, "%s", message);
}

bool agn_group_failed(const struct agn_group *group)
{
    return group == NULL || group->failed;
}

/* ---- joining and leaving ------------------------------------------------------------------ */

static int start_thread(struct agn_group *group)
{
    int code = pthread_create(&group->thread, NULL, move_on, group);
    group->has_thread = code == 0;
    return code == 0 ? AGN_OK : agn_fail(AGN_ERR_MEMORY, "cannot start a thread: %s", strerror(code));
}

int agn_group_open(struct agn_group **result)
{
    bool any_thread = false;
    *result = NULL;
    if (agn_launch_size() == 1)
        return AGN_OK;
    struct agn_group *group = agn_alloc(1, sizeof(*group));
    int status =
        group == NULL ? AGN_ERR_MEMORY : agn__transport_open(&group->rank, &group->size, &any_thread);
    if (status < 0) {
        agn_free(group);
        return status;
    }
    pthread_mutex_init(&group->mutex, NULL);
    pthread_cond_init(&group->work, NULL);
    if (group->size != agn_launch_size()) {
        status = agn_fail(AGN_ERR_UNSUPPORTED,
                          "%d processes were launched, but only %d of them find each other: start them with "
                          "the mpirun of the MPI that agilenn was built with (Open MPI)",
                          agn_launch_size(), group->size);
        group->failed = group->size == 1; /* nobody else is to be told */
    } else if (any_thread) {
        status = start_thread(group);
    }
    *result = group;
    return status;
}

void agn_group_close(struct agn_group *group, int status, int exit_code)
{
    if (group == NULL)
        return;
    if (status < 0 && !group->failed)
        agn__transport_abort(exit_code);
    if (group->has_thread) {
        pthread_mutex_lock(&group->mutex);
        group->stop = true;
        pthread_cond_signal(&group->work);
        pthread_mutex_unlock(&group->mutex);
        pthread_join(group->thread, NULL);
    }
    pthread_cond_destroy(&group->work);
    pthread_mutex_destroy(&group->mutex);
    agn_free(group);
    agn__transport_close();
}
