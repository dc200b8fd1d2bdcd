/* Accuracy on the validation images while training goes on: of the fused prediction in joint training, before
 * that of the reference network on the extractor's features. Importance is not measured here, so that it
 * costs little (evaluate.c does all). */
#include <string.h>

#include "train/train_internal.h"

enum { BATCH = 250 };

struct validation {
    struct agn_model *model;
    bool joint;
    struct agn_net *extractor, *local, *remote, *reference;
    struct agn_loader *loader;
    float *rest;
    size_t positions;
    double images, right;
};

static int make_net(const struct agn_graph *graph, struct agn_params *params, struct agn_net **net)
{
    struct agn_net_config config = {.graph = graph, .params = params, .batch = BATCH, .mode = AGN_NET_FROZEN};
    return agn_net_create(&config, net);
}

static int open_joint(struct validation *v)
{
    struct agn_model *model = v->model;
    size_t sent = v->positions * (size_t)model->sent_channels;
    v->rest = agn_alloc(sent, sizeof(float));
    if (v->rest == NULL) {
        return AGN_ERR_MEMORY;
    }
    int status = make_net(&model->local, model->local_params, &v->local);
    return status == AGN_OK ? make_net(&model->remote, model->remote_params, &v->remote) : status;
}

static int open_validation(struct validation *v, struct agn_group *group, const struct agn_dataset *data)
{
    struct agn_model *model = v->model;
    struct agn_loader_config load = {.batch = BATCH,
                                     .normalisation = model->normalisation,
                                     .part = agn_group_rank(group),
                                     .parts = agn_group_size(group)};
    v->positions = (size_t)BATCH * (size_t)model->map.height * (size_t)model->map.width;
    int status = make_net(&model->extractor, model->extractor_params, &v->extractor);
    if (status == AGN_OK && v->joint)
        status = open_joint(v);
    if (status == AGN_OK && !v->joint)
        status = make_net(&model->reference, model->reference_params, &v->reference);
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &v->loader);
    return status == AGN_OK ? agn_loader_start(v->loader, 0) : status;
}

static void close_validation(struct validation *v)
{
    agn_loader_free(v->loader);
    agn_net_free(v->extractor);
    agn_net_free(v->local);
    agn_net_free(v->remote);
    agn_net_free(v->reference);
    agn_free(v->rest);
}

static int forward_joint(struct validation *v)
{
    struct agn_model *model = v->model;
    agn__split_channels(agn_net_output(v->extractor), v->positions, model->map.channels,
                        model->preset.model.local_channels, agn_net_input(v->local), v->rest);
    agn_quantise(model->centroids, v->rest, v->positions * (size_t)model->sent_channels, NULL,
                 agn_net_input(v->remote));
    int status = agn_net_forward(v->local);
    return status == AGN_OK ? agn_net_forward(v->remote) : status;
}

static int forward_reference(struct validation *v)
{
    memcpy(agn_net_input(v->reference), agn_net_output(v->extractor),
           v->positions * (size_t)v->model->map.channels * sizeof(float));
    return agn_net_forward(v->reference);
}

static void count(struct validation *v, const struct agn_batch *batch)
{
    int classes = v->model->classes;
    float alpha = (float)agn_model_alpha(v->model), logits[AGN_MAX_CLASSES];
    for (int i = 0; i < batch->count; i++) {
        size_t row = (size_t)i * (size_t)classes;
        for (int c = 0; c < classes; c++) {
            size_t at = row + (size_t)c;
            logits[c] = v->joint ? alpha * agn_net_output(v->local)[at] +
                                       (1.0F - alpha) * agn_net_output(v->remote)[at]
                                 : agn_net_output(v->reference)[at];
        }
        v->right += agn__argmax(logits, classes) == batch->labels[i];
    }
    v->images += batch->count;
}

static int run_batch(struct validation *v, const struct agn_batch *batch)
{
    struct agn_shape in = agn_net_input_shape(v->extractor);
    size_t image = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    memcpy(agn_net_input(v->extractor), batch->images, BATCH * image * sizeof(float));
    int status = agn_net_forward(v->extractor);
    if (status == AGN_OK)
        status = v->joint ? forward_joint(v) : forward_reference(v);
    if (status == AGN_OK) {
        count(v, batch);
    }
    return status;
}

/* An interruption waits for the end: an epoch's figure is as sure as its checkpoint. */
int agn__validate(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                  enum agn_phase phase, double *accuracy)
{
    struct validation v = {.model = model, .joint = phase != AGN_PHASE_REFERENCE};
    struct agn_batch batch;
    int more = 0, status = open_validation(&v, group, data);
    while (status == AGN_OK && (more = agn_loader_next(v.loader, &batch)) > 0) {
        status = run_batch(&v, &batch);
    }
    status = agn_group_agree(group, status == AGN_OK && more < 0 ? more : status);
    double sums[2] = {v.images, v.right};
    if (status == AGN_OK)
        status = agn_group_sum(group, sums, AGN_COUNT_OF(sums));
    close_validation(&v);
    if (status == AGN_OK) {
        *accuracy = sums[0] > 0.0 ? sums[1] / sums[0] : 0.0;
    }
    return status;
}
