/* The sheet of `agilenn eval --mistakes`: pictures as the network sees them, with what they are and what they
 * are taken for. */
#include <string.h>

#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

enum {
    USUAL_SIDE = 112, /* pixels that the longer side of a picture is brought near to */
    MAX_SIDE = 160,   /* what is larger is made smaller */
    SHEET_WIDTH = 1120,
    CELL_WIDTH = 150, /* at least: room for a caption */
    GAP = 18,
    HEADER = 52,
    CAPTION = 62,      /* under a picture: three lines */
    LINE = 15,         /* from one to the next */
    COLUMN_PIXELS = 7, /* a character of a caption is about as wide */
    NAME_BYTES = 256,
};

/* Pixels of the sheet, from its left and top edge. */
struct layout {
    int enlarge, reduce; /* whole factors; one of them is 1 */
    int picture_width, picture_height;
    int cell_width, cell_height, columns, width, height;
};

static int at_least(int value, int least)
{
    return value > least ? value : least;
}

static struct layout lay_out(const struct agn_plot_mistakes *sheet)
{
    struct layout l;
    int side = at_least(sheet->height, sheet->width);
    l.enlarge = at_least((USUAL_SIDE + side / 2) / side, 1);
    l.reduce = side > MAX_SIDE ? (side + MAX_SIDE - 1) / MAX_SIDE : 1;
    l.picture_width = l.enlarge * at_least(sheet->width / l.reduce, 1);
    l.picture_height = l.enlarge * at_least(sheet->height / l.reduce, 1);
    l.cell_width = at_least(l.picture_width, CELL_WIDTH) + GAP;
    l.cell_height = l.picture_height + CAPTION;
    int most = SHEET_WIDTH / l.cell_width, rows = (sheet->count + most - 1) / most;
    l.columns =
        rows > 1 ? (sheet->count + rows - 1) / rows : at_least(sheet->count, 4); /* room for the title */
    l.width = l.columns * l.cell_width + GAP;
    l.height = HEADER + at_least(rows, 1) * l.cell_height;
    return l;
}

/* Mean over what one pixel of the sheet stands for. */
static int pixel_of(const struct agn_plot_mistakes *sheet, const uint8_t *pixels, const struct layout *l,
                    int y, int x, int channel)
{
    int sum = 0, count = 0, c = sheet->channels == 3 ? channel : 0;
    for (int dy = 0; dy < l->reduce && y * l->reduce + dy < sheet->height; dy++)
        for (int dx = 0; dx < l->reduce && x * l->reduce + dx < sheet->width; dx++) {
            int at = (y * l->reduce + dy) * sheet->width + x * l->reduce + dx;
            sum += pixels[at * sheet->channels + c];
            count++;
        }
    return (sum + count / 2) / count;
}

/* From the bottom row up, as gnuplot wants them; it does the enlarging. */
static void write_pixels(FILE *script, const struct agn_plot_mistakes *sheet, const struct layout *l,
                         const uint8_t *pixels)
{
    for (int y = l->picture_height / l->enlarge - 1; y >= 0; y--)
        for (int x = 0; x < l->picture_width / l->enlarge; x++)
            for (int c = 0; c < 3; c++)
                fputc(pixel_of(sheet, pixels, l, y, x, c), script);
}

static void write_label(FILE *script, int tag, const char *text, double x, double y, const char *look)
{
    fprintf(script, "set label %d ", tag);
    agn_gnuplot_string(script, text);
    fprintf(script, " at screen %.6f, %.6f center front %s\n", x, y, look);
}

/* 'true → predicted' on one line where it fits, else on two; then the number. */
static void write_caption(FILE *script, const struct layout *l, const struct agn_plot_mistake *mistake,
                          double x, double y)
{
    static const char look[] = "font 'DejaVu Sans,9' textcolor rgb '#222222'";
    char right[NAME_BYTES], wrong[NAME_BYTES], line[2 * NAME_BYTES + 16];
    double step = (double)LINE / l->height;
    int room = (l->cell_width - 4) / COLUMN_PIXELS;
    if (agn_text_columns(mistake->true_class) + 3 + agn_text_columns(mistake->predicted_class) <= room) {
        agn_text_clip(right, sizeof right, mistake->true_class, room);
        agn_text_clip(wrong, sizeof wrong, mistake->predicted_class, room);
        snprintf(line, sizeof line, "%s → %s", right, wrong);
        write_label(script, 1, line, x, y, look);
        fprintf(script, "unset label 2\n");
        y -= step;
    } else {
        agn_text_clip(right, sizeof right, mistake->true_class, room);
        agn_text_clip(wrong, sizeof wrong, mistake->predicted_class, room - 2);
        snprintf(line, sizeof line, "→ %s", wrong);
        write_label(script, 1, right, x, y, look);
        write_label(script, 2, line, x, y - step, look);
        y -= 2 * step;
    }
    snprintf(line, sizeof line, "image %d, margin %.2f", mistake->image, mistake->margin);
    write_label(script, 3, line, x, y, "font 'DejaVu Sans,8' textcolor rgb '#777777'");
}

/* The axes are the sheet's pixels, from its lower left corner: so a picture's pixel becomes whole ones. */
static void write_cell(FILE *script, const struct agn_plot_mistakes *sheet, const struct layout *l, int i)
{
    int left = GAP / 2 + i % l->columns * l->cell_width + (l->cell_width - l->picture_width) / 2;
    int bottom = HEADER + i / l->columns * l->cell_height + l->picture_height;
    write_caption(script, l, &sheet->mistakes[i], (left + 0.5 * l->picture_width) / l->width,
                  1.0 - (bottom + 11.0) / l->height);
    fprintf(script,
            "set object 1 rectangle from %d,%d to %d,%d behind fillcolor rgb '#CCCCCC' fillstyle solid "
            "noborder\n",
            left - 1, l->height - bottom - 1, left + l->picture_width + 1,
            l->height - bottom + l->picture_height + 1);
    fprintf(
        script,
        "plot '-' binary array=(%d,%d) dx=%d dy=%d origin=(%g,%g) format='%%uchar' using 1:2:3 with rgbimage "
        "notitle\n",
        l->picture_width / l->enlarge, l->picture_height / l->enlarge, l->enlarge, l->enlarge,
        left + 0.5 * l->enlarge, l->height - bottom + 0.5 * l->enlarge);
    write_pixels(script, sheet, l, sheet->mistakes[i].pixels);
    fprintf(script, "unset label 4\n"); /* the title: once is enough */
}

static int check(const char *path, const struct agn_plot_mistakes *sheet)
{
    if (sheet->count < 0 || sheet->count > AGN_PLOT_MAX_MISTAKES)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: %d mistakes; 0 to %d are possible", path, sheet->count,
                        AGN_PLOT_MAX_MISTAKES);
    if (sheet->height < 1 || sheet->height > AGN_PLOT_MAX_SIDE || sheet->width < 1 ||
        sheet->width > AGN_PLOT_MAX_SIDE || sheet->channels < 1 || sheet->channels > 3)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: images of %dx%dx%d; 1x1x1 to %dx%dx3 are possible",
                        path, sheet->height, sheet->width, sheet->channels, AGN_PLOT_MAX_SIDE,
                        AGN_PLOT_MAX_SIDE);
    return AGN_OK;
}

int agn_plot_mistakes(const char *path, const struct agn_plot_mistakes *sheet)
{
    struct agn_gnuplot plot = {NULL};
    int status = check(path, sheet);
    if (status < 0)
        return status;
    struct layout l = lay_out(sheet);
    status = agn_gnuplot_open(&plot, l.width, l.height);
    if (status < 0)
        return status;
    fprintf(
        plot.script,
        "set multiplot\nunset key\nunset border\nunset tics\nunset grid\n"
        "set lmargin at screen 0\nset rmargin at screen 1\nset tmargin at screen 1\nset bmargin at screen 0\n"
        "set xrange [0:%d]\nset yrange [0:%d]\n",
        l.width, l.height);
    write_label(plot.script, 4, sheet->title, 0.5, 1.0 - 20.0 / l.height, "font 'DejaVu Sans,14'");
    for (int i = 0; i < sheet->count; i++)
        write_cell(plot.script, sheet, &l, i);
    if (sheet->count == 0)
        fprintf(plot.script, "plot NaN notitle\n");
    fprintf(plot.script, "unset multiplot\n");
    return agn_gnuplot_draw(&plot, path);
}
