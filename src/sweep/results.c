/* The results file: an SQLite database with plans, runs and curves. Its columns are those of docs/SWEEP.md; a
 * row is written in one transaction. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sweep/sweep_internal.h"

/* ---- columns ----------------------------------------------------------------------------- */

#define CELL(name)              offsetof(struct agn_sweep_row, name), sizeof(((struct agn_sweep_row *)0)->name)
#define TEXT(name, bytes)       {#name, AGN__TEXT, CELL(name)},
#define WHOLE(name)             {#name, AGN__WHOLE, CELL(name)},
#define REAL(name)              {#name, AGN__REAL, CELL(name)},
#define TYPED_TEXT(name, bytes) ", " #name " TEXT"
#define TYPED_WHOLE(name)       ", " #name " INTEGER"
#define TYPED_REAL(name)        ", " #name " REAL"
#define NAME_TEXT(name, bytes)  ", " #name
#define NAME(name)              ", " #name
#define MARK_TEXT(name, bytes)  ", ?"
#define MARK(name)              ", ?"
#define TYPE_TEXT(name, bytes)  "t"
#define TYPE_WHOLE(name)        "i"
#define TYPE_REAL(name)         "r"
#define VALUE_TEXT(name, bytes) , row->name
#define VALUE(name)             , row->name

const struct agn__column agn__columns[] = {{"plan", AGN__TEXT, CELL(plan)},
                                           AGN_SWEEP_COLUMNS(TEXT, WHOLE, REAL)};
const int agn__column_count = AGN_COUNT_OF(agn__columns);
const char agn__row_columns[] = "plan" AGN_SWEEP_COLUMNS(NAME_TEXT, NAME, NAME);

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value);"
    "CREATE TABLE IF NOT EXISTS plans (name TEXT PRIMARY KEY, question TEXT, text TEXT);"
    "CREATE TABLE IF NOT EXISTS runs (plan TEXT" AGN_SWEEP_COLUMNS(
        TYPED_TEXT, TYPED_WHOLE, TYPED_REAL) ", PRIMARY KEY (plan, id));"
                                             "CREATE TABLE IF NOT EXISTS curves (plan TEXT, id TEXT, curve "
                                             "TEXT, label TEXT, x REAL, figure TEXT, value REAL,"
                                             " PRIMARY KEY (plan, id, curve, label, x, figure));";

/* ---- open and close ---------------------------------------------------------------------- */

/* 0: an empty database. */
static int read_version(struct agn_sweep_file *file, int *version)
{
    struct agn_query *query = agn_database_ask(
        file->database,
        "SELECT count(*), coalesce(sum(name = 'meta'), 0) FROM sqlite_master WHERE type = 'table'", "");
    bool found = agn_query_next(query);
    int tables = found ? agn_query_int(query, 0) : 0, known = found ? agn_query_int(query, 1) : 0;
    int status = agn_query_end(file->database, query);
    *version = 0;
    if (status == AGN_OK && known > 0) {
        query = agn_database_ask(file->database, "SELECT value FROM meta WHERE key = 'version'", "");
        *version = agn_query_next(query) ? agn_query_int(query, 0) : 0;
        status = agn_query_end(file->database, query);
    }
    if (status == AGN_OK && tables > 0 && *version < 1)
        status = agn_fail(AGN_ERR_FORMAT, "%s: a database, but not the results of a sweep", file->path);
    if (status == AGN_OK && *version > AGN_SWEEP_VERSION)
        status = agn_fail(
            AGN_ERR_VERSION,
            "%s: results of version %d, this program knows version %d: use the program that wrote them, "
            "or a later one",
            file->path, *version, AGN_SWEEP_VERSION);
    return status;
}

static int make_tables(struct agn_sweep_file *file, int version)
{
    int status = agn_database_script(file->database, schema);
    if (status == AGN_OK && version == 0)
        status = agn_database_run(file->database, "INSERT INTO meta VALUES ('version', ?)", "i",
                                  (int)AGN_SWEEP_VERSION);
    return status;
}

int agn_sweep_open(const char *path, bool writes, struct agn_sweep_file **opened)
{
    struct agn_sweep_file *file = agn_alloc(1, sizeof *file);
    int version = 0, status = AGN_OK;
    if (file == NULL)
        return AGN_ERR_MEMORY;
    file->lock = -1;
    snprintf(file->path, sizeof file->path, "%s", path);
    if (strlen(path) >= sizeof file->path)
        status =
            agn_fail(AGN_ERR_RANGE, "a path of more than %zu bytes: %.100s...", sizeof file->path - 1, path);
    if (status == AGN_OK && writes)
        status = agn__lock(path);
    if (status >= 0) {
        file->lock = writes ? status : -1;
        status = agn_database_open(path, !writes, &file->database);
    }
    if (status == AGN_OK)
        status = read_version(file, &version);
    if (status == AGN_OK && !writes && version == 0)
        status = agn_fail(AGN_ERR_FORMAT, "%s: an empty database, no results of a sweep", path);
    if (status == AGN_OK && writes)
        status = make_tables(file, version);
    if (status < 0) {
        agn_sweep_close(file);
        return status;
    }
    *opened = file;
    return AGN_OK;
}

void agn_sweep_close(struct agn_sweep_file *file)
{
    if (file == NULL)
        return;
    /* One file again, which may be copied; left as it is where somebody reads it. */
    if (file->lock >= 0 && file->database != NULL)
        (void)agn_database_script(file->database, "PRAGMA journal_mode = DELETE");
    agn_database_close(file->database);
    if (file->lock >= 0)
        close(file->lock);
    agn_free(file);
}

/* ---- rows --------------------------------------------------------------------------------------- */

int agn__results_put_plan(struct agn_sweep_file *file, const char *name, const char *question,
                          const char *text)
{
    return agn_database_run(file->database, "INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", "ttt", name,
                            question, text);
}

int agn__results_put_row(struct agn_sweep_file *file, const struct agn_sweep_row *row)
{
    return agn_database_run(
        file->database,
        "INSERT OR REPLACE INTO runs (plan" AGN_SWEEP_COLUMNS(
            NAME_TEXT, NAME, NAME) ") VALUES (?" AGN_SWEEP_COLUMNS(MARK_TEXT, MARK, MARK) ")",
        "t" AGN_SWEEP_COLUMNS(TYPE_TEXT, TYPE_WHOLE, TYPE_REAL),
        row->plan AGN_SWEEP_COLUMNS(VALUE_TEXT, VALUE, VALUE));
}

int agn__results_put_point(struct agn_sweep_file *file, const char *plan, const char *id,
                           const struct agn_sweep_point *point)
{
    return agn_database_run(file->database, "INSERT OR REPLACE INTO curves VALUES (?, ?, ?, ?, ?, ?, ?)",
                            "ttttrtr", plan, id, point->curve, point->label, point->x, point->figure,
                            point->value);
}

int agn__results_put(struct agn_sweep_file *file, const struct agn_sweep_row *row,
                     const struct agn_sweep_point *points, int count)
{
    int status = agn_database_begin(file->database);
    if (status < 0)
        return status;
    status = agn__results_put_row(file, row);
    if (status == AGN_OK)
        status = agn_database_run(file->database, "DELETE FROM curves WHERE plan = ? AND id = ?", "tt",
                                  row->plan, row->id);
    for (int i = 0; i < count && status == AGN_OK; i++)
        status = agn__results_put_point(file, row->plan, row->id, &points[i]);
    return agn_database_end(file->database, status);
}

int agn__results_copy(struct agn_sweep_file *file, const char *from_plan, const struct agn_sweep_row *row)
{
    int status = agn_database_begin(file->database);
    if (status < 0)
        return status;
    status = agn__results_put_row(file, row);
    if (status == AGN_OK)
        status = agn_database_run(
            file->database,
            "INSERT OR REPLACE INTO curves SELECT ?, id, curve, label, x, figure, value FROM "
            "curves WHERE plan = ? AND id = ?",
            "ttt", row->plan, from_plan, row->id);
    return agn_database_end(file->database, status);
}

void agn__row_read(struct agn_query *query, struct agn_sweep_row *row)
{
    for (int i = 0; i < agn__column_count; i++) {
        char *cell = (char *)row + agn__columns[i].offset;
        if (agn__columns[i].kind == AGN__TEXT)
            snprintf(cell, agn__columns[i].size, "%s", agn_query_text(query, i));
        else if (agn__columns[i].kind == AGN__WHOLE)
            *(int *)(void *)cell = agn_query_int(query, i);
        else
            *(double *)(void *)cell = agn_query_real(query, i);
    }
}

int agn__results_get(struct agn_sweep_file *file, const char *plan, const char *id, struct agn_sweep_row *row)
{
    char sql[1024];
    snprintf(sql, sizeof sql, "SELECT %s FROM runs WHERE id = ? AND %s LIMIT 1", agn__row_columns,
             plan != NULL ? "plan = ?" : "state = 'done'");
    struct agn_query *query = agn_database_ask(file->database, sql, plan != NULL ? "tt" : "t", id, plan);
    bool found = agn_query_next(query);
    if (found)
        agn__row_read(query, row);
    int status = agn_query_end(file->database, query);
    return status < 0 ? status : found;
}

int agn_sweep_each(struct agn_sweep_file *file, const char *plan, agn_sweep_see_fn *see, void *user)
{
    char sql[1024];
    struct agn_sweep_row *row = agn_alloc(1, sizeof *row);
    if (row == NULL)
        return AGN_ERR_MEMORY;
    snprintf(sql, sizeof sql, "SELECT %s FROM runs %s ORDER BY plan, place, id", agn__row_columns,
             plan != NULL ? "WHERE plan = ?" : "");
    struct agn_query *query = agn_database_ask(file->database, sql, plan != NULL ? "t" : "", plan);
    int told = AGN_OK;
    while (told >= 0 && agn_query_next(query)) {
        agn__row_read(query, row);
        told = see(user, row);
    }
    agn_free(row);
    int status = agn_query_end(file->database, query);
    return status < 0 ? status : told;
}

/* ---- figures -------------------------------------------------------------------------------------- */

static const struct agn__column *real_column(int figure)
{
    for (int i = 0; i < agn__column_count; i++)
        if (agn__columns[i].kind == AGN__REAL && figure-- == 0)
            return &agn__columns[i];
    return NULL;
}

const char *agn_sweep_figure_name(int figure)
{
    const struct agn__column *column = real_column(figure);
    return column != NULL ? column->name : NULL;
}

double agn_sweep_figure(const struct agn_sweep_row *row, int figure)
{
    const struct agn__column *column = real_column(figure);
    return *(const double *)(const void *)((const char *)row + column->offset);
}

int agn_sweep_figure_find(const char *name)
{
    for (int i = 0; agn_sweep_figure_name(i) != NULL; i++)
        if (strcmp(agn_sweep_figure_name(i), name) == 0)
            return i;
    return -1;
}
