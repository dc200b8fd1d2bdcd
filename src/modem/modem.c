/* The modem on a host: its sockets and its loop. What it says is esp.c's matter, the radio radio.c's. */
#define _POSIX_C_SOURCE 200809L
#include "agilenn/modem.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "modem/esp.h"
#include "modem/line.h"

enum { READ_BYTES = 4096, MAX_WAIT_MS = 200 };

struct agn_modem {
    struct agn_modem_config config;
    struct agn__line line;
    struct agn__esp esp;
    struct sockaddr_storage server; /* with config.server_host */
    socklen_t server_bytes;
    int udp; /* -1: none */
    double begin_s;
    uint8_t unsent[READ_BYTES]; /* to the device: taken from esp, not yet written */
    size_t unsent_bytes, unsent_done;
};

/* ---- the network ------------------------------------------------------------------------------- */

/* The first address of a host. 0, or AGN_ERR_NOT_FOUND with a sentence. */
static int find_host(const char *host, uint16_t port, struct sockaddr_storage *address, socklen_t *bytes)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int error = getaddrinfo(host, service, &hints, &found);
    if (error != 0)
        return agn_fail(AGN_ERR_NOT_FOUND, "no host '%s': %s", host, gai_strerror(error));
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

/* The local port that the device names is its affair: here others may have it. */
static int open_socket(void *user, const char *host, uint16_t port, uint16_t local_port)
{
    struct agn_modem *modem = user;
    struct sockaddr_storage address = modem->server;
    socklen_t bytes = modem->server_bytes;
    (void)local_port;
    if (!modem->config.server_host && find_host(host, port, &address, &bytes) < 0) {
        agn_log(AGN_LOG_WARN, "the device asked for a host that cannot be found: %s", host);
        return AGN_ERR_NOT_FOUND;
    }
    if (modem->udp >= 0)
        close(modem->udp);
    modem->udp = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (modem->udp < 0 || connect(modem->udp, (const struct sockaddr *)&address, bytes) != 0) {
        agn_log(AGN_LOG_WARN, "no way to %s: %s", host, strerror(errno));
        return AGN_ERR_IO;
    }
    return 0;
}

/* The host's socket stays: datagrams are in the air still. */
static void close_socket(void *user)
{
    (void)user;
}

static int send_datagram(void *user, const uint8_t *bytes, size_t len)
{
    struct agn_modem *modem = user;
    return modem->udp >= 0 && send(modem->udp, bytes, len, MSG_NOSIGNAL) >= 0 ? 0 : AGN_ERR_IO;
}

/* Takes what has come. Longer datagrams than a modem takes are lost, and counted by esp. */
static void receive_datagrams(struct agn_modem *modem, double now_s)
{
    uint8_t bytes[AGN__RADIO_BYTES + 1];
    for (int i = 0; i < AGN__RADIO_DATAGRAMS && modem->udp >= 0; i++) {
        ssize_t len = recv(modem->udp, bytes, sizeof bytes, 0);
        if (len < 0 && errno != ECONNREFUSED && errno != EINTR)
            return;
        if (len >= 0)
            agn__esp_from_server(&modem->esp, bytes, (size_t)len, now_s);
        else
            modem->esp.stats.network_errors += errno == ECONNREFUSED;
    }
}

/* ---- the line ---------------------------------------------------------------------------------- */

static int write_to_device(struct agn_modem *modem)
{
    for (;;) {
        if (modem->unsent_done == modem->unsent_bytes) {
            modem->unsent_done = 0;
            modem->unsent_bytes = agn__esp_to_device(&modem->esp, modem->unsent, sizeof modem->unsent);
            if (modem->unsent_bytes == 0)
                return 0;
        }
        int written = agn__line_write(&modem->line, modem->unsent + modem->unsent_done,
                                      modem->unsent_bytes - modem->unsent_done);
        if (written <= 0)
            return written;
        modem->unsent_done += (size_t)written;
    }
}

static int read_from_device(struct agn_modem *modem, double now_s)
{
    uint8_t bytes[READ_BYTES];
    int len = agn__line_read(&modem->line, bytes, sizeof bytes);
    if (len > 0)
        agn__esp_from_device(&modem->esp, bytes, (size_t)len, now_s);
    return len < 0 ? len : 0;
}

/* Waits for bytes, datagrams, or what is due next. */
static void wait_for_work(struct agn_modem *modem, double next_s, double now_s)
{
    bool must_write = modem->unsent_done < modem->unsent_bytes;
    struct pollfd waits[2] = {{.fd = modem->line.fd, .events = (short)(POLLIN | (must_write ? POLLOUT : 0))},
                              {.fd = modem->udp, .events = POLLIN}};
    double wait_ms = ceil(1e3 * fmax(0.0, next_s - now_s));
    (void)poll(waits, 2, wait_ms < MAX_WAIT_MS ? (int)wait_ms : MAX_WAIT_MS);
}

int agn_modem_run(struct agn_modem *modem, double seconds)
{
    double until_s = agn_now_s() + seconds;
    for (;;) {
        double now_s = agn_now_s();
        if (agn_interrupt_requested())
            return 0;
        if (now_s >= until_s)
            return 1;
        int status = read_from_device(modem, now_s);
        receive_datagrams(modem, now_s);
        double next_s = agn__esp_advance(&modem->esp, now_s);
        if (status == 0)
            status = write_to_device(modem);
        if (status < 0)
            return status == AGN_ERR_NOT_FOUND ? 0 : status;
        wait_for_work(modem, fmin(next_s, until_s), now_s);
    }
}

/* ---- creation ---------------------------------------------------------------------------------- */

static int check_share(const char *what, double share)
{
    return share >= 0 && share <= 1 ? 0 : agn_fail(AGN_ERR_ARG, "%s of %g, expected 0 to 1", what, share);
}

static int check_model(const struct agn_modem_model *model)
{
    const struct {
        const char *what;
        double share;
    } shares[] = {{"a share of lost datagrams", model->loss},
                  {"a share of reordered datagrams", model->reorder},
                  {"a share of lost and corrupted bytes", model->uart_loss + model->uart_corrupt},
                  {"a share of lost bytes", model->uart_loss},
                  {"a share of corrupted bytes", model->uart_corrupt},
                  {"a share of resets", model->reset},
                  {"a share of busy and ERROR replies", model->busy + model->error},
                  {"a share of busy replies", model->busy},
                  {"a share of ERROR replies", model->error}};
    for (size_t i = 0; i < AGN_COUNT_OF(shares); i++)
        if (check_share(shares[i].what, shares[i].share) < 0)
            return AGN_ERR_ARG;
    const double numbers[] = {model->bandwidth_bps, model->delay_s, model->jitter_s, model->boot_s,
                              model->command_s};
    for (size_t i = 0; i < AGN_COUNT_OF(numbers); i++)
        if (!(numbers[i] >= 0) || isinf(numbers[i]))
            return agn_fail(AGN_ERR_ARG, "a bandwidth or time of %g, expected 0 or more", numbers[i]);
    return 0;
}

int agn_modem_open(struct agn_modem **modem, const struct agn_modem_config *config)
{
    int status = check_model(&config->model);
    if (status < 0)
        return status;
    struct agn_modem *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->config = *config;
    made->udp = made->line.fd = made->line.keeper = -1;
    if (config->server_host)
        status = find_host(config->server_host, config->server_port, &made->server, &made->server_bytes);
    if (status == 0)
        status =
            agn__line_open(&made->line, config->line, config->path ? config->path : "", config->patience_s);
    if (status < 0) {
        agn_modem_free(made);
        return status;
    }
    const struct agn__esp_world world = {
        .user = made, .open = open_socket, .close = close_socket, .send = send_datagram};
    made->begin_s = agn_now_s();
    agn__esp_init(&made->esp, &config->model, &world, made->begin_s);
    *modem = made;
    return 0;
}

const char *agn_modem_line_name(const struct agn_modem *modem)
{
    return modem->line.name;
}

void agn_modem_stats(const struct agn_modem *modem, struct agn_modem_stats *stats)
{
    agn__esp_stats(&modem->esp, stats);
    stats->seconds = agn_now_s() - modem->begin_s;
}

void agn_modem_free(struct agn_modem *modem)
{
    if (!modem)
        return;
    agn__line_close(&modem->line);
    if (modem->udp >= 0)
        close(modem->udp);
    agn_free(modem);
}
