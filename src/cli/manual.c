/* Manual pages, made from the table of commands and their option tables, in man(7)'s macros. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/preset.h"
#include "agn_build.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"

enum { MAX_NAME = 64 };

/* ---- text ------------------------------------------------------------------------------------- */

static void print_escaped(FILE *stream, const char *text, size_t length)
{
    bool line_begins = true;
    for (size_t i = 0; i < length; i++) {
        if (line_begins && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", stream);
        if (text[i] == '\\')
            fputs("\\e", stream);
        else if (text[i] == '-')
            fputs("\\-", stream);
        else
            fputc(text[i], stream);
        line_begins = text[i] == '\n';
    }
}

/* Line breaks in the text are kept, empty lines begin a paragraph. */
static void print_text(FILE *stream, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        print_escaped(stream, text, length);
        fputc('\n', stream);
        text += length;
        if (text[0] == '\n' && text[1])
            fputs(text[1] == '\n' ? ".PP\n" : ".br\n", stream);
        text += strspn(text, "\n");
    }
}

/* ---- what a command says of itself -------------------------------------------------------------- */

static void print_option(FILE *stream, const struct agn_cli_option *option)
{
    char help[1024];
    agn__cli_describe_option(help, sizeof help, option);
    fputs(".TP\n", stream);
    if (option->letter)
        fprintf(stream, "\\fB\\-%c\\fR, ", option->letter);
    fputs("\\fB\\-\\-", stream);
    print_escaped(stream, option->name, strlen(option->name));
    fputs("\\fR", stream);
    if (option->metavar) {
        fputs(" \\fI", stream);
        print_escaped(stream, option->metavar, strlen(option->metavar));
        fputs("\\fR", stream);
    }
    fputc('\n', stream);
    print_text(stream, help);
}

void agn__cli_print_manual(FILE *stream, const struct agn_cli_command *command)
{
    fprintf(stream, ".SH SYNOPSIS\n\\fBagilenn %s\\fR ", command->name);
    print_text(stream, command->usage);
    fputs(".SH DESCRIPTION\n", stream);
    print_text(stream, command->description);
    fputs(".SH OPTIONS\n", stream);
    for (int i = 0; i < command->option_count; i++)
        print_option(stream, &command->options[i]);
    fputs(".TP\n\\fB\\-\\-verbose\\fR\nlog debug lines to stderr\n"
          ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nshow these options\n"
          ".SH EXAMPLES\n.nf\n",
          stream);
    size_t length = strlen(command->example);
    print_escaped(stream, command->example, length);
    fputs(length > 0 && command->example[length - 1] == '\n' ? ".fi\n" : "\n.fi\n", stream);
}

/* ---- pages ------------------------------------------------------------------------------------ */

/* "agilenn-data-check" of "data check". */
static void page_name(char name[MAX_NAME], const struct agn__cli_entry *entry)
{
    snprintf(name, MAX_NAME, "agilenn-%s", entry->name);
    for (char *c = name; *c; c++)
        if (*c == ' ')
            *c = '-';
}

static void print_title(const char *name, int section, const char *summary)
{
    printf(".TH \"");
    for (const char *c = name; *c; c++)
        putchar(toupper((unsigned char)*c));
    printf("\" \"%d\" \"\" \"agilenn %s\" \"AgileNN\"\n.SH NAME\n", section, AGN_VERSION);
    print_escaped(stdout, name, strlen(name));
    printf(" \\- ");
    print_text(stdout, summary);
}

static int print_main_page(void)
{
    print_title("agilenn", 1, "split neural networks between a microcontroller and a server");
    printf(".SH SYNOPSIS\n\\fBagilenn\\fR \\fICOMMAND\\fR [options]\n.SH DESCRIPTION\n");
    print_text(stdout, AGN_CLI_OVERVIEW);
    printf(".SH COMMANDS\n");
    for (int i = 0; i < agn__cli_entry_count; i++) {
        char name[MAX_NAME];
        page_name(name, &agn__cli_entries[i]);
        printf(".TP\n\\fB");
        print_escaped(stdout, name, strlen(name));
        printf("\\fR(1)\n");
        print_text(stdout, agn__cli_entries[i].summary);
    }
    printf(
        ".SH \"EXIT STATUS\"\n0 on success, 1 when the work failed, 2 when the command line was wrong, 130 "
        "when it was interrupted.\n"
        ".SH ENVIRONMENT\n.TP\n\\fBAGILENN_PRESETS\\fR\na folder of presets that is looked into first\n"
        ".TP\n\\fBAGILENN_PROFILES\\fR\nlikewise of profiles of boards and radios\n"
        ".SH \"SEE ALSO\"\n\\fBagilenn\\-preset\\fR(5)\n");
    return AGN_CLI_SUCCESS;
}

static int print_preset_page(void)
{
    char *keys = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&keys, &length);
    if (!stream)
        return AGN_CLI_FAILURE;
    agn_preset_print_keys(stream);
    int code = fclose(stream) == 0 ? AGN_CLI_SUCCESS : AGN_CLI_FAILURE;
    print_title("agilenn-preset", 5, "data set, networks and training settings of agilenn");
    printf(
        ".SH DESCRIPTION\nAn INI file. \\fBagilenn train \\-\\-preset\\fR takes its path, or the name of one "
        "in the "
        "folders\n\\fB$AGILENN_PRESETS\\fR, \\fIpresets\\fR, and \\fI../share/agilenn/presets\\fR from the "
        "command's own.\n.SH KEYS\n.nf\n");
    if (code == AGN_CLI_SUCCESS)
        print_escaped(stdout, keys, length);
    printf(".fi\n.SH \"SEE ALSO\"\n\\fBagilenn\\-train\\fR(1)\n");
    free(keys);
    return code;
}

static int print_command_page(const struct agn__cli_entry *entry)
{
    char name[MAX_NAME];
    page_name(name, entry);
    print_title(name, 1, entry->summary);
    int code = agn__cli_describe(entry, "--help=man");
    printf(".SH \"SEE ALSO\"\n\\fBagilenn\\fR(1), \\fBagilenn\\-preset\\fR(5)\n");
    return code;
}

int agn__cli_manual(const char *page)
{
    char name[MAX_NAME];
    if (!page)
        printf("agilenn.1\nagilenn-preset.5\n");
    else if (strcmp(page, "agilenn.1") == 0)
        return print_main_page();
    else if (strcmp(page, "agilenn-preset.5") == 0)
        return print_preset_page();
    for (int i = 0; i < agn__cli_entry_count; i++) {
        page_name(name, &agn__cli_entries[i]);
        if (!page)
            printf("%s.1\n", name);
        else if (strncmp(page, name, strlen(name)) == 0 && strcmp(page + strlen(name), ".1") == 0)
            return print_command_page(&agn__cli_entries[i]);
    }
    if (page)
        fprintf(stderr, "agilenn help: there is no page '%s'; 'agilenn help --man' lists them\n", page);
    return page ? AGN_CLI_USAGE : AGN_CLI_SUCCESS;
}
