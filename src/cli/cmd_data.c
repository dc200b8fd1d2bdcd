/* `agilenn data`: what a data set holds. Reading it is src/data's work; `check` and `fetch` have files of
 * their own. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/sets.h"
#include "cli/preset_options.h"

enum { MAX_SIDE = 4096 };

struct summary {
    const struct agn_dataset_source *source;
    const struct agn_dataset *dataset;
    int *class_counts; /* dataset->classes */
    double mean[AGN_MAX_CHANNELS], std[AGN_MAX_CHANNELS];
    size_t memory_bytes;
};

/* "32x32x3" into height, width, channels. */
static int parse_size(const char *text, struct agn_dataset_source *source)
{
    int sides[3];
    const char *rest = text;
    for (int i = 0; i < 3; i++) {
        char *end = NULL;
        long side = isdigit((unsigned char)*rest) ? strtol(rest, &end, 10) : 0;
        if (side < 1 || side > (i < 2 ? MAX_SIDE : AGN_MAX_CHANNELS) || *end != (i < 2 ? 'x' : '\0'))
            return agn__cli_usage_error("data", "--size %s: expected HEIGHTxWIDTHxCHANNELS, as in 32x32x3",
                                        text);
        sides[i] = (int)side;
        rest = end + 1;
    }
    source->height = sides[0];
    source->width = sides[1];
    source->channels = sides[2];
    return AGN_CLI_GO_ON;
}

static int summarise(const struct agn_dataset *dataset, struct summary *summary)
{
    summary->class_counts = agn_alloc((size_t)dataset->classes, sizeof *summary->class_counts);
    if (!summary->class_counts)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < dataset->count; i++) {
        if (dataset->labels[i] >= dataset->classes)
            return agn_fail(AGN_ERR_FORMAT, "image %d has label %d, expected less than %d", i,
                            dataset->labels[i], dataset->classes);
        summary->class_counts[dataset->labels[i]]++;
    }
    agn_dataset_statistics(dataset, summary->mean, summary->std);
    size_t pixels = (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
    summary->memory_bytes = (size_t)dataset->count * (pixels + sizeof *dataset->labels);
    summary->dataset = dataset;
    return AGN_OK;
}

static void print_channels(FILE *text, const char *name, const double *values, int channels)
{
    fprintf(text, "%-9s", name);
    for (int channel = 0; channel < channels; channel++)
        fprintf(text, " %9.3f", values[channel]);
    fprintf(text, "\n");
}

static int print_text(const struct summary *summary)
{
    const struct agn_dataset *dataset = summary->dataset;
    FILE *text = agn__cli_text_stream(false);
    fprintf(text, "data set  %s (%s, %s)\n", summary->source->path, summary->source->format,
            summary->source->split);
    fprintf(text, "images    %d of %dx%dx%d (height x width x channels), %.1f MiB in memory\n",
            dataset->count, dataset->height, dataset->width, dataset->channels,
            (double)summary->memory_bytes / 1048576.0);
    print_channels(text, "mean", summary->mean, dataset->channels);
    print_channels(text, "std", summary->std, dataset->channels);
    fprintf(text, "classes   %d\n", dataset->classes);
    for (int label = 0; label < dataset->classes; label++)
        fprintf(text, "  %8d  %s\n", summary->class_counts[label], dataset->class_names[label]);
    return AGN_CLI_SUCCESS;
}

/* NULL when memory runs out, as with all of jansson's constructors. */
static json_t *json_from_channels(const double *values, int channels)
{
    json_t *array = json_array();
    for (int channel = 0; channel < channels; channel++)
        if (json_array_append_new(array, json_real(values[channel]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *json_from_classes(const struct summary *summary)
{
    json_t *array = json_array();
    for (int label = 0; label < summary->dataset->classes; label++) {
        json_t *name = agn__cli_json_string(summary->dataset->class_names[label]);
        json_t *row = json_pack("{s:o, s:i}", "name", name, "images", summary->class_counts[label]);
        if (json_array_append_new(array, row)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static int print_json(const struct summary *summary)
{
    const struct agn_dataset *dataset = summary->dataset;
    json_t *object = json_pack("{s:s, s:o, s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:I, s:o}", "format",
                               summary->source->format, "path", agn__cli_json_string(summary->source->path),
                               "split", summary->source->split, "images", dataset->count, "height",
                               dataset->height, "width", dataset->width, "channels", dataset->channels,
                               "mean", json_from_channels(summary->mean, dataset->channels), "std",
                               json_from_channels(summary->std, dataset->channels), "memory_bytes",
                               (json_int_t)summary->memory_bytes, "classes", json_from_classes(summary));
    return agn__cli_print_json("data", object);
}

/* What the preset says, where the command line does not say otherwise. */
static int take_preset(const char *name, const struct agn_cli_list *assignments, struct agn_preset *preset,
                       struct agn_dataset_source *source)
{
    int status = agn__cli_load_preset(name, assignments, preset);
    if (status < 0)
        return agn__cli_fail("data", status);
    const char *format = source->format, *path = source->path;
    *source = agn_preset_source(preset, source->split, source->limit);
    source->format = format ? format : source->format;
    if (path || preset->data.path[0] == '\0')
        source->path = path;
    return AGN_CLI_GO_ON;
}

/* What neither the command line nor a preset has said. */
static int complete(struct agn_dataset_source *source, const char *preset, const char *size)
{
    if (!source->path)
        return agn__cli_usage_error("data", "--path DIR is missing; it may also come from --preset NAME");
    source->format = source->format ? source->format : "idx";
    source->limit = source->limit < 0 ? 0 : source->limit;
    if (!size && !preset &&
        agn_dataset_format_size(source->format, &source->height, &source->width, &source->channels))
        return AGN_CLI_GO_ON;
    if (!size && !preset && strcmp(source->format, "folder") == 0)
        return agn__cli_usage_error("data",
                                    "--size HxWxC is missing: images of class folders are resized to it");
    return size || !preset ? parse_size(size ? size : "28x28x1", source) : AGN_CLI_GO_ON;
}

/* The source points into `preset`. */
static int settle(const char *preset_name, const struct agn_cli_list *assignments, const char *size,
                  struct agn_preset *preset, struct agn_dataset_source *source)
{
    const char *path = source->path;
    int code = preset_name ? take_preset(preset_name, assignments, preset, source) : AGN_CLI_GO_ON;
    if (code == AGN_CLI_GO_ON && path) {
        int status = agn_path_expand(path, preset->data.path, sizeof preset->data.path);
        if (status < 0)
            return agn__cli_fail("data", status);
        source->path = preset->data.path;
    }
    return code == AGN_CLI_GO_ON ? complete(source, preset_name, size) : code;
}

static int report(const struct agn_dataset_source *source, bool json)
{
    struct agn_dataset *dataset = NULL;
    struct summary summary = {.source = source};
    int status = agn_dataset_open(source, &dataset);
    if (status >= 0)
        status = summarise(dataset, &summary);
    int code;
    if (status < 0)
        code = agn__cli_fail("data", status);
    else
        code = json ? print_json(&summary) : print_text(&summary);
    agn_free(summary.class_counts);
    agn_dataset_free(dataset);
    return code;
}

static int run_report(int argc, char **argv)
{
    static const char *const splits[] = {"train", "test", "validation", NULL};
    struct agn_dataset_source source = {.split = "train", .limit = -1};
    struct agn_preset preset;
    struct agn_cli_list assignments = {.count = 0};
    const char *size = NULL, *preset_name = NULL;
    bool json = false;
    const struct agn_cli_option options[] = {
        agn__cli_text("preset", "NAME", &preset_name,
                      "take format, path, size and limit from a preset where they are not given here"),
        agn__cli_list("set", "SECTION.KEY=VALUE", &assignments, AGN_CLI_HELP_SET),
        {.name = "format",
         .metavar = "NAME",
         .help = "idx: files like train-images-idx3-ubyte.gz; folder: PATH/SPLIT/CLASS/*.jpg (*.png, ...); "
                 "the others of docs/DATA.md: as published; without a preset: idx",
         .type = AGN_CLI_STRING,
         .string = &source.format,
         .choices = agn_dataset_formats},
        agn__cli_text("path", "DIR", &source.path, "the folder that holds the data set"),
        agn__cli_text("size", "HxWxC", &size,
                      "height, width and channels to read to; needed for folder, otherwise the images' own "
                      "(32x32x3, 64x64x3; idx: 28x28x1, and only its own)"),
        {.name = "split",
         .metavar = "NAME",
         .help = "train, test or validation",
         .type = AGN_CLI_STRING,
         .string = &source.split,
         .choices = splits},
        agn__cli_whole(
            "limit", "N", &source.limit, -1, 1000000000,
            "look at N images spread evenly over the set; 0 = all, -1 = as the preset says, or all"),
        agn__cli_flag("json", &json, "print one JSON object"),
    };
    const struct agn_cli_command command = {
        .name = "data",
        .usage = "--path DIR | --preset NAME | check DIR | fetch NAME",
        .description =
            "Reads a data set whole, as training would, and says what it holds: images, classes, images "
            "per class, mean and standard deviation of each channel, memory.\n"
            "agilenn data check DIR looks for bad files in all splits; agilenn data fetch NAME downloads a "
            "data set. Each has a --help of its own.",
        .example = "  agilenn data --preset fashion\n"
                   "  agilenn data --path /usr/share/datasets/fashion-mnist --split test\n"
                   "  agilenn data --format folder --path cifar10-jpeg --size 32x32x3 --json\n"
                   "  agilenn data fetch cifar10 --out sets\n"
                   "  agilenn data check sets/cifar-10-batches-bin",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
    };
    int code = agn__cli_parse(&command, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (assignments.count > 0 && !preset_name)
        return agn__cli_usage_error("data", "--set goes with --preset NAME only");
    code = settle(preset_name, &assignments, size, &preset, &source);
    return code == AGN_CLI_GO_ON ? report(&source, json) : code;
}

int agn__cmd_data(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return agn__cmd_data_check(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "fetch") == 0)
        return agn__cmd_data_fetch(argc - 1, argv + 1);
    return run_report(argc, argv);
}
