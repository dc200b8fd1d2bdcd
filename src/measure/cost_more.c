/* What changes the cost of a frame: lost datagrams, short ones, and inputs that are not known well. */
#include <math.h>
#include <stdlib.h>

#include "measure/profile.h"

/* ---- radios that take short datagrams only ---------------------------------------------------- */

int agn_work_fit_radio(const struct agn_dev_model *model, const struct agn_radio *radio,
                       struct agn_work *work)
{
    const double overhead = AGN_FEATURE_OVERHEAD_BYTES + AGN_WORK_COAP_BYTES,
                 room = radio->longest_bytes - overhead;
    const size_t row_bytes = AGN_ROW_BYTES(model->map_w);
    double row = (double)row_bytes;
    if (work->packets == 0.0 || work->packet_bytes / work->packets <= radio->longest_bytes)
        return AGN_OK;
    if (room < row)
        return agn_fail(
            AGN_ERR_RANGE,
            "radio %s takes datagrams of %.0f bytes: a packet of one row of symbols has %.0f, headers and "
            "CoAP included",
            radio->name, radio->longest_bytes, overhead + row);
    double coded = work->packet_bytes - work->packets * overhead;
    double packets = ceil(coded / room);
    return agn_work_set_bytes(model, coded + packets * AGN_FEATURE_OVERHEAD_BYTES, packets, work);
}

/* ---- lost datagrams --------------------------------------------------------------------------- */

static double mixed(double share, double sent, double unsent)
{
    return unsent + share * (sent - unsent);
}

int agn_cost_with_loss(const struct agn_board *board, const struct agn_radio *radio,
                       const struct agn_work *work, double loss, double deadline_ms,
                       struct agn_cost_loss *result)
{
    struct agn_cost cost, silent_cost;
    if (!(loss >= 0.0 && loss < 1.0) || !(isfinite(deadline_ms) && deadline_ms >= 0.0))
        return agn_fail(
            AGN_ERR_ARG,
            "lost datagrams: a chance of %g and a deadline of %g ms: expected 0 to below 1, 0 or more", loss,
            deadline_ms);
    struct agn_work silent = *work; /* as if the server took all of the deadline and then said nothing */
    silent.reply_bytes = 0.0;
    silent.server_ms = deadline_ms;
    int status = agn_cost_frame(board, radio, work, &cost);
    if (status >= 0)
        status = agn_cost_frame(board, radio, &silent, &silent_cost);
    if (status < 0)
        return status;
    struct agn_cost_loss made = {.answered_share = pow(1.0 - loss, work->packets + 1.0)};
    const struct agn_interval *unsent[] = {&cost.unsent_ms, &cost.unsent_mj},
                              *sent[] = {&cost.sent_ms, &cost.sent_mj},
                              *lost[] = {&silent_cost.sent_ms, &silent_cost.sent_mj};
    struct agn_interval *to[] = {&made.mean_ms, &made.mean_mj};
    for (int i = 0; i < 2; i++) {
        double q = made.answered_share, s = work->sent_share;
        *to[i] =
            (struct agn_interval){mixed(s, mixed(q, sent[i]->low, lost[i]->low), unsent[i]->low),
                                  mixed(s, mixed(q, sent[i]->typical, lost[i]->typical), unsent[i]->typical),
                                  mixed(s, mixed(q, sent[i]->high, lost[i]->high), unsent[i]->high)};
    }
    *result = made;
    return AGN_OK;
}

/* ---- inputs that matter ------------------------------------------------------------------------ */

/* The typical mean with one input at one value. */
static void mean_with(const struct agn_board *board, const struct agn_radio *radio,
                      const struct agn_work *work, double *ms, double *mj)
{
    struct agn_cost cost;
    *ms = *mj = 0.0;
    if (agn_cost_frame(board, radio, work, &cost) < 0)
        return;
    *ms = cost.mean_ms.typical;
    *mj = cost.mean_mj.typical;
}

static void pull(const struct agn_board *board, const struct agn_radio *radio, const struct agn_work *work,
                 enum agn_profile_kind kind, const struct agn__input *input, struct agn_cost_lever *lever)
{
    struct agn_board b = *board;
    struct agn_radio r = *radio;
    char *at = (kind == AGN_PROFILE_BOARD ? (char *)&b : (char *)&r) + input->offset;
    struct agn_interval *interval = (struct agn_interval *)(void *)at;
    double low_ms, low_mj, high_ms, high_mj;
    const double low = interval->low, high = interval->high;
    interval->typical = low;
    mean_with(&b, &r, work, &low_ms, &low_mj);
    interval->typical = high;
    mean_with(&b, &r, work, &high_ms, &high_mj);
    *lever = (struct agn_cost_lever){kind == AGN_PROFILE_BOARD ? "board" : "radio", input->name,
                                     high_ms - low_ms, high_mj - low_mj};
}

struct ranked {
    struct agn_cost_lever lever;
    double share; /* of the mean, in ms or mJ, whichever is larger */
};

static int wider(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->share < y->share ? 1 : x->share > y->share ? -1 : 0;
}

int agn_cost_levers(const struct agn_board *board, const struct agn_radio *radio, const struct agn_work *work,
                    struct agn_cost_lever *levers, int most)
{
    struct ranked all[2 * AGN_MOST_PROFILE_INPUTS];
    double ms, mj;
    int found = 0;
    mean_with(board, radio, work, &ms, &mj);
    for (int kind = 0; kind < 2; kind++) {
        int count = 0;
        const struct agn__input *inputs = agn__inputs((enum agn_profile_kind)kind, &count);
        for (int i = 0; i < count; i++) {
            struct agn_cost_lever *lever = &all[found].lever;
            if (inputs[i].type != AGN__INPUT_INTERVAL)
                continue;
            pull(board, radio, work, (enum agn_profile_kind)kind, &inputs[i], lever);
            all[found].share = fmax(ms > 0.0 ? lever->ms / ms : 0.0, mj > 0.0 ? lever->mj / mj : 0.0);
            found += all[found].share > 0.0;
        }
    }
    qsort(all, (size_t)found, sizeof *all, wider);
    found = found < most ? found : most;
    for (int i = 0; i < found; i++)
        levers[i] = all[i].lever;
    return found;
}
