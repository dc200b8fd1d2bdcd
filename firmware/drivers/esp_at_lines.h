/* Takes apart what an ESP-AT modem says: lines, the prompt, datagrams. What they mean is esp_at.c's matter.
 *
 * Bytes may be missing, wrong or nonsense anywhere. A datagram may come in the middle of a line; the line
 * then goes on behind it. */
#ifndef AGN_ESP_AT_LINES_H
#define AGN_ESP_AT_LINES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ESP_AT_LINE_BYTES = 64,        /* no line of interest is longer */
    ESP_AT_ANNOUNCED_BYTES = 4096, /* no modem announces a longer datagram */
};

enum esp_at_event { ESP_AT_NOTHING, ESP_AT_LINE, ESP_AT_PROMPT, ESP_AT_DATAGRAM };

struct esp_at_lines {
    uint8_t *datagram; /* the caller's buffer */
    size_t datagram_cap;
    size_t expected, got; /* of a datagram under way; expected is 0 outside of one */
    uint32_t last_byte_ms;
    char line[ESP_AT_LINE_BYTES];
    uint8_t length;        /* of line, kept over a datagram within it */
    uint8_t is_whole;      /* nothing had to be thrown away from the line's start */
    uint8_t is_handed_out; /* line is a finished one: the next byte begins another */
    uint32_t too_long, cut_short, garbage_bytes;
};

void esp_at_lines_init(struct esp_at_lines *lines, uint8_t *datagram, size_t datagram_cap);

/* Forgets a half-said line and a half-come datagram. */
void esp_at_lines_restart(struct esp_at_lines *lines);

/* Takes one byte. ESP_AT_LINE: line[0..length) is a line that is not empty, without its end; valid until
 * the next byte. ESP_AT_DATAGRAM: datagram[0..got) is one, valid likewise. ESP_AT_PROMPT only with
 * `prompt_wanted`: elsewhere '>' is a character as any other. */
enum esp_at_event esp_at_lines_take(struct esp_at_lines *lines, uint8_t byte, int prompt_wanted,
                                    uint32_t now_ms);

/* Gives up a datagram of which nothing has come for gap_ms. */
void esp_at_lines_expire(struct esp_at_lines *lines, uint32_t gap_ms, uint32_t now_ms);

/* What a line says. X(name, text); a text is recognised with one byte missing or wrong as well. */
#define ESP_AT_WORD_TABLE(X)                                                                                 \
    X(ESP_AT_OK, "OK")                                                                                       \
    X(ESP_AT_ERROR, "ERROR")                                                                                 \
    X(ESP_AT_FAIL, "FAIL")                                                                                   \
    X(ESP_AT_SEND_OK, "SEND OK")                                                                             \
    X(ESP_AT_SEND_FAIL, "SEND FAIL")                                                                         \
    X(ESP_AT_BUSY, "busy p...")                                                                              \
    X(ESP_AT_READY, "ready")                                                                                 \
    X(ESP_AT_CLOSED, "CLOSED")                                                                               \
    X(ESP_AT_WIFI_DISCONNECT, "WIFI DISCONNECT")                                                             \
    X(ESP_AT_WIFI_GOT_IP, "WIFI GOT IP")                                                                     \
    X(ESP_AT_NOT_OPEN, "link is not valid")                                                                  \
    X(ESP_AT_ALREADY, "ALREADY CONNECTED")

enum esp_at_word {
    ESP_AT_OTHER,
    ESP_AT_RECEIVED, /* "Recv n bytes"; *number is n */
#define ESP_AT_WORD_ENUM(name, text) name,
    ESP_AT_WORD_TABLE(ESP_AT_WORD_ENUM)
#undef ESP_AT_WORD_ENUM
};

enum esp_at_word esp_at_lines_word(const struct esp_at_lines *lines, size_t *number);

#ifdef __cplusplus
}
#endif

#endif
