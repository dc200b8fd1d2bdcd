/* The server before strangers: raw datagrams, other resources, bad packets, garbage, limits. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agn_coap.h"
#include "link_world.h"

/* ---- tests: strangers ----------------------------------------------------------------------- */

static int stranger_socket(uint16_t port)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof server), 0);
    return fd;
}

/* Sends a datagram and waits for one back; returns its length, 0 for none within `wait_ms`. */
static size_t ask(int fd, const uint8_t *bytes, size_t len, uint8_t *answer, size_t cap, int wait_ms)
{
    assert_int_equal(send(fd, bytes, len, 0), (ssize_t)len);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, wait_ms) <= 0)
        return 0;
    ssize_t got = recv(fd, answer, cap, 0);
    assert_true(got > 0);
    return (size_t)got;
}

/* Value of the answer's Block2 option: number << 4 | more << 3 | size exponent; -1: it has none. */
static int block2_of(const uint8_t *answer, size_t len)
{
    size_t at = 4 + (answer[0] & 15u);
    int number = 0;
    while (at < len && answer[at] != 0xFF) {
        unsigned bytes = answer[at] & 15u;
        assert_true(answer[at] >> 4 < 13 && bytes < 13); /* short ones only */
        number += answer[at++] >> 4;
        if (number == 23)
            return bytes == 0 ? 0 : bytes == 1 ? answer[at] : answer[at] << 8 | answer[at + 1];
        at += bytes;
    }
    return -1;
}

/* Reads a text block by block, as a plain peer must: no answer is longer than three requests. */
static void read_document(int fd, const uint8_t *request, size_t len, char *text, size_t cap)
{
    size_t used = 0;
    int block = -1;
    do {
        uint8_t asked[64], answer[2048] = {0};
        size_t asked_len = len;
        memcpy(asked, request, len);
        if (block >= 0) { /* the next one, of the same size */
            int next = ((block >> 4) + 1) << 4 | (block & 7);
            asked[asked_len++] = next > 255 ? 0xC2 : 0xC1; /* option 23 after 11 */
            if (next > 255)
                asked[asked_len++] = (uint8_t)(next >> 8);
            asked[asked_len++] = (uint8_t)next;
            asked[3] = (uint8_t)(asked[3] + (block >> 4) + 1);
        }
        struct agn_coap_answer_view view;
        size_t length = ask(fd, asked, asked_len, answer, sizeof answer, 2000);
        assert_int_equal(agn_coap_read_answer(answer, length, &view), 0);
        assert_int_equal(view.code_class * 100 + view.code_detail, 205);
        assert_int_equal(view.type, AGN_COAP_NON);
        assert_int_equal(view.token_bytes, 1);
        assert_int_equal(view.token[0], request[4]);
        assert_true(length <= 3 * asked_len);
        block = block2_of(answer, length);
        assert_true(used + view.payload_bytes < cap);
        memcpy(text + used, view.payload, view.payload_bytes);
        used += view.payload_bytes;
    } while (block >= 0 && (block & 8) != 0);
    text[used] = 0;
}

static void other_resources_answer(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    int fd = stranger_socket(agn_server_port(running.server));

    static const uint8_t get_models[] = {0x51, 0x01, 0x12, 0x34, 0x77, 0xB2, 'v', '1',
                                         0x06, 'm',  'o',  'd',  'e',  'l',  's'};
    char expected[256], text[2048];
    read_document(fd, get_models, sizeof get_models, text, sizeof text);
    snprintf(expected, sizeof expected,
             "\"id\":\"%08x\",\"channels\":%d,\"height\":%d,\"width\":%d,\"classes\":%d",
             (unsigned)model.model_id, model.shape.channels, model.shape.height, model.shape.width,
             model.classes);
    assert_non_null(strstr(text, expected));

    static const uint8_t get_core[] = {0x51, 0x01, 0x12, 0x35, 0x78, 0xBB, '.',  'w', 'e', 'l', 'l',
                                       '-',  'k',  'n',  'o',  'w',  'n',  0x04, 'c', 'o', 'r', 'e'};
    read_document(fd, get_core, sizeof get_core, text, sizeof text);
    assert_non_null(strstr(text, "</v1/infer>"));
    assert_non_null(strstr(text, "</v1/models>"));

    static const struct {
        uint8_t bytes[16];
        size_t len;
        int code;
    } cases[] = {
        {{0x50, 0x02, 0, 1, 0xB2, 'v', '1', 0x03, 'n', 'i', 'x'}, 11, 404},
        {{0x50, 0x01, 0, 2, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'}, 13, 405},
        {{0x50, 0x02, 0, 3, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'}, 13, 400},
        {{0x50, 0x02, 0, 4, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r', 0xFF, 1}, 15, 400},
    };
    for (unsigned i = 0; i < AGN_COUNT_OF(cases); i++) {
        uint8_t answer[2048];
        struct agn_coap_answer_view view;
        size_t length = ask(fd, cases[i].bytes, cases[i].len, answer, sizeof answer, 2000);
        assert_int_equal(agn_coap_read_answer(answer, length, &view), 0);
        assert_int_equal(view.code_class * 100 + view.code_detail, cases[i].code);
    }
    close(fd);
    link_stop_server(&running, NULL);
}

/* The first packet of a fresh frame of the test's device, as a CoAP request. */
static size_t make_request(uint8_t *datagram, uint16_t frame)
{
    uint8_t *image = random_image(&link_world.random.model, &link_world.rng);
    assert_true(agn_hosted_image(&link_world.device, image, frame, 0) >= 0);
    agn_free(image);
    int length = agn_dev_next_packet(&link_world.device.dev, datagram + AGN_COAP_REQUEST_OVERHEAD,
                                     AGN_WIRE_MAX_PACKET);
    assert_true(length > 0);
    const uint8_t token[AGN_COAP_TOKEN_BYTES] = {1, 2, 3, 4};
    return agn_coap_request(datagram, frame, token, datagram + AGN_COAP_REQUEST_OVERHEAD, (size_t)length);
}

/* Replaces the packet's checksum after a change. */
static void reseal(uint8_t *datagram, size_t length)
{
    uint8_t *packet = datagram + AGN_COAP_REQUEST_OVERHEAD;
    size_t body = length - AGN_COAP_REQUEST_OVERHEAD - AGN_WIRE_CRC_BYTES;
    uint32_t crc = agn_crc32(0, packet, body);
    for (unsigned i = 0; i < 4; i++)
        packet[body + i] = (uint8_t)(crc >> 8 * i);
}

static void bad_packets_are_named(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    int fd = stranger_socket(agn_server_port(running.server));
    enum { VERSION_AT = 0, CODEC_AT = 1, CHANNEL_AT = 10, PAYLOAD_AT = 16 };
    static const struct {
        size_t at;
        uint8_t value;
        bool sealed;
        int status; /* -1: no reply packet */
    } cases[] = {
        {VERSION_AT, 9, false, AGN_REPLY_VERSION},
        {CODEC_AT, 77, true, AGN_REPLY_BAD_PACKET},
        {CHANNEL_AT, 250, true, AGN_REPLY_BAD_PACKET},
        {CHANNEL_AT, 200, false, -1},
    };
    for (unsigned i = 0; i < AGN_COUNT_OF(cases); i++) {
        uint8_t datagram[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET], answer[2048];
        size_t length = make_request(datagram, (uint16_t)(500 + i));
        datagram[AGN_COAP_REQUEST_OVERHEAD + cases[i].at] = cases[i].value;
        if (cases[i].sealed)
            reseal(datagram, length);
        size_t got = ask(fd, datagram, length, answer, sizeof answer, 2000);
        struct agn_coap_answer_view view;
        struct agn_reply_packet reply;
        assert_int_equal(agn_coap_read_answer(answer, got, &view), 0);
        assert_int_equal(view.code_class * 100 + view.code_detail, 400);
        int status = agn_reply_unpack(view.payload, view.payload_bytes, &reply);
        if (cases[i].status < 0) {
            assert_true(status < 0);
            continue;
        }
        assert_int_equal(status, 0);
        assert_int_equal(reply.status, cases[i].status);
        assert_int_equal(reply.frame, 500 + i);
        assert_int_equal(reply.model_id, model.model_id);
    }
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.bad_version, 1);
    assert_int_equal(stats.bad_codec, 1);
    assert_int_equal(stats.bad_range, 1);
    assert_int_equal(stats.bad_checksum, 1);
    assert_int_equal(stats.frames, 0);
}

static int infer_fails(void *user, const float *features, int count, float *logits)
{
    (void)user;
    (void)features;
    (void)count;
    (void)logits;
    return agn_fail(AGN_ERR_ENGINE, "meant to fail");
}

/* A stored failure is repeated as what it is. */
static void a_failure_is_told_again(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    model.infer = infer_fails;
    link_start_server(&running, &model, 10);
    int fd = stranger_socket(agn_server_port(running.server));
    uint8_t datagram[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET], answer[2048];
    size_t length = make_request(datagram, 7);
    for (int i = 0; i < 2; i++) {
        struct agn_coap_answer_view view;
        datagram[3]++; /* the message id */
        size_t got = ask(fd, datagram, length, answer, sizeof answer, 2000);
        assert_int_equal(agn_coap_read_answer(answer, got, &view), 0);
        assert_int_equal(view.code_class * 100 + view.code_detail, 500);
        assert_true(view.payload_bytes > 1);
        assert_int_equal(view.payload[1], AGN_REPLY_FAILED);
    }
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.inferences, 1);
    assert_int_equal(stats.replies + stats.replies_again, 0);
    assert_int_equal(stats.replies_failed, 2);
}

static void garbage_does_not_stop_service(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    struct agn_client *client =
        link_new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    int fd = stranger_socket(agn_server_port(running.server));
    struct agn_rng rng;
    agn_rng_seed(&rng, 99);
    uint8_t request[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET] = {0};
    size_t request_bytes = make_request(request, 4321);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 40; i++) {
            uint8_t bytes[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
            size_t length = request_bytes;
            memcpy(bytes, request, sizeof bytes);
            if (i % 4 == 0) { /* any bytes */
                length = agn_rng_below(&rng, sizeof bytes);
                for (size_t at = 0; at < length; at++)
                    bytes[at] = (uint8_t)agn_rng_u64(&rng);
            } else if (i % 4 == 1) { /* cut, anywhere */
                length = agn_rng_below(&rng, (uint32_t)length);
            } else if (i % 4 == 2) { /* damaged, anywhere */
                for (int flips = 0; flips < 3; flips++)
                    bytes[agn_rng_below(&rng, (uint32_t)length)] ^= (uint8_t)(1u << agn_rng_below(&rng, 8));
            } else { /* well sealed nonsense */
                bytes[AGN_COAP_REQUEST_OVERHEAD + 6 + agn_rng_below(&rng, 60)] ^=
                    (uint8_t)(1 + agn_rng_below(&rng, 255));
                reseal(bytes, length);
            }
            (void)!send(fd, bytes, length, MSG_DONTWAIT);
        }
        struct agn_client_result result = link_run_frame(client);
        assert_int_equal(result.reason, AGN_CLIENT_FUSED);
        float *features = link_expected_features();
        link_assert_fusion(&result, features);
        agn_free(features);
    }
    close(fd);
    agn_client_free(client);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    uint64_t bad = stats.bad_malformed + stats.bad_checksum + stats.bad_version + stats.bad_codec +
                   stats.bad_range + stats.bad_model;
    assert_true(stats.bad_checksum > 100 && bad > stats.bad_checksum + 20);
}

/* What libcoap would answer by itself: at more length than was asked, and to anybody. */
static void what_is_not_there_costs_little(void **state)
{
    (void)state;
    struct link_server running = {0};
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    static const struct {
        uint8_t bytes[24];
        size_t len;
        int code; /* 0: nothing comes back */
    } cases[] = {
        {{0x50, 0x01, 0, 1}, 4, 404},
        {{0x50, 0x02, 0, 2}, 4, 404},
        {{0x50, 0x04, 0, 3}, 4, 404}, /* DELETE: not 2.02 */
        {{0x40, 0x05, 0, 4}, 4, 404},
        {{0x50, 0x07, 0, 5}, 4, 404},
        {{0x51, 0x03, 0, 6, 0x77}, 5, 404},
        {{0x50, 0x02, 0, 7, 0xB2, 'v', '1', 0x06, 'm', 'o', 'd', 'e', 'l', 's'}, 14, 405},
        {{0x50, 0x04, 0, 8, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'}, 13, 405},
        {{0x50, 0x08, 0, 9}, 4, 0},  /* no method */
        {{0x40, 0x1F, 0, 10}, 4, 0}, /* the same */
        {{0x40, 0xE2, 0, 11}, 4, 0}, /* 7.02, of CoAP over TCP */
    };
    for (unsigned i = 0; i < AGN_COUNT_OF(cases); i++) {
        uint8_t answer[256];
        struct agn_coap_answer_view view;
        int fd = stranger_socket(agn_server_port(running.server)); /* with nothing saved up */
        size_t got = ask(fd, cases[i].bytes, cases[i].len, answer, sizeof answer, cases[i].code ? 2000 : 100);
        close(fd);
        if (cases[i].code == 0) {
            assert_int_equal(got, 0);
            continue;
        }
        assert_int_equal(agn_coap_read_answer(answer, got, &view), 0);
        assert_int_equal(view.code_class * 100 + view.code_detail, cases[i].code);
        assert_true(got <= cases[i].len);
    }
    link_stop_server(&running, NULL);
}

/* Two seconds' worth of messages, here two, whatever they ask for. */
static void what_is_not_there_counts_as_a_message(void **state)
{
    (void)state;
    struct link_server running = {0};
    struct agn_server_model model = link_served_model();
    struct agn_server_config config = {.peer_messages_per_s = 1};
    link_start_server_as(&running, &model, &config);
    int fd = stranger_socket(agn_server_port(running.server)), answers = 0;
    for (uint8_t i = 0; i < 6; i++) {
        const uint8_t get[] = {0x50, 0x01, 1, i};
        uint8_t answer[64];
        answers += ask(fd, get, sizeof get, answer, sizeof answer, i < 2 ? 2000 : 50) > 0;
    }
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_true(answers >= 2 && answers < 6);
    assert_int_equal(stats.limited, 6 - answers);
}

static void count_line(void *user, enum agn_log_level level, const char *line)
{
    (void)level;
    if (strncmp(line, "start", 5) != 0)
        atomic_fetch_add((atomic_int *)user, 1);
}

/* libcoap calls each an alert. */
static void resets_do_not_fill_the_log(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    atomic_int lines = 0;
    agn_log_to(count_line, &lines, AGN_LOG_INFO);
    link_start_server(&running, &model, 0);
    int fd = stranger_socket(agn_server_port(running.server));
    for (uint8_t i = 0; i < 50; i++) {
        const uint8_t reset[] = {0x70, 0, 0, i};
        assert_int_equal(send(fd, reset, sizeof reset, 0), (ssize_t)sizeof reset);
    }
    uint8_t answer[64];
    static const uint8_t get[] = {0x50, 0x01, 0, 2, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'};
    assert_true(ask(fd, get, sizeof get, answer, sizeof answer, 2000) > 0); /* all of them have been read */
    close(fd);
    link_stop_server(&running, NULL);
    agn_log_to(NULL, NULL, AGN_LOG_ERROR);
    assert_int_equal(lines, 0);
}

/* ---- what is no CoAP -------------------------------------------------------------------------------- */

struct heard {
    pthread_mutex_t lock;
    int lines;
    char last[400];
};

static void hear_strays(void *user, enum agn_log_level level, const char *line)
{
    struct heard *heard = user;
    if (strncmp(line, "stray", 5) != 0 || level > AGN_LOG_INFO)
        return;
    pthread_mutex_lock(&heard->lock);
    heard->lines++;
    snprintf(heard->last, sizeof heard->last, "%s", line);
    pthread_mutex_unlock(&heard->lock);
}

/* Each kind with what is like it and is another. Nothing is answered with more than it has. */
static void what_is_no_coap_is_counted_by_kind(void **state)
{
    (void)state;
    uint8_t bare[2048], long_one[1500] = {0x80};
    size_t bare_len = make_request(bare, 1) - AGN_COAP_REQUEST_OVERHEAD;
    memmove(bare, bare + AGN_COAP_REQUEST_OVERHEAD, bare_len);
    uint8_t damaged[2048], other_version[2048];
    memcpy(damaged, bare, bare_len);
    memcpy(other_version, bare, bare_len);
    damaged[bare_len - 1] ^= 1;
    other_version[0] = 2;
    const struct {
        const uint8_t *bytes;
        size_t len;
        int kind; /* as in the array of counts below; -1: none */
    } cases[] = {
        {bare, bare_len, 0},
        {damaged, bare_len, 0},
        {bare, 19, 4}, /* no packet has so few */
        {other_version, bare_len, 4},
        {(const uint8_t *)"\x50\x02\x00", 3, 1},
        {(const uint8_t *)"x", 1, 1},
        {(const uint8_t *)"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x01\x01", 14, 2},
        {(const uint8_t *)"\x16\x03\x01\x00\x05\x01", 6, 2},
        {(const uint8_t *)"\x59\x01\0\1aaaaaaaaa", 13, 4}, /* a token of 9 */
        {(const uint8_t *)"\x54\x01\0\1abc", 7, 4},        /* a token of 4, of which 3 have come */
        {long_one, sizeof long_one, 4},
        {(const uint8_t *)"\x81\x00 a reply's first bytes", 24, 4},
        {(const uint8_t *)"\x40\x00\x12\x34", 4, -1}, /* a ping */
    };
    uint64_t expected[5] = {0};
    struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct link_server running;
    struct agn_server_model model = link_served_model();
    agn_log_to(hear_strays, &heard, AGN_LOG_INFO);
    link_start_server(&running, &model, 0);
    int fd = stranger_socket(agn_server_port(running.server));
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        uint8_t answer[2048];
        size_t length = ask(fd, cases[i].bytes, cases[i].len, answer, sizeof answer, 50);
        assert_true(length <= cases[i].len);
        if (cases[i].kind >= 0)
            expected[cases[i].kind]++;
        if (i == 0) {
            char model_text[32];
            snprintf(model_text, sizeof model_text, "(model %08x, intact)", (unsigned)model.model_id);
            assert_non_null(strstr(heard.last, "from 127.0.0.1:"));
            assert_non_null(strstr(heard.last, model_text));
            assert_non_null(strstr(heard.last, "POST to /v1/infer"));
        }
    }
    assert_int_equal(heard.lines, 2); /* bare packets, TLS: one line each */
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    agn_log_to(NULL, NULL, AGN_LOG_ERROR);
    const uint64_t counts[5] = {stats.stray_feature_packets, stats.stray_short, stats.stray_tls,
                                stats.stray_coap, stats.stray_other};
    for (int i = 0; i < 5; i++)
        assert_int_equal(counts[i], expected[i]);
    assert_int_equal(stats.packets, 0);
}

/* Whatever is read at once, each is counted once, and requests among them are served. */
static void strays_among_requests_are_counted_once(void **state)
{
    (void)state;
    enum { ROUNDS = 40, EACH = 10 };
    uint8_t get[] = {0x50, 0x01, 1, 0, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'};
    uint8_t bare[2048], request[2048], answer[2048];
    size_t request_len = make_request(request, 9);
    size_t bare_len = request_len - AGN_COAP_REQUEST_OVERHEAD;
    memcpy(bare, request + AGN_COAP_REQUEST_OVERHEAD, bare_len);
    request[request_len - 1] ^= 1; /* a wrong checksum is answered at once */
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    int fd = stranger_socket(agn_server_port(running.server));
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH; i++) {
            assert_int_equal(send(fd, bare, bare_len, 0), (ssize_t)bare_len);
            request[3] = (uint8_t)i;
            assert_int_equal(send(fd, request, request_len, 0), (ssize_t)request_len);
            if (i % 5 == 0)
                assert_int_equal(send(fd, "\x16\xfe\xfd", 3, 0), 3);
        }
        get[3] = (uint8_t)round;
        assert_true(ask(fd, get, sizeof get, answer, sizeof answer, 2000) > 0); /* all may have been read */
        while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
            continue;
    }
    /* The system may have dropped some, also of the questions in between. */
    struct agn_server_stats stats = {0};
    uint64_t seen = 0, sent = ROUNDS * (2 * EACH + EACH / 5);
    for (int i = 0; i < 200 && seen + stats.dropped_datagrams < sent; i++) { /* until all are read, or 2 s */
        usleep(10000);
        agn_server_stats(running.server, &stats);
        seen = stats.packets + stats.stray_feature_packets + stats.stray_tls;
    }
    close(fd);
    link_stop_server(&running, &stats);
    seen = stats.packets + stats.stray_feature_packets + stats.stray_tls;
    print_message("%d dropped, %d packets, %d bare ones\n", (int)stats.dropped_datagrams, (int)stats.packets,
                  (int)stats.stray_feature_packets);
    assert_true(seen <= sent && seen + stats.dropped_datagrams >= sent);
    assert_true(seen + stats.dropped_datagrams <= sent + ROUNDS);
    assert_true(stats.packets > ROUNDS && stats.stray_feature_packets > ROUNDS && stats.stray_tls > 0);
    assert_int_equal(stats.stray_short + stats.stray_coap + stats.stray_other, 0);
}

static int infer_many(void *user, const float *features, int count, float *logits)
{
    (void)user;
    (void)features;
    for (int c = 0; c < count * AGN_WIRE_MAX_CLASSES; c++)
        logits[c] = (float)(c % AGN_WIRE_MAX_CLASSES) / 16.0f;
    return 0;
}

/* A request with one whole channel, raw. */
static size_t make_channel_request(uint8_t *datagram, const struct agn_server_model *model, uint16_t frame,
                                   uint8_t channel, uint8_t last)
{
    const struct agn_map_shape *shape = &model->shape;
    struct agn_encoder encoder;
    struct agn_tile tile = {channel, 1, 0, shape->height, shape->width, NULL};
    uint8_t *packet_bytes = datagram + AGN_COAP_REQUEST_OVERHEAD;
    uint8_t *payload = packet_bytes + AGN_FEATURE_HEADER_BYTES;
    assert_int_equal(
        agn_encoder_begin(&encoder, AGN_CODEC_RAW3, &tile, NULL, 0, payload, AGN_FEATURE_MAX_PAYLOAD), 0);
    for (unsigned y = 0; y < shape->height; y++) {
        uint8_t symbols[UINT8_MAX], packed[AGN_ROW_BYTES(UINT8_MAX)];
        for (unsigned x = 0; x < shape->width; x++)
            symbols[x] = (uint8_t)((y * shape->width + x) % AGN_WIRE_LEVELS);
        agn_row_pack(symbols, shape->width, packed);
        agn_encoder_put_rows(&encoder, packed, 1);
    }
    struct agn_feature_packet packet = {.model_id = model->model_id,
                                        .frame = frame,
                                        .index = channel,
                                        .last = last,
                                        .codec = AGN_CODEC_RAW3,
                                        .channel_first = channel,
                                        .channel_count = 1,
                                        .row_count = shape->height,
                                        .payload = payload};
    packet.payload_bytes = (size_t)agn_encoder_finish(&encoder);
    int length = agn_feature_pack(&packet, packet_bytes, AGN_WIRE_MAX_PACKET);
    assert_true(length > 0);
    const uint8_t token[AGN_COAP_TOKEN_BYTES] = {1, 2, 3, 4};
    return agn_coap_request(datagram, 7, token, packet_bytes, (size_t)length);
}

static int infer_slowly(void *user, const float *features, int count, float *logits)
{
    (void)user;
    (void)features;
    usleep(80000); /* longer than the client waits */
    memset(logits, 0, (size_t)count * link_world.device.dev.model.classes * sizeof *logits);
    return 0;
}

/* 2 KB of logits for two packets of some 60 bytes: a lever for whoever forges the address they come from. */
static void a_plain_peer_gets_no_more_than_it_asked_for(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    model.shape = (struct agn_map_shape){2, 8, 8};
    model.classes = AGN_WIRE_MAX_CLASSES;
    model.infer = infer_many;
    link_start_server(&running, &model, 20);
    int fd = stranger_socket(agn_server_port(running.server));
    uint8_t datagram[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
    size_t length = 0;
    for (uint16_t frame = 1; frame <= 3; frame++) {
        for (uint8_t channel = 0; channel < 2; channel++) {
            length = make_channel_request(datagram, &model, frame, channel, channel == 1);
            assert_true(3 * (2 * 3 + 1) * length <
                        AGN_REPLY_BYTES(AGN_WIRE_MAX_CLASSES)); /* for all together */
            assert_int_equal(send(fd, datagram, length, 0), (ssize_t)length);
        }
    }
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, 400), 0);
    assert_int_equal(send(fd, datagram, length, 0), (ssize_t)length); /* the stored reply, please */
    assert_int_equal(poll(&waiting, 1, 200), 0);
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.inferences, 3);
    assert_int_equal(stats.withheld, 4);
    assert_int_equal(stats.duplicates, 1);
    assert_int_equal(stats.replies, 0); /* of what was not sent nothing is counted */
    assert_int_equal(stats.replies_again, 0);
    assert_int_equal(stats.models[0].replies, 0);
    assert_int_equal(stats.bytes_out, 0);
}

/* Plain peers beyond the number remembered are answered like any other, and forgotten. */
static void many_strangers_are_not_remembered(void **state)
{
    (void)state;
    enum { STRANGERS = 700, REMEMBERED = 512 };
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 20);
    for (int i = 0; i < STRANGERS; i++) {
        uint8_t answer[256] = {0};
        static const uint8_t nothing[] = {0x50, 0x02, 0, 1, 0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'};
        int fd = stranger_socket(agn_server_port(running.server));
        assert_true(ask(fd, nothing, sizeof nothing, answer, sizeof answer, 5000) > 4);
        assert_int_equal(answer[1], 4 << 5); /* 4.00 */
        close(fd);
    }
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.packets, STRANGERS);
    assert_in_range(stats.peers, REMEMBERED / 2, REMEMBERED);
}

/* While a slow network is at work, packets pile up; their frame's wait does not end before they are read. */
static void a_busy_server_reads_before_it_gives_up(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    model.shape = (struct agn_map_shape){2, 8, 8};
    model.infer = infer_slowly;
    link_start_server(&running, &model, 20);
    int fd = stranger_socket(agn_server_port(running.server));
    static const struct {
        uint16_t frame;
        uint8_t channel, last;
    } packets[] = {{1, 0, 1}, {2, 0, 0}, {3, 0, 1}, {2, 1, 1}};
    for (unsigned i = 0; i < AGN_COUNT_OF(packets); i++) {
        uint8_t datagram[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
        size_t length =
            make_channel_request(datagram, &model, packets[i].frame, packets[i].channel, packets[i].last);
        assert_int_equal(send(fd, datagram, length, 0), (ssize_t)length);
    }
    for (int answers = 0; answers < 3; answers++) {
        uint8_t answer[4096];
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, 3000), 1);
        assert_true(recv(fd, answer, sizeof answer, 0) > 0);
    }
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.frames_complete, 3);
    assert_int_equal(stats.frames_partial, 0);
}

/* Both are longer than the message that libcoap takes and sends by itself. */
static void the_longest_packets_pass(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    model.shape = (struct agn_map_shape){1, 29, 104};
    model.classes = AGN_WIRE_MAX_CLASSES;
    model.infer = infer_many;
    link_start_server(&running, &model, 20000);
    int fd = stranger_socket(agn_server_port(running.server));
    uint8_t datagram[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET], answer[4096];
    size_t length = make_channel_request(datagram, &model, 0, 0, 1);
    assert_int_equal(length, AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET - 1);
    size_t got = ask(fd, datagram, length, answer, sizeof answer, 2000);
    struct agn_coap_answer_view view;
    struct agn_reply_packet reply;
    assert_int_equal(agn_coap_read_answer(answer, got, &view), 0);
    assert_int_equal(view.code_class * 100 + view.code_detail, 204);
    assert_memory_equal(view.token, ((const uint8_t[]){1, 2, 3, 4}), 4);
    assert_int_equal(agn_reply_unpack(view.payload, view.payload_bytes, &reply), 0);
    assert_int_equal(reply.channels_missing, 0);
    assert_int_equal(reply.class_count, AGN_WIRE_MAX_CLASSES);
    for (unsigned c = 0; c < AGN_WIRE_MAX_CLASSES; c++)
        assert_int_equal(agn_reply_logit(&reply, c), c * 16);

    /* The same packet again, as networks do: the stored answer again, nothing is computed anew. */
    assert_int_equal(ask(fd, datagram, length, answer, sizeof answer, 2000), got);
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.inferences, 1);
    assert_int_equal(stats.replies, 2);
    assert_int_equal(stats.replies_again, 1);
    assert_int_equal(stats.duplicates, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_resources_answer),
        cmocka_unit_test(bad_packets_are_named),
        cmocka_unit_test(a_failure_is_told_again),
        cmocka_unit_test(garbage_does_not_stop_service),
        cmocka_unit_test(what_is_not_there_costs_little),
        cmocka_unit_test(what_is_not_there_counts_as_a_message),
        cmocka_unit_test(resets_do_not_fill_the_log),
        cmocka_unit_test(what_is_no_coap_is_counted_by_kind),
        cmocka_unit_test(strays_among_requests_are_counted_once),
        cmocka_unit_test(a_busy_server_reads_before_it_gives_up),
        cmocka_unit_test(a_plain_peer_gets_no_more_than_it_asked_for),
        cmocka_unit_test(many_strangers_are_not_remembered),
        cmocka_unit_test(the_longest_packets_pass),
    };
    return cmocka_run_group_tests_name("server before strangers", tests, link_set_up, link_tear_down);
}
