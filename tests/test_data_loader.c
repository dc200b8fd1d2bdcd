/* The loader: coverage of an epoch, reproducibility, augmentation, clean stops. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agilenn/data.h"
#include "data/augment.h"

enum { COUNT = 103, HEIGHT = 5, WIDTH = 6, CHANNELS = 3, IMAGE = HEIGHT * WIDTH * CHANNELS };

static uint8_t pixels[COUNT * IMAGE];
static uint16_t labels[COUNT];
static const struct agn_dataset dataset = {.count = COUNT,
                                           .height = HEIGHT,
                                           .width = WIDTH,
                                           .channels = CHANNELS,
                                           .classes = 7,
                                           .pixels = pixels,
                                           .labels = labels};

static const struct agn_loader_config plain = {
    .batch = 10, .seed = 11, .normalisation = {.mean = {100, 0, 50}, .std = {50.0f, 1.0f, 2.0f}}};

static int fill_dataset(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 4);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)agn_rng_u64(&rng);
    for (int i = 0; i < COUNT; i++)
        labels[i] = (uint16_t)(i % 7);
    return 0;
}

static float normalised(int image, int y, int x, int c)
{
    uint8_t value = pixels[image * IMAGE + (y * WIDTH + x) * CHANNELS + c];
    return (float)(value - plain.normalisation.mean[c]) / plain.normalisation.std[c];
}

static struct agn_loader *make_loader(const struct agn_loader_config *config)
{
    struct agn_loader *loader;
    assert_int_equal(agn_loader_create(&dataset, config, &loader), AGN_OK);
    return loader;
}

/* Runs an epoch; stores the order and a sum over all floats that depends on their places. */
static int run_epoch(struct agn_loader *loader, int epoch, int32_t order[COUNT], double *digest)
{
    assert_int_equal(agn_loader_start(loader, epoch), AGN_OK);
    struct agn_batch batch;
    int count = 0, steps = 0;
    *digest = 0;
    while (agn_loader_next(loader, &batch) == 1) {
        steps++;
        for (int i = 0; i < batch.count; i++) {
            assert_true(count < COUNT);
            assert_in_range(batch.indices[i], 0, COUNT - 1);
            assert_int_equal(batch.labels[i], batch.indices[i] % 7);
            order[count++] = batch.indices[i];
            for (int p = 0; p < IMAGE; p++)
                *digest += (double)batch.images[i * IMAGE + p] * (1 + (count * 31 + p * 7) % 101);
        }
    }
    assert_int_equal(steps, agn_loader_steps(loader));
    assert_int_equal(agn_loader_next(loader, &batch), 0); /* the end stays the end */
    return count;
}

static void plain_order_and_values(void **state)
{
    (void)state;
    struct agn_loader *loader = make_loader(&plain);
    struct agn_batch batch;
    assert_int_equal(agn_loader_next(loader, &batch), AGN_ERR_STATE);
    assert_int_equal(agn_loader_start(loader, -1), AGN_ERR_ARG);
    assert_int_equal(agn_loader_steps(loader), 11);
    assert_int_equal(agn_loader_start(loader, 0), AGN_OK);
    for (int step = 0; step < 11; step++) {
        assert_int_equal(agn_loader_next(loader, &batch), 1);
        assert_int_equal(batch.count, step < 10 ? 10 : 3);
        for (int i = 0; i < 10; i++) {
            const float *image = batch.images + i * IMAGE;
            if (i >= batch.count) {
                assert_int_equal(batch.labels[i], -1);
                for (int p = 0; p < IMAGE; p++)
                    assert_true(image[p] == 0.0f);
                continue;
            }
            assert_int_equal(batch.indices[i], step * 10 + i);
            for (int p = 0; p < IMAGE; p++)
                assert_true(image[p] == normalised(step * 10 + i, p / CHANNELS / WIDTH, p / CHANNELS % WIDTH,
                                                   p % CHANNELS));
        }
    }
    assert_int_equal(agn_loader_next(loader, &batch), 0);
    assert_true(agn_loader_stall_s(loader) >= 0.0);
    agn_loader_free(loader);
    agn_loader_free(NULL);
}

static void each_epoch_covers_each_image_once(void **state)
{
    (void)state;
    struct agn_loader_config config = plain;
    config.shuffle = true;
    struct agn_loader *loader = make_loader(&config);
    int32_t orders[3][COUNT];
    double digest;
    for (int epoch = 0; epoch < 3; epoch++) {
        assert_int_equal(run_epoch(loader, epoch, orders[epoch], &digest), COUNT);
        int seen[COUNT] = {0};
        for (int i = 0; i < COUNT; i++)
            seen[orders[epoch][i]]++;
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(seen[i], 1);
    }
    assert_memory_not_equal(orders[0], orders[1], sizeof orders[0]);
    assert_memory_not_equal(orders[1], orders[2], sizeof orders[0]);
    agn_loader_free(loader);
}

static void shuffle_is_even(void **state)
{
    (void)state;
    struct agn_loader_config config = plain;
    config.shuffle = true;
    config.batch = COUNT;
    struct agn_loader *loader = make_loader(&config);
    /* How often an image lands in the first half: 400 epochs, expectation 200, deviation 10. */
    int in_first_half[COUNT] = {0};
    struct agn_batch batch;
    for (int epoch = 0; epoch < 400; epoch++) {
        assert_int_equal(agn_loader_start(loader, epoch), AGN_OK);
        assert_int_equal(agn_loader_next(loader, &batch), 1);
        for (int i = 0; i < COUNT / 2; i++)
            in_first_half[batch.indices[i]]++;
    }
    for (int i = 0; i < COUNT; i++)
        assert_in_range(in_first_half[i], 150, 250);
    agn_loader_free(loader);
}

/* Loaders of three parts, with and without the whole batch, beside one loader of batches three times as
 * large. */
static void parts_make_the_whole(void **state)
{
    (void)state;
    enum { PARTS = 3, OWN = 7, ALL = PARTS * OWN };
    struct agn_loader_config config = plain;
    config.shuffle = config.flip = true;
    config.crop_pad = 1;
    config.batch = ALL;
    struct agn_loader *whole = make_loader(&config), *parts[PARTS];
    config.batch = OWN;
    config.parts = PARTS;
    for (int p = 0; p < PARTS; p++) {
        config.part = p;
        config.whole = p == 1;
        parts[p] = make_loader(&config);
        assert_int_equal(agn_loader_steps(parts[p]), agn_loader_steps(whole));
        assert_int_equal(agn_loader_start(parts[p], 5), AGN_OK);
    }
    assert_int_equal(agn_loader_start(whole, 5), AGN_OK);
    struct agn_batch all, own;
    for (int step = 0; agn_loader_next(whole, &all) == 1; step++) {
        int counted = 0;
        for (int p = 0; p < PARTS; p++) {
            assert_int_equal(agn_loader_next(parts[p], &own), 1);
            assert_memory_equal(own.images, all.images + p * OWN * IMAGE, OWN * IMAGE * sizeof(float));
            assert_memory_equal(own.labels, all.labels + p * OWN, OWN * sizeof(int32_t));
            assert_memory_equal(own.indices, all.indices + p * OWN, OWN * sizeof(int32_t));
            assert_true((own.whole_images != NULL) == (p == 1) && (own.whole_labels != NULL) == (p == 1));
            counted += own.count;
        }
        assert_int_equal(agn_loader_next(parts[1], &own), step + 1 < agn_loader_steps(whole) ? 1 : 0);
        assert_int_equal(agn_loader_start(parts[1], 5), AGN_OK);
        for (int i = 0; i <= step; i++)
            assert_int_equal(agn_loader_next(parts[1], &own), 1);
        assert_memory_equal(own.whole_images, all.images, ALL * IMAGE * sizeof(float));
        assert_memory_equal(own.whole_labels, all.labels, ALL * sizeof(int32_t));
        assert_int_equal(counted, all.count); /* the last batch has 19 images: 7, 7 and 5 */
    }
    for (int p = 0; p < PARTS; p++)
        agn_loader_free(parts[p]);
    agn_loader_free(whole);
}

static void drop_last_and_bad_configurations(void **state)
{
    (void)state;
    struct agn_loader_config config = plain;
    config.drop_last = true;
    struct agn_loader *loader = make_loader(&config);
    int32_t order[COUNT];
    double digest;
    assert_int_equal(agn_loader_steps(loader), 10);
    assert_int_equal(run_epoch(loader, 0, order, &digest), 100);
    agn_loader_free(loader);

    config.batch = COUNT + 1;
    assert_int_equal(agn_loader_create(&dataset, &config, &loader), AGN_ERR_ARG);
    assert_non_null(strstr(agn_error_message(), "choose a smaller batch"));
    config = plain;
    config.batch = 0;
    assert_int_equal(agn_loader_create(&dataset, &config, &loader), AGN_ERR_ARG);
    config = plain;
    config.parts = 2;
    config.part = 2;
    assert_int_equal(agn_loader_create(&dataset, &config, &loader), AGN_ERR_ARG);
    config.part = 0;
    config.batch = COUNT / 2 + 1;
    config.drop_last = true;
    assert_int_equal(agn_loader_create(&dataset, &config, &loader), AGN_ERR_ARG);
    assert_non_null(strstr(agn_error_message(), "a batch of 104 images"));
    config = plain;
    config.crop_pad = -1;
    assert_int_equal(agn_loader_create(&dataset, &config, &loader), AGN_ERR_ARG);
    config = plain;
    config.normalisation.std[2] = 0.0f;
    assert_int_equal(agn_loader_create(&dataset, &config, &loader), AGN_ERR_ARG);
    config.normalisation.std[2] = NAN;
    assert_int_equal(agn_loader_create(&dataset, &config, &loader), AGN_ERR_ARG);
}

/* Same seed and epoch, same batches: whatever came before, however slow the reader, and,
 * for each image, whatever the batch size. */
static void results_depend_on_seed_and_epoch_only(void **state)
{
    (void)state;
    struct agn_loader_config config = plain;
    config.shuffle = config.flip = true;
    config.crop_pad = 2;
    struct agn_loader *a = make_loader(&config), *b = make_loader(&config);
    int32_t order_a[COUNT], order_b[COUNT];
    double digest_a, digest_b;
    struct agn_batch batch;
    assert_int_equal(agn_loader_start(b, 9), AGN_OK); /* an epoch left unfinished, with batches ahead */
    assert_int_equal(agn_loader_next(b, &batch), 1);
    (void)nanosleep(&(struct timespec){0, 2000000}, NULL); /* for these, which nothing tells of */
    (void)run_epoch(a, 5, order_a, &digest_a);
    (void)run_epoch(b, 5, order_b, &digest_b);
    assert_memory_equal(order_a, order_b, sizeof order_a);
    assert_true(digest_a == digest_b);
    agn_loader_free(b);

    config.batch = 17;
    b = make_loader(&config);
    (void)run_epoch(b, 5, order_b, &digest_b);
    assert_memory_equal(order_a, order_b, sizeof order_a);
    assert_true(digest_a == digest_b);
    (void)run_epoch(b, 6, order_b, &digest_b);
    assert_true(digest_a != digest_b);
    agn_loader_free(b);

    config.seed++;
    b = make_loader(&config);
    (void)run_epoch(b, 5, order_b, &digest_b);
    assert_memory_not_equal(order_a, order_b, sizeof order_a);
    agn_loader_free(b);
    agn_loader_free(a);
}

static void batches_stay_valid_until_the_next(void **state)
{
    (void)state;
    struct agn_loader *loader = make_loader(&plain);
    struct agn_batch batch;
    assert_int_equal(agn_loader_start(loader, 0), AGN_OK);
    for (int step = 0; agn_loader_next(loader, &batch) == 1; step++) {
        float before = batch.images[0];
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL); /* the thread fills all it may */
        assert_true(batch.images[0] == before);
        assert_true(before == normalised(step * 10, 0, 0, 0));
    }
    agn_loader_free(loader);
}

static void stops_cleanly_at_any_time(void **state)
{
    (void)state;
    struct agn_loader_config config = plain;
    config.shuffle = true;
    for (int i = 0; i < 200; i++) {
        struct agn_loader *loader = make_loader(&config);
        struct agn_batch batch;
        if (i % 4 > 0)
            assert_int_equal(agn_loader_start(loader, i), AGN_OK);
        for (int step = 0; i % 4 > 1 && step < i % 12; step++)
            (void)agn_loader_next(loader, &batch);
        if (i % 4 == 3)
            assert_int_equal(agn_loader_start(loader, i + 1), AGN_OK);
        agn_loader_free(loader);
    }
}

/* ---- augmentation ---- */

static float expected_pixel(const struct agn__augmentation *a, int y, int x, int c)
{
    int column = a->flip ? WIDTH - 1 - x : x;
    int src_y = y + a->top - a->crop_pad, src_x = column + a->left - a->crop_pad;
    if (src_y < 0 || src_y >= HEIGHT || src_x < 0 || src_x >= WIDTH)
        return 0.0f;
    return normalised(3, src_y, src_x, c);
}

static void every_crop_and_flip_of_a_known_image(void **state)
{
    (void)state;
    struct agn__normaliser normaliser;
    agn__normaliser_init(&normaliser, &plain.normalisation);
    for (int pad = 0; pad <= 8; pad++) { /* also wider than the image */
        for (int place = 0; place < (2 * pad + 1) * (2 * pad + 1) * 2; place++) {
            struct agn__augmentation a = {pad, place / 2 / (2 * pad + 1), place / 2 % (2 * pad + 1),
                                          place % 2};
            float got[IMAGE];
            memset(got, 0xff, sizeof got); /* NaN wherever nothing is written */
            agn__augment_apply(&normaliser, &a, HEIGHT, WIDTH, CHANNELS, pixels + 3 * IMAGE, got);
            for (int p = 0; p < IMAGE; p++)
                assert_true(got[p] ==
                            expected_pixel(&a, p / CHANNELS / WIDTH, p / CHANNELS % WIDTH, p % CHANNELS));
        }
    }
}

static void grey_images_flip_too(void **state)
{
    (void)state;
    struct agn__normaliser normaliser;
    agn__normaliser_init(&normaliser, &(struct agn_normalisation){.mean = {10}, .std = {2.0f}});
    const uint8_t src[6] = {10, 12, 14, 16, 18, 20};
    float dst[6];
    agn__augment_apply(&normaliser, &(struct agn__augmentation){.flip = true}, 2, 3, 1, src, dst);
    assert_memory_equal(dst, ((float[]){2, 1, 0, 5, 4, 3}), sizeof dst);
}

static void draws_cover_all_places_evenly(void **state)
{
    (void)state;
    struct agn_loader_config config = plain;
    config.flip = true;
    config.crop_pad = 2;
    int tops[5] = {0}, lefts[5] = {0}, flips = 0;
    uint64_t key = agn__augment_key(7, 3);
    for (int i = 0; i < 10000; i++) {
        struct agn__augmentation a, again;
        agn__augment_draw(&config, key, i, &a);
        agn__augment_draw(&config, key, i, &again);
        assert_true(a.top == again.top && a.left == again.left && a.flip == again.flip);
        assert_in_range(a.top, 0, 4);
        assert_in_range(a.left, 0, 4);
        tops[a.top]++;
        lefts[a.left]++;
        flips += a.flip;
    }
    for (int i = 0; i < 5; i++) {
        assert_in_range(tops[i], 1800, 2200);
        assert_in_range(lefts[i], 1800, 2200);
    }
    assert_in_range(flips, 4800, 5200);
    assert_true(agn__augment_key(1, 2) != agn__augment_key(2, 1));
    config.flip = false;
    config.crop_pad = 0;
    struct agn__augmentation none;
    agn__augment_draw(&config, key, 0, &none);
    assert_true(none.top == 0 && none.left == 0 && !none.flip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_order_and_values),
        cmocka_unit_test(each_epoch_covers_each_image_once),
        cmocka_unit_test(shuffle_is_even),
        cmocka_unit_test(parts_make_the_whole),
        cmocka_unit_test(drop_last_and_bad_configurations),
        cmocka_unit_test(results_depend_on_seed_and_epoch_only),
        cmocka_unit_test(batches_stay_valid_until_the_next),
        cmocka_unit_test(stops_cleanly_at_any_time),
        cmocka_unit_test(every_crop_and_flip_of_a_known_image),
        cmocka_unit_test(grey_images_flip_too),
        cmocka_unit_test(draws_cover_all_places_evenly),
    };
    return cmocka_run_group_tests(tests, fill_dataset, NULL);
}
