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

/* The sets of one training: images that are not used are not copied or coded either. */
struct sets {
    struct agn_dataset train, watched, measured;
};

static int make_sets(const struct agn_fit_config *fit, const struct agn_preset *preset, int rung,
                     double images, struct sets *sets)
{
    static const int measured[] = {1000, 2000}; /* of the first rungs; then all */
    int batch = preset->train.batch, most = images < fit->train->count ? (int)ceil(images) : 0;
    if (most > 0 && most < batch)
        most = batch;
    int few = rung < (int)AGN_COUNT_OF(measured) ? measured[rung < 0 ? 0 : rung] : 0;
    int status = agn__fit_images_for(preset, fit->train, most, &sets->train);
    if (status == AGN_OK)
        status = agn__fit_images_for(preset, fit->validation, WATCHED_IMAGES, &sets->watched);
    return status == AGN_OK ? agn__fit_images_for(NULL, fit->validation, few, &sets->measured) : status;
}

static void free_sets(struct sets *sets)
{
    agn__fit_images_free(&sets->train);
    agn__fit_images_free(&sets->watched);
    agn__fit_images_free(&sets->measured);
}

/* Largest feature packet that goes in one of the radio's datagrams. */
static size_t packet_cap(const struct agn_radio *radio, int protocol)
{
    double room = radio->longest_bytes - radio->header_bytes - agn__fit_coap_bytes(protocol);
    return room > 0.0 && room < AGN_WIRE_MAX_PACKET ? (size_t)room : AGN_WIRE_MAX_PACKET;
}

/* The epochs of a model that saw a part of the images, as shares of them all. */
static void count_in_whole_epochs(struct agn_preset *preset, double share)
{
    preset->reference.epochs *= share;
    preset->joint.epochs *= share;
    preset->train.warmup_epochs *= share;
}

static int train_on(const struct agn_fit_candidate *candidate, int rung, struct watch *watch,
                    struct sets *sets, struct agn_fit_result *result)
{
    const struct agn_fit_config *fit = watch->fit;
    const struct agn__fit_link link = {fit->protocol > 0 ? fit->protocol : 1,
                                       packet_cap(&fit->radio, fit->protocol)};
    char name[AGN_FIT_NAME + 16], checkpoint[1024], path[1024];
    struct agn_model *model = NULL;
    struct agn_train_report *report = agn_alloc(1, sizeof *report);
    struct agn_train_config *config = agn_alloc(1, sizeof *config);
    snprintf(name, sizeof name, "%s-%d", candidate->name, rung + 1);
    int status = report == NULL || config == NULL ? AGN_ERR_MEMORY
                                                  : agn__fit_path(fit->out, name, "checkpoint", checkpoint);
    if (status == AGN_OK)
        status = agn__fit_path(fit->out, candidate->name, "safetensors", path);
    if (status == AGN_OK) {
        *config = (struct agn_train_config){.preset = candidate->preset,
                                            .train = &sets->train,
                                            .test = &sets->watched,
                                            .checkpoint = checkpoint,
                                            .progress = look_at_clock,
                                            .progress_user = watch};
        status = agn_train_fit_preset(&config->preset, &sets->train, &sets->watched, NULL);
    }
    if (status == AGN_OK) {
        set_schedule(&config->preset, result->images, sets->train.count);
        status = train_model(config, &model, report);
    }
    if (status == AGN_OK)
        status = agn__fit_measure(model, fit->train, &sets->measured, &link, result);
    if (status == AGN_OK) {
        count_in_whole_epochs(&model->preset, (double)sets->train.count / fit->train->count);
        status = rung >= 0 ? agn_model_save(model, path) : AGN_OK; /* a pilot only tells how long it takes */
    }
    if (status == AGN_OK) {
        result->overhead_s = -report->seconds; /* the whole is added by the caller */
        (void)unlink(checkpoint);
    }
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
    struct sets sets = {0};
    int status = make_sets(trial->config, &candidate->preset, rung, images, &sets);
    if (status == AGN_OK)
        status = train_on(candidate, rung, &watch, &sets, &made);
    free_sets(&sets);
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
