/* The progress printer, on a file and on a (pseudo) terminal. */
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "temp_folder.h"

#define SHARE(name, share)                                                                                   \
    {                                                                                                        \
        .key = name, .kind = AGN_FIGURE_SHARE, .value = share                                                \
    }

static const struct agn_progress full = {.phase = "joint",
                                         .epoch = 2,
                                         .epochs = 5,
                                         .done = 610,
                                         .total = 1000,
                                         .rate = 3120.4,
                                         .eta_s = 42.2,
                                         .item = "img",
                                         .figures = {{.key = "loss", .value = 0.4123},
                                                     SHARE("acc", 0.8712),
                                                     {.key = "skew", .value = 0.81},
                                                     SHARE("ref", 0.861)},
                                         .epoch_end = true};

/* What the printer writes to a plain file. */
static const char *print_to_file(const struct agn_progress *progress)
{
    static char text[1024];
    const char *path = temp_path("out");
    FILE *stream = fopen(path, "w+b");
    assert_non_null(stream);
    agn_progress_print(stream, progress);
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    fclose(stream);
    return text;
}

static void all_figures(void **state)
{
    (void)state;
    assert_string_equal(print_to_file(&full),
                        "joint  epoch 2/5  61 %  3120 img/s  ETA 0:42  loss 0.412  acc 87.1 %  "
                        "skew 0.810  ref 86.1 %\n");
    struct agn_progress others = full;
    others.item = NULL;
    others.figures[4] = (struct agn_figure)SHARE("waits for data", 0.26);
    for (int i = 5; i < AGN_PROGRESS_FIGURES; i++) /* as many as there can be */
        others.figures[i] = (struct agn_figure){.key = "more", .value = 12.5};
    assert_non_null(strstr(print_to_file(&others), "3120 items/s"));
    assert_non_null(strstr(print_to_file(&others),
                           "ref 86.1 %  waits for data 26.0 %  more 12.5  more 12.5  more 12.5\n"));
    struct agn_progress longer = full;
    longer.eta_s = 3600 + 2 * 60 + 5;
    assert_non_null(strstr(print_to_file(&longer), "ETA 1:02:05"));
}

static void absent_figures_are_left_out(void **state)
{
    (void)state;
    struct agn_progress progress = {.phase = "run",
                                    .eta_s = NAN,
                                    .rate = NAN,
                                    .figures = {{.key = "loss", .value = NAN}, SHARE("acc", 0.0)},
                                    .epoch_end = true};
    assert_string_equal(print_to_file(&progress), "run\n");
    assert_string_equal(print_to_file(&(struct agn_progress){.phase = "run", .epoch_end = true}), "run\n");
}

static void figures_out_of_range_are_never_shown(void **state)
{
    (void)state;
    struct agn_progress progress = full;
    progress.eta_s = -3.0;
    progress.done = 2000;
    const char *text = print_to_file(&progress);
    assert_null(strstr(text, "ETA"));
    assert_non_null(strstr(text, "100 %"));
    progress.eta_s = INFINITY;
    progress.rate = INFINITY;
    text = print_to_file(&progress);
    assert_null(strstr(text, "ETA"));
    assert_null(strstr(text, "img/s"));
}

static void file_gets_no_line_within_an_epoch(void **state)
{
    (void)state;
    (void)print_to_file(&full);
    struct agn_progress progress = full;
    progress.epoch_end = false;
    assert_string_equal(print_to_file(&progress), "");
}

enum { COLUMNS = 20 };

/* What the printer writes to a terminal of 20 columns: two reports within an epoch, the second too soon for
 * another line, and its end. NULL: there are no pseudo terminals here. */
static const char *print_to_terminal(const char *terminal, const char *no_color)
{
    static char text[1024];
    struct winsize size = {.ws_row = 24, .ws_col = COLUMNS};
    struct agn_progress progress = full;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    FILE *stream =
        master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 ? fopen(ptsname(master), "w") : NULL;
    if (!stream)
        return NULL;
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    assert_int_equal(terminal ? setenv("TERM", terminal, 1) : unsetenv("TERM"), 0);
    assert_int_equal(no_color ? setenv("NO_COLOR", no_color, 1) : unsetenv("NO_COLOR"), 0);
    progress.epoch_end = false;
    usleep(150000); /* past the interval between two rewrites */
    agn_progress_print(stream, &progress);
    agn_progress_print(stream, &progress);
    agn_progress_print(stream, &full);
    size_t length = 0;
    while (length == 0 || text[length - 1] != '\n') {
        ssize_t got = read(master, text + length, sizeof text - 1 - length);
        assert_true(got > 0);
        length += (size_t)got;
    }
    text[length] = '\0';
    fclose(stream);
    close(master);
    return text;
}

static void terminal_line_is_rewritten_and_cut(void **state)
{
    (void)state;
    static const char expected[] = "\rjoint  epoch 2/5  6\x1b[K\rjoint  epoch 2/5  6\x1b[K\r\n";
    const char *text = print_to_terminal("xterm-256color", NULL);
    if (!text)
        skip();
    assert_string_equal(text, expected);
    assert_string_equal(print_to_terminal("xterm", ""), expected); /* an empty NO_COLOR asks for nothing */
}

static void no_escape_sequences_where_they_are_not_wanted(void **state)
{
    (void)state;
    static const char *const environments[][2] = {{"dumb", NULL}, {"unknown", NULL}, {"", NULL},
                                                  {NULL, NULL},   {"xterm", "1"},    {"dumb", "1"}};
    for (size_t i = 0; i < sizeof environments / sizeof environments[0]; i++) {
        const char *text = print_to_terminal(environments[i][0], environments[i][1]);
        if (!text)
            skip();
        assert_null(strchr(text, '\x1b'));
        assert_string_equal(text, "joint  epoch 2/5  61 %  3120 img/s  ETA 0:42  loss 0.412  acc 87.1 %  "
                                  "skew 0.810  ref 86.1 %\r\n"); /* the epoch's end alone, as in a file */
    }
}

#define FILE_TEST(function) cmocka_unit_test_setup_teardown(function, temp_folder_setup, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(all_figures),
        FILE_TEST(absent_figures_are_left_out),
        FILE_TEST(figures_out_of_range_are_never_shown),
        FILE_TEST(file_gets_no_line_within_an_epoch),
        cmocka_unit_test(terminal_line_is_rewritten_and_cut),
        cmocka_unit_test(no_escape_sequences_where_they_are_not_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
