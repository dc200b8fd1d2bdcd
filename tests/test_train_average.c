/* The moving average of the weights: its values, its way to the model, and its place in checkpoints. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "temp_folder.h"
#include "tiny_training.h"
#include "train/beside.h"

static const char weight_name[] = "remote.0.weight", mean_name[] = "extractor.1.bn.mean";

static void succeed(int status)
{
    if (status < 0)
        fail_msg("%s", agn_error_message());
}

static struct agn_model *make_model(double decay)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    tiny_preset_make(&preset);
    preset.train.ema = decay;
    succeed(agn_model_create(&preset, NULL, &model));
    return model;
}

static float *values(struct agn_model *model, const char *name)
{
    bool remote = strncmp(name, "remote", 6) == 0;
    float *found = agn_params_values(
        remote ? model->parts[AGN_REMOTE].params : model->parts[AGN_EXTRACTOR].params, name);
    assert_non_null(found);
    return found;
}

static void set_all(struct agn_model *model, float value)
{
    values(model, weight_name)[2] = value;
    values(model, mean_name)[1] = 10.0F * value;
    model->alpha_weight = -value;
    for (int level = 1; level < AGN_LEVELS; level++)
        model->centroids[level] = (float)level * 0.1F * value;
}

static void expect_near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-5 * fmax(1.0, fabs(expected))))
        fail_msg("%.9g, expected %.9g", got, expected);
}

/* Weights, a BN statistic, alpha and levels go 1, 2, 3, ...; the average starts at 0.5. */
static void the_average_follows(void **state)
{
    (void)state;
    struct agn__beside beside = {0};
    struct agn_model *model = make_model(0.7);
    double expected = 0.5;
    set_all(model, 0.5F);
    succeed(agn__average_create(&beside, model));
    for (int step = 0; step < 30; step++) {
        double decay = fmin(0.7, (1.0 + step) / (10.0 + step)), value = 1.0 + 0.1 * step;
        set_all(model, (float)value);
        agn__average_follow(&beside, model, step);
        expected = decay * expected + (1.0 - decay) * value;
    }
    assert_true(values(model, weight_name)[2] == 3.9F); /* the model itself goes its own way */
    uint64_t version = model->parts[AGN_REMOTE].params->version;
    agn__average_apply(&beside, model);
    assert_null(beside.average);
    assert_true(model->parts[AGN_REMOTE].params->version > version);
    assert_true(expected > 3.0 && expected < 3.85);
    expect_near((double)values(model, weight_name)[2], expected);
    expect_near((double)values(model, mean_name)[1], 10.0 * expected);
    expect_near((double)model->alpha_weight, -expected);
    expect_near((double)model->centroids[7], 0.7 * expected);
    agn_model_free(model);
}

static struct agn_model *averaged_model(struct agn__beside *beside)
{
    struct agn_model *model = make_model(0.9);
    set_all(model, 0.5F);
    succeed(agn__average_create(beside, model));
    set_all(model, 2.0F);
    return model;
}

static void checkpoints_hold_both(void **state)
{
    (void)state;
    struct agn__beside beside = {0}, read_beside = {0};
    struct agn_model *model = averaged_model(&beside), *loaded = NULL;
    struct agn_train_state saved = {AGN_PHASE_JOINT, 17, 2.5, 4096, 0, 7}, read;
    const char *path = temp_path("checkpoint.safetensors");
    succeed(agn__checkpoint_save(path, model, &beside, &saved));
    succeed(agn__checkpoint_load(path, NULL, &loaded, &read_beside, &read));
    assert_true(values(loaded, weight_name)[2] == 2.0F);
    assert_non_null(read_beside.average);
    agn__average_apply(&read_beside, loaded);
    assert_true(values(loaded, weight_name)[2] == 0.5F && values(loaded, mean_name)[1] == 5.0F);
    assert_true(loaded->alpha_weight == -0.5F);
    agn_model_free(loaded);
    succeed(agn_model_load(path, &loaded)); /* who only wants a model gets the averaged one */
    assert_true(values(loaded, weight_name)[2] == 0.5F);
    agn_model_free(loaded);
    agn__beside_free(&beside);
    agn_model_free(model);
}

/* A finished model and a checkpoint of the phase before have no average. */
static void others_hold_none(void **state)
{
    (void)state;
    struct agn__beside beside = {0}, read_beside = {0};
    struct agn_model *model = make_model(0.9), *loaded = NULL;
    struct agn_train_state saved = {AGN_PHASE_REFERENCE, 3, 0.5, 64, 0, 7}, read;
    const char *path = temp_path("model.safetensors");
    succeed(agn_model_save(model, path));
    succeed(agn__checkpoint_load(path, NULL, &loaded, &read_beside, &read));
    assert_true(read.phase == AGN_PHASE_DONE && read_beside.average == NULL);
    agn_model_free(loaded);
    succeed(agn__checkpoint_save(path, model, &beside, &saved));
    succeed(agn__checkpoint_load(path, NULL, &loaded, &read_beside, &read));
    assert_true(read.phase == AGN_PHASE_REFERENCE && read_beside.average == NULL);
    agn_model_free(loaded);
    agn_model_free(model);
}

static void expect_refused(const char *tensor, float value, const char *part)
{
    struct agn__beside beside = {0}, read_beside = {0};
    struct agn_model *model = averaged_model(&beside), *loaded = NULL;
    struct agn_train_state saved = {AGN_PHASE_JOINT, 17, 2.5, 4096, 0, 7}, read;
    struct agn_tensor_file file;
    const char *path = temp_path("changed.safetensors");
    succeed(agn__checkpoint_save(path, model, &beside, &saved));
    succeed(agn_tensor_file_read(path, &file));
    for (int i = 0; i < file.count; i++)
        if (strcmp(file.tensors[i].name, tensor) == 0 && value == 0.0F)
            strcpy(file.tensors[i].name, "lost");
        else if (strcmp(file.tensors[i].name, tensor) == 0)
            memcpy((float *)file.tensors[i].data + 3, &value, sizeof(value));
    succeed(agn_tensor_file_write(path, &file));
    agn_tensor_file_free(&file);
    assert_int_equal(agn__checkpoint_load(path, NULL, &loaded, &read_beside, &read), AGN_ERR_FORMAT);
    assert_true(loaded == NULL && read_beside.average == NULL);
    if (strstr(agn_error_message(), part) == NULL || strstr(agn_error_message(), path) == NULL)
        fail_msg("the message '%s' lacks '%s'", agn_error_message(), part);
    agn__beside_free(&beside);
    agn_model_free(model);
}

static void damaged_averages(void **state)
{
    (void)state;
    expect_refused("average.remote.0.weight", 0.0F, "'average.remote.0.weight' is missing");
    expect_refused("average.remote.0.weight", NAN, "not finite");
    expect_refused("average.small", 0.0F, "'average.small' is missing");
    expect_refused("average.small", INFINITY, "not finite");
    expect_refused("average.small", 5.9F, "do not ascend");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_average_follows),
        cmocka_unit_test(checkpoints_hold_both),
        cmocka_unit_test(others_hold_none),
        cmocka_unit_test(damaged_averages),
    };
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
