/* Which decoder reads an image, and the bounds that hold for all of them. */
#include <string.h>

#include "data/image.h"

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

int agn__image_decode(const uint8_t *data, size_t size_bytes, const char *name, int channels,
                      struct agn__image *image)
{
    static const uint8_t jpeg_start[3] = {0xff, 0xd8, 0xff};
    static const uint8_t png_start[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (channels != 1 && channels != 3)
        return agn_fail(AGN_ERR_ARG, "%s: %d channels asked for; images are read with 1 or 3", name,
                        channels);
    if (size_bytes >= sizeof jpeg_start && memcmp(data, jpeg_start, sizeof jpeg_start) == 0)
        return agn__jpeg_decode(data, size_bytes, name, channels, image);
    if (size_bytes >= sizeof png_start && memcmp(data, png_start, sizeof png_start) == 0)
        return agn__png_decode(data, size_bytes, name, channels, image);
    return agn_fail(AGN_ERR_FORMAT, "%s: neither a JPEG nor a PNG image (%zu bytes)", name, size_bytes);
}
