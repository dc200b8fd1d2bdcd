/* See random_model.h. */
#include "random_model.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static int between(struct agn_rng *rng, int low, int high)
{
    return low + (int)agn_rng_below(rng, (uint32_t)(high - low + 1));
}

static int8_t any_s8(struct agn_rng *rng, enum random_style style)
{
    if (style == RANDOM_EXTREME && between(rng, 0, 2) > 0)
        return between(rng, 0, 1) ? 127 : -128;
    return (int8_t)between(rng, -128, 127);
}

static int8_t *random_weights(struct agn_rng *rng, enum random_style style, size_t count)
{
    int8_t *weights = agn_alloc(count, 1);
    assert(weights);
    for (size_t i = 0; i < count; i++)
        weights[i] = any_s8(rng, style);
    return weights;
}

/* `spread`: the size of a usual accumulator; `target`: what it should become. */
static struct agn_model_channel *random_channels(struct agn_rng *rng, enum random_style style, int count,
                                                 double limit, double spread, double target)
{
    struct agn_model_channel *channels = agn_alloc((size_t)count, sizeof *channels);
    assert(channels);
    for (int i = 0; i < count; i++) {
        struct agn_model_channel *channel = &channels[i];
        double scale = fmin(target / spread * (0.5 + agn_rng_uniform(rng)), 0.2499);
        int status = agn_model_multiplier(scale, &channel->multiplier, &channel->shift);
        assert(status == 0);
        (void)status;
        double bias = (agn_rng_uniform(rng) - 0.5) * spread;
        if (style == RANDOM_EXTREME && between(rng, 0, 1)) {
            channel->multiplier = (int32_t)(agn_rng_u64(rng) & 0x7fffffff);
            channel->shift = (uint8_t)between(rng, 33, 62);
            bias = (agn_rng_uniform(rng) - 0.5) * 2 * (2147483647.0 - limit);
        }
        if (style == RANDOM_SEPARABLE && between(rng, 0, 7) == 0) {
            channel->shift = (uint8_t)between(rng, 33, 54);
            bias = (agn_rng_uniform(rng) - 0.5) * (1 << between(rng, 10, 23));
        }
        channel->bias = (int32_t)bias;
    }
    return channels;
}

static int out_side(int in, int kernel, int stride, int pad)
{
    return in + 2 * pad < kernel ? 0 : (in + 2 * pad - kernel) / stride + 1;
}

/* Kernel, stride and padding of one direction such that something comes out. */
static int random_axis(struct agn_rng *rng, int in, int *kernel, int *stride, int *pad)
{
    static const int strides[] = {1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    int out;
    do {
        *kernel = 2 * between(rng, 0, 2) + 1;
        *stride = strides[agn_rng_below(rng, 12)];
        *pad = between(rng, 0, *kernel > 2 ? 2 : 0);
        out = out_side(in, *kernel, *stride, *pad);
    } while (out < 1);
    return out;
}

/* Turns a random layer into one of RANDOM_SEPARABLE. */
static void make_separable(struct random_model *random, struct agn_rng *rng, struct agn_model_layer *layer,
                           int is_last, int in_h, int in_w)
{
    int side = layer->kind == AGN_LAYER_DWCONV ? 3 : 1;
    layer->kernel_h = layer->kernel_w = side;
    layer->pad_h = layer->pad_w = side / 2;
    layer->stride_h = 1;
    layer->stride_w = side == 3 ? between(rng, 1, 3) : 1;
    if (layer->kind == AGN_LAYER_CONV && !is_last)
        layer->out_c = between(rng, 2, 4);
    random->map_h = out_side(in_h, side, 1, layer->pad_h);
    random->map_w = out_side(in_w, side, layer->stride_w, layer->pad_w);
}

static void random_layer(struct random_model *random, struct agn_rng *rng, enum random_style style,
                         int is_last, int max_channels)
{
    struct agn_model_layer *layer = &random->layers[random->model.layer_count++];
    int c = random->map_c, in_h = random->map_h, in_w = random->map_w;
    memset(layer, 0, sizeof *layer);
    layer->kind = between(rng, 0, 1) && !(is_last && c < 2) ? AGN_LAYER_DWCONV : AGN_LAYER_CONV;
    if (style == RANDOM_SEPARABLE && !(is_last && c < 2))
        layer->kind = random->model.layer_count % 2 ? AGN_LAYER_DWCONV : AGN_LAYER_CONV;
    layer->out_c = layer->kind == AGN_LAYER_DWCONV ? c : between(rng, is_last ? 2 : 1, max_channels);
    random->map_h = random_axis(rng, random->map_h, &layer->kernel_h, &layer->stride_h, &layer->pad_h);
    random->map_w = random_axis(rng, random->map_w, &layer->kernel_w, &layer->stride_w, &layer->pad_w);
    if (style == RANDOM_SEPARABLE)
        make_separable(random, rng, layer, is_last, in_h, in_w);
    random->map_c = layer->out_c;
    int terms = layer->kernel_h * layer->kernel_w * (layer->kind == AGN_LAYER_CONV ? c : 1);
    size_t outputs = layer->kind == AGN_LAYER_CONV ? (size_t)layer->out_c : (size_t)c;
    layer->weights = random_weights(rng, style, (size_t)terms * outputs);
    layer->channels =
        random_channels(rng, style, layer->out_c, terms * 128.0 * 128.0, 74.0 * 74.0 * sqrt(terms), 60);
    layer->out_zero_point = between(rng, 0, 1) ? -128 : any_s8(rng, style);
    layer->clamp_min = layer->out_zero_point;
    layer->clamp_max = (int8_t)between(rng, layer->clamp_min, 127);
    if (between(rng, 0, 1))
        layer->clamp_max = 127;
    if (between(rng, 0, 3) == 0) /* a linear layer: saturation clamps */
        layer->clamp_min = -128;
    if (style == RANDOM_SEPARABLE) {
        layer->clamp_min = -128;
        layer->clamp_max = 127;
    }
    layer->out_scale = 6.0f / 255.0f;
}

static void random_local(struct random_model *random, struct agn_rng *rng, enum random_style style)
{
    struct agn_model_agn *model = &random->model;
    int smallest = random->map_h < random->map_w ? random->map_h : random->map_w;
    model->local_c = between(rng, 1, random->map_c - 1);
    model->grid = between(rng, 1, smallest < 8 ? smallest : 8);
    while (model->grid * model->grid * model->local_c > 1500)
        model->grid--;
    model->classes = between(rng, 0, 9) ? between(rng, 1, 20) : between(rng, 21, 300);
    int inputs = model->grid * model->grid * model->local_c;
    model->dense_weights = random_weights(rng, style, (size_t)(inputs * model->classes));
    model->dense_channels = random_channels(rng, style, model->classes, inputs * 128.0 * 8192.0,
                                            74.0 * 4000.0 * sqrt(inputs), 1000);
}

static void random_symbols(struct agn_model_agn *model, struct agn_rng *rng)
{
    /* Either levels in order, most values at 0, as quantisers learn them; or anything. */
    int ordered = between(rng, 0, 3) > 0, share = between(rng, 0, 250);
    for (int v = 0; v < 256; v++)
        model->symbols[v] = (uint8_t)(!ordered ? between(rng, 0, 7) : v < share ? 0 : v * 7 / 255);
    for (int i = 0; i < AGN_WIRE_LEVELS; i++)
        model->centroids[i] = (float)i * 0.75f;
}

void random_model_make(struct random_model *random, struct agn_rng *rng, enum random_style style,
                       int max_side, int max_channels)
{
    struct agn_model_agn *model = &random->model;
    memset(random, 0, sizeof *random);
    model->model_id = (uint32_t)agn_rng_u64(rng);
    int min_side = between(rng, 0, 3) ? max_side / 2 : 1;
    model->input_h = random->map_h = between(rng, min_side, max_side);
    model->input_w = random->map_w = between(rng, min_side, max_side);
    model->input_c = random->map_c = between(rng, 1, AGN_DEV_MAX_INPUT_CHANNELS);
    if (style == RANDOM_SEPARABLE && between(rng, 0, 3) > 0)
        model->input_w = random->map_w = (random->map_w + 1) / 2 * 2;
    for (int c = 0; c < model->input_c; c++) {
        model->input_zero_point[c] = any_s8(rng, style);
        model->input_scale[c] = 1.0f / 64.0f;
    }
    int layers = between(rng, 0, 7) ? between(rng, 1, 4) : AGN_DEV_MAX_LAYERS;
    for (int i = 0; i < layers; i++)
        random_layer(random, rng, style, i == layers - 1, max_channels);
    model->layers = random->layers;
    random_local(random, rng, style);
    random_symbols(model, rng);
    static const uint16_t alphas[] = {0, 1, 9830, 16384, 32767, 32768};
    model->alpha_q15 = alphas[agn_rng_below(rng, 6)];
    model->codec = between(rng, 0, 5) ? (enum agn_codec)between(rng, 1, AGN_CODEC_COUNT - 1) : AGN_CODEC_RAW3;
    random_contexts_make(&random->contexts, rng, (unsigned)(random->map_c - model->local_c),
                         (unsigned)(between(rng, 0, 9) ? between(rng, 1, 20) : AGN_DISTRIBUTIONS_MAX));
    model->contexts = random->contexts.model;
}

/* ---- networks with branches --------------------------------------------------------------- */

struct graph_shape {
    int h, w, c, depthwise_pad; /* of the depthwise layer that reads it; -1: none yet */
};

/* An earlier tensor, mostly one of the last few, which a layer may read. */
static int random_source(struct agn_rng *rng, int count)
{
    int back = between(rng, 0, 3) > 0 ? 0 : between(rng, 0, count - 1 < 5 ? count - 1 : 5);
    return count - 1 - back;
}

/* Kernel up to 7, also even. */
static int graph_axis(struct agn_rng *rng, int in, int pointwise, int *kernel, int *stride, int *pad)
{
    int out;
    do {
        *kernel = pointwise ? 1 : between(rng, 1, 7);
        *stride = between(rng, 0, 4) > 0 ? 1 : between(rng, 1, 4);
        *pad = between(rng, 0, *kernel - 1 < 3 ? *kernel - 1 : 3);
        if (between(rng, 0, 1))
            *pad = *kernel / 2; /* keeps sides, so that sums are possible */
        out = out_side(in, *kernel, *stride, *pad);
    } while (out < 1);
    return out;
}

/* A second tensor of the same sides, or -1. */
static int same_sides(struct agn_rng *rng, const struct graph_shape *shapes, int count, int source)
{
    int found = -1;
    for (int t = 1; t < count; t++)
        if (shapes[t].h == shapes[source].h && shapes[t].w == shapes[source].w &&
            (found < 0 || between(rng, 0, 1)))
            found = t;
    return found;
}

static struct graph_shape random_sum(struct random_model *random, struct agn_rng *rng, int index, int source,
                                     int other, const struct graph_shape *shapes)
{
    struct agn_model_layer *layer = &random->layers[index];
    struct agn_model_sum *sum = &random->sums[index];
    layer->kind = AGN_LAYER_ADD;
    layer->kernel_h = layer->kernel_w = layer->stride_h = layer->stride_w = 1;
    layer->out_c = layer->in_c = shapes[source].c < shapes[other].c ? shapes[source].c : shapes[other].c;
    layer->source[0] = source;
    layer->source[1] = other;
    layer->sum = sum;
    sum->shift = (uint8_t)between(rng, 0, 4) == 0 ? (uint8_t)between(rng, 0, 30) : 15;
    sum->multipliers[0] = (int16_t)between(rng, -32768, 32767);
    sum->multipliers[1] = (int16_t)between(rng, -32768, 32767);
    sum->bias = between(rng, -(1 << 21), 1 << 21);
    return (struct graph_shape){shapes[source].h, shapes[source].w, layer->out_c, -1};
}

/* Windows side by side that a faster kernel reads as bytes, if all of the result is kept; some that it leaves
 * out. */
static struct graph_shape random_patches(struct random_model *random, struct agn_rng *rng)
{
    struct agn_model_layer *layer = &random->layers[0];
    const int h = random->model.input_h, w = random->model.input_w, c = random->model.input_c;
    layer->kind = AGN_LAYER_CONV;
    layer->out_c = 4 * between(rng, 1, 2) - (between(rng, 0, 9) == 0);
    layer->kernel_h = layer->stride_h = between(rng, 1, h < 4 ? h : 4);
    layer->kernel_w = between(rng, 1, w < 4 ? w : 4);
    layer->stride_w = between(rng, 0, 3) > 0 ? layer->kernel_w : between(rng, 1, 4);
    int terms = layer->kernel_h * layer->kernel_w * c;
    layer->weights = random_weights(rng, RANDOM_USUAL, (size_t)terms * (size_t)layer->out_c);
    layer->channels = random_channels(rng, RANDOM_USUAL, layer->out_c, terms * 128.0 * 128.0,
                                      74.0 * 74.0 * sqrt(terms), 60);
    return (struct graph_shape){out_side(h, layer->kernel_h, layer->stride_h, 0),
                                out_side(w, layer->kernel_w, layer->stride_w, 0), layer->out_c, -1};
}

static struct graph_shape random_node(struct random_model *random, struct agn_rng *rng,
                                      enum random_style style, int index, int max_channels,
                                      struct graph_shape *shapes)
{
    struct agn_model_layer *layer = &random->layers[index];
    int source = random_source(rng, index + 1), other = -1;
    if (style == RANDOM_PATCHES && index == 0)
        return random_patches(random, rng);
    if (style == RANDOM_PATCHES && source == 0)
        source = 1;
    if (index > 1 && between(rng, 0, 2) == 0)
        other = same_sides(rng, shapes, index + 1, source);
    if (other >= 0 && source > 0)
        return random_sum(random, rng, index, source, other, shapes);
    layer->source[0] = source;
    layer->kind = between(rng, 0, 2) == 0 ? AGN_LAYER_DWCONV : AGN_LAYER_CONV;
    layer->first = between(rng, 0, 5) == 0 ? between(rng, 0, shapes[source].c - 1) : 0;
    int left = shapes[source].c - layer->first, ic = left;
    if (between(rng, 0, 5) == 0)
        ic = layer->in_c = between(rng, 1, left);
    if (style == RANDOM_PATCHES) { /* all of what is read is kept */
        layer->first = layer->in_c = 0;
        ic = shapes[source].c;
    }
    layer->out_c = layer->kind == AGN_LAYER_DWCONV ? ic : between(rng, 1, max_channels);
    int pointwise = layer->kind == AGN_LAYER_CONV && between(rng, 0, 1);
    struct graph_shape made = {0, 0, layer->out_c, -1};
    made.h = graph_axis(rng, shapes[source].h, pointwise, &layer->kernel_h, &layer->stride_h, &layer->pad_h);
    do
        made.w =
            graph_axis(rng, shapes[source].w, pointwise, &layer->kernel_w, &layer->stride_w, &layer->pad_w);
    while (layer->kind == AGN_LAYER_DWCONV && shapes[source].depthwise_pad >= 0 &&
           layer->pad_w != shapes[source].depthwise_pad);
    if (layer->kind == AGN_LAYER_DWCONV)
        shapes[source].depthwise_pad = layer->pad_w;
    int terms = layer->kernel_h * layer->kernel_w * (layer->kind == AGN_LAYER_CONV ? ic : 1);
    layer->weights = random_weights(rng, style, (size_t)terms * (size_t)layer->out_c);
    layer->channels =
        random_channels(rng, style, layer->out_c, terms * 128.0 * 128.0, 74.0 * 74.0 * sqrt(terms), 60);
    return made;
}

static void random_head(struct random_model *random, struct agn_rng *rng, enum random_style style, int tensor,
                        const struct graph_shape *shape)
{
    struct agn_model_head *head = &random->heads[random->model.head_count++];
    int smallest = shape->h < shape->w ? shape->h : shape->w;
    head->tensor = tensor;
    head->first = between(rng, 0, shape->c - 1);
    head->count = between(rng, 1, shape->c - head->first);
    head->grid = between(rng, 1, smallest < 4 ? smallest : 4);
    int exits = between(rng, 0, 3);
    head->margin = exits == 0 ? between(rng, 1, 2000) : 0;
    head->softmax = exits == 1 ? between(rng, 1, 32767) : 0;
    int inputs = head->grid * head->grid * head->count;
    head->weights = random_weights(rng, style, (size_t)(inputs * random->model.classes));
    head->channels = random_channels(rng, style, random->model.classes, inputs * 128.0 * 8192.0,
                                     74.0 * 4000.0 * sqrt(inputs), 1000);
}

/* Some tensor that can be sent, or none. */
static void random_sender(struct random_model *random, struct agn_rng *rng, enum random_style style,
                          const struct graph_shape *shapes)
{
    struct agn_model_agn *model = &random->model;
    model->sender = between(rng, 0, 3) > 0 ? between(rng, 1, model->layer_count) : 0;
    if (model->sender > 0 && shapes[model->sender].c > AGN_DEV_MAX_CHANNELS)
        model->sender = 0;
    if (model->sender == 0 && model->head_count == 0)
        random_head(random, rng, style, model->layer_count, &shapes[model->layer_count]);
    if (model->sender == 0)
        return;
    const struct graph_shape *map = &shapes[model->sender];
    random->map_h = map->h;
    random->map_w = map->w;
    random->map_c = map->c;
    model->local_c = between(rng, 0, map->c - 1);
    random_symbols(model, rng);
    model->codec = (enum agn_codec)between(rng, 0, AGN_CODEC_COUNT - 1);
    if (between(rng, 0, 1)) {
        struct agn_map_shape wire;
        int bits = between(rng, 1, 8);
        uint32_t row_bytes = (uint32_t)(map->w * map->c * bits + 7) / 8;
        if (agn_pixels_shape((unsigned)map->h, row_bytes, &wire) == 0) {
            model->value_bits = bits;
            model->local_c = 0;
            model->codec = (enum agn_codec)between(rng, 0, AGN_CODEC_LZW);
        }
    }
    random_contexts_make(&random->contexts, rng, (unsigned)(map->c - model->local_c), 5);
    model->contexts = random->contexts.model;
}

/* Other tensors that may be sent, in some networks that send values: any below the sender, in any number. */
static void random_cuts(struct random_model *random, struct agn_rng *rng, const struct graph_shape *shapes)
{
    struct agn_model_agn *model = &random->model;
    model->cuts = random->cuts;
    if (model->value_bits == 0 || between(rng, 0, 1))
        return;
    int share = between(rng, 0, 3);
    for (int t = 0; t < model->sender && model->cut_count < AGN_DEV_MAX_CUTS - 1; t++) {
        struct agn_map_shape wire;
        int bits = t == 0 || between(rng, 0, 1) ? 8 : between(rng, 1, 8);
        uint32_t row_bytes = (uint32_t)(shapes[t].w * shapes[t].c * bits + 7) / 8;
        if (between(rng, 0, share) > 0 || agn_pixels_shape((unsigned)shapes[t].h, row_bytes, &wire) < 0)
            continue;
        int run = t == 0 || between(rng, 0, 1) ? 0 : between(rng, t, model->layer_count);
        random->cuts[model->cut_count++] = (struct agn_model_cut){(uint32_t)agn_rng_u64(rng), t, bits, run};
    }
}

void random_graph_make(struct random_model *random, struct agn_rng *rng, enum random_style style, int layers,
                       int max_side, int max_channels)
{
    struct agn_model_agn *model = &random->model;
    struct graph_shape shapes[AGN_DEV_MAX_GRAPH_LAYERS + 1];
    memset(random, 0, sizeof *random);
    model->is_graph = true;
    model->model_id = (uint32_t)agn_rng_u64(rng);
    model->input_h = between(rng, 1, max_side);
    model->input_w = between(rng, 1, max_side);
    model->input_c = between(rng, 1, AGN_DEV_MAX_INPUT_CHANNELS);
    if (style == RANDOM_PATCHES)
        model->input_w = between(rng, max_side / 2, max_side);
    model->classes = between(rng, 1, 20);
    model->alpha_q15 = 9830;
    shapes[0] = (struct graph_shape){model->input_h, model->input_w, model->input_c, -1};
    for (int c = 0; c < model->input_c; c++)
        model->input_zero_point[c] = any_s8(rng, style);
    model->layers = random->layers;
    model->heads = random->heads;
    for (int i = 0; i < layers; i++) {
        struct agn_model_layer *layer = &random->layers[i];
        shapes[i + 1] = random_node(random, rng, style, i, max_channels, shapes);
        layer->out_zero_point = any_s8(rng, style);
        layer->clamp_min = between(rng, 0, 1) ? -128 : layer->out_zero_point;
        layer->clamp_max = between(rng, 0, 1) ? 127 : (int8_t)between(rng, layer->clamp_min, 127);
        if (style == RANDOM_PATCHES && i == 0) {
            layer->clamp_min = -128;
            layer->clamp_max = 127;
        }
        model->layer_count = i + 1;
        int heads_left = RANDOM_MAX_HEADS - model->head_count;
        if (heads_left > 0 && (i == layers - 1 ? between(rng, 0, 3) > 0 : between(rng, 0, layers) == 0))
            random_head(random, rng, style, i + 1, &shapes[i + 1]);
    }
    random_sender(random, rng, style, shapes);
    random_cuts(random, rng, shapes);
}

void random_model_free(struct random_model *random)
{
    for (int i = 0; i < random->model.head_count; i++) {
        agn_free((void *)(uintptr_t)random->heads[i].weights);
        agn_free((void *)(uintptr_t)random->heads[i].channels);
    }
    for (int i = 0; i < random->model.layer_count; i++) {
        agn_free((void *)(uintptr_t)random->layers[i].weights);
        agn_free((void *)(uintptr_t)random->layers[i].channels);
    }
    agn_free((void *)(uintptr_t)random->model.dense_weights);
    agn_free((void *)(uintptr_t)random->model.dense_channels);
    random_contexts_free(&random->contexts);
    memset(random, 0, sizeof *random);
}

uint8_t *random_image(const struct agn_model_agn *model, struct agn_rng *rng)
{
    size_t count = (size_t)model->input_h * (size_t)model->input_w * (size_t)model->input_c;
    uint8_t *image = agn_alloc(count, 1);
    assert(image);
    int saturated = between(rng, 0, 3) == 0;
    for (size_t i = 0; i < count; i++)
        image[i] = (uint8_t)(saturated ? 255 * between(rng, 0, 1) : between(rng, 0, 255));
    return image;
}
