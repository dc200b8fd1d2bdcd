/* GIF through giflib: the first picture of a file, on its canvas. Line by line, since giflib's own slurping
 * takes memory for all pictures of an animation. */
#include <string.h>

#include <gif_lib.h>

#include "sets/orientation.h"

struct gif_reader {
    const uint8_t *data;
    size_t size_bytes, at;
    int transparent; /* colour, or NO_TRANSPARENT_COLOR */
    struct agn__image canvas;
    uint8_t *line;
};

static int take_bytes(GifFileType *gif, GifByteType *bytes, int count)
{
    struct gif_reader *reader = gif->UserData;
    size_t left = reader->size_bytes - reader->at;
    size_t taken = (size_t)count < left ? (size_t)count : left;
    memcpy(bytes, reader->data + reader->at, taken);
    reader->at += taken;
    return (int)taken;
}

static int fail_damaged(const struct agn__image_file *file, int error)
{
    const char *why = GifErrorString(error);
    return agn_fail(AGN_ERR_FORMAT, "%s: damaged or truncated GIF: %s", file->name,
                    why ? why : "it has no picture");
}

/* Only a graphics control tells anything: which colour is transparent. */
static int read_extension(struct gif_reader *reader, GifFileType *gif)
{
    int code = 0;
    GifByteType *block = NULL;
    GraphicsControlBlock control;
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR)
        return GIF_ERROR;
    if (code == GRAPHICS_EXT_FUNC_CODE && block &&
        DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        reader->transparent = control.TransparentColor;
    while (block)
        if (DGifGetExtensionNext(gif, &block) == GIF_ERROR)
            return GIF_ERROR;
    return GIF_OK;
}

/* Up to the first picture's description. */
static int find_picture(struct gif_reader *reader, GifFileType *gif, const struct agn__image_file *file)
{
    for (;;) {
        GifRecordType record = UNDEFINED_RECORD_TYPE;
        if (DGifGetRecordType(gif, &record) == GIF_ERROR)
            return fail_damaged(file, gif->Error);
        if (record == IMAGE_DESC_RECORD_TYPE)
            return DGifGetImageDesc(gif) == GIF_ERROR ? fail_damaged(file, gif->Error) : AGN_OK;
        if (record == TERMINATE_RECORD_TYPE)
            return fail_damaged(file, D_GIF_SUCCEEDED);
        if (record == EXTENSION_RECORD_TYPE && read_extension(reader, gif) == GIF_ERROR)
            return fail_damaged(file, gif->Error);
    }
}

static int put_line(const struct gif_reader *reader, const GifFileType *gif,
                    const struct agn__image_file *file, int y)
{
    const GifImageDesc *picture = &gif->Image;
    const ColorMapObject *map = picture->ColorMap ? picture->ColorMap : gif->SColorMap;
    uint8_t *dst = reader->canvas.pixels +
                   ((size_t)(picture->Top + y) * (size_t)reader->canvas.width + (size_t)picture->Left) * 4;
    for (int x = 0; x < picture->Width; x++, dst += 4) {
        int colour = reader->line[x];
        if (colour == reader->transparent)
            continue;
        if (colour >= map->ColorCount)
            return agn_fail(AGN_ERR_FORMAT, "%s: damaged GIF: colour %d of a table of %d", file->name, colour,
                            map->ColorCount);
        const GifColorType *rgb = &map->Colors[colour];
        memcpy(dst, (uint8_t[]){rgb->Red, rgb->Green, rgb->Blue, 255}, 4);
    }
    return AGN_OK;
}

/* Interlaced pictures come in four passes. */
static int read_lines(struct gif_reader *reader, GifFileType *gif, const struct agn__image_file *file)
{
    static const int starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
    const GifImageDesc *picture = &gif->Image;
    int passes = picture->Interlace ? 4 : 1;
    for (int pass = 0; pass < passes; pass++) {
        int step = picture->Interlace ? steps[pass] : 1;
        for (int y = picture->Interlace ? starts[pass] : 0; y < picture->Height; y += step) {
            if (DGifGetLine(gif, reader->line, picture->Width) == GIF_ERROR)
                return fail_damaged(file, gif->Error);
            int status = put_line(reader, gif, file, y);
            if (status < 0)
                return status;
        }
    }
    return AGN_OK;
}

static int decode(struct gif_reader *reader, GifFileType *gif, const struct agn__image_file *file)
{
    int status = find_picture(reader, gif, file);
    if (status < 0)
        return status;
    const GifImageDesc *picture = &gif->Image;
    if (picture->Width < 1 || picture->Height < 1 || !(picture->ColorMap || gif->SColorMap))
        return fail_damaged(file, D_GIF_ERR_NO_COLOR_MAP);
    /* A canvas too small for its first picture grows, as it does in viewers. */
    int width = picture->Left + picture->Width, height = picture->Top + picture->Height;
    width = gif->SWidth > width ? gif->SWidth : width;
    height = gif->SHeight > height ? gif->SHeight : height;
    status = agn__image_check_size(file->name, (unsigned long)height, (unsigned long)width);
    if (status < 0)
        return status;
    reader->canvas =
        (struct agn__image){height, width, 4, agn_alloc((size_t)height * (size_t)width, 4)}; /* transparent */
    reader->line = agn_alloc((size_t)picture->Width, 1);
    return reader->canvas.pixels && reader->line ? read_lines(reader, gif, file) : AGN_ERR_MEMORY;
}

int agn__gif_decode(struct agn__image_file *file, struct agn__image *image)
{
    struct gif_reader reader = {
        .data = file->data, .size_bytes = file->size_bytes, .transparent = NO_TRANSPARENT_COLOR};
    int error = D_GIF_SUCCEEDED;
    GifFileType *gif = DGifOpen(&reader, take_bytes, &error);
    int status = gif ? decode(&reader, gif, file) : fail_damaged(file, error);
    if (gif)
        (void)DGifCloseFile(gif, &error);
    agn_free(reader.line);
    if (status == AGN_OK)
        return agn__image_finish(file, &reader.canvas, AGN__ALPHA_PLAIN, AGN__UPRIGHT, image);
    agn_free(reader.canvas.pixels);
    return status;
}
