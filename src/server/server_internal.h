/* What the files of a running server share. All of it belongs to the thread that runs the server, but for
 * what stands under a lock.
 *
 *     intake.c    packets into frames          models.c   which models are served
 *     dispatch.c  frames to the workers, replies back to devices
 *     access.c     keys, limits, and the counts of both
 *     server.c    creation, the loop, what callers see */
#ifndef AGN_SERVER_INTERNAL_H
#define AGN_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "agilenn/server.h"
#include "server/coap_server.h"
#include "server/crew.h"
#include "server/served.h"

enum {
    AGN__REFUSED_FRAMES = 1024, /* of which the server remembers that it refused them */
    AGN__CODE_CHANGED = AGN__COAP_CODE(2, 4),
    AGN__CODE_BAD_REQUEST = AGN__COAP_CODE(4, 0),
    AGN__CODE_CONFLICT = AGN__COAP_CODE(4, 9),
    AGN__CODE_INTERNAL = AGN__COAP_CODE(5, 0),
    AGN__CODE_UNAVAILABLE = AGN__COAP_CODE(5, 3),
};
#define AGN__KEEP_REPLY_S 2.0

/* Models that are served together, with what GET /v1/models says of them. */
struct agn__model_set {
    int count;
    struct agn__served *models[AGN_SERVER_MAX_MODELS];
    char *json;
};

/* A frame whose first packet was refused; the others must not begin it. */
struct agn__refused {
    struct agn__peer peer;
    uint32_t key; /* agn__frame_key */
    double until_s;
};

struct agn_server {
    struct agn_server_config config; /* defaults filled in; the address is not kept */
    struct agn__served_limits limits;
    struct agn__coap *coap;
    struct agn__crew *crew;
    struct agn__model_set set;
    struct agn__served *retiring; /* list */
    struct agn__refused *refused;
    double frame_cost_s; /* what one more frame in the queue adds to the wait of the next: a moving mean */
    int refused_in_turn; /* frames, for want of room */
    bool stale[2];       /* what stands in the buffer of the plain socket, of the DTLS one */
    bool draining;
    double begin_s, drain_until_s, infer_total_s;
    double count_dropped_s; /* when to do so again */
    double version_told_s;  /* when the log last told of a device of another version; 0: never */
    struct agn_server_stats live;

    char *psk_file; /* NULL: no DTLS */

    int wake_fd;
    atomic_bool stop, drain;
    atomic_ullong reload_failures, key_reload_failures;

    pthread_mutex_t lock; /* of what follows */
    struct agn__model_set *pending;
    struct agn_keys *pending_keys;
    struct agn_server_stats published;
};

/* ---- server.c ------------------------------------------------------------------------ */

/* Ends the loop's wait. Async-signal-safe. */
void agn__wake(struct agn_server *server);

/* ---- models.c ------------------------------------------------------------------------ */

/* A set of copies, freed with agn__set_free. Errors as for agn_server_create. */
int agn__set_create(const struct agn__served_limits *limits, const struct agn_server_model *models, int count,
                    struct agn__model_set **set);
/* With `release` gives the models back. NULL is allowed. */
void agn__set_free(struct agn__model_set *set, bool release);
/* Takes over what agn_server_replace_models left; then frees retired models that have nothing left to do. */
void agn__models_turn(struct agn_server *server, double now_s);
/* The model that a packet is for, by agn__frame_key, or NULL. A retired one takes packets of its own frames
 * only. */
struct agn__served *agn__models_find(struct agn_server *server, const struct agn__peer *peer,
                                     uint32_t model_id, uint32_t key, double now_s);
/* Whether a model has this handle (agn_compact.h). */
bool agn__models_know_handle(const struct agn_server *server, uint16_t handle);
/* Copies what each served model has counted into the statistics. */
void agn__models_publish(struct agn_server *server);
/* Calls `visit` for every model, retired ones too. */
void agn__models_each(struct agn_server *server, void (*visit)(struct agn__served *model, void *user),
                      void *user);

/* ---- access.c ------------------------------------------------------------------------- */

int agn__trust_check(const struct agn_server_config *config);
/* Opens the CoAP side with keys and limits. */
int agn__trust_open(struct agn_server *server, const struct agn_server_config *given);
/* Takes over what agn_server_reload_keys left. */
void agn__trust_turn(struct agn_server *server);
/* Copies counts into the statistics. */
void agn__trust_publish(struct agn_server *server);
/* After the CoAP side is closed. */
void agn__trust_close(struct agn_server *server);

/* ---- intake.c ------------------------------------------------------------------------ */

/* An agn__request_fn, of packets of version 1 and of version 2; `user` is the server. */
void agn__intake(void *user, struct agn__request *request);

/* ---- dispatch.c ---------------------------------------------------------------------- */

/* Whose a packet is, as far as it told; and the version that it had. */
struct agn__whose {
    uint32_t model_id;
    uint16_t frame;
    bool is_compact;
};

/* A reply without logits. Its length. */
size_t agn__short_reply(const struct agn__whose *whose, uint8_t status, uint8_t bytes[AGN_REPLY_BYTES(0)]);
/* Seconds that a device refused as busy should wait before it tries again. */
uint32_t agn__busy_max_age(const struct agn_server *server);
/* Hands complete frames, and with `due` those whose wait is over, to the workers. */
void agn__dispatch(struct agn_server *server, bool due);
/* Sends the replies that the workers have made. */
void agn__deliver(struct agn_server *server);

#endif
