/* Smooth activations: SiLU, x s(x), and the sigmoid, s(x) = 1 / (1 + exp(-x)).
 *
 *   SiLU:    f' = s (1 + x (1 - s)),  f'' = s (1 - s) (2 + x (1 - 2 s))
 *   sigmoid: f' = s (1 - s),          f'' = s (1 - s) (1 - 2 s)
 *
 * Their second derivatives are not zero, so tangent-backward has a second term:
 *   d/de [f'(x) dy] = f'(x) dy_dot + f''(x) x_dot dy
 * All passes start from the source's value; s is cheaper to compute again than to keep. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "nn/net_internal.h"

AGN_INLINE float sigmoid(float x)
{
    return 1.0F / (1.0F + agn__exp(-x));
}

AGN_INLINE float first(float x, float s, bool silu)
{
    return silu ? s * (1.0F + x * (1.0F - s)) : s * (1.0F - s);
}

AGN_INLINE float second(float x, float s, bool silu)
{
    return s * (1.0F - s) * (silu ? 2.0F + x * (1.0F - 2.0F * s) : 1.0F - 2.0F * s);
}

AGN_INLINE void value_loop(const float *restrict src, float *restrict dst, size_t count, bool silu)
{
    for (size_t i = 0; i < count; i++) {
        float s = sigmoid(src[i]);
        dst[i] = silu ? src[i] * s : s;
    }
}

AGN_INLINE void slope_loop(const float *restrict src, const float *restrict from, float *restrict to,
                           size_t count, bool silu, bool add)
{
    for (size_t i = 0; i < count; i++) {
        float d = first(src[i], sigmoid(src[i]), silu) * from[i];
        to[i] = add ? to[i] + d : d;
    }
}

AGN_INLINE void second_loop(const float *restrict src, const float *restrict from,
                            const float *restrict tangent, const float *restrict diff, float *restrict to,
                            size_t count, bool silu, bool add)
{
    for (size_t i = 0; i < count; i++) {
        float s = sigmoid(src[i]);
        float d = first(src[i], s, silu) * from[i] + second(src[i], s, silu) * tangent[i] * diff[i];
        to[i] = add ? to[i] + d : d;
    }
}

/* dst = f(src) */
AGN_SIMD static void value_part(const float *restrict src, float *restrict dst, size_t count, bool silu)
{
    if (silu)
        value_loop(src, dst, count, true);
    else
        value_loop(src, dst, count, false);
}

/* to = [to +] f'(src) from */
AGN_SIMD static void slope_part(const float *restrict src, const float *restrict from, float *restrict to,
                                size_t count, bool silu, bool add)
{
    if (silu && !add)
        slope_loop(src, from, to, count, true, false);
    else if (silu)
        slope_loop(src, from, to, count, true, true);
    else if (!add)
        slope_loop(src, from, to, count, false, false);
    else
        slope_loop(src, from, to, count, false, true);
}

/* to = [to +] f'(src) from + f''(src) tangent diff */
AGN_SIMD static void second_part(const float *restrict src, const float *restrict from,
                                 const float *restrict tangent, const float *restrict diff,
                                 float *restrict to, size_t count, bool silu, bool add)
{
    if (silu && !add)
        second_loop(src, from, tangent, diff, to, count, true, false);
    else if (silu)
        second_loop(src, from, tangent, diff, to, count, true, true);
    else if (!add)
        second_loop(src, from, tangent, diff, to, count, false, false);
    else
        second_loop(src, from, tangent, diff, to, count, false, true);
}

AGN_INLINE void finish_loop(float *restrict dst, const float *restrict sum, size_t count,
                            enum agn__act activation, bool add)
{
    for (size_t i = 0; i < count; i++) {
        float x = dst[i];
        switch (activation) {
        case AGN__ACT_RELU6:
            x = x > 0.0F ? x : 0.0F;
            x = x < 6.0F ? x : 6.0F;
            break;
        case AGN__ACT_SILU:
            x *= sigmoid(x);
            break;
        case AGN__ACT_SIGMOID:
            x = sigmoid(x);
            break;
        default:
            break;
        }
        dst[i] = add ? x + sum[i] : x;
    }
}

AGN_SIMD static void finish_part(float *restrict dst, const float *restrict sum, size_t count,
                                 enum agn__act activation)
{
    bool add = sum != NULL;
    if (activation == AGN__ACT_SILU && add)
        finish_loop(dst, sum, count, AGN__ACT_SILU, true);
    else if (activation == AGN__ACT_SILU)
        finish_loop(dst, sum, count, AGN__ACT_SILU, false);
    else if (activation == AGN__ACT_RELU6 && add)
        finish_loop(dst, sum, count, AGN__ACT_RELU6, true);
    else if (activation == AGN__ACT_RELU6)
        finish_loop(dst, sum, count, AGN__ACT_RELU6, false);
    else if (activation == AGN__ACT_SIGMOID && add)
        finish_loop(dst, sum, count, AGN__ACT_SIGMOID, true);
    else if (activation == AGN__ACT_SIGMOID)
        finish_loop(dst, sum, count, AGN__ACT_SIGMOID, false);
    else if (add)
        finish_loop(dst, sum, count, AGN__ACT_NONE, true);
}

static int same_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    spec->shape = graph->ops[spec->src[0]].shape;
    return AGN_OK;
}

int agn_graph_silu(struct agn_graph *graph, int src)
{
    struct agn_op_spec spec = {.type = AGN_OP_SILU, .src = {src, -1}};
    return agn__graph_append(graph, &spec);
}

int agn_graph_sigmoid(struct agn_graph *graph, int src)
{
    struct agn_op_spec spec = {.type = AGN_OP_SIGMOID, .src = {src, -1}};
    return agn__graph_append(graph, &spec);
}

static int activation_plan(struct agn__op *op)
{
    (void)op; /* no state */
    return AGN_OK;
}

static bool is_silu(const struct agn__op *op)
{
    return op->spec->type == AGN_OP_SILU;
}

enum { GRAIN = 1024 };

static int activation_forward(struct agn__op *op)
{
    bool silu = is_silu(op);
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(op->dst->floats, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        value_part(op->src[0]->value + begin, op->dst->value + begin, end - begin, silu);
    }
    return AGN_OK;
}

void agn__activate_add(enum agn__act activation, float *dst, const float *sum, size_t count)
{
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(count, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        finish_part(dst + begin, sum == NULL ? NULL : sum + begin, end - begin, activation);
    }
}

static int slope_all(const struct agn__op *op, const float *from, float *to, bool add)
{
    bool silu = is_silu(op);
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(op->dst->floats, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        slope_part(op->src[0]->value + begin, from + begin, to + begin, end - begin, silu, add);
    }
    return AGN_OK;
}

static int activation_backward(struct agn__op *op)
{
    return op->flow[0] == AGN__FLOW_NONE
               ? AGN_OK
               : slope_all(op, op->dst->diff, op->src[0]->diff, op->flow[0] == AGN__FLOW_ADD);
}

static int activation_tangent(struct agn__op *op)
{
    return slope_all(op, op->src[0]->tangent, op->dst->tangent, false);
}

static int activation_tangent_backward(struct agn__op *op)
{
    bool silu = is_silu(op), add = op->flow[0] == AGN__FLOW_ADD;
    const struct agn__node *src = op->src[0], *dst = op->dst;
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(dst->floats, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        second_part(src->value + begin, dst->tangent_diff + begin, src->tangent + begin, dst->diff + begin,
                    src->tangent_diff + begin, end - begin, silu, add);
    }
    return AGN_OK;
}

const struct agn__op_kind agn__kind_silu = {.name = "silu", .shape = same_shape};

const struct agn__op_class agn__op_silu = {.plan = activation_plan,
                                           .forward = activation_forward,
                                           .backward = activation_backward,
                                           .tangent = activation_tangent,
                                           .tangent_backward = activation_tangent_backward,
                                           .keeps_src = true,
                                           .keeps_second_order = true};

const struct agn__op_kind agn__kind_sigmoid = {.name = "sigmoid", .shape = same_shape};

const struct agn__op_class agn__op_sigmoid = {.plan = activation_plan,
                                              .forward = activation_forward,
                                              .backward = activation_backward,
                                              .tangent = activation_tangent,
                                              .tangent_backward = activation_tangent_backward,
                                              .keeps_src = true,
                                              .keeps_second_order = true};
