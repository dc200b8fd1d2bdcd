/* Sockets by epoll; see ports.h. */
#define _GNU_SOURCE
#include "swarm/ports.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agilenn/base.h"

enum { READY_AT_ONCE = 256, SPARE_FILES = 32 };

struct agn__ports {
    int epoll;
    uint32_t count;
    int *sockets;
    struct epoll_event ready[READY_AT_ONCE];
};

static int resolve(const char *host, uint16_t port, struct sockaddr_storage *server, socklen_t *server_bytes)
{
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    int error = getaddrinfo(host, service, &hints, &list);
    if (error != 0)
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "cannot find the server '%s': %s; give an IP address or a host name", host,
                        gai_strerror(error));
    memset(server, 0, sizeof *server);
    memcpy(server, list->ai_addr, list->ai_addrlen);
    *server_bytes = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

static int allow_files(uint32_t count)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)count + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return 0;
    rlim_t hard = limit.rlim_max;
    limit.rlim_cur = wanted;
    if (wanted <= hard && setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return 0;
    return agn_fail(
        AGN_ERR_IO,
        "%u devices need as many sockets, but this process may open %llu files; take fewer devices or "
        "raise the limit (ulimit -Hn)",
        count, (unsigned long long)hard);
}

static int open_socket(struct agn__ports *ports, uint32_t device, const struct sockaddr_storage *server,
                       socklen_t server_bytes)
{
    int fd = socket(server->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return agn_fail(AGN_ERR_IO, "no socket for device %u: %s", device, strerror(errno));
    ports->sockets[device] = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = device};
    if (connect(fd, (const struct sockaddr *)server, server_bytes) != 0 ||
        epoll_ctl(ports->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return agn_fail(AGN_ERR_IO, "the socket of device %u cannot be used: %s", device, strerror(errno));
    return 0;
}

int agn__ports_open(struct agn__ports **ports, const char *host, uint16_t port, uint32_t count)
{
    struct sockaddr_storage server;
    socklen_t server_bytes = 0;
    int status = resolve(host, port, &server, &server_bytes);
    if (status == 0)
        status = allow_files(count);
    if (status < 0)
        return status;
    struct agn__ports *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->epoll = epoll_create1(EPOLL_CLOEXEC);
    made->sockets = agn_alloc(count, sizeof *made->sockets);
    made->count = made->sockets ? count : 0;
    for (uint32_t i = 0; i < made->count; i++)
        made->sockets[i] = -1;
    if (!made->sockets)
        status = AGN_ERR_MEMORY;
    else if (made->epoll < 0)
        status = agn_fail(AGN_ERR_IO, "no way to wait for many sockets: %s", strerror(errno));
    for (uint32_t i = 0; status == 0 && i < count; i++)
        status = open_socket(made, i, &server, server_bytes);
    if (status < 0) {
        agn__ports_free(made);
        return status;
    }
    *ports = made;
    return 0;
}

void agn__ports_free(struct agn__ports *ports)
{
    if (!ports)
        return;
    for (uint32_t i = 0; i < ports->count; i++)
        if (ports->sockets[i] >= 0)
            close(ports->sockets[i]);
    if (ports->epoll >= 0)
        close(ports->epoll);
    agn_free(ports->sockets);
    agn_free(ports);
}

int agn__ports_send(struct agn__ports *ports, uint32_t device, const uint8_t *bytes, size_t len)
{
    int fd = ports->sockets[device];
    /* The first error may belong to an earlier datagram: an ICMP message that has come since. */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (send(fd, bytes, len, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
            return AGN_ERR_BUSY;
    }
    return AGN_ERR_IO;
}

int agn__ports_wait(struct agn__ports *ports, double seconds)
{
    if (seconds > 0) { /* epoll_wait counts in milliseconds, too coarse for a schedule */
        struct pollfd waiting = {.fd = ports->epoll, .events = POLLIN};
        time_t whole = (time_t)seconds;
        struct timespec timeout = {.tv_sec = whole, .tv_nsec = (long)((seconds - (double)whole) * 1e9)};
        if (ppoll(&waiting, 1, &timeout, NULL) < 0 && errno != EINTR)
            return agn_fail(AGN_ERR_IO, "waiting for datagrams failed: %s", strerror(errno));
        if (!(waiting.revents & POLLIN))
            return 0;
    }
    int count = epoll_wait(ports->epoll, ports->ready, READY_AT_ONCE, 0);
    if (count < 0 && errno != EINTR)
        return agn_fail(AGN_ERR_IO, "waiting for datagrams failed: %s", strerror(errno));
    return count > 0 ? count : 0;
}

size_t agn__ports_receive(struct agn__ports *ports, int ready, uint32_t *device, uint8_t *bytes, size_t cap)
{
    *device = ports->ready[ready].data.u32;
    ssize_t length = recv(ports->sockets[*device], bytes, cap, 0);
    return length > 0 ? (size_t)length : 0; /* errors are of earlier datagrams: their frames wait in vain */
}
