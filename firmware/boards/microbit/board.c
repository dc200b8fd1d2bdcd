/* BBC micro:bit (nRF51822, Cortex-M0) under QEMU: console and exit by semihosting, counting by a timer.
 *
 * With -icount shift=10 an instruction takes 1024 ns, 16.384 ticks of the 16 MHz timer. */
#include "board.h"
#include "semihosting.h"
#include "start.h"

const char board_count_unit[] = "instructions";

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define TIMER0_START     REGISTER(0x40008000U)
#define TIMER0_CAPTURE   REGISTER(0x40008040U)
#define TIMER0_BITMODE   REGISTER(0x40008508U)
#define TIMER0_PRESCALER REGISTER(0x40008510U)
#define TIMER0_CAPTURED  REGISTER(0x40008540U)
enum { TIMER_32_BITS = 3 };

#define UART_START_RX REGISTER(0x40002000U)
#define UART_START_TX REGISTER(0x40002008U)
#define UART_RX_READY REGISTER(0x40002108U)
#define UART_TX_READY REGISTER(0x4000211CU)
#define UART_ENABLE   REGISTER(0x40002500U)
#define UART_RXD      REGISTER(0x40002518U)
#define UART_TXD      REGISTER(0x4000251CU)
enum { UART_ENABLED = 4 };

/* A byte is on its way; TX_READY tells when it is gone. */
static int sending;

void board_start(void)
{
    UART_ENABLE = UART_ENABLED;
    UART_START_RX = 1;
    UART_START_TX = 1;
    TIMER0_BITMODE = TIMER_32_BITS;
    TIMER0_PRESCALER = 0;
    TIMER0_START = 1;
}

static uint32_t board_ticks(void)
{
    TIMER0_CAPTURE = 1;
    return TIMER0_CAPTURED;
}

uint32_t board_count(void)
{
    return (uint32_t)(((uint64_t)board_ticks() * 125U + 1024U) >> 11);
}

uint32_t board_now_ms(void)
{
    /* Counted on beyond the 32 bits, 268 seconds, as long as somebody asks in between. */
    static uint32_t last;
    static uint64_t ticks;
    uint32_t now = board_ticks();
    ticks += now - last;
    last = now;
    return (uint32_t)(ticks / 16000U);
}

size_t board_uart_write(const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    while (done < len && (!sending || UART_TX_READY)) {
        UART_TX_READY = 0;
        sending = 1;
        UART_TXD = bytes[done++];
    }
    return done;
}

size_t board_uart_read(uint8_t *bytes, size_t cap)
{
    size_t done = 0;
    while (done < cap && UART_RX_READY) {
        UART_RX_READY = 0;
        bytes[done++] = (uint8_t)UART_RXD;
    }
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
