/* The device's layers from a model's graphs: each convolution with its BN is one, so is each sum; pooling and
 * the dense layer at the end of a Local NN or an exit are an answer. */
#include <string.h>

#include "deploy/network.h"

/* Operators of the part at hand, and which tensor holds the result of each; -1: none does. */
struct walk {
    struct agn__network *network;
    enum agn_role role;
    const struct agn_graph *graph;
    int tensor[AGN_MAX_OPS];
    int first_c; /* of the input's tensor, channels [0, first_c) are the part's input */
};

int agn__stage_of(enum agn_role role)
{
    int stage = 1;
    while (role != agn_stage_role(stage) && role != agn_exit_role(stage))
        stage++;
    return stage;
}

static const char *setting_of(const struct walk *w)
{
    return agn__is_exit(w->role) ? "model.local" : "model.extractor";
}

static int refuse(const struct walk *w, int op)
{
    return agn_fail(
        AGN_ERR_UNSUPPORTED,
        "the device runs convolutions with BN and ReLU6 or none, sums of these (conv, dw, mb), and "
        "pooling and a dense layer at the end of a Local NN; the %s in %s ('%s') does not fit",
        agn_op_type_name(w->graph->ops[op].type), setting_of(w), w->graph->ops[op].name);
}

static int check_convolution(const struct walk *w, const struct agn_op_spec *conv)
{
    if (conv->kernel > AGN_DEV_MAX_KERNEL || conv->kernel < 1 || conv->stride > AGN_DEV_MAX_STRIDE ||
        conv->pad > AGN_DEV_MAX_PAD) {
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "'%s' in %s has a %dx%d kernel and stride %d; the device takes kernels up to %d and "
                        "strides 1 to %d",
                        conv->name, setting_of(w), conv->kernel, conv->kernel, conv->stride,
                        AGN_DEV_MAX_KERNEL, AGN_DEV_MAX_STRIDE);
    }
    if (conv->shape.channels > AGN_DEV_MAX_INNER_CHANNELS) {
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "'%s' in %s makes %d channels; the device takes up to %d channels", conv->name,
                        setting_of(w), conv->shape.channels, AGN_DEV_MAX_INNER_CHANNELS);
    }
    return AGN_OK;
}

static int add_layer(struct walk *w, int op, int result)
{
    struct agn__network *n = w->network;
    const struct agn_op_spec *spec = &w->graph->ops[op];
    bool is_sum = spec->type == AGN_OP_ADD;
    if (n->layer_count == AGN_DEV_MAX_GRAPH_LAYERS) {
        return agn_fail(AGN_ERR_UNSUPPORTED, "the device runs at most %d layers; '%s' in %s is one more",
                        AGN_DEV_MAX_GRAPH_LAYERS, spec->name, setting_of(w));
    }
    struct agn__layer *layer = &n->layers[n->layer_count++];
    int in = spec->src[0] == 0 ? w->first_c : w->graph->ops[spec->src[0]].shape.channels;
    *layer = (struct agn__layer){.role = w->role,
                                 .op = spec,
                                 .bn = is_sum ? NULL : &w->graph->ops[result],
                                 .result = result,
                                 .source = {w->tensor[spec->src[0]], is_sum ? w->tensor[spec->src[1]] : 0},
                                 .in_c = in,
                                 .kernel = is_sum ? 1 : spec->kernel,
                                 .ic = spec->depthwise || is_sum ? 1 : in,
                                 .oc = spec->shape.channels};
    w->tensor[result] = n->layer_count;
    return AGN_OK;
}

/* A convolution and its BN, or a sum: moves `*op` on behind it. */
static int take_layer(struct walk *w, int *op)
{
    const struct agn_op_spec *spec = &w->graph->ops[*op];
    int at = *op;
    if (w->tensor[spec->src[0]] < 0 || (spec->type == AGN_OP_ADD && w->tensor[spec->src[1]] < 0))
        return refuse(w, at);
    if (spec->type == AGN_OP_ADD) {
        *op = at + 1;
        return w->tensor[spec->src[0]] == 0 || w->tensor[spec->src[1]] == 0 ? refuse(w, at)
                                                                            : add_layer(w, at, at);
    }
    bool has_bn = at + 1 < w->graph->count && w->graph->ops[at + 1].type == AGN_OP_BATCHNORM &&
                  w->graph->ops[at + 1].src[0] == at;
    if (spec->type != AGN_OP_CONV || spec->bias)
        return refuse(w, at);
    if (!has_bn)
        return refuse(w, at + 1 < w->graph->count ? at + 1 : at);
    int status = check_convolution(w, spec);
    *op = at + 2;
    return status < 0 ? status : add_layer(w, at, at + 1);
}

/* Pooling and the dense layer. */
static int take_answer(struct walk *w, int op)
{
    struct agn__network *n = w->network;
    const struct agn_op_spec *pool = &w->graph->ops[op];
    bool pools = pool->type == AGN_OP_POOL;
    int dense = pools ? op + 1 : op, source = pool->src[0];
    if (dense >= w->graph->count || w->graph->ops[dense].type != AGN_OP_DENSE || w->tensor[source] < 0)
        return refuse(w, op);
    struct agn_shape in = w->graph->ops[source].shape;
    if (!pools && (in.height > 1 || in.width > 1))
        return refuse(w, op);
    if (w->tensor[source] == 0)
        return agn_fail(AGN_ERR_UNSUPPORTED, "model.local has no layer for the device before its dense one");
    n->answers[n->answer_count++] = (struct agn__answer){.role = w->role,
                                                         .tensor = w->tensor[source],
                                                         .channels = source == 0 ? w->first_c : in.channels,
                                                         .grid = pools ? pool->grid : 1};
    return AGN_OK;
}

/* All layers of a part, whose input is channels [0, first_c) of `tensor`. */
static int walk_part(struct agn__network *n, enum agn_role role, int tensor, int first_c)
{
    struct walk w = {.network = n, .role = role, .graph = &n->model->parts[role].graph, .first_c = first_c};
    int status = AGN_OK, op = 1;
    for (int i = 0; i < w.graph->count; i++)
        w.tensor[i] = -1;
    w.tensor[0] = tensor;
    while (status == AGN_OK && op < w.graph->count) {
        enum agn_op_type type = w.graph->ops[op].type;
        if (agn__is_exit(role) && (type == AGN_OP_POOL || type == AGN_OP_DENSE))
            return take_answer(&w, op);
        status = take_layer(&w, &op);
    }
    if (status == AGN_OK && agn__is_exit(role))
        return agn_fail(AGN_ERR_UNSUPPORTED, "model.local ends without a dense layer");
    return status;
}

/* Files of version 3 hold chains: the extractor's layers, and a Local NN right behind them. */
static bool is_chain(const struct agn__network *n)
{
    bool chain = n->map > 0 && n->model->preset.model.sends == AGN_SENDS_REST &&
                 n->layer_count <= AGN_DEV_MAX_LAYERS && n->answer_count == 1 &&
                 n->answers[0].tensor == n->layer_count;
    for (int i = 0; i < n->layer_count; i++)
        chain = chain && n->layers[i].role == AGN_EXTRACTOR && n->layers[i].source[0] == i &&
                n->layers[i].op->type == AGN_OP_CONV;
    return chain;
}

/* A stage and its exit. */
static int walk_stage(struct agn__network *n, int stage)
{
    const struct agn_model *model = n->model;
    struct agn__stage *made = &n->stages[n->stage_count++];
    int channels = stage == 1 ? model->preset.data.channels : agn_model_stage_map(model, stage - 1).channels;
    int status = walk_part(n, agn_stage_role(stage), n->map, channels);
    n->map = made->map = n->layer_count;
    channels =
        model->system->exits ? agn_model_stage_map(model, stage).channels : agn_model_local_channels(model);
    if (status == AGN_OK && model->map.channels > AGN_DEV_MAX_CHANNELS) {
        status = agn_fail(AGN_ERR_UNSUPPORTED,
                          "model.extractor makes %d channels; the device takes up to %d channels",
                          model->map.channels, AGN_DEV_MAX_CHANNELS);
    }
    if (status == AGN_OK && !agn_part_is_empty(&model->parts[agn_exit_role(stage)]))
        status = walk_part(n, agn_exit_role(stage), n->map, channels);
    made->layers = n->layer_count;
    return status;
}

int agn__network_of(const struct agn_model *model, struct agn__network *n)
{
    *n = (struct agn__network){.model = model};
    n->layers = agn_alloc(AGN_DEV_MAX_GRAPH_LAYERS, sizeof(*n->layers));
    if (n->layers == NULL)
        return AGN_ERR_MEMORY;
    int status = AGN_OK, stages = agn_model_stages(model);
    for (int stage = 1; stage <= stages && status == AGN_OK; stage++)
        status = walk_stage(n, stage);
    if (stages == 0 && !agn_part_is_empty(&model->parts[AGN_LOCAL]))
        status = walk_part(n, AGN_LOCAL, 0, model->preset.data.channels);
    n->is_graph = model->system->exits || !is_chain(n);
    return status;
}

void agn__network_free(struct agn__network *n)
{
    for (int i = 0; i < n->layer_count; i++) {
        agn_free(n->layers[i].weights);
        agn_free(n->layers[i].channels);
    }
    agn_free(n->layers);
    for (int i = 0; i < n->answer_count; i++) {
        agn_free(n->answers[i].weights);
        agn_free(n->answers[i].classes);
    }
}

int agn_deploy_check(const struct agn_model *model)
{
    struct agn__network network;
    if (agn_part_is_empty(&model->parts[AGN_EXTRACTOR]) && agn_part_is_empty(&model->parts[AGN_LOCAL]))
        return AGN_OK; /* pixels are sent */
    int status = agn__network_of(model, &network);
    agn__network_free(&network);
    return status;
}
