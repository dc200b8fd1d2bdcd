/* Any bytes as a modem's output, with any pauses and at any state of a send.
 *
 * Byte 0 chooses the configuration. Then records follow: a byte of length, as many bytes that the modem says,
 * a byte of time to pass (in units of 8 ms); with the top bit of the time set a datagram is given to send.
 * Whatever comes, the driver keeps within its buffers, ends each datagram, and gets along with a sane modem
 * after. */
#include <stdlib.h>
#include <string.h>

#include "drivers/esp_at.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct board {
    struct esp_at modem;
    uint32_t now_ms;
    uint8_t datagram[100];
    char command[300]; /* the last line that the driver has said, without its end */
    size_t command_bytes;
    size_t room, wanted; /* wanted: bytes of a datagram that the sane modem waits for */
    int has_taken;       /* the last of these */
    int has_command, held;
};

static void demand(int condition)
{
    if (!condition)
        abort();
}

/* Keeps the last line; a datagram's bytes are in none. */
static size_t write_bytes(void *user, const uint8_t *bytes, size_t len)
{
    struct board *board = user;
    size_t count = len < board->room ? len : board->room;
    demand(len > 0 && bytes);
    for (size_t i = 0; i < count; i++) {
        if (board->wanted > 0) {
            board->has_taken = --board->wanted == 0;
        } else if (bytes[i] == '\n') {
            board->has_command |= board->command_bytes > 0;
            board->command[board->command_bytes] = '\0';
            board->command_bytes = 0;
        } else if (bytes[i] != '\r' && board->command_bytes + 1 < sizeof board->command) {
            board->command[board->command_bytes++] = (char)bytes[i];
        }
    }
    return count;
}

static void take(void *user, const uint8_t *bytes, size_t len)
{
    struct board *board = user;
    demand(bytes == board->datagram && len >= 1 && len <= sizeof board->datagram);
}

static void hold(void *user, int level)
{
    ((struct board *)user)->held = level;
}

static void pass(struct board *board, uint32_t ms)
{
    for (uint32_t i = 0; i < ms; i += 4) {
        board->now_ms += 4;
        esp_at_poll(&board->modem, board->now_ms);
        demand((unsigned)board->modem.state < ESP_AT_STATE_COUNT);
    }
}

static void say(struct board *board, const char *text)
{
    esp_at_input(&board->modem, (const uint8_t *)text, strlen(text), board->now_ms);
}

/* A modem that does what it is told: the datagram must get out, within a minute of the board's time. */
static void be_sane(struct board *board, const uint8_t *datagram, size_t len)
{
    uint32_t begin_ms = board->now_ms;
    board->room = SIZE_MAX;
    while (esp_at_outcome(&board->modem) != ESP_AT_SENT) {
        demand(board->now_ms - begin_ms < 60000);
        board->has_command = 0;
        pass(board, 4);
        if (esp_at_outcome(&board->modem) != ESP_AT_PENDING && esp_at_outcome(&board->modem) != ESP_AT_SENT)
            demand(esp_at_send(&board->modem, datagram, len, board->now_ms, 60000) == 0);
        if (board->has_taken)
            say(board, "\r\nSEND OK\r\n");
        board->has_taken = 0;
        if (!board->has_command)
            continue;
        if (strncmp(board->command, "AT+CIPSEND=", 11) == 0) {
            board->wanted = (size_t)strtoul(board->command + 11, NULL, 10);
            say(board, "\r\nOK\r\n\r\n>");
        } else if (strcmp(board->command, "AT+RST") == 0) {
            say(board, "\r\nOK\r\n\r\nready\r\n");
        } else if (strncmp(board->command, "AT", 2) == 0) {
            say(board, "\r\nOK\r\n");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t datagram[300];
    struct board board = {.now_ms = 0xFFFFF000U, .room = SIZE_MAX};
    uint8_t choice = size > 0 ? data[0] : 0;
    struct esp_at_config config = {.host = "10.0.0.1",
                                   .port = 5683,
                                   .ssid = choice & 1 ? "net" : NULL,
                                   .uart_bps = choice & 2 ? 115200 : 0,
                                   .reopen_after = choice & 4 ? 2 : 0,
                                   .datagram = board.datagram,
                                   .datagram_cap = sizeof board.datagram,
                                   .user = &board,
                                   .write = write_bytes,
                                   .received = take,
                                   .reset = choice & 8 ? hold : NULL};
    demand(esp_at_init(&board.modem, &config, board.now_ms) == 0);
    size_t at = 1;
    while (at < size) {
        size_t count = data[at++];
        if (count > size - at)
            count = size - at;
        esp_at_input(&board.modem, data + at, count, board.now_ms);
        at += count;
        uint8_t then = at < size ? data[at++] : 0;
        if (then & 128)
            (void)esp_at_send(&board.modem, datagram, 1 + then, board.now_ms, 100);
        board.room = choice & 16 ? then : SIZE_MAX;
        pass(&board, 8U * (then & 127U));
    }
    be_sane(&board, datagram, sizeof datagram);
    return 0;
}
