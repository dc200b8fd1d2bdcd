/* Training of one classifier: pre-training of the reference network, with the extractor as its stem, or of
 * the Remote NN behind its decoder, and the Remote or Local NN of systems in which it alone predicts. */
#include "train/deepcod.h"
#include "train/evaluate.h"
#include "train/optimiser.h"
#include "train/preparation.h"
#include "train/ranks.h"
#include "train/teacher.h"
#include "train/trainer.h"

struct pretraining {
    struct agn_model *model;
    enum agn_phase phase;
    enum agn_role role;                     /* of the classifier */
    struct agn_graph *graph;                /* of it */
    struct agn_net *extractor, *classifier; /* extractor NULL: the classifier sees the images */
    struct agn__teacher teacher;
    const float *taught; /* its logits of this step, or NULL */
    struct agn__preparation preparation;
    struct agn_group *group;
    struct agn__sharing extractor_sharing, sharing;
    float *prob, *loss;
    int batch; /* images of this process */
    struct agn__trainer *trainer;
};

/* Of a step's draws of stochastic depth: from seed and step alone, so that a resumed run repeats them. */
static uint64_t depth_seed(const struct agn_preset *preset, int64_t step)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, (uint64_t)preset->train.seed);
    agn_rng_seed(&rng, agn_rng_u64(&rng) ^ (uint64_t)step);
    return agn_rng_u64(&rng);
}

static unsigned trained(const struct pretraining *p)
{
    return 1U << p->role | (p->extractor != NULL ? 1U << AGN_EXTRACTOR : 0);
}

/* From the images, which stand in the first net's input, to the logits. */
static int forward(struct pretraining *p)
{
    int status = AGN_OK;
    if (p->extractor != NULL) {
        status = agn_net_forward(p->extractor);
        if (status == AGN_OK)
            status = agn_net_copy(p->classifier, AGN_BORDER_INPUT, p->extractor, AGN_BORDER_OUTPUT);
        if (status == AGN_OK && p->model->preset.reference.channel_dropout > 0.0)
            agn__drop_channels(&p->preparation, p->trainer->state.step, p->model->map,
                               agn_net_write(p->classifier, AGN_BORDER_INPUT));
    }
    return status == AGN_OK ? agn_net_forward(p->classifier) : status;
}

/* From the gradient of the logits to those of the weights, summed over the processes. */
static int backward(struct pretraining *p)
{
    const struct agn_part *parts = p->model->parts;
    int status = agn_net_backward(p->classifier);
    if (status == AGN_OK)
        status = agn__sum_rest(&p->sharing, parts[p->role].params);
    if (status == AGN_OK && p->extractor != NULL) {
        status = agn_net_copy(p->extractor, AGN_BORDER_DIFF_OUTPUT, p->classifier, AGN_BORDER_DIFF_INPUT);
        if (status == AGN_OK && p->model->preset.reference.channel_dropout > 0.0)
            agn__drop_channels(&p->preparation, p->trainer->state.step, p->model->map,
                               agn_net_write(p->extractor, AGN_BORDER_DIFF_OUTPUT));
        if (status == AGN_OK)
            status = agn_net_backward(p->extractor);
        if (status == AGN_OK)
            status = agn__sum_rest(&p->extractor_sharing, parts[AGN_EXTRACTOR].params);
    }
    return status == AGN_OK ? agn_group_await(p->group) : status;
}

/* Adds what the teacher has to say to loss and gradient of the logits. */
static void learn_from_teacher(struct pretraining *p, int images, struct agn__tally *tally)
{
    const struct agn_preset *preset = &p->model->preset;
    double weight = preset->joint.distill / images;
    if (p->taught != NULL && weight > 0.0)
        tally->loss += weight * agn__distil(agn_net_read(p->classifier, AGN_BORDER_OUTPUT), p->taught,
                                            p->batch, p->model->classes, preset->joint.distill_temperature,
                                            weight, agn_net_write(p->classifier, AGN_BORDER_DIFF_OUTPUT));
}

static int step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally)
{
    struct pretraining *p = phase;
    struct agn_model *model = p->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_net *first = p->extractor != NULL ? p->extractor : p->classifier;
    int images = p->batch * agn_group_size(p->group); /* over which losses are means */
    agn__prepare_batch(&p->preparation, batch, p->phase, p->trainer->state.step,
                       agn_net_write(first, AGN_BORDER_INPUT));
    agn_net_draw_depth(p->classifier, depth_seed(preset, p->trainer->state.step), p->preparation.first);
    int status = agn__teacher_ask(&p->teacher, agn_net_read(first, AGN_BORDER_INPUT), &p->taught);
    if (status == AGN_OK)
        status = forward(p);
    if (status == AGN_OK) {
        const struct agn__soft_targets targets = agn__targets_of(&p->preparation, batch);
        agn__soft_ce_forward(agn_net_read(p->classifier, AGN_BORDER_OUTPUT), &targets, p->prob, p->loss);
        agn__soft_ce_backward(p->prob, &targets, 1.0F / (float)images,
                              agn_net_write(p->classifier, AGN_BORDER_DIFF_OUTPUT));
        learn_from_teacher(p, images, tally);
        status = backward(p);
    }
    if (status < 0)
        return status;
    agn__optimiser_step(model, p->phase, trained(p), rate);
    if (p->trainer->beside.average != NULL)
        agn__average_follow(&p->trainer->beside, model, p->trainer->state.step);
    tally->steps = 1;
    tally->images = batch->count;
    for (int i = 0; i < batch->count; i++) {
        const float *row = p->prob + (size_t)i * (size_t)model->classes;
        tally->loss += (double)p->loss[i] / images;
        tally->correct += agn_argmax(row, model->classes) == batch->labels[i];
    }
    return AGN_OK;
}

static int open_training(struct pretraining *p, const struct agn_train_config *training)
{
    struct agn_model *model = p->model;
    const struct agn_preset *preset = &model->preset;
    p->batch = preset->train.batch / agn_group_size(p->group);
    p->graph = agn_alloc(1, sizeof(*p->graph));
    if (p->graph == NULL)
        return AGN_ERR_MEMORY;
    int status = agn_graph_tail(&model->parts[p->role].graph,
                                p->phase == AGN_PHASE_CLASSIFIER ? model->decoded : 0, p->graph);
    struct agn_net_config config = {.graph = &model->parts[AGN_EXTRACTOR].graph,
                                    .params = model->parts[AGN_EXTRACTOR].params,
                                    .batch = p->batch,
                                    .mode = AGN_NET_TRAIN,
                                    .compute = (enum agn_compute)preset->train.compute,
                                    .passes = AGN_PASS_BACKWARD,
                                    .bn_momentum = (float)preset->train.bn_momentum,
                                    .peers = agn__share(&p->extractor_sharing, p->group)};
    if (status == AGN_OK && p->role == AGN_REFERENCE) {
        status = agn_net_create(&config, &p->extractor);
        config.passes |= AGN_PASS_INPUT_GRADIENT;
    }
    config.peers = agn__share(&p->sharing, p->group);
    config.graph = p->graph;
    config.params = model->parts[p->role].params;
    config.stochastic_depth = (float)preset->reference.stochastic_depth;
    if (status == AGN_OK)
        status = agn_net_create(&config, &p->classifier);
    p->prob = agn_alloc((size_t)p->batch * (size_t)model->classes, sizeof(float));
    p->loss = agn_alloc((size_t)p->batch, sizeof(float));
    if (status == AGN_OK)
        status = agn__optimiser_open(model, p->phase, trained(p));
    if (status == AGN_OK && p->phase != AGN_PHASE_CLASSIFIER)
        status = agn__teacher_open(model, p->batch, &p->teacher);
    if (status == AGN_OK && p->teacher.net != NULL && preset->joint.teacher_start != 0 &&
        p->trainer->state.step == 0 && p->role != AGN_LOCAL) {
        int lent = agn__teacher_lend(&p->teacher, &model->parts[p->role], agn_role_name(p->role));
        status = lent < 0 ? lent : AGN_OK;
    }
    if (status == AGN_OK)
        status = agn__preparation_create(model, training->train, p->group, &p->preparation);
    return status == AGN_OK && (p->prob == NULL || p->loss == NULL) ? AGN_ERR_MEMORY : status;
}

/* Is there an average of weights? Only where the classifier is what predicts. */
static bool averages(const struct pretraining *p)
{
    return p->model->preset.train.ema > 0.0 && (p->phase == AGN_PHASE_REMOTE || p->phase == AGN_PHASE_LOCAL);
}

static int train_classifier(struct agn__trainer *trainer, enum agn_role role, struct agn__phase_plan plan)
{
    struct pretraining p = {.model = trainer->model,
                            .phase = plan.phase,
                            .role = role,
                            .group = trainer->config->group,
                            .trainer = trainer};
    plan.step = step;
    plan.user = &p;
    int status = open_training(&p, trainer->config);
    if (status == AGN_OK && averages(&p) && trainer->beside.average == NULL)
        status = agn__average_create(&trainer->beside, p.model);
    if (status == AGN_OK)
        status = agn__run_phase(trainer, &plan);
    agn__preparation_release(&p.preparation);
    agn_free(p.prob);
    agn_free(p.loss);
    agn_free(p.graph);
    agn__teacher_close(&p.teacher);
    agn_net_free(p.extractor);
    agn_net_free(p.classifier);
    return status;
}

int agn__pretrain(struct agn__trainer *trainer)
{
    const struct agn_preset *preset = &trainer->model->preset;
    return train_classifier(trainer, AGN_REFERENCE,
                            (struct agn__phase_plan){.phase = AGN_PHASE_REFERENCE,
                                                     .name = "reference",
                                                     .epochs = preset->reference.epochs,
                                                     .rate = preset->reference.rate});
}

/* The decoder stays as it is. */
int agn__pretrain_classifier(struct agn__trainer *trainer)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    agn__freeze_classifier(model, false);
    int status = train_classifier(trainer, AGN_REMOTE,
                                  (struct agn__phase_plan){.phase = AGN_PHASE_CLASSIFIER,
                                                           .name = "classifier",
                                                           .epochs = preset->reference.epochs,
                                                           .rate = preset->reference.rate});
    return status < 0 ? status
                      : agn__validate(model, trainer->config->group, trainer->config->test,
                                      AGN_PHASE_CLASSIFIER, &model->reference_accuracy);
}

/* The one network that predicts. */
static int train_alone(struct agn__trainer *trainer, enum agn_role role, enum agn_phase phase)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    struct agn__beside *beside = &trainer->beside;
    int status = train_classifier(trainer, role,
                                  (struct agn__phase_plan){.phase = phase,
                                                           .name = agn_role_name(role),
                                                           .epochs = preset->joint.epochs,
                                                           .rate = preset->joint.rate});
    if (status == AGN_OK && beside->average != NULL)
        agn__average_apply(beside, model);
    return status;
}

int agn__train_remote(struct agn__trainer *trainer)
{
    return train_alone(trainer, AGN_REMOTE, AGN_PHASE_REMOTE);
}

int agn__train_local(struct agn__trainer *trainer)
{
    return train_alone(trainer, AGN_LOCAL, AGN_PHASE_LOCAL);
}
