/* Arm MPS2+ with AN500 (Cortex-M7): 25 MHz, 25.6 ticks an instruction. */
#include "mps.h"

const struct mps_board mps_board = {
    .uart = (struct cmsdk_uart *)0x40004000U,
    .timer = (struct cmsdk_timer *)0x40000000U,
    .clock_khz = 25000,
    .count_factor = 10,
    .count_shift = 8,
};
