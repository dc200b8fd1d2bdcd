/* src/fit: dominance, limits, the choice, successive halving on a made-up trainer and clock, resuming. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/fit.h"
#include "fit/fit_internal.h"
#include "support/temp_folder.h"

enum { TRAIN_IMAGES = 10000, VALIDATION_IMAGES = 1000 };

static const struct agn_board board = {.name = "test",
                                       .target = "cortex-m7",
                                       .clock_mhz = 200.0,
                                       .rated_mhz = 200.0,
                                       .ram_bytes = 1e6,
                                       .flash_bytes = 1e6,
                                       .volts = 3.3,
                                       .image_ms = 0.01,
                                       .cycles_per_instruction = {0.8, 1.0, 1.2},
                                       .relative_instructions = {1.0, 1.0, 1.0},
                                       .run_ma = {90.0, 100.0, 110.0},
                                       .wait_ma = {10.0, 20.0, 30.0},
                                       .rest_mw = {100.0, 200.0, 300.0}};
static const struct agn_radio radio = {.name = "test",
                                       .rate_kbps = 1000.0,
                                       .volts = 3.3,
                                       .header_bytes = 28.0,
                                       .longest_bytes = 1400.0,
                                       .send_ms = {1.0, 1.0, 1.0},
                                       .air_ms = {1.0, 1.0, 1.0},
                                       .network_ms = {1.0, 1.0, 1.0},
                                       .receive_ms = {1.0, 1.0, 1.0},
                                       .sleep_ma = {1.0, 1.0, 1.0},
                                       .idle_ma = {50.0, 50.0, 50.0},
                                       .transmit_ma = {200.0, 200.0, 200.0},
                                       .receive_ma = {60.0, 60.0, 60.0}};

/* ---- a made-up trainer ------------------------------------------------------------------------- */

static struct world {
    double now_s;
    int calls, interrupt_at; /* the call that is interrupted; 0: none */
    int finished[AGN_FIT_MOST][AGN_FIT_RUNGS];
    char names[AGN_FIT_MOST][AGN_FIT_NAME];
    int name_count;
    double image_s, overhead_s;
} world;

static int number_of(const struct agn_fit_candidate *candidate)
{
    for (int i = 0; i < world.name_count; i++)
        if (strcmp(world.names[i], candidate->name) == 0)
            return i;
    snprintf(world.names[world.name_count], AGN_FIT_NAME, "%s", candidate->name);
    return world.name_count++;
}

/* The later the candidate, the larger and the better. */
static int needs(void *user, const struct agn_board *on, struct agn_fit_candidate *candidate)
{
    (void)user;
    (void)on;
    int number = number_of(candidate);
    candidate->ram_bytes = 4000.0 + 100.0 * number;
    candidate->flash_bytes = 20000.0 + 1000.0 * number;
    candidate->work = (struct agn_work){.extract_instructions = 1e5 * (number + 1),
                                        .encode_instructions = 1e4,
                                        .packets = 1.0,
                                        .packet_bytes = 200.0,
                                        .reply_bytes = 60.0};
    return AGN_OK;
}

static int train(void *user, const struct agn_fit_candidate *candidate, int rung, double images,
                 double deadline_s, bool *late, struct agn_fit_result *result)
{
    (void)user;
    int number = number_of(candidate);
    double takes_s = world.overhead_s + images * world.image_s * (1.0 + 0.05 * number);
    *late = false;
    if (++world.calls == world.interrupt_at) {
        world.now_s += 0.5 * takes_s;
        return agn_fail(AGN_ERR_INTERRUPTED, "made up");
    }
    if (world.now_s + takes_s > deadline_s) {
        world.now_s = fmax(deadline_s, world.now_s);
        *late = true;
        return agn_fail(AGN_ERR_INTERRUPTED, "late");
    }
    world.now_s += takes_s;
    if (rung >= 0)
        world.finished[number][rung]++;
    double accuracy = (0.5 + 0.02 * number) * (1.0 - exp(-images / 2000.0));
    *result = (struct agn_fit_result){.images = images,
                                      .seconds = takes_s,
                                      .overhead_s = world.overhead_s,
                                      .measured_images = VALIDATION_IMAGES,
                                      .local_accuracy = accuracy - 0.1,
                                      .packets = 1.0,
                                      .packet_bytes = 150.0,
                                      .count = 2,
                                      .points = {{0.0, accuracy, 1.0}, {0.9, accuracy - 0.02, 0.3}}};
    return AGN_OK;
}

static double now(void *user)
{
    (void)user;
    return world.now_s;
}

static const struct agn_fit_trainer made_up = {.needs = needs, .train = train, .now = now};
static struct agn_dataset
    train_set = {.count = TRAIN_IMAGES, .height = 28, .width = 28, .channels = 1, .classes = 10},
    validation_set = {.count = VALIDATION_IMAGES, .height = 28, .width = 28, .channels = 1, .classes = 10};

static void base_of(int side, int channels, struct agn_preset *preset)
{
    agn_preset_defaults(preset);
    snprintf(preset->name, sizeof preset->name, "base");
    snprintf(preset->data.path, sizeof preset->data.path, "/nowhere");
    preset->data.height = preset->data.width = side;
    preset->data.channels = channels;
    preset->data.classes = 10;
    snprintf(preset->model.reference, sizeof preset->model.reference, "mobilenetv2-tiny");
    snprintf(preset->model.remote, sizeof preset->model.remote, "mobilenetv2-tiny");
    preset->reference.epochs = 10.0;
    preset->joint.epochs = 90.0;
}

static struct agn_fit_config usual(const char *out, double seconds)
{
    static struct agn_preset base;
    base_of(28, 1, &base);
    memset(&world, 0, sizeof world);
    world.image_s = 1e-4;
    world.overhead_s = 0.05;
    return (struct agn_fit_config){.base = base,
                                   .board = board,
                                   .radio = radio,
                                   .seconds = seconds,
                                   .out = temp_path("%s", out),
                                   .train = &train_set,
                                   .validation = &validation_set,
                                   .trainer = &made_up};
}

static int trainings_on(int rung)
{
    int count = 0;
    for (int c = 0; c < AGN_FIT_MOST; c++)
        count += world.finished[c][rung];
    return count;
}

/* ---- single designs ------------------------------------------------------------------------------ */

static struct agn_fit_design design(int candidate, double accuracy, double ms, double mj)
{
    return (struct agn_fit_design){.candidate = candidate,
                                   .point = {.accuracy = accuracy},
                                   .latency_ms = ms,
                                   .energy_mj = mj,
                                   .ram_bytes = 1000.0,
                                   .flash_bytes = 1000.0};
}

static void better_in_one_and_worse_in_none_dominates(void **state)
{
    (void)state;
    struct agn_fit_design a = design(0, 0.9, 1.0, 1.0), b = design(1, 0.9, 1.0, 2.0);
    assert_true(agn_fit_dominates(&a, &b));
    assert_false(agn_fit_dominates(&b, &a));
    assert_false(agn_fit_dominates(&a, &a));
    b.point.accuracy = 0.91;
    assert_false(agn_fit_dominates(&a, &b));
    b.point.accuracy = 0.9;
    b.flash_bytes = 999.0;
    assert_false(agn_fit_dominates(&a, &b));
}

static void the_front_is_what_nothing_dominates(void **state)
{
    (void)state;
    struct agn_fit_design d[] = {design(0, 0.9, 5.0, 5.0), design(1, 0.8, 1.0, 1.0), design(2, 0.8, 2.0, 2.0),
                                 design(3, 0.9, 5.0, 5.0)};
    agn_fit_mark_front(d, 4);
    assert_true(d[0].front && d[1].front && d[3].front);
    assert_false(d[2].front);
}

static void limits_are_missed_one_by_one(void **state)
{
    (void)state;
    const struct agn_fit_design d = design(0, 0.8, 5.0, 7.0);
    struct agn_fit_limits limits = {{0}};
    assert_int_equal(agn_fit_missed(&d, &limits), 0);
    limits.value[AGN_FIT_LATENCY] = 5.0;
    limits.value[AGN_FIT_ACCURACY] = 0.8;
    assert_int_equal(agn_fit_missed(&d, &limits), 0);
    limits.value[AGN_FIT_LATENCY] = 4.9;
    limits.value[AGN_FIT_ENERGY] = 1.0;
    limits.value[AGN_FIT_ACCURACY] = 0.81;
    assert_int_equal(agn_fit_missed(&d, &limits),
                     1U << AGN_FIT_LATENCY | 1U << AGN_FIT_ENERGY | 1U << AGN_FIT_ACCURACY);
}

static void of_equals_the_one_of_least_energy_is_recommended(void **state)
{
    (void)state;
    struct agn_fit_limits limits = {{0}};
    struct agn_fit_design d[] = {design(0, 0.900, 1.0, 9.0), design(1, 0.895, 1.0, 3.0),
                                 design(2, 0.850, 1.0, 1.0), design(3, 0.990, 1.0, 1.0)};
    d[3].missed = 1U << AGN_FIT_RAM;
    assert_int_equal(agn_fit_recommend(d, 4, &limits, 1000), 1); /* a standard error is 0.0095 */
    assert_int_equal(agn_fit_recommend(d, 4, &limits, 1000000), 0);
    limits.value[AGN_FIT_ACCURACY] = 0.84;
    assert_int_equal(agn_fit_recommend(d, 4, &limits, 1000), 2);
    for (int i = 0; i < 3; i++)
        d[i].missed = 1U << AGN_FIT_ENERGY;
    assert_int_equal(agn_fit_recommend(d, 4, &limits, 1000), -1);
}

static void survivors_are_the_best_and_the_frugal_by_turns(void **state)
{
    (void)state;
    int survivors[AGN_FIT_MOST];
    struct agn_fit_design d[] = {design(0, 0.90, 1.0, 9.0), design(0, 0.60, 1.0, 0.1),
                                 design(1, 0.89, 1.0, 8.0), design(2, 0.87, 1.0, 1.0),
                                 design(3, 0.50, 1.0, 0.5), design(4, 0.99, 1.0, 1.0)};
    static struct agn_fit_candidate all[5]; /* of one system */
    d[5].missed = 1U << AGN_FIT_ENERGY;
    assert_int_equal(agn__fit_choose_survivors(all, d, 6, 3, survivors), 3);
    assert_int_equal(survivors[0], 0);
    assert_int_equal(survivors[1],
                     1); /* the most accurate one left; 3 needs less, but is far from the best */
    assert_int_equal(survivors[2], 2);
    assert_int_equal(agn__fit_choose_survivors(all, d, 6, 9, survivors), 5);
    assert_int_equal(survivors[4], 4); /* what misses a limit comes last, however good */
}

static void each_system_and_the_base_go_on(void **state)
{
    (void)state;
    int survivors[AGN_FIT_MOST];
    static struct agn_fit_candidate all[5];
    snprintf(all[1].preset.model.system, sizeof all[1].preset.model.system, "agilenn"); /* as "" is */
    snprintf(all[3].preset.model.system, sizeof all[3].preset.model.system, "local-only");
    snprintf(all[4].preset.model.system, sizeof all[4].preset.model.system, "deepcod");
    all[2].is_base = true;
    const struct agn_fit_design d[] = {design(0, 0.90, 1.0, 9.0), design(1, 0.89, 1.0, 8.0),
                                       design(2, 0.40, 1.0, 20.0), design(3, 0.60, 1.0, 30.0),
                                       design(4, 0.11, 1.0, 1.0)};
    assert_int_equal(agn__fit_choose_survivors(all, d, 5, 2, survivors), 3);
    assert_int_equal(survivors[0], 2); /* the base, beside two */
    assert_int_equal(survivors[1], 3); /* its system's best */
    assert_int_equal(survivors[2], 0); /* the best of all */
    assert_int_equal(agn__fit_choose_survivors(all, d, 5, 3, survivors),
                     4); /* but not one that learned nothing */
    assert_int_equal(survivors[3], 1);
}

static void expect_refusal(enum agn_fit_limit limit, double value, const char *words)
{
    struct agn_fit_limits limits = {{0}};
    limits.value[limit] = value;
    assert_int_equal(agn_fit_check_limits(&limits, &board, &radio), AGN_ERR_RANGE);
    assert_non_null(strstr(agn_error_message(), words));
}

static void what_nothing_can_meet_is_refused_at_once(void **state)
{
    (void)state;
    const struct agn_fit_limits fair = {{100.0, 100.0, 50000.0, 100000.0, 0.9}};
    assert_int_equal(agn_fit_check_limits(&fair, &board, &radio), AGN_OK);
    expect_refusal(AGN_FIT_ACCURACY, 1.2, "at most 1");
    expect_refusal(AGN_FIT_LATENCY, 0.009, "for the image alone");
    expect_refusal(AGN_FIT_ENERGY, 1e-6, "before anything is computed");
    expect_refusal(AGN_FIT_FLASH, 1024.0, "the library's code alone");
    expect_refusal(AGN_FIT_RAM, 1024.0, "a packet alone");
    expect_refusal(AGN_FIT_RAM, -1.0, "--ram");
    expect_refusal(AGN_FIT_ENERGY, (double)NAN, "--energy");
}

/* ---- the space ------------------------------------------------------------------------------------- */

static void every_candidate_can_be_built(void **state)
{
    (void)state;
    static struct agn_fit_candidate candidates[AGN_FIT_MOST];
    static struct agn_preset base;
    const int sizes[][2] = {{28, 1}, {32, 3}, {48, 3}, {64, 3}, {96, 1}, {96, 3}};
    for (size_t i = 0; i < AGN_COUNT_OF(sizes); i++) {
        base_of(sizes[i][0], sizes[i][1], &base);
        int count = agn_fit_space(&base, true, candidates);
        assert_in_range(count, 13, AGN_FIT_MOST);
        assert_true(candidates[0].is_base && !candidates[1].is_base);
        for (int c = 0; c < count; c++) {
            if (candidates[c].dropped[0] != '\0')
                print_error("%d pixels, %s: %s\n", sizes[i][0], candidates[c].name, candidates[c].dropped);
            assert_string_equal(candidates[c].dropped, "");
            assert_string_not_equal(candidates[c].preset.data.validation, "");
            for (int other = 0; other < c; other++)
                assert_string_not_equal(candidates[c].name, candidates[other].name);
        }
    }
}

static void needs_of_a_real_candidate_are_sane(void **state)
{
    (void)state;
    static struct agn_fit_candidate candidates[AGN_FIT_MOST];
    static struct agn_preset base;
    base_of(28, 1, &base);
    agn_fit_space(&base, false, candidates);
    assert_int_equal(agn_fit_needs(&board, &candidates[0]), AGN_OK); /* a split */
    assert_true(candidates[0].ram_bytes > 2000.0 && candidates[0].ram_bytes < 40000.0);
    assert_true(candidates[0].flash_bytes > 16000.0 && candidates[0].flash_bytes < 100000.0);
    assert_true(candidates[0].work.extract_instructions > 5e4);
    assert_true(candidates[0].work.packets >= 1.0 && candidates[0].work.sent_share == 0.0);
    assert_int_equal(agn_fit_needs(&board, &candidates[1]), AGN_OK); /* JPEG: all is sent */
    assert_true(candidates[1].work.sent_share == 1.0);
    assert_int_equal(agn_fit_needs(&board, &candidates[2]), AGN_OK); /* alone: nothing is */
    assert_true(candidates[2].work.packets == 0.0);
}

/* ---- the search ------------------------------------------------------------------------------------- */

static struct agn_fit_report *search(const struct agn_fit_config *config)
{
    struct agn_fit_report *report = NULL;
    int status = agn_fit_run(config, &report);
    if (status < 0)
        print_error("%s\n", agn_error_message());
    assert_int_equal(status, AGN_OK);
    return report;
}

static void halving_keeps_a_third_and_the_budget(void **state)
{
    (void)state;
    const double seconds = 300.0;
    const struct agn_fit_config config = usual("a", seconds);
    struct agn_fit_report *report = search(&config);
    int all = report->candidate_count;
    assert_int_equal(report->rungs, 4);
    assert_int_equal(trainings_on(0), all);
    assert_int_equal(trainings_on(1), (all + 2) / 3);
    assert_int_equal(trainings_on(2), ((all + 2) / 3 + 2) / 3);
    assert_true(world.now_s <= 1.02 * seconds);
    assert_true(world.now_s >= 0.85 * seconds);
    /* The best one is trained to the end, and its design has the highest accuracy. */
    assert_int_equal(report->candidates[all - 1].rung, 3);
    assert_true(report->recommended >= 0);
    assert_true(report->designs[report->recommended].point.accuracy > 0.8);
    for (int c = 0; c < all; c++)
        assert_true((report->candidates[c].rung < 3) == (report->candidates[c].dropped[0] != '\0'));
    agn_fit_report_free(report);
}

static void a_short_budget_takes_fewer_candidates_and_holds(void **state)
{
    (void)state;
    for (double seconds = 2.0; seconds < 40.0; seconds *= 1.7) {
        char out[32];
        snprintf(out, sizeof out, "short-%.0f", 10.0 * seconds);
        const struct agn_fit_config config = usual(out, seconds);
        struct agn_fit_report *report = search(&config);
        assert_true(world.now_s <= 1.1 * seconds);
        assert_true(report->recommended >= 0);
        assert_true(report->trainings >= 1);
        agn_fit_report_free(report);
    }
    const struct agn_fit_config none = usual("none", 0.1);
    struct agn_fit_report *report = NULL;
    assert_int_equal(agn_fit_run(&none, &report), AGN_ERR_STATE);
    assert_non_null(strstr(agn_error_message(), "more --time"));
    assert_null(report);
}

static void what_cannot_fit_is_not_trained_but_one_probe(void **state)
{
    (void)state;
    struct agn_fit_config config = usual("limits", 300.0);
    config.limits.value[AGN_FIT_FLASH] = 27500.0; /* candidates 0 to 7 */
    struct agn_fit_report *report = search(&config);
    assert_int_equal(trainings_on(0), 9);
    for (int c = 8; c < report->candidate_count - 1; c++) {
        assert_int_equal(world.finished[c][0], 0);
        assert_non_null(strstr(report->candidates[c].dropped, "flash"));
    }
    assert_int_equal(report->designs[report->recommended].candidate, 7);
    assert_int_equal(report->price_count, 1);
    const struct agn_fit_price *price = &report->prices[0];
    assert_int_equal(price->limit, AGN_FIT_FLASH);
    assert_true(price->without >= 0 && price->with >= 0);
    const struct agn_fit_design *without = &report->designs[price->without];
    assert_int_equal(without->candidate, report->candidate_count - 1);
    assert_int_equal(without->rung, report->designs[price->with].rung);
    assert_true(without->point.accuracy > report->designs[price->with].point.accuracy);
    agn_fit_report_free(report);
}

static void where_nothing_fits_the_nearest_is_told(void **state)
{
    (void)state;
    struct agn_fit_config config = usual("nothing", 60.0);
    config.limits.value[AGN_FIT_FLASH] = 19000.0;
    struct agn_fit_report *report = search(&config);
    assert_int_equal(report->recommended, -1);
    assert_int_equal(report->trainings, 0);
    assert_int_equal(world.calls, 0);
    assert_int_equal(report->prices[0].nearest, -1);
    assert_int_equal(report->prices[0].nearest_untrained, 0);
    assert_true(report->prices[0].needed_untrained == 20000.0);
    agn_fit_report_free(report);
    config = usual("floor", 60.0); /* a floor that training does not reach: the nearest was measured */
    config.limits.value[AGN_FIT_ACCURACY] = 0.99;
    report = search(&config);
    assert_int_equal(report->recommended, -1);
    assert_true(report->prices[0].nearest >= 0);
    agn_fit_report_free(report);
}

/* Interrupted at its n-th training each time, and gone on with: nothing is trained twice. */
static void a_resumed_search_repeats_nothing(void **state)
{
    (void)state;
    for (int every = 2; every <= 9; every += 7) {
        char out[32];
        snprintf(out, sizeof out, "resumed-%d", every);
        struct agn_fit_config config = usual(out, 300.0);
        struct agn_fit_report *report = NULL;
        int parts = 0, status = AGN_ERR_INTERRUPTED;
        while (status == AGN_ERR_INTERRUPTED && parts++ < 60) {
            world.calls = 0;
            world.interrupt_at = parts == 1 ? 6 : every; /* the first trainings are pilots */
            status = agn_fit_run(&config, &report);
            config.resume = true;
            world.now_s += 1000.0; /* pauses do not count */
        }
        assert_int_equal(status, AGN_OK);
        assert_true(parts > 3);
        for (int c = 0; c < AGN_FIT_MOST; c++)
            for (int rung = 0; rung < AGN_FIT_RUNGS; rung++)
                assert_in_range(world.finished[c][rung], 0, 1);
        assert_int_equal(trainings_on(0), report->candidate_count);
        assert_true(report->recommended >= 0);
        assert_true(report->seconds <= 1.1 * config.seconds);
        agn_fit_report_free(report);
    }
}

static void a_finished_search_is_read_again(void **state)
{
    (void)state;
    struct agn_fit_config config = usual("again", 100.0);
    struct agn_fit_report *first = search(&config);
    int calls = world.calls;
    config.resume = true;
    struct agn_fit_report *second = search(&config);
    assert_int_equal(world.calls, calls);
    assert_int_equal(second->recommended, first->recommended);
    assert_int_equal(second->design_count, first->design_count);
    assert_int_equal(second->trainings, first->trainings);
    for (int c = 0; c < first->candidate_count; c++)
        assert_string_equal(first->candidates[c].dropped, second->candidates[c].dropped);
    agn_fit_report_free(first);
    agn_fit_report_free(second);
}

static void expect_failure(const struct agn_fit_config *config, int status, const char *words)
{
    struct agn_fit_report *report = NULL;
    assert_int_equal(agn_fit_run(config, &report), status);
    assert_non_null(strstr(agn_error_message(), words));
    assert_null(report);
}

/* Version 2: 9 bytes less around the packet, an answer of 18 bytes; what was measured is in its version. */
static void the_shorter_wire_costs_less(void **state)
{
    (void)state;
    struct agn_fit_config config = usual("wires", 20.0);
    struct agn_fit_candidate *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(needs(NULL, &board, c), 0);
    c->work.sent_share = 1.0;
    const struct agn_fit_result result = {.local_accuracy = 0.8, .packets = 1.0, .packet_bytes = 150.0};
    const struct agn_fit_point point = {0.0, 0.9, 1.0};
    struct agn_fit_design of[3], measured;
    for (int protocol = 1; protocol <= 2; protocol++) {
        config.protocol = protocol;
        assert_int_equal(agn__fit_design_make(&config, c, NULL, NULL, &of[protocol]), 0);
        assert_int_equal(agn__fit_design_make(&config, c, &result, &point, &measured), 0);
        assert_float_equal(measured.packet_bytes, 150.0, 1e-9);
    }
    assert_float_equal(of[1].packet_bytes, 200.0, 1e-9);
    assert_float_equal(of[2].packet_bytes, 191.0, 1e-9);
    assert_true(of[2].energy_mj < of[1].energy_mj);
    /* on the air: 9 bytes one way, 60 - (18 + 7) the other, at 1 Mbit/s */
    const struct agn_interval *one = of[1].cost.stage_ms, *two = of[2].cost.stage_ms;
    assert_true(fabs(one[AGN_COST_AIR].typical - two[AGN_COST_AIR].typical - 9.0 * 8e-3) < 1e-9);
    assert_true(fabs(one[AGN_COST_BACK].typical - two[AGN_COST_BACK].typical - 35.0 * 8e-3) < 1e-9);
    free(c);
}

static void other_searches_are_refused(void **state)
{
    (void)state;
    struct agn_fit_config config = usual("other", 20.0);
    config.resume = true;
    expect_failure(&config, AGN_ERR_NOT_FOUND, "no search");
    config.resume = false;
    agn_fit_report_free(search(&config));
    expect_failure(&config, AGN_ERR_STATE, "--resume");
    config.resume = true;
    config.limits.value[AGN_FIT_LATENCY] = 7.0;
    expect_failure(&config, AGN_ERR_STATE, "latency = 0");
    config.limits.value[AGN_FIT_LATENCY] = 0.0;
    config.base.train.seed = 77;
    expect_failure(&config, AGN_ERR_STATE, "seed");
    temp_file("damaged/fit.sqlite", "this is no database, but a text that is long enough for one", 60);
    config.out = temp_path("damaged");
    expect_failure(&config, AGN_ERR_FORMAT, "fit.sqlite");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(better_in_one_and_worse_in_none_dominates),
        cmocka_unit_test(the_front_is_what_nothing_dominates),
        cmocka_unit_test(limits_are_missed_one_by_one),
        cmocka_unit_test(of_equals_the_one_of_least_energy_is_recommended),
        cmocka_unit_test(survivors_are_the_best_and_the_frugal_by_turns),
        cmocka_unit_test(each_system_and_the_base_go_on),
        cmocka_unit_test(what_nothing_can_meet_is_refused_at_once),
        cmocka_unit_test(every_candidate_can_be_built),
        cmocka_unit_test(needs_of_a_real_candidate_are_sane),
        cmocka_unit_test(halving_keeps_a_third_and_the_budget),
        cmocka_unit_test(a_short_budget_takes_fewer_candidates_and_holds),
        cmocka_unit_test(what_cannot_fit_is_not_trained_but_one_probe),
        cmocka_unit_test(where_nothing_fits_the_nearest_is_told),
        cmocka_unit_test(a_resumed_search_repeats_nothing),
        cmocka_unit_test(a_finished_search_is_read_again),
        cmocka_unit_test(the_shorter_wire_costs_less),
        cmocka_unit_test(other_searches_are_refused),
    };
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
