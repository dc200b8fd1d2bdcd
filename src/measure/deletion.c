/* Channels deleted in several orders, and what the networks make of the rest; see deletion.h. Files and
 * pictures are deletion_files.c's. */
#include "agilenn/deletion.h"

#include <math.h>
#include <string.h>

enum { BATCH = 50, STANDARD_DRAWS = 3, MOST_SUMS = 2 * AGN_DELETION_METHODS + 2 + AGN_DELETION_DRAWS };

/* Deletion in one order, summed over images. */
struct sums {
    double right[AGN_MAX_FEATURES + 1], probability[AGN_MAX_FEATURES + 1];
};

/* An image's orders stand at falling and rising of method m, then fixed, its reverse, then random ones. */
enum { FALLING, RISING, PER_METHOD };

struct bench {
    const struct agn_deletion_config *config;
    struct agn_deletion *result;
    struct agn_runner runner;
    struct agn_xai *xai[AGN_DELETION_METHODS];
    struct agn_loader *loader;
    size_t positions;        /* of a map */
    float *map;              /* a batch of maps */
    float *importance;       /* (methods, images, channels) */
    float *batch_importance; /* (BATCH, channels) */
    uint8_t *order;          /* (BATCH, channels) */
    struct sums *sums;       /* orders */
    struct agn_rng rng;
    double begin_s;
};

const char *agn_deletion_order_name(enum agn_deletion_order order)
{
    static const char *const names[AGN_DELETE_ORDERS] = {"falling", "rising", "fixed", "random"};
    return names[order];
}

/* ---- orders -------------------------------------------------------------------------------- */

static float *importance_of(const struct bench *b, int method, int image)
{
    size_t channels = (size_t)b->result->channels;
    return b->importance + ((size_t)method * (size_t)b->result->images + (size_t)image) * channels;
}

/* Channels first, first + 1, ... by falling importance; equals stay as they are. */
static void sort_channels(const float *importance, int first, int count, uint8_t *order)
{
    for (int i = 0; i < count; i++) {
        int at = i;
        for (; at > 0 && importance[first + i] > importance[order[at - 1]]; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)(first + i);
    }
}

static void turn_round(uint8_t *order, int count)
{
    for (int i = 0; i < count / 2; i++) {
        uint8_t kept = order[i];
        order[i] = order[count - 1 - i];
        order[count - 1 - i] = kept;
    }
}

static void permute(struct agn_rng *rng, uint8_t *order, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)agn_rng_below(rng, (uint32_t)i + 1);
        uint8_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

/* Number `which` of an image's orders. */
static void make_order(struct bench *b, int which, int image, uint8_t *order)
{
    int channels = b->result->channels, of_methods = PER_METHOD * b->result->method_count;
    if (which < of_methods) {
        sort_channels(importance_of(b, which / PER_METHOD, image), 0, channels, order);
        if (which % PER_METHOD == RISING)
            turn_round(order, channels);
        return;
    }
    for (int c = 0; c < channels; c++)
        order[c] = (uint8_t)c;
    if (which == of_methods + 1)
        turn_round(order, channels);
    if (which > of_methods + 1)
        permute(&b->rng, order, channels);
}

static int count_orders(const struct agn_deletion *r)
{
    return PER_METHOD * r->method_count + 2 + r->draws;
}

/* ---- the reference -------------------------------------------------------------------------- */

static double probability_of(const float *logits, int classes, int label)
{
    double sum = 0.0;
    for (int c = 0; c < classes; c++)
        sum += exp((double)logits[c] - (double)logits[label]);
    return 1.0 / sum;
}

static int ask_reference(struct bench *b, const struct agn_batch *batch, int deleted, struct sums *sums)
{
    int classes = b->config->model->classes, status = agn_runner_run(&b->runner, AGN_REFERENCE, b->map);
    for (int i = 0; i < batch->count && status == AGN_OK; i++) {
        const float *logits = agn_runner_output(&b->runner, AGN_REFERENCE, i);
        sums->right[deleted] += agn_argmax(logits, classes) == batch->labels[i];
        sums->probability[deleted] += probability_of(logits, classes, batch->labels[i]);
    }
    return status;
}

static void delete_channel(const struct bench *b, int image, int channel)
{
    size_t channels = (size_t)b->result->channels;
    float *map = b->map + (size_t)image * b->positions * channels + channel;
    for (size_t p = 0; p < b->positions; p++)
        map[p * channels] = 0.0F;
}

static int follow_order(struct bench *b, const struct agn_batch *batch, int which)
{
    int channels = b->result->channels;
    struct sums *sums = &b->sums[which];
    memcpy(b->map, agn_runner_output(&b->runner, AGN_EXTRACTOR, 0),
           BATCH * b->positions * (size_t)channels * sizeof *b->map);
    for (int i = 0; i < batch->count; i++)
        make_order(b, which, batch->indices[i], b->order + (size_t)i * (size_t)channels);
    int status = ask_reference(b, batch, 0, sums);
    for (int n = 1; n <= channels && status == AGN_OK; n++) {
        for (int i = 0; i < batch->count; i++)
            delete_channel(b, i, b->order[i * channels + n - 1]);
        status = ask_reference(b, batch, n, sums);
    }
    return status;
}

static int attribute(struct bench *b, const struct agn_batch *batch)
{
    size_t channels = (size_t)b->result->channels;
    int status = AGN_OK;
    for (int m = 0; m < b->result->method_count && status == AGN_OK; m++) {
        status = agn_xai_attribute(b->xai[m], agn_runner_output(&b->runner, AGN_EXTRACTOR, 0), batch->labels);
        if (status < 0)
            break;
        agn_xai_channel_importance(agn_xai_attributions(b->xai[m]), BATCH, b->config->model->map,
                                   b->batch_importance);
        for (int i = 0; i < batch->count; i++)
            memcpy(importance_of(b, m, batch->indices[i]), b->batch_importance + (size_t)i * channels,
                   channels * sizeof *b->importance);
    }
    return status;
}

static void show_progress(const struct bench *b, int done)
{
    double rate = (double)done / fmax(agn_now_s() - b->begin_s, 1e-9);
    struct agn_progress progress = {.phase = "deletion",
                                    .done = done,
                                    .total = b->result->images,
                                    .rate = rate,
                                    .eta_s = (double)(b->result->images - done) / rate,
                                    .item = "img",
                                    .epoch_end = done == b->result->images};
    if (b->config->progress != NULL)
        b->config->progress(b->config->progress_user, &progress);
}

static int measure_reference(struct bench *b)
{
    struct agn_batch batch;
    int more = 0, done = 0, orders = count_orders(b->result), status = agn_loader_start(b->loader, 0);
    while (status == AGN_OK && (more = agn_loader_next(b->loader, &batch)) > 0) {
        status = agn_interrupt_requested() ? agn_fail(AGN_ERR_INTERRUPTED, "interrupted")
                                           : agn_runner_extract(&b->runner, batch.images);
        if (status == AGN_OK)
            status = attribute(b, &batch);
        for (int which = 0; which < orders && status == AGN_OK; which++)
            status = follow_order(b, &batch, which);
        done += batch.count;
        show_progress(b, done);
    }
    return status == AGN_OK && more < 0 ? more : status;
}

/* ---- the fused prediction --------------------------------------------------------------------- */

/* Draw number (method, order, missing channels). */
static void draw_missing(void *user, int image, int draw, uint8_t *lost)
{
    const struct bench *b = user;
    int sent = b->result->sent_channels, first = b->result->channels - sent, missing = draw % (sent + 1),
        which = draw / (sent + 1);
    uint8_t order[AGN_MAX_FEATURES] = {0};
    sort_channels(importance_of(b, which / PER_METHOD, image), first, sent, order);
    if (which % PER_METHOD == RISING)
        turn_round(order, sent);
    memset(lost, 0, (size_t)sent);
    for (int i = 0; i < missing; i++)
        lost[order[i] - first] = 1;
}

static void see_fused(void *user, const struct agn_lossy_image *image)
{
    struct bench *b = user;
    const struct agn_model *model = b->config->model;
    int sent = b->result->sent_channels, missing = image->draw % (sent + 1), which = image->draw / (sent + 1);
    struct sums *sums = &b->sums[which];
    float alpha = (float)agn_model_alpha(model), fused[AGN_MAX_CLASSES];
    float trust = (1.0F - alpha) * agn_model_trust(model, image->came, image->leading);
    agn_fuse_f32(image->local, alpha, image->came > 0 ? image->remote : NULL, trust, model->classes, fused);
    sums->right[missing] += agn_argmax(fused, model->classes) == image->label;
    sums->probability[missing] += probability_of(fused, model->classes, image->label);
}

/* ---- curves -------------------------------------------------------------------------------------- */

static double area_of(const double *points, int count)
{
    double area = 0.0;
    for (int n = 0; n < count; n++)
        area += 0.5 * (points[n] + points[n + 1]) / count;
    return area;
}

static void add_curve(const struct sums *sums, int count, bool backwards, double weight,
                      struct agn_deletion_curve *curve)
{
    for (int n = 0; n <= count; n++) {
        int from = backwards ? count - n : n;
        curve->accuracy[n] += weight * sums->right[from];
        curve->probability[n] += weight * sums->probability[from];
    }
    curve->accuracy_area = area_of(curve->accuracy, count);
    curve->probability_area = area_of(curve->probability, count);
}

/* From deletion in an order and in the order turned round. */
static void add_pair(const struct bench *b, int order, int turned, double weight,
                     struct agn_deletion_pair *pair)
{
    weight /= b->result->images;
    add_curve(&b->sums[order], b->result->channels, false, weight, &pair->deletion);
    add_curve(&b->sums[turned], b->result->channels, true, weight, &pair->insertion);
}

static void finish_reference(struct bench *b)
{
    struct agn_deletion *r = b->result;
    int fixed = PER_METHOD * r->method_count;
    for (int m = 0; m < r->method_count; m++) {
        int falling = PER_METHOD * m + FALLING, rising = PER_METHOD * m + RISING;
        add_pair(b, falling, rising, 1.0, &r->methods[m].falling);
        add_pair(b, rising, falling, 1.0, &r->methods[m].rising);
    }
    add_pair(b, fixed, fixed + 1, 1.0, &r->fixed);
    for (int i = 0; i < r->draws; i++) /* turned round, a random order is another one */
        add_pair(b, fixed + 2 + i, fixed + 2 + i, 1.0 / r->draws, &r->random);
}

static int measure_fused(struct bench *b)
{
    struct agn_deletion *r = b->result;
    const struct agn_lossy lossy = {.model = b->config->model,
                                    .draws = PER_METHOD * r->method_count * (r->sent_channels + 1),
                                    .draw = draw_missing,
                                    .see = see_fused,
                                    .user = b};
    memset(b->sums, 0, MOST_SUMS * sizeof *b->sums);
    int status = agn_model_run_lossy(&lossy, b->config->data);
    for (int m = 0; m < r->method_count && status == AGN_OK; m++) {
        add_curve(&b->sums[PER_METHOD * m + FALLING], r->sent_channels, false, 1.0 / r->images,
                  &r->methods[m].fused_falling);
        add_curve(&b->sums[PER_METHOD * m + RISING], r->sent_channels, false, 1.0 / r->images,
                  &r->methods[m].fused_rising);
    }
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------------- */

static int check(const struct agn_deletion_config *config)
{
    static const enum agn_role roles[] = {AGN_REFERENCE, AGN_LOCAL, AGN_REMOTE};
    int status = agn_model_need_symbols(config->model);
    for (size_t i = 0; i < AGN_COUNT_OF(roles) && status == AGN_OK; i++)
        status = agn_model_need(config->model, roles[i]);
    if (status == AGN_OK)
        status = agn_model_check_data(config->model, config->data);
    if (status == AGN_OK && config->data->count < 1)
        status = agn_fail(AGN_ERR_ARG, "the data set has no images: there is nothing to measure");
    if (status == AGN_OK && (config->draws < 0 || config->draws > AGN_DELETION_DRAWS ||
                             config->method_count < 0 || config->method_count > AGN_DELETION_METHODS))
        status =
            agn_fail(AGN_ERR_RANGE, "%d random orders and %d methods, expected at most %d and %d",
                     config->draws, config->method_count, (int)AGN_DELETION_DRAWS, (int)AGN_DELETION_METHODS);
    return status;
}

static int open_methods(struct bench *b)
{
    const struct agn_model *model = b->config->model;
    struct agn_deletion *r = b->result;
    r->method_count = b->config->method_count > 0 ? b->config->method_count : 1;
    for (int m = 0; m < r->method_count; m++) {
        r->methods[m].method = b->config->method_count > 0 ? b->config->methods[m]
                                                           : (enum agn_xai_method)model->preset.joint.method;
        const struct agn_xai_config config = {.method = r->methods[m].method,
                                              .points = b->config->points > 0 ? b->config->points
                                                                              : model->preset.joint.points,
                                              .graph = &model->parts[AGN_REFERENCE].graph,
                                              .params = model->parts[AGN_REFERENCE].params,
                                              .batch = BATCH};
        int status = agn_xai_create(&config, &b->xai[m]);
        if (status < 0)
            return status;
    }
    return AGN_OK;
}

static int open_bench(struct bench *b)
{
    const struct agn_model *model = b->config->model;
    struct agn_deletion *r = b->result;
    const struct agn_loader_config load = {.batch = BATCH, .normalisation = model->normalisation};
    size_t channels = (size_t)model->map.channels;
    r->images = b->config->data->count;
    r->channels = model->map.channels;
    r->local_channels = agn_model_local_channels(model);
    r->sent_channels = model->sent_channels;
    r->draws = b->config->draws > 0 ? b->config->draws : STANDARD_DRAWS;
    b->positions = (size_t)model->map.height * (size_t)model->map.width;
    int status = open_methods(b);
    if (status < 0)
        return status;
    b->map = agn_alloc(BATCH * b->positions * channels, sizeof *b->map);
    b->importance = agn_alloc((size_t)r->method_count * (size_t)r->images * channels, sizeof *b->importance);
    b->batch_importance = agn_alloc(BATCH * channels, sizeof *b->batch_importance);
    b->order = agn_alloc(BATCH, channels);
    b->sums = agn_alloc(MOST_SUMS, sizeof *b->sums);
    if (!b->map || !b->importance || !b->batch_importance || !b->order || !b->sums)
        return AGN_ERR_MEMORY;
    agn_rng_seed(&b->rng, b->config->seed);
    status = agn_runner_open(&b->runner, model, BATCH, 1U << AGN_REFERENCE);
    return status < 0 ? status : agn_loader_create(b->config->data, &load, &b->loader);
}

static void close_bench(struct bench *b)
{
    agn_loader_free(b->loader);
    agn_runner_close(&b->runner);
    for (int m = 0; m < AGN_DELETION_METHODS; m++)
        agn_xai_free(b->xai[m]);
    agn_free(b->map);
    agn_free(b->importance);
    agn_free(b->batch_importance);
    agn_free(b->order);
    agn_free(b->sums);
}

static int measure(struct bench *b)
{
    b->begin_s = agn_now_s();
    int status = open_bench(b);
    if (status == AGN_OK)
        status = measure_reference(b);
    if (status == AGN_OK) {
        finish_reference(b);
        status = measure_fused(b);
    }
    b->result->seconds = agn_now_s() - b->begin_s;
    close_bench(b);
    return status;
}

int agn_deletion_measure(const struct agn_deletion_config *config, struct agn_deletion *result)
{
    struct agn_deletion *made = agn_alloc(1, sizeof *made);
    struct bench *b = agn_alloc(1, sizeof *b);
    int status = made == NULL || b == NULL ? AGN_ERR_MEMORY : check(config);
    if (status == AGN_OK) {
        b->config = config;
        b->result = made;
        status = measure(b);
    }
    if (status == AGN_OK)
        *result = *made;
    agn_free(made);
    agn_free(b);
    return status;
}
