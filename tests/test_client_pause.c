/* A client and servers that answer 5.03: it sends nothing for as long as it is asked to, and predicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agn_coap.h"
#include "agn_pause.h"
#include "fake_server.h"
#include "link_world.h"

static const uint8_t one_second[] = {1};

static struct agn_client *new_client(const struct fake_conduct *conduct, uint32_t deadline_ms)
{
    return link_new_client((struct agn_client_config){
        .port = fake_start(conduct), .deadline_ms = deadline_ms, .dead_after = -1});
}

static void assert_unsent(const struct agn_client_result *result)
{
    assert_int_equal(result->reason, AGN_CLIENT_PAUSED);
    assert_int_equal(result->packets, 0);
    assert_int_equal(result->datagram_bytes, 0);
    assert_int_equal(result->reply_status, -1);
}

static void a_pause_is_kept_and_ends(void **state)
{
    (void)state;
    const struct fake_conduct conduct = {
        .kind = FAKE_BUSY, .refusals = 1, .max_age = one_second, .max_age_bytes = 1};
    struct agn_client *client = new_client(&conduct, 5000);
    struct agn_client_result result = link_run_frame(client);
    double refused_s = agn_now_s(), waited_s;
    assert_int_equal(result.reason, AGN_CLIENT_REJECTED);
    assert_int_equal(result.reply_status, AGN_REPLY_BUSY);
    int unsent = 0;
    for (result = link_run_frame(client); !result.fused; result = link_run_frame(client), unsent++) {
        assert_unsent(&result);
        assert_int_equal(fake_frames(), 1);
        const struct timespec pace = {.tv_nsec = 10000000};
        nanosleep(&pace, NULL);
    }
    waited_s = agn_now_s() - refused_s;
    assert_true(unsent > 0 && waited_s > 0.99 && waited_s < 1.5 + 3.0); /* 3 s for a busy machine */
    assert_true(link_run_frame(client).fused);
    agn_client_free(client);
    fake_stop();
}

/* 5.03 without a reply packet, with an empty Max-Age (0), without one, and with one that is too long. */
static void max_age_means_what_coap_says(void **state)
{
    (void)state;
    static const uint8_t five[] = {0, 0, 0, 0, 1};
    static const struct {
        const uint8_t *max_age;
        size_t bytes;
        bool pauses;
    } cases[] = {
        {one_second, 1, true}, {one_second, 0, false}, {NULL, 0, true}, {five, 4, false}, {five, 5, true}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        const struct fake_conduct conduct = {
            .kind = FAKE_PLAIN_BUSY, .max_age = cases[i].max_age, .max_age_bytes = cases[i].bytes};
        struct agn_client *client = new_client(&conduct, 5000);
        assert_int_equal(link_run_frame(client).reason, AGN_CLIENT_REJECTED);
        struct agn_client_result result = link_run_frame(client);
        if (cases[i].pauses)
            assert_unsent(&result);
        else
            assert_int_equal(result.reason, AGN_CLIENT_REJECTED);
        agn_client_free(client);
        fake_stop();
    }
}

/* An overloaded server is late with everything. */
static void a_late_refusal_counts(void **state)
{
    (void)state;
    const struct fake_conduct conduct = {
        .kind = FAKE_BUSY, .delay_ms = 100, .max_age = one_second, .max_age_bytes = 1};
    struct agn_client *client = new_client(&conduct, 20);
    struct agn_client_result result;
    double begin_s = agn_now_s();
    do {
        result = link_run_frame(client);
        assert_false(result.fused);
    } while (result.reason != AGN_CLIENT_PAUSED && agn_now_s() < begin_s + 5);
    assert_unsent(&result);
    assert_true(agn_now_s() > begin_s + 0.1);
    agn_client_free(client);
    fake_stop();
}

static void refusals_of_others_do_not_count(void **state)
{
    (void)state;
    const struct fake_conduct conduct = {
        .kind = FAKE_FOREIGN_BUSY, .max_age = one_second, .max_age_bytes = 1};
    struct agn_client *client = new_client(&conduct, 5000);
    for (int i = 0; i < 10; i++)
        assert_true(link_run_frame(client).fused);
    agn_client_free(client);
    fake_stop();
}

/* ---- options as bytes ----------------------------------------------------------------------- */

static uint32_t max_age_of(const uint8_t *options, size_t len)
{
    uint8_t bytes[64] = {0x50, 0xA3, 0, 1};
    struct agn_coap_answer_view answer;
    if (len > 0)
        memcpy(bytes + 4, options, len);
    assert_int_equal(agn_coap_read_answer(bytes, 4 + len, &answer), 0);
    assert_true(agn_coap_is_busy(&answer));
    return answer.max_age_s;
}

static void options_are_read_by_their_numbers(void **state)
{
    (void)state;
    static const uint8_t after_format[] = {0xC1, 42, 0x21, 7};  /* 12, then 14 */
    static const uint8_t long_form[] = {0xD2, 1, 1, 2};         /* 13 + 1 */
    static const uint8_t other[] = {0xE1, 0, 0, 7};             /* 269 */
    static const uint8_t twice[] = {0xD1, 1, 3, 0x01, 9};       /* the first counts */
    static const uint8_t too_long[] = {0xD5, 1, 0, 0, 0, 0, 3}; /* as good as none */
    static const uint8_t largest[] = {0xD4, 1, 255, 255, 255, 255};
    assert_int_equal(max_age_of(NULL, 0), AGN_PAUSE_DEFAULT_S);
    assert_int_equal(max_age_of(after_format, sizeof after_format), 7);
    assert_int_equal(max_age_of(long_form, sizeof long_form), 258);
    assert_int_equal(max_age_of(other, sizeof other), AGN_PAUSE_DEFAULT_S);
    assert_int_equal(max_age_of(twice, sizeof twice), 3);
    assert_int_equal(max_age_of(too_long, sizeof too_long), AGN_PAUSE_DEFAULT_S);
    assert_int_equal(max_age_of(largest, sizeof largest), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pause_is_kept_and_ends),
        cmocka_unit_test(max_age_means_what_coap_says),
        cmocka_unit_test(a_late_refusal_counts),
        cmocka_unit_test(refusals_of_others_do_not_count),
        cmocka_unit_test(options_are_read_by_their_numbers),
    };
    return cmocka_run_group_tests(tests, link_set_up, link_tear_down);
}
