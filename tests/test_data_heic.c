/* HEIC and AVIF: pictures that libheif's own encoders make here, and the same files changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libheif/heif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sets/heic_stream.h"
#include "sets/orientation.h"

enum { HEIGHT = 64, WIDTH = 80, TOLERANCE = 12 };

static const uint8_t ground[3] = {10, 200, 90};

/* What is to be made, and how. */
struct making {
    int height, width, bits; /* 64, 80, 8 where 0 */
    bool alpha, multiplied, grey, av1, exif;
    int orientation;
};

struct bytes {
    uint8_t *data;
    size_t size;
};

/* Five blocks, so that each turn looks different; the left half is transparent to some degree. */
static void colour_at(const struct making *making, int x, int y, uint8_t rgba[4])
{
    static const uint8_t blocks[4][3] = {{200, 40, 30}, {40, 180, 60}, {50, 60, 210}, {240, 230, 220}};
    bool right = x >= WIDTH / 2, low = y >= HEIGHT / 2;
    memcpy(rgba, blocks[2 * low + right], 3);
    if (x < 8 && y < 8)
        memset(rgba, 20, 3);
    if (making->grey)
        memset(rgba, agn__luminance(rgba), 3);
    rgba[3] = making->alpha && !right ? 128 : 255;
    for (int c = 0; making->multiplied && c < 3; c++)
        rgba[c] = (uint8_t)(rgba[c] * rgba[3] / 255);
}

static struct heif_error append(struct heif_context *context, const void *data, size_t size, void *user)
{
    struct bytes *bytes = user;
    (void)context;
    bytes->data = realloc(bytes->data, bytes->size + size);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return (struct heif_error){heif_error_Ok, heif_suberror_Unspecified, "made"};
}

static void require(struct heif_error error)
{
    if (error.code != heif_error_Ok)
        fail_msg("libheif: %s", error.message);
}

static struct heif_image *draw(const struct making *making, int height, int width)
{
    struct heif_image *picture;
    int stride, channels = making->grey ? 1 : making->alpha ? 4 : 3, bits = making->bits ? making->bits : 8;
    enum heif_channel plane = making->grey ? heif_channel_Y : heif_channel_interleaved;
    enum heif_chroma chroma = making->grey    ? heif_chroma_monochrome
                              : bits > 8      ? heif_chroma_interleaved_RRGGBB_LE
                              : making->alpha ? heif_chroma_interleaved_RGBA
                                              : heif_chroma_interleaved_RGB;
    require(heif_image_create(width, height, making->grey ? heif_colorspace_monochrome : heif_colorspace_RGB,
                              chroma, &picture));
    require(heif_image_add_plane(picture, plane, width, height, bits));
    uint8_t *pixels = heif_image_get_plane(picture, plane, &stride);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t rgba[4];
            colour_at(making, x, y, rgba);
            for (int c = 0; c < channels; c++) {
                uint16_t value = (uint16_t)(rgba[c] * ((1 << bits) - 1) / 255);
                int at = x * channels + c;
                if (bits > 8)
                    memcpy(pixels + y * stride + 2 * at, &value, 2);
                else
                    pixels[y * stride + at] = (uint8_t)value;
            }
        }
    }
    heif_image_set_premultiplied_alpha(picture, making->multiplied);
    return picture;
}

/* NULL where there is no encoder. */
static struct bytes make(struct making making)
{
    static const uint8_t exif[] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0";
    struct bytes file = {0};
    struct heif_context *context = heif_context_alloc();
    struct heif_encoder *encoder = NULL;
    struct heif_image_handle *handle = NULL;
    struct heif_writer writer = {1, append};
    if (heif_context_get_encoder_for_format(
            context, making.av1 ? heif_compression_AV1 : heif_compression_HEVC, &encoder)
            .code != heif_error_Ok) {
        heif_context_free(context);
        return file;
    }
    struct heif_image *picture =
        draw(&making, making.height ? making.height : HEIGHT, making.width ? making.width : WIDTH);
    struct heif_encoding_options *options = heif_encoding_options_alloc();
    if (making.orientation)
        options->image_orientation = (enum heif_orientation)making.orientation;
    require(heif_encoder_set_lossy_quality(encoder, 95));
    if (!making.av1 && !making.grey)
        require(heif_encoder_set_parameter_string(encoder, "chroma", "444"));
    require(heif_context_encode_image(context, picture, encoder, options, &handle));
    if (making.exif)
        require(heif_context_add_exif_metadata(context, handle, exif, sizeof exif - 1));
    require(heif_context_write(context, &writer, &file));
    heif_encoding_options_free(options);
    heif_image_handle_release(handle);
    heif_image_release(picture);
    heif_encoder_release(encoder);
    heif_context_free(context);
    return file;
}

/* From memory of exactly the given size, so that a sanitizer sees any read beyond. */
static int decode(const struct bytes *bytes, size_t size, int channels, struct agn__image *image)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes->data, size);
    struct agn__image_file file = {.data = copy, .size_bytes = size, .name = "picture", .channels = channels};
    memcpy(file.ground, ground, sizeof ground);
    int status = agn__image_decode(&file, image);
    free(copy);
    return status;
}

/* The picture as it must come out: composed, turned, grey if one channel is asked for. */
static struct agn__image expect(const struct making *making, int channels)
{
    struct agn__image image = {making->height ? making->height : HEIGHT,
                               making->width ? making->width : WIDTH, channels, NULL};
    image.pixels = agn_alloc((size_t)image.height * (size_t)image.width, (size_t)channels);
    for (int i = 0; i < image.height * image.width; i++) {
        uint8_t rgba[4];
        colour_at(making, i % image.width, i / image.width, rgba);
        for (int c = 0; c < 3; c++)
            rgba[c] =
                (uint8_t)((rgba[c] * (making->multiplied ? 255 : rgba[3]) + ground[c] * (255 - rgba[3])) /
                          255);
        if (channels == 1)
            image.pixels[i] = agn__luminance(rgba);
        else
            memcpy(image.pixels + 3 * i, rgba, 3);
    }
    assert_int_equal(agn__orientation_apply(&image, making->orientation), AGN_OK);
    return image;
}

/* Edges of blocks may be blurred; hardly any pixel else may differ. */
static void assert_reads_as_made(const char *what, struct making making)
{
    struct bytes file = make(making);
    if (!file.data) {
        print_message("skipped, no encoder: %s\n", what);
        return;
    }
    for (int channels = 1; channels <= 3; channels += 2) {
        struct agn__image image = {0}, wanted = expect(&making, channels);
        if (decode(&file, file.size, channels, &image) != AGN_OK)
            fail_msg("%s: %s", what, agn_error_message());
        assert_int_equal(image.height, wanted.height);
        assert_int_equal(image.width, wanted.width);
        assert_int_equal(image.channels, channels);
        int count = image.height * image.width * channels, wrong = 0;
        for (int i = 0; i < count; i++)
            wrong += abs(image.pixels[i] - wanted.pixels[i]) > TOLERANCE;
        if (wrong > count / 50)
            fail_msg("%s, %d channels: %d of %d values differ", what, channels, wrong, count);
        agn_free(image.pixels);
        agn_free(wanted.pixels);
    }
    free(file.data);
}

static void pictures_are_read_as_made(void **state)
{
    (void)state;
    assert_reads_as_made("plain", (struct making){.bits = 8});
    assert_reads_as_made("odd size", (struct making){.height = 33, .width = 47});
    assert_reads_as_made("opacity", (struct making){.alpha = true});
    assert_reads_as_made("multiplied opacity", (struct making){.alpha = true, .multiplied = true});
    assert_reads_as_made("10 bits", (struct making){.bits = 10});
    assert_reads_as_made("10 bits, turned", (struct making){.bits = 10, .orientation = 6});
    assert_reads_as_made("grey", (struct making){.grey = true});
    assert_reads_as_made("grey, 10 bits", (struct making){.grey = true, .bits = 10});
    assert_reads_as_made("grey tile", (struct making){.grey = true, .height = 33, .width = 47});
    assert_reads_as_made("AVIF", (struct making){.av1 = true});
    assert_reads_as_made("AVIF, opacity", (struct making){.av1 = true, .alpha = true});
}

/* Once, by the file's own properties, and not again by EXIF, which says 6 in all of them. */
static void pictures_are_turned_once(void **state)
{
    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++) {
        char what[32];
        (void)snprintf(what, sizeof what, "orientation %d", orientation);
        assert_reads_as_made(what, (struct making){.orientation = orientation});
        (void)snprintf(what, sizeof what, "orientation %d, EXIF 6", orientation);
        assert_reads_as_made(what, (struct making){.orientation = orientation, .exif = true});
    }
}

static struct bytes make_or_skip(struct making making)
{
    struct bytes file = make(making);
    if (!file.data) {
        print_message("skipped: this libheif has no encoder\n");
        skip();
    }
    return file;
}

static void truncations_are_refused(void **state)
{
    (void)state;
    static const struct making makings[] = {{.exif = true}, {.height = 33, .width = 47}, {.alpha = true}};
    for (size_t m = 0; m < AGN_COUNT_OF(makings); m++) {
        struct bytes file = make_or_skip(makings[m]);
        for (size_t size = 0; size < file.size; size++) {
            struct agn__image image = {.height = 42};
            int status = decode(&file, size, 3, &image);
            if (status != AGN_ERR_FORMAT || image.height != 42 || !strstr(agn_error_message(), "picture: ") ||
                strchr(agn_error_message(), '\n'))
                fail_msg("%zu of %zu bytes: %d, '%s'", size, file.size, status, agn_error_message());
        }
        free(file.data);
    }
}

static void changed_bytes_are_safe(void **state)
{
    (void)state;
    static const struct making makings[] = {
        {.alpha = true, .orientation = 5}, {.height = 33, .width = 47}, {.av1 = true}};
    struct agn_rng rng;
    agn_rng_seed(&rng, 29);
    for (size_t m = 0; m < AGN_COUNT_OF(makings); m++) {
        struct bytes file = make(makings[m]);
        for (int round = 0; file.data && round < 500; round++) {
            size_t at = agn_rng_below(&rng, (uint32_t)file.size);
            uint8_t kept = file.data[at];
            file.data[at] ^= (uint8_t)(1u << agn_rng_below(&rng, 8));
            struct agn__image image;
            if (decode(&file, file.size, 1, &image) == AGN_OK) {
                assert_true((size_t)image.height * (size_t)image.width <= AGN__IMAGE_MAX_PIXELS);
                agn_free(image.pixels);
            }
            file.data[at] = kept;
        }
        free(file.data);
    }
}

static void assert_refused(const struct bytes *file, int status, const char *message)
{
    struct agn__image image;
    int got = decode(file, file->size, 3, &image);
    if (got != status || !strstr(agn_error_message(), message))
        fail_msg("%d, '%s'; expected %d, '%s'", got, agn_error_message(), status, message);
}

/* The place of the `nth` (0, ...) four letters. */
static uint8_t *find(const struct bytes *file, const char letters[4], int nth)
{
    for (size_t at = 0; at + 4 <= file->size; at++)
        if (memcmp(file->data + at, letters, 4) == 0 && nth-- == 0)
            return file->data + at;
    fail_msg("no %s in the file", letters);
    return NULL;
}

static void sizes_are_checked_first(void **state)
{
    (void)state;
    struct bytes file = make_or_skip((struct making){0});
    uint8_t *size = find(&file, "ispe", 0) + 8;
    memcpy(size, "\0\0\x75\x30\0\0\x75\x30", 8);
    assert_refused(&file, AGN_ERR_RANGE, "picture: 30000 x 30000 pixels");
    memcpy(size, "\0\x01\x86\xa0\0\0\0\x10", 8);
    assert_refused(&file, AGN_ERR_RANGE, "picture: ");
    free(file.data);

    file = make_or_skip((struct making){.height = 33, .width = 47}); /* a grid of one tile */
    size = find(&file, "idat", 0) + 8;
    assert_memory_equal(size, "\0\x2f\0\x21", 4);
    memcpy(size, "\xea\x60\xea\x60", 4);
    assert_refused(&file, AGN_ERR_RANGE, "picture: 60000 x 60000 pixels");
    free(file.data);
}

struct bit_writer {
    uint8_t bytes[128];
    int count;
};

static void put(struct bit_writer *writer, unsigned value, int bits)
{
    for (int i = bits - 1; i >= 0; i--, writer->count++)
        writer->bytes[writer->count / 8] |= (uint8_t)((value >> i & 1) << (7 - writer->count % 8));
}

static void put_unsigned(struct bit_writer *writer, unsigned value)
{
    int bits = 0;
    while ((value + 1) >> bits > 1)
        bits++;
    put(writer, 0, bits);
    put(writer, value + 1, bits + 1);
}

/* HEVC, NAL units behind their lengths: a sequence of the given size and a picture. */
static int check_sps(unsigned width, unsigned height, unsigned layers)
{
    struct agn__image_file file = {.name = "picture"};
    struct bit_writer writer = {{0}, 32};
    put(&writer, 0x4201, 16);
    put(&writer, 0, 4);
    put(&writer, layers, 3);
    put(&writer, 1, 1);
    for (int i = 0; i < 8; i++)
        put(&writer, 0xff, 12); /* no zeros, thus nothing to escape */
    if (layers > 0)
        put(&writer, 0xffff, 16);
    for (unsigned i = 0; i < layers; i++)
        for (int part = 0; part < 8; part++)
            put(&writer, 0xff, 12);
    put_unsigned(&writer, 0);
    put_unsigned(&writer, 3);
    put(&writer, 0, 1);
    put_unsigned(&writer, width);
    put_unsigned(&writer, height);
    put(&writer, 0xff, 8);
    uint8_t size = (uint8_t)((writer.count + 7) / 8);
    writer.bytes[3] = (uint8_t)(size - 4);
    memcpy(writer.bytes + size, "\0\0\0\x03\x26\x01\x80", 7); /* a picture */
    size = (uint8_t)(size + 7);
    return agn__heic_check_hevc(&file, (struct agn__bytes){writer.bytes, size, false});
}

/* What the decoder would take memory for, whatever the file around it says. */
static void streams_are_checked_first(void **state)
{
    (void)state;
    struct agn__image_file file = {.name = "picture"};
    assert_int_equal(check_sps(8000, 8000, 0), AGN_OK);
    assert_int_equal(check_sps(65535, 900, 0), AGN_OK);
    assert_int_equal(check_sps(30000, 20000, 0), AGN_ERR_RANGE);
    assert_non_null(strstr(agn_error_message(), "picture: 30000 x 20000 pixels"));
    assert_int_equal(check_sps(30000, 20000, 2), AGN_ERR_RANGE);
    assert_non_null(strstr(agn_error_message(), "picture: 30000 x 20000 pixels"));
    assert_int_equal(check_sps(70000, 16, 0), AGN_ERR_RANGE);
    assert_int_equal(check_sps(0, 16, 0), AGN_ERR_FORMAT);
    static uint8_t two[] = {0, 0, 0, 3, 0x26, 1, 0x80, 0, 0, 0, 3, 0x26, 1, 0x80};
    assert_int_equal(agn__heic_check_hevc(&file, (struct agn__bytes){two, 7, false}), AGN_OK);
    assert_int_equal(agn__heic_check_hevc(&file, (struct agn__bytes){two, 14, false}), AGN_ERR_FORMAT);
    assert_int_equal(agn__heic_check_hevc(&file, (struct agn__bytes){two, 6, false}), AGN_ERR_FORMAT);
    assert_int_equal(agn__heic_check_hevc(&file, (struct agn__bytes){two, 0, false}), AGN_ERR_FORMAT);
    assert_int_equal(agn__heic_check_av1(&file, (struct agn__bytes){two, 0, false}), AGN_ERR_FORMAT);

    struct bit_writer obu = {.count = 16}; /* AV1, a still picture */
    memcpy(obu.bytes, "\x0a\x0a", 2);
    put(&obu, 1, 4);
    put(&obu, 1, 1);
    put(&obu, 0, 5);
    put(&obu, 0xff, 8);
    put(&obu, 29999, 16);
    put(&obu, 19999, 16);
    assert_int_equal(agn__heic_check_av1(&file, (struct agn__bytes){obu.bytes, 12, false}), AGN_ERR_RANGE);
    assert_non_null(strstr(agn_error_message(), "picture: 30000 x 20000 pixels"));
    assert_int_equal(agn__heic_check_av1(&file, (struct agn__bytes){obu.bytes, 11, false}), AGN_ERR_FORMAT);
}

static void what_is_not_read_is_named(void **state)
{
    (void)state;
    struct bytes film = {(uint8_t *)"\0\0\0\x18"
                                    "ftypisom\0\0\0\0isommp42",
                         24};
    assert_refused(&film, AGN_ERR_FORMAT, "picture: a film");
    struct bytes file = make_or_skip((struct making){.height = 33, .width = 47});
    memcpy(find(&file, "grid", 0), "iovl", 4);
    assert_refused(&file, AGN_ERR_FORMAT, "pictures laid over each other");
    memcpy(find(&file, "iovl", 0), "iden", 4);
    uint8_t *reference = find(&file, "dimg", 0) + 4; /* u16 from, count, to */
    memcpy(reference + 4, reference, 2);
    assert_refused(&file, AGN_ERR_FORMAT, "a picture is made of what is none");
    free(file.data);
    file = make_or_skip((struct making){0});
    memcpy(find(&file, "hvc1", 0), "vvc1", 4); /* H.266 */
    assert_refused(&file, AGN_ERR_FORMAT, "this libheif");
    free(file.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_read_as_made), cmocka_unit_test(pictures_are_turned_once),
        cmocka_unit_test(truncations_are_refused),   cmocka_unit_test(changed_bytes_are_safe),
        cmocka_unit_test(sizes_are_checked_first),   cmocka_unit_test(streams_are_checked_first),
        cmocka_unit_test(what_is_not_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
