/* Preparation of batches: what mixup, cutout and label smoothing do to images and targets. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tiny_training.h"
#include "train/preparation.h"

enum { BATCH = 32, PIXELS = TINY_SIDE * TINY_SIDE, FLOATS = BATCH * PIXELS };

static struct world {
    struct agn_model *model;
    struct agn__preparation preparation;
    float images[FLOATS], input[FLOATS];
    int32_t labels[BATCH];
    struct agn_batch batch;
} world;

static int setup(void **state)
{
    (void)state;
    struct agn_preset preset;
    tiny_preset_make(&preset);
    if (agn_model_create(&preset, NULL, &world.model) < 0 ||
        agn__preparation_create(world.model, NULL, NULL, &world.preparation) < 0)
        return -1;
    for (int i = 0; i < FLOATS; i++)
        world.images[i] = 1.0F + (float)i; /* never 0, no two alike */
    for (int i = 0; i < BATCH; i++)
        world.labels[i] = i % TINY_CLASSES;
    world.batch = (struct agn_batch){.images = world.images, .labels = world.labels, .count = BATCH};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    agn__preparation_release(&world.preparation);
    agn_model_free(world.model);
    return 0;
}

static void prepare(double smoothing, double mixup, int cutout, int64_t step)
{
    world.model->preset.train.label_smoothing = smoothing;
    world.model->preset.train.mixup = mixup;
    world.model->preset.train.cutout = cutout;
    agn__prepare_batch(&world.preparation, &world.batch, AGN_PHASE_JOINT, step, world.input);
}

static void expect_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%.9g, expected %.9g", got, expected);
}

static void without_options_nothing_changes(void **state)
{
    (void)state;
    prepare(0.0, 0.0, 0, 5);
    assert_memory_equal(world.input, world.images, sizeof(world.images));
    for (int i = 0; i < BATCH * TINY_CLASSES; i++) {
        bool own = world.labels[i / TINY_CLASSES] == i % TINY_CLASSES;
        assert_true(world.preparation.targets[i] == (own ? 1.0F : 0.0F));
    }
}

static void smoothed_labels(void **state)
{
    (void)state;
    prepare(0.3, 0.0, 0, 5);
    assert_memory_equal(world.input, world.images, sizeof(world.images));
    for (int i = 0; i < BATCH * TINY_CLASSES; i++) {
        bool own = world.labels[i / TINY_CLASSES] == i % TINY_CLASSES;
        expect_near((double)world.preparation.targets[i], own ? 0.8 : 0.1, 1e-6);
    }
}

static void classes_are_balanced(void **state)
{
    (void)state;
    uint16_t labels[12] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 3, 3};
    const struct agn_dataset data = {.count = 12, .classes = 5, .labels = labels};
    float weights[5];
    double sum = 0.0;
    agn__balanced_weights(&data, 5, weights);
    static const double expected[] = {12.0 / (3 * 6), 12.0 / (3 * 3), 1.0, 12.0 / (3 * 3), 1.0};
    for (int c = 0; c < 5; c++)
        expect_near((double)weights[c], expected[c], 1e-6);
    for (int i = 0; i < 12; i++)
        sum += (double)weights[labels[i]];
    expect_near(sum, 12.0, 1e-5); /* the mean weight of an image is 1 */
}

/* Each share counts its class's weight, and rows add up to their own. */
static void weights_multiply_targets(void **state)
{
    (void)state;
    static const float weights[TINY_CLASSES] = {0.5F, 2.0F, 3.0F};
    float plain[BATCH * TINY_CLASSES];
    prepare(0.2, 0.3, 0, 4);
    memcpy(plain, world.preparation.targets, sizeof(plain));
    assert_int_equal(agn__preparation_weigh(&world.preparation, weights), AGN_OK);
    prepare(0.2, 0.3, 0, 4);
    const struct agn__soft_targets targets = agn__targets_of(&world.preparation, &world.batch);
    for (int i = 0; i < BATCH; i++) {
        double sum = 0.0;
        for (int c = 0; c < TINY_CLASSES; c++) {
            double share = (double)targets.shares[i * TINY_CLASSES + c];
            expect_near(share, (double)(weights[c] * plain[i * TINY_CLASSES + c]), 1e-6);
            sum += share;
        }
        expect_near((double)targets.weights[i], sum, 1e-5);
        assert_true(agn__label_weight(&world.preparation, world.labels[i]) == weights[world.labels[i]]);
    }
    assert_true(agn__label_weight(&world.preparation, -1) == 1.0F);
}

/* Each image is a sum of itself and one other, in one share; targets in the same share. */
static void mixed_images_and_targets(void **state)
{
    (void)state;
    bool partners[BATCH] = {false};
    double share = 0.0;
    prepare(0.0, 1.0, 0, 5);
    for (int i = 0; i < BATCH; i++) {
        int partner = world.preparation.partner[i];
        assert_in_range(partner, 0, BATCH - 1);
        assert_false(partners[partner]);
        partners[partner] = true;
        if (partner != i) { /* the difference tells the share */
            share = 1.0 - (double)(world.input[i * PIXELS] - world.images[i * PIXELS]) /
                              (double)(world.images[partner * PIXELS] - world.images[i * PIXELS]);
        }
    }
    assert_true(share >= 0.5 && share < 1.0);
    for (int i = 0; i < FLOATS; i++) {
        int partner = world.preparation.partner[i / PIXELS];
        double expected = share * (double)world.images[i] +
                          (1.0 - share) * (double)world.images[partner * PIXELS + i % PIXELS];
        expect_near((double)world.input[i], expected, 0.01);
    }
    for (int i = 0; i < BATCH * TINY_CLASSES; i++) {
        int image = i / TINY_CLASSES, c = i % TINY_CLASSES;
        double expected = (world.labels[image] == c ? share : 0.0) +
                          (world.labels[world.preparation.partner[image]] == c ? 1.0 - share : 0.0);
        expect_near((double)world.preparation.targets[i], expected, 1e-4);
    }
}

/* The blanks of an image are one rectangle of at most side x side, at its border when smaller. */
static void blanked_squares(void **state)
{
    (void)state;
    enum { SIDE = 5 };
    int whole = 0;
    prepare(0.0, 0.0, SIDE, 5);
    for (int i = 0; i < BATCH; i++) {
        int top = TINY_SIDE, bottom = -1, left = TINY_SIDE, right = -1, blanks = 0;
        for (int p = 0; p < PIXELS; p++) {
            float value = world.input[i * PIXELS + p];
            assert_true(value == 0.0F || value == world.images[i * PIXELS + p]);
            if (value == 0.0F) {
                int y = p / TINY_SIDE, x = p % TINY_SIDE;
                top = y < top ? y : top;
                bottom = y > bottom ? y : bottom;
                left = x < left ? x : left;
                right = x > right ? x : right;
                blanks++;
            }
        }
        int height = bottom - top + 1, width = right - left + 1;
        assert_true(blanks > 0 && blanks == height * width && height <= SIDE && width <= SIDE);
        assert_true(height == SIDE || top == 0 || bottom == TINY_SIDE - 1);
        assert_true(width == SIDE || left == 0 || right == TINY_SIDE - 1);
        whole += blanks == SIDE * SIDE;
    }
    assert_in_range(whole, 1, BATCH - 1);
    prepare(0.0, 0.0, 512, 5); /* larger than any image */
    for (int i = 0; i < FLOATS; i++)
        assert_true(world.input[i] == 0.0F);
}

/* Steps draw anew; the same step draws the same, or a resumed run would not end the same. */
static void draws_depend_on_the_step_alone(void **state)
{
    (void)state;
    static float first[FLOATS];
    float targets[BATCH * TINY_CLASSES];
    prepare(0.1, 0.4, 4, 5);
    memcpy(first, world.input, sizeof(first));
    memcpy(targets, world.preparation.targets, sizeof(targets));
    prepare(0.1, 0.4, 4, 6);
    assert_memory_not_equal(first, world.input, sizeof(first));
    prepare(0.1, 0.4, 4, 5);
    assert_memory_equal(first, world.input, sizeof(first));
    assert_memory_equal(targets, world.preparation.targets, sizeof(targets));
}

/* Mean of max(s, 1 - s): 3/4 for a = 1 (uniform), 1/2 + 1/pi for a = 1/2 (arcsine). */
static void shares_follow_the_beta_distribution(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    static const double a[] = {0.5, 1.0, 2.0, 1e-9}, mean[] = {0.8183098862, 0.75, 0.6875, 1.0};
    struct agn_rng rng;
    agn_rng_seed(&rng, 1);
    for (size_t i = 0; i < AGN_COUNT_OF(a); i++) {
        double sum = 0.0;
        for (int d = 0; d < DRAWS; d++) {
            double share = agn__draw_main_share(&rng, a[i]);
            assert_true(share >= 0.5 && share <= 1.0);
            sum += share;
        }
        expect_near(sum / DRAWS, mean[i], 0.004);
    }
}

/* Each half of the batch by itself, as two processes would prepare it. */
static void halves_make_the_whole(void **state)
{
    (void)state;
    enum { HALF = BATCH / 2 };
    static float whole[FLOATS], targets[BATCH * TINY_CLASSES];
    struct agn__preparation *p = &world.preparation;
    struct agn_batch batch = world.batch;
    prepare(0.1, 0.4, 3, 9);
    memcpy(whole, world.input, sizeof(whole));
    memcpy(targets, p->targets, sizeof(targets));
    for (int half = 0; half < 2; half++) {
        p->batch = HALF;
        p->first = half * HALF;
        batch.images = world.images + half * HALF * PIXELS;
        batch.labels = world.labels + half * HALF;
        batch.count = HALF;
        batch.whole_images = world.images;
        batch.whole_labels = world.labels;
        agn__prepare_batch(p, &batch, AGN_PHASE_JOINT, 9, world.input);
        assert_memory_equal(world.input, whole + half * HALF * PIXELS, HALF * PIXELS * sizeof(float));
        assert_memory_equal(p->targets, targets + half * HALF * TINY_CLASSES,
                            HALF * TINY_CLASSES * sizeof(float));
    }
    p->batch = BATCH;
    p->first = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_nothing_changes),
        cmocka_unit_test(smoothed_labels),
        cmocka_unit_test(mixed_images_and_targets),
        cmocka_unit_test(classes_are_balanced),
        cmocka_unit_test(blanked_squares),
        cmocka_unit_test(draws_depend_on_the_step_alone),
        cmocka_unit_test(halves_make_the_whole),
        cmocka_unit_test(shares_follow_the_beta_distribution),
        cmocka_unit_test(weights_multiply_targets), /* last: from then on classes have weights */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
