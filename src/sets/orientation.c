/* EXIF orientation: found in the block, and undone in the pixels. Where the block lies in a file is the
 * business of jpeg.c and png.c. Everything in a block may lie; what does is no reason to refuse a picture. */
#include <string.h>

#include "sets/orientation.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_BYTES = 12, HEADER_BYTES = 8 };

struct tiff {
    const uint8_t *bytes;
    size_t size;
    bool little_endian;
};

/* Callers have checked that the bytes are there. */
static uint32_t read_number(const struct tiff *tiff, size_t at, size_t length)
{
    uint32_t value = 0;
    for (size_t i = 0; i < length; i++)
        value = value << 8 | tiff->bytes[at + (tiff->little_endian ? length - 1 - i : i)];
    return value;
}

static int orientation_of_entry(const struct tiff *tiff, size_t entry)
{
    uint32_t type = read_number(tiff, entry + 2, 2);
    if ((type != TYPE_SHORT && type != TYPE_LONG) || read_number(tiff, entry + 4, 4) != 1)
        return AGN__UPRIGHT;
    uint32_t value = read_number(tiff, entry + 8, type == TYPE_SHORT ? 2 : 4);
    return value >= 1 && value <= 8 ? (int)value : AGN__UPRIGHT;
}

int agn__orientation_read(const uint8_t *exif, size_t size_bytes)
{
    static const uint8_t prefix[6] = {'E', 'x', 'i', 'f', 0, 0};
    struct tiff tiff = {exif, size_bytes, false};
    if (size_bytes >= sizeof prefix && memcmp(exif, prefix, sizeof prefix) == 0) {
        tiff.bytes += sizeof prefix;
        tiff.size -= sizeof prefix;
    }
    if (tiff.size < HEADER_BYTES)
        return AGN__UPRIGHT;
    if (memcmp(tiff.bytes, "II*", 4) == 0)
        tiff.little_endian = true;
    else if (memcmp(tiff.bytes, "MM\0*", 4) != 0)
        return AGN__UPRIGHT;
    size_t directory = read_number(&tiff, 4, 4);
    if (directory < HEADER_BYTES || directory > tiff.size || tiff.size - directory < 2)
        return AGN__UPRIGHT;
    size_t entries = read_number(&tiff, directory, 2), first = directory + 2;
    size_t room = (tiff.size - first) / ENTRY_BYTES;
    for (size_t i = 0; i < entries && i < room; i++)
        if (read_number(&tiff, first + i * ENTRY_BYTES, 2) == TAG_ORIENTATION)
            return orientation_of_entry(&tiff, first + i * ENTRY_BYTES);
    return AGN__UPRIGHT;
}

/* Values 5 to 8 are 1 to 4 with rows and columns swapped. */
int agn__orientation_apply(struct agn__image *image, int orientation)
{
    if (orientation <= AGN__UPRIGHT || orientation > 8)
        return AGN_OK;
    bool swapped = orientation >= 5;
    bool right_to_left = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool bottom_up = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int height = swapped ? image->width : image->height, width = swapped ? image->height : image->width;
    size_t channels = (size_t)image->channels;
    uint8_t *turned = agn_alloc((size_t)height * (size_t)width, channels), *dst = turned;
    if (!turned)
        return AGN_ERR_MEMORY;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++, dst += channels) {
            int row = swapped ? x : y, column = swapped ? y : x;
            row = bottom_up ? image->height - 1 - row : row;
            column = right_to_left ? image->width - 1 - column : column;
            size_t pixel = (size_t)row * (size_t)image->width + (size_t)column;
            memcpy(dst, image->pixels + pixel * channels, channels);
        }
    }
    agn_free(image->pixels);
    *image = (struct agn__image){height, width, image->channels, turned};
    return AGN_OK;
}
