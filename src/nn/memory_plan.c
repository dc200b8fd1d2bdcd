/* Places buffers with known lifetimes in one arena: greedy by size, first fit. */
#include <stdlib.h>

#include "nn/net_internal.h"

enum { ALIGN_BYTES = 64 };

static int by_size_descending(const void *a, const void *b)
{
    const struct agn__buffer *x = *(struct agn__buffer *const *)a, *y = *(struct agn__buffer *const *)b;
    if (x->size_bytes != y->size_bytes)
        return x->size_bytes < y->size_bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

static bool alive_together(const struct agn__buffer *a, const struct agn__buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Lowest offset at which `buffer` meets none of the `placed` buffers that live at its time. */
static size_t first_fit(struct agn__buffer *const *order, int placed, const struct agn__buffer *buffer)
{
    size_t offset = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (int i = 0; i < placed; i++) {
            const struct agn__buffer *other = order[i];
            bool overlaps =
                offset < other->offset + other->size_bytes && other->offset < offset + buffer->size_bytes;
            if (overlaps && alive_together(buffer, other)) {
                offset = other->offset + other->size_bytes;
                moved = true;
            }
        }
    }
    return offset;
}

size_t agn__memory_plan(struct agn__buffer *buffers, int count)
{
    struct agn__buffer **order = agn_alloc((size_t)count + 1, sizeof(struct agn__buffer *));
    size_t total = ALIGN_BYTES;
    if (order == NULL)
        return 0;
    for (int i = 0; i < count; i++) {
        buffers[i].size_bytes = (buffers[i].size_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
        order[i] = &buffers[i];
    }
    qsort(order, (size_t)count, sizeof(order[0]), by_size_descending);
    for (int i = 0; i < count; i++) {
        order[i]->offset = first_fit(order, i, order[i]);
        if (order[i]->offset + order[i]->size_bytes > total)
            total = order[i]->offset + order[i]->size_bytes;
    }
    agn_free(order);
    return total;
}
