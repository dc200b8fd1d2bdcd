/* Packets, repetitions and the answer; see agn_link.h. */
#include "agn_link.h"

#include "agn_compact.h"
#include "agn_device_internal.h"

enum {
    DEFAULT_DEADLINE_MS = 200,
    DEFAULT_CARRIER_BYTES = 28,
    DEFAULT_REPEATS = 3,
    LEAST_ANSWER_MS = 20, /* an answer may take so long before anything is repeated */
    LATEST_FORGOTTEN = 32 /* frames ago: answers to older ones are nobody's */
};

enum { OVER, SENDING, WAITING }; /* link->state */

static int is_compact(const struct agn_link *link)
{
    return (int)agn__version(link->dev) == AGN_COMPACT_VERSION;
}

static size_t coap_bytes(const struct agn_link *link)
{
    return is_compact(link) ? (size_t)AGN_COAP_COMPACT_OVERHEAD : (size_t)AGN_COAP_REQUEST_OVERHEAD;
}

/* What is sent in a token: salt, frame, packet; or all of the frame's number and the salt in two bytes. */
static size_t wrap(struct agn_link *link, uint8_t *datagram, size_t len)
{
    uint16_t frame = link->dev->frame;
    uint8_t token[AGN_COAP_TOKEN_BYTES] = {link->salt, (uint8_t)(frame >> 8), (uint8_t)frame, link->packet++};
    const uint8_t *payload = datagram + coap_bytes(link);
    if (!is_compact(link))
        return agn_coap_request(datagram, link->message_id++, token, payload, len);
    token[1] = (uint8_t)(token[0] + token[1]);
    return agn_coap_request_compact(datagram, link->message_id++, token + 1, payload, len);
}

/* How many frames ago the one was sent that an answer is for; LATEST_FORGOTTEN or more: none of ours. */
static uint16_t age_of(const struct agn_link *link, const struct agn_coap_answer_view *answer)
{
    const uint8_t *token = answer->token;
    if (is_compact(link))
        return answer->token_bytes != AGN_COAP_COMPACT_TOKEN_BYTES
                   ? (uint16_t)LATEST_FORGOTTEN
                   : (uint16_t)(link->dev->frame - (((unsigned)token[0] - link->salt) << 8 | token[1]));
    if (answer->token_bytes != AGN_COAP_TOKEN_BYTES || token[0] != link->salt)
        return LATEST_FORGOTTEN;
    return (uint16_t)(link->dev->frame - ((unsigned)token[1] << 8 | token[2]));
}

static int choose_protocol(struct agn_dev *dev, unsigned version)
{
    if (version == AGN_LINK_AUTO)
        return agn_dev_set_protocol(dev, AGN_COMPACT_VERSION) == 0
                   ? 0
                   : agn_dev_set_protocol(dev, AGN_WIRE_VERSION);
    return version == 0 ? 0 : agn_dev_set_protocol(dev, version);
}

int agn_link_init(struct agn_link *link, struct agn_dev *dev, const struct agn_link_config *config,
                  uint32_t noise)
{
    struct agn_link made;
    memset(&made, 0, sizeof made);
    made.dev = dev;
    made.config = *config;
    if (made.config.deadline_ms == 0)
        made.config.deadline_ms = DEFAULT_DEADLINE_MS;
    if (made.config.datagram_bytes == 0 || made.config.datagram_bytes > AGN_LINK_MAX_REQUEST)
        made.config.datagram_bytes = AGN_LINK_MAX_REQUEST;
    if (made.config.carrier_bytes == 0)
        made.config.carrier_bytes = DEFAULT_CARRIER_BYTES;
    if (made.config.repeats == 0)
        made.config.repeats = DEFAULT_REPEATS;
    int status = choose_protocol(dev, config->protocol);
    if (status < 0)
        return status;
    agn_dev_set_budget(dev, AGN_DEV_NO_BUDGET, 0);
    size_t least = coap_bytes(&made) + agn_dev_least_bytes(dev);
    if (config->protocol == AGN_LINK_AUTO && is_compact(&made)) /* version 1 must fit as well */
        least += AGN_COAP_REQUEST_OVERHEAD - AGN_COAP_COMPACT_OVERHEAD + AGN_FEATURE_OVERHEAD_BYTES -
                 AGN_COMPACT_MOST_OVERHEAD;
    if (made.config.datagram_bytes < least)
        return AGN_ERR_RANGE;
    made.answer_ms = made.config.deadline_ms / 4u;
    made.noise = noise;
    made.message_id = (uint16_t)noise;
    made.salt = (uint8_t)(noise >> 16 ^ noise >> 24);
    agn_rate_init(&made.rate);
    *link = made;
    return 0;
}

/* Half of the deadline is for what is lost and for an answer that takes longer than the one before. */
static uint32_t set_budget(struct agn_link *link)
{
    uint16_t extra = (uint16_t)(coap_bytes(link) + link->config.carrier_bytes);
    agn_dev_set_budget(link->dev, AGN_DEV_NO_BUDGET, extra);
    uint32_t budget =
        agn_rate_budget(&link->rate, link->config.deadline_ms / 2u, agn_dev_least_bytes(link->dev));
    agn_dev_set_budget(link->dev, budget, extra);
    return budget;
}

/* Packet by packet, as the answers so far ask for. */
static unsigned asks(const struct agn_link *link)
{
    return link->config.ask_margin > 0 && is_compact(link);
}

int agn_link_begin(struct agn_link *link, uint32_t now_ms)
{
    link->state = OVER;
    link->is_answered = link->is_refused = link->has_ack = link->round = link->packet = 0;
    link->begin_ms = link->last_ms = now_ms;
    link->counts.frames++;
    if (agn_dev_is_sure(link->dev) > 0)
        return 0;
    if (agn_pause_is_on(&link->pause, now_ms)) {
        link->counts.paused++;
        return 0;
    }
    if (set_budget(link) == 0) {
        link->counts.unfit++;
        return 0;
    }
    link->state = SENDING;
    link->goal = 1;
    agn_dev_ask_now(link->dev, asks(link));
    return 1;
}

/* Each round waits longer: what is sent again may only make a queue longer, somewhere on the way. */
static uint32_t round_ms(const struct agn_link *link)
{
    return link->answer_ms << (link->round < 8 ? link->round : 8);
}

static uint32_t left_ms(const struct agn_link *link, uint32_t now_ms)
{
    uint32_t spent = now_ms - link->begin_ms;
    return spent < link->config.deadline_ms ? link->config.deadline_ms - spent : 0;
}

static int may_repeat(const struct agn_link *link)
{
    return link->config.repeats != AGN_LINK_NO_REPEATS && link->round < link->config.repeats;
}

static void repeat_in_time(struct agn_link *link, uint32_t now_ms)
{
    if (link->state == WAITING && may_repeat(link) && now_ms - link->last_ms >= round_ms(link) &&
        agn_dev_packets_again(link->dev) == 0) {
        link->state = SENDING;
        link->round++;
        link->counts.rounds++;
    }
}

static int make_packet(struct agn_link *link, uint32_t now_ms, uint8_t *datagram)
{
    size_t before = coap_bytes(link);
    int len = agn_dev_next_packet(link->dev, datagram + before, (size_t)link->config.datagram_bytes - before);
    if (len <= 0) {
        link->state = len < 0 ? OVER : WAITING;
        return len;
    }
    len = (int)wrap(link, datagram, (size_t)len);
    if (asks(link) && link->dev->packet_count >= link->goal)
        link->state = WAITING;
    link->last_ms = now_ms;
    link->counts.datagrams++;
    link->counts.bytes += (uint32_t)len;
    return len;
}

int agn_link_next(struct agn_link *link, uint32_t now_ms, uint8_t *datagram, size_t cap)
{
    if (cap < link->config.datagram_bytes)
        return AGN_ERR_SPACE;
    if (link->has_ack) {
        link->has_ack = 0;
        agn_coap_acknowledge(datagram, link->ack_id);
        return AGN_COAP_ACK_BYTES;
    }
    repeat_in_time(link, now_ms);
    if (link->state != SENDING || left_ms(link, now_ms) == 0)
        return 0;
    return make_packet(link, now_ms, datagram);
}

/* 5.03. A radio may damage anything: only a reply packet, whose checksum holds, is believed to ask for a
 * pause. One to an earlier frame counts as well. */
static void take_busy(struct agn_link *link, uint32_t now_ms, const struct agn_coap_answer_view *answer)
{
    struct agn_reply_packet reply;
    uint32_t model_id = link->dev->model.model_id;
    if (AGN__READ_REPLY(link->dev)(answer->payload, answer->payload_bytes, model_id, &reply) < 0 ||
        reply.status != AGN_REPLY_BUSY || reply.model_id != model_id)
        return;
    agn_pause_refused(&link->pause, answer->max_age_s, now_ms, link->noise += now_ms);
    if (age_of(link, answer) == 0 && link->state != OVER) {
        link->counts.busy++;
        link->state = OVER;
    }
}

/* A server without version 2: this frame begins again with the other one. */
static int falls_back(struct agn_link *link, const struct agn_coap_answer_view *answer)
{
    if (link->config.protocol != AGN_LINK_AUTO || !is_compact(link) || !agn_coap_is_unknown(answer) ||
        agn_dev_set_protocol(link->dev, AGN_WIRE_VERSION) < 0)
        return 0;
    agn_dev_ask_now(link->dev, 0);
    if (link->state != OVER && agn_dev_packets_again(link->dev) == 0)
        link->state = set_budget(link) > 0 ? SENDING : OVER;
    return 1;
}

/* Of other errors only 4.00 leaves hope: a packet was damaged on its way, and others were not. */
static int take_error(struct agn_link *link, uint32_t now_ms, const struct agn_coap_answer_view *answer)
{
    int damaged = answer->code_class == 4 && answer->code_detail == 0;
    link->counts.refused++;
    if (agn_coap_is_busy(answer))
        take_busy(link, now_ms, answer);
    else if (age_of(link, answer) == 0 && !damaged)
        link->state = OVER;
    link->is_refused = 1;
    return 0;
}

/* The server speaks another version of the protocol: no answer of its will do. */
static int is_of_another_version(struct agn_link *link, const struct agn_coap_answer_view *answer)
{
    int version = is_compact(link) ? agn_compact_reply_version(answer->payload, answer->payload_bytes,
                                                               link->dev->model.model_id)
                                   : agn_reply_version(answer->payload, answer->payload_bytes);
    if (version < 0 || version == (int)agn__version(link->dev))
        return 0;
    link->counts.refused++;
    link->counts.other_version = (uint32_t)version;
    link->is_refused = 1;
    if (age_of(link, answer) == 0)
        link->state = OVER;
    return 1;
}

/* The frame is over, unless more of it may help. */
static void take_reply(struct agn_link *link)
{
    const struct agn_dev *dev = link->dev;
    link->counts.fused += !link->is_answered;
    link->is_answered = 1;
    link->state = OVER;
    agn_pause_answered(&link->pause);
    if (asks(link) && dev->channels_missing > 0 &&
        dev->next_channel < dev->model.map_c - dev->model.local_c &&
        agn__margin_of(dev->answer, dev->model.classes) < link->config.ask_margin) {
        link->state = SENDING;
        link->goal = (uint16_t)(dev->packet_count + 1);
        link->counts.asked++;
    }
}

int agn_link_take(struct agn_link *link, uint32_t now_ms, const uint8_t *datagram, size_t len)
{
    struct agn_coap_answer_view answer;
    if (agn_coap_read_answer(datagram, len, &answer) < 0 || age_of(link, &answer) >= LATEST_FORGOTTEN) {
        link->counts.unusable++;
        return 0;
    }
    if (answer.type == AGN_COAP_CON) {
        link->has_ack = 1;
        link->ack_id = answer.message_id;
    }
    if (is_of_another_version(link, &answer))
        return 0;
    if (falls_back(link, &answer))
        return 0;
    if (answer.code_class != 2)
        return take_error(link, now_ms, &answer);
    int status = agn_dev_accept_reply(link->dev, answer.payload, answer.payload_bytes);
    if (status == 0) {
        take_reply(link);
        return 1;
    }
    if (status == AGN_ERR_TIMEOUT)
        link->counts.late++;
    else if (status != AGN_ERR_STATE) /* of a repeated packet */
        link->counts.unusable++;
    return 0;
}

uint32_t agn_link_wait_ms(const struct agn_link *link, uint32_t now_ms)
{
    uint32_t left = left_ms(link, now_ms);
    if (link->has_ack)
        return 1;
    if (link->state == OVER || left == 0)
        return 0;
    if (link->state == SENDING)
        return 1;
    if (!may_repeat(link))
        return left;
    uint32_t waited = now_ms - link->last_ms, round = round_ms(link);
    uint32_t until = waited < round ? round - waited : 1;
    return until < left ? until : left;
}

/* Of an answer after repetitions nobody knows what it answers; only the whole frame's time counts then. */
void agn_link_end(struct agn_link *link, uint32_t now_ms)
{
    uint32_t bytes = agn_dev_bytes_through(link->dev), most = link->config.deadline_ms / 2u;
    if (link->is_answered) {
        uint32_t twice = 2 * (now_ms - link->last_ms);
        if (link->round == 0)
            link->answer_ms = twice < LEAST_ANSWER_MS ? (uint32_t)LEAST_ANSWER_MS
                              : twice < most          ? twice
                                                      : most;
        agn_rate_answered(&link->rate, bytes, link->begin_ms, now_ms);
    } else if (link->packet > 0 && !link->is_refused) {
        link->answer_ms =
            2 * link->answer_ms < most ? 2 * link->answer_ms : most; /* a queue, or nobody there */
        agn_rate_missed(&link->rate, bytes, link->begin_ms, now_ms);
    }
    link->state = OVER;
}
