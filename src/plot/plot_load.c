/* Plot of a load on a server: frames a second, the time to their predictions, and how that is distributed. */
#include <math.h>

#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

static const double least_ms = 0.01; /* axes are logarithmic, and a frame that is not sent takes no time */

static void write_number(FILE *script, double value)
{
    if (isfinite(value))
        fprintf(script, " %.6g", value);
    else
        fprintf(script, " NaN");
}

static void write_data(FILE *script, const struct agn_plot_load *load)
{
    fprintf(script, "$seconds << EOD\n");
    for (int i = 0; i < load->count; i++) {
        const struct agn_plot_second *s = &load->seconds[i];
        const double values[] = {s->offered,
                                 s->answered,
                                 s->failed,
                                 s->paused,
                                 fmax(s->p50_ms, least_ms),
                                 fmax(s->p99_ms, least_ms),
                                 fmax(s->max_ms, least_ms)};
        fprintf(script, "%d", i);
        for (size_t v = 0; v < AGN_COUNT_OF(values); v++)
            write_number(script, values[v]);
        fprintf(script, "\n");
    }
    fprintf(script, "EOD\n$shares << EOD\n");
    for (int i = 0; i < load->share_count; i++)
        if (load->shares[i] < 1.0) { /* none takes longer than the longest: no place on the axis */
            fprintf(script, "%.6g", 100.0 * (1.0 - load->shares[i]));
            write_number(script, fmax(load->prediction_ms[i], least_ms));
            write_number(script, fmax(load->answer_ms[i], least_ms));
            fprintf(script, "\n");
        }
    fprintf(script, "EOD\n");
}

/* A panel between two heights of the picture. */
static void begin_panel(FILE *script, double bottom, double top, const char *x, const char *y)
{
    fprintf(script, "set bmargin at screen %g\nset tmargin at screen %g\nset xlabel '%s'\nset ylabel '%s'\n",
            bottom, top, x, y);
}

static void write_line(FILE *script, const char *before, const char *data, const char *colour, int dash,
                       const char *title)
{
    fprintf(script, "%s%s with lines linewidth 1.6 dashtype %d linecolor rgb '%s' title '%s'", before, data,
            dash, colour, title);
}

static void write_load_script(FILE *script, const struct agn_plot_load *load)
{
    write_data(script, load);
    fprintf(script, "set multiplot title ");
    agn_gnuplot_string(script, load->title);
    fprintf(script,
            " font 'DejaVu Sans,13'\nset lmargin at screen 0.09\nset rmargin at screen 0.76\n"
            "set key at graph 1.02, graph 0.98 left top reverse Left samplen 2 spacing 1.4\n"
            "set xtics out scale 0.5\nset ytics scale 0\nset xrange [0:%d]\nset yrange [0:*]\n",
            load->count > 1 ? load->count - 1 : 1);
    begin_panel(script, 0.68, 0.93, "", "frames a second");
    write_line(script, "plot ", "$seconds using 1:2", AGN_COLOUR_GREY, 2, "offered");
    write_line(script, ", ", "'' using 1:3", AGN_COLOUR_BLUE, 1, "answered");
    write_line(script, ", ", "'' using 1:4", AGN_COLOUR_VERMILLION, 1, "sent in vain, refused");
    write_line(script, ", ", "'' using 1:5", AGN_COLOUR_ORANGE, 1, "not sent, in a pause");
    fprintf(script, "\n");
    begin_panel(script, 0.385, 0.615, "seconds", "ms to a prediction");
    fprintf(script, "set logscale y\nset yrange [*:*]\nset format y '%%g'\n");
    write_line(script, "plot ", "$seconds using 1:6", AGN_COLOUR_BLUE, 1, "median");
    write_line(script, ", ", "'' using 1:7", AGN_COLOUR_ORANGE, 1, "99 of 100");
    write_line(script, ", ", "'' using 1:8", AGN_COLOUR_VERMILLION, 1, "longest");
    fprintf(script, "\n");
    begin_panel(script, 0.085, 0.30, "ms", "% that take longer");
    fprintf(script, "set logscale xy\nset xrange [*:*]\nset yrange [0.01:100]\nset format x '%%g'\n");
    write_line(script, "plot ", "$shares using 2:1", AGN_COLOUR_BLUE, 1, "predictions");
    write_line(script, ", ", "'' using 3:1", AGN_COLOUR_GREEN, 2, "answers");
    fprintf(script, "\nunset multiplot\n");
}

int agn_plot_load(const char *path, const struct agn_plot_load *load)
{
    struct agn_gnuplot plot;
    if (load->count < 1 || load->share_count < 1)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: %d seconds, %d shares", path, load->count,
                        load->share_count);
    int status = agn_gnuplot_open(&plot, 1000, 900);
    if (status < 0)
        return status;
    write_load_script(plot.script, load);
    return agn_gnuplot_draw(&plot, path);
}
