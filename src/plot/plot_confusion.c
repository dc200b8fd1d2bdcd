/* The confusion matrix as a heat map: rows are true classes, each shaded by the share of its images. */
#include <math.h>
#include <string.h>

#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

enum {
    MOST_COUNTED = 20, /* classes, with counts in the cells */
    MOST_NAMED = 40,
    NAME_COLUMNS = 24,
    NAME_BYTES = 128,
    COLUMN_PIXELS = 8, /* a character of a name is about as wide */
    SIDE = 960,        /* pixels that a matrix of many classes is brought near to */
};

/* Pixels of the picture, from its left and top edge. */
struct layout {
    int cell, side, left, top, width, height;
};

static int between(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

/* Whole pixels a cell, so that all are of one size. */
static int cell_of(int classes)
{
    if (classes <= MOST_COUNTED)
        return between(560 / classes, 44, 120);
    return classes <= MOST_NAMED ? 26 : between((SIDE + classes / 2) / classes, 2, 24);
}

static int name_pixels(const struct agn_plot_confusion *confusion)
{
    int longest = 3;
    if (confusion->classes > MOST_NAMED)
        return 5 * COLUMN_PIXELS; /* numbers */
    for (int c = 0; c < confusion->classes; c++) {
        int columns = agn_text_columns(confusion->names[c]);
        longest = columns > longest ? columns : longest;
    }
    return COLUMN_PIXELS * between(longest, 3, NAME_COLUMNS) + 10;
}

static struct layout lay_out(const struct agn_plot_confusion *confusion)
{
    struct layout l = {.cell = cell_of(confusion->classes)};
    int names = name_pixels(confusion), for_title = 460;
    l.side = l.cell * confusion->classes;
    l.left = 34 + names;
    l.top = 60;
    l.width = l.left + between(l.side, for_title, l.side + for_title) + 100;
    l.height = l.top + l.side + names + 44;
    return l;
}

static int row_sum(const struct agn_plot_confusion *confusion, int row, int *right)
{
    int sum = 0;
    const int *counts = confusion->counts + (size_t)row * (size_t)confusion->classes;
    for (int c = 0; c < confusion->classes; c++)
        sum += counts[c];
    *right = counts[row];
    return sum;
}

/* A line a true class. Rows without images have no share. */
static void write_shares(FILE *script, const struct agn_plot_confusion *confusion)
{
    int n = confusion->classes, right;
    fprintf(script, "$shares << EOD\n");
    for (int row = 0; row < n; row++) {
        int sum = row_sum(confusion, row, &right);
        for (int c = 0; c < n; c++)
            if (sum > 0)
                fprintf(script, "%.4g ",
                        100.0 * confusion->counts[(size_t)row * (size_t)n + (size_t)c] / sum);
            else
                fprintf(script, "NaN ");
        fprintf(script, "\n");
    }
    fprintf(script, "EOD\n");
}

/* Column, row, count, and a colour that is seen on the cell's own. */
static void write_counts(FILE *script, const struct agn_plot_confusion *confusion)
{
    int n = confusion->classes, right;
    fprintf(script, "$counts << EOD\n");
    for (int row = 0; row < n; row++) {
        int sum = row_sum(confusion, row, &right);
        for (int c = 0; c < n; c++) {
            int count = confusion->counts[(size_t)row * (size_t)n + (size_t)c];
            const char *colour = count == 0 ? "0xBBBBBB" : count > 0.4 * sum ? "0xFFFFFF" : "0x333333";
            fprintf(script, "%d %d %d %s\n", c, row, count, sum > 0 ? colour : "0xD9D9D9");
        }
    }
    fprintf(script, "EOD\n");
}

/* Labels of tics may hold formats of numbers, so that a percent sign is written twice. */
static void write_tic(FILE *script, const char *name, int place)
{
    char clipped[NAME_BYTES], doubled[2 * NAME_BYTES];
    char *out = doubled;
    agn_text_clip(clipped, sizeof clipped, name, NAME_COLUMNS);
    for (const char *in = clipped; *in; in++) {
        *out++ = *in;
        if (*in == '%')
            *out++ = '%';
    }
    *out = '\0';
    agn_gnuplot_string(script, doubled);
    fprintf(script, " %d", place);
}

static void write_names(FILE *script, const struct agn_plot_confusion *confusion)
{
    int n = confusion->classes;
    fprintf(script, "set tics scale 0 font 'DejaVu Sans,10'\nset xtics rotate by 90 right\n");
    if (n > MOST_NAMED) {
        int step = n <= 100 ? 5 : n <= 200 ? 10 : n <= 500 ? 25 : 50;
        fprintf(script, "set tics scale 0.5 out\nset xtics 0,%d,%d\nset ytics 0,%d,%d\n", step, n - 1, step,
                n - 1);
        return;
    }
    for (int axis = 0; axis < 2; axis++) {
        fprintf(script, "set %ctics (", "xy"[axis]);
        for (int c = 0; c < n; c++) {
            fprintf(script, "%s", c > 0 ? ", " : "");
            write_tic(script, confusion->names[c], c);
        }
        fprintf(script, ")\n");
    }
}

static void write_heading(FILE *script, const struct agn_plot_confusion *confusion, const struct layout *l)
{
    double images = 0.0, correct = 0.0;
    bool empty = false;
    for (int row = 0; row < confusion->classes; row++) {
        int right, sum = row_sum(confusion, row, &right);
        images += sum;
        correct += right;
        empty = empty || sum == 0;
    }
    fprintf(script,
            "set label 1 'Confusion matrix: %.0f images, %.2f %% right' at screen %.6f, %.6f left "
            "font 'DejaVu Sans,14'\n",
            images, images > 0.0 ? 100.0 * correct / images : 0.0, (double)l->left / l->width,
            1.0 - 20.0 / l->height);
    if (empty)
        fprintf(script,
                "set label 2 'grey: true classes without an image' at screen %.6f, %.6f left "
                "font 'DejaVu Sans,9' textcolor rgb '#666666'\n",
                (double)l->left / l->width, 1.0 - 44.0 / l->height);
}

static void write_frame(FILE *script, const struct layout *l, int classes)
{
    double right = (double)(l->left + l->side) / l->width, bar = right + 22.0 / l->width;
    int bar_height = l->side < 400 ? l->side : 400;
    fprintf(
        script,
        "set lmargin at screen %.8f\nset rmargin at screen %.8f\nset tmargin at screen %.8f\n"
        "set bmargin at screen %.8f\nset xrange [-0.5:%d.5]\nset yrange [%d.5:-0.5]\nunset grid\nunset key\n"
        "set border 15\n",
        (double)l->left / l->width, right, 1.0 - (double)l->top / l->height,
        1.0 - (double)(l->top + l->side) / l->height, classes - 1, classes - 1);
    fprintf(script,
            "set object 1 rectangle from graph 0, graph 0 to graph 1, graph 1 behind fillcolor rgb '#D9D9D9' "
            "fillstyle solid noborder\n"
            /* Lightness falls fastest where shares are small, so that rare confusions are seen. */
            "set palette defined (0 '#FFFFFF', 1 '#E3EEF8', 5 '#B7D4EA', 20 '#6AAED6', 50 '#2E7EBC', 100 "
            "'#08306B')\n"
            "set cbrange [0:100]\nset cblabel 'share of the true class (%%)'\nset cbtics scale 0 nomirror\n"
            "set colorbox user origin screen %.8f, screen %.8f size screen %.8f, screen %.8f noborder\n",
            bar, 1.0 - (double)(l->top + bar_height) / l->height, 14.0 / l->width,
            (double)bar_height / l->height);
    fprintf(script, "set label 3 'predicted class' at screen %.6f, %.6f center\n",
            (l->left + 0.5 * l->side) / l->width, 14.0 / l->height);
    fprintf(script, "set label 4 'true class' at screen %.6f, %.6f center rotate by 90\n", 14.0 / l->width,
            1.0 - (l->top + 0.5 * l->side) / l->height);
}

int agn_plot_confusion(const char *path, const struct agn_plot_confusion *confusion)
{
    struct agn_gnuplot plot = {NULL};
    int n = confusion->classes;
    if (n < 1 || n > AGN_PLOT_MAX_CLASSES)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: %d classes; 1 to %d are possible", path, n,
                        AGN_PLOT_MAX_CLASSES);
    struct layout l = lay_out(confusion);
    int status = agn_gnuplot_open(&plot, l.width, l.height);
    if (status < 0)
        return status;
    write_shares(plot.script, confusion);
    write_frame(plot.script, &l, n);
    write_names(plot.script, confusion);
    write_heading(plot.script, confusion, &l);
    if (n <= MOST_COUNTED)
        write_counts(plot.script, confusion);
    /* Cells of few classes are drawn as squares with exact borders, of many as pixels, which is faster. */
    fprintf(plot.script, "plot $shares matrix using 1:2:3 with image%s", n <= MOST_NAMED ? " pixels" : "");
    if (n <= MOST_COUNTED)
        fprintf(plot.script,
                ", $counts using 1:2:(sprintf('%%d', $3)):4 with labels font 'DejaVu Sans,%d' textcolor rgb "
                "variable",
                n <= 10 ? 10 : 9);
    fprintf(plot.script, "\n");
    return agn_gnuplot_draw(&plot, path);
}
