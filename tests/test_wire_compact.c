/* Version 2 of the packets: the vectors of docs/PROTOCOL.md, round trips, every truncation, every flipped
 * bit, wrong models with the same handle, values out of range behind a good checksum, logits in steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agn_coap.h"
#include "agn_compact.h"
#include "compact_seal.h"

/* ---- the vectors of docs/PROTOCOL.md ---------------------------------------------------
 * Map of 3 sent channels, 4 rows, 4 columns; model 0x12345678, frame 0x0102 (2), deadline 50 ms (48). */

enum { MODEL = 0x12345678 };
static const uint8_t VECTOR_RAW[] = {0x28, 0x4c, 0x44, 0x02, 0x06, 0x00, 0x00, 0x02, 0x88, 0xc6, 0xfa, 0x88,
                                     0xc6, 0xfa, 0x88, 0xc6, 0xfa, 0x88, 0xc6, 0xfa, 0x73, 0x9f, 0x74, 0x4a};
static const uint8_t VECTOR_LZW[] = {0x29, 0x4c, 0x44, 0x02, 0x06, 0x81, 0x02, 0x01,
                                     0xc0, 0xd4, 0x2a, 0x05, 0xd7, 0x41, 0x8b, 0x11};
static const uint8_t VECTOR_RANGE[] = {0x2a, 0x4c, 0x44, 0x02, 0x06, 0x81, 0x02, 0x01,
                                       0x0e, 0x44, 0x2a, 0xa9, 0xac, 0xb2, 0xf6};
static const uint8_t VECTOR_BAND[] = {0x20, 0x4c, 0x44, 0x02, 0x42, 0x01, 0x00, 0x01,
                                      0x02, 0x88, 0xc6, 0xfa, 0x9c, 0x5e, 0x00, 0x82};
static const uint8_t VECTOR_WHOLE[] = {0x24, 0x4c, 0x44, 0x02, 0x88, 0xc6, 0xfa, 0x88, 0xc6,
                                       0xfa, 0x88, 0xc6, 0xfa, 0x88, 0xc6, 0xfa, 0x00, 0x00,
                                       0x00, 0x40, 0x0b, 0x00, 0xdb, 0x52, 0xe5, 0x80};
static const uint8_t VECTOR_FAR[] = {0x20, 0x4c, 0x44, 0x02, 0xff, 0x25, 0x02, 0x01, 0x00,
                                     0x00, 0x00, 0x00, 0x00, 0x00, 0xc5, 0xe0, 0xe5, 0xd1};
static const uint8_t VECTOR_OK[] = {0xa0, 0x02, 0x00, 0x08, 0x01, 0x00, 0x7f, 0x80, 0xaf, 0x52, 0xb7, 0xda};
static const uint8_t VECTOR_FINE[] = {0xa0, 0x02, 0x01, 0x01, 0x7f, 0xfd, 0x00, 0xf0, 0xdf, 0x2f, 0xa7};
static const uint8_t VECTOR_BUSY[] = {0xa4, 0x02, 0x00, 0x00, 0xa4, 0x52, 0xd4, 0x1e};

static const struct {
    const uint8_t *bytes;
    size_t len;
} FEATURES[] = {{VECTOR_RAW, sizeof VECTOR_RAW},     {VECTOR_LZW, sizeof VECTOR_LZW},
                {VECTOR_RANGE, sizeof VECTOR_RANGE}, {VECTOR_BAND, sizeof VECTOR_BAND},
                {VECTOR_WHOLE, sizeof VECTOR_WHOLE}, {VECTOR_FAR, sizeof VECTOR_FAR}},
  REPLIES[] = {
      {VECTOR_OK, sizeof VECTOR_OK}, {VECTOR_FINE, sizeof VECTOR_FINE}, {VECTOR_BUSY, sizeof VECTOR_BUSY}};
static const struct agn_map_shape SHAPE = {3, 4, 4};

static void vector_symbols(uint8_t *map)
{
    memset(map, 0, 48);
    for (int i = 0; i < 32; i++)
        map[i] = (uint8_t)(i % 8);
    map[42] = map[43] = 5;
}

/* Unpacks, places and decodes. */
static struct agn_feature_packet decode(const uint8_t *bytes, size_t len, uint8_t *map)
{
    struct agn_feature_packet packet;
    assert_int_equal(agn_compact_unpack(bytes, len, &packet), 0);
    assert_int_equal(packet.model_id, MODEL);
    assert_int_equal(packet.frame, 2);
    assert_int_equal(agn_compact_place(&packet, &SHAPE), 0);
    assert_int_equal(agn_feature_decode(&packet, &SHAPE, NULL, map), 0);
    return packet;
}

static void feature_vectors(void **state)
{
    (void)state;
    uint8_t map[48], expected[48];
    vector_symbols(expected);
    memset(map, 0xEE, sizeof map);
    struct agn_feature_packet packet = decode(VECTOR_RAW, sizeof VECTOR_RAW, map);
    assert_int_equal(packet.index + packet.last + packet.now + packet.whole + packet.band, 0);
    assert_int_equal(packet.codec, AGN_CODEC_RAW3);
    assert_int_equal(packet.channel_count, 2);
    assert_int_equal(packet.row_count, 4);
    assert_int_equal(packet.deadline_ms, 48);
    packet = decode(VECTOR_LZW, sizeof VECTOR_LZW, map);
    assert_int_equal(packet.index, 1);
    assert_int_equal(packet.last, 1);
    assert_memory_equal(map, expected, sizeof map);

    memset(map, 0xEE, sizeof map);
    packet = decode(VECTOR_WHOLE, sizeof VECTOR_WHOLE, map);
    assert_int_equal(packet.whole, 1);
    assert_int_equal(packet.last, 1);
    assert_int_equal(packet.deadline_ms, 0);
    assert_int_equal(packet.channel_count, 3);
    assert_memory_equal(map, expected, sizeof map);

    memset(map, 0xEE, sizeof map);
    packet = decode(VECTOR_BAND, sizeof VECTOR_BAND, map);
    assert_int_equal(packet.now, 1);
    assert_int_equal(packet.index, 2);
    assert_int_equal(packet.channel_first, 1);
    assert_int_equal(packet.row_first, 1);
    assert_int_equal(packet.row_count, 2);
    assert_memory_equal(map + 20, expected + 16, 8);
    assert_int_equal(map[19], 0xEE);

    packet = decode(VECTOR_FAR, sizeof VECTOR_FAR, map);
    assert_int_equal(packet.index, 100);
    assert_int_equal(packet.last, 1);
    assert_int_equal(packet.now, 1);
    assert_int_equal(agn_compact_unpack(VECTOR_RANGE, sizeof VECTOR_RANGE, &packet), 0);
    assert_int_equal(packet.codec, AGN_CODEC_RANGE);
    assert_int_equal(packet.payload_bytes, 3);
}

static void coap_vector(void **state)
{
    (void)state;
    static const uint8_t head[] = {0x52, 0x02, 0x00, 0x01, 0x5b, 0x02, 0xb1, 0x69, 0xff},
                         token[] = {0x5b, 0x02};
    uint8_t bytes[64];
    size_t len = agn_coap_request_compact(bytes, 1, token, VECTOR_RANGE, sizeof VECTOR_RANGE);
    assert_int_equal(len, sizeof head + sizeof VECTOR_RANGE);
    assert_int_equal(AGN_COAP_COMPACT_OVERHEAD, sizeof head);
    assert_memory_equal(bytes, head, sizeof head);
    assert_memory_equal(bytes + sizeof head, VECTOR_RANGE, sizeof VECTOR_RANGE);
}

/* What was read is written as it was, from a place behind as well. */
static void packs_what_it_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(FEATURES); i++) {
        struct agn_feature_packet packet;
        uint8_t bytes[64];
        size_t len = FEATURES[i].len;
        assert_int_equal(agn_compact_unpack(FEATURES[i].bytes, len, &packet), 0);
        assert_int_equal(agn_compact_pack(&packet, bytes, len), len);
        assert_memory_equal(bytes, FEATURES[i].bytes, len);
        memcpy(bytes + AGN_COMPACT_MOST_HEADER, packet.payload, packet.payload_bytes);
        packet.payload = bytes + AGN_COMPACT_MOST_HEADER;
        packet.frame = 0x0102;
        assert_int_equal(agn_compact_pack(&packet, bytes, len), len);
        assert_memory_equal(bytes, FEATURES[i].bytes, len);
        assert_int_equal(agn_compact_pack(&packet, bytes, len - 1), AGN_ERR_SPACE);
    }
}

static void reply_vectors(void **state)
{
    (void)state;
    static const int16_t logits[] = {256, -128, 32767, -32768}, fine[] = {253, -7, 0};
    static const int read_back[] = {256, 0, 32512, -32768};
    struct agn_reply_packet reply;
    uint8_t bytes[64];
    assert_int_equal(agn_compact_reply_unpack(VECTOR_OK, sizeof VECTOR_OK, MODEL, &reply), 0);
    assert_int_equal(reply.model_id, MODEL);
    assert_int_equal(reply.frame, 2);
    assert_int_equal(reply.status, AGN_REPLY_OK);
    assert_int_equal(reply.class_count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(agn_compact_logit(&reply, i), read_back[i]);
    reply.frame = 0x0102;
    assert_int_equal(agn_compact_reply_pack(&reply, logits, bytes, sizeof VECTOR_OK), sizeof VECTOR_OK);
    assert_memory_equal(bytes, VECTOR_OK, sizeof VECTOR_OK);
    assert_int_equal(agn_compact_reply_pack(&reply, logits, bytes, sizeof VECTOR_OK - 1), AGN_ERR_SPACE);

    assert_int_equal(agn_compact_reply_unpack(VECTOR_FINE, sizeof VECTOR_FINE, MODEL, &reply), 0);
    assert_int_equal(reply.channels_missing, 1);
    assert_int_equal(agn_compact_logit(&reply, 0), 254);
    assert_int_equal(agn_compact_logit(&reply, 1), -6);
    assert_int_equal(agn_compact_reply_pack(&reply, fine, bytes, sizeof bytes), sizeof VECTOR_FINE);
    assert_memory_equal(bytes, VECTOR_FINE, sizeof VECTOR_FINE);

    assert_int_equal(agn_compact_reply_unpack(VECTOR_BUSY, sizeof VECTOR_BUSY, MODEL, &reply), 0);
    assert_int_equal(reply.status, AGN_REPLY_BUSY);
    assert_int_equal(reply.class_count, 0);
    assert_int_equal(agn_compact_reply_pack(&reply, NULL, bytes, sizeof bytes), sizeof VECTOR_BUSY);
    assert_memory_equal(bytes, VECTOR_BUSY, sizeof VECTOR_BUSY);
}

/* ---- damage, and other models ------------------------------------------------------------ */

/* As a server that holds the vectors' model takes it. */
static int serve(const uint8_t *src, size_t len)
{
    struct agn_feature_packet packet, untouched;
    memset(&packet, 0xA5, sizeof packet);
    memset(&untouched, 0xA5, sizeof untouched);
    int status = agn_compact_unpack(src, len, &packet);
    if (status < 0)
        assert_memory_equal(&packet, &untouched, sizeof packet);
    return status < 0 ? status : packet.model_id == MODEL ? 0 : AGN_ERR_MISMATCH;
}

static int hear(const uint8_t *src, size_t len)
{
    struct agn_reply_packet reply, untouched;
    memset(&reply, 0xA5, sizeof reply);
    memset(&untouched, 0xA5, sizeof untouched);
    int status = agn_compact_reply_unpack(src, len, MODEL, &reply);
    if (status < 0)
        assert_memory_equal(&reply, &untouched, sizeof reply);
    return status;
}

/* Each other length, in memory of the exact size; each flipped bit, and each two of a distance. */
static void check_damage(int (*take)(const uint8_t *, size_t), const uint8_t *good, size_t len)
{
    assert_int_equal(take(good, len), 0);
    for (size_t at = 0; at <= len + 1; at++) {
        uint8_t *copy = calloc(at ? at : 1, 1);
        assert_non_null(copy);
        memcpy(copy, good, at < len ? at : len);
        if (at != len)
            assert_true(take(copy, at) < 0);
        free(copy);
    }
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    for (size_t bit = 0; bit < 8 * len; bit++)
        for (size_t other = bit; other < 8 * len; other++) {
            memcpy(copy, good, len);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (other != bit)
                copy[other / 8] ^= (uint8_t)(1 << other % 8);
            assert_true(take(copy, len) < 0);
        }
    free(copy);
}

static void damaged_packets(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(FEATURES); i++)
        check_damage(serve, FEATURES[i].bytes, FEATURES[i].len);
    for (size_t i = 0; i < AGN_COUNT_OF(REPLIES); i++)
        check_damage(hear, REPLIES[i].bytes, REPLIES[i].len);
    assert_int_equal(serve(VECTOR_OK, sizeof VECTOR_OK), AGN_ERR_FORMAT);
    assert_int_equal(hear(VECTOR_RAW, sizeof VECTOR_RAW), AGN_ERR_FORMAT);
}

/* The id comes out of the checksum as it went in, whatever the packet; a model with the same handle is
 * another. */
static void models_of_one_handle(void **state)
{
    (void)state;
    struct agn_rng rng;
    agn_rng_seed(&rng, 7);
    for (int i = 0; i < 2000; i++) {
        uint8_t payload[200], bytes[256];
        struct agn_feature_packet packet = {.model_id = (uint32_t)agn_rng_u64(&rng), .payload = payload};
        packet.channel_count = 1;
        packet.frame = (uint16_t)agn_rng_u64(&rng);
        packet.payload_bytes = agn_rng_below(&rng, sizeof payload);
        for (size_t at = 0; at < sizeof payload; at++)
            payload[at] = (uint8_t)agn_rng_u64(&rng);
        int len = agn_compact_pack(&packet, bytes, sizeof bytes);
        assert_true(len > 0);
        uint32_t id = 0, swapped = packet.model_id << 16 | packet.model_id >> 16;
        assert_int_equal(agn_compact_model(bytes, (size_t)len, &id), 0);
        assert_true(id == packet.model_id);
        assert_int_equal(agn_compact_handle(swapped), agn_compact_handle(id));
        packet.model_id = swapped;
        assert_int_equal(agn_compact_pack(&packet, bytes, sizeof bytes), len);
        assert_int_equal(agn_compact_model(bytes, (size_t)len, &id), 0);
        assert_true(id == swapped);
    }
    struct agn_reply_packet reply;
    assert_int_equal(agn_compact_reply_unpack(VECTOR_OK, sizeof VECTOR_OK, 0x56781234, &reply),
                     AGN_ERR_CHECKSUM);
    assert_int_equal(agn_compact_reply_version(VECTOR_OK, sizeof VECTOR_OK, 0x56781234), AGN_ERR_CHECKSUM);
}

/* ---- behind a good checksum ---------------------------------------------------------------- */

static int with_byte(int (*take)(const uint8_t *, size_t), const uint8_t *good, size_t len, size_t at,
                     uint8_t value)
{
    uint8_t copy[64];
    memcpy(copy, good, len);
    copy[at] = value;
    compact_seal(copy, len, MODEL);
    return take(copy, len);
}

static void values_out_of_range(void **state)
{
    (void)state;
    const struct {
        const uint8_t *bytes;
        size_t len, at;
        uint8_t value;
        int status;
    } features[] =
        {
            {VECTOR_RAW, sizeof VECTOR_RAW, 0, 0x38, AGN_ERR_VERSION},
            {VECTOR_RAW, sizeof VECTOR_RAW, 0, 0x18, AGN_ERR_VERSION},
            {VECTOR_RAW, sizeof VECTOR_RAW, 0, 0xa8, AGN_ERR_FORMAT},
            {VECTOR_RAW, sizeof VECTOR_RAW, 0, 0x2b, 0},
            {VECTOR_RAW, sizeof VECTOR_RAW, 1, 0x4d, AGN_ERR_CHECKSUM},
            {VECTOR_RAW, sizeof VECTOR_RAW, 4, 0, AGN_ERR_RANGE},
            {VECTOR_RAW, sizeof VECTOR_RAW, 4, 255, 0},
            {VECTOR_RAW, sizeof VECTOR_RAW, 6, 253, 0},
            {VECTOR_RAW, sizeof VECTOR_RAW, 6, 254, AGN_ERR_RANGE},
            {VECTOR_BAND, sizeof VECTOR_BAND, 8, 0, AGN_ERR_RANGE},
            {VECTOR_BAND, sizeof VECTOR_BAND, 8, 254, 0},
            {VECTOR_BAND, sizeof VECTOR_BAND, 8, 255, AGN_ERR_RANGE},
            {VECTOR_FAR, sizeof VECTOR_FAR, 5, 192, 0},
            {VECTOR_FAR, sizeof VECTOR_FAR, 5, 193, AGN_ERR_RANGE},
        },
      replies[] = {
          {VECTOR_OK, sizeof VECTOR_OK, 0, 0xb0, AGN_ERR_VERSION},
          {VECTOR_OK, sizeof VECTOR_OK, 0, 0x20, AGN_ERR_FORMAT},
          {VECTOR_OK, sizeof VECTOR_OK, 0, 0xa4, AGN_ERR_RANGE},
          {VECTOR_BUSY, sizeof VECTOR_BUSY, 0, 0xa0, AGN_ERR_RANGE},
          {VECTOR_BUSY, sizeof VECTOR_BUSY, 0, 0xa0 | AGN_REPLY_STATUS_COUNT, AGN_ERR_RANGE},
          {VECTOR_OK, sizeof VECTOR_OK, 3, 9, AGN_ERR_RANGE},
          {VECTOR_OK, sizeof VECTOR_OK, 3, 0xff, AGN_ERR_RANGE},
          {VECTOR_OK, sizeof VECTOR_OK, 2, 7, 0},
      };
    for (size_t i = 0; i < AGN_COUNT_OF(features); i++)
        assert_int_equal(
            with_byte(serve, features[i].bytes, features[i].len, features[i].at, features[i].value),
            features[i].status);
    for (size_t i = 0; i < AGN_COUNT_OF(replies); i++)
        assert_int_equal(with_byte(hear, replies[i].bytes, replies[i].len, replies[i].at, replies[i].value),
                         replies[i].status);
    /* Fields that the length cuts off. */
    static const uint8_t cut_off[][8] = {{0x20}, {0x28}, {0x20}};
    for (size_t i = 0; i < AGN_COUNT_OF(cut_off); i++)
        for (size_t len = 8; len < (i == 1 ? 12 : 11); len++) {
            uint8_t bytes[16] = {cut_off[i][0], 0x4c, 0x44, 0x02, 1, 0, 0, 1};
            compact_seal(bytes, len, MODEL);
            assert_int_equal(serve(bytes, len), AGN_ERR_FORMAT);
        }
    uint8_t newer[sizeof VECTOR_BUSY];
    memcpy(newer, VECTOR_BUSY, sizeof newer);
    newer[0] = 0xf4;
    compact_seal(newer, sizeof newer, MODEL);
    assert_int_equal(agn_compact_reply_version(newer, sizeof newer, MODEL), 7);
}

static void packing_refuses(void **state)
{
    (void)state;
    static const uint8_t payload[AGN_FEATURE_MAX_PAYLOAD + 1];
    uint8_t bytes[AGN_WIRE_MAX_PACKET];
    struct agn_feature_packet packet = {
        .model_id = MODEL, .channel_count = 1, .payload = payload, .payload_bytes = AGN_FEATURE_MAX_PAYLOAD};
    assert_int_equal(agn_compact_pack(&packet, bytes, sizeof bytes), AGN_FEATURE_MAX_PAYLOAD + 11);
    packet.payload_bytes++;
    assert_int_equal(agn_compact_pack(&packet, bytes, sizeof bytes), AGN_ERR_SPACE);
    packet.payload_bytes = 0;
    packet.band = 1;
    assert_int_equal(agn_compact_pack(&packet, bytes, sizeof bytes), AGN_ERR_RANGE);
    packet.row_count = 1;
    assert_int_equal(agn_compact_pack(&packet, bytes, sizeof bytes), 13);
    packet.channel_count = 2;
    assert_int_equal(agn_compact_pack(&packet, bytes, sizeof bytes), AGN_ERR_RANGE);
    packet.band = 0;
    packet.codec = AGN_CODEC_JPEG + 1;
    assert_int_equal(agn_compact_pack(&packet, bytes, sizeof bytes), AGN_ERR_RANGE);
    packet.codec = 0;
    packet.channel_first = 254;
    assert_int_equal(agn_compact_pack(&packet, bytes, sizeof bytes), AGN_ERR_RANGE);

    struct agn_feature_packet band;
    const struct agn_map_shape low = {3, 2, 4};
    assert_int_equal(agn_compact_unpack(VECTOR_BAND, sizeof VECTOR_BAND, &band), 0);
    assert_int_equal(agn_compact_place(&band, &low), AGN_ERR_RANGE);
    assert_int_equal(band.row_count, 2);
}

/* 8 ms at most less than the device's, never more, never none. */
static void deadlines(void **state)
{
    (void)state;
    for (unsigned ms = 0; ms <= 3000; ms++) {
        uint8_t bytes[32];
        struct agn_feature_packet packet = {.model_id = MODEL,
                                            .channel_count = 1,
                                            .deadline_ms = (uint16_t)ms},
                                  read;
        int len = agn_compact_pack(&packet, bytes, sizeof bytes);
        assert_true(len > 0);
        assert_int_equal(agn_compact_unpack(bytes, (size_t)len, &read), 0);
        unsigned stated = ms == 0 || ms > 2040 ? 0 : ms < 8 ? 8 : ms - ms % 8;
        assert_int_equal(read.deadline_ms, stated);
        assert_int_equal(len, 11 + (stated > 0));
    }
}

/* ---- logits in steps ------------------------------------------------------------------------- */

static void finest_step(void **state)
{
    (void)state;
    for (int top = 0; top <= INT16_MAX; top++) {
        const int16_t logits[2] = {(int16_t)top, (int16_t)(-top - 1)};
        struct agn_reply_packet reply = {.model_id = MODEL, .class_count = 2}, read;
        uint8_t bytes[16];
        int len = agn_compact_reply_pack(&reply, logits, bytes, sizeof bytes);
        assert_int_equal(len, 10);
        assert_int_equal(agn_compact_reply_unpack(bytes, (size_t)len, MODEL, &read), 0);
        int step = 1 << read.exponent, half = (top + step / 4) / (step > 1 ? step / 2 : 1);
        for (unsigned i = 0; i < 2; i++) {
            int off = abs(agn_compact_logit(&read, i) - logits[i]);
            assert_true(2 * off <= step || (read.exponent == 8 && top > 32640 && off <= 255));
        }
        assert_true(step == 1 || half > INT8_MAX || (top + 1 - step / 4) / (step / 2) > 127);
    }
}

/* How often the class of a fused answer is another one than with 16 bits: for random logits of a width that
 * networks have (standard deviation 4, the best one 4 above), rarely. */
static void classes_rarely_change(void **state)
{
    (void)state;
    enum { FRAMES = 200000, CLASSES = 10 };
    struct agn_rng rng;
    int changed = 0, changed_alone = 0;
    agn_rng_seed(&rng, 11);
    for (int frame = 0; frame < FRAMES; frame++) {
        int16_t remote[CLASSES], local[CLASSES], read_back[CLASSES];
        int32_t exact[CLASSES], rounded[CLASSES];
        unsigned truth = agn_rng_below(&rng, CLASSES);
        for (unsigned i = 0; i < CLASSES; i++) {
            remote[i] = (int16_t)(1024 * agn_rng_normal(&rng) + (i == truth ? 1024 : 0));
            local[i] = (int16_t)(512 * agn_rng_normal(&rng) + (i == truth ? 512 : 0));
        }
        struct agn_reply_packet reply = {.model_id = MODEL, .class_count = CLASSES}, read;
        uint8_t bytes[AGN_COMPACT_REPLY_BYTES(CLASSES)];
        assert_int_equal(agn_compact_reply_pack(&reply, remote, bytes, sizeof bytes), sizeof bytes);
        assert_int_equal(agn_compact_reply_unpack(bytes, sizeof bytes, MODEL, &read), 0);
        for (unsigned i = 0; i < CLASSES; i++) {
            read_back[i] = agn_compact_logit(&read, i);
            exact[i] = agn_fuse(local[i], remote[i], 8192);
            rounded[i] = agn_fuse(local[i], read_back[i], 8192);
        }
        changed += agn_argmax_s32(exact, CLASSES) != agn_argmax_s32(rounded, CLASSES);
        changed_alone += agn_argmax_s16(remote, CLASSES) != agn_argmax_s16(read_back, CLASSES);
    }
    print_message("classes that 8 bits change: %d of %d fused, %d of the server's own\n", changed, FRAMES,
                  changed_alone);
    assert_true(changed < FRAMES / 50);
    assert_true(changed_alone < FRAMES / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feature_vectors),
        cmocka_unit_test(packs_what_it_read),
        cmocka_unit_test(reply_vectors),
        cmocka_unit_test(coap_vector),
        cmocka_unit_test(damaged_packets),
        cmocka_unit_test(models_of_one_handle),
        cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(packing_refuses),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(finest_step),
        cmocka_unit_test(classes_rarely_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
