/* The log of `agilenn serve`: what repeats itself is cut short and hides nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "cli/serve.h"
#include "temp_folder.h"

enum { FLOOD = 500 };

static int count(const char *text, const char *what)
{
    int times = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        times++;
    return times;
}

/* What the calls of `speak` write to stderr. */
static char *record(const char *format, void (*speak)(void))
{
    uint8_t *text;
    size_t size;
    char path[512];
    snprintf(path, sizeof path, "%s", temp_path("log"));
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w", stderr));
    agn__serve_log_to_stderr(format);
    speak();
    agn_log_to(NULL, NULL, AGN_LOG_ERROR);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_int_equal(agn_file_read(path, 1 << 20, &text, &size), 0);
    return (char *)text;
}

static void flood(void)
{
    for (int i = 0; i < FLOOD; i++)
        agn_log(AGN_LOG_WARN, "inference: line %d", i);
    agn_log(AGN_LOG_INFO, "reload: here");
    agn_log(AGN_LOG_INFO, "drain: here");
    agn_log(AGN_LOG_ERROR, "no origin at all");
    agn_log(AGN_LOG_INFO, "end: here");
}

static void a_flood_hides_nothing_else(void **state)
{
    (void)state;
    char *text = record("json", flood);
    int lines = count(text, "\"event\":\"inference\"");
    assert_true(lines >= 20 && lines <= 60); /* the flood takes a second or two at most */
    assert_int_equal(count(text, "\"event\":\"reload\""), 1);
    assert_int_equal(count(text, "\"event\":\"drain\""), 1);
    assert_int_equal(count(text, "\"message\":\"no origin at all\""), 1);
    assert_int_equal(count(text, "\"event\":\"end\""), 1);
    assert_true(count(text, "lines left out") >= 1);
    agn_free(text);
}

static void many_origins(void)
{
    for (int i = 0; i < FLOOD; i++)
        agn_log(AGN_LOG_WARN, "origin%d: of a long name and of a short one", i);
    agn_log(AGN_LOG_INFO, "an-origin-of-more-bytes-than-are-kept: here");
}

static void origins_are_bounded(void **state)
{
    (void)state;
    char *text = record("text", many_origins);
    int lines = count(text, "\n");
    assert_true(lines >= 12 && lines < 120);
    agn_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_hides_nothing_else),
        cmocka_unit_test(origins_are_bounded),
    };
    return cmocka_run_group_tests_name("log of serve", tests, temp_folder_setup, temp_folder_teardown);
}
