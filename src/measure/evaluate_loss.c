/* Evaluation in float when packets are lost: what arrives counts by its trust, and where nothing arrives the
 * local prediction counts, as on the device; without a Local NN there is none then, which is not right. */
#include "agilenn/measure.h"

struct counts {
    const struct agn_model *model;
    const struct agn_loss_plan *plan;
    struct agn_loss_evaluation out;
};

/* The same draws at each loss: losing more loses what losing less does. */
static void draw(void *user, int image, int number, uint8_t *lost)
{
    const struct counts *c = user;
    struct agn_rng rng;
    agn_rng_seed(&rng, (c->plan->seed << 32) + (uint64_t)image);
    agn_lossy_draw_channels(&rng, c->plan->packets, c->plan->loss[number], c->model->sent_channels, lost);
}

static void see(void *user, const struct agn_lossy_image *image)
{
    struct counts *c = user;
    const struct agn_model *model = c->model;
    float alpha = (float)agn_model_alpha(model), fused[AGN_MAX_CLASSES];
    float trust = (1.0F - alpha) * agn_model_trust(model, image->came, image->leading);
    agn_fuse_f32(image->local, alpha, image->came > 0 ? image->remote : NULL, trust, model->classes, fused);
    bool answered = image->local != NULL || image->came > 0;
    c->out.right[image->draw] += answered && agn_argmax(fused, model->classes) == image->label;
    c->out.unanswered[image->draw] += image->came == 0;
    if (image->draw == 0) {
        c->out.images++;
        c->out.local_right +=
            image->local != NULL && agn_argmax(image->local, model->classes) == image->label;
    }
}

int agn_model_evaluate_loss(const struct agn_model *model, const struct agn_dataset *data,
                            const struct agn_loss_plan *plan, struct agn_loss_evaluation *evaluation)
{
    struct counts counts = {.model = model, .plan = plan};
    const struct agn_lossy lossy = {
        .model = model, .draws = plan->count, .draw = draw, .see = see, .user = &counts};
    if (plan->count < 1 || plan->count > AGN_MOST_LOSSES || plan->packets < 1) {
        return agn_fail(AGN_ERR_ARG, "an evaluation under loss takes 1 to %d losses and at least 1 packet",
                        AGN_MOST_LOSSES);
    }
    int status = agn_model_run_lossy(&lossy, data);
    if (status == AGN_OK)
        *evaluation = counts.out;
    return status;
}
