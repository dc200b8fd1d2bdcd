/* WebP, GIF, TIFF and BMP: one known picture in many files that Pillow has made (tests/fixtures/images), and
 * the same files damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sets/image.h"

enum { HEIGHT = 18, WIDTH = 20, PIXELS = HEIGHT * WIDTH };

enum opacity { OPAQUE, HALF, CUT }; /* columns 0 to 3 transparent in the latter two, 4 to 7 half so in HALF */

static const struct {
    const char *name;
    enum opacity opacity;
    int tolerance;
} files[] = {
    {"lossless.webp", OPAQUE, 0},  {"lossy.webp", OPAQUE, 30},  {"alpha.webp", HALF, 0},
    {"animated.webp", OPAQUE, 0},  {"exif.webp", OPAQUE, 0},    {"plain.gif", OPAQUE, 0},
    {"interlaced.gif", OPAQUE, 0}, {"transparent.gif", CUT, 0}, {"animated.gif", OPAQUE, 0},
    {"plain.tif", OPAQUE, 0},      {"lzw.tif", OPAQUE, 0},      {"deflate.tif", OPAQUE, 0},
    {"jpeg.tif", OPAQUE, 30},      {"alpha.tif", HALF, 1},      {"palette.tif", OPAQUE, 0},
    {"pages.tif", OPAQUE, 0},      {"turned.tif", OPAQUE, 0},   {"plain.bmp", OPAQUE, 0},
    {"palette.bmp", OPAQUE, 0},    {"alpha.bmp", HALF, 0},      {"from-top.bmp", OPAQUE, 0},
};

static const uint8_t ground[3] = {10, 200, 90};

static uint8_t *read_fixture(const char *name, size_t *size)
{
    char path[1024];
    const char *root = getenv("AGN_SOURCE_DIR");
    uint8_t *data = NULL;
    (void)snprintf(path, sizeof path, "%s/tests/fixtures/images/%s", root ? root : ".", name);
    if (agn_file_read(path, 1 << 20, &data, size) != AGN_OK)
        fail_msg("%s (AGN_SOURCE_DIR names the project's folder)", agn_error_message());
    return data;
}

/* From memory of exactly the given size, so that a sanitizer sees any read beyond. */
static int decode(const uint8_t *data, size_t size, int channels, struct agn__image *image)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, data, size);
    struct agn__image_file file = {.data = copy, .size_bytes = size, .name = "picture", .channels = channels};
    memcpy(file.ground, ground, sizeof ground);
    int status = agn__image_decode(&file, image);
    free(copy);
    return status;
}

static void expected_colour(int x, int y, enum opacity opacity, uint8_t rgb[3])
{
    const int colour[3] = {7 + 24 * (x / 2), 20 + 25 * (y / 2), 255 - 12 * (x / 2) - 10 * (y / 2)};
    int alpha = opacity == OPAQUE || x >= 8 ? 255 : x < 4 ? 0 : opacity == HALF ? 128 : 255;
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)((colour[c] * alpha + ground[c] * (255 - alpha) + 127) / 255);
}

static void the_picture_is_in_all_of_them(void **state)
{
    (void)state;
    for (size_t f = 0; f < AGN_COUNT_OF(files); f++) {
        size_t size;
        uint8_t *data = read_fixture(files[f].name, &size);
        for (int channels = 1; channels <= 3; channels += 2) {
            struct agn__image image = {0};
            if (decode(data, size, channels, &image) != AGN_OK)
                fail_msg("%s: %s", files[f].name, agn_error_message());
            assert_int_equal(image.height, HEIGHT);
            assert_int_equal(image.width, WIDTH);
            assert_int_equal(image.channels, channels);
            for (int i = 0; i < PIXELS; i++) {
                uint8_t rgb[3];
                expected_colour(i % WIDTH, i / WIDTH, files[f].opacity, rgb);
                uint8_t grey = agn__luminance(rgb);
                for (int c = 0; c < channels; c++) {
                    int got = image.pixels[i * channels + c], wanted = channels == 1 ? grey : rgb[c];
                    if (abs(got - wanted) > files[f].tolerance)
                        fail_msg("%s, %d channels, row %d, column %d, channel %d: %d, expected %d",
                                 files[f].name, channels, i / WIDTH, i % WIDTH, c, got, wanted);
                }
            }
            agn_free(image.pixels);
        }
        agn_free(data);
    }
}

/* Refused, or, where only what follows the first picture is missing, the whole picture. */
static void truncations_lose_nothing_in_silence(void **state)
{
    (void)state;
    for (size_t f = 0; f < AGN_COUNT_OF(files); f++) {
        size_t size;
        int used = 0;
        struct agn__image whole = {0};
        uint8_t *data = read_fixture(files[f].name, &size);
        assert_int_equal(decode(data, size, 3, &whole), AGN_OK);
        for (size_t length = 0; length < size; length++) {
            struct agn__image image = {.height = 42};
            if (decode(data, length, 3, &image) == AGN_OK) {
                used++;
                if (image.height != HEIGHT || image.width != WIDTH ||
                    memcmp(image.pixels, whole.pixels, (size_t)PIXELS * 3) != 0)
                    fail_msg("%s: %zu of %zu bytes give another picture", files[f].name, length, size);
                agn_free(image.pixels);
            } else if (image.height != 42 || !strstr(agn_error_message(), "picture: ")) {
                fail_msg("%s: %zu of %zu bytes: '%s'", files[f].name, length, size, agn_error_message());
            }
        }
        if (used >= (int)size * 3 / 5) /* the second half of pages.tif is another page */
            fail_msg("%s: %d of %zu truncations are taken", files[f].name, used, size);
        agn_free(whole.pixels);
        agn_free(data);
    }
}

/* A changed byte is refused or gives some picture of bounded size; never worse. */
static void changed_bytes_are_safe(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 17);
    for (size_t f = 0; f < AGN_COUNT_OF(files); f++) {
        size_t size;
        uint8_t *data = read_fixture(files[f].name, &size);
        for (int round = 0; round < 400; round++) {
            size_t at = agn_rng_below(&rng, (uint32_t)(round % 2 && size > 64 ? 64 : size));
            uint8_t kept = data[at];
            data[at] ^= (uint8_t)(1u << agn_rng_below(&rng, 8));
            struct agn__image image;
            if (decode(data, size, 1, &image) == AGN_OK) {
                assert_true((size_t)image.height * (size_t)image.width <= AGN__IMAGE_MAX_PIXELS);
                agn_free(image.pixels);
            }
            data[at] = kept;
        }
        agn_free(data);
    }
}

static void assert_refused(const uint8_t *data, size_t size, int status, const char *message)
{
    struct agn__image image;
    int got = decode(data, size, 3, &image);
    if (got != status || !strstr(agn_error_message(), message))
        fail_msg("%d, '%s'; expected %d, '%s'", got, agn_error_message(), status, message);
}

/* Headers that announce huge images are refused before any memory follows from them. */
static void bombs_are_refused(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data = read_fixture("plain.gif", &size);
    memcpy(data + 6, "\xff\xff\xff\xff", 4);
    assert_refused(data, size, AGN_ERR_RANGE, "65535 x 65535 pixels");
    agn_free(data);
    data = read_fixture("plain.bmp", &size);
    memcpy(data + 18, "\x00\x40\x00\x00\x00\x40\x00\x00", 8);
    assert_refused(data, size, AGN_ERR_RANGE, "16384 x 16384 pixels");
    memcpy(data + 18, "\x00\x10\x00\x00\x00\x10\x00\x00", 8);
    assert_refused(data, size, AGN_ERR_FORMAT, "truncated BMP");
    agn_free(data);
    data = read_fixture("alpha.webp", &size); /* VP8X: a canvas of 2^24 by 2^24 */
    if (memcmp(data + 12, "VP8X", 4) == 0) {
        memset(data + 24, 0xff, 6);
        struct agn__image image;
        assert_true(decode(data, size, 3, &image) < 0);
    }
    agn_free(data);
    data = read_fixture("plain.tif", &size);
    static const uint8_t tag[4] = {0x00, 0x01, 0x04, 0x00}; /* ImageWidth, LONG */
    static const uint8_t short_tag[4] = {0x00, 0x01, 0x03, 0x00};
    size_t at = 0;
    while (memcmp(data + at, tag, 4) != 0 && memcmp(data + at, short_tag, 4) != 0)
        assert_true(++at + 12 < size);
    memcpy(data + at + 2, "\x04\x00\x01\x00\x00\x00\x00\x00\x01\x00", 10);
    assert_refused(data, size, AGN_ERR_RANGE, "65536 x 18 pixels");
    agn_free(data);
}

static void what_is_not_read_is_named(void **state)
{
    (void)state;
    size_t size;
    assert_refused((const uint8_t *)"GIF89a\x01\0\x01\0\0\0\0;", 14, AGN_ERR_FORMAT, "it has no picture");
    uint8_t *data = read_fixture("palette.bmp", &size);
    data[30] = 1;
    assert_refused(data, size, AGN_ERR_FORMAT, "a compressed BMP");
    data[30] = 0;
    data[size - 1] = 200;
    assert_refused(data, size, AGN_ERR_FORMAT, "colour 200 of a table of 90");
    agn_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_picture_is_in_all_of_them),
        cmocka_unit_test(truncations_lose_nothing_in_silence),
        cmocka_unit_test(changed_bytes_are_safe),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(what_is_not_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
