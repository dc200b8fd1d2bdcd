/* Networks from text: agn_graph_parse (nn.h). The text itself: graph_text.c. */
#include <stdio.h>
#include <string.h>

#include "nn/graph_blocks.h"
#include "nn/graph_text.h"

enum { MAX_PREFIX = 32 };

/* A network on its way into a graph. */
struct building {
    struct agn_graph *graph;
    const char *prefix;
    int number;              /* of the next part with parameters */
    int residuals, residual; /* blocks that may have a shortcut: all, so far */
};

static int append_once(struct building *b, int src, const struct agn__text_block *text, int stride)
{
    char name[AGN_NAME_BYTES - 16];
    struct agn__block block = {text->channels, text->kernel, stride, text->expansion};
    static const enum agn__activation by_number[] = {AGN__RELU6, AGN__SILU, AGN__TANH};
    enum agn__activation activation = by_number[text->activation];
    if (text->kind == AGN__BLOCK_POOL)
        return agn_graph_pool(b->graph, src, text->grid); /* has no parameters, takes no number */
    if (text->kind == AGN__BLOCK_UP)
        return agn_graph_up(b->graph, src, stride); /* nor does it */
    if (text->kind == AGN__BLOCK_SHUFFLE)
        return agn_graph_shuffle(b->graph, src, stride);
    snprintf(name, sizeof(name), "%s.%d", b->prefix, b->number++);
    switch (text->kind) {
    case AGN__BLOCK_INVERTED_RESIDUAL:
        return agn__graph_inverted_residual(b->graph, src, name, &block, activation, false);
    case AGN__BLOCK_MBCONV:
        return agn__graph_inverted_residual(b->graph, src, name, &block, AGN__SILU, true);
    case AGN__BLOCK_ATTENTION:
        return agn__graph_attention(b->graph, src, name);
    case AGN__BLOCK_FUSED:
        return agn__graph_fused(b->graph, src, name, &block);
    default:
        return agn__graph_conv_bn(b->graph, src, name, &block, text->linear != 0 ? AGN__LINEAR : activation);
    }
}

static int append_block(struct building *b, int src, const struct agn__text_block *text)
{
    int op = src;
    for (int i = 0; i < text->repeats && op >= 0; i++) {
        op = append_once(b, op, text, i == 0 ? text->stride : 1);
        b->residual += agn__block_is_residual(text->kind);
        if (op >= 0 && b->graph->ops[op].type == AGN_OP_ADD)
            b->graph->ops[op].depth = (float)b->residual / (float)b->residuals;
    }
    return op;
}

static int append_blocks(struct agn_graph *graph, int src, const char *prefix,
                         const struct agn__text_blocks *blocks)
{
    struct building building = {.graph = graph, .prefix = prefix};
    int op = src;
    for (int i = 0; i < blocks->count; i++)
        building.residuals += agn__block_is_residual(blocks->list[i].kind) ? blocks->list[i].repeats : 0;
    for (int i = 0; i < blocks->count && op >= 0; i++) {
        struct agn_shape map = graph->ops[op].shape;
        op = append_block(&building, op, &blocks->list[i]);
        if (op < 0) {
            char reason[384];
            snprintf(reason, sizeof(reason), "%s", agn_error_message());
            agn_fail(op, "block '%.60s' on a %dx%dx%d map: %s", blocks->list[i].token, map.height, map.width,
                     map.channels, reason);
        }
    }
    return op;
}

int agn_graph_parse_scaled(struct agn_graph *graph, int src, const char *prefix, const char *text,
                           double width)
{
    int count = graph->count;
    if (strlen(prefix) > MAX_PREFIX)
        return agn_fail(AGN_ERR_RANGE, "the network prefix '%.32s...' is too long", prefix);
    if (src < 0 || src >= count)
        return agn_fail(AGN_ERR_ARG, "network '%s': source %d is not an earlier operator", prefix, src);
    struct agn__text_blocks *blocks = agn_alloc(1, sizeof(*blocks));
    int op = blocks == NULL ? AGN_ERR_MEMORY : agn__text_read(text, width, blocks);
    if (op >= 0)
        op = append_blocks(graph, src, prefix, blocks);
    agn_free(blocks);
    if (op < 0 && op != AGN_ERR_MEMORY) {
        char reason[512];
        snprintf(reason, sizeof(reason), "%s", agn_error_message());
        agn_fail(op, "network '%s', %s", prefix, reason);
    }
    graph->count = op < 0 ? count : graph->count; /* as it was */
    return op;
}

int agn_graph_parse(struct agn_graph *graph, int src, const char *prefix, const char *text)
{
    return agn_graph_parse_scaled(graph, src, prefix, text, 1.0);
}
