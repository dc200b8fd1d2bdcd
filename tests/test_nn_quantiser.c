/* agn_quantise: the nearest of 8 centroids. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/nn.h"

static const float centroids[AGN_LEVELS] = {0.0F, 0.25F, 0.75F, 1.5F, 2.0F, 3.0F, 4.5F, 5.75F};

static void expect(float x, int symbol)
{
    uint8_t got = 99;
    float value = -1.0F;
    agn_quantise(centroids, &x, 1, &got, &value);
    if (got != symbol || value != centroids[symbol])
        fail_msg("%g became symbol %d, value %g; expected symbol %d", (double)x, got, (double)value, symbol);
}

static void known_values(void **state)
{
    (void)state;
    for (int level = 0; level < AGN_LEVELS; level++)
        expect(centroids[level], level);
    expect(-0.0F, 0);
    expect(-3.0F, 0);
    expect(-1e30F, 0);
    expect(-INFINITY, 0);
    expect(5.2F, 7);
    expect(6.0F, 7);
    expect(17.5F, 7);
    expect(INFINITY, 7);
    expect(1.0F, 2);
    expect(3.74F, 5);
    expect(3.76F, 6);
}

/* Half-way between two centroids: the lower one; the next float above: the upper one. */
static void ties(void **state)
{
    (void)state;
    for (int level = 1; level < AGN_LEVELS; level++) {
        float middle = 0.5F * (centroids[level - 1] + centroids[level]); /* exact for these centroids */
        expect(middle, level - 1);
        expect(nextafterf(middle, 10.0F), level);
        expect(nextafterf(middle, -10.0F), level - 1);
    }
}

enum { COUNT = 20001 }; /* not a multiple of any block size */

static float values[COUNT], quantised[COUNT], again[COUNT];
static uint8_t symbols[COUNT];

/* Against a search for the smallest distance, in double; either output may be left out. */
static void many_values(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 4);
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(8.0 * agn_rng_uniform(&rng) - 1.0);
    agn_quantise(centroids, values, COUNT, symbols, quantised);
    agn_quantise(centroids, values, COUNT, NULL, again);
    assert_memory_equal(quantised, again, sizeof(again));
    for (int i = 0; i < COUNT; i++) {
        double got = fabs((double)values[i] - (double)quantised[i]);
        assert_true(symbols[i] < AGN_LEVELS && quantised[i] == centroids[symbols[i]]);
        for (int level = 0; level < AGN_LEVELS; level++)
            assert_true(got <= fabs((double)values[i] - (double)centroids[level]));
    }
    static uint8_t only_symbols[COUNT];
    agn_quantise(centroids, values, COUNT, only_symbols, NULL);
    assert_memory_equal(symbols, only_symbols, sizeof(symbols));
    agn_quantise(centroids, values, 0, NULL, NULL);
    memcpy(again, values, sizeof(again));
    agn_quantise(centroids, again, COUNT, NULL, again); /* in place */
    assert_memory_equal(quantised, again, sizeof(again));
}

/* Collapsed centroids: the value is right whichever symbol stands for it. */
static void equal_centroids(void **state)
{
    (void)state;
    static const float collapsed[AGN_LEVELS] = {0.0F, 0.0F, 1.0F, 1.0F, 1.0F, 2.0F, 2.0F, 2.0F};
    static const float src[] = {-1.0F, 0.2F, 0.7F, 1.2F, 1.7F, 9.0F},
                       expected[] = {0.0F, 0.0F, 1.0F, 1.0F, 2.0F, 2.0F};
    float dst[6];
    uint8_t symbol[6];
    agn_quantise(collapsed, src, 6, symbol, dst);
    for (int i = 0; i < 6; i++)
        assert_true(dst[i] == expected[i] && collapsed[symbol[i]] == expected[i]);
}

int main(void)
{
    agn_nn_set_threads(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_values), cmocka_unit_test(ties),
                                       cmocka_unit_test(many_values), cmocka_unit_test(equal_centroids)};
    return cmocka_run_group_tests_name("nn quantiser", tests, NULL, NULL);
}
