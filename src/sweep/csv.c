/* Tables of a results file as CSV: runs, curves and plans without loss, designs for people and their
 * programs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sweep/sweep_internal.h"

/* The fewest digits that give the same number when read; nothing for one that is none. */
static void write_real(FILE *stream, double value)
{
    char text[32];
    if (!isfinite(value))
        return;
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, stream);
}

static int write_run(void *stream, const struct agn_sweep_row *row)
{
    for (int i = 0; i < agn__column_count; i++) {
        const char *cell = (const char *)row + agn__columns[i].offset;
        if (i > 0)
            fputc(',', stream);
        if (agn__columns[i].kind == AGN__TEXT)
            agn_csv_field(stream, cell);
        else if (agn__columns[i].kind == AGN__WHOLE)
            fprintf(stream, "%d", *(const int *)(const void *)cell);
        else
            write_real(stream, *(const double *)(const void *)cell);
    }
    fputs("\r\n", stream);
    return AGN_OK;
}

static int write_design(void *stream, const struct agn_sweep_design *d)
{
    const char *const texts[] = {d->first.plan,   d->first.dataset,  d->first.preset, d->first.system,
                                 d->first.design, d->first.settings, d->first.split};
    for (size_t i = 0; i < AGN_COUNT_OF(texts); i++) {
        agn_csv_field(stream, texts[i]);
        fputc(',', stream);
    }
    fprintf(stream, "%d,%d,%d,%d", d->first.images, d->done, d->failed, d->diverged);
    for (int f = 0; agn_sweep_figure_name(f) != NULL; f++) {
        const double values[] = {d->of[f].mean, d->of[f].low, d->of[f].high};
        for (size_t i = 0; i < AGN_COUNT_OF(values); i++) {
            fputc(',', stream);
            write_real(stream, values[i]);
        }
    }
    fputs("\r\n", stream);
    return AGN_OK;
}

static int write_query(struct agn_sweep_file *file, const char *plan, const char *sql, const char *kinds,
                       FILE *stream)
{
    struct agn_query *query = agn_database_ask(file->database, sql, "tt", plan, plan);
    while (agn_query_next(query)) {
        for (int i = 0; kinds[i] != '\0'; i++) {
            if (i > 0)
                fputc(',', stream);
            if (kinds[i] == 't')
                agn_csv_field(stream, agn_query_text(query, i));
            else
                write_real(stream, agn_query_real(query, i));
        }
        fputs("\r\n", stream);
    }
    return agn_query_end(file->database, query);
}

int agn_sweep_write_csv(struct agn_sweep_file *file, const char *plan, enum agn_sweep_table table, void *to)
{
    FILE *stream = to;
    int status;
    if (table == AGN_SWEEP_RUNS) {
        for (int i = 0; i < agn__column_count; i++)
            fprintf(stream, "%s%s", i > 0 ? "," : "", agn__columns[i].name);
        fputs("\r\n", stream);
        status = agn_sweep_each(file, plan, write_run, stream);
    } else if (table == AGN_SWEEP_DESIGNS) {
        fputs("plan,dataset,preset,system,design,settings,split,images,done,failed,diverged", stream);
        for (int f = 0; agn_sweep_figure_name(f) != NULL; f++)
            fprintf(stream, ",%s,%s_low,%s_high", agn_sweep_figure_name(f), agn_sweep_figure_name(f),
                    agn_sweep_figure_name(f));
        fputs("\r\n", stream);
        status = agn_sweep_each_design(file, plan, write_design, stream);
    } else if (table == AGN_SWEEP_CURVES) {
        fputs("plan,id,curve,label,x,figure,value\r\n", stream);
        status = write_query(
            file, plan,
            "SELECT plan, id, curve, label, x, figure, value FROM curves WHERE ? IS NULL OR plan = ? "
            "ORDER BY plan, id, curve, label, x, figure",
            "ttttrtr", stream);
    } else {
        fputs("name,question,text\r\n", stream);
        status = write_query(
            file, plan, "SELECT name, question, text FROM plans WHERE ? IS NULL OR name = ? ORDER BY name",
            "ttt", stream);
    }
    return status >= 0 && ferror(stream) ? agn_fail(AGN_ERR_IO, "cannot write the table") : status;
}
