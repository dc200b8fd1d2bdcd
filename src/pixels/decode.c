/* Rows of MCUs through libjpeg(-turbo)'s own API. Its errors leave by longjmp, which stays inside this file,
 * and so do its warnings: what it has to guess is not what the device sent. */
#include "pixels/decode.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "agilenn/base.h"

enum { FILE_BYTES = AGN_JPEG_HEADER_BYTES(3) + AGN_FEATURE_MAX_PAYLOAD + 2 }; /* EOI is 2 bytes */

struct reader {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    uint8_t *line; /* a row of pixels */
};

static void leave(j_common_ptr info)
{
    struct reader *reader = info->client_data;
    longjmp(reader->escape, 1);
}

/* Levels from 0 on are remarks. */
static void leave_if_wrong(j_common_ptr info, int level)
{
    if (level < 0)
        leave(info);
}

/* All that must survive a longjmp lies in *reader. */
static int decode(struct reader *reader, const struct agn_jpeg_format *format, const uint8_t *file,
                  size_t len, const struct agn__row_sink *sink)
{
    struct jpeg_decompress_struct *info = &reader->info;
    if (setjmp(reader->escape) != 0)
        return AGN_ERR_FORMAT;
    jpeg_create_decompress(info);
    jpeg_mem_src(info, file, (unsigned long)len);
    (void)jpeg_read_header(info, TRUE);
    info->out_color_space = format->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    info->dct_method = JDCT_ISLOW;     /* the exact one: the same pixels with and without SIMD */
    info->do_fancy_upsampling = FALSE; /* a pixel depends on its own MCU only, wherever packets end */
    (void)jpeg_start_decompress(info);
    while (info->output_scanline < info->output_height) {
        unsigned y = info->output_scanline;
        (void)jpeg_read_scanlines(info, &reader->line, 1);
        sink->take(sink->user, y, reader->line);
    }
    (void)jpeg_finish_decompress(info); /* warns of what is left over */
    return AGN_OK;
}

int agn__rows_decode(const struct agn_jpeg_format *format, const uint8_t *scan, size_t len,
                     const struct agn__row_sink *sink)
{
    uint8_t file[FILE_BYTES];
    struct reader reader;
    struct agn_jpeg_format whole = *format;
    whole.interval = agn_jpeg_mcus(format);
    const struct agn_jpeg_interval interval = {scan, len};
    if (agn_jpeg_interval_check(scan, len) < 0)
        return AGN_ERR_FORMAT;
    int32_t file_bytes = agn_jpeg_file(&whole, &interval, 1, file, sizeof file);
    if (file_bytes < 0)
        return file_bytes;
    memset(&reader, 0, sizeof reader);
    reader.line = agn_alloc(format->width, format->channels);
    if (reader.line == NULL)
        return AGN_ERR_MEMORY;
    reader.info.err = jpeg_std_error(&reader.errors);
    reader.info.client_data = &reader;
    reader.errors.error_exit = leave;
    reader.errors.emit_message = leave_if_wrong;
    int status = decode(&reader, &whole, file, (size_t)file_bytes, sink);
    jpeg_destroy_decompress(&reader.info);
    agn_free(reader.line);
    return status;
}
