/* The client's UDP socket; see link.h. */
#define _GNU_SOURCE
#include "client/link.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agilenn/base.h"

enum { MAX_STALE_DATAGRAMS = 256 };

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
    opened.fd = socket(opened.server.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened.fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot open a UDP socket to %s:%u: %s", host, (unsigned)port,
                        strerror(errno));
    *link = opened;
    return 0;
}

void agn__link_close(struct agn__link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

int agn__link_begin(struct agn__link *link)
{
    /* Connecting sends nothing; it lets the system tell of a closed port and keeps strangers out. */
    if (!link->connected) {
        if (connect(link->fd, (struct sockaddr *)&link->server, link->server_bytes) != 0)
            return AGN_ERR_IO;
        link->connected = true;
    }
    uint8_t byte;
    for (int i = 0; i < MAX_STALE_DATAGRAMS; i++)
        if (recv(link->fd, &byte, sizeof byte, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
    return 0;
}

/* Whether an error only says that there is no room or no datagram just now. */
static bool is_passing(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM || error == EINTR;
}

int agn__link_send(struct agn__link *link, const uint8_t *bytes, size_t len)
{
    if (send(link->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return is_passing(errno) ? AGN_ERR_BUSY : AGN_ERR_IO;
}

/* Waits until the socket has something; false when the time is over. */
static bool wait_readable(int fd, double until_s)
{
    for (;;) {
        double left_s = until_s - agn_now_s();
        if (left_s <= 0.0)
            return false;
        struct timespec left = {.tv_sec = (time_t)left_s};
        left.tv_nsec = (long)((left_s - (double)left.tv_sec) * 1e9);
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (ppoll(&waiting, 1, &left, NULL) > 0)
            return true;
    }
}

int agn__link_receive(struct agn__link *link, uint8_t *bytes, size_t cap, double until_s)
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
