/* Winograd's F(2x2, 3x3). See winograd.h. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/vector.h"
#include "nn/winograd.h"

enum { PRODUCTS = 16, TAPS = 9, LINE_FLOATS = 16 };

/* Transforms cost as the sum of source and result channels, the products save as their product: to gain
 * anything their ratio must be so much (agn_bench_convolution; at 16 it was a loss). And what a lane's
 * transformed tiles take: they stay in its caches. */
enum { LEAST_RATIO = 24, TILES_BYTES = 512 << 10 };

struct agn__winograd {
    enum agn__conv_pass pass;
    bool adds_bias, relu6;
    int lanes, batch;            /* images of a lane */
    int height, width, from, to; /* channels read and written */
    int tiles_y, tiles_x;        /* of an image */
    int rows;                    /* of tiles, at once */
    size_t tiles;                /* in these */
    /* Floats from one product's to the next one's. A line more than they need: else 16 streams that are
     * apart by a multiple of 4 KB meet in the same lines of the first cache. */
    size_t values_stride, sums_stride;
    struct agn__conv *product[PRODUCTS];
    const float *read, *bias;
    float *written, *values, *sums, *edges;
};

bool agn__winograd_suits(const struct agn__conv_config *config)
{
    const struct agn__conv_shape *s = &config->shape;
    bool alone = config->lanes > 1 || omp_get_max_threads() == 1;
    return alone && !config->direct && agn__onednn_isa_is_narrow() &&
           config->pass != AGN__CONV_BACKWARD_WEIGHTS && !s->depthwise && !s->bf16 && s->kernel_h == 3 &&
           s->kernel_w == 3 && s->stride == 1 && s->pad_h == 1 && s->pad_w == 1 && s->oh == s->ih &&
           s->ow == s->iw && s->ih >= 4 && s->iw >= 4 && s->ic * s->oc >= LEAST_RATIO * (s->ic + s->oc);
}

/* ---- planning ------------------------------------------------------------------------------------ */

/* As many rows of tiles as fit, the same number each time. */
static int rows_at_once(const struct agn__winograd *w)
{
    int all = w->batch * w->tiles_y;
    size_t row = (size_t)PRODUCTS * (size_t)w->tiles_x * (size_t)(w->from + w->to) * sizeof(float);
    int rows = (int)(TILES_BYTES / row);
    rows = rows < 1 ? 1 : rows > all ? all : rows;
    while (all % rows != 0)
        rows--;
    return rows;
}

int agn__winograd_create(const struct agn__conv_config *config, struct agn__winograd **result)
{
    const struct agn__conv_shape *s = &config->shape;
    struct agn__winograd *w = agn_alloc(1, sizeof(*w));
    if (w == NULL)
        return AGN_ERR_MEMORY;
    bool back = config->pass == AGN__CONV_BACKWARD_DATA;
    w->pass = config->pass;
    w->adds_bias = config->bias && !back;
    w->relu6 = config->relu6;
    w->lanes = config->lanes;
    w->batch = s->batch;
    w->height = s->ih;
    w->width = s->iw;
    w->from = back ? s->oc : s->ic;
    w->to = back ? s->ic : s->oc;
    w->tiles_y = (w->height + 1) / 2;
    w->tiles_x = (w->width + 1) / 2;
    w->rows = rows_at_once(w);
    w->tiles = (size_t)w->rows * (size_t)w->tiles_x;
    w->values_stride = (size_t)w->lanes * w->tiles * (size_t)w->from + LINE_FLOATS;
    w->sums_stride = (size_t)w->lanes * w->tiles * (size_t)w->to + LINE_FLOATS;
    struct agn__conv_config product = {.shape = {.batch = 1,
                                                 .ic = w->from,
                                                 .ih = 1,
                                                 .iw = (int)w->tiles,
                                                 .oc = w->to,
                                                 .oh = 1,
                                                 .ow = (int)w->tiles,
                                                 .kernel_h = 1,
                                                 .kernel_w = 1,
                                                 .stride = 1},
                                       .pass = AGN__CONV_FORWARD,
                                       .lanes = w->lanes};
    int status = AGN_OK;
    for (int e = 0; e < PRODUCTS && status == AGN_OK; e++)
        status = agn__conv_create(&product, &w->product[e]);
    if (status < 0) {
        agn__winograd_free(w);
        return status;
    }
    *result = w;
    return AGN_OK;
}

void agn__winograd_free(struct agn__winograd *w)
{
    for (int e = 0; w != NULL && e < PRODUCTS; e++)
        agn__conv_free(w->product[e]);
    agn_free(w);
}

size_t agn__winograd_weights_bytes(const struct agn__winograd *w)
{
    return PRODUCTS * agn__conv_weights_bytes(w->product[0]);
}

/* A tile at the border, with zeros around; and where results beyond the border go. */
static size_t edge_floats(const struct agn__winograd *w)
{
    size_t floats = (size_t)PRODUCTS * (size_t)w->from + (size_t)w->to;
    return (floats + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
}

/* Values, sums, the lanes' edges, what the products need; before conversion, weights in that place. */
size_t agn__winograd_scratch_bytes(const struct agn__winograd *w)
{
    size_t floats = PRODUCTS * (w->values_stride + w->sums_stride) + (size_t)w->lanes * edge_floats(w);
    size_t bytes = floats * sizeof(float) + agn__conv_scratch_bytes(w->product[0]);
    size_t weights = (size_t)w->from * (size_t)w->to * sizeof(float);
    return bytes > weights ? bytes : weights;
}

int agn__winograd_bind(struct agn__winograd *w, const struct agn__conv_memory *memory)
{
    bool back = w->pass == AGN__CONV_BACKWARD_DATA;
    int status = AGN_OK;
    w->read = back ? memory->dst : memory->src;
    w->written = back ? memory->src : memory->dst;
    w->bias = w->adds_bias ? memory->bias : NULL;
    w->values = memory->scratch;
    w->sums = w->values + PRODUCTS * w->values_stride;
    w->edges = w->sums + PRODUCTS * w->sums_stride;
    for (size_t e = 0; e < PRODUCTS && status == AGN_OK; e++) {
        struct agn__conv_memory product = {.src = w->values + e * w->values_stride,
                                           .dst = w->sums + e * w->sums_stride,
                                           .weights = (char *)memory->weights +
                                                      e * agn__conv_weights_bytes(w->product[e]),
                                           .scratch = w->edges + (size_t)w->lanes * edge_floats(w)};
        status = agn__conv_bind(w->product[e], &product);
    }
    return status;
}

/* ---- weights ---------------------------------------------------------------------------------------- */

/* Element e of G g G^T. */
static float transformed(const float g[TAPS], bool turned, int e)
{
    static const float G[4][3] = {{1.0F, 0.0F, 0.0F}, {0.5F, 0.5F, 0.5F}, {0.5F, -0.5F, 0.5F}, {0, 0, 1.0F}};
    const float *down = G[e / 4], *along = G[e % 4];
    float sum = 0.0F;
    for (int t = 0; t < TAPS; t++)
        sum += down[t / 3] * along[t % 3] * g[turned ? TAPS - 1 - t : t];
    return sum;
}

/* Backward reads the result's gradient, with kernels turned by half. */
int agn__winograd_load_weights(struct agn__winograd *w, const float *plain)
{
    bool back = w->pass == AGN__CONV_BACKWARD_DATA;
    size_t from = (size_t)w->from, to = (size_t)w->to;
    float *weights = w->values;
    int status = AGN_OK;
    for (int e = 0; e < PRODUCTS && status == AGN_OK; e++) {
#pragma omp parallel for schedule(static)
        for (size_t t = 0; t < to; t++) {
            for (size_t f = 0; f < from; f++) {
                const float *g = plain + (back ? f * to + t : t * from + f) * TAPS;
                weights[t * from + f] = transformed(g, back, e);
            }
        }
        status = agn__conv_load_weights(w->product[e], weights);
    }
    return status;
}

/* ---- tiles ------------------------------------------------------------------------------------------- */

/* B^T d B of a tile of 4x4 places, `row` floats from one row to the next. Elements lie `stride` apart. */
AGN_SIMD static void transform_source(const float *restrict tile, size_t row, size_t channels,
                                      float *restrict values, size_t stride)
{
    const float *restrict d0 = tile, *restrict d1 = d0 + row, *restrict d2 = d1 + row,
                          *restrict d3 = d2 + row;
    for (size_t c = 0; c < channels; c++) {
        float t[4][4];
        for (size_t x = 0; x < 4; x++) {
            size_t at = x * channels + c;
            t[0][x] = d0[at] - d2[at];
            t[1][x] = d1[at] + d2[at];
            t[2][x] = d2[at] - d1[at];
            t[3][x] = d1[at] - d3[at];
        }
        for (size_t y = 0; y < 4; y++) {
            float *to = values + 4 * y * stride + c;
            to[0] = t[y][0] - t[y][2];
            to[stride] = t[y][1] + t[y][2];
            to[2 * stride] = t[y][2] - t[y][1];
            to[3 * stride] = t[y][1] - t[y][3];
        }
    }
}

/* A^T m A, four results of `channels` each, plus bias (may be NULL), between low and high. */
AGN_SIMD static void transform_sums(const float *restrict sums, size_t stride, size_t channels,
                                    const float *restrict bias, float low, float high,
                                    float *const results[4])
{
    float *restrict r0 = results[0], *restrict r1 = results[1], *restrict r2 = results[2],
                    *restrict r3 = results[3];
    for (size_t c = 0; c < channels; c++) {
        float s[2][4], b = bias == NULL ? 0.0F : bias[c];
        for (size_t x = 0; x < 4; x++) {
            const float *m = sums + x * stride + c;
            s[0][x] = m[0] + m[4 * stride] + m[8 * stride];
            s[1][x] = m[4 * stride] - m[8 * stride] - m[12 * stride];
        }
        float y0 = s[0][0] + s[0][1] + s[0][2] + b, y1 = s[0][1] - s[0][2] - s[0][3] + b;
        float y2 = s[1][0] + s[1][1] + s[1][2] + b, y3 = s[1][1] - s[1][2] - s[1][3] + b;
        y0 = y0 < low ? low : y0;
        y1 = y1 < low ? low : y1;
        y2 = y2 < low ? low : y2;
        y3 = y3 < low ? low : y3;
        r0[c] = y0 > high ? high : y0;
        r1[c] = y1 > high ? high : y1;
        r2[c] = y2 > high ? high : y2;
        r3[c] = y3 > high ? high : y3;
    }
}

/* The tile whose first place is (y, x), with zeros for places outside. */
static void copy_edge(const struct agn__winograd *w, const float *image, int y, int x, float *tile)
{
    size_t channels = (size_t)w->from;
    int left = x < 0 ? -x : 0, right = x + 4 > w->width ? w->width : x + 4;
    memset(tile, 0, (size_t)PRODUCTS * channels * sizeof(float));
    for (int r = 0; r < 4; r++) {
        if (y + r >= 0 && y + r < w->height) {
            memcpy(tile + (size_t)(4 * r + left) * channels,
                   image + ((size_t)(y + r) * (size_t)w->width + (size_t)(x + left)) * channels,
                   (size_t)(right - x - left) * channels * sizeof(float));
        }
    }
}

static void read_row(const struct agn__winograd *w, const float *image, int ty, float *values, float *edge)
{
    size_t channels = (size_t)w->from;
    int y = 2 * ty - 1;
    for (int tx = 0; tx < w->tiles_x; tx++, values += channels) {
        int x = 2 * tx - 1;
        if (y < 0 || x < 0 || y + 4 > w->height || x + 4 > w->width) {
            copy_edge(w, image, y, x, edge);
            transform_source(edge, 4 * channels, channels, values, w->values_stride);
        } else {
            size_t row = (size_t)w->width * channels;
            transform_source(image + (size_t)y * row + (size_t)x * channels, row, channels, values,
                             w->values_stride);
        }
    }
}

static void write_row(const struct agn__winograd *w, const float *sums, int ty, float *image, float *beyond)
{
    size_t channels = (size_t)w->to, row = (size_t)w->width * channels;
    float low = w->relu6 ? 0.0F : -INFINITY, high = w->relu6 ? 6.0F : INFINITY;
    for (int tx = 0; tx < w->tiles_x; tx++, sums += channels) {
        float *first = image + (size_t)(2 * ty) * row + (size_t)(2 * tx) * channels;
        bool below = 2 * ty + 1 < w->height, beside = 2 * tx + 1 < w->width;
        float *const results[4] = {first, beside ? first + channels : beyond, below ? first + row : beyond,
                                   below && beside ? first + row + channels : beyond};
        transform_sums(sums, w->sums_stride, channels, w->bias, low, high, results);
    }
}

int agn__winograd_run_lane(const struct agn__winograd *w, int lane)
{
    size_t places = (size_t)w->height * (size_t)w->width, from = (size_t)w->from, to = (size_t)w->to;
    size_t first = (size_t)lane * (size_t)w->batch, along = (size_t)w->tiles_x;
    float *values = w->values + (size_t)lane * w->tiles * from,
          *sums = w->sums + (size_t)lane * w->tiles * to;
    float *edge = w->edges + (size_t)lane * edge_floats(w), *beyond = edge + PRODUCTS * from;
    int all = w->batch * w->tiles_y, status = AGN_OK;
    for (int done = 0; done < all && status == AGN_OK; done += w->rows) {
        for (int r = 0; r < w->rows; r++) {
            const float *image = w->read + (first + (size_t)((done + r) / w->tiles_y)) * places * from;
            read_row(w, image, (done + r) % w->tiles_y, values + (size_t)r * along * from, edge);
        }
        for (int e = 0; e < PRODUCTS && status == AGN_OK; e++)
            status = agn__conv_run_lane(w->product[e], lane);
        for (int r = 0; r < w->rows && status == AGN_OK; r++) {
            float *image = w->written + (first + (size_t)((done + r) / w->tiles_y)) * places * to;
            write_row(w, sums + (size_t)r * along * to, (done + r) % w->tiles_y, image, beyond);
        }
    }
    return status;
}
