/* Which characters can be drawn here, for text of any origin in pictures. */
#ifndef AGN_PLOT_FONTS_H
#define AGN_PLOT_FONTS_H

#include <stdbool.h>
#include <stdint.h>

/* Has any installed font this character? gnuplot draws others as boxes many times the size of the text. Asks
 * fontconfig, as gnuplot's own library does. Any thread may ask. */
bool agn__font_has(uint32_t code);

#endif
