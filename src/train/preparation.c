/* From a loader's batch to what a training step sees: mixup, cutout, and label smoothing.
 *
 * mixup (Zhang et al. 2018): one share a batch, from Beta(a, a), of which the larger part goes to the image
 * itself, so that a batch's labels stay the main ones; the rest goes to another image of the batch. cutout
 * (DeVries & Taylor 2017): a square, which the border may cut, becomes 0, the mean pixel. All draws come from
 * seed, phase and step, so that a resumed run repeats them. */
#include <math.h>
#include <string.h>

#include "train/train_internal.h"

int agn__preparation_create(const struct agn_model *model, const struct agn_group *group,
                            struct agn__preparation *preparation)
{
    int whole = model->preset.train.batch, batch = whole / agn_group_size(group);
    *preparation =
        (struct agn__preparation){.preset = &model->preset,
                                  .batch = batch,
                                  .whole = whole,
                                  .first = batch * agn_group_rank(group),
                                  .classes = model->classes,
                                  .image = agn_graph_input_shape(&model->extractor),
                                  .targets = agn_alloc((size_t)batch * (size_t)model->classes, sizeof(float)),
                                  .partner = agn_alloc((size_t)whole, sizeof(int))};
    return preparation->targets == NULL || preparation->partner == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

void agn__preparation_release(struct agn__preparation *preparation)
{
    agn_free(preparation->targets);
    agn_free(preparation->partner);
}

/* Gamma(shape, 1) by Marsaglia and Tsang's method; shapes below 1 by one more uniform number. */
static double draw_gamma(struct agn_rng *rng, double shape)
{
    double raised = shape < 1.0 ? shape + 1.0 : shape, d = raised - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = agn_rng_normal(rng), v = pow(1.0 + c * x, 3.0), u = 1.0 - agn_rng_uniform(rng);
        if (1.0 + c * x > 0.0 && log(u) < 0.5 * x * x + d - d * v + d * log(v)) {
            return shape < 1.0 ? d * v * pow(1.0 - agn_rng_uniform(rng), 1.0 / shape) : d * v;
        }
    }
}

double agn__draw_main_share(struct agn_rng *rng, double a)
{
    double x = draw_gamma(rng, a), y = draw_gamma(rng, a);
    double share = x + y > 0.0 ? x / (x + y) : 1.0; /* both may vanish where a is small */
    return fmax(share, 1.0 - share);
}

/* Partners are drawn for the whole batch, so that each process knows the same ones. */
static void draw_partners(struct agn__preparation *p, int count, struct agn_rng *rng)
{
    for (int i = 0; i < count; i++) {
        p->partner[i] = i;
    }
    for (int i = count - 1; i > 0; i--) {
        int other = (int)agn_rng_below(rng, (uint32_t)i + 1), kept = p->partner[i];
        p->partner[i] = p->partner[other];
        p->partner[other] = kept;
    }
}

static void mix_images(const struct agn__preparation *p, const struct agn_batch *batch, float share,
                       float *input)
{
    size_t image = (size_t)p->image.height * (size_t)p->image.width * (size_t)p->image.channels;
    const float *whole = batch->whole_images != NULL ? batch->whole_images : batch->images;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < batch->count; i++) {
        const float *own = batch->images + (size_t)i * image;
        const float *other = whole + (size_t)p->partner[p->first + i] * image;
        for (size_t v = 0; v < image; v++) {
            input[(size_t)i * image + v] = share * own[v] + (1.0F - share) * other[v];
        }
    }
}

static void cut_out_one(const struct agn__preparation *p, int top, int left, float *image)
{
    int side = p->preset->train.cutout, height = p->image.height, width = p->image.width;
    int right = left + side < width ? left + side : width, first = left > 0 ? left : 0;
    size_t pixel = (size_t)p->image.channels;
    for (int y = top > 0 ? top : 0; y < height && y < top + side; y++) {
        size_t at = (size_t)y * (size_t)width + (size_t)first;
        memset(image + at * pixel, 0, (size_t)(right - first) * pixel * sizeof(float));
    }
}

/* Places, too, are drawn for all `count` images of the whole batch. */
static void cut_out(const struct agn__preparation *p, int count, struct agn_rng *rng, float *input)
{
    int side = p->preset->train.cutout, height = p->image.height, width = p->image.width;
    size_t image = (size_t)height * (size_t)width * (size_t)p->image.channels;
    for (int i = 0; i < count; i++) {
        int top = (int)agn_rng_below(rng, (uint32_t)height) - side / 2;
        int left = (int)agn_rng_below(rng, (uint32_t)width) - side / 2;
        if (i >= p->first && i < p->first + p->batch) {
            cut_out_one(p, top, left, input + (size_t)(i - p->first) * image);
        }
    }
}

/* (1 - e) (share of the own label, the rest of the partner's) + e / classes */
static void set_targets(struct agn__preparation *p, const struct agn_batch *batch, float share)
{
    float smoothing = (float)p->preset->train.label_smoothing, even = smoothing / (float)p->classes;
    const int32_t *whole = batch->whole_labels != NULL ? batch->whole_labels : batch->labels;
    bool mixed = p->preset->train.mixup > 0.0;
    for (int i = 0; i < p->batch; i++) {
        float *target = p->targets + (size_t)i * (size_t)p->classes;
        for (int c = 0; c < p->classes; c++) {
            target[c] = even;
        }
        if (i < batch->count) {
            int32_t other = mixed ? whole[p->partner[p->first + i]] : batch->labels[i];
            target[batch->labels[i]] += (1.0F - smoothing) * share;
            target[other] += (1.0F - smoothing) * (1.0F - share);
        }
    }
}

void agn__prepare_batch(struct agn__preparation *p, const struct agn_batch *batch, enum agn_phase phase,
                        int64_t step, float *input)
{
    struct agn_rng rng;
    float share = 1.0F;
    size_t image = (size_t)p->image.height * (size_t)p->image.width * (size_t)p->image.channels;
    const uint64_t spread = 0x9E3779B97F4A7C15U;
    uint64_t seed = (uint64_t)p->preset->train.seed * spread;
    agn_rng_seed(&rng, seed ^ ((uint64_t)phase << 56) ^ (uint64_t)step);
    memcpy(input, batch->images, (size_t)p->batch * image * sizeof(float));
    /* A batch that is not whole is no part of a common one: training leaves an epoch's rest out. */
    int count = p->whole > p->batch ? p->whole : batch->count;
    if (p->preset->train.mixup > 0.0) {
        share = (float)agn__draw_main_share(&rng, p->preset->train.mixup);
        draw_partners(p, count, &rng);
        mix_images(p, batch, share, input);
    }
    if (p->preset->train.cutout > 0) {
        cut_out(p, count, &rng, input);
    }
    set_targets(p, batch, share);
}
