/* The help text of a subcommand, made from its description and option table. */
#include <stdio.h>
#include <string.h>

#include "cli/options.h"

enum { LINE_COLUMNS = 80, HELP_COLUMN = 26 };

void agn__cli_print_wrapped(FILE *stream, const char *text, int column, int indent)
{
    bool line_empty = true;
    while (*text) {
        if (*text == '\n') {
            fputc('\n', stream);
            text++;
            if (*text && *text != '\n')
                fprintf(stream, "%*s", indent, "");
            column = indent;
            line_empty = true;
            continue;
        }
        if (*text == ' ') {
            text++;
            continue;
        }
        int word = (int)strcspn(text, " \n");
        if (!line_empty && column + 1 + word > LINE_COLUMNS) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
            line_empty = true;
        }
        if (!line_empty) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", word, text);
        column += word;
        text += word;
        line_empty = false;
    }
    fputc('\n', stream);
}

/* What follows the help of an option: that it is required, its default, or that it may be repeated. */
void agn__cli_describe_option(char *text, size_t size, const struct agn_cli_option *option)
{
    bool any = option->min == 0.0 && option->max == 0.0;
    const char *help = option->help;
    snprintf(text, size, "%s", help);
    if (option->required)
        snprintf(text, size, "%s (required)", help);
    else if (option->type == AGN_CLI_STRING && *option->string)
        snprintf(text, size, "%s (default: %s)", help, *option->string);
    else if (option->type == AGN_CLI_INT && (any || *option->integer >= option->min)) /* else: none */
        snprintf(text, size, "%s (default: %d)", help, *option->integer);
    else if (option->type == AGN_CLI_DOUBLE)
        snprintf(text, size, "%s (default: %g)", help, *option->real);
    else if (option->type == AGN_CLI_LIST)
        snprintf(text, size, "%s (may be repeated)", help);
}

static void print_row(FILE *stream, const char *head, const char *help)
{
    int column = fprintf(stream, "  %s", head);
    if (column > HELP_COLUMN - 2) {
        fputc('\n', stream);
        column = 0;
    }
    fprintf(stream, "%*s", HELP_COLUMN - column, "");
    agn__cli_print_wrapped(stream, help, HELP_COLUMN, HELP_COLUMN);
}

void agn__cli_print_help(FILE *stream, const struct agn_cli_command *command)
{
    fprintf(stream, "usage: agilenn %s %s\n\n", command->name, command->usage);
    agn__cli_print_wrapped(stream, command->description, 0, 0);
    fprintf(stream, "\nOptions:\n");
    for (int i = 0; i < command->option_count; i++) {
        const struct agn_cli_option *option = &command->options[i];
        char head[128];
        char help[1024];
        char letter[] = {'-', option->letter, ',', ' ', '\0'};
        snprintf(head, sizeof head, "%s--%s%s%s", option->letter ? letter : "", option->name,
                 option->metavar ? " " : "", option->metavar ? option->metavar : "");
        agn__cli_describe_option(help, sizeof help, option);
        print_row(stream, head, help);
    }
    print_row(stream, "--verbose", "log debug lines to stderr");
    print_row(stream, "-h, --help", "show this text");
    fprintf(stream, "\nExample:\n%s\n", command->example);
}
