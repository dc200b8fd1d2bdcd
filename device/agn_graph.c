/* Runs networks with branches row by row, in the order of agn__graph_next.
 *
 * Kernels are those of chains. A row that does not lie as a kernel wants it is copied into scratch memory, as
 * is one outside the image; a full convolution uses each value so often that the copy hardly counts. */
#include "agn_graph.h"
#include "agn_device_internal.h"
#include "agn_pool.h"

#if AGN_WITH_GRAPHS

static uint16_t *made_of(const struct agn_dev *dev)
{
    return (uint16_t *)(void *)dev->scratch;
}

static uint8_t *tensors_of(const struct agn_dev *dev)
{
    return dev->scratch + agn__graph_state_bytes(&dev->model);
}

static uint8_t *row_of(const struct agn_dev *dev, const struct agn__tensor *tensor, unsigned row)
{
    return tensors_of(dev) + tensor->offset + (size_t)(row % tensor->rows) * agn__tensor_row_bytes(tensor);
}

/* ---- rows as values ---------------------------------------------------------------------------- */

/* A row in memory: value of channel c at place x is at [x * step_x + c * step_c]. */
struct view {
    const int8_t *narrow;
    int16_t *wide; /* one of the two is NULL */
    size_t step_x, step_c;
};

static struct view view_of(const struct agn__tensor *tensor, uint8_t *row)
{
    struct view view = {NULL, NULL, tensor->c, 1};
    if (tensor->storage == AGN__STORED_NARROW) {
        view.narrow = (const int8_t *)row;
        return view;
    }
    view.wide = (int16_t *)(void *)row;
    if (tensor->storage == AGN__STORED_PLANAR) {
        view.step_x = 1;
        view.step_c = agn__tensor_plane(tensor);
    }
    view.wide += tensor->border * view.step_x;
    return view;
}

static int16_t value_at(const struct view *view, size_t x, size_t c)
{
    size_t at = x * view->step_x + c * view->step_c;
    return view->narrow ? view->narrow[at] : view->wide[at];
}

static int16_t outside(const struct agn_dev *dev, unsigned tensor, int8_t zero_point, unsigned channel)
{
    return tensor > 0 ? zero_point : dev->model.input_zero_point[channel];
}

/* Channels [first, first + count) of a row as (places with borders, count) int16; `to` is place 0. */
static void gather(const struct view *from, unsigned width, unsigned first, unsigned count, int16_t *to)
{
    if (from->narrow && from->step_x == count) {
        agn__widen(from->narrow, to, (size_t)width * count);
        return;
    }
    for (unsigned x = 0; x < width; x++)
        for (unsigned c = 0; c < count; c++)
            *to++ = value_at(from, x, first + c);
}

/* Places left and right of a row, interleaved; `row` is the first of the left ones. */
static void fill_borders(const struct agn_dev *dev, const struct agn__node *node, unsigned channels,
                         unsigned width, unsigned border, int16_t *row)
{
    for (unsigned side = 0; side < 2; side++, row += (size_t)width * channels)
        for (unsigned x = 0; x < border; x++)
            for (unsigned c = 0; c < channels; c++)
                *row++ = outside(dev, node->source[0], node->shape.in_zero_point, node->first + c);
}

/* ---- a layer's input --------------------------------------------------------------------------- */

/* Scratch memory is taken from its begin on, for one row of one layer. */
struct scratch {
    uint8_t *at;
};

static int16_t *take(struct scratch *scratch, size_t values)
{
    int16_t *row = (int16_t *)(void *)scratch->at;
    scratch->at += AGN_DEV_ALIGN4(2u * values);
    return row;
}

static struct scratch scratch_of(const struct agn_dev *dev)
{
    struct scratch scratch = {tensors_of(dev) + dev->model.graph.tensor_bytes};
    return scratch;
}

/* Rows of a depthwise layer lie as it wants them; those outside are one row of zero points. */
static void depthwise_rows(const struct agn_dev *dev, const struct agn__node *node, struct scratch *scratch,
                           unsigned y, const int16_t **rows)
{
    const struct agn_dev_layer *layer = &node->shape;
    struct agn__tensor source;
    agn__graph_tensor(&dev->model, node->source[0], &source);
    size_t plane = agn__tensor_plane(&source), values = plane * source.c;
    int16_t *filled = take(scratch, values);
    int is_filled = 0;
    for (unsigned i = 0; i < layer->kernel_h; i++) {
        unsigned row = y * layer->stride_h + i;
        if (row >= layer->pad_h && row - layer->pad_h < source.h) {
            rows[i] =
                (const int16_t *)(const void *)row_of(dev, &source, row - layer->pad_h) + node->first * plane;
            continue;
        }
        for (unsigned c = 0; c < source.c && !is_filled; c++)
            for (size_t x = 0; x < plane; x++)
                filled[c * plane + x] = outside(dev, node->source[0], layer->in_zero_point, c);
        is_filled = 1;
        rows[i] = filled + node->first * plane;
    }
}

static void full_rows(const struct agn_dev *dev, const struct agn__node *node, struct scratch *scratch,
                      unsigned y, const int16_t **rows)
{
    const struct agn_dev_layer *layer = &node->shape;
    struct agn__tensor source;
    agn__graph_tensor(&dev->model, node->source[0], &source);
    unsigned channels = layer->in_c, border = layer->pad_w;
    size_t values = ((size_t)layer->in_w + 2u * border) * channels;
    int direct = source.storage == AGN__STORED_WIDE && source.border == border && source.c == channels;
    int16_t *filled = NULL;
    for (unsigned i = 0; i < layer->kernel_h; i++) {
        unsigned row = y * layer->stride_h + i;
        int inside = row >= layer->pad_h && row - layer->pad_h < source.h;
        if (!inside && filled) {
            rows[i] = filled;
            continue;
        }
        if (inside && direct) {
            rows[i] = (const int16_t *)(const void *)row_of(dev, &source, row - layer->pad_h);
            continue;
        }
        int16_t *to = take(scratch, values);
        rows[i] = to;
        if (inside) {
            struct view view = view_of(&source, row_of(dev, &source, row - layer->pad_h));
            fill_borders(dev, node, channels, layer->in_w, border, to);
            gather(&view, layer->in_w, node->first, channels, to + (size_t)border * channels);
            continue;
        }
        filled = to;
        for (unsigned x = 0; x < layer->in_w + 2u * border; x++)
            for (unsigned c = 0; c < channels; c++)
                *to++ = outside(dev, node->source[0], layer->in_zero_point, node->first + c);
    }
}

/* ---- a layer's row ------------------------------------------------------------------------------ */

static void run_kernel(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                       unsigned end, const struct agn__sink *sink)
{
    if (first >= end)
        return;
    if (layer->kind == AGN_LAYER_CONV)
        agn__conv_row(layer, rows, first, end, sink);
    else
        agn__dwconv_row(layer, rows, first, end, sink);
}

/* Borders of a kept row. */
static void end_row(const struct agn_dev_layer *layer, const struct agn__tensor *made, uint8_t *row)
{
    int16_t *at = (int16_t *)(void *)row;
    size_t plane = agn__tensor_plane(made), right;
    unsigned border = made->border;
    if (made->storage == AGN__STORED_WIDE) {
        for (size_t v = 0; v < (size_t)border * made->c; v++)
            at[v] = at[((size_t)made->w + border) * made->c + v] = layer->out_zero_point;
    } else if (made->storage == AGN__STORED_PLANAR) {
        right = (size_t)border + made->w;
        for (unsigned c = 0; c < made->c; c++, at += plane) {
            for (unsigned x = 0; x < border; x++)
                at[x] = layer->out_zero_point;
            for (size_t x = right; x < plane; x++)
                at[x] = layer->out_zero_point;
        }
    }
}

/* out = clamp((a * ma + b * mb + bias) >> shift), see agn_graph.h. */
static void add_row(const struct agn_dev *dev, const struct agn__node *node, struct scratch *scratch,
                    unsigned y, const struct agn__sink *sink)
{
    const struct agn_dev_layer *layer = &node->shape;
    const uint8_t *record = layer->channels;
    int32_t bias = agn__load_s32(record);
    int16_t ma = (int16_t)agn__load_u16(record + 4), mb = (int16_t)agn__load_u16(record + 6);
    unsigned shift = record[8];
    size_t values = (size_t)layer->in_w * layer->in_c;
    int16_t *sources[2];
    for (unsigned i = 0; i < 2; i++) {
        struct agn__tensor source;
        agn__graph_tensor(&dev->model, node->source[i], &source);
        struct view view = view_of(&source, row_of(dev, &source, y));
        sources[i] = take(scratch, values);
        gather(&view, layer->in_w, 0, layer->in_c, sources[i]);
    }
    const int16_t *a = sources[0], *b = sources[1];
    for (unsigned x = 0; x < layer->out_w; x++)
        for (unsigned c = 0; c < layer->out_c; c++) {
            int32_t q = ((int32_t)*a++ * ma + (int32_t)*b++ * mb + bias) >> shift;
            q = q < layer->clamp_min ? layer->clamp_min : q;
            sink->values[x * sink->step_x + c * sink->step_c] =
                (int16_t)(q > layer->clamp_max ? layer->clamp_max : q);
        }
}

static void pool_row(const struct agn_dev *dev, unsigned tensor, const struct agn__tensor *made,
                     const struct view *view, unsigned y)
{
    uint32_t *pool = dev->pool;
    for (unsigned h = 0; h < dev->model.graph.head_count; h++) {
        struct agn__head head;
        agn__graph_head(&dev->model, h, &head);
        uint32_t *cell = pool;
        pool += (size_t)head.grid * head.grid * head.count;
        if (head.tensor != tensor)
            continue;
        for (unsigned i = 0; i < head.grid; i++) {
            int covers =
                y >= agn__cell_first(i, made->h, head.grid) && y < agn__cell_end(i, made->h, head.grid);
            for (unsigned j = 0; j < head.grid; j++, cell += head.count) {
                unsigned end = agn__cell_end(j, made->w, head.grid);
                for (unsigned x = agn__cell_first(j, made->w, head.grid); covers && x < end; x++)
                    for (unsigned c = 0; c < head.count; c++)
                        cell[c] += (uint32_t)(value_at(view, x, head.first + c) + 128);
            }
        }
    }
}

/* Symbols of channels that are kept: from `first` to the last kept one. */
static void send_kept(const struct agn_dev *dev, const struct view *view, unsigned first, unsigned end,
                      unsigned y)
{
    const struct agn_dev_model *model = &dev->model;
    for (unsigned c = first; c < end; c++) {
        struct agn__packer packer = {agn__symbol_row(dev, c - model->local_c, y), 0, 0};
        for (unsigned x = 0; x < model->map_w; x++)
            agn__packer_put(&packer, model->symbols[value_at(view, x, c) + 128]);
        agn__packer_end(&packer);
    }
}

/* Row `y` of a layer: into its tensor, the heads and the sender. */
static void make_row(const struct agn_dev *dev, unsigned index, unsigned y)
{
    const struct agn_dev_model *model = &dev->model;
    const int16_t *rows[AGN_DEV_MAX_KERNEL];
    struct scratch scratch = scratch_of(dev);
    struct agn__node node;
    struct agn__tensor made;
    struct view view;
    uint8_t *row = NULL;
    struct agn__sink sink = {NULL, 0, 1, NULL, NULL};
    agn__graph_node(model, index, &node);
    agn__graph_tensor(model, index + 1, &made);
    if (node.shape.kind == AGN_LAYER_DWCONV) {
        depthwise_rows(dev, &node, &scratch, y, rows);
        /* The kernel takes its planes from the width; they are even. */
        node.shape.in_w = (uint16_t)(node.shape.in_w + (node.shape.in_w & 1u));
    } else if (node.shape.kind == AGN_LAYER_CONV) {
        full_rows(dev, &node, &scratch, y, rows);
    }
    if (made.c > 0) {
        row = row_of(dev, &made, y);
        view = view_of(&made, row);
        sink.values = view.narrow ? take(&scratch, (size_t)made.w * made.c) : view.wide;
        sink.step_x = view.step_x;
        sink.step_c = view.step_c;
    }
    if (node.shape.kind == AGN_LAYER_ADD)
        add_row(dev, &node, &scratch, y, &sink);
    else
        run_kernel(&node.shape, rows, 0, made.c, &sink);
    if (made.c > 0) {
        if (view.narrow)
            agn__narrow(sink.values, (int8_t *)row, (size_t)made.w * made.c);
        end_row(&node.shape, &made, row);
        pool_row(dev, index + 1, &made, &view, y);
    }
    if (model->graph.sender != index + 1)
        return;
    if (made.c > model->local_c)
        send_kept(dev, &view, model->local_c, made.c < model->map_c ? made.c : model->map_c, y);
    unsigned first = made.c > model->local_c ? made.c : model->local_c;
    if (first < model->map_c) {
        const struct agn__sink sent = {NULL, 0, (size_t)model->map_h * AGN_DEV_SYMBOL_ROW_BYTES(model->map_w),
                                       agn__symbol_row(dev, first - model->local_c, y), model->symbols};
        run_kernel(&node.shape, rows, first, model->map_c, &sent);
    }
}

/* ---- a frame --------------------------------------------------------------------------------------- */

/* Makes what rows can be made in a segment. */
static void run(const struct agn_dev *dev, unsigned segment, unsigned from)
{
    uint16_t *made = made_of(dev);
    for (int layer; (layer = agn__graph_next(&dev->model, made, segment, from)) >= 0;) {
        make_row(dev, (unsigned)layer, made[layer + 1]);
        made[layer + 1]++;
        from = agn__graph_record(&dev->model, (unsigned)layer)[AGN__GRAPH_LAST_READER];
        if (from == AGN__GRAPH_NEVER || from < (unsigned)layer)
            from = (unsigned)layer;
    }
}

void agn__graph_begin(struct agn_dev *dev)
{
    memset(dev->scratch, 0, agn__graph_state_bytes(&dev->model));
    memset(dev->pool, 0, agn__graph_pool_bytes(&dev->model));
    memset(dev->local, 0, (size_t)dev->model.classes * sizeof *dev->local);
    dev->left_early = 0;
}

void agn__graph_row(struct agn_dev *dev, const uint8_t *pixels)
{
    uint16_t *made = made_of(dev);
    struct agn__tensor image;
    agn__graph_tensor(&dev->model, 0, &image);
    uint8_t *row = row_of(dev, &image, made[0]);
    struct view view = view_of(&image, row);
    struct agn_dev_layer layer; /* as agn__pixel_row knows how rows lie */
    memset(&layer, 0, sizeof layer);
    layer.kind = image.storage == AGN__STORED_PLANAR ? AGN_LAYER_DWCONV : AGN_LAYER_CONV;
    layer.in_w = image.w;
    layer.in_c = image.c;
    if (view.narrow) {
        int8_t *to = (int8_t *)row;
        for (size_t i = 0; i < (size_t)image.w * image.c; i++)
            to[i] = (int8_t)(pixels[i] - 128);
    } else if (layer.kind == AGN_LAYER_DWCONV) {
        for (unsigned x = 0; x < image.w; x++)
            for (unsigned c = 0; c < image.c; c++)
                view.wide[x + c * view.step_c] = (int16_t)(*pixels++ - 128);
    } else {
        agn__pixel_row(&layer, pixels, view.wide);
    }
    if (image.border > 0 || image.storage == AGN__STORED_PLANAR) {
        int16_t *at = (int16_t *)(void *)row;
        size_t width =
            image.storage == AGN__STORED_PLANAR ? view.step_c : (size_t)image.w + 2u * image.border;
        for (size_t x = 0; x < width; x++)
            for (unsigned c = 0; c < image.c && (x < image.border || x >= (size_t)image.border + image.w);
                 c++)
                at[x * view.step_x + c * view.step_c] = dev->model.input_zero_point[c];
    }
    made[0]++;
    run(dev, 0, dev->model.layer_count);
}

/* Answers of the segment that has ended; 1 if one is sure. */
static int answer(struct agn_dev *dev, unsigned segment)
{
    const struct agn_dev_model *model = &dev->model;
    uint32_t *pool = dev->pool;
    for (unsigned h = 0; h < model->graph.head_count; h++) {
        struct agn__head head;
        struct agn__tensor tensor;
        agn__graph_head(model, h, &head);
        size_t inputs = (size_t)head.grid * head.grid * head.count;
        if (agn__graph_record(model, head.tensor - 1u)[AGN__GRAPH_SEGMENT] == segment) {
            agn__graph_tensor(model, head.tensor, &tensor);
            agn__pool_averages(pool, tensor.h, tensor.w, head.grid, head.count);
            agn__pool_dense(pool, inputs, head.weights, head.channels, model->classes, dev->local);
            if (head.margin > 0 && agn__margin(dev) >= head.margin)
                return 1;
        }
        pool += inputs;
    }
    return 0;
}

void agn__graph_end(struct agn_dev *dev)
{
    unsigned last = agn__graph_record(&dev->model, dev->model.layer_count - 1u)[AGN__GRAPH_SEGMENT];
    for (unsigned segment = 0; segment <= last; segment++) {
        run(dev, segment, dev->model.layer_count);
        if (answer(dev, segment)) {
            dev->left_early = 1;
            return;
        }
    }
}

#endif

typedef int agn__graph_is_not_empty;
