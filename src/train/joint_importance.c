/* Joint training: skewness, disorder and the anchor, from the attribution back to the features.
 *
 * The gradient of the anchor comes free: it is the gradient at F that the attribution computes anyway. */
#include <math.h>
#include <string.h>

#include "train/joint.h"

/* Do the losses compare elements of the map (the public code's way) or whole channels? */
static bool by_element(const struct agn__joint *j)
{
    return j->model->preset.joint.importance == AGN_IMPORTANCE_ELEMENT;
}

size_t agn__importance_count(const struct agn__joint *j)
{
    size_t channels = (size_t)j->model->map.channels, features = j->features / (size_t)j->batch;
    return (size_t)j->measured * (by_element(j) ? features : channels);
}

/* Importance as the losses compare it: |A|, summed over each channel unless elements count. */
static void measure(struct agn__joint *j)
{
    const float *attributions = agn_xai_attributions(j->xai);
    agn_xai_channel_importance(attributions, j->measured, j->model->map, j->channel_importance);
    if (!by_element(j)) {
        memcpy(j->importance, j->channel_importance, agn__importance_count(j) * sizeof(float));
        return;
    }
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < agn__importance_count(j); i++)
        j->importance[i] = fabsf(attributions[i]);
}

/* dL/dA of each sample: the gradient with respect to importance, times sign(A). */
static void attribution_gradient(struct agn__joint *j, double scale, const bool *counts)
{
    size_t channels = (size_t)j->model->map.channels, positions = j->positions / (size_t)j->batch;
    size_t own = agn__importance_count(j) / (size_t)j->measured, stride = own > channels ? channels : 0;
    const float *attributions = agn_xai_attributions(j->xai);
#pragma omp parallel for schedule(static)
    for (int i = 0; i < j->measured; i++) {
        const float *gradient = j->importance_gradient + (size_t)i * own;
        float factor = counts[i] ? (float)scale : 0.0F;
        for (size_t p = 0; p < positions; p++) {
            size_t at = ((size_t)i * positions + p) * channels;
            for (size_t c = 0; c < channels; c++) {
                float a = attributions[at + c], sign = (float)(a > 0.0F) - (float)(a < 0.0F);
                j->diff_attributions[at + c] = factor * gradient[p * stride + c] * sign;
            }
        }
    }
}

/* Adds a sample's figures; they are of whole channels whatever the losses compare. */
static void count_sample(const struct agn__joint *j, int sample, const struct agn_importance_loss *loss,
                         struct agn__tally *tally)
{
    const struct agn_model *model = j->model;
    struct agn_importance_loss_config config = {.channels = model->map.channels,
                                                .local_channels = model->preset.model.local_channels,
                                                .rho = model->preset.joint.rho};
    struct agn_importance_loss of_channels;
    agn_importance_loss(&config, j->channel_importance + (size_t)sample * (size_t)config.channels,
                        &of_channels, NULL);
    tally->valid++;
    tally->skewness += of_channels.skewness;
    tally->disordered += of_channels.disordered;
    tally->skewness_loss += loss->skewness_loss;
    tally->disorder_loss += loss->disorder_loss;
}

/* The gradient of the anchor, which each sample's class weighs. */
static void add_anchor(const struct agn__joint *j, const struct agn_batch *batch, float anchor, float *diff)
{
    const float *gradient = agn_xai_gradient(j->xai);
    size_t each = j->features / (size_t)j->batch;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < j->measured; i++) {
        float scale = anchor * agn__label_weight(&j->preparation, batch->labels[i]);
        size_t first = (size_t)i * each;
        for (size_t at = first; at < first + each; at++)
            diff[at] += scale * gradient[at];
    }
}

int agn__importance_backward(struct agn__joint *j, const struct agn_batch *batch, struct agn__tally *tally)
{
    const struct agn_model *model = j->model;
    const struct agn_preset *preset = &model->preset;
    const float *features = agn_net_read(j->extractor, AGN_BORDER_OUTPUT);
    float *diff = agn_net_write(j->extractor, AGN_BORDER_DIFF_OUTPUT);
    size_t own = agn__importance_count(j) / (size_t)j->measured;
    struct agn_importance_loss_config config = {.channels = model->map.channels,
                                                .local_channels = preset->model.local_channels,
                                                .positions = (int)own / model->map.channels,
                                                .rho = preset->joint.rho + preset->joint.rho_margin,
                                                .disorder_margin = preset->joint.disorder_margin};
    int count = batch->count < j->measured ? batch->count : j->measured,
        images = agn__loss_images(j, count); /* over which these losses are means */
    bool counts[j->measured];
    measure(j);
    tally->measured += count;
    for (int i = 0; i < j->measured; i++) {
        struct agn_importance_loss loss;
        bool valid = agn_xai_correct(j->xai)[i];
        counts[i] = i < count && (valid || preset->joint.correct_only == 0);
        agn_importance_loss(&config, j->importance + (size_t)i * own, &loss,
                            j->importance_gradient + (size_t)i * own);
        if (i < count) {
            double weight = (double)agn__label_weight(&j->preparation, batch->labels[i]);
            tally->loss += preset->joint.anchor * weight * (double)agn_xai_loss(j->xai)[i] / images;
        }
        if (counts[i])
            tally->loss += (1.0 - preset->joint.lambda) * (loss.skewness_loss + loss.disorder_loss) / images;
        if (valid)
            count_sample(j, i, &loss, tally);
    }
    attribution_gradient(j, (1.0 - preset->joint.lambda) / images, counts);
    add_anchor(j, batch, (float)(preset->joint.anchor / images), diff);
    return preset->joint.lambda < 1.0 ? agn_xai_backward(j->xai, features, j->diff_attributions, diff)
                                      : AGN_OK;
}
