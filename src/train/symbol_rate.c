/* The rate term of joint training: what the sent symbols cost, in bits.
 *
 * The range coder spends -log2 p(symbol | channel, context) on a symbol, a context being a class of its
 * neighbours (agn_wire.h). Moving counts of the symbols in each context give p. Counts and contexts are taken
 * as given; the gradient goes through the symbol alone, by soft assignment to the levels: bits(x) = sum_l
 * a_l(x) bits_l with a = softmax(-(x - c)^2 / tau), tau as in soft_levels.h, so that
 *
 *   d bits / dx = 2/tau Cov_a(c, bits) = 2/tau sum_l a_l (c_l - mean) bits_l. */
#include <math.h>
#include <string.h>

#include "agilenn/vector.h"
#include "agn_wire.h"
#include "train/joint.h"
#include "train/soft_levels.h"

enum { TABLE = AGN_CONTEXTS * AGN_LEVELS }; /* of a channel */
static const float memory = 0.98F;          /* of the counts, a step */
static const float unseen = 0.3F;           /* a symbol that was never counted counts for so many */
static const double default_softness = 0.25;
static const char counts_name[] = "codec.counts";

int agn__rate_open(struct agn__joint *j)
{
    struct agn_model *model = j->model;
    size_t channels = (size_t)model->sent_channels;
    struct agn__beside *beside = &j->trainer->beside;
    int status = beside->symbol_counts == NULL ? agn__symbol_counts_create(beside, model) : AGN_OK;
    j->contexts = agn_alloc(j->positions * channels, 1);
    j->counted = agn_alloc(channels * TABLE, sizeof(double));
    j->bits = agn_alloc(channels * TABLE, sizeof(float));
    return j->contexts == NULL || j->counted == NULL || j->bits == NULL ? AGN_ERR_MEMORY : status;
}

void agn__rate_close(struct agn__joint *j)
{
    agn_free(j->contexts);
    agn_free(j->counted);
    agn_free(j->bits);
}

/* Contexts of one channel of one image, and how often each symbol follows them. */
static void count_plane(struct agn__joint *j, int image, size_t channel)
{
    size_t channels = (size_t)j->model->sent_channels;
    unsigned height = (unsigned)j->model->map.height, width = (unsigned)j->model->map.width;
    double *counted = j->counted + channel * TABLE;
    uint8_t rows[2][AGN_MAX_FEATURES + 1];
    for (unsigned y = 0; y < height; y++) {
        uint8_t *row = rows[y & 1];
        const uint8_t *above = y > 0 ? rows[1 - (y & 1)] : NULL;
        for (unsigned x = 0; x < width; x++) {
            size_t at = (((size_t)image * height + y) * width + x) * channels + channel;
            row[x] = j->symbols[at];
            unsigned context = agn_context_at(row, above, x, width);
            j->contexts[at] = (uint8_t)context;
            counted[context * AGN_LEVELS + row[x]] += 1.0;
        }
    }
}

/* Bits of each symbol in each context, by the moving counts. */
static void price(struct agn__joint *j)
{
    size_t contexts = (size_t)j->model->sent_channels * AGN_CONTEXTS;
    for (size_t i = 0; i < contexts; i++) {
        const float *counts = j->trainer->beside.symbol_counts + i * AGN_LEVELS;
        float sum = AGN_LEVELS * unseen;
        for (int s = 0; s < AGN_LEVELS; s++)
            sum += counts[s];
        for (int s = 0; s < AGN_LEVELS; s++)
            j->bits[i * AGN_LEVELS + (size_t)s] = log2f(sum / (counts[s] + unseen));
    }
}

int agn__rate_measure(struct agn__joint *j, const struct agn_batch *batch, struct agn__tally *tally)
{
    struct agn_model *model = j->model;
    int channels = model->sent_channels;
    size_t table = (size_t)channels * TABLE, symbols = j->positions / (size_t)j->batch * (size_t)channels;
    float *moving = j->trainer->beside.symbol_counts;
    double bits = 0.0;
    memset(j->counted, 0, table * sizeof(double));
#pragma omp parallel for schedule(static)
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < batch->count; i++)
            count_plane(j, i, (size_t)c);
    int status = agn_group_sum(j->group, j->counted, table); /* whole numbers: exact in any order */
    for (size_t i = 0; i < table; i++)
        moving[i] = memory * moving[i] + (float)j->counted[i];
    price(j);
    for (size_t i = 0; i < table; i++)
        bits += j->counted[i] * (double)j->bits[i];
    bits /= agn_group_size(j->group); /* each process notes its share of all processes' bits */
    tally->bits += bits;
    tally->loss +=
        model->preset.joint.bits * bits / ((double)agn__loss_images(j, batch->count) * (double)symbols);
    return status;
}

/* share = scale times the share of a level times its distance from the mean: what a bit there weighs. */
AGN_SIMD static void weigh(const float *restrict levels, float scale,
                           float (*restrict share)[AGN__SOFT_BLOCK], const float *restrict mean, size_t count)
{
    for (int l = 0; l < AGN_LEVELS; l++)
        for (size_t i = 0; i < count; i++)
            share[l][i] *= scale * (levels[l] - mean[i]);
}

/* Values of a block that have a gradient. */
struct live {
    float value[AGN__SOFT_BLOCK];
    uint32_t at[AGN__SOFT_BLOCK], context[AGN__SOFT_BLOCK]; /* in the block; in the table of bits */
    size_t count;
};

static void collect(const struct agn__priced *priced, size_t begin, size_t count, size_t channels,
                    struct live *live)
{
    size_t channel = begin % channels;
    live->count = 0;
    for (size_t i = 0; i < count; i++) {
        float x = priced->values[begin + i];
        live->value[live->count] = x;
        live->at[live->count] = (uint32_t)i;
        live->context[live->count] = (uint32_t)(channel * AGN_CONTEXTS + priced->contexts[begin + i]);
        live->count += !priced->clamped || (x > 0.0F && x < 6.0F) ? 1 : 0;
        channel = channel + 1 < channels ? channel + 1 : 0;
    }
}

void agn__rate_gradient(const struct agn_model *model, const struct agn__priced *priced, double weight,
                        float *diff)
{
    const float *levels = model->centroids;
    double softness = model->preset.joint.soft_temperature;
    float tau = agn__soft_tau(levels, (float)(softness > 0.0 ? softness : default_softness));
#pragma omp parallel for schedule(static)
    for (size_t begin = 0; begin < priced->count; begin += AGN__SOFT_BLOCK) {
        float share[AGN_LEVELS][AGN__SOFT_BLOCK], mean[AGN__SOFT_BLOCK];
        struct live live;
        size_t left = priced->count - begin, block = left < AGN__SOFT_BLOCK ? left : AGN__SOFT_BLOCK;
        collect(priced, begin, block, (size_t)model->sent_channels, &live);
        agn__soft_levels(levels, tau, live.value, live.count, share, mean);
        weigh(levels, (float)weight * 2.0F / tau, share, mean, live.count);
        for (size_t i = 0; i < live.count; i++) {
            const float *bits = priced->bits + (size_t)live.context[i] * AGN_LEVELS;
            float sum = 0.0F;
            for (int l = 0; l < AGN_LEVELS; l++)
                sum += share[l][i] * bits[l];
            diff[begin + live.at[i]] += sum;
        }
    }
}

/* ---- the counts, of which checkpoints keep a copy ------------------------------------------------- */

int agn__symbol_counts_create(struct agn__beside *beside, const struct agn_model *model)
{
    beside->symbol_counts = agn_alloc((size_t)model->sent_channels * TABLE, sizeof(float));
    return beside->symbol_counts == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

int agn__symbol_counts_append(const struct agn__beside *beside, const struct agn_model *model,
                              struct agn_tensor_file *file)
{
    const struct agn_tensor_view view =
        agn_tensor_view_f32(counts_name, beside->symbol_counts, (size_t)model->sent_channels * TABLE);
    return agn_tensor_file_append(file, &view, 1);
}

int agn__symbol_counts_load(struct agn__beside *beside, const struct agn_model *model,
                            const struct agn_tensor_file *file)
{
    const struct agn_tensor_view *view = agn_tensor_file_find(file, counts_name);
    size_t count = (size_t)model->sent_channels * TABLE;
    if (view == NULL || view->dtype != AGN_F32 || view->size_bytes != count * sizeof(float)) {
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' is missing or has another size than %zu floats",
                        counts_name, count);
    }
    int status = agn__symbol_counts_create(beside, model);
    for (size_t i = 0; status == AGN_OK && i < count; i++) {
        float value = ((const float *)view->data)[i];
        if (!(value >= 0.0F && isfinite(value)))
            return agn_fail(AGN_ERR_FORMAT, "tensor '%s' holds a value that is no count", counts_name);
        beside->symbol_counts[i] = value;
    }
    return status;
}
