/* Draws a chart by gnuplot and puts it on the page. */
#include "report/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/gnuplot.h"

enum { WIDTH = 760, HEIGHT = 380, KEY_LINE = 20 };

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

static int write_data(const struct agn__chart *chart, FILE *script)
{
    int points = 0;
    for (int s = 0; s < chart->count; s++) {
        const struct agn__series *series = &chart->series[s];
        int before = points;
        fprintf(script, "$s%d << EOD\n", s);
        for (int i = 0; i < series->count; i++) {
            double x = chart->x_scale * series->x[i], y = chart->y_scale * series->y[i].mean;
            double low = chart->y_scale * series->y[i].low, high = chart->y_scale * series->y[i].high;
            if (chart->log_x && x <= 0.0)
                continue;
            fprintf(script, "%.9g %.9g %.9g %.9g\n", x, y, isfinite(low) ? low : y,
                    isfinite(high) ? high : y);
            points++;
        }
        if (points == before) /* gnuplot refuses a block without a line */
            fprintf(script, "NaN NaN NaN NaN\n");
        fprintf(script, "EOD\n");
    }
    return points;
}

static void write_plot(const struct agn__chart *chart, FILE *script)
{
    fprintf(script, "set xlabel ");
    agn_gnuplot_string(script, chart->x_name);
    fprintf(script, "\nset ylabel ");
    agn_gnuplot_string(script, chart->y_name);
    fprintf(script,
            "\n%sset key outside bottom left horizontal reverse Left maxcols 2 width 2\nset offsets graph "
            "0.04, graph 0.04, graph "
            "0.06, graph 0.06\nset bars 0.4\nplot ",
            chart->log_x ? "set logscale x\n" : "");
    for (int s = 0; s < chart->count; s++) {
        const struct agn__series *series = &chart->series[s];
        bool paper = series->source == AGN__PAPER;
        char name[AGN__NAME + 40];
        const char *colour = paper ? paper_colour : colours[s % (int)AGN_COUNT_OF(colours)];
        int point = (paper ? hollow : filled)[s % (int)AGN_COUNT_OF(filled)];
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
    if (write_data(chart, plot.script) < least) {
        fclose(plot.script);
        return AGN_OK;
    }
    write_plot(chart, plot.script);
    status = agn_gnuplot_draw(&plot, path);
    if (status == AGN_OK)
        status = agn__page_picture(page, file, text);
    if (status == AGN_OK && chart->left_out > 0)
        agn__page_text(page, "The picture shows the first %d lines; there are more.", AGN__MOST_SERIES);
    return status;
}
