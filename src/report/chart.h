/* Pictures of the report: points with intervals, some of them joined, by gnuplot as SVG. */
#ifndef AGN_REPORT_CHART_H
#define AGN_REPORT_CHART_H

#include "report/page.h"

enum { AGN__MOST_SERIES = 12, AGN__MOST_POINTS = 200, AGN__NAME = 160 };

struct agn__series {
    char name[AGN__NAME];
    enum agn__source source; /* the paper's points are hollow, and grey */
    bool joined;
    int count;
    double x[AGN__MOST_POINTS];
    struct agn__value y[AGN__MOST_POINTS];
};
struct agn__chart {
    const char *x_name, *y_name;
    bool log_x;     /* points that are not above 0 are left out then */
    bool from_zero; /* the y axis */
    double x_scale, y_scale;
    int count, left_out; /* series */
    struct agn__series series[AGN__MOST_SERIES];
};

/* The series of that name, made where it is not there; NULL: there are too many (counted in left_out). */
struct agn__series *agn__chart_series(struct agn__chart *chart, const char *name, enum agn__source source);
/* What is not known is left out, and so is what is too much. */
void agn__series_add(struct agn__series *series, double x, struct agn__value y);

/* Draws FOLDER/report-NAME.svg and puts it on the page, unless there are fewer than `least` points in all.
 * Joined points are sorted by x. */
int agn__chart_draw(struct agn__chart *chart, struct agn__page *page, const char *name, const char *text,
                    int least);

#endif
