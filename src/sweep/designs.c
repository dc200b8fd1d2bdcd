/* Runs that differ in their seeds only, together: mean and interval of each figure. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sweep/sweep_internal.h"

/* ---- designs ----------------------------------------------------------------------------------- */

struct gathering {
    struct agn_sweep_design design;
    double *values[AGN_SWEEP_FIGURES];
    int count, room; /* done runs */
    int images;
    bool any;
};

static void free_values(struct gathering *g)
{
    for (int f = 0; f < AGN_SWEEP_FIGURES; f++)
        agn_free(g->values[f]);
}

static int make_room(struct gathering *g)
{
    if (g->count < g->room)
        return AGN_OK;
    int room = g->room > 0 ? 2 * g->room : 16;
    for (int f = 0; agn_sweep_figure_name(f) != NULL; f++) {
        double *larger = agn_alloc((size_t)room, sizeof *larger);
        if (larger == NULL)
            return AGN_ERR_MEMORY;
        if (g->count > 0)
            memcpy(larger, g->values[f], (size_t)g->count * sizeof *larger);
        agn_free(g->values[f]);
        g->values[f] = larger;
    }
    g->room = room;
    return AGN_OK;
}

static bool is_same_design(const struct agn_sweep_row *a, const struct agn_sweep_row *b)
{
    return strcmp(a->plan, b->plan) == 0 && strcmp(a->dataset, b->dataset) == 0 &&
           strcmp(a->preset, b->preset) == 0 && strcmp(a->design, b->design) == 0 &&
           strcmp(a->settings, b->settings) == 0 && strcmp(a->split, b->split) == 0;
}

static bool is_accuracy(const char *name)
{
    const char *end = strstr(name, "accuracy");
    return end != NULL && strcmp(end, "accuracy") == 0;
}

/* Tells of the design that is whole. */
static int tell(struct gathering *g, agn_sweep_design_fn *see, void *user)
{
    if (!g->any)
        return AGN_OK;
    for (int f = 0; agn_sweep_figure_name(f) != NULL; f++)
        g->design.of[f] =
            agn_statistic_of(g->values[f], g->count, is_accuracy(agn_sweep_figure_name(f)) ? g->images : 0);
    g->any = false;
    return see(user, &g->design);
}

static int take(struct gathering *g, const struct agn_sweep_row *row)
{
    struct agn_sweep_design *d = &g->design;
    if (!g->any) {
        *d = (struct agn_sweep_design){.first = *row};
        g->count = 0;
        g->any = true;
    }
    d->failed += strcmp(row->state, "failed") == 0;
    d->diverged += strcmp(row->state, "diverged") == 0;
    d->running += strcmp(row->state, "running") == 0;
    if (strcmp(row->state, "done") != 0)
        return AGN_OK;
    int status = make_room(g);
    for (int f = 0; status == AGN_OK && agn_sweep_figure_name(f) != NULL; f++)
        g->values[f][g->count] = agn_sweep_figure(row, f);
    if (d->done == 0) /* names alone are of any run */
        d->first = *row;
    g->count += status == AGN_OK;
    g->images = row->images;
    d->done++;
    return status;
}

int agn_sweep_each_design(struct agn_sweep_file *file, const char *plan, agn_sweep_design_fn *see, void *user)
{
    char sql[2048];
    struct agn_sweep_row *row = agn_alloc(1, sizeof *row);
    struct gathering *g = agn_alloc(1, sizeof *g);
    int told = row == NULL || g == NULL ? AGN_ERR_MEMORY : AGN_OK;
    snprintf(
        sql, sizeof sql,
        "SELECT %s FROM (SELECT *, min(place) OVER (PARTITION BY plan, dataset, preset, design, settings, "
        "split)"
        " AS first FROM runs %s) ORDER BY plan, first, dataset, preset, design, settings, split, seed, id",
        agn__row_columns, plan != NULL ? "WHERE plan = ?" : "");
    struct agn_query *query = agn_database_ask(file->database, sql, plan != NULL ? "t" : "", plan);
    while (told >= 0 && agn_query_next(query)) {
        agn__row_read(query, row);
        if (g->any && !is_same_design(&g->design.first, row))
            told = tell(g, see, user);
        if (told >= 0)
            told = take(g, row);
    }
    if (told >= 0)
        told = tell(g, see, user);
    if (g != NULL)
        free_values(g);
    agn_free(g);
    agn_free(row);
    int status = agn_query_end(file->database, query);
    return status < 0 ? status : told;
}
