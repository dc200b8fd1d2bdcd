/* See fake_server.h. */
#define _GNU_SOURCE
#include "fake_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agn_coap.h"
#include "link_world.h"

enum { CODE_CHANGED = 0x44, CODE_BAD_REQUEST = 0x80, CODE_NOT_FOUND = 0x84, CODE_UNAVAILABLE = 0xA3 };

static struct {
    int fd;
    struct fake_conduct conduct;
    atomic_bool stop;
    atomic_int frames;
    pthread_t thread;
    struct agn_rng rng;
} fake;

static size_t make_answer(uint8_t *dst, uint8_t code, const uint8_t *token, const uint8_t *payload,
                          size_t len)
{
    const uint8_t head[] = {0x54, code, 0, 1, token[0], token[1], token[2], token[3]};
    size_t at = sizeof head;
    memcpy(dst, head, sizeof head);
    if (code == CODE_UNAVAILABLE && fake.conduct.max_age) { /* option 14: 13 and one byte more */
        dst[at++] = (uint8_t)(0xD0 | fake.conduct.max_age_bytes);
        dst[at++] = 1;
        if (fake.conduct.max_age_bytes > 0)
            memcpy(dst + at, fake.conduct.max_age, fake.conduct.max_age_bytes);
        at += fake.conduct.max_age_bytes;
    }
    if (len > 0) {
        dst[at++] = 0xFF;
        memcpy(dst + at, payload, len);
    }
    return at + len;
}

static size_t make_reply(uint8_t *dst, const struct agn_feature_packet *packet, uint8_t status)
{
    int16_t logits[AGN_WIRE_MAX_CLASSES] = {0};
    const struct agn_reply_packet reply = {
        .model_id = packet->model_id,
        .frame = packet->frame,
        .status = status,
        .class_count = status == AGN_REPLY_OK ? link_world.device.dev.model.classes : 0};
    return (size_t)agn_reply_pack(&reply, logits, dst, AGN_WIRE_MAX_REPLY);
}

/* A refusal in the next version of the protocol. */
static size_t make_newer(uint8_t *dst, const struct agn_feature_packet *packet)
{
    size_t body = make_reply(dst, packet, AGN_REPLY_VERSION) - AGN_WIRE_CRC_BYTES;
    dst[0]++;
    uint32_t sum = agn_crc32(0, dst, body);
    for (int i = 0; i < AGN_WIRE_CRC_BYTES; i++)
        dst[body + (size_t)i] = (uint8_t)(sum >> 8 * i);
    return body + AGN_WIRE_CRC_BYTES;
}

/* Damages an answer in one of several ways, or makes it one to another frame, device or model. */
static size_t spoil(uint8_t *bytes, size_t len)
{
    switch (agn_rng_below(&fake.rng, 5)) {
    case 0:
        return agn_rng_below(&fake.rng, (uint32_t)len);
    case 1:
        bytes[agn_rng_below(&fake.rng, (uint32_t)len)] ^= (uint8_t)(1 + agn_rng_below(&fake.rng, 255));
        return len;
    case 2:
        bytes[4 + agn_rng_below(&fake.rng, 3)] ^= 0x80; /* another frame's token */
        return len;
    case 3:
        bytes[7] ^= 1; /* of another packet of the same frame: that is good */
        return len;
    default:
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)agn_rng_u64(&fake.rng);
        return len;
    }
}

struct asker {
    const uint8_t *request;
    struct agn_feature_packet packet;
    struct sockaddr_storage from;
    socklen_t from_bytes;
};

/* `token_change` is put on the token's first byte. */
static void say(const struct asker *asker, uint8_t status, bool with_packet, uint8_t token_change)
{
    uint8_t reply[AGN_WIRE_MAX_REPLY], bytes[AGN_WIRE_MAX_REPLY + 32], token[AGN_COAP_TOKEN_BYTES];
    size_t reply_bytes = with_packet ? make_reply(reply, &asker->packet, status) : 0;
    memcpy(token, asker->request + 4, sizeof token);
    token[0] ^= token_change;
    size_t length = make_answer(bytes, status == AGN_REPLY_BUSY ? CODE_UNAVAILABLE : CODE_CHANGED, token,
                                reply, reply_bytes);
    if (fake.conduct.kind == FAKE_NOISY)
        length = spoil(bytes, length);
    (void)sendto(fake.fd, bytes, length, 0, (const struct sockaddr *)&asker->from, asker->from_bytes);
}

static void say_bytes(const struct asker *asker, uint8_t code, const uint8_t *payload, size_t len)
{
    uint8_t bytes[128];
    size_t length = make_answer(bytes, code, asker->request + 4, payload, len);
    (void)sendto(fake.fd, bytes, length, 0, (const struct sockaddr *)&asker->from, asker->from_bytes);
}

static void answer_one(const struct asker *asker)
{
    const struct fake_conduct *conduct = &fake.conduct;
    struct asker foreign;
    uint8_t newer[AGN_WIRE_MAX_REPLY];
    bool refuses = conduct->refusals == 0 || atomic_load(&fake.frames) <= conduct->refusals;
    if (conduct->delay_ms > 0)
        usleep(1000 * conduct->delay_ms);
    switch (conduct->kind) {
    case FAKE_SILENT:
        return;
    case FAKE_BUSY:
        say(asker, refuses ? AGN_REPLY_BUSY : AGN_REPLY_OK, true, 0);
        return;
    case FAKE_PLAIN_BUSY:
        say(asker, AGN_REPLY_BUSY, false, 0);
        return;
    case FAKE_FAILING:
        say(asker, AGN_REPLY_FAILED, true, 0);
        return;
    case FAKE_MISMATCHING:
        say(asker, atomic_load(&fake.frames) <= conduct->answers ? AGN_REPLY_OK : AGN_REPLY_MISMATCH, true,
            0);
        return;
    case FAKE_NEWER:
        say_bytes(asker, CODE_BAD_REQUEST, newer, make_newer(newer, &asker->packet));
        return;
    case FAKE_NO_RESOURCE:
        say_bytes(asker, CODE_NOT_FOUND, NULL, 0);
        return;
    case FAKE_FOREIGN_MODEL:
        foreign = *asker;
        foreign.packet.frame ^= 1;
        say(&foreign, AGN_REPLY_MISMATCH, true, 0);
        foreign = *asker;
        foreign.packet.model_id ^= 1;
        say(&foreign, AGN_REPLY_MISMATCH, true, 0);
        break;
    case FAKE_FOREIGN_BUSY:
        say(asker, AGN_REPLY_BUSY, true, 0x80);
        break;
    case FAKE_TWICE:
        say(asker, AGN_REPLY_OK, true, 0);
        break;
    case FAKE_SLOW:
        usleep(5000);
        break;
    case FAKE_OK:
    case FAKE_NOISY:
        break;
    }
    say(asker, AGN_REPLY_OK, true, 0);
}

static void *serve(void *argument)
{
    (void)argument;
    uint8_t request[2048];
    while (!atomic_load(&fake.stop)) {
        struct pollfd waiting = {.fd = fake.fd, .events = POLLIN};
        struct asker asker = {.request = request, .from_bytes = sizeof asker.from};
        if (poll(&waiting, 1, 20) <= 0)
            continue;
        ssize_t length =
            recvfrom(fake.fd, request, sizeof request, 0, (struct sockaddr *)&asker.from, &asker.from_bytes);
        if (length <= AGN_COAP_REQUEST_OVERHEAD ||
            agn_feature_unpack(request + AGN_COAP_REQUEST_OVERHEAD,
                               (size_t)length - AGN_COAP_REQUEST_OVERHEAD, &asker.packet) < 0 ||
            !asker.packet.last)
            continue;
        atomic_fetch_add(&fake.frames, 1);
        answer_one(&asker);
    }
    return NULL;
}

uint16_t fake_start(const struct fake_conduct *conduct)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t where_bytes = sizeof where;
    agn_rng_seed(&fake.rng, 9);
    fake.conduct = *conduct;
    atomic_store(&fake.frames, 0);
    atomic_store(&fake.stop, false);
    fake.fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fake.fd, (struct sockaddr *)&where, sizeof where), 0);
    assert_int_equal(getsockname(fake.fd, (struct sockaddr *)&where, &where_bytes), 0);
    assert_int_equal(pthread_create(&fake.thread, NULL, serve, NULL), 0);
    return ntohs(where.sin_port);
}

int fake_frames(void)
{
    return atomic_load(&fake.frames);
}

void fake_stop(void)
{
    atomic_store(&fake.stop, true);
    assert_int_equal(pthread_join(fake.thread, NULL), 0);
    close(fake.fd);
}
