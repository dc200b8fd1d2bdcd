/* Arm's MPS2 and MPS3 boards under QEMU: console and exit by semihosting, the modem at a CMSDK UART, counting
 * by a CMSDK timer or, in an SSE-300, by the system counter.
 *
 * Run with -icount shift=10, each instruction takes 1024 ns of the emulated time: the ticks between two reads
 * are exact counts of instructions, not of cycles. */
#include "mps.h"

#include "board.h"
#include "semihosting.h"
#include "start.h"

const char board_count_unit[] = "instructions";

enum { UART_TX_FULL = 1, UART_RX_FULL = 2, UART_TX_ENABLE = 1, UART_RX_ENABLE = 2 };

void board_start(void)
{
    mps_board.uart->bauddiv = 16;
    mps_board.uart->ctrl = UART_TX_ENABLE | UART_RX_ENABLE;
    if (mps_board.timer) {
        mps_board.timer->reload = UINT32_MAX;
        mps_board.timer->value = UINT32_MAX;
        mps_board.timer->ctrl = 1;
    } else {
        mps_board.counter->ctrl = 1;
    }
}

static uint32_t board_ticks(void)
{
    return mps_board.timer ? UINT32_MAX - mps_board.timer->value : mps_board.counter->low;
}

uint32_t board_count(void)
{
    uint64_t half = UINT64_C(1) << (mps_board.count_shift - 1);
    return (uint32_t)(((uint64_t)board_ticks() * mps_board.count_factor + half) >> mps_board.count_shift);
}

uint32_t board_now_ms(void)
{
    /* Counted on beyond the 32 bits, 134 seconds or more, as long as somebody asks in between. */
    static uint32_t last;
    static uint64_t ticks;
    uint32_t now = board_ticks();
    ticks += now - last;
    last = now;
    return (uint32_t)(ticks / mps_board.clock_khz);
}

size_t board_uart_write(const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    while (done < len && !(mps_board.uart->state & UART_TX_FULL))
        mps_board.uart->data = bytes[done++];
    return done;
}

size_t board_uart_read(uint8_t *bytes, size_t cap)
{
    size_t done = 0;
    while (done < cap && (mps_board.uart->state & UART_RX_FULL))
        bytes[done++] = (uint8_t)mps_board.uart->data;
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
