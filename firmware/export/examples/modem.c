/* A device behind a WiFi modem that speaks ESP-AT on a serial line: frames from stdin, the class of each to
 * stdout.
 *
 *     ./modem /dev/ttyUSB0 HOST [PORT [BAUD]] < frames.raw        "CLASS fused" or "CLASS local" a frame
 *
 * Name and password of the network are AGN_WIFI_NAME and AGN_WIFI_PASSWORD of the environment: arguments are
 * there for all users to see. Without a name the modem joins the network that it knows.
 *
 * Compiled with AGN_EXAMPLE_MODEM only, so that a build which takes all files of this folder has no second
 * main. In a firmware the three functions of "the serial line" become the UART's and the timer's, and the
 * functions of "the modem" stay. */
#if defined(AGN_EXAMPLE_MODEM)

#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "agilenn.h"
#include "drivers/esp_at.h"

enum { DEADLINE_MS = 1000, OPEN_MS = 15000 };

/* ---- the serial line -------------------------------------------------------------------------------- */

static int line = -1;

/* Takes bytes for the modem without waiting; returns how many, 0 to len. */
static size_t send_bytes(void *user, const uint8_t *bytes, size_t len)
{
    (void)user;
    ssize_t taken = write(line, bytes, len);
    return taken > 0 ? (size_t)taken : 0;
}

/* What has come from the modem, 0 to cap bytes; may wait for a millisecond, where there is nothing else to
 * do. */
static size_t receive_bytes(uint8_t *bytes, size_t cap)
{
    struct pollfd in;
    in.fd = line;
    in.events = POLLIN;
    in.revents = 0;
    if (poll(&in, 1, 1) <= 0)
        return 0;
    ssize_t came = read(line, bytes, cap);
    if (came <= 0)
        (void)poll(NULL, 0, 1); /* the line is gone, and poll() says so at once */
    return came > 0 ? (size_t)came : 0;
}

/* Milliseconds, which may wrap. */
static uint32_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000u + (uint32_t)(now.tv_nsec / 1000000);
}

/* ---- the modem -------------------------------------------------------------------------------------- */

static struct agn_dev dev;
static struct agn_link link_to_server;
static struct esp_at modem;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4];
static uint8_t datagram[AGN_LINK_MAX_DATAGRAM], received[AGN_LINK_MAX_DATAGRAM];

static void take_datagram(void *user, const uint8_t *bytes, size_t len)
{
    (void)user;
    agn_link_take(&link_to_server, now_ms(), bytes, len);
}

/* The modem's turn: every few milliseconds, also while nothing is to be sent. */
static void turn(void)
{
    uint8_t bytes[64];
    size_t len;
    while ((len = receive_bytes(bytes, sizeof bytes)) > 0)
        esp_at_input(&modem, bytes, len, now_ms());
    esp_at_poll(&modem, now_ms());
}

/* The frame on its way; returns within the deadline. The driver keeps a datagram until it knows what became
 * of it: only then the link is asked for the next. */
static void ask_server(void)
{
    uint32_t begin_ms = now_ms();
    agn_link_begin(&link_to_server, begin_ms);
    while (agn_link_wait_ms(&link_to_server, now_ms()) > 0) {
        int len = esp_at_outcome(&modem) == ESP_AT_PENDING
                      ? 0
                      : agn_link_next(&link_to_server, now_ms(), datagram, sizeof datagram);
        if (len > 0)
            esp_at_send(&modem, datagram, (size_t)len, now_ms(), begin_ms + DEADLINE_MS - now_ms());
        turn();
    }
    while (esp_at_outcome(&modem) == ESP_AT_PENDING && now_ms() - begin_ms < DEADLINE_MS)
        turn(); /* what ended the frame may have come while the modem waits for the datagram's bytes */
    agn_link_end(&link_to_server, now_ms());
}

/* Texts stay where they are for as long as the modem is used. */
static int begin(const char *host, uint16_t port, uint32_t bps, const char *name, const char *password)
{
    struct agn_link_config link_config;
    struct esp_at_config config;
    memset(&link_config, 0, sizeof link_config);
    link_config.deadline_ms = DEADLINE_MS;
    memset(&config, 0, sizeof config);
    config.host = host;
    config.port = port;
    config.local_port = port;
    config.ssid = name;
    config.password = password;
    config.uart_bps = bps;
    config.reopen_after = 60;
    config.datagram = received;
    config.datagram_cap = sizeof received;
    config.write = send_bytes;
    config.received = take_datagram;
    int status = agn_dev_init(&dev, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena);
    if (status == 0) /* a number that differs from device to device and from start to start */
        status = agn_link_init(&link_to_server, &dev, &link_config, now_ms() ^ (uint32_t)getpid() << 16);
    return status < 0 ? status : esp_at_init(&modem, &config, now_ms());
}

/* ---- the program ------------------------------------------------------------------------------------ */

struct speed {
    long bps;
    speed_t code;
};

static const struct speed speeds[] = {{9600, B9600},
                                      {19200, B19200},
                                      {38400, B38400},
#if defined(B115200)
                                      {115200, B115200},
#endif
#if defined(B230400)
                                      {230400, B230400},
#endif
#if defined(B460800)
                                      {460800, B460800},
#endif
#if defined(B921600)
                                      {921600, B921600},
#endif
                                      {0, B0}};

/* 8N1, no flow control, no translation of bytes. NULL, or what is wrong. */
static const char *open_line(const char *path, long bps)
{
    struct termios mode;
    const struct speed *speed = speeds;
    while (speed->bps != 0 && speed->bps != bps)
        speed++;
    if (speed->bps == 0)
        return "this system does not know such a speed";
    line = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (line < 0)
        return "cannot be opened";
    if (tcgetattr(line, &mode) < 0)
        return "is no serial line";
    mode.c_iflag = IGNBRK;
    mode.c_oflag = 0;
    mode.c_lflag = 0;
    mode.c_cflag &= (tcflag_t) ~(CSIZE | PARENB | CSTOPB);
    mode.c_cflag |= CS8 | CREAD | CLOCAL;
    mode.c_cc[VMIN] = 0;
    mode.c_cc[VTIME] = 0;
    return cfsetispeed(&mode, speed->code) < 0 || cfsetospeed(&mode, speed->code) < 0 ||
                   tcsetattr(line, TCSANOW, &mode) < 0
               ? "does not take the speed"
               : NULL;
}

static int classify(void)
{
    static uint8_t frame[AGN_MODEL_INPUT_H * AGN_MODEL_INPUT_W * AGN_MODEL_INPUT_C];
    struct agn_dev_prediction prediction;
    uint16_t number = (uint16_t)now_ms(); /* goes on where an earlier run's answers are not mistaken */
    while (fread(frame, sizeof frame, 1, stdin) == 1) {
        agn_dev_frame_begin(&dev, ++number, DEADLINE_MS);
        if (agn_dev_push_rows(&dev, frame, AGN_MODEL_INPUT_H) < 0)
            return 1;
        ask_server();
        if (agn_dev_predict(&dev, &prediction) < 0)
            printf("- none\n"); /* no answer, and a model without a Local NN */
        else
            printf("%d %s\n", prediction.class_index, prediction.fused ? "fused" : "local");
    }
    if (link_to_server.counts.other_version > 0)
        fprintf(stderr, "the server speaks version %lu of the protocol, this device version %d\n",
                (unsigned long)link_to_server.counts.other_version, AGN_WIRE_VERSION);
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = getenv("AGN_WIFI_NAME"), *password = getenv("AGN_WIFI_PASSWORD");
    long port = argc > 3 ? strtol(argv[3], NULL, 10) : (long)AGN_LINK_PORT;
    long bps = argc > 4 ? strtol(argv[4], NULL, 10) : 115200;
    if (argc < 3 || argc > 5 || port < 1 || port > 65535) {
        fprintf(stderr, "usage: %s LINE HOST [PORT [BAUD]] < frames of %d x %d x %d bytes\n", argv[0],
                AGN_MODEL_INPUT_H, AGN_MODEL_INPUT_W, AGN_MODEL_INPUT_C);
        return 2;
    }
    const char *problem = open_line(argv[1], bps);
    if (problem != NULL) {
        fprintf(stderr, "%s: %s at %ld bit/s: %s\n", argv[0], argv[1], bps, problem);
        return 1;
    }
    int status = begin(argv[2], (uint16_t)port, (uint32_t)bps, name, password);
    if (status < 0) {
        fprintf(stderr, "%s: the model cannot be opened, or a text is none for a modem: error %d\n", argv[0],
                status);
        return 1;
    }
    uint32_t begin_ms = now_ms();
    while (!esp_at_is_open(&modem) && now_ms() - begin_ms < OPEN_MS)
        turn();
    if (!esp_at_is_open(&modem))
        fprintf(stderr, "%s: the modem has no way to %s yet (it is at \"%s\"): the device answers alone\n",
                argv[0], argv[2], esp_at_state_text(modem.state));
    status = classify();
    close(line);
    return status;
}

#endif
