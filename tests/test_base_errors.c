/* Errors, log, memory and interruption of src/base. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "agilenn/base.h"

static void fail_keeps_status_and_sentence(void **state)
{
    (void)state;
    assert_int_equal(agn_fail(AGN_ERR_IO, "record %d: %s", 7, "truncated"), AGN_ERR_IO);
    assert_string_equal(agn_error_message(), "record 7: truncated");
    /* A caller may wrap the sentence of its callee. */
    assert_int_equal(agn_fail(AGN_ERR_FORMAT, "set x: %s", agn_error_message()), AGN_ERR_FORMAT);
    assert_string_equal(agn_error_message(), "set x: record 7: truncated");
}

static void fail_truncates_long_sentences(void **state)
{
    (void)state;
    char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    (void)agn_fail(AGN_ERR_IO, "%s", longer);
    assert_int_equal(strlen(agn_error_message()), 1023);
}

static void *fail_in_thread(void *user)
{
    strcpy(user, agn_error_message());
    (void)agn_fail(AGN_ERR_IO, "other thread");
    return NULL;
}

static void sentences_are_per_thread(void **state)
{
    (void)state;
    char seen[1024] = "unset";
    pthread_t thread;
    (void)agn_fail(AGN_ERR_IO, "main thread");
    assert_int_equal(pthread_create(&thread, NULL, fail_in_thread, seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(seen, "");
    assert_string_equal(agn_error_message(), "main thread");
}

static void status_texts(void **state)
{
    (void)state;
    assert_string_equal(agn_status_text(AGN_OK), "success");
    assert_string_equal(agn_status_text(12), "success");
    assert_string_equal(agn_status_text(AGN_ERR_MISMATCH), "model mismatch");
    assert_string_equal(agn_status_text(-9999), "unknown status");
}

struct log_lines {
    int count;
    char last[1200];
    enum agn_log_level level;
};

static void keep_line(void *user, enum agn_log_level level, const char *line)
{
    struct log_lines *lines = user;
    lines->count++;
    lines->level = level;
    strcpy(lines->last, line);
}

static void log_goes_to_receiver_up_to_level(void **state)
{
    (void)state;
    struct log_lines lines = {0};
    agn_log(AGN_LOG_ERROR, "nobody listens");
    agn_log_to(keep_line, &lines, AGN_LOG_INFO);
    agn_log(AGN_LOG_DEBUG, "too fine");
    assert_int_equal(lines.count, 0);
    agn_log(AGN_LOG_INFO, "epoch %d", 3);
    assert_int_equal(lines.count, 1);
    assert_int_equal(lines.level, AGN_LOG_INFO);
    assert_string_equal(lines.last, "epoch 3");
    agn_log_to(NULL, NULL, AGN_LOG_DEBUG);
    agn_log(AGN_LOG_ERROR, "gone");
    assert_int_equal(lines.count, 1);
}

static void memory_is_aligned_and_zero(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300; size += 7) {
        unsigned char *memory = agn_alloc(size, 1);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
        agn_free(memory);
    }
    agn_free(NULL);
}

static void memory_refuses_overflow(void **state)
{
    (void)state;
    assert_null(agn_alloc(SIZE_MAX / 2, 3));
    assert_non_null(strstr(agn_error_message(), "too large"));
    assert_null(agn_alloc(SIZE_MAX, 1));
    assert_null(agn_alloc(1, SIZE_MAX - 3));
}

static void interruption_is_a_flag(void **state)
{
    (void)state;
    assert_false(agn_interrupt_requested());
    agn_interrupt_request();
    assert_true(agn_interrupt_requested());
    agn_interrupt_clear();
    assert_false(agn_interrupt_requested());
}

static void time_is_monotonic(void **state)
{
    (void)state;
    double last = agn_now_s();
    for (int i = 0; i < 1000; i++) {
        double now = agn_now_s();
        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_keeps_status_and_sentence),
        cmocka_unit_test(fail_truncates_long_sentences),
        cmocka_unit_test(sentences_are_per_thread),
        cmocka_unit_test(status_texts),
        cmocka_unit_test(log_goes_to_receiver_up_to_level),
        cmocka_unit_test(memory_is_aligned_and_zero),
        cmocka_unit_test(memory_refuses_overflow),
        cmocka_unit_test(interruption_is_a_flag),
        cmocka_unit_test(time_is_monotonic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
