/* Both ends of the link over real UDP on loopback: the device library in a client, a server with a
 * stand-in for the Remote NN whose every answer the test can work out by itself. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agilenn/client.h"
#include "agilenn/model_agn.h"
#include "agilenn/server.h"
#include "client/coap_message.h"
#include "random_model.h"

/* ---- a model, its images and what the server should make of them --------------------- */

static const float centroids[AGN_WIRE_LEVELS] = {0.0f, 0.5f, 1.0f, 1.75f, 2.5f, 3.25f, 4.5f, 6.0f};

static struct {
    struct random_model random;
    uint8_t *bytes;
    size_t size;
    struct agn_dev dev; /* the test's own device, to know what the client's should send */
    void *arena;
    struct agn_map_shape shape;
    int packets; /* of a frame */
    float *fill, *features;
    struct agn_rng rng;
} world;

/* The stand-in: weights are a function of place and class; sums are exact in double. */
static void stand_in(const float *features, size_t count, int classes, float *logits)
{
    for (int c = 0; c < classes; c++) {
        double sum = 0.0;
        for (size_t i = 0; i < count; i++)
            sum += (double)features[i] * (double)((int)((i * 7 + (size_t)c * 13) % 11) - 5) / 64.0;
        logits[c] = (float)sum;
    }
}

static size_t map_symbols(void)
{
    return (size_t)world.shape.channels * world.shape.height * world.shape.width;
}

static int infer_stand_in(void *user, const float *features, int count, float *logits)
{
    (void)user;
    assert(count == 1);
    memcpy(world.features, features, map_symbols() * sizeof *features);
    stand_in(features, map_symbols(), world.dev.model.classes, logits);
    return 0;
}

static int count_packets(const uint8_t *image)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int packets = 0;
    assert_int_equal(agn_dev_frame_begin(&world.dev, 0, 0), 0);
    assert_int_equal(agn_dev_push_rows(&world.dev, image, world.dev.model.input_h), 0);
    while (agn_dev_next_packet(&world.dev, packet, sizeof packet) > 0)
        packets++;
    return packets;
}

static void close_model(void)
{
    agn_free(world.arena);
    agn_free(world.bytes);
    random_model_free(&world.random);
}

static void open_model(uint64_t seed)
{
    agn_rng_seed(&world.rng, seed);
    random_model_make(&world.random, &world.rng, RANDOM_USUAL, 48, 40);
    assert_int_equal(agn_model_agn_write(&world.random.model, &world.bytes, &world.size), 0);
    struct agn_dev_model model;
    assert_int_equal(agn_dev_model_open(&model, world.bytes, world.size), 0);
    size_t arena_bytes = agn_dev_arena_bytes(&model);
    world.arena = agn_alloc(arena_bytes, 1);
    assert_int_equal(agn_dev_init(&world.dev, world.bytes, world.size, world.arena, arena_bytes), 0);
    world.shape = (struct agn_map_shape){(uint8_t)(model.map_c - model.local_c), (uint8_t)model.map_h,
                                         (uint8_t)model.map_w};
}

static uint64_t frame_macs(void)
{
    struct agn_dev_layer_info info;
    uint64_t macs = 0;
    for (unsigned i = 0; agn_dev_layer_info(&world.dev.model, i, &info) == 0; i++)
        macs += info.macs;
    return macs;
}

/* Looks for a random model whose frames take several packets and little time. */
static int set_up_world(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 2000; seed++) {
        open_model(seed);
        uint8_t *image = random_image(&world.random.model, &world.rng);
        world.packets = count_packets(image);
        agn_free(image);
        if (world.packets >= 3 && world.packets <= 6 && frame_macs() < 1000000 &&
            world.dev.model.classes > 1) {
            world.fill = agn_alloc(world.shape.channels, sizeof *world.fill);
            world.features = agn_alloc(map_symbols(), sizeof *world.features);
            for (int c = 0; c < world.shape.channels; c++)
                world.fill[c] = -1.0f - (float)c;
            return 0;
        }
        close_model();
    }
    return -1;
}

static int tear_down_world(void **state)
{
    (void)state;
    agn_free(world.fill);
    agn_free(world.features);
    close_model();
    return 0;
}

/* ---- a server in a thread, or in a process that can be killed -------------------------- */

static struct agn_server_model served_model(void)
{
    struct agn_server_model model = {.model_id = world.dev.model.model_id,
                                     .shape = world.shape,
                                     .classes = world.dev.model.classes,
                                     .fill = world.fill,
                                     .infer = infer_stand_in};
    memcpy(model.centroids, centroids, sizeof centroids);
    return model;
}

struct running {
    struct agn_server *server;
    pthread_t thread;
    int status;
};

static void *run_server(void *argument)
{
    struct running *running = argument;
    running->status = agn_server_run(running->server);
    return NULL;
}

static void start_server(struct running *running, const struct agn_server_model *model, uint32_t wait_ms)
{
    struct agn_server_config config = {.frame_wait_ms = wait_ms};
    assert_int_equal(agn_server_create(&running->server, &config, model), 0);
    assert_true(agn_server_port(running->server) != 0);
    assert_int_equal(pthread_create(&running->thread, NULL, run_server, running), 0);
}

static void join_server(struct running *running, struct agn_server_stats *stats)
{
    assert_int_equal(pthread_join(running->thread, NULL), 0);
    assert_int_equal(running->status, 0);
    if (stats)
        agn_server_stats(running->server, stats);
    agn_server_free(running->server);
}

static void stop_server(struct running *running, struct agn_server_stats *stats)
{
    agn_server_stop(running->server);
    join_server(running, stats);
}

/* Forks a server at `port` (0: any); *port becomes its port. */
static pid_t fork_server(uint16_t *port)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct agn_server *server;
        struct agn_server_model model = served_model();
        struct agn_server_config config = {.port = *port};
        if (agn_server_create(&server, &config, &model) != 0)
            _exit(1);
        uint16_t bound = agn_server_port(server);
        if (write(ends[1], &bound, sizeof bound) != sizeof bound)
            _exit(2);
        (void)agn_server_run(server);
        _exit(0);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], port, sizeof *port);
    close(ends[0]);
    assert_int_equal(got, sizeof *port);
    return child;
}

static void kill_server(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
}

/* ---- a client ---------------------------------------------------------------------------- */

static struct agn_client *new_client(struct agn_client_config config)
{
    struct agn_client *client;
    config.model = world.bytes;
    config.model_bytes = world.size;
    if (config.deadline_ms == 0)
        config.deadline_ms = 2000;
    assert_int_equal(agn_client_create(&client, &config), 0);
    return client;
}

/* Runs one random image; the local answer is always right, whatever the network does. */
static struct agn_client_result run_frame(struct agn_client *client)
{
    uint8_t *image = random_image(&world.random.model, &world.rng);
    struct agn_client_result result;
    assert_int_equal(count_packets(image) > 0, 1);
    assert_int_equal(agn_client_frame(client, image, &result), 0);
    agn_free(image);
    unsigned classes = world.dev.model.classes;
    assert_memory_equal(result.local_logits, agn_dev_local(&world.dev), classes * sizeof(int16_t));
    assert_int_equal(result.local_class, agn_argmax_s16(agn_dev_local(&world.dev), classes));
    assert_int_equal(result.fused, result.reason == AGN_CLIENT_FUSED);
    if (!result.fused) {
        assert_int_equal(result.class_index, result.local_class);
        assert_memory_equal(result.logits, result.local_logits, classes * sizeof(int16_t));
    }
    return result;
}

/* The features that the server should see for the frame in the test's own device. */
static float *expected_features(void)
{
    const struct agn_map_shape *shape = &world.shape;
    float *features = agn_alloc(map_symbols(), sizeof *features);
    float *next = features;
    for (unsigned y = 0; y < shape->height; y++)
        for (unsigned x = 0; x < shape->width; x++)
            for (unsigned c = 0; c < shape->channels; c++)
                *next++ = centroids[agn_dev_symbol(&world.dev, c, y, x)];
    return features;
}

/* Fused logits and class from given features, worked out apart from client and server. */
static void assert_fusion(const struct agn_client_result *result, const float *features)
{
    int classes = world.dev.model.classes;
    float logits[AGN_DEV_MAX_CLASSES];
    stand_in(features, map_symbols(), classes, logits);
    const int16_t *local = agn_dev_local(&world.dev);
    int64_t best = INT64_MIN;
    int best_class = 0;
    for (int c = 0; c < classes; c++) {
        double remote = fmin(fmax(round((double)logits[c] * 256.0), -32768.0), 32767.0);
        int64_t alpha = world.dev.model.alpha_q15;
        int64_t sum = alpha * local[c] + (32768 - alpha) * (int64_t)remote;
        assert_int_equal(result->logits[c], (int16_t)floor(((double)sum + 16384.0) / 32768.0));
        if (sum > best) {
            best = sum;
            best_class = c;
        }
    }
    assert_int_equal(result->class_index, best_class);
}

/* ---- tests: service ------------------------------------------------------------------------ */

static void every_frame_is_fused(void **state)
{
    (void)state;
    enum { FRAMES = 40 };
    struct running running;
    struct agn_server_model model = served_model();
    start_server(&running, &model, 2000);
    struct agn_client *client =
        new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    struct agn_dev_memory memory;
    agn_dev_memory(&world.dev.model, &memory);
    size_t sent = 0, packets = 0, replied = 0;
    for (int i = 0; i < FRAMES; i++) {
        struct agn_client_result result = run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_FUSED);
        assert_int_equal(result.reply_status, AGN_REPLY_OK);
        assert_int_equal(result.channels_missing, 0);
        assert_int_equal(result.packets_dropped, 0);
        assert_int_equal(result.raw_bytes, memory.raw_bytes);
        assert_int_equal(result.payload_bytes,
                         result.coded_bytes + (size_t)result.packets * AGN_FEATURE_OVERHEAD_BYTES);
        assert_int_equal(result.datagram_bytes,
                         result.payload_bytes + (size_t)result.packets * AGN__COAP_REQUEST_OVERHEAD);
        assert_int_equal(result.reply_bytes, AGN_REPLY_BYTES(model.classes));
        assert_true(result.device_s > 0.0 && result.network_s > 0.0 && result.network_s < 2.0);
        float *features = expected_features();
        assert_memory_equal(world.features, features, map_symbols() * sizeof *features);
        assert_fusion(&result, features);
        agn_free(features);
        sent += result.payload_bytes;
        packets += (size_t)result.packets;
        replied += result.reply_bytes;
    }
    agn_client_free(client);
    struct agn_server_stats stats;
    stop_server(&running, &stats);
    assert_int_equal(stats.packets, packets);
    assert_int_equal(stats.bytes_in, sent);
    assert_int_equal(stats.bytes_out, replied);
    assert_int_equal(stats.frames, FRAMES);
    assert_int_equal(stats.frames_complete, FRAMES);
    assert_int_equal(stats.replies, FRAMES);
    assert_int_equal(stats.inferences, FRAMES);
    assert_int_equal(stats.duplicates + stats.frames_evicted + stats.frames_restarted, 0);
    assert_true(stats.infer_min_s > 0.0 && stats.infer_min_s <= stats.infer_mean_s);
    assert_true(stats.infer_mean_s <= stats.infer_max_s);
}

static void several_clients_are_kept_apart(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    start_server(&running, &model, 2000);
    struct agn_client *clients[4];
    for (unsigned i = 0; i < 4; i++)
        clients[i] = new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    for (int i = 0; i < 40; i++) {
        struct agn_client_result result = run_frame(clients[i % 4]);
        float *features = expected_features();
        assert_true(result.fused);
        assert_fusion(&result, features);
        agn_free(features);
    }
    for (unsigned i = 0; i < 4; i++)
        agn_client_free(clients[i]);
    stop_server(&running, NULL);
}

static void lost_packets_leave_channels_missing(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    start_server(&running, &model, 20);
    struct agn_client *client = new_client((struct agn_client_config){.port = agn_server_port(running.server),
                                                                      .deadline_ms = 250,
                                                                      .dead_after = -1,
                                                                      .drop_permille = 300,
                                                                      .drop_seed = 5});
    int partial = 0, whole = 0;
    for (int i = 0; i < 25; i++) {
        struct agn_client_result result = run_frame(client);
        if (!result.fused) {
            assert_int_equal(result.packets_dropped, result.packets);
            continue;
        }
        float *sent = expected_features();
        int channels = world.shape.channels, missing = 0;
        for (int c = 0; c < channels; c++) {
            bool hole = false;
            for (size_t at = (size_t)c; at < map_symbols(); at += (size_t)channels) {
                hole = hole || world.features[at] == world.fill[c];
                assert_true(world.features[at] == sent[at] || world.features[at] == world.fill[c]);
            }
            missing += hole;
        }
        agn_free(sent);
        assert_int_equal(result.channels_missing, missing);
        assert_int_equal(missing > 0, result.packets_dropped > 0);
        assert_fusion(&result, world.features);
        partial += missing > 0;
        whole += missing == 0;
    }
    assert_true(partial > 3 && whole > 3);
    agn_client_free(client);
    struct agn_server_stats stats;
    stop_server(&running, &stats);
    assert_int_equal(stats.frames_partial, partial);
    assert_int_equal(stats.frames_complete, whole);
}

static void a_lost_frame_is_local(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    start_server(&running, &model, 0);
    struct agn_client *client = new_client((struct agn_client_config){
        .port = agn_server_port(running.server), .deadline_ms = 30, .dead_after = -1, .drop_permille = 1000});
    for (int i = 0; i < 3; i++) {
        struct agn_client_result result = run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_TIMEOUT);
        assert_int_equal(result.packets_dropped, result.packets);
        assert_int_equal(result.reply_status, -1);
        assert_true(result.network_s >= 0.029 && result.network_s < 1.0);
    }
    agn_client_free(client);
    stop_server(&running, NULL);
}

/* ---- tests: the server goes away -------------------------------------------------------- */

static void a_killed_server_costs_no_prediction(void **state)
{
    (void)state;
    uint16_t port = 0;
    pid_t child = fork_server(&port);
    struct agn_client *client =
        new_client((struct agn_client_config){.port = port, .dead_after = 3, .probe_every = 5});
    for (int i = 0; i < 10; i++)
        assert_int_equal(run_frame(client).reason, AGN_CLIENT_FUSED);
    kill_server(child);
    int refused = 0, skipped = 0;
    for (int i = 0; i < 23; i++) {
        struct agn_client_result result = run_frame(client);
        refused += result.reason == AGN_CLIENT_REFUSED;
        skipped += result.reason == AGN_CLIENT_SKIPPED;
        assert_int_equal(result.packets > 0, result.reason != AGN_CLIENT_SKIPPED);
        /* A closed port on this machine is told at once: no frame waits for the deadline of 2 s. */
        assert_true(result.network_s < 1.9);
    }
    assert_int_equal(refused, 3 + 4);
    assert_int_equal(skipped, 16);

    child = fork_server(&port);
    int until_fused = 0;
    while (run_frame(client).reason != AGN_CLIENT_FUSED)
        assert_true(++until_fused < 5);
    for (int i = 0; i < 10; i++)
        assert_int_equal(run_frame(client).reason, AGN_CLIENT_FUSED);
    agn_client_free(client);
    kill_server(child);
}

static void a_silent_server_costs_few_deadlines(void **state)
{
    (void)state;
    uint16_t port = 0;
    pid_t child = fork_server(&port);
    struct agn_client *client = new_client((struct agn_client_config){.port = port, .deadline_ms = 500});
    for (int i = 0; i < 3; i++)
        assert_int_equal(run_frame(client).reason, AGN_CLIENT_FUSED);
    agn_client_free(client);
    client = new_client((struct agn_client_config){.port = port, .deadline_ms = 40});
    assert_int_equal(kill(child, SIGSTOP), 0);
    int timeouts = 0;
    for (int i = 0; i < 33; i++)
        timeouts += run_frame(client).reason == AGN_CLIENT_TIMEOUT;
    assert_int_equal(timeouts, 3 + 3);
    assert_int_equal(kill(child, SIGCONT), 0);
    /* What the server now says to the old frames must not count for new ones. */
    int frames = 0;
    struct agn_client_result result;
    do {
        result = run_frame(client);
        assert_true(++frames < 200);
    } while (!result.fused);
    float *features = expected_features();
    assert_fusion(&result, features);
    agn_free(features);
    agn_client_free(client);
    kill_server(child);
}

/* ---- tests: refusals -------------------------------------------------------------------- */

static void another_model_is_told_apart(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    model.model_id ^= 1;
    start_server(&running, &model, 0);
    struct agn_client *client =
        new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    for (int i = 0; i < 6; i++) {
        struct agn_client_result result = run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_MISMATCH);
        assert_int_equal(result.reply_status, AGN_REPLY_MISMATCH);
    }
    agn_client_free(client);
    struct agn_server_stats stats;
    stop_server(&running, &stats);
    assert_true(stats.bad_model >= 6);
    assert_int_equal(stats.frames, 0);
}

static int infer_fails(void *user, const float *features, int count, float *logits)
{
    (void)features;
    (void)count;
    if (*(int *)user == 0)
        return AGN_ERR_ENGINE;
    for (int c = 0; c < world.dev.model.classes; c++)
        logits[c] = NAN;
    return 0;
}

static void a_failing_network_is_told(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct running running;
        struct agn_server_model model = served_model();
        model.infer = infer_fails;
        model.user = &how;
        start_server(&running, &model, 0);
        struct agn_client *client =
            new_client((struct agn_client_config){.port = agn_server_port(running.server)});
        struct agn_client_result result = run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_REJECTED);
        assert_int_equal(result.reply_status, AGN_REPLY_FAILED);
        agn_client_free(client);
        struct agn_server_stats stats;
        stop_server(&running, &stats);
        assert_int_equal(stats.replies_failed, 1);
        assert_int_equal(stats.replies, 0);
    }
}

static void a_port_in_use_is_a_clear_error(void **state)
{
    (void)state;
    struct agn_server *first, *second = NULL;
    struct agn_server_model model = served_model();
    struct agn_server_config config = {0};
    assert_int_equal(agn_server_create(&first, &config, &model), 0);
    config.port = agn_server_port(first);
    assert_int_equal(agn_server_create(&second, &config, &model), AGN_ERR_BUSY);
    assert_null(second);
    char where[32];
    snprintf(where, sizeof where, "127.0.0.1:%u", (unsigned)config.port);
    assert_non_null(strstr(agn_error_message(), where));
    assert_non_null(strstr(agn_error_message(), "in use"));
    agn_server_free(first);
    assert_int_equal(agn_server_create(&second, &config, &model), 0); /* free again at once */
    agn_server_free(second);
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    struct agn_server *server = NULL;
    struct agn_server_model good = served_model(), model = good;
    struct agn_server_config config = {0};
    model.classes = AGN_WIRE_MAX_CLASSES + 1;
    assert_int_equal(agn_server_create(&server, &config, &model), AGN_ERR_ARG);
    model = good;
    model.shape.width = 0;
    assert_int_equal(agn_server_create(&server, &config, &model), AGN_ERR_ARG);
    model = good;
    model.infer = NULL;
    assert_int_equal(agn_server_create(&server, &config, &model), AGN_ERR_ARG);
    config.max_frames = AGN_SERVER_MAX_FRAMES + 1;
    assert_int_equal(agn_server_create(&server, &config, &good), AGN_ERR_ARG);
    config = (struct agn_server_config){.address = "not a host!"};
    assert_int_equal(agn_server_create(&server, &config, &good), AGN_ERR_NOT_FOUND);
    config.address = "192.0.2.1"; /* nobody's: reserved for documentation */
    assert_int_equal(agn_server_create(&server, &config, &good), AGN_ERR_IO);
    assert_null(server);

    struct agn_client *client = NULL;
    struct agn_client_config from = {.port = 5683, .model = world.bytes, .model_bytes = world.size};
    struct agn_client_config bad = from;
    bad.port = 0;
    assert_int_equal(agn_client_create(&client, &bad), AGN_ERR_ARG);
    bad = from;
    bad.deadline_ms = 60001;
    assert_int_equal(agn_client_create(&client, &bad), AGN_ERR_ARG);
    bad = from;
    bad.model_bytes--;
    assert_true(agn_client_create(&client, &bad) < 0);
    bad = from;
    bad.host = "not a host!";
    assert_int_equal(agn_client_create(&client, &bad), AGN_ERR_NOT_FOUND);
    assert_null(client);
}

static void an_interrupt_stops_the_server(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    agn_interrupt_request();
    start_server(&running, &model, 0);
    join_server(&running, NULL);
    agn_interrupt_clear();
}

/* ---- tests: strangers ----------------------------------------------------------------------- */

static int stranger_socket(uint16_t port)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof server), 0);
    return fd;
}

/* Sends a datagram and waits for one back; returns its length, 0 for none within `wait_ms`. */
static size_t ask(int fd, const uint8_t *bytes, size_t len, uint8_t *answer, size_t cap, int wait_ms)
{
    assert_int_equal(send(fd, bytes, len, 0), (ssize_t)len);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, wait_ms) <= 0)
        return 0;
    ssize_t got = recv(fd, answer, cap, 0);
    assert_true(got > 0);
    return (size_t)got;
}

static void other_resources_answer(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    start_server(&running, &model, 0);
    int fd = stranger_socket(agn_server_port(running.server));
    uint8_t answer[2048];
    struct agn__coap_answer_view view;

    static const uint8_t get_models[] = {0x51, 0x01, 0x12, 0x34, 0x77, 0xB2, 'v', '1',
                                         0x06, 'm',  'o',  'd',  'e',  'l',  's'};
    size_t length = ask(fd, get_models, sizeof get_models, answer, sizeof answer, 2000);
    assert_int_equal(agn__coap_read_answer(answer, length, &view), 0);
    assert_int_equal(view.code_class * 100 + view.code_detail, 205);
    assert_int_equal(view.type, AGN__COAP_NON);
    assert_int_equal(view.token_bytes, 1);
    assert_int_equal(view.token[0], 0x77);
    char expected[256], text[512];
    snprintf(expected, sizeof expected,
             "\"id\":\"%08x\",\"channels\":%d,\"height\":%d,\"width\":%d,\"classes\":%d",
             (unsigned)model.model_id, model.shape.channels, model.shape.height, model.shape.width,
             model.classes);
    snprintf(text, sizeof text, "%.*s", (int)view.payload_bytes, (const char *)view.payload);
    assert_non_null(strstr(text, expected));

    static const uint8_t get_core[] = {0x51, 0x01, 0x12, 0x35, 0x78, 0xBB, '.',  'w', 'e', 'l', 'l',
                                       '-',  'k',  'n',  'o',  'w',  'n',  0x04, 'c', 'o', 'r', 'e'};
    length = ask(fd, get_core, sizeof get_core, answer, sizeof answer, 2000);
    assert_int_equal(agn__coap_read_answer(answer, length, &view), 0);
    snprintf(text, sizeof text, "%.*s", (int)view.payload_bytes, (const char *)view.payload);
    assert_non_null(strstr(text, "</v1/infer>"));
    assert_non_null(strstr(text, "</v1/models>"));

    static const struct {
        uint8_t bytes[16];
        size_t len;
        int code;
    } cases[] = {
        {{0x50, 0x02, 0, 1, 0xB2, 'v', '1', 0x03, 'n', 'i', 'x'}, 11, 404},
        {{0x50, 0x01, 0, 2, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'}, 13, 405},
        {{0x50, 0x02, 0, 3, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'}, 13, 400},
        {{0x50, 0x02, 0, 4, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r', 0xFF, 1}, 15, 400},
    };
    for (unsigned i = 0; i < AGN_COUNT_OF(cases); i++) {
        length = ask(fd, cases[i].bytes, cases[i].len, answer, sizeof answer, 2000);
        assert_int_equal(agn__coap_read_answer(answer, length, &view), 0);
        assert_int_equal(view.code_class * 100 + view.code_detail, cases[i].code);
    }
    close(fd);
    stop_server(&running, NULL);
}

/* The first packet of a fresh frame of the test's device, as a CoAP request. */
static size_t make_request(uint8_t *datagram, uint16_t frame)
{
    uint8_t *image = random_image(&world.random.model, &world.rng);
    assert_int_equal(agn_dev_frame_begin(&world.dev, frame, 0), 0);
    assert_int_equal(agn_dev_push_rows(&world.dev, image, world.dev.model.input_h), 0);
    agn_free(image);
    int length = agn_dev_next_packet(&world.dev, datagram + AGN__COAP_REQUEST_OVERHEAD, AGN_WIRE_MAX_PACKET);
    assert_true(length > 0);
    const uint8_t token[AGN__COAP_TOKEN_BYTES] = {1, 2, 3, 4};
    return agn__coap_request(datagram, frame, token, datagram + AGN__COAP_REQUEST_OVERHEAD, (size_t)length);
}

/* Replaces the packet's checksum after a change. */
static void reseal(uint8_t *datagram, size_t length)
{
    uint8_t *packet = datagram + AGN__COAP_REQUEST_OVERHEAD;
    size_t body = length - AGN__COAP_REQUEST_OVERHEAD - AGN_WIRE_CRC_BYTES;
    uint32_t crc = agn_crc32(0, packet, body);
    for (unsigned i = 0; i < 4; i++)
        packet[body + i] = (uint8_t)(crc >> 8 * i);
}

static void bad_packets_are_named(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    start_server(&running, &model, 0);
    int fd = stranger_socket(agn_server_port(running.server));
    enum { VERSION_AT = 0, CODEC_AT = 1, CHANNEL_AT = 10, PAYLOAD_AT = 16 };
    static const struct {
        size_t at;
        uint8_t value;
        bool sealed;
        int status; /* -1: no reply packet */
    } cases[] = {
        {VERSION_AT, 9, false, AGN_REPLY_VERSION},
        {CODEC_AT, 77, true, AGN_REPLY_BAD_PACKET},
        {CHANNEL_AT, 250, true, AGN_REPLY_BAD_PACKET},
        {CHANNEL_AT, 200, false, -1},
    };
    for (unsigned i = 0; i < AGN_COUNT_OF(cases); i++) {
        uint8_t datagram[AGN__COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET], answer[2048];
        size_t length = make_request(datagram, (uint16_t)(500 + i));
        datagram[AGN__COAP_REQUEST_OVERHEAD + cases[i].at] = cases[i].value;
        if (cases[i].sealed)
            reseal(datagram, length);
        size_t got = ask(fd, datagram, length, answer, sizeof answer, 2000);
        struct agn__coap_answer_view view;
        struct agn_reply_packet reply;
        assert_int_equal(agn__coap_read_answer(answer, got, &view), 0);
        assert_int_equal(view.code_class * 100 + view.code_detail, 400);
        int status = agn_reply_unpack(view.payload, view.payload_bytes, &reply);
        if (cases[i].status < 0) {
            assert_true(status < 0);
            continue;
        }
        assert_int_equal(status, 0);
        assert_int_equal(reply.status, cases[i].status);
        assert_int_equal(reply.frame, 500 + i);
        assert_int_equal(reply.model_id, model.model_id);
    }
    close(fd);
    struct agn_server_stats stats;
    stop_server(&running, &stats);
    assert_int_equal(stats.bad_version, 1);
    assert_int_equal(stats.bad_codec, 1);
    assert_int_equal(stats.bad_range, 1);
    assert_int_equal(stats.bad_checksum, 1);
    assert_int_equal(stats.frames, 0);
}

static void garbage_does_not_stop_service(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    start_server(&running, &model, 0);
    struct agn_client *client =
        new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    int fd = stranger_socket(agn_server_port(running.server));
    struct agn_rng rng;
    agn_rng_seed(&rng, 99);
    uint8_t request[AGN__COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET] = {0};
    size_t request_bytes = make_request(request, 4321);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 40; i++) {
            uint8_t bytes[AGN__COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
            size_t length = request_bytes;
            memcpy(bytes, request, sizeof bytes);
            if (i % 4 == 0) { /* any bytes */
                length = agn_rng_below(&rng, sizeof bytes);
                for (size_t at = 0; at < length; at++)
                    bytes[at] = (uint8_t)agn_rng_u64(&rng);
            } else if (i % 4 == 1) { /* cut, anywhere */
                length = agn_rng_below(&rng, (uint32_t)length);
            } else if (i % 4 == 2) { /* damaged, anywhere */
                for (int flips = 0; flips < 3; flips++)
                    bytes[agn_rng_below(&rng, (uint32_t)length)] ^= (uint8_t)(1u << agn_rng_below(&rng, 8));
            } else { /* well sealed nonsense */
                bytes[AGN__COAP_REQUEST_OVERHEAD + 6 + agn_rng_below(&rng, 60)] ^=
                    (uint8_t)(1 + agn_rng_below(&rng, 255));
                reseal(bytes, length);
            }
            (void)!send(fd, bytes, length, MSG_DONTWAIT);
        }
        struct agn_client_result result = run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_FUSED);
        float *features = expected_features();
        assert_fusion(&result, features);
        agn_free(features);
    }
    close(fd);
    agn_client_free(client);
    struct agn_server_stats stats;
    stop_server(&running, &stats);
    assert_true(stats.bad_checksum > 10 && stats.bad_malformed > 10);
}

static int infer_many(void *user, const float *features, int count, float *logits)
{
    (void)user;
    (void)features;
    (void)count;
    for (int c = 0; c < AGN_WIRE_MAX_CLASSES; c++)
        logits[c] = (float)c / 16.0f;
    return 0;
}

/* A whole frame in one raw packet of 1151 bytes, as long as they get, in a request. */
static size_t make_long_request(uint8_t *datagram, uint32_t model_id, const struct agn_map_shape *shape)
{
    struct agn_encoder encoder;
    struct agn_tile tile = {0, shape->channels, 0, shape->height, shape->width};
    uint8_t *packet_bytes = datagram + AGN__COAP_REQUEST_OVERHEAD;
    uint8_t *payload = packet_bytes + AGN_FEATURE_HEADER_BYTES;
    assert_int_equal(
        agn_encoder_begin(&encoder, AGN_CODEC_RAW3, &tile, NULL, 0, payload, AGN_FEATURE_MAX_PAYLOAD), 0);
    for (unsigned i = 0; i < (unsigned)shape->channels * shape->height * shape->width; i++)
        agn_encoder_put(&encoder, i);
    struct agn_feature_packet packet = {.model_id = model_id,
                                        .last = 1,
                                        .codec = AGN_CODEC_RAW3,
                                        .channel_count = shape->channels,
                                        .row_count = shape->height,
                                        .payload = payload};
    packet.payload_bytes = (size_t)agn_encoder_finish(&encoder);
    int length = agn_feature_pack(&packet, packet_bytes, AGN_WIRE_MAX_PACKET);
    assert_int_equal(length, AGN_WIRE_MAX_PACKET - 1);
    const uint8_t token[AGN__COAP_TOKEN_BYTES] = {1, 2, 3, 4};
    return agn__coap_request(datagram, 7, token, packet_bytes, (size_t)length);
}

/* Both are longer than the message that libcoap takes and sends by itself. */
static void the_longest_packets_pass(void **state)
{
    (void)state;
    struct running running;
    struct agn_server_model model = served_model();
    model.shape = (struct agn_map_shape){1, 29, 104};
    model.classes = AGN_WIRE_MAX_CLASSES;
    model.infer = infer_many;
    start_server(&running, &model, 20000);
    int fd = stranger_socket(agn_server_port(running.server));
    uint8_t datagram[AGN__COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET], answer[4096];
    size_t length = make_long_request(datagram, model.model_id, &model.shape);
    size_t got = ask(fd, datagram, length, answer, sizeof answer, 2000);
    struct agn__coap_answer_view view;
    struct agn_reply_packet reply;
    assert_int_equal(agn__coap_read_answer(answer, got, &view), 0);
    assert_int_equal(view.code_class * 100 + view.code_detail, 204);
    assert_memory_equal(view.token, ((const uint8_t[]){1, 2, 3, 4}), 4);
    assert_int_equal(agn_reply_unpack(view.payload, view.payload_bytes, &reply), 0);
    assert_int_equal(reply.channels_missing, 0);
    assert_int_equal(reply.class_count, AGN_WIRE_MAX_CLASSES);
    for (unsigned c = 0; c < AGN_WIRE_MAX_CLASSES; c++)
        assert_int_equal(agn_reply_logit(&reply, c), c * 16);

    /* The same packet again, as networks do: the stored answer again, nothing is computed anew. */
    assert_int_equal(ask(fd, datagram, length, answer, sizeof answer, 2000), got);
    close(fd);
    struct agn_server_stats stats;
    stop_server(&running, &stats);
    assert_int_equal(stats.inferences, 1);
    assert_int_equal(stats.replies, 2);
    assert_int_equal(stats.replies_again, 1);
    assert_int_equal(stats.duplicates, 1);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_server_costs_no_prediction),
        cmocka_unit_test(a_silent_server_costs_few_deadlines),
        cmocka_unit_test(every_frame_is_fused),
        cmocka_unit_test(several_clients_are_kept_apart),
        cmocka_unit_test(lost_packets_leave_channels_missing),
        cmocka_unit_test(a_lost_frame_is_local),
        cmocka_unit_test(another_model_is_told_apart),
        cmocka_unit_test(a_failing_network_is_told),
        cmocka_unit_test(a_port_in_use_is_a_clear_error),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(an_interrupt_stops_the_server),
        cmocka_unit_test(other_resources_answer),
        cmocka_unit_test(bad_packets_are_named),
        cmocka_unit_test(garbage_does_not_stop_service),
        cmocka_unit_test(the_longest_packets_pass),
    };
    return cmocka_run_group_tests_name("server and client over UDP", tests, set_up_world, tear_down_world);
}
