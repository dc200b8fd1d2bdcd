/* Pooling to a grid and the dense layer behind it, by the rules of agn_device.h. */
#ifndef AGN_POOL_H
#define AGN_POOL_H

#include "agn_layout.h"

/* Rows or columns [first, end) that a cell covers. */
static inline unsigned agn__cell_first(unsigned cell, unsigned side, unsigned grid)
{
    return cell * side / grid;
}

static inline unsigned agn__cell_end(unsigned cell, unsigned side, unsigned grid)
{
    return ((cell + 1) * side + grid - 1) / grid;
}

/* Sums of value + 128, (grid, grid, count), to averages + AGN__POOLED_MAX. */
static inline void agn__pool_averages(uint32_t *pool, unsigned h, unsigned w, unsigned grid, unsigned count)
{
    for (unsigned cell = 0; cell < grid * grid; cell++) {
        unsigned i = cell / grid, j = cell % grid;
        uint32_t n = (uint32_t)(agn__cell_end(i, h, grid) - agn__cell_first(i, h, grid)) *
                     (uint32_t)(agn__cell_end(j, w, grid) - agn__cell_first(j, w, grid));
        for (unsigned c = 0; c < count; c++) {
            uint32_t *sum = &pool[(size_t)cell * count + c];
            *sum = ((*sum << AGN_DEV_POOL_BITS) + n / 2) / n;
        }
    }
}

/* Logits of `inputs` such averages. */
static inline void agn__pool_dense(const uint32_t *pool, size_t inputs, const int8_t *weights,
                                   const uint8_t *channels, unsigned classes, int16_t *logits)
{
    for (unsigned i = 0; i < classes; i++, weights += inputs) {
        struct agn__channel channel = agn__channel_read(channels, i);
        int32_t acc = channel.bias;
        for (size_t input = 0; input < inputs; input++)
            acc += weights[input] * ((int32_t)pool[input] - AGN__POOLED_MAX);
        int32_t logit = agn_requantise(acc, channel.multiplier, channel.shift);
        logits[i] = (int16_t)(logit < INT16_MIN ? INT16_MIN : logit > INT16_MAX ? INT16_MAX : logit);
    }
}

#endif
