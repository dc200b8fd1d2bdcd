/* Joint training of extractor, Local NN, Remote NN, quantiser and alpha, with the importance losses
 * through the frozen reference:
 *
 *   lambda CE(alpha local + (1 - alpha) remote) + (1 - lambda)(skewness + disorder)
 *     + anchor CE(reference(F)) + local CE(local)
 *
 * averaged over the batch. The gradient of the anchor comes free: it is the gradient at F that the
 * attribution computes anyway. */
#include <math.h>
#include <string.h>

#include "train/train_internal.h"

struct joint {
    struct agn_model *model;
    struct agn__trainer *trainer;
    struct agn_net *extractor, *local, *remote;
    struct agn_xai *xai;
    int batch;
    size_t positions, features; /* of a batch: n*h*w, n*h*w*C */
    float *rest;                /* sent channels before quantisation */
    uint8_t *symbols;
    float *local_prob, *fused, *fused_prob, *loss, *scratch_loss;
    float *diff_rest, *importance, *importance_gradient, *diff_attributions;
};

/* ---- forward ---------------------------------------------------------------------- */

static int forward(struct joint *j, const struct agn_batch *batch)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_shape in = agn_net_input_shape(j->extractor);
    size_t image = (size_t)in.height * (size_t)in.width * (size_t)in.channels;
    size_t sent = j->positions * (size_t)model->sent_channels;
    memcpy(agn_net_input(j->extractor), batch->images, (size_t)j->batch * image * sizeof(float));
    int status = agn_net_forward(j->extractor);
    if (status < 0) {
        return status;
    }
    agn__split_channels(agn_net_output(j->extractor), j->positions, model->map.channels,
                        preset->model.local_channels, agn_net_input(j->local), j->rest);
    if (j->trainer->state.step == 0) {
        status = agn__centroids_initialise(model, j->rest, sent);
    }
    agn_quantise(model->centroids, j->rest, sent, j->symbols, agn_net_input(j->remote));
    if (status == AGN_OK)
        status = agn_net_forward(j->local);
    if (status == AGN_OK)
        status = agn_net_forward(j->remote);
    return status;
}

/* ---- prediction losses ---------------------------------------------------------------- */

/* Fused logits and loss; gradients for both networks' logits and for alpha's w. */
static void prediction_loss(struct joint *j, const struct agn_batch *batch, float *alpha_gradient,
                            struct agn__tally *tally)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    const float *local = agn_net_output(j->local), *remote = agn_net_output(j->remote);
    float *diff_local = agn_net_diff_output(j->local), *diff_remote = agn_net_diff_output(j->remote);
    float alpha = (float)agn_model_alpha(model), n = (float)batch->count, slope = 0.0F;
    float own = (float)preset->joint.local / n;
    size_t logits = (size_t)j->batch * (size_t)model->classes;
    for (size_t i = 0; i < logits; i++) {
        j->fused[i] = alpha * local[i] + (1.0F - alpha) * remote[i];
    }
    agn_softmax_ce_forward(j->fused, batch->labels, j->batch, model->classes, j->fused_prob, j->loss);
    agn_softmax_ce_forward(local, batch->labels, j->batch, model->classes, j->local_prob, j->scratch_loss);
    agn_softmax_ce_backward(j->fused_prob, batch->labels, j->batch, model->classes,
                            (float)preset->joint.lambda / n, j->fused);
    agn_softmax_ce_backward(j->local_prob, batch->labels, j->batch, model->classes, own, diff_local);
    for (size_t i = 0; i < logits; i++) {
        slope += j->fused[i] * (local[i] - remote[i]);
        diff_local[i] += alpha * j->fused[i];
        diff_remote[i] = (1.0F - alpha) * j->fused[i];
    }
    *alpha_gradient = slope * alpha * (1.0F - alpha) / (float)preset->model.alpha_temperature;
    for (int i = 0; i < batch->count; i++) {
        tally->loss +=
            (preset->joint.lambda * (double)j->loss[i] + preset->joint.local * (double)j->scratch_loss[i]) /
            batch->count;
        tally->correct += agn__argmax(j->fused_prob + (size_t)i * (size_t)model->classes, model->classes) ==
                          batch->labels[i];
    }
}

/* Back through both networks to the features; quantisation passes gradients straight through unless a
 * soft temperature is set. */
static int prediction_backward(struct joint *j)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    size_t sent = j->positions * (size_t)model->sent_channels;
    int status = agn_net_backward(j->local);
    if (status == AGN_OK)
        status = agn_net_backward(j->remote);
    if (status < 0) {
        return status;
    }
    memcpy(j->diff_rest, agn_net_diff_input(j->remote), sent * sizeof(float));
    if (preset->joint.soft_temperature > 0.0) {
        agn__soft_quantiser_gradient(model, j->rest, preset->joint.soft_temperature, j->diff_rest, sent);
    }
    agn__join_channels(agn_net_diff_input(j->local), j->diff_rest, j->positions, model->map.channels,
                       preset->model.local_channels, agn_net_diff_output(j->extractor));
    return AGN_OK;
}

/* ---- importance losses ------------------------------------------------------------------ */

/* dL/dA of each sample: the gradient with respect to channel importance, times sign(A). */
static void attribution_gradient(struct joint *j, double scale, const bool *counts)
{
    size_t channels = (size_t)j->model->map.channels, positions = j->positions / (size_t)j->batch;
    const float *attributions = agn_xai_attributions(j->xai);
#pragma omp parallel for schedule(static)
    for (int i = 0; i < j->batch; i++) {
        const float *gradient = j->importance_gradient + (size_t)i * channels;
        float factor = counts[i] ? (float)scale : 0.0F;
        for (size_t p = 0; p < positions; p++) {
            size_t at = ((size_t)i * positions + p) * channels;
            for (size_t c = 0; c < channels; c++) {
                float a = attributions[at + c], sign = (float)(a > 0.0F) - (float)(a < 0.0F);
                j->diff_attributions[at + c] = factor * gradient[c] * sign;
            }
        }
    }
}

static int importance_backward(struct joint *j, const struct agn_batch *batch, struct agn__tally *tally)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    const float *features = agn_net_output(j->extractor);
    float *diff = agn_net_diff_output(j->extractor);
    int channels = model->map.channels;
    struct agn_importance_loss_config config = {.channels = channels,
                                                .local_channels = preset->model.local_channels,
                                                .rho = preset->joint.rho + preset->joint.rho_margin,
                                                .disorder_margin = preset->joint.disorder_margin};
    int status = agn_xai_attribute(j->xai, features, batch->labels);
    if (status < 0) {
        return status;
    }
    bool counts[j->batch];
    agn_xai_channel_importance(agn_xai_attributions(j->xai), j->batch, model->map, j->importance);
    for (int i = 0; i < j->batch; i++) {
        struct agn_importance_loss loss;
        size_t at = (size_t)i * (size_t)channels;
        bool valid = agn_xai_correct(j->xai)[i];
        counts[i] = i < batch->count && (valid || preset->joint.correct_only == 0);
        agn_importance_loss(&config, j->importance + at, &loss, j->importance_gradient + at);
        if (i < batch->count) {
            tally->loss += preset->joint.anchor * (double)agn_xai_loss(j->xai)[i] / batch->count;
        }
        if (counts[i]) {
            tally->loss +=
                (1.0 - preset->joint.lambda) * (loss.skewness_loss + loss.disorder_loss) / batch->count;
        }
        if (valid) {
            tally->valid++;
            tally->skewness += loss.skewness;
            tally->skewness_loss += loss.skewness_loss;
            tally->disorder_loss += loss.disorder_loss;
            tally->disordered += loss.disordered;
        }
    }
    attribution_gradient(j, (1.0 - preset->joint.lambda) / batch->count, counts);
    float anchor = (float)(preset->joint.anchor / batch->count);
    const float *gradient = agn_xai_gradient(j->xai);
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < j->features; i++) {
        diff[i] += anchor * gradient[i];
    }
    return preset->joint.lambda < 1.0 ? agn_xai_backward(j->xai, features, j->diff_attributions, diff)
                                      : AGN_OK;
}

/* ---- the step ---------------------------------------------------------------------------- */

static void update(struct joint *j, double rate, float alpha_gradient)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_sgd sgd = {.rate = (float)rate,
                          .momentum = (float)preset->train.momentum,
                          .decay = (float)preset->train.weight_decay,
                          .nesterov = true};
    agn_sgd_step(model->extractor_params, &sgd);
    agn_sgd_step(model->local_params, &sgd);
    agn_sgd_step(model->remote_params, &sgd);
    model->alpha_momentum = sgd.momentum * model->alpha_momentum + alpha_gradient;
    model->alpha_weight -= sgd.rate * (sgd.momentum * model->alpha_momentum + alpha_gradient);
    agn__centroids_follow(model, j->rest, j->symbols, j->positions * (size_t)model->sent_channels,
                          preset->joint.centroid_rate);
}

static int step(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally)
{
    struct joint *j = phase;
    float alpha_gradient = 0.0F;
    double begin = agn_now_s();
    tally->steps = 1;
    tally->images = batch->count;
    int status = forward(j, batch);
    if (status == AGN_OK) {
        prediction_loss(j, batch, &alpha_gradient, tally);
        status = prediction_backward(j);
    }
    if (status == AGN_OK)
        status = importance_backward(j, batch, tally);
    if (status == AGN_OK)
        status = agn_net_backward(j->extractor);
    if (status == AGN_OK)
        update(j, rate, alpha_gradient);
    j->trainer->joint_seconds += agn_now_s() - begin;
    j->trainer->joint_images += batch->count;
    return status;
}

/* ---- set-up --------------------------------------------------------------------------------- */

static int make_nets(struct joint *j)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    struct agn_net_config config = {.graph = &model->extractor,
                                    .params = model->extractor_params,
                                    .batch = j->batch,
                                    .mode = AGN_NET_TRAIN,
                                    .passes = AGN_PASS_BACKWARD,
                                    .bn_momentum = (float)preset->train.bn_momentum};
    int method = agn_xai_method_from_name(preset->joint.method);
    struct agn_xai_config xai = {.method = (enum agn_xai_method)method,
                                 .points = preset->joint.points,
                                 .graph = &model->reference,
                                 .params = model->reference_params,
                                 .batch = j->batch,
                                 .differentiable = true};
    int status = method < 0 ? method : agn_net_create(&config, &j->extractor);
    config.passes |= AGN_PASS_INPUT_GRADIENT;
    config.graph = &model->local;
    config.params = model->local_params;
    if (status == AGN_OK)
        status = agn_net_create(&config, &j->local);
    config.graph = &model->remote;
    config.params = model->remote_params;
    if (status == AGN_OK)
        status = agn_net_create(&config, &j->remote);
    if (status == AGN_OK)
        status = agn_xai_create(&xai, &j->xai);
    return status;
}

static int allocate(struct joint *j)
{
    const struct agn_model *model = j->model;
    size_t n = (size_t)j->batch, logits = n * (size_t)model->classes, channels = (size_t)model->map.channels;
    size_t sent = j->positions * (size_t)model->sent_channels;
    struct {
        float **array;
        size_t count;
    } wanted[] = {{&j->rest, sent},
                  {&j->local_prob, logits},
                  {&j->fused, logits},
                  {&j->fused_prob, logits},
                  {&j->loss, n},
                  {&j->scratch_loss, n},
                  {&j->diff_rest, sent},
                  {&j->importance, n * channels},
                  {&j->importance_gradient, n * channels},
                  {&j->diff_attributions, j->features}};
    for (size_t i = 0; i < AGN_COUNT_OF(wanted); i++) {
        *wanted[i].array = agn_alloc(wanted[i].count, sizeof(float));
        if (*wanted[i].array == NULL) {
            return AGN_ERR_MEMORY;
        }
    }
    j->symbols = agn_alloc(sent, 1);
    return j->symbols == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

static void release(struct joint *j)
{
    float *arrays[] = {
        j->rest,         j->local_prob, j->fused,      j->fused_prob,          j->loss,
        j->scratch_loss, j->diff_rest,  j->importance, j->importance_gradient, j->diff_attributions};
    for (size_t i = 0; i < AGN_COUNT_OF(arrays); i++) {
        agn_free(arrays[i]);
    }
    agn_free(j->symbols);
    agn_net_free(j->extractor);
    agn_net_free(j->local);
    agn_net_free(j->remote);
    agn_xai_free(j->xai);
}

/* Copies the reference's weights to the remote network wherever names (but for the prefix) and shapes
 * agree; of a convolution that read all C channels, the remote one takes the sent ones' share. */
static void warm_start(struct agn_model *model)
{
    struct agn_params *to = model->remote_params;
    const struct agn_params *from = model->reference_params;
    int k = model->preset.model.local_channels;
    for (int i = 0; i < to->count; i++) {
        const struct agn_param *target = &to->list[i];
        char name[AGN_NAME_BYTES + 32];
        snprintf(name, sizeof(name), "reference%s", target->name + strlen("remote"));
        const struct agn_param *source = agn_params_find(from, name);
        if (source == NULL || source->rank != target->rank || source->dims[0] != target->dims[0]) {
            continue;
        }
        const float *src = from->value + source->offset;
        float *dst = to->value + target->offset;
        if (source->count == target->count) {
            memcpy(dst, src, target->count * sizeof(float));
        } else if (target->rank == 4 && source->dims[1] == model->map.channels &&
                   target->dims[1] == model->sent_channels && source->dims[2] == target->dims[2]) {
            size_t area = (size_t)target->dims[2] * (size_t)target->dims[3];
            for (int o = 0; o < target->dims[0]; o++) {
                memcpy(dst + (size_t)o * (size_t)model->sent_channels * area,
                       src + ((size_t)o * (size_t)model->map.channels + (size_t)k) * area,
                       (size_t)model->sent_channels * area * sizeof(float));
            }
        }
    }
    to->version++;
}

int agn__train_jointly(struct agn__trainer *trainer)
{
    struct agn_model *model = trainer->model;
    const struct agn_preset *preset = &model->preset;
    struct joint j = {.model = model, .trainer = trainer, .batch = preset->train.batch};
    j.positions = (size_t)j.batch * (size_t)model->map.height * (size_t)model->map.width;
    j.features = j.positions * (size_t)model->map.channels;
    if (trainer->state.step == 0) {
        memset(model->extractor_params->momentum, 0, model->extractor_params->total * sizeof(float));
        if (preset->joint.warm_start != 0) {
            warm_start(model);
        }
    }
    int status = make_nets(&j);
    if (status == AGN_OK)
        status = allocate(&j);
    struct agn__phase_plan plan = {.phase = AGN_PHASE_JOINT,
                                   .name = "joint",
                                   .epochs = preset->joint.epochs,
                                   .rate = preset->joint.rate,
                                   .loader_epoch = 1000000,
                                   .step = step,
                                   .user = &j};
    if (status == AGN_OK)
        status = agn__run_phase(trainer, &plan);
    release(&j);
    return status;
}
