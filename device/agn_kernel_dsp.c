/* Row kernels for the Arm DSP extension: two multiply-accumulates an instruction (SMLAD), requantisation in
 * two (SMMLA, ASR), saturation in one (SSAT), which for small sums shifts as well.
 *
 * Rows hold int16, weights come as int8 in an order that two sign extensions turn into pairs
 * (agn__layer_groups). The zero point is folded into the rounding constant: with s = shift - 32,
 *     ((high + 2^(s-1)) >> s) + zero_point = (high + 2^(s-1) + (zero_point << s)) >> s
 * exactly, and a clamp to all of int8 is the saturation. agn_dev_layer.folds says where both hold; other
 * layers take the plain kernels. Each kind of layer has a kernel for what networks usually are (word
 * addresses, several places at once) and one, a place at a time, for the rest. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

#if AGN_KERNEL_DSP

#include "agn_simd.h"

/* A function that takes a flag is to be compiled for each of its values. */
#define AGN__INLINE static inline __attribute__((always_inline))
/* A loop that needs all registers is to be a function by itself. */
#define AGN__ALONE static __attribute__((noinline))

/* ---- small sums at a fixed shift ------------------------------------------------------------
 * Sums of at most nine products leave accumulators room: with weights and bias times 2^k, k = 11 - s,
 * every channel's shift becomes 11 (AGN__SSAT_SHIFT), and SSAT shifts and saturates in one. Exact, as
 * (acc 2^k) / 2^(s+k) is acc / 2^s. Channels beyond k = 0 ... 8, int16's room for weights, or with large
 * biases take the plain kernels. */

/* What finishes a channel's outputs. */
struct finisher {
    int32_t multiplier, addend;
};

struct scaled {
    int32_t bias;
    unsigned k;
    struct finisher finisher;
};

/* Bias times 2^8 and nine products of 2^22 stay below 2^30. */
enum { SCALED_BIAS_BITS = 21 };

/* 0 if the channel does not fit. Leaves the addend, which a layer's channels share. */
AGN__INLINE int scaled_of(struct scaled *scaled, const uint8_t *record)
{
    uint32_t bias = agn__word(record);
    unsigned k = 32u + AGN__SSAT_SHIFT - record[8];
    scaled->k = k;
    scaled->finisher.multiplier = (int32_t)agn__word(record + 4);
    scaled->bias = (int32_t)(bias << (k & 15u));
    return k <= 8u && (bias + (UINT32_C(1) << SCALED_BIAS_BITS)) >> (SCALED_BIAS_BITS + 1) == 0;
}

static int32_t scaled_addend(const struct agn_dev_layer *layer)
{
    return (int32_t)(UINT32_C(1) << (AGN__SSAT_SHIFT - 1)) +
           layer->out_zero_point * (int32_t)(UINT32_C(1) << AGN__SSAT_SHIFT);
}

/* Both lanes times 2^k. */
AGN__INLINE uint32_t scaled_lanes(uint32_t lanes, unsigned k)
{
    return agn__low_low(lanes << k, lanes >> 16 << k);
}

AGN__INLINE int32_t finish_scaled(struct finisher f, int32_t acc)
{
    return agn__ssat8_shifted(agn__smmla(acc, f.multiplier, f.addend));
}

/* The sink of the next channel. */
AGN__INLINE void next_channel(struct agn__sink *sink)
{
    if (sink->table)
        sink->packed += sink->step_c;
    else
        sink->values += sink->step_c;
}

/* ---- 1x1 on up to four channels --------------------------------------------------------- */

/* A channel's weights w0 to w3, in pairs; w12 for three channels, whose second place begins in mid-word. */
struct pointwise {
    uint32_t w01, w23, w12;
    struct scaled scaled;
    size_t step; /* between places */
};

/* 0 if the channel does not fit a fixed shift. */
AGN__INLINE int pointwise_of(struct pointwise *p, const uint8_t *record, uint32_t weights)
{
    if (!scaled_of(&p->scaled, record))
        return 0;
    p->w01 = scaled_lanes(agn__sxtb16(weights), p->scaled.k);
    p->w23 = scaled_lanes(agn__sxtb16_odd(weights), p->scaled.k);
    p->w12 = p->w01 >> 16 | p->w23 << 16;
    return 1;
}

/* Two places side by side: of four channels (eight values), or of three (six), from a word address. */
AGN__INLINE void two_of_four(const int16_t **src, const struct pointwise *p, int32_t q[2])
{
    struct agn__four_words v = agn__next_four_words(src);
    int32_t acc0 = agn__smlad(v.second, p->w23, agn__smlad(v.first, p->w01, p->scaled.bias));
    int32_t acc1 = agn__smlad(v.fourth, p->w23, agn__smlad(v.third, p->w01, p->scaled.bias));
    q[0] = finish_scaled(p->scaled.finisher, acc0);
    q[1] = finish_scaled(p->scaled.finisher, acc1);
}

AGN__INLINE void two_of_three(const int16_t **src, const struct pointwise *p, int32_t q[2])
{
    struct agn__two_words v = agn__next_two_words(src);
    uint32_t last = agn__word(*src);
    *src += 2;
    int32_t acc0 = agn__smlabb(v.second, p->w23, agn__smlad(v.first, p->w01, p->scaled.bias));
    int32_t acc1 = agn__smlad(last, p->w12, agn__smlatb(v.second, p->w01, p->scaled.bias));
    q[0] = finish_scaled(p->scaled.finisher, acc0);
    q[1] = finish_scaled(p->scaled.finisher, acc1);
}

AGN__INLINE uint32_t two_values(const int16_t **src, const struct pointwise *p, int channels)
{
    int32_t q[2];
    if (channels == 4)
        two_of_four(src, p, q);
    else
        two_of_three(src, p, q);
    return agn__low_low((uint32_t)q[0], (uint32_t)q[1]);
}

/* `count` places, one at a time. */
AGN__ALONE void pointwise_places(const int16_t *src, const struct pointwise *p, unsigned count,
                                 const struct agn__sink *sink)
{
    struct agn__packer packer = {sink->packed, 0, 0};
    int16_t *to = sink->values;
    for (; count > 0; count--, src += p->step) {
        int32_t acc =
            agn__smlad(agn__word(src + 2), p->w23, agn__smlad(agn__word(src), p->w01, p->scaled.bias));
        int32_t q = finish_scaled(p->scaled.finisher, acc);
        if (sink->table) {
            agn__packer_put(&packer, sink->table[q + 128]);
        } else {
            *to = (int16_t)q;
            to += sink->step_x;
        }
    }
    agn__packer_end(&packer);
}

/* To places side by side, four at a time. */
AGN__INLINE void pointwise_values(const int16_t *src, const struct pointwise *p, unsigned count,
                                  const struct agn__sink *sink, int channels)
{
    int16_t *to = sink->values;
    for (const int16_t *end = src + (count & ~3u) * (unsigned)channels; src != end;) {
        uint32_t first = two_values(&src, p, channels), second = two_values(&src, p, channels);
        agn__put_next_words(&to, first, second);
    }
    if (count % 4 != 0) {
        const struct pointwise w = *p;
        struct agn__sink rest = *sink;
        rest.values = to;
        pointwise_places(src, &w, count % 4, &rest);
    }
}

/* Of four channels, eight places at a time, whose symbols make three bytes. */
AGN__INLINE void pointwise_symbols(const int16_t *src, const struct pointwise *p, unsigned count,
                                   const struct agn__sink *sink)
{
    const uint8_t *table = sink->table + 128;
    uint8_t *to = sink->packed;
    for (const int16_t *end = src + (count & ~7u) * 4u; src != end; to += 3) {
        uint32_t bits = 0;
        int32_t q[2];
#define AGN__NEXT(i)                                                                                         \
    two_of_four(&src, p, q);                                                                                 \
    bits |= (uint32_t)table[q[0]] << (3 * (i));                                                              \
    bits |= (uint32_t)table[q[1]] << (3 * (i) + 3)
        AGN__NEXT(0);
        AGN__NEXT(2);
        AGN__NEXT(4);
        AGN__NEXT(6);
#undef AGN__NEXT
        agn__put_half(to, bits);
        to[2] = (uint8_t)(bits >> 16);
    }
    if (count % 8 != 0) {
        const struct pointwise w = *p;
        struct agn__sink rest = *sink;
        rest.packed = to;
        pointwise_places(src, &w, count % 8, &rest);
    }
}

/* `channels`: 4 or 3 where values of four or three channels lie at word addresses and outputs side by side,
 * else 0. */
AGN__INLINE void pointwise_channels(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                    unsigned first, unsigned end, const struct agn__sink *sink, int channels,
                                    int symbols)
{
    struct agn__sink alone = *sink;
    const uint8_t *record = layer->channels + (size_t)first * AGN_MODEL_CHANNEL_BYTES;
    unsigned count = layer->out_w;
    struct pointwise p;
    p.step = (size_t)layer->stride_w * layer->in_c;
    p.scaled.finisher.addend = scaled_addend(layer);
    for (unsigned channel = first; channel < end; channel++, record += AGN_MODEL_CHANNEL_BYTES) {
        if (!pointwise_of(&p, record, agn__word(layer->weights + (size_t)channel * 4u)))
            agn__conv_row_plain(layer, rows, channel, channel + 1u, &alone);
        else if (channels == 0) {
            const struct pointwise w = p;
            pointwise_places(rows[0], &w, count, &alone);
        } else if (symbols)
            pointwise_symbols(rows[0], &p, count, &alone);
        else
            pointwise_values(rows[0], &p, count, &alone, channels);
        next_channel(&alone);
    }
}

#define AGN__POINTWISE(name, channels, symbols)                                                              \
    AGN__ALONE void name(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,      \
                         unsigned end, const struct agn__sink *sink)                                         \
    {                                                                                                        \
        pointwise_channels(layer, rows, first, end, sink, channels, symbols);                                \
    }
AGN__POINTWISE(pointwise_any, 0, 0)
AGN__POINTWISE(pointwise_values_3, 3, 0)
AGN__POINTWISE(pointwise_values_4, 4, 0)
AGN__POINTWISE(pointwise_symbols_4, 4, 1)
#undef AGN__POINTWISE

static void pointwise_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                          unsigned end, const struct agn__sink *sink)
{
    int aligned = layer->stride_w == 1 && ((uintptr_t)rows[0] & 3u) == 0;
    int side_by_side = aligned && !sink->table && sink->step_x == 1;
    if (aligned && sink->table && layer->in_c == 4)
        pointwise_symbols_4(layer, rows, first, end, sink);
    else if (side_by_side && layer->in_c == 4)
        pointwise_values_4(layer, rows, first, end, sink);
    else if (side_by_side && layer->in_c == 3)
        pointwise_values_3(layer, rows, first, end, sink);
    else
        pointwise_any(layer, rows, first, end, sink);
}

/* ---- full convolutions with any window -------------------------------------------------- */

enum { PLACES = 4 }; /* side by side, that share the work of unpacking a channel's weights */

/* An output channel's row on its way. */
struct window {
    const int16_t *const *rows, *const *rows_end;
    const int8_t *weights;
    size_t row_bytes;          /* of the weights of a window's row */
    size_t offset[PLACES - 1]; /* of the places but the first, in values */
    int32_t bias, multiplier, addend;
    unsigned shift; /* less 32 */
    int32_t q[PLACES];
};

/* Bias, rounding and so on of a channel. */
static void window_channel(struct window *w, const struct agn_dev_layer *layer, unsigned channel)
{
    const uint8_t *record = layer->channels + (size_t)channel * AGN_MODEL_CHANNEL_BYTES;
    uint32_t zero_point = (uint32_t)(int32_t)layer->out_zero_point;
    w->bias = (int32_t)agn__word(record);
    w->multiplier = (int32_t)agn__word(record + 4);
    w->shift = record[8] - 32u;
    w->addend = (int32_t)((UINT32_C(1) << (w->shift - 1)) + (zero_point << w->shift));
}

/* Places beyond a row's end are its last one once more. */
static void window_offsets(struct window *w, size_t step, unsigned places)
{
    for (unsigned i = 1; i < PLACES; i++)
        w->offset[i - 1] = (i < places ? i : places - 1u) * step;
}

/* Four weights with the four values of a place that `src` has come to. */
AGN__INLINE int32_t window_group(const int16_t **src, struct agn__two_words weights, int32_t acc, int aligned)
{
    struct agn__two_words v = aligned ? agn__next_two_words(src) : agn__next_two_any(src);
    return agn__smlad(v.second, weights.second, agn__smlad(v.first, weights.first, acc));
}

/* The whole window for PLACES places, the first `at` values from their rows' starts. The values of an
 * `aligned` layer lie at word addresses. Fourteen registers do for the inner loop: more places, or two
 * channels, would spill. */
AGN__INLINE void window_places(struct window *w, size_t at, int aligned)
{
    int32_t acc0 = w->bias, acc1 = acc0, acc2 = acc0, acc3 = acc0;
    const int8_t *weights = w->weights;
    for (const int16_t *const *row = w->rows; row != w->rows_end; row++) {
        const int16_t *src0 = *row + at;
        const int16_t *src1 = src0 + w->offset[0], *src2 = src0 + w->offset[1], *src3 = src0 + w->offset[2];
        const int8_t *end = weights + w->row_bytes;
#define AGN__GROUP                                                                                           \
    do {                                                                                                     \
        struct agn__two_words four = agn__next_weights(&weights);                                            \
        acc0 = window_group(&src0, four, acc0, aligned);                                                     \
        acc1 = window_group(&src1, four, acc1, aligned);                                                     \
        acc2 = window_group(&src2, four, acc2, aligned);                                                     \
        acc3 = window_group(&src3, four, acc3, aligned);                                                     \
    } while (0)
        if (aligned) {
            /* In twos, after a first one by itself if they are odd. */
            if ((w->row_bytes & 4u) != 0)
                AGN__GROUP;
            while (weights != end) {
                AGN__GROUP;
                AGN__GROUP;
            }
        } else {
            do {
                AGN__GROUP;
            } while (weights != end);
        }
#undef AGN__GROUP
    }
    int32_t multiplier = w->multiplier, addend = w->addend;
    unsigned shift = w->shift;
    w->q[0] = agn__ssat8(agn__smmla(acc0, multiplier, addend) >> shift);
    w->q[1] = agn__ssat8(agn__smmla(acc1, multiplier, addend) >> shift);
    w->q[2] = agn__ssat8(agn__smmla(acc2, multiplier, addend) >> shift);
    w->q[3] = agn__ssat8(agn__smmla(acc3, multiplier, addend) >> shift);
}

AGN__ALONE void window_places_aligned(struct window *w, size_t at)
{
    window_places(w, at, 1);
}

AGN__ALONE void window_places_any(struct window *w, size_t at)
{
    window_places(w, at, 0);
}

/* One output channel's row. A whole block's symbols go as one of twelve bits. */
AGN__INLINE void window_line(struct window *w, void (*run)(struct window *, size_t), size_t step,
                             unsigned count, const struct agn__sink *sink)
{
    struct agn__packer packer = {sink->packed, 0, 0};
    const uint8_t *table = sink->table;
    int16_t *to = sink->values;
    size_t at = 0, to_step = sink->step_x;
    window_offsets(w, step, PLACES);
    for (; count >= PLACES; count -= PLACES, at += PLACES * step) {
        run(w, at);
        if (!table) {
            agn__put_next_two(&to, to_step, w->q[0], w->q[1]);
            agn__put_next_two(&to, to_step, w->q[2], w->q[3]);
            continue;
        }
        packer.bits |= ((uint32_t)table[w->q[0] + 128] | (uint32_t)table[w->q[1] + 128] << 3 |
                        (uint32_t)table[w->q[2] + 128] << 6 | (uint32_t)table[w->q[3] + 128] << 9)
                       << packer.have;
        for (packer.have += 4u * AGN_WIRE_SYMBOL_BITS; packer.have >= 8u; packer.have -= 8u) {
            *packer.to++ = (uint8_t)packer.bits;
            packer.bits >>= 8;
        }
    }
    if (count > 0) {
        window_offsets(w, step, count);
        run(w, at);
    }
    for (unsigned i = 0; i < count; i++)
        if (table)
            agn__packer_put(&packer, table[w->q[i] + 128]);
        else
            to[i * to_step] = (int16_t)w->q[i];
    agn__packer_end(&packer);
}

AGN__ALONE void window_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink)
{
    size_t row_bytes = 4u * agn__layer_groups(layer), step = (size_t)layer->stride_w * layer->in_c;
    uintptr_t addresses = 2u * step;
    for (unsigned i = 0; i < layer->kernel_h; i++)
        addresses |= (uintptr_t)rows[i];
    void (*run)(struct window *, size_t) = (addresses & 3u) == 0 ? window_places_aligned : window_places_any;
    struct agn__sink alone = *sink;
    struct window w;
    w.rows = rows;
    w.rows_end = rows + layer->kernel_h;
    w.weights = layer->weights + row_bytes * layer->kernel_h * first;
    w.row_bytes = row_bytes;
    for (unsigned channel = first; channel < end; channel++, w.weights += row_bytes * layer->kernel_h) {
        window_channel(&w, layer, channel);
        window_line(&w, run, step, layer->out_w, &alone);
        next_channel(&alone);
    }
}

void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    if (!layer->folds)
        agn__conv_row_plain(layer, rows, first, end, sink);
    else if (layer->kernel_h == 1 && layer->kernel_w == 1 && layer->in_c <= 4)
        pointwise_row(layer, rows, first, end, sink);
    else
        window_row(layer, rows, first, end, sink);
}

/* ---- depthwise convolutions, 3x3 --------------------------------------------------------- */

/* A channel: where its rows start; of each row of the window, w0 and w1 as one pair, w1 and w2 as another. */
struct depthwise {
    const int16_t *rows[3];
    struct agn__two_words weights[3];
    size_t stride;
    struct scaled scaled;
    unsigned count, rest; /* rest: places at the end that are computed together, or 0 */
};

/* 0 if the channel does not fit a fixed shift. */
AGN__ALONE int depthwise_of(struct depthwise *d, const struct agn_dev_layer *layer,
                            const int16_t *const *rows, unsigned channel)
{
    if (!scaled_of(&d->scaled, layer->channels + (size_t)channel * AGN_MODEL_CHANNEL_BYTES))
        return 0;
    const int8_t *weight = layer->weights + channel;
    size_t step = layer->in_c, offset = channel * agn__step_c(layer);
    unsigned k = d->scaled.k;
#define AGN__ROW(y)                                                                                          \
    do {                                                                                                     \
        uint32_t w0 = (uint32_t)weight[0] << k, w1 = (uint32_t)weight[step] << k;                            \
        d->rows[y] = rows[y] + offset;                                                                       \
        d->weights[y].first = agn__low_low(w0, w1);                                                          \
        d->weights[y].second = agn__low_low(w1, (uint32_t)weight[2 * step] << k);                            \
    } while (0)
    AGN__ROW(0);
    weight += 3 * step;
    AGN__ROW(1);
    weight += 3 * step;
    AGN__ROW(2);
#undef AGN__ROW
    return 1;
}

/* Sums of four places side by side. */
struct four_sums {
    int32_t at0, at1, at2, at3;
};

/* Adds a row's part: of six values at stride 1, twelve at stride 3, and at stride 2 ten, the last of which
 * meets no weight. Values, weights and sums take twelve registers at most. */
AGN__INLINE struct four_sums four_windows(struct four_sums acc, const int16_t **row,
                                          const struct agn__two_words *weights, unsigned stride)
{
    struct agn__two_words w = agn__two_again(weights), a = agn__next_two_words(row);
    uint32_t w01 = w.first, w12 = w.second;
    acc.at0 = agn__smlabt(a.second, w12, agn__smlad(a.first, w01, acc.at0));
    if (stride == 1) {
        acc.at1 = agn__smlad(a.second, w12, agn__smlatb(a.first, w01, acc.at1));
        uint32_t last = agn__word(*row);
        acc.at2 = agn__smlabt(last, w12, agn__smlad(a.second, w01, acc.at2));
        acc.at3 = agn__smlad(last, w12, agn__smlatb(a.second, w01, acc.at3));
    } else if (stride == 2) {
        acc.at1 = agn__smlad(a.second, w01, acc.at1);
        a = agn__next_two_words(row);
        acc.at1 = agn__smlabt(a.first, w12, acc.at1);
        acc.at2 = agn__smlabt(a.second, w12, agn__smlad(a.first, w01, acc.at2));
        acc.at3 = agn__smlabt(agn__word(*row), w12, agn__smlad(a.second, w01, acc.at3));
    } else {
        acc.at1 = agn__smlatb(a.second, w01, acc.at1);
        a = agn__next_two_words(row);
        acc.at1 = agn__smlad(a.first, w12, acc.at1);
        acc.at2 = agn__smlad(a.second, w01, acc.at2);
        a = agn__next_two_words(row);
        acc.at2 = agn__smlabt(a.first, w12, acc.at2);
        acc.at3 = agn__smlad(a.second, w12, agn__smlatb(a.first, w01, acc.at3));
    }
    return acc;
}

AGN__INLINE int32_t one_window(const int16_t *row, const struct agn__two_words *w, int32_t acc)
{
    return agn__smlabt((uint16_t)row[2], w->second, agn__smlad(agn__word(row), w->first, acc));
}

AGN__INLINE int32_t one_place(const struct depthwise *d, size_t at)
{
    int32_t acc = one_window(d->rows[0] + at, &d->weights[0], d->scaled.bias);
    acc = one_window(d->rows[1] + at, &d->weights[1], acc);
    return finish_scaled(d->scaled.finisher, one_window(d->rows[2] + at, &d->weights[2], acc));
}

/* From place `x` on, one at a time. */
AGN__ALONE void depthwise_places(const struct depthwise *d, unsigned x, const struct agn__sink *sink)
{
    struct agn__packer packer = {sink->packed, 0, 0};
    for (; x < d->count; x++) {
        int32_t q = one_place(d, x * d->stride);
        if (sink->table)
            agn__packer_put(&packer, sink->table[q + 128]);
        else
            sink->values[x * sink->step_x] = (int16_t)q;
    }
    agn__packer_end(&packer);
}

/* Two or three places as four. */
AGN__INLINE void depthwise_rest(const struct depthwise *d, const struct agn__sink *sink, unsigned stride)
{
    size_t whole = d->count & ~3u, at = whole * stride, to_step = sink->step_x;
    const int16_t *row0 = d->rows[0] + at, *row1 = d->rows[1] + at, *row2 = d->rows[2] + at;
    int16_t *to = sink->values + whole * to_step;
    int32_t bias = d->scaled.bias;
    struct four_sums acc = {bias, bias, bias, bias};
    acc = four_windows(acc, &row0, &d->weights[0], stride);
    acc = four_windows(acc, &row1, &d->weights[1], stride);
    acc = four_windows(acc, &row2, &d->weights[2], stride);
    const struct finisher f = d->scaled.finisher;
    agn__put_next_two(&to, to_step, finish_scaled(f, acc.at0), finish_scaled(f, acc.at1));
    if (d->rest == 3)
        *to = (int16_t)finish_scaled(f, acc.at2);
}

AGN__ALONE void depthwise_rest_1(const struct depthwise *d, const struct agn__sink *sink)
{
    depthwise_rest(d, sink, 1);
}

AGN__ALONE void depthwise_rest_2(const struct depthwise *d, const struct agn__sink *sink)
{
    depthwise_rest(d, sink, 2);
}

AGN__INLINE void depthwise_values(const struct depthwise *d, const struct agn__sink *sink, unsigned stride)
{
    const int16_t *row0 = d->rows[0], *row1 = d->rows[1], *row2 = d->rows[2];
    int16_t *to = sink->values;
    size_t to_step = sink->step_x;
    unsigned together = d->count & ~3u;
    for (const int16_t *end = row0 + together * stride; row0 != end;) {
        int32_t bias = d->scaled.bias;
        struct four_sums acc = {bias, bias, bias, bias};
        acc = four_windows(acc, &row0, &d->weights[0], stride);
        acc = four_windows(acc, &row1, &d->weights[1], stride);
        acc = four_windows(acc, &row2, &d->weights[2], stride);
        struct finisher f = d->scaled.finisher;
        agn__put_next_two(&to, to_step, finish_scaled(f, acc.at0), finish_scaled(f, acc.at1));
        agn__put_next_two(&to, to_step, finish_scaled(f, acc.at2), finish_scaled(f, acc.at3));
    }
    if (d->rest > 0 && stride == 1)
        depthwise_rest_1(d, sink);
    else if (d->rest > 0 && stride == 2)
        depthwise_rest_2(d, sink);
    else if (together < d->count)
        depthwise_places(d, together, sink);
}

/* Two or three places at a row's end are computed as four where no more than 3 values are read beyond it. */
static unsigned rest_of(const struct agn_dev_layer *layer)
{
    unsigned rest = layer->out_w % 4u, read = layer->stride_w == 1 ? 6 : 10;
    size_t at = (size_t)(layer->out_w - rest) * layer->stride_w;
    return rest >= 2 && layer->stride_w <= 2 && at + read <= agn__step_c(layer) + 3u ? rest : 0;
}

/* `stride`: 1 to 3 where four places at once can be had, else 0. */
AGN__INLINE void depthwise_channels(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                    unsigned first, unsigned end, const struct agn__sink *sink,
                                    unsigned stride)
{
    struct agn__sink alone = *sink;
    struct depthwise d;
    d.stride = layer->stride_w;
    d.count = layer->out_w;
    d.rest = rest_of(layer);
    d.scaled.finisher.addend = scaled_addend(layer);
    for (unsigned channel = first; channel < end; channel++, next_channel(&alone))
        if (!depthwise_of(&d, layer, rows, channel))
            agn__dwconv_row_plain(layer, rows, channel, channel + 1u, &alone);
        else if (stride > 0)
            depthwise_values(&d, &alone, stride);
        else
            depthwise_places(&d, 0, &alone);
}

#define AGN__DEPTHWISE(name, stride)                                                                         \
    AGN__ALONE void name(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,      \
                         unsigned end, const struct agn__sink *sink)                                         \
    {                                                                                                        \
        depthwise_channels(layer, rows, first, end, sink, stride);                                           \
    }
AGN__DEPTHWISE(depthwise_any, 0)
AGN__DEPTHWISE(depthwise_1, 1)
AGN__DEPTHWISE(depthwise_2, 2)
AGN__DEPTHWISE(depthwise_3, 3)
#undef AGN__DEPTHWISE

void agn__dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                     unsigned end, const struct agn__sink *sink)
{
    if (!layer->folds || layer->kernel_h != 3 || layer->kernel_w != 3) {
        agn__dwconv_row_plain(layer, rows, first, end, sink);
        return;
    }
    uintptr_t addresses = (uintptr_t)rows[0] | (uintptr_t)rows[1] | (uintptr_t)rows[2];
    if (sink->table || (addresses & 3u) != 0 || agn__step_c(layer) % 2 != 0 || layer->stride_w > 3)
        depthwise_any(layer, rows, first, end, sink);
    else if (layer->stride_w == 1)
        depthwise_1(layer, rows, first, end, sink);
    else if (layer->stride_w == 2)
        depthwise_2(layer, rows, first, end, sink);
    else
        depthwise_3(layer, rows, first, end, sink);
}

/* ---- pixels and sums ------------------------------------------------------------------------- */

#define AGN__LESS_128 0xFF80FF80U /* -128 in both lanes, which bytes are added to */

/* Four RGB pixels, twelve bytes, to four values of each plane. Lanes are named by what they hold. */
AGN__INLINE void four_rgb(const uint8_t *pixels, int16_t **r, int16_t **g, int16_t **b)
{
    uint32_t w0 = agn__word(pixels), w1 = agn__word(pixels + 4), w2 = agn__word(pixels + 8);
    uint32_t r0b0 = agn__add_bytes_0_2(AGN__LESS_128, w0), g0r1 = agn__add_bytes_1_3(AGN__LESS_128, w0);
    uint32_t r2g1 = agn__add_bytes_2_0(AGN__LESS_128, w1), g2b1 = agn__add_bytes_3_1(AGN__LESS_128, w1);
    uint32_t b2g3 = agn__add_bytes_0_2(AGN__LESS_128, w2), r3b3 = agn__add_bytes_1_3(AGN__LESS_128, w2);
    agn__put_next_words(r, agn__low_high(r0b0, g0r1), agn__low_low(r2g1, r3b3));
    agn__put_next_words(g, agn__low_high(g0r1, r2g1), agn__low_high(g2b1, b2g3));
    agn__put_next_words(b, agn__high_high(r0b0, g2b1), agn__low_high(b2g3, r3b3));
}

/* Bytes that stay in order. */
static void pixels_in_order(const uint8_t *pixels, int16_t *to, size_t count)
{
#define AGN__FOUR(i)                                                                                         \
    do {                                                                                                     \
        uint32_t bytes = agn__word(pixels + (i)), even = agn__add_bytes_0_2(AGN__LESS_128, bytes),           \
                 odd = agn__add_bytes_1_3(AGN__LESS_128, bytes);                                             \
        agn__put_next_words(&to, agn__low_low(even, odd), agn__high_high(even, odd));                        \
    } while (0)
    for (; count >= 16; count -= 16, pixels += 16) {
        AGN__FOUR(0);
        AGN__FOUR(4);
        AGN__FOUR(8);
        AGN__FOUR(12);
    }
    for (; count >= 4; count -= 4, pixels += 4)
        AGN__FOUR(0);
#undef AGN__FOUR
    for (; count > 0; count--)
        *to++ = (int16_t)(*pixels++ - 128);
}

void agn__pixel_row(const struct agn_dev_layer *layer, const uint8_t *pixels, int16_t *to)
{
    size_t plane = agn__step_c(layer);
    unsigned left = layer->in_w, channels = layer->in_c;
    if (layer->kind == AGN_LAYER_CONV || channels == 1) {
        pixels_in_order(pixels, to, (size_t)left * channels);
        return;
    }
    if (channels == 3) {
        int16_t *g = to + plane, *b = g + plane;
        for (; left >= 4; left -= 4, pixels += 12)
            four_rgb(pixels, &to, &g, &b);
    }
    for (; left > 0; left--, to++)
        for (unsigned c = 0; c < channels; c++)
            to[c * plane] = (int16_t)(*pixels++ - 128);
}

void agn__widen(const int8_t *from, int16_t *to, size_t count)
{
    for (; count >= 4; count -= 4, from += 4) {
        uint32_t bytes = agn__word(from), even = agn__sxtb16(bytes), odd = agn__sxtb16_odd(bytes);
        agn__put_next_words(&to, agn__low_low(even, odd), agn__high_high(even, odd));
    }
    for (; count > 0; count--)
        *to++ = *from++;
}

int32_t agn__sum_row(const int16_t *values, unsigned count)
{
    int32_t sum = 0;
    for (; count >= 4; count -= 4) {
        struct agn__two_words v = agn__next_two_any(&values);
        sum = agn__smlad(v.second, 0x00010001U, agn__smlad(v.first, 0x00010001U, sum));
    }
    for (; count > 0; count--)
        sum += *values++;
    return sum;
}

#endif

typedef int agn__kernel_dsp_is_not_empty; /* whichever kernels are chosen */
