/* Denormal numbers count as 0 within a pass, and only there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agilenn/nn.h"

static void denormals_are_zero_in_passes_only(void **state)
{
    (void)state;
#if !defined(__x86_64__) && !defined(__aarch64__)
    skip();
#endif
    struct agn_graph graph;
    struct agn_params *params = NULL;
    struct agn_net *net = NULL;
    int in = agn_graph_init(&graph, (struct agn_shape){8, 8, 32});
    assert_true(agn_graph_relu6(&graph, agn_graph_add(&graph, in, in)) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
    struct agn_net_config config = {.graph = &graph, .params = params, .batch = 64, .mode = AGN_NET_FROZEN};
    assert_int_equal(agn_net_create(&config, &net), AGN_OK);
    size_t count = (size_t)64 * 8 * 8 * 32;
    for (size_t i = 0; i < count; i++)
        agn_net_write(net, AGN_BORDER_INPUT)[i] = i % 2 == 0 ? 1e-39F : 1.0F;
    assert_int_equal(agn_net_forward(net), AGN_OK);
    for (size_t i = 0; i < count; i++)
        assert_true(agn_net_read(net, AGN_BORDER_OUTPUT)[i] == (i % 2 == 0 ? 0.0F : 2.0F));
    volatile float small = 1e-39F;
    float twice = small + small;
    assert_true(twice > 1.5e-39F);
    agn_net_free(net);
    agn_params_free(params);
}

int main(void)
{
    agn_nn_set_threads(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(denormals_are_zero_in_passes_only)};
    return cmocka_run_group_tests_name("nn denormals", tests, NULL, NULL);
}
