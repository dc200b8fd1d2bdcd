/* Declarative command-line options of one subcommand: parsing, range checks, help.
 *
 * A subcommand describes itself in a struct agn_cli_command whose options point at its variables. A
 * variable's value before parsing is its default and is shown in the help. Every command also takes -h/--help
 * and
 * --verbose. */
#ifndef AGN_CLI_OPTIONS_H
#define AGN_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

enum { AGN_CLI_MAX_OPTIONS = 40, AGN_CLI_MAX_LIST = 64 };

/* Values of an option that may be given several times, in order of appearance. */
struct agn_cli_list {
    const char *items[AGN_CLI_MAX_LIST];
    int count;
};

enum agn_cli_type {
    AGN_CLI_FLAG,   /* .flag: true when given */
    AGN_CLI_STRING, /* .string: points into argv */
    AGN_CLI_INT,    /* .integer, within [min, max] */
    AGN_CLI_DOUBLE, /* .real, finite, within [min, max] */
    AGN_CLI_LIST,   /* .list: repeated, as in --set section.key=value */
};

struct agn_cli_option {
    const char *name;    /* without the dashes */
    char letter;         /* short form, as in -o; 0 = none */
    const char *metavar; /* "N", "DIR"; NULL for a flag */
    const char *help;    /* wrapped by the printer; the default is added to it */
    enum agn_cli_type type;
    union {
        bool *flag;
        const char **string; /* NULL = no default */
        int *integer;
        double *real;
        struct agn_cli_list *list;
    };
    double min, max;            /* AGN_CLI_INT, AGN_CLI_DOUBLE; both 0 = any value */
    const char *const *choices; /* AGN_CLI_STRING: NULL-terminated; NULL = any text */
    bool required;
};

struct agn_cli_command {
    const char *name;        /* "data" */
    const char *usage;       /* what follows "agilenn NAME " */
    const char *description; /* paragraphs, wrapped by the printer */
    const char *example;     /* lines, printed as they are */
    const struct agn_cli_option *options;
    int option_count; /* <= AGN_CLI_MAX_OPTIONS */
    /* Words that are not options, such as a file name; NULL when the command takes none. */
    struct agn_cli_list *operands;
    int min_operands, max_operands;
    const char *operand_name; /* for messages: "MODEL" */
};

/* Options in short, for tables of them: a text, texts, a whole number and a real one within [min, max], a
 * flag. */
struct agn_cli_option agn__cli_text(const char *name, const char *metavar, const char **variable,
                                    const char *help);
/* One of `choices`, which end with NULL. */
struct agn_cli_option agn__cli_choice(const char *name, const char *metavar, const char **variable,
                                      const char *const *choices, const char *help);
struct agn_cli_option agn__cli_list(const char *name, const char *metavar, struct agn_cli_list *list,
                                    const char *help);
struct agn_cli_option agn__cli_whole(const char *name, const char *metavar, int *variable, int min, int max,
                                     const char *help);
struct agn_cli_option agn__cli_real(const char *name, const char *metavar, double *variable, double min,
                                    double max, const char *help);
struct agn_cli_option agn__cli_flag(const char *name, bool *variable, const char *help);

/* What agn__cli_parse returns when the command should go on. */
enum { AGN_CLI_GO_ON = -1 };

/* Reads argv (argv[0] is the command's name; words may be reordered) into the variables of `command`. With
 * --help prints the help to stdout. Returns AGN_CLI_GO_ON or the exit code to end with; wrong input prints
 * one line to stderr. Strings keep pointing into argv. Not reentrant: getopt_long keeps state. */
int agn__cli_parse(const struct agn_cli_command *command, int argc, char **argv);

/* Prints usage, description, options with defaults, example. */
void agn__cli_print_help(FILE *stream, const struct agn_cli_command *command);

/* manual.c: the same in man(7)'s macros, from SYNOPSIS to EXAMPLES. completion.c: the subcommand's case in
 * the script for bash. A command prints them for --help=man and --help=bash. */
void agn__cli_print_manual(FILE *stream, const struct agn_cli_command *command);
void agn__cli_print_completion(FILE *stream, const struct agn_cli_command *command);

/* An option's help with its default, that it is required, or that it may be repeated. */
void agn__cli_describe_option(char *text, size_t size, const struct agn_cli_option *option);

/* Prints text wrapped at 80 columns, each line after `indent` spaces; the first line starts at column
 * `column`. Line breaks in the text are kept. */
void agn__cli_print_wrapped(FILE *stream, const char *text, int column, int indent);

#endif
