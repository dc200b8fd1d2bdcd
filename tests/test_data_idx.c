/* The idx reader: good files, plain and gzipped, and every way they can be damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "agilenn/sets.h"
#include "temp_folder.h"

enum {
    COUNT = 12,
    HEIGHT = 3,
    WIDTH = 4,
    IMAGE = HEIGHT * WIDTH,
    IMAGES_BYTES = 16 + COUNT * IMAGE,
    LABELS_BYTES = 8 + COUNT
};

static uint8_t images_file[IMAGES_BYTES], labels_file[LABELS_BYTES];

static void put_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Fresh, good content: image i is filled with 10 i + position, label i % 4. */
static int make_content(void **state)
{
    put_u32(images_file, 0x803);
    put_u32(images_file + 4, COUNT);
    put_u32(images_file + 8, HEIGHT);
    put_u32(images_file + 12, WIDTH);
    put_u32(labels_file, 0x801);
    put_u32(labels_file + 4, COUNT);
    for (int i = 0; i < COUNT; i++) {
        labels_file[8 + i] = (uint8_t)(i % 4);
        for (int p = 0; p < IMAGE; p++)
            images_file[16 + i * IMAGE + p] = (uint8_t)(10 * i + p);
    }
    return temp_folder_setup(state);
}

static const char *gzip_file(const char *name, const void *data, unsigned size)
{
    const char *path = temp_file(name, "", 0);
    gzFile stream = gzopen(path, "wb");
    assert_non_null(stream);
    if (size > 0)
        assert_int_equal(gzwrite(stream, data, size), (int)size);
    assert_int_equal(gzclose(stream), Z_OK);
    return path;
}

static void write_set(const char *folder, size_t images_bytes, size_t labels_bytes)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s/train-images-idx3-ubyte", folder);
    (void)temp_file(name, images_file, images_bytes);
    (void)snprintf(name, sizeof name, "%s/train-labels-idx1-ubyte", folder);
    (void)temp_file(name, labels_file, labels_bytes);
}

static int open_set(const char *folder, int limit, struct agn_dataset **dataset)
{
    struct agn_dataset_source source = {.format = "idx",
                                        .path = temp_path("%s", folder),
                                        .split = "train",
                                        .height = HEIGHT,
                                        .width = WIDTH,
                                        .channels = 1,
                                        .limit = limit};
    return agn_dataset_open(&source, dataset);
}

static void assert_refused(const char *folder, int status, const char *message)
{
    struct agn_dataset *dataset = NULL;
    int got = open_set(folder, 0, &dataset);
    if (got != status || dataset || !strstr(agn_error_message(), message))
        fail_msg("%s: status %d, message '%s', expected %d, '%s'", folder, got, agn_error_message(), status,
                 message);
}

static void plain_files(void **state)
{
    (void)state;
    struct agn_dataset *dataset;
    write_set("set", IMAGES_BYTES, LABELS_BYTES);
    assert_int_equal(open_set("set", 0, &dataset), AGN_OK);
    assert_int_equal(dataset->count, COUNT);
    assert_int_equal(dataset->height, HEIGHT);
    assert_int_equal(dataset->width, WIDTH);
    assert_int_equal(dataset->channels, 1);
    assert_int_equal(dataset->classes, 4);
    assert_string_equal(dataset->class_names[0], "0");
    assert_string_equal(dataset->class_names[3], "3");
    assert_memory_equal(dataset->pixels, images_file + 16, COUNT * IMAGE);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(dataset->labels[i], i % 4);
    agn_dataset_free(dataset);
    agn_dataset_free(NULL);
}

static void gzipped_test_split_of_fashion(void **state)
{
    (void)state;
    (void)gzip_file("fashion-mnist/t10k-images-idx3-ubyte.gz", images_file, IMAGES_BYTES);
    (void)gzip_file("fashion-mnist/t10k-labels-idx1-ubyte.gz", labels_file, LABELS_BYTES);
    struct agn_dataset *dataset;
    struct agn_dataset_source source = {.format = "idx",
                                        .path = temp_path("fashion-mnist"),
                                        .split = "test",
                                        .height = HEIGHT,
                                        .width = WIDTH,
                                        .channels = 1,
                                        .limit = 0};
    assert_int_equal(agn_dataset_open(&source, &dataset), AGN_OK);
    assert_int_equal(dataset->count, COUNT);
    assert_string_equal(dataset->class_names[1], "Trouser");
    assert_memory_equal(dataset->pixels, images_file + 16, COUNT * IMAGE);
    agn_dataset_free(dataset);
    /* Its train split is not there. */
    assert_refused("fashion-mnist", AGN_ERR_NOT_FOUND, "apt-get install dataset-fashion-mnist");
}

static void limit_spreads_evenly(void **state)
{
    (void)state;
    struct agn_dataset *dataset;
    write_set("set", IMAGES_BYTES, LABELS_BYTES);
    static const int expected[5] = {0, 2, 4, 7, 9}; /* floor(i 12 / 5) */
    assert_int_equal(open_set("set", 5, &dataset), AGN_OK);
    assert_int_equal(dataset->count, 5);
    assert_int_equal(dataset->classes, 4); /* of the whole set */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(dataset->labels[i], expected[i] % 4);
        assert_memory_equal(dataset->pixels + i * IMAGE, images_file + 16 + expected[i] * IMAGE, IMAGE);
    }
    agn_dataset_free(dataset);
    assert_int_equal(open_set("set", 500, &dataset), AGN_OK);
    assert_int_equal(dataset->count, COUNT);
    agn_dataset_free(dataset);
}

static void every_truncation(void **state)
{
    (void)state;
    for (size_t size = 0; size < IMAGES_BYTES; size++) {
        write_set("images", size, LABELS_BYTES);
        char record[64];
        (void)snprintf(record, sizeof record, "ends within record %zu of 12",
                       size < 16 ? 0 : (size - 16) / IMAGE);
        assert_refused("images", AGN_ERR_FORMAT, size < 16 ? "the header alone has 16" : record);
    }
    for (size_t size = 0; size < LABELS_BYTES; size++) {
        write_set("labels", IMAGES_BYTES, size);
        char record[64];
        (void)snprintf(record, sizeof record, "ends at record %zu of 12", size < 8 ? 0 : size - 8);
        assert_refused("labels", AGN_ERR_FORMAT, size < 8 ? "the header alone has 8" : record);
    }
}

static void every_truncation_of_gzip(void **state)
{
    (void)state;
    const char *path = gzip_file("gz/train-images-idx3-ubyte.gz", images_file, IMAGES_BYTES);
    (void)gzip_file("gz/train-labels-idx1-ubyte.gz", labels_file, LABELS_BYTES);
    uint8_t *data;
    size_t size;
    assert_int_equal(agn_file_read(path, 1 << 20, &data, &size), AGN_OK);
    struct agn_dataset *dataset = NULL;
    for (size_t length = 0; length < size; length++) {
        (void)temp_file("gz/train-images-idx3-ubyte.gz", data, length);
        if (open_set("gz", 0, &dataset) != AGN_ERR_FORMAT)
            fail_msg("%zu of %zu bytes were accepted", length, size);
    }
    /* A wrong checksum: the content is whole, only the sum over it differs. */
    data[size - 6] ^= 1;
    (void)temp_file("gz/train-images-idx3-ubyte.gz", data, size);
    assert_refused("gz", AGN_ERR_FORMAT, "damaged gzip data");
    agn_free(data);
}

static void every_changed_gzip_byte_is_safe(void **state)
{
    (void)state;
    const char *path = gzip_file("gz/train-images-idx3-ubyte.gz", images_file, IMAGES_BYTES);
    (void)gzip_file("gz/train-labels-idx1-ubyte.gz", labels_file, LABELS_BYTES);
    uint8_t *data;
    size_t size;
    assert_int_equal(agn_file_read(path, 1 << 20, &data, &size), AGN_OK);
    for (size_t at = 0; at < size; at++) {
        data[at] ^= 0x55;
        (void)temp_file("gz/train-images-idx3-ubyte.gz", data, size);
        struct agn_dataset *dataset = NULL;
        int status = open_set("gz", 0, &dataset);
        if (status == AGN_OK) /* bytes of the gzip header that carry no content */
            assert_memory_equal(dataset->pixels, images_file + 16, COUNT * IMAGE);
        agn_dataset_free(dataset);
        data[at] ^= 0x55;
    }
    agn_free(data);
}

/* The same content in values of other types. */
static void write_typed(uint8_t type, size_t each, int first_pixel, int first_label)
{
    static uint8_t images[16 + 4 * COUNT * IMAGE], labels[8 + 4 * COUNT];
    memcpy(images, images_file, 16);
    memcpy(labels, labels_file, 8);
    images[2] = labels[2] = type;
    for (int i = 0; i < COUNT * IMAGE; i++) {
        int value = i == 0 ? first_pixel : images_file[16 + i];
        for (size_t b = 0; b < each; b++)
            images[16 + (size_t)i * each + b] = (uint8_t)((unsigned)value >> 8 * (each - 1 - b));
    }
    for (int i = 0; i < COUNT; i++) {
        int value = i == 0 ? first_label : labels_file[8 + i];
        for (size_t b = 0; b < each; b++)
            labels[8 + (size_t)i * each + b] = (uint8_t)((unsigned)value >> 8 * (each - 1 - b));
    }
    (void)temp_file("typed/train-images-idx3-ubyte", images, 16 + each * COUNT * IMAGE);
    (void)temp_file("typed/train-labels-idx1-ubyte", labels, 8 + each * COUNT);
}

static void integers_of_other_types(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        size_t each;
    } types[] = {{0x08, 1}, {0x09, 1}, {0x0B, 2}, {0x0C, 4}};
    struct agn_dataset *dataset;
    for (int i = 0; i < COUNT * IMAGE; i++)
        images_file[16 + i] = (uint8_t)(i % 128); /* fits in all types */
    for (size_t t = 0; t < AGN_COUNT_OF(types); t++) {
        write_typed(types[t].type, types[t].each, 0, 0);
        assert_int_equal(open_set("typed", 0, &dataset), AGN_OK);
        assert_int_equal(dataset->classes, 4);
        assert_memory_equal(dataset->pixels, images_file + 16, COUNT * IMAGE);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(dataset->labels[i], i % 4);
        agn_dataset_free(dataset);
        if (types[t].type == 0x08)
            continue;
        write_typed(types[t].type, types[t].each, -1, 0);
        assert_refused("typed", AGN_ERR_FORMAT, "record 0 has a pixel of -1, expected 0 to 255");
        write_typed(types[t].type, types[t].each, 0, -2);
        assert_refused("typed", AGN_ERR_FORMAT, "record 0 has label -2, expected 0 to 65534");
    }
    write_typed(0x0B, 2, 256, 300);
    assert_refused("typed", AGN_ERR_FORMAT, "record 0 has a pixel of 256");
    write_typed(0x0B, 2, 255, 300); /* more than a byte holds */
    assert_int_equal(open_set("typed", 0, &dataset), AGN_OK);
    assert_int_equal(dataset->labels[0], 300);
    assert_int_equal(dataset->classes, 301);
    assert_int_equal(dataset->pixels[0], 255);
    agn_dataset_free(dataset);
    write_typed(0x0C, 4, 0, 65535);
    assert_refused("typed", AGN_ERR_FORMAT, "record 0 has label 65535");
    write_typed(0x0D, 4, 0, 0);
    assert_refused("typed", AGN_ERR_UNSUPPORTED, "holds floats (0x00000d01)");
    write_typed(0x0A, 1, 0, 0);
    assert_refused("typed", AGN_ERR_FORMAT, "starts with 0x00000a01");
}

static void wrong_headers(void **state)
{
    (void)state;
    struct {
        uint8_t *field;
        uint32_t value;
        int status;
        const char *message;
    } cases[] = {
        {images_file, 0x801, AGN_ERR_FORMAT, "starts with 0x00000801"},
        {labels_file, 0x803, AGN_ERR_FORMAT, "starts with 0x00000803"},
        {images_file + 4, COUNT - 1, AGN_ERR_FORMAT, "11 images, but its label file has 12"},
        {images_file + 4, 0xffffffff, AGN_ERR_FORMAT, "4294967295 images"},
        {images_file + 8, 5, AGN_ERR_MISMATCH, "images are 5x4 with 1 channel, but 3x4 with 1"},
        {images_file + 12, 0xffffffff, AGN_ERR_MISMATCH, "3x4294967295"},
        {labels_file + 4, 0, AGN_ERR_FORMAT, "announces 0 labels"},
        {labels_file + 4, 0xffffffff, AGN_ERR_FORMAT, "announces 4294967295 labels"},
        {labels_file + 4, COUNT - 1, AGN_ERR_FORMAT, "more bytes follow the 11 records"},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        uint8_t kept[4];
        memcpy(kept, cases[i].field, 4);
        put_u32(cases[i].field, cases[i].value);
        write_set("set", IMAGES_BYTES, LABELS_BYTES);
        assert_refused("set", cases[i].status, cases[i].message);
        memcpy(cases[i].field, kept, 4);
    }
}

static void trailing_bytes(void **state)
{
    (void)state;
    uint8_t longer[IMAGES_BYTES + 1] = {0};
    memcpy(longer, images_file, IMAGES_BYTES);
    write_set("set", IMAGES_BYTES, LABELS_BYTES);
    (void)temp_file("set/train-images-idx3-ubyte", longer, sizeof longer);
    assert_refused("set", AGN_ERR_FORMAT, "more bytes follow the 12 records");
}

static void labels_out_of_range(void **state)
{
    (void)state;
    labels_file[8 + 7] = 10;
    write_set("fashion-mnist", IMAGES_BYTES, LABELS_BYTES);
    assert_refused("fashion-mnist", AGN_ERR_FORMAT, "record 7 has label 10");
}

static void missing_sets(void **state)
{
    (void)state;
    assert_refused("nowhere", AGN_ERR_NOT_FOUND, "--data DIR");
    assert_refused("nowhere/fashion-mnist", AGN_ERR_NOT_FOUND, "no Fashion-MNIST in");
}

static void wrong_requests(void **state)
{
    (void)state;
    const struct agn_dataset_source good = {.format = "idx",
                                            .path = temp_folder(),
                                            .split = "train",
                                            .height = HEIGHT,
                                            .width = WIDTH,
                                            .channels = 1,
                                            .limit = 0};
    struct agn_dataset_source bad[7];
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        bad[i] = good;
    bad[0].format = "zip";
    bad[1].split = "../train";
    bad[2].height = 0;
    bad[3].width = 5000;
    bad[4].channels = 5;
    bad[5].limit = -1;
    bad[6].path = NULL;
    struct agn_dataset *dataset;
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        assert_int_equal(agn_dataset_open(&bad[i], &dataset), AGN_ERR_ARG);

    /* Grey files where a colour network was configured. */
    write_set("set", IMAGES_BYTES, LABELS_BYTES);
    struct agn_dataset_source colour = {.format = "idx",
                                        .path = temp_path("set"),
                                        .split = "train",
                                        .height = HEIGHT,
                                        .width = WIDTH,
                                        .channels = 3,
                                        .limit = 0};
    assert_int_equal(agn_dataset_open(&colour, &dataset), AGN_ERR_MISMATCH);
    assert_non_null(strstr(agn_error_message(), "with 1 channel, but 3x4 with 3 channels were expected"));
}

static void statistics(void **state)
{
    (void)state;
    uint8_t pixels[] = {0, 255, 10, 255, 20, 255, 30, 255};
    struct agn_dataset dataset = {.count = 2, .height = 1, .width = 2, .channels = 2, .pixels = pixels};
    double mean[AGN_MAX_CHANNELS], std[AGN_MAX_CHANNELS];
    agn_dataset_statistics(&dataset, mean, std);
    assert_float_equal(mean[0], 15.0, 1e-9);
    assert_float_equal(std[0], 11.180339887, 1e-6);
    assert_float_equal(mean[1], 255.0, 1e-9);
    assert_float_equal(std[1], 0.0, 1e-9);
    assert_float_equal(mean[3], 0.0, 1e-9);
}

#define SET_TEST(function) cmocka_unit_test_setup_teardown(function, make_content, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SET_TEST(plain_files),
        SET_TEST(gzipped_test_split_of_fashion),
        SET_TEST(limit_spreads_evenly),
        SET_TEST(every_truncation),
        SET_TEST(every_truncation_of_gzip),
        SET_TEST(every_changed_gzip_byte_is_safe),
        SET_TEST(integers_of_other_types),
        SET_TEST(wrong_headers),
        SET_TEST(trailing_bytes),
        SET_TEST(labels_out_of_range),
        SET_TEST(missing_sets),
        SET_TEST(wrong_requests),
        cmocka_unit_test(statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
