/* Training of a network with exits: its loss is a weighted sum, so that one step moves each part as that
 * says; trained to the end, all answers are right. */
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

/* ---- several stages ------------------------------------------------------------------------- */

/* Plain SGD on one batch, so that a step is -rate times the gradient. */
static struct agn_train_config stages_config(double weight)
{
    static const char *const settings[] = {"model.extractor=conv:c6:s2 | dw conv:c8:k1 | conv:c8",
                                           "model.local=conv:c6:k1 | |",
                                           "train.momentum=0",
                                           "train.weight_decay=0",
                                           "train.warmup_epochs=0",
                                           "joint.rate=0.01",
                                           "joint.epochs=1"};
    struct agn_train_config config = config_of(&one_batch, weight);
    for (size_t i = 0; i < AGN_COUNT_OF(settings); i++)
        assert_int_equal(agn_preset_set(&config.preset, settings[i]), 0);
    return config;
}

/* A net in training mode on the whole batch, whose input is `input`, or the output of another one. */
static struct agn_net *forward_net(const struct agn_model *model, enum agn_role role, const float *input,
                                   struct agn_net *from)
{
    const struct agn_net_config config = {.graph = &model->parts[role].graph,
                                          .params = model->parts[role].params,
                                          .batch = BATCH,
                                          .mode = AGN_NET_TRAIN,
                                          .bn_momentum = 0.1F};
    struct agn_net *net = NULL;
    assert_int_equal(agn_net_create(&config, &net), 0);
    if (from != NULL)
        assert_int_equal(agn_net_copy(net, AGN_BORDER_INPUT, from, AGN_BORDER_OUTPUT), 0);
    else
        memcpy(agn_net_write(net, AGN_BORDER_INPUT), input, sizeof(float) * BATCH * TINY_SIDE * TINY_SIDE);
    assert_int_equal(agn_net_forward(net), 0);
    return net;
}

static double cross_entropy(const struct agn_model *model, enum agn_role role, struct agn_net *from,
                            const int32_t *labels)
{
    float prob[BATCH * TINY_CLASSES], loss[BATCH];
    double sum = 0.0;
    struct agn_net *net = forward_net(model, role, NULL, from);
    agn_softmax_ce_forward(agn_net_read(net, AGN_BORDER_OUTPUT), labels, BATCH, model->classes, prob, loss);
    for (int i = 0; i < BATCH; i++)
        sum += (double)loss[i] / BATCH;
    agn_net_free(net);
    return sum;
}

/* CE(remote) + weight times the sum of all exits' CE. */
static double loss_of(const struct agn_model *model, double weight, const struct agn_batch *batch)
{
    struct agn_net *stages[AGN_MAX_STAGES + 1] = {NULL};
    double sum = 0.0;
    for (int stage = 1; stage <= AGN_MAX_STAGES; stage++) {
        stages[stage] = forward_net(model, agn_stage_role(stage), batch->images, stages[stage - 1]);
        sum += weight * cross_entropy(model, agn_exit_role(stage), stages[stage], batch->labels);
    }
    sum += cross_entropy(model, AGN_REMOTE, stages[AGN_MAX_STAGES], batch->labels);
    for (int stage = 1; stage <= AGN_MAX_STAGES; stage++)
        agn_net_free(stages[stage]);
    return sum;
}

/* The trained value of a part that one step moved most. */
static size_t most_moved(const struct agn_params *before, const struct agn_params *after)
{
    size_t most = 0;
    for (int p = 0; p < before->count; p++)
        for (size_t v = before->list[p].offset;
             before->list[p].trainable && v < before->list[p].offset + before->list[p].count; v++)
            if (fabsf(after->value[v] - before->value[v]) > fabsf(after->value[most] - before->value[most]))
                most = v;
    return most;
}

static double slope(const struct agn_model *model, struct agn_params *params, size_t v, double weight,
                    const struct agn_batch *batch)
{
    const float by = 4e-3F, value = params->value[v];
    double losses[2];
    for (int side = 0; side < 2; side++) {
        params->value[v] = value + (side == 0 ? -by : by);
        params->version++;
        losses[side] = loss_of(model, weight, batch);
    }
    params->value[v] = value;
    params->version++;
    return (losses[1] - losses[0]) / (2.0 * (double)by);
}

/* One step moves a weight of each network against the finite difference of the loss, all by the same rate. */
static void steps_follow_the_sum_of_all_losses(void **state)
{
    (void)state;
    const double weight = 0.6, rate = 0.01;
    struct agn_train_config config = stages_config(weight);
    struct agn_train_report report;
    struct agn_model *after = NULL, *before = NULL;
    struct agn_loader *loader = NULL;
    struct agn_batch batch;
    if (agn_train_run(&config, &after, &report) < 0)
        fail_msg("%s", agn_error_message());
    assert_int_equal(agn_model_create(&config.preset, &one_batch.set, &before), 0);
    const struct agn_loader_config load = {.batch = BATCH, .normalisation = before->normalisation};
    assert_int_equal(agn_loader_create(&one_batch.set, &load, &loader), 0);
    assert_int_equal(agn_loader_start(loader, 0), 0);
    assert_int_equal(agn_loader_next(loader, &batch), 1);
    assert_int_equal(agn_model_stages(before), AGN_MAX_STAGES);
    for (int role = 0; role < AGN_REFERENCE; role++) {
        struct agn_params *params = before->parts[role].params;
        size_t v = most_moved(params, after->parts[role].params);
        double moved = (double)after->parts[role].params->value[v] - (double)params->value[v];
        double expected = -rate * slope(before, params, v, weight, &batch);
        assert_true(fabs(moved) > 1e-5);
        if (fabs(moved - expected) > 0.03 * fabs(moved))
            fail_msg("%s moved by %g, expected %g", agn_role_name((enum agn_role)role), moved, expected);
    }
    agn_loader_free(loader);
    agn_model_free(before);
    agn_model_free(after);
}

/* Trained to the end each exit is right, and the counts of a profile are those of its parts. */
static void all_exits_learn(void **state)
{
    (void)state;
    const double thresholds[] = {0.4, 0.8, 2.0};
    struct agn_train_config config = config_of(&train_set, 0.5);
    struct agn_train_report report;
    struct agn_model *model = NULL;
    struct agn_exit_profile p;
    assert_int_equal(agn_preset_set(&config.preset, "model.extractor=conv:c6:s2 | dw conv:c8:k1 | conv:c8"),
                     0);
    if (agn_train_run(&config, &model, &report) < 0)
        fail_msg("%s", agn_error_message());
    const struct agn_evaluation *e = &report.evaluation;
    assert_int_equal(agn_exit_profile(model, &test_set.set, thresholds, AGN_COUNT_OF(thresholds), &p), 0);
    assert_true(p.images == e->images && p.stages == 3 && p.count == 3);
    for (int stage = 1; stage <= p.stages; stage++)
        assert_true(p.exit_right[stage] > p.images / 2);
    for (int t = 0; t < p.count; t++)
        for (int cut = 0; cut <= p.stages; cut++) {
            int left = 0;
            for (int stage = 0; stage <= AGN_MAX_STAGES; stage++)
                left += p.rules[t][cut].left[stage];
            assert_int_equal(left, p.images);
            /* An exit before the cut takes what it takes, wherever the cut is. */
            for (int stage = 1; stage <= cut; stage++)
                assert_int_equal(p.rules[t][cut].left[stage], p.rules[t][p.stages].left[stage]);
        }
    const struct agn_exit_rule *usual = &p.rules[1][p.stages], *served = &p.rules[2][p.stages];
    assert_true(model->preset.model.exit_threshold == thresholds[1]);
    assert_true((double)usual->right / p.images == e->fused_accuracy);
    assert_true((double)(p.images - usual->left[0]) / p.images == e->exit_share);
    assert_true((double)served->right / p.images == e->remote_accuracy);
    assert_int_equal(served->left[0], p.images);
    assert_true(p.rules[0][3].left[1] > 0 && p.rules[0][0].right > p.images / 2);
    agn_model_free(model);
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
        cmocka_unit_test(steps_follow_the_sum_of_all_losses),
        cmocka_unit_test(all_exits_learn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
