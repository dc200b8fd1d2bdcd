/* Upsampling by nearest neighbour: each pixel becomes factor x factor equal ones, as in PyTorch's
 * Upsample(mode="nearest") and oneDNN's resampling_nearest by a whole number. Linear: its tangent is its
 * forward, its tangent-backward its backward, which sums over the copies of a pixel. */
#include <string.h>

#include "nn/net_internal.h"

enum { MAX_FACTOR = 8 };

static int up_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    struct agn_shape in = graph->ops[spec->src[0]].shape;
    if (spec->stride < 2 || spec->stride > MAX_FACTOR)
        return agn_fail(AGN_ERR_RANGE, "a map is upsampled by 2 to %d, not by %d", MAX_FACTOR, spec->stride);
    spec->shape = (struct agn_shape){spec->stride * in.height, spec->stride * in.width, in.channels};
    return AGN_OK;
}

int agn_graph_up(struct agn_graph *graph, int src, int factor)
{
    struct agn_op_spec spec = {.type = AGN_OP_UP, .src = {src, -1}, .stride = factor};
    return agn__graph_append(graph, &spec);
}

static int up_plan(struct agn__op *op)
{
    (void)op; /* no state */
    return AGN_OK;
}

/* One row of src, `width` pixels of `channels`, to the `factor` rows of dst that it becomes. */
static void spread_row(const float *restrict src, float *restrict dst, size_t width, size_t channels,
                       size_t factor)
{
    size_t row = factor * width * channels;
    for (size_t x = 0; x < factor * width; x++)
        memcpy(dst + x * channels, src + x / factor * channels, channels * sizeof(float));
    for (size_t i = 1; i < factor; i++)
        memcpy(dst + i * row, dst, row * sizeof(float));
}

/* The other way: src [+]= the sum over a pixel's copies. */
AGN_SIMD static void sum_row(const float *restrict dst, float *restrict src, size_t width, size_t channels,
                             size_t factor, bool add)
{
    size_t row = factor * width * channels;
    if (!add)
        memset(src, 0, width * channels * sizeof(float));
    for (size_t x = 0; x < width; x++) {
        float *restrict pixel = src + x * channels;
        for (size_t i = 0; i < factor * factor; i++) {
            const float *restrict one = dst + i / factor * row + (x * factor + i % factor) * channels;
            for (size_t c = 0; c < channels; c++)
                pixel[c] += one[c];
        }
    }
}

/* Of the whole batch: rows of src. */
struct rows {
    int count;
    size_t width, channels, factor, src_floats, dst_floats;
};

static struct rows rows_of(const struct agn__op *op)
{
    struct agn_shape in = op->src[0]->shape;
    size_t row = (size_t)in.width * (size_t)in.channels, factor = (size_t)op->spec->stride;
    return (struct rows){op->net->batch * in.height, (size_t)in.width, (size_t)in.channels, factor, row,
                         factor * factor * row};
}

static int spread_all(const struct agn__op *op, const float *src, float *dst)
{
    struct rows r = rows_of(op);
#pragma omp parallel for schedule(static)
    for (int y = 0; y < r.count; y++) {
        spread_row(src + (size_t)y * r.src_floats, dst + (size_t)y * r.dst_floats, r.width, r.channels,
                   r.factor);
    }
    return AGN_OK;
}

static int sum_all(const struct agn__op *op, const float *dst, float *src)
{
    struct rows r = rows_of(op);
    bool add = op->flow[0] == AGN__FLOW_ADD;
    if (op->flow[0] == AGN__FLOW_NONE)
        return AGN_OK;
#pragma omp parallel for schedule(static)
    for (int y = 0; y < r.count; y++) {
        sum_row(dst + (size_t)y * r.dst_floats, src + (size_t)y * r.src_floats, r.width, r.channels, r.factor,
                add);
    }
    return AGN_OK;
}

static int up_forward(struct agn__op *op)
{
    return spread_all(op, op->src[0]->value, op->dst->value);
}

static int up_backward(struct agn__op *op)
{
    return sum_all(op, op->dst->diff, op->src[0]->diff);
}

static int up_tangent(struct agn__op *op)
{
    return spread_all(op, op->src[0]->tangent, op->dst->tangent);
}

static int up_tangent_backward(struct agn__op *op)
{
    return sum_all(op, op->dst->tangent_diff, op->src[0]->tangent_diff);
}

const struct agn__op_kind agn__kind_up = {.name = "up", .shape = up_shape};

const struct agn__op_class agn__op_up = {.plan = up_plan,
                                         .forward = up_forward,
                                         .backward = up_backward,
                                         .tangent = up_tangent,
                                         .tangent_backward = up_tangent_backward};
