/* DTLS for a device, on GnuTLS; see dtls.h. */
#define _GNU_SOURCE /* explicit_bzero */
#include "agilenn/dtls_session.h"

#include <errno.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <math.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/dtls.h"
#include "agilenn/keys.h"

enum {
    MTU_BYTES = 1232, /* what every IPv6 path carries, less the headers of IP and UDP */
    RETRANSMIT_MS = 250,
    GIVE_UP_MS = 10000,
};

struct agn_dtls {
    gnutls_psk_client_credentials_t credentials;
    gnutls_session_t session;
    enum agn_dtls_state state;
    int (*send)(void *user, const uint8_t *bytes, size_t len);
    void *user;
    int send_status;
    const uint8_t *inbox; /* the datagram being taken; NULL: none */
    size_t inbox_bytes;
};

/* ---- GnuTLS's way to datagrams ------------------------------------------------------------ */

static ssize_t push(gnutls_transport_ptr_t transport, const void *bytes, size_t len)
{
    struct agn_dtls *dtls = transport;
    int status = dtls->send(dtls->user, bytes, len);
    if (status < 0)
        dtls->send_status = status;
    return (ssize_t)len; /* a datagram that was not sent is a datagram that was lost */
}

static ssize_t pull(gnutls_transport_ptr_t transport, void *bytes, size_t cap)
{
    struct agn_dtls *dtls = transport;
    if (!dtls->inbox) {
        gnutls_transport_set_errno(dtls->session, EAGAIN);
        return -1;
    }
    size_t len = dtls->inbox_bytes < cap ? dtls->inbox_bytes : cap;
    memcpy(bytes, dtls->inbox, len);
    dtls->inbox = NULL;
    return (ssize_t)len;
}

static int pull_timeout(gnutls_transport_ptr_t transport, unsigned ms)
{
    (void)ms;
    const struct agn_dtls *dtls = transport;
    return dtls->inbox ? 1 : 0;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static int fail(int code)
{
    return agn_fail(code == GNUTLS_E_MEMORY_ERROR ? AGN_ERR_MEMORY : AGN_ERR_UNSUPPORTED,
                    "DTLS cannot be set up: %s", gnutls_strerror(code));
}

static int begin_session(struct agn_dtls *dtls)
{
    dtls->state = AGN_DTLS_LOST; /* if there is no memory for a session now, the next attempt may have it */
    int code = gnutls_init(&dtls->session, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK);
    if (code < 0) {
        dtls->session = NULL;
        return fail(code);
    }
    code = gnutls_priority_set_direct(dtls->session, AGN_DTLS_PRIORITIES, NULL);
    if (code == 0)
        code = gnutls_credentials_set(dtls->session, GNUTLS_CRD_PSK, dtls->credentials);
    gnutls_transport_set_ptr(dtls->session, dtls);
    gnutls_transport_set_push_function(dtls->session, push);
    gnutls_transport_set_pull_function(dtls->session, pull);
    gnutls_transport_set_pull_timeout_function(dtls->session, pull_timeout);
    gnutls_dtls_set_mtu(dtls->session, MTU_BYTES);
    gnutls_dtls_set_timeouts(dtls->session, RETRANSMIT_MS, GIVE_UP_MS);
    if (code < 0)
        return fail(code);
    dtls->state = AGN_DTLS_HANDSHAKE;
    return 0;
}

int agn_dtls_create(struct agn_dtls **dtls, const struct agn_dtls_config *config)
{
    if (config->key_bytes > AGN_KEY_MAX_BYTES)
        return agn_fail(AGN_ERR_ARG, "a key of %zu bytes, expected at most %d", config->key_bytes,
                        (int)AGN_KEY_MAX_BYTES);
    struct agn_dtls *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->send = config->send;
    made->user = config->user;
    uint8_t copy[AGN_KEY_MAX_BYTES]; /* the library takes one of its own, but not from what is const */
    memcpy(copy, config->key, config->key_bytes);
    const gnutls_datum_t key = {copy, (unsigned)config->key_bytes};
    int code = gnutls_psk_allocate_client_credentials(&made->credentials);
    if (code < 0)
        made->credentials = NULL;
    else
        code =
            gnutls_psk_set_client_credentials(made->credentials, config->identity, &key, GNUTLS_PSK_KEY_RAW);
    int status = code < 0 ? fail(code) : begin_session(made);
    if (status < 0) {
        agn_dtls_free(made);
        return status;
    }
    *dtls = made;
    return 0;
}

int agn_dtls_restart(struct agn_dtls *dtls)
{
    if (dtls->session)
        gnutls_deinit(dtls->session);
    dtls->session = NULL;
    dtls->inbox = NULL;
    return begin_session(dtls);
}

void agn_dtls_free(struct agn_dtls *dtls)
{
    if (!dtls)
        return;
    if (dtls->session) {
        if (dtls->state == AGN_DTLS_READY)
            (void)gnutls_bye(dtls->session, GNUTLS_SHUT_WR);
        gnutls_deinit(dtls->session);
    }
    if (dtls->credentials)
        gnutls_psk_free_client_credentials(dtls->credentials);
    agn_free(dtls);
}

enum agn_dtls_state agn_dtls_state(const struct agn_dtls *dtls)
{
    return dtls->state;
}

enum agn_dtls_state agn_dtls_advance(struct agn_dtls *dtls)
{
    if (dtls->state != AGN_DTLS_HANDSHAKE || !dtls->session)
        return dtls->state;
    int code = gnutls_handshake(dtls->session);
    if (code == 0)
        dtls->state = AGN_DTLS_READY;
    else if (code == GNUTLS_E_TIMEDOUT)
        dtls->state = AGN_DTLS_LOST;
    else if (gnutls_error_is_fatal(code))
        dtls->state = AGN_DTLS_REFUSED;
    return dtls->state;
}

double agn_dtls_wait_s(const struct agn_dtls *dtls)
{
    if (dtls->state != AGN_DTLS_HANDSHAKE || !dtls->session)
        return INFINITY;
    double seconds = gnutls_dtls_get_timeout(dtls->session) / 1000.0;
    return seconds > 0.001 ? seconds : 0.001;
}

/* ---- messages ----------------------------------------------------------------------------------- */

size_t agn_dtls_take(struct agn_dtls *dtls, const uint8_t *datagram, size_t len, uint8_t *message, size_t cap)
{
    dtls->inbox = datagram;
    dtls->inbox_bytes = len;
    ssize_t got = 0;
    if (dtls->state == AGN_DTLS_HANDSHAKE) {
        (void)agn_dtls_advance(dtls);
    } else if (dtls->state == AGN_DTLS_READY) {
        got = gnutls_record_recv(dtls->session, message, cap);
        if (got == 0 || (got < 0 && gnutls_error_is_fatal((int)got)))
            dtls->state = AGN_DTLS_LOST;
    }
    dtls->inbox = NULL;
    return got > 0 ? (size_t)got : 0;
}

int agn_dtls_send(struct agn_dtls *dtls, const uint8_t *message, size_t len)
{
    if (dtls->state != AGN_DTLS_READY)
        return AGN_ERR_STATE;
    dtls->send_status = 0;
    ssize_t code = gnutls_record_send(dtls->session, message, len);
    if (code == GNUTLS_E_LARGE_PACKET)
        return AGN_ERR_SPACE;
    if (code < 0)
        return gnutls_error_is_fatal((int)code) ? AGN_ERR_IO : AGN_ERR_BUSY;
    return dtls->send_status;
}
