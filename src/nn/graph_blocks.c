/* Blocks of well-known networks. See graph_blocks.h. */
#include "nn/graph_blocks.h"

#include <stdio.h>

enum { MAX_CHANNELS = 65535 };

static int make_name(char name[AGN_NAME_BYTES], const char *prefix, const char *part)
{
    if (snprintf(name, AGN_NAME_BYTES, "%s.%s", prefix, part) >= AGN_NAME_BYTES)
        return agn_fail(AGN_ERR_RANGE, "parameter name '%s.%s' is too long", prefix, part);
    return AGN_OK;
}

int agn__graph_conv_bn(struct agn_graph *graph, int src, const char *name, const struct agn__block *b,
                       enum agn__activation activation)
{
    char bn[AGN_NAME_BYTES];
    int status = make_name(bn, name, "bn");
    if (status < 0)
        return status;
    int op = b->channels > 0 ? agn_graph_conv(graph, src, name, b->channels, b->kernel, b->stride, false)
                             : agn_graph_depthwise(graph, src, name, b->kernel, b->stride);
    if (op >= 0)
        op = agn_graph_batchnorm(graph, op, bn, activation == AGN__RELU6);
    if (op >= 0 && activation == AGN__SILU)
        return agn_graph_silu(graph, op);
    return op >= 0 && activation == AGN__TANH ? agn_graph_tanh(graph, op) : op;
}

/* The same for a part of a larger block. */
static int append_part(struct agn_graph *graph, int src, const char *prefix, const char *part,
                       struct agn__block block, enum agn__activation activation)
{
    char name[AGN_NAME_BYTES];
    int status = src < 0 ? src : make_name(name, prefix, part);
    return status < 0 ? status : agn__graph_conv_bn(graph, src, name, &block, activation);
}

static int inner_channels(const struct agn_graph *graph, int src, const struct agn__block *b)
{
    int64_t inner = (int64_t)graph->ops[src].shape.channels * b->expansion;
    if (inner > MAX_CHANNELS) {
        return agn_fail(AGN_ERR_RANGE, "expansion by %d gives more than %d channels", b->expansion,
                        MAX_CHANNELS);
    }
    return (int)inner;
}

static int append_shortcut(struct agn_graph *graph, int src, int op, const struct agn__block *b)
{
    bool same = op >= 0 && b->stride == 1 && graph->ops[src].shape.channels == b->channels;
    return same ? agn_graph_add(graph, src, op) : op;
}

/* Squeeze-and-excitation of `op` to `squeezed` channels. */
static int append_excitation(struct agn_graph *graph, int op, const char *prefix, int squeezed)
{
    char squeeze[AGN_NAME_BYTES], excite[AGN_NAME_BYTES];
    int status = op < 0 ? op : make_name(squeeze, prefix, "squeeze");
    if (status >= 0)
        status = make_name(excite, prefix, "excite");
    if (status < 0)
        return status;
    int channels = graph->ops[op].shape.channels;
    int s = agn_graph_pool(graph, op, 1);
    s = s < 0 ? s : agn_graph_conv(graph, s, squeeze, squeezed, 1, 1, true);
    s = s < 0 ? s : agn_graph_silu(graph, s);
    s = s < 0 ? s : agn_graph_conv(graph, s, excite, channels, 1, 1, true);
    s = s < 0 ? s : agn_graph_sigmoid(graph, s);
    return s < 0 ? s : agn_graph_scale(graph, op, s);
}

int agn__graph_inverted_residual(struct agn_graph *graph, int src, const char *prefix,
                                 const struct agn__block *b, enum agn__activation activation, bool excite)
{
    int ic = graph->ops[src].shape.channels, op = src, inner = inner_channels(graph, src, b);
    if (inner < 0)
        return inner;
    if (b->expansion > 1)
        op = append_part(graph, op, prefix, "expand", (struct agn__block){inner, 1, 1, 1}, activation);
    op = append_part(graph, op, prefix, "depthwise", (struct agn__block){0, b->kernel, b->stride, 1},
                     activation);
    if (excite)
        op = append_excitation(graph, op, prefix, ic / 4 > 1 ? ic / 4 : 1);
    op = append_part(graph, op, prefix, "project", (struct agn__block){b->channels, 1, 1, 1}, AGN__LINEAR);
    return append_shortcut(graph, src, op, b);
}

int agn__graph_fused(struct agn_graph *graph, int src, const char *prefix, const struct agn__block *b)
{
    int op = src, inner = inner_channels(graph, src, b);
    if (inner < 0)
        return inner;
    if (b->expansion > 1) {
        op = append_part(graph, op, prefix, "expand", (struct agn__block){inner, b->kernel, b->stride, 1},
                         AGN__SILU);
        op =
            append_part(graph, op, prefix, "project", (struct agn__block){b->channels, 1, 1, 1}, AGN__LINEAR);
    } else {
        op = append_part(graph, op, prefix, "conv", (struct agn__block){b->channels, b->kernel, b->stride, 1},
                         AGN__SILU);
    }
    return append_shortcut(graph, src, op, b);
}

int agn__graph_attention(struct agn_graph *graph, int src, const char *prefix)
{
    enum { REDUCTION = 8 };
    char name[AGN_NAME_BYTES];
    int channels = graph->ops[src].shape.channels, inner = channels / REDUCTION;
    int status = make_name(name, prefix, "qkv");
    if (status < 0)
        return status;
    int qkv = agn_graph_conv(graph, src, name, 2 * (inner > 1 ? inner : 1) + channels, 1, 1, false);
    return qkv < 0 ? qkv : agn_graph_attention(graph, src, qkv, prefix);
}
