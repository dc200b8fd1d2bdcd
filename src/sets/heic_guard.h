/* Inside src/sets: what a HEIC or AVIF file asks of its decoders, looked at before they run. */
#ifndef AGN_SETS_HEIC_GUARD_H
#define AGN_SETS_HEIC_GUARD_H

#include "sets/image.h"

/* Walks the boxes of a file (ISO/IEC 14496-12 and 23008-12) that describe its pictures. libheif and the
 * decoders behind it take from them how much memory they need, and which picture is made of which: here
 * each size that a tile, a grid or a video stream announces is held against agn__image_check_size, all data
 * must lie in the file, and no picture may be made of itself. Pictures laid over each other, and several in
 * one stream, are refused. AGN_OK, or an error that names what is wrong. */
int agn__heic_guard(const struct agn__image_file *file);

#endif
