/* Packets of JPEG as the server decodes them: hostile payloads for images of many shapes, straight into the
 * decoder.
 *
 * Input: height, width, flags (1: colour), quality, first row, rows, first run, runs; then the payload. */
#include <stdlib.h>
#include <string.h>

#include "agilenn/pixels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 8, NOTHING = 0xA5 };

static void demand(int condition)
{
    if (!condition)
        abort();
}

static unsigned one_to(uint8_t byte, unsigned most)
{
    return byte % most + 1u;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agn_pixels_image image;
    if (size < HEAD)
        return 0;
    image.format = (struct agn_jpeg_format){.width = (uint16_t)one_to(data[1], 64),
                                            .height = (uint16_t)one_to(data[0], 64),
                                            .interval = 1,
                                            .channels = data[2] & 1 ? 3 : 1,
                                            .quality = (uint8_t)one_to(data[3], AGN_JPEG_MAX_QUALITY)};
    if (agn_pixels_shape(image.format.height, (uint32_t)image.format.width * image.format.channels,
                         &image.shape) < 0)
        return 0;
    const struct agn_feature_packet packet = {.codec = AGN_CODEC_JPEG,
                                              .channel_first = data[4],
                                              .channel_count = data[5],
                                              .row_first = data[6],
                                              .row_count = data[7] == 0 ? image.shape.height : data[7],
                                              .payload = data + HEAD,
                                              .payload_bytes = size - HEAD};
    size_t row = (size_t)image.shape.height * image.shape.width, bytes = row * image.shape.channels;
    uint8_t *map = malloc(bytes);
    demand(map != NULL);
    memset(map, NOTHING, bytes);
    int status = agn_pixels_decode(&image, &packet, map);
    demand(status == 0 || status == AGN_ERR_FORMAT || status == AGN_ERR_RANGE);
    for (size_t i = 0; i < bytes; i++) {
        size_t y = i / row;
        int inside = y >= packet.channel_first && y < (size_t)packet.channel_first + packet.channel_count;
        demand(map[i] < AGN_WIRE_LEVELS ? inside && status != AGN_ERR_RANGE : map[i] == NOTHING);
        demand(status != 0 || !inside || map[i] < AGN_WIRE_LEVELS);
    }
    free(map);
    return 0;
}
