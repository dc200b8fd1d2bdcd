/* Channel selection: reordering changes no function, and the channels that matter come first. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net_check.h"
#include "tiny_training.h"
#include "train/channel_selection.h"

enum { IMAGES = 96, FEATURES = 8, LOGITS = IMAGES * TINY_CLASSES };
static struct tiny_dataset data;

static int setup(void **state)
{
    (void)state;
    tiny_dataset_make(&data, IMAGES, 3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tiny_dataset_free(&data);
    return 0;
}

static void succeed(int status)
{
    if (status < 0)
        fail_msg("%s", agn_error_message());
}

static struct agn_model *make_model(const char *extractor, const char *reference)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    tiny_preset_make(&preset);
    snprintf(preset.model.extractor, sizeof(preset.model.extractor), "%s", extractor);
    snprintf(preset.model.reference, sizeof(preset.model.reference), "%s", reference);
    succeed(agn_model_create(&preset, &data.set, &model));
    net_check_randomise(model->parts[AGN_EXTRACTOR].params, 5); /* BN at other values than at the start */
    net_check_randomise(model->parts[AGN_REFERENCE].params, 6);
    return model;
}

static void run(const struct agn_graph *graph, struct agn_params *params, const float *input, size_t inputs,
                float *output, size_t outputs)
{
    struct agn_net_config config = {
        .graph = graph, .params = params, .batch = IMAGES, .mode = AGN_NET_FROZEN};
    struct agn_net *net = NULL;
    succeed(agn_net_create(&config, &net));
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), input, inputs * sizeof(float));
    succeed(agn_net_forward(net));
    memcpy(output, agn_net_read(net, AGN_BORDER_OUTPUT), outputs * sizeof(float));
    agn_net_free(net);
}

/* The reference's logits for all images. */
static void run_both(struct agn_model *model, float features[IMAGES * 36 * FEATURES], float logits[LOGITS])
{
    static float images[IMAGES * TINY_SIDE * TINY_SIDE];
    for (size_t i = 0; i < AGN_COUNT_OF(images); i++) {
        images[i] =
            ((float)data.set.pixels[i] - (float)model->normalisation.mean[0]) / model->normalisation.std[0];
    }
    run(&model->parts[AGN_EXTRACTOR].graph, model->parts[AGN_EXTRACTOR].params, images, AGN_COUNT_OF(images),
        features, IMAGES * 36 * FEATURES);
    run(&model->parts[AGN_REFERENCE].graph, model->parts[AGN_REFERENCE].params, features,
        IMAGES * 36 * FEATURES, logits, LOGITS);
}

/* Why the paper's mapping layer is not needed: the reference computes the same from reordered features. */
static void the_function_stays(void **state)
{
    (void)state;
    static const char *const references[] = {"conv:c12 mb:c12:e2 conv:c16:s2", "conv:c12:k1",
                                             "conv:c16:s2:k5"};
    static float before[IMAGES * 36 * FEATURES], after[IMAGES * 36 * FEATURES];
    for (size_t r = 0; r < AGN_COUNT_OF(references); r++) {
        struct agn_model *model = make_model("conv:c6:s2 conv:c8", references[r]);
        float logits[LOGITS], reordered[LOGITS];
        double expected[LOGITS];
        run_both(model, before, logits);
        succeed(agn__select_channels(model, NULL, &data.set));
        run_both(model, after, reordered);
        assert_memory_not_equal(before, after, sizeof(before)); /* something did move */
        for (int i = 0; i < LOGITS; i++)
            expected[i] = (double)logits[i];
        net_check_close(references[r], "logits", reordered, expected, LOGITS, 0.0, 1e-5);
        agn_model_free(model);
    }
}

/* The reference reads channels 6 and 3 strongly (6 more than 3), the others hardly: they must come first. */
static void important_channels_come_first(void **state)
{
    (void)state;
    static const float scales[FEATURES] = {0.01F, 0.02F, 0.01F, 1.0F, 0.03F, 0.02F, 3.0F, 0.01F};
    static float before[IMAGES * 36 * FEATURES], after[IMAGES * 36 * FEATURES];
    struct agn_model *model = make_model("conv:c6:s2 conv:c8", "conv:c12:k1");
    float *weight = agn_params_values(model->parts[AGN_REFERENCE].params, "reference.0.weight"),
          logits[LOGITS];
    const struct agn_param *param = agn_params_find(model->parts[AGN_REFERENCE].params, "reference.0.weight");
    assert_non_null(weight);
    for (size_t i = 0; i < param->count; i++)
        weight[i] = fabsf(weight[i]) * scales[i % FEATURES];
    float *gamma = agn_params_values(model->parts[AGN_EXTRACTOR].params, "extractor.1.bn.gamma");
    float *beta = agn_params_values(model->parts[AGN_EXTRACTOR].params, "extractor.1.bn.beta");
    assert_non_null(gamma);
    for (int c = 0; c < FEATURES; c++) { /* all channels alike, and alive */
        gamma[c] = 0.5F;
        beta[c] = 1.5F;
    }
    model->parts[AGN_REFERENCE].params->version++;
    model->parts[AGN_EXTRACTOR].params->version++;
    run_both(model, before, logits);
    succeed(agn__select_channels(model, NULL, &data.set));
    run_both(model, after, logits);
    bool first_two = true;
    for (int i = 0; i < IMAGES * 36; i++) {
        const float *old = before + i * FEATURES, *new = after + i *FEATURES;
        first_two = first_two && ((fabsf(new[0] - old[6]) < 1e-5F && fabsf(new[1] - old[3]) < 1e-5F) ||
                                  (fabsf(new[0] - old[3]) < 1e-5F && fabsf(new[1] - old[6]) < 1e-5F));
    }
    assert_true(first_two);
    agn_model_free(model);
}

/* By mean importance: measured once more on the same images, no channel outweighs the one before it. */
static void largest_mean_importance_comes_first(void **state)
{
    (void)state;
    struct agn_model *model = make_model("conv:c6:s2 conv:c8", "conv:c12 mb:c12:e2 conv:c16:s2");
    struct agn_evaluation before, after;
    bool sorted = true;
    succeed(agn_model_evaluate(model, &data.set, &before));
    model->preset.joint.selection = AGN_SELECT_IMPORTANCE;
    succeed(agn__select_channels(model, NULL, &data.set));
    succeed(agn_model_evaluate(model, &data.set, &after));
    assert_true(after.reference_valid > 0.0);
    for (int c = 1; c < FEATURES; c++) {
        sorted = sorted && before.channel_importance[c] <= before.channel_importance[c - 1];
        assert_true(after.channel_importance[c] <= after.channel_importance[c - 1] + 1e-6F);
    }
    assert_false(sorted); /* or the test shows nothing */
    agn_model_free(model);
}

/* Nothing moves, and networks that could not be reordered may train. */
static void no_selection(void **state)
{
    (void)state;
    struct agn_model *model = make_model("conv:c8:s2 dw", "dw conv:c12");
    size_t bytes = model->parts[AGN_EXTRACTOR].params->total * sizeof(float);
    float *kept = agn_alloc(bytes, 1);
    memcpy(kept, model->parts[AGN_EXTRACTOR].params->value, bytes);
    model->preset.joint.selection = AGN_SELECT_NONE;
    succeed(agn__check_channel_order(model));
    succeed(agn__select_channels(model, NULL, &data.set));
    assert_memory_equal(kept, model->parts[AGN_EXTRACTOR].params->value, bytes);
    agn_free(kept);
    agn_model_free(model);
}

/* Refused, and nothing has moved. */
static void expect_unsupported(const char *extractor, const char *reference, const char *part)
{
    struct agn_model *model = make_model(extractor, reference);
    size_t bytes = model->parts[AGN_EXTRACTOR].params->total * sizeof(float);
    float *kept = agn_alloc(bytes, 1);
    memcpy(kept, model->parts[AGN_EXTRACTOR].params->value, bytes);
    assert_int_equal(agn__select_channels(model, NULL, &data.set), AGN_ERR_UNSUPPORTED);
    if (strstr(agn_error_message(), part) == NULL)
        fail_msg("the message '%s' lacks '%s'", agn_error_message(), part);
    assert_memory_equal(kept, model->parts[AGN_EXTRACTOR].params->value, bytes);
    agn_free(kept);
    agn_model_free(model);
}

static void networks_that_cannot_be_reordered(void **state)
{
    (void)state;
    expect_unsupported("conv:c8:s2 dw", "conv:c12",
                       "model.extractor must end with a full convolution (conv, without a1), so that its "
                       "channels can be reordered; it ends with depthwise");
    expect_unsupported("conv:c8:s2 pool:g2", "conv:c12", "model.extractor");
    expect_unsupported("conv:c8:s2 mb:c8", "conv:c12", "model.extractor"); /* ends in a sum */
    expect_unsupported(
        "conv:c8:s2", "dw conv:c12",
        "model.reference must start with a full convolution (conv, fused, or mb with an expansion), so that "
        "the extractor's channels can be reordered; it starts with depthwise");
    expect_unsupported("conv:c8:s2", "mb:c8 conv:c12",
                       "model.reference"); /* the sum reads the features, too */
    expect_unsupported("conv:c8:s2", "mb:c12:e1 conv:c12", "model.reference");
    expect_unsupported("conv:c8:s2", "pool:g2", "model.reference");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_function_stays),
        cmocka_unit_test(important_channels_come_first),
        cmocka_unit_test(largest_mean_importance_comes_first),
        cmocka_unit_test(no_selection),
        cmocka_unit_test(networks_that_cannot_be_reordered),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
