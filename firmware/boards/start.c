/* Start-up that all Cortex-M boards share: memory, stack paint, FPU, vectors. */
#include "start.h"

#include <string.h>

#include "board.h"

extern uint32_t board_data_load[], board_data_start[], board_data_end[], board_bss_start[], board_bss_end[];
extern uint32_t board_stack_limit[], board_stack_end[];

enum { PAINT_WORD = 0x5AFE57AC };

/* Coprocessors 10 and 11 on: the FPU, before the first floating-point instruction. */
static void enable_fpu(void)
{
#ifdef __ARM_FP /* a Cortex-M0 has no such register */
    volatile uint32_t *cpacr = (volatile uint32_t *)0xE000ED88U;
    *cpacr |= 0xFU << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
}

/* Below the current frame, which is all that is in use so early. */
static void paint_stack(void)
{
    uint32_t *here = (uint32_t *)__builtin_frame_address(0) - 16;
    for (volatile uint32_t *word = board_stack_limit; word < here; word++)
        *word = (uint32_t)PAINT_WORD;
}

uint32_t board_stack_used(void)
{
    const uint32_t *word = board_stack_limit;
    while (word < board_stack_end && *word == (uint32_t)PAINT_WORD)
        word++;
    return (uint32_t)((const char *)board_stack_end - (const char *)word);
}

void board_reset(void)
{
    enable_fpu();
    for (uint32_t *to = board_data_start, *from = board_data_load; to < board_data_end;)
        *to++ = *from++;
    for (uint32_t *to = board_bss_start; to < board_bss_end;)
        *to++ = 0;
    paint_stack();
    board_start();
    board_exit(app_main());
}

const uint32_t *board_fault_frame;

void board_exception(const uint32_t *frame)
{
    board_fault_frame = frame;
    board_print("unexpected exception\n");
    board_exit(EXIT_EXCEPTION);
}

/* Hands over the stack pointer, at which the hardware has put the registers. */
__attribute__((naked)) static void unexpected(void)
{
    __asm__ volatile("mov r0, sp\n\tldr r1, =board_exception\n\tbx r1");
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {board_stack_end,
             {board_reset, unexpected, unexpected, unexpected, unexpected, unexpected, unexpected, unexpected,
              unexpected, unexpected, unexpected, unexpected, unexpected, unexpected, unexpected}};
