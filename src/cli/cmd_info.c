/* `agilenn info`: what a file or a preset is, by its content. The tables are in info_model.c,
 * info_tensors.c and info_device.c. */
#include <string.h>

#include "cli/info.h"
#include "cli/preset_options.h"

enum { MAX_DEVICE_BYTES = 16 << 20, HEAD_BYTES = 9 };

struct job {
    struct agn_cli_list files, assignments;
    const char *preset;
    bool keys, code, json;
};

enum file_kind { UNKNOWN_FILE, DEVICE_FILE, TENSOR_FILE };

/* model.agn begins with its magic; safetensors with 8 bytes of header length and then JSON. */
static int find_kind(const char *path, enum file_kind *kind)
{
    uint8_t head[HEAD_BYTES] = {0};
    FILE *file = agn_file_exists(path) ? fopen(path, "rb") : NULL;
    if (!file)
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "cannot open %s: give a model.agn, a model.safetensors, or --preset NAME", path);
    size_t got = fread(head, 1, sizeof head, file);
    fclose(file);
    *kind = UNKNOWN_FILE;
    if (got >= 4 && memcmp(head, "AGN1", 4) == 0)
        *kind = DEVICE_FILE;
    else if (got == sizeof head && head[8] == '{')
        *kind = TENSOR_FILE;
    return AGN_OK;
}

static int show_device(const char *path, bool json)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    int status = agn_file_read(path, MAX_DEVICE_BYTES, &bytes, &size);
    int code = status < 0 ? agn__cli_fail("info", status) : agn__info_device(bytes, size, path, json);
    agn_free(bytes);
    return code;
}

/* Else a reference network, or tensors of elsewhere. */
static bool is_model(const struct agn_tensor_file *file)
{
    const char *format = agn_tensor_file_metadata(file, "format");
    return (format != NULL && strncmp(format, "agilenn-", 8) == 0) ||
           agn_tensor_file_metadata(file, "preset") != NULL;
}

static int show_tensor_file(const char *path, const struct job *job)
{
    struct agn_tensor_file file = {0};
    struct agn_model *model = NULL;
    int status = agn_tensor_file_read(path, &file);
    if (status < 0)
        return agn__cli_fail("info", status);
    if (!is_model(&file)) {
        int shown = agn__info_tensors(&file, path, job->json);
        agn_tensor_file_free(&file);
        return shown;
    }
    agn_tensor_file_free(&file);
    status = agn_model_load(path, &model);
    const struct agn__info_options options = {.trained = true, .code = job->code, .json = job->json};
    int code = status < 0 ? agn__cli_fail("info", status) : agn__info_model(model, path, &options);
    agn_model_free(model);
    return code;
}

static int show_file(const char *path, const struct job *job)
{
    enum file_kind kind = UNKNOWN_FILE;
    int status = find_kind(path, &kind);
    if (status >= 0 && kind == UNKNOWN_FILE)
        status =
            agn_fail(AGN_ERR_FORMAT,
                     "%s is no model: a model.agn begins with AGN1, a model.safetensors with a length and "
                     "JSON",
                     path);
    if (status < 0)
        return agn__cli_fail("info", status);
    return kind == DEVICE_FILE ? show_device(path, job->json) : show_tensor_file(path, job);
}

static int show_preset(const struct job *job)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    int status = agn__cli_load_preset(job->preset, &job->assignments, &preset);
    if (status >= 0)
        status = agn_model_create(&preset, NULL, &model);
    const struct agn__info_options options = {.code = job->code, .json = job->json};
    int code = status < 0 ? agn__cli_fail("info", status) : agn__info_model(model, job->preset, &options);
    agn_model_free(model);
    return code;
}

int agn__cmd_info(int argc, char **argv)
{
    struct job job = {0};
    const struct agn_cli_option options[] = {
        agn__cli_text("preset", "NAME", &job.preset, "show the networks of a preset instead of a file"),
        agn__cli_list("set", "SECTION.KEY=VALUE", &job.assignments, "change a value of the preset"),
        agn__cli_flag("preset-keys", &job.keys,
                      "list every key of a preset with its range, default and meaning"),
        agn__cli_flag("code", &job.code,
                      "of a model or preset: also what computes each layer of the Remote NN on this machine"),
        agn__cli_flag("json", &job.json, "print one JSON object"),
    };
    const struct agn_cli_command command = {
        .name = "info",
        .usage = "FILE | --preset NAME | --preset-keys [options]",
        .description = "Says what a file holds. A model.safetensors or a checkpoint: layers, shapes, "
                       "multiply-accumulates (MACs) and parameters of each network, quantiser, alpha, "
                       "normalisation. A reference.safetensors: its tensors. A model.agn: layers, shapes, "
                       "MACs, flash and RAM by layer, scales. The "
                       "content decides, not the name.",
        .example = "  agilenn info out/fashion/model.safetensors\n"
                   "  agilenn info out/fashion/model.agn --json\n"
                   "  agilenn info --preset fashion --set model.local_channels=8",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &job.files,
        .min_operands = 0,
        .max_operands = 1,
        .operand_name = "FILE",
    };
    int code = agn__cli_parse(&command, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (job.files.count + (job.preset != NULL) + job.keys != 1)
        return agn__cli_usage_error("info", "give one of: a FILE, --preset NAME, --preset-keys");
    if (job.assignments.count > 0 && !job.preset)
        return agn__cli_usage_error("info", "--set goes with --preset NAME only");
    if (job.keys && job.json)
        return agn__cli_usage_error("info", "--preset-keys has no --json form");
    if (job.keys) {
        agn_preset_print_keys(stdout);
        return AGN_CLI_SUCCESS;
    }
    return job.preset ? show_preset(&job) : show_file(job.files.items[0], &job);
}
