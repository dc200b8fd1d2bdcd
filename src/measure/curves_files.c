/* Curves as CSV tables and as pictures. */
#include "agilenn/curves.h"

#include <math.h>
#include <string.h>

#include "agilenn/gnuplot.h"

enum { PATH_BYTES = 4096, WIDTH = 900, HEIGHT = 480 };

/* ---- tables ---------------------------------------------------------------------------- */

static const char point_columns[] = "accuracy,any_accuracy,both_accuracy,fused,bytes,packets,arrived";

static void write_point(FILE *out, const struct agn_curve_point *p)
{
    fprintf(out, "%.6f,%.6f,%.6f,%.6f,%.2f,%.3f,%.6f\n", p->accuracy, p->any_accuracy, p->both_accuracy,
            p->fused, p->bytes, p->packets, p->arrived);
}

static void write_loss(FILE *out, const struct agn_curves *c)
{
    fprintf(out, "packet_bytes,loss,%s\n", point_columns);
    for (int s = 0; s < c->packet_sizes; s++)
        for (int l = 0; l < AGN_CURVE_LOSSES; l++) {
            fprintf(out, "%d,%.2f,", c->packet_bytes[s], c->loss[s][l].x);
            write_point(out, &c->loss[s][l]);
        }
}

static void write_budget(FILE *out, const struct agn_curves *c)
{
    fprintf(out, "budget,%s\n", point_columns);
    for (int i = 0; i < AGN_CURVE_BUDGETS; i++) {
        fprintf(out, "%.0f,", c->budget[i].x);
        write_point(out, &c->budget[i]);
    }
}

static void write_share(FILE *out, const struct agn_curves *c)
{
    fprintf(out, "share,threshold,%s\n", point_columns);
    for (int i = 0; i < AGN_CURVE_SHARES; i++) {
        fprintf(out, "%.6f,%d,", c->share[i].x, c->threshold[i]);
        write_point(out, &c->share[i]);
    }
}

static void write_parts(FILE *out, const struct agn_curves *c)
{
    fprintf(out, "missing_at_most,answers,any_accuracy,fused_accuracy,local_accuracy\n");
    for (int i = 0; i < AGN_CURVE_PARTS; i++)
        if (c->parts[i].answers > 0)
            fprintf(out, "%.1f,%d,%.6f,%.6f,%.6f\n", i / 10.0, c->parts[i].answers, c->parts[i].any_accuracy,
                    c->parts[i].fused_accuracy, c->parts[i].local_accuracy);
}

/* ---- pictures ---------------------------------------------------------------------------- */

static void begin_plot(FILE *script, const char *title, const char *x)
{
    fprintf(script, "set title ");
    agn_gnuplot_string(script, title);
    fprintf(script,
            " font 'DejaVu Sans,13'\nset xlabel '%s'\nset ylabel 'accuracy (%%)'\n"
            "set key outside right top reverse Left samplen 2 spacing 1.4\nset yrange [*:*]\n",
            x);
}

/* The two levels between which every curve lies. */
static void write_baselines(FILE *script, const struct agn_curves *c)
{
    fprintf(script,
            ", %.4f with lines linewidth 1 dashtype 2 linecolor rgb '" AGN_COLOUR_GREY
            "' title 'fused, no loss', %.4f with lines linewidth 1 dashtype 3 linecolor rgb "
            "'" AGN_COLOUR_INK "' title 'local only'\n",
            100.0 * c->fused_accuracy, 100.0 * c->local_accuracy);
}

static void plot_loss(FILE *script, const struct agn_curves *c)
{
    static const char *const colours[AGN_CURVE_PACKETS] = {AGN_COLOUR_BLUE, AGN_COLOUR_GREEN,
                                                           AGN_COLOUR_VERMILLION, AGN_COLOUR_ORANGE};
    for (int s = 0; s < c->packet_sizes; s++) {
        fprintf(script, "$loss%d << EOD\n", s);
        for (int l = 0; l < AGN_CURVE_LOSSES; l++)
            fprintf(script, "%.6g %.6g %.6g\n", 100.0 * c->loss[s][l].x, 100.0 * c->loss[s][l].accuracy,
                    100.0 * c->loss[s][l].both_accuracy);
        fprintf(script, "EOD\n");
    }
    fprintf(script, "set xrange [0:50]\nplot ");
    for (int s = 0; s < c->packet_sizes; s++)
        fprintf(script,
                "%s$loss%d using 1:2 with linespoints linewidth 1.6 pointtype 7 pointsize 0.6 linecolor rgb "
                "'%s' title '%d B, %.1f packets', '' using 1:3 with lines linewidth 1.2 dashtype 4 linecolor "
                "rgb '%s' title '  answers lost too'",
                s > 0 ? ", " : "", s, colours[s], c->packet_bytes[s], c->loss[s][0].packets, colours[s]);
    write_baselines(script, c);
}

static void plot_budget(FILE *script, const struct agn_curves *c)
{
    fprintf(script, "$budget << EOD\n");
    for (int i = 0; i < AGN_CURVE_BUDGETS; i++)
        fprintf(script, "%.6g %.6g %.6g\n", c->budget[i].bytes, 100.0 * c->budget[i].accuracy,
                100.0 * c->budget[i].any_accuracy);
    fprintf(script,
            "EOD\nset xrange [0:*]\nplot $budget using 1:2 with linespoints linewidth 1.6 pointtype 7 "
            "pointsize 0.6 linecolor rgb '" AGN_COLOUR_BLUE
            "' title 'the device', '' using 1:3 with lines linewidth 1.2 dashtype 4 linecolor rgb "
            "'" AGN_COLOUR_ORANGE "' title 'every answer trusted in full'");
    write_baselines(script, c);
}

static void plot_share(FILE *script, const struct agn_curves *c)
{
    fprintf(script, "$share << EOD\n");
    for (int i = 0; i < AGN_CURVE_SHARES; i++)
        fprintf(script, "%.6g %.6g %.6g\n", 100.0 * c->share[i].x, 100.0 * c->share[i].accuracy,
                c->share[i].bytes);
    fprintf(script,
            "EOD\nset xrange [0:100]\nset border 11\nset y2tics nomirror\nset y2label 'bytes a frame'\n"
            "set y2range [0:*]\nplot $share using 1:2 with linespoints linewidth 1.6 pointtype 7 "
            "pointsize 0.6 linecolor rgb '" AGN_COLOUR_BLUE
            "' title 'accuracy', '' using 1:3 axes x1y2 with lines linewidth 1.2 dashtype 4 linecolor "
            "rgb '" AGN_COLOUR_ORANGE "' title 'bytes a frame'");
    write_baselines(script, c);
}

/* ---- files -------------------------------------------------------------------------------- */

struct output {
    const char *table, *picture, *x, *about;
    void (*write)(FILE *out, const struct agn_curves *curves);
    void (*plot)(FILE *script, const struct agn_curves *curves);
};

static const struct output outputs[] = {
    {"loss.csv", "loss.png", "packets lost (%)", "Packet loss", write_loss, plot_loss},
    {"budget.csv", "budget.png", "bytes a frame, mean", "Byte budget", write_budget, plot_budget},
    {"share.csv", "share.png", "frames sent (%)", "Sure frames unsent", write_share, plot_share},
    {"parts.csv", NULL, NULL, NULL, write_parts, NULL},
};

static int write_table(const struct agn_curves *curves, const struct output *output, const char *folder)
{
    char path[PATH_BYTES];
    struct agn_file_out out;
    int status = agn_path_in(path, sizeof path, folder, output->table);
    if (status == AGN_OK)
        status = agn_file_out_open(&out, path);
    if (status != AGN_OK)
        return status;
    output->write(out.stream, curves);
    return agn_file_out_commit(&out);
}

static int draw(const struct agn_curves *curves, const struct output *output, const char *title,
                const char *folder)
{
    char path[PATH_BYTES], heading[256];
    struct agn_gnuplot plot;
    int status = agn_path_in(path, sizeof path, folder, output->picture);
    if (status == AGN_OK)
        status = agn_gnuplot_open(&plot, WIDTH, HEIGHT);
    if (status != AGN_OK)
        return status;
    snprintf(heading, sizeof heading, "%s: %s", output->about, title);
    begin_plot(plot.script, heading, output->x);
    output->plot(plot.script, curves);
    return agn_gnuplot_draw(&plot, path);
}

int agn_curves_write(const struct agn_curves *curves, const char *title, const char *folder)
{
    int status = agn_make_dirs(folder);
    for (size_t i = 0; i < AGN_COUNT_OF(outputs) && status == AGN_OK; i++)
        status = write_table(curves, &outputs[i], folder);
    for (size_t i = 0; i < AGN_COUNT_OF(outputs) && status == AGN_OK; i++)
        if (outputs[i].picture != NULL)
            status = draw(curves, &outputs[i], title, folder);
    return status;
}

int agn_curves_write_frames(const struct agn_curve_frame *frames, int count, const char *path)
{
    struct agn_file_out out;
    int status = agn_file_out_open(&out, path);
    if (status < 0)
        return status;
    fprintf(out.stream, "image,label,local_class,second_class,margin,fused_class,bytes,packets\n");
    for (int i = 0; i < count; i++) {
        const struct agn_curve_frame *f = &frames[i];
        fprintf(out.stream, "%d,%d,%d,%d,%.4f,%d,%d,%d\n", i, f->label, f->local_class, f->second_class,
                f->margin / 256.0, f->fused_class, f->bytes, f->packets);
    }
    return agn_file_out_commit(&out);
}
