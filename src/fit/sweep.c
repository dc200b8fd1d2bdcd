/* What a trained candidate is worth at each way to use it: accuracy and the share of frames sent, in float;
 * bytes and packets by the int8 device itself, on some of the images.
 *
 * A device that is sure of its answer sends nothing. Which frames it sends is learned after training, as
 * `agilenn export --sent` does it (agilenn/send_decision.h), so that a sweep over shares costs one pass over
 * the images. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/deploy.h"
#include "agilenn/hosted.h"
#include "agilenn/send_decision.h"
#include "fit/fit_internal.h"

enum { BATCH = 250, CALIBRATION_IMAGES = 256, BYTE_IMAGES = 200, SOME = 64 };

static const double shares[] = {0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05};
static const double thresholds[] = {1.1, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5};

struct sweep {
    struct agn_model *model;
    struct agn_runner runner;
    struct agn_loader *loader;
    struct agn_curve_frame *frames; /* in float; without bytes */
    bool *stays;                    /* an exit is sure, by the model's own threshold */
    int count;
};

/* ---- the images a network sees ------------------------------------------------------- */

int agn__fit_images_for(const struct agn_preset *preset, const struct agn_dataset *data, int most,
                        struct agn_dataset *copy)
{
    size_t pixels = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    *copy = *data;
    copy->files = NULL;
    copy->count = most > 0 && most < data->count ? most : data->count;
    copy->pixels = agn_alloc((size_t)copy->count * pixels, 1);
    copy->labels = agn_alloc((size_t)copy->count, sizeof *copy->labels);
    if (copy->pixels == NULL || copy->labels == NULL)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < copy->count; i++) {
        size_t from = (size_t)((int64_t)i * data->count / copy->count);
        memcpy(copy->pixels + (size_t)i * pixels, data->pixels + from * pixels, pixels);
        copy->labels[i] = data->labels[from];
    }
    return preset != NULL ? agn_preset_as_sent(preset, copy) : AGN_OK;
}

void agn__fit_images_free(struct agn_dataset *copy)
{
    agn_free(copy->pixels);
    agn_free(copy->labels);
    copy->pixels = NULL;
    copy->labels = NULL;
}

/* ---- answers in float -------------------------------------------------------------------- */

/* By how much the best logit leads, Q8.8 as the device has it. */
static int margin_of(const float *logits, int classes)
{
    int best = agn_argmax(logits, classes);
    float second = -INFINITY;
    for (int c = 0; c < classes; c++)
        second = c != best && logits[c] > second ? logits[c] : second;
    return (int)fminf(256.0F * (logits[best] - second), (float)INT16_MAX);
}

static void note_batch(struct sweep *s, const struct agn_batch *batch)
{
    int classes = s->model->classes;
    float answer[AGN_MAX_CLASSES];
    for (int i = 0; i < batch->count; i++) {
        const float *local = agn_runner_output(&s->runner, AGN_LOCAL, i);
        const float *remote = agn_runner_output(&s->runner, AGN_REMOTE, i);
        s->stays[s->count] = agn_model_answer(s->model, local, remote, answer);
        s->frames[s->count++] =
            (struct agn_curve_frame){.label = batch->labels[i],
                                     .fused_class = agn_argmax(answer, classes),
                                     .local_class = local != NULL ? agn_argmax(local, classes) : -1,
                                     .margin = local != NULL ? margin_of(local, classes) : 0};
    }
}

static bool fused_is_right(const struct agn_curve_frame *f)
{
    return f->fused_class == f->label;
}

static bool local_is_right(const struct agn_curve_frame *f)
{
    return f->local_class == f->label;
}

static int run_images(struct sweep *s, const struct agn_dataset *data)
{
    const struct agn_loader_config load = {.batch = BATCH, .normalisation = s->model->normalisation};
    struct agn_batch batch;
    int more = 0;
    s->frames = agn_alloc((size_t)data->count, sizeof *s->frames);
    s->stays = agn_alloc((size_t)data->count, sizeof *s->stays);
    int status = s->frames == NULL || s->stays == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status == AGN_OK)
        status = agn_runner_open(&s->runner, s->model, BATCH, 1U << AGN_LOCAL | 1U << AGN_REMOTE);
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &s->loader);
    if (status == AGN_OK)
        status = agn_loader_start(s->loader, 0);
    while (status == AGN_OK && (more = agn_loader_next(s->loader, &batch)) > 0) {
        status = agn_runner_extract(&s->runner, batch.images);
        if (status == AGN_OK)
            status = agn_runner_run(&s->runner, AGN_LOCAL, s->runner.first);
        if (status == AGN_OK)
            status = agn_runner_run(&s->runner, AGN_REMOTE, s->runner.values);
        if (status == AGN_OK)
            note_batch(s, &batch);
    }
    return status == AGN_OK && more < 0 ? more : status;
}

static void add_point(struct agn_fit_result *result, double asked, double right, double sent, int images)
{
    for (int i = 0; i < result->count; i++) /* the same again is no other way to use it */
        if (fabs(result->points[i].sent_share * images - sent) < 0.5)
            return;
    if (result->count < AGN_FIT_POINTS)
        result->points[result->count++] = (struct agn_fit_point){asked, right / images, sent / images};
}

/* Of these frames a share is to be sent. */
static int decide(const struct sweep *s, double share, struct agn_send_decision *decision)
{
    const struct agn_send_target target = {.sent = share};
    return agn_send_decision_learn(s->frames, s->count, s->model->classes, &target, decision);
}

static int sweep_shares(const struct sweep *s, struct agn_fit_result *result)
{
    bool has_local = !agn_part_is_empty(&s->model->parts[AGN_LOCAL]);
    bool has_remote = !agn_part_is_empty(&s->model->parts[AGN_REMOTE]);
    int right = 0, local = 0;
    for (int i = 0; i < s->count; i++) {
        right += fused_is_right(&s->frames[i]);
        local += local_is_right(&s->frames[i]);
    }
    result->local_accuracy = has_local ? (double)local / s->count : NAN;
    add_point(result, 0.0, right, has_remote ? s->count : 0, s->count);
    for (size_t i = 0; i < AGN_COUNT_OF(shares) && has_local && has_remote; i++) {
        struct agn_send_decision decision;
        int status = decide(s, shares[i], &decision);
        if (status == AGN_ERR_NUMERIC || status == AGN_ERR_ARG) /* it has not learned: it sends all */
            return AGN_OK;
        if (status < 0)
            return status;
        add_point(result, shares[i], decision.accuracy * s->count, decision.sent_share * s->count, s->count);
    }
    return AGN_OK;
}

static int sweep_exits(const struct sweep *s, const struct agn_dataset *data, struct agn_fit_result *result)
{
    struct agn_exit_profile *profile = agn_alloc(1, sizeof *profile);
    int count = (int)AGN_COUNT_OF(thresholds);
    int status =
        profile == NULL ? AGN_ERR_MEMORY : agn_exit_profile(s->model, data, thresholds, count, profile);
    if (status == AGN_OK) {
        double images = profile->images;
        result->local_accuracy = profile->exit_right[profile->stages] / images;
        for (int t = 0; t < count; t++) {
            const struct agn_exit_rule *rule = &profile->rules[t][profile->stages];
            add_point(result, thresholds[t] > 1.0 ? 0.0 : thresholds[t], rule->right, rule->left[0],
                      profile->images);
        }
    }
    agn_free(profile);
    return status;
}

/* ---- bytes on the int8 device ------------------------------------------------------------ */

static int send_frame(struct agn_hosted *device, size_t cap, struct agn_fit_result *result, int *frames)
{
    uint8_t packet[AGN_WIRE_MAX_PACKET];
    double before = result->packets;
    int length;
    while ((length = agn_dev_next_packet(&device->dev, packet, cap)) > 0) {
        result->packets += 1.0;
        result->packet_bytes += length;
    }
    *frames += result->packets > before;
    if (length == AGN_ERR_SPACE)
        return agn_fail(AGN_ERR_RANGE, "packets of %zu bytes, as the radio takes them, are too small for it",
                        cap);
    return length < 0 ? agn_fail(length, "the device's own packets: %s", agn_status_text(length)) : AGN_OK;
}

static int count_bytes(const struct sweep *s, const struct agn_dataset *calibration,
                       const struct agn_dataset *data, const struct agn__fit_link *link,
                       struct agn_fit_result *result)
{
    struct agn_hosted device = {0};
    uint8_t *bytes = NULL;
    size_t size = 0, pixels = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    int images = data->count < BYTE_IMAGES ? data->count : BYTE_IMAGES, frames = 0;
    result->packets = result->packet_bytes = 0.0;
    if (agn_part_is_empty(&s->model->parts[AGN_REMOTE]))
        return AGN_OK;
    int status = agn_deploy_device(s->model, calibration, CALIBRATION_IMAGES, &bytes, &size, NULL);
    if (status >= 0)
        status = agn_hosted_open(&device, bytes, size);
    if (status >= 0)
        status = agn_dev_set_protocol(&device.dev, (unsigned)link->protocol);
    for (int i = 0; i < images && status >= 0; i++) {
        size_t at = (size_t)((int64_t)i * data->count / images);
        status = agn_hosted_image(&device, data->pixels + at * pixels, (uint16_t)i, 0);
        if (status >= 0)
            status = send_frame(&device, link->packet_cap, result, &frames);
    }
    if (frames > 0) { /* at an exit that is sure nothing is sent */
        result->packets /= frames;
        double coded = result->packet_bytes / frames;
        result->packet_bytes = coded + result->packets * agn__fit_coap_bytes(link->protocol);
        if (status >= 0)
            status = agn__fit_count_encoding(&device.dev.model, coded, result->packets,
                                             &result->encode_instructions);
    }
    agn_hosted_close(&device);
    agn_free(bytes);
    return status < 0 ? status : AGN_OK;
}

static void close_sweep(struct sweep *s, struct agn_dataset *seen)
{
    agn_loader_free(s->loader);
    agn_runner_close(&s->runner);
    agn_free(s->frames);
    agn_free(s->stays);
    agn__fit_images_free(seen);
}

int agn__fit_measure(struct agn_model *model, const struct agn_dataset *calibration,
                     const struct agn_dataset *data, const struct agn__fit_link *link,
                     struct agn_fit_result *result)
{
    struct sweep s = {.model = model};
    struct agn_dataset seen = {0};
    int status = agn_model_check_data(model, data);
    result->count = 0;
    result->measured_images = data->count;
    if (status == AGN_OK)
        status = agn__fit_images_for(&model->preset, data, 0, &seen);
    if (status == AGN_OK && model->system->exits) {
        status = sweep_exits(&s, &seen, result);
    } else if (status == AGN_OK) {
        status = run_images(&s, &seen);
        if (status == AGN_OK)
            status = sweep_shares(&s, result);
    }
    if (status == AGN_OK)
        status = count_bytes(&s, calibration, data, link, result);
    close_sweep(&s, &seen);
    return status;
}

/* ---- one way to use it, on other images ---------------------------------------------------- */

static int open_sweep(struct sweep *s, const struct agn_dataset *data, struct agn_dataset *seen)
{
    int status = agn_model_check_data(s->model, data);
    if (status == AGN_OK)
        status = agn__fit_images_for(&s->model->preset, data, 0, seen);
    return status == AGN_OK ? run_images(s, seen) : status;
}

/* Which frames are sent, by the images that this was chosen on. */
static int decide_on(struct agn_model *model, const struct agn_dataset *data, double share,
                     struct agn_send_decision *decision)
{
    struct sweep s = {.model = model};
    struct agn_dataset seen = {0};
    int status = open_sweep(&s, data, &seen);
    if (status == AGN_OK)
        status = decide(&s, share, decision);
    close_sweep(&s, &seen);
    return status;
}

int agn__fit_apply(struct agn_model *model, const struct agn_dataset *chosen_on,
                   const struct agn_dataset *data, struct agn_fit_point *point, double *local_accuracy)
{
    struct sweep s = {.model = model};
    struct agn_dataset seen = {0};
    struct agn_send_decision decision;
    int right = 0, local = 0, sent = 0, status = AGN_OK;
    bool has_local = !agn_part_is_empty(&model->parts[AGN_LOCAL]);
    bool has_remote = !agn_part_is_empty(&model->parts[AGN_REMOTE]);
    bool decides = !model->system->exits && point->asked > 0.0;
    if (decides)
        status = decide_on(model, chosen_on, point->asked, &decision);
    if (status == AGN_OK)
        status = open_sweep(&s, data, &seen);
    for (int i = 0; i < s.count && status == AGN_OK; i++) {
        const struct agn_curve_frame *f = &s.frames[i];
        bool stays = !has_remote || s.stays[i] || (decides && f->margin >= decision.margins[f->local_class]);
        right += stays && has_local ? local_is_right(f) : fused_is_right(f);
        local += local_is_right(f);
        sent += !stays;
    }
    if (status == AGN_OK) {
        point->accuracy = (double)right / s.count;
        point->sent_share = (double)sent / s.count;
        *local_accuracy = has_local ? (double)local / s.count : NAN;
    }
    close_sweep(&s, &seen);
    return status;
}
