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

void random_model_free(struct random_model *random)
{
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
