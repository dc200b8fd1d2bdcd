/* Row kernels for the Arm DSP extension: two multiply-accumulates an instruction (SMLAD), requantisation in
 * two (SMMLA, ASR), saturation in one (SSAT).
 *
 * Rows hold int16, weights come as int8 in an order that two sign extensions turn into pairs
 * (agn__layer_groups). The zero point is folded into the rounding constant: with s = shift - 32,
 *     ((high + 2^(s-1)) >> s) + zero_point = (high + 2^(s-1) + (zero_point << s)) >> s
 * exactly, and a clamp to all of int8 is the saturation. agn_dev_layer.folds says where both hold; elsewhere
 * outputs take the long way, with the same bits. */
#include "agn_device_internal.h"
#include "agn_kernel.h"
#include "agn_simd.h"

#if AGN_KERNEL_DSP

/* Every function that takes a constant flag is to be compiled for its value, and the inner loops into their
 * callers. */
#define AGN__INLINE static inline __attribute__((always_inline))

/* ---- outputs --------------------------------------------------------------------- */

/* What turns one channel's accumulators into outputs. */
struct finish {
    int32_t bias, multiplier, addend;
    unsigned shift; /* less 32 */
};

static struct finish finish_of(const struct agn_dev_layer *layer, unsigned channel)
{
    struct agn__channel c = agn__channel_read(layer->channels, channel);
    struct finish f = {c.bias, c.multiplier, 0, c.shift - 32u};
    uint32_t rounding = UINT32_C(1) << (f.shift - 1);
    uint32_t zero_point = layer->folds ? (uint32_t)(int32_t)layer->out_zero_point << f.shift : 0;
    f.addend = (int32_t)(rounding + zero_point);
    return f;
}

AGN__INLINE int32_t finish(const struct agn_dev_layer *layer, const struct finish *f, int32_t acc, int folds)
{
    int32_t q = agn__smmla(acc, f->multiplier, f->addend) >> f->shift;
    if (folds)
        return agn__ssat8(q);
    q += layer->out_zero_point;
    q = q < layer->clamp_min ? layer->clamp_min : q;
    return q > layer->clamp_max ? layer->clamp_max : q;
}

/* A channel's outputs, one after another. */
struct cursor {
    int16_t *value;
    uint8_t *symbol;
    const uint8_t *table; /* of value 0 */
    size_t step;
};

AGN__INLINE struct cursor cursor_of(const struct agn__sink *sink, size_t channel, int symbols)
{
    struct cursor cursor = {NULL, NULL, NULL, sink->step_x};
    if (symbols) {
        cursor.symbol = sink->symbols + channel * sink->step_c;
        cursor.table = sink->table + 128;
    } else {
        cursor.value = sink->values + channel * sink->step_c;
    }
    return cursor;
}

AGN__INLINE void emit(struct cursor *cursor, int32_t q, int symbols)
{
    if (symbols) {
        *cursor->symbol = cursor->table[q];
        cursor->symbol += cursor->step;
    } else {
        *cursor->value = (int16_t)q;
        cursor->value += cursor->step;
    }
}

/* ---- full convolutions --------------------------------------------------------------- */

/* 1x1 on up to four channels: all weights of an output channel stay in registers. */
AGN__INLINE void pointwise_channel(const struct agn_dev_layer *layer, const int16_t *src, unsigned channel,
                                   struct cursor to, int folds, int symbols)
{
    uint32_t weights = agn__word(layer->weights + (size_t)channel * 4u);
    uint32_t even = agn__sxtb16(weights), odd = agn__sxtb16_odd(weights);
    size_t step = (size_t)layer->stride_w * layer->in_c;
    const struct finish f = finish_of(layer, channel);
    for (unsigned x = 0; x < layer->out_w; x++, src += step) {
        int32_t acc = agn__smlad(agn__word(src), even, f.bias);
        acc = agn__smlad(agn__word(src + 2), odd, acc);
        emit(&to, finish(layer, &f, acc, folds), symbols);
    }
}

/* Accumulates `xs` (1 or 2) places of `ocs` (1 or 2) output channels over the whole window; acc[oc][x]. */
AGN__INLINE void accumulate(const struct agn_dev_layer *layer, const int16_t *const *rows, size_t at,
                            const int8_t *weights, int ocs, int xs, int32_t acc[2][2])
{
    size_t groups = agn__layer_groups(layer), next_x = (size_t)layer->stride_w * layer->in_c;
    size_t next_oc = 4u * groups * layer->kernel_h;
    for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
        const int16_t *src = rows[ky] + at;
        for (const int8_t *row_end = weights + 4u * groups; weights != row_end; weights += 4, src += 4) {
            uint32_t first = agn__word(weights), even = agn__sxtb16(first), odd = agn__sxtb16_odd(first);
            uint32_t a0 = agn__word(src), b0 = agn__word(src + 2), a1 = 0, b1 = 0;
            acc[0][0] = agn__smlad(b0, odd, agn__smlad(a0, even, acc[0][0]));
            if (xs == 2) {
                a1 = agn__word(src + next_x);
                b1 = agn__word(src + next_x + 2);
                acc[0][1] = agn__smlad(b1, odd, agn__smlad(a1, even, acc[0][1]));
            }
            if (ocs == 2) {
                uint32_t second = agn__word(weights + next_oc);
                even = agn__sxtb16(second);
                odd = agn__sxtb16_odd(second);
                acc[1][0] = agn__smlad(b0, odd, agn__smlad(a0, even, acc[1][0]));
                if (xs == 2)
                    acc[1][1] = agn__smlad(b1, odd, agn__smlad(a1, even, acc[1][1]));
            }
        }
    }
}

AGN__INLINE void window_channels(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                 unsigned channel, const struct agn__sink *sink, unsigned first, int ocs,
                                 int folds, int symbols)
{
    const int8_t *weights = layer->weights + 4u * agn__layer_groups(layer) * layer->kernel_h * channel;
    size_t step = (size_t)layer->stride_w * layer->in_c;
    const struct finish f0 = finish_of(layer, channel), f1 = finish_of(layer, channel + (unsigned)ocs - 1u);
    struct cursor to0 = cursor_of(sink, channel - first, symbols);
    struct cursor to1 = cursor_of(sink, channel - first + (unsigned)ocs - 1u, symbols);
    unsigned x = 0;
    for (; x < layer->out_w; x += 2) {
        int32_t acc[2][2] = {{f0.bias, f0.bias}, {f1.bias, f1.bias}};
        if (x + 1u == layer->out_w) {
            accumulate(layer, rows, x * step, weights, ocs, 1, acc);
        } else {
            accumulate(layer, rows, x * step, weights, ocs, 2, acc);
        }
        emit(&to0, finish(layer, &f0, acc[0][0], folds), symbols);
        if (ocs == 2)
            emit(&to1, finish(layer, &f1, acc[1][0], folds), symbols);
        if (x + 1u == layer->out_w)
            return;
        emit(&to0, finish(layer, &f0, acc[0][1], folds), symbols);
        if (ocs == 2)
            emit(&to1, finish(layer, &f1, acc[1][1], folds), symbols);
    }
}

AGN__INLINE void conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                          unsigned end, const struct agn__sink *sink, int folds, int symbols)
{
    unsigned channel = first;
    if (layer->kernel_h == 1 && layer->kernel_w == 1 && layer->in_c <= 4) {
        for (; channel < end; channel++)
            pointwise_channel(layer, rows[0], channel, cursor_of(sink, channel - first, symbols), folds,
                              symbols);
        return;
    }
    for (; channel + 1u < end; channel += 2)
        window_channels(layer, rows, channel, sink, first, 2, folds, symbols);
    if (channel < end)
        window_channels(layer, rows, channel, sink, first, 1, folds, symbols);
}

void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    if (!layer->folds)
        conv_row(layer, rows, first, end, sink, 0, sink->table != NULL);
    else if (sink->table)
        conv_row(layer, rows, first, end, sink, 1, 1);
    else
        conv_row(layer, rows, first, end, sink, 1, 0);
}

/* ---- depthwise convolutions ------------------------------------------------------------ */

/* Weights of a 3x3 window's row: w0 and w1 as one pair, w1 and w2 as another. */
struct taps {
    uint32_t w01, w12;
};

AGN__INLINE int16_t tap(const struct agn_dev_layer *layer, unsigned channel, unsigned ky, unsigned kx)
{
    return layer->weights[(size_t)(ky * layer->kernel_w + kx) * layer->in_c + channel];
}

/* 3x3: two outputs at a time where they share values, which is at stride 1. */
AGN__INLINE void depthwise3_channel(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                    unsigned channel, struct cursor to, int folds, int symbols)
{
    size_t at = channel * agn__step_c(layer), stride = layer->stride_w;
    const int16_t *r0 = rows[0] + at, *r1 = rows[1] + at, *r2 = rows[2] + at;
    const struct finish f = finish_of(layer, channel);
    struct taps taps[3];
    for (unsigned ky = 0; ky < 3; ky++) {
        uint32_t w0 = (uint16_t)tap(layer, channel, ky, 0), w1 = (uint16_t)tap(layer, channel, ky, 1);
        taps[ky].w01 = w0 | w1 << 16;
        taps[ky].w12 = w1 | (uint32_t)(uint16_t)tap(layer, channel, ky, 2) << 16;
    }
    unsigned left = layer->out_w;
    for (; stride == 1 && left >= 2; left -= 2) {
        int32_t acc0 = f.bias, acc1 = f.bias;
        uint32_t v01 = agn__word(r0), v23 = agn__word(r0 + 2);
        acc0 = agn__smlabt(v23, taps[0].w12, agn__smlad(v01, taps[0].w01, acc0));
        acc1 = agn__smlad(v23, taps[0].w12, agn__smlatb(v01, taps[0].w01, acc1));
        v01 = agn__word(r1);
        v23 = agn__word(r1 + 2);
        acc0 = agn__smlabt(v23, taps[1].w12, agn__smlad(v01, taps[1].w01, acc0));
        acc1 = agn__smlad(v23, taps[1].w12, agn__smlatb(v01, taps[1].w01, acc1));
        v01 = agn__word(r2);
        v23 = agn__word(r2 + 2);
        acc0 = agn__smlabt(v23, taps[2].w12, agn__smlad(v01, taps[2].w01, acc0));
        acc1 = agn__smlad(v23, taps[2].w12, agn__smlatb(v01, taps[2].w01, acc1));
        emit(&to, finish(layer, &f, acc0, folds), symbols);
        emit(&to, finish(layer, &f, acc1, folds), symbols);
        r0 += 2;
        r1 += 2;
        r2 += 2;
    }
    for (; left > 0; left--) {
        int32_t acc = agn__smlad(agn__word(r0), taps[0].w01, f.bias);
        acc = agn__smlabt((uint16_t)r0[2], taps[0].w12, acc);
        acc = agn__smlad(agn__word(r1), taps[1].w01, acc);
        acc = agn__smlabt((uint16_t)r1[2], taps[1].w12, acc);
        acc = agn__smlad(agn__word(r2), taps[2].w01, acc);
        acc = agn__smlabt((uint16_t)r2[2], taps[2].w12, acc);
        emit(&to, finish(layer, &f, acc, folds), symbols);
        r0 += stride;
        r1 += stride;
        r2 += stride;
    }
}

/* Any other window, one value at a time. */
AGN__INLINE void depthwise_channel(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                   unsigned channel, struct cursor to, int folds, int symbols)
{
    size_t at = channel * agn__step_c(layer);
    const struct finish f = finish_of(layer, channel);
    for (unsigned x = 0; x < layer->out_w; x++, at += layer->stride_w) {
        int32_t acc = f.bias;
        for (unsigned ky = 0; ky < layer->kernel_h; ky++)
            for (unsigned kx = 0; kx < layer->kernel_w; kx++)
                acc += tap(layer, channel, ky, kx) * rows[ky][at + kx];
        emit(&to, finish(layer, &f, acc, folds), symbols);
    }
}

AGN__INLINE void dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                            unsigned end, const struct agn__sink *sink, int folds, int symbols)
{
    int is_3x3 = layer->kernel_h == 3 && layer->kernel_w == 3;
    for (unsigned channel = first; channel < end; channel++) {
        struct cursor to = cursor_of(sink, channel - first, symbols);
        if (is_3x3)
            depthwise3_channel(layer, rows, channel, to, folds, symbols);
        else
            depthwise_channel(layer, rows, channel, to, folds, symbols);
    }
}

void agn__dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                     unsigned end, const struct agn__sink *sink)
{
    if (!layer->folds || sink->table)
        dwconv_row(layer, rows, first, end, sink, layer->folds, sink->table != NULL);
    else
        dwconv_row(layer, rows, first, end, sink, 1, 0);
}

/* ---- pixels, sums, symbols ----------------------------------------------------------------- */

/* Four RGB pixels, twelve bytes, to four values of each plane. */
static void four_rgb(const uint8_t *pixels, int16_t *r, int16_t *g, int16_t *b)
{
    const uint32_t sign = 0x80808080U; /* x ^ 0x80 as int8 is x - 128 */
    uint32_t w0 = agn__word(pixels) ^ sign, w1 = agn__word(pixels + 4) ^ sign,
             w2 = agn__word(pixels + 8) ^ sign;
    uint32_t r0b0 = agn__sxtb16(w0), g0r1 = agn__sxtb16_odd(w0);
    uint32_t g1r2 = agn__sxtb16(w1), b1g2 = agn__sxtb16_odd(w1);
    uint32_t b2g3 = agn__sxtb16(w2), r3b3 = agn__sxtb16_odd(w2);
    agn__put_word(r, agn__low_high(r0b0, g0r1));
    agn__put_word(r + 2, g1r2 >> 16 | r3b3 << 16);
    agn__put_word(g, agn__low_low(g0r1, g1r2));
    agn__put_word(g + 2, agn__high_high(b1g2, b2g3));
    agn__put_word(b, r0b0 >> 16 | b1g2 << 16);
    agn__put_word(b + 2, agn__low_high(b2g3, r3b3));
}

/* Bytes that stay in order. */
static void pixels_in_order(const uint8_t *pixels, int16_t *to, size_t count)
{
    for (; count >= 4; count -= 4, pixels += 4, to += 4) {
        uint32_t bytes = agn__word(pixels) ^ 0x80808080U;
        uint32_t even = agn__sxtb16(bytes), odd = agn__sxtb16_odd(bytes);
        agn__put_word(to, agn__low_low(even, odd));
        agn__put_word(to + 2, agn__high_high(even, odd));
    }
    for (; count > 0; count--)
        *to++ = (int16_t)(*pixels++ - 128);
}

void agn__pixel_row(const struct agn_dev_layer *layer, const uint8_t *pixels, int16_t *to)
{
    size_t plane = agn__step_c(layer);
    unsigned x = 0, channels = layer->in_c;
    if (layer->kind == AGN_LAYER_CONV || channels == 1) {
        pixels_in_order(pixels, to, (size_t)layer->in_w * channels);
        return;
    }
    if (channels == 3)
        for (; x + 4u <= layer->in_w; x += 4, pixels += 12)
            four_rgb(pixels, to + x, to + plane + x, to + 2 * plane + x);
    for (; x < layer->in_w; x++)
        for (unsigned c = 0; c < channels; c++)
            to[c * plane + x] = (int16_t)(*pixels++ - 128);
}

int32_t agn__sum_row(const int16_t *values, unsigned count)
{
    int32_t sum = 0;
    for (; count >= 2; count -= 2, values += 2)
        sum = agn__smlad(agn__word(values), 0x00010001U, sum);
    return count > 0 ? sum + *values : sum;
}

/* Four symbols, a byte each, to 12 bits. */
AGN__INLINE uint32_t pack_four(uint32_t symbols)
{
    uint32_t pairs = symbols | symbols >> 5; /* bits 0-5 and 16-21 */
    return (pairs & 0x3FU) | (pairs >> 10 & 0xFC0U);
}

void agn__pack_row(const uint8_t *symbols, unsigned count, uint8_t *packed)
{
    for (; count >= 8; count -= 8, symbols += 8, packed += 3) {
        uint32_t bits = pack_four(agn__word(symbols)) | pack_four(agn__word(symbols + 4)) << 12;
        packed[0] = (uint8_t)bits;
        packed[1] = (uint8_t)(bits >> 8);
        packed[2] = (uint8_t)(bits >> 16);
    }
    uint32_t bits = 0;
    for (unsigned i = 0; i < count; i++)
        bits |= (uint32_t)symbols[i] << (AGN_WIRE_SYMBOL_BITS * i);
    for (unsigned have = count * AGN_WIRE_SYMBOL_BITS; have > 0; have -= have < 8 ? have : 8, bits >>= 8)
        *packed++ = (uint8_t)bits;
}

#endif

typedef int agn__kernel_dsp_is_not_empty; /* whichever kernels are chosen */
