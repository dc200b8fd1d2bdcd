/* Phase 1 with a given reference network: the extractor learns to stand in for the reference's own stem.
 *
 *   mean (F - S)^2 / mean S^2 + mu CE(reference(F))
 *
 * F the extractor's features, S the stem's; the first term is FitNets' hint (Romero et al. 2015), relative to
 * the stem's energy so that its scale does not matter; the second one is joint training's anchor. Stem and
 * reference are frozen. */
#include "train/optimiser.h"
#include "train/preparation.h"
#include "train/ranks.h"
#include "train/trainer.h"

struct imitation {
    struct agn_model *model;
    const struct agn_train_state *state;
    struct agn_net *extractor, *stem, *reference;
    struct agn__preparation preparation;
    struct agn_group *group;
    struct agn__sharing sharing;
    float *prob, *loss;
    int batch;       /* images of this process */
    size_t features; /* of these */
};

/* Sets the gradient at the extractor's output but for the anchor's part; adds to the loss. */
static int hint_loss(const struct imitation *im, double *loss)
{
    const float *ours = agn_net_read(im->extractor, AGN_BORDER_OUTPUT),
                *theirs = agn_net_read(im->stem, AGN_BORDER_OUTPUT);
    float *diff = agn_net_write(im->extractor, AGN_BORDER_DIFF_OUTPUT);
    double energy = 0.0, error = 0.0;
#pragma omp parallel for simd schedule(static) reduction(+ : energy, error) num_threads(agn_nn_threads())
    for (size_t i = 0; i < im->features; i++) {
        float d = ours[i] - theirs[i];
        energy += (double)(theirs[i] * theirs[i]);
        error += (double)(d * d);
    }
    int status = agn_group_sum(im->group, &energy, 1);
    if (energy <= 0.0)
        energy = 1.0; /* a stem that says nothing */
    float scale = (float)(2.0 / energy);
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < im->features; i++)
        diff[i] = scale * (ours[i] - theirs[i]);
    *loss += error / energy;
    return status;
}

/* Each image's class weighs its gradient. */
static void weigh_rows(const struct imitation *im, const struct agn_batch *batch, float *diff)
{
    int classes = im->model->classes;
    for (int i = 0; i < im->batch; i++) {
        float weight = agn__label_weight(&im->preparation, batch->labels[i]);
        for (int c = 0; c < classes; c++)
            diff[(size_t)i * (size_t)classes + (size_t)c] *= weight;
    }
}

/* The reference's opinion of F, and its gradient there. */
static int anchor(struct imitation *im, const struct agn_batch *batch, double weight)
{
    struct agn_model *model = im->model;
    int status = agn_net_copy(im->reference, AGN_BORDER_INPUT, im->extractor, AGN_BORDER_OUTPUT);
    if (status == AGN_OK)
        status = agn_net_forward(im->reference);
    if (status < 0)
        return status;
    agn_softmax_ce_forward(agn_net_read(im->reference, AGN_BORDER_OUTPUT), batch->labels, im->batch,
                           model->classes, im->prob, im->loss);
    if (weight > 0.0) {
        agn_softmax_ce_backward(im->prob, batch->labels, im->batch, model->classes,
                                (float)(weight / (im->batch * agn_group_size(im->group))),
                                agn_net_write(im->reference, AGN_BORDER_DIFF_OUTPUT));
        weigh_rows(im, batch, agn_net_write(im->reference, AGN_BORDER_DIFF_OUTPUT));
        status = agn_net_backward(im->reference);
        const float *from = agn_net_read(im->reference, AGN_BORDER_DIFF_INPUT);
        float *to = agn_net_write(im->extractor, AGN_BORDER_DIFF_OUTPUT);
#pragma omp parallel for simd schedule(static)
        for (size_t i = 0; i < im->features; i++)
            to[i] += from[i];
    }
    return status;
}

static int step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally)
{
    struct imitation *im = phase;
    struct agn_model *model = im->model;
    const struct agn_preset *preset = &model->preset;
    agn__prepare_batch(&im->preparation, batch, AGN_PHASE_REFERENCE, im->state->step,
                       agn_net_write(im->extractor, AGN_BORDER_INPUT));
    int status = agn_net_copy(im->stem, AGN_BORDER_INPUT, im->extractor, AGN_BORDER_INPUT);
    if (status == AGN_OK)
        status = agn_net_forward(im->stem);
    if (status == AGN_OK)
        status = agn_net_forward(im->extractor);
    if (status < 0)
        return status;
    status = hint_loss(im, &tally->loss);
    if (status == AGN_OK)
        status = anchor(im, batch, preset->joint.anchor);
    if (status == AGN_OK)
        status = agn_net_backward(im->extractor);
    if (status == AGN_OK)
        status = agn__sum_rest(&im->sharing, model->parts[AGN_EXTRACTOR].params);
    if (status == AGN_OK)
        status = agn_group_await(im->group);
    if (status < 0)
        return status;
    agn__optimiser_step(model, AGN_PHASE_REFERENCE, 1U << AGN_EXTRACTOR, rate);
    tally->steps = 1;
    tally->images = batch->count;
    for (int i = 0; i < batch->count; i++) {
        const float *row = im->prob + (size_t)i * (size_t)model->classes;
        double weight = (double)agn__label_weight(&im->preparation, batch->labels[i]);
        tally->loss +=
            preset->joint.anchor * weight * (double)im->loss[i] / (batch->count * agn_group_size(im->group));
        tally->correct += agn_argmax(row, model->classes) == batch->labels[i];
    }
    return AGN_OK;
}

static int make_nets(struct imitation *im, const struct agn_part *stem)
{
    struct agn_model *model = im->model;
    struct agn_net_config config = {.graph = &model->parts[AGN_EXTRACTOR].graph,
                                    .params = model->parts[AGN_EXTRACTOR].params,
                                    .batch = im->batch,
                                    .mode = AGN_NET_TRAIN,
                                    .compute = (enum agn_compute)model->preset.train.compute,
                                    .passes = AGN_PASS_BACKWARD,
                                    .bn_momentum = (float)model->preset.train.bn_momentum,
                                    .peers = agn__share(&im->sharing, im->group)};
    int status = agn_net_create(&config, &im->extractor);
    config.mode = AGN_NET_FROZEN;
    config.passes = 0;
    config.graph = &stem->graph;
    config.params = stem->params;
    if (status == AGN_OK)
        status = agn_net_create(&config, &im->stem);
    config.passes = AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT;
    config.graph = &model->parts[AGN_REFERENCE].graph;
    config.params = model->parts[AGN_REFERENCE].params;
    if (status == AGN_OK)
        status = agn_net_create(&config, &im->reference);
    return status;
}

int agn__imitate(struct agn__trainer *trainer)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_group *group = trainer->config->group;
    struct imitation im = {.model = model,
                           .group = group,
                           .batch = preset->train.batch / agn_group_size(group),
                           .state = &trainer->state};
    im.features =
        (size_t)im.batch * (size_t)model->map.height * (size_t)model->map.width * (size_t)model->map.channels;
    int status = agn__optimiser_open(model, AGN_PHASE_REFERENCE, 1U << AGN_EXTRACTOR);
    if (status == AGN_OK)
        status = make_nets(&im, &trainer->stem);
    im.prob = agn_alloc((size_t)im.batch * (size_t)model->classes, sizeof(float));
    im.loss = agn_alloc((size_t)im.batch, sizeof(float));
    if (status == AGN_OK)
        status = agn__preparation_create(model, trainer->config->train, group, &im.preparation);
    if (status == AGN_OK && (im.prob == NULL || im.loss == NULL))
        status = AGN_ERR_MEMORY;
    struct agn__phase_plan plan = {.phase = AGN_PHASE_REFERENCE,
                                   .name = "imitation",
                                   .epochs = preset->reference.epochs,
                                   .rate = preset->reference.rate,
                                   .step = step,
                                   .user = &im};
    if (status == AGN_OK)
        status = agn__run_phase(trainer, &plan);
    agn__preparation_release(&im.preparation);
    agn_free(im.prob);
    agn_free(im.loss);
    agn_net_free(im.extractor);
    agn_net_free(im.stem);
    agn_net_free(im.reference);
    return status;
}
