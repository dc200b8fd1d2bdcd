/* Networks with branches on the device (agn_graph.c) against tests/support/naive_device.c: the same bits for
 * answers, symbols and packets, on random networks; and files with one byte changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agn_graph.h"
#include "support/naive_device.h"
#include "support/random_model.h"

struct device {
    struct random_model random;
    uint8_t *file;
    size_t file_bytes;
    void *arena;
    struct agn_dev dev;
};

static void device_open(struct device *d, struct agn_rng *rng, enum random_style style, int layers,
                        int max_side, int max_channels)
{
    random_graph_make(&d->random, rng, style, layers, max_side, max_channels);
    if (agn_model_agn_write(&d->random.model, &d->file, &d->file_bytes) < 0)
        fail_msg("%s", agn_error_message());
    struct agn_dev_model model;
    assert_int_equal(agn_dev_model_open(&model, d->file, d->file_bytes), 0);
    size_t bytes = agn_dev_arena_bytes(&model);
    d->arena = malloc(bytes); /* exactly as much, so that ASan guards its end */
    assert_non_null(d->arena);
    memset(d->arena, 0xA5, bytes);
    assert_int_equal(agn_dev_init(&d->dev, d->file, d->file_bytes, d->arena, bytes), 0);
}

static void device_close(struct device *d)
{
    random_model_free(&d->random);
    agn_free(d->file);
    free(d->arena);
}

static void push(struct device *d, const uint8_t *image)
{
    size_t row_bytes = (size_t)d->random.model.input_w * (size_t)d->random.model.input_c;
    for (int y = 0; y < d->random.model.input_h; y++)
        assert_int_equal(agn_dev_push_rows(&d->dev, image + (size_t)y * row_bytes, 1), 0);
}

static void check_symbols(const struct device *d, const struct naive_result *expected)
{
    for (int c = 0; c < expected->sent_c; c++)
        for (int y = 0; y < expected->map_h; y++)
            for (int x = 0; x < expected->map_w; x++)
                if (agn_dev_symbol(&d->dev, (unsigned)c, (unsigned)y, (unsigned)x) !=
                    expected->symbols[(c * expected->map_h + y) * expected->map_w + x])
                    fail_msg("symbol of channel %d at row %d, column %d differs", c, y, x);
}

static void check_packets(struct device *d, const struct naive_result *expected)
{
    static struct naive_packet packets[256];
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int made = 0, length;
    if (expected->sent_c > 0 && !expected->left_early)
        naive_packets(&d->random.model, expected, 7, 0, sizeof packet, packets, &made);
    for (int i = 0; i < made; i++) {
        length = agn_dev_next_packet(&d->dev, packet, sizeof packet);
        assert_int_equal(length, packets[i].length);
        assert_memory_equal(packet, packets[i].bytes, packets[i].length);
    }
    assert_int_equal(agn_dev_next_packet(&d->dev, packet, sizeof packet), 0);
}

struct seen {
    int early, sums, segments, sent, values;
};

static void run_frame(struct device *d, struct agn_rng *rng, struct seen *seen)
{
    uint8_t *image = random_image(&d->random.model, rng);
    struct naive_result expected;
    naive_run(&d->random.model, image, &expected);
    assert_int_equal(agn_dev_frame_begin(&d->dev, 7, 0), 0);
    push(d, image);
    const int16_t *local = agn_dev_local(&d->dev);
    assert_non_null(local);
    assert_memory_equal(local, expected.local, (size_t)d->random.model.classes * sizeof *local);
    assert_int_equal(agn_dev_is_sure(&d->dev), expected.left_early);
    if (!expected.left_early)
        check_symbols(d, &expected);
    check_packets(d, &expected);
    struct agn_dev_prediction prediction;
    assert_int_equal(agn_dev_predict(&d->dev, &prediction),
                     d->random.model.head_count > 0 ? 0 : AGN_ERR_TIMEOUT);
    seen->early += expected.left_early;
    seen->sent += expected.sent_c > 0 && !expected.left_early;
    seen->values += d->random.model.value_bits > 0 && !expected.left_early;
    naive_free(&expected);
    agn_free(image);
}

static void run_graphs(uint64_t seed, int graphs, enum random_style style, int max_layers, int max_side,
                       int max_channels)
{
    struct agn_rng rng;
    struct seen seen = {0};
    agn_rng_seed(&rng, seed);
    for (int i = 0; i < graphs; i++) {
        struct device d;
        int layers = 1 + (int)agn_rng_below(&rng, (uint32_t)max_layers);
        device_open(&d, &rng, style, layers, max_side, max_channels);
        for (int l = 0; l < layers; l++)
            seen.sums += d.random.layers[l].kind == AGN_LAYER_ADD;
        seen.segments += agn__graph_record(&d.dev.model, (unsigned)layers - 1)[AGN__GRAPH_SEGMENT] > 0;
        run_frame(&d, &rng, &seen);
        run_frame(&d, &rng, &seen);
        device_close(&d);
    }
    print_message(
        "%d networks: %d sums, %d of several segments, %d frames left early, %d sent, %d as values\n", graphs,
        seen.sums, seen.segments, seen.early, seen.sent, seen.values);
    /* What matters did happen. */
    assert_true(seen.sums > graphs / 10 && seen.segments > graphs / 10 && seen.early > graphs / 20 &&
                seen.sent > graphs / 4 && seen.values > graphs / 8);
}

static void small_networks(void **state)
{
    (void)state;
    run_graphs(21, 600, RANDOM_USUAL, 10, 20, 12);
}

static void extreme_networks(void **state)
{
    (void)state;
    run_graphs(22, 400, RANDOM_EXTREME, 10, 16, 10);
}

static void deep_networks(void **state)
{
    (void)state;
    run_graphs(23, 60, RANDOM_USUAL, AGN_DEV_MAX_GRAPH_LAYERS, 24, 12);
}

static void wide_networks(void **state)
{
    (void)state;
    run_graphs(24, 20, RANDOM_USUAL, 6, 12, 400);
}

/* The integer rule against the softmax itself. */
static void softmax_rule_is_exact_enough(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 27);
    for (int i = 0; i < 20000; i++) {
        int16_t logits[1000];
        int classes = i % 100 == 0 ? 1000 : 1 + (int)agn_rng_below(&rng, 20);
        uint32_t spread = 1 + agn_rng_below(&rng, i % 7 == 0 ? 65535 : 3000);
        double sum = 0.0, best = -INFINITY;
        for (int c = 0; c < classes; c++) {
            logits[c] = (int16_t)((int)agn_rng_below(&rng, spread) - (int)spread / 2);
            best = fmax(best, logits[c]);
        }
        for (int c = 0; c < classes; c++)
            sum += exp((logits[c] - best) / 256.0);
        /* Each of `classes` terms may be a few units off. */
        double softmax = 1.0 / sum, near = 2e-4 * (1.0 + classes * softmax);
        int threshold = 1 + (int)agn_rng_below(&rng, 32767);
        if (fabs(softmax - threshold / 32768.0) > near)
            assert_int_equal(agn__softmax_reaches(logits, (unsigned)classes, (unsigned)threshold),
                             softmax > threshold / 32768.0);
    }
}

/* ---- files that lie -------------------------------------------------------------------------------- */

/* A model may be refused, or run; it must not read or write beyond what it may (ASan sees that). */
static void run_as_it_is(const uint8_t *file, size_t file_bytes, const uint8_t *image)
{
    struct agn_dev_model model;
    struct agn_dev dev;
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    if (agn_dev_model_open(&model, file, file_bytes) < 0)
        return;
    uint32_t bytes = agn_dev_arena_bytes(&model);
    void *arena = malloc(bytes);
    assert_non_null(arena);
    assert_int_equal(agn_dev_init(&dev, file, file_bytes, arena, bytes), 0);
    agn_dev_frame_begin(&dev, 1, 0);
    agn_dev_push_rows(&dev, image, model.input_h);
    while (agn_dev_next_packet(&dev, packet, sizeof packet) > 0)
        ;
    free(arena);
}

static void changed_files_do_no_harm(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 25);
    for (int i = 0; i < 40; i++) {
        struct device d;
        device_open(&d, &rng, RANDOM_USUAL, 8, 10, 6);
        uint8_t *image =
            calloc(1, 1U << 16); /* for whatever size the file claims then: what is open is small */
        assert_non_null(image);
        size_t records = AGN_MODEL_HEADER_BYTES + 8U * AGN__GRAPH_LAYER_BYTES + 4U * AGN__GRAPH_HEAD_BYTES;
        for (int change = 0; change < 400; change++) {
            size_t at = agn_rng_below(&rng, (uint32_t)(records < d.file_bytes ? records : d.file_bytes));
            uint8_t before = d.file[at];
            d.file[at] = (uint8_t)(agn_rng_below(&rng, 2) ? agn_rng_below(&rng, 256)
                                                          : before ^ 1U << agn_rng_below(&rng, 8));
            agn__store_u32(d.file + d.file_bytes - 4, agn_crc32(0, d.file, d.file_bytes - 4));
            struct agn_dev_model model;
            if (agn_dev_model_open(&model, d.file, d.file_bytes) == 0 &&
                (uint32_t)model.input_h * model.input_w * model.input_c <= 1U << 16)
                run_as_it_is(d.file, d.file_bytes, image);
            d.file[at] = before;
        }
        free(image);
        device_close(&d);
    }
}

static struct device plain; /* image 8x8x2, conv to 4, depthwise, sum of the two, an answer */

static void make_plain(void)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, 26);
    memset(&plain, 0, sizeof plain);
    struct random_model *r = &plain.random;
    struct agn_model_agn *m = &r->model;
    static int8_t weights[4096];
    static struct agn_model_channel channels[64];
    for (size_t i = 0; i < sizeof weights; i++)
        weights[i] = (int8_t)((int)agn_rng_below(&rng, 256) - 128);
    for (size_t i = 0; i < AGN_COUNT_OF(channels); i++)
        channels[i] = (struct agn_model_channel){0, 1 << 30, 40};
    m->is_graph = true;
    m->input_h = m->input_w = 8;
    m->input_c = 2;
    m->classes = 3;
    m->layer_count = 3;
    m->layers = r->layers;
    r->layers[0] = (struct agn_model_layer){.kind = AGN_LAYER_CONV,
                                            .out_c = 4,
                                            .kernel_h = 3,
                                            .kernel_w = 3,
                                            .stride_h = 1,
                                            .stride_w = 1,
                                            .pad_h = 1,
                                            .pad_w = 1,
                                            .clamp_min = -128,
                                            .clamp_max = 127,
                                            .weights = weights,
                                            .channels = channels};
    r->layers[1] = r->layers[0];
    r->layers[1].kind = AGN_LAYER_DWCONV;
    r->layers[1].source[0] = 1;
    r->sums[2] = (struct agn_model_sum){1 << 14, {16384, 16384}, 15};
    r->layers[2] = (struct agn_model_layer){.kind = AGN_LAYER_ADD,
                                            .out_c = 4,
                                            .kernel_h = 1,
                                            .kernel_w = 1,
                                            .stride_h = 1,
                                            .stride_w = 1,
                                            .clamp_min = -128,
                                            .clamp_max = 127,
                                            .source = {2, 1},
                                            .sum = &r->sums[2]};
    m->head_count = 1;
    m->heads = r->heads;
    r->heads[0] =
        (struct agn_model_head){.tensor = 3, .count = 4, .grid = 2, .weights = weights, .channels = channels};
}

static void expect_refusal(const char *words)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    assert_true(agn_model_agn_write(&plain.random.model, &file, &bytes) < 0);
    if (!strstr(agn_error_message(), words))
        fail_msg("'%s' lacks '%s'", agn_error_message(), words);
    assert_null(file);
}

static void wrong_networks_are_refused(void **state)
{
    (void)state;
    make_plain();
    plain.random.layers[0].source[0] = 1; /* itself */
    expect_refusal("not made before it");
    make_plain();
    plain.random.layers[1].source[0] = 3; /* a cycle */
    expect_refusal("not made before it");
    make_plain();
    plain.random.layers[2].source[1] = 0; /* another shape */
    expect_refusal("differs in shape");
    make_plain();
    plain.random.layers[1].first = 4;
    expect_refusal("channels that its source does not have");
    make_plain();
    plain.random.heads[0].count = 5;
    expect_refusal("pools channels 0 to 4");
    make_plain();
    plain.random.heads[0].tensor = 4;
    expect_refusal("is of tensor 4");
    make_plain();
    plain.random.model.head_count = 0;
    expect_refusal("there is nothing to make");
    make_plain();
    plain.random.layers[0].kernel_h = 8;
    expect_refusal("kernels 1 to 7");
    make_plain();
    plain.random.heads[0].softmax = 32768;
    expect_refusal("is sure from 0 or 32768 on");
    make_plain();
    plain.random.model.sender = 3;
    plain.random.model.value_bits = 9;
    expect_refusal("cannot be sent as values of 9 bits");
    plain.random.model.value_bits = 8;
    plain.random.model.local_c = 1;
    expect_refusal("from channel 1 on");
    make_plain();
    plain.random.model.layer_count = 65;
    expect_refusal("1 to 64");
}

/* Changes a field of a right file so that the plan is wrong. */
static void break_plan(unsigned layer, unsigned field, uint8_t value)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    struct agn_dev_model model;
    make_plain();
    assert_int_equal(agn_model_agn_write(&plain.random.model, &file, &bytes), 0);
    assert_int_equal(agn_dev_model_open(&model, file, bytes), 0);
    uint8_t *record = file + (agn__graph_record(&model, layer) - file);
    assert_int_not_equal(record[field], value);
    record[field] = value;
    agn__store_u32(file + bytes - 4, agn_crc32(0, file, bytes - 4));
    int status = agn_dev_model_open(&model, file, bytes);
    assert_true(status == AGN_ERR_RANGE || status == AGN_ERR_UNSUPPORTED);
    agn_free(file);
}

/* Changes a byte of the header of a file that sends values of 5 bits. */
static void break_values(unsigned at, uint8_t value, int status)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    struct agn_dev_model model;
    make_plain();
    plain.random.model.sender = 3;
    plain.random.model.value_bits = 5;
    assert_int_equal(agn_model_agn_write(&plain.random.model, &file, &bytes), 0);
    assert_int_equal(agn_dev_model_open(&model, file, bytes), 0);
    assert_int_equal(model.map_c, 8);
    assert_int_equal(model.map_h, 1);
    assert_int_equal(model.map_w, 54); /* 8 places of 4 channels of 5 bits are 20 bytes */
    file[at] = value;
    agn__store_u32(file + bytes - 4, agn_crc32(0, file, bytes - 4));
    assert_int_equal(agn_dev_model_open(&model, file, bytes), status);
    agn_free(file);
}

static void wrong_values_are_refused(void **state)
{
    (void)state;
    break_values(AGN__AT_VALUE_BITS, 5, 0);
    break_values(AGN__AT_VALUE_BITS, 0, AGN_ERR_RANGE); /* then the map is no tensor's */
    break_values(AGN__AT_VALUE_BITS, 4, AGN_ERR_RANGE);
    break_values(AGN__AT_VALUE_BITS, 9, AGN_ERR_RANGE);
    break_values(AGN__AT_MAP, 2, AGN_ERR_RANGE);      /* runs */
    break_values(AGN__AT_MAP + 2, 57, AGN_ERR_RANGE); /* symbols of a run */
    break_values(AGN__AT_MAP + 4, 7, AGN_ERR_RANGE);  /* rows */
    break_values(AGN__AT_LOCAL_C, 1, AGN_ERR_RANGE);
    break_values(AGN__AT_CODEC, AGN_CODEC_RANGE, AGN_ERR_RANGE);
    break_values(AGN__AT_SENDER, 0, AGN_ERR_RANGE);
}

/* What lies behind the tensors must stay aligned. */
static void odd_memory_is_refused(void **state)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    struct agn_dev_model model;
    (void)state;
    make_plain();
    assert_int_equal(agn_model_agn_write(&plain.random.model, &file, &bytes), 0);
    uint32_t needed = agn__load_u32(file + AGN__AT_TENSOR_BYTES);
    for (uint32_t more = 0; more < 4; more++) {
        agn__store_u32(file + AGN__AT_TENSOR_BYTES, needed + more);
        agn__store_u32(file + bytes - 4, agn_crc32(0, file, bytes - 4));
        assert_int_equal(agn_dev_model_open(&model, file, bytes), more == 0 ? 0 : AGN_ERR_RANGE);
    }
    agn_free(file);
}

static void wrong_plans_are_refused(void **state)
{
    (void)state;
    break_plan(0, AGN__GRAPH_STORAGE + 2, 2);            /* three rows are needed, one more for the sum */
    break_plan(1, AGN__GRAPH_OFFSET, 0);                 /* over the first tensor while it lives */
    break_plan(2, AGN__GRAPH_OFFSET, 2);                 /* not on a word */
    break_plan(0, AGN__GRAPH_STORAGE, AGN__STORED_WIDE); /* not as a depthwise layer wants it */
    break_plan(0, AGN__GRAPH_STORAGE, AGN__STORAGE_COUNT);
    break_plan(0, AGN__GRAPH_LAST_READER, 1);
    break_plan(1, AGN__GRAPH_SEGMENT, 2); /* none is left out */
    break_plan(0, AGN__GRAPH_KEPT, 3);
    break_plan(1, AGN__GRAPH_SOURCES, 2); /* its own result */
    break_plan(2, AGN__GRAPH_SOURCES, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_networks),
        cmocka_unit_test(extreme_networks),
        cmocka_unit_test(deep_networks),
        cmocka_unit_test(wide_networks),
        cmocka_unit_test(softmax_rule_is_exact_enough),
        cmocka_unit_test(changed_files_do_no_harm),
        cmocka_unit_test(wrong_networks_are_refused),
        cmocka_unit_test(wrong_plans_are_refused),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(odd_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
