/* Whether a checkpoint belongs to the training that is to go on, and if not, what differs. */
#include <math.h>
#include <string.h>

#include "train/ranks.h"
#include "train/start.h"
#include "train/trainer.h"

enum { PRESET_BYTES = 8192 };

/* The preset as text, its networks as blocks: a name and what it stands for are the same. Where the images
 * lie does not count, what they are does (check_images); epochs are looked at on their own. */
static int format_expanded(const struct agn_preset *preset, char *text, size_t cap)
{
    struct agn_preset plain = *preset;
    plain.data.path[0] = '\0';
    plain.reference.epochs = plain.joint.epochs = 0.0;
    char blocks[AGN_PRESET_TEXT_BYTES];
    char *const networks[] = {plain.model.extractor, plain.model.local, plain.model.reference,
                              plain.model.remote, plain.model.decoder};
    for (size_t i = 0; i < AGN_COUNT_OF(networks); i++)
        if (agn_graph_expand(networks[i], 1.0, blocks, sizeof(blocks)) >= 0)
            memcpy(networks[i], blocks, strlen(blocks) + 1);
    return agn_preset_format(&plain, text, cap);
}

static void describe_shape(const struct agn_param *param, char text[64])
{
    size_t length = 0;
    text[0] = '\0';
    for (int d = 0; d < param->rank && length < 48; d++)
        length += (size_t)snprintf(text + length, 64 - length, "%s%d", d == 0 ? "" : "x", param->dims[d]);
}

/* The first tensor that is missing or shaped differently; false: none. */
static bool first_difference(const struct agn_params *saved, const struct agn_params *wanted, char *text,
                             size_t cap)
{
    char is[64], should_be[64];
    for (int p = 0; p < wanted->count; p++) {
        const struct agn_param *want = &wanted->list[p], *have = agn_params_find(saved, want->name);
        describe_shape(want, should_be);
        if (have == NULL) {
            snprintf(text, cap, "tensor '%s' (%s) is missing there", want->name, should_be);
            return true;
        }
        describe_shape(have, is);
        if (strcmp(is, should_be) != 0) {
            snprintf(text, cap, "tensor '%s' is %s there, but %s here", want->name, is, should_be);
            return true;
        }
    }
    for (int p = 0; p < saved->count; p++) {
        if (agn_params_find(wanted, saved->list[p].name) == NULL) {
            describe_shape(&saved->list[p], is);
            snprintf(text, cap, "tensor '%s' (%s) is there, but not here", saved->list[p].name, is);
            return true;
        }
    }
    return false;
}

/* Classes and networks; false: these agree. */
static bool architectures_differ(const struct agn_model *saved, const struct agn_model *wanted, char *text,
                                 size_t cap)
{
    if (saved->classes != wanted->classes) {
        snprintf(text, cap, "it has %d classes, but data.classes = %d here", saved->classes, wanted->classes);
        return true;
    }
    for (int role = 0; role < AGN_ROLES; role++)
        if (first_difference(saved->parts[role].params, wanted->parts[role].params, text, cap))
            return true;
    return false;
}

/* The next line of a text, without its end. */
static void next_line(const char **at, char line[1200])
{
    size_t length = strcspn(*at, "\n");
    snprintf(line, 1200, "%.*s", (int)length, *at);
    *at += length + ((*at)[length] == '\n');
}

/* The first setting that differs, for instance "joint: 'rho = 0.8' there, but 'rho = 0.7' here". */
static void describe_setting(const char *saved, const char *wanted, char *text, size_t cap)
{
    char section[64] = "", have[1200], want[1200];
    while (*saved != '\0' && *wanted != '\0') {
        next_line(&saved, have);
        next_line(&wanted, want);
        if (strcmp(have, want) != 0)
            break;
        if (have[0] == '[')
            snprintf(section, sizeof(section), "%.60s ", have);
    }
    snprintf(text, cap, "%s%.200s there, but %.200s here", section, have, want);
}

/* The same settings may still find other images: files come and go, folders change their content. */
static int check_images(const struct agn_model *saved, const struct agn_train_state *state,
                        const struct agn_train_config *config)
{
    static const char advice[] = "resume with the images that training began with, or start afresh";
    const struct agn_dataset *data = config->train;
    struct agn_normalisation now = {0};
    if (state->train_images > 0 && state->train_images != data->count) {
        return agn_fail(AGN_ERR_MISMATCH,
                        "checkpoint %s was made with %lld training images, but here are %d; %s",
                        config->checkpoint, (long long)state->train_images, data->count, advice);
    }
    int other = agn_model_other_class(saved->class_names, data);
    if (other >= 0) {
        return agn_fail(
            AGN_ERR_MISMATCH,
            "checkpoint %s was made with other classes: class %d is '%s' there, but '%s' here; %s",
            config->checkpoint, other, saved->class_names[other], data->class_names[other], advice);
    }
    agn_model_normalisation(saved, data, &now);
    for (int c = 0; c < data->channels; c++) {
        const struct agn_normalisation *then = &saved->normalisation;
        if (now.mean[c] != then->mean[c] || now.std[c] != then->std[c]) {
            return agn_fail(
                AGN_ERR_MISMATCH,
                "checkpoint %s was made with other training images: channel %d has mean %d and deviation "
                "%.3f there, but %d and %.3f here; %s",
                config->checkpoint, c, then->mean[c], (double)then->std[c], now.mean[c], (double)now.std[c],
                advice);
        }
    }
    if (state->data_hash > 0 && state->data_hash != agn__data_hash(data)) {
        return agn_fail(AGN_ERR_MISMATCH,
                        "checkpoint %s was made with other training images: as many, but not all of them are "
                        "the same, or not in this order; %s",
                        config->checkpoint, advice);
    }
    return AGN_OK;
}

/* ---- epochs -------------------------------------------------------------------------- */

/* A last, smaller batch is left out. */
static double steps_per_epoch(const struct agn_train_config *config)
{
    int steps = config->train->count / config->preset.train.batch;
    return steps;
}

/* A phase that has ended cannot get other epochs, but for the last one, which can go on. */
static int check_epochs(const struct agn_model *saved, const struct agn_train_state *state,
                        const struct agn_train_config *config)
{
    const struct agn_preset *then = &saved->preset, *now = &config->preset;
    bool reference = agn_phase_prepares(state->phase);
    double per_epoch = steps_per_epoch(config);
    double wanted = reference ? now->reference.epochs : now->joint.epochs;
    double before = reference ? then->reference.epochs : then->joint.epochs;
    if (!reference && now->reference.epochs != then->reference.epochs) {
        return agn_fail(
            AGN_ERR_MISMATCH,
            "reference.epochs = %g, but checkpoint %s has pre-training behind it, with %g epochs: "
            "resume with reference.epochs = %g, or start afresh",
            now->reference.epochs, config->checkpoint, then->reference.epochs, then->reference.epochs);
    }
    if (wanted != before && llround(wanted * per_epoch) < state->step) {
        return agn_fail(AGN_ERR_MISMATCH,
                        "%s.epochs = %g, but checkpoint %s has %.2f epochs behind it already: resume with as "
                        "many or more (it began with %g), or start afresh",
                        reference ? "reference" : "joint", wanted, config->checkpoint,
                        (double)state->step / fmax(per_epoch, 1.0), before);
    }
    return AGN_OK;
}

/* The rate at which a phase goes on, with so many epochs. */
static double rate_with(const struct agn_preset *p, double rate, double epochs, double per_epoch,
                        int64_t step)
{
    int64_t steps = llround(epochs * per_epoch), warmup = llround(p->train.warmup_epochs * per_epoch);
    return rate * agn__rate_factor(step < steps ? step : steps, steps, warmup, p->train.final_rate);
}

static void say_new_schedule(const char *phase, double before, double after, double rate,
                             const struct agn_train_state *state, const struct agn_train_config *config)
{
    const struct agn_preset *p = &config->preset;
    double per_epoch = steps_per_epoch(config);
    if (before == after)
        return;
    agn_log(
        AGN_LOG_INFO,
        "%s.epochs = %g instead of %g: the learning rate now falls over %g epochs, and at epoch %.2f goes "
        "on with %.4g instead of %.4g",
        phase, after, before, after, (double)state->step / fmax(per_epoch, 1.0),
        rate_with(p, rate, after, per_epoch, state->step),
        rate_with(p, rate, before, per_epoch, state->step));
}

void agn__resume_with(struct agn_model *saved, struct agn_train_state *state,
                      const struct agn_train_config *config, bool say)
{
    const struct agn_preset *p = &config->preset;
    struct agn_preset *then = &saved->preset;
    struct agn_train_state at = *state;
    if (state->phase == AGN_PHASE_DONE && p->joint.epochs > then->joint.epochs) {
        const enum agn_phase *last = saved->system->phases;
        while (last[1] != AGN_PHASE_DONE)
            last++;
        state->phase = *last;
        agn_model_forget_contexts(saved); /* learned anew at the end */
    }
    if (say && agn_phase_prepares(state->phase)) {
        say_new_schedule("reference", then->reference.epochs, p->reference.epochs, p->reference.rate, &at,
                         config);
        at.step = 0; /* of the phase that has not begun */
    }
    if (say)
        say_new_schedule("joint", then->joint.epochs, p->joint.epochs, p->joint.rate, &at, config);
    then->reference.epochs = p->reference.epochs;
    then->joint.epochs = p->joint.epochs;
    memcpy(then->data.path, p->data.path, sizeof(then->data.path));
    state->train_images = config->train->count;
    state->data_hash = agn__data_hash(config->train);
}

int agn__explain_unusable(int status)
{
    char why[768];
    snprintf(why, sizeof(why), "%s", agn_error_message());
    if (status != AGN_ERR_FORMAT && status != AGN_ERR_NUMERIC && status != AGN_ERR_RANGE)
        return status;
    return agn_fail(status, "%s; training cannot go on from this file: start afresh, without --resume", why);
}

int agn__check_resumable(const struct agn_model *saved, const struct agn_train_state *state,
                         const struct agn_train_config *config)
{
    char have[PRESET_BYTES] = "", want[PRESET_BYTES] = "", text[768];
    struct agn_model *wanted = NULL;
    int status = format_expanded(&saved->preset, have, sizeof(have));
    if (status >= 0)
        status = format_expanded(&config->preset, want, sizeof(want));
    if (status < 0)
        return status;
    if (strcmp(have, want) == 0) {
        status = check_images(saved, state, config);
        return status < 0 ? status : check_epochs(saved, state, config);
    }
    status = agn_model_create(&config->preset, config->train, &wanted);
    if (status < 0)
        return status;
    if (!architectures_differ(saved, wanted, text, sizeof(text)))
        describe_setting(have, want, text, sizeof(text));
    agn_model_free(wanted);
    return agn_fail(AGN_ERR_MISMATCH,
                    "checkpoint %s was made with other settings: %s; resume with the same preset and --set "
                    "values, or start afresh",
                    config->checkpoint, text);
}
