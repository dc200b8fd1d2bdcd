/* BMP through stb_image. It takes what is missing at a file's end for zeros and colours beyond a palette for
 * whatever was in memory, so that this is looked at here first. */
#include <stb_image.h>
#include <stdlib.h>
#include <string.h>

#include "sets/orientation.h"

enum { FILE_HEADER = 14, OLD_HEADER = 12, NEW_HEADER = 40 };

struct bmp_header {
    uint32_t offset, header_bytes, width, height, bits;
    size_t row_bytes;
};

static uint32_t read_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t read_u16(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8;
}

static int read_header(const struct agn__image_file *file, struct bmp_header *header)
{
    const uint8_t *data = file->data;
    if (file->size_bytes < FILE_HEADER + OLD_HEADER)
        return agn_fail(AGN_ERR_FORMAT, "%s: truncated BMP (%zu bytes)", file->name, file->size_bytes);
    header->offset = read_u32(data + 10);
    header->header_bytes = read_u32(data + FILE_HEADER);
    bool old = header->header_bytes == OLD_HEADER;
    if (!old && file->size_bytes < FILE_HEADER + NEW_HEADER)
        return agn_fail(AGN_ERR_FORMAT, "%s: truncated BMP (%zu bytes)", file->name, file->size_bytes);
    uint32_t height = old ? read_u16(data + 20) : read_u32(data + 22);
    header->width = old ? read_u16(data + 18) : read_u32(data + 18);
    header->height = height & 0x80000000u ? 0u - height : height; /* negative: from the top */
    header->bits = read_u16(data + (old ? 24 : 28));
    if (header->bits != 1 && header->bits != 4 &&
        (header->bits % 8 != 0 || header->bits < 8 || header->bits > 32))
        return agn_fail(AGN_ERR_FORMAT, "%s: damaged BMP: %u bits a pixel, expected 1, 4, 8, 16, 24 or 32",
                        file->name, header->bits);
    return agn__image_check_size(file->name, header->height, header->width);
}

/* All rows must be there. */
static int check_length(const struct agn__image_file *file, struct bmp_header *header)
{
    header->row_bytes = ((size_t)header->width * header->bits + 31) / 32 * 4;
    size_t needed = header->row_bytes * header->height;
    if (header->offset < FILE_HEADER + (uint64_t)header->header_bytes || header->offset > file->size_bytes ||
        needed > file->size_bytes - header->offset)
        return agn_fail(AGN_ERR_FORMAT, "%s: truncated BMP: %zu bytes, expected %zu", file->name,
                        file->size_bytes, header->offset + needed);
    return AGN_OK;
}

static int check_colours(const struct agn__image_file *file, const struct bmp_header *header)
{
    bool old = header->header_bytes == OLD_HEADER;
    /* Of an old header's table stb_image reads four colours less than there are. */
    uint32_t entry = old ? 3 : 4, before = FILE_HEADER + (old ? 2 * OLD_HEADER : header->header_bytes);
    uint32_t colours = header->offset > before ? (header->offset - before) / entry : 0;
    if (header->bits > 8 || colours >= 1u << header->bits)
        return AGN_OK;
    unsigned mask = (1u << header->bits) - 1;
    for (size_t y = 0; y < header->height; y++)
        for (size_t x = 0; x < header->width; x++) {
            size_t bit = x * header->bits;
            uint8_t byte = file->data[header->offset + y * header->row_bytes + bit / 8];
            unsigned colour = byte >> (8 - header->bits - bit % 8) & mask;
            if (colour >= colours)
                return agn_fail(AGN_ERR_FORMAT, "%s: damaged or unsupported BMP: colour %u of a table of %u",
                                file->name, colour, (unsigned)colours);
        }
    return AGN_OK;
}

int agn__bmp_decode(struct agn__image_file *file, struct agn__image *image)
{
    struct bmp_header header = {0};
    int width = 0, height = 0, stored = 0;
    int status = read_header(file, &header);
    if (status < 0)
        return status;
    uint32_t packing = header.header_bytes == OLD_HEADER ? 0 : read_u32(file->data + 30);
    if (packing != 0 && packing != 3) /* 3: masks, and plain pixels */
        return agn_fail(AGN_ERR_FORMAT, "%s: a compressed BMP, which is not read: convert it to PNG",
                        file->name);
    status = check_length(file, &header);
    if (status == AGN_OK)
        status = check_colours(file, &header);
    if (status < 0)
        return status;
    uint8_t *read = stbi_load_from_memory(file->data, (int)file->size_bytes, &width, &height, &stored, 4);
    if (!read)
        return agn_fail(AGN_ERR_FORMAT, "%s: damaged or unsupported BMP: %s", file->name,
                        stbi_failure_reason());
    struct agn__image decoded = {height, width, 4, agn_alloc((size_t)height * (size_t)width, 4)};
    if (decoded.pixels)
        memcpy(decoded.pixels, read, (size_t)height * (size_t)width * 4);
    stbi_image_free(read);
    return decoded.pixels ? agn__image_finish(file, &decoded, AGN__ALPHA_PLAIN, AGN__UPRIGHT, image)
                          : AGN_ERR_MEMORY;
}
