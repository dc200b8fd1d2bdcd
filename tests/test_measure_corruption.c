/* Corruptions: stronger ones change more, the same seed gives the same images in any order and with any
 * number of threads, and what the formulas say of simple images. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/corruption.h"
#include "agilenn/nn.h"

enum { IMAGES = 24, MOST = IMAGES * 40 * 40 * 3 };

static uint8_t clean[MOST], made[MOST], again[MOST];
static uint16_t labels[IMAGES];

static struct agn_dataset images_of(int height, int width, int channels)
{
    return (struct agn_dataset){.count = IMAGES,
                                .height = height,
                                .width = width,
                                .channels = channels,
                                .classes = 1,
                                .pixels = clean,
                                .labels = labels};
}

static size_t values_of(const struct agn_dataset *data)
{
    return (size_t)data->count * (size_t)data->height * (size_t)data->width * (size_t)data->channels;
}

/* A soft hill with an edge and a texture, another one in each image and channel. */
static struct agn_dataset pictures(int height, int width, int channels)
{
    struct agn_dataset data = images_of(height, width, channels);
    uint8_t *at = clean;
    for (int i = 0; i < IMAGES; i++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                for (int c = 0; c < channels; c++) {
                    double v = (y + 0.5) / height, u = (x + 0.5) / width;
                    double hill =
                        exp(-8.0 * ((v - 0.5) * (v - 0.5) + (u - 0.3 - 0.01 * i) * (u - 0.3 - 0.01 * i)));
                    double edge = u + 0.3 * v > 0.6 + 0.01 * i ? 70.0 : 0.0;
                    *at++ =
                        (uint8_t)(20.0 + 100.0 * hill + edge + 12.0 * sin(2.0 * y + c) * cos(1.7 * x + i));
                }
    return data;
}

static struct agn_dataset flat(int height, int width, int channels, int value)
{
    struct agn_dataset data = images_of(height, width, channels);
    memset(clean, value, values_of(&data));
    return data;
}

static void corrupt(const struct agn_dataset *data, int kind, int strength, uint64_t seed, uint8_t *to)
{
    const struct agn_corruption_config config = {(enum agn_corruption)kind, strength, seed};
    if (agn_corrupt(&config, data, to) != AGN_OK)
        fail_msg("%s %d: %s", agn_corruption_name((enum agn_corruption)kind), strength, agn_error_message());
}

static double squared_error(const struct agn_dataset *data)
{
    double sum = 0.0;
    for (size_t i = 0; i < values_of(data); i++)
        sum += ((double)made[i] - clean[i]) * ((double)made[i] - clean[i]);
    return sum / (double)values_of(data);
}

static void stronger_ones_change_more(void **state)
{
    (void)state;
    static const int sizes[][3] = {{28, 28, 1}, {32, 32, 3}, {23, 37, 1}, {39, 25, 3}};
    for (size_t s = 0; s < AGN_COUNT_OF(sizes); s++) {
        struct agn_dataset data = pictures(sizes[s][0], sizes[s][1], sizes[s][2]);
        for (int kind = 0; kind < AGN_CORRUPTION_COUNT; kind++) {
            double before = 0.0;
            for (int strength = 1; strength <= AGN_CORRUPTION_STRENGTHS; strength++) {
                corrupt(&data, kind, strength, 1, made);
                double error = squared_error(&data);
                if (!(error > before))
                    fail_msg("%s on %dx%dx%d: squared error %g at strength %d, %g below",
                             agn_corruption_name(kind), data.height, data.width, data.channels, error,
                             strength, before);
                before = error;
            }
            assert_true(before > 20.0); /* or nobody would notice */
        }
    }
}

/* What an image becomes hangs on seed, kind and number only. */
static void the_same_again(void **state)
{
    (void)state;
    static const bool draws[AGN_CORRUPTION_COUNT] = {
        [AGN_CORRUPTION_NOISE] = true,   [AGN_CORRUPTION_SHOT] = true,   [AGN_CORRUPTION_MOTION] = true,
        [AGN_CORRUPTION_HAZE] = true,    [AGN_CORRUPTION_ROTATE] = true, [AGN_CORRUPTION_TRANSLATE] = true,
        [AGN_CORRUPTION_OCCLUDE] = true, [AGN_CORRUPTION_COLOUR] = true,
    };
    struct agn_dataset data = pictures(19, 27, 3);
    size_t bytes = values_of(&data), image = bytes / IMAGES;
    for (int kind = 0; kind < AGN_CORRUPTION_COUNT; kind++) {
        agn_nn_set_threads(1);
        corrupt(&data, kind, 4, 7, made);
        agn_nn_set_threads(3);
        corrupt(&data, kind, 4, 7, again);
        assert_memory_equal(made, again, bytes);
        struct agn_dataset few = data;
        few.count = 5;
        memset(again, 0, bytes);
        corrupt(&few, kind, 4, 7, again);
        assert_memory_equal(made, again, 5 * image);
        assert_int_equal(again[5 * image], 0); /* and not a byte more */
        corrupt(&data, kind, 4, 8, again);
        assert_true((memcmp(made, again, bytes) != 0) == draws[kind]);
    }
    agn_nn_set_threads(0);
    /* of equal images the numbers tell what becomes */
    for (int i = 1; i < IMAGES; i++)
        memcpy(clean + (size_t)i * image, clean, image);
    for (int kind = 0; kind < AGN_CORRUPTION_COUNT; kind++) {
        corrupt(&data, kind, 4, 7, made);
        assert_true((memcmp(made, made + image, image) != 0 || memcmp(made, made + 2 * image, image) != 0) ==
                    draws[kind]);
    }
}

static bool all_are(const struct agn_dataset *data, int value)
{
    for (size_t i = 0; i < values_of(data); i++)
        if (made[i] != value)
            return false;
    return true;
}

/* Of any size, and without a trace of what lies beyond the border. */
static void flat_images(void **state)
{
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {1, 7, 3}, {5, 1, 1}, {2, 2, 3}, {9, 31, 3}, {28, 28, 1}};
    static const int stay[] = {AGN_CORRUPTION_BLUR,     AGN_CORRUPTION_MOTION, AGN_CORRUPTION_CONTRAST,
                               AGN_CORRUPTION_PIXELATE, AGN_CORRUPTION_ROTATE, AGN_CORRUPTION_TRANSLATE,
                               AGN_CORRUPTION_OCCLUDE};
    for (size_t s = 0; s < AGN_COUNT_OF(sizes); s++)
        for (int strength = 1; strength <= AGN_CORRUPTION_STRENGTHS; strength++) {
            struct agn_dataset data = flat(sizes[s][0], sizes[s][1], sizes[s][2], 83);
            for (size_t k = 0; k < AGN_COUNT_OF(stay); k++) {
                corrupt(&data, stay[k], strength, 1, made);
                if (!all_are(&data, 83))
                    fail_msg("%s changes a flat image", agn_corruption_name((enum agn_corruption)stay[k]));
            }
            double p = agn_corruption_parameter(AGN_CORRUPTION_BRIGHTNESS, strength);
            corrupt(&data, AGN_CORRUPTION_BRIGHTNESS, strength, 1, made);
            assert_true(all_are(&data, (int)lround(fmin(83.0 + 255.0 * p, 255.0))));
            for (int kind = 0; kind < AGN_CORRUPTION_COUNT; kind++) {
                data = flat(sizes[s][0], sizes[s][1], sizes[s][2], 0);
                corrupt(&data, kind, strength, 1, made);
                bool black = kind != AGN_CORRUPTION_NOISE && kind != AGN_CORRUPTION_BRIGHTNESS &&
                             kind != AGN_CORRUPTION_JPEG; /* whose steps are coarse */
                assert_true(!black || all_are(&data, 0));
                data = flat(sizes[s][0], sizes[s][1], sizes[s][2], 255);
                corrupt(&data, kind, strength, 1, made);
            }
        }
}

static void noise_has_its_variance(void **state)
{
    (void)state;
    struct agn_dataset data = flat(40, 40, 3, 128);
    double values = (double)values_of(&data), p = agn_corruption_parameter(AGN_CORRUPTION_NOISE, 3);
    corrupt(&data, AGN_CORRUPTION_NOISE, 3, 1, made);
    double expected = 255.0 * 255.0 * p * p;
    assert_true(fabs(squared_error(&data) / expected - 1.0) < 0.03);
    double sum = 0.0;
    for (size_t i = 0; i < values_of(&data); i++)
        sum += made[i];
    assert_true(fabs(sum / values - 128.0) < 4.0 * 255.0 * p / sqrt(values));
    /* Poisson: variance v / p, exact for small means (strength 4: 6), rounded normal for large ones (1: 50)
     */
    static const int strengths[] = {1, 4};
    for (size_t s = 0; s < AGN_COUNT_OF(strengths); s++) {
        p = agn_corruption_parameter(AGN_CORRUPTION_SHOT, strengths[s]);
        corrupt(&data, AGN_CORRUPTION_SHOT, strengths[s], 1, made);
        expected = 255.0 * 128.0 / p;
        print_message("shot %d: %.1f, expected %.1f\n", strengths[s], squared_error(&data), expected);
        assert_true(fabs(squared_error(&data) / expected - 1.0) < 0.05); /* little is cut at 0 and 1 */
    }
}

/* By hand: 5x5 pixels of which strength 3 (0.45) makes 2 blocks a side, of 3 and 2 pixels. */
static void pixelate_by_hand(void **state)
{
    (void)state;
    struct agn_dataset data = images_of(5, 5, 1);
    for (size_t i = 0; i < values_of(&data); i++)
        clean[i] = (uint8_t)(i % 25 * 10);
    corrupt(&data, AGN_CORRUPTION_PIXELATE, 3, 1, made);
    static const uint8_t expected[25] = {60, 60, 60,  85,  85,  60,  60,  60,  85,  85,  60,  60, 60,
                                         85, 85, 185, 185, 185, 210, 210, 185, 185, 185, 210, 210};
    assert_memory_equal(made, expected, sizeof expected);
}

static void contrast_by_hand(void **state)
{
    (void)state;
    struct agn_dataset data = images_of(1, 2, 3);
    static const uint8_t two[6] = {0, 100, 20, 200, 100, 40};
    for (int i = 0; i < IMAGES; i++)
        memcpy(clean + 6 * i, two, sizeof two);
    corrupt(&data, AGN_CORRUPTION_CONTRAST, 2, 1, made); /* 0.5 */
    static const uint8_t expected[6] = {50, 100, 25, 150, 100, 35};
    assert_memory_equal(made, expected, sizeof expected);
}

/* One square of the image's mean, wherever it is, and it is somewhere else in other images. */
static void a_square_is_covered(void **state)
{
    (void)state;
    struct agn_dataset data = images_of(20, 30, 1);
    bool moved = false;
    int first_top = -1;
    for (size_t i = 0; i < values_of(&data); i++)
        clean[i] = i % 2 ? 100 : 0;
    corrupt(&data, AGN_CORRUPTION_OCCLUDE, 3, 5, made); /* round(0.35 * 20) = 7 */
    for (int i = 0; i < IMAGES; i++) {
        int top = 20, bottom = -1, left = 30, right = -1, covered = 0;
        for (int y = 0; y < 20; y++)
            for (int x = 0; x < 30; x++)
                if (made[(i * 20 + y) * 30 + x] == 50) {
                    covered++;
                    top = y < top ? y : top;
                    bottom = y;
                    left = x < left ? x : left;
                    right = x > right ? x : right;
                }
        assert_int_equal(covered, 49);
        assert_int_equal(bottom - top, 6);
        assert_int_equal(right - left, 6);
        moved = moved || (first_top >= 0 && top != first_top);
        first_top = first_top < 0 ? top : first_top;
    }
    assert_true(moved);
}

/* Grey images have one gamma or its inverse; both come. Colours: a cast, whose exponents add up to 0. */
static void colour_is_cast(void **state)
{
    (void)state;
    struct agn_dataset data = flat(2, 2, 1, 64);
    int darker = (int)lround(255.0 * pow(64 / 255.0, exp2(0.6))),
        lighter = (int)lround(255.0 * pow(64 / 255.0, exp2(-0.6)));
    int counts[2] = {0, 0};
    corrupt(&data, AGN_CORRUPTION_COLOUR, 3, 1, made);
    for (int i = 0; i < IMAGES; i++) {
        assert_true(made[4 * i] == darker || made[4 * i] == lighter);
        counts[made[4 * i] == lighter]++;
    }
    assert_true(counts[0] > 3 && counts[1] > 3);
    data = flat(2, 2, 3, 90);
    corrupt(&data, AGN_CORRUPTION_COLOUR, 3, 1, made);
    for (int i = 0; i < IMAGES; i++) {
        const uint8_t *rgb = made + 12 * i;
        double exponents[3], sum = 0.0;
        for (int c = 0; c < 3; c++) {
            exponents[c] = log2(rgb[c] / 90.0);
            sum += exponents[c];
            assert_true(fabs(exponents[c]) < 0.62);
        }
        assert_true(fabs(sum) < 0.05 && rgb[0] != rgb[1]);
    }
}

/* Against the definition: a point becomes the Gaussian, which is cut at three deviations. */
static void a_point_is_blurred(void **state)
{
    (void)state;
    struct agn_dataset data = flat(31, 33, 1, 0);
    for (int i = 0; i < IMAGES; i++)
        clean[(i * 31 + 15) * 33 + 16] = 255;
    corrupt(&data, AGN_CORRUPTION_BLUR, 3, 1, made);
    double deviation = 0.045 * 31, total = 0.0;
    int reach = (int)ceil(3.0 * deviation);
    for (int i = -reach; i <= reach; i++)
        total += exp(-0.5 * i * i / (deviation * deviation));
    for (int y = 0; y < 31; y++)
        for (int x = 0; x < 33; x++) {
            int dy = y - 15, dx = x - 16;
            bool within = abs(dy) <= reach && abs(dx) <= reach;
            double weight =
                within ? exp(-0.5 * (dy * dy + dx * dx) / (deviation * deviation)) / (total * total) : 0.0;
            assert_true(abs(made[y * 33 + x] - (int)lround(255.0 * weight)) <= 1);
        }
}

/* Where a picture goes: the middle stays under rotation, and a translated one is as far away as is said. */
static void pictures_move(void **state)
{
    (void)state;
    struct agn_dataset data = flat(33, 33, 1, 0);
    for (int i = 0; i < IMAGES; i++)
        clean[(i * 33 + 16) * 33 + 16] = 255;
    corrupt(&data, AGN_CORRUPTION_ROTATE, 5, 1, made);
    for (int i = 0; i < IMAGES; i++)
        assert_int_equal(made[(i * 33 + 16) * 33 + 16], 255);
    corrupt(&data, AGN_CORRUPTION_TRANSLATE, 5, 1, made);
    for (int i = 0; i < IMAGES; i++) {
        double mass = 0.0, at_y = 0.0, at_x = 0.0;
        for (int y = 0; y < 33; y++)
            for (int x = 0; x < 33; x++) {
                double value = made[(i * 33 + y) * 33 + x];
                mass += value;
                at_y += value * y;
                at_x += value * x;
            }
        double distance = hypot(at_y / mass - 16.0, at_x / mass - 16.0);
        assert_true(fabs(distance - 0.23 * 33) < 0.05 && fabs(mass - 255.0) < 4.0);
    }
}

static void refusals(void **state)
{
    (void)state;
    struct agn_dataset data = flat(4, 4, 1, 7);
    struct agn_corruption_config config = {AGN_CORRUPTION_BLUR, 1, 1};
    made[0] = 99;
    config.strength = 0;
    assert_int_equal(agn_corrupt(&config, &data, made), AGN_ERR_RANGE);
    config.strength = 6;
    assert_int_equal(agn_corrupt(&config, &data, made), AGN_ERR_RANGE);
    config.strength = 1;
    config.kind = AGN_CORRUPTION_COUNT;
    assert_int_equal(agn_corrupt(&config, &data, made), AGN_ERR_RANGE);
    config.kind = AGN_CORRUPTION_BLUR;
    data.channels = 2;
    assert_int_equal(agn_corrupt(&config, &data, made), AGN_ERR_RANGE);
    assert_non_null(strstr(agn_error_message(), "1 or 3 channels"));
    data = flat(4, 4, 1, 7);
    data.width = 1025;
    assert_int_equal(agn_corrupt(&config, &data, made), AGN_ERR_RANGE);
    assert_int_equal(made[0], 99);
    data = flat(4, 4, 1, 7);
    data.count = 0;
    assert_int_equal(agn_corrupt(&config, &data, made), AGN_OK);
    assert_int_equal(made[0], 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stronger_ones_change_more),
        cmocka_unit_test(the_same_again),
        cmocka_unit_test(flat_images),
        cmocka_unit_test(noise_has_its_variance),
        cmocka_unit_test(pixelate_by_hand),
        cmocka_unit_test(contrast_by_hand),
        cmocka_unit_test(a_square_is_covered),
        cmocka_unit_test(colour_is_cast),
        cmocka_unit_test(a_point_is_blurred),
        cmocka_unit_test(pictures_move),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
