/* A run's report as a list of figures. */
#include <math.h>

#include "agilenn/run.h"

static const char *const reason_keys[AGN_CLIENT_REASON_COUNT] = {
    [AGN_CLIENT_FUSED] = "reasons.fused",       [AGN_CLIENT_TIMEOUT] = "reasons.timeout",
    [AGN_CLIENT_REFUSED] = "reasons.refused",   [AGN_CLIENT_REJECTED] = "reasons.rejected",
    [AGN_CLIENT_MISMATCH] = "reasons.mismatch", [AGN_CLIENT_VERSION] = "reasons.version",
    [AGN_CLIENT_SKIPPED] = "reasons.skipped",   [AGN_CLIENT_UNSENT] = "reasons.unsent",
    [AGN_CLIENT_SURE] = "reasons.sure",         [AGN_CLIENT_UNTRUSTED] = "reasons.untrusted",
    [AGN_CLIENT_PAUSED] = "reasons.paused",     [AGN_CLIENT_ALONE] = "reasons.alone"};

static const char *const cut_keys[AGN_SPLIT_MAX_CUTS] = {"cuts.0", "cuts.1", "cuts.2", "cuts.3",
                                                         "cuts.4", "cuts.5", "cuts.6", "cuts.7"};

static void add_ms(struct agn_figures *f, const char *const keys[5], const struct agn_run_spread *s,
                   const char *meaning)
{
    const double values[] = {s->min, s->median, s->p99, s->max};
    if (!isfinite(s->median)) {
        agn_figures_add_real(f, keys[0], NAN, "", meaning);
        return;
    }
    for (size_t i = 0; i < AGN_COUNT_OF(values); i++)
        agn_figures_add_real(f, keys[1 + i], values[i], "ms", meaning);
}

void agn_run_figures(const struct agn_run_report *r, struct agn_figures *f)
{
    static const char *const device_ms[] = {"host_device_ms", "host_device_ms.min", "host_device_ms.median",
                                            "host_device_ms.p99", "host_device_ms.max"};
    static const char *const network_ms[] = {"network_ms", "network_ms.min", "network_ms.median",
                                             "network_ms.p99", "network_ms.max"};
    double images = r->images;
    agn_figures_add_whole(f, "images", images, "classified");
    agn_figures_add_whole(f, "predictions_lost", r->images - r->predictions, "frames without one");
    agn_figures_add_share(f, "accuracy", r->correct / images, "fused where an answer came in time");
    agn_figures_add_share(f, "local_accuracy", r->no_local ? (double)NAN : r->local_correct / images,
                          "of the Local NN alone");
    agn_figures_add_whole(f, "fused", r->fused, "frames with an answer in time");
    for (int i = 0; i < AGN_CLIENT_REASON_COUNT; i++)
        agn_figures_add_whole(f, reason_keys[i], r->reasons[i],
                              agn_client_reason_text((enum agn_client_reason)i));
    agn_figures_add_whole(f, "protocol", r->protocol, "version, of the latest frame");
    agn_figures_add_real(f, "packets_mean", r->packets_mean, "", "packets a frame");
    agn_figures_add_real(f, "payload_bytes_mean", r->payload_bytes_mean, "bytes",
                         "a frame, symbols and packet headers");
    agn_figures_add_real(f, "datagram_bytes_mean", r->datagram_bytes_mean, "bytes",
                         "a frame, as UDP carries it");
    agn_figures_add_real(f, "coded_bytes_mean", r->coded_bytes_mean, "bytes", "a frame, coded symbols alone");
    agn_figures_add_real(f, "raw_bytes", r->raw_bytes, "bytes", "a frame, symbols at 3 bits each");
    agn_figures_add_real(f, "reply_bytes_mean", r->reply_bytes_mean, "bytes", "of an answer");
    add_ms(f, device_ms, &r->device_ms, "extractor and Local NN, on this host");
    add_ms(f, network_ms, &r->network_ms, "first packet to answer");
    agn_figures_add_real(f, "latency_ms", r->latency_ms, "ms",
                         "mean of all frames: device (as slow as --slower says) and network");
    for (int i = 0; i < r->cuts && r->cuts > 1; i++)
        agn_figures_add_whole(f, cut_keys[i], r->by_cut[i], "frames cut there");
    agn_figures_add_real(f, "measured_kbps", r->rate_kbps, "kbit/s",
                         "as measured last, the server's time included");
    agn_figures_add_real(f, "seconds", r->seconds, "s", "the whole run");
    agn_figures_add_whole(f, "late_answers", r->late, "after the deadline");
    agn_figures_add_real(f, "row_instructions", r->row_instructions, "",
                         "a frame on a Cortex-M7 under QEMU: extractor and Local NN");
    agn_figures_add_real(f, "packet_instructions", r->packet_instructions, "",
                         "the same: making all packets");
    agn_figures_add_real(f, "late_ms", r->late_ms, "ms", "median of these, after the first packet");
}
