/* Edge server and device in one process on a small trained model: what agn_run_images counts, a server
 * that goes away, and what it refuses. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/deploy.h"
#include "agilenn/edge.h"
#include "agilenn/hosted.h"
#include "agilenn/run.h"
#include "fake_server.h"
#include "temp_folder.h"
#include "tiny_model.h"

enum { IMAGES = 40, CLASSES = 4 };
static const struct tiny_config config = {"conv:c8:s2 conv:c12", 16, 16, 1, 4, 3, CLASSES, false};

static struct {
    struct agn_dataset *data;
    struct agn_model *model;
    const char *path;
    uint8_t *bytes;
    size_t size;
    struct agn_edge *edge;
    pthread_t thread;
    int status, events;
    struct agn_server_stats at_event;
} world;

static int set_up(void **state)
{
    char *path = agn_alloc(512, 1);
    if (temp_folder_setup(state) != 0 || path == NULL)
        return -1;
    snprintf(path, 512, "%s", temp_path("model.safetensors"));
    world.path = path;
    world.data = tiny_dataset(&config, IMAGES, 1);
    world.model = tiny_trained_model(&config, world.data, world.data, 1);
    assert_int_equal(agn_model_save(world.model, path), AGN_OK);
    assert_int_equal(agn_deploy_device(world.model, world.data, 0, &world.bytes, &world.size, NULL), AGN_OK);
    return 0;
}

static int tear_down(void **state)
{
    agn_free(world.bytes);
    agn_model_free(world.model);
    agn_dataset_free(world.data);
    agn_free((void *)(uintptr_t)world.path);
    return temp_folder_teardown(state);
}

/* ---- the server -------------------------------------------------------------------------------- */

static int open_edge(const char *path, const struct agn_server_config *server, struct agn_edge **edge)
{
    struct agn_edge_config files = {.paths = &path, .count = 1, .server = *server};
    return agn_edge_open(&files, edge);
}

static void *serve(void *argument)
{
    (void)argument;
    world.status = agn_server_run(agn_edge_server(world.edge));
    return NULL;
}

static uint16_t start_server(void)
{
    struct agn_server_config server = {.frame_wait_ms = 2000};
    if (open_edge(world.path, &server, &world.edge) < 0)
        fail_msg("%s", agn_error_message());
    assert_int_equal(agn_edge_model_id(world.edge, 0), agn_model_id(world.model));
    assert_int_equal(pthread_create(&world.thread, NULL, serve, NULL), 0);
    return agn_server_port(agn_edge_server(world.edge));
}

static void stop_server(void)
{
    if (world.edge == NULL)
        return;
    agn_server_stop(agn_edge_server(world.edge));
    assert_int_equal(pthread_join(world.thread, NULL), 0);
    assert_int_equal(world.status, 0);
    agn_server_stats(agn_edge_server(world.edge), &world.at_event);
    agn_edge_close(world.edge);
    world.edge = NULL;
}

/* The server goes away in the middle of a run; its socket is closed. */
static void on_event(void *user)
{
    (void)user;
    world.events++;
    stop_server();
}

static struct agn_run_config run_config(uint16_t port, int images)
{
    return (struct agn_run_config){
        .client = {.port = port, .deadline_ms = 2000, .model = world.bytes, .model_bytes = world.size},
        .data = world.data,
        .images = images};
}

/* ---- what should come out, by the device library alone -------------------------------------------- */

struct expected {
    int local_correct_from[IMAGES * 2 + 1]; /* of the images from i on */
    double coded, payload, packets;         /* of the whole run */
};

static void expect(const struct agn_dataset *data, int images, struct expected *e)
{
    struct agn_hosted device;
    bool right[IMAGES * 2];
    assert_true(images <= IMAGES * 2);
    size_t image = (size_t)data->height * (size_t)data->width;
    assert_int_equal(agn_hosted_open(&device, world.bytes, world.size), 0);
    *e = (struct expected){0};
    for (int i = 0; i < images; i++) {
        int at = i % data->count, length;
        uint8_t packet[AGN_WIRE_MAX_PACKET];
        struct agn_dev_prediction prediction;
        assert_true(agn_hosted_image(&device, data->pixels + (size_t)at * image, 1, 0) >= 0);
        while ((length = agn_dev_next_packet(&device.dev, packet, sizeof packet)) > 0) {
            e->packets++;
            e->payload += length;
            e->coded += length - AGN_FEATURE_OVERHEAD_BYTES;
        }
        assert_int_equal(agn_dev_predict(&device.dev, &prediction), 0);
        right[i] = prediction.class_index == data->labels[at];
    }
    for (int i = images - 1; i >= 0; i--)
        e->local_correct_from[i] = e->local_correct_from[i + 1] + right[i];
    agn_hosted_close(&device);
}

static void check_sums(const struct agn_run_report *r)
{
    int reasons = 0;
    for (int i = 0; i < AGN_CLIENT_REASON_COUNT; i++)
        reasons += r->reasons[i];
    assert_int_equal(r->predictions, r->images);
    assert_int_equal(reasons, r->predictions);
    assert_int_equal(r->fused, r->reasons[AGN_CLIENT_FUSED]);
    assert_int_equal(r->sent, r->images - r->reasons[AGN_CLIENT_SKIPPED]);
    assert_int_equal(r->correct, r->before_event_correct + r->after_event_correct);
    assert_true(r->fused_correct <= r->fused && r->fused_correct <= r->correct);
    assert_true(r->seconds > 0.0);
}

/* ---- tests: counting --------------------------------------------------------------------------------- */

/* More images than the set has: the first ones come again. */
static void every_frame_counts(void **state)
{
    (void)state;
    enum { RUN = IMAGES + 7 };
    struct expected e;
    struct agn_run_report r;
    struct agn_evaluation evaluation;
    struct agn_dev_model model;
    struct agn_dev_memory memory;
    struct agn_run_config run = run_config(start_server(), RUN);
    run.require_server = true;
    expect(world.data, RUN, &e);
    assert_int_equal(agn_run_images(&run, &r), AGN_OK);
    stop_server();
    check_sums(&r);
    assert_int_equal(r.images, RUN);
    assert_int_equal(r.fused, RUN);
    assert_int_equal(r.fused_correct, r.correct);
    assert_int_equal(r.local_correct, e.local_correct_from[0]);
    assert_int_equal(r.before_event, RUN);
    assert_int_equal(r.after_event_correct, 0);
    assert_int_equal(world.at_event.frames_complete, RUN);
    assert_true(fabs(r.packets_mean - e.packets / RUN) < 1e-9);
    assert_true(fabs(r.payload_bytes_mean - e.payload / RUN) < 1e-9);
    assert_true(fabs(r.coded_bytes_mean - e.coded / RUN) < 1e-9);
    assert_true(fabs(r.datagram_bytes_mean - r.payload_bytes_mean - 18.0 * r.packets_mean) < 1e-9);
    assert_true(fabs(r.payload_bytes_mean * RUN - (double)world.at_event.bytes_in) < 1e-6);
    assert_true(r.reply_bytes_mean == (double)AGN_REPLY_BYTES(CLASSES));
    assert_int_equal(agn_dev_model_open(&model, world.bytes, world.size), 0);
    agn_dev_memory(&model, &memory);
    assert_true(r.raw_bytes == memory.raw_bytes);
    assert_true(r.device_ms.min > 0.0 && r.device_ms.min <= r.device_ms.median);
    assert_true(r.device_ms.median <= r.device_ms.p99 && r.device_ms.p99 <= r.device_ms.max);
    assert_true(r.network_ms.min > 0.0 && r.network_ms.max < 2000.0);

    run = run_config(start_server(), 0); /* all */
    assert_int_equal(agn_run_images(&run, &r), AGN_OK);
    stop_server();
    assert_int_equal(r.images, IMAGES);
    assert_int_equal(agn_model_evaluate(world.model, world.data, &evaluation), AGN_OK);
    assert_true(fabs((double)r.correct / IMAGES - evaluation.fused_accuracy) <= 0.1);
    assert_true(fabs((double)r.local_correct / IMAGES - evaluation.local_accuracy) <= 0.1);
}

static void a_dying_server_costs_no_prediction(void **state)
{
    (void)state;
    enum { RUN = 60, EVENT = 17 };
    struct expected e;
    struct agn_run_report r;
    struct agn_run_config run = run_config(start_server(), RUN);
    run.require_server = true;
    run.event_at = EVENT;
    run.event = on_event;
    world.events = 0;
    expect(world.data, RUN, &e);
    assert_int_equal(agn_run_images(&run, &r), AGN_OK);
    check_sums(&r);
    assert_int_equal(world.events, 1);
    assert_int_equal(world.at_event.frames, EVENT);
    assert_int_equal(r.fused, EVENT);
    assert_int_equal(r.before_event, EVENT);
    assert_int_equal(r.before_event_correct, r.fused_correct);
    assert_int_equal(r.after_event_correct, e.local_correct_from[EVENT]);
    assert_int_equal(r.local_correct, e.local_correct_from[0]);
    assert_int_equal(r.reasons[AGN_CLIENT_REFUSED] + r.reasons[AGN_CLIENT_SKIPPED], RUN - EVENT);
    assert_true(r.reasons[AGN_CLIENT_REFUSED] >= 3 && r.reasons[AGN_CLIENT_SKIPPED] > RUN / 2);
    assert_true(r.seconds < 2.0);
}

/* One image again and again: its bytes are the means, however many frames went out. */
static void means_are_over_sent_frames(void **state)
{
    (void)state;
    enum { RUN = 50 };
    struct expected e;
    struct agn_run_report r;
    struct agn_dataset one = *world.data;
    one.count = 1;
    struct agn_run_config run = run_config(9, RUN);
    run.data = &one;
    run.client.deadline_ms = 1;
    run.client.drop_permille = 1000;
    run.client.drop_seed = 1;
    expect(&one, 1, &e);
    assert_int_equal(agn_run_images(&run, &r), AGN_OK);
    check_sums(&r);
    assert_int_equal(r.fused, 0);
    assert_true(r.sent > 3 && r.sent < RUN / 2);
    assert_true(r.packets_mean == e.packets && r.payload_bytes_mean == e.payload);
    assert_true(r.coded_bytes_mean == e.coded);
    assert_true(isnan(r.reply_bytes_mean) && isnan(r.network_ms.median) && isnan(r.device_ms.p99));
    assert_int_equal(r.correct, r.local_correct);
    assert_true(r.correct == 0 || r.correct == RUN);
}

/* ---- tests: refusals ----------------------------------------------------------------------------------- */

static void another_model_is_noticed(void **state)
{
    (void)state;
    enum { RUN = 20 };
    struct agn_run_report r = {.images = -5};
    uint8_t *other = NULL;
    size_t size = 0;
    world.model->alpha_weight += 1.0F;
    assert_int_equal(agn_deploy_device(world.model, world.data, 0, &other, &size, NULL), AGN_OK);
    world.model->alpha_weight -= 1.0F;
    struct agn_run_config run = run_config(start_server(), RUN);
    run.client.model = other;
    run.client.model_bytes = size;
    run.require_server = true;
    assert_int_equal(agn_run_images(&run, &r), AGN_ERR_MISMATCH);
    assert_non_null(strstr(agn_error_message(), "another model"));
    assert_int_equal(r.images, -5);
    run.require_server = false;
    assert_int_equal(agn_run_images(&run, &r), AGN_OK);
    stop_server();
    check_sums(&r);
    assert_int_equal(r.reasons[AGN_CLIENT_MISMATCH], RUN);
    assert_int_equal(r.correct, r.local_correct);
    assert_int_equal(world.at_event.bad_model, world.at_event.packets);
    agn_free(other);
}

static void check_version_sentence(enum fake_kind kind, const char *sentence)
{
    enum { RUN = 8 };
    struct agn_run_report r = {.images = -5};
    const struct fake_conduct conduct = {.kind = kind};
    struct agn_run_config run = run_config(fake_start(&conduct), RUN);
    run.require_server = true;
    assert_int_equal(agn_run_images(&run, &r), AGN_ERR_VERSION);
    assert_non_null(strstr(agn_error_message(), sentence));
    assert_int_equal(r.images, -5);
    run.require_server = false;
    assert_int_equal(agn_run_images(&run, &r), AGN_OK);
    fake_stop();
    check_sums(&r);
    assert_int_equal(r.reasons[AGN_CLIENT_VERSION], RUN);
    assert_int_equal(r.correct, r.local_correct);
}

static void a_server_of_another_version_is_noticed(void **state)
{
    (void)state;
    check_version_sentence(FAKE_NEWER, "speaks version 2 of the protocol, this program version 1");
    check_version_sentence(FAKE_NO_RESOURCE, "has no resource /v1/infer");
}

static void data_that_does_not_fit(void **state)
{
    (void)state;
    struct agn_run_report r = {.images = -5};
    struct agn_run_config run = run_config(9, 10);
    for (int i = 0; i < 3; i++) {
        struct agn_dataset other = *world.data;
        other.height -= i == 0;
        other.width += i == 1;
        other.channels += 2 * (i == 2);
        run.data = &other;
        assert_int_equal(agn_run_images(&run, &r), AGN_ERR_MISMATCH);
        assert_non_null(strstr(agn_error_message(), "16x16x1"));
    }
    struct agn_dataset many = *world.data;
    many.classes = CLASSES + 1;
    run.data = &many;
    assert_int_equal(agn_run_images(&run, &r), AGN_ERR_MISMATCH);
    assert_non_null(strstr(agn_error_message(), "5 classes"));
    run = run_config(9, 10);
    run.client.model_bytes--;
    agn_fail(0, "nothing was said");
    assert_true(agn_run_images(&run, &r) < 0);
    assert_string_not_equal(agn_error_message(), "nothing was said");
    assert_int_equal(r.images, -5);
}

static void ask_to_end(void *user)
{
    (void)user;
    agn_interrupt_request();
}

static void interruption_ends_a_run(void **state)
{
    (void)state;
    struct agn_run_report r = {.images = -5};
    struct agn_run_config run = run_config(9, 1000000);
    run.event_at = 12;
    run.event = ask_to_end;
    int status = agn_run_images(&run, &r);
    agn_interrupt_clear();
    assert_int_equal(status, AGN_ERR_INTERRUPTED);
    assert_int_equal(r.images, -5);
}

static void servers_that_do_not_open(void **state)
{
    (void)state;
    struct agn_edge *edge = NULL;
    struct agn_server_config server = {.port = start_server()};
    assert_int_equal(open_edge(world.path, &server, &edge), AGN_ERR_BUSY);
    assert_non_null(strstr(agn_error_message(), "in use"));
    stop_server();
    server.port = 0;
    assert_int_equal(open_edge(temp_path("nothing"), &server, &edge), AGN_ERR_NOT_FOUND);
    uint8_t *file = NULL;
    size_t size = 0;
    assert_int_equal(agn_file_read(world.path, 1 << 24, &file, &size), AGN_OK);
    assert_int_equal(open_edge(temp_file("short", file, size - 4), &server, &edge), AGN_ERR_FORMAT);
    agn_free(file);
    assert_true(open_edge(temp_file("agn", world.bytes, world.size), &server, &edge) < 0);
    server.address = "192.0.2.1"; /* nobody's */
    assert_int_equal(open_edge(world.path, &server, &edge), AGN_ERR_IO);
    assert_null(edge);
    agn_edge_close(NULL);
}

int main(void)
{
    agn_nn_set_threads(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_counts),
        cmocka_unit_test(a_dying_server_costs_no_prediction),
        cmocka_unit_test(means_are_over_sent_frames),
        cmocka_unit_test(another_model_is_noticed),
        cmocka_unit_test(a_server_of_another_version_is_noticed),
        cmocka_unit_test(data_that_does_not_fit),
        cmocka_unit_test(interruption_ends_a_run),
        cmocka_unit_test(servers_that_do_not_open),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
