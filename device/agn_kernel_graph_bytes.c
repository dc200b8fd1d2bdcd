/* Full convolutions that read pixels as the sensor gives them, for the Arm DSP extension: the first layer of
 * a network with branches, where its windows are patches that do not overlap. Rows of pixels are kept patch
 * by patch; four output channels share the unpacking of four pixels. So no row of 16-bit values is written
 * and no window copied.
 *
 * UXTB16 makes pairs of pixels 0 and 2, 1 and 3; weights are prepared once a frame to meet them, 16 bits
 * each, and the 128 that values are less than pixels goes into the bias. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

#if AGN_WITH_GRAPHS && AGN_KERNEL_DSP

#include "agn_simd.h"

/* What is prepared of four output channels, in words: biases; of each group of four weights two pairs a
 * channel; multiplier, addend and shift of each channel. */
enum { CHANNELS = 4, GROUP_WORDS = 2 * CHANNELS, FINISH_WORDS = 3 };

static size_t row_bytes(const struct agn_dev_layer *layer)
{
    return 4u * agn__layer_groups(layer);
}

static size_t patch_bytes(const struct agn_dev_layer *layer)
{
    return row_bytes(layer) * layer->kernel_h;
}

static size_t block_words(const struct agn_dev_layer *layer)
{
    return CHANNELS * (1u + FINISH_WORDS) + GROUP_WORDS * (patch_bytes(layer) / 4u);
}

uint32_t agn__bytes_needed(const struct agn_dev_layer *layer, uint32_t *kept)
{
    if (layer->kind != AGN_LAYER_CONV || !layer->folds || layer->pad_h > 0 || layer->pad_w > 0 ||
        layer->stride_w < layer->kernel_w || layer->stride_h != layer->kernel_h ||
        layer->out_c % CHANNELS != 0)
        return 0;
    *kept = (uint32_t)patch_bytes(layer) * layer->out_w;
    return *kept + (uint32_t)sizeof(struct agn__bytes) +
           (uint32_t)(4u * block_words(layer) * (layer->out_c / CHANNELS));
}

/* Channel `channel`, which is number `i` of the block at `to`. */
static void prepare_channel(const struct agn_dev_layer *layer, unsigned channel, uint32_t *to, unsigned i)
{
    const uint8_t *record = layer->channels + (size_t)channel * AGN_MODEL_CHANNEL_BYTES;
    size_t groups = patch_bytes(layer) / 4u;
    const int8_t *weights = layer->weights + 4u * groups * channel;
    uint32_t *pairs = to + CHANNELS + 2u * i, sum = 0;
    for (size_t left = groups; left > 0; left--, pairs += GROUP_WORDS) {
        struct agn__two_words w = agn__next_weights(&weights); /* bytes 0, 2 and 1, 3 */
        pairs[0] = agn__low_low(w.first, w.second);
        pairs[1] = agn__high_high(w.first, w.second);
        sum = (uint32_t)agn__smlad(w.first, 0x00010001U, (int32_t)sum);
        sum = (uint32_t)agn__smlad(w.second, 0x00010001U, (int32_t)sum);
    }
    uint32_t *finish = to + CHANNELS + GROUP_WORDS * groups + (size_t)FINISH_WORDS * i;
    unsigned shift = record[8] - 33u; /* the saturation shifts once more */
    to[i] = agn__word(record) - 128u * sum;
    finish[0] = agn__word(record + 4);
    finish[1] = (2u * (uint32_t)(int32_t)layer->out_zero_point + 1u) << shift;
    finish[2] = shift;
}

void agn__bytes_prepare(const struct agn_dev_layer *layer, struct agn__bytes *bytes)
{
    uint32_t *to = (uint32_t *)(void *)(bytes + 1);
    bytes->patch = (uint32_t)patch_bytes(layer);
    bytes->row = (uint32_t)row_bytes(layer);
    bytes->pixels = (uint16_t)(layer->kernel_w * layer->in_c);
    bytes->step = (uint16_t)(layer->stride_w * layer->in_c);
    bytes->places = layer->out_w;
    bytes->rows = layer->kernel_h;
    for (unsigned channel = 0; channel < layer->out_c; channel++) {
        prepare_channel(layer, channel, to, channel % CHANNELS);
        if (channel % CHANNELS == CHANNELS - 1)
            to += block_words(layer);
    }
}

/* A block of output channels on its way through a row. In memory, as the loop that multiplies takes almost
 * all registers. */
struct block {
    const uint32_t *prepared, *weights_end;
    const uint8_t *pixels, *pixels_end;
    int16_t *to;
    size_t step_x, step_c;
};

static inline __attribute__((always_inline)) void block_row(struct block *b, unsigned unit)
{
    const uint8_t *pixels = b->pixels;
    do {
        const uint32_t *prepared = b->prepared;
        struct agn__four_sums q = agn__patch_sums(&pixels, &prepared, &b->weights_end, unit);
        q.at0 = agn__finish_next(&prepared, q.at0);
        q.at1 = agn__finish_next(&prepared, q.at1);
        q.at2 = agn__finish_next(&prepared, q.at2);
        q.at3 = agn__finish_next(&prepared, q.at3);
        int16_t *to = b->to;
        agn__put_four(to, b->step_c, &q);
        b->to = to + b->step_x;
    } while (pixels != b->pixels_end);
}

static AGN__NOINLINE void block_row_4(struct block *b)
{
    block_row(b, 4);
}

static AGN__NOINLINE void block_row_1(struct block *b)
{
    block_row(b, 1);
}

void agn__bytes_conv_row(const struct agn_dev_layer *layer, const struct agn__bytes *bytes,
                         const uint8_t *patches, const struct agn__sink *sink)
{
    const uint32_t *prepared = (const uint32_t *)(const void *)(bytes + 1);
    struct block b;
    b.pixels = patches;
    b.pixels_end = patches + (size_t)bytes->patch * bytes->places;
    b.step_x = sink->step_x;
    b.step_c = sink->step_c;
    for (unsigned channel = 0; channel < layer->out_c; channel += CHANNELS) {
        b.prepared = prepared;
        b.to = sink->values + channel * sink->step_c;
        prepared += block_words(layer);
        b.weights_end = prepared - CHANNELS * FINISH_WORDS;
        if (bytes->patch % 16u == 0)
            block_row_4(&b);
        else
            block_row_1(&b);
    }
}

void agn__bytes_keep(const struct agn__bytes *bytes, const uint8_t *pixels, uint8_t *to)
{
    size_t step = bytes->step, count = bytes->pixels, patch = bytes->patch;
    unsigned left = bytes->places;
    if (step == 12 && count == 12 && ((uintptr_t)pixels & 3u) == 0)
        for (; left >= 4; left -= 4)
            agn__copy_four_threes(&pixels, &to, patch);
    for (; left > 0; left--, pixels += step, to += patch) {
        size_t i = 0;
        for (; i + 4u <= count; i += 4u)
            agn__put_word(to + i, agn__word(pixels + i));
        for (; i < count; i++)
            to[i] = pixels[i];
    }
}

#endif

typedef int agn__kernel_graph_bytes_is_not_empty; /* whichever kernels are chosen */
