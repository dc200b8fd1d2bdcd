/* WebP through libwebp: lossy, lossless, and the first frame of an animation. */
#include <webp/decode.h>
#include <webp/demux.h>

#include "sets/orientation.h"

static int decode_frame(const struct agn__image_file *file, const WebPDemuxer *demux,
                        const WebPIterator *frame, struct agn__image *canvas)
{
    uint32_t height = WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT);
    uint32_t width = WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH);
    int status = agn__image_check_size(file->name, height, width);
    if (status < 0)
        return status;
    if (frame->x_offset < 0 || frame->y_offset < 0 || frame->width < 1 || frame->height < 1 ||
        (unsigned)frame->x_offset + (unsigned)frame->width > width ||
        (unsigned)frame->y_offset + (unsigned)frame->height > height)
        return agn_fail(AGN_ERR_FORMAT, "%s: damaged WebP: a frame does not fit the image", file->name);
    canvas->height = (int)height;
    canvas->width = (int)width;
    canvas->channels = 4;
    size_t row = (size_t)width * 4, start = (size_t)frame->y_offset * row + (size_t)frame->x_offset * 4;
    canvas->pixels = agn_alloc(height, row); /* transparent where the frame is not */
    if (!canvas->pixels)
        return AGN_ERR_MEMORY;
    if (!WebPDecodeRGBAInto(frame->fragment.bytes, frame->fragment.size, canvas->pixels + start,
                            height * row - start, (int)row))
        return agn_fail(AGN_ERR_FORMAT, "%s: damaged WebP: its pixels cannot be decoded", file->name);
    return AGN_OK;
}

int agn__webp_decode(struct agn__image_file *file, struct agn__image *image)
{
    const WebPData data = {file->data, file->size_bytes};
    WebPDemuxer *demux = WebPDemux(&data);
    WebPIterator frame = {0};
    WebPChunkIterator exif = {0};
    struct agn__image canvas = {0};
    int orientation = AGN__UPRIGHT, status;
    if (!demux || !WebPDemuxGetFrame(demux, 1, &frame))
        status = agn_fail(AGN_ERR_FORMAT, "%s: damaged or truncated WebP (%zu bytes)", file->name,
                          file->size_bytes);
    else
        status = decode_frame(file, demux, &frame, &canvas);
    if (status == AGN_OK && WebPDemuxGetChunk(demux, "EXIF", 1, &exif))
        orientation = agn__orientation_read(exif.chunk.bytes, exif.chunk.size);
    WebPDemuxReleaseChunkIterator(&exif);
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(demux);
    if (status == AGN_OK)
        return agn__image_finish(file, &canvas, AGN__ALPHA_PLAIN, orientation, image);
    agn_free(canvas.pixels);
    return status;
}
