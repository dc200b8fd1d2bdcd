/* Runs gnuplot on a script, for plot.c and plot_explanation.c. */
#ifndef AGN_EVAL_GNUPLOT_H
#define AGN_EVAL_GNUPLOT_H

#include <stdio.h>

#include "agilenn/base.h"

/* A script under way: commands and data are written to `script`. No file name ever enters it: gnuplot
 * reads from its standard input and draws to its standard output, and no shell is involved. */
struct agn__gnuplot {
    FILE *script;
};

/* Starts a PNG of so many pixels with the common look. */
int agn__gnuplot_open(struct agn__gnuplot *plot, int width, int height);

/* Draws the script and puts the whole picture at `path`, which is left alone on failure. Closes `plot` in
 * any case. */
int agn__gnuplot_draw(struct agn__gnuplot *plot, const char *path);

/* Writes `text`, of any origin, as a string literal: control bytes, bytes that are not UTF-8 and characters
 * that no installed font has become '?', and long text is cut. */
void agn__gnuplot_string(FILE *script, const char *text);

/* Colours that stay apart for colour-blind eyes (Okabe and Ito 2008). */
#define AGN__COLOUR_BLUE       "#0072B2"
#define AGN__COLOUR_ORANGE     "#E69F00"
#define AGN__COLOUR_VERMILLION "#D55E00"
#define AGN__COLOUR_GREEN      "#009E73"
#define AGN__COLOUR_SKY        "#56B4E9"
#define AGN__COLOUR_GREY       "#A9B1B8"
#define AGN__COLOUR_INK        "#333333"
#define AGN__COLOUR_SHADE      "#FFF1CC" /* behind the channels that stay on the device */

#endif
