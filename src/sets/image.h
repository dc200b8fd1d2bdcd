/* Inside src/sets: image files to pixels, and pixels to another size. */
#ifndef AGN_SETS_IMAGE_H
#define AGN_SETS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agilenn/base.h"

/* Larger images are refused: a file of a few bytes may announce any size. */
enum {
    AGN__IMAGE_MAX_SIDE = 65535,
    AGN__IMAGE_MAX_PIXELS = 64 * 1000 * 1000,
    AGN__IMAGE_WARNING_BYTES = 512
};

struct agn__image {
    int height, width, channels;
    uint8_t *pixels; /* height x width x channels, freed with agn_free */
};

/* One file's bytes, and how they are to be read. */
struct agn__image_file {
    const uint8_t *data;
    size_t size_bytes;
    const char *name;                       /* what messages call it */
    int channels;                           /* 1 (grey) or 3 (RGB) */
    uint8_t ground[3];                      /* RGB that shows through where the image is transparent */
    char warning[AGN__IMAGE_WARNING_BYTES]; /* out: "", or what is odd about an image that can be used */
};

/* Decodes a JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF or BMP file (told apart by their first bytes; of several
 * pictures in one the first, or the primary one); grey from colour is 0.299 R + 0.587 G + 0.114 B.
 * Transparent pixels are laid over the ground. Pixels are turned upright, as the file's EXIF orientation says
 * (HEIC, AVIF: its own irot and imir). A damaged or truncated file, even if most of it can be shown, is
 * AGN_ERR_FORMAT (damage within a HEIC or AVIF picture's own data: as far as its decoder notices). `image` is
 * untouched on failure. */
int agn__image_decode(struct agn__image_file *file, struct agn__image *image);

/* The formats, once agn__image_decode has told them apart; same contract. */
int agn__jpeg_decode(struct agn__image_file *file, struct agn__image *image);
int agn__png_decode(struct agn__image_file *file, struct agn__image *image);
int agn__webp_decode(struct agn__image_file *file, struct agn__image *image);
int agn__heic_decode(struct agn__image_file *file, struct agn__image *image);
int agn__gif_decode(struct agn__image_file *file, struct agn__image *image);
int agn__tiff_decode(struct agn__image_file *file, struct agn__image *image);
int agn__bmp_decode(struct agn__image_file *file, struct agn__image *image);

/* How colours stand beside their opacity: as they are, or multiplied by it. */
enum agn__alpha { AGN__ALPHA_PLAIN, AGN__ALPHA_MULTIPLIED };

/* Ends every decoder but JPEG's: `decoded` (1, 3 or, with opacity, 4 channels; 1 only if that is asked for)
 * is laid over the ground, brought to file->channels and turned upright. Its pixels are the image's
 * afterwards, or freed on failure. A picture that the ground hides gets a warning. */
int agn__image_finish(struct agn__image_file *file, struct agn__image *decoded, enum agn__alpha alpha,
                      int orientation, struct agn__image *image);

/* 0.299 R + 0.587 G + 0.114 B, with the weights and the rounding of libjpeg. */
static inline uint8_t agn__luminance(const uint8_t *rgb)
{
    return (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

/* Checks announced dimensions against the bounds above. */
int agn__image_check_size(const char *name, unsigned long height, unsigned long width);

/* Fits `image` to dst (height x width x its channels), aspect ratio ignored. Separable
 * triangle filter around half-pixel centres: bilinear where the image grows; where it
 * shrinks, as wide as the scale, so that every source pixel counts. Integer arithmetic
 * with weights that sum to exactly 1: a flat image stays flat, results are the same
 * everywhere. An image of the right size is copied. */
int agn__image_resize(const struct agn__image *image, int height, int width, uint8_t *dst);

#endif
