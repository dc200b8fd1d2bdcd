/* CIFAR-10 and CIFAR-100 in tiny files: good ones, partial sets, and every way they can be damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agilenn/sets.h"
#include "temp_folder.h"

enum { PIXELS = 3072, RECORD10 = 1 + PIXELS, RECORD100 = 2 + PIXELS, MAX_RECORDS = 12 };

static uint8_t records[MAX_RECORDS * RECORD100];

/* A colour that depends on image, plane and position. */
static uint8_t pixel(int image, int plane, int row, int column)
{
    return (uint8_t)(17 * image + 80 * plane + 5 * row + column);
}

static void fill_record(uint8_t *planes, int image)
{
    for (int plane = 0; plane < 3; plane++)
        for (int i = 0; i < 1024; i++)
            planes[plane * 1024 + i] = pixel(image, plane, i / 32, i % 32);
}

/* Image i of the split: label i % 10, or coarse i % 20 and fine 99 - i. */
static void make_records(int first, int count, int label_bytes)
{
    for (int i = 0; i < count; i++) {
        uint8_t *record = records + (size_t)i * (size_t)(label_bytes + PIXELS);
        record[0] = (uint8_t)((first + i) % (label_bytes == 1 ? 10 : 20));
        if (label_bytes == 2)
            record[1] = (uint8_t)(99 - first - i);
        fill_record(record + label_bytes, first + i);
    }
}

static const int batch_counts[5] = {3, 1, 2, 4, 1};
enum { TRAIN_COUNT = 11, TEST_COUNT = 5 };

static void write_cifar10(const char *folder)
{
    char name[64];
    for (int batch = 0, first = 0; batch < 5; first += batch_counts[batch++]) {
        make_records(first, batch_counts[batch], 1);
        (void)snprintf(name, sizeof name, "%s/data_batch_%d.bin", folder, batch + 1);
        (void)temp_file(name, records, (size_t)batch_counts[batch] * RECORD10);
    }
    make_records(100, TEST_COUNT, 1);
    (void)snprintf(name, sizeof name, "%s/test_batch.bin", folder);
    (void)temp_file(name, records, TEST_COUNT * RECORD10);
    static const char names[] = "airplane\nautomobile\nbird\n\n";
    (void)snprintf(name, sizeof name, "%s/batches.meta.txt", folder);
    (void)temp_file(name, names, sizeof names - 1);
}

static int open_set(const char *format, const char *split, int size, int channels, int limit,
                    struct agn_dataset **dataset)
{
    struct agn_dataset_source source = {.format = format,
                                        .path = temp_path("set"),
                                        .split = split,
                                        .height = size,
                                        .width = size,
                                        .channels = channels,
                                        .limit = limit};
    *dataset = NULL;
    return agn_dataset_open(&source, dataset);
}

static int inspect(const char *format, const char *split, struct agn_dataset_report *report)
{
    struct agn_dataset_source source = {.format = format, .path = temp_path("set"), .split = split};
    return agn_dataset_inspect(&source, report);
}

static void assert_refused(const char *format, const char *split, int status, const char *message)
{
    struct agn_dataset *dataset;
    int got = open_set(format, split, 32, 3, 0, &dataset);
    if (got != status || dataset || !strstr(agn_error_message(), message))
        fail_msg("status %d, '%s', expected %d, '%s'", got, agn_error_message(), status, message);
}

static void reads_all_batches(void **state)
{
    (void)state;
    struct agn_dataset *dataset;
    write_cifar10("set");
    assert_int_equal(open_set("cifar10", "train", 32, 3, 0, &dataset), AGN_OK);
    assert_int_equal(dataset->count, TRAIN_COUNT);
    assert_int_equal(dataset->classes, 10);
    assert_string_equal(dataset->class_names[1], "automobile");
    assert_string_equal(dataset->class_names[9], "9"); /* the file has too few names */
    const uint8_t *at = dataset->pixels;
    for (int i = 0; i < TRAIN_COUNT; i++) {
        assert_int_equal(dataset->labels[i], i % 10);
        for (int row = 0; row < 32; row++)
            for (int column = 0; column < 32; column++)
                for (int c = 0; c < 3; c++)
                    assert_int_equal(*at++, pixel(i, c, row, column));
    }
    agn_dataset_free(dataset);
    assert_string_equal(agn_dataset_detect(temp_path("set")), "cifar10");
}

static void limit_and_test_split(void **state)
{
    (void)state;
    struct agn_dataset *dataset;
    write_cifar10("set");
    assert_int_equal(open_set("cifar10", "train", 32, 3, 4, &dataset), AGN_OK);
    assert_int_equal(dataset->count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(dataset->labels[i], i * TRAIN_COUNT / 4 % 10);
        assert_int_equal(dataset->pixels[i * PIXELS], pixel(i * TRAIN_COUNT / 4, 0, 0, 0));
    }
    agn_dataset_free(dataset);
    assert_int_equal(open_set("cifar10", "test", 32, 3, 0, &dataset), AGN_OK);
    assert_int_equal(dataset->count, TEST_COUNT);
    assert_int_equal(dataset->pixels[1], pixel(100, 1, 0, 0));
    agn_dataset_free(dataset);
}

static void resizes_and_turns_grey(void **state)
{
    (void)state;
    struct agn_dataset *dataset;
    memset(records, 0, sizeof records);
    for (int i = 0; i < 2; i++) { /* flat images: 200, 100, 50 */
        uint8_t *record = records + i * RECORD10;
        memset(record + 1, 200, 1024);
        memset(record + 1 + 1024, 100, 1024);
        memset(record + 1 + 2048, 50, 1024);
    }
    (void)temp_file("set/test_batch.bin", records, 2 * RECORD10);
    assert_int_equal(open_set("cifar10", "test", 96, 3, 0, &dataset), AGN_OK);
    assert_int_equal(dataset->height, 96);
    for (int i = 0; i < 2 * 96 * 96; i++) {
        assert_int_equal(dataset->pixels[3 * i], 200);
        assert_int_equal(dataset->pixels[3 * i + 2], 50);
    }
    agn_dataset_free(dataset);
    assert_int_equal(open_set("cifar10", "test", 16, 1, 0, &dataset), AGN_OK);
    for (int i = 0; i < 2 * 16 * 16; i++)
        assert_int_equal(dataset->pixels[i], 124); /* 0.299 200 + 0.587 100 + 0.114 50 = 124.2 */
    agn_dataset_free(dataset);
    struct agn_dataset_source two = {.format = "cifar10",
                                     .path = temp_path("set"),
                                     .split = "test",
                                     .height = 32,
                                     .width = 32,
                                     .channels = 2,
                                     .limit = 0};
    assert_int_equal(agn_dataset_open(&two, &dataset), AGN_ERR_ARG);
}

static void cifar100_uses_fine_labels(void **state)
{
    (void)state;
    struct agn_dataset *dataset;
    char names[2000] = "";
    size_t used = 0;
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "fine%d\n", i);
    make_records(0, MAX_RECORDS, 2);
    (void)temp_file("set/cifar-100-binary/train.bin", records, MAX_RECORDS * RECORD100);
    (void)temp_file("set/cifar-100-binary/fine_label_names.txt", names, used);
    assert_int_equal(open_set("cifar100", "train", 32, 3, 0, &dataset), AGN_OK); /* one folder above */
    assert_int_equal(dataset->count, MAX_RECORDS);
    assert_int_equal(dataset->classes, 100);
    assert_string_equal(dataset->class_names[99], "fine99");
    for (int i = 0; i < MAX_RECORDS; i++) {
        assert_int_equal(dataset->labels[i], 99 - i);
        assert_int_equal(dataset->pixels[i * PIXELS + 2], pixel(i, 2, 0, 0));
    }
    agn_dataset_free(dataset);
    assert_string_equal(agn_dataset_detect(temp_path("set")), "cifar100");
    assert_refused("cifar100", "test", AGN_ERR_NOT_FOUND, "test.bin is missing");
}

static void damage_is_refused(void **state)
{
    (void)state;
    assert_refused("cifar10", "train", AGN_ERR_NOT_FOUND, "data_batch_1.bin is missing");
    write_cifar10("set");
    for (size_t size = 0; size < 2 * RECORD10; size += 311) {
        char expected[64];
        (void)temp_file("set/data_batch_2.bin", records, size);
        (void)snprintf(expected, sizeof expected, "data_batch_2.bin: record %zu has %zu bytes, expected 3073",
                       size / RECORD10, size % RECORD10);
        if (size % RECORD10 != 0 || size == 0)
            assert_refused("cifar10", "train", AGN_ERR_FORMAT, expected);
    }
    make_records(0, 3, 1);
    records[2 * RECORD10] = 10;
    (void)temp_file("set/data_batch_2.bin", records, 3 * RECORD10);
    assert_refused("cifar10", "train", AGN_ERR_FORMAT,
                   "data_batch_2.bin: record 2 has label 10, expected 0 to 9");
    make_records(0, 3, 2);
    records[1] = 100;
    (void)temp_file("set/train.bin", records, 3 * RECORD100);
    assert_refused("cifar100", "train", AGN_ERR_FORMAT, "record 0 has label 100, expected 0 to 99");
}

static void inspection_goes_on(void **state)
{
    (void)state;
    struct agn_dataset_report report;
    write_cifar10("set");
    make_records(3, 3, 1);
    records[RECORD10] = 77;
    (void)temp_file("set/data_batch_2.bin", records, 3 * RECORD10 - 1); /* a bad record and a partial one */
    assert_int_equal(remove(temp_path("set/data_batch_4.bin")), 0);
    assert_int_equal(inspect("cifar10", "train", &report), AGN_OK);
    assert_int_equal(report.count, 3 + 1 + 2 + 1);
    assert_int_equal(report.bad.count, 3);
    assert_non_null(strstr(report.bad.texts[0], "data_batch_2.bin: record 1 has label 77"));
    assert_non_null(strstr(report.bad.texts[1], "data_batch_2.bin: record 2 has 3072 bytes"));
    assert_non_null(strstr(report.bad.texts[2], "data_batch_4.bin is missing"));
    assert_int_equal(report.size_count, 1);
    assert_int_equal(report.sizes[0].count, 7);
    assert_int_equal(report.sizes[0].width, 32);
    assert_int_equal(report.class_counts[0], 2); /* images 0 and 10 */
    agn_dataset_report_free(&report);
}

static void inspection_agrees_with_opening(void **state)
{
    (void)state;
    struct agn_dataset_report report;
    struct agn_dataset *dataset;
    double mean[AGN_MAX_CHANNELS], std[AGN_MAX_CHANNELS];
    write_cifar10("set");
    assert_int_equal(open_set("cifar10", "test", 32, 3, 0, &dataset), AGN_OK);
    assert_int_equal(inspect("cifar10", "test", &report), AGN_OK);
    agn_dataset_statistics(dataset, mean, std);
    assert_int_equal(report.bad.count, 0);
    assert_int_equal(report.count, dataset->count);
    for (int c = 0; c < 3; c++) {
        assert_true(report.mean[c] == mean[c]);
        assert_true(report.std[c] == std[c]);
    }
    agn_dataset_report_free(&report);
    agn_dataset_free(dataset);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, temp_folder_setup, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_all_batches),
        TEST(limit_and_test_split),
        TEST(resizes_and_turns_grey),
        TEST(cifar100_uses_fine_labels),
        TEST(damage_is_refused),
        TEST(inspection_goes_on),
        TEST(inspection_agrees_with_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
