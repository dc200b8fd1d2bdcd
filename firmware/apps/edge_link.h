/* A frame's way to the server and its answer's way back, over a modem that loses things, within a deadline.
 *
 *     edge_link_init(&link, &dev, 1000);
 *     for each frame: agn_dev_frame_begin, agn_dev_push_rows, then
 *         edge_link_exchange(&link);                     // at most deadline_ms
 *         agn_dev_predict(&dev, &prediction);
 *
 * What is known to be lost is sent again at once, what may be lost when no answer comes. Packets are as long
 * as the serial line lets them be, and frames as long as half of the deadline lets them be at the rate of
 * late: docs/MODEM.md. Nothing is sent in a pause that a busy server asked for (agn_pause.h). The board's
 * clock and UART are used; no wait is without a bound. Of the protocol both versions may be built in
 * (agn_parts.h): EDGE_PROTOCOL says which one to speak, 0 for version 2 until a server has no such resource.
 */
#ifndef AGN_FIRMWARE_EDGE_LINK_H
#define AGN_FIRMWARE_EDGE_LINK_H

#include "agn_coap.h"
#include "agn_compact.h"
#include "agn_device.h"
#include "agn_pause.h"
#include "agn_rate.h"
#include "drivers/esp_at.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EDGE_MIN_PACKET = 96,
    EDGE_ANSWER_MS = 60,     /* after the last packet, at least; then the frame is sent again */
    EDGE_CARRIER_BYTES = 28, /* of a datagram on the radio: UDP, IPv4 */
};

struct edge_link_counts {
    uint32_t packets, packets_sent; /* given to the modem, repeated ones as well; taken whole by it */
    uint32_t bytes;                 /* of all these, with CoAP's */
    uint32_t again;                 /* packets given again since the modem had lost track */
    uint32_t rounds;                /* frames sent again since no answer came */
    uint32_t refusals;              /* by the server: packets that came damaged; busy */
    uint32_t replies_damaged, replies_late, replies_other;
    uint32_t frames_unsent; /* not one packet went whole */
    uint32_t frames_unfit;  /* not sent: nothing of them would have got through in time */
    uint32_t frames_busy;   /* ended by 5.03 */
    uint32_t frames_paused; /* not sent: 5.03 had asked for a pause */
};

struct edge_link {
    struct agn_dev *dev;
    struct esp_at modem;
    uint32_t deadline_ms;
    uint16_t cap;       /* of the next frame's packets, as the line is now */
    uint16_t frame_cap; /* of this frame's */
    uint16_t message_id;
    uint16_t packet_bytes; /* of the packet in `request`; 0: none */
    uint8_t is_under_way;  /* it was given to the modem, and what became of it is not known yet */
    uint8_t is_complete;   /* all packets of the frame have gone */
    uint8_t is_stuck;      /* no packets can be made of the frame */
    uint8_t is_answered;
    uint8_t is_begun;      /* a packet of the frame was given to the modem */
    uint8_t is_disturbed;  /* the modem lost track of a packet of it, or the server refused it */
    uint8_t is_over;       /* and asks for a pause */
    uint8_t begins_again;  /* in another version of the protocol, in which no packet has gone yet */
    uint8_t round;         /* of this frame, from 0 */
    uint32_t packets_gone; /* of this frame, with repeated ones */
    uint32_t first_ms;     /* its first packet was given to the modem */
    uint32_t last_gone_ms;
    uint32_t answer_ms; /* how long an answer may take after the last packet */
    struct agn_rate rate;
    struct agn_pause pause; /* asked for by the server */
    uint32_t making;        /* what packets took in this frame, in units of board_count */
    struct edge_link_counts counts;
    uint8_t received[ESP_AT_MAX_DATAGRAM];
    uint8_t request[(size_t)AGN_COAP_REQUEST_OVERHEAD + AGN_WIRE_MAX_PACKET];
};

/* Begins to set up the modem. `dev` is an open device and stays. Errors of esp_at_init. */
int edge_link_init(struct edge_link *link, struct agn_dev *dev, uint32_t deadline_ms);

/* The modem's turn; to be called every few milliseconds outside of edge_link_exchange. */
void edge_link_turn(struct edge_link *link);

/* Sends the frame whose last row has been pushed and waits for the answer. Returns 1 when it came within the
 * deadline, else 0 at the deadline; or, where the server asks for a pause or one is on, as soon as the modem
 * has no packet under way. */
int edge_link_exchange(struct edge_link *link);

#ifdef __cplusplus
}
#endif

#endif
