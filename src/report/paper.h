/* What the AgileNN paper publishes (paper.csv): a row for each table, data set, system, setting and figure.
 */
#ifndef AGN_REPORT_PAPER_H
#define AGN_REPORT_PAPER_H

#include "report/results.h"

struct agn__paper_row {
    const char *table, *dataset, *system, *setting, *figure, *unit, *note;
    double value; /* in `unit` */
};
struct agn__paper {
    struct agn__texts texts;
    struct agn__paper_row *rows;
    int count;
};
/* AGN_ERR_MEMORY; AGN_ERR_FORMAT: the file in the program is broken. Freed with agn__paper_free, after a
 * failure, too. */
int agn__paper_read(struct agn__paper *paper);
void agn__paper_free(struct agn__paper *paper);

/* NAN: not published. */
double agn__paper_value(const struct agn__paper *paper, const struct agn__paper_row *like,
                        const char *figure);
/* Is `row` the first of its table, data set, system and setting? */
bool agn__paper_begins(const struct agn__paper *paper, int row);

/* Of the files in the program; NULL: there is none of that name. */
const struct agn_embedded_file *agn__report_file(const char *name);

#endif
