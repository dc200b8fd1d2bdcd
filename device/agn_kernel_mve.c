/* Row kernels for Helium, the M-profile vector extension (Cortex-M55, M85): four places of an output row side
 * by side, which are requantised in five instructions.
 *
 * Layers with few weights an output (1x1 on up to four channels, depthwise 3x3) keep the places in the lanes
 * and multiply by one weight at a time. Others sum up eight products an instruction along the window's row;
 * the loads of weights, in the order that the DSP kernels need (agn__layer_groups), put them in their natural
 * one, and four places share them. Whatever remains of a row is done by lanes that repeat the last place, or
 * by predication. Kernels of other sizes take the plain ones. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

#if AGN_KERNEL_MVE

#include <arm_mve.h>

/* A function that takes a function is to be compiled for each of them. */
#define AGN__INLINE static inline __attribute__((always_inline))
/* A loop that needs all registers is to be a function by itself. */
#define AGN__ALONE static __attribute__((noinline))

enum { PLACES = 4 };

/* ---- outputs --------------------------------------------------------------------- */

/* What one output channel's row is made from. */
struct work {
    const int16_t *const *rows; /* where the first place's window starts in each row */
    unsigned kernel_h;
    size_t step; /* values from place to place */
    int32_t bias;
    const int8_t *weights; /* of a channel's window; row_bytes for each row */
    size_t row_bytes;
    int32x4_t weight; /* of 1x1 on up to four channels */
    int32_t taps[9];  /* of depthwise 3x3 */
};

/* What turns a channel's accumulators into outputs, and where these go. */
struct output {
    int32_t multiplier, zero_point, clamp_min, clamp_max;
    int32_t shift;  /* to the left, so below 0 */
    unsigned count; /* places */
    int16_t *value;
    size_t step;
    uint8_t *packed;
    const uint8_t *table; /* of value 0; NULL: values */
};

/* The accumulators of four places, whose windows start at[i] values behind the first's; x is the first. */
typedef int32x4_t four_places(const struct work *work, unsigned x, uint32x4_t at);

AGN__INLINE struct work work_of(const struct agn_dev_layer *layer, const int16_t *const *rows,
                                unsigned channel)
{
    struct work work;
    work.rows = rows;
    work.kernel_h = layer->kernel_h;
    work.step = layer->stride_w * agn__step_x(layer);
    work.bias = agn__channel_read(layer->channels, channel).bias;
    work.weights = layer->weights;
    work.row_bytes = 0;
    work.weight = vdupq_n_s32(0);
    return work;
}

AGN__INLINE struct output output_of(const struct agn_dev_layer *layer, const struct agn__sink *sink,
                                    unsigned first, unsigned channel)
{
    struct agn__channel c = agn__channel_read(layer->channels, channel);
    struct output out;
    out.multiplier = c.multiplier;
    out.zero_point = layer->out_zero_point;
    out.clamp_min = layer->clamp_min;
    out.clamp_max = layer->clamp_max;
    out.shift = 32 - (int32_t)c.shift;
    out.count = layer->out_w;
    out.step = sink->step_x;
    out.value = NULL;
    out.packed = NULL;
    out.table = NULL;
    if (sink->table) {
        out.packed = sink->packed + (channel - first) * sink->step_c;
        out.table = sink->table + 128;
    } else {
        out.value = sink->values + (channel - first) * sink->step_c;
    }
    return out;
}

AGN__INLINE int32x4_t four_of(int32_t a, int32_t b, int32_t c, int32_t d)
{
    int32x4_t four;
    __asm__("vmov %q0[2], %q0[0], %1, %3\n\tvmov %q0[3], %q0[1], %2, %4"
            : "=&w"(four)
            : "r"(a), "r"(b), "r"(c), "r"(d));
    return four;
}

AGN__INLINE int32x4_t finish(const struct output *out, int32x4_t acc)
{
    int32x4_t q = vmulhq_s32(acc, vdupq_n_s32(out->multiplier));
    q = vaddq_n_s32(vrshlq_n_s32(q, out->shift), out->zero_point);
    q = vmaxq_s32(q, vdupq_n_s32(out->clamp_min));
    return vminq_s32(q, vdupq_n_s32(out->clamp_max));
}

/* Four places' symbols, the first in the lowest bits. */
AGN__INLINE uint32_t four_symbols(const struct output *out, int32x4_t acc)
{
    const uint32x4_t place = {1, 1 << 3, 1 << 6, 1 << 9};
    uint32x4_t at = vreinterpretq_u32_s32(finish(out, acc));
    return vmladavq_u32(vldrbq_gather_offset_u32(out->table, at), place);
}

/* Where the windows of the first four places start, and that of the last place: it fills up what lanes are
 * left over. */
AGN__INLINE uint32x4_t first_places(const struct work *w)
{
    const uint32x4_t all = {0, 1, 2, 3};
    return vmulq_n_u32(all, (uint32_t)w->step);
}

AGN__INLINE uint32x4_t no_further(const struct work *w, uint32x4_t at, unsigned count)
{
    return vminq_u32(at, vdupq_n_u32((uint32_t)w->step * (count - 1u)));
}

AGN__INLINE void put_values(const struct work *work, const struct output *output, four_places *four,
                            four_places *last)
{
    const struct work w = *work; /* in registers, whatever the stores below may touch */
    const struct output out = *output;
    const uint32x4_t all = {0, 1, 2, 3};
    uint32x4_t at = first_places(&w), offset = vmulq_n_u32(all, (uint32_t)out.step);
    int16_t *value = out.value;
    unsigned x = 0;
    for (; x + PLACES <= out.count; x += PLACES, value += PLACES * out.step) {
        vstrhq_scatter_shifted_offset_s32(value, offset, finish(&out, four(&w, x, at)));
        at = vaddq_n_u32(at, PLACES * (uint32_t)w.step);
    }
    if (x < out.count)
        vstrhq_scatter_shifted_offset_p_s32(
            value, offset, finish(&out, last(&w, x, no_further(&w, at, out.count))), vctp32q(out.count - x));
}

AGN__INLINE void put_symbols(const struct work *work, const struct output *output, four_places *four,
                             four_places *last)
{
    const struct work w = *work;
    const struct output out = *output;
    struct agn__packer packer = {out.packed, 0, 0};
    uint32x4_t at = first_places(&w);
    unsigned x = 0;
    for (; x + 2 * PLACES <= out.count; x += 2 * PLACES, packer.to += 3) {
        uint32_t bits = four_symbols(&out, four(&w, x, at));
        at = vaddq_n_u32(at, PLACES * (uint32_t)w.step);
        bits |= four_symbols(&out, four(&w, x + PLACES, at)) << (PLACES * AGN_WIRE_SYMBOL_BITS);
        at = vaddq_n_u32(at, PLACES * (uint32_t)w.step);
        uint16_t low = (uint16_t)bits;
        __builtin_memcpy(packer.to, &low, sizeof low);
        packer.to[2] = (uint8_t)(bits >> 16);
    }
    while (x < out.count) {
        uint32_t bits = four_symbols(&out, last(&w, x, no_further(&w, at, out.count)));
        at = vaddq_n_u32(at, PLACES * (uint32_t)w.step);
        for (unsigned i = 0; i < PLACES && x < out.count; i++, x++, bits >>= AGN_WIRE_SYMBOL_BITS)
            agn__packer_put(&packer, bits & ((1u << AGN_WIRE_SYMBOL_BITS) - 1u));
    }
    agn__packer_end(&packer);
}

/* ---- 1x1 on up to four channels --------------------------------------------------------- */

/* Four channels at stride 1: a place's values are one vector. */
AGN__INLINE int32x4_t four_pointwise_near(const struct work *w, unsigned x, uint32x4_t at)
{
    (void)at;
    int32_t acc0, acc1, acc2, acc3;
    int32x4_t values;
    typedef int16_t sixteen_values[16];
    const sixteen_values *src = (const sixteen_values *)(const void *)(w->rows[0] + (size_t)x * 4u);
    __asm__("vldrh.s32 %q[values], [%[src]]\n\t"
            "vmladav.s32 %[acc0], %q[values], %q[weight]\n\t"
            "vldrh.s32 %q[values], [%[src], #8]\n\t"
            "vmladav.s32 %[acc1], %q[values], %q[weight]\n\t"
            "vldrh.s32 %q[values], [%[src], #16]\n\t"
            "vmladav.s32 %[acc2], %q[values], %q[weight]\n\t"
            "vldrh.s32 %q[values], [%[src], #24]\n\t"
            "vmladav.s32 %[acc3], %q[values], %q[weight]"
            : [acc0] "=&Te"(acc0), [acc1] "=&Te"(acc1), [acc2] "=&Te"(acc2), [acc3] "=&Te"(acc3),
              [values] "=&w"(values)
            : [src] "l"(src), [weight] "w"(w->weight), "m"(*src));
    return vaddq_n_s32(four_of(acc0, acc1, acc2, acc3), w->bias);
}

AGN__INLINE int32x4_t four_pointwise(const struct work *w, unsigned x, uint32x4_t at)
{
    (void)x;
    const int16_t *src = w->rows[0];
    int32x4_t acc = vdupq_n_s32(w->bias);
    acc = vmlaq_n_s32(acc, vldrhq_gather_shifted_offset_s32(src, at), vgetq_lane_s32(w->weight, 0));
    acc = vmlaq_n_s32(acc, vldrhq_gather_shifted_offset_s32(src + 1, at), vgetq_lane_s32(w->weight, 1));
    acc = vmlaq_n_s32(acc, vldrhq_gather_shifted_offset_s32(src + 2, at), vgetq_lane_s32(w->weight, 2));
    return vmlaq_n_s32(acc, vldrhq_gather_shifted_offset_s32(src + 3, at), vgetq_lane_s32(w->weight, 3));
}

AGN__INLINE void pointwise(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink, four_places *four)
{
    const uint32x4_t place_4 = {0, 2, 1, 3}; /* stored order to natural order: agn__weight_place */
    for (unsigned channel = first; channel < end; channel++) {
        struct work work = work_of(layer, rows, channel);
        const struct output out = output_of(layer, sink, first, channel);
        work.weight = vldrbq_gather_offset_s32(layer->weights + (size_t)channel * 4u, place_4);
        if (sink->table)
            put_symbols(&work, &out, four, four_pointwise);
        else
            put_values(&work, &out, four, four_pointwise);
    }
}

AGN__ALONE void pointwise_near(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                               unsigned end, const struct agn__sink *sink)
{
    pointwise(layer, rows, first, end, sink, four_pointwise_near);
}

AGN__ALONE void pointwise_apart(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                                unsigned end, const struct agn__sink *sink)
{
    pointwise(layer, rows, first, end, sink, four_pointwise);
}

/* ---- full convolutions with any window -------------------------------------------------- */

/* Adds to four places' sums over `steps` > 0 times eight values of a row, which begin at src[]; moves src
 * past them and returns the weights behind. As one piece, since compilers neither keep to the registers nor
 * use the loop instructions. (Te: an even register.) */
AGN__INLINE const int8_t *add_eights(uint32_t steps, const int8_t *weights, uint16x8_t order,
                                     const int16_t *src[PLACES], int32_t acc[PLACES])
{
    __asm__ volatile("dls lr, %[steps]\n"
                     "1:\n\t"
                     "vldrb.s16 q0, [%[weights], %q[order]]\n\t"
                     "vldrh.u16 q1, [%[src0]], #16\n\t"
                     "vmladava.s16 %[acc0], q0, q1\n\t"
                     "vldrh.u16 q1, [%[src1]], #16\n\t"
                     "vmladava.s16 %[acc1], q0, q1\n\t"
                     "vldrh.u16 q1, [%[src2]], #16\n\t"
                     "vmladava.s16 %[acc2], q0, q1\n\t"
                     "vldrh.u16 q1, [%[src3]], #16\n\t"
                     "vmladava.s16 %[acc3], q0, q1\n\t"
                     "add %[weights], %[weights], #8\n\t"
                     "le lr, 1b"
                     : [weights] "+r"(weights), [src0] "+r"(src[0]), [src1] "+r"(src[1]), [src2] "+r"(src[2]),
                       [src3] "+r"(src[3]), [acc0] "+Te"(acc[0]), [acc1] "+Te"(acc[1]), [acc2] "+Te"(acc[2]),
                       [acc3] "+Te"(acc[3])
                     : [steps] "r"(steps), [order] "w"(order)
                     : "lr", "q0", "q1", "memory");
    return weights;
}

AGN__ALONE int32x4_t four_windows(const struct work *w, unsigned x, uint32x4_t at)
{
    /* Stored order to natural order: agn__weight_place. */
    const uint16x8_t place_8 = {0, 2, 1, 3, 4, 6, 5, 7};
    const uint32x4_t place_4 = {0, 2, 1, 3};
    uint32_t offset[PLACES];
    (void)x;
    vstrwq_u32(offset, at);
    const int8_t *weights = w->weights;
    const int16_t *const *rows_end = w->rows + w->kernel_h;
    uint32_t steps = (uint32_t)w->row_bytes / 8u, rest = w->row_bytes & 4u;
    int32_t acc[PLACES] = {w->bias, w->bias, w->bias, w->bias};
    for (const int16_t *const *row = w->rows; row != rows_end; row++) {
        const int16_t *src[PLACES] = {*row + offset[0], *row + offset[1], *row + offset[2], *row + offset[3]};
        if (steps > 0)
            weights = add_eights(steps, weights, place_8, src, acc);
        if (rest) {
            int32x4_t four = vldrbq_gather_offset_s32(weights, place_4);
            acc[0] = vmladavaq_s32(acc[0], four, vldrhq_s32(src[0]));
            acc[1] = vmladavaq_s32(acc[1], four, vldrhq_s32(src[1]));
            acc[2] = vmladavaq_s32(acc[2], four, vldrhq_s32(src[2]));
            acc[3] = vmladavaq_s32(acc[3], four, vldrhq_s32(src[3]));
            weights += 4;
        }
    }
    return four_of(acc[0], acc[1], acc[2], acc[3]);
}

static void window_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                       unsigned end, const struct agn__sink *sink)
{
    size_t row_bytes = 4u * agn__layer_groups(layer);
    for (unsigned channel = first; channel < end; channel++) {
        struct work work = work_of(layer, rows, channel);
        const struct output out = output_of(layer, sink, first, channel);
        work.row_bytes = row_bytes;
        work.weights = layer->weights + row_bytes * layer->kernel_h * channel;
        if (sink->table)
            put_symbols(&work, &out, four_windows, four_windows);
        else
            put_values(&work, &out, four_windows, four_windows);
    }
}

void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    int is_pointwise = layer->kernel_h == 1 && layer->kernel_w == 1;
    if (is_pointwise && layer->in_c == 4 && layer->stride_w == 1)
        pointwise_near(layer, rows, first, end, sink);
    else if (is_pointwise && layer->in_c <= 4)
        pointwise_apart(layer, rows, first, end, sink);
    else
        window_row(layer, rows, first, end, sink);
}

/* ---- depthwise convolutions, 3x3 --------------------------------------------------------- */

/* At stride 1, four places' values lie side by side. */
AGN__INLINE int32x4_t three_near(const int16_t *src, const int32_t *taps, int32x4_t acc)
{
    acc = vmlaq_n_s32(acc, vldrhq_s32(src), taps[0]);
    acc = vmlaq_n_s32(acc, vldrhq_s32(src + 1), taps[1]);
    return vmlaq_n_s32(acc, vldrhq_s32(src + 2), taps[2]);
}

AGN__INLINE int32x4_t four_near(const struct work *w, unsigned x, uint32x4_t at)
{
    (void)at;
    int32x4_t acc = vdupq_n_s32(w->bias);
    acc = three_near(w->rows[0] + x, w->taps, acc);
    acc = three_near(w->rows[1] + x, w->taps + 3, acc);
    return three_near(w->rows[2] + x, w->taps + 6, acc);
}

AGN__INLINE int32x4_t three_apart(const int16_t *src, uint32x4_t at, const int32_t *taps, int32x4_t acc)
{
    acc = vmlaq_n_s32(acc, vldrhq_gather_shifted_offset_s32(src, at), taps[0]);
    acc = vmlaq_n_s32(acc, vldrhq_gather_shifted_offset_s32(src + 1, at), taps[1]);
    return vmlaq_n_s32(acc, vldrhq_gather_shifted_offset_s32(src + 2, at), taps[2]);
}

AGN__INLINE int32x4_t four_apart(const struct work *w, unsigned x, uint32x4_t at)
{
    (void)x;
    int32x4_t acc = vdupq_n_s32(w->bias);
    acc = three_apart(w->rows[0], at, w->taps, acc);
    acc = three_apart(w->rows[1], at, w->taps + 3, acc);
    return three_apart(w->rows[2], at, w->taps + 6, acc);
}

AGN__INLINE void depthwise(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink, four_places *four)
{
    for (unsigned channel = first; channel < end; channel++) {
        size_t plane = channel * agn__step_c(layer);
        const int16_t *const planes[3] = {rows[0] + plane, rows[1] + plane, rows[2] + plane};
        struct work work = work_of(layer, planes, channel);
        const struct output out = output_of(layer, sink, first, channel);
        for (unsigned i = 0; i < 9; i++)
            work.taps[i] = layer->weights[channel + (size_t)i * layer->in_c];
        if (sink->table)
            put_symbols(&work, &out, four, four_apart);
        else
            put_values(&work, &out, four, four_apart);
    }
}

AGN__ALONE void depthwise_near(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                               unsigned end, const struct agn__sink *sink)
{
    depthwise(layer, rows, first, end, sink, four_near);
}

AGN__ALONE void depthwise_apart(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                                unsigned end, const struct agn__sink *sink)
{
    depthwise(layer, rows, first, end, sink, four_apart);
}

void agn__dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                     unsigned end, const struct agn__sink *sink)
{
    if (layer->kernel_h != 3 || layer->kernel_w != 3)
        agn__dwconv_row_plain(layer, rows, first, end, sink);
    else if (layer->stride_w == 1)
        depthwise_near(layer, rows, first, end, sink);
    else
        depthwise_apart(layer, rows, first, end, sink);
}

/* ---- pixels and sums ------------------------------------------------------------------------- */

/* Every step-th byte, less 128. */
AGN__INLINE void pixels(const uint8_t *from, unsigned step, int16_t *to, size_t count)
{
    const uint16x8_t all = {0, 1, 2, 3, 4, 5, 6, 7};
    uint16x8_t offset = vmulq_n_u16(all, (uint16_t)step);
    for (; count >= 8; count -= 8, from += 8 * step, to += 8) {
        uint16x8_t eight = step == 1 ? vldrbq_u16(from) : vldrbq_gather_offset_u16(from, offset);
        vstrhq_s16(to, vreinterpretq_s16_u16(vsubq_n_u16(eight, 128)));
    }
    for (; count > 0; count--, from += step)
        *to++ = (int16_t)(*from - 128);
}

void agn__pixel_row(const struct agn_dev_layer *layer, const uint8_t *from, int16_t *to)
{
    unsigned channels = layer->in_c;
    size_t plane = agn__step_c(layer);
    if (layer->kind == AGN_LAYER_CONV)
        pixels(from, 1, to, (size_t)layer->in_w * channels);
    else
        for (unsigned c = 0; c < channels; c++)
            pixels(from + c, channels, to + c * plane, layer->in_w);
}

int32_t agn__sum_row(const int16_t *values, unsigned count)
{
    int32_t sum = 0;
    for (; count >= 8; count -= 8, values += 8)
        sum = vaddvaq_s16(sum, vldrhq_s16(values));
    if (count > 0)
        sum = vaddvaq_p_s16(sum, vldrhq_z_s16(values, vctp16q(count)), vctp16q(count));
    return sum;
}

#endif

typedef int agn__kernel_mve_is_not_empty; /* whichever kernels are chosen */
