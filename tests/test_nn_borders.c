/* Borders of nets: what is written arrives, what is read is the last pass's, on every backend. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/nn.h"
#include "backends.h"
#include "net_check.h"

enum { BATCH = 2, FLOATS = BATCH * 4 };

static struct agn_graph graph;
static struct agn_params *params;
static const float zeros[FLOATS];

/* y = x + x, so that gradients double as well. */
static struct agn_net *make(void)
{
    struct agn_net *net = NULL;
    int in = agn_graph_init(&graph, (struct agn_shape){2, 2, 1});
    assert_int_equal(agn_graph_add(&graph, in, in), 1);
    if (params == NULL)
        assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct agn_net_config config = {.graph = &graph,
                                    .params = params,
                                    .batch = BATCH,
                                    .mode = AGN_NET_FROZEN,
                                    .passes = AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT};
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    return net;
}

static void expect(struct agn_net *net, enum agn_border border, float each)
{
    const float *values = agn_net_read(net, border);
    for (int i = 0; i < FLOATS; i++)
        assert_true(values[i] == each);
}

static void fill(struct agn_net *net, enum agn_border border, float each)
{
    float *values = agn_net_write(net, border);
    for (int i = 0; i < FLOATS; i++)
        values[i] = each;
}

static void sources_stay_and_change(void **state)
{
    (void)state;
    struct agn_net *net = make();
    fill(net, AGN_BORDER_INPUT, 1.0F);
    agn_net_write(net, AGN_BORDER_INPUT)[0] = 1.0F; /* the rest is there still */
    assert_int_equal(agn_net_forward(net), AGN_OK);
    expect(net, AGN_BORDER_OUTPUT, 2.0F);
    expect(net, AGN_BORDER_INPUT, 1.0F);
    assert_int_equal(agn_net_forward(net), AGN_OK); /* what was written once */
    expect(net, AGN_BORDER_OUTPUT, 2.0F);
    fill(net, AGN_BORDER_INPUT, 3.0F);
    fill(net, AGN_BORDER_DIFF_OUTPUT, 5.0F); /* before forward, which does not take it */
    assert_int_equal(agn_net_forward(net), AGN_OK);
    assert_int_equal(agn_net_backward(net), AGN_OK);
    expect(net, AGN_BORDER_OUTPUT, 6.0F);
    expect(net, AGN_BORDER_DIFF_INPUT, 10.0F);
    agn_net_free(net);
}

static void borders_are_copied(void **state)
{
    (void)state;
    struct agn_net *first = make(), *second = make();
    fill(first, AGN_BORDER_INPUT, 1.0F);
    assert_int_equal(agn_net_copy(second, AGN_BORDER_INPUT, first, AGN_BORDER_INPUT), AGN_OK);
    assert_int_equal(agn_net_forward(second), AGN_OK);
    expect(second, AGN_BORDER_OUTPUT, 2.0F); /* of what had not yet been taken */
    assert_int_equal(agn_net_forward(first), AGN_OK);
    fill(second, AGN_BORDER_INPUT, 7.0F); /* in vain */
    assert_int_equal(agn_net_copy(second, AGN_BORDER_INPUT, first, AGN_BORDER_OUTPUT), AGN_OK);
    agn_net_write(second, AGN_BORDER_INPUT)[3] += 0.0F;
    expect(second, AGN_BORDER_INPUT, 2.0F);
    assert_int_equal(agn_net_forward(second), AGN_OK);
    expect(second, AGN_BORDER_OUTPUT, 4.0F);
    fill(second, AGN_BORDER_DIFF_OUTPUT, 1.0F);
    assert_int_equal(agn_net_backward(second), AGN_OK);
    assert_int_equal(agn_net_copy(first, AGN_BORDER_DIFF_OUTPUT, second, AGN_BORDER_DIFF_INPUT), AGN_OK);
    assert_int_equal(agn_net_backward(first), AGN_OK);
    expect(first, AGN_BORDER_DIFF_INPUT, 4.0F);
    agn_net_free(first);
    agn_net_free(second);
}

static void what_is_lost_is_told(void **state)
{
    (void)state;
    struct agn_net *net = make();
    bool host = agn__backend_in_use()->download == NULL;
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), zeros, sizeof(zeros));
    assert_int_equal(agn_net_forward(net), AGN_OK);
    test_backend_lose(true);
    assert_true(host || isnan(agn_net_read(net, AGN_BORDER_OUTPUT)[FLOATS - 1]));
    test_backend_lose(false);
    assert_int_equal(agn_net_forward(net), host ? AGN_OK : AGN_ERR_IO);
    assert_int_equal(agn_net_forward(net), AGN_OK);
    expect(net, AGN_BORDER_OUTPUT, 0.0F);
    agn_net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sources_stay_and_change),
                                       cmocka_unit_test(borders_are_copied),
                                       cmocka_unit_test(what_is_lost_is_told)};
    int failures = 0;
    for (int i = 0; test_backend(i) != NULL; i++) {
        agn__backend_use(test_backend(i));
        failures += cmocka_run_group_tests_name(test_backend(i)->name, tests, NULL, NULL);
    }
    agn_params_free(params);
    return failures;
}
