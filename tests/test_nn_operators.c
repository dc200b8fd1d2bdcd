/* Every operator of the engine, float, against the double-precision reference: value, gradients,
 * tangent, tangent-backward, running statistics, and the planner's memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "backends.h"
#include "net_check.h"
#include "nn/net_internal.h"

static const int batches[] = {1, 3, 8};

/* Relative to a tensor's largest value; float arithmetic itself gives about 1e-6. */
static const double TOLERANCE = 2e-5;

static void check(const char *label, const struct agn_graph *graph, int batch)
{
    struct net_check request = {
        .label = label, .graph = graph, .batch = batch, .seed = 17, .tolerance = TOLERANCE};
    net_check_both(&request);
}

struct conv_case {
    struct agn_shape in;
    int oc, kernel, stride; /* oc 0: depthwise */
    bool bias;
};

static const struct conv_case conv_cases[] = {
    {{7, 5, 1}, 3, 3, 1, true},     {{7, 5, 3}, 16, 3, 2, false},  {{5, 7, 16}, 24, 1, 1, false},
    {{9, 8, 3}, 5, 5, 3, true},     {{6, 7, 19}, 33, 1, 2, true},  {{4, 4, 33}, 16, 3, 1, true},
    {{3, 3, 5}, 19, 5, 1, false},   {{8, 8, 24}, 24, 3, 3, false}, {{1, 1, 33}, 5, 1, 1, true},
    {{2, 3, 16}, 1, 3, 2, true},    {{8, 7, 5}, 16, 1, 3, false},  {{7, 5, 1}, 0, 3, 1, false},
    {{7, 5, 16}, 0, 3, 2, false},   {{6, 6, 24}, 0, 5, 1, false},  {{9, 7, 33}, 0, 3, 1, false},
    {{8, 5, 19}, 0, 5, 2, false},   {{5, 5, 3}, 0, 1, 1, false},   {{10, 7, 5}, 0, 3, 3, false},
    {{12, 12, 16}, 0, 3, 1, false}, {{7, 5, 48}, 64, 3, 1, false}, {{8, 8, 50}, 53, 3, 1, true},
    {{4, 4, 64}, 48, 3, 1, false},  {{14, 10, 1}, 8, 1, 2, false}, {{10, 6, 1}, 1, 1, 2, true},
    {{15, 9, 1}, 16, 1, 3, false}};

static int append_conv(struct agn_graph *graph, int src, const char *name, const struct conv_case *c)
{
    return c->oc > 0 ? agn_graph_conv(graph, src, name, c->oc, c->kernel, c->stride, c->bias)
                     : agn_graph_depthwise(graph, src, name, c->kernel, c->stride);
}

static void name_conv(char *label, size_t size, const char *what, const struct conv_case *c, int batch)
{
    snprintf(label, size, "%s %dx%dx%d -> %d, kernel %d, stride %d, batch %d", what, c->in.height,
             c->in.width, c->in.channels, c->oc, c->kernel, c->stride, batch);
}

static void convolutions(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(conv_cases); i++) {
        struct agn_graph graph;
        char label[128];
        assert_int_equal(agn_graph_init(&graph, conv_cases[i].in), 0);
        assert_true(append_conv(&graph, 0, "c", &conv_cases[i]) > 0);
        for (size_t b = 0; b < AGN_COUNT_OF(batches); b++) {
            name_conv(label, sizeof(label), "conv", &conv_cases[i], batches[b]);
            check(label, &graph, batches[b]);
        }
    }
}

/* Folded into the convolution when frozen, with and without ReLU6, once at the end and once inside. */
static void convolutions_with_batchnorm(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(conv_cases); i++) {
        if (conv_cases[i].in.channels == 1 && conv_cases[i].kernel == 1)
            continue; /* BN takes out a lone weight's size: its gradient is a rounding error */
        for (int relu6 = 0; relu6 < 2; relu6++) {
            struct agn_graph graph;
            char label[128];
            /* Few values a channel would make the batch's statistics an ill-conditioned affair. */
            int batch = conv_cases[i].in.height < 3 ? 8 : batches[(i + (size_t)relu6) % 3];
            assert_int_equal(agn_graph_init(&graph, conv_cases[i].in), 0);
            int op = append_conv(&graph, 0, "c", &conv_cases[i]);
            op = agn_graph_batchnorm(&graph, op, "bn", relu6 != 0);
            if (i % 2 == 0)
                op = agn_graph_conv(&graph, op, "after", 6, 1, 1, true);
            assert_true(op > 0);
            name_conv(label, sizeof(label), relu6 != 0 ? "conv+bn+relu6" : "conv+bn", &conv_cases[i], batch);
            check(label, &graph, batch);
        }
    }
}

static void batchnorm_alone(void **state)
{
    (void)state;
    static const struct agn_shape shapes[] = {{7, 5, 1}, {4, 4, 16}, {5, 6, 19}, {3, 3, 33}, {14, 14, 8}};
    for (size_t i = 0; i < AGN_COUNT_OF(shapes); i++) {
        for (int variant = 0; variant < 6; variant++) {
            struct agn_graph graph;
            char label[64];
            bool relu6 = variant % 2 != 0;
            int op = agn_graph_init(&graph, shapes[i]), where = variant / 2;
            if (where == 1) /* after an ADD */
                op = agn_graph_add(&graph, op, op);
            else if (where == 2) /* after a POOL */
                op = agn_graph_pool(&graph, op, 3);
            op = agn_graph_batchnorm(&graph, op, "bn", relu6);
            assert_true(op > 0);
            snprintf(label, sizeof(label), "batchnorm alone, shape %zu, variant %d", i, variant);
            check(label, &graph, batches[1 + i % 2]);
        }
    }
}

static void relu6(void **state)
{
    (void)state;
    struct agn_graph graph;
    int op = agn_graph_init(&graph, (struct agn_shape){7, 5, 19});
    op = agn_graph_add(&graph, op, op);
    op = agn_graph_add(&graph, op, op); /* times 4, so that some values exceed 6 */
    op = agn_graph_relu6(&graph, op);
    assert_true(op > 0);
    check("relu6 at the end", &graph, 3);
    op = agn_graph_relu6(&graph, agn_graph_conv(&graph, op, "c", 5, 3, 1, true));
    op = agn_graph_dense(&graph, op, "d", 4);
    assert_true(op > 0);
    check("relu6 inside", &graph, 8);
}

static void smooth_activations(void **state)
{
    (void)state;
    static int (*const activations[])(struct agn_graph *, int) = {agn_graph_silu, agn_graph_sigmoid,
                                                                  agn_graph_tanh};
    for (size_t i = 0; i < AGN_COUNT_OF(activations); i++) {
        struct agn_graph graph;
        int op = agn_graph_init(&graph, (struct agn_shape){7, 5, 19});
        op = agn_graph_add(&graph, op, op);
        op = activations[i](&graph, agn_graph_add(&graph, op, op)); /* times 4: the tails too */
        assert_true(op > 0);
        check(agn_op_type_name(graph.ops[op].type), &graph, 3);
        op = activations[i](&graph, agn_graph_conv(&graph, op, "c", 5, 3, 1, true));
        op = agn_graph_dense(&graph, op, "d", 4);
        assert_true(op > 0);
        check("a smooth activation inside", &graph, 8);
    }
}

/* Each value by itself, near 0 as far from it. */
static void tanh_keeps_small_values(void **state)
{
    (void)state;
    enum { VALUES = 4000 };
    struct agn_graph graph;
    struct agn_params *params = NULL;
    struct agn_net *net = NULL;
    agn_graph_init(&graph, (struct agn_shape){1, 1, VALUES});
    assert_true(agn_graph_tanh(&graph, 0) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct agn_net_config config = {.graph = &graph, .params = params, .batch = 1, .mode = AGN_NET_FROZEN};
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    float *x = agn_net_write(net, AGN_BORDER_INPUT);
    for (int i = 0; i < VALUES; i++) /* 1e-8 to 1e4, of either sign */
        x[i] = (i % 2 == 0 ? 1.0F : -1.0F) * powf(10.0F, -8.0F + 12.0F * (float)i / VALUES);
    x[0] = 0.0F;
    x[1] = INFINITY;
    x[2] = -INFINITY;
    x[3] = NAN;
    assert_int_equal(agn_net_forward(net), AGN_OK);
    const float *y = agn_net_read(net, AGN_BORDER_OUTPUT);
    assert_true(y[0] == 0.0F && y[1] == 1.0F && y[2] == -1.0F && isnan(y[3]));
    for (int i = 4; i < VALUES; i++) {
        double expected = tanh((double)x[i]);
        if (!(fabs((double)y[i] - expected) <= 3e-7 * fabs(expected)))
            fail_msg("tanh(%g) is %.9g, not %.9g", (double)x[i], (double)y[i], expected);
    }
    agn_net_free(net);
    agn_params_free(params);
}

static void scales(void **state)
{
    (void)state;
    static const struct agn_shape shapes[] = {{7, 7, 3}, {1, 1, 16}, {5, 6, 19}};
    for (size_t i = 0; i < AGN_COUNT_OF(shapes); i++) {
        struct agn_graph graph;
        int in = agn_graph_init(&graph, shapes[i]);
        int factors =
            agn_graph_conv(&graph, agn_graph_pool(&graph, in, 1), "f", shapes[i].channels, 1, 1, true);
        assert_true(agn_graph_scale(&graph, in, agn_graph_sigmoid(&graph, factors)) > 0);
        check("scale", &graph, batches[i]);
        int wrong = agn_graph_conv(&graph, in, "w", shapes[i].channels + 1, 1, 1, false);
        assert_true(agn_graph_scale(&graph, in, wrong) < 0);
    }
}

static void pools(void **state)
{
    (void)state;
    static const struct agn_shape shapes[] = {{7, 7, 3}, {14, 14, 16}, {5, 6, 19}};
    static const int grids[] = {1, 2, 4, 5};
    for (size_t i = 0; i < AGN_COUNT_OF(shapes); i++) {
        for (size_t g = 0; g < AGN_COUNT_OF(grids); g++) {
            struct agn_graph graph;
            char label[64];
            int op = agn_graph_init(&graph, shapes[i]);
            op = agn_graph_pool(&graph, op, grids[g]);
            assert_true(op > 0);
            snprintf(label, sizeof(label), "pool %dx%d to %d", shapes[i].height, shapes[i].width, grids[g]);
            check(label, &graph, batches[(i + g) % 3]);
        }
    }
}

static void upsampling(void **state)
{
    (void)state;
    static const struct agn_shape shapes[] = {{7, 5, 3}, {4, 4, 16}, {1, 1, 19}, {3, 2, 33}};
    static const int factors[] = {2, 3, 8};
    for (size_t i = 0; i < AGN_COUNT_OF(shapes); i++) {
        for (size_t f = 0; f < AGN_COUNT_OF(factors); f++) {
            struct agn_graph graph;
            char label[64];
            int op = agn_graph_init(&graph, shapes[i]);
            assert_true(agn_graph_up(&graph, op, factors[f]) > 0);
            snprintf(label, sizeof(label), "up %dx%d by %d", shapes[i].height, shapes[i].width, factors[f]);
            check(label, &graph, batches[(i + f) % 3]);
        }
    }
}

static void shuffling(void **state)
{
    (void)state;
    static const struct agn_shape shapes[] = {{7, 5, 8}, {4, 4, 36}, {1, 1, 64}, {3, 2, 192}};
    static const int factors[] = {2, 3, 8, 4};
    for (size_t i = 0; i < AGN_COUNT_OF(shapes); i++) {
        struct agn_graph graph;
        char label[64];
        int op = agn_graph_init(&graph, shapes[i]);
        assert_true(agn_graph_shuffle(&graph, op, factors[i]) > 0);
        snprintf(label, sizeof(label), "shuffle of %d channels by %d", shapes[i].channels, factors[i]);
        check(label, &graph, batches[i % 3]);
    }
}

/* Positions in one block of queries and in several, with and without a rest; few and many channels. */
static void attentions(void **state)
{
    (void)state;
    static const struct {
        struct agn_shape in;
        int inner;
    } cases[] = {{{1, 1, 3}, 1},  {{4, 3, 1}, 1},  {{5, 4, 8}, 3},
                 {{8, 8, 16}, 2}, {{9, 8, 19}, 5}, {{12, 11, 5}, 1}};
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_graph graph;
        char label[64];
        int in = agn_graph_init(&graph, cases[i].in);
        int qkv = agn_graph_conv(&graph, in, "qkv", cases[i].in.channels + 2 * cases[i].inner, 1, 1, true);
        int op = agn_graph_attention(&graph, in, qkv, "att");
        assert_true(op > 0);
        for (size_t b = 0; b < AGN_COUNT_OF(batches); b++) {
            snprintf(label, sizeof(label), "attention, shape %zu, batch %d", i, batches[b]);
            check(label, &graph, batches[b]);
        }
        assert_true(agn_graph_dense(&graph, agn_graph_attention(&graph, op, qkv, "again"), "fc", 3) > 0);
        check("attention twice", &graph, 3); /* gradients of qkv are added */
    }
}

/* The network's input as queries, keys and values: with and without a gradient of it. */
static void attention_on_the_input(void **state)
{
    (void)state;
    struct agn_graph graph;
    int in = agn_graph_init(&graph, (struct agn_shape){5, 4, 9});
    int x = agn_graph_conv(&graph, in, "x", 5, 3, 1, true);
    assert_true(agn_graph_attention(&graph, x, in, "att") > 0);
    check("attention on the input", &graph, 3);
}

static void dense_layers(void **state)
{
    (void)state;
    static const struct agn_shape shapes[] = {{1, 1, 33}, {4, 4, 5}, {3, 2, 19}, {1, 1, 1}};
    static const int outputs[] = {10, 3, 16, 1};
    for (size_t i = 0; i < AGN_COUNT_OF(shapes); i++) {
        struct agn_graph graph;
        char label[64];
        int op = agn_graph_init(&graph, shapes[i]);
        op = agn_graph_dense(&graph, op, "fc", outputs[i]);
        assert_true(op > 0);
        for (size_t b = 0; b < AGN_COUNT_OF(batches); b++) {
            snprintf(label, sizeof(label), "dense, shape %zu, batch %d", i, batches[b]);
            check(label, &graph, batches[b]);
        }
    }
}

/* Logits with BN: a frozen net folds it, into weights and bias. */
static void dense_layers_with_batchnorm(void **state)
{
    (void)state;
    for (size_t b = 1; b < AGN_COUNT_OF(batches); b++) {
        struct agn_graph graph;
        int op = agn_graph_init(&graph, (struct agn_shape){2, 3, 5});
        op = agn_graph_dense(&graph, op, "fc", 7);
        op = agn_graph_batchnorm(&graph, op, "fc.bn", false);
        assert_true(op > 0);
        check("dense with batchnorm", &graph, batches[b]);
        op = agn_graph_dense(&graph, agn_graph_batchnorm(&graph, op, "again", true), "end", 3);
        assert_true(op > 0);
        check("two batchnorms, one folded", &graph, batches[b]);
    }
    struct agn_graph graph;
    struct agn_params *params = NULL;
    struct agn_net *net = NULL;
    int bn = agn_graph_batchnorm(
        &graph, agn_graph_dense(&graph, agn_graph_init(&graph, (struct agn_shape){2, 3, 5}), "fc", 7), "bn",
        false);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct agn_net_config config = {.graph = &graph, .params = params, .batch = 1, .mode = AGN_NET_FROZEN};
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    assert_true(net->ops[bn].absorbed && net->ops[bn - 1].folded_bn == net->ops[bn].spec);
    agn_net_free(net);
    agn_params_free(params);
}

/* ---- structures in which gradients meet or share memory ------------------------------------ */

static int conv_bn(struct agn_graph *graph, int src, const char *name, int kernel, bool clips)
{
    char bn[AGN_NAME_BYTES];
    snprintf(bn, sizeof(bn), "%s.bn", name);
    int op = agn_graph_conv(graph, src, name, 6, kernel, 1, false);
    return agn_graph_batchnorm(graph, op, bn, clips);
}

static int twice_the_same(struct agn_graph *graph, int in)
{
    int a = conv_bn(graph, in, "a", 3, true);
    return conv_bn(graph, agn_graph_add(graph, a, a), "b", 1, false);
}

static int sum_of_input_twice(struct agn_graph *graph, int in)
{
    return agn_graph_add(graph, in, in);
}

static int residual_chain(struct agn_graph *graph, int in)
{
    int x = conv_bn(graph, in, "stem", 3, true);
    char name[16];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "b%d.expand", i);
        int y = conv_bn(graph, x, name, 1, true);
        snprintf(name, sizeof(name), "b%d.project", i);
        y = conv_bn(graph, y, name, 3, false);
        x = agn_graph_add(graph, x, y);
    }
    return agn_graph_pool(graph, x, 2);
}

static int residual_at_the_end(struct agn_graph *graph, int in)
{
    int x = conv_bn(graph, in, "stem", 3, true);
    return agn_graph_add(graph, conv_bn(graph, x, "b", 3, true), x);
}

static int add_of_add(struct agn_graph *graph, int in)
{
    int x = conv_bn(graph, in, "x", 3, true), y = conv_bn(graph, in, "y", 3, false);
    return conv_bn(graph, agn_graph_add(graph, x, agn_graph_add(graph, x, y)), "z", 1, false);
}

/* A residual inside a residual: the outer shortcut must not see what flows into the inner one. */
static int nested_residuals(struct agn_graph *graph, int in)
{
    int outer = conv_bn(graph, in, "outer", 3, true);
    int x = conv_bn(graph, outer, "x", 3, true);
    int y = conv_bn(graph, x, "y", 3, false);
    int inner = agn_graph_add(graph, x, y);
    return conv_bn(graph, agn_graph_add(graph, inner, outer), "head", 1, false);
}

static int clipped_branches(struct agn_graph *graph, int in)
{
    int a = conv_bn(graph, in, "a", 3, true), b = conv_bn(graph, in, "b", 1, true);
    int c = conv_bn(graph, b, "c", 3, true);
    return agn_graph_relu6(graph, agn_graph_add(graph, agn_graph_add(graph, c, a), b));
}

/* Frozen, the clipped branch masks its gradient in place before the linear one has read it. */
static int clipped_and_linear_branch(struct agn_graph *graph, int in)
{
    int linear = conv_bn(graph, in, "linear", 3, false), clipped = conv_bn(graph, in, "clipped", 1, true);
    return agn_graph_pool(graph, agn_graph_add(graph, linear, clipped), 2);
}

static int one_source_for_all(struct agn_graph *graph, int in)
{
    int x = conv_bn(graph, in, "x", 3, false);
    int a = agn_graph_relu6(graph, x);
    int b = agn_graph_batchnorm(graph, x, "bn", true);
    int c = agn_graph_depthwise(graph, x, "dw", 3, 1);
    int sum = agn_graph_add(graph, agn_graph_add(graph, a, b), agn_graph_add(graph, c, x));
    return agn_graph_dense(graph, agn_graph_pool(graph, agn_graph_add(graph, sum, x), 2), "fc", 5);
}

static int shortcut_over_relu6(struct agn_graph *graph, int in)
{
    int x = conv_bn(graph, in, "x", 3, false);
    int y = agn_graph_add(graph, x, agn_graph_relu6(graph, x));
    return agn_graph_add(graph, y, agn_graph_batchnorm(graph, y, "bn", true));
}

static int late_reader(struct agn_graph *graph, int in)
{
    int a = conv_bn(graph, in, "a", 1, true), b = conv_bn(graph, in, "b", 3, false);
    int c = conv_bn(graph, b, "c", 3, true), sum = agn_graph_add(graph, b, a);
    return agn_graph_add(graph, sum, c);
}

static int batchnorm_of_a_shared_convolution(struct agn_graph *graph, int in)
{
    int c = agn_graph_conv(graph, in, "c", 6, 3, 1, true);
    int bn = agn_graph_batchnorm(graph, c, "bn", true); /* cannot be folded: ADD reads c, too */
    return agn_graph_add(graph, bn, c);
}

static int input_in_a_residual(struct agn_graph *graph, int in)
{
    int x = conv_bn(graph, in, "a", 3, false);
    return agn_graph_add(graph, agn_graph_add(graph, in, x), in);
}

/* Second derivatives where gradients share memory: tangent-backward must find the diff as it was. */
static int silu_residuals(struct agn_graph *graph, int in)
{
    int x = agn_graph_silu(graph, conv_bn(graph, in, "stem", 3, false));
    int y = agn_graph_silu(graph, conv_bn(graph, x, "a", 3, false));
    x = agn_graph_add(graph, x, y);
    y = agn_graph_sigmoid(graph, conv_bn(graph, x, "b", 1, false));
    x = agn_graph_add(graph, y, x);
    x = agn_graph_add(graph, x, agn_graph_silu(graph, x));
    return agn_graph_add(graph, agn_graph_tanh(graph, x), x);
}

static int excitation_in_a_residual(struct agn_graph *graph, int in)
{
    int x = conv_bn(graph, in, "stem", 3, true),
        y = agn_graph_parse(graph, x, "b", "mbse:c6:e2:n2 fused:c6:e1");
    return conv_bn(graph, agn_graph_add(graph, agn_graph_scale(graph, y, agn_graph_pool(graph, x, 1)), y),
                   "end", 1, false);
}

/* Whole maps that two read before and after they have grown. */
static int decoder(struct agn_graph *graph, int in)
{
    int x = conv_bn(graph, in, "stem", 3, true), large = agn_graph_up(graph, x, 2);
    int y = agn_graph_up(graph, conv_bn(graph, x, "a", 3, false), 2);
    y = conv_bn(graph, agn_graph_add(graph, y, large), "b", 3, true);
    return agn_graph_add(graph, y, agn_graph_up(graph, x, 2));
}

/* A map that becomes pixels, read twice, and comes back by strides. */
static int pixels_of_channels(struct agn_graph *graph, int in)
{
    int x = agn_graph_parse(graph, in, "net", "conv:c12"), wide = agn_graph_shuffle(graph, x, 2);
    int y = agn_graph_parse(graph, wide, "a", "conv:c3");
    return agn_graph_add(graph, agn_graph_add(graph, y, wide), agn_graph_shuffle(graph, x, 2));
}

static int attention_in_residuals(struct agn_graph *graph, int in)
{
    int x = agn_graph_parse(graph, in, "net", "conv:c6 attention");
    int y = agn_graph_parse(graph, x, "more", "conv:c6:a2 attention");
    int qkv = agn_graph_conv(graph, y, "qkv", 8, 3, 1, true);
    return agn_graph_add(graph, agn_graph_attention(graph, x, qkv, "last"), agn_graph_add(graph, x, y));
}

static const struct {
    const char *name;
    int (*build)(struct agn_graph *graph, int in);
} structures[] = {{"SiLU in residuals", silu_residuals},
                  {"excitation in a residual", excitation_in_a_residual},
                  {"decoder", decoder},
                  {"pixels of channels", pixels_of_channels},
                  {"attention in residuals", attention_in_residuals},
                  {"x + x", twice_the_same},
                  {"input + input", sum_of_input_twice},
                  {"residual chain", residual_chain},
                  {"residual at the end", residual_at_the_end},
                  {"x + (x + y)", add_of_add},
                  {"nested residuals", nested_residuals},
                  {"clipped branches", clipped_branches},
                  {"clipped and linear branch", clipped_and_linear_branch},
                  {"one source for all", one_source_for_all},
                  {"shortcut over relu6", shortcut_over_relu6},
                  {"late reader", late_reader},
                  {"batchnorm of a shared convolution", batchnorm_of_a_shared_convolution},
                  {"input in a residual", input_in_a_residual}};

/* Each image skips other branches. */
static void stochastic_depth(void **state)
{
    (void)state;
    static const char *const texts[] = {"conv:c6 mb:c6:e2:n3", "conv:c6 fused:c6:e2:n2 mbse:c6:e2:n2 conv:c4",
                                        "mb:c6:e1:n2 fused:c6:e1:n2"};
    for (size_t i = 0; i < AGN_COUNT_OF(texts); i++) {
        for (size_t b = 1; b < AGN_COUNT_OF(batches); b++) {
            struct agn_graph graph;
            int in = agn_graph_init(&graph, (struct agn_shape){6, 5, 6});
            assert_true(agn_graph_parse(&graph, in, "net", texts[i]) > 0);
            struct net_check request = {.label = texts[i],
                                        .graph = &graph,
                                        .batch = batches[b],
                                        .seed = 17 + b,
                                        .tolerance = TOLERANCE,
                                        .stochastic_depth = 0.6F};
            net_check_train(&request);
        }
    }
    for (size_t i = 0; i < AGN_COUNT_OF(structures); i++) {
        struct agn_graph graph;
        int in = agn_graph_init(&graph, (struct agn_shape){6, 5, 6});
        assert_true(structures[i].build(&graph, in) > 0);
        for (int op = 0; op < graph.count; op++)
            graph.ops[op].depth = graph.ops[op].type == AGN_OP_ADD ? 1.0F : 0.0F;
        struct net_check request = {.label = structures[i].name,
                                    .graph = &graph,
                                    .batch = 8,
                                    .seed = 17,
                                    .tolerance = TOLERANCE,
                                    .stochastic_depth = 0.5F};
        net_check_train(&request);
    }
}

static void shared_tensors(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(structures); i++) {
        struct agn_graph graph;
        int in = agn_graph_init(&graph, (struct agn_shape){6, 5, 6});
        assert_true(structures[i].build(&graph, in) > 0);
        for (size_t b = 1; b < AGN_COUNT_OF(batches); b++)
            check(structures[i].name, &graph, batches[b]);
    }
}

int main(void)
{
    agn_nn_set_threads(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions),
                                       cmocka_unit_test(convolutions_with_batchnorm),
                                       cmocka_unit_test(batchnorm_alone),
                                       cmocka_unit_test(relu6),
                                       cmocka_unit_test(smooth_activations),
                                       cmocka_unit_test(tanh_keeps_small_values),
                                       cmocka_unit_test(scales),
                                       cmocka_unit_test(pools),
                                       cmocka_unit_test(upsampling),
                                       cmocka_unit_test(shuffling),
                                       cmocka_unit_test(attentions),
                                       cmocka_unit_test(attention_on_the_input),
                                       cmocka_unit_test(dense_layers),
                                       cmocka_unit_test(dense_layers_with_batchnorm),
                                       cmocka_unit_test(shared_tensors),
                                       cmocka_unit_test(stochastic_depth)};
    int failures = 0;
    for (int i = 0; test_backend(i) != NULL; i++) {
        agn__backend_use(test_backend(i));
        failures += cmocka_run_group_tests_name(test_backend(i)->name, tests, NULL, NULL);
    }
    print_message("largest relative error: %.2g\n", net_check_worst());
    return failures;
}
