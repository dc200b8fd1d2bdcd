/* PNG through libpng's simplified API, which stops once the last pixel is there: that
 * the file is whole to its last chunk is checked here first. */
#include <stdio.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "data/orientation.h"

enum { WHITE = 255 };

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Walks the chunks (u32 length, 4 letters, data, u32 CRC of letters and data) up to IEND; notes what a
 * chunk with EXIF says. */
static int check_chunks(const uint8_t *data, size_t size_bytes, const char *name, int *orientation)
{
    size_t at = 8; /* the signature */
    for (;;) {
        if (size_bytes - at < 12)
            return agn_fail(AGN_ERR_FORMAT, "%s: truncated PNG: ends at byte %zu before its IEND chunk", name,
                            size_bytes);
        const uint8_t *chunk = data + at;
        uint32_t length = read_u32(chunk);
        if (length > size_bytes - at - 12)
            return agn_fail(AGN_ERR_FORMAT,
                            "%s: truncated PNG: the chunk at byte %zu has %u bytes, the file ends first",
                            name, at, (unsigned)length);
        if (crc32(crc32(0, NULL, 0), chunk + 4, (uInt)length + 4) != read_u32(chunk + 8 + length))
            return agn_fail(AGN_ERR_FORMAT, "%s: damaged PNG: wrong checksum in the chunk at byte %zu", name,
                            at);
        if (memcmp(chunk + 4, "IEND", 4) == 0)
            return AGN_OK;
        if (memcmp(chunk + 4, "eXIf", 4) == 0)
            *orientation = agn__orientation_read(chunk + 8, length);
        at += 12 + (size_t)length;
    }
}

static void grey_to_rgb(const uint8_t *grey, size_t pixels, uint8_t *rgb)
{
    for (size_t i = 0; i < pixels; i++)
        memset(rgb + 3 * i, grey[i], 3);
}

/* The weights of JPEG's luminance, so that both formats give the same grey. */
static void rgb_to_grey(const uint8_t *rgb, size_t pixels, uint8_t *grey)
{
    for (size_t i = 0; i < pixels; i++, rgb += 3)
        grey[i] = (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

/* Replaces pixels of one number of channels by the other. */
static int convert(uint8_t **pixels, size_t count, int from, int to)
{
    if (from == to)
        return AGN_OK;
    uint8_t *converted = agn_alloc(count, (size_t)to);
    if (!converted)
        return AGN_ERR_MEMORY;
    if (to == 3)
        grey_to_rgb(*pixels, count, converted);
    else
        rgb_to_grey(*pixels, count, converted);
    agn_free(*pixels);
    *pixels = converted;
    return AGN_OK;
}

/* Lays pixels with opacity over white, in place, by the values in the file as viewers do. True when this
 * hides a picture: opacity varies, the result does not. */
static bool compose(uint8_t *pixels, size_t count, int channels)
{
    const uint8_t *src = pixels;
    uint8_t *dst = pixels;
    uint8_t first_alpha = pixels[channels];
    bool varied = false, flat = true;
    for (size_t i = 0; i < count; i++, src += channels + 1, dst += channels) {
        unsigned alpha = src[channels];
        varied |= alpha != first_alpha;
        for (int c = 0; c < channels; c++) {
            dst[c] = (uint8_t)((src[c] * alpha + WHITE * (255 - alpha) + 127) / 255);
            flat &= dst[c] == pixels[c];
        }
    }
    return varied && flat;
}

int agn__png_decode(struct agn__image_file *file, struct agn__image *image)
{
    const char *name = file->name;
    int channels = file->channels;
    int orientation = AGN__UPRIGHT;
    int status = check_chunks(file->data, file->size_bytes, name, &orientation);
    if (status < 0)
        return status;
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    uint8_t *pixels = NULL;
    if (!png_image_begin_read_from_memory(&png, file->data, file->size_bytes)) {
        status = agn_fail(AGN_ERR_FORMAT, "%s: damaged PNG: %s", name, png.message);
        goto out;
    }
    status = agn__image_check_size(name, png.height, png.width);
    if (status < 0)
        goto out;
    png.flags |=
        PNG_IMAGE_FLAG_16BIT_sRGB; /* 16-bit files without a gamma are no different from 8-bit ones */
    int stored = (png.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1;
    bool transparent = (png.format & PNG_FORMAT_FLAG_ALPHA) != 0;
    png.format = (stored == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY) | (transparent ? PNG_FORMAT_FLAG_ALPHA : 0);
    size_t count = (size_t)png.height * png.width;
    pixels = agn_alloc(count, (size_t)stored + transparent);
    if (!pixels) {
        status = AGN_ERR_MEMORY;
        goto out;
    }
    if (!png_image_finish_read(&png, NULL, pixels, 0, NULL)) {
        status = agn_fail(AGN_ERR_FORMAT, "%s: damaged PNG: %s", name, png.message);
        goto out;
    }
    if (transparent && compose(pixels, count, stored))
        (void)snprintf(file->warning, sizeof file->warning,
                       "%s: on the white ground for transparency all its pixels are alike", name);
    status = convert(&pixels, count, stored, channels);
    if (status < 0)
        goto out;
    struct agn__image decoded = {(int)png.height, (int)png.width, channels, pixels};
    status = agn__orientation_apply(&decoded, orientation);
    pixels = decoded.pixels;
    if (status < 0)
        goto out;
    *image = decoded;
    pixels = NULL;
out:
    png_image_free(&png);
    agn_free(pixels);
    return status;
}
