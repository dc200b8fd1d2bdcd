/* Draws a chart by gnuplot and puts it on the page. */
#include "report/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/gnuplot.h"

enum { WIDTH = 760, HEIGHT = 360, KEY_LINE = 20 };
#define LARGEST 1e12 /* of what is drawn */

static const char *const colours[] = {AGN_COLOUR_BLUE,   AGN_COLOUR_VERMILLION, AGN_COLOUR_GREEN,
                                      AGN_COLOUR_ORANGE, AGN_COLOUR_SKY,        "#8A5FA8",
                                      "#7A5C2E",         AGN_COLOUR_INK};
static const char paper_colour[] = "#6A3D8F";
static const int filled[] = {7, 5, 9, 11, 13, 15, 7, 5}, hollow[] = {6, 4, 8, 10, 12, 14, 6, 4};

struct agn__series *agn__chart_series(struct agn__chart *chart, const char *name, enum agn__source source)
{
    char clipped[AGN__NAME];
    agn_text_clip(clipped, sizeof clipped, name, 90);
    for (int i = 0; i < chart->count; i++)
        if (chart->series[i].source == source && strcmp(chart->series[i].name, clipped) == 0)
            return &chart->series[i];
    if (chart->count == AGN__MOST_SERIES) {
        chart->left_out++;
        return NULL;
    }
    struct agn__series *series = &chart->series[chart->count++];
    *series = (struct agn__series){.source = source};
    memcpy(series->name, clipped, sizeof clipped);
    return series;
}

void agn__series_add(struct agn__series *series, double x, struct agn__value y)
{
    if (series == NULL || !isfinite(x) || !isfinite(y.mean) || series->count == AGN__MOST_POINTS)
        return;
    int at = series->count++;
    for (; series->joined && at > 0 && series->x[at - 1] > x; at--) {
        series->x[at] = series->x[at - 1];
        series->y[at] = series->y[at - 1];
    }
    series->x[at] = x;
    series->y[at] = y;
}

/* The points as gnuplot reads them; how many, and between which x they lie. */
static int write_data(const struct agn__chart *chart, FILE *script, double range[2])
{
    int points = 0;
    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (int s = 0; s < chart->count; s++) {
        const struct agn__series *series = &chart->series[s];
        int before = points;
        fprintf(script, "$s%d << EOD\n", s);
        for (int i = 0; i < series->count; i++) {
            double x = chart->x_scale * series->x[i], y = chart->y_scale * series->y[i].mean;
            double low = chart->y_scale * series->y[i].low, high = chart->y_scale * series->y[i].high;
            if ((chart->log_x && x <= 0.0) || fabs(x) > LARGEST || fabs(y) > LARGEST)
                continue;
            bool interval = isfinite(low) && isfinite(high);
            fprintf(script, "%.9g %.9g %.9g %.9g\n", x, y, interval ? low : y, interval ? high : y);
            range[0] = fmin(range[0], x);
            range[1] = fmax(range[1], x);
            points++;
        }
        if (points == before) /* gnuplot refuses a block without a line */
            fprintf(script, "NaN NaN NaN NaN\n");
        fprintf(script, "EOD\n");
    }
    return points;
}

/* Some room at both ends; on a logarithmic axis 1, 2 and 5 of each decade are named, all nine where it is
 * short. */
static void write_axis(const struct agn__chart *chart, FILE *script, const double range[2])
{
    if (!chart->log_x) {
        double room = range[1] > range[0] ? 0.05 * (range[1] - range[0]) : 0.05 * fabs(range[0]) + 1e-3;
        fprintf(script, "set xrange [%.9g:%.9g]\n", range[0] - room, range[1] + room);
        return;
    }
    bool is_short = range[1] < 10.0 * range[0];
    const char *comma = "";
    fprintf(script, "set logscale x\nset xrange [%.9g:%.9g]\nset xtics (", range[0] / 1.3, range[1] * 1.3);
    for (int decade = (int)floor(log10(range[0])) - 1; decade <= (int)ceil(log10(range[1])); decade++)
        for (int digit = 1; digit <= 9; digit++)
            if (is_short || digit == 1 || digit == 2 || digit == 5) {
                fprintf(script, "%s%.9g", comma, digit * pow(10.0, decade));
                comma = ", ";
            }
    fprintf(script, ")\n");
}

static void write_plot(const struct agn__chart *chart, FILE *script)
{
    int key_lines = (chart->count + 1) / 2;
    if (chart->from_zero)
        fprintf(script, "set yrange [0:*]\n");
    fprintf(script, "set xlabel ");
    agn_gnuplot_string(script, chart->x_name);
    fprintf(script, "\nset ylabel ");
    agn_gnuplot_string(script, chart->y_name);
    fprintf(script,
            "\nset bmargin %.1f\nset key at screen 0.02, screen 0.015 left bottom horizontal reverse Left "
            "maxcols 2 "
            "width 1\nset offsets 0, 0, graph 0.06, graph 0.06\nset bars 0.4\nplot ",
            4.5 + 1.15 * key_lines);
    int ours = 0, papers = 0;
    for (int s = 0; s < chart->count; s++) {
        const struct agn__series *series = &chart->series[s];
        bool paper = series->source == AGN__PAPER;
        char name[AGN__NAME + 40];
        int place = paper ? papers++ : ours++;
        const char *colour = paper ? paper_colour : colours[place % (int)AGN_COUNT_OF(colours)];
        int point = (paper ? hollow : filled)[place % (int)AGN_COUNT_OF(filled)];
        snprintf(name, sizeof name, "%s (%s)", series->name, agn__source_name(series->source));
        fprintf(script,
                "%s$s%d using 1:2:3:4 with yerrorbars linecolor rgb '%s' pointtype %d pointsize 0.7 title ",
                s > 0 ? ", " : "", s, colour, point);
        agn_gnuplot_string(script, name);
        if (series->joined)
            fprintf(script, ", $s%d using 1:2 with lines linecolor rgb '%s' dashtype %d notitle", s, colour,
                    paper ? 2 : 1);
    }
    fprintf(script, "\n");
}

int agn__chart_draw(struct agn__chart *chart, struct agn__page *page, const char *name, const char *text,
                    int least)
{
    char path[1100], file[128];
    struct agn_gnuplot plot;
    snprintf(file, sizeof file, "report-%s.svg", name);
    snprintf(path, sizeof path, "%s/%s", page->folder, file);
    int status = agn_gnuplot_open_for(&plot, path, WIDTH, HEIGHT + KEY_LINE * ((chart->count + 1) / 2));
    if (status < 0)
        return status;
    double range[2];
    if (write_data(chart, plot.script, range) < least) {
        fclose(plot.script);
        return AGN_OK;
    }
    write_axis(chart, plot.script, range);
    write_plot(chart, plot.script);
    status = agn_gnuplot_draw(&plot, path);
    if (status == AGN_OK)
        status = agn__page_picture(page, file, text);
    if (status == AGN_OK && chart->left_out > 0)
        agn__page_text(page, "The picture shows the first %d lines; there are more.", AGN__MOST_SERIES);
    return status;
}
