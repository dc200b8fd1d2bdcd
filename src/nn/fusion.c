/* Nets for inference: what becomes part of a convolution, and which tensors are integers.
 *
 * In graph order a convolution takes in the activation that alone reads its result, then the ADD that alone
 * reads that. With ranges given, convolutions compute in 8 bits where oneDNN does so fast, and tensors that
 * only such convolutions read are stored in 8 bits; all others stay floats, and whoever needs another type
 * converts. */
#include "nn/net_internal.h"

/* ---- operators ----------------------------------------------------------------- */

static enum agn__act activation_of(enum agn_op_type type)
{
    switch (type) {
    case AGN_OP_RELU6:
        return AGN__ACT_RELU6;
    case AGN_OP_SILU:
        return AGN__ACT_SILU;
    case AGN_OP_SIGMOID:
        return AGN__ACT_SIGMOID;
    case AGN_OP_TANH:
        return AGN__ACT_TANH;
    default:
        return AGN__ACT_NONE;
    }
}

static bool is_conv(const struct agn__op *op)
{
    return op->cls == &agn__op_conv_inference;
}

/* The operator that alone reads what `conv` makes, or NULL. */
static struct agn__op *only_reader(struct agn_net *net, const struct agn__op *conv)
{
    return conv->dst->consumers == 1 ? &net->ops[conv->dst->last_consumer] : NULL;
}

/* From now on `conv` does the work of `op`. */
static void absorb(struct agn__op *conv, struct agn__op *op)
{
    op->absorbed = true;
    conv->dst->consumers = 0; /* this tensor never exists */
    conv->dst = op->dst;
    conv->dst->producer = conv->index;
}

/* Is `node` read by nobody but `add` once `conv` runs, so that the sum may stand in its place? */
static bool may_overwrite(const struct agn_net *net, const struct agn__op *conv, const struct agn__op *add,
                          const struct agn__node *node)
{
    if (node == &net->nodes[0] || add->index == net->graph.count - 1 || node->last_consumer != add->index)
        return false;
    for (int i = conv->index; i < add->index; i++) {
        const struct agn__op *reader = &net->ops[i];
        if (!reader->absorbed && (reader->src[0] == node || reader->src[1] == node))
            return false;
    }
    return true;
}

static void take_in(struct agn_net *net, struct agn__op *conv)
{
    struct agn__op *next = only_reader(net, conv);
    if (next != NULL && conv->activation == AGN__ACT_NONE &&
        activation_of(next->spec->type) != AGN__ACT_NONE) {
        conv->activation = activation_of(next->spec->type);
        absorb(conv, next);
        next = only_reader(net, conv);
    }
    if (next == NULL || next->spec->type != AGN_OP_ADD || next->src[0] == next->src[1])
        return;
    struct agn__node *other = next->src[next->src[0] == conv->dst ? 1 : 0];
    if (other->producer < conv->index) {
        conv->sum = other;
        conv->sum_in_place = may_overwrite(net, conv, next, other);
        absorb(conv, next);
    }
}

/* ---- types --------------------------------------------------------------------------- */

static const struct agn__range *range_of(const struct agn_net *net, const struct agn__node *node)
{
    return &net->fusion->ranges[node - net->nodes];
}

enum agn__type agn__integer_type(const struct agn__range *range)
{
    return range->low >= 0.0F ? AGN__U8 : AGN__S8;
}

float agn__integer_scale(const struct agn__range *range)
{
    const float smallest = 1e-6F;
    float far = -range->low > range->high ? -range->low : range->high;
    float scale = agn__integer_type(range) == AGN__U8 ? range->high / 255.0F : far / 127.0F;
    return scale > smallest ? scale : smallest;
}

/* Neither unknown nor, from damaged parameters, without end. */
static bool is_usable(const struct agn__range *range)
{
    const float most = 1e6F;
    return range->low <= range->high && range->low > -most && range->high < most;
}

/* Does oneDNN compute this convolution in 8 bits, and fast? */
static int try_int8(const struct agn_net *net, const struct agn__op *op, bool *fast)
{
    const struct agn__range *range = range_of(net, op->src[0]);
    struct agn__infer_config config = {.shape = agn__conv_primitive_shape(op),
                                       .activation = op->activation,
                                       .src = agn__integer_type(range),
                                       .dst = AGN__F32,
                                       .src_scale = 1.0F,
                                       .dst_scale = 1.0F,
                                       .sum_scale = 1.0F};
    struct agn__infer_conv *conv = NULL;
    float *ones = agn_alloc((size_t)config.shape.oc, sizeof(float));
    if (ones == NULL)
        return AGN_ERR_MEMORY;
    for (int o = 0; o < config.shape.oc; o++)
        ones[o] = 1.0F;
    config.weight_scales = ones;
    int status = agn__infer_conv_create(&config, &conv);
    *fast = status == AGN_OK;
    agn__infer_conv_free(conv);
    agn_free(ones);
    return status == AGN_ERR_UNSUPPORTED ? AGN_OK : status;
}

static int choose_operators(struct agn_net *net)
{
    int status = AGN_OK;
    for (int i = 1; i < net->graph.count && status == AGN_OK; i++) {
        struct agn__op *op = &net->ops[i];
        if (!is_conv(op) || op->spec->shape.height * op->spec->shape.width == 1)
            continue; /* dense layers, squeeze-and-excitation: little work, on values that want precision */
        if (is_usable(range_of(net, op->src[0])))
            status = try_int8(net, op, &op->int8);
    }
    return status;
}

/* Do 8-bit convolutions alone read `node`, or add it to their result? */
static bool read_as_integers(const struct agn_net *net, const struct agn__node *node)
{
    for (int i = 1; i < net->graph.count; i++) {
        const struct agn__op *op = &net->ops[i];
        bool reads = !op->absorbed && (op->src[0] == node || op->src[1] == node);
        if (reads && !(is_conv(op) && op->int8))
            return false;
    }
    return node->consumers > 0;
}

static void choose_types(struct agn_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        const struct agn__op *op = &net->ops[i];
        if (!op->absorbed && op->int8 && op->dst != &net->nodes[net->graph.count - 1] &&
            is_usable(range_of(net, op->dst)) && read_as_integers(net, op->dst)) {
            const struct agn__range *range = range_of(net, op->dst);
            op->dst->type = agn__integer_type(range);
            op->dst->scale = agn__integer_scale(range);
        }
    }
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        if (op->sum != NULL && op->sum->type != op->dst->type)
            op->sum_in_place = false;
    }
}

/* XNNPACK clamps, and does nothing else to a result. */
static enum agn__form xnn_form(const struct agn__op *op)
{
    bool clamps = op->activation == AGN__ACT_NONE || op->activation == AGN__ACT_RELU6;
    return !clamps ? AGN__FORM_PLAIN : op->sum != NULL ? AGN__FORM_ACTIVATION : AGN__FORM_WHOLE;
}

/* oneDNN's best form of a convolution on floats, or XNNPACK. */
static int choose_form(const struct agn_net *net, struct agn__op *op)
{
    struct agn__conv_shape shape = agn__conv_primitive_shape(op);
    bool fast = false;
    op->gather = !net->fusion->xnn_alone && agn__conv_prefers_gathering(&shape);
    if (op->gather)
        shape = agn__conv_gathered_shape(&shape);
    struct agn__infer_config config = {.shape = shape,
                                       .activation = op->activation,
                                       .sum = op->sum != NULL,
                                       .src_scale = 1.0F,
                                       .dst_scale = 1.0F,
                                       .sum_scale = 1.0F};
    int status = net->fusion->xnn_alone ? AGN_OK : agn__infer_conv_choose(&config, &op->form, &fast);
    op->xnn = !fast && net->fusion->xnn != NULL;
    if (op->xnn) {
        op->gather = false;
        op->form = xnn_form(op);
    }
    return status;
}

/* A sum that is not part of the convolution is added to a result that stands elsewhere. Convolutions in 8
 * bits are chosen whole. */
static int choose_forms(struct agn_net *net)
{
    int status = AGN_OK;
    for (int i = 1; i < net->graph.count && status == AGN_OK; i++) {
        struct agn__op *op = &net->ops[i];
        if (!op->absorbed && is_conv(op) && !op->int8) {
            status = choose_form(net, op);
            op->sum_in_place = op->sum_in_place && op->form == AGN__FORM_WHOLE;
        }
    }
    return status;
}

int agn__net_fuse(struct agn_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        if (!op->absorbed && is_conv(op)) {
            op->activation = op->folded_bn != NULL && op->folded_bn->relu6 ? AGN__ACT_RELU6 : AGN__ACT_NONE;
            take_in(net, op);
        }
    }
    int status = net->fusion->ranges == NULL ? AGN_OK : choose_operators(net);
    if (status == AGN_OK && net->fusion->ranges != NULL)
        choose_types(net);
    return status == AGN_OK ? choose_forms(net) : status;
}
