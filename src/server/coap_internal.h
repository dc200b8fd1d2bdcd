/* What the coap_*.c share:
 *
 *     coap_server.c  /v1/infer and /i, reading, answers
 *     coap_socket.c  endpoints and their sockets
 *     coap_strays.c  what comes and is no CoAP
 *     coap_dtls.c    who may speak DTLS
 *     coap_info.c    what can be read: /v1/models, /.well-known/core */
#ifndef AGN_SERVER_COAP_INTERNAL_H
#define AGN_SERVER_COAP_INTERNAL_H

#include <coap3/coap.h>

#include "server/coap_server.h"

enum {
    AGN__ANSWER_OVERHEAD = 4 + 8 + 2 + 1,   /* header, longest token, format, marker */
    AGN__MOST_READS = 64,                   /* datagrams read at once */
    AGN__DATAGRAM_MAX = COAP_RXBUFFER_SIZE, /* bytes of one that libcoap reads; the sockets cut longer ones */
};

struct agn__socket {
    int fd; /* libcoap's */
    bool dtls;
    bool peeks;       /* agn__strays_begin has taken it */
    uint32_t dropped; /* the system's count when it was last looked at */
};

/* Half-open sessions that libcoap keeps; each takes about 9 KB. Beyond that it takes no new ones until some
 * have ended or are 30 s old. */
enum { AGN__HALF_OPEN_MAX = 1024 };

struct agn__half_open {
    coap_session_t *session;
    bool has_tls; /* when it was last looked at */
};

struct agn__coap {
    coap_context_t *context;
    agn__request_fn *handler;
    void *user;
    const char *models_json;
    /* The longest message that a session sends or takes. libcoap's default of 1152 bytes would drop the
     * longest feature packets without a word. */
    unsigned pdu_bytes;
    uint16_t port, dtls_port;
    int peers;
    int reads; /* datagrams that libcoap is asked for at once */
    struct agn__socket sockets[2];
    int socket_count;
    uint8_t peeked[AGN__MOST_READS][AGN__DATAGRAM_MAX];
    double explained_s[AGN__STRAY_KINDS]; /* when the log last told of one; 0: never */

    struct agn__limits *limits;
    struct agn__coap_counts counts;
    struct agn_keys *keys; /* NULL: no DTLS */
    uintptr_t generation;  /* of the keys, from 2; a session carries the one that it was last found good in */
    coap_bin_const_t key_view; /* what libcoap is given of a key; it copies it */
    struct gnutls_priority_st *priorities;
    bool dtls_cbc;
    struct agn__half_open half_open[AGN__HALF_OPEN_MAX + 1]; /* sessions whose handshake is not over */
    int half_open_count;
};

/* Fills a request in. False when it is dealt with: its peer sent too much (no answer), or is not trusted any
 * more (4.01). */
bool agn__coap_begin(struct agn__request *request, coap_resource_t *resource, coap_session_t *session,
                     const coap_pdu_t *pdu, coap_pdu_t *response);
int agn__coap_add_resource(struct agn__coap *coap, const char *path, coap_request_t method,
                           coap_method_handler_t handler);

/* ---- coap_socket.c ---------------------------------------------------------------------- */

/* Opens an endpoint. Its port, or an error as for agn_server_create. */
int agn__coap_listen(struct agn__coap *coap, const struct agn__coap_config *config, uint16_t port,
                     coap_proto_t protocol);
/* Seconds since the datagram that libcoap read last arrived at this machine; 0 where that is not known. */
double agn__coap_age(struct agn__coap *coap, bool dtls);

/* ---- coap_strays.c ---------------------------------------------------------------------- */

/* Whether a socket can be looked into; its filter must keep datagrams at AGN__DATAGRAM_MAX. Begins anew after
 * datagrams were thrown away. */
bool agn__strays_begin(int fd);
/* Counts what is no CoAP (no DTLS) among the next `most` datagrams (AGN__MOST_READS at most) of each socket.
 * Returns how many of each are to be read now: more would go by unseen, fewer leave some unread. */
int agn__strays_look(struct agn__coap *coap, int most);
/* Of a datagram at a plain or a DTLS port. */
enum agn__stray agn__stray_kind(const uint8_t *bytes, size_t len, bool dtls);

/* ---- coap_dtls.c ------------------------------------------------------------------------ */

/* Takes handshakes by these keys and ciphers from now on; the endpoint is the caller's to open. */
int agn__coap_offer_dtls(struct agn__coap *coap, const struct agn__coap_config *config);
void agn__coap_on_dtls_begin(struct agn__coap *coap, coap_session_t *session);
/* After each time that libcoap has read: what became of handshakes. */
void agn__coap_watch_handshakes(struct agn__coap *coap);
void agn__coap_end_dtls(struct agn__coap *coap);
/* May come several times for a session. */
void agn__coap_on_dtls_end(struct agn__coap *coap, coap_session_t *session);
/* Whether the keys of now still hold the request's identity and key; if not, it answers 4.01. */
bool agn__coap_is_trusted(struct agn__request *request);

/* ---- coap_info.c ------------------------------------------------------------------------ */

int agn__coap_add_documents(struct agn__coap *coap);

#endif
