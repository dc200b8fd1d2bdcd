/* What becomes of the results of a sweep. See sweep_report.h. */
#include "cli/sweep_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/sweep.h"
#include "cli/cli.h"
#include "cli/options.h"

struct options {
    struct agn_cli_list files;
    const char *plan, *x, *y, *by, *out;
    bool json, runs, curves, plans;
};

static int parse(const struct agn_cli_command *form, struct options *o, int argc, char **argv)
{
    struct agn_cli_command command = *form;
    command.operands = &o->files;
    return agn__cli_parse(&command, argc, argv);
}

static struct agn_cli_option plan_option(struct options *o)
{
    return agn__cli_text("plan", "NAME", &o->plan, "of this plan only; of all if not given");
}

/* ---- show ----------------------------------------------------------------------------------------- */

static const char *const shown[] = {"accuracy", "silent_accuracy", "bytes_mean", "skewness"};

struct showing {
    FILE *text;
    json_t *list; /* NULL: text */
    char plan[AGN_SWEEP_NAME];
    int designs;
    bool failed;
};

static json_t *json_of_statistic(const struct agn_statistic *s)
{
    return json_pack("{s:o, s:o, s:o, s:i}", "mean", agn__cli_json_real(s->mean), "low",
                     agn__cli_json_real(s->low), "high", agn__cli_json_real(s->high), "n", s->n);
}

static int add_json(struct showing *to, const struct agn_sweep_design *d)
{
    const struct agn_sweep_row *r = &d->first;
    json_t *settings = json_loads(r->settings, 0, NULL);
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:i, s:i, s:i, s:i, s:i}", "plan", agn__cli_json_string(r->plan),
        "dataset", agn__cli_json_string(r->dataset), "preset", agn__cli_json_string(r->preset), "system",
        agn__cli_json_string(r->system), "design", agn__cli_json_string(r->design), "settings",
        settings != NULL ? settings : json_object(), "split", r->split, "images", r->images, "done", d->done,
        "failed", d->failed, "diverged", d->diverged, "running", d->running);
    for (int f = 0; agn_sweep_figure_name(f) != NULL; f++)
        json_object_set_new(object, agn_sweep_figure_name(f), json_of_statistic(&d->of[f]));
    return json_array_append_new(to->list, object) == 0 ? AGN_OK : AGN_ERR_MEMORY;
}

static void print_figure(FILE *text, const char *name, const struct agn_statistic *s)
{
    char cell[48] = "-";
    double scale = strstr(name, "accuracy") != NULL ? 100.0 : 1.0;
    int digits = scale > 1.0 ? 2 : strcmp(name, "skewness") == 0 ? 3 : 1;
    if (s->n > 0 && isfinite(s->low))
        snprintf(cell, sizeof cell, "%.*f (%.*f..%.*f)", digits, scale * s->mean, digits, scale * s->low,
                 digits, scale * s->high);
    else if (s->n > 0)
        snprintf(cell, sizeof cell, "%.*f", digits, scale * s->mean);
    fprintf(text, " %22s", cell);
}

static void print_head(struct showing *to, const struct agn_sweep_row *row)
{
    snprintf(to->plan, sizeof to->plan, "%s", row->plan);
    fprintf(to->text, "%splan %s\n%4s %6s", to->designs > 0 ? "\n" : "", row->plan, "n", "failed");
    for (size_t i = 0; i < AGN_COUNT_OF(shown); i++)
        fprintf(to->text, " %22s", shown[i]);
    fprintf(to->text, "  design\n");
}

static int show_design(void *user, const struct agn_sweep_design *d)
{
    struct showing *to = user;
    if (to->list != NULL)
        return add_json(to, d);
    if (strcmp(to->plan, d->first.plan) != 0)
        print_head(to, &d->first);
    to->designs++;
    fprintf(to->text, "%4d %6d", d->done, d->failed + d->diverged);
    for (size_t i = 0; i < AGN_COUNT_OF(shown); i++)
        print_figure(to->text, shown[i], &d->of[agn_sweep_figure_find(shown[i])]);
    fputs("  ", to->text);
    agn__cli_print_name(to->text, d->first.preset, 0);
    fputc(' ', to->text);
    agn__cli_print_name(to->text, d->first.design, 0);
    fprintf(to->text, " (%s)\n", d->first.split);
    return AGN_OK;
}

int agn__sweep_show(int argc, char **argv)
{
    struct options o = {.json = false};
    const struct agn_cli_option options[] = {
        plan_option(&o),
        agn__cli_flag("json", &o.json, "print all figures of the designs as one JSON object")};
    const struct agn_cli_command command = {
        .name = "sweep show",
        .usage = "FILE.sqlite [options]",
        .description =
            "The designs of a sweep: of each figure the mean over the seeds and an interval of 95 % (over "
            "seeds, Student's t; of one seed, Wilson's over its images), how many seeds there are, and how "
            "many runs failed or diverged. Accuracies in per cent.",
        .example = "  agilenn sweep show out/example.sqlite",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "FILE.sqlite"};
    int code = parse(&command, &o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    struct showing to = {.text = stdout, .list = o.json ? json_array() : NULL};
    struct agn_sweep_file *file = NULL;
    int status = agn_sweep_open(o.files.items[0], false, &file);
    if (status >= 0)
        status = agn_sweep_each_design(file, o.plan, show_design, &to);
    agn_sweep_close(file);
    if (status < 0) {
        json_decref(to.list);
        return agn__cli_fail("sweep show", status);
    }
    return o.json ? agn__cli_print_json("sweep show", json_pack("{s:o}", "designs", to.list))
                  : AGN_CLI_SUCCESS;
}

/* ---- csv --------------------------------------------------------------------------------------------- */

int agn__sweep_csv(int argc, char **argv)
{
    struct options o = {.json = false};
    const struct agn_cli_option options[] = {
        plan_option(&o),
        agn__cli_flag("runs", &o.runs, "all runs with all columns, for `agilenn sweep merge`"),
        agn__cli_flag("curves", &o.curves, "what runs measured beside, likewise"),
        agn__cli_flag("plans", &o.plans, "the plans with their text, likewise")};
    const struct agn_cli_command command = {
        .name = "sweep csv",
        .usage = "FILE.sqlite [options]",
        .description =
            "Prints the designs of a sweep as CSV: mean, low and high end of the interval of each figure; or "
            "one of the file's tables without loss.",
        .example = "  agilenn sweep csv out/example.sqlite >designs.csv\n"
                   "  agilenn sweep csv out/example.sqlite --runs >runs.csv",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "FILE.sqlite"};
    int code = parse(&command, &o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    if (o.runs + o.curves + o.plans > 1)
        return agn__cli_usage_error("sweep csv", "--runs, --curves and --plans exclude each other");
    struct agn_sweep_file *file = NULL;
    int status = agn_sweep_open(o.files.items[0], false, &file);
    if (status >= 0)
        status = agn_sweep_write_csv(file, o.plan,
                                     o.runs     ? AGN_SWEEP_RUNS
                                     : o.curves ? AGN_SWEEP_CURVES
                                     : o.plans  ? AGN_SWEEP_PLANS
                                                : AGN_SWEEP_DESIGNS,
                                     stdout);
    agn_sweep_close(file);
    return status < 0 ? agn__cli_fail("sweep csv", status) : AGN_CLI_SUCCESS;
}

/* ---- plot ---------------------------------------------------------------------------------------------- */

int agn__sweep_plot(int argc, char **argv)
{
    struct options o = {.x = "bytes_mean", .y = "accuracy"};
    const struct agn_cli_option options[] = {
        {.name = "plan",
         .metavar = "NAME",
         .help = "the plan",
         .type = AGN_CLI_STRING,
         .string = &o.plan,
         .required = true},
        {.name = "output",
         .letter = 'o',
         .metavar = "FILE",
         .help = "the picture: a PNG, or an SVG where FILE ends in .svg",
         .type = AGN_CLI_STRING,
         .string = &o.out,
         .required = true},
        agn__cli_text("x", "NAME", &o.x, "a figure, or a setting that the plan varies, as joint.rho"),
        agn__cli_text("y", "FIGURE", &o.y, "a figure"),
        agn__cli_text("by", "KEY", &o.by,
                      "a line for each value of this setting; for each preset if not given")};
    const struct agn_cli_command command = {
        .name = "sweep plot",
        .usage = "FILE.sqlite --plan NAME -o FILE [options]",
        .description =
            "Draws the designs of a plan, with intervals as `agilenn sweep show` has them. Figures are the "
            "columns of docs/SWEEP.md.",
        .example =
            "  agilenn sweep plot out/example.sqlite --plan example -o out/example.svg --x joint.rho \\\n"
            "      --y skewness --by model.local_channels",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "FILE.sqlite"};
    int code = parse(&command, &o, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    struct agn_sweep_file *file = NULL;
    const struct agn_sweep_picture picture = {.plan = o.plan, .x = o.x, .y = o.y, .by = o.by};
    int status = agn_sweep_open(o.files.items[0], false, &file);
    if (status >= 0)
        status = agn_sweep_plot(file, &picture, o.out);
    agn_sweep_close(file);
    return status < 0 ? agn__cli_fail("sweep plot", status) : AGN_CLI_SUCCESS;
}

/* ---- merge ------------------------------------------------------------------------------------------------
 */

int agn__sweep_merge(int argc, char **argv)
{
    struct options o = {.json = false};
    const struct agn_cli_option options[] = {
        agn__cli_flag("json", &o.json, "print what was done as one JSON object")};
    const struct agn_cli_command command = {
        .name = "sweep merge",
        .usage = "OUT.sqlite FILE...",
        .description =
            "Joins results into OUT, which is made if it is not there: SQLite files, and CSV that `agilenn "
            "sweep csv --runs`, `--curves` and `--plans` have made (runs before curves). Of a run that is "
            "there twice the row that is done stays, of two the later one.",
        .example = "  agilenn sweep merge out/all.sqlite out/example-*.sqlite",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .min_operands = 2,
        .max_operands = AGN_CLI_MAX_LIST,
        .operand_name = "OUT.sqlite FILE"};
    int code = parse(&command, &o, argc, argv), rows = 0;
    if (code != AGN_CLI_GO_ON)
        return code;
    int status = agn_sweep_merge(o.files.items[0], o.files.items + 1, o.files.count - 1, &rows);
    if (status < 0)
        return agn__cli_fail("sweep merge", status);
    if (o.json)
        return agn__cli_print_json("sweep merge", json_pack("{s:o, s:i, s:i}", "file",
                                                            agn__cli_json_string(o.files.items[0]), "files",
                                                            o.files.count - 1, "rows", rows));
    printf("%s: %d runs from %d files\n", o.files.items[0], rows, o.files.count - 1);
    return AGN_CLI_SUCCESS;
}
