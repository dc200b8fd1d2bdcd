/* Stochastic depth: what is drawn, when, from what; what it changes and what it leaves alone. That values and
 * gradients are right for given draws: test_nn_operators.c, test_nn_random_graphs.c. */
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

enum { BATCH = 64, BLOCKS = 5 };
static const float RATE = 0.4F;

struct world {
    struct agn_graph graph;
    struct agn_params *params;
    int adds[BLOCKS]; /* operators at the ends of the blocks */
};

static void open_world(struct world *w)
{
    int op = agn_graph_init(&w->graph, (struct agn_shape){4, 4, 3}), found = 0;
    op = agn_graph_parse(&w->graph, op, "net", "conv:c4 mb:c4:e1:n2 fused:c4:e1 mbse:c4:e2:n2");
    assert_true(op > 0);
    for (int i = 0; i <= op; i++) {
        if (w->graph.ops[i].type == AGN_OP_ADD) {
            assert_true(found < BLOCKS);
            w->adds[found++] = i;
        }
    }
    assert_int_equal(found, BLOCKS);
    assert_int_equal(agn_params_create(&w->graph, 3, &w->params), AGN_OK);
}

static struct agn_net *make_net(struct world *w, int batch, enum agn_net_mode mode, float rate)
{
    struct agn_net_config config = {.graph = &w->graph,
                                    .params = w->params,
                                    .batch = batch,
                                    .mode = mode,
                                    .passes = AGN_PASS_BACKWARD,
                                    .stochastic_depth = rate};
    struct agn_net *net = NULL;
    if (agn_net_create(&config, &net) < 0)
        fail_msg("%s", agn_error_message());
    return net;
}

/* Survival falls by RATE / BLOCKS from block to block, to 1 - RATE. */
static double survival(int block)
{
    return 1.0 - (double)RATE * (block + 1) / BLOCKS;
}

static void draws_keep_their_shares(void **state)
{
    (void)state;
    struct world w;
    enum { ROUNDS = 400 };
    double kept[BLOCKS] = {0.0}, both[BLOCKS] = {0.0}, next[BLOCKS] = {0.0};
    open_world(&w);
    struct agn_net *net = make_net(&w, BATCH, AGN_NET_TRAIN, RATE);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        agn_net_draw_depth(net, round, 0);
        for (int b = 0; b < BLOCKS; b++) {
            const float *factors = agn__net_branch_factors(net, w.adds[b]);
            const float *before = agn__net_branch_factors(net, w.adds[b > 0 ? b - 1 : BLOCKS - 1]);
            assert_non_null(factors);
            for (int n = 0; n < BATCH; n++) {
                assert_true(factors[n] == 0.0F || fabs((double)factors[n] * survival(b) - 1.0) < 1e-6);
                kept[b] += factors[n] > 0.0F;
                both[b] += factors[n] > 0.0F && before[n] > 0.0F;
                next[b] += factors[n] > 0.0F && factors[(n + 1) % BATCH] > 0.0F;
            }
        }
    }
    for (int b = 0; b < BLOCKS; b++) { /* five deviations of a mean of independent draws */
        double draws = ROUNDS * BATCH, s = survival(b), other = survival(b > 0 ? b - 1 : BLOCKS - 1);
        double bound = 5.0 * sqrt(0.25 / draws);
        if (fabs(kept[b] / draws - s) > bound || fabs(both[b] / draws - s * other) > bound ||
            fabs(next[b] / draws - s * s) > 2.0 * bound) {
            fail_msg(
                "block %d: kept %.4f of %.4f, with the block before %.4f of %.4f, with the next image %.4f",
                b, kept[b] / draws, s, both[b] / draws, s * other, next[b] / draws);
        }
    }
    agn_net_free(net);
    agn_params_free(w.params);
}

/* Two nets of half the batch skip what one net of the whole does; another seed or place, something else. */
static void draws_depend_on_seed_and_place_alone(void **state)
{
    (void)state;
    struct world w;
    int differ = 0;
    open_world(&w);
    struct agn_net *whole = make_net(&w, BATCH, AGN_NET_TRAIN, RATE),
                   *half = make_net(&w, BATCH / 2, AGN_NET_TRAIN, RATE);
    agn_net_draw_depth(whole, 99, 1000);
    for (int64_t part = 0; part < 2; part++) {
        agn_net_draw_depth(half, 5, 0); /* what was drawn before leaves no trace */
        agn_net_draw_depth(half, 99, 1000 + part * BATCH / 2);
        for (int b = 0; b < BLOCKS; b++) {
            assert_memory_equal(agn__net_branch_factors(half, w.adds[b]),
                                agn__net_branch_factors(whole, w.adds[b]) + part * BATCH / 2,
                                BATCH / 2 * sizeof(float));
        }
    }
    agn_net_draw_depth(half, 100, 1000);
    for (int b = 0; b < BLOCKS; b++) {
        differ += memcmp(agn__net_branch_factors(half, w.adds[b]), agn__net_branch_factors(whole, w.adds[b]),
                         BATCH / 2 * sizeof(float)) != 0;
    }
    assert_true(differ > 0);
    agn_net_free(whole);
    agn_net_free(half);
    agn_params_free(w.params);
}

enum { OUTPUTS = BATCH * 4 * 4 * 4 };

struct results {
    float output[OUTPUTS], *grad;
};

/* One pass forward and, in training, back. */
static void run(struct world *w, struct agn_net *net, bool train, struct results *results)
{
    net_check_fill(agn_net_write(net, AGN_BORDER_INPUT), net_check_inputs(&w->graph, BATCH), 11);
    assert_int_equal(net_check_outputs(&w->graph, BATCH), OUTPUTS);
    assert_int_equal(agn_net_forward(net), AGN_OK);
    memcpy(results->output, agn_net_read(net, AGN_BORDER_OUTPUT), sizeof(results->output));
    if (train) {
        net_check_fill(agn_net_write(net, AGN_BORDER_DIFF_OUTPUT), OUTPUTS, 12);
        assert_int_equal(agn_net_backward(net), AGN_OK);
        memcpy(results->grad, w->params->grad, w->params->total * sizeof(float));
    }
}

static void compare(enum agn_net_mode mode, float rate, bool draw, bool same)
{
    struct world w;
    static float grads[2][1 << 16];
    static struct results results[2];
    open_world(&w);
    assert_true(w.params->total <= AGN_COUNT_OF(grads[0]));
    memset(grads, 0, sizeof(grads));
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
        struct agn_net *net = make_net(&w, BATCH, mode, i == 0 ? 0.0F : rate);
        results[i].grad = grads[i];
        if (draw)
            agn_net_draw_depth(net, 7, 0);
        for (int b = 0; b < BLOCKS; b++) {
            bool skips = i == 1 && mode == AGN_NET_TRAIN && rate > 0.0F;
            assert_int_equal(agn__net_branch_factors(net, w.adds[b]) != NULL, skips);
        }
        assert_null(agn__net_branch_factors(net, 1));
        run(&w, net, mode == AGN_NET_TRAIN, &results[i]);
        bytes[i] = agn__net_arena_bytes(net);
        agn_net_free(net);
    }
    bool outputs = memcmp(results[0].output, results[1].output, sizeof(results[0].output)) == 0;
    bool gradients = memcmp(grads[0], grads[1], sizeof(grads[0])) == 0;
    assert_int_equal(outputs, same);
    assert_int_equal(gradients, same || mode == AGN_NET_FROZEN);
    assert_true(mode == AGN_NET_TRAIN || bytes[0] == bytes[1]);
    agn_params_free(w.params);
}

static void off_changes_no_bit(void **state)
{
    (void)state;
    compare(AGN_NET_TRAIN, RATE, true, false); /* the comparison can fail */
    compare(AGN_NET_TRAIN, 0.0F, true, true);
    compare(AGN_NET_TRAIN, RATE, false, true); /* nothing drawn yet */
}

static void frozen_nets_know_nothing_of_it(void **state)
{
    (void)state;
    compare(AGN_NET_FROZEN, RATE, true, true);
}

static void impossible_chances(void **state)
{
    (void)state;
    struct world w;
    static const float chances[] = {1.0F, -0.1F, 7.0F, NAN};
    open_world(&w);
    for (size_t i = 0; i < AGN_COUNT_OF(chances); i++) {
        struct agn_net_config config = {
            .graph = &w.graph, .params = w.params, .batch = 2, .stochastic_depth = chances[i]};
        struct agn_net *net = NULL;
        assert_int_equal(agn_net_create(&config, &net), AGN_ERR_RANGE);
        assert_non_null(strstr(agn_error_message(), "stochastic depth is a chance from 0 to below 1"));
    }
    agn_params_free(w.params);
}

int main(void)
{
    agn_nn_set_threads(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_keep_their_shares), cmocka_unit_test(draws_depend_on_seed_and_place_alone),
        cmocka_unit_test(off_changes_no_bit), cmocka_unit_test(frozen_nets_know_nothing_of_it),
        cmocka_unit_test(impossible_chances)};
    return cmocka_run_group_tests_name("nn stochastic depth", tests, NULL, NULL);
}
