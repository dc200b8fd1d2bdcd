/* Joins results files. Each is taken over in one transaction, so that OUT is never left half joined. */
#include <stdio.h>
#include <string.h>

#include "sweep/sweep_internal.h"

/* Done rows stand above others, and of two that are or are not, the one that was begun later. */
static bool is_better(const struct agn_sweep_row *row, const struct agn_sweep_row *than)
{
    bool done = strcmp(row->state, "done") == 0, other_done = strcmp(than->state, "done") == 0;
    return done != other_done ? done : strcmp(row->started, than->started) > 0;
}

int agn__results_merge_row(struct agn_sweep_file *file, const struct agn_sweep_row *row)
{
    struct agn_sweep_row *there = agn_alloc(1, sizeof *there);
    int found = there == NULL ? AGN_ERR_MEMORY : agn__results_get(file, row->plan, row->id, there);
    bool stays = found > 0 && !is_better(row, there);
    agn_free(there);
    if (found < 0 || stays)
        return found < 0 ? found : 0;
    int status = agn__results_put_row(file, row);
    if (status == AGN_OK)
        status = agn_database_run(file->database, "DELETE FROM curves WHERE plan = ? AND id = ?", "tt",
                                  row->plan, row->id);
    return status < 0 ? status : 1;
}

struct joining {
    struct agn_sweep_file *from, *to;
    int rows;
};

static int take_curves(struct joining *j, const struct agn_sweep_row *row)
{
    struct agn_query *query = agn_database_ask(
        j->from->database, "SELECT curve, label, x, figure, value FROM curves WHERE plan = ? AND id = ?",
        "tt", row->plan, row->id);
    int status = AGN_OK;
    while (status == AGN_OK && agn_query_next(query)) {
        struct agn_sweep_point point = {.x = agn_query_real(query, 2), .value = agn_query_real(query, 4)};
        snprintf(point.curve, sizeof point.curve, "%s", agn_query_text(query, 0));
        snprintf(point.label, sizeof point.label, "%s", agn_query_text(query, 1));
        snprintf(point.figure, sizeof point.figure, "%s", agn_query_text(query, 3));
        status = agn__results_put_point(j->to, row->plan, row->id, &point);
    }
    int ended = agn_query_end(j->from->database, query);
    return status < 0 ? status : ended;
}

static int take_row(void *user, const struct agn_sweep_row *row)
{
    struct joining *j = user;
    int taken = agn__results_merge_row(j->to, row);
    if (taken <= 0)
        return taken;
    j->rows++;
    return take_curves(j, row);
}

static int take_plans(struct joining *j)
{
    struct agn_query *query =
        agn_database_ask(j->from->database, "SELECT name, question, text FROM plans", "");
    int status = AGN_OK;
    while (status == AGN_OK && agn_query_next(query))
        status = agn__results_put_plan(j->to, agn_query_text(query, 0), agn_query_text(query, 1),
                                       agn_query_text(query, 2));
    int ended = agn_query_end(j->from->database, query);
    return status < 0 ? status : ended;
}

static int join_database(struct agn_sweep_file *to, const char *path, int *rows)
{
    struct joining j = {.to = to};
    int status = agn_sweep_open(path, false, &j.from);
    if (status == AGN_OK)
        status = take_plans(&j);
    if (status == AGN_OK)
        status = agn_sweep_each(j.from, NULL, take_row, &j);
    agn_sweep_close(j.from);
    *rows += j.rows;
    return status;
}

/* By its first bytes. */
static bool is_database(const char *path)
{
    static const char magic[] = "SQLite format 3";
    char head[sizeof magic] = "";
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return false;
    size_t got = fread(head, 1, sizeof head, file);
    fclose(file);
    return got == sizeof head && memcmp(head, magic, sizeof head) == 0;
}

int agn_sweep_merge(const char *out, const char *const *from, int count, int *rows)
{
    struct agn_sweep_file *file = NULL;
    int taken = 0;
    for (int i = 0; i < count; i++) /* before OUT is made */
        if (!agn_file_exists(from[i]))
            return agn_fail(AGN_ERR_NOT_FOUND, "there is no file %s", from[i]);
    int status = agn_sweep_open(out, true, &file);
    for (int i = 0; i < count && status == AGN_OK; i++) {
        status = agn_database_begin(file->database);
        if (status < 0)
            break;
        status = is_database(from[i]) ? join_database(file, from[i], &taken)
                                      : agn__csv_merge(file, from[i], &taken);
        status = agn_database_end(file->database, status);
    }
    agn_sweep_close(file);
    if (status == AGN_OK)
        *rows = taken;
    return status;
}
