/* Plain C row kernels: the reference that every faster variant must match bit for bit.
 *
 * Borders are already in the rows, so no tap is tested. The output channel is the outer
 * loop: bias, multiplier and shift are loaded once a row and channel. */
#include "agn_device_internal.h"

static int8_t to_output(const struct agn_dev_layer *layer, struct agn__channel channel, int32_t acc)
{
    int32_t q = agn_requantise(acc, channel.multiplier, channel.shift) + layer->out_zero_point;
    if (q < layer->clamp_min)
        q = layer->clamp_min;
    if (q > layer->clamp_max)
        q = layer->clamp_max;
    return (int8_t)q;
}

void agn__conv_row_s8(const struct agn_dev_layer *layer, const int8_t *const *rows, int8_t *dst)
{
    /* A window's row is one contiguous run: kernel columns x input channels. */
    size_t run = (size_t)layer->kernel_w * layer->in_c;
    size_t step = (size_t)layer->stride_w * layer->in_c;
    const int8_t *weights = layer->weights;
    for (unsigned oc = 0; oc < layer->out_c; oc++) {
        struct agn__channel channel = agn__channel_read(layer->channels, oc);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            const int8_t *weight = weights;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int8_t *src = rows[ky] + x * step;
                for (size_t i = 0; i < run; i++)
                    acc += weight[i] * src[i];
                weight += run;
            }
            dst[(size_t)x * layer->out_c + oc] = to_output(layer, channel, acc);
        }
        weights += run * layer->kernel_h;
    }
}

void agn__dwconv_row_s8(const struct agn_dev_layer *layer, const int8_t *const *rows, int8_t *dst)
{
    size_t channels = layer->in_c;
    size_t step = layer->stride_w * channels;
    for (size_t c = 0; c < channels; c++) {
        struct agn__channel channel = agn__channel_read(layer->channels, (unsigned)c);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            const int8_t *weight = layer->weights + c;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int8_t *src = rows[ky] + x * step + c;
                for (unsigned kx = 0; kx < layer->kernel_w; kx++) {
                    acc += *weight * src[kx * channels];
                    weight += channels;
                }
            }
            dst[x * channels + c] = to_output(layer, channel, acc);
        }
    }
}
