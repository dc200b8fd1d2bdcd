/* Reading model.agn of version 4: every record is checked once, here; then a frame is played to see that the
 * planned rings hold what their readers need and never share memory while both are in use. */
#include "agn_device_internal.h"
#include "agn_graph.h"

#if AGN_WITH_GRAPHS

/* ---- records ------------------------------------------------------------------------- */

void agn__graph_node(const struct agn_dev_model *model, unsigned layer, struct agn__node *node)
{
    const uint8_t *record = agn__graph_record(model, layer);
    memset(node, 0, sizeof *node);
    agn__layer_read(&node->shape, record);
    node->shape.weights = (const int8_t *)model->data + agn__load_u32(record + AGN__LAYER_WEIGHTS);
    node->shape.channels = model->data + agn__load_u32(record + AGN__LAYER_CHANNELS);
    node->segment = record[AGN__GRAPH_SEGMENT];
    node->source[0] = record[AGN__GRAPH_SOURCES];
    node->source[1] = record[AGN__GRAPH_SOURCES + 1];
    node->last_reader = record[AGN__GRAPH_LAST_READER];
    node->shape.folds = record[AGN__GRAPH_FOLDS];
    node->first = agn__load_u16(record + AGN__GRAPH_FIRST);
}

static void read_storage(struct agn__tensor *tensor, const uint8_t *from, uint32_t offset)
{
    tensor->storage = from[0];
    tensor->border = from[1];
    tensor->rows = agn__load_u16(from + 2);
    tensor->offset = offset;
}

void agn__graph_tensor(const struct agn_dev_model *model, unsigned index, struct agn__tensor *tensor)
{
    if (index == 0) {
        tensor->h = model->input_h;
        tensor->w = model->input_w;
        tensor->c = model->input_c;
        read_storage(tensor, model->data + AGN__AT_IMAGE, agn__load_u32(model->data + AGN__AT_IMAGE + 4));
        return;
    }
    const uint8_t *record = agn__graph_record(model, index - 1);
    tensor->h = agn__load_u16(record + AGN__LAYER_SHAPE + 6);
    tensor->w = agn__load_u16(record + AGN__LAYER_SHAPE + 8);
    tensor->c = agn__load_u16(record + AGN__GRAPH_KEPT);
    read_storage(tensor, record + AGN__GRAPH_STORAGE, agn__load_u32(record + AGN__GRAPH_OFFSET));
}

void agn__graph_head(const struct agn_dev_model *model, unsigned index, struct agn__head *head)
{
    const uint8_t *record = model->graph.heads + (size_t)index * AGN__GRAPH_HEAD_BYTES;
    head->tensor = record[AGN__HEAD_TENSOR];
    head->grid = record[AGN__HEAD_GRID];
    head->first = agn__load_u16(record + AGN__HEAD_FIRST);
    head->count = agn__load_u16(record + AGN__HEAD_COUNT);
    head->margin = agn__load_u16(record + AGN__HEAD_MARGIN);
    head->weights = (const int8_t *)model->data + agn__load_u32(record + AGN__HEAD_WEIGHTS);
    head->channels = model->data + agn__load_u32(record + AGN__HEAD_CHANNELS);
}

uint32_t agn__tensor_row_bytes(const struct agn__tensor *tensor)
{
    switch (tensor->storage) {
    case AGN__STORED_NARROW:
        return AGN_DEV_ALIGN4((uint32_t)tensor->w * tensor->c);
    case AGN__STORED_WIDE:
        return AGN_DEV_ALIGN4(2u * ((uint32_t)tensor->w + 2u * tensor->border) * tensor->c);
    case AGN__STORED_PLANAR:
        return 2u * (uint32_t)agn__tensor_plane(tensor) * tensor->c;
    default:
        return 0;
    }
}

/* ---- memory besides tensors -------------------------------------------------------------- */

uint32_t agn__graph_state_bytes(const struct agn_dev_model *model)
{
    return AGN_DEV_ALIGN4(2u * (model->layer_count + 1u));
}

/* A row of each source as a kernel wants it, one more for what is outside the image, a row to be; of a full
 * convolution only rows that have to be copied, and its panel. */
uint32_t agn__graph_scratch_bytes(const struct agn_dev_model *model)
{
    uint32_t most = 0;
    for (unsigned i = 0; i < model->layer_count; i++) {
        struct agn__node node;
        struct agn__tensor source, made;
        agn__graph_node(model, i, &node);
        agn__graph_tensor(model, node.source[0], &source);
        agn__graph_tensor(model, i + 1, &made);
        const struct agn_dev_layer *layer = &node.shape;
        uint32_t in = AGN_DEV_ALIGN4(2u * ((uint32_t)layer->in_w + 2u * layer->pad_w) * layer->in_c);
        uint32_t out = AGN_DEV_ALIGN4(2u * (uint32_t)layer->out_w * made.c), bytes;
        if (layer->kind == AGN_LAYER_ADD)
            continue;
        if (layer->kind == AGN_LAYER_DWCONV)
            bytes = agn__tensor_row_bytes(&source) + out;
        else
            bytes = in * (agn__rows_are_direct(&node, &source) ? 0u : layer->kernel_h) +
                    in * (layer->pad_h > 0) + out + agn__panel_bytes(layer);
        most = bytes > most ? bytes : most;
    }
    return most + 8u; /* what kernels may read beyond a row */
}

uint32_t agn__graph_pool_bytes(const struct agn_dev_model *model)
{
    uint32_t bytes = 0;
    for (unsigned i = 0; i < model->graph.head_count; i++) {
        struct agn__head head;
        agn__graph_head(model, i, &head);
        bytes += AGN_DEV_POOL_BYTES(head.grid, head.count);
    }
    return bytes;
}

void agn__graph_memory(const struct agn_dev_model *model, struct agn_dev_memory *memory)
{
    memory->line_bytes = agn__graph_state_bytes(model) + model->graph.tensor_bytes;
    memory->map_row_bytes = agn__graph_scratch_bytes(model);
    memory->pool_bytes = agn__graph_pool_bytes(model);
    for (unsigned i = 0; i < model->graph.head_count; i++) {
        struct agn__head head;
        agn__graph_head(model, i, &head);
        memory->dense_weight_bytes += (uint32_t)head.grid * head.grid * head.count * model->classes;
        memory->dense_channel_bytes += (uint32_t)model->classes * AGN_MODEL_CHANNEL_BYTES;
    }
    memory->dense_macs = memory->dense_weight_bytes;
}

void agn__graph_layer_info(const struct agn_dev_model *model, unsigned index, struct agn_dev_layer_info *info)
{
    const uint8_t *record = agn__graph_record(model, index);
    struct agn__node node;
    struct agn__tensor made;
    agn__graph_node(model, index, &node);
    agn__graph_tensor(model, index + 1, &made);
    const struct agn_dev_layer *layer = &node.shape;
    int is_add = layer->kind == AGN_LAYER_ADD;
    info->shape = *layer;
    info->macs = is_add ? 0 : (uint64_t)layer->out_h * layer->out_w * agn__layer_weight_count(layer);
    info->weight_bytes = is_add ? 0 : agn__layer_weight_bytes(layer);
    info->channel_bytes = (is_add ? 1u : layer->out_c) * (uint32_t)AGN_MODEL_CHANNEL_BYTES;
    info->line_bytes = agn__tensor_bytes(&made);
    info->in_scale_bits = agn__load_u32(record + AGN__LAYER_IN_SCALE);
    info->out_scale_bits = agn__load_u32(record + AGN__LAYER_OUT_SCALE);
}

/* ---- checks of single records --------------------------------------------------------------- */

static int check_storage(const struct agn__tensor *tensor)
{
    if (tensor->storage >= AGN__STORAGE_COUNT)
        return AGN_ERR_UNSUPPORTED;
    if (tensor->border > AGN_DEV_MAX_PAD || (tensor->storage <= AGN__STORED_NARROW && tensor->border != 0))
        return AGN_ERR_RANGE;
    return (tensor->storage == AGN__STORED_NOT) == (tensor->c == 0) ? 0 : AGN_ERR_RANGE;
}

static int8_t zero_point_of(const struct agn_dev_model *model, unsigned tensor)
{
    if (tensor == 0)
        return 0;
    return agn__load_s8(agn__graph_record(model, tensor - 1) + AGN__LAYER_ZERO_POINTS + 1);
}

static unsigned segment_of(const struct agn_dev_model *model, unsigned tensor)
{
    return tensor == 0 ? 0 : agn__graph_record(model, tensor - 1)[AGN__GRAPH_SEGMENT];
}

static int check_add(const struct agn__node *node, const uint8_t *record)
{
    const struct agn_dev_layer *layer = &node->shape;
    if (layer->kernel_h != 1 || layer->kernel_w != 1 || layer->stride_h != 1 || layer->stride_w != 1 ||
        layer->in_c != layer->out_c || node->first != 0 || agn__load_u32(record + AGN__LAYER_WEIGHTS) != 0)
        return AGN_ERR_RANGE;
    int64_t bias = agn__load_s32(layer->channels);
    return layer->channels[8] <= 30 && bias >= -(INT64_C(1) << 30) && bias <= INT64_C(1) << 30
               ? 0
               : AGN_ERR_RANGE;
}

/* That layer and source fit together, `which` being 0 or 1. */
static int check_source(const struct agn_dev_model *model, unsigned index, const struct agn__node *node,
                        unsigned which)
{
    unsigned tensor = node->source[which];
    struct agn__tensor source;
    if (tensor > index) /* made later, or by this layer */
        return AGN_ERR_RANGE;
    agn__graph_tensor(model, tensor, &source);
    const struct agn_dev_layer *layer = &node->shape;
    if (source.h != layer->in_h || source.w != layer->in_w ||
        (uint32_t)node->first + layer->in_c > source.c || segment_of(model, tensor) > node->segment)
        return AGN_ERR_RANGE;
    if (which == 0 && layer->kind != AGN_LAYER_ADD && layer->in_zero_point != zero_point_of(model, tensor))
        return AGN_ERR_RANGE;
    if (layer->kind == AGN_LAYER_DWCONV &&
        (source.storage != AGN__STORED_PLANAR || source.border != layer->pad_w))
        return AGN_ERR_RANGE;
    return 0;
}

static int check_layer(const struct agn_dev_model *model, unsigned index, size_t body)
{
    const uint8_t *record = agn__graph_record(model, index);
    struct agn__node node;
    struct agn__tensor made;
    agn__graph_node(model, index, &node);
    agn__graph_tensor(model, index + 1, &made);
    struct agn_dev_layer shape = node.shape;
    if (shape.kind == AGN_LAYER_ADD)
        shape.kind = AGN_LAYER_DWCONV; /* of one place: as many channels come out as go in */
    int status = agn__layer_check(&shape);
    if (status == 0)
        status = check_storage(&made);
    if (status < 0)
        return status;
    unsigned before = index > 0 ? segment_of(model, index) : 0;
    if (node.segment < before || node.segment > before + (index > 0) || made.c > node.shape.out_c ||
        !agn__is_zero(record + AGN__GRAPH_ZERO, AGN__GRAPH_LAYER_BYTES - AGN__GRAPH_ZERO))
        return AGN_ERR_RANGE;
    status = check_source(model, index, &node, 0);
    if (status == 0 && node.shape.kind == AGN_LAYER_ADD)
        status = check_source(model, index, &node, 1);
    else if (status == 0 && node.source[1] != 0)
        status = AGN_ERR_RANGE;
    if (status < 0)
        return status;
    if (node.shape.kind != AGN_LAYER_ADD) {
        status = agn__layer_bind(&node.shape, model->data, body, record);
        return status == 0 && node.shape.folds != record[AGN__GRAPH_FOLDS] ? AGN_ERR_RANGE : status;
    }
    node.shape.channels =
        agn__model_section(model->data, body, record + AGN__LAYER_CHANNELS, AGN_MODEL_CHANNEL_BYTES);
    if (!node.shape.channels || made.c != node.shape.out_c || record[AGN__GRAPH_FOLDS] != 0)
        return AGN_ERR_RANGE;
    return check_add(&node, record);
}

static int check_head(const struct agn_dev_model *model, unsigned index, size_t body)
{
    const uint8_t *record = model->graph.heads + (size_t)index * AGN__GRAPH_HEAD_BYTES;
    struct agn__head head;
    struct agn__tensor tensor;
    agn__graph_head(model, index, &head);
    if (head.tensor < 1 || head.tensor > model->layer_count || head.grid < 1 ||
        head.grid > AGN_DEV_MAX_GRID || head.count < 1 || head.margin == AGN__HEAD_SOFTMAX ||
        !agn__is_zero(record + AGN__HEAD_ZERO, AGN__GRAPH_HEAD_BYTES - AGN__HEAD_ZERO))
        return AGN_ERR_RANGE;
    if (index > 0 && record[AGN__HEAD_TENSOR - AGN__GRAPH_HEAD_BYTES] > head.tensor)
        return AGN_ERR_RANGE; /* answers come in the order of layers */
    agn__graph_tensor(model, head.tensor, &tensor);
    /* Sums of a cell stay within 32 bits once they have fraction bits. */
    if (head.grid > tensor.h || head.grid > tensor.w || (uint32_t)head.first + head.count > tensor.c ||
        tensor.h > AGN_DEV_MAX_MAP_SIDE || tensor.w > AGN_DEV_MAX_MAP_SIDE)
        return AGN_ERR_RANGE;
    size_t inputs = (size_t)head.grid * head.grid * head.count;
    head.weights = (const int8_t *)agn__model_section(model->data, body, record + AGN__HEAD_WEIGHTS,
                                                      (uint32_t)inputs * model->classes);
    head.channels = agn__model_section(model->data, body, record + AGN__HEAD_CHANNELS,
                                       (uint32_t)model->classes * AGN_MODEL_CHANNEL_BYTES);
    if (!head.weights || !head.channels)
        return AGN_ERR_RANGE;
    return agn__dense_check(head.weights, head.channels, model->classes, inputs);
}

/* Whole rows of the tensor, in runs of bytes (that these are the fewest is for the server to see). */
static int check_values(const struct agn_dev_model *model, const struct agn__tensor *tensor,
                        unsigned channels)
{
    uint32_t bits = (uint32_t)tensor->w * channels * model->graph.value_bits;
    uint32_t run = model->map_w * (uint32_t)AGN_WIRE_SYMBOL_BITS / 8u;
    return model->graph.value_bits <= 8 && !agn_codec_needs_contexts(model->codec) && model->local_c == 0 &&
                   tensor->c == channels && tensor->h == model->map_c && run * model->map_h == (bits + 7) / 8
               ? 0
               : AGN_ERR_RANGE;
}

int agn__graph_check_sender(const struct agn_dev_model *model)
{
    struct agn__tensor tensor;
    if (model->graph.sender == 0)
        return model->map_c == 0 && model->local_c == 0 && !agn__sends_values(model) ? 0 : AGN_ERR_RANGE;
    if (model->graph.sender > model->layer_count)
        return AGN_ERR_RANGE;
    agn__graph_tensor(model, model->graph.sender, &tensor);
    unsigned channels =
        agn__load_u16(agn__graph_record(model, model->graph.sender - 1u) + AGN__LAYER_SHAPE + 10);
    if (agn__sends_values(model))
        return check_values(model, &tensor, channels);
    return tensor.h == model->map_h && tensor.w == model->map_w && channels >= model->map_c ? 0
                                                                                            : AGN_ERR_RANGE;
}

/* ---- a frame without values -------------------------------------------------------------------- */

/* Rows of its source that a layer needs before it can make row `y`. */
static unsigned rows_needed(const uint8_t *record, unsigned y)
{
    unsigned end = y * record[AGN__LAYER_KIND + 3] + record[AGN__LAYER_KIND + 1];
    unsigned pad = record[AGN__LAYER_KIND + 5], h = agn__load_u16(record + AGN__LAYER_SHAPE);
    end = end > pad ? end - pad : 0;
    return end < h ? end : h;
}

static int can_make(const uint8_t *record, const uint16_t *made, unsigned layer)
{
    unsigned y = made[layer + 1], needed;
    if (y >= agn__load_u16(record + AGN__LAYER_SHAPE + 6))
        return 0;
    needed = rows_needed(record, y);
    return made[record[AGN__GRAPH_SOURCES]] >= needed &&
           (record[AGN__LAYER_KIND] != AGN_LAYER_ADD || made[record[AGN__GRAPH_SOURCES + 1]] >= needed);
}

int agn__graph_next(const struct agn_dev_model *model, const uint16_t *made, unsigned segment, unsigned from)
{
    unsigned layer = from < model->layer_count ? from : model->layer_count - 1u;
    const uint8_t *record = agn__graph_record(model, layer);
    for (;; layer--, record -= AGN__GRAPH_LAYER_BYTES) {
        if (record[AGN__GRAPH_SEGMENT] < segment)
            return -1;
        if (record[AGN__GRAPH_SEGMENT] == segment && can_make(record, made, layer))
            return (int)layer;
        if (layer == 0)
            return -1;
    }
}

/* The first row of `tensor` that some reader still needs. */
static unsigned first_needed(const struct agn_dev_model *model, const uint16_t *made, unsigned tensor)
{
    unsigned first = UINT16_MAX;
    for (unsigned i = tensor; i < model->layer_count; i++) {
        const uint8_t *record = agn__graph_record(model, i);
        int second = record[AGN__LAYER_KIND] == AGN_LAYER_ADD && record[AGN__GRAPH_SOURCES + 1] == tensor;
        if (record[AGN__GRAPH_SOURCES] != tensor && !second)
            continue;
        unsigned y = made[i + 1], pad = record[AGN__LAYER_KIND + 5];
        if (y >= agn__load_u16(record + AGN__LAYER_SHAPE + 6))
            continue;
        unsigned row = y * record[AGN__LAYER_KIND + 3];
        row = row > pad ? row - pad : 0;
        first = row < first ? row : first;
    }
    return first;
}

/* Notes that a row of a tensor is there, at time `now`. */
static void play_row(const struct agn_dev_model *model, uint16_t *made, unsigned tensor, uint32_t now,
                     struct agn__life *life)
{
    if (made[tensor] == 0)
        life->begin = now;
    life->end = now;
    made[tensor]++;
    unsigned first = first_needed(model, made, tensor), held = made[tensor];
    held = first < held ? held - first : 1; /* the row itself has to be somewhere */
    life->rows = held > life->rows ? (uint16_t)held : life->rows;
}

int agn__graph_play(const struct agn_dev_model *model, struct agn__life lives[AGN__GRAPH_TENSORS])
{
    uint16_t made[AGN__GRAPH_TENSORS];
    uint32_t now = 0;
    unsigned last = model->layer_count - 1u, segments = segment_of(model, model->layer_count) + 1u;
    memset(made, 0, sizeof made);
    memset(lives, 0, AGN__GRAPH_TENSORS * sizeof *lives);
    for (unsigned segment = 0, image = 0; segment < segments;) {
        int layer = agn__graph_next(model, made, segment, last);
        if (layer < 0 && segment == 0 && image < model->input_h) {
            play_row(model, made, 0, ++now, &lives[0]);
            image++;
            continue;
        }
        if (layer < 0) {
            segment++;
            continue;
        }
        const uint8_t *record = agn__graph_record(model, (unsigned)layer);
        now++;
        lives[record[AGN__GRAPH_SOURCES]].end = now;
        if (record[AGN__LAYER_KIND] == AGN_LAYER_ADD)
            lives[record[AGN__GRAPH_SOURCES + 1]].end = now;
        play_row(model, made, (unsigned)layer + 1u, now, &lives[layer + 1]);
    }
    for (unsigned i = 0; i < model->layer_count; i++)
        if (made[i + 1] != agn__load_u16(agn__graph_record(model, i) + AGN__LAYER_SHAPE + 6))
            return AGN_ERR_RANGE;
    return 0;
}

/* ---- the plan ---------------------------------------------------------------------------------- */

static unsigned last_reader_of(const struct agn_dev_model *model, unsigned tensor)
{
    for (unsigned i = model->layer_count; i > tensor; i--) {
        const uint8_t *record = agn__graph_record(model, i - 1u);
        if (record[AGN__GRAPH_SOURCES] == tensor ||
            (record[AGN__LAYER_KIND] == AGN_LAYER_ADD && record[AGN__GRAPH_SOURCES + 1] == tensor))
            return i - 1u;
    }
    return AGN__GRAPH_NEVER;
}

static int overlap(const struct agn__tensor *a, const struct agn__tensor *b)
{
    return a->offset < b->offset + agn__tensor_bytes(b) && b->offset < a->offset + agn__tensor_bytes(a);
}

static int check_plan(const struct agn_dev_model *model)
{
    struct agn__life lives[AGN__GRAPH_TENSORS];
    uint64_t most = 0;
    int status = agn__graph_play(model, lives);
    if (status < 0)
        return status;
    for (unsigned i = 0; i <= model->layer_count; i++) {
        struct agn__tensor tensor, other;
        agn__graph_tensor(model, i, &tensor);
        if (tensor.storage == AGN__STORED_NOT)
            continue;
        uint64_t end = (uint64_t)tensor.offset + (uint64_t)agn__tensor_row_bytes(&tensor) * tensor.rows;
        most = end > most ? end : most;
        if (tensor.rows < lives[i].rows || tensor.rows > tensor.h || (tensor.offset & 3) != 0)
            return AGN_ERR_RANGE;
        if (i > 0 && agn__graph_record(model, i - 1)[AGN__GRAPH_LAST_READER] != last_reader_of(model, i))
            return AGN_ERR_RANGE;
        for (unsigned j = 0; j < i; j++) {
            agn__graph_tensor(model, j, &other);
            if (other.storage != AGN__STORED_NOT && lives[j].begin <= lives[i].end &&
                lives[i].begin <= lives[j].end && overlap(&tensor, &other))
                return AGN_ERR_RANGE;
        }
    }
    return most == model->graph.tensor_bytes ? 0 : AGN_ERR_RANGE;
}

int agn__graph_read(struct agn_dev_model *model, const uint8_t *data, size_t body)
{
    struct agn__tensor image;
    model->graph.head_count = data[AGN__AT_HEAD_COUNT];
    model->graph.sender = data[AGN__AT_SENDER];
    model->graph.tensor_bytes = agn__load_u32(data + AGN__AT_TENSOR_BYTES);
    model->graph.layers = agn__model_section(data, body, data + AGN__AT_LAYERS,
                                             (uint32_t)model->layer_count * AGN__GRAPH_LAYER_BYTES);
    model->graph.heads = agn__model_section(data, body, data + AGN__AT_HEADS,
                                            (uint32_t)model->graph.head_count * AGN__GRAPH_HEAD_BYTES);
    if (!model->graph.layers || !model->graph.heads || model->graph.tensor_bytes > UINT32_C(1) << 28 ||
        (model->graph.tensor_bytes & 3) != 0) /* what lies behind is aligned */
        return AGN_ERR_RANGE;
    if (model->graph.head_count == 0 && model->graph.sender == 0)
        return AGN_ERR_RANGE; /* all for nothing */
    agn__graph_tensor(model, 0, &image);
    int status = check_storage(&image);
    for (unsigned i = 0; i < model->layer_count && status == 0; i++)
        status = check_layer(model, i, body);
    for (unsigned i = 0; i < model->graph.head_count && status == 0; i++)
        status = check_head(model, i, body);
    if (status == 0)
        status = agn__graph_check_sender(model);
    if (status == 0)
        status = check_plan(model);
    return status == 0 ? agn__graph_check_cuts(model, body) : status;
}

#endif

typedef int agn__graph_model_is_not_empty;
