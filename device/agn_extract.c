/* Streams image rows through the layers; the last one's kernel splits each finished row of the feature map
 * into values for the Local NN and packed symbols of the sent channels.
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
    agn__local_begin(dev);
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
    agn__local_row(dev, dev->map_rows);
    dev->map_rows++;
}

/* A row of pixels is a sent channel as it is; bits of a run's last byte that are no pixel's stay 0. */
static void keep_pixels(struct agn_dev *dev, const uint8_t *pixels)
{
    unsigned bits = dev->model.map_w * (unsigned)AGN_WIRE_SYMBOL_BITS, runs = dev->model.map_h;
    uint8_t *to = agn__symbol_row(dev, dev->map_rows++, 0);
    for (; runs > 0; runs--, pixels += bits / 8, to += (bits + 7) / 8)
        memcpy(to, pixels, bits / 8);
}

void agn__extract_row(struct agn_dev *dev, const uint8_t *pixels)
{
    if (dev->model.layer_count == 0) {
        keep_pixels(dev, pixels);
        return;
    }
    agn__pixel_row(&dev->model.layers[0], pixels, next_input_row(dev, 0));
    row_arrived(dev, 0);
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
    if (dev->model.layer_count > 0)
        agn__local_end(dev);
}
