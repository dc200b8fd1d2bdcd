/* Accuracy on the validation images while training goes on: of the fused prediction in joint training, before
 * that of the reference network on the extractor's features, or of a decoder's classifier on images.
 * Importance is not measured here, so that it costs little (evaluate.c does all). */
#include <string.h>

#include "train/evaluate.h"

enum { BATCH = 250 };

struct validation {
    struct agn_model *model;
    enum agn_phase phase;
    bool joint;
    struct agn_runner runner;
    struct agn_graph *tail; /* of the classifier */
    struct agn_net *classifier;
    struct agn_loader *loader;
    double images, right;
};

static int open_classifier(struct validation *v)
{
    const struct agn_part *remote = &v->model->parts[AGN_REMOTE];
    v->tail = agn_alloc(1, sizeof(*v->tail));
    if (v->tail == NULL)
        return AGN_ERR_MEMORY;
    const struct agn_net_config config = {
        .graph = v->tail, .params = remote->params, .batch = BATCH, .mode = AGN_NET_FROZEN};
    int status = agn_graph_tail(&remote->graph, v->model->decoded, v->tail);
    return status < 0 ? status : agn_net_create(&config, &v->classifier);
}

static int open_validation(struct validation *v, struct agn_group *group, const struct agn_dataset *data)
{
    const struct agn_loader_config load = {.batch = BATCH,
                                           .normalisation = v->model->normalisation,
                                           .part = agn_group_rank(group),
                                           .parts = agn_group_size(group)};
    unsigned roles = v->joint ? 1U << AGN_LOCAL | 1U << AGN_REMOTE : 1U << AGN_REFERENCE;
    int status = agn_runner_open(&v->runner, v->model, BATCH, roles);
    if (status == AGN_OK && v->phase == AGN_PHASE_CLASSIFIER)
        status = open_classifier(v);
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &v->loader);
    return status == AGN_OK ? agn_loader_start(v->loader, 0) : status;
}

static int run_networks(struct validation *v, const float *images)
{
    struct agn_runner *r = &v->runner;
    if (v->classifier != NULL) {
        struct agn_shape in = agn_net_input_shape(v->classifier);
        memcpy(agn_net_write(v->classifier, AGN_BORDER_INPUT), images,
               sizeof(float) * BATCH * (size_t)in.height * (size_t)in.width * (size_t)in.channels);
        return agn_net_forward(v->classifier);
    }
    int status = agn_runner_extract(r, images);
    if (status == AGN_OK && !v->joint)
        return agn_runner_run(r, AGN_REFERENCE, agn_runner_output(r, AGN_EXTRACTOR, 0));
    if (status == AGN_OK)
        status = agn_runner_run(r, AGN_LOCAL, r->first);
    return status == AGN_OK ? agn_runner_run(r, AGN_REMOTE, r->values) : status;
}

static int run_batch(struct validation *v, const struct agn_batch *batch)
{
    const struct agn_runner *r = &v->runner;
    int classes = v->model->classes, status = run_networks(v, batch->images);
    float fused[AGN_MAX_CLASSES];
    for (int i = 0; i < batch->count && status == AGN_OK; i++) {
        if (v->joint)
            agn_model_answer(v->model, agn_runner_output(r, AGN_LOCAL, i),
                             agn_runner_output(r, AGN_REMOTE, i), fused);
        const float *logits = v->joint ? fused
                              : v->classifier != NULL
                                  ? agn_net_read(v->classifier, AGN_BORDER_OUTPUT) + i * classes
                                  : agn_runner_output(r, AGN_REFERENCE, i);
        v->right += agn_argmax(logits, classes) == batch->labels[i];
        v->images++;
    }
    return status;
}

/* An interruption waits for the end: an epoch's figure is as sure as its checkpoint. */
int agn__validate(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                  enum agn_phase phase, double *accuracy)
{
    struct validation v = {.model = model, .phase = phase, .joint = !agn_phase_prepares(phase)};
    struct agn_batch batch;
    int more = 0, status = open_validation(&v, group, data);
    while (status == AGN_OK && (more = agn_loader_next(v.loader, &batch)) > 0)
        status = run_batch(&v, &batch);
    status = agn_group_agree(group, status == AGN_OK && more < 0 ? more : status);
    double sums[2] = {v.images, v.right};
    if (status == AGN_OK)
        status = agn_group_sum(group, sums, AGN_COUNT_OF(sums));
    agn_loader_free(v.loader);
    agn_runner_close(&v.runner);
    agn_net_free(v.classifier);
    agn_free(v.tail);
    if (status == AGN_OK)
        *accuracy = sums[0] > 0.0 ? sums[1] / sums[0] : 0.0;
    return status;
}
