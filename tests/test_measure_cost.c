/* The cost of a frame: an example computed by hand, order and monotony, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agilenn/cost.h"

#define SAME(value)                                                                                          \
    {                                                                                                        \
        value, value, value                                                                                  \
    }

/* 100 MHz, one cycle an instruction: 100,000 instructions are 1 ms. 100 mW computing, 40 waiting. */
static const struct agn_board board = {
    .name = "b",
    .clock_mhz = 100,
    .rated_mhz = 100,
    .volts = 2,
    .image_ms = 3,
    .cycles_per_instruction = SAME(1),
    .relative_instructions = SAME(1),
    .run_ma = {25, 50, 100},
    .wait_ma = {10, 20, 30},
    .rest_mw = {100, 200, 400},
};

/* 10 bytes a ms on the serial line, 1 byte a ms on the air. */
static const struct agn_radio radio = {
    .name = "r",
    .rate_kbps = 8,
    .serial_baud = 100000,
    .volts = 4,
    .header_bytes = 20,
    .longest_bytes = 200,
    .send_ms = {1, 2, 3},
    .air_ms = {4, 5, 6},
    .network_ms = {7, 8, 9},
    .receive_ms = SAME(1),
    .sleep_ma = SAME(1),
    .idle_ma = SAME(10),
    .transmit_ma = SAME(50),
    .receive_ma = SAME(20),
};

static const struct agn_work work = {
    .extract_instructions = 500000,
    .local_instructions = 100000,
    .encode_instructions = 200000,
    .packets = 1,
    .packet_bytes = 100,
    .reply_bytes = 50,
    .sent_share = 0.25,
    .server_ms = 4,
};

static void close_to(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fabs(expected) + 1e-12))
        fail_msg("%.12g instead of %.12g", value, expected);
}

static struct agn_cost cost_of(const struct agn_board *b, const struct agn_radio *r, const struct agn_work *w)
{
    struct agn_cost cost;
    if (agn_cost_frame(b, r, w, &cost) < 0)
        fail_msg("%s", agn_error_message());
    return cost;
}

static void one_packet_by_hand(void **state)
{
    const struct agn_cost cost = cost_of(&board, &radio, &work);
    /* serial: 2 + 100 / 10; air: 120 + 5; server: 2 x 8 + 4; back: 70 + 5 on the air, 1 + 50 / 10 to the
     * processor */
    static const double ms[AGN_COST_STAGES] = {3, 5, 1, 2, 12, 125, 20, 81};
    /* mW: waiting and asleep 44, computing and asleep 104, waiting and idle 80, sending 240, receiving 120 */
    static const double mj[AGN_COST_STAGES] = {.132, .52, .104, .208, .96, 30, 1.6, 75 * .12 + 6 * .08};
    double sent_ms = 0, sent_mj = 0;
    (void)state;
    for (int i = 0; i < AGN_COST_STAGES; i++) {
        close_to(cost.stage_ms[i].typical, ms[i]);
        close_to(cost.stage_mj[i].typical, mj[i]);
        sent_ms += ms[i];
        sent_mj += mj[i];
    }
    close_to(cost.unsent_ms.typical, 9);
    close_to(cost.unsent_mj.typical, .756);
    close_to(cost.sent_ms.typical, sent_ms);
    close_to(cost.mean_ms.typical, 9 * .75 + sent_ms * .25);
    close_to(cost.mean_mj.typical, .756 * .75 + sent_mj * .25);
    close_to(cost.mean_board_mj.typical, cost.mean_mj.typical + .2 * cost.mean_ms.typical);
    close_to(cost.median_ms.typical, 9);
    close_to(cost.air_bytes, 30);
    close_to(cost.frames_per_second.typical, 1000 / cost.mean_ms.typical);
}

static void bounds_by_hand(void **state)
{
    const struct agn_cost cost = cost_of(&board, &radio, &work);
    (void)state;
    close_to(cost.stage_ms[AGN_COST_SERIAL].low, 11);
    close_to(cost.stage_ms[AGN_COST_SERIAL].high, 13);
    close_to(cost.stage_ms[AGN_COST_AIR].low, 124);
    close_to(cost.stage_ms[AGN_COST_SERVER].high, 22);
    close_to(cost.stage_mj[AGN_COST_EXTRACT].low, 5 * .054);
    close_to(cost.stage_mj[AGN_COST_EXTRACT].high, 5 * .204);
    close_to(cost.frames_per_second.low, 1000 / cost.mean_ms.high);
}

/* Of several packets the longer of serial line and air counts, and the other once. */
static void packets_overlap(void **state)
{
    struct agn_work three = work;
    struct agn_radio fast = radio;
    (void)state;
    three.packets = 3;
    three.packet_bytes = 300;
    struct agn_cost cost = cost_of(&board, &radio, &three);
    close_to(cost.stage_ms[AGN_COST_SERIAL].typical + cost.stage_ms[AGN_COST_AIR].typical, 12 + 3 * 125.0);
    close_to(cost.stage_ms[AGN_COST_SERIAL].typical, 12);
    fast.rate_kbps = 8000; /* 0.12 + 5 ms on the air */
    cost = cost_of(&board, &fast, &three);
    close_to(cost.stage_ms[AGN_COST_SERIAL].typical + cost.stage_ms[AGN_COST_AIR].typical, 3 * 12 + 5.12);
    fast.packets_per_second = 10; /* 100 ms apart */
    cost = cost_of(&board, &fast, &three);
    close_to(cost.stage_ms[AGN_COST_SERIAL].typical + cost.stage_ms[AGN_COST_AIR].typical,
             2 * 100 + 12 + 5.12);
    close_to(cost.air_bytes, .25 * 360);
}

static void a_network_may_be_slow(void **state)
{
    struct agn_radio slow = radio;
    (void)state;
    slow.packets_per_second = 0.01;
    struct agn_cost cost = cost_of(&board, &slow, &work);
    close_to(cost.frames_per_second.typical, 0.04); /* a quarter of them are sent */
    close_to(cost.sent_ms.typical, 249);            /* one packet waits for none */
}

static void alone_there_is_no_radio(void **state)
{
    struct agn_work alone = {.extract_instructions = 1e6, .local_instructions = 1e5};
    (void)state;
    struct agn_cost cost = cost_of(&board, &radio, &alone);
    for (int i = AGN_COST_ENCODE; i < AGN_COST_STAGES; i++)
        close_to(cost.stage_ms[i].high, 0);
    close_to(cost.mean_ms.typical, 14);
    close_to(cost.air_bytes, 0);
}

static void without_serial_line_and_answer(void **state)
{
    struct agn_radio chip = radio;
    struct agn_work silent = work;
    (void)state;
    chip.serial_baud = 0;
    silent.reply_bytes = 0;
    silent.sent_share = 1;
    struct agn_cost cost = cost_of(&board, &chip, &silent);
    close_to(cost.stage_ms[AGN_COST_SERIAL].typical, 2);
    close_to(cost.stage_ms[AGN_COST_BACK].high, 0);
    close_to(cost.median_ms.typical, cost.sent_ms.typical);
}

static void faster_is_never_slower(void **state)
{
    struct agn_board b = board;
    struct agn_radio r = radio;
    struct agn_cost last = cost_of(&board, &radio, &work);
    (void)state;
    for (int i = 0; i < 12; i++) {
        *(i % 2 == 0 ? &b.clock_mhz : &r.rate_kbps) *= 1.7;
        struct agn_cost cost = cost_of(&b, &r, &work);
        assert_true(cost.sent_ms.typical < last.sent_ms.typical && cost.mean_ms.high < last.mean_ms.high);
        assert_true(cost.mean_ms.low <= cost.mean_ms.typical && cost.mean_ms.typical <= cost.mean_ms.high);
        assert_true(cost.mean_mj.low <= cost.mean_mj.typical && cost.mean_mj.typical <= cost.mean_mj.high);
        assert_true(cost.frames_per_second.low <= cost.frames_per_second.high);
        last = cost;
    }
    /* Currents follow the clock: the energy of computing stays. */
    close_to(last.stage_mj[AGN_COST_EXTRACT].typical - last.stage_ms[AGN_COST_EXTRACT].typical * .004, .5);
}

static void expect_refused(const struct agn_board *b, const struct agn_radio *r, const struct agn_work *w,
                           int code, const char *word)
{
    struct agn_cost cost, before;
    memset(&cost, 0x77, sizeof cost);
    before = cost;
    assert_int_equal(agn_cost_frame(b, r, w, &cost), code);
    assert_memory_equal(&cost, &before, sizeof cost);
    if (strstr(agn_error_message(), word) == NULL)
        fail_msg("'%s' lacks '%s'", agn_error_message(), word);
}

static void nonsense_is_refused(void **state)
{
    struct agn_work w = work;
    struct agn_board b = board;
    struct agn_radio r = radio;
    (void)state;
    w.extract_instructions = -1;
    expect_refused(&board, &radio, &w, AGN_ERR_ARG, "extract_instructions");
    w = work, w.packet_bytes = NAN;
    expect_refused(&board, &radio, &w, AGN_ERR_ARG, "packet_bytes");
    w = work, w.sent_share = 1.01;
    expect_refused(&board, &radio, &w, AGN_ERR_ARG, "sent_share");
    w = work, w.packets = 0.5;
    expect_refused(&board, &radio, &w, AGN_ERR_ARG, "packets");
    w = work, w.packets = 0;
    expect_refused(&board, &radio, &w, AGN_ERR_ARG, "packets");
    w = work, w.packet_bytes = 201;
    expect_refused(&board, &radio, &w, AGN_ERR_RANGE, "at most 200");
    b.clock_mhz = 0;
    expect_refused(&b, &radio, &work, AGN_ERR_ARG, "clock");
    r.rate_kbps = 0;
    expect_refused(&board, &r, &work, AGN_ERR_ARG, "rate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_packet_by_hand),      cmocka_unit_test(bounds_by_hand),
        cmocka_unit_test(packets_overlap),         cmocka_unit_test(a_network_may_be_slow),
        cmocka_unit_test(alone_there_is_no_radio), cmocka_unit_test(without_serial_line_and_answer),
        cmocka_unit_test(faster_is_never_slower),  cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
