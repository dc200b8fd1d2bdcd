/* Arm MPS2+ AN500 under QEMU: console and exit by semihosting, counting by a timer.
 *
 * Run with -icount shift=10, each instruction takes 1024 ns of the emulated time, which is 25.6 ticks of the
 * 25 MHz timer: exact counts of instructions, not of cycles. */
#include "board.h"
#include "semihosting.h"
#include "start.h"

const char board_count_unit[] = "instructions";

struct cmsdk_timer {
    volatile uint32_t ctrl, value, reload;
};
#define TIMER0 ((struct cmsdk_timer *)0x40000000U)

void board_start(void)
{
    TIMER0->reload = UINT32_MAX;
    TIMER0->value = UINT32_MAX;
    TIMER0->ctrl = 1;
}

uint32_t board_count(void)
{
    uint64_t ticks = UINT32_MAX - TIMER0->value;
    return (uint32_t)((ticks * 10U + 128U) / 256U);
}

void board_print(const char *text)
{
    semihosting(SYS_WRITE0, text);
}

void board_exit(int code)
{
    semihosting_exit(code);
}
