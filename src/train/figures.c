/* Reports of training as lists of figures. */
#include <math.h>

#include "agilenn/train.h"

/* Does some of its feature map stay on the device? */
static bool shares(const struct agn_model *model)
{
    return agn_model_sends_symbols(model) && !agn_part_is_empty(&model->parts[AGN_LOCAL]);
}

void agn_evaluation_figures(const struct agn_model *model, const struct agn_evaluation *e,
                            struct agn_figures *f)
{
    bool measured = e->reference_valid > 0.0;
    double skewness = measured ? e->skewness : (double)NAN;
    double disorder = measured ? e->disorder_rate : (double)NAN;
    bool splits = shares(model), codes = agn_model_sends_symbols(model);
    agn_figures_add_whole(f, "test_images", e->images, "images evaluated");
    agn_figures_add_share(f, "float_accuracy", e->fused_accuracy, "accuracy, fused, in float");
    agn_figures_add_share(f, "local_only_accuracy", e->local_accuracy, "accuracy of the Local NN alone");
    agn_figures_add_share(f, "remote_only_accuracy", e->remote_accuracy, "accuracy of the Remote NN alone");
    if (model->system->exits)
        agn_figures_add_share(f, "exit_share", e->exit_share, "images that the device answers at its exit");
    agn_figures_add_real(f, "alpha", e->alpha, "", "weight of the local prediction");
    agn_figures_add_share(f, "reference_valid", e->reference_valid,
                          "images that the reference gets right; skewness and disorder are over these");
    agn_figures_add_real(f, "rho", splits ? model->preset.joint.rho : (double)NAN, "", "skewness asked for");
    agn_figures_add_real(f, "skewness_mean", skewness, "",
                         "skewness reached: importance in the first k channels");
    agn_figures_add_share(f, "disorder_rate", disorder,
                          "images in which a later channel outweighs one of the first k");
    agn_figures_add_whole(f, "centroids_used", codes ? e->levels_used : (double)NAN,
                          "quantiser levels, of 8, with at least 0.1 % of the symbols");
}

void agn_train_figures(const struct agn_model *model, const struct agn_train_report *r, struct agn_figures *f)
{
    agn_evaluation_figures(model, &r->evaluation, f);
    if (!isnan(r->validation_accuracy)) {
        agn_figures_add_share(f, "validation_accuracy", r->validation_accuracy, "accuracy, fused");
        agn_figures_add_real(f, "chosen_epochs", r->chosen_epochs, "", "of joint training, the best one's");
    }
    bool splits = shares(model), prepared = agn_phase_prepares(model->system->phases[0]);
    agn_figures_add_whole(f, "local_channels", splits ? model->preset.model.local_channels : (double)NAN,
                          "k, which stay on the device");
    agn_figures_add_share(f, "reference_accuracy_before", prepared ? r->reference_accuracy : (double)NAN,
                          "before joint training");
    agn_figures_add_real(f, "skewness_before", splits ? model->skewness_before : (double)NAN, "",
                         "skewness before joint training");
    agn_figures_add_whole(f, "processes", r->ranks, "that trained together");
    agn_figures_add_real(f, "train_images_per_s", r->images_per_s, "/s", "images, both phases");
    agn_figures_add_real(f, "joint_images_per_s", r->joint_images_per_s, "/s", "images, joint training");
    agn_figures_add_real(f, "train_seconds", r->seconds, "s", "training time, evaluation left out");
    agn_figures_add_real(f, "stall_seconds", r->stall_seconds, "s", "waiting for data");
    agn_figures_add_real(f, "allreduce_seconds", r->sums.sums_seconds, "s", "summing gradients");
    agn_figures_add_real(f, "allreduce_hidden_seconds", r->sums.hidden_seconds, "s", "of it while computing");
    agn_figures_add_real(f, "synchronisation_seconds", r->sums.other_seconds, "s", "other sums, and waiting");
}
