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
    /* view_of has set one of the two; NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    return view->narrow ? view->narrow[at] : view->wide[at];
}

static void fill(int16_t *to, size_t count, int16_t value)
{
    for (; count >= 4; count -= 4, to += 4)
        to[0] = to[1] = to[2] = to[3] = value;
    for (; count > 0; count--)
        *to++ = value;
}

/* What stands for the outside of a tensor's channel. */
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

/* `places` places outside, interleaved. */
static void fill_outside(const struct agn_dev *dev, const struct agn__node *node, unsigned places,
                         int16_t *to)
{
    unsigned channels = node->shape.in_c;
    if (node->source[0] > 0) {
        fill(to, (size_t)places * channels, node->shape.in_zero_point);
        return;
    }
    for (unsigned x = 0; x < places; x++)
        for (unsigned c = 0; c < channels; c++)
            *to++ = dev->model.input_zero_point[node->first + c];
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
            fill(filled + c * plane, plane, outside(dev, node->source[0], layer->in_zero_point, c));
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
    int direct = agn__rows_are_direct(node, &source);
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
            fill_outside(dev, node, border, to);
            fill_outside(dev, node, border, to + ((size_t)border + layer->in_w) * channels);
            gather(&view, layer->in_w, node->first, channels, to + (size_t)border * channels);
            continue;
        }
        filled = to;
        fill_outside(dev, node, layer->in_w + 2u * border, to);
    }
}

/* ---- an image of bytes ---------------------------------------------------------------------------
 * Where a kernel reads the first layer's patches as bytes and no other layer reads the image, its rows are
 * kept so, in the memory of rows of twice their size, and what the kernel prepares of its weights lies
 * behind. */

/* Where what is prepared goes; NULL: the image is kept as values. */
static int16_t *place_of_prepared(const struct agn_dev *dev)
{
    if (!AGN_KERNEL_DSP || dev->model.layer_count == 0)
        return NULL;
    const struct agn_dev_model *model = &dev->model;
    struct agn__tensor image, made;
    struct agn__node node;
    uint32_t kept = 0;
    agn__graph_node(model, 0, &node);
    agn__graph_tensor(model, 0, &image);
    agn__graph_tensor(model, 1, &made);
    uint32_t needed = agn__bytes_needed(&node.shape, &kept);
    if (needed == 0 || image.storage != AGN__STORED_WIDE || node.shape.in_c != image.c ||
        made.c != node.shape.out_c || made.storage == AGN__STORED_NARROW ||
        agn__tensor_bytes(&image) < needed)
        return NULL;
    for (unsigned i = 1; i < model->layer_count; i++) {
        const uint8_t *record = agn__graph_record(model, i);
        if (record[AGN__GRAPH_SOURCES] == 0 ||
            (record[AGN__LAYER_KIND] == AGN_LAYER_ADD && record[AGN__GRAPH_SOURCES + 1] == 0))
            return NULL;
    }
    return (int16_t *)(void *)(tensors_of(dev) + image.offset + kept);
}

static int is_bytes(const struct agn_dev *dev)
{
    return AGN_KERNEL_DSP && dev->local_row != NULL;
}

static struct agn__bytes *bytes_of(const struct agn_dev *dev)
{
    return (struct agn__bytes *)(void *)dev->local_row;
}

static uint8_t *patches_of(const struct agn_dev *dev)
{
    return tensors_of(dev) + agn__load_u32(dev->model.data + AGN__AT_IMAGE + 4);
}

/* Takes a row; whether the layer can make one of its own then. */
static int keep_bytes(const struct agn_dev *dev, const uint8_t *pixels)
{
    uint16_t *made = made_of(dev);
    struct agn__bytes *bytes = bytes_of(dev);
    if (made[0] == 0) {
        struct agn__node node;
        agn__graph_node(&dev->model, 0, &node);
        agn__bytes_prepare(&node.shape, bytes);
    }
    unsigned y = made[0] % bytes->rows;
    agn__bytes_keep(bytes, pixels, patches_of(dev) + y * bytes->row);
    made[0]++;
    return y + 1u == bytes->rows;
}

/* ---- a layer's row ------------------------------------------------------------------------------ */

static void run_kernel(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                       unsigned end, const struct agn__sink *sink, int16_t *panel)
{
    if (first >= end)
        return;
    if (layer->kind == AGN_LAYER_CONV)
        agn__graph_conv_row(layer, rows, first, end, sink, panel);
    else
        agn__graph_dwconv_row(layer, rows, first, end, sink);
}

/* Borders of a kept row; of an image each channel has its own value. A ring's slot keeps them for the rows to
 * come. */
static void fill_borders(const struct agn_dev *dev, unsigned index, const struct agn__tensor *made,
                         uint8_t *row, int16_t value)
{
    int16_t *at = (int16_t *)(void *)row;
    size_t plane = agn__tensor_plane(made), right = (size_t)made->border + made->w;
    for (unsigned c = 0; c < made->c && made->storage == AGN__STORED_PLANAR; c++, at += plane) {
        if (index == 0)
            value = dev->model.input_zero_point[c];
        for (unsigned x = 0; x < made->border; x++)
            at[x] = value;
        for (size_t x = right; x < plane; x++)
            at[x] = value;
    }
    for (unsigned x = 0; x < made->border && made->storage == AGN__STORED_WIDE; x++)
        for (unsigned c = 0; c < made->c; c++) {
            if (index == 0)
                value = dev->model.input_zero_point[c];
            at[x * made->c + c] = at[(right + x) * made->c + c] = value;
        }
}

/* out = clamp((a * ma + b * mb + bias) >> shift), see agn_graph.h. */
struct sum {
    int32_t bias, ma, mb, low, high;
    unsigned shift;
};

static int32_t summed(const struct sum *sum, int32_t a, int32_t b)
{
    int32_t q = (a * sum->ma + b * sum->mb + sum->bias) >> sum->shift;
    q = q < sum->low ? sum->low : q;
    return q > sum->high ? sum->high : q;
}

static struct sum sum_of(const struct agn_dev_layer *layer)
{
    const uint8_t *record = layer->channels;
    struct sum sum;
    sum.bias = agn__load_s32(record);
    sum.ma = (int16_t)agn__load_u16(record + 4);
    sum.mb = (int16_t)agn__load_u16(record + 6);
    sum.shift = record[8];
    sum.low = layer->clamp_min;
    sum.high = layer->clamp_max;
    return sum;
}

/* All three rows are bytes in one order. */
static void add_narrow(const struct sum *from, const int8_t *a, const int8_t *b, int8_t *to, size_t count)
{
    const struct sum sum = *from;
    for (; count > 0; count--)
        *to++ = (int8_t)summed(&sum, *a++, *b++);
}

static void add_row(const struct agn_dev *dev, const struct agn__node *node, unsigned y,
                    const struct view *made, uint8_t *row)
{
    const struct agn_dev_layer *layer = &node->shape;
    const struct sum sum = sum_of(layer);
    struct agn__tensor tensor;
    struct view a, b;
    agn__graph_tensor(&dev->model, node->source[0], &tensor);
    a = view_of(&tensor, row_of(dev, &tensor, y));
    agn__graph_tensor(&dev->model, node->source[1], &tensor);
    b = view_of(&tensor, row_of(dev, &tensor, y));
    if (a.narrow && b.narrow && made->narrow && a.step_x == layer->in_c && b.step_x == layer->in_c) {
        add_narrow(&sum, a.narrow, b.narrow, (int8_t *)row, (size_t)layer->out_w * layer->out_c);
        return;
    }
    for (unsigned x = 0; x < layer->out_w; x++)
        for (unsigned c = 0; c < layer->out_c; c++) {
            int32_t q = summed(&sum, value_at(&a, x, c), value_at(&b, x, c));
            if (made->narrow)
                ((int8_t *)row)[x * made->step_x + c] = (int8_t)q;
            else /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): one of the two is there */
                made->wide[x * made->step_x + c * made->step_c] = (int16_t)q;
        }
}

/* Adds the values of a head's channels at one place, plus 128. */
static void pool_place(const struct view *view, size_t x, const struct agn__head *head, uint32_t *cell)
{
    size_t at = x * view->step_x + head->first * view->step_c;
    const size_t step = view->step_c;
    uint32_t *const end = cell + head->count;
    if (view->narrow) {
        for (const int8_t *from = view->narrow + at; cell != end; from++, cell++)
            *cell += (uint32_t)(*from + 128);
        return;
    }
    for (const int16_t *from = view->wide + at; cell != end; from += step, cell++)
        *cell += (uint32_t)(*from + 128);
}

/* The same of places [x, x + places), channel after channel: for few of them. */
static void pool_channels(const struct view *view, size_t x, unsigned places, const struct agn__head *head,
                          uint32_t *cell)
{
    const int16_t *first = view->wide + x * view->step_x + head->first * view->step_c;
    const size_t step = view->step_x;
    for (uint32_t *const end = cell + head->count; cell != end; cell++, first += view->step_c) {
        const int16_t *from = first;
        int32_t sum = 128 * (int32_t)places;
        for (unsigned left = places; left > 0; left--, from += step)
            sum += *from;
        *cell += (uint32_t)sum;
    }
}

static void pool_row(const struct agn_dev *dev, unsigned tensor, const struct agn__tensor *made,
                     const struct view *view, unsigned y) AGN__NOINLINE;
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
                unsigned x = agn__cell_first(j, made->w, head.grid);
                unsigned end = agn__cell_end(j, made->w, head.grid);
                if (AGN_KERNEL_DSP && covers && view->wide && head.count < end - x)
                    pool_channels(view, x, end - x, &head, cell);
                else
                    for (; covers && x < end; x++)
                        pool_place(view, x, &head, cell);
            }
        }
    }
}

/* Four symbols take a byte and a half. */
static uint32_t four_symbols(const uint8_t *table, const int16_t *from, size_t step)
{
    enum { BITS = AGN_WIRE_SYMBOL_BITS };
    uint32_t bits = table[*from];
    bits |= (uint32_t)table[*(from += step)] << BITS;
    bits |= (uint32_t)table[*(from += step)] << 2 * BITS;
    return bits | (uint32_t)table[from[step]] << 3 * BITS;
}

/* Symbols of channels that are kept: from `first` to the last kept one. */
static void send_kept(const struct agn_dev *dev, const struct view *view, unsigned first, unsigned end,
                      unsigned y)
{
    const struct agn_dev_model *model = &dev->model;
    for (unsigned c = first; c < end; c++) {
        struct agn__packer packer = {agn__symbol_row(dev, c - model->local_c, y), 0, 0};
        const uint8_t *table = model->symbols + 128;
        const size_t step = view->step_x;
        unsigned left = model->map_w;
        if (view->narrow) {
            const int8_t *from = view->narrow + c;
            for (; left > 0; left--, from += step)
                agn__packer_put(&packer, table[*from]);
        } else {
            const int16_t *from = view->wide + c * view->step_c;
            for (; AGN_KERNEL_DSP && left >= 4; left -= 4, from += 4 * step) {
                packer.bits |= four_symbols(table, from, step) << packer.have;
                *packer.to++ = (uint8_t)packer.bits;
                packer.bits >>= 8;
                packer.have ^= 4;
                if (packer.have == 0) {
                    *packer.to++ = (uint8_t)packer.bits;
                    packer.bits = 0;
                }
            }
            for (; left > 0; left--, from += step)
                agn__packer_put(&packer, table[*from]);
        }
        agn__packer_end(&packer);
    }
}

/* The row as values: the upper bits of each, one after the other, lowest bit first, and these bytes in runs.
 */
static void send_values(const struct agn_dev *dev, const struct agn__tensor *made, const struct view *from,
                        unsigned y) AGN__NOINLINE;
static void send_values(const struct agn_dev *dev, const struct agn__tensor *made, const struct view *from,
                        unsigned y)
{
    const struct view copy = *from, *view = &copy; /* for the compiler's sake, as bytes are written */
    const struct agn_dev_model *model = &dev->model;
    unsigned bits = model->graph.value_bits, run = model->map_w * (unsigned)AGN_WIRE_SYMBOL_BITS / 8u;
    unsigned have = 0, left = run, next = 1;
    uint32_t kept = 0;
    uint8_t *to = agn__symbol_row(dev, y, 0);
    for (unsigned x = 0; x < made->w; x++)
        for (unsigned c = 0; c < made->c; c++) {
            kept |= (uint32_t)(value_at(view, x, c) + 128) >> (8 - bits) << have;
            have += bits;
            if (have < 8)
                continue;
            *to++ = (uint8_t)kept;
            kept >>= 8;
            have -= 8;
            if (--left == 0) {
                to = agn__symbol_row(dev, y, next++);
                left = run;
            }
        }
    if (have > 0)
        *to = (uint8_t)kept;
}

/* A row of a layer on its way into its tensor, the heads and the sender. */
struct making {
    struct agn__node node;
    struct agn__tensor made;
    unsigned index, y;
    uint8_t *row; /* in the tensor; NULL: nothing of it is kept */
    struct view view;
    struct scratch scratch;
    const int16_t *rows[AGN_DEV_MAX_KERNEL]; /* the layer's input */
    int16_t *panel;
};

/* Where symbols of channels from `first` on go. */
static struct agn__sink symbols_from(const struct agn_dev *dev, unsigned first, unsigned y)
{
    const struct agn_dev_model *model = &dev->model;
    const struct agn__sink sink = {NULL, 0, (size_t)model->map_h * AGN_DEV_SYMBOL_ROW_BYTES(model->map_w),
                                   agn__symbol_row(dev, first - model->local_c, y), model->symbols};
    return sink;
}

static int sends_symbols(const struct agn_dev *dev, const struct making *m)
{
    return dev->model.graph.sender == m->index + 1 && !agn__sends_values(&dev->model);
}

static void find_input(const struct agn_dev *dev, struct making *m)
{
    struct agn_dev_layer *layer = &m->node.shape;
    if (layer->kind == AGN_LAYER_DWCONV) {
        depthwise_rows(dev, &m->node, &m->scratch, m->y, m->rows);
        /* The kernel takes its planes from the width; they are even. */
        layer->in_w = (uint16_t)(layer->in_w + (layer->in_w & 1u));
    } else if (layer->kind == AGN_LAYER_CONV) {
        full_rows(dev, &m->node, &m->scratch, m->y, m->rows);
        m->panel = take(&m->scratch, agn__panel_bytes(layer) / 2u);
    }
}

/* Values and symbols of a full convolution in one go: whether that was done. */
static int make_sent(const struct agn_dev *dev, const struct making *m, const struct agn__sink *values)
{
    if (!AGN_KERNEL_DSP || !sends_symbols(dev, m) || m->node.shape.kind != AGN_LAYER_CONV || m->view.narrow ||
        m->made.c > dev->model.map_c)
        return 0;
    const struct agn_dev_model *model = &dev->model;
    const struct agn__sent sent = {m->made.c, model->local_c, model->map_c, *values,
                                   symbols_from(dev, model->local_c, m->y)};
    return agn__graph_conv_sent(&m->node.shape, m->rows, &sent, m->panel);
}

/* The values that are kept. Returns whether symbols are made, too. */
static int make_values(const struct agn_dev *dev, struct making *m)
{
    const struct agn_dev_layer *layer = &m->node.shape;
    struct agn__sink sink = {m->view.wide, m->view.step_x, m->view.step_c, NULL, NULL};
    size_t values = (size_t)m->made.w * m->made.c;
    if (layer->kind == AGN_LAYER_ADD) {
        add_row(dev, &m->node, m->y, &m->view, m->row);
        return 0;
    }
    if (m->index == 0 && is_bytes(dev)) {
        agn__bytes_conv_row(layer, bytes_of(dev), patches_of(dev), &sink);
        return 0;
    }
    if (make_sent(dev, m, &sink))
        return 1;
    if (m->view.narrow)
        sink.values = take(&m->scratch, values);
    run_kernel(layer, m->rows, 0, m->made.c, &sink, m->panel);
    if (m->view.narrow)
        agn__narrow(sink.values, (int8_t *)m->row, values);
    return 0;
}

static void make_symbols(const struct agn_dev *dev, const struct making *m)
{
    const struct agn_dev_model *model = &dev->model;
    unsigned kept = m->made.c, first = kept > model->local_c ? kept : model->local_c;
    if (kept > model->local_c)
        send_kept(dev, &m->view, model->local_c, kept < model->map_c ? kept : model->map_c, m->y);
    if (first < model->map_c) {
        const struct agn__sink sent = symbols_from(dev, first, m->y);
        run_kernel(&m->node.shape, m->rows, first, model->map_c, &sent, m->panel);
    }
}

/* Row `y` of a layer: into its tensor, the heads and the sender. */
static void make_row(const struct agn_dev *dev, unsigned index, unsigned y) AGN__NOINLINE;
static void make_row(const struct agn_dev *dev, unsigned index, unsigned y)
{
    struct making m;
    int sent = 0;
    agn__graph_node(&dev->model, index, &m.node);
    agn__graph_tensor(&dev->model, index + 1, &m.made);
    m.index = index;
    m.y = y;
    m.row = NULL;
    m.scratch = scratch_of(dev);
    m.panel = NULL;
    if (index > 0 || !is_bytes(dev))
        find_input(dev, &m);
    if (m.made.c > 0) {
        m.row = row_of(dev, &m.made, y);
        m.view = view_of(&m.made, m.row);
        sent = make_values(dev, &m);
        if (y < m.made.rows)
            fill_borders(dev, index + 1, &m.made, m.row, m.node.shape.out_zero_point);
        pool_row(dev, index + 1, &m.made, &m.view, y);
    }
    if (!sent && sends_symbols(dev, &m))
        make_symbols(dev, &m);
    else if (!sent && dev->model.graph.sender == index + 1)
        send_values(dev, &m.made, &m.view, y);
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
    dev->local_row = place_of_prepared(dev);
    dev->left_early = 0;
}

void agn__graph_row(struct agn_dev *dev, const uint8_t *pixels)
{
    uint16_t *made = made_of(dev);
    struct agn__tensor image;
    if (is_bytes(dev)) {
        if (keep_bytes(dev, pixels))
            run(dev, 0, 0);
        return;
    }
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
    if (made[0] < image.rows)
        fill_borders(dev, 0, &image, row, 0);
    made[0]++;
    run(dev, 0, dev->model.layer_count);
}

int agn__softmax_reaches(const int16_t *logits, unsigned classes, unsigned threshold)
{
    static const uint16_t factors[] = {32640, 32513, 32260, 31760, 30783, 28918,
                                       25520, 19875, 12055, 4435,  600,   11};
    unsigned best = agn_argmax_s16(logits, classes);
    uint32_t sum = 0;
    for (unsigned i = 0; i < classes; i++) {
        uint32_t below = (uint32_t)((int32_t)logits[best] - logits[i]), e = 32768;
        for (unsigned k = 0; below >> k != 0 && e > 0; k++)
            if (below >> k & 1)
                e = k < 12 ? (e * factors[k] + 16384) >> 15 : 0;
        sum += e;
    }
    return sum <= (UINT32_C(1) << 30) / threshold;
}

static int is_sure(const struct agn_dev *dev, unsigned margin)
{
    if (margin >= AGN__HEAD_SOFTMAX)
        return agn__softmax_reaches(dev->local, dev->model.classes,
                                    dev->exit_softmax > 0 ? dev->exit_softmax : margin - AGN__HEAD_SOFTMAX);
    return margin > 0 && agn__margin(dev) >= (int32_t)margin;
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
            if (is_sure(dev, head.margin))
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
