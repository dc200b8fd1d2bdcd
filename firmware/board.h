/* What an application may ask of a board. boards/<board>/board.c has it, with start-up code and linker
 * script.
 *
 * Nothing here allocates; nothing waits without a bound. A real board has a watchdog, which each of these
 * functions but the last keeps quiet: a program that calls none of them for 5 seconds is restarted. */
#ifndef AGN_FIRMWARE_BOARD_H
#define AGN_FIRMWARE_BOARD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The application. Called once after start-up with the stack painted, .data copied, .bss cleared and the FPU
 * on; its result is the exit code where a board can end at all. */
int app_main(void);

/* Text for a person or a test; blocks at most as long as the console takes. */
void board_print(const char *text);

/* A free-running counter that wraps at 2^32, and what it counts: "instructions" under an emulator that counts
 * them (never to be called cycles), "cycles" on a processor. */
uint32_t board_count(void);
extern const char board_count_unit[];

/* Milliseconds since start-up; wraps. */
uint32_t board_now_ms(void);

/* The serial line to the modem: takes as many bytes as it can without waiting, gives as many as have come. */
size_t board_uart_write(const uint8_t *bytes, size_t len);
size_t board_uart_read(uint8_t *bytes, size_t cap);

/* Bytes of stack used at most since start-up. */
uint32_t board_stack_used(void);

#ifdef __cplusplus
}
#endif

#endif
