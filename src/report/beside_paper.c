/* The paper's tables and figures with ours beside them: for each data set and system our designs, then the
 * paper. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

enum { MOST_COLUMNS = 16, MOST_SETS = 64 };

/* The systems' order in a table; others come behind. */
static const char *const system_order[] = {"agilenn", "deepcod", "spinn", "edge-only", "local-only"};

static int system_place(const char *system)
{
    int place = 0;
    while (place < (int)AGN_COUNT_OF(system_order) && strcmp(system_order[place], system) != 0)
        place++;
    return place;
}

/* ---- data sets ------------------------------------------------------------------------------ */

struct sets {
    const char *names[MOST_SETS];
    int count;
};

static void add_set(struct sets *sets, const char *name)
{
    for (int i = 0; i < sets->count; i++)
        if (strcmp(sets->names[i], name) == 0)
            return;
    if (sets->count < MOST_SETS)
        sets->names[sets->count++] = name;
}

static int paper_set(const char *key)
{
    for (int i = 0; i < AGN__PAPER_SETS; i++)
        if (strcmp(agn__paper_sets[i], key) == 0)
            return i;
    return -1;
}

/* The paper's first, in its order, then those of the runs, by name. */
static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list_sets(const struct agn__report *report, struct sets *sets)
{
    *sets = (struct sets){.count = 0};
    for (int i = 0; i < AGN__PAPER_SETS; i++)
        add_set(sets, agn__paper_sets[i]);
    for (int i = 0; i < report->designs.count; i++)
        add_set(sets, agn__dataset_key(report->designs.list[i].first->text[AGN__DATASET]));
    qsort(sets->names + AGN__PAPER_SETS, (size_t)(sets->count - AGN__PAPER_SETS), sizeof sets->names[0],
          compare_names);
}

static bool is_of_set(const struct agn__design *design, const char *set)
{
    return strcmp(agn__dataset_key(design->first->text[AGN__DATASET]), set) == 0;
}

/* ---- rows ------------------------------------------------------------------------------------- */

static void write_ours(struct agn__report *report, const struct agn__topic *topic,
                       const struct agn__design *design)
{
    struct agn__page *page = &report->page;
    const char *const *text = design->first->text;
    char split[200];
    if (!agn__table_row(page))
        return;
    agn__table_text(page, text[AGN__DATASET]);
    agn__table_text(page, text[AGN__SYSTEM]);
    agn__table_text(page, text[AGN__PRESET]);
    snprintf(split, sizeof split, "%.90s, %.40s", text[AGN__PLAN], text[AGN__SPLIT]);
    agn__table_text(page, split);
    if (topic->keys[0] != NULL)
        agn__table_text(page, text[AGN__DESIGN]);
    agn__table_count(page, design->done);
    for (int i = 0; i < topic->column_count; i++) {
        const struct agn__column *column = &topic->columns[i];
        agn__table_value(page, agn__column_source(column), agn__column_value(report, design, column),
                         column->scale, column->decimals);
    }
}

static void write_papers(struct agn__report *report, const struct agn__topic *topic,
                         const struct agn__paper_row *row)
{
    struct agn__page *page = &report->page;
    char system[200];
    if (!agn__table_row(page))
        return;
    snprintf(system, sizeof system, "%.60s%s%.100s%s", row->system, row->note[0] ? " (" : "", row->note,
             row->note[0] ? ")" : "");
    agn__table_text(page, row->dataset);
    agn__table_text(page, system);
    agn__table_label(page, AGN__PAPER, "paper");
    agn__table_text(page, "");
    if (topic->keys[0] != NULL)
        agn__table_text(page, row->setting);
    agn__table_text(page, "");
    for (int i = 0; i < topic->column_count; i++) {
        struct agn__value value = AGN__UNKNOWN;
        if (topic->columns[i].figure != NULL)
            value.mean = agn__paper_value(&report->paper, row, topic->columns[i].figure);
        agn__table_value(page, AGN__PAPER, value, 1.0, topic->columns[i].decimals);
    }
}

static bool is_papers(const struct agn__report *report, int row, const char *table, const char *set)
{
    const struct agn__paper_row *r = &report->paper.rows[row];
    return strcmp(r->table, table) == 0 && strcmp(r->dataset, set) == 0 &&
           agn__paper_begins(&report->paper, row);
}

/* Rows of one data set; how many are ours, and whether the paper has any. */
static int write_set(struct agn__report *report, const struct agn__topic *topic, const char *set,
                     bool *papers)
{
    int ours = 0;
    for (int place = 0; place <= (int)AGN_COUNT_OF(system_order); place++) {
        for (int i = 0; i < report->designs.count; i++) {
            const struct agn__design *design = &report->designs.list[i];
            if (system_place(design->first->text[AGN__SYSTEM]) != place || !is_of_set(design, set) ||
                !agn__topic_has(topic, design))
                continue;
            write_ours(report, topic, design);
            ours++;
        }
        for (int i = 0; i < report->paper.count; i++)
            if (system_place(report->paper.rows[i].system) == place &&
                is_papers(report, i, topic->table, set)) {
                write_papers(report, topic, &report->paper.rows[i]);
                *papers = true;
            }
    }
    return ours;
}

/* ---- pictures ----------------------------------------------------------------------------------- */

static void chart_ours(struct agn__report *report, const struct agn__topic *topic,
                       const struct agn__design *design)
{
    struct agn__chart *chart = &report->chart;
    const struct agn__column *y = &topic->columns[topic->across != NULL ? 0 : topic->y];
    const char *but[] = {"model.local_channels", topic->keys[0]};
    char name[400], others[200], value[128] = "";
    struct agn__value at = AGN__UNKNOWN;
    if (topic->keys[0] != NULL) {
        bool k = topic->x >= 0;
        agn__design_others(design, k ? but : &but[1], 1, others, sizeof others);
        snprintf(name, sizeof name, "%s %s", design->first->text[AGN__PRESET], others);
    } else {
        snprintf(name, sizeof name, "%s", design->first->text[AGN__PRESET]);
    }
    bool modelled =
        topic->across != NULL || (topic->x >= 0 && topic->columns[topic->x].kind == AGN__COLUMN_COST);
    struct agn__series *series =
        agn__chart_series(chart, name, modelled ? AGN__MODELLED : agn__column_source(y));
    if (series == NULL)
        return;
    series->joined = topic->keys[0] != NULL || topic->across != NULL;
    if (topic->across != NULL) {
        for (int i = 0; i < topic->column_count; i++)
            agn__series_add(series, topic->across[i], agn__column_value(report, design, &topic->columns[i]));
        return;
    }
    struct agn__value height = agn__column_value(report, design, y);
    height.mean *= y->scale;
    height.low *= y->scale;
    height.high *= y->scale;
    if (topic->x >= 0) {
        at = agn__column_value(report, design, &topic->columns[topic->x]);
        at.mean *= topic->columns[topic->x].scale;
    } else if (agn__design_setting(design, topic->keys[0], value)) {
        char *rest;
        at.mean = strtod(value, &rest);
        at.mean = *rest == '\0' ? at.mean : NAN;
    }
    agn__series_add(series, at.mean, height);
}

static void chart_papers(struct agn__report *report, const struct agn__topic *topic,
                         const struct agn__paper_row *row)
{
    char name[200];
    const char *space = strchr(row->setting, ' ');
    bool by_setting = topic->keys[0] != NULL;
    snprintf(name, sizeof name, "%.60s %.*s", by_setting ? row->dataset : row->system,
             by_setting && space != NULL ? (int)(space - row->setting) : 0, row->setting);
    struct agn__series *series = agn__chart_series(&report->chart, name, AGN__PAPER);
    struct agn__value y = AGN__UNKNOWN;
    if (series == NULL)
        return;
    series->joined = by_setting || topic->across != NULL;
    for (int i = 0; topic->across != NULL && i < topic->column_count; i++) {
        y.mean = agn__paper_value(&report->paper, row, topic->columns[i].figure);
        agn__series_add(series, topic->across[i], y);
    }
    if (topic->across != NULL)
        return;
    y.mean = agn__paper_value(&report->paper, row, topic->columns[topic->y].figure);
    double x = topic->x >= 0 ? agn__paper_value(&report->paper, row, topic->columns[topic->x].figure)
                             : strtod(row->setting, NULL);
    agn__series_add(series, x, y);
}

static int draw_set(struct agn__report *report, const struct agn__topic *topic, const char *set)
{
    char name[64], text[256];
    bool latency = topic->across != NULL;
    if (!report->pictures || (topic->y < 0 && !latency))
        return AGN_OK;
    report->chart = (struct agn__chart){
        .x_name = topic->x_name,
        .y_name = latency ? "latency of a frame, ms" : topic->columns[topic->y].name,
        .from_zero = latency,
        .log_x = latency || strcmp(topic->table, "systems") == 0 || strcmp(topic->table, "compression") == 0,
        .x_scale = 1.0,
        .y_scale = 1.0};
    for (int i = 0; i < report->designs.count; i++)
        if (is_of_set(&report->designs.list[i], set) && agn__topic_has(topic, &report->designs.list[i]))
            chart_ours(report, topic, &report->designs.list[i]);
    for (int i = 0; i < report->paper.count; i++)
        if (is_papers(report, i, topic->table, set))
            chart_papers(report, topic, &report->paper.rows[i]);
    snprintf(name, sizeof name, "%s-%d", topic->table, report->page.pictures + 1);
    snprintf(text, sizeof text, "%s: %s", topic->title, set);
    return agn__chart_draw(&report->chart, &report->page, name, text, 3);
}

/* ---- tables -------------------------------------------------------------------------------------- */

static int write_topic(struct agn__report *report, int number)
{
    const struct agn__topic *topic = &agn__topics[number];
    const char *columns[MOST_COLUMNS] = {"data set", "system", "preset", "plan, images"};
    int count = 4, status = AGN_OK, ours[MOST_SETS];
    struct sets sets;
    if (topic->keys[0] != NULL)
        columns[count++] = "setting";
    int first = count;
    columns[count++] = "seeds";
    for (int i = 0; i < topic->column_count; i++)
        columns[count++] = topic->columns[i].name;
    list_sets(report, &sets);
    agn__page_part(&report->page, topic->title);
    agn__page_text(&report->page, "%s", topic->note);
    agn__table_begin(&report->page, topic->title, columns, count, AGN__NUMBERS(first, count));
    for (int i = 0; i < sets.count; i++) {
        bool papers = false;
        int set = paper_set(sets.names[i]);
        ours[i] = write_set(report, topic, sets.names[i], &papers);
        if (set >= 0)
            report->ours[number][set] = papers ? ours[i] : -1;
    }
    agn__table_end(&report->page);
    for (int i = 0; i < sets.count && status == AGN_OK; i++)
        if (ours[i] > 0)
            status = draw_set(report, topic, sets.names[i]);
    return status;
}

/* DeepCOD's design on the same data set and images. */
static const struct agn__design *deepcod_beside(const struct agn__report *report,
                                                const struct agn__design *design)
{
    for (int i = 0; i < report->designs.count; i++) {
        const struct agn__design *other = &report->designs.list[i];
        if (other->done > 0 && !other->copy && strcmp(other->first->text[AGN__SYSTEM], "deepcod") == 0 &&
            strcmp(other->first->text[AGN__DATASET], design->first->text[AGN__DATASET]) == 0 &&
            strcmp(other->first->text[AGN__SPLIT], design->first->text[AGN__SPLIT]) == 0 &&
            other->first->text[AGN__DESIGN][0] == '\0')
            return other;
    }
    return NULL;
}

static void write_bytes(struct agn__report *report)
{
    static const char *const columns[] = {"data set",      "preset",      "bytes, AgileNN", "bytes, DeepCOD",
                                          "difference, %", "accuracy, %", "DeepCOD's, %"};
    struct agn__page *page = &report->page;
    agn__page_part(page, "Bytes sent beside DeepCOD");
    agn__page_text(page, "Mean over all frames from the device to the server, all headers counted.");
    agn__table_begin(page, "Bytes sent beside DeepCOD", columns, AGN_COUNT_OF(columns), AGN__NUMBERS(2, 7));
    for (int i = 0; i < report->designs.count; i++) {
        const struct agn__design *design = &report->designs.list[i], *other = deepcod_beside(report, design);
        if (other == NULL || design->done == 0 || design->copy ||
            design->first->text[AGN__DESIGN][0] != '\0' ||
            strcmp(design->first->text[AGN__SYSTEM], "agilenn") != 0 || !agn__table_row(page))
            continue;
        struct agn__value ours = agn__design_value(design, AGN__BYTES_MEAN), change = AGN__UNKNOWN,
                          theirs = agn__design_value(other, AGN__BYTES_MEAN);
        if (theirs.mean > 0.0)
            change.mean = ours.mean / theirs.mean - 1.0;
        agn__table_text(page, design->first->text[AGN__DATASET]);
        agn__table_text(page, design->first->text[AGN__PRESET]);
        agn__table_value(page, AGN__MEASURED, ours, 1.0, 1);
        agn__table_value(page, AGN__MEASURED, theirs, 1.0, 1);
        agn__table_value(page, AGN__MEASURED, change, 100.0, 1);
        agn__table_value(page, AGN__MEASURED, agn__design_value(design, AGN__ACCURACY), 100.0, 2);
        agn__table_value(page, AGN__MEASURED, agn__design_value(other, AGN__ACCURACY), 100.0, 2);
    }
    for (int i = 0; i < report->paper.count; i++) {
        const struct agn__paper_row *row = &report->paper.rows[i];
        if (strcmp(row->table, "bytes") != 0 || !agn__table_row(page))
            continue;
        agn__table_text(page, row->dataset);
        agn__table_label(page, AGN__PAPER, "paper");
        for (int c = 2; c < (int)AGN_COUNT_OF(columns); c++)
            agn__table_value(page, AGN__PAPER,
                             c == 4 ? (struct agn__value){row->value, NAN, NAN} : AGN__UNKNOWN, 1.0, 1);
    }
    agn__table_end(page);
}

/* Importance before training stands among the curves, where a run has measured it. */
static void write_before(struct agn__report *report)
{
    static const char *const columns[] = {"plan", "run", "figure", "value"};
    struct agn__page *page = &report->page;
    agn__page_part(page, "Skewness before training");
    agn__page_text(
        page, "† The paper: over 40 %% of CIFAR's samples have less than half of their importance in the top "
              "20 %% of "
              "features. `agilenn train` writes its own figure as skewness_before; runs that have it among "
              "their curves stand here.");
    agn__table_begin(page, "Importance before joint training", columns, AGN_COUNT_OF(columns),
                     AGN__NUMBERS(3, 4));
    for (int i = 0; i < report->results.point_count; i++) {
        const struct agn__curve_point *point = &report->results.points[i];
        if (strcmp(point->figure, "skewness_before") != 0 || !agn__table_row(page))
            continue;
        agn__table_text(page, point->plan);
        agn__table_text(page, point->id);
        agn__table_text(page, point->figure);
        agn__table_value(page, AGN__MEASURED, (struct agn__value){point->value, NAN, NAN}, 1.0, 3);
    }
    agn__table_end(page);
}

int agn__report_write_paper(struct agn__report *report)
{
    int status = AGN_OK;
    agn__page_section(&report->page, "paper", "Beside the paper");
    agn__page_text(
        &report->page,
        "Latency and energy: board %s at %.0f MHz, radio %s at %.0f kbit/s (docs/COST.md). Data sets are "
        "matched by name: what lies here as ImageNet may be Tiny ImageNet or a part of it, and CIFAR-10 a "
        "copy "
        "in JPEG. Networks and training times are not the paper's unless a preset says so.",
        report->board.name, report->board.clock_mhz, report->radio.name, report->radio.rate_kbps);
    for (int i = 0; i < agn__topic_count && status == AGN_OK; i++) {
        status = write_topic(report, i);
        if (i == 0)
            write_bytes(report);
    }
    write_before(report);
    return status;
}
