/* Alpha in both forms: start, value, and the way that SGD takes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/model_internal.h"

static struct agn_model model_with(const char *form, double initial)
{
    struct agn_model model = {
        .system = agn_systems[0], .parts[AGN_LOCAL].graph.count = 2, .parts[AGN_REMOTE].graph.count = 2};
    agn_preset_defaults(&model.preset);
    char assignment[64];
    snprintf(assignment, sizeof(assignment), "model.alpha_form=%s", form);
    assert_int_equal(agn_preset_set(&model.preset, assignment), AGN_OK);
    model.preset.model.alpha_initial = initial;
    agn__alpha_initialise(&model);
    return model;
}

static void expect_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%.9g, expected %.9g", got, expected);
}

static void is_nothing_where_there_is_no_fusion(void **state)
{
    (void)state;
    struct agn_model model = model_with("sigmoid", 0.27);
    assert_int_equal(agn_system_find("spinn", &model.system), AGN_OK);
    expect_near(agn_model_alpha(&model), 0.0, 0.0);
}

static void starts_where_the_preset_says(void **state)
{
    (void)state;
    static const double initial[] = {0.001, 0.27, 0.5, 0.999};
    for (size_t i = 0; i < AGN_COUNT_OF(initial); i++) {
        struct agn_model paper = model_with("sigmoid", initial[i]), code = model_with("softmax", initial[i]);
        expect_near(agn_model_alpha(&paper), initial[i], 1e-6);
        expect_near(agn_model_alpha(&code), initial[i], 1e-6);
    }
}

/* A loss of alpha, and its derivative. */
static double loss_of(double alpha)
{
    return 3.0 * (alpha - 0.6) * (alpha - 0.6);
}

static double slope_of(double alpha)
{
    return 6.0 * (alpha - 0.6);
}

/* One step without momentum moves w by rate times the difference quotient of the loss. */
static void the_sigmoid_gradient_is_exact(void **state)
{
    (void)state;
    struct agn_model model = model_with("sigmoid", 0.3), moved = model;
    struct agn_sgd sgd = {.rate = 0.125F};
    float step = 0x1p-7F;
    moved.alpha_weight = model.alpha_weight + step;
    double above = loss_of(agn_model_alpha(&moved));
    moved.alpha_weight = model.alpha_weight - step;
    double below = loss_of(agn_model_alpha(&moved)), before = (double)model.alpha_weight;
    double expected = (above - below) / (2.0 * (double)step);
    assert_true(fabs(expected) > 0.01);
    agn_model_step_alpha(&model, (float)slope_of(agn_model_alpha(&model)), &sgd);
    expect_near((before - (double)model.alpha_weight) / 0.125, expected, 1e-5);
}

/* The public code's two weights, as themselves, with Nesterov momentum. */
static void softmax_moves_like_two_weights(void **state)
{
    (void)state;
    const double rate = 0.05, keep = 0.9;
    struct agn_model model = model_with("softmax", 0.27);
    struct agn_sgd sgd = {.rate = 0.05F, .momentum = 0.9F, .nesterov = true};
    double w[2] = {log(0.27 / 0.73) + 1.0, 1.0}, momentum[2] = {0};
    for (int step = 0; step < 50; step++) {
        double alpha = exp(w[0]) / (exp(w[0]) + exp(w[1])), slope = slope_of(alpha);
        expect_near(agn_model_alpha(&model), alpha, 1e-5);
        for (int i = 0; i < 2; i++) {
            double gradient = slope * alpha * (1.0 - alpha) * (i == 0 ? 1.0 : -1.0);
            momentum[i] = keep * momentum[i] + gradient;
            w[i] -= rate * (keep * momentum[i] + gradient);
        }
        agn_model_step_alpha(&model, (float)slope_of(agn_model_alpha(&model)), &sgd);
    }
    assert_true(fabs(agn_model_alpha(&model) - 0.27) > 0.2); /* it has gone somewhere */
}

/* w as a plain number under Kingma and Ba's Adam. */
static void adam_moves_w(void **state)
{
    (void)state;
    struct agn_model model = model_with("sigmoid", 0.27);
    const struct agn_adam adam = {
        .rate = 0.05F, .beta1 = 0.9F, .beta2 = 0.99F, .epsilon = 1e-8F, .decay = 0.1F};
    double w = (double)model.alpha_weight, m = 0.0, v = 0.0;
    for (int t = 1; t <= 50; t++) {
        double alpha = 1.0 / (1.0 + exp(-w / 6.0)), g = slope_of(alpha) * alpha * (1.0 - alpha) / 6.0;
        m = 0.9 * m + 0.1 * g;
        v = 0.99 * v + 0.01 * g * g;
        w -= 0.05 * m / (1.0 - pow(0.9, t)) / (sqrt(v / (1.0 - pow(0.99, t))) + 1e-8);
        agn_model_step_alpha_adam(&model, (float)slope_of(agn_model_alpha(&model)), &adam);
        expect_near((double)model.alpha_weight, w, 1e-4);
    }
    assert_true(agn_model_alpha(&model) > 0.3);
}

static void one_answer_has_all_the_weight(void **state)
{
    (void)state;
    struct agn_model model = model_with("sigmoid", 0.27);
    model.parts[AGN_REMOTE].graph.count = 1;
    assert_true(agn_model_alpha(&model) == 1.0);
    model.parts[AGN_LOCAL].graph.count = 1;
    assert_true(agn_model_alpha(&model) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_where_the_preset_says),
        cmocka_unit_test(is_nothing_where_there_is_no_fusion),
        cmocka_unit_test(the_sigmoid_gradient_is_exact),
        cmocka_unit_test(softmax_moves_like_two_weights),
        cmocka_unit_test(adam_moves_w),
        cmocka_unit_test(one_answer_has_all_the_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
