/* A board that is the host itself, for comparing what programs print. It counts nothing. */
#include "board.h"

#include <stdio.h>

const char board_count_unit[] = "nothing";

uint32_t board_count(void)
{
    return 0;
}

uint32_t board_stack_used(void)
{
    return 0;
}

uint32_t board_now_ms(void)
{
    return 0;
}

size_t board_uart_write(const uint8_t *bytes, size_t len)
{
    (void)bytes;
    return len;
}

size_t board_uart_read(uint8_t *bytes, size_t cap)
{
    (void)bytes;
    (void)cap;
    return 0;
}

void board_print(const char *text)
{
    fputs(text, stderr);
}

int main(void)
{
    return app_main();
}
