/* The picture of `agilenn explain`: a row an image with the picture, its importance as a heat map over it,
 * and the importance of each feature channel. The heat maps are blended here, so that gnuplot only has to
 * put pixels in place. */
#include <math.h>
#include <string.h>

#include "agilenn/gnuplot.h"
#include "agilenn/plot.h"

enum { PANEL = 168, ROW = 216, HEADER = 34, FOOTER = 56, WIDTH = 1040, LEFT = 24, GAP = 20, KEY_STEPS = 256 };

/* ---- pixels ---------------------------------------------------------------------------- */

struct rgb {
    double red, green, blue; /* 0 to 1 */
};

/* Black to yellow with rising brightness, so that it also reads without colour; anchors of matplotlib's
 * "inferno" (CC0). */
static struct rgb heat_colour(double heat)
{
    static const struct rgb anchors[] = {{0.001, 0.000, 0.014}, {0.166, 0.045, 0.373}, {0.397, 0.083, 0.433},
                                         {0.624, 0.165, 0.388}, {0.832, 0.283, 0.259}, {0.961, 0.490, 0.084},
                                         {0.982, 0.756, 0.153}, {0.988, 0.998, 0.645}};
    const int last = (int)AGN_COUNT_OF(anchors) - 1;
    double place = fmin(fmax(heat, 0.0), 1.0) * last;
    int index = (int)fmin(floor(place), last - 1.0);
    double t = place - index;
    const struct rgb *a = &anchors[index], *b = &anchors[index + 1];
    return (struct rgb){a->red + t * (b->red - a->red), a->green + t * (b->green - a->green),
                        a->blue + t * (b->blue - a->blue)};
}

/* The image's pixel at a place of the panel, with its shape kept and nearest neighbours, as the network
 * sees pixels. False outside the image. */
static bool picture_at(const struct agn_plot_explained *image, int row, int column, double *y, double *x,
                       struct rgb *colour)
{
    int side = image->height > image->width ? image->height : image->width;
    *y = (row + 0.5) * side / PANEL - 0.5 * (side - image->height);
    *x = (column + 0.5) * side / PANEL - 0.5 * (side - image->width);
    if (*y < 0.0 || *x < 0.0 || *y >= image->height || *x >= image->width)
        return false;
    size_t place = (size_t)*y * (size_t)image->width + (size_t)*x;
    const uint8_t *pixel = image->pixels + place * (size_t)image->channels;
    bool grey = image->channels < 3;
    *colour = (struct rgb){pixel[0] / 255.0, pixel[grey ? 0 : 1] / 255.0, pixel[grey ? 0 : 2] / 255.0};
    return true;
}

/* Bilinear value of the heat map at a share (0 to 1) of its height and width. */
static double heat_at(const struct agn_plot_explained *image, double down, double right)
{
    int height = image->heat_height, width = image->heat_width;
    double y = fmin(fmax(down * height - 0.5, 0.0), height - 1.0);
    double x = fmin(fmax(right * width - 0.5, 0.0), width - 1.0);
    int y0 = (int)y, x0 = (int)x;
    int y1 = y0 + 1 < height ? y0 + 1 : y0, x1 = x0 + 1 < width ? x0 + 1 : x0;
    const float *upper = image->heat + (size_t)y0 * (size_t)width;
    const float *lower = image->heat + (size_t)y1 * (size_t)width;
    double top = (double)upper[x0] + (x - x0) * (double)(upper[x1] - upper[x0]);
    double bottom = (double)lower[x0] + (x - x0) * (double)(lower[x1] - lower[x0]);
    return top + (y - y0) * (bottom - top);
}

static void put_pixel(FILE *script, struct rgb colour)
{
    fputc((int)lround(255.0 * colour.red), script);
    fputc((int)lround(255.0 * colour.green), script);
    fputc((int)lround(255.0 * colour.blue), script);
}

static struct rgb blend(struct rgb picture, double heat)
{
    double grey = 0.299 * picture.red + 0.587 * picture.green + 0.114 * picture.blue;
    struct rgb colour = heat_colour(heat);
    double weight = 0.72, ground = (1.0 - weight) * grey;
    return (struct rgb){weight * colour.red + ground, weight * colour.green + ground,
                        weight * colour.blue + ground};
}

/* PANEL x PANEL pixels from the bottom row up, as gnuplot wants them. */
static void write_panel(FILE *script, const struct agn_plot_explained *image, bool with_heat, double top_heat)
{
    static const struct rgb white = {1.0, 1.0, 1.0};
    for (int row = PANEL - 1; row >= 0; row--)
        for (int column = 0; column < PANEL; column++) {
            double y, x;
            struct rgb colour = white;
            bool inside = picture_at(image, row, column, &y, &x, &colour);
            if (inside && with_heat) {
                double heat = heat_at(image, y / image->height, x / image->width);
                colour = blend(colour, top_heat > 0.0 ? heat / top_heat : 0.0);
            }
            put_pixel(script, colour);
        }
}

/* ---- gnuplot ---------------------------------------------------------------------------- */

/* A panel in pixels from the picture's left and top edge. */
static void place(FILE *script, int left, int top, int width, int height, int total_height)
{
    fprintf(script,
            "set lmargin at screen %.6f\nset rmargin at screen %.6f\n"
            "set tmargin at screen %.6f\nset bmargin at screen %.6f\n",
            (double)left / WIDTH, (double)(left + width) / WIDTH, 1.0 - (double)top / total_height,
            1.0 - (double)(top + height) / total_height);
}

static void start_pixels(FILE *script, int left, int top, int width, int height, int total_height)
{
    place(script, left, top, width, height, total_height);
    fprintf(script, "set xrange [-0.5:%d.5]\nset yrange [-0.5:%d.5]\n", width - 1, height - 1);
    fprintf(script, "plot '-' binary array=(%d,%d) format='%%uchar' using 1:2:3 with rgbimage notitle\n",
            width, height);
}

static void write_bars(FILE *script, const struct agn_plot_explained *image, int channels, int k)
{
    fprintf(script, "$bars << EOD\n");
    double top = 0.0;
    for (int c = 0; c < channels; c++) {
        fprintf(script, "%d %.6g\n", c + 1, 100.0 * (double)image->importance[c]);
        top = fmax(top, 100.0 * (double)image->importance[c]);
    }
    fprintf(script, "EOD\nset xrange [0.4:%d.6]\nset yrange [0:%.6g]\n", channels,
            top > 0.0 ? 1.2 * top : 1.0);
    fprintf(script,
            "set border 3\nset xtics %d scale 0 offset 0,0.4\nset ytics scale 0 autofreq\nset boxwidth 0.8\n"
            "set object 1 rectangle from 0.4, graph 0 to %d.5, graph 1 behind fillcolor rgb "
            "'" AGN_COLOUR_SHADE "' fillstyle solid noborder\n",
            channels <= 40 ? 1 : 20, k);
    fprintf(script,
            "set label 3 'skewness %.1f %%%s' at graph 0.985, graph 0.92 right textcolor rgb '#333333'\n",
            100.0 * image->skewness, image->reference_wrong ? " (the reference is wrong)" : "");
    fprintf(script,
            "plot $bars using 1:($1 <= %d ? $2 : NaN) with boxes linecolor rgb '" AGN_COLOUR_VERMILLION
            "' notitle, '' using 1:($1 > %d ? $2 : NaN) with boxes linecolor rgb '" AGN_COLOUR_BLUE
            "' notitle\nunset object 1\nunset label 3\n",
            k, k);
}

static void write_row(FILE *script, const struct agn_plot_explained *image, int row, int channels, int k,
                      int total_height)
{
    int top = HEADER + row * ROW + 28, bars = LEFT + 2 * (PANEL + GAP) + 44;
    double top_heat = 0.0;
    for (int i = 0; i < image->heat_height * image->heat_width; i++)
        top_heat = fmax(top_heat, (double)image->heat[i]);
    fprintf(script, "set label 1 ");
    agn_gnuplot_string(script, image->title);
    fprintf(script, " at screen %.6f, %.6f left front font 'DejaVu Sans,11' textcolor rgb '#222222'\n",
            (double)LEFT / WIDTH, 1.0 - (double)(top - 11) / total_height);
    fprintf(script, "unset border\nunset tics\n");
    start_pixels(script, LEFT, top, PANEL, PANEL, total_height);
    write_panel(script, image, false, top_heat);
    fprintf(script, "unset label 1\nunset label 4\n");
    start_pixels(script, LEFT + PANEL + GAP, top, PANEL, PANEL, total_height);
    write_panel(script, image, true, top_heat);
    place(script, bars, top, WIDTH - bars - 20, PANEL - 12, total_height);
    write_bars(script, image, channels, k);
}

/* The colours of the heat map, and what the bars are. */
static void write_footer(FILE *script, int k, int total_height)
{
    int top = total_height - FOOTER + 14, left = LEFT + PANEL + GAP, bars = LEFT + 2 * (PANEL + GAP) + 44;
    fprintf(script,
            "unset border\nunset tics\n"
            "set label 1 'low' at screen %.6f, %.6f left front\n"
            "set label 2 'high' at screen %.6f, %.6f right front\n"
            "set label 3 'feature channel: share of importance (%%), the first %d stay on the device' "
            "at screen %.6f, %.6f center front\n",
            (double)left / WIDTH, 1.0 - (top + 24.0) / total_height, (double)(left + PANEL) / WIDTH,
            1.0 - (top + 24.0) / total_height, k, 0.5 * (bars + WIDTH - 20) / WIDTH,
            1.0 - (top + 5.0) / total_height);
    start_pixels(script, left, top, PANEL, 10, total_height);
    for (int i = 0; i < 10 * PANEL; i++)
        put_pixel(script, blend((struct rgb){0.5, 0.5, 0.5}, (double)(i % PANEL) / (PANEL - 1)));
}

static int check(const char *path, const struct agn_plot_explained *images, int rows, int channels, int k)
{
    if (rows < 1 || rows > AGN_PLOT_MAX_ROWS || k < 1 || k > channels)
        return agn_fail(AGN_ERR_ARG, "cannot draw %s: %d images; 1 to %d are possible", path, rows,
                        AGN_PLOT_MAX_ROWS);
    for (int row = 0; row < rows; row++) {
        bool finite = true;
        for (int i = 0; i < images[row].heat_height * images[row].heat_width; i++)
            finite = finite && isfinite(images[row].heat[i]);
        for (int c = 0; c < channels; c++)
            finite = finite && isfinite(images[row].importance[c]);
        if (!finite)
            return agn_fail(AGN_ERR_NUMERIC, "cannot draw %s: the importance of image %d is no number", path,
                            row);
    }
    return AGN_OK;
}

int agn_plot_explanation(const char *path, const struct agn_plot_explained *images, int rows,
                         int feature_channels, int k)
{
    struct agn_gnuplot plot = {NULL};
    int height = HEADER + rows * ROW + FOOTER, status = check(path, images, rows, feature_channels, k);
    if (status == AGN_OK)
        status = agn_gnuplot_open(&plot, WIDTH, height);
    if (status < 0)
        return status;
    fprintf(plot.script,
            "set multiplot\n"
            "set label 4 'Where the importance lies' at screen 0.5, %.6f center front font 'DejaVu "
            "Sans,14'\nunset key\n",
            1.0 - 18.0 / height);
    for (int row = 0; row < rows; row++)
        write_row(plot.script, &images[row], row, feature_channels, k, height);
    write_footer(plot.script, k, height);
    fprintf(plot.script, "unset multiplot\n");
    return agn_gnuplot_draw(&plot, path);
}
