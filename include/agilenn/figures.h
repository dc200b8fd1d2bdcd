/* Figures: what was measured, in one list from which text, JSON, CSV and the rows of a report are written. */
#ifndef AGILENN_FIGURES_H
#define AGILENN_FIGURES_H

#include <stdio.h>

enum agn_figure_kind {
    AGN_FIGURE_REAL,
    AGN_FIGURE_WHOLE, /* a count */
    AGN_FIGURE_SHARE, /* of a whole, 0 to 1; people read it in per cent */
    AGN_FIGURE_TEXT,
};

struct agn_figure {
    const char *key;     /* "skewness_mean"; in JSON's object "network_ms": "network_ms.p99" */
    const char *unit;    /* of a real number: "ms"; "": none */
    const char *meaning; /* for people */
    enum agn_figure_kind kind;
    double value;     /* NAN: not known */
    double low, high; /* an interval around it; none unless low < high */
    const char *text; /* AGN_FIGURE_TEXT */
};

/* In the order in which they are written; empty when it is zero. Strings stay the caller's. */
enum { AGN_MAX_FIGURES = 64 };
struct agn_figures {
    struct agn_figure list[AGN_MAX_FIGURES];
    int count;
};

/* To add more than AGN_MAX_FIGURES is a caller's bug. */
void agn_figures_add_real(struct agn_figures *f, const char *key, double value, const char *unit,
                          const char *meaning);
void agn_figures_add_whole(struct agn_figures *f, const char *key, double value, const char *meaning);
void agn_figures_add_share(struct agn_figures *f, const char *key, double value, const char *meaning);
void agn_figures_add_text(struct agn_figures *f, const char *key, const char *text, const char *meaning);
/* Gives the figure that was added last an interval. */
void agn_figures_add_interval(struct agn_figures *f, double low, double high);
/* Adds the figures of these keys as they stand in another list, without those that it has not. */
void agn_figures_add_from(struct agn_figures *f, const struct agn_figures *from, const char *const *keys,
                          size_t count);

/* Aligned columns: key, value with interval and unit, meaning. What is not known is left out. */
void agn_figures_print(const struct agn_figures *f, FILE *stream);
/* The same as a Markdown table. */
void agn_figures_print_markdown(const struct agn_figures *f, FILE *stream);
/* A line of names, then key, unit, value, low, high, meaning of each; what is not known is empty. */
void agn_figures_print_csv(const struct agn_figures *f, FILE *stream);
/* A new object of jansson's, for the caller to drop; NULL: out of memory. What is not known is null; an
 * interval is KEY_low and KEY_high. */
struct json_t *agn_figures_json(const struct agn_figures *f);

/* Mean of repeated measurements and the interval that holds it with 95 %: mean +- t s / sqrt(n) by Student's
 * t of two and more; of one, which is a share of `images` images, Wilson's (1927); else none (NAN). NAN among
 * the values are left out, n are the others; images 0: they are no such shares. */
struct agn_statistic {
    int n;
    double mean, low, high;
};
struct agn_statistic agn_statistic_of(const double *values, int count, int images);

/* A field of a CSV line, in quotes where it needs them (RFC 4180). */
void agn_csv_field(FILE *stream, const char *text);

#endif
