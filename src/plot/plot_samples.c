/* Pictures in rows and columns, as `agilenn shift` shows its corruptions. */
#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

enum { USUAL_SIDE = 64, GAP = 6, LEFT = 110, TOP = 64, RIGHT = 12, BOTTOM = 12, LEAST_WIDTH = 420 };

/* Pixels of the sheet. */
struct layout {
    int enlarge, step; /* a pixel of a picture is so large; every so many of its pixels are shown */
    int shown_height, shown_width, cell_height, cell_width, width, height;
};

static struct layout lay_out(const struct agn_plot_samples *s)
{
    struct layout l;
    int side = s->height > s->width ? s->height : s->width;
    l.step = (side + USUAL_SIDE - 1) / USUAL_SIDE;
    l.enlarge = side < USUAL_SIDE ? USUAL_SIDE / side : 1;
    l.shown_height = (s->height + l.step - 1) / l.step;
    l.shown_width = (s->width + l.step - 1) / l.step;
    l.cell_height = l.shown_height * l.enlarge + GAP;
    l.cell_width = l.shown_width * l.enlarge + GAP;
    int width = LEFT + s->columns * l.cell_width + RIGHT;
    l.width = width > LEAST_WIDTH ? width : LEAST_WIDTH;
    l.height = TOP + s->rows * l.cell_height + BOTTOM;
    return l;
}

/* From the bottom row up, as gnuplot wants them. */
static void write_pixels(FILE *script, const struct agn_plot_samples *s, const struct layout *l,
                         const uint8_t *pixels)
{
    for (int y = l->shown_height - 1; y >= 0; y--)
        for (int x = 0; x < l->shown_width; x++)
            for (int c = 0; c < 3; c++) {
                int at = (y * l->step * s->width + x * l->step) * s->channels;
                fputc(pixels[at + (s->channels == 3 ? c : 0)], script);
            }
}

static void write_name(FILE *script, const char *text, int x, int y, const char *look)
{
    fprintf(script, "set label ");
    agn_gnuplot_string(script, text);
    fprintf(script, " at %d,%d front %s\n", x, y, look);
}

static void write_names(FILE *script, const struct agn_plot_samples *s, const struct layout *l)
{
    write_name(script, s->title, l->width / 2, l->height - 20, "center font 'DejaVu Sans,13'");
    for (int column = 0; column < s->columns; column++)
        write_name(script, s->column_names[column], LEFT + column * l->cell_width + l->cell_width / 2,
                   l->height - TOP + 12, "center font 'DejaVu Sans,9'");
    for (int row = 0; row < s->rows; row++)
        write_name(script, s->row_names[row], LEFT - 8,
                   l->height - TOP - row * l->cell_height - l->cell_height / 2,
                   "right font 'DejaVu Sans,10'");
}

static void write_pictures(FILE *script, const struct agn_plot_samples *s, const struct layout *l)
{
    size_t bytes = (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    fprintf(script, "plot ");
    for (int i = 0; i < s->rows * s->columns; i++) {
        int left = LEFT + i % s->columns * l->cell_width,
            bottom = l->height - TOP - (i / s->columns + 1) * l->cell_height + GAP;
        fprintf(script,
                "%s'-' binary array=(%d,%d) dx=%d dy=%d origin=(%g,%g) format='%%uchar' using 1:2:3 with "
                "rgbimage notitle",
                i > 0 ? ", " : "", l->shown_width, l->shown_height, l->enlarge, l->enlarge,
                left + 0.5 * l->enlarge, bottom + 0.5 * l->enlarge);
    }
    fprintf(script, "\n");
    for (int i = 0; i < s->rows * s->columns; i++)
        write_pixels(script, s, l, s->pixels + (size_t)i * bytes);
}

static int check(const char *path, const struct agn_plot_samples *s)
{
    if (s->rows < 1 || s->columns < 1 || s->rows > AGN_PLOT_MAX_MISTAKES / s->columns)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: %d rows of %d pictures; at most %d are possible", path,
                        s->rows, s->columns, AGN_PLOT_MAX_MISTAKES);
    if (s->height < 1 || s->height > AGN_PLOT_MAX_SIDE || s->width < 1 || s->width > AGN_PLOT_MAX_SIDE ||
        (s->channels != 1 && s->channels != 3))
        return agn_fail(AGN_ERR_ARG,
                        "cannot draw %s: images of %dx%dx%d; expected sides of 1 to %d, 1 or 3 channels",
                        path, s->height, s->width, s->channels, AGN_PLOT_MAX_SIDE);
    return AGN_OK;
}

int agn_plot_samples(const char *path, const struct agn_plot_samples *samples)
{
    struct agn_gnuplot plot = {NULL};
    int status = check(path, samples);
    if (status < 0)
        return status;
    struct layout l = lay_out(samples);
    status = agn_gnuplot_open(&plot, l.width, l.height);
    if (status < 0)
        return status;
    fprintf(
        plot.script,
        "unset key\nunset border\nunset tics\nunset grid\n"
        "set lmargin at screen 0\nset rmargin at screen 1\nset tmargin at screen 1\nset bmargin at screen "
        "0\nset xrange [0:%d]\nset yrange [0:%d]\n",
        l.width, l.height);
    write_names(plot.script, samples, &l);
    write_pictures(plot.script, samples, &l);
    return agn_gnuplot_draw(&plot, path);
}
