/* The completion script for bash: cli/completion.bash, filled with what the tables of commands and options
 * say. */
#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/completion_files.h"
#include "cli/options.h"

/* ---- what a command says of itself -------------------------------------------------------------- */

/* What lists the values of an option; bash itself lists files. */
static void print_values(FILE *stream, const struct agn_cli_option *option)
{
    bool text = option->type == AGN_CLI_STRING || option->type == AGN_CLI_LIST;
    if (option->choices) {
        fputs("_agilenn_words \"", stream);
        for (int i = 0; option->choices[i]; i++)
            fprintf(stream, "%s%s", i ? " " : "", option->choices[i]);
        fputs("\"; ", stream);
    } else if (strcmp(option->name, "preset") == 0) {
        fputs("_agilenn_presets; ", stream);
    } else if (!text) {
        fputs("_agilenn_nothing; ", stream);
    }
}

void agn__cli_print_completion(FILE *stream, const struct agn_cli_command *command)
{
    fprintf(stream, "    \"%s\")\n        options=\"", command->name);
    for (int i = 0; i < command->option_count; i++)
        fprintf(stream, "--%s ", command->options[i].name);
    fputs("--verbose --help\"\n        case $option in\n", stream);
    for (int i = 0; i < command->option_count; i++) {
        const struct agn_cli_option *option = &command->options[i];
        if (option->type == AGN_CLI_FLAG)
            continue;
        fprintf(stream, "        --%s", option->name);
        if (option->letter)
            fprintf(stream, " | -%c", option->letter);
        fputs(") ", stream);
        print_values(stream, option);
        fputs("return ;;\n", stream);
    }
    fputs("        esac\n        ;;\n", stream);
}

/* ---- the script --------------------------------------------------------------------------------- */

static int print_names(void)
{
    for (int i = 0; i < agn__cli_entry_count; i++)
        printf("    \"%s\"\n", agn__cli_entries[i].name);
    return AGN_CLI_SUCCESS;
}

static int print_commands(void)
{
    int code = AGN_CLI_SUCCESS;
    for (int i = 0; i < agn__cli_entry_count && code == AGN_CLI_SUCCESS; i++)
        code = agn__cli_describe(&agn__cli_entries[i], "--help=bash");
    return code;
}

int agn__cli_completion(void)
{
    const struct agn_embedded_file *script = &agn__completion_files[0];
    static const struct {
        const char *line;
        int (*print)(void);
    } places[] = {{"NAMES", print_names}, {"COMMANDS", print_commands}};
    const char *rest = (const char *)script->bytes, *end = rest + script->size_bytes;
    int code = AGN_CLI_SUCCESS;
    while (rest < end && code == AGN_CLI_SUCCESS) {
        const char *newline = memchr(rest, '\n', (size_t)(end - rest));
        size_t length = newline ? (size_t)(newline - rest) : (size_t)(end - rest), indent = 0, filled = 0;
        while (indent < length && rest[indent] == ' ')
            indent++;
        for (size_t i = 0; i < AGN_COUNT_OF(places); i++)
            if (length - indent == strlen(places[i].line) &&
                memcmp(rest + indent, places[i].line, length - indent) == 0) {
                code = places[i].print();
                filled++;
            }
        if (!filled)
            printf("%.*s\n", (int)length, rest);
        rest += length + 1;
    }
    return code;
}
