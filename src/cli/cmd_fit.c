/* `agilenn fit`: which design suits a board, a radio and some limits. The search is src/fit's, what is told
 * of it fit_report.c's. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/nn.h"
#include "agilenn/plot.h"
#include "agilenn/sets.h"
#include "cli/fit_report.h"
#include "cli/preset_options.h"
#include "cli/target_table.h"

enum { VALIDATION_IMAGES = 4000, LARGEST_SIDE = 96 };

struct job {
    const char *preset, *data, *board, *radio, *out, *ram, *flash;
    struct agn_cli_list assignments;
    double rate, latency, energy, accuracy, minutes;
    int threads, protocol;
    bool resume, no_plots, json;

    struct agn_fit_config config;
    struct agn_dataset *train, *validation, *test;
    struct agn__fit_outcome outcome;
};

/* ---- the base ------------------------------------------------------------------------------ */

/* A preset for a folder of which nothing is known: format and size as its files show them. */
static int guess_base(const struct job *job, struct agn_preset *base)
{
    struct agn_dataset_report report;
    agn_preset_defaults(base);
    snprintf(base->name, sizeof base->name, "fit");
    snprintf(base->data.format, sizeof base->data.format, "%s", agn_dataset_detect(job->data));
    int status = agn__cli_replace_data(base, job->data);
    const struct agn_dataset_source source = agn_preset_source(base, "train", 2000);
    if (status >= 0)
        status = agn_dataset_inspect(&source, &report);
    if (status < 0)
        return status;
    int height = report.size_count > 0 ? report.sizes[0].height : base->data.height;
    int width = report.size_count > 0 ? report.sizes[0].width : base->data.width;
    bool resized = strcmp(base->data.format, "idx") != 0;
    base->data.height = resized && height > LARGEST_SIDE ? LARGEST_SIDE : height;
    base->data.width = resized && width > LARGEST_SIDE ? LARGEST_SIDE : width;
    base->data.channels = report.channels == 1 ? 1 : 3;
    agn_dataset_report_free(&report);
    snprintf(base->model.reference, sizeof base->model.reference, "mobilenetv2-tiny");
    snprintf(base->model.remote, sizeof base->model.remote, "mobilenetv2-tiny");
    base->reference.epochs = 3.0;
    base->joint.epochs = 12.0;
    base->joint.rate = 0.1;
    base->joint.packet_loss = 0.1;
    return AGN_OK;
}

static int read_base(struct job *job)
{
    struct agn_preset *base = &job->config.base;
    int status;
    if (job->preset == NULL) {
        status = guess_base(job, base);
        for (int i = 0; i < job->assignments.count && status >= 0; i++)
            status = agn_preset_set(base, job->assignments.items[i]);
    } else {
        status = agn__cli_load_preset(job->preset, &job->assignments, base);
        if (status >= 0)
            status = agn__cli_replace_data(base, job->data);
    }
    if (status >= 0 && base->data.validation[0] == '\0')
        snprintf(base->data.validation, sizeof base->data.validation, "0.1");
    return status;
}

static int open_split(const struct job *job, const char *split, int limit, struct agn_dataset **data)
{
    const struct agn_dataset_source source = agn_preset_source(&job->config.base, split, limit);
    return agn_dataset_open(&source, data);
}

static int open_data(struct job *job)
{
    struct agn_preset *base = &job->config.base;
    int status = open_split(job, "validation", VALIDATION_IMAGES, &job->validation);
    if (status >= 0)
        status = open_split(job, "train", -1, &job->train);
    if (status < 0)
        return status;
    int classes =
        job->train->classes > job->validation->classes ? job->train->classes : job->validation->classes;
    if (base->data.classes != 0 && base->data.classes < classes)
        return agn_fail(AGN_ERR_RANGE, "the data set has %d classes, but data.classes = %d", classes,
                        base->data.classes);
    base->data.classes = base->data.classes > classes ? base->data.classes : classes;
    job->config.train = job->train;
    job->config.validation = job->validation;
    return AGN_OK;
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int read_limits(struct job *job)
{
    double *limits = job->config.limits.value;
    const struct {
        const char *name, *text;
        enum agn_fit_limit limit;
        double of_board;
    } memory[] = {{"ram", job->ram, AGN_FIT_RAM, job->config.board.ram_bytes},
                  {"flash", job->flash, AGN_FIT_FLASH, job->config.board.flash_bytes}};
    limits[AGN_FIT_LATENCY] = job->latency;
    limits[AGN_FIT_ENERGY] = job->energy;
    limits[AGN_FIT_ACCURACY] = job->accuracy;
    for (size_t i = 0; i < AGN_COUNT_OF(memory); i++) {
        uint32_t bytes = 0;
        if (memory[i].text != NULL && !agn__cli_parse_bytes(memory[i].text, &bytes))
            return agn_fail(AGN_ERR_ARG, "--%s %s: expected bytes, such as 24576, 24K or 1M", memory[i].name,
                            memory[i].text);
        if (memory[i].of_board > 0.0 && bytes > memory[i].of_board)
            return agn_fail(AGN_ERR_RANGE, "--%s %s: board %s has %.0f bytes only", memory[i].name,
                            memory[i].text, job->config.board.name, memory[i].of_board);
        limits[memory[i].limit] = bytes > 0 ? bytes : memory[i].of_board;
    }
    return agn_fit_check_limits(&job->config.limits, &job->config.board, &job->config.radio);
}

static int prepare(struct job *job)
{
    int status = agn_board_load(job->board, &job->config.board);
    if (status >= 0)
        status = agn_radio_load(job->radio, &job->config.radio);
    if (status >= 0 && job->rate > 0.0)
        job->config.radio.rate_kbps = job->rate;
    if (status >= 0)
        status = read_limits(job);
    if (status >= 0 && !job->no_plots)
        status = agn_plot_available();
    if (status >= 0)
        status = read_base(job);
    return status >= 0 ? open_data(job) : status;
}

/* ---- the search -------------------------------------------------------------------------------- */

/* The test images are opened now, when all is decided. */
static int test_once(struct job *job)
{
    struct agn__fit_outcome *o = &job->outcome;
    if (o->report->recommended < 0)
        return AGN_OK;
    int status = open_split(job, "test", -1, &job->test);
    if (status >= 0)
        status = agn_fit_test(&job->config, o->report, job->test, &o->test, &o->test_local);
    if (status >= 0)
        o->test_images = job->test->count;
    return status;
}

static int run(struct job *job)
{
    agn_nn_set_threads(job->threads);
    job->config.out = job->out;
    job->config.resume = job->resume;
    job->config.protocol = job->protocol;
    job->config.with_base = job->preset != NULL;
    job->config.seconds = 60.0 * job->minutes;
    job->config.progress = agn_progress_print;
    job->config.progress_user = stderr;
    int status = prepare(job);
    if (status >= 0)
        status = agn_fit_run(&job->config, &job->outcome.report);
    if (status < 0 && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    if (status == AGN_ERR_INTERRUPTED)
        agn_fail(status, "interrupted; the same command with --resume goes on with %s/fit.sqlite", job->out);
    if (status >= 0)
        status = agn_fit_write(&job->config, job->outcome.report);
    if (status >= 0)
        status = test_once(job);
    if (status >= 0 && !job->no_plots)
        status = agn__fit_draw(&job->config, job->outcome.report);
    if (status < 0)
        return agn__cli_fail("fit", status);
    agn__fit_print(agn__cli_text_stream(job->json), &job->config, &job->outcome);
    if (job->json &&
        agn__cli_print_json("fit", agn__fit_json(&job->config, &job->outcome)) != AGN_CLI_SUCCESS)
        return AGN_CLI_FAILURE;
    return job->outcome.report->recommended >= 0 ? AGN_CLI_SUCCESS : AGN_CLI_FAILURE;
}

static const char description[] =
    "Looks for the system and the design that suit a board, a radio and limits: some twenty presets on the "
    "data set, from a device alone over splits of several sizes to sending JPEG. What each takes of RAM, "
    "flash, time and energy is known before it is trained; those that cannot fit are dropped, the others are "
    "trained briefly, the better third longer, and so on until the time is used up. Which "
    "frames the device sends is swept after training.\n"
    "Accuracy and bytes are measured on a part of the training images, the recommended design once on the "
    "test "
    "images; latency and energy are modelled (agilenn/cost.h), and so not to be taken for measurements.\n"
    "DIR receives fit.sqlite (the whole search), fit.csv, fit.png, recommended.ini, a preset for `agilenn "
    "train`, "
    "and recommended.safetensors. Ctrl-C, even a kill, costs the training at hand; --resume goes on. The "
    "exit "
    "code is 1 when nothing fits.";
static const char example[] =
    "  agilenn fit --preset fashion --board stm32f746 --radio esp8266 --time 5\n"
    "  agilenn fit --data photos --board nrf52840 --radio ble --energy 5 --ram 64K --out out/fit\n"
    "  agilenn fit --preset fashion --board stm32f746 --radio lora --accuracy 0.88 --resume";

static int parse(struct job *job, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        agn__cli_text("preset", "BASE", &job->preset,
                      "preset that gives data set, server network and schedule; or --data alone"),
        agn__cli_text("data", "DIR", &job->data,
                      "folder of the data set, instead of the preset's; without a preset format and size are "
                      "those that its files show"),
        agn__cli_list("set", "SECTION.KEY=VALUE", &job->assignments, AGN_CLI_HELP_SET),
        {.name = "board",
         .metavar = "B",
         .help = "profile of the board (profiles/boards), or path of an .ini file",
         .type = AGN_CLI_STRING,
         .string = &job->board,
         .required = true},
        {.name = "radio",
         .metavar = "R",
         .help = "profile of the radio (profiles/radios), or path of an .ini file",
         .type = AGN_CLI_STRING,
         .string = &job->radio,
         .required = true},
        agn__cli_real("rate", "KBIT/S", &job->rate, 0.0, 1e7, "rate on the air; 0 = the radio's"),
        agn__cli_real("latency", "MS", &job->latency, 0.0, 1e9,
                      "a frame that is sent takes no longer, by the model's typical values; 0 = any"),
        agn__cli_real("energy", "MJ", &job->energy, 0.0, 1e9,
                      "a frame takes no more of the whole board on average; 0 = any"),
        agn__cli_text(
            "ram", "BYTES", &job->ram,
            "RAM that may be used, packet buffer and stack included, as 24K; the board's if not given"),
        agn__cli_text("flash", "BYTES", &job->flash,
                      "flash for code and model together; the board's if not given"),
        agn__cli_real("accuracy", "SHARE", &job->accuracy, 0.0, 1000.0,
                      "reach this and take the least energy; 0 = as accurate as the limits allow"),
        agn__cli_whole("protocol", "VERSION", &job->protocol, 1, 2,
                       "version of the wire: 2 is the shorter one (docs/PROTOCOL.md)"),
        agn__cli_real("time", "MIN", &job->minutes, 0.01, 100000.0, "minutes for the whole search"),
        agn__cli_text("out", "DIR", &job->out, "folder of the search"),
        agn__cli_flag("resume", &job->resume, "go on with the search in DIR; --time counts what it has used"),
        agn__cli_flag("no-plots", &job->no_plots, "draw no PNG, so that gnuplot is not needed"),
        agn__cli_whole("threads", "N", &job->threads, 0, 1024, AGN_CLI_HELP_THREADS),
        agn__cli_flag("json", &job->json, "print the outcome as one JSON object"),
    };
    const struct agn_cli_command command = {
        .name = "fit",
        .usage = "--preset BASE|--data DIR --board B --radio R [options]",
        .description = description,
        .example = example,
        .options = options,
        .option_count = AGN_COUNT_OF(options),
    };
    return agn__cli_parse(&command, argc, argv);
}

int agn__cmd_fit(int argc, char **argv)
{
    static struct job job; /* presets are large */
    job = (struct job){.minutes = 10.0, .out = "out/fit", .protocol = 1};
    int code = parse(&job, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (job.preset == NULL && job.data == NULL)
        return agn__cli_usage_error("fit", "--preset BASE or --data DIR is missing");
    code = run(&job);
    agn_fit_report_free(job.outcome.report);
    agn_dataset_free(job.train);
    agn_dataset_free(job.validation);
    agn_dataset_free(job.test);
    return code;
}
