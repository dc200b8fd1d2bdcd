/* Smooth activations: SiLU, x s(x), the sigmoid, s(x) = 1 / (1 + exp(-x)), and tanh.
 *
 *   SiLU:    f' = s (1 + x (1 - s)),  f'' = s (1 - s) (2 + x (1 - 2 s))
 *   sigmoid: f' = s (1 - s),          f'' = s (1 - s) (1 - 2 s)
 *   tanh:    f' = (1 - f) (1 + f),    f'' = -2 f f'
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

/* Within some units in the last place, also near 0: there Cephes' polynomial. */
AGN_INLINE float tanh_of(float x)
{
    float z = x * x, p = -5.70498872745e-3F, far = 1.0F - 2.0F / (1.0F + agn__exp(2.0F * fabsf(x)));
    p = p * z + 2.06390887954e-2F;
    p = p * z - 5.37397155531e-2F;
    p = p * z + 1.33314422036e-1F;
    p = p * z - 3.33332819422e-1F;
    return fabsf(x) < 0.625F ? p * z * x + x : copysignf(far, x);
}

/* What value and derivatives are made of: s(x), or tanh itself. */
AGN_INLINE float base(float x, enum agn__act activation)
{
    return activation == AGN__ACT_TANH ? tanh_of(x) : sigmoid(x);
}

AGN_INLINE float first(float x, float s, enum agn__act activation)
{
    if (activation == AGN__ACT_TANH)
        return (1.0F - s) * (1.0F + s);
    return activation == AGN__ACT_SILU ? s * (1.0F + x * (1.0F - s)) : s * (1.0F - s);
}

AGN_INLINE float second(float x, float s, enum agn__act activation)
{
    if (activation == AGN__ACT_TANH)
        return -2.0F * s * (1.0F - s) * (1.0F + s);
    return s * (1.0F - s) * (activation == AGN__ACT_SILU ? 2.0F + x * (1.0F - 2.0F * s) : 1.0F - 2.0F * s);
}

AGN_INLINE void value_loop(const float *restrict src, float *restrict dst, size_t count,
                           enum agn__act activation)
{
    for (size_t i = 0; i < count; i++) {
        float s = base(src[i], activation);
        dst[i] = activation == AGN__ACT_SILU ? src[i] * s : s;
    }
}

AGN_INLINE void slope_loop(const float *restrict src, const float *restrict from, float *restrict to,
                           size_t count, enum agn__act activation, bool add)
{
    for (size_t i = 0; i < count; i++) {
        float d = first(src[i], base(src[i], activation), activation) * from[i];
        to[i] = add ? to[i] + d : d;
    }
}

AGN_INLINE void second_loop(const float *restrict src, const float *restrict from,
                            const float *restrict tangent, const float *restrict diff, float *restrict to,
                            size_t count, enum agn__act activation, bool add)
{
    for (size_t i = 0; i < count; i++) {
        float s = base(src[i], activation);
        float d =
            first(src[i], s, activation) * from[i] + second(src[i], s, activation) * tangent[i] * diff[i];
        to[i] = add ? to[i] + d : d;
    }
}

/* Calls LOOP(..., activation, add) with constants: each case is a straight loop. */
#define EACH_CASE(LOOP, ...)                                                                                 \
    do {                                                                                                     \
        if (activation == AGN__ACT_SILU && add)                                                              \
            LOOP(__VA_ARGS__, AGN__ACT_SILU, true);                                                          \
        else if (activation == AGN__ACT_SILU)                                                                \
            LOOP(__VA_ARGS__, AGN__ACT_SILU, false);                                                         \
        else if (activation == AGN__ACT_SIGMOID && add)                                                      \
            LOOP(__VA_ARGS__, AGN__ACT_SIGMOID, true);                                                       \
        else if (activation == AGN__ACT_SIGMOID)                                                             \
            LOOP(__VA_ARGS__, AGN__ACT_SIGMOID, false);                                                      \
        else if (activation == AGN__ACT_TANH && add)                                                         \
            LOOP(__VA_ARGS__, AGN__ACT_TANH, true);                                                          \
        else if (activation == AGN__ACT_TANH)                                                                \
            LOOP(__VA_ARGS__, AGN__ACT_TANH, false);                                                         \
    } while (0)

/* dst = f(src) */
AGN_SIMD static void value_part(const float *restrict src, float *restrict dst, size_t count,
                                enum agn__act activation)
{
    if (activation == AGN__ACT_SILU)
        value_loop(src, dst, count, AGN__ACT_SILU);
    else if (activation == AGN__ACT_SIGMOID)
        value_loop(src, dst, count, AGN__ACT_SIGMOID);
    else
        value_loop(src, dst, count, AGN__ACT_TANH);
}

/* to = [to +] f'(src) from */
AGN_SIMD static void slope_part(const float *restrict src, const float *restrict from, float *restrict to,
                                size_t count, enum agn__act activation, bool add)
{
    EACH_CASE(slope_loop, src, from, to, count);
}

/* to = [to +] f'(src) from + f''(src) tangent diff */
AGN_SIMD static void second_part(const float *restrict src, const float *restrict from,
                                 const float *restrict tangent, const float *restrict diff,
                                 float *restrict to, size_t count, enum agn__act activation, bool add)
{
    EACH_CASE(second_loop, src, from, tangent, diff, to, count);
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
        case AGN__ACT_TANH:
            x = tanh_of(x);
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
    if (activation == AGN__ACT_RELU6 && add)
        finish_loop(dst, sum, count, AGN__ACT_RELU6, true);
    else if (activation == AGN__ACT_RELU6)
        finish_loop(dst, sum, count, AGN__ACT_RELU6, false);
    else if (activation == AGN__ACT_NONE && add)
        finish_loop(dst, sum, count, AGN__ACT_NONE, true);
    else
        EACH_CASE(finish_loop, dst, sum, count);
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

int agn_graph_tanh(struct agn_graph *graph, int src)
{
    struct agn_op_spec spec = {.type = AGN_OP_TANH, .src = {src, -1}};
    return agn__graph_append(graph, &spec);
}

static int activation_plan(struct agn__op *op)
{
    (void)op; /* no state */
    return AGN_OK;
}

static enum agn__act activation_of(const struct agn__op *op)
{
    return op->spec->type == AGN_OP_SILU   ? AGN__ACT_SILU
           : op->spec->type == AGN_OP_TANH ? AGN__ACT_TANH
                                           : AGN__ACT_SIGMOID;
}

enum { GRAIN = 1024 };

static int activation_forward(struct agn__op *op)
{
    enum agn__act activation = activation_of(op);
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(op->dst->floats, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        value_part(op->src[0]->value + begin, op->dst->value + begin, end - begin, activation);
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
    enum agn__act activation = activation_of(op);
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(op->dst->floats, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        slope_part(op->src[0]->value + begin, from + begin, to + begin, end - begin, activation, add);
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
    enum agn__act activation = activation_of(op);
    bool add = op->flow[0] == AGN__FLOW_ADD;
    const struct agn__node *src = op->src[0], *dst = op->dst;
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(dst->floats, GRAIN, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        second_part(src->value + begin, dst->tangent_diff + begin, src->tangent + begin, dst->diff + begin,
                    src->tangent_diff + begin, end - begin, activation, add);
    }
    return AGN_OK;
}

const struct agn__op_kind agn__kind_silu = {.name = "silu", .shape = same_shape};

const struct agn__op_kind agn__kind_sigmoid = {.name = "sigmoid", .shape = same_shape};

const struct agn__op_kind agn__kind_tanh = {.name = "tanh", .shape = same_shape};

const struct agn__op_class agn__op_smooth = {.plan = activation_plan,
                                             .forward = activation_forward,
                                             .backward = activation_backward,
                                             .tangent = activation_tangent,
                                             .tangent_backward = activation_tangent_backward,
                                             .keeps_src = true,
                                             .keeps_second_order = true};
