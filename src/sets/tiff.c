/* TIFF through libtiff's RGBA interface: the first page, of whatever compression libtiff knows. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tiffio.h>

#include "sets/orientation.h"

/* libtiff takes memory for whatever a file says of its strips and tiles; pixels are not in that. */
enum { MAX_ALLOCATION = 512 << 20 };

struct tiff_reader {
    const uint8_t *data;
    size_t size_bytes, at;
    char message[256]; /* the first */
    struct agn__image image;
    enum agn__alpha alpha;
    int orientation;
};

static tmsize_t take_bytes(thandle_t handle, void *bytes, tmsize_t count)
{
    struct tiff_reader *reader = handle;
    size_t left = reader->at < reader->size_bytes ? reader->size_bytes - reader->at : 0;
    size_t taken = count < 0 ? 0 : (size_t)count < left ? (size_t)count : left;
    if (taken > 0)
        memcpy(bytes, reader->data + reader->at, taken);
    reader->at += taken;
    return (tmsize_t)taken;
}

static tmsize_t refuse_bytes(thandle_t handle, void *bytes, tmsize_t count)
{
    (void)handle, (void)bytes, (void)count;
    return 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    struct tiff_reader *reader = handle;
    size_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? reader->at : reader->size_bytes;
    reader->at = base + (size_t)offset;
    return reader->at;
}

static int stay_open(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle)
{
    return ((struct tiff_reader *)handle)->size_bytes;
}

static int keep_error(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments)
{
    struct tiff_reader *reader = user;
    (void)tiff, (void)module;
    if (reader->message[0] == '\0')
        (void)vsnprintf(reader->message, sizeof reader->message, format, arguments);
    return 1;
}

static int ignore_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments)
{
    (void)tiff, (void)user, (void)module, (void)format, (void)arguments;
    return 1;
}

static int fail_damaged(const struct agn__image_file *file, const char *why)
{
    return agn_fail(AGN_ERR_FORMAT, "%s: damaged TIFF: %s", file->name,
                    why[0] ? why : "its pixels cannot be decoded");
}

/* Floats, 12 bits a sample, compressions that this libtiff was built without, ... */
static int fail_unsupported(const struct agn__image_file *file, const char *why)
{
    return agn_fail(AGN_ERR_FORMAT,
                    "%s: damaged TIFF, or one of a kind that is not read: %s; convert it to PNG", file->name,
                    why[0] ? why : "libtiff cannot make RGB of it");
}

/* What libtiff's fourth value of a pixel is. A sample beside the colours counts as opacity only where the
 * file says so (near infrared may lie there, too), or says nothing about it; libtiff multiplies colours by
 * it, but not grey. */
enum opacity { OPACITY_NONE, OPACITY_PLAIN, OPACITY_MULTIPLIED };

static enum opacity opacity_of(TIFF *tiff, const TIFFRGBAImage *page)
{
    uint16_t count = 0, *kinds = NULL;
    bool grey = page->photometric == PHOTOMETRIC_MINISBLACK || page->photometric == PHOTOMETRIC_MINISWHITE;
    if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) && count > 0 &&
        kinds[0] == EXTRASAMPLE_UNSPECIFIED)
        return OPACITY_NONE;
    return grey && page->alpha == EXTRASAMPLE_UNASSALPHA ? OPACITY_PLAIN : OPACITY_MULTIPLIED;
}

/* libtiff's pixels (red lowest, then green, blue, opacity) to bytes in that order, in place. */
static void unpack_pixels(uint32_t *raster, size_t count, bool opaque)
{
    uint8_t *pixels = (uint8_t *)raster;
    for (size_t i = 0; i < count; i++) {
        uint32_t pixel = raster[i];
        for (size_t c = 0; c < 4; c++)
            pixels[4 * i + c] = opaque && c == 3 ? 255 : (uint8_t)(pixel >> (8 * c));
    }
}

/* Rows come as they are stored: how they are to be turned is done as for all formats. */
static int read_page(struct tiff_reader *reader, TIFF *tiff, const struct agn__image_file *file)
{
    char why[1024] = "";
    uint32_t height = 0, width = 0;
    TIFFRGBAImage page;
    if (!TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height) || !TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width))
        return fail_damaged(file, "it has no size");
    int status = agn__image_check_size(file->name, height, width);
    if (status < 0)
        return status;
    if (!TIFFRGBAImageOK(tiff, why) || !TIFFRGBAImageBegin(&page, tiff, 1, why))
        return fail_unsupported(file, why[0] ? why : reader->message);
    enum opacity opacity = opacity_of(tiff, &page);
    reader->alpha = opacity == OPACITY_MULTIPLIED ? AGN__ALPHA_MULTIPLIED : AGN__ALPHA_PLAIN;
    reader->orientation = page.orientation;
    page.orientation = page.req_orientation = ORIENTATION_TOPLEFT;
    size_t count = (size_t)height * width;
    uint32_t *raster = agn_alloc(count, sizeof *raster);
    if (!raster)
        status = AGN_ERR_MEMORY;
    else if (!TIFFRGBAImageGet(&page, raster, width, height))
        status = fail_damaged(file, reader->message);
    TIFFRGBAImageEnd(&page);
    if (status < 0) {
        agn_free(raster);
        return status;
    }
    unpack_pixels(raster, count, opacity == OPACITY_NONE);
    reader->image = (struct agn__image){(int)height, (int)width, 4, (uint8_t *)raster};
    return AGN_OK;
}

int agn__tiff_decode(struct agn__image_file *file, struct agn__image *image)
{
    struct tiff_reader reader = {.data = file->data, .size_bytes = file->size_bytes};
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return agn_fail(AGN_ERR_MEMORY, "%s: out of memory", file->name);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, MAX_ALLOCATION);
    TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, &reader);
    TIFFOpenOptionsSetWarningHandlerExtR(options, ignore_warning, &reader);
    TIFF *tiff = TIFFClientOpenExt(file->name, "rm", &reader, take_bytes, refuse_bytes, seek, stay_open,
                                   size_of, NULL, NULL, options);
    int status = tiff ? read_page(&reader, tiff, file) : fail_damaged(file, reader.message);
    if (tiff)
        TIFFClose(tiff);
    TIFFOpenOptionsFree(options);
    return status < 0 ? status
                      : agn__image_finish(file, &reader.image, reader.alpha, reader.orientation, image);
}
