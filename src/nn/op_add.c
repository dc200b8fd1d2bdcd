/* Element-wise sum, the end of a residual block. Backward hands the gradient to both sources,
 * sharing memory with them where the planner found that safe.
 *
 * With stochastic depth, in training only, y = a + f b with a factor f for each image: 0 where it skips the
 * branch, else 1 / survival, so that E(y) = a + b, which a frozen net computes. */
#include <string.h>

#include "nn/net_internal.h"

static int add_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    struct agn_shape a = graph->ops[spec->src[0]].shape, b = graph->ops[spec->src[1]].shape;
    if (a.height != b.height || a.width != b.width || a.channels != b.channels) {
        return agn_fail(AGN_ERR_ARG, "cannot add tensors of %dx%dx%d and %dx%dx%d", a.height, a.width,
                        a.channels, b.height, b.width, b.channels);
    }
    spec->shape = a;
    return AGN_OK;
}

int agn_graph_add(struct agn_graph *graph, int src0, int src1)
{
    struct agn_op_spec spec = {.type = AGN_OP_ADD, .src = {src0, src1}};
    return agn__graph_append(graph, &spec);
}

struct add_state {
    int factors_buffer;
    float *factors; /* (batch), of the second source */
};

static int add_plan(struct agn__op *op)
{
    if (op->skip_chance <= 0.0F)
        return AGN_OK; /* no state */
    struct add_state *state = agn_alloc(1, sizeof(*state));
    if (state == NULL)
        return AGN_ERR_MEMORY;
    op->state = state;
    state->factors_buffer = agn__net_buffer_always(op->net, (size_t)op->net->batch * sizeof(float));
    return AGN_OK;
}

static int add_bind(struct agn__op *op)
{
    struct add_state *state = op->state;
    if (state != NULL) {
        state->factors = agn__net_address(op->net, state->factors_buffer);
        for (int n = 0; n < op->net->batch; n++)
            state->factors[n] = 1.0F;
    }
    return AGN_OK;
}

static float *add_factors(const struct agn__op *op)
{
    const struct add_state *state = op->state;
    return state->factors;
}

/* y = a + f b */
AGN_SIMD static void add_scaled(const float *restrict a, const float *restrict b, float f, float *restrict y,
                                size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = a[i] + f * b[i];
}

/* b = [b +] f y */
AGN_SIMD static void scale(const float *restrict y, float f, float *restrict b, size_t count, bool add)
{
    for (size_t i = 0; i < count; i++)
        b[i] = add ? b[i] + f * y[i] : f * y[i];
}

static int add_forward(struct agn__op *op)
{
    const struct add_state *state = op->state;
    const float *a = op->src[0]->value, *b = op->src[1]->value;
    size_t image = op->dst->floats / (size_t)op->net->batch;
    if (state == NULL) {
        agn__add(op->dst->value, a, b, op->dst->floats);
        return AGN_OK;
    }
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++) {
        size_t at = (size_t)n * image;
        if (state->factors[n] > 0.0F)
            add_scaled(a + at, b + at, state->factors[n], op->dst->value + at, image);
        else /* whatever the branch holds, infinities too */
            memcpy(op->dst->value + at, a + at, image * sizeof(float));
    }
    return AGN_OK;
}

static void hand_on(const struct agn__op *op, int s, const float *from, float *to)
{
    if (op->flow[s] == AGN__FLOW_WRITE)
        memcpy(to, from, op->dst->floats * sizeof(float));
    else if (op->flow[s] == AGN__FLOW_ADD)
        agn__add_to(to, from, op->dst->floats);
}

/* The same with each image's factor. */
static void hand_on_scaled(const struct agn__op *op, const struct add_state *state)
{
    size_t image = op->dst->floats / (size_t)op->net->batch;
    if (op->flow[1] == AGN__FLOW_NONE)
        return;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++) {
        size_t at = (size_t)n * image;
        scale(op->dst->diff + at, state->factors[n], op->src[1]->diff + at, image,
              op->flow[1] == AGN__FLOW_ADD);
    }
}

static int add_backward(struct agn__op *op)
{
    hand_on(op, 0, op->dst->diff, op->src[0]->diff);
    if (op->state != NULL)
        hand_on_scaled(op, op->state);
    else
        hand_on(op, 1, op->dst->diff, op->src[1]->diff);
    return AGN_OK;
}

static int add_tangent(struct agn__op *op)
{
    agn__add(op->dst->tangent, op->src[0]->tangent, op->src[1]->tangent, op->dst->floats);
    return AGN_OK;
}

static int add_tangent_backward(struct agn__op *op)
{
    hand_on(op, 0, op->dst->tangent_diff, op->src[0]->tangent_diff);
    hand_on(op, 1, op->dst->tangent_diff, op->src[1]->tangent_diff);
    return AGN_OK;
}

static void add_release(struct agn__op *op)
{
    agn_free(op->state);
}

const struct agn__op_kind agn__kind_add = {.name = "add", .shape = add_shape, .two_sources = true};

const struct agn__op_class agn__op_add = {.plan = add_plan,
                                          .bind = add_bind,
                                          .forward = add_forward,
                                          .backward = add_backward,
                                          .tangent = add_tangent,
                                          .tangent_backward = add_tangent_backward,
                                          .factors = add_factors,
                                          .release = add_release,
                                          .shares_diff = true};
