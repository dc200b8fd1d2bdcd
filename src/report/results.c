/* Reads results files, SQLite databases of `agilenn sweep` (version 1), of any origin: every text is cut and
 * cleaned, every number checked, rows are counted before they are kept. */
#define _POSIX_C_SOURCE 200809L
#include "report/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/database.h"

enum {
    VERSION = 1,
    MOST_RUNS = 100000,
    MOST_POINTS = 1000000,
    MOST_PLANS = 10000,
    NAME_BYTES = 512,
    REASON_BYTES = 1024,
    TEXT_BYTES = 65536,
    BLOCK_BYTES = 1 << 20,
};

static const char *const text_columns[AGN__RUN_TEXTS] = {
    "plan",  "id",     "dataset", "preset",    "system",  "design",  "settings", "preset_text",
    "state", "reason", "split",   "commit_id", "machine", "started", "command"};
static const char *const real_columns[AGN__RUN_REALS] = {"place",
                                                         "seed",
                                                         "images",
                                                         "images_seen",
                                                         "accuracy",
                                                         "silent_accuracy",
                                                         "float_accuracy",
                                                         "skewness",
                                                         "disorder_rate",
                                                         "reference_valid",
                                                         "alpha",
                                                         "sent_share",
                                                         "bytes_mean",
                                                         "packets",
                                                         "packet_bytes",
                                                         "reply_bytes",
                                                         "extract_instructions",
                                                         "local_instructions",
                                                         "encode_instructions",
                                                         "ram_bytes",
                                                         "flash_bytes",
                                                         "train_seconds",
                                                         "seconds",
                                                         "threads"};

/* ---- text -------------------------------------------------------------------------------- */

struct agn__text_block {
    struct agn__text_block *next;
    size_t used, size;
    char bytes[];
};

static char *reserve(struct agn__texts *texts, size_t size)
{
    struct agn__text_block *block = texts->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = agn_alloc(1, sizeof *block + room);
        if (block == NULL)
            return NULL;
        block->size = room;
        block->next = texts->blocks;
        texts->blocks = block;
    }
    char *at = block->bytes + block->used;
    block->used += size;
    return at;
}

const char *agn__report_keep(struct agn__texts *texts, const char *text, size_t most, bool lines)
{
    size_t length = text != NULL ? strnlen(text, most) : 0, used = 0;
    if (length == 0)
        return "";
    char *copy = reserve(texts, length + 1);
    if (copy == NULL)
        return NULL;
    while (used < length && text[used] != '\0') {
        uint32_t code;
        size_t bytes = agn_utf8_read(text + used, &code);
        bool white = text[used] == '\n' || text[used] == '\t';
        if (bytes > 1 && bytes > length - used)
            break; /* cut within a character */
        if (bytes > 0)
            memcpy(copy + used, text + used, bytes);
        else
            copy[used] = !white ? '?' : lines ? text[used] : ' ';
        used += bytes > 0 ? bytes : 1;
    }
    copy[used] = '\0';
    return copy;
}

void agn__report_drop(struct agn__texts *texts)
{
    while (texts->blocks != NULL) {
        struct agn__text_block *next = texts->blocks->next;
        agn_free(texts->blocks);
        texts->blocks = next;
    }
}

/* ---- rows -------------------------------------------------------------------------------- */

struct reading {
    struct agn__results *results;
    struct agn_database *database;
    const char *path;
    int run_room, point_room, plan_room;
};

/* After a call that failed. */
static int explain(const struct reading *r, int status)
{
    char message[512];
    snprintf(message, sizeof message, "%s", agn_error_message());
    return status == AGN_ERR_FORMAT || status == AGN_ERR_IO
               ? agn_fail(status, "%s%s%.400s; expected a results file of `agilenn sweep`, version %d",
                          strstr(message, r->path) ? "" : r->path, strstr(message, r->path) ? "" : ": ",
                          message, VERSION)
               : status;
}

static int fail_many(const struct reading *r, const char *what, int most)
{
    return agn_fail(AGN_ERR_RANGE, "%s: more than %d %s; make a report of fewer files or plans", r->path,
                    most, what);
}

/* Room for one more of `*items`, which hold `count` of size `size`. */
static int grow(void **items, int count, int *room, size_t size)
{
    if (count < *room)
        return AGN_OK;
    int more = *room > 0 ? 2 * *room : 256;
    void *larger = realloc(*items, (size_t)more * size);
    if (larger == NULL)
        return agn_fail(AGN_ERR_MEMORY, "no memory for %d rows of results", more);
    *items = larger;
    *room = more;
    return AGN_OK;
}

static const char *text_at(struct reading *r, struct agn_query *row, int column, size_t most, bool lines)
{
    return agn__report_keep(&r->results->texts, agn_query_text(row, column), most, lines);
}

static double real_at(struct agn_query *row, int column)
{
    double value = agn_query_real(row, column);
    return isfinite(value) ? value : NAN;
}

static int add_run(struct reading *r, struct agn_query *row)
{
    struct agn__results *results = r->results;
    if (results->run_count >= MOST_RUNS)
        return fail_many(r, "runs", MOST_RUNS);
    int status = grow((void **)&results->runs, results->run_count, &r->run_room, sizeof *results->runs);
    if (status < 0)
        return status;
    struct agn__run *run = &results->runs[results->run_count];
    for (int i = 0; i < AGN__RUN_TEXTS; i++) {
        bool lines = i == AGN__PRESET_TEXT;
        size_t most = lines || i == AGN__SETTINGS ? TEXT_BYTES : i == AGN__REASON ? REASON_BYTES : NAME_BYTES;
        run->text[i] = text_at(r, row, i, most, lines);
        if (run->text[i] == NULL)
            return AGN_ERR_MEMORY;
    }
    for (int i = 0; i < AGN__RUN_REALS; i++)
        run->real[i] = real_at(row, AGN__RUN_TEXTS + i);
    run->done = strcmp(run->text[AGN__STATE], "done") == 0;
    results->run_count++;
    return AGN_OK;
}

static int add_point(struct reading *r, struct agn_query *row)
{
    struct agn__results *results = r->results;
    if (results->point_count >= MOST_POINTS)
        return fail_many(r, "points of curves", MOST_POINTS);
    int status =
        grow((void **)&results->points, results->point_count, &r->point_room, sizeof *results->points);
    if (status < 0)
        return status;
    struct agn__curve_point point = {.plan = text_at(r, row, 0, NAME_BYTES, false),
                                     .id = text_at(r, row, 1, NAME_BYTES, false),
                                     .curve = text_at(r, row, 2, NAME_BYTES, false),
                                     .label = text_at(r, row, 3, NAME_BYTES, false),
                                     .x = real_at(row, 4),
                                     .figure = text_at(r, row, 5, NAME_BYTES, false),
                                     .value = real_at(row, 6)};
    if (!point.plan || !point.id || !point.curve || !point.label || !point.figure)
        return AGN_ERR_MEMORY;
    if (!isnan(point.x) && !isnan(point.value))
        results->points[results->point_count++] = point;
    return AGN_OK;
}

static int add_plan(struct reading *r, const char *name, const char *question, const char *text)
{
    struct agn__results *results = r->results;
    if (name == NULL || question == NULL || text == NULL)
        return AGN_ERR_MEMORY;
    if (results->plan_count >= MOST_PLANS)
        return fail_many(r, "plans", MOST_PLANS);
    int status = grow((void **)&results->plans, results->plan_count, &r->plan_room, sizeof *results->plans);
    if (status == AGN_OK)
        results->plans[results->plan_count++] = (struct agn__plan){name, question, text};
    return status;
}

static int add_plan_row(struct reading *r, struct agn_query *row)
{
    return add_plan(r, text_at(r, row, 0, NAME_BYTES, false), text_at(r, row, 1, REASON_BYTES, false),
                    text_at(r, row, 2, TEXT_BYTES, true));
}

static int check_version(struct reading *r, struct agn_query *row)
{
    double version = real_at(row, 0);
    if (version == VERSION)
        return AGN_OK;
    return agn_fail(
        AGN_ERR_FORMAT, "%s is a results file of version %.17g, this program reads version %d: %s", r->path,
        version, VERSION, version > VERSION ? "use a newer agilenn" : "expected one made by `agilenn sweep`");
}

/* Rows of a query, each to `take`; how many. */
static int read_rows(struct reading *r, const char *sql, int (*take)(struct reading *, struct agn_query *))
{
    struct agn_query *query = agn_database_ask(r->database, sql, "");
    int taken = AGN_OK, count = 0;
    while (taken >= 0 && agn_query_next(query)) {
        taken = take(r, query);
        count++;
    }
    if (taken < 0) {
        (void)agn_query_end(r->database, query);
        return taken;
    }
    int status = agn_query_end(r->database, query);
    return status < 0 ? explain(r, status) : count;
}

static int read_runs(struct reading *r)
{
    char sql[1024] = "SELECT ";
    for (int i = 0; i < AGN__RUN_TEXTS + AGN__RUN_REALS; i++) {
        size_t at = strlen(sql);
        const char *column = i < AGN__RUN_TEXTS ? text_columns[i] : real_columns[i - AGN__RUN_TEXTS];
        snprintf(sql + at, sizeof sql - at, "%s%s", i > 0 ? ", " : "", column);
    }
    size_t at = strlen(sql);
    snprintf(sql + at, sizeof sql - at, " FROM runs");
    return read_rows(r, sql, add_run);
}

static int read_database(struct reading *r)
{
    /* A view of one moment, should a sweep write meanwhile. */
    int status = agn_database_script(r->database, "BEGIN");
    if (status < 0)
        return explain(r, status);
    status = read_rows(r, "SELECT value FROM meta WHERE key = 'version'", check_version);
    if (status == 0)
        status = agn_fail(AGN_ERR_FORMAT,
                          "%s: its table meta names no version; expected a results file of `agilenn sweep`",
                          r->path);
    if (status >= 0)
        status = read_rows(r, "SELECT name, question, text FROM plans", add_plan_row);
    if (status >= 0)
        status = read_runs(r);
    if (status >= 0)
        status = read_rows(r, "SELECT plan, id, curve, label, x, figure, value FROM curves", add_point);
    return status;
}

static int read_file(struct reading *r)
{
    if (!agn_file_exists(r->path))
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "there is no results file %s; `agilenn sweep PLAN.ini --out FILE` makes one",
                        r->path);
    int status = agn_database_open(r->path, true, &r->database);
    status = status < 0 ? explain(r, status) : read_database(r);
    agn_database_close(r->database);
    r->database = NULL;
    return status;
}

/* ---- order --------------------------------------------------------------------------------- */

static int compare_reals(double a, double b)
{
    bool na = isnan(a), nb = isnan(b);
    return na || nb ? na - nb : (a > b) - (a < b);
}

/* The same run of several files together, the one to keep first: done, begun last; then by all else that the
 * page may show, so that equal means the same. */
static int compare_ids(const void *first, const void *second)
{
    const struct agn__run *a = first, *b = second;
    int order = strcmp(a->text[AGN__PLAN], b->text[AGN__PLAN]);
    if (order == 0)
        order = strcmp(a->text[AGN__ID], b->text[AGN__ID]);
    if (order == 0)
        order = b->done - a->done;
    if (order == 0)
        order = strcmp(b->text[AGN__STARTED], a->text[AGN__STARTED]);
    for (int i = 0; i < AGN__RUN_REALS && order == 0; i++)
        order = compare_reals(a->real[i], b->real[i]);
    for (int i = 0; i < AGN__RUN_TEXTS && order == 0; i++)
        order = strcmp(a->text[i], b->text[i]);
    return order;
}

static int compare_places(const void *first, const void *second)
{
    const struct agn__run *a = first, *b = second;
    int order = strcmp(a->text[AGN__PLAN], b->text[AGN__PLAN]);
    if (order == 0)
        order = compare_reals(a->real[AGN__PLACE], b->real[AGN__PLACE]);
    return order != 0 ? order : strcmp(a->text[AGN__ID], b->text[AGN__ID]);
}

static int compare_points(const void *first, const void *second)
{
    const struct agn__curve_point *a = first, *b = second;
    int order = strcmp(a->plan, b->plan);
    if (order == 0)
        order = strcmp(a->curve, b->curve);
    if (order == 0)
        order = strcmp(a->label, b->label);
    if (order == 0)
        order = strcmp(a->figure, b->figure);
    if (order == 0)
        order = strcmp(a->id, b->id);
    if (order == 0)
        order = compare_reals(a->x, b->x);
    return order != 0 ? order : compare_reals(a->value, b->value);
}

static int compare_plans(const void *first, const void *second)
{
    const struct agn__plan *a = first, *b = second;
    int order = strcmp(a->name, b->name);
    if (order == 0)
        order = strcmp(b->question, a->question); /* one with a question before one without */
    return order != 0 ? order : strcmp(b->text, a->text);
}

/* Leaves the first of those that are the same run, point or plan. */
static void keep_first(struct agn__results *r)
{
    int kept = 0;
    for (int i = 0; i < r->run_count; i++) {
        const struct agn__run *before = kept > 0 ? &r->runs[kept - 1] : NULL, *run = &r->runs[i];
        if (before == NULL || strcmp(before->text[AGN__PLAN], run->text[AGN__PLAN]) != 0 ||
            strcmp(before->text[AGN__ID], run->text[AGN__ID]) != 0)
            r->runs[kept++] = *run;
    }
    r->run_count = kept;
    kept = 0;
    for (int i = 0; i < r->point_count; i++) {
        const struct agn__curve_point *a = kept > 0 ? &r->points[kept - 1] : NULL, *b = &r->points[i];
        bool same = a != NULL && strcmp(a->plan, b->plan) == 0 && strcmp(a->curve, b->curve) == 0 &&
                    strcmp(a->label, b->label) == 0 && strcmp(a->figure, b->figure) == 0 &&
                    strcmp(a->id, b->id) == 0 && compare_reals(a->x, b->x) == 0;
        if (!same)
            r->points[kept++] = *b;
    }
    r->point_count = kept;
    kept = 0;
    for (int i = 0; i < r->plan_count; i++)
        if (kept == 0 || strcmp(r->plans[kept - 1].name, r->plans[i].name) != 0)
            r->plans[kept++] = r->plans[i];
    r->plan_count = kept;
}

static void sort(void *items, int count, size_t size, int (*compare)(const void *, const void *))
{
    if (count > 1)
        qsort(items, (size_t)count, size, compare);
}

int agn__report_read(struct agn__results *results, const char *const *paths, int count)
{
    struct reading reading = {.results = results};
    int status = AGN_OK;
    for (int i = 0; i < count && status >= 0; i++) {
        reading.path = paths[i];
        status = read_file(&reading);
    }
    sort(results->runs, results->run_count, sizeof *results->runs, compare_ids);
    for (int i = 0; i < results->run_count && status >= 0; i++)
        if (i == 0 || strcmp(results->runs[i - 1].text[AGN__PLAN], results->runs[i].text[AGN__PLAN]) != 0)
            status = add_plan(&reading, results->runs[i].text[AGN__PLAN], "", "");
    if (status < 0)
        return status;
    sort(results->points, results->point_count, sizeof *results->points, compare_points);
    sort(results->plans, results->plan_count, sizeof *results->plans, compare_plans);
    keep_first(results);
    sort(results->runs, results->run_count, sizeof *results->runs, compare_places);
    return AGN_OK;
}

void agn__report_free(struct agn__results *results)
{
    free(results->runs);
    free(results->points);
    free(results->plans);
    agn__report_drop(&results->texts);
    *results = (struct agn__results){0};
}
