/* Element-wise sum, the end of a residual block. Backward hands the gradient to both sources,
 * sharing memory with them where the planner found that safe. */
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

static int add_plan(struct agn__op *op)
{
    (void)op; /* no state */
    return AGN_OK;
}

static int add_forward(struct agn__op *op)
{
    agn__add(op->dst->value, op->src[0]->value, op->src[1]->value, op->dst->floats);
    return AGN_OK;
}

static void hand_on(const struct agn__op *op, int s, const float *from, float *to)
{
    if (op->flow[s] == AGN__FLOW_WRITE) {
        memcpy(to, from, op->dst->floats * sizeof(float));
    } else if (op->flow[s] == AGN__FLOW_ADD) {
        agn__add_to(to, from, op->dst->floats);
    }
}

static int add_backward(struct agn__op *op)
{
    hand_on(op, 0, op->dst->diff, op->src[0]->diff);
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

const struct agn__op_class agn__op_add = {.name = "add",
                                          .shape = add_shape,
                                          .plan = add_plan,
                                          .forward = add_forward,
                                          .backward = add_backward,
                                          .tangent = add_tangent,
                                          .tangent_backward = add_tangent_backward,
                                          .two_sources = true,
                                          .shares_diff = true};
