/* Changed inputs on a small trained model: the clean row is what evaluation and curves say, images that a
 * corruption leaves as they are keep their order exactly, long tails have the images that their formula
 * gives; rank correlations by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/curves.h"
#include "agilenn/plot.h"
#include "agilenn/shift.h"
#include "agilenn/train.h"
#include "temp_folder.h"
#include "tiny_model.h"

enum { IMAGES = 120, CLASSES = 4 };
static const struct tiny_config config = {"conv:c8:s2 conv:c12", 16, 16, 1, 4, 3, CLASSES, false};

static struct {
    struct agn_dataset *data;
    struct agn_model *model;
    uint8_t *bytes;
    size_t size;
} world;
static struct agn_shift result;
static struct agn_evaluation evaluation;

static int set_up(void **state)
{
    if (temp_folder_setup(state) != 0)
        return -1;
    agn_nn_set_threads(1);
    world.data = tiny_dataset(&config, IMAGES, 1);
    world.model = tiny_trained_model(&config, world.data, world.data, 1);
    assert_int_equal(agn_deploy_device(world.model, world.data, 0, &world.bytes, &world.size, NULL), AGN_OK);
    return 0;
}

static int tear_down(void **state)
{
    agn_free(world.bytes);
    agn_model_free(world.model);
    agn_dataset_free(world.data);
    return temp_folder_teardown(state);
}

static void measure(const struct agn_shift_config *it)
{
    if (agn_shift_measure(it, &result) != AGN_OK)
        fail_msg("%s", agn_error_message());
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void correlations_by_hand(void **state)
{
    (void)state;
    const float up[] = {1, 2, 3, 4, 5}, down[] = {9, 7, 5, 3, 1}, mixed[] = {2, 1, 4, 3, 5},
                same[] = {3, 3, 3, 3, 3};
    const float tied[] = {1, 2, 2, 3}, four[] = {10, 20, 30, 40}, far[] = {1, 2, 3, 4, 1e30F};
    assert_true(is_near(agn_rank_correlation(up, up, 5), 1.0));
    assert_true(is_near(agn_rank_correlation(up, far, 5), 1.0)); /* of ranks */
    assert_true(is_near(agn_rank_correlation(up, down, 5), -1.0));
    assert_true(is_near(agn_rank_correlation(up, mixed, 5), 1.0 - 6.0 * 4.0 / (5.0 * 24.0)));
    assert_true(is_near(agn_rank_correlation(tied, four, 4), 4.5 / sqrt(4.5 * 5.0))); /* ranks 1 2.5 2.5 4 */
    assert_true(isnan(agn_rank_correlation(up, same, 5)) && isnan(agn_rank_correlation(same, up, 5)));
    assert_true(isnan(agn_rank_correlation(up, up, 1)));
    const float a[] = {5, 4, 3, 2, 1}, b[] = {5, 1, 4, 2, 3};
    assert_true(is_near(agn_top_kept(a, b, 5, 1), 1.0));
    assert_true(is_near(agn_top_kept(a, b, 5, 2), 0.5));
    assert_true(is_near(agn_top_kept(a, b, 5, 3), 2.0 / 3.0));
    assert_true(is_near(agn_top_kept(a, b, 5, 5), 1.0));
    assert_true(is_near(agn_top_kept(same, a, 5, 2), 1.0)); /* of equals the first */
    assert_true(is_near(agn_top_kept(a, down, 5, 2), 1.0));
    assert_true(is_near(agn_top_kept(up, down, 5, 2), 0.0));
}

static void names_are_read(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",      "nosie", "noise,",    ",noise", "noise,,blur",
                                        "other", "clean", "noise blur"};
    unsigned kinds = 77;
    for (size_t i = 0; i < AGN_COUNT_OF(wrong); i++) {
        assert_int_equal(agn_shift_kinds_parse(wrong[i], &kinds), AGN_ERR_ARG);
        assert_non_null(strstr(agn_error_message(), "long-tail"));
        assert_int_equal(kinds, 77);
    }
    assert_int_equal(agn_shift_kinds_parse("haze,long-tail,haze", &kinds), AGN_OK);
    assert_int_equal(kinds, 1U << AGN_CORRUPTION_HAZE | 1U << AGN_SHIFT_LONG_TAIL);
    assert_int_equal(agn_shift_kinds_parse("all", &kinds), AGN_OK);
    assert_int_equal(kinds, (1U << AGN_SHIFT_OTHER) - 1);
}

static void clean_is_what_others_say(void **state)
{
    (void)state;
    static struct agn_curves curves;
    const struct agn_shift_config it = {.model = world.model,
                                        .data = world.data,
                                        .other = world.data,
                                        .kinds = 1U << AGN_CORRUPTION_NOISE | 1U << AGN_CORRUPTION_JPEG,
                                        .device = world.bytes,
                                        .device_bytes = world.size,
                                        .seed = 1};
    const struct agn_curves_config ends = {.model = world.model,
                                           .device = world.bytes,
                                           .device_bytes = world.size,
                                           .data = world.data,
                                           .packet_bytes = {AGN_WIRE_MAX_PACKET},
                                           .whole_only = true};
    measure(&it);
    assert_int_equal(agn_model_evaluate(world.model, world.data, &evaluation), AGN_OK);
    assert_int_equal(agn_curves_measure(&ends, &curves), AGN_OK);
    assert_int_equal(result.count, 1 + 2 * AGN_CORRUPTION_STRENGTHS + 1);
    for (int i = 0; i < result.count; i += result.count - 1) { /* the first and the last: the same images */
        const struct agn_shift_row *row = &result.rows[i];
        assert_int_equal(row->kind, i == 0 ? AGN_SHIFT_CLEAN : AGN_SHIFT_OTHER);
        assert_int_equal(row->images, IMAGES);
        assert_true(row->fused_accuracy == evaluation.fused_accuracy);
        assert_true(row->local_accuracy == evaluation.local_accuracy);
        assert_true(row->remote_accuracy == evaluation.remote_accuracy);
        assert_true(row->reference_valid == evaluation.reference_valid && row->reference_valid > 0.3);
        assert_true(row->skewness == evaluation.skewness && row->disorder_rate == evaluation.disorder_rate);
        assert_true(row->rank_correlation == 1.0 && row->top_kept == 1.0);
        assert_true(isnan(row->image_rank_correlation) && isnan(row->parameter) && isnan(row->unsent_share));
        assert_true(is_near(row->bytes, curves.loss[0][0].bytes) && row->bytes > 20.0);
    }
    assert_int_equal(result.byte_images, IMAGES);
    for (int i = 1; i < result.count - 1; i++) {
        const struct agn_shift_row *row = &result.rows[i];
        assert_int_equal(row->strength, (i - 1) % AGN_CORRUPTION_STRENGTHS + 1);
        assert_true(row->compared > 0 && row->compared <= IMAGES);
        assert_true(row->image_rank_correlation <= 1.0 && row->image_rank_correlation > -1.0);
        assert_true(row->image_top_kept > 0.0 && row->rank_correlation <= 1.0);
    }
    /* more noise, less of the single images' order */
    assert_true(result.rows[1].image_rank_correlation > result.rows[5].image_rank_correlation);
    assert_int_equal(result.rows[1].kind, AGN_CORRUPTION_NOISE);
}

/* The summary, from the rows. */
static void the_summary_agrees(void **state)
{
    (void)state;
    int holds = 0;
    double lowest = 2.0;
    for (int strength = 1; strength <= AGN_CORRUPTION_STRENGTHS; strength++) {
        double here = 2.0;
        for (int i = 1; i < result.count - 1; i++)
            if (result.rows[i].strength == strength)
                here = fmin(here, result.rows[i].rank_correlation);
        if (strength == 1 || here >= AGN_SHIFT_HOLDS)
            lowest = fmin(lowest, here);
        if (here < AGN_SHIFT_HOLDS)
            break;
        holds = strength;
    }
    assert_int_equal(result.holds, holds);
    assert_true(result.lowest == lowest);
}

/* Flat images are blurred into themselves: importance keeps its order exactly. */
static void what_does_not_change_keeps_its_order(void **state)
{
    (void)state;
    struct agn_dataset flat = *world.data;
    uint8_t pixels[IMAGES * 16 * 16];
    for (int i = 0; i < IMAGES; i++)
        memset(pixels + i * 256, 40 + i, 256);
    flat.pixels = pixels;
    const struct agn_shift_config it = {.model = world.model,
                                        .data = &flat,
                                        .kinds = 1U << AGN_CORRUPTION_BLUR | 1U << AGN_CORRUPTION_ROTATE};
    measure(&it);
    for (int i = 1; i < result.count; i++) {
        const struct agn_shift_row *row = &result.rows[i], *clean = &result.rows[0];
        assert_true(row->fused_accuracy == clean->fused_accuracy && row->skewness == clean->skewness);
        assert_true(row->rank_correlation == 1.0 && row->top_kept == 1.0);
        assert_true(row->compared > 0 && is_near(row->image_rank_correlation, 1.0) &&
                    row->image_top_kept == 1.0);
        assert_true(isnan(row->bytes)); /* no device */
    }
    assert_int_equal(result.byte_images, 0);
    assert_int_equal(result.holds, 5);
    assert_true(result.lowest == 1.0);
}

static void tails_have_their_images(void **state)
{
    (void)state;
    const struct agn_shift_config it = {
        .model = world.model, .data = world.data, .kinds = 1U << AGN_SHIFT_LONG_TAIL, .seed = 3};
    static const double ratios[] = {10.0, 50.0, 100.0};
    measure(&it);
    assert_int_equal(result.count, 1 + 9);
    bool differ = false;
    for (int i = 1; i < result.count; i++) {
        const struct agn_shift_row *row = &result.rows[i];
        double ratio = ratios[(i - 1) / 3];
        int images = 0;
        for (int r = 0; r < CLASSES; r++) /* 30 of each class */
            images += (int)fmax(1.0, round(30.0 * pow(ratio, -r / (CLASSES - 1.0))));
        assert_int_equal(row->images, images);
        assert_true(row->parameter == ratio && row->strength == (i - 1) / 3 + 1 &&
                    row->draw == (i - 1) % 3 + 1);
        assert_true(isnan(row->image_rank_correlation) && row->compared == 0);
        differ = differ || row->skewness != result.rows[1].skewness;
    }
    assert_true(differ);
    assert_int_equal(result.holds, -1);
}

/* The share that stays unsent by a margin, against the curves'; on a subsample it is of these images. */
static void the_device_decides(void **state)
{
    (void)state;
    static struct agn_curves curves;
    struct agn_shift_config it = {.model = world.model,
                                  .data = world.data,
                                  .kinds = 1U << AGN_CORRUPTION_CONTRAST,
                                  .device = world.bytes,
                                  .device_bytes = world.size};
    const struct agn_curves_config ends = {.model = world.model,
                                           .device = world.bytes,
                                           .device_bytes = world.size,
                                           .data = world.data,
                                           .whole_only = true};
    assert_int_equal(agn_deploy_confidence(world.bytes, world.size, world.data, 0.5, NULL), AGN_OK);
    measure(&it);
    assert_int_equal(agn_curves_measure(&ends, &curves), AGN_OK);
    assert_true(curves.sure_margin > 0 && curves.sure.x < 1.0);
    assert_true(is_near(result.rows[0].unsent_share, 1.0 - curves.sure.x));
    it.byte_images = 7;
    measure(&it);
    assert_int_equal(result.byte_images, 7);
    assert_true(is_near(7.0 * result.rows[2].unsent_share, round(7.0 * result.rows[2].unsent_share)));
}

/* A device alone: what needs a reference or a server is not known, and nothing is sent. */
static void a_system_without_parts(void **state)
{
    (void)state;
    struct agn_preset preset;
    struct agn_model *model = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0;
    tiny_preset(&config, 1, &preset);
    assert_int_equal(agn_preset_set(&preset, "model.system=local-only"), AGN_OK);
    assert_int_equal(agn_preset_set(&preset, "model.local=conv:c8:s2 conv:c8"), AGN_OK);
    assert_int_equal(agn_model_create(&preset, world.data, &model), AGN_OK);
    assert_int_equal(agn_deploy_device(model, world.data, 0, &bytes, &size, NULL), AGN_OK);
    const struct agn_shift_config it = {.model = model,
                                        .data = world.data,
                                        .kinds = 1U << AGN_CORRUPTION_NOISE,
                                        .device = bytes,
                                        .device_bytes = size};
    measure(&it);
    for (int i = 0; i < result.count; i++) {
        const struct agn_shift_row *row = &result.rows[i];
        assert_true(row->fused_accuracy == row->local_accuracy && isnan(row->remote_accuracy));
        assert_true(isnan(row->skewness) && isnan(row->rank_correlation) && isnan(row->top_kept));
        assert_true(row->bytes == 0.0 && isnan(row->unsent_share));
    }
    assert_int_equal(result.holds, -1);
    agn_free(bytes);
    agn_model_free(model);
}

static void expect_failure(const struct agn_shift_config *it, int status, const char *words)
{
    result.images = -7;
    assert_int_equal(agn_shift_measure(it, &result), status);
    assert_non_null(strstr(agn_error_message(), words));
    assert_int_equal(result.images, -7);
}

static void refusals(void **state)
{
    (void)state;
    struct agn_dataset wrong = *world.data;
    struct agn_shift_config it = {.model = world.model, .data = &wrong};
    wrong.height = 8;
    expect_failure(&it, AGN_ERR_MISMATCH, "8x16");
    it.data = world.data;
    it.other = &wrong;
    expect_failure(&it, AGN_ERR_MISMATCH, "8x16");
    wrong = *world.data;
    wrong.count = 0;
    expect_failure(&it, AGN_ERR_ARG, "without images");
    it.other = NULL;
    it.device = world.bytes;
    it.device_bytes = world.size;
    world.model->alpha_weight += 1.0F; /* another model now */
    expect_failure(&it, AGN_ERR_MISMATCH, "export it anew");
    world.model->alpha_weight -= 1.0F;
    it.device_bytes = 10;
    result.images = -7;
    assert_true(agn_shift_measure(&it, &result) < 0);
    assert_int_equal(result.images, -7);
}

static void files_are_written(void **state)
{
    (void)state;
    char folder[512], path[600];
    const struct agn_shift_config it = {.model = world.model,
                                        .data = world.data,
                                        .kinds = 1U << AGN_CORRUPTION_NOISE | 1U << AGN_SHIFT_LONG_TAIL};
    if (agn_plot_available() < 0)
        skip();
    measure(&it);
    snprintf(folder, sizeof folder, "%s", temp_path("a/shift"));
    assert_int_equal(agn_shift_write(&result, "it's a model", folder), AGN_OK);
    assert_int_equal(temp_count_lines("a/shift/shift.csv"), 1 + 1 + 5 + 9);
    assert_true(agn_file_exists(temp_path("a/shift/shift.png")) &&
                agn_file_exists(temp_path("a/shift/shift.svg")));
    snprintf(path, sizeof path, "%s/samples.png", folder);
    assert_int_equal(agn_shift_draw_samples(world.data, 0, 1, path), AGN_OK);
    assert_true(agn_file_exists(path));
    struct agn_dataset none = *world.data;
    none.count = 0;
    assert_int_equal(agn_shift_draw_samples(&none, 0, 1, path), AGN_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correlations_by_hand),
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(clean_is_what_others_say),
        cmocka_unit_test(the_summary_agrees), /* of the one before */
        cmocka_unit_test(what_does_not_change_keeps_its_order),
        cmocka_unit_test(tails_have_their_images),
        cmocka_unit_test(a_system_without_parts),
        cmocka_unit_test(refusals),
        cmocka_unit_test(files_are_written),
        cmocka_unit_test(the_device_decides), /* the last: the device has a margin from here on */
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
