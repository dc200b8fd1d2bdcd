/* A frame's way to the server and its answer's way back, as datagrams: CoAP, repetitions, pauses that the
 * server asks for, and no more bytes than the link carries. No socket, no clock, no memory of its own:
 *
 *     agn_link_init(&link, &dev, &config, noise);
 *     for each frame: agn_dev_frame_begin, agn_dev_push_rows, then
 *         agn_link_begin(&link, now_ms());
 *         while ((wait_ms = agn_link_wait_ms(&link, now_ms())) > 0) {
 *             while ((len = agn_link_next(&link, now_ms(), datagram, sizeof datagram)) > 0)
 *                 send(datagram, len);
 *             if (a datagram comes within wait_ms)
 *                 agn_link_take(&link, now_ms(), datagram, its length);
 *         }
 *         agn_link_end(&link, now_ms());
 *         agn_dev_predict(&dev, &prediction);
 *
 * `now_ms` may wrap. Datagrams go to UDP port AGN_LINK_PORT of the server (or another, as it was told), and
 * are those of docs/PROTOCOL.md: non-confirmable POST requests to /v1/infer or /i, and what is answered. */
#ifndef AGN_LINK_H
#define AGN_LINK_H

#include "agn_coap.h"
#include "agn_device.h"
#include "agn_pause.h"
#include "agn_rate.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AGN_LINK_PORT = 5683,
    /* The largest datagrams: one that is sent, and one that the server sends (options take less than 64). */
    AGN_LINK_MAX_REQUEST = (int)AGN_COAP_REQUEST_OVERHEAD + (int)AGN_WIRE_MAX_PACKET,
    AGN_LINK_MAX_ANSWER = (int)AGN_WIRE_MAX_REPLY + 64,
    AGN_LINK_MAX_DATAGRAM =
        AGN_LINK_MAX_REQUEST > AGN_LINK_MAX_ANSWER ? AGN_LINK_MAX_REQUEST : AGN_LINK_MAX_ANSWER,
};

struct agn_link_config {
    uint16_t deadline_ms;    /* of a frame; 0: 200 */
    uint16_t datagram_bytes; /* at most, as a radio may need it; 0: AGN_LINK_MAX_REQUEST */
    uint16_t carrier_bytes;  /* around a datagram: 28 for UDP and IPv4, 48 for IPv6; 0: 28 */
    uint8_t repeats;         /* of a frame, at most; AGN_LINK_NO_REPEATS: none; 0: 3 */
    /* Version of the protocol: 1, 2, or AGN_LINK_AUTO: 2 until a server has no such resource, then 1, in the
     * same frame already; 0: as agn_dev_set_protocol has chosen, at first 1. */
    uint8_t protocol;
    /* Q8.8, of version 2 only. Each packet asks for an answer at once, and the next one goes only where the
     * fused answer of those before lacks channels and is ahead of its second best class by less than this. 0:
     * all packets go, one answer comes. */
    uint16_t ask_margin;
};
enum { AGN_LINK_NO_REPEATS = 255, AGN_LINK_AUTO = 255 };

struct agn_link_counts {
    uint32_t frames, fused;    /* begun; answered in time */
    uint32_t datagrams, bytes; /* sent, repeated ones as well */
    uint32_t rounds;           /* frames sent again since no answer came */
    uint32_t paused, busy;     /* frames not sent in a pause; ended by 5.03 */
    uint32_t unfit;            /* frames not sent: nothing of them would have got through in time */
    uint32_t refused;          /* packets that the server took for damaged, or would not have */
    uint32_t late, unusable;   /* answers to earlier frames; datagrams that are no answer of the server's */
    uint32_t asked;            /* packets sent since an answer was not sure enough */
    uint32_t other_version;    /* of the protocol, which the server speaks instead of the device's; 0: no */
};

/* Private but for counts. */
struct agn_link {
    struct agn_dev *dev;
    struct agn_link_config config;
    struct agn_link_counts counts;
    struct agn_rate rate;
    struct agn_pause pause;
    uint32_t begin_ms, last_ms; /* the frame's first packet, and its latest one */
    uint32_t answer_ms;         /* how long an answer may take until the frame is sent again */
    uint32_t noise;
    uint16_t message_id, ack_id;
    uint8_t salt, packet; /* in tokens, so that an earlier run's and packet's answers do not match */
    uint8_t round;
    uint16_t goal; /* packets of the frame that may go now, where it asks for answers at once */
    uint8_t state; /* enum in agn_link.c */
    uint8_t has_ack, is_answered, is_refused;
};

/* `dev` is initialised and stays. `noise` is any number that differs from device to device and start to
 * start. AGN_ERR_RANGE: datagrams too short for a row of symbols; AGN_ERR_UNSUPPORTED: the build has no such
 * version. */
int agn_link_init(struct agn_link *link, struct agn_dev *dev, const struct agn_link_config *config,
                  uint32_t noise);

/* The frame whose last row was pushed is to be sent. 1; or 0 where nothing is sent: in a pause, where the
 * device is sure of its own answer (agn_dev_is_sure), where nothing would get through. */
int agn_link_begin(struct agn_link *link, uint32_t now_ms);

/* The next datagram to send now. Its length; 0: none at the moment; AGN_ERR_SPACE: cap is below the
 * configuration's datagram_bytes; AGN_ERR_STATE: not begun. */
int agn_link_next(struct agn_link *link, uint32_t now_ms, uint8_t *datagram, size_t cap);

/* A datagram came. 1: the frame's answer, or one with more in it, with which agn_dev_predict fuses; 0:
 * something else. */
int agn_link_take(struct agn_link *link, uint32_t now_ms, const uint8_t *datagram, size_t len);

/* How long to wait for a datagram, in ms, before the next call of agn_link_next; 0: the frame is over:
 * answered, refused, or its time is. */
uint32_t agn_link_wait_ms(const struct agn_link *link, uint32_t now_ms);

/* Learns from the frame how much the next one may hold. */
void agn_link_end(struct agn_link *link, uint32_t now_ms);

#ifdef __cplusplus
}
#endif

#endif
