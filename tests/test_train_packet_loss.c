/* Losing packets in joint training: what is drawn, what stands in for it, and that no gradient comes back
 * from it; evaluation under loss against one by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/measure.h"
#include "model/model_internal.h"
#include "temp_folder.h"
#include "tiny_training.h"
#include "train/joint.h"

enum { CHANNELS = 19, BATCH = 16 };

static int count_ranges(const uint8_t *lost, int channels)
{
    int ranges = 1;
    for (int c = 1; c < channels; c++)
        ranges += lost[c] != lost[c - 1];
    return ranges;
}

static void what_is_lost_are_ranges(void **state)
{
    (void)state;
    enum { DRAWS = 20000, PACKETS = 4 };
    int sum = 0, of_channel[CHANNELS] = {0};
    struct agn_rng rng;
    agn_rng_seed(&rng, 5);
    for (int d = 0; d < DRAWS; d++) {
        uint8_t lost[CHANNELS];
        agn_lossy_draw_channels(&rng, PACKETS, 0.3, CHANNELS, lost);
        assert_true(count_ranges(lost, CHANNELS) <= PACKETS);
        for (int c = 0; c < CHANNELS; c++) {
            assert_true(lost[c] <= 1);
            of_channel[c] += lost[c];
            sum += lost[c];
        }
    }
    assert_float_equal((double)sum / (DRAWS * CHANNELS), 0.3, 0.01);
    for (int c = 0; c < CHANNELS; c++) /* the first and the last as often as those between */
        assert_float_equal((double)of_channel[c] / DRAWS, 0.3, 0.02);
}

static void borders_lie_everywhere(void **state)
{
    (void)state;
    int borders[CHANNELS] = {0};
    struct agn_rng rng;
    agn_rng_seed(&rng, 6);
    for (int d = 0; d < 40000; d++) {
        uint8_t lost[CHANNELS];
        agn_lossy_draw_channels(&rng, 2, 0.5, CHANNELS, lost);
        for (int c = 1; c < CHANNELS; c++)
            borders[c] += lost[c] != lost[c - 1];
    }
    for (int c = 1; c < CHANNELS; c++) /* half of the draws show the one border: 40000 / 2 / 18 */
        assert_in_range(borders[c], 1111 - 170, 1111 + 170);
}

static void extremes_are_possible(void **state)
{
    (void)state;
    uint8_t lost[AGN_MAX_FEATURES];
    struct agn_rng rng;
    agn_rng_seed(&rng, 7);
    agn_lossy_draw_channels(&rng, 300, 1.0, AGN_MAX_FEATURES, lost);
    for (int c = 0; c < AGN_MAX_FEATURES; c++)
        assert_int_equal(lost[c], 1);
    agn_lossy_draw_channels(&rng, 1, 0.0, 1, lost);
    assert_int_equal(lost[0], 0);
}

/* ---- a step's losses ---------------------------------------------------------------------------- */

struct rig {
    struct agn_train_config config;
    struct agn__trainer trainer;
    struct agn__joint joint;
};

static void open_rig(struct rig *rig, const char *setting)
{
    *rig = (struct rig){0};
    tiny_preset_make(&rig->config.preset);
    rig->config.preset.train.batch = BATCH;
    assert_int_equal(agn_preset_set(&rig->config.preset, setting), AGN_OK);
    assert_int_equal(agn_model_create(&rig->config.preset, NULL, &rig->trainer.model), AGN_OK);
    rig->trainer.config = &rig->config;
    assert_int_equal(agn__joint_open(&rig->trainer, &rig->joint), AGN_OK);
}

static void close_rig(struct rig *rig)
{
    agn__joint_close(&rig->joint);
    agn__beside_free(&rig->trainer.beside);
    agn_model_free(rig->trainer.model);
}

/* Symbols as noise, and their levels as what the Remote NN is to read. */
static void quantise_noise(struct rig *rig)
{
    struct agn__joint *j = &rig->joint;
    size_t sent = j->positions * (size_t)rig->trainer.model->sent_channels;
    struct agn_rng rng;
    agn_rng_seed(&rng, 8);
    for (size_t i = 0; i < sent; i++)
        j->rest[i] = 6.0F * (float)agn_rng_uniform(&rng) * (float)agn_rng_uniform(&rng);
    agn_quantise(rig->trainer.model->centroids, j->rest, sent, j->symbols,
                 agn_net_write(j->remote, AGN_BORDER_INPUT));
}

/* All behind a random place are lost, at each place as often; where the chance is a half, of half the images.
 */
static void tails_drop(void **state)
{
    (void)state;
    enum { STEPS = 400 };
    struct rig rig;
    open_rig(&rig, "joint.tail_drop=0.5");
    struct agn__joint *j = &rig.joint;
    int channels = rig.trainer.model->sent_channels, whole = 0, come[AGN_MAX_FEATURES + 1] = {0};
    assert_non_null(j->lost);
    for (int step = 0; step < STEPS; step++) {
        rig.trainer.state.step = step;
        quantise_noise(&rig);
        assert_int_equal(agn__lose_packets(j), AGN_OK);
        for (int i = 0; i < BATCH; i++) {
            const uint8_t *lost = j->lost + i * channels;
            int first = 0;
            while (first < channels && !lost[first])
                first++;
            for (int c = first; c < channels; c++)
                assert_int_equal(lost[c], 1);
            come[first]++;
            whole += first == channels;
        }
    }
    double images = STEPS * BATCH, each = images / 2.0 / channels;
    assert_int_equal(come[0], 0);
    for (int c = 1; c < channels; c++)
        assert_true(fabs(come[c] - each) < 5.0 * sqrt(each));
    assert_true(fabs(whole - images / 2.0 - each) < 5.0 * sqrt(images / 4.0));
    close_rig(&rig);
}

static void the_fill_stands_in(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, "joint.packet_loss=0.4");
    struct agn__joint *j = &rig.joint;
    const struct agn_model *model = rig.trainer.model;
    size_t channels = (size_t)model->sent_channels, positions = j->positions / BATCH;
    quantise_noise(&rig);
    double mean[AGN_MAX_FEATURES] = {0};
    for (size_t i = 0; i < j->positions * channels; i++)
        mean[i % channels] += (double)agn_net_read(j->remote, AGN_BORDER_INPUT)[i] / (double)j->positions;
    assert_int_equal(agn__lose_packets(j), AGN_OK);
    int lost = 0;
    for (size_t c = 0; c < channels; c++)
        assert_float_equal((double)model->fill[c], mean[c], 1e-5);
    float *diff = j->diff_rest;
    for (size_t i = 0; i < j->positions * channels; i++)
        diff[i] = 1.0F;
    agn__forget_lost(j, diff);
    for (size_t i = 0; i < j->positions * channels; i++) {
        size_t c = i % channels, image = i / channels / positions;
        bool gone = j->lost[image * channels + c] != 0;
        float expected = gone ? model->fill[c] : model->centroids[j->symbols[i]];
        assert_true(agn_net_read(j->remote, AGN_BORDER_INPUT)[i] == expected);
        assert_true(diff[i] == (gone ? 0.0F : 1.0F));
        lost += gone;
    }
    assert_true(lost > 0 && lost < (int)(j->positions * channels));
    for (int i = 0; i < BATCH; i++)
        assert_non_null(memchr(j->lost + (size_t)i * channels, 0, channels)); /* something comes */
    close_rig(&rig);
}

static void draws_repeat_and_differ_by_step_and_seed(void **state)
{
    (void)state;
    struct rig a, b;
    open_rig(&a, "joint.packet_loss=0.4");
    open_rig(&b, "joint.packet_loss=0.4");
    size_t bytes = BATCH * (size_t)a.trainer.model->sent_channels;
    quantise_noise(&a);
    quantise_noise(&b);
    assert_int_equal(agn__lose_packets(&a.joint), AGN_OK);
    assert_int_equal(agn__lose_packets(&b.joint), AGN_OK);
    assert_memory_equal(a.joint.lost, b.joint.lost, bytes);
    b.trainer.state.step = 1;
    assert_int_equal(agn__lose_packets(&b.joint), AGN_OK);
    assert_memory_not_equal(a.joint.lost, b.joint.lost, bytes);
    b.trainer.state.step = 0;
    b.trainer.model->preset.train.seed++;
    assert_int_equal(agn__lose_packets(&b.joint), AGN_OK);
    assert_memory_not_equal(a.joint.lost, b.joint.lost, bytes);
    close_rig(&a);
    close_rig(&b);
}

static void off_needs_nothing(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, "joint.packet_loss=0");
    assert_null(rig.joint.lost);
    close_rig(&rig);
}

/* ---- evaluation ------------------------------------------------------------------------------------ */

static void evaluation_meets_its_ends(void **state)
{
    (void)state;
    struct tiny_dataset data;
    struct agn_preset preset;
    struct agn_model *model = NULL;
    struct agn_evaluation whole;
    struct agn_loss_evaluation lossy;
    const struct agn_loss_plan plan = {.packets = 3, .seed = 4, .count = 4, .loss = {0.0, 0.3, 0.3, 1.0}};
    tiny_dataset_make(&data, 300, 3); /* more than a batch */
    tiny_preset_make(&preset);
    assert_int_equal(agn_model_create(&preset, &data.set, &model), AGN_OK);
    assert_int_equal(agn_model_evaluate(model, &data.set, &whole), AGN_OK);
    assert_int_equal(agn_model_evaluate_loss(model, &data.set, &plan, &lossy), AGN_OK);
    assert_int_equal(lossy.images, 300);
    assert_int_equal(lossy.local_right, lround(300.0 * whole.local_accuracy));
    assert_int_equal(lossy.right[0], lround(300.0 * whole.fused_accuracy));
    assert_int_equal(lossy.unanswered[0], 0);
    assert_int_equal(lossy.right[1], lossy.right[2]);
    assert_in_range(lossy.unanswered[1], 1, 30); /* 0.3^3 of 300 is 8 */
    assert_int_equal(lossy.right[3], lossy.local_right);
    assert_int_equal(lossy.unanswered[3], 300);
    const struct agn_loss_plan none = {.packets = 3}, no_packets = {.count = 1};
    assert_int_equal(agn_model_evaluate_loss(model, &data.set, &none, &lossy), AGN_ERR_ARG);
    assert_int_equal(agn_model_evaluate_loss(model, &data.set, &no_packets, &lossy), AGN_ERR_ARG);
    agn_model_free(model);
    tiny_dataset_free(&data);
}

/* ---- trust ------------------------------------------------------------------------------------------ */

static void trust_is_earned(void **state)
{
    (void)state;
    struct tiny_dataset data;
    struct agn_train_config config = {0};
    struct agn_train_report report;
    struct agn_model *model = NULL;
    tiny_dataset_make(&data, 400, 1);
    config.train = config.test = &data.set;
    tiny_preset_make(&config.preset);
    config.preset.reference.epochs = 1;
    config.preset.joint.epochs = 2;
    config.preset.joint.packet_loss = 0.2;
    assert_int_equal(agn_train_run(&config, &model, &report), AGN_OK);
    int sent = model->sent_channels;
    assert_true(model->trust[0] == 0.0F);
    assert_true(model->trust[sent] == 1.0F);
    assert_true(model->trust[sent - 1] > 0.0F);
    assert_true(model->leading_trust[0] == 0.0F && model->leading_trust[sent] == 1.0F);
    assert_true(model->leading_trust[sent - 1] > 0.0F);
    for (size_t i = 0; i < model->parts[AGN_REMOTE].params->total; i++)
        model->parts[AGN_REMOTE].params->value[i] = 0.0F; /* says nothing: all classes alike */
    const struct agn_param *bias = agn_params_find(model->parts[AGN_REMOTE].params, "remote.dense.bias");
    assert_non_null(bias);
    model->parts[AGN_REMOTE].params->value[bias->offset] =
        20.0F; /* sure of the first class, whatever comes */
    model->parts[AGN_REMOTE].params->version++;
    assert_int_equal(agn_model_learn_trust(model, &data.set), AGN_OK);
    for (int came = 0; came < sent; came++)
        assert_true(model->trust[came] == 0.0F && model->leading_trust[came] == 0.0F);
    assert_true(model->trust[sent] == 1.0F && model->leading_trust[sent] == 1.0F);
    agn_model_free(model);
    tiny_dataset_free(&data);
}

/* The fused logits' share of the remote ones falls linearly, to nothing where half are missing. */
static void trust_can_be_guessed(void **state)
{
    struct agn_preset preset;
    struct agn_model *model = NULL;
    (void)state;
    tiny_preset_make(&preset);
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    agn__trust_guess(model);
    double alpha = agn_model_alpha(model);
    int sent = model->sent_channels, between = 0;
    for (int came = 0; came <= sent; came++) {
        double trust = (double)model->trust[came], remote = (1.0 - alpha) * trust;
        double share = 2 * came > sent ? (1.0 - alpha) * (2 * came - sent) / sent : 0.0;
        assert_true(fabs(remote / (alpha + remote) - share) < 1e-6);
        between += trust > 0.0 && trust < 1.0;
    }
    assert_true(model->trust[sent] == 1.0F && between > 0);
    model->alpha_weight = NAN;
    agn__trust_guess(model);
    for (int came = 0; came < sent; came++)
        assert_true(model->trust[came] == 0.0F);
    agn_model_free(model);
}

static void trust_travels_in_the_file(void **state)
{
    struct agn_preset preset;
    struct agn_model *model = NULL, *loaded = NULL;
    (void)state;
    tiny_preset_make(&preset);
    assert_int_equal(agn_model_create(&preset, NULL, &model), AGN_OK);
    model->trust[2] = 0.375F;
    model->leading_trust[2] = 0.75F;
    const char *path = temp_path("model.safetensors");
    assert_int_equal(agn_model_save(model, path), AGN_OK);
    assert_int_equal(agn_model_load(path, &loaded), AGN_OK);
    assert_memory_equal(model->trust, loaded->trust, sizeof(model->trust));
    assert_memory_equal(model->leading_trust, loaded->leading_trust, sizeof(model->leading_trust));
    assert_true(agn_model_trust(loaded, 2, false) == 0.375F && agn_model_trust(loaded, 2, true) == 0.75F);
    agn_model_free(loaded);
    static const float bad[] = {-0.1F, 1.5F, NAN};
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        model->trust[2] = bad[i];
        assert_int_equal(agn_model_save(model, path), AGN_OK);
        assert_int_equal(agn_model_load(path, &loaded), AGN_ERR_FORMAT);
        assert_non_null(strstr(agn_error_message(), "fusion.trust"));
    }
    model->trust[2] = 0.375F;
    model->leading_trust[2] = 2.0F;
    assert_int_equal(agn_model_save(model, path), AGN_OK);
    assert_int_equal(agn_model_load(path, &loaded), AGN_ERR_FORMAT);
    assert_non_null(strstr(agn_error_message(), "fusion.leading_trust"));
    agn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_lost_are_ranges),
        cmocka_unit_test(borders_lie_everywhere),
        cmocka_unit_test(extremes_are_possible),
        cmocka_unit_test(tails_drop),
        cmocka_unit_test(the_fill_stands_in),
        cmocka_unit_test(draws_repeat_and_differ_by_step_and_seed),
        cmocka_unit_test(off_needs_nothing),
        cmocka_unit_test(evaluation_meets_its_ends),
        cmocka_unit_test(trust_is_earned),
        cmocka_unit_test(trust_can_be_guessed),
        cmocka_unit_test(trust_travels_in_the_file),
    };
    agn_nn_set_threads(1);
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
