/* Frames from packets: order, repeats, loss, time, room, and senders that mean harm. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agilenn/features.h"
#include "server/assembly.h"

enum { CHANNELS = 6, HEIGHT = 5, WIDTH = 7, PLANE = HEIGHT * WIDTH, MAP = CHANNELS * PLANE };
static const struct agn_map_shape shape = {CHANNELS, HEIGHT, WIDTH};
static const uint32_t model_id = 0x12345678;

/* A packet with its bytes; the symbols are a function of the place and `flavour`. */
struct made {
    struct agn_feature_packet packet;
    uint8_t bytes[AGN_WIRE_MAX_PACKET];
};

static uint8_t symbol_at(size_t place, unsigned flavour)
{
    return (uint8_t)((place * 5 + place / 3 + flavour * 3 + flavour * place) % 8);
}

struct tile {
    unsigned channel, channels, row, rows;
};

static void make_packet(struct made *made, unsigned frame, unsigned index, int last, struct tile tile,
                        unsigned flavour)
{
    struct agn_encoder encoder;
    uint8_t payload[AGN_FEATURE_MAX_PAYLOAD];
    struct agn_tile coded = {
        (uint8_t)tile.channel, (uint8_t)tile.channels, (uint8_t)tile.row, (uint8_t)tile.rows, WIDTH, NULL};
    assert_int_equal(agn_encoder_begin(&encoder, AGN_CODEC_RAW3, &coded, NULL, 0, payload, sizeof payload),
                     0);
    size_t start = (size_t)tile.channel * PLANE + (size_t)tile.row * WIDTH;
    for (size_t row = 0; row < (size_t)tile.channels * tile.rows; row++) {
        uint8_t symbols[WIDTH], packed[AGN_ROW_BYTES(WIDTH)];
        for (size_t x = 0; x < WIDTH; x++)
            symbols[x] = symbol_at(start + row * WIDTH + x, flavour);
        agn_row_pack(symbols, WIDTH, packed);
        agn_encoder_put_rows(&encoder, packed, 1);
    }
    int coded_bytes = agn_encoder_finish(&encoder);
    assert_true(coded_bytes > 0);
    struct agn_feature_packet packet = {.model_id = model_id,
                                        .frame = (uint16_t)frame,
                                        .index = (uint8_t)index,
                                        .last = (uint8_t)last,
                                        .codec = AGN_CODEC_RAW3,
                                        .channel_first = (uint8_t)tile.channel,
                                        .channel_count = (uint8_t)tile.channels,
                                        .row_first = (uint8_t)tile.row,
                                        .row_count = (uint8_t)tile.rows,
                                        .payload = payload,
                                        .payload_bytes = (size_t)coded_bytes};
    int length = agn_feature_pack(&packet, made->bytes, sizeof made->bytes);
    assert_true(length > 0);
    assert_int_equal(agn_feature_unpack(made->bytes, (size_t)length, &made->packet), 0);
}

/* Packet `index` of `count` (2, 3 or 6): whole channels in equal parts. */
static void make_part(struct made *made, unsigned frame, unsigned index, unsigned count, unsigned flavour)
{
    unsigned each = CHANNELS / count;
    struct tile tile = {index * each, each, 0, HEIGHT};
    make_packet(made, frame, index, index + 1 == count, tile, flavour);
}

static struct agn__peer peer_number(unsigned number)
{
    struct agn__peer peer = {{0}};
    memcpy(peer.bytes, &number, sizeof number);
    return peer;
}

static struct agn__assembly *new_assembly(int frames)
{
    struct agn__assembly_limits limits = {frames, 0.2, 2.0};
    struct agn__assembly *assembly = agn__assembly_create(&limits, &shape, NULL, NULL, 64);
    assert_non_null(assembly);
    return assembly;
}

static struct agn__offer offer_part(struct agn__assembly *assembly, unsigned peer, unsigned frame,
                                    unsigned index, unsigned count, unsigned flavour, double now_s)
{
    struct made made;
    make_part(&made, frame, index, count, flavour);
    struct agn__peer from = peer_number(peer);
    struct agn__offer offer;
    assert_int_equal(agn__assembly_offer(assembly, &from, &made.packet, now_s, &offer), 0);
    return offer;
}

static void assert_map(const struct agn__assembly *assembly, int slot, unsigned flavour, size_t from,
                       size_t to)
{
    const uint8_t *map = agn__assembly_map(assembly, slot);
    for (size_t i = 0; i < MAP; i++)
        assert_int_equal(map[i], i >= from && i < to ? symbol_at(i, flavour) : AGN_SYMBOL_ABSENT);
}

static void completes_in_any_order(void **state)
{
    (void)state;
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct agn__assembly *assembly = new_assembly(8);
    for (unsigned o = 0; o < 6; o++) {
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(agn__assembly_next(assembly, 0.0), -1);
            struct agn__offer offer = offer_part(assembly, 1, o, orders[o][i], 3, o, 0.0);
            assert_int_equal(offer.kind, AGN__OFFER_STORED);
            assert_int_equal(offer.began, i == 0);
        }
        int slot = agn__assembly_next(assembly, 0.0);
        assert_true(slot >= 0);
        assert_true(agn__assembly_is_complete(assembly, slot));
        assert_int_equal(agn__assembly_frame(assembly, slot), o);
        assert_map(assembly, slot, o, 0, MAP);
        agn__assembly_answered(assembly, slot, (const uint8_t *)"x", 1, 0.0);
    }
    agn__assembly_free(assembly);
}

static void bands_of_one_channel_fill_their_rows(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(2);
    struct agn__peer peer = peer_number(1);
    struct agn__offer offer;
    struct made made;
    make_packet(&made, 7, 1, 1, (struct tile){2, 1, 3, 2}, 4);
    assert_int_equal(agn__assembly_offer(assembly, &peer, &made.packet, 0.0, &offer), 0);
    assert_map(assembly, offer.slot, 4, 2 * PLANE + 3 * WIDTH, 3 * PLANE);
    make_packet(&made, 7, 0, 0, (struct tile){2, 1, 1, 2}, 4);
    assert_int_equal(agn__assembly_offer(assembly, &peer, &made.packet, 0.0, &offer), 0);
    assert_map(assembly, offer.slot, 4, 2 * PLANE + WIDTH, 3 * PLANE);
    assert_int_equal(agn__assembly_next(assembly, 0.0), offer.slot);

    /* One row and five channels are missing: what came is used, the rest takes the fill value. */
    const float centroids[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const float fill[CHANNELS] = {-1, -2, -3, -4, -5, -6};
    float features[MAP];
    assert_int_equal(
        agn_features_expand(agn__assembly_map(assembly, offer.slot), &shape, centroids, fill, features),
        CHANNELS);
    for (size_t place = 0; place < PLANE; place++)
        for (size_t c = 0; c < CHANNELS; c++) {
            bool came = c == 2 && place >= WIDTH;
            float expected = came ? (float)symbol_at(c * PLANE + place, 4) : fill[c];
            assert_true(features[place * CHANNELS + c] == expected);
        }
    agn__assembly_free(assembly);
}

static void duplicates_change_nothing(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(4);
    offer_part(assembly, 1, 5, 0, 2, 0, 0.0);
    for (int i = 0; i < 10; i++) {
        struct agn__offer offer = offer_part(assembly, 1, 5, 0, 2, 0, 0.0);
        assert_int_equal(offer.kind, AGN__OFFER_DUPLICATE);
        assert_true(offer.duplicate && !offer.began && !offer.restarted);
        assert_int_equal(agn__assembly_next(assembly, 0.0), -1);
    }
    offer_part(assembly, 1, 5, 1, 2, 0, 0.0);
    assert_int_equal(agn__assembly_next(assembly, 0.0) >= 0, 1);
    agn__assembly_free(assembly);
}

static void peers_do_not_mix(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(16);
    for (unsigned index = 0; index < 3; index++)
        for (unsigned peer = 0; peer < 10; peer++)
            assert_int_equal(offer_part(assembly, peer, 9, index, 3, peer, 0.0).kind, AGN__OFFER_STORED);
    for (unsigned peer = 0; peer < 10; peer++) {
        int slot = agn__assembly_next(assembly, 0.0); /* oldest first: in the order they began */
        assert_true(slot >= 0);
        assert_map(assembly, slot, peer, 0, MAP);
        agn__assembly_answered(assembly, slot, (const uint8_t *)"x", 1, 0.0);
    }
    assert_int_equal(agn__assembly_next(assembly, 0.0), -1);
    agn__assembly_free(assembly);
}

static void frame_numbers_wrap(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(4);
    double now_s = 0.0;
    for (unsigned frame = 65530; frame < 65536 + 6; frame++) {
        offer_part(assembly, 1, frame & 0xFFFF, 0, 2, frame, now_s);
        offer_part(assembly, 1, frame & 0xFFFF, 1, 2, frame, now_s);
        int slot = agn__assembly_next(assembly, now_s);
        assert_int_equal(agn__assembly_frame(assembly, slot), frame & 0xFFFF);
        assert_map(assembly, slot, frame, 0, MAP);
        agn__assembly_answered(assembly, slot, (const uint8_t *)"x", 1, now_s);
    }
    agn__assembly_free(assembly);

    /* The number comes round after its answer went stale: a new frame, although the symbols are the same. */
    assembly = new_assembly(4);
    offer_part(assembly, 1, 3, 0, 2, 0, 0.0);
    offer_part(assembly, 1, 3, 1, 2, 0, 0.0);
    agn__assembly_answered(assembly, agn__assembly_next(assembly, 0.0), (const uint8_t *)"x", 1, 0.0);
    struct agn__offer offer = offer_part(assembly, 1, 3, 0, 2, 0, 1.9);
    assert_int_equal(offer.kind, AGN__OFFER_REPEAT);
    offer = offer_part(assembly, 1, 3, 0, 2, 0, 2.1);
    assert_int_equal(offer.kind, AGN__OFFER_STORED);
    assert_true(offer.began);
    agn__assembly_free(assembly);
}

static void waiting_ends_in_time(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(4);
    assert_true(isinf(agn__assembly_wait(assembly, 0.0)));
    offer_part(assembly, 1, 1, 1, 3, 0, 10.0);
    assert_true(fabs(agn__assembly_wait(assembly, 10.05) - 0.15) < 1e-9);
    assert_int_equal(agn__assembly_next(assembly, 10.199), -1);
    int slot = agn__assembly_next(assembly, 10.201);
    assert_true(slot >= 0);
    assert_false(agn__assembly_is_complete(assembly, slot));
    assert_true(agn__assembly_wait(assembly, 10.3) == 0.0);
    assert_map(assembly, slot, 0, MAP / 3, 2 * MAP / 3);
    agn__assembly_answered(assembly, slot, (const uint8_t *)"late", 4, 10.3);
    assert_true(isinf(agn__assembly_wait(assembly, 10.3)));

    /* Late packets get the stored answer, a few times. */
    for (int i = 0; i < AGN__REPEAT_LIMIT; i++) {
        struct agn__offer offer = offer_part(assembly, 1, 1, i == 0 ? 0 : 2, 3, 0, 10.4);
        assert_int_equal(offer.kind, AGN__OFFER_REPEAT);
        size_t length;
        assert_memory_equal(agn__assembly_reply(assembly, offer.slot, &length), "late", 4);
        assert_int_equal(length, 4);
    }
    assert_int_equal(offer_part(assembly, 1, 1, 0, 3, 0, 10.4).kind, AGN__OFFER_SPENT);
    assert_int_equal(agn__assembly_next(assembly, 10.5), -1);
    agn__assembly_free(assembly);
}

static void a_stated_deadline_shortens_the_wait(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(4);
    struct agn__peer peer = peer_number(1);
    struct agn__offer offer;
    struct made made;
    make_part(&made, 1, 0, 2, 0);
    made.packet.deadline_ms = 100;
    assert_int_equal(agn__assembly_offer(assembly, &peer, &made.packet, 1.0, &offer), 0);
    assert_true(fabs(agn__assembly_wait(assembly, 1.0) - 0.05) < 1e-9);
    agn__assembly_free(assembly);
    assembly = new_assembly(4);
    made.packet.deadline_ms = 60000; /* never beyond the server's own limit */
    assert_int_equal(agn__assembly_offer(assembly, &peer, &made.packet, 1.0, &offer), 0);
    assert_true(fabs(agn__assembly_wait(assembly, 1.0) - 0.2) < 1e-9);
    agn__assembly_free(assembly);
}

static void the_oldest_gives_way(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(4);
    for (unsigned peer = 0; peer < 4; peer++)
        assert_false(offer_part(assembly, peer, 0, 0, 2, 0, 0.0).evicted);
    struct agn__offer offer = offer_part(assembly, 4, 0, 0, 2, 0, 0.0);
    assert_true(offer.evicted);
    /* Peer 0 was the oldest; peer 1 still goes on where it was. */
    assert_false(offer_part(assembly, 1, 0, 1, 2, 0, 0.0).began);
    int slot = agn__assembly_next(assembly, 0.0);
    agn__assembly_answered(assembly, slot, (const uint8_t *)"x", 1, 0.0);
    /* An answered frame goes before waiting ones, and nobody has lost anything by that. */
    offer = offer_part(assembly, 5, 0, 0, 2, 0, 0.0);
    assert_int_equal(offer.slot, slot);
    assert_false(offer.evicted);
    agn__assembly_free(assembly);
}

static void one_sender_cannot_push_out_the_others(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(64);
    offer_part(assembly, 1, 0, 0, 2, 3, 0.0);
    unsigned evicted = 0;
    for (unsigned frame = 0; frame < 3000; frame++)
        evicted += offer_part(assembly, 2, frame, 0, 2, 0, 0.0).evicted;
    assert_int_equal(evicted, 3000 - 8); /* its share: an eighth of 64 */
    struct agn__offer offer = offer_part(assembly, 1, 0, 1, 2, 3, 0.0);
    assert_false(offer.began);
    assert_map(assembly, offer.slot, 3, 0, MAP);
    agn__assembly_free(assembly);
}

static void a_contradiction_begins_the_frame_anew(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(4);
    offer_part(assembly, 1, 0, 0, 3, 0, 0.0);
    offer_part(assembly, 1, 0, 1, 3, 0, 0.0);
    /* A device that was reset sends another frame 0. */
    struct agn__offer offer = offer_part(assembly, 1, 0, 0, 3, 1, 0.0);
    assert_true(offer.restarted && offer.began);
    assert_map(assembly, offer.slot, 1, 0, MAP / 3);
    /* The same once the first was answered. */
    offer_part(assembly, 1, 0, 1, 3, 1, 0.0);
    offer = offer_part(assembly, 1, 0, 2, 3, 1, 0.0);
    agn__assembly_answered(assembly, agn__assembly_next(assembly, 0.0), (const uint8_t *)"x", 1, 0.0);
    offer = offer_part(assembly, 1, 0, 0, 3, 2, 0.0);
    assert_true(offer.restarted);
    assert_int_equal(offer.kind, AGN__OFFER_STORED);

    /* A second end, an index beyond the end, an end before what came, a tile over another. */
    struct made made;
    struct agn__peer peer = peer_number(9);
    static const struct {
        unsigned index, last;
        struct tile tile;
    } cases[][2] = {
        {{2, 1, {0, 1, 0, HEIGHT}}, {1, 1, {1, 1, 0, HEIGHT}}},
        {{2, 1, {0, 1, 0, HEIGHT}}, {3, 0, {1, 1, 0, HEIGHT}}},
        {{2, 0, {0, 1, 0, HEIGHT}}, {1, 1, {1, 1, 0, HEIGHT}}},
        {{2, 0, {0, 2, 0, HEIGHT}}, {3, 0, {1, 2, 0, HEIGHT}}},
        {{2, 0, {0, 1, 0, HEIGHT}}, {2, 1, {0, 1, 0, HEIGHT}}},
    };
    for (unsigned i = 0; i < AGN_COUNT_OF(cases); i++)
        for (unsigned step = 0; step < 2; step++) {
            make_packet(&made, 100 + i, cases[i][step].index, (int)cases[i][step].last, cases[i][step].tile,
                        0);
            assert_int_equal(agn__assembly_offer(assembly, &peer, &made.packet, 0.0, &offer), 0);
            assert_int_equal(offer.restarted, step);
        }
    agn__assembly_free(assembly);
}

static void bad_tiles_leave_the_table_alone(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(2);
    struct agn__peer peer = peer_number(1);
    struct agn__offer offer;
    struct made made;
    make_part(&made, 1, 0, 2, 0);
    static const struct tile bad[] = {{5, 2, 0, HEIGHT}, {200, 55, 0, HEIGHT}, {0, 1, 4, 2},
                                      {0, 1, 200, 55},   {0, 2, 1, 2},         {0, 2, 0, 1}};
    for (unsigned i = 0; i < AGN_COUNT_OF(bad); i++) {
        struct agn_feature_packet packet = made.packet;
        packet.channel_first = (uint8_t)bad[i].channel;
        packet.channel_count = (uint8_t)bad[i].channels;
        packet.row_first = (uint8_t)bad[i].row;
        packet.row_count = (uint8_t)bad[i].rows;
        assert_int_equal(agn__assembly_offer(assembly, &peer, &packet, 0.0, &offer), AGN_ERR_RANGE);
    }
    struct agn_feature_packet cut = made.packet;
    cut.payload_bytes--;
    assert_int_equal(agn__assembly_offer(assembly, &peer, &cut, 0.0, &offer), AGN_ERR_FORMAT);
    assert_int_equal(agn__assembly_next(assembly, 1e9), -1);
    assert_true(isinf(agn__assembly_wait(assembly, 0.0)));
    agn__assembly_free(assembly);
}

/* Random packets of few senders and frames for a long while: the table stays within its slots, and a
 * frame that completes holds what was sent. */
static void survives_a_storm(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(16);
    size_t bytes = agn__assembly_bytes(assembly);
    assert_true(bytes < 16 * (MAP + 1024));
    struct agn_rng rng;
    agn_rng_seed(&rng, 42);
    unsigned completed = 0, partial = 0;
    double now_s = 0.0;
    for (int step = 0; step < 30000; step++) {
        now_s += agn_rng_uniform(&rng) * 0.01;
        unsigned peer = agn_rng_below(&rng, 6), frame = (unsigned)step / 40;
        unsigned flavour = peer + frame;
        struct agn__offer offer =
            offer_part(assembly, peer, frame, agn_rng_below(&rng, 3), 3, flavour, now_s);
        assert_in_range(offer.slot, 0, 15);
        for (int slot; (slot = agn__assembly_next(assembly, now_s)) >= 0;) {
            assert_in_range(slot, 0, 15);
            if (agn__assembly_is_complete(assembly, slot)) {
                completed++;
                assert_map(assembly, slot, flavour, 0, MAP); /* only the packet just offered completes one */
            } else {
                partial++;
            }
            agn__assembly_answered(assembly, slot, (const uint8_t *)"x", 1, now_s);
        }
    }
    print_message("%u complete, %u partial\n", completed, partial);
    assert_true(completed > 1000);
    assert_true(partial > 100);
    assert_int_equal(agn__assembly_bytes(assembly), bytes);
    agn__assembly_free(assembly);
}

static void logits_saturate_and_refuse_nonsense(void **state)
{
    (void)state;
    const float logits[] = {0.0f, 1.0f, -1.5f, 0.001953125f, -0.001953125f, 127.999f, 1e30f, -1e30f, -128.0f};
    const int16_t expected[] = {0, 256, -384, 1, -1, 32767, 32767, -32768, -32768};
    int16_t fixed[AGN_COUNT_OF(logits)];
    assert_int_equal(agn_logits_to_q8(logits, AGN_COUNT_OF(logits), fixed), 0);
    assert_memory_equal(fixed, expected, sizeof expected);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (unsigned i = 0; i < AGN_COUNT_OF(bad); i++)
        assert_int_equal(agn_logits_to_q8(&bad[i], 1, fixed), AGN_ERR_NUMERIC);
}

/* ---- version 2 ---------------------------------------------------------------------------- */

static struct agn__offer offer_compact(struct agn__assembly *assembly, unsigned frame, unsigned index,
                                       unsigned flavour, double now_s, unsigned now, unsigned deadline_ms)
{
    struct made made;
    make_part(&made, frame & 0xFF, index, 3, flavour);
    made.packet.version = AGN_COMPACT_VERSION;
    made.packet.now = (uint8_t)now;
    made.packet.deadline_ms = (uint16_t)deadline_ms;
    struct agn__peer from = peer_number(1);
    struct agn__offer offer;
    assert_int_equal(agn__assembly_offer(assembly, &from, &made.packet, now_s, &offer), 0);
    return offer;
}

static void answer_next(struct agn__assembly *assembly, uint8_t reply, double now_s)
{
    int slot = agn__assembly_next(assembly, now_s);
    assert_true(slot >= 0);
    agn__assembly_working(assembly, slot);
    assert_false(agn__assembly_answered(assembly, slot, &reply, 1, now_s));
}

static void versions_do_not_meet(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(8);
    int one = offer_part(assembly, 1, 5, 0, 3, 0, 0.0).slot;
    struct agn__offer two = offer_compact(assembly, 5, 0, 1, 0.0, 0, 0);
    assert_true(two.began && !two.restarted && two.slot != one);
    assert_int_equal(agn__assembly_is_compact(assembly, one), 0);
    assert_int_equal(agn__assembly_is_compact(assembly, two.slot), 1);
    assert_int_equal(agn__assembly_frame(assembly, one), 5);
    assert_int_equal(agn__assembly_frame(assembly, two.slot), 5);
    agn__assembly_free(assembly);
}

/* A number that comes round again finds no old reply: not at more than 128 frames a second either, not after
 * losses, and not of packets whose symbols are those of before. A frame's own repeated packets do. */
static void numbers_come_round(void **state)
{
    (void)state;
    struct agn__assembly *assembly =
        new_assembly(4096);           /* so large that no frame gives way for want of room */
    const double step_s = 1.0 / 1000; /* of the 2 s that a reply is kept, 256 frames take an eighth */
    for (unsigned frame = 0; frame < 3 * 256 + 5; frame++) {
        double now_s = frame * step_s;
        if (frame >= 300 && frame < 400) /* lost */
            continue;
        for (unsigned index = 0; index < 3; index++)
            assert_int_equal(offer_compact(assembly, frame, index, 3, now_s, 0, 0).began, index == 0);
        answer_next(assembly, (uint8_t)(frame >> 8), now_s);
        struct agn__offer again = offer_compact(assembly, frame, 1, 3, now_s, 0, 0);
        size_t len;
        assert_int_equal(again.kind, AGN__OFFER_REPEAT);
        assert_int_equal(*agn__assembly_reply(assembly, again.slot, &len), frame >> 8);
        if (frame >= 3 && (frame < 303 || frame >= 403)) { /* packets that three frames have overtaken */
            again = offer_compact(assembly, frame - 3, 1, 3, now_s, 0, 0);
            assert_int_equal(again.kind, AGN__OFFER_REPEAT);
            assert_int_equal(*agn__assembly_reply(assembly, again.slot, &len), (frame - 3) >> 8);
        }
    }
    agn__assembly_free(assembly);
}

/* Nor beyond the deadline that it had, where all in between were lost. */
static void replies_are_kept_for_a_deadline(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(8);
    for (unsigned index = 0; index < 3; index++)
        offer_compact(assembly, 9, index, 0, 0.0, 0, 200);
    answer_next(assembly, 1, 0.01);
    assert_int_equal(offer_compact(assembly, 9, 0, 0, 0.19, 0, 200).kind, AGN__OFFER_REPEAT);
    assert_int_equal(offer_compact(assembly, 9, 0, 0, 0.21, 0, 200).began, 1);
    agn__assembly_free(assembly);
}

static void answers_at_once(void **state)
{
    (void)state;
    struct agn__assembly *assembly = new_assembly(8);
    struct agn__offer offer = offer_compact(assembly, 1, 1, 0, 0.0, 1, 0);
    assert_int_equal(offer.kind, AGN__OFFER_STORED);
    assert_map(assembly, agn__assembly_next(assembly, 0.0), 0, 2 * PLANE, 4 * PLANE);
    answer_next(assembly, 7, 0.0);
    assert_int_equal(offer_compact(assembly, 1, 1, 0, 0.0, 1, 0).kind, AGN__OFFER_REPEAT);

    /* More comes while nothing is asked for: it waits, as any frame; then it asks. */
    offer = offer_compact(assembly, 1, 0, 0, 0.1, 0, 0);
    assert_int_equal(offer.kind, AGN__OFFER_STORED);
    assert_int_equal(offer.began, 0);
    assert_int_equal(agn__assembly_next(assembly, 0.1), -1);
    assert_int_equal(offer_compact(assembly, 1, 0, 0, 0.1, 1, 0).kind, AGN__OFFER_DUPLICATE);
    int slot = agn__assembly_next(assembly, 0.1);
    assert_int_equal(slot, offer.slot);
    assert_map(assembly, slot, 0, 0, 4 * PLANE);

    /* And more while that answer is made: it goes on at once. */
    uint64_t serial = agn__assembly_working(assembly, slot);
    assert_int_equal(offer_compact(assembly, 1, 2, 0, 0.1, 0, 0).kind, AGN__OFFER_STORED);
    assert_true(agn__assembly_is_working(assembly, slot, serial));
    assert_true(agn__assembly_answered(assembly, slot, (const uint8_t *)"a", 1, 0.1));
    assert_int_equal(agn__assembly_next(assembly, 0.1), slot);
    assert_map(assembly, slot, 0, 0, MAP);
    answer_next(assembly, 'b', 0.1);
    size_t len;
    assert_int_equal(offer_compact(assembly, 1, 2, 0, 0.1, 0, 0).kind, AGN__OFFER_REPEAT);
    assert_int_equal(*agn__assembly_reply(assembly, slot, &len), 'b');
    assert_int_equal(agn__assembly_pending(assembly), 0);

    /* Other symbols begin it anew; and what was given up stays so. */
    assert_int_equal(offer_compact(assembly, 1, 2, 5, 0.1, 1, 0).restarted, 1);
    slot = agn__assembly_next(assembly, 0.1);
    assert_map(assembly, slot, 5, 4 * PLANE, MAP);
    agn__assembly_working(assembly, slot);
    offer_compact(assembly, 1, 1, 5, 0.1, 1, 0);
    agn__assembly_dropped(assembly, slot, 0.1);
    assert_int_equal(agn__assembly_next(assembly, 9.9), -1);
    assert_int_equal(offer_compact(assembly, 1, 1, 5, 0.1, 1, 0).kind, AGN__OFFER_SPENT);
    agn__assembly_free(assembly);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_do_not_meet),
        cmocka_unit_test(numbers_come_round),
        cmocka_unit_test(replies_are_kept_for_a_deadline),
        cmocka_unit_test(answers_at_once),
        cmocka_unit_test(completes_in_any_order),
        cmocka_unit_test(bands_of_one_channel_fill_their_rows),
        cmocka_unit_test(duplicates_change_nothing),
        cmocka_unit_test(peers_do_not_mix),
        cmocka_unit_test(frame_numbers_wrap),
        cmocka_unit_test(waiting_ends_in_time),
        cmocka_unit_test(a_stated_deadline_shortens_the_wait),
        cmocka_unit_test(the_oldest_gives_way),
        cmocka_unit_test(one_sender_cannot_push_out_the_others),
        cmocka_unit_test(a_contradiction_begins_the_frame_anew),
        cmocka_unit_test(bad_tiles_leave_the_table_alone),
        cmocka_unit_test(survives_a_storm),
        cmocka_unit_test(logits_saturate_and_refuse_nonsense),
    };
    return cmocka_run_group_tests_name("server assembly", tests, NULL, NULL);
}
