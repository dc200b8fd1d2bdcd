/* `agilenn eval`: a trained model on a data set, in float. */
#include "cli/preset_options.h"

struct job {
    struct agn_cli_list files; /* the model */
    const char *data, *split;
    int limit, threads;
    bool json;

    struct agn_model *model;
    struct agn_dataset *dataset;
    struct agn_evaluation evaluation;
};

static int run(struct job *job)
{
    agn_nn_set_threads(job->threads);
    int status = agn_model_load(job->files.items[0], &job->model, NULL);
    if (status >= 0)
        status = agn__cli_replace_data(&job->model->preset, job->data);
    if (status >= 0)
        status = agn__cli_open_dataset(&job->model->preset, job->split, job->limit, &job->dataset);
    if (status >= 0)
        status = agn_model_evaluate(job->model, job->dataset, false, &job->evaluation);
    if (status < 0)
        return agn__cli_fail("eval", status);
    if (job->json)
        return agn__cli_print_json("eval", agn__cli_json_evaluation(job->model, &job->evaluation));
    agn__cli_print_evaluation(stdout, job->model, &job->evaluation);
    return AGN_CLI_SUCCESS;
}

int agn__cmd_eval(int argc, char **argv)
{
    static const char *const splits[] = {"train", "test", NULL};
    struct job job = {.split = "test", .limit = -1};
    const struct agn_cli_option options[] = {
        {.name = "data",
         .metavar = "DIR",
         .help = "folder of the data set, instead of the one that the model was trained on",
         .type = AGN_CLI_STRING,
         .string = &job.data},
        {.name = "split",
         .metavar = "NAME",
         .help = "train or test",
         .type = AGN_CLI_STRING,
         .string = &job.split,
         .choices = splits},
        {.name = "limit",
         .metavar = "N",
         .help = "images, spread evenly over the set; 0 = all, -1 = as in training",
         .type = AGN_CLI_INT,
         .integer = &job.limit,
         .min = -1,
         .max = 1e9},
        {.name = "threads",
         .metavar = "N",
         .help = AGN_CLI_HELP_THREADS,
         .type = AGN_CLI_INT,
         .integer = &job.threads,
         .min = 0,
         .max = 1024},
        {.name = "json", .help = "print one JSON object", .type = AGN_CLI_FLAG, .flag = &job.json},
    };
    const struct agn_cli_command command = {
        .name = "eval",
        .usage = "[options] MODEL.safetensors",
        .description = "Evaluates a trained model in float: accuracy of the fused, the local and the remote "
                       "prediction, validity of the reference, skewness and disorder of the importance, use "
                       "of the quantiser's levels.",
        .example = "  agilenn eval out/fashion/model.safetensors\n"
                   "  agilenn eval out/fashion/model.safetensors --limit 1000 --json",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &job.files,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "MODEL.safetensors",
    };
    int code = agn__cli_parse(&command, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    code = run(&job);
    agn_model_free(job.model);
    agn_dataset_free(job.dataset);
    return code;
}
