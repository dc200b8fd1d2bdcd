/* `agilenn swarm`: many emulated devices load a server. The work is src/swarm's. */
#include <math.h>
#include <string.h>

#include "agilenn/hosted.h"
#include "agilenn/plot.h"
#include "agilenn/swarm.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/preset_options.h"
#include "cli/swarm_report.h"

struct swarm_options {
    const char *host, *preset, *data, *split, *arrivals, *csv, *report, *psk_file, *protocol;
    int port, images, devices, deadline_ms, seed;
    double rate_fps, duration_s, delay_ms, jitter_ms, loss, bandwidth_kbps, limit;
    bool ramp, no_pause, json;
    struct agn_cli_list model, set;
};

static const char description[] =
    "Loads a server with the traffic of many devices and says what it makes of it. The load is "
    "open-loop: when a frame is sent is decided beforehand, not by the answers, and latency counts "
    "from that moment, so that a server that stalls cannot hide it. Each frame is what the device runtime "
    "makes of a real image; it ends with a fused prediction, or with the local one at its deadline or "
    "when the server refuses it.\n"
    "With --ramp, runs of --duration seconds look for the highest rate at which no more than --limit "
    "of the frames fall back, and a last one measures latency at half of that.\n"
    "What to read: fallback_rate (the server's limit shows there first), p99_ms (to the prediction, "
    "fallbacks included), lost_predictions (always 0), and send_lag: when that is not far below the "
    "latency, the generator is at its own limit and another machine should take part of the load. "
    "docs/SCALING.md has measured figures.";

static const char example[] =
    "agilenn serve out/fashion/model.safetensors --port 5683 &\n"
    "agilenn swarm out/fashion/model.agn --preset fashion --devices 100 --rate 500\n"
    "agilenn swarm out/fashion/model.agn --devices 100 --ramp --duration 5\n"
    "agilenn swarm out/fashion/model.agn --preset fashion --rate 200 --duration 600 \\\n"
    "    --delay 10 --jitter 5 --loss 5 --bandwidth 270 --report out/load --json";

static int parse(struct swarm_options *o, int argc, char **argv)
{
    static const char *const splits[] = {"test", "train", "validation", NULL};
    static const char *const arrivals[] = {"poisson", "fixed", NULL};
    static const char *const protocols[] = {"1", "2", NULL};
    struct agn_cli_option options[] = {
        agn__cli_text("host", "HOST", &o->host, "the server"),
        agn__cli_whole("port", "PORT", &o->port, 1, 65535, "its UDP port"),
        agn__cli_whole("devices", "N", &o->devices, 1, AGN_SWARM_MAX_DEVICES,
                       "devices, each with a socket of its own"),
        agn__cli_real("rate", "FPS", &o->rate_fps, 0.001, 1e7, "frames a second, of all devices together"),
        agn__cli_real("duration", "S", &o->duration_s, 0.001, 604800,
                      "seconds of the run; of each step with --ramp"),
        agn__cli_text(
            "arrivals", "KIND", &o->arrivals,
            "poisson: every device sends at random, by itself; fixed: evenly spaced, devices in turn"),
        agn__cli_whole("deadline", "MS", &o->deadline_ms, 1, AGN_SWARM_MAX_DEADLINE_MS,
                       "a frame without an answer so long after it was due takes its local prediction"),
        agn__cli_flag("ramp", &o->ramp, "search the highest rate that the server sustains, from --rate on"),
        agn__cli_real("limit", "PERCENT", &o->limit, 0.001, 99,
                      "a rate is sustained when no more frames than these fall back to the local prediction"),
        agn__cli_real("delay", "MS", &o->delay_ms, 0, 60000, "of each datagram on the radio, each way"),
        agn__cli_real("jitter", "MS", &o->jitter_ms, 0, 60000, "added to it at random, evenly from 0"),
        agn__cli_real("loss", "PERCENT", &o->loss, 0, 100, "of datagrams, each way"),
        agn__cli_real("bandwidth", "KBPS", &o->bandwidth_kbps, 0, 1e6,
                      "of each device's radio, kilobits a second with headers of IP and UDP; 0 = no limit"),
        agn__cli_flag("no-pause", &o->no_pause,
                      "devices go on sending when a busy server asks for a pause (5.03 with Max-Age)"),
        agn__cli_text(
            "psk-file", "FILE", &o->psk_file,
            "speak DTLS: device i has the i-th key of this file (see agilenn keys), and the first again "
            "when there are "
            "no more; --port is then the server's --dtls-port"),
        agn__cli_text("protocol", "VERSION", &o->protocol,
                      "1 or 2, the same in fewer bytes (docs/PROTOCOL.md)"),
        agn__cli_text("preset", "NAME", &o->preset, "preset that names the data set"),
        agn__cli_list("set", "SECTION.KEY=VALUE", &o->set, AGN_CLI_HELP_SET),
        agn__cli_text("data", "DIR", &o->data, AGN_CLI_HELP_DATA),
        agn__cli_text("split", "NAME", &o->split, "test, train or validation"),
        agn__cli_whole("images", "N", &o->images, 1, 1000000,
                       "images of it that devices see, spread evenly over the split"),
        agn__cli_whole("seed", "N", &o->seed, 0, 2147483647, "chooses arrivals, images and losses"),
        agn__cli_text("csv", "FILE", &o->csv,
                      "write a line for each second: load, answers, fallbacks, latency"),
        agn__cli_text("report", "DIR", &o->report,
                      "write a picture of the run there (load.png, by gnuplot), and what is in it as tables"),
        agn__cli_flag("json", &o->json, "print the figures as one JSON object")};
    for (size_t i = 0; i < AGN_COUNT_OF(options); i++) {
        if (strcmp(options[i].name, "arrivals") == 0)
            options[i].choices = arrivals;
        if (strcmp(options[i].name, "protocol") == 0)
            options[i].choices = protocols;
        if (strcmp(options[i].name, "split") == 0)
            options[i].choices = splits;
    }
    const struct agn_cli_command command = {.name = "swarm",
                                            .usage = "[options] MODEL.agn",
                                            .description = description,
                                            .example = example,
                                            .options = options,
                                            .option_count = AGN_COUNT_OF(options),
                                            .operands = &o->model,
                                            .min_operands = 1,
                                            .max_operands = 1,
                                            .operand_name = "MODEL.agn"};
    return agn__cli_parse(&command, argc, argv);
}

/* ---- what goes in ------------------------------------------------------------------------- */

static int create(const struct swarm_options *o, struct agn_swarm **swarm)
{
    uint8_t *model = NULL;
    struct agn_dev_model opened;
    struct agn_dataset *data = NULL;
    struct agn_swarm_config config = {.host = o->host,
                                      .port = (uint16_t)o->port,
                                      .images = o->images,
                                      .devices = o->devices,
                                      .deadline_ms = (uint32_t)o->deadline_ms,
                                      .link = {.bandwidth_bps = 1e3 * o->bandwidth_kbps,
                                               .delay_s = 1e-3 * o->delay_ms,
                                               .jitter_s = 1e-3 * o->jitter_ms,
                                               .loss = o->loss / 100},
                                      .seed = (uint64_t)o->seed,
                                      .ignore_pauses = o->no_pause,
                                      .protocol = o->protocol[0] - '0',
                                      .psk_file = o->psk_file};
    int status = agn_hosted_read(o->model.items[0], &model, &config.model_bytes, &opened);
    if (status == AGN_OK)
        status = agn__cli_open_images(o->preset, &o->set, o->data, o->split, o->images, &data);
    config.model = model;
    config.data = data;
    if (status == AGN_OK)
        status = agn_swarm_create(swarm, &config);
    agn_dataset_free(data);
    agn_free(model);
    return status;
}

/* ---- what comes out ------------------------------------------------------------------------- */

/* Who hears of each second: a CSV file, the report, or nobody. */
struct listeners {
    FILE *csv;
    bool keeps;
    struct agn__seconds seconds;
};

static void hear_second(void *user, const struct agn_swarm_second *second)
{
    struct listeners *to = user;
    if (to->csv)
        agn__seconds_write(to->csv, second);
    if (to->keeps)
        agn__seconds_add(&to->seconds, second);
}

static json_t *report_json(const struct agn_swarm_report *report)
{
    struct agn_figures figures = {.count = 0};
    agn_swarm_figures(report, &figures);
    return agn_figures_json(&figures);
}

static void print_latency(FILE *stream, const char *name, const struct agn_swarm_latency *l)
{
    if (isnan(l->p50_ms)) {
        fprintf(stream, "%-12s none\n", name);
        return;
    }
    fprintf(stream, "%-12s %.2f/%.2f/%.2f/%.2f/%.2f ms p50/p90/p99/p99.9/max\n", name, l->p50_ms, l->p90_ms,
            l->p99_ms, l->p999_ms, l->max_ms);
}

static void print_report(FILE *stream, const struct agn_swarm_report *r)
{
    if (r->offered == 0) {
        fprintf(stream, "load         no frame was due in %g s; make --duration longer or --rate higher\n",
                r->seconds);
        return;
    }
    fprintf(stream, "load         %.1f frames/s from %d devices for %.1f s; %.1f answers/s\n", r->offered_fps,
            r->devices, r->seconds, r->achieved_fps);
    fprintf(
        stream,
        "frames       %llu: %llu answered, %llu fell back (%.2f %%: %llu at the deadline, %llu busy, %llu "
        "rejected, %llu overslept, %llu in a pause that the server asked for); %llu without a prediction\n",
        (unsigned long long)r->offered, (unsigned long long)r->answered, (unsigned long long)r->fallbacks,
        100 * r->fallback_rate, (unsigned long long)r->timed_out, (unsigned long long)r->busy,
        (unsigned long long)r->rejected, (unsigned long long)r->overslept, (unsigned long long)r->paused,
        (unsigned long long)r->lost_predictions);
    print_latency(stream, "prediction", &r->prediction);
    print_latency(stream, "answer", &r->answer);
    print_latency(stream, "send lag", &r->send_lag);
    fprintf(stream, "accuracy     %.2f %% (the Local NN alone: %.2f %%)\n", 100 * r->accuracy,
            100 * r->local_accuracy);
    fprintf(stream,
            "bytes        %.0f a frame in UDP, %llu packets, %llu lost; %llu late answers, %llu strangers\n",
            r->bytes_mean, (unsigned long long)r->packets, (unsigned long long)r->packets_lost,
            (unsigned long long)r->late, (unsigned long long)r->strangers);
    if (r->handshakes > 0)
        fprintf(stream, "DTLS         %llu sessions made in %.2f s before the run\n",
                (unsigned long long)r->handshakes, r->handshake_s);
    if (r->overslept > 0 || (r->send_lag.p99_ms > 2 && r->send_lag.p99_ms > 0.25 * r->answer.p99_ms))
        fprintf(stream, "note         the generator was late itself: part of the latency is its own\n");
    if (r->disowned > 0)
        fprintf(stream, "note         the server had not the model for some of the frames (4.09): was its "
                        "model changed?\n");
    if (r->answered == 0)
        fprintf(stream, "note         no answer came: is a server listening there?\n");
}

static void print_step(void *user, const struct agn_swarm_report *r, bool sustained)
{
    if (r->offered == 0) {
        fprintf(user, "no frame was due in a step of %g s; make --duration longer\n", r->seconds);
        return;
    }
    fprintf(user, "%8.1f frames/s: %6.2f %% fall back, p50 %.2f ms, p99 %.2f ms%s\n", r->offered_fps,
            100 * r->fallback_rate, r->prediction.p50_ms, r->prediction.p99_ms,
            sustained ? "" : "  - too much");
}

/* ---- the two kinds of run ---------------------------------------------------------------------- */

/* Of a run whose figures have been printed. */
static int end_code(void)
{
    return agn_interrupt_requested() ? AGN_CLI_INTERRUPTED : AGN_CLI_SUCCESS;
}

static int fail_empty(const struct swarm_options *o)
{
    return agn_fail(AGN_ERR_ARG,
                    "no frame was due in %g s at %g frames/s; make --duration longer or --rate higher",
                    o->duration_s, o->rate_fps);
}

static int run_once(const struct swarm_options *o, struct agn_swarm *swarm, struct agn_swarm_load *load)
{
    struct agn_swarm_report report;
    const struct listeners *heard = load->second_user;
    load->progress = agn_progress_print;
    load->progress_user = stderr;
    int status = agn_swarm_run(swarm, load, &report);
    if (status == AGN_OK && report.offered == 0 && agn_interrupt_requested())
        return AGN_CLI_INTERRUPTED;
    if (status == AGN_OK && report.offered == 0)
        status = fail_empty(o);
    if (status < 0)
        return agn__cli_fail("swarm", status);
    json_t *figures = o->json || o->report ? report_json(&report) : NULL;
    if (o->report)
        status = agn__swarm_report_write(o->report, swarm, &report, &heard->seconds, figures);
    if (o->json && status == AGN_OK) {
        int code = agn__cli_print_json("swarm", figures);
        return code == AGN_CLI_SUCCESS ? end_code() : code;
    }
    json_decref(figures);
    if (status < 0)
        return agn__cli_fail("swarm", status);
    print_report(stdout, &report);
    return end_code();
}

/* What was sustained before an interrupt is worth its name, too. */
static int print_ramp(const struct swarm_options *o, const struct agn_swarm_ramp_report *report)
{
    if (o->json) {
        json_t *object = report_json(&report->highest);
        if (object)
            json_object_set_new(object, "half",
                                report->interrupted ? json_null() : report_json(&report->half));
        int code = agn__cli_print_json("swarm", object);
        return code == AGN_CLI_SUCCESS ? end_code() : code;
    }
    printf("-- the highest rate sustained%s\n", report->interrupted ? " until the interrupt" : "");
    print_report(stdout, &report->highest);
    if (!report->interrupted) {
        printf("-- at half of it\n");
        print_report(stdout, &report->half);
    }
    return end_code();
}

static int fail_ramp(const struct swarm_options *o, const struct agn_swarm_report *last)
{
    if (last->offered == 0)
        return agn_fail(AGN_ERR_ARG, "no frame was due in any step of %g s; make --duration longer",
                        o->duration_s);
    return agn_fail(AGN_ERR_TIMEOUT,
                    "no rate is sustained: %.1f %% of %.1f frames/s fell back, expected at most %g %%; is a "
                    "server listening there, and is --deadline long enough for its link?",
                    100 * last->fallback_rate, last->offered_fps, o->limit);
}

static int run_ramp(const struct swarm_options *o, struct agn_swarm *swarm, const struct agn_swarm_load *load)
{
    const struct agn_swarm_ramp ramp = {
        .load = *load, .fallback_limit = o->limit / 100, .step = print_step, .step_user = stderr};
    struct agn_swarm_ramp_report report;
    int status = agn_swarm_ramp(swarm, &ramp, &report);
    if (status == AGN_OK && report.interrupted && !report.found)
        return AGN_CLI_INTERRUPTED;
    if (status == AGN_OK && !report.found)
        status = fail_ramp(o, &report.highest);
    return status < 0 ? agn__cli_fail("swarm", status) : print_ramp(o, &report);
}

static int run(const struct swarm_options *o, struct agn_swarm *swarm)
{
    struct listeners to = {.keeps = o->report != NULL};
    struct agn_swarm_load load = {.rate_fps = o->rate_fps,
                                  .seconds = o->duration_s,
                                  .fixed = strcmp(o->arrivals, "fixed") == 0,
                                  .second = hear_second,
                                  .second_user = &to};
    struct agn_file_out out = {0};
    int status = o->report ? agn_plot_available() : AGN_OK;
    if (status == AGN_OK && o->csv)
        status = agn_file_out_open(&out, o->csv);
    if (status < 0)
        return agn__cli_fail("swarm", status);
    if (o->csv) {
        to.csv = out.stream;
        agn__seconds_write_header(to.csv);
    }
    int code = o->ramp ? run_ramp(o, swarm, &load) : run_once(o, swarm, &load);
    agn_free(to.seconds.items);
    if (!o->csv)
        return code;
    if (code != AGN_CLI_SUCCESS && code != AGN_CLI_INTERRUPTED) {
        agn_file_out_abort(&out);
        return code;
    }
    status = agn_file_out_commit(&out);
    return status < 0 ? agn__cli_fail("swarm", status) : code;
}

int agn__cmd_swarm(int argc, char **argv)
{
    struct swarm_options o = {.host = "127.0.0.1",
                              .port = 5683,
                              .preset = "fashion",
                              .split = "test",
                              .arrivals = "poisson",
                              .protocol = "1",
                              .images = AGN_SWARM_DEFAULT_IMAGES,
                              .devices = 100,
                              .deadline_ms = 200,
                              .rate_fps = 100,
                              .duration_s = 10,
                              .limit = 1};
    int code = parse(&o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (o.ramp && (o.csv || o.report))
        return agn__cli_usage_error("swarm", "--csv and --report are for one run: leave out --ramp, and give "
                                             "the --rate it found");
    struct agn_swarm *swarm = NULL;
    int status = create(&o, &swarm);
    if (status < 0)
        return agn__cli_fail("swarm", status);
    code = run(&o, swarm);
    agn_swarm_free(swarm);
    return code;
}
