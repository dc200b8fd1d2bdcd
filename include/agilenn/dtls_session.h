/* A device's end of a DTLS 1.2 session with a pre-shared key, without sockets or clocks of its own: datagrams
 * that came go in, datagrams to send come out through a callback. Nothing here waits.
 *
 *     agn_dtls_create(&dtls, &config);
 *     agn_dtls_advance(dtls);                       // begins; again when agn_dtls_wait_s is over
 *     agn_dtls_take(dtls, datagram, ...);           // for each that comes, in any state
 *     agn_dtls_send(dtls, message, ...);            // once the state is AGN_DTLS_READY
 *
 * The cipher suites are those of agilenn/dtls.h. A session that failed, or whose server has forgotten it, is
 * begun anew with agn_dtls_restart, best from another port: a server may hold on to the old session of that
 * address. */
#ifndef AGILENN_DTLS_SESSION_H
#define AGILENN_DTLS_SESSION_H

#include <stddef.h>
#include <stdint.h>

struct agn_dtls;

enum agn_dtls_state {
    AGN_DTLS_HANDSHAKE,
    AGN_DTLS_READY,
    AGN_DTLS_REFUSED, /* the server does not take this identity, or speaks no such DTLS */
    AGN_DTLS_LOST,    /* no end within 10 s, the server has closed the session, or there was no memory */
};

enum { AGN_DTLS_OVERHEAD = 64 }; /* bytes around a message at most */

struct agn_dtls_config {
    const char *identity;
    const uint8_t *key; /* of AGN_KEY_MAX_BYTES at most; copied, as is the identity */
    size_t key_bytes;
    /* Sends a datagram: 0, or a negative status, which is that of agn_dtls_send then. */
    int (*send)(void *user, const uint8_t *bytes, size_t len);
    void *user;
};

/* AGN_ERR_ARG, AGN_ERR_MEMORY, AGN_ERR_UNSUPPORTED, with agn_fail. */
int agn_dtls_create(struct agn_dtls **dtls, const struct agn_dtls_config *config);
/* Drops the session; the next advance begins another. Errors as before, with the state AGN_DTLS_LOST. */
int agn_dtls_restart(struct agn_dtls *dtls);
enum agn_dtls_state agn_dtls_state(const struct agn_dtls *dtls);
/* Goes on with the handshake, sending again what may have been lost. Returns the state. */
enum agn_dtls_state agn_dtls_advance(struct agn_dtls *dtls);
/* Seconds after which the handshake should be advanced if nothing comes; INFINITY when there is none. */
double agn_dtls_wait_s(const struct agn_dtls *dtls);
/* Takes a datagram. Returns the length of the message in it, or 0: none (handshake, replay, forgery). */
size_t agn_dtls_take(struct agn_dtls *dtls, const uint8_t *datagram, size_t len, uint8_t *message,
                     size_t cap);
/* 0; AGN_ERR_STATE: not ready; AGN_ERR_SPACE: too long; the callback's status. */
int agn_dtls_send(struct agn_dtls *dtls, const uint8_t *message, size_t len);
/* Says good-bye if there is a session. NULL is allowed. */
void agn_dtls_free(struct agn_dtls *dtls);

#endif
