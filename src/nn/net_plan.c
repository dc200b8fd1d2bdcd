/* The plan of a net: which BN fold into convolutions, how gradients flow along each edge, and how long each
 * tensor lives over the passes. Where it lives: net_memory.c. */
#include "nn/net_internal.h"

/* ---- structure --------------------------------------------------------------- */

static bool takes_batchnorm(enum agn_op_type type)
{
    return type == AGN_OP_CONV || type == AGN_OP_DENSE;
}

void agn__net_make_nodes(struct agn_net *net)
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
            .spec = spec, .cls = net->backend->ops[spec->type], .net = net, .index = i, .dst = node};
        if (net->fusion != NULL && takes_batchnorm(spec->type))
            op->cls = &agn__op_conv_inference;
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
            return agn_fail(AGN_ERR_ARG, "operator %d (%s %s) feeds nothing", i,
                            agn_op_type_name(op->spec->type), op->spec->name);
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
    if ((net->passes & AGN_PASS_BACKWARD) == 0)
        return last;
    if (keep_own) {
        last = latest(last, agn__time(net, AGN__BACKWARD, node->producer));
        if ((net->passes & AGN_PASS_TANGENT) != 0)
            last = latest(last, agn__time(net, AGN__TANGENT_BACKWARD, node->producer));
    }
    for (int j = node->producer + 1; j < net->graph.count; j++) {
        const struct agn__op *reader = &net->ops[j];
        if (reader->absorbed || (reader->src[0] != node && reader->src[1] != node))
            continue;
        if (net->mode == AGN_NET_TRAIN && reader->cls->keeps_src)
            last = latest(last, agn__time(net, AGN__BACKWARD, j));
        if (reader->cls->keeps_second_order)
            last = latest(last, agn__time(net, AGN__TANGENT_BACKWARD, j));
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
        if (reads && reader->cls->keeps_second_order)
            last = latest(last, agn__time(net, AGN__TANGENT_BACKWARD, j));
    }
    return last;
}

/* Tangent-backward of an operator with a second derivative reads its result's diff again. */
static bool diff_is_read_again(const struct agn_net *net, const struct agn__node *node)
{
    return (net->passes & AGN_PASS_TANGENT) != 0 && net->ops[node->producer].cls->keeps_second_order;
}

void agn__net_plan_node(struct agn_net *net, int index)
{
    struct agn__node *node = &net->nodes[index];
    size_t bytes = node->floats * agn__type_bytes(node->type);
    bool border = index == 0 || index == net->graph.count - 1;
    int always = AGN__PASSES * net->graph.count, made = node->producer, used = node->last_consumer;
    if ((!border && node->consumers == 0) || (border && net->whole != NULL))
        return; /* a part's borders are parts of the whole net's */
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
    if (own < 0 || shared < 0)
        return own;
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
    if (masks_diff_in_place(&net->ops[a->producer]) && a->producer >= b->producer)
        return true;
    for (int j = b->producer; j < both; j++) {
        const struct agn__op *reader = &net->ops[j];
        if (!reader->absorbed && (reader->src[0] == a || reader->src[1] == a))
            return true;
    }
    return false;
}

/* May the gradient of `add`'s source `s` live in the memory of the ADD's own gradient, which other
 * tensors may share by now? Never in that of the net's result: the caller may want it back. */
static bool can_share(const struct agn_net *net, const struct agn__op *add, int s)
{
    const struct agn__node *mine = add->src[s];
    int buffer = add->dst->diff_buffer;
    if (s == 1 && add->skip_chance > 0.0F)
        return false; /* its gradient is another one */
    if (mine == &net->nodes[0] || add->src[0] == add->src[1] || add->index == net->graph.count - 1 ||
        buffer < 0 || diff_is_read_again(net, mine))
        return false;
    for (int i = 1; i < net->graph.count; i++) {
        const struct agn__node *other = &net->nodes[i];
        if (other != mine && other->diff_buffer == buffer && other != add->dst &&
            (disturbs(net, mine, other) || disturbs(net, other, mine)))
            return false;
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
        if (op->sum != NULL && op->sum_in_place)
            op->dst->value_buffer = merge(net, op->dst->value_buffer, op->sum->value_buffer);
    }
}

int agn__net_decide(struct agn_net *net)
{
    agn__net_make_nodes(net);
    fold_batchnorms(net);
    int status = check_structure(net);
    if (status == AGN_OK && net->fusion != NULL)
        status = agn__net_fuse(net);
    if (status < 0)
        return status;
    decide_flows(net);
    for (int i = 0; i < net->graph.count; i++)
        agn__net_plan_node(net, i);
    share_gradients(net);
    share_sums(net);
    return AGN_OK;
}
