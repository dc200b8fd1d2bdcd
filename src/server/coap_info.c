/* What can be read from the server: /v1/models and /.well-known/core.
 *
 * Texts are longer than the requests for them, and a plain request may bear a forged address. So such a peer
 * gets them in blocks (RFC 7959) that are at most as many times the size of its request as AMPLIFICATION
 * says; the next block takes another request. */
#include <string.h>

#include "agilenn/base.h"
#include "server/coap_internal.h"

enum {
    AMPLIFICATION = 3,
    SMALLEST_BLOCK = 16, /* 2 to the power of szx + 4, szx from 0 to 6 */
    LARGEST_SZX = 6,
    ETAG_BYTES = 4,
    /* Header, ETag, Content-Format, Block2, marker, at their longest. */
    OPTION_BYTES = 4 + 1 + ETAG_BYTES + 2 + 4 + 1,
};

/* Which part of `len` bytes goes into the answer; false: it is none of the text's. */
struct part {
    bool in_blocks;
    unsigned number, szx;
    size_t at, bytes;
    bool more;
};

static bool choose_part(const struct agn__request *request, size_t len, struct part *part)
{
    coap_block_t asked = {0};
    size_t envelope = OPTION_BYTES + coap_pdu_get_token(request->request).length;
    size_t most = request->verified ? SIZE_MAX : AMPLIFICATION * request->message_bytes;
    size_t room = most > envelope ? most - envelope : 0;
    bool has_block = coap_get_block(request->request, COAP_OPTION_BLOCK2, &asked);
    unsigned szx = has_block && asked.szx < LARGEST_SZX ? asked.szx : LARGEST_SZX;
    size_t at = has_block ? (size_t)asked.num << (asked.szx + 4) : 0;
    while (szx > 0 && (size_t)SMALLEST_BLOCK << szx > room)
        szx--;
    size_t block = (size_t)SMALLEST_BLOCK << szx;
    *part = (struct part){.at = at, .szx = szx, .number = (unsigned)(at >> (szx + 4))};
    if (at >= len)
        return at == 0;
    part->bytes = len - at < block ? len - at : block;
    part->more = at + part->bytes < len;
    part->in_blocks = has_block || part->more;
    return true;
}

static void add_number(coap_pdu_t *pdu, coap_option_num_t option, unsigned number)
{
    uint8_t value[4];
    coap_add_option(pdu, option, coap_encode_var_safe(value, sizeof value, number), value);
}

static void give(struct agn__request *request, unsigned format, const char *text)
{
    size_t length = strlen(text);
    struct part part;
    if (!choose_part(request, length, &part)) {
        agn__coap_explain(request, AGN__COAP_CODE(4, 2), "no such block");
        return;
    }
    uint32_t tag = agn_crc32(0, text, length); /* the text may change from block to block */
    coap_pdu_set_code(request->response, COAP_RESPONSE_CODE_CONTENT);
    coap_add_option(request->response, COAP_OPTION_ETAG, ETAG_BYTES, (const uint8_t *)&tag);
    add_number(request->response, COAP_OPTION_CONTENT_FORMAT, format);
    if (part.in_blocks)
        add_number(request->response, COAP_OPTION_BLOCK2,
                   part.number << 4 | (part.more ? 8u : 0u) | part.szx);
    coap_add_data(request->response, part.bytes, (const uint8_t *)text + part.at);
}

static void on_models(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *pdu,
                      const coap_string_t *query, coap_pdu_t *response)
{
    (void)query;
    struct agn__request request;
    if (agn__coap_begin(&request, resource, session, pdu, response))
        give(&request, COAP_MEDIATYPE_APPLICATION_JSON, request.coap->models_json);
}

/* In place of libcoap's own, which answers any forger at full length. */
static void on_core(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *pdu,
                    const coap_string_t *query, coap_pdu_t *response)
{
    (void)query;
    struct agn__request request;
    if (agn__coap_begin(&request, resource, session, pdu, response))
        give(&request, COAP_MEDIATYPE_APPLICATION_LINK_FORMAT,
             "</v1/infer>;title=\"feature packets in, logits out\",</i>;title=\"the same in version "
             "2\",</v1/models>;title=\"models "
             "served\";ct=50");
}

int agn__coap_add_documents(struct agn__coap *coap)
{
    int status = agn__coap_add_resource(coap, "v1/models", COAP_REQUEST_GET, on_models);
    return status < 0 ? status : agn__coap_add_resource(coap, ".well-known/core", COAP_REQUEST_GET, on_core);
}
