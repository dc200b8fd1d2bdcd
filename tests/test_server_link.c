/* Both ends of the link over real UDP on loopback: service, loss, a server that goes away, refusals. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agn_coap.h"
#include "link_world.h"

/* ---- tests: service ------------------------------------------------------------------------ */

static void every_frame_is_fused(void **state)
{
    (void)state;
    enum { FRAMES = 40 };
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 2000);
    struct agn_client *client =
        link_new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    struct agn_dev_memory memory;
    agn_dev_memory(&link_world.device.dev.model, &memory);
    size_t sent = 0, packets = 0, replied = 0;
    for (int i = 0; i < FRAMES; i++) {
        struct agn_client_result result = link_run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_FUSED);
        assert_int_equal(result.reply_status, AGN_REPLY_OK);
        assert_int_equal(result.channels_missing, 0);
        assert_int_equal(result.packets_dropped, 0);
        assert_int_equal(result.raw_bytes, memory.raw_bytes);
        assert_int_equal(result.payload_bytes,
                         result.coded_bytes + (size_t)result.packets * AGN_FEATURE_OVERHEAD_BYTES);
        assert_int_equal(result.datagram_bytes,
                         result.payload_bytes + (size_t)result.packets * AGN_COAP_REQUEST_OVERHEAD);
        assert_int_equal(result.reply_bytes, AGN_REPLY_BYTES(model.classes));
        assert_true(result.device_s > 0.0 && result.network_s > 0.0 && result.network_s < 2.0);
        float *features = link_expected_features();
        assert_memory_equal(link_world.features, features, link_map_symbols() * sizeof *features);
        link_assert_fusion(&result, features);
        agn_free(features);
        sent += result.payload_bytes;
        packets += (size_t)result.packets;
        replied += result.reply_bytes;
    }
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
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
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 2000);
    struct agn_client *clients[4];
    for (unsigned i = 0; i < 4; i++)
        clients[i] = link_new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    for (int i = 0; i < 40; i++) {
        struct agn_client_result result = link_run_frame(clients[i % 4]);
        float *features = link_expected_features();
        assert_true(result.fused);
        link_assert_fusion(&result, features);
        agn_free(features);
    }
    for (unsigned i = 0; i < 4; i++)
        agn_client_free(clients[i]);
    link_stop_server(&running, NULL);
}

static void lost_packets_leave_channels_missing(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 20);
    struct agn_client *client =
        link_new_client((struct agn_client_config){.port = agn_server_port(running.server),
                                                   .deadline_ms = 250,
                                                   .dead_after = -1,
                                                   .drop_permille = 300,
                                                   .drop_seed = 5});
    int partial = 0, whole = 0;
    for (int i = 0; i < 25; i++) {
        struct agn_client_result result = link_run_frame(client);
        if (!result.fused) {
            assert_int_equal(result.packets_dropped, result.packets);
            continue;
        }
        float *sent = link_expected_features();
        int channels = link_world.shape.channels, missing = 0;
        for (int c = 0; c < channels; c++) {
            bool hole = false;
            for (size_t at = (size_t)c; at < link_map_symbols(); at += (size_t)channels) {
                hole = hole || link_world.features[at] == link_world.fill[c];
                assert_true(link_world.features[at] == sent[at] ||
                            link_world.features[at] == link_world.fill[c]);
            }
            missing += hole;
        }
        agn_free(sent);
        assert_int_equal(result.channels_missing, missing);
        assert_int_equal(missing > 0, result.packets_dropped > 0);
        link_assert_fusion(&result, link_world.features);
        partial += missing > 0;
        whole += missing == 0;
    }
    print_message("%d partial, %d whole\n", partial, whole);
    assert_true(partial > 3 && whole > 3);
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.frames_partial, partial);
    assert_int_equal(stats.frames_complete, whole);
}

/* Three packets of ten are lost: nearly every frame is whole in the end where packets are sent again. */
static void repeats_make_up_for_losses(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 1000);
    int fused[2] = {0}, packets[2] = {0};
    for (int repeats = 0; repeats < 2; repeats++) {
        struct agn_client *client =
            link_new_client((struct agn_client_config){.port = agn_server_port(running.server),
                                                       .deadline_ms = 300,
                                                       .dead_after = -1,
                                                       .repeats = 4 * repeats,
                                                       .drop_permille = 300,
                                                       .drop_seed = 5});
        for (int i = 0; i < 12; i++) {
            struct agn_client_result result = link_run_frame(client);
            fused[repeats] += result.fused && result.channels_missing == 0;
            packets[repeats] += result.packets;
        }
        agn_client_free(client);
    }
    print_message("%d of 12 frames whole, %d with repeats\n", fused[0], fused[1]);
    assert_true(fused[1] > fused[0] && fused[1] >= 9);
    assert_true(packets[1] > packets[0]);
    link_stop_server(&running, NULL);
}

/* The last packet within the budget says so: the server answers at once, although its wait is long. */
static void a_budget_cuts_frames_short(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 20000);
    uint16_t port = agn_server_port(running.server);
    struct agn_client_config all = {.port = port, .deadline_ms = 20000, .dead_after = -1};
    struct agn_client *client = link_new_client(all);
    struct agn_client_result whole = link_run_frame(client), cut;
    assert_int_equal(whole.reason, AGN_CLIENT_FUSED);
    agn_client_free(client);

    size_t takes = whole.datagram_bytes + 28 * (size_t)whole.packets;
    struct agn_client_config some = all, narrow = all, nothing = all;
    some.budget_bytes = (uint32_t)(takes / 3);
    narrow.deadline_ms = 2000;
    narrow.bandwidth_kbps = (uint32_t)(takes * 8 / 2 / 1000); /* half of it in half of 2 s */
    nothing.budget_bytes = 60;
    const struct agn_client_config *const configs[] = {&some, &narrow};
    for (size_t i = 0; i < AGN_COUNT_OF(configs); i++) {
        client = link_new_client(*configs[i]);
        for (int n = 0; n < 5; n++) {
            cut = link_run_frame(client);
            assert_int_equal(cut.reason, AGN_CLIENT_FUSED);
            assert_true(cut.channels_missing > 0 && cut.network_s < 5.0);
            size_t most = i == 0 ? some.budget_bytes : narrow.bandwidth_kbps * 125;
            assert_true(cut.datagram_bytes + 28 * (size_t)cut.packets <= most);
            link_assert_fusion(&cut, link_world.features);
        }
        agn_client_free(client);
    }
    client = link_new_client(nothing);
    cut = link_run_frame(client);
    assert_int_equal(cut.reason, AGN_CLIENT_UNSENT);
    assert_int_equal(cut.packets, 0);
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.frames_complete, 11);
}

/* From the model's margin on, nothing is sent and nothing is waited for. */
static void a_sure_device_sends_nothing(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    struct agn_model_agn device = link_world.random.model;
    uint8_t *usual = link_world.bytes;
    size_t usual_size = link_world.size;
    int sure = 0, sent = 0;
    link_start_server(&running, &model, 1000);
    uint8_t *image = random_image(&link_world.random.model, &link_world.rng);
    link_count_packets(image);
    agn_free(image);
    int margin = agn_dev_margin(&link_world.device.dev);
    device.sure_margin = (uint16_t)(margin < 1 ? 1 : margin > INT16_MAX ? INT16_MAX : margin);
    assert_int_equal(agn_model_agn_write(&device, &link_world.bytes, &link_world.size), 0);
    struct agn_client *client =
        link_new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    agn_free(link_world.bytes);
    link_world.bytes = usual;
    link_world.size = usual_size;
    for (int i = 0; i < 40; i++) {
        struct agn_client_result result = link_run_frame(client);
        bool expected = agn_dev_margin(&link_world.device.dev) >= device.sure_margin;
        assert_int_equal(result.reason, expected ? AGN_CLIENT_SURE : AGN_CLIENT_FUSED);
        assert_int_equal(result.packets == 0, expected);
        sure += expected;
        sent += !expected;
    }
    print_message("%d sure, %d sent\n", sure, sent);
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.frames, sent);
}

static void a_lost_frame_is_local(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    struct agn_client *client = link_new_client((struct agn_client_config){
        .port = agn_server_port(running.server), .deadline_ms = 30, .dead_after = -1, .drop_permille = 1000});
    for (int i = 0; i < 3; i++) {
        struct agn_client_result result = link_run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_TIMEOUT);
        assert_int_equal(result.packets_dropped, result.packets);
        assert_int_equal(result.reply_status, -1);
        assert_true(result.network_s >= 0.029 && result.network_s < 1.0);
    }
    agn_client_free(client);
    link_stop_server(&running, NULL);
}

/* ---- tests: the server goes away -------------------------------------------------------- */

static void a_killed_server_costs_no_prediction(void **state)
{
    (void)state;
    uint16_t port = 0;
    pid_t child = link_fork_server(&port);
    struct agn_client *client =
        link_new_client((struct agn_client_config){.port = port, .dead_after = 3, .probe_every = 5});
    for (int i = 0; i < 10; i++)
        assert_int_equal(link_run_frame(client).reason, AGN_CLIENT_FUSED);
    link_kill_server(child);
    int refused = 0, skipped = 0;
    for (int i = 0; i < 23; i++) {
        struct agn_client_result result = link_run_frame(client);
        refused += result.reason == AGN_CLIENT_REFUSED;
        skipped += result.reason == AGN_CLIENT_SKIPPED;
        assert_int_equal(result.packets > 0, result.reason != AGN_CLIENT_SKIPPED);
        /* A closed port on this machine is told at once: no frame waits for the deadline of 2 s. */
        assert_true(result.network_s < 1.9);
    }
    assert_int_equal(refused, 3 + 4);
    assert_int_equal(skipped, 16);

    child = link_fork_server(&port);
    int until_fused = 0;
    while (link_run_frame(client).reason != AGN_CLIENT_FUSED)
        assert_true(++until_fused < 5);
    for (int i = 0; i < 10; i++)
        assert_int_equal(link_run_frame(client).reason, AGN_CLIENT_FUSED);
    agn_client_free(client);
    link_kill_server(child);
}

static void a_silent_server_costs_few_deadlines(void **state)
{
    (void)state;
    uint16_t port = 0;
    pid_t child = link_fork_server(&port);
    struct agn_client *client = link_new_client((struct agn_client_config){.port = port, .deadline_ms = 500});
    for (int i = 0; i < 3; i++)
        assert_int_equal(link_run_frame(client).reason, AGN_CLIENT_FUSED);
    agn_client_free(client);
    client = link_new_client((struct agn_client_config){.port = port, .deadline_ms = 40});
    assert_int_equal(kill(child, SIGSTOP), 0);
    int timeouts = 0;
    for (int i = 0; i < 33; i++)
        timeouts += link_run_frame(client).reason == AGN_CLIENT_TIMEOUT;
    assert_int_equal(timeouts, 3 + 3);
    assert_int_equal(kill(child, SIGCONT), 0);
    /* What the server now says to the old frames must not count for new ones, but as a wish for a pause. */
    double until_s = agn_now_s() + 20;
    struct agn_client_result result;
    do {
        const struct timespec pace = {.tv_nsec = 10000000};
        nanosleep(&pace, NULL);
        result = link_run_frame(client);
        assert_true(agn_now_s() < until_s);
    } while (!result.fused);
    float *features = link_expected_features();
    link_assert_fusion(&result, features);
    agn_free(features);
    agn_client_free(client);
    link_kill_server(child);
}

/* ---- tests: refusals -------------------------------------------------------------------- */

static void another_model_is_told_apart(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    model.model_id ^= 1;
    link_start_server(&running, &model, 0);
    struct agn_client *client =
        link_new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    for (int i = 0; i < 6; i++) {
        struct agn_client_result result = link_run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_MISMATCH);
        assert_int_equal(result.reply_status, AGN_REPLY_MISMATCH);
    }
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_true(stats.bad_model >= 6);
    assert_int_equal(stats.frames, 0);
}

static int infer_fails(void *user, const float *features, int count, float *logits)
{
    (void)features;
    (void)count;
    if (*(int *)user == 0)
        return AGN_ERR_ENGINE;
    for (int c = 0; c < link_world.device.dev.model.classes; c++)
        logits[c] = NAN;
    return 0;
}

static void a_failing_network_is_told(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct link_server running;
        struct agn_server_model model = link_served_model();
        model.infer = infer_fails;
        model.user = &how;
        link_start_server(&running, &model, 0);
        struct agn_client *client =
            link_new_client((struct agn_client_config){.port = agn_server_port(running.server)});
        struct agn_client_result result = link_run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_REJECTED);
        assert_int_equal(result.reply_status, AGN_REPLY_FAILED);
        agn_client_free(client);
        struct agn_server_stats stats;
        link_stop_server(&running, &stats);
        assert_int_equal(stats.replies_failed, 1);
        assert_int_equal(stats.replies, 0);
    }
}

static void a_port_in_use_is_a_clear_error(void **state)
{
    (void)state;
    struct agn_server *first, *second = NULL;
    struct agn_server_model model = link_served_model();
    struct agn_server_config config = {0};
    assert_int_equal(agn_server_create(&first, &config, &model, 1), 0);
    config.port = agn_server_port(first);
    assert_int_equal(agn_server_create(&second, &config, &model, 1), AGN_ERR_BUSY);
    assert_null(second);
    char where[32];
    snprintf(where, sizeof where, "127.0.0.1:%u", (unsigned)config.port);
    assert_non_null(strstr(agn_error_message(), where));
    assert_non_null(strstr(agn_error_message(), "in use"));
    agn_server_free(first);
    assert_int_equal(agn_server_create(&second, &config, &model, 1), 0); /* free again at once */
    agn_server_free(second);
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    struct agn_server *server = NULL;
    struct agn_server_model good = link_served_model(), model = good;
    struct agn_server_config config = {0};
    model.classes = AGN_WIRE_MAX_CLASSES + 1;
    assert_int_equal(agn_server_create(&server, &config, &model, 1), AGN_ERR_ARG);
    model = good;
    model.shape.width = 0;
    assert_int_equal(agn_server_create(&server, &config, &model, 1), AGN_ERR_ARG);
    model = good;
    model.infer = NULL;
    assert_int_equal(agn_server_create(&server, &config, &model, 1), AGN_ERR_ARG);
    config.max_frames = AGN_SERVER_MAX_FRAMES + 1;
    assert_int_equal(agn_server_create(&server, &config, &good, 1), AGN_ERR_ARG);
    config = (struct agn_server_config){.address = "not a host!"};
    assert_int_equal(agn_server_create(&server, &config, &good, 1), AGN_ERR_NOT_FOUND);
    config.address = "192.0.2.1"; /* nobody's: reserved for documentation */
    assert_int_equal(agn_server_create(&server, &config, &good, 1), AGN_ERR_IO);
    assert_null(server);

    struct agn_client *client = NULL;
    struct agn_client_config from = {.port = 5683, .model = link_world.bytes, .model_bytes = link_world.size};
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
    struct link_server running;
    struct agn_server_model model = link_served_model();
    agn_interrupt_request();
    link_start_server(&running, &model, 0);
    link_join_server(&running, NULL);
    agn_interrupt_clear();
}

/* The tests that fork come first, while the program has no threads. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_server_costs_no_prediction),
        cmocka_unit_test(a_silent_server_costs_few_deadlines),
        cmocka_unit_test(every_frame_is_fused),
        cmocka_unit_test(several_clients_are_kept_apart),
        cmocka_unit_test(lost_packets_leave_channels_missing),
        cmocka_unit_test(repeats_make_up_for_losses),
        cmocka_unit_test(a_budget_cuts_frames_short),
        cmocka_unit_test(a_sure_device_sends_nothing),
        cmocka_unit_test(a_lost_frame_is_local),
        cmocka_unit_test(another_model_is_told_apart),
        cmocka_unit_test(a_failing_network_is_told),
        cmocka_unit_test(a_port_in_use_is_a_clear_error),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(an_interrupt_stops_the_server),
    };
    return cmocka_run_group_tests_name("server and client over UDP", tests, link_set_up, link_tear_down);
}
