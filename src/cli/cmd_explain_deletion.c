/* `agilenn explain deletion`: is what attribution calls important important? The work is
 * agn_deletion_measure's. */
#include <string.h>

#include "agilenn/deletion.h"
#include "agilenn/plot.h"
#include "cli/preset_options.h"

struct job {
    struct agn_cli_list files, methods;
    const char *data, *split, *out;
    int images, points, draws, seed, threads;
    bool json;

    enum agn_xai_method chosen[AGN_DELETION_METHODS];
    struct agn_model *model;
    struct agn_dataset *dataset;
    struct agn_deletion *result;
};

static int measure(struct job *job)
{
    agn_nn_set_threads(job->threads);
    int status = job->out != NULL ? agn_plot_available() : AGN_OK;
    if (status >= 0)
        status = agn_model_load(job->files.items[0], &job->model);
    if (status >= 0)
        status = agn__cli_replace_data(&job->model->preset, job->data);
    if (status >= 0)
        status = agn__cli_open_dataset(&job->model->preset, job->split, job->images, &job->dataset);
    job->result = agn_alloc(1, sizeof *job->result);
    if (status >= 0 && job->result == NULL)
        status = AGN_ERR_MEMORY;
    if (status < 0)
        return status;
    const struct agn_deletion_config config = {.model = job->model,
                                               .data = job->dataset,
                                               .methods = job->chosen,
                                               .method_count = job->methods.count,
                                               .points = job->points,
                                               .draws = job->draws,
                                               .seed = (uint64_t)job->seed,
                                               .progress = agn_progress_print,
                                               .progress_user = stderr};
    status = agn_deletion_measure(&config, job->result);
    if (status >= 0 && job->out != NULL)
        status = agn_deletion_write(job->result, job->model->preset.name, job->out);
    return status;
}

/* ---- JSON --------------------------------------------------------------------------------- */

static json_t *doubles(const double *values, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_real(values[i]));
    return list;
}

static json_t *curve_json(const struct agn_deletion_curve *curve, int channels)
{
    return json_pack("{s:f, s:f, s:o, s:o}", "accuracy_area", curve->accuracy_area, "probability_area",
                     curve->probability_area, "accuracy", doubles(curve->accuracy, channels + 1),
                     "probability", doubles(curve->probability, channels + 1));
}

static json_t *pair_json(const struct agn_deletion_pair *pair, int channels)
{
    return json_pack("{s:o, s:o}", "deletion", curve_json(&pair->deletion, channels), "insertion",
                     curve_json(&pair->insertion, channels));
}

static json_t *json_from(const struct job *job)
{
    const struct agn_deletion *r = job->result;
    json_t *methods = json_array();
    for (int i = 0; i < r->method_count; i++) {
        const struct agn_deletion_method *m = &r->methods[i];
        json_array_append_new(methods,
                              json_pack("{s:s, s:o, s:o, s:o, s:o}", "method", agn_xai_method_name(m->method),
                                        "falling", pair_json(&m->falling, r->channels), "rising",
                                        pair_json(&m->rising, r->channels), "fused_falling",
                                        curve_json(&m->fused_falling, r->sent_channels), "fused_rising",
                                        curve_json(&m->fused_rising, r->sent_channels)));
    }
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:o, s:o, s:o}", "images", r->images, "channels",
                     r->channels, "local_channels", r->local_channels, "sent_channels", r->sent_channels,
                     "draws", r->draws, "seed", job->seed, "seconds", r->seconds, "methods", methods, "fixed",
                     pair_json(&r->fixed, r->channels), "random", pair_json(&r->random, r->channels));
}

/* ---- text ----------------------------------------------------------------------------------- */

static void print_pair(enum agn_deletion_order order, const char *method,
                       const struct agn_deletion_pair *pair)
{
    printf("%-18s %-8s %9.4f %9.4f %10.4f %9.4f\n", method, agn_deletion_order_name(order),
           pair->deletion.probability_area, pair->deletion.accuracy_area, pair->insertion.probability_area,
           pair->insertion.accuracy_area);
}

static int print_text(const struct job *job)
{
    const struct agn_deletion *r = job->result;
    printf("%d images, %d channels of which %d are sent, %d random orders; %.0f s\n"
           "areas below the curves of the reference\n%-18s %-8s %9s %9s %10s %9s\n",
           r->images, r->channels, r->sent_channels, r->draws, r->seconds, "", "", "deletion", "accuracy",
           "insertion", "accuracy");
    for (int i = 0; i < r->method_count; i++) {
        const char *name = agn_xai_method_name(r->methods[i].method);
        print_pair(AGN_DELETE_FALLING, name, &r->methods[i].falling);
    }
    print_pair(AGN_DELETE_FIXED, "", &r->fixed);
    print_pair(AGN_DELETE_RANDOM, "", &r->random);
    printf("areas of the fused prediction's accuracy as sent channels do not come\n%-18s %16s %16s\n", "",
           "important first", "important last");
    for (int i = 0; i < r->method_count; i++)
        printf("%-18s %16.4f %16.4f\n", agn_xai_method_name(r->methods[i].method),
               r->methods[i].fused_falling.accuracy_area, r->methods[i].fused_rising.accuracy_area);
    if (job->out != NULL)
        printf("wrote %s\n", job->out);
    return AGN_CLI_SUCCESS;
}

/* ---- the command ------------------------------------------------------------------------------ */

static int choose_methods(struct job *job)
{
    if (job->methods.count > AGN_DELETION_METHODS)
        return agn__cli_usage_error("explain deletion", "--method: at most %d", (int)AGN_DELETION_METHODS);
    for (int i = 0; i < job->methods.count; i++) {
        int method = agn_xai_method_from_name(job->methods.items[i]);
        if (method < 0)
            return agn__cli_usage_error("explain deletion", "--method: %s", agn_error_message());
        job->chosen[i] = (enum agn_xai_method)method;
    }
    return AGN_CLI_GO_ON;
}

static int parse(struct job *job, int argc, char **argv)
{
    static const char *const splits[] = {"train", "test", "validation", NULL};
    const struct agn_cli_option options[] = {
        agn__cli_text("data", "DIR", &job->data,
                      "folder of the data set, instead of the one that the model was trained on"),
        agn__cli_choice("split", "NAME", &job->split, splits, "train, test or validation"),
        agn__cli_whole("images", "N", &job->images, 0, 1000000000,
                       "measure on so many images, spread evenly over the set; 0 = all"),
        agn__cli_list(
            "method", "NAME", &job->methods,
            "of attribution, instead of the preset's: ig-trapezoid, ig-midpoint, ig-gauss-legendre, "
            "gradient-x-input or gradient"),
        agn__cli_whole("points", "M", &job->points, 0, AGN_XAI_MAX_POINTS,
                       "gradients of integrated gradients; 0 = the preset's"),
        agn__cli_whole("draws", "N", &job->draws, 1, AGN_DELETION_DRAWS, "random orders of each image"),
        agn__cli_whole("seed", "N", &job->seed, 0, 1000000000, "of random orders"),
        agn__cli_text("out", "DIR", &job->out, "write deletion.csv, deletion.png and deletion.svg there"),
        agn__cli_whole("threads", "N", &job->threads, 0, 1024, AGN_CLI_HELP_THREADS),
        agn__cli_flag("json", &job->json, "print one JSON object")};
    const struct agn_cli_command command = {
        .name = "explain deletion",
        .usage = "[options] MODEL.safetensors",
        .description =
            "Checks what attribution says: takes feature channels away from each image, most important "
            "first, "
            "least important first, as the model orders them and at random, and asks the reference network "
            "after each; puts them back likewise; and lets sent channels of a frame get lost in these "
            "orders. "
            "A small area below deletion and a large one below insertion, most important first, speak for a "
            "method.",
        .example = "  agilenn explain deletion out/fashion/model.safetensors --out out/deletion\n"
                   "  agilenn explain deletion out/fashion/model.safetensors --method ig-trapezoid "
                   "--method gradient --images 500 --json",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &job->files,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "MODEL.safetensors"};
    int code = agn__cli_parse(&command, argc, argv);
    return code == AGN_CLI_GO_ON ? choose_methods(job) : code;
}

int agn__cmd_explain_deletion(int argc, char **argv)
{
    struct job job = {.split = "test", .images = 1000, .draws = 3, .seed = 1};
    int code = parse(&job, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    int status = measure(&job);
    code = status < 0 ? agn__cli_fail("explain deletion", status)
           : job.json ? agn__cli_print_json("explain deletion", json_from(&job))
                      : print_text(&job);
    agn_free(job.result);
    agn_dataset_free(job.dataset);
    agn_model_free(job.model);
    return code;
}
