/* `agilenn demo`: everything, from images to fused predictions and a dead server. The work is in src/eval. */
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/demo.h"
#include "cli/options.h"
#include "cli/preset_options.h"

struct demo_options {
    const char *preset, *folder, *data;
    int images, kill_images, deadline_ms, threads;
    bool json;
    struct agn_cli_list set;
};

static int parse(struct demo_options *o, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        agn__cli_text("preset", "NAME", &o->preset, "data set, networks and training"),
        agn__cli_list("set", "SECTION.KEY=VALUE", &o->set, "override a value of the preset"),
        agn__cli_text("data", "DIR", &o->data, "folder of the data set, instead of the preset's"),
        agn__cli_text("out", "DIR", &o->folder, "folder for models, plots, report.md and summary.json"),
        agn__cli_whole("images", "N", &o->images, 0, 10000000,
                       "test images through device, socket and server; 0 = all"),
        agn__cli_whole("kill-images", "N", &o->kill_images, 2, 10000000,
                       "images of the run in which the server is killed half-way"),
        agn__cli_whole("deadline", "MS", &o->deadline_ms, 1, 60000,
                       "the device waits so long for the server"),
        agn__cli_whole("threads", "N", &o->threads, 0, 1024, "threads of training; 0 = all cores"),
        agn__cli_flag("json", &o->json, "print summary.json to stdout at the end")};
    const struct agn_cli_command command = {
        .name = "demo",
        .usage = "[options]",
        .description =
            "Trains reference, extractor, Local NN and Remote NN on real images, exports the int8 device "
            "model, starts a CoAP server, classifies test images on the emulated device through a real "
            "socket, then again with the server killed half-way. Writes models, plots, report.md and "
            "summary.json.",
        .example = "agilenn demo\nagilenn demo --set joint.epochs=1 --images 1000 --out out/quick",
        .options = options,
        .option_count = AGN_COUNT_OF(options)};
    return agn__cli_parse(&command, argc, argv);
}

static int print_summary(const char *folder)
{
    char path[1100];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/summary.json", folder);
    json_t *summary = json_load_file(path, 0, &error);
    return agn__cli_print_json("demo", summary);
}

int agn__cmd_demo(int argc, char **argv)
{
    struct demo_options o = {
        .preset = "fashion", .folder = "out/demo", .kill_images = 2000, .deadline_ms = 200};
    int code = parse(&o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    char program[1024];
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    program[length > 0 ? length : 0] = '\0';
    struct agn__demo_config config = {.folder = o.folder,
                                      .program = program,
                                      .images = o.images,
                                      .kill_images = o.kill_images,
                                      .deadline_ms = (uint32_t)o.deadline_ms,
                                      .text = agn__cli_text_stream(o.json)};
    agn_nn_set_threads(o.threads);
    int status = agn__cli_load_preset(o.preset, &o.set, &config.preset);
    if (status == AGN_OK)
        status = agn__cli_replace_data(&config.preset, o.data);
    if (status == AGN_OK)
        status = agn__demo_run(&config);
    if (status < 0)
        return agn__cli_fail("demo", status);
    return o.json ? print_summary(o.folder) : AGN_CLI_SUCCESS;
}
