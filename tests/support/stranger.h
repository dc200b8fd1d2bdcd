/* Raw datagrams to a server on loopback: a device that a test plays by hand. Functions assert by cmocka. */
#ifndef AGN_TEST_STRANGER_H
#define AGN_TEST_STRANGER_H

#include <stddef.h>
#include <stdint.h>

#include "agilenn/server.h"
#include "agn_coap.h"

enum { STRANGER_DATAGRAM = AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET };

/* A UDP socket connected to a port of this machine. */
int stranger_socket(uint16_t port);

/* A request with whole channels of a frame, raw, all symbols alike. Its length. */
struct stranger_packet {
    uint16_t frame, deadline_ms;
    uint8_t index, last, channel_first, channel_count, symbol;
};
size_t stranger_request(uint8_t datagram[STRANGER_DATAGRAM], const struct agn_server_model *model,
                        const struct stranger_packet *packet);
void stranger_send(int fd, const struct agn_server_model *model, const struct stranger_packet *packet);

/* One answer: code as 204 for 2.04, 0 when none came in time. */
struct stranger_answer {
    int code;
    struct agn_reply_packet reply; /* status 255: there was none in it */
    uint8_t bytes[4096];
    size_t len;
};
void stranger_receive(int fd, struct stranger_answer *answer, int wait_ms);

#endif
