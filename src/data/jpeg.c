/* JPEG through libjpeg(-turbo)'s own API. Its errors leave by longjmp, which stays
 * inside this file; its warnings (damaged or missing data) count as errors too. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "data/orientation.h"

enum { MAX_SCANS = 100 }; /* a progressive file of many empty scans costs hours otherwise */

struct jpeg_reader {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
    uint8_t *pixels;
    int orientation;
    int status; /* of a failure of our own */
};

static void leave(j_common_ptr info)
{
    struct jpeg_reader *reader = info->client_data;
    info->err->format_message(info, reader->message);
    longjmp(reader->escape, 1);
}

static void leave_on_warning(j_common_ptr info, int level)
{
    if (level < 0)
        leave(info);
}

static void leave_on_many_scans(j_common_ptr info)
{
    struct jpeg_reader *reader = info->client_data;
    if (reader->info.input_scan_number > MAX_SCANS) {
        (void)snprintf(reader->message, sizeof reader->message, "more than %d scans", MAX_SCANS);
        longjmp(reader->escape, 1);
    }
}

/* A camera's EXIF block is an APP1 segment; another APP1 holds XMP. */
static int find_orientation(const struct jpeg_decompress_struct *info)
{
    for (const struct jpeg_marker_struct *marker = info->marker_list; marker; marker = marker->next)
        if (marker->data_length >= 6 && memcmp(marker->data, "Exif\0", 6) == 0)
            return agn__orientation_read(marker->data, marker->data_length);
    return AGN__UPRIGHT;
}

/* Decodes into reader->pixels. All that must survive a longjmp lies in *reader. */
static int decode(struct jpeg_reader *reader, const uint8_t *data, size_t size_bytes, const char *name,
                  int channels)
{
    struct jpeg_decompress_struct *info = &reader->info;
    if (setjmp(reader->escape) != 0)
        return agn_fail(AGN_ERR_FORMAT, "%s: damaged or unsupported JPEG: %s", name, reader->message);

    jpeg_create_decompress(info);
    info->progress = &reader->progress;
    jpeg_mem_src(info, data, (unsigned long)size_bytes);
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    (void)jpeg_read_header(info, TRUE);
    reader->orientation = find_orientation(info);
    reader->status = agn__image_check_size(name, info->image_height, info->image_width);
    if (reader->status < 0)
        return reader->status;
    info->out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    info->dct_method = JDCT_ISLOW; /* the exact one: the same pixels with and without SIMD */
    (void)jpeg_start_decompress(info);
    size_t row = (size_t)info->output_width * (size_t)channels;
    reader->pixels = agn_alloc(info->output_height, row);
    if (!reader->pixels)
        return AGN_ERR_MEMORY;
    while (info->output_scanline < info->output_height) {
        JSAMPROW line = reader->pixels + info->output_scanline * row;
        (void)jpeg_read_scanlines(info, &line, 1);
    }
    (void)jpeg_finish_decompress(info);
    return AGN_OK;
}

int agn__jpeg_decode(const uint8_t *data, size_t size_bytes, const char *name, int channels,
                     struct agn__image *image)
{
    struct jpeg_reader reader;
    memset(&reader, 0, sizeof reader);
    reader.info.err = jpeg_std_error(&reader.errors);
    reader.info.client_data = &reader;
    reader.errors.error_exit = leave;
    reader.errors.emit_message = leave_on_warning;
    reader.progress.progress_monitor = leave_on_many_scans;
    int status = decode(&reader, data, size_bytes, name, channels);
    struct agn__image decoded = {(int)reader.info.output_height, (int)reader.info.output_width, channels,
                                 reader.pixels};
    if (status == AGN_OK)
        status = agn__orientation_apply(&decoded, reader.orientation);
    if (status == AGN_OK)
        *image = decoded;
    else
        agn_free(decoded.pixels);
    jpeg_destroy_decompress(&reader.info);
    return status;
}
