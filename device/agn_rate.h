/* How fast frames get through, measured from what was sent and when it was answered: the bytes that the next
 * frame may have.
 *
 *     agn_rate_init(&rate);
 *     for each frame: agn_dev_frame_begin, agn_dev_push_rows, then
 *         least = agn_dev_least_bytes(&dev);
 *         agn_dev_set_budget(&dev, agn_rate_budget(&rate, half_of_the_deadline, least), 46);
 *         packets out, from tick `begin` on, and when an answer came
 *         agn_rate_answered(&rate, agn_dev_bytes_through(&dev), begin, now);
 *         or when none came within the deadline
 *         agn_rate_missed(&rate, agn_dev_bytes_through(&dev), begin, now);
 *
 * Bytes and time are those of whole exchanges, with modem, server and the way back. So a frame far below its
 * budget counts for less than the link could do; the nearer a frame comes to its time, the truer the figure,
 * and there only does it matter. Ticks are milliseconds, or any unit a board counts in up to a hundred times
 * as fine; the counter may wrap. Freestanding, without division of 64 bits. */
#ifndef AGN_RATE_H
#define AGN_RATE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { AGN_RATE_PROBE_EVERY = 8 };

/* Private. */
struct agn_rate {
    uint32_t speed;  /* bytes in 1024 ticks; 0: nothing known yet */
    uint32_t held;   /* a speed far below it that is not believed yet; 0: none */
    uint8_t misses;  /* frames in a row without an answer */
    uint8_t skipped; /* frames in a row for which there was no budget */
    uint8_t probes;  /* since an answer came; no more are counted once they are as rare as can be */
};

void agn_rate_init(struct agn_rate *rate);

/* So many bytes were sent from tick `begin` on, and answered at tick `end`. One that is slow beyond measure
 * among others is an accident and changes nothing; the second in a row is believed. After misses it is
 * believed at once. */
void agn_rate_answered(struct agn_rate *rate, uint32_t bytes, uint32_t begin, uint32_t end);

/* There was no answer until tick `end`. The first one in a row counts as an accident, each further one lowers
 * the speed: to a quarter, or to what half of the bytes in this time would be, if that is less. */
void agn_rate_missed(struct agn_rate *rate, uint32_t bytes, uint32_t begin, uint32_t end);

/* Bytes that get through within `ticks`: AGN_DEV_NO_BUDGET while nothing is known, 0 where less than
 * `least_bytes` would. Then the second call gives least_bytes all the same, then every fourth, then every
 * AGN_RATE_PROBE_EVERY-th: without a frame now and then nobody would learn that the link is better. To be
 * called once a frame. */
uint32_t agn_rate_budget(struct agn_rate *rate, uint32_t ticks, uint32_t least_bytes);

/* Bytes in 1000 ticks, 0 while nothing is known: for reports. */
uint32_t agn_rate_speed(const struct agn_rate *rate);

#ifdef __cplusplus
}
#endif

#endif
