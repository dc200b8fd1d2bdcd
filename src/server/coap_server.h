/* The CoAP side of the server: its endpoints, plain and DTLS, its resources, answers now or later.
 * The coap_*.c are the only files of this room that know libcoap; frames and models are left to server.c. */
#ifndef AGN_SERVER_COAP_SERVER_H
#define AGN_SERVER_COAP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "agilenn/keys.h"
#include "server/assembly.h"
#include "server/limits.h"

struct agn__coap;

/* Where a late answer goes. All zero: nowhere. */
struct agn__exchange {
    struct coap_session_t *session; /* referenced */
    uint8_t token[8];
    uint8_t token_bytes;
};

/* One request, valid during the handler's call only. */
struct agn__request {
    struct agn__coap *coap;
    struct agn__peer peer; /* of DTLS and of plain CoAP: never the same, whatever the address */
    bool verified;         /* came through DTLS */
    size_t message_bytes;  /* the whole CoAP message */
    double arrived_s;      /* at this machine, by agn_now_s */
    bool is_compact;       /* to the resource of version 2 */
    const uint8_t *payload;
    size_t payload_bytes;
    struct coap_session_t *session;
    const struct coap_pdu_t *request;
    struct coap_pdu_t *response;
};
typedef void agn__request_fn(void *user, struct agn__request *request);

/* Code class and detail as in RFC 7252: 2.04 is AGN__COAP_CODE(2, 4). */
#define AGN__COAP_CODE(code_class, detail) ((uint8_t)((code_class) << 5 | (detail)))

struct agn__coap_config {
    const char *address;
    uint16_t port; /* plain CoAP */
    bool plain_off;
    uint16_t dtls_port;
    struct agn_keys *keys; /* taken over unless opening fails; NULL: no DTLS */
    bool dtls_cbc;         /* CBC ciphers as well */
    int max_peers;         /* idle ones remembered */
    int receive_buffer;    /* bytes to ask the system for */
    struct agn__limits_config limits;
    size_t reply_bytes; /* the longest answer that will be sent */
    agn__request_fn *handler;
    void *user;
};

/* Errors as for agn_server_create. */
int agn__coap_open(struct agn__coap **coap, const struct agn__coap_config *config);
uint16_t agn__coap_port(const struct agn__coap *coap);
uint16_t agn__coap_dtls_port(const struct agn__coap *coap);

/* New keys in place of the old ones, which it frees. A session whose identity is gone, or has another key
 * now, gets 4.01 from now on; the others go on. Only where there were keys from the beginning. `max_peers` as
 * in the configuration. */
void agn__coap_set_keys(struct agn__coap *coap, struct agn_keys *keys, int max_peers);

/* Datagrams that are not what their port is for. */
enum agn__stray {
    AGN__STRAY_FEATURE_PACKET, /* of ours, but nothing around it */
    AGN__STRAY_SHORT,          /* below 4 bytes */
    AGN__STRAY_TLS,            /* records of DTLS or TLS at the plain port, of TLS at the other */
    AGN__STRAY_COAP,           /* plain CoAP at the port of DTLS */
    AGN__STRAY_OTHER,
    AGN__STRAY_KINDS,
    AGN__STRAY_NONE = AGN__STRAY_KINDS
};

/* Counts since opening, but for the last. */
struct agn__coap_counts {
    uint64_t handshakes;        /* completed */
    uint64_t handshakes_failed; /* of a known identity, and ended by what its key cannot read: a wrong key */
    uint64_t unknown_identities;
    uint64_t handshakes_refused;    /* no cipher or version in common */
    uint64_t handshakes_unfinished; /* given up by the peer */
    uint64_t revoked;               /* requests of sessions whose key is gone */
    uint64_t limited;               /* requests dropped: too many, or too many bytes, from one peer */
    uint64_t withheld;              /* answers not sent: too long for what an unverified peer had sent */
    uint64_t dropped; /* datagrams that were not read: they found the socket's buffer full (as of the latest
                         agn__coap_count_dropped), or were discarded */
    uint64_t strays[AGN__STRAY_KINDS];
    int dtls_peers; /* now */
};
struct agn__coap_counts agn__coap_counts(const struct agn__coap *coap);
/* Asks the system. */
void agn__coap_count_dropped(struct agn__coap *coap);

/* What GET /v1/models says from now on; the text must stay until the next call. */
void agn__coap_set_models(struct agn__coap *coap, const char *models_json);
/* Peers that are remembered now. */
int agn__coap_peers(const struct agn__coap *coap);

/* Waits up to timeout_ms for a datagram or for wake_fd to become readable, then serves some of the datagrams
 * that are there, `most` (> 0) of each endpoint. 1: there may be more; 0: nothing came (a signal, too);
 * AGN_ERR_IO. */
int agn__coap_poll(struct agn__coap *coap, int timeout_ms, int most, int wake_fd);

/* Throws away what stands in a socket's buffer, unread. */
void agn__coap_discard(struct agn__coap *coap, bool dtls);

struct agn__answer {
    uint8_t code;
    uint32_t max_age_s; /* with 5.03: when to try again; 0: the option is left out */
    const uint8_t *bytes;
    size_t len;
    bool is_bare; /* no Content-Format, as in version 2 */
};

/* Answers in the request's own exchange; without a call the request stays unanswered for now. False: withheld
 * from an unverified peer. */
bool agn__coap_answer(struct agn__request *request, const struct agn__answer *answer);
/* The same with a sentence for people (a string that stays). */
void agn__coap_explain(struct agn__request *request, uint8_t code, const char *sentence);

/* The same with nothing but a code, which is no longer than any request. */
void agn__coap_decline(struct agn__request *request, uint8_t code);

/* Remembers the request's exchange in place of the one that was there. */
void agn__coap_keep(const struct agn__request *request, struct agn__exchange *exchange);
/* Sends a non-confirmable answer. AGN_ERR_IO: it could not be sent. */
int agn__coap_send(struct agn__coap *coap, const struct agn__exchange *exchange,
                   const struct agn__answer *answer);
void agn__coap_forget(struct agn__exchange *exchange);

/* Every kept exchange must be forgotten before. NULL is allowed. */
void agn__coap_close(struct agn__coap *coap);

#endif
