/* Convolution and dense layer in a net for inference: forward alone, with the BN, activation and sum after it
 * in one primitive, and weights packed once for all nets that share a pool.
 *
 * In 8 bits, weight w of output channel o is stored as round(w / s[o]) with s[o] = max |w| / 127, and
 * dst = round((src_scale s[o] sum + bias) / dst_scale). A source that is stored otherwise is converted first.
 */
#include <math.h>
#include <string.h>

#include "nn/net_internal.h"

struct inference_state {
    struct agn__infer_conv *primitive;
    float *weights, *bias, *weight_scales; /* plain, folded; weight_scales NULL: floats */
    size_t per_channel;
    enum agn__type src_type;
    float src_scale;
    int src_copy; /* the source in the type that the primitive reads; -1: it is */
};

static int fold(struct agn__op *op, struct inference_state *state, size_t oc)
{
    state->weights = agn_alloc(oc * state->per_channel, sizeof(float));
    state->bias = agn_alloc(oc, sizeof(float));
    return state->weights == NULL || state->bias == NULL ? AGN_ERR_MEMORY
                                                         : agn__conv_fold(op, state->weights, state->bias);
}

/* Scales of the weights; the bias in units of src_scale * scale. */
static int scale_weights(struct inference_state *state, size_t oc)
{
    state->weight_scales = agn_alloc(oc, sizeof(float));
    if (state->weight_scales == NULL) {
        return AGN_ERR_MEMORY;
    }
    for (size_t o = 0; o < oc; o++) {
        float most = 0.0F;
        for (size_t i = 0; i < state->per_channel; i++) {
            float w = fabsf(state->weights[o * state->per_channel + i]);
            most = w > most ? w : most;
        }
        state->weight_scales[o] = most > 0.0F ? most / 127.0F : 1.0F;
        state->bias[o] /= state->src_scale * state->weight_scales[o];
    }
    return AGN_OK;
}

/* Which type the primitive reads; a copy if the source has another. */
static void choose_source(struct agn__op *op, struct inference_state *state)
{
    const struct agn__node *src = op->src[0];
    state->src_type = src->type;
    state->src_scale = src->scale;
    if (op->int8 && src->type == AGN__F32) {
        const struct agn__range *range = &op->net->fusion->ranges[src - op->net->nodes];
        state->src_type = agn__integer_type(range);
        state->src_scale = agn__integer_scale(range);
    } else if (!op->int8) {
        state->src_type = AGN__F32;
        state->src_scale = 1.0F;
    }
    int now = agn__time(op->net, AGN__FORWARD, op->index);
    state->src_copy =
        state->src_type == src->type
            ? -1
            : agn__net_buffer(op->net, src->floats * agn__type_bytes(state->src_type), now, now);
}

static int inference_plan(struct agn__op *op)
{
    struct inference_state *state = agn_alloc(1, sizeof(*state));
    struct agn__conv_shape shape = agn__conv_primitive_shape(op);
    if (state == NULL) {
        return AGN_ERR_MEMORY;
    }
    op->state = state;
    choose_source(op, state);
    state->per_channel =
        (size_t)(shape.depthwise ? 1 : shape.ic) * (size_t)shape.kernel_h * (size_t)shape.kernel_w;
    int status = fold(op, state, (size_t)shape.oc);
    if (status == AGN_OK && op->int8)
        status = scale_weights(state, (size_t)shape.oc);
    if (status == AGN_OK) {
        float sum_scale = op->sum != NULL && op->sum_in_place ? op->sum->scale : op->dst->scale;
        struct agn__infer_config config = {.shape = shape,
                                           .activation = op->activation,
                                           .sum = op->sum != NULL,
                                           .src = state->src_type,
                                           .dst = op->dst->type,
                                           .src_scale = state->src_scale,
                                           .dst_scale = op->dst->scale,
                                           .sum_scale = sum_scale,
                                           .weight_scales = state->weight_scales,
                                           .form = op->form};
        status = agn__infer_conv_create(&config, &state->primitive);
    }
    if (status == AGN_OK)
        agn__net_need_scratch(op->net, agn__infer_conv_scratch_bytes(state->primitive));
    return status;
}

static int inference_bind(struct agn__op *op)
{
    struct inference_state *state = op->state;
    void *src = state->src_copy >= 0 ? agn__net_address(op->net, state->src_copy) : op->src[0]->value;
    return agn__infer_conv_bind(state->primitive, src, state->bias, op->dst->value,
                                agn__net_address(op->net, op->net->scratch_buffer));
}

static int inference_load(struct agn__op *op)
{
    struct inference_state *state = op->state;
    int status = agn__infer_conv_pack(state->primitive, op->net->fusion->weights, op->index, state->weights);
    agn_free(state->weights);
    state->weights = NULL;
    return status;
}

static int inference_forward(struct agn__op *op)
{
    struct inference_state *state = op->state;
    if (state->src_copy >= 0) {
        agn__convert(op->src[0], op->src[0]->value, state->src_type, state->src_scale,
                     agn__net_address(op->net, state->src_copy));
    }
    bool add = op->sum != NULL && op->form != AGN__FORM_WHOLE;
    if (op->sum != NULL && !op->sum_in_place && !add) {
        agn__convert(op->sum, op->sum->value, op->dst->type, op->dst->scale, op->dst->value);
    }
    int status = agn__infer_conv_run(state->primitive);
    bool activate = op->activation != AGN__ACT_NONE && op->form == AGN__FORM_PLAIN;
    if (status == AGN_OK && (activate || add)) {
        agn__activate_add(activate ? op->activation : AGN__ACT_NONE, op->dst->value,
                          add ? op->sum->value : NULL, op->dst->floats);
    }
    return status;
}

static void inference_release(struct agn__op *op)
{
    struct inference_state *state = op->state;
    agn__infer_conv_free(state->primitive);
    agn_free(state->weights);
    agn_free(state->bias);
    agn_free(state->weight_scales);
    agn_free(state);
}

const char *agn__conv_inference_code(const struct agn__op *op, bool *reference)
{
    const struct inference_state *state = op->state;
    *reference = agn__infer_conv_is_reference(state->primitive);
    return agn__infer_conv_name(state->primitive);
}

const struct agn__op_class agn__op_conv_inference = {.name = "conv",
                                                     .plan = inference_plan,
                                                     .bind = inference_bind,
                                                     .load = inference_load,
                                                     .forward = inference_forward,
                                                     .release = inference_release};
