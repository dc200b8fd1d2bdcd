/* See link_world.h. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "link_world.h"

/* ---- a model, its images and what the server should make of them --------------------- */

static const float centroids[AGN_WIRE_LEVELS] = {0.0f, 0.5f, 1.0f, 1.75f, 2.5f, 3.25f, 4.5f, 6.0f};

struct link_world link_world;

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

size_t link_map_symbols(void)
{
    return (size_t)link_world.shape.channels * link_world.shape.height * link_world.shape.width;
}

static int infer_stand_in(void *user, const float *features, int count, float *logits)
{
    (void)user;
    for (int i = 0; i < count; i++) {
        const float *frame = features + (size_t)i * link_map_symbols();
        memcpy(link_world.features, frame, link_map_symbols() * sizeof *frame);
        stand_in(frame, link_map_symbols(), link_world.device.dev.model.classes,
                 logits + i * link_world.device.dev.model.classes);
    }
    return 0;
}

int link_count_packets(const uint8_t *image)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int packets = 0;
    assert_true(agn_hosted_image(&link_world.device, image, 0, 0) >= 0);
    while (agn_dev_next_packet(&link_world.device.dev, packet, sizeof packet) > 0)
        packets++;
    return packets;
}

static void close_model(void)
{
    agn_hosted_close(&link_world.device);
    agn_free(link_world.bytes);
    random_model_free(&link_world.random);
}

static void open_model(uint64_t seed)
{
    agn_rng_seed(&link_world.rng, seed);
    random_model_make(&link_world.random, &link_world.rng, RANDOM_USUAL, 48, 40);
    assert_int_equal(agn_model_agn_write(&link_world.random.model, &link_world.bytes, &link_world.size), 0);
    assert_int_equal(agn_hosted_open(&link_world.device, link_world.bytes, link_world.size), 0);
    link_world.shape = agn_hosted_shape(&link_world.device.dev.model);
}

static uint64_t frame_macs(void)
{
    struct agn_dev_layer_info info;
    uint64_t macs = 0;
    for (unsigned i = 0; agn_dev_layer_info(&link_world.device.dev.model, i, &info) == 0; i++)
        macs += info.macs;
    return macs;
}

static bool takes_several_packets(void)
{
    for (int i = 0; i < 8; i++) {
        uint8_t *image = random_image(&link_world.random.model, &link_world.rng);
        int packets = link_count_packets(image);
        agn_free(image);
        if (packets < 2 || packets > 5)
            return false;
    }
    return true;
}

/* In steps of eighths, so that factor and product are exact; 1 for the whole. */
static float link_trust(int came)
{
    return came == link_world.shape.channels ? 1.0f : (float)(came % 7) / 8.0f;
}

/* Looks for a random model whose frames take several packets and little time. */
int link_set_up(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 2000; seed++) {
        open_model(seed);
        if (link_world.device.dev.model.classes > 1 && frame_macs() < 2000000 && takes_several_packets()) {
            link_world.fill = agn_alloc(link_world.shape.channels, sizeof *link_world.fill);
            link_world.features = agn_alloc(link_map_symbols(), sizeof *link_world.features);
            for (int c = 0; c < link_world.shape.channels; c++)
                link_world.fill[c] = -1.0f - (float)c;
            for (int came = 0; came <= link_world.shape.channels; came++)
                link_world.trust[came] = link_trust(came);
            return 0;
        }
        close_model();
    }
    return -1;
}

int link_tear_down(void **state)
{
    (void)state;
    agn_free(link_world.fill);
    agn_free(link_world.features);
    close_model();
    return 0;
}

/* ---- a server in a thread, or in a process that can be killed -------------------------- */

struct agn_server_model link_served_model(void)
{
    struct agn_server_model model = {.model_id = link_world.device.dev.model.model_id,
                                     .shape = link_world.shape,
                                     .contexts = &link_world.device.dev.model.contexts,
                                     .classes = link_world.device.dev.model.classes,
                                     .fill = link_world.fill,
                                     .trust = link_world.trust,
                                     .infer = infer_stand_in};
    memcpy(model.centroids, centroids, sizeof centroids);
    return model;
}

static void *run_server(void *argument)
{
    struct link_server *running = argument;
    running->status = agn_server_run(running->server);
    return NULL;
}

void link_start_server(struct link_server *running, const struct agn_server_model *model, uint32_t wait_ms)
{
    struct agn_server_config config = {.frame_wait_ms = wait_ms};
    link_start_server_as(running, model, &config);
}

void link_start_server_as(struct link_server *running, const struct agn_server_model *model,
                          const struct agn_server_config *config)
{
    assert_int_equal(agn_server_create(&running->server, config, model, 1), 0);
    assert_true(agn_server_port(running->server) != 0);
    assert_int_equal(pthread_create(&running->thread, NULL, run_server, running), 0);
}

void link_join_server(struct link_server *running, struct agn_server_stats *stats)
{
    assert_int_equal(pthread_join(running->thread, NULL), 0);
    assert_int_equal(running->status, 0);
    if (stats)
        agn_server_stats(running->server, stats);
    agn_server_free(running->server);
}

void link_stop_server(struct link_server *running, struct agn_server_stats *stats)
{
    agn_server_stop(running->server);
    link_join_server(running, stats);
}

/* Forks a server at `port` (0: any); *port becomes its port. */
pid_t link_fork_server(uint16_t *port)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        struct agn_server *server;
        struct agn_server_model model = link_served_model();
        struct agn_server_config config = {.port = *port};
        if (agn_server_create(&server, &config, &model, 1) != 0)
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

void link_kill_server(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
}

/* ---- a client ---------------------------------------------------------------------------- */

struct agn_client *link_new_client(struct agn_client_config config)
{
    struct agn_client *client;
    config.model = link_world.bytes;
    config.model_bytes = link_world.size;
    if (config.deadline_ms == 0)
        config.deadline_ms = 2000;
    assert_int_equal(agn_client_create(&client, &config), 0);
    return client;
}

/* Runs one random image; the local answer is always right, whatever the network does. */
struct agn_client_result link_run_frame(struct agn_client *client)
{
    uint8_t *image = random_image(&link_world.random.model, &link_world.rng);
    struct agn_client_result result;
    assert_int_equal(link_count_packets(image) > 0, 1);
    assert_int_equal(agn_client_frame(client, image, &result), 0);
    agn_free(image);
    unsigned classes = link_world.device.dev.model.classes;
    assert_memory_equal(result.local_logits, agn_dev_local(&link_world.device.dev),
                        classes * sizeof(int16_t));
    assert_int_equal(result.local_class, agn_argmax_s16(agn_dev_local(&link_world.device.dev), classes));
    assert_int_equal(result.fused, result.reason == AGN_CLIENT_FUSED);
    if (!result.fused) {
        assert_int_equal(result.class_index, result.local_class);
        assert_memory_equal(result.logits, result.local_logits, classes * sizeof(int16_t));
    }
    return result;
}

/* The features that the server should see for the frame in the test's own device. */
float *link_expected_features(void)
{
    const struct agn_map_shape *shape = &link_world.shape;
    float *features = agn_alloc(link_map_symbols(), sizeof *features);
    float *next = features;
    for (unsigned y = 0; y < shape->height; y++)
        for (unsigned x = 0; x < shape->width; x++)
            for (unsigned c = 0; c < shape->channels; c++)
                *next++ = centroids[agn_dev_symbol(&link_world.device.dev, c, y, x)];
    return features;
}

/* Fused logits and class from given features, worked out apart from client and server. */
void link_assert_fusion(const struct agn_client_result *result, const float *features)
{
    int classes = link_world.device.dev.model.classes;
    float logits[AGN_DEV_MAX_CLASSES];
    stand_in(features, link_map_symbols(), classes, logits);
    const int16_t *local = agn_dev_local(&link_world.device.dev);
    int64_t best = INT64_MIN;
    int best_class = 0;
    for (int c = 0; c < classes; c++) {
        double trust = (double)link_trust(link_world.shape.channels - result->channels_missing);
        double remote = fmin(fmax(round((double)logits[c] * trust * 256.0), -32768.0), 32767.0);
        int64_t alpha = link_world.device.dev.model.alpha_q15;
        int64_t sum = alpha * local[c] + (32768 - alpha) * (int64_t)remote;
        assert_int_equal(result->logits[c], (int16_t)floor(((double)sum + 16384.0) / 32768.0));
        if (sum > best) {
            best = sum;
            best_class = c;
        }
    }
    assert_int_equal(result->class_index, best_class);
}
