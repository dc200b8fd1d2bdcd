/* A device on a host: images through the device library, packets through a UDP socket.
 * Policy lives here: the deadline, when to give up, when a server counts as dead. */
#include "agilenn/client.h"

#include <string.h>

#include "agilenn/base.h"
#include "agilenn/hosted.h"
#include "agilenn/keys.h"
#include "agn_coap.h"
#include "agn_compact.h"
#include "agn_pause.h"
#include "agn_rate.h"
#include "client/link.h"

enum {
    DEFAULT_DEADLINE_MS = 200,
    MAX_DEADLINE_MS = 60000,
    MAX_REPEATS = 10,
    DEFAULT_DEAD_AFTER = 3,
    DEFAULT_PROBE_EVERY = 10,
    ANSWER_ROOM = 64,      /* CoAP header, token and options around a reply */
    MAX_LATE_ANSWERS = 64, /* looked at before a frame */
    LATEST_FORGOTTEN = 32, /* frames ago: answers to older ones are nobody's */
    RENEW_AFTER = 3,       /* frames in a row without any answer, after which a session counts as lost */
    UDP_IP_BYTES = 28,
    DTLS_BYTES = 37, /* record header, nonce and tag */
};

struct agn_client {
    struct agn_hosted device;
    struct agn__link link;
    struct agn_rng drops, noise;
    struct agn_pause pause; /* asked for by the server */
    bool measures;          /* the link, in ticks of 0.1 ms */
    struct agn_rate rate;
    struct agn_split split; /* no profile: cut and threshold stay as they are */
    double slower;
    uint32_t budget; /* of a frame, as the configuration wants it */
    uint16_t extra_bytes;
    uint32_t deadline_ms, drop_permille;
    int dead_after, probe_every; /* dead_after < 0: never */
    int repeats;
    bool may_fall_back;              /* to version 1 of the protocol */
    int misses;                      /* frames in a row without any answer */
    int skipped;                     /* frames since the last probe */
    int unheard;                     /* frames sent in a row without any answer; begun anew with a session */
    double sent_s[LATEST_FORGOTTEN]; /* first packets of frames that went without an answer; 0: none */
    double late_s;                   /* the latest late answer that no result has told of; 0: none */
    uint16_t frame, message_id;
    uint8_t salt; /* first byte of every token, so that an earlier run's answers do not match */
    int16_t *logits, *local_logits;
    uint32_t raw_bytes;
    uint8_t datagram[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
    uint8_t answer[AGN_WIRE_MAX_REPLY + ANSWER_ROOM];
};

const char *agn_client_reason_text(enum agn_client_reason reason)
{
    switch (reason) {
#define REASON_CASE(name, text)                                                                              \
    case name:                                                                                               \
        return text;
        AGN_CLIENT_REASON_TABLE(REASON_CASE)
#undef REASON_CASE
    default:
        return "unknown reason";
    }
}

/* ---- packets out ----------------------------------------------------------------------- */

static bool is_compact(const struct agn_client *client)
{
    return agn_dev_protocol(&client->device.dev) == AGN_COMPACT_VERSION;
}

static size_t coap_bytes(const struct agn_client *client)
{
    return is_compact(client) ? AGN_COAP_COMPACT_OVERHEAD : AGN_COAP_REQUEST_OVERHEAD;
}

/* Token: salt, frame (2 bytes), packet index; of version 2 salt and frame in two bytes. */
static size_t wrap(struct agn_client *client, uint8_t index, size_t length)
{
    const uint8_t *payload = client->datagram + coap_bytes(client);
    uint8_t high = (uint8_t)(client->frame >> 8), low = (uint8_t)client->frame;
    const uint8_t token[AGN_COAP_TOKEN_BYTES] = {client->salt, high, low, index};
    const uint8_t compact[AGN_COAP_COMPACT_TOKEN_BYTES] = {(uint8_t)(client->salt + high), low};
    return is_compact(client)
               ? agn_coap_request_compact(client->datagram, client->message_id++, compact, payload, length)
               : agn_coap_request(client->datagram, client->message_id++, token, payload, length);
}

/* Bytes of a packet that are symbols. */
static size_t coded_bytes(const struct agn_client *client, size_t length)
{
    struct agn_feature_packet packet;
    if (!is_compact(client))
        return length - AGN_FEATURE_OVERHEAD_BYTES;
    return agn_compact_unpack(client->datagram + coap_bytes(client), length, &packet) == 0
               ? packet.payload_bytes
               : 0;
}

static void send_packet(struct agn_client *client, struct agn_client_result *result, size_t length)
{
    result->coded_bytes += coded_bytes(client, length);
    size_t datagram = wrap(client, (uint8_t)result->packets, length);
    result->packets++;
    result->payload_bytes += length;
    result->datagram_bytes += datagram;
    if (client->drop_permille > 0 && agn_rng_below(&client->drops, 1000) < client->drop_permille) {
        result->packets_dropped++;
        return;
    }
    int status = agn__link_send(&client->link, client->datagram, datagram);
    if (status < 0)
        result->packets_dropped++;
    if (status == AGN_ERR_IO)
        result->reason = AGN_CLIENT_REFUSED;
}

/* Codes and sends until the frame has no more packets or the server turns out to be away. */
static void send_frame(struct agn_client *client, struct agn_client_result *result, double *first_send_s)
{
    *first_send_s = 0.0;
    while (result->reason == AGN_CLIENT_TIMEOUT) {
        double begin_s = agn_now_s();
        int length = agn_dev_next_packet(&client->device.dev, client->datagram + coap_bytes(client),
                                         AGN_WIRE_MAX_PACKET);
        double coded_s = agn_now_s();
        result->device_s += coded_s - begin_s;
        if (*first_send_s == 0.0)
            *first_send_s = coded_s;
        if (length == 0)
            return;
        if (length < 0) {
            result->reason = AGN_CLIENT_UNSENT;
            return;
        }
        send_packet(client, result, (size_t)length);
    }
}

/* ---- pauses ------------------------------------------------------------------------------ */

static uint32_t now_ms(void)
{
    return (uint32_t)(uint64_t)(agn_now_s() * 1e3);
}

/* How many frames ago the one was sent that an answer is for; LATEST_FORGOTTEN or more: no frame of ours. */
static int age_of(const struct agn_client *client, const struct agn_coap_answer_view *answer)
{
    if (is_compact(client))
        return answer->token_bytes != AGN_COAP_COMPACT_TOKEN_BYTES
                   ? LATEST_FORGOTTEN
                   : (uint16_t)(client->frame - ((unsigned)(uint8_t)(answer->token[0] - client->salt) << 8 |
                                                 answer->token[1]));
    if (answer->token_bytes != AGN_COAP_TOKEN_BYTES || answer->token[0] != client->salt)
        return LATEST_FORGOTTEN;
    return (uint16_t)(client->frame - (answer->token[1] << 8 | answer->token[2]));
}

static void obey(struct agn_client *client, const struct agn_coap_answer_view *answer)
{
    if (agn_coap_is_busy(answer) && age_of(client, answer) < LATEST_FORGOTTEN)
        agn_pause_refused(&client->pause, answer->max_age_s, now_ms(), (uint32_t)agn_rng_u64(&client->noise));
}

/* Once for each frame. A busy server's refusal does not say how long an answer takes. */
static void note_late(struct agn_client *client, const struct agn_coap_answer_view *answer)
{
    int age = age_of(client, answer);
    if (age == 0 || age >= LATEST_FORGOTTEN)
        return;
    double *sent_s = &client->sent_s[(uint16_t)(client->frame - age) % LATEST_FORGOTTEN];
    if (*sent_s > 0.0 && !agn_coap_is_busy(answer))
        client->late_s = agn_now_s() - *sent_s;
    *sent_s = 0.0;
}

static void hear_of_earlier(struct agn_client *client, const struct agn_coap_answer_view *answer)
{
    obey(client, answer);
    note_late(client, answer);
}

/* Answers that missed their frame's deadline are worth nothing but for a wish to be left alone: that of an
 * overloaded server is often late. */
static void hear_late_answers(struct agn_client *client)
{
    struct agn_coap_answer_view answer;
    for (int i = 0; i < MAX_LATE_ANSWERS; i++) {
        int length = agn__link_glance(&client->link, client->answer, sizeof client->answer);
        if (length < 0)
            return;
        if (agn_coap_read_answer(client->answer, (size_t)length, &answer) == 0)
            hear_of_earlier(client, &answer);
    }
}

/* ---- answers in -------------------------------------------------------------------------- */

/* What an answer without a reply packet says: another server, or a damaged packet. */
static bool judge_plain(const struct agn_coap_answer_view *answer, struct agn_client_result *result)
{
    bool damaged = answer->code_class == 4 && answer->code_detail == 0;
    if (answer->code_class < 4)
        return false;
    bool untrusted = answer->code_class == 4 && answer->code_detail == 1;
    bool no_resource = answer->code_class == 4 && answer->code_detail == 4;
    result->reason = untrusted     ? AGN_CLIENT_UNTRUSTED
                     : no_resource ? AGN_CLIENT_VERSION
                                   : AGN_CLIENT_REJECTED;
    return !damaged;
}

static bool judge_version(const struct agn_client *client, const struct agn_coap_answer_view *answer,
                          struct agn_client_result *result)
{
    int own = (int)agn_dev_protocol(&client->device.dev);
    int version = is_compact(client) ? agn_compact_reply_version(answer->payload, answer->payload_bytes,
                                                                 client->device.dev.model.model_id)
                                     : agn_reply_version(answer->payload, answer->payload_bytes);
    if (version < 0 || version == own)
        return false;
    result->reason = AGN_CLIENT_VERSION;
    result->server_version = version;
    return true;
}

static int read_reply(const struct agn_client *client, const struct agn_coap_answer_view *answer,
                      struct agn_reply_packet *reply)
{
    return is_compact(client) ? agn_compact_reply_unpack(answer->payload, answer->payload_bytes,
                                                         client->device.dev.model.model_id, reply)
                              : agn_reply_unpack(answer->payload, answer->payload_bytes, reply);
}

/* A server without version 2: the frame goes once more, in version 1. */
static bool falls_back(struct agn_client *client, const struct agn_coap_answer_view *answer,
                       struct agn_client_result *result)
{
    double ignored;
    if (!client->may_fall_back || !is_compact(client) || !agn_coap_is_unknown(answer))
        return false;
    (void)agn_dev_set_protocol(&client->device.dev, AGN_WIRE_VERSION);
    client->extra_bytes =
        (uint16_t)(client->extra_bytes + AGN_COAP_REQUEST_OVERHEAD - AGN_COAP_COMPACT_OVERHEAD);
    agn_dev_set_budget(&client->device.dev, client->budget, client->extra_bytes);
    result->protocol = AGN_WIRE_VERSION;
    if (agn_dev_packets_again(&client->device.dev) == 0)
        send_frame(client, result, &ignored);
    return true;
}

/* Judges one datagram; true when the frame needs to wait no more. A bad packet is no reason to give up:
 * the server still answers with the others. */
static bool take_answer(struct agn_client *client, const uint8_t *bytes, size_t len,
                        struct agn_client_result *result)
{
    struct agn_coap_answer_view answer;
    if (agn_coap_read_answer(bytes, len, &answer) < 0)
        return false;
    hear_of_earlier(client, &answer);
    if (age_of(client, &answer) != 0)
        return false;
    if (answer.type == AGN_COAP_CON) {
        uint8_t acknowledgement[AGN_COAP_ACK_BYTES];
        agn_coap_acknowledge(acknowledgement, answer.message_id);
        (void)agn__link_send(&client->link, acknowledgement, sizeof acknowledgement);
    }
    if (falls_back(client, &answer, result))
        return result->reason != AGN_CLIENT_TIMEOUT;
    struct agn_reply_packet reply;
    if (read_reply(client, &answer, &reply) < 0)
        return judge_version(client, &answer, result) || judge_plain(&answer, result);
    if (!is_compact(client) && reply.frame != client->frame)
        return false;
    int status = agn_dev_accept_reply(&client->device.dev, answer.payload, answer.payload_bytes);
    if (status == 0) {
        result->reason = AGN_CLIENT_FUSED;
        result->reply_bytes = answer.payload_bytes;
        agn_pause_answered(&client->pause);
    } else if (status == AGN_ERR_MISMATCH) {
        result->reason = AGN_CLIENT_MISMATCH;
    } else if (reply.status != AGN_REPLY_OK) {
        result->reason = AGN_CLIENT_REJECTED;
    } else {
        return false;
    }
    result->reply_status = reply.status;
    return status == 0 || reply.status != AGN_REPLY_BAD_PACKET;
}

/* Whether there is nothing more to wait for; false: the time is over. */
static bool await_answer(struct agn_client *client, struct agn_client_result *result, double until_s)
{
    for (;;) {
        int length = agn__link_receive(&client->link, client->answer, sizeof client->answer, until_s);
        if (length == AGN_ERR_IO)
            result->reason = AGN_CLIENT_REFUSED;
        if (length < 0)
            return length != AGN_ERR_TIMEOUT;
        if (take_answer(client, client->answer, (size_t)length, result))
            return true;
    }
}

/* The server waits for half of the deadline: the first repetition comes before that. */
static void await_with_repeats(struct agn_client *client, struct agn_client_result *result, double begin_s,
                               double until_s)
{
    double step_s = (until_s - begin_s) / (client->repeats + 2), ignored;
    bool done = result->reason != AGN_CLIENT_TIMEOUT;
    for (int i = 1; i <= client->repeats && !done; i++) {
        done = await_answer(client, result, begin_s + i * step_s);
        bool may_send = result->reason == AGN_CLIENT_TIMEOUT && !agn_pause_is_on(&client->pause, now_ms());
        if (!done && may_send && agn_dev_packets_again(&client->device.dev) == 0)
            send_frame(client, result, &ignored);
    }
    if (!done)
        await_answer(client, result, until_s);
}

/* ---- what the link carries ------------------------------------------------------------------ */

enum { TICKS_PER_MS = 10 };

static uint32_t ticks_of(double time_s)
{
    return (uint32_t)(uint64_t)(time_s * 1e3 * TICKS_PER_MS);
}

/* An answer before the first repetition, which would only add to a queue. */
static void set_measured_budget(struct agn_client *client)
{
    uint32_t ticks = client->deadline_ms * TICKS_PER_MS / (uint32_t)(client->repeats + 2);
    uint32_t carried = agn_rate_budget(&client->rate, ticks, agn_dev_least_bytes(&client->device.dev));
    agn_dev_set_budget(&client->device.dev, carried < client->budget ? carried : client->budget,
                       client->extra_bytes);
}

static void measure(struct agn_client *client, struct agn_client_result *result, double first_send_s)
{
    uint32_t bytes = agn_dev_bytes_through(&client->device.dev);
    uint32_t begin = ticks_of(first_send_s), end = ticks_of(agn_now_s());
    if (result->reason == AGN_CLIENT_FUSED)
        agn_rate_answered(&client->rate, bytes, begin, end);
    else if (result->reason == AGN_CLIENT_TIMEOUT && result->packets > 0)
        agn_rate_missed(&client->rate, bytes, begin, end);
    result->rate_kbps = agn_rate_speed(&client->rate) * TICKS_PER_MS * 8e-3;
}

/* ---- cuts ----------------------------------------------------------------------------------- */

static void note_raw_bytes(struct agn_client *client)
{
    struct agn_dev_memory memory;
    agn_dev_memory(&client->device.dev.model, &memory);
    client->raw_bytes = memory.raw_bytes;
}

static int select_cut(struct agn_client *client, unsigned cut, uint16_t exit)
{
    struct agn_dev *dev = &client->device.dev;
    if (cut != agn_dev_cut(dev)) {
        if (agn_dev_select_cut(dev, cut) < 0)
            return agn_fail(AGN_ERR_ARG, "the model has no cut %u: it has %u", cut,
                            agn_dev_cuts(&dev->model));
        note_raw_bytes(client);
    }
    if (exit > 0 && agn_dev_set_exit(dev, exit) < 0)
        return agn_fail(AGN_ERR_ARG, "an exit cannot be sure from a softmax of %.4f on", exit / 32768.0);
    return 0;
}

static int choose_cut(struct agn_client *client)
{
    struct agn_split_way way;
    if (!client->split.profile)
        return 0;
    agn_split_choose(&client->split, &way);
    return select_cut(client, way.cut, way.exit);
}

static uint32_t split_ticks(double time_s)
{
    double ticks = time_s * AGN_CLIENT_TICKS_PER_S;
    return ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

/* After a frame that was sent. */
static void learn_for_cuts(struct agn_client *client, const struct agn_client_result *result, double worked_s)
{
    uint32_t bytes = (uint32_t)result->payload_bytes + (uint32_t)result->packets * client->extra_bytes;
    if (!client->split.profile || result->packets == 0)
        return;
    agn_split_worked(&client->split, result->cut, split_ticks(worked_s * client->slower));
    if (result->reason == AGN_CLIENT_FUSED)
        agn_split_answered(&client->split, result->cut, bytes, split_ticks(result->network_s));
    else if (result->reason == AGN_CLIENT_TIMEOUT)
        agn_split_missed(&client->split, result->cut, bytes, split_ticks(result->network_s));
}

/* ---- one frame ----------------------------------------------------------------------------- */

static bool should_send(struct agn_client *client)
{
    if (client->dead_after < 0 || client->misses < client->dead_after)
        return true;
    if (++client->skipped < client->probe_every)
        return false;
    client->skipped = 0;
    return true;
}

/* A server that was restarted, or that has forgotten this device, does not say so: it cannot, without the
 * session. 4.01 says that the key has changed, which a new session may get right again. */
static void look_after_session(struct agn_client *client, bool missed, bool untrusted)
{
    client->unheard = missed ? client->unheard + 1 : 0;
    if (client->unheard < RENEW_AFTER && !untrusted)
        return;
    agn__link_renew(&client->link);
    client->unheard = 0;
}

static enum agn_client_reason reason_of(int status)
{
    return status == AGN_ERR_TIMEOUT       ? AGN_CLIENT_TIMEOUT
           : status == AGN_ERR_UNSUPPORTED ? AGN_CLIENT_UNTRUSTED
                                           : AGN_CLIENT_REFUSED;
}

static void ask_server(struct agn_client *client, struct agn_client_result *result)
{
    result->reason = AGN_CLIENT_TIMEOUT;
    double patience_s = client->deadline_ms / 1000.0, begin_s = agn_now_s(), first_send_s = begin_s;
    int status = agn__link_begin(&client->link, begin_s + patience_s);
    if (status < 0) {
        result->reason = reason_of(status);
    } else {
        if (client->measures)
            set_measured_budget(client);
        send_frame(client, result, &first_send_s);
        if (result->packets == 0 && result->reason == AGN_CLIENT_TIMEOUT)
            result->reason = AGN_CLIENT_UNSENT;
        /* A handshake counts; coding the first packet does not. */
        double until_s = (client->link.dtls ? begin_s : first_send_s) + patience_s;
        await_with_repeats(client, result, first_send_s, until_s);
        if (client->measures)
            measure(client, result, first_send_s);
    }
    if (result->reason == AGN_CLIENT_TIMEOUT)
        client->sent_s[client->frame % LATEST_FORGOTTEN] = first_send_s;
    result->network_s = agn_now_s() - (client->link.dtls ? begin_s : first_send_s);
    if (result->reason == AGN_CLIENT_UNSENT) /* says nothing of the server */
        return;
    bool untrusted = result->reason == AGN_CLIENT_UNTRUSTED;
    bool missed = result->reason == AGN_CLIENT_TIMEOUT || result->reason == AGN_CLIENT_REFUSED || untrusted;
    client->misses = !missed ? 0 : client->misses < client->dead_after ? client->misses + 1 : client->misses;
    if (!missed)
        client->skipped = 0;
    look_after_session(client, missed, untrusted);
}

static void fill_prediction(struct agn_client *client, struct agn_client_result *result)
{
    size_t logit_bytes = (size_t)client->device.dev.model.classes * sizeof *client->logits;
    double begin_s = agn_now_s();
    struct agn_dev_prediction prediction;
    bool none = agn_dev_predict(&client->device.dev, &prediction) < 0; /* no answer, and no Local NN */
    result->device_s += agn_now_s() - begin_s;
    memcpy(client->logits, prediction.logits, logit_bytes);
    result->class_index = none ? -1 : prediction.class_index;
    result->fused = prediction.fused != 0;
    result->channels_missing = prediction.channels_missing;
    result->logits = client->logits;
    result->local_logits = client->local_logits;
}

int agn_client_frame(struct agn_client *client, const uint8_t *image_hwc, struct agn_client_result *result)
{
    if (!image_hwc)
        return agn_fail(AGN_ERR_ARG, "no image to classify");
    struct agn_client_result made = {.reason = AGN_CLIENT_SKIPPED, .reply_status = -1};
    int status = choose_cut(client);
    if (status < 0)
        return status;
    made.raw_bytes = client->raw_bytes;
    made.cut = agn_dev_cut(&client->device.dev);
    made.protocol = (int)agn_dev_protocol(&client->device.dev);
    client->frame++;
    client->sent_s[client->frame % LATEST_FORGOTTEN] = 0.0;
    double begin_s = agn_now_s();
    status = agn_hosted_image(&client->device, image_hwc, client->frame, (uint16_t)client->deadline_ms);
    made.device_s = agn_now_s() - begin_s;
    double worked_s = made.device_s;
    if (status < 0)
        return status;
    made.local_class = status == AGN_DEV_NO_CLASS ? -1 : status;
    memcpy(client->local_logits, agn_dev_local(&client->device.dev),
           client->device.dev.model.classes * sizeof *client->local_logits);

    hear_late_answers(client);
    if (!agn_dev_model_sends(&client->device.dev.model))
        made.reason = AGN_CLIENT_ALONE;
    else if (agn_dev_is_sure(&client->device.dev) > 0)
        made.reason = AGN_CLIENT_SURE;
    else if (agn_pause_is_on(&client->pause, now_ms()))
        made.reason = AGN_CLIENT_PAUSED;
    else if (should_send(client))
        ask_server(client, &made);
    learn_for_cuts(client, &made, worked_s);
    fill_prediction(client, &made);
    made.late_s = client->late_s;
    client->late_s = 0.0;
    *result = made;
    return 0;
}

/* ---- creation ------------------------------------------------------------------------------- */

static int check_config(const struct agn_client_config *config)
{
    if (config->port == 0)
        return agn_fail(AGN_ERR_ARG, "no port of the server given");
    if (config->deadline_ms > MAX_DEADLINE_MS)
        return agn_fail(AGN_ERR_ARG, "deadline of %u ms, expected at most %d", (unsigned)config->deadline_ms,
                        (int)MAX_DEADLINE_MS);
    if (config->drop_permille > 1000)
        return agn_fail(AGN_ERR_ARG, "%u packets of 1000 to drop, expected 0 to 1000",
                        (unsigned)config->drop_permille);
    if (config->repeats < 0 || config->repeats > MAX_REPEATS)
        return agn_fail(AGN_ERR_ARG, "%d repetitions of a frame, expected 0 to %d", config->repeats,
                        (int)MAX_REPEATS);
    if (config->probe_every < 0)
        return agn_fail(AGN_ERR_ARG, "a probe every %d frames, expected 1 or more", config->probe_every);
    if (config->psk_identity && !config->psk_file)
        return agn_fail(AGN_ERR_ARG, "an identity without a key file");
    if (config->protocol < AGN_CLIENT_AUTO || config->protocol > AGN_COMPACT_VERSION)
        return agn_fail(AGN_ERR_ARG, "version %d of the protocol, expected 1, 2 or auto", config->protocol);
    if (!config->model || config->model_bytes == 0)
        return agn_fail(AGN_ERR_ARG, "no device model given");
    return 0;
}

/* The server waits for half of the deadline: what comes later comes too late. */
static void set_budget(struct agn_client *client, const struct agn_client_config *config)
{
    uint64_t budget = config->budget_bytes > 0 ? config->budget_bytes : AGN_DEV_NO_BUDGET;
    uint64_t carried = (uint64_t)config->bandwidth_kbps * client->deadline_ms / 2 / 8; /* kbit/s: bits a ms */
    if (config->bandwidth_kbps > 0 && carried < budget)
        budget = carried;
    int extra_bytes = (int)coap_bytes(client) + UDP_IP_BYTES + (config->psk_file ? DTLS_BYTES : 0);
    client->budget = (uint32_t)budget;
    client->extra_bytes = (uint16_t)extra_bytes;
    client->measures = config->measure_bandwidth;
    agn_rate_init(&client->rate);
    agn_dev_set_budget(&client->device.dev, client->budget, client->extra_bytes);
}

static int open_cuts(struct agn_client *client, const struct agn_client_config *config)
{
    const struct agn_dev_model *model = &client->device.dev.model;
    int usual = agn_dev_cuts(model) > 0 ? (int)agn_dev_cuts(model) - 1 : 0;
    if (config->earlier < 0 || (config->earlier > 0 && config->earlier > usual))
        return agn_fail(AGN_ERR_ARG, "a cut %d before the usual one: the model has %d cuts", config->earlier,
                        usual + 1);
    if (config->split && config->split->cuts != usual + 1)
        return agn_fail(AGN_ERR_MISMATCH, "the profile is of a network with %d cuts, and the model has %d",
                        config->split->cuts, usual + 1);
    note_raw_bytes(client);
    client->slower = config->slower > 0.0 ? config->slower : 1.0;
    if (config->split)
        agn_split_init(&client->split, config->split);
    return select_cut(client, (unsigned)(usual - config->earlier), config->exit);
}

static int open_device(struct agn_client *client, const struct agn_client_config *config)
{
    int status = agn_hosted_open(&client->device, config->model, config->model_bytes);
    if (status < 0)
        return status;
    size_t classes = client->device.dev.model.classes;
    client->logits = agn_alloc(classes, sizeof *client->logits);
    client->local_logits = agn_alloc(classes, sizeof *client->local_logits);
    if (!client->logits || !client->local_logits)
        return AGN_ERR_MEMORY;
    client->may_fall_back = config->protocol == AGN_CLIENT_AUTO;
    if (config->protocol == AGN_CLIENT_AUTO || config->protocol == AGN_COMPACT_VERSION)
        (void)agn_dev_set_protocol(&client->device.dev, AGN_COMPACT_VERSION);
    set_budget(client, config);
    return open_cuts(client, config);
}

static int pick_key(struct agn_client *client, const struct agn_keys *keys, const char *identity,
                    const char *path)
{
    size_t key_bytes;
    char name[AGN_KEY_IDENTITY_MAX + 1], shown[AGN_KEY_IDENTITY_TEXT];
    if (!identity && agn_keys_count(keys) > 1)
        return agn_fail(AGN_ERR_ARG, "%s holds keys of %d devices; say which identity this one has", path,
                        agn_keys_count(keys));
    int status = identity ? agn_keys_read_identity(name, identity) : 0;
    if (status < 0)
        return status;
    const char *wanted = identity ? name : agn_keys_identity(keys, 0);
    const uint8_t *key = agn_keys_find(keys, wanted, strlen(wanted), &key_bytes);
    agn_keys_show_identity(shown, wanted);
    if (!key)
        return agn_fail(AGN_ERR_NOT_FOUND, "%s holds no key of '%s'", path, shown);
    return agn__link_secure(&client->link, wanted, key, key_bytes);
}

static int open_link(struct agn_client *client, const struct agn_client_config *config)
{
    const char *host = config->host ? config->host : "127.0.0.1";
    struct agn_keys *keys;
    int status = agn__link_open(&client->link, host, config->port);
    if (status < 0 || !config->psk_file)
        return status;
    status = agn_keys_load(&keys, config->psk_file);
    if (status < 0)
        return status;
    status = pick_key(client, keys, config->psk_identity, config->psk_file);
    agn_keys_free(keys);
    return status;
}

static void set_policy(struct agn_client *client, const struct agn_client_config *config)
{
    client->deadline_ms = config->deadline_ms > 0 ? config->deadline_ms : DEFAULT_DEADLINE_MS;
    client->dead_after = config->dead_after != 0 ? config->dead_after : DEFAULT_DEAD_AFTER;
    client->probe_every = config->probe_every > 0 ? config->probe_every : DEFAULT_PROBE_EVERY;
    client->drop_permille = config->drop_permille;
    client->repeats = config->repeats;
    agn_rng_seed(&client->drops, config->drop_seed);

    struct agn_rng rng; /* numbers that need only differ from run to run */
    agn_rng_seed(&rng, (uint64_t)(agn_now_s() * 1e9));
    client->message_id = (uint16_t)agn_rng_u64(&rng);
    client->salt = (uint8_t)agn_rng_u64(&rng);
    client->frame = (uint16_t)agn_rng_u64(&rng);
    client->noise = rng;
}

int agn_client_create(struct agn_client **client, const struct agn_client_config *config)
{
    int status = check_config(config);
    if (status < 0)
        return status;
    struct agn_client *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    made->link.fd = -1;
    set_policy(made, config);
    status = open_device(made, config);
    if (status == 0)
        status = open_link(made, config);
    if (status < 0) {
        agn_client_free(made);
        return status;
    }
    *client = made;
    return 0;
}

const struct agn_dev_model *agn_client_model(const struct agn_client *client)
{
    return &client->device.dev.model;
}

void agn_client_free(struct agn_client *client)
{
    if (!client)
        return;
    agn__link_close(&client->link);
    agn_hosted_close(&client->device);
    agn_free(client->logits);
    agn_free(client->local_logits);
    agn_free(client);
}
