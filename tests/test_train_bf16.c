/* A whole training whose convolutions compute in bf16: it learns, repeats bit for bit, and is not the one in
 * float. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "nn/net_internal.h"
#include "tiny_training.h"

static struct agn_model *train(enum agn_compute compute, double joint_epochs,
                               struct agn_evaluation *evaluation)
{
    struct tiny_dataset train, test;
    struct agn_train_report report;
    struct agn_model *model = NULL;
    tiny_dataset_make(&train, 600, 1);
    tiny_dataset_make(&test, 150, 2);
    struct agn_train_config config = {.train = &train.set, .test = &test.set};
    tiny_preset_make(&config.preset);
    config.preset.joint.epochs = joint_epochs;
    config.preset.train.compute = compute;
    if (agn_train_run(&config, &model, &report) < 0)
        fail_msg("compute %d: %s", (int)compute, agn_error_message());
    *evaluation = report.evaluation;
    tiny_dataset_free(&train);
    tiny_dataset_free(&test);
    return model;
}

static void learns(void **state)
{
    (void)state;
    struct agn_evaluation e;
    struct agn_model *model = train(AGN_COMPUTE_BF16_EMULATED, 6.0, &e);
    print_message("fused %.3f, valid %.3f, skewness %.3f -> %.3f, disorder %.3f\n", e.fused_accuracy,
                  e.reference_valid, model->skewness_before, e.skewness, e.disorder_rate);
    assert_true(e.fused_accuracy > 0.85 && e.reference_valid > 0.8);
    assert_true(e.skewness > 0.7 && e.skewness > model->skewness_before);
    agn_model_free(model);
}

static void repeats_and_differs_from_float(void **state)
{
    (void)state;
    struct agn_evaluation e;
    struct agn_model *a = train(AGN_COMPUTE_BF16_EMULATED, 1.0, &e),
                     *b = train(AGN_COMPUTE_BF16_EMULATED, 1.0, &e);
    struct agn_model *f32 = train(AGN_COMPUTE_F32, 1.0, &e);
    size_t remote = a->parts[AGN_REMOTE].params->total * sizeof(float);
    size_t reference = a->parts[AGN_REFERENCE].params->total * sizeof(float);
    assert_memory_equal(a->parts[AGN_REMOTE].params->value, b->parts[AGN_REMOTE].params->value, remote);
    assert_memory_equal(a->parts[AGN_REFERENCE].params->value, b->parts[AGN_REFERENCE].params->value,
                        reference);
    assert_memory_not_equal(a->parts[AGN_REMOTE].params->value, f32->parts[AGN_REMOTE].params->value, remote);
    assert_memory_not_equal(a->parts[AGN_REFERENCE].params->value, f32->parts[AGN_REFERENCE].params->value,
                            reference);
    agn_model_free(a);
    agn_model_free(b);
    agn_model_free(f32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(learns),
                                       cmocka_unit_test(repeats_and_differs_from_float)};
    if (agn__compute_check(AGN_COMPUTE_BF16_EMULATED) < 0) {
        printf("skipped: %s\n", agn_error_message());
        return 77;
    }
    agn_nn_set_threads(1); /* two threads wait long for each other where other tests keep the cores busy */
    return cmocka_run_group_tests_name("train bf16", tests, NULL, NULL);
}
