/* The optimiser that the preset names, on parts of a model. */
#include "train/optimiser.h"

#include <math.h>

static struct agn_sgd sgd_of(const struct agn_preset *preset, double rate)
{
    return (struct agn_sgd){.rate = (float)rate,
                            .momentum = (float)preset->train.momentum,
                            .decay = (float)preset->train.weight_decay,
                            .nesterov = true};
}

static struct agn_adam adam_of(const struct agn_preset *preset, double rate)
{
    return (struct agn_adam){.rate = (float)rate,
                             .beta1 = (float)preset->train.beta1,
                             .beta2 = (float)preset->train.beta2,
                             .epsilon = 1e-8F,
                             .decay = (float)preset->train.weight_decay};
}

enum agn_optimizer agn__optimizer_of(const struct agn_preset *preset, enum agn_phase phase)
{
    bool own = agn_phase_prepares(phase) && preset->reference.optimizer != AGN_OPTIMIZER_AS_TRAIN;
    return (enum agn_optimizer)(own ? preset->reference.optimizer : preset->train.optimizer);
}

int agn__optimiser_open(struct agn_model *model, enum agn_phase phase, unsigned roles)
{
    bool adam = agn__optimizer_of(&model->preset, phase) == AGN_OPTIMIZER_ADAM;
    int status = AGN_OK;
    for (int role = 0; role < AGN_ROLES && status == AGN_OK; role++)
        if (adam && (roles & 1U << role) != 0)
            status = agn_params_use_adam(model->parts[role].params);
    return status;
}

/* In one thread, so that bits do not depend on how many there are. */
static double sum_of_squares(const struct agn_params *params)
{
    double sum = 0.0;
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        for (size_t i = 0; param->trainable && !param->frozen && i < param->count; i++) {
            double g = (double)params->grad[param->offset + i];
            sum += g * g;
        }
    }
    return sum;
}

static void shorten(struct agn_params *params, float factor)
{
    for (int p = 0; p < params->count; p++) {
        const struct agn_param *param = &params->list[p];
        for (size_t i = 0; param->trainable && !param->frozen && i < param->count; i++)
            params->grad[param->offset + i] *= factor;
    }
}

/* Pascanu et al. 2013. A norm that is no number is left to the loss, which will not be one either. */
static void clip(struct agn_model *model, unsigned roles, double most)
{
    double sum = 0.0;
    for (int role = 0; role < AGN_ROLES; role++)
        sum += (roles & 1U << role) != 0 ? sum_of_squares(model->parts[role].params) : 0.0;
    double norm = sqrt(sum);
    for (int role = 0; role < AGN_ROLES && isfinite(norm) && norm > most; role++)
        if ((roles & 1U << role) != 0)
            shorten(model->parts[role].params, (float)(most / norm));
}

void agn__optimiser_step(struct agn_model *model, enum agn_phase phase, unsigned roles, double rate)
{
    const struct agn_preset *preset = &model->preset;
    const struct agn_sgd sgd = sgd_of(preset, rate);
    const struct agn_adam adam = adam_of(preset, rate);
    if (preset->train.clip > 0.0)
        clip(model, roles, preset->train.clip);
    for (int role = 0; role < AGN_ROLES; role++) {
        if ((roles & 1U << role) == 0)
            continue;
        if (agn__optimizer_of(preset, phase) == AGN_OPTIMIZER_ADAM)
            agn_adam_step(model->parts[role].params, &adam);
        else
            agn_sgd_step(model->parts[role].params, &sgd);
    }
}

void agn__optimiser_step_alpha(struct agn_model *model, double rate, float diff_alpha)
{
    const struct agn_sgd sgd = sgd_of(&model->preset, rate);
    const struct agn_adam adam = adam_of(&model->preset, rate);
    if (model->preset.train.optimizer == AGN_OPTIMIZER_ADAM)
        agn_model_step_alpha_adam(model, diff_alpha, &adam);
    else
        agn_model_step_alpha(model, diff_alpha, &sgd);
}
