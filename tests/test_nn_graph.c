/* Graphs: the block language, shapes, multiply-accumulates counted by hand, limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "nn/net_internal.h"

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
    if (strstr(agn_error_message(), word) == NULL)
        fail_msg("'%s' does not speak of '%s'", agn_error_message(), word);
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
    for (int i = 0; i < graph->count; i++)
        sum += agn_op_macs(graph, i);
    return sum;
}

/* Nearest neighbours have no parameters, take no number of the prefix and no multiplications. */
/* Even kernels as large as their stride are not padded, all others are by half their size. */
static void patches(void **state)
{
    (void)state;
    struct agn_graph graph;
    static const struct {
        const char *text;
        int side, out;
    } cases[] = {{"conv:c4:k4:s4:l1", 28, 7}, {"conv:c4:k4:s4", 32, 8}, {"conv:c4:k4:s4", 30, 7},
                 {"conv:c4:k2:s2", 12, 6},    {"dw:k2:s2", 12, 6},      {"conv:c4:k4:s2", 12, 7},
                 {"conv:c4:k3:s3", 12, 4},    {"conv:c4:k2", 12, 13}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        start(&graph, cases[i].side, cases[i].side, 4);
        int last = agn_graph_parse(&graph, 0, "net", cases[i].text);
        assert_true(last > 0);
        expect_shape(&graph, last, cases[i].out, cases[i].out, 4);
    }
}

/* What follows an operator has its parameters' names; a shortcut around that operator is none of it. */
static void tails(void **state)
{
    (void)state;
    static struct agn_graph graph, tail;
    start(&graph, 12, 12, 4);
    int middle = agn_graph_parse(&graph, 0, "front", "conv:c4"),
        last = agn_graph_parse(&graph, middle, "back", "mb:c4:e2");
    assert_int_equal(graph.ops[last].type, AGN_OP_ADD);
    assert_int_equal(agn_graph_tail(&graph, middle, &tail), AGN_OK);
    assert_int_equal(tail.count, last - middle + 1);
    expect_shape(&tail, 0, 12, 12, 4);
    assert_string_equal(tail.ops[1].name, "back.0.expand");
    assert_int_equal(tail.ops[tail.count - 1].src[0], 0);
    assert_int_equal(tail.ops[tail.count - 1].src[1], tail.count - 2);
    assert_int_equal(agn_graph_tail(&graph, 0, &tail), AGN_OK);
    assert_int_equal(tail.count, graph.count);
    assert_int_equal(agn_graph_tail(&graph, middle + 1, &tail), AGN_ERR_ARG);
    expect_message("before operator 3");
}

static void upsampling(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 6, 5, 3);
    int last = agn_graph_parse(&graph, 0, "net", "conv:c8:s2 up conv:c4 up:s3");
    expect_shape(&graph, last, 18, 18, 4);
    assert_int_equal(graph.ops[3].type, AGN_OP_UP);
    expect_shape(&graph, 3, 6, 6, 8);
    assert_string_equal(graph.ops[4].name, "net.1");
    assert_int_equal(agn_op_macs(&graph, last), 0);
    assert_int_equal(agn_graph_up(&graph, last, 1), AGN_ERR_RANGE);
    assert_int_equal(agn_graph_up(&graph, last, 9), AGN_ERR_RANGE);
    expect_message("by 2 to 8, not by 9");
    assert_int_equal(graph.count, last + 1);
}

static void shuffling(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 6, 5, 3);
    int last = agn_graph_parse(&graph, 0, "net", "conv:c36:l1 shuffle:s3 shuffle conv:c2");
    expect_shape(&graph, last, 36, 30, 2);
    assert_int_equal(graph.ops[3].type, AGN_OP_SHUFFLE);
    expect_shape(&graph, 3, 18, 15, 4);
    assert_string_equal(graph.ops[5].name, "net.1");
    assert_int_equal(agn_graph_shuffle(&graph, last, 9), AGN_ERR_RANGE);
    assert_int_equal(agn_graph_shuffle(&graph, last, 2), AGN_ERR_ARG);
    expect_message("2 channels are no multiple of the 4 that become 2x2 pixels");
    assert_int_equal(graph.count, last + 1);
}

/* Queries and keys of an eighth of the channels, but of one at least. */
static void attention(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 6, 5, 32);
    int last = agn_graph_parse(&graph, 0, "net", "attention conv:c7 attention");
    expect_shape(&graph, last, 6, 5, 7);
    static const enum agn_op_type types[] = {AGN_OP_CONV,      AGN_OP_ATTENTION, AGN_OP_CONV,
                                             AGN_OP_BATCHNORM, AGN_OP_CONV,      AGN_OP_ATTENTION};
    static const char *const names[] = {"net.0.qkv", "net.0", "net.1", "net.1.bn", "net.2.qkv", "net.2"};
    assert_int_equal(last, AGN_COUNT_OF(types));
    for (int i = 0; i < last; i++) {
        assert_int_equal(graph.ops[i + 1].type, types[i]);
        assert_string_equal(graph.ops[i + 1].name, names[i]);
    }
    expect_shape(&graph, 1, 6, 5, 4 + 4 + 32);
    expect_shape(&graph, 5, 6, 5, 1 + 1 + 7);
    assert_int_equal(agn_op_macs(&graph, 2), 30 * 30 * (4 + 32));
    /* Not as many positions; nothing left for queries; as many queries as keys cannot be. */
    int small = agn_graph_conv(&graph, last, "small", 9, 3, 2, false);
    assert_int_equal(agn_graph_attention(&graph, last, small, "a"), AGN_ERR_ARG);
    expect_message(
        "a 6x5x7 tensor takes as many positions of 7 + 2 n channels (n queries, n keys, 7 values)");
    assert_int_equal(agn_graph_attention(&graph, last, last, "a"), AGN_ERR_ARG);
    int odd = agn_graph_conv(&graph, last, "odd", 10, 1, 1, false);
    assert_int_equal(agn_graph_attention(&graph, last, odd, "a"), AGN_ERR_ARG);
    assert_int_equal(agn_graph_attention(&graph, last, -1, "a"), AGN_ERR_ARG);
    assert_int_equal(graph.count, odd + 1);
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

/* ---- names and widths ------------------------------------------------------- */

static void expect_expansion(const char *text, double width, const char *blocks)
{
    char expanded[1024];
    int length = agn_graph_expand(text, width, expanded, sizeof(expanded));
    if (length < 0)
        fail_msg("'%s': %s", text, agn_error_message());
    assert_string_equal(expanded, blocks);
    assert_int_equal(length, strlen(blocks));
}

static void named_networks(void **state)
{
    (void)state;
    expect_expansion("separable", 1, "dw:s3:l1 conv:c4:k1 dw:l1 conv:c24:k1");
    expect_expansion("separable:s2", 1, "dw:s2:l1 conv:c4:k1 dw:l1 conv:c24:k1");
    expect_expansion("conv24", 1, "conv:c24:s3 conv:c24");
    expect_expansion("conv24:s1  pool:g2 ", 1, "conv:c24 conv:c24 pool:g2");
    expect_expansion("efficientnetv2-s", 1,
                     "fused:c24:e1:n2 fused:c48:e4:s2:n4 fused:c64:e4:s2:n4 mbse:c128:e4:s2:n6 "
                     "mbse:c160:e6:n9 mbse:c256:e6:s2:n15 conv:c1280:k1:a1");
    expect_expansion("mobilenetv2-tiny", 1, "conv:c48:s2 mb:c48:e4 mb:c96:e4:s2 conv:c128:k1");
    /* What stands for itself stays: letters in one order, usual values left out, expansion always shown. */
    expect_expansion("mb:s2:c8:k5:e6:n1 conv:c20:k3", 1, "mb:c8:e6:k5:s2 conv:c20");
    expect_expansion("conv:c8 up:s2 conv:c8 up up:s3", 1, "conv:c8 up conv:c8 up up:s3");
    expect_expansion("conv:c8 attention up", 2, "conv:c16 attention up");
    expect_expansion("", 1, "");
    char small[24] = "unchanged";
    assert_int_equal(agn_graph_expand("conv:c24", 1, small, 8), AGN_ERR_SPACE);
    assert_int_equal(agn_graph_expand("conv:c24", 1, small, 9), 8);
    assert_int_equal(agn_graph_expand("conv24", 1, small, sizeof(small)), 20);
    assert_true(agn_graph_expand("convolution", 1, small, sizeof(small)) < 0);
    /* A named network is its blocks, parameters' names included. */
    struct agn_graph named, blocks;
    start(&named, 32, 32, 3);
    start(&blocks, 32, 32, 3);
    assert_true(agn_graph_parse(&named, 0, "net", "conv:c8 conv24:s2 mb:c8") > 0);
    assert_true(agn_graph_parse(&blocks, 0, "net", "conv:c8 conv:c24:s2 conv:c24 mb:c8") > 0);
    assert_int_equal(named.count, blocks.count);
    assert_memory_equal(named.ops, blocks.ops, (size_t)named.count * sizeof(named.ops[0]));
}

static void widths(void **state)
{
    (void)state;
    expect_expansion("conv:c32 mb:c16:e1 conv:c64", 0.75, "conv:c24 mb:c16:e1 conv:c48"); /* 12 -> 16 */
    expect_expansion("mb:c24 mb:c32 mb:c96 conv:c64", 0.35, "mb:c8:e6 mb:c16:e6 mb:c32:e6 conv:c24");
    expect_expansion("mb:c96 conv:c64", 1.4, "mb:c136:e6 conv:c88"); /* 134.4, 89.6 */
    expect_expansion("conv:c4 conv:c4", 0.1, "conv:c8 conv:c8");
    expect_expansion("conv:c20 conv:c21:k1", 1, "conv:c20 conv:c21:k1");
    /* The classifier's features never get narrower. */
    expect_expansion("mb:c32 conv:c1280:k1", 0.5, "mb:c16:e6 conv:c1280:k1");
    expect_expansion("mb:c32 conv:c1280:k1 pool", 0.5, "mb:c16:e6 conv:c1280:k1 pool");
    expect_expansion("mb:c32 conv:c1280:k1", 1.5, "mb:c48:e6 conv:c1920:k1");
    expect_expansion("mb:c32 conv:c1280", 0.5, "mb:c16:e6 conv:c640");
    /* Never below 90 %. */
    for (int channels = 1; channels < 500; channels++) {
        char text[32], expanded[64];
        for (double width = 0.1; width < 2.0; width += 0.13) {
            int got = 0;
            snprintf(text, sizeof(text), "conv:c%d", channels);
            assert_true(agn_graph_expand(text, width, expanded, sizeof(expanded)) > 0);
            assert_int_equal(sscanf(expanded, "conv:c%d", &got), 1);
            assert_true(got % 8 == 0 && got >= 0.9 * channels * width &&
                        (got == 8 || got <= channels * width + 8.0));
        }
    }
    struct agn_graph graph;
    start(&graph, 8, 8, 3);
    assert_true(agn_graph_parse_scaled(&graph, 0, "net", "conv:c8 conv:c60000", 2) < 0);
    expect_message("'conv:c60000': a width of 2 makes it 120000 channels; at most 65535");
    assert_true(agn_graph_parse_scaled(&graph, 0, "net", "conv:c8", 0) < 0);
    expect_message("a width of 0");
    assert_int_equal(graph.count, 1);
}

/* MobileNetV2 on 224x224 images: multiply-accumulates (millions) and parameters without BN (thousands) as its
 * authors publish them (tensorflow/models, slim/nets/mobilenet; 1001 classes). */
static void published_mobilenets(void **state)
{
    (void)state;
    static const struct {
        double width, macs, parameters;
    } published[] = {
        {1.4, 582, 6060}, {1.0, 300, 3470}, {0.75, 209, 2610}, {0.5, 97, 1950}, {0.35, 59, 1660}};
    for (size_t i = 0; i < AGN_COUNT_OF(published); i++) {
        struct agn_graph graph;
        struct agn_params *params = NULL;
        start(&graph, 224, 224, 3);
        int op = agn_graph_parse_scaled(&graph, 0, "net",
                                        "conv:c32:s2 mb:c16:e1 mb:c24:s2:n2 mb:c32:s2:n3 mb:c64:s2:n4 "
                                        "mb:c96:n3 mb:c160:s2:n3 mb:c320 conv:c1280:k1",
                                        published[i].width);
        op = agn_graph_dense(&graph, agn_graph_pool(&graph, op, 1), "fc", 1001);
        assert_true(op > 0);
        double macs = (double)total_macs(&graph) / 1e6, parameters = 0.0;
        assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
        for (int p = 0; p < params->count; p++) {
            parameters +=
                strstr(params->list[p].name, ".bn.") == NULL ? (double)params->list[p].count / 1e3 : 0;
        }
        agn_params_free(params);
        if (fabs(macs - published[i].macs) > 1.0 || fabs(parameters - published[i].parameters) > 10.0) {
            fail_msg("width %g: %.1f M multiply-accumulates, %.0f k parameters", published[i].width, macs,
                     parameters);
        }
    }
}

/* How deep each residual block is. */
static void depths(void **state)
{
    (void)state;
    struct agn_graph graph;
    start(&graph, 8, 8, 8);
    assert_true(agn_graph_parse(&graph, 0, "net",
                                "conv:c8 mb:c8:e1 mb:c8:s2:n2 dw mbse:c8 fused:c16 "
                                "fused:c16:e1 pool") > 0);
    static const double expected[] = {1.0 / 6, 3.0 / 6, 4.0 / 6,
                                      6.0 / 6}; /* blocks 2 and 5 have no shortcut */
    size_t found = 0;
    for (int i = 0; i < graph.count; i++) {
        if (graph.ops[i].type == AGN_OP_ADD) {
            assert_true(found < AGN_COUNT_OF(expected));
            assert_true(fabs((double)graph.ops[i].depth - expected[found++]) < 1e-6);
        } else {
            assert_true(graph.ops[i].depth == 0.0F);
        }
    }
    assert_int_equal(found, AGN_COUNT_OF(expected));
}

/* Every bad block: a status, a message that names block and reason, an unchanged graph. */
static void bad_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *block, *reason;
    } cases[] = {
        {"conv:c8 convolution:c8", "convolution:c8",
         "kind is none of conv, dw, mb, mbse, fused, pool, up, shuffle, attention, nor"},
        {"convconvconvconvconv:c8", "convconvconvconvconv:c8", "kind is none of"},
        {"mobilenetv3", "mobilenetv3", "efficientnetv2-s, mobilenetv2"},
        {":c8", ":c8", "kind is none of"},
        {":", "':'", "kind is none of"},
        {"conv:c8 conv", "'conv'", "number of channels"},
        {"mb:e6:k3", "mb:e6:k3", "number of channels"},
        {"conv:c0", "conv:c0", "number of channels, 1 to 65535"},
        {"conv:c65536", "conv:c65536", "'65536' is not a whole number from 0 to 65535"},
        {"conv:c8:x3", "conv:c8:x3", "'x3' starts with none of the letters that conv takes, cksnla"},
        {"dw:c8", "dw:c8", "'c8' starts with none of the letters that dw takes"},
        {"conv:c8:e4", "conv:c8:e4", "'e4' starts with none"},
        {"pool:g1:s2", "pool:g1:s2", "letters that pool takes, g"},
        {"up:c8", "up:c8", "'c8' starts with none of the letters that up takes, s"},
        {"up:s1", "up:s1", "s1: a stride from 2 to 8"},
        {"up:s9", "up:s9", "s9: a stride from 2 to 8"},
        {"up:s8 up:s8 up:s8 up:s8", "'up:s8' on a 4096x4096x3 map", "32768x32768x3"},
        {"attention:c8", "attention:c8", "attention takes no letters"},
        {"up:s8 up:s8 attention", "'attention' on a 512x512x3 map", "up to 16384 positions, not on 512x512"},
        {"conv::c8", "conv::c8", "a colon is followed by no letter"},
        {"conv:c8:", "conv:c8:", "a colon is followed by no letter"},
        {"conv:c8:s2:s3", "conv:c8:s2:s3", "letter s is given twice"},
        {"conv:c8:k", "conv:c8:k", "whole number"},
        {"conv:c-8", "conv:c-8", "whole number"},
        {"conv:c8:k3x", "conv:c8:k3x", "'3x' is not a whole number"},
        {"conv:c1e3", "conv:c1e3", "whole number"},
        {"conv:c99999999999999999999", "conv:c999", "whole number"},
        {"conv:c8 conv:c8:k0", "conv:c8:k0", "k0: a kernel from 1 to 11 is possible"},
        {"conv:c8:k13", "conv:c8:k13", "k13: a kernel from 1 to 11"},
        {"dw:k3:s0", "dw:k3:s0", "s0: a stride from 1 to 8"},
        {"dw:s9", "dw:s9", "s9: a stride from 1 to 8"},
        {"mb:c8:n0", "mb:c8:n0", "n0: a number of repeats from 1"},
        {"mb:c8:e0", "mb:c8:e0", "e0: an expansion from 1"},
        {"conv:c8:l2", "conv:c8:l2", "l2: l (1: no activation) from 0 to 1"},
        {"conv:c8:a3", "conv:c8:a3", "a3: a (0: ReLU6, 1: SiLU, 2: tanh) from 0 to 2"},
        {"conv:c60000 mb:c8:e60000", "'mb:c8:e60000' on a 8x8x60000 map", "expansion by 60000"},
        {"conv:c8:s2 pool:g9", "'pool:g9' on a 4x4x8 map", "a 4x4 map cannot be pooled to a 9x9 grid"},
        {"conv:c8 pool:g0", "pool:g0", "g0: a grid from 1"},
        {"mb:c8:n600", "mb:c8:n600", "at most 512 operators"},
        {"separable:c8", "separable:c8", "nothing but its stride, 1 to 8, such as separable:s3"},
        {"conv24:s9", "conv24:s9", "nothing but its stride"},
        {"conv24:s", "conv24:s", "nothing but its stride"},
        {"conv24:s2:s2", "conv24:s2:s2", "nothing but its stride"},
        {"efficientnetv2-s:s2", "efficientnetv2-s:s2", "takes no letters"},
        {"mobilenetv2-small mobilenetv2 mobilenetv2 efficientnetv2-s efficientnetv2-s", "'mbse:c",
         "at most 512 operators"}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_graph graph;
        start(&graph, 8, 8, 3);
        int status = agn_graph_parse(&graph, 0, "net", cases[i].text);
        if (status >= 0)
            fail_msg("'%s' was accepted", cases[i].text);
        expect_message(cases[i].block);
        expect_message(cases[i].reason);
        expect_message("'net'");
        assert_int_equal(graph.count, 1);
    }
}

/* A number of tokens beyond what a graph can hold. */
static void many_blocks(void **state)
{
    (void)state;
    struct agn_graph graph;
    char text[2048] = "";
    for (int i = 0; i < 600; i++)
        strcat(text, "dw ");
    start(&graph, 8, 8, 3);
    assert_int_equal(agn_graph_parse(&graph, 0, "net", text), AGN_ERR_RANGE);
    expect_message("at most 512 operators");
    assert_int_equal(graph.count, 1);
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
    for (int i = 1; i < AGN_MAX_OPS; i++)
        assert_int_equal(agn_graph_relu6(&graph, i - 1), i);
    assert_int_equal(agn_graph_relu6(&graph, 5), AGN_ERR_RANGE);
    expect_message("512");
    assert_int_equal(graph.count, AGN_MAX_OPS);

    static const struct agn_shape impossible[] = {{0, 4, 3},    {4, -1, 3},      {4, 4, 0},
                                                  {5000, 4, 3}, {4, 4, 1000000}, {4096, 4096, 4096}};
    for (size_t i = 0; i < AGN_COUNT_OF(impossible); i++)
        assert_int_equal(agn_graph_init(&graph, impossible[i]), AGN_ERR_RANGE);
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
    assert_null(agn_net_write(net, AGN_BORDER_DIFF_OUTPUT));
    assert_null(agn_net_read(net, AGN_BORDER_TANGENT_INPUT));
    assert_int_equal(agn_net_output_shape(net).channels, 3);
    assert_int_equal(agn_net_input_shape(net).height, 4);
    assert_true(agn__net_arena_bytes(net) >= 2 * 16 * 5 * sizeof(float));
    agn_net_free(net);
    agn_net_free(NULL);
    /* An operator that feeds nothing is a mistake in the graph. */
    assert_true(agn_graph_relu6(&graph, 0) > 0);
    assert_true(agn_net_create(&good, &net) < 0);
    expect_message("feeds nothing");
    agn_params_free(params);
}

/* 12.6 million MACs and 0.46 million weights besides the classifier; residual sums where the definition has
 * them. */
static void mcunet_is_the_published_network(void **state)
{
    (void)state;
    static struct agn_graph graph;
    int64_t macs = 0, weights = 0;
    int sums = 0;
    assert_int_equal(agn_graph_check_device("mcunet-5fps"), AGN_OK);
    agn_graph_init(&graph, (struct agn_shape){96, 96, 3});
    int last = agn_graph_parse(&graph, 0, "net", "mcunet-5fps");
    assert_true(last > 0);
    for (int i = 1; i < graph.count; i++) {
        const struct agn_op_spec *op = &graph.ops[i];
        int ic = graph.ops[op->src[0]].shape.channels;
        macs += agn_op_macs(&graph, i);
        sums += op->type == AGN_OP_ADD;
        if (op->type == AGN_OP_CONV)
            weights += (int64_t)op->kernel * op->kernel * (op->depthwise ? 1 : ic) * op->shape.channels;
    }
    assert_int_equal(sums, 7);
    assert_true(graph.ops[last].shape.height == 3 && graph.ops[last].shape.channels == 160);
    print_message("mcunet-5fps: %lld MACs, %lld weights\n", (long long)macs, (long long)weights);
    assert_true(macs > 12500000 && macs < 12700000 && weights > 440000 && weights < 470000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mcunet_is_the_published_network),
                                       cmocka_unit_test(blocks_become_operators),
                                       cmocka_unit_test(expansion_one_and_empty_text),
                                       cmocka_unit_test(shapes_of_convolutions),
                                       cmocka_unit_test(macs_by_hand),
                                       cmocka_unit_test(patches),
                                       cmocka_unit_test(tails),
                                       cmocka_unit_test(upsampling),
                                       cmocka_unit_test(shuffling),
                                       cmocka_unit_test(attention),
                                       cmocka_unit_test(named_networks),
                                       cmocka_unit_test(widths),
                                       cmocka_unit_test(published_mobilenets),
                                       cmocka_unit_test(depths),
                                       cmocka_unit_test(bad_texts),
                                       cmocka_unit_test(many_blocks),
                                       cmocka_unit_test(long_texts),
                                       cmocka_unit_test(long_names),
                                       cmocka_unit_test(limits),
                                       cmocka_unit_test(sources),
                                       cmocka_unit_test(nets_that_cannot_be)};
    return cmocka_run_group_tests_name("nn graph", tests, NULL, NULL);
}
