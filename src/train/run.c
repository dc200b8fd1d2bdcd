/* The whole of training: reference, channel selection, joint training, evaluation. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "train/channel_selection.h"
#include "train/evaluate.h"
#include "train/ranks.h"
#include "train/start.h"
#include "train/trainer.h"

enum { MOST_METRICS_BYTES = 1 << 30 };

static bool is_first(const struct agn__trainer *t)
{
    return agn_group_rank(t->config->group) == 0;
}

/* A full disk or a kill may have cut the last line, and the next one must not be glued to it. */
static int drop_cut_line(const char *path)
{
    uint8_t *text = NULL;
    size_t size = 0;
    if (!agn_file_exists(path))
        return AGN_OK;
    int status = agn_file_read(path, MOST_METRICS_BYTES, &text, &size);
    size_t whole = size;
    while (status == AGN_OK && whole > 0 && text[whole - 1] != '\n')
        whole--;
    if (status == AGN_OK && whole < size && truncate(path, (off_t)whole) != 0)
        status = agn_fail(AGN_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    agn_free(text);
    return status;
}

static int open_metrics(struct agn__trainer *t)
{
    const char *path = t->config->metrics, *folder = t->config->tensorboard;
    if (!is_first(t))
        return AGN_OK;
    if (path != NULL) {
        int status = t->config->resume ? drop_cut_line(path) : AGN_OK;
        if (status < 0)
            return status;
        t->metrics = fopen(path, t->config->resume ? "ae" : "we");
        if (t->metrics == NULL)
            return agn_fail(AGN_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    return folder != NULL ? agn__event_file_open(folder, &t->events) : AGN_OK;
}

static void close_metrics(struct agn__trainer *t)
{
    if (t->metrics != NULL)
        fclose(t->metrics);
    (void)agn__event_file_close(t->events); /* no model is lost over a figure that could not be noted */
}

/* The model to start from: the checkpoint's when resuming, else a fresh one. */
static int start_model(struct agn__trainer *t)
{
    const struct agn_train_config *config = t->config;
    if (!config->resume) {
        t->state.train_images = config->train->count;
        t->state.data_hash = agn__data_hash(config->train);
        int status = agn_model_create(&config->preset, config->train, &t->model);
        if (status == AGN_OK)
            t->state.phase = t->model->system->phases[0];
        return status;
    }
    int status = AGN_OK;
    if (config->checkpoint == NULL || (is_first(t) && !agn_file_exists(config->checkpoint))) {
        status =
            agn_fail(AGN_ERR_NOT_FOUND, "there is no checkpoint %s to resume from; start without --resume",
                     config->checkpoint == NULL ? "" : config->checkpoint);
    }
    status = agn_group_agree(config->group, status);
    if (status < 0)
        return status;
    status = agn__checkpoint_load(config->checkpoint, config->group, &t->model, &t->beside, &t->state);
    if (status < 0)
        return agn__explain_unusable(status);
    status = agn__check_resumable(t->model, &t->state, config);
    if (status == AGN_OK)
        agn__resume_with(t->model, &t->state, config, is_first(t) && !t->check_only);
    return status;
}

/* A reference network from a file: with a stem of its own it is imitated, else it replaces pre-training. */
static int open_reference(struct agn__trainer *t)
{
    const struct agn_train_config *config = t->config;
    if (config->reference != NULL && agn_part_is_empty(&t->model->parts[AGN_REFERENCE]))
        return agn_fail(AGN_ERR_ARG, "the system %s has no reference network: leave %s out",
                        t->model->system->name, config->reference);
    if (t->state.phase != AGN_PHASE_REFERENCE)
        return AGN_OK;
    if (config->preset.reference.stem[0] != '\0')
        return agn_stem_open(config->reference, t->model, &t->stem);
    t->adopted = config->reference != NULL;
    struct agn_effort effort = {t->state.seconds, t->state.images};
    int status = t->adopted ? agn_reference_adopt(config->reference, t->model, &effort) : AGN_OK;
    t->state.seconds = effort.seconds;
    t->state.images = effort.images;
    return status;
}

static int train_reference(struct agn__trainer *t)
{
    int status = AGN_OK;
    if (t->stem.params != NULL)
        status = agn__imitate(t);
    else if (!t->adopted)
        status = agn__pretrain(t);
    if (status == AGN_OK && t->config->reference_out != NULL && is_first(t)) {
        const struct agn_effort effort = {t->state.seconds, t->state.images};
        status = agn_reference_save(t->model, t->config->reference_out, &effort);
    }
    return agn_group_agree(t->config->group, status);
}

static int make_loader(struct agn__trainer *t)
{
    const struct agn_preset *p = &t->config->preset;
    struct agn_group *group = t->config->group;
    struct agn_loader_config config = {.batch = p->train.batch / agn_group_size(group),
                                       .part = agn_group_rank(group),
                                       .parts = agn_group_size(group),
                                       .whole = group != NULL && p->train.mixup > 0.0,
                                       .shuffle = true,
                                       .drop_last = true,
                                       .flip = p->data.flip != 0,
                                       .crop_pad = p->data.crop_pad,
                                       .seed = (uint64_t)p->train.seed,
                                       .normalisation = t->model->normalisation};
    return agn_loader_create(t->config->train, &config, &t->loader);
}

/* After the reference phase: select channels, note importance as it is now. */
static int end_reference_phase(struct agn__trainer *t)
{
    struct agn_model *model = t->model;
    struct agn_evaluation before = {0};
    int status = agn__select_channels(model, t->config->group, t->config->train);
    if (status == AGN_OK)
        status = agn__evaluate(model, t->config->group, t->config->test, &before);
    if (status < 0)
        return status;
    memcpy(model->importance_before, before.channel_importance, sizeof(model->importance_before));
    model->skewness_before = before.skewness;
    model->reference_accuracy = before.reference_valid;
    return AGN_OK;
}

static int run_phase(struct agn__trainer *t)
{
    if (t->state.phase == AGN_PHASE_JOINT)
        return agn__train_jointly(t);
    if (t->state.phase == AGN_PHASE_REMOTE)
        return agn__train_remote(t);
    if (t->state.phase == AGN_PHASE_LOCAL)
        return agn__train_local(t);
    if (t->state.phase == AGN_PHASE_EXITS)
        return agn__train_exits(t);
    if (t->state.phase == AGN_PHASE_CLASSIFIER)
        return agn__pretrain_classifier(t);
    if (t->state.phase == AGN_PHASE_CODER)
        return agn__train_coder(t);
    int status = train_reference(t);
    return status == AGN_OK ? end_reference_phase(t) : status;
}

/* The system's phases, from the one on in which training stands. */
static int run_phases(struct agn__trainer *t)
{
    assert(t->model != NULL);
    const enum agn_phase *phase = t->model->system->phases;
    while (*phase != t->state.phase && *phase != AGN_PHASE_DONE)
        phase++;
    for (; *phase != AGN_PHASE_DONE; phase++) {
        int status = run_phase(t);
        if (status < 0)
            return status;
        t->state.phase = phase[1];
        if (phase[1] != AGN_PHASE_DONE)
            t->state.step = 0;
    }
    return AGN_OK;
}

static void write_report(const struct agn__trainer *t, struct agn_train_report *report)
{
    double seconds = t->state.seconds > 0.0 ? t->state.seconds : 1e-9;
    report->seconds = t->state.seconds;
    report->images_per_s = (double)t->state.images / seconds;
    report->joint_images_per_s = t->joint_seconds > 0.0 ? (double)t->joint_images / t->joint_seconds : 0.0;
    report->stall_seconds = agn_loader_stall_s(t->loader);
    report->chosen_epochs = t->chosen_epochs;
    report->ranks = agn_group_size(t->config->group);
    agn_group_times(t->config->group, &report->sums);
}

static int save_end(const struct agn__trainer *t)
{
    const char *path = t->config->checkpoint;
    return path != NULL && is_first(t) ? agn__checkpoint_save(path, t->model, &t->beside, &t->state) : AGN_OK;
}

/* Everything that can be refused without training. */
static int open_model(struct agn__trainer *t)
{
    struct agn_group *group = t->config->group;
    int status = agn__check_training_data(t->config);
    if (status == AGN_OK)
        status = agn__check_parts(t->config);
    status = agn_group_agree(group, status);
    if (status == AGN_OK)
        status = agn__check_same_start(t->config);
    if (status == AGN_OK)
        status = start_model(t);
    if (status == AGN_OK)
        status = open_reference(t);
    if (status == AGN_OK)
        status = agn__check_channel_order(t->model);
    status = agn_group_agree(group, status);
    assert(status < 0 || t->model != NULL);
    return status;
}

int agn_train_check(const struct agn_train_config *config)
{
    struct agn__trainer t = {.config = config, .check_only = true};
    int status = open_model(&t);
    agn_stem_close(&t.stem);
    agn__beside_free(&t.beside);
    agn_model_free(t.model);
    return status;
}

int agn_train_run(const struct agn_train_config *config, struct agn_model **model,
                  struct agn_train_report *report)
{
    struct agn__trainer t = {.config = config};
    struct agn_train_report made = {.validation_accuracy = NAN};
    t.chosen_epochs = NAN;
    int status = open_model(&t);
    if (status == AGN_OK)
        status = open_metrics(&t);
    if (status == AGN_OK)
        status = make_loader(&t);
    status = agn_group_agree(config->group, status);
    if (status == AGN_OK)
        status = run_phases(&t);
    if (status == AGN_OK) /* in each process the same, as weights and images are */
        status = agn_group_agree(config->group, agn_model_learn_contexts(t.model, config->train));
    if (status == AGN_OK)
        status = agn__evaluate(t.model, config->group, config->test, &made.evaluation);
    if (status == AGN_OK && config->validation != NULL)
        status = agn__validate(t.model, config->group, config->validation, AGN_PHASE_JOINT,
                               &made.validation_accuracy);
    if (status == AGN_OK) /* after the contexts, with which the channels' means are measured */
        status = agn_group_agree(config->group, agn_model_learn_trust(t.model, config->train));
    if (status == AGN_OK) {
        memcpy(t.model->importance_after, made.evaluation.channel_importance,
               sizeof(t.model->importance_after));
        write_report(&t, &made);
        made.reference_accuracy = t.model->reference_accuracy;
    }
    if (status == AGN_OK)
        status = agn_group_agree(config->group, save_end(&t));
    agn_loader_free(t.loader);
    agn_stem_close(&t.stem);
    agn__beside_free(&t.beside);
    close_metrics(&t);
    if (status < 0) {
        agn_model_free(t.model);
        return status;
    }
    *model = t.model;
    *report = made;
    return AGN_OK;
}
