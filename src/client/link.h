/* A connected UDP socket that survives whatever the network says. Datagrams only; what they mean is
 * left to others. */
#ifndef AGN_CLIENT_LINK_H
#define AGN_CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct agn__link {
    int fd;
    bool connected;
    struct sockaddr_storage server;
    socklen_t server_bytes;
};

/* Resolves the host and opens a socket. AGN_ERR_NOT_FOUND, AGN_ERR_IO, with agn_fail. */
int agn__link_open(struct agn__link *link, const char *host, uint16_t port);
void agn__link_close(struct agn__link *link);

/* Throws away what came for earlier frames, errors too. AGN_ERR_IO: there is no route at the moment. */
int agn__link_begin(struct agn__link *link);

/* Sends a datagram. 0; AGN_ERR_BUSY: the system dropped it (buffers full); AGN_ERR_IO: nobody listens
 * there or there is no route. */
int agn__link_send(struct agn__link *link, const uint8_t *bytes, size_t len);

/* Waits for a datagram until the monotonic time `until_s`. Returns its length (> 0);
 * AGN_ERR_TIMEOUT; AGN_ERR_IO as above. Longer datagrams than `cap` are cut. */
int agn__link_receive(struct agn__link *link, uint8_t *bytes, size_t cap, double until_s);

#endif
