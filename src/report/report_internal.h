/* What the sections of the page share. Each writes its part of report.page and returns 0 or an error. */
#ifndef AGN_REPORT_INTERNAL_H
#define AGN_REPORT_INTERNAL_H

#include "agilenn/report.h"
#include "report/chart.h"
#include "report/paper.h"

enum { AGN__MOST_TOPICS = 16, AGN__PAPER_SETS = 4 };

/* The paper's data sets, in its order. */
extern const char *const agn__paper_sets[AGN__PAPER_SETS];

struct agn__report {
    struct agn__page page;
    struct agn__results results;
    struct agn__designs designs;
    struct agn__paper paper;
    struct agn_board board;
    struct agn_radio radio;
    bool pictures;
    struct agn__chart chart;
    /* For the paper's tables, in the order of agn__topics: rows of ours for each of its data sets; -1: the
     * paper has none there. */
    int ours[AGN__MOST_TOPICS][AGN__PAPER_SETS];
};

int agn__report_write_runs(struct agn__report *report);
int agn__report_write_paper(struct agn__report *report);
int agn__report_write_plans(struct agn__report *report);
int agn__report_write_missing(struct agn__report *report);
int agn__report_write_guidance(struct agn__report *report);

/* A column of figures in a table beside the paper's. */
enum agn__column_kind {
    AGN__COLUMN_REAL,
    AGN__COLUMN_COST,
    AGN__COLUMN_COMPRESSION,
    AGN__COLUMN_K_SHARE,
    AGN__COLUMN_NONE
};
struct agn__column {
    const char *name, *figure; /* figure: the paper's, in paper.csv; NULL: the paper has none */
    enum agn__column_kind kind;
    int which;    /* enum agn__run_real or enum agn__cost */
    double scale; /* of ours, to the column's unit */
    int decimals;
    double rate, clock; /* instead of the profile's, kbit/s and MHz; 0: that */
};

/* A table of the paper, and what of ours belongs beside it: designs that vary one of `keys`, or, where there
 * are none, presets as they are. */
struct agn__topic {
    const char *table, *title, *note, *make; /* make: what would give rows of ours */
    const char *systems;                     /* "" or those that belong here, with spaces around each */
    const char *keys[4];
    bool presets_too; /* though there are keys */
    const struct agn__column *columns;
    int column_count;
    int x, y;             /* columns of the picture; x < 0: of the first key; y < 0: none */
    const double *across; /* x of each column, all of which are one line; NULL: no such picture */
    const char *x_name;
};
extern const struct agn__topic agn__topics[];
extern const int agn__topic_count;

bool agn__topic_has(const struct agn__topic *topic, const struct agn__design *design);
/* Of ours; source of it. */
struct agn__value agn__column_value(const struct agn__report *report, const struct agn__design *design,
                                    const struct agn__column *column);
enum agn__source agn__column_source(const struct agn__column *column);

#endif
