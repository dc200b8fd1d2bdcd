/* `agilenn explain`: a PNG of some images with their importance. The work is agn_explain's. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/measure.h"
#include "cli/preset_options.h"

struct job {
    struct agn_cli_list files; /* the model */
    const char *data, *split, *images, *method, *path;
    int count, points, threads;
    bool json, measure_completeness;

    struct agn_model *model;
    struct agn_dataset *dataset;
    int positions[AGN_PLOT_MAX_ROWS];
    struct agn_explanation explanations[AGN_PLOT_MAX_ROWS];
    struct agn_completeness completeness;
};

static const char *const rule_names[AGN_COMPLETENESS_RULES] = {"ig-trapezoid", "ig-midpoint",
                                                               "ig-gauss-legendre"};

/* "0,5,9" into positions; their number is `count`. */
static int parse_images(struct job *job)
{
    job->count = 0;
    for (const char *at = job->images;; at++) {
        char *end = NULL;
        long position = isdigit((unsigned char)*at) ? strtol(at, &end, 10) : -1;
        if (position < 0 || position > 1000000000 || (*end != ',' && *end != '\0'))
            return agn__cli_usage_error(
                "explain", "--images %s: expected numbers with commas between, as in 0,5,9", job->images);
        if (job->count == AGN_PLOT_MAX_ROWS)
            return agn__cli_usage_error("explain", "--images: at most %d images fit into a picture",
                                        AGN_PLOT_MAX_ROWS);
        job->positions[job->count++] = (int)position;
        at = end;
        if (*at == '\0')
            return AGN_CLI_GO_ON;
    }
}

static json_t *json_from_completeness(const struct agn_completeness *completeness)
{
    json_t *rows = json_array();
    for (int i = 0; i < AGN_COMPLETENESS_ROWS; i++) {
        json_t *row = json_pack("{s:i}", "points", completeness->points[i]);
        for (int rule = 0; rule < AGN_COMPLETENESS_RULES; rule++) {
            double gap = completeness->gap[i][rule];
            json_object_set_new(row, rule_names[rule], isfinite(gap) ? json_real(gap) : json_null());
        }
        json_array_append_new(rows, row);
    }
    return json_pack("{s:i, s:f, s:o}", "images", completeness->images, "loss_difference_mean",
                     completeness->difference, "gaps", rows);
}

static json_t *json_from(const struct job *job)
{
    const struct agn_model *model = job->model;
    json_t *rows = json_array();
    for (int i = 0; i < job->count; i++) {
        const struct agn_explanation *e = &job->explanations[i];
        char *const *names = model->class_names;
        json_t *row = json_pack(
            "{s:i, s:i, s:o, s:i, s:b, s:i, s:i, s:i, s:f, s:f, s:b, s:f, s:f, s:f, s:o}", "image", e->image,
            "label", e->label, "class", agn__cli_json_string(names[e->label]), "reference_class",
            e->reference_class, "reference_valid", e->reference_valid, "local_class", e->local_class,
            "remote_class", e->remote_class, "fused_class", e->fused_class, "fused_probability",
            e->fused_probability, "skewness", e->skewness, "disordered", e->disordered, "attribution_sum",
            e->attribution_sum, "loss", e->loss, "loss_at_zero", e->loss_at_zero, "channel_importance",
            agn__cli_json_floats(e->importance, model->map.channels));
        if (json_array_append_new(rows, row)) {
            json_decref(rows);
            return NULL;
        }
    }
    json_t *object = json_pack("{s:o, s:i, s:o}", "png", agn__cli_json_string(job->path), "local_channels",
                               model->preset.model.local_channels, "images", rows);
    if (object && job->measure_completeness)
        json_object_set_new(object, "completeness", json_from_completeness(&job->completeness));
    return object;
}

static void print_completeness(const struct agn_completeness *completeness)
{
    printf("\ndistance of the sum of A from l(F) - l(0), as a share of its mean size %.3g, over %d image%s\n",
           completeness->difference, completeness->images, completeness->images == 1 ? "" : "s");
    printf("%7s", "points");
    for (int rule = 0; rule < AGN_COMPLETENESS_RULES; rule++)
        printf("  %18s", rule_names[rule]);
    for (int i = 0; i < AGN_COMPLETENESS_ROWS; i++) {
        printf("\n%7d", completeness->points[i]);
        for (int rule = 0; rule < AGN_COMPLETENESS_RULES; rule++) {
            double gap = completeness->gap[i][rule];
            if (isfinite(gap))
                printf("  %16.3f %%", 100.0 * gap);
            else
                printf("  %18s", "-");
        }
    }
    printf("\n\n");
}

static void print_text(const struct job *job)
{
    char *const *names = job->model->class_names;
    int valid = 0;
    printf("%7s  %-14s %-14s %-14s %7s %9s %9s %11s\n", "image", "true", "reference", "fused", "prob",
           "skewness", "sum of A", "l(F) - l(0)");
    for (int i = 0; i < job->count; i++) {
        const struct agn_explanation *e = &job->explanations[i];
        printf("%7d  %-14.14s %-14.14s %-14.14s %5.1f %% %7.1f %% %9.3f %11.3f%s%s\n", e->image,
               names[e->label], names[e->reference_class], names[e->fused_class],
               100.0 * e->fused_probability, 100.0 * e->skewness, e->attribution_sum,
               e->loss - e->loss_at_zero, e->disordered ? "  disordered" : "",
               e->reference_valid ? "" : "  reference wrong");
        valid += e->reference_valid;
    }
    printf("the reference is right about %d of %d; skewness means little for the others\n", valid,
           job->count);
    if (job->measure_completeness)
        print_completeness(&job->completeness);
    printf("wrote %s\n", job->path);
}

static int run(struct job *job)
{
    agn_nn_set_threads(job->threads);
    int status = agn_model_load(job->files.items[0], &job->model);
    if (status >= 0)
        status = agn__cli_replace_data(&job->model->preset, job->data);
    if (status >= 0)
        status = agn__cli_open_dataset(&job->model->preset, job->split, 0, &job->dataset);
    const struct agn_explain_config config = {.model = job->model,
                                              .data = job->dataset,
                                              .images = job->images ? job->positions : NULL,
                                              .count = job->count,
                                              .method = job->method,
                                              .points = job->points,
                                              .path = job->path};
    if (status >= 0)
        status = agn_explain(&config, job->explanations);
    if (status >= 0 && job->measure_completeness)
        status = agn_explain_completeness(&config, &job->completeness);
    if (status < 0)
        return agn__cli_fail("explain", status);
    if (job->json)
        return agn__cli_print_json("explain", json_from(job));
    print_text(job);
    return AGN_CLI_SUCCESS;
}

static const char description[] =
    "Draws some images with the heat map of their importance (by position, summed over the "
    "feature channels) and bars of the importance of each channel, of which the first k "
    "stay on the device. Importance is measured through the reference network at the true "
    "class; where the reference is wrong it says little. Integrated gradients (A) should add up to l(F) - "
    "l(0), "
    "the difference of the reference's losses at the features and at zero. `agilenn explain deletion --help` "
    "tells how importance is checked.";
static const char example[] =
    "  agilenn explain out/fashion/model.safetensors --count 4 -o explain.png\n"
    "  agilenn explain out/fashion/model.safetensors --images 0,5,9 --points 16 --json";

static int parse(struct job *job, int argc, char **argv)
{
    static const char *const splits[] = {"train", "test", "validation", NULL};
    static const char *const methods[] = {"ig-trapezoid",     "ig-midpoint", "ig-gauss-legendre",
                                          "gradient-x-input", "gradient",    NULL};
    const struct agn_cli_option options[] = {
        {.name = "output",
         .letter = 'o',
         .metavar = "FILE",
         .help = "the PNG to write, whole or not at all",
         .type = AGN_CLI_STRING,
         .string = &job->path},
        agn__cli_text("images", "N,N,...", &job->images, "positions of images in the split, from 0"),
        agn__cli_whole("count", "N", &job->count, 1, AGN_PLOT_MAX_ROWS,
                       "without --images: the first N of the split"),
        {.name = "split",
         .metavar = "NAME",
         .help = "train, test or validation",
         .type = AGN_CLI_STRING,
         .string = &job->split,
         .choices = splits},
        agn__cli_text("data", "DIR", &job->data,
                      "folder of the data set, instead of the one that the model was trained on"),
        {.name = "method",
         .metavar = "NAME",
         .help = "of attribution, instead of the preset's: ig-trapezoid, ig-midpoint (Riemann sum), "
                 "ig-gauss-legendre, gradient-x-input or gradient (saliency)",
         .type = AGN_CLI_STRING,
         .string = &job->method,
         .choices = methods},
        agn__cli_whole("points", "M", &job->points, 1, AGN_XAI_MAX_POINTS,
                       "gradients of integrated gradients, instead of the preset's"),
        agn__cli_flag(
            "completeness", &job->measure_completeness,
            "also show, for 1 to 128 points of each rule, how far integrated gradients are from adding "
            "up to "
            "l(F) - l(0)"),
        agn__cli_whole("threads", "N", &job->threads, 0, 1024, AGN_CLI_HELP_THREADS),
        agn__cli_flag("json", &job->json, "print one JSON object"),
    };
    const struct agn_cli_command command = {
        .name = "explain",
        .usage = "[options] MODEL.safetensors | deletion MODEL.safetensors",
        .description = description,
        .example = example,
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &job->files,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "MODEL.safetensors",
    };
    int code = agn__cli_parse(&command, argc, argv);
    return code == AGN_CLI_GO_ON && job->images ? parse_images(job) : code;
}

int agn__cmd_explain(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "deletion") == 0)
        return agn__cmd_explain_deletion(argc - 1, argv + 1);
    struct job job = {.split = "test", .count = 4, .path = "explain.png"};
    int code = parse(&job, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    code = run(&job);
    agn_model_free(job.model);
    agn_dataset_free(job.dataset);
    return code;
}
