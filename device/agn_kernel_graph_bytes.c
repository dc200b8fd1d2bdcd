/* Full convolutions that read pixels as the sensor gives them, for the Arm DSP extension: the first layer of
 * a network with branches, without padding, as patches are. Four output channels share the unpacking of four
 * pixels, so that no row of 16-bit values is written and no window copied.
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

static unsigned groups_of(const struct agn_dev_layer *layer)
{
    return (unsigned)agn__layer_groups(layer) * layer->kernel_h;
}

static size_t block_words(const struct agn_dev_layer *layer)
{
    return CHANNELS * (1u + FINISH_WORDS) + (size_t)GROUP_WORDS * groups_of(layer);
}

uint32_t agn__bytes_prepared(const struct agn_dev_layer *layer)
{
    if (layer->kind != AGN_LAYER_CONV || !layer->folds || layer->pad_h > 0 || layer->pad_w > 0 ||
        layer->out_c % CHANNELS != 0)
        return 0;
    return (uint32_t)(4u * block_words(layer) * (layer->out_c / CHANNELS));
}

/* Channel `channel`, which is number `i` of the block at `to`. */
static void prepare_channel(const struct agn_dev_layer *layer, unsigned channel, uint32_t *to, unsigned i)
{
    const uint8_t *record = layer->channels + (size_t)channel * AGN_MODEL_CHANNEL_BYTES;
    unsigned groups = groups_of(layer);
    const int8_t *weights = layer->weights + 4u * (size_t)groups * channel;
    uint32_t *pairs = to + CHANNELS + 2u * i, sum = 0;
    for (unsigned left = groups; left > 0; left--, pairs += GROUP_WORDS) {
        struct agn__two_words w = agn__next_weights(&weights); /* bytes 0, 2 and 1, 3 */
        pairs[0] = agn__low_low(w.first, w.second);
        pairs[1] = agn__high_high(w.first, w.second);
        sum = (uint32_t)agn__smlad(w.first, 0x00010001U, (int32_t)sum);
        sum = (uint32_t)agn__smlad(w.second, 0x00010001U, (int32_t)sum);
    }
    uint32_t *finish = to + CHANNELS + (size_t)GROUP_WORDS * groups + FINISH_WORDS * i;
    unsigned shift = record[8] - 33u; /* the saturation shifts once more */
    to[i] = agn__word(record) - 128u * sum;
    finish[0] = agn__word(record + 4);
    finish[1] = (2u * (uint32_t)(int32_t)layer->out_zero_point + 1u) << shift;
    finish[2] = shift;
}

void agn__bytes_prepare(const struct agn_dev_layer *layer, uint32_t *to)
{
    for (unsigned channel = 0; channel < layer->out_c; channel++) {
        prepare_channel(layer, channel, to, channel % CHANNELS);
        if (channel % CHANNELS == CHANNELS - 1)
            to += block_words(layer);
    }
}

/* One channel's value of its sum. */
static inline __attribute__((always_inline)) int32_t finished(const uint32_t *finish, int32_t acc)
{
    return agn__ssat8_half(agn__smmla(acc, (int32_t)finish[0], (int32_t)finish[1]) >> finish[2]);
}

/* A block of output channels on its way through a row. In memory, as the loop that multiplies takes almost
 * all registers. */
struct block {
    struct agn__window window;
    const uint32_t *prepared;
    const uint8_t *pixels, *pixels_end;
    size_t step; /* from place to place, in bytes */
    int16_t *to;
    size_t step_x, step_c;
};

/* `three`: a window's row is three groups, as of 4 pixels in colour. */
static inline __attribute__((always_inline)) void block_row(struct block *b, int three)
{
    for (; b->pixels != b->pixels_end; b->pixels += b->step) {
        const uint32_t *finish = b->prepared;
        struct agn__four_sums q = agn__bytes_sums(b->pixels, &finish, &b->window, three);
        q.at0 = finished(finish, q.at0);
        q.at1 = finished(finish + FINISH_WORDS, q.at1);
        q.at2 = finished(finish + 2 * FINISH_WORDS, q.at2);
        q.at3 = finished(finish + 3 * FINISH_WORDS, q.at3);
        int16_t *to = b->to;
        b->to = to + b->step_x;
        agn__put_four(to, b->step_c, &q);
    }
}

static AGN__NOINLINE void block_row_3(struct block *b)
{
    block_row(b, 1);
}

static AGN__NOINLINE void block_row_any(struct block *b)
{
    block_row(b, 0);
}

void agn__bytes_conv_row(const struct agn_dev_layer *layer, const struct agn__bytes *image,
                         const struct agn__sink *sink, const uint32_t *prepared)
{
    size_t row_bytes = 4u * agn__layer_groups(layer);
    struct block b;
    b.window.row.gap = image->pitch - row_bytes;
    b.window.row_bytes = row_bytes;
    b.step = (size_t)layer->stride_w * layer->in_c;
    b.pixels_end = image->first + layer->out_w * b.step;
    b.step_x = sink->step_x;
    b.step_c = sink->step_c;
    for (unsigned channel = 0; channel < layer->out_c; channel += CHANNELS) {
        b.prepared = prepared;
        b.pixels = image->first;
        b.to = sink->values + channel * sink->step_c;
        prepared += block_words(layer);
        b.window.row.end = prepared - CHANNELS * FINISH_WORDS;
        if (row_bytes == 12)
            block_row_3(&b);
        else
            block_row_any(&b);
    }
}

void agn__bytes_keep(const uint8_t *from, uint8_t *to, size_t count)
{
    if ((((uintptr_t)from | (uintptr_t)to) & 3u) == 0)
        for (; count >= 32; count -= 32)
            agn__copy_eight_words(&from, &to);
    for (; count >= 16; count -= 16, from += 16, to += 16) {
        agn__put_word(to, agn__word(from));
        agn__put_word(to + 4, agn__word(from + 4));
        agn__put_word(to + 8, agn__word(from + 8));
        agn__put_word(to + 12, agn__word(from + 12));
    }
    for (; count > 0; count--)
        *to++ = *from++;
}

#endif

typedef int agn__kernel_graph_bytes_is_not_empty; /* whichever kernels are chosen */
