/* Alpha, the weight of the local prediction, in both forms, as one number w.
 *
 * Paper: sigmoid(w / T). Public code: the first of softmax(w1, w2), which is sigmoid(w1 - w2). SGD moves w1
 * and w2 by equal and opposite amounts, so that w = w1 - w2 with twice w1's gradient takes the same way. */
#include <math.h>
#include <string.h>

#include "model/model_internal.h"

static bool is_softmax(const struct agn_model *model)
{
    return model->preset.model.alpha_form == AGN_ALPHA_SOFTMAX;
}

static double temperature(const struct agn_model *model)
{
    return is_softmax(model) ? 1.0 : model->preset.model.alpha_temperature;
}

double agn_model_alpha(const struct agn_model *model)
{
    if (agn_part_is_empty(&model->parts[AGN_LOCAL]) || model->system->exits)
        return 0.0;
    if (agn_part_is_empty(&model->parts[AGN_REMOTE]))
        return 1.0;
    return 1.0 / (1.0 + exp(-(double)model->alpha_weight / temperature(model)));
}

void agn__alpha_initialise(struct agn_model *model)
{
    double alpha = model->preset.model.alpha_initial;
    model->alpha_weight = (float)(temperature(model) * log(alpha / (1.0 - alpha)));
}

/* The loss's derivative with respect to w. */
static float slope_of(const struct agn_model *model, float diff_alpha)
{
    float alpha = (float)agn_model_alpha(model);
    float gradient = diff_alpha * alpha * (1.0F - alpha) / (float)temperature(model);
    return gradient * (is_softmax(model) ? 2.0F : 1.0F);
}

void agn_model_step_alpha(struct agn_model *model, float diff_alpha, const struct agn_sgd *sgd)
{
    float gradient = slope_of(model, diff_alpha);
    model->alpha_momentum = sgd->momentum * model->alpha_momentum + gradient;
    model->alpha_weight -= sgd->rate * (sgd->momentum * model->alpha_momentum + gradient);
}

void agn_model_step_alpha_adam(struct agn_model *model, float diff_alpha, const struct agn_adam *adam)
{
    double gradient = (double)slope_of(model, diff_alpha), keep1 = (double)adam->beta1,
           keep2 = (double)adam->beta2;
    double m = keep1 * (double)model->alpha_momentum + (1.0 - keep1) * gradient;
    double v = keep2 * (double)model->alpha_second + (1.0 - keep2) * gradient * gradient;
    double t = (double)(model->alpha_steps += 1.0F);
    model->alpha_momentum = (float)m;
    model->alpha_second = (float)v;
    model->alpha_weight -= (float)((double)adam->rate * m / (1.0 - pow(keep1, t)) /
                                   (sqrt(v / (1.0 - pow(keep2, t))) + (double)adam->epsilon));
}
