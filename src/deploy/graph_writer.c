/* Writes networks with branches: model.agn of version 4. Where their rows lie is planned in graph_plan.c. */
#include <string.h>

#include "agilenn/base.h"
#include "agn_graph.h"
#include "deploy/writer.h"

struct shape {
    unsigned h, w, c;
    int8_t zero_point;
    float scale;
};

/* Of tensor 0 and what layers before `index` make. */
struct shapes {
    struct shape list[AGN__GRAPH_TENSORS];
};

static int refuse(int index, const char *what, int value)
{
    return agn_fail(AGN_ERR_RANGE, "model.agn: layer %d: %s (%d)", index, what, value);
}

/* The layer on its source, as the device sees it. */
static int make_layer(const struct agn_model_agn *from, int index, const struct shapes *shapes,
                      struct agn_dev_layer *layer)
{
    const struct agn_model_layer *l = &from->layers[index];
    int is_add = l->kind == AGN_LAYER_ADD, channels;
    for (int i = 0; i <= is_add; i++)
        if (l->source[i] < 0 || l->source[i] > index)
            return refuse(index, "it reads a tensor that is not made before it", l->source[i]);
    const struct shape *in = &shapes->list[l->source[0]];
    if (is_add) {
        const struct shape *other = &shapes->list[l->source[1]];
        unsigned read = l->in_c > 0 ? (unsigned)l->in_c : in->c;
        if (in->h != other->h || in->w != other->w || in->c < read || other->c < read)
            return refuse(index, "what it adds differs in shape; the second tensor is", l->source[1]);
        if (!l->sum)
            return refuse(index, "it adds and has no multipliers", 0);
    }
    channels = l->in_c > 0 ? l->in_c : (int)in->c - l->first;
    if (l->first < 0 || channels < 1 || l->first + channels > (int)in->c)
        return refuse(index, "it reads channels that its source does not have, from", l->first);
    int status = agn__device_layer(l, index, in->h, in->w, (unsigned)channels, layer);
    layer->in_zero_point = in->zero_point;
    return status;
}

static struct shape made_by(const struct agn_dev_layer *layer, float scale)
{
    return (struct shape){layer->out_h, layer->out_w, layer->out_c, layer->out_zero_point, scale};
}

static int check_weights(const struct agn_model_agn *from, int index, const struct agn_dev_layer *layer)
{
    if (layer->kind == AGN_LAYER_ADD)
        return 0;
    int is_full = layer->kind == AGN_LAYER_CONV;
    size_t window = (size_t)layer->kernel_h * layer->kernel_w;
    size_t terms = is_full ? window * layer->in_c : window;
    return agn__check_channels("layer", index, from->layers[index].channels, layer->out_c, layer->weights,
                               is_full ? terms : 1, terms, is_full ? 1 : layer->in_c, AGN__INPUT_MAX);
}

static int check_head(const struct agn_model_agn *from, int index, const struct shapes *shapes)
{
    const struct agn_model_head *head = &from->heads[index];
    if (head->tensor < 1 || head->tensor > from->layer_count)
        return agn_fail(AGN_ERR_RANGE, "model.agn: answer %d is of tensor %d; there are 1 to %d", index,
                        head->tensor, from->layer_count);
    const struct shape *in = &shapes->list[head->tensor];
    if (head->first < 0 || head->count < 1 || head->first + head->count > (int)in->c || head->grid < 1 ||
        head->grid > AGN_DEV_MAX_GRID || head->grid > (int)in->h || head->grid > (int)in->w)
        return agn_fail(AGN_ERR_RANGE,
                        "model.agn: answer %d pools channels %d to %d to a grid of %d; tensor %d is %ux%ux%u",
                        index, head->first, head->first + head->count - 1, head->grid, head->tensor, in->h,
                        in->w, in->c);
    if (head->margin < 0 || head->margin > INT16_MAX || head->softmax < 0 || head->softmax > INT16_MAX)
        return agn_fail(AGN_ERR_RANGE, "model.agn: answer %d is sure from %d or %d on; expected 0 to %d",
                        index, head->margin, head->softmax, INT16_MAX);
    size_t inputs = (size_t)head->grid * (size_t)head->grid * (size_t)head->count;
    return agn__check_channels("answer", index, head->channels, (unsigned)from->classes, head->weights,
                               inputs, inputs, 1, AGN__POOLED_MAX);
}

/* Shapes of all tensors, and each layer into layers[]. */
static int walk(const struct agn_model_agn *from, struct shapes *shapes, struct agn_dev_layer *layers)
{
    shapes->list[0] = (struct shape){(unsigned)from->input_h, (unsigned)from->input_w,
                                     (unsigned)from->input_c, 0, from->input_scale[0]};
    for (int i = 0; i < from->layer_count; i++) {
        int status = make_layer(from, i, shapes, &layers[i]);
        if (status == 0)
            status = check_weights(from, i, &layers[i]);
        if (status < 0)
            return status;
        shapes->list[i + 1] = made_by(&layers[i], from->layers[i].out_scale);
    }
    return 0;
}

/* How a tensor goes over the wire as values. */
static int wire_shape(const struct shape *sent, int value_bits, struct agn_map_shape *wire)
{
    return agn_pixels_shape(sent->h, (sent->w * sent->c * (unsigned)value_bits + 7) / 8, wire);
}

static int layers_of(const struct agn_model_cut *cut)
{
    return cut->layers > 0 ? cut->layers : cut->tensor;
}

/* The cut as the device sees it. */
static int check_cut(const struct agn_model_agn *from, int index, const struct shapes *shapes,
                     const struct agn_dev_model *model)
{
    const struct agn_model_cut *cut = &from->cuts[index];
    struct agn_dev_model view = *model;
    struct agn_map_shape wire;
    if (from->value_bits == 0 || cut->tensor < 0 || cut->tensor >= from->sender ||
        (index > 0 && cut->tensor <= cut[-1].tensor))
        return agn_fail(AGN_ERR_RANGE,
                        "model.agn: cut %d is at tensor %d; expected tensors in ascending order below the "
                        "sender, %d, which sends values",
                        index, cut->tensor, from->sender);
    int layers = layers_of(cut);
    if (layers < cut->tensor || layers > from->layer_count || (cut->tensor == 0 && layers > 0))
        return agn_fail(AGN_ERR_RANGE, "model.agn: cut %d runs %d layers; expected %d to %d, 0 of the image",
                        index, layers, cut->tensor, from->layer_count);
    const struct shape *sent = &shapes->list[cut->tensor];
    int status = cut->value_bits < (cut->tensor == 0 ? 8 : 1) || cut->value_bits > 8 ? AGN_ERR_RANGE : 0;
    if (status == 0)
        status = wire_shape(sent, cut->value_bits, &wire);
    if (status == 0) {
        view.map_h = wire.height;
        view.map_w = wire.width;
        view.map_c = wire.channels;
        view.layer_count = (uint8_t)layers;
        if (cut->tensor == 0)
            view.graph.layers = NULL;
        status = agn__model_check(&view);
    }
    if (status < 0)
        return agn_fail(
            AGN_ERR_RANGE,
            "model.agn: cut %d: a tensor of %ux%ux%u cannot be sent as values of %d bits; expected "
            "1 to 8 bits, 8 of the image, at most 255 rows that can be cut into runs, and at most "
            "256 packets a frame",
            index, sent->h, sent->w, sent->c, cut->value_bits);
    return 0;
}

static int check_cuts(const struct agn_model_agn *from, const struct shapes *shapes,
                      const struct agn_dev_model *model)
{
    int status = 0;
    if (from->cut_count < 0 || from->cut_count >= AGN_DEV_MAX_CUTS)
        return agn_fail(AGN_ERR_RANGE, "model.agn: %d cuts besides the sender; expected 0 to %d",
                        from->cut_count, AGN_DEV_MAX_CUTS - 1);
    for (int i = 0; i < from->cut_count && status == 0; i++)
        status = check_cut(from, i, shapes, model);
    return status;
}

/* What is sent, as device and server see it. */
static int set_map(const struct agn_model_agn *from, const struct shape *sent, struct agn_dev_model *model)
{
    struct agn_map_shape wire;
    model->map_h = (uint16_t)sent->h;
    model->map_w = (uint16_t)sent->w;
    model->map_c = (uint16_t)sent->c;
    if (from->value_bits == 0)
        return 0;
    if (from->value_bits < 0 || from->value_bits > 8 || from->local_c != 0 ||
        agn_codec_needs_contexts((int)from->codec) || wire_shape(sent, from->value_bits, &wire) < 0)
        return agn_fail(AGN_ERR_RANGE,
                        "model.agn: a tensor of %ux%ux%u cannot be sent as values of %d bits with codec %d, "
                        "from channel %d on; expected 1 to 8 bits, the codec raw3 or lzw, channel 0, and at "
                        "most 255 rows that can be cut into runs",
                        sent->h, sent->w, sent->c, from->value_bits, (int)from->codec, from->local_c);
    model->graph.value_bits = (uint8_t)from->value_bits;
    model->map_h = wire.height;
    model->map_w = wire.width;
    model->map_c = wire.channels;
    return 0;
}

int agn__graph_layers(const struct agn_model_agn *from, struct agn_dev_model *model)
{
    struct agn_dev_layer layers[AGN_DEV_MAX_GRAPH_LAYERS];
    struct shapes shapes;
    int status = walk(from, &shapes, layers);
    for (int i = 0; i < from->head_count && status == 0; i++)
        status = check_head(from, i, &shapes);
    if (status == 0 && (from->sender < 0 || from->sender > from->layer_count || from->head_count > 255 ||
                        from->head_count < 0 || (from->sender == 0 && from->head_count == 0)))
        status = agn_fail(AGN_ERR_RANGE,
                          "model.agn: %d answers, and tensor %d is sent: there is nothing to make, "
                          "or no such tensor",
                          from->head_count, from->sender);
    if (status < 0)
        return status;
    /* Until the file is read; NULL would be a chain. */
    model->graph.layers = (const uint8_t *)from;
    model->graph.head_count = (uint8_t)from->head_count;
    model->graph.sender = (uint8_t)from->sender;
    if (from->sender > 0)
        status = set_map(from, &shapes.list[from->sender], model);
    return status == 0 ? check_cuts(from, &shapes, model) : status;
}

/* What agn__layer_bind finds again. */
static bool folds(const struct agn_model_layer *from)
{
    bool fits = from->clamp_min == INT8_MIN && from->clamp_max == INT8_MAX && from->kind != AGN_LAYER_ADD;
    for (int i = 0; fits && i < from->out_c; i++)
        fits = from->channels[i].shift <= AGN__FOLD_MAX_SHIFT;
    return fits;
}

static void put_node(struct agn__writer *writer, uint8_t *record, const struct agn_model_layer *from,
                     const struct agn_dev_layer *layer, float in_scale)
{
    agn__put_layer(writer, record, from, layer, in_scale);
    if (!record)
        return;
    record[AGN__GRAPH_SOURCES] = (uint8_t)from->source[0];
    record[AGN__GRAPH_SOURCES + 1] = (uint8_t)(from->kind == AGN_LAYER_ADD ? from->source[1] : 0);
    record[AGN__GRAPH_FOLDS] = folds(from);
    agn__store_u16(record + AGN__GRAPH_FIRST, (uint16_t)from->first);
}

static void put_head(struct agn__writer *writer, uint8_t *record, const struct agn_model_head *from,
                     int classes)
{
    size_t inputs = (size_t)from->grid * (size_t)from->grid * (size_t)from->count;
    uint32_t weights = agn__put_section(writer, from->weights, inputs * (size_t)classes);
    uint32_t channels = agn__put_channels(writer, from->channels, (unsigned)classes);
    if (!record)
        return;
    record[AGN__HEAD_TENSOR] = (uint8_t)from->tensor;
    record[AGN__HEAD_GRID] = (uint8_t)from->grid;
    agn__store_u16(record + AGN__HEAD_FIRST, (uint16_t)from->first);
    agn__store_u16(record + AGN__HEAD_COUNT, (uint16_t)from->count);
    uint16_t softmax = (uint16_t)(AGN__HEAD_SOFTMAX + (unsigned)from->softmax);
    agn__store_u16(record + AGN__HEAD_MARGIN, from->softmax > 0 ? softmax : (uint16_t)from->margin);
    agn__store_u32(record + AGN__HEAD_WEIGHTS, weights);
    agn__store_u32(record + AGN__HEAD_CHANNELS, channels);
}

/* The offset of the table; 0 where there are no cuts. */
static uint32_t put_cuts(struct agn__writer *writer, const struct agn_model_agn *from,
                         const struct shapes *shapes)
{
    uint32_t offset = (uint32_t)writer->size;
    if (from->cut_count == 0)
        return 0;
    uint8_t *record = agn__reserve(writer, (size_t)from->cut_count * AGN__GRAPH_CUT_BYTES);
    for (int i = 0; i < from->cut_count && record; i++, record += AGN__GRAPH_CUT_BYTES) {
        const struct agn_model_cut *cut = &from->cuts[i];
        struct agn_map_shape wire = {0};
        wire_shape(&shapes->list[cut->tensor], cut->value_bits, &wire); /* check_cut has passed it */
        agn__store_u32(record + AGN__CUT_MODEL_ID, cut->model_id);
        record[AGN__CUT_TENSOR] = (uint8_t)cut->tensor;
        record[AGN__CUT_VALUE_BITS] = (uint8_t)cut->value_bits;
        record[AGN__CUT_LAYERS] = (uint8_t)layers_of(cut);
        agn__store_u16(record + AGN__CUT_MAP, wire.height);
        agn__store_u16(record + AGN__CUT_MAP + 2, wire.width);
        agn__store_u16(record + AGN__CUT_MAP + 4, wire.channels);
    }
    return offset;
}

void agn__put_graph(struct agn__writer *writer, const struct agn_model_agn *from,
                    const struct agn_dev_model *model)
{
    struct agn_dev_layer layers[AGN_DEV_MAX_GRAPH_LAYERS];
    struct shapes shapes;
    int status = walk(from, &shapes, layers); /* agn__graph_layers has passed it */
    uint8_t *header = agn__reserve(writer, AGN_MODEL_HEADER_BYTES);
    uint32_t records_at = (uint32_t)writer->size;
    uint8_t *records = agn__reserve(writer, (size_t)from->layer_count * AGN__GRAPH_LAYER_BYTES);
    uint32_t heads_at = (uint32_t)writer->size;
    uint8_t *heads = agn__reserve(writer, (size_t)from->head_count * AGN__GRAPH_HEAD_BYTES);
    for (int i = 0; i < from->layer_count && status == 0; i++)
        put_node(writer, records ? records + (size_t)i * AGN__GRAPH_LAYER_BYTES : NULL, &from->layers[i],
                 &layers[i], shapes.list[from->layers[i].source[0]].scale);
    for (int i = 0; i < from->head_count; i++)
        put_head(writer, heads ? heads + (size_t)i * AGN__GRAPH_HEAD_BYTES : NULL, &from->heads[i],
                 from->classes);
    uint32_t symbols = from->sender > 0 && model->graph.value_bits == 0
                           ? agn__put_section(writer, from->symbols, sizeof from->symbols)
                           : 0;
    uint32_t contexts =
        from->sender > 0 && agn_codec_needs_contexts(model->codec) ? agn__put_contexts(writer, from) : 0;
    uint32_t cuts = put_cuts(writer, from, &shapes);
    agn__reserve(writer, 4); /* the checksum */
    if (!header)
        return;
    agn__put_header(header, from, model);
    header[AGN__AT_HEAD_COUNT] = (uint8_t)from->head_count;
    header[AGN__AT_SENDER] = (uint8_t)from->sender;
    header[AGN__AT_VALUE_BITS] = model->graph.value_bits;
    agn__store_u32(header + AGN__AT_SIZE, (uint32_t)writer->size);
    agn__store_u32(header + AGN__AT_LAYERS, records_at);
    agn__store_u32(header + AGN__AT_HEADS, heads_at);
    agn__store_u32(header + AGN__AT_SYMBOLS, symbols);
    agn__store_u16(header + AGN__AT_CUT_COUNT, (uint16_t)from->cut_count);
    agn__store_u32(header + AGN__AT_CUTS, cuts);
    agn__store_u32(header + AGN__AT_CONTEXTS, contexts);
    header[AGN__AT_DISTRIBUTIONS] = contexts ? from->contexts.distributions : 0;
}
