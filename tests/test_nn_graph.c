/* Graphs: the block language, shapes, multiply-accumulates counted by hand, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/nn.h"

static int start(struct agn_graph *graph, int height, int width, int channels)
{
    int op = agn_graph_init(graph, (struct agn_shape){height, width, channels});
    assert_int_equal(op, 0);
    return op;
}

static void expect_shape(const struct agn_graph *graph, int op, int height, int width, int channels)
{
    struct agn_shape shape = graph->ops[op].shape;
    if (shape.height != height || shape.width != width || shape.channels != channels) {
        fail_msg("operator %d (%s) is %dx%dx%d, expected %dx%dx%d", op, graph->ops[op].name, shape.height,
                 shape.width, shape.channels, height, width, channels);
    }
}

/* The last call failed with a message that holds `word`. */
static void expect_message(const char *word)
{
    if (strstr(agn_error_message(), word) == NULL) {
        fail_msg("'%s' does not speak of '%s'", agn_error_message(), word);
    }
}

static void blocks_become_operators(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 28, 28, 1);
    int last =
        agn_graph_parse(&graph, 0, "net", "conv:c16:k3:s2 dw:k3 conv:c12:k1:l1\tmb:c24:s2:n2\n pool:g2");
    static const struct {
        enum agn_op_type type;
        const char *name;
        int height, channels;
    } expected[] = {{AGN_OP_CONV, "net.0", 14, 16},
                    {AGN_OP_BATCHNORM, "net.0.bn", 14, 16},
                    {AGN_OP_CONV, "net.1", 14, 16},
                    {AGN_OP_BATCHNORM, "net.1.bn", 14, 16},
                    {AGN_OP_CONV, "net.2", 14, 12},
                    {AGN_OP_BATCHNORM, "net.2.bn", 14, 12},
                    {AGN_OP_CONV, "net.3.expand", 14, 72},
                    {AGN_OP_BATCHNORM, "net.3.expand.bn", 14, 72},
                    {AGN_OP_CONV, "net.3.depthwise", 7, 72},
                    {AGN_OP_BATCHNORM, "net.3.depthwise.bn", 7, 72},
                    {AGN_OP_CONV, "net.3.project", 7, 24},
                    {AGN_OP_BATCHNORM, "net.3.project.bn", 7, 24},
                    {AGN_OP_CONV, "net.4.expand", 7, 144},
                    {AGN_OP_BATCHNORM, "net.4.expand.bn", 7, 144},
                    {AGN_OP_CONV, "net.4.depthwise", 7, 144},
                    {AGN_OP_BATCHNORM, "net.4.depthwise.bn", 7, 144},
                    {AGN_OP_CONV, "net.4.project", 7, 24},
                    {AGN_OP_BATCHNORM, "net.4.project.bn", 7, 24},
                    {AGN_OP_ADD, "", 7, 24},
                    {AGN_OP_POOL, "", 2, 24}};
    assert_int_equal(last, AGN_COUNT_OF(expected));
    assert_int_equal(graph.count, last + 1);
    for (int i = 0; i < last; i++) {
        const struct agn_op_spec *op = &graph.ops[i + 1];
        assert_int_equal(op->type, expected[i].type);
        assert_string_equal(op->name, expected[i].name);
        expect_shape(&graph, i + 1, expected[i].height, expected[i].height, expected[i].channels);
        bool linear = strstr(op->name, "project.bn") != NULL || strcmp(op->name, "net.2.bn") == 0;
        assert_int_equal(op->relu6, op->type == AGN_OP_BATCHNORM && !linear);
    }
    /* The shortcut joins the block's source and its projection. */
    assert_int_equal(graph.ops[19].src[0], 12);
    assert_int_equal(graph.ops[19].src[1], 18);
}

static void expansion_one_and_empty_text(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 8, 8, 16);
    assert_int_equal(agn_graph_parse(&graph, 0, "net", " \n"), 0);
    assert_int_equal(graph.count, 1);
    int last = agn_graph_parse(&graph, 0, "net", "mb:c16:e1");
    assert_int_equal(last, 5);
    assert_string_equal(graph.ops[1].name, "net.0.depthwise");
    assert_true(graph.ops[1].depthwise);
    assert_int_equal(graph.ops[5].type, AGN_OP_ADD);
}

static void shapes_of_convolutions(void **state)
{
    (void)state;
    static const struct {
        int height, width, kernel, stride, out_height, out_width;
    } cases[] = {{7, 5, 3, 1, 7, 5},   {7, 5, 3, 2, 4, 3},  {8, 6, 3, 2, 4, 3}, {9, 8, 5, 3, 3, 3},
                 {8, 8, 1, 3, 3, 3},   {1, 1, 11, 1, 1, 1}, {2, 3, 7, 2, 1, 2}, {224, 224, 3, 2, 112, 112},
                 {10, 10, 3, 8, 2, 2}, {4, 4, 1, 2, 2, 2}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_graph graph;
        start(&graph, cases[i].height, cases[i].width, 3);
        int full = agn_graph_conv(&graph, 0, "c", 5, cases[i].kernel, cases[i].stride, false);
        int dw = agn_graph_depthwise(&graph, 0, "d", cases[i].kernel, cases[i].stride);
        expect_shape(&graph, full, cases[i].out_height, cases[i].out_width, 5);
        expect_shape(&graph, dw, cases[i].out_height, cases[i].out_width, 3);
    }
}

static int64_t total_macs(const struct agn_graph *graph)
{
    int64_t sum = 0;
    for (int i = 0; i < graph->count; i++) {
        sum += agn_op_macs(graph, i);
    }
    return sum;
}

/* A MobileNetV2 block on 14x14x8 with expansion 6, stride 2, to 16 channels; then the head. */
static void macs_by_hand(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 14, 14, 8);
    int last = agn_graph_parse(&graph, 0, "net", "mb:c16:e6:k3:s2");
    assert_int_equal(agn_op_macs(&graph, 1), 14 * 14 * 8 * 48);   /* expand */
    assert_int_equal(agn_op_macs(&graph, 2), 0);                  /* BN: folded for inference */
    assert_int_equal(agn_op_macs(&graph, 3), 7 * 7 * 48 * 3 * 3); /* depthwise */
    assert_int_equal(agn_op_macs(&graph, 5), 7 * 7 * 48 * 16);    /* project */
    assert_int_equal(total_macs(&graph), 75264 + 21168 + 37632);
    last = agn_graph_dense(&graph, agn_graph_pool(&graph, last, 1), "fc", 10);
    assert_int_equal(agn_op_macs(&graph, last), 160);
    expect_shape(&graph, last, 1, 1, 10);
    /* A dense layer over a map, and a full 3x3 convolution with stride. */
    start(&graph, 7, 5, 3);
    int conv = agn_graph_conv(&graph, 0, "c", 4, 3, 2, true);
    int dense = agn_graph_dense(&graph, conv, "fc", 6);
    assert_int_equal(agn_op_macs(&graph, conv), 4 * 3 * 4 * 27);
    assert_int_equal(agn_op_macs(&graph, dense), 4 * 3 * 4 * 6);
    assert_int_equal(agn_op_macs(&graph, 0), 0);
}

/* Every bad block: a status, a message that names block and reason, an unchanged graph. */
static void bad_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *block, *reason;
    } cases[] = {{"conv:c8 convolution:c8", "convolution:c8", "kind is none of"},
                 {"convconvconvconvconv:c8", "convconvconvconvconv:c8", "kind is none of"},
                 {":c8", ":c8", "kind is none of"},
                 {"conv:c8 conv", "'conv'", "number of channels"},
                 {"mb:e6:k3", "mb:e6:k3", "number of channels"},
                 {"conv:c0", "conv:c0", "number of channels"},
                 {"conv:c8:x3", "conv:c8:x3", "'x3' starts with none"},
                 {"conv:c8:k", "conv:c8:k", "whole number"},
                 {"conv:c-8", "conv:c-8", "whole number"},
                 {"conv:c8:k3x", "conv:c8:k3x", "'3x' is not a whole number"},
                 {"conv:c1e3", "conv:c1e3", "whole number"},
                 {"conv:c99999999999999999999", "conv:c999", "whole number"},
                 {"conv:c8 conv:c8:k0", "conv:c8:k0", "kernel 1..11"},
                 {"conv:c8:k13", "conv:c8:k13", "kernel 1..11"},
                 {"dw:k3:s0", "dw:k3:s0", "stride 1..8"},
                 {"dw:s9", "dw:s9", "stride 1..8"},
                 {"mb:c8:n0", "mb:c8:n0", "at least 1"},
                 {"mb:c8:e0", "mb:c8:e0", "at least 1"},
                 {"conv:c60000 mb:c8:e60000", "mb:c8:e60000", "expansion"},
                 {"pool:g9", "pool:g9", "cannot be pooled"},
                 {"conv:c8 pool:g0", "pool:g0", "cannot be pooled"},
                 {"mb:c8:n600", "mb:c8:n600", "at most 512 operators"}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_graph graph;
        start(&graph, 8, 8, 3);
        int status = agn_graph_parse(&graph, 0, "net", cases[i].text);
        if (status >= 0) {
            fail_msg("'%s' was accepted", cases[i].text);
        }
        expect_message(cases[i].block);
        expect_message(cases[i].reason);
        expect_message("'net'");
        assert_int_equal(graph.count, 1);
    }
}

static void long_texts(void **state)
{
    (void)state;
    struct agn_graph graph;
    char text[4096];
    start(&graph, 8, 8, 3);
    memset(text, ' ', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_true(agn_graph_parse(&graph, 0, "net", text) < 0);
    expect_message("too long");
    memcpy(text, "conv", 4);
    memset(text + 4, ':', 200);
    strcpy(text + 204, "c8");
    assert_true(agn_graph_parse(&graph, 0, "net", text) < 0);
    expect_message("too long");
    assert_true(agn_graph_parse(&graph, 0, "a.prefix.of.more.than.thirty.two.letters", "conv:c8") < 0);
    expect_message("too long");
    assert_true(agn_graph_parse(&graph, 5, "net", "conv:c8") < 0);
    expect_message("source");
    assert_true(agn_graph_parse(&graph, -1, "net", "conv:c8") < 0);
    /* The longest names that can come up fit. */
    assert_true(agn_graph_parse(&graph, 0, "a.prefix.of.thirty.two.letters.x", "mb:c8:n9") > 0);
}

static void long_names(void **state)
{
    (void)state;
    struct agn_graph graph;
    char name[AGN_NAME_BYTES + 1];
    start(&graph, 8, 8, 3);
    memset(name, 'n', sizeof(name));
    name[AGN_NAME_BYTES] = '\0'; /* one letter more than fits */
    assert_int_equal(agn_graph_conv(&graph, 0, name, 4, 3, 1, true), AGN_ERR_RANGE);
    expect_message("too long");
    assert_int_equal(agn_graph_depthwise(&graph, 0, name, 3, 1), AGN_ERR_RANGE);
    assert_int_equal(agn_graph_batchnorm(&graph, 0, name, true), AGN_ERR_RANGE);
    assert_int_equal(agn_graph_dense(&graph, 0, name, 4), AGN_ERR_RANGE);
    assert_int_equal(graph.count, 1);
    name[AGN_NAME_BYTES - 1] = '\0';
    assert_int_equal(agn_graph_conv(&graph, 0, name, 4, 3, 1, true), 1);
    assert_string_equal(graph.ops[1].name, name);
    struct agn_params *params = NULL; /* "NAME.weight" must not be cut either */
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    assert_int_equal(strlen(params->list[0].name), AGN_NAME_BYTES - 1 + strlen(".weight"));
    agn_params_free(params);
}

static void limits(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 4, 4, 2);
    for (int i = 1; i < AGN_MAX_OPS; i++) {
        assert_int_equal(agn_graph_relu6(&graph, i - 1), i);
    }
    assert_int_equal(agn_graph_relu6(&graph, 5), AGN_ERR_RANGE);
    expect_message("512");
    assert_int_equal(graph.count, AGN_MAX_OPS);

    static const struct agn_shape impossible[] = {{0, 4, 3},    {4, -1, 3},      {4, 4, 0},
                                                  {5000, 4, 3}, {4, 4, 1000000}, {4096, 4096, 4096}};
    for (size_t i = 0; i < AGN_COUNT_OF(impossible); i++) {
        assert_int_equal(agn_graph_init(&graph, impossible[i]), AGN_ERR_RANGE);
    }
    start(&graph, 4096, 4096, 1);
    assert_true(agn_graph_conv(&graph, 0, "wide", 4096, 1, 1, false) < 0);
    expect_message("wide");
    assert_true(agn_graph_dense(&graph, 0, "fc", 0) < 0);
    assert_true(agn_graph_dense(&graph, 0, "fc", -3) < 0);
    assert_true(agn_graph_conv(&graph, 0, "c", -1, 3, 1, false) < 0);
    assert_true(agn_graph_conv(&graph, 0, "c", 4, -3, 1, false) < 0);
    assert_true(agn_graph_conv(&graph, 0, "c", 4, 3, -1, false) < 0);
    assert_int_equal(graph.count, 1);
}

static void sources(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 4, 4, 2);
    int conv = agn_graph_conv(&graph, 0, "c", 3, 3, 1, false);
    assert_int_equal(agn_graph_relu6(&graph, 2), AGN_ERR_ARG); /* itself */
    assert_int_equal(agn_graph_relu6(&graph, -1), AGN_ERR_ARG);
    assert_int_equal(agn_graph_add(&graph, conv, 7), AGN_ERR_ARG);
    assert_int_equal(agn_graph_add(&graph, -2, conv), AGN_ERR_ARG);
    assert_int_equal(agn_graph_add(&graph, 0, conv), AGN_ERR_ARG);
    expect_message("4x4x2");
    expect_message("4x4x3");
    assert_true(agn_graph_pool(&graph, conv, 5) < 0);
    expect_message("5x5");
    assert_int_equal(graph.count, 2);
}

/* What agn_net_create refuses. */
static void nets_that_cannot_be(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *params = NULL;
    struct agn_net *net = NULL;
    start(&graph, 4, 4, 2);
    int a = agn_graph_conv(&graph, 0, "a", 3, 3, 1, false);
    assert_true(a > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct agn_net_config good = {.graph = &graph, .params = params, .batch = 2, .mode = AGN_NET_FROZEN};
    struct agn_net_config bad = good;
    bad.batch = 0;
    assert_true(agn_net_create(&bad, &net) < 0);
    bad.batch = 2000000000;
    assert_true(agn_net_create(&bad, &net) < 0);
    bad = good;
    bad.passes = AGN_PASS_TANGENT;
    assert_true(agn_net_create(&bad, &net) < 0);
    expect_message("backward");
    bad.passes = AGN_PASS_TANGENT | AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT;
    bad.mode = AGN_NET_TRAIN;
    assert_int_equal(agn_net_create(&bad, &net), AGN_ERR_UNSUPPORTED);
    assert_null(net);
    assert_int_equal(agn_net_create(&good, &net), AGN_OK);
    assert_true(agn_net_backward(net) < 0); /* not planned */
    assert_true(agn_net_tangent(net) < 0);
    assert_true(agn_net_tangent_backward(net) < 0);
    assert_null(agn_net_diff_output(net));
    assert_null(agn_net_tangent_input(net));
    assert_int_equal(agn_net_batch(net), 2);
    assert_int_equal(agn_net_output_shape(net).channels, 3);
    assert_int_equal(agn_net_input_shape(net).height, 4);
    assert_true(agn_net_arena_bytes(net) >= 2 * 16 * 5 * sizeof(float));
    agn_net_free(net);
    agn_net_free(NULL);
    /* An operator that feeds nothing is a mistake in the graph. */
    assert_true(agn_graph_relu6(&graph, 0) > 0);
    assert_true(agn_net_create(&good, &net) < 0);
    expect_message("feeds nothing");
    agn_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_become_operators),
                                       cmocka_unit_test(expansion_one_and_empty_text),
                                       cmocka_unit_test(shapes_of_convolutions),
                                       cmocka_unit_test(macs_by_hand),
                                       cmocka_unit_test(bad_texts),
                                       cmocka_unit_test(long_texts),
                                       cmocka_unit_test(long_names),
                                       cmocka_unit_test(limits),
                                       cmocka_unit_test(sources),
                                       cmocka_unit_test(nets_that_cannot_be)};
    return cmocka_run_group_tests_name("nn graph", tests, NULL, NULL);
}
