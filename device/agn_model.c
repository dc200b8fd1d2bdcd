/* Reading model.agn from flash: every size, offset and value is checked once, here, so that
 * the rest of the runtime need not check again. Also the figures for reports. */
#include "agn_device_internal.h"

/* ---- one layer ------------------------------------------------------------------ */

unsigned agn__layer_out_side(unsigned in, unsigned kernel, unsigned stride, unsigned pad)
{
    unsigned padded = in + 2 * pad;
    return padded < kernel || stride == 0 ? 0 : (padded - kernel) / stride + 1;
}

uint32_t agn__layer_weight_count(const struct agn_dev_layer *layer)
{
    uint32_t window = (uint32_t)layer->kernel_h * layer->kernel_w * layer->in_c;
    return layer->kind == AGN_LAYER_CONV ? window * layer->out_c : window;
}

uint32_t agn__layer_weight_bytes(const struct agn_dev_layer *layer)
{
    if (layer->kind != AGN_LAYER_CONV)
        return agn__layer_weight_count(layer);
    return 4 * (uint32_t)agn__layer_groups(layer) * layer->kernel_h * layer->out_c;
}

static int axis_is_valid(unsigned in, unsigned out, unsigned kernel, unsigned stride, unsigned pad)
{
    if (in < 1 || in > AGN_DEV_MAX_SIDE || out > AGN_DEV_MAX_SIDE)
        return 0;
    if (kernel < 1 || kernel > AGN_DEV_MAX_KERNEL || stride < 1 || stride > AGN_DEV_MAX_STRIDE)
        return 0;
    /* pad < kernel: every window touches the image. */
    if (pad > AGN_DEV_MAX_PAD || pad >= kernel)
        return 0;
    return out >= 1 && out == agn__layer_out_side(in, kernel, stride, pad);
}

int agn__layer_check(const struct agn_dev_layer *layer)
{
    if (layer->kind > AGN_LAYER_DWCONV)
        return AGN_ERR_UNSUPPORTED;
    if (!axis_is_valid(layer->in_h, layer->out_h, layer->kernel_h, layer->stride_h, layer->pad_h) ||
        !axis_is_valid(layer->in_w, layer->out_w, layer->kernel_w, layer->stride_w, layer->pad_w))
        return AGN_ERR_RANGE;
    if (layer->in_c < 1 || layer->in_c > AGN_DEV_MAX_INNER_CHANNELS || layer->out_c < 1 ||
        layer->out_c > AGN_DEV_MAX_INNER_CHANNELS)
        return AGN_ERR_RANGE;
    if (layer->kind == AGN_LAYER_DWCONV && layer->in_c != layer->out_c)
        return AGN_ERR_RANGE;
    return layer->clamp_min <= layer->clamp_max ? 0 : AGN_ERR_RANGE;
}

int agn__channel_check(struct agn__channel channel, const int8_t *weights, size_t count, size_t step,
                       uint32_t input_max)
{
    if (channel.multiplier < 0 || channel.shift < AGN_DEV_MIN_SHIFT || channel.shift > AGN_DEV_MAX_SHIFT)
        return AGN_ERR_RANGE;
    uint32_t weight_sum = 0; /* at most 128 * 16 * 16 * 1024 */
    for (size_t i = 0; i < count; i++) {
        int weight = weights[i * step];
        weight_sum += (uint32_t)(weight < 0 ? -weight : weight);
    }
    int64_t bias = channel.bias;
    int64_t bound = (bias < 0 ? -bias : bias) + (int64_t)weight_sum * input_max;
    return bound <= INT32_MAX ? 0 : AGN_ERR_RANGE;
}

/* ---- the header -------------------------------------------------------------------- */

/* A section of `count` bytes whose offset stands at `field`; NULL if it is not inside the body. */
const uint8_t *agn__model_section(const uint8_t *data, size_t body, const uint8_t *field, uint32_t count)
{
    uint32_t offset = agn__load_u32(field);
    if ((offset & 3) != 0 || offset < AGN_MODEL_HEADER_BYTES || offset > body || count > body - offset)
        return NULL;
    return data + offset;
}

int agn__is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return 0;
    return 1;
}

/* Magic, version, length, checksum: what makes it safe to speak of fields. */
static int has_magic(const uint8_t *data)
{
    for (unsigned i = 0; i < 4; i++)
        if (data[AGN__AT_MAGIC + i] != (uint8_t)AGN__MODEL_MAGIC[i])
            return 0;
    return 1;
}

/* A version that this build reads. */
static int is_known(unsigned version)
{
    return version == AGN_MODEL_VERSION || (AGN_WITH_GRAPHS && version == AGN_MODEL_VERSION_GRAPH);
}

size_t agn_dev_model_bytes(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    if (len < AGN_MODEL_HEADER_BYTES || !has_magic(bytes) ||
        !is_known(agn__load_u16(bytes + AGN__AT_VERSION)))
        return 0;
    uint32_t size = agn__load_u32(bytes + AGN__AT_SIZE);
    return size <= len ? (size_t)size : 0;
}

static int check_envelope(const uint8_t *data, size_t len)
{
    if (!agn__is_aligned_32(data))
        return AGN_ERR_ARG;
    if (len < AGN_MODEL_HEADER_BYTES + 4)
        return AGN_ERR_FORMAT;
    if (!has_magic(data))
        return AGN_ERR_FORMAT;
    if (!is_known(agn__load_u16(data + AGN__AT_VERSION)))
        return AGN_ERR_VERSION;
    uint32_t size = agn__load_u32(data + AGN__AT_SIZE);
    if (agn__load_u16(data + AGN__AT_HEADER_BYTES) != AGN_MODEL_HEADER_BYTES || size != len ||
        size > INT32_MAX)
        return AGN_ERR_FORMAT;
    return agn__load_u32(data + len - 4) == agn_crc32(0, data, len - 4) ? 0 : AGN_ERR_CHECKSUM;
}

void agn__read_sure(struct agn_dev_model *model)
{
    unsigned margin = agn__load_u16(model->data + AGN__AT_SURE_MARGIN);
    model->sure_margins = NULL;
    if (margin == AGN__SURE_BY_CLASS) {
        model->sure_margins = model->data + model->size_bytes - 4 - 2 * (size_t)model->classes;
        margin = 0;
    }
    model->sure_margin = (uint16_t)margin;
}

static void read_header(struct agn_dev_model *model, const uint8_t *data, size_t len)
{
    memset(model, 0, sizeof *model);
    model->data = data;
    model->size_bytes = (uint32_t)len;
    model->model_id = agn__load_u32(data + AGN__AT_MODEL_ID);
    model->input_h = agn__load_u16(data + AGN__AT_INPUT);
    model->input_w = agn__load_u16(data + AGN__AT_INPUT + 2);
    model->input_c = agn__load_u16(data + AGN__AT_INPUT + 4);
    model->map_h = agn__load_u16(data + AGN__AT_MAP);
    model->map_w = agn__load_u16(data + AGN__AT_MAP + 2);
    model->map_c = agn__load_u16(data + AGN__AT_MAP + 4);
    model->local_c = agn__load_u16(data + AGN__AT_LOCAL_C);
    model->grid = agn__load_u16(data + AGN__AT_GRID);
    model->classes = agn__load_u16(data + AGN__AT_CLASSES);
    model->alpha_q15 = agn__load_u16(data + AGN__AT_ALPHA);
    agn__read_sure(model);
    model->codec = data[AGN__AT_CODEC];
    model->layer_count = data[AGN__AT_LAYER_COUNT];
    if (AGN_WITH_GRAPHS && agn__load_u16(data + AGN__AT_VERSION) == AGN_MODEL_VERSION_GRAPH) {
        model->graph.layers = data; /* until they are found */
        model->grid = 0;            /* the number of cuts stands there */
        model->graph.cut = (uint8_t)agn__load_u16(data + AGN__AT_CUT_COUNT);
        model->graph.sender = data[AGN__AT_SENDER];
        model->graph.value_bits = data[AGN__AT_VALUE_BITS];
    }
    for (unsigned c = 0; c < AGN_DEV_MAX_INPUT_CHANNELS; c++)
        model->input_zero_point[c] = agn__load_s8(data + AGN__AT_INPUT_ZERO_POINT + c);
}

/* Feature packets that a frame takes at most: each holds at least what raw packing lets it. */
static unsigned packets_at_most(const struct agn_dev_model *model)
{
    unsigned sent = (unsigned)(model->map_c - model->local_c);
    unsigned rows = AGN_FEATURE_MAX_PAYLOAD * 8u / (AGN_WIRE_SYMBOL_BITS * (unsigned)model->map_w);
    unsigned channels = rows / model->map_h;
    if (channels > 0)
        return (sent + channels - 1) / channels;
    return sent * ((model->map_h + rows - 1) / rows);
}

/* A model without layers: its sent channels are rows of pixels, in runs as agn_pixels_shape makes them (that
 * these are the fewest, and have no symbol too many, is for the server to see). */
static int sends_pixels(const struct agn_dev_model *model)
{
    unsigned run = model->map_w * (unsigned)AGN_WIRE_SYMBOL_BITS / 8u;
    return model->local_c == 0 && model->map_c == model->input_h &&
           (uint32_t)run * model->map_h == (uint32_t)model->input_w * model->input_c;
}

/* What is sent: a feature map's channels from local_c on, or pixels. */
static int check_map(const struct agn_dev_model *model)
{
    if (model->map_h < 1 || model->map_h > AGN_DEV_MAX_MAP_SIDE || model->map_w < 1 ||
        model->map_w > AGN_DEV_MAX_MAP_SIDE || model->map_c > AGN_DEV_MAX_CHANNELS)
        return AGN_ERR_RANGE;
    if (model->local_c >= model->map_c)
        return AGN_ERR_RANGE;
    return packets_at_most(model) <= 256 ? 0 : AGN_ERR_RANGE;
}

/* The chain of layers and its Local NN, or pixels. */
static int check_chain(const struct agn_dev_model *model)
{
    if (model->layer_count > AGN_DEV_MAX_LAYERS)
        return AGN_ERR_RANGE;
    if (model->grid > AGN_DEV_MAX_GRID || model->grid > model->map_h || model->grid > model->map_w)
        return AGN_ERR_RANGE;
    if (model->layer_count > 0 ? model->local_c < 1 || model->grid < 1 : !sends_pixels(model))
        return AGN_ERR_RANGE;
    if (agn__sends_jpeg(model) && agn__jpeg_check(model) < 0)
        return AGN_ERR_RANGE;
    return check_map(model);
}

static int check_graph(const struct agn_dev_model *model)
{
    if (model->layer_count < 1 || model->layer_count > AGN_DEV_MAX_GRAPH_LAYERS || model->grid != 0 ||
        model->input_h < 1 || model->input_h > AGN_DEV_MAX_SIDE || model->input_w < 1 ||
        model->input_w > AGN_DEV_MAX_SIDE)
        return AGN_ERR_RANGE;
    if (model->graph.sender != 0)
        return check_map(model);
    return model->map_h == 0 && model->map_w == 0 && model->map_c == 0 && model->local_c == 0 &&
                   model->codec == AGN_CODEC_RAW3
               ? 0
               : AGN_ERR_RANGE;
}

int agn__model_check(const struct agn_dev_model *model)
{
    if (model->codec >= AGN_CODEC_COUNT && !agn__sends_jpeg(model))
        return AGN_ERR_UNSUPPORTED;
    if (model->input_c < 1 || model->input_c > AGN_DEV_MAX_INPUT_CHANNELS)
        return AGN_ERR_RANGE;
    if (model->classes < 1 || model->classes > AGN_DEV_MAX_CLASSES || model->alpha_q15 > 32768)
        return AGN_ERR_RANGE;
    if (model->sure_margin > INT16_MAX)
        return AGN_ERR_RANGE;
    return agn__is_graph(model) ? check_graph(model) : check_chain(model);
}

/* ---- layers and tables ----------------------------------------------------------------- */

void agn__layer_read(struct agn_dev_layer *layer, const uint8_t *record)
{
    layer->kind = record[AGN__LAYER_KIND];
    layer->kernel_h = record[AGN__LAYER_KIND + 1];
    layer->kernel_w = record[AGN__LAYER_KIND + 2];
    layer->stride_h = record[AGN__LAYER_KIND + 3];
    layer->stride_w = record[AGN__LAYER_KIND + 4];
    layer->pad_h = record[AGN__LAYER_KIND + 5];
    layer->pad_w = record[AGN__LAYER_KIND + 6];
    layer->in_zero_point = agn__load_s8(record + AGN__LAYER_ZERO_POINTS);
    layer->out_zero_point = agn__load_s8(record + AGN__LAYER_ZERO_POINTS + 1);
    layer->clamp_min = agn__load_s8(record + AGN__LAYER_ZERO_POINTS + 2);
    layer->clamp_max = agn__load_s8(record + AGN__LAYER_ZERO_POINTS + 3);
    layer->in_h = agn__load_u16(record + AGN__LAYER_SHAPE);
    layer->in_w = agn__load_u16(record + AGN__LAYER_SHAPE + 2);
    layer->in_c = agn__load_u16(record + AGN__LAYER_SHAPE + 4);
    layer->out_h = agn__load_u16(record + AGN__LAYER_SHAPE + 6);
    layer->out_w = agn__load_u16(record + AGN__LAYER_SHAPE + 8);
    layer->out_c = agn__load_u16(record + AGN__LAYER_SHAPE + 10);
}

/* The places that fill a window's row up to a group of four meet whatever lies there: they must hold 0. */
static int filling_is_zero(const struct agn_dev_layer *layer)
{
    size_t run = (size_t)layer->kernel_w * layer->in_c, stored = 4 * agn__layer_groups(layer);
    const int8_t *row = layer->weights;
    for (size_t n = (size_t)layer->kernel_h * layer->out_c; n > 0; n--, row += stored)
        for (size_t i = run; i < stored; i++)
            if (row[agn__weight_place(i)] != 0)
                return 0;
    return 1;
}

/* Weights and channel records of a layer that agn__layer_check has passed. */
int agn__layer_bind(struct agn_dev_layer *layer, const uint8_t *data, size_t body, const uint8_t *record)
{
    const uint8_t *weights =
        agn__model_section(data, body, record + AGN__LAYER_WEIGHTS, agn__layer_weight_bytes(layer));
    const uint8_t *channels = agn__model_section(data, body, record + AGN__LAYER_CHANNELS,
                                                 (uint32_t)layer->out_c * AGN_MODEL_CHANNEL_BYTES);
    if (!weights || !channels)
        return AGN_ERR_RANGE;
    layer->weights = (const int8_t *)weights;
    layer->channels = channels;
    int is_full = layer->kind == AGN_LAYER_CONV;
    size_t count = (size_t)layer->kernel_h * (is_full ? 4 * agn__layer_groups(layer) : layer->kernel_w);
    if (is_full && !filling_is_zero(layer))
        return AGN_ERR_RANGE;
    layer->folds = layer->clamp_min == INT8_MIN && layer->clamp_max == INT8_MAX;
    for (unsigned oc = 0; oc < layer->out_c; oc++) {
        struct agn__channel channel = agn__channel_read(channels, oc);
        const int8_t *first = layer->weights + (is_full ? oc * count : oc);
        int status = agn__channel_check(channel, first, count, is_full ? 1 : layer->in_c, AGN__INPUT_MAX);
        if (status < 0)
            return status;
        if (channel.shift > AGN__FOLD_MAX_SHIFT)
            layer->folds = 0;
    }
    return 0;
}

/* All layers, each fitting the one before, from the input's shape to the map's. */
static int read_layers(struct agn_dev_model *model, const uint8_t *data, size_t body)
{
    const uint8_t *records = agn__model_section(data, body, data + AGN__AT_LAYERS,
                                                (uint32_t)model->layer_count * AGN_MODEL_LAYER_BYTES);
    if (!records)
        return AGN_ERR_RANGE;
    unsigned h = model->input_h, w = model->input_w, c = model->input_c;
    int zero_point = 0;
    for (unsigned i = 0; i < model->layer_count; i++) {
        const uint8_t *record = records + (size_t)i * AGN_MODEL_LAYER_BYTES;
        struct agn_dev_layer *layer = &model->layers[i];
        agn__layer_read(layer, record);
        int status = agn__layer_check(layer);
        if (status < 0)
            return status;
        if (layer->in_h != h || layer->in_w != w || layer->in_c != c || layer->in_zero_point != zero_point)
            return AGN_ERR_RANGE;
        if (record[AGN__LAYER_ZERO_1] != 0 ||
            !agn__is_zero(record + AGN__LAYER_ZERO_2, AGN_MODEL_LAYER_BYTES - AGN__LAYER_ZERO_2))
            return AGN_ERR_RANGE;
        status = agn__layer_bind(layer, data, body, record);
        if (status < 0)
            return status;
        h = layer->out_h;
        w = layer->out_w;
        c = layer->out_c;
        zero_point = layer->out_zero_point;
    }
    return h == model->map_h && w == model->map_w && c == model->map_c ? 0 : AGN_ERR_RANGE;
}

int agn__dense_check(const int8_t *weights, const uint8_t *channels, unsigned classes, size_t inputs)
{
    for (unsigned i = 0; i < classes; i++) {
        int status = agn__channel_check(agn__channel_read(channels, i), weights + i * inputs, inputs, 1,
                                        AGN__POOLED_MAX);
        if (status < 0)
            return status;
    }
    return 0;
}

static int read_symbols(struct agn_dev_model *model, const uint8_t *data, size_t body)
{
    model->symbols = agn__model_section(data, body, data + AGN__AT_SYMBOLS, 256);
    if (!model->symbols)
        return AGN_ERR_RANGE;
    for (unsigned i = 0; i < 256; i++)
        if (model->symbols[i] >= AGN_WIRE_LEVELS)
            return AGN_ERR_RANGE;
    return 0;
}

static int read_dense(struct agn_dev_model *model, const uint8_t *data, size_t body)
{
    size_t inputs = (size_t)model->grid * model->grid * model->local_c;
    model->dense_weights = (const int8_t *)agn__model_section(data, body, data + AGN__AT_DENSE_WEIGHTS,
                                                              (uint32_t)inputs * model->classes);
    model->dense_channels = agn__model_section(data, body, data + AGN__AT_DENSE_CHANNELS,
                                               (uint32_t)model->classes * AGN_MODEL_CHANNEL_BYTES);
    if (!model->dense_weights || !model->dense_channels)
        return AGN_ERR_RANGE;
    return agn__dense_check(model->dense_weights, model->dense_channels, model->classes, inputs);
}

/* A codec with contexts has its tables in the file, any other none. */
static int read_contexts(struct agn_dev_model *model, const uint8_t *data, size_t body)
{
    struct agn_context_model *contexts = &model->contexts;
    unsigned sent = (unsigned)(model->map_c - model->local_c), distributions = data[AGN__AT_DISTRIBUTIONS];
    uint32_t map = (uint32_t)sent * AGN_CONTEXTS, table = (uint32_t)distributions * AGN_DISTRIBUTION_BYTES;
    if (!agn_codec_needs_contexts(model->codec))
        return agn__load_u32(data + AGN__AT_CONTEXTS) == 0 && distributions == 0 ? 0 : AGN_ERR_RANGE;
    contexts->map = agn__model_section(data, body, data + AGN__AT_CONTEXTS, map + table);
    if (!contexts->map)
        return AGN_ERR_RANGE;
    contexts->cumulative = contexts->map + map;
    contexts->distributions = (uint8_t)distributions;
    contexts->channels = (uint8_t)sent;
    return agn_context_model_check(contexts);
}

/* Bytes that this version, or this codec, has no use for. */
static int check_zeros(const struct agn_dev_model *model)
{
    const uint8_t *data = model->data;
    size_t graph_end = agn__is_graph(model) ? AGN_MODEL_HEADER_BYTES : AGN__AT_ZERO_3;
    return (agn__is_graph(model) || (agn__is_zero(data + AGN__AT_ZERO_1, 2) &&
                                     agn__quality_is_valid(model, data[AGN__AT_JPEG_QUALITY]))) &&
                   agn__is_zero(data + graph_end, AGN_MODEL_HEADER_BYTES - graph_end)
               ? 0
               : AGN_ERR_RANGE;
}

/* Layers and tables, as much as there is. */
static int read_body(struct agn_dev_model *model, const uint8_t *data, size_t body)
{
    int status = 0, graph = agn__is_graph(model);
    size_t margins = model->sure_margins ? 2 * (size_t)model->classes : 0; /* behind all else */
    if (AGN_MODEL_HEADER_BYTES + margins > body)
        return AGN_ERR_RANGE;
    body -= margins;
    if (model->layer_count > 0)
        status = graph ? agn__graph_read(model, data, body) : read_layers(model, data, body);
    if (status == 0 && model->layer_count > 0 && model->map_c > 0 && !agn__sends_values(model))
        status = read_symbols(model, data, body);
    if (status == 0 && model->layer_count > 0 && !graph)
        status = read_dense(model, data, body);
    return status == 0 ? read_contexts(model, data, body) : status;
}

int agn__model_read(struct agn_dev_model *model, const void *file, size_t len)
{
    const uint8_t *data = (const uint8_t *)file;
    int status = check_envelope(data, len);
    if (status < 0)
        return status;
    read_header(model, data, len);
    status = agn__model_check(model);
    if (status == 0)
        status = check_zeros(model);
    return status == 0 ? read_body(model, data, len - 4) : status;
}

int agn_dev_model_open(struct agn_dev_model *model, const void *data, size_t len)
{
    struct agn_dev_model read;
    int status = agn__model_read(&read, data, len);
    if (status == 0)
        *model = read;
    return status;
}

unsigned agn_dev_cuts(const struct agn_dev_model *model)
{
    return agn_dev_model_sends(model) ? agn__further_cuts(model) + 1u : 0;
}

int agn_dev_model_cut(const struct agn_dev_model *model, unsigned cut, struct agn_dev_model *view)
{
    if (cut >= agn_dev_cuts(model))
        return AGN_ERR_ARG;
    *view = *model;
    if (agn__further_cuts(model) > 0)
        agn__graph_cut(view, cut);
    return 0;
}
