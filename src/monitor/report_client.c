/* The sender of reports: one small POST, one line of the answer. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/monitor.h"
#include "monitor/listen.h"

enum { STEP_S = 2, MAX_URL_BYTES = 512 };

/* Connects, or gives a status. */
static int dial(const char *host, const char *port, int *socket_fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *places = NULL;
    int failed = getaddrinfo(host, port, &hints, &places);
    if (failed != 0)
        return agn_fail(AGN_ERR_NOT_FOUND, "cannot find the host '%s' to report to: %s", host,
                        gai_strerror(failed));
    const struct timeval limit = {.tv_sec = STEP_S};
    int fd = -1, error = EADDRNOTAVAIL;
    for (const struct addrinfo *place = places; place && fd < 0; place = place->ai_next) {
        fd = socket(place->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
                        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
                        connect(fd, place->ai_addr, place->ai_addrlen) != 0)) {
            error = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(places);
    if (fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot report to %s:%s: %s", host, port, strerror(error));
    *socket_fd = fd;
    return 0;
}

/* Gives the answer's HTTP code, 0 when there is none. */
static int post(int fd, const char *host, const struct agn_monitor_truth *truth)
{
    char body[160], request[640], answer[32] = "";
    int body_bytes = snprintf(body, sizeof body,
                              "{\"predictions\": %" PRIu64 ", \"correct\": %" PRIu64
                              ", \"fallbacks\": %" PRIu64 ", \"paused\": %" PRIu64 "}",
                              truth->predictions, truth->correct, truth->fallbacks, truth->paused);
    int bytes = snprintf(request, sizeof request,
                         "POST /report HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                         "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
                         host, body_bytes, body);
    if (send(fd, request, (size_t)bytes, MSG_NOSIGNAL) != bytes)
        return 0;
    ssize_t got = recv(fd, answer, sizeof answer - 1, MSG_WAITALL);
    static const char status_line[] = "HTTP/1.1 ";
    bool told = got > 0 && strncmp(answer, status_line, strlen(status_line)) == 0;
    return told ? (int)strtol(answer + strlen(status_line), NULL, 10) : 0;
}

int agn_monitor_report(const char *url, const struct agn_monitor_truth *truth)
{
    static const char scheme[] = "http://";
    char place[MAX_URL_BYTES], host[AGN__HOST_BYTES];
    const char *begin = strncmp(url, scheme, strlen(scheme)) == 0 ? url + strlen(scheme) : url, *port;
    size_t length = strlen(begin);
    length -= length > 0 && begin[length - 1] == '/';
    if (length >= sizeof place)
        return agn_fail(AGN_ERR_ARG, "an address of %zu bytes to report to, expected HOST:PORT", length);
    memcpy(place, begin, length);
    place[length] = '\0';
    int fd = -1, status = agn__split_address(place, host, &port);
    if (status >= 0)
        status = dial(host, port, &fd);
    if (status < 0)
        return status;
    int code = post(fd, host, truth);
    close(fd);
    if (code == 404 || code == 405)
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "%s does not accept reports (agilenn serve --accept-reports does)", url);
    return code == 200 ? 0 : agn_fail(AGN_ERR_IO, "%s did not take the report (HTTP status %d)", url, code);
}
