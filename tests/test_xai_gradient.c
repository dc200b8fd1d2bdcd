/* Attribution and the exact derivative of the importance losses through it.
 *
 * Three yardsticks: the formula in double precision against central differences of the loss; the engine
 * against that formula; the engine against numbers that PyTorch computed (tests/fixtures). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agilenn/train.h"
#include "fixtures/importance_fixture.h"
#include "net_check.h"
#include "reference_net.h"

enum { HEIGHT = 5, WIDTH = 4, CHANNELS = 6, LOCAL = 2, POSITIONS = HEIGHT * WIDTH };
enum { IMAGE = POSITIONS * CHANNELS, MOST_BATCH = 9, MOST_POINTS = 128, MOST_CLASSES = 8 };
static const double RHO = 0.9, ENGINE_TOLERANCE = 5e-5, DIFFERENCE_TOLERANCE = 1e-5;

static void succeed(int status)
{
    if (status < 0)
        fail_msg("%s", agn_error_message());
}

/* ---- the double-precision yardstick ---------------------------------------------------- */

struct rule {
    enum agn_xai_method method;
    int points;
};

static bool one_gradient(struct rule rule)
{
    return rule.method == AGN_XAI_GRADIENT_X_INPUT || rule.method == AGN_XAI_GRADIENT;
}

/* Abramowitz & Stegun, table 25.4, from [-1, 1] to [0, 1]. */
static int gauss_legendre_points(int m, double t[MOST_POINTS], double weight[MOST_POINTS])
{
    static const double x[][3] = {{0}, {0.577350269189626}, {0.774596669241483, 0}};
    static const double w[][3] = {{2}, {1}, {0.555555555555556, 0.888888888888889}};
    assert_in_range(m, 1, 3);
    for (int j = 0; j < (m + 1) / 2; j++) {
        t[j] = 0.5 - 0.5 * x[m - 1][j];
        t[m - 1 - j] = 0.5 + 0.5 * x[m - 1][j];
        weight[j] = weight[m - 1 - j] = 0.5 * w[m - 1][j];
    }
    return m;
}

/* Points and weights straight from the rules' definitions. */
static int make_points(struct rule rule, double t[MOST_POINTS], double weight[MOST_POINTS])
{
    int m = one_gradient(rule) ? 1 : rule.points;
    if (rule.method == AGN_XAI_IG_GAUSS_LEGENDRE)
        return gauss_legendre_points(m, t, weight);
    for (int j = 0; j < m; j++) {
        if (rule.method == AGN_XAI_IG_TRAPEZOID) {
            t[j] = (double)j / (m - 1);
            weight[j] = (j == 0 || j == m - 1 ? 0.5 : 1.0) / (m - 1);
        } else {
            t[j] = rule.method == AGN_XAI_IG_MIDPOINT ? (j + 0.5) / m : 1.0;
            weight[j] = 1.0 / m;
        }
    }
    return m;
}

struct yardstick {
    struct reference_net *net;
    struct rule rule;
    int batch, classes;
    size_t count;
    const int32_t *labels;
    bool counts[MOST_BATCH]; /* samples whose importance losses count */
    double features[MOST_BATCH * IMAGE], sum[MOST_BATCH * IMAGE];
    double attribution[MOST_BATCH * IMAGE], gradient[MOST_BATCH * IMAGE]; /* A, dL/dF */
    double prob[MOST_BATCH * MOST_CLASSES], logits[MOST_BATCH * MOST_CLASSES], loss[MOST_BATCH];
    double nearest; /* kink of a unit, of |A|, of a maximum or minimum */
};

/* What an attribution multiplies the sum of gradients by. */
static double factor(const struct yardstick *y, size_t i)
{
    return y->rule.method == AGN_XAI_GRADIENT ? 1.0 : y->features[i];
}

static void pass_at(struct yardstick *y, double t)
{
    double *input = reference_input(y->net)->value;
    for (size_t i = 0; i < y->count; i++)
        input[i] = t * y->features[i];
    reference_forward(y->net);
    y->nearest = fmin(y->nearest, reference_kink_distance(y->net));
    reference_ce_forward(reference_output(y->net)->value, y->labels, y->batch, y->classes, y->prob, y->loss);
    reference_ce_backward(y->prob, y->labels, y->batch, y->classes, 1.0, reference_output(y->net)->diff);
    reference_backward(y->net);
}

static void attribute(struct yardstick *y)
{
    double t[MOST_POINTS], weight[MOST_POINTS];
    int points = make_points(y->rule, t, weight);
    y->nearest = INFINITY;
    memset(y->sum, 0, sizeof(y->sum));
    for (int j = 0; j < points; j++) {
        pass_at(y, t[j]);
        for (size_t i = 0; i < y->count; i++)
            y->sum[i] += weight[j] * reference_input(y->net)->diff[i];
    }
    for (size_t i = 0; i < y->count; i++) {
        y->attribution[i] = factor(y, i) * y->sum[i];
        if (y->attribution[i] != 0.0 && y->labels[i / IMAGE] >= 0)
            y->nearest = fmin(y->nearest, fabs(y->attribution[i]));
    }
}

/* Skewness + disorder of one sample, and its gradient by the quotient rule on shares. */
static double sample_loss(struct yardstick *y, int sample, double slope[CHANNELS])
{
    double importance[CHANNELS] = {0}, share[CHANNELS], total = 0.0, first = 0.0, dot = 0.0;
    int low = 0, high = LOCAL;
    for (int i = 0; i < IMAGE; i++) {
        importance[i % CHANNELS] += fabs(y->attribution[sample * IMAGE + i]);
        total += fabs(y->attribution[sample * IMAGE + i]);
    }
    for (int c = 0; c < CHANNELS; c++) {
        share[c] = importance[c] / total;
        first += c < LOCAL ? share[c] : 0.0;
        low = c < LOCAL && share[c] < share[low] ? c : low;
        high = c > LOCAL && share[c] > share[high] ? c : high;
    }
    double skewness = fmax(0.0, RHO - first), disorder = fmax(0.0, share[high] - share[low]);
    for (int c = 0; c < CHANNELS; c++) {
        slope[c] = (c < LOCAL && skewness > 0.0 ? -1.0 : 0.0) +
                   (disorder > 0.0 ? (double)(c == high) - (double)(c == low) : 0.0);
        dot += slope[c] * share[c];
        bool rival = c < LOCAL ? c != low : c != high;
        y->nearest = rival ? fmin(y->nearest, fabs(share[c] - share[c < LOCAL ? low : high])) : y->nearest;
    }
    for (int c = 0; c < CHANNELS; c++)
        slope[c] = (slope[c] - dot) / total;
    y->nearest = fmin(y->nearest, fmin(fabs(RHO - first), fabs(share[high] - share[low])));
    return skewness + disorder;
}

static double importance_loss(struct yardstick *y)
{
    double sum = 0.0, slope[CHANNELS];
    attribute(y);
    for (int i = 0; i < y->batch; i++)
        sum += y->counts[i] ? sample_loss(y, i, slope) : 0.0;
    return sum;
}

/* dL/dF = u * sum + sum_j w_j t_j H_j (u * F), after importance_loss; for the plain gradient H u. */
static void formula(struct yardstick *y)
{
    static double u[MOST_BATCH * IMAGE];
    double t[MOST_POINTS], weight[MOST_POINTS], slope[CHANNELS];
    int points = make_points(y->rule, t, weight);
    memset(u, 0, sizeof(u));
    for (size_t i = 0; i < y->count; i++) {
        int sample = (int)(i / IMAGE);
        if (i % IMAGE == 0 && y->counts[sample])
            sample_loss(y, sample, slope);
        double a = y->attribution[i];
        u[i] = y->counts[sample] ? slope[i % CHANNELS] * ((a > 0.0) - (a < 0.0)) : 0.0;
        y->gradient[i] = y->rule.method == AGN_XAI_GRADIENT ? 0.0 : u[i] * y->sum[i];
    }
    for (int j = 0; j < points; j++) {
        pass_at(y, t[j]);
        for (size_t i = 0; i < y->count; i++)
            reference_input(y->net)->tangent[i] = u[i] * factor(y, i);
        reference_tangent(y->net);
        reference_ce_tangent_backward(y->prob, y->labels, reference_output(y->net)->tangent, y->batch,
                                      y->classes, reference_output(y->net)->tangent_diff);
        reference_tangent_backward(y->net);
        for (size_t i = 0; i < y->count; i++)
            y->gradient[i] += weight[j] * t[j] * reference_input(y->net)->tangent_diff[i];
    }
}

/* ---- a world: a reference network, features and labels away from all kinks ------------------ */

struct world {
    struct agn_graph graph;
    struct agn_params *params;
    struct yardstick yardstick;
    float features[MOST_BATCH * IMAGE];
    int32_t labels[MOST_BATCH];
};

static void draw_features(struct world *w, uint64_t seed)
{
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    for (size_t i = 0; i < w->yardstick.count; i++) { /* like a ReLU6's: zeros among small positive values */
        double value = agn_rng_normal(&rng) + 0.5;
        w->features[i] = (float)fmin(fmax(value, 0.0), 6.0);
        w->yardstick.features[i] = (double)w->features[i];
    }
}

/* The reference's own class, but for sample 1 (wrong) and the last one (skipped). */
static void draw_labels(struct world *w)
{
    struct yardstick *y = &w->yardstick;
    memset(w->labels, 0, sizeof(w->labels));
    pass_at(y, 1.0);
    for (int i = 0; i < y->batch; i++) {
        const double *row = reference_output(y->net)->value + i * y->classes;
        int best = 0;
        for (int c = 1; c < y->classes; c++)
            best = row[c] > row[best] ? c : best;
        w->labels[i] = i == 1 ? (best + 1) % y->classes : best;
        y->counts[i] = i != 1;
    }
    if (y->batch > 2) {
        w->labels[y->batch - 1] = -1;
        y->counts[y->batch - 1] = false;
    }
}

static struct world *make_world(struct rule rule, int batch, int classes, double margin)
{
    struct world *w = agn_alloc(1, sizeof(*w));
    struct yardstick *y = &w->yardstick;
    succeed(agn_graph_init(&w->graph, (struct agn_shape){HEIGHT, WIDTH, CHANNELS}));
    int op = agn_graph_parse(&w->graph, 0, "r", "conv:c8:k1 mb:c8:e2 conv:c10:s2");
    succeed(op);
    op = agn_graph_pool(&w->graph, op, 1);
    succeed(agn_graph_dense(&w->graph, op, "r.dense", classes));
    succeed(agn_params_create(&w->graph, 3, &w->params));
    net_check_randomise(w->params, 4);
    y->net = reference_create(&w->graph, w->params, batch, false);
    y->rule = rule;
    y->batch = batch;
    y->classes = classes;
    y->labels = w->labels;
    y->count = (size_t)batch * IMAGE;
    for (uint64_t seed = 1;; seed++) {
        draw_features(w, seed);
        draw_labels(w);
        importance_loss(y);
        if (y->nearest > margin)
            return w;
        if (seed == 3000)
            fail_msg("no features keep away from kinks");
    }
}

static void free_world(struct world *w)
{
    reference_free(w->yardstick.net);
    agn_params_free(w->params);
    agn_free(w);
}

/* ---- the formula ------------------------------------------------------------------------------- */

/* The shares of plain gradients hardly depend on F: what F does to all gradients alike cancels. */
static double least_gradient(struct rule rule)
{
    return rule.method == AGN_XAI_GRADIENT ? 1e-5 : 1e-3;
}

static void check_formula(struct rule rule)
{
    struct world *w = make_world(rule, 3, 4, 2e-5);
    struct yardstick *y = &w->yardstick;
    double largest = 0.0, worst = 0.0, step = 1e-6, least = least_gradient(rule);
    assert_true(importance_loss(y) > 0.0);
    formula(y);
    for (size_t i = 0; i < y->count; i++)
        largest = fmax(largest, fabs(y->gradient[i]));
    for (size_t i = 0; i < y->count; i++) {
        double kept = y->features[i];
        y->features[i] = kept + step;
        double above = importance_loss(y);
        y->features[i] = kept - step;
        double below = importance_loss(y);
        y->features[i] = kept;
        worst = fmax(worst, fabs(y->gradient[i] - (above - below) / (2.0 * step)) / largest);
    }
    print_message("method %d, %d points: relative error %.1e\n", (int)rule.method, rule.points, worst);
    assert_true(largest > least);
    if (!(worst < DIFFERENCE_TOLERANCE))
        fail_msg("method %d, %d points: the formula is off by %.3g", (int)rule.method, rule.points, worst);
    free_world(w);
}

static void formula_equals_differences(void **state)
{
    (void)state;
    check_formula((struct rule){AGN_XAI_IG_TRAPEZOID, 2});
    check_formula((struct rule){AGN_XAI_IG_TRAPEZOID, 3});
    check_formula((struct rule){AGN_XAI_IG_MIDPOINT, 2});
    check_formula((struct rule){AGN_XAI_GRADIENT_X_INPUT, 1});
    check_formula((struct rule){AGN_XAI_IG_GAUSS_LEGENDRE, 2});
    check_formula((struct rule){AGN_XAI_IG_GAUSS_LEGENDRE, 3});
    check_formula((struct rule){AGN_XAI_GRADIENT, 1});
}

/* ---- the engine ---------------------------------------------------------------------------------- */

static struct agn_xai *make_xai(const struct agn_graph *graph, struct agn_params *params, struct rule rule,
                                int batch)
{
    struct agn_xai_config config = {.method = rule.method,
                                    .points = rule.points,
                                    .graph = graph,
                                    .params = params,
                                    .batch = batch,
                                    .differentiable = true};
    struct agn_xai *xai = NULL;
    succeed(agn_xai_create(&config, &xai));
    return xai;
}

/* dL/dA of the samples that count, as joint training makes it; others: `other`. */
static void loss_gradient(const struct agn_xai *xai, const bool *counts, int batch, struct agn_shape shape,
                          struct agn_importance_loss_config config, float other, float *diff)
{
    size_t channels = (size_t)shape.channels, image = (size_t)shape.height * (size_t)shape.width * channels;
    float importance[MOST_BATCH * 16], gradient[16];
    struct agn_importance_loss loss;
    const float *a = agn_xai_attributions(xai);
    agn_xai_channel_importance(a, batch, shape, importance);
    for (size_t i = 0; i < (size_t)batch * image; i++) {
        size_t sample = i / image;
        if (i % image == 0)
            agn_importance_loss(&config, importance + sample * channels, &loss, gradient);
        float sign = (float)(a[i] > 0.0F) - (float)(a[i] < 0.0F);
        diff[i] = counts[sample] ? gradient[i % channels] * sign : other;
    }
}

static void check_forward(const struct world *w, const struct agn_xai *xai, const char *label)
{
    const struct yardstick *y = &w->yardstick;
    int right = 0;
    net_check_close(label, "attribution", agn_xai_attributions(xai), y->attribution, y->count, 1e-3,
                    ENGINE_TOLERANCE);
    for (int i = 0; i < y->batch; i++) {
        assert_true(agn_xai_correct(xai)[i] == (i != 1 && w->labels[i] >= 0));
        right += agn_xai_correct(xai)[i];
        for (int e = 0; w->labels[i] < 0 && e < IMAGE; e++)
            assert_true(agn_xai_attributions(xai)[i * IMAGE + e] == 0.0F);
    }
    assert_true(right == (y->batch > 2 ? y->batch - 2 : 1));
}

static void check_endpoint(struct world *w, const struct agn_xai *xai, const char *label)
{
    struct yardstick *y = &w->yardstick;
    pass_at(y, 1.0);
    net_check_close(label, "gradient", agn_xai_gradient(xai), reference_input(y->net)->diff, y->count, 1e-3,
                    ENGINE_TOLERANCE);
    net_check_close(label, "logits", agn_xai_logits(xai), reference_output(y->net)->value,
                    (size_t)(y->batch * y->classes), 1e-3, ENGINE_TOLERANCE);
    net_check_close(label, "loss", agn_xai_loss(xai), y->loss, (size_t)y->batch, 1e-3, ENGINE_TOLERANCE);
}

/* Runs the engine on the world; *diff (y->count values) becomes dL/dF. Skipped rows stay as they were. */
static void run_engine(struct world *w, struct agn_xai *xai, float *diff)
{
    static float diff_attributions[MOST_BATCH * IMAGE];
    const struct yardstick *y = &w->yardstick;
    struct agn_importance_loss_config config = {.channels = CHANNELS, .local_channels = LOCAL, .rho = RHO};
    succeed(agn_xai_attribute(xai, w->features, w->labels));
    loss_gradient(xai, y->counts, y->batch, agn_graph_input_shape(&w->graph), config, 0.0F,
                  diff_attributions);
    for (size_t i = 0; i < y->count; i++) {
        diff_attributions[i] = w->labels[i / IMAGE] < 0 ? 3.0F : diff_attributions[i]; /* must not matter */
        diff[i] = 0.25F;
    }
    succeed(agn_xai_backward(xai, w->features, diff_attributions, diff));
    for (size_t i = 0; i < y->count; i++) {
        if (!y->counts[i / IMAGE] && diff[i] != 0.25F)
            fail_msg("value %zu of a row that does not count was changed to %g", i, (double)diff[i]);
        diff[i] -= 0.25F;
    }
}

static void check_engine(struct rule rule, int batch, int classes)
{
    static float diff[MOST_BATCH * IMAGE];
    char label[64];
    struct world *w = make_world(rule, batch, classes, 3e-6);
    struct agn_xai *xai = make_xai(&w->graph, w->params, rule, batch);
    snprintf(label, sizeof(label), "method %d, %d points, batch %d, %d classes", (int)rule.method,
             rule.points, batch, classes);
    importance_loss(&w->yardstick);
    for (int round = 0; round < 2; round++) { /* the second one with a warm cache */
        run_engine(w, xai, diff);
        check_forward(w, xai, label);
        formula(&w->yardstick);
        double floor = rule.method == AGN_XAI_GRADIENT ? 1e-3 : 1e-6; /* of what has cancelled */
        net_check_close(label, "dL/dF", diff, w->yardstick.gradient, w->yardstick.count, floor,
                        ENGINE_TOLERANCE);
        check_endpoint(w, xai, label);
    }
    agn_xai_free(xai);
    free_world(w);
}

static void engine_equals_formula(void **state)
{
    (void)state;
    check_engine((struct rule){AGN_XAI_IG_TRAPEZOID, 2}, 4, 4);
    check_engine((struct rule){AGN_XAI_IG_TRAPEZOID, 3}, 4, 4);
    check_engine((struct rule){AGN_XAI_IG_TRAPEZOID, 8}, 3, 4);
    check_engine((struct rule){AGN_XAI_IG_MIDPOINT, 1}, 4, 4);
    check_engine((struct rule){AGN_XAI_IG_MIDPOINT, 4}, 3, 4);
    check_engine((struct rule){AGN_XAI_GRADIENT_X_INPUT, 1}, 4, 4);
    check_engine((struct rule){AGN_XAI_IG_GAUSS_LEGENDRE, 1}, 4, 4);
    check_engine((struct rule){AGN_XAI_IG_GAUSS_LEGENDRE, 2}, 4, 4);
    check_engine((struct rule){AGN_XAI_IG_GAUSS_LEGENDRE, 3}, 3, 4);
    check_engine((struct rule){AGN_XAI_GRADIENT, 1}, 4, 4);
    print_message("largest relative error %.1e\n", net_check_worst());
}

/* Baseline gradients are made for all classes, in chunks of a batch. */
static void any_batch_and_number_of_classes(void **state)
{
    (void)state;
    check_engine((struct rule){AGN_XAI_IG_TRAPEZOID, 2}, 1, 3);
    check_engine((struct rule){AGN_XAI_IG_TRAPEZOID, 2}, 2, 7);
    check_engine((struct rule){AGN_XAI_IG_TRAPEZOID, 2}, 3, 7);
    check_engine((struct rule){AGN_XAI_IG_TRAPEZOID, 2}, 7, 2);
}

/* Other weights: the cached baseline gradients must not be used any more. */
static void cache_follows_the_weights(void **state)
{
    (void)state;
    static float diff[MOST_BATCH * IMAGE], fresh[MOST_BATCH * IMAGE], first[MOST_BATCH * IMAGE];
    struct rule rule = {AGN_XAI_IG_TRAPEZOID, 2};
    struct world *w = make_world(rule, 4, 4, 3e-6);
    struct agn_xai *xai = make_xai(&w->graph, w->params, rule, 4);
    run_engine(w, xai, first);
    net_check_randomise(w->params, 99);
    run_engine(w, xai, diff);
    struct agn_xai *other = make_xai(&w->graph, w->params, rule, 4);
    run_engine(w, other, fresh);
    assert_memory_equal(diff, fresh, w->yardstick.count * sizeof(float));
    assert_memory_equal(agn_xai_attributions(xai), agn_xai_attributions(other),
                        w->yardstick.count * sizeof(float));
    assert_memory_not_equal(diff, first, w->yardstick.count * sizeof(float));
    agn_xai_free(xai);
    agn_xai_free(other);
    free_world(w);
}

/* A second backward after one attribution gives the same again. */
static void backward_may_be_repeated(void **state)
{
    (void)state;
    static float diff[MOST_BATCH * IMAGE], first[MOST_BATCH * IMAGE], direction[MOST_BATCH * IMAGE];
    static const struct rule rules[] = {
        {AGN_XAI_IG_TRAPEZOID, 2}, {AGN_XAI_IG_MIDPOINT, 2}, {AGN_XAI_GRADIENT, 1}};
    for (size_t r = 0; r < AGN_COUNT_OF(rules); r++) {
        struct world *w = make_world(rules[r], 4, 4, 3e-6);
        struct agn_xai *xai = make_xai(&w->graph, w->params, rules[r], 4);
        net_check_fill(direction, w->yardstick.count, 5);
        memset(first, 0, sizeof(first));
        memset(diff, 0, sizeof(diff));
        succeed(agn_xai_attribute(xai, w->features, w->labels));
        succeed(agn_xai_backward(xai, w->features, direction, first));
        succeed(agn_xai_backward(xai, w->features, direction, diff));
        assert_memory_equal(diff, first, w->yardstick.count * sizeof(float));
        agn_xai_free(xai);
        free_world(w);
    }
}

static void refusals(void **state)
{
    (void)state;
    struct world *w = make_world((struct rule){AGN_XAI_IG_TRAPEZOID, 2}, 2, 3, 0.0);
    static const struct {
        int method, points, status;
    } bad[] = {{AGN_XAI_IG_TRAPEZOID, 1, AGN_ERR_RANGE},
               {AGN_XAI_IG_TRAPEZOID, AGN_XAI_MAX_POINTS + 1, AGN_ERR_RANGE},
               {AGN_XAI_IG_MIDPOINT, 0, AGN_ERR_RANGE},
               {AGN_XAI_IG_MIDPOINT, AGN_XAI_MAX_POINTS + 1, AGN_ERR_RANGE},
               {AGN_XAI_IG_GAUSS_LEGENDRE, 0, AGN_ERR_RANGE},
               {AGN_XAI_IG_GAUSS_LEGENDRE, AGN_XAI_MAX_POINTS + 1, AGN_ERR_RANGE},
               {77, 2, AGN_ERR_ARG}};
    struct agn_xai_config config = {.graph = &w->graph, .params = w->params, .batch = 2};
    struct agn_xai *xai = NULL;
    for (size_t i = 0; i < AGN_COUNT_OF(bad); i++) {
        config.method = (enum agn_xai_method)bad[i].method;
        config.points = bad[i].points;
        assert_int_equal(agn_xai_create(&config, &xai), bad[i].status);
        assert_null(xai);
    }
    config.method = AGN_XAI_IG_TRAPEZOID;
    config.points = 2;
    succeed(agn_xai_create(&config, &xai));
    succeed(agn_xai_attribute(xai, w->features, w->labels));
    float diff[2 * IMAGE] = {0};
    assert_int_equal(agn_xai_backward(xai, w->features, diff, diff), AGN_ERR_STATE);
    agn_xai_free(xai);
    free_world(w);
    assert_int_equal(agn_xai_method_from_name("ig-trapezoid"), AGN_XAI_IG_TRAPEZOID);
    assert_int_equal(agn_xai_method_from_name("ig-midpoint"), AGN_XAI_IG_MIDPOINT);
    assert_int_equal(agn_xai_method_from_name("gradient-x-input"), AGN_XAI_GRADIENT_X_INPUT);
    assert_int_equal(agn_xai_method_from_name("ig-gauss-legendre"), AGN_XAI_IG_GAUSS_LEGENDRE);
    assert_int_equal(agn_xai_method_from_name("gradient"), AGN_XAI_GRADIENT);
    assert_int_equal(agn_xai_method_from_name("magic"), AGN_ERR_ARG);
}

/* ---- completeness: integrated gradients add up to l(F) - l(0) ------------------------------------------ */

struct line {
    struct agn_graph graph;
    struct agn_params *params;
    float features[MOST_BATCH * IMAGE];
    double difference[MOST_BATCH]; /* l(F) - l(0) */
    int32_t labels[MOST_BATCH];
    int batch;
};

/* Largest miss of completeness. */
static double incompleteness(struct line *line, struct rule rule)
{
    double worst = 0.0;
    struct agn_xai *xai = make_xai(&line->graph, line->params, rule, line->batch);
    succeed(agn_xai_attribute(xai, line->features, line->labels));
    for (int i = 0; i < line->batch; i++) {
        double sum = 0.0;
        for (int e = 0; e < IMAGE; e++)
            sum += (double)agn_xai_attributions(xai)[i * IMAGE + e];
        worst = fmax(worst, fabs(sum - line->difference[i]));
    }
    agn_xai_free(xai);
    return worst;
}

/* A reference network, features, and the loss at both ends of the line; returns the largest difference. */
static double make_line(struct line *line, const char *network, uint64_t seed)
{
    double prob[MOST_BATCH * MOST_CLASSES], loss[2][MOST_BATCH], scale = 0.0;
    line->batch = 3;
    succeed(agn_graph_init(&line->graph, (struct agn_shape){HEIGHT, WIDTH, CHANNELS}));
    int op = agn_graph_pool(&line->graph, agn_graph_parse(&line->graph, 0, "r", network), 1);
    succeed(agn_graph_dense(&line->graph, op, "r.dense", 4));
    succeed(agn_params_create(&line->graph, seed, &line->params));
    net_check_randomise(line->params, seed + 1);
    net_check_fill(line->features, (size_t)line->batch * IMAGE, seed + 2);
    struct reference_net *net = reference_create(&line->graph, line->params, line->batch, false);
    for (int end = 0; end < 2; end++) {
        for (size_t i = 0; i < (size_t)line->batch * IMAGE; i++) {
            line->features[i] = fmaxf(line->features[i], 0.0F);
            reference_input(net)->value[i] = end * (double)line->features[i];
        }
        reference_forward(net);
        for (int i = 0; i < line->batch; i++)
            line->labels[i] = i;
        reference_ce_forward(reference_output(net)->value, line->labels, line->batch, 4, prob, loss[end]);
    }
    for (int i = 0; i < line->batch; i++) {
        line->difference[i] = loss[1][i] - loss[0][i];
        scale = fmax(scale, fabs(line->difference[i]));
    }
    reference_free(net);
    return scale;
}

/* The error falls with the number of points. */
static void attributions_are_complete(void **state)
{
    (void)state;
    static const int points[] = {1, 4, 16, 128};
    double error[AGN_COUNT_OF(points)] = {0};
    static struct line line;
    double scale = make_line(&line, "conv:c8:k1 mb:c8:e2 conv:c10:s2", 3);
    for (size_t p = 0; p < AGN_COUNT_OF(points); p++)
        error[p] = incompleteness(&line, (struct rule){AGN_XAI_IG_MIDPOINT, points[p]});
    print_message("completeness: errors %.1e %.1e %.1e %.1e of %.2g\n", error[0], error[1], error[2],
                  error[3], scale);
    assert_true(error[1] < error[0] && error[2] < error[1] && error[3] < 0.3 * error[2]);
    assert_true(error[3] < 0.01 * scale);
    double kinks = incompleteness(&line, (struct rule){AGN_XAI_IG_GAUSS_LEGENDRE, 128});
    assert_true(kinks < 0.01 * scale);
    agn_params_free(line.params);
}

/* Without kinks on the way the Gauss-Legendre rule needs few points: its error falls exponentially. */
static void gauss_legendre_is_complete_sooner(void **state)
{
    (void)state;
    static const int points[] = {1, 2, 4, 8};
    double gauss[AGN_COUNT_OF(points)], middle[AGN_COUNT_OF(points)];
    static struct line line;
    double scale = make_line(&line, "conv:c8:k1:l1 conv:c10:s2:l1", 7);
    for (size_t p = 0; p < AGN_COUNT_OF(points); p++) {
        gauss[p] = incompleteness(&line, (struct rule){AGN_XAI_IG_GAUSS_LEGENDRE, points[p]});
        middle[p] = incompleteness(&line, (struct rule){AGN_XAI_IG_MIDPOINT, points[p]});
        print_message("smooth, %d points: Gauss-Legendre %.1e, midpoint %.1e, of %.2g\n", points[p], gauss[p],
                      middle[p], scale);
    }
    assert_true(fabs(gauss[0] - middle[0]) < 1e-6 * scale); /* one point: the same rule */
    assert_true(gauss[1] < 0.2 * middle[1] && gauss[2] < 0.02 * middle[2] && gauss[3] < 0.01 * middle[3]);
    assert_true(gauss[3] < 1e-5 * scale);
    agn_params_free(line.params);
}

/* ---- PyTorch's numbers ------------------------------------------------------------------------------ */

static void set_values(struct agn_params *params, const char *name, const double *values, size_t count)
{
    float *to = agn_params_values(params, name);
    if (to == NULL || agn_params_find(params, name)->count != count) {
        fail_msg("the graph has no '%s' of %zu values", name, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        to[i] = (float)values[i];
}

static void make_fixture_network(struct agn_graph *graph, struct agn_params **params)
{
    succeed(agn_graph_init(graph, (struct agn_shape){FX_H, FX_W, FX_C}));
    int op = agn_graph_conv(graph, 0, "first", FX_MIDDLE, 1, 1, true);
    op = agn_graph_relu6(graph, op);
    op = agn_graph_depthwise(graph, op, "depth", 3, 1);
    op = agn_graph_batchnorm(graph, op, "depth.bn", true); /* the fixture's bias is its beta */
    op = agn_graph_conv(graph, op, "last", FX_LAST, 1, 1, true);
    op = agn_graph_pool(graph, op, 1);
    succeed(agn_graph_dense(graph, op, "dense", FX_CLASSES));
    succeed(agn_params_create(graph, 1, params));
    set_values(*params, "first.weight", fx_w1, AGN_COUNT_OF(fx_w1));
    set_values(*params, "first.bias", fx_b1, AGN_COUNT_OF(fx_b1));
    set_values(*params, "depth.weight", fx_w2, AGN_COUNT_OF(fx_w2));
    set_values(*params, "depth.bn.beta", fx_b2, AGN_COUNT_OF(fx_b2));
    set_values(*params, "last.weight", fx_w3, AGN_COUNT_OF(fx_w3));
    set_values(*params, "last.bias", fx_b3, AGN_COUNT_OF(fx_b3));
    set_values(*params, "dense.weight", fx_w4, AGN_COUNT_OF(fx_w4));
    set_values(*params, "dense.bias", fx_b4, AGN_COUNT_OF(fx_b4));
    for (int c = 0; c < FX_MIDDLE; c++) /* so that the BN scales by 1 */
        agn_params_values(*params, "depth.bn.var")[c] = 1.0F - 1e-5F;
    (*params)->version++;
}

enum { FX_POSITIONS = FX_H * FX_W, FX_COUNT = FX_N * FX_C * FX_POSITIONS };

/* NCHW index of the fixture -> NHWC index of the engine. */
static size_t engine_index(size_t i)
{
    size_t position = i % FX_POSITIONS, c = i / FX_POSITIONS % FX_C, n = i / (FX_POSITIONS * FX_C);
    return (n * FX_POSITIONS + position) * FX_C + c;
}

static void check_fixture_losses(const struct agn_xai *xai, struct agn_shape shape)
{
    float importance[FX_N * FX_C], skewness[FX_N], disorder[FX_N];
    struct agn_importance_loss_config config = {.channels = FX_C, .local_channels = FX_K, .rho = fx_rho};
    agn_xai_channel_importance(agn_xai_attributions(xai), FX_N, shape, importance);
    for (int i = 0; i < FX_N; i++) {
        struct agn_importance_loss loss;
        agn_importance_loss(&config, importance + (size_t)i * FX_C, &loss, NULL);
        skewness[i] = (float)loss.skewness_loss;
        disorder[i] = (float)loss.disorder_loss;
        assert_int_equal(agn_xai_correct(xai)[i], fx_valid[i]);
    }
    net_check_close("fixture", "logits", agn_xai_logits(xai), fx_logits, AGN_COUNT_OF(fx_logits), 0, 1e-3);
    net_check_close("fixture", "loss", agn_xai_loss(xai), fx_loss, FX_N, 0, 1e-3);
    net_check_close("fixture", "importance", importance, fx_importance, AGN_COUNT_OF(fx_importance), 0, 1e-3);
    net_check_close("fixture", "skewness", skewness, fx_skewness, FX_N, 0, 1e-3);
    net_check_close("fixture", "disorder", disorder, fx_disorder, FX_N, 0, 1e-3);
}

static void engine_equals_pytorch(void **state)
{
    (void)state;
    static float features[FX_COUNT], direction[FX_COUNT], diff[FX_COUNT];
    static double expected[FX_COUNT];
    struct agn_graph graph;
    struct agn_params *params = NULL;
    int32_t labels[FX_N];
    bool counts[FX_N];
    make_fixture_network(&graph, &params);
    for (size_t i = 0; i < FX_COUNT; i++) {
        features[engine_index(i)] = (float)fx_features[i];
        expected[engine_index(i)] = fx_dF[i];
    }
    for (int i = 0; i < FX_N; i++) {
        labels[i] = fx_labels[i];
        counts[i] = fx_valid[i] != 0;
    }
    struct agn_xai *xai = make_xai(&graph, params, (struct rule){AGN_XAI_IG_TRAPEZOID, 2}, FX_N);
    struct agn_importance_loss_config config = {.channels = FX_C, .local_channels = FX_K, .rho = fx_rho};
    succeed(agn_xai_attribute(xai, features, labels));
    check_fixture_losses(xai, agn_graph_input_shape(&graph));
    loss_gradient(xai, counts, FX_N, agn_graph_input_shape(&graph), config, 0.0F, direction);
    memset(diff, 0, sizeof(diff));
    succeed(agn_xai_backward(xai, features, direction, diff));
    net_check_close("fixture", "dF", diff, expected, FX_COUNT, 0, 1e-3);
    agn_xai_free(xai);
    agn_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formula_equals_differences),
        cmocka_unit_test(engine_equals_formula),
        cmocka_unit_test(any_batch_and_number_of_classes),
        cmocka_unit_test(cache_follows_the_weights),
        cmocka_unit_test(backward_may_be_repeated),
        cmocka_unit_test(refusals),
        cmocka_unit_test(attributions_are_complete),
        cmocka_unit_test(gauss_legendre_is_complete_sooner),
        cmocka_unit_test(engine_equals_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
