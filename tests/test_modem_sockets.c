/* The modem on real sockets: the driver on one side of a serial line, a UDP server on the other side of the
 * modem. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/modem.h"
#include "drivers/esp_at.h"
#include "support/temp_folder.h"

/* A modem in a thread of its own. */
struct modem_thread {
    pthread_t thread;
    struct agn_modem_config config;
    struct agn_modem_stats stats;
    int opened, ended; /* status codes */
    char message[256];
};

static void *run_modem(void *argument)
{
    struct modem_thread *modem = argument;
    struct agn_modem *made = NULL;
    modem->opened = agn_modem_open(&made, &modem->config);
    if (modem->opened < 0) {
        snprintf(modem->message, sizeof modem->message, "%s", agn_error_message());
        return NULL;
    }
    modem->ended = agn_modem_run(made, 30.0);
    agn_modem_stats(made, &modem->stats);
    agn_modem_free(made);
    return NULL;
}

/* The device: the driver on a file descriptor. */
struct device {
    struct esp_at modem;
    int line;
    uint8_t datagram[2048], received[2048];
    size_t received_bytes;
    int received_count;
};

static size_t write_line(void *user, const uint8_t *bytes, size_t len)
{
    ssize_t written = write(((struct device *)user)->line, bytes, len);
    return written > 0 ? (size_t)written : 0;
}

static void take(void *user, const uint8_t *bytes, size_t len)
{
    struct device *device = user;
    memcpy(device->received, bytes, len);
    device->received_bytes = len;
    device->received_count++;
}

static uint32_t now_ms(void)
{
    return (uint32_t)(agn_now_s() * 1e3);
}

static void work(struct device *device)
{
    uint8_t bytes[512];
    struct pollfd wait = {.fd = device->line, .events = POLLIN};
    (void)poll(&wait, 1, 1);
    ssize_t count = read(device->line, bytes, sizeof bytes);
    if (count > 0)
        esp_at_input(&device->modem, bytes, (size_t)count, now_ms());
    esp_at_poll(&device->modem, now_ms());
}

/* Patient times: the machine that runs the test may be busy with other things. */
static const struct esp_at_times patient = {.command_ms = 3000,
                                            .join_ms = 20000,
                                            .open_ms = 6000,
                                            .prompt_ms = 3000,
                                            .taken_ms = 3000,
                                            .sent_ms = 3000,
                                            .probe_ms = 500,
                                            .gap_ms = 3000,
                                            .busy_ms = 10,
                                            .pause_ms = 100,
                                            .boot_ms = 5000,
                                            .hold_ms = 20};

static void begin_device(struct device *device, int line, const char *host, uint16_t port)
{
    memset(device, 0, sizeof *device);
    device->line = line;
    const struct esp_at_config config = {.host = host,
                                         .port = port,
                                         .ssid = "net",
                                         .password = "a,\"b\"\\",
                                         .times = &patient,
                                         .datagram = device->datagram,
                                         .datagram_cap = sizeof device->datagram,
                                         .user = device,
                                         .write = write_line,
                                         .received = take};
    assert_true(fcntl(line, F_SETFL, O_NONBLOCK) == 0);
    assert_int_equal(esp_at_init(&device->modem, &config, now_ms()), 0);
}

static void wait_until_open(struct device *device)
{
    double until_s = agn_now_s() + 20;
    while (!esp_at_is_open(&device->modem)) {
        assert_true(agn_now_s() < until_s);
        work(device);
    }
}

static int make_server(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    int server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(server >= 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return server;
}

/* Sends a datagram of every byte there is, `len` long; the server sends it back. */
static void exchange(struct device *device, int server, size_t len)
{
    uint8_t sent[ESP_AT_MAX_DATAGRAM], come[2048];
    int before = device->received_count;
    for (size_t i = 0; i < len; i++)
        sent[i] = (uint8_t)(i + len);
    assert_int_equal(esp_at_send(&device->modem, sent, len, now_ms(), 20000), 0);
    double until_s = agn_now_s() + 20;
    while (device->received_count == before) {
        struct sockaddr_in from;
        socklen_t bytes = sizeof from;
        assert_true(agn_now_s() < until_s);
        work(device);
        ssize_t count = recvfrom(server, come, sizeof come, 0, (struct sockaddr *)&from, &bytes);
        if (count > 0)
            assert_int_equal(sendto(server, come, (size_t)count, 0, (struct sockaddr *)&from, bytes), count);
    }
    assert_int_equal(device->received_bytes, len);
    assert_memory_equal(device->received, sent, len);
    while (esp_at_outcome(&device->modem) == ESP_AT_PENDING)
        work(device);
    assert_int_equal(esp_at_outcome(&device->modem), ESP_AT_SENT);
}

static struct device device;

static void converse(int line, struct modem_thread *modem, int server, const char *host, uint16_t port)
{
    begin_device(&device, line, host, port);
    wait_until_open(&device);
    exchange(&device, server, 1);
    exchange(&device, server, 100);
    exchange(&device, server, ESP_AT_MAX_DATAGRAM);
    assert_int_equal(device.modem.counts.unsure, 0);
    close(line);
    close(server);
    pthread_join(modem->thread, NULL);
    assert_int_equal(modem->opened, 0);
    assert_int_equal(modem->ended, 0);
    assert_int_equal(modem->stats.opened, 1);
    assert_int_equal(modem->stats.up_sent, 3);
    assert_int_equal(modem->stats.down_delivered, 3);
    assert_int_equal(modem->stats.up_bytes, 101 + ESP_AT_MAX_DATAGRAM);
    assert_int_equal(modem->stats.down_bytes, 101 + ESP_AT_MAX_DATAGRAM);
    assert_true(modem->stats.uart_up > 101 + ESP_AT_MAX_DATAGRAM);
}

static void set_path(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
}

/* The modem listens; the device says where its datagrams go. */
static void forwards_to_the_devices_server(void **state)
{
    (void)state;
    char path[108];
    uint16_t port;
    int server = make_server(&port);
    snprintf(path, sizeof path, "%s", temp_path("listen"));
    struct modem_thread modem = {.config = {.line = AGN_MODEM_LISTEN,
                                            .path = path,
                                            .patience_s = 20,
                                            .model = {.ssid = "net", .password = "a,\"b\"\\"}}};
    assert_int_equal(pthread_create(&modem.thread, NULL, run_modem, &modem), 0);
    struct sockaddr_un address;
    set_path(&address, path);
    int line = socket(AF_UNIX, SOCK_STREAM, 0);
    double until_s = agn_now_s() + 20;
    while (connect(line, (struct sockaddr *)&address, sizeof address) != 0) {
        assert_true(agn_now_s() < until_s);
        usleep(1000);
    }
    converse(line, &modem, server, "localhost", port);
    struct stat about;
    assert_int_equal(stat(path, &about), -1); /* it tidies up */
}

/* As with QEMU: the other side listens, late; datagrams go where the user says. */
static void forwards_to_a_given_server(void **state)
{
    (void)state;
    char path[108];
    uint16_t port;
    int server = make_server(&port);
    snprintf(path, sizeof path, "%s", temp_path("connect"));
    struct modem_thread modem = {.config = {.line = AGN_MODEM_CONNECT,
                                            .path = path,
                                            .patience_s = 20,
                                            .server_host = "127.0.0.1",
                                            .server_port = port,
                                            .model = {.delay_s = 0.001, .bandwidth_bps = 6e6}}};
    assert_int_equal(pthread_create(&modem.thread, NULL, run_modem, &modem), 0);
    usleep(100 * 1000); /* in which it finds nobody */
    struct sockaddr_un address;
    set_path(&address, path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    int line = accept(listener, NULL, NULL);
    assert_true(line >= 0);
    close(listener);
    converse(line, &modem, server, "192.0.2.1", 9);
}

/* A pty has no end: the program's interrupt ends it. */
static void speaks_on_a_pty(void **state)
{
    (void)state;
    char path[200];
    uint16_t port;
    int server = make_server(&port);
    snprintf(path, sizeof path, "%s", temp_path("tty"));
    struct modem_thread modem = {.config = {.line = AGN_MODEM_PTY, .path = path}};
    assert_int_equal(pthread_create(&modem.thread, NULL, run_modem, &modem), 0);
    int line;
    double until_s = agn_now_s() + 20;
    while ((line = open(path, O_RDWR | O_NOCTTY)) < 0)
        assert_true(agn_now_s() < until_s);
    begin_device(&device, line, "127.0.0.1", port);
    wait_until_open(&device);
    exchange(&device, server, ESP_AT_MAX_DATAGRAM);
    agn_interrupt_request();
    pthread_join(modem.thread, NULL);
    agn_interrupt_clear();
    close(line);
    close(server);
    assert_int_equal(modem.ended, 0);
    assert_int_equal(modem.stats.up_sent, 1);
    struct stat about;
    assert_int_equal(lstat(path, &about), -1);
}

static void expect_refusal(struct agn_modem_config config, int status, const char *text)
{
    struct agn_modem *modem = NULL;
    assert_int_equal(agn_modem_open(&modem, &config), status);
    assert_null(modem);
    assert_non_null(strstr(agn_error_message(), text));
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    char long_path[150];
    memset(long_path, 'p', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    const char *file = temp_file("file", "x", 1);
    const struct agn_modem_config good = {.line = AGN_MODEM_CONNECT, .path = temp_path("nobody")};
    struct agn_modem_config config = good;
    expect_refusal(config, AGN_ERR_TIMEOUT, "nobody listens");
    config.line = AGN_MODEM_LISTEN;
    expect_refusal(config, AGN_ERR_TIMEOUT, "no device has connected");
    config.path = file;
    expect_refusal(config, AGN_ERR_IO, "in use");
    config.line = AGN_MODEM_PTY;
    expect_refusal(config, AGN_ERR_IO, "cannot link");
    config.line = AGN_MODEM_CONNECT;
    config.path = long_path;
    expect_refusal(config, AGN_ERR_RANGE, "use a shorter one");
    config.path = "";
    expect_refusal(config, AGN_ERR_RANGE, "1 to 107 bytes");
    struct stat about;
    assert_int_equal(stat(file, &about), 0); /* what it did not make stays */

    config = good;
    config.model.loss = 1.5;
    expect_refusal(config, AGN_ERR_ARG, "lost datagrams of 1.5, expected 0 to 1");
    config = good;
    config.model.uart_loss = config.model.uart_corrupt = 0.6;
    expect_refusal(config, AGN_ERR_ARG, "lost and corrupted bytes of 1.2");
    config = good;
    config.model.delay_s = -1;
    expect_refusal(config, AGN_ERR_ARG, "time of -1");
    config = good;
    config.server_host = "not a host";
    config.server_port = 5683;
    expect_refusal(config, AGN_ERR_NOT_FOUND, "no host 'not a host'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwards_to_the_devices_server),
        cmocka_unit_test(forwards_to_a_given_server),
        cmocka_unit_test(speaks_on_a_pty),
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, temp_folder_setup, temp_folder_teardown);
}
