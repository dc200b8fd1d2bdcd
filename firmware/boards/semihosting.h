/* Console and exit of boards under QEMU. */
#ifndef AGN_FIRMWARE_SEMIHOSTING_H
#define AGN_FIRMWARE_SEMIHOSTING_H

#include <stdint.h>

enum semihosting_call { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20 };

static inline uint32_t semihosting(uint32_t call, const void *argument)
{
    register uint32_t r0 __asm__("r0") = call;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

__attribute__((noreturn)) static inline void semihosting_exit(int code)
{
    enum { ADP_STOPPED_APPLICATION_EXIT = 0x20026 };
    uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)code};
    semihosting(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

#endif
