/* Channel dropout of pre-training: what is zeroed, how often, and that draws repeat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/preparation.h"

enum { BATCH = 64, POSITIONS = 6, CHANNELS = 7, KEPT = 3, SAMPLE = POSITIONS * CHANNELS };
static const struct agn_shape map = {2, 3, CHANNELS};

static struct agn_preset preset_with(double dropout, int seed)
{
    struct agn_preset preset;
    agn_preset_defaults(&preset);
    preset.reference.channel_dropout = dropout;
    preset.model.local_channels = KEPT;
    preset.train.seed = seed;
    return preset;
}

/* Drops in `count` samples of ones from position `first` of the whole batch on; returns how many samples were
 * drawn, after a look at each value. */
static int drop(const struct agn_preset *preset, int64_t step, int first, int count, bool drawn[BATCH])
{
    float features[BATCH * SAMPLE];
    struct agn__preparation p = {.preset = preset, .batch = count, .whole = BATCH, .first = first};
    int sum = 0;
    for (int i = 0; i < count * SAMPLE; i++)
        features[i] = 1.0F;
    agn__drop_channels(&p, step, map, features);
    for (int i = 0; i < count; i++) {
        const float *sample = features + (size_t)i * SAMPLE;
        drawn[i] = sample[KEPT] == 0.0F;
        sum += drawn[i];
        for (int v = 0; v < SAMPLE; v++) {
            float expected = v % CHANNELS >= KEPT && drawn[i] ? 0.0F : 1.0F;
            assert_true(sample[v] == expected);
        }
    }
    return sum;
}

static void off_is_off(void **state)
{
    (void)state;
    bool drawn[BATCH];
    const struct agn_preset preset = preset_with(0.0, 1);
    for (int step = 0; step < 20; step++)
        assert_int_equal(drop(&preset, step, 0, BATCH, drawn), 0);
}

static void the_share_is_as_asked_for(void **state)
{
    (void)state;
    static const double shares[] = {0.1, 0.5, 0.9};
    enum { STEPS = 400 };
    for (size_t s = 0; s < AGN_COUNT_OF(shares); s++) {
        const struct agn_preset preset = preset_with(shares[s], 7);
        bool drawn[BATCH];
        int sum = 0, of_first = 0;
        for (int step = 0; step < STEPS; step++) {
            sum += drop(&preset, step, 0, BATCH, drawn);
            of_first += drawn[0];
        }
        /* within 5 standard deviations of a binomial draw: 0.5 / sqrt(n) at most */
        assert_float_equal((double)sum / (STEPS * BATCH), shares[s], 0.0157);
        assert_float_equal((double)of_first / STEPS, shares[s], 0.125);
    }
}

static void draws_repeat(void **state)
{
    (void)state;
    const struct agn_preset preset = preset_with(0.4, 3), other_seed = preset_with(0.4, 4);
    bool first[BATCH], again[BATCH], next[BATCH], other[BATCH];
    drop(&preset, 11, 0, BATCH, first);
    drop(&preset, 11, 0, BATCH, again);
    drop(&preset, 12, 0, BATCH, next);
    drop(&other_seed, 11, 0, BATCH, other);
    assert_memory_equal(first, again, sizeof(first));
    assert_memory_not_equal(first, next, sizeof(first));
    assert_memory_not_equal(first, other, sizeof(first));
}

/* Several processes draw for the images that each has what one process draws for all. */
static void parts_agree_with_the_whole(void **state)
{
    (void)state;
    const struct agn_preset preset = preset_with(0.4, 3);
    bool whole[BATCH], part[BATCH];
    drop(&preset, 5, 0, BATCH, whole);
    for (int parts = 2; parts <= 4; parts *= 2) {
        int size = BATCH / parts;
        for (int i = 0; i < parts; i++) {
            drop(&preset, 5, i * size, size, part);
            assert_memory_equal(part, whole + (ptrdiff_t)i * size, (size_t)size * sizeof(part[0]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_is_off),
        cmocka_unit_test(the_share_is_as_asked_for),
        cmocka_unit_test(draws_repeat),
        cmocka_unit_test(parts_agree_with_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
