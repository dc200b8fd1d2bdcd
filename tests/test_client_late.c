/* A client and servers that answer after the deadline: it hears how late they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_server.h"
#include "link_world.h"

static struct agn_client *new_client(const struct fake_conduct *conduct, uint32_t deadline_ms)
{
    return link_new_client((struct agn_client_config){
        .port = fake_start(conduct), .deadline_ms = deadline_ms, .dead_after = -1});
}

static void a_late_answer_is_heard_with_a_later_frame(void **state)
{
    (void)state;
    const struct fake_conduct conduct = {.delay_ms = 100};
    struct agn_client *client = new_client(&conduct, 20);
    struct agn_client_result result = link_run_frame(client);
    assert_int_equal(result.reason, AGN_CLIENT_TIMEOUT);
    assert_true(result.late_s == 0.0);
    double begin_s = agn_now_s();
    do {
        result = link_run_frame(client);
    } while (result.late_s == 0.0 && agn_now_s() < begin_s + 5);
    assert_true(result.late_s > 0.095 && result.late_s < 5.0);
    agn_client_free(client);
    fake_stop();
}

static void an_answer_in_time_is_not_late(void **state)
{
    (void)state;
    const struct fake_conduct conduct = {.delay_ms = 10};
    struct agn_client *client = new_client(&conduct, 5000);
    for (int i = 0; i < 5; i++) {
        struct agn_client_result result = link_run_frame(client);
        assert_true(result.fused);
        assert_true(result.late_s == 0.0);
    }
    agn_client_free(client);
    fake_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_answer_is_heard_with_a_later_frame),
        cmocka_unit_test(an_answer_in_time_is_not_late),
    };
    return cmocka_run_group_tests(tests, link_set_up, link_tear_down);
}
