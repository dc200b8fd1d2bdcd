/* `agilenn curves`: accuracy of a trained model under packet loss, byte budgets and silence. */
#include <math.h>
#include <string.h>

#include "agilenn/curves.h"
#include "agilenn/plot.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/preset_options.h"
#include "cli/progressive_report.h"

enum { CONFIDENCE_IMAGES = 10000 };

struct job {
    const char *data, *split, *out, *frames_path, *codec;
    int limit, images, order_images, packet, extra, rounds, seed, threads;
    double confidence;
    const char *protocol;
    bool json, progressive;
    struct agn_cli_list model_path;

    struct agn_model *model;
    struct agn_dataset *calibration, *dataset;
    uint8_t *device;
    size_t device_bytes;
    struct agn_curves curves;
    struct agn_progressive progress;
    struct agn_curve_frame *frames;
};

static int parse(struct job *job, int argc, char **argv)
{
    static const char *const splits[] = {"train", "test", "validation", NULL};
    static const char *const protocols[] = {"1", "2", NULL};
    const struct agn_cli_option options[] = {
        agn__cli_text("data", "DIR", &job->data,
                      "folder of the data set, instead of the one that the model was trained on"),
        {.name = "split",
         .metavar = "NAME",
         .type = AGN_CLI_STRING,
         .string = &job->split,
         .choices = splits,
         .help = "images to measure on: train, test or validation"},
        agn__cli_whole("limit", "N", &job->limit, 0, 1000000000,
                       "measure on so many images, spread evenly over the set; 0 = all"),
        agn__cli_whole("images", "N", &job->images, 1, 1000000,
                       "training images to calibrate the device model on"),
        agn__cli_text(
            "codec", "NAME", &job->codec,
            "preferred codec of the packets; the model's own if not given; contexts are learned from the "
            "calibration images where the model has none"),
        agn__cli_real("confidence", "SHARE", &job->confidence, 0.0, 1.0,
                      "as of `agilenn export`: also tells what comes of this calibration; 0 = none"),
        agn__cli_whole("packet", "BYTES", &job->packet, 0, AGN_WIRE_MAX_PACKET,
                       "largest feature packet; 0 = 1152, 512 and 256 in turn, budgets with 1152"),
        agn__cli_whole(
            "extra", "BYTES", &job->extra, 0, 1000,
            "what carries a packet, counted in all bytes: CoAP, UDP and IPv4 headers are 46; 37 with "
            "version 2 of the protocol"),
        agn__cli_choice("protocol", "VERSION", &job->protocol, protocols,
                        "of packets and answers: 1, or 2 (docs/PROTOCOL.md)"),
        agn__cli_flag("progressive", &job->progressive,
                      "also: accuracy after the first channels and the first packets of a frame, for "
                      "several orders of the channels, with packets of 1152, 64 and 48 bytes, or 1152 and "
                      "--packet; with --protocol 2 what it saves to ask for one packet after the other "
                      "(docs/results/progressive.md); takes many times longer"),
        agn__cli_whole("order-images", "N", &job->order_images, 0, 1000000000,
                       "of --progressive: follow so many images, spread evenly, channel by channel, which "
                       "takes most of the time; 0 = all"),
        agn__cli_whole("rounds", "N", &job->rounds, 1, AGN_CURVE_ROUNDS,
                       "how often a device sends a frame of which something was lost"),
        agn__cli_whole("seed", "N", &job->seed, 0, 1000000000, "of the losses and of random orders"),
        agn__cli_text("out", "DIR", &job->out, "write tables (CSV) and plots (PNG) there"),
        agn__cli_text("frames", "FILE", &job->frames_path,
                      "write a CSV line for each image: classes, margin of the local logits, bytes"),
        agn__cli_whole("threads", "N", &job->threads, 0, 1024, AGN_CLI_HELP_THREADS),
        agn__cli_flag("json", &job->json, "print one JSON object")};
    const struct agn_cli_command command = {
        .name = "curves",
        .usage = "[options] MODEL.safetensors",
        .description =
            "Accuracy when packets are lost, when a frame may take only so many bytes, and when frames of "
            "which the device is sure are not sent: the int8 device is emulated, its real packets are lost "
            "by chance, and what arrives is decoded, filled up, inferred and fused as server and device do.",
        .example = "  agilenn curves out/fashion/model.safetensors --out out/curves\n"
                   "  agilenn curves out/fashion/model.safetensors --progressive --protocol 2 --extra 37 "
                   "--limit 1000\n"
                   "  agilenn curves out/fashion/model.safetensors --limit 2000 --packet 256 --json",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &job->model_path,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "MODEL.safetensors"};
    return agn__cli_parse(&command, argc, argv);
}

/* On as many images as export does. */
static int make_sure(struct job *job)
{
    struct agn_dataset *data = NULL;
    int status = agn__cli_open_dataset(&job->model->preset, "train", CONFIDENCE_IMAGES, &data);
    if (status >= 0)
        status = agn_deploy_confidence(job->device, job->device_bytes, data, job->confidence, NULL);
    agn_dataset_free(data);
    return status;
}

/* The model's file and the folder it lies in, without the way there. */
static const char *title_of(const struct job *job)
{
    const char *path = job->model_path.items[0], *title = path;
    int slashes = 0;
    for (const char *at = path + strlen(path); at > path && slashes < 2; at--)
        if (at[-1] == '/' && ++slashes == 2)
            title = at;
    return title;
}

static int measure_progress(struct job *job)
{
    const struct agn_progressive_config config = {
        .model = job->model,
        .device = job->device,
        .device_bytes = job->device_bytes,
        .data = job->dataset,
        .packet_bytes = {job->packet > 0 ? AGN_WIRE_MAX_PACKET : 0, job->packet},
        .extra_bytes = job->extra,
        .protocol = job->protocol[0] - '0',
        .order_images = job->order_images,
        .seed = (uint64_t)job->seed,
        .progress = agn_progress_print,
        .progress_user = stderr};
    int status = agn_progressive_measure(&config, &job->progress);
    if (status >= 0 && job->out != NULL)
        status = agn_progressive_write(&job->progress, title_of(job), job->out);
    return status;
}

static int measure(struct job *job)
{
    agn_nn_set_threads(job->threads);
    int status = job->out != NULL ? agn_plot_available() : AGN_OK;
    if (status >= 0)
        status = agn_model_load(job->model_path.items[0], &job->model);
    if (status >= 0) /* before a device is made that nobody would answer */
        status = agn_model_need(job->model, AGN_REMOTE);
    if (status >= 0 && job->codec != NULL)
        job->model->preset.model.codec = agn_codec_from_name(job->codec);
    if (status >= 0)
        status = agn__cli_replace_data(&job->model->preset, job->data);
    if (status >= 0)
        status = agn__cli_open_dataset(&job->model->preset, "train", job->images, &job->calibration);
    /* A model of before there were contexts has one distribution for all: device and server, both made here,
     * may well learn them. */
    if (status >= 0 && job->model->distributions <= 1 &&
        agn_codec_needs_contexts(job->model->preset.model.codec))
        status = agn_model_learn_contexts(job->model, job->calibration);
    if (status >= 0)
        status = agn_deploy_device(job->model, job->calibration, job->images, &job->device,
                                   &job->device_bytes, NULL);
    if (status >= 0 && job->confidence > 0.0)
        status = make_sure(job);
    if (status >= 0)
        status = agn__cli_open_dataset(&job->model->preset, job->split, job->limit, &job->dataset);
    if (status >= 0 && job->frames_path != NULL) {
        job->frames = agn_alloc((size_t)job->dataset->count, sizeof(*job->frames));
        status = job->frames == NULL ? AGN_ERR_MEMORY : AGN_OK;
    }
    struct agn_curves_config config = {.model = job->model,
                                       .device = job->device,
                                       .device_bytes = job->device_bytes,
                                       .data = job->dataset,
                                       .packet_bytes = {job->packet},
                                       .extra_bytes = job->extra,
                                       .protocol = job->protocol[0] - '0',
                                       .rounds = job->rounds,
                                       .seed = (uint64_t)job->seed,
                                       .frames = job->frames,
                                       .progress = agn_progress_print,
                                       .progress_user = stderr};
    if (status >= 0)
        status = agn_curves_measure(&config, &job->curves);
    if (status >= 0 && job->frames != NULL)
        status = agn_curves_write_frames(job->frames, job->dataset->count, job->frames_path);
    if (status >= 0 && job->out != NULL)
        status = agn_curves_write(&job->curves, title_of(job), job->out);
    if (status >= 0 && job->progressive)
        status = measure_progress(job);
    return status;
}

/* ---- what is shown --------------------------------------------------------------------- */

static json_t *points_json(const char *name, const struct agn_curve_point *points, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        const struct agn_curve_point *p = &points[i];
        json_array_append_new(list,
                              json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", name, p->x, "accuracy",
                                        p->accuracy, "any_accuracy", p->any_accuracy, "both_accuracy",
                                        p->both_accuracy, "fused", p->fused, "bytes_mean", p->bytes,
                                        "packets_mean", p->packets, "arrived", p->arrived));
    }
    return list;
}

static json_t *losses_json(const struct agn_curves *c)
{
    json_t *list = json_array();
    for (int s = 0; s < c->packet_sizes; s++)
        json_array_append_new(list, json_pack("{s:i, s:o}", "packet_bytes", c->packet_bytes[s], "points",
                                              points_json("loss", c->loss[s], AGN_CURVE_LOSSES)));
    return list;
}

static json_t *parts_json(const struct agn_curves *c)
{
    json_t *list = json_array();
    for (int i = 0; i < AGN_CURVE_PARTS; i++)
        if (c->parts[i].answers > 0)
            json_array_append_new(list, json_pack("{s:f, s:i, s:f, s:f, s:f}", "missing_at_most", i / 10.0,
                                                  "answers", c->parts[i].answers, "any_accuracy",
                                                  c->parts[i].any_accuracy, "fused_accuracy",
                                                  c->parts[i].fused_accuracy, "local_accuracy",
                                                  c->parts[i].local_accuracy));
    return list;
}

static int print_json(const struct job *job)
{
    const struct agn_curves *c = &job->curves;
    json_t *shares = points_json("share", c->share, AGN_CURVE_SHARES);
    for (size_t i = 0; i < json_array_size(shares); i++)
        json_object_set_new(json_array_get(shares, i), "threshold", json_integer(c->threshold[i]));
    json_t *object = json_pack("{s:i, s:f, s:f, s:f, s:i, s:o, s:o, s:o, s:o}", "images", c->images,
                               "local_accuracy", c->local_accuracy, "fused_accuracy", c->fused_accuracy,
                               "raw_bytes", c->raw_bytes, "sent_channels", c->sent_channels, "loss",
                               losses_json(c), "budget", points_json("budget", c->budget, AGN_CURVE_BUDGETS),
                               "share", shares, "parts", parts_json(c));
    if (object != NULL && c->sure_margin > 0)
        json_object_set_new(object, "sure",
                            json_pack("{s:i, s:f, s:f, s:f}", "margin", c->sure_margin, "share", c->sure.x,
                                      "accuracy", c->sure.accuracy, "bytes_mean", c->sure.bytes));
    if (object != NULL && job->progressive)
        json_object_set_new(object, "progress", agn__progressive_json(&job->progress, job->seed));
    return agn__cli_print_json("curves", object);
}

static void print_loss(const struct agn_curves *c)
{
    printf("\naccuracy (%%) against packet loss; in brackets with answers lost as well\n  %-13s", "loss");
    for (int l = 0; l < AGN_CURVE_LOSSES; l++)
        printf("%14.0f %%", 100.0 * c->loss[0][l].x);
    printf("\n");
    for (int s = 0; s < c->packet_sizes; s++) {
        printf("  %4d B, %3.1f  ", c->packet_bytes[s], c->loss[s][0].packets);
        for (int l = 0; l < AGN_CURVE_LOSSES; l++)
            printf("  %5.2f (%5.2f)", 100.0 * c->loss[s][l].accuracy, 100.0 * c->loss[s][l].both_accuracy);
        printf("\n");
    }
}

static int print_text(const struct job *job)
{
    const struct agn_curves *c = &job->curves;
    printf("images       %d, %d channels sent, %.0f bytes raw, %.0f bytes a frame\n", c->images,
           c->sent_channels, c->raw_bytes, c->loss[0][0].bytes);
    printf("accuracy     %.2f %% fused, %.2f %% local only (int8 device, no loss)\n",
           100.0 * c->fused_accuracy, 100.0 * c->local_accuracy);
    print_loss(c);
    printf("\n%8s %8s %10s %10s\n", "budget B", "bytes", "arrived %", "accuracy %");
    for (int i = 0; i < AGN_CURVE_BUDGETS; i++)
        printf("%8.0f %8.1f %10.1f %10.2f\n", c->budget[i].x, c->budget[i].bytes,
               100.0 * c->budget[i].arrived, 100.0 * c->budget[i].accuracy);
    printf("\n%8s %8s %10s %10s\n", "sent %", "bytes", "threshold", "accuracy %");
    for (int i = 0; i < AGN_CURVE_SHARES; i += 2)
        printf("%8.1f %8.1f %10d %10.2f\n", 100.0 * c->share[i].x, c->share[i].bytes, c->threshold[i],
               100.0 * c->share[i].accuracy);
    if (c->sure_margin > 0)
        printf("calibrated: %.1f %% sent, %.1f bytes, margin %d, accuracy %.2f %%\n", 100.0 * c->sure.x,
               c->sure.bytes, c->sure_margin, 100.0 * c->sure.accuracy);
    printf("\n%9s %9s %9s %9s %9s\n", "missing %", "answers", "in full %", "fused %", "local %");
    for (int i = 0; i < AGN_CURVE_PARTS; i++)
        if (c->parts[i].answers > 0)
            printf("%9d %9d %9.2f %9.2f %9.2f\n", 10 * i, c->parts[i].answers,
                   100.0 * c->parts[i].any_accuracy, 100.0 * c->parts[i].fused_accuracy,
                   100.0 * c->parts[i].local_accuracy);
    if (job->progressive)
        agn__progressive_print(&job->progress);
    return AGN_CLI_SUCCESS;
}

int agn__cmd_curves(int argc, char **argv)
{
    struct job job = {.split = "test", .protocol = "1", .images = 1024, .extra = 46, .rounds = 1, .seed = 1};
    int code = parse(&job, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    int status = measure(&job);
    code = status < 0 ? agn__cli_fail("curves", status) : job.json ? print_json(&job) : print_text(&job);
    agn_dataset_free(job.calibration);
    agn_dataset_free(job.dataset);
    agn_model_free(job.model);
    agn_free(job.device);
    agn_free(job.frames);
    return code;
}
