/* The server's loop: packets in, frames to the workers, replies out. What each step does is in intake.c,
 * dispatch.c and models.c; sockets are coap_server.c's. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "server/server_internal.h"

enum {
    DEFAULT_FRAME_WAIT_MS = 200,
    DEFAULT_FRAMES = 1024,
    DEFAULT_RECEIVE_BUFFER = 256 << 10,
    DEFAULT_WORKERS = 1,
    DEFAULT_BATCH = 16,
    DEFAULT_QUEUE = 256,
    DEFAULT_DRAIN_MS = 2000,
    MAX_FRAME_WAIT_MS = 60000,
    MAX_BATCH_WAIT_US = 1000000,
    MAX_BURST =
        8, /* times that the socket is read before replies are sent and waits that are over are looked at */
    TURN_MS = 200,   /* how often an idle loop looks for an interrupt and tidies up */
    COUNT_MS = 100,  /* how often the system is asked what it dropped */
    REST_MS = 5,     /* at most, with the socket left alone */
    MAX_REFUSED = 4, /* in a turn */
};

/* ---- the loop ------------------------------------------------------------------------- */

static void publish(struct agn_server *server)
{
    struct agn_server_stats *stats = &server->live;
    stats->queue_depth = agn__crew_depth(server->crew);
    stats->queue_limit = server->config.max_queue;
    stats->peers = agn__coap_peers(server->coap);
    stats->workers = server->config.workers;
    stats->draining = server->draining;
    stats->uptime_s = agn_now_s() - server->begin_s;
    stats->reload_failures = atomic_load(&server->reload_failures);
    agn__trust_publish(server);
    agn__models_publish(server);
    pthread_mutex_lock(&server->lock);
    server->published = *stats;
    pthread_mutex_unlock(&server->lock);
}

static void add_in_hand(struct agn__served *model, void *user)
{
    *(int *)user += model->jobs_in_hand + agn__assembly_pending(model->assembly);
}

static void shorten_wait(struct agn__served *model, void *user)
{
    double *wait_s = user;
    *wait_s = fmin(*wait_s, agn__assembly_wait(model->assembly, agn_now_s()));
}

static void clear_wake(struct agn_server *server)
{
    uint64_t count;
    (void)!read(server->wake_fd, &count, sizeof count);
}

/* Begins to drain when asked to. True once nothing is in hand any more, or the time for it is over. */
static bool is_drained(struct agn_server *server)
{
    double now_s = agn_now_s();
    if (!server->draining && (atomic_load(&server->drain) || agn_interrupt_requested())) {
        server->draining = true;
        server->drain_until_s = now_s + server->config.drain_ms / 1000.0;
        agn_log(AGN_LOG_INFO, "drain: no new frames; answering those in hand");
    }
    if (!server->draining)
        return false;
    int in_hand = 0;
    agn__models_each(server, add_in_hand, &in_hand);
    if (in_hand > 0 && now_s >= server->drain_until_s)
        agn_log(AGN_LOG_WARN, "drain: %d frames are left unanswered after %u ms", in_hand,
                (unsigned)server->config.drain_ms);
    return in_hand == 0 || now_s >= server->drain_until_s;
}

/* Reading a frame only to refuse it takes time from those that are computed. So a server that is asked too
 * much refuses a few, then leaves the socket alone until a batch is done. What comes meanwhile waits in the
 * socket's buffer; what finds that full is dropped by the system, which costs the server nothing. */
static void rest_after_refusals(struct agn_server *server)
{
    struct pollfd batch_done = {.fd = server->wake_fd, .events = POLLIN};
    bool enough =
        server->refused_in_turn >= MAX_REFUSED && !server->draining && agn__crew_depth(server->crew) > 0;
    server->refused_in_turn = 0;
    if (!enough)
        return;
    (void)poll(&batch_done, 1, REST_MS);
    clear_wake(server);
    agn__deliver(server);
}

/* How many datagrams to read now: no more than there is room for frames, or than may still be refused. */
static int most_to_read(struct agn_server *server)
{
    int room = server->config.max_queue - agn__crew_depth(server->crew);
    int refusals = MAX_REFUSED - server->refused_in_turn;
    return server->draining ? INT_MAX : room > refusals ? room : refusals;
}

/* The buffer is a queue, too: where it has become so long that frames come too late, all of it is late. */
static void discard_stale(struct agn_server *server)
{
    for (int dtls = 0; dtls < 2; dtls++)
        if (server->stale[dtls] && !server->draining)
            agn__coap_discard(server->coap, dtls);
    server->stale[0] = server->stale[1] = false;
}

static bool may_read_on(const struct agn_server *server)
{
    return server->draining || server->refused_in_turn < MAX_REFUSED;
}

/* The system is asked now and then only: it is a call for each socket. */
static void count_dropped(struct agn_server *server)
{
    double now_s = agn_now_s();
    if (now_s < server->count_dropped_s)
        return;
    agn__coap_count_dropped(server->coap);
    server->count_dropped_s = now_s + COUNT_MS / 1000.0;
}

/* Reads what has come before it gives up on frames whose wait is over: their last packets may stand in the
 * socket's queue. */
static int turn(struct agn_server *server)
{
    double wait_s = TURN_MS / 1000.0;
    rest_after_refusals(server);
    agn__models_turn(server, agn_now_s());
    agn__trust_turn(server);
    count_dropped(server);
    agn__models_each(server, shorten_wait, &wait_s);
    int status =
        agn__coap_poll(server->coap, (int)ceil(wait_s * 1000.0), most_to_read(server), server->wake_fd);
    clear_wake(server);
    for (int i = 0; status > 0 && i < MAX_BURST && may_read_on(server); i++) {
        agn__dispatch(server, false);
        status = agn__coap_poll(server->coap, 0, most_to_read(server), server->wake_fd);
    }
    if (status < 0)
        return status;
    discard_stale(server);
    agn__dispatch(server, true);
    agn__deliver(server);
    publish(server);
    return 0;
}

int agn_server_run(struct agn_server *server)
{
    int status = agn__crew_start(server->crew);
    if (status < 0)
        return status;
    while (status == 0 && !atomic_load(&server->stop) && !is_drained(server))
        status = turn(server);
    agn__crew_stop(server->crew);
    agn__deliver(server);
    server->draining = false;
    agn__coap_count_dropped(server->coap);
    publish(server);
    atomic_store(&server->drain, false);
    if (atomic_exchange(&server->stop, false))
        clear_wake(server);
    return status;
}

void agn__wake(struct agn_server *server)
{
    int saved = errno;
    uint64_t one = 1;
    (void)!write(server->wake_fd, &one, sizeof one);
    errno = saved;
}

void agn_server_stop(struct agn_server *server)
{
    atomic_store(&server->stop, true);
    agn__wake(server);
}

void agn_server_drain(struct agn_server *server)
{
    atomic_store(&server->drain, true);
    agn__wake(server);
}

uint16_t agn_server_port(const struct agn_server *server)
{
    return agn__coap_port(server->coap);
}

void agn_server_stats(const struct agn_server *server, struct agn_server_stats *stats)
{
    /* The lock is no part of what the caller may not change. */
    pthread_mutex_t *lock = (pthread_mutex_t *)&server->lock;
    pthread_mutex_lock(lock);
    *stats = server->published;
    pthread_mutex_unlock(lock);
}

int agn_server_replace_models(struct agn_server *server, const struct agn_server_model *models, int count)
{
    struct agn__model_set *set = NULL;
    int status = agn__set_create(&server->limits, models, count, &set);
    if (status < 0) {
        agn_server_count_reload_failure(server);
        return status;
    }
    pthread_mutex_lock(&server->lock);
    struct agn__model_set *overtaken = server->pending;
    server->pending = set;
    pthread_mutex_unlock(&server->lock);
    agn__set_free(overtaken, true);
    agn__wake(server);
    return 0;
}

void agn_server_count_reload_failure(struct agn_server *server)
{
    atomic_fetch_add(&server->reload_failures, 1);
}

/* ---- creation -------------------------------------------------------------------------- */

static int check_number(const char *what, int value, int max)
{
    if (value < 0 || value > max)
        return agn_fail(AGN_ERR_ARG, "%d %s, expected 1 to %d", value, what, max);
    return 0;
}

static int check_config(const struct agn_server_config *config)
{
    if (config->frame_wait_ms > MAX_FRAME_WAIT_MS)
        return agn_fail(AGN_ERR_ARG, "frame wait of %u ms, expected at most %d",
                        (unsigned)config->frame_wait_ms, (int)MAX_FRAME_WAIT_MS);
    if (config->max_wait_us > MAX_BATCH_WAIT_US)
        return agn_fail(AGN_ERR_ARG, "batch wait of %u us, expected at most %d",
                        (unsigned)config->max_wait_us, (int)MAX_BATCH_WAIT_US);
    int status = check_number("frames at once", config->max_frames, AGN_SERVER_MAX_FRAMES);
    if (status == 0)
        status = check_number("peers", config->max_peers, AGN_SERVER_MAX_PEERS);
    if (status == 0)
        status =
            check_number("bytes of a receive buffer", config->receive_buffer, AGN_SERVER_MAX_RECEIVE_BUFFER);
    if (status == 0)
        status = check_number("workers", config->workers, AGN_SERVER_MAX_WORKERS);
    if (status == 0)
        status = check_number("frames a batch", config->max_batch, AGN_SERVER_MAX_BATCH);
    if (status == 0)
        status = check_number("frames in the queue", config->max_queue, AGN_SERVER_MAX_QUEUE);
    return status < 0 ? status : agn__trust_check(config);
}

static void fill_in_defaults(struct agn_server_config *config)
{
    config->frame_wait_ms = config->frame_wait_ms > 0 ? config->frame_wait_ms : DEFAULT_FRAME_WAIT_MS;
    config->max_frames = config->max_frames > 0 ? config->max_frames : DEFAULT_FRAMES;
    config->receive_buffer = config->receive_buffer > 0 ? config->receive_buffer : DEFAULT_RECEIVE_BUFFER;
    config->workers = config->workers > 0 ? config->workers : DEFAULT_WORKERS;
    config->max_batch = config->max_batch > 0 ? config->max_batch : DEFAULT_BATCH;
    config->max_queue = config->max_queue > 0 ? config->max_queue : DEFAULT_QUEUE;
    config->drain_ms = config->drain_ms > 0 ? config->drain_ms : DEFAULT_DRAIN_MS;
}

static int set_up(struct agn_server *server, const struct agn_server_config *given)
{
    const struct agn_server_config *config = &server->config;
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot make the server's stop signal: %s", strerror(errno));
    struct agn__crew_config crew = {.workers = config->workers,
                                    .max_batch = config->max_batch,
                                    .max_wait_s = config->max_wait_us / 1e6,
                                    .queue_limit = config->max_queue,
                                    .wake_fd = server->wake_fd};
    server->crew = agn__crew_create(&crew);
    server->refused = agn_alloc(AGN__REFUSED_FRAMES, sizeof *server->refused);
    if (!server->crew || !server->refused)
        return AGN_ERR_MEMORY;
    return agn__trust_open(server, given);
}

static int set_up_models(struct agn_server *server, const struct agn_server_model *models, int count)
{
    const struct agn_server_config *config = &server->config;
    struct agn__model_set *set;
    server->limits = (struct agn__served_limits){
        .assembly = {config->max_frames, config->frame_wait_ms / 1000.0, AGN__KEEP_REPLY_S},
        .workers = config->workers,
        .max_batch = config->max_batch,
        .jobs = config->max_queue + 2 * config->workers * config->max_batch};
    int status = agn__set_create(&server->limits, models, count, &set);
    if (status < 0)
        return status;
    server->set = *set;
    agn_free(set);
    return 0;
}

static void free_server(struct agn_server *server, bool release)
{
    for (int i = 0; i < server->set.count; i++)
        agn__served_free(server->set.models[i], release);
    for (struct agn__served *next, *model = server->retiring; model; model = next) {
        next = model->next;
        agn__served_free(model, release);
    }
    agn__set_free(server->pending, release);
    agn__crew_free(server->crew);
    agn__coap_close(server->coap);
    agn__trust_close(server);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    pthread_mutex_destroy(&server->lock);
    free(server->set.json);
    agn_free(server->refused);
    agn_free(server);
}

int agn_server_create(struct agn_server **server, const struct agn_server_config *config,
                      const struct agn_server_model *models, int count)
{
    int status = check_config(config);
    if (status < 0)
        return status;
    struct agn_server *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->wake_fd = -1;
    made->config = *config;
    made->config.address = made->config.psk_file = NULL;
    fill_in_defaults(&made->config);
    atomic_init(&made->stop, false);
    atomic_init(&made->drain, false);
    atomic_init(&made->reload_failures, 0);
    atomic_init(&made->key_reload_failures, 0);
    pthread_mutex_init(&made->lock, NULL);
    made->begin_s = agn_now_s();
    status = set_up_models(made, models, count);
    if (status == 0)
        status = set_up(made, config);
    if (status < 0) {
        free_server(made, false);
        return status;
    }
    agn__coap_set_models(made->coap, made->set.json);
    publish(made);
    *server = made;
    return 0;
}

void agn_server_free(struct agn_server *server)
{
    if (server)
        free_server(server, true);
}
