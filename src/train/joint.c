/* Joint training of extractor, Local NN, Remote NN, quantiser and alpha, with the importance losses
 * through the frozen reference:
 *
 *   lambda CE(alpha local + (1 - alpha) remote) + (1 - lambda)(skewness + disorder)
 *     + anchor CE(reference(F)) + local CE(local) + distill KL(reference(F) || fused) + bits (bits a sent
 * symbol)
 *
 * averaged over the batch; skewness, disorder and anchor over the part of it whose importance is measured.
 * The losses themselves: joint_prediction.c, joint_importance.c, symbol_rate.c. */
#include <string.h>

#include "train/channel_selection.h"
#include "train/joint.h"
#include "train/optimiser.h"
#include "train/quantiser_learning.h"

static const unsigned trained = 1U << AGN_EXTRACTOR | 1U << AGN_LOCAL | 1U << AGN_REMOTE;

/* ---- forward ---------------------------------------------------------------------- */

static int forward(struct agn__joint *j, const struct agn_batch *batch)
{
    struct agn_model *model = j->model;
    size_t sent = j->positions * (size_t)model->sent_channels;
    agn__prepare_batch(&j->preparation, batch, AGN_PHASE_JOINT, j->trainer->state.step,
                       agn_net_write(j->extractor, AGN_BORDER_INPUT));
    int status = agn__teacher_ask(&j->teacher, agn_net_read(j->extractor, AGN_BORDER_INPUT), &j->taught);
    if (status == AGN_OK)
        status = agn_net_forward(j->extractor);
    if (status < 0)
        return status;
    const struct agn_channel_split split = agn_model_split(model, j->positions);
    agn_split_channels(&split, agn_net_read(j->extractor, AGN_BORDER_OUTPUT),
                       agn_net_write(j->local, AGN_BORDER_INPUT), j->rest);
    if (j->trainer->state.step == 0)
        status = agn__centroids_initialise(model, j->group, j->rest, sent);
    agn_quantise(model->centroids, j->rest, sent, j->symbols, agn_net_write(j->remote, AGN_BORDER_INPUT));
    if (status == AGN_OK && j->lost != NULL)
        status = agn__lose_packets(j);
    if (status == AGN_OK)
        status = agn_net_forward(j->local);
    if (status == AGN_OK)
        status = agn_net_forward(j->remote);
    return status;
}

/* ---- the step ---------------------------------------------------------------------------- */

/* The sums of the remote network's gradients, most of all, have been under way since its backward. */
static int sum_gradients(struct agn__joint *j, float *diff_alpha)
{
    double slope = (double)*diff_alpha;
    if (j->group == NULL)
        return AGN_OK;
    int status = agn__sum_rest(&j->extractor_sharing, j->model->parts[AGN_EXTRACTOR].params);
    if (status == AGN_OK)
        status = agn_group_sum(j->group, &slope, 1);
    *diff_alpha = (float)slope;
    return status == AGN_OK ? agn_group_await(j->group) : status;
}

static int update(struct agn__joint *j, double rate, float diff_alpha)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    agn__optimiser_step(model, AGN_PHASE_JOINT, trained, rate);
    agn__optimiser_step_alpha(model, rate, diff_alpha);
    int status =
        agn__centroids_follow(model, j->group, j->rest, j->symbols,
                              j->positions * (size_t)model->sent_channels, preset->joint.centroid_rate);
    if (status == AGN_OK && j->trainer->beside.average != NULL)
        agn__average_follow(&j->trainer->beside, model, j->trainer->state.step);
    return status;
}

int agn__joint_step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally)
{
    struct agn__joint *j = phase;
    float diff_alpha = 0.0F;
    double begin = agn_now_s();
    tally->steps = 1;
    tally->images = batch->count;
    int status = forward(j, batch);
    if (status == AGN_OK && j->bits != NULL)
        status = agn__rate_measure(j, batch, tally);
    if (status == AGN_OK)
        status = agn_xai_attribute(j->xai, agn_net_read(j->extractor, AGN_BORDER_OUTPUT), batch->labels);
    if (status == AGN_OK) {
        agn__prediction_loss(j, batch, &diff_alpha, tally);
        status = agn__prediction_backward(j);
    }
    if (status == AGN_OK)
        status = agn__importance_backward(j, batch, tally);
    if (status == AGN_OK)
        status = agn_net_backward(j->extractor);
    if (status == AGN_OK)
        status = sum_gradients(j, &diff_alpha);
    if (status == AGN_OK)
        status = update(j, rate, diff_alpha);
    j->trainer->joint_seconds += agn_now_s() - begin;
    j->trainer->joint_images += j->whole;
    return status;
}

/* ---- set-up --------------------------------------------------------------------------------- */

static int make_nets(struct agn__joint *j)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_net_config config = {.graph = &model->parts[AGN_EXTRACTOR].graph,
                                    .params = model->parts[AGN_EXTRACTOR].params,
                                    .batch = j->batch,
                                    .mode = AGN_NET_TRAIN,
                                    .compute = (enum agn_compute)preset->train.compute,
                                    .passes = AGN_PASS_BACKWARD,
                                    .bn_momentum = (float)preset->train.bn_momentum,
                                    .peers = agn__share(&j->extractor_sharing, j->group)};
    struct agn_xai_config xai = {.method = (enum agn_xai_method)preset->joint.method,
                                 .points = preset->joint.points,
                                 .graph = &model->parts[AGN_REFERENCE].graph,
                                 .params = model->parts[AGN_REFERENCE].params,
                                 .batch = j->measured,
                                 .differentiable = true,
                                 .compute = config.compute};
    int status = agn_net_create(&config, &j->extractor);
    config.passes |= AGN_PASS_INPUT_GRADIENT;
    config.peers = agn__share(&j->local_sharing, j->group);
    config.graph = &model->parts[AGN_LOCAL].graph;
    config.params = model->parts[AGN_LOCAL].params;
    if (status == AGN_OK)
        status = agn_net_create(&config, &j->local);
    config.peers = agn__share(&j->remote_sharing, j->group);
    config.graph = &model->parts[AGN_REMOTE].graph;
    config.params = model->parts[AGN_REMOTE].params;
    if (status == AGN_OK)
        status = agn_net_create(&config, &j->remote);
    if (status == AGN_OK)
        status = agn_xai_create(&xai, &j->xai);
    return status;
}

static int allocate(struct agn__joint *j)
{
    const struct agn_model *model = j->model;
    size_t n = (size_t)j->batch, logits = n * (size_t)model->classes, channels = (size_t)model->map.channels;
    size_t importances = agn__importance_count(j);
    size_t sent = j->positions * (size_t)model->sent_channels;
    struct {
        float **array;
        size_t count;
    } wanted[] = {{&j->rest, sent},
                  {&j->local_prob, logits},
                  {&j->fused, logits},
                  {&j->fused_prob, logits},
                  {&j->diff_fused, logits},
                  {&j->loss, n},
                  {&j->scratch_loss, n},
                  {&j->diff_rest, sent},
                  {&j->channel_importance, n * channels},
                  {&j->importance, importances},
                  {&j->importance_gradient, importances},
                  {&j->diff_attributions, j->features}};
    for (size_t i = 0; i < AGN_COUNT_OF(wanted); i++) {
        *wanted[i].array = agn_alloc(wanted[i].count, sizeof(float));
        if (*wanted[i].array == NULL)
            return AGN_ERR_MEMORY;
    }
    j->symbols = agn_alloc(sent, 1);
    if (model->preset.joint.packet_loss > 0.0 || model->preset.joint.tail_drop > 0.0) {
        j->lost = agn_alloc(n * (size_t)model->sent_channels, 1);
        if (j->lost == NULL)
            return AGN_ERR_MEMORY;
    }
    return j->symbols == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

void agn__joint_close(struct agn__joint *j)
{
    float *arrays[] = {j->rest,
                       j->local_prob,
                       j->fused,
                       j->fused_prob,
                       j->loss,
                       j->scratch_loss,
                       j->diff_rest,
                       j->channel_importance,
                       j->importance,
                       j->importance_gradient,
                       j->diff_attributions,
                       j->diff_fused};
    for (size_t i = 0; i < AGN_COUNT_OF(arrays); i++)
        agn_free(arrays[i]);
    agn_free(j->symbols);
    agn_free(j->lost);
    agn__rate_close(j);
    agn__preparation_release(&j->preparation);
    agn__teacher_close(&j->teacher);
    agn_net_free(j->extractor);
    agn_net_free(j->local);
    agn_net_free(j->remote);
    agn_xai_free(j->xai);
}

int agn__joint_open(struct agn__trainer *trainer, struct agn__joint *j)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    *j = (struct agn__joint){.model = model,
                             .trainer = trainer,
                             .group = trainer->config->group,
                             .batch = preset->train.batch / agn_group_size(trainer->config->group),
                             .whole = preset->train.batch};
    j->measured = j->batch / preset->joint.measure_every;
    j->measured = j->measured < 1 ? 1 : j->measured;
    j->positions = (size_t)j->batch * (size_t)model->map.height * (size_t)model->map.width;
    j->features = j->positions * (size_t)model->map.channels;
    struct agn__beside *beside = &trainer->beside;
    int status =
        preset->train.ema > 0.0 && beside->average == NULL ? agn__average_create(beside, model) : AGN_OK;
    if (status == AGN_OK)
        status = agn__optimiser_open(model, AGN_PHASE_JOINT, trained);
    if (status == AGN_OK)
        status = make_nets(j);
    if (status == AGN_OK)
        status = agn__teacher_open(model, j->batch, &j->teacher);
    if (status == AGN_OK)
        status = allocate(j);
    if (status == AGN_OK && preset->joint.bits > 0.0)
        status = agn__rate_open(j);
    if (status == AGN_OK)
        status = agn__preparation_create(model, trainer->config->train, j->group, &j->preparation);
    return status;
}

int agn__train_jointly(struct agn__trainer *trainer)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    struct agn__joint j;
    if (trainer->state.step == 0) {
        agn_params_clear_moments(model->parts[AGN_EXTRACTOR].params);
        if (preset->joint.warm_start != 0)
            agn__warm_start(model);
    }
    int status = agn__joint_open(trainer, &j);
    struct agn__phase_plan plan = {.phase = AGN_PHASE_JOINT,
                                   .name = "joint",
                                   .epochs = preset->joint.epochs,
                                   .rate = preset->joint.rate,
                                   .loader_epoch = 1000000,
                                   .step = agn__joint_step,
                                   .user = &j};
    if (status == AGN_OK)
        status = agn__run_phase(trainer, &plan);
    if (status == AGN_OK && trainer->beside.average != NULL)
        agn__average_apply(&trainer->beside, model);
    agn__joint_close(&j);
    return status;
}
