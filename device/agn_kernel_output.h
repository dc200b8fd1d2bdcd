/* What the kernels of plain sums do with them: an output channel's values or symbols, place after place. */
#ifndef AGN_KERNEL_OUTPUT_H
#define AGN_KERNEL_OUTPUT_H

#include "agn_device_internal.h"

static int32_t agn__to_output(const struct agn_dev_layer *layer, struct agn__channel channel, int32_t acc)
{
    int32_t q = agn_requantise(acc, channel.multiplier, channel.shift) + layer->out_zero_point;
    q = q < layer->clamp_min ? layer->clamp_min : q;
    return q > layer->clamp_max ? layer->clamp_max : q;
}

/* The outputs of one channel, place after place. */
struct agn__output {
    int16_t *value;
    struct agn__packer packer;
};

static struct agn__output agn__output_of(const struct agn__sink *sink, size_t channel)
{
    struct agn__output out = {NULL, {NULL, 0, 0}};
    if (sink->table)
        out.packer.to = sink->packed + channel * sink->step_c;
    else
        out.value = sink->values + channel * sink->step_c;
    return out;
}

static void agn__put(struct agn__output *out, const struct agn__sink *sink, int32_t q)
{
    if (sink->table) {
        agn__packer_put(&out->packer, sink->table[q + 128]);
    } else {
        *out->value = (int16_t)q;
        out->value += sink->step_x;
    }
}

#endif
