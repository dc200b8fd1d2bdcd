/* Training of a network with an exit: its loss is a weighted sum, so that one step moves each part as that
 * says; trained to the end, both answers are right. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tiny_training.h"

enum { BATCH = 32 };

static struct tiny_dataset one_batch, train_set, test_set;

static int setup(void **state)
{
    (void)state;
    tiny_dataset_make(&one_batch, BATCH, 1);
    tiny_dataset_make(&train_set, 600, 1);
    tiny_dataset_make(&test_set, 150, 2);
    agn_nn_set_threads(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tiny_dataset_free(&one_batch);
    tiny_dataset_free(&train_set);
    tiny_dataset_free(&test_set);
    return 0;
}

static struct agn_train_config config_of(const struct tiny_dataset *train, double weight)
{
    struct agn_train_config config = {.train = &train->set, .test = &test_set.set};
    tiny_preset_make(&config.preset);
    assert_int_equal(agn_preset_set(&config.preset, "model.system=spinn"), 0);
    assert_int_equal(agn_preset_set(&config.preset, "model.codec=raw3"), 0);
    config.preset.joint.local = weight;
    return config;
}

/* The model after one step. */
static struct agn_model *step_once(double weight)
{
    struct agn_train_config config = config_of(&one_batch, weight);
    struct agn_train_report report;
    struct agn_model *model = NULL;
    config.preset.joint.epochs = 1;
    if (agn_train_run(&config, &model, &report) < 0)
        fail_msg("%s", agn_error_message());
    return model;
}

/* Largest |b - a - (d - c)| and |b - a| of a part's values. */
static void differences(struct agn_model *const models[4], enum agn_role role, double *of_steps, double *step)
{
    const struct agn_params *p[4];
    *of_steps = *step = 0.0;
    for (int i = 0; i < 4; i++)
        p[i] = models[i]->parts[role].params;
    for (size_t v = 0; v < p[0]->total; v++) {
        double first = (double)p[1]->value[v] - (double)p[0]->value[v],
               second = (double)p[3]->value[v] - (double)p[2]->value[v];
        *of_steps = fmax(*of_steps, fabs(first - second));
        *step = fmax(*step, fabs(first));
    }
}

/* Gradients of CE(remote) + w CE(exit): the extractor's is linear in w, the Remote NN's does not know w, the
 * exit's is proportional to it. */
static void one_step_is_linear_in_the_weight(void **state)
{
    (void)state;
    struct agn_model *w0 = step_once(0.0), *w1 = step_once(0.5), *w2 = step_once(1.0);
    struct agn_model *const models[4] = {w0, w1, w1, w2};
    double of_steps, step;
    differences(models, AGN_REMOTE, &of_steps, &step);
    assert_true(step == 0.0);
    for (int role = AGN_EXTRACTOR; role <= AGN_LOCAL; role++) {
        differences(models, (enum agn_role)role, &of_steps, &step);
        assert_true(step > 1e-4);
        assert_true(of_steps < 1e-5 + 1e-3 * step);
    }
    agn_model_free(w0);
    agn_model_free(w1);
    agn_model_free(w2);
}

static void both_answers_learn(void **state)
{
    (void)state;
    struct agn_train_config config = config_of(&train_set, 0.5);
    struct agn_train_report report;
    struct agn_model *model = NULL;
    if (agn_train_run(&config, &model, &report) < 0)
        fail_msg("%s", agn_error_message());
    const struct agn_evaluation *e = &report.evaluation;
    assert_true(e->remote_accuracy > 0.9 && e->local_accuracy > 0.6 && e->fused_accuracy > 0.6);
    assert_true(e->exit_share >= 0.0 && e->exit_share <= 1.0);
    assert_true(isnan(e->reference_valid) && isnan(e->skewness) && e->alpha == 0.0);
    /* Where no exit is ever sure, the server answers; where each is, none is asked. */
    model->preset.model.exit_threshold = 1.1;
    struct agn_evaluation again;
    assert_int_equal(agn_model_evaluate(model, &test_set.set, &again), 0);
    assert_true(again.exit_share == 0.0 && again.fused_accuracy == e->remote_accuracy);
    model->preset.model.exit_threshold = 0.0;
    assert_int_equal(agn_model_evaluate(model, &test_set.set, &again), 0);
    assert_true(again.exit_share == 1.0 && again.fused_accuracy == e->local_accuracy);
    agn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step_is_linear_in_the_weight),
        cmocka_unit_test(both_answers_learn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
