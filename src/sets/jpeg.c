/* JPEG through libjpeg(-turbo)'s own API. Its errors leave by longjmp, which stays
 * inside this file; its warnings count as errors where pixels are missing or wrong. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "sets/orientation.h"

enum { MAX_SCANS = 100 }; /* a progressive file of many empty scans costs hours otherwise */

struct jpeg_reader {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
    uint8_t *pixels, *inks; /* inks: a row of CMYK, of files that have it */
    bool in_header, complete, ended_early;
    int orientation;
    int status; /* of a failure of our own */
};

static void leave(j_common_ptr info)
{
    struct jpeg_reader *reader = info->client_data;
    info->err->format_message(info, reader->message);
    longjmp(reader->escape, 1);
}

/* Warnings that leave every pixel as it should be. A file that ends without its end marker has all its
 * data unless JWRN_HIT_MARKER follows, when the decoder asks for bits that are not there. Junk is harmless
 * before the data, after it, and before the end marker; within the data it is a sign of damage. */
static bool is_harmless(struct jpeg_reader *reader)
{
    struct jpeg_decompress_struct *info = &reader->info;
    switch (reader->errors.msg_code) {
    case JWRN_JPEG_EOF:
        reader->ended_early = true;
        return !info->arith_code; /* which takes missing data for zeros, without a word */
    case JWRN_EXTRANEOUS_DATA:
        return reader->in_header ||
               (jpeg_has_multiple_scans(info) && reader->errors.msg_parm.i[1] == JPEG_EOI);
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_ADOBE_XFORM: /* taken for YCbCr or YCCK, as other readers do */
        return true;
    default:
        return false;
    }
}

static void weigh_warning(j_common_ptr info, int level)
{
    struct jpeg_reader *reader = info->client_data;
    if (level >= 0)
        return;
    if (!reader->complete && !is_harmless(reader))
        leave(info);
    if (reader->message[0] == '\0')
        info->err->format_message(info, reader->message);
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

/* Files with several scans must have had all of them, to the last bit of each coefficient. */
static int check_scans(const struct jpeg_reader *reader, const char *name)
{
    const struct jpeg_decompress_struct *info = &reader->info;
    bool missing = false;
    for (int c = 0; c < info->num_components; c++) {
        missing |= info->comp_info[c].component_needed && !info->comp_info[c].quant_table;
        for (int i = 0; reader->ended_early && info->coef_bits && i < DCTSIZE2; i++)
            missing |= info->coef_bits[c][i] != 0;
    }
    return missing ? agn_fail(AGN_ERR_FORMAT, "%s: truncated JPEG: scans are missing", name) : AGN_OK;
}

/* Larger images than are held in memory are decoded at 1/2, 1/4 or 1/8, as far as they need it; where there
 * are several scans libjpeg has to hold all of the image. */
static int choose_scale(struct jpeg_decompress_struct *info, const char *name)
{
    bool whole = jpeg_has_multiple_scans(info);
    info->scale_num = 1;
    for (info->scale_denom = 1;; info->scale_denom *= 2) {
        jpeg_calc_output_dimensions(info);
        size_t pixels = (size_t)info->output_height * info->output_width;
        if (whole || pixels <= AGN__IMAGE_MAX_PIXELS || info->scale_denom == 8)
            return agn__image_check_size(name, info->output_height, info->output_width);
    }
}

/* Inks are stored inverted, as Adobe does, with or without its marker: other readers do the same. */
static void inks_to_pixels(const uint8_t *inks, size_t count, int channels, uint8_t *dst)
{
    for (size_t i = 0; i < count; i++, inks += 4, dst += channels) {
        uint8_t rgb[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)((inks[c] * (unsigned)inks[3] + 127) / 255);
        if (channels == 1)
            dst[0] = agn__luminance(rgb);
        else
            memcpy(dst, rgb, 3);
    }
}

/* Takes all rows; room is made after libjpeg has had what it wants. */
static int read_rows(struct jpeg_reader *reader, int channels)
{
    struct jpeg_decompress_struct *info = &reader->info;
    size_t width = info->output_width, row = width * (size_t)channels;
    reader->pixels = agn_alloc(info->output_height, row);
    if (reader->pixels && info->out_color_space == JCS_CMYK)
        reader->inks = agn_alloc(width, 4);
    if (!reader->pixels || (info->out_color_space == JCS_CMYK && !reader->inks))
        return AGN_ERR_MEMORY;
    while (info->output_scanline < info->output_height) {
        uint8_t *pixels = reader->pixels + info->output_scanline * row;
        JSAMPROW line = reader->inks ? reader->inks : pixels;
        (void)jpeg_read_scanlines(info, &line, 1);
        if (reader->inks)
            inks_to_pixels(reader->inks, width, channels, pixels);
    }
    return AGN_OK;
}

/* Decodes into reader->pixels. All that must survive a longjmp lies in *reader. */
static int decode(struct jpeg_reader *reader, const struct agn__image_file *file)
{
    const char *name = file->name;
    int channels = file->channels;
    struct jpeg_decompress_struct *info = &reader->info;
    if (setjmp(reader->escape) != 0) /* after the last row, what follows does not matter */
        return reader->complete
                   ? AGN_OK
                   : agn_fail(AGN_ERR_FORMAT, "%s: damaged or unsupported JPEG: %s", name, reader->message);

    jpeg_create_decompress(info);
    info->progress = &reader->progress;
    jpeg_mem_src(info, file->data, (unsigned long)file->size_bytes);
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    reader->in_header = true;
    (void)jpeg_read_header(info, TRUE);
    reader->in_header = false;
    reader->orientation = find_orientation(info);
    bool inks = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = inks ? JCS_CMYK : channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    reader->status = choose_scale(info, name);
    if (reader->status < 0)
        return reader->status;
    info->dct_method = JDCT_ISLOW; /* the exact one: the same pixels with and without SIMD */
    (void)jpeg_start_decompress(info);
    reader->status = check_scans(reader, name);
    if (reader->status == AGN_OK)
        reader->status = read_rows(reader, channels);
    if (reader->status < 0)
        return reader->status;
    reader->complete = true;
    (void)jpeg_finish_decompress(info);
    return AGN_OK;
}

int agn__jpeg_decode(struct agn__image_file *file, struct agn__image *image)
{
    struct jpeg_reader reader;
    memset(&reader, 0, sizeof reader);
    reader.info.err = jpeg_std_error(&reader.errors);
    reader.info.client_data = &reader;
    reader.errors.error_exit = leave;
    reader.errors.emit_message = weigh_warning;
    reader.progress.progress_monitor = leave_on_many_scans;
    int status = decode(&reader, file);
    struct agn__image decoded = {(int)reader.info.output_height, (int)reader.info.output_width,
                                 file->channels, reader.pixels};
    if (status == AGN_OK && reader.message[0] != '\0')
        (void)snprintf(file->warning, sizeof file->warning, "%s: %s; every pixel is there, the image is used",
                       file->name, reader.message);
    if (status == AGN_OK)
        status = agn__orientation_apply(&decoded, reader.orientation);
    if (status == AGN_OK)
        *image = decoded;
    else
        agn_free(decoded.pixels);
    agn_free(reader.inks);
    jpeg_destroy_decompress(&reader.info);
    return status;
}
