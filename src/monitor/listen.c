/* From "[ADDRESS:]PORT" to a listening socket. */
#define _GNU_SOURCE
#include "monitor/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agilenn/base.h"

enum { BACKLOG = 64 };

int agn__split_address(const char *where, char host[AGN__HOST_BYTES], const char **port)
{
    const char *colon = strrchr(where, ':');
    const char *begin = where, *end = colon ? colon : where;
    *port = colon ? colon + 1 : where;
    if (*begin == '[') {
        if (end <= begin + 1 || end[-1] != ']')
            return agn_fail(AGN_ERR_ARG, "'%s': expected [ADDRESS]:PORT, as in [::1]:9090", where);
        begin++;
        end--;
    } else if (memchr(begin, ':', (size_t)(end - begin))) {
        return agn_fail(AGN_ERR_ARG, "'%s': expected an IPv6 address in brackets, as in [::1]:9090", where);
    }
    size_t length = (size_t)(end - begin);
    if (length >= AGN__HOST_BYTES || (colon && length == 0))
        return agn_fail(AGN_ERR_ARG, "'%s': expected [ADDRESS:]PORT, as in 127.0.0.1:9090", where);
    if (colon)
        memcpy(host, begin, length);
    else
        memcpy(host, "127.0.0.1", length = strlen("127.0.0.1"));
    host[length] = '\0';
    char *rest = NULL;
    unsigned long number = **port >= '0' && **port <= '9' ? strtoul(*port, &rest, 10) : 65536;
    if (number > 65535 || *rest != '\0')
        return agn_fail(AGN_ERR_ARG, "'%s': expected a TCP port of 0 to 65535 at the end", where);
    return 0;
}

static int open_at(const struct addrinfo *place, int *socket_fd)
{
    int fd = socket(place->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int one = 1;
    /* A server that begins again may have its port back while old connections linger. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, place->ai_addr, place->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    *socket_fd = fd;
    return 0;
}

static int describe(struct agn__listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    if (getsockname(listener->fd, (struct sockaddr *)&address, &length) != 0)
        return -errno;
    char host[64], port[8];
    if (getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EINVAL;
    bool six = strchr(host, ':') != NULL;
    listener->port = (uint16_t)strtoul(port, NULL, 10);
    snprintf(listener->url, sizeof listener->url, "http://%s%s%s:%s/", six ? "[" : "", host, six ? "]" : "",
             port);
    return 0;
}

int agn__monitor_listen(const char *where, struct agn__listener *listener)
{
    char host[AGN__HOST_BYTES];
    const char *service;
    int status = agn__split_address(where, host, &service);
    if (status < 0)
        return status;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *places = NULL;
    int failed = getaddrinfo(host, service, &hints, &places);
    if (failed != 0)
        return agn_fail(AGN_ERR_NOT_FOUND, "cannot find the host '%s' to serve HTTP at: %s", host,
                        gai_strerror(failed));
    int error = -EADDRNOTAVAIL;
    for (const struct addrinfo *place = places; place; place = place->ai_next) {
        error = open_at(place, &listener->fd);
        if (error == 0)
            break;
    }
    freeaddrinfo(places);
    if (error == 0 && (error = describe(listener)) != 0)
        close(listener->fd);
    if (error == -EADDRINUSE)
        return agn_fail(AGN_ERR_BUSY, "cannot serve HTTP at %s: the port is in use", where);
    if (error != 0)
        return agn_fail(AGN_ERR_IO, "cannot serve HTTP at %s: %s", where, strerror(-error));
    return 0;
}
