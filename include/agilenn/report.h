/* A page of results: what runs measured, beside what the AgileNN paper says, with what its frames cost by the
 * model of cost.h. Measured, modelled and taken from the paper are told apart everywhere. */
#ifndef AGILENN_REPORT_H
#define AGILENN_REPORT_H

#include <stdbool.h>

struct agn_report_config {
    const char *const
        *results;       /* SQLite files of `agilenn sweep`, version 1; a run that several have counts once */
    int result_count;   /* at least 1 */
    const char *folder; /* exists; gets report.html, report.md, report-*.svg */
    const char *title;  /* of any origin */
    const char *board, *radio; /* profiles for latency and energy (agn_board_load, agn_radio_load) */
    bool pictures;             /* by gnuplot; else tables only */
};

struct agn_report_summary {
    int plans, runs, done; /* runs: each once, however many plans have it */
    int pictures;
};

/* The same files give the same bytes, in whatever order their rows lie. AGN_ERR_NOT_FOUND: no such file, or
 * gnuplot is missing; AGN_ERR_FORMAT: no results file, or one of another version; AGN_ERR_RANGE: more rows
 * than the page can be made of (100,000 runs, a million points of curves); AGN_ERR_IO. A page that is there
 * stays as it was on failure; pictures may have changed. `summary` may be NULL. */
int agn_report_write(const struct agn_report_config *config, struct agn_report_summary *summary);

/* The plan of a small comparison of all systems, as `agilenn report --quick` runs it. Its length. */
int agn_report_quick_plan(const char **text);

#endif
