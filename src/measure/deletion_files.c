/* Deletion curves as a table and as pictures. */
#include "agilenn/deletion.h"
#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

enum { PATH_BYTES = 4096, WIDTH = 1060, HEIGHT = 760 };

/* ---- the table ---------------------------------------------------------------------------- */

static void write_curve(FILE *out, const char *what, enum agn_deletion_order order, const char *method,
                        const struct agn_deletion_curve *curve, int count)
{
    for (int n = 0; n <= count; n++)
        fprintf(out, "%s,%s,%s,%d,%.6f,%.6f\n", what, agn_deletion_order_name(order), method, n,
                curve->accuracy[n], curve->probability[n]);
}

static void write_pair(FILE *out, enum agn_deletion_order order, const char *method,
                       const struct agn_deletion_pair *pair, int count)
{
    write_curve(out, "deletion", order, method, &pair->deletion, count);
    write_curve(out, "insertion", order, method, &pair->insertion, count);
}

static void write_table(FILE *out, const struct agn_deletion *r)
{
    fprintf(out, "what,order,method,channels,accuracy,probability\n");
    for (int m = 0; m < r->method_count; m++) {
        const char *name = agn_xai_method_name(r->methods[m].method);
        write_pair(out, AGN_DELETE_FALLING, name, &r->methods[m].falling, r->channels);
        write_pair(out, AGN_DELETE_RISING, name, &r->methods[m].rising, r->channels);
    }
    write_pair(out, AGN_DELETE_FIXED, "", &r->fixed, r->channels);
    write_pair(out, AGN_DELETE_RANDOM, "", &r->random, r->channels);
    for (int m = 0; m < r->method_count; m++) {
        const char *name = agn_xai_method_name(r->methods[m].method);
        write_curve(out, "fused", AGN_DELETE_FALLING, name, &r->methods[m].fused_falling, r->sent_channels);
        write_curve(out, "fused", AGN_DELETE_RISING, name, &r->methods[m].fused_rising, r->sent_channels);
    }
}

/* ---- the picture ---------------------------------------------------------------------------- */

static const char *const colours[AGN_DELETION_METHODS] = {
    AGN_COLOUR_BLUE, AGN_COLOUR_VERMILLION, AGN_COLOUR_GREEN, AGN_COLOUR_ORANGE, AGN_COLOUR_SKY};
static const char *const falling_look = "linewidth 1.8", *const rising_look = "linewidth 1.2 dashtype 2",
                         *const random_look = "linewidth 1.2 dashtype 3";

static void write_block(FILE *script, const char *name, int number, const double *points, int count)
{
    fprintf(script, "$%s%d << EOD\n", name, number);
    for (int n = 0; n <= count; n++)
        fprintf(script, "%d %.6g\n", n, 100.0 * points[n]);
    fprintf(script, "EOD\n");
}

static void write_blocks(FILE *script, const struct agn_deletion *r)
{
    for (int m = 0; m < r->method_count; m++) {
        const struct agn_deletion_method *method = &r->methods[m];
        write_block(script, "df", m, method->falling.deletion.probability, r->channels);
        write_block(script, "dr", m, method->rising.deletion.probability, r->channels);
        write_block(script, "if", m, method->falling.insertion.probability, r->channels);
        write_block(script, "ir", m, method->rising.insertion.probability, r->channels);
        write_block(script, "ff", m, method->fused_falling.accuracy, r->sent_channels);
        write_block(script, "fr", m, method->fused_rising.accuracy, r->sent_channels);
    }
    write_block(script, "dx", 0, r->fixed.deletion.probability, r->channels);
    write_block(script, "dn", 0, r->random.deletion.probability, r->channels);
    write_block(script, "ix", 0, r->fixed.insertion.probability, r->channels);
    write_block(script, "in", 0, r->random.insertion.probability, r->channels);
}

/* `what`: d, i or f, the first letter of its blocks. */
static void write_panel(FILE *script, const struct agn_deletion *r, char what, const char *title,
                        const char *x, const char *y)
{
    fprintf(script, "set title '%s' font 'DejaVu Sans,12'\nset xlabel '%s'\nset ylabel '%s'\n", title, x, y);
    fprintf(script, "set xrange [0:%d]\nset yrange [%s]\nplot ", what == 'f' ? r->sent_channels : r->channels,
            what == 'f' ? "*:*" : "0:100");
    for (int m = 0; m < r->method_count; m++)
        fprintf(script,
                "%s$%cf%d using 1:2 with lines %s linecolor rgb '%s' notitle, $%cr%d using 1:2 with lines %s "
                "linecolor rgb '%s' notitle",
                m > 0 ? ", " : "", what, m, falling_look, colours[m], what, m, rising_look, colours[m]);
    if (what != 'f')
        fprintf(script,
                ", $%cx0 using 1:2 with lines linewidth 1.8 linecolor rgb '" AGN_COLOUR_INK
                "' notitle, $%cn0 using 1:2 with lines %s linecolor rgb '" AGN_COLOUR_INK "' notitle",
                what, what, random_look);
    fprintf(script, "\n");
}

static void write_key(FILE *script, const struct agn_deletion *r)
{
    fprintf(script,
            "unset title\nunset xlabel\nunset ylabel\nunset border\nunset tics\nunset grid\nset key "
            "center center reverse Left samplen 3 spacing 1.4\nset xrange [0:1]\nset yrange [0:1]\nplot ");
    for (int m = 0; m < r->method_count; m++) {
        const char *name = agn_xai_method_name(r->methods[m].method);
        fprintf(script,
                "NaN with lines %s linecolor rgb '%s' title '%s, most important first', NaN with lines %s "
                "linecolor rgb '%s' title '%s, least important first', ",
                falling_look, colours[m], name, rising_look, colours[m], name);
    }
    fprintf(script,
            "NaN with lines linewidth 1.8 linecolor rgb '" AGN_COLOUR_INK
            "' title 'the order of the model', NaN with lines %s linecolor rgb '" AGN_COLOUR_INK
            "' title 'at random'\n",
            random_look);
}

static int draw(const struct agn_deletion *r, const char *title, const char *path)
{
    struct agn_gnuplot plot;
    char heading[256];
    int status = agn_gnuplot_open_for(&plot, path, WIDTH, HEIGHT);
    if (status < 0)
        return status;
    write_blocks(plot.script, r);
    snprintf(heading, sizeof heading, "Channels deleted and put back: %s", title);
    fprintf(plot.script, "set multiplot layout 2,2 title ");
    agn_gnuplot_string(plot.script, heading);
    fprintf(plot.script, " font 'DejaVu Sans,13'\nunset key\n");
    write_panel(plot.script, r, 'd', "Deletion: the reference", "channels taken away",
                "probability of the true class (%)");
    write_panel(plot.script, r, 'i', "Insertion: the reference", "channels put back",
                "probability of the true class (%)");
    write_panel(plot.script, r, 'f', "The fused prediction", "sent channels that did not come",
                "accuracy (%)");
    write_key(plot.script, r);
    fprintf(plot.script, "unset multiplot\n");
    return agn_gnuplot_draw(&plot, path);
}

/* ---- files ------------------------------------------------------------------------------------ */

int agn_deletion_write(const struct agn_deletion *result, const char *title, const char *folder)
{
    static const char *const pictures[] = {"deletion.png", "deletion.svg"};
    char path[PATH_BYTES];
    struct agn_file_out out;
    int status = agn_make_dirs(folder);
    if (status == AGN_OK)
        status = agn_path_in(path, sizeof path, folder, "deletion.csv");
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
