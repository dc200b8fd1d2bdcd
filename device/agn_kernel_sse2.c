/* Full convolutions for hosts with SSE2, on which devices are emulated: bit for bit what agn_kernel_plain.c
 * makes. */
#include "agn_device_internal.h"
#include "agn_kernel.h"

#if AGN_KERNEL_SSE2

#include "agn_kernel_output.h"

typedef int8_t eight_bytes __attribute__((vector_size(8)));
typedef int16_t eight_values __attribute__((vector_size(16)));
typedef int four_sums __attribute__((vector_size(16)));

enum { PLACES = 4 }; /* side by side, that share the work of unpacking a channel's weights */

/* Of four weights the second and third have changed places (MODEL_FORMAT.md). memcpy would be a call in
 * freestanding code. */
static inline eight_values eight_weights(const int8_t *weight)
{
    eight_bytes packed;
    __builtin_memcpy(&packed, weight, sizeof packed);
    eight_values w = __builtin_convertvector(packed, eight_values);
    return __builtin_shufflevector(w, w, 0, 2, 1, 3, 4, 6, 5, 7);
}

/* Products of eight taps, as sums of two each. */
static inline four_sums eight_taps(eight_values weights, const int16_t *src)
{
    eight_values values;
    __builtin_memcpy(&values, src, sizeof values);
    return (four_sums)__builtin_ia32_pmaddwd128(weights, values);
}

/* Adds up the windows of an output channel at `places` places, the first of which begins at `offset` of each
 * row. */
static inline __attribute__((always_inline)) void add_windows(const struct agn_dev_layer *layer,
                                                              const int8_t *weight,
                                                              const int16_t *const *rows, size_t offset,
                                                              int places, int32_t *acc)
{
    size_t stored = 4 * agn__layer_groups(layer), step = (size_t)layer->stride_w * layer->in_c;
    four_sums sums[PLACES] = {{0}, {0}, {0}, {0}};
    for (unsigned ky = 0; ky < layer->kernel_h; ky++, weight += stored) {
        const int16_t *src = rows[ky] + offset;
        size_t i = 0;
        for (; i + 8 <= stored; i += 8) {
            eight_values weights = eight_weights(weight + i);
            for (int p = 0; p < places; p++)
                sums[p] += eight_taps(weights, src + (size_t)p * step + i);
        }
        for (int p = 0; p < places && i < stored; p++) {
            const int16_t *last = src + (size_t)p * step + i;
            acc[p] += weight[i] * last[0] + weight[i + 2] * last[1] + weight[i + 1] * last[2] +
                      weight[i + 3] * last[3];
        }
    }
    for (int p = 0; p < places; p++)
        acc[p] += sums[p][0] + sums[p][1] + sums[p][2] + sums[p][3];
}

void agn__conv_row(const struct agn_dev_layer *layer, const int16_t *const *rows, unsigned first,
                   unsigned end, const struct agn__sink *sink)
{
    size_t stored = 4 * agn__layer_groups(layer), step = (size_t)layer->stride_w * layer->in_c;
    for (unsigned oc = first; oc < end; oc++) {
        const int8_t *weight = layer->weights + oc * stored * layer->kernel_h;
        struct agn__channel channel = agn__channel_read(layer->channels, oc);
        struct agn__output out = agn__output_of(sink, oc - first);
        for (unsigned x = 0; x < layer->out_w;) {
            int32_t acc[PLACES] = {channel.bias, channel.bias, channel.bias, channel.bias};
            int places = layer->out_w - x >= PLACES ? PLACES : 1;
            if (places == PLACES)
                add_windows(layer, weight, rows, x * step, PLACES, acc);
            else
                add_windows(layer, weight, rows, x * step, 1, acc);
            for (int p = 0; p < places; p++)
                agn__put(&out, sink, agn__to_output(layer, channel, acc[p]));
            x += (unsigned)places;
        }
        agn__packer_end(&out.packer);
    }
}

#endif
