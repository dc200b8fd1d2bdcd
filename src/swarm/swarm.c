/* The swarm's loop: sends what is due, takes answers, ends frames, and sleeps until the next of these.
 * Each part is elsewhere: schedule, pool, air, ports, ledger. */
#include <math.h>
#include <string.h>

#include "agilenn/keys.h"
#include "agn_coap.h"
#include "agn_pause.h"
#include "swarm/air.h"
#include "swarm/arrivals.h"
#include "swarm/ledger.h"
#include "swarm/pool.h"
#include "swarm/ports.h"
#include "swarm/swarm_internal.h"

enum {
    ARRIVALS_AT_ONCE = 32, /* before looking at answers again */
    ANSWER_ROOM = 64,      /* CoAP header, token and options around a reply */
    CONNECT_S = 15,        /* for DTLS sessions, and more of it for each */
    CONNECTS_PER_S = 20,
    MISSES_MAX = 3, /* frames in a row without an answer: a DTLS session may be gone */
    SECONDS_MAX = 7 * 86400,
};

enum event_kind { EVENT_PACKET, EVENT_ANSWER, EVENT_BUSY, EVENT_REJECTED };

struct device {
    struct agn__air_path up, down;
    struct agn_pause pause;
    uint16_t frame, message_id;
    uint8_t misses; /* frames in a row that ended at their deadline */
};

struct agn_swarm {
    struct agn__pool pool;
    struct agn__ports *ports;
    struct agn__ledger ledger;
    struct agn__air_queue air;
    struct agn__schedule schedule;
    struct agn_rng rng; /* of the links */
    struct device *devices;
    uint32_t device_count;
    struct agn_swarm_link link;
    bool ideal_link, ignores_pauses;
    double deadline_s;
    uint64_t seed;

    const struct agn_swarm_load *load;
    double start_s;              /* of the run, monotonic; all other times count from there */
    struct agn__arrival arrival; /* the next one, if has_arrival */
    bool has_arrival;
    double give_up_s; /* what still waits then ends, whatever its deadline; INFINITY: no interrupt yet */
    bool mismatched;  /* there is no point in going on */
    uint8_t datagram[AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
    uint8_t answer[AGN_WIRE_MAX_REPLY + ANSWER_ROOM];
};

static double elapsed_s(const struct agn_swarm *swarm)
{
    return agn_now_s() - swarm->start_s;
}

/* ---- packets out ------------------------------------------------------------------------ */

static bool is_compact(const struct agn_swarm *swarm)
{
    return swarm->pool.protocol == AGN_COMPACT_VERSION;
}

static size_t coap_bytes(const struct agn_swarm *swarm)
{
    return is_compact(swarm) ? AGN_COAP_COMPACT_OVERHEAD : AGN_COAP_REQUEST_OVERHEAD;
}

/* Token: number of the frame in the ledger (3 bytes), packet's index; of version 2 the number's low 2 bytes.
 */
static size_t make_datagram(struct agn_swarm *swarm, const struct agn__air_event *packet)
{
    const uint8_t token[AGN_COAP_TOKEN_BYTES] = {(uint8_t)(packet->token >> 16),
                                                 (uint8_t)(packet->token >> 8), (uint8_t)packet->token,
                                                 packet->packet};
    uint8_t *payload = swarm->datagram + coap_bytes(swarm);
    size_t length = agn__pool_packet(&swarm->pool, packet->image, packet->packet, packet->frame, payload);
    uint16_t message_id = swarm->devices[packet->device].message_id++;
    return is_compact(swarm)
               ? agn_coap_request_compact(swarm->datagram, message_id, token + 1, payload, length)
               : agn_coap_request(swarm->datagram, message_id, token, payload, length);
}

/* A packet that has come through the radio. */
static void send_now(struct agn_swarm *swarm, const struct agn__air_event *packet)
{
    size_t length = make_datagram(swarm, packet);
    if (agn__ports_send(swarm->ports, packet->device, swarm->datagram, length) < 0)
        swarm->ledger.report.packets_lost++;
}

static int send_packet(struct agn_swarm *swarm, struct agn__air_event *packet, double now_s)
{
    struct agn_swarm_report *report = &swarm->ledger.report;
    const struct agn__pool_packet *made =
        &swarm->pool.packets[swarm->pool.frames[packet->image].first_packet + packet->packet];
    size_t length = coap_bytes(swarm) + made->length;
    report->packets++;
    report->bytes += length;
    if (swarm->ideal_link) {
        send_now(swarm, packet);
        return 0;
    }
    struct agn__air_path *path = &swarm->devices[packet->device].up;
    if (!agn__air_send(&swarm->link, path, &swarm->rng, length, now_s, &packet->due_s)) {
        report->packets_lost++;
        return 0;
    }
    if (packet->due_s > now_s)
        return agn__air_put(&swarm->air, packet);
    send_now(swarm, packet);
    return 0;
}

static bool is_local_right(const struct agn_swarm *swarm, uint32_t image)
{
    return swarm->pool.frames[image].local_class == swarm->pool.frames[image].label;
}

static void end_frame(struct agn_swarm *swarm, struct agn__entry *entry, enum agn__outcome outcome,
                      double now_s, uint16_t fused_class)
{
    struct device *device = &swarm->devices[entry->device];
    bool fused_right = fused_class == swarm->pool.frames[entry->image].label;
    agn__ledger_end(&swarm->ledger, entry, outcome, now_s, fused_right, is_local_right(swarm, entry->image));
    if (outcome != AGN__TIMED_OUT) {
        device->misses = 0;
    } else if (++device->misses == MISSES_MAX) {
        device->misses = 0;
        (void)agn__ports_renew(swarm->ports, entry->device); /* if it fails, its frames fall back */
    }
}

/* Ends a frame that is never sent. */
static void end_unsent(struct agn_swarm *swarm, const struct agn__air_event *packet,
                       enum agn__outcome outcome, double now_s)
{
    struct agn__entry *entry;
    if (agn__ledger_find(&swarm->ledger, packet->token, packet->device, &entry) == AGN__FOUND_OPEN)
        end_frame(swarm, entry, outcome, now_s, 0);
}

static uint32_t ms_of(double now_s)
{
    return (uint32_t)(uint64_t)(now_s * 1e3);
}

static int send_frame(struct agn_swarm *swarm, const struct agn__arrival *arrival, double now_s)
{
    struct agn__ledger *ledger = &swarm->ledger;
    struct device *device = &swarm->devices[arrival->device];
    struct agn__air_event packet = {
        .device = arrival->device, .image = arrival->image, .frame = ++device->frame, .kind = EVENT_PACKET};
    int status = agn__ledger_enter(ledger, arrival->at_s, arrival->device, arrival->image, packet.frame,
                                   &packet.token);
    if (status < 0)
        return status;
    agn__durations_add(&ledger->send_lag, now_s - arrival->at_s);
    if (now_s >= arrival->at_s + swarm->deadline_s) {
        end_unsent(swarm, &packet, AGN__OVERSLEPT, now_s);
        return 0; /* a device would have sent it in time; now it would only burden the server */
    }
    if (agn_pause_is_on(&device->pause, ms_of(now_s))) {
        end_unsent(swarm, &packet, AGN__PAUSED, now_s);
        return 0;
    }
    uint32_t count = swarm->pool.frames[arrival->image].packet_count;
    for (uint32_t i = 0; i < count && status == 0; i++) {
        packet.packet = (uint8_t)i;
        status = send_packet(swarm, &packet, now_s);
    }
    return status;
}

static int send_due(struct agn_swarm *swarm, double now_s)
{
    for (int i = 0; i < ARRIVALS_AT_ONCE && swarm->has_arrival && swarm->arrival.at_s <= now_s; i++) {
        int status = send_frame(swarm, &swarm->arrival, now_s);
        if (status < 0)
            return status;
        swarm->ledger.second.offered++;
        swarm->has_arrival = agn__schedule_next(&swarm->schedule, &swarm->arrival);
    }
    return 0;
}

/* ---- answers in --------------------------------------------------------------------------- */

static void count_unwanted(struct agn__ledger *ledger, enum agn__found found)
{
    if (found == AGN__FOUND_LATE) {
        ledger->report.late++;
        ledger->second.late++;
    } else {
        ledger->report.strangers++;
    }
}

/* What an answer means for the device's next frames. It may be too late for its own. */
static void heed(struct agn_swarm *swarm, const struct agn__air_event *answer, double now_s)
{
    struct agn_pause *pause = &swarm->devices[answer->device].pause;
    if (answer->kind == EVENT_BUSY && !swarm->ignores_pauses)
        agn_pause_refused(pause, answer->max_age_s, ms_of(now_s), answer->device * 0x9E3779B9U);
    else if (answer->kind == EVENT_ANSWER)
        agn_pause_answered(pause);
}

/* An answer that has reached its device. */
static void take_answer(struct agn_swarm *swarm, const struct agn__air_event *answer, double now_s)
{
    static const enum agn__outcome outcomes[] = {
        [EVENT_ANSWER] = AGN__ANSWERED, [EVENT_BUSY] = AGN__BUSY, [EVENT_REJECTED] = AGN__REJECTED};
    struct agn__ledger *ledger = &swarm->ledger;
    struct agn__entry *entry = NULL;
    enum agn__found found = agn__ledger_find(ledger, answer->token, answer->device, &entry);
    if (found != AGN__FOUND_STRANGER)
        heed(swarm, answer, now_s);
    if (found != AGN__FOUND_OPEN) {
        count_unwanted(ledger, found);
        return;
    }
    enum agn__outcome outcome = outcomes[answer->kind];
    if (now_s >= entry->intended_s + swarm->deadline_s) { /* the loop has not come to ending it yet */
        outcome = AGN__TIMED_OUT;
        count_unwanted(ledger, AGN__FOUND_LATE);
    }
    end_frame(swarm, entry, outcome, now_s, answer->prediction);
}

/* An answer without a reply packet. A damaged packet is no reason to give the frame up. */
static bool judge_plain(const struct agn_coap_answer_view *view, struct agn__air_event *answer)
{
    if (view->code_class < 4 || (view->code_class == 4 && view->code_detail == 0))
        return false;
    answer->kind = agn_coap_is_busy(view) ? EVENT_BUSY : EVENT_REJECTED;
    return true;
}

/* Fuses, or finds out why not. False: the device goes on waiting. */
static bool judge(struct agn_swarm *swarm, const struct agn_coap_answer_view *view,
                  const struct agn__entry *entry, struct agn__air_event *answer)
{
    struct agn_reply_packet reply;
    if (agn__pool_reply(&swarm->pool, view->payload, view->payload_bytes, &reply) < 0)
        return judge_plain(view, answer);
    uint16_t sent = is_compact(swarm) ? (uint8_t)entry->frame : entry->frame;
    if (reply.frame != sent || reply.model_id != swarm->pool.model_id || reply.status == AGN_REPLY_BAD_PACKET)
        return false;
    if (reply.status == AGN_REPLY_MISMATCH && swarm->ledger.report.answered == 0)
        swarm->mismatched = true;
    else if (reply.status == AGN_REPLY_MISMATCH)
        swarm->ledger.report.disowned++;
    if (reply.status != AGN_REPLY_OK) {
        answer->kind = reply.status == AGN_REPLY_BUSY ? EVENT_BUSY : EVENT_REJECTED;
        return true;
    }
    if (reply.class_count != swarm->pool.classes)
        return false;
    answer->kind = EVENT_ANSWER;
    answer->prediction = agn__pool_fuse(&swarm->pool, entry->image, &reply);
    return true;
}

/* A datagram that the network has for a device: through the radio, if it is an answer. */
static int take_datagram(struct agn_swarm *swarm, uint32_t device, size_t len)
{
    struct agn_coap_answer_view view;
    unsigned token_bytes = is_compact(swarm) ? AGN_COAP_COMPACT_TOKEN_BYTES : AGN_COAP_TOKEN_BYTES;
    if (agn_coap_read_answer(swarm->answer, len, &view) < 0 || view.token_bytes != token_bytes) {
        count_unwanted(&swarm->ledger, AGN__FOUND_STRANGER);
        return 0;
    }
    struct agn__air_event answer = {.device = device, .max_age_s = view.max_age_s, .kind = EVENT_BUSY};
    answer.token = is_compact(swarm)
                       ? agn__ledger_widen(&swarm->ledger,
                                           (uint16_t)((unsigned)view.token[0] << 8 | view.token[1]), device)
                       : (uint32_t)view.token[0] << 16 | (uint32_t)view.token[1] << 8 | view.token[2];
    struct agn__entry *entry = NULL;
    enum agn__found found = agn__ledger_find(&swarm->ledger, answer.token, device, &entry);
    bool is_late_refusal = found == AGN__FOUND_LATE && agn_coap_is_busy(&view); /* its pause counts */
    if (found != AGN__FOUND_OPEN && !is_late_refusal) {
        count_unwanted(&swarm->ledger, found);
        return 0;
    }
    if (!is_late_refusal && !judge(swarm, &view, entry, &answer))
        return 0;
    double now_s = elapsed_s(swarm);
    if (swarm->ideal_link) {
        take_answer(swarm, &answer, now_s);
        return 0;
    }
    struct agn__air_path *path = &swarm->devices[device].down;
    if (!agn__air_send(&swarm->link, path, &swarm->rng, len, now_s, &answer.due_s))
        return 0; /* the frame waits in vain */
    return agn__air_put(&swarm->air, &answer);
}

static int take_datagrams(struct agn_swarm *swarm, double wait_s)
{
    int ready = agn__ports_wait(swarm->ports, wait_s), status = ready < 0 ? ready : 0;
    for (int i = 0; i < ready && status == 0; i++) {
        uint32_t device;
        size_t length = agn__ports_receive(swarm->ports, i, &device, swarm->answer, sizeof swarm->answer);
        if (length > 0)
            status = take_datagram(swarm, device, length);
    }
    return status;
}

/* ---- the run ---------------------------------------------------------------------------------- */

static void deliver_due(struct agn_swarm *swarm, double now_s)
{
    struct agn__air_event event;
    while (agn__air_take(&swarm->air, now_s, &event))
        if (event.kind == EVENT_PACKET)
            send_now(swarm, &event);
        else
            take_answer(swarm, &event, event.due_s > now_s ? event.due_s : now_s);
}

static double last_moment(const struct agn_swarm *swarm, const struct agn__entry *entry)
{
    return fmin(entry->intended_s + swarm->deadline_s, swarm->give_up_s);
}

/* Ends what has waited until its deadline; the oldest frame that still waits, or NULL. */
static const struct agn__entry *expire_due(struct agn_swarm *swarm, double now_s)
{
    struct agn__entry *oldest;
    while ((oldest = agn__ledger_oldest(&swarm->ledger, now_s)) != NULL) {
        if (last_moment(swarm, oldest) > now_s)
            return oldest;
        end_frame(swarm, oldest, AGN__TIMED_OUT, now_s, 0);
    }
    return NULL;
}

static void report_progress(const struct agn_swarm *swarm, const struct agn_swarm_second *second,
                            double now_s)
{
    const struct agn_swarm_load *load = swarm->load;
    const struct agn_swarm_report *report = &swarm->ledger.report;
    uint64_t ended = report->answered + report->fallbacks;
    if (!load->progress)
        return;
    double accuracy = ended > 0 ? (double)report->correct / (double)ended : (double)NAN;
    struct agn_progress progress = {.phase = "swarm",
                                    .done = (int64_t)report->offered,
                                    .total = (int64_t)ceil(load->rate_fps * load->seconds),
                                    .rate = (double)second->answered,
                                    .eta_s = fmax(load->seconds - now_s, 0.0),
                                    .item = "img",
                                    .figures = {{.key = "acc", .kind = AGN_FIGURE_SHARE, .value = accuracy}}};
    if (progress.total < progress.done)
        progress.total = progress.done;
    load->progress(load->progress_user, &progress);
}

static void end_second(struct agn_swarm *swarm, double now_s)
{
    struct agn_swarm_second *second = &swarm->ledger.second;
    struct agn__durations *durations = &swarm->ledger.this_second;
    second->p50_ms = 1e3 * agn__durations_quantile(durations, 0.5);
    second->p99_ms = 1e3 * agn__durations_quantile(durations, 0.99);
    second->max_ms = durations->count > 0 ? 1e3 * durations->max_s : (double)NAN;
    if (swarm->load->second)
        swarm->load->second(swarm->load->second_user, second);
    report_progress(swarm, second, now_s);
    *second = (struct agn_swarm_second){.second = second->second + 1};
    agn__durations_clear(durations);
}

/* One turn: does what is due, then waits for what comes next. 1: go on, 0: all done. */
static int turn(struct agn_swarm *swarm)
{
    double now_s = elapsed_s(swarm);
    if (agn_interrupt_requested() && isinf(swarm->give_up_s)) {
        swarm->has_arrival = false;
        swarm->give_up_s = now_s + AGN_SWARM_GIVE_UP_S;
    }
    int status = send_due(swarm, now_s);
    if (status < 0)
        return status;
    deliver_due(swarm, now_s);
    agn__ports_tick(swarm->ports);
    const struct agn__entry *oldest = expire_due(swarm, now_s);
    if (now_s >= swarm->ledger.second.second + 1.0)
        end_second(swarm, now_s);
    if (swarm->mismatched)
        return agn_fail(AGN_ERR_MISMATCH,
                        "the server does not have model %08x; serve the file that it was exported from",
                        (unsigned)swarm->pool.model_id);
    if (!swarm->has_arrival && !oldest)
        return 0;
    double next_s = fmin(agn__air_due(&swarm->air), swarm->ledger.second.second + 1.0);
    if (swarm->has_arrival)
        next_s = fmin(next_s, swarm->arrival.at_s);
    if (oldest)
        next_s = fmin(next_s, last_moment(swarm, oldest));
    status = take_datagrams(swarm, next_s - elapsed_s(swarm));
    return status < 0 ? status : 1;
}

/* Throws away what came since the run before, and what is on its way. */
static int clear(struct agn_swarm *swarm)
{
    uint32_t device;
    int ready;
    struct agn__air_event event;
    while (agn__air_take(&swarm->air, (double)INFINITY, &event))
        continue;
    while ((ready = agn__ports_wait(swarm->ports, 0)) > 0)
        for (int i = 0; i < ready; i++)
            (void)agn__ports_receive(swarm->ports, i, &device, swarm->answer, sizeof swarm->answer);
    for (uint32_t i = 0; i < swarm->device_count; i++) {
        swarm->devices[i].up = swarm->devices[i].down = (struct agn__air_path){0};
        swarm->devices[i].pause = (struct agn_pause){0};
    }
    agn__ledger_clear(&swarm->ledger);
    swarm->mismatched = false;
    return ready;
}

int agn_swarm_run(struct agn_swarm *swarm, const struct agn_swarm_load *load, struct agn_swarm_report *report)
{
    if (!(load->rate_fps > 0 && load->rate_fps <= 1e7))
        return agn_fail(AGN_ERR_ARG, "%g frames/s, expected more than 0 and at most 10 million",
                        load->rate_fps);
    if (!(load->seconds > 0 && load->seconds <= SECONDS_MAX))
        return agn_fail(AGN_ERR_ARG, "a run of %g s, expected more than 0 and at most a week", load->seconds);
    int status = clear(swarm);
    if (status < 0)
        return status;
    double connect_s = agn_now_s();
    int handshakes =
        agn__ports_connect(swarm->ports, CONNECT_S + (double)swarm->device_count / CONNECTS_PER_S);
    if (handshakes < 0)
        return handshakes;
    swarm->load = load;
    swarm->ledger.report.handshakes = (uint64_t)handshakes;
    swarm->ledger.report.handshake_s = agn_now_s() - connect_s;
    agn_rng_seed(&swarm->rng, swarm->seed + 1);
    agn__schedule_begin(&swarm->schedule, load->rate_fps, load->fixed, load->seconds, swarm->device_count,
                        swarm->pool.count, swarm->seed);
    swarm->has_arrival = agn__schedule_next(&swarm->schedule, &swarm->arrival);
    swarm->give_up_s = (double)INFINITY;
    swarm->start_s = agn_now_s();
    while ((status = turn(swarm)) > 0)
        continue;
    double end_s = elapsed_s(swarm);
    if (swarm->ledger.this_second.count > 0 || swarm->ledger.second.offered > 0)
        end_second(swarm, end_s);
    double load_s = agn_interrupt_requested() ? fmin(end_s, load->seconds) : load->seconds;
    agn__ledger_report(&swarm->ledger, load_s, swarm->ledger.last_end_s, report);
    report->devices = (int)swarm->device_count;
    return status;
}

/* ---- creation ----------------------------------------------------------------------------------- */

static bool is_time(double seconds)
{
    return seconds >= 0 && seconds <= 60;
}

static int check_config(const struct agn_swarm_config *config)
{
    const struct agn_swarm_link *link = &config->link;
    if (!config->model || !config->data)
        return agn_fail(AGN_ERR_ARG, "no model or no data set given");
    if (config->port == 0)
        return agn_fail(AGN_ERR_ARG, "no port of the server given");
    if (config->devices < 1 || config->devices > AGN_SWARM_MAX_DEVICES)
        return agn_fail(AGN_ERR_ARG, "%d devices, expected 1 to %d", config->devices,
                        (int)AGN_SWARM_MAX_DEVICES);
    if (config->images < 0)
        return agn_fail(AGN_ERR_ARG, "a pool of %d images, expected at least 1", config->images);
    if (config->deadline_ms < 1 || config->deadline_ms > AGN_SWARM_MAX_DEADLINE_MS)
        return agn_fail(AGN_ERR_ARG, "deadline of %u ms, expected 1 to %d", (unsigned)config->deadline_ms,
                        (int)AGN_SWARM_MAX_DEADLINE_MS);
    if (!(link->loss >= 0 && link->loss <= 1))
        return agn_fail(AGN_ERR_ARG, "a loss of %g, expected a share from 0 to 1", link->loss);
    if (!is_time(link->delay_s) || !is_time(link->jitter_s) || !(link->bandwidth_bps >= 0))
        return agn_fail(AGN_ERR_ARG,
                        "delay %g s, jitter %g s, %g bit/s: expected 0 to 60 s, and no bandwidth below 0",
                        link->delay_s, link->jitter_s, link->bandwidth_bps);
    return 0;
}

static void number_devices(struct agn_swarm *swarm)
{
    struct agn_rng
        rng; /* numbers that need only differ from run to run: a server remembers a frame for seconds */
    agn_rng_seed(&rng, (uint64_t)(agn_now_s() * 1e9));
    for (uint32_t i = 0; i < swarm->device_count; i++) {
        swarm->devices[i].frame = (uint16_t)agn_rng_u64(&rng);
        swarm->devices[i].message_id = (uint16_t)agn_rng_u64(&rng);
    }
}

static int open_ports(struct agn_swarm *swarm, const struct agn_swarm_config *config)
{
    struct agn_keys *keys = NULL;
    int status = config->psk_file ? agn_keys_load(&keys, config->psk_file) : 0;
    if (status == 0)
        status = agn__ports_open(&swarm->ports, config->host ? config->host : "127.0.0.1", config->port,
                                 swarm->device_count, keys);
    agn_keys_free(keys);
    return status;
}

static void set_up(struct agn_swarm *swarm, const struct agn_swarm_config *config)
{
    const struct agn_swarm_link *link = &config->link;
    swarm->link = *link;
    swarm->ideal_link =
        link->loss <= 0 && link->delay_s <= 0 && link->jitter_s <= 0 && link->bandwidth_bps <= 0;
    swarm->deadline_s = config->deadline_ms / 1000.0;
    swarm->seed = config->seed;
    swarm->ignores_pauses = config->ignore_pauses;
    swarm->device_count = (uint32_t)config->devices;
}

int agn_swarm_create(struct agn_swarm **swarm, const struct agn_swarm_config *config)
{
    int status = check_config(config);
    if (status < 0)
        return status;
    struct agn_swarm *made = agn_alloc(1, sizeof *made);
    if (!made)
        return AGN_ERR_MEMORY;
    set_up(made, config);
    made->devices = agn_alloc(made->device_count, sizeof *made->devices);
    status = made->devices ? 0 : AGN_ERR_MEMORY;
    if (status == 0)
        status = agn__ledger_open(&made->ledger, made->deadline_s, (uint32_t)(agn_now_s() * 1e6));
    if (status == 0)
        status =
            agn__pool_make(&made->pool, config->model, config->model_bytes, config->data,
                           config->images > 0 ? config->images : AGN_SWARM_DEFAULT_IMAGES,
                           config->deadline_ms, config->protocol > 0 ? config->protocol : AGN_WIRE_VERSION);
    if (status == 0)
        status = open_ports(made, config);
    if (status < 0) {
        agn_swarm_free(made);
        return status;
    }
    number_devices(made);
    *swarm = made;
    return 0;
}

void agn_swarm_free(struct agn_swarm *swarm)
{
    if (!swarm)
        return;
    agn__ports_free(swarm->ports);
    agn__pool_free(&swarm->pool);
    agn__ledger_free(&swarm->ledger);
    agn__air_free(&swarm->air);
    agn_free(swarm->devices);
    agn_free(swarm);
}

double agn_swarm_quantile_ms(const struct agn_swarm *swarm, bool answers, double q)
{
    return 1e3 * agn__durations_quantile(answers ? &swarm->ledger.answer : &swarm->ledger.prediction, q);
}

double agn__swarm_deadline_ms(const struct agn_swarm *swarm)
{
    return 1000 * swarm->deadline_s;
}

int agn__swarm_pause(struct agn_swarm *swarm)
{
    double until_s = agn_now_s() + fmax(0.1, 1.5 * swarm->deadline_s);
    uint32_t device;
    for (double left_s; (left_s = until_s - agn_now_s()) > 0 && !agn_interrupt_requested();) {
        int ready = agn__ports_wait(swarm->ports, fmin(left_s, 0.1));
        if (ready < 0)
            return ready;
        for (int i = 0; i < ready; i++)
            (void)agn__ports_receive(swarm->ports, i, &device, swarm->answer, sizeof swarm->answer);
    }
    return 0;
}
