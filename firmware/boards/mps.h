/* What Arm's MPS2 and MPS3 boards, as QEMU emulates them, have in common (mps.c), and where they differ: each
 * board's file is a struct of these. */
#ifndef AGN_FIRMWARE_MPS_H
#define AGN_FIRMWARE_MPS_H

#include <stdint.h>

struct cmsdk_uart {
    volatile uint32_t data, state, ctrl, interrupt, bauddiv;
};
struct cmsdk_timer { /* counts down */
    volatile uint32_t ctrl, value, reload, interrupt;
};
struct sse_counter { /* counts up */
    volatile uint32_t ctrl, state, low, high;
};

struct mps_board {
    struct cmsdk_uart *uart;
    struct cmsdk_timer *timer;   /* NULL: */
    struct sse_counter *counter; /* instead of it */
    uint32_t clock_khz;          /* of timer or counter */
    /* Instructions = ticks * count_factor / 2^count_shift, where one takes 1024 ns (-icount shift=10). */
    uint32_t count_factor, count_shift;
};

/* In the board's file. */
extern const struct mps_board mps_board;

#endif
