/* Plain C row kernels: the reference that every faster variant must match bit for bit, and the small one.
 *
 * Borders are already in the rows, so no tap is tested. The output channel is the outer
 * loop: bias, multiplier and shift are loaded once a row and channel. An int may have 16 bits. */
#include "agn_device_internal.h"
#include "agn_kernel.h"
#include "agn_kernel_output.h"

static inline int32_t product(int8_t weight, int16_t value)
{
    return (int32_t)weight * value;
}

void agn__conv_row_plain(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink)
{
    size_t stored = 4 * agn__layer_groups(layer), step = (size_t)layer->stride_w * layer->in_c;
    for (unsigned oc = first; oc < end; oc++) {
        struct agn__channel channel = agn__channel_read(layer->channels, oc);
        struct agn__output out = agn__output_of(sink, oc - first);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            const int8_t *weight = layer->weights + oc * stored * layer->kernel_h;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int16_t *src = rows[ky] + x * step;
                for (const int8_t *row_end = weight + stored; weight != row_end; weight += 4, src += 4)
                    acc += product(weight[0], src[0]) + product(weight[2], src[1]) +
                           product(weight[1], src[2]) + product(weight[3], src[3]);
            }
            agn__put(&out, sink, agn__to_output(layer, channel, acc));
        }
        agn__packer_end(&out.packer);
    }
}

void agn__dwconv_row_plain(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink)
{
    size_t plane = agn__step_c(layer);
    for (unsigned c = first; c < end; c++) {
        struct agn__channel channel = agn__channel_read(layer->channels, c);
        struct agn__output out = agn__output_of(sink, c - first);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            const int8_t *weight = layer->weights + c;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int16_t *src = rows[ky] + c * plane + (size_t)x * layer->stride_w;
                for (unsigned kx = 0; kx < layer->kernel_w; kx++, weight += layer->in_c)
                    acc += product(*weight, src[kx]);
            }
            agn__put(&out, sink, agn__to_output(layer, channel, acc));
        }
        agn__packer_end(&out.packer);
    }
}

#if !AGN_KERNEL_DSP

#if AGN_WITH_GRAPHS
void agn__graph_conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink, int16_t *panel)
{
    (void)panel;
    agn__conv_row(layer, rows, first, end, sink);
}

void agn__graph_dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                           unsigned end, const struct agn__sink *sink)
{
    agn__dwconv_row(layer, rows, first, end, sink);
}
#endif

void agn__widen(const int8_t *from, int16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = from[i];
}

#endif

void agn__narrow(const int16_t *from, int8_t *to, size_t count)
{
    for (; count >= 4; count -= 4, from += 4, to += 4) {
        to[0] = (int8_t)from[0];
        to[1] = (int8_t)from[1];
        to[2] = (int8_t)from[2];
        to[3] = (int8_t)from[3];
    }
    for (; count > 0; count--)
        *to++ = (int8_t)*from++;
}

#if !AGN_KERNEL_DSP && !AGN_KERNEL_MVE

#if !AGN_KERNEL_SSE2
void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    agn__conv_row_plain(layer, rows, first, end, sink);
}
#endif

void agn__dwconv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                     unsigned end, const struct agn__sink *sink)
{
    agn__dwconv_row_plain(layer, rows, first, end, sink);
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

#endif
