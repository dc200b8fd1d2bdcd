/* Training of a network with exits (the system spinn): all stages, their exits and the Remote NN together, by
 *
 *   CE(remote) + joint.local (CE(exit 1) + CE(exit 2) + ...)
 *
 * averaged over the batch. Nets read the features as they are: 8 bits hardly change them. */
#include "train/optimiser.h"
#include "train/preparation.h"
#include "train/ranks.h"
#include "train/trainer.h"

struct exits {
    struct agn__trainer *trainer;
    struct agn_model *model;
    struct agn_net *nets[AGN_REFERENCE];
    struct agn__sharing sharing[AGN_REFERENCE];
    struct agn__preparation preparation;
    struct agn_group *group;
    float *prob, *loss;
    int stages;
    unsigned trained; /* 1 << role of all nets */
    int batch;        /* images of this process */
};

/* The net's output from another one's. */
static int forward_from(struct exits *e, enum agn_role role, enum agn_role from)
{
    int status = agn_net_copy(e->nets[role], AGN_BORDER_INPUT, e->nets[from], AGN_BORDER_OUTPUT);
    return status == AGN_OK ? agn_net_forward(e->nets[role]) : status;
}

/* From the images, which stand in the first stage's input, to all logits. */
static int forward(struct exits *e)
{
    int status = agn_net_forward(e->nets[AGN_EXTRACTOR]);
    for (int stage = 2; stage <= e->stages && status == AGN_OK; stage++)
        status = forward_from(e, agn_stage_role(stage), agn_stage_role(stage - 1));
    if (status == AGN_OK)
        status = forward_from(e, AGN_REMOTE, agn_stage_role(e->stages));
    for (int stage = 1; stage <= e->stages && status == AGN_OK; stage++)
        status = forward_from(e, agn_exit_role(stage), agn_stage_role(stage));
    return status;
}

/* The loss of one answer, and its gradient at the logits. */
static void answer_loss(struct exits *e, enum agn_role role, const struct agn_batch *batch,
                        struct agn__tally *tally)
{
    const struct agn_model *model = e->model;
    const struct agn__soft_targets targets = agn__targets_of(&e->preparation, batch);
    double weight = role == AGN_REMOTE ? 1.0 : model->preset.joint.local,
           images = e->batch * agn_group_size(e->group);
    agn__soft_ce_forward(agn_net_read(e->nets[role], AGN_BORDER_OUTPUT), &targets, e->prob, e->loss);
    agn__soft_ce_backward(e->prob, &targets, (float)(weight / images),
                          agn_net_write(e->nets[role], AGN_BORDER_DIFF_OUTPUT));
    for (int i = 0; i < batch->count; i++) {
        const float *row = e->prob + (size_t)i * (size_t)model->classes;
        tally->loss += weight * (double)e->loss[i] / images;
        tally->correct += role == AGN_REMOTE && agn_argmax(row, model->classes) == batch->labels[i];
    }
}

/* To the gradients of the net's weights, which the processes begin to sum, and of its input. */
static int backward_through(struct exits *e, enum agn_role role)
{
    int status = agn_net_backward(e->nets[role]);
    return status == AGN_OK ? agn__sum_rest(&e->sharing[role], e->model->parts[role].params) : status;
}

/* The gradient of a stage's output: of what follows it, and of its exit. */
static void add_gradients(struct exits *e, int stage)
{
    enum agn_role next = stage == e->stages ? AGN_REMOTE : agn_stage_role(stage + 1);
    const float *of_next = agn_net_read(e->nets[next], AGN_BORDER_DIFF_INPUT),
                *of_exit = agn_net_read(e->nets[agn_exit_role(stage)], AGN_BORDER_DIFF_INPUT);
    float *diff = agn_net_write(e->nets[agn_stage_role(stage)], AGN_BORDER_DIFF_OUTPUT);
    struct agn_shape map = agn_model_stage_map(e->model, stage);
    size_t values = (size_t)e->batch * (size_t)map.height * (size_t)map.width * (size_t)map.channels;
    for (size_t v = 0; v < values; v++)
        diff[v] = of_next[v] + of_exit[v];
}

/* From the gradients of the logits to those of the weights, summed over the processes. */
static int backward(struct exits *e)
{
    int status = backward_through(e, AGN_REMOTE);
    for (int stage = e->stages; stage >= 1 && status == AGN_OK; stage--) {
        status = backward_through(e, agn_exit_role(stage));
        if (status == AGN_OK) {
            add_gradients(e, stage);
            status = backward_through(e, agn_stage_role(stage));
        }
    }
    return status == AGN_OK ? agn_group_await(e->group) : status;
}

static int step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally)
{
    struct exits *e = phase;
    tally->steps = 1;
    tally->images = batch->count;
    agn__prepare_batch(&e->preparation, batch, AGN_PHASE_EXITS, e->trainer->state.step,
                       agn_net_write(e->nets[AGN_EXTRACTOR], AGN_BORDER_INPUT));
    int status = forward(e);
    if (status < 0)
        return status;
    answer_loss(e, AGN_REMOTE, batch, tally);
    for (int stage = 1; stage <= e->stages; stage++)
        answer_loss(e, agn_exit_role(stage), batch, tally);
    status = backward(e);
    if (status < 0)
        return status;
    agn__optimiser_step(e->model, AGN_PHASE_EXITS, e->trained, rate);
    if (e->trainer->beside.average != NULL)
        agn__average_follow(&e->trainer->beside, e->model, e->trainer->state.step);
    return AGN_OK;
}

static int open_net(struct exits *e, int role)
{
    const struct agn_model *model = e->model;
    const struct agn_preset *preset = &model->preset;
    const struct agn_net_config config = {.graph = &model->parts[role].graph,
                                          .params = model->parts[role].params,
                                          .batch = e->batch,
                                          .mode = AGN_NET_TRAIN,
                                          .compute = (enum agn_compute)preset->train.compute,
                                          .passes = AGN_PASS_BACKWARD |
                                                    (role == AGN_EXTRACTOR ? 0U : AGN_PASS_INPUT_GRADIENT),
                                          .bn_momentum = (float)preset->train.bn_momentum,
                                          .peers = agn__share(&e->sharing[role], e->group)};
    e->trained |= 1U << role;
    return agn_net_create(&config, &e->nets[role]);
}

static int open_training(struct exits *e)
{
    struct agn_model *model = e->model;
    const struct agn_preset *preset = &model->preset;
    struct agn__beside *beside = &e->trainer->beside;
    e->stages = agn_model_stages(model);
    e->batch = preset->train.batch / agn_group_size(e->group);
    e->prob = agn_alloc((size_t)e->batch * (size_t)model->classes, sizeof(float));
    e->loss = agn_alloc((size_t)e->batch, sizeof(float));
    int status = e->prob == NULL || e->loss == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status == AGN_OK && preset->train.ema > 0.0 && beside->average == NULL)
        status = agn__average_create(beside, model);
    for (int role = 0; role < AGN_REFERENCE && status == AGN_OK; role++)
        if (!agn_part_is_empty(&model->parts[role]))
            status = open_net(e, role);
    if (status == AGN_OK)
        status = agn__optimiser_open(model, AGN_PHASE_EXITS, e->trained);
    return status == AGN_OK
               ? agn__preparation_create(model, e->trainer->config->train, e->group, &e->preparation)
               : status;
}

int agn__train_exits(struct agn__trainer *trainer)
{
    struct agn_model *model = trainer->model;
    struct exits e = {.trainer = trainer, .model = model, .group = trainer->config->group};
    const struct agn__phase_plan plan = {.phase = AGN_PHASE_EXITS,
                                         .name = "exits",
                                         .epochs = model->preset.joint.epochs,
                                         .rate = model->preset.joint.rate,
                                         .step = step,
                                         .user = &e};
    int status = open_training(&e);
    if (status == AGN_OK)
        status = agn__run_phase(trainer, &plan);
    if (status == AGN_OK && trainer->beside.average != NULL)
        agn__average_apply(&trainer->beside, model);
    agn__preparation_release(&e.preparation);
    for (int role = 0; role < AGN_REFERENCE; role++)
        agn_net_free(e.nets[role]);
    agn_free(e.prob);
    agn_free(e.loss);
    return status;
}
