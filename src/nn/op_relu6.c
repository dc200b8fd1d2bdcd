/* ReLU6, min(max(x, 0), 6). Its derivative is a mask, its second derivative 0 almost everywhere. */
#include <omp.h>
#include <string.h>

#include "nn/net_internal.h"

static int relu6_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    spec->shape = graph->ops[spec->src[0]].shape;
    return AGN_OK;
}

int agn_graph_relu6(struct agn_graph *graph, int src)
{
    struct agn_op_spec spec = {.type = AGN_OP_RELU6, .src = {src, -1}};
    return agn__graph_append(graph, &spec);
}

static int relu6_plan(struct agn__op *op)
{
    (void)op; /* no state */
    return AGN_OK;
}

AGN_SIMD static void clip(const float *restrict x, float *restrict y, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float v = x[i] > 0.0F ? x[i] : 0.0F;
        y[i] = v < 6.0F ? v : 6.0F;
    }
}

AGN_SIMD static void mask(const float *restrict y, const float *restrict from, float *restrict to,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float g = y[i] > 0.0F && y[i] < 6.0F ? from[i] : 0.0F;
        to[i] += g;
    }
}

static int relu6_forward(struct agn__op *op)
{
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(op->dst->floats, 1024, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        clip(op->src[0]->value + begin, op->dst->value + begin, end - begin);
    }
    return AGN_OK;
}

/* to = [to +] from where the result is inside (0, 6) */
static int mask_all(const struct agn__op *op, const float *from, float *to, bool add)
{
    if (!add)
        memset(to, 0, op->dst->floats * sizeof(float));
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(op->dst->floats, 1024, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        mask(op->dst->value + begin, from + begin, to + begin, end - begin);
    }
    return AGN_OK;
}

static int relu6_backward(struct agn__op *op)
{
    return op->flow[0] == AGN__FLOW_NONE
               ? AGN_OK
               : mask_all(op, op->dst->diff, op->src[0]->diff, op->flow[0] == AGN__FLOW_ADD);
}

static int relu6_tangent(struct agn__op *op)
{
    return mask_all(op, op->src[0]->tangent, op->dst->tangent, false);
}

static int relu6_tangent_backward(struct agn__op *op)
{
    return mask_all(op, op->dst->tangent_diff, op->src[0]->tangent_diff, op->flow[0] == AGN__FLOW_ADD);
}

const struct agn__op_kind agn__kind_relu6 = {.name = "relu6", .shape = relu6_shape};

const struct agn__op_class agn__op_relu6 = {.plan = relu6_plan,
                                            .forward = relu6_forward,
                                            .backward = relu6_backward,
                                            .tangent = relu6_tangent,
                                            .tangent_backward = relu6_tangent_backward,
                                            .keeps_dst = true};
