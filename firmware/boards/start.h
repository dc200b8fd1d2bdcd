/* Between start.c and a board's own file. */
#ifndef AGN_FIRMWARE_START_H
#define AGN_FIRMWARE_START_H

#include <stdint.h>

enum { EXIT_EXCEPTION = 125 };

/* In start.c. */
void board_reset(void);
__attribute__((noreturn)) void board_exception(const uint32_t *frame);
/* In an exception: r0 to r3, r12, lr, pc, psr as they were before, if the stack was sound. */
extern const uint32_t *board_fault_frame;

/* In the board's file: clocks and devices; the end, if the board has one. */
void board_start(void);
__attribute__((noreturn)) void board_exit(int code);

#endif
