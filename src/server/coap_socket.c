/* The server's UDP sockets. libcoap opens and reads them; this file chooses the address, widens their buffers
 * and counts what the system drops because they are full. */
#define _GNU_SOURCE
#include <asm/socket.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "server/coap_internal.h"

enum {
    DTLS_RECORD_BYTES = 64, /* header, nonce and tag around a message, and to spare */
    MAX_DESCRIPTORS = 65536,
    DISCARD_AT_ONCE = 64, /* datagrams */
    MAX_DISCARDS = 256,   /* calls: more than a buffer holds, and an end where they come faster */
    MAX_AGE_S = 60,
    LAST_METHOD = 7, /* iPATCH */
    UDP_HEADER = 8,
};

/* ---- addresses ---------------------------------------------------------------------- */

static int resolve(const char *address, uint16_t port, struct sockaddr_storage *found, socklen_t *found_bytes)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int error = getaddrinfo(address, NULL, &hints, &list);
    if (error != 0)
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "cannot listen at '%s': %s; give an IP address or a host name of this machine",
                        address, gai_strerror(error));
    memset(found, 0, sizeof *found);
    memcpy(found, list->ai_addr, list->ai_addrlen);
    *found_bytes = list->ai_addrlen;
    freeaddrinfo(list);
    if (found->ss_family == AF_INET)
        ((struct sockaddr_in *)found)->sin_port = htons(port);
    else if (found->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)found)->sin6_port = htons(port);
    else
        return agn_fail(AGN_ERR_NOT_FOUND, "cannot listen at '%s': not an IP address", address);
    return 0;
}

/* libcoap sets SO_REUSEADDR, with which Linux lets two UDP servers share a port in silence. So a plain
 * socket takes the port first, which fails where somebody has it, and only then allows sharing. It is
 * closed as soon as libcoap's own socket stands. Returns the descriptor; ->port is then known. */
static int reserve_port(const char *address, struct sockaddr_storage *where, socklen_t where_bytes)
{
    uint16_t port = ntohs(where->ss_family == AF_INET6 ? ((struct sockaddr_in6 *)where)->sin6_port
                                                       : ((struct sockaddr_in *)where)->sin_port);
    int fd = socket(where->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot open a UDP socket for %s: %s", address, strerror(errno));
    int off = 0, on = 1;
    if (where->ss_family == AF_INET6) /* the same as libcoap, or the two would not meet */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)where, where_bytes) != 0) {
        int error = errno;
        close(fd);
        if (error == EADDRINUSE)
            return agn_fail(
                AGN_ERR_BUSY,
                "cannot listen at %s:%u: the port is in use; stop the other program or choose another port",
                address, (unsigned)port);
        return agn_fail(AGN_ERR_IO, "cannot listen at %s:%u: %s; choose an address of this machine%s",
                        address, (unsigned)port, strerror(error),
                        error == EACCES ? " and a port above 1023" : "");
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        getsockname(fd, (struct sockaddr *)where, &where_bytes) != 0) {
        int error = errno;
        close(fd);
        return agn_fail(AGN_ERR_IO, "cannot listen at %s:%u: %s", address, (unsigned)port, strerror(error));
    }
    return fd;
}

/* ---- the socket behind an endpoint --------------------------------------------------------- */

static bool is_bound_to(int fd, const struct sockaddr_storage *where, socklen_t where_bytes)
{
    struct sockaddr_storage found;
    socklen_t found_bytes = sizeof found, type_bytes = sizeof(int);
    int type;
    memset(&found, 0, sizeof found);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes) == 0 && type == SOCK_DGRAM &&
           getsockname(fd, (struct sockaddr *)&found, &found_bytes) == 0 && found_bytes == where_bytes &&
           memcmp(&found, where, where_bytes) == 0;
}

/* libcoap does not tell which descriptor it opened. Its descriptor or -1; `other` has the same address. */
static int find_socket(const struct sockaddr_storage *where, socklen_t where_bytes, int other)
{
    struct rlimit limit;
    int end = MAX_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < MAX_DESCRIPTORS)
        end = (int)limit.rlim_cur;
    for (int fd = 0; fd < end; fd++)
        if (fd != other && is_bound_to(fd, where, where_bytes))
            return fd;
    return -1;
}

/* A burst of datagrams that comes while the server is busy waits in the socket's buffer. */
static void widen(int fd, int port, int bytes)
{
    int obtained = 0;
    socklen_t size = sizeof obtained;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &obtained, &size) != 0) {
        agn_log(AGN_LOG_WARN, "start: the receive buffer of port %d keeps the system's size: %s", port,
                strerror(errno));
        return;
    }
    obtained /= 2; /* Linux doubles what was asked for, to count its own overhead in */
    agn_log(AGN_LOG_INFO, "start: receive buffer of port %d: %d bytes%s", port, obtained,
            obtained < bytes ? ", all that net.core.rmem_max allows" : "");
}

/* libcoap answers methods that nobody has defined at more than three times their length, and a ping that is
 * meant for TCP five times over. The system throws away what has such a code (the second byte behind the UDP
 * header, in messages of version 1) before libcoap reads it; requests and empty messages (0.00 to 0.07) pass.
 * So does what is no CoAP, to be counted: libcoap answers it with 4 bytes at most. All is cut at what libcoap
 * would read of it. */
static bool filter_datagrams(int fd, int port, bool dtls)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, UDP_HEADER + 2, 0, 5), /* too short for a code */
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, UDP_HEADER),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xc0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 2), /* another version */
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, UDP_HEADER + 1),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_METHOD, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UDP_HEADER + AGN__DATAGRAM_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    enum { CUT_ONLY = AGN_COUNT_OF(steps) - 2 };
    struct sock_fprog filter = {.len = dtls ? 1 : AGN_COUNT_OF(steps),
                                .filter = dtls ? steps + CUT_ONLY : steps};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0)
        return true;
    agn_log(AGN_LOG_WARN, "start: port %d also receives messages that are not requests: %s", port,
            strerror(errno));
    return false;
}

static void remember(struct agn__coap *coap, const struct agn__coap_config *config, int fd, int port,
                     coap_proto_t protocol)
{
    if (fd < 0) {
        agn_log(AGN_LOG_WARN,
                "start: the socket of port %d was not found; its receive buffer keeps the system's size",
                port);
        return;
    }
    bool dtls = protocol == COAP_PROTO_DTLS;
    widen(fd, port, config->receive_buffer);
    bool peeks = filter_datagrams(fd, port, dtls) && agn__strays_begin(fd);
    coap->sockets[coap->socket_count++] = (struct agn__socket){.fd = fd, .dtls = dtls, .peeks = peeks};
}

int agn__coap_listen(struct agn__coap *coap, const struct agn__coap_config *config, uint16_t port,
                     coap_proto_t protocol)
{
    struct sockaddr_storage where;
    socklen_t where_bytes = 0;
    int status = resolve(config->address, port, &where, &where_bytes);
    if (status < 0)
        return status;
    int reserved = reserve_port(config->address, &where, where_bytes);
    if (reserved < 0)
        return reserved;

    coap_address_t local;
    coap_address_init(&local);
    local.size = where_bytes;
    memcpy(&local.addr, &where, where_bytes);
    uint16_t bound = coap_address_get_port(&local);
    coap_endpoint_t *endpoint = coap_new_endpoint(coap->context, &local, protocol);
    int fd = endpoint ? find_socket(&where, where_bytes, reserved) : -1;
    close(reserved);
    if (!endpoint)
        return agn_fail(AGN_ERR_IO, "cannot listen at %s:%u: the CoAP library refused the address",
                        config->address, (unsigned)bound);
    coap_endpoint_set_default_mtu(endpoint,
                                  coap->pdu_bytes + (protocol == COAP_PROTO_DTLS ? DTLS_RECORD_BYTES : 0));
    remember(coap, config, fd, bound, protocol);
    return bound;
}

/* ---- what stands in their buffers ------------------------------------------------------------- */

static struct agn__socket *socket_of(struct agn__coap *coap, bool dtls)
{
    for (int i = 0; i < coap->socket_count; i++)
        if (coap->sockets[i].dtls == dtls)
            return &coap->sockets[i];
    return NULL;
}

/* Linux keeps the time of arrival of the datagram read last. Asking for the first time makes it do so. */
double agn__coap_age(struct agn__coap *coap, bool dtls)
{
    const struct agn__socket *socket = socket_of(coap, dtls);
    struct timespec arrival, now;
    if (!socket || ioctl(socket->fd, SIOCGSTAMPNS, &arrival) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return 0.0;
    double age_s = (double)(now.tv_sec - arrival.tv_sec) + (double)(now.tv_nsec - arrival.tv_nsec) / 1e9;
    return age_s > 0.0 && age_s < MAX_AGE_S ? age_s : 0.0; /* beyond: the clock was set */
}

void agn__coap_discard(struct agn__coap *coap, bool dtls)
{
    const struct agn__socket *socket = socket_of(coap, dtls);
    struct mmsghdr messages[DISCARD_AT_ONCE];
    memset(messages, 0, sizeof messages); /* no room for bytes: the rest of a datagram is thrown away */
    int count = socket ? DISCARD_AT_ONCE : 0;
    for (int i = 0; i < MAX_DISCARDS && count == DISCARD_AT_ONCE; i++) {
        count = recvmmsg(socket->fd, messages, DISCARD_AT_ONCE, MSG_DONTWAIT, NULL);
        coap->counts.dropped += count > 0 ? (uint64_t)count : 0;
    }
    if (socket && socket->peeks)
        (void)agn__strays_begin(socket->fd);
}

/* The system's count has 32 bits, which come round. */
void agn__coap_count_dropped(struct agn__coap *coap)
{
    for (int i = 0; i < coap->socket_count; i++) {
        struct agn__socket *socket = &coap->sockets[i];
        uint32_t info[SK_MEMINFO_VARS];
        socklen_t size = sizeof info;
        if (getsockopt(socket->fd, SOL_SOCKET, SO_MEMINFO, info, &size) != 0 || size < sizeof info)
            continue;
        coap->counts.dropped += (uint32_t)(info[SK_MEMINFO_DROPS] - socket->dropped);
        socket->dropped = info[SK_MEMINFO_DROPS];
    }
}
