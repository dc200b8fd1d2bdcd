/* Plot of designs between two costs and their accuracy, with the best trade-offs joined. */
#include <math.h>

#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

/* A block of data: all points, the front, or the one that is marked. */
static void write_block(FILE *script, const char *name, const struct agn_plot_front *front, int which)
{
    int lines = 0;
    fprintf(script, "$%s << EOD\n", name);
    for (int i = 0; i < front->count; i++) {
        const struct agn_plot_design *d = &front->designs[i];
        if ((which == 1 && !d->front) || (which == 2 && i != front->marked))
            continue;
        fprintf(script, "%.6g %.6g %.6g\n", d->latency_ms, d->energy_mj, 100.0 * d->accuracy);
        lines++;
    }
    if (lines == 0) /* gnuplot refuses a block without a line */
        fprintf(script, "NaN NaN NaN\n");
    fprintf(script, "EOD\n");
}

static void write_panel(FILE *script, const struct agn_plot_front *front, const char *title, int column,
                        double limit)
{
    char marked[128] = "recommended: none";
    if (front->marked >= 0)
        snprintf(marked, sizeof marked, "recommended: %s", front->designs[front->marked].name);
    fprintf(script, "set xlabel '%s'\nset ylabel 'accuracy, %%'\nset logscale x\n", title);
    if (limit > 0.0)
        fprintf(script,
                "set arrow 1 from %.6g, graph 0 to %.6g, graph 1 nohead dashtype 2 linecolor rgb '%s'\n",
                limit, limit, AGN_COLOUR_VERMILLION);
    else
        fprintf(script, "unset arrow\n");
    fprintf(script,
            "plot $all using %d:3 with points pointtype 7 pointsize 0.5 linecolor rgb '%s' title 'designs', "
            "$front using %d:3 with points pointtype 7 pointsize 0.9 linecolor rgb '%s' title 'no other one "
            "beats it in all', $marked using %d:3 with points pointtype 6 pointsize 2.2 linewidth 2 "
            "linecolor rgb '%s' title ",
            column, AGN_COLOUR_GREY, column, AGN_COLOUR_BLUE, column, AGN_COLOUR_GREEN);
    agn_gnuplot_string(script, marked);
    fprintf(script, "\n");
}

int agn_plot_front(const char *path, const struct agn_plot_front *front)
{
    struct agn_gnuplot plot;
    if (front->count < 1)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: no designs", path);
    int status = agn_gnuplot_open(&plot, 1000, 520);
    if (status < 0)
        return status;
    write_block(plot.script, "all", front, 0);
    write_block(plot.script, "front", front, 1);
    write_block(plot.script, "marked", front, 2);
    fprintf(plot.script, "set multiplot layout 1,2 title ");
    agn_gnuplot_string(plot.script, front->title);
    fprintf(plot.script, " font 'DejaVu Sans,13'\nset key outside bottom center vertical maxrows 3\nset "
                         "offsets graph 0.03, graph 0.03, graph 0.06, graph 0.06\n");
    write_panel(plot.script, front, "latency of a frame, ms (modelled)", 1, front->latency_limit_ms);
    write_panel(plot.script, front, "energy of a frame, mJ (modelled)", 2, front->energy_limit_mj);
    fprintf(plot.script, "unset multiplot\n");
    return agn_gnuplot_draw(&plot, path);
}
