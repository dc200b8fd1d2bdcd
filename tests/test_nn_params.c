/* Parameter stores: names, initial values, copies, files, the SGDW and the Adam step, and nets that follow
 * them. */
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
#include "temp_folder.h"

static void build(struct agn_graph *graph)
{
    int op = agn_graph_init(graph, (struct agn_shape){6, 6, 3});
    op = agn_graph_parse(graph, op, "net", "conv:c8 mb:c8:e2");
    op = agn_graph_conv(graph, op, "extra", 5, 1, 1, true);
    op = agn_graph_dense(graph, agn_graph_pool(graph, op, 2), "fc", 4);
    assert_true(op > 0);
}

static struct agn_params *make(uint64_t seed)
{
    struct agn_graph graph;
    struct agn_params *params = NULL;
    build(&graph);
    assert_int_equal(agn_params_create(&graph, seed, &params), AGN_OK);
    return params;
}

static const struct agn_param *find(const struct agn_params *params, const char *name)
{
    const struct agn_param *param = agn_params_find(params, name);
    if (param == NULL)
        fail_msg("there is no parameter '%s'", name);
    return param;
}

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static void names_and_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int rank, dims[4];
    } expected[] = {{"net.0.weight", 4, {8, 3, 3, 3}},
                    {"net.0.bn.gamma", 1, {8}},
                    {"net.0.bn.beta", 1, {8}},
                    {"net.0.bn.mean", 1, {8}},
                    {"net.0.bn.var", 1, {8}},
                    {"net.1.expand.weight", 4, {16, 8, 1, 1}},
                    {"net.1.depthwise.weight", 4, {16, 1, 3, 3}},
                    {"net.1.project.weight", 4, {8, 16, 1, 1}},
                    {"extra.weight", 4, {5, 8, 1, 1}},
                    {"extra.bias", 1, {5}},
                    {"fc.weight", 2, {4, 20}},
                    {"fc.bias", 1, {4}}};
    struct agn_params *params = make(1);
    for (size_t i = 0; i < AGN_COUNT_OF(expected); i++) {
        const struct agn_param *param = find(params, expected[i].name);
        size_t count = 1;
        assert_int_equal(param->rank, expected[i].rank);
        for (int d = 0; d < param->rank; d++) {
            assert_int_equal(param->dims[d], expected[i].dims[d]);
            count *= (size_t)param->dims[d];
        }
        assert_int_equal(param->count, count);
        assert_ptr_equal(agn_params_values(params, expected[i].name), params->value + param->offset);
    }
    assert_int_equal(params->count, 5 + 3 * 5 + 2 + 2);
    assert_null(agn_params_find(params, "net.0"));
    assert_null(agn_params_values(params, "net.0.bias"));
    agn_params_free(params);
}

/* Arrays do not overlap; weight decay is for weights, training for all but the running statistics. */
static void flags_and_layout(void **state)
{
    (void)state;
    struct agn_params *params = make(1);
    size_t end = 0;
    for (int i = 0; i < params->count; i++) {
        const struct agn_param *param = &params->list[i];
        bool statistic = ends_with(param->name, ".mean") || ends_with(param->name, ".var");
        assert_int_equal(param->trainable, !statistic);
        assert_int_equal(param->decay, ends_with(param->name, ".weight"));
        assert_true(param->offset >= end);
        end = param->offset + param->count;
        assert_true(end <= params->total);
    }
    agn_params_free(params);
}

static double deviation(const float *values, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return sqrt(sum / (double)count);
}

static void initial_values(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *params = NULL, *same = NULL, *other = NULL;
    int op = agn_graph_init(&graph, (struct agn_shape){4, 4, 32});
    op = agn_graph_batchnorm(&graph, agn_graph_conv(&graph, op, "c", 64, 3, 1, true), "bn", true);
    op = agn_graph_depthwise(&graph, op, "dw", 5, 1);
    op = agn_graph_dense(&graph, agn_graph_pool(&graph, op, 2), "fc", 20);
    assert_true(op > 0);
    assert_int_equal(agn_params_create(&graph, 9, &params), AGN_OK);
    assert_int_equal(agn_params_create(&graph, 9, &same), AGN_OK);
    assert_int_equal(agn_params_create(&graph, 10, &other), AGN_OK);
    assert_memory_equal(params->value, same->value, params->total * sizeof(float));
    assert_memory_not_equal(params->value, other->value, params->total * sizeof(float));
    /* Known deviations; tolerances are several standard errors of the sample's deviation. */
    assert_true(fabs(deviation(agn_params_values(params, "c.weight"), 64 * 32 * 9) / sqrt(2.0 / (9 * 64)) -
                     1) < 0.03);
    assert_true(fabs(deviation(agn_params_values(params, "dw.weight"), 64 * 25) / sqrt(2.0 / 25) - 1) < 0.1);
    assert_true(fabs(deviation(agn_params_values(params, "fc.weight"), 20 * 256) * 16.0 - 1) < 0.06);
    for (int i = 0; i < 64; i++) {
        assert_true(agn_params_values(params, "c.bias")[i] == 0.0F);
        assert_true(agn_params_values(params, "bn.gamma")[i] == 1.0F);
        assert_true(agn_params_values(params, "bn.beta")[i] == 0.0F);
        assert_true(agn_params_values(params, "bn.mean")[i] == 0.0F);
        assert_true(agn_params_values(params, "bn.var")[i] == 1.0F);
    }
    agn_params_free(params);
    agn_params_free(same);
    agn_params_free(other);
}

static void expect_refusal(const struct agn_graph *graph, const char *word)
{
    struct agn_params *params = NULL;
    assert_true(agn_params_create(graph, 1, &params) < 0);
    assert_null(params);
    if (strstr(agn_error_message(), word) == NULL)
        fail_msg("'%s' does not speak of '%s'", agn_error_message(), word);
}

static void bad_names(void **state)
{
    (void)state;
    struct agn_graph graph;
    int op = agn_graph_init(&graph, (struct agn_shape){4, 4, 2});
    op = agn_graph_conv(&graph, op, "twin", 2, 1, 1, false);
    assert_true(agn_graph_conv(&graph, op, "twin", 2, 1, 1, false) > 0);
    expect_refusal(&graph, "twin");
    agn_graph_init(&graph, (struct agn_shape){4, 4, 2});
    assert_true(agn_graph_conv(&graph, 0, "", 2, 1, 1, false) > 0);
    expect_refusal(&graph, "name");
}

/* ---- files ----------------------------------------------------------------------- */

static const char *save(struct agn_params *params, bool momentum)
{
    struct agn_tensor_file file = {0};
    const char *path = temp_path("params.safetensors");
    assert_int_equal(agn_params_append(params, &file, momentum), AGN_OK);
    assert_int_equal(agn_tensor_file_write(path, &file), AGN_OK);
    agn_free(file.tensors);
    return path;
}

static void files_round_trip(void **state)
{
    (void)state;
    for (int momentum = 0; momentum < 2; momentum++) {
        struct agn_params *saved = make(1), *loaded = make(2);
        struct agn_tensor_file file = {0};
        net_check_randomise(saved, 3);
        net_check_fill(saved->momentum, saved->total, 4);
        assert_int_equal(agn_tensor_file_read(save(saved, momentum != 0), &file), AGN_OK);
        uint64_t version = loaded->version;
        assert_int_equal(agn_params_load(loaded, &file, momentum != 0), AGN_OK);
        assert_true(loaded->version > version);
        for (int i = 0; i < saved->count; i++) {
            const struct agn_param *param = &saved->list[i];
            size_t bytes = param->count * sizeof(float);
            assert_memory_equal(loaded->value + param->offset, saved->value + param->offset, bytes);
            if (momentum != 0 && param->trainable)
                assert_memory_equal(loaded->momentum + param->offset, saved->momentum + param->offset, bytes);
        }
        agn_tensor_file_free(&file);
        agn_params_free(saved);
        agn_params_free(loaded);
    }
}

/* Two stores in one file: appending keeps what is there. */
static void appending_twice(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *first = make(1), *second = NULL;
    struct agn_tensor_file file = {0};
    assert_int_equal(agn_graph_init(&graph, (struct agn_shape){1, 1, 3}), 0);
    assert_true(agn_graph_dense(&graph, 0, "alone", 2) > 0);
    assert_int_equal(agn_params_create(&graph, 1, &second), AGN_OK);
    assert_int_equal(agn_params_append(first, &file, false), AGN_OK);
    assert_int_equal(agn_params_append(second, &file, true), AGN_OK);
    assert_int_equal(file.count, first->count + 4);
    assert_non_null(agn_tensor_file_find(&file, "fc.weight"));
    assert_non_null(agn_tensor_file_find(&file, "alone.weight"));
    assert_non_null(agn_tensor_file_find(&file, "momentum.alone.bias"));
    assert_null(agn_tensor_file_find(&file, "momentum.fc.weight"));
    agn_free(file.tensors);
    agn_params_free(first);
    agn_params_free(second);
}

/* Loading from `file` fails with a message that has `word`, and changes nothing. */
static void expect_no_load(const struct agn_tensor_file *file, bool momentum, const char *word)
{
    struct agn_params *params = make(2), *untouched = make(2);
    assert_int_equal(agn_params_load(params, file, momentum), AGN_ERR_FORMAT);
    if (strstr(agn_error_message(), word) == NULL)
        fail_msg("'%s' does not speak of '%s'", agn_error_message(), word);
    assert_memory_equal(params->value, untouched->value, params->total * sizeof(float));
    assert_memory_equal(params->momentum, untouched->momentum, params->total * sizeof(float));
    assert_true(params->version == untouched->version);
    agn_params_free(params);
    agn_params_free(untouched);
}

static struct agn_tensor_view *view_of(struct agn_tensor_file *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    fail_msg("no tensor '%s'", name);
    return NULL;
}

static void wrong_files(void **state)
{
    (void)state;
    struct agn_params *params = make(1);
    struct agn_tensor_file file = {0};
    assert_int_equal(agn_params_append(params, &file, false), AGN_OK);
    expect_no_load(&file, true, "'momentum.net.0.weight' is missing");
    struct agn_tensor_view *view = view_of(&file, "fc.weight");
    struct agn_tensor_view kept = *view;
    strcpy(view->name, "fc.wait");
    expect_no_load(&file, false, "'fc.weight' is missing");
    *view = kept;
    view->dims[1] = 19;
    expect_no_load(&file, false, "'fc.weight' is 4x19; this network needs 4x20");
    *view = kept;
    view->rank = 1;
    view->dims[0] = 80;
    expect_no_load(&file, false, "'fc.weight' is 80; this network needs 4x20");
    *view = kept;
    view->dtype = AGN_I32;
    expect_no_load(&file, false, "'fc.weight' does not hold floats");
    agn_free(file.tensors);
    agn_params_free(params);
}

/* ---- the optimiser ------------------------------------------------------------------ */

static bool near(float got, double expected)
{
    return fabs((double)got - expected) <= 1e-6 * fmax(1.0, fabs(expected));
}

/* Two steps on a weight (decays) and a bias (does not), against the formula in doubles. */
static void sgd_steps(void **state)
{
    (void)state;
    struct agn_graph graph;
    assert_int_equal(agn_graph_init(&graph, (struct agn_shape){1, 1, 1}), 0);
    int op = agn_graph_batchnorm(&graph, agn_graph_dense(&graph, 0, "fc", 1), "bn", false);
    assert_true(op > 0);
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        static const char *const names[] = {"fc.weight", "fc.bias", "bn.gamma"};
        const struct agn_sgd sgd = {
            .rate = 0.1F, .momentum = 0.9F, .decay = 0.01F, .nesterov = nesterov != 0};
        struct agn_params *params = NULL;
        assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
        double w[3] = {2.0, -1.0, 1.5}, m[3] = {0};
        uint64_t version = params->version;
        for (int p = 0; p < 3; p++)
            agn_params_values(params, names[p])[0] = (float)w[p];
        for (int step = 0; step < 2; step++) {
            for (int p = 0; p < 3; p++) {
                double g = 0.5 + 0.25 * p - step, decay = p == 0 ? 0.01 : 0.0;
                params->grad[find(params, names[p])->offset] = (float)g;
                m[p] = 0.9 * m[p] + g;
                w[p] -= 0.1 * (nesterov != 0 ? 0.9 * m[p] + g : m[p]) + 0.1 * decay * w[p];
            }
            params->grad[find(params, "bn.mean")->offset] = 7.0F; /* a statistic never takes a step */
            agn_sgd_step(params, &sgd);
            assert_true(params->version == ++version);
            for (int p = 0; p < 3; p++) {
                assert_true(near(agn_params_values(params, names[p])[0], w[p]));
                assert_true(near(params->momentum[find(params, names[p])->offset], m[p]));
            }
        }
        assert_true(agn_params_values(params, "bn.mean")[0] == 0.0F);
        assert_true(agn_params_values(params, "bn.var")[0] == 1.0F);
        agn_params_free(params);
    }
}

/* Adam's by the formula in nn.h, in doubles: on a weight (decays), a bias and a gamma (do not). */
struct adam_values {
    double w, m, v;
};

static void expect_adam(struct adam_values *x, double g, double decay, int t, const struct agn_adam *adam)
{
    double rate = (double)adam->rate, beta1 = (double)adam->beta1, beta2 = (double)adam->beta2;
    x->w -= rate * decay * x->w;
    x->m = beta1 * x->m + (1.0 - beta1) * g;
    x->v = beta2 * x->v + (1.0 - beta2) * g * g;
    double m_hat = x->m / (1.0 - pow(beta1, t)), v_hat = x->v / (1.0 - pow(beta2, t));
    x->w -= rate * m_hat / (sqrt(v_hat) + (double)adam->epsilon);
}

static void adam_steps(void **state)
{
    (void)state;
    static const char *const names[] = {"fc.weight", "fc.bias", "bn.gamma"};
    static const struct agn_adam settings[] = {
        {.rate = 0.1F, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F, .decay = 0.05F},
        {.rate = 1e-2F, .beta1 = 0.0F, .beta2 = 0.9F, .epsilon = 0.1F}};
    struct agn_graph graph;
    assert_int_equal(agn_graph_init(&graph, (struct agn_shape){1, 1, 1}), 0);
    assert_true(agn_graph_batchnorm(&graph, agn_graph_dense(&graph, 0, "fc", 1), "bn", false) > 0);
    for (size_t s = 0; s < AGN_COUNT_OF(settings); s++) {
        struct agn_params *params = NULL;
        assert_int_equal(agn_params_create(&graph, 1, &params), AGN_OK);
        assert_null(params->second); /* costs nothing where it is not used */
        assert_int_equal(agn_params_use_adam(params), AGN_OK);
        uint64_t version = params->version;
        struct adam_values expected[3] = {{.w = 2.0}, {.w = -1.0}, {.w = 1.5}};
        for (int p = 0; p < 3; p++)
            agn_params_values(params, names[p])[0] = (float)expected[p].w;
        for (int t = 1; t <= 5; t++) {
            for (int p = 0; p < 3; p++) {
                double g = 0.5 + 0.25 * p - 0.4 * t;
                params->grad[find(params, names[p])->offset] = (float)g;
                expect_adam(&expected[p], g, p == 0 ? (double)settings[s].decay : 0.0, t, &settings[s]);
            }
            params->grad[find(params, "bn.mean")->offset] = 7.0F; /* a statistic never takes a step */
            agn_adam_step(params, &settings[s]);
            assert_true(params->version == ++version);
            for (int p = 0; p < 3; p++) {
                size_t at = find(params, names[p])->offset;
                assert_true(near(params->value[at], expected[p].w));
                assert_true(near(params->momentum[at], expected[p].m));
                assert_true(near(params->second[at], expected[p].v));
            }
        }
        assert_true(agn_params_values(params, "bn.mean")[0] == 0.0F);
        agn_params_clear_moments(params);
        assert_true(params->momentum[0] == 0.0F && params->second[0] == 0.0F &&
                    params->second[params->total] == 0.0F);
        agn_params_free(params);
    }
}

static void take_steps(struct agn_params *params, int first, int count)
{
    const struct agn_adam adam = {
        .rate = 0.01F, .beta1 = 0.9F, .beta2 = 0.99F, .epsilon = 1e-8F, .decay = 0.01F};
    for (int i = first; i < first + count; i++) {
        net_check_fill(params->grad, params->total, 50 + (uint64_t)i);
        agn_adam_step(params, &adam);
    }
}

/* A file in the middle of a training that Adam does: the rest of it goes as if there had been none. */
static void adam_goes_on_from_a_file(void **state)
{
    (void)state;
    struct agn_params *whole = make(1), *loaded = make(2), *plain = make(3);
    struct agn_tensor_file file = {0}, without = {0};
    assert_int_equal(agn_params_use_adam(whole), AGN_OK);
    take_steps(whole, 0, 3);
    assert_int_equal(agn_params_check_finite(whole), AGN_OK);
    assert_int_equal(agn_tensor_file_read(save(whole, true), &file), AGN_OK);
    assert_int_equal(agn_params_load(loaded, &file, true), AGN_OK); /* makes room */
    take_steps(whole, 3, 2);
    take_steps(loaded, 3, 2);
    for (int i = 0; i < whole->count; i++) {
        const struct agn_param *param = &whole->list[i];
        size_t bytes = param->count * sizeof(float), at = param->offset;
        assert_memory_equal(loaded->value + at, whole->value + at, bytes);
        assert_memory_equal(loaded->momentum + at, whole->momentum + at, param->trainable ? bytes : 0);
        assert_memory_equal(loaded->second + at, whole->second + at, param->trainable ? bytes : 0);
    }
    assert_true(loaded->second[loaded->total] == 5.0F);
    /* What one part of it lacks is refused whole; weights alone need none of it. */
    assert_int_equal(agn_params_load(plain, &file, false), AGN_OK);
    assert_null(plain->second);
    struct agn_tensor_view *view = view_of(&file, "steps.net.0.weight");
    strcpy(view->name, "steps.lost");
    expect_no_load(&file, true, "'steps.net.0.weight' is missing");
    strcpy(view->name, "steps.net.0.weight");
    view = view_of(&file, "second.fc.bias");
    strcpy(view->name, "second.lost");
    expect_no_load(&file, true, "'second.fc.bias' is missing");
    /* A file of a training without it: nothing of it written, second moments begin anew. */
    assert_int_equal(agn_tensor_file_read(save(plain, true), &without), AGN_OK);
    for (int i = 0; i < without.count; i++)
        assert_null(strstr(without.tensors[i].name, "second."));
    assert_int_equal(agn_params_load(loaded, &without, true), AGN_OK);
    for (size_t i = 0; i <= loaded->total; i++)
        assert_true(loaded->second[i] == 0.0F);
    agn_tensor_file_free(&file);
    agn_tensor_file_free(&without);
    agn_params_free(whole);
    agn_params_free(loaded);
    agn_params_free(plain);
}

static void damaged_second_moments(void **state)
{
    (void)state;
    struct agn_params *params = make(1);
    assert_int_equal(agn_params_use_adam(params), AGN_OK);
    float *second = params->second + find(params, "extra.bias")->offset,
          *steps = params->second + params->total;
    second[2] = -1.0F;
    assert_int_equal(agn_params_check_finite(params), AGN_ERR_NUMERIC);
    assert_non_null(strstr(agn_error_message(), "the second moment of 'extra.bias'"));
    second[2] = 0.0F;
    *steps = NAN;
    assert_int_equal(agn_params_check_finite(params), AGN_ERR_NUMERIC);
    assert_non_null(strstr(agn_error_message(), "Adam's steps"));
    agn_params_free(params);
}

/* ---- nets follow their parameters -------------------------------------------------------- */

static struct agn_net *make_net(const struct agn_graph *graph, struct agn_params *params,
                                enum agn_net_mode mode)
{
    struct agn_net_config config = {.graph = graph, .params = params, .batch = 2, .mode = mode};
    struct agn_net *net = NULL;
    if (agn_net_create(&config, &net) < 0)
        fail_msg("%s", agn_error_message());
    net_check_fill(agn_net_write(net, AGN_BORDER_INPUT), net_check_inputs(graph, 2), 5);
    return net;
}

/* The output of `net` must be that of a net made now, and differ from `before` (updated). */
static void expect_fresh(struct agn_net *net, const struct agn_graph *graph, struct agn_params *params,
                         float before[8])
{
    struct agn_net *fresh = make_net(graph, params, AGN_NET_FROZEN);
    assert_int_equal(agn_net_forward(net), AGN_OK);
    assert_int_equal(agn_net_forward(fresh), AGN_OK);
    assert_memory_equal(agn_net_read(net, AGN_BORDER_OUTPUT), agn_net_read(fresh, AGN_BORDER_OUTPUT),
                        8 * sizeof(float));
    assert_memory_not_equal(agn_net_read(net, AGN_BORDER_OUTPUT), before, 8 * sizeof(float));
    memcpy(before, agn_net_read(net, AGN_BORDER_OUTPUT), 8 * sizeof(float));
    agn_net_free(fresh);
}

static void nets_reload(void **state)
{
    (void)state;
    struct agn_graph graph;
    build(&graph);
    struct agn_params *params = make(1);
    struct agn_net *frozen = make_net(&graph, params, AGN_NET_FROZEN);
    struct agn_net *train = make_net(&graph, params, AGN_NET_TRAIN);
    float before[8] = {0}, kept[8];
    expect_fresh(frozen, &graph, params, before);
    net_check_randomise(params, 8); /* raises the version */
    expect_fresh(frozen, &graph, params, before);
    net_check_fill(params->grad, params->total, 9);
    agn_sgd_step(params, &(struct agn_sgd){.rate = 0.01F});
    expect_fresh(frozen, &graph, params, before);
    /* A training forward moves the running statistics, which the frozen net has folded. */
    assert_int_equal(agn_net_forward(train), AGN_OK);
    expect_fresh(frozen, &graph, params, before);
    /* Without a change nothing is loaded: a value changed behind the version's back is not seen. */
    memcpy(kept, before, sizeof(kept));
    agn_params_values(params, "extra.weight")[0] += 1.0F;
    assert_int_equal(agn_net_forward(frozen), AGN_OK);
    assert_memory_equal(agn_net_read(frozen, AGN_BORDER_OUTPUT), kept, sizeof(kept));
    params->version++;
    expect_fresh(frozen, &graph, params, before);
    agn_net_free(frozen);
    agn_net_free(train);
    agn_params_free(params);
}

/* A store that lacks an operator of the graph is refused by name. */
static void store_of_another_graph(void **state)
{
    (void)state;
    struct agn_graph graph;
    struct agn_params *params = make(1);
    int op = agn_graph_init(&graph, (struct agn_shape){6, 6, 3});
    assert_true(agn_graph_conv(&graph, op, "stranger", 8, 3, 1, false) > 0);
    struct agn_net_config config = {.graph = &graph, .params = params, .batch = 2, .mode = AGN_NET_FROZEN};
    struct agn_net *net = NULL;
    assert_true(agn_net_create(&config, &net) < 0);
    assert_null(net);
    assert_non_null(strstr(agn_error_message(), "stranger"));
    /* The same name with another shape: reading past its array would be worse than refusing. */
    agn_graph_init(&graph, (struct agn_shape){6, 6, 3});
    assert_true(agn_graph_conv(&graph, 0, "net.0", 64, 5, 1, false) > 0);
    assert_true(agn_net_create(&config, &net) < 0);
    assert_non_null(strstr(agn_error_message(), "net.0"));
    agn_graph_init(&graph, (struct agn_shape){6, 6, 3});
    assert_true(agn_graph_batchnorm(&graph, 0, "net.0.bn", false) > 0);
    assert_true(agn_net_create(&config, &net) < 0);
    assert_non_null(strstr(agn_error_message(), "net.0.bn"));
    agn_params_free(params);
}

int main(void)
{
    agn_nn_set_threads(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_shapes),
        cmocka_unit_test(flags_and_layout),
        cmocka_unit_test(initial_values),
        cmocka_unit_test(bad_names),
        cmocka_unit_test_setup_teardown(files_round_trip, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test(appending_twice),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(sgd_steps),
        cmocka_unit_test(adam_steps),
        cmocka_unit_test_setup_teardown(adam_goes_on_from_a_file, temp_folder_setup, temp_folder_teardown),
        cmocka_unit_test(damaged_second_moments),
        cmocka_unit_test(nets_reload),
        cmocka_unit_test(store_of_another_graph)};
    return cmocka_run_group_tests_name("nn params", tests, NULL, NULL);
}
