/* The queue of frames before the workers, and the table of frames against one that is slow and simple. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "server/frames.h"
#include "server/queue.h"

/* ---- the queue ------------------------------------------------------------------------ */

static struct agn__served *const model_a =
    (struct agn__served *)(uintptr_t)16; /* told apart, never looked into */
static struct agn__served *const model_b = (struct agn__served *)(uintptr_t)32;

static void jobs_come_out_in_order_by_model(void **state)
{
    (void)state;
    struct agn__queue *queue = agn__queue_create(8);
    struct agn__job jobs[9], *taken[8];
    for (int i = 0; i < 9; i++) {
        jobs[i] = (struct agn__job){.model = i % 3 == 1 ? model_b : model_a, .slot = i};
        assert_int_equal(agn__queue_put(queue, &jobs[i]), i < 8 ? 0 : AGN_ERR_SPACE);
    }
    assert_int_equal(agn__queue_depth(queue), 8);
    assert_int_equal(agn__queue_take(queue, taken, 3, 0.0), 3);
    assert_true(taken[0]->slot == 0 && taken[1]->slot == 2 && taken[2]->slot == 3);
    assert_int_equal(agn__queue_take(queue, taken, 8, 0.0), 3);
    assert_true(taken[0]->slot == 1 && taken[1]->slot == 4 && taken[2]->slot == 7);
    assert_int_equal(agn__queue_put(queue, &jobs[8]), 0);
    assert_int_equal(agn__queue_take(queue, taken, 8, 0.0), 3);
    assert_true(taken[0]->slot == 5 && taken[1]->slot == 6 && taken[2]->slot == 8);
    assert_int_equal(agn__queue_depth(queue), 0);
    agn__queue_close(queue);
    assert_int_equal(agn__queue_take(queue, taken, 8, 0.0), 0);
    agn__queue_free(queue);
}

struct late {
    struct agn__queue *queue;
    struct agn__job *jobs;
};

static void *put_late(void *argument)
{
    struct late *late = argument;
    for (int i = 0; i < 2; i++) {
        usleep(20000);
        assert_int_equal(agn__queue_put(late->queue, &late->jobs[i]), 0);
    }
    return NULL;
}

static void a_batch_waits_for_more_but_not_for_long(void **state)
{
    (void)state;
    struct agn__queue *queue = agn__queue_create(8);
    struct agn__job first = {.model = model_a}, others[2] = {{.model = model_b}, {.model = model_a}},
                    *taken[4];
    struct late late = {queue, others};
    pthread_t thread;
    assert_int_equal(agn__queue_put(queue, &first), 0);
    assert_int_equal(pthread_create(&thread, NULL, put_late, &late), 0);
    assert_int_equal(agn__queue_take(queue, taken, 2, 10.0), 2); /* full: goes at once */
    assert_true(taken[0] == &first && taken[1] == &others[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    double begin_s = agn_now_s();
    assert_int_equal(agn__queue_take(queue, taken, 2, 0.05), 1);
    double took_s = agn_now_s() - begin_s;
    assert_true(taken[0] == &others[0] && took_s > 0.045 && took_s < 5.0);
    agn__queue_free(queue);
}

enum { JOBS = 20000, TAKERS = 3 };
struct crowd {
    struct agn__queue *queue;
    atomic_int taken, mixed;
    atomic_uchar seen[JOBS];
};

static void *take_all(void *argument)
{
    struct crowd *crowd = argument;
    struct agn__job *jobs[7];
    int count;
    while ((count = agn__queue_take(crowd->queue, jobs, 7, 0.0001)) > 0) {
        atomic_fetch_add(&crowd->taken, count);
        for (int i = 0; i < count; i++) {
            atomic_fetch_add(&crowd->mixed, jobs[i]->model != jobs[0]->model);
            atomic_fetch_add(&crowd->seen[jobs[i]->slot], 1);
        }
    }
    return NULL;
}

static void each_job_is_taken_once(void **state)
{
    (void)state;
    static struct crowd crowd;
    static struct agn__job jobs[JOBS];
    pthread_t takers[TAKERS];
    crowd.queue = agn__queue_create(50);
    for (int i = 0; i < TAKERS; i++)
        assert_int_equal(pthread_create(&takers[i], NULL, take_all, &crowd), 0);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct agn__job){.model = i % 5 < 2 ? model_a : model_b, .slot = i};
        while (agn__queue_put(crowd.queue, &jobs[i]) < 0)
            usleep(10);
    }
    while (atomic_load(&crowd.taken) < JOBS)
        usleep(1000);
    agn__queue_close(crowd.queue);
    for (int i = 0; i < TAKERS; i++)
        assert_int_equal(pthread_join(takers[i], NULL), 0);
    assert_int_equal(crowd.mixed, 0);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(crowd.seen[i], 1);
    agn__queue_free(crowd.queue);
}

/* ---- the table of frames ---------------------------------------------------------------- */

enum { SLOTS = 40, SHARE = 6, PEERS = 12, NUMBERS = 20 };

/* The same, with nothing but loops. */
struct simple {
    enum agn__frame_state state;
    int peer;
    uint16_t number;
    uint64_t began, entered; /* the frame; its state */
    double due_s;
};

static int simple_find(const struct simple *table, int peer, uint16_t number)
{
    for (int i = 0; i < SLOTS; i++)
        if (table[i].state != AGN__FRAME_NONE && table[i].peer == peer && table[i].number == number)
            return i;
    return -1;
}

static int simple_first(const struct simple *table, enum agn__frame_state state)
{
    int best = -1;
    for (int i = 0; i < SLOTS; i++)
        if (table[i].state == state && (best < 0 || table[i].entered < table[best].entered))
            best = i;
    return best;
}

static int rank(enum agn__frame_state state)
{
    return state == AGN__FRAME_ANSWERED ? 0 : state == AGN__FRAME_WORKING ? 2 : 1;
}

static int simple_victim(const struct simple *table, int peer)
{
    int own = 0, best = -1;
    for (int i = 0; i < SLOTS; i++) {
        if (table[i].state == AGN__FRAME_NONE || table[i].peer != peer)
            continue;
        own++;
        if (best < 0 || rank(table[i].state) < rank(table[best].state) ||
            (rank(table[i].state) == rank(table[best].state) && table[i].began < table[best].began))
            best = i;
    }
    if (own >= SHARE)
        return best;
    static const enum agn__frame_state order[] = {AGN__FRAME_NONE, AGN__FRAME_ANSWERED, AGN__FRAME_WAITING,
                                                  AGN__FRAME_COMPLETE, AGN__FRAME_WORKING};
    for (size_t i = 0; i < AGN_COUNT_OF(order); i++)
        if ((best = simple_first(table, order[i])) >= 0)
            return best;
    return -1;
}

static void compare(const struct agn__frames *frames, const struct simple *table)
{
    static const enum agn__frame_state states[] = {AGN__FRAME_WAITING, AGN__FRAME_COMPLETE,
                                                   AGN__FRAME_WORKING, AGN__FRAME_ANSWERED};
    for (size_t s = 0; s < AGN_COUNT_OF(states); s++) {
        int count = 0;
        for (int i = 0; i < SLOTS; i++)
            count += table[i].state == states[s];
        assert_int_equal(agn__frames_count(frames, states[s]), count);
        assert_int_equal(agn__frames_first(frames, states[s]), simple_first(table, states[s]));
    }
    double due_s = INFINITY, earliest_s = INFINITY;
    int due = agn__frames_due(frames, &due_s);
    for (int i = 0; i < SLOTS; i++)
        if (table[i].state == AGN__FRAME_WAITING)
            earliest_s = fmin(earliest_s, table[i].due_s);
    assert_int_equal(due >= 0, isfinite(earliest_s));
    assert_true(due < 0 || due_s == earliest_s);
}

static void the_table_agrees_with_a_simple_one(void **state)
{
    (void)state;
    struct simple table[SLOTS] = {{0}};
    struct agn__peer peers[PEERS] = {{{0}}};
    struct agn_rng rng;
    agn_rng_seed(&rng, 11);
    for (int i = 0; i < PEERS; i++)
        peers[i].bytes[i % 3] = (uint8_t)(i + 1);
    for (int i = 0; i < SLOTS; i++)
        table[i].entered = (uint64_t)i;
    struct agn__frames *frames = agn__frames_create(SLOTS, SHARE, 5);
    int seen[AGN__FRAME_STATES] = {0};
    for (uint64_t step = SLOTS; step < 60000; step++) {
        int peer = (int)agn_rng_below(&rng, PEERS);
        uint16_t number = (uint16_t)agn_rng_below(&rng, NUMBERS);
        double due_s = floor(agn_rng_uniform(&rng) * 1e6);
        int slot = agn__frames_find(frames, &peers[peer], number);
        assert_int_equal(slot, simple_find(table, peer, number));
        if (slot < 0) {
            enum agn__frame_state displaced;
            int victim = simple_victim(table, peer);
            slot = agn__frames_take(frames, &peers[peer], number, due_s, &displaced);
            assert_int_equal(slot, victim);
            assert_int_equal(displaced, table[slot].state);
            seen[displaced]++;
            table[slot] = (struct simple){AGN__FRAME_WAITING, peer, number, step, step, due_s};
        } else if (agn_rng_below(&rng, 8) == 0) {
            agn__frames_restart(frames, slot, due_s);
            table[slot] = (struct simple){AGN__FRAME_WAITING, peer, number, step, step, due_s};
        } else {
            static const enum agn__frame_state next[] = {AGN__FRAME_COMPLETE, AGN__FRAME_WORKING,
                                                         AGN__FRAME_ANSWERED, AGN__FRAME_NONE};
            unsigned phase = (unsigned)(step / 1500 % 4); /* two of them without answers */
            enum agn__frame_state to = next[phase < 2 ? phase : agn_rng_below(&rng, 4)];
            agn__frames_move(frames, slot, to);
            table[slot].state = to;
            table[slot].entered = step;
        }
        assert_int_equal(agn__frames_state(frames, slot), table[slot].state);
        compare(frames, table);
    }
    for (int i = 0; i < AGN__FRAME_STATES; i++)
        assert_true(seen[i] > 0); /* every kind of frame had to give way */
    agn__frames_free(frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_out_in_order_by_model),
        cmocka_unit_test(a_batch_waits_for_more_but_not_for_long),
        cmocka_unit_test(each_job_is_taken_once),
        cmocka_unit_test(the_table_agrees_with_a_simple_one),
    };
    return cmocka_run_group_tests_name("server queue and table", tests, NULL, NULL);
}
