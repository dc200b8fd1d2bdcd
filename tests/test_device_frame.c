/* A frame's life on the device: memory, order of calls, replies that must not count, and the
 * local answer that stands whatever the server does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "support/naive_device.h"
#include "support/small_model.h"

struct fixture {
    struct small_model small;
    uint8_t *file;
    size_t file_bytes, arena_bytes;
    void *arena;
    uint8_t image[SMALL_SIDE * SMALL_SIDE];
    struct agn_dev dev;
    struct naive_result expected;
};

static int setup(void **state)
{
    struct fixture *it = calloc(1, sizeof *it);
    if (!it)
        return -1;
    *state = it;
    small_model_make(&it->small);
    small_model_image(it->image);
    naive_run(&it->small.model, it->image, &it->expected);
    struct agn_dev_model model;
    if (agn_model_agn_write(&it->small.model, &it->file, &it->file_bytes) < 0 ||
        agn_dev_model_open(&model, it->file, it->file_bytes) < 0)
        return -1;
    it->arena_bytes = agn_dev_arena_bytes(&model);
    it->arena = malloc(it->arena_bytes);
    return agn_dev_init(&it->dev, it->file, it->file_bytes, it->arena, it->arena_bytes);
}

static int teardown(void **state)
{
    struct fixture *it = *state;
    naive_free(&it->expected);
    agn_free(it->file);
    free(it->arena);
    free(it);
    return 0;
}

/* A whole frame up to its packets. */
static void extract_and_send(struct fixture *it, uint16_t frame)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int length, made = 0;
    assert_int_equal(agn_dev_frame_begin(&it->dev, frame, 40), 0);
    assert_int_equal(agn_dev_push_rows(&it->dev, it->image, SMALL_SIDE), 0);
    while ((length = agn_dev_next_packet(&it->dev, packet, sizeof packet)) > 0) {
        struct agn_feature_packet read;
        assert_int_equal(agn_feature_unpack(packet, (size_t)length, &read), 0);
        assert_int_equal(read.frame, frame);
        assert_int_equal(read.model_id, SMALL_MODEL_ID);
        assert_int_equal(read.deadline_ms, 40);
        made++;
    }
    assert_int_equal(length, 0);
    assert_int_equal(made, 1);
}

static const int16_t REMOTE[SMALL_CLASSES] = {-3000, 2000, 5000};

static size_t make_reply(uint8_t *bytes, uint32_t model_id, uint16_t frame, uint8_t status, uint16_t classes)
{
    const int16_t logits[4] = {REMOTE[0], REMOTE[1], REMOTE[2], 32767};
    struct agn_reply_packet reply = {model_id, frame, status, 0, classes, NULL, 0};
    int length = agn_reply_pack(&reply, logits, bytes, AGN_WIRE_MAX_REPLY);
    assert_true(length > 0);
    return (size_t)length;
}

static int reply(struct fixture *it, uint32_t model_id, uint16_t frame, uint8_t status, uint16_t classes)
{
    uint8_t bytes[AGN_WIRE_MAX_REPLY];
    size_t length = make_reply(bytes, model_id, frame, status, classes);
    return agn_dev_accept_reply(&it->dev, bytes, length);
}

static void expect_local(struct fixture *it)
{
    struct agn_dev_prediction prediction;
    assert_int_equal(agn_dev_predict(&it->dev, &prediction), 0);
    assert_int_equal(prediction.fused, 0);
    assert_int_equal(prediction.class_index, agn_argmax_s16(it->expected.local, SMALL_CLASSES));
    assert_memory_equal(prediction.logits, it->expected.local, sizeof REMOTE);
}

static void expect_fused(struct fixture *it)
{
    struct agn_dev_prediction prediction;
    int32_t sums[SMALL_CLASSES];
    assert_int_equal(agn_dev_predict(&it->dev, &prediction), 0);
    assert_int_equal(prediction.fused, 1);
    for (int i = 0; i < SMALL_CLASSES; i++) {
        sums[i] = 8192 * it->expected.local[i] + (32768 - 8192) * REMOTE[i];
        assert_int_equal(prediction.logits[i], naive_requantise(sums[i], 1, 15));
    }
    assert_int_equal(prediction.class_index, agn_argmax_s32(sums, SMALL_CLASSES));
}

static void arena_and_init(void **state)
{
    struct fixture *it = *state;
    struct agn_dev dev, untouched;
    memset(&dev, 0xA5, sizeof dev);
    memset(&untouched, 0xA5, sizeof untouched);
    uint8_t *arena = malloc(it->arena_bytes + 4);
    assert_non_null(arena);
    assert_int_equal(agn_dev_init(&dev, it->file, it->file_bytes, arena, it->arena_bytes - 1), AGN_ERR_SPACE);
    assert_int_equal(agn_dev_init(&dev, it->file, it->file_bytes, arena, 0), AGN_ERR_SPACE);
    assert_int_equal(agn_dev_init(&dev, it->file, it->file_bytes, arena + 1, it->arena_bytes), AGN_ERR_ARG);
    assert_int_equal(agn_dev_init(&dev, it->file, it->file_bytes, NULL, it->arena_bytes), AGN_ERR_ARG);
    assert_int_equal(agn_dev_init(&dev, it->file, it->file_bytes - 1, arena, it->arena_bytes),
                     AGN_ERR_FORMAT);
    assert_memory_equal(&dev, &untouched, sizeof dev);
    free(arena);
}

static void calls_out_of_order(void **state)
{
    struct fixture *it = *state;
    struct agn_dev_prediction prediction;
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    for (int begun = 0; begun < 2; begun++) {
        assert_int_equal(agn_dev_predict(&it->dev, &prediction), AGN_ERR_STATE);
        assert_int_equal(agn_dev_next_packet(&it->dev, packet, sizeof packet), AGN_ERR_STATE);
        assert_int_equal(agn_dev_symbol(&it->dev, 0, 0, 0), AGN_ERR_STATE);
        assert_int_equal(reply(it, SMALL_MODEL_ID, 5, AGN_REPLY_OK, SMALL_CLASSES), AGN_ERR_STATE);
        assert_null(agn_dev_local(&it->dev));
        if (!begun) {
            assert_int_equal(agn_dev_push_rows(&it->dev, it->image, 1), AGN_ERR_STATE);
            assert_int_equal(agn_dev_frame_begin(&it->dev, 5, 0), 0);
            assert_int_equal(agn_dev_push_rows(&it->dev, it->image, SMALL_SIDE - 1), 0);
        }
    }
    const uint8_t *last = it->image + (SMALL_SIDE - 1) * SMALL_SIDE;
    assert_int_equal(agn_dev_push_rows(&it->dev, last, 2), AGN_ERR_RANGE);
    assert_int_equal(agn_dev_push_rows(&it->dev, last, 1), 0);
    assert_int_equal(agn_dev_push_rows(&it->dev, last, 1), AGN_ERR_RANGE);
    assert_int_equal(agn_dev_push_rows(&it->dev, last, 0), 0);
    assert_memory_equal(agn_dev_local(&it->dev), it->expected.local, sizeof REMOTE);
    assert_int_equal(agn_dev_symbol(&it->dev, SMALL_SENT, 0, 0), AGN_ERR_ARG);
    assert_int_equal(agn_dev_symbol(&it->dev, 0, SMALL_MAP_SIDE, 0), AGN_ERR_ARG);
    assert_int_equal(agn_dev_symbol(&it->dev, 0, 0, SMALL_MAP_SIDE), AGN_ERR_ARG);
    /* A reply before any packet was made cannot be an answer. */
    assert_int_equal(reply(it, SMALL_MODEL_ID, 5, AGN_REPLY_OK, SMALL_CLASSES), AGN_ERR_STATE);
    expect_local(it);
    assert_int_equal(agn_dev_next_packet(&it->dev, packet, sizeof packet), AGN_ERR_STATE);
    expect_local(it);
}

static void a_good_reply_is_fused(void **state)
{
    struct fixture *it = *state;
    extract_and_send(it, 65535);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 65535, AGN_REPLY_OK, SMALL_CLASSES), 0);
    expect_fused(it);
    expect_fused(it);
    extract_and_send(it, 0); /* the number wraps; what was fused before is gone */
    assert_int_equal(reply(it, SMALL_MODEL_ID, 65535, AGN_REPLY_OK, SMALL_CLASSES), AGN_ERR_TIMEOUT);
    expect_local(it);
}

static void replies_that_do_not_count(void **state)
{
    struct fixture *it = *state;
    extract_and_send(it, 7);
    assert_int_equal(reply(it, SMALL_MODEL_ID + 1, 7, AGN_REPLY_OK, SMALL_CLASSES), AGN_ERR_MISMATCH);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 6, AGN_REPLY_OK, SMALL_CLASSES), AGN_ERR_TIMEOUT);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 8, AGN_REPLY_OK, SMALL_CLASSES), AGN_ERR_TIMEOUT);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 7, AGN_REPLY_OK, SMALL_CLASSES + 1), AGN_ERR_MISMATCH);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 7, AGN_REPLY_OK, SMALL_CLASSES - 1), AGN_ERR_MISMATCH);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 7, AGN_REPLY_BUSY, 0), AGN_ERR_BUSY);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 7, AGN_REPLY_VERSION, 0), AGN_ERR_VERSION);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 7, AGN_REPLY_MISMATCH, 0), AGN_ERR_MISMATCH);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 7, AGN_REPLY_FAILED, 0), AGN_ERR_ENGINE);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 7, AGN_REPLY_BAD_PACKET, 0), AGN_ERR_ENGINE);

    uint8_t bytes[AGN_WIRE_MAX_REPLY];
    size_t length = make_reply(bytes, SMALL_MODEL_ID, 7, AGN_REPLY_OK, SMALL_CLASSES);
    for (size_t len = 0; len < length; len++)
        assert_true(agn_dev_accept_reply(&it->dev, bytes, len) < 0);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_true(agn_dev_accept_reply(&it->dev, bytes, length) < 0);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    expect_local(it);
    assert_int_equal(agn_dev_accept_reply(&it->dev, bytes, length), AGN_ERR_TIMEOUT); /* too late */
    expect_local(it);
}

static void a_duplicate_changes_nothing(void **state)
{
    struct fixture *it = *state;
    extract_and_send(it, 9);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 9, AGN_REPLY_BUSY, 0), AGN_ERR_BUSY);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 9, AGN_REPLY_OK, SMALL_CLASSES), 0);
    uint8_t bytes[AGN_WIRE_MAX_REPLY];
    const int16_t other[SMALL_CLASSES] = {9000, 0, 0};
    struct agn_reply_packet again = {SMALL_MODEL_ID, 9, AGN_REPLY_OK, 0, SMALL_CLASSES, NULL, 0};
    int length = agn_reply_pack(&again, other, bytes, sizeof bytes);
    assert_int_equal(agn_dev_accept_reply(&it->dev, bytes, (size_t)length), AGN_ERR_STATE);
    expect_fused(it);
}

static void a_new_frame_drops_the_old_one(void **state)
{
    struct fixture *it = *state;
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    for (unsigned rows = 0; rows <= SMALL_SIDE; rows++) {
        assert_int_equal(agn_dev_frame_begin(&it->dev, (uint16_t)rows, 0), 0);
        assert_int_equal(agn_dev_push_rows(&it->dev, it->image, rows), 0);
        if (rows == SMALL_SIDE) /* also between packets: the encoder has used the line buffers */
            assert_true(agn_dev_next_packet(&it->dev, packet, 30) > 0);
        extract_and_send(it, 1000);
        assert_memory_equal(agn_dev_local(&it->dev), it->expected.local, sizeof REMOTE);
    }
    assert_int_equal(reply(it, SMALL_MODEL_ID, 1000, AGN_REPLY_OK, SMALL_CLASSES), 0);
    expect_fused(it);
}

static void datagrams_too_small(void **state)
{
    struct fixture *it = *state;
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    assert_int_equal(agn_dev_frame_begin(&it->dev, 1, 0), 0);
    assert_int_equal(agn_dev_push_rows(&it->dev, it->image, SMALL_SIDE), 0);
    for (size_t cap = 0; cap <= AGN_FEATURE_OVERHEAD_BYTES; cap++)
        assert_int_equal(agn_dev_next_packet(&it->dev, packet, cap), AGN_ERR_SPACE);
    assert_true(agn_dev_next_packet(&it->dev, packet, AGN_FEATURE_OVERHEAD_BYTES + 2) > 0);
    expect_local(it);
}

/* What was sent once can be sent again, byte for byte, until the frame has its prediction. */
static void packets_come_again(void **state)
{
    struct fixture *it = *state;
    enum { CAP = AGN_FEATURE_OVERHEAD_BYTES + 4, MOST = 64 };
    uint8_t first[MOST][CAP], second[CAP];
    int lengths[MOST], count = 0;
    assert_int_equal(agn_dev_packets_again(&it->dev), AGN_ERR_STATE);
    assert_int_equal(agn_dev_frame_begin(&it->dev, 7, 0), 0);
    assert_int_equal(agn_dev_packets_again(&it->dev), AGN_ERR_STATE);
    assert_int_equal(agn_dev_push_rows(&it->dev, it->image, SMALL_SIDE), 0);
    while ((lengths[count] = agn_dev_next_packet(&it->dev, first[count], CAP)) > 0)
        assert_true(++count < MOST);
    assert_true(count >= 2);
    for (int stop = 1; stop <= count; stop++) { /* also from the midst */
        assert_int_equal(agn_dev_packets_again(&it->dev), 0);
        for (int i = 0; i < stop; i++) {
            assert_int_equal(agn_dev_next_packet(&it->dev, second, CAP), lengths[i]);
            assert_memory_equal(second, first[i], (size_t)lengths[i]);
        }
    }
    assert_int_equal(agn_dev_next_packet(&it->dev, second, CAP), 0);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 7, AGN_REPLY_OK, SMALL_CLASSES), 0);
    expect_fused(it);
    assert_int_equal(agn_dev_packets_again(&it->dev), AGN_ERR_STATE);
}

/* ---- the budget ---------------------------------------------------------------------------- */

struct sent {
    int count, last, rows; /* packets, those flagged last, rows of symbols */
    size_t bytes;
};

static struct sent send_within(struct fixture *it, size_t cap, uint32_t budget, uint16_t extra)
{
    struct sent sent = {0};
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    int length;
    agn_dev_set_budget(&it->dev, budget, extra);
    assert_int_equal(agn_dev_frame_begin(&it->dev, 3, 0), 0);
    assert_int_equal(agn_dev_push_rows(&it->dev, it->image, SMALL_SIDE), 0);
    while ((length = agn_dev_next_packet(&it->dev, packet, cap)) > 0) {
        struct agn_feature_packet read;
        assert_int_equal(agn_feature_unpack(packet, (size_t)length, &read), 0);
        assert_int_equal(read.index, sent.count);
        assert_int_equal(sent.last, 0); /* nothing comes after the last */
        assert_true((size_t)length <= cap);
        assert_int_equal(read.channel_first * SMALL_MAP_SIDE + read.row_first, sent.rows);
        sent.count++;
        sent.last += read.last;
        sent.rows += read.channel_count * read.row_count;
        sent.bytes += (size_t)length + extra;
    }
    assert_int_equal(length, 0);
    return sent;
}

/* Rows of 4 symbols, 12 bits; channels of 4 rows, 6 bytes; 4 channels. */
static void a_budget_is_kept(void **state)
{
    struct fixture *it = *state;
    enum { RAW_ROW = 2, HEAD = AGN_FEATURE_OVERHEAD_BYTES, ALL_ROWS = SMALL_SENT * SMALL_MAP_SIDE };
    const size_t caps[] = {HEAD + RAW_ROW, HEAD + 6, HEAD + 13, AGN_WIRE_MAX_PACKET};
    for (size_t c = 0; c < sizeof caps / sizeof caps[0]; c++)
        for (uint16_t extra = 0; extra < 60; extra = (uint16_t)(extra + 23)) {
            struct sent whole = send_within(it, caps[c], AGN_DEV_NO_BUDGET, extra), before = {0};
            assert_int_equal(whole.rows, ALL_ROWS);
            assert_int_equal(whole.last, 1);
            for (uint32_t budget = 0; budget <= whole.bytes + 70; budget++) {
                struct sent sent = send_within(it, caps[c], budget, extra);
                assert_true(sent.bytes <= budget);
                assert_int_equal(sent.last, sent.count > 0);
                assert_true(sent.rows >= before.rows);
                /* What raw packing would put into the first packet. */
                size_t room = budget > extra ? budget - extra : 0;
                room = room < caps[c] ? room : caps[c];
                int rows = room < HEAD ? 0 : (int)((room - HEAD) * 8 / 12);
                rows = rows < SMALL_MAP_SIDE ? rows : rows - rows % SMALL_MAP_SIDE;
                assert_true(sent.rows >= (rows < ALL_ROWS ? rows : ALL_ROWS));
                before = sent;
            }
            assert_int_equal(before.rows, ALL_ROWS);
        }
}

static void a_budget_holds_for_repeated_packets(void **state)
{
    struct fixture *it = *state;
    enum { CAP = AGN_FEATURE_OVERHEAD_BYTES + 6 };
    uint8_t packet[CAP];
    struct sent once = send_within(it, CAP, 80, 10);
    assert_int_equal(once.count, 2);
    assert_int_equal(agn_dev_packets_again(&it->dev), 0);
    for (int i = 0; i < once.count; i++)
        assert_true(agn_dev_next_packet(&it->dev, packet, CAP) > 0);
    assert_int_equal(agn_dev_next_packet(&it->dev, packet, CAP), 0);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 3, AGN_REPLY_OK, SMALL_CLASSES), 0);
    expect_fused(it);
    /* Nothing sent, so nothing can be an answer. */
    assert_int_equal(send_within(it, CAP, 20, 0).count, 0);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 3, AGN_REPLY_OK, SMALL_CLASSES), AGN_ERR_STATE);
    expect_local(it);
}

static int reply_lacking(struct fixture *it, uint8_t missing);

/* What a measurement of the rate may count: each packet once, and of channels that did not arrive nothing. */
static void bytes_through_are_those_that_arrived(void **state)
{
    struct fixture *it = *state;
    enum { CAP = AGN_FEATURE_OVERHEAD_BYTES + 6 };
    uint8_t packet[CAP];
    struct sent sent = send_within(it, CAP, AGN_DEV_NO_BUDGET, 10);
    assert_int_equal(sent.count, SMALL_SENT);
    assert_int_equal(agn_dev_bytes_through(&it->dev), sent.bytes);
    assert_int_equal(agn_dev_packets_again(&it->dev), 0);
    assert_true(agn_dev_next_packet(&it->dev, packet, CAP) > 0);
    assert_int_equal(agn_dev_bytes_through(&it->dev), sent.bytes);
    assert_int_equal(reply(it, SMALL_MODEL_ID, 3, AGN_REPLY_OK, SMALL_CLASSES), 0);
    assert_int_equal(agn_dev_bytes_through(&it->dev), sent.bytes);
    for (uint8_t missing = 0; missing <= SMALL_SENT; missing++) { /* of four, of which two were sent */
        static const uint32_t arrived[] = {2, 2, 2, 1, 0};
        sent = send_within(it, CAP, 80, 10);
        assert_int_equal(sent.count, 2);
        assert_int_equal(agn_dev_frame_begin(&it->dev, 7, 0), 0);
        assert_int_equal(agn_dev_bytes_through(&it->dev), 0);
        assert_int_equal(agn_dev_push_rows(&it->dev, it->image, SMALL_SIDE), 0);
        while (agn_dev_next_packet(&it->dev, packet, CAP) > 0)
            continue;
        assert_int_equal(reply_lacking(it, missing), 0);
        assert_int_equal(agn_dev_bytes_through(&it->dev), sent.bytes / 2 * arrived[missing]);
    }
    uint32_t least = agn_dev_least_bytes(&it->dev);
    assert_int_equal(send_within(it, CAP, least, 10).count, 1);
    assert_int_equal(agn_dev_least_bytes(&it->dev), least);
    assert_int_equal(send_within(it, CAP, least - 1, 10).count, 0);
    assert_int_equal(agn_dev_bytes_through(&it->dev), 0);
}

/* ---- answers that lack channels, and frames that need none ---------------------------------- */

static int reply_lacking(struct fixture *it, uint8_t missing)
{
    uint8_t bytes[AGN_WIRE_MAX_REPLY];
    struct agn_reply_packet packet = {SMALL_MODEL_ID, 7, AGN_REPLY_OK, missing, SMALL_CLASSES, NULL, 0};
    int length = agn_reply_pack(&packet, REMOTE, bytes, sizeof bytes);
    assert_true(length > 0);
    return agn_dev_accept_reply(&it->dev, bytes, (size_t)length);
}

static void no_more_is_missing_than_was_sent(void **state)
{
    struct fixture *it = *state;
    for (unsigned missing = 0; missing <= SMALL_SENT; missing++) {
        extract_and_send(it, 7);
        assert_int_equal(reply_lacking(it, SMALL_SENT + 1), AGN_ERR_RANGE);
        assert_int_equal(reply_lacking(it, 255), AGN_ERR_RANGE);
        assert_int_equal(reply_lacking(it, (uint8_t)missing), 0);
        expect_fused(it);
        assert_int_equal(it->dev.channels_missing, missing);
    }
}

/* Local logits are set through the biases of a dense layer without weights. */
static void open_with(struct fixture *it, const int16_t logits[SMALL_CLASSES], uint16_t sure_margin)
{
    agn_free(it->file);
    memset(it->small.dense_weights, 0, sizeof it->small.dense_weights);
    for (int i = 0; i < SMALL_CLASSES; i++)
        it->small.dense[i] = (struct agn_model_channel){logits[i] * 8, 1 << 30, 33};
    it->small.model.sure_margin = sure_margin;
    assert_int_equal(agn_model_agn_write(&it->small.model, &it->file, &it->file_bytes), 0);
    assert_int_equal(agn_dev_init(&it->dev, it->file, it->file_bytes, it->arena, it->arena_bytes), 0);
    assert_int_equal(agn_dev_is_sure(&it->dev), AGN_ERR_STATE);
    assert_int_equal(agn_dev_margin(&it->dev), AGN_ERR_STATE);
    assert_int_equal(agn_dev_frame_begin(&it->dev, 1, 0), 0);
    assert_int_equal(agn_dev_is_sure(&it->dev), AGN_ERR_STATE);
    assert_int_equal(agn_dev_push_rows(&it->dev, it->image, SMALL_SIDE), 0);
    assert_memory_equal(agn_dev_local(&it->dev), logits, SMALL_CLASSES * sizeof *logits);
}

static void sureness_is_a_margin(void **state)
{
    struct fixture *it = *state;
    const struct {
        int16_t logits[SMALL_CLASSES];
        int margin;
    } cases[] = {
        {{5, 9, 5}, 4}, {{-100, -300, -7000}, 200},       {{9, 9, 1}, 0}, {{-5, 100, 100}, 0},
        {{1, 2, 3}, 1}, {{-32768, -32768, 32767}, 65535}, {{7, 7, 7}, 0}, {{32767, 0, -32768}, 32767}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint16_t thresholds[] = {0, 1, 4, 5, 200, INT16_MAX};
        for (size_t t = 0; t < sizeof thresholds / sizeof thresholds[0]; t++) {
            open_with(it, cases[i].logits, thresholds[t]);
            assert_int_equal(agn_dev_margin(&it->dev), cases[i].margin);
            /* No threshold: never sure. A margin of exactly the threshold is enough; a tie never is. */
            int sure = thresholds[t] > 0 && cases[i].margin >= thresholds[t];
            assert_int_equal(agn_dev_is_sure(&it->dev), sure);
        }
    }
    uint8_t *none = NULL;
    size_t size = 0;
    it->small.model.sure_margin = INT16_MAX + 1;
    assert_int_equal(agn_model_agn_write(&it->small.model, &none, &size), AGN_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(arena_and_init, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_out_of_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_good_reply_is_fused, setup, teardown),
        cmocka_unit_test_setup_teardown(replies_that_do_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(a_duplicate_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_frame_drops_the_old_one, setup, teardown),
        cmocka_unit_test_setup_teardown(datagrams_too_small, setup, teardown),
        cmocka_unit_test_setup_teardown(packets_come_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_budget_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_budget_holds_for_repeated_packets, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_through_are_those_that_arrived, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_is_missing_than_was_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(sureness_is_a_margin, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
