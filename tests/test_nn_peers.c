/* Nets that train as one: two halves of a batch, in two threads, give what one net gives for all of it. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "net_check.h"
#include "nn/net_internal.h"

enum {
    PEERS = 2,
    BATCH = 12,
    OWN = BATCH / PEERS,
    SIDE = 10,
    PIXELS = SIDE * SIDE * 3,
    CLASSES = 4,
    MOST = 4096
};

/* What the peers' sums meet in: each adds, the last one's total goes to all. */
static struct {
    pthread_barrier_t barrier;
    double values[PEERS][MOST];
    int calls;
} table;

struct peer {
    int index, status;
    bool fail_sums;
    struct agn_graph graph;
    struct agn_params *params;
    struct agn_net *net;
    float input[BATCH * PIXELS], diff[BATCH * CLASSES]; /* of the whole batch */
    size_t settled;                                     /* gradients from here on, as last told */
    float early[MOST * 8];                              /* gradients when they were told to be settled */
};

static int sum(void *user, double *values, size_t count)
{
    struct peer *peer = user;
    assert_true(count <= MOST);
    if (peer->fail_sums)
        return agn_fail(AGN_ERR_IO, "no word from the others");
    memcpy(table.values[peer->index], values, count * sizeof(double));
    pthread_barrier_wait(&table.barrier);
    for (size_t i = 0; i < count; i++)
        values[i] = table.values[0][i] + table.values[1][i];
    table.calls += peer->index == 0;
    pthread_barrier_wait(&table.barrier);
    return AGN_OK;
}

static int note_settled(void *user, struct agn_params *params, size_t from)
{
    struct peer *peer = user;
    assert_true(from <= peer->settled && params->total <= AGN_COUNT_OF(peer->early));
    memcpy(peer->early + from, params->grad + from, (peer->settled - from) * sizeof(float));
    peer->settled = from;
    return AGN_OK;
}

static void open_peer(struct peer *peer, int index, int batch, const struct agn_net_peers *peers)
{
    peer->index = index;
    int op = agn_graph_init(&peer->graph, (struct agn_shape){SIDE, SIDE, 3});
    op = agn_graph_parse(&peer->graph, op, "net", "conv:c16:k3:s2 mb:c16:e3 mb:c24:e3:s2 pool:g2");
    op = agn_graph_dense(&peer->graph, op, "fc", CLASSES);
    assert_true(op > 0);
    assert_int_equal(agn_params_create(&peer->graph, 3, &peer->params), AGN_OK);
    struct agn_net_config config = {.graph = &peer->graph,
                                    .params = peer->params,
                                    .batch = batch,
                                    .mode = AGN_NET_TRAIN,
                                    .passes = AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT,
                                    .peers = peers};
    assert_int_equal(agn_net_create(&config, &peer->net), AGN_OK);
    net_check_fill(peer->input, (size_t)BATCH * PIXELS, 1);
    net_check_fill(peer->diff, (size_t)BATCH * CLASSES, 2);
    for (int i = 0; i < BATCH * PIXELS; i++)
        peer->input[i] += i < OWN * PIXELS ? 0.0F : 5.0F; /* halves that differ in mean and origin */
}

static void close_peer(struct peer *peer)
{
    agn_net_free(peer->net);
    agn_params_free(peer->params);
}

static void *run_peer(void *user)
{
    struct peer *peer = user;
    size_t batch = (size_t)peer->net->batch, first = (size_t)peer->index * batch;
    memcpy(agn_net_write(peer->net, AGN_BORDER_INPUT), peer->input + first * PIXELS,
           batch * PIXELS * sizeof(float));
    peer->settled = peer->params->total;
    peer->status = agn_net_forward(peer->net);
    memcpy(agn_net_write(peer->net, AGN_BORDER_DIFF_OUTPUT), peer->diff + first * CLASSES,
           batch * CLASSES * sizeof(float));
    if (peer->status == AGN_OK)
        peer->status = agn_net_backward(peer->net);
    return NULL;
}

static void expect_near(const float *got, const float *expected, size_t count, const char *what)
{
    double largest = 1e-6;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - (double)expected[i]) <= 2e-5 * largest))
            fail_msg("%s[%zu]: %g, expected %g", what, i, (double)got[i], (double)expected[i]);
}

static struct peer whole, half[PEERS];

static void halves_make_the_whole(void **state)
{
    (void)state;
    pthread_t threads[PEERS];
    assert_int_equal(pthread_barrier_init(&table.barrier, NULL, PEERS), 0);
    memset(half, 0, sizeof(half));
    memset(&whole, 0, sizeof(whole));
    open_peer(&whole, 0, BATCH, NULL);
    for (int p = 0; p < PEERS; p++) {
        struct agn_net_peers peers = {
            .count = PEERS, .user = &half[p], .sum = sum, .gradients = note_settled};
        open_peer(&half[p], p, OWN, &peers);
    }
    run_peer(&whole);
    assert_int_equal(whole.status, AGN_OK);
    table.calls = 0;
    for (int p = 0; p < PEERS; p++)
        assert_int_equal(pthread_create(&threads[p], NULL, run_peer, &half[p]), 0);
    for (int p = 0; p < PEERS; p++) {
        pthread_join(threads[p], NULL);
        assert_int_equal(half[p].status, AGN_OK);
    }
    assert_int_equal(table.calls, 2 * 7); /* forward and backward of 7 BNs */
    struct agn_params *params = whole.params;
    for (int p = 0; p < PEERS; p++) {
        expect_near(agn_net_read(half[p].net, AGN_BORDER_OUTPUT),
                    agn_net_read(whole.net, AGN_BORDER_OUTPUT) + p * OWN * CLASSES, OWN * CLASSES, "output");
        expect_near(agn_net_read(half[p].net, AGN_BORDER_DIFF_INPUT),
                    agn_net_read(whole.net, AGN_BORDER_DIFF_INPUT) + p * OWN * PIXELS, OWN * PIXELS,
                    "diff_input");
        expect_near(half[p].params->value, params->value, params->total, "running statistics");
        assert_int_equal(half[p].settled, 0);
        assert_memory_equal(half[p].early, half[p].params->grad, params->total * sizeof(float));
    }
    static float added[MOST * 8];
    for (size_t i = 0; i < params->total; i++)
        added[i] = half[0].params->grad[i] + half[1].params->grad[i];
    expect_near(added, params->grad, params->total, "grad");
    /* The halves alone would have normalised by other statistics: the test can fail. */
    assert_true(fabsf(half[0].params->grad[0] - half[1].params->grad[0]) > 0.0F);
    close_peer(&whole);
    for (int p = 0; p < PEERS; p++)
        close_peer(&half[p]);
    pthread_barrier_destroy(&table.barrier);
}

static void failed_sums_end_the_pass(void **state)
{
    (void)state;
    memset(half, 0, sizeof(half));
    struct agn_net_peers peers = {.count = PEERS, .user = &half[0], .sum = sum};
    open_peer(&half[0], 0, OWN, &peers);
    half[0].fail_sums = true;
    run_peer(&half[0]);
    assert_int_equal(half[0].status, AGN_ERR_IO);
    assert_string_equal(agn_error_message(), "no word from the others");
    close_peer(&half[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(halves_make_the_whole),
                                       cmocka_unit_test(failed_sums_end_the_pass)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
