/* Durations in buckets: the error bound, against sorted numbers, and what lies at the ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "swarm/durations.h"

enum { VALUES = 20000 };
static struct agn__durations durations;
static double values[VALUES];

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void quantiles_are_within_half_a_percent(void **state)
{
    (void)state;
    static const double shares[] = {0.0, 0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0};
    struct agn_rng rng;
    agn_rng_seed(&rng, 5);
    for (int spread = 1; spread <= 8; spread++) {
        agn__durations_clear(&durations);
        for (int i = 0; i < VALUES; i++) {
            values[i] = 1e-6 * exp(spread * fabs(agn_rng_normal(&rng)));
            agn__durations_add(&durations, values[i]);
        }
        qsort(values, VALUES, sizeof *values, compare);
        assert_int_equal(durations.count, VALUES);
        assert_true(durations.max_s >= values[VALUES - 1] && durations.max_s <= values[VALUES - 1]);
        for (size_t i = 0; i < AGN_COUNT_OF(shares); i++) {
            int rank = (int)ceil(shares[i] * VALUES);
            double exact = fmin(values[rank > 0 ? rank - 1 : 0], 4398.0); /* 2^42 ns: more counts as that */
            double got = agn__durations_quantile(&durations, shares[i]);
            assert_true(fabs(got - exact) <= 0.005 * exact + 1e-9);
            assert_true(got <= durations.max_s);
        }
    }
}

static void every_bucket_holds_its_own(void **state)
{
    (void)state;
    for (int bits = 0; bits < 42; bits++)
        for (int add = -1; add <= 1; add++) {
            double exact_ns = ldexp(1.0, bits) + add;
            if (exact_ns < 0)
                continue;
            agn__durations_clear(&durations);
            agn__durations_add(&durations, exact_ns * 1e-9);
            agn__durations_add(&durations, 1e6); /* so that the largest does not cut the middle of a bucket */
            double got_ns = agn__durations_quantile(&durations, 0.5) * 1e9;
            assert_true(fabs(got_ns - exact_ns) <= 0.004 * exact_ns + 1e-6);
        }
}

static void the_ends_are_safe(void **state)
{
    (void)state;
    agn__durations_clear(&durations);
    assert_true(isnan(agn__durations_quantile(&durations, 0.5)));
    agn__durations_add(&durations, -1.0);
    assert_true(agn__durations_quantile(&durations, 1.0) <= 0.0);
    agn__durations_add(&durations, 1e300);
    assert_int_equal(durations.count, 2);
    assert_true(agn__durations_quantile(&durations, 1.0) > 4000.0);
    assert_true(durations.max_s > 1e299);
    agn__durations_clear(&durations);
    assert_int_equal(durations.count, 0);
    agn__durations_add(&durations, 0.002);
    assert_true(fabs(agn__durations_quantile(&durations, 0.0) - 0.002) <= 0.002 * 0.004);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_half_a_percent),
        cmocka_unit_test(every_bucket_holds_its_own),
        cmocka_unit_test(the_ends_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
