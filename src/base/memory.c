/* Aligned, zeroed memory. */
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"

enum { ALIGNMENT_BYTES = 64 };

void *agn_alloc(size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total) || total > PTRDIFF_MAX - ALIGNMENT_BYTES) {
        (void)agn_fail(AGN_ERR_MEMORY, "cannot allocate %zu items of %zu bytes: too large", count,
                       size_bytes);
        return NULL;
    }
    /* aligned_alloc wants a multiple of the alignment; nothing at all still gets its own address. */
    size_t padded = (total + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    if (padded == 0)
        padded = ALIGNMENT_BYTES;
    void *memory = aligned_alloc(ALIGNMENT_BYTES, padded);
    if (!memory) {
        (void)agn_fail(AGN_ERR_MEMORY, "cannot allocate %zu bytes: out of memory", total);
        return NULL;
    }
    return memset(memory, 0, padded);
}

void agn_free(void *pointer)
{
    free(pointer);
}
