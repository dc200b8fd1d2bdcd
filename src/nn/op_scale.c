/* Channel-wise product y = x * s, x (h, w, c), s (1, 1, c): the last step of squeeze-and-excitation
 * (Hu et al. 2018). Bilinear:
 *   backward:         dx = dy s,             ds = sum over positions of dy x
 *   tangent:          y' = x' s + x s'
 *   tangent-backward: dx' = dy' s + dy s',   ds' = sum over positions of (dy' x + dy x') */
#include <string.h>

#include "nn/net_internal.h"

static int scale_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    struct agn_shape x = graph->ops[spec->src[0]].shape, s = graph->ops[spec->src[1]].shape;
    if (s.height != 1 || s.width != 1 || s.channels != x.channels) {
        return agn_fail(AGN_ERR_ARG, "a %dx%dx%d tensor can be scaled by 1x1x%d, not by %dx%dx%d", x.height,
                        x.width, x.channels, x.channels, s.height, s.width, s.channels);
    }
    spec->shape = x;
    return AGN_OK;
}

int agn_graph_scale(struct agn_graph *graph, int src, int factors)
{
    struct agn_op_spec spec = {.type = AGN_OP_SCALE, .src = {src, factors}};
    return agn__graph_append(graph, &spec);
}

static int scale_plan(struct agn__op *op)
{
    (void)op; /* no state */
    return AGN_OK;
}

/* y = [y +] x * s over `positions` rows of `channels`. */
AGN_SIMD static void product(const float *restrict x, const float *restrict s, float *restrict y,
                             size_t positions, size_t channels, bool add)
{
    for (size_t p = 0; p < positions; p++) {
        for (size_t c = 0; c < channels; c++) {
            float v = x[p * channels + c] * s[c];
            y[p * channels + c] = add ? y[p * channels + c] + v : v;
        }
    }
}

/* s += sum over positions of a * b */
AGN_SIMD static void inner(const float *restrict a, const float *restrict b, float *restrict s,
                           size_t positions, size_t channels)
{
    for (size_t p = 0; p < positions; p++)
        for (size_t c = 0; c < channels; c++)
            s[c] += a[p * channels + c] * b[p * channels + c];
}

struct sizes {
    size_t positions, channels, image; /* of one sample */
};

static struct sizes sizes_of(const struct agn__op *op)
{
    struct agn_shape x = op->spec->shape;
    struct sizes sizes = {(size_t)x.height * (size_t)x.width, (size_t)x.channels, 0};
    sizes.image = sizes.positions * sizes.channels;
    return sizes;
}

static int scale_forward(struct agn__op *op)
{
    struct sizes z = sizes_of(op);
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++) {
        size_t at = (size_t)n * z.image, row = (size_t)n * z.channels;
        product(op->src[0]->value + at, op->src[1]->value + row, op->dst->value + at, z.positions, z.channels,
                false);
    }
    return AGN_OK;
}

static void clear_unless_added(float *values, size_t count, enum agn__flow flow)
{
    if (flow == AGN__FLOW_WRITE)
        memset(values, 0, count * sizeof(float));
}

static int scale_backward(struct agn__op *op)
{
    struct sizes z = sizes_of(op);
    const struct agn__node *x = op->src[0], *s = op->src[1], *y = op->dst;
    enum agn__flow to_x = op->flow[0], to_s = op->flow[1];
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++) {
        size_t at = (size_t)n * z.image, row = (size_t)n * z.channels;
        if (to_s != AGN__FLOW_NONE) {
            clear_unless_added(s->diff + row, z.channels, to_s);
            inner(y->diff + at, x->value + at, s->diff + row, z.positions, z.channels);
        }
        if (to_x != AGN__FLOW_NONE) {
            product(y->diff + at, s->value + row, x->diff + at, z.positions, z.channels,
                    to_x == AGN__FLOW_ADD);
        }
    }
    return AGN_OK;
}

static int scale_tangent(struct agn__op *op)
{
    struct sizes z = sizes_of(op);
    const struct agn__node *x = op->src[0], *s = op->src[1], *y = op->dst;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++) {
        size_t at = (size_t)n * z.image, row = (size_t)n * z.channels;
        product(x->tangent + at, s->value + row, y->tangent + at, z.positions, z.channels, false);
        product(x->value + at, s->tangent + row, y->tangent + at, z.positions, z.channels, true);
    }
    return AGN_OK;
}

static int scale_tangent_backward(struct agn__op *op)
{
    struct sizes z = sizes_of(op);
    const struct agn__node *x = op->src[0], *s = op->src[1], *y = op->dst;
    enum agn__flow to_x = op->flow[0], to_s = op->flow[1];
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++) {
        size_t at = (size_t)n * z.image, row = (size_t)n * z.channels;
        if (to_s != AGN__FLOW_NONE) {
            float *to = s->tangent_diff + row;
            clear_unless_added(to, z.channels, to_s);
            inner(y->tangent_diff + at, x->value + at, to, z.positions, z.channels);
            inner(y->diff + at, x->tangent + at, to, z.positions, z.channels);
        }
        if (to_x != AGN__FLOW_NONE) {
            float *to = x->tangent_diff + at;
            product(y->tangent_diff + at, s->value + row, to, z.positions, z.channels, to_x == AGN__FLOW_ADD);
            product(y->diff + at, s->tangent + row, to, z.positions, z.channels, true);
        }
    }
    return AGN_OK;
}

const struct agn__op_kind agn__kind_scale = {.name = "scale", .shape = scale_shape, .two_sources = true};

const struct agn__op_class agn__op_scale = {.plan = scale_plan,
                                            .forward = scale_forward,
                                            .backward = scale_backward,
                                            .tangent = scale_tangent,
                                            .tangent_backward = scale_tangent_backward,
                                            .keeps_src = true,
                                            .keeps_second_order = true};
