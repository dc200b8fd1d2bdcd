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
    const int16_t *values, *values_end;
    const int8_t *weights;
    const uint8_t *record, *record_end;
    uint32_t rounding;
    unsigned x, places; /* where in the row; PLACES, or what is left of it */
    int16_t *to;        /* of place x; NULL: no values */
    size_t step_x, step_c;
    const uint8_t *table; /* of value 0; NULL: no symbols */
    uint8_t *packed;      /* the byte that holds the symbol of place x */
    size_t packed_step;
    uint32_t half, before; /* 4 if that begins in the middle of it, and the bits below that, else 0 */
};

/* Symbols of a channel: PLACES of them take a byte and a half. */
AGN__INLINE void put_symbols(const struct panel *p, uint8_t *to, struct agn__four_sums q)
{
    enum { BITS = AGN_WIRE_SYMBOL_BITS };
    const uint8_t *table = p->table;
    uint32_t bits = (uint32_t)table[q.at0] | (uint32_t)table[q.at1] << BITS |
                    (uint32_t)table[q.at2] << 2 * BITS | (uint32_t)table[q.at3] << 3 * BITS;
    agn__put_half(to, bits << p->half | (*to & p->before));
}

/* The same of less than PLACES, at a row's end. */
AGN__INLINE void put_some_symbols(const struct panel *p, uint8_t *to, struct agn__four_sums q)
{
    enum { BITS = AGN_WIRE_SYMBOL_BITS };
    const uint8_t *table = p->table;
    unsigned used = p->places * BITS + p->half;
    uint32_t bits =
        (uint32_t)table[q.at0] | (uint32_t)table[q.at1] << BITS | (uint32_t)table[q.at2] << 2 * BITS;
    bits = (bits & ((UINT32_C(1) << p->places * BITS) - 1u)) << p->half | (*to & p->before);
    to[0] = (uint8_t)bits;
    if (used > 8)
        to[1] = (uint8_t)(bits >> 8);
}

/* Values of less than PLACES. */
AGN__INLINE void put_some(const struct panel *p, int16_t *to, struct agn__four_sums q)
{
    size_t step = p->step_x;
    to[0] = (int16_t)q.at0;
    if (p->places > 1)
        to[step] = (int16_t)q.at1;
    if (p->places > 2)
        to[2 * step] = (int16_t)q.at2;
}

/* The next channel's four values; weights and record move on. */
AGN__INLINE struct agn__four_sums panel_next(const struct panel *p, const int8_t **weights,
                                             const uint8_t **from, unsigned unit)
{
    const uint8_t *record = *from;
    struct agn__four_sums q =
        agn__panel_sums(p->values, &p->values_end, weights, (int32_t)agn__word(record), unit);
    const struct finish f = finish_of(p->rounding, record);
    q.at0 = finished(&f, q.at0);
    q.at1 = finished(&f, q.at1);
    q.at2 = finished(&f, q.at2);
    q.at3 = finished(&f, q.at3);
    *from = record + AGN_MODEL_CHANNEL_BYTES;
    return q;
}

/* Values, symbols, or both. */
AGN__INLINE void panel_channels(const struct panel *p, unsigned unit)
{
    const int8_t *weights = p->weights;
    const uint8_t *record = p->record;
    int16_t *to = p->to;
    if (p->places == PLACES && !p->table) {
        while (record != p->record_end) {
            const struct agn__four_sums q = panel_next(p, &weights, &record, unit);
            agn__put_four(to, p->step_x, &q);
            to += p->step_c;
        }
        return;
    }
    uint8_t *packed = p->packed;
    for (; p->places == PLACES && record != p->record_end; packed += p->packed_step) {
        const struct agn__four_sums q = panel_next(p, &weights, &record, unit);
        if (to) {
            agn__put_four(to, p->step_x, &q);
            to += p->step_c;
        }
        put_symbols(p, packed, q);
    }
    for (; record != p->record_end; packed += p->packed_step) {
        const struct agn__four_sums q = panel_next(p, &weights, &record, unit);
        if (to) {
            put_some(p, to, q);
            to += p->step_c;
        }
        if (p->table)
            put_some_symbols(p, packed, q);
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

/* Channels [first, end) of the panel. */
AGN__INLINE void run_channels(struct panel *p, const struct agn_dev_layer *layer, unsigned first,
                              unsigned end)
{
    unsigned groups = (unsigned)agn__layer_groups(layer) * layer->kernel_h;
    if (first >= end)
        return;
    p->weights = layer->weights + (size_t)first * 4u * groups;
    p->record = layer->channels + (size_t)first * AGN_MODEL_CHANNEL_BYTES;
    p->record_end = layer->channels + (size_t)end * AGN_MODEL_CHANNEL_BYTES;
    if (groups % 4 == 0)
        panel_channels_4(p);
    else if (groups % 2 == 0)
        panel_channels_2(p);
    else
        panel_channels_1(p);
}

static void panel_begin(struct panel *p, const struct agn_dev_layer *layer, const int16_t *values)
{
    p->values = values;
    p->values_end = values + agn__panel_bytes(layer) / 2u;
    p->rounding = rounding_of(layer);
    p->x = 0;
}

/* The next places of the row. Returns where their symbols begin in it. */
AGN__INLINE size_t next_places(struct panel *p, const struct agn_dev_layer *layer, const int16_t *const *rows,
                               int16_t *panel)
{
    unsigned left = layer->out_w - p->x;
    p->places = left < PLACES ? left : PLACES;
    p->half = p->x & PLACES;
    p->before = (1u << p->half) - 1u;
    fill_panel(p, layer, rows, panel);
    return p->x * AGN_WIRE_SYMBOL_BITS / 8u;
}

void agn__graph_conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink, int16_t *panel)
{
    if (!layer->folds) {
        agn__conv_row(layer, rows, first, end, sink);
        return;
    }
    struct panel p;
    panel_begin(&p, layer, panel);
    p.step_x = sink->step_x;
    p.step_c = sink->step_c;
    p.packed_step = sink->step_c;
    p.to = sink->table ? NULL : sink->values;
    p.table = sink->table ? sink->table + 128 : NULL;
    for (; p.x < layer->out_w; p.x += PLACES) {
        size_t at = next_places(&p, layer, rows, panel);
        p.packed = p.table ? sink->packed + at : NULL;
        run_channels(&p, layer, first, end);
        if (p.to)
            p.to += PLACES * p.step_x;
    }
}

int agn__graph_conv_sent(const struct agn_dev_layer *layer, const int16_t *const *rows,
                         const struct agn__sent *sent, int16_t *panel)
{
    const struct agn__sink *symbols = &sent->symbols;
    unsigned kept = sent->kept, first = sent->first, both = first < kept ? kept : first;
    if (!layer->folds)
        return 0;
    struct panel p;
    panel_begin(&p, layer, panel);
    p.step_x = sent->values.step_x;
    p.step_c = sent->values.step_c;
    p.packed_step = symbols->step_c;
    for (; p.x < layer->out_w; p.x += PLACES) {
        size_t at = next_places(&p, layer, rows, panel);
        p.to = sent->values.values + p.x * p.step_x;
        p.table = NULL;
        run_channels(&p, layer, 0, first < kept ? first : kept);
        p.table = symbols->table + 128;
        p.packed = symbols->packed + at;
        p.to += first * p.step_c;
        run_channels(&p, layer, first, both);
        p.packed += (both - first) * p.packed_step;
        p.to = NULL;
        run_channels(&p, layer, both, sent->end);
    }
    return 1;
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
