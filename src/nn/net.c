/* Nets: a graph planned for one batch size, and its passes.
 *
 * Planning: find which BN fold into convolutions, decide how gradients flow along each edge,
 * give each tensor a lifetime over the passes, let operators make their primitives, place all
 * memory, hand out addresses. */
#include <omp.h>
#include <string.h>

#include "nn/net_internal.h"

enum { MAX_BATCH = 65536 };

/* ---- memory --------------------------------------------------------------- */

int agn__time(const struct agn_net *net, enum agn__pass pass, int index)
{
    int ops = net->graph.count;
    bool reverse = pass == AGN__BACKWARD || pass == AGN__TANGENT_BACKWARD;
    return (int)pass * ops + (reverse ? ops - 1 - index : index);
}

int agn__net_buffer(struct agn_net *net, size_t size_bytes, int first, int last)
{
    if (net->buffer_count == net->buffer_capacity) {
        return -1; /* cannot happen: the capacity covers every operator's requests */
    }
    net->buffers[net->buffer_count] =
        (struct agn__buffer){.size_bytes = size_bytes, .first = first, .last = last};
    return net->buffer_count++;
}

int agn__net_buffer_always(struct agn_net *net, size_t size_bytes)
{
    return agn__net_buffer(net, size_bytes, 0, AGN__PASSES * net->graph.count);
}

int agn__net_buffer_of_parameters(struct agn_net *net, size_t size_bytes)
{
    int buffer = agn__net_buffer_always(net, agn__net_owns_copies(net) ? size_bytes : 0);
    if (buffer >= 0) {
        net->buffers[buffer].shared = !agn__net_owns_copies(net);
    }
    return buffer;
}

bool agn__net_owns_copies(const struct agn_net *net)
{
    return net->whole == NULL || net->part == 0;
}

void agn__net_need_scratch(struct agn_net *net, size_t size_bytes)
{
    net->scratch_bytes = size_bytes > net->scratch_bytes ? size_bytes : net->scratch_bytes;
}

void *agn__net_address(const struct agn_net *net, int buffer)
{
    if (buffer >= 0 && net->buffers[buffer].shared && net->whole != NULL) {
        net = net->whole->parts[0]; /* planned alike: its buffers have the same numbers */
    }
    return buffer < 0 ? NULL : net->arena + net->buffers[buffer].offset;
}

/* ---- structure --------------------------------------------------------------- */

static bool takes_batchnorm(enum agn_op_type type)
{
    return type == AGN_OP_CONV || type == AGN_OP_DENSE;
}

static void make_nodes(struct agn_net *net)
{
    for (int i = 0; i < net->graph.count; i++) {
        struct agn__node *node = &net->nodes[i];
        struct agn__op *op = &net->ops[i];
        const struct agn_op_spec *spec = &net->graph.ops[i];
        node->shape = spec->shape;
        node->floats = (size_t)net->batch * (size_t)spec->shape.height * (size_t)spec->shape.width *
                       (size_t)spec->shape.channels;
        node->value_buffer = node->diff_buffer = node->tangent_buffer = node->tangent_diff_buffer = -1;
        node->producer = i;
        node->scale = 1.0F;
        net->moves_statistics |= net->mode == AGN_NET_TRAIN && spec->type == AGN_OP_BATCHNORM;
        node->gradient = i > 0 || (net->passes & AGN_PASS_INPUT_GRADIENT) != 0;
        *op = (struct agn__op){
            .spec = spec, .cls = agn__op_table[spec->type], .net = net, .index = i, .dst = node};
        if (net->fusion != NULL && takes_batchnorm(spec->type)) {
            op->cls = &agn__op_conv_inference;
        }
        op->skip_chance = net->mode == AGN_NET_TRAIN ? net->stochastic_depth * spec->depth : 0.0F;
        for (int s = 0; s < 2; s++) {
            op->src[s] = spec->src[s] < 0 ? NULL : &net->nodes[spec->src[s]];
            if (op->src[s] != NULL) {
                op->src[s]->consumers++;
                op->src[s]->last_consumer = i;
            }
        }
    }
}

/* Frozen: a BN right after the convolution or dense layer that it alone reads becomes part of it. */
static void fold_batchnorms(struct agn_net *net)
{
    for (int i = 1; net->mode == AGN_NET_FROZEN && i < net->graph.count; i++) {
        struct agn__op *bn = &net->ops[i], *conv = &net->ops[i - 1];
        if (bn->spec->type == AGN_OP_BATCHNORM && takes_batchnorm(conv->spec->type) &&
            bn->spec->src[0] == i - 1 && conv->dst->consumers == 1) {
            bn->absorbed = true;
            conv->folded_bn = bn->spec;
            conv->dst->consumers = 0; /* this tensor never exists */
            conv->dst = bn->dst;
            conv->dst->producer = conv->index;
        }
    }
}

static int check_structure(const struct agn_net *net)
{
    for (int i = 0; i < net->graph.count - 1; i++) {
        const struct agn__op *op = &net->ops[i];
        if (!op->absorbed && op->folded_bn == NULL && op->dst->consumers == 0) {
            return agn_fail(AGN_ERR_ARG, "operator %d (%s %s) feeds nothing", i, op->cls->name,
                            op->spec->name);
        }
    }
    return AGN_OK;
}

static bool masks_diff_in_place(const struct agn__op *op)
{
    return op->folded_bn != NULL && op->folded_bn->relu6;
}

static void decide_flows(struct agn_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        for (int s = 0; s < 2 && !op->absorbed && op->src[s] != NULL; s++) {
            const struct agn__node *src = op->src[s];
            bool first = src->last_consumer == i && !(s == 1 && op->src[0] == src);
            op->flow[s] = !src->gradient ? AGN__FLOW_NONE : first ? AGN__FLOW_WRITE : AGN__FLOW_ADD;
        }
    }
}

/* ---- lifetimes ------------------------------------------------------------------ */

static int latest(int a, int b)
{
    return a > b ? a : b;
}

static int value_lives_until(const struct agn_net *net, const struct agn__node *node)
{
    int last = agn__time(net, AGN__FORWARD, node->last_consumer);
    const struct agn__op *maker = &net->ops[node->producer];
    bool keep_own = maker->cls->keeps_dst || masks_diff_in_place(maker);
    if ((net->passes & AGN_PASS_BACKWARD) == 0) {
        return last;
    }
    if (keep_own) {
        last = latest(last, agn__time(net, AGN__BACKWARD, node->producer));
        if ((net->passes & AGN_PASS_TANGENT) != 0) {
            last = latest(last, agn__time(net, AGN__TANGENT_BACKWARD, node->producer));
        }
    }
    for (int j = node->producer + 1; j < net->graph.count; j++) {
        const struct agn__op *reader = &net->ops[j];
        if (reader->absorbed || (reader->src[0] != node && reader->src[1] != node)) {
            continue;
        }
        if (net->mode == AGN_NET_TRAIN && reader->cls->keeps_src) {
            last = latest(last, agn__time(net, AGN__BACKWARD, j));
        }
        if (reader->cls->keeps_second_order) {
            last = latest(last, agn__time(net, AGN__TANGENT_BACKWARD, j));
        }
    }
    return last;
}

/* Last time at which a tangent is read: by its consumers, and by tangent-backward of those with a second
 * derivative. */
static int tangent_lives_until(const struct agn_net *net, const struct agn__node *node)
{
    int last = agn__time(net, AGN__TANGENT, node->last_consumer);
    for (int j = node->producer + 1; j < net->graph.count; j++) {
        const struct agn__op *reader = &net->ops[j];
        bool reads = !reader->absorbed && (reader->src[0] == node || reader->src[1] == node);
        if (reads && reader->cls->keeps_second_order) {
            last = latest(last, agn__time(net, AGN__TANGENT_BACKWARD, j));
        }
    }
    return last;
}

/* Tangent-backward of an operator with a second derivative reads its result's diff again. */
static bool diff_is_read_again(const struct agn_net *net, const struct agn__node *node)
{
    return (net->passes & AGN_PASS_TANGENT) != 0 && net->ops[node->producer].cls->keeps_second_order;
}

static void plan_node(struct agn_net *net, int index)
{
    struct agn__node *node = &net->nodes[index];
    size_t bytes = node->floats * agn__type_bytes(node->type);
    bool border = index == 0 || index == net->graph.count - 1;
    int always = AGN__PASSES * net->graph.count, made = node->producer, used = node->last_consumer;
    if ((!border && node->consumers == 0) || (border && net->whole != NULL)) {
        return; /* a part's borders are parts of the whole net's */
    }
    node->value_buffer = agn__net_buffer(net, bytes, border ? 0 : agn__time(net, AGN__FORWARD, made),
                                         border ? always : value_lives_until(net, node));
    if ((net->passes & AGN_PASS_BACKWARD) != 0 && node->gradient) {
        enum agn__pass reader = diff_is_read_again(net, node) ? AGN__TANGENT_BACKWARD : AGN__BACKWARD;
        node->diff_buffer = agn__net_buffer(net, bytes, border ? 0 : agn__time(net, AGN__BACKWARD, used),
                                            border ? always : agn__time(net, reader, made));
    }
    if ((net->passes & AGN_PASS_TANGENT) != 0) {
        node->tangent_buffer = agn__net_buffer(net, bytes, border ? 0 : agn__time(net, AGN__TANGENT, made),
                                               border ? always : tangent_lives_until(net, node));
        if (node->gradient) {
            node->tangent_diff_buffer =
                agn__net_buffer(net, bytes, border ? 0 : agn__time(net, AGN__TANGENT_BACKWARD, used),
                                border ? always : agn__time(net, AGN__TANGENT_BACKWARD, made));
        }
    }
}

/* `shared` takes the place of `own`: it must live as long as both. */
static int merge(struct agn_net *net, int own, int shared)
{
    if (own < 0 || shared < 0) {
        return own;
    }
    struct agn__buffer *a = &net->buffers[own], *b = &net->buffers[shared];
    b->first = a->first < b->first ? a->first : b->first;
    b->last = latest(a->last, b->last);
    a->size_bytes = 0;
    return shared;
}

/* If the gradients of `a` and `b` share memory, each from the ADD that reads it last: does backward
 * change that of `a` before the producer of `b` has read it? Changes: the other readers of `a` add to
 * it, and its producer may mask it. */
static bool disturbs(const struct agn_net *net, const struct agn__node *a, const struct agn__node *b)
{
    int both = a->last_consumer < b->last_consumer ? a->last_consumer : b->last_consumer;
    if (masks_diff_in_place(&net->ops[a->producer]) && a->producer >= b->producer) {
        return true;
    }
    for (int j = b->producer; j < both; j++) {
        const struct agn__op *reader = &net->ops[j];
        if (!reader->absorbed && (reader->src[0] == a || reader->src[1] == a)) {
            return true;
        }
    }
    return false;
}

/* May the gradient of `add`'s source `s` live in the memory of the ADD's own gradient, which other
 * tensors may share by now? Never in that of the net's result: the caller may want it back. */
static bool can_share(const struct agn_net *net, const struct agn__op *add, int s)
{
    const struct agn__node *mine = add->src[s];
    int buffer = add->dst->diff_buffer;
    if (s == 1 && add->skip_chance > 0.0F) {
        return false; /* its gradient is another one */
    }
    if (mine == &net->nodes[0] || add->src[0] == add->src[1] || add->index == net->graph.count - 1 ||
        buffer < 0 || diff_is_read_again(net, mine)) {
        return false;
    }
    for (int i = 1; i < net->graph.count; i++) {
        const struct agn__node *other = &net->nodes[i];
        if (other != mine && other->diff_buffer == buffer && other != add->dst &&
            (disturbs(net, mine, other) || disturbs(net, other, mine))) {
            return false;
        }
    }
    return true;
}

/* From the last ADD to the first, so that chains of residual blocks share one buffer. */
static void share_gradients(struct agn_net *net)
{
    for (int i = net->graph.count - 1; i > 0; i--) {
        struct agn__op *op = &net->ops[i];
        for (int s = 0; s < 2; s++) {
            if (op->cls->shares_diff && op->flow[s] == AGN__FLOW_WRITE && can_share(net, op, s)) {
                op->flow[s] = AGN__FLOW_SHARE;
                op->src[s]->diff_buffer = merge(net, op->src[s]->diff_buffer, op->dst->diff_buffer);
                op->src[s]->tangent_diff_buffer =
                    merge(net, op->src[s]->tangent_diff_buffer, op->dst->tangent_diff_buffer);
            }
        }
    }
}

/* Inference: a residual block's sum stands where its shortcut stood, in ascending order so that chains of
 * blocks share one buffer. */
static void share_sums(struct agn_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        if (op->sum != NULL && op->sum_in_place) {
            op->dst->value_buffer = merge(net, op->dst->value_buffer, op->sum->value_buffer);
        }
    }
}

/* ---- creation ---------------------------------------------------------------------- */

static int plan_operators(struct agn_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        int status = op->absorbed ? AGN_OK : op->cls->plan(op);
        if (status < 0) {
            return status;
        }
    }
    net->scratch_buffer = agn__net_buffer_always(net, net->scratch_bytes);
    return AGN_OK;
}

/* The stretch of `whole` that belongs to a part's border of `floats`. */
static float *part_of(float *whole, size_t part, size_t floats)
{
    return whole == NULL ? NULL : whole + part * floats;
}

static void give_addresses(const struct agn_net *net, int index)
{
    struct agn__node *node = &net->nodes[index];
    bool border = index == 0 || index == net->graph.count - 1;
    if (border && net->whole != NULL) {
        const struct agn__node *whole = &net->whole->nodes[index];
        size_t part = (size_t)net->part;
        node->value = part_of(whole->value, part, node->floats);
        node->diff = part_of(whole->diff, part, node->floats);
        node->tangent = part_of(whole->tangent, part, node->floats);
        node->tangent_diff = part_of(whole->tangent_diff, part, node->floats);
        return;
    }
    node->value = agn__net_address(net, node->value_buffer);
    node->diff = agn__net_address(net, node->diff_buffer);
    node->tangent = agn__net_address(net, node->tangent_buffer);
    node->tangent_diff = agn__net_address(net, node->tangent_diff_buffer);
}

static int place_memory(struct agn_net *net)
{
    net->arena_bytes = agn__memory_plan(net->buffers, net->buffer_count);
    net->arena = net->arena_bytes == 0 ? NULL : agn_alloc(net->arena_bytes + AGN__XNN_BEYOND, 1);
    if (net->arena == NULL) {
        return agn_fail(AGN_ERR_MEMORY,
                        "a network for batches of %d needs %zu MB, which this machine has not", net->batch,
                        net->arena_bytes >> 20);
    }
    for (int i = 0; i < net->graph.count; i++) {
        give_addresses(net, i);
    }
    return AGN_OK;
}

static int bind_operators(struct agn_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        int status = op->absorbed || op->cls->bind == NULL ? AGN_OK : op->cls->bind(op);
        if (status < 0) {
            return status;
        }
    }
    return AGN_OK;
}

static int allocate_tables(struct agn_net *net)
{
    enum { NODE_BUFFERS = 4, OP_BUFFERS = 16 };
    size_t count = (size_t)net->graph.count;
    net->buffer_capacity = (NODE_BUFFERS + OP_BUFFERS) * net->graph.count;
    net->nodes = agn_alloc(count, sizeof(*net->nodes));
    net->ops = agn_alloc(count, sizeof(*net->ops));
    net->buffers = agn_alloc((size_t)net->buffer_capacity, sizeof(*net->buffers));
    return net->nodes == NULL || net->ops == NULL || net->buffers == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

static int check_config(const struct agn_net_config *config)
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
        (~config->passes & (AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT)) != 0) {
        return agn_fail(AGN_ERR_ARG, "tangents need backward passes that reach the input");
    }
    int status = agn_compute_check(config->compute);
    return status == AGN_OK ? agn__params_check(config->params, config->graph) : status;
}

/* The end of the parameters that belong to operator `name`. */
static size_t parameters_end(const struct agn_params *params, const char *name)
{
    size_t end = 0, length = strlen(name);
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        if (length > 0 && strncmp(param->name, name, length) == 0 && param->name[length] == '.' &&
            param->offset + param->count > end) {
            end = param->offset + param->count;
        }
    }
    return end;
}

/* Backward goes from the last operator to the first: what lies beyond the parameters of all that are yet to
 * come is settled. */
static int find_settled(struct agn_net *net)
{
    size_t end = 0;
    net->settled = agn_alloc((size_t)net->graph.count, sizeof(*net->settled));
    if (net->settled == NULL) {
        return AGN_ERR_MEMORY;
    }
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
    if (status == AGN_OK) {
        make_nodes(net);
        fold_batchnorms(net);
        status = check_structure(net);
    }
    if (status == AGN_OK && net->fusion != NULL)
        status = agn__net_fuse(net);
    if (status == AGN_OK) {
        decide_flows(net);
        for (int i = 0; i < net->graph.count; i++) {
            plan_node(net, i);
        }
        share_gradients(net);
        share_sums(net);
        status = plan_operators(net);
    }
    if (status == AGN_OK && net->peers.gradients != NULL)
        status = find_settled(net);
    if (status == AGN_OK)
        status = place_memory(net);
    return status == AGN_OK ? bind_operators(net) : status;
}

/* Of a net that computes in parts: borders, and the parts. */
static int plan_whole(struct agn_net *net, const struct agn_net_config *config)
{
    int status = allocate_tables(net);
    if (status == AGN_OK) {
        make_nodes(net);
        plan_node(net, 0);
        plan_node(net, net->graph.count - 1);
        status = place_memory(net);
    }
    return status == AGN_OK ? agn__net_make_parts(net, config) : status;
}

int agn__net_load(struct agn_net *net)
{
    if (net->loaded && (net->fusion != NULL || net->loaded_version == net->params->version)) {
        return AGN_OK;
    }
    for (int i = 1; i < net->graph.count; i++) {
        struct agn__op *op = &net->ops[i];
        int status = op->absorbed || op->cls->load == NULL ? AGN_OK : op->cls->load(op);
        if (status < 0) {
            return status;
        }
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

/* `part`: its number, of `whole`, unless that is NULL. */
static int create(const struct agn_net_config *config, int threads, const struct agn__fusion *fusion,
                  struct agn_net *whole, int part, struct agn_net **result)
{
    int status = check_config(config);
    struct agn_net *net = status < 0 ? NULL : agn_alloc(1, sizeof(*net));
    if (net == NULL) {
        return status < 0 ? status : AGN_ERR_MEMORY;
    }
    net->graph = *config->graph;
    net->params = config->params;
    net->batch = config->batch;
    net->stochastic_depth = config->stochastic_depth;
    net->mode = config->mode;
    net->passes = config->passes;
    net->bf16 = config->compute != AGN_COMPUTE_F32;
    net->bn_momentum = config->bn_momentum > 0.0F ? config->bn_momentum : 0.1F;
    net->fusion = fusion;
    if (config->peers != NULL && config->peers->count > 1) {
        net->peers = *config->peers;
    }
    net->threads = threads;
    net->whole = whole;
    net->part = part;
    net->lanes = lanes_of(net);
    net->part_count = agn__net_parts(net);
    int callers_threads = omp_get_max_threads();
    omp_set_num_threads(net->threads);
    status = net->part_count > 1 ? plan_whole(net, config) : plan(net);
    omp_set_num_threads(callers_threads);
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
    if (status == AGN_OK) {
        status = agn__net_load(net);
    }
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
    if (net == NULL) {
        return;
    }
    for (int i = 0; net->ops != NULL && i < net->graph.count; i++) {
        const struct agn__op *op = &net->ops[i];
        if (op->state != NULL && op->cls->release != NULL) {
            op->cls->release(&net->ops[i]);
        }
    }
    for (int p = 0; net->parts != NULL && p < net->part_count; p++) {
        agn_net_free(net->parts[p]);
    }
    agn_free(net->parts);
    agn_free(net->ops);
    agn_free(net->nodes);
    agn_free(net->buffers);
    agn_free(net->settled);
    agn_free(net->seconds);
    agn_free(net->arena);
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

/* Lanes may wait for a worker; a primitive made for all threads together may not. */
static int team_of(const struct agn_net *net)
{
    int workers = agn_nn_workers();
    return net->lanes == net->threads && workers < net->threads ? workers : net->threads;
}

/* OpenMP keeps the number of threads for each thread that calls, so each pass sets its own. */
int agn__net_run(struct agn_net *net, enum agn__pass pass)
{
    if (net->part_count > 1) {
        return agn__net_run_parts(net, pass);
    }
    bool reverse = pass == AGN__BACKWARD || pass == AGN__TANGENT_BACKWARD;
    int callers_threads = omp_get_max_threads(), last = net->graph.count - 1;
    omp_set_num_threads(team_of(net));
    uint64_t callers_mode = agn__denormals_flush();
    int status = pass == AGN__FORWARD ? agn__net_load(net) : AGN_OK;
    for (int i = 1; i <= last && status == AGN_OK; i++) {
        struct agn__op *op = &net->ops[reverse ? last + 1 - i : i];
        double begin = net->seconds == NULL ? 0.0 : agn_now_s();
        status = op->absorbed ? AGN_OK : run_operator(op, pass);
        if (net->seconds != NULL) {
            net->seconds[op->index] += agn_now_s() - begin;
        }
        if (status == AGN_OK && pass == AGN__BACKWARD && net->settled != NULL) {
            status = net->peers.gradients(net->peers.user, net->params, net->settled[op->index]);
        }
    }
    agn__denormals_restore(callers_mode);
    omp_set_num_threads(callers_threads);
    return status;
}

int agn_net_forward(struct agn_net *net)
{
    int status = agn__net_run(net, AGN__FORWARD);
    if (status == AGN_OK && net->moves_statistics) {
        /* Frozen nets of the same store must fold anew; this net's own copies are still good. */
        net->params->version++;
        net->loaded_version = net->params->version;
    }
    return status;
}

int agn_net_backward(struct agn_net *net)
{
    return (net->passes & AGN_PASS_BACKWARD) != 0 ? agn__net_run(net, AGN__BACKWARD)
                                                  : agn_fail(AGN_ERR_STATE, "no backward was planned");
}

int agn_net_tangent(struct agn_net *net)
{
    return (net->passes & AGN_PASS_TANGENT) != 0 ? agn__net_run(net, AGN__TANGENT)
                                                 : agn_fail(AGN_ERR_STATE, "no tangent was planned");
}

int agn_net_tangent_backward(struct agn_net *net)
{
    return (net->passes & AGN_PASS_TANGENT) != 0 ? agn__net_run(net, AGN__TANGENT_BACKWARD)
                                                 : agn_fail(AGN_ERR_STATE, "no tangent was planned");
}

/* ---- borders -------------------------------------------------------------------------- */

static struct agn__node *last_node(const struct agn_net *net)
{
    return &net->nodes[net->graph.count - 1];
}

float *agn_net_input(struct agn_net *net)
{
    return net->nodes[0].value;
}

const float *agn_net_output(const struct agn_net *net)
{
    return last_node(net)->value;
}

float *agn_net_diff_output(struct agn_net *net)
{
    return last_node(net)->diff;
}

const float *agn_net_diff_input(const struct agn_net *net)
{
    return net->nodes[0].diff;
}

float *agn_net_tangent_input(struct agn_net *net)
{
    return net->nodes[0].tangent;
}

const float *agn_net_tangent_output(const struct agn_net *net)
{
    return last_node(net)->tangent;
}

float *agn_net_tangent_diff_output(struct agn_net *net)
{
    return last_node(net)->tangent_diff;
}

const float *agn_net_tangent_diff_input(const struct agn_net *net)
{
    return net->nodes[0].tangent_diff;
}

int agn_net_batch(const struct agn_net *net)
{
    return net->batch;
}

struct agn_shape agn_net_input_shape(const struct agn_net *net)
{
    return agn_graph_input_shape(&net->graph);
}

struct agn_shape agn_net_output_shape(const struct agn_net *net)
{
    return agn_graph_output_shape(&net->graph);
}

size_t agn_net_arena_bytes(const struct agn_net *net)
{
    size_t sum = net->arena_bytes;
    for (int p = 0; net->parts != NULL && p < net->part_count; p++) {
        sum += net->parts[p]->arena_bytes;
    }
    return sum;
}

int agn_net_profile(struct agn_net *net)
{
    if (net->seconds == NULL) {
        net->seconds = agn_alloc((size_t)net->graph.count, sizeof(double));
    }
    int status = net->seconds == NULL ? AGN_ERR_MEMORY : AGN_OK;
    for (int p = 0; net->parts != NULL && p < net->part_count && status == AGN_OK; p++) {
        status = agn_net_profile(net->parts[p]);
    }
    return status;
}

double agn_net_seconds(const struct agn_net *net, int op)
{
    if (net->seconds == NULL || op < 0 || op >= net->graph.count) {
        return 0.0;
    }
    double parts = 0.0;
    for (int p = 0; net->parts != NULL && p < net->part_count; p++) {
        parts += net->parts[p]->seconds[op];
    }
    return net->seconds[op] + parts / net->threads;
}
