/* What the files of this board have for one another. board.h is what they are for. */
#ifndef AGN_BOARD_STM32F746G_DISCO_PARTS_H
#define AGN_BOARD_STM32F746G_DISCO_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "stm32f746.h"

/* clock.c */
enum clock_source {
    CLOCK_HSE_PLL, /* 216 MHz from the board's 25 MHz crystal */
    CLOCK_HSI_PLL, /* 216 MHz from the chip's own 16 MHz oscillator, 1 % at 25 degrees */
    CLOCK_HSI,     /* that oscillator itself */
};
enum { HSI_HZ = 16000000, FULL_SPEED_HZ = 216000000 };
struct clock {
    enum clock_source source;
    uint32_t cpu_hz;
    uint32_t timer_hz; /* of TIM2 */
};
/* The best clock that can be had; bounded: 0.5 s where nothing answers. */
struct clock clock_start(void);

/* cache_mpu.c: what may be touched how, with nothing below the stack; then the caches. */
void memory_protect(uint32_t stack_limit);
void caches_enable(void);

/* console.c: text on the ST-LINK's serial port, from HSI, whatever the CPU runs from. */
void console_start(void);
void console_write(const char *text);
void console_hex(uint32_t word); /* 0x and eight digits */
void console_number(uint32_t number);
/* Until the last byte is out, or should be. */
void console_flush(void);

/* modem_uart.c */
struct modem_uart_counts {
    uint32_t overruns; /* in the UART: a byte came before the last was taken */
    uint32_t framing;  /* bytes without a stop bit, or noisy ones */
    uint32_t lapped;   /* times that the ring was full before it was read: its bytes were given up */
    uint32_t restarts; /* of a DMA stream that had stopped by itself */
};
extern struct modem_uart_counts modem_uart_counts;
/* `clock_hz` is the system clock's. */
void modem_uart_start(uint32_t clock_hz);

/* board.c: an alternate function on a pin, or (function < 0) an output. `pull`: 0, PULL_UP or PULL_DOWN. */
enum { PULL_UP = 1, PULL_DOWN = 2 };
void pin_set(enum stm32_port port, unsigned pin, int function, unsigned pull);

#endif
