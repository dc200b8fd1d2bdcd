/* Batch normalisation over (batch, height, width) per channel, optionally followed by ReLU6
 * (Ioffe & Szegedy 2015).
 *
 * Training: y = act(gamma * (x - mean) / sqrt(var + eps) + beta) with the batch's mean and biased
 * variance; running statistics move towards them (the variance unbiased, as in PyTorch).
 * With A = gamma/sqrt(var+eps), R rows, dy' = masked dy, s1 = sum dy', s2 = sum dy' (x-mean)/sqrt(var+eps):
 *   dgamma = s2, dbeta = s1, dx = A dy' - A s1/R - A s2/R (x - mean)/sqrt(var+eps).
 * With peers (nn.h) R counts the rows of all of them, and mean, variance, s1 and s2 are sums over all; dgamma
 * and dbeta are the own rows' part. Frozen: y = act(scale x + shift); normally folded into the convolution
 * before it (op_conv.c).
 *
 * Tensors are rows x channels here, whatever the picture's shape. */
#include "nn/op_batchnorm.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { ROW_BLOCK = 64 };

static const double EPSILON = 1e-5;

/* Of a BN's parameters in the store. */
struct places {
    int64_t gamma, beta, mean, var;
};

struct bn_state {
    int channels;
    size_t rows;
    struct places at;
    int table_buffer, partial_buffer, peer_buffer, extra_buffer[2];
    /* tables of `channels` floats: forward scale and shift, mean, 1/deviation, backward coefficients */
    float *scale, *shift, *batch_mean, *inverse, *coef_dy, *coef_x, *coef_one;
    double *partial; /* for each of net->threads parts of the rows: 2 x channels */
    double *sums;    /* 2 x channels over all peers; NULL without */
    int status;      /* of summing over peers */
};

static int bn_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    spec->shape = graph->ops[spec->src[0]].shape;
    return AGN_OK;
}

int agn_graph_batchnorm(struct agn_graph *graph, int src, const char *name, bool relu6)
{
    struct agn_op_spec spec = {.type = AGN_OP_BATCHNORM, .src = {src, -1}, .relu6 = relu6};
    int status = agn__spec_name(&spec, name);
    return status < 0 ? status : agn__graph_append(graph, &spec);
}

static int bn_declare(const struct agn_graph *graph, const struct agn_op_spec *spec,
                      struct agn_params *params)
{
    (void)graph;
    static const char *const suffix[4] = {"gamma", "beta", "mean", "var"};
    int status = AGN_OK;
    for (int i = 0; i < 4 && status == AGN_OK; i++) {
        struct agn__param_request request = {suffix[i], 1, {spec->shape.channels}, i < 2, false};
        status = agn__param_declare(params, spec, &request);
    }
    return status;
}

static void bn_initialise(const struct agn_op_spec *spec, struct agn_params *params, struct agn_rng *rng)
{
    (void)rng;
    int64_t gamma = agn__param_offset(params, spec, "gamma"), var = agn__param_offset(params, spec, "var");
    for (int c = 0; c < spec->shape.channels; c++) {
        params->value[gamma + c] = 1.0F;
        params->value[var + c] = 1.0F;
    }
}

static int find_places(const struct agn_params *params, const struct agn_op_spec *spec, struct places *at)
{
    at->gamma = agn__param_offset(params, spec, "gamma");
    at->beta = agn__param_offset(params, spec, "beta");
    at->mean = agn__param_offset(params, spec, "mean");
    at->var = agn__param_offset(params, spec, "var");
    bool complete = at->gamma >= 0 && at->beta >= 0 && at->mean >= 0 && at->var >= 0;
    return complete ? AGN_OK : agn_fail(AGN_ERR_ARG, "the parameter store has no '%s'", spec->name);
}

int agn__batchnorm_affine(const struct agn_params *params, const struct agn_op_spec *spec, int channels,
                          float *scale, float *shift)
{
    struct places at;
    int status = find_places(params, spec, &at);
    for (int c = 0; c < channels && status == AGN_OK; c++) {
        float a = params->value[at.gamma + c] / sqrtf(params->value[at.var + c] + (float)EPSILON);
        scale[c] = a;
        shift[c] = params->value[at.beta + c] - params->value[at.mean + c] * a;
    }
    return status;
}

int agn_batchnorm_fold(const struct agn_params *params, const char *name, int channel, double *scale,
                       double *shift)
{
    struct agn_op_spec spec = {.type = AGN_OP_BATCHNORM};
    struct places at;
    int status = agn__spec_name(&spec, name);
    if (status == AGN_OK)
        status = find_places(params, &spec, &at);
    if (status == AGN_OK) {
        *scale = (double)params->value[at.gamma + channel] /
                 sqrt((double)params->value[at.var + channel] + EPSILON);
        *shift = (double)params->value[at.beta + channel] - (double)params->value[at.mean + channel] * *scale;
    }
    return status;
}

static int bn_plan(struct agn__op *op)
{
    struct agn_net *net = op->net;
    struct bn_state *state = agn_alloc(1, sizeof(*state));
    if (state == NULL)
        return AGN_ERR_MEMORY;
    op->state = state;
    state->channels = op->spec->shape.channels;
    state->rows = op->dst->floats / (size_t)state->channels;
    int status = find_places(net->params, op->spec, &state->at);
    if (status < 0)
        return status;
    size_t channels = (size_t)state->channels;
    state->table_buffer = agn__net_buffer_always(net, 7 * channels * sizeof(float));
    state->partial_buffer = agn__net_buffer_always(net, 2 * channels * sizeof(double) * (size_t)net->threads);
    bool peers = net->mode == AGN_NET_TRAIN && net->peers.sum != NULL;
    state->peer_buffer = peers ? agn__net_buffer_always(net, 2 * channels * sizeof(double)) : -1;
    static const enum agn__pass passes[2] = {AGN__BACKWARD, AGN__TANGENT_BACKWARD};
    for (int i = 0; i < 2; i++) {
        int now = agn__time(net, passes[i], op->index);
        bool adds = op->flow[0] == AGN__FLOW_ADD;
        state->extra_buffer[i] =
            adds ? agn__net_buffer(net, op->src[0]->floats * sizeof(float), now, now) : -1;
    }
    return AGN_OK;
}

static int bn_bind(struct agn__op *op)
{
    struct bn_state *state = op->state;
    float *table = agn__net_address(op->net, state->table_buffer);
    float **tables[] = {&state->scale,   &state->shift,  &state->batch_mean, &state->inverse,
                        &state->coef_dy, &state->coef_x, &state->coef_one};
    for (size_t i = 0; i < AGN_COUNT_OF(tables); i++)
        *tables[i] = table + i * (size_t)state->channels;
    state->partial = agn__net_address(op->net, state->partial_buffer);
    state->sums = agn__net_address(op->net, state->peer_buffer);
    return AGN_OK;
}

/* ---- loops over rows x channels ------------------------------------------------------ */

/* sums[c] += x - origin, sums[channels + c] += (x - origin)^2; sums of a block of rows in float, totals in
 * double. Any value of the channel makes a good origin: without one, a channel whose mean is a hundred
 * times its deviation would lose its variance to cancellation. */
AGN_SIMD static void moments(const float *restrict x, const float *restrict origin, size_t rows,
                             size_t channels, float *restrict block, double *restrict sums)
{
    float *restrict sum = block, *restrict square = block + channels;
    for (size_t begin = 0; begin < rows; begin += ROW_BLOCK) {
        size_t end = begin + ROW_BLOCK < rows ? begin + ROW_BLOCK : rows;
        memset(block, 0, 2 * channels * sizeof(float));
        for (size_t r = begin; r < end; r++) {
            const float *restrict row = x + r * channels;
            for (size_t c = 0; c < channels; c++) {
                float d = row[c] - origin[c];
                sum[c] += d;
                square[c] += d * d;
            }
        }
        for (size_t c = 0; c < 2 * channels; c++)
            sums[c] += (double)block[c];
    }
}

AGN_SIMD static void affine(const float *restrict x, float *restrict y, size_t rows, size_t channels,
                            const float *restrict scale, const float *restrict shift, float low, float high)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < channels; c++) {
            float v = x[r * channels + c] * scale[c] + shift[c];
            v = v > low ? v : low;
            y[r * channels + c] = v < high ? v : high;
        }
    }
}

/* The loops of backward are inlined with a constant `clips` (is a ReLU6 there?), each case a straight loop.
 * They find out anew what ReLU6 has clipped: the forward loop's expression gives the same bits, and a product
 * and a sum cost less than another tensor from memory. */
#define INLINE static inline __attribute__((always_inline))

/* dy', which is dy where ReLU6 is open, for one value of a channel. */
INLINE float open_gradient(float x, float scale, float shift, float dy, bool clips)
{
    float v = x * scale + shift;
    return !clips || (v > 0.0F && v < 6.0F) ? dy : 0.0F;
}

INLINE void gradient_moments_loop(const struct bn_state *state, const float *restrict x,
                                  const float *restrict dy, size_t rows, bool clips, float *restrict block,
                                  double *restrict sums)
{
    size_t channels = (size_t)state->channels;
    const float *restrict scale = state->scale, *restrict shift = state->shift;
    const float *restrict mean = state->batch_mean;
    float *restrict sum = block, *restrict product = block + channels;
    for (size_t begin = 0; begin < rows; begin += ROW_BLOCK) {
        size_t end = begin + ROW_BLOCK < rows ? begin + ROW_BLOCK : rows;
        memset(block, 0, 2 * channels * sizeof(float));
        for (size_t r = begin; r < end; r++) {
            size_t at = r * channels;
            for (size_t c = 0; c < channels; c++) {
                float g = open_gradient(x[at + c], scale[c], shift[c], dy[at + c], clips);
                sum[c] += g;
                product[c] += g * (x[at + c] - mean[c]);
            }
        }
        for (size_t c = 0; c < 2 * channels; c++)
            sums[c] += (double)block[c];
    }
}

/* sums[c] += dy', sums[channels + c] += dy' * (x - mean) */
AGN_SIMD static void gradient_moments(const struct bn_state *state, const float *x, const float *dy,
                                      size_t rows, bool clips, float *block, double *sums)
{
    if (clips)
        gradient_moments_loop(state, x, dy, rows, true, block, sums);
    else
        gradient_moments_loop(state, x, dy, rows, false, block, sums);
}

INLINE void gradient_affine_loop(const struct bn_state *state, const float *restrict x,
                                 const float *restrict dy, float *restrict dx, size_t rows, bool clips)
{
    size_t channels = (size_t)state->channels;
    const float *restrict scale = state->scale, *restrict shift = state->shift;
    const float *restrict a = state->coef_dy, *restrict b = state->coef_x, *restrict k = state->coef_one;
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * channels;
        for (size_t c = 0; c < channels; c++) {
            float g = open_gradient(x[at + c], scale[c], shift[c], dy[at + c], clips);
            dx[at + c] = a[c] * g + b[c] * x[at + c] + k[c];
        }
    }
}

/* dx = a dy' + b x + k */
AGN_SIMD static void gradient_affine(const struct bn_state *state, const float *x, const float *dy, float *dx,
                                     size_t rows, bool clips)
{
    if (clips)
        gradient_affine_loop(state, x, dy, dx, rows, true);
    else
        gradient_affine_loop(state, x, dy, dx, rows, false);
}

/* dx = scale dy' */
AGN_SIMD static void gradient_scale(const float *restrict y, const float *restrict dy, float *restrict dx,
                                    size_t rows, size_t channels, const float *restrict scale, float low,
                                    float high)
{
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * channels;
        for (size_t c = 0; c < channels; c++)
            dx[at + c] = y[at + c] > low && y[at + c] < high ? scale[c] * dy[at + c] : 0.0F;
    }
}

static float low_bound(const struct agn__op *op)
{
    return op->spec->relu6 ? 0.0F : -INFINITY;
}

static float high_bound(const struct agn__op *op)
{
    return op->spec->relu6 ? 6.0F : INFINITY;
}

/* Sum of the parts' sums of table entry i. */
static double total(const struct bn_state *state, size_t i, int parts)
{
    double sum = 0.0;
    for (int p = 0; p < parts; p++)
        sum += state->partial[(size_t)p * 2 * (size_t)state->channels + i];
    return sum;
}

/* ---- passes ----------------------------------------------------------------------------- */

/* Rows over which the batch's statistics go. */
static double all_rows(const struct agn__op *op, const struct bn_state *state)
{
    return state->sums == NULL ? (double)state->rows : (double)state->rows * (double)op->net->peers.count;
}

static int sum_over_peers(struct agn__op *op, struct bn_state *state)
{
    return op->net->peers.sum(op->net->peers.user, state->sums, 2 * (size_t)state->channels);
}

/* The sums about the own origin (see moments) as sums about 0, over all peers: their origins differ. In
 * double the cancellation that origins avoid does no harm. */
static void share_statistics(struct agn__op *op, struct bn_state *state, int parts)
{
    double rows = (double)state->rows;
    for (int c = 0; c < state->channels; c++) {
        double origin = (double)op->src[0]->value[c], sum = total(state, (size_t)c, parts);
        double square = total(state, (size_t)(state->channels + c), parts);
        state->sums[c] = sum + rows * origin;
        state->sums[state->channels + c] = square + 2.0 * origin * sum + rows * origin * origin;
    }
    state->status = sum_over_peers(op, state);
}

static void channel_statistics(const struct agn__op *op, const struct bn_state *state, int c, int parts,
                               double *mean, double *var)
{
    double rows = all_rows(op, state);
    if (state->sums != NULL) {
        *mean = state->sums[c] / rows;
        *var = state->sums[state->channels + c] / rows - *mean * *mean;
    } else {
        double from_origin = total(state, (size_t)c, parts) / rows;
        *var = total(state, (size_t)(state->channels + c), parts) / rows - from_origin * from_origin;
        *mean = (double)op->src[0]->value[c] + from_origin;
    }
}

static void finish_statistics(struct agn__op *op, struct bn_state *state, int parts)
{
    struct agn_params *params = op->net->params;
    float weight = op->net->bn_momentum;
    double rows = all_rows(op, state), unbiased = rows > 1.0 ? rows / (rows - 1.0) : 1.0;
    if (state->sums != NULL)
        share_statistics(op, state, parts);
    for (int c = 0; c < state->channels; c++) {
        double mean, var;
        channel_statistics(op, state, c, parts, &mean, &var);
        var = var > 0.0 ? var : 0.0;
        float inverse = (float)(1.0 / sqrt(var + (double)(float)EPSILON));
        float *running_mean = &params->value[state->at.mean + c],
              *running_var = &params->value[state->at.var + c];
        state->batch_mean[c] = (float)mean;
        state->inverse[c] = inverse;
        state->scale[c] = params->value[state->at.gamma + c] * inverse;
        state->shift[c] = params->value[state->at.beta + c] - (float)mean * state->scale[c];
        *running_mean += weight * ((float)mean - *running_mean);
        *running_var += weight * ((float)(var * unbiased) - *running_var);
    }
}

static int bn_load(struct agn__op *op)
{
    struct bn_state *state = op->state;
    return op->net->mode == AGN_NET_TRAIN ? AGN_OK
                                          : agn__batchnorm_affine(op->net->params, op->spec, state->channels,
                                                                  state->scale, state->shift);
}

static int bn_forward(struct agn__op *op)
{
    struct bn_state *state = op->state;
    size_t channels = (size_t)state->channels;
    bool train = op->net->mode == AGN_NET_TRAIN;
#pragma omp parallel
    {
        size_t begin, end;
        int thread = omp_get_thread_num(), threads = omp_get_num_threads(), parts = op->net->threads;
        for (int part = thread; train && part < parts; part += threads) {
            float block[2 * channels];
            double *sums = state->partial + (size_t)part * 2 * channels;
            memset(sums, 0, 2 * channels * sizeof(double));
            const float *x = op->src[0]->value; /* its first row is the origin */
            agn__split(state->rows, ROW_BLOCK, part, parts, &begin, &end);
            moments(x + begin * channels, x, end - begin, channels, block, sums);
        }
        if (train) {
#pragma omp barrier
#pragma omp master /* only the calling thread may speak to peers */
            finish_statistics(op, state, parts);
#pragma omp barrier
        }
        agn__split(state->rows, ROW_BLOCK, thread, threads, &begin, &end);
        affine(op->src[0]->value + begin * channels, op->dst->value + begin * channels, end - begin, channels,
               state->scale, state->shift, low_bound(op), high_bound(op));
    }
    return state->status;
}

static void finish_gradients(struct agn__op *op, struct bn_state *state, int parts)
{
    float *grad = op->net->params->grad;
    float rows = (float)all_rows(op, state);
    size_t channels = (size_t)state->channels;
    for (size_t i = 0; state->sums != NULL && i < 2 * channels; i++)
        state->sums[i] = total(state, i, parts);
    state->status = state->sums == NULL ? AGN_OK : sum_over_peers(op, state);
    for (int c = 0; c < state->channels; c++) {
        float s1 = (float)total(state, (size_t)c, parts);
        float s2 = (float)total(state, (size_t)(state->channels + c), parts) * state->inverse[c];
        grad[state->at.gamma + c] = s2;
        grad[state->at.beta + c] = s1;
        if (state->sums != NULL) {
            s1 = (float)state->sums[c];
            s2 = (float)state->sums[state->channels + c] * state->inverse[c];
        }
        float a = state->scale[c], b = -a * s2 / rows * state->inverse[c];
        state->coef_dy[c] = a;
        state->coef_x[c] = b;
        state->coef_one[c] = -a * s1 / rows - b * state->batch_mean[c];
    }
}

static int bn_backward(struct agn__op *op)
{
    struct bn_state *state = op->state;
    size_t channels = (size_t)state->channels;
    bool train = op->net->mode == AGN_NET_TRAIN, reach = op->flow[0] != AGN__FLOW_NONE;
    float *extra = agn__net_address(op->net, state->extra_buffer[0]);
    float *dx = extra != NULL ? extra : op->src[0]->diff;
    const float *x = op->src[0]->value, *dy = op->dst->diff;
#pragma omp parallel
    {
        size_t begin, end;
        int thread = omp_get_thread_num(), threads = omp_get_num_threads(), parts = op->net->threads;
        for (int part = thread; train && part < parts; part += threads) {
            float block[2 * channels];
            double *sums = state->partial + (size_t)part * 2 * channels;
            memset(sums, 0, 2 * channels * sizeof(double));
            agn__split(state->rows, ROW_BLOCK, part, parts, &begin, &end);
            gradient_moments(state, x + begin * channels, dy + begin * channels, end - begin, op->spec->relu6,
                             block, sums);
        }
        if (train) {
#pragma omp barrier
#pragma omp master /* only the calling thread may speak to peers */
            finish_gradients(op, state, parts);
#pragma omp barrier
        }
        agn__split(state->rows, ROW_BLOCK, thread, threads, &begin, &end);
        size_t at = begin * channels, rows = end - begin;
        if (train && reach) {
            gradient_affine(state, x + at, dy + at, dx + at, rows, op->spec->relu6);
        } else if (reach) {
            gradient_scale(op->dst->value + at, dy + at, dx + at, rows, channels, state->scale, low_bound(op),
                           high_bound(op));
        }
    }
    if (extra != NULL)
        agn__add_to(op->src[0]->diff, extra, op->src[0]->floats);
    return state->status;
}

/* Frozen BN is linear but for the mask: tangent and tangent-backward scale and mask. */
static int scale_all(struct agn__op *op, const float *src, float *dst, int extra_buffer)
{
    struct bn_state *state = op->state;
    size_t channels = (size_t)state->channels;
    float *extra = agn__net_address(op->net, extra_buffer);
    float *target = extra != NULL ? extra : dst;
#pragma omp parallel
    {
        size_t begin, end;
        agn__split(state->rows, ROW_BLOCK, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        size_t at = begin * channels;
        gradient_scale(op->dst->value + at, src + at, target + at, end - begin, channels, state->scale,
                       low_bound(op), high_bound(op));
    }
    if (extra != NULL)
        agn__add_to(dst, extra, op->src[0]->floats);
    return AGN_OK;
}

static int bn_tangent(struct agn__op *op)
{
    return scale_all(op, op->src[0]->tangent, op->dst->tangent, -1);
}

static int bn_tangent_backward(struct agn__op *op)
{
    struct bn_state *state = op->state;
    return scale_all(op, op->dst->tangent_diff, op->src[0]->tangent_diff, state->extra_buffer[1]);
}

static void bn_release(struct agn__op *op)
{
    agn_free(op->state);
}

const struct agn__op_kind agn__kind_batchnorm = {
    .name = "batchnorm", .shape = bn_shape, .declare = bn_declare, .initialise = bn_initialise};

const struct agn__op_class agn__op_batchnorm = {.plan = bn_plan,
                                                .bind = bn_bind,
                                                .load = bn_load,
                                                .forward = bn_forward,
                                                .backward = bn_backward,
                                                .tangent = bn_tangent,
                                                .tangent_backward = bn_tangent_backward,
                                                .release = bn_release,
                                                .keeps_src = true,
                                                .keeps_dst = true};
