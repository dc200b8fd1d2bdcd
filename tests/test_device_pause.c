/* Pauses that a server asks for: how long, what ends them, and what no server can make of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agn_pause.h"

/* Milliseconds from now_ms on during which the pause is on, found step by step. */
static uint32_t measure(const struct agn_pause *pause, uint32_t now_ms)
{
    struct agn_pause copy = *pause;
    uint32_t ms = 0;
    while (agn_pause_is_on(&copy, now_ms + ms))
        ms++;
    return ms;
}

static void there_is_none_at_first(void **state)
{
    (void)state;
    struct agn_pause pause = {0};
    assert_false(agn_pause_is_on(&pause, 0));
    assert_false(agn_pause_is_on(&pause, UINT32_MAX));
    agn_pause_refused(&pause, 0, 5, 1); /* 0 s: try again at once */
    assert_false(agn_pause_is_on(&pause, 5));
    assert_int_equal(pause.refusals, 0);
}

static void it_takes_what_the_server_says_and_up_to_half_more(void **state)
{
    (void)state;
    static const uint32_t begins[] = {0, 12345, UINT32_MAX - 1200, UINT32_MAX};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        for (uint32_t noise = 0; noise < 20; noise++) {
            struct agn_pause pause = {0};
            agn_pause_refused(&pause, 2, begins[i], noise);
            assert_in_range(measure(&pause, begins[i]), 2000, 2999);
        }
}

/* Ten thousand devices, numbered in order, refused in the same millisecond: in each tenth of the time in
 * which they come back there is about a tenth of them. */
static void devices_come_back_spread(void **state)
{
    (void)state;
    enum { DEVICES = 10000, PARTS = 10 };
    int parts[PARTS] = {0};
    for (uint32_t device = 0; device < DEVICES; device++) {
        struct agn_pause pause = {0};
        agn_pause_refused(&pause, 1, 77, device);
        uint32_t extra = pause.length_ms - 1000;
        assert_true(extra < 500);
        parts[extra * PARTS / 500]++;
    }
    for (int i = 0; i < PARTS; i++)
        assert_in_range(parts[i], DEVICES / PARTS * 8 / 10, DEVICES / PARTS * 12 / 10);
}

static void refusals_in_a_row_double_it(void **state)
{
    (void)state;
    static const uint32_t expected_s[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct agn_pause pause = {0};
    uint32_t now_ms = UINT32_MAX - 3000;
    for (size_t i = 0; i < sizeof expected_s / sizeof *expected_s; i++) {
        agn_pause_refused(&pause, 1, now_ms, (uint32_t)i);
        assert_in_range(pause.length_ms, 1000 * expected_s[i], 1500 * expected_s[i]);
        assert_false(agn_pause_is_on(&pause, now_ms += pause.length_ms));
    }
    agn_pause_refused(&pause, 1, now_ms, 0);
    agn_pause_answered(&pause); /* a frame sent before: the pause goes on, the next one is short again */
    assert_true(agn_pause_is_on(&pause, now_ms + 59999));
    now_ms += 90000;
    agn_pause_refused(&pause, 1, now_ms, 0);
    assert_in_range(measure(&pause, now_ms), 1000, 1499);
}

/* Refusals of frames that were sent before the pause neither lengthen nor double it; a server that goes away
 * and says so does. */
static void what_was_under_way_changes_nothing(void **state)
{
    (void)state;
    struct agn_pause pause = {0};
    agn_pause_refused(&pause, 2, 1000, 9);
    struct agn_pause before = pause;
    for (uint32_t i = 1; i < 100; i++)
        agn_pause_refused(&pause, 2, 1000 + i, i);
    agn_pause_refused(&pause, 0, 1500, 9);
    assert_memory_equal(&pause, &before, sizeof pause);
    agn_pause_refused(&pause, 5, 1500, 9);
    assert_in_range(measure(&pause, 1500), 5000, 7499);
    assert_int_equal(pause.refusals, 1);
}

static void no_server_silences_a_device_for_long(void **state)
{
    (void)state;
    static const uint32_t ages[] = {61, 3600, 0x7FFFFFFF, 0x80000000, UINT32_MAX, UINT32_MAX / 1000 + 1};
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
        struct agn_pause pause = {0};
        for (uint32_t now_ms = 1; now_ms < 1000000; now_ms += 1000)
            agn_pause_refused(&pause, ages[i], now_ms, now_ms);
        assert_in_range(pause.length_ms, 60000, 89999);
        uint32_t end_ms = pause.begin_ms + pause.length_ms;
        assert_false(agn_pause_is_on(&pause, end_ms));
        assert_false(agn_pause_is_on(&pause, end_ms - 1)); /* over is over, also when the clock has wrapped */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_none_at_first),
        cmocka_unit_test(it_takes_what_the_server_says_and_up_to_half_more),
        cmocka_unit_test(devices_come_back_spread),
        cmocka_unit_test(refusals_in_a_row_double_it),
        cmocka_unit_test(what_was_under_way_changes_nothing),
        cmocka_unit_test(no_server_silences_a_device_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
