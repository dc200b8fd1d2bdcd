/* A connected UDP socket that survives whatever the network says, and DTLS over it where there is a key.
 * Messages only; what they mean is left to others. */
#ifndef AGN_CLIENT_LINK_H
#define AGN_CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct agn_dtls;

struct agn__link {
    int fd;
    bool connected;
    struct sockaddr_storage server;
    socklen_t server_bytes;
    struct agn_dtls *dtls; /* NULL: plain */
};

/* Resolves the host and opens a socket. AGN_ERR_NOT_FOUND, AGN_ERR_IO, with agn_fail. */
int agn__link_open(struct agn__link *link, const char *host, uint16_t port);
/* From now on by DTLS; the link must stay where it is in memory. Errors of agn_dtls_create. */
int agn__link_secure(struct agn__link *link, const char *identity, const uint8_t *key, size_t key_bytes);
void agn__link_close(struct agn__link *link);

/* Throws away what came for earlier frames, errors too, and by DTLS goes on with the handshake, if there is
 * one, until `until_s`; what is not finished then goes on at the next call. AGN_ERR_IO: there is no route at
 * the moment, or nobody listens; AGN_ERR_TIMEOUT: no session yet; AGN_ERR_UNSUPPORTED: the server does not
 * take the identity. */
int agn__link_begin(struct agn__link *link, double until_s);

/* By DTLS: a new session from a new port, begun by agn__link_begin; a handshake that is under way goes on.
 * For a server that has lost the old session, which no datagram tells. */
void agn__link_renew(struct agn__link *link);

/* Sends a datagram. 0; AGN_ERR_BUSY: the system dropped it (buffers full); AGN_ERR_IO: nobody listens
 * there or there is no route. */
int agn__link_send(struct agn__link *link, const uint8_t *bytes, size_t len);

/* Takes a datagram that has come already, without waiting. Returns its length (> 0), 0: it was none of
 * interest, or an error that the network told of; AGN_ERR_TIMEOUT: there is none, or no session. */
int agn__link_glance(struct agn__link *link, uint8_t *bytes, size_t cap);

/* Waits for a datagram until the monotonic time `until_s`. Returns its length (> 0);
 * AGN_ERR_TIMEOUT; AGN_ERR_IO as above. Longer messages than `cap` are cut. */
int agn__link_receive(struct agn__link *link, uint8_t *bytes, size_t cap, double until_s);

#endif
