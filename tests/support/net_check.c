/* See net_check.h. */
#include "net_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/net_internal.h"
#include "reference_net.h"

/* Units nearer than this to a kink of ReLU6 may fall on either side in float: such inputs are drawn anew. */
static const double KINK_MARGIN = 1e-5;

static double worst;

double net_check_worst(void)
{
    return worst;
}

void net_check_close(const char *label, const char *what, const float *got, const double *expected,
                     size_t count, double floor, double tolerance)
{
    double scale = floor, error = 0.0;
    size_t where = 0;
    for (size_t i = 0; i < count; i++)
        scale = fmax(scale, fabs(expected[i]));
    for (size_t i = 0; i < count; i++) {
        double e = fabs((double)got[i] - expected[i]);
        if (!(e <= error)) { /* also for NaN */
            error = e;
            where = i;
        }
    }
    double relative = scale > 0.0 ? error / scale : error;
    if (!(relative <= tolerance)) {
        fail_msg("%s: %s[%zu] is %.9g, the reference says %.9g (largest %.3g, %zu values, error %.3g)", label,
                 what, where, (double)got[where], expected[where], scale, count, relative);
    }
    worst = fmax(worst, relative);
}

void net_check_fill(float *values, size_t count, uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)agn_rng_normal(&rng);
}

/* Clears the 16 bits that bf16 does not have. */
static void to_bf16_values(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof(bits));
        bits &= 0xFFFF0000U;
        memcpy(&values[i], &bits, sizeof(bits));
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

void net_check_randomise(struct agn_params *params, uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        float *value = params->value + param->offset;
        for (size_t i = 0; i < param->count; i++) {
            double normal = agn_rng_normal(&rng), uniform = agn_rng_uniform(&rng);
            if (ends_with(param->name, ".gamma"))
                value[i] = (float)((uniform < 0.2 ? -1.0 : 1.0) * (0.7 + 0.6 * agn_rng_uniform(&rng)));
            else if (ends_with(param->name, ".var"))
                value[i] = (float)(0.6 + uniform);
            else if (!ends_with(param->name, ".weight"))
                value[i] = (float)(0.5 * normal + (ends_with(param->name, ".beta") ? 1.0 : 0.0));
        }
    }
    params->version++;
}

/* BN scales become powers of 2, so that folding keeps bf16 weights what they are. */
static void to_bf16_params(struct agn_params *params)
{
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        float *value = params->value + param->offset;
        to_bf16_values(value, param->count);
        for (size_t i = 0; i < param->count; i++)
            if (ends_with(param->name, ".gamma"))
                value[i] = copysignf(i % 3 == 0 ? 0.5F : i % 3 == 1 ? 1.0F : 2.0F, value[i]);
            else if (ends_with(param->name, ".var"))
                value[i] = 1.0F - 1e-5F;
    }
    params->version++;
}

static size_t shape_count(struct agn_shape shape, int batch)
{
    return (size_t)batch * (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

size_t net_check_inputs(const struct agn_graph *graph, int batch)
{
    return shape_count(agn_graph_input_shape(graph), batch);
}

size_t net_check_outputs(const struct agn_graph *graph, int batch)
{
    return shape_count(agn_graph_output_shape(graph), batch);
}

/* What a run reads and gives; `params` holds gradients and running statistics after training. */
struct run {
    size_t inputs, outputs, total;
    float *input, *diff_output, *tangent_input, *tangent_diff_output;
    float *output, *diff_input, *tangent_output, *tangent_diff_input, *grad, *value;
};

static float *floats(size_t count)
{
    float *memory = calloc(count + 1, sizeof(float));
    if (memory == NULL) {
        fprintf(stderr, "net_check: out of memory\n");
        exit(2);
    }
    return memory;
}

static void run_init(struct run *run, const struct net_check *check, const struct agn_params *params,
                     uint64_t seed)
{
    run->inputs = net_check_inputs(check->graph, check->batch);
    run->outputs = net_check_outputs(check->graph, check->batch);
    run->total = params->total;
    run->input = floats(run->inputs);
    run->diff_output = floats(run->outputs);
    run->tangent_input = floats(run->inputs);
    run->tangent_diff_output = floats(run->outputs);
    run->output = floats(run->outputs);
    run->diff_input = floats(run->inputs);
    run->tangent_output = floats(run->outputs);
    run->tangent_diff_input = floats(run->inputs);
    run->grad = floats(run->total);
    run->value = floats(run->total);
    net_check_fill(run->input, run->inputs, seed);
    net_check_fill(run->diff_output, run->outputs, seed + 1);
    net_check_fill(run->tangent_input, run->inputs, seed + 2);
    net_check_fill(run->tangent_diff_output, run->outputs, seed + 3);
    if (check->bf16_data) {
        to_bf16_values(run->input, run->inputs);
        to_bf16_values(run->diff_output, run->outputs);
        to_bf16_values(run->tangent_input, run->inputs);
        to_bf16_values(run->tangent_diff_output, run->outputs);
    }
}

static void run_release(struct run *run)
{
    float *all[] = {run->input,  run->diff_output, run->tangent_input,  run->tangent_diff_output,
                    run->output, run->diff_input,  run->tangent_output, run->tangent_diff_input,
                    run->grad,   run->value};
    for (size_t i = 0; i < AGN_COUNT_OF(all); i++)
        free(all[i]);
}

static void succeed(const char *label, const char *what, int status)
{
    if (status < 0)
        fail_msg("%s: %s failed: %s", label, what, agn_error_message());
}

static struct agn_net *make_net(const struct net_check *check, struct agn_params *params,
                                enum agn_net_mode mode, unsigned passes)
{
    struct agn_net_config config = {.graph = check->graph,
                                    .params = params,
                                    .batch = check->batch,
                                    .mode = mode,
                                    .passes = passes,
                                    .stochastic_depth = check->stochastic_depth,
                                    .compute = check->compute};
    struct agn_net *net = NULL;
    succeed(check->label, "agn_net_create", agn_net_create(&config, &net));
    agn_net_draw_depth(net, check->seed, 0);
    return net;
}

/* The passes in their order, on the run's data; results are copied into the run. */
static void run_engine(const struct net_check *check, struct agn_net *net, struct agn_params *params,
                       unsigned passes, struct run *run)
{
    size_t in = run->inputs * sizeof(float), out = run->outputs * sizeof(float);
    memcpy(agn_net_write(net, AGN_BORDER_INPUT), run->input, in);
    succeed(check->label, "forward", agn_net_forward(net));
    memcpy(run->output, agn_net_read(net, AGN_BORDER_OUTPUT), out);
    if ((passes & AGN_PASS_BACKWARD) != 0) {
        memcpy(agn_net_write(net, AGN_BORDER_DIFF_OUTPUT), run->diff_output, out);
        succeed(check->label, "backward", agn_net_backward(net));
    }
    if ((passes & AGN_PASS_TANGENT) != 0) {
        memcpy(agn_net_write(net, AGN_BORDER_TANGENT_INPUT), run->tangent_input, in);
        succeed(check->label, "tangent", agn_net_tangent(net));
        memcpy(agn_net_write(net, AGN_BORDER_TANGENT_DIFF_OUTPUT), run->tangent_diff_output, out);
        succeed(check->label, "tangent-backward", agn_net_tangent_backward(net));
        memcpy(run->tangent_output, agn_net_read(net, AGN_BORDER_TANGENT_OUTPUT), out);
        memcpy(run->tangent_diff_input, agn_net_read(net, AGN_BORDER_TANGENT_DIFF_INPUT), in);
    }
    if ((passes & AGN_PASS_INPUT_GRADIENT) != 0)
        memcpy(run->diff_input, agn_net_read(net, AGN_BORDER_DIFF_INPUT), in);
    if (memcmp(run->output, agn_net_read(net, AGN_BORDER_OUTPUT), out) != 0)
        fail_msg("%s: a later pass has changed the output", check->label);
    memcpy(run->grad, params->grad, run->total * sizeof(float));
    memcpy(run->value, params->value, run->total * sizeof(float));
}

static void to_double(double *dst, const float *src, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] = (double)src[i];
}

/* The reference skips the branches that the engine will skip. */
static void take_branches(const struct net_check *check, struct agn_params *params,
                          struct reference_net *reference)
{
    struct agn_net *net = make_net(check, params, AGN_NET_TRAIN, 0);
    for (int i = 0; i < check->graph->count; i++) {
        const float *factors = agn__net_branch_factors(net, i);
        for (int n = 0; factors != NULL && n < check->batch; n++)
            reference->nodes[i].branch[n] = (double)factors[n];
    }
    agn_net_free(net);
}

/* Reference passes on the run's data, after moving the data away from the kinks of ReLU6. */
static struct reference_net *run_reference(const struct net_check *check, struct agn_params *params,
                                           bool train, struct run *run)
{
    struct reference_net *net = reference_create(check->graph, params, check->batch, train);
    if (train)
        take_branches(check, params, net);
    for (uint64_t attempt = 0;; attempt++) {
        reference_load(net, params); /* a forward in training moves the running statistics */
        to_double(reference_input(net)->value, run->input, run->inputs);
        reference_forward(net);
        if (reference_kink_distance(net) > KINK_MARGIN)
            break;
        if (attempt == 100)
            fail_msg("%s: no input keeps away from the kinks of ReLU6; take another seed", check->label);
        net_check_fill(run->input, run->inputs, check->seed + 100 + attempt);
        if (check->bf16_data)
            to_bf16_values(run->input, run->inputs);
    }
    to_double(reference_output(net)->diff, run->diff_output, run->outputs);
    reference_backward(net);
    if (!train) {
        to_double(reference_input(net)->tangent, run->tangent_input, run->inputs);
        to_double(reference_output(net)->tangent_diff, run->tangent_diff_output, run->outputs);
        reference_tangent(net);
        reference_tangent_backward(net);
    }
    return net;
}

/* Gradients of trainable parameters, and running statistics. A gradient that is zero by construction
 * (a bias before a BN) is judged against the largest gradient of the net. */
static void compare_params(const struct net_check *check, const struct reference_net *reference,
                           const struct agn_params *params, const struct run *run)
{
    double largest = 0.0;
    for (size_t i = 0; i < params->total; i++)
        largest = fmax(largest, fabs(reference->grad[i]));
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        size_t at = param->offset;
        if (param->trainable) {
            net_check_close(check->label, param->name, run->grad + at, reference->grad + at, param->count,
                            0.05 * largest, check->tolerance);
        } else {
            net_check_close(check->label, param->name, run->value + at, reference->param + at, param->count,
                            0.1, check->tolerance);
        }
    }
}

static void expect_same(const struct net_check *check, const char *what, const char *tensor, const float *a,
                        const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&a[i], &b[i], sizeof(float)) != 0) {
            fail_msg("%s: %s: %s[%zu] is %.9g, then %.9g", check->label, what, tensor, i, (double)a[i],
                     (double)b[i]);
        }
    }
}

static void expect_same_run(const struct net_check *check, const char *what, const struct run *a,
                            const struct run *b)
{
    expect_same(check, what, "output", a->output, b->output, a->outputs);
    expect_same(check, what, "diff_input", a->diff_input, b->diff_input, a->inputs);
    expect_same(check, what, "tangent_output", a->tangent_output, b->tangent_output, a->outputs);
    expect_same(check, what, "tangent_diff_input", a->tangent_diff_input, b->tangent_diff_input, a->inputs);
    expect_same(check, what, "grad", a->grad, b->grad, a->total);
}

/* Other data on the used net, then the first data again: a fresh net, and the first run, must agree. */
static void check_reuse(const struct net_check *check, struct agn_net *net, struct agn_params *params,
                        enum agn_net_mode mode, unsigned passes, const struct run *first)
{
    struct run other, fresh, again;
    run_init(&other, check, params, check->seed + 1000);
    run_init(&fresh, check, params, check->seed + 1000);
    run_init(&again, check, params, check->seed);
    memcpy(again.input, first->input, first->inputs * sizeof(float));
    run_engine(check, net, params, passes, &other);
    run_engine(check, net, params, passes, &again);
    expect_same_run(check, "same data again", first, &again);
    struct agn_net *second = make_net(check, params, mode, passes);
    memset(params->grad, 0, params->total * sizeof(float));
    run_engine(check, second, params, passes, &fresh);
    expect_same_run(check, "used net and fresh net", &other, &fresh);
    agn_net_free(second);
    run_release(&other);
    run_release(&fresh);
    run_release(&again);
}

static struct agn_params *make_params(const struct net_check *check)
{
    struct agn_params *params = NULL;
    succeed(check->label, "agn_params_create", agn_params_create(check->graph, check->seed, &params));
    net_check_randomise(params, check->seed + 7);
    if (check->bf16_data)
        to_bf16_params(params);
    return params;
}

/* A net without the input's gradient must give the same parameter gradients; one without backward the same
 * output. */
static void check_fewer_passes(const struct net_check *check, struct agn_params *params,
                               enum agn_net_mode mode, const struct run *full)
{
    static const unsigned fewer[] = {0, AGN_PASS_BACKWARD};
    for (size_t i = 0; i < AGN_COUNT_OF(fewer); i++) {
        struct run run;
        run_init(&run, check, params, check->seed);
        memcpy(run.input, full->input, full->inputs * sizeof(float));
        memset(params->grad, 0, params->total * sizeof(float));
        struct agn_net *net = make_net(check, params, mode, fewer[i]);
        run_engine(check, net, params, fewer[i], &run);
        expect_same(check, "with fewer passes", "output", full->output, run.output, full->outputs);
        if (fewer[i] != 0)
            expect_same(check, "with fewer passes", "grad", full->grad, run.grad, full->total);
        agn_net_free(net);
        run_release(&run);
    }
}

void net_check_train(const struct net_check *check)
{
    unsigned passes = AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT;
    struct agn_params *params = make_params(check);
    struct run run;
    run_init(&run, check, params, check->seed);
    struct reference_net *reference = run_reference(check, params, true, &run);
    struct agn_net *net = make_net(check, params, AGN_NET_TRAIN, passes);
    run_engine(check, net, params, passes, &run);
    net_check_close(check->label, "train output", run.output, reference_output(reference)->value, run.outputs,
                    1e-3, check->tolerance);
    net_check_close(check->label, "train diff_input", run.diff_input, reference_input(reference)->diff,
                    run.inputs, 1e-3, check->tolerance);
    compare_params(check, reference, params, &run);
    check_reuse(check, net, params, AGN_NET_TRAIN, passes, &run);
    check_fewer_passes(check, params, AGN_NET_TRAIN, &run);
    agn_net_free(net);
    reference_free(reference);
    run_release(&run);
    agn_params_free(params);
}

void net_check_frozen(const struct net_check *check)
{
    unsigned passes = AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT | AGN_PASS_TANGENT;
    struct agn_params *params = make_params(check);
    struct run run;
    run_init(&run, check, params, check->seed);
    struct reference_net *reference = run_reference(check, params, false, &run);
    struct agn_net *net = make_net(check, params, AGN_NET_FROZEN, passes);
    run_engine(check, net, params, passes, &run);
    struct reference_node *in = reference_input(reference), *out = reference_output(reference);
    net_check_close(check->label, "frozen output", run.output, out->value, run.outputs, 1e-3,
                    check->tolerance);
    net_check_close(check->label, "frozen diff_input", run.diff_input, in->diff, run.inputs, 1e-3,
                    check->tolerance);
    net_check_close(check->label, "tangent_output", run.tangent_output, out->tangent, run.outputs, 1e-3,
                    check->tolerance);
    net_check_close(check->label, "tangent_diff_input", run.tangent_diff_input, in->tangent_diff, run.inputs,
                    1e-3, check->tolerance);
    check_reuse(check, net, params, AGN_NET_FROZEN, passes, &run);
    check_fewer_passes(check, params, AGN_NET_FROZEN, &run);
    agn_net_free(net);
    reference_free(reference);
    run_release(&run);
    agn_params_free(params);
}

void net_check_both(const struct net_check *check)
{
    net_check_train(check);
    net_check_frozen(check);
}
