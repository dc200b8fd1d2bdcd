/* The learned quantiser: its start, how levels follow the features, and the soft gradient. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/quantiser_learning.h"

enum { COUNT = 4000 };
static float values[COUNT];
static uint8_t symbols[COUNT];

static void expect_near(const char *what, double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%s is %.9g, expected %.9g", what, got, expected);
}

static void expect_ascending(const struct agn_model *model)
{
    assert_true(model->centroids[0] == 0.0F);
    for (int level = 1; level < AGN_LEVELS; level++) {
        assert_true(model->centroids[level] >= model->centroids[level - 1]);
        assert_true(model->centroids[level] > 0.0F && model->centroids[level] <= 6.0F);
    }
}

/* Half zeros, as after ReLU6; the rest uniform in (0, top). */
static void fill(float top, uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    for (int i = 0; i < COUNT; i++) {
        double draw = agn_rng_uniform(&rng);
        values[i] = draw < 0.5 ? 0.0F : (float)(2.0 * (draw - 0.5)) * top;
    }
}

static void follow(struct agn_model *model, int steps, float top)
{
    for (int step = 0; step < steps; step++) {
        fill(top, (uint64_t)step + 100);
        agn_quantise(model->centroids, values, COUNT, symbols, NULL);
        agn__centroids_follow(model, NULL, values, symbols, COUNT, 0.05);
        expect_ascending(model);
    }
}

static double squared_error(const struct agn_model *model)
{
    static float quantised[COUNT];
    double sum = 0.0;
    agn_quantise(model->centroids, values, COUNT, symbols, quantised);
    for (int i = 0; i < COUNT; i++) {
        double d = (double)values[i] - (double)quantised[i];
        sum += d * d;
    }
    return sum / COUNT;
}

static void begins_at_quantiles(void **state)
{
    (void)state;
    struct agn_model model = {0};
    for (int i = 0; i < COUNT; i++) /* every second one 0; the others, in odd order, evenly in (0.5, 4) */
        values[i] = i % 2 == 0 ? 0.0F : 0.5F + 3.5F * (float)(i * 1009 % COUNT) / COUNT;
    assert_int_equal(agn__centroids_initialise(&model, NULL, values, COUNT), AGN_OK);
    for (int level = 1; level < AGN_LEVELS; level++) {
        expect_near("centroid", (double)model.centroids[level], 0.5 + 3.5 * (level - 0.5) / 7.0, 0.01);
        expect_near("usage", (double)model.usage[level], 0.125, 1e-6);
    }
    expect_ascending(&model);
}

/* Dead features, and features of one value, still give an ascending quantiser within (0, 6]. */
static void begins_with_odd_features(void **state)
{
    (void)state;
    struct agn_model model = {0};
    memset(values, 0, sizeof(values));
    assert_int_equal(agn__centroids_initialise(&model, NULL, values, COUNT), AGN_OK);
    expect_ascending(&model);
    assert_true(model.centroids[7] > model.centroids[1]);
    for (int i = 0; i < COUNT; i++)
        values[i] = 6.0F;
    assert_int_equal(agn__centroids_initialise(&model, NULL, values, COUNT), AGN_OK);
    expect_ascending(&model);
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)i; /* a linear extractor may exceed 6 */
    assert_int_equal(agn__centroids_initialise(&model, NULL, values, COUNT), AGN_OK);
    expect_ascending(&model);
    assert_int_equal(agn__centroids_initialise(&model, NULL, values, 0), AGN_OK);
    expect_ascending(&model);
}

/* Features shrink to a tenth: the levels must come along, and keep their work. */
static void follows_shrinking_features(void **state)
{
    (void)state;
    struct agn_model model = {0};
    fill(5.0F, 1);
    assert_int_equal(agn__centroids_initialise(&model, NULL, values, COUNT), AGN_OK);
    for (float top = 5.0F; top > 0.5F; top *= 0.98F)
        follow(&model, 3, top);
    follow(&model, 600, 0.5F);
    assert_true(model.centroids[7] < 0.6F);
    for (int level = 0; level < AGN_LEVELS; level++)
        assert_true(model.usage[level] > 0.01F);
    fill(0.5F, 7);
    /* uniform (0, .5) in half of the values, 7 levels and 0: the least error is (.5 / 7.5)^2 / 12 / 2 */
    double best = 0.5 * (0.5 / 7.5) * (0.5 / 7.5) / 12.0;
    assert_true(squared_error(&model) < 2.0 * best);
}

/* Levels far above all features die, and are then put where the error is. */
static void dead_levels_get_work(void **state)
{
    (void)state;
    struct agn_model model = {.centroids = {0, 0.5F, 5.0F, 5.2F, 5.4F, 5.6F, 5.8F, 6.0F}};
    for (int level = 0; level < AGN_LEVELS; level++)
        model.usage[level] = 0.125F;
    fill(1.0F, 3);
    double before = squared_error(&model);
    follow(&model, 2500, 1.0F);
    for (int level = 0; level < AGN_LEVELS; level++) {
        if (!(model.usage[level] > 0.01F && model.centroids[level] < 1.1F)) {
            fail_msg("level %d at %g has a share of %g", level, (double)model.centroids[level],
                     (double)model.usage[level]);
        }
    }
    fill(1.0F, 3);
    assert_true(squared_error(&model) < 0.2 * before);
}

/* Nothing but zeros: no level can have work, none may leave its range. */
static void survives_dead_features(void **state)
{
    (void)state;
    struct agn_model model = {0};
    fill(5.0F, 1);
    assert_int_equal(agn__centroids_initialise(&model, NULL, values, COUNT), AGN_OK);
    follow(&model, 600, 0.0F);
    for (int level = 0; level < AGN_LEVELS; level++)
        assert_true(isfinite(model.centroids[level]) && isfinite(model.usage[level]));
    follow(&model, 2500, 1.0F); /* and it recovers */
    for (int level = 0; level < AGN_LEVELS; level++)
        assert_true(model.usage[level] > 0.002F);
}

/* The soft assignment itself, in double. */
static double soft(const struct agn_model *model, double temperature, double x)
{
    double gap = (double)model->centroids[7] / 7.0, tau = temperature * gap * gap, sum = 0.0, mean = 0.0;
    for (int level = 0; level < AGN_LEVELS; level++) {
        double d = x - (double)model->centroids[level], p = exp(-d * d / tau);
        sum += p;
        mean += p * (double)model->centroids[level];
    }
    return mean / sum;
}

static void soft_gradient_equals_differences(void **state)
{
    (void)state;
    enum { POINTS = 61 };
    static const double temperatures[] = {0.3, 1.0, 5.0};
    struct agn_model model = {.centroids = {0, 0.2F, 0.7F, 1.5F, 2.0F, 3.1F, 4.4F, 5.5F}};
    for (size_t t = 0; t < AGN_COUNT_OF(temperatures); t++) {
        float x[POINTS], diff[POINTS];
        for (int i = 0; i < POINTS; i++) {
            x[i] = 0.1F * (float)i;
            diff[i] = i % 2 == 0 ? 1.0F : -2.0F;
        }
        agn__soft_quantiser_gradient(&model, x, temperatures[t], diff, POINTS);
        for (int i = 0; i < POINTS; i++) {
            double at = (double)x[i], h = 1e-5;
            double slope =
                (soft(&model, temperatures[t], at + h) - soft(&model, temperatures[t], at - h)) / (2 * h);
            expect_near("gradient", (double)diff[i], (i % 2 == 0 ? 1.0 : -2.0) * slope, 1e-3);
        }
    }
}

/* Far from all levels, and with levels that all coincide, the gradient is 0 or finite, never NaN. */
static void soft_gradient_at_extremes(void **state)
{
    (void)state;
    struct agn_model model = {.centroids = {0, 0.2F, 0.7F, 1.5F, 2.0F, 3.1F, 4.4F, 5.5F}}, none = {0};
    float x[] = {-1e6F, 1e6F, 0.0F, 6.0F}, diff[] = {1, 1, 1, 1}, other[] = {1, 1, 1, 1};
    agn__soft_quantiser_gradient(&model, x, 0.01, diff, 4);
    agn__soft_quantiser_gradient(&none, x, 0.01, other, 4);
    for (int i = 0; i < 4; i++)
        assert_true(isfinite(diff[i]) && isfinite(other[i]));
    assert_true(diff[0] == 0.0F && diff[1] == 0.0F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_at_quantiles),        cmocka_unit_test(begins_with_odd_features),
        cmocka_unit_test(follows_shrinking_features), cmocka_unit_test(dead_levels_get_work),
        cmocka_unit_test(survives_dead_features),     cmocka_unit_test(soft_gradient_equals_differences),
        cmocka_unit_test(soft_gradient_at_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
