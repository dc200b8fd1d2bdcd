/* Random graphs, engine against the double-precision reference: operators strung together in ways
 * that nobody thought of, through the builder functions and agn_graph_parse. A failure names the
 * seed; run the program with a seed as argument to check that graph alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "backends.h"
#include "net_check.h"

enum { GRAPHS = 30, LEAST_ROWS = 12, MOST_POSITIONS = 40 };

static uint64_t first_seed = 1;
static int graphs = GRAPHS;

static int pick(struct agn_rng *rng, const int *choices, uint32_t count)
{
    return choices[agn_rng_below(rng, count)];
}

static bool same_shape(struct agn_shape a, struct agn_shape b)
{
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

/* Rows that a BN's batch statistics would rest on; too few make them ill-conditioned. */
static bool enough_rows(const struct agn_graph *graph, int op, int batch)
{
    struct agn_shape shape = graph->ops[op].shape;
    return batch * shape.height * shape.width >= LEAST_ROWS;
}

/* An earlier operator's result of the same shape as that of `op`; may be `op` itself. */
static int same_shaped(const struct agn_graph *graph, int op, struct agn_rng *rng)
{
    int candidates[AGN_MAX_OPS];
    uint32_t count = 0;
    for (int i = 0; i < graph->count; i++)
        if (same_shape(graph->ops[i].shape, graph->ops[op].shape))
            candidates[count++] = i;
    return pick(rng, candidates, count);
}

static int append_blocks(struct agn_graph *graph, int src, const char *name, int batch, struct agn_rng *rng)
{
    static const char *const texts[] = {"mb:c8:e2:k3:s1:n2",       "mb:c6:e1:k3:n3", "conv:c9:k3:l1 dw:k3",
                                        "dw:k5:s1 conv:c8:k1",     "mb:c8:e3:k5",    "mbse:c8:e2:k3:n2",
                                        "fused:c8:e2 fused:c8:e1", "mb:c8:e2:a1",    "mb:c8:e2:a2",
                                        "conv:c4 up conv:c8:s2"};
    return enough_rows(graph, src, batch)
               ? agn_graph_parse(graph, src, name, texts[agn_rng_below(rng, AGN_COUNT_OF(texts))])
               : agn_graph_relu6(graph, src);
}

static int append_random(struct agn_graph *graph, int batch, struct agn_rng *rng)
{
    static const int channels[] = {1, 3, 5, 8, 8, 8, 16, 19}, kernels[] = {1, 3, 3, 5},
                     strides[] = {1, 1, 1, 2};
    int last = graph->count - 1, src = last;
    char name[24];
    snprintf(name, sizeof(name), "op%d", graph->count);
    if (agn_rng_below(rng, 4) == 0)
        src = (int)agn_rng_below(rng, (uint32_t)graph->count);
    switch (agn_rng_below(rng, 14)) {
    case 0:
        return agn_graph_conv(graph, src, name, pick(rng, channels, 8), pick(rng, kernels, 4),
                              pick(rng, strides, 4), agn_rng_below(rng, 2) == 0);
    case 1:
        return agn_graph_depthwise(graph, src, name, pick(rng, kernels, 4), pick(rng, strides, 4));
    case 2:
    case 3:
        return enough_rows(graph, src, batch)
                   ? agn_graph_batchnorm(graph, src, name, agn_rng_below(rng, 2) == 0)
                   : agn_graph_relu6(graph, src);
    case 4:
        return append_blocks(graph, src, name, batch, rng);
    case 5:
        return agn_graph_relu6(graph, src);
    case 6:
        return agn_graph_silu(graph, src);
    case 7:
        return agn_graph_sigmoid(graph, src);
    case 8:
        return agn_graph_scale(graph, src, agn_graph_pool(graph, src, 1));
    case 9:
        return agn_graph_tanh(graph, src);
    case 10:
        return graph->ops[src].shape.height * graph->ops[src].shape.width <= MOST_POSITIONS
                   ? agn_graph_parse(graph, src, name, "attention")
                   : agn_graph_relu6(graph, src);
    case 11: {
        int factor = 2 + (int)agn_rng_below(rng, 2), parts = factor * factor;
        if (graph->ops[src].shape.height * graph->ops[src].shape.width > MOST_POSITIONS)
            return agn_graph_relu6(graph, src);
        return graph->ops[src].shape.channels % parts == 0 && graph->count % 2 == 0
                   ? agn_graph_shuffle(graph, src, factor)
                   : agn_graph_up(graph, src, factor);
    }
    default:
        return agn_graph_add(graph, src, same_shaped(graph, src, rng));
    }
}

/* Marks the results that an operator reads; returns how many nobody reads. */
static int find_readers(const struct agn_graph *graph, bool read[AGN_MAX_OPS])
{
    int unread = graph->count;
    for (int i = 1; i < graph->count; i++) {
        for (int s = 0; s < 2 && graph->ops[i].src[s] >= 0; s++) {
            bool *mark = &read[graph->ops[i].src[s]];
            unread -= !*mark;
            *mark = true;
        }
    }
    return unread;
}

/* Every result that nobody reads goes through pooling and a dense layer into one sum. */
static int gather(struct agn_graph *graph)
{
    bool read[AGN_MAX_OPS] = {false};
    int made = graph->count, sum = -1;
    find_readers(graph, read);
    for (int i = 0; i < made; i++) {
        if (!read[i]) {
            char name[24];
            snprintf(name, sizeof(name), "head%d", i);
            int grid = graph->ops[i].shape.height > 3 && graph->ops[i].shape.width > 3 ? 2 : 1;
            int head = agn_graph_dense(graph, agn_graph_pool(graph, i, grid), name, 4);
            sum = sum < 0 ? head : agn_graph_add(graph, sum, head);
        }
    }
    return sum;
}

static void build(struct agn_graph *graph, int batch, struct agn_rng *rng)
{
    static const int channels[] = {1, 3, 8, 8, 16};
    struct agn_shape input = {4 + (int)agn_rng_below(rng, 6), 4 + (int)agn_rng_below(rng, 6),
                              pick(rng, channels, 5)};
    int steps = 4 + (int)agn_rng_below(rng, 10);
    assert_int_equal(agn_graph_init(graph, input), 0);
    for (int i = 0; i < steps; i++)
        if (append_random(graph, batch, rng) < 0)
            fail_msg("building a random graph failed: %s", agn_error_message());
    bool read[AGN_MAX_OPS] = {false};
    if (find_readers(graph, read) > 1 || agn_rng_below(rng, 2) == 0)
        assert_true(gather(graph) > 0);
}

static void random_graphs(void **state)
{
    (void)state;
    for (int i = 0; i < graphs; i++) {
        struct agn_graph graph;
        struct agn_rng rng;
        uint64_t seed = first_seed + (uint64_t)i;
        char label[48];
        agn_rng_seed(&rng, seed);
        int batch = 1 + (int)agn_rng_below(&rng, 4);
        build(&graph, batch, &rng);
        for (int op = 0; op < graph.count && i % 2 == 1; op++) { /* half of them with stochastic depth */
            graph.ops[op].depth =
                graph.ops[op].type == AGN_OP_ADD && op % 3 > 0 ? 0.5F + 0.25F * (float)(op % 3) : 0.0F;
        }
        snprintf(label, sizeof(label), "random graph, seed %llu", (unsigned long long)seed);
        struct net_check check = {.label = label,
                                  .graph = &graph,
                                  .batch = batch,
                                  .seed = seed,
                                  .tolerance = 2e-4,
                                  .stochastic_depth = i % 2 == 1 ? 0.7F : 0.0F};
        net_check_both(&check);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        first_seed = strtoull(argv[1], NULL, 10);
        graphs = argc > 2 ? atoi(argv[2]) : 1;
    }
    agn_nn_set_threads(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs)};
    int failures = 0;
    for (int i = 0; test_backend(i) != NULL; i++) {
        agn__backend_use(test_backend(i));
        failures += cmocka_run_group_tests_name(test_backend(i)->name, tests, NULL, NULL);
    }
    print_message("largest relative error: %.2g\n", net_check_worst());
    return failures;
}
