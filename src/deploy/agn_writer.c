/* Serialises a quantised model as model.agn.
 *
 * Every number is first checked with the device's own checks (device/agn_device_internal.h),
 * each failure with a sentence of its own; the result is opened as a device would open it. How
 * a model is quantised is left to others. */
#include <math.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/model_agn.h"
#include "agn_jpeg_format.h"
#include "agn_layout.h"
#include "deploy/writer.h"

uint8_t *agn__reserve(struct agn__writer *writer, size_t count)
{
    uint8_t *at = writer->bytes ? writer->bytes + writer->size : NULL;
    writer->size += AGN_DEV_ALIGN4(count);
    return at;
}

void agn__put_float(uint8_t *to, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    agn__store_u32(to, bits);
}

/* ---- shapes -------------------------------------------------------------------------- */

/* A layer as the device sees it; 0, or a failure with its sentence. */
int agn__device_layer(const struct agn_model_layer *from, int index, unsigned h, unsigned w, unsigned c,
                      struct agn_dev_layer *layer)
{
    const int values[] = {from->kernel_h, from->kernel_w, from->stride_h, from->stride_w,
                          from->pad_h,    from->pad_w,    from->out_c,    (int)from->kind};
    for (size_t i = 0; i < AGN_COUNT_OF(values); i++)
        if (values[i] < 0 || values[i] > (i == 6 ? AGN_DEV_MAX_INNER_CHANNELS : 255))
            return agn_fail(AGN_ERR_RANGE,
                            "model.agn: layer %d: a kernel, stride or padding is not within 0 to 255, or the "
                            "channels are more than %d: %d",
                            index, AGN_DEV_MAX_INNER_CHANNELS, values[i]);
    memset(layer, 0, sizeof *layer);
    layer->kind = (uint8_t)from->kind;
    layer->kernel_h = (uint8_t)from->kernel_h;
    layer->kernel_w = (uint8_t)from->kernel_w;
    layer->stride_h = (uint8_t)from->stride_h;
    layer->stride_w = (uint8_t)from->stride_w;
    layer->pad_h = (uint8_t)from->pad_h;
    layer->pad_w = (uint8_t)from->pad_w;
    layer->out_zero_point = from->out_zero_point;
    layer->clamp_min = from->clamp_min;
    layer->clamp_max = from->clamp_max;
    layer->in_h = (uint16_t)h;
    layer->in_w = (uint16_t)w;
    layer->in_c = (uint16_t)c;
    layer->out_h = (uint16_t)agn__layer_out_side(h, layer->kernel_h, layer->stride_h, layer->pad_h);
    layer->out_w = (uint16_t)agn__layer_out_side(w, layer->kernel_w, layer->stride_w, layer->pad_w);
    layer->out_c = (uint16_t)from->out_c;
    layer->weights = from->weights;
    struct agn_dev_layer checked = *layer;
    if (layer->kind == AGN_LAYER_ADD)
        checked.kind = AGN_LAYER_DWCONV; /* of one place */
    int status = agn__layer_check(&checked);
    if (status < 0)
        return agn_fail(
            status,
            "model.agn: layer %d: kind %d, kernel %dx%d, stride %dx%d, padding %dx%d on %ux%ux%u with "
            "%d output channels cannot run on the device; expected a full or depthwise convolution, "
            "kernels 1 to 7, strides 1 to 4, padding 0 to 3 and less than the kernel, at most 1024 "
            "channels, and clamp_min <= clamp_max",
            index, (int)from->kind, from->kernel_h, from->kernel_w, from->stride_h, from->stride_w,
            from->pad_h, from->pad_w, h, w, c, from->out_c);
    return 0;
}

int agn__check_channels(const char *what, int index, const struct agn_model_channel *channels, unsigned count,
                        const int8_t *weights, size_t first_step, size_t terms, size_t term_step,
                        uint32_t input_max)
{
    if (!channels || !weights)
        return agn_fail(AGN_ERR_ARG, "model.agn: %s %d has no weights or no channel table", what, index);
    for (unsigned i = 0; i < count; i++) {
        struct agn__channel channel = {channels[i].bias, channels[i].multiplier, channels[i].shift};
        int status = agn__channel_check(channel, weights + i * first_step, terms, term_step, input_max);
        if (status < 0)
            return agn_fail(
                status,
                "model.agn: %s %d, output %u: bias %ld, multiplier %ld, shift %u: the accumulator could "
                "leave 32 bits, or the multiplier is negative, or the shift is not in %d to %d",
                what, index, i, (long)channel.bias, (long)channel.multiplier, channel.shift,
                AGN_DEV_MIN_SHIFT, AGN_DEV_MAX_SHIFT);
    }
    return 0;
}

/* All layers as the device sees them, chained. */
static int device_layers(const struct agn_model_agn *from, struct agn_dev_model *model)
{
    unsigned h = model->input_h, w = model->input_w, c = model->input_c;
    int8_t zero_point = 0;
    for (int i = 0; i < from->layer_count; i++) {
        struct agn_dev_layer *layer = &model->layers[i];
        int status = agn__device_layer(&from->layers[i], i, h, w, c, layer);
        if (status < 0)
            return status;
        layer->in_zero_point = zero_point;
        int is_full = layer->kind == AGN_LAYER_CONV;
        size_t window = (size_t)layer->kernel_h * layer->kernel_w;
        size_t terms = is_full ? window * layer->in_c : window;
        status = agn__check_channels("layer", i, from->layers[i].channels, layer->out_c, layer->weights,
                                     is_full ? terms : 1, terms, is_full ? 1 : layer->in_c, AGN__INPUT_MAX);
        if (status < 0)
            return status;
        h = layer->out_h;
        w = layer->out_w;
        c = layer->out_c;
        zero_point = layer->out_zero_point;
    }
    model->map_h = (uint16_t)h;
    model->map_w = (uint16_t)w;
    model->map_c = (uint16_t)c;
    return 0;
}

static int check_numbers(const struct agn_model_agn *from)
{
    int most = from->is_graph ? AGN_DEV_MAX_GRAPH_LAYERS : AGN_DEV_MAX_LAYERS;
    if (from->layer_count < from->is_graph || from->layer_count > most ||
        (from->layer_count > 0 && !from->layers))
        return agn_fail(AGN_ERR_RANGE,
                        "model.agn: %d layers; the device runs 1 to %d, or none to send pixels",
                        from->layer_count, most);
    if (from->input_h < 1 || from->input_h > AGN_DEV_MAX_SIDE || from->input_w < 1 ||
        from->input_w > AGN_DEV_MAX_SIDE || from->input_c < 1 || from->input_c > AGN_DEV_MAX_INPUT_CHANNELS)
        return agn_fail(AGN_ERR_RANGE,
                        "model.agn: input of %dx%dx%d; expected sides of 1 to %d and 1 to %d "
                        "channels",
                        from->input_h, from->input_w, from->input_c, AGN_DEV_MAX_SIDE,
                        AGN_DEV_MAX_INPUT_CHANNELS);
    if (from->classes < 1 || from->classes > AGN_DEV_MAX_CLASSES)
        return agn_fail(AGN_ERR_RANGE, "model.agn: %d classes; expected 1 to %d", from->classes,
                        AGN_DEV_MAX_CLASSES);
    if (from->layer_count == 0 && from->codec == AGN_CODEC_JPEG &&
        (from->jpeg_quality < 1 || from->jpeg_quality > AGN_JPEG_MAX_QUALITY))
        return agn_fail(AGN_ERR_RANGE, "model.agn: JPEG of quality %d; expected 1 to %d", from->jpeg_quality,
                        AGN_JPEG_MAX_QUALITY);
    if (from->layer_count == 0)
        return 0; /* what follows is of an extractor and a Local NN */
    if (!from->is_graph && (from->grid < 1 || from->grid > AGN_DEV_MAX_GRID))
        return agn_fail(AGN_ERR_RANGE,
                        "model.agn: pooling grid %d; expected 1 to %d and no finer than the map", from->grid,
                        AGN_DEV_MAX_GRID);
    if (from->local_c < (from->is_graph ? 0 : 1) || from->local_c >= AGN_DEV_MAX_CHANNELS)
        return agn_fail(AGN_ERR_RANGE,
                        "model.agn: %d local channels; expected at least 1 and fewer than the map has",
                        from->local_c);
    if (from->alpha_q15 > 32768)
        return agn_fail(AGN_ERR_RANGE, "model.agn: alpha is %u/32768; expected 0 to 1", from->alpha_q15);
    if (from->sure_margin > INT16_MAX)
        return agn_fail(AGN_ERR_RANGE, "model.agn: a margin of %u; expected 0 to %d", from->sure_margin,
                        INT16_MAX);
    if (agn_codec_needs_contexts((int)from->codec) && agn_context_model_check(&from->contexts) < 0)
        return agn_fail(AGN_ERR_RANGE,
                        "model.agn: the codec %s needs a context model; expected one for each "
                        "sent channel, with probabilities that ascend to 1",
                        agn_codec_name((int)from->codec));
    for (int i = 0; i < 256; i++)
        if (from->symbols[i] >= AGN_WIRE_LEVELS)
            return agn_fail(AGN_ERR_RANGE, "model.agn: symbol table entry %d is %u; expected 0 to 7", i,
                            from->symbols[i]);
    return 0;
}

static int device_model(const struct agn_model_agn *from, struct agn_dev_model *model)
{
    int status = check_numbers(from);
    if (status < 0)
        return status;
    memset(model, 0, sizeof *model);
    model->model_id = from->model_id;
    model->input_h = (uint16_t)from->input_h;
    model->input_w = (uint16_t)from->input_w;
    model->input_c = (uint16_t)from->input_c;
    model->local_c = (uint16_t)from->local_c;
    model->grid = (uint16_t)from->grid;
    model->classes = (uint16_t)from->classes;
    model->alpha_q15 = from->alpha_q15;
    model->sure_margin = from->sure_margin;
    model->codec = (uint8_t)from->codec;
    model->layer_count = (uint8_t)from->layer_count;
    struct agn_map_shape pixels = {0};
    if (from->layer_count == 0 &&
        agn_pixels_shape((unsigned)from->input_h, (uint32_t)(from->input_w * from->input_c), &pixels) == 0) {
        model->map_h = pixels.height;
        model->map_w = pixels.width;
        model->map_c = pixels.channels;
    }
    if (from->is_graph)
        status = agn__graph_layers(from, model);
    else
        status = from->layer_count > 0 ? device_layers(from, model) : 0;
    if (status < 0)
        return status;
    int sent = model->map_c - model->local_c;
    if (agn_codec_needs_contexts(model->codec) && from->contexts.channels != sent)
        return agn_fail(AGN_ERR_RANGE, "model.agn: a context model of %d channels for %d sent ones",
                        from->contexts.channels, sent);
    status = agn__model_check(model);
    if (status < 0)
        return agn_fail(
            status,
            "model.agn: a map of %ux%ux%u with %d local channels, grid %d and codec %d cannot be used; "
            "expected sides up to %d, fewer local channels than the map has, a grid no finer than the "
            "map, a known codec, and at most 256 packets a frame",
            model->map_h, model->map_w, model->map_c, from->local_c, from->grid, (int)from->codec,
            AGN_DEV_MAX_MAP_SIDE);
    size_t inputs = (size_t)from->grid * (size_t)from->grid * (size_t)from->local_c;
    return from->layer_count == 0 || from->is_graph
               ? 0
               : agn__check_channels("dense layer", 0, from->dense_channels, model->classes,
                                     from->dense_weights, inputs, inputs, 1, AGN__POOLED_MAX);
}

/* ---- bytes ------------------------------------------------------------------------------- */

uint32_t agn__put_section(struct agn__writer *writer, const void *from, size_t count)
{
    uint32_t offset = (uint32_t)writer->size;
    uint8_t *to = agn__reserve(writer, count);
    if (to)
        memcpy(to, from, count);
    return offset;
}

/* Weights in the order in which the device reads them, see agn__layer_weight_bytes. */
uint32_t agn__put_weights(struct agn__writer *writer, const struct agn_dev_layer *layer)
{
    if (layer->kind != AGN_LAYER_CONV)
        return agn__put_section(writer, layer->weights, agn__layer_weight_bytes(layer));
    uint32_t offset = (uint32_t)writer->size;
    uint8_t *to = agn__reserve(writer, agn__layer_weight_bytes(layer));
    size_t run = (size_t)layer->kernel_w * layer->in_c, stored = 4 * agn__layer_groups(layer);
    const int8_t *from = layer->weights;
    for (size_t row = (size_t)layer->kernel_h * layer->out_c; to && row > 0; row--, from += run, to += stored)
        for (size_t i = 0; i < run; i++)
            to[agn__weight_place(i)] = (uint8_t)from[i];
    return offset;
}

uint32_t agn__put_channels(struct agn__writer *writer, const struct agn_model_channel *channels,
                           unsigned count)
{
    uint32_t offset = (uint32_t)writer->size;
    uint8_t *to = agn__reserve(writer, (size_t)count * AGN_MODEL_CHANNEL_BYTES);
    for (unsigned i = 0; to && i < count; i++, to += AGN_MODEL_CHANNEL_BYTES) {
        agn__store_u32(to, (uint32_t)channels[i].bias);
        agn__store_u32(to + 4, (uint32_t)channels[i].multiplier);
        to[8] = channels[i].shift;
    }
    return offset;
}

uint32_t agn__put_contexts(struct agn__writer *writer, const struct agn_model_agn *from)
{
    const struct agn_context_model *contexts = &from->contexts;
    size_t distributions = (size_t)contexts->distributions * AGN_DISTRIBUTION_BYTES;
    uint32_t offset = agn__put_section(writer, contexts->map, (size_t)contexts->channels * AGN_CONTEXTS);
    agn__put_section(writer, contexts->cumulative, distributions);
    return offset;
}

static uint32_t put_sum(struct agn__writer *writer, const struct agn_model_sum *sum)
{
    uint32_t offset = (uint32_t)writer->size;
    uint8_t *to = agn__reserve(writer, AGN_MODEL_CHANNEL_BYTES);
    if (to) {
        agn__store_u32(to, (uint32_t)sum->bias);
        agn__store_u16(to + 4, (uint16_t)sum->multipliers[0]);
        agn__store_u16(to + 6, (uint16_t)sum->multipliers[1]);
        to[8] = sum->shift;
    }
    return offset;
}

void agn__put_layer(struct agn__writer *writer, uint8_t *record, const struct agn_model_layer *from,
                    const struct agn_dev_layer *layer, float in_scale)
{
    int is_add = layer->kind == AGN_LAYER_ADD;
    uint32_t weights = is_add ? 0 : agn__put_weights(writer, layer);
    uint32_t channels =
        is_add ? put_sum(writer, from->sum) : agn__put_channels(writer, from->channels, layer->out_c);
    if (!record)
        return;
    const uint8_t bytes[] = {layer->kind,
                             layer->kernel_h,
                             layer->kernel_w,
                             layer->stride_h,
                             layer->stride_w,
                             layer->pad_h,
                             layer->pad_w,
                             (uint8_t)layer->in_zero_point,
                             (uint8_t)layer->out_zero_point,
                             (uint8_t)layer->clamp_min,
                             (uint8_t)layer->clamp_max};
    const uint16_t shape[] = {layer->in_h,  layer->in_w,  layer->in_c,
                              layer->out_h, layer->out_w, layer->out_c};
    memcpy(record + AGN__LAYER_KIND, bytes, sizeof bytes);
    for (unsigned i = 0; i < AGN_COUNT_OF(shape); i++)
        agn__store_u16(record + AGN__LAYER_SHAPE + 2 * i, shape[i]);
    agn__store_u32(record + AGN__LAYER_WEIGHTS, weights);
    agn__store_u32(record + AGN__LAYER_CHANNELS, channels);
    agn__put_float(record + AGN__LAYER_IN_SCALE, in_scale);
    agn__put_float(record + AGN__LAYER_OUT_SCALE, from->out_scale);
}

void agn__put_header(uint8_t *header, const struct agn_model_agn *from, const struct agn_dev_model *model)
{
    const uint16_t numbers[] = {model->input_h, model->input_w,  model->input_c, model->map_h,
                                model->map_w,   model->map_c,    model->local_c, model->grid,
                                model->classes, model->alpha_q15};
    memcpy(header + AGN__AT_MAGIC, AGN__MODEL_MAGIC, 4);
    agn__store_u16(header + AGN__AT_VERSION, from->is_graph ? AGN_MODEL_VERSION_GRAPH : AGN_MODEL_VERSION);
    agn__store_u16(header + AGN__AT_HEADER_BYTES, AGN_MODEL_HEADER_BYTES);
    agn__store_u32(header + AGN__AT_MODEL_ID, from->model_id);
    for (unsigned i = 0; i < AGN_COUNT_OF(numbers); i++) /* the fields AGN__AT_INPUT .. AGN__AT_ALPHA */
        agn__store_u16(header + AGN__AT_INPUT + 2 * i, numbers[i]);
    agn__store_u16(header + AGN__AT_SURE_MARGIN, model->sure_margin);
    header[AGN__AT_CODEC] = model->codec;
    header[AGN__AT_JPEG_QUALITY] = model->codec == AGN_CODEC_JPEG ? from->jpeg_quality : 0;
    header[AGN__AT_LAYER_COUNT] = model->layer_count;
    for (unsigned i = 0; i < AGN_DEV_MAX_INPUT_CHANNELS; i++) {
        header[AGN__AT_INPUT_ZERO_POINT + i] = (uint8_t)from->input_zero_point[i];
        agn__put_float(header + AGN__AT_INPUT_SCALE + 4 * i, from->input_scale[i]);
    }
    for (unsigned i = 0; i < AGN_WIRE_LEVELS; i++)
        agn__put_float(header + AGN__AT_CENTROIDS + 4 * i, from->centroids[i]);
}

/* Lays out the whole file; called once to measure and once to write, so that the two agree. */
static void put_file(struct agn__writer *writer, const struct agn_model_agn *from,
                     const struct agn_dev_model *model)
{
    size_t inputs = (size_t)from->grid * (size_t)from->grid * (size_t)from->local_c;
    uint8_t *header = agn__reserve(writer, AGN_MODEL_HEADER_BYTES);
    uint32_t layers = (uint32_t)writer->size;
    uint8_t *records = agn__reserve(writer, (size_t)model->layer_count * AGN_MODEL_LAYER_BYTES);
    float in_scale = from->input_scale[0];
    for (unsigned i = 0; i < model->layer_count; i++) {
        uint8_t *record = records ? records + (size_t)i * AGN_MODEL_LAYER_BYTES : NULL;
        agn__put_layer(writer, record, &from->layers[i], &model->layers[i], in_scale);
        in_scale = from->layers[i].out_scale;
    }
    uint32_t symbols = 0, weights = 0, channels = 0, contexts = 0;
    if (model->layer_count > 0) {
        symbols = agn__put_section(writer, from->symbols, sizeof from->symbols);
        weights = agn__put_section(writer, from->dense_weights, inputs * model->classes);
        channels = agn__put_channels(writer, from->dense_channels, model->classes);
        contexts = agn_codec_needs_contexts(model->codec) ? agn__put_contexts(writer, from) : 0;
    } else {
        layers = 0;
    }
    agn__reserve(writer, 4); /* the checksum */
    if (!header)
        return;
    agn__put_header(header, from, model);
    agn__store_u32(header + AGN__AT_SIZE, (uint32_t)writer->size);
    agn__store_u32(header + AGN__AT_LAYERS, layers);
    agn__store_u32(header + AGN__AT_SYMBOLS, symbols);
    agn__store_u32(header + AGN__AT_DENSE_WEIGHTS, weights);
    agn__store_u32(header + AGN__AT_DENSE_CHANNELS, channels);
    agn__store_u32(header + AGN__AT_CONTEXTS, contexts);
    header[AGN__AT_DISTRIBUTIONS] = contexts ? from->contexts.distributions : 0;
}

static void put_any(struct agn__writer *writer, const struct agn_model_agn *from,
                    const struct agn_dev_model *model)
{
    if (from->is_graph)
        agn__put_graph(writer, from, model);
    else
        put_file(writer, from, model);
}

int agn_model_agn_write(const struct agn_model_agn *from, uint8_t **bytes, size_t *size_bytes)
{
    struct agn_dev_model model, check;
    int status = device_model(from, &model);
    if (status < 0)
        return status;
    struct agn__writer writer = {NULL, 0};
    put_any(&writer, from, &model);
    writer.bytes = agn_alloc(writer.size, 1);
    if (!writer.bytes)
        return AGN_ERR_MEMORY;
    writer.size = 0;
    put_any(&writer, from, &model);
    status = from->is_graph ? agn__plan_graph(writer.bytes, writer.size, &model) : 0;
    if (status < 0) {
        agn_free(writer.bytes);
        return status;
    }
    agn__store_u32(writer.bytes + writer.size - 4, agn_crc32(0, writer.bytes, writer.size - 4));
    status = agn_dev_model_open(&check, writer.bytes, writer.size);
    if (status < 0) {
        agn_free(writer.bytes);
        return agn_fail(status,
                        "model.agn: the device refuses the file just written (%s); please report this",
                        agn_status_text(status));
    }
    *bytes = writer.bytes;
    *size_bytes = writer.size;
    return 0;
}

int agn_model_multiplier(double scale, int32_t *multiplier, uint8_t *shift)
{
    if (!(scale >= 0.0 && scale < 0.25))
        return agn_fail(
            AGN_ERR_RANGE,
            "quantisation: a requantisation scale of %g; expected 0 <= scale < 0.25 (a larger output "
            "scale or smaller weights help)",
            scale);
    int exponent = 0;
    double fraction = frexp(scale, &exponent); /* scale = fraction * 2^exponent, 0.5 <= fraction < 1 */
    int bits = 31 - exponent;
    if (bits > AGN_DEV_MAX_SHIFT)
        bits = AGN_DEV_MAX_SHIFT;
    double rounded = nearbyint(ldexp(fraction, exponent + bits));
    if (rounded > INT32_MAX) /* just below a power of two: it does not fit after rounding */
        rounded = INT32_MAX;
    if (scale == 0.0)
        bits = AGN_DEV_MIN_SHIFT;
    *multiplier = (int32_t)rounded;
    *shift = (uint8_t)bits;
    return 0;
}
