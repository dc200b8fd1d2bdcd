/* Which images are for training, test and validation: folders by name, shares by class, and what is said
 * where a split is missing. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/sets.h"
#include "cli/cli.h"
#include "temp_folder.h"
#include "test_images.h"

enum { SIDE = 8, PIXELS = 3 * SIDE * SIDE };

static void add_images(const char *folder, int count)
{
    for (int i = 0; i < count; i++) {
        char name[128];
        uint8_t pixels[PIXELS];
        size_t size;
        test_image_fill(pixels, SIDE, SIDE, 3, i % 4);
        uint8_t *data = test_image_make(TEST_PNG, pixels, SIDE, SIDE, 3, &size);
        (void)snprintf(name, sizeof name, "%s/%03d.png", folder, i);
        (void)temp_file(name, data, size);
        free(data);
    }
}

static char set_folder[512];

static void move_to(const char *folder)
{
    (void)snprintf(set_folder, sizeof set_folder, "%s/%s", temp_folder(), folder);
}

static struct agn_dataset_source source_of(const char *folder)
{
    move_to(folder);
    return (struct agn_dataset_source){.format = "folder",
                                       .path = set_folder,
                                       .split = "train",
                                       .height = SIDE,
                                       .width = SIDE,
                                       .channels = 3};
}

static struct agn_dataset *open_part(const struct agn_dataset_source *source, const char *split)
{
    struct agn_dataset_source part = *source;
    struct agn_dataset *dataset = NULL;
    part.split = split;
    int status = agn_dataset_open(&part, &dataset);
    if (status < 0)
        fail_msg("%s: %d, %s", split, status, agn_error_message());
    return dataset;
}

static void assert_refused(const struct agn_dataset_source *source, const char *split, int status,
                           const char *message)
{
    struct agn_dataset_source part = *source;
    struct agn_dataset *dataset = NULL;
    part.split = split;
    int got = agn_dataset_open(&part, &dataset);
    if (got != status || dataset || !strstr(agn_error_message(), message))
        fail_msg("status %d, '%s'; expected %d, '%s'", got, agn_error_message(), status, message);
}

static int images_of(const struct agn_dataset *dataset, int label)
{
    int count = 0;
    for (int i = 0; i < dataset->count; i++)
        count += dataset->labels[i] == label;
    return count;
}

static bool holds(const struct agn_dataset *dataset, const char *file)
{
    for (int i = 0; i < dataset->count; i++)
        if (strcmp(dataset->files[i], file) == 0)
            return true;
    return false;
}

static void count_stand_ins(void *user, enum agn_log_level level, const char *line)
{
    *(int *)user += level == AGN_LOG_INFO && strstr(line, "is the test split") != NULL;
}

static void val_stands_in_for_test(void **state)
{
    (void)state;
    static const char *const names[] = {"validation", "valid", "val", "test"}; /* each before the last */
    struct agn_dataset_source source = source_of("set");
    int said = 0;
    add_images("set/train/a", 2);
    add_images("set/train/b", 2);
    agn_log_to(count_stand_ins, &said, AGN_LOG_INFO);
    for (int i = 0; i < (int)AGN_COUNT_OF(names); i++) {
        char folder[64];
        (void)snprintf(folder, sizeof folder, "set/%s/b", names[i]);
        add_images(folder, i + 1);
        struct agn_dataset *test = open_part(&source, "test");
        assert_int_equal(test->count, i + 1);
        assert_int_equal(test->classes, 2);
        assert_int_equal(test->labels[0], 1);
        assert_int_equal(said, i < 3 ? i + 1 : 3); /* nothing where there is a test folder */
        agn_dataset_free(test);
    }
    agn_log_to(NULL, NULL, AGN_LOG_WARN);
    source.validation = "val";
    struct agn_dataset *validation = open_part(&source, "validation");
    assert_int_equal(validation->count, 3);
    agn_dataset_free(validation);
    source.test = "valid";
    struct agn_dataset *test = open_part(&source, "test");
    assert_int_equal(test->count, 2);
    agn_dataset_free(test);
}

/* The exit code of `agilenn data check "'~/FOLDER'" --test TEST --validation VALIDATION`. */
static int check(const char *folder, const char *test, const char *validation)
{
    char words[7][64] = {"data", "check", "", "--test", "", "--validation", ""};
    char *argv[8] = {NULL};
    for (int i = 0; i < 7; i++)
        argv[i] = words[i];
    (void)snprintf(words[2], sizeof words[2], "'~/%s'", folder);
    (void)snprintf(words[4], sizeof words[4], "%s", test);
    (void)snprintf(words[6], sizeof words[6], "%s", validation);
    assert_int_equal(setenv("HOME", temp_folder(), 1), 0);
    return agn__cmd_data(7, argv);
}

static void missing_splits_say_what_to_do(void **state)
{
    (void)state;
    struct agn_dataset_source source = source_of("set");
    assert_refused(&source, "test", AGN_ERR_NOT_FOUND, "pass the folder of the data set with --data DIR");
    add_images("set/train/a", 4);
    add_images("set/train/b", 4);
    assert_refused(&source, "test", AGN_ERR_NOT_FOUND, "only train: name the folder");
    assert_refused(&source, "test", AGN_ERR_NOT_FOUND, "--set data.test=0.2");
    assert_refused(&source, "validation", AGN_ERR_NOT_FOUND, "--set data.validation=0.1");
    assert_int_equal(check("set", "", ""), 1);
    add_images("set/val/a", 1);
    add_images("set/val/b", 1);
    source.validation = "val";
    assert_refused(&source, "test", AGN_ERR_NOT_FOUND, "data.validation takes val");
    source.validation = "dev";
    assert_refused(&source, "validation", AGN_ERR_NOT_FOUND, "which data.validation = dev asks for");
    source.validation = NULL;
    assert_int_equal(check("set", "0.2", "val"), 0);
    assert_int_equal(check("set", "0.2", "dev"), 1);
    assert_int_equal(check("set", "2", ""), 1);
    move_to("set/train");
    assert_refused(&source, "train", AGN_ERR_NOT_FOUND, "has class folders itself (a, b)");
    assert_refused(&source, "test", AGN_ERR_NOT_FOUND, "--set data.test=0.2");
    add_images("other/Training/a", 1);
    add_images("other/Testing/a", 1);
    move_to("other");
    assert_refused(&source, "train", AGN_ERR_NOT_FOUND, "has no folder train, but Training: rename it");
    assert_refused(&source, "test", AGN_ERR_NOT_FOUND,
                   "no folder test, but Testing: --set data.test=Testing");
    add_images("capitals/Train/a", 1);
    add_images("capitals/Val/a", 1);
    move_to("capitals");
    assert_refused(&source, "test", AGN_ERR_NOT_FOUND, "no folder test, but Val: --set data.test=Val");
    source.test = "20%";
    assert_refused(&source, "test", AGN_ERR_NOT_FOUND,
                   "expected one that is there (Train, Val), or a share of the training images, such as 0.1");
    source.test = NULL;
    (void)temp_file("empty/x.txt", "x", 1);
    move_to("empty");
    assert_refused(&source, "train", AGN_ERR_NOT_FOUND, "but nothing is there");
}

static void bad_files_name_the_command_that_lists_them(void **state)
{
    (void)state;
    struct agn_dataset_report report;
    struct agn_dataset_source source = source_of("bad");
    add_images("bad/a", 4);
    add_images("bad/b", 4);
    (void)temp_file("bad/b/004.png", "no image", 8);
    (void)temp_file("bad/b/005.psd", "made up", 7);
    source.test = "0.9";
    assert_refused(&source, "test", AGN_ERR_FORMAT, "--test 0.9' names every bad file");
    assert_int_equal(check("bad", "0.9", ""), 1);
    assert_int_equal(remove(temp_path("bad/b/004.png")), 0);
    assert_int_equal(check("bad", "0.9", ""), 0);
    assert_int_equal(agn_dataset_inspect(&source, &report), AGN_OK);
    assert_int_equal(report.unread_count, 1);
    agn_dataset_report_free(&report);
    source.split = "test"; /* its files are the training images' */
    assert_int_equal(agn_dataset_inspect(&source, &report), AGN_OK);
    assert_int_equal(report.unread_count, 0);
    agn_dataset_report_free(&report);
}

static void parts_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *format, *test, *validation;
        int status;
        const char *message;
    } cases[] = {{"folder", "", "", AGN_OK, ""},
                 {"folder", NULL, NULL, AGN_OK, ""},
                 {"folder", "0.2", "val", AGN_OK, ""},
                 {"idx", "0.2", "0.1", AGN_OK, ""},
                 {"idx", "", "val", AGN_ERR_ARG, "only class folders"},
                 {"folder", "1.5", "", AGN_ERR_RANGE, "data.test = '1.5'"},
                 {"folder", "", "0", AGN_ERR_RANGE, "between 0 and 1"},
                 {"folder", "", "nan", AGN_ERR_RANGE, "between 0 and 1"},
                 {"folder", "../x", "", AGN_ERR_ARG, "folder beside train"},
                 {"folder", "", "train", AGN_ERR_ARG, "folder beside train"},
                 {"folder", "", "test", AGN_ERR_ARG, "are the test images"},
                 {"folder", "val", "val", AGN_ERR_ARG, "are the test images"}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        int status = agn_dataset_check_parts(cases[i].format, cases[i].test, cases[i].validation);
        if (status != cases[i].status || (status < 0 && !strstr(agn_error_message(), cases[i].message)))
            fail_msg("case %zu: %d, %s", i, status, agn_error_message());
    }
}

/* Classes in the set's own folder, of 20, 5, 2 and 1 images. */
static void shares_are_drawn_by_class(void **state)
{
    (void)state;
    struct agn_dataset_source source = source_of("flat");
    static const int images[] = {20, 5, 2, 1}, test_images[] = {4, 1, 1, 0},
                     validation_images[] = {4, 1, 0, 0};
    add_images("flat/a", 20);
    add_images("flat/b", 5);
    add_images("flat/c", 2);
    add_images("flat/d", 1);
    assert_refused(&source, "train", AGN_ERR_NOT_FOUND, "has class folders itself");
    source.test = "0.2";
    source.validation = "0.25"; /* of what test leaves */
    source.split_seed = 1;
    struct agn_dataset *train = open_part(&source, "train"), *test = open_part(&source, "test"),
                       *validation = open_part(&source, "validation");
    for (int c = 0; c < 4; c++) {
        assert_int_equal(images_of(test, c), test_images[c]);
        assert_int_equal(images_of(validation, c), validation_images[c]);
        assert_int_equal(images_of(train, c), images[c] - test_images[c] - validation_images[c]);
    }
    assert_non_null(strstr(train->files[0], "/flat/a/"));
    for (int i = 0; i < train->count; i++)
        assert_true(!holds(test, train->files[i]) && !holds(validation, train->files[i]));
    for (int i = 0; i < validation->count; i++)
        assert_false(holds(test, validation->files[i]));
    /* Another validation leaves the test images as they are; another seed does not. */
    source.validation = NULL;
    struct agn_dataset *same = open_part(&source, "test");
    assert_int_equal(same->count, test->count);
    for (int i = 0; i < same->count; i++)
        assert_string_equal(same->files[i], test->files[i]);
    source.split_seed = 2;
    struct agn_dataset *other = open_part(&source, "test");
    int shared = 0;
    for (int i = 0; i < other->count; i++)
        shared += holds(test, other->files[i]);
    assert_true(shared < test->count);
    agn_dataset_free(train);
    agn_dataset_free(test);
    agn_dataset_free(validation);
    agn_dataset_free(same);
    agn_dataset_free(other);
}

static void limits_hold_around_shares(void **state)
{
    (void)state;
    struct agn_dataset_source source = source_of("set");
    add_images("set/train/a", 30);
    add_images("set/train/b", 30);
    source.validation = "0.5";
    source.train_limit = 20;
    struct agn_dataset *train = open_part(&source, "train"), *validation = open_part(&source, "validation");
    assert_int_equal(train->count, 10);
    assert_int_equal(validation->count, 10);
    source.limit = 4;
    struct agn_dataset *few = open_part(&source, "train");
    assert_int_equal(few->count, 4);
    assert_int_equal(images_of(few, 0), 2);
    for (int i = 0; i < few->count; i++)
        assert_true(holds(train, few->files[i]) && !holds(validation, few->files[i]));
    agn_dataset_free(train);
    agn_dataset_free(validation);
    agn_dataset_free(few);
}

/* A format without files: the labels alone tell the images apart. */
static void idx_files_have_shares_too(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    uint8_t images[16 + COUNT] = {0, 0, 8, 3, 0, 0, 0, COUNT, 0, 0, 0, 1, 0, 0, 0, 1};
    uint8_t labels[8 + COUNT] = {0, 0, 8, 1, 0, 0, 0, COUNT}, seen[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) {
        images[16 + i] = (uint8_t)i;
        labels[8 + i] = (uint8_t)(i % 4);
    }
    (void)temp_file("train-images-idx3-ubyte", images, sizeof images);
    (void)temp_file("train-labels-idx1-ubyte", labels, sizeof labels);
    const struct agn_dataset_source source = {.format = "idx",
                                              .path = temp_folder(),
                                              .split = "train",
                                              .height = 1,
                                              .width = 1,
                                              .channels = 1,
                                              .test = "0.3",
                                              .validation = "0.1"};
    static const char *const splits[] = {"train", "test", "validation"};
    static const int counts[] = {24, 12, 4};
    for (int s = 0; s < 3; s++) {
        struct agn_dataset *part = open_part(&source, splits[s]);
        assert_int_equal(part->count, counts[s]);
        for (int i = 0; i < part->count; i++) {
            assert_int_equal(part->labels[i], part->pixels[i] % 4);
            seen[part->pixels[i]]++;
        }
        agn_dataset_free(part);
    }
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(seen[i], 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, temp_folder_setup, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(val_stands_in_for_test),
        TEST(missing_splits_say_what_to_do),
        TEST(bad_files_name_the_command_that_lists_them),
        TEST(parts_are_checked),
        TEST(shares_are_drawn_by_class),
        TEST(limits_hold_around_shares),
        TEST(idx_files_have_shares_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
