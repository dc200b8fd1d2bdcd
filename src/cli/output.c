/* What a subcommand says to the user: errors and log lines on stderr, JSON on stdout. */
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "cli/cli.h"

int agn__cli_fail(const char *command, int status)
{
    const char *message = agn_error_message();
    fprintf(stderr, "agilenn %s: %s\n", command, message[0] ? message : agn_status_text(status));
    return status == AGN_ERR_INTERRUPTED ? AGN_CLI_INTERRUPTED : AGN_CLI_FAILURE;
}

int agn__cli_usage_error(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "agilenn %s: ", command);
    vfprintf(stderr, format, args);
    fprintf(stderr, " (see agilenn %s --help)\n", command);
    va_end(args);
    return AGN_CLI_USAGE;
}

FILE *agn__cli_text_stream(bool json)
{
    return json ? stderr : stdout;
}

int agn__cli_print_json(const char *command, json_t *object)
{
    if (!object)
        return agn__cli_fail(command,
                             agn_fail(AGN_ERR_MEMORY, "cannot build the JSON output: out of memory"));
    int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (failed || fputc('\n', stdout) == EOF)
        return agn__cli_fail(command, agn_fail(AGN_ERR_IO, "cannot write the JSON output"));
    return AGN_CLI_SUCCESS;
}

void agn__cli_print_name(FILE *stream, const char *text, int columns)
{
    char shown[PATH_MAX];
    int used = agn_text_clip(shown, sizeof shown, text, columns > 0 ? columns : INT_MAX);
    fprintf(stream, "%s%*s", shown, columns > used ? columns - used : 0, "");
}

json_t *agn__cli_json_string(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char *ascii = strdup(text);
    if (!ascii)
        return NULL;
    for (char *byte = ascii; *byte; byte++)
        if ((unsigned char)*byte > 0x7f)
            *byte = '?';
    string = json_string(ascii);
    free(ascii);
    return string;
}

json_t *agn__cli_json_real(double number)
{
    return isfinite(number) ? json_real(number) : json_null();
}

static void print_log_line(void *user, enum agn_log_level level, const char *line)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    (void)user;
    /* One call, so that lines of two threads do not mix. */
    fprintf(stderr, "agilenn: %s: %s\n", levels[level], line);
}

void agn__cli_log_to_stderr(bool verbose)
{
    agn_log_to(print_log_line, NULL, verbose ? AGN_LOG_DEBUG : AGN_LOG_INFO);
}
