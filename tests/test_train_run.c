/* agn_train_run on a tiny data set: it learns, repeats bit for bit, resumes exactly, and refuses what cannot
 * work. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <jansson.h>

#include "checkpoints.h"
#include "temp_folder.h"
#include "tiny_training.h"

enum { IMAGES = 600, TEST_IMAGES = 150, STEPS_A_EPOCH = IMAGES / 32 };
static struct tiny_dataset train_set, test_set, validation_set;

static int setup(void **state)
{
    tiny_dataset_make(&train_set, IMAGES, 1);
    tiny_dataset_make(&test_set, TEST_IMAGES, 2);
    tiny_dataset_make(&validation_set, TEST_IMAGES, 3);
    agn_nn_set_threads(1); /* two threads wait long for each other where other tests keep the cores busy */
    return temp_folder_setup(state);
}

static int teardown(void **state)
{
    tiny_dataset_free(&train_set);
    tiny_dataset_free(&test_set);
    tiny_dataset_free(&validation_set);
    return temp_folder_teardown(state);
}

static void expect_message(const char *part)
{
    if (strstr(agn_error_message(), part) == NULL)
        fail_msg("the message '%s' lacks '%s'", agn_error_message(), part);
}

static struct agn_train_config tiny_config(void)
{
    struct agn_train_config config = {.train = &train_set.set, .test = &test_set.set};
    tiny_preset_make(&config.preset);
    return config;
}

static struct agn_train_config short_config(void)
{
    struct agn_train_config config = tiny_config();
    config.preset.reference.epochs = 1;
    config.preset.joint.epochs = 2;
    return config;
}

static struct agn_model *train(const struct agn_train_config *config, struct agn_train_report *report)
{
    struct agn_model *model = NULL;
    struct agn_train_report ignored;
    if (agn_train_run(config, &model, report == NULL ? &ignored : report) < 0)
        fail_msg("training failed: %s", agn_error_message());
    return model;
}

static void expect_refused(const struct agn_train_config *config, int status, const char *part)
{
    struct agn_model *model = NULL;
    struct agn_train_report report;
    int got = agn_train_run(config, &model, &report);
    if (got != status)
        fail_msg("training gives %d, expected %d (%s)", got, status, got < 0 ? agn_error_message() : part);
    assert_null(model);
    expect_message(part);
}

/* ---- equality ------------------------------------------------------------------- */

static void expect_same_params(const struct agn_params *a, const struct agn_params *b)
{
    assert_int_equal(a->total, b->total);
    for (int p = 0; p < a->count; p++) {
        const struct agn_param *param = &a->list[p];
        if (memcmp(a->value + param->offset, b->value + param->offset, param->count * sizeof(float)) != 0)
            fail_msg("'%s' differs", param->name);
        if (memcmp(a->momentum + param->offset, b->momentum + param->offset, param->count * sizeof(float)) !=
            0)
            fail_msg("the momentum of '%s' differs", param->name);
    }
}

static void expect_same_model(const struct agn_model *a, const struct agn_model *b)
{
    expect_same_params(a->parts[AGN_EXTRACTOR].params, b->parts[AGN_EXTRACTOR].params);
    expect_same_params(a->parts[AGN_LOCAL].params, b->parts[AGN_LOCAL].params);
    expect_same_params(a->parts[AGN_REMOTE].params, b->parts[AGN_REMOTE].params);
    /* the reference is frozen in joint training: its momentum may or may not live on */
    assert_memory_equal(a->parts[AGN_REFERENCE].params->value, b->parts[AGN_REFERENCE].params->value,
                        a->parts[AGN_REFERENCE].params->total * sizeof(float));
    assert_memory_equal(a->centroids, b->centroids, sizeof(a->centroids));
    assert_memory_equal(a->usage, b->usage, sizeof(a->usage));
    assert_memory_equal(&a->alpha_weight, &b->alpha_weight, sizeof(float));
    assert_memory_equal(&a->alpha_momentum, &b->alpha_momentum, sizeof(float));
    assert_memory_equal(&a->alpha_second, &b->alpha_second, sizeof(float));
    assert_memory_equal(&a->alpha_steps, &b->alpha_steps, sizeof(float));
    assert_memory_equal(a->fill, b->fill, (size_t)a->sent_channels * sizeof(float));
    assert_memory_equal(a->importance_before, b->importance_before, sizeof(a->importance_before));
    assert_memory_equal(a->importance_after, b->importance_after, sizeof(a->importance_after));
}

/* ---- learning ----------------------------------------------------------------------- */

/* Loss of the first and the last line of each phase; every line must be a whole JSON object. */
struct metrics {
    int lines;
    double first_loss[2], last_loss[2], last_skewness;
};

static void read_metrics(const char *path, struct metrics *metrics)
{
    char line[2048];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    *metrics = (struct metrics){.first_loss = {NAN, NAN}};
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *phase = NULL;
        double loss, accuracy, valid, skewness, seconds;
        json_int_t step, steps;
        json_error_t error;
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        if (json == NULL ||
            json_unpack_ex(json, &error, 0, "{s:s, s:I, s:I, s:F, s:F, s:F}", "phase", &phase, "step", &step,
                           "steps", &steps, "loss", &loss, "accuracy", &accuracy, "seconds", &seconds) != 0)
            fail_msg("%s: %s", line, error.text);
        int joint = strcmp(phase, "joint") == 0;
        assert_true(step >= 1 && step <= steps && accuracy >= 0.0 && accuracy <= 1.0 && seconds >= 0.0);
        if (joint) {
            assert_int_equal(json_unpack_ex(json, &error, 0, "{s:F, s:F, s:F}", "skewness", &skewness,
                                            "reference_valid", &valid, "alpha", &loss),
                             0);
            assert_true(skewness >= 0.0 && skewness <= 1.0 && valid >= 0.0 && valid <= 1.0);
            metrics->last_skewness = skewness;
            json_unpack(json, "{s:F}", "loss", &loss);
        }
        metrics->first_loss[joint] = isnan(metrics->first_loss[joint]) ? loss : metrics->first_loss[joint];
        metrics->last_loss[joint] = loss;
        metrics->lines++;
        json_decref(json);
    }
    fclose(file);
}

static void learns(void **state)
{
    (void)state;
    struct agn_train_config config = tiny_config();
    struct agn_train_report report;
    struct metrics metrics;
    char path[4096], checkpoint[4096];
    snprintf(path, sizeof(path), "%s", temp_path("metrics.jsonl"));
    snprintf(checkpoint, sizeof(checkpoint), "%s", temp_path("learns.safetensors"));
    config.metrics = path;
    config.checkpoint = checkpoint;
    struct agn_model *model = train(&config, &report), *loaded = NULL;
    const struct agn_evaluation *e = &report.evaluation;
    print_message("fused %.3f, local %.3f, valid %.3f, skewness %.3f -> %.3f, disorder %.3f, levels %d\n",
                  e->fused_accuracy, e->local_accuracy, e->reference_valid, model->skewness_before,
                  e->skewness, e->disorder_rate, e->levels_used);
    assert_int_equal(e->images, TEST_IMAGES);
    assert_true(e->fused_accuracy > 0.85 && e->reference_valid > 0.8 && report.reference_accuracy > 0.7);
    assert_true(e->skewness > 0.7 && e->skewness > model->skewness_before);
    assert_true(e->levels_used >= 4 && e->alpha > 0.0 && e->alpha < 1.0);
    assert_true(report.images_per_s > 0.0 && report.seconds > 0.0 && report.joint_images_per_s > 0.0);
    read_metrics(path, &metrics);
    assert_true(metrics.lines >= 4);
    assert_true(metrics.last_loss[0] < 0.7 * metrics.first_loss[0]);
    assert_true(metrics.last_loss[1] < metrics.first_loss[1]);
    assert_true(metrics.last_skewness > 0.7);
    struct agn_train_state reached;
    assert_int_equal(load_checkpoint(checkpoint, &loaded, &reached), AGN_OK);
    assert_int_equal(reached.phase, AGN_PHASE_DONE);
    expect_same_model(model, loaded);
    agn_model_free(loaded);
    agn_model_free(model);
}

/* The public code's definitions: elements, two weights of alpha; selection by mean importance. */
static void learns_by_the_public_codes_definitions(void **state)
{
    (void)state;
    struct agn_train_config config = tiny_config();
    struct agn_train_report report;
    config.preset.joint.importance = AGN_IMPORTANCE_ELEMENT;
    config.preset.joint.selection = AGN_SELECT_IMPORTANCE;
    config.preset.model.alpha_form = AGN_ALPHA_SOFTMAX;
    struct agn_model *model = train(&config, &report);
    const struct agn_evaluation *e = &report.evaluation;
    print_message("by element: fused %.3f, valid %.3f, skewness %.3f -> %.3f, disorder %.3f\n",
                  e->fused_accuracy, e->reference_valid, model->skewness_before, e->skewness,
                  e->disorder_rate);
    assert_true(e->fused_accuracy > 0.85 && e->reference_valid > 0.8);
    assert_true(e->skewness > 0.7 && e->skewness > model->skewness_before);
    agn_model_free(model);
}

static void same_seed_same_bits(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    config.preset.data.flip = 1;
    config.preset.data.crop_pad = 1;
    config.preset.joint.soft_temperature = 1.0;
    agn_nn_set_threads(2);
    struct agn_model *first = train(&config, NULL), *second = train(&config, NULL);
    agn_nn_set_threads(1);
    expect_same_model(first, second);
    config.preset.train.seed++;
    struct agn_model *other = train(&config, NULL);
    assert_memory_not_equal(first->parts[AGN_REMOTE].params->value, other->parts[AGN_REMOTE].params->value,
                            first->parts[AGN_REMOTE].params->total * sizeof(float));
    agn_model_free(first);
    agn_model_free(second);
    agn_model_free(other);
}

/* ---- validation ------------------------------------------------------------------------ */

/* The preset says that there are such images, the configuration has them. */
static struct agn_train_config validating_config(enum agn_choose choose)
{
    struct agn_train_config config = short_config();
    config.validation = &validation_set.set;
    strcpy(config.preset.data.validation, "0.2");
    config.preset.train.choose = choose;
    config.preset.joint.epochs = 3;
    return config;
}

/* Accuracies on the validation images, phase by phase, as metrics.jsonl has them; 10 (how many of the first
 * phase) + (how many of the second one). */
static int read_validations(const char *path, double reference[8], double joint[8])
{
    char line[2048];
    int counts[2] = {0, 0};
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        json_t *json = json_loads(line, 0, NULL), *value = json_object_get(json, "validation_accuracy");
        bool of_joint = strcmp(json_string_value(json_object_get(json, "phase")), "joint") == 0;
        if (value != NULL) {
            assert_true(counts[of_joint] < 8);
            (of_joint ? joint : reference)[counts[of_joint]++] = json_number_value(value);
        }
        json_decref(json);
    }
    fclose(file);
    return counts[0] * 10 + counts[1];
}

struct seen {
    double validation;
    int reports;
};

static void note_validation(void *user, const struct agn_progress *progress)
{
    struct seen *seen = user;
    for (int i = 0; i < AGN_PROGRESS_FIGURES && progress->figures[i].key; i++) {
        const struct agn_figure *figure = &progress->figures[i];
        if (progress->epoch_end && strcmp(figure->key, "val") == 0 && isfinite(figure->value)) {
            seen->validation = figure->value;
            seen->reports++;
        }
    }
}

static void validation_is_measured_and_changes_nothing(void **state)
{
    (void)state;
    struct agn_train_config config = validating_config(AGN_CHOOSE_LAST), without = config;
    struct agn_train_report report;
    struct seen seen = {NAN, 0};
    double reference[8], joint[8];
    char path[4096];
    snprintf(path, sizeof(path), "%s", temp_path("validated.jsonl"));
    config.metrics = path;
    config.progress = note_validation;
    config.progress_user = &seen;
    without.validation = NULL;
    struct agn_model *model = train(&config, &report), *other = train(&without, NULL);
    expect_same_model(model, other);
    assert_int_equal(read_validations(path, reference, joint), 13);
    assert_int_equal(seen.reports, 4);
    assert_true(seen.validation == report.validation_accuracy && isnan(report.chosen_epochs));
    assert_true(fabs(joint[2] - report.validation_accuracy) < 1e-5 && joint[2] > 0.6);
    struct agn_evaluation evaluation;
    assert_int_equal(agn_model_evaluate(model, &validation_set.set, &evaluation), AGN_OK);
    assert_true(evaluation.fused_accuracy == report.validation_accuracy);
    agn_model_free(other);
    config.preset.train.validate_every = 2; /* and at the end */
    other = train(&config, NULL);
    assert_int_equal(read_validations(path, reference, joint), 12);
    agn_model_free(other);
    agn_model_free(model);
}

static void the_best_epoch_is_kept(void **state)
{
    (void)state;
    struct agn_train_config config = validating_config(AGN_CHOOSE_BEST);
    struct agn_train_report report;
    double reference[8], joint[8], best = 0.0;
    char path[4096];
    snprintf(path, sizeof(path), "%s", temp_path("best.jsonl"));
    config.metrics = path;
    config.preset.joint.rate = 0.002;
    config.preset.joint.warm_start = 0;
    config.preset.reference.epochs = 0.2;
    config.preset.joint.epochs = 5;
    for (int i = 0; i < TEST_IMAGES; i++) /* labels that are wrong: the more is learned, the worse */
        validation_set.set.labels[i] = (uint16_t)((validation_set.set.labels[i] + 1) % TINY_CLASSES);
    struct agn_model *model = train(&config, &report);
    assert_int_equal(read_validations(path, reference, joint), 15);
    int at = 0;
    for (int i = 0; i < 5; i++) {
        at = joint[i] >= best ? i : at;
        best = joint[i] >= best ? joint[i] : best;
    }
    print_message("validation %.3f %.3f %.3f %.3f %.3f, kept %g: %.3f\n", joint[0], joint[1], joint[2],
                  joint[3], joint[4], report.chosen_epochs, report.validation_accuracy);
    assert_true(at < 4); /* else this tests nothing */
    assert_true(fabs(report.validation_accuracy - best) < 1e-5);
    assert_true(report.chosen_epochs == at + 1);
    agn_model_free(model);
    tiny_dataset_free(&validation_set);
    tiny_dataset_make(&validation_set, TEST_IMAGES, 3);
    config.preset.data.validation[0] = '\0';
    assert_int_equal(agn_preset_check(&config.preset), AGN_ERR_ARG);
    expect_message("train.choose = best needs validation images");
}

/* ---- interruption ------------------------------------------------------------------------ */

/* Asks for an interruption at a phase's first report at or after so many images. */
struct interrupter {
    const char *phase;
    int64_t images;
    bool done;
};

static void interrupt(void *user, const struct agn_progress *progress)
{
    struct interrupter *interrupter = user;
    if (!interrupter->done && strcmp(progress->phase, interrupter->phase) == 0 &&
        progress->done >= interrupter->images) {
        interrupter->done = true;
        agn_interrupt_request();
    }
}

/* Interrupts at `images` images of a phase, resumes, and compares with a run in one go. */
static void interrupt_and_resume(const struct agn_model *whole, const char *phase, int64_t images)
{
    struct agn_train_config config = short_config();
    config.preset = whole->preset;
    struct interrupter interrupter = {phase, images, false};
    config.validation = whole->preset.data.validation[0] != '\0' ? &validation_set.set : NULL;
    char checkpoint[4096];
    snprintf(checkpoint, sizeof(checkpoint), "%s", temp_path("%s-%d.safetensors", phase, (int)images));
    config.checkpoint = checkpoint;
    config.progress = interrupt;
    config.progress_user = &interrupter;
    expect_refused(&config, AGN_ERR_INTERRUPTED, "interrupted");
    agn_interrupt_clear();
    assert_true(interrupter.done && agn_file_exists(checkpoint));
    config.resume = true;
    struct agn_model *resumed = train(&config, NULL);
    expect_same_model(whole, resumed);
    agn_model_free(resumed);
}

static void resumed_runs_end_the_same(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    struct agn_model *whole = train(&config, NULL);
    interrupt_and_resume(whole, "reference", 32);                      /* after the first step */
    interrupt_and_resume(whole, "reference", 32 * STEPS_A_EPOCH);      /* between the phases */
    interrupt_and_resume(whole, "joint", 32);                          /* in mid-epoch */
    interrupt_and_resume(whole, "joint", 32 * STEPS_A_EPOCH);          /* between epochs */
    interrupt_and_resume(whole, "joint", (int64_t)64 * STEPS_A_EPOCH); /* before the evaluation */
    agn_model_free(whole);
}

/* All that draws random numbers or keeps something from step to step. */
static struct agn_train_config config_with_all_options(void)
{
    static const char *const settings[] = {"data.flip=1",
                                           "data.crop_pad=1",
                                           "train.label_smoothing=0.1",
                                           "train.mixup=0.3",
                                           "train.cutout=3",
                                           "train.ema=0.9",
                                           "train.class_weights=balanced",
                                           "joint.distill=0.5",
                                           "joint.local_distill=0.3",
                                           "joint.tail_drop=0.3",
                                           "model.sends=all",
                                           "joint.points=2",
                                           "joint.method=ig-gauss-legendre",
                                           "joint.local=0.2",
                                           "joint.selection=none",
                                           "joint.importance=element",
                                           "joint.distill_temperature=3",
                                           "reference.stochastic_depth=0.4",
                                           "model.logits_bn=1",
                                           "model.remote_width=1.5",
                                           "model.alpha_form=softmax",
                                           "joint.packet_loss=0.2",
                                           "joint.bits=0.1",
                                           "joint.soft_temperature=1"};
    struct agn_train_config config = short_config();
    for (size_t i = 0; i < AGN_COUNT_OF(settings); i++)
        assert_int_equal(agn_preset_set(&config.preset, settings[i]), AGN_OK);
    return config;
}

static void resumed_runs_with_all_options_end_the_same(void **state)
{
    (void)state;
    struct agn_train_config config = config_with_all_options();
    struct agn_model *whole = train(&config, NULL);
    interrupt_and_resume(whole, "reference", 32);
    interrupt_and_resume(whole, "joint", 32);
    interrupt_and_resume(whole, "joint", (int64_t)64 * STEPS_A_EPOCH); /* before the average is applied */
    agn_model_free(whole);
}

static void set_all(struct agn_preset *preset, const char *const *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(agn_preset_set(preset, settings[i]), AGN_OK);
}

/* And with a Local NN of its own layers. */
static void resumed_runs_with_adam_end_the_same(void **state)
{
    (void)state;
    static const char *const settings[] = {"train.optimizer=adam", "train.clip=1",
                                           "train.ema=0.9",        "reference.rate=0.01",
                                           "joint.rate=0.01",      "model.local=conv:c6 mb:c6:e2"};
    struct agn_train_config config = short_config();
    struct agn_train_report report;
    set_all(&config.preset, settings, AGN_COUNT_OF(settings));
    struct agn_model *whole = train(&config, &report);
    assert_true(report.evaluation.fused_accuracy > 0.85 && report.evaluation.local_accuracy > 0.8);
    assert_non_null(agn_params_find(whole->parts[AGN_LOCAL].params, "local.1.depthwise.weight"));
    assert_true(whole->alpha_steps == (float)(2 * STEPS_A_EPOCH) && whole->alpha_second > 0.0F);
    interrupt_and_resume(whole, "reference", 32);
    interrupt_and_resume(whole, "joint", 32);
    interrupt_and_resume(whole, "joint", (int64_t)64 * STEPS_A_EPOCH);
    agn_model_free(whole);
}

/* A limit that no gradient reaches changes no bit, a low one slows the weights down. */
static void long_gradients_are_shortened(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    config.preset.reference.epochs = config.preset.joint.epochs = 0.06; /* a step each */
    struct agn_model *free_run = train(&config, NULL);
    config.preset.train.clip = 1e5;
    struct agn_model *out_of_reach = train(&config, NULL);
    config.preset.train.clip = 1e-3;
    struct agn_model *shortened = train(&config, NULL);
    expect_same_model(free_run, out_of_reach);
    double moments[2] = {0.0, 0.0};
    const struct agn_params *params[] = {free_run->parts[AGN_REMOTE].params,
                                         shortened->parts[AGN_REMOTE].params};
    for (int i = 0; i < 2; i++)
        for (size_t v = 0; v < params[i]->total; v++)
            moments[i] += (double)params[i]->momentum[v] * (double)params[i]->momentum[v];
    assert_true(sqrt(moments[0]) > 2e-3 && sqrt(moments[1]) < 1.001e-3 && moments[1] > 0.0);
    agn_model_free(free_run);
    agn_model_free(out_of_reach);
    agn_model_free(shortened);
}

/* local-only: one network, on images; all that a phase can have. */
static void the_device_alone_learns_and_resumes(void **state)
{
    (void)state;
    static const char *const settings[] = {"model.system=local-only",
                                           "model.local=conv:c8:s2 dw mb:c8:e2 conv:c12:s2",
                                           "data.flip=1",
                                           "train.label_smoothing=0.1",
                                           "train.mixup=0.3",
                                           "train.cutout=2",
                                           "train.ema=0.9",
                                           "train.class_weights=balanced",
                                           "joint.packet_loss=0.2",
                                           "joint.bits=0.1"};
    struct agn_train_config config = validating_config(AGN_CHOOSE_BEST);
    struct agn_train_report report;
    set_all(&config.preset, settings, AGN_COUNT_OF(settings));
    config.preset.joint.epochs = 6;
    struct agn_model *whole = train(&config, &report), *loaded = NULL;
    const struct agn_evaluation *e = &report.evaluation;
    assert_true(e->fused_accuracy > 0.85 && e->fused_accuracy == e->local_accuracy);
    assert_true(isnan(e->remote_accuracy) && isnan(e->skewness) && e->alpha == 1.0 && e->levels_used == 0);
    assert_true(report.chosen_epochs >= 1.0 && report.validation_accuracy > 0.85);
    assert_true(whole->sent_channels == 0 && whole->parts[AGN_LOCAL].graph.ops[0].shape.height == TINY_SIDE);
    interrupt_and_resume(whole, "local", 32);
    interrupt_and_resume(whole, "local", 64 * STEPS_A_EPOCH);
    interrupt_and_resume(whole, "local", (int64_t)192 * STEPS_A_EPOCH);
    const char *path = temp_path("alone.safetensors");
    assert_int_equal(agn_model_save(whole, path), AGN_OK);
    assert_int_equal(agn_model_load(path, &loaded), AGN_OK);
    assert_int_equal(agn_model_id(loaded), agn_model_id(whole));
    loaded->parts[AGN_LOCAL].params->value[0] += 1.0F;
    assert_int_not_equal(agn_model_id(loaded), agn_model_id(whole));
    agn_model_free(loaded);
    agn_model_free(whole);
}

static void resumed_runs_choose_the_same_epoch(void **state)
{
    (void)state;
    struct agn_train_config config = validating_config(AGN_CHOOSE_BEST);
    config.preset.reference.epochs = 2;
    config.preset.train.ema = 0.9;
    config.preset.joint.rate = 0.5;
    config.preset.train.final_rate = 1.0;
    struct agn_model *whole = train(&config, NULL);
    interrupt_and_resume(whole, "reference", 32 + 32 * STEPS_A_EPOCH);
    interrupt_and_resume(whole, "joint", 32);
    interrupt_and_resume(whole, "joint", 32 * STEPS_A_EPOCH);
    interrupt_and_resume(whole, "joint", (int64_t)96 * STEPS_A_EPOCH);
    agn_model_free(whole);
}

/* Each option by itself changes what comes out, and what comes out still works. */
static void options_matter(void **state)
{
    (void)state;
    static const char *const settings[] = {"train.label_smoothing=0.1",
                                           "train.mixup=0.3",
                                           "train.cutout=3",
                                           "train.ema=0.9",
                                           "joint.distill=1",
                                           "joint.local_distill=1",
                                           "joint.packet_loss=0.2",
                                           "joint.tail_drop=0.5",
                                           "joint.bits=0.1",
                                           "joint.method=gradient",
                                           "reference.stochastic_depth=0.4",
                                           "model.logits_bn=1"};
    struct agn_train_config config = short_config();
    struct agn_model *plain = train(&config, NULL);
    for (size_t i = 0; i < AGN_COUNT_OF(settings); i++) {
        struct agn_train_report report;
        config = short_config();
        assert_int_equal(agn_preset_set(&config.preset, settings[i]), AGN_OK);
        struct agn_model *model = train(&config, &report);
        print_message("%s: fused %.3f, local %.3f, skewness %.3f\n", settings[i],
                      report.evaluation.fused_accuracy, report.evaluation.local_accuracy,
                      report.evaluation.skewness);
        assert_true(report.evaluation.fused_accuracy > 0.7);
        assert_memory_not_equal(plain->parts[AGN_REMOTE].params->value,
                                model->parts[AGN_REMOTE].params->value,
                                plain->parts[AGN_REMOTE].params->total * sizeof(float));
        agn_model_free(model);
    }
    agn_model_free(plain);
}

static void resuming_needs_the_same_settings(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    struct interrupter interrupter = {"reference", 32, false};
    char checkpoint[4096];
    snprintf(checkpoint, sizeof(checkpoint), "%s", temp_path("settings.safetensors"));
    config.checkpoint = checkpoint;
    config.resume = true;
    expect_refused(&config, AGN_ERR_NOT_FOUND, "settings.safetensors");
    config.resume = false;
    config.progress = interrupt;
    config.progress_user = &interrupter;
    expect_refused(&config, AGN_ERR_INTERRUPTED, "--resume");
    agn_interrupt_clear();
    config.resume = true;
    config.preset.joint.rho = 0.7;
    expect_refused(&config, AGN_ERR_MISMATCH, "other settings");
    expect_message("[joint] rho = 0.8 there, but rho = 0.7 here");
    config.preset.joint.rho = 0.8;
    strcpy(config.preset.model.remote, "conv:k3:c12 conv:s2:c16"); /* the same, spelled otherwise */
    interrupter = (struct interrupter){"joint", 32, false};
    expect_refused(&config, AGN_ERR_INTERRUPTED, "--resume");
    agn_interrupt_clear();
    strcpy(config.preset.model.remote, "conv:c12 conv:c20:s2");
    expect_refused(&config, AGN_ERR_MISMATCH,
                   "tensor 'remote.1.weight' is 16x12x3x3 there, but 20x12x3x3 here");
    strcpy(config.preset.model.remote, "conv:c12 conv:c16:s2 conv:c16");
    expect_refused(&config, AGN_ERR_MISMATCH, "tensor 'remote.2.weight' (16x16x3x3) is missing there");
    strcpy(config.preset.model.remote, "conv:c16:s2:k5");
    expect_refused(&config, AGN_ERR_MISMATCH,
                   "tensor 'remote.0.weight' is 12x6x3x3 there, but 16x6x5x5 here");
    strcpy(config.preset.model.remote, "conv:c12");
    expect_refused(&config, AGN_ERR_MISMATCH, "tensor 'remote.dense.weight' is 3x");
    config.preset.data.classes = 7;
    expect_refused(&config, AGN_ERR_MISMATCH, "it has 3 classes, but data.classes = 7 here");
    temp_file("settings.safetensors", "not a model", 11);
    expect_refused(&config, AGN_ERR_FORMAT, "settings.safetensors");
}

/* Where the images lie does not matter; epochs may be more, but not fewer than are done. */
static void resuming_elsewhere_and_longer(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    struct interrupter interrupter = {"joint", 128, false}; /* more than the 0.1 epochs below */
    double reference = config.preset.reference.epochs, joint = config.preset.joint.epochs;
    char checkpoint[4096];
    snprintf(checkpoint, sizeof(checkpoint), "%s", temp_path("longer.safetensors"));
    config.checkpoint = checkpoint;
    config.progress = interrupt;
    config.progress_user = &interrupter;
    expect_refused(&config, AGN_ERR_INTERRUPTED, "--resume");
    agn_interrupt_clear();
    config.progress = NULL;
    config.resume = true;
    strcpy(config.preset.data.path, "moved/");
    config.preset.joint.epochs = 0.1;
    expect_refused(&config, AGN_ERR_MISMATCH, "joint.epochs = 0.1, but checkpoint");
    config.preset.joint.epochs = joint;
    config.preset.reference.epochs = reference + 1.0;
    expect_refused(&config, AGN_ERR_MISMATCH, "has pre-training behind it");
    config.preset.reference.epochs = reference;
    for (int more = 1; more <= 2; more++) { /* of an interrupted training; of one that has ended */
        struct agn_train_state reached;
        config.preset.joint.epochs = joint + more;
        struct agn_model *model = train(&config, NULL), *saved = NULL;
        assert_string_equal(model->preset.data.path, "moved/");
        assert_true(model->preset.joint.epochs == joint + more);
        agn_model_free(model);
        assert_int_equal(load_checkpoint(checkpoint, &saved, &reached), AGN_OK);
        assert_int_equal(reached.phase, AGN_PHASE_DONE);
        assert_int_equal(reached.step, (int64_t)((joint + more) * STEPS_A_EPOCH));
        agn_model_free(saved);
    }
}

/* A full disk, as a limit on file sizes: the checkpoint before stays, and training can go on from it. */
static void full_disk(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    struct agn_model *whole = train(&config, NULL), *resumed = NULL;
    struct interrupter interrupter = {"joint", 32, false};
    struct rlimit before, small;
    char folder[4096], checkpoint[4200];
    snprintf(folder, sizeof(folder), "%s", temp_path("full"));
    assert_int_equal(agn_make_dirs(folder), AGN_OK);
    snprintf(checkpoint, sizeof(checkpoint), "%s/checkpoint.safetensors", folder);
    config.checkpoint = checkpoint;
    config.progress = interrupt;
    config.progress_user = &interrupter;
    expect_refused(&config, AGN_ERR_INTERRUPTED, "interrupted");
    agn_interrupt_clear();
    config.resume = true;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    void (*old_handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct agn_train_report report;
    int status = agn_train_run(&config, &resumed, &report);
    char message[1024];
    snprintf(message, sizeof(message), "%s", agn_error_message());
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, old_handler);
    assert_int_equal(status, AGN_ERR_IO);
    assert_non_null(strstr(message, checkpoint));
    assert_non_null(strstr(message, "the checkpoint before is still whole"));
    assert_int_equal(temp_count_entries(folder), 1);
    resumed = train(&config, NULL);
    expect_same_model(whole, resumed);
    agn_model_free(resumed);
    agn_model_free(whole);
}

/* ---- what cannot work -------------------------------------------------------------------------- */

static void diverging_runs_say_so(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    char folder[4096], checkpoint[4200];
    snprintf(folder, sizeof(folder), "%s", temp_path("diverged"));
    assert_int_equal(agn_make_dirs(folder), AGN_OK);
    snprintf(checkpoint, sizeof(checkpoint), "%s/model.safetensors", folder);
    config.checkpoint = checkpoint;
    config.preset.reference.rate = 1e30;
    expect_refused(&config, AGN_ERR_NUMERIC, "reference training diverged");
    expect_message("learning rate");
    assert_int_equal(temp_count_entries(folder), 0);
    config = short_config();
    config.checkpoint = checkpoint;
    config.preset.joint.rate = 1e30;
    expect_refused(&config, AGN_ERR_NUMERIC, "joint training diverged");
    assert_int_equal(temp_count_entries(folder), 1); /* the reference phase's checkpoint, whole */
    struct agn_tensor_file file; /* its preset is out of range, so that it cannot be loaded as a model */
    assert_int_equal(agn_tensor_file_read(checkpoint, &file), AGN_OK);
    assert_non_null(strstr(agn_tensor_file_metadata(&file, "training_state"), "\"phase\": 0"));
    agn_tensor_file_free(&file);
}

static void data_must_fit_the_preset(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    config.preset.data.height = 14;
    expect_refused(&config, AGN_ERR_ARG, "12x12x1");
    config = short_config();
    config.preset.data.classes = 2;
    expect_refused(&config, AGN_ERR_RANGE, "3 classes");
    config = short_config();
    struct agn_dataset other = test_set.set;
    other.width = 8;
    config.test = &other;
    expect_refused(&config, AGN_ERR_ARG, "test images are 12x8x1");
    config = short_config();
    config.preset.train.batch = IMAGES + 1;
    expect_refused(&config, AGN_ERR_ARG, "batch");
    config = short_config();
    config.metrics = "/nowhere/metrics.jsonl";
    expect_refused(&config, AGN_ERR_IO, "/nowhere/metrics.jsonl");
}

/* Known before the first step, not after the reference is trained. */
static void networks_must_allow_reordering(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    config.preset.reference.epochs = 10000;
    strcpy(config.preset.model.extractor, "conv:c8:s2 dw");
    expect_refused(&config, AGN_ERR_UNSUPPORTED, "model.extractor");
    strcpy(config.preset.model.extractor, "conv:c8:s2");
    strcpy(config.preset.model.reference, "dw conv:c8");
    expect_refused(&config, AGN_ERR_UNSUPPORTED, "model.reference");
}

/* Classes that the data set lacks, and no epochs at all. */
static void odd_but_possible(void **state)
{
    (void)state;
    struct agn_train_config config = short_config();
    config.preset.data.classes = 7;
    config.preset.reference.epochs = 0.1;
    config.preset.joint.epochs = 0.1;
    struct agn_model *model = train(&config, NULL);
    assert_string_equal(model->class_names[1], "right");
    assert_string_equal(model->class_names[6], "6");
    agn_model_free(model);
    config = short_config();
    config.preset.reference.epochs = config.preset.joint.epochs = 0.0;
    agn_model_free(train(&config, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns),
        cmocka_unit_test(learns_by_the_public_codes_definitions),
        cmocka_unit_test(same_seed_same_bits),
        cmocka_unit_test(resumed_runs_end_the_same),
        cmocka_unit_test(resumed_runs_with_all_options_end_the_same),
        cmocka_unit_test(resumed_runs_with_adam_end_the_same),
        cmocka_unit_test(long_gradients_are_shortened),
        cmocka_unit_test(the_device_alone_learns_and_resumes),
        cmocka_unit_test(validation_is_measured_and_changes_nothing),
        cmocka_unit_test(the_best_epoch_is_kept),
        cmocka_unit_test(resumed_runs_choose_the_same_epoch),
        cmocka_unit_test(options_matter),
        cmocka_unit_test(resuming_needs_the_same_settings),
        cmocka_unit_test(resuming_elsewhere_and_longer),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(diverging_runs_say_so),
        cmocka_unit_test(data_must_fit_the_preset),
        cmocka_unit_test(networks_must_allow_reordering),
        cmocka_unit_test(odd_but_possible),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
