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

struct cmsdk_uart {
    volatile uint32_t data, state, ctrl, interrupt, bauddiv;
};
#define UART0 ((struct cmsdk_uart *)0x40004000U)
enum { UART_TX_FULL = 1, UART_RX_FULL = 2, UART_TX_ENABLE = 1, UART_RX_ENABLE = 2 };

void board_start(void)
{
    UART0->bauddiv = 16;
    UART0->ctrl = UART_TX_ENABLE | UART_RX_ENABLE;
    TIMER0->reload = UINT32_MAX;
    TIMER0->value = UINT32_MAX;
    TIMER0->ctrl = 1;
}

uint32_t board_count(void)
{
    uint64_t ticks = UINT32_MAX - TIMER0->value;
    return (uint32_t)((ticks * 10U + 128U) / 256U);
}

uint32_t board_now_ms(void)
{
    /* The timer's 25 MHz, counted on beyond its 171 seconds as long as somebody asks in between. */
    static uint32_t last;
    static uint64_t ticks;
    uint32_t now = UINT32_MAX - TIMER0->value;
    ticks += now - last;
    last = now;
    return (uint32_t)(ticks / 25000U);
}

size_t board_uart_write(const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    while (done < len && !(UART0->state & UART_TX_FULL))
        UART0->data = bytes[done++];
    return done;
}

size_t board_uart_read(uint8_t *bytes, size_t cap)
{
    size_t done = 0;
    while (done < cap && (UART0->state & UART_RX_FULL))
        bytes[done++] = (uint8_t)UART0->data;
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
