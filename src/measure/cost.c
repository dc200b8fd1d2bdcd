/* What a frame costs on a board with a radio. See cost.h; docs/COST.md has the formulas in words. */
#include "agilenn/cost.h"

#include <math.h>

enum { BITS_OF_A_SERIAL_BYTE = 10 /* 8N1 */, BITS_OF_A_BYTE = 8, MS_OF_A_SECOND = 1000 };

static const char *const stage_names[AGN_COST_STAGES] = {
    [AGN_COST_SENSOR] = "sensor", [AGN_COST_EXTRACT] = "extract", [AGN_COST_LOCAL] = "local",
    [AGN_COST_ENCODE] = "encode", [AGN_COST_SERIAL] = "serial",   [AGN_COST_AIR] = "air",
    [AGN_COST_SERVER] = "server", [AGN_COST_BACK] = "back",
};

const char *agn_cost_stage_name(enum agn_cost_stage stage)
{
    return stage_names[stage];
}

/* ---- with one value of each input ------------------------------------------------------------- */

enum bound { LOW, TYPICAL, HIGH, BOUNDS };

static double pick(struct agn_interval interval, enum bound bound)
{
    return bound == LOW ? interval.low : bound == HIGH ? interval.high : interval.typical;
}

static void put(struct agn_interval *interval, enum bound bound, double value)
{
    *(bound == LOW ? &interval->low : bound == HIGH ? &interval->high : &interval->typical) = value;
}

/* mW of the processor computing and waiting, and of the radio in each of its states. */
struct power {
    double run, wait, sleep, idle, transmit, receive;
};

static struct power power_of(const struct agn_board *board, const struct agn_radio *radio, enum bound bound)
{
    double scale = board->volts * board->clock_mhz / board->rated_mhz;
    return (struct power){
        .run = scale * pick(board->run_ma, bound),
        .wait = scale * pick(board->wait_ma, bound),
        .sleep = radio->volts * pick(radio->sleep_ma, bound),
        .idle = radio->volts * pick(radio->idle_ma, bound),
        .transmit = radio->volts * pick(radio->transmit_ma, bound),
        .receive = radio->volts * pick(radio->receive_ma, bound),
    };
}

static double compute_ms(const struct agn_board *board, double instructions, enum bound bound)
{
    return instructions * pick(board->relative_instructions, bound) *
           pick(board->cycles_per_instruction, bound) / (board->clock_mhz * MS_OF_A_SECOND);
}

static double serial_ms(const struct agn_radio *radio, double bytes)
{
    return radio->serial_baud > 0.0 ? bytes * BITS_OF_A_SERIAL_BYTE * MS_OF_A_SECOND / radio->serial_baud
                                    : 0.0;
}

static double air_ms(const struct agn_radio *radio, double bytes, enum bound bound)
{
    return (bytes + radio->header_bytes) * BITS_OF_A_BYTE / radio->rate_kbps + pick(radio->air_ms, bound);
}

/* The way to the server. */
struct sending {
    double serial, air, wait; /* wait: for the network to allow the next datagram */
};

static struct sending send_ms(const struct agn_radio *radio, const struct agn_work *work, enum bound bound)
{
    struct sending ms = {0};
    if (work->packets == 0.0)
        return ms;
    double bytes = work->packet_bytes / work->packets, others = work->packets - 1.0;
    double serial = pick(radio->send_ms, bound) + serial_ms(radio, bytes), air = air_ms(radio, bytes, bound);
    double turn = fmax(serial, air);
    double apart = radio->packets_per_second > 0.0 ? MS_OF_A_SECOND / radio->packets_per_second : 0.0;
    ms.serial = serial + others * (turn - air);
    ms.air = work->packets * air;
    ms.wait = others * fmax(apart - turn, 0.0);
    return ms;
}

struct totals {
    double ms, mj;
};

static void add_stage(struct agn_cost *cost, enum agn_cost_stage stage, enum bound bound, double ms,
                      double mw)
{
    put(&cost->stage_ms[stage], bound, ms);
    put(&cost->stage_mj[stage], bound, ms * mw / MS_OF_A_SECOND);
}

static void cost_stages(const struct agn_board *board, const struct agn_radio *radio,
                        const struct agn_work *work, enum bound bound, struct agn_cost *cost)
{
    const struct power mw = power_of(board, radio, bound);
    const struct sending sending = send_ms(radio, work, bound);
    bool answered = work->packets > 0.0 && work->reply_bytes > 0.0;
    double server = work->packets > 0.0 ? 2.0 * pick(radio->network_ms, bound) + work->server_ms : 0.0;
    double back_air = answered ? air_ms(radio, work->reply_bytes, bound) : 0.0;
    double back_serial =
        answered ? pick(radio->receive_ms, bound) + serial_ms(radio, work->reply_bytes) : 0.0;

    add_stage(cost, AGN_COST_SENSOR, bound, board->image_ms, mw.wait + mw.sleep);
    add_stage(cost, AGN_COST_EXTRACT, bound, compute_ms(board, work->extract_instructions, bound),
              mw.run + mw.sleep);
    add_stage(cost, AGN_COST_LOCAL, bound, compute_ms(board, work->local_instructions, bound),
              mw.run + mw.sleep);
    add_stage(cost, AGN_COST_ENCODE, bound, compute_ms(board, work->encode_instructions, bound),
              mw.run + mw.sleep);
    add_stage(cost, AGN_COST_SERIAL, bound, sending.serial, mw.wait + mw.idle);
    put(&cost->stage_ms[AGN_COST_AIR], bound, sending.air + sending.wait);
    put(&cost->stage_mj[AGN_COST_AIR], bound,
        (sending.air * (mw.wait + mw.transmit) + sending.wait * (mw.wait + mw.sleep)) / MS_OF_A_SECOND);
    add_stage(cost, AGN_COST_SERVER, bound, server, mw.wait + mw.idle);
    put(&cost->stage_ms[AGN_COST_BACK], bound, back_air + back_serial);
    put(&cost->stage_mj[AGN_COST_BACK], bound,
        (back_air * (mw.wait + mw.receive) + back_serial * (mw.wait + mw.idle)) / MS_OF_A_SECOND);
}

static double sum(const struct agn_interval *stages, int first, int end, enum bound bound)
{
    double total = 0.0;
    for (int i = first; i < end; i++)
        total += pick(stages[i], bound);
    return total;
}

static void cost_frames(const struct agn_board *board, const struct agn_work *work, enum bound bound,
                        struct agn_cost *cost)
{
    enum { UNSENT_END = AGN_COST_LOCAL + 1 };
    struct totals unsent = {sum(cost->stage_ms, 0, UNSENT_END, bound),
                            sum(cost->stage_mj, 0, UNSENT_END, bound)};
    struct totals sent = {sum(cost->stage_ms, 0, AGN_COST_STAGES, bound),
                          sum(cost->stage_mj, 0, AGN_COST_STAGES, bound)};
    double share = work->sent_share;
    struct totals mean = {unsent.ms + share * (sent.ms - unsent.ms),
                          unsent.mj + share * (sent.mj - unsent.mj)};
    put(&cost->unsent_ms, bound, unsent.ms);
    put(&cost->unsent_mj, bound, unsent.mj);
    put(&cost->sent_ms, bound, sent.ms);
    put(&cost->sent_mj, bound, sent.mj);
    put(&cost->mean_ms, bound, mean.ms);
    put(&cost->mean_mj, bound, mean.mj);
    put(&cost->median_ms, bound, share < 0.5 ? unsent.ms : sent.ms);
    put(&cost->mean_board_mj, bound, mean.mj + pick(board->rest_mw, bound) * mean.ms / MS_OF_A_SECOND);
}

/* The least cost makes the highest rate. */
static void set_rate(const struct agn_radio *radio, const struct agn_work *work, struct agn_cost *cost)
{
    double packets = work->packets * work->sent_share;
    double most =
        radio->packets_per_second > 0.0 && packets > 0.0 ? radio->packets_per_second / packets : INFINITY;
    cost->frames_per_second = (struct agn_interval){fmin(MS_OF_A_SECOND / cost->mean_ms.high, most),
                                                    fmin(MS_OF_A_SECOND / cost->mean_ms.typical, most),
                                                    fmin(MS_OF_A_SECOND / cost->mean_ms.low, most)};
}

/* ---- checks -------------------------------------------------------------------------------- */

static int check_count(const char *name, double value, double most)
{
    if (isfinite(value) && value >= 0.0 && value <= most)
        return AGN_OK;
    return agn_fail(AGN_ERR_ARG, "cost of a frame: %s is %g: expected a number of 0 or more%s", name, value,
                    most == 1.0 ? ", at most 1" : "");
}

static int check(const struct agn_board *board, const struct agn_radio *radio, const struct agn_work *work)
{
    const struct {
        const char *name;
        double value, most;
    } counts[] = {{"extract_instructions", work->extract_instructions, INFINITY},
                  {"local_instructions", work->local_instructions, INFINITY},
                  {"encode_instructions", work->encode_instructions, INFINITY},
                  {"packets", work->packets, INFINITY},
                  {"packet_bytes", work->packet_bytes, INFINITY},
                  {"reply_bytes", work->reply_bytes, INFINITY},
                  {"sent_share", work->sent_share, 1.0},
                  {"server_ms", work->server_ms, INFINITY}};
    for (size_t i = 0; i < AGN_COUNT_OF(counts); i++) {
        int status = check_count(counts[i].name, counts[i].value, counts[i].most);
        if (status < 0)
            return status;
    }
    if (!(isfinite(board->clock_mhz) && board->clock_mhz > 0.0 && board->rated_mhz > 0.0))
        return agn_fail(AGN_ERR_ARG,
                        "cost of a frame: board %s has a clock of %g MHz, rated at %g: expected more than 0",
                        board->name, board->clock_mhz, board->rated_mhz);
    if (!(isfinite(radio->rate_kbps) && radio->rate_kbps > 0.0))
        return agn_fail(AGN_ERR_ARG,
                        "cost of a frame: radio %s has a rate of %g kbit/s: expected more than 0",
                        radio->name, radio->rate_kbps);
    if ((work->packets > 0.0 && work->packets < 1.0) || (work->packets == 0.0 && work->packet_bytes > 0.0))
        return agn_fail(AGN_ERR_ARG,
                        "cost of a frame: %g packets with %g bytes: expected at least 1 packet, or nothing",
                        work->packets, work->packet_bytes);
    if (work->packets > 0.0 && work->packet_bytes / work->packets > radio->longest_bytes)
        return agn_fail(
            AGN_ERR_RANGE,
            "cost of a frame: datagrams of %.0f bytes are too long for radio %s: expected at most %.0f; "
            "make more and smaller packets",
            work->packet_bytes / work->packets, radio->name, radio->longest_bytes);
    return AGN_OK;
}

int agn_cost_frame(const struct agn_board *board, const struct agn_radio *radio, const struct agn_work *work,
                   struct agn_cost *cost)
{
    int status = check(board, radio, work);
    if (status < 0)
        return status;
    *cost = (struct agn_cost){.air_bytes = work->sent_share *
                                           (work->packet_bytes + work->packets * radio->header_bytes)};
    for (int bound = LOW; bound < BOUNDS; bound++) {
        cost_stages(board, radio, work, (enum bound)bound, cost);
        cost_frames(board, work, (enum bound)bound, cost);
    }
    set_rate(radio, work, cost);
    return AGN_OK;
}
