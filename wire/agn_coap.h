/* The few CoAP messages (RFC 7252) that a device needs, as bytes: requests to /v1/infer and /i, and their
 * answers.
 *
 * A modem has no sockets for a CoAP library, and a library's close when the server is away; so a device
 * builds its messages itself. No memory, no I/O, no OS. */
#ifndef AGN_COAP_H
#define AGN_COAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AGN_COAP_TOKEN_BYTES = 4,
    AGN_COAP_REQUEST_OVERHEAD = 4 + AGN_COAP_TOKEN_BYTES + 3 + 6 + 1, /* header, token, path, marker */
    AGN_COAP_COMPACT_TOKEN_BYTES = 2,
    AGN_COAP_COMPACT_OVERHEAD = 4 + AGN_COAP_COMPACT_TOKEN_BYTES + 2 + 1,
    AGN_COAP_ACK_BYTES = 4,
    AGN_COAP_DEFAULT_MAX_AGE_S = 60, /* RFC 7252, 5.10.5 */
};

/* Writes a non-confirmable POST /v1/infer; dst must hold AGN_COAP_REQUEST_OVERHEAD + len bytes. The
 * payload may already stand in its place (dst + AGN_COAP_REQUEST_OVERHEAD). Returns the length. */
size_t agn_coap_request(uint8_t *dst, uint16_t message_id, const uint8_t token[AGN_COAP_TOKEN_BYTES],
                        const uint8_t *payload, size_t len);

/* The same to /i, where packets of version 2 go, with AGN_COAP_COMPACT_OVERHEAD. */
size_t agn_coap_request_compact(uint8_t *dst, uint16_t message_id,
                                const uint8_t token[AGN_COAP_COMPACT_TOKEN_BYTES], const uint8_t *payload,
                                size_t len);

enum agn_coap_type { AGN_COAP_CON, AGN_COAP_NON, AGN_COAP_ACK, AGN_COAP_RST };

struct agn_coap_answer_view {
    enum agn_coap_type type;
    uint8_t code_class, code_detail; /* 2.04 is 2 and 4 */
    uint16_t message_id;
    uint8_t token_bytes;
    const uint8_t *token, *payload; /* into the source */
    size_t payload_bytes;
    uint32_t max_age_s; /* with 5.03: when to try again; the default where the option is absent or too long */
};

/* Reads a response of at most 32,767 bytes: 0, or AGN_ERR_FORMAT for anything else (requests, empty messages,
 * bad options). */
int agn_coap_read_answer(const uint8_t *src, size_t len, struct agn_coap_answer_view *answer);

/* Whether the server is too busy to answer, 5.03. */
int agn_coap_is_busy(const struct agn_coap_answer_view *answer);

/* Whether it has no such resource, 4.04: an older one, of version 2's. */
int agn_coap_is_unknown(const struct agn_coap_answer_view *answer);

/* Writes the acknowledgement of a confirmable answer. */
void agn_coap_acknowledge(uint8_t dst[AGN_COAP_ACK_BYTES], uint16_t message_id);

#ifdef __cplusplus
}
#endif

#endif
