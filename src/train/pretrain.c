/* Pre-training of the reference network, with the extractor as its stem. */
#include "train/preparation.h"
#include "train/ranks.h"
#include "train/trainer.h"

struct pretraining {
    struct agn_model *model;
    struct agn_net *extractor, *reference;
    struct agn__preparation preparation;
    struct agn_group *group;
    struct agn__sharing extractor_sharing, reference_sharing;
    float *prob, *loss;
    int batch; /* images of this process */
    const struct agn_train_state *state;
};

/* Of a step's draws of stochastic depth: from seed and step alone, so that a resumed run repeats them. */
static uint64_t depth_seed(const struct agn_preset *preset, int64_t step)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, (uint64_t)preset->train.seed);
    agn_rng_seed(&rng, agn_rng_u64(&rng) ^ (uint64_t)step);
    return agn_rng_u64(&rng);
}

static int step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally)
{
    struct pretraining *p = phase;
    struct agn_model *model = p->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_shape map = model->map;
    int images = p->batch * agn_group_size(p->group); /* over which losses are means */
    bool drops = preset->reference.channel_dropout > 0.0;
    agn__prepare_batch(&p->preparation, batch, AGN_PHASE_REFERENCE, p->state->step,
                       agn_net_write(p->extractor, AGN_BORDER_INPUT));
    agn_net_draw_depth(p->reference, depth_seed(preset, p->state->step), p->preparation.first);
    int status = agn_net_forward(p->extractor);
    if (status == AGN_OK) {
        status = agn_net_copy(p->reference, AGN_BORDER_INPUT, p->extractor, AGN_BORDER_OUTPUT);
        if (drops)
            agn__drop_channels(&p->preparation, p->state->step, map,
                               agn_net_write(p->reference, AGN_BORDER_INPUT));
        if (status == AGN_OK)
            status = agn_net_forward(p->reference);
    }
    if (status == AGN_OK) {
        const struct agn__soft_targets targets = agn__targets_of(&p->preparation, batch);
        agn__soft_ce_forward(agn_net_read(p->reference, AGN_BORDER_OUTPUT), &targets, p->prob, p->loss);
        agn__soft_ce_backward(p->prob, &targets, 1.0F / (float)images,
                              agn_net_write(p->reference, AGN_BORDER_DIFF_OUTPUT));
        status = agn_net_backward(p->reference);
    }
    if (status == AGN_OK)
        status = agn__sum_rest(&p->reference_sharing, model->parts[AGN_REFERENCE].params);
    if (status == AGN_OK) {
        status = agn_net_copy(p->extractor, AGN_BORDER_DIFF_OUTPUT, p->reference, AGN_BORDER_DIFF_INPUT);
        if (drops)
            agn__drop_channels(&p->preparation, p->state->step, map,
                               agn_net_write(p->extractor, AGN_BORDER_DIFF_OUTPUT));
        if (status == AGN_OK)
            status = agn_net_backward(p->extractor);
    }
    if (status == AGN_OK)
        status = agn__sum_rest(&p->extractor_sharing, model->parts[AGN_EXTRACTOR].params);
    if (status == AGN_OK)
        status = agn_group_await(p->group);
    if (status < 0)
        return status;
    struct agn_sgd sgd = {.rate = (float)rate,
                          .momentum = (float)preset->train.momentum,
                          .decay = (float)preset->train.weight_decay,
                          .nesterov = true};
    agn_sgd_step(model->parts[AGN_EXTRACTOR].params, &sgd);
    agn_sgd_step(model->parts[AGN_REFERENCE].params, &sgd);
    tally->steps = 1;
    tally->images = batch->count;
    for (int i = 0; i < batch->count; i++) {
        const float *row = p->prob + (size_t)i * (size_t)model->classes;
        tally->loss += (double)p->loss[i] / images;
        tally->correct += agn_argmax(row, model->classes) == batch->labels[i];
    }
    return AGN_OK;
}

int agn__pretrain(struct agn__trainer *trainer)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_group *group = trainer->config->group;
    struct pretraining p = {.model = model,
                            .group = group,
                            .batch = preset->train.batch / agn_group_size(group),
                            .state = &trainer->state};
    struct agn_net_config config = {.graph = &model->parts[AGN_EXTRACTOR].graph,
                                    .params = model->parts[AGN_EXTRACTOR].params,
                                    .batch = p.batch,
                                    .mode = AGN_NET_TRAIN,
                                    .compute = (enum agn_compute)preset->train.compute,
                                    .passes = AGN_PASS_BACKWARD,
                                    .bn_momentum = (float)preset->train.bn_momentum,
                                    .peers = agn__share(&p.extractor_sharing, group)};
    int status = agn_net_create(&config, &p.extractor);
    config.peers = agn__share(&p.reference_sharing, group);
    config.graph = &model->parts[AGN_REFERENCE].graph;
    config.params = model->parts[AGN_REFERENCE].params;
    config.passes |= AGN_PASS_INPUT_GRADIENT;
    config.stochastic_depth = (float)preset->reference.stochastic_depth;
    if (status == AGN_OK)
        status = agn_net_create(&config, &p.reference);
    p.prob = agn_alloc((size_t)p.batch * (size_t)model->classes, sizeof(float));
    p.loss = agn_alloc((size_t)p.batch, sizeof(float));
    if (status == AGN_OK)
        status = agn__preparation_create(model, trainer->config->train, group, &p.preparation);
    if (status == AGN_OK && (p.prob == NULL || p.loss == NULL))
        status = AGN_ERR_MEMORY;
    struct agn__phase_plan plan = {.phase = AGN_PHASE_REFERENCE,
                                   .name = "reference",
                                   .epochs = preset->reference.epochs,
                                   .rate = preset->reference.rate,
                                   .step = step,
                                   .user = &p};
    if (status == AGN_OK)
        status = agn__run_phase(trainer, &plan);
    agn__preparation_release(&p.preparation);
    agn_free(p.prob);
    agn_free(p.loss);
    agn_net_free(p.extractor);
    agn_net_free(p.reference);
    return status;
}
