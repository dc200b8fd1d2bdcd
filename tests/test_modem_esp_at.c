/* The ESP-AT driver: against scripts, one failure each; against garbage; against the modem of src/modem on a
 * simulated clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agn_wire.h"
#include "drivers/esp_at.h"
#include "modem/esp.h"

enum { SAID_BYTES = 1 << 14, DATAGRAM_CAP = 256, MAX_RECEIVED = 64 };

/* A board: what the driver wrote, what it handed up, what it did to the reset pin. */
struct rig {
    struct esp_at modem;
    uint32_t now_ms;
    uint8_t said[SAID_BYTES];
    size_t said_bytes, room; /* room: what the UART takes now */
    uint8_t datagram[DATAGRAM_CAP];
    uint8_t received[DATAGRAM_CAP];
    size_t received_bytes;
    int received_count, pin, pin_changes;
};

static size_t write_bytes(void *user, const uint8_t *bytes, size_t len)
{
    struct rig *rig = user;
    size_t room = SAID_BYTES - rig->said_bytes < rig->room ? SAID_BYTES - rig->said_bytes : rig->room;
    size_t count = len < room ? len : room;
    memcpy(rig->said + rig->said_bytes, bytes, count);
    rig->said_bytes += count;
    if (rig->room != SIZE_MAX)
        rig->room -= count;
    return count;
}

static void take_received(void *user, const uint8_t *bytes, size_t len)
{
    struct rig *rig = user;
    assert_in_range(len, 1, DATAGRAM_CAP);
    memcpy(rig->received, bytes, len);
    rig->received_bytes = len;
    rig->received_count++;
}

static void drive_pin(void *user, int hold)
{
    struct rig *rig = user;
    rig->pin = hold;
    rig->pin_changes++;
}

static struct esp_at_config config_for(struct rig *rig)
{
    return (struct esp_at_config){.host = "192.168.4.2",
                                  .port = 5683,
                                  .local_port = 5684,
                                  .datagram = rig->datagram,
                                  .datagram_cap = sizeof rig->datagram,
                                  .user = rig,
                                  .write = write_bytes,
                                  .received = take_received};
}

static void start(struct rig *rig, const struct esp_at_config *config)
{
    rig->now_ms = UINT32_MAX - 500; /* the clock wraps soon */
    rig->room = SIZE_MAX;
    assert_int_equal(esp_at_init(&rig->modem, config, rig->now_ms), 0);
    esp_at_poll(&rig->modem, rig->now_ms);
}

static void hear_bytes(struct rig *rig, const void *bytes, size_t len)
{
    esp_at_input(&rig->modem, bytes, len, rig->now_ms);
    esp_at_poll(&rig->modem, rig->now_ms);
}

static void hear(struct rig *rig, const char *text)
{
    hear_bytes(rig, text, strlen(text));
}

static void wait_ms(struct rig *rig, uint32_t ms)
{
    for (uint32_t i = 0; i < ms; i++) {
        rig->now_ms++;
        esp_at_poll(&rig->modem, rig->now_ms);
    }
}

static void expect_said(struct rig *rig, const char *text)
{
    rig->said[rig->said_bytes < SAID_BYTES ? rig->said_bytes : SAID_BYTES - 1] = '\0';
    assert_string_equal((const char *)rig->said, text);
    rig->said_bytes = 0;
}

static bool has_said(struct rig *rig, const char *text)
{
    bool found = false;
    size_t length = strlen(text);
    for (size_t i = 0; !found && i + length <= rig->said_bytes; i++)
        found = memcmp(rig->said + i, text, length) == 0;
    rig->said_bytes = 0;
    return found;
}

static void answer(struct rig *rig, const char *command, const char *text)
{
    expect_said(rig, command);
    hear(rig, text);
}

static const char open_command[] = "AT+CIPSTART=\"UDP\",\"192.168.4.2\",5683,5684,0\r\n";

/* Sets up a modem that knows its network, up to the open socket. */
static void open_up(struct rig *rig)
{
    struct esp_at_config config = config_for(rig);
    start(rig, &config);
    answer(rig, "\r\nAT\r\n", "\r\nOK\r\n");
    answer(rig, "ATE0\r\n", "ATE0\r\n\r\nOK\r\n");
    answer(rig, "AT+SYSSTORE=0\r\n", "\r\nERROR\r\n"); /* an old modem */
    answer(rig, "AT+CIPCLOSE\r\n", "\r\nERROR\r\n");   /* nothing to close */
    answer(rig, "AT+CIPMUX=0\r\n", "\r\nOK\r\n");
    answer(rig, open_command, "CONNECT\r\n\r\nOK\r\n");
    expect_said(rig, "");
    assert_true(esp_at_is_open(&rig->modem));
    assert_string_equal(esp_at_state_text(rig->modem.state), "ready");
}

/* After trouble: the socket is opened anew. */
static void reopen(struct rig *rig)
{
    answer(rig, "AT+CIPCLOSE\r\n", "CLOSED\r\n\r\nOK\r\n");
    answer(rig, "AT+CIPMUX=0\r\n", "\r\nOK\r\n");
    answer(rig, open_command, "CONNECT\r\n\r\nOK\r\n");
    assert_true(esp_at_is_open(&rig->modem));
}

static const uint8_t hello[] = {'h', 'e', 'l', 'l', 'o'};

static void send_hello(struct rig *rig)
{
    assert_int_equal(esp_at_send(&rig->modem, hello, sizeof hello, rig->now_ms, 1000), 0);
    assert_int_equal(esp_at_send(&rig->modem, hello, sizeof hello, rig->now_ms, 1000), AGN_ERR_BUSY);
    esp_at_poll(&rig->modem, rig->now_ms);
    assert_int_equal(esp_at_outcome(&rig->modem), ESP_AT_PENDING);
}

static void expect_outcome(struct rig *rig, enum esp_at_outcome outcome)
{
    assert_int_equal(esp_at_outcome(&rig->modem), outcome);
}

/* Sends hello without trouble. */
static void send_well(struct rig *rig)
{
    send_hello(rig);
    answer(rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n\r\n>");
    answer(rig, "hello", "\r\nRecv 5 bytes\r\n");
    hear(rig, "\r\nSEND OK\r\n");
    expect_outcome(rig, ESP_AT_SENT);
}

/* ---- the ordinary course ---------------------------------------------------------------------------- */

static void opens_and_sends(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_well(&rig);
    send_well(&rig);
    expect_said(&rig, "");
    assert_int_equal(rig.modem.counts.sent, 2);
    assert_int_equal(rig.modem.counts.opened, 1);
    assert_int_equal(rig.modem.counts.timeouts, 0);
}

static void joins_a_network(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = config_for(&rig);
    config.ssid = "my \"net\", 5";
    config.password = "back\\slash";
    start(&rig, &config);
    answer(&rig, "\r\nAT\r\n", "AT\r\n\r\nOK\r\n");
    answer(&rig, "ATE0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+SYSSTORE=0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+CWMODE=1\r\n", "\r\nOK\r\n");
    expect_said(&rig, "AT+CWJAP=\"my \\\"net\\\"\\, 5\",\"back\\\\slash\"\r\n");
    hear(&rig, "WIFI DISCONNECT\r\n"); /* from the network before */
    wait_ms(&rig, 3000);
    answer(&rig, "\r\n", "busy p...\r\n"); /* at work, not deaf */
    hear(&rig, "WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n");
    reopen(&rig);
    assert_int_equal(rig.modem.counts.disconnects, 0);
}

static void joins_again_when_refused(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = config_for(&rig);
    config.ssid = "net";
    start(&rig, &config);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    answer(&rig, "ATE0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+SYSSTORE=0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+CWMODE=1\r\n", "\r\nOK\r\n");
    for (int i = 0; i < 9; i++) {
        answer(&rig, "AT+CWJAP=\"net\",\"\"\r\n", "+CWJAP:3\r\n\r\nFAIL\r\n");
        wait_ms(&rig, i < 3 ? 10 : 1000);
    }
    answer(&rig, "AT+CWJAP=\"net\",\"\"\r\n", "+CWJAP:3\r\n\r\nFAIL\r\n");
    expect_said(&rig, "\r\nAT+RST\r\n");
}

static void refuses_bad_configurations(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at modem;
    struct esp_at_config good = config_for(&rig), bad;
    char long_name[80];
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(esp_at_init(&modem, &good, 0), 0);
#define EXPECT_BAD(field, value)                                                                             \
    bad = good;                                                                                              \
    bad.field = value;                                                                                       \
    assert_int_equal(esp_at_init(&modem, &bad, 0), AGN_ERR_ARG)
    EXPECT_BAD(host, NULL);
    EXPECT_BAD(host, "");
    EXPECT_BAD(host, "a\r\nAT+RESTORE");
    EXPECT_BAD(host, long_name);
    EXPECT_BAD(ssid, long_name);
    EXPECT_BAD(ssid, "a\nb");
    EXPECT_BAD(password, long_name);
    EXPECT_BAD(port, 0);
    EXPECT_BAD(datagram, NULL);
    EXPECT_BAD(datagram_cap, 0);
    EXPECT_BAD(write, NULL);
    EXPECT_BAD(received, NULL);
    assert_int_equal(esp_at_init(&modem, &good, 0), 0);
    static uint8_t big[ESP_AT_MAX_DATAGRAM + 1];
    assert_int_equal(esp_at_send(&modem, big, 0, 0, 1), AGN_ERR_ARG);
    assert_int_equal(esp_at_send(&modem, NULL, 1, 0, 1), AGN_ERR_ARG);
    assert_int_equal(esp_at_send(&modem, big, sizeof big, 0, 1), AGN_ERR_ARG);
    assert_int_equal(esp_at_send(&modem, big, sizeof big - 1, 0, 1), 0);
}

/* ---- datagrams that come ---------------------------------------------------------------------------- */

static void expect_received(struct rig *rig, int count, const void *bytes, size_t len)
{
    assert_int_equal(rig->received_count, count);
    assert_int_equal(rig->received_bytes, len);
    assert_memory_equal(rig->received, bytes, len);
}

static void receives_in_any_pieces(void **state)
{
    (void)state;
    static const char stream[] = "\r\n+IPD,9:+IPD,3:>\r\r\n";
    for (size_t cut = 0; cut < sizeof stream; cut++)
        for (size_t second = cut; second < sizeof stream; second++) {
            struct rig rig = {0};
            open_up(&rig);
            hear_bytes(&rig, stream, cut);
            wait_ms(&rig, 10);
            hear_bytes(&rig, stream + cut, second - cut);
            wait_ms(&rig, 10);
            hear_bytes(&rig, stream + second,
                       sizeof stream - 1 - (second < sizeof stream - 1 ? second : sizeof stream - 1));
            expect_received(&rig, 1, "+IPD,3:>\r", 9);
            send_well(&rig);
        }
}

static void receives_within_other_output(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nO+IPD,2:OKK\r\n\r\n+IPD,1:>");
    expect_said(&rig, ""); /* that was no prompt */
    expect_received(&rig, 2, ">", 1);
    hear(&rig, ">");
    answer(&rig, "hello", "\r\nRecv 5 by+IPD,7:SEND OKtes\r\n");
    expect_outcome(&rig, ESP_AT_PENDING);
    expect_received(&rig, 3, "SEND OK", 7);
    hear(&rig, "\r\nSEND+IPD,3,\"10.0.0.1\",5683:abc OK\r\n");
    expect_received(&rig, 4, "abc", 3);
    expect_outcome(&rig, ESP_AT_SENT);
}

static void drops_what_is_too_long(void **state)
{
    (void)state;
    struct rig rig = {0};
    static const uint8_t filler[DATAGRAM_CAP + 1] = "ready\r\n";
    open_up(&rig);
    hear(&rig, "\r\n+IPD,257:");
    hear_bytes(&rig, filler, sizeof filler);
    hear(&rig, "\r\n+IPD,2:ab");
    expect_received(&rig, 1, "ab", 2);
    assert_int_equal(rig.modem.lines.too_long, 1);
    hear(&rig, "\r\n+IPD,256:");
    hear_bytes(&rig, filler, sizeof filler - 1);
    expect_received(&rig, 2, filler, sizeof filler - 1);
    /* Lengths that no modem announces begin nothing. */
    hear(&rig, "\r\n+IPD,4097:\r\n+IPD,99999999:\r\n+IPD,0:\r\n+IPD,:\r\n+IPD,x:\r\n+IPD,2:cd");
    expect_received(&rig, 3, "cd", 2);
    send_well(&rig);
}

static void gives_up_a_datagram_cut_short(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    hear(&rig, "\r\n+IPD,200:only this much");
    wait_ms(&rig, esp_at_default_times.gap_ms + 1);
    assert_int_equal(rig.modem.lines.cut_short, 1);
    send_well(&rig);
    hear(&rig, "+IP");
    wait_ms(&rig, 1000);
    hear(&rig, "D,2:ab"); /* however slowly a line comes */
    expect_received(&rig, 1, "ab", 2);
}

static void understands_lines_with_a_byte_lost(void **state)
{
    (void)state;
    static const char *const done[] = {"SEND OK", "END OK", "SND OK", "SENDOK",
                                       "SEND K",  "SEND O", "SEND?OK"};
    for (size_t i = 0; i < AGN_COUNT_OF(done); i++) {
        struct rig rig = {0};
        open_up(&rig);
        send_hello(&rig);
        answer(&rig, "AT+CIPSEND=5\r\n", "\r\n>");
        expect_said(&rig, "hello");
        hear(&rig, i % 2 ? "\r\nRecv 5 byes\r\n\r\n" : "\r\nRcv 5 bytes\r\n\r\n");
        assert_int_equal(rig.modem.was_taken, 1);
        hear(&rig, done[i]);
        hear(&rig, "\r\n");
        expect_outcome(&rig, ESP_AT_SENT);
        hear(&rig, i % 2 ? "\r\n+IP,2:ab" : "\r\nIPD,2:ab");
        expect_received(&rig, 1, "ab", 2);
    }
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", ">");
    answer(&rig, "hello", "SE OK\r\nOK\r\nSEND\r\nD OK\r\n");
    expect_outcome(&rig, ESP_AT_PENDING);
}

/* ---- each failure ----------------------------------------------------------------------------------- */

static void reports_send_fail(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    for (int i = 0; i < 8; i++) {
        send_hello(&rig);
        answer(&rig, "AT+CIPSEND=5\r\n", ">");
        answer(&rig, "hello", "\r\nRecv 5 bytes\r\n\r\nSEND FAIL\r\n");
        expect_outcome(&rig, ESP_AT_FAILED);
    }
    reopen(&rig); /* eight in a row */
    send_well(&rig);
}

static void asks_again_after_error(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nERROR\r\n");
    answer(&rig, "AT+CIPSEND=5\r\n", "link is not valid\r\n\r\nERROR\r\n");
    assert_false(esp_at_is_open(&rig.modem));
    reopen(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n>");
    answer(&rig, "hello", "SEND OK\r\n");
    expect_outcome(&rig, ESP_AT_SENT);
}

static void waits_while_busy(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    for (int i = 0; i < 20; i++) {
        answer(&rig, "AT+CIPSEND=5\r\n", i % 2 ? "busy p...\r\n" : "busy s...\r\n");
        expect_said(&rig, "");
        wait_ms(&rig, esp_at_default_times.busy_ms);
    }
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n>");
    answer(&rig, "hello", "busy p...\r\nRecv 5 bytes\r\nSEND OK\r\n");
    expect_outcome(&rig, ESP_AT_SENT);
    assert_int_equal(rig.modem.counts.busy, 21);
    send_hello(&rig);
    for (int i = 0; i < 50; i++) {
        answer(&rig, "AT+CIPSEND=5\r\n", "busy p...\r\n");
        if (i < 49)
            wait_ms(&rig, esp_at_default_times.busy_ms);
    }
    expect_said(&rig, "\r\nAT+RST\r\n");
}

static void finds_the_prompt(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig); /* OK came, '>' was lost */
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n");
    wait_ms(&rig, esp_at_default_times.prompt_ms);
    answer(&rig, "hello", "Recv 5 bytes\r\nSEND OK\r\n");
    expect_outcome(&rig, ESP_AT_SENT);
    send_hello(&rig); /* the command's end was lost */
    expect_said(&rig, "AT+CIPSEND=5\r\n");
    wait_ms(&rig, esp_at_default_times.prompt_ms);
    answer(&rig, "\r\n", "\r\nOK\r\n\r\n>");
    answer(&rig, "hello", "Recv 5 bytes\r\nSEND OK\r\n");
    expect_outcome(&rig, ESP_AT_SENT);
}

static void looks_for_the_command_mode(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig); /* the modem waits for bytes that were lost */
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n\r\n>");
    expect_said(&rig, "hello");
    wait_ms(&rig, esp_at_default_times.taken_ms);
    expect_outcome(&rig, ESP_AT_UNSURE);
    expect_said(&rig, "\r\nAT\r\n");
    wait_ms(&rig, esp_at_default_times.probe_ms);
    answer(&rig, "\r\n??????????????\r\nAT\r\n", "Recv 5 bytes\r\nbusy p...\r\n\r\nSEND OK\r\n");
    wait_ms(&rig, esp_at_default_times.busy_ms);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    wait_ms(&rig, esp_at_default_times.busy_ms);
    expect_said(&rig, "");
    send_well(&rig);
    assert_int_equal(rig.modem.counts.resyncs, 2); /* the first of all was at the start */
}

static void resets_a_silent_modem(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = config_for(&rig);
    config.reset = drive_pin;
    start(&rig, &config);
    assert_int_equal(esp_at_send(&rig.modem, hello, sizeof hello, rig.now_ms, 100), 0);
    wait_ms(&rig, 99);
    expect_outcome(&rig, ESP_AT_PENDING);
    wait_ms(&rig, 1);
    expect_outcome(&rig, ESP_AT_FAILED); /* however long the rest takes */
    wait_ms(&rig, 400);
    assert_true(has_said(&rig, "\r\nAT+RST\r\n"));
    assert_int_equal(rig.pin_changes, 0);
    wait_ms(&rig, 3000);
    assert_true(rig.pin_changes >= 1);
    wait_ms(&rig, 60000);
    assert_true(rig.modem.counts.pin_resets >= 10); /* it never gives up */
    while (!rig.pin)
        wait_ms(&rig, 1);
    hear(&rig, "garbage while held\r\nready\r\n");
    assert_int_equal(rig.modem.counts.ready_seen, 0);
    wait_ms(&rig, esp_at_default_times.hold_ms);
    assert_int_equal(rig.pin, 0);
    rig.said_bytes = 0;
    hear(&rig, "\x8f\xff\xfe garbage\r\n\r\nready\r\n");
    answer(&rig, "ATE0\r\n", "ATE0\r\n\r\nOK\r\n");
    answer(&rig, "AT+SYSSTORE=0\r\n", "\r\nOK\r\n");
    reopen(&rig);
    send_well(&rig);
}

static void begins_again_when_the_modem_resets(void **state)
{
    (void)state;
    for (int when = 0; when < 3; when++) {
        struct rig rig = {0};
        open_up(&rig);
        if (when > 0)
            send_hello(&rig);
        if (when > 1) {
            hear(&rig, "\r\nOK\r\n>");
            assert_true(has_said(&rig, "hello"));
        }
        rig.said_bytes = 0;
        hear(&rig, "\r\nready\r\nWIFI CONNECTED\r\n");
        expect_outcome(&rig, when == 0 ? ESP_AT_NONE : when == 1 ? ESP_AT_PENDING : ESP_AT_UNSURE);
        answer(&rig, "ATE0\r\n", "ATE0\r\n\r\nOK\r\n");
        answer(&rig, "AT+SYSSTORE=0\r\n", "\r\nOK\r\n");
        reopen(&rig);
        if (when == 1) {
            answer(&rig, "AT+CIPSEND=5\r\n", ">");
            answer(&rig, "hello", "SEND OK\r\n");
            expect_outcome(&rig, ESP_AT_SENT);
        }
        send_well(&rig);
    }
}

static void opens_anew_when_the_network_goes(void **state)
{
    (void)state;
    static const char *const words[] = {"CLOSED\r\n", "WIFI DISCONNECT\r\n"};
    for (int i = 0; i < 2; i++) {
        struct rig rig = {0};
        open_up(&rig);
        hear(&rig, words[i]);
        assert_false(esp_at_is_open(&rig.modem));
        wait_ms(&rig, esp_at_default_times.busy_ms);
        answer(&rig, "AT+CIPCLOSE\r\n", "\r\nERROR\r\n");
        for (int refused = 0; refused < 4; refused++) {
            answer(&rig, "AT+CIPMUX=0\r\n", "\r\nOK\r\n");
            answer(&rig, open_command, "no ip\r\n\r\nERROR\r\n");
            if (refused < 3)
                wait_ms(&rig, esp_at_default_times.busy_ms);
            else
                hear(&rig, "WIFI GOT IP\r\n"); /* no need to wait any longer */
            answer(&rig, "AT+CIPCLOSE\r\n", "\r\nERROR\r\n");
        }
        answer(&rig, "AT+CIPMUX=0\r\n", "\r\nOK\r\n");
        answer(&rig, open_command, "CONNECT\r\n\r\nOK\r\n");
        send_well(&rig);
        assert_int_equal(rig.modem.counts.disconnects, 1);
    }
}

static void doubts_another_length(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n>");
    answer(&rig, "hello", "Recv 3 bytes\r\nSEND OK\r\n");
    expect_outcome(&rig, ESP_AT_UNSURE);
    /* It took the datagram for commands. */
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n>");
    answer(&rig, "hello", "\r\nERROR\r\n");
    expect_outcome(&rig, ESP_AT_UNSURE);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    send_well(&rig);
}

static void outlives_a_blocked_uart(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    hear(&rig, "\r\nOK\r\n");
    rig.said_bytes = 0;
    rig.room = 2; /* flow control stops the line within the datagram */
    hear(&rig, ">");
    expect_said(&rig, "he");
    wait_ms(&rig, esp_at_default_times.sent_ms - 1);
    expect_outcome(&rig, ESP_AT_PENDING);
    wait_ms(&rig, 1);
    expect_outcome(&rig, ESP_AT_UNSURE);
    rig.room = SIZE_MAX;
    wait_ms(&rig, 1);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    send_well(&rig);
    /* And a byte at a time is as good as any. */
    send_hello(&rig);
    expect_said(&rig, "AT+CIPSEND=5\r\n");
    rig.room = 0;
    hear(&rig, "\r\nOK\r\n>");
    for (int i = 0; i < 5; i++) {
        rig.room = 1;
        wait_ms(&rig, 1);
    }
    answer(&rig, "hello", "Recv 5 bytes\r\nSEND OK\r\n");
    expect_outcome(&rig, ESP_AT_SENT);
}

static void opens_anew_when_nothing_comes(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    rig.modem.config.reopen_after = 3;
    send_well(&rig);
    send_well(&rig);
    hear(&rig, "+IPD,1:a");
    send_well(&rig);
    send_well(&rig);
    expect_said(&rig, "");
    send_well(&rig);
    reopen(&rig);
    send_well(&rig);
}

/* ---- garbage ---------------------------------------------------------------------------------------- */

/* Words a modem might say, and bytes nobody says. */
static void hear_nonsense(struct rig *rig, struct agn_rng *rng)
{
    static const char *const words[] = {
        "\r\nOK\r\n",      "\r\nERROR\r\n",    ">",     "busy p...\r\n", "ready\r\n",  "\r\nSEND OK\r\n",
        "SEND FAIL\r\n",   "CLOSED\r\n",       "+IPD,", "+IPD,5:",       "+IPD,4000:", "WIFI DISCONNECT\r\n",
        "WIFI GOT IP\r\n", "Recv 5 bytes\r\n", "\r\n",  "99999",         ":",          "FAIL\r\n",
        "+IPD,300:"};
    if (agn_rng_below(rng, 2) == 0) {
        hear(rig, words[agn_rng_below(rng, AGN_COUNT_OF(words))]);
        return;
    }
    uint8_t bytes[40];
    size_t count = agn_rng_below(rng, sizeof bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)agn_rng_u64(rng);
    hear_bytes(rig, bytes, count);
}

/* Whatever the modem says, a datagram's fate is known in time. */
static void outlives_garbage(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct agn_rng rng;
        struct rig rig = {0};
        struct esp_at_config config = config_for(&rig);
        agn_rng_seed(&rng, seed);
        if (seed % 2)
            config.reset = drive_pin;
        if (seed % 3 == 0)
            config.ssid = "net";
        start(&rig, &config);
        uint32_t pending_ms = 0;
        for (int step = 0; step < 1000; step++) {
            hear_nonsense(&rig, &rng);
            uint32_t pause_ms = agn_rng_below(&rng, 4) == 0 ? agn_rng_below(&rng, 300) : 0;
            wait_ms(&rig, pause_ms);
            pending_ms = esp_at_outcome(&rig.modem) == ESP_AT_PENDING ? pending_ms + pause_ms : 0;
            assert_in_range(pending_ms, 0, 1200); /* patience, and the time-outs once it is handed over */
            if (esp_at_send(&rig.modem, hello, sizeof hello, rig.now_ms, 200) == 0)
                pending_ms = 0;
            rig.said_bytes = 0;
        }
    }
}

/* ---- with the modem of src/modem -------------------------------------------------------------------- */

/* A board, a serial line with a speed, a modem, a server that answers, and one clock. */
struct world {
    struct rig rig;
    struct agn__esp esp;
    double now_s; /* does not wrap */
    bool right_server;
    uint8_t datagram[ESP_AT_MAX_DATAGRAM];
    size_t datagram_bytes;
    uint32_t sequence;    /* of datagrams that the device has sent */
    uint32_t answered[2]; /* the server's: datagrams that came whole, and not */
    uint32_t fresh, stale,
        damaged; /* the device's: answers to the current datagram, to older ones, bad ones */
};

enum { BYTES_A_MS = 92, UART_BPS = 921600 };

static int open_server(void *user, const char *host, uint16_t port, uint16_t local_port)
{
    struct world *world = user;
    (void)local_port; /* damaged, it matters to nobody */
    world->right_server = strcmp(host, "192.168.4.2") == 0 && port == 5683;
    return 0;
}

static void close_server(void *user)
{
    (void)user;
}

/* Answers a datagram that came whole with its first 8 bytes. */
static int serve(void *user, const uint8_t *bytes, size_t len)
{
    struct world *world = user;
    uint8_t reply[12];
    uint32_t crc;
    if (!world->right_server)
        return 0;
    bool is_whole = len == world->datagram_bytes;
    if (is_whole) {
        memcpy(&crc, bytes + len - 4, 4);
        is_whole = agn_crc32(0, bytes, len - 4) == crc;
    }
    world->answered[is_whole ? 0 : 1]++;
    if (!is_whole)
        return 0;
    memcpy(reply, bytes, 8);
    crc = agn_crc32(0, reply, 8);
    memcpy(reply + 8, &crc, 4);
    agn__esp_from_server(&world->esp, reply, sizeof reply, world->now_s);
    return 0;
}

static void judge_answer(void *user, const uint8_t *bytes, size_t len)
{
    struct world *world = user;
    uint32_t crc, sequence;
    bool is_whole = len == 12;
    if (is_whole) {
        memcpy(&crc, bytes + 8, 4);
        is_whole = agn_crc32(0, bytes, 8) == crc;
    }
    if (!is_whole) {
        world->damaged++;
        return;
    }
    memcpy(&sequence, bytes, 4);
    assert_in_range(sequence, 1, world->sequence); /* nothing that was never sent */
    *(sequence == world->sequence ? &world->fresh : &world->stale) += 1;
}

static size_t write_to_world(void *user, const uint8_t *bytes, size_t len)
{
    return write_bytes(&((struct world *)user)->rig, bytes, len);
}

static void turn_pin(void *user, int hold)
{
    struct world *world = user;
    const struct agn_modem_model model = world->esp.model;
    const struct agn__esp_world around = world->esp.world;
    if (hold)
        agn__esp_init(&world->esp, &model, &around, world->now_s);
}

static void begin_world(struct world *world, const struct agn_modem_model *model, uint32_t now_ms)
{
    struct esp_at_config config = config_for(&world->rig);
    config.user = world;
    config.write = write_to_world;
    config.received = judge_answer;
    config.reset = turn_pin;
    config.uart_bps = UART_BPS;
    config.reopen_after = 20;
    const struct agn__esp_world around = {
        .user = world, .open = open_server, .close = close_server, .send = serve};
    world->rig.now_ms = now_ms;
    world->rig.room = 2048;
    agn__esp_init(&world->esp, model, &around, world->now_s);
    assert_int_equal(esp_at_init(&world->rig.modem, &config, now_ms), 0);
}

/* One millisecond. */
static void tick(struct world *world)
{
    struct rig *rig = &world->rig;
    uint8_t bytes[BYTES_A_MS];
    rig->now_ms++;
    world->now_s += 0.001;
    size_t count = rig->said_bytes < BYTES_A_MS ? rig->said_bytes : BYTES_A_MS;
    agn__esp_from_device(&world->esp, rig->said, count, world->now_s);
    memmove(rig->said, rig->said + count, rig->said_bytes - count);
    rig->said_bytes -= count;
    rig->room = 2048 - rig->said_bytes;
    agn__esp_advance(&world->esp, world->now_s);
    count = agn__esp_to_device(&world->esp, bytes, sizeof bytes);
    esp_at_input(&rig->modem, bytes, count, rig->now_ms);
    esp_at_poll(&rig->modem, rig->now_ms);
}

static void make_datagram(struct world *world, struct agn_rng *rng, size_t len)
{
    world->sequence++;
    for (size_t i = 0; i < len; i++)
        world->datagram[i] = (uint8_t)agn_rng_u64(rng);
    memcpy(world->datagram, &world->sequence, 4);
    uint32_t crc = agn_crc32(0, world->datagram, len - 4);
    memcpy(world->datagram + len - 4, &crc, 4);
    world->datagram_bytes = len;
}

struct course {
    uint32_t frames, answered, longest_gap_ms; /* between answers */
    uint32_t elapsed_ms;
};

/* Sends `frames` datagrams of `len` bytes, each waiting up to deadline_ms for its answer. */
static struct course run_course(struct world *world, uint32_t frames, size_t len, uint32_t deadline_ms)
{
    struct course course = {.frames = frames};
    struct agn_rng rng;
    agn_rng_seed(&rng, 5);
    uint32_t begin_ms = world->rig.now_ms, last_ms = begin_ms;
    for (uint32_t frame = 0; frame < frames; frame++) {
        uint32_t until_ms = 700;
        while (esp_at_outcome(&world->rig.modem) == ESP_AT_PENDING) { /* the one before: its time-outs */
            assert_true(until_ms-- > 0);
            tick(world);
        }
        make_datagram(world, &rng, len);
        world->fresh = 0;
        uint32_t sent_ms = world->rig.now_ms;
        assert_int_equal(esp_at_send(&world->rig.modem, world->datagram, len, sent_ms, deadline_ms), 0);
        while (world->fresh == 0 && world->rig.now_ms - sent_ms < deadline_ms)
            tick(world);
        if (world->fresh > 0) {
            uint32_t gap_ms = world->rig.now_ms - last_ms;
            course.longest_gap_ms = gap_ms > course.longest_gap_ms ? gap_ms : course.longest_gap_ms;
            last_ms = world->rig.now_ms;
            course.answered++;
        }
    }
    course.elapsed_ms = world->rig.now_ms - begin_ms;
    return course;
}

static void print_course(const char *name, const struct course *course, const struct world *world)
{
    const struct esp_at_counts *counts = &world->rig.modem.counts;
    printf(
        "    %s: %u of %u datagrams answered, longest gap %u ms, %.1f ms each; sent %u unsure %u failed %u; "
        "time-outs %u resyncs %u reopened %u restarts %u pin %u ready %u; damaged answers %u, stale %u\n",
        name, course->answered, course->frames, course->longest_gap_ms,
        (double)course->elapsed_ms / course->frames, counts->sent, counts->unsure, counts->failed,
        counts->timeouts, counts->resyncs, counts->opened, counts->restarts, counts->pin_resets,
        counts->ready_seen, world->damaged, world->stale);
}

static void say_nonsense(struct world *world, struct agn_rng *rng)
{
    uint8_t bytes[64];
    size_t count = agn_rng_below(rng, sizeof bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)agn_rng_u64(rng);
    agn__esp_from_device(&world->esp, bytes, count, world->now_s);
    hear_nonsense(&world->rig, rng);
}

static struct world world; /* large */

static void works_with_a_perfect_modem(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.bandwidth_bps = 6e6, .delay_s = 0.002};
    memset(&world, 0, sizeof world);
    begin_world(&world, &model, UINT32_MAX - 3000);
    while (!esp_at_is_open(&world.rig.modem))
        tick(&world);
    assert_true(world.rig.now_ms - (UINT32_MAX - 3000) < 1500);
    struct course course = run_course(&world, 1000, 700, 200);
    print_course("perfect", &course, &world);
    assert_int_equal(course.answered, 1000);
    assert_int_equal(world.answered[1], 0);
    assert_int_equal(world.rig.modem.counts.unsure, 0);
    assert_int_equal(world.rig.modem.counts.restarts, 0);
}

/* The serial line loses one byte in a hundred both ways, the radio one datagram in ten. */
static void works_through_loss(void **state)
{
    (void)state;
    static const size_t lengths[] = {60, 200, 1170};
    for (size_t i = 0; i < AGN_COUNT_OF(lengths); i++) {
        const struct agn_modem_model model = {.seed = 7 + i,
                                              .bandwidth_bps = 6e6,
                                              .delay_s = 0.002,
                                              .jitter_s = 0.004,
                                              .loss = 0.1,
                                              .reorder = 0.02,
                                              .uart_loss = 0.01};
        memset(&world, 0, sizeof world);
        begin_world(&world, &model, 0);
        struct course course = run_course(&world, 3000, lengths[i], 200);
        print_course("1 % of bytes, 10 % of datagrams", &course, &world);
        assert_true(world.rig.modem.counts.sent + world.rig.modem.counts.unsure > 1000);
        if (lengths[i] < 100) {
            assert_true(course.answered > 600);
            assert_true(course.longest_gap_ms < 15000);
        }
    }
}

/* Both sides hear nonsense for a while, or the modem loses power within a send; from then on the line is
 * good. docs/MODEM.md states how soon a datagram gets through again. */
static void recovers_in_stated_time(void **state)
{
    (void)state;
    enum { STATED_MS = 5000 };
    const struct agn_modem_model model = {.bandwidth_bps = 6e6};
    uint32_t longest_ms = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct agn_rng rng;
        agn_rng_seed(&rng, seed);
        memset(&world, 0, sizeof world);
        begin_world(&world, &model, 0);
        while (!esp_at_is_open(&world.rig.modem))
            tick(&world);
        make_datagram(&world, &rng, 4 + 8 + agn_rng_below(&rng, 1400));
        (void)esp_at_send(&world.rig.modem, world.datagram, world.datagram_bytes, world.rig.now_ms, 100);
        for (uint32_t i = agn_rng_below(&rng, 40); i > 0; i--)
            tick(&world);
        if (seed % 4 == 0)
            turn_pin(&world, 1);
        for (uint32_t i = agn_rng_below(&rng, 400); seed % 4 != 0 && i > 0; i--) {
            say_nonsense(&world, &rng);
            tick(&world);
        }
        uint32_t begin_ms = world.rig.now_ms;
        while (esp_at_outcome(&world.rig.modem) == ESP_AT_PENDING)
            tick(&world);
        for (;;) {
            (void)esp_at_send(&world.rig.modem, world.datagram, world.datagram_bytes, world.rig.now_ms, 500);
            while (esp_at_outcome(&world.rig.modem) == ESP_AT_PENDING)
                tick(&world);
            if (esp_at_outcome(&world.rig.modem) == ESP_AT_SENT)
                break;
            assert_in_range(world.rig.now_ms - begin_ms, 0, STATED_MS);
        }
        uint32_t took_ms = world.rig.now_ms - begin_ms;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    printf("    longest recovery %u ms\n", longest_ms);
    assert_in_range(longest_ms, 100, STATED_MS);
}

/* Resets, busy and ERROR replies, corrupted bytes as well. */
static void works_through_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const struct agn_modem_model model = {.seed = seed,
                                              .bandwidth_bps = 270e3,
                                              .delay_s = 0.005,
                                              .jitter_s = 0.01,
                                              .loss = 0.1,
                                              .uart_loss = 0.0005,
                                              .uart_corrupt = 0.0005,
                                              .reset = 0.01,
                                              .busy = 0.05,
                                              .error = 0.02};
        memset(&world, 0, sizeof world);
        begin_world(&world, &model, 0);
        struct course course = run_course(&world, 2000, 300, 200);
        print_course("everything", &course, &world);
        assert_true(course.answered > 800);
        assert_true(course.longest_gap_ms < 20000);
        assert_true(world.esp.stats.resets >= 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_and_sends),
        cmocka_unit_test(joins_a_network),
        cmocka_unit_test(joins_again_when_refused),
        cmocka_unit_test(refuses_bad_configurations),
        cmocka_unit_test(receives_in_any_pieces),
        cmocka_unit_test(receives_within_other_output),
        cmocka_unit_test(drops_what_is_too_long),
        cmocka_unit_test(gives_up_a_datagram_cut_short),
        cmocka_unit_test(understands_lines_with_a_byte_lost),
        cmocka_unit_test(reports_send_fail),
        cmocka_unit_test(asks_again_after_error),
        cmocka_unit_test(waits_while_busy),
        cmocka_unit_test(finds_the_prompt),
        cmocka_unit_test(looks_for_the_command_mode),
        cmocka_unit_test(resets_a_silent_modem),
        cmocka_unit_test(begins_again_when_the_modem_resets),
        cmocka_unit_test(opens_anew_when_the_network_goes),
        cmocka_unit_test(doubts_another_length),
        cmocka_unit_test(outlives_a_blocked_uart),
        cmocka_unit_test(opens_anew_when_nothing_comes),
        cmocka_unit_test(outlives_garbage),
        cmocka_unit_test(works_with_a_perfect_modem),
        cmocka_unit_test(works_through_loss),
        cmocka_unit_test(recovers_in_stated_time),
        cmocka_unit_test(works_through_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
