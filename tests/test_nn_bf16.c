/* Computing in bf16: rounding itself; operators whose data bf16 represents exactly, which must come out as
 * exactly as in float; deep networks, which may be off by bf16's precision; what a CPU without it says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "net_check.h"
#include "nn/net_internal.h"

/* Relative to a tensor's largest value. EXACT is that of float (test_nn_operators.c): a product of two bf16
 * numbers has 16 bits and so is exact in float. */
static const double EXACT = 2e-5, ROUNDED = 4e-2;

/* ---- rounding -------------------------------------------------------------------- */

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint16_t rounded(uint32_t bits)
{
    float value = float_of(bits);
    uint16_t result = 0;
    agn__to_bf16(&result, &value, 1);
    return result;
}

static void rounding_by_hand(void **state)
{
    (void)state;
    assert_int_equal(rounded(0x3F800000), 0x3F80); /* 1 */
    assert_int_equal(rounded(0x3F807FFF), 0x3F80); /* just below the middle */
    assert_int_equal(rounded(0x3F808000), 0x3F80); /* the middle, to even */
    assert_int_equal(rounded(0x3F808001), 0x3F81); /* just above */
    assert_int_equal(rounded(0x3F818000), 0x3F82); /* the middle, to even */
    assert_int_equal(rounded(0xBF818000), 0xBF82);
    assert_int_equal(rounded(0x80000000), 0x8000); /* -0 */
    assert_int_equal(rounded(0x3FFFFFFF), 0x4000); /* carries into the exponent */
    assert_int_equal(rounded(0x7F7FFFFF), 0x7F80); /* the largest float: infinite */
    assert_int_equal(rounded(0xFF800000), 0xFF80);
    assert_int_equal(rounded(0x7F800001), 0x7FC0); /* NaNs stay NaNs, whatever bits they had */
    assert_int_equal(rounded(0x7FFFFFFF), 0x7FFF);
    assert_int_equal(rounded(0xFFFFFFFF), 0xFFFF);
}

/* No bf16 number is nearer, on many values at once, whatever the loop's width. */
static void rounding_is_to_nearest(void **state)
{
    (void)state;
    enum { COUNT = 20011 };
    static float values[COUNT];
    static uint16_t results[COUNT];
    net_check_fill(values, COUNT, 3);
    agn__to_bf16(results, values, COUNT);
    for (int i = 0; i < COUNT; i++) {
        float got = float_of((uint32_t)results[i] << 16);
        float below = float_of(((uint32_t)results[i] - 1U) << 16),
              above = float_of(((uint32_t)results[i] + 1U) << 16);
        float error = fabsf(values[i] - got);
        assert_true(error <= fabsf(values[i] - below) && error <= fabsf(values[i] - above));
    }
}

/* ---- operators ------------------------------------------------------------------------ */

static void need(enum agn_compute compute)
{
    if (agn__compute_check(compute) < 0) {
        print_message("skipped: %s\n", agn_error_message());
        skip();
    }
}

struct conv_case {
    struct agn_shape in;
    int oc, kernel, stride; /* oc 0: depthwise, kernel 0: dense */
    bool bias;
};

static const struct conv_case conv_cases[] = {
    {{7, 5, 1}, 3, 3, 1, true},    {{7, 5, 3}, 16, 3, 2, false}, {{5, 7, 16}, 24, 1, 1, false},
    {{9, 8, 3}, 5, 5, 3, true},    {{6, 7, 19}, 33, 1, 2, true}, {{3, 3, 5}, 19, 5, 1, false},
    {{8, 8, 24}, 24, 3, 3, false}, {{1, 1, 33}, 5, 1, 1, true},  {{2, 3, 16}, 1, 3, 2, true},
    {{8, 7, 5}, 16, 1, 3, false},  {{7, 5, 1}, 0, 3, 1, false},  {{7, 5, 16}, 0, 3, 2, false},
    {{6, 6, 24}, 0, 5, 1, false},  {{8, 5, 19}, 0, 5, 2, false}, {{10, 7, 5}, 0, 3, 3, false},
    {{3, 4, 5}, 7, 0, 1, true}};

static int append(struct agn_graph *graph, int src, const struct conv_case *c)
{
    return c->kernel == 0 ? agn_graph_dense(graph, src, "c", c->oc)
           : c->oc == 0   ? agn_graph_depthwise(graph, src, "c", c->kernel, c->stride)
                          : agn_graph_conv(graph, src, "c", c->oc, c->kernel, c->stride, c->bias);
}

static void check_exact(enum agn_compute compute, const struct conv_case *c, int batch)
{
    for (int variant = 0; variant < 3; variant++) {
        struct agn_graph graph;
        char label[128];
        snprintf(label, sizeof(label),
                 "compute %d, %dx%dx%d -> %d, kernel %d, stride %d, batch %d, variant %d", (int)compute,
                 c->in.height, c->in.width, c->in.channels, c->oc, c->kernel, c->stride, batch, variant);
        assert_int_equal(agn_graph_init(&graph, c->in), 0);
        int op = append(&graph, 0, c);
        if (variant > 0 && c->kernel > 0) /* frozen: folded, and clipped by the convolution itself */
            op = agn_graph_batchnorm(&graph, op, "bn", variant == 2);
        assert_true(op > 0);
        struct net_check request = {.label = label,
                                    .graph = &graph,
                                    .batch = batch,
                                    .seed = 23,
                                    .tolerance = EXACT,
                                    .compute = compute,
                                    .bf16_data = true};
        net_check_frozen(&request);
        if (variant == 0)
            net_check_train(&request);
    }
}

static void exact_on_bf16_data(void **state)
{
    (void)state;
    need(AGN_COMPUTE_BF16_EMULATED);
    for (size_t i = 0; i < AGN_COUNT_OF(conv_cases); i++)
        check_exact(AGN_COMPUTE_BF16_EMULATED, &conv_cases[i], 1 + (int)(i % 3) * 3);
}

static void natively_the_same(void **state)
{
    (void)state;
    need(AGN_COMPUTE_BF16);
    check_exact(AGN_COMPUTE_BF16, &conv_cases[1], 4);
    check_exact(AGN_COMPUTE_BF16, &conv_cases[2], 4);
    check_exact(AGN_COMPUTE_BF16, &conv_cases[11], 4);
}

/* Every pass of deep networks, with gradients that are added up and shared. Activations are smooth: a rounded
 * unit may fall on the other side of a kink. */
static void rounded_networks(void **state)
{
    (void)state;
    static const char *const networks[] = {"conv:c8:a1 fused:c8:e2 fused:c12:e2:s2 mbse:c12:e2:n2 pool:g2",
                                           "conv:c8:a1 mb:c8:e3:a1:n2 conv:c16:k1:l1"};
    need(AGN_COMPUTE_BF16_EMULATED);
    for (size_t i = 0; i < AGN_COUNT_OF(networks); i++) {
        struct agn_graph graph;
        int op = agn_graph_init(&graph, (struct agn_shape){10, 9, 3});
        op = agn_graph_dense(&graph, agn_graph_parse(&graph, op, "net", networks[i]), "fc", 6);
        assert_true(op > 0);
        struct net_check request = {.label = networks[i],
                                    .graph = &graph,
                                    .batch = 6,
                                    .seed = 5,
                                    .tolerance = ROUNDED,
                                    .compute = AGN_COMPUTE_BF16_EMULATED};
        net_check_both(&request);
    }
    print_message("largest relative error: %.3g\n", net_check_worst());
    assert_true(net_check_worst() > 1e-3); /* so it did round */
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void floats_everywhere(void **state)
{
    (void)state;
    assert_int_equal(agn__compute_check((enum agn_compute)7), AGN_ERR_ARG);
    assert_int_equal(agn__compute_check(AGN_COMPUTE_F32), AGN_OK);
}

static int make_net(enum agn_compute compute)
{
    struct agn_graph graph;
    struct agn_params *params = NULL;
    struct agn_net *net = NULL;
    assert_int_equal(agn_graph_init(&graph, (struct agn_shape){4, 4, 3}), 0);
    assert_true(agn_graph_conv(&graph, 0, "c", 4, 3, 1, true) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct agn_net_config config = {
        .graph = &graph, .params = params, .batch = 2, .mode = AGN_NET_FROZEN, .compute = compute};
    int status = agn_net_create(&config, &net);
    agn_net_free(net);
    agn_params_free(params);
    return status;
}

static void a_cpu_without_says_so(void **state)
{
    (void)state;
    assert_int_equal(make_net((enum agn_compute)7), AGN_ERR_ARG);
    int status = make_net(AGN_COMPUTE_BF16);
    assert_int_equal(status, agn__compute_check(AGN_COMPUTE_BF16));
    if (status != AGN_OK) {
        assert_int_equal(status, AGN_ERR_UNSUPPORTED);
        assert_non_null(strstr(agn_error_message(), "AVX512_BF16"));
        assert_non_null(strstr(agn_error_message(), "bf16-emulated"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_by_hand),     cmocka_unit_test(rounding_is_to_nearest),
        cmocka_unit_test(exact_on_bf16_data),   cmocka_unit_test(natively_the_same),
        cmocka_unit_test(rounded_networks),     cmocka_unit_test(floats_everywhere),
        cmocka_unit_test(a_cpu_without_says_so)};
    return cmocka_run_group_tests_name("nn bf16", tests, NULL, NULL);
}
