/* The modem's output in pieces; see esp_at_lines.h. */
#include "drivers/esp_at_lines.h"

#include <string.h>

void esp_at_lines_init(struct esp_at_lines *lines, uint8_t *datagram, size_t datagram_cap)
{
    memset(lines, 0, sizeof *lines);
    lines->datagram = datagram;
    lines->datagram_cap = datagram_cap;
    lines->is_whole = 1;
}

static void begin_line(struct esp_at_lines *lines)
{
    lines->length = 0;
    lines->is_whole = 1;
    lines->is_handed_out = 0;
}

void esp_at_lines_restart(struct esp_at_lines *lines)
{
    if (lines->expected > 0)
        lines->cut_short++;
    lines->expected = 0;
    begin_line(lines);
}

static int is_same(const char *a, const char *b, size_t length)
{
    while (length > 0 && *a == *b) {
        a++;
        b++;
        length--;
    }
    return length == 0;
}

/* ---- texts with a byte missing or wrong ------------------------------------------------------------- */

/* Whether `line` is `text` as it is, or with one byte missing or one byte wrong. Short texts must be exact:
 * what would be left of them means nothing. */
static int is_nearly(const char *line, size_t length, const char *text, size_t text_length)
{
    size_t same = 0;
    while (same < length && same < text_length && line[same] == text[same])
        same++;
    if (same == length && same == text_length)
        return 1;
    if (text_length < 4 || same == text_length)
        return 0;
    if (length == text_length)
        return is_same(line + same + 1, text + same + 1, length - same - 1);
    return length + 1 == text_length && is_same(line + same, text + same + 1, length - same);
}

static int is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* Reads digits at line[at..length), at most five. Returns how many there are. */
static size_t read_number(const char *line, size_t at, size_t length, size_t *number)
{
    size_t digits = 0;
    *number = 0;
    while (at + digits < length && digits < 5 && is_digit(line[at + digits]))
        *number = *number * 10 + (size_t)(line[at + digits++] - '0');
    return digits;
}

/* "Recv n bytes": one of the two words whole, and a number. */
static int is_received(const char *line, size_t length, size_t *number)
{
    static const char before[] = "Recv ", after[] = " bytes";
    size_t at = 0;
    while (at < length && !is_digit(line[at]))
        at++;
    size_t digits = read_number(line, at, length, number), end = at + digits;
    if (digits == 0)
        return 0;
    int before_exact = at == 5 && is_same(line, before, 5);
    int after_exact = length - end == 6 && is_same(line + end, after, 6);
    return (before_exact && is_nearly(line + end, length - end, after, 6)) ||
           (after_exact && is_nearly(line, at, before, 5));
}

enum esp_at_word esp_at_lines_word(const struct esp_at_lines *lines, size_t *number)
{
    static const struct {
        enum esp_at_word word;
        uint8_t length;
        const char *text;
    } words[] = {
#define ESP_AT_WORD_ROW(name, text) {(name), sizeof(text) - 1, (text)},
        ESP_AT_WORD_TABLE(ESP_AT_WORD_ROW)
#undef ESP_AT_WORD_ROW
    };
    if (!lines->is_whole)
        return ESP_AT_OTHER;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (is_nearly(lines->line, lines->length, words[i].text, words[i].length))
            return words[i].word;
    return is_received(lines->line, lines->length, number) ? ESP_AT_RECEIVED : ESP_AT_OTHER;
}

/* ---- bytes ------------------------------------------------------------------------------------------ */

/* The line so far ends where a datagram's announcement would end, before its colon: "+IPD,n", or
 * "+IPD,n,address,port" where the modem was told to say whose it is. Returns where the announcement begins,
 * or the line's length. */
static size_t find_announcement(const struct esp_at_lines *lines, size_t *bytes)
{
    static const char mark[] = "+IPD,";
    const char *line = lines->line;
    size_t length = lines->length, after;
    for (size_t at = length; at-- > 0;) {
        if (length - at < 6 || !is_same(line + at, mark, 5))
            continue;
        size_t digits = read_number(line, at + 5, length, bytes);
        after = at + 5 + digits;
        return digits > 0 && (after == length || line[after] == ',') ? at : length;
    }
    /* The short form with a byte of the mark missing or wrong. */
    size_t first = length;
    while (first > 0 && length - first < 5 && is_digit(line[first - 1]))
        first--;
    if (first == length)
        return length;
    (void)read_number(line, first, length, bytes);
    if (first >= 5 && is_nearly(line + first - 5, 5, mark, 5))
        return first - 5;
    return first >= 4 && is_nearly(line + first - 4, 4, mark, 5) ? first - 4 : length;
}

/* Within an address in quotes, which has colons where it is an IPv6 one. */
static int is_quoted(const struct esp_at_lines *lines, size_t at)
{
    int quotes = 0;
    for (; at < lines->length; at++)
        quotes ^= lines->line[at] == '"';
    return quotes;
}

static void begin_datagram(struct esp_at_lines *lines)
{
    size_t bytes = 0, at = find_announcement(lines, &bytes);
    if (at == lines->length || is_quoted(lines, at) || bytes == 0 || bytes > ESP_AT_ANNOUNCED_BYTES)
        return;
    lines->length = (uint8_t)at;
    lines->expected = bytes;
    lines->got = 0;
}

static enum esp_at_event take_datagram_byte(struct esp_at_lines *lines, uint8_t byte)
{
    if (lines->got < lines->datagram_cap)
        lines->datagram[lines->got] = byte;
    if (++lines->got < lines->expected)
        return ESP_AT_NOTHING;
    lines->expected = 0;
    if (lines->got > lines->datagram_cap) {
        lines->too_long++;
        return ESP_AT_NOTHING;
    }
    return ESP_AT_DATAGRAM;
}

static void append(struct esp_at_lines *lines, char character)
{
    if (lines->length == ESP_AT_LINE_BYTES) { /* nonsense, but an announcement may follow on it */
        memcpy(lines->line, lines->line + ESP_AT_LINE_BYTES / 2, ESP_AT_LINE_BYTES / 2);
        lines->length = ESP_AT_LINE_BYTES / 2;
        lines->is_whole = 0;
        lines->garbage_bytes += ESP_AT_LINE_BYTES / 2;
    }
    lines->line[lines->length++] = character;
}

enum esp_at_event esp_at_lines_take(struct esp_at_lines *lines, uint8_t byte, int prompt_wanted,
                                    uint32_t now_ms)
{
    lines->last_byte_ms = now_ms;
    if (lines->expected > 0)
        return take_datagram_byte(lines, byte);
    if (lines->is_handed_out)
        begin_line(lines);
    if (byte == '\r' || byte == '\n') {
        lines->is_handed_out = lines->length > 0;
        return lines->length > 0 ? ESP_AT_LINE : ESP_AT_NOTHING;
    }
    if (byte == '>' && prompt_wanted) {
        begin_line(lines);
        return ESP_AT_PROMPT;
    }
    if (byte == ':')
        begin_datagram(lines);
    if (lines->expected == 0)
        append(lines, (char)byte);
    return ESP_AT_NOTHING;
}

void esp_at_lines_expire(struct esp_at_lines *lines, uint32_t gap_ms, uint32_t now_ms)
{
    if (lines->expected > 0 && now_ms - lines->last_byte_ms >= gap_ms) {
        lines->expected = 0;
        lines->cut_short++;
    }
}
