/* The table of subcommands, and of what some have below them. */
#ifndef AGN_CLI_COMMANDS_H
#define AGN_CLI_COMMANDS_H

#include <stdbool.h>

struct agn__cli_entry {
    const char *name; /* "data", or for a part "data check" */
    const char *summary;
    int (*run)(int argc, char **argv);
    bool is_part;         /* of the subcommand before it, which finds it by itself */
    bool takes_processes; /* works under mpirun */
};

extern const struct agn__cli_entry agn__cli_entries[];
extern const int agn__cli_entry_count;

/* By name; NULL: there is none. A part is found by both words. */
const struct agn__cli_entry *agn__cli_find(const char *name);

/* Prints the command's own description: `form` is --help, --help=man or --help=bash. Returns its code. */
int agn__cli_describe(const struct agn__cli_entry *entry, const char *form);

/* manual.c, `agilenn help --man [PAGE]`: prints a manual page such as agilenn-train.1; NULL: the names of
 * all, a line each. completion.c, `agilenn help --completion`: prints a script for bash. Both return an exit
 * code. */
int agn__cli_manual(const char *page);
int agn__cli_completion(void);

#endif
