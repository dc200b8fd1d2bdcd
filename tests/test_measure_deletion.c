/* Deletion curves on a small trained model: their ends are what evaluation says, what lies between is counted
 * here image by image, areas are those of the curves, and what is called important is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/deletion.h"
#include "agilenn/plot.h"
#include "agilenn/train.h"
#include "temp_folder.h"
#include "tiny_training.h"

enum { IMAGES = 120, CHANNELS = 8, LOCAL = 2, SENT = CHANNELS - LOCAL, CLASSES = TINY_CLASSES };

static struct tiny_dataset train, test;
static struct agn_model *model;
static struct agn_evaluation evaluation;
static struct agn_deletion result, again;
static const enum agn_xai_method methods[] = {AGN_XAI_IG_TRAPEZOID, AGN_XAI_GRADIENT_X_INPUT};

static struct agn_deletion_config usual(void)
{
    return (struct agn_deletion_config){
        .model = model, .data = &test.set, .methods = methods, .method_count = 2, .draws = 4, .seed = 1};
}

static int set_up(void **state)
{
    struct agn_train_config training = {.train = &train.set, .test = &test.set};
    struct agn_train_report report;
    struct agn_deletion_config it;
    if (temp_folder_setup(state) != 0)
        return -1;
    agn_nn_set_threads(1);
    tiny_dataset_make(&train, 600, 1);
    tiny_dataset_make(&test, IMAGES, 2);
    tiny_preset_make(&training.preset);
    assert_int_equal(agn_train_run(&training, &model, &report), AGN_OK);
    assert_int_equal(agn_model_evaluate(model, &test.set, &evaluation), AGN_OK);
    assert_true(evaluation.reference_valid > 0.6); /* or importance says little */
    it = usual();
    assert_int_equal(agn_deletion_measure(&it, &result), AGN_OK);
    return 0;
}

static int tear_down(void **state)
{
    agn_model_free(model);
    tiny_dataset_free(&train);
    tiny_dataset_free(&test);
    return temp_folder_teardown(state);
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void check_ends(const struct agn_deletion_pair *pair)
{
    const double *gone = pair->deletion.accuracy, *back = pair->insertion.accuracy;
    assert_true(is_near(gone[0], evaluation.reference_valid) && is_near(back[CHANNELS], gone[0]));
    assert_true(is_near(gone[CHANNELS], back[0]) && is_near(back[0], result.fixed.insertion.accuracy[0]));
    assert_true(is_near(pair->deletion.probability[0], pair->insertion.probability[CHANNELS]));
    assert_true(is_near(pair->deletion.probability[CHANNELS], result.fixed.deletion.probability[CHANNELS]));
    assert_true(pair->deletion.probability_area > 0.0 && pair->deletion.probability_area < 1.0);
}

static void the_ends_are_all_and_nothing(void **state)
{
    (void)state;
    assert_int_equal(result.channels, CHANNELS);
    assert_int_equal(result.sent_channels, SENT);
    assert_int_equal(result.images, IMAGES);
    check_ends(&result.fixed);
    check_ends(&result.random);
    for (int m = 0; m < result.method_count; m++) {
        const struct agn_deletion_method *method = &result.methods[m];
        assert_int_equal(method->method, methods[m]);
        check_ends(&method->falling);
        check_ends(&method->rising);
        assert_true(is_near(method->fused_falling.accuracy[0], evaluation.fused_accuracy));
        assert_true(is_near(method->fused_rising.accuracy[0], evaluation.fused_accuracy));
        assert_true(is_near(method->fused_falling.accuracy[SENT], evaluation.local_accuracy));
        assert_true(is_near(method->fused_rising.accuracy[SENT], evaluation.local_accuracy));
    }
}

/* One image at a time, by the networks themselves: the n most important channels gone, or these alone. */
static void what_lies_between_is_counted_by_hand(void **state)
{
    (void)state;
    struct agn_runner runner = {0};
    struct agn_loader *loader = NULL;
    struct agn_batch batch;
    struct agn_xai *xai = NULL;
    const struct agn_loader_config load = {.batch = 1, .normalisation = model->normalisation};
    const struct agn_xai_config attribution = {.method = AGN_XAI_GRADIENT_X_INPUT,
                                               .points = 1,
                                               .graph = &model->parts[AGN_REFERENCE].graph,
                                               .params = model->parts[AGN_REFERENCE].params,
                                               .batch = 1};
    const size_t floats = (size_t)model->map.height * (size_t)model->map.width * CHANNELS;
    float importance[CHANNELS], *map = agn_alloc(floats, sizeof *map);
    int gone[CHANNELS + 1] = {0}, alone[CHANNELS + 1] = {0}, fixed[CHANNELS + 1] = {0};
    assert_non_null(map);
    assert_int_equal(agn_runner_open(&runner, model, 1, 1U << AGN_REFERENCE), AGN_OK);
    assert_int_equal(agn_xai_create(&attribution, &xai), AGN_OK);
    assert_int_equal(agn_loader_create(&test.set, &load, &loader), AGN_OK);
    assert_int_equal(agn_loader_start(loader, 0), AGN_OK);
    while (agn_loader_next(loader, &batch) > 0) {
        int label = batch.labels[0];
        assert_int_equal(agn_runner_extract(&runner, batch.images), AGN_OK);
        const float *features = agn_runner_output(&runner, AGN_EXTRACTOR, 0);
        assert_int_equal(agn_xai_attribute(xai, features, batch.labels), AGN_OK);
        agn_xai_channel_importance(agn_xai_attributions(xai), 1, model->map, importance);
        for (int n = 0; n <= CHANNELS; n++)
            for (int kind = 0; kind < 3; kind++) {
                for (size_t i = 0; i < floats; i++) {
                    int c = (int)(i % CHANNELS), place = 0; /* of the channel among the important ones */
                    for (int other = 0; other < CHANNELS; other++)
                        place += importance[other] > importance[c] ||
                                 (importance[other] == importance[c] && other < c);
                    bool zero = kind == 0 ? place < n : kind == 1 ? place >= n : c < n;
                    map[i] = zero ? 0.0F : features[i];
                }
                assert_int_equal(agn_runner_run(&runner, AGN_REFERENCE, map), AGN_OK);
                bool right = agn_argmax(agn_runner_output(&runner, AGN_REFERENCE, 0), CLASSES) == label;
                *(kind == 0 ? &gone[n] : kind == 1 ? &alone[n] : &fixed[n]) += right;
            }
    }
    agn_loader_free(loader);
    agn_xai_free(xai);
    agn_runner_close(&runner);
    agn_free(map);
    for (int n = 0; n <= CHANNELS; n++) {
        assert_true(is_near(result.methods[1].falling.deletion.accuracy[n], (double)gone[n] / IMAGES));
        assert_true(is_near(result.methods[1].falling.insertion.accuracy[n], (double)alone[n] / IMAGES));
        assert_true(is_near(result.fixed.deletion.accuracy[n], (double)fixed[n] / IMAGES));
    }
}

static void areas_are_those_of_the_curves(void **state)
{
    (void)state;
    const struct agn_deletion_curve *curve = &result.methods[0].falling.deletion;
    double sum = 0.5 * (curve->probability[0] + curve->probability[CHANNELS]);
    for (int n = 1; n < CHANNELS; n++)
        sum += curve->probability[n];
    assert_true(is_near(curve->probability_area, sum / CHANNELS));
    curve = &result.methods[1].fused_rising;
    sum = 0.5 * (curve->accuracy[0] + curve->accuracy[SENT]);
    for (int n = 1; n < SENT; n++)
        sum += curve->accuracy[n];
    assert_true(is_near(curve->accuracy_area, sum / SENT));
}

static void what_is_important_matters(void **state)
{
    (void)state;
    for (int m = 0; m < result.method_count; m++) {
        const struct agn_deletion_method *method = &result.methods[m];
        print_message("%s: deletion %.3f falling, %.3f rising, %.3f at random; insertion %.3f, %.3f\n",
                      agn_xai_method_name(method->method), method->falling.deletion.probability_area,
                      method->rising.deletion.probability_area, result.random.deletion.probability_area,
                      method->falling.insertion.probability_area, method->rising.insertion.probability_area);
        assert_true(method->falling.deletion.probability_area < result.random.deletion.probability_area);
        assert_true(result.random.deletion.probability_area < method->rising.deletion.probability_area);
        assert_true(method->falling.deletion.accuracy_area < method->rising.deletion.accuracy_area);
        assert_true(method->falling.insertion.probability_area > method->rising.insertion.probability_area);
    }
}

static void the_seed_draws_orders(void **state)
{
    (void)state;
    struct agn_deletion_config it = usual();
    assert_int_equal(agn_deletion_measure(&it, &again), AGN_OK);
    again.seconds = result.seconds;
    assert_memory_equal(&again, &result, sizeof result);
    it.seed = 2;
    assert_int_equal(agn_deletion_measure(&it, &again), AGN_OK);
    assert_memory_not_equal(&again.random, &result.random, sizeof result.random);
    assert_memory_equal(&again.methods, &result.methods, sizeof result.methods);
    it.method_count = it.draws = 0;
    assert_int_equal(agn_deletion_measure(&it, &again), AGN_OK);
    assert_int_equal(again.method_count, 1);
    assert_int_equal(again.methods[0].method, (int)model->preset.joint.method);
    assert_int_equal(again.draws, 3);
}

static void expect_failure(const struct agn_deletion_config *it, int status, const char *words)
{
    again.images = -7;
    assert_int_equal(agn_deletion_measure(it, &again), status);
    assert_non_null(strstr(agn_error_message(), words));
    assert_int_equal(again.images, -7);
}

static void refusals(void **state)
{
    (void)state;
    struct agn_dataset wrong = test.set;
    struct agn_deletion_config it = usual();
    it.draws = AGN_DELETION_DRAWS + 1;
    expect_failure(&it, AGN_ERR_RANGE, "at most 8 and 5");
    it = usual();
    it.points = 1; /* a trapezoid has two */
    again.images = -7;
    assert_true(agn_deletion_measure(&it, &again) < 0);
    assert_int_equal(again.images, -7);
    it = usual();
    it.data = &wrong;
    wrong.width = 11;
    expect_failure(&it, AGN_ERR_MISMATCH, "12x11");
    wrong = test.set;
    wrong.count = 0;
    expect_failure(&it, AGN_ERR_ARG, "no images");
    struct agn_preset preset;
    struct agn_model *alone = NULL;
    tiny_preset_make(&preset);
    assert_int_equal(agn_preset_set(&preset, "model.system=local-only"), AGN_OK);
    assert_int_equal(agn_preset_set(&preset, "model.local=conv:c8:s2"), AGN_OK);
    assert_int_equal(agn_model_create(&preset, &test.set, &alone), AGN_OK);
    it = usual();
    it.model = alone;
    expect_failure(&it, AGN_ERR_UNSUPPORTED, "local-only");
    agn_model_free(alone);
}

static void files_are_written(void **state)
{
    (void)state;
    char folder[512];
    if (agn_plot_available() < 0)
        skip();
    snprintf(folder, sizeof folder, "%s", temp_path("a/deletion"));
    assert_int_equal(agn_deletion_write(&result, "it's a model", folder), AGN_OK);
    assert_int_equal(temp_count_lines("a/deletion/deletion.csv"),
                     1 + (2 * 2 + 2) * 2 * (CHANNELS + 1) + 2 * 2 * (SENT + 1));
    assert_true(agn_file_exists(temp_path("a/deletion/deletion.png")));
    assert_true(agn_file_exists(temp_path("a/deletion/deletion.svg")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ends_are_all_and_nothing),
        cmocka_unit_test(what_lies_between_is_counted_by_hand),
        cmocka_unit_test(areas_are_those_of_the_curves),
        cmocka_unit_test(what_is_important_matters),
        cmocka_unit_test(the_seed_draws_orders),
        cmocka_unit_test(refusals),
        cmocka_unit_test(files_are_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
