/* The rate estimator on made up timings: accidents, steps, silence, recovery, the counter's wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agn_device.h"
#include "agn_rate.h"

static struct agn_rate known(uint32_t bytes, uint32_t ticks)
{
    struct agn_rate rate;
    agn_rate_init(&rate);
    agn_rate_answered(&rate, bytes, 0, ticks);
    return rate;
}

static void near(uint32_t value, uint32_t expected, uint32_t tolerance)
{
    assert_in_range(value, expected - tolerance, expected + tolerance);
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct agn_rate rate;
    agn_rate_init(&rate);
    assert_int_equal(agn_rate_speed(&rate), 0);
    for (int i = 0; i < 3 * AGN_RATE_PROBE_EVERY; i++)
        assert_int_equal(agn_rate_budget(&rate, 100, 80), AGN_DEV_NO_BUDGET);
    agn_rate_answered(&rate, 500, 1000, 1020);
    near(agn_rate_speed(&rate), 25000, 1);
    near(agn_rate_budget(&rate, 100, 80), 2500, 1);
    near(agn_rate_budget(&rate, 0, 0), 0, 0);
}

static void the_counter_wraps(void **state)
{
    (void)state;
    struct agn_rate rate, other = known(700, 31);
    agn_rate_init(&rate);
    agn_rate_answered(&rate, 700, UINT32_MAX - 9, 21);
    assert_int_equal(agn_rate_speed(&rate), agn_rate_speed(&other));
    agn_rate_missed(&rate, 700, UINT32_MAX - 9, 990);
    agn_rate_missed(&rate, 700, UINT32_MAX - 9, 990);
    agn_rate_missed(&other, 700, 0, 1000);
    agn_rate_missed(&other, 700, 0, 1000);
    assert_int_equal(agn_rate_speed(&rate), agn_rate_speed(&other));
}

/* A coarse clock says 0 ticks; no bytes; the longest of both. */
static void extremes_have_a_result(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 2, 1152, 4194303, 4194304, UINT32_MAX / 2, UINT32_MAX};
    enum { COUNT = sizeof values / sizeof values[0] };
    for (unsigned i = 0; i < COUNT * COUNT * COUNT; i++) {
        struct agn_rate rate = known(values[i % COUNT], values[i / COUNT % COUNT]);
        uint32_t bytes = values[i / COUNT / COUNT];
        for (uint32_t ticks = 0; ticks < 3; ticks++) {
            agn_rate_answered(&rate, bytes, 5, 5 + ticks);
            assert_true(rate.speed > 0);
            agn_rate_missed(&rate, bytes, 5, 5 + ticks);
            assert_true(rate.speed > 0);
        }
        for (unsigned k = 0; k < COUNT; k++)
            assert_true(agn_rate_budget(&rate, values[k], 0) != AGN_DEV_NO_BUDGET);
        for (int k = 0; k < 400; k++)
            agn_rate_missed(&rate, bytes, 0, UINT32_MAX);
        assert_int_equal(rate.speed, 1);
    }
}

static void one_accident_changes_nothing(void **state)
{
    (void)state;
    struct agn_rate rate = known(1000, 20), before = rate;
    agn_rate_answered(&rate, 1000, 0, 900);
    assert_int_equal(agn_rate_speed(&rate), agn_rate_speed(&before));
    agn_rate_answered(&rate, 1000, 0, 20);
    agn_rate_missed(&rate, 1000, 0, 1000);
    assert_int_equal(agn_rate_speed(&rate), agn_rate_speed(&before));
    agn_rate_answered(&rate, 1000, 0, 20);
    assert_int_equal(agn_rate_speed(&rate), agn_rate_speed(&before));
    for (int i = 0; i < 100; i++) { /* one in two */
        agn_rate_answered(&rate, 1000, 0, i % 2 ? 20 : 500);
        assert_int_equal(agn_rate_speed(&rate), agn_rate_speed(&before));
    }
    agn_rate_answered(&rate, 1000, 0, 0); /* quick beyond measure: less than twice */
    assert_in_range(agn_rate_speed(&rate), 50000, 99999);
}

static void two_in_a_row_are_believed(void **state)
{
    (void)state;
    struct agn_rate rate = known(1000, 20);
    agn_rate_answered(&rate, 1000, 0, 400);
    agn_rate_answered(&rate, 1000, 0, 200); /* the better of the two */
    near(agn_rate_speed(&rate), 5000, 1);
    rate = known(1000, 20);
    agn_rate_missed(&rate, 1000, 0, 30); /* says no more than: less than a quarter, perhaps */
    agn_rate_missed(&rate, 1000, 0, 30);
    near(agn_rate_speed(&rate), 12500, 50);
    rate = known(1000, 20);
    agn_rate_missed(&rate, 1000, 0, 1000); /* half of this in this time */
    agn_rate_missed(&rate, 1000, 0, 1000);
    near(agn_rate_speed(&rate), 500, 2);
    rate = known(1000, 20);
    agn_rate_missed(&rate, 1000, 0, 1000);
    agn_rate_answered(&rate, 1000, 0, 400);
    near(agn_rate_speed(&rate), 2500, 2);
}

/* ---- a link -------------------------------------------------------------------------------------------- */

/* Frames of up to 2000 bytes over a link of `bytes_per_s` with 10 ms of delay and server; the deadline is
 * 100 ms, the budget made for half of it. Returns the answers of `frames`. */
struct course {
    struct agn_rate rate;
    uint32_t now, bytes, unsent; /* bytes: sent altogether */
};
enum { LEAST = 80, DEADLINE = 100, FRAME_BYTES = 2000 };

static unsigned go(struct course *course, unsigned bytes_per_s, unsigned frames, unsigned lost_percent)
{
    unsigned answers = 0;
    static uint32_t draws = 1;
    for (unsigned i = 0; i < frames; i++) {
        uint32_t budget = agn_rate_budget(&course->rate, DEADLINE / 2, LEAST);
        uint32_t bytes = budget < FRAME_BYTES ? budget : FRAME_BYTES;
        course->unsent += bytes == 0;
        course->bytes += bytes;
        course->now += DEADLINE;
        if (bytes == 0)
            continue;
        uint32_t takes = bytes_per_s > 0 ? 10 + bytes * 1000 / bytes_per_s : DEADLINE;
        draws = draws * 1664525U + 1013904223U;
        if (takes < DEADLINE && (draws >> 16) % 100 >= lost_percent) {
            agn_rate_answered(&course->rate, bytes, course->now, course->now + takes);
            answers++;
        } else {
            agn_rate_missed(&course->rate, bytes, course->now, course->now + DEADLINE);
        }
    }
    return answers;
}

static void the_budget_settles_at_what_the_link_carries(void **state)
{
    (void)state;
    for (unsigned speed = 4000; speed <= 40000; speed += 4000) {
        struct course course = {.now = UINT32_MAX - 500};
        agn_rate_init(&course.rate);
        go(&course, speed, 60, 0);
        course.bytes = 0;
        assert_int_equal(go(&course, speed, 100, 0), 100);
        near(course.bytes / 100, speed * (DEADLINE / 2 - 10) / 1000, speed / 200 + 5);
    }
}

static void a_step_costs_a_few_frames(void **state)
{
    (void)state;
    struct course course = {.now = 7};
    agn_rate_init(&course.rate);
    assert_int_equal(go(&course, 1000000, 100, 0), 100);
    assert_int_equal(course.bytes, 100 * FRAME_BYTES); /* whole frames on a good link */
    unsigned answers = go(&course, 10000, 100, 0);
    printf("    a hundredth of the rate: %u of 100 answered\n", answers);
    assert_true(answers >= 97);
    course.bytes = 0;
    assert_int_equal(go(&course, 1000000, 100, 0), 100);
    printf("    up again: %u bytes a frame of %u\n", course.bytes / 100, FRAME_BYTES);
    assert_true(course.bytes / 100 > FRAME_BYTES * 9 / 10);
}

/* A server that is away: nothing fits any more, but a probe now and then, and with its answer all is well. */
static void silence_does_not_lock_it_in(void **state)
{
    (void)state;
    struct course course = {.now = 7};
    agn_rate_init(&course.rate);
    go(&course, 1000000, 20, 0);
    go(&course, 0, 40, 0);
    course.bytes = course.unsent = 0;
    assert_int_equal(go(&course, 0, 40 * AGN_RATE_PROBE_EVERY, 0), 0);
    assert_int_equal(course.unsent, 40 * (AGN_RATE_PROBE_EVERY - 1));
    assert_int_equal(course.bytes, 40 * LEAST);
    go(&course, 1000000, 20, 0);
    course.bytes = 0;
    assert_int_equal(go(&course, 1000000, 20, 0), 20);
    assert_int_equal(course.bytes, 20 * FRAME_BYTES);
    agn_rate_init(&course.rate); /* away from the start */
    go(&course, 0, 1, 0);
    assert_int_equal(agn_rate_budget(&course.rate, DEADLINE / 2, LEAST), AGN_DEV_NO_BUDGET);
    go(&course, 0, 40, 0);
    go(&course, 50000, 20, 0);
    assert_int_equal(go(&course, 50000, 20, 0), 20);
}

/* Losses are not slowness. */
static void losses_cost_few_bytes(void **state)
{
    (void)state;
    struct course course = {.now = 7};
    agn_rate_init(&course.rate);
    unsigned answers = go(&course, 1000000, 2000, 10);
    printf("    one in ten lost: %u of 2000 answered, %u bytes a frame of %u\n", answers, course.bytes / 2000,
           FRAME_BYTES);
    assert_true(answers >= 1740 && course.bytes / 2000 > FRAME_BYTES * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(the_counter_wraps),
        cmocka_unit_test(extremes_have_a_result),
        cmocka_unit_test(one_accident_changes_nothing),
        cmocka_unit_test(two_in_a_row_are_believed),
        cmocka_unit_test(the_budget_settles_at_what_the_link_carries),
        cmocka_unit_test(a_step_costs_a_few_frames),
        cmocka_unit_test(silence_does_not_lock_it_in),
        cmocka_unit_test(losses_cost_few_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
