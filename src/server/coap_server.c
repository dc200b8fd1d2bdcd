/* Binds the server to libcoap: /v1/infer and /i, reading, answers. See coap_server.h. */
#define _GNU_SOURCE
#include "server/coap_server.h"

#include <coap3/coap.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

#include "agilenn/base.h"
#include "server/coap_internal.h"

enum {
    IDLE_PEER_SECONDS = 60,
    IDLE_DTLS_SECONDS = 3600, /* a new handshake costs a device more than a server's memory does */
    COAP_ENVELOPE_BYTES = 32, /* token, options and marker around an answer */
    FALLBACK_POLL_MS = 50,    /* where libcoap has no descriptor to wait on */
};

/* ---- libcoap's process-wide state ------------------------------------------------- */

/* libcoap warns of malformed datagrams, and raises the alarm for every RST. Whoever sends those must not fill
 * the log: what matters to the server is told by its own lines. */
static void forward_log(coap_log_t level, const char *message)
{
    (void)level;
    size_t length = strlen(message);
    while (length > 0 && message[length - 1] == '\n')
        length--;
    agn_log(AGN_LOG_DEBUG, "coap: %.*s", (int)length, message);
}

/* Never undone: another server of this process may still be at work. */
static void start_library(void)
{
    coap_startup();
    coap_set_log_handler(forward_log);
    coap_set_log_level(LOG_WARNING);
}

/* ---- requests ------------------------------------------------------------------------ */

/* IPv4 in its IPv6-mapped form, so that one form serves both. */
static struct agn__peer peer_of(const coap_session_t *session)
{
    struct agn__peer peer = {{0}};
    const coap_address_t *remote = coap_session_get_addr_remote(session);
    if (remote->addr.sa.sa_family == AF_INET6) {
        memcpy(peer.bytes, &remote->addr.sin6.sin6_addr, 16);
        memcpy(peer.bytes + 16, &remote->addr.sin6.sin6_scope_id, 4);
        memcpy(peer.bytes + 20, &remote->addr.sin6.sin6_port, 2);
    } else {
        memset(peer.bytes + 10, 0xFF, 2);
        memcpy(peer.bytes + 12, &remote->addr.sin.sin_addr, 4);
        memcpy(peer.bytes + 20, &remote->addr.sin.sin_port, 2);
    }
    /* Or else whoever forges the address of a DTLS device could meddle with its frames in plain text. */
    peer.bytes[22] = coap_session_get_proto(session) == COAP_PROTO_DTLS;
    return peer;
}

/* libcoap does not tell. */
static size_t message_bytes(const coap_pdu_t *pdu, size_t payload_bytes)
{
    coap_opt_iterator_t iterator;
    coap_opt_t *option;
    size_t bytes = 4 + coap_pdu_get_token(pdu).length + (payload_bytes > 0 ? 1 + payload_bytes : 0);
    coap_option_iterator_init(pdu, &iterator, COAP_OPT_ALL);
    while ((option = coap_option_next(&iterator)))
        bytes += coap_opt_size(option);
    return bytes;
}

bool agn__coap_begin(struct agn__request *request, coap_resource_t *resource, coap_session_t *session,
                     const coap_pdu_t *pdu, coap_pdu_t *response)
{
    *request = (struct agn__request){.coap = coap_resource_get_userdata(resource),
                                     .peer = peer_of(session),
                                     .verified = coap_session_get_proto(session) == COAP_PROTO_DTLS,
                                     .session = session,
                                     .request = pdu,
                                     .response = response};
    if (!coap_get_data(pdu, &request->payload_bytes, &request->payload))
        request->payload_bytes = 0;
    request->message_bytes = message_bytes(pdu, request->payload_bytes);
    struct agn__coap *coap = request->coap;
    double now_s = agn_now_s();
    request->arrived_s = now_s - agn__coap_age(coap, request->verified);
    if (!agn__limits_take(coap->limits, &request->peer, request->message_bytes, now_s)) {
        coap->counts.limited++;
        return false;
    }
    return !request->verified || agn__coap_is_trusted(request);
}

static void infer(struct agn__request *request, const coap_pdu_t *pdu)
{
    coap_block_t block;
    if (coap_get_block(pdu, COAP_OPTION_BLOCK1, &block))
        agn__coap_explain(request, AGN__COAP_CODE(4, 13),
                          "Block1 is not supported: send a feature packet whole, in one datagram; make "
                          "packets of 1024 bytes at most");
    else
        request->coap->handler(request->coap->user, request);
}

static void on_infer(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *pdu,
                     const coap_string_t *query, coap_pdu_t *response)
{
    (void)query;
    struct agn__request request;
    if (agn__coap_begin(&request, resource, session, pdu, response))
        infer(&request, pdu);
}

static void on_infer_compact(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *pdu,
                             const coap_string_t *query, coap_pdu_t *response)
{
    (void)query;
    struct agn__request request;
    if (!agn__coap_begin(&request, resource, session, pdu, response))
        return;
    request.is_compact = true;
    infer(&request, pdu);
}

static void add_format(coap_pdu_t *pdu, unsigned format)
{
    uint8_t value[4];
    coap_add_option(pdu, COAP_OPTION_CONTENT_FORMAT, coap_encode_var_safe(value, sizeof value, format),
                    value);
}

/* ---- requests for what is not there ------------------------------------------------------ */

enum { METHODS = COAP_REQUEST_IPATCH }; /* GET is 1 */

/* libcoap's own answers to these carry a phrase, to whatever address and as often as anybody asks. */
static void on_unknown(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *pdu,
                       const coap_string_t *query, coap_pdu_t *response)
{
    (void)query;
    struct agn__request request;
    if (agn__coap_begin(&request, resource, session, pdu, response))
        agn__coap_decline(&request, AGN__COAP_CODE(4, 4));
}

static void on_other_method(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *pdu,
                            const coap_string_t *query, coap_pdu_t *response)
{
    (void)query;
    struct agn__request request;
    if (agn__coap_begin(&request, resource, session, pdu, response))
        agn__coap_decline(&request, AGN__COAP_CODE(4, 5));
}

static int add_unknown(struct agn__coap *coap)
{
    coap_resource_t *resource = coap_resource_unknown_init(on_unknown);
    if (!resource)
        return agn_fail(AGN_ERR_MEMORY, "no memory for requests of unknown resources");
    coap_resource_set_userdata(resource, coap);
    for (int method = 1; method <= METHODS; method++)
        coap_register_request_handler(resource, (coap_request_t)method, on_unknown);
    coap_add_resource(coap->context, resource);
    return 0;
}

int agn__coap_add_resource(struct agn__coap *coap, const char *path, coap_request_t method,
                           coap_method_handler_t handler)
{
    coap_resource_t *resource = coap_resource_init(coap_make_str_const(path), 0);
    if (!resource)
        return agn_fail(AGN_ERR_MEMORY, "no memory for the CoAP resource /%s", path);
    coap_resource_set_userdata(resource, coap);
    for (int other = 1; other <= METHODS; other++)
        coap_register_request_handler(resource, (coap_request_t)other,
                                      other == (int)method ? handler : on_other_method);
    coap_add_resource(coap->context, resource);
    return 0;
}

/* ---- open and close ------------------------------------------------------------------- */

/* Called by libcoap's loop, in the thread that serves. */
static int on_event(coap_session_t *session, coap_event_t event)
{
    struct agn__coap *coap = coap_get_app_data(coap_session_get_context(session));
    bool dtls = coap_session_get_proto(session) == COAP_PROTO_DTLS;
    if (event == COAP_EVENT_SERVER_SESSION_NEW) {
        coap->peers++;
        if (dtls)
            agn__coap_on_dtls_begin(coap, session);
    }
    if (event == COAP_EVENT_SERVER_SESSION_DEL)
        coap->peers--;
    if (dtls && (event == COAP_EVENT_SERVER_SESSION_DEL || event == COAP_EVENT_DTLS_CLOSED))
        agn__coap_on_dtls_end(coap, session);
    return 0;
}

static int open_endpoints(struct agn__coap *coap, const struct agn__coap_config *config)
{
    int port = 0;
    if (!config->plain_off)
        port = agn__coap_listen(coap, config, config->port, COAP_PROTO_UDP);
    if (port < 0)
        return port;
    coap->port = (uint16_t)port;
    if (!config->keys)
        return 0;
    int status = agn__coap_offer_dtls(coap, config);
    if (status < 0)
        return status;
    port = agn__coap_listen(coap, config, config->dtls_port, COAP_PROTO_DTLS);
    coap->dtls_port = port < 0 ? 0 : (uint16_t)port;
    return port < 0 ? port : 0;
}

static int open_context(struct agn__coap *coap, const struct agn__coap_config *config)
{
    coap->context = coap_new_context(NULL);
    if (!coap->context)
        return agn_fail(AGN_ERR_MEMORY, "the CoAP library could not make a context");
    coap_set_app_data(coap->context, coap);
    coap_register_event_handler(coap->context, on_event);
    coap_context_set_max_idle_sessions(coap->context, (unsigned)config->max_peers);
    coap_context_set_session_timeout(coap->context, config->keys ? IDLE_DTLS_SECONDS : IDLE_PEER_SECONDS);
    int status = open_endpoints(coap, config);
    if (status == 0)
        status = agn__coap_add_resource(coap, "v1/infer", COAP_REQUEST_POST, on_infer);
    if (status == 0)
        status = agn__coap_add_resource(coap, "i", COAP_REQUEST_POST, on_infer_compact);
    if (status == 0)
        status = add_unknown(coap);
    return status < 0 ? status : agn__coap_add_documents(coap);
}

int agn__coap_open(struct agn__coap **coap, const struct agn__coap_config *config)
{
    static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
    struct agn__coap *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->handler = config->handler;
    made->user = config->user;
    made->models_json = "{}";
    made->limits = agn__limits_create(&config->limits);
    if (!made->limits) {
        agn_free(made);
        return AGN_ERR_MEMORY;
    }
    size_t pdu_bytes = config->reply_bytes + COAP_ENVELOPE_BYTES;
    made->pdu_bytes = pdu_bytes > COAP_RXBUFFER_SIZE ? (unsigned)pdu_bytes : COAP_RXBUFFER_SIZE;

    pthread_mutex_lock(&start_lock); /* libcoap's start-up and contexts share unguarded state */
    start_library();
    int status = open_context(made, config);
    pthread_mutex_unlock(&start_lock);
    if (status < 0) {
        made->keys = NULL; /* still the caller's */
        agn__coap_close(made);
        return status;
    }
    *coap = made;
    return 0;
}

uint16_t agn__coap_port(const struct agn__coap *coap)
{
    return coap->port;
}

uint16_t agn__coap_dtls_port(const struct agn__coap *coap)
{
    return coap->dtls_port;
}

struct agn__coap_counts agn__coap_counts(const struct agn__coap *coap)
{
    return coap->counts;
}

void agn__coap_set_models(struct agn__coap *coap, const char *models_json)
{
    coap->models_json = models_json;
}

int agn__coap_peers(const struct agn__coap *coap)
{
    return coap->peers;
}

void agn__coap_close(struct agn__coap *coap)
{
    if (!coap)
        return;
    if (coap->context)
        coap_free_context(coap->context);
    agn__coap_end_dtls(coap);
    agn__limits_free(coap->limits);
    agn_keys_free(coap->keys);
    agn_free(coap);
}

/* libcoap looks at every session each time that it is asked for a datagram, which with thousands of peers
 * takes longer than all else. So it is told of the same descriptor several times at once: it reads that often
 * (its socket does not block) and looks at the sessions once. That doubles while there is more to read. */
static int read_several(struct agn__coap *coap, int descriptor, int most)
{
    int reads = agn__strays_look(coap, coap->reads < most ? coap->reads : most);
    struct epoll_event found[4], events[4 * AGN__MOST_READS];
    int count = epoll_wait(descriptor, found, 4, 0), total = 0;
    if (count < 0 && errno != EINTR)
        return agn_fail(AGN_ERR_IO, "the CoAP library failed to read its socket: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        for (int times = found[i].data.ptr ? reads : 1; times > 0; times--)
            events[total++] = found[i];
    coap_io_do_epoll(coap->context, events, (size_t)total);
    agn__coap_watch_handshakes(coap);
    return count > 0;
}

int agn__coap_poll(struct agn__coap *coap, int timeout_ms, int most, int wake_fd)
{
    int descriptor = coap_context_get_coap_fd(coap->context);
    struct pollfd waiting[2] = {{.fd = wake_fd, .events = POLLIN}, {.fd = descriptor, .events = POLLIN}};
    if (poll(waiting, 2, descriptor >= 0 ? timeout_ms : 0) < 0 && errno != EINTR)
        return agn_fail(AGN_ERR_IO, "waiting for datagrams failed: %s", strerror(errno));
    if (descriptor < 0) {
        int status = coap_io_process(coap->context, FALLBACK_POLL_MS);
        agn__coap_watch_handshakes(coap);
        return status < 0 ? agn_fail(AGN_ERR_IO, "the CoAP library failed to read its socket") : 0;
    }
    if ((waiting[1].revents & POLLIN) == 0) /* libcoap's timers make it readable, too */
        return 0;
    bool more = timeout_ms == 0; /* it has just been read */
    coap->reads = !more ? 1 : 2 * coap->reads < AGN__MOST_READS ? 2 * coap->reads : AGN__MOST_READS;
    return read_several(coap, descriptor, most);
}

/* ---- answers -------------------------------------------------------------------------- */

/* Options go in by their numbers. */
static void add_options(coap_pdu_t *pdu, const struct agn__answer *answer)
{
    if (!answer->is_bare)
        add_format(pdu, COAP_MEDIATYPE_APPLICATION_OCTET_STREAM);
    if (answer->max_age_s > 0) {
        uint8_t value[4];
        coap_add_option(pdu, COAP_OPTION_MAXAGE, coap_encode_var_safe(value, sizeof value, answer->max_age_s),
                        value);
    }
}

/* Nobody knows whether the address of a plain request is the sender's own: an answer must not make the server
 * a lever for whoever forges one. */
static bool may_send(struct agn__coap *coap, const struct agn__peer *peer, bool verified,
                     size_t message_bytes)
{
    if (verified || agn__limits_spend(coap->limits, peer, message_bytes))
        return true;
    coap->counts.withheld++;
    return false;
}

bool agn__coap_answer(struct agn__request *request, const struct agn__answer *answer)
{
    if (!may_send(request->coap, &request->peer, request->verified, AGN__ANSWER_OVERHEAD + answer->len))
        return false;
    coap_pdu_set_code(request->response, (coap_pdu_code_t)answer->code);
    add_options(request->response, answer);
    return coap_add_data(request->response, answer->len, answer->bytes) != 0;
}

void agn__coap_decline(struct agn__request *request, uint8_t code)
{
    size_t bytes = 4 + coap_pdu_get_token(request->request).length;
    if (may_send(request->coap, &request->peer, request->verified, bytes))
        coap_pdu_set_code(request->response, (coap_pdu_code_t)code);
}

void agn__coap_explain(struct agn__request *request, uint8_t code, const char *sentence)
{
    size_t length = strlen(sentence);
    if (!may_send(request->coap, &request->peer, request->verified, AGN__ANSWER_OVERHEAD + length))
        return;
    coap_pdu_set_code(request->response, (coap_pdu_code_t)code);
    coap_add_data(request->response, length, (const uint8_t *)sentence);
}

void agn__coap_keep(const struct agn__request *request, struct agn__exchange *exchange)
{
    coap_bin_const_t token = coap_pdu_get_token(request->request);
    coap_session_t *session = coap_session_reference(request->session);
    agn__coap_forget(exchange);
    exchange->session = session;
    exchange->token_bytes = (uint8_t)(token.length <= sizeof exchange->token ? token.length : 0);
    if (exchange->token_bytes > 0)
        memcpy(exchange->token, token.s, exchange->token_bytes);
}

void agn__coap_forget(struct agn__exchange *exchange)
{
    if (exchange->session)
        coap_session_release(exchange->session);
    memset(exchange, 0, sizeof *exchange);
}

static int send_answer(const struct agn__exchange *exchange, unsigned pdu_bytes,
                       const struct agn__answer *answer)
{
    coap_pdu_t *pdu = coap_pdu_init(COAP_MESSAGE_NON, (coap_pdu_code_t)answer->code,
                                    coap_new_message_id(exchange->session), pdu_bytes);
    if (!pdu)
        return agn_fail(AGN_ERR_MEMORY, "no memory for an answer");
    if (exchange->token_bytes > 0)
        coap_add_token(pdu, exchange->token_bytes, exchange->token);
    add_options(pdu, answer);
    if (!coap_add_data(pdu, answer->len, answer->bytes)) {
        coap_delete_pdu(pdu);
        return agn_fail(AGN_ERR_SPACE, "an answer of %zu bytes does not fit a CoAP message", answer->len);
    }
    if (coap_send(exchange->session, pdu) == COAP_INVALID_MID)
        return agn_fail(AGN_ERR_IO, "an answer could not be sent");
    return 0;
}

int agn__coap_send(struct agn__coap *coap, const struct agn__exchange *exchange,
                   const struct agn__answer *answer)
{
    int status = AGN_ERR_STATE;
    if (exchange->session) {
        struct agn__peer peer = peer_of(exchange->session);
        bool verified = coap_session_get_proto(exchange->session) == COAP_PROTO_DTLS;
        status = may_send(coap, &peer, verified, AGN__ANSWER_OVERHEAD + answer->len)
                     ? send_answer(exchange, coap->pdu_bytes, answer)
                     : agn_fail(AGN_ERR_RANGE, "an answer of %zu bytes is too long for what was asked",
                                answer->len);
    }
    return status;
}
