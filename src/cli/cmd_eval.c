/* `agilenn eval`: a trained model on a data set, in float. */
#include <string.h>

#include "agilenn/deploy.h"
#include "cli/class_report.h"
#include "cli/mistakes_report.h"
#include "cli/preset_options.h"

struct job {
    struct agn_cli_list files; /* the model */
    struct agn_cli_list confusion_files;
    const char *data, *split, *mistakes_folder, *csv;
    int limit, threads, packets, seed, mistakes_count;
    bool int8, exits, json;

    struct agn_model *model;
    struct agn_dataset *dataset;
    struct agn_evaluation evaluation;
    struct agn_figures figures;
    int *confusion; /* (true class, predicted class) */
    struct agn_mistakes mistakes;
    struct agn_loss_plan losses;
    struct agn_loss_evaluation under_loss;
    struct agn_exit_profile profile;
};

static void plan_losses(struct job *job)
{
    static const double chances[] = {0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9};
    job->losses = (struct agn_loss_plan){
        .packets = job->packets, .seed = (uint64_t)job->seed, .count = AGN_COUNT_OF(chances)};
    memcpy(job->losses.loss, chances, sizeof(chances));
}

static double share(int part, int whole)
{
    return whole > 0 ? (double)part / whole : 0.0;
}

static void print_losses(const struct job *job)
{
    const struct agn_loss_evaluation *e = &job->under_loss;
    printf("\npackets lost  accuracy  nothing came   (%d packets a frame", job->losses.packets);
    if (!agn_part_is_empty(&job->model->parts[AGN_LOCAL]))
        printf("; local alone %.2f %%", 100.0 * share(e->local_right, e->images));
    printf(")\n");
    for (int i = 0; i < job->losses.count; i++) {
        printf("%10.0f %%  %6.2f %%  %9.2f %%\n", 100.0 * job->losses.loss[i],
               100.0 * share(e->right[i], e->images), 100.0 * share(e->unanswered[i], e->images));
    }
}

/* NULL: out of memory. */
static json_t *json_losses(const struct job *job)
{
    const struct agn_loss_evaluation *e = &job->under_loss;
    json_t *list = json_array();
    for (int i = 0; i < job->losses.count && list != NULL; i++) {
        json_array_append_new(list, json_pack("{s:f, s:f, s:f}", "loss", job->losses.loss[i], "accuracy",
                                              share(e->right[i], e->images), "unanswered",
                                              share(e->unanswered[i], e->images)));
    }
    return list;
}

/* ---- exits ---------------------------------------------------------------------------- */

static int profile_exits(struct job *job)
{
    const double never = 2.0, thresholds[] = {0.5, 0.6, 0.7, 0.8, 0.9, 0.95, never};
    return agn_exit_profile(job->model, job->dataset, thresholds, AGN_COUNT_OF(thresholds), &job->profile);
}

/* Of a threshold that no softmax reaches. */
static bool is_never(double threshold)
{
    return threshold > 1.0;
}

static void print_exits(const struct job *job)
{
    const struct agn_exit_profile *p = &job->profile;
    printf("\nexits alone   ");
    for (int stage = 1; stage <= p->stages; stage++)
        printf(" exit %d %.2f %%", stage, 100.0 * share(p->exit_right[stage], p->images));
    printf("\ncut  threshold  accuracy  server");
    for (int stage = 1; stage <= p->stages; stage++)
        printf("    exit %d", stage);
    printf("\n");
    for (int cut = 0; cut <= p->stages; cut++) {
        for (int t = 0; t < p->count; t++) {
            const struct agn_exit_rule *rule = &p->rules[t][cut];
            if (cut == 0 && t + 1 < p->count)
                continue; /* no exit stands before it */
            printf("%3d  ", cut);
            if (is_never(p->thresholds[t]))
                printf("%9s", "never");
            else
                printf("%9.2f", p->thresholds[t]);
            printf("  %6.2f %%", 100.0 * share(rule->right, p->images));
            for (int stage = 0; stage <= cut; stage++)
                printf("  %6.2f %%", 100.0 * share(rule->left[stage], p->images));
            printf("\n");
        }
    }
}

/* NULL: out of memory. */
static json_t *json_shares(const int *counts, int count, int images)
{
    json_t *list = json_array();
    for (int i = 0; i < count && list != NULL; i++)
        json_array_append_new(list, json_real(share(counts[i], images)));
    return list;
}

/* NULL: out of memory. */
static json_t *json_exits(const struct job *job)
{
    const struct agn_exit_profile *p = &job->profile;
    json_t *rules = json_array();
    for (int cut = 0; cut <= p->stages && rules != NULL; cut++)
        for (int t = 0; t < p->count; t++) {
            const struct agn_exit_rule *rule = &p->rules[t][cut];
            json_t *threshold = is_never(p->thresholds[t]) ? json_null() : json_real(p->thresholds[t]);
            json_array_append_new(rules, json_pack("{s:i, s:o, s:f, s:f, s:o}", "cut", cut, "threshold",
                                                   threshold, "accuracy", share(rule->right, p->images),
                                                   "server", share(rule->left[0], p->images), "left",
                                                   json_shares(rule->left + 1, cut, p->images)));
        }
    return json_pack("{s:i, s:o, s:o}", "images", p->images, "exit_accuracy",
                     json_shares(p->exit_right + 1, p->stages, p->images), "rules", rules);
}

/* ---- all of it -------------------------------------------------------------------------- */

static void note_prediction(void *user, const struct agn_prediction *prediction)
{
    struct job *job = user;
    int classes = job->model->classes;
    job->confusion[(size_t)prediction->label * (size_t)classes + (size_t)prediction->predicted]++;
    agn_mistakes_add(&job->mistakes, prediction, classes);
}

static int evaluate(struct job *job)
{
    size_t classes = (size_t)job->model->classes;
    job->confusion = agn_alloc(classes * classes, sizeof(*job->confusion));
    job->mistakes.capacity = job->mistakes_folder ? job->mistakes_count : 0;
    job->mistakes.list = agn_alloc((size_t)job->mistakes_count, sizeof(*job->mistakes.list));
    if (!job->confusion || !job->mistakes.list)
        return AGN_ERR_MEMORY;
    int status = agn_model_evaluate_images(job->model, job->dataset, &job->evaluation, note_prediction, job);
    if (status >= 0)
        agn_evaluation_figures(job->model, &job->evaluation, &job->figures);
    return status;
}

static int measure_int8(struct job *job)
{
    struct agn_int8_accuracy accuracy;
    int status = agn_int8_accuracy(job->model, job->dataset, &accuracy);
    if (status >= 0)
        agn_int8_figures(&accuracy, &job->figures);
    return status;
}

static struct agn__class_report classes_of(const struct job *job)
{
    return (struct agn__class_report){.classes = job->model->classes,
                                      .names = job->model->class_names,
                                      .counts = job->evaluation.by_class,
                                      .no_local = agn_part_is_empty(&job->model->parts[AGN_LOCAL]),
                                      .confusion = job->confusion};
}

static struct agn__mistakes_report mistakes_of(const struct job *job)
{
    return (struct agn__mistakes_report){.mistakes = &job->mistakes,
                                         .data = job->dataset,
                                         .names = job->model->class_names,
                                         .images = job->evaluation.images,
                                         .split = job->split};
}

static int print(const struct job *job)
{
    struct agn__mistakes_report mistakes = mistakes_of(job);
    struct agn__class_report classes = classes_of(job);
    if (job->json) {
        json_t *json = agn__cli_json_evaluation(&job->figures, job->model, &job->evaluation);
        if (json != NULL)
            json_object_set_new(json, "confusion", agn__cli_json_confusion(&classes));
        if (json != NULL && job->mistakes_folder)
            json_object_set_new(json, "mistakes", agn__cli_json_mistakes(&mistakes));
        if (json != NULL && job->packets > 0)
            json_object_set_new(json, "packet_loss", json_losses(job));
        if (json != NULL && job->exits)
            json_object_set_new(json, "exits", json_exits(job));
        return agn__cli_print_json("eval", json);
    }
    agn__cli_print_evaluation(stdout, &job->figures, job->model, &job->evaluation);
    agn__cli_print_classes(stdout, &classes);
    if (job->mistakes_folder)
        agn__cli_print_mistakes(stdout, &mistakes);
    if (job->packets > 0)
        print_losses(job);
    if (job->exits)
        print_exits(job);
    return AGN_CLI_SUCCESS;
}

static int write_csv(const struct job *job)
{
    struct agn_file_out out;
    int status = job->csv ? agn_file_out_open(&out, job->csv) : AGN_OK;
    if (status < 0 || !job->csv)
        return status;
    agn_figures_print_csv(&job->figures, out.stream);
    return agn_file_out_commit(&out);
}

static int write_files(const struct job *job)
{
    struct agn__class_report classes = classes_of(job);
    struct agn__mistakes_report mistakes = mistakes_of(job);
    int status = agn__cli_write_confusion(&job->confusion_files, &classes);
    if (status >= 0)
        status = write_csv(job);
    return status >= 0 && job->mistakes_folder ? agn__cli_write_mistakes(job->mistakes_folder, &mistakes)
                                               : status;
}

static int run(struct job *job)
{
    agn_nn_set_threads(job->threads);
    int status = agn__cli_check_confusion(&job->confusion_files);
    if (status >= 0 && job->mistakes_folder)
        status = agn_plot_available();
    if (status >= 0)
        status = agn_model_load(job->files.items[0], &job->model);
    if (status >= 0)
        status = agn__cli_replace_data(&job->model->preset, job->data);
    if (status >= 0)
        status = agn__cli_open_dataset(&job->model->preset, job->split, job->limit, &job->dataset);
    if (status >= 0 && job->mistakes_folder)
        status = agn_make_dirs(job->mistakes_folder);
    if (status >= 0)
        status = evaluate(job);
    plan_losses(job);
    if (status >= 0 && job->packets > 0)
        status = agn_model_evaluate_loss(job->model, job->dataset, &job->losses, &job->under_loss);
    if (status >= 0 && job->exits)
        status = profile_exits(job);
    if (status >= 0 && job->int8)
        status = measure_int8(job);
    if (status >= 0)
        status = write_files(job);
    return status < 0 ? agn__cli_fail("eval", status) : print(job);
}

int agn__cmd_eval(int argc, char **argv)
{
    static const char *const splits[] = {"train", "test", "validation", NULL};
    struct job job = {.split = "test", .limit = -1, .seed = 1, .mistakes_count = 25};
    const struct agn_cli_option options[] = {
        agn__cli_text("data", "DIR", &job.data,
                      "folder of the data set, instead of the one that the model was trained on"),
        {.name = "split",
         .metavar = "NAME",
         .help = "train, test or validation",
         .type = AGN_CLI_STRING,
         .string = &job.split,
         .choices = splits},
        agn__cli_whole("limit", "N", &job.limit, -1, 1000000000,
                       "images, spread evenly over the set; 0 = all, -1 = as in training"),
        agn__cli_confusion_option(&job.confusion_files),
        agn__cli_text("csv", "FILE", &job.csv,
                      "write the figures as CSV: key, unit, value, low, high, meaning"),
        agn__cli_text("mistakes", "DIR", &job.mistakes_folder,
                      "write the mistakes with the largest margin of the wrong class over the true one: "
                      "mistakes.csv, and mistakes.png with the images"),
        agn__cli_whole("mistakes-count", "N", &job.mistakes_count, 1, AGN_PLOT_MAX_MISTAKES,
                       "how many mistakes"),
        agn__cli_whole("packets", "N", &job.packets, 0, 255,
                       "also measure accuracy when frames travel in N packets of which 0 to 90 % get lost"),
        agn__cli_flag(
            "int8", &job.int8,
            "also measure accuracy with the Remote NN in 8-bit integers, as `agilenn serve --int8`"),
        agn__cli_flag("exits", &job.exits,
                      "also measure how many images leave at each exit, and the accuracy, at several "
                      "thresholds and at each cut (spinn)"),
        agn__cli_whole("seed", "N", &job.seed, 0, 1000000000,
                       "of the channels in each packet and of what is lost"),
        agn__cli_whole("threads", "N", &job.threads, 0, 1024, AGN_CLI_HELP_THREADS),
        agn__cli_flag("json", &job.json, "print one JSON object"),
    };
    const struct agn_cli_command command = {
        .name = "eval",
        .usage = "[options] MODEL.safetensors",
        .description = "Evaluates a trained model in float: accuracy of the fused, the local and the remote "
                       "prediction, validity of the reference, skewness and disorder of the importance, use "
                       "of the quantiser's levels, accuracy by class and which classes are confused; on "
                       "request, accuracy under packet loss and in 8 bits, and what exits and cuts are "
                       "worth.",
        .example = "  agilenn eval out/fashion/model.safetensors\n"
                   "  agilenn eval out/fashion/model.safetensors --limit 1000 --json\n"
                   "  agilenn eval out/fashion/model.safetensors --mistakes out/fashion/mistakes\n"
                   "  agilenn eval out/fashion/model.safetensors --packets 4",
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
    agn_free(job.confusion);
    agn_free(job.mistakes.list);
    return code;
}
