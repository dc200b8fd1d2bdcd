/* Whether the device library can run an extractor, known before anything is trained. */
#include "agilenn/deploy.h"

static bool follows(const struct agn_graph *graph, int op, enum agn_op_type type)
{
    return op < graph->count && graph->ops[op].type == type && graph->ops[op].src[0] == op - 1;
}

/* Layer number `layer` (from 1), whose convolution is operator `op`, and the BN after it. */
static int check_layer(const struct agn_graph *graph, int op, int layer)
{
    const struct agn_op_spec *conv = &graph->ops[op];
    if (!follows(graph, op, AGN_OP_CONV) || !follows(graph, op + 1, AGN_OP_BATCHNORM) || conv->bias) {
        const struct agn_op_spec *odd =
            follows(graph, op, AGN_OP_CONV) && op + 1 < graph->count ? conv + 1 : conv;
        return agn_fail(
            AGN_ERR_UNSUPPORTED,
            "the device runs a chain of convolutions with BN and ReLU6 or none (conv, dw); the %s "
            "after layer %d of model.extractor does not fit",
            agn_op_type_name(odd->type), layer - 1);
    }
    if (layer > AGN_DEV_MAX_LAYERS) {
        return agn_fail(AGN_ERR_UNSUPPORTED, "the device runs at most %d extractor layers; '%s' is one more",
                        AGN_DEV_MAX_LAYERS, conv->name);
    }
    bool odd = conv->kernel % 2 == 1;
    if (!odd || conv->kernel > AGN_DEV_MAX_KERNEL || conv->stride > AGN_DEV_MAX_STRIDE) {
        return agn_fail(
            AGN_ERR_UNSUPPORTED,
            "extractor layer %d, '%s', has a %dx%d kernel and stride %d; the device takes odd kernels "
            "up to %d and strides 1 to %d",
            layer, conv->name, conv->kernel, conv->kernel, conv->stride, AGN_DEV_MAX_KERNEL,
            AGN_DEV_MAX_STRIDE);
    }
    if (conv->shape.channels > AGN_DEV_MAX_CHANNELS) {
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "extractor layer %d, '%s', makes %d channels; the device takes up to %d channels",
                        layer, conv->name, conv->shape.channels, AGN_DEV_MAX_CHANNELS);
    }
    return AGN_OK;
}

int agn_deploy_check(const struct agn_graph *extractor)
{
    int status = AGN_OK;
    if (extractor->count < 2)
        return agn_fail(AGN_ERR_UNSUPPORTED, "model.extractor has no layer for the device");
    for (int op = 1; op < extractor->count && status == AGN_OK; op += 2)
        status = check_layer(extractor, op, (op + 1) / 2);
    return status;
}
