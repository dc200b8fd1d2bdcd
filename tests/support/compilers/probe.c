/* What a device computes, as text: for scripts/check-device-compilers.sh, which compares the texts of
 * compilers, flags and processors. A line a frame: logits, packets by length and checksum with two caps and a
 * budget, the link's datagrams and what it makes of answers, the fused answer. Frames and answers are made
 * here, so that the program needs no input. */
#include "agilenn.h"
#include "agn_pause.h"
#include "agn_rate.h"
#include "probe_text.h"

#include <string.h>

#ifndef PROBE_FRAMES
#define PROBE_FRAMES 12
#endif

static struct agn_dev dev;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4];
static uint8_t packet[AGN_WIRE_MAX_PACKET];
static uint8_t row[AGN_MODEL_INPUT_W * AGN_MODEL_INPUT_C];

/* ---- frames ------------------------------------------------------------------------- */

static uint32_t noise = 1;

static uint32_t next_noise(void)
{
    noise ^= noise << 13;
    noise ^= noise >> 17;
    noise ^= noise << 5;
    return noise;
}

/* Stripes with noise, which differ from frame to frame. */
static void make_row(uint16_t frame, uint16_t y)
{
    for (uint16_t i = 0; i < sizeof row; i++) {
        uint32_t stripe = ((uint32_t)i * (frame + 2u) + (uint32_t)y * 7u) & 127u;
        row[i] = (uint8_t)(stripe + (next_noise() >> 20 & (frame % 3u == 0 ? 127u : 63u)));
    }
}

static void put_packets(size_t cap)
{
    int length;
    while ((length = agn_dev_next_packet(&dev, packet, cap)) > 0) {
        uint32_t hash = 1; /* a CRC of what ends with its CRC tells nothing */
        for (int i = 0; i < length; i++)
            hash = (hash ^ packet[i]) * UINT32_C(16777619);
        put_hex((uint32_t)length);
        put_hex(hash);
    }
    put_hex((uint32_t)(int32_t)length);
}

/* ---- the link ------------------------------------------------------------------------ */

enum { LINK_DATAGRAM = 400 };

static struct agn_link link_to_server;
static uint8_t token[AGN_COAP_TOKEN_BYTES], answer[128 + 2 * AGN_MODEL_CLASSES];

/* What a server says to a frame, one answer after the other: g good, c confirmable and good, b busy, p a
 * sentence instead of a reply packet, l to the frame before, d damaged, v in another version, o with options
 * that cannot be. */
static const char *const conversations[] = {"odc", "b", "pg", "lvg"};

/* The first bytes, CoAP's, as they are; all of them as a checksum. */
static void put_bytes(const uint8_t *bytes, size_t len)
{
    uint32_t hash = 1, word = 0;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * UINT32_C(16777619);
        word = word << 8 | bytes[i];
        if (i < 20 && (i & 3) == 3)
            put_hex(word);
    }
    put_hex((uint32_t)len);
    put_hex(hash);
}

static size_t make_reply(uint16_t frame, char kind, uint8_t *to)
{
    int16_t logits[AGN_MODEL_CLASSES];
    struct agn_reply_packet reply = {0, 0, AGN_REPLY_OK, 0, AGN_MODEL_CLASSES, NULL, 0};
    for (uint16_t i = 0; i < AGN_MODEL_CLASSES; i++)
        logits[i] = (int16_t)(next_noise() & 0x7FFF);
    reply.model_id = dev.model.model_id;
    reply.frame = frame;
    if (kind == 'b') {
        reply.status = AGN_REPLY_BUSY;
        reply.class_count = 0;
    }
    int length = agn_reply_pack(&reply, logits, to, AGN_REPLY_BYTES(AGN_MODEL_CLASSES));
    if (kind == 'd')
        to[length - 1] ^= 0x10;
    if (kind == 'v')
        to[0]++;
    return (size_t)length;
}

/* Content-Format, Max-Age of two bytes, an option with a number of two bytes, then the payload. */
static size_t make_answer(uint16_t frame, char kind)
{
    static const uint8_t options[] = {0xC1, 42, 0x22, 0x01, 0x2C, 0xE1, 0x01, 0x02, 0x33, 0xFF};
    static const uint8_t sentence[] = {'n', 'o'};
    size_t at = 8;
    answer[0] = kind == 'c' ? 0x44 : 0x54;
    answer[1] = kind == 'b' ? 0xA3 : kind == 'p' ? 0x80 : 0x44;
    answer[2] = 0x9A;
    answer[3] = (uint8_t)frame;
    memcpy(answer + 4, token, sizeof token);
    if (kind == 'l')
        answer[6]--;
    memcpy(answer + at, options, sizeof options);
    if (kind == 'o')
        answer[at + 5] = 0xF1;
    at += sizeof options;
    if (kind == 'p') {
        memcpy(answer + at, sentence, sizeof sentence);
        return at + sizeof sentence;
    }
    return at + make_reply(kind == 'l' ? (uint16_t)(frame - 1) : frame, kind, answer + at);
}

static void take_answer(uint32_t now_ms, size_t len)
{
    struct agn_coap_answer_view view;
    int status = agn_coap_read_answer(answer, len, &view);
    put_bytes(answer, len);
    put_hex((uint32_t)(int32_t)status);
    if (status == 0) {
        put_hex((uint32_t)view.type << 24 | (uint32_t)view.code_class << 16 |
                (uint32_t)view.code_detail << 8 | view.token_bytes);
        put_hex((uint32_t)view.message_id << 16 | (uint16_t)(view.payload - answer));
        put_hex((uint32_t)view.payload_bytes);
        put_hex(view.max_age_s);
    }
    put_hex((uint32_t)(int32_t)agn_link_take(&link_to_server, now_ms, answer, len));
}

static void put_counts(void)
{
    const struct agn_link_counts *c = &link_to_server.counts;
    put_hex(c->frames << 24 | c->fused << 16 | c->rounds << 8 | c->paused);
    put_hex(c->busy << 24 | c->unfit << 16 | c->refused << 8 | c->late);
    put_hex(c->datagrams << 16 | c->unusable);
    put_hex(c->bytes << 8 | c->other_version);
}

/* The clock wraps in the third frame. */
static void ask_server(uint16_t frame)
{
    const char *says = conversations[frame & 3u];
    uint32_t now_ms = frame * UINT32_C(100000) - UINT32_C(200020), wait_ms;
    int len;
    put_hex((uint32_t)(int32_t)agn_link_begin(&link_to_server, now_ms));
    while ((wait_ms = agn_link_wait_ms(&link_to_server, now_ms)) > 0) {
        put_hex(wait_ms);
        while ((len = agn_link_next(&link_to_server, now_ms, packet, sizeof packet)) > 0) {
            put_bytes(packet, (size_t)len);
            now_ms += 3;
            if (len > AGN_COAP_ACK_BYTES)
                memcpy(token, packet + 4, sizeof token);
        }
        wait_ms = agn_link_wait_ms(&link_to_server, now_ms);
        now_ms += wait_ms < 30 ? wait_ms : 30;
        if (*says != '\0')
            take_answer(now_ms, make_answer(frame, *says++));
    }
    agn_link_end(&link_to_server, now_ms);
    put_counts();
}

static void predict(void)
{
    struct agn_dev_prediction prediction;
    agn_dev_predict(&dev, &prediction);
    put_hex((uint32_t)prediction.class_index << 8 | prediction.fused);
    for (uint16_t i = 0; i < AGN_MODEL_CLASSES; i++)
        put_hex((uint16_t)prediction.logits[i]);
}

int main(void)
{
    struct agn_rate rate;
    struct agn_pause pause = {0, 0, 0};
    static const struct agn_link_config config = {200, LINK_DATAGRAM, 0, 0};
    put_hex(
        (uint32_t)(int32_t)agn_dev_init(&dev, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena));
    put_hex((uint32_t)(int32_t)agn_link_init(&link_to_server, &dev, &config, UINT32_C(0xB5C3A291)));
    put_char('\n');
    agn_rate_init(&rate);
    for (uint16_t frame = 0; frame < PROBE_FRAMES; frame++) {
        agn_dev_set_budget(&dev, AGN_DEV_NO_BUDGET, 40);
        agn_dev_frame_begin(&dev, frame, 200);
        for (uint16_t y = 0; y < AGN_MODEL_INPUT_H; y++) {
            make_row(frame, y);
            agn_dev_push_rows(&dev, row, 1);
        }
        for (uint16_t i = 0; i < AGN_MODEL_CLASSES; i++)
            put_hex((uint16_t)agn_dev_local(&dev)[i]);
        put_hex((uint32_t)agn_dev_margin(&dev));
        put_packets(sizeof packet);
        agn_rate_answered(&rate, agn_dev_bytes_through(&dev), 0, 90u + frame * 10u);
        put_hex(agn_rate_budget(&rate, 100, agn_dev_least_bytes(&dev)));
        agn_pause_refused(&pause, frame, frame * UINT32_C(1000), noise);
        put_hex(pause.length_ms);
        agn_dev_packets_again(&dev);
        put_packets(100);
        agn_dev_packets_again(&dev);
        agn_dev_set_budget(&dev, 300, 40);
        put_packets(sizeof packet);
        agn_dev_packets_again(&dev);
        ask_server(frame);
        predict();
        put_char('\n');
    }
    stop();
    return 0;
}
