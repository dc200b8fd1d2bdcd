/* Packets, repetitions and the answer; see edge_link.h. Commands to the modem are its driver's matter. */
#include "edge_link.h"

#include <string.h>

#include "board.h"

/* The server. `agilenn modem` does not look at it: it sends where it is told to. */
#ifndef EDGE_HOST
#define EDGE_HOST "192.0.2.1"
#endif
#ifndef EDGE_PORT
#define EDGE_PORT 5683
#endif

#ifndef EDGE_PROTOCOL
#define EDGE_PROTOCOL 1
#endif

static int is_compact(const struct edge_link *link)
{
    return agn_dev_protocol(link->dev) == AGN_COMPACT_VERSION;
}

static size_t coap_bytes(const struct edge_link *link)
{
    return is_compact(link) ? (size_t)AGN_COAP_COMPACT_OVERHEAD : (size_t)AGN_COAP_REQUEST_OVERHEAD;
}

static size_t write_uart(void *user, const uint8_t *bytes, size_t len)
{
    (void)user;
    return board_uart_write(bytes, len);
}

/* 5.03. The serial line may damage anything: only a reply packet, whose checksum holds, is believed to ask
 * for a pause. One to an earlier frame counts as well; nothing more of this one is sent then. */
static void take_busy(struct edge_link *link, const struct agn_coap_answer_view *answer)
{
    struct agn_reply_packet reply;
    uint32_t model_id = link->dev->model.model_id;
    int status = is_compact(link)
                     ? agn_compact_reply_unpack(answer->payload, answer->payload_bytes, model_id, &reply)
                     : agn_reply_unpack(answer->payload, answer->payload_bytes, &reply);
    if (status < 0 || reply.status != AGN_REPLY_BUSY || reply.model_id != model_id)
        return;
    agn_pause_refused(&link->pause, answer->max_age_s, board_now_ms(), board_count());
    if (agn_dev_accept_reply(link->dev, answer->payload, answer->payload_bytes) == AGN_ERR_BUSY)
        link->is_over = 1;
}

/* A server without version 2: this frame begins again with the other one, as soon as the modem has time. */
static int falls_back(struct edge_link *link, const struct agn_coap_answer_view *answer)
{
    if (EDGE_PROTOCOL != 0 || !is_compact(link) || !agn_coap_is_unknown(answer) ||
        agn_dev_set_protocol(link->dev, AGN_WIRE_VERSION) < 0)
        return 0;
    link->begins_again = 1;
    return 1;
}

/* A datagram of the modem: a CoAP answer with a reply to this frame, or nothing of ours. */
static void take_datagram(void *user, const uint8_t *bytes, size_t len)
{
    struct edge_link *link = user;
    struct agn_coap_answer_view answer;
    if (agn_coap_read_answer(bytes, len, &answer) < 0) {
        link->counts.replies_damaged++;
        link->is_disturbed = 1;
        return;
    }
    if (falls_back(link, &answer))
        return;
    if (answer.code_class != 2) { /* a packet that came damaged, or a server in trouble */
        link->counts.refusals++;
        link->is_disturbed = 1;
        if (agn_coap_is_busy(&answer))
            take_busy(link, &answer);
        return;
    }
    int status = agn_dev_accept_reply(link->dev, answer.payload, answer.payload_bytes);
    if (status == 0) {
        link->is_answered = 1;
        agn_pause_answered(&link->pause);
    } else if (status == AGN_ERR_FORMAT || status == AGN_ERR_CHECKSUM) {
        link->counts.replies_damaged++;
    } else if (status == AGN_ERR_TIMEOUT) {
        link->counts.replies_late++;
    } else {
        link->counts.replies_other++;
    }
}

int edge_link_init(struct edge_link *link, struct agn_dev *dev, uint32_t deadline_ms)
{
    memset(link, 0, sizeof *link);
    link->dev = dev;
    link->deadline_ms = deadline_ms;
    if (EDGE_PROTOCOL != 1) {
        int status = agn_dev_set_protocol(dev, AGN_COMPACT_VERSION);
        if (status < 0)
            return status;
    }
    link->cap = AGN_WIRE_MAX_PACKET;
    link->answer_ms = EDGE_ANSWER_MS;
    agn_rate_init(&link->rate);
    link->message_id = (uint16_t)board_count(); /* differs from one start to the next on a board */
    const struct esp_at_config config = {.host = EDGE_HOST,
                                         .port = EDGE_PORT,
                                         .local_port = 5683,
                                         .uart_bps = 921600,
                                         .reopen_after = 60,
                                         .datagram = link->received,
                                         .datagram_cap = sizeof link->received,
                                         .user = link,
                                         .write = write_uart,
                                         .received = take_datagram};
    return esp_at_init(&link->modem, &config, board_now_ms());
}

void edge_link_turn(struct edge_link *link)
{
    uint8_t bytes[64];
    size_t len;
    while ((len = board_uart_read(bytes, sizeof bytes)) > 0)
        esp_at_input(&link->modem, bytes, len, board_now_ms());
    esp_at_poll(&link->modem, board_now_ms());
}

/* ---- how long packets may be ------------------------------------------------------------------------ */

/* Long packets are cheap and rarely come whole; short ones come and are mostly headers. A packet lost costs
 * about as much time as three that go: the length settles where one in three goes at the first try, if the
 * line is so bad. A packet much shorter than the cap says little about it. */
static void adapt_cap(struct edge_link *link, enum esp_at_outcome outcome)
{
    uint16_t cap = link->cap;
    int is_long = 2U * link->packet_bytes >= cap;
    if (outcome == ESP_AT_SENT && is_long) {
        cap = (uint16_t)(cap + cap / 4);
        link->cap = cap < AGN_WIRE_MAX_PACKET ? cap : (uint16_t)AGN_WIRE_MAX_PACKET;
    } else if (outcome == ESP_AT_UNSURE) {
        if (is_long && cap > link->packet_bytes)
            cap = link->packet_bytes;
        cap = (uint16_t)(cap - cap / 10);
        link->cap = cap > EDGE_MIN_PACKET ? cap : (uint16_t)EDGE_MIN_PACKET;
    }
}

/* A row of a wide map may not fit: then longer packets are the only ones. */
static void widen(struct edge_link *link)
{
    if (link->frame_cap >= AGN_WIRE_MAX_PACKET)
        link->is_stuck = 1;
    else
        link->frame_cap =
            (uint16_t)(2U * link->frame_cap < AGN_WIRE_MAX_PACKET ? 2U * link->frame_cap
                                                                  : (unsigned)AGN_WIRE_MAX_PACKET);
}

/* ---- packets ---------------------------------------------------------------------------------------- */

/* From the frame's first packet, in shorter ones if the line has become worse and none has gone yet: the
 * server takes packets of other sizes for another frame. */
static void begin_round(struct edge_link *link)
{
    if (link->packets_gone == 0 || link->frame_cap == 0)
        link->frame_cap = link->cap;
    link->packet_bytes = 0;
    link->is_complete = 0;
    (void)agn_dev_packets_again(link->dev);
}

static void make_packet(struct edge_link *link)
{
    uint32_t begin = board_count();
    int len = agn_dev_next_packet(link->dev, link->request + AGN_COAP_REQUEST_OVERHEAD, link->frame_cap);
    link->making += board_count() - begin;
    if (len == AGN_ERR_SPACE) {
        widen(link);
        link->packets_gone = 0;
        (void)agn_dev_packets_again(link->dev);
    } else if (len < 0) {
        link->is_stuck = 1;
    } else if (len == 0) {
        link->is_complete = 1;
    } else {
        link->packet_bytes = (uint16_t)len;
    }
}

static void give_packet(struct edge_link *link, uint32_t left_ms)
{
    uint8_t token[AGN_COAP_TOKEN_BYTES] = {0};
    token[0] = (uint8_t)++link->message_id;
    token[1] = (uint8_t)(link->message_id >> 8);
    const uint8_t *packet = link->request + AGN_COAP_REQUEST_OVERHEAD;
    uint8_t *request = link->request + AGN_COAP_REQUEST_OVERHEAD - coap_bytes(link);
    size_t total =
        is_compact(link)
            ? agn_coap_request_compact(request, link->message_id, token, packet, link->packet_bytes)
            : agn_coap_request(request, link->message_id, token, packet, link->packet_bytes);
    if (esp_at_send(&link->modem, request, total, board_now_ms(), left_ms) < 0)
        return;
    link->is_under_way = 1;
    if (!link->is_begun)
        link->first_ms = board_now_ms();
    link->is_begun = 1;
    link->counts.packets++;
    link->counts.bytes += (uint32_t)total;
}

/* What became of the packet. One that went makes room for the next. */
static void take_outcome(struct edge_link *link)
{
    enum esp_at_outcome outcome = esp_at_outcome(&link->modem);
    link->is_under_way = 0;
    if (link->packet_bytes == 0) /* of the frame before */
        return;
    adapt_cap(link, outcome);
    if (outcome == ESP_AT_SENT) {
        link->counts.packets_sent++;
        link->packets_gone++;
        link->last_gone_ms = board_now_ms();
        link->packet_bytes = 0;
        return;
    }
    link->counts.again++;
    link->is_disturbed = 1;
    if (link->packets_gone == 0 && 2U * link->cap < link->frame_cap)
        begin_round(link);
}

/* How long to wait for the answer: each time longer, as what is sent again may only make a queue longer,
 * somewhere on the way. */
static uint32_t wait_ms(const struct edge_link *link)
{
    return link->answer_ms << (link->round < 8 ? link->round : 8);
}

/* ---- what the link carries --------------------------------------------------------------------------- */

/* Half of the deadline is for packets that are lost and for an answer that takes longer than the one before.
 * 0: nothing of the frame would get through. */
static uint32_t set_budget(struct edge_link *link)
{
    const uint16_t extra = (uint16_t)(coap_bytes(link) + EDGE_CARRIER_BYTES);
    agn_dev_set_budget(link->dev, AGN_DEV_NO_BUDGET, extra);
    uint32_t least = agn_dev_least_bytes(link->dev);
    uint32_t budget = agn_rate_budget(&link->rate, link->deadline_ms / 2, least);
    agn_dev_set_budget(link->dev, budget, extra);
    return budget;
}

/* ---- turns ------------------------------------------------------------------------------------------- */

/* The next thing to do with a modem that has nothing under way. */
static void go_on(struct edge_link *link, uint32_t left_ms)
{
    if (link->is_stuck || agn_pause_is_on(&link->pause, board_now_ms()))
        return;
    if (link->begins_again) {
        link->begins_again = 0;
        link->packets_gone = 0;
        (void)set_budget(link);
        begin_round(link);
    }
    if (link->is_complete && board_now_ms() - link->last_gone_ms < wait_ms(link))
        return;
    if (link->is_complete) {
        link->counts.rounds++;
        link->round++;
        begin_round(link);
    }
    if (link->packet_bytes == 0)
        make_packet(link);
    if (link->packet_bytes > 0)
        give_packet(link, left_ms);
}

/* Of an answer after repetitions nobody knows what it answers; only the whole frame's time counts then. A
 * frame for which the modem took no packet, or lost track of one, says nothing of the link: packets get
 * shorter then. */
static void learn(struct edge_link *link)
{
    uint32_t now_ms = board_now_ms(), bytes = agn_dev_bytes_through(link->dev);
    if (link->is_answered) {
        uint32_t twice = link->is_complete ? 2 * (now_ms - link->last_gone_ms) : 0;
        if (link->round == 0)
            link->answer_ms = twice > EDGE_ANSWER_MS ? twice : EDGE_ANSWER_MS;
        if (!link->is_disturbed)
            agn_rate_answered(&link->rate, bytes, link->first_ms, now_ms);
    } else if (link->packets_gone > 0 && !link->is_disturbed) {
        link->answer_ms = link->deadline_ms / 2; /* a queue, or nobody there: hardly any repetitions */
        agn_rate_missed(&link->rate, bytes, link->first_ms, now_ms);
    }
}

/* The modem's turns until it has the packet under way: after '>' it waits for the bytes, and a packet that is
 * handed over piece by piece, a turn a frame, would be given up, the modem searched for and restarted. */
static void end_packet(struct edge_link *link, uint32_t begin_ms)
{
    do
        edge_link_turn(link);
    while (esp_at_outcome(&link->modem) == ESP_AT_PENDING && board_now_ms() - begin_ms < link->deadline_ms);
}

int edge_link_exchange(struct edge_link *link)
{
    uint32_t begin_ms = board_now_ms(), spent_ms;
    link->is_answered = link->is_stuck = link->is_begun = link->is_disturbed = link->is_over = 0;
    link->begins_again = 0;
    link->packets_gone = link->making = 0;
    link->frame_cap = 0;
    link->round = 0;
    if (agn_pause_is_on(&link->pause, begin_ms)) {
        end_packet(link, begin_ms); /* the modem goes on talking */
        link->counts.frames_paused++;
        return 0;
    }
    if (set_budget(link) == 0) {
        link->counts.frames_unfit++;
        return 0;
    }
    begin_round(link);
    while (!link->is_answered && !link->is_over &&
           (spent_ms = board_now_ms() - begin_ms) < link->deadline_ms) {
        edge_link_turn(link);
        if (link->is_answered || esp_at_outcome(&link->modem) == ESP_AT_PENDING)
            continue;
        if (link->is_under_way)
            take_outcome(link);
        go_on(link, link->deadline_ms - spent_ms);
    }
    link->counts.frames_busy += link->is_over;
    if (link->is_over)
        end_packet(link, begin_ms);
    if (link->packets_gone == 0 && !link->is_answered)
        link->counts.frames_unsent++;
    learn(link);
    return link->is_answered;
}
