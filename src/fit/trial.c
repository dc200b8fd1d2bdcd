/* The real trainer: a candidate trained from the beginning with a whole schedule of its own, and measured.
 *
 * Each rung trains anew. Going on from the rung before would have to lift the learning rate out of the
 * cosine's end again, and a candidate's accuracy then depends on where its earlier cosines ended; a whole,
 * short cosine can be compared, and `agilenn train --preset` repeats it. It costs a third of the time when
 * rungs grow threefold. What was interrupted within a rung does go on from its checkpoint. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/train.h"
#include "fit/fit_internal.h"

/* Importance is measured twice in each training and not looked at here. */
enum { WATCHED_IMAGES = 256 };

int agn__fit_path(const char *folder, const char *name, const char *ending, char path[1024])
{
    int length = snprintf(path, 1024, "%s/%s.%s", folder, name, ending);
    return length < 0 || length >= 1024
               ? agn_fail(AGN_ERR_RANGE, "a path of more than 1023 bytes: %s", folder)
               : AGN_OK;
}

/* Progress of one training, which ends it when its time is up. */
struct watch {
    const struct agn_fit_config *fit;
    const char *name;
    double deadline_s;
    bool rang;
};

static void look_at_clock(void *user, const struct agn_progress *progress)
{
    struct watch *watch = user;
    struct agn_progress told = *progress;
    told.phase = watch->name;
    told.eta_s = watch->deadline_s - agn_now_s(); /* of the search */
    told.epoch_end = false;
    if (watch->fit->progress != NULL)
        watch->fit->progress(watch->fit->progress_user, &told);
    if (!watch->rang && !agn_interrupt_requested() && agn_now_s() >= watch->deadline_s) {
        watch->rang = true;
        agn_interrupt_request();
    }
}

/* The preset with so many images: epochs in the base's proportion. */
static void set_schedule(struct agn_preset *preset, double images, int train_images)
{
    const struct agn_system *system = NULL;
    double epochs = images / (double)train_images, share = 0.0;
    if (agn_system_find(preset->model.system, &system) == AGN_OK && agn_phase_prepares(system->phases[0])) {
        share = preset->reference.epochs / (preset->reference.epochs + preset->joint.epochs);
        share = fmin(fmax(share, 0.1), 0.4);
    }
    if (share > 0.0)
        preset->reference.epochs = share * epochs;
    preset->joint.epochs = (1.0 - share) * epochs;
    preset->train.warmup_epochs = fmin(preset->train.warmup_epochs, 0.1 * preset->joint.epochs);
}

/* From its checkpoint if there is one that can be gone on with. */
static int train_model(struct agn_train_config *config, struct agn_model **model,
                       struct agn_train_report *report)
{
    struct agn_train_state state;
    config->resume =
        agn_file_exists(config->checkpoint) && agn_checkpoint_state(config->checkpoint, &state) >= 0;
    if (config->resume && agn_train_check(config) < 0)
        config->resume = false;
    return agn_train_run(config, model, report);
}

static int train_and_save(const struct agn__fit_trial *trial, const struct agn_fit_candidate *candidate,
                          int rung, double images, struct watch *watch, struct agn_fit_result *result)
{
    const struct agn_fit_config *fit = trial->config;
    char name[AGN_FIT_NAME + 16], checkpoint[1024], path[1024];
    struct agn_dataset train = {0}, watched = {0}, some = *fit->validation;
    struct agn_model *model = NULL;
    struct agn_train_report *report = agn_alloc(1, sizeof *report);
    struct agn_train_config *config = agn_alloc(1, sizeof *config);
    some.count = some.count < WATCHED_IMAGES ? some.count : WATCHED_IMAGES;
    snprintf(name, sizeof name, "%s-%d", candidate->name, rung);
    int status = report == NULL || config == NULL ? AGN_ERR_MEMORY
                                                  : agn__fit_path(fit->out, name, "checkpoint", checkpoint);
    if (status == AGN_OK)
        status = agn__fit_path(fit->out, candidate->name, "safetensors", path);
    if (status == AGN_OK)
        status = agn__fit_images_for(&candidate->preset, fit->train, &train);
    if (status == AGN_OK)
        status = agn__fit_images_for(&candidate->preset, &some, &watched);
    if (status == AGN_OK) {
        *config = (struct agn_train_config){.preset = candidate->preset,
                                            .train = &train,
                                            .test = &watched,
                                            .checkpoint = checkpoint,
                                            .progress = look_at_clock,
                                            .progress_user = watch};
        status = agn_train_fit_preset(&config->preset, &train, &watched, NULL);
    }
    if (status == AGN_OK) {
        set_schedule(&config->preset, images, train.count);
        status = train_model(config, &model, report);
    }
    if (status == AGN_OK)
        status = agn__fit_measure(model, fit->train, fit->validation, result);
    if (status == AGN_OK)
        status = agn_model_save(model, path);
    if (status == AGN_OK) {
        result->overhead_s = -report->seconds; /* the whole is added by the caller */
        (void)unlink(checkpoint);
    }
    agn__fit_images_free(&train);
    agn__fit_images_free(&watched);
    agn_model_free(model);
    agn_free(report);
    agn_free(config);
    return status;
}

static int train(void *user, const struct agn_fit_candidate *candidate, int rung, double images,
                 double deadline_s, bool *late, struct agn_fit_result *result)
{
    const struct agn__fit_trial *trial = user;
    struct watch watch = {.fit = trial->config, .name = candidate->name, .deadline_s = deadline_s};
    struct agn_fit_result made = {.images = images};
    double begun_s = agn_now_s();
    int status = train_and_save(trial, candidate, rung, images, &watch, &made);
    if (watch.rang)
        agn_interrupt_clear();
    *late = watch.rang && status == AGN_ERR_INTERRUPTED;
    if (status < 0)
        return status;
    made.seconds = agn_now_s() - begun_s;
    made.overhead_s = fmin(fmax(made.overhead_s + made.seconds, 0.0), made.seconds);
    *result = made;
    return AGN_OK;
}

static int needs(void *user, const struct agn_board *board, struct agn_fit_candidate *candidate)
{
    (void)user;
    return agn_fit_needs(board, candidate);
}

static double now(void *user)
{
    (void)user;
    return agn_now_s();
}

struct agn_fit_trainer agn__fit_real_trainer(struct agn__fit_trial *trial)
{
    return (struct agn_fit_trainer){.needs = needs, .train = train, .now = now, .user = trial};
}
