/* Symbol codecs: round trips, an independent reference encoder, overflow, snapshots, and
 * hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_wire.h"
#include "support/naive_device.h"

static const struct agn_tile ANY_TILE = {0, 1, 0, 1, 1};

/* What is encoded: symbols in memory of exactly that size, so that ASan guards its ends. */
struct stream {
    uint8_t *symbols;
    size_t count;
};

static struct stream stream_of(size_t count)
{
    struct stream stream = {malloc(count ? count : 1), count};
    assert_non_null(stream.symbols);
    memset(stream.symbols, 0, count ? count : 1);
    return stream;
}

static int encode(int codec, const struct stream *stream, uint8_t *dst, size_t cap)
{
    static uint16_t state[AGN_LZW_STATE_BYTES / 2];
    struct agn_encoder encoder;
    memset(state, 0x5A, sizeof state);
    assert_int_equal(agn_encoder_begin(&encoder, codec, &ANY_TILE, state, sizeof state, dst, cap), 0);
    for (size_t i = 0; i < stream->count; i++)
        agn_encoder_put(&encoder, stream->symbols[i]);
    int expected = agn_encoder_size(&encoder);
    int size = agn_encoder_finish(&encoder);
    assert_int_equal(size, expected);
    return size;
}

/* Round trip with both codecs, against the reference encoder; and each cap from too small to enough
 * (in steps), with a guard behind it. Returns LZW's size. */
static int check_stream(const struct stream *stream)
{
    size_t room = 2 * stream->count + 2;
    uint8_t *bytes = malloc(room), *reference = malloc(room), *back = malloc(stream->count + 1);
    assert_non_null(bytes);
    assert_non_null(reference);
    assert_non_null(back);
    int size = 0;
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++) {
        size = encode(codec, stream, bytes, room);
        size_t expected = codec == AGN_CODEC_LZW
                              ? naive_encode_lzw(stream->symbols, stream->count, reference)
                              : naive_encode_raw(stream->symbols, stream->count, reference);
        assert_int_equal(size, expected);
        assert_memory_equal(bytes, reference, expected);
        memset(back, 0xEE, stream->count + 1);
        assert_int_equal(agn_decode(codec, &ANY_TILE, bytes, (size_t)size, back, stream->count), 0);
        assert_memory_equal(back, stream->symbols, stream->count);
        assert_int_equal(back[stream->count], 0xEE);

        for (size_t cap = 0; cap <= expected; cap += 1 + expected / 50) {
            memset(bytes, 0xEE, room);
            assert_int_equal(encode(codec, stream, bytes, cap), cap < expected ? AGN_ERR_SPACE : size);
            for (size_t i = cap; i < room; i++)
                assert_int_equal(bytes[i], 0xEE);
        }
        assert_int_equal(encode(codec, stream, bytes, expected), size);
    }
    free(bytes);
    free(reference);
    free(back);
    return size;
}

static void empty_streams(void **state)
{
    (void)state;
    struct stream stream = stream_of(0);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++) {
        uint8_t byte = 0;
        assert_int_equal(encode(codec, &stream, NULL, 0), 0);
        assert_int_equal(agn_decode(codec, &ANY_TILE, &byte, 0, &byte, 0), 0);
        assert_int_equal(agn_decode(codec, &ANY_TILE, &byte, 1, &byte, 0), AGN_ERR_FORMAT);
    }
    free(stream.symbols);
}

static void constant_streams(void **state)
{
    (void)state;
    for (size_t count = 1; count < 20000; count = count * 3 / 2 + 1)
        for (unsigned symbol = 0; symbol < 8; symbol += 7) {
            struct stream stream = stream_of(count);
            memset(stream.symbols, (int)symbol, count);
            int size = check_stream(&stream);
            if (count > 1000)
                assert_true((size_t)size < count / 10);
            free(stream.symbols);
        }
}

static void random_streams(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 21);
    for (int i = 0; i < 150; i++) {
        struct stream stream = stream_of(agn_rng_below(&rng, i < 100 ? 300 : 6000));
        unsigned zeros = agn_rng_below(&rng, 100); /* percent that are 0, as sparse features are */
        for (size_t at = 0; at < stream.count; at++)
            stream.symbols[at] = (uint8_t)(agn_rng_below(&rng, 100) < zeros ? 0 : agn_rng_below(&rng, 8));
        check_stream(&stream);
        free(stream.symbols);
    }
}

/* Streams that are hard for LZW: a de Bruijn sequence (no string of 4 ever comes again), the code used
 * in the step that learns it, and a change of habits after the dictionary froze. */
static void adversarial_streams(void **state)
{
    (void)state;
    struct stream stream = stream_of(4096);
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
    free(stream.symbols);

    stream = stream_of(3000);
    for (size_t at = 0, run = 1; at < stream.count; run++) /* 0 1 00 11 000 111 ... */
        for (size_t i = 0; i < 2 * run && at < stream.count; i++)
            stream.symbols[at++] = (uint8_t)(i >= run);
    check_stream(&stream);
    free(stream.symbols);

    struct agn_rng rng;
    agn_rng_seed(&rng, 22);
    stream = stream_of(20000);
    for (size_t at = 0; at < stream.count; at++)
        stream.symbols[at] = (uint8_t)(at < 12000 ? agn_rng_below(&rng, 8) : at / 3 % 2);
    check_stream(&stream);
    free(stream.symbols);
}

static void a_copy_can_be_finished_later(void **state)
{
    (void)state;
    static uint16_t memory[AGN_LZW_STATE_BYTES / 2];
    struct agn_rng rng;
    agn_rng_seed(&rng, 23);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++)
        for (int i = 0; i < 50; i++) {
            uint8_t bytes[2000], expected[2000];
            struct agn_encoder encoder, copy;
            struct stream stream = stream_of(1 + agn_rng_below(&rng, 500));
            size_t border = agn_rng_below(&rng, (uint32_t)stream.count + 1);
            for (size_t at = 0; at < stream.count; at++)
                stream.symbols[at] = (uint8_t)agn_rng_below(&rng, 3);
            assert_int_equal(
                agn_encoder_begin(&encoder, codec, &ANY_TILE, memory, sizeof memory, bytes, sizeof bytes), 0);
            copy = encoder;
            for (size_t at = 0; at < stream.count; at++) {
                if (at == border)
                    copy = encoder;
                agn_encoder_put(&encoder, stream.symbols[at]);
            }
            if (border == stream.count)
                copy = encoder;
            int size = agn_encoder_finish(&copy);
            stream.count = border;
            assert_int_equal(encode(codec, &stream, expected, sizeof expected), size);
            assert_memory_equal(bytes, expected, (size_t)size);
            free(stream.symbols);
        }
}

/* Damaged bytes: an error that leaves the output alone, or as many symbols as asked for, all below 8. */
static void check_hostile(int codec, const uint8_t *bytes, size_t len, size_t count)
{
    uint8_t *exact = malloc(len ? len : 1), *back = malloc(count ? count : 1);
    assert_non_null(exact);
    assert_non_null(back);
    memcpy(exact, bytes, len);
    memset(back, 0xEE, count ? count : 1);
    int status = agn_decode(codec, &ANY_TILE, exact, len, back, count);
    assert_true(status == 0 || status == AGN_ERR_FORMAT);
    for (size_t i = 0; i < count; i++)
        if (status == 0 ? back[i] > 7 : back[i] != 0xEE)
            fail_msg("codec %d, status %d: symbol %zu is %u", codec, status, i, back[i]);
    free(exact);
    free(back);
}

static void damaged_streams(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 24);
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++)
        for (int i = 0; i < 12; i++) {
            uint8_t bytes[1000], back[700];
            struct stream stream = stream_of(1 + agn_rng_below(&rng, 700));
            for (size_t at = 0; at < stream.count; at++)
                stream.symbols[at] = (uint8_t)(agn_rng_below(&rng, 4) ? 0 : agn_rng_below(&rng, 8));
            size_t size = (size_t)encode(codec, &stream, bytes, sizeof bytes);
            for (size_t len = 0; len < size; len++)
                assert_int_equal(agn_decode(codec, &ANY_TILE, bytes, len, back, stream.count),
                                 AGN_ERR_FORMAT);
            bytes[size] = 0;
            assert_int_equal(agn_decode(codec, &ANY_TILE, bytes, size + 1, back, stream.count),
                             AGN_ERR_FORMAT);
            for (size_t at = 0; at < size; at++)
                for (int bit = 0; bit < 8; bit++) {
                    bytes[at] = (uint8_t)(bytes[at] ^ 1 << bit);
                    check_hostile(codec, bytes, size, stream.count);
                    bytes[at] = (uint8_t)(bytes[at] ^ 1 << bit);
                }
            free(stream.symbols);
        }
}

static void random_bytes(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 25);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        size_t len = agn_rng_below(&rng, sizeof bytes + 1);
        for (size_t at = 0; at < len; at++)
            bytes[at] = (uint8_t)(agn_rng_below(&rng, 3) ? agn_rng_below(&rng, 256) : 0);
        check_hostile((int)agn_rng_below(&rng, AGN_CODEC_COUNT), bytes, len, agn_rng_below(&rng, 200));
    }
}

static void impossible_codes_and_spare_bits(void **state)
{
    (void)state;
    uint8_t back[16] = {0};
    /* 3 bits: symbol 1; then 4 bits: code 8 is the string being learned ("11"), 9 is unknown yet. */
    const uint8_t learns[] = {1 | 8 << 3}, unknown[] = {1 | 9 << 3};
    assert_int_equal(agn_decode(AGN_CODEC_LZW, &ANY_TILE, learns, 1, back, 3), 0);
    assert_int_equal(back[0] + back[1] + back[2], 3);
    assert_int_equal(agn_decode(AGN_CODEC_LZW, &ANY_TILE, unknown, 1, back, 3), AGN_ERR_FORMAT);
    /* The string is longer than what is left. */
    assert_int_equal(agn_decode(AGN_CODEC_LZW, &ANY_TILE, learns, 1, back, 2), AGN_ERR_FORMAT);
    /* A spare bit that is not zero, with each codec. */
    const uint8_t dirty[] = {1 | 0x80};
    assert_int_equal(agn_decode(AGN_CODEC_LZW, &ANY_TILE, dirty, 1, back, 1), AGN_ERR_FORMAT);
    assert_int_equal(agn_decode(AGN_CODEC_RAW3, &ANY_TILE, dirty, 1, back, 1), AGN_ERR_FORMAT);
    /* More symbols than any stream of that length holds, up to the largest number. */
    assert_int_equal(agn_decode(AGN_CODEC_RAW3, &ANY_TILE, dirty, 1, back, SIZE_MAX / 3 + 1), AGN_ERR_FORMAT);
}

static void bad_arguments(void **state)
{
    (void)state;
    static uint16_t memory[AGN_LZW_STATE_BYTES / 2 + 1];
    struct agn_encoder encoder;
    uint8_t byte = 0;
    assert_int_equal(agn_encoder_begin(&encoder, 2, &ANY_TILE, memory, sizeof memory, &byte, 1),
                     AGN_ERR_UNSUPPORTED);
    assert_int_equal(
        agn_encoder_begin(&encoder, AGN_CODEC_LZW, &ANY_TILE, memory, AGN_LZW_STATE_BYTES - 1, &byte, 1),
        AGN_ERR_SPACE);
    assert_int_equal(agn_encoder_begin(&encoder, AGN_CODEC_LZW, &ANY_TILE, (uint8_t *)memory + 1,
                                       AGN_LZW_STATE_BYTES, &byte, 1),
                     AGN_ERR_ARG);
    assert_int_equal(agn_decode(-1, &ANY_TILE, &byte, 1, &byte, 1), AGN_ERR_UNSUPPORTED);
    assert_int_equal(agn_codec_state_bytes(7), AGN_ERR_UNSUPPORTED);
    assert_int_equal(agn_codec_state_bytes(AGN_CODEC_LZW), AGN_LZW_STATE_BYTES);
    assert_null(agn_codec_name(7));
    for (int codec = 0; codec < AGN_CODEC_COUNT; codec++)
        assert_int_equal(agn_codec_from_name(agn_codec_name(codec)), codec);
    assert_int_equal(agn_codec_from_name("lzw2"), AGN_ERR_UNSUPPORTED);
    assert_int_equal(agn_codec_from_name(""), AGN_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_streams),
        cmocka_unit_test(constant_streams),
        cmocka_unit_test(random_streams),
        cmocka_unit_test(adversarial_streams),
        cmocka_unit_test(a_copy_can_be_finished_later),
        cmocka_unit_test(damaged_streams),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(impossible_codes_and_spare_bits),
        cmocka_unit_test(bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
