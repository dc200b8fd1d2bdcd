/* `agilenn`: finds the subcommand, installs the signal handlers, checks that the output was written.
 * The work is in cmd_<name>.c, one file a subcommand. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/distributed.h"
#include "agn_build.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/nearest.h"
#include "cli/options.h"

static void print_overview(FILE *stream)
{
    fprintf(stream, "usage: agilenn COMMAND [options]\n\n");
    agn__cli_print_wrapped(stream, AGN_CLI_OVERVIEW, 0, 0);
    fprintf(stream, "\nCommands:\n");
    for (int i = 0; i < agn__cli_entry_count; i++)
        if (!agn__cli_entries[i].is_part)
            fprintf(stream, "  %-10s %s\n", agn__cli_entries[i].name, agn__cli_entries[i].summary);
    fprintf(stream, "\nOptions:\n"
                    "  -h, --help    show this text\n"
                    "  --version     show version and commit\n\n"
                    "'agilenn help COMMAND' or 'agilenn COMMAND --help' says more about a command,\n"
                    "'agilenn help --completion' prints a completion script for bash.\n");
}

static int unknown_command(const char *name)
{
    const char *names[64] = {"help", "--help", "--version"};
    int count = 3;
    for (int i = 0; i < agn__cli_entry_count && count < (int)AGN_COUNT_OF(names); i++)
        if (!agn__cli_entries[i].is_part)
            names[count++] = agn__cli_entries[i].name;
    const char *nearest = agn__cli_nearest(name, names, count);
    fprintf(stderr, "agilenn: unknown %s '%s'%s%s%s (see agilenn --help)\n",
            name[0] == '-' ? "option" : "command", name, nearest ? "; did you mean " : "",
            nearest ? nearest : "", nearest ? "?" : "");
    return AGN_CLI_USAGE;
}

static int help(int argc, char **argv)
{
    char name[64];
    if (argc == 0) {
        print_overview(stdout);
        return AGN_CLI_SUCCESS;
    }
    if (strcmp(argv[0], "--man") == 0)
        return agn__cli_manual(argc > 1 ? argv[1] : NULL);
    if (strcmp(argv[0], "--completion") == 0)
        return agn__cli_completion();
    snprintf(name, sizeof name, "%s%s%s", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    const struct agn__cli_entry *entry = agn__cli_find(name);
    return entry ? agn__cli_describe(entry, "--help") : unknown_command(name);
}

static int refuse_company(const char *command)
{
    if (agn_launch_rank() == 0)
        fprintf(stderr,
                "agilenn %s: mpirun is for 'train', 'sweep' and 'bench' only; start this one without it\n",
                command);
    return AGN_CLI_USAGE;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return AGN_CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(0, NULL);
    if (strcmp(argv[1], "help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(argv[1], "--version") == 0) {
        printf("agilenn %s (%s)\n", AGN_VERSION, AGN_COMMIT);
        return AGN_CLI_SUCCESS;
    }
    const struct agn__cli_entry *entry = agn__cli_find(argv[1]);
    if (!entry || entry->is_part)
        return unknown_command(argv[1]);
    if (agn_launch_size() > 1 && !entry->takes_processes)
        return refuse_company(entry->name);
    return entry->run(argc - 1, argv + 1);
}

static bool is_first_of_several; /* processes; set before the handler is */

/* When a process dies, mpirun ends the others, with little time between SIGTERM and SIGKILL. */
static void on_signal(int number)
{
    static const char text[] = "agilenn: told to end (by the user, or because another process died); if no "
                               "more follows, --resume continues from the last checkpoint\n";
    if (number == SIGTERM && is_first_of_several)
        (void)!write(STDERR_FILENO, text, sizeof text - 1);
    agn_interrupt_request();
}

/* The first Ctrl-C asks the running work to save and end; a second one kills it. */
static void install_signal_handlers(void)
{
    struct sigaction action;
    is_first_of_several = agn_launch_size() > 1 && agn_launch_rank() == 0;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (agn_launch_size() > 1)
        sigaction(SIGUSR1, &action, NULL); /* mpirun hands it on; of Ctrl-C it makes a quick death */
}

/* OpenMP's threads wait for each other by spinning, by default so long that a machine with other work
 * to do slows training down many times over; a short spin costs nothing on an idle one. The runtime reads
 * its settings before main, so the program starts itself once more with them. */
static void limit_spinning(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") == NULL && getenv("GOMP_SPINCOUNT") == NULL) {
        setenv("GOMP_SPINCOUNT", "20000", 1);
        execv("/proc/self/exe", argv); /* on failure go on as we are */
    }
}

/* A file that is opened takes the lowest free number: were one of these free, it could be written to by
 * whatever prints. Each is opened the wrong way round, so that using it fails as on a closed one. */
static void occupy_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    occupy_standard_streams();
    agn_launch_unbind();
    limit_spinning(argv);
    install_signal_handlers();
    if (agn_launch_rank() == 0)
        agn__cli_log_to_stderr(false);
    int code = run(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == AGN_CLI_SUCCESS) {
        fprintf(stderr, "agilenn: cannot write to standard output\n");
        code = AGN_CLI_FAILURE;
    }
    return code;
}
