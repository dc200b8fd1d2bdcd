/* Plots of training: importance of the channels, and figures over the images trained on. */
#include "agilenn/plot.h"

#include <math.h>
#include <string.h>

#include "agilenn/gnuplot.h"
#include "plot/metrics_file.h"

/* ---- importance -------------------------------------------------------------------- */

static double sum_of_first(const float *shares, int count)
{
    double sum = 0.0;
    for (int i = 0; i < count; i++)
        sum += (double)shares[i];
    return sum;
}

static void write_importance_script(FILE *script, const struct agn_plot_channels *shares)
{
    int channels = shares->channels, k = shares->k;
    const float *before = shares->before, *after = shares->after;
    float top = 0.0F;
    fprintf(script, "$shares << EOD\n");
    for (int c = 0; c < channels; c++) {
        fprintf(script, "%d %.6g %.6g\n", c + 1, 100.0 * (double)before[c], 100.0 * (double)after[c]);
        top = fmaxf(top, fmaxf(before[c], after[c]));
    }
    fprintf(script, "EOD\n");
    fprintf(script,
            "set title 'Importance of the feature channels before and after joint training' "
            "font 'DejaVu Sans,14'\n"
            "set xlabel 'feature channel; the selected %d come first'\n"
            "set ylabel 'share of importance (%%)'\n"
            "set key top right reverse Left samplen 2 spacing 1.3 width -10\n"
            "set boxwidth 0.42\n",
            k);
    int step = channels <= 40 ? 1 : channels <= 100 ? 5 : 20;
    fprintf(script, "set xrange [0.4:%d.6]\nset yrange [0:%.6g]\n", channels,
            top > 0.0F ? 118.0 * (double)top : 1.0);
    fprintf(script, step == 1 ? "set xtics 1\n" : "set xtics add (1) \nset xtics %d\n", step);
    fprintf(script, "set xtics scale 0\n");
    fprintf(script,
            "set object 1 rectangle from 0.4, graph 0 to %d.5, graph 1 behind fillcolor rgb "
            "'" AGN_COLOUR_SHADE "' fillstyle solid noborder\n"
            "set label 1 'stay on the device (k = %d)' at %g, graph 0.97 center textcolor rgb '#8A6100' "
            "font 'DejaVu Sans,10'\n",
            k, k, 0.5 * (k + 1));
    fprintf(script,
            "plot $shares using ($1-0.21):2 with boxes linecolor rgb '" AGN_COLOUR_GREY
            "' title 'before joint training: skewness %.1f %%, reference valid %.1f %%', "
            "'' using ($1+0.21):3 with boxes linecolor rgb '" AGN_COLOUR_BLUE
            "' title 'after joint training: skewness %.1f %%, reference valid %.1f %%'\n",
            100.0 * sum_of_first(before, k), 100.0 * shares->valid_before, 100.0 * sum_of_first(after, k),
            100.0 * shares->valid_after);
}

int agn_plot_importance(const char *path, const struct agn_plot_channels *shares)
{
    struct agn_gnuplot plot;
    if (shares->channels < 1 || shares->k < 1 || shares->k > shares->channels)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: %d of %d channels", path, shares->k, shares->channels);
    if (!isfinite(shares->valid_before) || !isfinite(shares->valid_after))
        return agn_fail(AGN_ERR_NUMERIC, "cannot draw %s: the reference validity is no number", path);
    for (int c = 0; c < shares->channels; c++)
        if (!isfinite(shares->before[c]) || !isfinite(shares->after[c]))
            return agn_fail(AGN_ERR_NUMERIC, "cannot draw %s: the importance of channel %d is no number",
                            path, c);
    int status = agn_gnuplot_open(&plot, 1000, 480);
    if (status < 0)
        return status;
    write_importance_script(plot.script, shares);
    return agn_gnuplot_draw(&plot, path);
}

/* ---- training ---------------------------------------------------------------------------- */

static void write_history(FILE *script, const struct agn__metrics *metrics)
{
    fprintf(script, "$metrics << EOD\n");
    for (int i = 0; i < metrics->count; i++) {
        const struct agn__metrics_point *point = &metrics->points[i];
        if (i > 0 && point->joint != metrics->points[i - 1].joint)
            fprintf(script, "\n"); /* a gap: no line from one phase to the other */
        fprintf(script, "%.6g", point->images / 1000.0);
        for (int s = 0; s < AGN__SERIES; s++) {
            double scale = s == AGN__LOSS ? 1.0 : 100.0;
            if (isfinite(point->values[s]))
                fprintf(script, " %.6g", scale * point->values[s]);
            else
                fprintf(script, " NaN");
        }
        fprintf(script, "\n");
    }
    fprintf(script, "EOD\n");
    if (metrics->validation_count == 0)
        return;
    fprintf(script, "$validation << EOD\n");
    for (int i = 0; i < metrics->validation_count; i++) {
        const struct agn__metrics_validation *measured = &metrics->validations[i];
        if (i > 0 && measured->joint != metrics->validations[i - 1].joint)
            fprintf(script, "\n");
        fprintf(script, "%.6g %.6g\n", measured->images / 1000.0, 100.0 * measured->accuracy);
    }
    fprintf(script, "EOD\n");
}

/* Thousands of images at which joint training begins; < 0 when it has not begun, 0 when nothing was
 * before it. */
static double border_of_phases(const struct agn__metrics *metrics)
{
    for (int i = 0; i < metrics->count; i++)
        if (metrics->points[i].joint)
            return i > 0 ? metrics->points[i - 1].images / 1000.0 : 0.0;
    return -1.0;
}

static void write_phases(FILE *script, double border, double first, double last, bool imitation)
{
    double middle = border < 0.0 ? last / 2.0 : border / 2.0;
    if (border > 0.0)
        fprintf(script,
                "set object 1 rectangle from 0, graph 0 to %.6g, graph 1 behind fillcolor rgb '#F1F3F5' "
                "fillstyle solid noborder\n",
                border);
    if (border != 0.0)
        fprintf(script,
                "set label 1 '%s' at %.6g, graph 1.04 center font 'DejaVu Sans,10' textcolor rgb '#666666'\n",
                imitation ? "imitation of the stem" : "pre-training of the reference", middle);
    if (border >= 0.0)
        fprintf(script,
                "set label 2 'joint training' at %.6g, graph 1.04 center font 'DejaVu Sans,10' textcolor "
                "rgb '#666666'\n",
                (fmax(border, first) + last) / 2.0);
}

static void write_training_script(FILE *script, const struct agn__metrics *metrics)
{
    double last = metrics->points[metrics->count - 1].images / 1000.0, border = border_of_phases(metrics);
    double first = metrics->count > 1 ? 0.0 : last / 2.0;
    if (border == 0.0 && metrics->count > 1)
        first = metrics->points[0].images / 1000.0; /* the reference was given: counted, but not drawn */
    write_history(script, metrics);
    fprintf(script, "set xrange [%.6g:%.6g]\nset xtics out scale 0.5\nset ytics scale 0\n", first,
            last > 0.0 ? last : 1.0);
    write_phases(script, border, first, last, metrics->imitation);
    fprintf(script, "set multiplot title 'Training, measured on the training images' font 'DejaVu Sans,14'\n"
                    "set lmargin at screen 0.08\nset rmargin at screen 0.80\n"
                    "set tmargin at screen 0.88\nset bmargin at screen 0.42\n"
                    "set key at graph 1.02, graph 0.98 left top reverse Left samplen 2 spacing 1.4\n"
                    "set ylabel 'share (%%)' offset 1\nset format x ''\n"
                    "set yrange [0:100]\n");
    static const struct {
        const char *title, *colour;
        int dash;
    } lines[] = {{"accuracy", AGN_COLOUR_BLUE, 1},
                 {"skewness", AGN_COLOUR_VERMILLION, 1},
                 {"reference valid", AGN_COLOUR_GREEN, 2},
                 {"disorder rate", AGN_COLOUR_ORANGE, 1}};
    for (int s = AGN__ACCURACY; s < AGN__LOSS; s++)
        fprintf(script,
                "%s$metrics using 1:%d with lines linewidth 1.6 dashtype %d linecolor rgb '%s' title '%s'",
                s == AGN__ACCURACY ? "plot " : ", ", s + 2, lines[s].dash, lines[s].colour, lines[s].title);
    if (metrics->validation_count > 0)
        fprintf(script, ", $validation using 1:2 with linespoints linewidth 1.6 pointtype 7 pointsize 0.6 "
                        "linecolor rgb '" AGN_COLOUR_SKY "' title 'validation'");
    fprintf(script,
            "\nunset label\n"
            "set tmargin at screen 0.36\nset bmargin at screen 0.11\n"
            "set ylabel 'loss' offset 1\nset yrange [0:*]\nset format x '%%g'\n"
            "set xlabel 'images trained on (thousands)'\n"
            "plot $metrics using 1:%d with lines linewidth 1.6 linecolor rgb '" AGN_COLOUR_INK
            "' title 'loss of the phase'\nunset multiplot\n",
            AGN__LOSS + 2);
}

int agn_plot_training(const char *path, const char *metrics_path)
{
    struct agn__metrics metrics = {0};
    struct agn_gnuplot plot;
    int status = agn__metrics_read(metrics_path, &metrics);
    if (status == AGN_OK)
        status = agn_gnuplot_open(&plot, 1000, 640);
    if (status == AGN_OK) {
        write_training_script(plot.script, &metrics);
        status = agn_gnuplot_draw(&plot, path);
    }
    agn__metrics_free(&metrics);
    return status;
}
