/* Plain C row kernels: the reference that every faster variant must match bit for bit, and the small one.
 *
 * Borders are already in the rows, so no tap is tested. The output channel is the outer
 * loop: bias, multiplier and shift are loaded once a row and channel. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

#if !AGN_KERNEL_DSP

static void put(const struct agn_dev_layer *layer, struct agn__channel channel, int32_t acc,
                const struct agn__sink *sink, size_t at)
{
    int32_t q = agn_requantise(acc, channel.multiplier, channel.shift) + layer->out_zero_point;
    if (q < layer->clamp_min)
        q = layer->clamp_min;
    if (q > layer->clamp_max)
        q = layer->clamp_max;
    if (sink->table)
        sink->symbols[at] = sink->table[q + 128];
    else
        sink->values[at] = (int16_t)q;
}

void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    size_t stored = 4 * agn__layer_groups(layer), step = (size_t)layer->stride_w * layer->in_c;
    for (unsigned oc = first; oc < end; oc++) {
        struct agn__channel channel = agn__channel_read(layer->channels, oc);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            const int8_t *weight = layer->weights + oc * stored * layer->kernel_h;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int16_t *src = rows[ky] + x * step;
                for (const int8_t *row_end = weight + stored; weight != row_end; weight += 4, src += 4)
                    acc += weight[0] * src[0] + weight[2] * src[1] + weight[1] * src[2] + weight[3] * src[3];
            }
            put(layer, channel, acc, sink, x * sink->step_x + (oc - first) * sink->step_c);
        }
    }
}

void agn__dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                     unsigned end, const struct agn__sink *sink)
{
    size_t plane = agn__step_c(layer);
    for (unsigned c = first; c < end; c++) {
        struct agn__channel channel = agn__channel_read(layer->channels, c);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            const int8_t *weight = layer->weights + c;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int16_t *src = rows[ky] + c * plane + (size_t)x * layer->stride_w;
                for (unsigned kx = 0; kx < layer->kernel_w; kx++, weight += layer->in_c)
                    acc += *weight * src[kx];
            }
            put(layer, channel, acc, sink, x * sink->step_x + (c - first) * sink->step_c);
        }
    }
}

void agn__pixel_row(const struct agn_dev_layer *layer, const uint8_t *pixels, int16_t *to)
{
    size_t step_x = agn__step_x(layer), step_c = agn__step_c(layer);
    for (unsigned x = 0; x < layer->in_w; x++)
        for (unsigned c = 0; c < layer->in_c; c++)
            to[x * step_x + c * step_c] = (int16_t)(*pixels++ - 128);
}

int32_t agn__sum_row(const int16_t *values, unsigned count)
{
    int32_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

void agn__pack_row(const uint8_t *symbols, unsigned count, uint8_t *packed)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (unsigned i = 0; i < count; i++) {
        bits |= (uint32_t)symbols[i] << have;
        have += AGN_WIRE_SYMBOL_BITS;
        if (have >= 8) {
            *packed++ = (uint8_t)bits;
            bits >>= 8;
            have -= 8;
        }
    }
    if (have > 0)
        *packed = (uint8_t)bits;
}

#endif

typedef int agn__kernel_plain_is_not_empty; /* whichever kernels are chosen */
