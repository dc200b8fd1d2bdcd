/* Frames to the workers, and what they make of them back to the devices. */
#include <string.h>

#include "agilenn/base.h"
#include "server/histogram.h"
#include "server/server_internal.h"

enum { BUSY_MAX_AGE_S = 1, DRAINING_MAX_AGE_S = 5 };
#define COST_SHARE 0.1 /* of a new batch in the moving mean */

size_t agn__short_reply(const struct agn__whose *whose, uint8_t status, uint8_t bytes[AGN_REPLY_BYTES(0)])
{
    struct agn_reply_packet reply = {.model_id = whose->model_id, .frame = whose->frame, .status = status};
    int length = whose->is_compact ? agn_compact_reply_pack(&reply, NULL, bytes, AGN_REPLY_BYTES(0))
                                   : agn_reply_pack(&reply, NULL, bytes, AGN_REPLY_BYTES(0));
    return length > 0 ? (size_t)length : 0;
}

uint32_t agn__busy_max_age(const struct agn_server *server)
{
    return server->draining ? DRAINING_MAX_AGE_S : BUSY_MAX_AGE_S;
}

/* ---- to the workers ------------------------------------------------------------------ */

/* Sends; a device that went away is no error of the server's. The exchange of a frame that goes on is that of
 * its next answer, too. */
static bool send_to(struct agn_server *server, struct agn__served *model, int slot,
                    const struct agn__answer *answer, bool goes_on)
{
    int status = agn__coap_send(server->coap, &model->exchanges[slot], answer);
    if (!goes_on)
        agn__coap_forget(&model->exchanges[slot]);
    if (status < 0)
        agn_log(AGN_LOG_DEBUG, "reply: frame %u: %s", (unsigned)agn__assembly_frame(model->assembly, slot),
                agn_error_message());
    else
        server->live.bytes_out += answer->len;
    return status >= 0;
}

static void refuse_busy(struct agn_server *server, struct agn__served *model, int slot, double now_s)
{
    uint8_t bytes[AGN_REPLY_BYTES(0)];
    const struct agn__whose whose = {model->model.model_id, agn__assembly_frame(model->assembly, slot),
                                     agn__assembly_is_compact(model->assembly, slot) != 0};
    struct agn__answer busy = {.code = AGN__CODE_UNAVAILABLE,
                               .max_age_s = agn__busy_max_age(server),
                               .bytes = bytes,
                               .len = agn__short_reply(&whose, AGN_REPLY_BUSY, bytes),
                               .is_bare = whose.is_compact};
    server->live.refused_busy++;
    server->refused_in_turn++;
    agn__assembly_dropped(model->assembly, slot, now_s);
    (void)send_to(server, model, slot, &busy, false);
}

static void drop_expired(struct agn_server *server, struct agn__served *model, int slot, double now_s)
{
    server->live.dropped_expired++;
    agn__assembly_dropped(model->assembly, slot, now_s);
    agn__coap_forget(&model->exchanges[slot]);
}

static void hand_out(struct agn_server *server, struct agn__served *model, int slot, double now_s)
{
    bool complete = agn__assembly_is_complete(model->assembly, slot);
    if (agn__assembly_deadline(model->assembly, slot) <= now_s) {
        drop_expired(server, model, slot, now_s);
        return;
    }
    struct agn__job *job = agn__served_job(model, slot, now_s);
    if (job)
        job->serial = agn__assembly_working(model->assembly, slot);
    if (!job || agn__crew_put(server->crew, job) < 0) {
        if (job)
            agn__served_job_done(job);
        refuse_busy(server, model, slot, now_s);
        return;
    }
    server->live.frames_complete += complete;
    server->live.frames_partial += !complete;
}

struct round {
    struct agn_server *server;
    bool due;
    double now_s;
};

static void dispatch_model(struct agn__served *model, void *user)
{
    const struct round *round = user;
    int slot;
    while ((slot = agn__assembly_next(model->assembly, round->now_s)) >= 0 &&
           (round->due || agn__assembly_is_complete(model->assembly, slot)))
        hand_out(round->server, model, slot, round->now_s);
}

void agn__dispatch(struct agn_server *server, bool due)
{
    struct round round = {server, due, agn_now_s()};
    agn__models_each(server, dispatch_model, &round);
    int depth = agn__crew_depth(server->crew);
    if (depth > server->live.queue_peak)
        server->live.queue_peak = depth;
}

/* ---- back to the devices ---------------------------------------------------------------- */

static int batch_bucket(int size)
{
    int bucket = 0;
    while (bucket < AGN_SERVER_BATCH_BUCKETS - 1 && size > 1 << bucket)
        bucket++;
    return bucket;
}

static void count_batch(struct agn_server *server, const struct agn__job *job)
{
    struct agn_server_stats *stats = &server->live;
    double took_s = job->infer_s;
    stats->infer_min_s = stats->batches == 0 || took_s < stats->infer_min_s ? took_s : stats->infer_min_s;
    stats->infer_max_s = took_s > stats->infer_max_s ? took_s : stats->infer_max_s;
    stats->batches++;
    stats->inferences += (uint64_t)job->batch;
    stats->batch_sizes[batch_bucket(job->batch)]++;
    server->infer_total_s += took_s;
    stats->infer_mean_s = server->infer_total_s / (double)stats->batches;
    agn__histogram_add(&stats->inference, took_s);
    double cost_s = took_s / job->batch / server->config.workers;
    server->frame_cost_s += (stats->batches == 1 ? 1.0 : COST_SHARE) * (cost_s - server->frame_cost_s);
}

static void deliver(struct agn_server *server, struct agn__job *job)
{
    struct agn__served *model = job->model;
    double now_s = agn_now_s();
    if (job->outcome != AGN__OUTCOME_EXPIRED)
        agn__histogram_add(&server->live.queue_wait, job->infer_begin_s - job->ready_s);
    if (job->batch > 0)
        count_batch(server, job);
    /* The frame may have begun anew or given way meanwhile: then nobody waits for this. */
    if (!agn__assembly_is_working(model->assembly, job->slot, job->serial))
        return;
    if (job->outcome == AGN__OUTCOME_EXPIRED) {
        drop_expired(server, model, job->slot, now_s);
        return;
    }
    bool ok = job->outcome == AGN__OUTCOME_DONE;
    struct agn__answer answer = {.code = ok ? AGN__CODE_CHANGED : AGN__CODE_INTERNAL,
                                 .bytes = job->reply,
                                 .len = job->reply_bytes,
                                 .is_bare = job->is_compact != 0};
    bool goes_on = agn__assembly_answered(model->assembly, job->slot, job->reply, job->reply_bytes, now_s);
    if (!send_to(server, model, job->slot, &answer, goes_on))
        return;
    server->live.replies += ok;
    server->live.replies_failed += !ok;
    model->stats.replies += ok;
    model->stats.replies_failed += !ok;
    agn__histogram_add(&server->live.latency, now_s - job->began_s);
}

void agn__deliver(struct agn_server *server)
{
    struct agn__job *next;
    for (struct agn__job *job = agn__crew_collect(server->crew); job; job = next) {
        next = job->next;
        deliver(server, job);
        agn__served_job_done(job);
    }
}
