/* Symbol codecs: round trips, independent reference encoders, the ideal code length, overflow, snapshots, and
 * hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_wire.h"
#include "support/naive_device.h"
#include "support/random_contexts.h"

/* What is encoded: symbols in memory of exactly that size, so that ASan guards its ends. */
struct stream {
    struct agn_tile tile;
    uint8_t *symbols, *packed;
    size_t count;
    unsigned rows;
};

static struct random_contexts contexts; /* of 255 channels, for those who do not make their own */

static int make_contexts(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 20);
    random_contexts_make(&contexts, &rng, 255, AGN_DISTRIBUTIONS_MAX);
    return 0;
}

static int free_contexts(void **state)
{
    (void)state;
    random_contexts_free(&contexts);
    return 0;
}

static void *take(size_t size)
{
    void *memory = malloc(size ? size : 1);
    assert_non_null(memory);
    return memory;
}

/* All symbols 0. */
static struct stream stream_of(unsigned channels, unsigned rows, unsigned width)
{
    struct stream stream = {.tile = {.channel_count = (uint8_t)channels,
                                     .row_count = (uint8_t)rows,
                                     .width = (uint8_t)width,
                                     .contexts = &contexts.model},
                            .count = (size_t)channels * rows * width,
                            .rows = channels * rows};
    stream.symbols = take(stream.count);
    stream.packed = take(stream.rows * AGN_ROW_BYTES(width));
    memset(stream.symbols, 0, stream.count);
    return stream;
}

static struct stream random_shape(struct agn_rng *rng, unsigned most)
{
    unsigned width = 1 + agn_rng_below(rng, agn_rng_below(rng, 8) ? 40 : 255);
    unsigned rows = 1 + agn_rng_below(rng, 12), channels = 1 + agn_rng_below(rng, 6);
    while (width * rows * channels > most)
        *(channels > 1 ? &channels : rows > 1 ? &rows : &width) -= 1;
    struct stream stream = stream_of(channels, rows, width);
    stream.tile.channel_first = (uint8_t)agn_rng_below(rng, 250);
    stream.tile.row_first = (uint8_t)agn_rng_below(rng, 9);
    return stream;
}

static void free_stream(struct stream *stream)
{
    free(stream->symbols);
    free(stream->packed);
}

static void pack_rows(struct stream *stream)
{
    size_t width = stream->tile.width;
    for (size_t row = 0; row < stream->rows; row++)
        agn_row_pack(stream->symbols + row * width, (unsigned)width,
                     stream->packed + row * AGN_ROW_BYTES(width));
}

/* Rows from..to-1, in groups of 1 to `most`. */
static void put_rows(struct agn_encoder *encoder, const struct stream *stream, unsigned from, unsigned to,
                     unsigned most)
{
    while (from < to) {
        unsigned group = 1 + from * 7 % most;
        group = group > to - from ? to - from : group;
        agn_encoder_put_rows(encoder, stream->packed + from * AGN_ROW_BYTES(stream->tile.width), group);
        from += group;
    }
}

static void begin(struct agn_encoder *encoder, int codec, const struct stream *stream, uint8_t *dst,
                  size_t cap)
{
    static uint16_t state[AGN_LZW_STATE_BYTES / 2];
    memset(state, 0x5A, sizeof state);
    assert_int_equal(agn_encoder_begin(encoder, codec, &stream->tile, state, sizeof state, dst, cap), 0);
}

/* The stream must be packed. */
static int encode(int codec, const struct stream *stream, uint8_t *dst, size_t cap)
{
    struct agn_encoder encoder;
    begin(&encoder, codec, stream, dst, cap);
    put_rows(&encoder, stream, 0, stream->rows, 1 + (unsigned)cap % 5);
    int bound = agn_encoder_size(&encoder), size = agn_encoder_finish(&encoder);
    if (codec != AGN_CODEC_RANGE)
        assert_int_equal(size, bound);
    else if (bound >= 0)
        assert_in_range(size, 0, bound);
    return size;
}

/* Each cap from too small to enough (in steps), with a guard behind it. */
static void check_caps(int codec, const struct stream *stream, size_t size, size_t bound, uint8_t *bytes)
{
    for (size_t cap = 0; cap <= bound; cap += 1 + bound / 50) {
        memset(bytes, 0xEE, bound + 2);
        int status = encode(codec, stream, bytes, cap);
        if (status != (int)size)
            assert_int_equal(status, AGN_ERR_SPACE);
        else
            assert_true(cap >= size);
        for (size_t i = cap; i < bound + 2; i++)
            assert_int_equal(bytes[i], 0xEE);
    }
    assert_int_equal(encode(codec, stream, bytes, bound), size);
}

/* Round trip, against the reference encoder; returns the size. */
static int check_codec(int codec, struct stream *stream)
{
    size_t room = NAIVE_ROOM(stream->count), bound = 0;
    uint8_t *bytes = take(room), *reference = take(room), *back = take(stream->count + 1);
    pack_rows(stream);
    struct agn_encoder encoder;
    begin(&encoder, codec, stream, bytes, room);
    put_rows(&encoder, stream, 0, stream->rows, stream->rows);
    size_t expected = naive_encode(codec, &stream->tile, stream->symbols, stream->count, reference, &bound);
    assert_int_equal(agn_encoder_size(&encoder), bound);
    int size = agn_encoder_finish(&encoder);
    assert_int_equal(size, expected);
    assert_memory_equal(bytes, reference, expected);

    uint8_t *exact = take(expected);
    memcpy(exact, bytes, expected);
    memset(back, 0xEE, stream->count + 1);
    assert_int_equal(agn_decode(codec, &stream->tile, exact, expected, back, stream->count), 0);
    assert_memory_equal(back, stream->symbols, stream->count);
    assert_int_equal(back[stream->count], 0xEE);
    free(exact);
    check_caps(codec, stream, expected, bound, bytes);
    free(bytes);
    free(reference);
    free(back);
    return size;
}

/* All codecs; returns LZW's size. */
static int check_stream(struct stream *stream)
{
    int lzw = 0;
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++) {
        int size = check_codec(codec, stream);
        lzw = codec == AGN_CODEC_LZW ? size : lzw;
    }
    return lzw;
}

static void empty_streams(void **state)
{
    (void)state;
    struct stream stream = stream_of(1, 0, 5);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++) {
        uint8_t byte = 1;
        struct agn_encoder encoder;
        begin(&encoder, codec, &stream, NULL, 0);
        assert_int_equal(agn_encoder_finish(&encoder), 0);
        assert_int_equal(agn_decode(codec, &stream.tile, &byte, 0, &byte, 0), 0);
        assert_int_equal(agn_decode(codec, &stream.tile, &byte, 1, &byte, 0), AGN_ERR_FORMAT);
    }
    free_stream(&stream);
}

static void constant_streams(void **state)
{
    (void)state;
    for (unsigned side = 1; side < 142; side = side * 3 / 2 + 1)
        for (unsigned symbol = 0; symbol < 8; symbol += 7) {
            struct stream stream = stream_of(1, side, side);
            memset(stream.symbols, (int)symbol, stream.count);
            int size = check_stream(&stream);
            if (stream.count > 1000)
                assert_true((size_t)size < stream.count / 10);
            free_stream(&stream);
        }
}

static void random_streams(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 21);
    for (int i = 0; i < 300; i++) {
        struct stream stream = random_shape(&rng, i < 200 ? 300 : 6000);
        struct random_contexts own;
        random_contexts_make(&own, &rng, 255, i % 2 ? 1 + agn_rng_below(&rng, 8) : 255);
        stream.tile.contexts = &own.model;
        unsigned zeros = agn_rng_below(&rng, 101); /* percent that are 0, as sparse features are */
        for (size_t at = 0; at < stream.count; at++)
            stream.symbols[at] = (uint8_t)(agn_rng_below(&rng, 100) < zeros ? 0 : agn_rng_below(&rng, 8));
        check_stream(&stream);
        free_stream(&stream);
        random_contexts_free(&own);
    }
}

/* Streams that are hard for LZW: a de Bruijn sequence (no string of 4 ever comes again), the code used
 * in the step that learns it, and a change of habits after the dictionary froze. */
static void adversarial_streams(void **state)
{
    (void)state;
    struct stream stream = stream_of(1, 64, 64);
    uint8_t seen[4096] = {0};
    unsigned word = 0;
    for (size_t at = 0; at < stream.count; at++) { /* prefer-largest construction */
        int symbol = 7;
        while (symbol > 0 && seen[(word << 3 | (unsigned)symbol) & 4095])
            symbol--;
        word = (word << 3 | (unsigned)symbol) & 4095;
        seen[word] = 1;
        stream.symbols[at] = (uint8_t)symbol;
    }
    int size = check_stream(&stream);
    assert_true(size > 4096 * 3 / 8); /* longer than raw: the caller must be able to fall back */
    free_stream(&stream);

    stream = stream_of(3, 10, 100);
    for (size_t at = 0, run = 1; at < stream.count; run++) /* 0 1 00 11 000 111 ... */
        for (size_t i = 0; i < 2 * run && at < stream.count; i++)
            stream.symbols[at++] = (uint8_t)(i >= run);
    check_stream(&stream);
    free_stream(&stream);

    struct agn_rng rng;
    agn_rng_seed(&rng, 22);
    stream = stream_of(1, 100, 200);
    for (size_t at = 0; at < stream.count; at++)
        stream.symbols[at] = (uint8_t)(at < 12000 ? agn_rng_below(&rng, 8) : at / 3 % 2);
    check_stream(&stream);
    free_stream(&stream);
}

/* Symbols that follow the distributions: the least that any code takes is -log2 of their probabilities. */
static double draw_symbols(struct stream *stream, struct agn_rng *rng)
{
    const struct agn_context_model *model = stream->tile.contexts;
    double bits = 0.0;
    for (size_t at = 0; at < stream->count; at++) {
        unsigned d = naive_distribution(&stream->tile, stream->symbols, at), symbol = 0;
        unsigned value = agn_rng_below(rng, 32768);
        while (naive_below(model, d, symbol + 1) <= value)
            symbol++;
        stream->symbols[at] = (uint8_t)symbol;
        bits -= log2((naive_below(model, d, symbol + 1) - naive_below(model, d, symbol)) / 32768.0);
    }
    return bits;
}

static void as_short_as_can_be(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 26);
    double all_ideal = 0.0, all_range = 0.0;
    for (int i = 0; i < 60; i++) {
        struct random_contexts own;
        random_contexts_make(&own, &rng, 255, 1 + agn_rng_below(&rng, 64));
        struct stream stream = i < 30 ? random_shape(&rng, 500) : stream_of(10, 20, 20);
        stream.tile.contexts = &own.model;
        double ideal = draw_symbols(&stream, &rng) / 8.0;
        int range = check_codec(AGN_CODEC_RANGE, &stream);
        if (range > ideal * 1.005 + 2.0)
            fail_msg("stream %d of %zu symbols: %d bytes, %.1f would do", i, stream.count, range, ideal);
        all_ideal += ideal;
        all_range += range;
        free_stream(&stream);
        random_contexts_free(&own);
    }
    print_message("ideal %.0f bytes, range %.0f\n", all_ideal, all_range);
    assert_true(all_range < all_ideal * 1.004);
}

/* ---- snapshots and carries ------------------------------------------------------------------- */

/* Symbols that keep the interval astride a number such as 0x80 00 00 ...: its low end is 7F FF FF ..., one
 * carry away from it. From row `from` on, a random end. Returns the number's first byte. (Now and then a
 * number lies beside all parts of an interval, then another one is taken.) */
static uint8_t walk_the_edge(struct stream *stream, struct agn_rng *rng, unsigned from)
{
    uint8_t edge = 0x80;
    while (agn_decode(AGN_CODEC_RANGE, &stream->tile, &edge, 1, stream->symbols, stream->count) < 0)
        assert_int_not_equal(++edge, 0);
    for (size_t at = (size_t)from * stream->tile.width; at < stream->count; at++)
        stream->symbols[at] = (uint8_t)(agn_rng_below(rng, 8) ? 7 : agn_rng_below(rng, 8));
    return edge;
}

static void carries_run_far(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 27);
    int carried = 0, not_carried = 0;
    for (int i = 0; i < 200; i++) {
        struct stream stream = random_shape(&rng, 900);
        uint8_t bytes[2000];
        size_t bound = 0;
        uint8_t edge = walk_the_edge(&stream, &rng, stream.rows);
        naive_encode(AGN_CODEC_RANGE, &stream.tile, stream.symbols, stream.count, bytes, &bound);
        if (bound > 1) { /* then the number is the one in the interval that ends with the most zeros */
            assert_int_equal(check_codec(AGN_CODEC_RANGE, &stream), 1);
            encode(AGN_CODEC_RANGE, &stream, bytes, sizeof bytes);
            assert_int_equal(bytes[0], edge);
        }
        edge = walk_the_edge(&stream, &rng, stream.rows - 1 - agn_rng_below(&rng, stream.rows));
        if (check_codec(AGN_CODEC_RANGE, &stream) > 4) {
            encode(AGN_CODEC_RANGE, &stream, bytes, sizeof bytes);
            *(bytes[0] == edge ? &carried : &not_carried) += 1;
        }
        free_stream(&stream);
    }
    print_message("%d carries, %d none\n", carried, not_carried);
    assert_true(carried > 20 && not_carried > 20);
}

/* Copies at each row; the original goes on and the copy is finished then. Counts how often the copy's bytes
 * had changed by then. */
static void check_copy(int codec, struct stream *stream, unsigned border, int *changed)
{
    uint8_t bytes[4000], then[4000], expected[4000];
    struct agn_encoder encoder, copy;
    pack_rows(stream);
    begin(&encoder, codec, stream, bytes, sizeof bytes);
    put_rows(&encoder, stream, 0, border, 3);
    copy = encoder;
    memcpy(then, bytes, copy.length);
    put_rows(&encoder, stream, border, stream->rows, 3);
    *changed += memcmp(then, bytes, copy.length) != 0;
    int size = agn_encoder_finish(&copy);
    begin(&encoder, codec, stream, expected, sizeof expected);
    put_rows(&encoder, stream, 0, border, 1);
    assert_int_equal(agn_encoder_finish(&encoder), size);
    assert_memory_equal(bytes, expected, (size_t)size);
}

static void a_copy_can_be_finished_later(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 23);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++) {
        int changed = 0;
        for (int i = 0; i < 200; i++) {
            struct stream stream = random_shape(&rng, 1000);
            for (size_t at = 0; at < stream.count; at++)
                stream.symbols[at] = (uint8_t)agn_rng_below(&rng, i % 2 ? 3 : 8);
            if (codec == AGN_CODEC_RANGE && i % 4 != 0)
                walk_the_edge(&stream, &rng, agn_rng_below(&rng, stream.rows));
            for (unsigned border = 0; border <= stream.rows; border++)
                check_copy(codec, &stream, border, &changed);
            free_stream(&stream);
        }
        if (codec == AGN_CODEC_RANGE)
            assert_true(changed > 100);
        else
            assert_int_equal(changed, 0);
    }
}

/* As the device does: room for a part only, the last copy that fits is finished. */
static void the_last_copy_that_fits(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 28);
    for (int i = 0; i < 2000; i++) {
        int codec = i % AGN_CODEC_COUNT;
        struct stream stream = random_shape(&rng, 600);
        uint8_t bytes[300], back[600];
        for (size_t at = 0; at < stream.count; at++)
            stream.symbols[at] = (uint8_t)agn_rng_below(&rng, 8);
        if (agn_rng_below(&rng, 2))
            walk_the_edge(&stream, &rng, agn_rng_below(&rng, stream.rows));
        pack_rows(&stream);
        struct agn_encoder encoder, best;
        size_t cap = agn_rng_below(&rng, sizeof bytes);
        unsigned rows = 0;
        begin(&encoder, codec, &stream, bytes, cap);
        best = encoder;
        for (unsigned row = 0; row < stream.tile.row_count; row++) {
            put_rows(&encoder, &stream, row, row + 1, 1);
            if (agn_encoder_size(&encoder) < 0)
                break;
            best = encoder;
            rows = row + 1;
        }
        int size = agn_encoder_finish(&best);
        assert_in_range(size, 0, cap);
        stream.tile.channel_count = 1;
        stream.tile.row_count = (uint8_t)rows;
        size_t count = (size_t)rows * stream.tile.width;
        assert_int_equal(agn_decode(codec, &stream.tile, bytes, (size_t)size, back, count), 0);
        assert_memory_equal(back, stream.symbols, count);
        free_stream(&stream);
    }
}

/* ---- hostile bytes ------------------------------------------------------------------------------ */

/* Damaged bytes: an error, or as many symbols as asked for, all below 8; nothing beyond them. */
static void check_hostile(int codec, const struct agn_tile *tile, const uint8_t *bytes, size_t len)
{
    size_t count = (size_t)tile->channel_count * tile->row_count * tile->width;
    uint8_t *exact = take(len), *back = take(count);
    if (len > 0)
        memcpy(exact, bytes, len);
    int status = agn_decode(codec, tile, exact, len, back, count);
    assert_true(status == 0 || status == AGN_ERR_FORMAT);
    for (size_t i = 0; status == 0 && i < count; i++)
        if (back[i] > 7)
            fail_msg("codec %d, status %d: symbol %zu is %u", codec, status, i, back[i]);
    free(exact);
    free(back);
}

/* A shorter range stream is another one, with zeros at its end; any other codec's is refused. */
static void check_shorter(int codec, const struct stream *stream, const uint8_t *bytes, size_t size)
{
    uint8_t *back = take(stream->count);
    for (size_t len = 0; len < size; len++) {
        if (codec == AGN_CODEC_RANGE)
            check_hostile(codec, &stream->tile, bytes, len);
        else
            assert_int_equal(agn_decode(codec, &stream->tile, bytes, len, back, stream->count),
                             AGN_ERR_FORMAT);
        if (codec == AGN_CODEC_RANGE && len > 0 && bytes[len - 1] == 0)
            assert_int_equal(agn_decode(codec, &stream->tile, bytes, len, back, stream->count),
                             AGN_ERR_FORMAT);
    }
    free(back);
}

static void damaged_streams(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 24);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++)
        for (int i = 0; i < 12; i++) {
            uint8_t bytes[2000], back[700];
            struct stream stream = random_shape(&rng, 700);
            for (size_t at = 0; at < stream.count; at++)
                stream.symbols[at] = (uint8_t)(agn_rng_below(&rng, 4) ? 0 : agn_rng_below(&rng, 8));
            pack_rows(&stream);
            size_t bound = 0;
            size_t size = (size_t)encode(codec, &stream, bytes, sizeof bytes);
            naive_encode(codec, &stream.tile, stream.symbols, stream.count, bytes, &bound);
            check_shorter(codec, &stream, bytes, size);
            bytes[size] = 0;
            assert_int_equal(agn_decode(codec, &stream.tile, bytes, size + 1, back, stream.count),
                             AGN_ERR_FORMAT);
            for (size_t at = 0; at < size; at++)
                for (int bit = 0; bit < 8; bit++) {
                    bytes[at] = (uint8_t)(bytes[at] ^ 1 << bit);
                    check_hostile(codec, &stream.tile, bytes, size);
                    bytes[at] = (uint8_t)(bytes[at] ^ 1 << bit);
                }
            /* More bytes than the symbols can need, the last one not 0. */
            memset(bytes + size, 0, bound + 1 - size);
            bytes[bound] = 1;
            assert_int_equal(agn_decode(codec, &stream.tile, bytes, bound + 1, back, stream.count),
                             AGN_ERR_FORMAT);
            free_stream(&stream);
        }
}

/* However few or many bytes: the tile bounds what comes out. */
static void random_bytes(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 25);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        struct stream stream = random_shape(&rng, 200);
        size_t len = agn_rng_below(&rng, sizeof bytes + 1);
        for (size_t at = 0; at < len; at++)
            bytes[at] = (uint8_t)(agn_rng_below(&rng, 3) ? agn_rng_below(&rng, 256) : 0);
        check_hostile((int)agn_rng_below(&rng, AGN_CODEC_COUNT), &stream.tile, bytes, len);
        free_stream(&stream);
    }
    /* The largest tile, from nothing. */
    struct agn_tile largest = {0, 16, 0, 255, 255, &contexts.model};
    check_hostile(AGN_CODEC_RANGE, &largest, NULL, 0);
}

static void impossible_codes_and_spare_bits(void **state)
{
    (void)state;
    uint8_t back[16] = {0};
    const struct agn_tile tile = {0, 1, 0, 1, 1, &contexts.model};
    /* 3 bits: symbol 1; then 4 bits: code 8 is the string being learned ("11"), 9 is unknown yet. */
    const uint8_t learns[] = {1 | 8 << 3}, unknown[] = {1 | 9 << 3};
    assert_int_equal(agn_decode(AGN_CODEC_LZW, &tile, learns, 1, back, 3), 0);
    assert_int_equal(back[0] + back[1] + back[2], 3);
    assert_int_equal(agn_decode(AGN_CODEC_LZW, &tile, unknown, 1, back, 3), AGN_ERR_FORMAT);
    /* The string is longer than what is left. */
    assert_int_equal(agn_decode(AGN_CODEC_LZW, &tile, learns, 1, back, 2), AGN_ERR_FORMAT);
    /* A spare bit that is not zero: of a byte that holds one symbol of at most 7 bits. */
    const uint8_t dirty[] = {1 | 0x80};
    assert_int_equal(agn_decode(AGN_CODEC_LZW, &tile, dirty, 1, back, 1), AGN_ERR_FORMAT);
    assert_int_equal(agn_decode(AGN_CODEC_RAW3, &tile, dirty, 1, back, 1), AGN_ERR_FORMAT);
    /* More symbols than any stream of that length holds, up to the largest number. */
    assert_int_equal(agn_decode(AGN_CODEC_RAW3, &tile, dirty, 1, back, SIZE_MAX / 3 + 1), AGN_ERR_FORMAT);
}

/* ---- arguments ------------------------------------------------------------------------------------ */

static void bad_arguments(void **state)
{
    (void)state;
    static uint16_t memory[AGN_LZW_STATE_BYTES / 2 + 1];
    const struct agn_tile tile = {0, 1, 0, 1, 1, &contexts.model};
    struct agn_encoder encoder;
    uint8_t byte = 0;
    assert_int_equal(agn_encoder_begin(&encoder, AGN_CODEC_COUNT, &tile, memory, sizeof memory, &byte, 1),
                     AGN_ERR_UNSUPPORTED);
    assert_int_equal(
        agn_encoder_begin(&encoder, AGN_CODEC_LZW, &tile, memory, AGN_LZW_STATE_BYTES - 1, &byte, 1),
        AGN_ERR_SPACE);
    assert_int_equal(agn_encoder_begin(&encoder, AGN_CODEC_LZW, &tile, (uint8_t *)memory + 1,
                                       AGN_LZW_STATE_BYTES, &byte, 1),
                     AGN_ERR_ARG);
    assert_int_equal(agn_decode(-1, &tile, &byte, 1, &byte, 1), AGN_ERR_UNSUPPORTED);
    assert_int_equal(agn_codec_state_bytes(7), AGN_ERR_UNSUPPORTED);
    assert_int_equal(agn_codec_state_bytes(AGN_CODEC_LZW), AGN_LZW_STATE_BYTES);
    assert_int_equal(agn_codec_state_bytes(AGN_CODEC_RANGE), 0);
    assert_null(agn_codec_name(7));
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++)
        assert_int_equal(agn_codec_from_name(agn_codec_name(codec)), codec);
    assert_int_equal(agn_codec_from_name("lzw2"), AGN_ERR_UNSUPPORTED);
    assert_int_equal(agn_codec_from_name(""), AGN_ERR_UNSUPPORTED);
}

/* Without a context model, with one of too few channels, with a count that is not the tile's. */
static void contexts_are_needed(void **state)
{
    (void)state;
    struct agn_context_model few = contexts.model;
    few.channels = 6;
    const struct agn_tile tiles[] = {{0, 1, 0, 1, 1, NULL}, {5, 2, 0, 1, 1, &few}};
    const struct agn_tile fits = {5, 1, 0, 2, 3, &few};
    struct agn_encoder encoder;
    uint8_t byte = 0, back[8];
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++) {
        static uint16_t memory[AGN_LZW_STATE_BYTES / 2];
        int needed = codec == AGN_CODEC_RANGE;
        assert_int_equal(agn_codec_needs_contexts(codec), needed);
        for (size_t i = 0; i < AGN_COUNT_OF(tiles); i++) {
            int status = agn_encoder_begin(&encoder, codec, &tiles[i], memory, sizeof memory, &byte, 1);
            assert_int_equal(status, needed ? AGN_ERR_ARG : 0);
            if (needed)
                assert_int_equal(agn_decode(codec, &tiles[i], &byte, 1, back, i + 1), AGN_ERR_ARG);
        }
        for (size_t count = 0; needed && count <= sizeof back; count++)
            if (count != 6)
                assert_int_equal(agn_decode(codec, &fits, &byte, 0, back, count), AGN_ERR_ARG);
    }
    assert_int_equal(agn_codec_needs_contexts(AGN_CODEC_COUNT), 0);
}

static void damaged_context_models(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 29);
    struct random_contexts own;
    random_contexts_make(&own, &rng, 3, 5);
    struct agn_context_model model = own.model;
    const struct {
        uint8_t *at, value;
    } cases[] = {
        {own.map + 3 * AGN_CONTEXTS - 1, 5},
        {own.map, 255},
        {own.cumulative + 15, 0x7f},
        {own.cumulative + 14, 1},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        uint8_t before = *cases[i].at;
        *cases[i].at = cases[i].value;
        if (agn_context_model_check(&model) != AGN_ERR_RANGE)
            fail_msg("case %zu is taken", i);
        *cases[i].at = before;
        assert_int_equal(agn_context_model_check(&model), 0);
    }
    /* Two equal sums: a symbol that cannot occur. */
    uint8_t before[2] = {own.cumulative[2], own.cumulative[3]};
    memcpy(own.cumulative + 2, own.cumulative, 2);
    assert_int_equal(agn_context_model_check(&model), AGN_ERR_RANGE);
    memcpy(own.cumulative + 2, before, 2);
    model.distributions = 0;
    assert_int_equal(agn_context_model_check(&model), AGN_ERR_RANGE);
    model = own.model;
    model.channels = 0;
    assert_int_equal(agn_context_model_check(&model), AGN_ERR_RANGE);
    model = own.model;
    model.map = NULL;
    assert_int_equal(agn_context_model_check(&model), AGN_ERR_RANGE);
    random_contexts_free(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_streams),
        cmocka_unit_test(constant_streams),
        cmocka_unit_test(random_streams),
        cmocka_unit_test(adversarial_streams),
        cmocka_unit_test(as_short_as_can_be),
        cmocka_unit_test(carries_run_far),
        cmocka_unit_test(a_copy_can_be_finished_later),
        cmocka_unit_test(the_last_copy_that_fits),
        cmocka_unit_test(damaged_streams),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(impossible_codes_and_spare_bits),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(contexts_are_needed),
        cmocka_unit_test(damaged_context_models),
    };
    return cmocka_run_group_tests(tests, make_contexts, free_contexts);
}
