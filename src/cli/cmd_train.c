/* `agilenn train`: a preset to a trained model in a folder. Everything that can be refused is refused before
 * the first step; files take their names only when they are whole. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/plot.h"
#include "cli/preset_options.h"
#include "cli/together.h"

enum output { MODEL, REFERENCE, CHECKPOINT, METRICS, REPORT, IMPORTANCE, TRAINING, OUTPUTS };
static const char *const output_names[OUTPUTS] = {
    "model.safetensors", "reference.safetensors", "checkpoint.safetensors", "metrics.jsonl", "train.json",
    "importance.png",    "training.png"};

struct job {
    const char *preset_name, *out, *data, *tensorboard, *reference;
    struct agn_cli_list assignments;
    int threads, seed;
    bool resume, force, no_plots, json;

    struct agn_group *group; /* of processes that train together, or NULL */
    char paths[OUTPUTS][1024];
    struct agn_preset preset;
    struct agn_dataset *train, *test, *validation;
    struct agn_model *model;
    struct agn_train_report report;
};

/* ---- before the first step ------------------------------------------------------------- */

static int name_outputs(struct job *job)
{
    for (int i = 0; i < OUTPUTS; i++) {
        int length = snprintf(job->paths[i], sizeof job->paths[i], "%s/%s", job->out, output_names[i]);
        if (job->out[0] == '\0' || length < 0 || (size_t)length >= sizeof job->paths[i])
            return agn_fail(AGN_ERR_ARG, "--out: a path has 1 to about 1000 bytes");
    }
    return AGN_OK;
}

static int read_preset(struct job *job)
{
    int status = agn__cli_load_preset(job->preset_name, &job->assignments, &job->preset);
    if (status >= 0)
        status = agn__cli_replace_data(&job->preset, job->data);
    if (status >= 0 && job->seed >= 0)
        job->preset.train.seed = job->seed;
    return status;
}

static struct agn_train_config config_of(const struct job *job)
{
    return (struct agn_train_config){.preset = job->preset,
                                     .train = job->train,
                                     .test = job->test,
                                     .validation = job->validation,
                                     .checkpoint = job->paths[CHECKPOINT],
                                     .metrics = job->paths[METRICS],
                                     .tensorboard = job->tensorboard,
                                     .resume = job->resume,
                                     .reference = job->reference,
                                     .reference_out = job->paths[REFERENCE],
                                     .group = job->group,
                                     .progress = agn_progress_print,
                                     .progress_user = stderr};
}

static int try_outputs(const struct job *job)
{
    int status = agn_make_dirs(job->out);
    for (int i = 0; i < OUTPUTS && status >= 0; i++) {
        struct agn_file_out probe;
        status = agn_file_out_open(&probe, job->paths[i]);
        if (status >= 0)
            agn_file_out_abort(&probe);
    }
    return status;
}

/* Resuming needs a checkpoint; starting afresh must not cost an interrupted training by accident. */
static int check_checkpoint(const struct job *job)
{
    struct agn_train_state state;
    if (job->resume && !agn_file_exists(job->paths[CHECKPOINT]))
        return agn_fail(AGN_ERR_NOT_FOUND, "there is no checkpoint %s to resume from; start without --resume",
                        job->paths[CHECKPOINT]);
    if (job->resume || job->force || !agn_file_exists(job->paths[CHECKPOINT]) ||
        agn_checkpoint_state(job->paths[CHECKPOINT], &state) < 0)
        return AGN_OK;
    if (state.phase == AGN_PHASE_DONE)
        return AGN_OK;
    return agn_fail(AGN_ERR_STATE,
                    "%s holds an interrupted training: --resume continues it, --force starts afresh",
                    job->out);
}

static int open_data(struct job *job)
{
    struct agn_preset any = job->preset;
    any.data.classes = 0;
    int status = agn__cli_open_dataset(&any, "test", -1, &job->test); /* soon missed, if it is missing */
    if (status >= 0 && any.data.validation[0])
        status = agn__cli_open_dataset(&any, "validation", -1, &job->validation);
    if (status >= 0)
        status = agn__cli_open_dataset(&any, "train", -1, &job->train);
    return status < 0 ? status : agn_train_fit_preset(&job->preset, job->train, job->test, job->group);
}

static int prepare(struct job *job)
{
    bool first = agn_group_rank(job->group) == 0; /* which writes the files */
    agn__cli_set_threads(job->threads);
    int status = name_outputs(job);
    if (status >= 0)
        status = read_preset(job);
    if (status >= 0 && first && !job->no_plots)
        status = agn_plot_available();
    if (status >= 0)
        status = open_data(job);
    if (status >= 0 && first)
        status = check_checkpoint(job);
    status = agn_group_agree(job->group, status);
    if (status >= 0) {
        const struct agn_train_config config = config_of(job);
        status = agn_train_check(&config);
    }
    const char *undeployable = status >= 0 && first ? agn__cli_undeployable(&job->preset) : NULL;
    if (undeployable)
        agn_log(AGN_LOG_WARN, "this model can be trained and evaluated, but not exported: %s", undeployable);
    if (status >= 0)
        status = agn_group_agree(job->group, first ? try_outputs(job) : AGN_OK);
    return status;
}

/* ---- training and its files ---------------------------------------------------------------- */

static int train(struct job *job)
{
    const struct agn_train_config config = config_of(job);
    int status = agn_train_run(&config, &job->model, &job->report);
    if (status < 0 && agn_group_rank(job->group) == 0 && isatty(STDERR_FILENO))
        fputc('\n', stderr); /* ends the line that rewrites itself */
    if (status == AGN_ERR_INTERRUPTED && agn_file_exists(job->paths[CHECKPOINT]))
        agn_fail(status, "interrupted; the same command with --resume continues from %s",
                 job->paths[CHECKPOINT]);
    return status;
}

static struct agn_figures figures_of(const struct job *job)
{
    struct agn_figures f = {.count = 0};
    agn_figures_add_text(&f, "preset", job->preset.name, "what was trained");
    agn_figures_add_whole(&f, "seed", job->preset.train.seed, "of weights, order and augmentation");
    agn_figures_add_whole(&f, "threads", agn_nn_threads(), "of each process");
    agn_figures_add_whole(&f, "train_images", job->train->count, "training images");
    if (job->validation)
        agn_figures_add_whole(&f, "validation_images", job->validation->count,
                              "images that training was watched by");
    agn_train_figures(job->model, &job->report, &f);
    return f;
}

static json_t *json_from(const struct job *job)
{
    const struct agn_model *model = job->model;
    const struct agn_figures figures = figures_of(job);
    json_t *object = agn__cli_json_evaluation(&figures, model, &job->report.evaluation);
    if (!json_object_set_new(object, "importance_before",
                             agn__cli_json_importance(model, model->importance_before)) &&
        !json_object_set_new(object, "importance_after",
                             agn__cli_json_importance(model, model->importance_after)) &&
        !json_object_set_new(object, "model", agn__cli_json_string(job->paths[MODEL])))
        return object;
    json_decref(object);
    return NULL;
}

static int write_report(const struct job *job)
{
    json_t *object = json_from(job);
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    int status = text ? agn_file_write(job->paths[REPORT], text, strlen(text))
                      : agn_fail(AGN_ERR_MEMORY, "cannot write %s: out of memory", job->paths[REPORT]);
    free(text);
    return status;
}

static bool has_importance(const struct job *job)
{
    return !agn_part_is_empty(&job->model->parts[AGN_REFERENCE]);
}

static int draw_plots(const struct job *job)
{
    const struct agn_model *model = job->model;
    if (job->no_plots)
        return AGN_OK;
    const struct agn_plot_channels shares = {.channels = model->map.channels,
                                             .k = model->preset.model.local_channels,
                                             .before = model->importance_before,
                                             .after = model->importance_after,
                                             .valid_before = job->report.reference_accuracy,
                                             .valid_after = job->report.evaluation.reference_valid};
    int status = has_importance(job) ? agn_plot_importance(job->paths[IMPORTANCE], &shares) : AGN_OK;
    return status < 0 ? status : agn_plot_training(job->paths[TRAINING], job->paths[METRICS]);
}

static void print_text(const struct job *job)
{
    FILE *text = agn__cli_text_stream(job->json);
    const struct agn_figures figures = figures_of(job);
    fprintf(text, "trained on %d images in %.1f s\n\n", job->train->count, job->report.seconds);
    agn__cli_print_evaluation(text, &figures, job->model, &job->report.evaluation);
    fputc('\n', text);
    fprintf(text, "wrote %s, %s, %s", job->paths[MODEL], output_names[REPORT], output_names[METRICS]);
    if (!job->no_plots && has_importance(job))
        fprintf(text, ", %s", output_names[IMPORTANCE]);
    fprintf(text, job->no_plots ? "\n" : ", %s\n", output_names[TRAINING]);
}

static int write_results(struct job *job)
{
    int status = agn_model_save(job->model, job->paths[MODEL]);
    if (status >= 0)
        status = write_report(job);
    if (status >= 0)
        status = draw_plots(job);
    if (status < 0)
        return agn__cli_fail("train", status);
    print_text(job);
    return job->json ? agn__cli_print_json("train", json_from(job)) : AGN_CLI_SUCCESS;
}

static int run(struct job *job)
{
    int status = agn_group_open(&job->group);
    if (status >= 0)
        status = prepare(job);
    if (status >= 0)
        status = train(job);
    bool first = agn_group_rank(job->group) == 0;
    int code = agn__cli_leave_group("train", job->group, status);
    return code == AGN_CLI_SUCCESS && first ? write_results(job) : code;
}

static const char description[] =
    "Trains a split model: pre-trains the reference network on the extractor's features, selects the "
    "most important channels, trains extractor, Local NN, quantiser and Remote NN jointly, and "
    "evaluates in float.\n"
    "DIR receives model.safetensors, reference.safetensors (extractor and reference network as "
    "pre-training leaves them), train.json, metrics.jsonl, importance.png, training.png and "
    "checkpoint.safetensors. The results of an earlier training in DIR are replaced, each at once "
    "when the new one is whole; the model when training has ended.\n"
    "Ctrl-C saves the checkpoint and ends with exit code 130; --resume continues from it.\n"
    "mpirun -n N agilenn train ... trains in N processes, each on its part of every batch, with the same "
    "result but for rounding; docs/TRAINING.md says more.";
static const char example[] =
    "  agilenn train --preset fashion --out out/fashion\n"
    "  agilenn train --preset fashion --out out/k8 --set model.local_channels=8 \\\n"
    "      --reference out/fashion/reference.safetensors\n"
    "  agilenn train --preset fashion --out out/fashion --resume";

static int parse(struct job *job, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        {.name = "preset",
         .metavar = "NAME",
         .help = AGN_CLI_HELP_PRESET,
         .type = AGN_CLI_STRING,
         .string = &job->preset_name,
         .required = true},
        {.name = "out",
         .metavar = "DIR",
         .help = "folder for the results; made if it is not there",
         .type = AGN_CLI_STRING,
         .string = &job->out,
         .required = true},
        agn__cli_list("set", "SECTION.KEY=VALUE", &job->assignments, AGN_CLI_HELP_SET),
        agn__cli_text("data", "DIR", &job->data, AGN_CLI_HELP_DATA),
        agn__cli_text(
            "reference", "FILE", &job->reference,
            "a pre-trained reference network (reference.safetensors of another training, or your own): "
            "skips pre-training, or with reference.stem set trains the extractor to imitate that stem"),
        agn__cli_flag("resume", &job->resume, "continue an interrupted training from its checkpoint in DIR"),
        agn__cli_flag("force", &job->force, "start afresh even if DIR holds an interrupted training"),
        agn__cli_flag("no-plots", &job->no_plots, "draw no PNG plots, so that gnuplot is not needed"),
        agn__cli_text("tensorboard", "DIR", &job->tensorboard,
                      "also write the figures of metrics.jsonl as a TensorBoard event file into this folder"),
        agn__cli_whole("seed", "N", &job->seed, -1, 2147483647,
                       "of weights, order and augmentation; -1 = the preset's"),
        agn__cli_whole("threads", "N", &job->threads, 0, 1024, AGN_CLI_HELP_THREADS),
        agn__cli_flag("json", &job->json, "print the figures as one JSON object"),
    };
    const struct agn_cli_command command = {
        .name = "train",
        .usage = "--preset NAME --out DIR [options]",
        .description = description,
        .example = example,
        .options = options,
        .option_count = AGN_COUNT_OF(options),
    };
    return agn__cli_parse(&command, argc, argv);
}

int agn__cmd_train(int argc, char **argv)
{
    struct job job = {.seed = -1};
    int code = parse(&job, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (job.resume && job.force)
        return agn__cli_usage_error("train", "--resume and --force exclude each other");
    code = run(&job);
    agn_model_free(job.model);
    agn_dataset_free(job.train);
    agn_dataset_free(job.test);
    agn_dataset_free(job.validation);
    return code;
}
