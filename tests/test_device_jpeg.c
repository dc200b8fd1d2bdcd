/* The JPEG encoder against libjpeg-turbo: the same bytes for every size, quality and restart interval,
 * however rows come and whatever buffers are given; and what is lost harms nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "agilenn/base.h"
#include "agn_jpeg.h"
#include "support/jpeg_judge.h"

enum { MAX_INTERVAL = 1 << 22 };

/* A picture coded by the encoder. */
struct coded {
    struct agn_jpeg_format format;
    struct agn_jpeg_interval *intervals;
    uint16_t count;
    uint8_t *file;
    size_t file_bytes, scan_bytes; /* the latter without markers */
};

static void *take(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1); /* not cleared, and guarded by ASan */
    assert_non_null(memory);
    return memory;
}

static size_t pixel_bytes(const struct agn_jpeg_format *format)
{
    return (size_t)format->width * format->height * format->channels;
}

/* Takes what intervals there are. */
static void take_intervals(struct agn_jpeg *jpeg, struct coded *coded, uint8_t *buffer)
{
    int32_t length;
    while ((length = agn_jpeg_next_interval(jpeg, buffer, MAX_INTERVAL)) != 0) {
        assert_true(length > 0 && coded->count < agn_jpeg_intervals(&coded->format));
        assert_int_equal(agn_jpeg_interval_bytes(jpeg), length);
        assert_int_equal(agn_jpeg_interval_check(buffer, (size_t)length), 0);
        uint8_t *bytes = take((size_t)length);
        memcpy(bytes, buffer, (size_t)length);
        coded->intervals[coded->count++] = (struct agn_jpeg_interval){bytes, (size_t)length};
        coded->scan_bytes += (size_t)length;
    }
}

/* Codes with rows in groups of random sizes; puts the file together. */
static void code(struct coded *coded, const struct agn_jpeg_format *format, const uint8_t *pixels,
                 struct agn_rng *rng)
{
    static uint8_t buffer[MAX_INTERVAL];
    struct agn_jpeg jpeg;
    size_t memory_bytes = (size_t)agn_jpeg_bytes(format);
    void *memory = take(memory_bytes);
    memset(memory, 0xA5, memory_bytes);
    assert_int_equal(agn_jpeg_init(&jpeg, format, memory, memory_bytes), 0);
    memset(coded, 0, sizeof *coded);
    coded->format = *format;
    coded->intervals = calloc(agn_jpeg_intervals(format), sizeof *coded->intervals);
    assert_non_null(coded->intervals);
    for (unsigned y = 0; y < format->height;) {
        unsigned group = 1 + agn_rng_below(rng, (uint32_t)(format->height - y));
        int taken = agn_jpeg_push_rows(&jpeg, pixels + (size_t)y * format->width * format->channels, group);
        assert_in_range(taken, 1, group);
        y += (unsigned)taken;
        take_intervals(&jpeg, coded, buffer);
    }
    assert_int_equal(coded->count, agn_jpeg_intervals(format));
    free(memory);
    int32_t length = agn_jpeg_file(format, coded->intervals, coded->count, NULL, 0);
    assert_true(length > 0);
    coded->file_bytes = (size_t)length;
    coded->file = take(coded->file_bytes);
    assert_int_equal(agn_jpeg_file(format, coded->intervals, coded->count, coded->file, coded->file_bytes),
                     length);
}

static void coded_free(struct coded *coded)
{
    for (unsigned i = 0; i < coded->count; i++)
        free((void *)(uintptr_t)coded->intervals[i].bytes);
    free(coded->intervals);
    free(coded->file);
}

/* ---- pictures ------------------------------------------------------------------------ */

enum kind { NOISE, SMOOTH, EXTREME, CHECKS, MIXED, KINDS };

static void draw(const struct agn_jpeg_format *format, enum kind kind, struct agn_rng *rng, uint8_t *pixels)
{
    double fx = 0.02 + agn_rng_below(rng, 100) * 0.002, fy = 0.02 + agn_rng_below(rng, 100) * 0.002;
    unsigned side = 1 + agn_rng_below(rng, 9);
    uint8_t *at = pixels;
    for (unsigned y = 0; y < format->height; y++)
        for (unsigned x = 0; x < format->width; x++)
            for (unsigned c = 0; c < format->channels; c++) {
                double wave = 127.5 + 127 * sin(fx * x + c) * cos(fy * y - c);
                uint32_t noise = agn_rng_below(rng, 256);
                switch (kind) {
                case SMOOTH:
                    *at++ = (uint8_t)wave;
                    break;
                case EXTREME:
                    *at++ = noise & 1 ? 255 : 0;
                    break;
                case CHECKS:
                    *at++ = ((x / side + y / side) & 1) ? 255 : 0;
                    break;
                case MIXED:
                    *at++ = (uint8_t)(wave * 0.85 + noise * 0.15);
                    break;
                default:
                    *at++ = (uint8_t)noise;
                }
            }
}

/* Squared errors of what the judge sees in a file. */
static double errors_of(const struct agn_jpeg_format *format, const uint8_t *file, size_t len,
                        const uint8_t *pixels)
{
    size_t bytes = pixel_bytes(format);
    uint8_t *seen = take(bytes);
    double sum = 0;
    assert_int_equal(judge_decode(format, file, len, seen), 0);
    for (size_t i = 0; i < bytes; i++)
        sum += ((double)seen[i] - pixels[i]) * ((double)seen[i] - pixels[i]);
    free(seen);
    return sum;
}

/* The scan is libjpeg's, byte for byte; header and scan decode. */
static void check_picture(const struct agn_jpeg_format *format, const uint8_t *pixels, struct agn_rng *rng)
{
    struct coded coded;
    uint8_t *file;
    code(&coded, format, pixels, rng);
    size_t len = judge_encode(format, pixels, &file);
    size_t begin = judge_scan_begin(file, len), own = AGN_JPEG_HEADER_BYTES(format->channels);
    if (len - begin != coded.file_bytes - own || memcmp(file + begin, coded.file + own, len - begin) != 0)
        fail_msg("%u x %u x %u, quality %u, %u MCUs an interval: %zu bytes, libjpeg has %zu, and they differ",
                 format->width, format->height, format->channels, format->quality, format->interval,
                 coded.file_bytes - own, len - begin);
    uint8_t *seen = take(pixel_bytes(format));
    assert_int_equal(judge_decode(format, coded.file, coded.file_bytes, seen), 0);
    free(seen);
    free(file);
    coded_free(&coded);
}

static void every_size_to_40(void **state)
{
    struct agn_rng rng;
    uint8_t pixels[40 * 40 * 3];
    (void)state;
    agn_rng_seed(&rng, 1);
    for (unsigned width = 1; width <= 40; width++)
        for (unsigned height = 1; height <= 40; height++)
            for (unsigned channels = 1; channels <= 3; channels += 2)
                for (enum kind kind = NOISE; kind <= SMOOTH; kind++) {
                    const struct agn_jpeg_format format = {
                        (uint16_t)width, (uint16_t)height, (uint16_t)(1 + agn_rng_below(&rng, 12)),
                        (uint8_t)channels, (uint8_t)(1 + agn_rng_below(&rng, 100))};
                    draw(&format, kind, &rng, pixels);
                    check_picture(&format, pixels, &rng);
                }
}

static void every_quality(void **state)
{
    struct agn_rng rng;
    uint8_t pixels[53 * 37 * 3];
    (void)state;
    agn_rng_seed(&rng, 2);
    for (unsigned quality = 1; quality <= 100; quality++)
        for (unsigned channels = 1; channels <= 3; channels += 2)
            for (enum kind kind = NOISE; kind < KINDS; kind++) {
                const struct agn_jpeg_format format = {53, 37, 65535, (uint8_t)channels, (uint8_t)quality};
                draw(&format, kind, &rng, pixels);
                check_picture(&format, pixels, &rng);
            }
}

static void the_largest(void **state)
{
    static const uint16_t sides[][2] = {{1024, 1024}, {1024, 1},   {1, 1024},
                                        {1023, 17},   {333, 1009}, {96, 96}};
    struct agn_rng rng;
    uint8_t *pixels = take((size_t)1024 * 1024 * 3);
    (void)state;
    agn_rng_seed(&rng, 3);
    for (size_t i = 0; i < AGN_COUNT_OF(sides); i++)
        for (unsigned channels = 1; channels <= 3; channels += 2) {
            struct agn_jpeg_format format = {
                sides[i][0], sides[i][1], (uint16_t)(1 + agn_rng_below(&rng, 300)), (uint8_t)channels, 100};
            draw(&format, EXTREME, &rng, pixels); /* as long as a scan gets */
            check_picture(&format, pixels, &rng);
            format.quality = 60;
            format.interval = 65535;
            draw(&format, MIXED, &rng, pixels);
            check_picture(&format, pixels, &rng);
        }
    free(pixels);
}

/* ---- figures --------------------------------------------------------------------------- */

struct figures {
    double own_errors, errors, samples;
    size_t own_bytes, bytes;
};

static void add_figures(struct figures *sum, const struct agn_jpeg_format *format, const uint8_t *pixels,
                        struct agn_rng *rng)
{
    struct coded coded;
    uint8_t *file;
    code(&coded, format, pixels, rng);
    size_t len = judge_encode(format, pixels, &file);
    sum->own_errors += errors_of(format, coded.file, coded.file_bytes, pixels);
    sum->errors += errors_of(format, file, len, pixels);
    sum->samples += (double)pixel_bytes(format);
    sum->own_bytes += coded.file_bytes - AGN_JPEG_HEADER_BYTES(format->channels);
    sum->bytes += len - judge_scan_begin(file, len);
    free(file);
    coded_free(&coded);
}

static double psnr(double errors, double samples)
{
    return 10 * log10(255.0 * 255.0 * samples / errors);
}

static void compare_figures(const char *what, const struct agn_jpeg_format *format, const uint8_t *pixels,
                            size_t pictures, struct agn_rng *rng)
{
    for (size_t i = 0; i < 4; i++) {
        static const uint8_t qualities[] = {10, 30, 50, 75};
        struct agn_jpeg_format at = *format;
        struct figures sum = {0, 0, 0, 0, 0};
        at.quality = qualities[i];
        for (size_t p = 0; p < pictures; p++)
            add_figures(&sum, &at, pixels + p * pixel_bytes(format), rng);
        double own = psnr(sum.own_errors, sum.samples), other = psnr(sum.errors, sum.samples);
        print_message("%s, quality %u: %.2f dB, %.1f bytes a picture; libjpeg: %.2f dB, %.1f bytes\n", what,
                      at.quality, own, (double)sum.own_bytes / (double)pictures, other,
                      (double)sum.bytes / (double)pictures);
        assert_true(fabs(own - other) < 0.1);
        assert_true(fabs((double)sum.own_bytes - (double)sum.bytes) < 0.02 * (double)sum.bytes);
    }
}

static void figures_of_made_pictures(void **state)
{
    static uint8_t pixels[20 * 96 * 96 * 3];
    struct agn_rng rng;
    (void)state;
    agn_rng_seed(&rng, 4);
    for (unsigned channels = 1; channels <= 3; channels += 2)
        for (enum kind kind = NOISE; kind < KINDS; kind++) {
            static const char *const names[] = {"noise", "smooth", "extreme", "checks", "mixed"};
            const struct agn_jpeg_format format = {96, 96, 6, (uint8_t)channels, 1};
            for (size_t p = 0; p < 20; p++)
                draw(&format, kind, &rng, pixels + p * pixel_bytes(&format));
            char what[32];
            snprintf(what, sizeof what, "96 x 96 x %u, %s", channels, names[kind]);
            compare_figures(what, &format, pixels, 20, &rng);
        }
}

static void figures_of_fashion_mnist(void **state)
{
    enum { PICTURES = 200, HEADER = 16 };
    static uint8_t file[HEADER + PICTURES * 28 * 28], colour[PICTURES * 28 * 28 * 3];
    struct agn_rng rng;
    (void)state;
    gzFile source = gzopen("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz", "rb");
    if (!source)
        skip();
    int read = gzread(source, file, sizeof file);
    gzclose(source);
    assert_int_equal(read, sizeof file);
    agn_rng_seed(&rng, 5);
    const struct agn_jpeg_format grey = {28, 28, 16, 1, 1}, tinted = {28, 28, 4, 3, 1};
    compare_figures("Fashion-MNIST", &grey, file + HEADER, PICTURES, &rng);
    for (size_t i = 0; i < sizeof colour; i++) /* and tinted, the channels apart */
        colour[i] = (uint8_t)(file[HEADER + i / 3] >> (i / 3 / 784 + i) % 3);
    compare_figures("Fashion-MNIST, tinted", &tinted, colour, PICTURES, &rng);
}

/* ---- losses ------------------------------------------------------------------------------ */

/* Decodes with the intervals whose bit in `lost` is set left out; every pixel is as it was, or grey. */
static void check_losses(const struct coded *coded, const uint8_t *whole, const uint8_t *lost)
{
    const struct agn_jpeg_format *format = &coded->format;
    size_t bytes = pixel_bytes(format), side = format->channels == 1 ? 8 : 16;
    struct agn_jpeg_interval *some = take(coded->count * sizeof *some);
    for (unsigned i = 0; i < coded->count; i++)
        some[i] = lost[i] ? (struct agn_jpeg_interval){NULL, 0} : coded->intervals[i];
    size_t len = (size_t)agn_jpeg_file(format, some, coded->count, NULL, 0);
    uint8_t *file = take(len), *seen = take(bytes);
    assert_int_equal(agn_jpeg_file(format, some, coded->count, file, len), (int32_t)len);
    assert_int_equal(judge_decode(format, file, len, seen), 0);
    for (size_t i = 0; i < bytes; i++) {
        size_t x = i / format->channels % format->width, y = i / format->channels / format->width;
        size_t mcu = y / side * agn_jpeg_mcus_across(format) + x / side;
        assert_int_equal(seen[i], lost[mcu / format->interval] ? 128 : whole[i]);
    }
    free(file);
    free(seen);
    free(some);
}

static void intervals_decode_alone(void **state)
{
    struct agn_rng rng;
    uint8_t pixels[70 * 50 * 3], whole[70 * 50 * 3], lost[63];
    (void)state;
    agn_rng_seed(&rng, 6);
    for (unsigned channels = 1; channels <= 3; channels += 2)
        for (unsigned interval = 1; interval <= 70; interval += 3) {
            const struct agn_jpeg_format format = {70, 50, (uint16_t)interval, (uint8_t)channels, 40};
            struct coded coded;
            draw(&format, MIXED, &rng, pixels);
            code(&coded, &format, pixels, &rng);
            assert_int_equal(judge_decode(&format, coded.file, coded.file_bytes, whole), 0);
            for (unsigned i = 0; i < coded.count && i < 9; i++) { /* all but one, and only one */
                memset(lost, 1, sizeof lost);
                lost[i] = 0;
                check_losses(&coded, whole, lost);
                memset(lost, 0, sizeof lost);
                lost[i] = 1;
                check_losses(&coded, whole, lost);
            }
            for (int round = 0; round < 5; round++) {
                for (size_t i = 0; i < sizeof lost; i++)
                    lost[i] = (uint8_t)agn_rng_below(&rng, 2);
                check_losses(&coded, whole, lost);
            }
            coded_free(&coded);
        }
}

/* ---- buffers and callers' mistakes ---------------------------------------------------------- */

/* An interval fits a buffer of its length, is refused by a shorter one, and the next one does not mind. */
static void intervals_too_long(void **state)
{
    struct agn_rng rng;
    uint8_t pixels[48 * 48 * 3];
    (void)state;
    agn_rng_seed(&rng, 7);
    int fitted = 0, intervals = 0;
    for (unsigned round = 0; round < 20; round++) {
        unsigned channels = round & 1 ? 1 : 3;
        const struct agn_jpeg_format format = {48, 48, 3, (uint8_t)channels,
                                               90}; /* none crosses a row of MCUs */
        uint32_t memory[AGN_JPEG_BYTES(48, 3) / 4];
        struct agn_jpeg jpeg;
        struct coded coded;
        draw(&format, MIXED, &rng, pixels);
        code(&coded, &format, pixels, &rng);
        assert_int_equal(agn_jpeg_init(&jpeg, &format, memory, sizeof memory), 0);
        for (unsigned i = 0, y = 0; i < coded.count; i++) {
            y += (unsigned)agn_jpeg_push_rows(&jpeg, pixels + (size_t)y * 48 * channels, 48 - y);
            const struct agn_jpeg_interval *wanted = &coded.intervals[i];
            size_t cap =
                agn_rng_below(&rng, 2) ? wanted->len_bytes : agn_rng_below(&rng, (uint32_t)wanted->len_bytes);
            uint8_t *buffer = take(cap);
            int32_t length = agn_jpeg_next_interval(&jpeg, buffer, cap);
            assert_int_equal(length, cap < wanted->len_bytes ? AGN_ERR_SPACE : (int32_t)cap);
            assert_int_equal(agn_jpeg_interval_bytes(&jpeg), wanted->len_bytes);
            assert_memory_equal(buffer, wanted->bytes, length > 0 ? cap : 0);
            fitted += length > 0;
            free(buffer);
        }
        assert_int_equal(agn_jpeg_next_interval(&jpeg, NULL, 0), 0);
        intervals += coded.count;
        coded_free(&coded);
    }
    assert_in_range(fitted, intervals / 4, intervals * 3 / 4);
}

/* Without a buffer at all an encoder tells lengths; a frame that is begun anew is as the first. */
static void lengths_only(void **state)
{
    const struct agn_jpeg_format format = {40, 40, 65535, 3, 50};
    uint32_t memory[AGN_JPEG_BYTES(40, 3) / 4 + 1];
    uint8_t pixels[40 * 40 * 3], guarded[64];
    struct agn_jpeg jpeg;
    struct agn_rng rng;
    uint32_t lengths[3];
    (void)state;
    agn_rng_seed(&rng, 8);
    draw(&format, MIXED, &rng, pixels);
    assert_int_equal(agn_jpeg_init(&jpeg, &format, memory, sizeof memory), 0);
    for (int frame = 0; frame < 3; frame++) {
        size_t cap = frame == 0 ? 0 : 40;
        memset(guarded, 0x5A, sizeof guarded);
        assert_int_equal(agn_jpeg_interval_bytes(&jpeg), 0);
        int32_t status = 0;
        for (unsigned y = 0; y < 40;
             y += (unsigned)agn_jpeg_push_rows(&jpeg, pixels + (size_t)y * 120, 40 - y))
            assert_int_equal(agn_jpeg_next_interval(&jpeg, guarded, cap), 0);
        status = agn_jpeg_next_interval(&jpeg, cap ? guarded : NULL, cap);
        assert_int_equal(status, AGN_ERR_SPACE);
        lengths[frame] = agn_jpeg_interval_bytes(&jpeg);
        for (size_t i = cap; i < sizeof guarded; i++)
            assert_int_equal(guarded[i], 0x5A);
        agn_jpeg_frame_begin(&jpeg);
        agn_jpeg_push_rows(&jpeg, pixels, 23); /* a frame that is dropped */
        agn_jpeg_next_interval(&jpeg, guarded, sizeof guarded);
        agn_jpeg_frame_begin(&jpeg);
    }
    assert_true(lengths[0] > 100);
    assert_int_equal(lengths[0], lengths[1]);
    assert_int_equal(lengths[0], lengths[2]);
}

static void mistakes_are_refused(void **state)
{
    static const struct agn_jpeg_format bad[] = {
        {0, 8, 1, 1, 50},         {8, 0, 1, 1, 50},   {1025, 8, 1, 1, 50}, {8, 1025, 1, 3, 50},
        {65535, 65535, 1, 3, 50}, {8, 8, 0, 1, 50},   {8, 8, 1, 0, 50},    {8, 8, 1, 2, 50},
        {8, 8, 1, 4, 50},         {8, 8, 1, 255, 50}, {8, 8, 1, 1, 0},     {8, 8, 1, 1, 101}};
    const struct agn_jpeg_format format = {17, 9, 1, 3, 50};
    uint32_t memory[AGN_JPEG_BYTES(17, 3) / 4 + 1];
    uint8_t pixels[17 * 9 * 3] = {0}, bytes[100];
    struct agn_jpeg jpeg, untouched;
    (void)state;
    memset(&jpeg, 0x77, sizeof jpeg);
    untouched = jpeg;
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        assert_int_equal(agn_jpeg_bytes(&bad[i]), AGN_ERR_RANGE);
        assert_int_equal(agn_jpeg_init(&jpeg, &bad[i], memory, sizeof memory), AGN_ERR_RANGE);
    }
    size_t needed = (size_t)agn_jpeg_bytes(&format);
    assert_int_equal(needed, AGN_JPEG_BYTES(17, 3));
    assert_int_equal(agn_jpeg_init(&jpeg, &format, NULL, needed), AGN_ERR_ARG);
    assert_int_equal(agn_jpeg_init(&jpeg, &format, (uint8_t *)memory + 1, needed), AGN_ERR_ARG);
    assert_int_equal(agn_jpeg_init(&jpeg, &format, memory, needed - 1), AGN_ERR_SPACE);
    assert_memory_equal(&jpeg, &untouched, sizeof jpeg);
    assert_int_equal(agn_jpeg_init(&jpeg, &format, memory, needed), 0);
    assert_int_equal(agn_jpeg_push_rows(&jpeg, pixels, 10), AGN_ERR_RANGE);
    assert_int_equal(agn_jpeg_next_interval(&jpeg, NULL, 1), AGN_ERR_ARG);
    assert_int_equal(agn_jpeg_push_rows(&jpeg, pixels, 0), 0);
    assert_int_equal(agn_jpeg_push_rows(&jpeg, pixels, 9), 9);
    assert_int_equal(agn_jpeg_push_rows(&jpeg, pixels, 1), AGN_ERR_RANGE);
    assert_int_equal(agn_jpeg_next_interval(&jpeg, NULL, 1), AGN_ERR_ARG);
    for (int i = 0; i < 2; i++) /* nothing of it was lost: 2 MCUs, of the smallest intervals */
        assert_int_equal(agn_jpeg_next_interval(&jpeg, bytes, sizeof bytes), 6);
    assert_int_equal(agn_jpeg_next_interval(&jpeg, bytes, sizeof bytes), 0);
    assert_int_equal(agn_jpeg_push_rows(&jpeg, pixels, 1), AGN_ERR_RANGE);
}

/* Rows wait while a row of MCUs does. */
static void rows_are_taken_by_eights(void **state)
{
    static const uint8_t pixels[8 * 20];
    static const int taken[] = {8, 0, 8, 0, 4, 0};
    const struct agn_jpeg_format format = {8, 20, 3, 1, 50};
    uint32_t memory[AGN_JPEG_BYTES(8, 1) / 4];
    uint8_t bytes[10];
    struct agn_jpeg jpeg;
    unsigned y = 0;
    (void)state;
    assert_int_equal(agn_jpeg_init(&jpeg, &format, memory, sizeof memory), 0);
    assert_int_equal(agn_jpeg_next_interval(&jpeg, bytes, sizeof bytes), 0);
    for (size_t i = 0; i < AGN_COUNT_OF(taken); i++) {
        assert_int_equal(agn_jpeg_push_rows(&jpeg, pixels + (size_t)y * 8, 20 - y), taken[i]);
        y += (unsigned)taken[i];
        if (taken[i] == 0) /* the third MCU ends the interval */
            assert_int_equal(agn_jpeg_next_interval(&jpeg, bytes, sizeof bytes) > 0, i == 5);
    }
}

/* As docs/PROTOCOL.md shows it. */
static void the_example_of_the_protocol(void **state)
{
    static const uint8_t first[] = {0xC2, 0x83, 0x47, 0xFF, 0, 0x66, 0xB4, 0x20, 0xD1, 0xFF, 0, 0xD9, 0xAF},
                         second[] = {0xD9, 0x82, 0xD6, 0x2F, 0xEE, 0xD6, 0x84, 0x16, 0xB1, 0x7F, 0x76, 0xBF};
    const struct agn_jpeg_format format = {16, 12, 2, 1, 50};
    struct coded coded;
    struct agn_rng rng;
    uint8_t pixels[12 * 16];
    (void)state;
    agn_rng_seed(&rng, 9);
    for (unsigned i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(16 * (i / 16) + 4 * (i % 16));
    code(&coded, &format, pixels, &rng);
    assert_int_equal(coded.intervals[0].len_bytes, sizeof first);
    assert_memory_equal(coded.intervals[0].bytes, first, sizeof first);
    assert_int_equal(coded.intervals[1].len_bytes, sizeof second);
    assert_memory_equal(coded.intervals[1].bytes, second, sizeof second);
    coded_free(&coded);
}

/* The macro is the function for every width. */
static void memory_is_as_said(void **state)
{
    (void)state;
    for (unsigned width = 1; width <= AGN_JPEG_MAX_SIDE; width++)
        for (unsigned channels = 1; channels <= 3; channels += 2) {
            const struct agn_jpeg_format format = {(uint16_t)width, 1, 1, (uint8_t)channels, 50};
            assert_int_equal(agn_jpeg_bytes(&format), AGN_JPEG_BYTES(width, channels));
        }
    assert_int_equal(AGN_JPEG_BYTES(28, 1), 256);
    assert_int_equal(AGN_JPEG_BYTES(32, 3), 512 + 256 + 68);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_to_40),
        cmocka_unit_test(every_quality),
        cmocka_unit_test(the_largest),
        cmocka_unit_test(figures_of_made_pictures),
        cmocka_unit_test(figures_of_fashion_mnist),
        cmocka_unit_test(intervals_decode_alone),
        cmocka_unit_test(intervals_too_long),
        cmocka_unit_test(lengths_only),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(memory_is_as_said),
        cmocka_unit_test(the_example_of_the_protocol),
        cmocka_unit_test(rows_are_taken_by_eights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
