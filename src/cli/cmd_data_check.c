/* `agilenn data check`: looks at every file of a data set and says what is wrong. Reading is src/data's work.
 */
#include <string.h>

#include "agilenn/data.h"
#include "cli/cli.h"
#include "cli/options.h"

enum { SPLITS = 2, SHOWN_BAD = 50 };

static const char *const split_names[SPLITS] = {"train", "test"};

struct split_result {
    const char *error; /* NULL, or why there is no report */
    char message[1024];
    struct agn_dataset_report report;
    bool one_class;
};

struct check {
    struct agn_dataset_source source;
    struct split_result splits[SPLITS];
};

static bool split_good(const struct split_result *split)
{
    return !split->error && split->report.bad_count == 0 && split->report.count > 0 && !split->one_class;
}

/* An error only when the check itself cannot go on. */
static int check_split(struct check *check, int number)
{
    struct split_result *split = &check->splits[number];
    check->source.split = split_names[number];
    int status = agn_dataset_inspect(&check->source, &split->report);
    if (status == AGN_ERR_MEMORY || status == AGN_ERR_INTERRUPTED)
        return status;
    if (status < 0) {
        (void)snprintf(split->message, sizeof split->message, "%s", agn_error_message());
        split->error = split->message;
        return AGN_OK;
    }
    int used = 0;
    for (int i = 0; i < split->report.classes; i++)
        used += split->report.class_counts[i] > 0;
    split->one_class = split->report.count > 0 && used < 2;
    return AGN_OK;
}

/* ---- text ---- */

static void print_sizes(FILE *text, const struct agn_dataset_report *report)
{
    for (int i = 0; i < report->size_count; i++)
        fprintf(text, "%s %d of %dx%d", i ? "," : "", report->sizes[i].count, report->sizes[i].height,
                report->sizes[i].width);
    if (report->other_sizes > 0)
        fprintf(text, ", %d of other sizes", report->other_sizes);
    fprintf(text, " (height x width), %d channel%s%s\n", report->channels, report->channels == 1 ? "" : "s",
            report->size_count > 1 ? "; mixed sizes are resized when read" : "");
}

static void print_channels(FILE *text, const char *name, const double *values, int channels)
{
    fprintf(text, "  %-8s", name);
    for (int channel = 0; channel < channels; channel++)
        fprintf(text, " %9.3f", values[channel]);
    fprintf(text, "\n");
}

static void print_split(FILE *text, const char *name, const struct split_result *split)
{
    const struct agn_dataset_report *report = &split->report;
    fprintf(text, "%s\n", name);
    if (split->error) {
        fprintf(text, "  bad      %s\n", split->error);
        return;
    }
    fprintf(text, "  images   %d:", report->count);
    print_sizes(text, report);
    print_channels(text, "mean", report->mean, report->channels);
    print_channels(text, "std", report->std, report->channels);
    fprintf(text, "  classes  %d\n", report->classes);
    for (int label = 0; label < report->classes; label++)
        fprintf(text, "    %8d  %s\n", report->class_counts[label], report->class_names[label]);
    if (split->one_class)
        fprintf(text, "  bad      all images are of one class, expected two or more\n");
    fprintf(text, "  bad      %d\n", report->bad_count);
    int shown = report->bad_kept < SHOWN_BAD ? report->bad_kept : SHOWN_BAD;
    for (int i = 0; i < shown; i++)
        fprintf(text, "    %s\n", report->bad[i]);
    if (report->bad_count > shown)
        fprintf(text, "    ... and %d more%s\n", report->bad_count - shown,
                report->bad_kept > shown ? " (--json lists up to 1000)" : "");
}

/* ---- JSON; NULL when memory runs out, as with jansson's constructors ---- */

static json_t *json_from_channels(const double *values, int channels)
{
    json_t *array = json_array();
    for (int channel = 0; channel < channels; channel++)
        (void)json_array_append_new(array, json_real(values[channel]));
    return array;
}

static json_t *json_from_sizes(const struct agn_dataset_report *report)
{
    json_t *array = json_array();
    for (int i = 0; i < report->size_count; i++)
        (void)json_array_append_new(array,
                                    json_pack("{s:i, s:i, s:i}", "height", report->sizes[i].height, "width",
                                              report->sizes[i].width, "images", report->sizes[i].count));
    return array;
}

static json_t *json_from_classes(const struct agn_dataset_report *report)
{
    json_t *array = json_array();
    for (int label = 0; label < report->classes; label++)
        (void)json_array_append_new(array, json_pack("{s:o, s:i}", "name",
                                                     agn__cli_json_string(report->class_names[label]),
                                                     "images", report->class_counts[label]));
    return array;
}

static json_t *json_from_bad(const struct agn_dataset_report *report)
{
    json_t *array = json_array();
    for (int i = 0; i < report->bad_kept; i++)
        (void)json_array_append_new(array, agn__cli_json_string(report->bad[i]));
    return array;
}

static json_t *json_from_split(const char *name, const struct split_result *split)
{
    const struct agn_dataset_report *report = &split->report;
    if (split->error)
        return json_pack("{s:s, s:b, s:o}", "split", name, "good", 0, "error",
                         agn__cli_json_string(split->error));
    return json_pack("{s:s, s:b, s:i, s:i, s:o, s:o, s:o, s:i, s:o, s:b, s:i, s:o}", "split", name, "good",
                     split_good(split), "images", report->count, "channels", report->channels, "mean",
                     json_from_channels(report->mean, report->channels), "std",
                     json_from_channels(report->std, report->channels), "sizes", json_from_sizes(report),
                     "other_sizes", report->other_sizes, "classes", json_from_classes(report), "one_class",
                     split->one_class, "bad_count", report->bad_count, "bad", json_from_bad(report));
}

static int report_all(const struct check *check, bool json)
{
    bool good = true;
    json_t *splits = json ? json_array() : NULL;
    if (!json)
        printf("data set  %s (%s)\n", check->source.path, check->source.format);
    for (int i = 0; i < SPLITS; i++) {
        const struct split_result *split = &check->splits[i];
        good = good && split_good(split);
        if (json)
            (void)json_array_append_new(splits, json_from_split(split_names[i], split));
        else
            print_split(stdout, split_names[i], split);
    }
    if (!json) {
        printf("%s\n", good ? "good" : "not good: see the lines that begin with bad");
    } else {
        int code = agn__cli_print_json("data check",
                                       json_pack("{s:s, s:o, s:b, s:o}", "format", check->source.format,
                                                 "path", agn__cli_json_string(check->source.path), "good",
                                                 good, "splits", splits));
        if (code != AGN_CLI_SUCCESS)
            return code;
    }
    return good ? AGN_CLI_SUCCESS : AGN_CLI_FAILURE;
}

static int run_check(struct check *check, bool json)
{
    if (!check->source.format)
        check->source.format = agn_dataset_detect(check->source.path);
    int status = AGN_OK;
    for (int i = 0; i < SPLITS && status == AGN_OK; i++)
        status = check_split(check, i);
    int code = status < 0 ? agn__cli_fail("data check", status) : report_all(check, json);
    for (int i = 0; i < SPLITS; i++)
        agn_dataset_report_free(&check->splits[i].report);
    return code;
}

int agn__cmd_data_check(int argc, char **argv)
{
    static struct check check; /* too large for the stack of a command */
    memset(&check, 0, sizeof check);
    struct agn_cli_list operands = {.count = 0};
    bool json = false;
    const struct agn_cli_option options[] = {
        {.name = "format",
         .metavar = "NAME",
         .help =
             "idx, folder, cifar10, cifar100, svhn or tiny-imagenet; without it, what the files in DIR show",
         .type = AGN_CLI_STRING,
         .string = &check.source.format,
         .choices = agn_dataset_formats},
        {.name = "json", .help = "print one JSON object", .type = AGN_CLI_FLAG, .flag = &json},
    };
    const struct agn_cli_command command = {
        .name = "data check",
        .usage = "DIR [options]",
        .description =
            "Reads every file of both splits of a data set, going on after bad ones, and says what is "
            "there: images by class, mean and standard deviation of each channel, sizes, bad files. "
            "Ends with 1 when a file or record is bad, a split is missing, or all images are of one "
            "class.",
        .example = "  agilenn data check cifar-10-batches-bin\n"
                   "  agilenn data check --format folder --json my-images\n",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &operands,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "DIR",
    };
    int code = agn__cli_parse(&command, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    check.source.path = operands.items[0];
    return run_check(&check, json);
}
