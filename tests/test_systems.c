/* Systems: which parts their models have, what the Remote NN reads, and names that nobody knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "agilenn/model.h"

static struct agn_preset preset_of(const char *system, int height, int width, int channels)
{
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    snprintf(preset.model.system, sizeof preset.model.system, "%s", system);
    snprintf(preset.model.reference, sizeof preset.model.reference, "conv:c8");
    snprintf(preset.model.remote, sizeof preset.model.remote, "conv:c8:s2");
    if (strcmp(system, "local-only") == 0)
        snprintf(preset.model.local, sizeof preset.model.local, "conv:c8:s2 mb:c8:e2");
    if (strcmp(system, "deepcod") == 0) {
        snprintf(preset.model.extractor, sizeof preset.model.extractor, "conv:c4:k4:s4:l1");
        snprintf(preset.model.decoder, sizeof preset.model.decoder, "up conv:c8 up conv:c%d:a2", channels);
    }
    preset.data.height = height;
    preset.data.width = width;
    preset.data.channels = channels;
    preset.data.classes = 4;
    preset.model.codec = AGN_CODEC_RAW3;
    return preset;
}

static void each_builds_what_it_says(void **state)
{
    (void)state;
    for (int i = 0; agn_systems[i] != NULL; i++) {
        const struct agn_preset preset = preset_of(agn_systems[i]->name, 16, 16, 3);
        struct agn_model *model = NULL;
        struct agn_map_shape shape = {0, 0, 0};
        bool ends = false;
        assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
        assert_ptr_equal(model->system, agn_systems[i]);
        bool serves = !agn_part_is_empty(&model->parts[AGN_REMOTE]);
        assert_true(serves == (model->system->sent_shape != NULL) && serves == (model->sent_channels > 0));
        if (serves) {
            assert_int_equal(model->system->sent_shape(model, &shape), AGN_OK);
            assert_true(shape.channels > 0 && shape.height > 0 && shape.width > 0);
        }
        for (int role = 0; role < AGN_ROLES; role++) {
            bool has = !agn_part_is_empty(&model->parts[role]);
            assert_true(has == ((agn_systems[i]->parts & 1U << role) != 0));
            if (has && role != AGN_EXTRACTOR)
                assert_int_equal(agn_graph_output_shape(&model->parts[role].graph).channels, 4);
        }
        for (size_t p = 0; p < AGN_COUNT_OF(model->system->phases) && !ends; p++) {
            ends = model->system->phases[p] == AGN_PHASE_DONE;
            const unsigned all =
                1U << AGN_EXTRACTOR | 1U << AGN_LOCAL | 1U << AGN_REMOTE | 1U << AGN_REFERENCE;
            /* joint training has use for all */
            assert_true(model->system->phases[p] != AGN_PHASE_JOINT || agn_systems[i]->parts == all);
        }
        assert_true(ends);
        assert_true((model->system->expand == NULL) == (model->system->feature_limit == NULL));
        for (int role = 0; role < AGN_ROLES; role++)
            assert_int_equal(agn_model_need(model, (enum agn_role)role),
                             agn_part_is_empty(&model->parts[role]) ? AGN_ERR_UNSUPPORTED : AGN_OK);
        agn_model_free(model);
    }
}

static void edge_only_reads_normalised_pixels(void **state)
{
    enum { W = 50, C = 3, ROW = W * C }; /* 150 bytes: two runs of 75, 200 symbols each */
    struct agn_preset preset = preset_of("edge-only", 8, W, C);
    struct agn_model *model = NULL;
    struct agn_map_shape shape;
    (void)state;
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    assert_int_equal(model->system->sent_shape(model, &shape), AGN_OK);
    assert_true(shape.channels == 8 && shape.height == 2 && shape.width == 200);
    for (int c = 0; c < C; c++) {
        model->normalisation.mean[c] = (uint8_t)(100 + 10 * c);
        model->normalisation.std[c] = 50.0F + (float)c;
    }
    static uint8_t image[8 * ROW], symbols[8 * 400];
    static float features[8 * ROW + 1];
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 7);
    for (size_t run = 0; run < 16; run++)
        for (size_t s = 0; s < 200; s++) {
            size_t bit = 3 * s;
            unsigned word =
                image[run * 75 + bit / 8] | (bit / 8 < 74 ? image[run * 75 + bit / 8 + 1] << 8 : 0);
            symbols[run * 200 + s] = (uint8_t)(word >> bit % 8 & 7);
        }
    features[8 * ROW] = 17.0F;
    assert_int_equal(model->system->expand(model, symbols, features), 0);
    for (size_t i = 0; i < sizeof image; i++) {
        size_t c = i % C;
        float expected =
            ((float)image[i] - (float)model->normalisation.mean[c]) / model->normalisation.std[c];
        assert_true(features[i] == expected);
        float limit = model->system->feature_limit(model);
        assert_true(features[i] <= limit && features[i] >= -limit);
    }
    symbols[200 * 5 + 11] = 0xFF; /* the second run of row 2 */
    assert_int_equal(model->system->expand(model, symbols, features), 1);
    for (size_t i = 0; i < 75; i++)
        assert_true(features[5 * 75 + i] == 0.0F &&
                    (image[4 * 75 + i] == 100 || features[4 * 75 + i] != 0.0F));
    assert_true(features[8 * ROW] == 17.0F); /* nothing beyond */
    agn_model_free(model);
}

/* What the server makes of the bytes that a device sends is what the Remote NN is evaluated on. */
static void spinn_reads_what_it_quantised(void **state)
{
    enum {
        SIDE = 16,
        C = 24,
        VALUES = SIDE * SIDE * C
    }; /* 384 bytes a row: six runs of 64, 171 symbols each */
    struct agn_preset preset = preset_of("spinn", 2 * SIDE, 2 * SIDE, 3);
    struct agn_model *model = NULL;
    struct agn_map_shape shape;
    (void)state;
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    assert_int_equal(agn_model_local_channels(model), C);
    assert_int_equal(model->sent_channels, C);
    assert_true(!agn_model_sends_symbols(model) && agn_model_alpha(model) == 0.0);
    assert_int_equal(model->system->sent_shape(model, &shape), AGN_OK);
    assert_true(shape.channels == SIDE && shape.height == 6 && shape.width == 171);
    static float map[VALUES], values[VALUES], features[VALUES];
    static uint8_t bytes[VALUES], symbols[SIDE * 6 * 171];
    for (int i = 0; i < VALUES; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 256);
        map[i] = ((float)bytes[i] + 0.9F * (float)(i % 11) / 10.0F - 0.45F) * 6.0F / 255.0F;
    }
    for (int run = 0; run < SIDE * 6; run++)
        agn_pixels_write(bytes + (size_t)run * 64, 171, symbols + (size_t)run * 171);
    model->system->quantise(model, map, VALUES, values);
    assert_int_equal(model->system->expand(model, symbols, features), 0);
    for (int i = 0; i < VALUES; i++)
        assert_true(features[i] == values[i] && values[i] <= model->system->feature_limit(model));
    symbols[171 * 8 + 3] = 0xFF; /* the third run of row 1 */
    assert_int_equal(model->system->expand(model, symbols, features), 1);
    for (int i = 0; i < VALUES; i++)
        assert_true(features[i] == (i / 64 == 8 ? 0.0F : values[i]));
    agn_model_free(model);
}

/* The exit's answer where its softmax reaches the threshold, else the server's: never a mean. */
static void spinn_answers_once(void **state)
{
    struct agn_preset preset = preset_of("spinn", 16, 16, 1);
    struct agn_model *model = NULL;
    float remote[4] = {0.0F, 1.0F, 0.0F, 0.0F}, answer[4];
    (void)state;
    preset.model.exit_threshold = 0.7;
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    for (float lead = 0.0F; lead < 5.0F; lead += 0.1F) {
        float local[4] = {100.0F, 100.0F, 100.0F, 100.0F + lead}, rest = 3.0F;
        bool sure = expf(lead) / (expf(lead) + rest) >= 0.7F;
        assert_true(agn_model_answer(model, local, remote, answer) == sure);
        assert_memory_equal(answer, sure ? local : remote, sizeof answer);
    }
    agn_model_free(model);
}

static void refused(const struct agn_preset *preset, int expected, const char *text)
{
    struct agn_model *model = NULL;
    assert_int_equal(agn_model_create(preset, NULL, &model), expected);
    if (strstr(agn_error_message(), text) == NULL)
        fail_msg("'%s' does not say '%s'", agn_error_message(), text);
}

static void refusals_say_why(void **state)
{
    (void)state;
    struct agn_preset preset = preset_of("deepcod-like", 16, 16, 1);
    refused(&preset, AGN_ERR_ARG,
            "model.system = 'deepcod-like': expected agilenn or edge-only or local-only or spinn or deepcod");
    preset = preset_of("edge-only", 16, 16, 1);
    preset.model.codec = AGN_CODEC_RANGE;
    refused(&preset, AGN_ERR_ARG, "expected raw3, lzw or jpeg");
    preset.model.codec = AGN_CODEC_JPEG;
    preset.model.jpeg_quality = 0;
    refused(&preset, AGN_ERR_ARG, "images of 16x16x1 with quality 0");
    preset = preset_of("edge-only", 16, 16, 2);
    preset.model.codec = AGN_CODEC_JPEG;
    refused(&preset, AGN_ERR_ARG, "expected 1 or 3 channels");
    preset = preset_of("agilenn", 16, 16, 1);
    preset.model.codec = AGN_CODEC_JPEG;
    refused(&preset, AGN_ERR_ARG, "the system agilenn sends features");
    preset = preset_of("spinn", 16, 16, 1);
    preset.model.codec = AGN_CODEC_RANGE;
    refused(&preset, AGN_ERR_ARG, "spinn sends values of 8");
    preset = preset_of("spinn", 16, 16, 1);
    snprintf(preset.model.extractor, sizeof preset.model.extractor, "conv:c8:s2 mb:c8:e2");
    refused(&preset, AGN_ERR_ARG, "ends without a ReLU6");
    snprintf(preset.model.extractor, sizeof preset.model.extractor, "fused:c8:s2");
    refused(&preset, AGN_ERR_UNSUPPORTED, "model.extractor, block 'fused:c8:s2'");
    preset = preset_of("edge-only", 256, 16, 1);
    refused(&preset, AGN_ERR_RANGE, "cannot be sent as it is");
    preset = preset_of("agilenn", 16, 16, 1);
    snprintf(preset.model.extractor, sizeof preset.model.extractor, " ");
    refused(&preset, AGN_ERR_RANGE, "model.extractor has no layer");
    preset = preset_of("edge-only", 16, 16, 1);
    preset.model.reference[0] = '\0'; /* not needed */
    preset.model.remote[0] = '\0';
    refused(&preset, AGN_ERR_ARG, "model.remote is missing");
}

/* The Remote NN is a decoder and, behind it, what edge-only would have for the image. */
static void deepcod_classifies_a_decoded_image(void **state)
{
    (void)state;
    struct agn_preset preset = preset_of("deepcod", 28, 28, 3);
    struct agn_model *model = NULL, *edge_only = NULL;
    struct agn_map_shape shape;
    static struct agn_graph tail;
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    assert_int_equal(model->system->sent_shape(model, &shape), AGN_OK);
    assert_true(shape.channels == 4 && shape.height == 7 && shape.width == 7); /* patches, without padding */
    assert_true(model->sent_channels == model->map.channels && model->decoded > 0);
    const struct agn_graph *remote = &model->parts[AGN_REMOTE].graph;
    assert_int_equal(remote->ops[model->decoded].type, AGN_OP_TANH);
    snprintf(preset.model.system, sizeof preset.model.system, "edge-only");
    assert_int_equal(agn_model_create(&preset, NULL, &edge_only), AGN_OK);
    const struct agn_graph *classifier = &edge_only->parts[AGN_REMOTE].graph;
    assert_int_equal(agn_graph_tail(remote, model->decoded, &tail), AGN_OK);
    assert_int_equal(tail.count, classifier->count);
    for (int i = 0; i < tail.count; i++) {
        assert_string_equal(tail.ops[i].name, classifier->ops[i].name);
        assert_int_equal(tail.ops[i].src[0], classifier->ops[i].src[0]);
    }
    const float levels[AGN_LEVELS] = {-3, -2, -1, 0, 1, 2, 30, 300},
                falling[AGN_LEVELS] = {0, 1, 2, 1, 2, 3, 4, 5};
    assert_int_equal(agn_model_check_levels(model, levels, "levels"), AGN_OK);
    assert_int_equal(agn_model_check_levels(edge_only, levels, "levels"), AGN_ERR_FORMAT);
    assert_int_equal(agn_model_check_levels(model, falling, "levels"), AGN_ERR_FORMAT);
    agn_model_free(model);
    agn_model_free(edge_only);
    preset = preset_of("deepcod", 16, 16, 3);
    snprintf(preset.model.decoder, sizeof preset.model.decoder, "up conv:c8 conv:c3:a2");
    refused(&preset, AGN_ERR_RANGE, "model.decoder makes 8x8x3 of the 4x4x4 that are sent");
    snprintf(preset.model.decoder, sizeof preset.model.decoder, "up up conv:c3:l1");
    refused(&preset, AGN_ERR_RANGE, "by tanh");
    preset.model.decoder[0] = '\0';
    refused(&preset, AGN_ERR_ARG, "model.decoder is missing");
    preset = preset_of("deepcod", 16, 16, 3);
    snprintf(preset.model.extractor, sizeof preset.model.extractor, "fused:c4:s4");
    refused(&preset, AGN_ERR_UNSUPPORTED, "model.extractor, block 'fused:c4:s4'");
}

static void expect_op(const struct agn_graph *graph, int op, enum agn_op_type type, const char *name)
{
    assert_int_equal(graph->ops[op].type, type);
    assert_string_equal(graph->ops[op].name, name);
}

/* Without a text the Local NN is what it always was; with one, its blocks stand in front. */
static void local_networks_end_with_pooling_and_a_dense_layer(void **state)
{
    (void)state;
    struct agn_preset preset = preset_of("agilenn", 16, 16, 1);
    struct agn_model *model = NULL;
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    const struct agn_part *local = &model->parts[AGN_LOCAL];
    assert_int_equal(local->graph.count, 3);
    assert_int_equal(agn_graph_input_shape(&local->graph).channels, 5);
    expect_op(&local->graph, 1, AGN_OP_POOL, "");
    expect_op(&local->graph, 2, AGN_OP_DENSE, "local.dense");
    assert_int_equal(local->params->count, 2);
    agn_model_free(model);
    snprintf(preset.model.local, sizeof preset.model.local, "conv:c8:l1 mb:c8:e2:k5 dw:k7:s2");
    preset.model.logits_bn = 1;
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    local = &model->parts[AGN_LOCAL];
    int last = local->graph.count - 1;
    expect_op(&local->graph, 1, AGN_OP_CONV, "local.0");
    expect_op(&local->graph, 9, AGN_OP_ADD, "");
    expect_op(&local->graph, 10, AGN_OP_CONV, "local.2");
    expect_op(&local->graph, last - 2, AGN_OP_POOL, "");
    expect_op(&local->graph, last - 1, AGN_OP_DENSE, "local.dense");
    expect_op(&local->graph, last, AGN_OP_BATCHNORM, "local.dense.bn");
    assert_int_equal(local->graph.ops[last - 2].shape.height, 4);
    agn_model_free(model);
}

static void devices_run_some_blocks_only(void **state)
{
    (void)state;
    static const struct {
        const char *local, *extractor, *message;
    } cases[] = {
        {"conv:c8 fused:c8:e2", "conv:c8:s2",
         "model.local, block 'fused:c8:e2': a device has conv, dw and mb"},
        {"mbse:c8", "conv:c8:s2", "block 'mbse:c8'"},
        {"conv:c8 pool:g2", "conv:c8:s2", "block 'pool:g2'"},
        {"conv:c8 up", "conv:c8:s2", "block 'up'"},
        {"attention", "conv:c8:s2", "block 'attention'"},
        {"conv:c8:a1", "conv:c8:s2",
         "block 'conv:c8:a1': a device has no activation but ReLU6: leave a1 out"},
        {"dw:a2", "conv:c8:s2", "leave a2 out"},
        {"dw:k1", "conv:c8:s2", "k1: a device has kernels of 3, 5 and 7 here"},
        {"dw:k4:s4", "conv:c8:s2", "kernels of 3, 5 and 7 here"},
        {"conv:c8:k4", "conv:c8:s2", "kernels of 1, 3, 5 and 7 here, or 2 and 4 with a stride as large"},
        {"mb:c8:k9", "conv:c8:s2", "block 'mb:c8:k9'"},
        {"conv:c8:s5", "conv:c8:s2", "strides up to 4"},
        {"dw", "conv:c8:s2:a1", "model.extractor, block 'conv:c8:s2:a1'"},
        {"dw:s2 dw:s2", "conv:c8:s2", "model.grid = 4, but model.local makes a 2x2x5 map"},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_preset preset = preset_of("agilenn", 16, 16, 1);
        snprintf(preset.model.local, sizeof preset.model.local, "%s", cases[i].local);
        snprintf(preset.model.extractor, sizeof preset.model.extractor, "%s", cases[i].extractor);
        refused(&preset, strstr(cases[i].message, "grid") ? AGN_ERR_RANGE : AGN_ERR_UNSUPPORTED,
                cases[i].message);
    }
    struct agn_preset preset = preset_of("local-only", 16, 16, 1);
    preset.model.reference[0] = preset.model.remote[0] = '\0'; /* not needed */
    preset.model.local[0] = '\0';
    refused(&preset, AGN_ERR_ARG, "model.local is missing");
}

/* Files are as they were before there were other systems, and keys that came later. */
static void presets_name_only_others(void **state)
{
    char text[16384];
    struct agn_preset preset = preset_of("", 16, 16, 1), read;
    (void)state;
    assert_true(agn_preset_format(&preset, text, sizeof text) > 0);
    const char *const later[] = {"system",        "\nlocal = \n",   "optimizer",    "beta",  "clip",
                                 "decoder",       "reconstruction", "teach",        "sends", "tail_drop",
                                 "local_distill", "teacher_start",  "measure_every"};
    for (size_t i = 0; i < AGN_COUNT_OF(later); i++)
        assert_null(strstr(text, later[i]));
    preset = preset_of("edge-only", 16, 16, 1);
    assert_true(agn_preset_format(&preset, text, sizeof text) > 0);
    assert_non_null(strstr(text, "\nsystem = edge-only\n"));
    preset.train.optimizer = AGN_OPTIMIZER_ADAM;
    preset.train.clip = 2.5;
    snprintf(preset.model.local, sizeof preset.model.local, "dw");
    assert_true(agn_preset_format(&preset, text, sizeof text) > 0);
    assert_non_null(strstr(text, "\nlocal = dw\n"));
    assert_non_null(strstr(text, "\noptimizer = adam\n"));
    assert_non_null(strstr(text, "\nclip = 2.5\n"));
    assert_null(strstr(text, "beta"));
    agn_preset_defaults(&read);
    assert_int_equal(agn_preset_parse(text, &read), AGN_OK);
    assert_string_equal(read.model.system, "edge-only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_builds_what_it_says),
                                       cmocka_unit_test(edge_only_reads_normalised_pixels),
                                       cmocka_unit_test(spinn_reads_what_it_quantised),
                                       cmocka_unit_test(spinn_answers_once),
                                       cmocka_unit_test(refusals_say_why),
                                       cmocka_unit_test(deepcod_classifies_a_decoded_image),
                                       cmocka_unit_test(local_networks_end_with_pooling_and_a_dense_layer),
                                       cmocka_unit_test(devices_run_some_blocks_only),
                                       cmocka_unit_test(presets_name_only_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
