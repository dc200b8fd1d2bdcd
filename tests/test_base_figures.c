/* src/base/figures.c: a list of figures as text, Markdown, CSV and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"

static struct agn_figures sample(void)
{
    struct agn_figures f = {.count = 0};
    agn_figures_add_text(&f, "dataset", "fashion, \"small\"", "preset");
    agn_figures_add_whole(&f, "images", 12345, "test images");
    agn_figures_add_share(&f, "accuracy", 0.87123, "right, of all");
    agn_figures_add_interval(&f, 0.864, 0.878);
    agn_figures_add_real(&f, "network_ms.median", 1.5, "ms", "of all");
    agn_figures_add_real(&f, "network_ms.p99", 99.25, "ms", "of most");
    agn_figures_add_real(&f, "unknown", NAN, "s", "not measured");
    return f;
}

typedef void print_fn(const struct agn_figures *figures, FILE *stream);

static void expect_printed(const struct agn_figures *f, print_fn *print, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    print(f, stream);
    fclose(stream);
    assert_string_equal(text, expected);
    free(text);
}

static void people_read_columns(void **state)
{
    (void)state;
    const struct agn_figures f = sample();
    expect_printed(&f, agn_figures_print,
                   "  dataset                    fashion, \"small\"  preset\n"
                   "  images                                12345  test images\n"
                   "  accuracy           87.12 % (86.40 to 87.80)  right, of all\n"
                   "  network_ms.median                  1.500 ms  of all\n"
                   "  network_ms.p99                      99.2 ms  of most\n");
}

static void numbers_are_as_long_as_people_read_them(void **state)
{
    (void)state;
    struct agn_figures f = {.count = 0};
    agn_figures_add_real(&f, "a", -9.99, "", "less than 10");
    agn_figures_add_real(&f, "b", 3120.44, "/s", "more");
    agn_figures_add_interval(&f, NAN, 4000.0);
    agn_figures_add_share(&f, "c", 1.0, "all");
    agn_figures_add_real(&f, "d", INFINITY, "", "not a number for people");
    expect_printed(&f, agn_figures_print,
                   "  a     -9.990  less than 10\n  b  3120.4 /s  more\n  c   100.00 %  all\n");
}

static void reports_get_rows(void **state)
{
    (void)state;
    const struct agn_figures f = sample();
    expect_printed(&f, agn_figures_print_markdown,
                   "| figure | value | meaning |\n|---|---|---|\n"
                   "| dataset | fashion, \"small\" | preset |\n"
                   "| images | 12345 | test images |\n"
                   "| accuracy | 87.12 % (86.40 to 87.80) | right, of all |\n"
                   "| network_ms.median | 1.500 ms | of all |\n"
                   "| network_ms.p99 | 99.2 ms | of most |\n");
}

static void csv_has_all_of_them(void **state)
{
    (void)state;
    const struct agn_figures f = sample();
    expect_printed(&f, agn_figures_print_csv,
                   "key,unit,value,low,high,meaning\n"
                   "dataset,,\"fashion, \"\"small\"\"\",,,preset\n"
                   "images,,12345,,,test images\n"
                   "accuracy,,0.87123,0.864,0.878,\"right, of all\"\n"
                   "network_ms.median,ms,1.5,,,of all\n"
                   "network_ms.p99,ms,99.25,,,of most\n"
                   "unknown,s,,,,not measured\n");
}

static void json_nests_and_tells_what_is_unknown(void **state)
{
    (void)state;
    struct agn_figures f = sample();
    json_t *object = agn_figures_json(&f);
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    assert_string_equal(text, "{\"dataset\":\"fashion, \\\"small\\\"\",\"images\":12345,\"accuracy\":0.87123,"
                              "\"accuracy_low\":0.864,\"accuracy_high\":0.878,"
                              "\"network_ms\":{\"median\":1.5,\"p99\":99.25},\"unknown\":null}");
    free(text);
    json_decref(object);
}

static void json_takes_text_of_any_origin(void **state)
{
    (void)state;
    struct agn_figures f = {.count = 0};
    agn_figures_add_text(&f, "dataset", "a\xff", "preset");
    json_t *object = agn_figures_json(&f);
    assert_string_equal(json_string_value(json_object_get(object, "dataset")), "a?");
    json_decref(object);
}

static void figures_are_taken_from_other_lists(void **state)
{
    (void)state;
    static const char *const keys[] = {"network_ms.p99", "nothing of this name", "accuracy"};
    struct agn_figures from = sample(), f = {.count = 0};
    agn_figures_add_from(&f, &from, keys, AGN_COUNT_OF(keys));
    assert_int_equal(f.count, 2);
    assert_string_equal(f.list[0].key, "network_ms.p99");
    assert_true(f.list[1].value == 0.87123 && f.list[1].high == 0.878);
    while (f.count < AGN_MAX_FIGURES)
        agn_figures_add_whole(&f, "more", f.count, "as many as there can be");
    assert_true(f.list[AGN_MAX_FIGURES - 1].value == AGN_MAX_FIGURES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_read_columns),
        cmocka_unit_test(numbers_are_as_long_as_people_read_them),
        cmocka_unit_test(reports_get_rows),
        cmocka_unit_test(csv_has_all_of_them),
        cmocka_unit_test(json_nests_and_tells_what_is_unknown),
        cmocka_unit_test(json_takes_text_of_any_origin),
        cmocka_unit_test(figures_are_taken_from_other_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
