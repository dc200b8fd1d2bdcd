/* Random numbers of src/base: known answers and the shape of the distributions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "agilenn/base.h"

/* Test vectors of the reference code: splitmix64 with seed 1234567, xoshiro256** with state 1, 2, 3, 4. */
static void known_answers(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 1234567);
    assert_true(rng.s[0] == UINT64_C(6457827717110365317));
    assert_true(rng.s[1] == UINT64_C(3203168211198807973));
    assert_true(rng.s[2] == UINT64_C(9817491932198370423));
    assert_true(rng.s[3] == UINT64_C(4593380528125082431));

    const uint64_t expected[] = {UINT64_C(11520),
                                 UINT64_C(0),
                                 UINT64_C(1509978240),
                                 UINT64_C(1215971899390074240),
                                 UINT64_C(1216172134540287360),
                                 UINT64_C(607988272756665600),
                                 UINT64_C(16172922978634559625),
                                 UINT64_C(8476171486693032832),
                                 UINT64_C(10595114339597558777),
                                 UINT64_C(2904607092377533576)};
    rng = (struct agn_rng){{1, 2, 3, 4}};
    for (size_t i = 0; i < AGN_COUNT_OF(expected); i++)
        assert_true(agn_rng_u64(&rng) == expected[i]);
}

static void below_is_bounded_and_even(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(agn_rng_below(&rng, 1), 0);
    int counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint32_t value = agn_rng_below(&rng, 7);
        assert_true(value < 7);
        counts[value]++;
    }
    double chi_square = 0;
    for (int i = 0; i < 7; i++)
        chi_square += (counts[i] - 10000.0) * (counts[i] - 10000.0) / 10000.0;
    assert_true(chi_square < 22.5); /* 6 degrees of freedom: exceeded once in 1000 seeds; the seed is fixed */

    /* A bound where a plain modulo would give the lower half of the range two thirds of the draws. */
    int lower = 0;
    for (int i = 0; i < 30000; i++)
        lower += agn_rng_below(&rng, 3u << 30) < (3u << 29);
    assert_true(abs(lower - 15000) < 400);
}

static void uniform_moments(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 2);
    double sum = 0, squares = 0;
    const int count = 100000;
    for (int i = 0; i < count; i++) {
        double value = agn_rng_uniform(&rng);
        assert_true(value >= 0.0 && value < 1.0);
        sum += value;
        squares += value * value;
    }
    assert_true(fabs(sum / count - 0.5) < 0.005);
    assert_true(fabs(squares / count - 1.0 / 3.0) < 0.005);
}

static void normal_moments(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 3);
    double sums[5] = {0};
    int within_one = 0;
    const int count = 200000;
    for (int i = 0; i < count; i++) {
        double value = agn_rng_normal(&rng), power = 1;
        assert_true(isfinite(value));
        for (int p = 1; p <= 4; p++) {
            power *= value;
            sums[p] += power;
        }
        within_one += fabs(value) < 1.0;
    }
    assert_true(fabs(sums[1] / count) < 0.01);
    assert_true(fabs(sums[2] / count - 1.0) < 0.02);
    assert_true(fabs(sums[3] / count) < 0.05);
    assert_true(fabs(sums[4] / count - 3.0) < 0.1);
    assert_true(fabs((double)within_one / count - 0.6827) < 0.005);
}

static void same_seed_same_sequence(void **state)
{
    (void)state;
    struct agn_rng a, b, c;
    agn_rng_seed(&a, 99);
    agn_rng_seed(&b, 99);
    agn_rng_seed(&c, 100);
    int differ = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t value = agn_rng_u64(&a);
        assert_true(value == agn_rng_u64(&b));
        differ += value != agn_rng_u64(&c);
    }
    assert_int_equal(differ, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),           cmocka_unit_test(below_is_bounded_and_even),
        cmocka_unit_test(uniform_moments),         cmocka_unit_test(normal_moments),
        cmocka_unit_test(same_seed_same_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
