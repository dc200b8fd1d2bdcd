/* The kernels of this build against the plain ones, on random layers of odd sizes, with extreme weights,
 * inputs and requantisation: every value and every packed symbol, and what lies around them. Takes no notice
 * of the model and the frames linked in. */
#include "frame.h"

#include "agn_device_internal.h"
#include "agn_kernel.h"

enum {
    LAYERS = 400,
    MAX_WIDTH = 21, /* of an output row */
    MAX_CHANNELS = 9,
    MAX_SIDE = 5, /* of a window */
    MAX_STRIDE = 3,
    ROW_VALUES = (MAX_WIDTH * MAX_STRIDE + MAX_SIDE) * MAX_CHANNELS / 4 * 4 + 8,
    OUTPUTS = MAX_WIDTH * MAX_CHANNELS,
    GUARD = 8,
};

static int8_t weights[MAX_CHANNELS * MAX_SIDE * (MAX_SIDE * MAX_CHANNELS + 3)];
static uint8_t channels[MAX_CHANNELS * AGN_MODEL_CHANNEL_BYTES];
static _Alignas(4) int16_t inputs[MAX_SIDE][ROW_VALUES];
static int16_t values[2][OUTPUTS + 2 * GUARD];
static uint8_t packed[2][OUTPUTS + 2 * GUARD];
static uint8_t table[256];
static uint32_t state = 1;

static uint32_t below(uint32_t end)
{
    state = state * UINT32_C(1664525) + UINT32_C(1013904223);
    return (state >> 8) % end;
}

/* Any int8, the extremes often. */
static int8_t any_byte(void)
{
    uint32_t kind = below(4);
    return (int8_t)(kind == 0 ? -128 : kind == 1 ? 127 : (int)below(256) - 128);
}

static void fill_weights(const struct agn_dev_layer *layer)
{
    if (layer->kind == AGN_LAYER_DWCONV) {
        for (size_t i = 0; i < agn__layer_weight_bytes(layer); i++)
            weights[i] = any_byte();
        return;
    }
    size_t run = (size_t)layer->kernel_w * layer->in_c, stored = 4 * agn__layer_groups(layer);
    for (size_t row = 0; row < (size_t)layer->kernel_h * layer->out_c; row++)
        for (size_t i = 0; i < stored; i++)
            weights[row * stored + agn__weight_place(i)] = i < run ? any_byte() : 0;
}

static void random_layer(struct agn_dev_layer *layer)
{
    memset(layer, 0, sizeof *layer);
    layer->kind = (uint8_t)below(2);
    layer->kernel_h = layer->kernel_w = (uint8_t)(below(8) == 0 ? 5 : below(3) == 0 ? 1 : 3);
    layer->stride_h = layer->stride_w = (uint8_t)(1 + below(MAX_STRIDE));
    layer->out_w = (uint16_t)(1 + below(MAX_WIDTH));
    layer->in_w = (uint16_t)((layer->out_w - 1u) * layer->stride_w + layer->kernel_w);
    layer->in_c = (uint16_t)(1 + below(MAX_CHANNELS));
    layer->out_c = (uint16_t)(layer->kind == AGN_LAYER_DWCONV ? layer->in_c : 1 + below(MAX_CHANNELS));
    layer->out_zero_point = any_byte();
    layer->clamp_min = INT8_MIN;
    layer->clamp_max = INT8_MAX;
    layer->folds = below(3) > 0;
    if (!layer->folds) {
        layer->clamp_min = (int8_t)-below(129);
        layer->clamp_max = (int8_t)below(128);
    }
    fill_weights(layer);
    for (unsigned c = 0; c < layer->out_c; c++) {
        uint8_t *record = channels + (size_t)c * AGN_MODEL_CHANNEL_BYTES;
        uint32_t bias = below(1u << 24) - (1u << 23), largest = below(8) == 0;
        agn__store_u32(record, bias);
        agn__store_u32(record + 4, largest ? INT32_MAX : below(1u << 24) << 7);
        record[8] = (uint8_t)(AGN_DEV_MIN_SHIFT +
                              below(1u + (layer->folds ? AGN__FOLD_MAX_SHIFT : AGN_DEV_MAX_SHIFT) -
                                    AGN_DEV_MIN_SHIFT));
    }
    layer->weights = weights;
    layer->channels = channels;
}

typedef void row_kernel(const struct agn_dev_layer *, const int16_t *const *, unsigned, unsigned,
                        const struct agn__sink *);

/* Runs channels [first, end) into the buffers `index`; values in the order of a CONV's or a DWCONV's row. */
static void run(const struct agn_dev_layer *layer, row_kernel *kernel, unsigned index, unsigned first,
                int by_channel)
{
    const int16_t *rows[MAX_SIDE];
    for (unsigned i = 0; i < MAX_SIDE; i++)
        rows[i] = inputs[i] + (layer->in_c & i & 1u); /* of an even number of channels, rows lie at words */
    struct agn__sink sink = {values[index] + GUARD, by_channel ? 1 : layer->out_c,
                             by_channel ? layer->out_w : 1, NULL, NULL};
    memset(values[index], 0x55, sizeof values[index]);
    memset(packed[index], 0x55, sizeof packed[index]);
    kernel(layer, rows, first, layer->out_c, &sink);
    sink.packed = packed[index] + GUARD;
    sink.step_c = AGN_DEV_SYMBOL_ROW_BYTES(layer->out_w);
    sink.table = table;
    kernel(layer, rows, first, layer->out_c, &sink);
}

static uint32_t differences(const void *a, const void *b, size_t len)
{
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    uint32_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += x[i] != y[i];
    return count;
}

static uint32_t check_layer(void)
{
    struct agn_dev_layer layer;
    random_layer(&layer);
    for (unsigned i = 0; i < MAX_SIDE; i++)
        for (unsigned j = 0; j < ROW_VALUES; j++)
            inputs[i][j] = any_byte();
    int is_full = layer.kind == AGN_LAYER_CONV, by_channel = (int)below(2);
    unsigned first = below(layer.out_c);
    run(&layer, is_full ? agn__conv_row_plain : agn__dwconv_row_plain, 0, first, by_channel);
    run(&layer, is_full ? agn__conv_row : agn__dwconv_row, 1, first, by_channel);
    return differences(values[0], values[1], sizeof values[0]) +
           differences(packed[0], packed[1], sizeof packed[0]);
}

/* A row of pixels and its sum. */
static uint32_t check_pixels(void)
{
    struct agn_dev_layer layer;
    random_layer(&layer);
    layer.in_w = (uint16_t)(1 + below(OUTPUTS / layer.in_c));
    uint8_t *pixels = (uint8_t *)inputs;
    size_t step_x = agn__step_x(&layer), step_c = agn__step_c(&layer);
    memset(values, 0x55, sizeof values);
    int32_t sum = 0;
    for (unsigned x = 0; x < layer.in_w; x++)
        for (unsigned c = 0; c < layer.in_c; c++) {
            uint8_t pixel = (uint8_t)any_byte();
            pixels[(size_t)x * layer.in_c + c] = pixel;
            values[0][GUARD + x * step_x + c * step_c] = (int16_t)(pixel - 128);
            sum += pixel - 128;
        }
    agn__pixel_row(&layer, pixels, values[1] + GUARD);
    uint32_t wrong = differences(values[0], values[1], sizeof values[0]);
    return wrong + (agn__sum_row(values[0] + GUARD, (unsigned)layer.in_w * layer.in_c) != sum);
}

int app_main(void)
{
    uint32_t wrong = 0;
    for (unsigned i = 0; i < sizeof table; i++)
        table[i] = (uint8_t)below(AGN_WIRE_LEVELS);
    for (unsigned i = 0; i < LAYERS; i++)
        wrong += check_layer() + check_pixels();
    print_number("kernel_is_dsp", AGN_KERNEL_DSP);
    print_number("kernel_is_mve", AGN_KERNEL_MVE);
    print_number("layers", LAYERS);
    print_number("wrong", wrong);
    return wrong != 0;
}
