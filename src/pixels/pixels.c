/* Packets of JPEG to symbols of pixels, and images to what sending leaves of them. See pixels.h. */
#include "agilenn/pixels.h"

#include <assert.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_jpeg.h"
#include "pixels/decode.h"

static unsigned band_rows(const struct agn_jpeg_format *format)
{
    return format->channels == 1 ? 8 : 16;
}

/* ---- packets ------------------------------------------------------------------------- */

struct to_symbols {
    struct agn_map_shape shape;
    size_t run_bytes;
    uint8_t *map; /* of the first row */
};

static void take_symbols(void *user, unsigned y, const uint8_t *pixels)
{
    const struct to_symbols *to = user;
    uint8_t *run = to->map + (size_t)y * to->shape.height * to->shape.width;
    for (unsigned i = 0; i < to->shape.height; i++, run += to->shape.width, pixels += to->run_bytes)
        agn_pixels_write(pixels, to->shape.width, run);
}

int agn_pixels_decode(const struct agn_pixels_image *image, const struct agn_feature_packet *packet,
                      uint8_t *map)
{
    const struct agn_map_shape *shape = &image->shape;
    unsigned first = packet->channel_first, end = first + packet->channel_count,
             band = band_rows(&image->format);
    if (packet->row_first != 0 || packet->row_count != shape->height || packet->channel_count == 0 ||
        end > shape->channels || first % band != 0 || (end % band != 0 && end != shape->channels))
        return AGN_ERR_RANGE;
    if (packet->payload_bytes > AGN_FEATURE_MAX_PAYLOAD)
        return AGN_ERR_FORMAT;
    struct agn_jpeg_format format = image->format;
    format.height = packet->channel_count;
    struct to_symbols to = {*shape, (size_t)format.width * format.channels / shape->height,
                            map + (size_t)first * shape->height * shape->width};
    const struct agn__row_sink sink = {take_symbols, &to};
    return agn__rows_decode(&format, packet->payload, packet->payload_bytes, &sink);
}

/* ---- images -------------------------------------------------------------------------- */

struct rows {
    uint8_t *pixels;
    size_t row_bytes;
};

static const uint8_t *row_at(void *user, unsigned y)
{
    const struct rows *rows = user;
    return rows->pixels + y * rows->row_bytes;
}

static void take_pixels(void *user, unsigned y, const uint8_t *pixels)
{
    const struct rows *rows = user;
    memcpy(rows->pixels + y * rows->row_bytes, pixels, rows->row_bytes);
}

/* As agn_jpeg_send.c makes packets. */
static int send_one(const struct agn_jpeg_format *format, uint8_t *pixels, void *memory, size_t memory_bytes)
{
    uint8_t payload[AGN_FEATURE_MAX_PAYLOAD];
    struct rows rows = {pixels, (size_t)format->width * format->channels};
    struct agn_jpeg_source source = {*format, row_at, &rows, memory, memory_bytes};
    const struct agn__row_sink sink = {take_pixels, &rows};
    for (unsigned y = 0; y < format->height;) {
        unsigned taken = 0;
        source.format.height = (uint16_t)(format->height - y);
        int32_t length = agn_jpeg_fit(&source, payload, sizeof payload, &taken);
        if (length < 0)
            return length;
        if (length > 0) {
            struct agn_jpeg_format part = *format;
            part.height = (uint16_t)taken;
            int status = agn__rows_decode(&part, payload, (size_t)length, &sink);
            if (status < 0)
                return status;
        } else {
            taken = band_rows(format); /* its pixels go as they are */
        }
        y += taken;
        rows.pixels += taken * rows.row_bytes;
    }
    return AGN_OK;
}

int agn_pixels_as_sent(const struct agn_pixels_image *image, uint8_t *pixels, size_t count)
{
    const struct agn_jpeg_format *format = &image->format;
    size_t image_bytes = (size_t)format->height * format->width * format->channels;
    size_t memory_bytes = AGN_JPEG_BYTES(format->width, format->channels);
    int failure = AGN_OK;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++) {
        uint32_t *memory = agn_alloc(memory_bytes, 1);
        int status = memory == NULL ? AGN_ERR_MEMORY
                                    : send_one(format, pixels + i * image_bytes, memory, memory_bytes);
        agn_free(memory);
        if (status < 0) {
#pragma omp atomic write
            failure = status;
        }
    }
    return failure;
}
