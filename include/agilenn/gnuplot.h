/* Runs gnuplot on a script, for plot.c and plot_explanation.c. */
#ifndef AGILENN_GNUPLOT_H
#define AGILENN_GNUPLOT_H

#include <stdio.h>

#include "agilenn/base.h"

/* A script under way: commands and data are written to `script`. No file name ever enters it: gnuplot
 * reads from its standard input and draws to its standard output, and no shell is involved. */
struct agn_gnuplot {
    FILE *script;
    bool svg; /* else PNG */
};

/* Starts a PNG of so many pixels with the common look. AGN_ERR_IO. */
int agn_gnuplot_open(struct agn_gnuplot *plot, int width, int height);

/* The same; an SVG where `path`, for which it is, ends in ".svg". */
int agn_gnuplot_open_for(struct agn_gnuplot *plot, const char *path, int width, int height);

/* Draws the script and puts the whole picture at `path`, which is left alone on failure. Closes `plot` in
 * any case. */
int agn_gnuplot_draw(struct agn_gnuplot *plot, const char *path);

/* Writes `text`, of any origin, as a string literal: control bytes, bytes that are not UTF-8 and characters
 * that no installed font has become '?', and long text is cut. */
void agn_gnuplot_string(FILE *script, const char *text);

/* Colours that stay apart for colour-blind eyes (Okabe and Ito 2008). */
#define AGN_COLOUR_BLUE       "#0072B2"
#define AGN_COLOUR_ORANGE     "#E69F00"
#define AGN_COLOUR_VERMILLION "#D55E00"
#define AGN_COLOUR_GREEN      "#009E73"
#define AGN_COLOUR_SKY        "#56B4E9"
#define AGN_COLOUR_GREY       "#A9B1B8"
#define AGN_COLOUR_INK        "#333333"
#define AGN_COLOUR_SHADE      "#FFF1CC" /* behind the channels that stay on the device */

#endif
