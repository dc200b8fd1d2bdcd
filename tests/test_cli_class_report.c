/* src/cli/class_report.c: the table, the worst of many, classes that are never predicted, files of the
 * confusion matrix. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/class_report.h"
#include "temp_folder.h"

static char cat[] = "cat", dog[] = "dog, \"big\"", ant[] = "ant";
static char *const names[] = {cat, dog, ant};
/* Ants are taken for dogs. */
static const struct agn_class_count counts[] = {{10, 9, 8, 10}, {10, 9, 7, 15}, {5, 0, 1, 0}};
static const int confusion[] = {9, 1, 0, 1, 9, 0, 0, 5, 0};
static const struct agn__class_report example = {3, names, counts, confusion, false, false};

static char *text_of(void (*print)(FILE *, const struct agn__class_report *),
                     const struct agn__class_report *report)
{
    static char text[8192];
    FILE *stream = fmemopen(text, sizeof text, "w");
    assert_non_null(stream);
    memset(text, 0, sizeof text);
    print(stream, report);
    fclose(stream);
    return text;
}

static void a_class_that_is_never_predicted_is_named(void **state)
{
    (void)state;
    const char *text = text_of(agn__cli_print_never_predicted, &example);
    assert_non_null(strstr(text, "warning: never predicted: class ant (5 images)"));
    assert_null(strstr(text, "cat"));
    const struct agn__class_report good = {2, names, counts, NULL, false, false};
    assert_string_equal(text_of(agn__cli_print_never_predicted, &good), "");
}

static void table_and_matrix(void **state)
{
    (void)state;
    const char *text = text_of(agn__cli_print_classes, &example);
    assert_non_null(strstr(text, "cat                      10  90.00 %  80.00 %         10  dog, \"big\""));
    assert_non_null(strstr(text, "ant                       5   0.00 %  20.00 %          0  dog"));
    assert_non_null(strstr(text, "confusion:"));
    assert_non_null(strstr(text, "ant                      0     5     0\n"));
}

static void of_many_classes_the_worst_come_first(void **state)
{
    (void)state;
    enum { MANY = 30 };
    struct agn_class_count many[MANY];
    char *many_names[MANY], text_names[MANY][8];
    for (int i = 0; i < MANY; i++) {
        many[i] = (struct agn_class_count){100, 99 - i, 50, 100};
        snprintf(text_names[i], sizeof text_names[i], "c%02d", i);
        many_names[i] = text_names[i];
    }
    const struct agn__class_report report = {MANY, many_names, many, NULL, false, false};
    const char *text = text_of(agn__cli_print_classes, &report);
    const char *worst = strstr(text, "c29"), *last = strstr(text, "c10");
    assert_true(worst && last && worst < last);
    assert_null(strstr(text, "c09"));
    assert_null(strstr(text, "confusion"));
}

static void json_has_all(void **state)
{
    (void)state;
    json_t *classes = agn__cli_json_classes(&example), *matrix = agn__cli_json_confusion(&example);
    const json_t *row = json_array_get(classes, 2);
    assert_int_equal(json_array_size(classes), 3);
    assert_string_equal(json_string_value(json_object_get(row, "name")), "ant");
    assert_int_equal(json_integer_value(json_object_get(row, "count")), 5);
    assert_true(json_real_value(json_object_get(row, "accuracy_fused")) == 0.0);
    assert_true(json_real_value(json_object_get(row, "accuracy_local")) == 0.2);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(matrix, 2), 1)), 5);
    json_decref(classes);
    json_decref(matrix);
}

/* Where a device decides, some predictions are fused and some are not: no column may say that all are. */
static void of_a_run_the_answers_count(void **state)
{
    (void)state;
    struct agn__class_report run = example;
    const char *fused = text_of(agn__cli_print_classes, &example);
    assert_non_null(strstr(fused, "class                images    fused    local  predicted"));
    run.of_run = true;
    const char *answers = text_of(agn__cli_print_classes, &run);
    assert_non_null(strstr(answers, "class                images  correct    local  predicted"));
    assert_null(strstr(answers, "fused"));
    assert_non_null(strstr(answers, "cat                      10  90.00 %  80.00 %         10"));
    json_t *classes = agn__cli_json_classes(&run);
    const json_t *row = json_array_get(classes, 0);
    assert_true(json_real_value(json_object_get(row, "accuracy")) == 0.9);
    assert_true(json_real_value(json_object_get(row, "accuracy_local")) == 0.8);
    assert_null(json_object_get(row, "accuracy_fused"));
    json_decref(classes);
}

static void names_are_fit_for_a_terminal(void **state)
{
    (void)state;
    static char wide[] = "犬猫鳥犬猫鳥犬猫鳥犬猫鳥", hostile[] = "\x1b[2J\n\xff\xc3", accent[] = "éé";
    static char *const strange[] = {wide, hostile, accent};
    const struct agn__class_report report = {3, strange, counts, confusion, false, false};
    const char *text = text_of(agn__cli_print_classes, &report);
    assert_non_null(strstr(text, "\n犬猫鳥犬猫鳥犬猫鳥…      10  90.00"));
    assert_non_null(strstr(text, "\n?[2J???                  10  90.00"));
    assert_non_null(strstr(text, "\néé                        5   0.00"));
    assert_null(strchr(text, 0x1b));
    assert_null(strchr(text_of(agn__cli_print_never_predicted, &report), '\xff'));
}

static struct agn_cli_list list_of(const char *first, const char *second)
{
    return (struct agn_cli_list){.items = {first, second}, .count = second ? 2 : 1};
}

/* Returns the size. */
static size_t assert_starts_with(const char *path, const void *expected, size_t bytes)
{
    uint8_t *text;
    size_t size;
    assert_int_equal(agn_file_read(path, 1 << 20, &text, &size), AGN_OK);
    assert_true(size >= bytes);
    assert_memory_equal(text, expected, bytes);
    agn_free(text);
    return size;
}

static void confusion_as_csv(void **state)
{
    (void)state;
    const char *path = temp_path("confusion.csv");
    const struct agn_cli_list files = list_of(path, NULL), nowhere = list_of(temp_path("no/x.csv"), path);
    assert_int_equal(agn__cli_check_confusion(&files), AGN_OK);
    assert_int_equal(agn__cli_write_confusion(&files, &example), AGN_OK);
    const char expected[] =
        "true,cat,\"dog, \"\"big\"\"\",ant\ncat,9,1,0\n\"dog, \"\"big\"\"\",1,9,0\nant,0,5,0\n";
    assert_int_equal(assert_starts_with(path, expected, sizeof expected - 1), sizeof expected - 1);
    assert_int_equal(agn__cli_write_confusion(&nowhere, &example), AGN_ERR_IO);
}

static void the_name_says_whether_it_is_drawn(void **state)
{
    (void)state;
    const char *drawn = temp_path("a.PNG"), *table = temp_path("png"), *other = temp_path("b.png.txt");
    const struct agn_cli_list both = list_of(drawn, table), third = list_of(other, NULL);
    const struct agn_cli_list none = {.count = 0};
    assert_int_equal(agn__cli_check_confusion(&both), AGN_OK);
    assert_int_equal(agn__cli_write_confusion(&both, &example), AGN_OK);
    assert_int_equal(agn__cli_write_confusion(&third, &example), AGN_OK);
    assert_int_equal(agn__cli_write_confusion(&none, &example), AGN_OK);
    assert_starts_with(drawn, "\x89PNG", 4);
    assert_starts_with(table, "true,cat", 8);
    assert_starts_with(other, "true,cat", 8);
    assert_int_equal(temp_count_entries(temp_folder()), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_that_is_never_predicted_is_named),
        cmocka_unit_test(table_and_matrix),
        cmocka_unit_test(of_many_classes_the_worst_come_first),
        cmocka_unit_test(json_has_all),
        cmocka_unit_test(of_a_run_the_answers_count),
        cmocka_unit_test(names_are_fit_for_a_terminal),
        cmocka_unit_test_setup_teardown(confusion_as_csv, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test_setup_teardown(the_name_says_whether_it_is_drawn, temp_folder_setup,
                                        temp_folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
