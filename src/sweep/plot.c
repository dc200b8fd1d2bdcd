/* A picture of a plan's designs: a figure over another one or over a setting, with intervals over seeds. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/gnuplot.h"
#include "sweep/sweep_internal.h"

enum { LINES = 12, LABEL = 128 };

static const char *const colours[] = {AGN_COLOUR_BLUE,   AGN_COLOUR_VERMILLION, AGN_COLOUR_GREEN,
                                      AGN_COLOUR_ORANGE, AGN_COLOUR_SKY,        AGN_COLOUR_INK};

struct point {
    double x, x_low, x_high, y, low, high;
    char line[LABEL];
};

struct drawing {
    const struct agn_sweep_picture *picture;
    int x_figure, y_figure; /* -1: a setting */
    struct point *points;
    int count, room, skipped;
};

/* The value of a setting, "" for none. */
static void setting_of(const struct agn_sweep_row *row, const char *key, char value[LABEL])
{
    json_t *settings = json_loads(row->settings, 0, NULL);
    const char *text = json_string_value(json_object_get(settings, key));
    snprintf(value, LABEL, "%s", text != NULL ? text : "");
    json_decref(settings);
}

/* A figure's mean with its interval, or a setting that is a number; false: neither. */
static bool read_axis(const struct agn_sweep_design *d, int figure, const char *key, double at[3])
{
    char value[LABEL], *end;
    if (figure >= 0) {
        const struct agn_statistic *s = &d->of[figure];
        at[0] = s->mean;
        at[1] = isfinite(s->low) ? s->low : s->mean;
        at[2] = isfinite(s->high) ? s->high : s->mean;
        return isfinite(s->mean);
    }
    setting_of(&d->first, key, value);
    at[0] = at[1] = at[2] = strtod(value, &end);
    return end != value && *end == '\0' && isfinite(at[0]);
}

static int add_point(struct drawing *d, const struct point *point)
{
    if (d->count == d->room) {
        int room = d->room > 0 ? 2 * d->room : 64;
        struct point *larger = agn_alloc((size_t)room, sizeof *larger);
        if (larger == NULL)
            return AGN_ERR_MEMORY;
        if (d->count > 0)
            memcpy(larger, d->points, (size_t)d->count * sizeof *larger);
        agn_free(d->points);
        d->points = larger;
        d->room = room;
    }
    d->points[d->count++] = *point;
    return AGN_OK;
}

static int take_design(void *user, const struct agn_sweep_design *design)
{
    struct drawing *d = user;
    const char *by = d->picture->by;
    struct point point;
    double x[3], y[3];
    if (!read_axis(design, d->x_figure, d->picture->x, x) ||
        !read_axis(design, d->y_figure, d->picture->y, y)) {
        d->skipped++;
        return AGN_OK;
    }
    point = (struct point){.x = x[0], .x_low = x[1], .x_high = x[2], .y = y[0], .low = y[1], .high = y[2]};
    if (by == NULL || strcmp(by, "preset") == 0)
        snprintf(point.line, sizeof point.line, "%s", design->first.preset);
    else
        setting_of(&design->first, by, point.line);
    return add_point(d, &point);
}

static int by_number(const char *a, const char *b)
{
    char *end_a, *end_b;
    double x = strtod(a, &end_a), y = strtod(b, &end_b);
    bool numbers = end_a != a && *end_a == '\0' && end_b != b && *end_b == '\0';
    return numbers && x != y ? (x < y ? -1 : 1) : strcmp(a, b);
}

static int by_line(const void *a, const void *b)
{
    const struct point *p = a, *q = b;
    int order = by_number(p->line, q->line);
    return order != 0 ? order : (p->x > q->x) - (p->x < q->x);
}

static void write_lines(FILE *script, const struct drawing *d)
{
    int line = 0;
    for (int i = 0; i < d->count; i++) {
        const struct point *p = &d->points[i];
        if (i == 0 || strcmp(p->line, p[-1].line) != 0)
            fprintf(script, "%s$line%d << EOD\n", i > 0 ? "EOD\n" : "", line++);
        fprintf(script, "%.9g %.9g %.9g %.9g %.9g %.9g\n", p->x, p->y, p->x_low, p->x_high, p->low, p->high);
    }
    fprintf(script, "EOD\n");
}

static void write_plot(FILE *script, const struct drawing *d)
{
    int line = 0;
    for (int i = 0; i < d->count; i++) {
        if (i > 0 && strcmp(d->points[i].line, d->points[i - 1].line) == 0)
            continue;
        const char *colour = colours[line % (int)AGN_COUNT_OF(colours)];
        fprintf(
            script,
            "%s$line%d using 1:2 with lines linewidth 1.4 linecolor rgb '%s' notitle, "
            "$line%d using 1:2:3:4:5:6 with xyerrorbars pointtype %d pointsize 0.8 linecolor rgb '%s' title ",
            line == 0 ? "plot " : ", ", line, colour, line, line % 2 == 0 ? 7 : 5, colour);
        agn_gnuplot_string(script, d->points[i].line[0] != '\0' ? d->points[i].line : "-");
        line++;
    }
    fprintf(script, "\n");
}

static void write_script(FILE *script, const struct drawing *d)
{
    fprintf(script, "set title ");
    agn_gnuplot_string(script, d->picture->plan);
    fprintf(script, "\nset xlabel ");
    agn_gnuplot_string(script, d->picture->x);
    fprintf(script, "\nset ylabel ");
    agn_gnuplot_string(script, d->picture->y);
    fprintf(script, "\nset key outside right top title ");
    agn_gnuplot_string(script, d->picture->by != NULL ? d->picture->by : "preset");
    fprintf(script, "\nset offsets graph 0.04, graph 0.04, graph 0.04, graph 0.04\n");
    write_plot(script, d);
}

static int count_lines(const struct drawing *d)
{
    int lines = d->count > 0;
    for (int i = 1; i < d->count; i++)
        lines += strcmp(d->points[i].line, d->points[i - 1].line) != 0;
    return lines;
}

static int draw(struct drawing *d, const char *path)
{
    struct agn_gnuplot plot;
    const struct agn_sweep_picture *p = d->picture;
    if (d->count == 0)
        return agn_fail(
            AGN_ERR_NOT_FOUND,
            "plan %s: none of its %d designs has both %s and %s: expected figures (accuracy, bytes_mean, "
            "...) or settings that are numbers, of runs that are done",
            p->plan, d->skipped, p->x, p->y);
    qsort(d->points, (size_t)d->count, sizeof *d->points, by_line);
    if (count_lines(d) > LINES)
        return agn_fail(AGN_ERR_RANGE,
                        "plan %s: %d lines, one for each value of %s: a picture has at most %d", p->plan,
                        count_lines(d), p->by != NULL ? p->by : "preset", LINES);
    int status = agn_gnuplot_open_for(&plot, path, 900, 560);
    if (status < 0)
        return status;
    write_lines(plot.script, d);
    write_script(plot.script, d);
    return agn_gnuplot_draw(&plot, path);
}

int agn_sweep_plot(struct agn_sweep_file *file, const struct agn_sweep_picture *picture, const char *path)
{
    struct drawing d = {.picture = picture,
                        .x_figure = agn_sweep_figure_find(picture->x),
                        .y_figure = agn_sweep_figure_find(picture->y)};
    int status = agn_sweep_each_design(file, picture->plan, take_design, &d);
    if (status >= 0)
        status = draw(&d, path);
    agn_free(d.points);
    return status < 0 ? status : AGN_OK;
}
