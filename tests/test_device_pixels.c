/* A device without layers: the image as it is, over the wire and back, and no answer of its own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agilenn/model_agn.h"

enum { CLASSES = 3 };

static void shapes(void **state)
{
    static const struct {
        unsigned rows, row_bytes;
        int status;
        struct agn_map_shape shape;
    } cases[] = {{28, 28, 0, {28, 1, 75}},              /* 224 bits */
                 {32, 96, 0, {32, 2, 128}},             /* 256 symbols are one too many for a run */
                 {96, 95, 0, {96, 1, 254}},             /* 760 bits */
                 {96, 288, 0, {96, 4, 192}},            /* 96x96 RGB: no bit is wasted */
                 {255, 1, 0, {255, 1, 3}},              /* 8 of 9 bits */
                 {8, 97, 0, {8, 97, 3}},                /* a prime number of bytes */
                 {256, 28, AGN_ERR_RANGE, {0, 0, 0}},   /* too many rows */
                 {28, 0, AGN_ERR_RANGE, {0, 0, 0}},     /* empty ones */
                 {28, 25000, AGN_ERR_RANGE, {0, 0, 0}}, /* 255 runs are not enough */
                 {28, 257, AGN_ERR_RANGE, {0, 0, 0}}};  /* prime */
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_map_shape shape = {0, 0, 0};
        assert_int_equal(agn_pixels_shape(cases[i].rows, cases[i].row_bytes, &shape), cases[i].status);
        assert_memory_equal(&shape, &cases[i].shape, sizeof shape);
    }
}

/* A run's packed symbols are its bytes, and a symbol that never came is no byte. */
static void runs_are_bytes(void **state)
{
    uint8_t symbols[75], bytes[28], packed[AGN_ROW_BYTES(75)];
    struct agn_rng rng;
    (void)state;
    agn_rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof symbols; i++)
        symbols[i] = (uint8_t)(i == 74 ? agn_rng_below(&rng, 4) : agn_rng_below(&rng, 8));
    agn_row_pack(symbols, 75, packed);
    assert_int_equal(agn_pixels_read(symbols, 75, bytes), 0);
    assert_memory_equal(bytes, packed, sizeof bytes);
    symbols[40] = 0xFF;
    assert_int_equal(agn_pixels_read(symbols, 75, bytes), AGN_ERR_NOT_FOUND);
}

struct device {
    struct agn_dev dev;
    uint8_t *file, *arena;
    size_t file_bytes;
    int height, row_bytes;
};

static void open_device(struct device *d, int height, int width, int channels, enum agn_codec codec)
{
    const struct agn_model_agn model = {.model_id = 0x1234,
                                        .input_h = height,
                                        .input_w = width,
                                        .input_c = channels,
                                        .classes = CLASSES,
                                        .codec = codec};
    struct agn_dev_model opened;
    assert_int_equal(agn_model_agn_write(&model, &d->file, &d->file_bytes), 0);
    assert_int_equal(agn_dev_model_open(&opened, d->file, d->file_bytes), 0);
    size_t arena = agn_dev_arena_bytes(&opened);
    d->arena = agn_alloc(arena, 1);
    d->height = height;
    d->row_bytes = width * channels;
    assert_int_equal(agn_dev_init(&d->dev, d->file, d->file_bytes, d->arena, arena), 0);
}

static void close_device(struct device *d)
{
    agn_free(d->file);
    agn_free(d->arena);
}

/* The image, from the packets of a frame. */
static void receive(struct device *d, size_t cap, uint8_t *image)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET], *map, *at;
    struct agn_map_shape shape;
    assert_int_equal(agn_pixels_shape((unsigned)d->height, (uint32_t)d->row_bytes, &shape), 0);
    size_t symbols = (size_t)shape.channels * shape.height * shape.width;
    at = map = agn_alloc(symbols, 1);
    memset(map, 0xFF, symbols);
    int length;
    while ((length = agn_dev_next_packet(&d->dev, packet, cap)) > 0) {
        struct agn_feature_packet read;
        assert_int_equal(agn_feature_unpack(packet, (size_t)length, &read), 0);
        assert_int_equal(agn_feature_decode(&read, &shape, NULL, map), 0);
    }
    assert_int_equal(length, 0);
    int run = d->row_bytes / shape.height;
    for (int i = 0; i < d->height * shape.height; i++, at += shape.width, image += run) {
        uint8_t bytes[128] = {0};
        assert_int_equal(agn_pixels_read(at, shape.width, bytes), 0);
        memcpy(image, bytes, (size_t)run);
    }
    agn_free(map);
}

static void images_arrive_as_they_are(void **state)
{
    static const struct {
        int height, width, channels;
        enum agn_codec codec;
        size_t cap;
    } cases[] = {{28, 28, 1, AGN_CODEC_RAW3, AGN_WIRE_MAX_PACKET},
                 {28, 28, 1, AGN_CODEC_LZW, AGN_WIRE_MAX_PACKET},
                 {28, 28, 1, AGN_CODEC_RAW3, 120},
                 {32, 32, 3, AGN_CODEC_RAW3, AGN_WIRE_MAX_PACKET},
                 {9, 7, 4, AGN_CODEC_LZW, 60},
                 {96, 96, 3, AGN_CODEC_RAW3, AGN_WIRE_MAX_PACKET}};
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct device d;
        open_device(&d, cases[i].height, cases[i].width, cases[i].channels, cases[i].codec);
        size_t bytes = (size_t)d.height * (size_t)d.row_bytes;
        uint8_t *image = agn_alloc(bytes, 1), *back = agn_alloc(bytes, 1);
        struct agn_rng rng;
        agn_rng_seed(&rng, i);
        for (int frame = 0; frame < 2; frame++) { /* nothing of a frame stays for the next one */
            for (size_t b = 0; b < bytes; b++)
                image[b] = (uint8_t)(agn_rng_below(&rng, 4) > 0 ? 7 : agn_rng_below(&rng, 256));
            assert_int_equal(agn_dev_frame_begin(&d.dev, (uint16_t)frame, 0), 0);
            assert_int_equal(agn_dev_push_rows(&d.dev, image, (unsigned)d.height), 0);
            receive(&d, cases[i].cap, back);
            assert_memory_equal(image, back, bytes);
        }
        agn_free(image);
        agn_free(back);
        close_device(&d);
    }
}

static void the_server_alone_answers(void **state)
{
    static const uint8_t image[28 * 28];
    const int16_t logits[CLASSES] = {-300, 700, 20};
    const struct agn_reply_packet ok = {
        .model_id = 0x1234, .frame = 5, .status = AGN_REPLY_OK, .class_count = CLASSES};
    uint8_t packet[AGN_WIRE_MAX_PACKET], reply[AGN_REPLY_BYTES(CLASSES)];
    struct agn_dev_prediction prediction;
    struct device d;
    (void)state;
    open_device(&d, 28, 28, 1, AGN_CODEC_RAW3);
    agn_dev_frame_begin(&d.dev, 5, 0);
    assert_int_equal(agn_dev_push_rows(&d.dev, image, 28), 0);
    for (int c = 0; c < CLASSES; c++)
        assert_int_equal(agn_dev_local(&d.dev)[c], 0);
    assert_int_equal(agn_dev_is_sure(&d.dev), 0);
    assert_true(agn_dev_next_packet(&d.dev, packet, sizeof packet) > 0);
    int length = agn_reply_pack(&ok, logits, reply, sizeof reply);
    assert_int_equal(agn_dev_accept_reply(&d.dev, reply, (size_t)length), 0);
    assert_int_equal(agn_dev_predict(&d.dev, &prediction), 0);
    assert_int_equal(prediction.class_index, 1);
    assert_memory_equal(prediction.logits, logits, sizeof logits);

    agn_dev_frame_begin(&d.dev, 6, 0); /* nobody answers */
    assert_int_equal(agn_dev_push_rows(&d.dev, image, 28), 0);
    assert_true(agn_dev_next_packet(&d.dev, packet, sizeof packet) > 0);
    assert_int_equal(agn_dev_predict(&d.dev, &prediction), AGN_ERR_TIMEOUT);
    assert_int_equal(prediction.class_index, AGN_DEV_NO_CLASS);
    assert_int_equal(prediction.fused, 0);
    close_device(&d);
}

/* Rows, runs and symbols must be the image's, and there are no layers, Local NN or contexts. */
static void odd_headers_are_refused(void **state)
{
    static const uint8_t fields[] = {16, 18, 22, 24, 26, 28, 30, 36};
    struct agn_dev_model model;
    struct device d;
    (void)state;
    open_device(&d, 28, 28, 1, AGN_CODEC_RAW3);
    for (size_t i = 0; i < sizeof fields; i++) {
        uint8_t *field = d.file + fields[i], kept = *field;
        *field = (uint8_t)(fields[i] == 36 ? AGN_CODEC_RANGE : kept + 4);
        uint32_t crc = agn_crc32(0, d.file, d.file_bytes - 4);
        for (int b = 0; b < 4; b++)
            d.file[d.file_bytes - 4 + (size_t)b] = (uint8_t)(crc >> 8 * b);
        assert_int_equal(agn_dev_model_open(&model, d.file, d.file_bytes), AGN_ERR_RANGE);
        *field = kept;
    }
    close_device(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(runs_are_bytes),
                                       cmocka_unit_test(images_arrive_as_they_are),
                                       cmocka_unit_test(the_server_alone_answers),
                                       cmocka_unit_test(odd_headers_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
