/* PNG through libpng's own API. Its simplified one would correct gamma, which viewers and other readers do
 * not. Reading stops once the last pixel is there: that the file is whole to its last chunk is checked here
 * first. libpng's errors leave by longjmp, which stays inside this file. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "sets/orientation.h"

struct png_reader {
    png_structp png;
    png_infop info;
    jmp_buf escape;
    const uint8_t *data;
    size_t size_bytes, at;
    struct agn__image image;
    char message[256];
};

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Walks the chunks (u32 length, 4 letters, data, u32 CRC of letters and data) up to IEND; notes what a
 * chunk with EXIF says. */
static int check_chunks(const struct agn__image_file *file, int *orientation)
{
    size_t at = 8; /* the signature */
    for (;;) {
        if (file->size_bytes - at < 12)
            return agn_fail(AGN_ERR_FORMAT, "%s: truncated PNG: ends at byte %zu before its IEND chunk",
                            file->name, file->size_bytes);
        const uint8_t *chunk = file->data + at;
        uint32_t length = read_u32(chunk);
        if (length > file->size_bytes - at - 12)
            return agn_fail(AGN_ERR_FORMAT,
                            "%s: truncated PNG: the chunk at byte %zu has %u bytes, the file ends first",
                            file->name, at, (unsigned)length);
        if (crc32(crc32(0, NULL, 0), chunk + 4, (uInt)length + 4) != read_u32(chunk + 8 + length))
            return agn_fail(AGN_ERR_FORMAT, "%s: damaged PNG: wrong checksum in the chunk at byte %zu",
                            file->name, at);
        if (memcmp(chunk + 4, "IEND", 4) == 0)
            return AGN_OK;
        if (memcmp(chunk + 4, "eXIf", 4) == 0)
            *orientation = agn__orientation_read(chunk + 8, length);
        at += 12 + (size_t)length;
    }
}

static void leave(png_structp png, png_const_charp message)
{
    struct png_reader *reader = png_get_error_ptr(png);
    (void)snprintf(reader->message, sizeof reader->message, "%s", message);
    longjmp(reader->escape, 1);
}

static void ignore_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void take_bytes(png_structp png, png_bytep bytes, size_t count)
{
    struct png_reader *reader = png_get_io_ptr(png);
    if (count > reader->size_bytes - reader->at)
        png_error(png, "the file ends too early");
    memcpy(bytes, reader->data + reader->at, count);
    reader->at += count;
}

/* Eight bits a channel; RGBA where anything can be transparent. The number of channels. */
static int choose_format(struct png_reader *reader, int channels)
{
    png_structp png = reader->png;
    int type = png_get_color_type(png, reader->info);
    bool transparent =
        (type & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png, reader->info, PNG_INFO_tRNS) != 0;
    bool grey = (type & PNG_COLOR_MASK_COLOR) == 0;
    png_set_expand(png);
    png_set_scale_16(png);
    if (grey && (transparent || channels == 3))
        png_set_gray_to_rgb(png);
    return transparent ? 4 : grey && channels == 1 ? 1 : 3;
}

/* Decodes into reader->image. All that must survive a longjmp lies in *reader. */
static int decode(struct png_reader *reader, const struct agn__image_file *file)
{
    struct agn__image *image = &reader->image;
    if (setjmp(reader->escape) != 0)
        return agn_fail(AGN_ERR_FORMAT, "%s: damaged PNG: %s", file->name, reader->message);
    reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, leave, ignore_warning);
    reader->info = reader->png ? png_create_info_struct(reader->png) : NULL;
    if (!reader->info)
        return agn_fail(AGN_ERR_MEMORY, "%s: out of memory", file->name);
    png_structp png = reader->png;
    png_set_benign_errors(png, 1);
    png_set_user_limits(png, AGN__IMAGE_MAX_SIDE, AGN__IMAGE_MAX_SIDE);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* but pixels, palette, tRNS */
    png_set_read_fn(png, reader, take_bytes);
    png_read_info(png, reader->info);
    image->height = (int)png_get_image_height(png, reader->info);
    image->width = (int)png_get_image_width(png, reader->info);
    int status = agn__image_check_size(file->name, (unsigned long)image->height, (unsigned long)image->width);
    if (status < 0)
        return status;
    image->channels = choose_format(reader, file->channels);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, reader->info);
    size_t row = (size_t)image->width * (size_t)image->channels;
    if (png_get_rowbytes(png, reader->info) != row)
        png_error(png, "rows of an unexpected length");
    image->pixels = agn_alloc((size_t)image->height, row);
    if (!image->pixels)
        return AGN_ERR_MEMORY;
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < (size_t)image->height; y++)
            png_read_row(png, image->pixels + y * row, NULL);
    return AGN_OK;
}

int agn__png_decode(struct agn__image_file *file, struct agn__image *image)
{
    int orientation = AGN__UPRIGHT;
    int status = check_chunks(file, &orientation);
    if (status < 0)
        return status;
    struct png_reader reader;
    memset(&reader, 0, sizeof reader);
    reader.data = file->data;
    reader.size_bytes = file->size_bytes;
    status = decode(&reader, file);
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    if (status == AGN_OK)
        return agn__image_finish(file, &reader.image, AGN__ALPHA_PLAIN, orientation, image);
    agn_free(reader.image.pixels);
    return status;
}
