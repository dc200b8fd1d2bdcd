/* The swarm over real UDP on loopback: against the edge server, and against servers that answer as none
 * should. Whatever they do, every frame ends once. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/swarm.h"
#include "fake_server.h"
#include "link_world.h"

enum { IMAGES = 12 };
static struct agn_dataset data;
static uint16_t labels[IMAGES];

static int set_up(void **state)
{
    if (link_set_up(state) != 0)
        return -1;
    const struct agn_dev_model *model = &link_world.device.dev.model;
    size_t image_bytes = (size_t)model->input_h * model->input_w * model->input_c;
    data = (struct agn_dataset){.count = IMAGES,
                                .height = model->input_h,
                                .width = model->input_w,
                                .channels = model->input_c,
                                .classes = model->classes,
                                .labels = labels};
    data.pixels = agn_alloc(IMAGES, image_bytes);
    for (size_t i = 0; i < IMAGES; i++) {
        uint8_t *image = random_image(&link_world.random.model, &link_world.rng);
        memcpy(data.pixels + i * image_bytes, image, image_bytes);
        agn_free(image);
    }
    return 0;
}

static int tear_down(void **state)
{
    agn_free(data.pixels);
    return link_tear_down(state);
}

static bool ignore_pauses; /* of new swarms */

static struct agn_swarm *new_swarm(uint16_t port, uint32_t deadline_ms, struct agn_swarm_link link)
{
    const struct agn_swarm_config config = {.port = port,
                                            .ignore_pauses = ignore_pauses,
                                            .model = link_world.bytes,
                                            .model_bytes = link_world.size,
                                            .data = &data,
                                            .devices = 20,
                                            .deadline_ms = deadline_ms,
                                            .link = link,
                                            .seed = 1};
    struct agn_swarm *swarm = NULL;
    if (agn_swarm_create(&swarm, &config) < 0)
        fail_msg("%s", agn_error_message());
    return swarm;
}

static struct agn_swarm_report run(struct agn_swarm *swarm, double rate_fps, double seconds)
{
    const struct agn_swarm_load load = {.rate_fps = rate_fps, .seconds = seconds};
    struct agn_swarm_report report;
    if (agn_swarm_run(swarm, &load, &report) < 0)
        fail_msg("%s", agn_error_message());
    assert_true(report.offered > 0);
    assert_int_equal(report.lost_predictions, 0);
    assert_int_equal(report.answered + report.fallbacks, report.offered);
    assert_int_equal(report.timed_out + report.busy + report.rejected + report.overslept + report.paused,
                     report.fallbacks);
    return report;
}

/* ---- against servers of the test's own ----------------------------------------------------------- */

static struct agn_swarm_report run_against(enum fake_kind kind, uint32_t deadline_ms)
{
    struct agn_swarm *swarm =
        new_swarm(fake_start(&(struct fake_conduct){.kind = kind}), deadline_ms, (struct agn_swarm_link){0});
    struct agn_swarm_report report = run(swarm, 200, 0.2);
    agn_swarm_free(swarm);
    fake_stop();
    return report;
}

/* ---- tests ---------------------------------------------------------------------------------------- */

/* Labels are what a client of its own gets fused from the same server: the swarm must get them all right. */
static void predictions_are_those_of_a_device(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 2000);
    uint16_t port = agn_server_port(running.server);
    struct agn_client *client = link_new_client((struct agn_client_config){.port = port});
    size_t image_bytes = (size_t)data.height * (size_t)data.width * (size_t)data.channels;
    size_t bytes = 0;
    for (size_t i = 0; i < IMAGES; i++) {
        struct agn_client_result result;
        assert_int_equal(agn_client_frame(client, data.pixels + i * image_bytes, &result), 0);
        assert_true(result.fused);
        labels[i] = (uint16_t)result.class_index;
        bytes += result.datagram_bytes;
    }
    agn_client_free(client);
    struct agn_swarm *swarm = new_swarm(port, 2000, (struct agn_swarm_link){0});
    struct agn_swarm_report report = run(swarm, 400, 0.25);
    assert_int_equal(report.fallbacks, 0);
    assert_int_equal(report.correct, report.offered);
    assert_int_equal(report.late + report.strangers + report.packets_lost, 0);
    assert_true(report.packets > report.offered);
    assert_true(fabs(report.bytes_mean - (double)bytes / IMAGES) < 0.25 * report.bytes_mean);
    assert_true(report.prediction.p50_ms > 0 && report.prediction.max_ms < 2000);

    struct agn_swarm_report again = run(swarm, 400, 0.25); /* the same arrivals and images once more */
    assert_int_equal(again.offered, report.offered);
    assert_int_equal(again.bytes, report.bytes);
    assert_int_equal(again.fallbacks, 0);
    agn_swarm_free(swarm);
    link_stop_server(&running, NULL);
    memset(labels, 0, sizeof labels);
}

static void a_bad_link_costs_answers_only(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 20);
    const struct agn_swarm_link link = {
        .bandwidth_bps = 4e6, .delay_s = 0.005, .jitter_s = 0.005, .loss = 0.2};
    struct agn_swarm *swarm = new_swarm(agn_server_port(running.server), 1000, link);
    struct agn_swarm_report report = run(swarm, 400, 0.4);
    assert_true(report.packets_lost > report.packets / 10 && report.packets_lost < report.packets * 3 / 10);
    /* an answer gets lost with 20 %, a frame's packets all together hardly ever */
    assert_true(report.fallback_rate > 0.08 && report.fallback_rate < 0.45);
    assert_true(report.answer.p50_ms > 10); /* twice the delay */
    agn_swarm_free(swarm);
    link_stop_server(&running, NULL);
}

static void nobody_there_costs_nothing_but_answers(void **state)
{
    (void)state;
    uint16_t port = fake_start(&(struct fake_conduct){.kind = FAKE_SILENT});
    fake_stop(); /* the port is closed: ICMP errors come back */
    struct agn_swarm *swarm = new_swarm(port, 50, (struct agn_swarm_link){0});
    struct agn_swarm_report report = run(swarm, 200, 0.2);
    assert_int_equal(report.answered, 0);
    assert_int_equal(report.correct, report.local_correct);
    agn_swarm_free(swarm);
    report = run_against(FAKE_SILENT, 50);
    assert_int_equal(report.timed_out + report.overslept, report.offered);
    assert_true(report.prediction.p50_ms >= 49.7);
    assert_true(isnan(report.answer.p50_ms));
}

static void refusals_end_frames_at_once(void **state)
{
    (void)state;
    ignore_pauses = true;
    struct agn_swarm_report report = run_against(FAKE_BUSY, 2000);
    assert_int_equal(report.busy, report.offered);
    assert_true(report.prediction.p50_ms < 1000);
    report = run_against(FAKE_PLAIN_BUSY, 2000);
    assert_int_equal(report.busy, report.offered);
    ignore_pauses = false;
    report = run_against(FAKE_FAILING, 2000);
    assert_int_equal(report.rejected, report.offered);
}

/* 20 devices, each refused once at least and soon silent; in the next run they begin afresh. */
static void devices_pause_when_asked_to(void **state)
{
    (void)state;
    static const uint8_t minute[] = {60};
    const struct fake_conduct conduct = {.kind = FAKE_BUSY, .max_age = minute, .max_age_bytes = 1};
    struct agn_swarm *swarm = new_swarm(fake_start(&conduct), 2000, (struct agn_swarm_link){0});
    for (int i = 0; i < 2; i++) {
        struct agn_swarm_report report = run(swarm, 1000, 0.5);
        assert_int_equal(report.busy + report.paused, report.offered);
        assert_true(report.busy > 0 && report.paused > 0);
        assert_true(report.packets <= 5 * report.busy); /* link_world's frames take no more */
        assert_int_equal(report.correct, report.local_correct);
    }
    agn_swarm_free(swarm);
    fake_stop();
}

/* Refusals that come after the deadline, over a link with a delay of its own. */
static void late_refusals_pause_too(void **state)
{
    (void)state;
    const struct fake_conduct conduct = {.kind = FAKE_BUSY};
    const struct agn_swarm_link link = {.delay_s = 0.02};
    struct agn_swarm *swarm = new_swarm(fake_start(&conduct), 10, link);
    struct agn_swarm_report report = run(swarm, 400, 0.5);
    assert_int_equal(report.busy + report.answered, 0);
    assert_true(report.paused > 0 && report.late > 0);
    assert_int_equal(report.timed_out + report.overslept + report.paused, report.offered);
    agn_swarm_free(swarm);
    fake_stop();
}

static void odd_answers_are_not_counted_twice(void **state)
{
    (void)state;
    struct agn_swarm_report report = run_against(FAKE_TWICE, 2000);
    assert_int_equal(report.answered, report.offered);
    assert_true(report.strangers > 0 && report.strangers <= report.offered);
    report = run_against(FAKE_NOISY, 100);
    assert_true(report.answered > 0 && report.fallbacks > 0);
    report = run_against(FAKE_SLOW, 4); /* 5 ms an answer: none comes in time */
    assert_int_equal(report.timed_out + report.overslept, report.offered);
    assert_true(report.late > 0);
}

static void another_model_ends_the_run(void **state)
{
    (void)state;
    struct agn_swarm *swarm = new_swarm(fake_start(&(struct fake_conduct){.kind = FAKE_MISMATCHING}), 500,
                                        (struct agn_swarm_link){0});
    const struct agn_swarm_load load = {.rate_fps = 100, .seconds = 20};
    struct agn_swarm_report report;
    assert_int_equal(agn_swarm_run(swarm, &load, &report), AGN_ERR_MISMATCH);
    assert_non_null(strstr(agn_error_message(), "does not have model"));
    agn_swarm_free(swarm);
    fake_stop();
}

/* A model that is changed in mid-run costs the answers from then on, not the figures of the whole run. */
static void a_model_that_goes_is_counted(void **state)
{
    (void)state;
    const struct fake_conduct conduct = {.kind = FAKE_MISMATCHING, .answers = 30};
    struct agn_swarm *swarm = new_swarm(fake_start(&conduct), 2000, (struct agn_swarm_link){0});
    struct agn_swarm_report report = run(swarm, 400, 0.25);
    assert_int_equal(report.answered, 30);
    assert_int_equal(report.rejected, report.offered - 30);
    assert_int_equal(report.disowned, report.rejected);
    agn_swarm_free(swarm);
    fake_stop();
    report =
        run_against(FAKE_FOREIGN_MODEL, 2000); /* what is said of other frames and models is none of ours */
    assert_int_equal(report.answered, report.offered);
    assert_int_equal(report.disowned, 0);
}

static void sum_seconds(void *user, const struct agn_swarm_second *second)
{
    struct agn_swarm_second *sum = user;
    assert_int_equal(second->second, sum->second);
    sum->second++;
    sum->offered += second->offered;
    sum->answered += second->answered;
    sum->fallbacks += second->fallbacks;
    sum->busy += second->busy;
}

static void seconds_add_up(void **state)
{
    (void)state;
    struct agn_swarm_second sum = {0};
    struct agn_swarm *swarm =
        new_swarm(fake_start(&(struct fake_conduct){.kind = FAKE_TWICE}), 500, (struct agn_swarm_link){0});
    const struct agn_swarm_load load = {
        .rate_fps = 100, .seconds = 1.1, .fixed = true, .second = sum_seconds, .second_user = &sum};
    struct agn_swarm_report report;
    assert_int_equal(agn_swarm_run(swarm, &load, &report), 0);
    assert_int_equal(report.offered, 110);
    assert_int_equal(sum.offered, report.offered);
    assert_int_equal(sum.answered, report.answered);
    assert_int_equal(sum.fallbacks, report.fallbacks);
    assert_int_equal(sum.second, 2);
    agn_swarm_free(swarm);
    fake_stop();
}

static void count_steps(void *user, const struct agn_swarm_report *report, bool sustained)
{
    (void)report;
    ((int *)user)[sustained]++;
}

/* A server that takes 5 ms a frame sustains at most 200 a second. */
static void the_ramp_finds_the_limit(void **state)
{
    (void)state;
    int steps[2] = {0};
    struct agn_swarm *swarm =
        new_swarm(fake_start(&(struct fake_conduct){.kind = FAKE_SLOW}), 100, (struct agn_swarm_link){0});
    const struct agn_swarm_ramp ramp = {.load = {.rate_fps = 80, .seconds = 0.15, .fixed = true},
                                        .fallback_limit = 0.05,
                                        .precision = 1.5,
                                        .step = count_steps,
                                        .step_user = steps};
    struct agn_swarm_ramp_report report;
    assert_int_equal(agn_swarm_ramp(swarm, &ramp, &report), 0);
    assert_true(steps[0] >= 2);
    if (report.found) { /* a machine that is very busy may not even do 1 frame a second */
        assert_true(report.highest.offered_fps < 500); /* 25 ms of it may wait when the load ends */
        assert_true(report.highest.fallback_rate <= 0.05);
        assert_true(report.half.offered_fps < 0.8 * report.highest.offered_fps);
        assert_int_equal(report.half.lost_predictions, 0);
    }
    agn_swarm_free(swarm);
    fake_stop();
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    struct agn_swarm_config good = {.port = 9,
                                    .model = link_world.bytes,
                                    .model_bytes = link_world.size,
                                    .data = &data,
                                    .devices = 1,
                                    .deadline_ms = 100};
    struct agn_swarm *swarm = NULL;
    struct agn_dataset other = data;
    struct agn_swarm_config bad = good;
    bad.devices = 0;
    assert_int_equal(agn_swarm_create(&swarm, &bad), AGN_ERR_ARG);
    bad = good;
    bad.deadline_ms = 0;
    assert_int_equal(agn_swarm_create(&swarm, &bad), AGN_ERR_ARG);
    bad = good;
    bad.link.loss = 1.5;
    assert_int_equal(agn_swarm_create(&swarm, &bad), AGN_ERR_ARG);
    bad = good;
    bad.link.delay_s = (double)NAN;
    assert_int_equal(agn_swarm_create(&swarm, &bad), AGN_ERR_ARG);
    bad = good;
    bad.model_bytes = 100;
    assert_true(agn_swarm_create(&swarm, &bad) < 0);
    bad = good;
    other.height++;
    bad.data = &other;
    assert_int_equal(agn_swarm_create(&swarm, &bad), AGN_ERR_MISMATCH);
    assert_non_null(strstr(agn_error_message(), "but the device model takes"));
    bad = good;
    bad.host = "no.such.host.invalid";
    assert_int_equal(agn_swarm_create(&swarm, &bad), AGN_ERR_NOT_FOUND);
    assert_null(swarm);
    swarm = new_swarm(9, 100, (struct agn_swarm_link){0});
    struct agn_swarm_load load = {.rate_fps = 0, .seconds = 1};
    struct agn_swarm_report report;
    assert_int_equal(agn_swarm_run(swarm, &load, &report), AGN_ERR_ARG);
    load = (struct agn_swarm_load){.rate_fps = 1, .seconds = (double)INFINITY};
    assert_int_equal(agn_swarm_run(swarm, &load, &report), AGN_ERR_ARG);
    const struct agn_swarm_ramp ramp = {.load = {.rate_fps = 0.5, .seconds = 1}};
    struct agn_swarm_ramp_report searched;
    assert_int_equal(agn_swarm_ramp(swarm, &ramp, &searched), AGN_ERR_ARG);
    assert_non_null(strstr(agn_error_message(), "begins at 0.5 frames/s, expected 1 to"));
    agn_swarm_free(swarm);
}

static void an_interrupt_ends_a_run_in_order(void **state)
{
    (void)state;
    struct agn_swarm *swarm =
        new_swarm(fake_start(&(struct fake_conduct){.kind = FAKE_TWICE}), 100, (struct agn_swarm_link){0});
    const struct agn_swarm_load load = {.rate_fps = 100, .seconds = 3600};
    struct agn_swarm_report report;
    agn_interrupt_request();
    assert_int_equal(agn_swarm_run(swarm, &load, &report), 0);
    agn_interrupt_clear();
    assert_true(report.seconds < 60);
    assert_int_equal(report.lost_predictions, 0);
    agn_swarm_free(swarm);
    fake_stop();
}

static void interrupt(void *user, const struct agn_swarm_second *second)
{
    (void)user;
    (void)second;
    agn_interrupt_request();
}

static void an_interrupt_waits_for_no_deadline(void **state)
{
    (void)state;
    uint16_t port = fake_start(&(struct fake_conduct){.kind = FAKE_SILENT});
    struct agn_swarm *swarm =
        new_swarm(port, AGN_SWARM_MAX_DEADLINE_MS, (struct agn_swarm_link){.delay_s = 0.01});
    const struct agn_swarm_load load = {.rate_fps = 100, .seconds = 3600, .second = interrupt};
    struct agn_swarm_report report;
    assert_int_equal(agn_swarm_run(swarm, &load, &report), 0);
    agn_interrupt_clear();
    assert_true(report.seconds < 30);
    assert_true(report.offered > 0);
    assert_int_equal(report.timed_out, report.offered);
    assert_int_equal(report.lost_predictions, 0);
    agn_swarm_free(swarm);
    fake_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_are_those_of_a_device),
        cmocka_unit_test(a_bad_link_costs_answers_only),
        cmocka_unit_test(nobody_there_costs_nothing_but_answers),
        cmocka_unit_test(refusals_end_frames_at_once),
        cmocka_unit_test(devices_pause_when_asked_to),
        cmocka_unit_test(late_refusals_pause_too),
        cmocka_unit_test(odd_answers_are_not_counted_twice),
        cmocka_unit_test(another_model_ends_the_run),
        cmocka_unit_test(a_model_that_goes_is_counted),
        cmocka_unit_test(seconds_add_up),
        cmocka_unit_test(the_ramp_finds_the_limit),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(an_interrupt_ends_a_run_in_order),
        cmocka_unit_test(an_interrupt_waits_for_no_deadline),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
