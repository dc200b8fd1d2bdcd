/* What was run: plans, machines and commits, and the runs that came to nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

enum { LIST_BYTES = 400 };

/* Adds a word to "a, b" unless it is there; an ellipsis where it is full. */
static void add_word(char list[LIST_BYTES], const char *word)
{
    size_t used = strlen(list), length = strlen(word);
    for (const char *at = list; length > 0 && (at = strstr(at, word)) != NULL; at++)
        if ((at == list || at[-1] == ' ') && (at[length] == '\0' || at[length] == ','))
            return;
    if (length == 0 || (used >= 4 && strcmp(list + used - 3, "…") == 0))
        return;
    if (used + length + 8 > LIST_BYTES)
        snprintf(list + used, LIST_BYTES - used, ", …");
    else
        snprintf(list + used, LIST_BYTES - used, "%s%s", used > 0 ? ", " : "", word);
}

static void write_plan(struct agn__report *report, const struct agn__plan *plan)
{
    static const enum agn__run_text listed[] = {AGN__DATASET, AGN__PRESET, AGN__SPLIT, AGN__COMMIT};
    char lists[AGN_COUNT_OF(listed)][LIST_BYTES] = {""};
    double seconds = 0.0;
    int done = 0, running = 0, bad = 0;
    if (!agn__table_row(&report->page))
        return;
    for (int i = 0; i < report->results.run_count; i++) {
        const struct agn__run *run = &report->results.runs[i];
        if (strcmp(run->text[AGN__PLAN], plan->name) != 0)
            continue;
        done += run->done;
        running += strcmp(run->text[AGN__STATE], "running") == 0;
        bad += !run->done && strcmp(run->text[AGN__STATE], "running") != 0;
        seconds += isnan(run->real[AGN__SECONDS]) ? 0.0 : run->real[AGN__SECONDS];
        for (size_t k = 0; k < AGN_COUNT_OF(listed); k++)
            add_word(lists[k], run->text[listed[k]]);
    }
    agn__table_text(&report->page, plan->name);
    agn__table_text(&report->page, plan->question);
    agn__table_count(&report->page, done);
    agn__table_count(&report->page, bad);
    agn__table_count(&report->page, running);
    for (size_t k = 0; k < AGN_COUNT_OF(listed); k++)
        agn__table_text(&report->page, lists[k]);
    agn__table_value(&report->page, AGN__MEASURED, (struct agn__value){seconds / 3600.0, NAN, NAN}, 1.0, 1);
}

/* ---- machines -------------------------------------------------------------------------------- */

static int compare_machines(const void *first, const void *second)
{
    const struct agn__run *a = *(const struct agn__run *const *)first,
                          *b = *(const struct agn__run *const *)second;
    double x = a->real[AGN__THREADS], y = b->real[AGN__THREADS];
    int order = strcmp(a->text[AGN__MACHINE], b->text[AGN__MACHINE]);
    if (order == 0)
        order = strcmp(a->text[AGN__COMMIT], b->text[AGN__COMMIT]);
    return order != 0 ? order : isnan(x) || isnan(y) ? isnan(x) - isnan(y) : (x > y) - (x < y);
}

static int write_machines(struct agn__report *report)
{
    static const char *const columns[] = {"machine", "commit", "threads", "runs", "hours"};
    size_t count = (size_t)report->results.run_count;
    const struct agn__run **runs = agn_alloc(count + 1, sizeof(*runs));
    if (runs == NULL)
        return AGN_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        runs[i] = &report->results.runs[i];
    qsort(runs, count, sizeof(*runs), compare_machines);
    agn__table_begin(&report->page, "Machines and commits", columns, AGN_COUNT_OF(columns),
                     AGN__NUMBERS(2, 5));
    for (size_t i = 0, next = 0; i < count; i = next) {
        double seconds = 0.0;
        for (next = i; next < count && compare_machines(&runs[i], &runs[next]) == 0; next++)
            seconds += isnan(runs[next]->real[AGN__SECONDS]) ? 0.0 : runs[next]->real[AGN__SECONDS];
        if (!agn__table_row(&report->page))
            continue;
        agn__table_text(&report->page, runs[i]->text[AGN__MACHINE]);
        agn__table_text(&report->page, runs[i]->text[AGN__COMMIT]);
        agn__table_count(&report->page, runs[i]->real[AGN__THREADS]);
        agn__table_count(&report->page, (double)(next - i));
        agn__table_value(&report->page, AGN__MEASURED, (struct agn__value){seconds / 3600.0, NAN, NAN}, 1.0,
                         1);
    }
    agn__table_end(&report->page);
    agn_free(runs);
    return AGN_OK;
}

/* ---- runs without a result --------------------------------------------------------------------- */

static void write_failures(struct agn__report *report)
{
    static const char *const columns[] = {"plan", "run", "preset", "design", "seed", "state", "reason"};
    static const enum agn__run_text before[] = {AGN__PLAN, AGN__ID, AGN__PRESET, AGN__DESIGN};
    struct agn__page *page = &report->page;
    agn__table_begin(page, "Runs that failed, diverged or are not finished", columns, AGN_COUNT_OF(columns),
                     AGN__NUMBERS(4, 5));
    for (int i = 0; i < report->results.run_count; i++) {
        const struct agn__run *run = &report->results.runs[i];
        if (run->done || !agn__table_row(page))
            continue;
        for (size_t k = 0; k < AGN_COUNT_OF(before); k++)
            agn__table_text(page, run->text[before[k]]);
        agn__table_count(page, run->real[AGN__SEED]);
        agn__table_text(page, run->text[AGN__STATE]);
        agn__table_text(page, run->text[AGN__REASON]);
    }
    if (agn__table_end(page) == 0)
        agn__page_text(page, "No run failed or diverged.");
}

int agn__report_write_runs(struct agn__report *report)
{
    static const char *const columns[] = {"plan",      "question", "done",   "failed",  "running",
                                          "data sets", "presets",  "images", "commits", "hours"};
    agn__page_section(&report->page, "runs", "What was run");
    if (report->results.run_count == 0)
        agn__page_text(&report->page, "The results files hold no runs.");
    agn__table_begin(&report->page, "Plans", columns, AGN_COUNT_OF(columns),
                     AGN__NUMBERS(2, 5) | AGN__NUMBERS(9, 10));
    for (int i = 0; i < report->results.plan_count; i++)
        write_plan(report, &report->results.plans[i]);
    agn__table_end(&report->page);
    int status = write_machines(report);
    if (report->results.run_count > 0)
        write_failures(report);
    return status;
}
