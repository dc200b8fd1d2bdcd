/* Plain C row kernels: the reference that every faster variant must match bit for bit, and the small one.
 *
 * Borders are already in the rows, so no tap is tested. The output channel is the outer
 * loop: bias, multiplier and shift are loaded once a row and channel. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

static int32_t to_output(const struct agn_dev_layer *layer, struct agn__channel channel, int32_t acc)
{
    int32_t q = agn_requantise(acc, channel.multiplier, channel.shift) + layer->out_zero_point;
    q = q < layer->clamp_min ? layer->clamp_min : q;
    return q > layer->clamp_max ? layer->clamp_max : q;
}

/* The outputs of one channel, place after place. */
struct output {
    int16_t *value;
    struct agn__packer packer;
};

static struct output output_of(const struct agn__sink *sink, size_t channel)
{
    struct output out = {NULL, {NULL, 0, 0}};
    if (sink->table)
        out.packer.to = sink->packed + channel * sink->step_c;
    else
        out.value = sink->values + channel * sink->step_c;
    return out;
}

static void put(struct output *out, const struct agn__sink *sink, int32_t q)
{
    if (sink->table) {
        agn__packer_put(&out->packer, sink->table[q + 128]);
    } else {
        *out->value = (int16_t)q;
        out->value += sink->step_x;
    }
}

void agn__conv_row_plain(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                         unsigned end, const struct agn__sink *sink)
{
    size_t stored = 4 * agn__layer_groups(layer), step = (size_t)layer->stride_w * layer->in_c;
    for (unsigned oc = first; oc < end; oc++) {
        struct agn__channel channel = agn__channel_read(layer->channels, oc);
        struct output out = output_of(sink, oc - first);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            const int8_t *weight = layer->weights + oc * stored * layer->kernel_h;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int16_t *src = rows[ky] + x * step;
                for (const int8_t *row_end = weight + stored; weight != row_end; weight += 4, src += 4)
                    acc += weight[0] * src[0] + weight[2] * src[1] + weight[1] * src[2] + weight[3] * src[3];
            }
            put(&out, sink, to_output(layer, channel, acc));
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
        struct output out = output_of(sink, c - first);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            const int8_t *weight = layer->weights + c;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int16_t *src = rows[ky] + c * plane + (size_t)x * layer->stride_w;
                for (unsigned kx = 0; kx < layer->kernel_w; kx++, weight += layer->in_c)
                    acc += *weight * src[kx];
            }
            put(&out, sink, to_output(layer, channel, acc));
        }
        agn__packer_end(&out.packer);
    }
}

#if !AGN_KERNEL_DSP && !AGN_KERNEL_MVE

void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    agn__conv_row_plain(layer, rows, first, end, sink);
}

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
