/* src/cli/class_report.c: the table, the worst of many, classes that are never predicted, CSV. */
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
static const struct agn__class_report example = {3, names, counts, confusion};

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
    const struct agn__class_report good = {2, names, counts, NULL};
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
    const struct agn__class_report report = {MANY, many_names, many, NULL};
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

static void confusion_as_csv(void **state)
{
    (void)state;
    const char *path = temp_path("confusion.csv");
    uint8_t *text;
    size_t size;
    assert_int_equal(agn__cli_write_confusion(path, &example), AGN_OK);
    assert_int_equal(agn_file_read(path, 1000, &text, &size), AGN_OK);
    const char expected[] =
        "true,cat,\"dog, \"\"big\"\"\",ant\ncat,9,1,0\n\"dog, \"\"big\"\"\",1,9,0\nant,0,5,0\n";
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(text, expected, size);
    agn_free(text);
    assert_int_equal(agn__cli_write_confusion(temp_path("no/x.csv"), &example), AGN_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_that_is_never_predicted_is_named),
        cmocka_unit_test(table_and_matrix),
        cmocka_unit_test(of_many_classes_the_worst_come_first),
        cmocka_unit_test(json_has_all),
        cmocka_unit_test_setup_teardown(confusion_as_csv, temp_folder_setup, temp_folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
