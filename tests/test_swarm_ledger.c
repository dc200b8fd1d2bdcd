/* The books: every frame ends once, tokens find their frames, also where numbers wrap. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "swarm/ledger.h"

static const double deadline_s = 0.2;
static struct agn__ledger ledger;

static int tear_down(void **state)
{
    (void)state;
    agn__ledger_free(&ledger);
    return 0;
}

static void open_at(uint32_t first_token)
{
    assert_int_equal(agn__ledger_open(&ledger, deadline_s, first_token), 0);
}

static uint32_t enter(double at_s, uint32_t device)
{
    uint32_t token = UINT32_MAX;
    assert_int_equal(agn__ledger_enter(&ledger, at_s, device, 0, 0, &token), 0);
    assert_true(token <= AGN__TOKEN_MASK);
    return token;
}

static void expect(enum agn__found found, uint32_t token, uint32_t device)
{
    struct agn__entry *entry;
    assert_int_equal(agn__ledger_find(&ledger, token, device, &entry), found);
}

static void end(uint32_t token, uint32_t device, enum agn__outcome outcome, double now_s, bool right)
{
    struct agn__entry *entry;
    assert_int_equal(agn__ledger_find(&ledger, token, device, &entry), AGN__FOUND_OPEN);
    agn__ledger_end(&ledger, entry, outcome, now_s, right, true);
}

static void a_frame_is_answered_once(void **state)
{
    (void)state;
    open_at(0);
    uint32_t token = enter(1.0, 7);
    expect(AGN__FOUND_STRANGER, token, 8); /* of another device */
    expect(AGN__FOUND_STRANGER, (token + 1) & AGN__TOKEN_MASK, 7);
    end(token, 7, AGN__ANSWERED, 1.05, true);
    expect(AGN__FOUND_STRANGER, token, 7); /* a repeated answer */
    struct agn_swarm_report report;
    agn__ledger_report(&ledger, 2.0, 1.05, &report);
    assert_int_equal(report.offered, 1);
    assert_int_equal(report.answered, 1);
    assert_int_equal(report.lost_predictions, 0);
    assert_true(fabs(report.offered_fps - 0.5) < 1e-12 && fabs(report.achieved_fps - 0.5) < 1e-12);
    assert_true(fabs(report.prediction.p99_ms - 50) < 0.25 && fabs(report.prediction.max_ms - 50) < 1e-6);
}

static void late_answers_are_known_as_such(void **state)
{
    (void)state;
    open_at(AGN__TOKEN_MASK - 2); /* tokens wrap on the way */
    uint32_t tokens[6];
    for (uint32_t i = 0; i < 6; i++)
        tokens[i] = enter(0.01 * i, i);
    struct agn__entry *entry = agn__ledger_oldest(&ledger, 0.1);
    assert_int_equal(entry->device, 0);
    agn__ledger_end(&ledger, entry, AGN__TIMED_OUT, 0.2, false, true);
    expect(AGN__FOUND_LATE, tokens[0], 0);
    end(tokens[1], 1, AGN__BUSY, 0.1, false);
    expect(AGN__FOUND_STRANGER, tokens[1], 1);
    end(tokens[2], 2, AGN__REJECTED, 0.1, false);
    end(tokens[3], 3, AGN__OVERSLEPT, 0.1, false);
    end(tokens[4], 4, AGN__ANSWERED, 0.1, false);
    assert_int_equal(agn__ledger_oldest(&ledger, 1.0)->device, 5); /* forgets the others */
    expect(AGN__FOUND_LATE, tokens[0], 0);
    end(tokens[5], 5, AGN__ANSWERED, 0.15, true);
    assert_null(agn__ledger_oldest(&ledger, 1.0));
    struct agn_swarm_report report;
    agn__ledger_report(&ledger, 1.0, 0.2, &report);
    assert_int_equal(report.answered, 2);
    assert_int_equal(report.fallbacks, 4);
    assert_int_equal(report.timed_out + report.busy + report.rejected + report.overslept, 4);
    assert_int_equal(report.correct, 5); /* four local ones, one fused; the other fused one was wrong */
    assert_int_equal(report.local_correct, 6);
}

/* Frames come, are answered, refused, or expire at random, many at once; a list beside the books knows the
 * truth. */
static void every_frame_ends_exactly_once(void **state)
{
    (void)state;
    enum { FRAMES = 40000, OPEN_MAX = 6000 };
    static uint32_t open_tokens[OPEN_MAX], open_devices[OPEN_MAX];
    struct agn_rng rng;
    size_t open = 0;
    uint64_t answered = 0, fallbacks = 0;
    agn_rng_seed(&rng, 6);
    open_at(AGN__TOKEN_MASK - FRAMES / 2);
    for (uint32_t i = 0; i < FRAMES; i++) {
        double now_s = i * 1e-4; /* 2,000 frames are within the deadline at once: the ring must grow */
        open_devices[open] = agn_rng_below(&rng, 50);
        open_tokens[open] = enter(now_s, open_devices[open]);
        open++;
        if (agn_rng_below(&rng, 3) > 0) {
            size_t pick = agn_rng_below(&rng, (uint32_t)open);
            struct agn__entry *entry;
            bool is_answer = agn_rng_below(&rng, 2) > 0;
            if (agn__ledger_find(&ledger, open_tokens[pick], open_devices[pick], &entry) == AGN__FOUND_OPEN) {
                agn__ledger_end(&ledger, entry, is_answer ? AGN__ANSWERED : AGN__BUSY, now_s, true, true);
                answered += is_answer;
                fallbacks += !is_answer;
            }
            open--;
            open_tokens[pick] = open_tokens[open];
            open_devices[pick] = open_devices[open];
        }
        struct agn__entry *oldest;
        while ((oldest = agn__ledger_oldest(&ledger, now_s)) && oldest->intended_s + deadline_s <= now_s) {
            agn__ledger_end(&ledger, oldest, AGN__TIMED_OUT, now_s, false, true);
            fallbacks++;
        }
        if (open == OPEN_MAX) /* those have expired long ago */
            open = 0;
    }
    struct agn__entry *oldest;
    while ((oldest = agn__ledger_oldest(&ledger, 1e9))) {
        agn__ledger_end(&ledger, oldest, AGN__TIMED_OUT, 5.0, false, true);
        fallbacks++;
    }
    struct agn_swarm_report report;
    agn__ledger_report(&ledger, 4.0, 5.0, &report);
    assert_int_equal(report.offered, FRAMES);
    assert_int_equal(report.answered, answered);
    assert_int_equal(report.fallbacks, fallbacks);
    assert_int_equal(report.lost_predictions, 0);
    assert_int_equal(ledger.prediction.count, FRAMES);
    assert_int_equal(ledger.answer.count, answered);
    assert_true(answered > FRAMES / 5 && fallbacks > FRAMES / 5);
    agn__ledger_clear(&ledger);
    agn__ledger_report(&ledger, 1.0, 0.0, &report);
    assert_int_equal(report.offered, 0);
    assert_true(isnan(report.fallback_rate) && isnan(report.prediction.p50_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_frame_is_answered_once, tear_down),
        cmocka_unit_test_teardown(late_answers_are_known_as_such, tear_down),
        cmocka_unit_test_teardown(every_frame_ends_exactly_once, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
