/* The edge server: feature packets in over CoAP/UDP, logits of the Remote NN out.
 *
 * A server serves one model or several, told apart by their ids. Each one's Remote NN stands behind a
 * callback; the server knows sockets, frames and replies only. Binding (docs/PROTOCOL.md): POST /v1/infer
 * takes a feature packet, GET /v1/models tells what is served, GET /.well-known/core lists both. How it
 * works: docs/SERVER.md.
 *
 *     agn_server_create(&server, &config, models, count);
 *     agn_server_run(server);             // until agn_server_stop, agn_server_drain or an interrupt
 *     agn_server_free(server);
 *
 * Threads and processes: create, run and free a server in one process (fork before create, never after it).
 * The thread that runs it reads packets and sends replies; config.workers threads of its own, which live as
 * long as agn_server_run does, call the callbacks. agn_server_stop, _drain, _port, _stats, _replace_models
 * and _count_reload_failure may be called from any thread while the server exists. Several servers in one
 * process are allowed. */
#ifndef AGILENN_SERVER_H
#define AGILENN_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "agn_wire.h"

struct agn_server;

enum {
    AGN_SERVER_MAX_FRAMES = 65536,
    AGN_SERVER_MAX_PEERS = 65536,
    AGN_SERVER_MAX_RECEIVE_BUFFER = 64 << 20,
    AGN_SERVER_MAX_MODELS = 16,
    AGN_SERVER_MAX_WORKERS = 64,
    AGN_SERVER_MAX_BATCH = 256,
    AGN_SERVER_MAX_QUEUE = 16384,
    AGN_SERVER_NAME_BYTES = 64,
};

/* What is served. Copied by the server; what `user`, `users` and their entries point to must stay until
 * `release` is called. */
struct agn_server_model {
    uint32_t model_id; /* shared with the devices' model.agn */
    const char *name;  /* for logs and statistics, cut to AGN_SERVER_NAME_BYTES; NULL: the id */
    struct agn_map_shape shape;
    const struct agn_context_model
        *contexts;                    /* for packets coded with them, NULL: none are taken; must stay */
    int classes;                      /* 1..AGN_WIRE_MAX_CLASSES */
    float centroids[AGN_WIRE_LEVELS]; /* value of each symbol */
    const float *fill;                /* shape.channels values for symbols that never came, NULL: 0 */
    /* Or, with `expand`, for symbols that mean something else: writes `floats` values, a frame's input of the
     * Remote NN, from its symbols (planar, AGN_SYMBOL_ABSENT where nothing came); the number of channels that
     * did not wholly come. centroids and fill are not looked at then. */
    int (*expand)(const void *expand_user, const uint8_t *symbols, float *features);
    const void *expand_user;
    /* Decodes packets of AGN_CODEC_JPEG, as agn_feature_decode does others (same errors); called by the
     * thread that runs the server, with expand_user. NULL: the model knows no such packets. */
    int (*decode)(const void *expand_user, const struct agn_feature_packet *packet, uint8_t *map);
    size_t floats;
    /* shape.channels + 1 factors of the logits by channels that came, NULL: 1. The second where these are
     * the first ones (agilenn/features.h), NULL: as the other. */
    const float *trust, *leading_trust;

    /* The Remote NN: features (count, height, width, channels) to logits (count, classes), count at most
     * config.max_batch. 0, or a status (with agn_fail): the devices of the whole batch are then told that
     * the server failed. So is a device for which a logit is not a finite number. Logits are sent as Q8.8,
     * saturated to -128..127.996. */
    int (*infer)(void *user, const float *features, int count, float *logits);
    void *user;         /* shared by the workers, which then take turns */
    void *const *users; /* or one for each of the config.workers, which then work at once; NULL: `user` */

    /* Called once when the server needs the model no more: replaced and its last frame answered, or the
     * server freed. From the thread that runs, replaces or frees. May be NULL. */
    void (*release)(void *owner);
    void *owner;
};

/* A value of 0 or NULL asks for the default in brackets. */
struct agn_server_config {
    const char *address;    /* IP address or host name to listen at ["127.0.0.1"; "0.0.0.0" = everywhere] */
    uint16_t port;          /* [any free one: ask agn_server_port] */
    uint32_t frame_wait_ms; /* from a frame's first packet to an answer with what came [200]; a device
                               that states a deadline waits for half of that if it is shorter */
    int max_frames;         /* frames of a model held at once, waiting or just answered [1024] */
    int max_peers;          /* idle peers remembered by the CoAP library [512, or two a key] */
    int receive_buffer;   /* bytes of each socket's queue of datagrams [256 K]; net.core.rmem_max bounds it */
    int workers;          /* threads that call infer [1] */
    int max_batch;        /* frames of one call of infer at most [16] */
    uint32_t max_wait_us; /* how long a worker with a batch that is not full waits for more [0] */
    int max_queue;        /* frames ready for inference, not yet begun; beyond: busy [256] */
    uint32_t drain_ms;    /* how long agn_server_drain waits for frames in hand at most [2000] */

    /* Security; see docs/SECURITY.md. */
    const char *psk_file; /* devices' keys, see agilenn/keys.h: DTLS is offered as well [no DTLS]; copied */
    uint16_t dtls_port;   /* [any free one: ask agn_server_dtls_port] */
    bool plain_off;       /* only DTLS: no plain CoAP; needs psk_file */
    bool dtls_cbc;        /* CBC ciphers as well, for old devices [AEAD ones only, see agilenn/dtls.h] */
    /* What one peer (address and port) may send, with two seconds' worth at once; less than 0: no limit. */
    double peer_messages_per_s; /* [5000] */
    double peer_bytes_per_s;    /* [4 MB] */
};

/* Listens at once. AGN_ERR_ARG: a bad model (or two with one id) or configuration; AGN_ERR_BUSY: port in use;
 * AGN_ERR_IO: any other refusal of the address; AGN_ERR_NOT_FOUND: unknown host; AGN_ERR_MEMORY; errors of
 * agn_keys_load. All memory that traffic may use is taken here. `*server` is freed with agn_server_free. On
 * failure nothing is released: the models are still the caller's. */
int agn_server_create(struct agn_server **server, const struct agn_server_config *config,
                      const struct agn_server_model *models, int count);

/* The UDP port that the server listens at for plain CoAP; 0: it does not. */
uint16_t agn_server_port(const struct agn_server *server);
/* The same for DTLS. */
uint16_t agn_server_dtls_port(const struct agn_server *server);

/* Serves until agn_server_stop, until agn_server_drain or agn_interrupt_requested() and the frames in hand
 * are answered (all give 0). AGN_ERR_IO: the loop broke; AGN_ERR_MEMORY: no threads. May be called again
 * after a stop. */
int agn_server_run(struct agn_server *server);

/* Makes agn_server_run return soon, also if it has not begun yet; frames in hand stay unanswered.
 * Async-signal-safe. */
void agn_server_stop(struct agn_server *server);

/* Makes agn_server_run refuse new frames (busy), answer those in hand, for config.drain_ms at most, and
 * return. Async-signal-safe. */
void agn_server_drain(struct agn_server *server);

/* Serves these models from the next turn of the loop on, in place of all before. A model whose id is served
 * already with the same shape, centroids, fill and trust stays as it is, and the newcomer is released. One
 * that is gone takes no new frames and lives until its last one is answered. Errors as for agn_server_create,
 * with the old models still served. */
int agn_server_replace_models(struct agn_server *server, const struct agn_server_model *models, int count);

/* Reads config.psk_file anew. Sessions go on, but for those whose identity is gone or has another key now:
 * they get 4.01 from the next turn of the loop on. Errors of agn_keys_load, with the old keys still valid;
 * 0 also where there is no such file. */
int agn_server_reload_keys(struct agn_server *server);

/* Counts a replacement that failed before it came here (a file that does not load). */
void agn_server_count_reload_failure(struct agn_server *server);

/* ---- statistics ------------------------------------------------------------------------- */

/* Buckets on a logarithmic scale: bucket i counts values up to agn_server_bucket_bound_s(i) that are above
 * the bound before; the last one has no bound (INFINITY). Bounds are 50 us x 2^(i/2). */
enum { AGN_SERVER_LATENCY_BUCKETS = 40 };
struct agn_server_histogram {
    uint64_t count;
    double sum_s, max_s;
    uint64_t buckets[AGN_SERVER_LATENCY_BUCKETS];
};
double agn_server_bucket_bound_s(int bucket);
/* The value below which a share `quantile` (0..1) lies, interpolated within its bucket; 0 when empty. */
double agn_server_quantile_s(const struct agn_server_histogram *histogram, double quantile);

/* Batches by size: bucket i counts those of up to 2^i frames: 1, 2, 3-4, 5-8, ... 129-256. */
enum { AGN_SERVER_BATCH_BUCKETS = 9 };

struct agn_server_model_stats {
    uint32_t model_id;
    char name[AGN_SERVER_NAME_BYTES];
    uint64_t packets, frames, replies, replies_failed;
    int in_hand; /* frames begun, not yet answered */
};

/* Counts since creation, but for those marked "now". */
struct agn_server_stats {
    uint64_t packets;             /* requests to /v1/infer, good or bad */
    uint64_t bytes_in, bytes_out; /* CoAP payloads of these and of the answers */
    uint64_t frames;              /* begun */
    uint64_t frames_complete;     /* given to the Remote NN with all packets in */
    uint64_t frames_partial;      /* given to it with what came when the wait was over */
    uint64_t frames_evicted;      /* dropped unanswered: too many at once */
    uint64_t frames_restarted;    /* a packet contradicted those before it: the frame began anew */
    uint64_t replies;             /* sent with status ok */
    uint64_t replies_again;       /* of these, stored replies to repeated or late packets */
    uint64_t replies_failed;      /* told that inference failed, also again */
    uint64_t refused_busy;    /* frames refused with 5.03: queue full, no chance to be in time, draining */
    uint64_t dropped_expired; /* frames dropped before inference: their device waits no more */
    uint64_t duplicates;      /* packets that had come before */
    uint64_t bad_malformed, bad_checksum, bad_version, bad_codec, bad_range, bad_model;
    uint64_t inferences;                           /* frames that went through a Remote NN */
    uint64_t batches;                              /* calls of the callback */
    double infer_min_s, infer_mean_s, infer_max_s; /* seconds a call; 0 before the first */
    uint64_t batch_sizes[AGN_SERVER_BATCH_BUCKETS];
    struct agn_server_histogram latency;    /* from a frame's first packet to its reply */
    struct agn_server_histogram queue_wait; /* from ready for inference to its begin */
    struct agn_server_histogram inference;  /* a call of the callback */

    int queue_depth;  /* now: frames waiting for a worker */
    int queue_limit;  /* config.max_queue */
    int queue_peak;   /* largest depth so far */
    int peers;        /* now: peers the CoAP library remembers */
    int workers;      /* threads that infer */
    bool draining;    /* now */
    double uptime_s;  /* since creation */
    uint64_t reloads; /* replacements of models that took effect */
    uint64_t reload_failures;
    uint64_t dtls_handshakes;   /* completed */
    uint64_t dtls_failed;       /* a known identity, and what its key cannot read: a wrong key */
    uint64_t dtls_unknown;      /* identities that no key belongs to */
    uint64_t dtls_refused;      /* no cipher or version in common */
    uint64_t dtls_unfinished;   /* given up by the peer half-way */
    uint64_t dtls_revoked;      /* requests of sessions whose key is not valid any more */
    uint64_t limited;           /* requests dropped: their peer sent too much */
    uint64_t withheld;          /* answers not sent: too long for what an unverified peer had sent */
    uint64_t dropped_datagrams; /* by the system: they came faster than they were read */
    /* Datagrams that are not what their port is for: feature packets without CoAP around them, below 4 bytes,
     * (D)TLS at the plain port, plain CoAP at that of DTLS, others. */
    uint64_t stray_feature_packets, stray_short, stray_tls, stray_coap, stray_other;
    uint64_t key_reloads; /* that took effect */
    uint64_t key_reload_failures;
    int dtls_peers;  /* now: DTLS sessions */
    int keys;        /* now: identities with a key */
    int model_count; /* now */
    struct agn_server_model_stats models[AGN_SERVER_MAX_MODELS];
};

/* As of the last turn of the server's loop. */
void agn_server_stats(const struct agn_server *server, struct agn_server_stats *stats);

/* Closes the socket and frees everything. NULL is allowed. Not while agn_server_run is at work. */
void agn_server_free(struct agn_server *server);

#endif
