/* The worst mistakes: which are kept and in what order; the sheet's pixels are the images'. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/measure.h"
#include "sets/image.h"
#include "temp_folder.h"
#include "tiny_model.h"

/* ---- which are kept ------------------------------------------------------------------------ */

static void add(struct agn_mistakes *mistakes, int image, int label, int predicted, float margin)
{
    float logits[3] = {0.0F, 0.0F, 0.0F};
    logits[predicted] += margin;
    const struct agn_prediction prediction = {
        .image = image, .label = label, .predicted = predicted, .logits = logits};
    agn_mistakes_add(mistakes, &prediction, 3);
}

static void the_worst_come_first(void **state)
{
    (void)state;
    struct agn_mistake list[3];
    struct agn_mistakes mistakes = {.list = list, .capacity = 3};
    add(&mistakes, 0, 1, 1, 9.0F); /* right */
    assert_int_equal(mistakes.count, 0);
    add(&mistakes, 1, 0, 1, 2.0F);
    add(&mistakes, 2, 0, 2, 5.0F);
    add(&mistakes, 3, 1, 2, 2.0F); /* as bad as image 1: after it */
    add(&mistakes, 4, 1, 0, 1.0F); /* too good */
    add(&mistakes, 5, 1, 0, 3.0F);
    add(&mistakes, 6, 2, 0, 2.0F);
    static const int images[] = {2, 5, 1};
    static const double margins[] = {5.0, 3.0, 2.0};
    assert_int_equal(mistakes.count, 3);
    assert_int_equal(mistakes.found, 6);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(list[i].image, images[i]);
        assert_true(list[i].margin == margins[i]);
        assert_true(fabs(list[i].probability - 1.0 / (1.0 + 2.0 * exp(-margins[i]))) < 1e-12);
    }
    assert_int_equal(list[0].label, 0);
    assert_int_equal(list[0].predicted, 2);
}

static void no_room_and_strange_logits(void **state)
{
    (void)state;
    struct agn_mistakes none = {.list = NULL};
    add(&none, 0, 0, 1, 1.0F);
    assert_int_equal(none.count, 0);
    assert_int_equal(none.found, 1);
    struct agn_mistake list[2];
    struct agn_mistakes mistakes = {.list = list, .capacity = 2};
    add(&mistakes, 0, 0, 1, 1.0F);
    add(&mistakes, 1, 0, 1, NAN); /* comes after all numbers */
    add(&mistakes, 2, 0, 1, INFINITY);
    assert_int_equal(list[0].image, 2);
    assert_int_equal(list[1].image, 0);
}

/* ---- against an evaluation ------------------------------------------------------------------- */

struct told {
    struct agn_mistakes mistakes;
    int images, right, classes;
    bool in_order;
};

static void hear(void *user, const struct agn_prediction *prediction)
{
    struct told *told = user;
    told->in_order = told->in_order && prediction->image == told->images;
    told->images++;
    told->right += prediction->predicted == prediction->label;
    for (int c = 0; c < told->classes; c++)
        assert_true(prediction->logits[c] <= prediction->logits[prediction->predicted]);
    agn_mistakes_add(&told->mistakes, prediction, told->classes);
}

static void an_evaluation_tells_of_each_image(void **state)
{
    (void)state;
    enum { IMAGES = 300, CLASSES = 4 }; /* more than a batch */
    static const struct tiny_config config = {"conv:c8:s2", 12, 12, 1, 3, 2, CLASSES, false};
    struct agn_dataset *data = tiny_dataset(&config, IMAGES, 5);
    struct agn_model *model = tiny_random_model(&config, data, 5);
    struct agn_mistake list[IMAGES];
    struct told told = {.mistakes = {.list = list, .capacity = IMAGES}, .classes = CLASSES, .in_order = true};
    struct agn_evaluation evaluation;
    assert_int_equal(agn_model_evaluate_images(model, data, &evaluation, hear, &told), AGN_OK);
    assert_true(told.in_order);
    assert_int_equal(told.images, IMAGES);
    assert_true(fabs(evaluation.fused_accuracy * IMAGES - told.right) < 1e-6);
    assert_int_equal(told.mistakes.found, IMAGES - told.right);
    assert_true(told.mistakes.found > 0);
    for (int i = 0; i < told.mistakes.count; i++) {
        assert_int_equal(data->labels[list[i].image], list[i].label);
        assert_true(i == 0 || list[i].margin <= list[i - 1].margin);
        assert_true(list[i].probability > 1.0 / CLASSES - 1e-6 && list[i].probability <= 1.0);
    }
    agn_model_free(model);
    agn_dataset_free(data);
}

/* ---- the sheet --------------------------------------------------------------------------------- */

enum { MOST = AGN_PLOT_MAX_MISTAKES };
static struct agn_plot_mistake pictures[MOST + 1];

static struct agn_plot_mistakes sheet_of(const uint8_t *pixels, int height, int width, int channels,
                                         int count)
{
    size_t image = (size_t)height * (size_t)width * (size_t)channels;
    for (int i = 0; i < count; i++)
        pictures[i] = (struct agn_plot_mistake){"cat", "dog", i, 1.5, pixels + (size_t)i % 2 * image};
    return (struct agn_plot_mistakes){"a title", height, width, channels, pictures, count};
}

static struct agn__image read_picture(const char *path)
{
    struct agn__image image;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(agn_file_read(path, 1 << 26, &bytes, &size), AGN_OK);
    struct agn__image_file file = {.data = bytes, .size_bytes = size, .name = path, .channels = 3};
    assert_int_equal(agn__image_decode(&file, &image), AGN_OK);
    agn_free(bytes);
    return image;
}

/* Is the image in the picture with its corner there, each pixel a square of `scale`? */
static bool is_at(const struct agn__image *picture, int top, int left, const struct agn_plot_mistakes *sheet,
                  const uint8_t *pixels, int scale)
{
    for (int y = 0; y < sheet->height * scale; y++)
        for (int x = 0; x < sheet->width * scale; x++)
            for (int c = 0; c < 3; c++) {
                int from =
                    (y / scale * sheet->width + x / scale) * sheet->channels + (sheet->channels == 3 ? c : 0);
                if (picture->pixels[((top + y) * picture->width + left + x) * 3 + c] != pixels[from])
                    return false;
            }
    return true;
}

static void images_are_shown_pixel_by_pixel(void **state)
{
    (void)state;
    static const struct {
        int height, width, channels, scale;
    } cases[] = {{28, 28, 1, 4}, {32, 32, 3, 4}, {64, 64, 3, 2}, {9, 17, 3, 7}, {100, 100, 1, 1}};
    static uint8_t pixels[2 * 100 * 100 * 3];
    srand(3);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)rand();
    const char *path = temp_path("sheet.png");
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        const struct agn_plot_mistakes sheet =
            sheet_of(pixels, cases[i].height, cases[i].width, cases[i].channels, 9);
        size_t image = (size_t)sheet.height * (size_t)sheet.width * (size_t)sheet.channels;
        assert_int_equal(agn_plot_mistakes(path, &sheet), AGN_OK);
        struct agn__image picture = read_picture(path);
        int found[2] = {0, 0};
        for (int top = 0; top + sheet.height * cases[i].scale <= picture.height; top++)
            for (int left = 0; left + sheet.width * cases[i].scale <= picture.width; left++)
                for (size_t which = 0; which < 2; which++)
                    found[which] +=
                        is_at(&picture, top, left, &sheet, pixels + which * image, cases[i].scale);
        if (found[0] != 5 || found[1] != 4)
            fail_msg("%dx%dx%d: images found %d and %d times", sheet.height, sheet.width, sheet.channels,
                     found[0], found[1]);
        agn_free(picture.pixels);
    }
}

static void all_sizes_and_counts_are_drawn(void **state)
{
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {8, 1024, 1}, {1024, 8, 3}, {1024, 1024, 3}, {40, 40, 2}};
    static const int counts[] = {0, 1, 2, 7, MOST};
    const char *path = temp_path("sheet.png");
    uint8_t *pixels = agn_alloc(2 * 1024 * 1024 * 3, 1);
    for (size_t i = 0; i < AGN_COUNT_OF(sizes); i++) {
        const struct agn_plot_mistakes sheet =
            sheet_of(pixels, sizes[i][0], sizes[i][1], sizes[i][2], counts[i]);
        if (agn_plot_mistakes(path, &sheet) < 0)
            fail_msg("%zu: %s", i, agn_error_message());
        struct agn__image picture = read_picture(path);
        assert_true(picture.width >= 600 && picture.width < 1200);
        agn_free(picture.pixels);
        assert_int_equal(remove(path), 0);
    }
    const struct agn_plot_mistakes bad[] = {
        sheet_of(pixels, 8, 8, 1, MOST + 1), sheet_of(pixels, 8, 8, 4, 1), sheet_of(pixels, 0, 8, 1, 1),
        sheet_of(pixels, 8, 1025, 1, 1),     sheet_of(pixels, 8, 8, 0, 1), sheet_of(pixels, 8, 8, 1, -1)};
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        assert_int_equal(agn_plot_mistakes(path, &bad[i]), AGN_ERR_ARG);
    assert_false(agn_file_exists(path));
    agn_free(pixels);
}

static void hostile_names_are_drawn(void **state)
{
    (void)state;
    static uint8_t pixels[2 * 64];
    char endless[3000];
    memset(endless, 'W', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    const char *const names[] = {"",
                                 endless,
                                 "it's `id` $(x) \\n @a \"q\" {/*2 b} %s %d",
                                 "two\nlines\r\x1b[2J\x01",
                                 "\xff\xfe\xc3( \xe2\x82",
                                 "犬猫鳥犬猫鳥犬猫鳥犬猫鳥犬猫鳥犬猫鳥",
                                 "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
                                 "\xe2\x80\xae right to left",
                                 "'\nexit\n'",
                                 "<b>&amp;</b>"};
    struct agn_plot_mistakes sheet = sheet_of(pixels, 8, 8, 1, AGN_COUNT_OF(names));
    const char *path = temp_path("it's a `sheet`.png");
    memset(pixels, 255, sizeof pixels);
    for (size_t i = 0; i < AGN_COUNT_OF(names); i++) {
        pictures[i].true_class = names[i];
        pictures[i].predicted_class = names[AGN_COUNT_OF(names) - 1 - i];
    }
    sheet.title = names[3];
    if (agn_plot_mistakes(path, &sheet) < 0)
        fail_msg("%s", agn_error_message());
    struct agn__image picture = read_picture(path);
    int dark = 0, all = picture.height * picture.width;
    for (int i = 0; i < all; i++)
        dark += picture.pixels[3 * i] < 128;
    agn_free(picture.pixels);
    assert_in_range(dark, 1, all / 20); /* nothing is drawn far larger than text */
    assert_int_equal(temp_count_entries(temp_folder()), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_come_first),
        cmocka_unit_test(no_room_and_strange_logits),
        cmocka_unit_test(an_evaluation_tells_of_each_image),
        cmocka_unit_test_setup_teardown(images_are_shown_pixel_by_pixel, temp_folder_setup,
                                        temp_folder_teardown),
        cmocka_unit_test_setup_teardown(all_sizes_and_counts_are_drawn, temp_folder_setup,
                                        temp_folder_teardown),
        cmocka_unit_test_setup_teardown(hostile_names_are_drawn, temp_folder_setup, temp_folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
