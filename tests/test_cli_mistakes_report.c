/* src/cli/mistakes_report.c: CSV, text and JSON with names of any kind; the picture comes with the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/mistakes_report.h"
#include "temp_folder.h"

static char cat[] = "cat", dog[] = "dog, \"big\"", formula[] = "=1+1\n\x1b[2J\xff";
static char *names[] = {cat, dog, formula};
static char first[] = "cat/a.png", second[] = "dog/\xff \"b\",\n.png", third[] = "x/=cmd().png";
static char *files[] = {first, second, third};
static uint8_t pixels[3 * 8 * 8];
static uint16_t labels[] = {0, 1, 2};
static struct agn_dataset data = {3, 8, 8, 1, 3, pixels, labels, names, files};
static struct agn_mistake list[] = {{1, 1, 2, 5.25, 0.99}, {2, 2, 0, 1.5, 0.5}, {0, 0, 1, 0.0, 0.25}};
static struct agn_mistakes mistakes = {list, 3, 3, 7};
static struct agn__mistakes_report report = {&mistakes, &data, names, 40, "test"};

static char *text_of_report(void)
{
    static char text[8192];
    memset(text, 0, sizeof text);
    FILE *stream = fmemopen(text, sizeof text, "w");
    assert_non_null(stream);
    agn__cli_print_mistakes(stream, &report);
    fclose(stream);
    return text;
}

static void assert_file(const char *path, const char *expected)
{
    uint8_t *text;
    size_t size;
    assert_int_equal(agn_file_read(path, 10000, &text, &size), AGN_OK);
    assert_string_equal((const char *)text, expected);
    agn_free(text);
}

static void table_and_picture(void **state)
{
    (void)state;
    assert_int_equal(agn__cli_write_mistakes(temp_path("new/folder"), &report), AGN_OK);
    assert_file(temp_path("new/folder/mistakes.csv"),
                "index,file,true_class,predicted_class,margin,probability\n"
                "1,\"dog/\xff \"\"b\"\",\n.png\",\"dog, \"\"big\"\"\",\"=1+1\n\x1b[2J\xff\",5.2500,0.9900\n"
                "2,x/=cmd().png,\"=1+1\n\x1b[2J\xff\",cat,1.5000,0.5000\n"
                "0,cat/a.png,cat,\"dog, \"\"big\"\"\",0.0000,0.2500\n");
    assert_true(agn_file_exists(temp_path("new/folder/mistakes.png")));
    assert_int_equal(temp_count_entries(temp_path("new/folder")), 2);
}

static void without_files_or_mistakes(void **state)
{
    (void)state;
    mistakes.count = 1;
    data.files = NULL;
    assert_int_equal(agn__cli_write_mistakes(temp_folder(), &report), AGN_OK);
    assert_file(temp_path("mistakes.csv"), "index,file,true_class,predicted_class,margin,probability\n"
                                           "1,,\"dog, \"\"big\"\"\",\"=1+1\n\x1b[2J\xff\",5.2500,0.9900\n");
    json_t *json = agn__cli_json_mistakes(&report);
    assert_true(json_is_null(json_object_get(json_array_get(json, 0), "file")));
    json_decref(json);
    mistakes = (struct agn_mistakes){list, 3, 0, 0};
    assert_int_equal(agn__cli_write_mistakes(temp_folder(), &report), AGN_OK);
    assert_file(temp_path("mistakes.csv"), "index,file,true_class,predicted_class,margin,probability\n");
    assert_string_equal(text_of_report(), "\nmistakes: 0 of 40 images\n");
    mistakes = (struct agn_mistakes){list, 3, 3, 7};
    data.files = files;
}

static void a_folder_that_cannot_be_is_an_error(void **state)
{
    (void)state;
    const char *file = temp_file("plain", "x", 1);
    assert_true(agn__cli_write_mistakes(file, &report) < 0);
    char endless[6000];
    memset(endless, 'd', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_true(agn__cli_write_mistakes(endless, &report) < 0);
    assert_file(file, "x");
}

static void text_is_fit_for_a_terminal(void **state)
{
    (void)state;
    const char *text = text_of_report();
    assert_non_null(strstr(text, "mistakes: 7 of 40 images; the worst:\n"));
    assert_non_null(strstr(text, "      1    5.25       99.0 %  dog, \"big\"           =1+1??[2J?"
                                 "           dog/? \"b\",?.png\n"));
    assert_null(strchr(text, 0x1b));
    assert_null(strchr(text, 0xff));
    int lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 6); /* an empty one, two of heading, three mistakes */
}

static void json_has_all(void **state)
{
    (void)state;
    json_t *json = agn__cli_json_mistakes(&report);
    assert_int_equal(json_array_size(json), 3);
    const json_t *row = json_array_get(json, 1);
    assert_int_equal(json_integer_value(json_object_get(row, "index")), 2);
    assert_string_equal(json_string_value(json_object_get(row, "file")), "x/=cmd().png");
    assert_string_equal(json_string_value(json_object_get(row, "true_class")), "=1+1\n\x1b[2J?");
    assert_string_equal(json_string_value(json_object_get(row, "predicted_class")), "cat");
    assert_true(json_real_value(json_object_get(row, "margin")) == 1.5);
    assert_true(json_real_value(json_object_get(row, "probability")) == 0.5);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(table_and_picture, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test_setup_teardown(without_files_or_mistakes, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_is_an_error, temp_folder_setup,
                                        temp_folder_teardown),
        cmocka_unit_test(text_is_fit_for_a_terminal),
        cmocka_unit_test(json_has_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
