/* agn_importance_loss: values by hand, gradient by finite differences, edge cases. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agilenn/train.h"

enum { MOST = 128 };              /* importances of a sample here */
static const double TIGHT = 1e-6; /* importances and gradients are floats */

static void expect_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%.9g, expected %.9g", got, expected);
}

/* n = (.2 .1 | .4 .05 .25): first two hold .3, the largest later one leads the smallest first one by .3. */
static void values_by_hand(void **state)
{
    (void)state;
    static const float importance[] = {4, 2, 8, 1, 5};
    struct agn_importance_loss_config config = {.channels = 5, .local_channels = 2, .rho = 0.8};
    struct agn_importance_loss loss;
    float gradient[5];
    agn_importance_loss(&config, importance, &loss, gradient);
    expect_near(loss.skewness, 0.3, TIGHT);
    expect_near(loss.skewness_loss, 0.5, TIGHT);
    expect_near(loss.disorder_loss, 0.3, TIGHT);
    assert_true(loss.disordered);
    /* dL/dn = (-1, -1-1, +1, 0, 0); sum of dL/dn n = -.2 - .2 + .4 = 0; sum of I = 20 */
    static const double expected[] = {-1.0 / 20, -2.0 / 20, 1.0 / 20, 0, 0};
    for (int c = 0; c < 5; c++)
        expect_near((double)gradient[c], expected[c], TIGHT);
}

static void the_scale_of_importance_does_not_matter(void **state)
{
    (void)state;
    float importance[] = {4, 2, 8, 1, 5}, gradient[5], smaller[5];
    struct agn_importance_loss_config config = {.channels = 5, .local_channels = 2, .rho = 0.8};
    struct agn_importance_loss loss, other;
    agn_importance_loss(&config, importance, &loss, gradient);
    for (int c = 0; c < 5; c++)
        importance[c] *= 0x1p-20F;
    agn_importance_loss(&config, importance, &other, smaller);
    expect_near(other.skewness_loss, loss.skewness_loss, 1e-12);
    expect_near(other.disorder_loss, loss.disorder_loss, 1e-12);
    for (int c = 0; c < 5; c++)
        expect_near((double)smaller[c] * 0x1p-20, (double)gradient[c], TIGHT);
}

static double total(const struct agn_importance_loss_config *config, const float *importance)
{
    struct agn_importance_loss loss;
    agn_importance_loss(config, importance, &loss, NULL);
    return loss.skewness_loss + loss.disorder_loss;
}

/* Central differences; `importance` keeps away from ties. */
static void check_gradient(const struct agn_importance_loss_config *config, float *importance)
{
    float gradient[MOST];
    struct agn_importance_loss loss;
    double largest = 1e-6;
    int count = config->channels * (config->positions > 0 ? config->positions : 1);
    agn_importance_loss(config, importance, &loss, gradient);
    for (int c = 0; c < count; c++)
        largest = fmax(largest, fabs((double)gradient[c]));
    for (int c = 0; c < count; c++) {
        float kept = importance[c];
        importance[c] = kept + 0x1p-12F;
        double above = total(config, importance), step = (double)importance[c];
        importance[c] = kept - 0x1p-12F;
        double below = total(config, importance);
        step -= (double)importance[c];
        importance[c] = kept;
        expect_near((double)gradient[c], (above - below) / step, 2e-5 * largest);
    }
}

static void gradient_equals_differences(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 11);
    for (int round = 0; round < 200; round++) {
        int channels = 2 + (int)agn_rng_below(&rng, 11);
        struct agn_importance_loss_config config = {.channels = channels,
                                                    .local_channels =
                                                        1 + (int)agn_rng_below(&rng, (uint32_t)channels - 1),
                                                    .rho = 0.05 + 0.9 * agn_rng_uniform(&rng),
                                                    .disorder_margin = round % 3 == 0 ? 0.05 : 0.0};
        float importance[16];
        for (int c = 0; c < channels; c++) /* a different sixteenth for each channel: no ties within a step */
            importance[c] = 0.5F + (float)((c * 7 + round) % 13) + 0.0625F * (float)c;
        struct agn_importance_loss loss;
        agn_importance_loss(&config, importance, &loss, NULL);
        bool at_kink = fabs(loss.skewness - config.rho) < 1e-3;
        double gap = loss.disorder_loss; /* a gap of exactly 0 cannot be told from a closed one */
        if (!at_kink && (gap == 0.0 || gap > 1e-3))
            check_gradient(&config, importance);
    }
}

/* Per element: of 2 positions x 3 channels, k = 1, the shares are (.2 .1 .3 | .1 .1 .2). */
static void elements_by_hand(void **state)
{
    (void)state;
    static const float importance[] = {2, 1, 3, 1, 1, 2};
    struct agn_importance_loss_config config = {
        .channels = 3, .local_channels = 1, .positions = 2, .rho = 0.8};
    struct agn_importance_loss loss;
    float gradient[6];
    agn_importance_loss(&config, importance, &loss, gradient);
    expect_near(loss.skewness, 0.3, TIGHT); /* .2 + .1 */
    expect_near(loss.skewness_loss, 0.5, TIGHT);
    expect_near(loss.disorder_loss, 0.2, TIGHT); /* .3 - .1 */
    assert_true(loss.disordered);
    /* dL/dn = (-1, 0, 1 | -1-1, 0, 0); sum of dL/dn n = -.2 + .3 - .2 = -.1; sum of I = 10 */
    static const double expected[] = {-0.09, 0.01, 0.11, -0.19, 0.01, 0.01};
    for (int e = 0; e < 6; e++)
        expect_near((double)gradient[e], expected[e], TIGHT);
    config.disorder_margin = 0.05;
    agn_importance_loss(&config, importance, &loss, NULL);
    expect_near(loss.disorder_loss, 0.25, TIGHT);
}

/* Sums over positions give the same skewness, but another disorder. */
static void one_position_is_the_channel_loss(void **state)
{
    (void)state;
    static const float importance[] = {4, 2, 8, 1, 5};
    struct agn_importance_loss_config config = {.channels = 5, .local_channels = 2, .rho = 0.8};
    struct agn_importance_loss whole, single;
    float gradient[5], other[5];
    agn_importance_loss(&config, importance, &whole, gradient);
    config.positions = 1;
    agn_importance_loss(&config, importance, &single, other);
    assert_true(whole.skewness == single.skewness && whole.disorder_loss == single.disorder_loss);
    assert_memory_equal(gradient, other, sizeof(gradient));
}

static void element_gradient_equals_differences(void **state)
{
    (void)state;
    struct agn_rng rng;
    int checked = 0;
    agn_rng_seed(&rng, 12);
    for (int round = 0; round < 100; round++) {
        float importance[MOST];
        struct agn_importance_loss_config config = {.channels = 2 + round % 5,
                                                    .local_channels = 1,
                                                    .positions = 1 + (int)agn_rng_below(&rng, 12),
                                                    .rho = 0.05 + 0.9 * agn_rng_uniform(&rng),
                                                    .disorder_margin = round % 3 == 0 ? 0.05 : 0.0};
        int count = config.channels * config.positions;
        for (int e = 0; e < count; e++) /* no two alike */
            importance[e] = 0.5F + (float)((e * 29 + round) % 61) + 0.00390625F * (float)e;
        struct agn_importance_loss loss;
        agn_importance_loss(&config, importance, &loss, NULL);
        bool at_kink = fabs(loss.skewness - config.rho) < 1e-3;
        if (!at_kink && (loss.disorder_loss == 0.0 || loss.disorder_loss > 1e-3)) {
            check_gradient(&config, importance);
            checked++;
        }
    }
    assert_true(checked > 80);
}

/* k = 1 and k = C - 1; met targets cost nothing and pull nowhere. */
static void edges_of_k(void **state)
{
    (void)state;
    static const float falling[] = {9, 0.4F, 0.3F, 0.3F}, rising[] = {1, 2, 3, 4};
    struct agn_importance_loss_config config = {.channels = 4, .local_channels = 1, .rho = 0.8};
    struct agn_importance_loss loss;
    float gradient[4];
    agn_importance_loss(&config, falling, &loss, gradient);
    expect_near(loss.skewness, 0.9, TIGHT);
    assert_true(loss.skewness_loss == 0.0 && loss.disorder_loss == 0.0 && !loss.disordered);
    for (int c = 0; c < 4; c++)
        assert_true(gradient[c] == 0.0F);
    agn_importance_loss(&config, rising, &loss, gradient);
    expect_near(loss.skewness_loss, 0.7, TIGHT);
    expect_near(loss.disorder_loss, 0.3, TIGHT);
    config.local_channels = 3;
    agn_importance_loss(&config, rising, &loss, gradient);
    expect_near(loss.skewness, 0.6, TIGHT);
    expect_near(loss.disorder_loss, 0.3, TIGHT);
    assert_true(gradient[0] < gradient[1] && gradient[1] == gradient[2] && gradient[3] > 0.0F);
}

/* Nothing is important: the losses are those of shares of 0, and there is no direction to go. */
static void zero_importances(void **state)
{
    (void)state;
    static const float importance[4] = {0};
    struct agn_importance_loss_config config = {.channels = 4, .local_channels = 2, .rho = 0.75};
    struct agn_importance_loss loss;
    float gradient[4] = {9, 9, 9, 9};
    agn_importance_loss(&config, importance, &loss, gradient);
    assert_true(loss.skewness == 0.0 && loss.skewness_loss == 0.75 && loss.disorder_loss == 0.0 &&
                !loss.disordered);
    for (int c = 0; c < 4; c++)
        assert_true(gradient[c] == 0.0F);
}

/* A tie between the sides is not disorder; one step of a float more is. The margin asks for a lead. */
static void sorted_by_a_hair(void **state)
{
    (void)state;
    float importance[] = {5, 2, 2, 1};
    struct agn_importance_loss_config config = {.channels = 4, .local_channels = 2, .rho = 0.5};
    struct agn_importance_loss loss;
    agn_importance_loss(&config, importance, &loss, NULL);
    assert_true(!loss.disordered && loss.disorder_loss == 0.0);
    config.disorder_margin = 0.01;
    agn_importance_loss(&config, importance, &loss, NULL);
    assert_true(!loss.disordered);
    expect_near(loss.disorder_loss, 0.01, 1e-12);
    config.disorder_margin = 0.0;
    importance[2] = nextafterf(2.0F, 3.0F);
    agn_importance_loss(&config, importance, &loss, NULL);
    assert_true(loss.disordered && loss.disorder_loss > 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand),
        cmocka_unit_test(the_scale_of_importance_does_not_matter),
        cmocka_unit_test(gradient_equals_differences),
        cmocka_unit_test(elements_by_hand),
        cmocka_unit_test(one_position_is_the_channel_loss),
        cmocka_unit_test(element_gradient_equals_differences),
        cmocka_unit_test(edges_of_k),
        cmocka_unit_test(zero_importances),
        cmocka_unit_test(sorted_by_a_hair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
