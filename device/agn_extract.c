/* Streams image rows through the layers, splits each finished row of the feature map into
 * the Local NN's sums and the packed symbols of the sent channels, and computes the local
 * logits at the end.
 *
 * Each layer owns a ring of kernel_h input rows with their left and right borders; the layer
 * before writes its output row straight into the ring. Rows above and below the image are
 * rows of the zero point that go through the ring like any other, so no kernel tests for
 * borders. Writing a feature map row by row costs RAM for rows only; of the map itself just
 * the 3-bit symbols are kept, because packet borders depend on their compressed size. */
#include "agn_device_internal.h"

/* ---- rings ------------------------------------------------------------------------- */

/* Fills a ring row with what stands for "outside the image". */
static void fill_outside(const struct agn_dev *dev, unsigned index, int16_t *row)
{
    const struct agn_dev_layer *layer = &dev->model.layers[index];
    size_t step_x = agn__step_x(layer), step_c = agn__step_c(layer);
    unsigned width = layer->in_w + 2u * layer->pad_w;
    for (unsigned c = 0; c < layer->in_c; c++) {
        int16_t value = index > 0 ? layer->in_zero_point : dev->model.input_zero_point[c];
        for (unsigned x = 0; x < width; x++)
            row[x * step_x + c * step_c] = value;
    }
}

/* Where the next row of a layer's input goes, borders left out. */
static int16_t *next_input_row(const struct agn_dev *dev, unsigned index)
{
    const struct agn_dev_layer *layer = &dev->model.layers[index];
    const struct agn_dev_line *line = &dev->lines[index];
    return line->ring + line->slot * agn__row_values(layer) + layer->pad_w * agn__step_x(layer);
}

void agn__extract_begin(struct agn_dev *dev)
{
    uint8_t *at = dev->scratch;
    for (unsigned i = 0; i < dev->model.layer_count; i++) {
        const struct agn_dev_layer *layer = &dev->model.layers[i];
        struct agn_dev_line *line = &dev->lines[i];
        line->ring = (int16_t *)(void *)at;
        /* All rows, not just the padding: the encoder of the last frame has used this memory. */
        for (unsigned row = 0; row < layer->kernel_h; row++)
            fill_outside(dev, i, line->ring + row * agn__row_values(layer));
        /* The rows above the image count as already there (pad_h < kernel_h). */
        line->slot = layer->pad_h;
        line->countdown = (uint8_t)(layer->kernel_h - layer->pad_h);
        at += agn__line_bytes(layer);
    }
    dev->local_row = (int16_t *)(void *)at;
    dev->map_rows = 0;
    memset(dev->pool, 0, AGN_DEV_POOL_BYTES(dev->model.grid, dev->model.local_c));
}

/* ---- a finished row of the map ---------------------------------------------------------- */

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
static void pool_row(struct agn_dev *dev, unsigned y)
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

/* ---- the flow ------------------------------------------------------------------------------ */

/* The last layer's row: channels that stay as values, channels that go as symbols. */
static void run_last(const struct agn_dev *dev, const struct agn_dev_layer *layer, const int16_t *const *rows)
{
    const struct agn_dev_model *model = &dev->model;
    const struct agn__sink local = {dev->local_row, 1, model->map_w, NULL, NULL};
    const struct agn__sink sent = {NULL, 0, (size_t)model->map_h * AGN_DEV_SYMBOL_ROW_BYTES(model->map_w),
                                   agn__symbol_row(dev, 0, dev->map_rows), model->symbols};
    if (layer->kind == AGN_LAYER_CONV) {
        agn__conv_row(layer, rows, 0, model->local_c, &local);
        agn__conv_row(layer, rows, model->local_c, model->map_c, &sent);
    } else {
        agn__dwconv_row(layer, rows, 0, model->local_c, &local);
        agn__dwconv_row(layer, rows, model->local_c, model->map_c, &sent);
    }
}

/* A layer whose window is complete makes one row, into the next layer's ring or of the map. */
static void run_layer(struct agn_dev *dev, unsigned index)
{
    const struct agn_dev_layer *layer = &dev->model.layers[index];
    const struct agn_dev_line *line = &dev->lines[index];
    const int16_t *rows[AGN_DEV_MAX_KERNEL];
    unsigned slot = line->slot; /* the oldest row */
    for (unsigned i = 0; i < layer->kernel_h; i++) {
        rows[i] = line->ring + slot * agn__row_values(layer);
        slot = slot + 1u == layer->kernel_h ? 0 : slot + 1u;
    }
    if (index + 1u == dev->model.layer_count) {
        run_last(dev, layer, rows);
        return;
    }
    const struct agn_dev_layer *next = &dev->model.layers[index + 1];
    const struct agn__sink sink = {next_input_row(dev, index + 1), agn__step_x(next), agn__step_c(next), NULL,
                                   NULL};
    if (layer->kind == AGN_LAYER_CONV)
        agn__conv_row(layer, rows, 0, layer->out_c, &sink);
    else
        agn__dwconv_row(layer, rows, 0, layer->out_c, &sink);
}

/* The next row of layer `index`'s input is in its ring: lets it flow as far as it goes. One row in
 * makes at most one row out, so this is a loop down the layers, not a tree. */
static void row_arrived(struct agn_dev *dev, unsigned index)
{
    for (; index < dev->model.layer_count; index++) {
        const struct agn_dev_layer *layer = &dev->model.layers[index];
        struct agn_dev_line *line = &dev->lines[index];
        line->slot = (uint8_t)(line->slot + 1u == layer->kernel_h ? 0 : line->slot + 1u);
        if (--line->countdown > 0)
            return;
        line->countdown = layer->stride_h;
        run_layer(dev, index);
    }
    pool_row(dev, dev->map_rows);
    dev->map_rows++;
}

void agn__extract_row(struct agn_dev *dev, const uint8_t *pixels)
{
    agn__pixel_row(&dev->model.layers[0], pixels, next_input_row(dev, 0));
    row_arrived(dev, 0);
}

static void compute_local(struct agn_dev *dev)
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

void agn__extract_end(struct agn_dev *dev)
{
    /* First layer first: its last rows are the next layer's last real ones. */
    for (unsigned i = 0; i < dev->model.layer_count; i++)
        for (unsigned row = 0; row < dev->model.layers[i].pad_h; row++) {
            const struct agn_dev_line *line = &dev->lines[i];
            fill_outside(dev, i, line->ring + line->slot * agn__row_values(&dev->model.layers[i]));
            row_arrived(dev, i);
        }
    compute_local(dev);
}
