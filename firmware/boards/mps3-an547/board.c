/* Arm MPS3 with AN547 (Cortex-M55 in an SSE-300), in the secure state, which it starts in, at the secure
 * addresses: 32 MHz, 32.768 ticks an instruction. */
#include "mps.h"

const struct mps_board mps_board = {
    .uart = (struct cmsdk_uart *)0x59303000U,
    .counter = (struct sse_counter *)0x58100000U,
    .clock_khz = 32000,
    .count_factor = 125,
    .count_shift = 12,
};
