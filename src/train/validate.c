/* Accuracy on the validation images while training goes on: of the fused prediction in joint training, before
 * that of the reference network on the extractor's features. Importance is not measured here, so that it
 * costs little (evaluate.c does all). */
#include "train/evaluate.h"

enum { BATCH = 250 };

struct validation {
    struct agn_model *model;
    bool joint;
    struct agn_runner runner;
    struct agn_loader *loader;
    double images, right;
};

static int open_validation(struct validation *v, struct agn_group *group, const struct agn_dataset *data)
{
    const struct agn_loader_config load = {.batch = BATCH,
                                           .normalisation = v->model->normalisation,
                                           .part = agn_group_rank(group),
                                           .parts = agn_group_size(group)};
    unsigned roles = v->joint ? 1U << AGN_LOCAL | 1U << AGN_REMOTE : 1U << AGN_REFERENCE;
    int status = agn_runner_open(&v->runner, v->model, BATCH, roles);
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &v->loader);
    return status == AGN_OK ? agn_loader_start(v->loader, 0) : status;
}

static int run_networks(struct validation *v, const float *images)
{
    struct agn_runner *r = &v->runner;
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
        const float *logits = v->joint ? fused : agn_runner_output(r, AGN_REFERENCE, i);
        v->right += agn_argmax(logits, classes) == batch->labels[i];
        v->images++;
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
    while (status == AGN_OK && (more = agn_loader_next(v.loader, &batch)) > 0)
        status = run_batch(&v, &batch);
    status = agn_group_agree(group, status == AGN_OK && more < 0 ? more : status);
    double sums[2] = {v.images, v.right};
    if (status == AGN_OK)
        status = agn_group_sum(group, sums, AGN_COUNT_OF(sums));
    agn_loader_free(v.loader);
    agn_runner_close(&v.runner);
    if (status == AGN_OK)
        *accuracy = sums[0] > 0.0 ? sums[1] / sums[0] : 0.0;
    return status;
}
