/* The Local NN: sums of the local channels over the cells of a grid while rows come, then averages and a
 * dense layer. */
#include "agn_device_internal.h"

void agn__local_begin(struct agn_dev *dev)
{
    memset(dev->pool, 0, (size_t)AGN_DEV_POOL_BYTES(dev->model.grid, dev->model.local_c));
}

static unsigned cell_first(unsigned cell, unsigned side, unsigned grid)
{
    return cell * side / grid;
}

static unsigned cell_end(unsigned cell, unsigned side, unsigned grid)
{
    return ((cell + 1) * side + grid - 1) / grid;
}

/* Adds the row's local channels to the cells that cover it. Sums are of value + 128, so that they are
 * unsigned; at most 255 * 255 * 255. */
void agn__local_row(struct agn_dev *dev, unsigned y)
{
    const struct agn_dev_model *model = &dev->model;
    unsigned grid = model->grid, k = model->local_c;
    for (unsigned i = 0; i < grid; i++) {
        if (y < cell_first(i, model->map_h, grid) || y >= cell_end(i, model->map_h, grid))
            continue;
        for (unsigned j = 0; j < grid; j++) {
            uint32_t *cell = dev->pool + ((size_t)i * grid + j) * k;
            unsigned start = cell_first(j, model->map_w, grid);
            unsigned count = cell_end(j, model->map_w, grid) - start;
            for (unsigned c = 0; c < k; c++) {
                int32_t sum = agn__sum_row(dev->local_row + (size_t)c * model->map_w + start, count);
                cell[c] += (uint32_t)(sum + 128 * (int32_t)count);
            }
        }
    }
}

void agn__local_end(struct agn_dev *dev)
{
    const struct agn_dev_model *model = &dev->model;
    unsigned grid = model->grid, k = model->local_c;
    for (unsigned cell = 0; cell < grid * grid; cell++) {
        unsigned i = cell / grid, j = cell % grid;
        uint32_t n = (uint32_t)(cell_end(i, model->map_h, grid) - cell_first(i, model->map_h, grid)) *
                     (uint32_t)(cell_end(j, model->map_w, grid) - cell_first(j, model->map_w, grid));
        for (unsigned c = 0; c < k; c++) {
            uint32_t *sum = &dev->pool[(size_t)cell * k + c];
            *sum = ((*sum << AGN_DEV_POOL_BITS) + n / 2) / n; /* average + AGN__POOLED_MAX */
        }
    }
    size_t inputs = (size_t)grid * grid * k;
    for (unsigned i = 0; i < model->classes; i++) {
        struct agn__channel channel = agn__channel_read(model->dense_channels, i);
        const int8_t *weights = model->dense_weights + i * inputs;
        int32_t acc = channel.bias;
        for (size_t input = 0; input < inputs; input++)
            acc += weights[input] * ((int32_t)dev->pool[input] - AGN__POOLED_MAX);
        int32_t logit = agn_requantise(acc, channel.multiplier, channel.shift);
        dev->local[i] = (int16_t)(logit < INT16_MIN ? INT16_MIN : logit > INT16_MAX ? INT16_MAX : logit);
    }
}
