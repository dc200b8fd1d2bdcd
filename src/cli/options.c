/* Reads a command line into the variables that an option table points at. getopt_long does the splitting; the
 * checks, the messages and the suggestions are here, the help text in help.c. */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/nearest.h"

/* ---- making them ---------------------------------------------------------------------------- */

struct agn_cli_option agn__cli_text(const char *name, const char *metavar, const char **variable,
                                    const char *help)
{
    return (struct agn_cli_option){
        .name = name, .metavar = metavar, .type = AGN_CLI_STRING, .string = variable, .help = help};
}

struct agn_cli_option agn__cli_choice(const char *name, const char *metavar, const char **variable,
                                      const char *const *choices, const char *help)
{
    struct agn_cli_option option = agn__cli_text(name, metavar, variable, help);
    option.choices = choices;
    return option;
}

struct agn_cli_option agn__cli_list(const char *name, const char *metavar, struct agn_cli_list *list,
                                    const char *help)
{
    return (struct agn_cli_option){
        .name = name, .metavar = metavar, .type = AGN_CLI_LIST, .list = list, .help = help};
}

struct agn_cli_option agn__cli_whole(const char *name, const char *metavar, int *variable, int min, int max,
                                     const char *help)
{
    return (struct agn_cli_option){.name = name,
                                   .metavar = metavar,
                                   .type = AGN_CLI_INT,
                                   .integer = variable,
                                   .min = min,
                                   .max = max,
                                   .help = help};
}

struct agn_cli_option agn__cli_real(const char *name, const char *metavar, double *variable, double min,
                                    double max, const char *help)
{
    return (struct agn_cli_option){.name = name,
                                   .metavar = metavar,
                                   .type = AGN_CLI_DOUBLE,
                                   .real = variable,
                                   .min = min,
                                   .max = max,
                                   .help = help};
}

struct agn_cli_option agn__cli_flag(const char *name, bool *variable, const char *help)
{
    return (struct agn_cli_option){.name = name, .type = AGN_CLI_FLAG, .flag = variable, .help = help};
}

enum { HELP = 'h', FIRST_OPTION = 1000, VERBOSE = FIRST_OPTION + AGN_CLI_MAX_OPTIONS };

static bool parse_int(const char *text, double min, double max, int *value)
{
    char *end;
    errno = 0;
    long parsed = strtol(text, &end, 10);
    if (end == text || *end || errno || parsed < INT_MIN || parsed > INT_MAX)
        return false;
    if ((min != 0 || max != 0) && ((double)parsed < min || (double)parsed > max))
        return false;
    *value = (int)parsed;
    return true;
}

static bool parse_double(const char *text, double min, double max, double *value)
{
    char *end;
    double parsed = strtod(text, &end);
    if (end == text || *end || !isfinite(parsed))
        return false;
    if ((min != 0 || max != 0) && (parsed < min || parsed > max))
        return false;
    *value = parsed;
    return true;
}

static int number_error(const char *command, const struct agn_cli_option *option, const char *text)
{
    const char *kind = option->type == AGN_CLI_INT ? "a whole number" : "a number";
    if (option->min == 0 && option->max == 0)
        return agn__cli_usage_error(command, "--%s %s: expected %s", option->name, text, kind);
    return agn__cli_usage_error(command, "--%s %s: expected %s from %.12g to %.12g", option->name, text, kind,
                                option->min, option->max);
}

static int check_choice(const char *command, const struct agn_cli_option *option, const char *text)
{
    char known[256] = "";
    size_t used = 0;
    int count = 0;
    for (; option->choices[count]; count++) {
        if (strcmp(option->choices[count], text) == 0)
            return AGN_CLI_GO_ON;
        int length =
            snprintf(known + used, sizeof known - used, "%s%s", count ? ", " : "", option->choices[count]);
        if (length > 0 && used + (size_t)length < sizeof known)
            used += (size_t)length;
    }
    const char *nearest = agn__cli_nearest(text, option->choices, count);
    return agn__cli_usage_error(command, "--%s %s: expected one of %s%s%s%s", option->name, text, known,
                                nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static int store(const char *command, const struct agn_cli_option *option, const char *text)
{
    switch (option->type) {
    case AGN_CLI_FLAG:
        *option->flag = true;
        break;
    case AGN_CLI_STRING:
        if (option->choices && check_choice(command, option, text) != AGN_CLI_GO_ON)
            return AGN_CLI_USAGE;
        *option->string = text;
        break;
    case AGN_CLI_INT:
        if (!parse_int(text, option->min, option->max, option->integer))
            return number_error(command, option, text);
        break;
    case AGN_CLI_DOUBLE:
        if (!parse_double(text, option->min, option->max, option->real))
            return number_error(command, option, text);
        break;
    case AGN_CLI_LIST:
        if (option->list->count == AGN_CLI_MAX_LIST)
            return agn__cli_usage_error(command, "--%s is given more than %d times", option->name,
                                        AGN_CLI_MAX_LIST);
        option->list->items[option->list->count++] = text;
        break;
    }
    return AGN_CLI_GO_ON;
}

static int unknown_option(const struct agn_cli_command *command, const char *word)
{
    const char *names[AGN_CLI_MAX_OPTIONS + 2];
    int count = 0;
    while (count < command->option_count) {
        names[count] = command->options[count].name;
        count++;
    }
    names[count++] = "help";
    names[count++] = "verbose";
    char name[64];
    snprintf(name, sizeof name, "%s", word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    const char *nearest = agn__cli_nearest(name, names, count);
    return agn__cli_usage_error(command->name, "unknown option %s%s%s%s", word,
                                nearest ? "; did you mean --" : "", nearest ? nearest : "",
                                nearest ? "?" : "");
}

/* Index of an option from what getopt_long calls it: its number, or its letter. -1: none. */
static int option_index(const struct agn_cli_command *command, int value)
{
    if (value >= FIRST_OPTION)
        return value - FIRST_OPTION < command->option_count ? value - FIRST_OPTION : -1;
    for (int i = 0; i < command->option_count; i++)
        if (value > 0 && command->options[i].letter == value)
            return i;
    return -1;
}

/* Explains why getopt_long returned ':' or '?' at `word`. */
static int getopt_error(const struct agn_cli_command *command, int result, const char *word)
{
    int index = option_index(command, optopt);
    bool known = index >= 0;
    if (result == ':' && known)
        return agn__cli_usage_error(command->name, "--%s needs a value: %s", command->options[index].name,
                                    command->options[index].metavar);
    if (result == '?' && (known || optopt == HELP || optopt == VERBOSE) && strchr(word, '='))
        return agn__cli_usage_error(command->name, "%.*s takes no value", (int)strcspn(word, "="), word);
    if (result == '?' && optopt > 0 && optopt < FIRST_OPTION) {
        char letter[3] = {'-', (char)optopt, '\0'};
        return unknown_option(command, letter);
    }
    return unknown_option(command, word);
}

/* The letters in getopt's notation: a colon in front so that it reports what is missing. */
static void make_letters(const struct agn_cli_command *command, char *letters)
{
    *letters++ = ':';
    *letters++ = HELP;
    for (int i = 0; i < command->option_count; i++)
        if (command->options[i].letter) {
            *letters++ = command->options[i].letter;
            if (command->options[i].type != AGN_CLI_FLAG)
                *letters++ = ':';
        }
    *letters = '\0';
}

static void make_long_options(const struct agn_cli_command *command, struct option *table)
{
    int count = command->option_count;
    for (int i = 0; i < count; i++) {
        int has_value = command->options[i].type == AGN_CLI_FLAG ? no_argument : required_argument;
        table[i] = (struct option){command->options[i].name, has_value, NULL, FIRST_OPTION + i};
    }
    table[count] = (struct option){"help", no_argument, NULL, HELP};
    table[count + 1] = (struct option){"verbose", no_argument, NULL, VERBOSE};
    table[count + 2] = (struct option){NULL, 0, NULL, 0};
}

typedef void printer(FILE *stream, const struct agn_cli_command *command);

/* How the command is to be described, if it is. */
static printer *wants_help(int argc, char **argv)
{
    static const struct {
        const char *word;
        printer *print;
    } forms[] = {{"--help", agn__cli_print_help},
                 {"-h", agn__cli_print_help},
                 {"--help=man", agn__cli_print_manual},
                 {"--help=bash", agn__cli_print_completion}};
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
            if (strcmp(argv[i], forms[f].word) == 0)
                return forms[f].print;
    return NULL;
}

static int take_operands(const struct agn_cli_command *command, int argc, char **argv)
{
    int given = argc - optind;
    int most = command->operands ? command->max_operands : 0;
    if (given > most)
        return agn__cli_usage_error(command->name, "unexpected argument '%s'", argv[optind + most]);
    if (given < command->min_operands)
        return agn__cli_usage_error(command->name, "%s is missing", command->operand_name);
    for (int i = 0; i < given; i++)
        command->operands->items[command->operands->count++] = argv[optind + i];
    return AGN_CLI_GO_ON;
}

int agn__cli_parse(const struct agn_cli_command *command, int argc, char **argv)
{
    /* Before anything is stored, so that the help shows the defaults. */
    printer *describe = wants_help(argc, argv);
    if (describe) {
        describe(stdout, command);
        return AGN_CLI_SUCCESS;
    }
    struct option table[AGN_CLI_MAX_OPTIONS + 3];
    make_long_options(command, table);
    char letters[2 * AGN_CLI_MAX_OPTIONS + 3];
    make_letters(command, letters);
    bool given[AGN_CLI_MAX_OPTIONS] = {false};
    bool verbose = false;
    optind = 0; /* glibc and musl: start over */
    opterr = 0;
    for (;;) {
        int result = getopt_long(argc, argv, letters, table, NULL);
        if (result == -1)
            break;
        if (result == ':' || result == '?')
            return getopt_error(command, result, argv[optind - 1]);
        if (result == VERBOSE) {
            verbose = true;
            continue;
        }
        int index = option_index(command, result);
        if (index < 0)
            continue;
        int stored = store(command->name, &command->options[index], optarg);
        if (stored != AGN_CLI_GO_ON)
            return stored;
        given[index] = true;
    }
    for (int i = 0; i < command->option_count; i++)
        if (command->options[i].required && !given[i])
            return agn__cli_usage_error(command->name, "--%s %s is missing", command->options[i].name,
                                        command->options[i].metavar);
    agn__cli_log_to_stderr(verbose);
    return take_operands(command, argc, argv);
}
