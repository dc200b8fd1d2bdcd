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
    agn_figures_add(&f, "images", AGN_FIGURE_WHOLE, 12345, NULL, "test images");
    agn_figures_add(&f, "accuracy", AGN_FIGURE_SHARE, 0.87123, NULL, "right, of all");
    agn_figures_interval(&f, 0.864, 0.878);
    agn_figures_add(&f, "network_ms.median", AGN_FIGURE_REAL, 1.5, "ms", NULL);
    agn_figures_add(&f, "network_ms.p99", AGN_FIGURE_REAL, 99.25, "ms", NULL);
    agn_figures_add(&f, "unknown", AGN_FIGURE_REAL, NAN, "s", "not measured");
    return f;
}

typedef void print_fn(FILE *stream, const struct agn_figures *figures);

static void expect_printed(print_fn *print, const char *expected)
{
    struct agn_figures f = sample();
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    print(stream, &f);
    fclose(stream);
    assert_string_equal(text, expected);
    free(text);
}

static void people_read_columns(void **state)
{
    (void)state;
    expect_printed(agn_figures_print, "  dataset                    fashion, \"small\"  preset\n"
                                      "  images                                12345  test images\n"
                                      "  accuracy           87.12 % (86.40 to 87.80)  right, of all\n"
                                      "  network_ms.median                  1.500 ms\n"
                                      "  network_ms.p99                      99.2 ms\n");
}

static void reports_get_rows(void **state)
{
    (void)state;
    expect_printed(agn_figures_print_markdown, "| figure | value | meaning |\n|---|---|---|\n"
                                               "| dataset | fashion, \"small\" | preset |\n"
                                               "| images | 12345 | test images |\n"
                                               "| accuracy | 87.12 % (86.40 to 87.80) | right, of all |\n"
                                               "| network_ms.median | 1.500 ms |  |\n"
                                               "| network_ms.p99 | 99.2 ms |  |\n");
}

static void csv_has_all_of_them(void **state)
{
    (void)state;
    expect_printed(agn_figures_print_csv, "key,unit,value,low,high,meaning\n"
                                          "dataset,,\"fashion, \"\"small\"\"\",,,preset\n"
                                          "images,,12345,,,test images\n"
                                          "accuracy,,0.87123,0.864,0.878,\"right, of all\"\n"
                                          "network_ms.median,ms,1.5,,,\n"
                                          "network_ms.p99,ms,99.25,,,\n"
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
    agn_figures_add_text(&f, "dataset", "a\xff", NULL);
    json_t *object = agn_figures_json(&f);
    assert_string_equal(json_string_value(json_object_get(object, "dataset")), "a?");
    json_decref(object);
}

static void numbers_are_as_long_as_people_read_them(void **state)
{
    (void)state;
    static const struct {
        struct agn_figure figure;
        const char *text;
    } cases[] = {{{.value = 0.41234}, "0.412"},
                 {{.value = -9.99}, "-9.990"},
                 {{.value = 3120.44, .unit = "img/s"}, "3120.4 img/s"},
                 {{.value = 0.81234, .decimals = 2}, "0.81"},
                 {{.kind = AGN_FIGURE_SHARE, .value = 0.8712, .decimals = 1}, "87.1 %"},
                 {{.kind = AGN_FIGURE_WHOLE, .value = 7, .unit = "bytes"}, "7 bytes"},
                 {{.value = 1.0, .low = NAN, .high = NAN}, "1.000"},
                 {{.value = INFINITY}, ""},
                 {{.value = NAN}, ""}};
    char text[64];
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        assert_int_equal(agn_figure_text(&cases[i].figure, text, sizeof text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

static void figures_are_taken_from_other_lists(void **state)
{
    (void)state;
    struct agn_figures from = sample(), f = {.count = 0};
    agn_figures_take(&f, &from, "accuracy");
    agn_figures_take(&f, &from, "nothing of this name");
    assert_int_equal(f.count, 1);
    assert_true(f.list[0].high == 0.878);
    assert_ptr_equal(agn_figures_find(&f, "accuracy"), &f.list[0]);
    assert_null(agn_figures_find(&f, "images"));
    while (f.count < AGN_MAX_FIGURES)
        agn_figures_add(&f, "more", AGN_FIGURE_WHOLE, f.count, NULL, NULL);
    assert_true(f.list[AGN_MAX_FIGURES - 1].value == AGN_MAX_FIGURES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_read_columns),
        cmocka_unit_test(reports_get_rows),
        cmocka_unit_test(csv_has_all_of_them),
        cmocka_unit_test(json_nests_and_tells_what_is_unknown),
        cmocka_unit_test(json_takes_text_of_any_origin),
        cmocka_unit_test(numbers_are_as_long_as_people_read_them),
        cmocka_unit_test(figures_are_taken_from_other_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
