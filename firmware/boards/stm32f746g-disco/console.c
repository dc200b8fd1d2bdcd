/* Text on USART1 (PA9, PB7), which the board's ST-LINK shows as a serial port: 115,200 baud, 8N1.
 *
 * The UART runs from HSI, so that it says something whatever the other clocks do. No byte is waited for
 * longer than a few times its length on the line. */
#include "parts.h"

enum {
    CONSOLE_BAUD = 115200,
    FUNCTION_USART1 = 7,
    POLLS_BYTE = 40000 /* 0.7 ms at 216 MHz; a byte takes 0.09 ms */
};

void console_start(void)
{
    RCC->cr |= RCC_CR_HSION;
    RCC->apb2enr |= RCC_APB2_USART1;
    RCC->dckcfgr2 = (RCC->dckcfgr2 & ~(3U << RCC_DCKCFGR2_USART1)) | RCC_DCKCFGR2_HSI << RCC_DCKCFGR2_USART1;
    pin_set(PORT_A, 9, FUNCTION_USART1, PULL_UP);
    pin_set(PORT_B, 7, FUNCTION_USART1, PULL_UP);
    USART1->cr1 = 0;
    USART1->brr = (HSI_HZ + CONSOLE_BAUD / 2) / CONSOLE_BAUD; /* section 31.5.4, 16 samples a bit: +-0.1 % */
    USART1->cr1 = USART_CR1_UE | USART_CR1_TE;
}

void console_write(const char *text)
{
    for (; *text; text++)
        if (wait_for(&USART1->isr, USART_ISR_TXE, USART_ISR_TXE, POLLS_BYTE))
            USART1->tdr = (uint8_t)*text;
}

void console_flush(void)
{
    wait_for(&USART1->isr, USART_ISR_TC, USART_ISR_TC, 3 * POLLS_BYTE);
}

void console_hex(uint32_t word)
{
    char text[11] = "0x";
    for (unsigned i = 0; i < 8; i++)
        text[2 + i] = "0123456789abcdef"[word >> (28 - 4 * i) & 15U];
    console_write(text);
}

void console_number(uint32_t number)
{
    char text[11] = {0}, *at = text + sizeof text - 1;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    console_write(at);
}
