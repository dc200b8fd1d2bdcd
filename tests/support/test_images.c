/* See test_images.h. */
#include "test_images.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

static uint8_t *make_jpeg(bool progressive, const uint8_t *pixels, int height, int width, int channels,
                          size_t *size_bytes)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors; /* the default handler exits, as promised */
    unsigned char *data = NULL;
    unsigned long size = 0;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &data, &size);
    info.image_width = (JDIMENSION)width;
    info.image_height = (JDIMENSION)height;
    info.input_components = channels;
    info.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 95, TRUE);
    info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
    if (progressive)
        jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)(pixels + (size_t)info.next_scanline * (size_t)width * (size_t)channels);
        (void)jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    *size_bytes = size;
    return data;
}

static uint8_t *make_png(const uint8_t *pixels, int height, int width, int channels, size_t *size_bytes)
{
    static const png_uint_32 formats[] = {0, PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = (png_uint_32)width;
    image.height = (png_uint_32)height;
    image.format = formats[channels];
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    uint8_t *data = malloc(size);
    if (!data || !png_image_write_to_memory(&image, data, &size, 0, pixels, 0, NULL)) {
        fprintf(stderr, "cannot make a PNG: %s\n", image.message);
        exit(2);
    }
    *size_bytes = size;
    return data;
}

uint8_t *test_image_make(enum test_image_kind kind, const uint8_t *pixels, int height, int width,
                         int channels, size_t *size_bytes)
{
    if (kind == TEST_PNG || kind == TEST_PNG_ALPHA)
        return make_png(pixels, height, width, channels, size_bytes);
    return make_jpeg(kind == TEST_JPEG_PROGRESSIVE, pixels, height, width, channels, size_bytes);
}

void test_image_fill(uint8_t *pixels, int height, int width, int channels, int variant)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                *pixels++ = (uint8_t)(8 * (variant % 5) + 20 * c + 100 * y / height + 70 * x / width);
}
