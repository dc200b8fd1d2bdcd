/* `agilenn data check`: looks at every file of a data set, says what is wrong. Reading is src/data's. */
#include <string.h>

#include "agilenn/sets.h"
#include "cli/cli.h"
#include "cli/options.h"

enum { SPLITS = 3, SHOWN_BAD = 50, SHOWN_WARNINGS = 10, PATH_BYTES = 1024 };

static const char *const split_names[SPLITS] = {"train", "test", "validation"};

struct split_result {
    const char *error; /* NULL, or why there is no report */
    char message[1024];
    struct agn_dataset_report report;
    bool one_class;
};

struct check {
    struct agn_dataset_source source;
    char path[PATH_BYTES];
    struct split_result splits[SPLITS];
};

/* Without --validation two. */
static int split_count(const struct check *check)
{
    return check->source.validation && check->source.validation[0] ? SPLITS : SPLITS - 1;
}

static bool split_good(const struct split_result *split)
{
    return !split->error && split->report.bad.count == 0 && split->report.count > 0 && !split->one_class;
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

static void print_findings(FILE *text, const char *name, const struct agn_dataset_findings *findings,
                           int most)
{
    int shown = findings->kept < most ? findings->kept : most;
    fprintf(text, "  %-8s %d\n", name, findings->count);
    for (int i = 0; i < shown; i++)
        fprintf(text, "    %s\n", findings->texts[i]);
    if (findings->count > shown)
        fprintf(text, "    ... and %d more", findings->count - shown);
    if (findings->kept > shown)
        fprintf(text, " (--json lists the first %d)", findings->kept);
    fprintf(text, "%s", findings->count > shown ? "\n" : "");
}

/* "not read" has a line for each kind, with its first names. */
static void print_unread(FILE *text, const struct agn_dataset_report *report)
{
    fprintf(text, "  not read %d\n", report->unread_count);
    for (int i = 0; i < report->unread_kinds; i++) {
        const struct agn_dataset_findings *found = &report->unread[i].found;
        fprintf(text, "    %8d  %s:", found->count, report->unread[i].kind);
        for (int name = 0; name < found->kept; name++)
            fprintf(text, "%s %s", name ? "," : "", found->texts[name]);
        fprintf(text, "%s\n", found->count > found->kept ? ", ..." : "");
    }
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
    if (report->unread_count > 0)
        print_unread(text, report);
    print_channels(text, "mean", report->mean, report->channels);
    print_channels(text, "std", report->std, report->channels);
    fprintf(text, "  classes  %d\n", report->classes);
    for (int label = 0; label < report->classes; label++)
        fprintf(text, "    %8d  %s\n", report->class_counts[label], report->class_names[label]);
    if (split->one_class)
        fprintf(text, "  bad      all images are of one class, expected two or more\n");
    print_findings(text, "bad", &report->bad, SHOWN_BAD);
    if (report->warnings.count > 0)
        print_findings(text, "warnings", &report->warnings, SHOWN_WARNINGS);
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

static json_t *json_from_texts(const struct agn_dataset_findings *findings)
{
    json_t *array = json_array();
    for (int i = 0; i < findings->kept; i++)
        (void)json_array_append_new(array, agn__cli_json_string(findings->texts[i]));
    return array;
}

static json_t *json_from_unread(const struct agn_dataset_report *report)
{
    json_t *array = json_array();
    for (int i = 0; i < report->unread_kinds; i++) {
        const struct agn_dataset_unread *kind = &report->unread[i];
        (void)json_array_append_new(
            array, json_pack("{s:o, s:i, s:o}", "kind", agn__cli_json_string(kind->kind), "count",
                             kind->found.count, "first", json_from_texts(&kind->found)));
    }
    return array;
}

static json_t *json_from_split(const char *name, const struct split_result *split)
{
    const struct agn_dataset_report *report = &split->report;
    if (split->error)
        return json_pack("{s:s, s:b, s:o}", "split", name, "good", 0, "error",
                         agn__cli_json_string(split->error));
    return json_pack("{s:s, s:b, s:i, s:i, s:o, s:o, s:o, s:i, s:o, s:b, s:i, s:o, s:i, s:o, s:i, s:o}",
                     "split", name, "good", split_good(split), "images", report->count, "channels",
                     report->channels, "mean", json_from_channels(report->mean, report->channels), "std",
                     json_from_channels(report->std, report->channels), "sizes", json_from_sizes(report),
                     "other_sizes", report->other_sizes, "classes", json_from_classes(report), "one_class",
                     split->one_class, "bad_count", report->bad.count, "bad", json_from_texts(&report->bad),
                     "warning_count", report->warnings.count, "warnings", json_from_texts(&report->warnings),
                     "unread_count", report->unread_count, "unread", json_from_unread(report));
}

static void print_verdict(const struct check *check, bool good)
{
    int unread = 0, warnings = 0;
    for (int i = 0; i < split_count(check); i++) {
        unread += check->splits[i].report.unread_count;
        warnings += check->splits[i].report.warnings.count;
    }
    printf("%s", good ? "good" : "not good: see the lines that begin with bad");
    if (unread > 0)
        printf("; %d file%s or folder%s not read", unread, unread == 1 ? "" : "s",
               unread == 1 ? " is" : "s are");
    if (warnings > 0)
        printf("; %d image%s read with a warning", warnings, warnings == 1 ? " is" : "s are");
    printf("\n");
}

static int report_all(const struct check *check, bool json)
{
    bool good = true;
    json_t *splits = json ? json_array() : NULL;
    if (!json)
        printf("data set  %s (%s)\n", check->source.path, check->source.format);
    for (int i = 0; i < split_count(check); i++) {
        const struct split_result *split = &check->splits[i];
        good = good && split_good(split);
        if (json)
            (void)json_array_append_new(splits, json_from_split(split_names[i], split));
        else
            print_split(stdout, split_names[i], split);
    }
    if (!json) {
        print_verdict(check, good);
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

/* Path and format, from what the user has given. */
static int find_set(struct check *check, const char *folder)
{
    struct agn_dataset_source *source = &check->source;
    int status = agn_path_expand(folder, check->path, sizeof check->path);
    if (status < 0)
        return status;
    source->path = check->path;
    if (!source->format)
        source->format = agn_dataset_detect(source->path);
    return agn_dataset_check_parts(source->format, source->test, source->validation);
}

static int run_check(struct check *check, const char *folder, bool json)
{
    int status = find_set(check, folder);
    for (int i = 0; i < split_count(check) && status == AGN_OK; i++)
        status = check_split(check, i);
    int code = status < 0 ? agn__cli_fail("data check", status) : report_all(check, json);
    for (int i = 0; i < split_count(check); i++)
        agn_dataset_report_free(&check->splits[i].report);
    return code;
}

int agn__cmd_data_check(int argc, char **argv)
{
    static struct check check; /* too large for the stack of a command */
    memset(&check, 0, sizeof check);
    struct agn_cli_list operands = {.count = 0};
    bool json = false;
    char formats[256], help[320];
    agn_dataset_list_formats(formats, sizeof formats);
    snprintf(help, sizeof help, "%s; without it, what the files in DIR show", formats);
    const struct agn_cli_option options[] = {
        {.name = "format",
         .metavar = "NAME",
         .help = help,
         .type = AGN_CLI_STRING,
         .string = &check.source.format,
         .choices = agn_dataset_formats},
        agn__cli_text(
            "ground", "COLOUR", &check.source.ground,
            "what shows where images are transparent: white, black or #RRGGBB, as data.ground will say"),
        agn__cli_text(
            "test", "SHARE|FOLDER", &check.source.test,
            "a share of the training images that is held out (0.2), or the folder beside train that has "
            "the test images, as data.test will say; needed where there is no folder test"),
        agn__cli_text("validation", "SHARE|FOLDER", &check.source.validation,
                      "the same for validation images, as data.validation will say"),
        agn__cli_flag("json", &json, "print one JSON object"),
    };
    const struct agn_cli_command command = {
        .name = "data check",
        .usage = "DIR [options]",
        .description =
            "Reads every file of a data set's splits, going on after bad ones, and says what is "
            "there: images by class, mean and standard deviation of each channel, sizes, bad files, images "
            "that are read with a warning, files and folders that are not read. "
            "Ends with 1 when a file or record is bad, a split is missing, or all images are of one "
            "class.",
        .example = "  agilenn data check cifar-10-batches-bin\n"
                   "  agilenn data check --format folder --json my-images\n"
                   "  agilenn data check --test 0.2 images-without-a-test-split\n",
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
    uint8_t ground[3];
    if (check.source.ground && !agn_dataset_ground(check.source.ground, ground))
        return agn__cli_usage_error("data check", "--ground %s: expected white, black or #RRGGBB",
                                    check.source.ground);
    return run_check(&check, operands.items[0], json);
}
