/* Inside src/sets: which way up a picture is, by the EXIF block that cameras write. */
#ifndef AGN_SETS_ORIENTATION_H
#define AGN_SETS_ORIENTATION_H

#include "sets/image.h"

enum { AGN__UPRIGHT = 1 };

/* The orientation (1 to 8, tag 0x0112 of the first directory; EXIF 2.32, 4.6.4) in an EXIF block: a TIFF
 * header in either byte order, with or without "Exif\0\0" before it. A block that is damaged, or says
 * nothing of it, is AGN__UPRIGHT: nothing is read beyond size_bytes. */
int agn__orientation_read(const uint8_t *exif, size_t size_bytes);

/* Turns and mirrors pixels as `orientation` asks, so that row 0 is the top that viewers show; 5 to 8 swap
 * height and width. Untouched on failure (no memory), and for what is not 2 to 8. */
int agn__orientation_apply(struct agn__image *image, int orientation);

#endif
