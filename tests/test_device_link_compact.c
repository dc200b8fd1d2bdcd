/* Version 2 through agn_link.h: a simulated server that keeps what came, one of before that answers 4.04,
 * losses, answers asked for one by one, late answers after the number has come round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agn_compact.h"
#include "agn_link.h"
#include "support/small_model.h"

enum { LATEST = 8 };

struct world {
    struct small_model small;
    uint8_t *file;
    void *arena;
    uint8_t image[SMALL_SIDE * SMALL_SIDE];
    struct agn_dev dev;
    struct agn_link link;
    struct agn_rng rng;
    uint32_t now_ms, delay_ms;
    unsigned loss;
    int16_t best;                    /* the server's logit of class 2 for each channel that came */
    bool is_old, is_silent, by_rows; /* by_rows: a channel has come when its last rows have */
    int requests, old_requests, bytes;
    uint16_t frame;
    unsigned came; /* a bit a channel */
    uint16_t came_of;
    struct {
        uint32_t at_ms;
        size_t len;
        uint8_t bytes[64];
    } answers[LATEST];
};

static void begin(struct world *w, const struct agn_link_config *config)
{
    struct agn_dev_model model;
    size_t bytes;
    small_model_make(&w->small);
    small_model_image(w->image);
    assert_int_equal(agn_model_agn_write(&w->small.model, &w->file, &bytes), 0);
    assert_int_equal(agn_dev_model_open(&model, w->file, bytes), 0);
    w->arena = malloc(agn_dev_arena_bytes(&model));
    assert_int_equal(agn_dev_init(&w->dev, w->file, bytes, w->arena, agn_dev_arena_bytes(&model)), 0);
    assert_int_equal(agn_dev_protocol(&w->dev), 1);
    assert_int_equal(agn_link_init(&w->link, &w->dev, config, 0xABCD1234), 0);
    agn_rng_seed(&w->rng, 5);
    if (w->best == 0)
        w->best = 6000;
}

static void end(struct world *w)
{
    agn_free(w->file);
    free(w->arena);
}

static bool is_lost(struct world *w)
{
    return w->is_silent || agn_rng_below(&w->rng, 100) < w->loss;
}

static void put_answer(struct world *w, const uint8_t *bytes, size_t len)
{
    for (int i = 0; i < LATEST && !is_lost(w); i++)
        if (w->answers[i].len == 0) {
            w->answers[i].at_ms = w->now_ms + 2 * w->delay_ms;
            w->answers[i].len = len;
            memcpy(w->answers[i].bytes, bytes, len);
            return;
        }
}

static void serve_old(struct world *w, const uint8_t *datagram, size_t len)
{
    static const int16_t logits[SMALL_CLASSES] = {0, 0, 20000};
    struct agn_feature_packet packet;
    uint8_t answer[64] = {0x54, 2 << 5 | 4, 0, 1};
    if (agn_feature_unpack(datagram + AGN_COAP_REQUEST_OVERHEAD, len - AGN_COAP_REQUEST_OVERHEAD, &packet) <
        0)
        fail();
    w->old_requests++;
    memcpy(answer + 4, datagram + 4, AGN_COAP_TOKEN_BYTES);
    answer[8] = 0xFF;
    const struct agn_reply_packet reply = {
        .model_id = SMALL_MODEL_ID, .frame = packet.frame, .class_count = SMALL_CLASSES};
    int bytes = agn_reply_pack(&reply, logits, answer + 9, 40);
    assert_true(bytes > 0);
    put_answer(w, answer, 9 + (size_t)bytes);
}

/* As a server that answers the last packet, and others where it is asked to. */
static void serve(struct world *w, const uint8_t *datagram, size_t len)
{
    static const struct agn_map_shape shape = {SMALL_SENT, SMALL_MAP_SIDE, SMALL_MAP_SIDE};
    struct agn_feature_packet packet;
    uint8_t answer[64] = {0x52, 2 << 5 | 4, 0, 1, datagram[4], datagram[5], 0xFF};
    w->requests++;
    w->bytes += (int)len;
    if (is_lost(w))
        return;
    if ((datagram[0] & 15) == AGN_COAP_TOKEN_BYTES) {
        serve_old(w, datagram, len);
        return;
    }
    if (w->is_old) {
        answer[1] = 4 << 5 | 4;
        put_answer(w, answer, 6);
        return;
    }
    assert_memory_equal(datagram + 6, "\xB1i\xFF", 3);
    assert_int_equal(
        agn_compact_unpack(datagram + AGN_COAP_COMPACT_OVERHEAD, len - AGN_COAP_COMPACT_OVERHEAD, &packet),
        0);
    assert_int_equal(packet.model_id, SMALL_MODEL_ID);
    assert_int_equal(agn_compact_place(&packet, &shape), 0);
    if (packet.frame != w->came_of)
        w->came = 0;
    w->came_of = packet.frame;
    for (unsigned c = 0; c < packet.channel_count; c++)
        if (!w->by_rows || packet.row_first + packet.row_count == SMALL_MAP_SIDE)
            w->came |= 1u << (packet.channel_first + c);
    int count = 0;
    for (unsigned c = 0; c < SMALL_SENT; c++)
        count += (int)(w->came >> c & 1);
    if (!packet.last && !packet.now) /* a budget may end the frame early */
        return;
    const int16_t logits[SMALL_CLASSES] = {0, 0, (int16_t)(w->best * count)};
    const struct agn_reply_packet reply = {.model_id = SMALL_MODEL_ID,
                                           .frame = packet.frame,
                                           .channels_missing = (uint8_t)(SMALL_SENT - count),
                                           .class_count = SMALL_CLASSES};
    int bytes = agn_compact_reply_pack(&reply, logits, answer + 7, 40);
    assert_int_equal(bytes, AGN_COMPACT_REPLY_BYTES(SMALL_CLASSES));
    put_answer(w, answer, 7 + (size_t)bytes);
}

/* A frame; its prediction. */
static struct agn_dev_prediction frame(struct world *w)
{
    uint8_t datagram[AGN_LINK_MAX_DATAGRAM];
    struct agn_dev_prediction prediction;
    uint32_t begin_ms = w->now_ms, wait_ms;
    int len;
    assert_int_equal(agn_dev_frame_begin(&w->dev, ++w->frame, 200), 0);
    assert_int_equal(agn_dev_push_rows(&w->dev, w->image, SMALL_SIDE), 0);
    agn_link_begin(&w->link, w->now_ms);
    while ((wait_ms = agn_link_wait_ms(&w->link, w->now_ms)) > 0) {
        while ((len = agn_link_next(&w->link, w->now_ms, datagram, sizeof datagram)) > 0)
            serve(w, datagram, (size_t)len);
        assert_int_equal(len, 0);
        wait_ms = agn_link_wait_ms(&w->link, w->now_ms);
        int next = -1;
        for (int i = 0; i < LATEST; i++)
            if (w->answers[i].len > 0 && (int32_t)(w->answers[i].at_ms - w->now_ms) <= (int32_t)wait_ms &&
                (next < 0 || w->answers[i].at_ms < w->answers[next].at_ms))
                next = i;
        if (next < 0)
            w->now_ms += wait_ms;
        else if ((int32_t)(w->answers[next].at_ms - w->now_ms) > 0)
            w->now_ms = w->answers[next].at_ms;
        if (next >= 0) {
            agn_link_take(&w->link, w->now_ms, w->answers[next].bytes, w->answers[next].len);
            w->answers[next].len = 0;
        }
    }
    agn_link_end(&w->link, w->now_ms);
    assert_in_range(w->now_ms - begin_ms, 0, w->link.config.deadline_ms);
    assert_int_equal(agn_dev_predict(&w->dev, &prediction), 0);
    assert_true(!prediction.fused || prediction.class_index == 2);
    w->now_ms += 50;
    return prediction;
}

static int frames(struct world *w, int count)
{
    int fused = 0;
    for (int i = 0; i < count; i++)
        fused += frame(w).fused;
    assert_int_equal(w->link.counts.fused, fused);
    return fused;
}

static const struct agn_link_config TWO = {.protocol = 2}, AUTO = {.protocol = AGN_LINK_AUTO};

/* Through all numbers and round again; each answer is of its frame. */
static void a_good_link(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 5, .frame = 65000};
    begin(&w, &TWO);
    assert_int_equal(frames(&w, 1000), 1000);
    assert_int_equal(w.requests, 1000);
    assert_int_equal(w.link.counts.rounds, 0);
    /* 9 of CoAP, 9 of header and checksum with the deadline, 20 of symbols. */
    assert_int_equal(w.bytes, 1000 * (9 + 9 + 20));
    end(&w);
}

static void losses_cost_no_prediction(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 3, .loss = 30};
    begin(&w, &TWO);
    assert_in_range(frames(&w, 400), 320, 399);
    end(&w);
}

static void an_old_server(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 5, .is_old = true};
    begin(&w, &AUTO);
    assert_int_equal(frames(&w, 20), 20);
    assert_int_equal(w.requests - w.old_requests, 1);
    assert_int_equal(agn_dev_protocol(&w.dev), 1);
    end(&w);

    struct world several = {.delay_ms = 5, .is_old = true}; /* a refusal for each packet */
    begin(&several, &(struct agn_link_config){.protocol = AGN_LINK_AUTO, .datagram_bytes = 42});
    assert_int_equal(frames(&several, 20), 20);
    assert_true(several.requests - several.old_requests > 1);
    end(&several);

    struct world strict = {.delay_ms = 5, .is_old = true};
    begin(&strict, &TWO);
    assert_int_equal(frames(&strict, 3), 0);
    assert_int_equal(strict.old_requests, 0);
    end(&strict);

    struct world newer = {.delay_ms = 5};
    begin(&newer, &AUTO);
    assert_int_equal(frames(&newer, 3), 3);
    assert_int_equal(newer.old_requests, 0);
    end(&newer);
    struct agn_link link;
    assert_int_equal(agn_link_init(&link, &newer.dev, &(struct agn_link_config){.protocol = 3}, 1),
                     AGN_ERR_UNSUPPORTED);
    const struct agn_link_config too_short = {.protocol = AGN_LINK_AUTO, .datagram_bytes = 36};
    assert_int_equal(agn_link_init(&link, &newer.dev, &too_short, 1), AGN_ERR_RANGE);
}

/* An answer that is 256 frames late has the frame's byte, and another token. */
static void the_number_comes_round(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 5};
    uint8_t late[64];
    begin(&w, &TWO);
    assert_int_equal(frames(&w, 1), 1);
    assert_int_equal(agn_dev_frame_begin(&w.dev, ++w.frame, 200), 0);
    assert_int_equal(agn_dev_push_rows(&w.dev, w.image, SMALL_SIDE), 0);
    uint8_t datagram[AGN_LINK_MAX_DATAGRAM];
    assert_int_equal(agn_link_begin(&w.link, w.now_ms), 1);
    int len = agn_link_next(&w.link, w.now_ms, datagram, sizeof datagram);
    assert_true(len > 0);
    serve(&w, datagram, (size_t)len);
    size_t late_len = w.answers[0].len;
    memcpy(late, w.answers[0].bytes, late_len);
    w.answers[0].len = 0;
    agn_link_end(&w.link, w.now_ms);
    w.frame = (uint16_t)(w.frame + 255);
    w.is_silent = true;
    uint16_t of = (uint16_t)(w.frame + 1);
    assert_int_equal(agn_dev_frame_begin(&w.dev, of, 200), 0);
    assert_int_equal(agn_dev_push_rows(&w.dev, w.image, SMALL_SIDE), 0);
    assert_int_equal(agn_link_begin(&w.link, w.now_ms), 1);
    assert_true(agn_link_next(&w.link, w.now_ms, datagram, sizeof datagram) > 0);
    assert_int_equal(agn_link_take(&w.link, w.now_ms, late, late_len), 0);
    /* Its bytes alone would do: it is the token that tells. */
    memcpy(late + 4, datagram + 4, 2);
    assert_int_equal(agn_link_take(&w.link, w.now_ms, late, late_len), 1);
    end(&w);
}

/* No more packets than the answers ask for. */
static void asks_for_more_where_unsure(void **state)
{
    (void)state;
    struct agn_link_config config = {.protocol = 2, .datagram_bytes = 9 + 15 + 6, .ask_margin = 1};
    struct world sure = {.delay_ms = 3, .best = 8000};
    begin(&sure, &config);
    assert_int_equal(frames(&sure, 20), 20);
    assert_int_equal(sure.requests, 20);
    assert_int_equal(sure.link.counts.asked, 0);
    end(&sure);

    struct world unsure = {.delay_ms = 3, .best = 8000};
    config.ask_margin = 32767;
    begin(&unsure, &config);
    assert_int_equal(frames(&unsure, 20), 20);
    assert_int_equal(unsure.requests, 20 * SMALL_SENT);
    assert_int_equal(frame(&unsure).channels_missing, 0);
    end(&unsure);

    /* The first answer stands where later ones do not come. */
    struct world cut = {.delay_ms = 90, .best = 8000};
    begin(&cut, &config);
    struct agn_dev_prediction prediction = frame(&cut);
    assert_int_equal(prediction.fused, 1);
    assert_int_equal(prediction.channels_missing, SMALL_SENT - 1);
    end(&cut);

    struct world lossy = {.delay_ms = 3, .best = 8000, .loss = 25};
    begin(&lossy, &config);
    int fused = 0, whole = 0;
    for (int i = 0; i < 400; i++) {
        prediction = frame(&lossy);
        fused += prediction.fused;
        whole += prediction.fused && prediction.channels_missing == 0;
    }
    print_message("of 400 frames over a link that loses a quarter: %d answered, %d of these wholly\n", fused,
                  whole);
    assert_true(fused > 320 && whole > 40 && whole <= fused);
    end(&lossy);

    /* Packets that hold a part of a channel only: the answers to them lack as much as those before. */
    struct world parts = {.delay_ms = 3, .best = 8000, .by_rows = true};
    config.datagram_bytes = 9 + 15 + AGN_ROW_BYTES(SMALL_MAP_SIDE);
    begin(&parts, &config);
    for (int i = 0; i < 20; i++) {
        prediction = frame(&parts);
        assert_true(prediction.fused && prediction.channels_missing == 0);
    }
    print_message("%d packets for %d channels of 20 frames\n", parts.requests, 20 * SMALL_SENT);
    assert_true(parts.requests > 20 * SMALL_SENT);
    end(&parts);

    struct world old = {.delay_ms = 3, .is_old = true};
    begin(&old, &(struct agn_link_config){.protocol = AGN_LINK_AUTO, .ask_margin = 32767});
    assert_int_equal(frames(&old, 5), 5);
    assert_int_equal(old.link.counts.asked, 0);
    end(&old);
}

static void bytes_from_anybody(void **state)
{
    (void)state;
    struct world w = {.is_silent = true};
    uint8_t bytes[100], good[AGN_LINK_MAX_DATAGRAM];
    begin(&w, &AUTO);
    assert_int_equal(agn_dev_frame_begin(&w.dev, 1, 200), 0);
    assert_int_equal(agn_dev_push_rows(&w.dev, w.image, SMALL_SIDE), 0);
    assert_int_equal(agn_link_begin(&w.link, 0), 1);
    assert_true(agn_link_next(&w.link, 0, good, sizeof good) > 0);
    for (int i = 0; i < 50000; i++) {
        size_t len = agn_rng_below(&w.rng, sizeof bytes);
        for (size_t b = 0; b < len; b++)
            bytes[b] = (uint8_t)agn_rng_u64(&w.rng);
        if (len >= 12 && i % 2 == 0) { /* with this frame's token */
            bytes[0] = (uint8_t)(0x42 | (bytes[0] & 0x30));
            bytes[1] = (uint8_t)(2 << 5 | 4);
            memcpy(bytes + 4, good + 4, AGN_COAP_COMPACT_TOKEN_BYTES);
            bytes[6] = 0xFF;
            bytes[7] = (uint8_t)(0xA0 | (bytes[7] & 7));
        }
        assert_int_equal(agn_link_take(&w.link, 1, bytes, len), 0);
    }
    assert_int_equal(w.link.counts.fused, 0);
    assert_int_equal(w.link.pause.length_ms, 0);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_link),
        cmocka_unit_test(losses_cost_no_prediction),
        cmocka_unit_test(an_old_server),
        cmocka_unit_test(the_number_comes_round),
        cmocka_unit_test(asks_for_more_where_unsure),
        cmocka_unit_test(bytes_from_anybody),
    };
    return cmocka_run_group_tests_name("device link, version 2", tests, NULL, NULL);
}
