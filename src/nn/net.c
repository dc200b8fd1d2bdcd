/* Nets: a graph planned for one batch size, and its passes.
 *
 * Planning: decide structure, flows and lifetimes (net_plan.c), let operators make their primitives, place
 * all memory and hand out addresses (net_memory.c). What computes is the net's backend. Borders:
 * net_borders.c. */
#include <string.h>

#include "nn/net_internal.h"

enum { MAX_BATCH = 65536 };

/* ---- creation ---------------------------------------------------------------------- */

static int plan_operators(struct agn_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        int status = op->absorbed ? AGN_OK : op->cls->plan(op);
        if (status < 0)
            return status;
    }
    net->scratch_buffer = agn__net_buffer_always(net, net->scratch_bytes);
    return AGN_OK;
}

static int bind_operators(struct agn_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        int status = op->absorbed || op->cls->bind == NULL ? AGN_OK : op->cls->bind(op);
        if (status < 0)
            return status;
    }
    return AGN_OK;
}

static int allocate_tables(struct agn_net *net)
{
    enum { NODE_BUFFERS = 4 };
    size_t count = (size_t)net->graph.count;
    net->buffer_capacity = (NODE_BUFFERS + AGN__OP_BUFFERS) * net->graph.count;
    net->nodes = agn_alloc(count, sizeof(*net->nodes));
    net->ops = agn_alloc(count, sizeof(*net->ops));
    net->buffers = agn_alloc((size_t)net->buffer_capacity, sizeof(*net->buffers));
    return net->nodes == NULL || net->ops == NULL || net->buffers == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

static int check_config(const struct agn_net_config *config, const struct agn__backend *backend)
{
    if (config->batch < 1 || config->batch > MAX_BATCH || config->graph->count < 2) {
        return agn_fail(AGN_ERR_ARG, "a network needs a batch of 1 to %d and at least one operator",
                        MAX_BATCH);
    }
    if (!(config->stochastic_depth >= 0.0F && config->stochastic_depth < 1.0F)) {
        return agn_fail(AGN_ERR_RANGE, "stochastic depth is a chance from 0 to below 1, not %g",
                        (double)config->stochastic_depth);
    }
    if (config->mode == AGN_NET_TRAIN && (config->passes & AGN_PASS_TANGENT) != 0) {
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "tangents are for frozen networks: batch statistics have none here");
    }
    if ((config->passes & AGN_PASS_TANGENT) != 0 &&
        (~config->passes & (AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT)) != 0)
        return agn_fail(AGN_ERR_ARG, "tangents need backward passes that reach the input");
    int status = backend->check_compute(config->compute);
    return status == AGN_OK ? agn__params_check(config->params, config->graph) : status;
}

/* The end of the parameters that belong to operator `name`. */
static size_t parameters_end(const struct agn_params *params, const char *name)
{
    size_t end = 0, length = strlen(name);
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        if (length > 0 && strncmp(param->name, name, length) == 0 && param->name[length] == '.' &&
            param->offset + param->count > end)
            end = param->offset + param->count;
    }
    return end;
}

/* Backward goes from the last operator to the first: what lies beyond the parameters of all that are yet to
 * come is settled. */
static int find_settled(struct agn_net *net)
{
    size_t end = 0;
    net->settled = agn_alloc((size_t)net->graph.count, sizeof(*net->settled));
    if (net->settled == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < net->graph.count; i++) {
        size_t own = parameters_end(net->params, net->graph.ops[i].name);
        net->settled[i] = end;
        end = own > end ? own : end;
    }
    return AGN_OK;
}

static int plan(struct agn_net *net)
{
    int status = allocate_tables(net);
    if (status == AGN_OK)
        status = agn__net_decide(net);
    if (status == AGN_OK)
        status = plan_operators(net);
    if (status == AGN_OK && net->peers.gradients != NULL)
        status = find_settled(net);
    if (status == AGN_OK)
        status = agn__net_place(net);
    return status == AGN_OK ? bind_operators(net) : status;
}

/* Of a net that computes in parts: borders, and the parts. */
static int plan_whole(struct agn_net *net, const struct agn_net_config *config)
{
    int status = allocate_tables(net);
    if (status == AGN_OK) {
        agn__net_make_nodes(net);
        agn__net_plan_node(net, 0);
        agn__net_plan_node(net, net->graph.count - 1);
        status = agn__net_place(net);
    }
    return status == AGN_OK ? agn__net_make_parts(net, config) : status;
}

int agn__net_load(struct agn_net *net)
{
    if (net->loaded && (net->fusion != NULL || net->loaded_version == net->params->version))
        return AGN_OK;
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        int status = op->absorbed || op->cls->load == NULL ? AGN_OK : op->cls->load(op);
        if (status < 0)
            return status;
    }
    net->loaded = true;
    net->loaded_version = net->params->version;
    return AGN_OK;
}

/* As many as threads, where the batch divides by them. */
static int lanes_of(const struct agn_net *net)
{
    bool divides = net->threads <= AGN__MAX_LANES && net->batch % net->threads == 0;
    return divides && net->fusion == NULL ? net->threads : 1;
}

static const struct agn__backend *backend_of(const struct agn_net *whole, const struct agn__fusion *fusion)
{
    return whole != NULL ? whole->backend : fusion != NULL ? &agn__backend_cpu : agn__backend_in_use();
}

/* `part`: its number, of `whole`, unless that is NULL. */
static int create(const struct agn_net_config *config, int threads, const struct agn__fusion *fusion,
                  struct agn_net *whole, int part, struct agn_net **result)
{
    const struct agn__backend *backend = backend_of(whole, fusion);
    int status = check_config(config, backend);
    struct agn_net *net = status < 0 ? NULL : agn_alloc(1, sizeof(*net));
    if (net == NULL)
        return status < 0 ? status : AGN_ERR_MEMORY;
    net->backend = backend;
    net->graph = *config->graph;
    net->params = config->params;
    net->batch = config->batch;
    net->stochastic_depth = config->stochastic_depth;
    net->mode = config->mode;
    net->passes = config->passes;
    net->bf16 = config->compute != AGN_COMPUTE_F32;
    net->bn_momentum = config->bn_momentum > 0.0F ? config->bn_momentum : 0.1F;
    net->fusion = fusion;
    if (config->peers != NULL && config->peers->count > 1)
        net->peers = *config->peers;
    net->threads = threads;
    net->whole = whole;
    net->part = part;
    net->lanes = lanes_of(net);
    net->part_count = agn__net_parts(net);
    struct agn__caller caller;
    backend->enter(net, true, &caller);
    status = net->part_count > 1 ? plan_whole(net, config) : plan(net);
    int left = backend->leave(net, &caller);
    if (status == AGN_OK)
        status = left;
    if (status == AGN_OK && whole == NULL)
        status = agn__borders_create(net);
    if (status < 0) {
        agn_net_free(net);
        return status;
    }
    *result = net;
    return AGN_OK;
}

int agn_net_create(const struct agn_net_config *config, struct agn_net **result)
{
    return create(config, agn_nn_threads(), NULL, NULL, 0, result);
}

int agn__net_create_part(const struct agn_net_config *config, struct agn_net *whole, int part,
                         struct agn_net **result)
{
    return create(config, 1, NULL, whole, part, result);
}

int agn__net_create_inference(const struct agn_net_config *config, int threads,
                              const struct agn__fusion *fusion, struct agn_net **result)
{
    struct agn_net *net = NULL;
    int status = create(config, threads, fusion, NULL, 0, &net);
    if (status == AGN_OK)
        status = agn__net_load(net);
    if (status < 0) {
        agn_net_free(net);
        return status;
    }
    net->params = NULL; /* the caller may free them */
    *result = net;
    return AGN_OK;
}

void agn_net_free(struct agn_net *net)
{
    if (net == NULL)
        return;
    for (int i = 0; net->ops != NULL && i < net->graph.count; i++) {
        const struct agn__op *op = &net->ops[i];
        if (op->state != NULL && op->cls->release != NULL)
            op->cls->release(&net->ops[i]);
    }
    for (int p = 0; net->parts != NULL && p < net->part_count; p++)
        agn_net_free(net->parts[p]);
    agn_free(net->parts);
    agn_free(net->ops);
    agn_free(net->nodes);
    agn_free(net->buffers);
    agn_free(net->settled);
    agn_free(net->seconds);
    agn__borders_free(net);
    net->backend->release(net->arena);
    agn_free(net);
}

/* ---- passes -------------------------------------------------------------------------- */

static int run_operator(struct agn__op *op, enum agn__pass pass)
{
    switch (pass) {
    case AGN__FORWARD:
        return op->cls->forward(op);
    case AGN__BACKWARD:
        return op->cls->backward(op);
    case AGN__TANGENT:
        return op->cls->tangent(op);
    default:
        return op->cls->tangent_backward(op);
    }
}

int agn__net_run(struct agn_net *net, enum agn__pass pass)
{
    if (net->part_count > 1)
        return agn__net_run_parts(net, pass);
    bool reverse = pass == AGN__BACKWARD || pass == AGN__TANGENT_BACKWARD;
    struct agn__caller caller;
    net->backend->enter(net, false, &caller);
    int last = net->graph.count - 1;
    int status = pass == AGN__FORWARD ? agn__net_load(net) : AGN_OK;
    for (int i = 1; i <= last && status == AGN_OK; i++) {
        struct agn__op *op = &net->ops[reverse ? last + 1 - i : i];
        double begin = net->seconds == NULL ? 0.0 : agn_now_s();
        status = op->absorbed ? AGN_OK : run_operator(op, pass);
        if (net->seconds != NULL)
            net->seconds[op->index] += agn_now_s() - begin;
        if (status == AGN_OK && pass == AGN__BACKWARD && net->settled != NULL)
            status = net->peers.gradients(net->peers.user, net->params, net->settled[op->index]);
    }
    int left = net->backend->leave(net, &caller);
    return status == AGN_OK ? left : status;
}

/* The same with the borders around it. */
static int run(struct agn_net *net, enum agn__pass pass)
{
    int status = agn__borders_send(net, pass);
    if (status == AGN_OK)
        status = agn__net_run(net, pass);
    agn__borders_made(net, pass);
    return status;
}

int agn_net_forward(struct agn_net *net)
{
    int status = run(net, AGN__FORWARD);
    if (status == AGN_OK && net->moves_statistics) {
        /* Frozen nets of the same store must fold anew; this net's own copies are still good. */
        net->params->version++;
        net->loaded_version = net->params->version;
    }
    return status;
}

int agn_net_backward(struct agn_net *net)
{
    return (net->passes & AGN_PASS_BACKWARD) != 0 ? run(net, AGN__BACKWARD)
                                                  : agn_fail(AGN_ERR_STATE, "no backward was planned");
}

int agn_net_tangent(struct agn_net *net)
{
    return (net->passes & AGN_PASS_TANGENT) != 0 ? run(net, AGN__TANGENT)
                                                 : agn_fail(AGN_ERR_STATE, "no tangent was planned");
}

int agn_net_tangent_backward(struct agn_net *net)
{
    return (net->passes & AGN_PASS_TANGENT) != 0 ? run(net, AGN__TANGENT_BACKWARD)
                                                 : agn_fail(AGN_ERR_STATE, "no tangent was planned");
}

struct agn_shape agn_net_input_shape(const struct agn_net *net)
{
    return agn_graph_input_shape(&net->graph);
}

struct agn_shape agn_net_output_shape(const struct agn_net *net)
{
    return agn_graph_output_shape(&net->graph);
}

size_t agn__net_arena_bytes(const struct agn_net *net)
{
    size_t sum = net->arena_bytes;
    for (int p = 0; net->parts != NULL && p < net->part_count; p++)
        sum += net->parts[p]->arena_bytes;
    return sum;
}

int agn_net_profile(struct agn_net *net)
{
    if (net->seconds == NULL)
        net->seconds = agn_alloc((size_t)net->graph.count, sizeof(double));
    int status = net->seconds == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int p = 0; net->parts != NULL && p < net->part_count && status == AGN_OK; p++)
        status = agn_net_profile(net->parts[p]);
    return status;
}

double agn_net_seconds(const struct agn_net *net, int op)
{
    if (net->seconds == NULL || op < 0 || op >= net->graph.count)
        return 0.0;
    double parts = 0.0;
    for (int p = 0; net->parts != NULL && p < net->part_count; p++)
        parts += net->parts[p]->seconds[op];
    return net->seconds[op] + parts / net->threads;
}
