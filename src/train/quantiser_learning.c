/* The learned quantiser: 8 levels, level 0 fixed at 0, the others a moving k-means on the features.
 *
 * Skewness training shrinks the features that are sent, so the levels must follow them towards 0,
 * or all information falls into the lowest level. A level that falls out of use is given new work:
 * it splits the level with the largest squared error. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/train_internal.h"

static const float level_max = 6.0F, least_positive = 0.02F, dead_share = 0.002F;

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void sort_levels(struct agn_model *model)
{
    for (int i = 2; i < AGN_LEVELS; i++) { /* insertion sort of levels 1..7 with their usage */
        for (int j = i; j > 1 && model->centroids[j] < model->centroids[j - 1]; j--) {
            float c = model->centroids[j], u = model->usage[j];
            model->centroids[j] = model->centroids[j - 1];
            model->usage[j] = model->usage[j - 1];
            model->centroids[j - 1] = c;
            model->usage[j - 1] = u;
        }
    }
    for (int level = 1; level < AGN_LEVELS; level++) {
        model->centroids[level] = fminf(fmaxf(model->centroids[level], 1e-3F), level_max);
    }
    model->centroids[0] = 0.0F;
}

int agn__centroids_initialise(struct agn_model *model, const float *values, size_t count)
{
    enum { MOST = 100000 };
    float *sample = agn_alloc(MOST, sizeof(float));
    size_t taken = 0, stride = count / MOST + 1;
    if (sample == NULL) {
        return AGN_ERR_MEMORY;
    }
    for (size_t i = 0; i < count && taken < MOST; i += stride) {
        if (values[i] > least_positive) {
            sample[taken++] = values[i];
        }
    }
    qsort(sample, taken, sizeof(float), ascending);
    model->centroids[0] = 0.0F;
    for (int level = 1; level < AGN_LEVELS; level++) {
        double share = ((double)level - 0.5) / (AGN_LEVELS - 1);
        model->centroids[level] = taken > 0 ? sample[(size_t)(share * (double)taken)]
                                            : level_max * (float)level / (float)AGN_LEVELS;
    }
    for (int level = 0; level < AGN_LEVELS; level++) {
        model->usage[level] = 1.0F / AGN_LEVELS;
    }
    sort_levels(model);
    agn_free(sample);
    return AGN_OK;
}

struct level_moments {
    double count, sum, square, top;
};

static void gather(const float *values, const uint8_t *symbols, size_t count,
                   struct level_moments m[AGN_LEVELS])
{
    memset(m, 0, AGN_LEVELS * sizeof(m[0]));
    for (size_t i = 0; i < count; i++) {
        struct level_moments *level = &m[symbols[i]];
        double x = (double)values[i];
        level->count += 1.0;
        level->sum += x;
        level->square += x * x;
        level->top = x > level->top ? x : level->top;
    }
}

/* Splits the level with the largest squared error between itself and the dead one. */
static void give_work(struct agn_model *model, int dead, const struct level_moments m[AGN_LEVELS])
{
    int worst = 0;
    double most = -1.0;
    for (int level = 0; level < AGN_LEVELS; level++) {
        double c = (double)model->centroids[level];
        double error = m[level].square - 2.0 * c * m[level].sum + c * c * m[level].count;
        if (level != dead && error > most) {
            most = error;
            worst = level;
        }
    }
    if (m[worst].count < 2.0) {
        return;
    }
    double mean = m[worst].sum / m[worst].count;
    double deviation = sqrt(fmax(0.0, m[worst].square / m[worst].count - mean * mean));
    if (worst == 0) {
        model->centroids[dead] = (float)(0.75 * m[0].top);
    } else {
        model->centroids[dead] = (float)(mean + deviation);
        model->centroids[worst] = (float)(mean - deviation);
    }
    model->usage[dead] = model->usage[worst] = 0.5F * model->usage[worst] + dead_share;
}

void agn__centroids_follow(struct agn_model *model, const float *values, const uint8_t *symbols, size_t count,
                           double rate)
{
    struct level_moments m[AGN_LEVELS];
    gather(values, symbols, count, m);
    for (int level = 0; level < AGN_LEVELS; level++) {
        model->usage[level] = 0.98F * model->usage[level] + 0.02F * (float)(m[level].count / (double)count);
        if (level > 0 && m[level].count > 0.0) {
            double mean = m[level].sum / m[level].count;
            model->centroids[level] += (float)(rate * (mean - (double)model->centroids[level]));
        }
    }
    for (int level = 1; level < AGN_LEVELS; level++) {
        if (model->usage[level] < dead_share) {
            give_work(model, level, m);
            break; /* one a step: the next step sees its effect */
        }
    }
    sort_levels(model);
}

/* s(x) = sum_l p_l c_l, p = softmax(-(x - c)^2 / tau), so ds/dx = 2/tau Var_p(c); tau is the
 * temperature times the mean squared gap between levels. */
void agn__soft_quantiser_gradient(const struct agn_model *model, const float *values, double temperature,
                                  float *diff, size_t count)
{
    const float *c = model->centroids;
    float gap = (c[AGN_LEVELS - 1] - c[0]) / (AGN_LEVELS - 1);
    float tau = (float)temperature * gap * gap + 1e-12F;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++) {
        float nearest = INFINITY, sum = 0.0F, mean = 0.0F, square = 0.0F;
        for (int l = 0; l < AGN_LEVELS; l++) {
            nearest = fminf(nearest, (values[i] - c[l]) * (values[i] - c[l]));
        }
        for (int l = 0; l < AGN_LEVELS; l++) {
            float p = expf((nearest - (values[i] - c[l]) * (values[i] - c[l])) / tau);
            sum += p;
            mean += p * c[l];
            square += p * c[l] * c[l];
        }
        mean /= sum;
        diff[i] *= 2.0F / tau * fmaxf(0.0F, square / sum - mean * mean);
    }
}
