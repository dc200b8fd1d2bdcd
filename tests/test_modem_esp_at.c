/* The ESP-AT driver against scripts, one failure each, and against garbage. With a modem:
 * test_modem_courses.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "support/modem_rig.h"

static void start(struct rig *rig, const struct esp_at_config *config)
{
    rig->now_ms = UINT32_MAX - 500; /* the clock wraps soon */
    rig->room = SIZE_MAX;
    assert_int_equal(esp_at_init(&rig->modem, config, rig->now_ms), 0);
    esp_at_poll(&rig->modem, rig->now_ms);
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
    rig_hear(rig, text);
}

static const char open_command[] = "AT+CIPSTART=\"UDP\",\"192.168.4.2\",5683,5684,0\r\n";

/* The settings that make the modem's state a known one. */
static void settle(struct rig *rig)
{
    answer(rig, "ATE0\r\n", "ATE0\r\n\r\nOK\r\n");
    answer(rig, "AT+SYSSTORE=0\r\n", "\r\nERROR\r\n"); /* an old modem, or a damaged line */
    answer(rig, "AT+SYSSTORE=0\r\n", "\r\nERROR\r\n");
    answer(rig, "AT+CIPMODE=0\r\n", "\r\nOK\r\n");
    answer(rig, "AT+CIPRECVMODE=0\r\n", "\r\nERROR\r\n");
    answer(rig, "AT+CIPRECVMODE=0\r\n", "\r\nOK\r\n");
    answer(rig, "AT+CIPDINFO=0\r\n", "\r\nOK\r\n");
}

/* Sets up a modem that knows its network, up to the open socket. */
static void open_up(struct rig *rig)
{
    struct esp_at_config config = rig_config(rig);
    start(rig, &config);
    answer(rig, "\r\nAT\r\n", "\r\nOK\r\n");
    settle(rig);
    answer(rig, "AT+CIPCLOSE\r\n", "\r\nERROR\r\n"); /* nothing to close */
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

/* So long an unknown modem may say what became of a datagram that nobody knows of, ended by filler. */
enum { OWED_MS = 3000 };

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
    rig_hear(rig, "\r\nSEND OK\r\n");
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
    struct esp_at_config config = rig_config(&rig);
    config.ssid = "my \"net\", 5";
    config.password = "back\\slash";
    start(&rig, &config);
    answer(&rig, "\r\nAT\r\n", "AT\r\n\r\nOK\r\n");
    settle(&rig);
    answer(&rig, "AT+CWMODE=1\r\n", "\r\nOK\r\n");
    expect_said(&rig, "AT+CWJAP=\"my \\\"net\\\"\\, 5\",\"back\\\\slash\"\r\n");
    rig_hear(&rig, "WIFI DISCONNECT\r\n"); /* from the network before */
    wait_ms(&rig, 3000);
    answer(&rig, "\r\n", "busy p...\r\n"); /* at work, not deaf */
    rig_hear(&rig, "WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n");
    reopen(&rig);
    assert_int_equal(rig.modem.counts.disconnects, 0);
}

static void joins_again_when_refused(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = rig_config(&rig);
    config.ssid = "net";
    start(&rig, &config);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    settle(&rig);
    answer(&rig, "AT+CWMODE=1\r\n", "\r\nOK\r\n");
    static const uint16_t pauses[15] = {10,   10,   10,   31,   62,   125,  250, 500,
                                        1000, 1000, 1000, 1000, 1000, 1000, 1000};
    for (size_t i = 0; i < AGN_COUNT_OF(pauses); i++) {
        answer(&rig, "AT+CWJAP=\"net\",\"\"\r\n", "+CWJAP:3\r\n\r\nFAIL\r\n");
        wait_ms(&rig, pauses[i]);
    }
    answer(&rig, "AT+CWJAP=\"net\",\"\"\r\n", "+CWJAP:3\r\n\r\nFAIL\r\n");
    expect_said(&rig, "\r\nAT+RST\r\n");
}

static void refuses_bad_configurations(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at modem;
    struct esp_at_config good = rig_config(&rig), bad;
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

/* ---- what another program has left ------------------------------------------------------------------- */

/* Transparent transmission: all that is said goes out, but +++ by itself. */
static void leaves_transparent_transmission(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = rig_config(&rig);
    start(&rig, &config);
    uint32_t latest_ms = rig.now_ms;
    while (rig.modem.counts.escapes == 0) {
        latest_ms = rig.said_bytes > 0 ? rig.now_ms : latest_ms;
        rig.said_bytes = 0;
        wait_ms(&rig, 1);
    }
    assert_in_range(rig.now_ms - latest_ms, 50, 150); /* the modem wants 20 ms before it */
    expect_said(&rig, "+++");
    wait_ms(&rig, 1050); /* and a second behind it */
    expect_said(&rig, "");
    wait_ms(&rig, 60);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    answer(&rig, "ATE0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+SYSSTORE=0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+SAVETRANSLINK=0\r\n", "\r\nOK\r\n"); /* the next start is in command mode */
    answer(&rig, "AT+CIPMODE=0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+CIPRECVMODE=0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+CIPDINFO=0\r\n", "\r\nOK\r\n");
    reopen(&rig);
    wait_ms(&rig, OWED_MS);
    send_well(&rig);
    rig_hear(&rig, "\r\nready\r\n");
    settle(&rig); /* once is enough for the flash */
    reopen(&rig);
}

static uint32_t speed;

static void set_speed(void *user, uint32_t bps)
{
    (void)user;
    speed = bps;
}

/* Until the driver looks for the modem at this speed, and the modem answers. */
static void search(struct rig *rig, uint32_t modem_speed, enum esp_at_state when)
{
    while (speed != modem_speed || rig->modem.state != when) {
        rig->said_bytes = 0;
        wait_ms(rig, 1);
    }
    wait_ms(rig, 1);
    rig_hear(rig, "\r\nERROR\r\n");
}

static void finds_other_speeds(void **state)
{
    (void)state;
    static const uint32_t rates[] = {115200, 74880};
    struct rig rig = {0};
    struct esp_at_config config = rig_config(&rig);
    config.uart_bps = speed = 921600;
    config.rates = rates;
    config.rate_count = AGN_COUNT_OF(rates);
    config.set_rate = set_speed;
    start(&rig, &config);
    search(&rig, 74880, ESP_AT_STATE_RESYNC);
    rig.said_bytes = 0;
    wait_ms(&rig, esp_at_default_times.busy_ms);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    wait_ms(&rig, esp_at_default_times.busy_ms);
    settle(&rig);
    reopen(&rig);
    wait_ms(&rig, OWED_MS);
    send_well(&rig);
    assert_int_equal(speed, 74880);
    assert_int_equal(rig.modem.counts.restarts, 0);
    /* It has restarted, unheard: now it is silent here, and then speaks at its own speed. */
    assert_int_equal(esp_at_send(&rig.modem, hello, sizeof hello, rig.now_ms, 10), 0);
    for (uint32_t waited_ms = 0; speed != 921600; waited_ms++) {
        assert_in_range(waited_ms, 0, 5000);
        wait_ms(&rig, 1);
    }
    expect_outcome(&rig, ESP_AT_FAILED);
    rig.said_bytes = 0;
    rig_hear(&rig, "\r\nready\r\n");
    settle(&rig);
    reopen(&rig);
    send_well(&rig);
}

/* One that answers late is reset at the speed at which it was heard, and comes back at its own. */
static void resets_at_the_speed_it_hears(void **state)
{
    (void)state;
    static const uint32_t rates[] = {115200, 74880};
    struct rig rig = {0};
    struct esp_at_config config = rig_config(&rig);
    config.uart_bps = speed = 921600;
    config.rates = rates;
    config.rate_count = AGN_COUNT_OF(rates);
    config.set_rate = set_speed;
    start(&rig, &config);
    search(&rig, 115200, ESP_AT_STATE_ESCAPE); /* the search without an answer is over */
    while (rig.modem.counts.restarts == 0) {
        rig.said_bytes = 0;
        assert_int_equal(speed, 115200);
        wait_ms(&rig, 1);
    }
    expect_said(&rig, "\r\nAT+RST\r\n");
    wait_ms(&rig, esp_at_default_times.boot_ms + 10);
    assert_int_equal(speed, 921600);
    rig.said_bytes = 0;
    rig_hear(&rig, "\r\nready\r\n");
    settle(&rig);
    reopen(&rig);
    send_well(&rig);
}

/* Several sockets, and a server: what is open must be closed before there can be a single one. */
static void leaves_several_sockets(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = rig_config(&rig);
    start(&rig, &config);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    settle(&rig);
    answer(&rig, "AT+CIPCLOSE\r\n", "MUX=1\r\n\r\nERROR\r\n");
    answer(&rig, "AT+CIPMUX=0\r\n", "link is builded\r\n\r\nERROR\r\n");
    wait_ms(&rig, esp_at_default_times.busy_ms);
    answer(&rig, "AT+CIPCLOSE=5\r\n", "0,CLOSED\r\n\r\nOK\r\n");
    answer(&rig, "AT+CIPSERVER=0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+CIPMUX=0\r\n", "\r\nOK\r\n");
    answer(&rig, open_command, "CONNECT\r\n\r\nOK\r\n");
    send_well(&rig);
    assert_int_equal(rig.modem.counts.disconnects, 0);
}

/* Passive receive: the modem tells of datagrams and keeps them. That is no datagram, nor the begin of one. */
static void leaves_passive_receive(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = rig_config(&rig);
    start(&rig, &config);
    answer(&rig, "\r\nAT\r\n", "\r\n+IPD,4\r\n\r\nOK\r\n");
    answer(&rig, "ATE0\r\n", "ATE0\r\n\r\nOK\r\n");
    answer(&rig, "AT+SYSSTORE=0\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+CIPMODE=0\r\n", "\r\n+IPD,1000\r\n\r\nOK\r\n");
    expect_said(&rig, "AT+CIPRECVMODE=0\r\n"); /* lost on the line: all once again */
    while (rig.said_bytes == 0)
        wait_ms(&rig, 1);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    settle(&rig);
    reopen(&rig);
    assert_int_equal(rig.received_count, 0);
    rig_hear(&rig, "\r\n+IPD,2:ab");
    assert_int_equal(rig.received_count, 1);
    send_well(&rig);
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
            rig_hear_bytes(&rig, stream, cut);
            wait_ms(&rig, 10);
            rig_hear_bytes(&rig, stream + cut, second - cut);
            wait_ms(&rig, 10);
            rig_hear_bytes(&rig, stream + second,
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
    rig_hear(&rig, ">");
    answer(&rig, "hello", "\r\nRecv 5 by+IPD,7:SEND OKtes\r\n");
    expect_outcome(&rig, ESP_AT_PENDING);
    expect_received(&rig, 3, "SEND OK", 7);
    rig_hear(&rig, "\r\nSEND+IPD,3,\"10.0.0.1\",5683:abc OK\r\n");
    expect_received(&rig, 4, "abc", 3);
    expect_outcome(&rig, ESP_AT_SENT);
}

static void drops_what_is_too_long(void **state)
{
    (void)state;
    struct rig rig = {0};
    static const uint8_t filler[DATAGRAM_CAP + 1] = "ready\r\n";
    open_up(&rig);
    rig_hear(&rig, "\r\n+IPD,257:");
    rig_hear_bytes(&rig, filler, sizeof filler);
    rig_hear(&rig, "\r\n+IPD,2:ab");
    expect_received(&rig, 1, "ab", 2);
    assert_int_equal(rig.modem.lines.too_long, 1);
    rig_hear(&rig, "\r\n+IPD,256:");
    rig_hear_bytes(&rig, filler, sizeof filler - 1);
    expect_received(&rig, 2, filler, sizeof filler - 1);
    /* Lengths that no modem announces begin nothing. */
    rig_hear(&rig, "\r\n+IPD,4097:\r\n+IPD,99999999:\r\n+IPD,0:\r\n+IPD,:\r\n+IPD,x:\r\n+IPD,2:cd");
    expect_received(&rig, 3, "cd", 2);
    send_well(&rig);
}

static void gives_up_a_datagram_cut_short(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    rig_hear(&rig, "\r\n+IPD,200:only this much");
    wait_ms(&rig, esp_at_default_times.gap_ms + 1);
    assert_int_equal(rig.modem.lines.cut_short, 1);
    send_well(&rig);
    rig_hear(&rig, "+IP");
    wait_ms(&rig, 1000);
    rig_hear(&rig, "D,2:ab"); /* however slowly a line comes */
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
        rig_hear(&rig, i % 2 ? "\r\nRecv 5 byes\r\n\r\n" : "\r\nRcv 5 bytes\r\n\r\n");
        assert_int_equal(rig.modem.was_taken, 1);
        rig_hear(&rig, done[i]);
        rig_hear(&rig, "\r\n");
        expect_outcome(&rig, ESP_AT_SENT);
        rig_hear(&rig, i % 2 ? "\r\n+IP,2:ab" : "\r\nIPD,2:ab");
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

static void doubts_send_fail(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    for (int i = 0; i < 8; i++) {
        send_hello(&rig);
        answer(&rig, "AT+CIPSEND=5\r\n", ">");
        answer(&rig, "hello", "\r\nRecv 5 bytes\r\n\r\nSEND FAIL\r\n");
        expect_outcome(&rig, ESP_AT_PENDING);
        if (i == 3) { /* some modems take it back */
            rig_hear(&rig, "\r\nSEND OK\r\n");
            expect_outcome(&rig, ESP_AT_SENT);
            continue;
        }
        while (esp_at_outcome(&rig.modem) == ESP_AT_PENDING)
            wait_ms(&rig, 1);
        expect_outcome(&rig, ESP_AT_UNSURE);
        wait_ms(&rig, 6000); /* nothing is owed any longer */
    }
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

/* The modem says so to the same command for so long; or until it is reset. Returns how often. */
static int be_busy(struct rig *rig, const char *word, uint32_t ms)
{
    int times = 0;
    uint32_t begin_ms = rig->now_ms;
    while (rig->now_ms - begin_ms < ms && rig->modem.state != ESP_AT_STATE_BOOT) {
        if (has_said(rig, "AT+CIPSEND=5\r\n")) {
            rig_hear(rig, word);
            times++;
        } else {
            wait_ms(rig, 1);
        }
    }
    while (rig->modem.state == ESP_AT_STATE_PAUSE)
        wait_ms(rig, 1);
    return times;
}

static void waits_while_busy(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    for (int i = 0; i < 2; i++) {
        send_hello(&rig);
        assert_in_range(be_busy(&rig, i ? "busy s...\r\n" : "busy p...\r\n", 500), 20, 50);
        answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n>");
        answer(&rig, "hello", "busy p...\r\nRecv 5 bytes\r\nSEND OK\r\n");
        expect_outcome(&rig, ESP_AT_SENT);
    }
    assert_int_equal(esp_at_send(&rig.modem, hello, sizeof hello, rig.now_ms, 10000), 0);
    esp_at_poll(&rig.modem, rig.now_ms);
    uint32_t begin_ms = rig.now_ms;
    assert_in_range(be_busy(&rig, "busy p...\r\n", 10000), 20, 200);
    assert_in_range(rig.now_ms - begin_ms, 1900, 2300);
    assert_int_equal(rig.modem.counts.restarts, 1);
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
    expect_outcome(&rig, ESP_AT_UNSURE); /* or the modem was slow, and took it for the datagram's begin */
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
    expect_said(&rig, "\r\n\r\n\r\n\r\n");
    wait_ms(&rig, esp_at_default_times.probe_ms);
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

/* A byte or two of a datagram were lost: empty lines end it, and nothing else needs to be said. */
static void tops_up_a_datagram(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n\r\n>");
    expect_said(&rig, "hello");
    wait_ms(&rig, esp_at_default_times.taken_ms);
    expect_outcome(&rig, ESP_AT_UNSURE);
    answer(&rig, "\r\n\r\n\r\n\r\n", "\r\nRecv 5 bytes\r\n\r\nSEND OK\r\n");
    wait_ms(&rig, 1);
    rig_hear(&rig, "\r\nERROR\r\n"); /* to an empty line, as some modems do */
    wait_ms(&rig, esp_at_default_times.busy_ms);
    expect_said(&rig, "");
    send_well(&rig);
    assert_int_equal(rig.modem.counts.filler_bytes, 8);
}

/* Where the modem answers at once, the driver does not wait long for what does not come. */
static void learns_how_quick_the_modem_is(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    for (int i = 0; i < 30; i++) {
        send_hello(&rig);
        expect_said(&rig, "AT+CIPSEND=5\r\n");
        wait_ms(&rig, 2);
        rig_hear(&rig, "\r\nOK\r\n\r\n>");
        expect_said(&rig, "hello");
        wait_ms(&rig, 2);
        rig_hear(&rig, "\r\nRecv 5 bytes\r\n\r\nSEND OK\r\n");
        expect_outcome(&rig, ESP_AT_SENT);
    }
    for (int losses = 0; losses < 6; losses++) {
        send_hello(&rig);
        while (rig.modem.state == ESP_AT_STATE_PAUSE) /* the one before may still have an end */
            wait_ms(&rig, 1);
        answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n\r\n>");
        expect_said(&rig, "hello");
        uint32_t waited_ms = 0;
        for (; esp_at_outcome(&rig.modem) == ESP_AT_PENDING; waited_ms++)
            wait_ms(&rig, 1);
        if (losses < 4) /* after some in a row it is patient again */
            assert_in_range(waited_ms, 4, 12);
        else
            assert_int_equal(waited_ms, esp_at_default_times.taken_ms);
        rig.said_bytes = 0;
        rig_hear(&rig, "busy p...\r\n");
        wait_ms(&rig, esp_at_default_times.busy_ms);
        answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
        wait_ms(&rig, esp_at_default_times.busy_ms);
    }
}

static void resets_a_silent_modem(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = rig_config(&rig);
    config.reset = rig_drive_pin;
    start(&rig, &config);
    assert_int_equal(esp_at_send(&rig.modem, hello, sizeof hello, rig.now_ms, 100), 0);
    wait_ms(&rig, 99);
    expect_outcome(&rig, ESP_AT_PENDING);
    wait_ms(&rig, 1);
    expect_outcome(&rig, ESP_AT_FAILED); /* however long the rest takes */
    wait_ms(&rig, 1600);
    assert_true(has_said(&rig, "\r\nAT+RST\r\n"));
    assert_int_equal(rig.pin_changes, 0);
    wait_ms(&rig, 6000);
    assert_true(rig.pin_changes >= 1);
    wait_ms(&rig, 600000);
    assert_in_range(rig.modem.counts.pin_resets, 8, 20); /* it never gives up, and waits longer */
    while (!rig.pin)
        wait_ms(&rig, 1);
    rig_hear(&rig, "garbage while held\r\nready\r\n");
    assert_int_equal(rig.modem.counts.ready_seen, 0);
    wait_ms(&rig, esp_at_default_times.hold_ms);
    assert_int_equal(rig.pin, 0);
    rig.said_bytes = 0;
    rig_hear(&rig, "\x8f\xff\xfe garbage\r\n\r\nready\r\n");
    settle(&rig);
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
            rig_hear(&rig, "\r\nOK\r\n>");
            assert_true(has_said(&rig, "hello"));
        }
        rig.said_bytes = 0;
        rig_hear(&rig, "\r\nready\r\nWIFI CONNECTED\r\n");
        expect_outcome(&rig, when == 0 ? ESP_AT_NONE : when == 1 ? ESP_AT_PENDING : ESP_AT_UNSURE);
        settle(&rig);
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
        rig_hear(&rig, words[i]);
        assert_false(esp_at_is_open(&rig.modem));
        wait_ms(&rig, esp_at_default_times.busy_ms);
        answer(&rig, "AT+CIPCLOSE\r\n", "\r\nERROR\r\n");
        for (int refused = 0; refused < 4; refused++) {
            answer(&rig, "AT+CIPMUX=0\r\n", "\r\nOK\r\n");
            answer(&rig, open_command, "no ip\r\n\r\nERROR\r\n");
            if (refused < 3)
                wait_ms(&rig, esp_at_default_times.busy_ms);
            else
                rig_hear(&rig, "WIFI GOT IP\r\n"); /* no need to wait any longer */
            answer(&rig, "AT+CIPCLOSE\r\n", "\r\nERROR\r\n");
        }
        answer(&rig, "AT+CIPMUX=0\r\n", "\r\nOK\r\n");
        answer(&rig, open_command, "CONNECT\r\n\r\nOK\r\n");
        send_well(&rig);
        assert_int_equal(rig.modem.counts.disconnects, 1);
    }
}

/* The answer was lost, and perhaps the command's end: said again, it is done, or was already. */
static void opens_though_the_answer_is_lost(void **state)
{
    (void)state;
    static const char *const words[] = {"ALREADY CONNECTED\r\n\r\nERROR\r\n",
                                        "busy p...\r\nCONNECT\r\n\r\nOK\r\n", "ALREADY CONECTED\r\n"};
    for (size_t i = 0; i < AGN_COUNT_OF(words); i++) {
        struct rig rig = {0};
        open_up(&rig);
        rig_hear(&rig, "CLOSED\r\n");
        wait_ms(&rig, esp_at_default_times.busy_ms);
        answer(&rig, "AT+CIPCLOSE\r\n", "\r\nERROR\r\n");
        answer(&rig, "AT+CIPMUX=0\r\n", "\r\nOK\r\n");
        expect_said(&rig, open_command);
        uint32_t begin_ms = rig.now_ms;
        while (rig.said_bytes == 0)
            wait_ms(&rig, 1);
        assert_in_range(rig.now_ms - begin_ms, 1, 100); /* it has opened within a millisecond before */
        assert_true(has_said(&rig, open_command));
        rig_hear(&rig, words[i]);
        if (i == 2) {
            wait_ms(&rig, esp_at_default_times.command_ms);
            answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
        }
        assert_true(esp_at_is_open(&rig.modem));
        send_well(&rig);
        assert_int_equal(rig.modem.counts.opened, 2);
    }
}

static void joins_though_the_answer_is_lost(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct esp_at_config config = rig_config(&rig);
    config.ssid = "net";
    start(&rig, &config);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    settle(&rig);
    answer(&rig, "AT+CWMODE=1\r\n", "\r\nOK\r\n");
    answer(&rig, "AT+CWJAP=\"net\",\"\"\r\n", "WIFI CONNECTED\r\nWIFI GOT IP\r\n");
    wait_ms(&rig, esp_at_default_times.command_ms);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    reopen(&rig);
}

/* A modem that answers AT before it says what became of a datagram, 540 ms after it. */
static void doubts_the_end_of_another(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n\r\n>");
    answer(&rig, "hello", "\r\nRecv 5 bytes\r\n");
    wait_ms(&rig, esp_at_default_times.sent_ms);
    expect_outcome(&rig, ESP_AT_UNSURE);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n\r\n>");
    answer(&rig, "hello", "\r\nRecv 5 bytes\r\n");
    wait_ms(&rig, 240);
    rig_hear(&rig, "\r\nSEND OK\r\n"); /* of the first */
    expect_outcome(&rig, ESP_AT_UNSURE);
    send_hello(&rig);
    wait_ms(&rig, 300);
    expect_said(&rig, ""); /* there is another to come */
    rig_hear(&rig, "\r\nSEND OK\r\n");
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n\r\n>"); /* it is known now */
    answer(&rig, "hello", "\r\nRecv 5 bytes\r\n");
    wait_ms(&rig, 540);
    rig_hear(&rig, "\r\nSEND OK\r\n");
    expect_outcome(&rig, ESP_AT_SENT);
}

static void doubts_another_length(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n>");
    answer(&rig, "hello", "Recv 3 bytes\r\nSEND OK\r\n"); /* a digit is wrong: its own */
    expect_outcome(&rig, ESP_AT_UNSURE);
    expect_said(&rig, "");
    send_well(&rig);
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n>");
    answer(&rig, "hello", "Recv 300 bytes\r\nSEND OK\r\n"); /* another's end: its own may come */
    expect_outcome(&rig, ESP_AT_UNSURE);
    wait_ms(&rig, 2990);
    expect_said(&rig, "");
    wait_ms(&rig, 20); /* or it lacks bytes */
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    wait_ms(&rig, 4000);
    /* It took the datagram for commands. */
    send_hello(&rig);
    answer(&rig, "AT+CIPSEND=5\r\n", "\r\nOK\r\n>");
    answer(&rig, "hello", "\r\nERROR\r\n");
    expect_outcome(&rig, ESP_AT_UNSURE);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    wait_ms(&rig, 6000);
    send_well(&rig);
}

static void outlives_a_blocked_uart(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_up(&rig);
    send_hello(&rig);
    rig_hear(&rig, "\r\nOK\r\n");
    rig.said_bytes = 0;
    rig.room = 2; /* flow control stops the line within the datagram */
    rig_hear(&rig, ">");
    expect_said(&rig, "he");
    wait_ms(&rig, esp_at_default_times.sent_ms - 1);
    expect_outcome(&rig, ESP_AT_PENDING);
    wait_ms(&rig, 1);
    expect_outcome(&rig, ESP_AT_UNSURE);
    rig.room = SIZE_MAX;
    wait_ms(&rig, 1);
    answer(&rig, "\r\nAT\r\n", "\r\nOK\r\n");
    wait_ms(&rig, 6000);
    send_well(&rig);
    /* And a byte at a time is as good as any. */
    send_hello(&rig);
    expect_said(&rig, "AT+CIPSEND=5\r\n");
    rig.room = 0;
    rig_hear(&rig, "\r\nOK\r\n>");
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
    rig_hear(&rig, "+IPD,1:a");
    send_well(&rig);
    send_well(&rig);
    expect_said(&rig, "");
    send_well(&rig);
    reopen(&rig);
    send_well(&rig);
}

/* ---- garbage ---------------------------------------------------------------------------------------- */

/* Whatever the modem says, a datagram's fate is known in time. */
static void outlives_garbage(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct agn_rng rng;
        struct rig rig = {0};
        struct esp_at_config config = rig_config(&rig);
        agn_rng_seed(&rng, seed);
        if (seed % 2)
            config.reset = rig_drive_pin;
        if (seed % 3 == 0)
            config.ssid = "net";
        start(&rig, &config);
        uint32_t pending_ms = 0;
        for (int step = 0; step < 1000; step++) {
            rig_hear_nonsense(&rig, &rng);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_and_sends),
        cmocka_unit_test(joins_a_network),
        cmocka_unit_test(joins_again_when_refused),
        cmocka_unit_test(refuses_bad_configurations),
        cmocka_unit_test(leaves_transparent_transmission),
        cmocka_unit_test(finds_other_speeds),
        cmocka_unit_test(resets_at_the_speed_it_hears),
        cmocka_unit_test(leaves_several_sockets),
        cmocka_unit_test(leaves_passive_receive),
        cmocka_unit_test(receives_in_any_pieces),
        cmocka_unit_test(receives_within_other_output),
        cmocka_unit_test(drops_what_is_too_long),
        cmocka_unit_test(gives_up_a_datagram_cut_short),
        cmocka_unit_test(understands_lines_with_a_byte_lost),
        cmocka_unit_test(doubts_send_fail),
        cmocka_unit_test(asks_again_after_error),
        cmocka_unit_test(waits_while_busy),
        cmocka_unit_test(finds_the_prompt),
        cmocka_unit_test(looks_for_the_command_mode),
        cmocka_unit_test(tops_up_a_datagram),
        cmocka_unit_test(learns_how_quick_the_modem_is),
        cmocka_unit_test(resets_a_silent_modem),
        cmocka_unit_test(begins_again_when_the_modem_resets),
        cmocka_unit_test(opens_anew_when_the_network_goes),
        cmocka_unit_test(opens_though_the_answer_is_lost),
        cmocka_unit_test(joins_though_the_answer_is_lost),
        cmocka_unit_test(doubts_the_end_of_another),
        cmocka_unit_test(doubts_another_length),
        cmocka_unit_test(outlives_a_blocked_uart),
        cmocka_unit_test(opens_anew_when_nothing_comes),
        cmocka_unit_test(outlives_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
