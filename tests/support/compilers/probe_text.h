/* Numbers out, for programs whose text is compared: to a UART, to Linux, to stdio. */
#ifndef PROBE_TEXT_H
#define PROBE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__AVR__)
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

static void put_char(char c)
{
    UCSR0B = 1 << TXEN0;
    UDR0 = (uint8_t)c;
}

static void stop(void)
{
    cli();
    sleep_enable();
    sleep_cpu();
}
#elif defined(PROBE_ARM_LINUX)
/* Without a C library, for none is big-endian. */
static long call(long number, long a, const void *b, long c)
{
    register long r0 __asm__("r0") = a, r2 __asm__("r2") = c, r7 __asm__("r7") = number;
    register const void *r1 __asm__("r1") = b;
    __asm__ volatile("svc 0" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r7) : "memory");
    return r0;
}

static void put_char(char c)
{
    call(4, 1, &c, 1);
}

static void stop(void)
{
    call(1, 0, 0, 0);
}

void *memcpy(void *dst, const void *src, size_t len)
{
    for (volatile uint8_t *to = dst; len > 0; len--)
        *to++ = *(const uint8_t *)src, src = (const uint8_t *)src + 1;
    return dst;
}

void *memset(void *dst, int value, size_t len)
{
    for (volatile uint8_t *to = dst; len > 0; len--)
        *to++ = (uint8_t)value;
    return dst;
}

int main(void);
void _start(void);
void _start(void)
{
    main();
}
#else
#include <stdio.h>

static void put_char(char c)
{
    putchar(c);
}

static void stop(void)
{
}
#endif

static void put_hex(uint32_t number)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        put_char("0123456789abcdef"[number >> shift & 15]);
    put_char(' ');
}

#endif
