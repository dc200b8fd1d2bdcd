/* A swarm's report as a list of figures. */
#include "agilenn/swarm.h"

static void add_latency(struct agn_figures *f, const char *const keys[5], const struct agn_swarm_latency *l,
                        const char *meaning)
{
    const double values[] = {l->p50_ms, l->p90_ms, l->p99_ms, l->p999_ms, l->max_ms};
    for (size_t i = 0; i < AGN_COUNT_OF(values); i++)
        agn_figures_add_real(f, keys[i], values[i], "ms", meaning);
}

static void add_count(struct agn_figures *f, const char *key, uint64_t count, const char *meaning)
{
    agn_figures_add_whole(f, key, (double)count, meaning);
}

void agn_swarm_figures(const struct agn_swarm_report *r, struct agn_figures *f)
{
    static const char *const prediction[] = {"p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"};
    static const char *const answer[] = {"answer_ms.p50", "answer_ms.p90", "answer_ms.p99", "answer_ms.p999",
                                         "answer_ms.max"};
    static const char *const send_lag[] = {"send_lag_ms.p50", "send_lag_ms.p90", "send_lag_ms.p99",
                                           "send_lag_ms.p999", "send_lag_ms.max"};
    agn_figures_add_whole(f, "devices", r->devices, "each with a socket of its own");
    agn_figures_add_real(f, "duration_s", r->seconds, "s", "to the last prediction");
    agn_figures_add_real(f, "handshake_s", r->handshake_s, "s", "before the run");
    agn_figures_add_real(f, "offered_fps", r->offered_fps, "/s", "frames");
    agn_figures_add_real(f, "achieved_fps", r->achieved_fps, "/s", "answers");
    add_latency(f, prediction, &r->prediction, "to the prediction, all frames");
    agn_figures_add_share(f, "fallback_rate", r->fallback_rate, "frames with the local prediction");
    agn_figures_add_share(f, "accuracy", r->accuracy, "of the predictions");
    agn_figures_add_share(f, "local_accuracy", r->local_accuracy, "of the Local NN alone");
    agn_figures_add_real(f, "bytes_mean", r->bytes_mean, "bytes", "a frame in UDP");
    add_count(f, "offered", r->offered, "frames");
    add_count(f, "answered", r->answered, "frames with a fused prediction");
    add_count(f, "fallbacks", r->fallbacks, "frames with the local one");
    add_count(f, "lost_predictions", r->lost_predictions, "frames with none");
    add_count(f, "timed_out", r->timed_out, "fallbacks at the deadline");
    add_count(f, "busy", r->busy, "fallbacks that the server asked for, 5.03");
    add_count(f, "rejected", r->rejected, "fallbacks after another error of the server");
    add_count(f, "overslept", r->overslept, "fallbacks that the generator came too late to");
    add_count(f, "paused", r->paused, "fallbacks in a pause that 5.03 asked for");
    add_count(f, "late", r->late, "answers after the deadline");
    add_count(f, "strangers", r->strangers, "datagrams that answer no frame");
    add_count(f, "disowned", r->disowned, "answers that the server has not the model");
    add_count(f, "handshakes", r->handshakes, "DTLS sessions made");
    add_count(f, "packets", r->packets, "sent");
    add_count(f, "packets_lost", r->packets_lost, "of these");
    add_count(f, "bytes", r->bytes, "sent in UDP");
    add_latency(f, answer, &r->answer, "to the prediction, answered frames");
    add_latency(f, send_lag, &r->send_lag, "to the generator's turn");
}
