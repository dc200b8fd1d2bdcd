/* Convolution and dense layer in a net for inference: forward alone, with the BN, activation and sum after it
 * in one primitive, and weights packed once for all nets that share a pool.
 *
 * In 8 bits, weight w of output channel o is stored as round(w / s[o]) with s[o] = max |w| / 127, and
 * dst = round((src_scale s[o] sum + bias) / dst_scale). Sources stored otherwise are converted first. */
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
    int rows; /* gathered: what each place of the result reads, as rows; -1: the primitive reads the source */
    int images; /* gathered at once */
};

/* ---- gathering ---------------------------------------------------------------------------------------- */

/* A convolution as a matrix product: for each place of the result a row of the kh * kw * ic source values
 * under the kernel (zeros beyond the border), times weights (oc, kh, kw, ic). The rows of a few images stay
 * in a core's second cache. */
enum { ROWS_BYTES = 256 << 10 };

bool agn__conv_prefers_gathering(const struct agn__conv_shape *s)
{
    return !s->depthwise && s->kernel_h * s->kernel_w > 1 && agn__onednn_isa_is_narrow();
}

static int images_at_once(const struct agn__conv_shape *s)
{
    size_t bytes = (size_t)s->oh * (size_t)s->ow * (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->ic *
                   sizeof(float);
    int images = 1;
    while (2 * images <= s->batch && s->batch % (2 * images) == 0 && 2 * (size_t)images * bytes <= ROWS_BYTES)
        images *= 2;
    return images;
}

struct agn__conv_shape agn__conv_gathered_shape(const struct agn__conv_shape *s)
{
    int places = images_at_once(s) * s->oh * s->ow;
    return (struct agn__conv_shape){.batch = 1,
                                    .ic = s->kernel_h * s->kernel_w * s->ic,
                                    .ih = 1,
                                    .iw = places,
                                    .oc = s->oc,
                                    .oh = 1,
                                    .ow = places,
                                    .kernel_h = 1,
                                    .kernel_w = 1,
                                    .stride = 1};
}

/* (oc, ic, kh, kw) -> (oc, kh, kw, ic) */
static int reorder_weights(struct inference_state *state, const struct agn__conv_shape *s)
{
    size_t ic = (size_t)s->ic, taps = (size_t)s->kernel_h * (size_t)s->kernel_w;
    float *ordered = agn_alloc((size_t)s->oc * ic * taps, sizeof(float));
    if (ordered == NULL)
        return AGN_ERR_MEMORY;
    for (size_t o = 0; o < (size_t)s->oc; o++) {
        for (size_t i = 0; i < ic; i++)
            for (size_t t = 0; t < taps; t++)
                ordered[(o * taps + t) * ic + i] = state->weights[(o * ic + i) * taps + t];
    }
    agn_free(state->weights);
    state->weights = ordered;
    return AGN_OK;
}

/* One row of places of the result, which read source rows from y on. */
static void gather_row(const struct agn__conv_shape *s, const float *image, int y, float *rows)
{
    size_t ic = (size_t)s->ic;
    for (int ox = 0; ox < s->ow; ox++) {
        int x = ox * s->stride - s->pad_w;
        int left = x < 0 ? -x : 0, right = x + s->kernel_w > s->iw ? x + s->kernel_w - s->iw : 0;
        size_t inside = (size_t)(s->kernel_w - left - right) * ic;
        for (int ky = 0; ky < s->kernel_h; ky++, rows += (size_t)s->kernel_w * ic) {
            if (y + ky < 0 || y + ky >= s->ih) {
                memset(rows, 0, (size_t)s->kernel_w * ic * sizeof(float));
                continue;
            }
            memset(rows, 0, (size_t)left * ic * sizeof(float));
            memcpy(rows + (size_t)left * ic,
                   image + ((size_t)(y + ky) * (size_t)s->iw + (size_t)(x + left)) * ic,
                   inside * sizeof(float));
            memset(rows + (size_t)left * ic + inside, 0, (size_t)right * ic * sizeof(float));
        }
    }
}

static void gather(const struct agn__conv_shape *s, const float *src, int images, float *rows)
{
    size_t image = (size_t)s->ih * (size_t)s->iw * (size_t)s->ic;
    size_t row = (size_t)s->ow * (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->ic;
#pragma omp parallel for schedule(static)
    for (int r = 0; r < images * s->oh; r++) {
        gather_row(s, src + (size_t)(r / s->oh) * image, r % s->oh * s->stride - s->pad_h,
                   rows + (size_t)r * row);
    }
}

static int run_gathered(const struct agn__op *op, const struct inference_state *state)
{
    struct agn__conv_shape s = agn__conv_primitive_shape(op);
    size_t src = (size_t)state->images * (size_t)s.ih * (size_t)s.iw * (size_t)s.ic;
    size_t dst = (size_t)state->images * (size_t)s.oh * (size_t)s.ow * (size_t)s.oc;
    float *rows = agn__net_address(op->net, state->rows), *from = op->src[0]->value, *to = op->dst->value;
    int status = AGN_OK;
    for (int i = 0; i < s.batch && status == AGN_OK; i += state->images, from += src, to += dst) {
        gather(&s, from, state->images, rows);
        status = agn__infer_conv_run_to(state->primitive, to);
    }
    return status;
}

/* ---- planning ------------------------------------------------------------------------------------------ */

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
    if (state->weight_scales == NULL)
        return AGN_ERR_MEMORY;
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

static int key_of(const struct agn__op *op)
{
    return op->net->fusion->first + op->index;
}

static int plan_xnn(struct agn__op *op, struct inference_state *state, const struct agn__conv_shape *shape)
{
    bool relu6 = op->activation == AGN__ACT_RELU6 && op->form != AGN__FORM_PLAIN;
    int status = shape->depthwise ? AGN_OK : reorder_weights(state, shape);
    if (status == AGN_OK)
        status =
            agn__xnn_conv_create(op->net->fusion->xnn, key_of(op), shape, state->weights, state->bias, relu6);
    return status;
}

static int inference_plan(struct agn__op *op)
{
    struct inference_state *state = agn_alloc(1, sizeof(*state));
    struct agn__conv_shape shape = agn__conv_primitive_shape(op);
    if (state == NULL)
        return AGN_ERR_MEMORY;
    op->state = state;
    choose_source(op, state);
    state->per_channel =
        (size_t)(shape.depthwise ? 1 : shape.ic) * (size_t)shape.kernel_h * (size_t)shape.kernel_w;
    int status = fold(op, state, (size_t)shape.oc);
    if (status == AGN_OK && op->int8)
        status = scale_weights(state, (size_t)shape.oc);
    state->rows = -1;
    if (op->xnn)
        return status == AGN_OK ? plan_xnn(op, state, &shape) : status;
    if (status == AGN_OK && op->gather) {
        int now = agn__time(op->net, AGN__FORWARD, op->index);
        status = reorder_weights(state, &shape);
        state->images = images_at_once(&shape);
        shape = agn__conv_gathered_shape(&shape);
        state->rows = agn__net_buffer(op->net, (size_t)shape.iw * (size_t)shape.ic * sizeof(float), now, now);
    }
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
    if (op->xnn)
        return AGN_OK;
    void *src = state->rows >= 0       ? agn__net_address(op->net, state->rows)
                : state->src_copy >= 0 ? agn__net_address(op->net, state->src_copy)
                                       : op->src[0]->value;
    return agn__infer_conv_bind(state->primitive, src, state->bias, op->dst->value,
                                agn__net_address(op->net, op->net->scratch_buffer));
}

static int inference_load(struct agn__op *op)
{
    struct inference_state *state = op->state;
    int status = op->xnn ? AGN_OK
                         : agn__infer_conv_pack(state->primitive, op->net->fusion->weights, key_of(op),
                                                state->weights);
    agn_free(state->weights);
    state->weights = NULL;
    return status;
}

static int run(const struct agn__op *op, const struct inference_state *state)
{
    if (op->xnn) {
        struct agn__conv_shape shape = agn__conv_primitive_shape(op);
        return agn__xnn_conv_run(op->net->fusion->xnn, key_of(op), &shape, op->src[0]->value, op->dst->value);
    }
    return state->rows >= 0 ? run_gathered(op, state) : agn__infer_conv_run(state->primitive);
}

static int inference_forward(struct agn__op *op)
{
    struct inference_state *state = op->state;
    if (state->src_copy >= 0) {
        agn__convert(op->src[0], op->src[0]->value, state->src_type, state->src_scale,
                     agn__net_address(op->net, state->src_copy));
    }
    bool add = op->sum != NULL && op->form != AGN__FORM_WHOLE;
    if (op->sum != NULL && !op->sum_in_place && !add)
        agn__convert(op->sum, op->sum->value, op->dst->type, op->dst->scale, op->dst->value);
    int status = run(op, state);
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
    if (op->xnn) {
        *reference = false;
        return "xnnpack";
    }
    *reference = agn__infer_conv_is_reference(state->primitive);
    return agn__infer_conv_name(state->primitive);
}

const struct agn__op_class agn__op_conv_inference = {.plan = inference_plan,
                                                     .bind = inference_bind,
                                                     .load = inference_load,
                                                     .forward = inference_forward,
                                                     .release = inference_release};
