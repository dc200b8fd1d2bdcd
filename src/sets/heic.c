/* HEIC (HEVC) and AVIF (AV1) through libheif: the primary picture. libheif turns and mirrors it as the file's
 * irot and imir say; what EXIF says of that beside them is to be ignored (ISO/IEC 23008-12, A.2.1). Colours
 * come as planes: opacity may have another size, of which libheif's own interleaving takes no note. */
#include <string.h>

#include <libheif/heif.h>

#include "sets/heic_guard.h"
#include "sets/orientation.h"

/* ftyp: u32 size, "ftyp", the main brand, u32 version, further brands. */
static bool has_picture_brand(const struct agn__image_file *file)
{
    static const char *const brands[] = {"heic", "heix", "mif1", "avif"};
    const uint8_t *bytes = file->data;
    size_t size = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    size = size < file->size_bytes ? size : file->size_bytes;
    for (size_t at = 8; at + 4 <= size; at += at == 8 ? 8 : 4)
        for (size_t b = 0; b < AGN_COUNT_OF(brands); b++)
            if (memcmp(bytes + at, brands[b], 4) == 0)
                return true;
    return false;
}

static int fail_heif(const struct agn__image_file *file, struct heif_error error)
{
    int length = (int)strcspn(error.message, "\n");
    if (error.code == heif_error_Memory_allocation_error)
        return agn_fail(error.subcode == heif_suberror_Security_limit_exceeded ? AGN_ERR_RANGE
                                                                               : AGN_ERR_MEMORY,
                        "%s: HEIC or AVIF: %.*s", file->name, length, error.message);
    if (error.code == heif_error_Unsupported_feature || error.code == heif_error_Unsupported_filetype ||
        error.code == heif_error_Plugin_loading_error)
        return agn_fail(
            AGN_ERR_FORMAT,
            "%s: a HEIC or AVIF of a kind that this libheif (%s) does not read: %.*s; convert it to JPEG",
            file->name, heif_get_version(), length, error.message);
    return agn_fail(AGN_ERR_FORMAT, "%s: damaged HEIC or AVIF: %.*s", file->name, length, error.message);
}

/* One plane into every fourth byte, of whatever depth. */
static int take_plane(const struct agn__image_file *file, const struct heif_image *planes,
                      enum heif_channel channel, struct agn__image *decoded, int position)
{
    int stride = 0, bits = heif_image_get_bits_per_pixel_range(planes, channel);
    const uint8_t *row = heif_image_get_plane_readonly(planes, channel, &stride);
    size_t step = (size_t)decoded->channels, at = (size_t)position;
    if (!row || bits < 1 || bits > 16 || heif_image_get_width(planes, channel) != decoded->width ||
        heif_image_get_height(planes, channel) != decoded->height)
        return agn_fail(AGN_ERR_FORMAT, "%s: damaged HEIC or AVIF: colours or opacity of another size",
                        file->name);
    unsigned most = (1u << bits) - 1;
    for (int y = 0; y < decoded->height; y++, row += stride) {
        for (int x = 0; x < decoded->width; x++, at += step) {
            uint16_t value = row[x];
            if (bits > 8)
                memcpy(&value, row + 2 * (size_t)x, sizeof value);
            unsigned level = (value * 255u + most / 2) / most;
            decoded->pixels[at] = (uint8_t)(level < 255 ? level : 255);
        }
    }
    return AGN_OK;
}

static int interleave(const struct agn__image_file *file, const struct heif_image *planes,
                      struct agn__image *decoded)
{
    static const enum heif_channel channels[4] = {heif_channel_R, heif_channel_G, heif_channel_B,
                                                  heif_channel_Alpha};
    int height = heif_image_get_height(planes, heif_channel_R);
    int width = heif_image_get_width(planes, heif_channel_R);
    int status = agn__image_check_size(file->name, height < 0 ? 0 : (unsigned long)height,
                                       width < 0 ? 0 : (unsigned long)width);
    if (status < 0)
        return status;
    decoded->height = height;
    decoded->width = width;
    decoded->channels = heif_image_has_channel(planes, heif_channel_Alpha) ? 4 : 3;
    decoded->pixels = agn_alloc((size_t)height * (size_t)width, (size_t)decoded->channels);
    if (!decoded->pixels)
        return AGN_ERR_MEMORY;
    for (int c = 0; status == AGN_OK && c < decoded->channels; c++)
        status = take_plane(file, planes, channels[c], decoded, c);
    return status;
}

static int decode(const struct agn__image_file *file, struct heif_context *context,
                  struct agn__image *decoded, enum agn__alpha *alpha)
{
    struct heif_image_handle *picture = NULL;
    struct heif_image *planes = NULL;
    heif_context_set_max_decoding_threads(context, 0); /* tiles one by one, in this thread */
    heif_context_set_maximum_image_size_limit(context, AGN__IMAGE_MAX_SIDE);
    struct heif_error error =
        heif_context_read_from_memory_without_copy(context, file->data, file->size_bytes, NULL);
    if (error.code == heif_error_Ok)
        error = heif_context_get_primary_image_handle(context, &picture);
    if (error.code != heif_error_Ok)
        return fail_heif(file, error);
    int height = heif_image_handle_get_height(picture), width = heif_image_handle_get_width(picture);
    int status = agn__image_check_size(file->name, height < 0 ? 0 : (unsigned long)height,
                                       width < 0 ? 0 : (unsigned long)width);
    if (status == AGN_OK) {
        *alpha = heif_image_handle_is_premultiplied_alpha(picture) ? AGN__ALPHA_MULTIPLIED : AGN__ALPHA_PLAIN;
        error = heif_decode_image(picture, &planes, heif_colorspace_RGB, heif_chroma_444, NULL);
        status = error.code == heif_error_Ok ? interleave(file, planes, decoded) : fail_heif(file, error);
    }
    heif_image_release(planes);
    heif_image_handle_release(picture);
    return status;
}

int agn__heic_decode(struct agn__image_file *file, struct agn__image *image)
{
    struct agn__image decoded = {0};
    enum agn__alpha alpha = AGN__ALPHA_PLAIN;
    if (!has_picture_brand(file))
        return agn_fail(AGN_ERR_FORMAT, "%s: a film, or a file of that family without a HEIC or AVIF picture",
                        file->name);
    int status = agn__heic_guard(file);
    if (status < 0)
        return status;
    struct heif_context *context = heif_context_alloc();
    if (!context)
        return agn_fail(AGN_ERR_MEMORY, "%s: out of memory", file->name);
    status = decode(file, context, &decoded, &alpha);
    heif_context_free(context);
    if (status == AGN_OK)
        return agn__image_finish(file, &decoded, alpha, AGN__UPRIGHT, image);
    agn_free(decoded.pixels);
    return status;
}
