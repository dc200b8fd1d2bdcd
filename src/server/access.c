/* Keys and limits: how the CoAP side is opened with them, reloading keys, their counts. */
#include <string.h>

#include "agilenn/base.h"
#include "server/server_internal.h"

enum {
    DEFAULT_MESSAGES_PER_S = 5000,
    DEFAULT_BYTES_PER_S = 4000000,
    MIN_BYTES_PER_S = 2000, /* or else the longest packet never comes through */
    MIN_PEERS = 512,
    PEERS_A_KEY = 2, /* a device that comes from another port leaves its old session behind */
    /* Accounts of limits, which cost less than the CoAP library's sessions: it holds on to busy ones beyond
     * its number, and a device must be known until it has its answer. */
    MIN_ACCOUNTS = 16384,
    ACCOUNTS_A_PEER = 4,
    ANSWER_RATIO = 3,
    ANSWER_MAX_BYTES = 65536,
};

int agn__trust_check(const struct agn_server_config *config)
{
    if (config->plain_off && !config->psk_file)
        return agn_fail(AGN_ERR_ARG, "neither plain CoAP nor DTLS is wanted; give a key file for DTLS");
    if (config->peer_bytes_per_s > 0 && config->peer_bytes_per_s < MIN_BYTES_PER_S)
        return agn_fail(AGN_ERR_ARG, "%g bytes/s a peer, expected at least %d", config->peer_bytes_per_s,
                        (int)MIN_BYTES_PER_S);
    if (config->peer_messages_per_s > 0 && config->peer_messages_per_s < 1)
        return agn_fail(AGN_ERR_ARG, "%g messages/s a peer, expected at least 1",
                        config->peer_messages_per_s);
    return 0;
}

static int load_keys(struct agn_server *server, const char *path, struct agn_keys **keys)
{
    *keys = NULL;
    if (!path)
        return 0;
    size_t bytes = strlen(path) + 1;
    server->psk_file = agn_alloc(bytes, 1);
    if (!server->psk_file)
        return AGN_ERR_MEMORY;
    memcpy(server->psk_file, path, bytes);
    return agn_keys_load(keys, path);
}

/* For a plain peer the CoAP library remembers nothing of worth, and looks at all that it knows whenever a new
 * one comes; a DTLS session that it forgets costs a handshake. So as few as possible, but two for a key. */
static int peers_to_remember(const struct agn_server *server, int keys)
{
    int wanted = server->config.max_peers > 0     ? server->config.max_peers
                 : keys > MIN_PEERS / PEERS_A_KEY ? keys * PEERS_A_KEY
                                                  : MIN_PEERS;
    return wanted < AGN_SERVER_MAX_PEERS ? wanted : AGN_SERVER_MAX_PEERS;
}

static int at_least(int value, int min)
{
    return value > min ? value : min;
}

int agn__trust_open(struct agn_server *server, const struct agn_server_config *given)
{
    struct agn_keys *keys;
    int status = load_keys(server, given->psk_file, &keys);
    if (status < 0)
        return status;
    int keys_count = keys ? agn_keys_count(keys) : 0;
    int peers = peers_to_remember(server, keys_count);
    /* A later model may have more classes than those of now. */
    struct agn__coap_config coap = {
        .address = given->address ? given->address : "127.0.0.1",
        .port = given->port,
        .plain_off = given->plain_off,
        .dtls_port = given->dtls_port,
        .dtls_cbc = given->dtls_cbc,
        .keys = keys,
        .max_peers = peers,
        .receive_buffer = server->config.receive_buffer,
        .limits = {.peers = at_least(ACCOUNTS_A_PEER * peers, MIN_ACCOUNTS),
                   .messages_per_s =
                       given->peer_messages_per_s != 0 ? given->peer_messages_per_s : DEFAULT_MESSAGES_PER_S,
                   .bytes_per_s =
                       given->peer_bytes_per_s != 0 ? given->peer_bytes_per_s : DEFAULT_BYTES_PER_S,
                   .answer_ratio = ANSWER_RATIO,
                   .answer_max_bytes = ANSWER_MAX_BYTES},
        .reply_bytes = AGN_REPLY_BYTES(AGN_WIRE_MAX_CLASSES),
        .handler = agn__intake,
        .user = server};
    status = agn__coap_open(&server->coap, &coap);
    if (status < 0)
        agn_keys_free(keys);
    else
        server->live.keys = keys_count;
    return status;
}

uint16_t agn_server_dtls_port(const struct agn_server *server)
{
    return agn__coap_dtls_port(server->coap);
}

/* ---- reloading ------------------------------------------------------------------------- */

int agn_server_reload_keys(struct agn_server *server)
{
    struct agn_keys *keys;
    if (!server->psk_file)
        return 0;
    int status = agn_keys_load(&keys, server->psk_file);
    if (status < 0) {
        atomic_fetch_add(&server->key_reload_failures, 1);
        return status;
    }
    pthread_mutex_lock(&server->lock);
    struct agn_keys *overtaken = server->pending_keys;
    server->pending_keys = keys;
    pthread_mutex_unlock(&server->lock);
    agn_keys_free(overtaken);
    agn__wake(server);
    return 0;
}

void agn__trust_turn(struct agn_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct agn_keys *keys = server->pending_keys;
    server->pending_keys = NULL;
    pthread_mutex_unlock(&server->lock);
    if (!keys)
        return;
    server->live.keys = agn_keys_count(keys);
    server->live.key_reloads++;
    agn__coap_set_keys(server->coap, keys, peers_to_remember(server, server->live.keys));
    agn_log(AGN_LOG_INFO, "reload: keys of %d devices", server->live.keys);
}

void agn__trust_publish(struct agn_server *server)
{
    struct agn_server_stats *stats = &server->live;
    struct agn__coap_counts counts = agn__coap_counts(server->coap);
    stats->dtls_handshakes = counts.handshakes;
    stats->dtls_failed = counts.handshakes_failed;
    stats->dtls_unknown = counts.unknown_identities;
    stats->dtls_refused = counts.handshakes_refused;
    stats->dtls_unfinished = counts.handshakes_unfinished;
    stats->dtls_revoked = counts.revoked;
    stats->limited = counts.limited;
    stats->withheld = counts.withheld;
    stats->dropped_datagrams = counts.dropped;
    stats->stray_feature_packets = counts.strays[AGN__STRAY_FEATURE_PACKET];
    stats->stray_short = counts.strays[AGN__STRAY_SHORT];
    stats->stray_tls = counts.strays[AGN__STRAY_TLS];
    stats->stray_coap = counts.strays[AGN__STRAY_COAP];
    stats->stray_other = counts.strays[AGN__STRAY_OTHER];
    stats->dtls_peers = counts.dtls_peers;
    stats->key_reload_failures = atomic_load(&server->key_reload_failures);
}

void agn__trust_close(struct agn_server *server)
{
    agn_keys_free(server->pending_keys);
    agn_free(server->psk_file);
}
