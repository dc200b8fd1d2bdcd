/* The Local NN: sums of the local channels over the cells of a grid while rows come, then averages and a
 * dense layer. */
#include "agn_device_internal.h"
#include "agn_pool.h"

void agn__local_begin(struct agn_dev *dev)
{
    memset(dev->pool, 0, (size_t)AGN_DEV_POOL_BYTES(dev->model.grid, dev->model.local_c));
}

/* Adds the row's local channels to the cells that cover it. Sums are of value + 128, so that they are
 * unsigned; at most 255 * 255 * 255. */
void agn__local_row(struct agn_dev *dev, unsigned y)
{
    const struct agn_dev_model *model = &dev->model;
    unsigned grid = model->grid, k = model->local_c;
    for (unsigned i = 0; i < grid; i++) {
        if (y < agn__cell_first(i, model->map_h, grid) || y >= agn__cell_end(i, model->map_h, grid))
            continue;
        for (unsigned j = 0; j < grid; j++) {
            uint32_t *cell = dev->pool + ((size_t)i * grid + j) * k;
            unsigned start = agn__cell_first(j, model->map_w, grid);
            unsigned count = agn__cell_end(j, model->map_w, grid) - start;
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
    agn__pool_averages(dev->pool, model->map_h, model->map_w, grid, k);
    agn__pool_dense(dev->pool, (size_t)grid * grid * k, model->dense_weights, model->dense_channels,
                    model->classes, dev->local);
}
