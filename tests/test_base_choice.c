/* The choice between two ways, on made-up times: no clock is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agilenn/base.h"

/* `count` calls of one unit; a way's call takes cost[way]. Returns how many went by way 1. */
static int run(struct agn_choice *choice, int count, double cost0, double cost1)
{
    const double cost[2] = {cost0, cost1};
    int second = 0;
    for (int i = 0; i < count; i++) {
        second += choice->way;
        agn_choice_report(choice, 1.0, cost[choice->way]);
    }
    return second;
}

static void quiet_stays_with_the_usual_way(void **state)
{
    (void)state;
    struct agn_choice choice = {0};
    assert_int_equal(run(&choice, 2, 1.0, 1.6), 0); /* the first is cold, the second measures */
    assert_int_equal(run(&choice, 1000, 1.0, 1.6), 1);
    assert_int_equal(choice.way, 0);
    assert_int_equal(run(&choice, 1000, 1.1, 1.7), 0); /* noise is no reason to try */
}

static void goes_to_the_faster_way_and_back(void **state)
{
    (void)state;
    struct agn_choice choice = {0};
    run(&choice, 10, 1.0, 1.6);
    assert_true(run(&choice, 100, 5.0, 2.0) > 80);
    assert_int_equal(choice.way, 1);
    run(&choice, 40, 1.0, 1.6); /* quiet again: found out by the next trial */
    assert_int_equal(choice.way, 0);
    assert_int_equal(run(&choice, 100, 1.0, 1.6), 0);
}

static void trials_cost_little(void **state)
{
    (void)state;
    struct agn_choice choice = {0};
    run(&choice, 100, 5.0, 2.0);
    assert_true(run(&choice, 1600, 5.0, 2.0) >= 1500);
}

static void busy_from_the_beginning(void **state)
{
    (void)state;
    struct agn_choice choice = {0};
    run(&choice, 3, 5.0, 2.0);
    assert_int_equal(choice.way, 1);
}

/* One call that was interrupted weighs no more than its share of a window. */
static void calls_make_windows(void **state)
{
    (void)state;
    struct agn_choice choice = {.window_s = 100.0};
    run(&choice, 400, 1.0, 1.6);
    assert_int_equal(choice.way, 0);
    agn_choice_report(&choice, 1.0, 20.0);
    assert_int_equal(run(&choice, 300, 1.0, 1.6), 0);
    assert_int_equal(choice.way, 0);
}

static void nothing_done_is_no_measurement(void **state)
{
    (void)state;
    struct agn_choice choice = {0};
    for (int i = 0; i < 10; i++)
        agn_choice_report(&choice, 0.0, 0.0);
    assert_int_equal(choice.way, 0);
    assert_false(choice.warm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(quiet_stays_with_the_usual_way),
                                       cmocka_unit_test(goes_to_the_faster_way_and_back),
                                       cmocka_unit_test(trials_cost_little),
                                       cmocka_unit_test(busy_from_the_beginning),
                                       cmocka_unit_test(calls_make_windows),
                                       cmocka_unit_test(nothing_done_is_no_measurement)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
