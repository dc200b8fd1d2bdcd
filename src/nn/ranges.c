/* What values the tensors of a network take, from its BN's statistics.
 *
 * After BN with scale gamma and shift beta, a channel has mean beta and deviation |gamma| on the training
 * images; it is taken to be normal and to stay within DEVIATIONS of its mean. What an activation makes of
 * that has moments by quadrature. A sum of two tensors has the sum of their means and, as if they were
 * independent, of their variances. */
#include <math.h>
#include <string.h>

#include "nn/net_internal.h"

#define DEVIATIONS 6.0F
#define SILU_LEAST (-0.27847F)

static float sigmoid(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

/* Of one tensor: by channel, and over all of them. */
struct moments {
    float *mean, *deviation;
    bool known;
};

static const struct agn__range unknown = {1.0F, 0.0F};

static bool is_known(const struct agn__range *range)
{
    return range->low <= range->high;
}

/* What all channels lie in. */
static struct agn__range bounds(const struct moments *m, int channels)
{
    struct agn__range range = {INFINITY, -INFINITY};
    for (int c = 0; c < channels; c++) {
        range.low = fminf(range.low, m->mean[c] - DEVIATIONS * m->deviation[c]);
        range.high = fmaxf(range.high, m->mean[c] + DEVIATIONS * m->deviation[c]);
    }
    return range;
}

static int batchnorm_moments(const struct agn_params *params, const struct agn_op_spec *spec,
                             struct moments *m)
{
    int64_t gamma = agn__param_offset(params, spec, "gamma"), beta = agn__param_offset(params, spec, "beta");
    if (gamma < 0 || beta < 0)
        return agn_fail(AGN_ERR_ARG, "the parameter store has no '%s'", spec->name);
    for (int c = 0; c < spec->shape.channels; c++) {
        m->mean[c] = params->value[beta + c];
        m->deviation[c] = fabsf(params->value[gamma + c]);
    }
    m->known = true;
    return AGN_OK;
}

static float activate(enum agn_op_type type, float x)
{
    return type == AGN_OP_SIGMOID ? sigmoid(x)
           : type == AGN_OP_SILU  ? x * sigmoid(x)
           : type == AGN_OP_TANH  ? tanhf(x)
                                  : fminf(fmaxf(x, 0.0F), 6.0F);
}

/* Moments of an activation's result where its source is normal. */
static void activated_moments(enum agn_op_type type, const struct moments *src, int channels,
                              struct moments *dst)
{
    enum { POINTS = 33 };
    for (int c = 0; c < channels; c++) {
        double weights = 0.0, sum = 0.0, squares = 0.0;
        for (int i = 0; i < POINTS; i++) {
            double z = 4.0 * (2.0 * i / (POINTS - 1) - 1.0), weight = exp(-0.5 * z * z);
            double y = (double)activate(type, src->mean[c] + (float)z * src->deviation[c]);
            weights += weight;
            sum += weight * y;
            squares += weight * y * y;
        }
        double mean = sum / weights;
        dst->mean[c] = (float)mean;
        dst->deviation[c] = (float)sqrt(fmax(squares / weights - mean * mean, 0.0));
    }
    dst->known = src->known;
}

/* All grow with their source but SiLU, which has a least value. */
static struct agn__range activated_range(enum agn_op_type type, const struct agn__range *src)
{
    if (type == AGN_OP_SIGMOID || (type == AGN_OP_RELU6 && !is_known(src)))
        return (struct agn__range){0.0F, type == AGN_OP_SIGMOID ? 1.0F : 6.0F};
    if (!is_known(src))
        return type == AGN_OP_TANH ? (struct agn__range){-1.0F, 1.0F} : unknown;
    float low = type == AGN_OP_SILU ? SILU_LEAST : activate(type, src->low);
    return (struct agn__range){low, fmaxf(activate(type, src->high), low)};
}

static void copy_moments(const struct moments *src, int channels, struct moments *dst)
{
    memcpy(dst->mean, src->mean, (size_t)channels * sizeof(float));
    memcpy(dst->deviation, src->deviation, (size_t)channels * sizeof(float));
    dst->known = src->known;
}

/* A pixel's channel is one of several of its source, as likely each. */
static void shuffled_moments(const struct moments *src, int channels, int pixels, struct moments *dst)
{
    for (int c = 0; c < channels; c++) {
        double mean = 0.0, squares = 0.0;
        for (int i = 0; i < pixels; i++) {
            double m = src->mean[i * channels + c], d = src->deviation[i * channels + c];
            mean += m / pixels;
            squares += (d * d + m * m) / pixels;
        }
        dst->mean[c] = (float)mean;
        dst->deviation[c] = (float)sqrt(fmax(squares - mean * mean, 0.0));
    }
    dst->known = src->known;
}

static struct agn__range added(const struct agn__range *a, const struct agn__range *b,
                               const struct moments *x, const struct moments *y, int channels,
                               struct moments *sum)
{
    if (!is_known(a) || !is_known(b))
        return unknown;
    struct agn__range range = {a->low + b->low, a->high + b->high};
    for (int c = 0; c < channels; c++) {
        sum->mean[c] = x->mean[c] + y->mean[c];
        sum->deviation[c] = hypotf(x->deviation[c], y->deviation[c]);
    }
    sum->known = x->known && y->known;
    if (sum->known) {
        struct agn__range likely = bounds(sum, channels);
        range.low = fmaxf(range.low, likely.low);
        range.high = fminf(range.high, likely.high);
    }
    return range;
}

static int operator_range(const struct agn_op_spec *spec, int i, const struct agn_params *params,
                          struct moments *all, struct agn__range *ranges)
{
    int a = spec->src[0], b = spec->src[1], channels = spec->shape.channels, status = AGN_OK;
    ranges[i] = unknown;
    switch (spec->type) {
    case AGN_OP_BATCHNORM:
        status = batchnorm_moments(params, spec, &all[i]);
        ranges[i] = bounds(&all[i], channels);
        if (spec->relu6) {
            ranges[i] = activated_range(AGN_OP_RELU6, &ranges[i]);
            activated_moments(AGN_OP_RELU6, &all[i], channels, &all[i]);
        }
        break;
    case AGN_OP_ADD:
        ranges[i] = added(&ranges[a], &ranges[b], &all[a], &all[b], channels, &all[i]);
        break;
    case AGN_OP_RELU6:
    case AGN_OP_SIGMOID:
    case AGN_OP_SILU:
    case AGN_OP_TANH:
        ranges[i] = activated_range(spec->type, &ranges[a]);
        activated_moments(spec->type, &all[a], channels, &all[i]);
        break;
    case AGN_OP_SCALE: /* by factors from 0 to 1, as squeeze-and-excitation has them */
        if (is_known(&ranges[a]))
            ranges[i] = (struct agn__range){fminf(ranges[a].low, 0.0F), fmaxf(ranges[a].high, 0.0F)};
        break;
    case AGN_OP_POOL:
    case AGN_OP_UP:
        ranges[i] = ranges[a];
        copy_moments(&all[a], channels, &all[i]);
        break;
    case AGN_OP_SHUFFLE:
        ranges[i] = ranges[a];
        shuffled_moments(&all[a], channels, spec->stride * spec->stride, &all[i]);
        break;
    default: /* a convolution without BN */
        break;
    }
    return status;
}

int agn__ranges_from_statistics(const struct agn_graph *graph, const struct agn_params *params,
                                const struct agn__range *source, struct agn__range *ranges)
{
    size_t channels = 0, at = 0;
    for (int i = 0; i < graph->count; i++)
        channels += (size_t)graph->ops[i].shape.channels;
    struct moments *all = agn_alloc((size_t)graph->count, sizeof(*all));
    float *floats = agn_alloc(2 * channels, sizeof(float));
    int status = all == NULL || floats == NULL ? AGN_ERR_MEMORY : AGN_OK;
    ranges[0] = *source;
    for (int i = 0; i < graph->count && status == AGN_OK; i++) {
        all[i] = (struct moments){.mean = floats + at, .deviation = floats + channels + at};
        at += (size_t)graph->ops[i].shape.channels;
        status = i == 0 ? AGN_OK : operator_range(&graph->ops[i], i, params, all, ranges);
    }
    agn_free(all);
    agn_free(floats);
    return status;
}
