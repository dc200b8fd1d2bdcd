/* Evaluation in float: accuracy of all parts, reference validity, skewness, disorder, use of levels. */
#include <math.h>
#include <string.h>

#include "train/evaluate.h"

enum { BATCH = 250, NO_CLASS = -1 };
enum { CLASS_IMAGES, CLASS_FUSED, CLASS_LOCAL, CLASS_PREDICTED, CLASS_COUNTS };

struct evaluator {
    struct agn_model *model;
    struct agn_group *group;
    struct agn_runner runner;
    struct agn_xai *xai;
    struct agn_loader *loader;
    float *importance;
    double importance_sum[AGN_MAX_FEATURES];
    int64_t levels[AGN_LEVELS];
    int64_t images, fused, local_right, remote_right, exited, valid, disordered;
    double skewness;
    double by_class[AGN_MAX_CLASSES * CLASS_COUNTS]; /* doubles: processes sum them */
    agn_prediction_fn *tell;                         /* NULL: nobody asks */
    void *user;
};

static int open_evaluator(struct evaluator *e, const struct agn_dataset *data)
{
    struct agn_model *model = e->model;
    struct agn_loader_config load = {.batch = BATCH,
                                     .normalisation = model->normalisation,
                                     .part = agn_group_rank(e->group),
                                     .parts = agn_group_size(e->group)};
    struct agn_xai_config xai = {.method = (enum agn_xai_method)model->preset.joint.method,
                                 .points = model->preset.joint.points,
                                 .graph = &model->parts[AGN_REFERENCE].graph,
                                 .params = model->parts[AGN_REFERENCE].params,
                                 .batch = BATCH};
    e->importance = agn_alloc((size_t)BATCH * (size_t)model->map.channels, sizeof(float));
    int status = e->importance == NULL ? AGN_ERR_MEMORY : AGN_OK;
    if (status == AGN_OK)
        status = agn_runner_open(&e->runner, model, BATCH, 1U << AGN_LOCAL | 1U << AGN_REMOTE);
    if (status == AGN_OK && !agn_part_is_empty(&model->parts[AGN_REFERENCE]))
        status = agn_xai_create(&xai, &e->xai);
    if (status == AGN_OK)
        status = agn_loader_create(data, &load, &e->loader);
    return status;
}

static void close_evaluator(struct evaluator *e)
{
    agn_loader_free(e->loader);
    agn_xai_free(e->xai);
    agn_runner_close(&e->runner);
    agn_free(e->importance);
}

static int run_networks(struct evaluator *e, const struct agn_batch *batch)
{
    struct agn_runner *r = &e->runner;
    int status = agn_runner_extract(r, batch->images);
    if (status == AGN_OK)
        status = agn_runner_run(r, AGN_LOCAL, r->first);
    if (status == AGN_OK)
        status = agn_runner_run(r, AGN_REMOTE, r->values);
    if (status == AGN_OK && e->xai != NULL)
        status = agn_xai_attribute(e->xai, agn_runner_output(r, AGN_EXTRACTOR, 0), batch->labels);
    if (status == AGN_OK && e->xai != NULL)
        agn_xai_channel_importance(agn_xai_attributions(e->xai), BATCH, e->model->map, e->importance);
    return status;
}

static void count_class(struct evaluator *e, int label, int fused, int local)
{
    double *of_label = e->by_class + (size_t)label * CLASS_COUNTS;
    of_label[CLASS_IMAGES]++;
    of_label[CLASS_FUSED] += fused == label;
    of_label[CLASS_LOCAL] += local == label;
    e->by_class[(size_t)fused * CLASS_COUNTS + CLASS_PREDICTED]++;
}

static void count_predictions(struct evaluator *e, const struct agn_batch *batch)
{
    struct agn_model *model = e->model;
    int classes = model->classes;
    float fused[AGN_MAX_CLASSES];
    for (int i = 0; i < batch->count; i++) {
        const float *local = agn_runner_output(&e->runner, AGN_LOCAL, i);
        const float *remote = agn_runner_output(&e->runner, AGN_REMOTE, i);
        e->exited += agn_model_answer(model, local, remote, fused);
        int label = batch->labels[i], by_fused = agn_argmax(fused, classes),
            by_local = local != NULL ? agn_argmax(local, classes) : NO_CLASS,
            by_remote = remote != NULL ? agn_argmax(remote, classes) : NO_CLASS;
        e->images++;
        e->fused += by_fused == label;
        e->local_right += by_local == label;
        count_class(e, label, by_fused, by_local);
        if (e->tell != NULL) {
            struct agn_prediction prediction = {batch->indices[i], label, by_fused, .logits = fused};
            if (e->xai != NULL) {
                prediction.importance = e->importance + (size_t)i * (size_t)model->map.channels;
                prediction.reference_valid = agn_xai_correct(e->xai)[i];
            }
            e->tell(e->user, &prediction);
        }
        e->remote_right += by_remote == label;
    }
}

static void count_importance(struct evaluator *e, const struct agn_batch *batch)
{
    const struct agn_model *model = e->model;
    int channels = model->map.channels;
    struct agn_importance_loss_config config = {.channels = channels,
                                                .local_channels = model->preset.model.local_channels,
                                                .rho = model->preset.joint.rho};
    for (int i = 0; i < batch->count; i++) {
        const float *importance = e->importance + (size_t)i * (size_t)channels;
        struct agn_importance_loss loss;
        double sum = 0.0;
        if (!agn_xai_correct(e->xai)[i])
            continue;
        agn_importance_loss(&config, importance, &loss, NULL);
        e->valid++;
        e->skewness += loss.skewness;
        e->disordered += loss.disordered;
        for (int c = 0; c < channels; c++)
            sum += (double)importance[c];
        for (int c = 0; c < channels && sum > 0.0; c++)
            e->importance_sum[c] += (double)importance[c] / sum;
    }
}

static void count_symbols(struct evaluator *e, const struct agn_batch *batch)
{
    size_t sent = e->runner.sent / BATCH * (size_t)batch->count;
    for (size_t i = 0; i < sent; i++)
        e->levels[e->runner.symbols[i]]++;
}

static void summarise(const struct evaluator *e, struct agn_evaluation *out)
{
    const struct agn_model *model = e->model;
    double images = (double)(e->images > 0 ? e->images : 1), valid = (double)(e->valid > 0 ? e->valid : 1);
    size_t symbols_per_image = e->runner.sent / BATCH;
    double symbols = images * (double)(symbols_per_image > 0 ? symbols_per_image : 1);
    memset(out, 0, sizeof(*out));
    out->images = (int)e->images;
    out->fused_accuracy = (double)e->fused / images;
    out->local_accuracy = agn_part_is_empty(&model->parts[AGN_LOCAL]) ? NAN : (double)e->local_right / images;
    out->remote_accuracy =
        agn_part_is_empty(&model->parts[AGN_REMOTE]) ? NAN : (double)e->remote_right / images;
    out->exit_share = model->system->exits ? (double)e->exited / images : NAN;
    out->reference_valid = e->xai != NULL ? (double)e->valid / images : NAN;
    out->skewness = e->xai != NULL ? e->skewness / valid : NAN;
    out->disorder_rate = e->xai != NULL ? (double)e->disordered / valid : NAN;
    out->alpha = agn_model_alpha(model);
    for (int level = 0; level < AGN_LEVELS; level++) {
        out->level_share[level] = (double)e->levels[level] / symbols;
        out->levels_used += out->level_share[level] >= 0.001;
    }
    for (int c = 0; c < model->map.channels; c++)
        out->channel_importance[c] = (float)(e->importance_sum[c] / valid);
}

static void summarise_classes(const struct evaluator *e, struct agn_evaluation *out)
{
    for (int c = 0; c < e->model->classes; c++) {
        const double *counts = e->by_class + (size_t)c * CLASS_COUNTS;
        out->by_class[c] = (struct agn_class_count){.images = (int)counts[CLASS_IMAGES],
                                                    .right = (int)counts[CLASS_FUSED],
                                                    .local_right = (int)counts[CLASS_LOCAL],
                                                    .predicted = (int)counts[CLASS_PREDICTED]};
    }
}

/* The figures of all processes' parts. */
static int sum_figures(struct evaluator *e)
{
    struct agn_model *model = e->model;
    int64_t *counts[] = {&e->images, &e->fused,      &e->local_right, &e->remote_right,
                         &e->valid,  &e->disordered, &e->exited};
    enum { COUNTS = sizeof(counts) / sizeof(counts[0]), NUMBERS = COUNTS + AGN_LEVELS + 1 };
    double numbers[NUMBERS];
    if (e->group == NULL)
        return AGN_OK;
    for (int i = 0; i < COUNTS; i++)
        numbers[i] = (double)*counts[i];
    for (int i = 0; i < AGN_LEVELS; i++)
        numbers[COUNTS + i] = (double)e->levels[i];
    numbers[NUMBERS - 1] = e->skewness;
    int status = agn_group_sum(e->group, numbers, NUMBERS);
    if (status == AGN_OK)
        status = agn_group_sum(e->group, e->importance_sum, (size_t)model->map.channels);
    if (status == AGN_OK)
        status = agn_group_sum(e->group, e->by_class, (size_t)model->classes * CLASS_COUNTS);
    for (int i = 0; i < COUNTS; i++)
        *counts[i] = (int64_t)numbers[i];
    for (int i = 0; i < AGN_LEVELS; i++)
        e->levels[i] = (int64_t)numbers[COUNTS + i];
    e->skewness = numbers[NUMBERS - 1];
    return status;
}

static int run_batch(struct evaluator *e, const struct agn_batch *batch)
{
    bool stop = agn_interrupt_requested();
    int status = agn_group_any(e->group, &stop);
    if (status == AGN_OK && stop)
        status = agn_group_agree(e->group, agn_fail(AGN_ERR_INTERRUPTED, "evaluation was interrupted"));
    if (status == AGN_OK)
        status = run_networks(e, batch);
    if (status == AGN_OK) {
        count_predictions(e, batch);
        if (e->xai != NULL)
            count_importance(e, batch);
        if (agn_model_sends_symbols(e->model))
            count_symbols(e, batch);
    }
    return status;
}

static int evaluate(struct evaluator *e, const struct agn_dataset *data, struct agn_evaluation *evaluation)
{
    struct agn_batch batch;
    int more = 0, status = agn_model_check_data(e->model, data);
    if (status == AGN_OK)
        status = open_evaluator(e, data);
    if (status == AGN_OK)
        status = agn_loader_start(e->loader, 0);
    while (status == AGN_OK && (more = agn_loader_next(e->loader, &batch)) > 0)
        status = run_batch(e, &batch);
    if (status == AGN_OK && more < 0)
        status = more;
    if (status == AGN_OK)
        status = sum_figures(e);
    if (status == AGN_OK && !isfinite(e->skewness))
        status = agn_fail(AGN_ERR_NUMERIC,
                          "the importance of the features is not a number: the model's weights are "
                          "damaged, or too large to compute with");
    if (status == AGN_OK) {
        summarise(e, evaluation);
        summarise_classes(e, evaluation);
    }
    close_evaluator(e);
    return status;
}

static int evaluate_model(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                          struct agn_evaluation *evaluation, agn_prediction_fn *tell, void *user)
{
    struct evaluator *e = agn_alloc(1, sizeof(*e)); /* too large for a stack */
    if (e == NULL)
        return AGN_ERR_MEMORY;
    e->model = model;
    e->group = group;
    e->tell = tell;
    e->user = user;
    int status = evaluate(e, data, evaluation);
    agn_free(e);
    return status;
}

int agn__evaluate(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                  struct agn_evaluation *evaluation)
{
    return evaluate_model(model, group, data, evaluation, NULL, NULL);
}

int agn_model_evaluate(struct agn_model *model, const struct agn_dataset *data,
                       struct agn_evaluation *evaluation)
{
    return evaluate_model(model, NULL, data, evaluation, NULL, NULL);
}

int agn_model_evaluate_images(struct agn_model *model, const struct agn_dataset *data,
                              struct agn_evaluation *evaluation, agn_prediction_fn *tell, void *user)
{
    return evaluate_model(model, NULL, data, evaluation, tell, user);
}
