/* How far the Remote NN is to be trusted when only some channels arrive.
 *
 * The server multiplies its logits by trust[channels that came] before it replies. At 0 the device's
 * prediction is the local one; when all came it is 1. Each value is learned from training images that lose so
 * many channels in a row (the last being followed by the first), or, for frames of which the first channels
 * came, the last ones. It minimises the fused cross-entropy at
 * whatever sharpness suits it: only the ratio of local to remote logits decides. Where the fused prediction
 * is right less often than the local one all the same, it is 0. */
#include <math.h>

#include "model/model_internal.h"

enum { MOST_IMAGES = 3000, DRAWS = 8, STEPS = 17, SHARPNESSES = 6 };
static const float sharpness[SHARPNESSES] = {0.7F, 1.0F, 1.4F, 2.0F, 2.8F, 4.0F};

struct fit {
    const struct agn_model *model;
    struct {
        double loss[AGN_MAX_FEATURES + 1][STEPS][SHARPNESSES]; /* by channels that came and trust */
        int right[AGN_MAX_FEATURES + 1][STEPS];
    } of[2]; /* any channels came; the first ones */
};

/* All counts of lost channels come up equally often; every second time the last ones are lost. */
static void draw(void *user, int image, int number, uint8_t *lost)
{
    const struct fit *fit = user;
    uint32_t channels = (uint32_t)fit->model->sent_channels;
    struct agn_rng rng;
    agn_rng_seed(&rng, (uint64_t)image * DRAWS + (uint64_t)number);
    uint32_t count = channels > 1 ? 1 + agn_rng_below(&rng, channels - 1) : 0;
    uint32_t first = number % 2 == 0 ? agn_rng_below(&rng, channels) : channels - count;
    for (uint32_t i = 0; i < count; i++)
        lost[(first + i) % channels] = 1;
}

static double cross_entropy(const float *logits, float scale, int classes, int label)
{
    float top = -INFINITY, sum = 0.0F;
    for (int c = 0; c < classes; c++)
        top = fmaxf(top, logits[c]);
    for (int c = 0; c < classes; c++)
        sum += expf(scale * (logits[c] - top));
    return (double)(logf(sum) + scale * (top - logits[label]));
}

static void see(void *user, const struct agn_lossy_image *image)
{
    struct fit *fit = user;
    int classes = fit->model->classes;
    float alpha = (float)agn_model_alpha(fit->model), fused[AGN_MAX_CLASSES];
    for (int step = 0; step < STEPS; step++) {
        float remote = (1.0F - alpha) * (float)step / (STEPS - 1);
        agn_fuse_f32(image->local, alpha, image->remote, remote, classes, fused);
        for (int s = 0; s < SHARPNESSES; s++)
            fit->of[image->leading].loss[image->came][step][s] +=
                cross_entropy(fused, sharpness[s], classes, image->label);
        fit->of[image->leading].right[image->came][step] += agn_argmax(fused, classes) == image->label;
    }
}

static float best_trust(const struct fit *fit, bool leading, int came)
{
    double least = INFINITY;
    int best = 0;
    for (int step = 0; step < STEPS; step++) {
        for (int s = 0; s < SHARPNESSES; s++) {
            double loss = fit->of[leading].loss[came][step][s];
            best = loss < least ? step : best;
            least = fmin(loss, least);
        }
    }
    return fit->of[leading].right[came][best] < fit->of[leading].right[came][0] ? 0.0F
                                                                                : (float)best / (STEPS - 1);
}

int agn_model_learn_trust(struct agn_model *model, const struct agn_dataset *data)
{
    if (!agn_model_sends_symbols(model))
        return AGN_OK; /* nothing else to trust in, or no use for it */
    struct fit *fit = agn_alloc(1, sizeof(*fit));
    if (fit == NULL)
        return AGN_ERR_MEMORY;
    fit->model = model;
    const struct agn_lossy lossy = {.model = model,
                                    .images = MOST_IMAGES,
                                    .draws = DRAWS,
                                    .shuffle = true,
                                    .draw = draw,
                                    .see = see,
                                    .user = fit};
    int status = agn_model_run_lossy(&lossy, data);
    for (int came = 1; came < model->sent_channels && status == AGN_OK; came++) {
        model->trust[came] = best_trust(fit, false, came);
        model->leading_trust[came] = best_trust(fit, true, came);
    }
    agn_free(fit);
    return status;
}

float agn_model_trust(const struct agn_model *model, int came, bool leading)
{
    return leading ? model->leading_trust[came] : model->trust[came];
}

void agn__trust_initialise(struct agn_model *model)
{
    for (int came = 0; came <= model->sent_channels; came++)
        model->trust[came] = model->leading_trust[came] = came > 0 ? 1.0F : 0.0F;
}

void agn__trust_guess(struct agn_model *model)
{
    double alpha = agn_model_alpha(model), sent = model->sent_channels;
    for (int came = 1; came < model->sent_channels; came++) {
        double share = fmax(0.0, (2.0 * came - sent) / sent);
        double trust = alpha * share / (1.0 - (1.0 - alpha) * share);
        model->trust[came] = trust <= 1.0 ? (float)trust : 0.0F; /* 0, too, for an alpha that is no number */
        model->leading_trust[came] = model->trust[came];
    }
}
