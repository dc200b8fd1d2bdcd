/* Completeness of integrated gradients (Sundararajan et al. 2017): the attributions of an image add up to
 * l(F) - l(0) as the number of points grows. How far each rule is from that, on a trained model. */
#include <math.h>
#include <string.h>

#include "measure/explain_internal.h"

struct probe {
    const struct agn_explain_config *config;
    int count;
    size_t features; /* of an image */
    float *maps, *losses_at_zero;
    int32_t *labels;
};

/* The features of all images, and their labels. */
static int extract(struct probe *p)
{
    const struct agn_model *model = p->config->model;
    const struct agn_dataset *data = p->config->data;
    struct agn_runner runner = {0};
    float *input =
        agn_alloc((size_t)data->height * (size_t)data->width * (size_t)data->channels, sizeof *input);
    int status = input ? agn_runner_open(&runner, model, 1, 0) : AGN_ERR_MEMORY;
    for (int i = 0; i < p->count && status >= 0; i++) {
        int image = agn__explain_image(p->config, i);
        p->labels[i] = data->labels[image];
        agn__explain_input(p->config, image, input);
        status = agn_runner_extract(&runner, input);
        if (status >= 0)
            memcpy(p->maps + (size_t)i * p->features, agn_runner_output(&runner, AGN_EXTRACTOR, 0),
                   p->features * sizeof *p->maps);
    }
    agn_runner_close(&runner);
    agn_free(input);
    return status;
}

static double sum_of(const float *values, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i];
    return sum;
}

/* Mean distance from completeness, and the mean difference of losses; a few images at a time, since 128
 * points of all of them may take a minute, in which no interrupt would be heard. */
static int measure(const struct probe *p, enum agn_xai_method method, int points, double *gap,
                   double *difference)
{
    const struct agn_model *model = p->config->model;
    const int most = 4, batch = p->count < most ? p->count : most;
    const struct agn_xai_config config = {.method = method,
                                          .points = points,
                                          .graph = &model->parts[AGN_REFERENCE].graph,
                                          .params = model->parts[AGN_REFERENCE].params,
                                          .batch = batch};
    struct agn_xai *xai = NULL;
    int status = agn_xai_create(&config, &xai);
    *gap = *difference = 0.0;
    for (int done = 0; done < p->count && status >= 0;) {
        int first = done + batch <= p->count ? done : p->count - batch; /* the last batch has some again */
        status = agn_interrupt_requested()
                     ? agn_fail(AGN_ERR_INTERRUPTED, "interrupted")
                     : agn_xai_attribute(xai, p->maps + (size_t)first * p->features, p->labels + first);
        for (; done < first + batch && status >= 0; done++) {
            size_t at = (size_t)(done - first);
            double sum = sum_of(agn_xai_attributions(xai) + at * p->features, p->features);
            double step = (double)agn_xai_loss(xai)[at] - (double)p->losses_at_zero[p->labels[done]];
            *gap += fabs(sum - step) / p->count;
            *difference += fabs(step) / p->count;
        }
    }
    agn_xai_free(xai);
    return status;
}

static int measure_all(const struct probe *p, struct agn_completeness *out)
{
    static const enum agn_xai_method rules[AGN_COMPLETENESS_RULES] = {
        AGN_XAI_IG_TRAPEZOID, AGN_XAI_IG_MIDPOINT, AGN_XAI_IG_GAUSS_LEGENDRE};
    int status = AGN_OK;
    for (int row = 0; row < AGN_COMPLETENESS_ROWS && status >= 0; row++) {
        out->points[row] = 1 << row;
        for (int rule = 0; rule < AGN_COMPLETENESS_RULES && status >= 0; rule++) {
            bool possible = rules[rule] != AGN_XAI_IG_TRAPEZOID || out->points[row] > 1;
            double gap = (double)NAN, difference = 0.0;
            if (possible)
                status = measure(p, rules[rule], out->points[row], &gap, &difference);
            out->gap[row][rule] = difference > 0.0 ? gap / difference : (double)NAN;
            out->difference = difference > 0.0 ? difference : out->difference;
        }
    }
    return status;
}

int agn_explain_completeness(const struct agn_explain_config *config, struct agn_completeness *completeness)
{
    struct agn_shape map = config->model->map;
    struct agn_completeness made = {.images = config->count};
    struct probe p = {.config = config,
                      .count = config->count,
                      .features = (size_t)map.height * (size_t)map.width * (size_t)map.channels};
    int status = agn__explain_check(config);
    if (status < 0)
        return status;
    p.maps = agn_alloc((size_t)p.count * p.features, sizeof *p.maps);
    p.labels = agn_alloc((size_t)p.count, sizeof *p.labels);
    status =
        p.maps && p.labels ? agn__explain_losses_at_zero(config->model, &p.losses_at_zero) : AGN_ERR_MEMORY;
    if (status >= 0)
        status = extract(&p);
    if (status >= 0)
        status = measure_all(&p, &made);
    if (status >= 0)
        *completeness = made;
    agn_free(p.maps);
    agn_free(p.labels);
    agn_free(p.losses_at_zero);
    return status;
}
