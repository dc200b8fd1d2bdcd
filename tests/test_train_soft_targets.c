/* Soft cross-entropy and distillation: values by definition, gradients by finite differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "train/soft_targets.h"

enum { ROWS = 5, CLASSES = 4, COUNT = ROWS * CLASSES };
static const int32_t labels[ROWS] = {2, 0, -1, 3, 1};

static void draw(float values[COUNT], uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(2.0 * agn_rng_normal(&rng));
}

static void expect_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%.9g, expected %.9g", got, expected);
}

/* log softmax(row / temperature)[c], by definition. */
static double log_share(const double *row, int c, double temperature)
{
    double sum = 0.0;
    for (int o = 0; o < CLASSES; o++)
        sum += exp(row[o] / temperature);
    return row[c] / temperature - log(sum);
}

/* ---- soft cross-entropy ------------------------------------------------------------ */

static void hard_targets_give_the_bits_of_the_hard_loss(void **state)
{
    (void)state;
    float logits[COUNT], targets[COUNT] = {0}, prob[2][COUNT], loss[2][ROWS], diff[2][COUNT];
    draw(logits, 1);
    for (int i = 0; i < ROWS; i++)
        targets[i * CLASSES + (labels[i] < 0 ? 0 : labels[i])] = 1.0F;
    agn_softmax_ce_forward(logits, labels, ROWS, CLASSES, prob[0], loss[0]);
    agn_softmax_ce_backward(prob[0], labels, ROWS, CLASSES, 0.3F, diff[0]);
    const struct agn__soft_targets soft = {labels, targets, NULL, ROWS, CLASSES};
    agn__soft_ce_forward(logits, &soft, prob[1], loss[1]);
    agn__soft_ce_backward(prob[1], &soft, 0.3F, diff[1]);
    assert_memory_equal(prob[0], prob[1], sizeof(prob[0]));
    assert_memory_equal(loss[0], loss[1], sizeof(loss[0]));
    assert_memory_equal(diff[0], diff[1], sizeof(diff[0]));
}

/* A share for each class, each row's sum 1. */
static void draw_targets(float targets[COUNT])
{
    float raw[COUNT];
    draw(raw, 2);
    for (int i = 0; i < ROWS; i++) {
        float sum = 0.0F;
        for (int c = 0; c < CLASSES; c++)
            sum += fabsf(raw[i * CLASSES + c]);
        for (int c = 0; c < CLASSES; c++)
            targets[i * CLASSES + c] = fabsf(raw[i * CLASSES + c]) / sum;
    }
}

static double soft_loss(const double logits[COUNT], const float targets[COUNT], int row)
{
    double loss = 0.0;
    for (int c = 0; c < CLASSES; c++)
        loss -= (double)targets[row * CLASSES + c] * log_share(logits + row * CLASSES, c, 1.0);
    return labels[row] < 0 ? 0.0 : loss;
}

/* Against finite differences; with weights a row's shares add up to its own. */
static void check_soft_targets(bool weighted)
{
    float logits[COUNT], targets[COUNT], prob[COUNT], loss[ROWS], diff[COUNT], weights[ROWS];
    double exact[COUNT], step = 1e-5;
    draw(logits, 3);
    draw_targets(targets);
    for (int i = 0; weighted && i < ROWS; i++) {
        weights[i] = 0.0F;
        for (int c = 0; c < CLASSES; c++) {
            targets[i * CLASSES + c] *= 0.25F + (float)c; /* the class's weight */
            weights[i] += targets[i * CLASSES + c];
        }
    }
    const struct agn__soft_targets soft = {labels, targets, weighted ? weights : NULL, ROWS, CLASSES};
    agn__soft_ce_forward(logits, &soft, prob, loss);
    agn__soft_ce_backward(prob, &soft, 0.5F, diff);
    for (int i = 0; i < COUNT; i++)
        exact[i] = (double)logits[i];
    for (int i = 0; i < COUNT; i++) {
        int row = i / CLASSES;
        expect_near((double)loss[row], soft_loss(exact, targets, row), 1e-5);
        exact[i] += step;
        double above = soft_loss(exact, targets, row);
        exact[i] -= 2.0 * step;
        double below = soft_loss(exact, targets, row);
        exact[i] += step;
        expect_near((double)diff[i], 0.5 * (above - below) / (2.0 * step), 1e-6);
    }
}

static void soft_targets(void **state)
{
    (void)state;
    check_soft_targets(false);
}

static void weighted_targets(void **state)
{
    (void)state;
    check_soft_targets(true);
}

/* ---- distillation ------------------------------------------------------------------- */

static double divergence(const double *student, const double *teacher, double temperature)
{
    double loss = 0.0;
    for (int i = 0; i < COUNT; i++) {
        const double *q = student + i / CLASSES * CLASSES, *p = teacher + i / CLASSES * CLASSES;
        double log_p = log_share(p, i % CLASSES, temperature), log_q = log_share(q, i % CLASSES, temperature);
        loss += temperature * temperature * exp(log_p) * (log_p - log_q);
    }
    return loss;
}

static void distillation_gradient(void **state)
{
    (void)state;
    static const double temperatures[] = {0.5, 1.0, 4.0};
    float student[COUNT], teacher[COUNT], diff[COUNT];
    double q[COUNT], p[COUNT], step = 1e-5;
    draw(student, 4);
    draw(teacher, 5);
    for (int i = 0; i < COUNT; i++) {
        q[i] = (double)student[i];
        p[i] = (double)teacher[i];
    }
    for (size_t t = 0; t < AGN_COUNT_OF(temperatures); t++) {
        for (int i = 0; i < COUNT; i++)
            diff[i] = 7.0F; /* is added to */
        double loss = agn__distil(student, teacher, ROWS, CLASSES, temperatures[t], 0.25, diff);
        expect_near(loss, divergence(q, p, temperatures[t]), 1e-9 * loss);
        assert_true(loss > 0.1);
        for (int i = 0; i < COUNT; i++) {
            q[i] += step;
            double above = divergence(q, p, temperatures[t]);
            q[i] -= 2.0 * step;
            double below = divergence(q, p, temperatures[t]);
            q[i] += step;
            expect_near((double)diff[i] - 7.0, 0.25 * (above - below) / (2.0 * step), 1e-6);
        }
    }
}

/* Nothing is left to learn, and large logits overflow nowhere. */
static void equal_predictions(void **state)
{
    (void)state;
    float student[COUNT], teacher[COUNT], diff[COUNT] = {0};
    draw(student, 6);
    for (int i = 0; i < COUNT; i++) {
        student[i] *= 1000.0F;
        teacher[i] = student[i] + (float)(i / CLASSES); /* a shift of a row changes no prediction */
    }
    expect_near(agn__distil(student, teacher, ROWS, CLASSES, 2.0, 1.0, diff), 0.0, 1e-3);
    for (int i = 0; i < COUNT; i++)
        expect_near((double)diff[i], 0.0, 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_targets_give_the_bits_of_the_hard_loss),
        cmocka_unit_test(soft_targets),
        cmocka_unit_test(weighted_targets),
        cmocka_unit_test(distillation_gradient),
        cmocka_unit_test(equal_predictions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
