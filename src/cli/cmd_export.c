/* `agilenn export`: the int8 device model, and whether it fits. Quantising is src/deploy's work, and so are
 * the figures of each processor. */
#include <string.h>

#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "cli/cli.h"
#include "cli/export_decision.h"
#include "cli/in_memory.h"
#include "cli/options.h"
#include "cli/preset_options.h"
#include "cli/target_table.h"

struct export_options {
    const char *output, *data, *codec, *preset, *c_source, *prefix;
    const char *target_name, *optimise_name, *ram, *flash;
    const struct agn_target *target; /* NULL: all are shown, the limits are the default's */
    enum agn_optimise optimise;
    uint32_t ram_bytes, flash_bytes; /* 0: no limit */
    struct agn_cli_list assignments;
    int images;
    struct agn__export_wish wish;
    bool json;
    struct agn_cli_list model;
};

#define DEFAULT_TARGET "cortex-m7"

enum { TARGET_OPTIONS = 4 };

static void fill_target_options(struct export_options *o, struct agn_cli_option *to)
{
    static const char *const optimisations[] = {"speed", "size", NULL};
    const struct agn_cli_option options[TARGET_OPTIONS] = {
        agn__cli_text("target", "NAME", &o->target_name,
                      "processor whose RAM, stack and flash are shown and held to --ram and --flash; all are "
                      "shown, and a " DEFAULT_TARGET " is held to them, if not given"),
        agn__cli_text("ram", "BYTES", &o->ram,
                      "refuse a model that takes more RAM, packet buffer and stack included: 24576 or 24K"),
        agn__cli_text("flash", "BYTES", &o->flash,
                      "refuse a model that takes more flash together with the runtime's code"),
        {.name = "optimise",
         .metavar = "FOR",
         .type = AGN_CLI_STRING,
         .string = &o->optimise_name,
         .choices = optimisations,
         .help = "how the firmware is compiled: speed is -O2, size is -Os"}};
    memcpy(to, options, sizeof options);
}

static int parse(struct export_options *o, int argc, char **argv)
{
    const char *codecs[AGN_CODEC_COUNT + 1] = {NULL};
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++)
        codecs[codec] = agn_codec_name(codec);
    const struct agn_cli_option own[] = {
        agn__cli_text("output", "FILE", &o->output, "the device model to write"),
        {.name = "c-source",
         .metavar = "DIR",
         .type = AGN_CLI_STRING,
         .string = &o->c_source,
         .help =
             "also write model, runtime and link to the server as C sources, with examples and build files, "
             "for a firmware project"},
        agn__cli_text(
            "prefix", "NAME", &o->prefix,
            "with --c-source, what the model's names begin with instead of agn, so that two models fit "
            "into one program: a C identifier"),
        agn__cli_text("data", "DIR", &o->data,
                      "folder of the data set to calibrate on, instead of the model's own"),
        agn__cli_whole("images", "N", &o->images, 1, 1000000, "training images to calibrate on"),
        agn__cli_real(
            "confidence", "SHARE", &o->wish.confidence, 0.0, 1.0,
            "leave frames unsent of which the device is sure: those whose local prediction is right in "
            "such a share of the validation images (data.validation; of the training images where there are "
            "none), as 0.99; 0 = all are sent"),
        agn__cli_real(
            "sent", "SHARE", &o->wish.target.sent, 0.0, 1.0,
            "send such a share of the frames, those for which an answer is likely to help, as learned on "
            "the same images, class by class; 0 = all are sent"),
        agn__cli_real("may-lose", "SHARE", &o->wish.target.may_lose, 0.0, 1.0,
                      "likewise, as few as cost no more accuracy than that, as 0.003"),
        agn__cli_real("reach", "SHARE", &o->wish.target.reach, 0.0, 1.0,
                      "likewise, as few as reach such an accuracy on these images, as 0.92"),
        agn__cli_text("preset", "NAME", &o->preset,
                      "instead of a trained model: this preset's extractor and Local NN with random weights, "
                      "calibrated on random images, to learn RAM, flash and time before training"),
        agn__cli_list("set", "SECTION.KEY=VALUE", &o->assignments, "with --preset, " AGN_CLI_HELP_SET),
        {.name = "codec",
         .metavar = "NAME",
         .type = AGN_CLI_STRING,
         .string = &o->codec,
         .choices = codecs,
         .help = "preferred codec of the packets; the model's own if not given"},
        agn__cli_flag("json", &o->json, "print the figures as one JSON object")};
    struct agn_cli_option options[AGN_COUNT_OF(own) + TARGET_OPTIONS];
    memcpy(options, own, sizeof own);
    fill_target_options(o, options + AGN_COUNT_OF(own));
    const struct agn_cli_command command = {
        .name = "export",
        .usage = "[options] MODEL.safetensors | --preset NAME [options]",
        .description =
            "Quantises extractor and Local NN of a trained model to int8 and writes model.agn, which the "
            "device runs from flash. Lists RAM, stack and flash for each processor, and refuses a model "
            "that takes more than there is. `agilenn info model.agn` shows RAM and flash by layer.",
        .example = "  agilenn export out/fashion/model.safetensors --output out/fashion/model.agn\n"
                   "  agilenn export --preset cifar10-paper --target cortex-m0plus --ram 16K --flash 32K",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &o->model,
        .min_operands = 0,
        .max_operands = 1,
        .operand_name = "MODEL.safetensors"};
    return agn__cli_parse(&command, argc, argv);
}

static const struct agn_target *checked_target(const struct export_options *o)
{
    return o->target != NULL ? o->target : agn_target_find(DEFAULT_TARGET);
}

/* Arena and struct agn_dev, as they are on the device. */
static uint32_t library_ram(const struct export_options *o, const struct agn_dev_model *model)
{
    struct agn_target_needs needs;
    agn_target_needs(checked_target(o), o->optimise, model, &needs);
    return needs.arena_bytes + needs.state_bytes;
}

static int print_json(const struct export_options *o, const struct agn_dev_model *model,
                      const struct agn_dev_memory *memory, const struct agn_quantisation_report *report,
                      const struct agn__export_decision *decision)
{
    char id[16];
    snprintf(id, sizeof(id), "%08x", (unsigned)model->model_id);
    json_t *layers = json_array();
    for (int i = 0; i < report->layer_count; i++) {
        json_array_append_new(layers, json_pack("{s:f, s:f, s:f, s:f}", "low", report->layers[i].low, "high",
                                                report->layers[i].high, "scale", report->layers[i].scale,
                                                "weight_sqnr_db", report->layers[i].weight_sqnr_db));
    }
    json_t *object = json_pack(
        "{s:o, s:s, s:i, s:i, s:i, s:i, s:o, s:o}", "file", agn__cli_json_string(o->output), "model_id", id,
        "flash_bytes", (int)memory->flash_bytes, "ram_bytes", (int)library_ram(o, model), "raw_bytes",
        (int)memory->raw_bytes, "calibration_images", report->calibration_images, "layers", layers, "targets",
        agn__cli_json_targets(model, o->target, o->optimise));
    if (object != NULL)
        agn__export_decision_json(&o->wish, decision, object);
    return agn__cli_print_json("export", object);
}

static const char *kind_name(int kind)
{
    return kind == AGN_LAYER_CONV ? "conv" : kind == AGN_LAYER_DWCONV ? "dwconv" : "add";
}

static int print_text(const struct export_options *o, const struct agn_dev_model *model,
                      const struct agn_dev_memory *memory, const struct agn_quantisation_report *report,
                      const struct agn__export_decision *decision)
{
    printf("%s: model %08x, %u bytes of flash, %u bytes of RAM (packet buffer and stack not counted)\n\n",
           o->output, (unsigned)model->model_id, (unsigned)memory->flash_bytes,
           (unsigned)library_ram(o, model));
    printf("%-6s %-8s %-14s %-14s %9s %9s %8s %10s %9s\n", "layer", "kind", "input", "output", "MACs",
           "flash B", "RAM B", "step", "SQNR dB");
    for (int i = 0; i < report->layer_count; i++) {
        struct agn_dev_layer_info info;
        char in[32], out[32];
        agn_dev_layer_info(model, (unsigned)i, &info);
        snprintf(in, sizeof(in), "%ux%ux%u", info.shape.in_h, info.shape.in_w, info.shape.in_c);
        snprintf(out, sizeof(out), "%ux%ux%u", info.shape.out_h, info.shape.out_w, info.shape.out_c);
        printf("%-6d %-8s %-14s %-14s %9llu %9u %8u %10.6f %9.1f\n", i + 1, kind_name(info.shape.kind), in,
               out, (unsigned long long)info.macs, (unsigned)(info.weight_bytes + info.channel_bytes),
               (unsigned)info.line_bytes, report->layers[i].scale, report->layers[i].weight_sqnr_db);
    }
    printf("%-6s %-8s %-14s %-14d %9u %9u %8u\n", "local", "dense", "pooled", model->classes,
           (unsigned)memory->dense_macs, (unsigned)(memory->dense_weight_bytes + memory->dense_channel_bytes),
           (unsigned)memory->pool_bytes);
    agn__export_decision_print(&o->wish, decision);
    agn__cli_print_targets(model, o->target, o->optimise);
    return AGN_CLI_SUCCESS;
}

static int write_c_source(const struct export_options *o, const struct agn_model *model, const uint8_t *bytes,
                          size_t size)
{
    struct agn_c_source_report report;
    const struct agn_c_source source = {.folder = o->c_source,
                                        .prefix = o->prefix,
                                        .bytes = bytes,
                                        .size_bytes = size,
                                        .class_names = (const char *const *)model->class_names};
    int status = agn_deploy_c_source(&source, &report);
    if (status >= 0 && (report.replaced > 0 || report.removed > 0))
        fprintf(stderr, "%s: an earlier export was there: %d files replaced, %d removed\n", o->c_source,
                report.replaced, report.removed);
    if (status >= 0 && report.strangers > 0)
        fprintf(
            stderr,
            "%s: %d C files there are not of this export, but build systems will take them (%s): remove what "
            "is of an earlier one\n",
            o->c_source, report.strangers, report.stranger);
    return status;
}

static int export_model(const struct export_options *o, struct agn_model *model, struct agn_dataset *data)
{
    struct agn_quantisation_report report;
    struct agn__export_decision decision = {0};
    struct agn_dev_model opened;
    struct agn_dev_memory memory;
    uint8_t *bytes = NULL;
    size_t size = 0;
    int status = agn_deploy_device(model, data, o->images, &bytes, &size, &report);
    if (status >= 0)
        status = agn__export_decide(model, &o->wish, &bytes, &size, &decision);
    if (status >= 0)
        status = agn_hosted_check(o->output, bytes, size, &opened);
    if (status >= 0)
        status = agn_target_check(checked_target(o), o->optimise, &opened, o->ram_bytes, o->flash_bytes);
    if (status >= 0)
        status = agn_file_write(o->output, bytes, size);
    if (status >= 0 && o->c_source != NULL)
        status = write_c_source(o, model, bytes, size);
    int code = AGN_CLI_FAILURE;
    if (status < 0) {
        code = agn__cli_fail("export", status);
    } else {
        agn_dev_memory(&opened, &memory);
        code = o->json ? print_json(o, &opened, &memory, &report, &decision)
                       : print_text(o, &opened, &memory, &report, &decision);
    }
    agn_free(bytes);
    return code;
}

static int export_untrained(const struct export_options *o)
{
    enum { IMAGES = 16 };
    struct agn_preset preset;
    struct agn_model *model = NULL;
    struct agn_dataset data = {0};
    int status = agn__cli_load_preset(o->preset, &o->assignments, &preset);
    if (status >= 0 && o->codec != NULL)
        preset.model.codec = agn_codec_from_name(o->codec);
    if (status >= 0)
        status = agn_model_create(&preset, NULL, &model);
    if (status >= 0)
        status = agn__cli_random_images(&preset, IMAGES, &data);
    if (status >= 0)
        data.class_names = model->class_names;
    int code = status < 0 ? agn__cli_fail("export", status) : export_model(o, model, &data);
    agn_free(data.pixels);
    agn_free(data.labels);
    agn_model_free(model);
    return code;
}

static int export_trained(const struct export_options *o)
{
    struct agn_model *model = NULL;
    struct agn_dataset *data = NULL;
    int status = agn_model_load(o->model.items[0], &model);
    if (status == AGN_OK && o->codec != NULL && model->preset.model.codec == AGN_CODEC_JPEG)
        status =
            agn_fail(AGN_ERR_ARG,
                     "--codec %s: the model has learned from images that went through JPEG, and its server "
                     "expects these: leave the option out",
                     o->codec);
    if (status == AGN_OK && o->codec != NULL)
        model->preset.model.codec = agn_codec_from_name(o->codec);
    if (status == AGN_OK)
        status = agn__cli_replace_data(&model->preset, o->data);
    if (status == AGN_OK)
        status = agn__cli_open_dataset(&model->preset, "train", o->images, &data);
    int code = status < 0 ? agn__cli_fail("export", status) : export_model(o, model, data);
    agn_dataset_free(data);
    agn_model_free(model);
    return code;
}

/* What of the options is about targets, from their words; an exit code, or AGN_CLI_GO_ON. */
static int read_target_options(struct export_options *o)
{
    const struct {
        const char *name, *text;
        uint32_t *bytes;
    } limits[] = {{"ram", o->ram, &o->ram_bytes}, {"flash", o->flash, &o->flash_bytes}};
    for (size_t i = 0; i < AGN_COUNT_OF(limits); i++)
        if (limits[i].text != NULL && !agn__cli_parse_bytes(limits[i].text, limits[i].bytes))
            return agn__cli_usage_error("export", "--%s %s: expected bytes, such as 24576, 24K or 1M",
                                        limits[i].name, limits[i].text);
    o->optimise = strcmp(o->optimise_name, "size") == 0 ? AGN_OPTIMISE_SIZE : AGN_OPTIMISE_SPEED;
    if (o->target_name == NULL)
        return AGN_CLI_GO_ON;
    o->target = agn_target_find(o->target_name);
    if (o->target != NULL)
        return AGN_CLI_GO_ON;
    char names[256] = "";
    int count = 0;
    const struct agn_target *targets = agn_targets(&count);
    for (int i = 0; i < count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", targets[i].name);
    }
    return agn__cli_usage_error("export", "--target %s: there are: %s", o->target_name, names);
}

int agn__cmd_export(int argc, char **argv)
{
    struct export_options o = {.output = "model.agn", .images = 1024, .optimise_name = "speed"};
    int code = parse(&o, argc, argv);
    if (code == AGN_CLI_GO_ON)
        code = read_target_options(&o);
    if (code != AGN_CLI_GO_ON)
        return code;
    if ((o.preset != NULL) == (o.model.count > 0))
        return agn__cli_usage_error("export", "give either MODEL.safetensors or --preset NAME");
    if (o.preset == NULL && o.assignments.count > 0)
        return agn__cli_usage_error("export", "--set goes with --preset");
    if (o.prefix != NULL && o.c_source == NULL)
        return agn__cli_usage_error("export", "--prefix goes with --c-source DIR");
    int wishes = (o.wish.confidence > 0.0) + (o.wish.target.sent > 0.0) + (o.wish.target.may_lose > 0.0) +
                 (o.wish.target.reach > 0.0);
    if (o.preset != NULL && wishes > 0)
        return agn__cli_usage_error("export",
                                    "--confidence, --sent, --may-lose and --reach need a trained model");
    if (wishes > 1)
        return agn__cli_usage_error("export", "give one of --confidence, --sent, --may-lose and --reach");
    return o.preset != NULL ? export_untrained(&o) : export_trained(&o);
}
