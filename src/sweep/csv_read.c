/* Reads CSV back (RFC 4180, with or without a carriage return at a line's end): runs, curves or plans, as
 * csv.c writes them. Which it is the first line says. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/sweep_internal.h"

enum { MOST_BYTES = 1 << 30, MOST_FIELDS = 64 };

struct reading {
    struct agn_sweep_file *file;
    const char *path;
    char *at; /* not read yet; fields are cut out in place */
    int line; /* of the record */
    int next_line;
    char *fields[MOST_FIELDS];
    int count, rows;
};

static int fail_at(const struct reading *r, const char *what)
{
    return agn_fail(AGN_ERR_FORMAT, "%s, line %d: %s", r->path, r->line, what);
}

/* A field in quotes: cut out, doubled quotes made one. NULL: it has no end. */
static char *cut_quoted(struct reading *r)
{
    char *from = r->at + 1, *to = from, *field = from;
    for (;; from++) {
        if (*from == '\0')
            return NULL;
        r->next_line += *from == '\n';
        if (*from == '"' && from[1] != '"')
            break;
        from += *from == '"';
        *to++ = *from;
    }
    r->at = from + 1;
    *to = '\0';
    return field;
}

/* One record into r->fields: 1; 0: the end of the file. */
static int next_record(struct reading *r)
{
    r->count = 0;
    r->line = r->next_line;
    if (*r->at == '\0')
        return 0;
    for (;;) {
        bool quoted = *r->at == '"';
        char *field = quoted ? cut_quoted(r) : r->at;
        if (field == NULL)
            return fail_at(r, "a quote has no end");
        if (!quoted)
            r->at += strcspn(r->at, ",\r\n\"");
        char end = *r->at;
        bool last = end == '\n' || (end == '\r' && r->at[1] == '\n') || end == '\0';
        if (!last && end != ',')
            return fail_at(r, "expected a comma or the line's end behind a field");
        if (r->count == MOST_FIELDS)
            return fail_at(r, "more fields than any table has");
        r->fields[r->count++] = field;
        char *next = end == '\0' ? r->at : r->at + (end == '\r' ? 2 : 1);
        *r->at = '\0';
        r->at = next;
        if (last) {
            r->next_line++;
            return 1;
        }
    }
}

static bool read_real(const char *text, double *value)
{
    char *end = NULL;
    *value = NAN;
    if (text[0] == '\0')
        return true;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

static bool read_whole(const char *text, int *value)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    *value = (int)number;
    return end != text && *end == '\0' && errno == 0 && number >= INT_MIN && number <= INT_MAX;
}

static bool is_state(const char *state)
{
    static const char *const states[] = {"running", "done", "failed", "diverged"};
    for (size_t i = 0; i < AGN_COUNT_OF(states); i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    return false;
}

static int take_run(struct reading *r, struct agn_sweep_row *row)
{
    char text[128];
    for (int i = 0; i < agn__column_count; i++) {
        const struct agn__column *column = &agn__columns[i];
        char *cell = (char *)row + column->offset;
        bool good;
        if (column->kind == AGN__TEXT) {
            good = strlen(r->fields[i]) < column->size;
            if (good)
                memcpy(cell, r->fields[i], strlen(r->fields[i]) + 1);
        } else {
            good = column->kind == AGN__WHOLE ? read_whole(r->fields[i], (int *)(void *)cell)
                                              : read_real(r->fields[i], (double *)(void *)cell);
        }
        if (!good) {
            snprintf(text, sizeof text, "%s = '%.60s': too long, or not a number", column->name,
                     r->fields[i]);
            return fail_at(r, text);
        }
    }
    if (strlen(row->id) != 16 || strspn(row->id, "0123456789abcdef") != 16 || !is_state(row->state) ||
        row->plan[0] == '\0')
        return fail_at(r, "a run has a plan, an id of 16 hexadecimal digits and a state");
    int taken = agn__results_merge_row(r->file, row);
    if (taken > 0)
        r->rows++;
    return taken < 0 ? taken : AGN_OK;
}

static int take_point(struct reading *r)
{
    struct agn_sweep_point point;
    const struct {
        char *to;
        size_t size;
        int field;
    } texts[] = {{point.curve, sizeof point.curve, 2},
                 {point.label, sizeof point.label, 3},
                 {point.figure, sizeof point.figure, 5}};
    bool good = read_real(r->fields[4], &point.x) && read_real(r->fields[6], &point.value) &&
                isfinite(point.x) && isfinite(point.value);
    for (size_t i = 0; i < AGN_COUNT_OF(texts) && good; i++) {
        good = strlen(r->fields[texts[i].field]) < texts[i].size;
        if (good)
            memcpy(texts[i].to, r->fields[texts[i].field], strlen(r->fields[texts[i].field]) + 1);
    }
    return good ? agn__results_put_point(r->file, r->fields[0], r->fields[1], &point)
                : fail_at(r, "a name is too long, or a number is none");
}

static int take_plan(struct reading *r)
{
    return agn__results_put_plan(r->file, r->fields[0], r->fields[1], r->fields[2]);
}

/* ---- tables ----------------------------------------------------------------------------------- */

enum table { RUNS, CURVES, PLANS };

static bool is_head(const struct reading *r, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (r->count != count || strcmp(r->fields[i], names[i]) != 0)
            return false;
    return true;
}

static int read_head(struct reading *r, enum table *table)
{
    static const char *const curves[] = {"plan", "id", "curve", "label", "x", "figure", "value"};
    static const char *const plans[] = {"name", "question", "text"};
    const char *runs[MOST_FIELDS];
    for (int i = 0; i < agn__column_count; i++)
        runs[i] = agn__columns[i].name;
    int status = next_record(r);
    if (status > 0 && is_head(r, runs, agn__column_count))
        *table = RUNS;
    else if (status > 0 && is_head(r, curves, (int)AGN_COUNT_OF(curves)))
        *table = CURVES;
    else if (status > 0 && is_head(r, plans, (int)AGN_COUNT_OF(plans)))
        *table = PLANS;
    else if (status >= 0)
        return fail_at(
            r, "expected the head of a table of runs, curves or plans, as agilenn sweep csv --runs, --curves "
               "and --plans write it");
    return status < 0 ? status : AGN_OK;
}

static int read_table(struct reading *r, struct agn_sweep_row *row)
{
    enum table table = RUNS;
    int status = read_head(r, &table), columns = r->count;
    while (status == AGN_OK && (status = next_record(r)) > 0) {
        if (r->count != columns)
            return fail_at(r, "another number of fields than the head has");
        status = table == RUNS ? take_run(r, row) : table == CURVES ? take_point(r) : take_plan(r);
    }
    return status;
}

int agn__csv_merge(struct agn_sweep_file *file, const char *path, int *rows)
{
    struct reading r = {.file = file, .path = path, .line = 1, .next_line = 1};
    uint8_t *data = NULL;
    size_t size = 0;
    struct agn_sweep_row *row = agn_alloc(1, sizeof *row);
    int status = row == NULL ? AGN_ERR_MEMORY : agn_file_read(path, MOST_BYTES, &data, &size);
    if (status == AGN_OK && strlen((const char *)data) != size)
        status = agn_fail(AGN_ERR_FORMAT, "%s: a zero byte: expected an SQLite file or CSV", path);
    if (status == AGN_OK) {
        r.at = (char *)data;
        status = read_table(&r, row);
    }
    agn_free(data);
    agn_free(row);
    *rows += r.rows;
    return status;
}
