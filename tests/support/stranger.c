/* See stranger.h. */
#define _GNU_SOURCE
#include "stranger.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

int stranger_socket(uint16_t port)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof server), 0);
    return fd;
}

size_t stranger_request(uint8_t datagram[STRANGER_DATAGRAM], const struct agn_server_model *model,
                        const struct stranger_packet *packet)
{
    static const uint8_t token[AGN_COAP_TOKEN_BYTES] = {1, 2, 3, 4};
    const struct agn_map_shape *shape = &model->shape;
    uint8_t *bytes = datagram + AGN_COAP_REQUEST_OVERHEAD, *payload = bytes + AGN_FEATURE_HEADER_BYTES;
    size_t symbols = (size_t)packet->channel_count * shape->height * shape->width;
    size_t payload_bytes = (symbols * 3 + 7) / 8;
    memset(payload, 0, payload_bytes);
    for (size_t bit = 0; bit < symbols * 3; bit++)
        payload[bit / 8] |= (uint8_t)((packet->symbol >> (bit % 3) & 1) << (bit % 8));
    struct agn_feature_packet made = {.model_id = model->model_id,
                                      .frame = packet->frame,
                                      .deadline_ms = packet->deadline_ms,
                                      .index = packet->index,
                                      .last = packet->last,
                                      .codec = AGN_CODEC_RAW3,
                                      .channel_first = packet->channel_first,
                                      .channel_count = packet->channel_count,
                                      .row_count = shape->height,
                                      .payload = payload,
                                      .payload_bytes = payload_bytes};
    int length = agn_feature_pack(&made, bytes, AGN_WIRE_MAX_PACKET);
    assert_true(length > 0);
    return agn_coap_request(datagram, packet->frame, token, bytes, (size_t)length);
}

void stranger_send(int fd, const struct agn_server_model *model, const struct stranger_packet *packet)
{
    uint8_t datagram[STRANGER_DATAGRAM];
    size_t length = stranger_request(datagram, model, packet);
    assert_int_equal(send(fd, datagram, length, 0), (ssize_t)length);
}

void stranger_receive(int fd, struct stranger_answer *answer, int wait_ms)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    struct agn_coap_answer_view view;
    answer->code = 0;
    answer->reply.status = 255;
    answer->len = 0;
    if (poll(&waiting, 1, wait_ms) <= 0)
        return;
    ssize_t got = recv(fd, answer->bytes, sizeof answer->bytes, 0);
    assert_true(got > 0);
    answer->len = (size_t)got;
    assert_int_equal(agn_coap_read_answer(answer->bytes, answer->len, &view), 0);
    answer->code = view.code_class * 100 + view.code_detail;
    if (agn_reply_unpack(view.payload, view.payload_bytes, &answer->reply) < 0)
        answer->reply.status = 255;
}
