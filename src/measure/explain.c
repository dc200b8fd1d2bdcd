/* Why a model decides: importance of single images by position and by channel. The drawing is
 * plot_explanation.c's, the attribution src/xai's. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/explain_internal.h"

enum { TITLE_BYTES = 256 };

struct explainer {
    const struct agn_explain_config *config;
    struct agn_runner runner;
    struct agn_xai *xai;
    float *input;          /* an image as the extractor takes it */
    float *heat;           /* count x positions */
    float *losses_at_zero; /* of each class */
    char (*titles)[TITLE_BYTES];
    struct agn_plot_explained *rows;
};

/* ---- for both looks ------------------------------------------------------------------ */

int agn__explain_image(const struct agn_explain_config *config, int i)
{
    return config->images ? config->images[i] : i;
}

static size_t image_values(const struct agn_dataset *data)
{
    return (size_t)data->height * (size_t)data->width * (size_t)data->channels;
}

static const uint8_t *pixels_of(const struct agn_dataset *data, int image)
{
    return data->pixels + (size_t)image * image_values(data);
}

void agn__explain_input(const struct agn_explain_config *config, int image, float *input)
{
    const struct agn_dataset *data = config->data;
    const struct agn_normalisation *norm = &config->model->normalisation;
    const uint8_t *pixels = pixels_of(data, image);
    for (size_t i = 0; i < image_values(data); i++) {
        size_t c = i % (size_t)data->channels;
        input[i] = ((float)pixels[i] - (float)norm->mean[c]) / norm->std[c];
    }
}

int agn__explain_losses_at_zero(const struct agn_model *model, float **losses)
{
    struct agn_runner runner = {0};
    size_t features = (size_t)model->map.height * (size_t)model->map.width * (size_t)model->map.channels;
    float *made = agn_alloc((size_t)model->classes, sizeof *made);
    float *prob = agn_alloc((size_t)model->classes, sizeof *prob);
    float *zeros = agn_alloc(features, sizeof *zeros);
    int status =
        made && prob && zeros ? agn_runner_open(&runner, model, 1, 1U << AGN_REFERENCE) : AGN_ERR_MEMORY;
    if (status >= 0)
        status = agn_runner_run(&runner, AGN_REFERENCE, zeros);
    for (int32_t label = 0; label < model->classes && status >= 0; label++)
        agn_softmax_ce_forward(agn_runner_output(&runner, AGN_REFERENCE, 0), &label, 1, model->classes, prob,
                               &made[label]);
    agn_runner_close(&runner);
    agn_free(prob);
    agn_free(zeros);
    if (status < 0)
        agn_free(made);
    else
        *losses = made;
    return status;
}

/* ---- set-up ---------------------------------------------------------------------------- */

static size_t positions_of(const struct agn_model *model)
{
    return (size_t)model->map.height * (size_t)model->map.width;
}

int agn__explain_check(const struct agn_explain_config *config)
{
    int need = agn_model_need(config->model, AGN_REFERENCE);
    if (need < 0)
        return need;
    const struct agn_dataset *data = config->data;
    if (config->count < 1 || config->count > AGN_PLOT_MAX_ROWS)
        return agn_fail(AGN_ERR_RANGE, "%d images: expected 1 to %d", config->count, AGN_PLOT_MAX_ROWS);
    for (int i = 0; i < config->count; i++) {
        int image = agn__explain_image(config, i);
        if (image < 0 || image >= data->count)
            return agn_fail(AGN_ERR_RANGE, "there is no image %d: the data set has images 0 to %d", image,
                            data->count - 1);
    }
    return agn_model_check_data(config->model, data);
}

static int open_explainer(struct explainer *e)
{
    struct agn_model *model = e->config->model;
    int method = e->config->method ? agn_xai_method_from_name(e->config->method) : model->preset.joint.method;
    if (method < 0)
        return method;
    const struct agn_xai_config xai = {.method = (enum agn_xai_method)method,
                                       .points = e->config->points > 0 ? e->config->points
                                                                       : model->preset.joint.points,
                                       .graph = &model->parts[AGN_REFERENCE].graph,
                                       .params = model->parts[AGN_REFERENCE].params,
                                       .batch = 1};
    size_t count = (size_t)e->config->count;
    e->input = agn_alloc(image_values(e->config->data), sizeof *e->input);
    e->heat = agn_alloc(count * positions_of(model), sizeof *e->heat);
    e->titles = agn_alloc(count, sizeof *e->titles);
    e->rows = agn_alloc(count, sizeof *e->rows);
    if (!e->input || !e->heat || !e->titles || !e->rows)
        return AGN_ERR_MEMORY;
    int status = agn__explain_losses_at_zero(model, &e->losses_at_zero);
    if (status >= 0)
        status = agn_xai_create(&xai, &e->xai);
    if (status >= 0)
        status = agn_runner_open(&e->runner, model, 1, 1U << AGN_LOCAL | 1U << AGN_REMOTE);
    return status;
}

static void close_explainer(struct explainer *e)
{
    agn_xai_free(e->xai);
    agn_runner_close(&e->runner);
    agn_free(e->input);
    agn_free(e->heat);
    agn_free(e->losses_at_zero);
    agn_free(e->titles);
    agn_free(e->rows);
}

/* The networks on one image: their outputs stay in the runner, the attribution in the xai. */
static int run_networks(struct explainer *e, int image)
{
    struct agn_runner *r = &e->runner;
    const int32_t label = e->config->data->labels[image];
    if (agn_interrupt_requested())
        return agn_fail(AGN_ERR_INTERRUPTED, "interrupted before image %d", image);
    agn__explain_input(e->config, image, e->input);
    int status = agn_runner_extract(r, e->input);
    if (status >= 0)
        status = agn_runner_run(r, AGN_LOCAL, r->first);
    if (status >= 0)
        status = agn_runner_run(r, AGN_REMOTE, r->values);
    return status < 0 ? status : agn_xai_attribute(e->xai, agn_runner_output(r, AGN_EXTRACTOR, 0), &label);
}

static void note_predictions(const struct explainer *e, struct agn_explanation *explanation)
{
    const struct agn_model *model = e->config->model;
    const float *local = agn_runner_output(&e->runner, AGN_LOCAL, 0);
    const float *remote = agn_runner_output(&e->runner, AGN_REMOTE, 0);
    double alpha = agn_model_alpha(model), best = -INFINITY, sum = 0.0;
    for (int c = 0; c < model->classes; c++) {
        double fused = alpha * (double)local[c] + (1.0 - alpha) * (double)remote[c];
        if (fused > best) {
            best = fused;
            explanation->fused_class = c;
        }
    }
    for (int c = 0; c < model->classes; c++)
        sum += exp(alpha * (double)local[c] + (1.0 - alpha) * (double)remote[c] - best);
    explanation->fused_probability = 1.0 / sum;
    explanation->local_class = agn_argmax(local, model->classes);
    explanation->remote_class = agn_argmax(remote, model->classes);
    explanation->reference_class = agn_argmax(agn_xai_logits(e->xai), model->classes);
}

static void note_importance(const struct explainer *e, float *heat, struct agn_explanation *explanation)
{
    const struct agn_model *model = e->config->model;
    const float *attributions = agn_xai_attributions(e->xai);
    int channels = model->map.channels;
    const struct agn_importance_loss_config config = {.channels = channels,
                                                      .local_channels = model->preset.model.local_channels,
                                                      .rho = model->preset.joint.rho};
    struct agn_importance_loss loss;
    double sum = 0.0;
    for (size_t p = 0; p < positions_of(model); p++) {
        double here = 0.0;
        for (int c = 0; c < channels; c++) {
            explanation->attribution_sum += (double)*attributions;
            here += fabs((double)*attributions++);
        }
        heat[p] = (float)here;
    }
    explanation->loss = (double)agn_xai_loss(e->xai)[0];
    explanation->loss_at_zero = (double)e->losses_at_zero[explanation->label];
    explanation->reference_valid = agn_xai_correct(e->xai)[0];
    agn_xai_channel_importance(agn_xai_attributions(e->xai), 1, model->map, explanation->importance);
    agn_importance_loss(&config, explanation->importance, &loss, NULL);
    explanation->skewness = loss.skewness;
    explanation->disordered = loss.disordered;
    for (int c = 0; c < channels; c++)
        sum += (double)explanation->importance[c];
    for (int c = 0; c < channels && sum > 0.0; c++)
        explanation->importance[c] = (float)((double)explanation->importance[c] / sum);
}

static const char *mark(const struct agn_explanation *explanation, int class_index)
{
    return class_index == explanation->label ? "✓" : "✗";
}

static void note_row(struct explainer *e, int i, const struct agn_explanation *explanation)
{
    const struct agn_model *model = e->config->model;
    const struct agn_dataset *data = e->config->data;
    const float *heat = e->heat + (size_t)i * positions_of(model);
    char *const *names = model->class_names;
    snprintf(
        e->titles[i], TITLE_BYTES,
        "image %d:  true class %.30s   ·   reference says %.30s %s   ·   fused prediction %.30s %s (%.0f %%)",
        explanation->image, names[explanation->label], names[explanation->reference_class],
        mark(explanation, explanation->reference_class), names[explanation->fused_class],
        mark(explanation, explanation->fused_class), 100.0 * explanation->fused_probability);
    e->rows[i] = (struct agn_plot_explained){.title = e->titles[i],
                                             .pixels = pixels_of(data, explanation->image),
                                             .height = data->height,
                                             .width = data->width,
                                             .channels = data->channels,
                                             .heat = heat,
                                             .heat_height = model->map.height,
                                             .heat_width = model->map.width,
                                             .importance = explanation->importance,
                                             .skewness = explanation->skewness,
                                             .reference_wrong = !explanation->reference_valid};
}

int agn_explain(const struct agn_explain_config *config, struct agn_explanation *explanations)
{
    struct explainer e = {.config = config};
    const struct agn_model *model = config->model;
    int status = agn__explain_check(config);
    if (status >= 0)
        status = open_explainer(&e);
    for (int i = 0; i < config->count && status >= 0; i++) {
        struct agn_explanation *explanation = &explanations[i];
        *explanation = (struct agn_explanation){.image = agn__explain_image(config, i)};
        explanation->label = config->data->labels[explanation->image];
        status = run_networks(&e, explanation->image);
        if (status < 0)
            break;
        note_predictions(&e, explanation);
        note_importance(&e, e.heat + (size_t)i * positions_of(model), explanation);
        note_row(&e, i, explanation);
    }
    if (status >= 0 && config->path)
        status = agn_plot_explanation(config->path, e.rows, config->count, model->map.channels,
                                      model->preset.model.local_channels);
    close_explainer(&e);
    return status < 0 ? status : AGN_OK;
}
