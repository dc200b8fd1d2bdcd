/* The model behind `agilenn modem`: what the modem answers, what radio and serial line do to what passes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "modem/esp.h"

/* A modem with hands on both sides. */
static struct agn__esp esp;
static double now_s;
static char host[128];
static int port, local_port, opened, closed, sent_count;
static uint8_t sent[AGN__RADIO_BYTES];
static size_t sent_bytes;

static int open_socket(void *user, const char *name, uint16_t to, uint16_t from)
{
    (void)user;
    snprintf(host, sizeof host, "%s", name);
    port = to;
    local_port = from;
    opened++;
    return strcmp(name, "nowhere") == 0 ? AGN_ERR_NOT_FOUND : 0;
}

static void close_socket(void *user)
{
    (void)user;
    closed++;
}

static int send_datagram(void *user, const uint8_t *bytes, size_t len)
{
    (void)user;
    memcpy(sent, bytes, len);
    sent_bytes = len;
    sent_count++;
    return 0;
}

static void begin(const struct agn_modem_model *model)
{
    const struct agn__esp_world world = {.open = open_socket, .close = close_socket, .send = send_datagram};
    now_s = 100.0;
    opened = closed = sent_count = 0;
    agn__esp_init(&esp, model, &world, now_s);
}

/* What the modem says until nothing is due within `seconds`. */
static const char *listen_for(double seconds)
{
    static char text[1 << 15];
    double until_s = now_s + seconds, next_s;
    while ((next_s = agn__esp_advance(&esp, now_s)) <= until_s)
        now_s = next_s;
    now_s = until_s;
    size_t len = agn__esp_to_device(&esp, (uint8_t *)text, sizeof text - 1);
    text[len] = '\0';
    return text;
}

static void type(const char *text)
{
    agn__esp_from_device(&esp, (const uint8_t *)text, strlen(text), now_s);
}

static void expect_answer(const char *command, const char *expected)
{
    type(command);
    assert_string_equal(listen_for(2.0), expected);
}

static void begin_quiet(const struct agn_modem_model *model)
{
    begin(model);
    (void)listen_for(1.0);
    expect_answer("ATE0\r\n", "ATE0\r\n\r\nOK\r\n");
}

static void boots_and_echoes(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.boot_s = 0.5, .ssid = "net", .password = "secret"};
    begin(&model);
    type("AT\r\n"); /* nobody hears that */
    assert_string_equal(listen_for(0.49), "");
    const char *text = listen_for(0.02);
    assert_non_null(strstr(text, "\r\nready\r\n"));
    assert_null(strstr(text, "WIFI"));
    expect_answer("AT\r\n", "AT\r\n\r\nOK\r\n");
    expect_answer("ATE0\r\n", "ATE0\r\n\r\nOK\r\n");
    expect_answer("AT\r\n", "\r\nOK\r\n");
    expect_answer("AT+NONSENSE\r\n", "\r\nERROR\r\n");
    expect_answer("AT\n", ""); /* both characters end a line */
    expect_answer("\r\n", "\r\nERROR\r\n");
    expect_answer("\r\n\r\n", "");
    type("AT+RST\r\n");
    assert_non_null(strstr(listen_for(0.6), "\r\nready\r\n"));
    expect_answer("AT\r\n", "AT\r\n\r\nOK\r\n"); /* it has forgotten ATE0 */
    assert_int_equal(esp.stats.resets, 1);
}

static void joins_and_opens(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.ssid = "a,\"b\"", .password = "\\"};
    static const char *const bad[] = {"AT+CIPSTART=\"UDP\",\"h\"\r\n",
                                      "AT+CIPSTART=\"UDP\",\"h\",0\r\n",
                                      "AT+CIPSTART=\"UDP\",\"h\",65536\r\n",
                                      "AT+CIPSTART=\"UDP\",\"h\",5,70000\r\n",
                                      "AT+CIPSTART=\"UDP\",\"h\",5,6,3\r\n",
                                      "AT+CIPSTART=\"UDP\",\"h\",5,6,0,1\r\n",
                                      "AT+CIPSTART=\"TCP\",\"h\",5\r\n",
                                      "AT+CIPSTART=\"UDP\",\"h,5\r\n",
                                      "AT+CIPSTART=UDP,h,5\r\n",
                                      "AT+CIPSTART=\r\n",
                                      "AT+CWJAP=\"a\r\n",
                                      "AT+CWJAP=\"a\"\r\n",
                                      "AT+CWJAP=\"a\",\"b\",\"c\"\r\n"};
    begin_quiet(&model);
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++)
        expect_answer(bad[i], "\r\nERROR\r\n");
    expect_answer("AT+CIPSTART=\"UDP\",\"h\",5\r\n", "no ip\r\n\r\nERROR\r\n");
    expect_answer("AT+CWJAP=\"a\",\"b\"\r\n", "+CWJAP:3\r\n\r\nFAIL\r\n");
    expect_answer("AT+CWJAP=\"a\\,\\\"b\\\"\",\"\\\\\"\r\n", "WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n");
    expect_answer("AT+CIPCLOSE\r\n", "\r\nERROR\r\n");
    expect_answer("AT+CIPMUX=0\r\n", "\r\nOK\r\n");
    expect_answer("AT+CIPSEND=5\r\n", "link is not valid\r\n\r\nERROR\r\n");
    expect_answer("AT+CIPSTART=\"UDP\",\"nowhere\",5\r\n", "DNS Fail\r\n\r\nERROR\r\n");
    expect_answer("AT+CIPSTART=\"UDP\",\"10.0.0.1\",5683,5684,0\r\n", "CONNECT\r\n\r\nOK\r\n");
    assert_string_equal(host, "10.0.0.1");
    assert_int_equal(port, 5683);
    assert_int_equal(local_port, 5684);
    expect_answer("AT+CIPSTART=\"UDP\",\"h\",5\r\n", "ALREADY CONNECTED\r\n\r\nERROR\r\n");
    expect_answer("AT+CIPMUX=0\r\n", "link is builded\r\n\r\nERROR\r\n");
    expect_answer("AT+CIPCLOSE\r\n", "CLOSED\r\n\r\nOK\r\n");
    assert_int_equal(opened, 2);
    assert_int_equal(closed, 1);
}

static void open_up(const struct agn_modem_model *model)
{
    begin_quiet(model);
    expect_answer("AT+CIPSTART=\"UDP\",\"h\",5\r\n", "CONNECT\r\n\r\nOK\r\n");
}

static void sends_and_receives(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.bandwidth_bps = 270e3};
    open_up(&model);
    expect_answer("AT+CIPSEND=0\r\n", "\r\nERROR\r\n");
    expect_answer("AT+CIPSEND=2049\r\n", "\r\nERROR\r\n");
    expect_answer("AT+CIPSEND=x\r\n", "\r\nERROR\r\n");
    expect_answer("AT+CIPSEND=6\r\n", "\r\nOK\r\n\r\n>");
    type("AT\r");
    agn__esp_from_server(&esp, (const uint8_t *)"early", 5, now_s);
    assert_string_equal(listen_for(1.0), "\r\n+IPD,5:early");
    type("\nABAT\r\nAT\r\n"); /* six bytes, and two commands too early */
    assert_string_equal(listen_for(1.0), "\r\nRecv 6 bytes\r\nbusy p...\r\nbusy p...\r\n\r\nSEND OK\r\n");
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent_bytes, 6);
    assert_memory_equal(sent, "AT\r\nAB", 6);
    type("AT+RST\r\n");
    (void)listen_for(0.01);
    agn__esp_from_server(&esp, (const uint8_t *)"late", 4, now_s);
    (void)listen_for(1.0);
    assert_int_equal(esp.stats.down_unwanted, 1);
    assert_int_equal(esp.stats.down_delivered, 1);
    expect_answer("ATE0\r\n", "ATE0\r\n\r\nOK\r\n");
    expect_answer("AT+CIPSEND=6\r\n", "link is not valid\r\n\r\nERROR\r\n");
}

static void takes_long_lines(void **state)
{
    (void)state;
    const struct agn_modem_model model = {0};
    char line[1000];
    memset(line, 'A', sizeof line);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    begin_quiet(&model);
    expect_answer(line, "\r\nERROR\r\n");
    expect_answer("AT\r\n", "\r\nOK\r\n");
}

/* Shares come out as told, within five standard deviations. */
static void expect_share(uint64_t count, uint64_t total, double share)
{
    double mean = share * (double)total, deviation = sqrt(mean * (1 - share));
    assert_true(fabs((double)count - mean) <= 5 * deviation);
}

static void fails_as_often_as_told(void **state)
{
    (void)state;
    enum { COUNT = 4000 };
    const struct agn_modem_model model = {
        .seed = 3, .busy = 0.1, .error = 0.05, .reset = 0.2, .boot_s = 0.01};
    int good = 0, busy = 0, error = 0;
    begin(&model);
    (void)listen_for(0.1);
    for (int i = 0; i < COUNT; i++) {
        type("AT\r\n");
        const char *text = listen_for(0.1);
        good += strstr(text, "OK") != NULL;
        busy += strstr(text, "busy p...") != NULL;
        error += strstr(text, "ERROR") != NULL;
    }
    assert_int_equal(good + busy + error, COUNT);
    expect_share((uint64_t)busy, COUNT, 0.1);
    expect_share((uint64_t)error, COUNT, 0.05);
    uint64_t asked = 0;
    for (int i = 0; i < COUNT; i++) {
        type("AT+CIPSTART=\"UDP\",\"h\",5\r\n");
        (void)listen_for(0.1);
        type("AT+CIPSEND=4\r\n");
        bool is_asked = strchr(listen_for(0.0), '>') != NULL;
        asked += is_asked;
        if (is_asked)
            type("data");
        (void)listen_for(0.1);
    }
    expect_share(esp.stats.resets, asked, 0.2);
}

static void damages_bytes_as_told(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.seed = 4, .uart_loss = 0.01, .uart_corrupt = 0.02};
    static uint8_t bytes[100000];
    begin(&model);
    (void)listen_for(1.0);
    uint64_t taken = esp.stats.uart_down - esp.stats.uart_down_lost;
    agn__esp_from_device(&esp, bytes, sizeof bytes, now_s); /* echoed */
    expect_share(esp.stats.uart_up_lost, esp.stats.uart_up, 0.01);
    expect_share(esp.stats.uart_up_corrupted, esp.stats.uart_up, 0.02);
    expect_share(esp.stats.uart_down_lost, esp.stats.uart_down, 0.01);
    expect_share(esp.stats.uart_down_corrupted, esp.stats.uart_down, 0.02);
    assert_true(esp.stats.uart_down > 90000);
    assert_int_equal(esp.stats.uart_down - esp.stats.uart_down_lost - esp.stats.uart_down_overrun - taken,
                     esp.unsent_bytes);
}

static struct agn__radio radio;

static void radio_keeps_time(void **state)
{
    (void)state;
    const struct agn_modem_model model = {.bandwidth_bps = 1e6, .delay_s = 0.02};
    const uint8_t bytes[972] = {7}, *come;
    agn__radio_init(&radio, &model, 1);
    assert_true(isinf(agn__radio_due(&radio)));
    agn__radio_put(&radio, bytes, 972, 5.0); /* 8 ms in the air with its headers */
    agn__radio_put(&radio, bytes, 97, 5.0);  /* and 1 ms behind it */
    assert_true(fabs(agn__radio_due(&radio) - 5.028) < 1e-9);
    assert_int_equal(agn__radio_take(&radio, 5.0279, &come), 0);
    assert_int_equal(agn__radio_take(&radio, 5.0281, &come), 972);
    assert_memory_equal(come, bytes, 972);
    assert_true(fabs(agn__radio_due(&radio) - 5.029) < 1e-9);
    assert_int_equal(agn__radio_take(&radio, 6.0, &come), 97);
    assert_int_equal(agn__radio_take(&radio, 6.0, &come), 0);
    for (int i = 0; i < AGN__RADIO_DATAGRAMS + 5; i++)
        agn__radio_put(&radio, bytes, 1, 7.0);
    assert_int_equal(radio.overrun, 5);
}

static void radio_loses_and_reorders(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    const struct agn_modem_model model = {.delay_s = 0.005, .jitter_s = 0.02, .loss = 0.1, .reorder = 0.05};
    agn__radio_init(&radio, &model, 2);
    uint32_t latest = 0;
    uint64_t come = 0, overtaken = 0;
    double least_s = 1, most_s = 0;
    for (uint32_t i = 1; i <= COUNT; i++) {
        double at_s = 0.01 * i;
        const uint8_t *bytes;
        agn__radio_put(&radio, (const uint8_t *)&i, sizeof i, at_s);
        while (agn__radio_due(&radio) < at_s + 0.01) {
            double due_s = agn__radio_due(&radio);
            uint32_t number;
            assert_int_equal(agn__radio_take(&radio, due_s, &bytes), sizeof number);
            memcpy(&number, bytes, sizeof number);
            overtaken += number < latest;
            latest = number > latest ? number : latest;
            least_s = fmin(least_s, due_s - 0.01 * number);
            most_s = fmax(most_s, due_s - 0.01 * number);
            come++;
        }
    }
    expect_share(radio.lost, COUNT, 0.1);
    expect_share(radio.reordered, COUNT - radio.lost, 0.05);
    assert_true(come + radio.lost >= COUNT - AGN__RADIO_DATAGRAMS);
    assert_true(overtaken > radio.reordered / 2 && overtaken <= radio.reordered);
    assert_true(least_s >= 0.005 && least_s < 0.006);
    assert_true(most_s > 0.05 && most_s <= 0.005 + 0.02 + 0.04 + 1e-9);
}

/* The same seed and the same course give the same, byte for byte; another seed does not. */
static void repeats_with_the_seed(void **state)
{
    (void)state;
    static char first[1 << 15];
    size_t length = 0;
    for (uint64_t run = 0; run < 3; run++) {
        const struct agn_modem_model model = {.seed = run / 2,
                                              .jitter_s = 0.01,
                                              .loss = 0.1,
                                              .uart_loss = 0.01,
                                              .uart_corrupt = 0.01,
                                              .reset = 0.05,
                                              .busy = 0.05,
                                              .error = 0.05};
        char text[1 << 15];
        size_t used = 0;
        begin(&model);
        for (int i = 0; i < 200; i++) {
            type(i % 2 ? "AT+CIPSTART=\"UDP\",\"h\",5\r\n" : "AT+CIPSEND=20\r\n.....................\r\n");
            agn__esp_from_server(&esp, (const uint8_t *)"reply", 5, now_s);
            const char *said = listen_for(0.05);
            size_t count = strlen(said);
            assert_true(used + count < sizeof text);
            memcpy(text + used, said, count);
            used += count;
        }
        if (run == 0) {
            memcpy(first, text, used);
            length = used;
        } else {
            assert_true((used == length && memcmp(text, first, used) == 0) == (run == 1));
        }
    }
    assert_true(length > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boots_and_echoes),       cmocka_unit_test(joins_and_opens),
        cmocka_unit_test(sends_and_receives),     cmocka_unit_test(takes_long_lines),
        cmocka_unit_test(fails_as_often_as_told), cmocka_unit_test(damages_bytes_as_told),
        cmocka_unit_test(radio_keeps_time),       cmocka_unit_test(radio_loses_and_reorders),
        cmocka_unit_test(repeats_with_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
