/* Plot of which system is best where: a field of squares over rate and clock, for latency and for energy. */
#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

static const char *const colours[] = {
    AGN_COLOUR_BLUE, AGN_COLOUR_ORANGE, AGN_COLOUR_GREEN, AGN_COLOUR_VERMILLION,
    AGN_COLOUR_SKY,  AGN_COLOUR_GREY,   AGN_COLOUR_INK,   AGN_COLOUR_SHADE,
    "#CC79A7",       "#F0E442",         "#8B5A2B",        "#7F3C8D"};

/* Rate, clock, best for latency, best for energy. */
static void write_data(FILE *script, const struct agn_plot_best *b)
{
    fprintf(script, "$best << EOD\n");
    for (int c = 0; c < b->clock_count; c++)
        for (int r = 0; r < b->rate_count; r++)
            fprintf(script, "%.6g %.6g %d %d\n", b->rates_kbps[r], b->clocks_mhz[c],
                    b->fastest[c * b->rate_count + r], b->thriftiest[c * b->rate_count + r]);
    fprintf(script, "EOD\n");
}

static void write_panel(FILE *script, const struct agn_plot_best *b, double left, double right, int column,
                        const char *title)
{
    fprintf(script, "set lmargin at screen %g\nset rmargin at screen %g\nset title '%s'\n", left, right,
            title);
    fprintf(script, column == 3 ? "unset key\n"
                                : "set key at screen 0.985, screen 0.86 right top reverse Left samplen 1\n");
    for (int s = 0; s < b->systems; s++) {
        fprintf(script,
                "%s$best using 1:($%d == %d ? $2 : NaN) with points pointtype 5 pointsize 1.45 linecolor rgb "
                "'%s' title ",
                s == 0 ? "plot " : ", ", column, s, colours[s % (int)AGN_COUNT_OF(colours)]);
        agn_gnuplot_string(script, b->names[s]);
    }
    fprintf(script, "\n");
}

int agn_plot_best(const char *path, const struct agn_plot_best *best)
{
    struct agn_gnuplot plot;
    if (best->systems < 1 || best->systems > (int)AGN_COUNT_OF(colours) || best->rate_count < 2 ||
        best->clock_count < 2)
        return agn_fail(
            AGN_ERR_ARG,
            "cannot draw %s: %d systems at %d rates and %d clocks: expected 1 to %d at 2 and more", path,
            best->systems, best->rate_count, best->clock_count, (int)AGN_COUNT_OF(colours));
    int status = agn_gnuplot_open(&plot, 1200, 480);
    if (status < 0)
        return status;
    FILE *script = plot.script;
    write_data(script, best);
    fprintf(script, "set multiplot title ");
    agn_gnuplot_string(script, best->title);
    fprintf(script, " font 'DejaVu Sans,13'\nset logscale x\nset format x '%%g'\nset xlabel 'kbit/s'\n"
                    "set ylabel 'MHz'\nset tmargin at screen 0.84\nset bmargin at screen 0.14\n");
    fprintf(script, "set xrange [%g:%g]\nset yrange [0:%g]\n", best->rates_kbps[0] / 1.2,
            best->rates_kbps[best->rate_count - 1] * 1.2, best->clocks_mhz[best->clock_count - 1] * 1.05);
    write_panel(script, best, 0.06, 0.40, 3, "least latency, mean");
    write_panel(script, best, 0.46, 0.80, 4, "least energy, mean of processor and radio");
    fprintf(script, "unset multiplot\n");
    return agn_gnuplot_draw(&plot, path);
}
