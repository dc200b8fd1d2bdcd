/* The server's loop: requests into the assembly, ready frames through the Remote NN, answers out.
 * Sockets are coap_server.c's, frames assembly.c's. One thread does everything. */
#include "agilenn/server.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "server/assembly.h"
#include "server/coap_server.h"
#include "server/features.h"
#include "server/histogram.h"

enum {
    DEFAULT_FRAME_WAIT_MS = 200,
    DEFAULT_FRAMES = 64,
    DEFAULT_PEERS = 256,
    MAX_FRAME_WAIT_MS = 60000,
    MAX_BURST = 256, /* datagrams read before a frame is answered */
    TURN_MS = 200,   /* how often an idle loop looks for an interrupt and tidies up */
};
#define KEEP_REPLY_S 2.0

static const uint8_t CODE_CHANGED = AGN__COAP_CODE(2, 4);
static const uint8_t CODE_BAD_REQUEST = AGN__COAP_CODE(4, 0);
static const uint8_t CODE_CONFLICT = AGN__COAP_CODE(4, 9);
static const uint8_t CODE_INTERNAL = AGN__COAP_CODE(5, 0);

struct agn_server {
    struct agn_server_model model;
    float *fill;
    char *models_json;
    struct agn__coap *coap;
    struct agn__assembly *assembly;
    struct agn__exchange *exchanges; /* one a slot: where its latest packet came from */
    int slots;
    float *features, *logits;
    int16_t *fixed_logits;
    uint8_t *reply;
    size_t reply_cap;

    int wake_fd;
    atomic_bool stop;

    struct agn_server_stats live; /* of the loop's thread */
    double infer_total_s;
    pthread_mutex_t published_lock;
    struct agn_server_stats published; /* what agn_server_stats shows */
};

/* ---- packets in ------------------------------------------------------------------- */

static void count_bad(struct agn_server_stats *stats, int status)
{
    switch (status) {
    case AGN_ERR_CHECKSUM:
        stats->bad_checksum++;
        break;
    case AGN_ERR_VERSION:
        stats->bad_version++;
        break;
    case AGN_ERR_UNSUPPORTED:
        stats->bad_codec++;
        break;
    case AGN_ERR_RANGE:
        stats->bad_range++;
        break;
    case AGN_ERR_MISMATCH:
        stats->bad_model++;
        break;
    default:
        stats->bad_malformed++;
        break;
    }
}

static void answer(struct agn_server *server, struct agn__request *request, uint8_t code,
                   const uint8_t *bytes, size_t len)
{
    agn__coap_answer(request, code, bytes, len);
    server->live.bytes_out += len;
}

/* Refuses a packet whose model and frame are known, in words that the device understands. */
static void refuse(struct agn_server *server, struct agn__request *request, uint32_t model_id, uint16_t frame,
                   uint8_t reply_status)
{
    struct agn_reply_packet reply = {.model_id = model_id, .frame = frame, .status = reply_status};
    uint8_t bytes[AGN_REPLY_BYTES(0)];
    int length = agn_reply_pack(&reply, NULL, bytes, sizeof bytes);
    if (length > 0)
        answer(server, request, reply_status == AGN_REPLY_MISMATCH ? CODE_CONFLICT : CODE_BAD_REQUEST, bytes,
               (size_t)length);
}

/* A packet that could not be unpacked. Model and frame stand at the same place in every version of the
 * protocol; where the checksum fails they may be anybody's, and only a sentence goes back. */
static void refuse_unread(struct agn_server *server, struct agn__request *request, int status)
{
    const uint8_t *bytes = request->payload;
    if (status == AGN_ERR_FORMAT || status == AGN_ERR_CHECKSUM) {
        agn__coap_explain(request, CODE_BAD_REQUEST,
                          status == AGN_ERR_CHECKSUM ? "checksum mismatch" : "not a feature packet");
        return;
    }
    uint32_t model_id =
        (uint32_t)bytes[2] | (uint32_t)bytes[3] << 8 | (uint32_t)bytes[4] << 16 | (uint32_t)bytes[5] << 24;
    uint16_t frame = (uint16_t)(bytes[6] | bytes[7] << 8);
    refuse(server, request, model_id, frame,
           status == AGN_ERR_VERSION ? AGN_REPLY_VERSION : AGN_REPLY_BAD_PACKET);
}

static void count_offer(struct agn_server_stats *stats, const struct agn__offer *offer)
{
    stats->frames += offer->began;
    stats->frames_evicted += offer->evicted;
    stats->frames_restarted += offer->restarted;
    stats->duplicates += offer->duplicate;
}

static void take_packet(struct agn_server *server, struct agn__request *request,
                        const struct agn_feature_packet *packet)
{
    struct agn__offer offer;
    int status = agn__assembly_offer(server->assembly, &request->peer, packet, agn_now_s(), &offer);
    if (status < 0) {
        count_bad(&server->live, status);
        refuse(server, request, packet->model_id, packet->frame, AGN_REPLY_BAD_PACKET);
        return;
    }
    count_offer(&server->live, &offer);
    if (offer.kind == AGN__OFFER_STORED || offer.kind == AGN__OFFER_DUPLICATE)
        agn__coap_keep(request, &server->exchanges[offer.slot]);
    if (offer.kind != AGN__OFFER_REPEAT)
        return;
    size_t length;
    const uint8_t *reply = agn__assembly_reply(server->assembly, offer.slot, &length);
    bool ok = length > 1 && reply[1] == AGN_REPLY_OK; /* a failure is stored like an answer */
    answer(server, request, ok ? CODE_CHANGED : CODE_INTERNAL, reply, length);
    server->live.replies += ok;
    server->live.replies_again += ok;
    server->live.replies_failed += !ok;
}

static void on_request(void *user, struct agn__request *request)
{
    struct agn_server *server = user;
    server->live.packets++;
    server->live.bytes_in += request->payload_bytes;
    struct agn_feature_packet packet;
    int status = request->payload_bytes > 0
                     ? agn_feature_unpack(request->payload, request->payload_bytes, &packet)
                     : AGN_ERR_FORMAT;
    if (status < 0) {
        count_bad(&server->live, status);
        refuse_unread(server, request, status);
    } else if (packet.model_id != server->model.model_id) {
        count_bad(&server->live, AGN_ERR_MISMATCH);
        refuse(server, request, packet.model_id, packet.frame, AGN_REPLY_MISMATCH);
    } else {
        take_packet(server, request, &packet);
    }
}

/* ---- frames out --------------------------------------------------------------------- */

static int infer(struct agn_server *server)
{
    double begin_s = agn_now_s();
    int status = server->model.infer(server->model.user, server->features, 1, server->logits);
    double took_s = agn_now_s() - begin_s;
    struct agn_server_stats *stats = &server->live;
    stats->infer_min_s = stats->inferences == 0 || took_s < stats->infer_min_s ? took_s : stats->infer_min_s;
    stats->infer_max_s = took_s > stats->infer_max_s ? took_s : stats->infer_max_s;
    stats->inferences++;
    stats->batches++;
    stats->batch_sizes[0]++;
    agn__histogram_add(&stats->inference, took_s);
    server->infer_total_s += took_s;
    stats->infer_mean_s = server->infer_total_s / (double)stats->inferences;
    if (status < 0) {
        agn_log(AGN_LOG_WARN, "inference failed: %s (%s)", agn_status_text(status), agn_error_message());
        return status;
    }
    status = agn__logits_to_q8(server->logits, server->model.classes, server->fixed_logits);
    if (status < 0)
        agn_log(AGN_LOG_WARN, "inference gave a logit that is not a finite number");
    return status;
}

static void answer_frame(struct agn_server *server, int slot)
{
    struct agn_server_stats *stats = &server->live;
    int missing = agn__features_expand(agn__assembly_map(server->assembly, slot), &server->model.shape,
                                       server->model.centroids, server->fill, server->features);
    struct agn_reply_packet reply = {.model_id = server->model.model_id,
                                     .frame = agn__assembly_frame(server->assembly, slot),
                                     .status = AGN_REPLY_FAILED};
    bool ok = infer(server) >= 0;
    if (ok) {
        reply.status = AGN_REPLY_OK;
        reply.channels_missing = (uint8_t)missing;
        reply.class_count = (uint16_t)server->model.classes;
    }
    int length = agn_reply_pack(&reply, server->fixed_logits, server->reply, server->reply_cap);
    if (length < 0)
        length = 0; /* cannot be: shape and classes were checked */
    if (agn__assembly_is_complete(server->assembly, slot))
        stats->frames_complete++;
    else
        stats->frames_partial++;
    agn__assembly_answered(server->assembly, slot, server->reply, (size_t)length, agn_now_s());
    int status = agn__coap_send(server->coap, &server->exchanges[slot], ok ? CODE_CHANGED : CODE_INTERNAL,
                                server->reply, (size_t)length);
    if (status < 0) {
        agn_log(AGN_LOG_DEBUG, "frame %u: %s", (unsigned)reply.frame, agn_error_message());
        return;
    }
    stats->bytes_out += (uint64_t)length;
    stats->replies += ok;
    stats->replies_failed += !ok;
}

/* ---- the loop ------------------------------------------------------------------------- */

static void publish(struct agn_server *server)
{
    pthread_mutex_lock(&server->published_lock);
    server->published = server->live;
    pthread_mutex_unlock(&server->published_lock);
}

/* Reads all that has come before it answers one frame: while the Remote NN was busy the wait of a frame
 * may have ended whose last packets stand in the socket's queue. */
static int turn(struct agn_server *server)
{
    double wait_s = agn__assembly_wait(server->assembly, agn_now_s());
    int wait_ms = wait_s * 1000.0 < TURN_MS ? (int)ceil(wait_s * 1000.0) : TURN_MS;
    int status = agn__coap_poll(server->coap, wait_ms, server->wake_fd);
    for (int i = 0; status > 0 && i < MAX_BURST; i++)
        status = agn__coap_poll(server->coap, 0, server->wake_fd);
    if (status < 0)
        return status;
    int slot = agn__assembly_next(server->assembly, agn_now_s());
    if (slot >= 0)
        answer_frame(server, slot);
    publish(server);
    return 0;
}

int agn_server_run(struct agn_server *server)
{
    int status = 0;
    while (status == 0 && !atomic_load(&server->stop) && !agn_interrupt_requested())
        status = turn(server);
    if (atomic_exchange(&server->stop, false)) {
        uint64_t count;
        (void)!read(server->wake_fd, &count, sizeof count);
    }
    return status;
}

void agn_server_stop(struct agn_server *server)
{
    int saved = errno;
    atomic_store(&server->stop, true);
    uint64_t one = 1;
    (void)!write(server->wake_fd, &one, sizeof one);
    errno = saved;
}

uint16_t agn_server_port(const struct agn_server *server)
{
    return agn__coap_port(server->coap);
}

void agn_server_stats(const struct agn_server *server, struct agn_server_stats *stats)
{
    /* The lock is no part of what the caller may not change. */
    pthread_mutex_t *lock = (pthread_mutex_t *)&server->published_lock;
    pthread_mutex_lock(lock);
    *stats = server->published;
    pthread_mutex_unlock(lock);
}

/* ---- creation -------------------------------------------------------------------------- */

static int check_model(const struct agn_server_model *model)
{
    const struct agn_map_shape *shape = &model->shape;
    if (shape->channels == 0 || shape->height == 0 || shape->width == 0)
        return agn_fail(AGN_ERR_ARG, "served model: a map of %u x %u x %u has no symbols",
                        (unsigned)shape->channels, (unsigned)shape->height, (unsigned)shape->width);
    if (model->classes < 1 || model->classes > AGN_WIRE_MAX_CLASSES)
        return agn_fail(AGN_ERR_ARG, "served model: %d classes, expected 1 to %d", model->classes,
                        (int)AGN_WIRE_MAX_CLASSES);
    if (!model->infer)
        return agn_fail(AGN_ERR_ARG, "served model: no inference");
    return 0;
}

static int check_config(const struct agn_server_config *config)
{
    if (config->frame_wait_ms > MAX_FRAME_WAIT_MS)
        return agn_fail(AGN_ERR_ARG, "frame wait of %u ms, expected at most %d",
                        (unsigned)config->frame_wait_ms, (int)MAX_FRAME_WAIT_MS);
    if (config->max_frames < 0 || config->max_frames > AGN_SERVER_MAX_FRAMES)
        return agn_fail(AGN_ERR_ARG, "%d frames at once, expected 1 to %d", config->max_frames,
                        (int)AGN_SERVER_MAX_FRAMES);
    if (config->max_peers < 0 || config->max_peers > AGN_SERVER_MAX_PEERS)
        return agn_fail(AGN_ERR_ARG, "%d peers, expected 1 to %d", config->max_peers,
                        (int)AGN_SERVER_MAX_PEERS);
    return 0;
}

static char *describe_model(const struct agn_server_model *model)
{
    char id[9];
    snprintf(id, sizeof id, "%08x", (unsigned)model->model_id);
    json_t *json =
        json_pack("{s:i, s:[{s:s, s:i, s:i, s:i, s:i}]}", "protocol", (int)AGN_WIRE_VERSION, "models", "id",
                  id, "channels", (int)model->shape.channels, "height", (int)model->shape.height, "width",
                  (int)model->shape.width, "classes", model->classes);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

static int copy_model(struct agn_server *server, const struct agn_server_model *model)
{
    server->model = *model;
    server->model.fill = NULL;
    size_t channels = model->shape.channels, classes = (size_t)model->classes;
    size_t places = (size_t)model->shape.height * model->shape.width;
    server->fill = agn_alloc(channels, sizeof *server->fill);
    server->features = agn_alloc(places * channels, sizeof *server->features);
    server->logits = agn_alloc(classes, sizeof *server->logits);
    server->fixed_logits = agn_alloc(classes, sizeof *server->fixed_logits);
    server->reply_cap = AGN_REPLY_BYTES(classes);
    server->reply = agn_alloc(server->reply_cap, 1);
    if (!server->fill || !server->features || !server->logits || !server->fixed_logits || !server->reply)
        return AGN_ERR_MEMORY;
    if (model->fill)
        memcpy(server->fill, model->fill, channels * sizeof *server->fill);
    server->models_json = describe_model(model);
    return server->models_json ? 0 : agn_fail(AGN_ERR_MEMORY, "no memory to describe the served model");
}

static int set_up(struct agn_server *server, const struct agn_server_config *config)
{
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0)
        return agn_fail(AGN_ERR_IO, "cannot make the server's stop signal: %s", strerror(errno));
    uint32_t wait_ms = config->frame_wait_ms > 0 ? config->frame_wait_ms : DEFAULT_FRAME_WAIT_MS;
    server->slots = config->max_frames > 0 ? config->max_frames : DEFAULT_FRAMES;
    struct agn__assembly_limits limits = {server->slots, wait_ms / 1000.0, KEEP_REPLY_S};
    server->assembly =
        agn__assembly_create(&limits, &server->model.shape, server->model.contexts, server->reply_cap);
    server->exchanges = agn_alloc((size_t)server->slots, sizeof *server->exchanges);
    if (!server->assembly || !server->exchanges)
        return AGN_ERR_MEMORY;
    struct agn__coap_config coap = {.address = config->address ? config->address : "127.0.0.1",
                                    .port = config->port,
                                    .max_peers = config->max_peers > 0 ? config->max_peers : DEFAULT_PEERS,
                                    .reply_bytes = server->reply_cap,
                                    .models_json = server->models_json,
                                    .handler = on_request,
                                    .user = server};
    return agn__coap_open(&server->coap, &coap);
}

int agn_server_create(struct agn_server **server, const struct agn_server_config *config,
                      const struct agn_server_model *model)
{
    int status = check_model(model);
    if (status < 0 || (status = check_config(config)) < 0)
        return status;
    struct agn_server *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->wake_fd = -1;
    atomic_init(&made->stop, false);
    pthread_mutex_init(&made->published_lock, NULL);
    status = copy_model(made, model);
    if (status == 0)
        status = set_up(made, config);
    if (status < 0) {
        agn_server_free(made);
        return status;
    }
    *server = made;
    return 0;
}

void agn_server_free(struct agn_server *server)
{
    if (!server)
        return;
    for (int i = 0; server->exchanges && i < server->slots; i++)
        agn__coap_forget(&server->exchanges[i]);
    agn__coap_close(server->coap);
    agn__assembly_free(server->assembly);
    agn_free(server->exchanges);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    pthread_mutex_destroy(&server->published_lock);
    free(server->models_json);
    agn_free(server->fill);
    agn_free(server->features);
    agn_free(server->logits);
    agn_free(server->fixed_logits);
    agn_free(server->reply);
    agn_free(server);
}
