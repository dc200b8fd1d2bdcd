/* Bad input to training and evaluation: data sets that cannot be learned from or belong to another model, and
 * checkpoints that are damaged or were made on other images. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "agilenn/sets.h"
#include "checkpoints.h"
#include "temp_folder.h"
#include "test_images.h"
#include "tiny_training.h"

enum { IMAGES = 96, TEST_IMAGES = 30 };
static struct tiny_dataset train_set, test_set;

static int setup(void **state)
{
    tiny_dataset_make(&train_set, IMAGES, 1);
    tiny_dataset_make(&test_set, TEST_IMAGES, 2);
    agn_nn_set_threads(1);
    return temp_folder_setup(state);
}

static int teardown(void **state)
{
    tiny_dataset_free(&train_set);
    tiny_dataset_free(&test_set);
    return temp_folder_teardown(state);
}

static void succeed(int status)
{
    if (status < 0)
        fail_msg("%s", agn_error_message());
}

static void expect_failure(int got, int status, const char *part)
{
    if (got != status || strstr(agn_error_message(), part) == NULL)
        fail_msg("status %d (%s); expected %d, '%s'", got, got < 0 ? agn_error_message() : "", status, part);
}

static struct agn_train_config tiny_config(void)
{
    struct agn_train_config config = {.train = &train_set.set, .test = &test_set.set};
    tiny_preset_make(&config.preset);
    config.preset.reference.epochs = config.preset.joint.epochs = 1;
    return config;
}

/* Both before any file is written, and by training itself. */
static void expect_refused(const struct agn_train_config *config, int status, const char *part)
{
    struct agn_model *model = NULL;
    struct agn_train_report report;
    expect_failure(agn_train_check(config), status, part);
    expect_failure(agn_train_run(config, &model, &report), status, part);
    assert_null(model);
}

static struct agn_model *fresh_model(void)
{
    struct agn_train_config config = tiny_config();
    struct agn_model *model = NULL;
    succeed(agn_model_create(&config.preset, &train_set.set, &model));
    return model;
}

/* ---- data sets -------------------------------------------------------------------- */

static void one_class(void **state)
{
    (void)state;
    static uint16_t labels[IMAGES];
    struct agn_train_config config = tiny_config();
    struct agn_dataset same = train_set.set;
    same.labels = labels;
    config.train = &same;
    expect_refused(&config, AGN_ERR_MISMATCH, "all 96 training images in  are of one class, 'left'");
    labels[IMAGES - 1] = 1;
    succeed(agn_train_check(&config));
    config.train = &train_set.set;
    same.count = TEST_IMAGES;
    config.test = &same; /* a test set of one class is only odd */
    labels[IMAGES - 1] = 0;
    succeed(agn_train_check(&config));
}

static void labels_outside_the_classes(void **state)
{
    (void)state;
    uint16_t labels[IMAGES];
    memcpy(labels, train_set.set.labels, sizeof(labels));
    labels[7] = TINY_CLASSES;
    struct agn_dataset wrong = train_set.set;
    wrong.labels = labels;
    struct agn_train_config config = tiny_config();
    config.train = &wrong;
    expect_refused(&config, AGN_ERR_RANGE,
                   "training image 7 has label 3, but the set has the classes 0 to 2");
    config = tiny_config();
    config.test = &wrong;
    expect_refused(&config, AGN_ERR_RANGE, "test image 7 has label 3");
    struct agn_model *model = fresh_model();
    struct agn_evaluation evaluation;
    expect_failure(agn_model_evaluate(model, &wrong, &evaluation), AGN_ERR_RANGE, "image 7 has label 3");
    agn_model_free(model);
}

static void fewer_images_than_a_batch(void **state)
{
    (void)state;
    struct agn_train_config config = tiny_config();
    config.preset.train.batch = IMAGES + 1;
    expect_refused(&config, AGN_ERR_ARG, "train.batch = 97, but there are only 96 training images");
}

static void keep_line(void *user, enum agn_log_level level, const char *line)
{
    (void)level;
    snprintf(user, 512, "%s", line);
}

/* Labels with a gap, and idx files that are said to have more classes. */
static void classes_without_training_images(void **state)
{
    (void)state;
    char said[512] = "";
    uint16_t labels[IMAGES];
    struct agn_dataset gap = train_set.set;
    struct agn_preset preset = tiny_config().preset;
    gap.labels = labels;
    agn_log_to(keep_line, said, AGN_LOG_WARN);
    succeed(agn_train_fit_preset(&preset, &train_set.set, &train_set.set, NULL));
    assert_string_equal(said, "");
    for (int i = 0; i < IMAGES; i++)
        labels[i] = train_set.set.labels[i] == 1 ? 2 : train_set.set.labels[i];
    succeed(agn_train_fit_preset(&preset, &gap, &train_set.set, NULL));
    assert_non_null(strstr(said, "1 of 3 classes without a training image"));
    assert_non_null(strstr(said, "them: right;"));
    said[0] = '\0';
    memset(labels, 0, sizeof(labels));
    succeed(agn_train_fit_preset(&preset, &gap, &train_set.set, NULL)); /* refused by agn_train_check */
    assert_string_equal(said, "");
    snprintf(preset.data.format, sizeof(preset.data.format), "idx");
    preset.data.classes = 20;
    succeed(agn_train_fit_preset(&preset, &train_set.set, &train_set.set, NULL));
    assert_non_null(strstr(said, "17 of 20 classes without a training image"));
    assert_non_null(strstr(said, "them: 3, 4, 5, 6, 7, 8, 9, 10, ...;"));
    agn_log_to(NULL, NULL, AGN_LOG_WARN);
}

/* Labels that mean something else would give figures that mean nothing. */
static void classes_of_another_set(void **state)
{
    (void)state;
    char *shifted[] = {"right", "edge", "left"}, *numbers[] = {"0", "1", "2"}, *two[] = {"left", "right"};
    char *bytes[] = {"left", "r\xE9ght", "edge"}, *replaced[] = {"left", "r?ght", "edge"};
    struct agn_model *model = fresh_model();
    struct agn_dataset data = test_set.set;
    data.class_names = shifted;
    struct agn_evaluation evaluation;
    expect_failure(agn_model_evaluate(model, &data, &evaluation), AGN_ERR_MISMATCH,
                   "class 0 of the data set is 'right', but 'left' in the model");
    data.class_names = numbers; /* has no names */
    succeed(agn_model_check_data(model, &data));
    data.class_names = bytes;
    expect_failure(agn_model_check_data(model, &data), AGN_ERR_MISMATCH, "class 1");
    char **own = model->class_names;
    model->class_names = replaced; /* as a file gives it back */
    succeed(agn_model_check_data(model, &data));
    model->class_names = own;
    uint16_t labels[TEST_IMAGES] = {0};
    data.class_names = two;
    data.classes = 2;
    data.labels = labels;
    succeed(agn_model_check_data(model, &data));
    agn_model_free(model);
}

/* Sizes that differ from image to image, in class folders: brought to the preset's, and trained on. */
static void images_of_mixed_sizes(void **state)
{
    (void)state;
    static uint8_t pixels[40 * 40 * 3];
    for (int i = 0; i < 36; i++) {
        int height = 9 + i % 7, width = 12 + i % 5 * 7;
        size_t size;
        test_image_fill(pixels, height, width, 3, i % TINY_CLASSES);
        uint8_t *data = test_image_make(i % 2 == 0 ? TEST_PNG : TEST_JPEG, pixels, height, width, 3, &size);
        char name[64];
        snprintf(name, sizeof(name), "mixed/%s/%d/%d.%s", i < 33 ? "train" : "test", i % TINY_CLASSES, i,
                 i % 2 == 0 ? "png" : "jpg");
        (void)temp_file(name, data, size);
        free(data);
    }
    struct agn_dataset_source source = {.format = "folder",
                                        .path = temp_path("mixed"),
                                        .split = "train",
                                        .height = TINY_SIDE,
                                        .width = TINY_SIDE,
                                        .channels = 1};
    struct agn_dataset *train = NULL, *test = NULL;
    succeed(agn_dataset_open(&source, &train));
    source.split = "test";
    succeed(agn_dataset_open(&source, &test));
    struct agn_train_config config = tiny_config();
    config.train = train;
    config.test = test;
    struct agn_model *model = NULL;
    struct agn_train_report report;
    succeed(agn_train_run(&config, &model, &report));
    assert_int_equal(report.evaluation.images, 3);
    agn_model_free(model);
    agn_dataset_free(train);
    agn_dataset_free(test);
}

/* ---- weights --------------------------------------------------------------------------- */

static void weights_too_large_to_compute_with(void **state)
{
    (void)state;
    struct agn_model *model = fresh_model();
    struct agn_params *reference = model->parts[AGN_REFERENCE].params;
    for (size_t i = 0; i < reference->total; i++)
        reference->value[i] *= 1e30F;
    reference->version++;
    struct agn_evaluation evaluation;
    expect_failure(agn_model_evaluate(model, &test_set.set, &evaluation), AGN_ERR_NUMERIC,
                   "importance of the features is not a number");
    agn_model_free(model);
}

/* ---- checkpoints ------------------------------------------------------------------------- */

/* At the first report of a phase. */
static void interrupt(void *user, const struct agn_progress *progress)
{
    if (progress->done > 0 && strcmp(progress->phase, user) == 0)
        agn_interrupt_request();
}

/* A training that was interrupted after the first step of a phase; the configuration to resume it. */
static struct agn_train_config interrupted_in(struct agn_train_config config, const char *phase,
                                              const char *checkpoint, const char *metrics)
{
    struct agn_model *model = NULL;
    struct agn_train_report report;
    config.checkpoint = checkpoint;
    config.metrics = metrics;
    config.progress = interrupt;
    config.progress_user = (void *)(uintptr_t)phase;
    expect_failure(agn_train_run(&config, &model, &report), AGN_ERR_INTERRUPTED, "--resume");
    agn_interrupt_clear();
    config.progress = NULL;
    config.resume = true;
    return config;
}

static struct agn_train_config interrupted(const char *checkpoint, const char *metrics)
{
    return interrupted_in(tiny_config(), "reference", checkpoint, metrics);
}

static void checkpoints_made_on_other_images(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof(path), "%s", temp_path("other.safetensors"));
    struct agn_train_config config = interrupted(path, NULL);
    struct agn_dataset other = train_set.set;
    config.train = &other;
    succeed(agn_train_check(&config));
    other.count = IMAGES - 1;
    expect_refused(&config, AGN_ERR_MISMATCH, "was made with 96 training images, but here are 95");
    other.count = IMAGES;
    char *names[] = {"left", "right", "corner"};
    other.class_names = names;
    expect_refused(&config, AGN_ERR_MISMATCH, "class 2 is 'edge' there, but 'corner' here");
    other.class_names = train_set.set.class_names;
    size_t bytes = (size_t)IMAGES * TINY_SIDE * TINY_SIDE;
    other.pixels = malloc(bytes);
    assert_non_null(other.pixels);
    for (size_t i = 0; i < bytes; i++)
        other.pixels[i] = (uint8_t)(train_set.set.pixels[i] / 2);
    expect_refused(&config, AGN_ERR_MISMATCH, "other training images: channel 0 has mean");
    memcpy(other.pixels, train_set.set.pixels, bytes);
    other.pixels[0] = other.pixels[1]; /* two pixels change places: the mean stays */
    other.pixels[1] = train_set.set.pixels[0];
    assert_int_not_equal(other.pixels[0], other.pixels[1]);
    expect_refused(&config, AGN_ERR_MISMATCH, "as many, but not all of them are the same");
    free(other.pixels);
    /* one that does not say how many images there were, as earlier versions wrote them */
    struct agn_model *model = NULL;
    struct agn_train_state reached;
    succeed(load_checkpoint(path, &model, &reached));
    assert_int_equal(reached.train_images, IMAGES);
    assert_true(reached.data_hash > 0);
    reached.train_images = reached.data_hash = 0;
    succeed(save_checkpoint(model, path, &reached));
    agn_model_free(model);
    config.train = &train_set.set;
    succeed(agn_train_check(&config));
}

static void damaged_checkpoints(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof(path), "%s", temp_path("damaged.safetensors"));
    struct agn_train_config config = interrupted(path, NULL);
    uint8_t *whole = NULL;
    size_t size = 0;
    succeed(agn_file_read(path, 1 << 26, &whole, &size));
    static const char advice[] = "start afresh, without --resume";
    for (size_t cut = 1; cut <= size; cut += size / 5) { /* down to nothing */
        succeed(agn_file_write(path, whole, size - cut));
        expect_refused(&config, AGN_ERR_FORMAT, path);
        expect_refused(&config, AGN_ERR_FORMAT, advice);
    }
    succeed(agn_file_write(path, "[data]\nformat = idx\n", 20));
    expect_refused(&config, AGN_ERR_FORMAT, advice);
    struct agn_model *model = NULL;
    struct agn_train_state reached;
    succeed(agn_file_write(path, whole, size));
    succeed(load_checkpoint(path, &model, &reached));
    model->parts[AGN_REMOTE].params->momentum[0] = NAN;
    succeed(save_checkpoint(model, path, &reached));
    expect_refused(&config, AGN_ERR_NUMERIC,
                   "the momentum of 'remote.0.weight' holds a value that is not finite");
    expect_refused(&config, AGN_ERR_NUMERIC, advice);
    agn_model_free(model);
    agn_free(whole);
}

/* ---- metrics -------------------------------------------------------------------------------- */

static void expect_whole_lines(const char *path, int at_least)
{
    char line[2048];
    int lines = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        json_t *json = json_loads(line, 0, NULL);
        if (json == NULL)
            fail_msg("%s: not a JSON object: %s", path, line);
        json_decref(json);
        lines++;
    }
    fclose(file);
    assert_true(lines >= at_least);
}

/* A full disk or a kill may end the file within a line; a resumed training goes on with a line of its own. */
static void a_cut_line_of_metrics(void **state)
{
    (void)state;
    char path[4096], metrics[4096];
    snprintf(path, sizeof(path), "%s", temp_path("cut.safetensors"));
    snprintf(metrics, sizeof(metrics), "%s", temp_path("metrics.jsonl"));
    struct agn_train_config config = interrupted(path, metrics);
    static const char text[] = "{\"phase\": \"reference\", \"step\": 1}\n{\"phase\": \"refer";
    succeed(agn_file_write(metrics, text, sizeof(text) - 1));
    struct agn_model *model = NULL;
    struct agn_train_report report;
    succeed(agn_train_run(&config, &model, &report));
    agn_model_free(model);
    expect_whole_lines(metrics, 3);
}

/* Where the reference is right about no image, importance is not measured: no figure, instead of 0. */
static void a_reference_that_is_always_wrong(void **state)
{
    (void)state;
    char path[4096], metrics[4096], *text = NULL;
    snprintf(path, sizeof(path), "%s", temp_path("wrong.safetensors"));
    snprintf(metrics, sizeof(metrics), "%s", temp_path("wrong.jsonl"));
    struct agn_train_config config = tiny_config();
    config.preset.data.classes = TINY_CLASSES + 1; /* one that no image has */
    config.preset.joint.epochs = 2;
    config = interrupted_in(config, "joint", path, metrics);
    struct agn_model *model = NULL;
    struct agn_train_state reached;
    struct agn_train_report report;
    succeed(load_checkpoint(path, &model, &reached));
    agn_params_values(model->parts[AGN_REFERENCE].params, "reference.dense.bias")[TINY_CLASSES] = 1000.0F;
    succeed(save_checkpoint(model, path, &reached));
    agn_model_free(model);
    succeed(agn_train_run(&config, &model, &report));
    agn_model_free(model);
    assert_true(report.evaluation.reference_valid == 0.0);
    expect_whole_lines(metrics, 2);
    size_t size = 0;
    succeed(agn_file_read(metrics, 1 << 20, (uint8_t **)&text, &size));
    char line[2048] = "";
    const char *at = text + size - 1; /* the last line */
    while (at > text && at[-1] != '\n')
        at--;
    snprintf(line, sizeof(line), "%.*s", (int)(text + size - at), at);
    assert_non_null(strstr(line, "\"skewness\": null"));
    assert_non_null(strstr(line, "\"disorder_rate\": null"));
    assert_non_null(strstr(line, "\"reference_valid\": 0,"));
    agn_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_class),
        cmocka_unit_test(labels_outside_the_classes),
        cmocka_unit_test(fewer_images_than_a_batch),
        cmocka_unit_test(classes_without_training_images),
        cmocka_unit_test(classes_of_another_set),
        cmocka_unit_test(images_of_mixed_sizes),
        cmocka_unit_test(weights_too_large_to_compute_with),
        cmocka_unit_test(checkpoints_made_on_other_images),
        cmocka_unit_test(damaged_checkpoints),
        cmocka_unit_test(a_cut_line_of_metrics),
        cmocka_unit_test(a_reference_that_is_always_wrong),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
