/* src/cli/options.c, help.c, nearest.c: values, defaults, wrong input, suggestions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "cli/cli.h"
#include "cli/nearest.h"
#include "cli/options.h"

static const char *const colours[] = {"red", "green", "blue", NULL};

/* Variables and table of an invented command with an option of every type. */
struct probe {
    bool fast;
    const char *colour;
    const char *path;
    int count;
    double rate;
    struct agn_cli_list set, files;
    struct agn_cli_option options[6];
    struct agn_cli_command command;
};

static void probe_init(struct probe *probe)
{
    *probe = (struct probe){.colour = "green", .count = 3, .rate = 0.5};
    struct agn_cli_option options[] = {
        {.name = "fast", .help = "hurry", .type = AGN_CLI_FLAG, .flag = &probe->fast},
        {.name = "colour",
         .metavar = "NAME",
         .help = "tint",
         .type = AGN_CLI_STRING,
         .string = &probe->colour,
         .choices = colours},
        {.name = "path",
         .metavar = "DIR",
         .help = "where",
         .type = AGN_CLI_STRING,
         .string = &probe->path,
         .required = true},
        {.name = "count",
         .metavar = "N",
         .help = "how many",
         .type = AGN_CLI_INT,
         .integer = &probe->count,
         .min = 1,
         .max = 9},
        {.name = "rate",
         .metavar = "X",
         .help = "how much",
         .type = AGN_CLI_DOUBLE,
         .real = &probe->rate,
         .min = 0,
         .max = 1},
        {.name = "set",
         .metavar = "KEY=VALUE",
         .help = "override",
         .type = AGN_CLI_LIST,
         .list = &probe->set},
    };
    memcpy(probe->options, options, sizeof options);
    probe->command = (struct agn_cli_command){.name = "probe",
                                              .usage = "--path DIR [FILE...]",
                                              .description = "Probes.",
                                              .example = "  agilenn probe",
                                              .options = probe->options,
                                              .option_count = AGN_COUNT_OF(options),
                                              .operands = &probe->files,
                                              .max_operands = 2,
                                              .operand_name = "FILE"};
}

/* Parses with stderr caught in `message` (MESSAGE_BYTES). */
enum { MESSAGE_BYTES = 1024, MAX_WORDS = 80 };
static int parse(struct probe *probe, char *message, const char *first, ...)
{
    char program[] = "probe";
    char *argv[MAX_WORDS] = {program};
    int argc = 1;
    va_list words;
    va_start(words, first);
    for (const char *word = first; word; word = va_arg(words, const char *))
        argv[argc++] = (char *)(uintptr_t)word;
    va_end(words);

    FILE *caught = tmpfile();
    assert_non_null(caught);
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(caught), STDERR_FILENO);
    int result = agn__cli_parse(&probe->command, argc, argv);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(caught);
    size_t size = fread(message, 1, MESSAGE_BYTES - 1, caught);
    message[size] = '\0';
    fclose(caught);
    return result;
}

static void keeps_defaults_when_nothing_is_given(void **state)
{
    (void)state;
    struct probe probe;
    char message[MESSAGE_BYTES];
    probe_init(&probe);
    assert_int_equal(parse(&probe, message, "--path", "here", NULL), AGN_CLI_GO_ON);
    assert_string_equal(message, "");
    assert_string_equal(probe.path, "here");
    assert_string_equal(probe.colour, "green");
    assert_int_equal(probe.count, 3);
    assert_true(probe.rate == 0.5);
    assert_false(probe.fast);
    assert_int_equal(probe.set.count, 0);
    assert_int_equal(probe.files.count, 0);
}

static void stores_every_type_in_any_order(void **state)
{
    (void)state;
    struct probe probe;
    char message[MESSAGE_BYTES];
    probe_init(&probe);
    int result = parse(&probe, message, "one", "--set", "a.b=1", "--count=9", "--fast", "--rate", "1e-3",
                       "--colour", "blue", "two", "--set=c.d=2=3", "--path", "p", NULL);
    assert_int_equal(result, AGN_CLI_GO_ON);
    assert_true(probe.fast);
    assert_int_equal(probe.count, 9);
    assert_true(probe.rate == 1e-3);
    assert_string_equal(probe.colour, "blue");
    assert_int_equal(probe.set.count, 2);
    assert_string_equal(probe.set.items[0], "a.b=1");
    assert_string_equal(probe.set.items[1], "c.d=2=3");
    assert_int_equal(probe.files.count, 2);
    assert_string_equal(probe.files.items[0], "one");
    assert_string_equal(probe.files.items[1], "two");
}

static void takes_what_follows_two_dashes_as_words(void **state)
{
    (void)state;
    struct probe probe;
    char message[MESSAGE_BYTES];
    probe_init(&probe);
    assert_int_equal(parse(&probe, message, "--path", "p", "--", "--help", NULL), AGN_CLI_GO_ON);
    assert_int_equal(probe.files.count, 1);
    assert_string_equal(probe.files.items[0], "--help");
}

/* Wrong input: exit code 2 and a line that holds `expected`. */
static void assert_refused(const char *first, const char *second, const char *expected)
{
    struct probe probe;
    char message[MESSAGE_BYTES];
    probe_init(&probe);
    int result = parse(&probe, message, "--path", "p", first, second, NULL);
    if (!strstr(message, expected))
        fail_msg("'%s %s' says '%s', expected '%s'", first, second ? second : "", message, expected);
    assert_int_equal(result, AGN_CLI_USAGE);
    assert_ptr_equal(strchr(message, '\n'), message + strlen(message) - 1);
    assert_non_null(strstr(message, "(see agilenn probe --help)"));
}

static void refuses_wrong_input(void **state)
{
    (void)state;
    assert_refused("--count", "0", "--count 0: expected a whole number from 1 to 9");
    assert_refused("--count", "10", "from 1 to 9");
    assert_refused("--count", "4x", "--count 4x: expected a whole number");
    assert_refused("--count", "", "expected a whole number");
    assert_refused("--count", "99999999999999999999", "expected a whole number");
    assert_refused("--rate", "1.01", "--rate 1.01: expected a number from 0 to 1");
    assert_refused("--rate", "nan", "expected a number from 0 to 1");
    assert_refused("--rate", "inf", "expected a number from 0 to 1");
    assert_refused("--colour", "geren", "expected one of red, green, blue; did you mean green?");
    assert_refused("--colour", "zzzzz", "--colour zzzzz: expected one of red, green, blue (see");
    assert_refused("--cuont", "4", "unknown option --cuont; did you mean --count?");
    assert_refused("--cuont=4", NULL, "unknown option --cuont=4; did you mean --count?");
    assert_refused("--helq", NULL, "unknown option --helq; did you mean --help?");
    assert_refused("--zzzzzz", NULL, "unknown option --zzzzzz (see");
    assert_refused("-z", NULL, "unknown option -z");
    assert_refused("--count", NULL, "--count needs a value: N");
    assert_refused("--fast=yes", NULL, "--fast takes no value");
}

static void refuses_missing_and_surplus_words(void **state)
{
    (void)state;
    struct probe probe;
    char message[MESSAGE_BYTES];
    probe_init(&probe);
    assert_int_equal(parse(&probe, message, "--fast", NULL), AGN_CLI_USAGE);
    assert_non_null(strstr(message, "--path DIR is missing"));

    probe_init(&probe);
    assert_int_equal(parse(&probe, message, "--path", "p", "a", "b", "c", NULL), AGN_CLI_USAGE);
    assert_non_null(strstr(message, "unexpected argument 'c'"));

    probe_init(&probe);
    probe.command.min_operands = 1;
    assert_int_equal(parse(&probe, message, "--path", "p", NULL), AGN_CLI_USAGE);
    assert_non_null(strstr(message, "FILE is missing"));
}

static void refuses_a_list_that_is_too_long(void **state)
{
    (void)state;
    struct probe probe;
    char message[MESSAGE_BYTES];
    probe_init(&probe);
    probe.set.count = AGN_CLI_MAX_LIST - 1;
    assert_int_equal(parse(&probe, message, "--path", "p", "--set", "a=1", NULL), AGN_CLI_GO_ON);
    assert_int_equal(parse(&probe, message, "--path", "p", "--set", "a=1", NULL), AGN_CLI_USAGE);
    assert_non_null(strstr(message, "--set is given more than 64 times"));
}

static void help_shows_defaults_and_fits_the_screen(void **state)
{
    (void)state;
    struct probe probe;
    probe_init(&probe);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    agn__cli_print_help(stream, &probe.command);
    fclose(stream);
    assert_non_null(strstr(text, "usage: agilenn probe --path DIR [FILE...]\n"));
    assert_non_null(strstr(text, "  --colour NAME           tint (default: green)\n"));
    assert_non_null(strstr(text, "where (required)\n"));
    assert_non_null(strstr(text, "how many (default: 3)\n"));
    assert_non_null(strstr(text, "how much (default: 0.5)\n"));
    assert_non_null(strstr(text, "override (may be repeated)\n"));
    assert_non_null(strstr(text, "Example:\n  agilenn probe\n"));
    free(text);
}

static void wraps_text_at_80_columns(void **state)
{
    (void)state;
    char long_text[1000];
    for (size_t i = 0; i < sizeof long_text; i++)
        long_text[i] = i % 7 == 6 ? ' ' : 'x';
    long_text[sizeof long_text - 1] = '\0';
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    agn__cli_print_wrapped(stream, long_text, 10, 10);
    fclose(stream);
    size_t letters = 0;
    int lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        assert_in_range(strlen(line), 1, lines ? 80 : 70);
        if (lines)
            assert_int_equal(strspn(line, " "), 10);
        for (const char *letter = line; *letter; letter++)
            letters += *letter == 'x';
    }
    assert_true(lines > 10);
    assert_int_equal(letters, 857); /* every letter of the text, none twice: 142 words of 6 and one of 5 */
    free(text);
}

static void finds_the_nearest_word(void **state)
{
    (void)state;
    static const char *const words[] = {"train", "serve", "explain", "export", "run"};
    assert_string_equal(agn__cli_nearest("trian", words, 5), "train");
    assert_string_equal(agn__cli_nearest("Serve", words, 5), "serve");
    assert_string_equal(agn__cli_nearest("exprt", words, 5), "export");
    assert_string_equal(agn__cli_nearest("ru", words, 5), "run");
    assert_string_equal(agn__cli_nearest("explains", words, 5), "explain");
    assert_null(agn__cli_nearest("banana", words, 5));
    assert_null(agn__cli_nearest("", words, 5));
    char very_long[300];
    memset(very_long, 'r', sizeof very_long - 1);
    very_long[sizeof very_long - 1] = '\0';
    assert_null(agn__cli_nearest(very_long, words, 5));
}

static void replaces_bytes_that_are_not_utf8_in_json(void **state)
{
    (void)state;
    json_t *good = agn__cli_json_string("h\xc3\xa9t\xc3\xa9rog\xc3\xa8ne");
    assert_string_equal(json_string_value(good), "h\xc3\xa9t\xc3\xa9rog\xc3\xa8ne");
    json_decref(good);
    json_t *bad = agn__cli_json_string("caf\xe9");
    assert_string_equal(json_string_value(bad), "caf?");
    json_decref(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_defaults_when_nothing_is_given),
        cmocka_unit_test(stores_every_type_in_any_order),
        cmocka_unit_test(takes_what_follows_two_dashes_as_words),
        cmocka_unit_test(refuses_wrong_input),
        cmocka_unit_test(refuses_missing_and_surplus_words),
        cmocka_unit_test(refuses_a_list_that_is_too_long),
        cmocka_unit_test(help_shows_defaults_and_fits_the_screen),
        cmocka_unit_test(wraps_text_at_80_columns),
        cmocka_unit_test(finds_the_nearest_word),
        cmocka_unit_test(replaces_bytes_that_are_not_utf8_in_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
