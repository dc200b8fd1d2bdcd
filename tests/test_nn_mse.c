/* Mean squared error of the engine: by hand, against doubles, against finite differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "net_check.h"

enum { ROWS = 5, SIZE = 3 * 7 * 5, COUNT = ROWS * SIZE };

static void by_hand(void **state)
{
    (void)state;
    const float values[4] = {1.0F, 2.0F, -1.0F, 0.5F}, target[4] = {0.0F, 4.0F, -1.0F, 0.5F};
    float loss[2], diff[4];
    agn_mse_forward(values, target, 2, 2, 10.0F, loss);
    assert_true(loss[0] == 25.0F && loss[1] == 0.0F); /* 10 (1 + 4) / 2 */
    agn_mse_backward(values, target, 2, 2, 10.0F, diff);
    assert_true(diff[0] == 10.0F && diff[1] == -20.0F && diff[2] == 0.0F && diff[3] == 0.0F);
    agn_mse_forward(target, target, 0, 2, 10.0F, loss); /* an empty batch touches nothing */
    agn_mse_backward(target, target, 0, 2, 10.0F, diff);
    assert_true(loss[0] == 25.0F && diff[0] == 10.0F);
}

static double row_loss(const double *values, const double *target, double scale)
{
    double sum = 0.0;
    for (int j = 0; j < SIZE; j++)
        sum += scale * (values[j] - target[j]) * (values[j] - target[j]) / SIZE;
    return sum;
}

/* Rows whose length no vector divides; loss near the gradient's own finite differences. */
static void against_doubles(void **state)
{
    (void)state;
    const double scale = 0.375, step = 1e-6;
    float values[COUNT], target[COUNT], loss[ROWS], diff[COUNT];
    double wide[COUNT], wide_target[COUNT], wide_loss[ROWS], wide_diff[COUNT];
    net_check_fill(values, COUNT, 1);
    net_check_fill(target, COUNT, 2);
    for (int i = 0; i < COUNT; i++) {
        wide[i] = (double)values[i];
        wide_target[i] = (double)target[i];
    }
    for (int i = 0; i < ROWS; i++)
        wide_loss[i] = row_loss(wide + (size_t)i * SIZE, wide_target + (size_t)i * SIZE, scale);
    for (int i = 0; i < COUNT; i++) {
        size_t row = (size_t)(i / SIZE) * SIZE;
        double kept = wide[i];
        wide[i] = kept + step;
        double above = row_loss(wide + row, wide_target + row, scale);
        wide[i] = kept - step;
        double below = row_loss(wide + row, wide_target + row, scale);
        wide[i] = kept;
        wide_diff[i] = (above - below) / (2.0 * step);
    }
    for (int threads = 1; threads <= 3; threads++) {
        agn_nn_set_threads(threads);
        agn_mse_forward(values, target, ROWS, SIZE, (float)scale, loss);
        net_check_close("mse", "loss", loss, wide_loss, ROWS, 0.0, 1e-6);
        agn_mse_backward(values, target, ROWS, SIZE, (float)scale, diff);
        net_check_close("mse", "diff", diff, wide_diff, COUNT, 0.0, 1e-6);
    }
    /* In place of the values, and the same bits. */
    agn_mse_backward(values, target, ROWS, SIZE, (float)scale, values);
    assert_memory_equal(values, diff, sizeof(diff));
}

/* A sum of many squares keeps its precision, and what is no number is seen. */
static void large_and_damaged(void **state)
{
    (void)state;
    enum { MANY = 1 << 20 };
    float *values = agn_alloc(MANY, sizeof(float)), *target = agn_alloc(MANY, sizeof(float)), loss;
    assert_true(values != NULL && target != NULL);
    for (int i = 0; i < MANY; i++)
        values[i] = 1.1F;
    agn_mse_forward(values, target, 1, MANY, 1.0F, &loss);
    assert_true(fabs((double)loss - (double)1.1F * (double)1.1F) < 1e-7);
    values[77] = NAN;
    agn_mse_forward(values, target, 1, MANY, 1.0F, &loss);
    assert_true(isnan(loss));
    agn_free(values);
    agn_free(target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(against_doubles),
                                       cmocka_unit_test(large_and_damaged)};
    return cmocka_run_group_tests_name("nn mean squared error", tests, NULL, NULL);
}
