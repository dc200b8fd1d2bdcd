/* Self-attention over the positions of a map, as in SAGAN (Zhang et al. 2019, equations 1 to 3): of an image
 * with p positions, x (p, c), and its queries Q (p, d), keys K (p, d) and values V (p, c), which stand side
 * by side in the second source (p, 2 d + c),
 *   P = softmax over j of S,  S_ij = Q_i K_j          y = x + gamma P V
 * with one learned gamma, which starts at 0. With G = dy V' (' transposes, * is element by element, r the sum
 * of a row of P * G):
 *   backward:  dx = dy,  dV = gamma P' dy,  dS = gamma P * (G - r),  dQ = dS K,  dK = dS' Q,
 *              dgamma = the sum over all rows of r
 *   tangent, of what is written with a dot:  S. = Q. K' + Q K.',  P. = P * (S. - row sums of P * S.),
 *              y. = x. + gamma (P. V + P V.)
 *   tangent-backward: backward's products by the product rule, with P. and G. = dy. V' + dy V.':
 *              dS. = gamma (P. * (G - r) + P * (G. - r.)),  r. = row sums of P. * G + P * G.
 *
 * The matrix P is never stored: BLOCK queries at a time have theirs, which backward makes anew. It stands
 * transposed, (p, BLOCK), so that sums over a row run over vectors of queries. */
#include <omp.h>
#include <string.h>

#include "nn/net_internal.h"
#include "nn/product.h"

enum { BLOCK = 64, MOST_POSITIONS = 16384 };

struct attention_state {
    int64_t gamma_offset;
    float gamma;
    int row_sums_buffer; /* (batch) in training: of an image, the sum over all r */
    double *row_sums;
    float *scratch;
    size_t scratch_floats; /* of a thread */
};

/* Of one image. */
struct sizes {
    size_t positions, channels, inner; /* p, c, d */
    size_t width;                      /* 2 d + c */
    size_t image, qkv_image;           /* floats */
};

static struct sizes sizes_of(const struct agn__op *op)
{
    struct agn_shape x = op->src[0]->shape;
    struct sizes z = {.positions = (size_t)x.height * (size_t)x.width,
                      .channels = (size_t)x.channels,
                      .width = (size_t)op->src[1]->shape.channels};
    z.inner = (z.width - z.channels) / 2;
    z.image = z.positions * z.channels;
    z.qkv_image = z.positions * z.width;
    return z;
}

/* ---- graph ----------------------------------------------------------------------- */

static int attention_shape(const struct agn_graph *graph, struct agn_op_spec *spec)
{
    struct agn_shape x = graph->ops[spec->src[0]].shape, qkv = graph->ops[spec->src[1]].shape;
    int rest = qkv.channels - x.channels;
    if (qkv.height != x.height || qkv.width != x.width || rest < 2 || rest % 2 != 0) {
        return agn_fail(AGN_ERR_ARG,
                        "attention on a %dx%dx%d tensor takes as many positions of %d + 2 n channels (n "
                        "queries, n keys, %d values), not %dx%dx%d",
                        x.height, x.width, x.channels, x.channels, x.channels, qkv.height, qkv.width,
                        qkv.channels);
    }
    if (x.height * x.width > MOST_POSITIONS) {
        return agn_fail(AGN_ERR_RANGE, "attention is possible on maps of up to %d positions, not on %dx%d",
                        MOST_POSITIONS, x.height, x.width);
    }
    spec->shape = x;
    return AGN_OK;
}

int agn_graph_attention(struct agn_graph *graph, int src, int qkv, const char *name)
{
    struct agn_op_spec spec = {.type = AGN_OP_ATTENTION, .src = {src, qkv}};
    int status = agn__spec_name(&spec, name);
    return status < 0 ? status : agn__graph_append(graph, &spec);
}

/* S and P V. */
static int64_t attention_macs(const struct agn_graph *graph, const struct agn_op_spec *spec)
{
    int c = spec->shape.channels, d = (graph->ops[spec->src[1]].shape.channels - c) / 2;
    int64_t positions = (int64_t)spec->shape.height * spec->shape.width;
    return positions * positions * (c + d);
}

static int attention_declare(const struct agn_graph *graph, const struct agn_op_spec *spec,
                             struct agn_params *params)
{
    (void)graph;
    struct agn__param_request gamma = {"gamma", 1, {1}, true, false};
    return agn__param_declare(params, spec, &gamma);
}

/* ---- planning ---------------------------------------------------------------------- */

/* A block's queries and gradients transposed, and matrices (p, BLOCK); tangents double them. */
struct scratch {
    float *q, *q_dot;             /* (d, BLOCK) */
    float *g_rows, *g_dot_rows;   /* (c, BLOCK) */
    float *p, *g, *p_dot, *g_dot; /* (p, BLOCK) */
};

static int attention_plan(struct agn__op *op)
{
    struct agn_net *net = op->net;
    struct attention_state *state = agn_alloc(1, sizeof(*state));
    if (state == NULL)
        return AGN_ERR_MEMORY;
    op->state = state;
    state->gamma_offset = agn__param_offset(net->params, op->spec, "gamma");
    if (state->gamma_offset < 0)
        return agn_fail(AGN_ERR_ARG, "the parameter store has no '%s'", op->spec->name);
    struct sizes z = sizes_of(op);
    bool backward = (net->passes & AGN_PASS_BACKWARD) != 0, tangent = (net->passes & AGN_PASS_TANGENT) != 0;
    size_t matrices = tangent ? 4 : backward ? 2 : 1;
    state->scratch_floats = BLOCK * (2 * (z.inner + z.channels) + matrices * z.positions);
    agn__net_need_scratch(net, (size_t)net->threads * state->scratch_floats * sizeof(float));
    int now = agn__time(net, AGN__BACKWARD, op->index);
    state->row_sums_buffer = backward && net->mode == AGN_NET_TRAIN
                                 ? agn__net_buffer(net, (size_t)net->batch * sizeof(double), now, now)
                                 : -1;
    return AGN_OK;
}

static int attention_bind(struct agn__op *op)
{
    struct attention_state *state = op->state;
    state->row_sums = agn__net_address(op->net, state->row_sums_buffer);
    state->scratch = agn__net_address(op->net, op->net->scratch_buffer);
    return AGN_OK;
}

static int attention_load(struct agn__op *op)
{
    struct attention_state *state = op->state;
    state->gamma = op->net->params->value[state->gamma_offset];
    return AGN_OK;
}

static void attention_release(struct agn__op *op)
{
    agn_free(op->state);
}

/* The calling thread's. Matrices that were not asked for have no memory, and no pass looks at them. */
static struct scratch scratch_of(const struct agn__op *op, const struct sizes *z)
{
    const struct attention_state *state = op->state;
    struct scratch s;
    s.q = state->scratch + (size_t)omp_get_thread_num() * state->scratch_floats;
    s.q_dot = s.q + BLOCK * z->inner;
    s.g_rows = s.q_dot + BLOCK * z->inner;
    s.g_dot_rows = s.g_rows + BLOCK * z->channels;
    s.p = s.g_dot_rows + BLOCK * z->channels;
    s.g = s.p + BLOCK * z->positions;
    s.p_dot = s.g + BLOCK * z->positions;
    s.g_dot = s.p_dot + BLOCK * z->positions;
    return s;
}

/* ---- blocks of queries --------------------------------------------------------------- */

/* One image's queries, keys and values: values or tangents, or their gradients. Rows are z.width apart. */
struct qkv {
    float *q, *k, *v;
};

static struct qkv qkv_of(float *values, const struct sizes *z, int image)
{
    float *q = values + (size_t)image * z->qkv_image;
    return (struct qkv){q, q + z->inner, q + 2 * z->inner};
}

/* Queries first to first + rows - 1. */
struct block {
    size_t first, rows;
};

static size_t block_count(const struct sizes *z)
{
    return (z->positions + BLOCK - 1) / BLOCK;
}

static struct block block_of(const struct sizes *z, size_t number)
{
    size_t first = number * BLOCK, left = z->positions - first;
    return (struct block){first, left < BLOCK ? left : BLOCK};
}

/* dst (columns, BLOCK) = the transposed rows of a block, `columns` of the `stride` values each. */
static void transpose(const float *src, size_t stride, struct block b, size_t columns, float *dst)
{
    for (size_t r = 0; r < b.rows; r++)
        for (size_t c = 0; c < columns; c++)
            dst[c * BLOCK + r] = src[(b.first + r) * stride + c];
}

/* dst (p, BLOCK) += a (p, n; rows z->width apart) b (n, BLOCK) */
static void add_matrix(const struct sizes *z, const float *a, size_t n, const float *b, struct block block,
                       float *dst)
{
    struct agn__product product = {.m = z->positions,
                                   .n = block.rows,
                                   .k = n,
                                   .a = a,
                                   .a_row = z->width,
                                   .a_column = 1,
                                   .b = b,
                                   .b_row = BLOCK,
                                   .c = dst,
                                   .c_row = BLOCK,
                                   .scale = 1.0F};
    agn__product_add(&product);
}

/* Rows of queries: dst (rows, n; dst_row apart) += scale p' b (p, n; rows z->width apart) */
static void add_of_queries(const struct sizes *z, const float *p, const float *b, size_t n, float scale,
                           struct block block, float *dst, size_t dst_row)
{
    struct agn__product product = {.m = block.rows,
                                   .n = n,
                                   .k = z->positions,
                                   .a = p,
                                   .a_row = 1,
                                   .a_column = BLOCK,
                                   .b = b,
                                   .b_row = z->width,
                                   .c = dst + block.first * dst_row,
                                   .c_row = dst_row,
                                   .scale = scale};
    agn__product_add(&product);
}

/* Rows of keys and values: dst (p, n; rows z->width apart) += scale p b (rows, n; b_row apart) */
static void add_of_keys(const struct sizes *z, const float *p, const float *b, size_t b_row, size_t n,
                        float scale, struct block block, float *dst)
{
    struct agn__product product = {.m = z->positions,
                                   .n = n,
                                   .k = block.rows,
                                   .a = p,
                                   .a_row = BLOCK,
                                   .a_column = 1,
                                   .b = b + block.first * b_row,
                                   .b_row = b_row,
                                   .c = dst,
                                   .c_row = z->width,
                                   .scale = scale};
    agn__product_add(&product);
}

/* Over the first index of s (positions, BLOCK), in place. */
AGN_SIMD static void softmax(float *restrict s, size_t positions, size_t rows)
{
    float top[BLOCK], sum[BLOCK];
    for (size_t r = 0; r < rows; r++) {
        top[r] = s[r];
        sum[r] = 0.0F;
    }
    for (size_t i = 1; i < positions; i++)
        for (size_t r = 0; r < rows; r++)
            top[r] = s[i * BLOCK + r] > top[r] ? s[i * BLOCK + r] : top[r];
    for (size_t i = 0; i < positions; i++) {
        for (size_t r = 0; r < rows; r++) {
            float e = agn__exp(s[i * BLOCK + r] - top[r]);
            s[i * BLOCK + r] = e;
            sum[r] += e;
        }
    }
    for (size_t r = 0; r < rows; r++)
        sum[r] = 1.0F / sum[r];
    for (size_t i = 0; i < positions; i++)
        for (size_t r = 0; r < rows; r++)
            s[i * BLOCK + r] *= sum[r];
}

/* sums (BLOCK) = sums over the first index of a * b */
AGN_SIMD static void sum_products(const float *restrict a, const float *restrict b, size_t positions,
                                  size_t rows, float *restrict sums)
{
    memset(sums, 0, BLOCK * sizeof(float));
    for (size_t i = 0; i < positions; i++)
        for (size_t r = 0; r < rows; r++)
            sums[r] += a[i * BLOCK + r] * b[i * BLOCK + r];
}

/* g = p * (g - sums): the softmax's derivative, in place. */
AGN_SIMD static void apply_slope(const float *restrict p, const float *restrict sums, size_t positions,
                                 size_t rows, float *restrict g)
{
    for (size_t i = 0; i < positions; i++)
        for (size_t r = 0; r < rows; r++)
            g[i * BLOCK + r] = p[i * BLOCK + r] * (g[i * BLOCK + r] - sums[r]);
}

/* g_dot = p_dot * (g - sums) + p * (g_dot - sums_dot), in place. */
AGN_SIMD static void apply_slope_tangent(const struct scratch *s, const float *restrict sums,
                                         const float *restrict sums_dot, size_t positions, size_t rows)
{
    const float *restrict p = s->p, *restrict p_dot = s->p_dot, *restrict g = s->g;
    float *restrict g_dot = s->g_dot;
    for (size_t i = 0; i < positions * BLOCK; i += BLOCK)
        for (size_t r = 0; r < rows; r++)
            g_dot[i + r] = p_dot[i + r] * (g[i + r] - sums[r]) + p[i + r] * (g_dot[i + r] - sums_dot[r]);
}

/* s->p = P of the block, s->q its queries. */
static void make_weights(const struct sizes *z, struct qkv x, struct block b, struct scratch *s)
{
    transpose(x.q, z->width, b, z->inner, s->q);
    memset(s->p, 0, BLOCK * z->positions * sizeof(float));
    add_matrix(z, x.k, z->inner, s->q, b, s->p);
    softmax(s->p, z->positions, b.rows);
}

/* After make_weights, s->p_dot = P. of the block. */
static void make_weights_tangent(const struct sizes *z, struct qkv x, struct qkv x_dot, struct block b,
                                 struct scratch *s)
{
    float sums[BLOCK];
    transpose(x_dot.q, z->width, b, z->inner, s->q_dot);
    memset(s->p_dot, 0, BLOCK * z->positions * sizeof(float));
    add_matrix(z, x_dot.k, z->inner, s->q, b, s->p_dot);
    add_matrix(z, x.k, z->inner, s->q_dot, b, s->p_dot);
    sum_products(s->p, s->p_dot, z->positions, b.rows, sums);
    apply_slope(s->p, sums, z->positions, b.rows, s->p_dot);
}

/* ---- passes ---------------------------------------------------------------------------- */

/* The block's rows of dst = those of src. */
static void copy_rows(const float *src, float *dst, struct block b, size_t channels)
{
    memcpy(dst + b.first * channels, src + b.first * channels, b.rows * channels * sizeof(float));
}

static int attention_forward(struct agn__op *op)
{
    struct sizes z = sizes_of(op);
    const struct attention_state *state = op->state;
    int blocks = (int)block_count(&z);
#pragma omp parallel for schedule(static)
    for (int i = 0; i < op->net->batch * blocks; i++) {
        struct scratch s = scratch_of(op, &z);
        struct block b = block_of(&z, (size_t)(i % blocks));
        struct qkv x = qkv_of(op->src[1]->value, &z, i / blocks);
        size_t at = (size_t)(i / blocks) * z.image;
        make_weights(&z, x, b, &s);
        copy_rows(op->src[0]->value + at, op->dst->value + at, b, z.channels);
        add_of_queries(&z, s.p, x.v, z.channels, state->gamma, b, op->dst->value + at, z.channels);
    }
    return AGN_OK;
}

/* Gradients of one image's queries, keys and values, added to `to` (of NULLs: nobody wants them); returns the
 * sum over all r. */
static double backward_image(const struct agn__op *op, const struct sizes *z, int image, struct qkv to)
{
    const struct attention_state *state = op->state;
    struct qkv x = qkv_of(op->src[1]->value, z, image);
    const float *dy = op->dst->diff + (size_t)image * z->image;
    float sums[BLOCK];
    double sum = 0.0;
    for (size_t i = 0; i < block_count(z); i++) {
        struct scratch s = scratch_of(op, z);
        struct block b = block_of(z, i);
        make_weights(z, x, b, &s);
        transpose(dy, z->channels, b, z->channels, s.g_rows);
        memset(s.g, 0, BLOCK * z->positions * sizeof(float));
        add_matrix(z, x.v, z->channels, s.g_rows, b, s.g);
        sum_products(s.p, s.g, z->positions, b.rows, sums);
        for (size_t r = 0; r < b.rows; r++)
            sum += (double)sums[r];
        if (to.q == NULL)
            continue;
        apply_slope(s.p, sums, z->positions, b.rows, s.g);
        add_of_keys(z, s.p, dy, z->channels, z->channels, state->gamma, b, to.v);
        add_of_keys(z, s.g, x.q, z->width, z->inner, state->gamma, b, to.k);
        add_of_queries(z, s.g, x.k, z->inner, state->gamma, b, to.q, z->width);
    }
    return sum;
}

/* The first source's gradient is the result's. */
AGN_SIMD static void pass_on(const float *restrict from, float *restrict to, size_t count, bool add)
{
    if (!add)
        memcpy(to, from, count * sizeof(float));
    else
        for (size_t i = 0; i < count; i++)
            to[i] += from[i];
}

/* Where an image's gradients of queries, keys and values are added up. */
static struct qkv sums_of(const struct agn__op *op, const struct sizes *z, int image, float *gradients)
{
    if (op->flow[1] == AGN__FLOW_NONE)
        return (struct qkv){NULL, NULL, NULL};
    struct qkv to = qkv_of(gradients, z, image);
    if (op->flow[1] == AGN__FLOW_WRITE)
        memset(to.q, 0, z->qkv_image * sizeof(float));
    return to;
}

static int attention_backward(struct agn__op *op)
{
    struct sizes z = sizes_of(op);
    struct attention_state *state = op->state;
    const struct agn__node *x = op->src[0], *qkv = op->src[1], *y = op->dst;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++) {
        size_t at = (size_t)n * z.image;
        double sum = backward_image(op, &z, n, sums_of(op, &z, n, qkv->diff));
        if (state->row_sums != NULL)
            state->row_sums[n] = sum;
        if (op->flow[0] != AGN__FLOW_NONE)
            pass_on(y->diff + at, x->diff + at, z.image, op->flow[0] == AGN__FLOW_ADD);
    }
    double sum = 0.0;
    for (int n = 0; state->row_sums != NULL && n < op->net->batch; n++)
        sum += state->row_sums[n];
    if (state->row_sums != NULL)
        op->net->params->grad[state->gamma_offset] = (float)sum;
    return AGN_OK;
}

static int attention_tangent(struct agn__op *op)
{
    struct sizes z = sizes_of(op);
    const struct attention_state *state = op->state;
    int blocks = (int)block_count(&z);
#pragma omp parallel for schedule(static)
    for (int i = 0; i < op->net->batch * blocks; i++) {
        struct scratch s = scratch_of(op, &z);
        struct block b = block_of(&z, (size_t)(i % blocks));
        struct qkv x = qkv_of(op->src[1]->value, &z, i / blocks),
                   x_dot = qkv_of(op->src[1]->tangent, &z, i / blocks);
        size_t at = (size_t)(i / blocks) * z.image;
        float *y_dot = op->dst->tangent + at;
        make_weights(&z, x, b, &s);
        make_weights_tangent(&z, x, x_dot, b, &s);
        copy_rows(op->src[0]->tangent + at, y_dot, b, z.channels);
        add_of_queries(&z, s.p_dot, x.v, z.channels, state->gamma, b, y_dot, z.channels);
        add_of_queries(&z, s.p, x_dot.v, z.channels, state->gamma, b, y_dot, z.channels);
    }
    return AGN_OK;
}

/* s->g = dS / gamma, s->g_dot = dS. / gamma of a block whose P and P. are made. */
static void make_score_gradients(const struct sizes *z, struct qkv x, struct qkv x_dot, struct block b,
                                 struct scratch *s)
{
    float sums[BLOCK], sums_dot[BLOCK], more[BLOCK];
    memset(s->g, 0, BLOCK * z->positions * sizeof(float));
    memset(s->g_dot, 0, BLOCK * z->positions * sizeof(float));
    add_matrix(z, x.v, z->channels, s->g_rows, b, s->g);
    add_matrix(z, x.v, z->channels, s->g_dot_rows, b, s->g_dot);
    add_matrix(z, x_dot.v, z->channels, s->g_rows, b, s->g_dot);
    sum_products(s->p, s->g, z->positions, b.rows, sums);
    sum_products(s->p_dot, s->g, z->positions, b.rows, more);
    sum_products(s->p, s->g_dot, z->positions, b.rows, sums_dot);
    for (size_t r = 0; r < b.rows; r++)
        sums_dot[r] += more[r];
    apply_slope_tangent(s, sums, sums_dot, z->positions, b.rows);
    apply_slope(s->p, sums, z->positions, b.rows, s->g);
}

static void tangent_backward_image(const struct agn__op *op, const struct sizes *z, int image, struct qkv to)
{
    float gamma = ((const struct attention_state *)op->state)->gamma;
    struct qkv x = qkv_of(op->src[1]->value, z, image), x_dot = qkv_of(op->src[1]->tangent, z, image);
    const float *dy = op->dst->diff + (size_t)image * z->image,
                *dy_dot = op->dst->tangent_diff + (size_t)image * z->image;
    size_t c = z->channels;
    for (size_t i = 0; i < block_count(z); i++) {
        struct scratch s = scratch_of(op, z);
        struct block b = block_of(z, i);
        make_weights(z, x, b, &s);
        make_weights_tangent(z, x, x_dot, b, &s);
        transpose(dy, c, b, c, s.g_rows);
        transpose(dy_dot, c, b, c, s.g_dot_rows);
        make_score_gradients(z, x, x_dot, b, &s);
        add_of_keys(z, s.p_dot, dy, c, c, gamma, b, to.v);
        add_of_keys(z, s.p, dy_dot, c, c, gamma, b, to.v);
        add_of_keys(z, s.g_dot, x.q, z->width, z->inner, gamma, b, to.k);
        add_of_keys(z, s.g, x_dot.q, z->width, z->inner, gamma, b, to.k);
        add_of_queries(z, s.g_dot, x.k, z->inner, gamma, b, to.q, z->width);
        add_of_queries(z, s.g, x_dot.k, z->inner, gamma, b, to.q, z->width);
    }
}

static int attention_tangent_backward(struct agn__op *op)
{
    struct sizes z = sizes_of(op);
    const struct agn__node *x = op->src[0], *qkv = op->src[1], *y = op->dst;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < op->net->batch; n++) {
        size_t at = (size_t)n * z.image;
        tangent_backward_image(op, &z, n, sums_of(op, &z, n, qkv->tangent_diff));
        pass_on(y->tangent_diff + at, x->tangent_diff + at, z.image, op->flow[0] == AGN__FLOW_ADD);
    }
    return AGN_OK;
}

const struct agn__op_kind agn__kind_attention = {.name = "attention",
                                                 .shape = attention_shape,
                                                 .macs = attention_macs,
                                                 .declare = attention_declare,
                                                 .two_sources = true};

const struct agn__op_class agn__op_attention = {.plan = attention_plan,
                                                .bind = attention_bind,
                                                .load = attention_load,
                                                .forward = attention_forward,
                                                .backward = attention_backward,
                                                .tangent = attention_tangent,
                                                .tangent_backward = attention_tangent_backward,
                                                .release = attention_release,
                                                .keeps_src = true,
                                                .keeps_second_order = true};
