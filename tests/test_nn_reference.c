/* The double-precision reference itself, against central differences: first derivatives of every
 * operator in training and frozen nets, and Hessian-vector products of frozen nets. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "net_check.h"
#include "reference_net.h"

enum { BATCH = 3, PROBES = 40 };

static const double STEP = 1e-5;
static const double KINK_MARGIN = 2e-4; /* far beyond what a step moves any unit */
static const double TOLERANCE = 1e-7;

/* A net and its softmax cross-entropy, each image's whole output being its logits. */
struct problem {
    const char *label;
    struct agn_params *params;
    struct reference_net *net;
    int classes;
    int32_t labels[BATCH];
    double *prob;
};

static void draw(double *values, size_t count, uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    for (size_t i = 0; i < count; i++)
        values[i] = agn_rng_normal(&rng);
}

/* Random parameters; an input that keeps every unit away from the kinks of ReLU6. */
static struct problem problem_make(const char *label, const struct agn_graph *graph, bool train)
{
    struct problem problem = {.label = label, .labels = {0, -1, 1}};
    assert_int_equal(agn_params_create(graph, 5, &problem.params), AGN_OK);
    net_check_randomise(problem.params, 6);
    problem.net = reference_create(graph, problem.params, BATCH, train);
    struct reference_node *in = reference_input(problem.net), *out = reference_output(problem.net);
    problem.classes = (int)(out->count / BATCH);
    problem.labels[2] = problem.classes > 1 ? 1 : 0;
    problem.prob = calloc(out->count, sizeof(double));
    assert_non_null(problem.prob);
    for (int i = 0; i < graph->count; i++) /* as stochastic depth might have it */
        memcpy(problem.net->nodes[i].branch, (double[BATCH]){1.0, 0.0, 1.25}, BATCH * sizeof(double));
    uint64_t seed = 100;
    do {
        draw(in->value, in->count, seed++);
        reference_forward(problem.net);
    } while (reference_kink_distance(problem.net) < KINK_MARGIN && seed < 400);
    if (seed == 400)
        fail_msg("%s: no input keeps away from the kinks of ReLU6", label);
    return problem;
}

static void problem_release(struct problem *problem)
{
    reference_free(problem->net);
    agn_params_free(problem->params);
    free(problem->prob);
}

/* A quarter of the logits' square besides the cross-entropy keeps one-class outputs interesting. */
static double problem_loss(struct problem *problem)
{
    const struct reference_node *out = reference_output(problem->net);
    double loss[BATCH], sum = 0.0;
    reference_forward(problem->net);
    reference_ce_forward(out->value, problem->labels, BATCH, problem->classes, problem->prob, loss);
    for (int i = 0; i < BATCH; i++)
        sum += loss[i];
    for (size_t i = 0; i < out->count; i++)
        sum += 0.25 * out->value[i] * out->value[i];
    return sum;
}

static void problem_gradient(struct problem *problem)
{
    struct reference_node *out = reference_output(problem->net);
    problem_loss(problem);
    reference_ce_backward(problem->prob, problem->labels, BATCH, problem->classes, 1.0, out->diff);
    for (size_t i = 0; i < out->count; i++)
        out->diff[i] += 0.5 * out->value[i];
    reference_backward(problem->net);
}

static void expect_close(const char *label, const char *what, size_t where, double got, double expected,
                         double scale)
{
    if (!(fabs(got - expected) <= TOLERANCE * scale)) {
        fail_msg("%s: %s[%zu]: derivative %.12g, central difference %.12g (scale %.3g)", label, what, where,
                 got, expected, scale);
    }
}

/* d loss / d variables[i] by central differences, at up to PROBES places. */
static void check_first(struct problem *problem, const char *what, double *variables, const double *gradient,
                        size_t count)
{
    double scale = 1e-2; /* central differences themselves are off by some 1e-10 */
    size_t step = count / PROBES + 1;
    for (size_t i = 0; i < count; i++)
        scale = fmax(scale, fabs(gradient[i]));
    for (size_t i = 0; i < count; i += step) {
        double kept = variables[i];
        variables[i] = kept + STEP;
        double above = problem_loss(problem);
        variables[i] = kept - STEP;
        double below = problem_loss(problem);
        variables[i] = kept;
        expect_close(problem->label, what, i, gradient[i], (above - below) / (2.0 * STEP), scale);
    }
}

static double *copy(const double *values, size_t count)
{
    double *memory = calloc(count, sizeof(double));
    assert_non_null(memory);
    memcpy(memory, values, count * sizeof(double));
    return memory;
}

static void check_gradients(const char *label, const struct agn_graph *graph, bool train)
{
    struct problem problem = problem_make(label, graph, train);
    struct reference_node *in = reference_input(problem.net);
    problem_gradient(&problem);
    double *diff_input = copy(in->diff, in->count);
    double *grad = copy(problem.net->grad, problem.params->total + 1);
    check_first(&problem, "input", in->value, diff_input, in->count);
    for (int p = 0; train && p < problem.params->count; p++) {
        const struct agn_param *param = &problem.params->list[p];
        if (param->trainable) {
            check_first(&problem, param->name, problem.net->param + param->offset, grad + param->offset,
                        param->count);
        }
    }
    free(diff_input);
    free(grad);
    problem_release(&problem);
}

/* Hessian-vector product by tangent and tangent-backward. */
static void hessian_vector(struct problem *problem, const double *direction, double *result)
{
    struct reference_node *in = reference_input(problem->net), *out = reference_output(problem->net);
    problem_gradient(problem);
    memcpy(in->tangent, direction, in->count * sizeof(double));
    reference_tangent(problem->net);
    reference_ce_tangent_backward(problem->prob, problem->labels, out->tangent, BATCH, problem->classes,
                                  out->tangent_diff);
    for (size_t i = 0; i < out->count; i++)
        out->tangent_diff[i] += 0.5 * out->tangent[i];
    reference_tangent_backward(problem->net);
    memcpy(result, in->tangent_diff, in->count * sizeof(double));
}

/* The directional derivative of the loss by the tangent pass equals gradient . direction. */
static void check_directional(struct problem *problem, const double *direction)
{
    struct reference_node *in = reference_input(problem->net), *out = reference_output(problem->net);
    double dot[BATCH], forward = 0.0, backward = 0.0;
    problem_gradient(problem);
    memcpy(in->tangent, direction, in->count * sizeof(double));
    reference_tangent(problem->net);
    reference_ce_tangent(problem->prob, problem->labels, out->tangent, BATCH, problem->classes, dot);
    for (int i = 0; i < BATCH; i++)
        forward += dot[i];
    for (size_t i = 0; i < out->count; i++)
        forward += 0.5 * out->value[i] * out->tangent[i];
    for (size_t i = 0; i < in->count; i++)
        backward += in->diff[i] * direction[i];
    expect_close(problem->label, "directional derivative", 0, forward, backward, fmax(1.0, fabs(backward)));
}

static void check_hessian(const char *label, const struct agn_graph *graph)
{
    struct problem problem = problem_make(label, graph, false);
    struct reference_node *in = reference_input(problem.net);
    size_t count = in->count;
    double *direction = calloc(count, sizeof(double)), *product = calloc(count, sizeof(double));
    assert_non_null(direction);
    assert_non_null(product);
    draw(direction, count, 77);
    check_directional(&problem, direction);
    hessian_vector(&problem, direction, product);
    double *place = copy(in->value, count), scale = 1e-3;
    for (size_t i = 0; i < count; i++) {
        scale = fmax(scale, fabs(product[i]));
        in->value[i] = place[i] + STEP * direction[i];
    }
    problem_gradient(&problem);
    double *above = copy(in->diff, count);
    for (size_t i = 0; i < count; i++)
        in->value[i] = place[i] - STEP * direction[i];
    problem_gradient(&problem);
    for (size_t i = 0; i < count; i++)
        expect_close(label, "Hv", i, product[i], (above[i] - in->diff[i]) / (2.0 * STEP), scale);
    free(direction);
    free(product);
    free(place);
    free(above);
    problem_release(&problem);
}

/* ---- graphs ------------------------------------------------------------------- */

static int one_conv(struct agn_graph *graph, int in)
{
    return agn_graph_conv(graph, in, "c", 4, 3, 2, true);
}

static int one_large_conv(struct agn_graph *graph, int in)
{
    return agn_graph_conv(graph, in, "c", 2, 5, 3, false);
}

static int one_depthwise(struct agn_graph *graph, int in)
{
    return agn_graph_depthwise(graph, in, "d", 3, 2);
}

static int one_batchnorm(struct agn_graph *graph, int in)
{
    return agn_graph_batchnorm(graph, in, "bn", false);
}

static int one_clipped_batchnorm(struct agn_graph *graph, int in)
{
    return agn_graph_batchnorm(graph, in, "bn", true);
}

static int one_relu6(struct agn_graph *graph, int in)
{
    int twice = agn_graph_add(graph, in, in);
    return agn_graph_relu6(graph, agn_graph_add(graph, twice, twice));
}

static int one_add(struct agn_graph *graph, int in)
{
    return agn_graph_add(graph, in, agn_graph_conv(graph, in, "c", 3, 1, 1, true));
}

static int one_pool(struct agn_graph *graph, int in)
{
    return agn_graph_pool(graph, in, 2);
}

static int one_dense(struct agn_graph *graph, int in)
{
    return agn_graph_dense(graph, in, "fc", 6);
}

static int small_network(struct agn_graph *graph, int in)
{
    int op = agn_graph_parse(graph, in, "net", "conv:c4:k3:s1 mb:c4:e2 mb:c5:e2:s2 dw:k3 pool:g1");
    return agn_graph_dense(graph, op, "fc", 5);
}

static int bare_chain(struct agn_graph *graph, int in)
{
    int op = agn_graph_relu6(graph, agn_graph_conv(graph, in, "a", 4, 3, 1, true));
    op = agn_graph_batchnorm(graph, agn_graph_pool(graph, op, 3), "bn", true);
    return agn_graph_dense(graph, op, "fc", 4);
}

static int one_silu(struct agn_graph *graph, int in)
{
    return agn_graph_silu(graph, in);
}

static int one_sigmoid(struct agn_graph *graph, int in)
{
    return agn_graph_sigmoid(graph, in);
}

static int one_tanh(struct agn_graph *graph, int in)
{
    return agn_graph_tanh(graph, in);
}

static int one_up(struct agn_graph *graph, int in)
{
    return agn_graph_up(graph, in, 3);
}

static int one_shuffle(struct agn_graph *graph, int in)
{
    return agn_graph_parse(graph, in, "net", "conv:c8:l1 shuffle");
}

static int decoder(struct agn_graph *graph, int in)
{
    return agn_graph_parse(graph, in, "net", "conv:c4:s2 up conv:c3:l1 up:s3 dw:a2");
}

static int one_attention(struct agn_graph *graph, int in)
{
    return agn_graph_attention(graph, in, agn_graph_conv(graph, in, "qkv", 3 + 2 * 2, 1, 1, true), "att");
}

static int attention_network(struct agn_graph *graph, int in)
{
    return agn_graph_parse(graph, in, "net", "conv:c9:s2 attention up conv:c3:a2");
}

static int one_scale(struct agn_graph *graph, int in)
{
    return agn_graph_scale(graph, in, agn_graph_pool(graph, in, 1));
}

static int efficient_network(struct agn_graph *graph, int in)
{
    int op =
        agn_graph_parse(graph, in, "net", "conv:c4:k3:a1 fused:c4:e1 fused:c6:e2:s2 mbse:c6:e2 mb:c6:e2:a1");
    return agn_graph_dense(graph, op, "fc", 5);
}

static const struct {
    const char *name;
    int (*build)(struct agn_graph *graph, int in);
} cases[] = {{"silu", one_silu},
             {"sigmoid", one_sigmoid},
             {"scale", one_scale},
             {"tanh", one_tanh},
             {"up", one_up},
             {"shuffle", one_shuffle},
             {"attention", one_attention},
             {"attention inside", attention_network},
             {"decoder", decoder},
             {"efficient network", efficient_network},
             {"conv", one_conv},
             {"large conv", one_large_conv},
             {"depthwise", one_depthwise},
             {"batchnorm", one_batchnorm},
             {"batchnorm with relu6", one_clipped_batchnorm},
             {"relu6", one_relu6},
             {"add", one_add},
             {"pool", one_pool},
             {"dense", one_dense},
             {"small network", small_network},
             {"bare chain", bare_chain}};

static void build_case(size_t i, struct agn_graph *graph)
{
    int in = agn_graph_init(graph, (struct agn_shape){5, 4, 3});
    assert_true(cases[i].build(graph, in) > 0);
}

static void training_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_graph graph;
        build_case(i, &graph);
        check_gradients(cases[i].name, &graph, true);
    }
}

static void frozen_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_graph graph;
        build_case(i, &graph);
        check_gradients(cases[i].name, &graph, false);
    }
}

static void hessian_vector_products(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_graph graph;
        build_case(i, &graph);
        check_hessian(cases[i].name, &graph);
    }
}

/* ---- known answers, so that reference and differences cannot be wrong together -------------- */

static void convolution_by_hand(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *params = NULL;
    agn_graph_init(&graph, (struct agn_shape){2, 2, 1});
    assert_true(agn_graph_conv(&graph, 0, "c", 1, 3, 1, true) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    for (int i = 0; i < 9; i++)
        agn_params_values(params, "c.weight")[i] = (float)(i + 1); /* rows 1 2 3, 4 5 6, 7 8 9 */
    agn_params_values(params, "c.bias")[0] = 100.0F;
    struct reference_net *net = reference_create(&graph, params, 1, false);
    memcpy(reference_input(net)->value, (double[]){1, 10, 100, 1000}, 4 * sizeof(double));
    reference_forward(net);
    const double expected[4] = {100 + 5 + 60 + 800 + 9000, 100 + 4 + 50 + 700 + 8000,
                                100 + 2 + 30 + 500 + 6000, 100 + 1 + 20 + 400 + 5000};
    for (int i = 0; i < 4; i++)
        assert_true(fabs(reference_output(net)->value[i] - expected[i]) < 1e-9);
    reference_free(net);
    agn_params_free(params);
}

/* Four values of one channel: mean 4, biased variance 5, unbiased 20/3. */
static void batchnorm_by_hand(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *params = NULL;
    agn_graph_init(&graph, (struct agn_shape){2, 2, 1});
    assert_true(agn_graph_batchnorm(&graph, 0, "bn", false) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct reference_net *net = reference_create(&graph, params, 1, true);
    memcpy(reference_input(net)->value, (double[]){1, 3, 5, 7}, 4 * sizeof(double));
    reference_forward(net);
    assert_true(fabs(reference_output(net)->value[3] - 3.0 / sqrt(5.00001)) < 1e-12);
    size_t mean = agn_params_find(params, "bn.mean")->offset, var = agn_params_find(params, "bn.var")->offset;
    assert_true(fabs(net->param[mean] - 0.4) < 1e-12);
    assert_true(fabs(net->param[var] - (0.9 + 0.1 * 20.0 / 3.0)) < 1e-12);
    reference_free(net);
    agn_params_free(params);
}

/* A row of two pixels with two channels for each of four places, as TensorFlow's depth_to_space orders them.
 */
static void shuffling_by_hand(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *params = NULL;
    agn_graph_init(&graph, (struct agn_shape){1, 2, 8});
    assert_true(agn_graph_shuffle(&graph, 0, 2) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct reference_net *net = reference_create(&graph, params, 1, false);
    for (int i = 0; i < 16; i++)
        reference_input(net)->value[i] = i;
    reference_forward(net);
    static const double expected[16] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};
    assert_memory_equal(reference_output(net)->value, expected, sizeof(expected));
    memcpy(reference_output(net)->diff, expected, sizeof(expected));
    reference_backward(net);
    for (int i = 0; i < 16; i++)
        assert_true(reference_input(net)->diff[i] == i);
    reference_free(net);
    agn_params_free(params);
}

/* 2x2 to 4x4, and what comes back. */
static void upsampling_by_hand(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *params = NULL;
    agn_graph_init(&graph, (struct agn_shape){2, 2, 1});
    assert_true(agn_graph_up(&graph, 0, 2) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct reference_net *net = reference_create(&graph, params, 1, false);
    memcpy(reference_input(net)->value, (double[]){1, 2, 3, 4}, 4 * sizeof(double));
    reference_forward(net);
    static const double expected[16] = {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4};
    assert_memory_equal(reference_output(net)->value, expected, sizeof(expected));
    for (int i = 0; i < 16; i++)
        reference_output(net)->diff[i] = i;
    reference_backward(net);
    static const double sums[4] = {0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15};
    assert_memory_equal(reference_input(net)->diff, sums, sizeof(sums));
    reference_free(net);
    agn_params_free(params);
}

/* Two positions of one channel, one query and key each: weights 1/4 and 3/4, then 1/2 each. */
static void attention_by_hand(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *params = NULL;
    agn_graph_init(&graph, (struct agn_shape){1, 2, 3});
    int x = agn_graph_conv(&graph, 0, "x", 1, 1, 1, false);
    assert_true(agn_graph_attention(&graph, x, 0, "att") > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    agn_params_values(params, "att.gamma")[0] = 0.5F;
    memcpy(agn_params_values(params, "x.weight"), (float[]){0, 0, 10}, 3 * sizeof(float));
    struct reference_net *net = reference_create(&graph, params, 1, false);
    /* Query 1 sees keys 0 and log 3, query 0 sees no difference; values 4 and 8. */
    memcpy(reference_input(net)->value, (double[]){1, 0, 4, 0, log(3.0), 8}, 6 * sizeof(double));
    reference_forward(net);
    assert_true(fabs(reference_output(net)->value[0] - (40 + 0.5 * (0.25 * 4 + 0.75 * 8))) < 1e-6);
    assert_true(fabs(reference_output(net)->value[1] - (80 + 0.5 * (0.5 * 4 + 0.5 * 8))) < 1e-6);
    reference_free(net);
    agn_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution_by_hand), cmocka_unit_test(batchnorm_by_hand),
        cmocka_unit_test(upsampling_by_hand),  cmocka_unit_test(shuffling_by_hand),
        cmocka_unit_test(attention_by_hand),   cmocka_unit_test(training_gradients),
        cmocka_unit_test(frozen_gradients),    cmocka_unit_test(hessian_vector_products)};
    return cmocka_run_group_tests_name("nn reference", tests, NULL, NULL);
}
