/* Convolution, full or depthwise, and the dense layer, which is a convolution whose kernel
 * covers nothing but one pixel of the flattened source.
 *
 * In a frozen net, a BN that follows is folded into weights and bias, and its ReLU6 is done by
 * the same primitive: y = clip(conv(x) * scale + shift), scale = gamma / sqrt(var + eps),
 * shift = beta - mean * scale. Convolution is linear, so its tangent is itself without bias,
 * and its tangent-backward is its backward.
 *
 * In a bf16 net each pass first rounds what its primitives read to copies that live no longer than the
 * operator runs, and keeps its weights rounded; what it writes is float. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/net_internal.h"
#include "nn/op_batchnorm.h"

enum { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, TANGENT, TANGENT_BACKWARD, PRIMITIVES };

struct conv_state {
    struct agn__conv *primitive[PRIMITIVES];
    int weights_buffer[PRIMITIVES], bias_buffer, bias_gradient_buffer, folded_buffer;
    int src_copy[AGN__PASSES], dst_copy[AGN__PASSES]; /* in bf16, of what a pass reads; -1: none */
    int extra_buffer[2]; /* for adding to a source's gradient: backward, tangent-backward */
    bool relu6;          /* of the folded BN */
    size_t weights, oc;
    int64_t weights_offset, bias_offset;
};

/* ---- graph --------------------------------------------------------------- */

static int conv_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    struct agn_shape in = graph->ops[spec->src[0]].shape;
    if (spec->depthwise)
        spec->oc = in.channels;
    if (spec->kernel < 1 || spec->kernel > 11 || spec->stride < 1 || spec->stride > 8 || spec->oc < 1) {
        return agn_fail(AGN_ERR_RANGE,
                        "convolution '%s': kernel 1..11, stride 1..8 and channels >= 1 are possible",
                        spec->name);
    }
    spec->shape.height = (in.height + 2 * spec->pad - spec->kernel) / spec->stride + 1;
    spec->shape.width = (in.width + 2 * spec->pad - spec->kernel) / spec->stride + 1;
    spec->shape.channels = spec->oc;
    return AGN_OK;
}

static int dense_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    (void)graph;
    spec->shape = (struct agn_shape){1, 1, spec->oc};
    return AGN_OK;
}

/* Half the kernel, so that a stride of 1 keeps the map's size. Even kernels as wide as their stride cut the
 * map into patches, and the map's border is the patches'. */
static int padding_of(int kernel, int stride)
{
    return kernel == stride && kernel % 2 == 0 ? 0 : kernel / 2;
}

int agn_graph_conv(struct agn_graph *graph, int src, const char *name, int oc, int kernel, int stride,
                   bool bias)
{
    struct agn_op_spec spec = {.type = AGN_OP_CONV,
                               .src = {src, -1},
                               .oc = oc,
                               .kernel = kernel,
                               .stride = stride,
                               .pad = padding_of(kernel, stride),
                               .bias = bias};
    int status = agn__spec_name(&spec, name);
    return status < 0 ? status : agn__graph_append(graph, &spec);
}

int agn_graph_depthwise(struct agn_graph *graph, int src, const char *name, int kernel, int stride)
{
    struct agn_op_spec spec = {.type = AGN_OP_CONV,
                               .src = {src, -1},
                               .kernel = kernel,
                               .stride = stride,
                               .pad = padding_of(kernel, stride),
                               .depthwise = true};
    int status = agn__spec_name(&spec, name);
    return status < 0 ? status : agn__graph_append(graph, &spec);
}

int agn_graph_dense(struct agn_graph *graph, int src, const char *name, int oc)
{
    struct agn_op_spec spec = {
        .type = AGN_OP_DENSE, .src = {src, -1}, .oc = oc, .kernel = 1, .stride = 1, .bias = true};
    int status = agn__spec_name(&spec, name);
    return status < 0 ? status : agn__graph_append(graph, &spec);
}

static int flat_size(struct agn_shape shape)
{
    return shape.height * shape.width * shape.channels;
}

static int64_t conv_macs(const struct agn_graph *graph, const struct agn_op_spec *spec)
{
    int64_t ic = spec->depthwise ? 1 : graph->ops[spec->src[0]].shape.channels;
    return (int64_t)flat_size(spec->shape) * ic * spec->kernel * spec->kernel;
}

static int64_t dense_macs(const struct agn_graph *graph, const struct agn_op_spec *spec)
{
    return (int64_t)flat_size(graph->ops[spec->src[0]].shape) * spec->oc;
}

/* ---- parameters ------------------------------------------------------------- */

static int conv_declare(const struct agn_graph *graph, const struct agn_op_spec *spec,
                        struct agn_params *params)
{
    int ic = spec->depthwise ? 1 : graph->ops[spec->src[0]].shape.channels;
    struct agn__param_request weight = {"weight", 4, {spec->oc, ic, spec->kernel, spec->kernel}, true, true};
    struct agn__param_request bias = {"bias", 1, {spec->oc}, true, false};
    int status = agn__param_declare(params, spec, &weight);
    return status == AGN_OK && spec->bias ? agn__param_declare(params, spec, &bias) : status;
}

static int dense_declare(const struct agn_graph *graph, const struct agn_op_spec *spec,
                         struct agn_params *params)
{
    struct agn__param_request weight = {
        "weight", 2, {spec->oc, flat_size(graph->ops[spec->src[0]].shape)}, true, true};
    struct agn__param_request bias = {"bias", 1, {spec->oc}, true, false};
    int status = agn__param_declare(params, spec, &weight);
    return status == AGN_OK ? agn__param_declare(params, spec, &bias) : status;
}

static void draw_normal(struct agn_params *params, const struct agn_op_spec *spec, double deviation,
                        struct agn_rng *rng)
{
    char name[AGN_NAME_BYTES + 16];
    snprintf(name, sizeof(name), "%s.weight", spec->name);
    const struct agn_param *param = agn_params_find(params, name);
    for (size_t i = 0; i < param->count; i++)
        params->value[param->offset + i] = (float)(deviation * agn_rng_normal(rng));
}

/* He et al. 2015, fan-out: variance 2 / (kernel area x output channels per group). */
static void conv_initialise(const struct agn_op_spec *spec, struct agn_params *params, struct agn_rng *rng)
{
    int fan_out = spec->kernel * spec->kernel * (spec->depthwise ? 1 : spec->oc);
    draw_normal(params, spec, sqrt(2.0 / fan_out), rng);
}

static void dense_initialise(const struct agn_op_spec *spec, struct agn_params *params, struct agn_rng *rng)
{
    char name[AGN_NAME_BYTES + 16];
    snprintf(name, sizeof(name), "%s.weight", spec->name);
    draw_normal(params, spec, 1.0 / sqrt(agn_params_find(params, name)->dims[1]), rng);
}

/* ---- planning ------------------------------------------------------------------ */

/* Maps of fewer positions are put together, see below: larger ones gain nothing. */
enum { FULL_MAP = 64 };

/* Of a lane. Where positions do not see each other, its batch is one map of one row: so small maps make full
 * blocks of a matrix product, where one block an image is mostly empty. */
struct agn__conv_shape agn__conv_primitive_shape(const struct agn__op *op)
{
    const struct agn_op_spec *spec = op->spec;
    struct agn_shape in = op->src[0]->shape, out = spec->shape;
    int batch = op->net->batch / op->net->lanes;
    if (spec->type == AGN_OP_DENSE)
        in = (struct agn_shape){1, 1, flat_size(in)};
    if (!spec->depthwise && spec->kernel == 1 && spec->stride == 1 && in.height * in.width < FULL_MAP) {
        in.width = out.width = batch * in.height * in.width;
        in.height = out.height = 1;
        batch = 1;
    }
    return (struct agn__conv_shape){.batch = batch,
                                    .ic = in.channels,
                                    .ih = in.height,
                                    .iw = in.width,
                                    .oc = out.channels,
                                    .oh = out.height,
                                    .ow = out.width,
                                    .kernel_h = spec->kernel,
                                    .kernel_w = spec->kernel,
                                    .stride = spec->stride,
                                    .pad_h = spec->pad,
                                    .pad_w = spec->pad,
                                    .depthwise = spec->depthwise,
                                    .bf16 = op->net->bf16};
}

static bool tangent_planned(const struct agn__op *op)
{
    return (op->net->passes & AGN_PASS_TANGENT) != 0;
}

static int make_primitive(struct agn__op *op, struct conv_state *state, int which, enum agn__conv_pass pass,
                          bool bias)
{
    struct agn__conv_config config = {.shape = agn__conv_primitive_shape(op),
                                      .pass = pass,
                                      .bias = bias,
                                      .relu6 = which == FORWARD && state->relu6,
                                      .lanes = op->net->lanes};
    return agn__conv_create(&config, &state->primitive[which]);
}

static int make_primitives(struct agn__op *op, struct conv_state *state)
{
    bool train = op->net->mode == AGN_NET_TRAIN, bias = op->spec->bias || op->folded_bn != NULL;
    bool reach_source = op->flow[0] != AGN__FLOW_NONE;
    bool backward = (op->net->passes & AGN_PASS_BACKWARD) != 0;
    int status = make_primitive(op, state, FORWARD, AGN__CONV_FORWARD, bias);
    if (status == AGN_OK && reach_source && backward)
        status = make_primitive(op, state, BACKWARD_DATA, AGN__CONV_BACKWARD_DATA, false);
    if (status == AGN_OK && train && backward)
        status = make_primitive(op, state, BACKWARD_WEIGHTS, AGN__CONV_BACKWARD_WEIGHTS, bias);
    if (status == AGN_OK && tangent_planned(op))
        status = make_primitive(op, state, TANGENT, AGN__CONV_FORWARD, false);
    if (status == AGN_OK && tangent_planned(op))
        status = make_primitive(op, state, TANGENT_BACKWARD, AGN__CONV_BACKWARD_DATA, false);
    return status;
}

/* Copies in bf16: sources for a primitive that goes forward, results' gradients for one that goes back, both
 * for the weights' gradient. */
static void plan_copies(struct agn__op *op, struct conv_state *state)
{
    struct agn_net *net = op->net;
    struct agn__conv *const *p = state->primitive;
    const bool reads_src[AGN__PASSES] = {[AGN__FORWARD] = true,
                                         [AGN__BACKWARD] = p[BACKWARD_WEIGHTS] != NULL,
                                         [AGN__TANGENT] = p[TANGENT] != NULL};
    const bool reads_dst[AGN__PASSES] = {[AGN__BACKWARD] =
                                             p[BACKWARD_DATA] != NULL || p[BACKWARD_WEIGHTS] != NULL,
                                         [AGN__TANGENT_BACKWARD] = p[TANGENT_BACKWARD] != NULL};
    for (int pass = 0; pass < AGN__PASSES; pass++) {
        int now = agn__time(net, (enum agn__pass)pass, op->index);
        size_t src_bytes = op->src[0]->floats * sizeof(uint16_t),
               dst_bytes = op->dst->floats * sizeof(uint16_t);
        bool src = net->bf16 && reads_src[pass], dst = net->bf16 && reads_dst[pass];
        state->src_copy[pass] = src ? agn__net_buffer(net, src_bytes, now, now) : -1;
        state->dst_copy[pass] = dst ? agn__net_buffer(net, dst_bytes, now, now) : -1;
    }
}

/* Weights in each primitive's format (shared where formats agree), scratch, bias. */
static void plan_buffers(struct agn__op *op, struct conv_state *state)
{
    struct agn_net *net = op->net;
    for (int i = 0; i < PRIMITIVES; i++) {
        state->weights_buffer[i] = -1;
        if (state->primitive[i] == NULL)
            continue;
        for (int j = 0; j < i && i != BACKWARD_WEIGHTS; j++) {
            if (j != BACKWARD_WEIGHTS && state->primitive[j] != NULL &&
                agn__conv_same_weights(state->primitive[i], state->primitive[j])) {
                state->weights_buffer[i] = state->weights_buffer[j];
                break;
            }
        }
        if (state->weights_buffer[i] < 0) {
            state->weights_buffer[i] =
                agn__net_buffer_of_parameters(net, agn__conv_weights_bytes(state->primitive[i]));
        }
        agn__net_need_scratch(net, agn__conv_scratch_bytes(state->primitive[i]));
    }
    state->bias_buffer = agn__net_buffer_of_parameters(net, state->oc * sizeof(float));
    bool bias_gradient = op->spec->bias && state->primitive[BACKWARD_WEIGHTS] != NULL;
    state->bias_gradient_buffer =
        bias_gradient ? agn__net_buffer_always(net, agn__conv_bias_bytes(state->primitive[BACKWARD_WEIGHTS]))
                      : -1;
    state->folded_buffer =
        op->folded_bn == NULL ? -1 : agn__net_buffer_of_parameters(net, state->weights * sizeof(float));
    static const enum agn__pass passes[2] = {AGN__BACKWARD, AGN__TANGENT_BACKWARD};
    for (int i = 0; i < 2; i++) {
        int now = agn__time(net, passes[i], op->index);
        bool adds = op->flow[0] == AGN__FLOW_ADD &&
                    state->primitive[i == 0 ? BACKWARD_DATA : TANGENT_BACKWARD] != NULL;
        state->extra_buffer[i] =
            adds ? agn__net_buffer(net, op->src[0]->floats * sizeof(float), now, now) : -1;
    }
    plan_copies(op, state);
}

/* What a primitive reads: the bf16 copy if there is one. */
static void *copy_or(const struct agn_net *net, int copy, float *values)
{
    return copy >= 0 ? agn__net_address(net, copy) : values;
}

static int conv_plan(struct agn__op *op)
{
    struct conv_state *state = agn_alloc(1, sizeof(*state));
    if (state == NULL)
        return AGN_ERR_MEMORY;
    op->state = state;
    state->weights_offset = agn__param_offset(op->net->params, op->spec, "weight");
    state->bias_offset = op->spec->bias ? agn__param_offset(op->net->params, op->spec, "bias") : -1;
    struct agn__conv_shape s = agn__conv_primitive_shape(op);
    state->oc = (size_t)s.oc;
    state->weights =
        (size_t)s.oc * (size_t)(s.depthwise ? 1 : s.ic) * (size_t)s.kernel_h * (size_t)s.kernel_w;
    if (state->weights_offset < 0 || (op->spec->bias && state->bias_offset < 0))
        return agn_fail(AGN_ERR_ARG, "the parameter store has no '%s'", op->spec->name);
    state->relu6 = op->folded_bn != NULL && op->folded_bn->relu6;
    int status = make_primitives(op, state);
    if (status == AGN_OK)
        plan_buffers(op, state);
    return status;
}

static int conv_bind(struct agn__op *op)
{
    struct conv_state *state = op->state;
    struct agn_net *net = op->net;
    for (int i = 0; i < PRIMITIVES; i++) {
        if (state->primitive[i] == NULL)
            continue;
        float *extra = i == BACKWARD_DATA      ? agn__net_address(net, state->extra_buffer[0])
                       : i == TANGENT_BACKWARD ? agn__net_address(net, state->extra_buffer[1])
                                               : NULL;
        struct agn__conv_memory memory = {.weights = agn__net_address(net, state->weights_buffer[i]),
                                          .bias = agn__net_address(net, state->bias_buffer),
                                          .scratch = agn__net_address(net, net->scratch_buffer)};
        switch (i) {
        case FORWARD:
            memory.src = copy_or(net, state->src_copy[AGN__FORWARD], op->src[0]->value);
            memory.dst = op->dst->value;
            break;
        case BACKWARD_DATA:
            memory.src = extra != NULL ? extra : op->src[0]->diff;
            memory.dst = copy_or(net, state->dst_copy[AGN__BACKWARD], op->dst->diff);
            break;
        case BACKWARD_WEIGHTS:
            memory.src = copy_or(net, state->src_copy[AGN__BACKWARD], op->src[0]->value);
            memory.dst = copy_or(net, state->dst_copy[AGN__BACKWARD], op->dst->diff);
            memory.bias = agn__net_address(net, state->bias_gradient_buffer);
            break;
        case TANGENT:
            memory.src = copy_or(net, state->src_copy[AGN__TANGENT], op->src[0]->tangent);
            memory.dst = op->dst->tangent;
            break;
        default:
            memory.src = extra != NULL ? extra : op->src[0]->tangent_diff;
            memory.dst = copy_or(net, state->dst_copy[AGN__TANGENT_BACKWARD], op->dst->tangent_diff);
            break;
        }
        int status = agn__conv_bind(state->primitive[i], &memory);
        if (status < 0)
            return status;
    }
    return AGN_OK;
}

/* weights[o][i] = plain[o][i] * scale[o], where the scales stand at the start of `weights`: from the end. */
static void scale_weights(float *weights, const float *plain, size_t oc, size_t per_channel)
{
    for (size_t o = oc; o-- > 0;) {
        float scale = weights[o];
        for (size_t i = per_channel; i-- > 0;)
            weights[o * per_channel + i] = plain[o * per_channel + i] * scale;
    }
}

int agn__conv_fold(const struct agn__op *op, float *weights, float *bias)
{
    const struct agn_params *params = op->net->params;
    struct agn__conv_shape s = agn__conv_primitive_shape(op);
    int64_t weights_offset = agn__param_offset(params, op->spec, "weight");
    int64_t bias_offset = op->spec->bias ? agn__param_offset(params, op->spec, "bias") : -1;
    size_t oc = (size_t)s.oc;
    size_t per_channel = (size_t)(s.depthwise ? 1 : s.ic) * (size_t)s.kernel_h * (size_t)s.kernel_w;
    if (weights_offset < 0 || (op->spec->bias && bias_offset < 0))
        return agn_fail(AGN_ERR_ARG, "the parameter store has no '%s'", op->spec->name);
    const float *plain = params->value + weights_offset;
    if (op->folded_bn == NULL) {
        memcpy(weights, plain, oc * per_channel * sizeof(float));
        for (size_t o = 0; o < oc; o++)
            bias[o] = bias_offset >= 0 ? params->value[bias_offset + (int64_t)o] : 0.0F;
        return AGN_OK;
    }
    int status = agn__batchnorm_affine(params, op->folded_bn, s.oc, weights, bias);
    for (size_t o = 0; o < oc && status == AGN_OK && bias_offset >= 0; o++)
        bias[o] += weights[o] * params->value[bias_offset + (int64_t)o];
    if (status == AGN_OK)
        scale_weights(weights, plain, oc, per_channel);
    return status;
}

static int conv_load(struct agn__op *op)
{
    if (!agn__net_owns_copies(op->net))
        return AGN_OK;
    struct conv_state *state = op->state;
    const float *plain = op->net->params->value + state->weights_offset;
    float *bias = agn__net_address(op->net, state->bias_buffer);
    int status = AGN_OK;
    if (op->folded_bn != NULL) {
        float *folded = agn__net_address(op->net, state->folded_buffer);
        status = agn__conv_fold(op, folded, bias);
        plain = folded;
    } else if (state->bias_offset >= 0) {
        memcpy(bias, op->net->params->value + state->bias_offset, state->oc * sizeof(float));
    }
    for (int i = 0; i < PRIMITIVES && status == AGN_OK; i++) {
        bool shared = false;
        for (int j = 0; j < i; j++)
            shared = shared || state->weights_buffer[j] == state->weights_buffer[i];
        if (state->primitive[i] != NULL && i != BACKWARD_WEIGHTS && !shared)
            status = agn__conv_load_weights(state->primitive[i], plain);
    }
    return status;
}

/* ---- passes ------------------------------------------------------------------------ */

/* Rounds what the primitives of `pass` read to bf16, in a bf16 net. */
static void round_inputs(const struct agn__op *op, enum agn__pass pass)
{
    const struct conv_state *state = op->state;
    const struct agn__node *src = op->src[0], *dst = op->dst;
    if (state->src_copy[pass] >= 0) {
        agn__to_bf16(agn__net_address(op->net, state->src_copy[pass]),
                     pass == AGN__TANGENT ? src->tangent : src->value, src->floats);
    }
    if (state->dst_copy[pass] >= 0) {
        agn__to_bf16(agn__net_address(op->net, state->dst_copy[pass]),
                     pass == AGN__TANGENT_BACKWARD ? dst->tangent_diff : dst->diff, dst->floats);
    }
}

static int conv_forward(struct agn__op *op)
{
    struct conv_state *state = op->state;
    round_inputs(op, AGN__FORWARD);
    return agn__conv_run(state->primitive[FORWARD]);
}

/* Runs a backward-data primitive and adds its result to the source's gradient if it is not the first. */
static int backward_data(struct agn__op *op, struct agn__conv *primitive, int extra_buffer, float *src_diff)
{
    int status = agn__conv_run(primitive);
    if (status == AGN_OK && extra_buffer >= 0)
        agn__add_to(src_diff, agn__net_address(op->net, extra_buffer), op->src[0]->floats);
    return status;
}

static int store_weight_gradients(struct agn__op *op, struct conv_state *state)
{
    struct agn_params *params = op->net->params;
    int status = agn__conv_run(state->primitive[BACKWARD_WEIGHTS]);
    if (status == AGN_OK) {
        status =
            agn__conv_store_weights(state->primitive[BACKWARD_WEIGHTS], params->grad + state->weights_offset);
    }
    return status;
}

static int conv_backward(struct agn__op *op)
{
    struct conv_state *state = op->state;
    struct agn_params *params = op->net->params;
    int status = AGN_OK;
    if (state->relu6)
        agn__relu6_mask(op->dst->diff, op->dst->value, op->dst->floats);
    round_inputs(op, AGN__BACKWARD);
    if (state->primitive[BACKWARD_DATA] != NULL)
        status = backward_data(op, state->primitive[BACKWARD_DATA], state->extra_buffer[0], op->src[0]->diff);
    if (status == AGN_OK && state->primitive[BACKWARD_WEIGHTS] != NULL) {
        status = store_weight_gradients(op, state);
        if (state->bias_offset >= 0) {
            memcpy(params->grad + state->bias_offset, agn__net_address(op->net, state->bias_gradient_buffer),
                   state->oc * sizeof(float));
        }
    }
    return status;
}

static int conv_tangent(struct agn__op *op)
{
    struct conv_state *state = op->state;
    round_inputs(op, AGN__TANGENT);
    int status = agn__conv_run(state->primitive[TANGENT]);
    if (status == AGN_OK && state->relu6)
        agn__relu6_mask(op->dst->tangent, op->dst->value, op->dst->floats);
    return status;
}

static int conv_tangent_backward(struct agn__op *op)
{
    struct conv_state *state = op->state;
    if (state->relu6)
        agn__relu6_mask(op->dst->tangent_diff, op->dst->value, op->dst->floats);
    round_inputs(op, AGN__TANGENT_BACKWARD);
    return backward_data(op, state->primitive[TANGENT_BACKWARD], state->extra_buffer[1],
                         op->src[0]->tangent_diff);
}

static void conv_release(struct agn__op *op)
{
    struct conv_state *state = op->state;
    for (int i = 0; state != NULL && i < PRIMITIVES; i++)
        agn__conv_free(state->primitive[i]);
    agn_free(state);
}

const struct agn__op_kind agn__kind_conv = {.name = "conv",
                                            .shape = conv_shape,
                                            .macs = conv_macs,
                                            .declare = conv_declare,
                                            .initialise = conv_initialise};

const struct agn__op_class agn__op_conv = {.plan = conv_plan,
                                           .bind = conv_bind,
                                           .load = conv_load,
                                           .forward = conv_forward,
                                           .backward = conv_backward,
                                           .tangent = conv_tangent,
                                           .tangent_backward = conv_tangent_backward,
                                           .release = conv_release,
                                           .keeps_src = true};

const struct agn__op_kind agn__kind_dense = {.name = "dense",
                                             .shape = dense_shape,
                                             .macs = dense_macs,
                                             .declare = dense_declare,
                                             .initialise = dense_initialise};

const struct agn__op_class agn__op_dense = {.plan = conv_plan,
                                            .bind = conv_bind,
                                            .load = conv_load,
                                            .forward = conv_forward,
                                            .backward = conv_backward,
                                            .tangent = conv_tangent,
                                            .tangent_backward = conv_tangent_backward,
                                            .release = conv_release,
                                            .keeps_src = true};
