/* CoAP messages as bytes; see agn_coap.h. */
#include "agn_coap.h"

#include "agn_memory.h"
#include "agn_status.h"

enum {
    VERSION_BITS = 0x40, /* version 1 in the two top bits */
    CODE_POST = 0x02,
    PAYLOAD_MARKER = 0xFF,
    OPTION_MAX_AGE = 14,
    MAX_TOKEN_BYTES = 8,
    HEADER_BYTES = 4,
};

size_t agn_coap_request(uint8_t *dst, uint16_t message_id, const uint8_t token[AGN_COAP_TOKEN_BYTES],
                        const uint8_t *payload, size_t len)
{
    /* Uri-Path is option 11: delta and length in one byte, then the second segment with delta 0. */
    static const uint8_t path[] = {0xB2, 'v', '1', 0x05, 'i', 'n', 'f', 'e', 'r'};
    if (payload != dst + AGN_COAP_REQUEST_OVERHEAD)
        memcpy(dst + AGN_COAP_REQUEST_OVERHEAD, payload, len);
    dst[0] = VERSION_BITS | AGN_COAP_NON << 4 | AGN_COAP_TOKEN_BYTES;
    dst[1] = CODE_POST;
    dst[2] = (uint8_t)(message_id >> 8);
    dst[3] = (uint8_t)message_id;
    memcpy(dst + HEADER_BYTES, token, AGN_COAP_TOKEN_BYTES);
    memcpy(dst + HEADER_BYTES + AGN_COAP_TOKEN_BYTES, path, sizeof path);
    dst[AGN_COAP_REQUEST_OVERHEAD - 1] = PAYLOAD_MARKER;
    return AGN_COAP_REQUEST_OVERHEAD + len;
}

size_t agn_coap_request_compact(uint8_t *dst, uint16_t message_id,
                                const uint8_t token[AGN_COAP_COMPACT_TOKEN_BYTES], const uint8_t *payload,
                                size_t len)
{
    if (payload != dst + AGN_COAP_COMPACT_OVERHEAD)
        memcpy(dst + AGN_COAP_COMPACT_OVERHEAD, payload, len);
    dst[0] = VERSION_BITS | AGN_COAP_NON << 4 | AGN_COAP_COMPACT_TOKEN_BYTES;
    dst[1] = CODE_POST;
    dst[2] = (uint8_t)(message_id >> 8);
    dst[3] = (uint8_t)message_id;
    dst[4] = token[0];
    dst[5] = token[1];
    dst[6] = 0xB1; /* Uri-Path of one byte */
    dst[7] = 'i';
    dst[8] = PAYLOAD_MARKER;
    return AGN_COAP_COMPACT_OVERHEAD + len;
}

/* An option's delta or length: a nibble, and one or two bytes more for 13 and 14; 15 is reserved.
 * Returns the bytes taken beyond the nibble, or AGN_ERR_FORMAT. */
static int read_extended(unsigned nibble, const uint8_t *src, size_t len, size_t *value)
{
    if (nibble < 13) {
        *value = nibble;
        return 0;
    }
    if (nibble == 13 && len >= 1) {
        *value = 13u + src[0];
        return 1;
    }
    if (nibble == 14 && len >= 2) {
        *value = 269u + ((size_t)src[0] << 8 | src[1]);
        return 2;
    }
    return AGN_ERR_FORMAT;
}

struct option {
    size_t delta; /* to the number of the option before */
    const uint8_t *value;
    size_t value_bytes;
};

/* Reads the option that begins at src. Its length, header and value, or AGN_ERR_FORMAT. */
static int read_option(const uint8_t *src, size_t len, struct option *option)
{
    size_t at = 1;
    int taken = read_extended(src[0] >> 4, src + at, len - at, &option->delta);
    if (taken < 0)
        return taken;
    at += (size_t)taken;
    taken = read_extended(src[0] & 15, src + at, len - at, &option->value_bytes);
    if (taken < 0)
        return taken;
    at += (size_t)taken;
    option->value = src + at;
    return option->value_bytes <= len - at ? (int)(at + option->value_bytes) : AGN_ERR_FORMAT;
}

/* A number of any length up to 4 bytes, 0 bytes for 0. An option that is longer is as good as absent
 * (RFC 7252, 5.4.3). */
static void take_max_age(const struct option *option, uint32_t *max_age_s)
{
    uint32_t value = 0;
    if (option->value_bytes > sizeof value)
        return;
    for (size_t i = 0; i < option->value_bytes; i++)
        value = value << 8 | option->value[i];
    *max_age_s = value;
}

/* Reads the options up to the payload's marker or the end. Max-Age alone means something here, at its first
 * occurrence; critical ones of a request's kind do not occur in answers. Bytes taken, or AGN_ERR_FORMAT. */
static int read_options(const uint8_t *src, size_t len, uint32_t *max_age_s)
{
    size_t at = 0, number = 0;
    while (at < len && src[at] != PAYLOAD_MARKER) {
        struct option option;
        int taken = read_option(src + at, len - at, &option);
        if (taken < 0)
            return taken;
        at += (size_t)taken;
        number += option.delta;
        if (number == OPTION_MAX_AGE && option.delta > 0)
            take_max_age(&option, max_age_s);
    }
    return (int)at;
}

int agn_coap_read_answer(const uint8_t *src, size_t len, struct agn_coap_answer_view *answer)
{
    if (len < HEADER_BYTES || len > INT16_MAX || (src[0] & 0xC0) != VERSION_BITS)
        return AGN_ERR_FORMAT;
    struct agn_coap_answer_view read = {.type = (enum agn_coap_type)(src[0] >> 4 & 3),
                                        .code_class = src[1] >> 5,
                                        .code_detail = src[1] & 31,
                                        .message_id = (uint16_t)((unsigned)src[2] << 8 | src[3]),
                                        .token_bytes = src[0] & 15,
                                        .max_age_s = AGN_COAP_DEFAULT_MAX_AGE_S};
    size_t at = HEADER_BYTES + (size_t)read.token_bytes;
    if (read.code_class < 2 || read.code_class > 5 || read.type == AGN_COAP_RST ||
        read.token_bytes > MAX_TOKEN_BYTES || at > len)
        return AGN_ERR_FORMAT;
    read.token = src + HEADER_BYTES;
    int taken = read_options(src + at, len - at, &read.max_age_s);
    if (taken < 0)
        return taken;
    at += (size_t)taken;
    if (at < len) {
        at++;
        if (at == len) /* a marker without a payload is malformed */
            return AGN_ERR_FORMAT;
    }
    read.payload = src + at;
    read.payload_bytes = len - at;
    *answer = read;
    return 0;
}

int agn_coap_is_busy(const struct agn_coap_answer_view *answer)
{
    return answer->code_class == 5 && answer->code_detail == 3;
}

int agn_coap_is_unknown(const struct agn_coap_answer_view *answer)
{
    return answer->code_class == 4 && answer->code_detail == 4;
}

void agn_coap_acknowledge(uint8_t dst[AGN_COAP_ACK_BYTES], uint16_t message_id)
{
    dst[0] = VERSION_BITS | AGN_COAP_ACK << 4;
    dst[1] = 0;
    dst[2] = (uint8_t)(message_id >> 8);
    dst[3] = (uint8_t)message_id;
}
