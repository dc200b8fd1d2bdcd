/* Small JPEG and PNG files made in memory, for tests. */
#ifndef AGN_TEST_IMAGES_H
#define AGN_TEST_IMAGES_H

#include <stddef.h>
#include <stdint.h>

enum test_image_kind {
    TEST_JPEG,             /* quality 95, no chroma subsampling */
    TEST_JPEG_PROGRESSIVE, /* the same, in several scans */
    TEST_PNG,
    TEST_PNG_ALPHA, /* the last of 2 or 4 channels is opacity */
};

/* Encodes pixels (height x width x channels; 1 grey, 3 RGB; with alpha 2 or 4; JPEG: 4 CMYK). The file
 * is freed with free(). Exits the program on failure. */
uint8_t *test_image_make(enum test_image_kind kind, const uint8_t *pixels, int height, int width,
                         int channels, size_t *size_bytes);

/* A smooth colour pattern, kind to JPEG; another one for each `variant` of 0 to 4. */
void test_image_fill(uint8_t *pixels, int height, int width, int channels, int variant);

#endif
