/* JPEG and PNG decoding and resizing: known pictures, damaged files, bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "sets/image.h"
#include "sets/orientation.h"
#include "test_images.h"

enum { HEIGHT = 13, WIDTH = 17, PIXELS = HEIGHT * WIDTH };

static const enum test_image_kind kinds[] = {TEST_JPEG, TEST_JPEG_PROGRESSIVE, TEST_PNG};

static char warning[AGN__IMAGE_WARNING_BYTES]; /* of the last image */
static uint8_t ground[3] = {255, 255, 255};

/* Decodes from memory of exactly the given size, so that a sanitizer sees any read beyond. */
static int decode(const uint8_t *data, size_t size, int channels, struct agn__image *image)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, data, size);
    struct agn__image_file file = {.data = copy, .size_bytes = size, .name = "picture", .channels = channels};
    memcpy(file.ground, ground, sizeof ground);
    int status = agn__image_decode(&file, image);
    memcpy(warning, file.warning, sizeof warning);
    free(copy);
    return status;
}

static int luminance(const uint8_t *rgb)
{
    return (299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000;
}

static void assert_close(int got, int expected, int tolerance)
{
    if (abs(got - expected) > tolerance)
        fail_msg("%d is not within %d of %d", got, tolerance, expected);
}

/* All four ways between grey and colour files and pixels. */
static void known_pictures(void **state)
{
    (void)state;
    for (size_t k = 0; k < AGN_COUNT_OF(kinds); k++) {
        int tolerance = kinds[k] == TEST_PNG ? 1 : 6;
        for (int stored = 1; stored <= 3; stored += 2) {
            uint8_t pixels[PIXELS * 3];
            size_t size;
            test_image_fill(pixels, HEIGHT, WIDTH, stored, 1);
            uint8_t *data = test_image_make(kinds[k], pixels, HEIGHT, WIDTH, stored, &size);
            for (int wanted = 1; wanted <= 3; wanted += 2) {
                struct agn__image image;
                assert_int_equal(decode(data, size, wanted, &image), AGN_OK);
                assert_int_equal(image.height, HEIGHT);
                assert_int_equal(image.width, WIDTH);
                assert_int_equal(image.channels, wanted);
                for (int p = 0; p < PIXELS; p++) {
                    const uint8_t *from = pixels + p * stored;
                    for (int c = 0; c < wanted; c++)
                        assert_close(image.pixels[p * wanted + c],
                                     stored == 1   ? from[0]
                                     : wanted == 1 ? luminance(from)
                                                   : from[c],
                                     tolerance);
                }
                agn_free(image.pixels);
            }
            free(data);
        }
    }
}

static void transparent_pixels_are_over_white(void **state)
{
    (void)state;
    static const uint8_t colour[12] = {200, 100, 50, 255, 200, 100, 50, 0, 0, 255, 100, 51};
    static const uint8_t grey[6] = {10, 255, 10, 0, 0, 204};
    size_t size;
    uint8_t *data = test_image_make(TEST_PNG_ALPHA, colour, 1, 3, 4, &size);
    struct agn__image image;
    assert_int_equal(decode(data, size, 3, &image), AGN_OK);
    assert_memory_equal(image.pixels, ((uint8_t[]){200, 100, 50, 255, 255, 255, 204, 255, 224}), 9);
    agn_free(image.pixels);
    free(data);
    data = test_image_make(TEST_PNG_ALPHA, grey, 3, 1, 2, &size);
    assert_int_equal(decode(data, size, 1, &image), AGN_OK);
    assert_memory_equal(image.pixels, ((uint8_t[]){10, 255, 51}), 3);
    agn_free(image.pixels);
    assert_int_equal(decode(data, size, 3, &image), AGN_OK);
    assert_memory_equal(image.pixels, ((uint8_t[]){10, 10, 10, 255, 255, 255, 51, 51, 51}), 9);
    agn_free(image.pixels);
    free(data);
}

static void other_grounds_show_through(void **state)
{
    (void)state;
    static const uint8_t colour[12] = {200, 100, 50, 255, 200, 100, 50, 0, 0, 255, 100, 51};
    static const uint8_t grey[4] = {9, 255, 9, 0};
    static const uint8_t blue[3] = {0, 20, 250};
    size_t size;
    struct agn__image image;
    memcpy(ground, blue, 3);
    uint8_t *data = test_image_make(TEST_PNG_ALPHA, colour, 1, 3, 4, &size);
    assert_int_equal(decode(data, size, 3, &image), AGN_OK);
    assert_memory_equal(image.pixels, ((uint8_t[]){200, 100, 50, 0, 20, 250, 0, 67, 220}), 9);
    agn_free(image.pixels);
    free(data);
    data = test_image_make(TEST_PNG_ALPHA, grey, 1, 2, 2, &size);
    assert_int_equal(decode(data, size, 3, &image), AGN_OK);
    assert_memory_equal(image.pixels, ((uint8_t[]){9, 9, 9, 0, 20, 250}), 6);
    agn_free(image.pixels);
    assert_int_equal(decode(data, size, 1, &image), AGN_OK);
    assert_memory_equal(image.pixels, ((uint8_t[]){9, (uint8_t)luminance(blue)}), 2);
    agn_free(image.pixels);
    free(data);
    memset(ground, 255, sizeof ground);
}

/* ---- PNG by hand ---- */

static size_t put_chunk(uint8_t *png, size_t at, const char *letters, const void *data, size_t length)
{
    for (int i = 0; i < 4; i++)
        png[at + (size_t)i] = (uint8_t)(length >> (24 - 8 * i));
    memcpy(png + at + 4, letters, 4);
    memcpy(png + at + 8, data, length);
    uint32_t sum = (uint32_t)crc32(0, png + at + 4, (uInt)length + 4);
    for (int i = 0; i < 4; i++)
        png[at + 8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
    return at + 12 + length;
}

struct hand_png {
    uint8_t type, bits;
    const char *extra[3]; /* chunks before the pixels: letters, then data */
    size_t extra_bytes[3];
    const uint8_t *rows; /* filter bytes included */
    size_t row_bytes;
};

/* Two rows of four pixels. */
static size_t make_hand_png(const struct hand_png *hand, uint8_t png[1024])
{
    uint8_t header[13] = {0, 0, 0, 4, 0, 0, 0, 2, hand->bits, hand->type, 0, 0, 0}, packed[256];
    uLongf packed_bytes = sizeof packed;
    assert_int_equal(compress(packed, &packed_bytes, hand->rows, (uLong)hand->row_bytes), Z_OK);
    memcpy(png, "\x89PNG\r\n\x1a\n", 8);
    size_t at = put_chunk(png, 8, "IHDR", header, sizeof header);
    for (int i = 0; i < 3 && hand->extra[i]; i++)
        at = put_chunk(png, at, hand->extra[i], hand->extra[i] + 4, hand->extra_bytes[i]);
    at = put_chunk(png, at, "IDAT", packed, packed_bytes);
    return put_chunk(png, at, "IEND", packed, 0);
}

/* Two bits a pixel: four colours, of which one is transparent and one half so. */
static void palettes_may_be_transparent(void **state)
{
    (void)state;
    static const uint8_t rows[4] = {0, 0x1b, 0, 0xe4}; /* 0 1 2 3 / 3 2 1 0 */
    const struct hand_png hand = {
        3, 2, {"PLTE\x0a\x14\x1e\xc8\x00\x00\x00\x64\x00\x01\x02\x03", "tRNS\xff\x00\x80"}, {12, 3}, rows, 4};
    static const uint8_t expected[12] = {10, 20, 30, 255, 255, 255, 127, 177, 127, 1, 2, 3};
    uint8_t png[1024];
    struct agn__image image;
    size_t size = make_hand_png(&hand, png);
    assert_int_equal(decode(png, size, 3, &image), AGN_OK);
    for (int i = 0; i < 4; i++) {
        assert_memory_equal(image.pixels + 3 * i, expected + 3 * i, 3);
        assert_memory_equal(image.pixels + 12 + 3 * i, expected + 9 - 3 * i, 3);
    }
    agn_free(image.pixels);
    assert_int_equal(decode(png, size, 1, &image), AGN_OK);
    for (int i = 0; i < 4; i++)
        assert_close(image.pixels[i], luminance(expected + 3 * i), 1);
    agn_free(image.pixels);
}

/* Neither a gamma of 1 nor a profile changes a value. */
static void gamma_is_ignored(void **state)
{
    (void)state;
    static const uint8_t grey[10] = {0, 0, 50, 100, 250, 0, 7, 77, 177, 255};
    static const uint8_t deep[18] = {0, 0, 0, 50, 50, 100, 100, 250, 250,
                                     0, 7, 7, 77, 77, 177, 177, 255, 255};
    const struct hand_png files[2] = {{0, 8, {"gAMA\x00\x01\x86\xa0", "cHRM made up"}, {4, 8}, grey, 10},
                                      {0, 16, {"gAMA\x00\x01\x86\xa0", "sRGB\x00"}, {4, 1}, deep, 18}};
    for (size_t k = 0; k < AGN_COUNT_OF(files); k++) {
        uint8_t png[1024];
        struct agn__image image;
        size_t size = make_hand_png(&files[k], png);
        for (int wanted = 1; wanted <= 3; wanted += 2) {
            assert_int_equal(decode(png, size, wanted, &image), AGN_OK);
            for (int i = 0; i < 8; i++)
                for (int c = 0; c < wanted; c++)
                    assert_int_equal(image.pixels[i * wanted + c], grey[i + 1 + i / 4]);
            agn_free(image.pixels);
        }
    }
}

/* A white drawing is lost on white, and that is said; a black one is not, and an empty one is no drawing. */
static void drawings_lost_on_white_are_mentioned(void **state)
{
    (void)state;
    static const struct {
        uint8_t pixels[6];
        bool said;
    } cases[] = {
        {{255, 0, 255, 255, 255, 80}, true}, {{0, 0, 0, 255, 0, 0}, false}, {{9, 0, 200, 0, 70, 0}, false}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        size_t size;
        struct agn__image image;
        uint8_t *data = test_image_make(TEST_PNG_ALPHA, cases[i].pixels, 1, 3, 2, &size);
        assert_int_equal(decode(data, size, 3, &image), AGN_OK);
        assert_int_equal(strstr(warning, "picture: ") != NULL, cases[i].said);
        agn_free(image.pixels);
        free(data);
    }
}

/* ---- orientation ---- */

enum { EXIF_BYTES = 26 };

/* A TIFF header and a directory of one entry: orientation, as a SHORT. */
static void make_exif(uint8_t exif[EXIF_BYTES], bool little_endian, int orientation)
{
    static const uint8_t little[EXIF_BYTES] = {'I',  'I',  '*', 0, 8, 0, 0, 0, 1, 0,
                                               0x12, 0x01, 3,   0, 1, 0, 0, 0, 0, 0};
    static const uint8_t big[EXIF_BYTES] = {'M',  'M',  0, '*', 0, 0, 0, 8, 0, 1,
                                            0x01, 0x12, 0, 3,   0, 0, 0, 1, 0, 0};
    memcpy(exif, little_endian ? little : big, EXIF_BYTES);
    exif[little_endian ? 18 : 19] = (uint8_t)orientation;
}

/* `data` with a piece put in at a place; frees data. */
static uint8_t *insert(uint8_t *data, size_t *size, size_t at, const uint8_t *piece, size_t length)
{
    uint8_t *longer = malloc(*size + length);
    memcpy(longer, data, at);
    memcpy(longer + at, piece, length);
    memcpy(longer + at + length, data + at, *size - at);
    free(data);
    *size += length;
    return longer;
}

/* The file with an EXIF block: an APP1 segment after SOI, or a chunk after IHDR. */
static uint8_t *add_exif(enum test_image_kind kind, uint8_t *data, size_t *size,
                         const uint8_t exif[EXIF_BYTES])
{
    uint8_t piece[64] = {0};
    if (kind != TEST_PNG) {
        memcpy(piece,
               "\xff\xe1\x00\x22"
               "Exif\0\0",
               10);
        memcpy(piece + 10, exif, EXIF_BYTES);
        return insert(data, size, 2, piece, 10 + EXIF_BYTES);
    }
    piece[3] = EXIF_BYTES;
    memcpy(piece + 4, "eXIf", 4);
    memcpy(piece + 8, exif, EXIF_BYTES);
    uint32_t sum = (uint32_t)crc32(0, piece + 4, 4 + EXIF_BYTES);
    for (int i = 0; i < 4; i++)
        piece[8 + EXIF_BYTES + i] = (uint8_t)(sum >> (24 - 8 * i));
    return insert(data, size, 33, piece, 12 + EXIF_BYTES);
}

/* A picture of 3 rows and 2 columns, A B / C D / E F, as each orientation shows it. */
static void orientations_turn_as_viewers_do(void **state)
{
    (void)state;
    static const char *const shown[9] = {"",       "ABCDEF", "BADCFE", "FEDCBA", "EFCDAB",
                                         "ACEBDF", "ECAFDB", "FDBECA", "BDFACE"};
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct agn__image image = {3, 2, 1, agn_alloc(6, 1)};
        memcpy(image.pixels, "ABCDEF", 6);
        assert_int_equal(agn__orientation_apply(&image, orientation), AGN_OK);
        assert_int_equal(image.height, orientation < 5 ? 3 : 2);
        assert_int_equal(image.width, orientation < 5 ? 2 : 3);
        assert_memory_equal(image.pixels, shown[orientation], 6);
        agn_free(image.pixels);
    }
}

static void files_are_turned_by_their_exif(void **state)
{
    (void)state;
    uint8_t pixels[PIXELS * 3], exif[EXIF_BYTES];
    test_image_fill(pixels, HEIGHT, WIDTH, 3, 1);
    for (size_t k = 0; k < AGN_COUNT_OF(kinds); k++) {
        for (int orientation = 0; orientation <= 9; orientation++) {
            for (int wanted = 1; wanted <= 3; wanted += 2) {
                size_t size;
                struct agn__image expected, image;
                uint8_t *data = test_image_make(kinds[k], pixels, HEIGHT, WIDTH, 3, &size);
                assert_int_equal(decode(data, size, wanted, &expected), AGN_OK);
                assert_int_equal(agn__orientation_apply(&expected, orientation), AGN_OK);
                make_exif(exif, orientation % 2 == (int)(k % 2), orientation);
                data = add_exif(kinds[k], data, &size, exif);
                assert_int_equal(decode(data, size, wanted, &image), AGN_OK);
                assert_int_equal(image.height, expected.height);
                assert_int_equal(image.width, expected.width);
                assert_memory_equal(image.pixels, expected.pixels, (size_t)(PIXELS * wanted));
                agn_free(image.pixels);
                agn_free(expected.pixels);
                free(data);
            }
        }
    }
}

/* Cut or changed anywhere, a block gives some orientation, and nothing beyond it is read. */
static void lying_exif_is_ignored(void **state)
{
    (void)state;
    uint8_t exif[EXIF_BYTES];
    for (int little = 0; little <= 1; little++) {
        make_exif(exif, little, 6);
        assert_int_equal(agn__orientation_read(exif, EXIF_BYTES), 6);
        for (size_t length = 0; length < 22; length++) {
            uint8_t *cut = malloc(length ? length : 1); /* a sanitizer sees any read beyond */
            memcpy(cut, exif, length);
            assert_int_equal(agn__orientation_read(cut, length), AGN__UPRIGHT);
            free(cut);
        }
        for (int at = 0; at < 18; at++) {
            for (int value = 0; value < 256; value++) {
                uint8_t kept = exif[at];
                exif[at] = (uint8_t)value;
                int got = agn__orientation_read(exif, EXIF_BYTES);
                assert_in_range(got, 1, 8);
                exif[at] = kept;
            }
        }
        memset(exif + 4, 0xff, 4);
        assert_int_equal(agn__orientation_read(exif, EXIF_BYTES), AGN__UPRIGHT);
    }
}

/* ---- damage ---- */

/* But for the two bytes of JPEG's end marker: without them every pixel is there. */
static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < AGN_COUNT_OF(kinds); k++) {
        uint8_t pixels[PIXELS * 3];
        size_t size;
        test_image_fill(pixels, HEIGHT, WIDTH, 3, 2);
        uint8_t *data = test_image_make(kinds[k], pixels, HEIGHT, WIDTH, 3, &size);
        for (size_t length = 0; length < size; length++) {
            struct agn__image image = {.height = 42};
            int status = decode(data, length, 3, &image);
            if (status == AGN_OK && kinds[k] != TEST_PNG && length >= size - 2) {
                struct agn__image whole;
                assert_int_equal(decode(data, size, 3, &whole), AGN_OK);
                assert_memory_equal(image.pixels, whole.pixels, (size_t)PIXELS * 3);
                agn_free(whole.pixels);
                agn_free(image.pixels);
                continue;
            }
            if (status != AGN_ERR_FORMAT || image.height != 42 || !strstr(agn_error_message(), "picture: "))
                fail_msg("kind %zu, %zu of %zu bytes: status %d, '%s'", k, length, size, status,
                         agn_error_message());
        }
        free(data);
    }
}

/* Junk before the end marker, or no end marker: that is said, and the pixels are the same. */
static void harmless_damage_is_only_mentioned(void **state)
{
    (void)state;
    static const uint8_t junk[] = "made up\x01\x02 after the last row";
    for (size_t k = 0; k < 2; k++) {
        for (int cut = 0; cut <= 1; cut++) {
            uint8_t pixels[PIXELS * 3];
            size_t size;
            struct agn__image whole, image;
            test_image_fill(pixels, HEIGHT, WIDTH, 3, 4);
            uint8_t *data = test_image_make(kinds[k], pixels, HEIGHT, WIDTH, 3, &size);
            assert_int_equal(decode(data, size, 3, &whole), AGN_OK);
            assert_string_equal(warning, "");
            if (cut)
                size -= 2;
            else
                data = insert(data, &size, size - 2, junk, sizeof junk);
            assert_int_equal(decode(data, size, 3, &image), AGN_OK);
            assert_non_null(strstr(warning, "picture: "));
            assert_memory_equal(image.pixels, whole.pixels, (size_t)PIXELS * 3);
            agn_free(image.pixels);
            agn_free(whole.pixels);
            free(data);
        }
    }
}

/* 16 x 16 pixels of the inks 10, 60, 200 and key 20, inverted as Adobe does. */
static void four_inks_become_colours(void **state)
{
    (void)state;
    static const uint8_t inks[4] = {245, 195, 55, 235}, rgb[3] = {226, 180, 51};
    uint8_t pixels[16 * 16 * 4];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = inks[i % 4];
    for (int marker = 0; marker <= 1; marker++) {
        for (int wanted = 1; wanted <= 3; wanted += 2) {
            size_t size;
            struct agn__image image;
            uint8_t *data = test_image_make(TEST_JPEG, pixels, 16, 16, 4, &size);
            size_t at = 0;
            while (!(data[at] == 0xff && data[at + 1] == 0xee)) /* APP14, Adobe's */
                assert_true(++at + 16 < size);
            if (!marker) {
                memmove(data + at, data + at + 16, size - at - 16);
                size -= 16;
            }
            assert_int_equal(decode(data, size, wanted, &image), AGN_OK);
            for (int p = 0; p < 16 * 16; p++)
                for (int c = 0; c < wanted; c++)
                    assert_close(image.pixels[p * wanted + c], wanted == 1 ? luminance(rgb) : rgb[c], 4);
            agn_free(image.pixels);
            free(data);
        }
    }
}

/* Adobe's marker with a number that nobody knows is taken for YCCK (2). */
static void an_unknown_transform_is_only_mentioned(void **state)
{
    (void)state;
    enum { TRANSFORM = 15 }; /* its place in the marker */
    size_t size, at = 0;
    struct agn__image known, unknown;
    uint8_t pixels[16 * 16 * 4];
    test_image_fill(pixels, 16, 16, 4, 2);
    uint8_t *data = test_image_make(TEST_JPEG, pixels, 16, 16, 4, &size);
    while (!(data[at] == 0xff && data[at + 1] == 0xee))
        assert_true(++at + 16 < size);
    data[at + TRANSFORM] = 2;
    assert_int_equal(decode(data, size, 3, &known), AGN_OK);
    assert_string_equal(warning, "");
    data[at + TRANSFORM] = 7;
    assert_int_equal(decode(data, size, 3, &unknown), AGN_OK);
    assert_non_null(strstr(warning, "code 7"));
    assert_memory_equal(unknown.pixels, known.pixels, 16 * 16 * 3);
    agn_free(known.pixels);
    agn_free(unknown.pixels);
    free(data);
}

/* 12000 x 8000 grey pixels come at half of that; the left half is darker. */
static void huge_jpegs_come_smaller(void **state)
{
    (void)state;
    enum { TALL = 8000, WIDE = 12000 };
    size_t size;
    struct agn__image image;
    uint8_t *pixels = agn_alloc(TALL, WIDE);
    for (size_t y = 0; y < TALL; y++) {
        memset(pixels + y * WIDE, 40, WIDE / 2);
        memset(pixels + y * WIDE + WIDE / 2, 220, WIDE / 2);
    }
    uint8_t *data = test_image_make(TEST_JPEG, pixels, TALL, WIDE, 1, &size);
    agn_free(pixels);
    assert_int_equal(decode(data, size, 1, &image), AGN_OK);
    assert_int_equal(image.height, TALL / 2);
    assert_int_equal(image.width, WIDE / 2);
    assert_close(image.pixels[100], 40, 2);
    assert_close(image.pixels[WIDE / 2 - 100], 220, 2);
    agn_free(image.pixels);
    free(data);
}

/* A changed byte is refused or decodes to some picture of bounded size; never worse. */
static void changed_bytes_are_safe(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 6);
    for (size_t k = 0; k < AGN_COUNT_OF(kinds); k++) {
        uint8_t pixels[PIXELS * 3];
        size_t size;
        int refused = 0;
        test_image_fill(pixels, HEIGHT, WIDTH, 3, 3);
        uint8_t *data = test_image_make(kinds[k], pixels, HEIGHT, WIDTH, 3, &size);
        for (int round = 0; round < 1500; round++) {
            size_t at = agn_rng_below(&rng, (uint32_t)size);
            uint8_t kept = data[at];
            data[at] ^= (uint8_t)(1u << agn_rng_below(&rng, 8));
            struct agn__image image;
            if (kinds[k] != TEST_PNG && at > 2 && data[at - 1] == 0xff && data[at] == 0xd9)
                data[at] = kept; /* an end marker in the middle is covered by the truncations */
            if (decode(data, size, 1, &image) == AGN_OK) {
                assert_true((size_t)image.height * (size_t)image.width <= AGN__IMAGE_MAX_PIXELS);
                agn_free(image.pixels);
            } else {
                refused++;
            }
            data[at] = kept;
        }
        assert_true(refused > (kinds[k] == TEST_PNG ? 1490 : 100));
        free(data);
    }
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct agn__image image;
    assert_int_equal(decode((const uint8_t *)"GIF90a", 6, 3, &image), AGN_ERR_FORMAT);
    assert_non_null(strstr(agn_error_message(),
                           "picture: no JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF or BMP image (6 bytes)"));
    assert_int_equal(decode((const uint8_t *)"\xff\xd8\xff", 3, 2, &image), AGN_ERR_ARG);
}

/* Headers that announce huge images are refused before any memory follows from them. */
static void bombs_are_refused(void **state)
{
    (void)state;
    uint8_t pixels[PIXELS * 3];
    size_t size;
    struct agn__image image;
    test_image_fill(pixels, HEIGHT, WIDTH, 3, 0);
    uint8_t *data = test_image_make(TEST_PNG, pixels, HEIGHT, WIDTH, 3, &size);
    /* IHDR: 8 signature, 4 length, 4 letters, then width and height, and a CRC after 13 bytes. */
    memcpy(data + 16, "\x00\x00\x30\x00\x00\x00\x30\x00", 8); /* 12288 x 12288 */
    uint32_t sum = (uint32_t)crc32(0, data + 12, 17);
    for (int i = 0; i < 4; i++)
        data[29 + i] = (uint8_t)(sum >> (24 - 8 * i));
    assert_int_equal(decode(data, size, 3, &image), AGN_ERR_RANGE);
    assert_non_null(strstr(agn_error_message(), "12288 x 12288 pixels"));
    free(data);

    data = test_image_make(TEST_JPEG, pixels, HEIGHT, WIDTH, 3, &size);
    size_t frame = 0;
    while (!(data[frame] == 0xff && data[frame + 1] == 0xc0))
        assert_true(++frame + 9 < size);
    memcpy(data + frame + 5, "\x80\x00\x80\x00", 4);                 /* 32768 x 32768 */
    assert_int_equal(decode(data, size, 3, &image), AGN_ERR_FORMAT); /* 4096 x 4096 of it, and no data */
    memcpy(data + frame + 5, "\xff\xdc\xff\xdc", 4);                 /* 65500 x 65500: too large at 1/8 */
    assert_int_equal(decode(data, size, 3, &image), AGN_ERR_RANGE);
    free(data);

    data = test_image_make(TEST_JPEG_PROGRESSIVE, pixels, HEIGHT, WIDTH, 3, &size);
    frame = 0;
    while (!(data[frame] == 0xff && data[frame + 1] == 0xc2))
        assert_true(++frame + 9 < size);
    memcpy(data + frame + 5, "\x30\x00\x30\x00", 4); /* 12288 x 12288, all of it to be held */
    assert_int_equal(decode(data, size, 3, &image), AGN_ERR_RANGE);
    free(data);

    assert_int_equal(agn__image_check_size("x", 1, 65535), AGN_OK);
    assert_int_equal(agn__image_check_size("x", 1, 65536), AGN_ERR_RANGE);
    assert_int_equal(agn__image_check_size("x", 8000, 8000), AGN_OK);
    assert_int_equal(agn__image_check_size("x", 8000, 8001), AGN_ERR_RANGE);
    assert_int_equal(agn__image_check_size("x", 0, 5), AGN_ERR_FORMAT);
}

/* ---- resizing ---- */

static void same_size_is_a_copy(void **state)
{
    (void)state;
    uint8_t pixels[PIXELS * 3], dst[PIXELS * 3];
    test_image_fill(pixels, HEIGHT, WIDTH, 3, 4);
    struct agn__image image = {HEIGHT, WIDTH, 3, pixels};
    assert_int_equal(agn__image_resize(&image, HEIGHT, WIDTH, dst), AGN_OK);
    assert_memory_equal(dst, pixels, sizeof dst);
}

static void flat_images_stay_flat(void **state)
{
    (void)state;
    uint8_t pixels[PIXELS], dst[40 * 40];
    memset(pixels, 255, sizeof pixels);
    struct agn__image image = {HEIGHT, WIDTH, 1, pixels};
    for (int height = 1; height <= 40; height += 3) {
        for (int width = 1; width <= 40; width += 3) {
            memset(dst, 0, sizeof dst);
            assert_int_equal(agn__image_resize(&image, height, width, dst), AGN_OK);
            for (int i = 0; i < height * width; i++)
                assert_int_equal(dst[i], 255);
        }
    }
}

static void known_scales(void **state)
{
    (void)state;
    /* Twice as wide: bilinear around half-pixel centres. */
    struct agn__image pair = {1, 2, 1, (uint8_t[]){0, 200}};
    uint8_t dst[8];
    assert_int_equal(agn__image_resize(&pair, 1, 4, dst), AGN_OK);
    assert_memory_equal(dst, ((uint8_t[]){0, 50, 150, 200}), 4);
    /* Half as wide: a triangle of reach 2, weights 1 3 3 1, cut at the border to 3 3 1. */
    struct agn__image four = {4, 1, 1, (uint8_t[]){0, 70, 140, 210}};
    assert_int_equal(agn__image_resize(&four, 2, 1, dst), AGN_OK);
    assert_int_equal(dst[0], 50);
    assert_int_equal(dst[1], 160);
    /* To one pixel, channels apart. */
    struct agn__image two = {1, 2, 3, (uint8_t[]){0, 10, 255, 100, 30, 255}};
    assert_int_equal(agn__image_resize(&two, 1, 1, dst), AGN_OK);
    assert_memory_equal(dst, ((uint8_t[]){50, 20, 255}), 3);
}

static void long_images_shrink(void **state)
{
    (void)state;
    enum { LENGTH = 65535 };
    uint8_t *pixels = agn_alloc(LENGTH, 1), dst;
    for (int i = 0; i < LENGTH; i++)
        pixels[i] = i % 2 ? 200 : 100;
    struct agn__image wide = {1, LENGTH, 1, pixels}, tall = {LENGTH, 1, 1, pixels};
    assert_int_equal(agn__image_resize(&wide, 1, 1, &dst), AGN_OK);
    assert_close(dst, 150, 1);
    assert_int_equal(agn__image_resize(&tall, 1, 1, &dst), AGN_OK);
    assert_close(dst, 150, 1);
    agn_free(pixels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_pictures),
        cmocka_unit_test(transparent_pixels_are_over_white),
        cmocka_unit_test(other_grounds_show_through),
        cmocka_unit_test(palettes_may_be_transparent),
        cmocka_unit_test(gamma_is_ignored),
        cmocka_unit_test(drawings_lost_on_white_are_mentioned),
        cmocka_unit_test(orientations_turn_as_viewers_do),
        cmocka_unit_test(files_are_turned_by_their_exif),
        cmocka_unit_test(lying_exif_is_ignored),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(harmless_damage_is_only_mentioned),
        cmocka_unit_test(four_inks_become_colours),
        cmocka_unit_test(an_unknown_transform_is_only_mentioned),
        cmocka_unit_test(huge_jpegs_come_smaller),
        cmocka_unit_test(changed_bytes_are_safe),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(same_size_is_a_copy),
        cmocka_unit_test(flat_images_stay_flat),
        cmocka_unit_test(known_scales),
        cmocka_unit_test(long_images_shrink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
