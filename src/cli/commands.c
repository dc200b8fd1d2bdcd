/* Each subcommand has a row here and its work in cmd_<name>.c. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "agilenn/base.h"
#include "cli/cli.h"

const struct agn__cli_entry agn__cli_entries[] = {
    {.name = "data", .summary = "say what a data set holds; fetch or check one", .run = agn__cmd_data},
    {.name = "data check",
     .summary = "look for bad files in a data set",
     .run = agn__cmd_data,
     .is_part = true},
    {.name = "data fetch", .summary = "download a data set", .run = agn__cmd_data, .is_part = true},
    {.name = "fit", .summary = "find the design that suits a board, a radio and limits", .run = agn__cmd_fit},
    {.name = "sweep",
     .summary = "train and measure all runs of a plan",
     .run = agn__cmd_sweep,
     .takes_processes = true},
    {.name = "sweep show", .summary = "list the designs of a sweep", .run = agn__cmd_sweep, .is_part = true},
    {.name = "sweep csv", .summary = "print a sweep's tables as CSV", .run = agn__cmd_sweep, .is_part = true},
    {.name = "sweep plot", .summary = "draw the designs of a sweep", .run = agn__cmd_sweep, .is_part = true},
    {.name = "sweep merge", .summary = "join the results of sweeps", .run = agn__cmd_sweep, .is_part = true},
    {.name = "train", .summary = "train a split model", .run = agn__cmd_train, .takes_processes = true},
    {.name = "eval", .summary = "evaluate a trained model in float", .run = agn__cmd_eval},
    {.name = "curves",
     .summary = "accuracy under packet loss, byte budgets and silence",
     .run = agn__cmd_curves},
    {.name = "explain", .summary = "show where in some images importance lies", .run = agn__cmd_explain},
    {.name = "explain deletion",
     .summary = "check importance by deleting channels",
     .run = agn__cmd_explain,
     .is_part = true},
    {.name = "shift", .summary = "does importance keep its order when inputs change?", .run = agn__cmd_shift},
    {.name = "plot", .summary = "draw trainings side by side", .run = agn__cmd_plot},
    {.name = "info", .summary = "say what a model file or a preset holds", .run = agn__cmd_info},
    {.name = "export", .summary = "quantise a trained model for the device", .run = agn__cmd_export},
    {.name = "estimate", .summary = "what a frame costs on a board with a radio", .run = agn__cmd_estimate},
    {.name = "serve", .summary = "run the edge server", .run = agn__cmd_serve},
    {.name = "keys", .summary = "make keys for devices that speak DTLS", .run = agn__cmd_keys},
    {.name = "run", .summary = "classify a data set on an emulated device", .run = agn__cmd_run},
    {.name = "swarm", .summary = "load a server with many emulated devices", .run = agn__cmd_swarm},
    {.name = "modem",
     .summary = "play a microcontroller's WiFi modem, with a bad radio link",
     .run = agn__cmd_modem},
    {.name = "bench",
     .summary = "time training on this machine",
     .run = agn__cmd_bench,
     .takes_processes = true},
    {.name = "bench forward",
     .summary = "time the server's inference on this machine",
     .run = agn__cmd_bench,
     .is_part = true},
    {.name = "bench codec",
     .summary = "compare the codecs on a model's frames",
     .run = agn__cmd_bench,
     .is_part = true},
    {.name = "report", .summary = "a page of results beside the paper's", .run = agn__cmd_report},
    {.name = "demo",
     .summary = "all of it on Fashion-MNIST, from training to a dead server",
     .run = agn__cmd_demo},
};
const int agn__cli_entry_count = AGN_COUNT_OF(agn__cli_entries);

const struct agn__cli_entry *agn__cli_find(const char *name)
{
    for (int i = 0; i < agn__cli_entry_count; i++)
        if (strcmp(agn__cli_entries[i].name, name) == 0)
            return &agn__cli_entries[i];
    return NULL;
}

int agn__cli_describe(const struct agn__cli_entry *entry, const char *form)
{
    char words[64], option[16];
    char *arguments[4] = {words, NULL};
    int count = 1;
    snprintf(words, sizeof words, "%s", entry->name);
    snprintf(option, sizeof option, "%s", form);
    char *space = strchr(words, ' ');
    if (space) {
        *space = '\0';
        arguments[count++] = space + 1;
    }
    arguments[count++] = option;
    return entry->run(count, arguments);
}
