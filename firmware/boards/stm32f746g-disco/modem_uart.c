/* The serial line to the modem, 921,600 baud, 8N1: DMA fills a ring with what comes and empties one of what
 * goes. Without interrupts: the rings move on whenever the application reads or writes, which it does all the
 * time.
 *
 *   MODEM_PORT=usart6   D1 (PC6, out), D0 (PC7, in); the board has other uses for this UART's RTS and CTS
 *   MODEM_PORT=uart7    A4 (PF7, out), A5 (PF6, in), A3 (PF8, RTS), A2 (PF9, CTS): with flow control
 *
 * Nothing here can get stuck: errors are cleared and counted, a stream that stopped is started again, and a
 * modem that holds CTS back leaves the ring full, so that board_uart_write takes nothing and its caller's
 * time-out comes. */
#include "board.h"
#include "parts.h"

enum { MODEM_BAUD = 921600, FUNCTION_UART = 8, BITS_A_BYTE = 10, POLLS_STREAM = 40000 };
/* Together SRAM2's 16 KB, which the MPU keeps out of the cache. What comes at full speed fills the first in
 * 133 ms. */
enum { IN_BYTES = 12288, OUT_BYTES = 4096, LAP_MS = IN_BYTES * BITS_A_BYTE * 1000LL / MODEM_BAUD };

#ifdef AGN_BOARD_SIMULATED
#define IN_DMA_MEMORY
#else
#define IN_DMA_MEMORY __attribute__((section(".dma"), aligned(32)))
#endif
static uint8_t modem_in[IN_BYTES] IN_DMA_MEMORY;
static uint8_t modem_out[OUT_BYTES] IN_DMA_MEMORY;

/* RM0385 section 8.3.3, tables 24 and 25: which stream and channel serve which UART. All on channel 5. */
enum { DMA_CHANNEL = 5 };
#ifdef BOARD_MODEM_UART7
#define MODEM_UART UART7
#define MODEM_DMA  DMA1
enum { STREAM_IN = 3, STREAM_OUT = 1, MODEM_FLOW_CONTROL = 1 };
#else
#define MODEM_UART USART6
#define MODEM_DMA  DMA2
enum { STREAM_IN = 1, STREAM_OUT = 6, MODEM_FLOW_CONTROL = 0 };
#endif

struct modem_uart_counts modem_uart_counts;
/* Of the ring of what comes: bytes that came and bytes read since the start, modulo 2^32, and where the next
 * stands. */
static uint32_t in_laps, in_read, in_at, in_looked_ms;
/* Of the ring of what goes: where the next byte is put, the first that has not left, and what DMA has in
 * hand. */
static uint32_t out_put, out_first, out_in_hand;

static unsigned flags_shift(unsigned stream)
{
    static const uint8_t shift[4] = {0, 6, 16, 22}; /* section 8.5.1 */
    return shift[stream % 4];
}

static uint32_t stream_flags(unsigned stream)
{
    return MODEM_DMA->isr[stream / 4] >> flags_shift(stream) & DMA_FLAG_ALL;
}

static void clear_flags(unsigned stream, uint32_t flags)
{
    MODEM_DMA->ifcr[stream / 4] = flags << flags_shift(stream);
}

/* Section 8.3.18: off, and off indeed; addresses; on. */
static void start_stream(unsigned number, volatile uint32_t *device, uint8_t *memory, uint32_t bytes,
                         uint32_t settings)
{
    struct stm32_dma_stream *stream = &MODEM_DMA->stream[number];
    stream->cr = 0;
    wait_for(&stream->cr, DMA_CR_EN, 0, POLLS_STREAM);
    clear_flags(number, DMA_FLAG_ALL);
    stream->par = (uint32_t)(uintptr_t)device;
    stream->m0ar = (uint32_t)(uintptr_t)memory;
    stream->ndtr = bytes;
    stream->fcr = 0; /* byte by byte, without the FIFO: nothing lingers in it */
    memory_barrier();
    stream->cr = DMA_CR_CHANNEL(DMA_CHANNEL) | DMA_CR_MINC | settings | DMA_CR_EN;
}

static void start_reception(void)
{
    in_laps = in_read = in_at = 0;
    in_looked_ms = board_now_ms();
    start_stream(STREAM_IN, &MODEM_UART->rdr, modem_in, IN_BYTES, DMA_CR_CIRC | DMA_CR_HIGH);
}

static void set_pins(void)
{
#ifdef BOARD_MODEM_UART7
    RCC->apb1enr |= RCC_APB1_UART7;
    RCC->ahb1enr |= RCC_AHB1_DMA1;
    RCC->dckcfgr2 = (RCC->dckcfgr2 & ~(3U << RCC_DCKCFGR2_UART7)) | RCC_DCKCFGR2_SYSCLK << RCC_DCKCFGR2_UART7;
    pin_set(PORT_F, 7, FUNCTION_UART, PULL_UP);
    pin_set(PORT_F, 6, FUNCTION_UART, PULL_UP);
    pin_set(PORT_F, 8, FUNCTION_UART, 0);
    pin_set(PORT_F, 9, FUNCTION_UART, PULL_DOWN); /* a CTS that is not wired lets bytes go */
#else
    RCC->apb2enr |= RCC_APB2_USART6;
    RCC->ahb1enr |= RCC_AHB1_DMA2;
    RCC->dckcfgr2 = (RCC->dckcfgr2 & ~(3U << RCC_DCKCFGR2_USART6)) | RCC_DCKCFGR2_SYSCLK
                                                                         << RCC_DCKCFGR2_USART6;
    pin_set(PORT_C, 6, FUNCTION_UART, PULL_UP);
    pin_set(PORT_C, 7, FUNCTION_UART, PULL_UP); /* no modem: an idle line, not noise */
#endif
    memory_barrier();
}

void modem_uart_start(uint32_t clock_hz)
{
    set_pins();
    MODEM_UART->cr1 = 0;
    MODEM_UART->brr = (clock_hz + MODEM_BAUD / 2) / MODEM_BAUD; /* section 31.5.4: +0.16 % at 216 MHz */
    MODEM_UART->cr2 = 0;
    /* DMA goes on after a bad byte, which it does not fetch (DDRE = 0). */
    MODEM_UART->cr3 =
        USART_CR3_DMAR | USART_CR3_DMAT | (MODEM_FLOW_CONTROL ? USART_CR3_RTSE | USART_CR3_CTSE : 0U);
    MODEM_UART->icr = USART_ICR_ERRORS;
    out_put = out_first = out_in_hand = 0;
    start_reception();
    MODEM_UART->cr1 = USART_CR1_UE | USART_CR1_RE | USART_CR1_TE;
}

/* What DMA has sent is free; what waits is handed to it, up to the ring's end. */
static void move_output(void)
{
    const struct stm32_dma_stream *stream = &MODEM_DMA->stream[STREAM_OUT];
    if (out_in_hand > 0) {
        if (stream->cr & DMA_CR_EN)
            return;
        /* An error stops the stream early: what was left of its bytes is lost as on a bad line. */
        modem_uart_counts.restarts += (stream_flags(STREAM_OUT) & DMA_FLAG_TE) != 0;
        out_first = (out_first + out_in_hand) % OUT_BYTES;
        out_in_hand = 0;
    }
    if (out_put == out_first)
        return;
    out_in_hand = (out_put > out_first ? out_put : OUT_BYTES) - out_first;
    start_stream(STREAM_OUT, &MODEM_UART->tdr, modem_out + out_first, out_in_hand, DMA_CR_TO_DEVICE);
}

size_t board_uart_write(const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    move_output();
    for (; done < len && (out_put + 1) % OUT_BYTES != out_first; done++) {
        modem_out[out_put] = bytes[done];
        out_put = (out_put + 1) % OUT_BYTES;
    }
    move_output();
    return done;
}

static void clear_errors(void)
{
    uint32_t state = MODEM_UART->isr;
    if (!(state & (USART_ISR_ORE | USART_ISR_FE | USART_ISR_NF)))
        return;
    modem_uart_counts.overruns += (state & USART_ISR_ORE) != 0;
    modem_uart_counts.framing += (state & (USART_ISR_FE | USART_ISR_NF)) != 0;
    MODEM_UART->icr = USART_ICR_ERRORS;
}

/* Bytes in the ring that have not been read. DMA says where it writes and, once, that it went over the end
 * since it was asked last. Where it may have done so twice, and where it has caught up, nobody knows what is
 * there: all is given up, as bytes lost on the line are. */
static uint32_t bytes_waiting(void)
{
    uint32_t now = board_now_ms(), lapped, at;
    unsigned tries = 2;
    do { /* again where it goes over the end in between */
        lapped = stream_flags(STREAM_IN) & DMA_FLAG_TC;
        at = (IN_BYTES - MODEM_DMA->stream[STREAM_IN].ndtr) % IN_BYTES;
    } while (lapped != (stream_flags(STREAM_IN) & DMA_FLAG_TC) && --tries > 0);
    if (lapped) {
        clear_flags(STREAM_IN, DMA_FLAG_TC);
        in_laps++;
    }
    uint32_t waiting = in_laps * (uint32_t)IN_BYTES + at - in_read;
    int unknown = waiting >= (uint32_t)IN_BYTES || (lapped && now - in_looked_ms >= (uint32_t)LAP_MS);
    in_looked_ms = now;
    if (!unknown)
        return waiting;
    modem_uart_counts.lapped++;
    in_read += waiting;
    in_at = at;
    return 0;
}

size_t board_uart_read(uint8_t *bytes, size_t cap)
{
    move_output();
    clear_errors();
    if (!(MODEM_DMA->stream[STREAM_IN].cr & DMA_CR_EN)) {
        modem_uart_counts.restarts++;
        start_reception();
        return 0;
    }
    uint32_t waiting = bytes_waiting();
    size_t len = waiting < cap ? waiting : cap;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = modem_in[in_at];
        in_at = in_at + 1 < (uint32_t)IN_BYTES ? in_at + 1 : 0;
    }
    in_read += (uint32_t)len;
    return len;
}
