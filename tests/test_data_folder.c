/* The class-folder reader: classes, order, conversion, and what users get wrong. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agilenn/sets.h"
#include "temp_folder.h"
#include "test_images.h"

enum { SIDE = 8, GREY = SIDE * SIDE, COLOUR = 3 * GREY };

static void add_image(const char *name, enum test_image_kind kind, int channels, int variant)
{
    uint8_t pixels[COLOUR];
    size_t size;
    test_image_fill(pixels, SIDE, SIDE, channels, variant);
    uint8_t *data = test_image_make(kind, pixels, SIDE, SIDE, channels, &size);
    (void)temp_file(name, data, size);
    free(data);
}

static int open_set(const char *split, int side, int channels, int limit, struct agn_dataset **dataset)
{
    *dataset = NULL;
    struct agn_dataset_source source = {.format = "folder",
                                        .path = temp_path("set"),
                                        .split = split,
                                        .height = side,
                                        .width = side,
                                        .channels = channels,
                                        .limit = limit};
    return agn_dataset_open(&source, dataset);
}

static void assert_refused(const char *split, int status, const char *message)
{
    struct agn_dataset *dataset;
    int got = open_set(split, SIDE, 3, 0, &dataset);
    if (got != status || dataset || !strstr(agn_error_message(), message))
        fail_msg("status %d, '%s'; expected %d, '%s'", got, agn_error_message(), status, message);
}

static void count_unread(void *user, enum agn_log_level level, const char *line)
{
    if (level == AGN_LOG_WARN && (strstr(line, "set, split train: files and folders that are not read: 2") ||
                                  strstr(line, "1 .txt: ") || strstr(line, "1 beside the class folders: ")))
        ++*(int *)user;
}

static void classes_and_files_in_byte_order(void **state)
{
    (void)state;
    add_image("set/train/dog/b.PNG", TEST_PNG, 3, 2);
    add_image("set/train/dog/a.png", TEST_PNG, 3, 1);
    add_image("set/train/Cat/z.png", TEST_PNG, 3, 3);
    add_image("set/train/ant/x.jpeg", TEST_JPEG, 3, 0);
    (void)temp_file("set/train/dog/notes.txt", "not an image", 12);
    (void)temp_file("set/train/dog/.hidden.png", "not an image", 12);
    (void)temp_file("set/train/.cache/x.png", "not an image", 12);
    (void)temp_file("set/train/README.png", "not in a class", 14);
    struct agn_dataset *dataset;
    int lines = 0;
    agn_log_to(count_unread, &lines, AGN_LOG_WARN);
    assert_int_equal(open_set("train", SIDE, 3, 0, &dataset), AGN_OK);
    agn_log_to(NULL, NULL, AGN_LOG_WARN);
    assert_int_equal(lines, 3); /* notes.txt and README.png, and the line above them */
    assert_int_equal(dataset->count, 4);
    assert_int_equal(dataset->classes, 3);
    static const char *const names[] = {"Cat", "ant", "dog"};
    for (int i = 0; i < 3; i++)
        assert_string_equal(dataset->class_names[i], names[i]);
    static const uint16_t labels[] = {0, 1, 2, 2};
    assert_memory_equal(dataset->labels, labels, sizeof labels);
    static const char *const files[] = {"/train/Cat/z.png", "/train/ant/x.jpeg", "/train/dog/a.png",
                                        "/train/dog/b.PNG"};
    for (int i = 0; i < 4; i++)
        assert_non_null(strstr(dataset->files[i], files[i]));
    static const int variants[] = {3, 0, 1, 2};
    for (int i = 0; i < 4; i++) {
        uint8_t expected[COLOUR];
        test_image_fill(expected, SIDE, SIDE, 3, variants[i]);
        for (int p = 0; p < COLOUR; p++)
            assert_in_range(dataset->pixels[i * COLOUR + p] + 10 - expected[p], i == 1 ? 0 : 10,
                            i == 1 ? 20 : 10);
    }
    agn_dataset_free(dataset);
}

static void test_split_uses_the_classes_of_train(void **state)
{
    (void)state;
    add_image("set/train/a/1.png", TEST_PNG, 1, 0);
    add_image("set/train/b/1.png", TEST_PNG, 1, 1);
    add_image("set/train/c/1.png", TEST_PNG, 1, 2);
    add_image("set/test/c/1.png", TEST_PNG, 1, 3);
    struct agn_dataset *dataset;
    assert_int_equal(open_set("test", SIDE, 1, 0, &dataset), AGN_OK);
    assert_int_equal(dataset->count, 1);
    assert_int_equal(dataset->classes, 3);
    assert_int_equal(dataset->labels[0], 2);
    agn_dataset_free(dataset);
    add_image("set/test/d/1.png", TEST_PNG, 1, 3);
    assert_refused("test", AGN_ERR_MISMATCH, "has a class 'd' that");
}

static void sizes_and_channels_are_converted(void **state)
{
    (void)state;
    add_image("set/test/grey/1.png", TEST_PNG, 1, 0);
    add_image("set/test/rgb/1.jpg", TEST_JPEG, 3, 0);
    struct agn_dataset *dataset;
    for (int channels = 1; channels <= 3; channels += 2) {
        for (int side = 1; side <= 20; side += 19) {
            assert_int_equal(open_set("test", side, channels, 0, &dataset), AGN_OK);
            assert_int_equal(dataset->channels, channels);
            assert_int_equal(dataset->height, side);
            agn_dataset_free(dataset);
        }
    }
    assert_int_equal(open_set("test", SIDE, 2, 0, &dataset), AGN_ERR_ARG);
    assert_int_equal(open_set("test", SIDE, 1, 0, &dataset), AGN_OK);
    uint8_t expected[GREY];
    test_image_fill(expected, SIDE, SIDE, 1, 0);
    assert_memory_equal(dataset->pixels, expected, GREY);
    agn_dataset_free(dataset);
}

static void limit_spreads_over_classes(void **state)
{
    (void)state;
    for (int class = 0; class < 4; class ++) {
        for (int i = 0; i < 5; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "set/train/%d/%d.png", class, i);
            add_image(name, TEST_PNG, 3, i);
        }
    }
    struct agn_dataset *dataset;
    assert_int_equal(open_set("train", SIDE, 3, 4, &dataset), AGN_OK);
    assert_int_equal(dataset->count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(dataset->labels[i], i);
    agn_dataset_free(dataset);
}

/* Of several damaged files the first in order is named, whichever thread met it first. */
static void first_damaged_file_is_named(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "set/train/a/%03d.png", i);
        if (i % 10 == 7)
            (void)temp_file(name, "\x89PNG\r\n\x1a\n broken", 15);
        else
            add_image(name, TEST_PNG, 3, i % 4);
    }
    for (int round = 0; round < 10; round++)
        assert_refused("train", AGN_ERR_FORMAT, "set/train/a/007.png: truncated PNG");
    assert_non_null(strstr(agn_error_message(), "data check"));
}

static void what_users_get_wrong(void **state)
{
    (void)state;
    assert_refused("train", AGN_ERR_NOT_FOUND, "set/train/CLASS/*.jpg");
    (void)temp_file("set/train/one.jpg", "x", 1); /* images without classes */
    assert_refused("train", AGN_ERR_FORMAT, "has no class folders");
    (void)temp_file("set/train/a/readme.txt", "x", 1);
    assert_refused("train", AGN_ERR_FORMAT, "has no images");
    (void)temp_file("set/train/a/empty.jpg", "", 0);
    assert_refused("train", AGN_ERR_FORMAT,
                   "empty.jpg: no JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF or BMP image (0 bytes)");
    assert_int_equal(mkdir(temp_path("set/train/a/b.jpg"), 0777), 0);
    assert_refused("train", AGN_ERR_IO, "b.jpg: it is a folder");
}

/* A class without images: refused where it is to be learned, and written down by an inspection. */
static void each_format_has_a_reader(void **state)
{
    (void)state;
    for (int i = 0; agn_dataset_formats[i]; i++) {
        struct agn_dataset_source source = {.format = agn_dataset_formats[i],
                                            .path = temp_path("none"),
                                            .split = "train",
                                            .height = 8,
                                            .width = 8,
                                            .channels = 1};
        struct agn_dataset *dataset = NULL;
        assert_true(agn_dataset_open(&source, &dataset) < 0);
        assert_null(strstr(agn_error_message(), "unknown data set format"));
    }
}

static void empty_classes(void **state)
{
    (void)state;
    add_image("set/train/a/1.png", TEST_PNG, 3, 0);
    add_image("set/train/c/1.png", TEST_PNG, 3, 1);
    add_image("set/test/a/1.png", TEST_PNG, 3, 0);
    (void)temp_file("set/train/b/1.psd", "GIF89a", 6);
    (void)temp_file("set/test/b/1.psd", "GIF89a", 6);
    assert_refused("train", AGN_ERR_FORMAT, "set/train/b has no image that is read");
    struct agn_dataset *dataset;
    assert_int_equal(open_set("test", SIDE, 3, 0, &dataset), AGN_OK);
    assert_int_equal(dataset->count, 1);
    assert_int_equal(dataset->classes, 3);
    agn_dataset_free(dataset);
    const struct agn_dataset_source source = {.format = "folder", .path = temp_path("set"), .split = "train"};
    struct agn_dataset_report report;
    assert_int_equal(agn_dataset_inspect(&source, &report), AGN_OK);
    assert_int_equal(report.count, 2);
    assert_int_equal(report.bad.count, 1);
    assert_non_null(strstr(report.bad.texts[0], "set/train/b has no"));
    agn_dataset_report_free(&report);
}

static const struct agn_dataset_findings *unread_of(const struct agn_dataset_report *report, const char *kind)
{
    for (int i = 0; i < report->unread_kinds; i++)
        if (strcmp(report->unread[i].kind, kind) == 0)
            return &report->unread[i].found;
    fail_msg("no kind '%s' among %d", kind, report->unread_kinds);
    return NULL;
}

/* What is not read is counted by ending, with a few names, however much there is. */
static void unread_files_are_counted(void **state)
{
    (void)state;
    char name[64];
    add_image("set/train/a/1.JFIF", TEST_JPEG, 3, 0);
    add_image("set/train/a/2.jpe", TEST_JPEG, 3, 0);
    add_image("set/train/b/png-in-truth.HEIC", TEST_PNG, 3, 1);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "set/train/%c/%03d.PSD", i % 2 ? 'b' : 'a', i);
        (void)temp_file(name, "made up", 7);
    }
    for (int i = 0; i < 40; i++) { /* more kinds than are told apart */
        (void)snprintf(name, sizeof name, "set/train/a/x.e%02d", i);
        (void)temp_file(name, "made up", 7);
    }
    (void)temp_file("set/train/b/README", "made up", 7);
    (void)temp_file("set/train/b/more/1.jpg", "made up", 7);
    (void)temp_file("set/train/stray.jpg", "made up", 7);
    struct agn_dataset_source source = {.format = "folder", .path = temp_path("set"), .split = "train"};
    struct agn_dataset_report report;
    assert_int_equal(agn_dataset_inspect(&source, &report), AGN_OK);
    assert_int_equal(report.count, 3);
    assert_int_equal(report.bad.count, 0);
    assert_int_equal(report.unread_count, 300 + 40 + 3);
    assert_int_equal(report.unread_kinds, AGN_REPORT_KINDS);
    assert_int_equal(unread_of(&report, "beside the class folders")->count, 1);
    int counted = 0;
    for (int i = 0; i < report.unread_kinds; i++) {
        counted += report.unread[i].found.count;
        assert_in_range(report.unread[i].found.kept, 1, AGN_REPORT_UNREAD);
    }
    assert_int_equal(counted, report.unread_count);
    agn_dataset_report_free(&report);

    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "set/train/a/x.e%02d", i);
        assert_int_equal(remove(temp_path("%s", name)), 0);
    }
    source.path = temp_path("set");
    assert_int_equal(agn_dataset_inspect(&source, &report), AGN_OK);
    const struct agn_dataset_findings *psd = unread_of(&report, ".psd");
    assert_int_equal(psd->count, 300);
    assert_int_equal(psd->kept, AGN_REPORT_UNREAD);
    for (int i = 0; i < psd->kept; i++) {
        (void)snprintf(name, sizeof name, "set/train/a/%03d.PSD", 2 * i);
        assert_non_null(strstr(psd->texts[i], name));
    }
    assert_non_null(strstr(unread_of(&report, "without an ending")->texts[0], "b/README"));
    assert_non_null(strstr(unread_of(&report, "folder in a class folder")->texts[0], "b/more"));
    assert_int_equal(report.unread_kinds, 4);
    agn_dataset_report_free(&report);
}

struct lines {
    int total, files;
};

static void count_skipped(void *user, enum agn_log_level level, const char *line)
{
    struct lines *lines = user;
    if (level == AGN_LOG_WARN && strstr(line, "split train: bad files or records that are left out"))
        lines->total = atoi(strrchr(line, ':') + 2);
    lines->files += strncmp(line, "  ", 2) == 0 && strstr(line, ".png: ");
}

/* What is left out leaves no gap; the log counts it and has the first names. */
static void bad_files_may_be_skipped(void **state)
{
    (void)state;
    char name[64];
    for (int i = 0; i < 60; i++) {
        (void)snprintf(name, sizeof name, "set/train/%c/%03d.png", i < 30 ? 'a' : 'b', i);
        if (i % 3 == 0)
            (void)temp_file(name, "\x89PNG\r\n\x1a\n made up", 16);
        else
            add_image(name, TEST_PNG, 3, i % 5);
    }
    struct agn_dataset *dataset = NULL;
    struct agn_dataset_source source = {.format = "folder",
                                        .path = temp_path("set"),
                                        .split = "train",
                                        .height = SIDE,
                                        .width = SIDE,
                                        .channels = 3};
    assert_int_equal(agn_dataset_open(&source, &dataset), AGN_ERR_FORMAT);
    assert_non_null(strstr(agn_error_message(), "set/train/a/000.png"));
    assert_non_null(strstr(agn_error_message(), "'agilenn data check "));
    assert_non_null(strstr(agn_error_message(), "--set data.bad_files=skip"));
    source.bad_files = "ignore";
    assert_int_equal(agn_dataset_open(&source, &dataset), AGN_ERR_ARG);
    source.bad_files = "skip";
    struct lines lines = {0};
    agn_log_to(count_skipped, &lines, AGN_LOG_WARN);
    assert_int_equal(agn_dataset_open(&source, &dataset), AGN_OK);
    agn_log_to(NULL, NULL, AGN_LOG_WARN);
    assert_int_equal(lines.total, 20);
    assert_int_equal(lines.files, 8);
    assert_int_equal(dataset->count, 40);
    for (int i = 0; i < 40; i++) {
        int number = i / 2 * 3 + 1 + i % 2;
        uint8_t expected[COLOUR];
        (void)snprintf(name, sizeof name, "/%03d.png", number);
        assert_non_null(strstr(dataset->files[i], name));
        assert_int_equal(dataset->labels[i], number >= 30);
        test_image_fill(expected, SIDE, SIDE, 3, number % 5);
        assert_memory_equal(dataset->pixels + (size_t)i * COLOUR, expected, COLOUR);
    }
    agn_dataset_free(dataset);
}

/* A class without a good image, and a split without one. */
static void skipping_has_its_bounds(void **state)
{
    (void)state;
    add_image("set/train/a/1.png", TEST_PNG, 3, 0);
    (void)temp_file("set/train/b/1.png", "made up", 7);
    (void)temp_file("set/train/b/2.png", "made up", 7);
    (void)temp_file("set/test/a/1.png", "made up", 7);
    struct agn_dataset *dataset = NULL;
    struct agn_dataset_source source = {.format = "folder",
                                        .path = temp_path("set"),
                                        .split = "train",
                                        .height = SIDE,
                                        .width = SIDE,
                                        .channels = 1,
                                        .bad_files = "skip"};
    assert_int_equal(agn_dataset_open(&source, &dataset), AGN_ERR_FORMAT);
    assert_non_null(strstr(agn_error_message(), "no image of class 'b' can be read"));
    source.split = "test";
    assert_int_equal(agn_dataset_open(&source, &dataset), AGN_ERR_FORMAT);
    assert_non_null(strstr(agn_error_message(), "no image can be read"));
    assert_null(dataset);
}

static void grounds_have_names_and_digits(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "#", "#12345", "#1234567", "#12345g", "#-12345", "ffffff", "White"};
    uint8_t rgb[3];
    assert_true(agn_dataset_ground("#0aFf10", rgb));
    assert_memory_equal(rgb, "\x0a\xff\x10", 3);
    assert_true(agn_dataset_ground("black", rgb));
    assert_memory_equal(rgb, "\0\0\0", 3);
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        assert_false(agn_dataset_ground(bad[i], rgb));
    static const uint8_t half[8] = {10, 20, 30, 255, 10, 20, 30, 0};
    size_t size;
    uint8_t *data = test_image_make(TEST_PNG_ALPHA, half, 1, 2, 4, &size);
    (void)temp_file("set/train/a/1.png", data, size);
    free(data);
    struct agn_dataset *dataset = NULL;
    struct agn_dataset_source source = {.format = "folder",
                                        .path = temp_path("set"),
                                        .split = "train",
                                        .height = 1,
                                        .width = 2,
                                        .channels = 3,
                                        .ground = "#0aFf10"};
    assert_int_equal(agn_dataset_open(&source, &dataset), AGN_OK);
    assert_memory_equal(dataset->pixels, ((uint8_t[]){10, 20, 30, 0x0a, 0xff, 0x10}), 6);
    agn_dataset_free(dataset);
    source.ground = "pink";
    assert_int_equal(agn_dataset_open(&source, &dataset), AGN_ERR_ARG);
}

/* Images that are read with a warning: in the report when inspecting, in the log when opening. */
static void warnings_are_reported(void **state)
{
    (void)state;
    uint8_t pixels[COLOUR];
    size_t size;
    test_image_fill(pixels, SIDE, SIDE, 3, 2);
    uint8_t *data = test_image_make(TEST_JPEG, pixels, SIDE, SIDE, 3, &size);
    (void)temp_file("set/test/a/cut.jpg", data, size - 2);
    (void)temp_file("set/test/b/whole.jpg", data, size);
    free(data);
    const struct agn_dataset_source source = {.format = "folder", .path = temp_path("set"), .split = "test"};
    struct agn_dataset_report report;
    assert_int_equal(agn_dataset_inspect(&source, &report), AGN_OK);
    assert_int_equal(report.count, 2);
    assert_int_equal(report.bad.count, 0);
    assert_int_equal(report.warnings.count, 1);
    assert_non_null(strstr(report.warnings.texts[0], "a/cut.jpg: "));
    agn_dataset_report_free(&report);
}

static void interruption_stops_reading(void **state)
{
    (void)state;
    add_image("set/train/a/1.png", TEST_PNG, 3, 0);
    agn_interrupt_request();
    struct agn_dataset *dataset;
    int status = open_set("train", SIDE, 3, 0, &dataset);
    agn_interrupt_clear();
    assert_int_equal(status, AGN_ERR_INTERRUPTED);
    assert_null(dataset);
}

#define FILE_TEST(function) cmocka_unit_test_setup_teardown(function, temp_folder_setup, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(classes_and_files_in_byte_order),
        FILE_TEST(test_split_uses_the_classes_of_train),
        FILE_TEST(sizes_and_channels_are_converted),
        FILE_TEST(limit_spreads_over_classes),
        FILE_TEST(first_damaged_file_is_named),
        FILE_TEST(what_users_get_wrong),
        FILE_TEST(each_format_has_a_reader),
        FILE_TEST(empty_classes),
        FILE_TEST(unread_files_are_counted),
        FILE_TEST(bad_files_may_be_skipped),
        FILE_TEST(skipping_has_its_bounds),
        FILE_TEST(grounds_have_names_and_digits),
        FILE_TEST(warnings_are_reported),
        FILE_TEST(interruption_stops_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
