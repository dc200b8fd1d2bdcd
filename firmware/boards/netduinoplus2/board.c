/* Netduino Plus 2 (STM32F405, Cortex-M4F) under QEMU: console and exit by semihosting, counting by a timer.
 *
 * QEMU runs the timers at 1 GHz. With -icount shift=10 an instruction takes 1024 ns, so that a prescaler of
 * 1024 makes one tick an instruction. */
#include "board.h"
#include "semihosting.h"
#include "start.h"

const char board_count_unit[] = "instructions";

struct stm32_timer {
    volatile uint32_t cr1, cr2, smcr, dier, sr, egr, ccmr1, ccmr2, ccer, cnt, psc, arr;
};
#define TIM2        ((struct stm32_timer *)0x40000000U)
#define RCC_APB1ENR (*(volatile uint32_t *)0x40023840U)

void board_start(void)
{
    RCC_APB1ENR |= 1U; /* TIM2 */
    TIM2->psc = 1023;
    TIM2->arr = UINT32_MAX;
    TIM2->egr = 1; /* takes the prescaler over */
    TIM2->cr1 = 1;
}

uint32_t board_count(void)
{
    return TIM2->cnt;
}

void board_print(const char *text)
{
    semihosting(SYS_WRITE0, text);
}

void board_exit(int code)
{
    semihosting_exit(code);
}
