/* Models: what presets may ask for, and model.safetensors, round trips and hostile files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoints.h"
#include "temp_folder.h"
#include "tiny_training.h"

static void expect_message(const char *part)
{
    if (strstr(agn_error_message(), part) == NULL)
        fail_msg("the message '%s' lacks '%s'", agn_error_message(), part);
}

static void succeed(int status)
{
    if (status < 0)
        fail_msg("%s", agn_error_message());
}

static void fill_params(struct agn_params *params, struct agn_rng *rng)
{
    for (size_t i = 0; i < params->total; i++) {
        params->value[i] = (float)agn_rng_normal(rng);
        params->momentum[i] = (float)agn_rng_normal(rng);
    }
    for (int p = 0; p < params->count; p++) { /* running statistics have no momentum */
        const struct agn_param *param = &params->list[p];
        if (!param->trainable) {
            memset(params->momentum + param->offset, 0, param->count * sizeof(float));
            for (size_t i = 0; i < param->count; i++) /* and variances are not negative */
                params->value[param->offset + i] = fabsf(params->value[param->offset + i]);
        }
    }
}

/* As if Adam had trained it. */
static void add_second(struct agn_params *params, struct agn_rng *rng)
{
    succeed(agn_params_use_adam(params));
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        for (size_t i = 0; param->trainable && i < param->count; i++)
            params->second[param->offset + i] = (float)agn_rng_uniform(rng);
    }
    params->second[params->total] = 12.0F;
}

/* A model in which every field has a value of its own. */
static struct agn_model *make_model(void)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    struct agn_rng rng;
    agn_rng_seed(&rng, 9);
    tiny_preset_make(&preset);
    preset.joint.rho = 1.0 / 3.0;
    succeed(agn_preset_set(&preset, "data.path=/some where/else"));
    struct tiny_dataset data;
    tiny_dataset_make(&data, 30, 1);
    succeed(agn_model_create(&preset, &data.set, &model));
    tiny_dataset_free(&data);
    fill_params(model->parts[AGN_EXTRACTOR].params, &rng);
    fill_params(model->parts[AGN_LOCAL].params, &rng);
    fill_params(model->parts[AGN_REMOTE].params, &rng);
    fill_params(model->parts[AGN_REFERENCE].params, &rng);
    for (int i = 0; i < AGN_LEVELS; i++) {
        model->centroids[i] = 0.7F * (float)i;
        model->usage[i] = 0.01F * (float)i;
    }
    for (int c = 0; c < model->map.channels; c++) {
        model->importance_before[c] = 0.1F * (float)c;
        model->importance_after[c] = 0.2F * (float)c;
    }
    for (int c = 0; c < model->sent_channels; c++)
        model->fill[c] = 0.3F * (float)c;
    for (int c = 0; c < AGN_MAX_CHANNELS; c++) {
        model->normalisation.mean[c] = (uint8_t)(10 + c);
        model->normalisation.std[c] = 1.5F + (float)c;
    }
    add_second(model->parts[AGN_LOCAL].params, &rng);
    model->alpha_weight = -1.25F;
    model->alpha_momentum = 0.125F;
    model->skewness_before = 0.375;
    model->reference_accuracy = 0.75;
    return model;
}

static void expect_same_params(const struct agn_params *a, const struct agn_params *b, bool momentum)
{
    assert_int_equal(a->count, b->count);
    for (int p = 0; p < a->count; p++) { /* between them lies padding */
        const struct agn_param *param = &a->list[p];
        size_t at = param->offset, bytes = param->count * sizeof(float);
        assert_memory_equal(a->value + at, b->value + at, bytes);
        if (momentum)
            assert_memory_equal(a->momentum + at, b->momentum + at, bytes);
        if (momentum && a->second != NULL)
            assert_memory_equal(a->second + at, b->second + at, bytes);
    }
    if (momentum)
        assert_true((a->second == NULL) == (b->second == NULL) &&
                    (a->second == NULL || a->second[a->total] == b->second[b->total]));
    else
        assert_null(b->second); /* a model has none */
}

static void expect_same_model(const struct agn_model *a, const struct agn_model *b, bool momentum)
{
    char text_a[8192], text_b[8192];
    assert_true(agn_preset_format(&a->preset, text_a, sizeof(text_a)) > 0);
    assert_true(agn_preset_format(&b->preset, text_b, sizeof(text_b)) > 0);
    assert_string_equal(text_a, text_b);
    assert_string_equal(a->preset.name, b->preset.name);
    assert_int_equal(a->classes, b->classes);
    for (int i = 0; i < a->classes; i++)
        assert_string_equal(a->class_names[i], b->class_names[i]);
    expect_same_params(a->parts[AGN_EXTRACTOR].params, b->parts[AGN_EXTRACTOR].params, momentum);
    expect_same_params(a->parts[AGN_LOCAL].params, b->parts[AGN_LOCAL].params, momentum);
    expect_same_params(a->parts[AGN_REMOTE].params, b->parts[AGN_REMOTE].params, momentum);
    expect_same_params(a->parts[AGN_REFERENCE].params, b->parts[AGN_REFERENCE].params, momentum);
    assert_memory_equal(a->normalisation.mean, b->normalisation.mean, sizeof(a->normalisation.mean));
    assert_memory_equal(a->normalisation.std, b->normalisation.std, sizeof(a->normalisation.std));
    assert_memory_equal(a->centroids, b->centroids, sizeof(a->centroids));
    assert_memory_equal(a->usage, b->usage, sizeof(a->usage));
    assert_memory_equal(a->fill, b->fill, (size_t)a->sent_channels * sizeof(float));
    assert_memory_equal(a->importance_before, b->importance_before, sizeof(a->importance_before));
    assert_memory_equal(a->importance_after, b->importance_after, sizeof(a->importance_after));
    assert_true(a->alpha_weight == b->alpha_weight && a->alpha_momentum == b->alpha_momentum);
    assert_true(a->skewness_before == b->skewness_before && a->reference_accuracy == b->reference_accuracy);
}

static void round_trips(void **state)
{
    (void)state;
    struct agn_model *model = make_model(), *loaded = NULL;
    struct agn_train_state saved = {AGN_PHASE_JOINT, 17, 2.5, 4096, 30, 7}, reached;
    const char *path = temp_path("model.safetensors");
    succeed(agn_model_save(model, path));
    succeed(load_checkpoint(path, &loaded, &reached));
    expect_same_model(model, loaded, false);
    assert_int_equal(reached.phase, AGN_PHASE_DONE);
    agn_model_free(loaded);
    succeed(save_checkpoint(model, path, &saved));
    succeed(load_checkpoint(path, &loaded, &reached));
    expect_same_model(model, loaded, true);
    assert_true(reached.phase == saved.phase && reached.step == saved.step &&
                reached.images == saved.images && reached.seconds == saved.seconds &&
                reached.train_images == saved.train_images && reached.data_hash == saved.data_hash);
    agn_model_free(loaded);
    succeed(agn_model_load(path, &loaded));
    agn_model_free(loaded);
    assert_true(agn_model_save(model, "/nowhere/model.safetensors") < 0);
    expect_message("/nowhere/model.safetensors");
    agn_model_free(model);
}

/* ---- hostile files ------------------------------------------------------------------ */

static void expect_unloadable(const char *path, int status, const char *part)
{
    struct agn_model *model = NULL;
    struct agn_train_state reached;
    int got = load_checkpoint(path, &model, &reached);
    if (got != status)
        fail_msg("loading gives %d, expected %d (%s)", got, status, got < 0 ? agn_error_message() : part);
    assert_null(model);
    expect_message(path);
    expect_message(part);
}

static void cut_and_bent_files(void **state)
{
    (void)state;
    struct agn_model *model = make_model();
    const char *path = temp_path("whole.safetensors"), *bent = temp_path("bent.safetensors");
    struct agn_train_state saved = {AGN_PHASE_JOINT, 17, 2.5, 4096, 30, 7};
    uint8_t *data = NULL;
    size_t size = 0;
    succeed(save_checkpoint(model, path, &saved));
    succeed(agn_file_read(path, 1 << 26, &data, &size));
    struct agn_rng rng;
    agn_rng_seed(&rng, 1);
    for (int round = 0; round < 60; round++) {
        size_t length = round < 10 ? (size_t)round : agn_rng_below(&rng, (uint32_t)size);
        succeed(agn_file_write(bent, data, length));
        expect_unloadable(bent, AGN_ERR_FORMAT, "");
    }
    for (int round = 0; round < 300; round++) { /* within the header: loads or fails, but names the file */
        size_t at = agn_rng_below(&rng, 6000);
        uint8_t kept = data[at];
        struct agn_model *loaded = NULL;
        data[at] = (uint8_t)agn_rng_below(&rng, 256);
        succeed(agn_file_write(bent, data, size));
        if (agn_model_load(bent, &loaded) < 0)
            expect_message(bent);
        agn_model_free(loaded);
        data[at] = kept;
    }
    agn_free(data);
    agn_model_free(model);
}

/* Reads the tensor file, lets `change` loose on it, writes it elsewhere. */
typedef void change_fn(struct agn_tensor_file *file);

static void expect_changed(change_fn *change, int status, const char *part)
{
    struct agn_model *model = make_model();
    struct agn_train_state saved = {AGN_PHASE_JOINT, 17, 2.5, 4096, 30, 7};
    const char *path = temp_path("whole.safetensors"), *changed = temp_path("changed.safetensors");
    struct agn_tensor_file file;
    succeed(save_checkpoint(model, path, &saved));
    succeed(agn_tensor_file_read(path, &file));
    change(&file);
    succeed(agn_tensor_file_write(changed, &file));
    agn_tensor_file_free(&file);
    agn_model_free(model);
    expect_unloadable(changed, status, part);
}

static struct agn_tensor_view *tensor(const struct agn_tensor_file *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    fail_msg("the file has no tensor '%s'", name);
    return NULL;
}

static void set_float(const struct agn_tensor_file *file, const char *name, int index, float value)
{
    memcpy((float *)tensor(file, name)->data + index, &value, sizeof(value));
}

static void set_metadata(const struct agn_tensor_file *file, const char *key, const char *value)
{
    for (int i = 0; i < file->metadata_count; i++) {
        if (strcmp(file->metadata[i][0], key) == 0) {
            agn_free(file->metadata[i][1]);
            file->metadata[i][1] = agn_alloc(strlen(value) + 1, 1);
            strcpy(file->metadata[i][1], value);
            return;
        }
    }
    fail_msg("the file has no metadata '%s'", key);
}

#define CHANGE(name, body)                                                                                   \
    static void name(struct agn_tensor_file *f)                                                              \
    {                                                                                                        \
        body;                                                                                                \
    }
CHANGE(rename_weight, strcpy(tensor(f, "extractor.0.weight")->name, "extractor.0.weird"))
CHANGE(swap_dims, tensor(f, "local.dense.weight")->dims[0] = tensor(f, "local.dense.weight")->dims[1];
       tensor(f, "local.dense.weight")->dims[1] = TINY_CLASSES)
CHANGE(no_momentum, strcpy(tensor(f, "momentum.remote.0.weight")->name, "momentum.lost"))
CHANGE(no_second, strcpy(tensor(f, "second.local.dense.bias")->name, "second.lost"))
CHANGE(no_steps, strcpy(tensor(f, "steps.local.dense.weight")->name, "steps.lost"))
CHANGE(negative_second, set_float(f, "second.local.dense.weight", 1, -1e-9F))
CHANGE(negative_steps, set_float(f, "steps.local.dense.weight", 0, -1.0F))
CHANGE(nan_weight, set_float(f, "remote.0.weight", 3, NAN))
CHANGE(nan_momentum, set_float(f, "momentum.extractor.0.weight", 1, NAN))
CHANGE(negative_variance, set_float(f, "reference.0.bn.var", 2, -0.5F))
CHANGE(infinite_variance, set_float(f, "remote.0.bn.var", 0, INFINITY))
CHANGE(nan_mean, set_float(f, "normalisation", 0, NAN))
CHANGE(big_mean, set_float(f, "normalisation", 0, 256.0F))
CHANGE(negative_mean, set_float(f, "normalisation", 0, -1.0F))
CHANGE(zero_std, set_float(f, "normalisation", AGN_MAX_CHANNELS, 0.0F))
CHANGE(infinite_std, set_float(f, "normalisation", AGN_MAX_CHANNELS, INFINITY))
CHANGE(first_centroid, set_float(f, "quantiser.centroids", 0, 0.1F))
CHANGE(falling_centroids, set_float(f, "quantiser.centroids", 3, 0.1F))
CHANGE(nan_centroid, set_float(f, "quantiser.centroids", 7, NAN))
CHANGE(huge_centroid, set_float(f, "quantiser.centroids", 7, 1e9F))
CHANGE(nan_alpha, set_float(f, "scalars", 0, NAN))
CHANGE(nan_fill, set_float(f, "fill", 0, NAN))
CHANGE(other_format, set_metadata(f, "format", "agilenn-model-99"))
CHANGE(empty_preset, set_metadata(f, "preset", ""))
CHANGE(bad_preset, set_metadata(f, "preset", "[joint]\nrho = 7\n"))
CHANGE(unknown_key, set_metadata(f, "preset", "[joint]\n\x1b[2Jevil = 7\n"))
CHANGE(huge_networks,
       set_metadata(f, "preset",
                    "[data]\nclasses=10\nheight=64\nwidth=64\n[model]\nextractor=conv:c65000 conv:c8\n"
                    "reference=conv:c65000 conv:c65000:k9\nremote=conv:c8\n"))
CHANGE(no_classes, set_metadata(f, "classes", "[]"))
CHANGE(classes_of_numbers, set_metadata(f, "classes", "[1, 2, 3]"))
CHANGE(classes_not_json, set_metadata(f, "classes", "[[[[[["))
CHANGE(state_not_json, set_metadata(f, "training_state", "{"))
CHANGE(state_of_no_phase,
       set_metadata(f, "training_state", "{\"phase\": 3, \"step\": 1, \"seconds\": 1, \"images\": 1}"))
CHANGE(negative_step,
       set_metadata(f, "training_state", "{\"phase\": 1, \"step\": -1, \"seconds\": 1, \"images\": 1}"))
CHANGE(negative_images, set_metadata(f, "training_state",
                                     "{\"phase\": 1, \"step\": 1, \"seconds\": 1, \"images\": 1, "
                                     "\"train_images\": -1}"))
CHANGE(negative_seconds,
       set_metadata(f, "training_state", "{\"phase\": 1, \"step\": 1, \"seconds\": -1, \"images\": 1}"))

static void hostile_content(void **state)
{
    (void)state;
    static const struct {
        change_fn *change;
        int status;
        const char *part;
    } cases[] = {{rename_weight, AGN_ERR_FORMAT, "'extractor.0.weight' is missing"},
                 {swap_dims, AGN_ERR_FORMAT, "'local.dense.weight' is 8x3; this network needs 3x8"},
                 {no_momentum, AGN_ERR_FORMAT, "'momentum.remote.0.weight' is missing"},
                 {no_second, AGN_ERR_FORMAT, "'second.local.dense.bias' is missing"},
                 {no_steps, AGN_ERR_FORMAT, "'steps.local.dense.weight' is missing"},
                 {negative_second, AGN_ERR_NUMERIC, "the second moment of 'local.dense.weight'"},
                 {negative_steps, AGN_ERR_NUMERIC, "Adam's steps"},
                 {nan_weight, AGN_ERR_NUMERIC, "remote.0.weight"},
                 {nan_momentum, AGN_ERR_NUMERIC, "the momentum of 'extractor.0.weight'"},
                 {negative_variance, AGN_ERR_NUMERIC, "'reference.0.bn.var' holds a negative variance"},
                 {infinite_variance, AGN_ERR_NUMERIC, "remote.0.bn.var"},
                 {nan_mean, AGN_ERR_FORMAT, "normalisation"},
                 {big_mean, AGN_ERR_FORMAT, "normalisation"},
                 {negative_mean, AGN_ERR_FORMAT, "normalisation"},
                 {zero_std, AGN_ERR_FORMAT, "normalisation"},
                 {infinite_std, AGN_ERR_FORMAT, "normalisation"},
                 {first_centroid, AGN_ERR_FORMAT, "quantiser.centroids"},
                 {falling_centroids, AGN_ERR_FORMAT, "quantiser.centroids"},
                 {nan_centroid, AGN_ERR_FORMAT, "quantiser.centroids"},
                 {huge_centroid, AGN_ERR_FORMAT, "quantiser.centroids"},
                 {nan_alpha, AGN_ERR_FORMAT, "scalars"},
                 {nan_fill, AGN_ERR_FORMAT, "fill"},
                 {other_format, AGN_ERR_VERSION, "its format is 'agilenn-model-99'"},
                 {empty_preset, AGN_ERR_ARG, "model.reference"},
                 {bad_preset, AGN_ERR_RANGE, "joint.rho = '7'"},
                 {unknown_key, AGN_ERR_ARG, "no setting"},
                 {unknown_key, AGN_ERR_ARG, "made this file, and this is"},
                 {huge_networks, AGN_ERR_RANGE, "weights"},
                 {no_classes, AGN_ERR_FORMAT, "not a list of 3 names"},
                 {classes_of_numbers, AGN_ERR_FORMAT, "name 0 is not a string"},
                 {classes_not_json, AGN_ERR_FORMAT, "classes"},
                 {state_not_json, AGN_ERR_FORMAT, "training_state"},
                 {state_of_no_phase, AGN_ERR_FORMAT, "training_state"},
                 {negative_step, AGN_ERR_FORMAT, "training_state"},
                 {negative_images, AGN_ERR_FORMAT, "training_state"},
                 {negative_seconds, AGN_ERR_FORMAT, "training_state"}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++)
        expect_changed(cases[i].change, cases[i].status, cases[i].part);
    expect_unloadable(temp_path("none.safetensors"), AGN_ERR_NOT_FOUND, "");
}

/* ---- presets that make no model --------------------------------------------------------- */

static void expect_impossible(const char *assignment, int status, const char *part)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    tiny_preset_make(&preset);
    succeed(agn_preset_set(&preset, assignment));
    int got = agn_model_create(&preset, NULL, &model);
    if (got != status) {
        fail_msg("'%s' gives %d, expected %d (%s)", assignment, got, status,
                 got < 0 ? agn_error_message() : part);
    }
    assert_null(model);
    expect_message(part);
}

static void impossible_models(void **state)
{
    (void)state;
    expect_impossible("model.local_channels=8", AGN_ERR_RANGE, "model.local_channels = 8");
    expect_impossible("model.local_channels=9", AGN_ERR_RANGE, "makes a 6x6x8 map: of its 8 channels");
    expect_impossible("model.extractor=conv:c256:s2", AGN_ERR_RANGE, "at most 255");
    expect_impossible("model.remote=conv:c60000 conv:c60000", AGN_ERR_RANGE, "weights");
    struct agn_preset preset;
    struct agn_model *model = NULL;
    tiny_preset_make(&preset);
    preset.model.grid = 7; /* of a 6 x 6 map */
    assert_true(agn_model_create(&preset, NULL, &model) < 0);
    assert_null(model);
    expect_message("grid");
    assert_int_equal(agn_preset_set(&preset, "joint.rho=0"), AGN_ERR_RANGE);
    assert_int_equal(agn_preset_set(&preset, "joint.rho=1"), AGN_ERR_RANGE);
    struct tiny_dataset data;
    tiny_dataset_make(&data, 30, 1);
    tiny_preset_make(&preset);
    preset.data.classes = 2;
    assert_int_equal(agn_model_create(&preset, &data.set, &model), AGN_ERR_RANGE);
    expect_message("3 classes");
    assert_null(model);
    tiny_dataset_free(&data);
}

static void evaluation_checks_its_data(void **state)
{
    (void)state;
    struct agn_model *model = make_model();
    struct tiny_dataset data;
    struct agn_evaluation evaluation = {.images = -7};
    tiny_dataset_make(&data, 30, 1);
    data.set.width = 8;
    assert_int_equal(agn_model_evaluate(model, &data.set, &evaluation), AGN_ERR_MISMATCH);
    expect_message("12x8x1");
    data.set.width = TINY_SIDE;
    data.set.classes = 4;
    assert_int_equal(agn_model_evaluate(model, &data.set, &evaluation), AGN_ERR_MISMATCH);
    expect_message("4 classes");
    assert_int_equal(evaluation.images, -7);
    tiny_dataset_free(&data);
    agn_model_free(model);
}

/* Names that JSON cannot hold still make a readable file. */
static void odd_class_names(void **state)
{
    (void)state;
    static const char *const names[] = {"caf\xC3\xA9 \"quoted\"\n", "\xFF\xFE", ""};
    struct agn_model *model = make_model(), *loaded = NULL;
    for (int i = 0; i < TINY_CLASSES; i++) {
        agn_free(model->class_names[i]);
        model->class_names[i] = agn_alloc(32, 1);
        strcpy(model->class_names[i], names[i]);
    }
    const char *path = temp_path("names.safetensors");
    succeed(agn_model_save(model, path));
    succeed(agn_model_load(path, &loaded));
    assert_string_equal(loaded->class_names[0], names[0]);
    assert_string_equal(loaded->class_names[1], "??");
    assert_string_equal(loaded->class_names[2], "");
    agn_model_free(loaded);
    agn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(cut_and_bent_files),
        cmocka_unit_test(hostile_content),
        cmocka_unit_test(impossible_models),
        cmocka_unit_test(evaluation_checks_its_data),
        cmocka_unit_test(odd_class_names),
    };
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
