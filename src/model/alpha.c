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
    if (agn_part_is_empty(&model->parts[AGN_LOCAL]))
        return 0.0;
    return 1.0 / (1.0 + exp(-(double)model->alpha_weight / temperature(model)));
}

void agn__alpha_initialise(struct agn_model *model)
{
    double alpha = model->preset.model.alpha_initial;
    model->alpha_weight = (float)(temperature(model) * log(alpha / (1.0 - alpha)));
}

void agn_model_step_alpha(struct agn_model *model, float diff_alpha, const struct agn_sgd *sgd)
{
    float alpha = (float)agn_model_alpha(model);
    float gradient = diff_alpha * alpha * (1.0F - alpha) / (float)temperature(model);
    gradient *= is_softmax(model) ? 2.0F : 1.0F;
    model->alpha_momentum = sgd->momentum * model->alpha_momentum + gradient;
    model->alpha_weight -= sgd->rate * (sgd->momentum * model->alpha_momentum + gradient);
}
