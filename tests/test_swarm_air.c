/* The links' model and the queue of what is on its way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "swarm/air.h"

static void bandwidth_spaces_and_delay_shifts(void **state)
{
    (void)state;
    const struct agn_swarm_link link = {.bandwidth_bps = 8000, .delay_s = 0.5};
    struct agn__air_path path = {0};
    struct agn_rng rng;
    agn_rng_seed(&rng, 1);
    for (int i = 1; i <= 5; i++) { /* 100 bytes with headers take 0.1 s each, one after the other */
        double due_s = 0;
        assert_true(agn__air_send(&link, &path, &rng, 72, 0.0, &due_s));
        assert_true(fabs(due_s - (0.1 * i + 0.5)) < 1e-9);
    }
    double due_s = 0;
    assert_true(agn__air_send(&link, &path, &rng, 72, 10.0, &due_s)); /* the link has long been free */
    assert_true(fabs(due_s - 10.6) < 1e-9);
}

static void jitter_is_even_and_keeps_order(void **state)
{
    (void)state;
    const struct agn_swarm_link link = {.delay_s = 0.01, .jitter_s = 0.02};
    struct agn__air_path path = {0};
    struct agn_rng rng;
    agn_rng_seed(&rng, 2);
    double last_s = 0, sum = 0;
    for (int i = 0; i < 2000; i++) { /* far apart: each has its own delay */
        double due_s = 0;
        assert_true(agn__air_send(&link, &path, &rng, 72, i, &due_s));
        assert_true(due_s - i >= 0.01 && due_s - i < 0.03);
        sum += due_s - i;
    }
    assert_true(fabs(sum / 2000 - 0.02) < 0.001);
    for (int i = 0; i < 2000; i++) { /* close together: none overtakes */
        double due_s = 0;
        assert_true(agn__air_send(&link, &path, &rng, 72, 3000 + 1e-4 * i, &due_s));
        assert_true(due_s >= last_s);
        last_s = due_s;
    }
}

static void loss_is_as_asked(void **state)
{
    (void)state;
    static const double losses[] = {0.0, 0.01, 0.1, 0.5, 1.0};
    for (size_t i = 0; i < AGN_COUNT_OF(losses); i++) {
        const struct agn_swarm_link link = {.loss = losses[i]};
        struct agn__air_path path = {0};
        struct agn_rng rng;
        double due_s;
        int lost = 0, count = 20000;
        agn_rng_seed(&rng, 3);
        for (int j = 0; j < count; j++)
            lost += !agn__air_send(&link, &path, &rng, 72, j, &due_s);
        assert_true(fabs(lost - losses[i] * count) <= 5 * sqrt(losses[i] * (1 - losses[i]) * count));
    }
}

static void events_leave_in_order(void **state)
{
    (void)state;
    enum { EVENTS = 5000 };
    struct agn__air_queue queue = {0};
    struct agn__air_event event;
    struct agn_rng rng;
    agn_rng_seed(&rng, 4);
    assert_true(isinf(agn__air_due(&queue)));
    assert_false(agn__air_take(&queue, 1e9, &event));
    for (uint32_t i = 0; i < EVENTS; i++) { /* many are due at once: those leave as they came */
        event = (struct agn__air_event){.due_s = agn_rng_below(&rng, 100), .token = i};
        assert_int_equal(agn__air_put(&queue, &event), 0);
    }
    assert_false(agn__air_take(&queue, -0.5, &event));
    double last_s = -1;
    uint32_t last_token = 0;
    for (int i = 0; i < EVENTS; i++) {
        assert_true(agn__air_due(&queue) >= last_s);
        assert_true(agn__air_take(&queue, 1000, &event));
        assert_true(event.due_s > last_s || event.token > last_token);
        last_s = event.due_s;
        last_token = event.token;
    }
    assert_false(agn__air_take(&queue, 1000, &event));
    agn__air_free(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bandwidth_spaces_and_delay_shifts),
        cmocka_unit_test(jitter_is_even_and_keeps_order),
        cmocka_unit_test(loss_is_as_asked),
        cmocka_unit_test(events_leave_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
