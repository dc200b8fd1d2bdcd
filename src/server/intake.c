/* Packets in: each is read, checked, refused or put to its frame. */
#include <math.h>
#include <string.h>

#include "agilenn/base.h"
#include "server/server_internal.h"

/* A device that states a very short deadline must not have others' packets thrown away. */
#define MIN_STALE_S 0.025

enum { SECONDS_BETWEEN_LINES = 10 };

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

/* ---- refusals --------------------------------------------------------------------------- */

/* False: withheld. */
static bool answer(struct agn_server *server, struct agn__request *request, const struct agn__answer *answer)
{
    if (!agn__coap_answer(request, answer))
        return false;
    server->live.bytes_out += answer->len;
    return true;
}

/* Refuses a packet whose model and frame are known, in words that the device understands. */
static void refuse(struct agn_server *server, struct agn__request *request, uint32_t model_id, uint16_t frame,
                   uint8_t reply_status)
{
    uint8_t bytes[AGN_REPLY_BYTES(0)];
    const struct agn__whose whose = {model_id, frame, request->is_compact};
    struct agn__answer refusal = {.code = reply_status == AGN_REPLY_MISMATCH ? AGN__CODE_CONFLICT
                                          : reply_status == AGN_REPLY_BUSY   ? AGN__CODE_UNAVAILABLE
                                                                             : AGN__CODE_BAD_REQUEST,
                                  .bytes = bytes,
                                  .len = agn__short_reply(&whose, reply_status, bytes),
                                  .is_bare = request->is_compact};
    if (reply_status == AGN_REPLY_BUSY)
        refusal.max_age_s = agn__busy_max_age(server);
    (void)answer(server, request, &refusal);
}

static void tell_version(struct agn_server *server, uint32_t model_id, unsigned version, int own)
{
    double now_s = agn_now_s();
    if (server->version_told_s > 0 && now_s < server->version_told_s + SECONDS_BETWEEN_LINES)
        return;
    server->version_told_s = now_s;
    agn_log(
        AGN_LOG_WARN,
        "a device of model %08x speaks version %u of the protocol, this server version %d: use programs of "
        "the same version on both sides",
        (unsigned)model_id, version, own);
}

/* Only one that is whole is told of: other payloads have a first byte, too. */
static bool is_sealed(const struct agn__request *request)
{
    const uint8_t *bytes = request->payload;
    size_t body = request->payload_bytes - AGN_WIRE_CRC_BYTES;
    uint32_t sum = (uint32_t)bytes[body] | (uint32_t)bytes[body + 1] << 8 | (uint32_t)bytes[body + 2] << 16 |
                   (uint32_t)bytes[body + 3] << 24;
    return agn_crc32(0, bytes, body) == sum;
}

/* The same of a packet of version 2, whose checksum tells the model in every version to come. */
static void refuse_unread_compact(struct agn_server *server, struct agn__request *request, int status)
{
    const uint8_t *bytes = request->payload;
    uint32_t model_id = 0;
    if (agn_compact_model(bytes, request->payload_bytes, &model_id) < 0) {
        agn__coap_explain(request, AGN__CODE_BAD_REQUEST,
                          status == AGN_ERR_CHECKSUM ? "checksum mismatch" : "not a feature packet");
        return;
    }
    if (status == AGN_ERR_VERSION)
        tell_version(server, model_id, bytes[0] >> 4, AGN_COMPACT_VERSION);
    refuse(server, request, model_id, bytes[3],
           status == AGN_ERR_VERSION ? AGN_REPLY_VERSION : AGN_REPLY_BAD_PACKET);
}

/* A packet that could not be unpacked. Model and frame stand at the same place in every version of the
 * protocol; where the checksum fails they may be anybody's, and only a sentence goes back. */
static void refuse_unread(struct agn_server *server, struct agn__request *request, int status)
{
    const uint8_t *bytes = request->payload;
    if (status == AGN_ERR_FORMAT || status == AGN_ERR_CHECKSUM) {
        agn__coap_explain(request, AGN__CODE_BAD_REQUEST,
                          status == AGN_ERR_CHECKSUM ? "checksum mismatch" : "not a feature packet");
        return;
    }
    uint32_t model_id =
        (uint32_t)bytes[2] | (uint32_t)bytes[3] << 8 | (uint32_t)bytes[4] << 16 | (uint32_t)bytes[5] << 24;
    if (status == AGN_ERR_VERSION && is_sealed(request))
        tell_version(server, model_id, bytes[0], AGN_WIRE_VERSION);
    uint16_t frame = (uint16_t)(bytes[6] | bytes[7] << 8);
    refuse(server, request, model_id, frame,
           status == AGN_ERR_VERSION ? AGN_REPLY_VERSION : AGN_REPLY_BAD_PACKET);
}

/* ---- room for a new frame ----------------------------------------------------------------- */

static struct agn__refused *refused_at(struct agn_server *server, const struct agn__peer *peer, uint32_t key)
{
    uint32_t hash = agn_crc32(key, peer->bytes, sizeof peer->bytes);
    return &server->refused[hash % AGN__REFUSED_FRAMES];
}

static bool was_refused(const struct agn__refused *refused, const struct agn__peer *peer, uint32_t key,
                        double now_s)
{
    return now_s < refused->until_s && refused->key == key &&
           memcmp(refused->peer.bytes, peer->bytes, sizeof peer->bytes) == 0;
}

/* Whether a frame that begins now may come to an answer. Refusing it at once is what keeps a server that is
 * asked too much at its full rate: a frame that waits in vain costs the others their time. Half of a stated
 * deadline is left for inference and the ways of packets and answer. */
static bool has_room(const struct agn_server *server, const struct agn__served *model, double waited_s,
                     double patience_s)
{
    int depth = agn__crew_depth(server->crew) + agn__assembly_complete(model->assembly);
    if (server->draining || depth >= server->config.max_queue)
        return false;
    if (depth == 0) /* the estimate may be stale */
        return waited_s < patience_s;
    return waited_s + depth * server->frame_cost_s < patience_s / 2.0;
}

/* There is no room for a frame. If it has waited for long to be read, so has what stands behind it. A server
 * that only stood still for a moment has nothing else to do, and reads on. */
static void look_at_age(struct agn_server *server, const struct agn__request *request, double waited_s,
                        double patience_s)
{
    if (agn__crew_depth(server->crew) > 0 && waited_s > fmax(patience_s / 4.0, MIN_STALE_S))
        server->stale[request->verified] = true;
}

/* True when the packet may go on to its frame. A device hears of a refusal once: at its first packet; one
 * that waits no more does not, for it would stay away from a server that may have time again. */
static bool admit(struct agn_server *server, struct agn__served *model, struct agn__request *request,
                  const struct agn_feature_packet *packet, double now_s)
{
    uint32_t key = agn__frame_key(packet);
    if (agn__assembly_knows(model->assembly, &request->peer, key, now_s))
        return true;
    struct agn__refused *refused = refused_at(server, &request->peer, key);
    if (was_refused(refused, &request->peer, key, now_s))
        return false;
    double waited_s = now_s - request->arrived_s;
    double patience_s = packet->deadline_ms > 0 ? packet->deadline_ms / 1000.0 : INFINITY;
    if (has_room(server, model, waited_s, patience_s))
        return true;
    look_at_age(server, request, waited_s, patience_s);
    *refused = (struct agn__refused){request->peer, key, now_s + server->config.frame_wait_ms / 1000.0};
    if (waited_s >= patience_s && !server->draining) {
        server->live.dropped_expired++;
        return false;
    }
    server->live.refused_busy++;
    server->refused_in_turn++;
    refuse(server, request, packet->model_id, packet->frame, AGN_REPLY_BUSY);
    return false;
}

/* ---- good packets --------------------------------------------------------------------------- */

static void count_offer(struct agn_server *server, struct agn__served *model, const struct agn__offer *offer)
{
    server->live.frames += offer->began;
    server->live.frames_evicted += offer->evicted;
    server->live.frames_restarted += offer->restarted;
    server->live.duplicates += offer->duplicate;
    model->stats.frames += offer->began;
}

static void repeat_reply(struct agn_server *server, struct agn__served *model, struct agn__request *request,
                         int slot)
{
    size_t length;
    const uint8_t *reply = agn__assembly_reply(model->assembly, slot, &length);
    /* A failure is stored like an answer. */
    unsigned status = length <= 1 ? AGN_REPLY_FAILED : request->is_compact ? reply[0] & 15u : reply[1];
    bool ok = status == AGN_REPLY_OK;
    struct agn__answer again = {.code = ok ? AGN__CODE_CHANGED : AGN__CODE_INTERNAL,
                                .bytes = reply,
                                .len = length,
                                .is_bare = request->is_compact};
    if (!answer(server, request, &again))
        return;
    server->live.replies += ok;
    server->live.replies_again += ok;
    server->live.replies_failed += !ok;
    model->stats.replies += ok;
    model->stats.replies_failed += !ok;
}

static void take_packet(struct agn_server *server, struct agn__served *model, struct agn__request *request,
                        struct agn_feature_packet *packet, double now_s)
{
    struct agn__offer offer = {0};
    model->stats.packets++;
    if (!admit(server, model, request, packet, now_s))
        return;
    int status = request->is_compact ? agn_compact_place(packet, &model->model.shape) : 0;
    if (status == 0)
        status = agn__assembly_offer(model->assembly, &request->peer, packet, request->arrived_s, &offer);
    if (status < 0) {
        count_bad(&server->live, status);
        refuse(server, request, packet->model_id, packet->frame, AGN_REPLY_BAD_PACKET);
        return;
    }
    count_offer(server, model, &offer);
    if (offer.kind == AGN__OFFER_STORED || offer.kind == AGN__OFFER_DUPLICATE)
        agn__coap_keep(request, &model->exchanges[offer.slot]);
    else if (offer.kind == AGN__OFFER_REPEAT)
        repeat_reply(server, model, request, offer.slot);
}

static int read_packet(const struct agn__request *request, struct agn_feature_packet *packet)
{
    if (request->payload_bytes == 0)
        return AGN_ERR_FORMAT;
    return request->is_compact ? agn_compact_unpack(request->payload, request->payload_bytes, packet)
                               : agn_feature_unpack(request->payload, request->payload_bytes, packet);
}

void agn__intake(void *user, struct agn__request *request)
{
    struct agn_server *server = user;
    server->live.packets++;
    server->live.bytes_in += request->payload_bytes;
    struct agn_feature_packet packet;
    int status = read_packet(request, &packet);
    if (status < 0) {
        count_bad(&server->live, status);
        if (request->is_compact)
            refuse_unread_compact(server, request, status);
        else
            refuse_unread(server, request, status);
        return;
    }
    double now_s = agn_now_s();
    struct agn__served *model =
        agn__models_find(server, &request->peer, packet.model_id, agn__frame_key(&packet), now_s);
    if (model) {
        take_packet(server, model, request, &packet, now_s);
    } else if (request->is_compact && agn__models_know_handle(server, agn_compact_handle(packet.model_id))) {
        /* Of another model with a handle that is here, or, far more likely, damaged. */
        count_bad(&server->live, AGN_ERR_CHECKSUM);
        agn__coap_explain(request, AGN__CODE_BAD_REQUEST, "checksum mismatch");
    } else {
        count_bad(&server->live, AGN_ERR_MISMATCH);
        refuse(server, request, packet.model_id, packet.frame, AGN_REPLY_MISMATCH);
    }
}
