/* Extractors in several stages: their texts, what the device answers, the cuts, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/model.h"

enum { SIDE = 16, CLASSES = 4 };

static struct agn_preset preset_of(const char *extractor, const char *local)
{
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    snprintf(preset.model.system, sizeof preset.model.system, "spinn");
    snprintf(preset.model.extractor, sizeof preset.model.extractor, "%s", extractor);
    snprintf(preset.model.local, sizeof preset.model.local, "%s", local);
    snprintf(preset.model.remote, sizeof preset.model.remote, "conv:c8:s2");
    preset.data.height = preset.data.width = SIDE;
    preset.data.channels = 3;
    preset.data.classes = CLASSES;
    preset.model.codec = AGN_CODEC_RAW3;
    return preset;
}

static struct agn_model *model_of(const char *extractor, const char *local)
{
    const struct agn_preset preset = preset_of(extractor, local);
    struct agn_model *model = NULL;
    if (agn_model_create(&preset, NULL, &model) < 0)
        fail_msg("%s", agn_error_message());
    return model;
}

static const char three[] = "conv:c4:s2 | dw conv:c6:k1 | dw:s2";

static void texts_fall_apart_at_bars(void **state)
{
    (void)state;
    static const struct {
        const char *text, *parts[4];
        int count;
    } cases[] = {{"", {"", "", "", ""}, 1},
                 {" dw ", {"dw", "", "", ""}, 1},
                 {"conv:c4:s2 | dw  conv:c6:k1 |dw", {"conv:c4:s2", "dw  conv:c6:k1", "dw", ""}, 3},
                 {"||dw|", {"", "", "dw", ""}, 4}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        char part[AGN_PRESET_TEXT_BYTES];
        assert_int_equal(agn_stage_texts(cases[i].text), cases[i].count);
        for (int stage = 1; stage <= 4; stage++) {
            agn_stage_text(cases[i].text, stage, part);
            assert_string_equal(part, cases[i].parts[stage - 1]);
        }
    }
}

static void stages_stand_one_behind_the_other(void **state)
{
    (void)state;
    struct agn_model *model = model_of(three, "dw:s2 | |"), *one = model_of("conv:c4:s2", "dw:s2");
    assert_int_equal(agn_model_stages(model), 3);
    assert_int_equal(agn_model_stages(one), 1);
    const struct agn_shape maps[] = {{8, 8, 4}, {8, 8, 6}, {4, 4, 6}};
    for (int stage = 1; stage <= 3; stage++) {
        struct agn_shape map = agn_model_stage_map(model, stage);
        assert_memory_equal(&map, &maps[stage - 1], sizeof map);
        map = agn_graph_input_shape(&model->parts[agn_exit_role(stage)].graph);
        assert_memory_equal(&map, &maps[stage - 1], sizeof map);
        assert_int_equal(agn_graph_output_shape(&model->parts[agn_exit_role(stage)].graph).channels, CLASSES);
    }
    assert_memory_equal(&model->map, &maps[2], sizeof maps[2]);
    assert_true(model->sent_channels == 6 && agn_model_local_channels(model) == 6);
    assert_int_equal(agn_graph_input_shape(&model->parts[AGN_REMOTE].graph).height, 4);
    assert_non_null(agn_params_find(model->parts[AGN_STAGE_2].params, "stage2.0.weight"));
    assert_non_null(agn_params_find(model->parts[AGN_EXIT_3].params, "exit3.dense.weight"));
    assert_non_null(agn_params_find(model->parts[AGN_LOCAL].params, "local.0.weight"));
    /* What a first stage begins with does not depend on what follows. */
    for (int role = AGN_EXTRACTOR; role <= AGN_LOCAL; role++)
        assert_memory_equal(model->parts[role].params->value, one->parts[role].params->value,
                            one->parts[role].params->total * sizeof(float));
    agn_model_free(model);
    agn_model_free(one);
}

/* Sets a network's logits to its dense layer's bias. */
static void answer_always(struct agn_model *model, enum agn_role role, int class, float lead)
{
    char name[AGN_NAME_BYTES];
    struct agn_params *params = model->parts[role].params;
    snprintf(name, sizeof name, "%s.dense.weight", agn_role_name(role));
    const struct agn_param *weight = agn_params_find(params, name);
    assert_non_null(weight);
    memset(params->value + weight->offset, 0, weight->count * sizeof(float));
    snprintf(name, sizeof name, "%s.dense.bias", agn_role_name(role));
    float *bias = agn_params_values(params, name);
    assert_non_null(bias);
    for (int c = 0; c < CLASSES; c++)
        bias[c] = c == class ? lead : 0.0F;
    params->version++;
}

static void the_first_sure_exit_answers(void **state)
{
    (void)state;
    enum { UNSURE = 0, SURE = 6 };
    struct agn_model *model = model_of(three, "");
    static float images[2 * SIDE * SIDE * 3];
    model->preset.model.exit_threshold = 0.9;
    answer_always(model, AGN_REMOTE, 3, SURE);
    for (unsigned sure = 0; sure < 8; sure++) { /* a bit for each exit */
        struct agn_runner r;
        float answer[CLASSES];
        for (int stage = 1; stage <= 3; stage++)
            answer_always(model, agn_exit_role(stage), stage - 1, (sure & 1U << (stage - 1)) ? SURE : 1);
        assert_int_equal(agn_runner_open(&r, model, 2, 1U << AGN_LOCAL | 1U << AGN_REMOTE), 0);
        assert_int_equal(agn_runner_extract(&r, images), 0);
        assert_int_equal(agn_runner_run(&r, AGN_LOCAL, r.first), 0);
        assert_int_equal(agn_runner_run(&r, AGN_REMOTE, r.values), 0);
        int first = sure & 1 ? 1 : sure & 2 ? 2 : 3;
        for (int i = 0; i < 2; i++) {
            const float *local = agn_runner_output(&r, AGN_LOCAL, i);
            assert_memory_equal(local, agn_runner_exit(&r, first, i), sizeof answer);
            assert_int_equal(agn_argmax(local, CLASSES), first - 1);
            bool left = agn_model_answer(model, local, agn_runner_output(&r, AGN_REMOTE, i), answer);
            assert_true(left == (sure != 0));
            assert_int_equal(agn_argmax(answer, CLASSES), sure != 0 ? first - 1 : 3);
            for (int stage = 1; stage <= 3; stage++)
                assert_int_equal(agn_argmax(agn_runner_exit(&r, stage, i), CLASSES), stage - 1);
        }
        agn_runner_close(&r);
    }
    agn_model_free(model);
}

static void cuts_are_before_and_behind_stages(void **state)
{
    (void)state;
    struct agn_model *model = model_of(three, "");
    const struct agn_shape maps[] = {{SIDE, SIDE, 3}, {8, 8, 4}, {8, 8, 6}, {4, 4, 6}};
    struct agn_cut cuts[4], none;
    assert_int_equal(agn_model_cuts(model), 4);
    for (int c = 0; c < 4; c++) {
        assert_int_equal(agn_model_cut(model, c, &cuts[c]), AGN_OK);
        assert_memory_equal(&cuts[c].map, &maps[c], sizeof maps[c]);
        assert_true(cuts[c].sent.channels == maps[c].height);
        assert_int_equal(cuts[c].role_count, 4 - c);
        assert_int_equal(cuts[c].roles[3 - c], AGN_REMOTE);
        for (int i = 0; i < 3 - c; i++)
            assert_int_equal(cuts[c].roles[i], agn_stage_role(c + 1 + i));
        for (int other = 0; other < c; other++)
            assert_true(cuts[c].model_id != cuts[other].model_id);
        assert_true(c == 0 || cuts[c].feature_limit == 6.0F);
    }
    struct agn_map_shape usual;
    assert_int_equal(model->system->sent_shape(model, &usual), AGN_OK);
    assert_memory_equal(&usual, &cuts[3].sent, sizeof usual);
    assert_int_equal(cuts[3].model_id, agn_model_id(model));
    assert_int_equal(agn_model_cut(model, 4, &none), AGN_ERR_RANGE);
    assert_int_equal(agn_model_cut(model, -1, &none), AGN_ERR_RANGE);
    /* Ids know all stages. */
    for (int stage = 1; stage <= 3; stage++) {
        uint32_t before = agn_model_id(model);
        model->parts[agn_stage_role(stage)].params->value[0] += 1.0F;
        assert_true(agn_model_id(model) != before);
    }
    agn_model_free(model);
}

/* What the server makes of a cut's bytes: pixels as they are normalised, maps in steps of 6 / 255. */
static void cuts_expand_what_is_sent(void **state)
{
    (void)state;
    struct agn_model *model = model_of(three, "");
    for (int c = 0; c < 3; c++) {
        model->normalisation.mean[c] = (uint8_t)(100 + c);
        model->normalisation.std[c] = 40.0F + (float)c;
    }
    for (int c = 0; c < agn_model_cuts(model); c++) {
        struct agn_cut cut;
        static uint8_t bytes[SIDE * SIDE * 3], symbols[SIDE * SIDE * 16];
        static float features[SIDE * SIDE * 3], usual[SIDE * SIDE * 3];
        assert_int_equal(agn_model_cut(model, c, &cut), AGN_OK);
        int values = cut.map.height * cut.map.width * cut.map.channels,
            runs = cut.sent.channels * cut.sent.height, run = values / runs;
        for (int i = 0; i < values; i++)
            bytes[i] = (uint8_t)(i * 7);
        for (int i = 0; i < runs; i++)
            agn_pixels_write(bytes + (size_t)i * (size_t)run, cut.sent.width,
                             symbols + (size_t)i * cut.sent.width);
        assert_int_equal(agn_model_cut_expand(model, c, symbols, features), 0);
        for (int i = 0; i < values; i++) {
            float expected = c > 0 ? (float)bytes[i] / (255.0F / 6.0F)
                                   : ((float)bytes[i] - (float)model->normalisation.mean[i % 3]) /
                                         model->normalisation.std[i % 3];
            assert_true(features[i] == expected && features[i] <= cut.feature_limit);
        }
        symbols[0] = 0xFF;
        assert_int_equal(agn_model_cut_expand(model, c, symbols, features), 1);
        assert_true(features[0] == 0.0F && features[run - 1] == 0.0F);
        if (c + 1 == agn_model_cuts(model)) {
            assert_int_equal(model->system->expand(model, symbols, usual), 1);
            assert_memory_equal(usual, features, (size_t)values * sizeof(float));
        }
    }
    agn_model_free(model);
}

/* One stage has two cuts; other systems have one, which is what they do. */
static void other_models_are_cut_as_ever(void **state)
{
    (void)state;
    struct agn_model *model = model_of("conv:c4:s2", "");
    struct agn_cut cut;
    assert_int_equal(agn_model_cuts(model), 2);
    assert_int_equal(agn_model_cut(model, 1, &cut), AGN_OK);
    assert_true(cut.model_id == agn_model_id(model) && cut.role_count == 1 && cut.roles[0] == AGN_REMOTE);
    agn_model_free(model);
    static const char *const systems[] = {"agilenn", "edge-only"};
    for (size_t i = 0; i < AGN_COUNT_OF(systems); i++) {
        struct agn_preset preset = preset_of("conv:c8:s2", "");
        static uint8_t symbols[SIDE * SIDE * 16];
        static float features[SIDE * SIDE * 3];
        snprintf(preset.model.system, sizeof preset.model.system, "%s", systems[i]);
        snprintf(preset.model.reference, sizeof preset.model.reference, "conv:c8");
        assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
        assert_int_equal(agn_model_cuts(model), 1);
        assert_int_equal(agn_model_cut(model, 0, &cut), AGN_OK);
        assert_true(cut.model_id == agn_model_id(model) && cut.role_count == 1);
        assert_int_equal(agn_model_cut(model, 1, &cut), AGN_ERR_RANGE);
        assert_true(agn_model_cut_expand(model, 0, symbols, features) ==
                    (model->system->expand == NULL ? AGN_ERR_UNSUPPORTED : 0));
        agn_model_free(model);
    }
    struct agn_preset preset = preset_of("", "conv:c8:s2");
    snprintf(preset.model.system, sizeof preset.model.system, "local-only");
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    assert_int_equal(agn_model_cut(model, 0, &cut), AGN_ERR_UNSUPPORTED);
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
    static const struct {
        const char *system, *extractor, *local;
        int status;
        const char *message;
    } cases[] = {
        {"spinn", "conv:c4:s2 | dw | dw | dw", "", AGN_ERR_RANGE, "has 4 stages, with '|' between them"},
        {"spinn", "conv:c4:s2 | | dw", "", AGN_ERR_RANGE, "model.extractor has a stage without a layer"},
        {"spinn", "conv:c4:s2 | dw", "dw", AGN_ERR_ARG, "describes 1 exits"},
        {"spinn", "conv:c4:s2 | dw", "dw | dw |", AGN_ERR_ARG, "describes 3 exits"},
        {"spinn", "conv:c4:s2 | mb:c4:e2 | dw", "", AGN_ERR_ARG,
         "stage 2 of model.extractor ends without a ReLU6"},
        {"spinn", "conv:c4:s2 | dw | fused:c4", "", AGN_ERR_UNSUPPORTED, "model.extractor, block 'fused:c4'"},
        {"spinn", "conv:c4:s2 | dw", "dw | pool:g1", AGN_ERR_UNSUPPORTED, "model.local, block 'pool:g1'"},
        {"spinn", "conv:c4:s2 | dw:s2 | dw:s2", "", AGN_ERR_RANGE,
         "model.grid = 4, but stage 3 of model.extractor makes a 2x2x4 map: choose a grid of at most 2"},
        {"spinn", "conv:c4:s2 | dw", " | dw:s4", AGN_ERR_RANGE,
         "model.grid = 4, but exit 2 of model.local makes a 2x2x4 map"},
        {"agilenn", "conv:c8:s2 | dw", "", AGN_ERR_ARG, "the system agilenn has none: leave '|' out"},
        {"agilenn", "conv:c8:s2", "dw | dw", AGN_ERR_ARG, "model.local describes stages"},
        {"deepcod", "conv:c4:k4:s4:l1 | dw", "", AGN_ERR_ARG, "the system deepcod has none"},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_preset preset = preset_of(cases[i].extractor, cases[i].local);
        snprintf(preset.model.system, sizeof preset.model.system, "%s", cases[i].system);
        snprintf(preset.model.reference, sizeof preset.model.reference, "conv:c8");
        snprintf(preset.model.decoder, sizeof preset.model.decoder, "up up conv:c3:a2");
        refused(&preset, cases[i].status, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_fall_apart_at_bars),
                                       cmocka_unit_test(stages_stand_one_behind_the_other),
                                       cmocka_unit_test(the_first_sure_exit_answers),
                                       cmocka_unit_test(cuts_are_before_and_behind_stages),
                                       cmocka_unit_test(cuts_expand_what_is_sent),
                                       cmocka_unit_test(other_models_are_cut_as_ever),
                                       cmocka_unit_test(refusals_say_why)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
