/* model.agn as hostile input, the writer's refusals, and the device's life: memory, order of
 * calls, replies that must not count, the local answer that always stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_device_internal.h"
#include "support/naive_device.h"
#include "support/small_model.h"

static uint8_t *file; /* the small model, written; 64-byte aligned */
static size_t file_bytes;

static int write_small(void **state)
{
    (void)state;
    struct small_model small;
    small_model_make(&small);
    return agn_model_agn_write(&small.model, &file, &file_bytes);
}

static int free_small(void **state)
{
    (void)state;
    agn_free(file);
    return 0;
}

static void fix_checksum(uint8_t *bytes, size_t len)
{
    agn__store_u32(bytes + len - 4, agn_crc32(0, bytes, len - 4));
}

/* Opens a copy in memory of exactly that size; if it opens, runs a frame in an arena of exactly the size
 * asked for: ASan sees any access outside. */
static int open_and_run(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    struct agn_dev_model model;
    int status = agn_dev_model_open(&model, copy, len);
    if (status == 0 && model.input_h * model.input_w <= 4096) {
        struct agn_dev dev;
        struct agn_dev_prediction prediction;
        uint8_t packet[AGN_WIRE_MAX_PACKET], row[64 * 64 * 4];
        size_t arena_bytes = agn_dev_arena_bytes(&model);
        void *arena = malloc(arena_bytes);
        assert_non_null(arena);
        memset(row, 200, sizeof row);
        assert_int_equal(agn_dev_init(&dev, copy, len, arena, arena_bytes), 0);
        assert_int_equal(agn_dev_frame_begin(&dev, 1, 0), 0);
        for (unsigned y = 0; y < model.input_h; y++)
            assert_int_equal(agn_dev_push_rows(&dev, row, 1), 0);
        int made = 0;
        while (agn_dev_next_packet(&dev, packet, sizeof packet) > 0)
            made++;
        assert_in_range(made, 1, 256);
        assert_int_equal(agn_dev_predict(&dev, &prediction), 0);
        assert_true(prediction.class_index < model.classes);
        free(arena);
    }
    free(copy);
    return status;
}

/* ---- the file ------------------------------------------------------------------------------ */

static void reads_back_what_was_written(void **state)
{
    (void)state;
    struct agn_dev_model model;
    struct agn_dev_layer_info info;
    struct agn_dev_memory memory;
    assert_int_equal(agn_dev_model_open(&model, file, file_bytes), 0);
    assert_int_equal(model.model_id, SMALL_MODEL_ID);
    assert_int_equal(model.layer_count, 2);
    assert_int_equal(model.map_c, 6);
    assert_int_equal(model.map_h, SMALL_MAP_SIDE);
    assert_int_equal(model.input_zero_point[0], -55);
    assert_int_equal(model.alpha_q15, 8192);

    assert_int_equal(agn_dev_layer_info(&model, 0, &info), 0);
    assert_int_equal(info.macs, 4 * 4 * 9);
    assert_int_equal(info.weight_bytes, 9);
    assert_int_equal(info.line_bytes, 60); /* 3 rows of 8 + 2 values */
    assert_int_equal(agn_dev_layer_info(&model, 1, &info), 0);
    assert_int_equal(info.macs, 4 * 4 * 6);
    assert_int_equal(info.channel_bytes, 72);
    float scale = 0;
    memcpy(&scale, &info.out_scale_bits, sizeof scale);
    assert_true(scale == 6.0f / 255.0f);
    assert_int_equal(agn_dev_layer_info(&model, 2, &info), AGN_ERR_ARG);

    agn_dev_memory(&model, &memory);
    assert_int_equal(memory.arena_bytes, agn_dev_arena_bytes(&model));
    assert_int_equal(memory.symbol_bytes, 4 * 4 * 2);
    assert_int_equal(memory.raw_bytes, 4 * 4 * 4 * 3 / 8);
    assert_int_equal(memory.flash_bytes, file_bytes);
    size_t lines = AGN_DEV_LINE_BYTES(3, 8, 1, 1) + AGN_DEV_LINE_BYTES(1, 4, 0, 1);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++) {
        model.codec = (uint8_t)codec;
        assert_int_equal(AGN_CODEC_STATE_BYTES(codec), agn_codec_state_bytes(codec));
        assert_int_equal(AGN_DEV_ARENA_BYTES(lines, 4, 4, 4, 2, 2, 3, codec), agn_dev_arena_bytes(&model));
    }
}

static void every_truncation_fails(void **state)
{
    (void)state;
    for (size_t len = 0; len < file_bytes; len++)
        assert_int_equal(open_and_run(file, len), AGN_ERR_FORMAT);
    uint8_t *longer = calloc(file_bytes + 4, 1);
    assert_non_null(longer);
    memcpy(longer, file, file_bytes);
    assert_int_equal(open_and_run(longer, file_bytes + 4), AGN_ERR_FORMAT);
    free(longer);
}

/* Without and with a good checksum behind the flipped bit. */
static void every_flipped_bit(void **state)
{
    (void)state;
    int opened = 0, refused = 0;
    for (size_t bit = 0; bit < 8 * file_bytes; bit++) {
        file[bit / 8] = (uint8_t)(file[bit / 8] ^ 1 << bit % 8);
        int status = open_and_run(file, file_bytes);
        assert_true(status == AGN_ERR_CHECKSUM || (bit < 8 * 12 && status < 0));
        if (bit < 8 * (file_bytes - 4)) {
            fix_checksum(file, file_bytes);
            if (open_and_run(file, file_bytes) == 0)
                opened++;
            else
                refused++;
        }
        file[bit / 8] = (uint8_t)(file[bit / 8] ^ 1 << bit % 8);
        fix_checksum(file, file_bytes);
    }
    assert_true(opened > 500);  /* weights, biases: any value is a model */
    assert_true(refused > 500); /* shapes, offsets */
    assert_int_equal(open_and_run(file, file_bytes), 0);
}

static int with_field(size_t at, uint32_t value, int bytes)
{
    uint8_t *copy = malloc(file_bytes);
    assert_non_null(copy);
    memcpy(copy, file, file_bytes);
    for (int i = 0; i < bytes; i++)
        copy[at + (size_t)i] = (uint8_t)(value >> 8 * i);
    fix_checksum(copy, file_bytes);
    int status = open_and_run(copy, file_bytes);
    free(copy);
    return status;
}

static void bad_fields(void **state)
{
    (void)state;
    const size_t layer = AGN_MODEL_HEADER_BYTES, second = layer + AGN_MODEL_LAYER_BYTES;
    const uint32_t size = (uint32_t)file_bytes;
    const struct {
        size_t at;
        uint32_t value;
        int bytes, status;
    } cases[] = {
        {AGN__AT_MAGIC, 'X', 1, AGN_ERR_FORMAT},
        {AGN__AT_VERSION, AGN_MODEL_VERSION - 1, 2, AGN_ERR_VERSION},
        {AGN__AT_VERSION, AGN_MODEL_VERSION_GRAPH, 2, AGN_ERR_RANGE},
        {AGN__AT_VERSION, AGN_MODEL_VERSION_GRAPH + 1, 2, AGN_ERR_VERSION},
        {AGN__AT_HEADER_BYTES, 132, 2, AGN_ERR_FORMAT},
        {AGN__AT_SIZE, size + 4, 4, AGN_ERR_FORMAT},
        {AGN__AT_INPUT, 0, 2, AGN_ERR_RANGE},
        {AGN__AT_INPUT, 9, 2, AGN_ERR_RANGE},
        {AGN__AT_INPUT + 4, 5, 2, AGN_ERR_RANGE},
        {AGN__AT_MAP, 5, 2, AGN_ERR_RANGE},
        {AGN__AT_MAP + 2, 0, 2, AGN_ERR_RANGE},
        {AGN__AT_MAP + 4, 256, 2, AGN_ERR_RANGE},
        {AGN__AT_LOCAL_C, 0, 2, AGN_ERR_RANGE},
        {AGN__AT_LOCAL_C, 6, 2, AGN_ERR_RANGE},
        {AGN__AT_GRID, 0, 2, AGN_ERR_RANGE},
        {AGN__AT_GRID, 5, 2, AGN_ERR_RANGE},
        {AGN__AT_CLASSES, 0, 2, AGN_ERR_RANGE},
        {AGN__AT_CLASSES, 1001, 2, AGN_ERR_RANGE},
        {AGN__AT_ALPHA, 32769, 2, AGN_ERR_RANGE},
        {AGN__AT_CODEC, AGN_CODEC_COUNT, 1, AGN_ERR_UNSUPPORTED},
        {AGN__AT_LAYER_COUNT, 0, 1, AGN_ERR_RANGE},
        {AGN__AT_LAYER_COUNT, 9, 1, AGN_ERR_RANGE},
        {AGN__AT_LAYER_COUNT, 1, 1, AGN_ERR_RANGE},
        {AGN__AT_ZERO_1, 1, 1, AGN_ERR_RANGE},
        {AGN__AT_ZERO_3 + 11, 1, 1, AGN_ERR_RANGE},
        {AGN__AT_JPEG_QUALITY, 1, 1, AGN_ERR_RANGE},
        {AGN__AT_LAYERS, 2, 4, AGN_ERR_RANGE},
        {AGN__AT_LAYERS, 0, 4, AGN_ERR_RANGE},
        {AGN__AT_LAYERS, size - 8, 4, AGN_ERR_RANGE},
        {AGN__AT_SYMBOLS, 0xFFFFFFFC, 4, AGN_ERR_RANGE},
        {AGN__AT_SYMBOLS, size - 4 - 252, 4, AGN_ERR_RANGE},
        {AGN__AT_DENSE_WEIGHTS, size, 4, AGN_ERR_RANGE},
        {AGN__AT_DENSE_WEIGHTS, 0x80000000, 4, AGN_ERR_RANGE},
        {AGN__AT_DENSE_CHANNELS, size - 4 - 32, 4, AGN_ERR_RANGE},
        {layer + AGN__LAYER_KIND, 2, 1, AGN_ERR_UNSUPPORTED},
        {layer + AGN__LAYER_KIND + 1, 2, 1, AGN_ERR_RANGE},
        {layer + AGN__LAYER_KIND + 1, 7, 1, AGN_ERR_RANGE},
        {layer + AGN__LAYER_KIND + 3, 0, 1, AGN_ERR_RANGE},
        {layer + AGN__LAYER_KIND + 4, 5, 1, AGN_ERR_RANGE},
        {layer + AGN__LAYER_KIND + 5, 3, 1, AGN_ERR_RANGE},
        {second + AGN__LAYER_KIND + 6, 1, 1, AGN_ERR_RANGE},
        {layer + AGN__LAYER_ZERO_POINTS, 1, 1, AGN_ERR_RANGE},
        {second + AGN__LAYER_ZERO_POINTS, 0, 1, AGN_ERR_RANGE},
        {layer + AGN__LAYER_ZERO_POINTS + 3, 0x80, 1, 0},
        {layer + AGN__LAYER_ZERO_POINTS + 2, 0x7f, 1, 0},
        {layer + AGN__LAYER_ZERO_1, 1, 1, AGN_ERR_RANGE},
        {layer + AGN__LAYER_ZERO_2 + 7, 1, 1, AGN_ERR_RANGE},
        {layer + AGN__LAYER_SHAPE + 4, 2, 2, AGN_ERR_RANGE},
        {layer + AGN__LAYER_SHAPE + 6, 3, 2, AGN_ERR_RANGE},
        {second + AGN__LAYER_SHAPE, 5, 2, AGN_ERR_RANGE},
        {second + AGN__LAYER_SHAPE + 10, 0, 2, AGN_ERR_RANGE},
        {second + AGN__LAYER_WEIGHTS, size - 4, 4, AGN_ERR_RANGE},
        {second + AGN__LAYER_CHANNELS, 130, 4, AGN_ERR_RANGE},
        {second + AGN__LAYER_CHANNELS, 64, 4, AGN_ERR_RANGE},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        int status = with_field(cases[i].at, cases[i].value, cases[i].bytes);
        if (status != cases[i].status)
            fail_msg("byte %zu set to %u: status %d, expected %d", cases[i].at, (unsigned)cases[i].value,
                     status, cases[i].status);
    }
}

static void bad_tables(void **state)
{
    (void)state;
    uint32_t symbols = agn__load_u32(file + AGN__AT_SYMBOLS);
    uint32_t channel = agn__load_u32(file + AGN_MODEL_HEADER_BYTES + AGN__LAYER_CHANNELS);
    uint32_t dense = agn__load_u32(file + AGN__AT_DENSE_CHANNELS);
    assert_int_equal(with_field(symbols + 255, 8, 1), AGN_ERR_RANGE);
    assert_int_equal(with_field(symbols + 255, 0, 1), 0);
    assert_int_equal(with_field(channel + 4, 0x80000000, 4), AGN_ERR_RANGE);
    assert_int_equal(with_field(channel + 4, 0x7fffffff, 4), 0);
    assert_int_equal(with_field(channel + 8, 32, 1), AGN_ERR_RANGE);
    assert_int_equal(with_field(channel + 8, 33, 1), 0);
    assert_int_equal(with_field(channel + 8, 62, 1), 0);
    assert_int_equal(with_field(channel + 8, 63, 1), AGN_ERR_RANGE);
    assert_int_equal(with_field(dense + 8, 0, 1), AGN_ERR_RANGE);

    /* The largest bias that cannot overflow, and one more; both signs. Depthwise weights of the model. */
    struct small_model small;
    small_model_make(&small);
    int32_t sum = 0;
    for (int i = 0; i < 9; i++)
        sum += abs(small.depthwise_weights[i]);
    int32_t largest = INT32_MAX - sum * 128;
    assert_int_equal(with_field(channel, (uint32_t)largest, 4), 0);
    assert_int_equal(with_field(channel, (uint32_t)largest + 1, 4), AGN_ERR_RANGE);
    assert_int_equal(with_field(channel, (uint32_t)-largest, 4), 0);
    assert_int_equal(with_field(channel, (uint32_t)-largest - 1, 4), AGN_ERR_RANGE);
    assert_int_equal(with_field(channel, 0x80000000, 4), AGN_ERR_RANGE);
}

static void alignment(void **state)
{
    (void)state;
    uint8_t *copy = malloc(file_bytes + 4);
    struct agn_dev_model model;
    assert_non_null(copy);
    for (size_t shift = 1; shift < 4; shift++) {
        memcpy(copy + shift, file, file_bytes);
        assert_int_equal(agn_dev_model_open(&model, copy + shift, file_bytes), AGN_ERR_ARG);
    }
    free(copy);
}

/* ---- context models ------------------------------------------------------------------------ */

/* The small model with a codec that needs contexts: 3 distributions, all of them used. */
struct with_contexts {
    uint8_t *bytes;
    size_t size;
    uint32_t map, distributions; /* where they are */
};

static struct with_contexts write_with_contexts(void)
{
    static const uint16_t sums[3][AGN_WIRE_LEVELS] = {
        {16384, 24576, 28672, 30720, 31744, 32256, 32512, 32768},
        {32761, 32762, 32763, 32764, 32765, 32766, 32767, 32768},
        {1, 2, 3, 4, 5, 6, 7, 32768}};
    uint8_t map[SMALL_SENT * AGN_CONTEXTS], cumulative[3 * AGN_DISTRIBUTION_BYTES];
    struct with_contexts made = {NULL, 0, 0, 0};
    struct small_model small;
    small_model_make(&small);
    for (size_t i = 0; i < sizeof map; i++)
        map[i] = (uint8_t)(i % 3);
    for (size_t i = 0; i < sizeof cumulative / 2; i++) {
        cumulative[2 * i] = (uint8_t)sums[i / AGN_WIRE_LEVELS][i % AGN_WIRE_LEVELS];
        cumulative[2 * i + 1] = (uint8_t)(sums[i / AGN_WIRE_LEVELS][i % AGN_WIRE_LEVELS] >> 8);
    }
    small.model.codec = AGN_CODEC_RANGE;
    small.model.contexts = (struct agn_context_model){
        .map = map, .cumulative = cumulative, .distributions = 3, .channels = SMALL_SENT};
    assert_int_equal(agn_model_agn_write(&small.model, &made.bytes, &made.size), 0);
    made.map = agn__load_u32(made.bytes + AGN__AT_CONTEXTS);
    made.distributions = made.map + (uint32_t)sizeof map;
    assert_memory_equal(made.bytes + made.map, map, sizeof map);
    assert_memory_equal(made.bytes + made.distributions, cumulative, sizeof cumulative);
    return made;
}

static int status_with(const struct with_contexts *from, size_t at, uint32_t value, int bytes)
{
    uint8_t *copy = malloc(from->size);
    assert_non_null(copy);
    memcpy(copy, from->bytes, from->size);
    for (int i = 0; i < bytes; i++)
        copy[at + (size_t)i] = (uint8_t)(value >> 8 * i);
    fix_checksum(copy, from->size);
    int status = open_and_run(copy, from->size);
    free(copy);
    return status;
}

static void reads_contexts(void **state)
{
    (void)state;
    struct with_contexts made = write_with_contexts();
    struct agn_dev_model model;
    assert_int_equal(agn_dev_model_open(&model, made.bytes, made.size), 0);
    assert_int_equal(model.contexts.channels, SMALL_SENT);
    assert_int_equal(model.contexts.distributions, 3);
    assert_ptr_equal(model.contexts.map, made.bytes + made.map);
    assert_ptr_equal(model.contexts.cumulative, made.bytes + made.distributions);
    assert_int_equal(open_and_run(made.bytes, made.size), 0);
    agn_free(made.bytes);
    assert_int_equal(agn_dev_model_open(&model, file, file_bytes), 0);
    assert_int_equal(model.contexts.channels, 0);
}

static void bad_contexts(void **state)
{
    (void)state;
    struct with_contexts range = write_with_contexts();
    const uint32_t size = (uint32_t)range.size, last_map = range.distributions - 1;
    const struct {
        size_t at;
        uint32_t value;
        int bytes, status;
    } cases[] = {
        {AGN__AT_CONTEXTS, 0, 4, AGN_ERR_RANGE},
        {AGN__AT_CONTEXTS, range.map + 2, 4, AGN_ERR_RANGE},
        {AGN__AT_CONTEXTS, range.map + 4, 4, AGN_ERR_RANGE},
        {AGN__AT_CONTEXTS, size - 4, 4, AGN_ERR_RANGE},
        {AGN__AT_CONTEXTS, 0xFFFFFFFC, 4, AGN_ERR_RANGE},
        {AGN__AT_CONTEXTS, 0x80000000, 4, AGN_ERR_RANGE},
        {AGN__AT_DISTRIBUTIONS, 0, 1, AGN_ERR_RANGE},
        {AGN__AT_DISTRIBUTIONS, 2, 1, AGN_ERR_RANGE}, /* the map names number 2 */
        {AGN__AT_DISTRIBUTIONS, 4, 1, AGN_ERR_RANGE}, /* beyond the section */
        {AGN__AT_DISTRIBUTIONS, 255, 1, AGN_ERR_RANGE},
        {range.map, 3, 1, AGN_ERR_RANGE},
        {range.map, 2, 1, 0},
        {last_map, 255, 1, AGN_ERR_RANGE},
        {range.distributions, 24576, 2, AGN_ERR_RANGE},      /* equals the next */
        {range.distributions, 0, 2, AGN_ERR_RANGE},          /* symbol 0 cannot occur */
        {range.distributions + 14, 32767, 2, AGN_ERR_RANGE}, /* does not end at 2^15 */
        {range.distributions + 14, 32769, 2, AGN_ERR_RANGE},
        {range.distributions, 1, 2, 0},
        /* With a codec that has no use for it. */
        {AGN__AT_CODEC, AGN_CODEC_LZW, 1, AGN_ERR_RANGE},
        {AGN__AT_CODEC, AGN_CODEC_RAW3, 1, AGN_ERR_RANGE},
        {AGN__AT_CODEC, AGN_CODEC_COUNT, 1, AGN_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        int status = status_with(&range, cases[i].at, cases[i].value, cases[i].bytes);
        if (status != cases[i].status)
            fail_msg("case %zu: status %d, expected %d", i, status, cases[i].status);
    }
    /* The other way round: contexts that are missing, or given to a codec without. */
    assert_int_equal(with_field(AGN__AT_CODEC, AGN_CODEC_RANGE, 1), AGN_ERR_RANGE);
    assert_int_equal(with_field(AGN__AT_CONTEXTS, AGN_MODEL_HEADER_BYTES, 4), AGN_ERR_RANGE);
    assert_int_equal(with_field(AGN__AT_DISTRIBUTIONS, 1, 1), AGN_ERR_RANGE);
    agn_free(range.bytes);
}

/* Any flipped bit of the tables: refused, or a model that runs. */
static void flipped_bits_in_contexts(void **state)
{
    (void)state;
    struct with_contexts made = write_with_contexts();
    int opened = 0, refused = 0;
    for (size_t bit = 8 * (size_t)made.map; bit < 8 * (made.size - 4); bit += 3) {
        uint8_t flipped = (uint8_t)(made.bytes[bit / 8] ^ 1 << bit % 8);
        int status = status_with(&made, bit / 8, flipped, 1);
        assert_true(status == 0 || status == AGN_ERR_RANGE);
        *(status == 0 ? &opened : &refused) += 1;
    }
    assert_true(opened > 100 && refused > 100);
    agn_free(made.bytes);
}

/* ---- the writer ---------------------------------------------------------------------------------- */

typedef void spoil_fn(struct small_model *small);

static void spoil_kernel(struct small_model *small)
{
    small->layers[0].kernel_h = 8;
}
static void spoil_stride(struct small_model *small)
{
    small->layers[1].stride_w = -1;
}
static void spoil_depthwise(struct small_model *small)
{
    small->layers[0].out_c = 2;
}
static void spoil_clamp(struct small_model *small)
{
    small->layers[1].clamp_max = -128;
    small->layers[1].clamp_min = 5;
}
static void spoil_bias(struct small_model *small)
{
    small->pointwise[3].bias = INT32_MAX;
}
static void spoil_shift(struct small_model *small)
{
    small->dense[1].shift = 12;
}
static void spoil_weights(struct small_model *small)
{
    small->layers[1].weights = NULL;
}
static void spoil_local_c(struct small_model *small)
{
    small->model.local_c = 6;
}
static void spoil_grid(struct small_model *small)
{
    small->model.grid = 5;
}
static void spoil_classes(struct small_model *small)
{
    small->model.classes = 1001;
}
static void spoil_alpha(struct small_model *small)
{
    small->model.alpha_q15 = 40000;
}
static void spoil_symbol(struct small_model *small)
{
    small->model.symbols[77] = 8;
}
static void spoil_codec(struct small_model *small)
{
    small->model.codec = AGN_CODEC_COUNT;
}
static void spoil_contexts(struct small_model *small)
{
    small->model.codec = AGN_CODEC_RANGE;
}
static void spoil_context_channels(struct small_model *small)
{
    static const uint8_t map[AGN_CONTEXTS], sums[] = {1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 0, 0x80};
    small->model.codec = AGN_CODEC_RANGE;
    small->model.contexts = (struct agn_context_model){map, sums, 1, 1};
}
static void spoil_input(struct small_model *small)
{
    small->model.input_c = 0;
}
static void spoil_layers(struct small_model *small)
{
    small->model.layer_count = 9;
}

static void the_writer_refuses(void **state)
{
    (void)state;
    const struct {
        spoil_fn *spoil;
        const char *says;
        int status;
    } cases[] = {
        {spoil_kernel, "layer 0", AGN_ERR_RANGE},
        {spoil_stride, "layer 1", AGN_ERR_RANGE},
        {spoil_depthwise, "layer 0", AGN_ERR_RANGE},
        {spoil_clamp, "clamp", AGN_ERR_RANGE},
        {spoil_bias, "output 3", AGN_ERR_RANGE},
        {spoil_shift, "dense layer 0, output 1", AGN_ERR_RANGE},
        {spoil_weights, "layer 1", AGN_ERR_ARG},
        {spoil_local_c, "6 local channels", AGN_ERR_RANGE},
        {spoil_grid, "grid", AGN_ERR_RANGE},
        {spoil_classes, "1001 classes", AGN_ERR_RANGE},
        {spoil_alpha, "alpha", AGN_ERR_RANGE},
        {spoil_symbol, "entry 77", AGN_ERR_RANGE},
        {spoil_codec, "codec", AGN_ERR_UNSUPPORTED},
        {spoil_input, "8x8x0", AGN_ERR_RANGE},
        {spoil_layers, "9 layers", AGN_ERR_RANGE},
        {spoil_contexts, "context model", AGN_ERR_RANGE},
        {spoil_context_channels, "1 channels for 4", AGN_ERR_RANGE},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct small_model small;
        uint8_t *bytes = NULL;
        size_t size = 123;
        small_model_make(&small);
        cases[i].spoil(&small);
        assert_int_equal(agn_model_agn_write(&small.model, &bytes, &size), cases[i].status);
        assert_null(bytes);
        assert_int_equal(size, 123);
        if (!strstr(agn_error_message(), cases[i].says))
            fail_msg("case %zu: '%s' should say '%s'", i, agn_error_message(), cases[i].says);
    }
}

static void multipliers(void **state)
{
    (void)state;
    const double scales[] = {0.2499999999, 0.125, 0.1, 0.0123, 1e-3, 3.7e-5, 1e-9, 2.4e-10};
    for (size_t i = 0; i < AGN_COUNT_OF(scales); i++) {
        int32_t multiplier = 0;
        uint8_t shift = 0;
        assert_int_equal(agn_model_multiplier(scales[i], &multiplier, &shift), 0);
        assert_in_range(shift, AGN_DEV_MIN_SHIFT, AGN_DEV_MAX_SHIFT);
        double back = (double)multiplier;
        for (int bit = 0; bit < shift; bit++)
            back /= 2;
        assert_true(back > scales[i] * (1 - 1e-9) && back < scales[i] * (1 + 1e-9));
    }
    int32_t multiplier = 7;
    uint8_t shift = 7;
    assert_int_equal(agn_model_multiplier(0.25, &multiplier, &shift), AGN_ERR_RANGE);
    assert_int_equal(agn_model_multiplier(-0.1, &multiplier, &shift), AGN_ERR_RANGE);
    assert_int_equal(agn_model_multiplier(0.0 / (multiplier - 7.0), &multiplier, &shift), AGN_ERR_RANGE);
    assert_int_equal(multiplier, 7);
    assert_int_equal(agn_model_multiplier(0, &multiplier, &shift), 0);
    assert_int_equal(multiplier, 0);
    assert_int_equal(agn_model_multiplier(1e-30, &multiplier, &shift), 0);
    assert_in_range(shift, AGN_DEV_MIN_SHIFT, AGN_DEV_MAX_SHIFT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_was_written),
        cmocka_unit_test(every_truncation_fails),
        cmocka_unit_test(every_flipped_bit),
        cmocka_unit_test(bad_fields),
        cmocka_unit_test(bad_tables),
        cmocka_unit_test(alignment),
        cmocka_unit_test(reads_contexts),
        cmocka_unit_test(bad_contexts),
        cmocka_unit_test(flipped_bits_in_contexts),
        cmocka_unit_test(the_writer_refuses),
        cmocka_unit_test(multipliers),
    };
    return cmocka_run_group_tests(tests, write_small, free_small);
}
