/* What a device computes, as text: for scripts/check-device-compilers.sh, which compares the texts of
 * compilers, flags and processors. A line a frame: logits, packets by length and checksum with two caps and a
 * budget, the fused answer. The frames are made here, so that the program needs no input. */
#include "agilenn.h"
#include "agn_pause.h"
#include "agn_rate.h"

#ifndef PROBE_FRAMES
#define PROBE_FRAMES 12
#endif

static struct agn_dev dev;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4];
static uint8_t packet[AGN_WIRE_MAX_PACKET];
static uint8_t row[AGN_MODEL_INPUT_W * AGN_MODEL_INPUT_C];

/* ---- text out: to a UART, to Linux, to stdio ---------------------------------------- */

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

/* ---- frames ------------------------------------------------------------------------- */

static uint32_t noise = 1;

static uint32_t next_noise(void)
{
    noise ^= noise << 13;
    noise ^= noise >> 17;
    noise ^= noise << 5;
    return noise;
}

/* Stripes with noise, which differ from frame to frame. */
static void make_row(uint16_t frame, uint16_t y)
{
    for (uint16_t i = 0; i < sizeof row; i++) {
        uint32_t stripe = ((uint32_t)i * (frame + 2u) + (uint32_t)y * 7u) & 127u;
        row[i] = (uint8_t)(stripe + (next_noise() >> 20 & (frame % 3u == 0 ? 127u : 63u)));
    }
}

static void put_packets(size_t cap)
{
    int length;
    while ((length = agn_dev_next_packet(&dev, packet, cap)) > 0) {
        uint32_t hash = 1; /* a CRC of what ends with its CRC tells nothing */
        for (int i = 0; i < length; i++)
            hash = (hash ^ packet[i]) * UINT32_C(16777619);
        put_hex((uint32_t)length);
        put_hex(hash);
    }
    put_hex((uint32_t)(int32_t)length);
}

/* An answer, as a server writes it. */
static void fuse(uint16_t frame)
{
    int16_t logits[AGN_MODEL_CLASSES];
    struct agn_reply_packet reply = {0, 0, AGN_REPLY_OK, 0, AGN_MODEL_CLASSES, NULL};
    struct agn_dev_prediction prediction;
    for (uint16_t i = 0; i < AGN_MODEL_CLASSES; i++)
        logits[i] = (int16_t)(next_noise() & 0x7FFF);
    reply.model_id = dev.model.model_id;
    reply.frame = frame;
    int length = agn_reply_pack(&reply, logits, packet, sizeof packet);
    put_hex((uint32_t)(int32_t)agn_dev_accept_reply(&dev, packet, (size_t)length));
    agn_dev_predict(&dev, &prediction);
    put_hex((uint32_t)prediction.class_index << 8 | prediction.fused);
    for (uint16_t i = 0; i < AGN_MODEL_CLASSES; i++)
        put_hex((uint16_t)prediction.logits[i]);
}

int main(void)
{
    struct agn_rate rate;
    struct agn_pause pause = {0, 0, 0};
    put_hex(
        (uint32_t)(int32_t)agn_dev_init(&dev, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena));
    put_char('\n');
    agn_rate_init(&rate);
    for (uint16_t frame = 0; frame < PROBE_FRAMES; frame++) {
        agn_dev_set_budget(&dev, AGN_DEV_NO_BUDGET, 40);
        agn_dev_frame_begin(&dev, frame, 200);
        for (uint16_t y = 0; y < AGN_MODEL_INPUT_H; y++) {
            make_row(frame, y);
            agn_dev_push_rows(&dev, row, 1);
        }
        for (uint16_t i = 0; i < AGN_MODEL_CLASSES; i++)
            put_hex((uint16_t)agn_dev_local(&dev)[i]);
        put_hex((uint32_t)agn_dev_margin(&dev));
        put_packets(sizeof packet);
        agn_rate_answered(&rate, agn_dev_bytes_through(&dev), 0, 90u + frame * 10u);
        put_hex(agn_rate_budget(&rate, 100, agn_dev_least_bytes(&dev)));
        agn_pause_refused(&pause, frame, frame * UINT32_C(1000), noise);
        put_hex(pause.length_ms);
        agn_dev_packets_again(&dev);
        put_packets(100);
        agn_dev_packets_again(&dev);
        agn_dev_set_budget(&dev, 300, 40);
        put_packets(sizeof packet);
        fuse(frame);
        put_char('\n');
    }
    stop();
    return 0;
}
