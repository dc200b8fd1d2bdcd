/* Arm MPS2+ with AN505 (Cortex-M33), in the secure state, which it starts in, at the secure addresses: 20
 * MHz, 20.48 ticks an instruction. */
#include "mps.h"

const struct mps_board mps_board = {
    .uart = (struct cmsdk_uart *)0x50200000U,
    .timer = (struct cmsdk_timer *)0x50000000U,
    .clock_khz = 20000,
    .count_factor = 25,
    .count_shift = 9,
};
