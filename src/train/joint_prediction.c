/* Joint training: the losses of the predictions, and their way back to the features. */
#include <string.h>

#include "train/joint.h"
#include "train/quantiser_learning.h"

/* Adds the gradient of distillation to that of the fused logits. */
static void teach_fused(struct agn__joint *j, int count, struct agn__tally *tally)
{
    const struct agn_preset *preset = &j->model->preset;
    double weight = preset->joint.distill / agn__loss_images(j, count);
    if (weight > 0.0) {
        const float *teacher = j->taught != NULL ? j->taught : agn_xai_logits(j->xai);
        tally->loss += weight * agn__distil(j->fused, teacher, count, j->model->classes,
                                            preset->joint.distill_temperature, weight, j->diff_fused);
    }
}

/* Adds the gradient of the Local NN's learning from the teacher, or from the fused prediction, taken as
 * given. */
static void teach_local(struct agn__joint *j, const float *local, int count, float *diff_local,
                        struct agn__tally *tally)
{
    const struct agn_preset *preset = &j->model->preset;
    double weight = preset->joint.local_distill / agn__loss_images(j, count);
    if (weight > 0.0)
        tally->loss +=
            weight * agn__distil(local, j->taught != NULL ? j->taught : j->fused, count, j->model->classes,
                                 preset->joint.distill_temperature, weight, diff_local);
}

void agn__prediction_loss(struct agn__joint *j, const struct agn_batch *batch, float *diff_alpha,
                          struct agn__tally *tally)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    const float *local = agn_net_read(j->local, AGN_BORDER_OUTPUT),
                *remote = agn_net_read(j->remote, AGN_BORDER_OUTPUT);
    float *diff_local = agn_net_write(j->local, AGN_BORDER_DIFF_OUTPUT),
          *diff_remote = agn_net_write(j->remote, AGN_BORDER_DIFF_OUTPUT);
    float alpha = (float)agn_model_alpha(model), n = (float)agn__loss_images(j, batch->count), slope = 0.0F;
    float own = (float)preset->joint.local / n;
    const struct agn__soft_targets targets = agn__targets_of(&j->preparation, batch);
    size_t logits = (size_t)j->batch * (size_t)model->classes;
    for (size_t i = 0; i < logits; i++)
        j->fused[i] = alpha * local[i] + (1.0F - alpha) * remote[i];
    agn__soft_ce_forward(j->fused, &targets, j->fused_prob, j->loss);
    agn__soft_ce_forward(local, &targets, j->local_prob, j->scratch_loss);
    agn__soft_ce_backward(j->fused_prob, &targets, (float)preset->joint.lambda / n, j->diff_fused);
    agn__soft_ce_backward(j->local_prob, &targets, own, diff_local);
    teach_fused(j, batch->count, tally);
    teach_local(j, local, batch->count, diff_local, tally);
    for (size_t i = 0; i < logits; i++) {
        slope += j->diff_fused[i] * (local[i] - remote[i]);
        diff_local[i] += alpha * j->diff_fused[i];
        diff_remote[i] = (1.0F - alpha) * j->diff_fused[i];
    }
    *diff_alpha = slope;
    for (int i = 0; i < batch->count; i++) {
        tally->loss +=
            (preset->joint.lambda * (double)j->loss[i] + preset->joint.local * (double)j->scratch_loss[i]) /
            agn__loss_images(j, batch->count);
        tally->correct += agn_argmax(j->fused_prob + (size_t)i * (size_t)model->classes, model->classes) ==
                          batch->labels[i];
    }
}

int agn__prediction_backward(struct agn__joint *j)
{
    struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    size_t sent = j->positions * (size_t)model->sent_channels;
    int status = agn_net_backward(j->local);
    if (status == AGN_OK)
        status = agn__sum_rest(&j->local_sharing, model->parts[AGN_LOCAL].params);
    if (status == AGN_OK)
        status = agn_net_backward(j->remote);
    if (status == AGN_OK)
        status = agn__sum_rest(&j->remote_sharing, model->parts[AGN_REMOTE].params);
    if (status < 0)
        return status;
    memcpy(j->diff_rest, agn_net_read(j->remote, AGN_BORDER_DIFF_INPUT), sent * sizeof(float));
    if (preset->joint.soft_temperature > 0.0)
        agn__soft_quantiser_gradient(model, j->rest, preset->joint.soft_temperature, j->diff_rest, sent);
    if (j->lost != NULL)
        agn__forget_lost(j, j->diff_rest);
    if (j->bits != NULL) {
        const struct agn_op_spec *last =
            &model->parts[AGN_EXTRACTOR].graph.ops[model->parts[AGN_EXTRACTOR].graph.count - 1];
        bool clamped = last->type == AGN_OP_RELU6 || (last->type == AGN_OP_BATCHNORM && last->relu6);
        struct agn__priced priced = {j->rest, j->contexts, j->bits, sent, clamped};
        agn__rate_gradient(model, &priced, preset->joint.bits / ((double)sent * agn_group_size(j->group)),
                           j->diff_rest);
    }
    const struct agn_channel_split split = agn_model_split(model, j->positions);
    agn_join_channels(&split, agn_net_read(j->local, AGN_BORDER_DIFF_INPUT), j->diff_rest,
                      agn_net_write(j->extractor, AGN_BORDER_DIFF_OUTPUT));
    return AGN_OK;
}
