/* The server under a fleet: several models, batches, a full queue, deadlines, replacement and drain. */
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
#include "stranger.h"

enum { MODELS = 3, CLASSES = 3, PATIENCE_MS = 5000, BURST = 300 };

/* ---- a Remote NN that a test holds up ------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    int entered, inside, most_inside, largest_batch;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct network {
    int number;
    size_t map;
    atomic_int released;
};

static void set_gate(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    if (closed)
        gate.entered = gate.most_inside = gate.largest_batch = 0;
    pthread_mutex_unlock(&gate.lock);
    pthread_cond_broadcast(&gate.changed);
}

/* Waits until so many calls have begun since the gate closed. */
static void await_entered(int calls)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.entered < calls)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

/* Logits: the network's number, the first and the last feature. */
static int infer(void *user, const float *features, int count, float *logits)
{
    const struct network *network = user;
    pthread_mutex_lock(&gate.lock);
    gate.entered++;
    gate.inside++;
    gate.most_inside = gate.inside > gate.most_inside ? gate.inside : gate.most_inside;
    gate.largest_batch = count > gate.largest_batch ? count : gate.largest_batch;
    pthread_cond_broadcast(&gate.changed);
    while (gate.closed)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.inside--;
    pthread_mutex_unlock(&gate.lock);
    for (int i = 0; i < count; i++) {
        logits[i * CLASSES] = (float)network->number;
        logits[i * CLASSES + 1] = features[(size_t)i * network->map];
        logits[i * CLASSES + 2] = features[(size_t)(i + 1) * network->map - 1];
    }
    return 0;
}

static void release(void *owner)
{
    struct network *network = owner;
    atomic_fetch_add(&network->released, 1);
}

/* ---- a server in a thread ------------------------------------------------------------- */

static struct {
    struct network networks[MODELS];
    struct agn_server_model models[MODELS];
    struct agn_server *server;
    pthread_t thread;
    int status, fd;
    void *users[2];
} world;

static void *run(void *argument)
{
    (void)argument;
    world.status = agn_server_run(world.server);
    return NULL;
}

static void run_now(void)
{
    assert_int_equal(pthread_create(&world.thread, NULL, run, NULL), 0);
}

/* Listens, but does not serve before run_now. */
static void start_later(struct agn_server_config config, int count)
{
    set_gate(false);
    for (int i = 0; i < MODELS; i++) {
        struct network *network = &world.networks[i];
        struct agn_server_model *model = &world.models[i];
        *model = (struct agn_server_model){.model_id = 0xA0u + (unsigned)i,
                                           .shape = {(uint8_t)(2 + 2 * i), 4, 5},
                                           .classes = CLASSES,
                                           .infer = infer,
                                           .user = network,
                                           .release = release,
                                           .owner = network};
        for (int level = 0; level < AGN_WIRE_LEVELS; level++)
            model->centroids[level] = (float)level / 2;
        network->number = i;
        network->map = (size_t)model->shape.channels * 20;
        atomic_store(&network->released, 0);
    }
    assert_int_equal(agn_server_create(&world.server, &config, world.models, count), 0);
    world.fd = stranger_socket(agn_server_port(world.server));
}

static void start(struct agn_server_config config, int count)
{
    start_later(config, count);
    run_now();
}

static void join(struct agn_server_stats *stats)
{
    assert_int_equal(pthread_join(world.thread, NULL), 0);
    assert_int_equal(world.status, 0);
    agn_server_stats(world.server, stats);
    agn_server_free(world.server);
    close(world.fd);
}

static void finish(struct agn_server_stats *stats)
{
    agn_server_stop(world.server);
    join(stats);
}

/* A whole frame in one packet. */
static void send_frame(int model, uint16_t frame, uint8_t symbol, uint16_t deadline_ms)
{
    struct stranger_packet packet = {.frame = frame,
                                     .deadline_ms = deadline_ms,
                                     .last = 1,
                                     .channel_count = world.models[model].shape.channels,
                                     .symbol = symbol};
    stranger_send(world.fd, &world.models[model], &packet);
}

static void assert_answer(const struct stranger_answer *answer, int model, int symbol)
{
    assert_int_equal(answer->code, 204);
    assert_int_equal(answer->reply.status, AGN_REPLY_OK);
    assert_int_equal(answer->reply.model_id, world.models[model].model_id);
    assert_int_equal(agn_reply_logit(&answer->reply, 0), 256 * model);
    assert_int_equal(agn_reply_logit(&answer->reply, 1), 128 * symbol);
    assert_int_equal(agn_reply_logit(&answer->reply, 2), 128 * symbol);
}

static void ask(int model, uint16_t frame, int symbol)
{
    struct stranger_answer answer;
    send_frame(model, frame, (uint8_t)symbol, 0);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_answer(&answer, model, symbol);
    assert_int_equal(answer.reply.frame, frame);
}

static void await_stats(bool (*enough)(const struct agn_server_stats *stats))
{
    struct agn_server_stats stats;
    for (int i = 0; i < PATIENCE_MS; i++) {
        agn_server_stats(world.server, &stats);
        if (enough(&stats))
            return;
        usleep(1000);
    }
    fail_msg("the statistics did not come to what was expected");
}

/* Until the server has read so many packets: what comes to it later, it sees later. */
static void await_packets(uint64_t count)
{
    struct agn_server_stats stats = {0};
    for (int i = 0; i < PATIENCE_MS && stats.packets < count; i++) {
        usleep(1000);
        agn_server_stats(world.server, &stats);
    }
    assert_int_equal(stats.packets, count);
}

/* ---- tests: models and batches ---------------------------------------------------------- */

static void several_models_are_served_at_once(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    start((struct agn_server_config){.workers = 2}, MODELS);
    for (int i = 0; i < 60; i++)
        ask(i % MODELS, (uint16_t)i, i % AGN_WIRE_LEVELS);
    finish(&stats);
    assert_int_equal(stats.model_count, MODELS);
    for (int i = 0; i < MODELS; i++) {
        assert_int_equal(stats.models[i].frames, 20);
        assert_int_equal(stats.models[i].replies, 20);
        assert_int_equal(world.networks[i].released, 1);
    }
    assert_string_equal(stats.models[1].name, "000000a1");
    assert_int_equal(stats.latency.count, 60);
    assert_true(stats.peers == 1 && stats.workers == 2 && stats.queue_limit == 256);
    double p50 = agn_server_quantile_s(&stats.latency, 0.5),
           p99 = agn_server_quantile_s(&stats.latency, 0.99);
    assert_true(p50 > 0.0 && p50 <= p99 && p99 <= stats.latency.max_s);
}

static bool nine_wait(const struct agn_server_stats *stats)
{
    return stats->queue_depth == 9;
}

/* While a batch is at work, nine frames of two models come: taken together, at most four, of one model. */
static void what_waits_is_taken_together(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1, .max_batch = 4}, 2);
    set_gate(true);
    send_frame(0, 0, 1, 0);
    await_entered(1);
    for (uint16_t i = 1; i <= 9; i++)
        send_frame(i % 2, i, (uint8_t)(i % 8), 0);
    await_stats(nine_wait);
    set_gate(false);
    for (int i = 0; i <= 9; i++) {
        stranger_receive(world.fd, &answer, PATIENCE_MS);
        int frame = answer.reply.frame;
        assert_answer(&answer, frame == 0 ? 0 : frame % 2, frame == 0 ? 1 : frame % 8);
    }
    finish(&stats);
    /* frame 0; four odd ones; four even ones; the odd one that is left */
    assert_int_equal(stats.batches, 4);
    assert_int_equal(stats.inferences, 10);
    assert_int_equal(stats.batch_sizes[0], 2);
    assert_int_equal(stats.batch_sizes[2], 2);
    assert_int_equal(stats.queue_peak, 9);
    assert_int_equal(gate.largest_batch, 4);
}

/* With a context for each worker they compute at the same time; with one for all they take turns. */
static void workers_compute_at_once(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    for (int shared = 0; shared < 2; shared++) {
        start((struct agn_server_config){.workers = 2, .max_batch = 1}, 1);
        world.users[0] = world.users[1] = &world.networks[0];
        world.models[0].model_id = 0xB0;
        world.models[0].users = shared ? NULL : world.users;
        assert_int_equal(agn_server_replace_models(world.server, world.models, 1), 0);
        do {
            send_frame(0, 100, 1, 0);
            stranger_receive(world.fd, &answer, PATIENCE_MS);
        } while (answer.code == 409);
        set_gate(true);
        send_frame(0, 1, 1, 0);
        send_frame(0, 2, 1, 0);
        await_entered(shared ? 1 : 2);
        if (shared)
            usleep(50000); /* time for a second one to come in, which must not */
        set_gate(false);
        stranger_receive(world.fd, &answer, PATIENCE_MS);
        stranger_receive(world.fd, &answer, PATIENCE_MS);
        finish(&stats);
        assert_int_equal(gate.most_inside, shared ? 1 : 2);
    }
}

/* ---- tests: too much ---------------------------------------------------------------------- */

static bool one_waits(const struct agn_server_stats *stats)
{
    return stats->queue_depth == 1;
}

static bool a_hundred_came(const struct agn_server_stats *stats)
{
    return stats->packets + stats->dropped_datagrams == 100;
}

static bool queue_is_full(const struct agn_server_stats *stats)
{
    return stats->queue_depth == 4;
}

/* Max-Age is option 14, after Content-Format, 12, of one byte: 2 more, one byte long. */
static void assert_busy(const struct stranger_answer *answer, unsigned max_age_s)
{
    assert_int_equal(answer->code, 503);
    assert_int_equal(answer->reply.status, AGN_REPLY_BUSY);
    static const uint8_t head[] = {0xC1, 42, 0x21};
    const uint8_t *options = answer->bytes + 4 + AGN_COAP_TOKEN_BYTES;
    assert_memory_equal(options, head, sizeof head);
    assert_int_equal(options[sizeof head], max_age_s);
}

static void a_full_queue_refuses_at_once(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1, .max_batch = 1, .max_queue = 4, .frame_wait_ms = 20000},
          1);
    set_gate(true);
    send_frame(0, 0, 0, 0);
    await_entered(1);
    for (uint16_t i = 1; i <= 4; i++)
        send_frame(0, i, 0, 0);
    await_stats(queue_is_full);
    /* Told at the first packet; the second one must neither get an answer nor begin the frame. */
    struct stranger_packet packet = {.frame = 50, .channel_count = 1};
    stranger_send(world.fd, &world.models[0], &packet);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_busy(&answer, 1);
    assert_int_equal(answer.reply.frame, 50);
    packet.index = packet.channel_first = packet.last = 1;
    stranger_send(world.fd, &world.models[0], &packet);
    stranger_receive(world.fd, &answer, 50);
    assert_int_equal(answer.code, 0);
    set_gate(false);
    for (int i = 0; i <= 4; i++) {
        stranger_receive(world.fd, &answer, PATIENCE_MS);
        assert_answer(&answer, 0, 0);
    }
    ask(0, 60, 3);
    finish(&stats);
    assert_int_equal(stats.refused_busy, 1);
    assert_int_equal(stats.frames, 6);
    assert_int_equal(stats.frames_partial, 0);
}

static uint64_t done_with(const struct agn_server_stats *stats)
{
    return stats->refused_busy + stats->dropped_datagrams + stats->dropped_expired;
}

static bool the_burst_is_over(const struct agn_server_stats *stats)
{
    return done_with(stats) == BURST;
}

/* Reading only to refuse takes time from the workers: a few are told, the rest waits in the socket's buffer
 * until it is too late for it, and is thrown away unread. The next one is answered. */
static void only_a_few_are_told_of_a_full_queue(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1, .max_batch = 1, .max_queue = 1}, 1);
    set_gate(true);
    send_frame(0, 0, 0, 0);
    await_entered(1);
    send_frame(0, 1, 0, 0);
    await_stats(one_waits);
    for (int i = 2; i < 2 + BURST; i++)
        send_frame(0, (uint16_t)i, 0, 40);
    await_stats(the_burst_is_over);
    set_gate(false);
    int told = 0, answered = 0;
    for (stranger_receive(world.fd, &answer, PATIENCE_MS); answer.code != 0;
         stranger_receive(world.fd, &answer, 50)) {
        told += answer.code == 503;
        answered += answer.code == 204;
    }
    assert_int_equal(answered, 2);
    ask(0, 1000, 3);
    finish(&stats);
    assert_int_equal(stats.refused_busy, told);
    assert_true(told >= 4 && told < BURST * 2 / 3);
    assert_int_equal(stats.inferences, 3);
}

/* A deadline shorter than the server's rests makes nobody else's packets too old. Where this machine stands
 * still for so long, it is tried again. */
static bool hurried_ones_are_told(uint16_t first)
{
    enum { HURRIED = 16 };
    struct agn_server_stats before, after;
    agn_server_stats(world.server, &before);
    for (int i = 0; i < HURRIED; i++)
        send_frame(0, (uint16_t)(first + i), 0, 4);
    after = before;
    for (int i = 0; i < PATIENCE_MS && done_with(&after) < done_with(&before) + HURRIED; i++) {
        usleep(1000);
        agn_server_stats(world.server, &after);
    }
    assert_int_equal(done_with(&after), done_with(&before) + HURRIED);
    return after.dropped_datagrams == before.dropped_datagrams;
}

static void a_short_deadline_is_nobody_elses(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    start((struct agn_server_config){.workers = 1, .max_batch = 1, .max_queue = 1}, 1);
    set_gate(true);
    send_frame(0, 0, 0, 0);
    await_entered(1);
    send_frame(0, 1, 0, 0);
    await_stats(one_waits);
    bool told = false;
    for (uint16_t i = 1; i <= 10 && !told; i++)
        told = hurried_ones_are_told((uint16_t)(100 * i));
    assert_true(told);
    set_gate(false);
    finish(&stats);
}

/* What finds the buffer full is lost, but counted; a larger buffer holds more. */
static void the_receive_buffer_is_as_large_as_asked_for(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    uint64_t dropped[2];
    for (int wide = 0; wide < 2; wide++) {
        start_later((struct agn_server_config){.receive_buffer = wide ? 200000 : 4096, .max_queue = 200}, 1);
        for (uint16_t i = 0; i < 100; i++)
            send_frame(0, i, 0, 0);
        run_now();
        await_stats(a_hundred_came);
        finish(&stats);
        dropped[wide] = stats.dropped_datagrams;
        assert_int_equal(stats.packets + stats.dropped_datagrams, 100);
    }
    assert_true(dropped[0] > 50);
    assert_int_equal(dropped[1], 0);
}

/* Also where a frame was let in and the queue is full when its turn comes. */
static void a_frame_that_finds_the_queue_full_is_told(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1, .max_batch = 1, .max_queue = 4, .frame_wait_ms = 20000},
          1);
    struct stranger_packet half = {.frame = 9, .channel_count = 1};
    stranger_send(world.fd, &world.models[0], &half);
    set_gate(true);
    send_frame(0, 0, 0, 0);
    await_entered(1);
    for (uint16_t i = 1; i <= 4; i++)
        send_frame(0, i, 0, 0);
    await_stats(queue_is_full);
    half.index = half.channel_first = half.last = 1;
    stranger_send(world.fd, &world.models[0], &half);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_busy(&answer, 1);
    assert_int_equal(answer.reply.frame, 9);
    set_gate(false);
    finish(&stats);
    assert_int_equal(stats.refused_busy, 1);
}

static void nobody_computes_what_nobody_awaits(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1, .max_batch = 8}, 1);
    set_gate(true);
    send_frame(0, 0, 2, 0);
    await_entered(1);
    send_frame(0, 1, 2, 30);
    send_frame(0, 2, 2, 30000);
    usleep(80000); /* longer than one of them may wait */
    set_gate(false);
    for (int i = 0; i < 2; i++) {
        stranger_receive(world.fd, &answer, PATIENCE_MS);
        assert_answer(&answer, 0, 2);
        assert_int_equal(answer.reply.frame, 2 * i);
    }
    stranger_receive(world.fd, &answer, 50);
    assert_int_equal(answer.code, 0);
    finish(&stats);
    assert_int_equal(stats.dropped_expired, 1);
    assert_int_equal(stats.inferences, 2);
}

static bool six_wait(const struct agn_server_stats *stats)
{
    return stats->queue_depth == 6;
}

/* The queue has room, but what waits in it takes longer than this device will wait. */
static void a_frame_that_cannot_be_in_time_is_refused(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1, .max_batch = 1}, 1);
    set_gate(true);
    send_frame(0, 0, 0, 0);
    await_entered(1);
    usleep(50000); /* so long a frame seems to take */
    set_gate(false);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    set_gate(true);
    send_frame(0, 1, 0, 0);
    await_entered(1);
    for (uint16_t i = 2; i <= 7; i++)
        send_frame(0, i, 0, 0);
    await_stats(six_wait);
    send_frame(0, 8, 0, 250);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_busy(&answer, 1);
    assert_int_equal(answer.reply.frame, 8);
    send_frame(0, 9, 0, 60000);
    await_packets(10);
    set_gate(false);
    for (int i = 0; i < 8; i++) {
        stranger_receive(world.fd, &answer, PATIENCE_MS);
        assert_answer(&answer, 0, 0);
    }
    finish(&stats);
    assert_int_equal(stats.refused_busy, 1);
    assert_int_equal(stats.replies, 9);
}

/* A frame that begins anew while its first version is at work gets the answer to the second. */
static void a_frame_begun_anew_is_answered_anew(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1}, 1);
    set_gate(true);
    send_frame(0, 7, 1, 0);
    await_entered(1);
    send_frame(0, 7, 5, 0);
    await_packets(2);
    set_gate(false);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_answer(&answer, 0, 5);
    stranger_receive(world.fd, &answer, 50);
    assert_int_equal(answer.code, 0);
    finish(&stats);
    assert_int_equal(stats.frames_restarted, 1);
    assert_int_equal(stats.inferences, 2);
    assert_int_equal(stats.replies, 1);
}

/* ---- tests: replacement and drain ----------------------------------------------------------- */

static bool one_reload(const struct agn_server_stats *stats)
{
    return stats->reloads == 1;
}

static void a_replaced_model_answers_its_last_frames(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1, .max_batch = 1, .frame_wait_ms = 20000}, 1);
    set_gate(true);
    send_frame(0, 0, 4, 0);
    await_entered(1);
    send_frame(0, 1, 4, 0);
    struct stranger_packet half = {.frame = 2, .channel_count = 1, .symbol = 4};
    stranger_send(world.fd, &world.models[0], &half);
    await_packets(3);
    assert_int_equal(agn_server_replace_models(world.server, &world.models[1], 1), 0);
    await_stats(one_reload);
    /* The frame that had begun goes on; a new one of the old model is refused, one of the new one taken. */
    half.index = half.channel_first = half.last = 1;
    stranger_send(world.fd, &world.models[0], &half);
    send_frame(0, 3, 4, 0);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_int_equal(answer.code, 409);
    assert_int_equal(answer.reply.frame, 3);
    send_frame(1, 4, 6, 0);
    assert_int_equal(world.networks[0].released, 0);
    set_gate(false);
    for (int frame = 0; frame < 3; frame++) {
        stranger_receive(world.fd, &answer, PATIENCE_MS);
        assert_answer(&answer, 0, 4);
        assert_int_equal(answer.reply.frame, frame);
    }
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_answer(&answer, 1, 6);
    for (int i = 0; i < 4000 && atomic_load(&world.networks[0].released) == 0; i++)
        usleep(1000); /* its stored replies are kept for a while */
    assert_int_equal(world.networks[0].released, 1);
    finish(&stats);
    assert_int_equal(stats.frames_evicted + stats.refused_busy + stats.dropped_expired, 0);
    assert_int_equal(world.networks[1].released, 1);
}

static bool two_reloads(const struct agn_server_stats *stats)
{
    return stats->reloads == 2;
}

static void a_model_that_stays_is_left_alone(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    start((struct agn_server_config){.workers = 1}, 1);
    ask(0, 1, 1);
    struct network twin = {.number = 0, .map = world.networks[0].map};
    struct agn_server_model next[2] = {world.models[1], world.models[0]};
    next[1].user = next[1].owner = &twin;
    assert_int_equal(agn_server_replace_models(world.server, next, 2), 0);
    await_stats(one_reload);
    assert_int_equal(twin.released, 1);
    assert_int_equal(world.networks[0].released, 0);
    ask(0, 2, 1);
    ask(1, 3, 1);
    next[0].owner = &twin;
    assert_int_equal(agn_server_replace_models(world.server, next, 2), 0);
    await_stats(two_reloads);
    assert_int_equal(twin.released, 3);
    ask(0, 12, 1);
    ask(1, 13, 1);

    next[0].model_id = next[1].model_id;
    assert_int_equal(agn_server_replace_models(world.server, next, 2), AGN_ERR_ARG);
    assert_non_null(strstr(agn_error_message(), "000000a0"));
    next[0].classes = 0;
    assert_int_equal(agn_server_replace_models(world.server, next, 1), AGN_ERR_ARG);
    assert_int_equal(agn_server_replace_models(world.server, next, 0), AGN_ERR_ARG);
    assert_int_equal(twin.released, 3); /* what was refused is still the caller's */
    ask(1, 4, 1);
    finish(&stats);
    assert_int_equal(stats.reloads, 2);
    assert_int_equal(stats.reload_failures, 3);
    assert_int_equal(world.networks[0].released, 1);
    assert_int_equal(world.networks[1].released, 1);
}

static bool has_replies(const struct agn_server_stats *stats, uint64_t replies)
{
    return stats->model_count == 1 && stats->models[0].model_id == world.models[0].model_id &&
           stats->models[0].replies == replies;
}

static bool two_replies_of_one(const struct agn_server_stats *stats)
{
    return has_replies(stats, 2);
}

static bool three_replies_of_one(const struct agn_server_stats *stats)
{
    return has_replies(stats, 3);
}

static bool is_alone(const struct agn_server_stats *stats)
{
    return atomic_load(&world.networks[0].released) == 1 && stats->models[0].in_hand == 0;
}

/* Devices know a model by its id; what the server puts in for missing channels is not in it. */
static void values_of_the_server_alone_are_taken_over(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    const float fill[2] = {7.0f, 9.0f}, trust[3] = {1.0f, 0.5f, 1.0f}, leading_trust[3] = {1.0f, 0.25f, 1.0f};
    start((struct agn_server_config){.workers = 1, .frame_wait_ms = 50}, 1);
    ask(0, 1, 1);
    struct network twin = {.number = 0, .map = world.networks[0].map};
    struct agn_server_model next = world.models[0];
    next.user = next.owner = &twin;
    next.fill = fill;
    next.trust = trust;
    next.leading_trust = leading_trust;
    assert_int_equal(agn_server_replace_models(world.server, &next, 1), 0);
    await_stats(one_reload);
    struct stranger_packet half = {.frame = 2, .channel_count = 1, .last = 1, .index = 1, .symbol = 4};
    stranger_send(world.fd, &world.models[0], &half);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_int_equal(answer.code, 204);
    assert_int_equal(agn_reply_logit(&answer.reply, 1), 128 * 4 / 4);
    assert_int_equal(agn_reply_logit(&answer.reply, 2), 256 * 9 / 4);
    half = (struct stranger_packet){
        .frame = 3, .channel_first = 1, .channel_count = 1, .last = 1, .index = 1, .symbol = 4};
    stranger_send(world.fd, &world.models[0], &half);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_int_equal(answer.code, 204);
    assert_int_equal(agn_reply_logit(&answer.reply, 1), 256 * 7 / 2);
    assert_int_equal(agn_reply_logit(&answer.reply, 2), 128 * 4 / 2);

    /* One series for one id, while the old one still stands by and after it has gone. */
    await_stats(three_replies_of_one);
    await_stats(is_alone);
    ask(0, 4, 1);
    finish(&stats);
    assert_int_equal(stats.model_count, 1);
    assert_int_equal(stats.models[0].replies, 4);
    assert_int_equal(stats.models[0].frames, 4);
    assert_int_equal(twin.released, 1);
}

/* Within the time that its last replies are kept. */
static void a_model_that_comes_back_is_one(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    start((struct agn_server_config){.workers = 1}, 1);
    ask(0, 1, 1);
    struct network twin = {.number = 0, .map = world.networks[0].map};
    assert_int_equal(agn_server_replace_models(world.server, &world.models[1], 1), 0);
    await_stats(one_reload);
    agn_server_stats(world.server, &stats);
    assert_int_equal(stats.model_count, 1); /* one is served */
    assert_int_equal(stats.models[0].model_id, world.models[1].model_id);
    struct agn_server_model again = world.models[0];
    again.user = again.owner = &twin;
    assert_int_equal(agn_server_replace_models(world.server, &again, 1), 0);
    await_stats(two_reloads);
    ask(0, 2, 1);
    await_stats(two_replies_of_one);
    finish(&stats);
    assert_int_equal(atomic_load(&world.networks[0].released) + atomic_load(&twin.released), 2);
}

static bool is_draining(const struct agn_server_stats *stats)
{
    return stats->draining;
}

static void draining_answers_what_is_in_hand(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    struct stranger_answer answer;
    start((struct agn_server_config){.workers = 1, .max_batch = 1, .drain_ms = 20000}, 1);
    set_gate(true);
    send_frame(0, 0, 1, 0);
    await_entered(1);
    send_frame(0, 1, 1, 0);
    await_packets(2);
    agn_server_drain(world.server);
    await_stats(is_draining);
    send_frame(0, 2, 1, 0);
    stranger_receive(world.fd, &answer, PATIENCE_MS);
    assert_busy(&answer, 5);
    set_gate(false);
    for (int frame = 0; frame < 2; frame++) {
        stranger_receive(world.fd, &answer, PATIENCE_MS);
        assert_answer(&answer, 0, 1);
    }
    join(&stats);
    assert_int_equal(stats.replies, 2);
    assert_int_equal(stats.refused_busy, 1);
}

/* A frame whose packets never come does not hold up the end for its whole wait. */
static void draining_ends_in_time(void **state)
{
    (void)state;
    struct agn_server_stats stats;
    start((struct agn_server_config){.workers = 1, .drain_ms = 100, .frame_wait_ms = 60000}, 1);
    struct stranger_packet half = {.frame = 2, .channel_count = 1};
    stranger_send(world.fd, &world.models[0], &half);
    await_packets(1);
    double begin_s = agn_now_s();
    agn_server_drain(world.server);
    join(&stats);
    double took_s = agn_now_s() - begin_s;
    assert_true(took_s > 0.08 && took_s < 3.0);
    assert_int_equal(stats.frames, 1);
    assert_int_equal(stats.replies, 0);
}

static void histograms_count_in_their_buckets(void **state)
{
    (void)state;
    for (int i = 2; i < AGN_SERVER_LATENCY_BUCKETS - 1; i++)
        assert_true(fabs(agn_server_bucket_bound_s(i) / agn_server_bucket_bound_s(i - 2) - 2.0) < 1e-12);
    assert_true(isinf(agn_server_bucket_bound_s(AGN_SERVER_LATENCY_BUCKETS - 1)));
    struct agn_server_histogram histogram = {0};
    assert_true(agn_server_quantile_s(&histogram, 0.5) == 0.0);
    histogram.count = 4;
    histogram.buckets[0] = 2;
    histogram.buckets[2] = 2; /* 70.7 to 100 us */
    histogram.max_s = 1.0;
    assert_true(fabs(agn_server_quantile_s(&histogram, 0.25) - 25e-6) < 1e-9);
    assert_true(fabs(agn_server_quantile_s(&histogram, 0.5) - 50e-6) < 1e-9);
    assert_true(fabs(agn_server_quantile_s(&histogram, 1.0) - 100e-6) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_models_are_served_at_once),
        cmocka_unit_test(what_waits_is_taken_together),
        cmocka_unit_test(workers_compute_at_once),
        cmocka_unit_test(a_full_queue_refuses_at_once),
        cmocka_unit_test(only_a_few_are_told_of_a_full_queue),
        cmocka_unit_test(a_short_deadline_is_nobody_elses),
        cmocka_unit_test(the_receive_buffer_is_as_large_as_asked_for),
        cmocka_unit_test(a_frame_that_finds_the_queue_full_is_told),
        cmocka_unit_test(nobody_computes_what_nobody_awaits),
        cmocka_unit_test(a_frame_that_cannot_be_in_time_is_refused),
        cmocka_unit_test(a_frame_begun_anew_is_answered_anew),
        cmocka_unit_test(a_replaced_model_answers_its_last_frames),
        cmocka_unit_test(a_model_that_stays_is_left_alone),
        cmocka_unit_test(values_of_the_server_alone_are_taken_over),
        cmocka_unit_test(a_model_that_comes_back_is_one),
        cmocka_unit_test(draining_answers_what_is_in_hand),
        cmocka_unit_test(draining_ends_in_time),
        cmocka_unit_test(histograms_count_in_their_buckets),
    };
    return cmocka_run_group_tests_name("a server under a fleet", tests, NULL, NULL);
}
