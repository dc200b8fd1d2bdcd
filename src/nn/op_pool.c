/* Average pooling to a grid x grid partition: cell i covers rows floor(i*h/g) .. ceil((i+1)*h/g)-1,
 * columns likewise (cells overlap where g does not divide the side, as in PyTorch's
 * AdaptiveAvgPool2d). grid 1 is global average pooling. Linear: its tangent is its forward, its
 * tangent-backward its backward. */
#include <string.h>

#include "nn/net_internal.h"

static int pool_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    struct agn_shape in = graph->ops[spec->src[0]].shape;
    if (spec->grid < 1 || spec->grid > in.height || spec->grid > in.width) {
        return agn_fail(AGN_ERR_RANGE, "a %dx%d map cannot be pooled to a %dx%d grid", in.height, in.width,
                        spec->grid, spec->grid);
    }
    spec->shape = (struct agn_shape){spec->grid, spec->grid, in.channels};
    return AGN_OK;
}

int agn_graph_pool(struct agn_graph *graph, int src, int grid)
{
    struct agn_op_spec spec = {.type = AGN_OP_POOL, .src = {src, -1}, .grid = grid};
    return agn__graph_append(graph, &spec);
}

static int pool_plan(struct agn__op *op)
{
    (void)op; /* no state */
    return AGN_OK;
}

struct span {
    int begin, end;
};

static struct span cell_span(int cell, int grid, int side)
{
    return (struct span){cell * side / grid, ((cell + 1) * side + grid - 1) / grid};
}

/* One image: dst (g, g, c) = cell averages of src (h, w, c). */
AGN_SIMD static void pool_image(const float *restrict src, float *restrict dst, struct agn_shape in, int grid)
{
    size_t channels = (size_t)in.channels;
    for (int i = 0; i < grid * grid; i++) {
        struct span rows = cell_span(i / grid, grid, in.height),
                    columns = cell_span(i % grid, grid, in.width);
        float *restrict cell = dst + (size_t)i * channels;
        float share = 1.0F / (float)((rows.end - rows.begin) * (columns.end - columns.begin));
        memset(cell, 0, channels * sizeof(float));
        for (int y = rows.begin; y < rows.end; y++) {
            for (int x = columns.begin; x < columns.end; x++) {
                const float *restrict pixel = src + (size_t)(y * in.width + x) * channels;
                for (size_t c = 0; c < channels; c++)
                    cell[c] += pixel[c];
            }
        }
        for (size_t c = 0; c < channels; c++)
            cell[c] *= share;
    }
}

/* One image: src (h, w, c) += each cell's gradient, shared evenly. */
AGN_SIMD static void spread_image(const float *restrict dst, float *restrict src, struct agn_shape in,
                                  int grid)
{
    size_t channels = (size_t)in.channels;
    for (int i = 0; i < grid * grid; i++) {
        struct span rows = cell_span(i / grid, grid, in.height),
                    columns = cell_span(i % grid, grid, in.width);
        const float *restrict cell = dst + (size_t)i * channels;
        float share = 1.0F / (float)((rows.end - rows.begin) * (columns.end - columns.begin));
        for (int y = rows.begin; y < rows.end; y++) {
            for (int x = columns.begin; x < columns.end; x++) {
                float *restrict pixel = src + (size_t)(y * in.width + x) * channels;
                for (size_t c = 0; c < channels; c++)
                    pixel[c] += share * cell[c];
            }
        }
    }
}

static int pool_all(const struct agn__op *op, const float *src, float *dst)
{
    size_t in = op->src[0]->floats / (size_t)op->net->batch, out = op->dst->floats / (size_t)op->net->batch;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++)
        pool_image(src + (size_t)n * in, dst + (size_t)n * out, op->src[0]->shape, op->spec->grid);
    return AGN_OK;
}

static int spread_all(const struct agn__op *op, const float *dst, float *src)
{
    size_t in = op->src[0]->floats / (size_t)op->net->batch, out = op->dst->floats / (size_t)op->net->batch;
    if (op->flow[0] == AGN__FLOW_NONE)
        return AGN_OK;
    if (op->flow[0] == AGN__FLOW_WRITE)
        memset(src, 0, op->src[0]->floats * sizeof(float));
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++)
        spread_image(dst + (size_t)n * out, src + (size_t)n * in, op->src[0]->shape, op->spec->grid);
    return AGN_OK;
}

static int pool_forward(struct agn__op *op)
{
    return pool_all(op, op->src[0]->value, op->dst->value);
}

static int pool_backward(struct agn__op *op)
{
    return spread_all(op, op->dst->diff, op->src[0]->diff);
}

static int pool_tangent(struct agn__op *op)
{
    return pool_all(op, op->src[0]->tangent, op->dst->tangent);
}

static int pool_tangent_backward(struct agn__op *op)
{
    return spread_all(op, op->dst->tangent_diff, op->src[0]->tangent_diff);
}

const struct agn__op_kind agn__kind_pool = {.name = "pool", .shape = pool_shape};

const struct agn__op_class agn__op_pool = {.plan = pool_plan,
                                           .forward = pool_forward,
                                           .backward = pool_backward,
                                           .tangent = pool_tangent,
                                           .tangent_backward = pool_tangent_backward};
