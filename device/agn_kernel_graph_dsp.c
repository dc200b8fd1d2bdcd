/* Row kernels for the Arm DSP extension that only networks with branches need: 1x1 convolutions of many
 * channels, depthwise ones of 5x5 and 7x7. What they do not fit goes to the kernels of agn_kernel_dsp.c. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

#if AGN_WITH_GRAPHS && AGN_KERNEL_DSP

#include "agn_simd.h"

#define AGN__INLINE static inline __attribute__((always_inline))
#define AGN__ALONE  static __attribute__((noinline))

/* What turns a channel's sums into values: agn_dev_layer.folds holds. */
struct finish {
    int32_t multiplier, addend;
    unsigned shift; /* less 32 */
};

AGN__INLINE struct finish finish_of(const struct agn_dev_layer *layer, const uint8_t *record)
{
    struct finish f;
    f.multiplier = (int32_t)agn__word(record + 4);
    f.shift = record[8] - 32u;
    f.addend = (int32_t)((2u * (uint32_t)(int32_t)layer->out_zero_point + 1u) << (f.shift - 1u));
    return f;
}

AGN__INLINE int32_t finished(const struct finish *f, int32_t acc)
{
    return agn__ssat8(agn__smmla(acc, f->multiplier, f->addend) >> f->shift);
}

/* Places side by side that share the work of unpacking a channel's weights: PLACES, or what is left of a row.
 * A function that takes a number of them is compiled for each. */
enum { PLACES = 4 };

AGN__INLINE void put_places(const struct finish *from, int32_t acc0, int32_t acc1, int32_t acc2, int32_t acc3,
                            unsigned places, int16_t **to, size_t step)
{
    const struct finish f = *from;
    int16_t *at = *to;
    if (places == PLACES) {
        int32_t q0 = finished(&f, acc0), q1 = finished(&f, acc1), q2 = finished(&f, acc2),
                q3 = finished(&f, acc3);
        agn__put_next_two(to, step, q0, q1);
        agn__put_next_two(to, step, q2, q3);
        return;
    }
    at[0] = (int16_t)finished(&f, acc0);
    if (places > 1)
        at[step] = (int16_t)finished(&f, acc1);
    if (places > 2)
        at[2 * step] = (int16_t)finished(&f, acc2);
}

/* ---- full convolutions ---------------------------------------------------------------------- */

/* A channel. Its weights are in groups of four, `row_bytes` for each of the `row_count` rows of a window. */
struct window {
    const int16_t *const *rows;
    unsigned row_count;
    const int8_t *weights, *weights_end; /* of the window's first row */
    size_t row_bytes, step;              /* step: between places, in values */
    int32_t bias;
    struct finish finish;
    int16_t *to;
    size_t to_step;
};

/* Four weights with the four values that `src` has come to. */
AGN__INLINE int32_t group(const int16_t **src, struct agn__two_words weights, int32_t acc)
{
    struct agn__two_words v = agn__next_two_words(src);
    return agn__smlad(v.second, weights.second, agn__smlad(v.first, weights.first, acc));
}

/* A group of weights with each of the places. */
#define AGN__GROUP                                                                                           \
    do {                                                                                                     \
        struct agn__two_words four = agn__next_weights(&weights);                                            \
        acc0 = group(&src0, four, acc0);                                                                     \
        if (places > 1)                                                                                      \
            acc1 = group(&src1, four, acc1);                                                                 \
        if (places > 2)                                                                                      \
            acc2 = group(&src2, four, acc2);                                                                 \
        if (places > 3)                                                                                      \
            acc3 = group(&src3, four, acc3);                                                                 \
    } while (0)

/* Outputs of `places` places, the first `at` values from the rows' starts. Fourteen registers do for the
 * inner loop of four. row_count and row_groups (groups in a row of the window) are numbers where the compiler
 * is to know them, else 0. */
AGN__INLINE void window_places(struct window *w, size_t at, unsigned places, unsigned row_count,
                               unsigned row_groups)
{
    int32_t acc0 = w->bias, acc1 = acc0, acc2 = acc0, acc3 = acc0;
    const int8_t *weights = w->weights, *end = w->weights_end;
    unsigned rows = row_count > 0 ? row_count : w->row_count;
    for (const int16_t *const *row = w->rows; rows > 0; rows--, row++) {
        const int16_t *src0 = *row + at;
        const int16_t *src1 = src0 + w->step, *src2 = src1 + w->step, *src3 = src2 + w->step;
        if (row_groups == 3) {
            AGN__GROUP;
            AGN__GROUP;
            AGN__GROUP;
            continue;
        }
        if ((w->row_bytes & 4u) != 0)
            AGN__GROUP;
        while (weights != end) {
            AGN__GROUP;
            AGN__GROUP;
        }
        end += w->row_bytes;
    }
    put_places(&w->finish, acc0, acc1, acc2, acc3, places, &w->to, w->to_step);
}

/* The same of a window of one row. `unit`: its number of groups is a multiple of 4 or 2, or odd (1). */
AGN__INLINE void row_places(const struct window *w, const int16_t *src0, unsigned places, unsigned unit,
                            int16_t **to)
{
    int32_t acc0 = w->bias, acc1 = acc0, acc2 = acc0, acc3 = acc0;
    const int8_t *weights = w->weights, *end = w->weights_end;
    const int16_t *src1 = src0 + w->step, *src2 = src1 + w->step, *src3 = src2 + w->step;
    if (unit == 1)
        AGN__GROUP;
    do {
        AGN__GROUP;
        AGN__GROUP;
        if (unit == 4 && places == PLACES) {
            AGN__GROUP;
            AGN__GROUP;
        }
    } while (weights != end);
    put_places(&w->finish, acc0, acc1, acc2, acc3, places, to, w->to_step);
}

/* A channel of a row. */
AGN__INLINE void row_channel(const struct window *w, const int16_t *src, unsigned count, unsigned unit,
                             int16_t *to)
{
    for (const int16_t *end = src + (count / PLACES) * PLACES * w->step; src != end; src += PLACES * w->step)
        row_places(w, src, PLACES, unit, &to);
    count %= PLACES;
    if (count == 3)
        row_places(w, src, 3, unit, &to);
    else if (count == 2)
        row_places(w, src, 2, unit, &to);
    else if (count == 1)
        row_places(w, src, 1, unit, &to);
}

AGN__ALONE void row_channel_1(const struct window *w, const int16_t *src, unsigned count, int16_t *to)
{
    row_channel(w, src, count, 1, to);
}

AGN__ALONE void row_channel_2(const struct window *w, const int16_t *src, unsigned count, int16_t *to)
{
    row_channel(w, src, count, 2, to);
}

AGN__ALONE void row_channel_4(const struct window *w, const int16_t *src, unsigned count, int16_t *to)
{
    row_channel(w, src, count, 4, to);
}

/* A channel of windows of several rows. */
AGN__INLINE void window_channel(struct window *w, unsigned count, unsigned row_count, unsigned row_groups)
{
    size_t at = 0;
    for (; count >= PLACES; count -= PLACES, at += PLACES * w->step)
        window_places(w, at, PLACES, row_count, row_groups);
    for (; count > 0; count--, at += w->step, w->to += w->to_step)
        window_places(w, at, 1, row_count, row_groups);
}

AGN__ALONE void channel_of_rows(struct window *w, unsigned count)
{
    window_channel(w, count, 0, 0);
}

AGN__ALONE void channel_of_3x3_rgb(struct window *w, unsigned count)
{
    window_channel(w, count, 3, 3);
}

static void channel_of(struct window *w, unsigned count, unsigned groups)
{
    if (w->row_count == 3 && groups == 3)
        channel_of_3x3_rgb(w, count);
    else
        channel_of_rows(w, count);
}

void agn__graph_conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink)
{
    struct window w;
    w.step = (size_t)layer->stride_w * layer->in_c;
    uintptr_t addresses = 2u * w.step;
    for (unsigned i = 0; i < layer->kernel_h; i++)
        addresses |= (uintptr_t)rows[i];
    if (!layer->folds || (addresses & 3u) != 0 || sink->table) {
        agn__conv_row(layer, rows, first, end, sink);
        return;
    }
    unsigned groups = (unsigned)agn__layer_groups(layer), count = layer->out_w;
    const uint8_t *record = layer->channels + (size_t)first * AGN_MODEL_CHANNEL_BYTES;
    int16_t *to = sink->values;
    w.rows = rows;
    w.row_count = layer->kernel_h;
    w.row_bytes = 4u * groups;
    w.weights = layer->weights + first * w.row_bytes * w.row_count;
    w.to_step = sink->step_x;
    for (; first < end; first++, to += sink->step_c, record += AGN_MODEL_CHANNEL_BYTES) {
        w.weights_end = w.weights + w.row_bytes;
        w.bias = (int32_t)agn__word(record);
        w.finish = finish_of(layer, record);
        w.to = to;
        if (w.row_count > 1 || groups < 2)
            channel_of(&w, count, groups);
        else if (groups % 4 == 0)
            row_channel_4(&w, rows[0], count, to);
        else if (groups % 2 == 0)
            row_channel_2(&w, rows[0], count, to);
        else
            row_channel_1(&w, rows[0], count, to);
        w.weights += w.row_bytes * w.row_count;
    }
}

/* ---- depthwise convolutions ------------------------------------------------------------------- */

/* A channel. Of each row of the window, weights in pairs from w0 on, the last with 0; and in pairs that begin
 * with 0 and w0: a place at an odd value meets these, so that all places share words at even ones. */
struct depthwise {
    struct {
        uint32_t even[4], odd[4];
    } pairs[AGN_DEV_MAX_KERNEL];
    const int16_t *rows[AGN_DEV_MAX_KERNEL];
    int32_t bias;
    struct finish finish;
};

/* Rows and weights of a channel, which are `step` apart; odd pairs at stride 1 only. */
AGN__INLINE void depthwise_of(struct depthwise *d, const int16_t *const *rows, size_t offset,
                              const int8_t *weight, size_t step, unsigned kernel, unsigned stride)
{
    for (unsigned y = 0; y < kernel; y++) {
        uint32_t *even = d->pairs[y].even, *odd = d->pairs[y].odd, w[AGN_DEV_MAX_KERNEL];
        d->rows[y] = rows[y] + offset;
#define AGN__WEIGHT(i)                                                                                       \
    if ((i) < kernel) {                                                                                      \
        w[i] = (uint32_t)*weight;                                                                            \
        weight += step;                                                                                      \
    }
        AGN__WEIGHT(0)
        AGN__WEIGHT(1)
        AGN__WEIGHT(2)
        AGN__WEIGHT(3)
        AGN__WEIGHT(4)
        AGN__WEIGHT(5)
        AGN__WEIGHT(6)
#undef AGN__WEIGHT
#define AGN__PAIR(i)                                                                                         \
    if (2 * (i) < kernel) {                                                                                  \
        even[i] = 2 * (i) + 1 < kernel ? agn__low_low(w[2 * (i)], w[2 * (i) + 1]) : w[2 * (i)] & 0xFFFFU;    \
        if (stride == 1)                                                                                     \
            odd[i] = (i) == 0 ? w[0] << 16 : agn__low_low(w[2 * (i)-1], w[2 * (i)]);                         \
    }
        AGN__PAIR(0) AGN__PAIR(1) AGN__PAIR(2) AGN__PAIR(3)
#undef AGN__PAIR
    }
}

/* What word number `j` of a row adds at place `i`, which has its own pair for it. At stride 1 two places
 * share a word, at stride 2 each begins with the next one. */
AGN__INLINE int32_t depthwise_word(uint32_t v, unsigned j, unsigned i, const uint32_t *even,
                                   const uint32_t *odd, unsigned words, unsigned stride, int32_t acc)
{
    unsigned first = stride == 1 ? i / 2 : i;
    if (j < first || j - first >= words)
        return acc;
    return agn__smlad(v, stride == 1 && i % 2 == 1 ? odd[j - first] : even[j - first], acc);
}

AGN__INLINE void depthwise_places(const struct depthwise *d, size_t at, unsigned places, unsigned kernel,
                                  unsigned stride, int16_t **to, size_t to_step)
{
    int32_t acc0 = d->bias, acc1 = acc0, acc2 = acc0, acc3 = acc0;
    unsigned words = (kernel + 1) / 2, all = words + (stride == 1 ? (places - 1) / 2 : places - 1);
    for (unsigned y = 0; y < kernel; y++) {
        const int16_t *src = d->rows[y] + at;
        const uint32_t *even = d->pairs[y].even, *odd = d->pairs[y].odd;
#define AGN__WORD(j)                                                                                         \
    if ((j) < all) {                                                                                         \
        uint32_t v = agn__word(src + 2 * (j));                                                               \
        acc0 = depthwise_word(v, j, 0, even, odd, words, stride, acc0);                                      \
        if (places > 1)                                                                                      \
            acc1 = depthwise_word(v, j, 1, even, odd, words, stride, acc1);                                  \
        if (places > 2)                                                                                      \
            acc2 = depthwise_word(v, j, 2, even, odd, words, stride, acc2);                                  \
        if (places > 3)                                                                                      \
            acc3 = depthwise_word(v, j, 3, even, odd, words, stride, acc3);                                  \
    }
        AGN__WORD(0)
        AGN__WORD(1)
        AGN__WORD(2)
        AGN__WORD(3)
        AGN__WORD(4)
        AGN__WORD(5)
        AGN__WORD(6)
#undef AGN__WORD
    }
    put_places(&d->finish, acc0, acc1, acc2, acc3, places, to, to_step);
}

AGN__INLINE void depthwise_channels(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                    unsigned first, unsigned end, const struct agn__sink *sink,
                                    unsigned kernel, unsigned stride)
{
    size_t plane = agn__step_c(layer), to_step = sink->step_x;
    struct depthwise d;
    for (unsigned channel = first; channel < end; channel++) {
        const uint8_t *record = layer->channels + (size_t)channel * AGN_MODEL_CHANNEL_BYTES;
        int16_t *to = sink->values + (channel - first) * sink->step_c;
        size_t at = 0;
        unsigned count = layer->out_w;
        depthwise_of(&d, rows, channel * plane, layer->weights + channel, layer->in_c, kernel, stride);
        d.bias = (int32_t)agn__word(record);
        d.finish = finish_of(layer, record);
        for (; count >= PLACES; count -= PLACES, at += PLACES * stride)
            depthwise_places(&d, at, PLACES, kernel, stride, &to, to_step);
        if (count == 3)
            depthwise_places(&d, at, 3, kernel, stride, &to, to_step);
        else if (count == 2)
            depthwise_places(&d, at, 2, kernel, stride, &to, to_step);
        else if (count == 1)
            depthwise_places(&d, at, 1, kernel, stride, &to, to_step);
    }
}

#define AGN__DEPTHWISE(name, kernel, stride)                                                                 \
    AGN__ALONE void name(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,      \
                         unsigned end, const struct agn__sink *sink)                                         \
    {                                                                                                        \
        depthwise_channels(layer, rows, first, end, sink, kernel, stride);                                   \
    }
AGN__DEPTHWISE(depthwise_3_1, 3, 1)
AGN__DEPTHWISE(depthwise_5_1, 5, 1)
AGN__DEPTHWISE(depthwise_5_2, 5, 2)
AGN__DEPTHWISE(depthwise_7_1, 7, 1)
AGN__DEPTHWISE(depthwise_7_2, 7, 2)
#undef AGN__DEPTHWISE

void agn__graph_dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink)
{
    static void (*const kernels[3][2])(const struct agn_dev_layer *, const int16_t *const *, unsigned,
                                       unsigned, const struct agn__sink *) = {
        {depthwise_3_1, NULL}, {depthwise_5_1, depthwise_5_2}, {depthwise_7_1, depthwise_7_2}};
    unsigned kernel = layer->kernel_w, stride = layer->stride_w;
    int odd = kernel == 3 || kernel == 5 || kernel == 7;
    /* agn_kernel_dsp.c's own 3x3 is faster but where three places are left of a row. */
    if (!layer->folds || layer->kernel_h != kernel || !odd || stride > 2 || sink->table ||
        agn__step_c(layer) % 2 != 0 || (kernel == 3 && (stride == 2 || layer->out_w % PLACES != PLACES - 1)))
        agn__dwconv_row(layer, rows, first, end, sink);
    else
        kernels[(kernel - 3) / 2][stride - 1](layer, rows, first, end, sink);
}

#endif

typedef int agn__kernel_graph_dsp_is_not_empty; /* whichever kernels are chosen */
