/* Explanations of a trained model: integrated gradients add up to l(F) - l(0) as points grow, and whether the
 * reference is right is told. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agilenn/measure.h"
#include "tiny_model.h"

enum { IMAGES = 12, TEST_IMAGES = 60, CLASSES = 3 };
static const struct tiny_config tiny = {.extractor = "conv:c4:s2 conv:c6",
                                        .height = 12,
                                        .width = 12,
                                        .channels = 1,
                                        .local_channels = 2,
                                        .grid = 2,
                                        .classes = CLASSES};
static struct agn_dataset *train, *test;
static struct agn_model *model;

static int setup(void **state)
{
    (void)state;
    agn_nn_set_threads(1);
    train = tiny_dataset(&tiny, 240, 1);
    test = tiny_dataset(&tiny, TEST_IMAGES, 2);
    model = tiny_trained_model(&tiny, train, test, 3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    agn_model_free(model);
    agn_dataset_free(train);
    agn_dataset_free(test);
    return 0;
}

static void explain(const char *method, int points, struct agn_explanation explanations[IMAGES])
{
    const struct agn_explain_config config = {
        .model = model, .data = test, .count = IMAGES, .method = method, .points = points};
    if (agn_explain(&config, explanations) < 0)
        fail_msg("%s", agn_error_message());
}

static double mean_gap(const struct agn_explanation explanations[IMAGES])
{
    double gap = 0.0, difference = 0.0;
    for (int i = 0; i < IMAGES; i++) {
        double step = explanations[i].loss - explanations[i].loss_at_zero;
        gap += fabs(explanations[i].attribution_sum - step);
        difference += fabs(step);
    }
    assert_true(difference > 0.1);
    return gap / difference;
}

static void attributions_add_up(void **state)
{
    (void)state;
    static const char *const rules[] = {"ig-trapezoid", "ig-midpoint", "ig-gauss-legendre"};
    struct agn_explanation explanations[IMAGES];
    for (size_t r = 0; r < AGN_COUNT_OF(rules); r++) {
        explain(rules[r], 4, explanations);
        double few = mean_gap(explanations);
        explain(rules[r], 128, explanations);
        double many = mean_gap(explanations);
        print_message("%s: off by %.2f %% with 4 points, %.3f %% with 128\n", rules[r], 100.0 * few,
                      100.0 * many);
        assert_true(many < 0.01 && many < 0.3 * few);
    }
}

/* The table that `agilenn explain --completeness` prints holds what single explanations give. */
static void the_table_agrees(void **state)
{
    (void)state;
    static const char *const rules[AGN_COMPLETENESS_RULES] = {"ig-trapezoid", "ig-midpoint",
                                                              "ig-gauss-legendre"};
    const struct agn_explain_config config = {.model = model, .data = test, .count = IMAGES};
    struct agn_completeness table;
    struct agn_explanation explanations[IMAGES];
    assert_int_equal(agn_explain_completeness(&config, &table), AGN_OK);
    assert_int_equal(table.images, IMAGES);
    for (int row = 0; row < AGN_COMPLETENESS_ROWS; row++) {
        assert_int_equal(table.points[row], 1 << row);
        for (int rule = 0; rule < AGN_COMPLETENESS_RULES; rule++) {
            if (row == 0 && rule == 0) {
                assert_true(isnan(table.gap[row][rule])); /* a trapezoid has two points */
                continue;
            }
            explain(rules[rule], table.points[row], explanations);
            double gap = mean_gap(explanations);
            if (!(fabs(table.gap[row][rule] - gap) <= 1e-4 + 1e-3 * gap)) {
                fail_msg("%s, %d points: %g in the table, %g by itself", rules[rule], table.points[row],
                         table.gap[row][rule], gap);
            }
        }
    }
    const int missing[] = {0, TEST_IMAGES};
    const struct agn_explain_config wrong = {.model = model, .data = test, .images = missing, .count = 2};
    assert_int_equal(agn_explain_completeness(&wrong, &table), AGN_ERR_RANGE);
}

/* l(F) and who is right, against the model's own evaluation. */
static void the_reference_is_told_wrong(void **state)
{
    (void)state;
    struct agn_explanation explanations[IMAGES];
    struct agn_evaluation evaluation;
    struct agn_dataset first = *test;
    int valid = 0;
    first.count = IMAGES;
    explain(NULL, 0, explanations);
    for (int i = 0; i < IMAGES; i++) {
        const struct agn_explanation *e = &explanations[i];
        assert_true(e->reference_valid == (e->reference_class == e->label));
        assert_true(e->loss > 0.0 && e->loss_at_zero > 0.0);
        assert_true(!e->reference_valid || e->loss < log(CLASSES)); /* most likely is above 1 / classes */
        valid += e->reference_valid;
    }
    assert_int_equal(agn_model_evaluate(model, &first, &evaluation), AGN_OK);
    assert_true(fabs(evaluation.reference_valid * IMAGES - valid) < 1e-6);
    /* with every label wrong, no image is valid */
    uint16_t labels[TEST_IMAGES] = {0};
    int wrong = 0;
    for (int i = 0; i < IMAGES; i++)
        labels[i] = (uint16_t)((explanations[i].reference_class + 1) % CLASSES);
    uint16_t *own = test->labels;
    test->labels = labels;
    explain(NULL, 0, explanations);
    for (int i = 0; i < IMAGES; i++)
        wrong += !explanations[i].reference_valid;
    test->labels = own;
    assert_int_equal(wrong, IMAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributions_add_up),
        cmocka_unit_test(the_table_agrees),
        cmocka_unit_test(the_reference_is_told_wrong),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
