/* A weak device emulated on a host: the very device library plus a UDP socket.
 *
 *     agn_client_create(&client, &config);
 *     agn_client_frame(client, image, &result);   // once for each image
 *     agn_client_free(client);
 *
 * Every frame gives a prediction: fused when the server's answer comes in time, the local
 * one otherwise; a model without a Local NN has none then. Whatever the network or the server does is a
 * reason in the result, never an error. A silent server costs the deadline for a few frames only, see
 * `dead_after`; one that answers 5.03 gets no more packets for as long as it asks, and a random part more
 * (agn_pause.h). Not thread-safe; independent clients may run in threads of their own, also beside a server
 * of the same process. */
#ifndef AGILENN_CLIENT_H
#define AGILENN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agn_device.h"
#include "agn_split.h"

struct agn_client;

/* A value of 0 or NULL asks for the default in brackets. */
struct agn_client_config {
    const char *host;     /* IP address or name ["127.0.0.1"] */
    uint16_t port;        /* UDP; required */
    uint32_t deadline_ms; /* wait for an answer after the first packet is sent [200], at most 60000 */
    const void *model;    /* model.agn; copied */
    size_t model_bytes;

    /* DTLS with a key of this file (agilenn/keys.h) [plain CoAP]. The handshake takes its time out of the
     * first frames' deadlines; a frame without a session yet gets its local prediction. */
    const char *psk_file;
    const char *psk_identity; /* which of its keys, as the file writes it [the only one] */

    /* After `dead_after` frames in a row without any answer [3] the server counts as dead: only every
     * `probe_every`-th frame [10] is sent and waited for, the others go local at once. Any answer
     * ends that. dead_after < 0: always send. */
    int dead_after, probe_every;

    /* So often a frame's packets are sent again while no answer has come, at equal distances over two thirds
     * of the deadline or less: for ways that lose. The server knows repeated packets, and answers them again
     * [0]. */
    int repeats;

    /* Limits of what a frame's packets take, headers of CoAP, DTLS, UDP and IPv4 included; the smaller one
     * holds. The most important channels go first, and the server waits for no more. */
    uint32_t budget_bytes;   /* [no limit] */
    uint32_t bandwidth_kbps; /* of the way to the server, kbit/s: what it carries in half of the deadline,
                                which is how long the server waits [no limit] */
    bool measure_bandwidth;  /* the same with what answers so far say of the way there and back (agn_rate.h);
                                in less than half of the deadline where there are repeats */

    /* Of a model with several cuts and exits: the cut that is so many before the usual one [the usual one],
     * and the softmax from which on exits are sure, in 2^-15 [the model's]. Or, in place of both, `split`
     * chooses them for each frame (agn_split.h), with ticks of AGN_CLIENT_TICKS_PER_S; it must stay.
     * `slower`: the device counts as so many times slower than this machine then [1]. */
    int earlier;
    uint16_t exit;
    const struct agn_split_profile *split;
    double slower;

    /* Version of the protocol (docs/PROTOCOL.md): 1, 2, or AGN_CLIENT_AUTO: 2 until the server answers that
     * it has no such resource, then 1, in the same frame already [1]. */
    int protocol;

    /* For tests: this many packets of 1000 are lost on the way out, chosen by `drop_seed`. */
    uint32_t drop_permille;
    uint64_t drop_seed;
};

enum { AGN_CLIENT_TICKS_PER_S = 100000, AGN_CLIENT_AUTO = -1 };

/* How a frame came to its prediction. X(name, text) */
#define AGN_CLIENT_REASON_TABLE(X)                                                                           \
    X(AGN_CLIENT_FUSED, "fused")                                                                             \
    X(AGN_CLIENT_TIMEOUT, "no answer within the deadline")                                                   \
    X(AGN_CLIENT_REFUSED, "nobody listens at that address, or no route to it")                               \
    X(AGN_CLIENT_REJECTED, "rejected by the server")                                                         \
    X(AGN_CLIENT_MISMATCH, "the server holds another model")                                                 \
    X(AGN_CLIENT_VERSION, "the server speaks another version of the protocol, or is no AgileNN server")      \
    X(AGN_CLIENT_UNTRUSTED, "the server does not take this device's identity and key")                       \
    X(AGN_CLIENT_SKIPPED, "not sent: the server counts as dead")                                             \
    X(AGN_CLIENT_UNSENT, "the device could not make packets of the frame, or not within its budget")         \
    X(AGN_CLIENT_SURE, "not sent: the device is sure of its own prediction")                                 \
    X(AGN_CLIENT_PAUSED, "not sent: the server was busy and asked for a pause")                              \
    X(AGN_CLIENT_ALONE, "not sent: the device answers alone")

enum agn_client_reason {
#define AGN_CLIENT_REASON_ENUM(name, text) name,
    AGN_CLIENT_REASON_TABLE(AGN_CLIENT_REASON_ENUM)
#undef AGN_CLIENT_REASON_ENUM
        AGN_CLIENT_REASON_COUNT
};

/* English text of a reason; never NULL. */
const char *agn_client_reason_text(enum agn_client_reason reason);

struct agn_client_result {
    int class_index; /* the prediction; -1: none, for want of an answer and a Local NN */
    int local_class; /* what the Local NN alone says; -1: there is none */
    bool fused;      /* reason == AGN_CLIENT_FUSED */
    enum agn_client_reason reason;
    int reply_status;   /* enum agn_reply_status of the last answer to this frame; -1: none came */
    int server_version; /* with AGN_CLIENT_VERSION: of the protocol; 0: it has no resource for the device's */
    int channels_missing;                 /* as told by the server; 0 if not fused */
    unsigned cut;                         /* agn_dev_cut */
    int protocol;                         /* version that the frame was sent with, or would have been */
    const int16_t *logits, *local_logits; /* classes x Q8.8, valid until the next frame */

    int packets;           /* made by the device; 0 when skipped or sure */
    int packets_dropped;   /* of these, lost by drop_permille or refused by the system */
    size_t payload_bytes;  /* CoAP payloads: headers and coded symbols */
    size_t datagram_bytes; /* UDP payloads: CoAP header, token, options and payload */
    size_t raw_bytes;      /* symbols at 3 bits each, without headers (also when skipped) */
    size_t coded_bytes;    /* symbols as coded, without headers; 0 when skipped */
    size_t reply_bytes;    /* CoAP payload of the accepted answer */

    double rate_kbps; /* of late, as measured with this frame: what gets through, in kbit/s, headers and the
                         server's time included; 0: not measured, or nothing known */
    double late_s;   /* heard with this frame: an answer to an earlier one after its deadline, that long after
                        that one's first packet (or less, when nobody listened meanwhile); 0: none */
    double device_s; /* extractor, Local NN, encoder and fusion */
    double network_s; /* from the first packet to the answer, or to giving up; coding the later packets
                         falls into this time too and counts in both */
};

/* Checks the model and resolves the host; sends nothing. AGN_ERR_ARG: a bad configuration;
 * AGN_ERR_NOT_FOUND: unknown host; AGN_ERR_IO: no socket; errors of agn_dev_model_open and agn_keys_load. */
int agn_client_create(struct agn_client **client, const struct agn_client_config *config);

/* The opened model: input shape, classes, codec. Valid as long as the client. */
const struct agn_dev_model *agn_client_model(const struct agn_client *client);

/* Classifies one image, input_h x input_w x input_c bytes (HWC). Returns 0 and fills `result`; a
 * negative code only for a caller's mistake (AGN_ERR_ARG). An interrupt (agn_interrupt_request) ends the wait
 * for the server as the deadline does. */
int agn_client_frame(struct agn_client *client, const uint8_t *image_hwc, struct agn_client_result *result);

/* NULL is allowed. */
void agn_client_free(struct agn_client *client);

#endif
