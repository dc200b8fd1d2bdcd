/* Where to cut a network and when to leave at an exit, chosen while it runs: the scheduler of SPINN
 * (Laskaridis, Venieris, Almeida, Leontiadis, Lane 2020, section 4.3), for the device itself.
 *
 * Known beforehand is a profile: of each cut the device's time, the server's and the bytes of a frame, and of
 * each threshold how many frames leave at which exit and how many answers are right. Measured is the link, a
 * line ticks = round + bytes * slope through what exchanges took of late, and how fast this device is.
 *
 *     agn_split_init(&split, &profile);
 *     for each frame:
 *         agn_split_choose(&split, &way);
 *         if (way.cut != agn_dev_cut(&dev)) agn_dev_select_cut(&dev, way.cut);
 *         agn_dev_set_exit(&dev, way.exit);
 *         agn_dev_frame_begin, agn_dev_push_rows
 *         no exit was sure: agn_split_worked(&split, way.cut, ticks of that), packets out, and then
 *         agn_split_answered(&split, way.cut, bytes, ticks) or agn_split_missed(&split, way.cut, bytes,
 * ticks)
 *
 * The choice is the way with the least expected time among those that are as often right as the best one, up
 * to what the profile allows. Now and then a frame goes by the next best cut whose frames have another size,
 * as one size says nothing of a link's speed. Ticks are whatever unit the profile has, as milliseconds / 10.
 * Freestanding, without division of 64 bits. */
#ifndef AGN_SPLIT_H
#define AGN_SPLIT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AGN_SPLIT_MAX_CUTS = 8,
    AGN_SPLIT_PROBE_EVERY = 16, /* frames that are sent */
    AGN_SPLIT_ONE = 32768       /* a share of 1 */
};

/* A frame that is cut there and sent. */
struct agn_split_cut {
    uint32_t bytes;  /* on the air, headers included */
    uint32_t device; /* ticks until it can be sent, all exits before included */
    uint32_t server; /* ticks for its part of the network */
};

/* A threshold. Shares of frames are in 1 / AGN_SPLIT_ONE. */
struct agn_split_rule {
    uint16_t exit;                      /* agn_dev_set_exit's */
    uint16_t left[AGN_SPLIT_MAX_CUTS];  /* at the exit of cut c; 0 where it has none */
    uint16_t right[AGN_SPLIT_MAX_CUTS]; /* answers, where cut c is chosen */
};

struct agn_split_profile {
    uint8_t cuts, rules; /* 1 and up; cuts in the network's order, as in agn_dev_select_cut */
    uint16_t allowed;    /* so much less often right than the best way */
    const struct agn_split_cut *cut;
    const struct agn_split_rule *rule;
};

struct agn_split_way {
    uint8_t cut, rule;
    uint16_t exit;
};

/* Private. */
struct agn_split {
    const struct agn_split_profile *profile;
    uint32_t bytes, ticks; /* means of late */
    uint64_t variance;     /* of bytes */
    int64_t covariance;
    uint32_t slope;  /* ticks for 1024 bytes */
    uint32_t device; /* ticks for 1024 of the profile's */
    uint8_t known;   /* exchanges, up to 2 */
    uint8_t sent;    /* since a frame last went by another cut */
    uint8_t probing; /* the frame at hand is such a one */
};

/* `profile` must stay where it is. Nothing is known of the link at first: the first frames try two cuts. */
void agn_split_init(struct agn_split *split, const struct agn_split_profile *profile);

/* The way of the next frame. */
void agn_split_choose(struct agn_split *split, struct agn_split_way *way);

/* The device took so many ticks until the frame could be sent, as no exit was sure. */
void agn_split_worked(struct agn_split *split, unsigned cut, uint32_t ticks);

/* The answer came so many ticks after the first packet; `bytes` were sent, headers included. */
void agn_split_answered(struct agn_split *split, unsigned cut, uint32_t bytes, uint32_t ticks);

/* None came for so many ticks. Counts as an exchange that took at least as long. */
void agn_split_missed(struct agn_split *split, unsigned cut, uint32_t bytes, uint32_t ticks);

/* Expected ticks of a frame by this cut and rule, on average over frames that leave at exits and frames that
 * are sent; for reports. */
uint32_t agn_split_expected(const struct agn_split *split, unsigned cut, unsigned rule);

#ifdef __cplusplus
}
#endif

#endif
