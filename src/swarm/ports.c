/* Sockets by epoll, sessions by src/client/dtls.h; see ports.h. */
#define _GNU_SOURCE
#include "swarm/ports.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "agilenn/dtls_session.h"
#include "agilenn/keys.h"

enum {
    READY_AT_ONCE = 256,
    SPARE_FILES = 32,
    HANDSHAKES_AT_ONCE = 32,
    TICK_MS = 20,
    DATAGRAM_BYTES = 4096,
};

static const double stuck_s =
    1.5; /* doubled with every attempt: a busy server needs longer, not more of them */

struct port {
    int fd;
    struct agn_dtls *dtls; /* NULL: plain */
    double begun_s;        /* its handshake; 0: not yet */
    double patience_s;     /* with it; 0: stuck_s */
};

struct agn__ports {
    int epoll;
    uint32_t count;
    struct port *devices;
    bool secure;
    uint32_t
        renewing; /* sessions being made anew, at most: those that are done are found out by the next tick */
    double ticked_s;
    struct sockaddr_storage server;
    socklen_t server_bytes;
    struct epoll_event ready[READY_AT_ONCE];
    uint8_t datagram[DATAGRAM_BYTES];
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

static int open_socket(struct agn__ports *ports, uint32_t device)
{
    int fd = socket(ports->server.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return agn_fail(AGN_ERR_IO, "no socket for device %u: %s", device, strerror(errno));
    ports->devices[device].fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = device};
    if (connect(fd, (const struct sockaddr *)&ports->server, ports->server_bytes) != 0 ||
        epoll_ctl(ports->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return agn_fail(AGN_ERR_IO, "the socket of device %u cannot be used: %s", device, strerror(errno));
    return 0;
}

/* A callback of agn_dtls, and the way out of plain ports. */
static int send_datagram(void *user, const uint8_t *bytes, size_t len)
{
    const struct port *port = user;
    /* The first error may belong to an earlier datagram: an ICMP message that has come since. */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (send(port->fd, bytes, len, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
            return AGN_ERR_BUSY;
    }
    return AGN_ERR_IO;
}

static int secure(struct agn__ports *ports, uint32_t device, const struct agn_keys *keys)
{
    struct port *port = &ports->devices[device];
    struct agn_dtls_config config = {.send = send_datagram, .user = port};
    config.identity = agn_keys_identity(keys, (int)(device % (uint32_t)agn_keys_count(keys)));
    config.key = agn_keys_find(keys, config.identity, strlen(config.identity), &config.key_bytes);
    return agn_dtls_create(&port->dtls, &config);
}

static int open_device(struct agn__ports *ports, uint32_t device, const struct agn_keys *keys)
{
    int status = open_socket(ports, device);
    return status == 0 && keys ? secure(ports, device, keys) : status;
}

int agn__ports_open(struct agn__ports **ports, const char *host, uint16_t port, uint32_t count,
                    const struct agn_keys *keys)
{
    struct agn__ports *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->epoll = epoll_create1(EPOLL_CLOEXEC);
    made->secure = keys != NULL;
    made->count = 0; /* sockets opened */
    int status = resolve(host, port, &made->server, &made->server_bytes);
    if (status == 0)
        status = allow_files(count);
    if (status == 0 && made->epoll < 0)
        status = agn_fail(AGN_ERR_IO, "cannot wait for many sockets: %s", strerror(errno));
    if (status == 0)
        made->devices = agn_alloc(count, sizeof *made->devices);
    if (status == 0 && !made->devices)
        status = AGN_ERR_MEMORY;
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        made->devices[i].fd = -1;
        made->count = i + 1;
        status = open_device(made, i, keys);
    }
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
    for (uint32_t i = 0; i < ports->count; i++) {
        agn_dtls_free(ports->devices[i].dtls);
        if (ports->devices[i].fd >= 0)
            close(ports->devices[i].fd);
    }
    if (ports->epoll >= 0)
        close(ports->epoll);
    agn_free(ports->devices);
    agn_free(ports);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static int judge_session(const struct agn__ports *ports, uint32_t device)
{
    switch (agn_dtls_state(ports->devices[device].dtls)) {
    case AGN_DTLS_READY:
        return 1;
    case AGN_DTLS_REFUSED:
        return agn_fail(
            AGN_ERR_UNSUPPORTED,
            "the server does not accept the identity and key of device %u; does it listen for DTLS at "
            "this port, with the same key file?",
            device);
    case AGN_DTLS_LOST:
        return agn_fail(AGN_ERR_TIMEOUT,
                        "no DTLS session for device %u; does the server listen for DTLS at this port?",
                        device);
    case AGN_DTLS_HANDSHAKE:
        break;
    }
    return 0;
}

/* Takes what comes for some milliseconds: handshakes only, as nothing has been sent yet. */
static int take_handshakes(struct agn__ports *ports)
{
    uint8_t message[16];
    uint32_t device;
    int ready = agn__ports_wait(ports, TICK_MS / 1000.0);
    for (int i = 0; i < ready; i++)
        (void)agn__ports_receive(ports, i, &device, message, sizeof message);
    return ready;
}

/* A new session from a new port. */
static int begin_anew(struct agn__ports *ports, uint32_t device)
{
    struct port *port = &ports->devices[device];
    /* Closing alone would not do where another process holds the socket, too. */
    (void)epoll_ctl(ports->epoll, EPOLL_CTL_DEL, port->fd, NULL);
    close(port->fd);
    port->fd = -1;
    port->begun_s = 0;
    int status = open_socket(ports, device);
    return status == 0 ? agn_dtls_restart(port->dtls) : status;
}

/* Goes on with a device's handshake, if it is at one. A server that still has a session of the same address
 * and port, of an earlier run, ignores a handshake: then another port must do. Returns 1 while at it, or a
 * status. */
static int advance(struct agn__ports *ports, uint32_t device, double now_s)
{
    struct port *port = &ports->devices[device];
    if (port->begun_s <= 0)
        port->begun_s = now_s;
    if (agn_dtls_advance(port->dtls) != AGN_DTLS_HANDSHAKE) {
        port->patience_s = stuck_s;
        return 0;
    }
    port->patience_s = fmax(port->patience_s, stuck_s);
    if (now_s <= port->begun_s + port->patience_s)
        return 1;
    port->patience_s *= 2;
    int status = begin_anew(ports, device);
    return status < 0 ? status : 1;
}

/* Sessions lost since the last run are begun anew. Returns how many there are already. */
static int count_sessions(struct agn__ports *ports)
{
    int count = 0;
    for (uint32_t i = 0; i < ports->count; i++) {
        enum agn_dtls_state state = agn_dtls_state(ports->devices[i].dtls);
        count += state == AGN_DTLS_READY;
        int status = state == AGN_DTLS_LOST ? begin_anew(ports, i) : 0;
        if (status < 0)
            return status;
    }
    return count;
}

static int fail_late(const struct agn__ports *ports, uint32_t done, double seconds)
{
    return agn_fail(AGN_ERR_TIMEOUT, "only %u of %u DTLS sessions were made in %.0f s; %s", done,
                    ports->count, seconds,
                    done == 0 ? "does the server listen for DTLS at this port?"
                              : "take fewer devices, or see what keeps the server busy");
}

/* Goes on with some handshakes from device `first` on. */
static int advance_some(struct agn__ports *ports, uint32_t first)
{
    double now_s = agn_now_s();
    int open = 0;
    for (uint32_t i = first; i < ports->count && open < HANDSHAKES_AT_ONCE; i++) {
        int status = advance(ports, i, now_s);
        if (status < 0)
            return status;
        open += status;
    }
    return 0;
}

int agn__ports_connect(struct agn__ports *ports, double seconds)
{
    if (!ports->secure)
        return 0;
    double until_s = agn_now_s() + seconds;
    uint32_t done = 0; /* all before have a session */
    int before = count_sessions(ports), status = before;
    while (status >= 0 && done < ports->count) {
        status = advance_some(ports, done);
        if (status == 0)
            status = take_handshakes(ports);
        while (status >= 0 && done < ports->count && (status = judge_session(ports, done)) > 0)
            done++;
        if (status >= 0 && agn_interrupt_requested())
            status = agn_fail(AGN_ERR_INTERRUPTED, "interrupted while DTLS sessions were made");
        if (status >= 0 && done < ports->count && agn_now_s() > until_s)
            status = fail_late(ports, done, seconds);
    }
    return status < 0 ? status : (int)ports->count - before;
}

int agn__ports_renew(struct agn__ports *ports, uint32_t device)
{
    const struct port *port = &ports->devices[device];
    if (!port->dtls || agn_dtls_state(port->dtls) == AGN_DTLS_HANDSHAKE)
        return 0;
    int status = begin_anew(ports, device);
    if (status == 0)
        status = advance(ports, device, agn_now_s());
    ports->renewing++;
    return status < 0 ? status : 0;
}

void agn__ports_tick(struct agn__ports *ports)
{
    double now_s = agn_now_s();
    if (ports->renewing == 0 || now_s < ports->ticked_s + TICK_MS / 1000.0)
        return;
    ports->ticked_s = now_s;
    ports->renewing = 0;
    for (uint32_t i = 0; i < ports->count; i++)
        ports->renewing += advance(ports, i, now_s) > 0;
}

/* ---- messages ------------------------------------------------------------------------------- */

int agn__ports_send(struct agn__ports *ports, uint32_t device, const uint8_t *bytes, size_t len)
{
    struct port *port = &ports->devices[device];
    return port->dtls ? agn_dtls_send(port->dtls, bytes, len) : send_datagram(port, bytes, len);
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
    struct port *port = &ports->devices[*device];
    uint8_t *datagram = port->dtls ? ports->datagram : bytes;
    ssize_t length = recv(port->fd, datagram, port->dtls ? sizeof ports->datagram : cap, 0);
    if (length <= 0) /* an error is of an earlier datagram: its frame waits in vain */
        return 0;
    return port->dtls ? agn_dtls_take(port->dtls, datagram, (size_t)length, bytes, cap) : (size_t)length;
}
