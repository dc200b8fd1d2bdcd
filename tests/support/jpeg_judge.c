/* See jpeg_judge.h. */
#include "support/jpeg_judge.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

size_t judge_encode(const struct agn_jpeg_format *format, const uint8_t *pixels, uint8_t **file)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned long len = 0;
    *file = NULL;
    info.err = jpeg_std_error(&errors); /* which exits: nothing here can go wrong */
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, file, &len);
    info.image_width = format->width;
    info.image_height = format->height;
    info.input_components = format->channels;
    info.in_color_space = format->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, format->quality, TRUE);
    info.dct_method = JDCT_ISLOW;
    info.restart_interval = format->interval;
    info.write_JFIF_header = FALSE;
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)(pixels + (size_t)info.next_scanline * format->width * format->channels);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return len;
}

size_t judge_scan_begin(const uint8_t *file, size_t len)
{
    for (size_t at = 2; at + 4 <= len;) {
        size_t length = (size_t)file[at + 2] << 8 | file[at + 3];
        if (file[at + 1] == 0xDA)
            return at + 2 + length;
        at += 2 + length;
    }
    return 0;
}

struct judge {
    struct jpeg_error_mgr errors;
    jmp_buf leave;
};

static void refuse(j_common_ptr info)
{
    longjmp(((struct judge *)info->err)->leave, 1);
}

static void be_silent(j_common_ptr info)
{
    (void)info;
}

int judge_decode(const struct agn_jpeg_format *format, const uint8_t *file, size_t len, uint8_t *pixels)
{
    struct jpeg_decompress_struct info;
    struct judge judge;
    info.err = jpeg_std_error(&judge.errors);
    judge.errors.error_exit = refuse;
    judge.errors.output_message = be_silent;
    if (setjmp(judge.leave)) {
        jpeg_destroy_decompress(&info);
        return -1;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, file, (unsigned long)len);
    jpeg_read_header(&info, TRUE);
    info.do_fancy_upsampling = FALSE;
    info.dct_method = JDCT_ISLOW;
    if (info.image_width != format->width || info.image_height != format->height ||
        info.num_components != format->channels)
        longjmp(judge.leave, 1);
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
        JSAMPROW row = pixels + (size_t)info.output_scanline * format->width * format->channels;
        jpeg_read_scanlines(&info, &row, 1);
    }
    int warnings = (int)judge.errors.num_warnings;
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return warnings;
}
