/* When to send: the regression against its own conditions, shares and losses as asked, and margins that
 * travel to the device. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/hosted.h"
#include "agilenn/send_decision.h"
#include "agn_layout.h"
#include "tiny_model.h"

enum { COUNT = 4000, CLASSES = 4 };

static double chance(struct agn_rng *rng)
{
    return agn_rng_uniform(rng);
}

/* Frames whose local answer is right the likelier the larger the margin, and less often for class 3; the
 * server is right in nine of ten. */
static void make_frames(struct agn_curve_frame frames[COUNT], uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    for (int i = 0; i < COUNT; i++) {
        int class_index = (int)agn_rng_below(&rng, CLASSES);
        double margin = 6.0 * chance(&rng), hard = class_index == 3 ? 2.0 : 0.0;
        bool right = chance(&rng) < 1.0 / (1.0 + exp(-(margin - 1.0 - hard))), fused = chance(&rng) < 0.9;
        frames[i] = (struct agn_curve_frame){.label = right ? class_index : (class_index + 1) % CLASSES,
                                             .local_class = class_index,
                                             .margin = (int)(256.0 * margin),
                                             .bytes = 100,
                                             .packets = 1};
        frames[i].fused_class = fused ? frames[i].label : (frames[i].label + 2) % CLASSES;
    }
}

static double accuracy_at(const struct agn_curve_frame *frames, const uint16_t *margins, double *sent)
{
    int right = 0, out = 0;
    for (int i = 0; i < COUNT; i++) {
        bool stays = frames[i].margin >= margins[frames[i].local_class];
        out += !stays;
        right += (stays ? frames[i].local_class : frames[i].fused_class) == frames[i].label;
    }
    *sent = (double)out / COUNT;
    return (double)right / COUNT;
}

static void shares_are_as_asked(void **state)
{
    (void)state;
    struct agn_curve_frame *frames = calloc(COUNT, sizeof(*frames)), *others = calloc(COUNT, sizeof(*others));
    make_frames(frames, 1);
    make_frames(others, 2);
    double last = -1.0;
    for (double share = 0.1; share < 1.0; share += 0.2) {
        const struct agn_send_target target = {.sent = share};
        struct agn_send_decision d;
        double sent, other_sent;
        assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &target, &d), AGN_OK);
        double accuracy = accuracy_at(frames, d.margins, &sent);
        assert_true(fabs(sent - share) < 0.002 && fabs(d.sent_share - sent) < 1e-9);
        assert_true(fabs(d.accuracy - accuracy) < 0.01 && fabs(d.bytes - 100.0 * sent) < 1e-6);
        /* On frames that it was not learned on the share holds within four deviations. */
        accuracy_at(others, d.margins, &other_sent);
        assert_true(fabs(other_sent - share) < 4.0 * sqrt(2.0 * share * (1.0 - share) / COUNT));
        assert_true(share > 0.6 || d.accuracy > last); /* the server is right in nine of ten */
        last = d.accuracy;
    }
    free(frames);
    free(others);
}

/* Class 3 errs more at equal margins: by the model of make_frames its border lies 2 logits higher. */
static void classes_have_their_own_margins(void **state)
{
    (void)state;
    struct agn_curve_frame *frames = calloc(COUNT, sizeof(*frames));
    const struct agn_send_target target = {.sent = 0.5};
    struct agn_send_decision d;
    uint16_t one[CLASSES];
    make_frames(frames, 3);
    assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &target, &d), AGN_OK);
    for (int c = 0; c < 3; c++)
        assert_true(fabs((d.margins[3] - d.margins[c]) / 256.0 - 2.0) < 0.6);
    /* Better than the best single margin of the same share. */
    double sent = 0.0, accuracy = 0.0;
    for (uint16_t margin = 1; sent < d.sent_share; margin++) {
        for (int c = 0; c < CLASSES; c++)
            one[c] = margin;
        accuracy = accuracy_at(frames, one, &sent);
    }
    assert_true(d.accuracy > accuracy + 0.003);
    free(frames);
}

/* At the optimum the gradients are 0: sums of errors over all, and of errors times margins. The threshold is
 * what the margins tell, so that slope and parts are seen through them only: shifting labels shifts these. */
static void a_loss_is_kept(void **state)
{
    (void)state;
    struct agn_curve_frame *frames = calloc(COUNT, sizeof(*frames));
    double before = 1.1;
    make_frames(frames, 4);
    for (double loss = 0.002; loss < 0.2; loss *= 3.0) {
        const struct agn_send_target target = {.may_lose = loss};
        struct agn_send_decision d;
        assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &target, &d), AGN_OK);
        assert_true(d.accuracy >= d.fused_accuracy - loss - 2.0 / COUNT);
        assert_true(d.sent_share < before);
        before = d.sent_share;
    }
    assert_true(before < 0.5);
    free(frames);
}

/* As few as reach an accuracy, which holds on frames that it was not learned on, too. */
static void an_accuracy_is_reached(void **state)
{
    (void)state;
    struct agn_curve_frame *frames = calloc(COUNT, sizeof(*frames)), *others = calloc(COUNT, sizeof(*others));
    struct agn_send_decision d, all;
    double before = 0.0, sent;
    make_frames(frames, 6);
    make_frames(others, 7);
    const struct agn_send_target whole = {.sent = 1.0};
    assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &whole, &all), AGN_OK);
    assert_true(fabs(all.accuracy - all.fused_accuracy) < 1e-9);
    for (double lost = 0.1; lost > 0.003; lost /= 2.0) {
        const struct agn_send_target target = {.reach = all.fused_accuracy - lost};
        assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &target, &d), AGN_OK);
        assert_true(d.accuracy >= target.reach - 1e-9 && d.accuracy < target.reach + 0.01);
        assert_true(d.sent_share > before);
        before = d.sent_share;
        double accuracy = accuracy_at(others, d.margins, &sent);
        assert_true(fabs(accuracy - target.reach) < 4.0 * sqrt(2.0 * 0.25 / COUNT));
    }
    const struct agn_send_target most = {.reach = all.fused_accuracy + 0.01};
    assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &most, &d), AGN_ERR_RANGE);
    free(frames);
    free(others);
}

/* Cross-fitting tells what is learned by heart: classes that only one image has teach nothing about others.
 */
static void what_is_known_by_heart_does_not_count(void **state)
{
    (void)state;
    enum { FEW = 60 };
    struct agn_curve_frame *frames = calloc(COUNT, sizeof(*frames));
    const struct agn_send_target target = {.sent = 0.3};
    struct agn_send_decision d;
    double flattered = 0.0, told = 0.0;
    for (int seed = 10; seed < 40; seed++) {
        make_frames(frames, (uint64_t)seed);
        if (agn_send_decision_learn(frames, FEW, CLASSES, &target, &d) < 0)
            continue;
        double right = 0.0;
        for (int i = 0; i < FEW; i++) {
            bool stays = frames[i].margin >= d.margins[frames[i].local_class];
            right += (stays ? frames[i].local_class : frames[i].fused_class) == frames[i].label;
        }
        flattered += right / FEW;
        told += d.accuracy;
    }
    print_message("on its own images %.4f, cross-fitted %.4f\n", flattered / 30, told / 30);
    assert_true(told < flattered);
    free(frames);
}

static void refusals(void **state)
{
    (void)state;
    struct agn_curve_frame *frames = calloc(COUNT, sizeof(*frames));
    struct agn_send_target target = {.sent = 0.5};
    struct agn_send_decision d = {.images = -7};
    make_frames(frames, 5);
    assert_int_equal(agn_send_decision_learn(frames, 0, CLASSES, &target, &d), AGN_ERR_ARG);
    assert_int_equal(agn_send_decision_learn(frames, COUNT, 3, &target, &d), AGN_ERR_ARG);
    target.may_lose = 0.1;
    assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &target, &d), AGN_ERR_ARG);
    target = (struct agn_send_target){.sent = NAN};
    assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &target, &d), AGN_ERR_ARG);
    target = (struct agn_send_target){.sent = 0.5};
    for (int i = 0; i < COUNT; i++) /* the surer the worse */
        frames[i].margin = 6 * 256 - frames[i].margin;
    assert_int_equal(agn_send_decision_learn(frames, COUNT, CLASSES, &target, &d), AGN_ERR_NUMERIC);
    assert_int_equal(d.images, -7);
    free(frames);
}

/* ---- in the device model -------------------------------------------------------------------------- */

static void margins_travel(void **state)
{
    (void)state;
    enum { IMAGES = 60, PIXELS = 16 * 16 };
    static const struct tiny_config config = {"conv:c8:s2 conv:c12", 16, 16, 1, 4, 3, CLASSES, false};
    struct agn_dataset *data = tiny_dataset(&config, IMAGES, 1);
    struct agn_model *model = tiny_trained_model(&config, data, data, 1);
    uint16_t margins[CLASSES] = {60, 0, 40, 90}, other[CLASSES] = {1, 2, 3, 4};
    uint8_t *plain = NULL, *made = NULL, *again = NULL;
    size_t plain_size = 0, size = 0, again_size = 0;
    struct agn_hosted device;
    struct agn_dev_model opened;
    int sure = 0;
    assert_int_equal(agn_deploy_device(model, data, 0, &plain, &plain_size, NULL), AGN_OK);
    assert_int_equal(agn_deploy_margins(plain, plain_size, margins, CLASSES, &made, &size), AGN_OK);
    assert_int_equal(size, plain_size + 2 * CLASSES);
    assert_int_equal(agn_hosted_open(&device, made, size), 0);
    assert_int_equal(device.dev.model.sure_margin, 0);
    for (int i = 0; i < IMAGES; i++) {
        int class_index = agn_hosted_image(&device, data->pixels + i * PIXELS, 1, 0);
        int margin = agn_dev_margin(&device.dev);
        assert_int_equal(agn_dev_is_sure(&device.dev),
                         margins[class_index] > 0 && margin >= margins[class_index]);
        sure += agn_dev_is_sure(&device.dev);
    }
    assert_true(sure > 0 && sure < IMAGES);
    agn_hosted_close(&device);
    /* Others in their place: no longer. */
    assert_int_equal(agn_deploy_margins(made, size, other, CLASSES, &again, &again_size), AGN_OK);
    assert_int_equal(again_size, size);
    assert_int_equal(agn_dev_model_open(&opened, again, again_size), 0);
    assert_int_equal(agn__load_u16(opened.sure_margins + 4), 3);
    agn_free(again);
    /* A file too short for its table is refused, and so are impossible margins. */
    for (unsigned classes = CLASSES + 1; classes < 1000; classes += 331) {
        agn__store_u16(made + AGN__AT_CLASSES, (uint16_t)classes);
        agn__store_u32(made + size - 4, agn_crc32(0, made, size - 4));
        assert_int_equal(agn_dev_model_open(&opened, made, size), AGN_ERR_RANGE);
    }
    margins[1] = 0x8000;
    assert_int_equal(agn_deploy_margins(plain, plain_size, margins, CLASSES, &again, &again_size),
                     AGN_ERR_ARG);
    assert_int_equal(agn_deploy_margins(plain, plain_size, other, CLASSES - 1, &again, &again_size),
                     AGN_ERR_ARG);
    agn__store_u16(plain + AGN__AT_SURE_MARGIN, 0x8001);
    agn__store_u32(plain + plain_size - 4, agn_crc32(0, plain, plain_size - 4));
    assert_int_equal(agn_dev_model_open(&opened, plain, plain_size), AGN_ERR_RANGE);
    agn_free(made);
    agn_free(plain);
    agn_model_free(model);
    agn_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shares_are_as_asked),
                                       cmocka_unit_test(classes_have_their_own_margins),
                                       cmocka_unit_test(a_loss_is_kept),
                                       cmocka_unit_test(an_accuracy_is_reached),
                                       cmocka_unit_test(what_is_known_by_heart_does_not_count),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(margins_travel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
