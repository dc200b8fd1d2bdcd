/* Row kernels for the Arm DSP extension: two multiply-accumulates an instruction (SMLAD), requantisation in
 * two (SMMLA, ASR), saturation in one (SSAT).
 *
 * Rows hold int16, weights come as int8 in an order that two sign extensions turn into pairs
 * (agn__layer_groups). The zero point is folded into the rounding constant: with s = shift - 32,
 *     ((high + 2^(s-1)) >> s) + zero_point = (high + 2^(s-1) + (zero_point << s)) >> s
 * exactly, and a clamp to all of int8 is the saturation. agn_dev_layer.folds says where both hold; other
 * layers take the plain kernels. */
#include "agn_device_internal.h"
#include "agn_kernel.h"
#include "agn_simd.h"

#if AGN_KERNEL_DSP

/* A function that takes a flag is to be compiled for each of its values. */
#define AGN__INLINE static inline __attribute__((always_inline))
/* A loop that needs all registers is to be a function by itself. */
#define AGN__ALONE static __attribute__((noinline))

/* ---- outputs --------------------------------------------------------------------- */

/* One output channel: what turns its accumulators into outputs, and where these go. */
struct output {
    int32_t bias, multiplier, addend;
    unsigned shift; /* less 32 */
    unsigned count; /* places */
    int16_t *value;
    size_t step;
    struct agn__packer packer;
    const uint8_t *table; /* of value 0; NULL: values */
};

static struct output output_of(const struct agn_dev_layer *layer, const struct agn__sink *sink,
                               unsigned first, unsigned channel)
{
    struct agn__channel c = agn__channel_read(layer->channels, channel);
    struct output out;
    out.bias = c.bias;
    out.multiplier = c.multiplier;
    out.shift = c.shift - 32u;
    out.count = layer->out_w;
    out.step = sink->step_x;
    out.value = NULL;
    out.packer.to = NULL;
    out.packer.bits = 0;
    out.packer.have = 0;
    out.table = NULL;
    uint32_t zero_point = (uint32_t)(int32_t)layer->out_zero_point;
    out.addend = (int32_t)((UINT32_C(1) << (out.shift - 1)) + (zero_point << out.shift));
    if (sink->table) {
        out.packer.to = sink->packed + (channel - first) * sink->step_c;
        out.table = sink->table + 128;
    } else {
        out.value = sink->values + (channel - first) * sink->step_c;
    }
    return out;
}

AGN__INLINE int32_t finish(const struct output *out, int32_t acc)
{
    return agn__ssat8(agn__smmla(acc, out->multiplier, out->addend) >> out->shift);
}

AGN__INLINE void put(struct output *out, int32_t acc, int symbols)
{
    int32_t q = finish(out, acc);
    if (symbols) {
        agn__packer_put(&out->packer, out->table[q]);
    } else {
        *out->value = (int16_t)q;
        out->value += out->step;
    }
}

/* ---- 1x1 on up to four channels --------------------------------------------------------- */

/* The next four values, from a word address. */
AGN__INLINE int32_t of_four(const int16_t **src, uint32_t even, uint32_t odd, int32_t acc)
{
    struct agn__two_words v = agn__next_two_words(src);
    return agn__smlad(v.second, odd, agn__smlad(v.first, even, acc));
}

/* Eight places' symbols make three bytes. */
AGN__INLINE void eight_symbols(struct output *out, const int16_t **src, uint32_t even, uint32_t odd)
{
    uint32_t bits = 0;
#define AGN__NEXT(i)                                                                                         \
    bits |= (uint32_t)out->table[finish(out, of_four(src, even, odd, out->bias))] << (3 * (i))
    AGN__NEXT(0);
    AGN__NEXT(1);
    AGN__NEXT(2);
    AGN__NEXT(3);
    AGN__NEXT(4);
    AGN__NEXT(5);
    AGN__NEXT(6);
    AGN__NEXT(7);
#undef AGN__NEXT
    out->packer.to[0] = (uint8_t)bits;
    out->packer.to[1] = (uint8_t)(bits >> 8);
    out->packer.to[2] = (uint8_t)(bits >> 16);
    out->packer.to += 3;
}

/* `aligned`: places are 4 values apart and at word addresses. */
AGN__INLINE void pointwise(const int16_t *src, size_t step, uint32_t weights, const struct output *output,
                           int aligned, int symbols)
{
    struct output out = *output; /* in registers, whatever the stores below may touch */
    uint32_t even = agn__sxtb16(weights), odd = agn__sxtb16_odd(weights);
    unsigned left = out.count;
    if (aligned && symbols) {
        for (; left >= 8; left -= 8)
            eight_symbols(&out, &src, even, odd);
    } else if (aligned) {
        for (; left >= 2; left -= 2) {
            put(&out, of_four(&src, even, odd, out.bias), 0);
            put(&out, of_four(&src, even, odd, out.bias), 0);
        }
    }
    for (; left > 0; left--, src += step)
        put(&out, agn__smlad(agn__word(src + 2), odd, agn__smlad(agn__word(src), even, out.bias)), symbols);
    if (symbols)
        agn__packer_end(&out.packer);
}

AGN__ALONE void pointwise_values(const int16_t *src, size_t step, uint32_t weights, const struct output *out)
{
    pointwise(src, step, weights, out, 0, 0);
}

AGN__ALONE void pointwise_symbols(const int16_t *src, size_t step, uint32_t weights, const struct output *out)
{
    pointwise(src, step, weights, out, 0, 1);
}

AGN__ALONE void pointwise_values_4(const int16_t *src, size_t step, uint32_t weights,
                                   const struct output *out)
{
    pointwise(src, step, weights, out, 1, 0);
}

AGN__ALONE void pointwise_symbols_4(const int16_t *src, size_t step, uint32_t weights,
                                    const struct output *out)
{
    pointwise(src, step, weights, out, 1, 1);
}

static void pointwise_row(const struct agn_dev_layer *layer, const int16_t *src, unsigned first, unsigned end,
                          const struct agn__sink *sink)
{
    int aligned = layer->in_c == 4 && layer->stride_w == 1;
    void (*run)(const int16_t *, size_t, uint32_t, const struct output *) =
        aligned ? (sink->table ? pointwise_symbols_4 : pointwise_values_4)
                : (sink->table ? pointwise_symbols : pointwise_values);
    for (unsigned channel = first; channel < end; channel++) {
        const struct output out = output_of(layer, sink, first, channel);
        run(src, (size_t)layer->stride_w * layer->in_c, agn__word(layer->weights + (size_t)channel * 4u),
            &out);
    }
}

/* ---- full convolutions with any window -------------------------------------------------- */

enum { PLACES = 4 }; /* side by side, that share the work of unpacking a channel's weights */

/* What stays the same along an output row. */
struct window {
    const int16_t *const *rows, *const *rows_end;
    const int8_t *weights;
    size_t row_bytes; /* of the weights of a window's row */
};

/* The whole window for PLACES places, offset[i] values from `at` in their rows. The values of an `aligned`
 * layer lie at word addresses. Fourteen registers do for the inner loop: more places, or two channels, would
 * spill. */
AGN__INLINE void window_block(const struct window *w, size_t at, const size_t offset[PLACES],
                              int32_t acc[PLACES], int aligned)
{
    int32_t acc0 = acc[0], acc1 = acc[1], acc2 = acc[2], acc3 = acc[3];
    const int8_t *weights = w->weights;
    for (const int16_t *const *row = w->rows; row != w->rows_end; row++) {
        const int16_t *src0 = *row + at;
        const int16_t *src1 = src0 + offset[1], *src2 = src0 + offset[2], *src3 = src0 + offset[3];
        const int8_t *end = weights + w->row_bytes;
        do {
            uint32_t bytes = agn__word(weights), even = agn__sxtb16(bytes), odd = agn__sxtb16_odd(bytes);
            weights += 4;
            struct agn__two_words v = aligned ? agn__next_two_words(&src0) : agn__next_two_any(&src0);
            acc0 = agn__smlad(v.second, odd, agn__smlad(v.first, even, acc0));
            v = aligned ? agn__next_two_words(&src1) : agn__next_two_any(&src1);
            acc1 = agn__smlad(v.second, odd, agn__smlad(v.first, even, acc1));
            v = aligned ? agn__next_two_words(&src2) : agn__next_two_any(&src2);
            acc2 = agn__smlad(v.second, odd, agn__smlad(v.first, even, acc2));
            v = aligned ? agn__next_two_words(&src3) : agn__next_two_any(&src3);
            acc3 = agn__smlad(v.second, odd, agn__smlad(v.first, even, acc3));
        } while (weights != end);
    }
    acc[0] = acc0;
    acc[1] = acc1;
    acc[2] = acc2;
    acc[3] = acc3;
}

AGN__ALONE void window_block_aligned(const struct window *w, size_t at, const size_t offset[PLACES],
                                     int32_t acc[PLACES])
{
    window_block(w, at, offset, acc, 1);
}

AGN__ALONE void window_block_any(const struct window *w, size_t at, const size_t offset[PLACES],
                                 int32_t acc[PLACES])
{
    window_block(w, at, offset, acc, 0);
}

/* One output channel's row. */
AGN__INLINE void window_channel(const struct window *w, size_t step, int aligned, struct output *out,
                                int symbols)
{
    size_t at = 0;
    for (unsigned left = out->count; left > 0; at += PLACES * step) {
        /* Places beyond the row's end are its last one once more. */
        unsigned last = left < PLACES ? left - 1u : PLACES - 1u;
        const size_t offset[PLACES] = {0, (last < 1 ? last : 1u) * step, (last < 2 ? last : 2u) * step,
                                       last * step};
        int32_t acc[PLACES] = {out->bias, out->bias, out->bias, out->bias};
        if (aligned)
            window_block_aligned(w, at, offset, acc);
        else
            window_block_any(w, at, offset, acc);
        for (unsigned i = 0; i <= last; i++)
            put(out, acc[i], symbols);
        left -= last + 1u;
    }
    if (symbols)
        agn__packer_end(&out->packer);
}

static void window_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                       unsigned end, const struct agn__sink *sink)
{
    size_t row_bytes = 4u * agn__layer_groups(layer), step = (size_t)layer->stride_w * layer->in_c;
    int aligned = layer->in_c % 2 == 0;
    struct window w = {rows, rows + layer->kernel_h, layer->weights + row_bytes * layer->kernel_h * first,
                       row_bytes};
    for (unsigned channel = first; channel < end; channel++, w.weights += row_bytes * layer->kernel_h) {
        struct output out = output_of(layer, sink, first, channel);
        if (sink->table)
            window_channel(&w, step, aligned, &out, 1);
        else
            window_channel(&w, step, aligned, &out, 0);
    }
}

void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    if (!layer->folds)
        agn__conv_row_plain(layer, rows, first, end, sink);
    else if (layer->kernel_h == 1 && layer->kernel_w == 1 && layer->in_c <= 4)
        pointwise_row(layer, rows[0], first, end, sink);
    else
        window_row(layer, rows, first, end, sink);
}

/* ---- depthwise convolutions, 3x3 --------------------------------------------------------- */

/* Of each row of the window, w0 and w1 as one pair, w1 and w2 as another; and where the rows start. */
struct depthwise {
    const int16_t *rows[3];
    uint32_t w01[3], w12[3];
    size_t stride;
};

static struct depthwise depthwise_of(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                     unsigned channel)
{
    struct depthwise d;
    const int8_t *weight = layer->weights + channel;
    size_t step = layer->in_c, offset = channel * agn__step_c(layer);
    for (unsigned ky = 0; ky < 3; ky++, weight += 3 * step) {
        uint32_t middle = (uint32_t)(uint16_t)weight[step];
        d.rows[ky] = rows[ky] + offset;
        d.w01[ky] = (uint32_t)(uint16_t)weight[0] | middle << 16;
        d.w12[ky] = middle | (uint32_t)(uint16_t)weight[2 * step] << 16;
    }
    d.stride = layer->stride_w;
    return d;
}

/* Two outputs side by side at stride 1: of four values, three each. */
AGN__INLINE void two_windows(const int16_t *row, uint32_t w01, uint32_t w12, int32_t acc[2])
{
    uint32_t v01 = agn__word(row), v23 = agn__word(row + 2);
    acc[0] = agn__smlabt(v23, w12, agn__smlad(v01, w01, acc[0]));
    acc[1] = agn__smlad(v23, w12, agn__smlatb(v01, w01, acc[1]));
}

AGN__INLINE int32_t one_window(const int16_t *row, uint32_t w01, uint32_t w12, int32_t acc)
{
    return agn__smlabt((uint16_t)row[2], w12, agn__smlad(agn__word(row), w01, acc));
}

AGN__INLINE void depthwise_channel(const struct depthwise *d, const struct output *output, int symbols)
{
    struct output out = *output;
    const int16_t *r0 = d->rows[0], *r1 = d->rows[1], *r2 = d->rows[2];
    unsigned left = out.count;
    for (; d->stride == 1 && left >= 2; left -= 2, r0 += 2, r1 += 2, r2 += 2) {
        int32_t acc[2] = {out.bias, out.bias};
        two_windows(r0, d->w01[0], d->w12[0], acc);
        two_windows(r1, d->w01[1], d->w12[1], acc);
        two_windows(r2, d->w01[2], d->w12[2], acc);
        put(&out, acc[0], symbols);
        put(&out, acc[1], symbols);
    }
    for (size_t stride = d->stride; left > 0; left--, r0 += stride, r1 += stride, r2 += stride) {
        int32_t acc = one_window(r0, d->w01[0], d->w12[0], out.bias);
        acc = one_window(r1, d->w01[1], d->w12[1], acc);
        acc = one_window(r2, d->w01[2], d->w12[2], acc);
        put(&out, acc, symbols);
    }
    if (symbols)
        agn__packer_end(&out.packer);
}

AGN__ALONE void depthwise_values(const struct depthwise *d, const struct output *out)
{
    depthwise_channel(d, out, 0);
}

AGN__ALONE void depthwise_symbols(const struct depthwise *d, const struct output *out)
{
    depthwise_channel(d, out, 1);
}

void agn__dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                     unsigned end, const struct agn__sink *sink)
{
    if (!layer->folds || layer->kernel_h != 3 || layer->kernel_w != 3) {
        agn__dwconv_row_plain(layer, rows, first, end, sink);
        return;
    }
    for (unsigned channel = first; channel < end; channel++) {
        const struct output out = output_of(layer, sink, first, channel);
        const struct depthwise d = depthwise_of(layer, rows, channel);
        if (sink->table)
            depthwise_symbols(&d, &out);
        else
            depthwise_values(&d, &out);
    }
}

/* ---- pixels and sums ------------------------------------------------------------------------- */

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

#endif

typedef int agn__kernel_dsp_is_not_empty; /* whichever kernels are chosen */
