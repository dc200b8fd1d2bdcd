/* Each plan: its question, its designs, a picture of them, its curves. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

enum { MOST_PLANS = 100, MOST_PICTURES = 100, MOST_AXES = 16, MOST_FIGURES = 6 };

static const char *name_of(const struct agn__plan *plan)
{
    return plan->name[0] ? plan->name : "(a plan without a name)";
}

static bool is_of_plan(const struct agn__design *design, const struct agn__plan *plan)
{
    return strcmp(design->first->text[AGN__PLAN], plan->name) == 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct agn__column columns[] = {
    {.name = "accuracy, %", .kind = AGN__COLUMN_REAL, .which = AGN__ACCURACY, .scale = 100.0, .decimals = 2},
    {.name = "alone, %",
     .kind = AGN__COLUMN_REAL,
     .which = AGN__SILENT_ACCURACY,
     .scale = 100.0,
     .decimals = 2},
    {.name = "sent, %", .kind = AGN__COLUMN_REAL, .which = AGN__SENT_SHARE, .scale = 100.0, .decimals = 1},
    {.name = "bytes", .kind = AGN__COLUMN_REAL, .which = AGN__BYTES_MEAN, .scale = 1.0, .decimals = 1},
    {.name = "skewness, %", .kind = AGN__COLUMN_REAL, .which = AGN__SKEWNESS, .scale = 100.0, .decimals = 1},
    {.name = "out of order, %",
     .kind = AGN__COLUMN_REAL,
     .which = AGN__DISORDER_RATE,
     .scale = 100.0,
     .decimals = 1},
    {.name = "reference valid, %",
     .kind = AGN__COLUMN_REAL,
     .which = AGN__REFERENCE_VALID,
     .scale = 100.0,
     .decimals = 1},
    {.name = "latency, ms", .kind = AGN__COLUMN_COST, .which = AGN__TOTAL_MS, .scale = 1.0, .decimals = 1},
    {.name = "energy, mJ", .kind = AGN__COLUMN_COST, .which = AGN__BOARD_MJ, .scale = 1.0, .decimals = 1},
    {.name = "RAM, KB",
     .kind = AGN__COLUMN_REAL,
     .which = AGN__RAM_BYTES,
     .scale = 1.0 / 1024.0,
     .decimals = 1},
    {.name = "flash, KB",
     .kind = AGN__COLUMN_REAL,
     .which = AGN__FLASH_BYTES,
     .scale = 1.0 / 1024.0,
     .decimals = 1},
};
enum { FIXED = 5, FIGURES = AGN_COUNT_OF(columns) };

static void write_designs(struct agn__report *report, const struct agn__plan *plan)
{
    struct agn__page *page = &report->page;
    const char *names[FIXED + FIGURES] = {"preset", "design", "images", "seeds", "failed"};
    char caption[700];
    for (int i = 0; i < (int)FIGURES; i++)
        names[FIXED + i] = columns[i].name;
    snprintf(caption, sizeof caption, "Designs of %s: mean and 95 %% interval", name_of(plan));
    agn__table_begin(page, caption, names, FIXED + FIGURES, AGN__NUMBERS(3, FIXED + FIGURES));
    for (int i = 0; i < report->designs.count; i++) {
        const struct agn__design *design = &report->designs.list[i];
        char images[100];
        if (!is_of_plan(design, plan) || !agn__table_row(page))
            continue;
        double count = design->first->real[AGN__IMAGES];
        snprintf(images, sizeof images, isnan(count) ? "%.40s" : "%.40s, %.0f",
                 design->first->text[AGN__SPLIT], count);
        agn__table_text(page, design->first->text[AGN__PRESET]);
        agn__table_text(page, design->first->text[AGN__DESIGN]);
        agn__table_text(page, images);
        agn__table_count(page, design->done);
        agn__table_count(page, design->others);
        for (int k = 0; k < (int)FIGURES; k++)
            agn__table_value(page, agn__column_source(&columns[k]),
                             agn__column_value(report, design, &columns[k]), columns[k].scale,
                             columns[k].decimals);
    }
    agn__table_end(page);
}

/* The command of one of its runs, without the choice of that run. */
static void write_command(struct agn__report *report, const struct agn__plan *plan)
{
    char command[600];
    for (int i = 0; i < report->designs.count; i++) {
        const struct agn__design *design = &report->designs.list[i];
        if (!is_of_plan(design, plan) || design->first->text[AGN__COMMAND][0] == '\0')
            continue;
        snprintf(command, sizeof command, "%s", design->first->text[AGN__COMMAND]);
        char *only = strstr(command, " --only ");
        if (only != NULL) {
            const char *rest = strchr(only + strlen(" --only "), ' ');
            rest = rest != NULL ? rest : "";
            memmove(only, rest, strlen(rest) + 1);
        }
        agn__page_code(&report->page, command);
        return;
    }
}

/* ---- a picture of the designs ------------------------------------------------------------------- */

struct axis {
    char name[128];
    int values, numbers; /* other than the one before; that are numbers */
    char last[128];
};

static void count_axis(struct axis *axes, int *count, const char *key, const char *value)
{
    int at = 0;
    char *rest;
    while (at < *count && strcmp(axes[at].name, key) != 0)
        at++;
    if (at == MOST_AXES)
        return;
    if (at == *count) {
        axes[at] = (struct axis){.values = 0};
        snprintf(axes[at].name, sizeof axes[at].name, "%s", key);
        (*count)++;
    }
    axes[at].values += strcmp(axes[at].last, value) != 0;
    double number = strtod(value, &rest);
    axes[at].numbers += rest != value && *rest == '\0' && isfinite(number);
    snprintf(axes[at].last, sizeof axes[at].last, "%s", value);
}

/* Of the settings of "a=1 b=2" the next one; false: there is none. */
static bool next_setting(const char **at, char key[128], char value[128])
{
    const char *equals = strchr(*at, '=');
    if (equals == NULL)
        return false;
    size_t length = strcspn(equals + 1, " ");
    snprintf(key, 128, "%.*s", (int)(equals - *at < 127 ? equals - *at : 127), *at);
    snprintf(value, 128, "%.*s", (int)(length < 127 ? length : 127), equals + 1);
    *at = equals + 1 + length;
    *at += **at == ' ';
    return true;
}

/* The setting with the most changes among those that are numbers throughout; false: there is none. */
static bool find_axis(const struct agn__report *report, const struct agn__plan *plan, char key[128])
{
    struct axis axes[MOST_AXES];
    int count = 0, designs = 0, best = -1;
    for (int i = 0; i < report->designs.count; i++) {
        const struct agn__design *design = &report->designs.list[i];
        char settings[1024], name[128], value[128];
        const char *at = settings;
        if (!is_of_plan(design, plan) || design->done == 0)
            continue;
        agn__design_others(design, NULL, 0, settings, sizeof settings);
        for (int k = 0; k < MOST_AXES && next_setting(&at, name, value); k++)
            count_axis(axes, &count, name, value);
        designs++;
    }
    for (int i = 0; i < count; i++)
        if (axes[i].numbers == designs && axes[i].values > 1 &&
            (best < 0 || axes[i].values > axes[best].values))
            best = i;
    if (best >= 0)
        snprintf(key, 128, "%s", axes[best].name);
    return best >= 0;
}

/* Accuracy along the axis, or over bytes where there is none. */
static int draw_designs(struct agn__report *report, const struct agn__plan *plan, int number)
{
    struct agn__chart *chart = &report->chart;
    char key[128] = "", name[64], text[700];
    const char *but[] = {key};
    bool axis = find_axis(report, plan, key);
    *chart = (struct agn__chart){.x_name = axis ? key : "bytes a frame, all headers",
                                 .y_name = "accuracy, %",
                                 .x_scale = 1.0,
                                 .y_scale = 100.0};
    for (int i = 0; i < report->designs.count; i++) {
        const struct agn__design *design = &report->designs.list[i];
        char others[256], title[600], value[128] = "";
        if (!is_of_plan(design, plan) || design->done == 0)
            continue;
        agn__design_others(design, but, axis, others, sizeof others);
        snprintf(title, sizeof title, "%s%s%s", design->first->text[AGN__PRESET], others[0] ? " " : "",
                 others);
        struct agn__series *series = agn__chart_series(chart, title, AGN__MEASURED);
        if (series == NULL)
            continue;
        series->joined = axis;
        if (axis)
            agn__design_setting(design, key, value);
        double x = axis ? strtod(value, NULL) : agn__design_value(design, AGN__BYTES_MEAN).mean;
        agn__series_add(series, x, agn__design_value(design, AGN__ACCURACY));
    }
    snprintf(name, sizeof name, "plan-%d", number);
    snprintf(text, sizeof text, "%s: accuracy and 95 %% interval %s %s", name_of(plan),
             axis ? "along" : "over", chart->x_name);
    return agn__chart_draw(chart, &report->page, name, text, 2);
}

/* ---- curves ---------------------------------------------------------------------------------------- */

/* A point and whose it is. */
struct sample {
    const struct agn__design *design;
    const char *label;
    double x, value;
};

static int compare_samples(const void *first, const void *second)
{
    const struct sample *a = first, *b = second;
    int order = (a->design > b->design) - (a->design < b->design); /* of one list, so by plan and place */
    if (order == 0)
        order = strcmp(a->label, b->label);
    if (order == 0)
        order = (a->x > b->x) - (a->x < b->x);
    return order != 0 ? order : (a->value > b->value) - (a->value < b->value);
}

static bool is_share(const char *figure)
{
    return strstr(figure, "accuracy") != NULL || strstr(figure, "skewness") != NULL ||
           strstr(figure, "share") != NULL || strstr(figure, "rate") != NULL;
}

static void curve_name(const struct sample *sample, char name[700])
{
    const char *design = sample->design->first->text[AGN__DESIGN];
    snprintf(name, 700, "%s%s%s%s%s", sample->design->first->text[AGN__PRESET], design[0] ? " " : "", design,
             sample->label[0] ? " " : "", sample->label);
}

/* Means over the seeds, to the chart or, where none is drawn, into a table. */
static void add_means(struct agn__report *report, const struct sample *samples, int count, double scale)
{
    for (int i = 0, next = 0; i < count; i = next) {
        double values[64];
        char name[700], x[40];
        int seeds = 0;
        for (next = i; next < count && samples[next].design == samples[i].design &&
                       strcmp(samples[next].label, samples[i].label) == 0 && samples[next].x == samples[i].x;
             next++)
            if (seeds < (int)AGN_COUNT_OF(values))
                values[seeds++] = samples[next].value;
        struct agn__value mean = agn__report_mean(values, seeds);
        curve_name(&samples[i], name);
        if (report->pictures) {
            struct agn__series *series = agn__chart_series(&report->chart, name, AGN__MEASURED);
            if (series != NULL)
                series->joined = true;
            agn__series_add(series, samples[i].x, mean);
        } else if (agn__table_row(&report->page)) {
            snprintf(x, sizeof x, "%.6g", samples[i].x);
            agn__table_text(&report->page, name);
            agn__table_text(&report->page, x);
            agn__table_count(&report->page, seeds);
            agn__table_value(&report->page, AGN__MEASURED, mean, scale, scale == 1.0 ? 3 : 2);
        }
    }
}

/* One figure of one curve, points[first..end) being the curve's. */
static int write_figure(struct agn__report *report, int first, int end, const char *figure)
{
    const struct agn__curve_point *points = report->results.points;
    struct sample *samples = agn_alloc((size_t)(end - first) + 1, sizeof *samples);
    char y_name[200], name[64], text[1200];
    int count = 0, status = AGN_OK;
    if (samples == NULL)
        return AGN_ERR_MEMORY;
    for (int i = first; i < end; i++) {
        const struct agn__design *design =
            agn__report_designs_find(&report->designs, points[i].plan, points[i].id);
        if (design != NULL && strcmp(points[i].figure, figure) == 0)
            samples[count++] = (struct sample){design, points[i].label, points[i].x, points[i].value};
    }
    qsort(samples, (size_t)count, sizeof *samples, compare_samples);
    double scale = is_share(figure) ? 100.0 : 1.0;
    snprintf(y_name, sizeof y_name, "%.150s%s", figure, scale == 1.0 ? "" : ", %");
    snprintf(text, sizeof text, "%s: %s by %s", points[first].plan, figure, points[first].curve);
    const char *const heads[] = {"design", points[first].curve, "seeds", y_name};
    report->chart = (struct agn__chart){
        .x_name = points[first].curve, .y_name = y_name, .x_scale = 1.0, .y_scale = scale};
    agn__table_begin(&report->page, text, heads, AGN_COUNT_OF(heads), AGN__NUMBERS(1, 4));
    add_means(report, samples, count, scale);
    agn__table_end(&report->page);
    snprintf(name, sizeof name, "curve-%d", report->page.pictures + 1);
    if (report->pictures)
        status = agn__chart_draw(&report->chart, &report->page, name, text, 2);
    agn_free(samples);
    return status;
}

/* Each figure of a curve once, in order of first appearance. */
static int write_curve(struct agn__report *report, int first, int end)
{
    const struct agn__curve_point *points = report->results.points;
    const char *figures[MOST_FIGURES];
    int count = 0, status = AGN_OK;
    for (int i = first; i < end && count < MOST_FIGURES; i++) {
        bool there = strcmp(points[i].figure, "skewness_before") == 0; /* a figure of its own, not a curve */
        for (int k = 0; k < count && !there; k++)
            there = strcmp(figures[k], points[i].figure) == 0;
        if (!there)
            figures[count++] = points[i].figure;
    }
    for (int k = 0; k < count && status == AGN_OK && report->page.pictures < MOST_PICTURES; k++)
        status = write_figure(report, first, end, figures[k]);
    return status;
}

static int write_curves(struct agn__report *report, const struct agn__plan *plan)
{
    const struct agn__curve_point *points = report->results.points;
    int status = AGN_OK;
    for (int i = 0, next = 0; i < report->results.point_count && status == AGN_OK; i = next) {
        for (next = i + 1;
             next < report->results.point_count && strcmp(points[next].plan, points[i].plan) == 0 &&
             strcmp(points[next].curve, points[i].curve) == 0;
             next++) {
        }
        if (strcmp(points[i].plan, plan->name) == 0)
            status = write_curve(report, i, next);
    }
    return status;
}

/* ---- plans ------------------------------------------------------------------------------------------ */

int agn__report_write_plans(struct agn__report *report)
{
    struct agn__page *page = &report->page;
    int status = AGN_OK,
        shown = report->results.plan_count < MOST_PLANS ? report->results.plan_count : MOST_PLANS;
    agn__page_section(page, "plans", "Plans");
    agn__page_text(
        page,
        "Intervals hold 95 %%: over seeds by Student's t; with one seed, and for accuracies only, over the "
        "images (Wilson). Latency and energy go from low to high inputs of the model.");
    for (int i = 0; i < shown && status == AGN_OK; i++) {
        const struct agn__plan *plan = &report->results.plans[i];
        agn__page_part(page, name_of(plan));
        agn__page_text(page, "%s", plan->question[0] ? plan->question : "The plan asks no question.");
        write_designs(report, plan);
        write_command(report, plan);
        if (plan->text[0])
            agn__page_folded(page, "The plan", plan->text);
        if (report->pictures && page->pictures < MOST_PICTURES)
            status = draw_designs(report, plan, i + 1);
        if (status == AGN_OK)
            status = write_curves(report, plan);
    }
    if (shown < report->results.plan_count)
        agn__page_text(page, "%d more plans are left out here.", report->results.plan_count - shown);
    return status;
}
