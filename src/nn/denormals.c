/* Numbers below 1.2e-38 cost a processor a hundred times what others cost, and vanishing gradients are full
 * of them. Passes of a net treat them as 0, in every thread that works on them. */
#include <omp.h>

#include "nn/net_internal.h"

#if defined(__x86_64__)

#include <xmmintrin.h>

enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 }; /* bits of MXCSR */

static uint64_t read_mode(void)
{
    return _mm_getcsr();
}

static void write_mode(uint64_t mode)
{
    _mm_setcsr((unsigned)mode);
}

static uint64_t flushing(uint64_t mode)
{
    return mode | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO;
}

#elif defined(__aarch64__)

static uint64_t read_mode(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

static void write_mode(uint64_t mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}

static uint64_t flushing(uint64_t mode)
{
    return mode | (UINT64_C(1) << 24); /* FZ */
}

#else

static uint64_t read_mode(void)
{
    return 0;
}

static void write_mode(uint64_t mode)
{
    (void)mode;
}

static uint64_t flushing(uint64_t mode)
{
    return mode;
}

#endif

uint64_t agn__denormals_mode(void)
{
    return read_mode();
}

uint64_t agn__denormals_flush(void)
{
    uint64_t mode = read_mode();
#pragma omp parallel
    write_mode(flushing(read_mode()));
    return mode;
}

void agn__denormals_restore(uint64_t mode)
{
    write_mode(mode);
}
