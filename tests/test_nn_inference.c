/* Inference: equal to the frozen net whatever is fused, however a batch is split; 8 bits near it. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/inference.h"

enum { BATCH = 13, CLASSES = 5 };

struct network {
    struct agn_graph graph;
    struct agn_params *params;
    float *src, *expected; /* (BATCH) */
    size_t src_floats;
};

/* Source values as a quantiser leaves them: from 0 to 6, many of them 0. */
static void draw_sources(struct network *n, struct agn_rng *rng)
{
    struct agn_shape in = agn_graph_input_shape(&n->graph);
    n->src_floats = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    n->src = agn_alloc(BATCH * n->src_floats, sizeof(float));
    n->expected = agn_alloc((size_t)BATCH * CLASSES, sizeof(float));
    assert_true(n->src != NULL && n->expected != NULL);
    for (size_t i = 0; i < BATCH; i++) {
        /* Each image has its own density in each channel, so that their answers differ. */
        uint32_t density[64];
        for (int c = 0; c < in.channels; c++)
            density[c] = agn_rng_below(rng, 9);
        for (size_t j = 0; j < n->src_floats; j++)
            n->src[i * n->src_floats + j] = agn_rng_below(rng, 8) < density[j % (size_t)in.channels]
                                                ? 0.75F * (float)agn_rng_below(rng, 9)
                                                : 0.0F;
    }
}

/* BN and dense layers at random, with statistics of the sources. */
static void draw_parameters(struct network *n, struct agn_rng *rng)
{
    for (int p = 0; p < n->params->count; p++) {
        const struct agn_param *param = &n->params->list[p];
        bool scales = strstr(param->name, ".gamma") != NULL;
        for (size_t i = 0; i < param->count && param->rank == 1 && param->trainable; i++)
            n->params->value[param->offset + i] = (scales ? 0.8F : 0.1F) + 0.4F * (float)agn_rng_normal(rng);
    }
    struct agn_net_config config = {
        .graph = &n->graph, .params = n->params, .batch = BATCH, .mode = AGN_NET_TRAIN, .bn_momentum = 1.0F};
    struct agn_net *net = NULL;
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), n->src, BATCH * n->src_floats * sizeof(float));
    assert_int_equal(agn_net_forward(net), AGN_OK);
    agn_net_free(net);
}

static void compute_expected(struct network *n)
{
    struct agn_net_config config = {
        .graph = &n->graph, .params = n->params, .batch = BATCH, .mode = AGN_NET_FROZEN};
    struct agn_net *net = NULL;
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), n->src, BATCH * n->src_floats * sizeof(float));
    assert_int_equal(agn_net_forward(net), AGN_OK);
    memcpy(n->expected, agn_net_read(net, AGN_BORDER_OUTPUT), (size_t)BATCH * CLASSES * sizeof(float));
    agn_net_free(net);
}

/* Draws all but the graph, whose last operator is `last`, and adds pooling and a dense layer. */
static struct network *finish(struct network *n, int last, uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    last = agn_graph_pool(&n->graph, last, 2);
    last = agn_graph_dense(&n->graph, last, "dense", CLASSES);
    assert_true(last > 0);
    assert_int_equal(agn_params_create(&n->graph, seed, &n->params), AGN_OK);
    draw_sources(n, &rng);
    draw_parameters(n, &rng);
    compute_expected(n);
    return n;
}

static struct network *from_text(const char *text, struct agn_shape input, uint64_t seed)
{
    struct network *n = agn_alloc(1, sizeof(*n));
    assert_non_null(n);
    assert_int_equal(agn_graph_init(&n->graph, input), 0);
    return finish(n, agn_graph_parse(&n->graph, 0, "net", text), seed);
}

static void free_network(struct network *n)
{
    agn_params_free(n->params);
    agn_free(n->src);
    agn_free(n->expected);
    agn_free(n);
}

static struct agn_inference *plan_with(struct network *n, int threads, bool int8,
                                       enum agn_inference_engine engine)
{
    struct agn_inference_config config = {.graph = &n->graph,
                                          .params = n->params,
                                          .max_batch = BATCH,
                                          .threads = threads,
                                          .int8 = int8,
                                          .engine = engine};
    struct agn_inference *inference = NULL;
    assert_int_equal(agn_inference_create(&config, &inference), AGN_OK);
    return inference;
}

static struct agn_inference *plan(struct network *n, int threads, bool int8)
{
    return plan_with(n, threads, int8, AGN_ENGINE_BEST);
}

/* Is the library there? */
static bool has_engine(enum agn_inference_engine engine)
{
    struct network *n = from_text("conv:c8", (struct agn_shape){4, 4, 3}, 1);
    struct agn_inference_config config = {
        .graph = &n->graph, .params = n->params, .max_batch = 1, .threads = 1, .engine = engine};
    struct agn_inference *inference = NULL;
    int status = agn_inference_create(&config, &inference);
    agn_inference_free(inference);
    free_network(n);
    assert_true(status == AGN_OK || status == AGN_ERR_UNSUPPORTED);
    return status == AGN_OK;
}

static void near(const float *values, const float *expected, size_t count, float tolerance)
{
    float largest = 1e-3F;
    for (size_t i = 0; i < count; i++)
        largest = fabsf(expected[i]) > largest ? fabsf(expected[i]) : largest;
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(values[i] - expected[i]) <= tolerance * largest))
            fail_msg("value %zu is %g, expected %g (largest %g)", i, (double)values[i], (double)expected[i],
                     (double)largest);
}

/* Any number of images, and nothing written beyond theirs. */
static void engine_equals_frozen(struct network *n, int threads, enum agn_inference_engine engine)
{
    static const int counts[] = {BATCH, 1, 0, 2, 3, 7, 8};
    struct agn_inference *inference = plan_with(n, threads, false, engine);
    assert_true(agn_inference_bytes(inference) > 0);
    assert_true(agn_inference_int8_share(inference) == 0.0);
    for (size_t c = 0; c < AGN_COUNT_OF(counts); c++) {
        float dst[(BATCH + 1) * CLASSES];
        size_t used = (size_t)counts[c] * CLASSES;
        for (size_t i = 0; i < AGN_COUNT_OF(dst); i++)
            dst[i] = 77.0F;
        assert_int_equal(agn_inference_run(inference, n->src, counts[c], dst), AGN_OK);
        near(dst, n->expected, used, 1e-4F);
        for (size_t i = used; i < AGN_COUNT_OF(dst); i++)
            assert_true(dst[i] == 77.0F);
    }
    agn_inference_free(inference);
}

static void equals_frozen(struct network *n, int threads)
{
    engine_equals_frozen(n, threads, AGN_ENGINE_BEST);
    engine_equals_frozen(n, threads, AGN_ENGINE_ONEDNN);
    if (has_engine(AGN_ENGINE_XNNPACK))
        engine_equals_frozen(n, threads, AGN_ENGINE_XNNPACK);
}

/* ---- floats --------------------------------------------------------------------- */

static const char *const texts[] = {
    "conv:c16 mb:c16:e1 mb:c24:e4:n3 mb:c32:e4:s2:n2 conv:c48:k1", /* sums in place, in chains */
    "dw:l1 conv:c16:k1 mb:c16:e1:n2",                              /* a clipped shortcut */
    "conv:c16 fused:c16:e1:n2 fused:c32:e4:s2:n2",                 /* a convolution that reads its shortcut */
    "conv:c16:a1 mbse:c16:e4:n2 conv:c20:k1:a1",                   /* SiLU, squeeze-and-excitation */
    "conv:c9:k5:s2 dw:k5:a1 mb:c9:e3:k5:n2 pool:g3 conv:c7:k1:l1", /* odd shapes */
    "conv:c16:s2 conv:c16 up conv:c16 up:s2 conv:c12:a2",          /* a decoder */
    "conv:c16:s2 attention mb:c16:e2 up attention conv:c12",       /* and with attention */
    "conv:c16:a2 mb:c16:e2:a2:n2 conv:c20:k1:a2",                  /* tanh */
};

static void fused_networks_equal_the_frozen_net(void **state)
{
    (void)state;
    for (size_t t = 0; t < AGN_COUNT_OF(texts); t++) {
        struct network *n = from_text(texts[t], (struct agn_shape){12, 11, 10}, 100 + t);
        for (int threads = 1; threads <= 3; threads++)
            equals_frozen(n, threads);
        free_network(n);
    }
}

/* Shortcuts that others read, too: before the sum, after it, and the input itself; a sum of one tensor with
 * itself; activations on their own; a BN that no convolution precedes. */
static struct network *irregular(int variant)
{
    struct network *n = agn_alloc(1, sizeof(*n));
    assert_non_null(n);
    struct agn_graph *g = &n->graph;
    int in = agn_graph_init(g, (struct agn_shape){6, 6, 16});
    int a = agn_graph_conv(g, in, "a", 16, 3, 1, variant % 2 == 0);
    if (variant != 6)
        a = variant < 3 ? agn_graph_relu6(g, a) : agn_graph_batchnorm(g, a, "a.bn", false);
    int shortcut = variant == 0 ? in : a;
    int b = agn_graph_conv(g, variant == 6 ? in : a, "b", 16, 1, 1, false);
    int sum = agn_graph_add(g, variant == 1 ? b : shortcut, variant == 1 ? shortcut : b);
    int c = agn_graph_conv(g, variant == 2 ? a : sum, "c", 16, 1, 1, true);
    if (variant == 3)
        c = agn_graph_sigmoid(g, c);
    if (variant == 7)
        c = agn_graph_tanh(g, c);
    int last = agn_graph_add(g, sum, c);
    if (variant == 4)
        last = agn_graph_add(g, last, last);
    if (variant == 5)
        last = agn_graph_silu(g, agn_graph_batchnorm(g, last, "alone", true));
    return finish(n, last, 200 + (uint64_t)variant);
}

enum { VARIANTS = 8 };

static void irregular_graphs_equal_the_frozen_net(void **state)
{
    (void)state;
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct network *n = irregular(variant);
        equals_frozen(n, 1);
        equals_frozen(n, 2);
        free_network(n);
    }
}

static void a_sum_as_result_leaves_its_sources_alone(void **state)
{
    (void)state;
    struct agn_graph *g = agn_alloc(1, sizeof(*g));
    struct agn_params *params = NULL;
    struct agn_inference *inference = NULL;
    assert_non_null(g);
    int in = agn_graph_init(g, (struct agn_shape){1, 1, 3});
    int a = agn_graph_conv(g, in, "a", 3, 1, 1, false), b = agn_graph_conv(g, a, "b", 3, 1, 1, false);
    assert_true(agn_graph_add(g, a, b) > 0);
    assert_int_equal(agn_params_create(g, 1, &params), AGN_OK);
    float *wa = agn_params_values(params, "a.weight"), *wb = agn_params_values(params, "b.weight");
    for (int i = 0; i < 9; i++) {
        wa[i] = i % 4 == 0 ? 2.0F : 0.0F;
        wb[i] = i % 4 == 0 ? 10.0F : 0.0F;
    }
    struct agn_inference_config config = {.graph = g, .params = params, .max_batch = 2, .threads = 1};
    assert_int_equal(agn_inference_create(&config, &inference), AGN_OK);
    const float src[6] = {1, 2, 3, -1, 0, 5}; /* y = 2 x + 10 (2 x) */
    float dst[6];
    for (int i = 0; i < 9; i++)
        wa[i] = 0.0F; /* later changes have no effect */
    agn_params_free(params);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(agn_inference_run(inference, src, 2, dst), AGN_OK);
        for (int i = 0; i < 6; i++)
            assert_true(fabsf(dst[i] - 22.0F * src[i]) <= 1e-4F);
    }
    agn_inference_free(inference);
    agn_free(g);
}

struct worker {
    struct network *network;
    struct agn_inference *inference;
    pthread_t thread;
    float worst;
};

static void *work(void *user)
{
    struct worker *w = user;
    float dst[BATCH * CLASSES];
    for (int i = 0; i < 20; i++) {
        int count = 1 + i % BATCH;
        if (agn_inference_run(w->inference, w->network->src, count, dst) != AGN_OK)
            w->worst = INFINITY;
        for (int j = 0; j < count * CLASSES; j++)
            w->worst = fmaxf(w->worst, fabsf(dst[j] - w->network->expected[j]));
    }
    return NULL;
}

static void several_work_at_the_same_time(void **state)
{
    (void)state;
    struct worker workers[3];
    for (size_t i = 0; i < AGN_COUNT_OF(workers); i++) {
        workers[i] = (struct worker){.network = from_text(texts[i], (struct agn_shape){12, 12, 8}, 300 + i)};
        workers[i].inference = plan(workers[i].network, i == 2 ? 2 : 1, false);
    }
    for (size_t i = 0; i < AGN_COUNT_OF(workers); i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < AGN_COUNT_OF(workers); i++) {
        pthread_join(workers[i].thread, NULL);
        assert_true(workers[i].worst < 1e-3F);
        agn_inference_free(workers[i].inference);
        free_network(workers[i].network);
    }
}

/* The first one packs, the others read the same weights, from threads of their own, and outlive it. */
static void several_share_their_weights(void **state)
{
    (void)state;
    struct network *n = from_text(texts[0], (struct agn_shape){12, 12, 8}, 400);
    struct agn_inference_config config = {
        .graph = &n->graph, .params = n->params, .max_batch = BATCH, .threads = 1};
    struct agn_inference *first = NULL;
    struct worker workers[3];
    assert_int_equal(agn_inference_create(&config, &first), AGN_OK);
    size_t bytes = agn_inference_bytes(first);
    config.weights_of = first;
    for (size_t i = 0; i < AGN_COUNT_OF(workers); i++) {
        workers[i] = (struct worker){.network = n};
        assert_int_equal(agn_inference_create(&config, &workers[i].inference), AGN_OK);
    }
    assert_int_equal(agn_inference_bytes(first), bytes); /* nothing was packed again */
    agn_inference_free(first);
    for (size_t i = 0; i < AGN_COUNT_OF(workers); i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < AGN_COUNT_OF(workers); i++) {
        pthread_join(workers[i].thread, NULL);
        assert_true(workers[i].worst < 1e-3F);
    }
    for (size_t i = 0; i < AGN_COUNT_OF(workers); i++)
        agn_inference_free(workers[i].inference);
    free_network(n);
}

/* ---- 8 bits --------------------------------------------------------------------------- */

static void skip_without_int8(void)
{
    struct network *n = from_text("conv:c16", (struct agn_shape){4, 4, 16}, 1);
    struct agn_inference_config config = {
        .graph = &n->graph, .params = n->params, .max_batch = 1, .threads = 1, .int8 = true};
    struct agn_inference *inference = NULL;
    int status = agn_inference_create(&config, &inference);
    agn_inference_free(inference);
    free_network(n);
    if (status == AGN_ERR_UNSUPPORTED) {
        assert_true(strlen(agn_error_message()) > 20);
        skip();
    }
    assert_int_equal(status, AGN_OK);
}

static double relative_error(const float *values, const float *expected)
{
    double errors = 0.0, signal = 0.0;
    for (int i = 0; i < BATCH * CLASSES; i++) {
        double e = (double)expected[i], v = (double)values[i];
        errors += (v - e) * (v - e);
        signal += e * e;
    }
    return sqrt(errors / signal);
}

static void eight_bits_are_near(void **state)
{
    (void)state;
    skip_without_int8();
    for (size_t t = 0; t < AGN_COUNT_OF(texts); t++) {
        struct network *n = from_text(texts[t], (struct agn_shape){12, 12, 16}, 400 + t);
        float dst[BATCH * CLASSES];
        for (int threads = 1; threads <= 2; threads++) {
            struct agn_inference *inference = plan(n, threads, true);
            assert_int_equal(agn_inference_run(inference, n->src, BATCH, dst), AGN_OK);
            double error = relative_error(dst, n->expected), share = agn_inference_int8_share(inference);
            double least = t == 4                                  ? 0.0
                           : strstr(texts[t], "attention") != NULL ? 0.1
                                                                   : 0.5; /* attention stays in floats */
            if (error > 0.12 || error < 1e-5 || share < least)
                fail_msg("%s: relative error %g, %g of the work in 8 bits", texts[t], error, share);
            float one[CLASSES];
            for (int i = 0; i < BATCH; i += 5) { /* one by one as in a batch */
                assert_int_equal(agn_inference_run(inference, n->src + (size_t)i * n->src_floats, 1, one),
                                 AGN_OK);
                near(one, dst + (size_t)i * CLASSES, CLASSES, 1e-2F);
            }
            agn_inference_free(inference);
        }
        free_network(n);
    }
}

/* Ranges that BN does not tell, tensors of either type to one sum; and parameters without bounds, whose
 * layers stay in floats. */
static void eight_bits_where_ranges_are_known(void **state)
{
    (void)state;
    skip_without_int8();
    float dst[BATCH * CLASSES];
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct network *n = irregular(variant);
        struct agn_inference *inference = plan(n, 1, true);
        assert_int_equal(agn_inference_run(inference, n->src, BATCH, dst), AGN_OK);
        double error = relative_error(dst, n->expected);
        if (!(error < 0.1 && error > 1e-5))
            fail_msg("variant %d: relative error %g", variant, error);
        agn_inference_free(inference);
        free_network(n);
    }
    struct network *n = from_text("conv:c16 conv:c16:l1 conv:c16", (struct agn_shape){6, 6, 16}, 7);
    float *gamma = agn_params_values(n->params, "net.1.bn.gamma");
    assert_non_null(gamma);
    gamma[3] = 1e30F;
    struct agn_inference *inference = plan(n, 1, true);
    assert_true(agn_inference_int8_share(inference) < 0.7);
    assert_int_equal(agn_inference_run(inference, n->src, BATCH, dst), AGN_OK);
    agn_inference_free(inference);
    free_network(n);
}

/* ---- refusals --------------------------------------------------------------------------- */

static void refuses_what_it_cannot_do(void **state)
{
    (void)state;
    struct network *n = from_text("conv:c8", (struct agn_shape){4, 4, 3}, 2);
    struct agn_inference *inference = NULL;
    const struct agn_inference_config good = {
        .graph = &n->graph, .params = n->params, .max_batch = 2, .threads = 1};
    struct agn_inference_config bad[] = {good, good, good, good, good, good};
    bad[0].max_batch = 0;
    bad[1].max_batch = AGN_INFERENCE_MAX_BATCH + 1;
    bad[2].threads = -1;
    bad[3].threads = AGN_INFERENCE_MAX_THREADS + 1;
    bad[4].source_limit = -1.0F;
    bad[5].source_limit = NAN;
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        assert_int_equal(agn_inference_create(&bad[i], &inference), AGN_ERR_RANGE);
        assert_null(inference);
    }
    struct network *other = from_text("conv:c9", (struct agn_shape){4, 4, 3}, 2);
    struct agn_inference_config foreign = good;
    foreign.params = other->params;
    assert_true(agn_inference_create(&foreign, &inference) < 0);
    assert_null(inference);
    assert_int_equal(agn_inference_create(&good, &inference), AGN_OK);
    float dst[3 * CLASSES];
    assert_int_equal(agn_inference_run(inference, n->src, 3, dst), AGN_ERR_RANGE);
    assert_int_equal(agn_inference_run(inference, n->src, -1, dst), AGN_ERR_RANGE);
    assert_int_equal(agn_inference_run(inference, n->src, 2, dst), AGN_OK);
    foreign.weights_of = inference;
    struct agn_inference *none = NULL;
    assert_int_equal(agn_inference_create(&foreign, &none), AGN_ERR_ARG);
    assert_null(none);
    agn_inference_free(inference);
    agn_inference_free(NULL);
    free_network(other);
    free_network(n);
}

int main(void)
{
    agn_nn_set_threads(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_networks_equal_the_frozen_net),
        cmocka_unit_test(irregular_graphs_equal_the_frozen_net),
        cmocka_unit_test(a_sum_as_result_leaves_its_sources_alone),
        cmocka_unit_test(several_work_at_the_same_time),
        cmocka_unit_test(several_share_their_weights),
        cmocka_unit_test(eight_bits_are_near),
        cmocka_unit_test(eight_bits_where_ranges_are_known),
        cmocka_unit_test(refuses_what_it_cannot_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
