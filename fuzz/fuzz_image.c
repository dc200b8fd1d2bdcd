/* Feeds the readers of image files any bytes, and fits what they accept to a small size.
 * PNG files are fed a second time with their checksums put right: otherwise hardly a
 * changed one would get past them. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "sets/image.h"

enum { SIDE = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const uint8_t *data, size_t size)
{
    for (int channels = 1; channels <= 3; channels += 2) {
        struct agn__image image;
        struct agn__image_file file = {
            .data = data, .size_bytes = size, .name = "input", .channels = channels};
        if (agn__image_decode(&file, &image) < 0)
            continue;
        if (image.channels != channels || image.height < 1 || image.width < 1)
            abort();
        uint8_t small[SIDE * SIDE * 3];
        (void)agn__image_resize(&image, SIDE, SIDE, small);
        agn_free(image.pixels);
    }
}

/* Chunks: u32 length, 4 letters, data, u32 CRC of letters and data, all big-endian. */
static void repair_png(uint8_t *data, size_t size)
{
    size_t at = 8;
    while (at <= size && size - at >= 12) {
        uint8_t *chunk = data + at;
        size_t length = (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
        if (length > size - at - 12)
            return;
        uint32_t sum = (uint32_t)crc32(0, chunk + 4, (uInt)length + 4);
        for (int i = 0; i < 4; i++)
            chunk[8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += 12 + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    if (size < 8 || data[0] != 0x89)
        return 0;
    uint8_t *repaired = malloc(size);
    if (!repaired)
        return 0;
    memcpy(repaired, data, size);
    repair_png(repaired, size);
    decode(repaired, size);
    free(repaired);
    return 0;
}
