/* Feature and reply packets: the vectors of docs/PROTOCOL.md, round trips, every truncation,
 * every flipped bit, values out of range behind a good checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_wire.h"

/* ---- the vectors of docs/PROTOCOL.md ---------------------------------------------------
 * Map of 3 sent channels, 4 rows, 4 columns; model 0x12345678, frame 0x0102, deadline 50 ms. */

/* Channels 0 and 1, raw: symbols 0 1 2 3 4 5 6 7, four times over. */
static const uint8_t VECTOR_RAW[] = {0x01, 0x00, 0x78, 0x56, 0x34, 0x12, 0x02, 0x01, 0x00, 0x00, 0x00,
                                     0x02, 0x00, 0x04, 0x32, 0x00, 0x88, 0xc6, 0xfa, 0x88, 0xc6, 0xfa,
                                     0x88, 0xc6, 0xfa, 0x88, 0xc6, 0xfa, 0x7f, 0xb8, 0x0d, 0xc7};
/* Channel 2, LZW, last: ten 0, two 5, four 0. */
static const uint8_t VECTOR_LZW[] = {0x01, 0x01, 0x78, 0x56, 0x34, 0x12, 0x02, 0x01, 0x01, 0x01, 0x02, 0x01,
                                     0x00, 0x04, 0x32, 0x00, 0xc0, 0xd4, 0x2a, 0x05, 0xed, 0xf5, 0xeb, 0x6c};
/* The same channel with the codec that needs a context model. */
static const uint8_t VECTOR_RANGE[] = {0x01, 0x02, 0x78, 0x56, 0x34, 0x12, 0x02, 0x01, 0x01, 0x01, 0x02, 0x01,
                                       0x00, 0x04, 0x32, 0x00, 0x0e, 0x44, 0x2a, 0x45, 0x9c, 0xfc, 0xe2};
/* Its context model: channels 0 and 1 have distribution 0 only; channel 2 has 0 in context 0, 1 in the
 * contexts 1 to 3, 2 in 4 to 15 and 3 in all others. */
static const uint16_t VECTOR_SUMS[4][8] = {{24576, 28672, 30720, 31744, 32256, 32512, 32640, 32768},
                                           {16384, 20480, 24576, 26624, 28672, 30720, 31744, 32768},
                                           {8192, 12288, 16384, 20480, 24576, 28672, 30720, 32768},
                                           {12288, 16384, 18432, 20480, 22528, 28672, 30720, 32768}};
/* Four logits: 1, -1/2, the largest, the smallest. */
static const uint8_t VECTOR_OK[] = {0x81, 0x00, 0x78, 0x56, 0x34, 0x12, 0x02, 0x01, 0x04, 0x00, 0x00, 0x00,
                                    0x00, 0x01, 0x80, 0xff, 0xff, 0x7f, 0x00, 0x80, 0x93, 0xe2, 0xd9, 0xda};
static const uint8_t VECTOR_BUSY[] = {0x81, 0x04, 0x78, 0x56, 0x34, 0x12, 0x02, 0x01,
                                      0x00, 0x00, 0x00, 0x00, 0x29, 0x33, 0xd6, 0x55};
static const int16_t VECTOR_LOGITS[] = {256, -128, 32767, -32768};

static void vector_symbols(uint8_t *map)
{
    memset(map, 0, 48);
    for (int i = 0; i < 32; i++)
        map[i] = (uint8_t)(i % 8);
    map[42] = map[43] = 5;
}

static void feature_vectors(void **state)
{
    (void)state;
    const struct agn_map_shape shape = {3, 4, 4};
    struct agn_feature_packet packet;
    uint8_t map[48], expected[48], bytes[64];
    memset(map, 0xEE, sizeof map);
    vector_symbols(expected);

    assert_int_equal(agn_feature_unpack(VECTOR_RAW, sizeof VECTOR_RAW, &packet), 0);
    assert_int_equal(packet.model_id, 0x12345678);
    assert_int_equal(packet.frame, 0x0102);
    assert_int_equal(packet.index, 0);
    assert_int_equal(packet.last, 0);
    assert_int_equal(packet.codec, AGN_CODEC_RAW3);
    assert_int_equal(packet.channel_count, 2);
    assert_int_equal(packet.row_count, 4);
    assert_int_equal(packet.deadline_ms, 50);
    assert_int_equal(agn_feature_decode(&packet, &shape, NULL, map), 0);
    assert_int_equal(agn_feature_pack(&packet, bytes, sizeof bytes), sizeof VECTOR_RAW);
    assert_memory_equal(bytes, VECTOR_RAW, sizeof VECTOR_RAW);

    assert_int_equal(agn_feature_unpack(VECTOR_LZW, sizeof VECTOR_LZW, &packet), 0);
    assert_int_equal(packet.index, 1);
    assert_int_equal(packet.last, 1);
    assert_int_equal(packet.channel_first, 2);
    assert_int_equal(agn_feature_decode(&packet, &shape, NULL, map), 0);
    assert_memory_equal(map, expected, sizeof map);
    assert_int_equal(agn_feature_pack(&packet, bytes, sizeof VECTOR_LZW), sizeof VECTOR_LZW);
    assert_memory_equal(bytes, VECTOR_LZW, sizeof VECTOR_LZW);

    static uint16_t memory[AGN_LZW_STATE_BYTES / 2];
    const struct agn_tile tile = {2, 1, 0, 4, 4, NULL};
    struct agn_encoder encoder;
    assert_int_equal(agn_encoder_begin(&encoder, AGN_CODEC_LZW, &tile, memory, sizeof memory, bytes, 4), 0);
    for (size_t row = 0; row < 4; row++) {
        uint8_t packed[2];
        agn_row_pack(expected + 32 + 4 * row, 4, packed);
        agn_encoder_put_rows(&encoder, packed, 1);
    }
    assert_int_equal(agn_encoder_finish(&encoder), 4);
    assert_memory_equal(bytes, VECTOR_LZW + 16, 4);
}

/* Contexts, tables and payloads as docs/PROTOCOL.md has them, both ways. */
static void context_vectors(void **state)
{
    (void)state;
    static uint8_t table[3 * AGN_CONTEXTS], cumulative[4 * AGN_DISTRIBUTION_BYTES];
    const struct agn_map_shape shape = {3, 4, 4};
    struct agn_context_model contexts = {table, cumulative, 4, 3};
    uint8_t map[48], expected[48], rows[4 * 2], bytes[8];
    vector_symbols(expected);
    for (int i = 0; i < AGN_CONTEXTS; i++)
        table[2 * AGN_CONTEXTS + i] = (uint8_t)(i == 0 ? 0 : i < 4 ? 1 : i < 16 ? 2 : 3);
    for (size_t i = 0; i < 32; i++) {
        cumulative[2 * i] = (uint8_t)VECTOR_SUMS[i / 8][i % 8];
        cumulative[2 * i + 1] = (uint8_t)(VECTOR_SUMS[i / 8][i % 8] >> 8);
    }
    assert_int_equal(agn_context_model_check(&contexts), 0);
    for (size_t row = 0; row < 4; row++)
        agn_row_pack(expected + 32 + 4 * row, 4, rows + 2 * row);

    struct agn_feature_packet packet;
    struct agn_encoder encoder;
    const struct agn_tile tile = {2, 1, 0, 4, 4, &contexts};
    memset(map, 0xEE, sizeof map);
    assert_int_equal(agn_feature_unpack(VECTOR_RANGE, sizeof VECTOR_RANGE, &packet), 0);
    assert_int_equal(packet.codec, AGN_CODEC_RANGE);
    assert_int_equal(agn_feature_decode(&packet, &shape, NULL, map), AGN_ERR_UNSUPPORTED);
    contexts.channels = 2; /* another model's */
    assert_int_equal(agn_feature_decode(&packet, &shape, &contexts, map), AGN_ERR_UNSUPPORTED);
    contexts.channels = 3;
    assert_int_equal(map[32], 0xEE);
    assert_int_equal(agn_feature_decode(&packet, &shape, &contexts, map), 0);
    assert_memory_equal(map + 32, expected + 32, 16);
    assert_int_equal(map[31], 0xEE);
    assert_int_equal(agn_encoder_begin(&encoder, AGN_CODEC_RANGE, &tile, NULL, 0, bytes, sizeof bytes), 0);
    agn_encoder_put_rows(&encoder, rows, 4);
    assert_int_equal(agn_encoder_finish(&encoder), 3);
    assert_memory_equal(bytes, VECTOR_RANGE + 16, 3);
}

static void reply_vectors(void **state)
{
    (void)state;
    struct agn_reply_packet reply;
    uint8_t bytes[64];
    assert_int_equal(agn_reply_unpack(VECTOR_OK, sizeof VECTOR_OK, &reply), 0);
    assert_int_equal(reply.model_id, 0x12345678);
    assert_int_equal(reply.frame, 0x0102);
    assert_int_equal(reply.status, AGN_REPLY_OK);
    assert_int_equal(reply.class_count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(agn_reply_logit(&reply, i), VECTOR_LOGITS[i]);
    assert_int_equal(agn_reply_pack(&reply, VECTOR_LOGITS, bytes, sizeof VECTOR_OK), sizeof VECTOR_OK);
    assert_memory_equal(bytes, VECTOR_OK, sizeof VECTOR_OK);

    assert_int_equal(agn_reply_unpack(VECTOR_BUSY, sizeof VECTOR_BUSY, &reply), 0);
    assert_int_equal(reply.status, AGN_REPLY_BUSY);
    assert_int_equal(reply.class_count, 0);
    assert_int_equal(agn_reply_pack(&reply, NULL, bytes, sizeof bytes), sizeof VECTOR_BUSY);
    assert_memory_equal(bytes, VECTOR_BUSY, sizeof VECTOR_BUSY);
}

/* ---- damage ------------------------------------------------------------------------------ */

typedef int unpack_fn(const uint8_t *src, size_t len);

static int unpack_feature(const uint8_t *src, size_t len)
{
    struct agn_feature_packet packet, untouched;
    memset(&packet, 0xA5, sizeof packet);
    memset(&untouched, 0xA5, sizeof untouched);
    int status = agn_feature_unpack(src, len, &packet);
    if (status < 0)
        assert_memory_equal(&packet, &untouched, sizeof packet);
    return status;
}

static void versions_of_replies(void **state)
{
    (void)state;
    uint8_t bytes[64];
    assert_int_equal(agn_reply_version(VECTOR_OK, sizeof VECTOR_OK), AGN_WIRE_VERSION);
    assert_int_equal(agn_reply_version(VECTOR_BUSY, sizeof VECTOR_BUSY), AGN_WIRE_VERSION);
    memcpy(bytes, VECTOR_BUSY, sizeof VECTOR_BUSY);
    bytes[0] = 0x80 | 9;
    assert_int_equal(agn_reply_version(bytes, sizeof VECTOR_BUSY), AGN_ERR_CHECKSUM);
    uint32_t sum = agn_crc32(0, bytes, sizeof VECTOR_BUSY - AGN_WIRE_CRC_BYTES);
    for (int i = 0; i < AGN_WIRE_CRC_BYTES; i++)
        bytes[sizeof VECTOR_BUSY - AGN_WIRE_CRC_BYTES + (size_t)i] = (uint8_t)(sum >> 8 * i);
    assert_int_equal(agn_reply_version(bytes, sizeof VECTOR_BUSY), 9);
    for (size_t len = 0; len < sizeof VECTOR_BUSY; len++)
        assert_int_equal(agn_reply_version(bytes, len), AGN_ERR_FORMAT);
    assert_int_equal(agn_reply_version(VECTOR_RAW, sizeof VECTOR_RAW), AGN_ERR_FORMAT);
}

static int unpack_reply(const uint8_t *src, size_t len)
{
    struct agn_reply_packet reply, untouched;
    memset(&reply, 0xA5, sizeof reply);
    memset(&untouched, 0xA5, sizeof untouched);
    int status = agn_reply_unpack(src, len, &reply);
    if (status < 0)
        assert_memory_equal(&reply, &untouched, sizeof reply);
    return status;
}

/* Each shorter and a longer length, each flipped bit; in memory of the exact size. */
static void check_damage(unpack_fn *unpack, const uint8_t *good, size_t len)
{
    assert_int_equal(unpack(good, len), 0);
    for (size_t at = 0; at <= len + 1; at++) {
        uint8_t *copy = malloc(at ? at : 1);
        assert_non_null(copy);
        memset(copy, 0, at ? at : 1);
        memcpy(copy, good, at < len ? at : len);
        if (at != len)
            assert_true(unpack(copy, at) < 0);
        free(copy);
    }
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, good, len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1 << bit % 8);
        int status = unpack(copy, len);
        int expected = bit == 7 ? AGN_ERR_FORMAT : bit < 7 ? AGN_ERR_VERSION : AGN_ERR_CHECKSUM;
        assert_int_equal(status, expected);
        copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1 << bit % 8);
    }
    free(copy);
}

static void damaged_packets(void **state)
{
    (void)state;
    check_damage(unpack_feature, VECTOR_RAW, sizeof VECTOR_RAW);
    check_damage(unpack_feature, VECTOR_LZW, sizeof VECTOR_LZW);
    check_damage(unpack_feature, VECTOR_RANGE, sizeof VECTOR_RANGE);
    check_damage(unpack_reply, VECTOR_OK, sizeof VECTOR_OK);
    check_damage(unpack_reply, VECTOR_BUSY, sizeof VECTOR_BUSY);
    /* A packet sent back where the other kind is expected. */
    assert_int_equal(unpack_feature(VECTOR_OK, sizeof VECTOR_OK), AGN_ERR_FORMAT);
    assert_int_equal(unpack_reply(VECTOR_RAW, sizeof VECTOR_RAW), AGN_ERR_FORMAT);
}

/* One byte changed and the checksum made good again. */
static int with_byte(unpack_fn *unpack, const uint8_t *good, size_t len, size_t at, uint8_t value)
{
    uint8_t copy[64];
    assert_true(len <= sizeof copy);
    memcpy(copy, good, len);
    copy[at] = value;
    uint32_t crc = agn_crc32(0, copy, len - 4);
    for (int i = 0; i < 4; i++)
        copy[len - 4 + (size_t)i] = (uint8_t)(crc >> 8 * i);
    return unpack(copy, len);
}

static void values_out_of_range(void **state)
{
    (void)state;
    const struct {
        size_t at;
        uint8_t value;
        int status;
    } features[] =
        {
            {0, 2, AGN_ERR_VERSION},
            {1, AGN_CODEC_JPEG + 1, AGN_ERR_UNSUPPORTED},
            {9, 2, AGN_ERR_RANGE},
            {9, 0x81, AGN_ERR_RANGE},
            {11, 0, AGN_ERR_RANGE},
            {13, 0, AGN_ERR_RANGE},
            {10, 254, AGN_ERR_RANGE},
            {12, 252, AGN_ERR_RANGE},
            {10, 253, 0},
            {8, 255, 0},
        },
      replies[] = {
          {0, 0x82, AGN_ERR_VERSION},
          {1, AGN_REPLY_STATUS_COUNT, AGN_ERR_RANGE},
          {1, AGN_REPLY_BUSY, AGN_ERR_RANGE},
          {8, 3, AGN_ERR_FORMAT},
          {8, 0, AGN_ERR_RANGE},
          {9, 4, AGN_ERR_RANGE},
          {11, 1, AGN_ERR_RANGE},
          {10, 7, 0},
      };
    for (size_t i = 0; i < AGN_COUNT_OF(features); i++)
        assert_int_equal(
            with_byte(unpack_feature, VECTOR_RAW, sizeof VECTOR_RAW, features[i].at, features[i].value),
            features[i].status);
    for (size_t i = 0; i < AGN_COUNT_OF(replies); i++)
        assert_int_equal(
            with_byte(unpack_reply, VECTOR_OK, sizeof VECTOR_OK, replies[i].at, replies[i].value),
            replies[i].status);
}

static void packing_refuses(void **state)
{
    (void)state;
    struct agn_feature_packet packet;
    uint8_t bytes[AGN_WIRE_MAX_PACKET + 1], payload[AGN_FEATURE_MAX_PAYLOAD + 1] = {0};
    assert_int_equal(agn_feature_unpack(VECTOR_RAW, sizeof VECTOR_RAW, &packet), 0);
    assert_int_equal(agn_feature_pack(&packet, bytes, sizeof VECTOR_RAW - 1), AGN_ERR_SPACE);
    packet.payload = payload;
    packet.payload_bytes = AGN_FEATURE_MAX_PAYLOAD;
    assert_int_equal(agn_feature_pack(&packet, bytes, sizeof bytes), AGN_WIRE_MAX_PACKET);
    packet.payload_bytes++;
    assert_int_equal(agn_feature_pack(&packet, bytes, sizeof bytes), AGN_ERR_SPACE);
    packet.payload_bytes = 0;
    packet.row_count = 0;
    assert_int_equal(agn_feature_pack(&packet, bytes, sizeof bytes), AGN_ERR_RANGE);
    packet.row_count = 1;
    packet.codec = 9;
    assert_int_equal(agn_feature_pack(&packet, bytes, sizeof bytes), AGN_ERR_RANGE);

    struct agn_reply_packet reply = {1, 2, AGN_REPLY_OK, 0, AGN_WIRE_MAX_CLASSES + 1, NULL, 0};
    assert_int_equal(agn_reply_pack(&reply, VECTOR_LOGITS, bytes, sizeof bytes), AGN_ERR_RANGE);
    reply.class_count = 4;
    assert_int_equal(agn_reply_pack(&reply, VECTOR_LOGITS, bytes, AGN_REPLY_BYTES(4) - 1), AGN_ERR_SPACE);
    reply.status = AGN_REPLY_FAILED;
    assert_int_equal(agn_reply_pack(&reply, VECTOR_LOGITS, bytes, sizeof bytes), AGN_ERR_RANGE);
}

static void tiles_outside_the_map(void **state)
{
    (void)state;
    struct agn_feature_packet packet;
    uint8_t map[64], untouched[64];
    memset(map, 0xEE, sizeof map);
    memset(untouched, 0xEE, sizeof untouched);
    assert_int_equal(agn_feature_unpack(VECTOR_RAW, sizeof VECTOR_RAW, &packet), 0);
    const struct {
        struct agn_map_shape shape;
        int status;
    } cases[] = {
        {{1, 4, 4}, AGN_ERR_RANGE},  /* too many channels */
        {{2, 3, 4}, AGN_ERR_RANGE},  /* too many rows */
        {{2, 5, 4}, AGN_ERR_RANGE},  /* a band of two channels */
        {{2, 4, 5}, AGN_ERR_FORMAT}, /* the payload is too short for this width */
        {{2, 4, 3}, AGN_ERR_FORMAT}, /* and too long for this one */
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        assert_int_equal(agn_feature_decode(&packet, &cases[i].shape, NULL, map), cases[i].status);
        assert_memory_equal(map, untouched, sizeof map);
    }
    /* A band lands on its rows: channel 1, rows 2 and 3 of 4. */
    const struct agn_map_shape shape = {2, 4, 4};
    packet.channel_first = 1;
    packet.channel_count = 1;
    packet.row_first = 2;
    packet.row_count = 2;
    packet.payload_bytes = 3;
    assert_int_equal(agn_feature_decode(&packet, &shape, NULL, map), 0);
    for (int i = 0; i < 64; i++)
        assert_int_equal(map[i], i < 24 || i >= 32 ? 0xEE : i % 8);
}

static void arithmetic(void **state)
{
    (void)state;
    assert_int_equal(agn_crc32(0, "123456789", 9), 0xCBF43926);
    assert_int_equal(agn_crc32(agn_crc32(0, "1234", 4), "56789", 5), 0xCBF43926);
    assert_int_equal(agn_fuse(100, -100, 32768), 3276800);
    assert_int_equal(agn_fuse(100, -100, 0), -3276800);
    assert_int_equal(agn_fuse(-32768, -32768, 12345), -(INT32_C(1) << 30));
    assert_int_equal(agn_fuse(32767, 32767, 12345), 32767 * 32768);
    const int16_t small[] = {-5, 3, 3, -32768};
    const int32_t large[] = {INT32_MIN, INT32_MAX, INT32_MAX};
    assert_int_equal(agn_argmax_s16(small, 4), 1);
    assert_int_equal(agn_argmax_s32(large, 3), 1);
    assert_int_equal(agn_argmax_s32(large, 1), 0);
    for (int status = 0; status < AGN_REPLY_STATUS_COUNT; status++)
        assert_string_not_equal(agn_reply_status_text(status), agn_reply_status_text(99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feature_vectors), cmocka_unit_test(context_vectors),
        cmocka_unit_test(reply_vectors),   cmocka_unit_test(versions_of_replies),
        cmocka_unit_test(damaged_packets), cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(packing_refuses), cmocka_unit_test(tiles_outside_the_map),
        cmocka_unit_test(arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
