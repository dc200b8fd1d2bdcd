/* Full convolutions for hosts with SSE2, on which devices are emulated: bit for bit what agn_kernel_plain.c
 * makes. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

#if AGN_KERNEL_SSE2

#include "agn_kernel_output.h"

typedef int8_t eight_bytes __attribute__((vector_size(8)));
typedef int16_t eight_values __attribute__((vector_size(16)));
typedef int four_sums __attribute__((vector_size(16)));

/* Eight taps: sums of two each. Of four weights the second and third have changed places (MODEL_FORMAT.md).
 */
static inline four_sums eight_taps(const int8_t *weight, const int16_t *src)
{
    eight_bytes packed;
    eight_values values;
    __builtin_memcpy(&packed, weight, sizeof packed); /* memcpy would be a call in freestanding code */
    __builtin_memcpy(&values, src, sizeof values);
    eight_values w = __builtin_convertvector(packed, eight_values);
    w = __builtin_shufflevector(w, w, 0, 2, 1, 3, 4, 6, 5, 7);
    return (four_sums)__builtin_ia32_pmaddwd128(w, values);
}

void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    size_t stored = 4 * agn__layer_groups(layer), step = (size_t)layer->stride_w * layer->in_c;
    for (unsigned oc = first; oc < end; oc++) {
        struct agn__channel channel = agn__channel_read(layer->channels, oc);
        struct agn__output out = agn__output_of(sink, oc - first);
        for (unsigned x = 0; x < layer->out_w; x++) {
            int32_t acc = channel.bias;
            four_sums sums = {0, 0, 0, 0};
            const int8_t *weight = layer->weights + oc * stored * layer->kernel_h;
            for (unsigned ky = 0; ky < layer->kernel_h; ky++) {
                const int16_t *src = rows[ky] + x * step;
                size_t i = 0;
                for (; i + 8 <= stored; i += 8)
                    sums += eight_taps(weight + i, src + i);
                if (i < stored)
                    acc += weight[i] * src[i] + weight[i + 2] * src[i + 1] + weight[i + 1] * src[i + 2] +
                           weight[i + 3] * src[i + 3];
                weight += stored;
            }
            acc += sums[0] + sums[1] + sums[2] + sums[3];
            agn__put(&out, sink, agn__to_output(layer, channel, acc));
        }
        agn__packer_end(&out.packer);
    }
}

#endif
