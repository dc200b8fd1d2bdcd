/* What of a model is counted: which kernel a layer takes, as device/agn_kernel_dsp.c and
 * agn_kernel_graph_dsp.c choose, and how often its loops run. */
#include <math.h>

#include "agilenn/base.h"
#include "agn_graph.h"
#include "measure/work.h"

enum { BLOCK = 4, SYMBOL_BLOCK = 8 };

/* Whole blocks in a row. */
static double blocks_in(unsigned places, unsigned block)
{
    const unsigned whole = places / block;
    return whole;
}

#define ADD(term, amount) (amounts->of[AGN__TERM_##term] += (amount))

/* Output channels [first, end) of a layer; `planes` rows of one channel a frame. */
struct part {
    const struct agn_dev_layer *layer;
    unsigned first, end;
    double planes;
    bool symbols,
        side_by_side; /* to symbols; to places side by side (for a depthwise layer, or the Local NN) */
    bool aligned;     /* rows and places begin at word addresses */
    bool filled;      /* panels are there, from another part of the layer */
    unsigned both;    /* channels below it, of those to symbols, to values, too */
};

/* The share of a part's channels whose sums small kernels take at a fixed shift, others go the plain way
 * (device/agn_kernel_dsp.c, scaled_of). */
static double fixed_share(const struct part *p)
{
    enum { FIXED_SHIFT = 32 + 11, MOST_BITS = 8 };
    const uint8_t *record = p->layer->channels + (size_t)p->first * AGN_MODEL_CHANNEL_BYTES;
    unsigned fitting = 0;
    for (unsigned c = p->first; c < p->end; c++, record += AGN_MODEL_CHANNEL_BYTES) {
        int32_t bias = agn__channel_read(record, 0).bias;
        unsigned shift = record[8];
        fitting +=
            shift <= FIXED_SHIFT && FIXED_SHIFT - shift <= MOST_BITS && bias >= -(1 << 21) && bias < 1 << 21;
    }
    return p->end > p->first ? fitting / (double)(p->end - p->first) : 1.0;
}

/* ---- kernels of chains --------------------------------------------------------------------------- */

static void count_plain(const struct part *p, struct agn__amounts *amounts)
{
    const struct agn_dev_layer *l = p->layer;
    double places = p->planes * l->out_w, rows = places * l->kernel_h;
    if (l->kind == AGN_LAYER_CONV) {
        ADD(conv_plain_plane, p->planes);
        ADD(conv_plain_place, places);
        ADD(conv_plain_row, rows);
        ADD(conv_plain_group, rows * (double)agn__layer_groups(l));
    } else {
        ADD(deep_plain_plane, p->planes);
        ADD(deep_plain_place, places);
        ADD(deep_plain_row, rows);
        ADD(deep_plain_tap, rows * l->kernel_w);
    }
}

static void count_pointwise(const struct part *p, struct agn__amounts *amounts)
{
    const struct agn_dev_layer *l = p->layer;
    bool aligned = p->aligned && l->stride_w == 1;
    unsigned block = aligned && p->symbols && l->in_c == 4                          ? SYMBOL_BLOCK
                     : aligned && p->side_by_side && (l->in_c == 3 || l->in_c == 4) ? BLOCK
                                                                                    : 0;
    double blocks = block > 0 ? p->planes * blocks_in(l->out_w, block) : 0.0;
    ADD(point_plane, p->planes);
    ADD(point_place, p->planes * (block > 0 ? l->out_w % block : l->out_w));
    if (block == SYMBOL_BLOCK)
        ADD(point_symbols, blocks);
    else if (l->in_c == 4)
        ADD(point_block_4, blocks);
    else
        ADD(point_block_3, blocks);
}

static void count_window(const struct part *p, struct agn__amounts *amounts)
{
    const struct agn_dev_layer *l = p->layer;
    double calls = p->planes * blocks_in(l->out_w + BLOCK - 1U, BLOCK), rows = calls * l->kernel_h;
    double groups = rows * (double)agn__layer_groups(l);
    ADD(window_plane, p->planes);
    ADD(window_call, calls);
    if (p->aligned) {
        ADD(window_row, rows);
        ADD(window_group, groups);
    } else {
        ADD(window_any_row, rows);
        ADD(window_any_group, groups);
    }
    if (p->symbols)
        ADD(window_symbols, calls);
}

/* Are two or three places at a row's end computed together? (device/agn_kernel_dsp.c, rest_of) */
static bool rest_is_a_block(const struct agn_dev_layer *l, bool even_planes)
{
    unsigned rest = l->out_w % BLOCK, read = l->stride_w == 1 ? 6 : 10, plane = l->in_w + 2U * l->pad_w;
    plane += even_planes ? plane % 2 : 0;
    return rest >= 2 && l->stride_w <= 2 && (l->out_w - rest) * l->stride_w + read <= plane + 3U;
}

static void count_depthwise(const struct part *p, bool even_planes, struct agn__amounts *amounts)
{
    const struct agn_dev_layer *l = p->layer;
    bool blocks = !p->symbols && even_planes && l->stride_w <= 3;
    double in_blocks = blocks ? p->planes * blocks_in(l->out_w, BLOCK) : 0.0;
    bool rest = blocks && rest_is_a_block(l, even_planes);
    ADD(deep_plane, p->planes);
    ADD(deep_rest, rest ? p->planes : 0.0);
    ADD(deep_place, rest ? 0.0 : p->planes * (blocks ? l->out_w % BLOCK : l->out_w));
    if (l->stride_w == 1)
        ADD(deep_block_1, in_blocks);
    else if (l->stride_w == 2)
        ADD(deep_block_2, in_blocks);
    else
        ADD(deep_block_3, in_blocks);
}

static double planes_of(const struct part *p)
{
    return (double)p->layer->out_h * (p->end - p->first);
}

static void count_in_chain(const struct part *given, bool even_planes, struct agn__amounts *amounts)
{
    struct part fixed = *given, plain = *given;
    const struct agn_dev_layer *l = given->layer;
    bool conv = l->kind == AGN_LAYER_CONV, pointwise = l->kernel_h == 1 && l->kernel_w == 1 && l->in_c <= 4;
    bool has_kernel = l->folds && (conv || (l->kernel_h == 3 && l->kernel_w == 3));
    double share = !has_kernel ? 0.0 : conv && !pointwise ? 1.0 : fixed_share(given);
    fixed.planes = share * planes_of(given);
    plain.planes = (1.0 - share) * planes_of(given);
    count_plain(&plain, amounts);
    if (!conv)
        count_depthwise(&fixed, even_planes, amounts);
    else if (pointwise)
        count_pointwise(&fixed, amounts);
    else
        count_window(&fixed, amounts);
}

/* ---- kernels of networks with branches ------------------------------------------------------------ */

/* Is the image kept as bytes, for the first layer's patches? (device/agn_graph.c, place_of_prepared, and
 * agn_kernel_graph_bytes.c) */
static bool reads_bytes(const struct agn_dev_model *model)
{
    enum { CHANNELS = 4, GROUP_BYTES = 32, BLOCK_BYTES = 64, HEAD_BYTES = 16 };
    struct agn__tensor image, made;
    struct agn__node node;
    agn__graph_node(model, 0, &node);
    agn__graph_tensor(model, 0, &image);
    agn__graph_tensor(model, 1, &made);
    const struct agn_dev_layer *l = &node.shape;
    if (l->kind != AGN_LAYER_CONV || !l->folds || l->pad_h > 0 || l->pad_w > 0 || l->stride_w < l->kernel_w ||
        l->stride_h != l->kernel_h || l->out_c % CHANNELS != 0 || l->in_c != image.c || made.c != l->out_c ||
        image.storage != AGN__STORED_WIDE || made.storage == AGN__STORED_NARROW)
        return false;
    size_t groups = agn__layer_groups(l) * l->kernel_h;
    size_t blocks = (BLOCK_BYTES + GROUP_BYTES * groups) * (l->out_c / CHANNELS);
    if (agn__tensor_bytes(&image) < 4 * groups * l->out_w + HEAD_BYTES + blocks)
        return false;
    for (unsigned i = 1; i < model->layer_count; i++) {
        const uint8_t *record = agn__graph_record(model, i);
        if (record[AGN__GRAPH_SOURCES] == 0 ||
            (record[AGN__LAYER_KIND] == AGN_LAYER_ADD && record[AGN__GRAPH_SOURCES + 1] == 0))
            return false;
    }
    return true;
}

/* Blocks of four channels, a place after the other. */
static void count_bytes(const struct agn_dev_layer *l, struct agn__amounts *amounts)
{
    unsigned groups = (unsigned)agn__layer_groups(l) * l->kernel_h;
    unsigned blocks = l->out_c / BLOCK, loops = groups % 4 == 0 ? groups / 4 : groups;
    double rows = (double)l->out_h * blocks, places = rows * l->out_w;
    ADD(bytes_row, rows);
    ADD(bytes_place, places);
    ADD(bytes_group, places * groups);
    ADD(bytes_loop, places * loops);
}

static void count_panels(const struct part *p, struct agn__amounts *amounts)
{
    const struct agn_dev_layer *l = p->layer;
    unsigned row_groups = (unsigned)agn__layer_groups(l), groups = row_groups * l->kernel_h;
    unsigned unit = groups % 4 == 0 ? 4 : groups % 2 == 0 ? 2 : 1;
    double begun = blocks_in(l->out_w + BLOCK - 1U, BLOCK), panels = begun * l->out_h;
    double sums = begun * p->planes; /* a channel's of a panel */
    double both = p->both > p->first ? begun * l->out_h * (p->both - p->first) : 0.0;
    ADD(panel_row, l->out_h);
    ADD(panel_block, panels);
    ADD(panel_fill_row, p->filled ? 0.0 : panels * l->kernel_h);
    if (p->aligned)
        ADD(panel_fill_group, p->filled ? 0.0 : panels * groups);
    else
        ADD(panel_fill_any, p->filled ? 0.0 : panels * groups);
    if (p->symbols)
        ADD(panel_symbols, sums);
    else
        ADD(panel_values, sums);
    ADD(panel_both, both);
    ADD(panel_loop, sums * (unit == 1 ? (groups + 1) / 2 : groups / unit));
    ADD(panel_group, sums * groups);
}

static void count_large_depthwise(const struct part *p, struct agn__amounts *amounts)
{
    const struct agn_dev_layer *l = p->layer;
    double blocks = p->planes * blocks_in(l->out_w, BLOCK), rest = p->planes * (l->out_w % BLOCK);
    enum agn__term plane;
    if (l->kernel_h == 5)
        plane = l->stride_w == 1 ? AGN__TERM_deep_51_plane : AGN__TERM_deep_52_plane;
    else
        plane = l->stride_w == 1 ? AGN__TERM_deep_71_plane : AGN__TERM_deep_72_plane;
    amounts->of[plane] += p->planes; /* block and place follow in the table */
    amounts->of[plane + 1] += blocks;
    amounts->of[plane + 2] += rest;
}

static void count_in_graph(const struct part *given, struct agn__amounts *amounts)
{
    struct part whole = *given;
    const struct part *p = &whole;
    const struct agn_dev_layer *l = p->layer;
    whole.planes = planes_of(given);
    unsigned k = l->kernel_h;
    bool full = l->kind == AGN_LAYER_CONV;
    bool large = l->kernel_w == k && (k == 5 || k == 7) && l->stride_w <= 2 && !p->symbols;
    if (!l->folds || (!full && !large))
        count_in_chain(p, true, amounts);
    else if (full)
        count_panels(p, amounts);
    else
        count_large_depthwise(p, amounts);
}

/* ---- layers ----------------------------------------------------------------------------------------- */

static void chain_layer(const struct agn_dev_model *model, unsigned index, struct agn__amounts *amounts)
{
    const struct agn_dev_layer *l = &model->layers[index];
    unsigned width = l->in_w + 2u * l->pad_w;
    bool conv = l->kind == AGN_LAYER_CONV, last = index + 1u == model->layer_count;
    bool even = width % 2 == 0;
    struct part p = {.layer = l, .end = l->out_c};
    p.aligned = conv ? (l->stride_w * l->in_c) % 2 == 0 && (width * l->in_c) % 2 == 0 : even;
    p.side_by_side = last || model->layers[index + 1].kind == AGN_LAYER_DWCONV;
    if (!last) {
        count_in_chain(&p, even, amounts);
        return;
    }
    p.end = model->local_c;
    count_in_chain(&p, even, amounts);
    p.first = model->local_c;
    p.end = model->map_c;
    p.symbols = true;
    count_in_chain(&p, even, amounts);
}

/* Are values and symbols of a layer made in one go? (device/agn_graph.c, make_sent) */
static bool is_sent_at_once(const struct agn_dev_model *model, unsigned index)
{
    struct agn__node node;
    struct agn__tensor made;
    agn__graph_node(model, index, &node);
    agn__graph_tensor(model, index + 1, &made);
    return model->graph.sender == index + 1 && model->graph.value_bits == 0 &&
           node.shape.kind == AGN_LAYER_CONV && node.shape.folds && made.c > 0 && made.c <= model->map_c &&
           made.storage != AGN__STORED_NARROW && !(index == 0 && reads_bytes(model));
}

static void graph_layer(const struct agn_dev_model *model, unsigned index, struct agn__amounts *amounts)
{
    struct agn__node node;
    struct agn__tensor made;
    agn__graph_node(model, index, &node);
    agn__graph_tensor(model, index + 1, &made);
    const struct agn_dev_layer *l = &node.shape;
    if (l->kind == AGN_LAYER_ADD)
        return;
    if (index == 0 && reads_bytes(model)) {
        count_bytes(l, amounts);
        return;
    }
    bool at_once = is_sent_at_once(model, index);
    unsigned kept = at_once && made.c > model->local_c ? model->local_c : made.c;
    struct part p = {.layer = l, .end = kept};
    p.aligned = (l->stride_w * l->in_c) % 2 == 0;
    p.side_by_side = made.storage == AGN__STORED_PLANAR;
    if (kept > 0)
        count_in_graph(&p, amounts);
    unsigned first = kept > model->local_c ? kept : model->local_c;
    if (model->graph.sender == index + 1 && model->graph.value_bits == 0 && first < model->map_c) {
        p.filled = at_once && kept > 0;
        p.both = at_once ? made.c : 0;
        p.first = first;
        p.end = model->map_c;
        p.symbols = true;
        count_in_graph(&p, amounts);
    }
}

void agn__layer_amounts(const struct agn_dev_model *model, unsigned layer, struct agn__amounts *amounts)
{
    if (model->graph.layers != NULL)
        graph_layer(model, layer, amounts);
    else
        chain_layer(model, layer, amounts);
}

/* ---- around the kernels ------------------------------------------------------------------------------- */

static void chain_flow(const struct agn_dev_model *model, struct agn__amounts *amounts)
{
    double pixels = (double)model->input_h * model->input_w * model->input_c;
    ADD(flow_frame, 1);
    if (model->layer_count > 0 && model->layers[0].kind == AGN_LAYER_DWCONV && model->input_c > 1)
        ADD(flow_pixel_planar, pixels);
    else
        ADD(flow_pixel, pixels);
    for (unsigned i = 0; i < model->layer_count; i++) {
        const struct agn_dev_layer *l = &model->layers[i];
        ADD(flow_outside, (double)(l->kernel_h + l->pad_h) * (l->in_w + 2u * l->pad_w) * l->in_c);
        ADD(flow_row, l->out_h);
    }
}

/* Rows that a full convolution must copy together, or find as they are. */
static void count_gathers(const struct agn_dev_model *model, const struct agn__node *node,
                          struct agn__amounts *amounts)
{
    const struct agn_dev_layer *l = &node->shape;
    struct agn__tensor source;
    agn__graph_tensor(model, node->source[0], &source);
    double rows = 0.0, outside = 0.0;
    for (unsigned y = 0; y < l->out_h; y++)
        for (unsigned i = 0; i < l->kernel_h; i++) {
            unsigned row = y * l->stride_h + i;
            bool inside = row >= l->pad_h && row - l->pad_h < source.h;
            rows += inside;
            outside += !inside;
        }
    if (l->kind == AGN_LAYER_DWCONV) {
        ADD(nodes_outside,
            outside > 0.0 ? fmin(outside, 2.0 * l->pad_h) * (l->in_w + 2.0 * l->pad_w) * source.c : 0.0);
        return;
    }
    bool direct = source.storage == AGN__STORED_WIDE && source.border == l->pad_w && source.c == l->in_c;
    double width = (double)l->in_w * l->in_c;
    ADD(nodes_outside, outside * (width + 2.0 * l->pad_w * l->in_c));
    if (direct)
        return;
    ADD(nodes_outside, rows * 2.0 * l->pad_w * l->in_c);
    if (source.storage == AGN__STORED_NARROW && source.c == l->in_c)
        ADD(nodes_gather, rows * width);
    else
        ADD(nodes_gather_slow, rows * width);
}

static void count_adds(const struct agn_dev_model *model, const struct agn__node *node,
                       const struct agn__tensor *made, struct agn__amounts *amounts)
{
    struct agn__tensor a, b;
    agn__graph_tensor(model, node->source[0], &a);
    agn__graph_tensor(model, node->source[1], &b);
    double values = (double)made->h * made->w * made->c;
    bool narrow = a.storage == AGN__STORED_NARROW && b.storage == AGN__STORED_NARROW &&
                  made->storage == AGN__STORED_NARROW && a.c == node->shape.in_c && b.c == node->shape.in_c;
    if (narrow)
        ADD(nodes_add, values);
    else
        ADD(nodes_add_slow, values);
}

static void graph_node(const struct agn_dev_model *model, unsigned index, struct agn__amounts *amounts)
{
    struct agn__node node;
    struct agn__tensor made;
    agn__graph_node(model, index, &node);
    agn__graph_tensor(model, index + 1, &made);
    double values = (double)made.h * made.w * made.c;
    ADD(nodes_row, node.shape.out_h);
    ADD(nodes_row_layers, (double)node.shape.out_h * model->layer_count);
    if (node.shape.kind == AGN_LAYER_ADD)
        count_adds(model, &node, &made, amounts);
    else if (index > 0 || !reads_bytes(model))
        count_gathers(model, &node, amounts);
    if (node.shape.kind != AGN_LAYER_ADD && made.storage == AGN__STORED_NARROW)
        ADD(nodes_narrow, values);
    if (model->graph.sender != index + 1)
        return;
    if (model->graph.value_bits > 0)
        ADD(nodes_value, values);
    else if (made.c > model->local_c && !is_sent_at_once(model, index))
        ADD(nodes_symbol, (double)made.h * made.w * (made.c - model->local_c));
}

static void graph_flow(const struct agn_dev_model *model, struct agn__amounts *amounts)
{
    struct agn__tensor image;
    double pixels = (double)model->input_h * model->input_w * model->input_c;
    agn__graph_tensor(model, 0, &image);
    ADD(nodes_frame, 1);
    if (reads_bytes(model)) {
        struct agn__node node;
        agn__graph_node(model, 0, &node);
        ADD(bytes_keep_row, model->input_h);
        ADD(bytes_keep, pixels);
        ADD(bytes_prepare, (double)agn__layer_groups(&node.shape) * node.shape.kernel_h * node.shape.out_c);
    } else if (image.storage == AGN__STORED_WIDE) {
        ADD(nodes_pixel, pixels);
    } else {
        ADD(nodes_pixel_slow, pixels);
    }
    for (unsigned i = 0; i < model->layer_count; i++)
        graph_node(model, i, amounts);
}

void agn__flow_amounts(const struct agn_dev_model *model, struct agn__amounts *amounts)
{
    if (model->graph.layers != NULL)
        graph_flow(model, amounts);
    else
        chain_flow(model, amounts);
}

/* ---- the Local NN's end ----------------------------------------------------------------------------------
 */

static void count_dense(double averages, double classes, struct agn__amounts *amounts)
{
    ADD(dense_average, averages);
    ADD(dense_product, averages * classes);
    ADD(dense_class, classes);
}

void agn__local_amounts(const struct agn_dev_model *model, struct agn__amounts *amounts)
{
    if (model->graph.layers == NULL && model->layer_count > 0) {
        ADD(pool_value, (double)model->map_h * model->map_w * model->local_c);
        ADD(pool_cell, (double)model->map_h * model->grid * model->local_c);
        count_dense((double)model->grid * model->grid * model->local_c, model->classes, amounts);
    }
    for (unsigned i = 0; model->graph.layers != NULL && i < model->graph.head_count; i++) {
        struct agn__head head;
        struct agn__tensor tensor;
        agn__graph_head(model, i, &head);
        agn__graph_tensor(model, head.tensor, &tensor);
        ADD(nodes_pool, (double)tensor.h * tensor.w * head.count);
        ADD(nodes_pool_place, (double)tensor.h * tensor.w);
        count_dense((double)head.grid * head.grid * head.count, model->classes, amounts);
    }
}

/* ---- packets
 * ------------------------------------------------------------------------------------------------ */

void agn__packet_amounts(const struct agn_dev_model *model, double packets, double bytes,
                         struct agn__amounts *amounts)
{
    double symbols = (double)(model->map_c - model->local_c) * model->map_h * model->map_w;
    double pixels = (double)model->input_h * model->input_w,
           coded = fmax(bytes - packets * AGN_FEATURE_OVERHEAD_BYTES, 0.0);
    double rows = (double)(model->map_c - model->local_c) * model->map_h;
    double again =
        (packets - 1.0) * model->map_h * model->map_w; /* a channel that a packet had no room for */
    ADD(pack_frame, 1);
    ADD(pack_packet, packets);
    ADD(pack_byte, bytes);
    switch (model->codec) {
    case AGN_CODEC_LZW:
        ADD(lzw_symbol, symbols);
        ADD(lzw_byte, coded);
        ADD(lzw_again, again);
        break;
    case AGN_CODEC_RANGE:
        ADD(range_symbol, symbols);
        ADD(range_row, rows);
        ADD(range_byte, coded);
        ADD(range_again, again);
        break;
    case AGN_CODEC_JPEG:
        if (model->input_c > 1)
            ADD(jpeg_pixel, pixels);
        else
            ADD(jpeg_pixel_grey, pixels);
        ADD(jpeg_byte, coded);
        break;
    default:
        ADD(raw_symbol, symbols);
        break;
    }
}
