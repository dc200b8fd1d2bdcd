/* From a loader's batch to what a training step sees: mixup, cutout, label smoothing, and class weights.
 *
 * mixup (Zhang et al. 2018): one share a batch, from Beta(a, a), of which the larger part goes to the image
 * itself, so that a batch's labels stay the main ones; the rest goes to another image of the batch. cutout
 * (DeVries & Taylor 2017): a square, which the border may cut, becomes 0, the mean pixel. All draws come from
 * seed, phase and step, so that a resumed run repeats them. */
#include <math.h>
#include <string.h>

#include "train/preparation.h"

void agn__balanced_weights(const struct agn_dataset *data, int classes, float *weights)
{
    int present = 0;
    memset(weights, 0, (size_t)classes * sizeof(*weights));
    for (int i = 0; i < data->count; i++) {
        present += weights[data->labels[i]] == 0.0F;
        weights[data->labels[i]]++; /* exact: a set has at most 2^24 images */
    }
    for (int c = 0; c < classes; c++) {
        double images = (double)weights[c];
        weights[c] = images > 0.0 ? (float)((double)data->count / ((double)present * images)) : 1.0F;
    }
}

int agn__preparation_weigh(struct agn__preparation *p, const float *weights)
{
    agn_free(p->class_weights);
    agn_free(p->target_weights);
    p->class_weights = agn_alloc((size_t)p->classes, sizeof(float));
    p->target_weights = agn_alloc((size_t)p->batch, sizeof(float));
    if (p->class_weights == NULL || p->target_weights == NULL)
        return AGN_ERR_MEMORY;
    memcpy(p->class_weights, weights, (size_t)p->classes * sizeof(float));
    return AGN_OK;
}

int agn__preparation_create(const struct agn_model *model, const struct agn_dataset *data,
                            const struct agn_group *group, struct agn__preparation *preparation)
{
    float weights[AGN_MAX_CLASSES];
    int whole = model->preset.train.batch, batch = whole / agn_group_size(group);
    *preparation =
        (struct agn__preparation){.preset = &model->preset,
                                  .batch = batch,
                                  .whole = whole,
                                  .first = batch * agn_group_rank(group),
                                  .classes = model->classes,
                                  .image = agn_graph_input_shape(&model->parts[AGN_EXTRACTOR].graph),
                                  .targets = agn_alloc((size_t)batch * (size_t)model->classes, sizeof(float)),
                                  .partner = agn_alloc((size_t)whole, sizeof(int))};
    if (preparation->targets == NULL || preparation->partner == NULL)
        return AGN_ERR_MEMORY;
    if (data == NULL || model->preset.train.class_weights != AGN_CLASSES_BALANCED)
        return AGN_OK;
    agn__balanced_weights(data, model->classes, weights);
    return agn__preparation_weigh(preparation, weights);
}

void agn__preparation_release(struct agn__preparation *preparation)
{
    agn_free(preparation->targets);
    agn_free(preparation->partner);
    agn_free(preparation->class_weights);
    agn_free(preparation->target_weights);
}

struct agn__soft_targets agn__targets_of(const struct agn__preparation *p, const struct agn_batch *batch)
{
    return (struct agn__soft_targets){.labels = batch->labels,
                                      .shares = p->targets,
                                      .weights = p->target_weights,
                                      .n = p->batch,
                                      .classes = p->classes};
}

/* Gamma(shape, 1) by Marsaglia and Tsang's method; shapes below 1 by one more uniform number. */
static double draw_gamma(struct agn_rng *rng, double shape)
{
    double raised = shape < 1.0 ? shape + 1.0 : shape, d = raised - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = agn_rng_normal(rng), v = pow(1.0 + c * x, 3.0), u = 1.0 - agn_rng_uniform(rng);
        if (1.0 + c * x > 0.0 && log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return shape < 1.0 ? d * v * pow(1.0 - agn_rng_uniform(rng), 1.0 / shape) : d * v;
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
    for (int i = 0; i < count; i++)
        p->partner[i] = i;
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
        for (size_t v = 0; v < image; v++)
            input[(size_t)i * image + v] = share * own[v] + (1.0F - share) * other[v];
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
        if (i >= p->first && i < p->first + p->batch)
            cut_out_one(p, top, left, input + (size_t)(i - p->first) * image);
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
        for (int c = 0; c < p->classes; c++)
            target[c] = even;
        if (i < batch->count) {
            int32_t other = mixed ? whole[p->partner[p->first + i]] : batch->labels[i];
            target[batch->labels[i]] += (1.0F - smoothing) * share;
            target[other] += (1.0F - smoothing) * (1.0F - share);
        }
    }
}

/* Each share counts its class's weight. */
static void weigh_targets(struct agn__preparation *p)
{
    for (int i = 0; i < p->batch; i++) {
        float *target = p->targets + (size_t)i * (size_t)p->classes;
        double sum = 0.0;
        for (int c = 0; c < p->classes; c++) {
            target[c] *= p->class_weights[c];
            sum += (double)target[c];
        }
        p->target_weights[i] = (float)sum;
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
    if (p->preset->train.cutout > 0)
        cut_out(p, count, &rng, input);
    set_targets(p, batch, share);
    if (p->class_weights != NULL)
        weigh_targets(p);
}
