/* Datagrams that are no CoAP: how many of which kind, and a line for who has to find out why a device gets no
 * answer. libcoap drops them before anybody hears of them (it answers some with a Reset), so they are looked
 * at while they still stand in the socket's queue. SO_PEEK_OFF makes each look begin behind the last one;
 * what is read moves it back by as much. */
#define _GNU_SOURCE
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agilenn/base.h"
#include "server/coap_internal.h"

enum {
    COAP_HEADER = 4,
    COAP_LONGEST_TOKEN = 8,
    RECORD_HEADER = 13, /* of DTLS */
    SECONDS_BETWEEN_LINES = 10,
    MODEL_ID_AT = 2,
    FLAGS_AT = 9,
};

/* ---- kinds ------------------------------------------------------------------------------------ */

/* Content types 20 to 25, then the version: 254.253 and near it for DTLS, 3.x for TLS. */
static bool is_record(const uint8_t *bytes, size_t len)
{
    return len >= 3 && bytes[0] >= 20 && bytes[0] <= 25 && (bytes[1] == 0xfe || bytes[1] == 3);
}

static bool is_coap(const uint8_t *bytes, size_t len)
{
    unsigned token = len > 0 ? bytes[0] & 15u : 0;
    return len >= COAP_HEADER + token && token <= COAP_LONGEST_TOKEN && bytes[0] >> 6 == 1;
}

/* By its header alone: a damaged one is one, too. As CoAP it would be of version 0, which there is not. */
static bool is_feature_packet(const uint8_t *bytes, size_t len)
{
    return len >= AGN_FEATURE_OVERHEAD_BYTES && len <= AGN_WIRE_MAX_PACKET && bytes[0] == AGN_WIRE_VERSION &&
           bytes[1] <= AGN_CODEC_JPEG && bytes[FLAGS_AT] <= 1;
}

/* And of version 2, whose header alone might be anybody's. */
static bool is_compact_packet(const uint8_t *bytes, size_t len)
{
    uint32_t model_id;
    return len > 0 && bytes[0] >> 4 == AGN_COMPACT_VERSION && agn_compact_model(bytes, len, &model_id) == 0;
}

enum agn__stray agn__stray_kind(const uint8_t *bytes, size_t len, bool dtls)
{
    if (dtls ? is_record(bytes, len) && bytes[1] == 0xfe && len >= RECORD_HEADER : is_coap(bytes, len))
        return AGN__STRAY_NONE;
    if (is_feature_packet(bytes, len) || is_compact_packet(bytes, len))
        return AGN__STRAY_FEATURE_PACKET;
    if (dtls && is_coap(bytes, len))
        return AGN__STRAY_COAP;
    if (is_record(bytes, len))
        return AGN__STRAY_TLS;
    return len < COAP_HEADER ? AGN__STRAY_SHORT : AGN__STRAY_OTHER;
}

/* ---- lines -------------------------------------------------------------------------------------- */

static void explain_packet(const char *from, const uint8_t *bytes, size_t len, unsigned port, bool dtls)
{
    struct agn_feature_packet packet;
    uint32_t model_id = 0;
    bool compact = agn_compact_model(bytes, len, &model_id) == 0 && bytes[0] >> 4 == AGN_COMPACT_VERSION;
    int status = compact ? 0 : agn_feature_unpack(bytes, len, &packet);
    if (!compact)
        for (int i = 3; i >= 0; i--)
            model_id = model_id << 8 | bytes[MODEL_ID_AT + i];
    agn_log(
        AGN_LOG_WARN,
        "stray: %zu bytes from %s are a feature packet without CoAP around it (model %08x, %s): make it the "
        "payload of a CoAP POST to /%s at port %u%s; docs/PROTOCOL.md, CoAP binding",
        len, from, (unsigned)model_id, status < 0 ? agn_status_text(status) : "intact",
        compact ? "i" : "v1/infer", port, dtls ? ", by DTLS" : "");
}

static void explain(const struct agn__coap *coap, enum agn__stray kind, const char *from,
                    const uint8_t *bytes, size_t len, bool dtls)
{
    unsigned port = dtls ? coap->dtls_port : coap->port;
    if (kind == AGN__STRAY_FEATURE_PACKET)
        explain_packet(from, bytes, len, port, dtls);
    else if (kind == AGN__STRAY_COAP)
        agn_log(AGN_LOG_INFO, "stray: plain CoAP from %s at port %u, which is for DTLS; %s", from, port,
                coap->port > 0 ? "plain CoAP has a port of its own" : "plain CoAP is off");
    else if (kind == AGN__STRAY_TLS && !dtls)
        agn_log(AGN_LOG_INFO, "stray: TLS or DTLS from %s at port %u, which is for plain CoAP; %s", from,
                port,
                coap->keys ? "DTLS has a port of its own" : "DTLS is offered with a key file (--psk-file)");
}

/* One line of a kind in ten seconds: whoever sends much must not fill the log. */
static void take_stray(struct agn__coap *coap, enum agn__stray kind, const struct msghdr *message, size_t len,
                       bool dtls)
{
    char host[INET6_ADDRSTRLEN + 16], service[8], from[sizeof host + sizeof service + 4];
    double now_s = agn_now_s();
    coap->counts.strays[kind]++;
    if (coap->explained_s[kind] > 0 && now_s < coap->explained_s[kind] + SECONDS_BETWEEN_LINES)
        return;
    coap->explained_s[kind] = now_s;
    if (getnameinfo(message->msg_name, message->msg_namelen, host, sizeof host, service, sizeof service,
                    NI_NUMERICHOST | NI_NUMERICSERV | NI_DGRAM) != 0)
        return;
    snprintf(from, sizeof from, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, service);
    explain(coap, kind, from, message->msg_iov->iov_base, len, dtls);
}

/* ---- looking ------------------------------------------------------------------------------------ */

bool agn__strays_begin(int fd)
{
    int offset = 0;
    return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) == 0;
}

/* How many datagrams there are. */
static int look_into(struct agn__coap *coap, const struct agn__socket *socket, int most)
{
    struct mmsghdr messages[AGN__MOST_READS];
    struct iovec parts[AGN__MOST_READS];
    struct sockaddr_storage senders[AGN__MOST_READS];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < most; i++) {
        parts[i] = (struct iovec){coap->peeked[i], AGN__DATAGRAM_MAX};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &senders[i], .msg_namelen = sizeof senders[i], .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(socket->fd, messages, (unsigned)most, MSG_PEEK | MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        size_t len = messages[i].msg_len;
        enum agn__stray kind = agn__stray_kind(coap->peeked[i], len, socket->dtls);
        if (kind != AGN__STRAY_NONE)
            take_stray(coap, kind, &messages[i].msg_hdr, len, socket->dtls);
    }
    return count;
}

int agn__strays_look(struct agn__coap *coap, int most)
{
    int seen = 1;
    for (int i = 0; i < coap->socket_count; i++) {
        int count = coap->sockets[i].peeks ? look_into(coap, &coap->sockets[i], most) : most;
        seen = count > seen ? count : seen;
    }
    return seen;
}
