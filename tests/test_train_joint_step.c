/* A whole step of joint training against PyTorch: every loss, importance, and the gradient of every parameter
 * of extractor, Local NN, Remote NN and alpha, for all methods of attribution. The numbers, and which
 * networks and settings they belong to, are fixtures/joint_step_fixture.h's; the step is the one that
 * training takes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fixtures/joint_step_fixture.h"
#include "train/joint.h"

/* Relative to the largest value of a tensor; the engine computes in float. */
static const double bound = 1e-4;
enum { MOST_NUMBERS = 1024, MOST_GRADIENTS = 4096 };

struct step {
    const struct joint_case *expected;
    struct agn_train_config config;
    struct agn__trainer trainer;
    struct agn__joint joint;
    struct agn__tally tally;
    double worst;
    const char *worst_name;
};

static void succeed(int status)
{
    if (status < 0)
        fail_msg("%s", agn_error_message());
}

/* ---- comparing -------------------------------------------------------------------- */

static void expect_near(struct step *step, const char *name, const double *got, const double *expected,
                        size_t count)
{
    double largest = 0.0, error = 0.0;
    size_t worst = 0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs(expected[i]));
        if (!(fabs(got[i] - expected[i]) <= error)) { /* not a number, too */
            error = fabs(got[i] - expected[i]);
            worst = i;
        }
    }
    double relative = error / (largest > 0.0 ? largest : 1.0);
    if (!(relative <= bound)) {
        fail_msg("%s: %s[%zu] is %.9g, expected %.9g", step->expected->name, name, worst, got[worst],
                 expected[worst]);
    }
    if (relative > step->worst) {
        step->worst = relative;
        step->worst_name = name;
    }
}

static void expect_floats_near(struct step *step, const char *name, const float *got, const double *expected,
                               size_t count)
{
    double values[MOST_NUMBERS];
    assert_true(count <= MOST_NUMBERS);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)got[i];
    expect_near(step, name, values, expected, count);
}

/* ---- a step ------------------------------------------------------------------------- */

static void apply_settings(struct agn_preset *preset, const struct joint_case *expected)
{
    agn_preset_defaults(preset);
    for (size_t i = 0; i < AGN_COUNT_OF(joint_settings); i++)
        succeed(agn_preset_set(preset, joint_settings[i]));
    for (size_t i = 0; i < AGN_COUNT_OF(expected->settings) && expected->settings[i] != NULL; i++)
        succeed(agn_preset_set(preset, expected->settings[i]));
}

/* The store that has a parameter of this name, and the parameter. */
static struct agn_params *find_store(const struct agn_model *model, const char *name,
                                     const struct agn_param **param)
{
    struct agn_params *stores[] = {model->parts[AGN_EXTRACTOR].params, model->parts[AGN_LOCAL].params,
                                   model->parts[AGN_REMOTE].params, model->parts[AGN_REFERENCE].params};
    for (size_t s = 0; s < AGN_COUNT_OF(stores); s++) {
        *param = agn_params_find(stores[s], name);
        if (*param != NULL)
            return stores[s];
    }
    fail_msg("the model has no parameter '%s'", name);
    return NULL;
}

static void load_parameters(struct agn_model *model)
{
    const double *value = joint_values;
    for (size_t p = 0; p < AGN_COUNT_OF(joint_parameters); p++) {
        const struct agn_param *param = NULL;
        struct agn_params *store = find_store(model, joint_parameters[p].name, &param);
        assert_int_equal(param->count, joint_parameters[p].count);
        for (size_t i = 0; i < param->count; i++)
            store->value[param->offset + i] = (float)*value++;
        store->version++;
    }
    assert_int_equal(value - joint_values, AGN_COUNT_OF(joint_values));
    for (int level = 0; level < JOINT_LEVELS; level++)
        model->centroids[level] = (float)joint_centroids[level];
    model->alpha_weight = (float)joint_alpha_weight;
}

/* Cross-entropies are all there is: each image's part of the loss, and of its gradient, is proportional to
 * what its class counts. */
static void apply_prediction_alone(struct agn_preset *preset)
{
    static const char *const settings[] = {"joint.lambda=1", "joint.distill=0", "joint.anchor=0.5",
                                           "joint.local=0.4", "train.label_smoothing=0"};
    for (size_t i = 0; i < AGN_COUNT_OF(settings); i++)
        succeed(agn_preset_set(preset, settings[i]));
}

/* Runs one step at rate 0, so that nothing moves and gradients and alpha's momentum (momentum 0: its
 * gradient) can be read. Step 1, since at step 0 the levels are found anew. Importance is measured on the
 * first of `measure_every` parts of the batch, which begins with image `first`. */
static void run_part(struct step *step, const struct joint_case *expected, const float *class_weights,
                     int measure_every, int first)
{
    *step = (struct step){.expected = expected, .worst_name = ""};
    apply_settings(&step->config.preset, expected);
    if (class_weights != NULL)
        apply_prediction_alone(&step->config.preset);
    step->config.preset.joint.measure_every = measure_every;
    step->trainer.config = &step->config;
    step->trainer.state = (struct agn_train_state){.phase = AGN_PHASE_JOINT, .step = 1};
    succeed(agn_model_create(&step->config.preset, NULL, &step->trainer.model));
    load_parameters(step->trainer.model);
    succeed(agn__joint_open(&step->trainer, &step->joint));
    if (class_weights != NULL)
        succeed(agn__preparation_weigh(&step->joint.preparation, class_weights));
    float images[AGN_COUNT_OF(joint_images)];
    int32_t labels[JOINT_SAMPLES], indices[JOINT_SAMPLES] = {0};
    size_t pixels = AGN_COUNT_OF(joint_images) / JOINT_SAMPLES, skip = (size_t)first * pixels;
    for (size_t i = 0; i < AGN_COUNT_OF(joint_images); i++) /* one channel: NCHW is NHWC */
        images[i] = (float)joint_images[(i + skip) % AGN_COUNT_OF(joint_images)];
    for (int i = 0; i < JOINT_SAMPLES; i++)
        labels[i] = joint_labels[(i + first) % JOINT_SAMPLES];
    const struct agn_batch batch = {
        .images = images, .labels = labels, .indices = indices, .count = JOINT_SAMPLES};
    succeed(agn__joint_step(&step->joint, &batch, 0.0, &step->tally));
}

static void run_step(struct step *step, const struct joint_case *expected, const float *class_weights)
{
    run_part(step, expected, class_weights, 1, 0);
}

static void end_step(struct step *step)
{
    print_message("%-12s worst relative error %.1e (%s)\n", step->expected->name, step->worst,
                  step->worst_name);
    agn__joint_close(&step->joint);
    agn__beside_free(&step->trainer.beside);
    agn_model_free(step->trainer.model);
}

/* ---- what the step should give ---------------------------------------------------------- */

static void check_predictions(struct step *step)
{
    const struct joint_case *expected = step->expected;
    const struct agn__joint *joint = &step->joint;
    float gradient[JOINT_SAMPLES * JOINT_CLASSES] = {0};
    expect_floats_near(step, "fused_ce", joint->loss, expected->fused_ce, JOINT_SAMPLES);
    expect_floats_near(step, "local_ce", joint->scratch_loss, expected->local_ce, JOINT_SAMPLES);
    expect_floats_near(step, "reference_ce", agn_xai_loss(joint->xai), expected->reference_ce, JOINT_SAMPLES);
    double distillation = agn__distil(joint->fused, agn_xai_logits(joint->xai), JOINT_SAMPLES, JOINT_CLASSES,
                                      expected->distill_temperature, 1.0, gradient);
    expect_near(step, "distillation", &distillation, expected->distillation, 1);
    expect_near(step, "total", &step->tally.loss, expected->total, 1);
}

static void check_importance(struct step *step)
{
    const struct joint_case *expected = step->expected;
    const struct agn__joint *joint = &step->joint;
    size_t own = agn__importance_count(joint) / JOINT_SAMPLES;
    const struct agn_preset *preset = &step->config.preset;
    const struct agn_importance_loss_config config = {
        .channels = JOINT_CHANNELS,
        .local_channels = preset->model.local_channels,
        .positions = (int)own / JOINT_CHANNELS,
        .rho = preset->joint.rho + preset->joint.rho_margin,
        .disorder_margin = preset->joint.disorder_margin,
    };
    double skewness[JOINT_SAMPLES], skewness_loss[JOINT_SAMPLES], disorder_loss[JOINT_SAMPLES];
    double sums[3] = {0}, expected_sums[3] = {0};
    for (int i = 0; i < JOINT_SAMPLES; i++) {
        struct agn_importance_loss loss;
        agn_importance_loss(&config, joint->importance + (size_t)i * own, &loss, NULL);
        skewness[i] = loss.skewness;
        skewness_loss[i] = loss.skewness_loss;
        disorder_loss[i] = loss.disorder_loss;
        assert_int_equal(agn_xai_correct(joint->xai)[i], expected->valid[i]);
        expected_sums[0] += expected->valid[i] ? expected->skewness[i] : 0.0;
        expected_sums[1] += expected->valid[i] ? expected->skewness_loss[i] : 0.0;
        expected_sums[2] += expected->valid[i] ? expected->disorder_loss[i] : 0.0;
    }
    expect_floats_near(step, "importance", joint->channel_importance, expected->importance,
                       (size_t)JOINT_SAMPLES * JOINT_CHANNELS);
    expect_near(step, "skewness", skewness, expected->skewness, JOINT_SAMPLES);
    expect_near(step, "skewness_loss", skewness_loss, expected->skewness_loss, JOINT_SAMPLES);
    expect_near(step, "disorder_loss", disorder_loss, expected->disorder_loss, JOINT_SAMPLES);
    sums[0] = step->tally.skewness;
    sums[1] = step->tally.skewness_loss;
    sums[2] = step->tally.disorder_loss;
    expect_near(step, "the reported sums", sums, expected_sums, 3);
}

static int count_trained(const struct agn_params *store)
{
    int trained = 0;
    for (int p = 0; p < store->count; p++)
        trained += store->list[p].trainable;
    return trained;
}

static void check_gradients(struct step *step)
{
    const struct agn_model *model = step->trainer.model;
    const double *expected = step->expected->gradients;
    int compared = 0;
    for (size_t p = 0; p < AGN_COUNT_OF(joint_parameters); p++) {
        const struct joint_parameter *it = &joint_parameters[p];
        const struct agn_param *param = NULL;
        const struct agn_params *store = find_store(model, it->name, &param);
        if (it->trained) {
            expect_floats_near(step, it->name, store->grad + param->offset, expected, param->count);
            expected += it->count;
            compared++;
        }
    }
    assert_int_equal(compared, count_trained(model->parts[AGN_EXTRACTOR].params) +
                                   count_trained(model->parts[AGN_LOCAL].params) +
                                   count_trained(model->parts[AGN_REMOTE].params));
    double of_alpha = (double)model->alpha_momentum;
    expect_near(step, "the gradient of alpha", &of_alpha, step->expected->alpha_gradient, 1);
}

static void a_step_equals_pytorch(void **state)
{
    (void)state;
    for (size_t c = 0; c < AGN_COUNT_OF(joint_cases); c++) {
        struct step step;
        run_step(&step, &joint_cases[c], NULL);
        check_predictions(&step);
        check_importance(&step);
        check_gradients(&step);
        end_step(&step);
    }
}

/* Adds up all gradients, each times `factor`; returns the loss and ends the step. */
static double add_gradients(struct step *step, double factor, double *sum)
{
    size_t count = 0;
    const struct agn_model *model = step->trainer.model;
    const struct agn_params *stores[] = {model->parts[AGN_EXTRACTOR].params, model->parts[AGN_LOCAL].params,
                                         model->parts[AGN_REMOTE].params};
    for (size_t s = 0; s < AGN_COUNT_OF(stores); s++) {
        assert_true(count + stores[s]->total < MOST_GRADIENTS);
        for (size_t i = 0; i < stores[s]->total; i++)
            sum[count++] += factor * (double)stores[s]->grad[i];
    }
    sum[count] += factor * (double)model->alpha_momentum;
    double loss = step->tally.loss;
    end_step(step);
    return loss;
}

static double add_weighted_step(const float weights[JOINT_CLASSES], double factor, double *sum)
{
    struct step step;
    run_step(&step, &joint_cases[0], weights);
    return add_gradients(&step, factor, sum);
}

static double weighted_loss(const struct step *plain, const float weights[JOINT_CLASSES])
{
    double loss = 0.0;
    for (int i = 0; i < JOINT_SAMPLES; i++) {
        loss += (double)weights[joint_labels[i]] *
                ((double)plain->joint.loss[i] + 0.4 * (double)plain->joint.scratch_loss[i] +
                 0.5 * (double)agn_xai_loss(plain->joint.xai)[i]);
    }
    return loss / JOINT_SAMPLES;
}

/* Classes by themselves make up the whole, in the loss and in every gradient. */
static void classes_weigh_their_images(void **state)
{
    (void)state;
    static const float each[][JOINT_CLASSES] = {{2, 0, 0}, {0, 2, 0}, {0, 0, 2}}, even[] = {1, 1, 1};
    static const float mixed[] = {0.25F, 1.0F, 3.0F};
    static double parts[MOST_GRADIENTS], whole[MOST_GRADIENTS];
    struct step plain;
    run_step(&plain, &joint_cases[0], even);
    for (int c = 0; c < JOINT_CLASSES; c++) {
        double loss = add_weighted_step(each[c], 1.0, parts);
        assert_true(fabs(loss - weighted_loss(&plain, each[c])) < 1e-5);
    }
    assert_true(fabs(add_weighted_step(mixed, 0.0, whole) - weighted_loss(&plain, mixed)) < 1e-5);
    add_weighted_step(even, 2.0, whole);
    double largest = 0.0, error = 0.0;
    for (size_t i = 0; i < MOST_GRADIENTS; i++) {
        largest = fmax(largest, fabs(whole[i]));
        error = fmax(error, fabs(whole[i] - parts[i]));
    }
    assert_true(largest > 0.01 && error < 1e-5 * largest);
    /* {0.25, 1, 3} = {2, 0, 0} / 8 + {0, 2, 0} / 2 + {0, 0, 2} * 3/2 */
    memset(parts, 0, sizeof(parts));
    memset(whole, 0, sizeof(whole));
    add_weighted_step(each[0], 0.125, parts);
    add_weighted_step(each[1], 0.5, parts);
    add_weighted_step(each[2], 1.5, parts);
    add_weighted_step(mixed, 1.0, whole);
    for (size_t i = 0; i < MOST_GRADIENTS; i++)
        assert_true(fabs(whole[i] - parts[i]) < 1e-5 * largest);
    end_step(&plain);
}

/* What importance is measured on is a part of the batch: both parts by themselves have the mean loss, and
 * mean gradients, of the whole. */
static void parts_make_up_the_whole(void **state)
{
    (void)state;
    static double parts[MOST_GRADIENTS], whole[MOST_GRADIENTS];
    for (size_t c = 0; c < AGN_COUNT_OF(joint_cases); c++) {
        struct step step;
        double loss = 0.0, largest = 0.0, error = 0.0;
        memset(parts, 0, sizeof(parts));
        memset(whole, 0, sizeof(whole));
        struct joint_case expected = joint_cases[c];
        size_t last = 0;
        while (expected.settings[last] != NULL)
            last++;
        expected.settings[last] = "joint.distill=0"; /* the reference teaches whole batches only */
        for (int image = 0; image < JOINT_SAMPLES; image++) {
            run_part(&step, &expected, NULL, JOINT_SAMPLES, image);
            assert_true(step.tally.measured == 1 && step.tally.images == JOINT_SAMPLES);
            loss += add_gradients(&step, 1.0 / JOINT_SAMPLES, parts) / JOINT_SAMPLES;
        }
        run_step(&step, &expected, NULL);
        loss -= add_gradients(&step, 1.0, whole);
        for (size_t i = 0; i < MOST_GRADIENTS; i++) {
            largest = fmax(largest, fabs(whole[i]));
            error = fmax(error, fabs(whole[i] - parts[i]));
        }
        assert_true(fabs(loss) < 1e-5);
        assert_true(largest > 0.01 && error < 1e-5 * largest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_equals_pytorch),
                                       cmocka_unit_test(classes_weigh_their_images),
                                       cmocka_unit_test(parts_make_up_the_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
