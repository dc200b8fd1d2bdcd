/* What comes of changed inputs, as a table and as pictures. */
#include <math.h>
#include <string.h>

#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"
#include "agilenn/shift.h"

enum { PATH_BYTES = 4096, COLUMNS = 4, PANEL_WIDTH = 270, PANEL_HEIGHT = 215, HEADER = 46 };

/* ---- figures and the table ---------------------------------------------------------------- */

void agn_shift_row_figures(const struct agn_shift_row *row, struct agn_figures *f)
{
    agn_figures_add_text(f, "kind", agn_shift_kind_name(row->kind), "what was changed");
    agn_figures_add_whole(f, "strength", row->strength, "of the change, from 1 on");
    agn_figures_add_whole(f, "draw", row->draw, "of a long tail, from 1 on");
    agn_figures_add_real(f, "parameter", row->parameter, "", "of the change");
    agn_figures_add_whole(f, "images", row->images, "images");
    agn_figures_add_share(f, "fused_accuracy", row->fused_accuracy, "accuracy, all frames sent");
    agn_figures_add_share(f, "local_accuracy", row->local_accuracy, "accuracy of the Local NN");
    agn_figures_add_share(f, "remote_accuracy", row->remote_accuracy, "accuracy of the Remote NN");
    agn_figures_add_share(f, "reference_valid", row->reference_valid, "images that the reference gets right");
    agn_figures_add_share(f, "skewness_mean", row->skewness, "share of importance in the first k channels");
    agn_figures_add_share(f, "disorder_rate", row->disorder_rate,
                          "images in which a later channel outweighs one of the first k");
    agn_figures_add_real(f, "rank_correlation", row->rank_correlation, "",
                         "of the channels' mean importance with that on clean images");
    agn_figures_add_share(f, "top_kept", row->top_kept, "of the k most important channels still are");
    agn_figures_add_real(f, "image_rank_correlation", row->image_rank_correlation, "",
                         "of single images' importance with their clean one, mean");
    agn_figures_add_share(f, "image_top_kept", row->image_top_kept,
                          "the same of the k most important channels");
    agn_figures_add_whole(f, "compared", row->compared, "images of these two");
    agn_figures_add_real(f, "bytes_mean", row->bytes, "B", "a frame's packets");
    agn_figures_add_share(f, "unsent_share", row->unsent_share, "frames that stay unsent");
}

static void write_table(FILE *out, const struct agn_shift *r)
{
    for (int i = 0; i < r->count; i++) {
        struct agn_figures f = {.count = 0};
        agn_shift_row_figures(&r->rows[i], &f);
        for (int k = 0; k < f.count && i == 0; k++)
            fprintf(out, "%s%s", f.list[k].key, k + 1 < f.count ? "," : "\n");
        for (int k = 0; k < f.count; k++) {
            if (f.list[k].kind == AGN_FIGURE_TEXT)
                agn_csv_field(out, f.list[k].text);
            else if (isfinite(f.list[k].value))
                fprintf(out, "%.7g", f.list[k].value);
            fputc(k + 1 < f.count ? ',' : '\n', out);
        }
    }
}

/* ---- the picture of curves ------------------------------------------------------------------ */

static const struct curve {
    const char *title, *colour;
    size_t offset;
    double scale;
} curves[] = {
    {"accuracy, all frames sent", AGN_COLOUR_BLUE, offsetof(struct agn_shift_row, fused_accuracy), 100.0},
    {"accuracy, device alone", AGN_COLOUR_ORANGE, offsetof(struct agn_shift_row, local_accuracy), 100.0},
    {"skewness", AGN_COLOUR_GREEN, offsetof(struct agn_shift_row, skewness), 100.0},
    {"rank correlation x 100", AGN_COLOUR_VERMILLION, offsetof(struct agn_shift_row, rank_correlation),
     100.0},
    {"the same of single images", AGN_COLOUR_GREY, offsetof(struct agn_shift_row, image_rank_correlation),
     100.0},
};

static double value_of(const struct agn_shift_row *row, const struct curve *curve)
{
    double value;
    memcpy(&value, (const char *)row + curve->offset, sizeof value);
    return curve->scale * value;
}

static bool has_kind(const struct agn_shift *r, int kind)
{
    for (int i = 0; i < r->count; i++)
        if (r->rows[i].kind == kind)
            return true;
    return false;
}

static bool has_curve(const struct agn_shift *r, const struct curve *curve)
{
    for (int i = 0; i < r->count; i++)
        if (isfinite(value_of(&r->rows[i], curve)))
            return true;
    return false;
}

/* Strength and curves; the mean over draws. At 0 the clean images. */
static void write_data(FILE *script, const struct agn_shift *r, int kind)
{
    fprintf(script, "$kind%d << EOD\n", kind);
    for (int strength = 0; strength <= AGN_CORRUPTION_STRENGTHS; strength++) {
        int wanted = strength == 0 ? AGN_SHIFT_CLEAN : kind;
        double sums[AGN_COUNT_OF(curves)] = {0.0};
        int count = 0;
        for (int i = 0; i < r->count; i++) {
            if (r->rows[i].kind != wanted || r->rows[i].strength != strength)
                continue;
            count++;
            for (size_t k = 0; k < AGN_COUNT_OF(curves); k++)
                sums[k] += value_of(&r->rows[i], &curves[k]);
        }
        if (count == 0)
            continue;
        fprintf(script, "%d", strength);
        for (size_t k = 0; k < AGN_COUNT_OF(curves); k++)
            if (isfinite(sums[k]))
                fprintf(script, " %.6g", sums[k] / count);
            else
                fprintf(script, " NaN");
        fprintf(script, "\n");
    }
    fprintf(script, "EOD\n");
}

static void write_panel(FILE *script, const struct agn_shift *r, int kind)
{
    bool tail = kind == AGN_SHIFT_LONG_TAIL;
    fprintf(script, "set title '%s' font 'DejaVu Sans,11'\n", agn_shift_kind_name(kind));
    fprintf(script, "set xrange [0:%d]\nset xtics (%s)\nplot ",
            tail ? (int)AGN_SHIFT_RATIOS : (int)AGN_CORRUPTION_STRENGTHS,
            tail ? "'1' 0, '10' 1, '50' 2, '100' 3" : "0, 1, 2, 3, 4, 5");
    for (size_t k = 0; k < AGN_COUNT_OF(curves); k++)
        if (has_curve(r, &curves[k]))
            fprintf(
                script,
                "%s$kind%d using 1:%zu with linespoints linewidth 1.4 pointtype 7 pointsize 0.4 linecolor "
                "rgb '%s' notitle",
                k > 0 ? ", " : "", kind, k + 2, curves[k].colour);
    fprintf(script, "\n");
}

static void write_key(FILE *script, const struct agn_shift *r)
{
    fprintf(script, "unset title\nunset border\nunset tics\nunset grid\nset key center center reverse Left "
                    "samplen 2 spacing 1.3\nset xrange [0:1]\nset yrange [0:1]\nplot ");
    for (size_t k = 0; k < AGN_COUNT_OF(curves); k++)
        if (has_curve(r, &curves[k]))
            fprintf(script, "%sNaN with lines linewidth 2 linecolor rgb '%s' title '%s'", k > 0 ? ", " : "",
                    curves[k].colour, curves[k].title);
    fprintf(script, "\n");
}

static int draw(const struct agn_shift *r, const char *title, const char *path)
{
    struct agn_gnuplot plot;
    char heading[256];
    int panels = 1; /* the key */
    for (int kind = 0; kind < AGN_SHIFT_OTHER; kind++)
        panels += has_kind(r, kind);
    int rows = (panels + COLUMNS - 1) / COLUMNS;
    int status = agn_gnuplot_open_for(&plot, path, COLUMNS * PANEL_WIDTH, rows * PANEL_HEIGHT + HEADER);
    if (status < 0)
        return status;
    for (int kind = 0; kind < AGN_SHIFT_OTHER; kind++)
        if (has_kind(r, kind))
            write_data(plot.script, r, kind);
    snprintf(heading, sizeof heading, "Changed inputs by strength (%%): %s", title);
    fprintf(plot.script, "set multiplot layout %d,%d title ", rows, (int)COLUMNS);
    agn_gnuplot_string(plot.script, heading);
    fprintf(plot.script, " font 'DejaVu Sans,13'\nunset key\nset yrange [0:103]\nset ytics 0,25,100\n");
    for (int kind = 0; kind < AGN_SHIFT_OTHER; kind++)
        if (has_kind(r, kind))
            write_panel(plot.script, r, kind);
    write_key(plot.script, r);
    fprintf(plot.script, "unset multiplot\n");
    return agn_gnuplot_draw(&plot, path);
}

/* ---- files --------------------------------------------------------------------------------------- */

int agn_shift_write(const struct agn_shift *result, const char *title, const char *folder)
{
    static const char *const pictures[] = {"shift.png", "shift.svg"};
    char path[PATH_BYTES];
    struct agn_file_out out;
    int status = agn_make_dirs(folder);
    if (status == AGN_OK)
        status = agn_path_in(path, sizeof path, folder, "shift.csv");
    if (status == AGN_OK)
        status = agn_file_out_open(&out, path);
    if (status == AGN_OK) {
        write_table(out.stream, result);
        status = agn_file_out_commit(&out);
    }
    for (size_t i = 0; i < AGN_COUNT_OF(pictures) && status == AGN_OK; i++) {
        status = agn_path_in(path, sizeof path, folder, pictures[i]);
        if (status == AGN_OK)
            status = draw(result, title, path);
    }
    return status;
}

/* ---- the sheet of samples -------------------------------------------------------------------------- */

/* One row: the image as it is, then in all strengths. */
static int make_samples(const struct agn_dataset *one, enum agn_corruption kind, uint64_t seed, uint8_t *to)
{
    size_t bytes = (size_t)one->height * (size_t)one->width * (size_t)one->channels;
    int status = AGN_OK;
    memcpy(to, one->pixels, bytes);
    for (int strength = 1; strength <= AGN_CORRUPTION_STRENGTHS && status == AGN_OK; strength++) {
        const struct agn_corruption_config how = {kind, strength, seed};
        status = agn_corrupt(&how, one, to + (size_t)strength * bytes);
    }
    return status;
}

int agn_shift_draw_samples(const struct agn_dataset *data, unsigned kinds, uint64_t seed, const char *path)
{
    static const char *const columns[] = {"clean", "1", "2", "3", "4", "5"};
    const char *names[AGN_CORRUPTION_COUNT];
    struct agn_plot_samples samples = {.title = "Corruptions by strength",
                                       .row_names = names,
                                       .column_names = columns,
                                       .columns = AGN_COUNT_OF(columns),
                                       .height = data->height,
                                       .width = data->width,
                                       .channels = data->channels};
    struct agn_dataset one = *data;
    one.count = 1;
    size_t row_bytes =
        AGN_COUNT_OF(columns) * (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    uint8_t *pixels = agn_alloc(AGN_CORRUPTION_COUNT, row_bytes);
    int status = data->count < 1  ? agn_fail(AGN_ERR_ARG, "cannot draw %s: there are no images", path)
                 : pixels == NULL ? AGN_ERR_MEMORY
                                  : AGN_OK;
    for (int kind = 0; kind < AGN_CORRUPTION_COUNT && status == AGN_OK; kind++) {
        if (kinds != 0 && !(kinds & 1U << kind))
            continue;
        names[samples.rows] = agn_corruption_name((enum agn_corruption)kind);
        status =
            make_samples(&one, (enum agn_corruption)kind, seed, pixels + (size_t)samples.rows * row_bytes);
        samples.rows++;
    }
    samples.pixels = pixels;
    if (status == AGN_OK)
        status = agn_plot_samples(path, &samples);
    agn_free(pixels);
    return status;
}
