/* A device's end of a DTLS 1.2 session with a pre-shared key, without sockets or clocks of its own: datagrams
 * that came go in, datagrams to send come out through a callback. Nothing here waits.
 *
 *     agn__dtls_create(&dtls, &config);
 *     agn__dtls_advance(dtls);                       // begins; again when agn__dtls_wait_s is over
 *     agn__dtls_take(dtls, datagram, ...);           // for each that comes, in any state
 *     agn__dtls_send(dtls, message, ...);            // once the state is AGN__DTLS_READY
 *
 * The cipher suites are those of agilenn/dtls.h. A session that failed, or whose server has forgotten it, is
 * begun anew with agn__dtls_restart, best from another port: a server may hold on to the old session of that
 * address. */
#ifndef AGN_CLIENT_DTLS_H
#define AGN_CLIENT_DTLS_H

#include <stddef.h>
#include <stdint.h>

struct agn__dtls;

enum agn__dtls_state {
    AGN__DTLS_HANDSHAKE,
    AGN__DTLS_READY,
    AGN__DTLS_REFUSED, /* the server does not take this identity, or speaks no such DTLS */
    AGN__DTLS_LOST,    /* no end within 10 s, the server has closed the session, or there was no memory */
};

enum { AGN__DTLS_OVERHEAD = 64 }; /* bytes around a message at most */

struct agn__dtls_config {
    const char *identity;
    const uint8_t *key; /* of AGN_KEY_MAX_BYTES at most; copied, as is the identity */
    size_t key_bytes;
    /* Sends a datagram: 0, or a negative status, which is that of agn__dtls_send then. */
    int (*send)(void *user, const uint8_t *bytes, size_t len);
    void *user;
};

/* AGN_ERR_ARG, AGN_ERR_MEMORY, AGN_ERR_UNSUPPORTED, with agn_fail. */
int agn__dtls_create(struct agn__dtls **dtls, const struct agn__dtls_config *config);
/* Drops the session; the next advance begins another. Errors as before, with the state AGN__DTLS_LOST. */
int agn__dtls_restart(struct agn__dtls *dtls);
enum agn__dtls_state agn__dtls_state(const struct agn__dtls *dtls);
/* Goes on with the handshake, sending again what may have been lost. Returns the state. */
enum agn__dtls_state agn__dtls_advance(struct agn__dtls *dtls);
/* Seconds after which the handshake should be advanced if nothing comes; INFINITY when there is none. */
double agn__dtls_wait_s(const struct agn__dtls *dtls);
/* Takes a datagram. Returns the length of the message in it, or 0: none (handshake, replay, forgery). */
size_t agn__dtls_take(struct agn__dtls *dtls, const uint8_t *datagram, size_t len, uint8_t *message,
                      size_t cap);
/* 0; AGN_ERR_STATE: not ready; AGN_ERR_SPACE: too long; the callback's status. */
int agn__dtls_send(struct agn__dtls *dtls, const uint8_t *message, size_t len);
/* Says good-bye if there is a session. NULL is allowed. */
void agn__dtls_free(struct agn__dtls *dtls);

#endif
