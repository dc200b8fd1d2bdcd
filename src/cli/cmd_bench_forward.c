/* `agilenn bench forward`: how fast this machine runs the server's network. Measuring is src/train's work. */
#include <string.h>

#include "agilenn/bench_forward.h"
#include "agn_build.h"
#include "cli/bench.h"
#include "cli/beside.h"
#include "cli/preset_options.h"
#include "cli/together.h"

struct forward_options {
    const char *preset, *engine;
    struct agn_bench_forward_config config;
    int beside;
    bool json;
    struct agn_cli_list what, set;
};

static const char *const engines[] = {"best", "onednn", "xnnpack",
                                      NULL}; /* as enum agn_inference_engine has them */

static int parse(struct forward_options *o, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        agn__cli_text("preset", "NAME", &o->preset, AGN_CLI_HELP_PRESET),
        agn__cli_list("set", "SECTION.KEY=VALUE", &o->set, AGN_CLI_HELP_SET),
        agn__cli_whole("batch", "B", &o->config.batch, 1, 4096, "frames a call"),
        agn__cli_whole("repeats", "N", &o->config.repeats, 1, 1000000, "timed calls, after some not counted"),
        agn__cli_flag("int8", &o->config.int8, "in 8-bit integers, as `agilenn serve --int8`"),
        {.name = "engine",
         .metavar = "NAME",
         .type = AGN_CLI_STRING,
         .string = &o->engine,
         .choices = engines,
         .help = "best, onednn or xnnpack: the library that computes; best is what the server takes"},
        agn__cli_whole("threads", "N", &o->config.threads, 0, 256, AGN_CLI_HELP_THREADS),
        AGN_CLI_BESIDE(&o->beside),
        agn__cli_flag("json", &o->json, "print one JSON object")};
    const struct agn_cli_command command = {
        .name = "bench forward",
        .usage = "[options]",
        .description = "Times the forward pass of a preset's Remote NN as the server runs it, on "
                       "made-up features at its initial weights. No data set is needed.",
        .example = "  agilenn bench forward --preset cifar10-paper --batch 32\n"
                   "  agilenn bench forward --preset fashion --batch 1 --int8 --json",
        .options = options,
        .option_count = AGN_COUNT_OF(options)};
    return agn__cli_parse(&command, argc, argv);
}

static json_t *json_from_layers(const struct agn_bench_forward *r)
{
    json_t *layers = json_array();
    for (int i = 0; i < r->layer_count; i++) {
        const struct agn_bench_layer *l = &r->layers[i];
        json_array_append_new(layers,
                              json_pack("{s:s, s:s, s:s, s:f, s:b, s:b, s:b}", "name", l->name, "code",
                                        l->code, "after", l->rest, "macs", l->macs, "gathered", l->gathered,
                                        "int8", l->int8, "reference", l->reference));
    }
    return layers;
}

static int print_json(const struct forward_options *o, const struct agn_bench_forward *r)
{
    json_t *object =
        json_pack("{s:o, s:i, s:i, s:i, s:i, s:o, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
                  "s:f, s:s, s:s, "
                  "s:s}",
                  "preset", agn__cli_json_string(o->preset), "batch", r->batch, "repeats", r->repeats,
                  "threads", r->threads, "beside", o->beside, "layers", json_from_layers(r),
                  "reference_layers", r->reference_layers, "compute", r->int8 ? "int8" : "f32", "int8_share",
                  r->int8_share, "images_per_s", r->images_per_s_median, "images_per_s_mean",
                  r->images_per_s_mean, "images_per_s_window_min", r->images_per_s_window, "images_per_s_min",
                  r->images_per_s_min, "images_per_s_max", r->images_per_s_max, "mflop_per_image",
                  r->flop / 1e6, "gflops", r->gflops, "create_s", r->create_s, "memory_mib", r->memory_mib,
                  "machine", agn_nn_machine(), "compiler", __VERSION__, "commit", AGN_COMMIT);
    return agn__cli_print_json("bench forward", object);
}

static int print_text(const struct forward_options *o, const struct agn_bench_forward *r)
{
    printf("forward pass of the Remote NN, preset %s, %s, batch %d, %d threads, %d calls\n\n", o->preset,
           r->int8 ? "int8" : "f32", r->batch, r->threads, r->repeats);
    printf("images/s        %.1f (min %.1f, max %.1f; %.1f over all calls, %.1f in the slowest 0.1 s)\n",
           r->images_per_s_median, r->images_per_s_min, r->images_per_s_max, r->images_per_s_mean,
           r->images_per_s_window);
    printf("a call          %.3f ms\n", 1e3 * r->batch / r->images_per_s_median);
    printf("speed           %.1f G%s/s, %.1f M%s an image\n", r->gflops, r->int8 ? "OP" : "FLOP",
           r->flop / 1e6, r->int8 ? "OP" : "FLOP");
    if (r->int8)
        printf("in 8 bits       %.1f %% of the work\n", 100.0 * r->int8_share);
    printf("memory          %.1f MiB of weights and activations, made in %.0f ms\n", r->memory_mib,
           1e3 * r->create_s);
    printf("machine         %s; compiler %s; commit %s\n", agn_nn_machine(), __VERSION__, AGN_COMMIT);
    printf("\n%-36s %10s  code\n", "layer", "MACs");
    for (int i = 0; i < r->layer_count; i++) {
        const struct agn_bench_layer *l = &r->layers[i];
        printf("%-36s %10.0f  %s%s%s%s%s\n", l->name, l->macs, l->code, l->gathered ? ", gathered" : "",
               l->int8 ? ", 8 bits" : "", l->rest[0] != '\0' ? ", then " : "", l->rest);
    }
    if (r->reference_layers > 0)
        printf("\n%d layers run in reference code: this oneDNN has none for this CPU\n", r->reference_layers);
    return AGN_CLI_SUCCESS;
}

int agn__cmd_bench_forward(int argc, char **argv)
{
    struct forward_options o = {
        .preset = "fashion", .engine = "best", .config = {.batch = 32, .repeats = 50}};
    struct agn_preset preset;
    static struct agn_bench_forward result; /* its layers are much for a stack */
    int code = parse(&o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    while (strcmp(o.engine, engines[o.config.engine]) != 0)
        o.config.engine++;
    agn__cli_set_threads(o.config.threads);
    int status = agn__cli_load_preset(o.preset, &o.set, &preset);
    struct agn__beside beside = {.count = 0};
    if (status >= 0)
        status = agn__beside_start(&beside, o.beside);
    if (status >= 0)
        status = agn_bench_forward(&preset, &o.config, &result);
    agn__beside_stop(&beside);
    if (status < 0)
        return agn__cli_fail("bench forward", status);
    return o.json ? print_json(&o, &result) : print_text(&o, &result);
}
