/* The exponential that vectorises, beside the C library's in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "agilenn/vector.h"

enum { POINTS = 4096 };

AGN_SIMD static void exp_all(const float *restrict x, float *restrict y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = agn__exp(x[i]);
}

/* Distance of y from exp(x) in units in the last place of floats there. */
static double error_ulp(float x, float y)
{
    int exponent;
    double right = exp((double)x);
    (void)frexp(right, &exponent);
    return fabs((double)y - right) / ldexp(1.0, exponent - 24);
}

static double worst_between(float from, float to, int points)
{
    static float x[POINTS], y[POINTS];
    double worst = 0.0;
    for (int done = 0; done < points; done += POINTS) {
        for (int i = 0; i < POINTS; i++)
            x[i] = (float)((double)from + ((double)to - (double)from) * (done + i) / (points - 1));
        exp_all(x, y, POINTS);
        for (int i = 0; i < POINTS; i++) {
            worst = fmax(worst, error_ulp(x[i], y[i]));
            worst = fmax(worst, error_ulp(x[i], agn__exp(x[i])));
        }
    }
    return worst;
}

static void exp_is_within_two_units(void **state)
{
    (void)state;
    double whole = worst_between(-87.0F, 87.0F, 256 * POINTS);
    double middle = worst_between(-1.0F, 1.0F, 64 * POINTS);
    double tiny = worst_between(-1e-6F, 1e-6F, POINTS);
    print_message("exp: at most %.3f units in the last place, %.3f near 0\n", whole, fmax(middle, tiny));
    assert_true(whole <= 2.0 && middle <= 2.0 && tiny <= 2.0);
    assert_true(agn__exp(0.0F) == 1.0F && agn__exp(-0.0F) == 1.0F);
}

static void exp_stays_finite_beyond_and_keeps_nan(void **state)
{
    (void)state;
    const float x[] = {87.0F, 88.0F, 1e30F, INFINITY, -87.0F, -88.0F, -1e30F, -INFINITY, NAN, -NAN};
    float y[10];
    exp_all(x, y, 10);
    for (int i = 0; i < 4; i++) {
        assert_true(y[i] == y[0] && y[i] > 6e37F && isfinite(y[i]));
        assert_true(y[4 + i] == y[4] && y[4 + i] > 0.0F && y[4 + i] < 2e-38F);
    }
    assert_true(isnan(y[8]) && isnan(y[9]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_two_units),
        cmocka_unit_test(exp_stays_finite_beyond_and_keeps_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
