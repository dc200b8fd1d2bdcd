/* Tiny ImageNet's layout, its rearranged copies, damage; and the command `data check`. */
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

static const char *const ids[] = {"n03", "n01", "n02"}; /* the order of wnids.txt, not that of the bytes */

static void write_text(const char *name, const char *text)
{
    (void)temp_file(name, text, strlen(text));
}

/* A flat image of one grey value. */
static void write_image(const char *name, int side, int value)
{
    uint8_t pixels[32 * 32];
    size_t size;
    memset(pixels, value, sizeof pixels);
    uint8_t *file = test_image_make(TEST_JPEG, pixels, side, side, 1, &size);
    (void)temp_file(name, file, size);
    free(file);
}

/* Image j of class i has the value 50 i + j. */
static void write_split(const char *pattern, int count)
{
    char name[128];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < count; j++) {
            (void)snprintf(name, sizeof name, pattern, ids[i], ids[i], j);
            write_image(name, 16, 50 * i + j);
        }
}

static int make_set(void **state)
{
    if (temp_folder_setup(state) != 0)
        return -1;
    write_text("set/wnids.txt", "n03\nn01\r\nn02\n");
    write_text("set/words.txt", "n01\tgoldfish, Carassius auratus\nn02\ta shark\nn77\tnot here\nno tab\n");
    write_split("set/train/%s/images/%s_%d.JPEG", 2);
    write_image("set/val/images/val_0.JPEG", 16, 100);
    write_image("set/val/images/val_1.JPEG", 16, 0);
    write_image("set/val/images/val_2.JPEG", 16, 50);
    write_text("set/val/val_annotations.txt",
               "val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn03\t1\t2\t3\t4\nval_2.JPEG\tn01\t1\t2\t3\t4\n");
    return 0;
}

static int open_set(const char *split, struct agn_dataset **dataset)
{
    struct agn_dataset_source source = {.format = "tiny-imagenet",
                                        .path = temp_path("set"),
                                        .split = split,
                                        .height = 8,
                                        .width = 8,
                                        .channels = 3,
                                        .limit = 0};
    *dataset = NULL;
    return agn_dataset_open(&source, dataset);
}

static void assert_refused(const char *split, int status, const char *message)
{
    struct agn_dataset *dataset;
    int got = open_set(split, &dataset);
    if (got != status || dataset || !strstr(agn_error_message(), message))
        fail_msg("status %d, '%s', expected %d, '%s'", got, agn_error_message(), status, message);
}

static void assert_images(const char *split, int count)
{
    struct agn_dataset *dataset;
    assert_int_equal(open_set(split, &dataset), AGN_OK);
    assert_int_equal(dataset->count, count);
    assert_int_equal(dataset->classes, 3);
    assert_string_equal(dataset->class_names[0], "n03");
    assert_string_equal(dataset->class_names[1], "goldfish, Carassius auratus");
    assert_string_equal(dataset->class_names[2], "a shark");
    for (int i = 0; i < count; i++)
        assert_in_range(dataset->pixels[i * 8 * 8 * 3] + 3, 50 * dataset->labels[i],
                        50 * dataset->labels[i] + 6);
    agn_dataset_free(dataset);
}

static void reads_the_official_layout(void **state)
{
    (void)state;
    assert_images("train", 6);
    assert_images("test", 3);
    assert_string_equal(agn_dataset_detect(temp_path("set")), "tiny-imagenet");
}

static void reads_rearranged_copies(void **state)
{
    (void)state;
    assert_int_equal(remove(temp_path("set/val/val_annotations.txt")), 0);
    write_split("set/val/%s/%s_%d.JPEG", 3);
    assert_images("test", 9);
}

static void damage_is_refused(void **state)
{
    (void)state;
    write_text("set/val/val_annotations.txt", "val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn99\t0\n");
    assert_refused("test", AGN_ERR_FORMAT, "val_annotations.txt: record 1 'val_1.JPEG n99'");
    write_text("set/val/val_annotations.txt", "../../train/n01/images/n01_0.JPEG\tn02\n");
    assert_refused("test", AGN_ERR_FORMAT, "record 0");
    write_text("set/val/val_annotations.txt", "gone.JPEG\tn02\n");
    assert_refused("test", AGN_ERR_NOT_FOUND, "gone.JPEG");
    write_text("set/train/n02/images/n02_1.JPEG", "no image");
    assert_refused("train", AGN_ERR_FORMAT, "n02_1.JPEG");
    write_text("set/wnids.txt", "n03\nn01\nn04\n");
    assert_refused("train", AGN_ERR_FORMAT, "train/n04: wnids.txt names that class");
    write_text("set/wnids.txt", "n03\nn01\nn03\n");
    assert_refused("train", AGN_ERR_FORMAT, "'n03' is there twice");
    write_text("set/wnids.txt", "../n03\n");
    assert_refused("train", AGN_ERR_FORMAT, "wnids.txt: record 0");
    write_text("set/wnids.txt", "");
    assert_refused("train", AGN_ERR_FORMAT, "no class ids");
    assert_int_equal(remove(temp_path("set/wnids.txt")), 0);
    assert_refused("train", AGN_ERR_NOT_FOUND, "wnids.txt is missing");
}

/* Of a class that is never shown nothing can be learned. */
static void classes_of_train_need_images(void **state)
{
    (void)state;
    write_text("set/wnids.txt", "n03\nn01\nn04\n");
    write_text("set/train/n04/images/notes.txt", "no images yet");
    assert_refused("train", AGN_ERR_FORMAT, "train/n04/images has no image that is read");
}

static void inspection_lists_what_is_bad(void **state)
{
    (void)state;
    struct agn_dataset_report report;
    struct agn_dataset_source source = {
        .format = "tiny-imagenet", .path = temp_path("set"), .split = "train"};
    write_text("set/train/n02/images/n02_1.JPEG", "no image");
    write_text("set/train/n03/images/n03_0.JPEG", "\xff\xd8\xff");
    write_image("set/train/n01/images/n01_9.JPEG", 20, 52);
    write_text("set/train/n01/images/n01_8.psd", "made up");
    write_image("set/train/n09/images/n09_0.JPEG", 20, 52); /* a class that wnids.txt lacks */
    assert_int_equal(agn_dataset_inspect(&source, &report), AGN_OK);
    assert_int_equal(report.unread_count, 2);
    assert_string_equal(report.unread[0].kind, ".psd");
    assert_string_equal(report.unread[1].kind, "folder not named in wnids.txt");
    assert_non_null(strstr(report.unread[1].found.texts[0], "set/train/n09"));
    assert_int_equal(report.count, 5);
    assert_int_equal(report.bad.count, 2);
    assert_non_null(strstr(report.bad.texts[0], "n02_1.JPEG"));
    assert_non_null(strstr(report.bad.texts[1], "n03_0.JPEG"));
    assert_int_equal(report.size_count, 2);
    assert_int_equal(report.sizes[0].count, 4);
    assert_int_equal(report.sizes[1].height, 20);
    assert_int_equal(report.class_counts[1], 3);
    agn_dataset_report_free(&report);
}

/* ---- the command ---- */

static int check(const char *folder)
{
    char words[3][512] = {"data", "check", ""};
    char *argv[4] = {words[0], words[1], words[2], NULL};
    (void)snprintf(words[2], sizeof words[2], "%s", temp_path("%s", folder));
    return agn__cmd_data(3, argv);
}

static void command_ends_with_1_when_something_is_bad(void **state)
{
    (void)state;
    assert_int_equal(check("set"), AGN_CLI_SUCCESS);
    write_text("set/val/images/val_1.JPEG", "no image");
    assert_int_equal(check("set"), AGN_CLI_FAILURE);
    assert_int_equal(check("nowhere"), AGN_CLI_FAILURE);
}

static void command_refuses_a_single_class(void **state)
{
    (void)state;
    write_image("folder/train/cat/1.jpg", 16, 10);
    write_image("folder/test/cat/1.jpg", 16, 10);
    assert_int_equal(check("folder"), AGN_CLI_FAILURE);
    write_image("folder/train/dog/1.jpg", 16, 10);
    assert_int_equal(check("folder"), AGN_CLI_FAILURE); /* the test split still has one */
    write_image("folder/test/dog/1.jpg", 20, 10);
    assert_int_equal(check("folder"), AGN_CLI_SUCCESS); /* mixed sizes are fine */
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_set, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_the_official_layout),
        TEST(reads_rearranged_copies),
        TEST(damage_is_refused),
        TEST(classes_of_train_need_images),
        TEST(inspection_lists_what_is_bad),
        TEST(command_ends_with_1_when_something_is_bad),
        TEST(command_refuses_a_single_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
