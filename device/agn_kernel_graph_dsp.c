/* Row kernels for the Arm DSP extension that only networks with branches need: full convolutions, which copy
 * windows to scratch memory first, and depthwise ones of 5x5 and 7x7. What they do not fit goes to the
 * kernels of agn_kernel_dsp.c. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

#if AGN_WITH_GRAPHS && AGN_KERNEL_DSP

#include "agn_simd.h"

#define AGN__INLINE static inline __attribute__((always_inline))
#define AGN__ALONE  static __attribute__((noinline))

/* What turns a channel's sums into values: agn_dev_layer.folds holds. */
struct finish {
    int32_t multiplier, addend;
    unsigned shift; /* less 33: the saturation shifts once more */
};

/* Rounding and zero point, twice. */
AGN__INLINE uint32_t rounding_of(const struct agn_dev_layer *layer)
{
    return 2u * (uint32_t)(int32_t)layer->out_zero_point + 1u;
}

AGN__INLINE struct finish finish_of(uint32_t rounding, const uint8_t *record)
{
    struct finish f;
    f.multiplier = (int32_t)agn__word(record + 4);
    f.shift = record[8] - 33u;
    f.addend = (int32_t)(rounding << f.shift);
    return f;
}

AGN__INLINE int32_t finished(const struct finish *f, int32_t acc)
{
    return agn__ssat8_half(agn__smmla(acc, f->multiplier, f->addend) >> f->shift);
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

/* ---- full convolutions ----------------------------------------------------------------------
 * The windows of PLACES places side by side are copied to a panel: group after group of four values, and of
 * each group place after place. All output channels then read it with one pointer, eight values an
 * instruction, and neither window nor stride nor addresses matter to the loop that multiplies. */

/* A panel on its way through a row. */
struct panel {
    const int16_t *values;
    const int8_t *weights;
    size_t weight_bytes; /* of a channel */
    const uint8_t *record, *record_end;
    uint32_t rounding;
    unsigned x, places; /* where in the row; PLACES, or what is left of it */
    int16_t *to;        /* of place x */
    size_t step_x, step_c;
    uint8_t *packed;
    const uint8_t *table;
};

/* Symbols of a channel, whose row begins at `row`: PLACES of them take a byte and a half. */
AGN__INLINE void put_symbols(const struct panel *p, uint8_t *row, const struct agn__four_sums *q)
{
    enum { BITS = AGN_WIRE_SYMBOL_BITS };
    const uint8_t *table = p->table + 128;
    unsigned used = p->places * BITS;
    uint8_t *to = row + p->x * BITS / 8u;
    uint32_t bits = (uint32_t)table[q->at0] | (uint32_t)table[q->at1] << BITS |
                    (uint32_t)table[q->at2] << 2 * BITS | (uint32_t)table[q->at3] << 3 * BITS;
    bits &= (UINT32_C(1) << used) - 1u;
    if (p->x % (2u * PLACES) != 0) {
        bits = bits << 4 | *to;
        used += 4;
    }
    to[0] = (uint8_t)bits;
    if (used > 8)
        to[1] = (uint8_t)(bits >> 8);
}

/* The same of PLACES: they begin with a byte or in the middle of one, whose first half is there then. */
AGN__INLINE void put_four_symbols(const struct panel *p, uint8_t *to, struct agn__four_sums q)
{
    enum { BITS = AGN_WIRE_SYMBOL_BITS };
    const uint8_t *table = p->table + 128;
    uint32_t bits = (uint32_t)table[q.at0] | (uint32_t)table[q.at1] << BITS |
                    (uint32_t)table[q.at2] << 2 * BITS | (uint32_t)table[q.at3] << 3 * BITS;
    unsigned half = p->x & PLACES;
    agn__put_half(to, bits << half | (*to & ((1u << half) - 1u)));
}

/* Of less than PLACES. */
AGN__INLINE void put_some(const struct panel *p, int16_t *to, const struct agn__four_sums *q)
{
    size_t step = p->step_x;
    to[0] = (int16_t)q->at0;
    if (p->places > 1)
        to[step] = (int16_t)q->at1;
    if (p->places > 2)
        to[2 * step] = (int16_t)q->at2;
}

/* The next channel's four values; weights and record move on. */
AGN__INLINE struct agn__four_sums panel_next(const struct panel *p, const int8_t **weights,
                                             const uint8_t **from, unsigned unit)
{
    const uint8_t *record = *from;
    struct agn__four_sums q =
        agn__panel_sums(p->values, weights, p->weight_bytes, (int32_t)agn__word(record), unit);
    const struct finish f = finish_of(p->rounding, record);
    q.at0 = finished(&f, q.at0);
    q.at1 = finished(&f, q.at1);
    q.at2 = finished(&f, q.at2);
    q.at3 = finished(&f, q.at3);
    *from = record + AGN_MODEL_CHANNEL_BYTES;
    return q;
}

AGN__INLINE void panel_channels(const struct panel *p, unsigned unit)
{
    const int8_t *weights = p->weights;
    const uint8_t *record = p->record, *end = p->record_end;
    int16_t *to = p->to;
    if (p->places == PLACES && !p->table) {
        while (record != end) {
            const struct agn__four_sums q = panel_next(p, &weights, &record, unit);
            agn__put_four(to, p->step_x, &q);
            to += p->step_c;
        }
        return;
    }
    if (p->places == PLACES) {
        for (uint8_t *packed = p->packed + p->x * AGN_WIRE_SYMBOL_BITS / 8u; record != end;
             packed += p->step_c)
            put_four_symbols(p, packed, panel_next(p, &weights, &record, unit));
        return;
    }
    for (uint8_t *packed = p->packed; record != end; packed += p->step_c, to += p->step_c) {
        const struct agn__four_sums q = panel_next(p, &weights, &record, unit);
        if (p->table)
            put_symbols(p, packed, &q);
        else
            put_some(p, to, &q);
    }
}

AGN__ALONE void panel_channels_1(const struct panel *p)
{
    panel_channels(p, 1);
}

AGN__ALONE void panel_channels_2(const struct panel *p)
{
    panel_channels(p, 2);
}

AGN__ALONE void panel_channels_4(const struct panel *p)
{
    panel_channels(p, 4);
}

/* Copies a place's row of a window, `groups` groups, to a panel. */
AGN__INLINE void fill_place(const int16_t *src, unsigned groups, int aligned, int16_t *to)
{
#define AGN__COPY_GROUP agn__put_panel(&to, aligned ? agn__next_two_words(&src) : agn__next_two_any(&src))
    if (groups % 2 == 1)
        AGN__COPY_GROUP;
    for (groups /= 2; groups > 0; groups--) {
        AGN__COPY_GROUP;
        AGN__COPY_GROUP;
    }
#undef AGN__COPY_GROUP
}

AGN__INLINE void fill_row(const int16_t *src, const size_t offset[PLACES - 1], unsigned groups, int aligned,
                          int16_t *panel)
{
    fill_place(src, groups, aligned, panel);
    fill_place(src + offset[0], groups, aligned, panel + 4);
    fill_place(src + offset[1], groups, aligned, panel + 8);
    fill_place(src + offset[2], groups, aligned, panel + 12);
}

/* Places beyond a row's end are its last one once more. */
AGN__ALONE void fill_panel(const struct panel *p, const struct agn_dev_layer *layer,
                           const int16_t *const *rows, int16_t *panel)
{
    unsigned groups = (unsigned)agn__layer_groups(layer), last = p->places - 1u;
    size_t step = (size_t)layer->stride_w * layer->in_c, at = p->x * step, offset[PLACES - 1];
    for (unsigned i = 1; i < PLACES; i++)
        offset[i - 1] = (i < last ? i : last) * step;
    for (unsigned y = layer->kernel_h; y > 0; y--, rows++, panel += PLACES * 4u * groups) {
        const int16_t *src = *rows + at;
        if ((((uintptr_t)src | 2u * step) & 3u) != 0)
            fill_row(src, offset, groups, 0, panel);
        else if (groups == 2)
            fill_row(src, offset, 2, 1, panel);
        else if (groups == 3)
            fill_row(src, offset, 3, 1, panel);
        else
            fill_row(src, offset, groups, 1, panel);
    }
}

void agn__graph_conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink, int16_t *panel)
{
    if (!layer->folds) {
        agn__conv_row(layer, rows, first, end, sink);
        return;
    }
    unsigned groups = (unsigned)agn__layer_groups(layer) * layer->kernel_h;
    void (*const run)(const struct panel *) = groups % 4 == 0   ? panel_channels_4
                                              : groups % 2 == 0 ? panel_channels_2
                                                                : panel_channels_1;
    struct panel p;
    p.values = panel;
    p.weight_bytes = 4u * (size_t)groups;
    p.weights = layer->weights + first * p.weight_bytes;
    p.record = layer->channels + (size_t)first * AGN_MODEL_CHANNEL_BYTES;
    p.record_end = layer->channels + (size_t)end * AGN_MODEL_CHANNEL_BYTES;
    p.rounding = rounding_of(layer);
    p.to = sink->values;
    p.step_x = sink->step_x;
    p.step_c = sink->step_c;
    p.packed = sink->packed;
    p.table = sink->table;
    for (p.x = 0; p.x < layer->out_w; p.x += PLACES, p.to += PLACES * p.step_x) {
        unsigned left = layer->out_w - p.x;
        p.places = left < PLACES ? left : PLACES;
        fill_panel(&p, layer, rows, panel);
        run(&p);
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
        d.finish = finish_of(rounding_of(layer), record);
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
AGN__DEPTHWISE(depthwise_5_1, 5, 1)
AGN__DEPTHWISE(depthwise_5_2, 5, 2)
AGN__DEPTHWISE(depthwise_7_1, 7, 1)
AGN__DEPTHWISE(depthwise_7_2, 7, 2)
#undef AGN__DEPTHWISE

void agn__graph_dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink)
{
    static void (*const kernels[2][2])(const struct agn_dev_layer *, const int16_t *const *, unsigned,
                                       unsigned, const struct agn__sink *) = {{depthwise_5_1, depthwise_5_2},
                                                                              {depthwise_7_1, depthwise_7_2}};
    unsigned kernel = layer->kernel_w, stride = layer->stride_w;
    if (!layer->folds || layer->kernel_h != kernel || (kernel != 5 && kernel != 7) || stride > 2 ||
        sink->table || agn__step_c(layer) % 2 != 0)
        agn__dwconv_row(layer, rows, first, end, sink);
    else
        kernels[(kernel - 5) / 2][stride - 1](layer, rows, first, end, sink);
}

#endif

typedef int agn__kernel_graph_dsp_is_not_empty; /* whichever kernels are chosen */
