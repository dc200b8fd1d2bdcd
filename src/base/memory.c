/* Aligned, zeroed memory. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agilenn/base.h"

enum { ALIGNMENT_BYTES = 64, HUGE_PAGE_BYTES = 2 << 20, LARGE_BYTES = 4 * HUGE_PAGE_BYTES };

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* Large pieces begin at a huge page and ask for such pages: a network's tensors span more small ones than a
 * processor keeps the addresses of. Where the system has none, nothing changes. */
static void *allocate(size_t bytes)
{
#ifdef MADV_HUGEPAGE
    if (bytes >= LARGE_BYTES) {
        size_t padded = round_up(bytes, HUGE_PAGE_BYTES);
        void *memory = aligned_alloc(HUGE_PAGE_BYTES, padded);
        if (memory)
            (void)madvise(memory, padded, MADV_HUGEPAGE);
        return memory;
    }
#endif
    return aligned_alloc(ALIGNMENT_BYTES, bytes);
}

void *agn_alloc(size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total) || total > PTRDIFF_MAX - HUGE_PAGE_BYTES) {
        (void)agn_fail(AGN_ERR_MEMORY, "cannot allocate %zu items of %zu bytes: too large", count,
                       size_bytes);
        return NULL;
    }
    /* aligned_alloc wants a multiple of the alignment; nothing at all still gets its own address. */
    size_t padded = round_up(total, ALIGNMENT_BYTES);
    if (padded == 0)
        padded = ALIGNMENT_BYTES;
    void *memory = allocate(padded);
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
