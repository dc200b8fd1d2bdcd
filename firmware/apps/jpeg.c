/* What JPEG costs on this board, in board_count's unit, of made pictures, with the code's checksum, which is
 * the same on every board. Of the model and the frames linked in it takes no notice. The parts are wrapped by
 * the linker
 * (--wrap), which costs a few instructions a block; `total` is counted without. */
#include "frame.h"

#include "agn_jpeg.h"
#include "agn_jpeg_internal.h"

enum { SIDE = 32, CAP = 4096 };

static uint8_t pixels[SIDE * SIDE * 3], scan[CAP];
static uint32_t memory[AGN_JPEG_BYTES(SIDE, 3) / 4];
static uint32_t transforming, coding, cost, state;

#ifdef APP_JPEG_STAGES
void __real_agn__jpeg_transform(const uint8_t *samples, size_t stride, const uint16_t *dead,
                                struct agn__jpeg_block *block);
void __wrap_agn__jpeg_transform(const uint8_t *samples, size_t stride, const uint16_t *dead,
                                struct agn__jpeg_block *block);
void __wrap_agn__jpeg_transform(const uint8_t *samples, size_t stride, const uint16_t *dead,
                                struct agn__jpeg_block *block)
{
    uint32_t begin = board_count();
    __real_agn__jpeg_transform(samples, stride, dead, block);
    transforming += board_count() - begin - cost;
}

void __real_agn__jpeg_code(struct agn_jpeg *jpeg, const struct agn__jpeg_block *block, unsigned table,
                           int16_t *dc);
void __wrap_agn__jpeg_code(struct agn_jpeg *jpeg, const struct agn__jpeg_block *block, unsigned table,
                           int16_t *dc);
void __wrap_agn__jpeg_code(struct agn_jpeg *jpeg, const struct agn__jpeg_block *block, unsigned table,
                           int16_t *dc)
{
    uint32_t begin = board_count();
    __real_agn__jpeg_code(jpeg, block, table, dc);
    coding += board_count() - begin - cost;
}
#endif

static uint32_t below(uint32_t end)
{
    state = state * UINT32_C(1664525) + UINT32_C(1013904223);
    return (state >> 8) % end;
}

/* Shades that change at every scale by as much, in full contrast, and noise: a longer code than most
 * photographs of this size have. */
static void draw(unsigned width, unsigned height, unsigned channels, uint32_t seed)
{
    enum { SCALES = 5, CELLS = 16 };
    static uint8_t levels[SCALES * CELLS * CELLS];
    uint8_t *at = pixels;
    state = seed;
    for (unsigned i = 0; i < sizeof levels; i++)
        levels[i] = (uint8_t)below(256);
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = 0; x < width; x++)
            for (unsigned c = 0; c < channels; c++) {
                uint32_t shade = below(64) + 8 * c;
                for (unsigned i = 0; i < SCALES; i++) /* cells of 32 pixels, of 16, and so on */
                    shade +=
                        levels[(i * CELLS + ((y << i) >> 5)) * CELLS + ((x << i) >> 5) + (i == 2 ? c : 0)];
                *at++ = (uint8_t)(shade < 320 ? 0 : shade > 1085 ? 255 : (shade - 320) / 3);
            }
}

/* One picture: rows of pixels, then intervals, in turn. Returns the checksum of the intervals, 0 on an error.
 */
static uint32_t code(const struct agn_jpeg_format *format, uint32_t *rows, uint32_t *intervals,
                     uint32_t *bytes)
{
    struct agn_jpeg jpeg;
    uint32_t crc = 0, begin;
    if (agn_jpeg_init(&jpeg, format, memory, sizeof memory) < 0)
        return 0;
    agn_jpeg_frame_begin(&jpeg);
    for (unsigned y = 0; y < format->height;) {
        begin = board_count();
        int taken = agn_jpeg_push_rows(&jpeg, pixels + (size_t)y * format->width * format->channels,
                                       (unsigned)format->height - y);
        *rows += board_count() - begin - cost;
        y += (unsigned)taken;
        for (int32_t length = 1; length != 0;) {
            begin = board_count();
            length = agn_jpeg_next_interval(&jpeg, scan, sizeof scan);
            *intervals += board_count() - begin - cost;
            if (length < 0 || taken <= 0)
                return 0;
            crc = agn_crc32(crc, scan, (size_t)length);
            *bytes += (uint32_t)length;
        }
    }
    return crc;
}

static int report(const char *name, unsigned width, unsigned channels, unsigned quality)
{
    enum { PICTURES = 10 };
    const struct agn_jpeg_format format = {(uint16_t)width, (uint16_t)width, 65535, (uint8_t)channels,
                                           (uint8_t)quality};
    uint32_t rows = 0, intervals = 0, bytes = 0, crc = 0;
    transforming = coding = 0;
    for (uint32_t i = 0; i < PICTURES; i++) {
        draw(width, width, channels, i + 1);
        uint32_t one = code(&format, &rows, &intervals, &bytes);
        if (one == 0)
            return 1;
        crc = crc * 31 + one;
    }
    board_print("picture,");
    board_print(name);
    board_print("\n");
    print_number("bytes", bytes / PICTURES);
    print_number("crc", crc);
    print_number("rows", rows / PICTURES);
    print_number("intervals", intervals / PICTURES);
    print_number("dct", transforming / PICTURES);
    print_number("huffman", coding / PICTURES);
    print_number("total", (rows + intervals) / PICTURES);
    return 0;
}

int app_main(void)
{
    uint32_t begin = board_count();
    cost = board_count() - begin;
    int failed = report("32x32x3 quality 50", 32, 3, 50) || report("32x32x3 quality 10", 32, 3, 10) ||
                 report("32x32x3 quality 90", 32, 3, 90) || report("28x28x1 quality 50", 28, 1, 50) ||
                 report("17x17x3 quality 50", 17, 3, 50);
    print_number("stack", board_stack_used());
    return failed;
}
