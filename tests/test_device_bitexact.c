/* device/ against tests/support/naive_device.c: the same bits for local logits, symbols and
 * packets, on random models, images, row groups and datagram sizes; and what arrives decodes
 * to the same symbols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/naive_device.h"
#include "support/random_model.h"

struct bench {
    struct random_model random;
    uint8_t *file, *image;
    size_t file_bytes;
    void *arena;
    size_t arena_bytes;
    struct agn_dev dev;
    struct naive_result expected;
};

static void bench_open(struct bench *bench, struct agn_rng *rng, enum random_style style, int max_side,
                       int max_channels)
{
    random_model_make(&bench->random, rng, style, max_side, max_channels);
    int status = agn_model_agn_write(&bench->random.model, &bench->file, &bench->file_bytes);
    if (status < 0)
        fail_msg("%s", agn_error_message());
    struct agn_dev_model model;
    assert_int_equal(agn_dev_model_open(&model, bench->file, bench->file_bytes), 0);
    bench->arena_bytes = agn_dev_arena_bytes(&model);
    /* malloc, not agn_alloc: nothing may rely on a cleared arena, and ASan guards its ends. */
    bench->arena = malloc(bench->arena_bytes);
    assert_non_null(bench->arena);
    memset(bench->arena, 0xA5, bench->arena_bytes);
    assert_int_equal(
        agn_dev_init(&bench->dev, bench->file, bench->file_bytes, bench->arena, bench->arena_bytes), 0);
}

static void bench_close(struct bench *bench)
{
    random_model_free(&bench->random);
    agn_free(bench->file);
    free(bench->arena);
}

static void push_in_groups(struct bench *bench, struct agn_rng *rng)
{
    const struct agn_model_agn *model = &bench->random.model;
    size_t row_bytes = (size_t)model->input_w * (size_t)model->input_c;
    for (unsigned row = 0, rows = (unsigned)model->input_h; row < rows;) {
        assert_null(agn_dev_local(&bench->dev));
        unsigned group = agn_rng_below(rng, 5);
        if (group > rows - row)
            group = rows - row;
        assert_int_equal(agn_dev_push_rows(&bench->dev, bench->image + row * row_bytes, group), 0);
        row += group;
    }
}

static void check_logits_and_symbols(struct bench *bench)
{
    const struct naive_result *expected = &bench->expected;
    const int16_t *local = agn_dev_local(&bench->dev);
    assert_non_null(local);
    assert_memory_equal(local, expected->local, (size_t)bench->random.model.classes * sizeof *local);
    for (int c = 0; c < expected->sent_c; c++)
        for (int y = 0; y < expected->map_h; y++)
            for (int x = 0; x < expected->map_w; x++)
                if (agn_dev_symbol(&bench->dev, (unsigned)c, (unsigned)y, (unsigned)x) !=
                    expected->symbols[(c * expected->map_h + y) * expected->map_w + x])
                    fail_msg("symbol of channel %d at row %d, column %d differs", c, y, x);
}

/* The receiver's view: all packets together give back all symbols. */
static void check_decoding(const struct bench *bench, const struct naive_packet *packets, int count)
{
    const struct naive_result *expected = &bench->expected;
    size_t symbols = (size_t)(expected->sent_c * expected->map_h * expected->map_w);
    uint8_t *map = malloc(symbols);
    assert_non_null(map);
    memset(map, 0xFF, symbols);
    struct agn_map_shape shape = {(uint8_t)expected->sent_c, (uint8_t)expected->map_h,
                                  (uint8_t)expected->map_w};
    for (int i = 0; i < count; i++) {
        struct agn_feature_packet packet;
        assert_int_equal(agn_feature_unpack(packets[i].bytes, packets[i].length, &packet), 0);
        assert_int_equal(agn_feature_decode(&packet, &shape, &bench->dev.model.contexts, map), 0);
        assert_int_equal(packet.last, i == count - 1);
    }
    assert_memory_equal(map, expected->symbols, symbols);
    free(map);
}

/* Returns how many packets the frame took, -1 if the datagram was too small for it. */
static int check_packets(struct bench *bench, uint16_t frame, size_t cap)
{
    static struct naive_packet expected[256];
    int made = 0;
    int count = naive_packets(&bench->random.model, &bench->expected, frame, (uint16_t)(frame ^ 7), cap,
                              expected, &made);
    uint8_t *packet = malloc(cap); /* exactly cap, so that ASan sees a byte too many */
    assert_non_null(packet);
    for (int i = 0; i < made; i++) {
        int length = agn_dev_next_packet(&bench->dev, packet, cap);
        assert_int_equal(length, expected[i].length);
        assert_memory_equal(packet, expected[i].bytes, expected[i].length);
    }
    assert_int_equal(agn_dev_next_packet(&bench->dev, packet, cap), count < 0 ? AGN_ERR_SPACE : 0);
    free(packet);
    if (count >= 0)
        check_decoding(bench, expected, count);
    return count;
}

static void check_fusion(struct bench *bench, uint16_t frame, struct agn_rng *rng)
{
    const struct agn_model_agn *model = &bench->random.model;
    int16_t *remote = malloc((size_t)model->classes * sizeof *remote);
    uint8_t *reply_bytes = malloc(AGN_REPLY_BYTES(model->classes));
    assert_non_null(remote);
    assert_non_null(reply_bytes);
    for (int i = 0; i < model->classes; i++) /* few values, so that ties happen */
        remote[i] = (int16_t)((int)agn_rng_below(rng, 5) * 16383 - 32768);
    uint8_t missing = (uint8_t)agn_rng_below(rng, (uint32_t)(bench->random.map_c - model->local_c) + 1);
    struct agn_reply_packet reply = {
        model->model_id, frame, AGN_REPLY_OK, missing, (uint16_t)model->classes, NULL, 0};
    int length = agn_reply_pack(&reply, remote, reply_bytes, AGN_REPLY_BYTES(model->classes));
    assert_int_equal(length, AGN_REPLY_BYTES(model->classes));
    assert_int_equal(agn_dev_accept_reply(&bench->dev, reply_bytes, (size_t)length), 0);

    struct agn_dev_prediction prediction;
    assert_int_equal(agn_dev_predict(&bench->dev, &prediction), 0);
    int best = 0;
    int64_t best_sum = INT64_MIN;
    for (int i = 0; i < model->classes; i++) {
        int64_t sum = (int64_t)model->alpha_q15 * bench->expected.local[i] +
                      (int64_t)(32768 - model->alpha_q15) * remote[i];
        if (sum > best_sum) {
            best_sum = sum;
            best = i;
        }
        assert_int_equal(prediction.logits[i], naive_requantise(sum, 1, 15));
    }
    assert_int_equal(prediction.class_index, best);
    assert_int_equal(prediction.fused, 1);
    assert_int_equal(prediction.channels_missing, missing);
    free(remote);
    free(reply_bytes);
}

static void run_models(uint64_t seed, int models, enum random_style style, int max_side, int max_channels)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    int bands = 0, several = 0, coded[AGN_CODEC_COUNT] = {0};
    for (int i = 0; i < models; i++) {
        struct bench bench;
        bench_open(&bench, &rng, style, max_side, max_channels);
        coded[bench.random.model.codec]++;
        for (int frame = 0; frame < 2; frame++) {
            bench.image = random_image(&bench.random.model, &rng);
            naive_run(&bench.random.model, bench.image, &bench.expected);
            uint16_t number = (uint16_t)(65535 + frame);
            assert_int_equal(agn_dev_frame_begin(&bench.dev, number, (uint16_t)(number ^ 7)), 0);
            push_in_groups(&bench, &rng);
            check_logits_and_symbols(&bench);
            size_t cap = agn_rng_below(&rng, 2) ? AGN_WIRE_MAX_PACKET + agn_rng_below(&rng, 2)
                                                : 21 + agn_rng_below(&rng, 80);
            int count = check_packets(&bench, number, cap);
            bands += count > bench.expected.sent_c;
            several += count > 1;
            if (count > 0)
                check_fusion(&bench, number, &rng);
            naive_free(&bench.expected);
            agn_free(bench.image);
        }
        bench_close(&bench);
    }
    /* The cases that matter did happen: frames of several packets, channels cut into bands. */
    print_message("%d models: %d frames of several packets, %d with bands\n", models, several, bands);
    assert_true(several > models / 10);
    assert_true(bands > models / 50);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++)
        assert_true(coded[codec] > models / 20);
}

static void usual_models(void **state)
{
    (void)state;
    run_models(11, 600, RANDOM_USUAL, 24, 12);
}

static void extreme_models(void **state)
{
    (void)state;
    run_models(12, 400, RANDOM_EXTREME, 20, 10);
}

static void larger_models(void **state)
{
    (void)state;
    run_models(13, 20, RANDOM_USUAL, 72, 24);
}

static void separable_models(void **state)
{
    (void)state;
    run_models(15, 300, RANDOM_SEPARABLE, 48, 12);
}

static void requantisation_is_the_64_bit_rule(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 14);
    const int32_t edges[] = {INT32_MIN, INT32_MIN + 1, -65536,        -2,       -1, 0, 1,
                             2,         65535,         INT32_MAX - 1, INT32_MAX};
    for (unsigned shift = AGN_DEV_MIN_SHIFT; shift <= AGN_DEV_MAX_SHIFT; shift++) {
        for (size_t i = 0; i < AGN_COUNT_OF(edges); i++)
            for (size_t j = 0; j < AGN_COUNT_OF(edges); j++)
                if (edges[j] >= 0)
                    assert_int_equal(agn_requantise(edges[i], edges[j], shift),
                                     naive_requantise(edges[i], edges[j], shift));
        for (int i = 0; i < 2000; i++) {
            int32_t acc = (int32_t)((int64_t)agn_rng_below(&rng, UINT32_MAX) + INT32_MIN);
            int32_t multiplier = (int32_t)agn_rng_below(&rng, UINT32_C(1) << 31);
            assert_int_equal(agn_requantise(acc, multiplier, shift),
                             naive_requantise(acc, multiplier, shift));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requantisation_is_the_64_bit_rule),
        cmocka_unit_test(usual_models),
        cmocka_unit_test(extreme_models),
        cmocka_unit_test(larger_models),
        cmocka_unit_test(separable_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
