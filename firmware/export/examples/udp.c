/* A device with BSD sockets (Linux, lwIP, ESP-IDF, Zephyr): frames from stdin, the class of each to stdout.
 *
 *     ./udp HOST [PORT] < frames.raw        "CLASS fused" or "CLASS local" a frame
 *
 * Compiled with AGN_EXAMPLE_UDP only, so that a build which takes all files of this folder has no second
 * main. In a firmware keep ask_server() and open_socket(), and take frames from a camera. */
#if defined(AGN_EXAMPLE_UDP)

#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agilenn.h"

static struct agn_dev dev;
static struct agn_link link_to_server;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4];
static uint8_t datagram[AGN_LINK_MAX_DATAGRAM];

static uint32_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000u + (uint32_t)(now.tv_nsec / 1000000);
}

/* A socket that knows the server's address, or -1. */
static int open_socket(const char *host, const char *port)
{
    struct addrinfo wanted, *found = NULL;
    memset(&wanted, 0, sizeof wanted);
    wanted.ai_socktype = SOCK_DGRAM;
    if (getaddrinfo(host, port, &wanted, &found) != 0)
        return -1;
    int fd = -1;
    for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) < 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* The frame on its way; returns within the deadline. What a send fails with (no route, nobody listens) may be
 * over at the next frame: until then the device answers for itself. */
static void ask_server(int fd)
{
    uint32_t wait_ms;
    int len;
    agn_link_begin(&link_to_server, now_ms());
    while ((wait_ms = agn_link_wait_ms(&link_to_server, now_ms())) > 0) {
        while ((len = agn_link_next(&link_to_server, now_ms(), datagram, sizeof datagram)) > 0)
            (void)!send(fd, datagram, (size_t)len, 0);
        struct pollfd socket_in;
        socket_in.fd = fd;
        socket_in.events = POLLIN;
        wait_ms = agn_link_wait_ms(&link_to_server, now_ms());
        if (wait_ms > 0 && poll(&socket_in, 1, (int)wait_ms) > 0) {
            ssize_t came = recv(fd, datagram, sizeof datagram, 0);
            if (came > 0)
                agn_link_take(&link_to_server, now_ms(), datagram, (size_t)came);
        }
    }
    agn_link_end(&link_to_server, now_ms());
}

static int classify(int fd)
{
    static uint8_t frame[AGN_MODEL_INPUT_H * AGN_MODEL_INPUT_W * AGN_MODEL_INPUT_C];
    struct agn_dev_prediction prediction;
    uint16_t number = (uint16_t)now_ms(); /* goes on where an earlier run's answers are not mistaken */
    while (fread(frame, sizeof frame, 1, stdin) == 1) {
        agn_dev_frame_begin(&dev, ++number, link_to_server.config.deadline_ms);
        if (agn_dev_push_rows(&dev, frame, AGN_MODEL_INPUT_H) < 0)
            return 1;
        ask_server(fd);
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
    struct agn_link_config config;
    memset(&config, 0, sizeof config);
    config.deadline_ms = 200;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s HOST [PORT] < frames of %d x %d x %d bytes\n", argv[0], AGN_MODEL_INPUT_H,
                AGN_MODEL_INPUT_W, AGN_MODEL_INPUT_C);
        return 2;
    }
    int fd = open_socket(argv[1], argc > 2 ? argv[2] : "5683");
    if (fd < 0) {
        fprintf(stderr, "%s: %s is not found, or there is no way to it\n", argv[0], argv[1]);
        return 1;
    }
    int status = agn_dev_init(&dev, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena);
    if (status == 0)
        status = agn_link_init(&link_to_server, &dev, &config, now_ms() ^ (uint32_t)getpid() << 16);
    if (status < 0) {
        fprintf(stderr, "%s: the model cannot be opened: error %d\n", argv[0], status);
        return 1;
    }
    status = classify(fd);
    close(fd);
    return status;
}

#endif
