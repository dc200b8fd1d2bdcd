/* Which channels become the first k, by the preset's joint.selection.
 *
 * topk (the paper's Algorithm 1): for each channel, the share of training samples (that the reference
 * classifies correctly) in which it is among the k most important; the k channels with the largest shares
 * come first, the others follow in falling order. importance: the same by the mean of normalised importance.
 * none: channels stay where they are.
 *
 * The paper moves channels by a mapping layer, a permutation P between extractor and the rest, that it
 * discards later. A convolution followed by P is the convolution with its output channels (and those of its
 * BN) permuted, and a convolution after P is the one with its input channels permuted. So the move is made in
 * the weights at once: the extractor's last convolution and BN give their channels in the new order and the
 * reference's first convolutions read them so. Nothing else changes. */
#include <stdlib.h>
#include <string.h>

#include "train/channel_selection.h"

enum { SAMPLES = 4096, BATCH = 128 };

struct ranked {
    int channel;
    double share, importance;
};

static int by_importance(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->importance != y->importance)
        return x->importance < y->importance ? 1 : -1;
    return x->channel - y->channel;
}

static int by_share(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->share != y->share)
        return x->share < y->share ? 1 : -1;
    return by_importance(a, b);
}

/* Adds 1 to the channels that are among the k most important of a sample. */
static void count_top(const float *importance, int channels, int k, struct ranked *ranks)
{
    double sum = 0.0;
    for (int c = 0; c < channels; c++) {
        int larger = 0;
        for (int o = 0; o < channels; o++)
            larger += importance[o] > importance[c] || (o < c && importance[o] == importance[c]);
        ranks[c].share += larger < k;
        sum += (double)importance[c];
    }
    for (int c = 0; c < channels && sum > 0.0; c++)
        ranks[c].importance += (double)importance[c] / sum;
}

static int measure(struct agn_model *model, struct agn_group *group, struct agn_net *extractor,
                   struct agn_xai *xai, struct agn_loader *loader, struct ranked *ranks)
{
    float importance[BATCH * AGN_MAX_FEATURES];
    size_t image = (size_t)model->preset.data.height * (size_t)model->preset.data.width *
                   (size_t)model->preset.data.channels;
    struct agn_batch batch;
    int seen = 0, status = agn_loader_start(loader, 0), more = 0;
    while (status == AGN_OK && seen < SAMPLES && (more = agn_loader_next(loader, &batch)) > 0) {
        memcpy(agn_net_write(extractor, AGN_BORDER_INPUT), batch.images, BATCH * image * sizeof(float));
        status = agn_net_forward(extractor);
        if (status == AGN_OK)
            status = agn_xai_attribute(xai, agn_net_read(extractor, AGN_BORDER_OUTPUT), batch.labels);
        if (status == AGN_OK)
            agn_xai_channel_importance(agn_xai_attributions(xai), BATCH, model->map, importance);
        int own = SAMPLES - seen - BATCH * agn_group_rank(group); /* of the samples that are left */
        for (int i = 0; i < batch.count && i < own && status == AGN_OK; i++) {
            if (agn_xai_correct(xai)[i]) {
                count_top(importance + (size_t)i * (size_t)model->map.channels, model->map.channels,
                          model->preset.model.local_channels, ranks);
            }
        }
        seen += BATCH * agn_group_size(group);
    }
    return status < 0 ? status : more < 0 ? more : AGN_OK;
}

static int sum_ranks(struct agn_group *group, struct ranked *ranks, int channels)
{
    double sums[2 * AGN_MAX_FEATURES];
    for (int c = 0; c < channels; c++) {
        sums[2 * c] = ranks[c].share;
        sums[2 * c + 1] = ranks[c].importance;
    }
    int status = agn_group_sum(group, sums, 2 * (size_t)channels);
    for (int c = 0; c < channels; c++) {
        ranks[c].share = sums[2 * c];
        ranks[c].importance = sums[2 * c + 1];
    }
    return status;
}

/* dst[i] = src[order[i]] for `count` blocks of `block` floats, `outer` times. */
static int permute(float *values, const int *order, size_t outer, size_t count, size_t block)
{
    float *copy = agn_alloc(count * block, sizeof(float));
    if (copy == NULL)
        return AGN_ERR_MEMORY;
    for (size_t o = 0; o < outer; o++) {
        float *at = values + o * count * block;
        memcpy(copy, at, count * block * sizeof(float));
        for (size_t i = 0; i < count; i++)
            memcpy(at + i * block, copy + (size_t)order[i] * block, block * sizeof(float));
    }
    agn_free(copy);
    return AGN_OK;
}

static int permute_param(struct agn_params *params, const char *operator_name, const char *suffix,
                         const int *order, bool input_side)
{
    char name[AGN_NAME_BYTES + 16];
    snprintf(name, sizeof(name), "%s.%s", operator_name, suffix);
    const struct agn_param *param = agn_params_find(params, name);
    if (param == NULL)
        return AGN_OK; /* an optional one, such as a bias */
    size_t area = param->rank == 4 ? (size_t)param->dims[2] * (size_t)param->dims[3] : 1;
    size_t in = param->rank == 4 ? (size_t)param->dims[1] : 1, out = (size_t)param->dims[0];
    float *values = params->value + param->offset;
    return input_side ? permute(values, order, out, in, area) : permute(values, order, 1, out, in * area);
}

/* The BN at the extractor's end and the convolution before it. */
static const struct agn_op_spec *last_batchnorm(const struct agn_model *model)
{
    return &model->parts[AGN_EXTRACTOR].graph.ops[model->parts[AGN_EXTRACTOR].graph.count - 1];
}

static const struct agn_op_spec *last_convolution(const struct agn_model *model)
{
    return &model->parts[AGN_EXTRACTOR].graph.ops[last_batchnorm(model)->src[0]];
}

static bool reads_features(const struct agn_op_spec *op)
{
    return op->src[0] == 0 || op->src[1] == 0;
}

static const char *describe(const struct agn_op_spec *op)
{
    return op->type == AGN_OP_CONV && op->depthwise ? "depthwise" : agn_op_type_name(op->type);
}

int agn__check_channel_order(const struct agn_model *model)
{
    if (model->preset.joint.selection == AGN_SELECT_NONE || agn_part_is_empty(&model->parts[AGN_REFERENCE]))
        return AGN_OK;
    const struct agn_op_spec *bn = last_batchnorm(model);
    bool ends_well = bn->type == AGN_OP_BATCHNORM && last_convolution(model)->type == AGN_OP_CONV &&
                     !last_convolution(model)->depthwise;
    if (!ends_well) {
        return agn_fail(
            AGN_ERR_UNSUPPORTED,
            "model.extractor must end with a full convolution (conv, without a1), so that its channels "
            "can be reordered; it ends with %s",
            describe(bn->type == AGN_OP_BATCHNORM ? last_convolution(model) : bn));
    }
    for (int i = 1; i < model->parts[AGN_REFERENCE].graph.count; i++) {
        const struct agn_op_spec *op = &model->parts[AGN_REFERENCE].graph.ops[i];
        if (reads_features(op) && (op->type != AGN_OP_CONV || op->depthwise)) {
            return agn_fail(
                AGN_ERR_UNSUPPORTED,
                "model.reference must start with a full convolution (conv, fused, or mb with "
                "an expansion), so that the extractor's channels can be reordered; it starts with "
                "%s",
                describe(op));
        }
    }
    return AGN_OK;
}

static int permute_extractor(struct agn_model *model, const int *order)
{
    static const char *const suffixes[] = {"gamma", "beta", "mean", "var"};
    int status = permute_param(model->parts[AGN_EXTRACTOR].params, last_convolution(model)->name, "weight",
                               order, false);
    for (size_t i = 0; i < AGN_COUNT_OF(suffixes) && status == AGN_OK; i++) {
        status = permute_param(model->parts[AGN_EXTRACTOR].params, last_batchnorm(model)->name, suffixes[i],
                               order, false);
    }
    model->parts[AGN_EXTRACTOR].params->version++;
    return status;
}

static int permute_reference(struct agn_model *model, const int *order)
{
    const struct agn_graph *graph = &model->parts[AGN_REFERENCE].graph;
    int status = AGN_OK;
    for (int i = 1; i < graph->count && status == AGN_OK; i++) {
        if (reads_features(&graph->ops[i])) {
            status =
                permute_param(model->parts[AGN_REFERENCE].params, graph->ops[i].name, "weight", order, true);
        }
    }
    model->parts[AGN_REFERENCE].params->version++;
    return status;
}

static int rank_channels(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                         struct ranked *ranks)
{
    struct agn_net *extractor = NULL;
    struct agn_xai *xai = NULL;
    struct agn_loader *loader = NULL;
    struct agn_net_config net = {.graph = &model->parts[AGN_EXTRACTOR].graph,
                                 .params = model->parts[AGN_EXTRACTOR].params,
                                 .batch = BATCH,
                                 .mode = AGN_NET_FROZEN};
    struct agn_xai_config xai_config = {.method = (enum agn_xai_method)model->preset.joint.method,
                                        .points = model->preset.joint.points,
                                        .graph = &model->parts[AGN_REFERENCE].graph,
                                        .params = model->parts[AGN_REFERENCE].params,
                                        .batch = BATCH};
    struct agn_loader_config load = {.batch = BATCH,
                                     .shuffle = true,
                                     .seed = (uint64_t)model->preset.train.seed,
                                     .part = agn_group_rank(group),
                                     .parts = agn_group_size(group),
                                     .normalisation = model->normalisation};
    int status = agn_net_create(&net, &extractor);
    if (status == AGN_OK)
        status = agn_xai_create(&xai_config, &xai);
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &loader);
    if (status == AGN_OK)
        status = measure(model, group, extractor, xai, loader, ranks);
    if (status == AGN_OK)
        status = sum_ranks(group, ranks, model->map.channels);
    agn_loader_free(loader);
    agn_xai_free(xai);
    agn_net_free(extractor);
    return status;
}

int agn__select_channels(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data)
{
    struct ranked ranks[AGN_MAX_FEATURES] = {{0}};
    int order[AGN_MAX_FEATURES] = {0}, channels = model->map.channels;
    for (int c = 0; c < channels; c++)
        ranks[c].channel = c;
    int status = agn__check_channel_order(model);
    if (model->preset.joint.selection == AGN_SELECT_NONE)
        return status;
    if (status == AGN_OK)
        status = rank_channels(model, group, data, ranks);
    if (status < 0)
        return status;
    bool by_mean = model->preset.joint.selection == AGN_SELECT_IMPORTANCE;
    qsort(ranks, (size_t)channels, sizeof(ranks[0]), by_mean ? by_importance : by_share);
    for (int c = 0; c < channels; c++)
        order[c] = ranks[c].channel;
    status = permute_extractor(model, order);
    return status < 0 ? status : permute_reference(model, order);
}
