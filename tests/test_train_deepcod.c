/* DeepCOD's training: gradients of a step against differences of its loss, the quantiser's soft assignment
 * and its centres against differences of its formula, what is frozen in which phase, and resuming bit for
 * bit. */
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
#include "train/deepcod.h"
#include "train/quantiser_learning.h"

static void expect_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%g, expected %g within %g", got, expected, tolerance);
}

enum { BATCH = 16, IMAGES = 128, IMAGE = TINY_SIDE * TINY_SIDE };

static void make_preset(struct agn_preset *preset)
{
    static const char *const settings[] = {
        "model.system=deepcod",
        "model.extractor=conv:c4:k4:s4:l1",
        "model.remote=conv:c8:s2:a1", /* smooth, for differences */
        "model.decoder=attention up conv:c8:l1 fused:c8:e1 attention up:s2 conv:c6:a2 conv:c1:a2",
        "train.batch=16",
        "joint.teach=logits",
        "reference.epochs=2",
        "joint.epochs=2",
        "joint.rate=0.002",
        "train.weight_decay=0.01"};
    tiny_preset_make(preset);
    for (size_t i = 0; i < AGN_COUNT_OF(settings); i++)
        if (agn_preset_set(preset, settings[i]) < 0)
            fail_msg("%s", agn_error_message());
}

/* ---- a step ------------------------------------------------------------------------- */

struct rig {
    struct agn_train_config config;
    struct agn__trainer trainer;
    struct agn__coder coder;
    struct agn_batch batch;
    float images[BATCH * IMAGE];
    int32_t labels[BATCH], indices[BATCH];
};

static void open_rig(struct rig *rig, const char *setting, const char *other)
{
    struct agn_rng rng;
    *rig = (struct rig){0};
    make_preset(&rig->config.preset);
    assert_int_equal(agn_preset_set(&rig->config.preset, setting), AGN_OK);
    assert_int_equal(agn_preset_set(&rig->config.preset, other), AGN_OK);
    if (agn_model_create(&rig->config.preset, NULL, &rig->trainer.model) < 0)
        fail_msg("%s", agn_error_message());
    rig->trainer.config = &rig->config;
    struct agn_params *remote = rig->trainer.model->parts[AGN_REMOTE].params;
    for (int p = 0; p < remote->count; p++) /* an attention that does something */
        if (strstr(remote->list[p].name, ".gamma") != NULL && remote->list[p].count == 1)
            remote->value[remote->list[p].offset] = 0.4F;
    agn__centres_initialise(rig->trainer.model);
    assert_int_equal(agn__coder_open(&rig->trainer, &rig->coder), AGN_OK);
    agn_rng_seed(&rng, 11);
    for (int i = 0; i < BATCH * IMAGE; i++)
        rig->images[i] = (float)(2.0 * agn_rng_uniform(&rng) - 1.0) * (i % TINY_SIDE < 6 ? 0.9F : 0.4F);
    for (int i = 0; i < BATCH; i++)
        rig->labels[i] = i % TINY_CLASSES;
    rig->batch = (struct agn_batch){
        .count = BATCH, .images = rig->images, .labels = rig->labels, .indices = rig->indices};
}

static void close_rig(struct rig *rig)
{
    agn__coder_close(&rig->coder);
    agn__beside_free(&rig->trainer.beside);
    agn_model_free(rig->trainer.model);
}

/* The loss, and gradients; nothing moves but the BN's running statistics. */
static double loss_of(struct rig *rig)
{
    struct agn__tally tally = {0};
    if (agn__coder_step(&rig->coder, &rig->batch, 0.0, &tally) < 0)
        fail_msg("%s", agn_error_message());
    return tally.loss;
}

/* The decoder's weights, as they stand in front of quantised values, which they do not move. */
static void gradients_are_slopes(const char *lesson, const char *other)
{
    struct rig rig;
    struct agn_rng rng;
    double wrong = 0.0, all = 0.0, taught = 0.0;
    open_rig(&rig, lesson, other);
    struct agn_params *params = rig.trainer.model->parts[AGN_REMOTE].params;
    assert_true(loss_of(&rig) > 0.0);
    float *grad = malloc(params->total * sizeof(float));
    assert_non_null(grad);
    memcpy(grad, params->grad, params->total * sizeof(float));
    agn_rng_seed(&rng, 12);
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        bool decodes = strncmp(param->name, "decoder.", 8) == 0;
        assert_true(param->frozen == !decodes);
        for (int draw = 0; draw < 4 && param->trainable; draw++) {
            size_t at = param->offset + agn_rng_below(&rng, (uint32_t)param->count);
            float kept = params->value[at], h = 2e-3F;
            if (!decodes) {
                assert_true(grad[at] == 0.0F);
                continue;
            }
            params->value[at] = kept + h;
            params->version++;
            double up = loss_of(&rig);
            params->value[at] = kept - h;
            params->version++;
            double slope = (up - loss_of(&rig)) / (2.0 * (double)h);
            params->value[at] = kept;
            params->version++;
            wrong += (slope - (double)grad[at]) * (slope - (double)grad[at]);
            all += slope * slope;
            taught += fabs((double)grad[at]);
        }
    }
    free(grad);
    print_message("%s: error %.2g of the gradient's norm\n", lesson, sqrt(wrong / all));
    assert_true(taught > 0.0 && sqrt(wrong / all) < 0.01);
    close_rig(&rig);
}

static void the_decoder_learns_each_lesson(void **state)
{
    (void)state;
    gradients_are_slopes("joint.teach=none", "joint.reconstruction=10");
    gradients_are_slopes("joint.teach=logits", "joint.reconstruction=0");
    gradients_are_slopes("joint.teach=labels", "joint.reconstruction=0.1");
}

/* A classifier of s times the logits has s^2 times the gradient, of which the same comes through. */
static void what_the_classifier_says_is_shortened(void **state)
{
    (void)state;
    struct rig rig;
    float *first = NULL;
    open_rig(&rig, "joint.reconstruction=0", "joint.teach=logits");
    struct agn_params *params = rig.trainer.model->parts[AGN_REMOTE].params;
    const struct agn_param *dense = agn_params_find(params, "remote.dense.weight");
    assert_non_null(dense);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < dense->count; i++)
            params->value[dense->offset + i] *= round == 0 ? 1000.0F : 3.0F;
        params->version++;
        loss_of(&rig);
        if (first == NULL) {
            first = malloc(params->total * sizeof(float));
            assert_non_null(first);
            memcpy(first, params->grad, params->total * sizeof(float));
        }
    }
    double difference = 0.0, norm = 0.0;
    for (size_t i = 0; i < params->total; i++) {
        difference += fabs((double)params->grad[i] - (double)first[i]);
        norm += fabs((double)first[i]);
    }
    free(first);
    assert_true(norm > 0.0 && difference < 1e-4 * norm);
    close_rig(&rig);
}

/* ---- the quantiser ------------------------------------------------------------------ */

static double soft(double x, const double levels[AGN_LEVELS])
{
    double sum = 0.0, mean = 0.0;
    for (int l = 0; l < AGN_LEVELS; l++) {
        double p = exp(-(x - levels[l]) * (x - levels[l]) / (double)agn__centres_tau());
        sum += p;
        mean += p * levels[l];
    }
    return mean / sum;
}

static void the_encoder_learns_by_soft_assignment(void **state)
{
    (void)state;
    struct rig rig;
    const double h = 1e-5;
    open_rig(&rig, "joint.teach=logits", "joint.reconstruction=10");
    loss_of(&rig);
    const struct agn__coder *c = &rig.coder;
    const struct agn_model *model = rig.trainer.model;
    const float *x = agn_net_read(c->extractor, AGN_BORDER_OUTPUT);
    const float *diff = agn_net_read(c->decoder, AGN_BORDER_DIFF_INPUT);
    double levels[AGN_LEVELS], of_centre[AGN_LEVELS] = {0}, size = 0.0, got[AGN_LEVELS], shares[AGN_LEVELS],
                               all = 0.0;
    for (int l = 0; l < AGN_LEVELS; l++) {
        levels[l] = (double)model->centroids[l];
        expect_near(levels[l], -1.75 + 0.5 * (double)l, 1e-6); /* 2 either side, in the middle of eighths */
    }
    float *slope = malloc(c->values * sizeof(float));
    assert_non_null(slope);
    memcpy(slope, diff, c->values * sizeof(float));
    agn__soft_gradient(model, x, agn__centres_tau(), slope, c->values);
    for (size_t i = 0; i < c->values; i++) {
        double d = (double)diff[i], at = (double)x[i];
        double expected = d * (soft(at + h, levels) - soft(at - h, levels)) / (2.0 * h);
        expect_near((double)slope[i], expected, 2e-3 * fabs(d) + 1e-9);
        for (int l = 0; l < AGN_LEVELS; l++) {
            double kept = levels[l];
            levels[l] = kept + h;
            double up = soft(at, levels);
            levels[l] = kept - h;
            of_centre[l] += d * (up - soft(at, levels)) / (2.0 * h);
            levels[l] = kept;
        }
        size += fabs(d);
    }
    free(slope);
    agn__centres_gradient(model, x, c->symbols, diff, c->values, got, shares);
    for (int l = 0; l < AGN_LEVELS; l++) {
        expect_near(got[l], of_centre[l], 1e-3 * size);
        all += shares[l];
    }
    expect_near(all, 1.0, 1e-9);
    close_rig(&rig);
}

/* Against the gradient by an eighth of the rate, in ascending order with what Adam remembers of each. */
static void centres_take_steps_and_stay_in_order(void **state)
{
    (void)state;
    struct rig rig;
    double sums[AGN_LEVELS] = {0, 0, 0, 5.0, -0.01}, shares[AGN_LEVELS] = {0.125};
    open_rig(&rig, "train.beta1=0", "train.beta2=0.9");
    struct agn_model *model = rig.trainer.model;
    agn__centres_step(model, &rig.trainer.beside, sums, shares, 0.08);
    expect_near((double)model->centroids[3], -0.25 - 0.01, 1e-6);
    expect_near((double)model->centroids[4], 0.25 + 0.01, 1e-6);
    expect_near((double)model->centroids[2], -0.75, 1e-6);
    float of_three = rig.trainer.beside.centre_moments[AGN_LEVELS + 3];
    expect_near((double)of_three, 2.5, 1e-5);
    for (int l = 0; l < AGN_LEVELS; l++)
        sums[l] = l == 3 ? 5.0 : 0.0;
    agn__centres_step(model, &rig.trainer.beside, sums, shares, 6.0); /* past its lower neighbour */
    for (int l = 1; l < AGN_LEVELS; l++)
        assert_true(model->centroids[l] > model->centroids[l - 1]);
    int now = 0;
    while (now < AGN_LEVELS && rig.trainer.beside.centre_moments[AGN_LEVELS + now] < 4.0F)
        now++;
    assert_int_equal(now, 2);
    assert_int_equal(agn_model_check_levels(model, model->centroids, "levels"), AGN_OK);
    close_rig(&rig);
}

/* ---- whole trainings ---------------------------------------------------------------- */

static struct tiny_dataset train_set, test_set;

static int setup(void **state)
{
    tiny_dataset_make(&train_set, IMAGES, 1);
    tiny_dataset_make(&test_set, 60, 2);
    agn_nn_set_threads(1);
    return temp_folder_setup(state);
}

static int teardown(void **state)
{
    tiny_dataset_free(&train_set);
    tiny_dataset_free(&test_set);
    return temp_folder_teardown(state);
}

static struct agn_model *train(const struct agn_train_config *config)
{
    struct agn_model *model = NULL;
    struct agn_train_report report;
    if (agn_train_run(config, &model, &report) < 0)
        fail_msg("training failed: %s", agn_error_message());
    return model;
}

static void expect_same(const struct agn_model *a, const struct agn_model *b, const char *prefix)
{
    for (int role = 0; role < AGN_ROLES; role++) {
        const struct agn_params *of_a = a->parts[role].params, *of_b = b->parts[role].params;
        for (int p = 0; p < of_a->count; p++) {
            const struct agn_param *param = &of_a->list[p];
            if (strncmp(param->name, prefix, strlen(prefix)) == 0 &&
                memcmp(of_a->value + param->offset, of_b->value + param->offset,
                       param->count * sizeof(float)) != 0)
                fail_msg("'%s' differs", param->name);
        }
    }
}

/* The classifier is the same after any training in front of it, the decoder the same before there was one. */
static void each_phase_leaves_the_others_parts(void **state)
{
    (void)state;
    struct agn_train_config config = {.train = &train_set.set, .test = &test_set.set};
    struct agn_model *fresh = NULL;
    make_preset(&config.preset);
    config.preset.joint.epochs = 0;
    assert_int_equal(agn_model_create(&config.preset, &train_set.set, &fresh), AGN_OK);
    assert_true(fresh->normalisation.mean[0] == 128 && fresh->normalisation.std[0] == 128.0F);
    struct agn_model *before = train(&config);
    config.preset.joint.epochs = 2;
    config.preset.train.optimizer = AGN_OPTIMIZER_ADAM;
    config.preset.reference.optimizer = AGN_OPTIMIZER_SGD;
    struct agn_model *after = train(&config);
    expect_same(fresh, before, "decoder.");
    expect_same(fresh, before, "extractor.");
    expect_same(before, after, "remote.");
    const float *a = before->parts[AGN_EXTRACTOR].params->value,
                *b = after->parts[AGN_EXTRACTOR].params->value;
    assert_true(a[0] != b[0]);
    assert_true(before->centroids[1] != after->centroids[1] && after->centroids[0] < 0.0F);
    assert_true(after->reference_accuracy > 0.3);
    agn_model_free(fresh);
    agn_model_free(before);
    agn_model_free(after);
}

struct interrupter {
    const char *phase;
    int64_t images;
    bool done;
};

static void interrupt(void *user, const struct agn_progress *progress)
{
    struct interrupter *i = user;
    if (!i->done && strcmp(progress->phase, i->phase) == 0 && progress->done >= i->images) {
        i->done = true;
        agn_interrupt_request();
    }
}

static void resumed_runs_end_the_same(void **state)
{
    (void)state;
    static const struct interrupter when[] = {{"classifier", IMAGES, false}, {"coder", IMAGES, false}};
    struct agn_train_config config = {.train = &train_set.set, .test = &test_set.set};
    make_preset(&config.preset);
    config.preset.train.optimizer = AGN_OPTIMIZER_ADAM;
    config.preset.train.ema = 0.9;
    struct agn_model *whole = train(&config);
    for (size_t i = 0; i < AGN_COUNT_OF(when); i++) {
        struct interrupter interrupter = when[i];
        struct agn_train_config again = config;
        struct agn_model *model = NULL;
        struct agn_train_report report;
        char checkpoint[4096];
        snprintf(checkpoint, sizeof(checkpoint), "%s", temp_path(interrupter.phase));
        again.checkpoint = checkpoint;
        again.progress = interrupt;
        again.progress_user = &interrupter;
        assert_int_equal(agn_train_run(&again, &model, &report), AGN_ERR_INTERRUPTED);
        agn_interrupt_clear();
        assert_true(interrupter.done);
        again.resume = true;
        struct agn_model *resumed = train(&again), *loaded = NULL;
        expect_same(whole, resumed, "");
        assert_memory_equal(whole->centroids, resumed->centroids, sizeof(whole->centroids));
        assert_memory_equal(whole->usage, resumed->usage, sizeof(whole->usage));
        assert_int_equal(agn_model_id(whole), agn_model_id(resumed));
        if (agn_model_load(checkpoint, &loaded) < 0)
            fail_msg("%s", agn_error_message());
        assert_int_equal(agn_model_id(loaded), agn_model_id(whole));
        agn_model_free(loaded);
        agn_model_free(resumed);
    }
    agn_model_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_decoder_learns_each_lesson),
                                       cmocka_unit_test(what_the_classifier_says_is_shortened),
                                       cmocka_unit_test(the_encoder_learns_by_soft_assignment),
                                       cmocka_unit_test(centres_take_steps_and_stay_in_order),
                                       cmocka_unit_test(each_phase_leaves_the_others_parts),
                                       cmocka_unit_test(resumed_runs_end_the_same)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
