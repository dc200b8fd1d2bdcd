/* Frames through agn_link.h to a simulated server: loss, repetition, pauses, answers that do not count,
 * clocks that wrap, and bytes from anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agn_link.h"
#include "support/small_model.h"

enum { IN_FLIGHT = 16, NEVER = 0xFFFF };

struct answer {
    uint32_t at_ms;
    size_t len;
    uint8_t bytes[AGN_LINK_MAX_ANSWER];
};

/* A server behind a way that takes `delay_ms` in each direction and loses `loss` of 100 datagrams. */
struct world {
    struct small_model small;
    uint8_t *file;
    void *arena;
    uint8_t image[SMALL_SIDE * SMALL_SIDE];
    struct agn_dev dev;
    struct agn_link link;
    struct agn_rng rng;
    uint32_t now_ms, delay_ms, max_age_s;
    unsigned loss;
    bool is_busy, is_newer, confirmable, damages;
    int requests, acknowledged, longest;
    uint16_t frame;
    struct answer answers[IN_FLIGHT];
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
    assert_int_equal(agn_link_init(&w->link, &w->dev, config, 0xABCD1234), 0);
    agn_rng_seed(&w->rng, 5);
}

static void end(struct world *w)
{
    agn_free(w->file);
    free(w->arena);
}

/* Header of an answer to `request`, Max-Age, the reply. */
static void answer(struct world *w, const uint8_t *request, uint8_t code, uint8_t status, uint16_t frame)
{
    static const int16_t logits[SMALL_CLASSES] = {0, 0, 20000};
    struct answer *free_one = NULL;
    for (int i = 0; i < IN_FLIGHT && free_one == NULL; i++)
        free_one = w->answers[i].len == 0 ? &w->answers[i] : NULL;
    if (free_one == NULL || agn_rng_below(&w->rng, 100) < w->loss)
        return;
    uint8_t *to = free_one->bytes;
    size_t at = 4;
    to[0] = (uint8_t)(0x40 | (w->confirmable ? AGN_COAP_CON : AGN_COAP_NON) << 4 | AGN_COAP_TOKEN_BYTES);
    to[1] = code;
    to[2] = 0x12;
    to[3] = (uint8_t)w->requests;
    memcpy(to + at, request + 4, AGN_COAP_TOKEN_BYTES);
    at += AGN_COAP_TOKEN_BYTES;
    to[at++] = 0xD1; /* Max-Age, 14 = 13 + 1, of one byte */
    to[at++] = 1;
    to[at++] = (uint8_t)w->max_age_s;
    to[at++] = 0xFF;
    const struct agn_reply_packet reply = {.model_id = SMALL_MODEL_ID,
                                           .frame = frame,
                                           .status = status,
                                           .class_count = status == AGN_REPLY_OK ? SMALL_CLASSES : 0};
    int len = agn_reply_pack(&reply, logits, to + at, AGN_WIRE_MAX_REPLY);
    assert_true(len > 0);
    if (w->is_newer) {
        to[at]++;
        size_t body = (size_t)len - AGN_WIRE_CRC_BYTES;
        uint32_t sum = agn_crc32(0, to + at, body);
        for (int i = 0; i < AGN_WIRE_CRC_BYTES; i++)
            to[at + body + (size_t)i] = (uint8_t)(sum >> 8 * i);
    }
    if (w->damages)
        to[at + (size_t)len - 1] ^= 1;
    free_one->len = at + (size_t)len;
    free_one->at_ms = w->now_ms + 2 * w->delay_ms;
}

static void serve(struct world *w, const uint8_t *datagram, size_t len)
{
    struct agn_feature_packet packet;
    w->longest = (int)len > w->longest ? (int)len : w->longest;
    if (len == AGN_COAP_ACK_BYTES) {
        w->acknowledged++;
        assert_int_equal(datagram[0], 0x60);
        return;
    }
    w->requests++;
    assert_true(len > AGN_COAP_REQUEST_OVERHEAD);
    assert_int_equal(
        agn_feature_unpack(datagram + AGN_COAP_REQUEST_OVERHEAD, len - AGN_COAP_REQUEST_OVERHEAD, &packet),
        0);
    if (w->delay_ms == NEVER || agn_rng_below(&w->rng, 100) < w->loss)
        return;
    if (w->is_newer)
        answer(w, datagram, 4 << 5, AGN_REPLY_VERSION, packet.frame);
    else if (w->is_busy)
        answer(w, datagram, 5 << 5 | 3, AGN_REPLY_BUSY, packet.frame);
    else
        answer(w, datagram, 2 << 5 | 4, AGN_REPLY_OK, packet.frame);
}

/* The loop of agn_link.h; `wait_ms` pass, or the time until an answer. Returns how long the frame took. */
static uint32_t exchange(struct world *w)
{
    uint8_t datagram[AGN_LINK_MAX_DATAGRAM];
    uint32_t begin_ms = w->now_ms, wait_ms;
    int len;
    agn_link_begin(&w->link, w->now_ms);
    while ((wait_ms = agn_link_wait_ms(&w->link, w->now_ms)) > 0) {
        while ((len = agn_link_next(&w->link, w->now_ms, datagram, sizeof datagram)) > 0)
            serve(w, datagram, (size_t)len);
        assert_int_equal(len, 0);
        wait_ms = agn_link_wait_ms(&w->link, w->now_ms);
        struct answer *next = NULL;
        for (int i = 0; i < IN_FLIGHT; i++)
            if (w->answers[i].len > 0 && (int32_t)(w->answers[i].at_ms - w->now_ms) <= (int32_t)wait_ms &&
                (next == NULL || (int32_t)(w->answers[i].at_ms - next->at_ms) < 0))
                next = &w->answers[i];
        if (next == NULL) {
            w->now_ms += wait_ms;
            continue;
        }
        if ((int32_t)(next->at_ms - w->now_ms) > 0)
            w->now_ms = next->at_ms;
        len = (int)next->len;
        next->len = 0;
        agn_link_take(&w->link, w->now_ms, next->bytes, (size_t)len);
    }
    agn_link_end(&w->link, w->now_ms);
    return w->now_ms - begin_ms;
}

/* A frame; whether it was fused. */
static bool frame(struct world *w, uint32_t *took_ms)
{
    struct agn_dev_prediction prediction;
    assert_int_equal(agn_dev_frame_begin(&w->dev, ++w->frame, 200), 0);
    assert_int_equal(agn_dev_push_rows(&w->dev, w->image, SMALL_SIDE), 0);
    *took_ms = exchange(w);
    assert_int_equal(agn_dev_predict(&w->dev, &prediction), 0);
    assert_true(!prediction.fused || prediction.class_index == 2);
    return prediction.fused != 0;
}

static int frames(struct world *w, int count)
{
    uint32_t took_ms;
    int fused = 0;
    for (int i = 0; i < count; i++, w->now_ms += 50) {
        fused += frame(w, &took_ms);
        assert_in_range(took_ms, 0, w->link.config.deadline_ms);
    }
    assert_int_equal(w->link.counts.fused, fused);
    return fused;
}

static void a_good_link(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 5, .now_ms = UINT32_MAX - 900}; /* the clock wraps on the way */
    begin(&w, &(struct agn_link_config){0});
    assert_int_equal(frames(&w, 100), 100);
    assert_int_equal(w.requests, 100);
    assert_int_equal(w.link.counts.rounds, 0);
    assert_int_equal(w.acknowledged, 0);
    end(&w);
}

static void lost_datagrams_are_sent_again(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 3, .loss = 30};
    begin(&w, &(struct agn_link_config){.repeats = 3});
    int fused = frames(&w, 400); /* of one round 49 %, of four 93 % */
    assert_in_range(fused, 340, 399);
    assert_true(w.link.counts.rounds > 100 && w.requests <= 4 * 400);
    end(&w);
    struct world once = {.delay_ms = 3, .loss = 30};
    begin(&once, &(struct agn_link_config){.repeats = AGN_LINK_NO_REPEATS});
    assert_in_range(frames(&once, 400), 60, 250); /* losses look like a link that carries less */
    assert_int_equal(once.link.counts.rounds, 0);
    end(&once);
}

static void nobody_there(void **state)
{
    (void)state;
    uint32_t took_ms;
    struct world w = {.delay_ms = NEVER};
    begin(&w, &(struct agn_link_config){.deadline_ms = 120});
    for (int i = 0; i < 50; i++)
        assert_false(frame(&w, &took_ms));
    assert_true(w.requests < 120); /* hardly any repetitions, and frames that are not sent at all */
    w.delay_ms = 2;
    int fused = 0;
    for (int i = 0; i < 40; i++)
        fused += frame(&w, &took_ms);
    assert_true(fused > 25); /* and it is found again */
    end(&w);
}

static void late_answers_do_not_count(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 120}; /* there and back: 240 ms, later than the deadline */
    begin(&w, &(struct agn_link_config){.repeats = AGN_LINK_NO_REPEATS});
    uint32_t took_ms;
    for (int i = 0; i < 20; i++)
        assert_false(frame(&w, &took_ms));
    assert_true(w.link.counts.late + w.link.counts.unusable > 0);
    end(&w);
}

static void confirmable_answers_are_acknowledged(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 5, .confirmable = true};
    begin(&w, &(struct agn_link_config){0});
    assert_int_equal(frames(&w, 10), 10);
    assert_int_equal(w.acknowledged, 10);
    end(&w);
}

static void a_busy_server_is_left_alone(void **state)
{
    (void)state;
    uint32_t took_ms;
    struct world w = {.delay_ms = 5, .is_busy = true, .max_age_s = 3};
    begin(&w, &(struct agn_link_config){0});
    assert_false(frame(&w, &took_ms));
    assert_int_equal(took_ms, 10); /* not the whole deadline */
    w.is_busy = false;
    for (uint32_t until = w.now_ms + 2900; w.now_ms < until; w.now_ms += 100)
        assert_false(frame(&w, &took_ms));
    assert_int_equal(w.requests, 1);
    assert_int_equal(w.link.counts.busy, 1);
    w.now_ms += 2000;
    assert_true(frame(&w, &took_ms));
    w.is_busy = w.damages = true; /* not believed */
    assert_false(frame(&w, &took_ms));
    w.is_busy = w.damages = false;
    assert_true(frame(&w, &took_ms));
    end(&w);
}

static void a_server_of_another_version_is_noticed(void **state)
{
    (void)state;
    uint32_t took_ms;
    struct world w = {.delay_ms = 5, .is_newer = true, .damages = true};
    begin(&w, &(struct agn_link_config){0});
    assert_false(frame(&w, &took_ms)); /* not believed */
    assert_int_equal(w.link.counts.other_version, 0);
    w.damages = false;
    assert_false(frame(&w, &took_ms));
    assert_int_equal(took_ms, 10); /* not the whole deadline */
    assert_int_equal(w.link.counts.other_version, AGN_WIRE_VERSION + 1);
    w.is_newer = false;
    assert_true(frame(&w, &took_ms));
    end(&w);
}

static void datagrams_are_as_long_as_asked_for(void **state)
{
    (void)state;
    struct world w = {.delay_ms = 1};
    uint8_t datagram[AGN_LINK_MAX_DATAGRAM];
    begin(&w, &(struct agn_link_config){0});
    assert_int_equal(frames(&w, 1), 1);
    int whole = w.longest;
    assert_int_equal(agn_link_init(&w.link, &w.dev, &(struct agn_link_config){.datagram_bytes = 30}, 1),
                     AGN_ERR_RANGE);
    struct agn_link_config small = {.datagram_bytes = (uint16_t)(whole - 2)};
    assert_int_equal(agn_link_init(&w.link, &w.dev, &small, 1), 0);
    w.longest = w.requests = 0;
    assert_int_equal(frames(&w, 1), 1);
    assert_true(w.requests > 1 && w.longest <= whole - 2);
    agn_link_begin(&w.link, w.now_ms);
    assert_int_equal(agn_link_next(&w.link, w.now_ms, datagram, (size_t)whole - 3), AGN_ERR_SPACE);
    end(&w);
}

/* Nothing that anybody sends makes a prediction of the server's, or more than a datagram in answer. */
static void bytes_from_anybody(void **state)
{
    (void)state;
    struct world w = {.delay_ms = NEVER};
    uint8_t bytes[200], good[AGN_LINK_MAX_DATAGRAM];
    begin(&w, &(struct agn_link_config){0});
    assert_int_equal(agn_dev_frame_begin(&w.dev, 1, 200), 0);
    assert_int_equal(agn_dev_push_rows(&w.dev, w.image, SMALL_SIDE), 0);
    assert_int_equal(agn_link_begin(&w.link, 0), 1);
    int length = agn_link_next(&w.link, 0, good, sizeof good);
    assert_true(length > 0);
    for (int i = 0; i < 50000; i++) {
        size_t len = agn_rng_below(&w.rng, sizeof bytes);
        for (size_t b = 0; b < len; b++)
            bytes[b] = (uint8_t)agn_rng_u64(&w.rng);
        if (len >= 12 && i % 2 == 0) { /* with this frame's token */
            bytes[0] = (uint8_t)(0x44 | (bytes[0] & 0x30));
            bytes[1] = (uint8_t)(2 << 5 | 4);
            memcpy(bytes + 4, good + 4, AGN_COAP_TOKEN_BYTES);
            bytes[8] = 0xFF;
        }
        assert_int_equal(agn_link_take(&w.link, 1, bytes, len), 0);
    }
    assert_int_equal(w.link.counts.fused, 0);
    assert_int_equal(w.link.pause.length_ms, 0);
    end(&w);
}

static void a_model_in_a_partition(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w, &(struct agn_link_config){0});
    size_t bytes = w.dev.model.size_bytes;
    uint8_t *partition = calloc(bytes + 4096, 1);
    memset(partition, 0xFF, bytes + 4096);
    assert_int_equal(agn_dev_model_bytes(partition, bytes + 4096), 0);
    memcpy(partition, w.file, bytes);
    assert_int_equal(agn_dev_model_bytes(partition, bytes + 4096), bytes);
    assert_int_equal(agn_dev_model_bytes(partition, bytes), bytes);
    assert_int_equal(agn_dev_model_bytes(partition, bytes - 1), 0);
    assert_int_equal(agn_dev_model_bytes(partition, 10), 0);
    partition[4] = 5; /* another version */
    assert_int_equal(agn_dev_model_bytes(partition, bytes), 0);
    free(partition);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_good_link),
                                       cmocka_unit_test(lost_datagrams_are_sent_again),
                                       cmocka_unit_test(nobody_there),
                                       cmocka_unit_test(late_answers_do_not_count),
                                       cmocka_unit_test(confirmable_answers_are_acknowledged),
                                       cmocka_unit_test(a_busy_server_is_left_alone),
                                       cmocka_unit_test(a_server_of_another_version_is_noticed),
                                       cmocka_unit_test(datagrams_are_as_long_as_asked_for),
                                       cmocka_unit_test(bytes_from_anybody),
                                       cmocka_unit_test(a_model_in_a_partition)};
    return cmocka_run_group_tests_name("device link", tests, NULL, NULL);
}
