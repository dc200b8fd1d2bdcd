/* Plot of several trainings side by side: accuracy, and whether importance is where it should be and means
 * something. */
#include <math.h>
#include <string.h>

#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"
#include "plot/metrics_file.h"

enum { POINTS_DRAWN = 150 };

static const char *const colours[AGN_PLOT_MAX_TRAININGS] = {AGN_COLOUR_BLUE,  AGN_COLOUR_VERMILLION,
                                                            AGN_COLOUR_GREEN, AGN_COLOUR_ORANGE,
                                                            AGN_COLOUR_SKY,   AGN_COLOUR_INK};

/* Joint training only, thinned to means over equal numbers of points: single steps are noise. */
static void write_means(FILE *script, int index, const struct agn__metrics *metrics)
{
    int first = 0;
    while (first < metrics->count && !metrics->points[first].joint)
        first++;
    int count = metrics->count - first, width = (count + POINTS_DRAWN - 1) / POINTS_DRAWN;
    double origin = first > 0 ? metrics->points[first - 1].images : 0.0;
    if (first == 0 && count > 1) /* the reference was given: its images are counted but not listed */
        origin = fmax(0.0, 2.0 * metrics->points[0].images - metrics->points[1].images);
    fprintf(script, "$training%d << EOD\n", index);
    for (int from = first; from < metrics->count; from += width) {
        int to = from + width < metrics->count ? from + width : metrics->count;
        fprintf(script, "%.6g", (metrics->points[to - 1].images - origin) / 1000.0);
        for (int s = AGN__ACCURACY; s <= AGN__DISORDER; s++) {
            double sum = 0.0;
            for (int i = from; i < to; i++)
                sum += metrics->points[i].values[s];
            double mean = 100.0 * sum / (to - from);
            if (isfinite(mean))
                fprintf(script, " %.6g", mean);
            else
                fprintf(script, " NaN");
        }
        fprintf(script, "\n");
    }
    fprintf(script, "EOD\n");
}

static void write_panel(FILE *script, const char *title, enum agn__series series,
                        const struct agn_plot_labelled *trainings, int count, bool legend)
{
    fprintf(script, "set title '%s'\nset key %s\n", title,
            legend ? "at screen 0.5, 0.045 center horizontal maxrows 1 samplen 2 width 2" : "off");
    for (int i = 0; i < count; i++) {
        fprintf(script, "%s$training%d using 1:%d with lines linewidth 1.8 linecolor rgb '%s' title ",
                i == 0 ? "plot " : ", ", i, 2 + (int)series, colours[i]);
        agn_gnuplot_string(script, trainings[i].label);
    }
    fprintf(script, "\n");
}

static void write_script(FILE *script, const struct agn_plot_labelled *trainings, int count)
{
    fprintf(script, "set multiplot layout 2,2 margins 0.07, 0.98, 0.15, 0.90 spacing 0.07, 0.13 "
                    "title 'Joint training, measured on the training images' font 'DejaVu Sans,14'\n"
                    "set ytics scale 0\nset xtics out scale 0.5\nset ylabel 'share (%%)' offset 1.5\n"
                    "set xrange [0:*]\n");
    write_panel(script, "fused accuracy", AGN__ACCURACY, trainings, count, false);
    fprintf(script, "set yrange [0:100]\nunset ylabel\n");
    write_panel(script, "skewness: importance of the first k channels", AGN__SKEWNESS, trainings, count,
                false);
    fprintf(script, "set yrange [*:*]\nset ylabel 'share (%%)' offset 1.5\n"
                    "set xlabel 'images of joint training (thousands)' offset 0,0.5\n");
    write_panel(script, "reference valid: what skewness is worth", AGN__VALID, trainings, count, false);
    fprintf(script, "set yrange [0:100]\nunset ylabel\n");
    write_panel(script, "disorder rate", AGN__DISORDER, trainings, count, true);
    fprintf(script, "unset multiplot\n");
}

static int read_all(const struct agn_plot_labelled *trainings, int count, struct agn__metrics *histories)
{
    int status = AGN_OK;
    for (int i = 0; i < count && status == AGN_OK; i++) {
        status = agn__metrics_read(trainings[i].metrics_path, &histories[i]);
        if (status == AGN_OK && !histories[i].points[histories[i].count - 1].joint)
            status =
                agn_fail(AGN_ERR_FORMAT, "%s: joint training has not begun there", trainings[i].metrics_path);
    }
    return status;
}

int agn_plot_comparison(const char *path, const struct agn_plot_labelled *trainings, int count)
{
    struct agn__metrics histories[AGN_PLOT_MAX_TRAININGS] = {0};
    struct agn_gnuplot plot;
    if (count < 1 || count > AGN_PLOT_MAX_TRAININGS)
        return agn_fail(AGN_ERR_ARG, "cannot draw %d trainings: 1 to %d fit into a picture", count,
                        AGN_PLOT_MAX_TRAININGS);
    int status = read_all(trainings, count, histories);
    if (status == AGN_OK)
        status = agn_gnuplot_open(&plot, 1100, 720);
    if (status == AGN_OK) {
        for (int i = 0; i < count; i++)
            write_means(plot.script, i, &histories[i]);
        write_script(plot.script, trainings, count);
        status = agn_gnuplot_draw(&plot, path);
    }
    for (int i = 0; i < count; i++)
        agn__metrics_free(&histories[i]);
    return status;
}
