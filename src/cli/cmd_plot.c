/* `agilenn plot`: trainings side by side in one picture. */
#include <stdio.h>
#include <string.h>

#include "agilenn/plot.h"
#include "cli/cli.h"
#include "cli/options.h"

struct job {
    struct agn_cli_list folders; /* LABEL=DIR or DIR */
    const char *path;
    char labels[AGN_PLOT_MAX_TRAININGS][128], metrics[AGN_PLOT_MAX_TRAININGS][1024];
};

/* "no losses=out/control" or "out/control", labelled by its last part. */
static int read_operand(const char *operand, char label[128], char metrics[1024])
{
    const char *equals = strchr(operand, '='), *folder = equals != NULL ? equals + 1 : operand;
    size_t end = strlen(folder);
    while (end > 1 && folder[end - 1] == '/')
        end--;
    int start = (int)end;
    while (start > 0 && folder[start - 1] != '/')
        start--;
    if (equals != NULL)
        snprintf(label, 128, "%.*s", (int)(equals - operand), operand);
    else
        snprintf(label, 128, "%.*s", (int)end - start, folder + start);
    if (end == 0 || snprintf(metrics, 1024, "%.*s/metrics.jsonl", (int)end, folder) >= 1024) {
        return agn_fail(AGN_ERR_ARG, "'%.100s': expected DIR or LABEL=DIR of at most about 1000 bytes",
                        operand);
    }
    return AGN_OK;
}

static int run(struct job *job)
{
    struct agn_plot_labelled trainings[AGN_PLOT_MAX_TRAININGS];
    int status = AGN_OK;
    for (int i = 0; i < job->folders.count && status >= 0; i++) {
        status = read_operand(job->folders.items[i], job->labels[i], job->metrics[i]);
        trainings[i] = (struct agn_plot_labelled){job->labels[i], job->metrics[i]};
    }
    if (status >= 0)
        status = agn_plot_comparison(job->path, trainings, job->folders.count);
    if (status < 0)
        return agn__cli_fail("plot", status);
    printf("wrote %s\n", job->path);
    return AGN_CLI_SUCCESS;
}

int agn__cmd_plot(int argc, char **argv)
{
    struct job job = {.path = "comparison.png"};
    const struct agn_cli_option options[] = {
        {.name = "output",
         .letter = 'o',
         .metavar = "FILE",
         .help = "the PNG to write, whole or not at all",
         .type = AGN_CLI_STRING,
         .string = &job.path},
    };
    const struct agn_cli_command command = {
        .name = "plot",
        .usage = "[options] [LABEL=]DIR...",
        .description =
            "Draws joint training of several models, from the metrics.jsonl in the output folders of "
            "`agilenn train`, into one picture: fused accuracy, skewness, reference validity and "
            "disorder rate over the images trained on. A training under way can be drawn too.",
        .example = "  agilenn plot whole=out/cifar 'no importance losses=out/control' -o comparison.png",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &job.folders,
        .min_operands = 1,
        .max_operands = AGN_PLOT_MAX_TRAININGS,
        .operand_name = "[LABEL=]DIR",
    };
    int code = agn__cli_parse(&command, argc, argv);
    return code == AGN_CLI_GO_ON ? run(&job) : code;
}
