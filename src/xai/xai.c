/* Integrated gradients and kin through a frozen reference network. See agilenn/xai.h.
 * The rules' points and weights: integration_rule.c. */
#include <math.h>
#include <string.h>

#include "xai/integration_rule.h"

struct agn_xai {
    struct agn_net *net;
    struct agn_params *params;
    int batch, classes, points;
    struct agn_shape shape;
    size_t image, floats; /* floats of one sample and of the batch */
    bool differentiable, times_input, baseline_used, baseline_ready;
    uint64_t baseline_version;
    float t[AGN_XAI_MAX_POINTS], weight[AGN_XAI_MAX_POINTS]; /* points with t > 0, ascending */
    float baseline_weight;                                   /* of the point t = 0 */
    float *baseline;                                         /* (classes, image): gradients at t = 0 */
    float *gradient_sum, *gradient, *attributions, *logits, *loss;
    float *prob, *point_loss; /* of the last gradient */
    int32_t *labels;
    bool *correct;
    float at; /* t of the net's last forward pass, NAN when stale */
};

static const char *const method_names[] = {"ig-trapezoid", "ig-midpoint", "gradient-x-input",
                                           "ig-gauss-legendre", "gradient"};

int agn_xai_method_from_name(const char *name)
{
    for (size_t i = 0; i < AGN_COUNT_OF(method_names); i++)
        if (strcmp(name, method_names[i]) == 0)
            return (int)i;
    return agn_fail(AGN_ERR_ARG,
                    "no attribution method is called '%s'; there are ig-trapezoid, ig-midpoint, "
                    "ig-gauss-legendre, gradient-x-input, gradient",
                    name);
}

const char *agn_xai_method_name(enum agn_xai_method method)
{
    return method_names[method];
}

/* ---- life ---------------------------------------------------------------------- */

static int allocate(struct agn_xai *xai)
{
    size_t batch = (size_t)xai->batch, logits = batch * (size_t)xai->classes;
    xai->gradient_sum = agn_alloc(xai->floats, sizeof(float));
    xai->gradient = agn_alloc(xai->floats, sizeof(float));
    xai->attributions = agn_alloc(xai->floats, sizeof(float));
    xai->baseline = agn_alloc((size_t)xai->classes * xai->image, sizeof(float));
    xai->prob = agn_alloc(logits, sizeof(float));
    xai->logits = agn_alloc(logits, sizeof(float));
    xai->loss = agn_alloc(batch, sizeof(float));
    xai->point_loss = agn_alloc(batch, sizeof(float));
    xai->labels = agn_alloc(batch, sizeof(int32_t));
    xai->correct = agn_alloc(batch, sizeof(bool));
    bool complete = xai->gradient_sum != NULL && xai->gradient != NULL && xai->attributions != NULL &&
                    xai->baseline != NULL && xai->prob != NULL && xai->logits != NULL && xai->loss != NULL &&
                    xai->point_loss != NULL && xai->labels != NULL && xai->correct != NULL;
    return complete ? AGN_OK : AGN_ERR_MEMORY;
}

static void take_rule(struct agn_xai *xai, const struct agn__integration_rule *rule)
{
    xai->points = rule->points;
    xai->times_input = rule->times_input;
    xai->baseline_used = rule->baseline_weight > 0.0;
    xai->baseline_weight = (float)rule->baseline_weight;
    for (int j = 0; j < rule->points; j++) {
        xai->t[j] = (float)rule->t[j];
        xai->weight[j] = (float)rule->weight[j];
    }
}

int agn_xai_create(const struct agn_xai_config *config, struct agn_xai **result)
{
    struct agn_xai *xai = agn_alloc(1, sizeof(*xai));
    if (xai == NULL)
        return AGN_ERR_MEMORY;
    struct agn_net_config net = {.graph = config->graph,
                                 .params = config->params,
                                 .batch = config->batch,
                                 .mode = AGN_NET_FROZEN,
                                 .passes = AGN_PASS_BACKWARD | AGN_PASS_INPUT_GRADIENT,
                                 .compute = config->compute};
    net.passes |= config->differentiable ? AGN_PASS_TANGENT : 0U;
    xai->params = config->params;
    xai->batch = config->batch;
    xai->differentiable = config->differentiable;
    xai->shape = agn_graph_input_shape(config->graph);
    xai->classes = agn_graph_output_shape(config->graph).channels;
    xai->image = (size_t)xai->shape.height * (size_t)xai->shape.width * (size_t)xai->shape.channels;
    xai->floats = xai->image * (size_t)xai->batch;
    struct agn__integration_rule rule;
    int status = agn__integration_rule_make(config->method, config->points, &rule);
    if (status == AGN_OK) {
        take_rule(xai, &rule);
        status = agn_net_create(&net, &xai->net);
    }
    if (status == AGN_OK)
        status = allocate(xai);
    if (status < 0) {
        agn_xai_free(xai);
        return status;
    }
    *result = xai;
    return AGN_OK;
}

void agn_xai_free(struct agn_xai *xai)
{
    if (xai == NULL)
        return;
    agn_net_free(xai->net);
    agn_free(xai->gradient_sum);
    agn_free(xai->gradient);
    agn_free(xai->attributions);
    agn_free(xai->baseline);
    agn_free(xai->prob);
    agn_free(xai->logits);
    agn_free(xai->loss);
    agn_free(xai->point_loss);
    agn_free(xai->labels);
    agn_free(xai->correct);
    agn_free(xai);
}

/* ---- gradients ------------------------------------------------------------------- */

static void scale_into(float *restrict dst, const float *restrict src, float factor, size_t count)
{
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < count; i++)
        dst[i] = factor * src[i];
}

static void add_scaled(float *restrict dst, const float *restrict src, float factor, size_t count)
{
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < count; i++)
        dst[i] += factor * src[i];
}

/* Forward and backward at t * features: leaves prob, and the loss's gradient in the net. */
static int gradient_at(struct agn_xai *xai, const float *features, float t)
{
    scale_into(agn_net_write(xai->net, AGN_BORDER_INPUT), features, t, xai->floats);
    xai->at = NAN;
    int status = agn_net_forward(xai->net);
    if (status == AGN_OK) {
        agn_softmax_ce_forward(agn_net_read(xai->net, AGN_BORDER_OUTPUT), xai->labels, xai->batch,
                               xai->classes, xai->prob, xai->point_loss);
        agn_softmax_ce_backward(xai->prob, xai->labels, xai->batch, xai->classes, 1.0F,
                                agn_net_write(xai->net, AGN_BORDER_DIFF_OUTPUT));
        status = agn_net_backward(xai->net);
    }
    if (status == AGN_OK)
        xai->at = t;
    return status;
}

/* Gradients at the zero baseline, one for each class; made anew when the reference has changed. */
static int prepare_baseline(struct agn_xai *xai)
{
    if (xai->baseline_ready && xai->baseline_version == xai->params->version)
        return AGN_OK;
    memset(xai->attributions, 0, xai->floats * sizeof(float)); /* serves as the zero features */
    for (int first = 0; first < xai->classes; first += xai->batch) {
        int count = xai->classes - first < xai->batch ? xai->classes - first : xai->batch;
        for (int i = 0; i < xai->batch; i++)
            xai->labels[i] = i < count ? first + i : -1;
        int status = gradient_at(xai, xai->attributions, 0.0F);
        if (status < 0)
            return status;
        memcpy(xai->baseline + (size_t)first * xai->image, agn_net_read(xai->net, AGN_BORDER_DIFF_INPUT),
               (size_t)count * xai->image * sizeof(float));
    }
    xai->baseline_ready = true;
    xai->baseline_version = xai->params->version;
    return AGN_OK;
}

static void start_sum(struct agn_xai *xai)
{
#pragma omp parallel for schedule(static)
    for (int i = 0; i < xai->batch; i++) {
        float *sum = xai->gradient_sum + (size_t)i * xai->image;
        if (xai->baseline_used && xai->labels[i] >= 0) {
            const float *base = xai->baseline + (size_t)xai->labels[i] * xai->image;
            for (size_t e = 0; e < xai->image; e++)
                sum[e] = xai->baseline_weight * base[e];
        } else {
            memset(sum, 0, xai->image * sizeof(float));
        }
    }
}

/* What is known only at F itself: logits, loss, who is right, and the loss's gradient. */
static void keep_endpoint(struct agn_xai *xai)
{
    const float *logits = agn_net_read(xai->net, AGN_BORDER_OUTPUT);
    memcpy(xai->logits, logits, (size_t)xai->batch * (size_t)xai->classes * sizeof(float));
    memcpy(xai->loss, xai->point_loss, (size_t)xai->batch * sizeof(float));
    memcpy(xai->gradient, agn_net_read(xai->net, AGN_BORDER_DIFF_INPUT), xai->floats * sizeof(float));
    for (int i = 0; i < xai->batch; i++) {
        const float *row = logits + (size_t)i * (size_t)xai->classes;
        int best = 0;
        for (int c = 1; c < xai->classes; c++)
            best = row[c] > row[best] ? c : best;
        xai->correct[i] = best == xai->labels[i];
    }
}

int agn_xai_attribute(struct agn_xai *xai, const float *features, const int32_t *labels)
{
    int status = xai->baseline_used ? prepare_baseline(xai) : AGN_OK;
    if (status < 0)
        return status;
    memcpy(xai->labels, labels, (size_t)xai->batch * sizeof(int32_t));
    start_sum(xai);
    for (int j = 0; j < xai->points && status == AGN_OK; j++) {
        status = gradient_at(xai, features, xai->t[j]);
        if (status == AGN_OK) {
            add_scaled(xai->gradient_sum, agn_net_read(xai->net, AGN_BORDER_DIFF_INPUT), xai->weight[j],
                       xai->floats);
        }
    }
    if (status == AGN_OK && xai->at != 1.0F) /* the rule has no point at F */
        status = gradient_at(xai, features, 1.0F);
    if (status < 0)
        return status;
    keep_endpoint(xai);
    if (!xai->times_input) {
        memcpy(xai->attributions, xai->gradient_sum, xai->floats * sizeof(float));
        return AGN_OK;
    }
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < xai->floats; i++)
        xai->attributions[i] = features[i] * xai->gradient_sum[i];
    return AGN_OK;
}

/* The direction of the Hessian-vector products: u * F, or u for a plain gradient. */
static void start_tangent(struct agn_xai *xai, const float *features, const float *diff_attributions)
{
    float *tangent = agn_net_write(xai->net, AGN_BORDER_TANGENT_INPUT);
    if (!xai->times_input) {
        memcpy(tangent, diff_attributions, xai->floats * sizeof(float));
        return;
    }
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < xai->floats; i++)
        tangent[i] = diff_attributions[i] * features[i];
}

int agn_xai_backward(struct agn_xai *xai, const float *features, const float *diff_attributions,
                     float *diff_features)
{
    if (!xai->differentiable)
        return agn_fail(AGN_ERR_STATE, "this attribution was not made differentiable");
    if (xai->times_input) {
#pragma omp parallel for simd schedule(static)
        for (size_t i = 0; i < xai->floats; i++)
            diff_features[i] += diff_attributions[i] * xai->gradient_sum[i];
    }
    for (int j = xai->points - 1; j >= 0; j--) {
        int status = xai->at == xai->t[j] ? AGN_OK : gradient_at(xai, features, xai->t[j]);
        if (status < 0)
            return status;
        start_tangent(xai, features, diff_attributions);
        status = agn_net_tangent(xai->net);
        if (status == AGN_OK) {
            agn_softmax_ce_tangent_backward(
                xai->prob, xai->labels, agn_net_read(xai->net, AGN_BORDER_TANGENT_OUTPUT), xai->batch,
                xai->classes, agn_net_write(xai->net, AGN_BORDER_TANGENT_DIFF_OUTPUT));
            status = agn_net_tangent_backward(xai->net);
            xai->at = NAN; /* tangents use the memory of the forward values */
        }
        if (status < 0)
            return status;
        add_scaled(diff_features, agn_net_read(xai->net, AGN_BORDER_TANGENT_DIFF_INPUT),
                   xai->weight[j] * xai->t[j], xai->floats);
    }
    return AGN_OK;
}

/* ---- results ------------------------------------------------------------------------ */

void agn_xai_channel_importance(const float *attributions, int n, struct agn_shape shape, float *importance)
{
    size_t channels = (size_t)shape.channels, positions = (size_t)shape.height * (size_t)shape.width;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++) {
        const float *sample = attributions + (size_t)i * positions * channels;
        float *sums = importance + (size_t)i * channels;
        memset(sums, 0, channels * sizeof(float));
        for (size_t p = 0; p < positions; p++)
            for (size_t c = 0; c < channels; c++)
                sums[c] += fabsf(sample[p * channels + c]);
    }
}

const float *agn_xai_attributions(const struct agn_xai *xai)
{
    return xai->attributions;
}

const float *agn_xai_gradient(const struct agn_xai *xai)
{
    return xai->gradient;
}

const float *agn_xai_logits(const struct agn_xai *xai)
{
    return xai->logits;
}

const float *agn_xai_loss(const struct agn_xai *xai)
{
    return xai->loss;
}

const bool *agn_xai_correct(const struct agn_xai *xai)
{
    return xai->correct;
}

struct agn_net *agn_xai_net(struct agn_xai *xai)
{
    return xai->net;
}
