/* Version 2 of the protocol before a real server: the same predictions as version 1, both at one time, bad
 * packets, answers at once, and an older server. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agn_compact.h"
#include "compact_seal.h"
#include "link_world.h"
#include "stranger.h"

enum { MOST_PACKETS = 8, WAIT_MS = 3000, SILENCE_MS = 250 };

/* ---- a device by hand ------------------------------------------------------------------------- */

struct datagrams {
    int count;
    uint16_t frame;
    size_t len[MOST_PACKETS];
    uint8_t bytes[MOST_PACKETS][AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
};

/* A random image's packets as requests of either version. */
static void make(struct datagrams *d, unsigned version, uint16_t frame, bool asks)
{
    struct agn_dev *dev = &link_world.device.dev;
    uint8_t *image = random_image(&link_world.random.model, &link_world.rng);
    size_t coap = version == 2 ? AGN_COAP_COMPACT_OVERHEAD : AGN_COAP_REQUEST_OVERHEAD;
    assert_int_equal(agn_dev_set_protocol(dev, version), 0);
    assert_true(agn_hosted_image(&link_world.device, image, frame, 0) >= 0);
    agn_dev_ask_now(dev, asks);
    agn_free(image);
    d->frame = frame;
    int length;
    for (d->count = 0; (length = agn_dev_next_packet(dev, d->bytes[d->count] + coap, 1000)) > 0; d->count++) {
        uint8_t *to = d->bytes[d->count];
        const uint8_t token[AGN_COAP_TOKEN_BYTES] = {(uint8_t)version, (uint8_t)d->count, 3, 4};
        assert_true(d->count + 1 < MOST_PACKETS);
        d->len[d->count] =
            version == 2 ? agn_coap_request_compact(to, (uint16_t)d->count, token, to + coap, (size_t)length)
                         : agn_coap_request(to, (uint16_t)d->count, token, to + coap, (size_t)length);
    }
    assert_int_equal(length, 0);
    assert_int_equal(agn_dev_set_protocol(dev, 1), 0); /* as the world has it */
    assert_true(d->count >= 2);
}

static void send_one(int fd, const struct datagrams *d, int index)
{
    assert_int_equal(send(fd, d->bytes[index], d->len[index], 0), (ssize_t)d->len[index]);
}

struct heard {
    int code, version, token; /* its first two bytes; 0: nothing came */
    struct agn_reply_packet reply;
    struct agn_coap_answer_view view;
    uint8_t bytes[2048];
};

static void hear(int fd, struct heard *heard, int wait_ms)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    uint32_t model_id = link_world.device.dev.model.model_id;
    heard->code = heard->version = 0;
    if (poll(&waiting, 1, wait_ms) <= 0)
        return;
    ssize_t got = recv(fd, heard->bytes, sizeof heard->bytes, 0);
    assert_true(got > 0);
    assert_int_equal(agn_coap_read_answer(heard->bytes, (size_t)got, &heard->view), 0);
    const struct agn_coap_answer_view *view = &heard->view;
    heard->code = view->code_class * 100 + view->code_detail;
    heard->token = view->token[0] << 8 | view->token[1];
    if (agn_reply_unpack(view->payload, view->payload_bytes, &heard->reply) == 0)
        heard->version = 1;
    else if (agn_compact_reply_unpack(view->payload, view->payload_bytes, model_id, &heard->reply) == 0)
        heard->version = 2;
}

static int missing_after(int fd, int wait_ms)
{
    struct heard heard;
    hear(fd, &heard, wait_ms);
    if (heard.code == 0)
        return -1;
    assert_int_equal(heard.code, 204);
    assert_int_equal(heard.version, 2);
    assert_int_equal(heard.reply.status, AGN_REPLY_OK);
    return heard.reply.channels_missing;
}

/* ---- tests --------------------------------------------------------------------------------------- */

/* Logits differ by less than a step and rounding, the class where that may matter; bytes as they should. */
static void predictions_are_those_of_version_1(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    struct agn_client *old =
        link_new_client((struct agn_client_config){.port = agn_server_port(running.server)});
    struct agn_client *new = link_new_client(
        (struct agn_client_config){.port = agn_server_port(running.server), .protocol = AGN_CLIENT_AUTO});
    int same = 0;
    for (int i = 0; i < 40; i++) {
        struct agn_client_result one, two;
        uint8_t *image = random_image(&link_world.random.model, &link_world.rng);
        assert_int_equal(agn_client_frame(old, image, &one), 0);
        assert_int_equal(agn_client_frame(new, image, &two), 0);
        agn_free(image);
        assert_true(one.fused && two.fused);
        assert_int_equal(one.protocol, 1);
        assert_int_equal(two.protocol, 2);
        assert_int_equal(one.channels_missing + two.channels_missing, 0);
        assert_int_equal(one.reply_bytes, AGN_REPLY_BYTES(model.classes));
        assert_int_equal(two.reply_bytes, AGN_COMPACT_REPLY_BYTES(model.classes));
        assert_int_equal(one.coded_bytes, two.coded_bytes);
        assert_true(two.datagram_bytes + 15 * (size_t)two.packets <= one.datagram_bytes);
        for (int c = 0; c < model.classes; c++)
            assert_in_range(one.logits[c] - two.logits[c] + 1000, 1000 - 257, 1000 + 257);
        same += one.class_index == two.class_index;
        if (one.class_index != two.class_index)
            assert_true(one.logits[one.class_index] - one.logits[two.class_index] <= 2 * 257);
    }
    print_message("%d of 40 predictions are the same\n", same);
    agn_client_free(old);
    agn_client_free(new);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.replies, 80);
    assert_int_equal(stats.frames_restarted, 0);
}

/* One address and port, frames of one number. */
static void both_versions_at_one_time(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 2000);
    int fd = stranger_socket(agn_server_port(running.server));
    static struct datagrams one, two;
    struct heard heard;
    make(&one, 1, 7, false);
    make(&two, 2, 7, false);
    for (int i = 0; i < MOST_PACKETS; i++) {
        if (i < one.count)
            send_one(fd, &one, one.count - 1 - i);
        if (i < two.count)
            send_one(fd, &two, (i + 1) % two.count);
    }
    int versions = 0;
    for (int i = 0; i < 2; i++) {
        hear(fd, &heard, WAIT_MS);
        assert_int_equal(heard.code, 204);
        assert_int_equal(heard.reply.frame, 7);
        assert_int_equal(heard.reply.channels_missing, 0);
        versions += heard.version;
    }
    assert_int_equal(versions, 3);
    send_one(fd, &two, 0); /* a repeated packet has its frame's answer again, three times at most */
    assert_int_equal(missing_after(fd, WAIT_MS), 0);
    send_one(fd, &two, 1);
    assert_int_equal(missing_after(fd, WAIT_MS), 0);
    send_one(fd, &two, 1);
    assert_int_equal(missing_after(fd, WAIT_MS), 0);
    send_one(fd, &two, 1);
    assert_int_equal(missing_after(fd, SILENCE_MS), -1);
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.frames_restarted, 0);
    assert_int_equal(stats.frames, 2);
}

static void answers_at_once(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 60000); /* so that no answer comes by waiting */
    int fd = stranger_socket(agn_server_port(running.server));
    static struct datagrams d;
    struct heard heard;
    make(&d, 2, 255, true);
    int before = model.shape.channels;
    for (int i = 0; i < d.count; i++) {
        send_one(fd, &d, i);
        int missing = missing_after(fd, WAIT_MS);
        assert_in_range(missing, 0, before - (i + 1 == d.count ? before : 0));
        before = missing;
        send_one(fd, &d, i); /* its answer was lost */
        assert_int_equal(missing_after(fd, WAIT_MS), missing);
    }
    assert_int_equal(before, 0);

    make(&d, 2, 256, true); /* the number 0; the last packet first, then what was lost, twice */
    send_one(fd, &d, d.count - 1);
    int first = missing_after(fd, WAIT_MS);
    assert_in_range(first, 1, model.shape.channels);
    for (int i = 0; i + 1 < d.count; i++)
        send_one(fd, &d, i);
    int last;
    do
        hear(fd, &heard, WAIT_MS);
    while ((last = heard.reply.channels_missing) > 0 && heard.code == 204);
    assert_int_equal(last, 0);
    assert_int_equal(heard.token >> 8, 2);

    /* A frame that asks for nothing is not answered before it is complete; one packet of it may still ask. */
    make(&d, 2, 257, false);
    send_one(fd, &d, 0);
    assert_int_equal(missing_after(fd, SILENCE_MS), -1);
    uint8_t *packet = d.bytes[0] + AGN_COAP_COMPACT_OVERHEAD;
    packet[4] |= 0x40;
    compact_seal(packet, d.len[0] - AGN_COAP_COMPACT_OVERHEAD, model.model_id);
    send_one(fd, &d, 0);
    assert_in_range(missing_after(fd, WAIT_MS), 1, model.shape.channels);
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.frames, 3);
    assert_int_equal(stats.frames_restarted, 0);
}

static void bad_packets_are_named(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    int fd = stranger_socket(agn_server_port(running.server));
    uint32_t id = model.model_id, swapped = id << 16 | id >> 16;
    enum { HANDLE_AT = 1, CHANNEL_AT = 5 };
    const struct {
        size_t at;
        unsigned value;
        uint32_t sealed_with; /* 0: not */
        int code, status;     /* -1: no reply packet */
    } cases[] = {
        {0, 0x30, id, 400, AGN_REPLY_VERSION},
        {CHANNEL_AT, 250, id, 400, AGN_REPLY_BAD_PACKET},
        {CHANNEL_AT, 250, 0, 400, -1},
        {HANDLE_AT, 256, 0, 400, -1},
        {0, 0x20, swapped, 400, -1}, /* another model with the same handle */
        {HANDLE_AT, 256, id ^ 1, 409, AGN_REPLY_MISMATCH},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        static struct datagrams d;
        make(&d, 2, (uint16_t)(40 + i), false);
        uint8_t *packet = d.bytes[0] + AGN_COAP_COMPACT_OVERHEAD;
        size_t len = d.len[0] - AGN_COAP_COMPACT_OVERHEAD;
        if (cases[i].value < 256)
            packet[cases[i].at] = (uint8_t)cases[i].value;
        else
            packet[cases[i].at] ^= 1;
        if (cases[i].sealed_with != 0)
            compact_seal(packet, len, cases[i].sealed_with);
        struct heard heard;
        struct agn_reply_packet reply;
        send_one(fd, &d, 0);
        hear(fd, &heard, WAIT_MS);
        assert_int_equal(heard.code, cases[i].code);
        int status = agn_compact_reply_unpack(heard.view.payload, heard.view.payload_bytes,
                                              cases[i].sealed_with, &reply);
        assert_int_equal(status < 0 ? -1 : reply.status, cases[i].status);
        if (status == 0)
            assert_int_equal(reply.frame, 40 + i);
    }
    close(fd);
    struct agn_server_stats stats;
    link_stop_server(&running, &stats);
    assert_int_equal(stats.bad_version, 1);
    assert_int_equal(stats.bad_range, 1);
    assert_int_equal(stats.bad_checksum, 3);
    assert_int_equal(stats.bad_model, 1);
    assert_int_equal(stats.frames, 0);
}

/* ---- an older server --------------------------------------------------------------------------------- */

/* Hands version 1 on to a server, and answers 4.04 to the rest, as one of before does. */
struct older {
    int front, back;
    atomic_bool stop;
    atomic_int refused;
};

static void *be_older(void *argument)
{
    struct older *o = argument;
    struct sockaddr_in device;
    socklen_t device_bytes = sizeof device;
    uint8_t bytes[2048];
    while (!atomic_load(&o->stop)) {
        struct pollfd waiting[2] = {{.fd = o->front, .events = POLLIN}, {.fd = o->back, .events = POLLIN}};
        (void)poll(waiting, 2, 20);
        if (waiting[0].revents & POLLIN) {
            ssize_t got =
                recvfrom(o->front, bytes, sizeof bytes, 0, (struct sockaddr *)&device, &device_bytes);
            unsigned token = bytes[0] & 15u;
            if (got > (ssize_t)(4 + token) && bytes[4 + token] == 0xB1) {
                bytes[1] = 0x84; /* 4.04 */
                atomic_fetch_add(&o->refused, 1);
                (void)sendto(o->front, bytes, 4 + token, 0, (struct sockaddr *)&device, device_bytes);
            } else if (got > 0) {
                (void)send(o->back, bytes, (size_t)got, 0);
            }
        }
        if (waiting[1].revents & POLLIN) {
            ssize_t got = recv(o->back, bytes, sizeof bytes, 0);
            (void)sendto(o->front, bytes, got > 0 ? (size_t)got : 0, 0, (struct sockaddr *)&device,
                         device_bytes);
        }
    }
    return NULL;
}

static void an_older_server_is_spoken_to_in_version_1(void **state)
{
    (void)state;
    struct link_server running;
    struct agn_server_model model = link_served_model();
    link_start_server(&running, &model, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    struct older older = {.front = socket(AF_INET, SOCK_DGRAM, 0),
                          .back = stranger_socket(agn_server_port(running.server))};
    assert_int_equal(bind(older.front, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(older.front, (struct sockaddr *)&address, &bytes), 0);
    uint16_t port = ntohs(address.sin_port);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, be_older, &older), 0);

    struct agn_client *automatic =
        link_new_client((struct agn_client_config){.port = port, .protocol = AGN_CLIENT_AUTO});
    struct agn_client *strict = link_new_client((struct agn_client_config){.port = port, .protocol = 2});
    for (int i = 0; i < 3; i++) { /* not even the first frame is lost */
        struct agn_client_result result = link_run_frame(automatic);
        assert_true(result.fused);
        assert_int_equal(result.protocol, 1);
        assert_int_equal(result.channels_missing, 0);
    }
    assert_true(atomic_load(&older.refused) > 0);
    struct agn_client_result result = link_run_frame(strict);
    assert_int_equal(result.reason, AGN_CLIENT_VERSION);
    assert_int_equal(result.protocol, 2);
    agn_client_free(automatic);
    agn_client_free(strict);
    atomic_store(&older.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(older.front);
    close(older.back);
    link_stop_server(&running, NULL);
    struct agn_client *client;
    assert_int_equal(agn_client_create(&client, &(struct agn_client_config){.port = 1,
                                                                            .protocol = 3,
                                                                            .model = link_world.bytes,
                                                                            .model_bytes = link_world.size}),
                     AGN_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_are_those_of_version_1),
        cmocka_unit_test(both_versions_at_one_time),
        cmocka_unit_test(answers_at_once),
        cmocka_unit_test(bad_packets_are_named),
        cmocka_unit_test(an_older_server_is_spoken_to_in_version_1),
    };
    return cmocka_run_group_tests(tests, link_set_up, link_tear_down);
}
