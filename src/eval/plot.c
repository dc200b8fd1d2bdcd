/* Plots of training: importance of the channels, and figures over the images trained on. */
#include "agilenn/plot.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "eval/gnuplot.h"

/* ---- importance -------------------------------------------------------------------- */

static double sum_of_first(const float *shares, int count)
{
    double sum = 0.0;
    for (int i = 0; i < count; i++)
        sum += (double)shares[i];
    return sum;
}

static void write_importance_script(FILE *script, int channels, int k, const float *before,
                                    const float *after)
{
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
            "set key top right reverse Left samplen 2 spacing 1.3 width 2\n"
            "set boxwidth 0.42\n",
            k);
    int step = channels <= 40 ? 1 : channels <= 100 ? 5 : 20;
    fprintf(script, "set xrange [0.4:%d.6]\nset yrange [0:%.6g]\n", channels,
            top > 0.0F ? 118.0 * (double)top : 1.0);
    fprintf(script, step == 1 ? "set xtics 1\n" : "set xtics add (1) \nset xtics %d\n", step);
    fprintf(script, "set xtics scale 0\n");
    fprintf(script,
            "set object 1 rectangle from 0.4, graph 0 to %d.5, graph 1 behind fillcolor rgb "
            "'" AGN__COLOUR_SHADE "' fillstyle solid noborder\n"
            "set label 1 'stay on the device (k = %d)' at %g, graph 0.97 center textcolor rgb '#8A6100' "
            "font 'DejaVu Sans,10'\n",
            k, k, 0.5 * (k + 1));
    fprintf(script,
            "plot $shares using ($1-0.21):2 with boxes linecolor rgb '" AGN__COLOUR_GREY
            "' title 'before joint training: skewness %.1f %%', "
            "'' using ($1+0.21):3 with boxes linecolor rgb '" AGN__COLOUR_BLUE
            "' title 'after joint training: skewness %.1f %%'\n",
            100.0 * sum_of_first(before, k), 100.0 * sum_of_first(after, k));
}

int agn_plot_importance(const char *path, int channels, int k, const float *before, const float *after)
{
    struct agn__gnuplot plot;
    if (channels < 1 || k < 1 || k > channels)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: %d of %d channels", path, k, channels);
    for (int c = 0; c < channels; c++)
        if (!isfinite(before[c]) || !isfinite(after[c]))
            return agn_fail(AGN_ERR_NUMERIC, "cannot draw %s: the importance of channel %d is no number",
                            path, c);
    int status = agn__gnuplot_open(&plot, 1000, 480);
    if (status < 0)
        return status;
    write_importance_script(plot.script, channels, k, before, after);
    return agn__gnuplot_draw(&plot, path);
}

/* ---- training ---------------------------------------------------------------------------- */

enum { MAX_METRICS_BYTES = 64 << 20, MAX_POINTS = 1 << 20 };

enum series { ACCURACY, SKEWNESS, VALID, DISORDER, LOSS, SERIES };
static const char *const series_keys[SERIES] = {"accuracy", "skewness", "reference_valid", "disorder_rate",
                                                "loss"};

struct point {
    bool joint;
    double images, values[SERIES]; /* NAN: not measured in this phase */
};

struct history {
    struct point *points;
    int count, capacity;
};

static int add_point(struct history *history, const struct point *point)
{
    /* A resumed training goes back to its checkpoint: what it repeats replaces what was there. */
    while (history->count > 0 && history->points[history->count - 1].images >= point->images)
        history->count--;
    if (history->count == history->capacity) {
        int capacity = history->capacity ? 2 * history->capacity : 1024;
        struct point *grown = capacity <= MAX_POINTS ? agn_alloc((size_t)capacity, sizeof *grown) : NULL;
        if (!grown)
            return agn_fail(AGN_ERR_RANGE, "more than %d lines", MAX_POINTS);
        if (history->count > 0)
            memcpy(grown, history->points, (size_t)history->count * sizeof *grown);
        agn_free(history->points);
        history->points = grown;
        history->capacity = capacity;
    }
    history->points[history->count++] = *point;
    return AGN_OK;
}

static int read_line(const char *text, size_t length, struct point *point)
{
    json_error_t error;
    json_t *line = json_loadb(text, length, 0, &error);
    if (!line)
        return agn_fail(AGN_ERR_FORMAT, "no JSON object: %s", error.text);
    int status = AGN_OK;
    const char *phase = json_string_value(json_object_get(line, "phase"));
    const json_t *images = json_object_get(line, "images");
    if (!phase || (strcmp(phase, "reference") != 0 && strcmp(phase, "joint") != 0))
        status = agn_fail(AGN_ERR_FORMAT, "'phase' is neither \"reference\" nor \"joint\"");
    else if (!json_is_number(images) || !(json_number_value(images) >= 0.0))
        status = agn_fail(AGN_ERR_FORMAT, "'images' is not a number of images");
    if (status == AGN_OK) {
        point->joint = phase[0] == 'j';
        point->images = json_number_value(images);
        for (int s = 0; s < SERIES; s++) {
            const json_t *value = json_object_get(line, series_keys[s]);
            point->values[s] = json_is_number(value) ? json_number_value(value) : (double)NAN;
        }
        if (!isfinite(point->values[ACCURACY]) || !isfinite(point->values[LOSS]))
            status = agn_fail(AGN_ERR_FORMAT, "'accuracy' or 'loss' is missing or no number");
    }
    json_decref(line);
    return status;
}

static int read_history(const char *path, struct history *history)
{
    uint8_t *data = NULL;
    size_t size = 0;
    int status = agn_file_read(path, MAX_METRICS_BYTES, &data, &size);
    if (status < 0)
        return status;
    int number = 0;
    for (size_t at = 0; at < size && status == AGN_OK;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        struct point point;
        number++;
        /* A killed training may leave a last line without its end: not worth an error. */
        if (!end && history->count > 0)
            break;
        status = read_line((const char *)data + at, length, &point);
        if (status == AGN_OK)
            status = add_point(history, &point);
        at += length + 1;
    }
    agn_free(data);
    if (status < 0) {
        char reason[256];
        snprintf(reason, sizeof reason, "%s", agn_error_message());
        return agn_fail(status, "%s, line %d: %s", path, number, reason);
    }
    return history->count > 0 ? AGN_OK : agn_fail(AGN_ERR_FORMAT, "%s holds no figures", path);
}

static void write_history(FILE *script, const struct history *history)
{
    fprintf(script, "$history << EOD\n");
    for (int i = 0; i < history->count; i++) {
        const struct point *point = &history->points[i];
        if (i > 0 && point->joint != history->points[i - 1].joint)
            fprintf(script, "\n"); /* a gap: no line from one phase to the other */
        fprintf(script, "%.6g", point->images / 1000.0);
        for (int s = 0; s < SERIES; s++) {
            double scale = s == LOSS ? 1.0 : 100.0;
            if (isfinite(point->values[s]))
                fprintf(script, " %.6g", scale * point->values[s]);
            else
                fprintf(script, " NaN");
        }
        fprintf(script, "\n");
    }
    fprintf(script, "EOD\n");
}

/* Thousands of images at which joint training begins; < 0 when it has not begun, 0 when nothing was
 * before it. */
static double border_of_phases(const struct history *history)
{
    for (int i = 0; i < history->count; i++)
        if (history->points[i].joint)
            return i > 0 ? history->points[i - 1].images / 1000.0 : 0.0;
    return -1.0;
}

static void write_phases(FILE *script, double border, double last)
{
    double middle = border < 0.0 ? last / 2.0 : border / 2.0;
    if (border > 0.0)
        fprintf(script,
                "set object 1 rectangle from 0, graph 0 to %.6g, graph 1 behind fillcolor rgb '#F1F3F5' "
                "fillstyle solid noborder\n",
                border);
    if (border != 0.0)
        fprintf(script,
                "set label 1 'pre-training of the reference' at %.6g, graph 1.04 center font 'DejaVu "
                "Sans,10' textcolor rgb '#666666'\n",
                middle);
    if (border >= 0.0)
        fprintf(script,
                "set label 2 'joint training' at %.6g, graph 1.04 center font 'DejaVu Sans,10' textcolor "
                "rgb '#666666'\n",
                (border + last) / 2.0);
}

static void write_training_script(FILE *script, const struct history *history)
{
    double last = history->points[history->count - 1].images / 1000.0, border = border_of_phases(history);
    double first = history->count > 1 ? 0.0 : last / 2.0;
    write_history(script, history);
    fprintf(script, "set xrange [%.6g:%.6g]\nset xtics out scale 0.5\nset ytics scale 0\n", first,
            last > 0.0 ? last : 1.0);
    write_phases(script, border, last);
    fprintf(script, "set multiplot title 'Training, measured on the training images' font 'DejaVu Sans,14'\n"
                    "set lmargin at screen 0.08\nset rmargin at screen 0.80\n"
                    "set tmargin at screen 0.88\nset bmargin at screen 0.42\n"
                    "set key at graph 1.02, graph 0.98 left top reverse Left samplen 2 spacing 1.4\n"
                    "set ylabel 'share (%%)' offset 1\nset format x ''\n"
                    "set yrange [0:100]\n");
    static const struct {
        const char *title, *colour;
        int dash;
    } lines[] = {{"accuracy", AGN__COLOUR_BLUE, 1},
                 {"skewness", AGN__COLOUR_VERMILLION, 1},
                 {"reference valid", AGN__COLOUR_GREEN, 2},
                 {"disorder rate", AGN__COLOUR_ORANGE, 1}};
    for (int s = ACCURACY; s < LOSS; s++)
        fprintf(script,
                "%s$history using 1:%d with lines linewidth 1.6 dashtype %d linecolor rgb '%s' title '%s'",
                s == ACCURACY ? "plot " : ", ", s + 2, lines[s].dash, lines[s].colour, lines[s].title);
    fprintf(script,
            "\nunset label\n"
            "set tmargin at screen 0.36\nset bmargin at screen 0.11\n"
            "set ylabel 'loss' offset 1\nset yrange [0:*]\nset format x '%%g'\n"
            "set xlabel 'images trained on (thousands)'\n"
            "plot $history using 1:%d with lines linewidth 1.6 linecolor rgb '" AGN__COLOUR_INK
            "' title 'loss of the phase'\nunset multiplot\n",
            LOSS + 2);
}

int agn_plot_training(const char *path, const char *metrics_path)
{
    struct history history = {0};
    struct agn__gnuplot plot;
    int status = read_history(metrics_path, &history);
    if (status == AGN_OK)
        status = agn__gnuplot_open(&plot, 1000, 640);
    if (status == AGN_OK) {
        write_training_script(plot.script, &history);
        status = agn__gnuplot_draw(&plot, path);
    }
    agn_free(history.points);
    return status;
}
