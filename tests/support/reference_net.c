/* The double-precision interpreter of reference_net.h. Clarity first; speed does not matter. */
#include "reference_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double BN_EPSILON = 1e-5;

static double *doubles(size_t count)
{
    double *memory = calloc(count + 1, sizeof(double));
    if (memory == NULL) {
        fprintf(stderr, "reference_net: out of memory\n");
        exit(2);
    }
    return memory;
}

static size_t elements(struct agn_shape shape)
{
    return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* ---- life ------------------------------------------------------------------- */

void reference_load(struct reference_net *net, const struct agn_params *params)
{
    for (size_t i = 0; i < params->total; i++)
        net->param[i] = (double)params->value[i];
}

struct reference_net *reference_create(const struct agn_graph *graph, const struct agn_params *params,
                                       int batch, bool train)
{
    struct reference_net *net = calloc(1, sizeof(*net));
    struct reference_node *nodes = calloc((size_t)graph->count, sizeof(*nodes));
    if (net == NULL || nodes == NULL) {
        fprintf(stderr, "reference_net: out of memory\n");
        exit(2);
    }
    net->graph = *graph;
    net->layout = params;
    net->batch = batch;
    net->train = train;
    net->bn_momentum = 0.1;
    net->nodes = nodes;
    net->param = doubles(params->total);
    net->grad = doubles(params->total);
    reference_load(net, params);
    for (int i = 0; i < graph->count; i++) {
        const struct agn_op_spec *spec = &graph->ops[i];
        size_t count = (size_t)batch * elements(spec->shape);
        nodes[i].count = count;
        nodes[i].value = doubles(count);
        nodes[i].diff = doubles(count);
        nodes[i].tangent = doubles(count);
        nodes[i].tangent_diff = doubles(count);
        nodes[i].mean = doubles((size_t)spec->shape.channels);
        nodes[i].var = doubles((size_t)spec->shape.channels);
        bool clips = spec->type == AGN_OP_RELU6 || (spec->type == AGN_OP_BATCHNORM && spec->relu6);
        nodes[i].before = clips ? doubles(count) : NULL;
        nodes[i].branch = doubles((size_t)batch);
        for (int n = 0; n < batch; n++)
            nodes[i].branch[n] = 1.0;
    }
    return net;
}

void reference_free(struct reference_net *net)
{
    for (int i = 0; i < net->graph.count; i++) {
        struct reference_node *node = &net->nodes[i];
        double *all[] = {node->value,  node->diff, node->tangent, node->tangent_diff,
                         node->before, node->mean, node->var,     node->branch};
        for (size_t k = 0; k < AGN_COUNT_OF(all); k++)
            free(all[k]);
    }
    free(net->nodes);
    free(net->param);
    free(net->grad);
    free(net);
}

struct reference_node *reference_input(struct reference_net *net)
{
    return &net->nodes[0];
}

struct reference_node *reference_output(struct reference_net *net)
{
    return &net->nodes[net->graph.count - 1];
}

/* Offset of a parameter of `spec`; -1 when there is none of that name. */
static long offset_of(const struct reference_net *net, const struct agn_op_spec *spec, const char *suffix)
{
    char name[AGN_NAME_BYTES + 16];
    snprintf(name, sizeof(name), "%s.%s", spec->name, suffix);
    const struct agn_param *param = agn_params_find(net->layout, name);
    return param == NULL ? -1 : (long)param->offset;
}

/* ---- convolution ------------------------------------------------------------- */

enum convolve { TO_DST, TO_SRC, TO_WEIGHTS };

static void convolve_step(enum convolve what, double *src, double *weight, double *dst)
{
    switch (what) {
    case TO_DST:
        *dst += *weight * *src;
        break;
    case TO_SRC:
        *src += *weight * *dst;
        break;
    case TO_WEIGHTS:
        *weight += *src * *dst;
        break;
    }
}

/* One result pixel of one image (`src`, `dst`: that image), all channels. */
static void convolve_pixel(const struct agn_op_spec *spec, struct agn_shape in, enum convolve what, int y,
                           int x, double *src, double *weights, double *dst)
{
    int oc = spec->shape.channels, per_group = spec->depthwise ? 1 : in.channels, k = spec->kernel;
    for (int ky = 0; ky < k; ky++) {
        for (int kx = 0; kx < k; kx++) {
            int row = y * spec->stride - spec->pad + ky, column = x * spec->stride - spec->pad + kx;
            if (row < 0 || row >= in.height || column < 0 || column >= in.width)
                continue;
            for (int o = 0; o < oc; o++) {
                for (int i = 0; i < per_group; i++) {
                    int channel = spec->depthwise ? o : i;
                    convolve_step(what, &src[(row * in.width + column) * in.channels + channel],
                                  &weights[((o * per_group + i) * k + ky) * k + kx],
                                  &dst[(y * spec->shape.width + x) * oc + o]);
                }
            }
        }
    }
}

/* Visits every (source, weight, result) triple of a convolution:
 *   TO_DST: dst += w src;  TO_SRC: src += w dst;  TO_WEIGHTS: w += src dst. */
static void convolve(const struct reference_net *net, const struct agn_op_spec *spec, enum convolve what,
                     double *src, double *weights, double *dst)
{
    struct agn_shape in = net->graph.ops[spec->src[0]].shape, out = spec->shape;
    for (size_t n = 0; n < (size_t)net->batch; n++) {
        for (int y = 0; y < out.height; y++) {
            for (int x = 0; x < out.width; x++) {
                convolve_pixel(spec, in, what, y, x, src + n * elements(in), weights,
                               dst + n * elements(out));
            }
        }
    }
}

/* The same for a dense layer: weights (oc, flattened source). */
static void multiply(const struct reference_net *net, const struct agn_op_spec *spec, enum convolve what,
                     double *src, double *weights, double *dst)
{
    size_t ic = elements(net->graph.ops[spec->src[0]].shape), oc = (size_t)spec->oc;
    for (size_t n = 0; n < (size_t)net->batch; n++) {
        for (size_t o = 0; o < oc; o++)
            for (size_t i = 0; i < ic; i++)
                convolve_step(what, &src[n * ic + i], &weights[o * ic + i], &dst[n * oc + o]);
    }
}

static void linear(const struct reference_net *net, const struct agn_op_spec *spec, enum convolve what,
                   double *src, double *weights, double *dst)
{
    if (spec->type == AGN_OP_DENSE)
        multiply(net, spec, what, src, weights, dst);
    else
        convolve(net, spec, what, src, weights, dst);
}

static void add_bias(const struct reference_net *net, const struct agn_op_spec *spec, double *dst)
{
    long bias = offset_of(net, spec, "bias");
    size_t channels = (size_t)spec->shape.channels, count = (size_t)net->batch * elements(spec->shape);
    for (size_t i = 0; bias >= 0 && i < count; i++)
        dst[i] += net->param[(size_t)bias + i % channels];
}

static void bias_gradient(struct reference_net *net, const struct agn_op_spec *spec, const double *diff)
{
    long bias = offset_of(net, spec, "bias");
    size_t channels = (size_t)spec->shape.channels, count = (size_t)net->batch * elements(spec->shape);
    for (size_t i = 0; bias >= 0 && i < count; i++)
        net->grad[(size_t)bias + i % channels] += diff[i];
}

/* ---- ReLU6 ---------------------------------------------------------------------- */

static double clip(double x)
{
    return x < 0.0 ? 0.0 : x > 6.0 ? 6.0 : x;
}

static double slope(double x)
{
    return x > 0.0 && x < 6.0 ? 1.0 : 0.0;
}

/* ---- batch normalisation ----------------------------------------------------------- */

/* A BN's parameters, `channels` doubles each. */
struct bn_params {
    double *gamma, *beta, *mean, *var;
};

static struct bn_params bn_params(const struct reference_net *net, const struct agn_op_spec *spec)
{
    return (struct bn_params){
        net->param + offset_of(net, spec, "gamma"), net->param + offset_of(net, spec, "beta"),
        net->param + offset_of(net, spec, "mean"), net->param + offset_of(net, spec, "var")};
}

/* Mean and biased variance of channel c, in two passes over the data. */
static void bn_statistics(const double *x, size_t rows, size_t channels, size_t c, double *mean, double *var)
{
    *mean = 0.0;
    *var = 0.0;
    for (size_t r = 0; r < rows; r++)
        *mean += x[r * channels + c] / (double)rows;
    for (size_t r = 0; r < rows; r++) {
        double d = x[r * channels + c] - *mean;
        *var += d * d / (double)rows;
    }
}

static void bn_forward(struct reference_net *net, const struct agn_op_spec *spec, struct reference_node *node)
{
    const double *x = net->nodes[spec->src[0]].value;
    size_t channels = (size_t)spec->shape.channels, rows = node->count / channels;
    struct bn_params bn = bn_params(net, spec);
    for (size_t c = 0; c < channels; c++) {
        double *mean = &node->mean[c], *var = &node->var[c];
        if (net->train) {
            double keep = 1.0 - net->bn_momentum;
            bn_statistics(x, rows, channels, c, mean, var);
            double unbiased = rows > 1 ? *var * (double)rows / (double)(rows - 1) : *var;
            bn.mean[c] = keep * bn.mean[c] + net->bn_momentum * *mean;
            bn.var[c] = keep * bn.var[c] + net->bn_momentum * unbiased;
        } else {
            *mean = bn.mean[c];
            *var = bn.var[c];
        }
        for (size_t i = c; i < node->count; i += channels) {
            double normal = (x[i] - *mean) / sqrt(*var + BN_EPSILON);
            double y = bn.gamma[c] * normal + bn.beta[c];
            if (spec->relu6)
                node->before[i] = y;
            node->value[i] = spec->relu6 ? clip(y) : y;
        }
    }
}

/* Gradient of one channel by the chain rule through normal, var and mean, one step at a time. */
static void bn_backward(struct reference_net *net, const struct agn_op_spec *spec,
                        struct reference_node *node, size_t c)
{
    struct reference_node *src = &net->nodes[spec->src[0]];
    size_t channels = (size_t)spec->shape.channels;
    double rows = (double)(node->count / channels), deviation = sqrt(node->var[c] + BN_EPSILON);
    double gamma = bn_params(net, spec).gamma[c], diff_gamma = 0.0, diff_beta = 0.0;
    double diff_var = 0.0, diff_mean = 0.0;
    for (size_t i = c; i < node->count; i += channels) {
        double dy = node->diff[i] * (spec->relu6 ? slope(node->before[i]) : 1.0);
        double centred = src->value[i] - node->mean[c];
        diff_gamma += dy * centred / deviation;
        diff_beta += dy;
        diff_var += dy * gamma * centred * -0.5 / (deviation * deviation * deviation);
        diff_mean += dy * gamma * -1.0 / deviation;
    }
    for (size_t i = c; i < node->count; i += channels) {
        double dy = node->diff[i] * (spec->relu6 ? slope(node->before[i]) : 1.0);
        double through_statistics =
            diff_var * 2.0 * (src->value[i] - node->mean[c]) / rows + diff_mean / rows;
        src->diff[i] += dy * gamma / deviation + (net->train ? through_statistics : 0.0);
    }
    if (net->train) {
        net->grad[(size_t)offset_of(net, spec, "gamma") + c] += diff_gamma;
        net->grad[(size_t)offset_of(net, spec, "beta") + c] += diff_beta;
    }
}

/* to += from * (derivative of the frozen BN), element by element; the same both ways. */
static void bn_frozen_scale(const struct reference_net *net, const struct agn_op_spec *spec,
                            const struct reference_node *node, const double *from, double *to)
{
    size_t channels = (size_t)spec->shape.channels;
    struct bn_params bn = bn_params(net, spec);
    for (size_t i = 0; i < node->count; i++) {
        size_t c = i % channels;
        double scale = bn.gamma[c] / sqrt(bn.var[c] + BN_EPSILON);
        to[i] += from[i] * scale * (spec->relu6 ? slope(node->before[i]) : 1.0);
    }
}

/* ---- pooling ---------------------------------------------------------------------------- */

/* forward: dst += average of src over each cell; else src += the share of dst. */
static void pool(const struct reference_net *net, const struct agn_op_spec *spec, bool forward, double *src,
                 double *dst)
{
    struct agn_shape in = net->graph.ops[spec->src[0]].shape;
    int g = spec->grid, channels = in.channels;
    for (int t = 0; t < net->batch * g * g * channels; t++) {
        int c = t % channels, j = t / channels % g, i = t / channels / g % g, n = t / channels / g / g;
        int top = (int)floor((double)i * in.height / g), bottom = (int)ceil((i + 1.0) * in.height / g);
        int left = (int)floor((double)j * in.width / g), right = (int)ceil((j + 1.0) * in.width / g);
        double area = (double)(bottom - top) * (right - left);
        for (int y = top; y < bottom; y++) {
            for (int x = left; x < right; x++) {
                double *s = &src[((n * in.height + y) * in.width + x) * channels + c];
                if (forward)
                    dst[t] += *s / area;
                else
                    *s += dst[t] / area;
            }
        }
    }
}

/* ---- upsampling --------------------------------------------------------------------------- */

/* forward: each dst pixel is its nearest src pixel; else src += each dst pixel that it is nearest to. */
static void upsample(const struct reference_net *net, const struct agn_op_spec *spec, bool forward,
                     double *src, double *dst)
{
    struct agn_shape in = net->graph.ops[spec->src[0]].shape, out = spec->shape;
    for (size_t t = 0; t < (size_t)net->batch * elements(out); t++) {
        size_t c = t % (size_t)out.channels, x = t / (size_t)out.channels % (size_t)out.width;
        size_t y = t / (size_t)out.channels / (size_t)out.width % (size_t)out.height, n = t / elements(out);
        /* The nearest to a pixel's centre, on a scale on which both maps are of one size. */
        size_t row = (size_t)floor(((double)y + 0.5) * in.height / out.height);
        size_t column = (size_t)floor(((double)x + 0.5) * in.width / out.width);
        double *s = &src[n * elements(in) + (row * (size_t)in.width + column) * (size_t)in.channels + c];
        if (forward)
            dst[t] += *s;
        else
            *s += dst[t];
    }
}

/* ---- depth to space ----------------------------------------------------------------------- */

static void shuffle(const struct reference_net *net, const struct agn_op_spec *spec, bool forward,
                    double *src, double *dst)
{
    struct agn_shape in = net->graph.ops[spec->src[0]].shape, out = spec->shape;
    size_t f = (size_t)spec->stride;
    for (size_t t = 0; t < (size_t)net->batch * elements(out); t++) {
        size_t c = t % (size_t)out.channels, x = t / (size_t)out.channels % (size_t)out.width;
        size_t y = t / (size_t)out.channels / (size_t)out.width % (size_t)out.height, n = t / elements(out);
        size_t pixel = y / f * (size_t)in.width + x / f, part = y % f * f + x % f;
        double *s = &src[n * elements(in) + pixel * (size_t)in.channels + part * (size_t)out.channels + c];
        if (forward)
            dst[t] += *s;
        else
            *s += dst[t];
    }
}

/* ---- smooth activations and the channel-wise product ------------------------------------------ */

/* Value and first two derivatives of SiLU, the sigmoid or tanh. */
static void activation(enum agn_op_type type, double x, double out[3])
{
    double s = 1.0 / (1.0 + exp(-x)), s1 = s * (1.0 - s), s2 = s1 * (1.0 - 2.0 * s);
    out[0] = type == AGN_OP_SILU ? x * s : s;
    out[1] = type == AGN_OP_SILU ? s + x * s1 : s1;
    out[2] = type == AGN_OP_SILU ? 2.0 * s1 + x * s2 : s2;
    if (type == AGN_OP_TANH) {
        out[0] = tanh(x);
        out[1] = 1.0 / (cosh(x) * cosh(x));
        out[2] = -2.0 * out[0] * out[1];
    }
}

/* Position of element i of a (batch, h, w, c) tensor in the (batch, 1, 1, c) factors. */
static size_t factor_of(const struct agn_op_spec *spec, size_t i)
{
    size_t c = (size_t)spec->shape.channels;
    return i / elements(spec->shape) * c + i % c;
}

/* ---- attention ------------------------------------------------------------------------------- */

/* Image n's query, key or value of position i: its start in a (batch, h, w, 2 d + c) tensor. */
enum part { QUERY, KEY, VALUE };

static size_t at_part(const struct reference_net *net, const struct agn_op_spec *spec, size_t n, size_t i,
                      enum part part)
{
    struct agn_shape qkv = net->graph.ops[spec->src[1]].shape;
    size_t d = (size_t)(qkv.channels - spec->shape.channels) / 2;
    return n * elements(qkv) + i * (size_t)qkv.channels + (size_t)part * d;
}

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* One query's work: weights p over all positions, what backward says of them (g), and their tangents. */
struct query {
    size_t n, i, positions, d, c;
    double gamma, *p, *p_dot;
};

static struct query query_make(const struct reference_net *net, const struct agn_op_spec *spec, size_t n,
                               size_t i)
{
    struct agn_shape x = spec->shape, qkv = net->graph.ops[spec->src[1]].shape;
    size_t positions = (size_t)x.height * (size_t)x.width, d = (size_t)(qkv.channels - x.channels) / 2;
    struct query q = {n,
                      i,
                      positions,
                      d,
                      (size_t)x.channels,
                      net->param[offset_of(net, spec, "gamma")],
                      doubles(positions),
                      doubles(positions)};
    const struct reference_node *b = &net->nodes[spec->src[1]];
    size_t own = at_part(net, spec, n, i, QUERY);
    double sum = 0.0, mean = 0.0, top = -INFINITY;
    for (size_t j = 0; j < positions; j++) {
        size_t key = at_part(net, spec, n, j, KEY);
        q.p[j] = dot(&b->value[own], &b->value[key], d);
        q.p_dot[j] = dot(&b->tangent[own], &b->value[key], d) + dot(&b->value[own], &b->tangent[key], d);
        top = fmax(top, q.p[j]);
    }
    for (size_t j = 0; j < positions; j++) {
        q.p[j] = exp(q.p[j] - top);
        sum += q.p[j];
    }
    for (size_t j = 0; j < positions; j++) {
        q.p[j] /= sum;
        mean += q.p[j] * q.p_dot[j];
    }
    for (size_t j = 0; j < positions; j++)
        q.p_dot[j] = q.p[j] * (q.p_dot[j] - mean);
    return q;
}

static void query_release(struct query *q)
{
    free(q->p);
    free(q->p_dot);
}

/* forward: value; else tangent. */
static void attend(const struct reference_net *net, const struct agn_op_spec *spec,
                   struct reference_node *node, bool tangent)
{
    const struct reference_node *a = &net->nodes[spec->src[0]], *b = &net->nodes[spec->src[1]];
    size_t positions = (size_t)spec->shape.height * (size_t)spec->shape.width;
    for (size_t t = 0; t < (size_t)net->batch * positions; t++) {
        struct query q = query_make(net, spec, t / positions, t % positions);
        for (size_t c = 0; c < q.c; c++) {
            double sum = 0.0, sum_dot = 0.0;
            for (size_t j = 0; j < positions; j++) {
                size_t v = at_part(net, spec, q.n, j, VALUE) + c;
                sum += q.p[j] * b->value[v];
                sum_dot += q.p_dot[j] * b->value[v] + q.p[j] * b->tangent[v];
            }
            if (tangent)
                node->tangent[t * q.c + c] = a->tangent[t * q.c + c] + q.gamma * sum_dot;
            else
                node->value[t * q.c + c] = a->value[t * q.c + c] + q.gamma * sum;
        }
        query_release(&q);
    }
}

/* dL/dp of one query's weights, and the derivative of that along the tangent. */
static void weight_gradients(const struct reference_net *net, const struct agn_op_spec *spec,
                             const struct query *q, const double *dy, const double *dy_dot, double *dp,
                             double *dp_dot)
{
    const struct reference_node *b = &net->nodes[spec->src[1]];
    for (size_t j = 0; j < q->positions; j++) {
        size_t v = at_part(net, spec, q->n, j, VALUE);
        dp[j] = q->gamma * dot(dy, &b->value[v], q->c);
        dp_dot[j] = q->gamma * (dot(dy_dot, &b->value[v], q->c) + dot(dy, &b->tangent[v], q->c));
    }
}

/* Of one query, position by position through the softmax's Jacobian p_j (1[j = k] - p_k); dy = dL/dy. With
 * `tangent` the derivative of that along the tangent. */
static void query_backward(struct reference_net *net, const struct agn_op_spec *spec, const struct query *q,
                           const double *dy, const double *dy_dot, bool tangent)
{
    struct reference_node *b = &net->nodes[spec->src[1]];
    double *dp = doubles(q->positions), *dp_dot = doubles(q->positions);
    double *to = tangent ? b->tangent_diff : b->diff;
    size_t own = at_part(net, spec, q->n, q->i, QUERY);
    weight_gradients(net, spec, q, dy, dy_dot, dp, dp_dot);
    for (size_t k = 0; k < q->positions; k++) {
        size_t key = at_part(net, spec, q->n, k, KEY), value = at_part(net, spec, q->n, k, VALUE);
        double score = 0.0, score_dot = 0.0; /* dL/dS_ik */
        for (size_t j = 0; j < q->positions; j++) {
            double share = (j == k ? 1.0 : 0.0) - q->p[k];
            score += dp[j] * q->p[j] * share;
            score_dot += (dp_dot[j] * q->p[j] + dp[j] * q->p_dot[j]) * share - dp[j] * q->p[j] * q->p_dot[k];
        }
        for (size_t c = 0; c < q->c; c++)
            to[value + c] +=
                q->gamma * (tangent ? q->p_dot[k] * dy[c] + q->p[k] * dy_dot[c] : q->p[k] * dy[c]);
        for (size_t d = 0; d < q->d; d++) {
            double *query = &b->value[own + d], *query_dot = &b->tangent[own + d];
            double *one_key = &b->value[key + d], *key_dot = &b->tangent[key + d];
            to[own + d] += tangent ? score_dot * *one_key + score * *key_dot : score * *one_key;
            to[key + d] += tangent ? score_dot * *query + score * *query_dot : score * *query;
        }
        if (net->train)
            net->grad[offset_of(net, spec, "gamma")] += q->p[k] * dot(dy, &b->value[value], q->c);
    }
    free(dp);
    free(dp_dot);
}

static void attend_backward(struct reference_net *net, const struct agn_op_spec *spec,
                            const struct reference_node *node, bool tangent)
{
    struct reference_node *a = &net->nodes[spec->src[0]];
    size_t positions = (size_t)spec->shape.height * (size_t)spec->shape.width;
    for (size_t i = 0; i < node->count; i++)
        *(tangent ? &a->tangent_diff[i] : &a->diff[i]) += tangent ? node->tangent_diff[i] : node->diff[i];
    for (size_t t = 0; t < (size_t)net->batch * positions; t++) {
        struct query q = query_make(net, spec, t / positions, t % positions);
        query_backward(net, spec, &q, &node->diff[t * q.c], &node->tangent_diff[t * q.c], tangent);
        query_release(&q);
    }
}

/* ---- passes ------------------------------------------------------------------------------- */

static void clear(double *values, size_t count)
{
    memset(values, 0, count * sizeof(double));
}

/* Stochastic depth: the factor of element i's image. */
static double branch(const struct reference_net *net, const struct reference_node *node, size_t i)
{
    return net->train ? node->branch[i / (node->count / (size_t)net->batch)] : 1.0;
}

static void forward_op(struct reference_net *net, const struct agn_op_spec *spec, struct reference_node *node)
{
    struct reference_node *a = &net->nodes[spec->src[0]];
    clear(node->value, node->count);
    switch (spec->type) {
    case AGN_OP_CONV:
    case AGN_OP_DENSE:
        linear(net, spec, TO_DST, a->value, net->param + offset_of(net, spec, "weight"), node->value);
        add_bias(net, spec, node->value);
        break;
    case AGN_OP_BATCHNORM:
        bn_forward(net, spec, node);
        break;
    case AGN_OP_RELU6:
        memcpy(node->before, a->value, node->count * sizeof(double));
        for (size_t i = 0; i < node->count; i++)
            node->value[i] = clip(node->before[i]);
        break;
    case AGN_OP_ADD:
        for (size_t i = 0; i < node->count; i++)
            node->value[i] = a->value[i] + branch(net, node, i) * net->nodes[spec->src[1]].value[i];
        break;
    case AGN_OP_POOL:
        pool(net, spec, true, a->value, node->value);
        break;
    case AGN_OP_UP:
        upsample(net, spec, true, a->value, node->value);
        break;
    case AGN_OP_SHUFFLE:
        shuffle(net, spec, true, a->value, node->value);
        break;
    case AGN_OP_ATTENTION:
        attend(net, spec, node, false);
        break;
    case AGN_OP_SILU:
    case AGN_OP_SIGMOID:
    case AGN_OP_TANH:
        for (size_t i = 0; i < node->count; i++) {
            double f[3];
            activation(spec->type, a->value[i], f);
            node->value[i] = f[0];
        }
        break;
    case AGN_OP_SCALE:
        for (size_t i = 0; i < node->count; i++)
            node->value[i] = a->value[i] * net->nodes[spec->src[1]].value[factor_of(spec, i)];
        break;
    default:
        abort();
    }
}

void reference_forward(struct reference_net *net)
{
    for (int i = 1; i < net->graph.count; i++)
        forward_op(net, &net->graph.ops[i], &net->nodes[i]);
}

static void backward_op(struct reference_net *net, const struct agn_op_spec *spec,
                        struct reference_node *node)
{
    struct reference_node *a = &net->nodes[spec->src[0]];
    switch (spec->type) {
    case AGN_OP_CONV:
    case AGN_OP_DENSE: {
        long weight = offset_of(net, spec, "weight");
        linear(net, spec, TO_SRC, a->diff, net->param + weight, node->diff);
        if (net->train) {
            linear(net, spec, TO_WEIGHTS, a->value, net->grad + weight, node->diff);
            bias_gradient(net, spec, node->diff);
        }
        break;
    }
    case AGN_OP_BATCHNORM:
        for (size_t c = 0; c < (size_t)spec->shape.channels; c++)
            bn_backward(net, spec, node, c);
        break;
    case AGN_OP_RELU6:
        for (size_t i = 0; i < node->count; i++)
            a->diff[i] += node->diff[i] * slope(node->before[i]);
        break;
    case AGN_OP_ADD:
        for (size_t i = 0; i < node->count; i++) {
            a->diff[i] += node->diff[i];
            net->nodes[spec->src[1]].diff[i] += branch(net, node, i) * node->diff[i];
        }
        break;
    case AGN_OP_POOL:
        pool(net, spec, false, a->diff, node->diff);
        break;
    case AGN_OP_UP:
        upsample(net, spec, false, a->diff, node->diff);
        break;
    case AGN_OP_SHUFFLE:
        shuffle(net, spec, false, a->diff, node->diff);
        break;
    case AGN_OP_ATTENTION:
        attend_backward(net, spec, node, false);
        break;
    case AGN_OP_SILU:
    case AGN_OP_SIGMOID:
    case AGN_OP_TANH:
        for (size_t i = 0; i < node->count; i++) {
            double f[3];
            activation(spec->type, a->value[i], f);
            a->diff[i] += f[1] * node->diff[i];
        }
        break;
    case AGN_OP_SCALE:
        for (size_t i = 0; i < node->count; i++) {
            struct reference_node *b = &net->nodes[spec->src[1]];
            size_t j = factor_of(spec, i);
            a->diff[i] += node->diff[i] * b->value[j];
            b->diff[j] += node->diff[i] * a->value[i];
        }
        break;
    default:
        abort();
    }
}

void reference_backward(struct reference_net *net)
{
    clear(net->grad, net->layout->total);
    for (int i = 0; i < net->graph.count - 1; i++)
        clear(net->nodes[i].diff, net->nodes[i].count);
    for (int i = net->graph.count - 1; i > 0; i--)
        backward_op(net, &net->graph.ops[i], &net->nodes[i]);
}

/* forward: to (of the result) += J from; else to (of source s) += J^T from. Frozen nets. */
static void jacobian_op(struct reference_net *net, const struct agn_op_spec *spec,
                        const struct reference_node *node, bool forward, double *src, double *dst)
{
    switch (spec->type) {
    case AGN_OP_CONV:
    case AGN_OP_DENSE:
        linear(net, spec, forward ? TO_DST : TO_SRC, src, net->param + offset_of(net, spec, "weight"), dst);
        break;
    case AGN_OP_BATCHNORM:
        bn_frozen_scale(net, spec, node, forward ? src : dst, forward ? dst : src);
        break;
    case AGN_OP_POOL:
        pool(net, spec, forward, src, dst);
        break;
    case AGN_OP_UP:
        upsample(net, spec, forward, src, dst);
        break;
    case AGN_OP_SHUFFLE:
        shuffle(net, spec, forward, src, dst);
        break;
    case AGN_OP_RELU6:
    case AGN_OP_ADD:
        for (size_t i = 0; i < node->count; i++) {
            double d = spec->type == AGN_OP_RELU6 ? slope(node->before[i]) : 1.0;
            if (forward)
                dst[i] += d * src[i];
            else
                src[i] += d * dst[i];
        }
        break;
    default:
        abort();
    }
}

static bool is_smooth(enum agn_op_type type)
{
    return type == AGN_OP_SILU || type == AGN_OP_SIGMOID || type == AGN_OP_TANH;
}

/* Tangent of an operator with a second derivative; false for the others. */
static bool curved_tangent(struct reference_net *net, const struct agn_op_spec *spec,
                           struct reference_node *node)
{
    const struct reference_node *a = &net->nodes[spec->src[0]];
    bool smooth = is_smooth(spec->type);
    for (size_t i = 0; smooth && i < node->count; i++) {
        double f[3];
        activation(spec->type, a->value[i], f);
        node->tangent[i] = f[1] * a->tangent[i];
    }
    for (size_t i = 0; spec->type == AGN_OP_SCALE && i < node->count; i++) {
        const struct reference_node *b = &net->nodes[spec->src[1]];
        size_t j = factor_of(spec, i);
        node->tangent[i] = a->tangent[i] * b->value[j] + a->value[i] * b->tangent[j];
    }
    if (spec->type == AGN_OP_ATTENTION)
        attend(net, spec, node, true);
    return smooth || spec->type == AGN_OP_SCALE || spec->type == AGN_OP_ATTENTION;
}

/* Derivative along the tangent of what backward adds to the sources' diff; false for linear operators. */
static bool curved_tangent_backward(struct reference_net *net, const struct agn_op_spec *spec,
                                    const struct reference_node *node)
{
    struct reference_node *a = &net->nodes[spec->src[0]];
    bool smooth = is_smooth(spec->type);
    for (size_t i = 0; smooth && i < node->count; i++) {
        double f[3];
        activation(spec->type, a->value[i], f);
        a->tangent_diff[i] += f[1] * node->tangent_diff[i] + f[2] * a->tangent[i] * node->diff[i];
    }
    for (size_t i = 0; spec->type == AGN_OP_SCALE && i < node->count; i++) {
        struct reference_node *b = &net->nodes[spec->src[1]];
        size_t j = factor_of(spec, i);
        a->tangent_diff[i] += node->tangent_diff[i] * b->value[j] + node->diff[i] * b->tangent[j];
        b->tangent_diff[j] += node->tangent_diff[i] * a->value[i] + node->diff[i] * a->tangent[i];
    }
    if (spec->type == AGN_OP_ATTENTION)
        attend_backward(net, spec, node, true);
    return smooth || spec->type == AGN_OP_SCALE || spec->type == AGN_OP_ATTENTION;
}

void reference_tangent(struct reference_net *net)
{
    for (int i = 1; i < net->graph.count; i++) {
        const struct agn_op_spec *spec = &net->graph.ops[i];
        struct reference_node *node = &net->nodes[i];
        clear(node->tangent, node->count);
        for (int s = 0; s < 2 && spec->src[s] >= 0 && !curved_tangent(net, spec, node); s++)
            jacobian_op(net, spec, node, true, net->nodes[spec->src[s]].tangent, node->tangent);
    }
}

void reference_tangent_backward(struct reference_net *net)
{
    for (int i = 0; i < net->graph.count - 1; i++)
        clear(net->nodes[i].tangent_diff, net->nodes[i].count);
    for (int i = net->graph.count - 1; i > 0; i--) {
        const struct agn_op_spec *spec = &net->graph.ops[i];
        struct reference_node *node = &net->nodes[i];
        if (curved_tangent_backward(net, spec, node))
            continue;
        for (int s = 0; s < 2 && spec->src[s] >= 0; s++)
            jacobian_op(net, spec, node, false, net->nodes[spec->src[s]].tangent_diff, node->tangent_diff);
    }
}

double reference_kink_distance(const struct reference_net *net)
{
    double nearest = INFINITY;
    for (int i = 1; i < net->graph.count; i++) {
        const struct reference_node *node = &net->nodes[i];
        for (size_t k = 0; node->before != NULL && k < node->count; k++) {
            double distance = fmin(fabs(node->before[k]), fabs(node->before[k] - 6.0));
            nearest = distance > 0.0 ? fmin(nearest, distance) : nearest;
        }
    }
    return nearest;
}

/* ---- softmax cross-entropy -------------------------------------------------------------- */

void reference_ce_forward(const double *logits, const int32_t *labels, int n, int classes, double *prob,
                          double *loss)
{
    for (int i = 0; i < n; i++) {
        double sum = 0.0, top = -INFINITY;
        for (int c = 0; c < classes; c++)
            top = fmax(top, logits[i * classes + c]);
        for (int c = 0; c < classes; c++)
            sum += exp(logits[i * classes + c] - top);
        for (int c = 0; c < classes; c++)
            prob[i * classes + c] = exp(logits[i * classes + c] - top) / sum;
        loss[i] = labels[i] < 0 ? 0.0 : log(sum) + top - logits[i * classes + labels[i]];
    }
}

void reference_ce_backward(const double *prob, const int32_t *labels, int n, int classes, double scale,
                           double *diff)
{
    for (int i = 0; i < n * classes; i++) {
        int32_t label = labels[i / classes];
        double onehot = i % classes == label ? 1.0 : 0.0;
        diff[i] = label < 0 ? 0.0 : scale * (prob[i] - onehot);
    }
}

void reference_ce_tangent(const double *prob, const int32_t *labels, const double *tangent, int n,
                          int classes, double *loss_dot)
{
    for (int i = 0; i < n; i++) {
        loss_dot[i] = 0.0;
        for (int c = 0; labels[i] >= 0 && c < classes; c++) {
            double onehot = c == labels[i] ? 1.0 : 0.0;
            loss_dot[i] += (prob[i * classes + c] - onehot) * tangent[i * classes + c];
        }
    }
}

void reference_ce_tangent_backward(const double *prob, const int32_t *labels, const double *tangent, int n,
                                   int classes, double *diff_dot)
{
    for (int i = 0; i < n; i++) {
        const double *p = prob + i * classes, *t = tangent + i * classes;
        for (int c = 0; c < classes; c++) {
            double sum = 0.0;
            for (int e = 0; labels[i] >= 0 && e < classes; e++)
                sum += ((c == e ? p[c] : 0.0) - p[c] * p[e]) * t[e];
            diff_dot[i * classes + c] = sum;
        }
    }
}
