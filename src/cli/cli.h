/* What every subcommand of `agilenn` shares: its entry points, exit codes and ways to speak to the user.
 *
 * A subcommand lives in cmd_<name>.c and has one row in the table of commands.c. Figures go to stdout, as
 * text or, with --json, as one JSON object; everything else a person reads goes to stderr then. */
#ifndef AGN_CLI_H
#define AGN_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* What the whole command does, for its help and its manual page. */
#define AGN_CLI_OVERVIEW                                                                                     \
    "Splits an image classifier between a microcontroller and a server: trains it with explainable AI, "     \
    "exports it to int8, serves and runs it."

enum agn_cli_exit {
    AGN_CLI_SUCCESS = 0,
    AGN_CLI_FAILURE = 1,
    AGN_CLI_USAGE = 2,         /* the command line itself is wrong */
    AGN_CLI_INTERRUPTED = 130, /* stopped by Ctrl-C or SIGTERM, work saved where the command says so */
};

/* Each takes the arguments from its own name on (argv[0] is "data") and returns an exit code. */
int agn__cmd_data(int argc, char **argv);
int agn__cmd_data_check(int argc, char **argv);
int agn__cmd_data_fetch(int argc, char **argv);
int agn__cmd_bench(int argc, char **argv);
int agn__cmd_curves(int argc, char **argv);
int agn__cmd_demo(int argc, char **argv);
int agn__cmd_estimate(int argc, char **argv);
int agn__cmd_eval(int argc, char **argv);
int agn__cmd_explain(int argc, char **argv);
int agn__cmd_explain_deletion(int argc, char **argv);
int agn__cmd_export(int argc, char **argv);
int agn__cmd_fit(int argc, char **argv);
int agn__cmd_info(int argc, char **argv);
int agn__cmd_keys(int argc, char **argv);
int agn__cmd_modem(int argc, char **argv);
int agn__cmd_plot(int argc, char **argv);
int agn__cmd_report(int argc, char **argv);
int agn__cmd_run(int argc, char **argv);
int agn__cmd_serve(int argc, char **argv);
int agn__cmd_shift(int argc, char **argv);
int agn__cmd_swarm(int argc, char **argv);
int agn__cmd_sweep(int argc, char **argv);
int agn__cmd_train(int argc, char **argv);

/* ---- speaking to the user (output.c) --------------------------------------- */

/* Prints "agilenn COMMAND: sentence" for a library call that returned `status` < 0: the sentence is
 * agn_error_message(), or the status' own text when a library left none. Returns the exit code. */
int agn__cli_fail(const char *command, int status);

/* Prints "agilenn COMMAND: sentence (see agilenn COMMAND --help)" and returns AGN_CLI_USAGE. */
int agn__cli_usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Where text for people goes: stdout, or stderr when stdout carries JSON. */
FILE *agn__cli_text_stream(bool json);

/* Prints a JSON object to stdout, indented, and drops the reference. NULL (out of memory) is an error. */
int agn__cli_print_json(const char *command, json_t *object);

/* Prints text of any origin to a terminal, fit to be one cell of a table: control bytes and what is not UTF-8
 * become '?', and it is cut or filled with spaces to `columns`; 0: it is as long as it is. */
void agn__cli_print_name(FILE *stream, const char *text, int columns);

/* A JSON string from bytes of any origin: what is not UTF-8 has its bytes above 0x7f replaced by '?'. */
json_t *agn__cli_json_string(const char *text);

/* A JSON number, or null for one that is none. */
json_t *agn__cli_json_real(double number);

/* Sends library log lines to stderr, each with its level; debug lines only when `verbose`. */
void agn__cli_log_to_stderr(bool verbose);

#endif
