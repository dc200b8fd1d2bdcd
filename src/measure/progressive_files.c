/* What frames are worth as they come, as CSV tables and as a picture. */
#include "agilenn/gnuplot.h"
#include "agilenn/progressive.h"

enum { PATH_BYTES = 4096, WIDTH = 900, HEIGHT = 480 };

static bool has_order(const struct agn_progressive *r, int order)
{
    return order != AGN_ORDER_MEASURED || r->is_measured;
}

/* ---- tables ---------------------------------------------------------------------------- */

static void write_point(FILE *out, int count, const struct agn_progressive_point *p)
{
    fprintf(out, "%d,%.6f,%.6f,%.2f,%.6f\n", count, p->accuracy, p->any_accuracy, p->bytes, p->share);
}

static void write_points(FILE *out, const struct agn_progressive *r)
{
    fprintf(out, "of,packet_bytes,count,accuracy,any_accuracy,bytes,share\n");
    for (int o = 0; o < AGN_ORDER_COUNT; o++)
        for (int n = 0; n <= r->channels && has_order(r, o); n++) {
            fprintf(out, "channels by %s,,", agn_progressive_order_name(o));
            write_point(out, n, &r->order[o][n]);
        }
    for (int s = 0; s < r->sizes; s++)
        for (int n = 0; n <= r->most[s]; n++) {
            fprintf(out, "packets,%d,", r->packet_bytes[s]);
            write_point(out, n, &r->packets[s][n]);
        }
}

static void write_asks(FILE *out, const struct agn_progressive *r)
{
    fprintf(out, "packet_bytes,share,threshold,margin,accuracy,bytes,packets\n");
    for (int s = 0; s < r->sizes; s++)
        for (int i = 0; i < AGN_PROGRESSIVE_SHARES; i++)
            for (int m = 0; m < AGN_PROGRESSIVE_MARGINS; m++) {
                const struct agn_progressive_ask *a = &r->ask[s][i][m];
                fprintf(out, "%d,%.6f,%d,%d,%.6f,%.2f,%.4f\n", r->packet_bytes[s], r->share[i],
                        r->threshold[i], a->margin, a->accuracy, a->bytes, a->packets);
            }
}

/* ---- the picture --------------------------------------------------------------------------- */

static void plot(FILE *script, const struct agn_progressive *r, const char *title)
{
    static const char *const colours[AGN_ORDER_COUNT] = {AGN_COLOUR_BLUE, AGN_COLOUR_VERMILLION,
                                                         AGN_COLOUR_ORANGE, AGN_COLOUR_GREEN};
    fprintf(script, "set title ");
    agn_gnuplot_string(script, title);
    fprintf(script, " font 'DejaVu Sans,13'\nset xlabel 'bytes so far, mean'\nset ylabel 'accuracy (%%)'\n"
                    "set key outside right top reverse Left samplen 2 spacing 1.4\nset yrange [*:*]\n");
    for (int o = 0; o < AGN_ORDER_COUNT; o++) {
        fprintf(script, "$order%d << EOD\n", o);
        for (int n = 0; n <= r->channels; n++)
            fprintf(script, "%.6g %.6g\n", r->order[o][n].bytes, 100.0 * r->order[o][n].accuracy);
        fprintf(script, "EOD\n");
    }
    fprintf(script, "set xrange [0:*]\nplot ");
    for (int o = 0; o < AGN_ORDER_COUNT; o++)
        if (has_order(r, o))
            fprintf(script,
                    "$order%d using 1:2 with linespoints linewidth 1.6 pointtype 7 pointsize 0.5 linecolor "
                    "rgb '%s' title '%s', ",
                    o, colours[o], agn_progressive_order_name(o));
    fprintf(script,
            "%.4f with lines linewidth 1 dashtype 2 linecolor rgb '" AGN_COLOUR_GREY
            "' title 'all of it', %.4f with lines linewidth 1 dashtype 3 linecolor rgb '" AGN_COLOUR_INK
            "' title 'local only'\n",
            100.0 * r->fused_accuracy, 100.0 * r->local_accuracy);
}

/* ---- files -------------------------------------------------------------------------------- */

static int write_table(const struct agn_progressive *result, const char *folder, const char *name,
                       void (*write)(FILE *out, const struct agn_progressive *result))
{
    char path[PATH_BYTES];
    struct agn_file_out out;
    int status = agn_path_in(path, sizeof path, folder, name);
    if (status == AGN_OK)
        status = agn_file_out_open(&out, path);
    if (status != AGN_OK)
        return status;
    write(out.stream, result);
    return agn_file_out_commit(&out);
}

static int draw(const struct agn_progressive *result, const char *title, const char *folder)
{
    char path[PATH_BYTES], heading[256];
    struct agn_gnuplot gnuplot;
    int status = agn_path_in(path, sizeof path, folder, "progress.png");
    if (status == AGN_OK)
        status = agn_gnuplot_open(&gnuplot, WIDTH, HEIGHT);
    if (status != AGN_OK)
        return status;
    snprintf(heading, sizeof heading, "Channel by channel: %s", title);
    plot(gnuplot.script, result, heading);
    return agn_gnuplot_draw(&gnuplot, path);
}

int agn_progressive_write(const struct agn_progressive *result, const char *title, const char *folder)
{
    int status = agn_make_dirs(folder);
    if (status == AGN_OK)
        status = write_table(result, folder, "progress.csv", write_points);
    if (status == AGN_OK && result->asks)
        status = write_table(result, folder, "ask.csv", write_asks);
    return status == AGN_OK ? draw(result, title, folder) : status;
}
