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
    const char *key;     /* "skewness_mean"; of JSON's object "network_ms": "network_ms.p99" */
    const char *unit;    /* "ms"; NULL: none */
    const char *meaning; /* for people; NULL: the key says it */
    enum agn_figure_kind kind;
    int decimals;     /* that people read; 0: as the kind and the value's size ask for */
    double value;     /* NAN: not known */
    double low, high; /* an interval around it; none unless low < high */
    const char *text; /* AGN_FIGURE_TEXT */
};

/* In the order in which they are written. Strings stay the caller's. */
enum { AGN_MAX_FIGURES = 64 };
struct agn_figures {
    struct agn_figure list[AGN_MAX_FIGURES];
    int count;
};

/* To add more than AGN_MAX_FIGURES is a caller's bug. */
void agn_figures_add(struct agn_figures *figures, const char *key, enum agn_figure_kind kind, double value,
                     const char *unit, const char *meaning);
void agn_figures_add_text(struct agn_figures *figures, const char *key, const char *text,
                          const char *meaning);
/* Gives the figure that was added last an interval. */
void agn_figures_interval(struct agn_figures *figures, double low, double high);
/* Adds a figure as it stands in another list; nothing if that has it not. */
void agn_figures_take(struct agn_figures *figures, const struct agn_figures *from, const char *key);
/* NULL: there is none of that key. */
const struct agn_figure *agn_figures_find(const struct agn_figures *figures, const char *key);

/* The value as people read it, with interval and unit: "87.12 % (86.40 to 87.80)". Returns its bytes, as
 * snprintf does; 0 and "": it is not known. */
int agn_figure_text(const struct agn_figure *figure, char *text, size_t cap);

/* Aligned columns key, value, meaning. Figures that are not known are left out. */
void agn_figures_print(FILE *stream, const struct agn_figures *figures);
/* The same as a Markdown table. */
void agn_figures_print_markdown(FILE *stream, const struct agn_figures *figures);
/* A line of names, then key, unit, value, low, high, meaning of each; what is not known is empty. */
void agn_figures_print_csv(FILE *stream, const struct agn_figures *figures);
/* A new object of jansson's, for the caller to drop; NULL: out of memory. What is not known is null; an
 * interval is KEY_low and KEY_high. */
struct json_t *agn_figures_json(const struct agn_figures *figures);

/* A field of a CSV line, in quotes where it needs them (RFC 4180). */
void agn_csv_field(FILE *stream, const char *text);

#endif
