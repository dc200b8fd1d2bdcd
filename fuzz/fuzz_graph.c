/* The text of a network: four bytes choose the input's height, width and channels and a width multiplier, the
 * text follows. What is taken has parameters, and is the same network when its blocks are written out; a
 * graph that a text is refused for stays as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/nn.h"

enum { MOST_WEIGHTS = 1 << 18, BLOCKS_BYTES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int condition)
{
    if (!condition)
        abort();
}

/* Only of small networks: filling in large ones takes time, and shows nothing. */
static void make_params(const struct agn_graph *graph)
{
    double weights = 0;
    for (int i = 1; i < graph->count; i++) {
        const struct agn_op_spec *op = &graph->ops[i];
        struct agn_shape in = graph->ops[op->src[0]].shape;
        int kernel = op->type == AGN_OP_CONV ? op->kernel * op->kernel : 1;
        weights += (double)kernel * in.channels * (op->depthwise ? 1 : op->shape.channels);
        demand(agn_op_macs(graph, i) >= 0);
    }
    struct agn_params *params = NULL;
    if (weights > MOST_WEIGHTS)
        return;
    demand(agn_params_create(graph, 1, &params) == AGN_OK);
    demand(agn_params_check_finite(params) == AGN_OK);
    agn_params_free(params);
}

static void write_out(const struct agn_graph *graph, const char *text, double width)
{
    static char blocks[BLOCKS_BYTES];
    static struct agn_graph again;
    int length = agn_graph_expand(text, width, blocks, sizeof blocks);
    demand(length >= 0 && strlen(blocks) == (size_t)length);
    int op = agn_graph_init(&again, agn_graph_input_shape(graph));
    op = agn_graph_parse(&again, op, "net", blocks);
    if (op == AGN_ERR_RANGE && again.count == 1)
        return; /* written out, it is longer than a text may be */
    demand(op >= 0 && again.count == graph->count);
    demand(memcmp(again.ops, graph->ops, (size_t)graph->count * sizeof graph->ops[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const double widths[] = {1, 1, 0.05, 0.5, 1.4, 4};
    static struct agn_graph graph;
    if (size < 4)
        return 0;
    struct agn_shape input = {1 + data[0], 1 + data[1], 1 + data[2]};
    double width = widths[data[3] % AGN_COUNT_OF(widths)];
    char *text = malloc(size - 3);
    if (!text)
        abort();
    memcpy(text, data + 4, size - 4);
    text[size - 4] = 0;
    demand(agn_graph_init(&graph, input) == 0);
    int op = agn_graph_parse_scaled(&graph, 0, "net", text, width);
    demand(op < 0 ? graph.count == 1 : op == graph.count - 1);
    if (op >= 0) {
        make_params(&graph);
        write_out(&graph, text, width);
    }
    free(text);
    return 0;
}
