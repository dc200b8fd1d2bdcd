/* Monotonic time and the request to stop. */
#define _POSIX_C_SOURCE 200809L
#include <stdatomic.h>
#include <time.h>

#include "agilenn/base.h"

#if ATOMIC_INT_LOCK_FREE != 2
#error "agn_interrupt_request must be async-signal-safe: it needs a lock-free atomic int"
#endif

static atomic_int interrupt_flag;

double agn_now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void agn_interrupt_request(void)
{
    atomic_store(&interrupt_flag, 1);
}

bool agn_interrupt_requested(void)
{
    return atomic_load_explicit(&interrupt_flag, memory_order_relaxed) != 0;
}

void agn_interrupt_clear(void)
{
    atomic_store(&interrupt_flag, 0);
}
