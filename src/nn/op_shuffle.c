/* Depth to space (the pixel shuffle of Shi et al. 2016, in the channel order of TensorFlow's depth_to_space):
 * pixel (f y + i, f x + j) of the result has the channels from (f i + j) c on of pixel (y, x). A permutation:
 * its tangent is its forward, its tangent-backward its backward, which puts things back. */
#include <string.h>

#include "nn/net_internal.h"

enum { MAX_FACTOR = 8 };

static int shuffle_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    struct agn_shape in = graph->ops[spec->src[0]].shape;
    int factor = spec->stride;
    if (factor < 2 || factor > MAX_FACTOR)
        return agn_fail(AGN_ERR_RANGE, "channels become pixels by 2 to %d, not by %d", MAX_FACTOR, factor);
    if (in.channels % (factor * factor) != 0)
        return agn_fail(AGN_ERR_ARG, "%d channels are no multiple of the %d that become %dx%d pixels",
                        in.channels, factor * factor, factor, factor);
    spec->shape = (struct agn_shape){factor * in.height, factor * in.width, in.channels / (factor * factor)};
    return AGN_OK;
}

int agn_graph_shuffle(struct agn_graph *graph, int src, int factor)
{
    struct agn_op_spec spec = {.type = AGN_OP_SHUFFLE, .src = {src, -1}, .stride = factor};
    return agn__graph_append(graph, &spec);
}

static int shuffle_plan(struct agn__op *op)
{
    (void)op; /* no state */
    return AGN_OK;
}

/* Rows of the small map: `width` pixels of `factor` runs, each of which is a part of one row of the large
 * map. */
struct rows {
    int count;
    size_t width, factor, run; /* of a pixel: runs, their floats */
};

static struct rows rows_of(const struct agn__op *op)
{
    struct agn_shape in = op->src[0]->shape;
    size_t factor = (size_t)op->spec->stride;
    return (struct rows){op->net->batch * in.height, (size_t)in.width, factor, (size_t)in.channels / factor};
}

static int to_space(const struct agn__op *op, const float *deep, float *wide)
{
    struct rows r = rows_of(op);
    size_t row = r.width * r.factor * r.run;
#pragma omp parallel for schedule(static)
    for (int y = 0; y < r.count; y++) {
        for (size_t x = 0; x < r.width; x++)
            for (size_t i = 0; i < r.factor; i++)
                memcpy(wide + (size_t)y * row + (i * r.width + x) * r.run,
                       deep + (size_t)y * row + (x * r.factor + i) * r.run, r.run * sizeof(float));
    }
    return AGN_OK;
}

AGN_SIMD static void take_run(float *restrict to, const float *restrict from, size_t count, bool add)
{
    for (size_t k = 0; k < count; k++)
        to[k] = add ? to[k] + from[k] : from[k];
}

/* deep [+]= what came from it. */
static int to_depth(const struct agn__op *op, const float *wide, float *deep)
{
    struct rows r = rows_of(op);
    size_t row = r.width * r.factor * r.run;
    bool add = op->flow[0] == AGN__FLOW_ADD;
    if (op->flow[0] == AGN__FLOW_NONE)
        return AGN_OK;
#pragma omp parallel for schedule(static)
    for (int y = 0; y < r.count; y++) {
        for (size_t x = 0; x < r.width; x++)
            for (size_t i = 0; i < r.factor; i++)
                take_run(deep + (size_t)y * row + (x * r.factor + i) * r.run,
                         wide + (size_t)y * row + (i * r.width + x) * r.run, r.run, add);
    }
    return AGN_OK;
}

static int shuffle_forward(struct agn__op *op)
{
    return to_space(op, op->src[0]->value, op->dst->value);
}

static int shuffle_backward(struct agn__op *op)
{
    return to_depth(op, op->dst->diff, op->src[0]->diff);
}

static int shuffle_tangent(struct agn__op *op)
{
    return to_space(op, op->src[0]->tangent, op->dst->tangent);
}

static int shuffle_tangent_backward(struct agn__op *op)
{
    return to_depth(op, op->dst->tangent_diff, op->src[0]->tangent_diff);
}

const struct agn__op_kind agn__kind_shuffle = {.name = "shuffle", .shape = shuffle_shape};

const struct agn__op_class agn__op_shuffle = {.plan = shuffle_plan,
                                              .forward = shuffle_forward,
                                              .backward = shuffle_backward,
                                              .tangent = shuffle_tangent,
                                              .tangent_backward = shuffle_tangent_backward};
