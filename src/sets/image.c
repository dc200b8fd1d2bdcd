/* Which decoder reads an image, and the bounds that hold for all of them. */
#include <string.h>

#include "sets/image.h"

int agn__image_check_size(const char *name, unsigned long height, unsigned long width)
{
    if (height < 1 || width < 1)
        return agn_fail(AGN_ERR_FORMAT, "%s: an image of %lu x %lu pixels (width x height)", name, width,
                        height);
    if (height > AGN__IMAGE_MAX_SIDE || width > AGN__IMAGE_MAX_SIDE || height * width > AGN__IMAGE_MAX_PIXELS)
        return agn_fail(AGN_ERR_RANGE,
                        "%s: %lu x %lu pixels (width x height); at most %d megapixels are read", name, width,
                        height, AGN__IMAGE_MAX_PIXELS / 1000000);
    return AGN_OK;
}

static bool begins_with(const struct agn__image_file *file, const void *start, size_t length)
{
    return file->size_bytes >= length && memcmp(file->data, start, length) == 0;
}

static bool holds(const struct agn__image_file *file, size_t at, const char letters[4])
{
    return file->size_bytes >= at + 4 && memcmp(file->data + at, letters, 4) == 0;
}

int agn__image_decode(struct agn__image_file *file, struct agn__image *image)
{
    file->warning[0] = '\0';
    if (file->channels != 1 && file->channels != 3)
        return agn_fail(AGN_ERR_ARG, "%s: %d channels asked for; images are read with 1 or 3", file->name,
                        file->channels);
    if (begins_with(file, "\xff\xd8\xff", 3))
        return agn__jpeg_decode(file, image);
    if (begins_with(file, "\x89PNG\r\n\x1a\n", 8))
        return agn__png_decode(file, image);
    if (begins_with(file, "RIFF", 4) && holds(file, 8, "WEBP"))
        return agn__webp_decode(file, image);
    if (begins_with(file, "GIF87a", 6) || begins_with(file, "GIF89a", 6))
        return agn__gif_decode(file, image);
    if (begins_with(file, "II*\0", 4) || begins_with(file, "MM\0*", 4) || begins_with(file, "II+\0", 4) ||
        begins_with(file, "MM\0+", 4))
        return agn__tiff_decode(file, image);
    if (begins_with(file, "BM", 2))
        return agn__bmp_decode(file, image);
    if (holds(file, 4, "ftyp"))
        return agn__heic_decode(file, image);
    return agn_fail(AGN_ERR_FORMAT, "%s: no JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF or BMP image (%zu bytes)",
                    file->name, file->size_bytes);
}
