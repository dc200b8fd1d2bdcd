/* Plots: whole PNGs or nothing, whatever metrics, names and figures come in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/plot.h"
#include "temp_folder.h"

static char folder[512], picture[600], metrics[600];

static int make_folder(void **state)
{
    if (temp_folder_setup(state) != 0)
        return -1;
    (void)snprintf(folder, sizeof folder, "%s", temp_folder());
    (void)snprintf(picture, sizeof picture, "%s/a 'quoted' $(name) `x`;.png", folder);
    (void)snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
    return agn_plot_available() == AGN_OK ? 0 : -1;
}

/* Width and height of the PNG at `picture`, which is then deleted. */
static void assert_picture(unsigned width, unsigned height)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(agn_file_read(picture, 1 << 24, &bytes, &size), AGN_OK);
    assert_true(size > 100);
    assert_memory_equal(bytes, "\x89PNG\r\n\x1a\n", 8);
    assert_memory_equal(bytes + size - 8, "IEND\xae\x42\x60\x82", 8);
    assert_int_equal(bytes[18] << 8 | bytes[19], width);
    assert_int_equal(bytes[22] << 8 | bytes[23], height);
    agn_free(bytes);
    assert_int_equal(remove(picture), 0);
}

static void write_metrics(const char *text)
{
    assert_int_equal(agn_file_write(metrics, text, strlen(text)), AGN_OK);
}

#define REFERENCE_LINE(images)                                                                               \
    "{\"phase\": \"reference\", \"images\": " #images ", \"accuracy\": 0.5, \"loss\": 1.5}\n"
#define IMITATION_LINE(images)                                                                               \
    "{\"phase\": \"imitation\", \"images\": " #images ", \"accuracy\": 0.5, \"loss\": 1.5}\n"
#define JOINT_LINE(images)                                                                                   \
    "{\"phase\": \"joint\", \"images\": " #images ", \"accuracy\": 0.5, \"loss\": 1, \"skewness\": 0.5, "    \
    "\"reference_valid\": 0.9, \"disorder_rate\": 0.1}\n"

static int plot_importance_to(const char *path, int channels, int k, const float *before, const float *after)
{
    const struct agn_plot_channels shares = {channels, k, before, after, 0.875, 0.75};
    return agn_plot_importance(path, &shares);
}

static int plot_importance(int channels, int k, const float *before, const float *after)
{
    return plot_importance_to(picture, channels, k, before, after);
}

static void importance_is_drawn(void **state)
{
    (void)state;
    float before[255], after[255];
    for (int c = 0; c < 255; c++) {
        before[c] = 1.0F / 255.0F;
        after[c] = c == 0 ? 1.0F : 0.0F;
    }
    static const int channels[] = {1, 2, 24, 60, 255};
    for (size_t i = 0; i < AGN_COUNT_OF(channels); i++) {
        assert_int_equal(plot_importance(channels[i], 1, before, after), AGN_OK);
        assert_picture(1000, 480);
    }
    memset(after, 0, sizeof after);
    assert_int_equal(plot_importance(24, 24, after, after), AGN_OK);
    assert_picture(1000, 480);
}

static void same_input_gives_same_picture(void **state)
{
    (void)state;
    const float before[4] = {0.25F, 0.25F, 0.25F, 0.25F}, after[4] = {0.7F, 0.1F, 0.1F, 0.1F};
    uint8_t *bytes[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(plot_importance(4, 1, before, after), AGN_OK);
        assert_int_equal(agn_file_read(picture, 1 << 24, &bytes[i], &size[i]), AGN_OK);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    agn_free(bytes[0]);
    agn_free(bytes[1]);
    assert_int_equal(remove(picture), 0);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    const float good[2] = {0.5F, 0.5F}, bad[2] = {0.5F, NAN};
    assert_int_equal(plot_importance(2, 1, good, bad), AGN_ERR_NUMERIC);
    assert_int_equal(plot_importance(2, 3, good, good), AGN_ERR_ARG);
    assert_int_equal(plot_importance(0, 0, good, good), AGN_ERR_ARG);
    const struct agn_plot_channels unknown = {2, 1, good, good, 0.5, NAN};
    assert_int_equal(agn_plot_importance(picture, &unknown), AGN_ERR_NUMERIC);
    assert_false(agn_file_exists(picture));
}

#define VALIDATION_LINE(phase, images)                                                                       \
    "{\"phase\": \"" phase "\", \"images\": " #images ", \"validation_accuracy\": 0.75}\n"

static void training_is_drawn(void **state)
{
    (void)state;
    static const char *const good[] = {
        REFERENCE_LINE(1000), /* one point */
        JOINT_LINE(1000) JOINT_LINE(2000),
        JOINT_LINE(1000) "{\"phase\": \"joint\", \"images\": 2000, \"accuracy\": 0.5, \"loss\": 1, "
                         "\"skewness\": null, "
                         "\"reference_valid\": 0, \"disorder_rate\": null}\n",
        REFERENCE_LINE(1000) REFERENCE_LINE(2000) JOINT_LINE(3000) JOINT_LINE(4000),
        REFERENCE_LINE(1000) JOINT_LINE(2000) JOINT_LINE(3000) JOINT_LINE(2000), /* resumed */
        REFERENCE_LINE(1000) "{\"phase\": \"refer",                              /* killed in a line */
        REFERENCE_LINE(0),
        IMITATION_LINE(1000) IMITATION_LINE(2000) JOINT_LINE(3000),
        REFERENCE_LINE(1000) VALIDATION_LINE("reference", 1000) JOINT_LINE(2000)
            VALIDATION_LINE("joint", 2000) JOINT_LINE(3000) JOINT_LINE(2000) VALIDATION_LINE("joint", 2000),
    };
    for (size_t i = 0; i < AGN_COUNT_OF(good); i++) {
        write_metrics(good[i]);
        if (agn_plot_training(picture, metrics) < 0)
            fail_msg("metrics %zu: %s", i, agn_error_message());
        assert_picture(1000, 640);
    }
}

static void trainings_are_drawn_side_by_side(void **state)
{
    (void)state;
    struct agn_plot_labelled trainings[AGN_PLOT_MAX_TRAININGS];
    for (int i = 0; i < AGN_PLOT_MAX_TRAININGS; i++)
        trainings[i] = (struct agn_plot_labelled){"'it's `a` $(label) 犬\n", metrics};
    static const char *const good[] = {
        JOINT_LINE(1000),
        REFERENCE_LINE(1000) JOINT_LINE(2000),
        IMITATION_LINE(1000) JOINT_LINE(3000) JOINT_LINE(4000),
    };
    for (size_t i = 0; i < AGN_COUNT_OF(good); i++)
        for (int count = 1; count <= AGN_PLOT_MAX_TRAININGS; count += AGN_PLOT_MAX_TRAININGS - 1) {
            write_metrics(good[i]);
            if (agn_plot_comparison(picture, trainings, count) < 0)
                fail_msg("metrics %zu: %s", i, agn_error_message());
            assert_picture(1100, 720);
        }
    assert_int_equal(agn_plot_comparison(picture, trainings, 0), AGN_ERR_ARG);
    assert_int_equal(agn_plot_comparison(picture, trainings, AGN_PLOT_MAX_TRAININGS + 1), AGN_ERR_ARG);
    write_metrics(REFERENCE_LINE(1000));
    assert_int_equal(agn_plot_comparison(picture, trainings, 1), AGN_ERR_FORMAT);
    assert_non_null(strstr(agn_error_message(), "has not begun"));
    assert_int_equal(remove(metrics), 0);
    assert_int_equal(agn_plot_comparison(picture, trainings, 1), AGN_ERR_NOT_FOUND);
    assert_false(agn_file_exists(picture));
}

static void damaged_metrics_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *complaint;
    } bad[] = {
        {"", "no figures"},
        {"\n", "line 1"},
        {"no json\n", "line 1"},
        {"[1, 2]\n", "'phase'"},
        {REFERENCE_LINE(1) "{\"phase\": \"other\", \"images\": 2, \"accuracy\": 1, \"loss\": 1}\n", "line 2"},
        {REFERENCE_LINE(1) "{\"phase\": \"joint\", \"images\": 2, \"accuracy\": \"x\", \"loss\": 1}\n",
         "line 2"},
        {"{\"phase\": \"joint\", \"accuracy\": 1, \"loss\": 1}\n", "'images'"},
        {"{\"phase\": \"joint\", \"images\": -5, \"accuracy\": 1, \"loss\": 1}\n", "'images'"},
        {"{\"phase\": \"joint\", \"images\": 1e999, \"accuracy\": 1, \"loss\": 1}\n", "line 1"},
        {"{\"phase\": 5, \"images\": 1, \"accuracy\": 1, \"loss\": 1}\n", "'phase'"},
        {"\xff\xfe\n", "line 1"},
        {VALIDATION_LINE("joint", 2000), "no figures"},
    };
    assert_int_equal(agn_file_write(picture, "old", 3), AGN_OK);
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        write_metrics(bad[i].text);
        assert_int_equal(agn_plot_training(picture, metrics), AGN_ERR_FORMAT);
        if (!strstr(agn_error_message(), bad[i].complaint) || !strstr(agn_error_message(), "metrics.jsonl"))
            fail_msg("metrics %zu: %s", i, agn_error_message());
    }
    assert_int_equal(remove(metrics), 0);
    assert_int_equal(agn_plot_training(picture, metrics), AGN_ERR_NOT_FOUND);
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(agn_file_read(picture, 100, &bytes, &size), AGN_OK);
    assert_int_equal(size, 3); /* the old file is still there */
    agn_free(bytes);
    assert_int_equal(remove(picture), 0);
}

static void explanations_are_drawn(void **state)
{
    (void)state;
    static uint8_t pixels[40 * 20 * 3];
    float heat[6] = {0.0F, 1.0F, 2.0F, 3.0F, 0.5F, 0.0F}, nothing[6] = {0},
          importance[3] = {0.5F, 0.3F, 0.2F};
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)i;
    const struct agn_plot_explained images[3] = {
        {"it's `id` $(x) \\ @a\n\x01", pixels, 40, 20, 3, heat, 2, 3, importance, 0.8, false},
        {"\xff\xc3(\xe2\x82 half a character \xe2\x82\xac", pixels, 10, 30, 1, heat, 6, 1, importance, 0.8,
         true},
        {"", pixels, 8, 8, 1, nothing, 1, 1, importance, 0.8, false},
    };
    assert_int_equal(agn_plot_explanation(picture, images, 3, 3, 1), AGN_OK);
    assert_picture(1040, 34 + 3 * 216 + 56);
    heat[4] = INFINITY;
    assert_int_equal(agn_plot_explanation(picture, images, 1, 3, 1), AGN_ERR_NUMERIC);
    assert_int_equal(agn_plot_explanation(picture, images, 0, 3, 1), AGN_ERR_ARG);
    assert_int_equal(agn_plot_explanation(picture, images, AGN_PLOT_MAX_ROWS + 1, 3, 1), AGN_ERR_ARG);
    assert_false(agn_file_exists(picture));
}

static int confused[AGN_PLOT_MAX_CLASSES * AGN_PLOT_MAX_CLASSES];
static char *class_names[AGN_PLOT_MAX_CLASSES];

static int plot_confusion(int classes)
{
    const struct agn_plot_confusion confusion = {classes, class_names, confused};
    return agn_plot_confusion(picture, &confusion);
}

/* Whether there is room is what the size tells; the picture goes. */
static void assert_drawn(int classes, unsigned least, unsigned most)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (plot_confusion(classes) < 0)
        fail_msg("%d classes: %s", classes, agn_error_message());
    assert_int_equal(agn_file_read(picture, 1 << 26, &bytes, &size), AGN_OK);
    unsigned width = (unsigned)bytes[18] << 8 | bytes[19], height = (unsigned)bytes[22] << 8 | bytes[23];
    agn_free(bytes);
    assert_int_equal(remove(picture), 0);
    if (width < least || width > most || height < 200 || height > most)
        fail_msg("%d classes: a picture of %ux%u", classes, width, height);
}

static void confusion_of_few_and_many_classes_is_drawn(void **state)
{
    (void)state;
    static const int numbers[] = {1, 2, 10, 20, 21, 40, 41, 100, 200, AGN_PLOT_MAX_CLASSES};
    static char name[] = "class";
    for (int i = 0; i < AGN_PLOT_MAX_CLASSES; i++)
        class_names[i] = name;
    for (size_t i = 0; i < AGN_COUNT_OF(numbers); i++) {
        int n = numbers[i];
        memset(confused, 0, sizeof confused);
        if (n <= 100)
            assert_drawn(n, 600, 2300); /* no image at all */
        for (int c = 0; c < n; c++) {
            confused[c * n + c] = 9 * c;
            confused[c * n + (c + 1) % n] += c;
        }
        assert_drawn(n, 600, 2300);
    }
    confused[0] = 2147483647;
    assert_drawn(2, 600, 2300);
    assert_int_equal(plot_confusion(0), AGN_ERR_ARG);
    assert_int_equal(plot_confusion(AGN_PLOT_MAX_CLASSES + 1), AGN_ERR_ARG);
    assert_false(agn_file_exists(picture));
}

static void confusion_of_hostile_names_is_drawn(void **state)
{
    (void)state;
    static char endless[3000], quotes[] = "it's `id` $(x) \\n \"q\" %s {/*2 b}",
                               lines[] = "two\nEOD\nlines\x1b[2J", broken[] = "\xff\xc3( \xe2\x82",
                               wide[] = "犬猫鳥犬猫鳥犬猫鳥犬猫鳥", empty[] = "";
    memset(endless, 'W', sizeof endless - 1);
    char *const names[] = {endless, quotes, lines, broken, wide, empty};
    enum { NAMES = AGN_COUNT_OF(names) };
    memset(confused, 0, sizeof confused);
    for (int i = 0; i < NAMES; i++) {
        class_names[i] = names[i];
        confused[i * NAMES + i] = 1;
    }
    assert_drawn(NAMES, 600, 1400);
    assert_int_equal(temp_count_entries(folder), 0);
}

static void loads_are_drawn(void **state)
{
    (void)state;
    static const struct agn_plot_second seconds[] = {{1000, 900, 60, 40, 0.5, 12, 200},
                                                     {0, 0, 0, 0, (double)NAN, (double)NAN, (double)NAN},
                                                     {5, 0, 0, 5, 0, 0, 0}};
    static const double shares[] = {0.5, 0.99, 1}, ms[] = {0, 12, 200},
                        none[] = {(double)NAN, (double)NAN, (double)NAN};
    for (int count = 1; count <= 3; count++)
        for (int answers = 0; answers < 2; answers++) {
            const struct agn_plot_load load = {"it's $(a) `load`\n\xff", seconds, count, shares, ms,
                                               answers ? ms : none,      3};
            assert_int_equal(agn_plot_load(picture, &load), AGN_OK);
            assert_picture(1000, 900);
        }
    const struct agn_plot_load nothing = {
        .title = "", .shares = shares, .prediction_ms = ms, .answer_ms = ms, .share_count = 3};
    assert_int_equal(agn_plot_load(picture, &nothing), AGN_ERR_ARG);
}

static void fronts_are_drawn(void **state)
{
    (void)state;
    const struct agn_plot_design designs[] = {{"it's $(a) `design`\n\xff", 1.0, 2.0, 0.9, true},
                                              {"b", 3.0, 1.5, 0.8, false},
                                              {"c", 0.5, 0.1, 0.7, true}};
    for (int count = 1; count <= 3; count += 2) {
        for (int marked = -1; marked < 1; marked++) {
            const struct agn_plot_front front = {"it's $(a) `search`\n\xff", designs, count, marked,
                                                 marked < 0 ? 0.0 : 2.0,     0.0};
            assert_int_equal(agn_plot_front(picture, &front), AGN_OK);
            assert_picture(1000, 520);
        }
    }
    const struct agn_plot_front nothing = {"", designs, 0, -1, 0.0, 0.0};
    assert_int_equal(agn_plot_front(picture, &nothing), AGN_ERR_ARG);
}

/* Whole, and all of its bytes; it is deleted. */
static void assert_svg(const char *path, const char *name)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(agn_file_read(path, 1 << 24, &bytes, &size), AGN_OK);
    char *text = calloc(size + 1, 1);
    assert_non_null(text);
    memcpy(text, bytes, size);
    assert_memory_equal(text, "<?xml", 5);
    assert_non_null(strstr(text, "</svg>"));
    assert_non_null(strstr(text, name));
    free(text);
    agn_free(bytes);
    assert_int_equal(remove(path), 0);
}

static void fields_of_winners_are_drawn(void **state)
{
    (void)state;
    static const char *const names[AGN_PLOT_MAX_SYSTEMS] = {"it's $(a) <b> `system`\n\xff", "never", "plain"};
    static const double rates[] = {50, 270, 6000}, clocks[] = {64, 216};
    static const unsigned char fastest[] = {0, 2, 2, 0, 0, 2}, thriftiest[] = {2, 2, 2, 2, 2, 2};
    struct agn_plot_best best = {"it's $(a) `map`\n\xff", names, 3, rates, clocks, 3, 2, fastest, thriftiest};
    char path[600];
    (void)snprintf(path, sizeof path, "%s/a.svg", folder);
    assert_int_equal(agn_plot_best(picture, &best), AGN_OK);
    assert_picture(1200, 480);
    assert_int_equal(agn_plot_best(path, &best), AGN_OK);
    assert_svg(path, "plain");
    best.systems = AGN_PLOT_MAX_SYSTEMS + 1;
    assert_int_equal(agn_plot_best(path, &best), AGN_ERR_ARG);
    best.systems = 3;
    best.rate_count = 1;
    assert_int_equal(agn_plot_best(path, &best), AGN_ERR_ARG);
    assert_false(agn_file_exists(path));
}

static void missing_gnuplot_names_its_package(void **state)
{
    (void)state;
    const float shares[2] = {0.5F, 0.5F};
    char path[4096];
    (void)snprintf(path, sizeof path, "%s", getenv("PATH"));
    assert_int_equal(setenv("PATH", folder, 1), 0);
    int available = agn_plot_available(), drawn = plot_importance(2, 1, shares, shares);
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_int_equal(available, AGN_ERR_NOT_FOUND);
    assert_int_equal(drawn, AGN_ERR_NOT_FOUND);
    assert_non_null(strstr(agn_error_message(), "gnuplot-nox"));
    assert_false(agn_file_exists(picture));
}

static void unwritable_path_is_an_error(void **state)
{
    (void)state;
    const float shares[2] = {0.5F, 0.5F};
    char path[600];
    (void)snprintf(path, sizeof path, "%s/nowhere/a.png", folder);
    assert_int_equal(plot_importance_to(path, 2, 1, shares, shares), AGN_ERR_IO);
    assert_non_null(strstr(agn_error_message(), path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(importance_is_drawn),
        cmocka_unit_test(same_input_gives_same_picture),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(training_is_drawn),
        cmocka_unit_test(trainings_are_drawn_side_by_side),
        cmocka_unit_test(damaged_metrics_are_refused),
        cmocka_unit_test(explanations_are_drawn),
        cmocka_unit_test(confusion_of_few_and_many_classes_is_drawn),
        cmocka_unit_test(confusion_of_hostile_names_is_drawn),
        cmocka_unit_test(loads_are_drawn),
        cmocka_unit_test(fronts_are_drawn),
        cmocka_unit_test(fields_of_winners_are_drawn),
        cmocka_unit_test(missing_gnuplot_names_its_package),
        cmocka_unit_test(unwritable_path_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, temp_folder_teardown);
}
