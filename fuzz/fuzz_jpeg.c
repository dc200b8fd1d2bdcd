/* The JPEG encoder: bytes 0 to 7 choose size, channels, quality, interval and buffers, the rest are pixels,
 * over and over. Intervals are as long as the encoder says, hold no marker, and do not hang on how rows come
 * or on buffers that were too short; the file that they make decodes without a warning, with any of them
 * lost. */
#include <stdlib.h>
#include <string.h>

#include "agn_jpeg.h"
#include "sets/image.h"

enum { MAX_SIDE = 70, CAP = 1 << 16, MAX_INTERVALS = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_true)
{
    if (!is_true)
        abort();
}

static void *take(size_t bytes)
{
    void *memory = malloc(bytes + (bytes == 0));
    must(memory != NULL);
    return memory;
}

struct run {
    struct agn_jpeg_format format;
    uint8_t *pixels;
    struct agn_jpeg_interval intervals[MAX_INTERVALS];
    uint16_t count;
};

/* All intervals, into r->intervals; or, if these are there, the same ones again with buffers of `cap` bytes.
 */
static void encode(struct run *r, unsigned group, size_t cap, int again)
{
    size_t needed = (size_t)agn_jpeg_bytes(&r->format),
           row_bytes = (size_t)r->format.width * r->format.channels;
    void *memory = take(needed);
    uint8_t *buffer = take(cap);
    struct agn_jpeg jpeg;
    uint16_t done = 0;
    must(agn_jpeg_init(&jpeg, &r->format, memory, needed) == 0);
    for (unsigned y = 0; y < r->format.height;) {
        unsigned rows = group < (unsigned)r->format.height - y ? group : (unsigned)r->format.height - y;
        int taken = agn_jpeg_push_rows(&jpeg, r->pixels + y * row_bytes, rows);
        must(taken > 0 && (unsigned)taken <= rows);
        y += (unsigned)taken;
        int32_t length;
        while ((length = agn_jpeg_next_interval(&jpeg, buffer, cap)) != 0) {
            struct agn_jpeg_interval *interval = &r->intervals[done++];
            size_t whole = agn_jpeg_interval_bytes(&jpeg);
            must(length == (whole > cap ? AGN_ERR_SPACE : (int32_t)whole));
            if (!again) {
                interval->bytes = memcpy(take(whole), buffer, whole);
                interval->len_bytes = whole;
            }
            must(whole == interval->len_bytes);
            must(memcmp(buffer, interval->bytes, whole < cap ? whole : cap) == 0);
        }
    }
    must(agn_jpeg_push_rows(&jpeg, r->pixels, 1) == AGN_ERR_RANGE);
    must(done == agn_jpeg_intervals(&r->format));
    r->count = done;
    free(buffer);
    free(memory);
}

/* As a server sees it, with the intervals lost whose bit is set. */
static void decode(const struct run *r, uint32_t lost)
{
    struct agn_jpeg_interval some[MAX_INTERVALS];
    for (unsigned i = 0; i < r->count; i++)
        some[i] = lost >> i % 32 & 1 ? (struct agn_jpeg_interval){NULL, 0} : r->intervals[i];
    int32_t length = agn_jpeg_file(&r->format, some, r->count, NULL, 0);
    must(length > 0);
    uint8_t *bytes = take((size_t)length);
    must(agn_jpeg_file(&r->format, some, r->count, bytes, (size_t)length - 1) == AGN_ERR_SPACE);
    must(agn_jpeg_file(&r->format, some, r->count, bytes, (size_t)length) == length);
    struct agn__image image;
    struct agn__image_file file = {
        .data = bytes, .size_bytes = (size_t)length, .name = "scan", .channels = r->format.channels};
    must(agn__image_decode(&file, &image) == 0);
    must(image.width == r->format.width && image.height == r->format.height);
    agn_free(image.pixels);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 9)
        return 0;
    struct run r = {.format = {.width = data[0], .height = data[1], .channels = data[2], .quality = data[3]}};
    r.format.interval = data[4];
    if (r.format.width > MAX_SIDE || r.format.height > MAX_SIDE || agn_jpeg_format_check(&r.format) < 0) {
        must(r.format.width > MAX_SIDE || r.format.height > MAX_SIDE ||
             agn_jpeg_bytes(&r.format) == AGN_ERR_RANGE);
        return 0;
    }
    size_t bytes = (size_t)r.format.width * r.format.height * r.format.channels;
    r.pixels = take(bytes);
    for (size_t i = 0; i < bytes; i++)
        r.pixels[i] = data[8 + i % (size - 8)];
    encode(&r, 1, CAP, 0);
    encode(&r, 1u + data[5], data[6], 1);
    decode(&r, 0);
    decode(&r, data[7] * UINT32_C(0x01030507));
    for (unsigned i = 0; i < r.count; i++)
        free((void *)(uintptr_t)r.intervals[i].bytes);
    free(r.pixels);
    return 0;
}
