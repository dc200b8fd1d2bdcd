/* A teacher on whole images: what it says is its model's word, students of all systems learn from it, and
 * files that hold no teacher are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "temp_folder.h"
#include "tiny_training.h"
#include "train/teacher.h"

enum { IMAGES = 320, TEST_IMAGES = 90, BATCH = 8, PIXELS = TINY_SIDE * TINY_SIDE };
static struct tiny_dataset train_set, test_set;
static char teacher_path[AGN_PRESET_TEXT_BYTES], split_path[AGN_PRESET_TEXT_BYTES];

static struct agn_model *train(const struct agn_preset *preset, double *accuracy)
{
    const struct agn_train_config config = {
        .preset = *preset, .train = &train_set.set, .test = &test_set.set};
    struct agn_model *model = NULL;
    struct agn_train_report report;
    if (agn_train_run(&config, &model, &report) < 0)
        fail_msg("training failed: %s", agn_error_message());
    if (accuracy != NULL)
        *accuracy = report.evaluation.fused_accuracy;
    return model;
}

static struct agn_preset preset_of(const char *system)
{
    struct agn_preset preset;
    tiny_preset_make(&preset);
    snprintf(preset.model.system, sizeof preset.model.system, "%s", system);
    if (strcmp(system, "edge-only") == 0)
        preset.model.codec = AGN_CODEC_RAW3;
    if (strcmp(system, "local-only") == 0)
        snprintf(preset.model.local, sizeof preset.model.local, "conv:c8:s2");
    if (strcmp(system, "edge-only") == 0)
        snprintf(preset.model.remote, sizeof preset.model.remote, "conv:c8:s2 conv:c8:s2");
    preset.reference.epochs = 1;
    preset.joint.epochs = 2;
    preset.joint.distill_temperature = 2;
    return preset;
}

static int set_up(void **state)
{
    tiny_dataset_make(&train_set, IMAGES, 1);
    tiny_dataset_make(&test_set, TEST_IMAGES, 2);
    agn_nn_set_threads(1);
    if (temp_folder_setup(state) != 0)
        return -1;
    snprintf(teacher_path, sizeof teacher_path, "%s", temp_path("teacher.safetensors"));
    snprintf(split_path, sizeof split_path, "%s", temp_path("split.safetensors"));
    struct agn_preset edge = preset_of("edge-only"), split = preset_of("agilenn");
    edge.joint.epochs = 6;
    double accuracy = 0.0;
    struct agn_model *model = train(&edge, &accuracy);
    assert_true(accuracy > 0.9); /* or it teaches nothing */
    assert_int_equal(agn_model_save(model, teacher_path), AGN_OK);
    agn_model_free(model);
    model = train(&split, NULL);
    assert_int_equal(agn_model_save(model, split_path), AGN_OK);
    agn_model_free(model);
    return 0;
}

static int tear_down(void **state)
{
    tiny_dataset_free(&train_set);
    tiny_dataset_free(&test_set);
    return temp_folder_teardown(state);
}

/* Asked in a student's normalisation, a teacher says what it says in its own. */
static void its_word_is_its_models(void **state)
{
    (void)state;
    struct agn_preset preset = preset_of("local-only");
    snprintf(preset.joint.teacher, sizeof preset.joint.teacher, "%s", teacher_path);
    struct agn_model *student = NULL;
    struct agn_teacher_check {
        float own[BATCH * PIXELS], students[BATCH * PIXELS];
    } images;
    struct agn__teacher teacher;
    struct agn_net *net = NULL;
    const float *logits = NULL;
    assert_int_equal(agn_model_create(&preset, &train_set.set, &student), AGN_OK);
    student->normalisation.mean[0] = 40;
    student->normalisation.std[0] = 31.5F;
    assert_int_equal(agn__teacher_open(student, BATCH, &teacher), AGN_OK);
    const struct agn_normalisation *own = &teacher.model->normalisation;
    for (int i = 0; i < BATCH * PIXELS; i++) {
        float pixel = (float)test_set.set.pixels[i];
        images.own[i] = (pixel - (float)own->mean[0]) / own->std[0];
        images.students[i] = (pixel - 40.0F) / 31.5F;
    }
    const struct agn_net_config config = {.graph = &teacher.model->parts[AGN_REMOTE].graph,
                                          .params = teacher.model->parts[AGN_REMOTE].params,
                                          .batch = BATCH,
                                          .mode = AGN_NET_FROZEN};
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), images.own, sizeof images.own);
    assert_int_equal(agn_net_forward(net), AGN_OK);
    assert_int_equal(agn__teacher_ask(&teacher, images.students, &logits), AGN_OK);
    for (int i = 0; i < BATCH * TINY_CLASSES; i++)
        assert_true(fabsf(logits[i] - agn_net_read(net, AGN_BORDER_OUTPUT)[i]) < 1e-3F);
    agn_net_free(net);
    agn__teacher_close(&teacher);
    agn_model_free(student);
}

static void students_learn(void **state)
{
    (void)state;
    const struct {
        const char *system, *setting;
        enum agn_role role;
    } students[] = {{"agilenn", "joint.distill=1", AGN_REMOTE},
                    {"agilenn", "joint.local_distill=1", AGN_LOCAL},
                    {"edge-only", "joint.distill=1", AGN_REMOTE},
                    {"local-only", "joint.distill=1", AGN_LOCAL}};
    for (size_t i = 0; i < AGN_COUNT_OF(students); i++) {
        struct agn_preset preset = preset_of(students[i].system);
        double accuracy = 0.0;
        assert_int_equal(agn_preset_set(&preset, students[i].setting), AGN_OK);
        struct agn_model *alone = train(&preset, NULL);
        snprintf(preset.joint.teacher, sizeof preset.joint.teacher, "%s", teacher_path);
        struct agn_model *taught = train(&preset, &accuracy);
        print_message("%s with %s: %.3f\n", students[i].system, students[i].setting, accuracy);
        assert_true(accuracy > 0.6);
        assert_memory_not_equal(alone->parts[students[i].role].params->value,
                                taught->parts[students[i].role].params->value,
                                alone->parts[students[i].role].params->total * sizeof(float));
        agn_model_free(alone);
        agn_model_free(taught);
    }
}

static void expect_refused(const char *path, const char *setting, int status, const char *part)
{
    struct agn_preset preset = preset_of("local-only");
    struct agn_model *student = NULL;
    struct agn__teacher teacher;
    snprintf(preset.joint.teacher, sizeof preset.joint.teacher, "%s", path);
    if (setting != NULL)
        assert_int_equal(agn_preset_set(&preset, setting), AGN_OK);
    assert_int_equal(agn_model_create(&preset, NULL, &student), AGN_OK);
    assert_int_equal(agn__teacher_open(student, BATCH, &teacher), status);
    if (strstr(agn_error_message(), part) == NULL)
        fail_msg("the message '%s' lacks '%s'", agn_error_message(), part);
    agn__teacher_close(&teacher);
    agn_model_free(student);
}

static void refusals(void **state)
{
    (void)state;
    expect_refused(temp_path("nothing.safetensors"), NULL, AGN_ERR_NOT_FOUND, "nothing.safetensors");
    expect_refused(split_path, NULL, AGN_ERR_ARG, "expected one of edge-only");
    expect_refused(teacher_path, "data.classes=4", AGN_ERR_MISMATCH, "other classes (3, expected 4)");
    expect_refused(teacher_path, "data.height=16", AGN_ERR_MISMATCH, "12x12x1, expected 16x12x1");
    static const char *const alone[][2] = {
        {"joint.teacher_start=1", "joint.teacher_start = 1 without a teacher"},
        {"joint.measure_every=2", "joint.distill = 0, or a joint.teacher"}};
    for (size_t i = 0; i < AGN_COUNT_OF(alone); i++) {
        struct agn_preset preset = preset_of("agilenn");
        preset.joint.distill = 1;
        assert_int_equal(agn_preset_set(&preset, alone[i][0]), AGN_OK);
        assert_int_equal(agn_preset_check(&preset), AGN_ERR_ARG);
        assert_non_null(strstr(agn_error_message(), alone[i][1]));
    }
}

/* A network whose end is the teacher's starts with its weights, the layers before with its own. */
static void students_start_as_the_teacher(void **state)
{
    (void)state;
    static const char *const networks[] = {"conv:c8:s2 conv:c8:s2",
                                           "conv:c4:l1 shuffle conv:c8:s2 conv:c8:s2"};
    for (size_t i = 0; i < AGN_COUNT_OF(networks); i++) {
        struct agn_preset preset = preset_of("edge-only");
        double accuracy = 0.0;
        snprintf(preset.joint.teacher, sizeof preset.joint.teacher, "%s", teacher_path);
        snprintf(preset.model.remote, sizeof preset.model.remote, "%s", networks[i]);
        preset.joint.teacher_start = 1;
        preset.joint.rate = 1e-6;
        preset.joint.epochs = 1;
        struct agn_model *model = train(&preset, &accuracy), *teacher = NULL;
        assert_int_equal(agn_model_load(teacher_path, &teacher), AGN_OK);
        const struct agn_params *own = model->parts[AGN_REMOTE].params,
                                *lent = teacher->parts[AGN_REMOTE].params;
        const struct agn_param *dense = &own->list[own->count - 2], *source = &lent->list[lent->count - 2];
        assert_true(dense->rank == 2 || dense->count > TINY_CLASSES);
        for (size_t w = 0; w < dense->count; w++)
            assert_true(fabsf(own->value[dense->offset + w] - lent->value[source->offset + w]) < 1e-4F);
        assert_true(i > 0 || accuracy > 0.9);
        agn_model_free(model);
        agn_model_free(teacher);
    }
    struct agn_preset preset = preset_of("edge-only");
    struct agn_model *model = NULL;
    struct agn_train_report report;
    snprintf(preset.joint.teacher, sizeof preset.joint.teacher, "%s", teacher_path);
    snprintf(preset.model.remote, sizeof preset.model.remote, "conv:c8:s2 conv:c12:s2");
    preset.joint.teacher_start = 1;
    const struct agn_train_config config = {.preset = preset, .train = &train_set.set, .test = &test_set.set};
    assert_int_equal(agn_train_run(&config, &model, &report), AGN_ERR_MISMATCH);
    assert_non_null(strstr(agn_error_message(), "joint.teacher_start = 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_word_is_its_models), cmocka_unit_test(students_learn),
        cmocka_unit_test(students_start_as_the_teacher), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
