/* TIFF: what the samples beside the colours mean, and kinds that are not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sets/image.h"

enum { WIDTH = 4, GREY = 1, RGB = 2, NO_EXTRA = -1, UNSPECIFIED = 0, ASSOCIATED = 1, UNASSOCIATED = 2 };

static const uint8_t ground[3] = {0, 100, 255};

struct tiff {
    int bits, samples, photometric;
    int extra; /* what the first sample beside the colours is; NO_EXTRA: no such tag */
    const uint8_t *pixels;
    size_t size; /* of the pixels */
};

static void put(uint8_t **at, unsigned value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *(*at)++ = (uint8_t)(value >> (8 * i));
}

static void put_tag(uint8_t **at, unsigned tag, int count, unsigned value)
{
    enum { SHORT = 3 };
    put(at, tag, 2);
    put(at, SHORT, 2);
    put(at, (unsigned)count, 4);
    put(at, value, 4);
}

/* A row of WIDTH pixels, uncompressed, little-endian: header, pixels, bits of the samples, directory. */
static int decode(const struct tiff *tiff, struct agn__image *image)
{
    enum { PIXELS_AT = 8 };
    static uint8_t data[512];
    uint8_t *at = data + PIXELS_AT + tiff->size;
    unsigned bits_at = PIXELS_AT + (unsigned)tiff->size, bits = (unsigned)tiff->bits;
    int extras = tiff->samples - (tiff->photometric == RGB ? 3 : 1);
    memcpy(data + PIXELS_AT, tiff->pixels, tiff->size);
    for (int i = 0; i < tiff->samples; i++)
        put(&at, bits, 2);
    unsigned directory = (unsigned)(at - data);
    put(&at, tiff->extra == NO_EXTRA ? 9 : 10, 2);
    put_tag(&at, 256, 1, WIDTH);
    put_tag(&at, 257, 1, 1);
    put_tag(&at, 258, tiff->samples,
            tiff->samples > 2    ? bits_at
            : tiff->samples == 2 ? bits | bits << 16
                                 : bits);
    put_tag(&at, 259, 1, 1); /* not compressed */
    put_tag(&at, 262, 1, (unsigned)tiff->photometric);
    put_tag(&at, 273, 1, PIXELS_AT);
    put_tag(&at, 277, 1, (unsigned)tiff->samples);
    put_tag(&at, 278, 1, 1);
    put_tag(&at, 279, 1, (unsigned)tiff->size);
    if (tiff->extra != NO_EXTRA)
        put_tag(&at, 338, extras, (unsigned)tiff->extra);
    put(&at, 0, 4);
    size_t size = (size_t)(at - data);
    at = data;
    put(&at, 'I' | 'I' << 8 | 42 << 16, 4);
    put(&at, directory, 4);
    struct agn__image_file file = {.data = data, .size_bytes = size, .name = "picture", .channels = 3};
    memcpy(file.ground, ground, sizeof ground);
    return agn__image_decode(&file, image);
}

static void assert_pixels(const struct tiff *tiff, const uint8_t expected[3 * WIDTH])
{
    struct agn__image image;
    if (decode(tiff, &image) != AGN_OK)
        fail_msg("%s", agn_error_message());
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, 1);
    for (int i = 0; i < 3 * WIDTH; i++)
        if (abs(image.pixels[i] - expected[i]) > 1)
            fail_msg("pixel %d, channel %d: %d, expected %d", i / 3, i % 3, image.pixels[i], expected[i]);
    agn_free(image.pixels);
}

/* Grey 200, transparent, half so and opaque, and black. */
static void grey_may_be_transparent(void **state)
{
    (void)state;
    static const uint8_t plain[] = {200, 0, 200, 128, 200, 255, 0, 255};
    static const uint8_t multiplied[] = {0, 0, 100, 128, 200, 255, 0, 255};
    static const uint8_t expected[] = {0, 100, 255, 100, 150, 227, 200, 200, 200, 0, 0, 0};
    struct tiff tiff = {8, 2, GREY, UNASSOCIATED, plain, sizeof plain};
    assert_pixels(&tiff, expected);
    tiff.extra = ASSOCIATED;
    tiff.pixels = multiplied;
    assert_pixels(&tiff, expected);
}

static void colours_may_be_transparent(void **state)
{
    (void)state;
    static const uint8_t plain[] = {200, 40, 10, 0, 200, 40, 10, 128, 200, 40, 10, 255, 0, 0, 0, 255};
    static const uint8_t multiplied[] = {0, 0, 0, 0, 100, 20, 5, 128, 200, 40, 10, 255, 0, 0, 0, 255};
    static const uint8_t expected[] = {0, 100, 255, 100, 70, 132, 200, 40, 10, 0, 0, 0};
    struct tiff tiff = {8, 4, RGB, UNASSOCIATED, plain, sizeof plain};
    assert_pixels(&tiff, expected);
    tiff.extra = ASSOCIATED;
    tiff.pixels = multiplied;
    assert_pixels(&tiff, expected);
    tiff.extra = NO_EXTRA; /* written by programs that know of no other fourth sample */
    assert_pixels(&tiff, expected);
}

/* Near infrared, a mask, ...: the colours are seen as they are. */
static void other_samples_are_no_opacity(void **state)
{
    (void)state;
    static const uint8_t four[] = {200, 40, 10, 0, 1, 2, 3, 128, 4, 5, 6, 255, 255, 255, 255, 7};
    static const uint8_t five[] = {200, 40, 10, 0, 9, 1, 2, 3, 128, 9, 4, 5, 6, 7, 9, 255, 255, 255, 255, 9};
    static const uint8_t grey[] = {200, 0, 1, 128, 4, 255, 255, 7};
    static const uint8_t colours[] = {200, 40, 10, 1, 2, 3, 4, 5, 6, 255, 255, 255};
    static const uint8_t greys[] = {200, 200, 200, 1, 1, 1, 4, 4, 4, 255, 255, 255};
    assert_pixels(&(struct tiff){8, 4, RGB, UNSPECIFIED, four, sizeof four}, colours);
    assert_pixels(&(struct tiff){8, 5, RGB, UNSPECIFIED, five, sizeof five}, colours);
    assert_pixels(&(struct tiff){8, 2, GREY, UNSPECIFIED, grey, sizeof grey}, greys);
}

static void odd_bits_are_refused_with_a_remedy(void **state)
{
    (void)state;
    static const int bits[] = {12, 32};
    static const uint8_t pixels[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    for (size_t i = 0; i < AGN_COUNT_OF(bits); i++) {
        struct agn__image image = {.height = 42};
        struct tiff tiff = {bits[i], 1, GREY, NO_EXTRA, pixels, WIDTH * (size_t)bits[i] / 8};
        assert_int_equal(decode(&tiff, &image), AGN_ERR_FORMAT);
        assert_non_null(strstr(agn_error_message(), "-bit samples; convert it to PNG"));
        assert_int_equal(image.height, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grey_may_be_transparent),
        cmocka_unit_test(colours_may_be_transparent),
        cmocka_unit_test(other_samples_are_no_opacity),
        cmocka_unit_test(odd_bits_are_refused_with_a_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
