/* `agilenn run`: an emulated device classifies a data set through a real socket. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/hosted.h"
#include "agilenn/monitor.h"
#include "agilenn/run.h"
#include "cli/class_report.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/preset_options.h"

struct run_options {
    const char *host, *preset, *data, *split, *predictions, *psk_file, *psk_identity;
    const char *bandwidth, *firmware, *cut, *exits, *protocol;
    double exit, may_lose, slower;
    int port, images, deadline_ms, drop, repeats, budget;
    bool json;
    struct agn_cli_list model, set, confusion;
    const char *report;
};

static int parse(struct run_options *o, int argc, char **argv)
{
    static const char *const splits[] = {"test", "train", "validation", NULL};
    static const char *const protocols[] = {"1", "2", "auto", NULL};
    const struct agn_cli_option options[] = {
        agn__cli_text("host", "HOST", &o->host, "the server"),
        agn__cli_whole("port", "PORT", &o->port, 1, 65535, "its UDP port"),
        agn__cli_text("psk-file", "FILE", &o->psk_file,
                      "speak DTLS, with a key of this file (see agilenn keys); --port is then the server's "
                      "--dtls-port"),
        agn__cli_text("psk-identity", "NAME", &o->psk_identity,
                      "the device's name as it stands in that file, where it holds several"),
        agn__cli_text("preset", "NAME", &o->preset, "preset that names the data set"),
        agn__cli_list("set", "SECTION.KEY=VALUE", &o->set, "override a value of the preset"),
        agn__cli_text("data", "DIR", &o->data, "folder of the data set, instead of the preset's"),
        agn__cli_choice("split", "NAME", &o->split, splits, "test, train or validation"),
        agn__cli_whole("images", "N", &o->images, 0, 100000000, "images to classify; 0 = all of the split"),
        agn__cli_whole("deadline", "MS", &o->deadline_ms, 1, 60000,
                       "wait so long for the server's answer, then predict locally"),
        agn__cli_whole(
            "budget", "BYTES", &o->budget, 0, 1000000000,
            "send no more than so much of a frame, all headers counted, most important channels first; "
            "0 = all"),
        agn__cli_text(
            "bandwidth", "KBIT/S|auto", &o->bandwidth,
            "send no more of a frame than such a link carries within half of the deadline; 0 = all; auto: as "
            "answers so far say that it carries"),
        agn__cli_text("cut", "N|auto", &o->cut,
                      "of a network that may be cut in several places (spinn): 0 sends the image, 1 what the "
                      "first stage makes, and so on; auto chooses cut and exit threshold for each frame, "
                      "with --exits; the last one if not given"),
        agn__cli_real("exit", "SOFTMAX", &o->exit, 0.0, 1.0,
                      "from this softmax on an exit is sure; 0 = as the model says"),
        agn__cli_text("exits", "FILE", &o->exits,
                      "for --cut auto: what `agilenn eval MODEL.safetensors --exits --json` has printed, of "
                      "images that are not the ones to be classified"),
        agn__cli_real("may-lose", "SHARE", &o->may_lose, 0.0, 1.0,
                      "for --cut auto: be right less often than the best choice by so much"),
        agn__cli_real("slower", "FACTOR", &o->slower, 1.0, 1e6,
                      "the device counts as so many times slower than this machine, in --cut auto and in the "
                      "latency reported"),
        agn__cli_choice(
            "protocol", "VERSION", &o->protocol, protocols,
            "1; 2, the same in fewer bytes, with answers in steps of 8 bits (docs/PROTOCOL.md); auto: 2, "
            "or 1 where the server has not got it"),
        agn__cli_whole("repeat", "N", &o->repeats, 0, 10,
                       "send a frame's packets so often again while no answer has come"),
        agn__cli_whole("drop", "PERMILLE", &o->drop, 0, 1000, "lose so many of 1000 packets on purpose"),
        agn__cli_text(
            "predictions", "FILE", &o->predictions,
            "write a CSV line for each image: prediction, local prediction, how it came about, file, "
            "classes by name, margin over the next class in logits"),
        agn__cli_confusion_option(&o->confusion),
        agn__cli_text(
            "firmware", "DIR", &o->firmware,
            "the source tree's firmware folder: counts a Cortex-M7's instructions under QEMU, 20 images"),
        agn__cli_text(
            "report", "URL", &o->report,
            "tell the page of the server (serve --http --accept-reports) once a second how many predictions "
            "are right, as in http://127.0.0.1:9090/"),
        agn__cli_flag("json", &o->json, "print the figures as one JSON object")};
    const struct agn_cli_command command = {
        .name = "run",
        .usage = "[options] MODEL.agn",
        .description =
            "Runs the device library on this machine over a data set: extractor and Local NN in int8, "
            "packets over UDP to the server, fused predictions, and the local ones where no answer came "
            "in time.",
        .example = "agilenn run out/fashion/model.agn --preset fashion --port 5683 --images 1000",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &o->model,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "MODEL.agn"};
    return agn__cli_parse(&command, argc, argv);
}

/* --bandwidth; false: neither a number in range nor "auto". */
static bool read_bandwidth(const char *given, struct agn_client_config *client)
{
    enum { MAX_KBPS = 4000000, MAX_DIGITS = 7 };
    client->measure_bandwidth = strcmp(given, "auto") == 0;
    size_t digits = strspn(given, "0123456789");
    if (client->measure_bandwidth)
        return true;
    if (digits == 0 || digits > MAX_DIGITS || given[digits] != 0)
        return false;
    client->bandwidth_kbps = (uint32_t)strtoul(given, NULL, 10);
    return client->bandwidth_kbps <= MAX_KBPS;
}

/* --cut, --exit and the rest; `usual`: cuts of the model less one. */
static int read_cut(const struct run_options *o, int usual, struct agn_client_config *client)
{
    bool is_auto = o->cut != NULL && strcmp(o->cut, "auto") == 0;
    client->slower = o->slower;
    client->exit = (uint16_t)fmin(ceil(o->exit * AGN_SPLIT_ONE), INT16_MAX);
    if (is_auto != (o->exits != NULL))
        return agn_fail(AGN_ERR_ARG, "--cut auto and --exits FILE go together");
    if (is_auto && o->exit > 0.0)
        return agn_fail(AGN_ERR_ARG, "--cut auto chooses the threshold, too: leave --exit out");
    if (o->cut == NULL || is_auto)
        return AGN_OK;
    if (o->cut[0] < '0' || o->cut[0] > '0' + usual || o->cut[1] != 0)
        return agn_fail(AGN_ERR_ARG, "--cut %s: this model has the cuts 0 to %d", o->cut, usual);
    client->earlier = usual - (o->cut[0] - '0');
    return AGN_OK;
}

enum { NUMBER_BYTES = 12 };

/* Who hears of each frame: the confusion matrix, a CSV file, the server's page. */
struct listeners {
    FILE *csv;
    const struct agn_dataset *data;
    int classes;    /* the device model's */
    char **names;   /* of these: the data set's, and numbers for those that it has not */
    int *confusion; /* (true class, predicted class) of these */
    char (*numbers)[NUMBER_BYTES];
    const char *url;
    struct agn_monitor_truth truth; /* not reported yet */
    double next_report_s;
};

static int open_classes(struct listeners *to, const struct agn_dataset *data, size_t classes)
{
    to->data = data;
    to->classes = (int)classes;
    to->names = agn_alloc(classes, sizeof(*to->names));
    to->numbers = agn_alloc(classes, sizeof(*to->numbers));
    to->confusion = agn_alloc(classes * classes, sizeof(*to->confusion));
    if (!to->names || !to->numbers || !to->confusion)
        return AGN_ERR_MEMORY;
    for (int c = 0; c < to->classes; c++) {
        snprintf(to->numbers[c], NUMBER_BYTES, "%d", c);
        to->names[c] = c < data->classes ? data->class_names[c] : to->numbers[c];
    }
    return AGN_OK;
}

static void close_classes(struct listeners *to)
{
    agn_free(to->names);
    agn_free(to->numbers);
    agn_free(to->confusion);
}

/* A page that does not answer is left alone for a while: each try may take seconds of the run. */
static void report_truth(struct listeners *to)
{
    enum { PERIOD_S = 1, PAUSE_S = 30 };
    int status = agn_monitor_report(to->url, &to->truth);
    to->next_report_s = agn_now_s() + (status < 0 ? PAUSE_S : PERIOD_S);
    if (status < 0)
        agn_log(AGN_LOG_WARN, "%s", agn_error_message());
    else
        to->truth = (struct agn_monitor_truth){0};
}

/* How far the prediction is ahead of the next class, in logits. */
static double margin_of(const struct agn_client_result *result, int classes)
{
    int top = result->class_index, next = INT16_MIN;
    for (int c = 0; c < classes; c++)
        if (c != top && result->logits[c] > next)
            next = result->logits[c];
    return classes > 1 && top >= 0 ? (result->logits[top] - next) / 256.0 : 0.0;
}

static void write_frame(const struct listeners *to, int index, int label,
                        const struct agn_client_result *result)
{
    const struct agn_dataset *data = to->data;
    fprintf(to->csv, "%d,%d,%d,%d,%d,%d,", index, label, result->class_index, result->local_class,
            result->fused, result->channels_missing);
    if (data->files)
        agn_csv_field(to->csv, data->files[index % data->count]);
    else
        fprintf(to->csv, "%d", index % data->count);
    fputc(',', to->csv);
    agn_csv_field(to->csv, to->names[label]);
    fputc(',', to->csv);
    bool none = result->class_index < 0;
    agn_csv_field(to->csv, none ? "" : to->names[result->class_index]);
    fprintf(to->csv, ",%.4f,%s\n", margin_of(result, to->classes),
            result->fused ? "fused"
            : none        ? "none"
                          : "local");
}

static void hear_frame(void *user, int index, int label, const struct agn_client_result *result)
{
    struct listeners *to = user;
    if (to->csv)
        write_frame(to, index, label, result);
    if (result->class_index >= 0)
        to->confusion[(size_t)label * (size_t)to->classes + (size_t)result->class_index]++;
    to->truth.predictions++;
    to->truth.correct += result->class_index == label;
    to->truth.fallbacks += !result->fused;
    to->truth.paused += result->reason == AGN_CLIENT_PAUSED;
    if (to->url && agn_now_s() >= to->next_report_s)
        report_truth(to);
}

static int run_and_tell(struct agn_run_config *config, struct listeners *to, struct agn_run_report *report)
{
    config->frame = hear_frame;
    config->frame_user = to;
    int status = agn_run_images(config, report);
    if (status >= 0 && to->url)
        report_truth(to);
    return status;
}

/* A CSV file comes to be whole or not at all. */
static int run_images(struct agn_run_config *config, const char *predictions, struct listeners *to,
                      struct agn_run_report *report)
{
    struct agn_file_out out;
    if (predictions == NULL)
        return run_and_tell(config, to, report);
    int status = agn_file_out_open(&out, predictions);
    if (status < 0)
        return status;
    to->csv = out.stream;
    fprintf(out.stream, "image,label,prediction,local_prediction,fused,channels_missing,file,true_class,"
                        "predicted_class,margin,way\n");
    status = run_and_tell(config, to, report);
    if (status < 0) {
        agn_file_out_abort(&out);
        return status;
    }
    return agn_file_out_commit(&out);
}

static struct agn__class_report classes_of(const struct agn_run_report *r, const struct listeners *to)
{
    return (struct agn__class_report){.classes = to->classes,
                                      .names = to->names,
                                      .counts = r->by_class,
                                      .confusion = to->confusion,
                                      .no_local = r->no_local,
                                      .of_run = true};
}

static int print_json(const struct agn_run_report *r, const struct listeners *to)
{
    struct agn__class_report classes = classes_of(r, to);
    struct agn_figures figures = {.count = 0};
    agn_run_figures(r, &figures);
    json_t *object = agn_figures_json(&figures);
    if (!json_object_set_new(object, "classes", agn__cli_json_classes(&classes)) &&
        !json_object_set_new(object, "confusion", agn__cli_json_confusion(&classes)))
        return agn__cli_print_json("run", object);
    json_decref(object);
    return agn__cli_print_json("run", NULL);
}

/* Where answers come late the deadline is to blame, not the server. */
static void print_late(const struct agn_run_report *r, int deadline_ms)
{
    if (r->late > 0)
        printf("late         %d answers: the server answers after %.0f ms (median), later than the deadline "
               "of %d "
               "ms: --deadline %.0f or more\n",
               r->late, r->late_ms, deadline_ms, ceil(1.5 * r->late_ms / 10.0) * 10.0);
}

static int print_text(const struct agn_run_report *r, const struct listeners *to, int deadline_ms)
{
    struct agn__class_report classes = classes_of(r, to);
    double images = (double)r->images;
    printf("images       %d, %d predictions (%d fused, %d local only)\n", r->images, r->predictions, r->fused,
           r->predictions - r->fused);
    printf(r->no_local ? "accuracy     %.2f %% (no Local NN)\n"
                       : "accuracy     %.2f %% (the Local NN alone: %.2f %%)\n",
           100.0 * r->correct / images, 100.0 * r->local_correct / images);
    for (int i = 0; i < AGN_CLIENT_REASON_COUNT; i++)
        if (r->reasons[i] > 0)
            printf("  %-6d     %s\n", r->reasons[i], agn_client_reason_text((enum agn_client_reason)i));
    print_late(r, deadline_ms);
    if (r->sent > 0) {
        printf("bytes sent   %.0f symbols + headers, %.0f symbols alone, of %.0f raw; %.2f packets a frame; "
               "protocol %d\n",
               r->payload_bytes_mean, r->coded_bytes_mean, r->raw_bytes, r->packets_mean, r->protocol);
    }
    if (r->fused > 0) {
        printf("answer       %.2f/%.2f/%.2f/%.2f ms min/median/p99/max after the first packet\n",
               r->network_ms.min, r->network_ms.median, r->network_ms.p99, r->network_ms.max);
    }
    if (r->cuts > 1) {
        printf("cuts        ");
        for (int i = 0; i < r->cuts; i++)
            printf(" %d: %d frames", i, r->by_cut[i]);
        printf("; %.2f ms a frame on average\n", r->latency_ms);
    }
    if (isfinite(r->row_instructions))
        printf("device       %.0f instructions a frame on a Cortex-M7 under QEMU, and %.0f to make the "
               "packets\n",
               r->row_instructions, r->packet_instructions);
    if (r->firmware_note != NULL)
        printf("device       no instructions counted: %s\n", r->firmware_note);
    if (isfinite(r->rate_kbps))
        printf("link         %.0f kbit/s as measured last, the server's time included\n", r->rate_kbps);
    agn__cli_print_classes(stdout, &classes);
    agn__cli_print_never_predicted(stdout, &classes);
    return AGN_CLI_SUCCESS;
}

int agn__cmd_run(int argc, char **argv)
{
    struct run_options o = {.host = "127.0.0.1",
                            .port = 5683,
                            .preset = "fashion",
                            .split = "test",
                            .deadline_ms = 200,
                            .bandwidth = "0",
                            .protocol = "1",
                            .may_lose = 0.01,
                            .slower = 1.0};
    int code = parse(&o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    struct agn_client_config link = {.protocol = strcmp(o.protocol, "auto") == 0 ? AGN_CLIENT_AUTO
                                                                                 : o.protocol[0] - '0'};
    if (!read_bandwidth(o.bandwidth, &link))
        return agn__cli_usage_error("run", "--bandwidth %s: expected 0 to 4000000 or auto", o.bandwidth);
    struct agn_dataset *data = NULL;
    uint8_t *model = NULL;
    size_t model_bytes = 0;
    struct agn_dev_model opened;
    struct agn_run_report report = {0};
    struct listeners to = {.url = o.report};
    int status = agn__cli_check_confusion(&o.confusion);
    if (status == AGN_OK)
        status = agn_hosted_read(o.model.items[0], &model, &model_bytes, &opened);
    if (status == AGN_OK)
        status = agn__cli_open_images(o.preset, &o.set, o.data, o.split, -1, &data);
    if (status == AGN_OK)
        status = open_classes(&to, data, opened.classes);
    if (status == AGN_OK)
        status = read_cut(&o, agn_dev_cuts(&opened) > 0 ? (int)agn_dev_cuts(&opened) - 1 : 0, &link);
    struct agn_run_split split;
    if (status == AGN_OK && o.exits != NULL)
        status = agn_run_split_read(o.exits, o.may_lose, &split);
    if (status == AGN_OK && o.exits != NULL)
        status = agn_run_split_measure(&split, model, model_bytes, data, o.slower);
    if (status == AGN_OK) {
        struct agn_run_config config = {.client = {.host = o.host,
                                                   .port = (uint16_t)o.port,
                                                   .deadline_ms = (uint32_t)o.deadline_ms,
                                                   .psk_file = o.psk_file,
                                                   .psk_identity = o.psk_identity,
                                                   .model = model,
                                                   .model_bytes = model_bytes,
                                                   .budget_bytes = (uint32_t)o.budget,
                                                   .bandwidth_kbps = link.bandwidth_kbps,
                                                   .measure_bandwidth = link.measure_bandwidth,
                                                   .earlier = link.earlier,
                                                   .exit = link.exit,
                                                   .split = o.exits != NULL ? &split.profile : NULL,
                                                   .slower = link.slower,
                                                   .protocol = link.protocol,
                                                   .repeats = o.repeats,
                                                   .drop_permille = (uint32_t)o.drop,
                                                   .drop_seed = 1},
                                        .data = data,
                                        .images = o.images,
                                        .require_server = true,
                                        .firmware = o.firmware,
                                        .progress = agn_progress_print,
                                        .progress_user = stderr};
        status = run_images(&config, o.predictions, &to, &report);
    }
    if (status == AGN_OK) {
        struct agn__class_report classes = classes_of(&report, &to);
        status = agn__cli_write_confusion(&o.confusion, &classes);
    }
    code = status < 0 ? agn__cli_fail("run", status)
           : o.json   ? print_json(&report, &to)
                      : print_text(&report, &to, o.deadline_ms);
    close_classes(&to);
    agn_dataset_free(data);
    agn_free(model);
    return code;
}
