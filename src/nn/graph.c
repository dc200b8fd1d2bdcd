/* Graphs: lists of operators with shapes. The operators themselves are in op_*.c. */
#include <stdio.h>
#include <string.h>

#include "nn/net_internal.h"

enum { MAX_SIDE = 4096, MAX_CHANNELS = 65536, MAX_ELEMENTS = 1 << 28 };

static int input_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    (void)graph;
    (void)spec; /* given by agn_graph_init */
    return AGN_OK;
}

static const struct agn__op_kind input_kind = {.name = "input", .shape = input_shape};

const struct agn__op_kind *const agn__op_kinds[AGN_OP_TYPES] = {
    [AGN_OP_INPUT] = &input_kind,
    [AGN_OP_CONV] = &agn__kind_conv,
    [AGN_OP_BATCHNORM] = &agn__kind_batchnorm,
    [AGN_OP_RELU6] = &agn__kind_relu6,
    [AGN_OP_ADD] = &agn__kind_add,
    [AGN_OP_POOL] = &agn__kind_pool,
    [AGN_OP_DENSE] = &agn__kind_dense,
    [AGN_OP_SILU] = &agn__kind_silu,
    [AGN_OP_SIGMOID] = &agn__kind_sigmoid,
    [AGN_OP_SCALE] = &agn__kind_scale,
    [AGN_OP_TANH] = &agn__kind_tanh,
    [AGN_OP_UP] = &agn__kind_up,
    [AGN_OP_SHUFFLE] = &agn__kind_shuffle,
    [AGN_OP_ATTENTION] = &agn__kind_attention,
};

const char *agn_op_type_name(enum agn_op_type type)
{
    return type < AGN_OP_TYPES ? agn__op_kinds[type]->name : "unknown";
}

static bool shape_is_sane(struct agn_shape shape)
{
    return shape.height >= 1 && shape.width >= 1 && shape.channels >= 1 && shape.height <= MAX_SIDE &&
           shape.width <= MAX_SIDE && shape.channels <= MAX_CHANNELS &&
           (int64_t)shape.height * shape.width * shape.channels <= MAX_ELEMENTS;
}

int agn__spec_name(struct agn_op_spec *spec, const char *name)
{
    size_t length = strlen(name);
    if (length >= sizeof(spec->name)) {
        return agn_fail(AGN_ERR_RANGE, "operator name '%.32s...' is too long: at most %zu characters", name,
                        sizeof(spec->name) - 1);
    }
    memcpy(spec->name, name, length + 1);
    return AGN_OK;
}

int agn_graph_init(struct agn_graph *graph, struct agn_shape input)
{
    if (!shape_is_sane(input)) {
        return agn_fail(AGN_ERR_RANGE, "a network input of %dx%dx%d is not possible", input.height,
                        input.width, input.channels);
    }
    memset(graph, 0, sizeof(*graph));
    graph->count = 1;
    graph->ops[0] = (struct agn_op_spec){.type = AGN_OP_INPUT, .src = {-1, -1}, .shape = input};
    return 0;
}

int agn__graph_append(struct agn_graph *graph, const struct agn_op_spec *spec)
{
    struct agn_op_spec *op = &graph->ops[graph->count];
    if (graph->count >= AGN_MAX_OPS)
        return agn_fail(AGN_ERR_RANGE, "a network has at most %d operators", AGN_MAX_OPS);
    for (int s = 0; s < 2; s++) {
        bool wanted = s == 0 || agn__op_kinds[spec->type]->two_sources;
        if (wanted ? spec->src[s] < 0 || spec->src[s] >= graph->count : spec->src[s] != -1) {
            return agn_fail(AGN_ERR_ARG, "operator %d (%s): source %d is not an earlier operator",
                            graph->count, agn_op_type_name(spec->type), s);
        }
    }
    *op = *spec;
    int status = agn__op_kinds[spec->type]->shape(graph, op);
    if (status < 0)
        return status;
    if (!shape_is_sane(op->shape)) {
        return agn_fail(AGN_ERR_RANGE,
                        "operator %d (%s %s) would give a %dx%dx%d tensor; check kernel and stride",
                        graph->count, agn_op_type_name(spec->type), spec->name, op->shape.height,
                        op->shape.width, op->shape.channels);
    }
    return graph->count++;
}

int agn_graph_tail(const struct agn_graph *graph, int from, struct agn_graph *tail)
{
    int status = agn_graph_init(tail, graph->ops[from].shape);
    for (int i = from + 1; i < graph->count && status >= 0; i++) {
        struct agn_op_spec op = graph->ops[i];
        for (int s = 0; s < 2 && op.src[s] >= 0; s++)
            op.src[s] -= from;
        status = op.src[0] < 0 || (graph->ops[i].src[1] >= 0 && op.src[1] < 0)
                     ? agn_fail(AGN_ERR_ARG, "operator %d (%s) reads what stands before operator %d", i,
                                agn_op_type_name(op.type), from)
                     : AGN_OK;
        tail->ops[tail->count++] = op;
    }
    return status < 0 ? status : AGN_OK;
}

struct agn_shape agn_graph_input_shape(const struct agn_graph *graph)
{
    return graph->ops[0].shape;
}

struct agn_shape agn_graph_output_shape(const struct agn_graph *graph)
{
    return graph->ops[graph->count - 1].shape;
}

int64_t agn_op_macs(const struct agn_graph *graph, int op)
{
    const struct agn_op_spec *spec = &graph->ops[op];
    const struct agn__op_kind *kind = agn__op_kinds[spec->type];
    return kind->macs == NULL ? 0 : kind->macs(graph, spec);
}
