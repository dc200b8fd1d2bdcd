/* The client's socket and session; see link.h. */
#define _GNU_SOURCE
#include "client/link.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/dtls_session.h"

enum { MAX_STALE_DATAGRAMS = 256, MAX_DATAGRAM = 4096 };

static int open_socket(const struct agn__link *link)
{
    return socket(link->server.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int agn__link_open(struct agn__link *link, const char *host, uint16_t port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int error = getaddrinfo(host, service, &hints, &list);
    if (error != 0)
        return agn_fail(AGN_ERR_NOT_FOUND, "cannot find the server '%s': %s; give its IP address or name",
                        host, gai_strerror(error));
    struct agn__link opened = {.fd = -1, .server_bytes = list->ai_addrlen};
    memcpy(&opened.server, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    opened.fd = open_socket(&opened);
    if (opened.fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot open a UDP socket to %s:%u: %s", host, (unsigned)port,
                        strerror(errno));
    *link = opened;
    return 0;
}

/* Whether an error only says that there is no room or no datagram just now. */
static bool is_passing(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM || error == EINTR;
}

static int send_datagram(void *user, const uint8_t *bytes, size_t len)
{
    const struct agn__link *link = user;
    if (send(link->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return is_passing(errno) ? AGN_ERR_BUSY : AGN_ERR_IO;
}

/* Waits until the socket has something; false when the time is over or an interrupt was asked for, which a
 * signal between the question and the wait does not cut short. */
static bool wait_readable(int fd, double until_s)
{
    const double look_up_s = 0.1;
    for (;;) {
        double left_s = fmin(until_s - agn_now_s(), look_up_s);
        if (left_s <= 0.0 || agn_interrupt_requested())
            return false;
        struct timespec left = {.tv_sec = (time_t)left_s};
        left.tv_nsec = (long)((left_s - (double)left.tv_sec) * 1e9);
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (ppoll(&waiting, 1, &left, NULL) > 0)
            return true;
    }
}

/* Length of a datagram (> 0), AGN_ERR_TIMEOUT, AGN_ERR_IO. */
static int receive_datagram(struct agn__link *link, uint8_t *bytes, size_t cap, double until_s)
{
    while (wait_readable(link->fd, until_s)) {
        ssize_t length = recv(link->fd, bytes, cap, MSG_DONTWAIT);
        if (length > 0)
            return length <= INT_MAX ? (int)length : INT_MAX;
        if (length < 0 && !is_passing(errno))
            return AGN_ERR_IO;
    }
    return AGN_ERR_TIMEOUT;
}

/* ---- sessions -------------------------------------------------------------------------- */

int agn__link_secure(struct agn__link *link, const char *identity, const uint8_t *key, size_t key_bytes)
{
    const struct agn_dtls_config config = {
        .identity = identity, .key = key, .key_bytes = key_bytes, .send = send_datagram, .user = link};
    return agn_dtls_create(&link->dtls, &config);
}

void agn__link_close(struct agn__link *link)
{
    agn_dtls_free(link->dtls);
    link->dtls = NULL;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

void agn__link_renew(struct agn__link *link)
{
    if (!link->dtls || agn_dtls_state(link->dtls) == AGN_DTLS_HANDSHAKE)
        return;
    int fd = open_socket(link);
    if (fd >= 0) { /* or else from the old port, which may do as well */
        close(link->fd);
        link->fd = fd;
        link->connected = false;
    }
    (void)agn_dtls_restart(link->dtls); /* without memory it stays without a session, and is tried again */
}

static int handshake(struct agn__link *link, double until_s)
{
    uint8_t datagram[MAX_DATAGRAM], none;
    enum agn_dtls_state state;
    while ((state = agn_dtls_advance(link->dtls)) == AGN_DTLS_HANDSHAKE) {
        double again_s = agn_now_s() + agn_dtls_wait_s(link->dtls);
        int length = receive_datagram(link, datagram, sizeof datagram, again_s < until_s ? again_s : until_s);
        if (length > 0)
            (void)agn_dtls_take(link->dtls, datagram, (size_t)length, &none, sizeof none);
        else if (length == AGN_ERR_IO)
            return length;
        else if (agn_now_s() >= until_s)
            return AGN_ERR_TIMEOUT;
    }
    return state == AGN_DTLS_READY ? 0 : state == AGN_DTLS_REFUSED ? AGN_ERR_UNSUPPORTED : AGN_ERR_TIMEOUT;
}

static void drop_stale(struct agn__link *link)
{
    uint8_t byte;
    for (int i = 0; i < MAX_STALE_DATAGRAMS; i++)
        if (recv(link->fd, &byte, sizeof byte, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
}

int agn__link_begin(struct agn__link *link, double until_s)
{
    if (link->dtls && agn_dtls_state(link->dtls) == AGN_DTLS_LOST)
        agn__link_renew(link);
    /* Connecting sends nothing; it lets the system tell of a closed port and keeps strangers out. */
    if (!link->connected) {
        if (connect(link->fd, (struct sockaddr *)&link->server, link->server_bytes) != 0)
            return AGN_ERR_IO;
        link->connected = true;
    }
    if (link->dtls && agn_dtls_state(link->dtls) != AGN_DTLS_READY)
        return handshake(link, until_s);
    drop_stale(link);
    return 0;
}

/* ---- messages --------------------------------------------------------------------------- */

int agn__link_send(struct agn__link *link, const uint8_t *bytes, size_t len)
{
    return link->dtls ? agn_dtls_send(link->dtls, bytes, len) : send_datagram(link, bytes, len);
}

int agn__link_receive(struct agn__link *link, uint8_t *bytes, size_t cap, double until_s)
{
    if (!link->dtls)
        return receive_datagram(link, bytes, cap, until_s);
    uint8_t datagram[MAX_DATAGRAM];
    for (;;) {
        int length = receive_datagram(link, datagram, sizeof datagram, until_s);
        if (length < 0)
            return length;
        size_t message = agn_dtls_take(link->dtls, datagram, (size_t)length, bytes, cap);
        if (message > 0)
            return (int)message;
        if (agn_dtls_state(link->dtls) != AGN_DTLS_READY)
            return AGN_ERR_TIMEOUT; /* closed by the server: no answer will come */
    }
}

int agn__link_glance(struct agn__link *link, uint8_t *bytes, size_t cap)
{
    uint8_t datagram[MAX_DATAGRAM];
    bool secure = link->dtls != NULL;
    if (!link->connected || (secure && agn_dtls_state(link->dtls) != AGN_DTLS_READY))
        return AGN_ERR_TIMEOUT; /* a handshake's datagrams are not for the caller */
    ssize_t length = secure ? recv(link->fd, datagram, sizeof datagram, MSG_DONTWAIT)
                            : recv(link->fd, bytes, cap, MSG_DONTWAIT);
    if (length < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? AGN_ERR_TIMEOUT : 0;
    return secure ? (int)agn_dtls_take(link->dtls, datagram, (size_t)length, bytes, cap) : (int)length;
}
