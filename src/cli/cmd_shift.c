/* `agilenn shift`: a trained model's accuracy and importance when its inputs change. The work is
 * agn_shift_measure's. */
#include <math.h>
#include <string.h>

#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "agilenn/plot.h"
#include "agilenn/sets.h"
#include "agilenn/shift.h"
#include "cli/preset_options.h"

struct job {
    struct agn_cli_list files; /* the model */
    const char *data, *split, *kinds_text, *other_name, *device_path, *out;
    int images, byte_images, calibrate, seed, threads;
    bool json;

    unsigned kinds;
    struct agn_model *model;
    struct agn_dataset *dataset, *other;
    uint8_t *device;
    size_t device_bytes;
    struct agn_shift *result;
};

/* ---- set-up ------------------------------------------------------------------------------- */

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* A folder, or a preset of which the data count; in the size of the model's images. */
static int open_other(struct job *job)
{
    const struct agn_preset *own = &job->model->preset;
    struct agn_preset *preset = agn_alloc(1, sizeof *preset);
    int status = preset != NULL ? AGN_OK : AGN_ERR_MEMORY;
    if (status == AGN_OK && agn_file_exists(job->other_name) && !ends_in(job->other_name, ".ini")) {
        *preset = *own;
        status = agn__cli_replace_data(preset, job->other_name);
        if (status == AGN_OK)
            snprintf(preset->data.format, sizeof preset->data.format, "%s",
                     agn_dataset_detect(preset->data.path));
    } else if (status == AGN_OK) {
        status = agn_preset_load(job->other_name, preset);
    }
    if (status == AGN_OK) {
        preset->data.height = own->data.height;
        preset->data.width = own->data.width;
        preset->data.channels = own->data.channels;
        preset->data.classes = own->data.classes;
        status = agn__cli_open_taken(preset, job->split, job->images, &job->other);
    }
    if (status == AGN_OK && job->other->classes != job->model->classes)
        status = agn_fail(AGN_ERR_MISMATCH, "--other %s: %d classes, but the model has %d", job->other_name,
                          job->other->classes, job->model->classes);
    agn_free(preset);
    return status;
}

/* From --device, or as `agilenn curves` makes one. */
static int make_device(struct job *job)
{
    struct agn_dataset *calibration = NULL;
    struct agn_dev_model view;
    if (job->device_path != NULL)
        return agn_hosted_read(job->device_path, &job->device, &job->device_bytes, &view);
    if (job->calibrate == 0)
        return AGN_OK;
    int status = agn__cli_open_dataset(&job->model->preset, "train", job->calibrate, &calibration);
    if (status == AGN_OK && job->model->distributions <= 1 && agn_model_sends_symbols(job->model) &&
        agn_codec_needs_contexts(job->model->preset.model.codec))
        status = agn_model_learn_contexts(job->model, calibration);
    if (status == AGN_OK)
        status = agn_deploy_device(job->model, calibration, job->calibrate, &job->device, &job->device_bytes,
                                   NULL);
    agn_dataset_free(calibration);
    return status;
}

/* The model's file and the folder it lies in, without the way there. */
static const char *title_of(const struct job *job)
{
    const char *path = job->files.items[0], *title = path;
    int slashes = 0;
    for (const char *at = path + strlen(path); at > path && slashes < 2; at--)
        if (at[-1] == '/' && ++slashes == 2)
            title = at;
    return title;
}

static int write_files(const struct job *job)
{
    char path[4096];
    if (job->out == NULL)
        return AGN_OK;
    int status = agn_shift_write(job->result, title_of(job), job->out);
    unsigned corruptions = job->kinds & ((1U << AGN_CORRUPTION_COUNT) - 1);
    if (status < 0 || corruptions == 0)
        return status;
    if (snprintf(path, sizeof path, "%s/samples.png", job->out) >= (int)sizeof path)
        return agn_fail(AGN_ERR_ARG, "--out: the path is too long");
    return agn_shift_draw_samples(job->dataset, corruptions, (uint64_t)job->seed, path);
}

static int measure(struct job *job)
{
    agn_nn_set_threads(job->threads);
    int status = job->out != NULL ? agn_plot_available() : AGN_OK;
    if (status >= 0)
        status = agn_model_load(job->files.items[0], &job->model);
    if (status >= 0)
        status = agn__cli_replace_data(&job->model->preset, job->data);
    if (status >= 0)
        status = agn__cli_open_taken(&job->model->preset, job->split, job->images, &job->dataset);
    if (status >= 0 && job->other_name != NULL)
        status = open_other(job);
    if (status >= 0)
        status = make_device(job);
    job->result = agn_alloc(1, sizeof *job->result);
    if (status >= 0 && job->result == NULL)
        status = AGN_ERR_MEMORY;
    if (status < 0)
        return status;
    const struct agn_shift_config config = {.model = job->model,
                                            .data = job->dataset,
                                            .other = job->other,
                                            .kinds = job->kinds,
                                            .device = job->device,
                                            .device_bytes = job->device_bytes,
                                            .byte_images = job->byte_images,
                                            .seed = (uint64_t)job->seed,
                                            .progress = agn_progress_print,
                                            .progress_user = stderr};
    status = agn_shift_measure(&config, job->result);
    return status < 0 ? status : write_files(job);
}

/* ---- what is shown ------------------------------------------------------------------------- */

static json_t *json_from(const struct job *job)
{
    const struct agn_shift *r = job->result;
    json_t *rows = json_array();
    for (int i = 0; i < r->count; i++) {
        struct agn_figures figures = {.count = 0};
        agn_shift_row_figures(&r->rows[i], &figures);
        if (json_array_append_new(rows, agn_figures_json(&figures))) {
            json_decref(rows);
            return NULL;
        }
    }
    json_t *object =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:o}", "images", r->images, "byte_images",
                  r->byte_images, "channels", r->channels, "local_channels", r->local_channels, "seed",
                  job->seed, "seconds", r->seconds, "images_per_s", r->images_per_s, "rows", rows);
    if (object != NULL) {
        json_object_set_new(object, "holds_up_to_strength",
                            r->holds < 0 ? json_null() : json_integer(r->holds));
        json_object_set_new(object, "lowest_rank_correlation", agn__cli_json_real(r->lowest));
        json_object_set_new(object, "lowest_kind",
                            r->holds < 0 ? json_null() : json_string(agn_shift_kind_name(r->lowest_kind)));
    }
    return object;
}

static const struct column {
    const char *head;
    size_t offset;
    int width, decimals;
    double scale;
} columns[] = {
    {"fused %", offsetof(struct agn_shift_row, fused_accuracy), 8, 2, 100.0},
    {"local %", offsetof(struct agn_shift_row, local_accuracy), 8, 2, 100.0},
    {"ref %", offsetof(struct agn_shift_row, reference_valid), 7, 1, 100.0},
    {"skewness", offsetof(struct agn_shift_row, skewness), 9, 3, 1.0},
    {"disorder %", offsetof(struct agn_shift_row, disorder_rate), 11, 1, 100.0},
    {"rank corr", offsetof(struct agn_shift_row, rank_correlation), 10, 3, 1.0},
    {"by image", offsetof(struct agn_shift_row, image_rank_correlation), 9, 3, 1.0},
    {"top kept %", offsetof(struct agn_shift_row, top_kept), 11, 1, 100.0},
    {"bytes", offsetof(struct agn_shift_row, bytes), 8, 1, 1.0},
    {"unsent %", offsetof(struct agn_shift_row, unsent_share), 9, 1, 100.0},
};

/* The mean over a kind's strengths and draws, of those that are known. */
static double mean_of(const struct agn_shift *r, int kind, const struct column *column)
{
    double sum = 0.0;
    int count = 0;
    for (int i = 0; i < r->count; i++) {
        double value;
        memcpy(&value, (const char *)&r->rows[i] + column->offset, sizeof value);
        if (r->rows[i].kind == kind && isfinite(value)) {
            sum += value;
            count++;
        }
    }
    return count > 0 ? sum / count : (double)NAN;
}

static void print_kind(const struct agn_shift *r, int kind)
{
    bool found = false;
    for (int i = 0; i < r->count && !found; i++)
        found = r->rows[i].kind == kind;
    if (!found)
        return;
    printf("%-10s", agn_shift_kind_name(kind));
    for (size_t i = 0; i < AGN_COUNT_OF(columns); i++) {
        double value = mean_of(r, kind, &columns[i]);
        if (isfinite(value))
            printf(" %*.*f", columns[i].width, columns[i].decimals, columns[i].scale * value);
        else
            printf(" %*s", columns[i].width, "-");
    }
    printf("\n");
}

static void print_summary(const struct agn_shift *r)
{
    if (r->holds < 0)
        printf("importance order: nothing to compare\n");
    else if (r->holds == 0)
        printf("importance order does not hold: rank correlation %.3f at strength 1 (%s)\n", r->lowest,
               agn_shift_kind_name(r->lowest_kind));
    else
        printf("importance order holds: rank correlation >= %.3f up to strength %d (lowest: %s)\n",
               floor(1e3 * r->lowest) / 1e3, r->holds, agn_shift_kind_name(r->lowest_kind));
}

static int print_text(const struct job *job)
{
    const struct agn_shift *r = job->result;
    printf("%d images, %d through the int8 device; mean over strengths\n%-10s", r->images, r->byte_images,
           "change");
    for (size_t i = 0; i < AGN_COUNT_OF(columns); i++)
        printf(" %*s", columns[i].width, columns[i].head);
    printf("\n");
    print_kind(r, AGN_SHIFT_CLEAN);
    for (int kind = 0; kind < AGN_SHIFT_CLEAN; kind++)
        print_kind(r, kind);
    printf("%.0f images/s, %.0f s\n", r->images_per_s, r->seconds);
    if (job->out != NULL)
        printf("wrote %s\n", job->out);
    print_summary(r);
    return AGN_CLI_SUCCESS;
}

/* ---- the command ------------------------------------------------------------------------------ */

static int parse(struct job *job, int argc, char **argv)
{
    static const char *const splits[] = {"train", "test", "validation", NULL};
    const struct agn_cli_option options[] = {
        agn__cli_text("data", "DIR", &job->data,
                      "folder of the data set, instead of the one that the model was trained on"),
        agn__cli_choice("split", "NAME", &job->split, splits, "train, test or validation"),
        agn__cli_whole("images", "N", &job->images, 0, 1000000000,
                       "images of each row, spread evenly over the set; 0 = all"),
        agn__cli_text("kinds", "LIST", &job->kinds_text,
                      "what to change, with commas between: noise, shot, blur, motion, contrast, brightness, "
                      "haze, jpeg, pixelate, rotate, translate, occlude, colour, long-tail, or all"),
        agn__cli_text("other", "DIR|PRESET", &job->other_name,
                      "another data set of the same classes, also measured: its folder, or a preset that "
                      "names it"),
        agn__cli_text("device", "FILE", &job->device_path,
                      "model.agn of the model, for bytes and the share of frames that its decision leaves "
                      "unsent; not given, one is made that sends all"),
        agn__cli_whole("calibrate", "N", &job->calibrate, 0, 1000000,
                       "without --device: training images to calibrate the device model on; 0 = no device, "
                       "no bytes"),
        agn__cli_whole("byte-images", "N", &job->byte_images, 0, 1000000000,
                       "images of each row that go through the device, spread evenly; 0 = all"),
        agn__cli_whole("seed", "N", &job->seed, 0, 1000000000, "of all that is drawn"),
        agn__cli_text("out", "DIR", &job->out, "write shift.csv, shift.png, shift.svg and samples.png there"),
        agn__cli_whole("threads", "N", &job->threads, 0, 1024, AGN_CLI_HELP_THREADS),
        agn__cli_flag("json", &job->json, "print one JSON object")};
    const struct agn_cli_command command = {
        .name = "shift",
        .usage = "[options] MODEL.safetensors",
        .description =
            "Measures a trained model on changed inputs, each change in five strengths: does the order of "
            "importance still hold? Accuracy, skewness, disorder, validity of the reference, rank "
            "correlation "
            "of the channels' importance with that on clean images, the share of the k most important "
            "channels that still are, and bytes of a frame. Also with classes of unequal frequency and on "
            "another data set (docs/SHIFT.md).",
        .example = "  agilenn shift out/fashion/model.safetensors --images 2000 --out out/shift\n"
                   "  agilenn shift out/fashion/model.safetensors --kinds haze,jpeg,long-tail --json\n"
                   "  agilenn shift out/demo/model.safetensors --device out/demo/model.agn",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &job->files,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "MODEL.safetensors"};
    int code = agn__cli_parse(&command, argc, argv);
    if (code == AGN_CLI_GO_ON && agn_shift_kinds_parse(job->kinds_text, &job->kinds) < 0)
        return agn__cli_usage_error("shift", "--kinds: %s", agn_error_message());
    return code;
}

int agn__cmd_shift(int argc, char **argv)
{
    struct job job = {
        .split = "test", .kinds_text = "all", .calibrate = 1024, .byte_images = 1000, .seed = 1};
    int code = parse(&job, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    int status = measure(&job);
    code = status < 0 ? agn__cli_fail("shift", status)
           : job.json ? agn__cli_print_json("shift", json_from(&job))
                      : print_text(&job);
    agn_free(job.result);
    agn_free(job.device);
    agn_dataset_free(job.dataset);
    agn_dataset_free(job.other);
    agn_model_free(job.model);
    return code;
}
