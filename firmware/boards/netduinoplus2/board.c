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

struct stm32_usart {
    volatile uint32_t sr, dr, brr, cr1, cr2, cr3, gtpr;
};
#define USART1 ((struct stm32_usart *)0x40011000U)
enum { USART_RXNE = 1 << 5, USART_TXE = 1 << 7, USART_RE = 1 << 2, USART_TE = 1 << 3, USART_UE = 1 << 13 };
#define RCC_APB2ENR (*(volatile uint32_t *)0x40023844U)

void board_start(void)
{
    RCC_APB2ENR |= 1U << 4; /* USART1 */
    USART1->cr1 = USART_UE | USART_RE | USART_TE;
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

/* Without -icount: the timer's prescaled 976,562.5 Hz of the host's time. */
uint32_t board_now_ms(void)
{
    static uint32_t last;
    static uint64_t ticks;
    uint32_t now = TIM2->cnt;
    ticks += now - last;
    last = now;
    return (uint32_t)(ticks * 1024U / 1000000U);
}

size_t board_uart_write(const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    while (done < len && (USART1->sr & USART_TXE))
        USART1->dr = bytes[done++];
    return done;
}

size_t board_uart_read(uint8_t *bytes, size_t cap)
{
    size_t done = 0;
    while (done < cap && (USART1->sr & USART_RXNE))
        bytes[done++] = (uint8_t)USART1->dr;
    return done;
}

void board_print(const char *text)
{
    semihosting(SYS_WRITE0, text);
}

void board_exit(int code)
{
    semihosting_exit(code);
}
