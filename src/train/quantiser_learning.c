/* The learned quantiser: 8 levels, level 0 fixed at 0, the others a moving k-means on the features. They
 * stand in the order of their size, so that a symbol says how far from 0 a value is: after ReLU6 they ascend;
 * where the extractor ends without an activation they are of both signs.
 *
 * Skewness training shrinks the features that are sent, so the levels must follow them towards 0,
 * or all information falls into the lowest level. A level that falls out of use is given new work:
 * it splits the level with the largest squared error. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/vector.h"
#include "train/quantiser_learning.h"
#include "train/soft_levels.h"

static const float level_max = 6.0F, least_size = 0.02F, dead_share = 0.002F;

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void sort_levels(struct agn_model *model)
{
    for (int i = 2; i < AGN_LEVELS; i++) { /* insertion sort of levels 1..7 with their usage */
        for (int j = i; j > 1 && fabsf(model->centroids[j]) < fabsf(model->centroids[j - 1]); j--) {
            float c = model->centroids[j], u = model->usage[j];
            model->centroids[j] = model->centroids[j - 1];
            model->usage[j] = model->usage[j - 1];
            model->centroids[j - 1] = c;
            model->usage[j - 1] = u;
        }
    }
    for (int level = 1; level < AGN_LEVELS; level++) {
        float size = fminf(fmaxf(fabsf(model->centroids[level]), 1e-3F), level_max);
        model->centroids[level] = copysignf(size, model->centroids[level]);
    }
    model->centroids[0] = 0.0F;
}

enum { MOST_SAMPLED = 100000 };

/* Every so many-th of the group's values, those away from 0 only; returns how many, or a status. This
 * process's are the `rank`-th stretch of all. */
static int sample_values(struct agn_group *group, const float *values, size_t count, float *sample)
{
    size_t all = count * (size_t)agn_group_size(group), begin = count * (size_t)agn_group_rank(group);
    size_t stride = all / MOST_SAMPLED + 1, drawn = 0;
    int taken = 0;
    for (size_t i = 0; i < all && drawn < MOST_SAMPLED; i += stride, drawn++) {
        bool own = i >= begin && i < begin + count;
        sample[drawn] = own ? values[i - begin] : 0.0F;
    }
    int status = agn_group_sum_floats(group, sample, drawn);
    for (size_t i = 0; i < drawn; i++)
        if (fabsf(sample[i]) > least_size)
            sample[taken++] = sample[i];
    return status < 0 ? status : taken;
}

int agn__centroids_initialise(struct agn_model *model, struct agn_group *group, const float *values,
                              size_t count)
{
    float *sample = agn_alloc(MOST_SAMPLED, sizeof(float));
    int taken = sample == NULL ? AGN_ERR_MEMORY : sample_values(group, values, count, sample);
    if (taken < 0) {
        agn_free(sample);
        return taken;
    }
    qsort(sample, (size_t)taken, sizeof(float), ascending);
    int negative = 0;
    while (negative < taken && sample[negative] < 0.0F)
        negative++;
    int below = negative > 0 ? AGN_LEVELS / 2 - 1 : 0, above = AGN_LEVELS - 1 - below;
    model->centroids[0] = 0.0F;
    for (int level = 1; level < AGN_LEVELS; level++) {
        bool is_above = level <= above;
        double of = is_above ? (double)(taken - negative) : (double)negative,
               first = is_above ? negative : 0.0;
        double share = is_above ? ((double)level - 0.5) / above : ((double)(level - above) - 0.5) / below;
        model->centroids[level] =
            of > 0.0 ? sample[(size_t)(first + share * of)] : level_max * (float)level / (float)AGN_LEVELS;
    }
    for (int level = 0; level < AGN_LEVELS; level++)
        model->usage[level] = 1.0F / AGN_LEVELS;
    sort_levels(model);
    agn_free(sample);
    return AGN_OK;
}

struct level_moments {
    double count, sum, square, top;
};

static void gather_part(const float *values, const uint8_t *symbols, size_t count,
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

/* By parts, as many for any number of threads, so that sums have the same bits. */
static void gather(const float *values, const uint8_t *symbols, size_t count,
                   struct level_moments m[AGN_LEVELS])
{
    enum { PARTS = 16 };
    struct level_moments of[PARTS][AGN_LEVELS];
#pragma omp parallel for schedule(static)
    for (size_t p = 0; p < PARTS; p++) {
        size_t begin = count / PARTS * p, end = p + 1 < PARTS ? begin + count / PARTS : count;
        gather_part(values + begin, symbols + begin, end - begin, of[p]);
    }
    memcpy(m, of[0], sizeof(of[0]));
    for (size_t p = 1; p < PARTS; p++) {
        for (int level = 0; level < AGN_LEVELS; level++) {
            m[level].count += of[p][level].count;
            m[level].sum += of[p][level].sum;
            m[level].square += of[p][level].square;
            m[level].top = of[p][level].top > m[level].top ? of[p][level].top : m[level].top;
        }
    }
}

static int gather_all(struct agn_group *group, struct level_moments m[AGN_LEVELS])
{
    double sums[3 * AGN_LEVELS], tops[AGN_LEVELS];
    if (group == NULL)
        return AGN_OK;
    for (int level = 0; level < AGN_LEVELS; level++) {
        double *sum = sums + 3 * level;
        sum[0] = m[level].count;
        sum[1] = m[level].sum;
        sum[2] = m[level].square;
        tops[level] = m[level].top;
    }
    int status = agn_group_sum(group, sums, AGN_COUNT_OF(sums));
    if (status == AGN_OK)
        status = agn_group_largest(group, tops, AGN_LEVELS);
    for (int level = 0; level < AGN_LEVELS; level++) {
        const double *sum = sums + 3 * level;
        m[level] = (struct level_moments){sum[0], sum[1], sum[2], tops[level]};
    }
    return status;
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
    if (m[worst].count < 2.0)
        return;
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

int agn__centroids_follow(struct agn_model *model, struct agn_group *group, const float *values,
                          const uint8_t *symbols, size_t count, double rate)
{
    struct level_moments m[AGN_LEVELS];
    double all = (double)(count * (size_t)agn_group_size(group));
    gather(values, symbols, count, m);
    int status = gather_all(group, m);
    if (status < 0)
        return status;
    for (int level = 0; level < AGN_LEVELS; level++) {
        model->usage[level] = 0.98F * model->usage[level] + 0.02F * (float)(m[level].count / all);
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
    return AGN_OK;
}

/* diff *= 2/tau Var_p(c) */
AGN_SIMD static void scale_by_variance(const float *restrict levels, float tau,
                                       float (*restrict share)[AGN__SOFT_BLOCK], const float *restrict mean,
                                       float *restrict diff, size_t count)
{
    float variance[AGN__SOFT_BLOCK] = {0};
    for (int l = 0; l < AGN_LEVELS; l++)
        for (size_t i = 0; i < count; i++)
            variance[i] += share[l][i] * (levels[l] - mean[i]) * (levels[l] - mean[i]);
    for (size_t i = 0; i < count; i++)
        diff[i] *= 2.0F / tau * variance[i];
}

/* s(x) = sum_l p_l c_l, p = softmax(-(x - c)^2 / tau), so ds/dx = 2/tau Var_p(c). */
void agn__soft_gradient(const struct agn_model *model, const float *values, float tau, float *diff,
                        size_t count)
{
#pragma omp parallel for schedule(static)
    for (size_t begin = 0; begin < count; begin += AGN__SOFT_BLOCK) {
        float share[AGN_LEVELS][AGN__SOFT_BLOCK], mean[AGN__SOFT_BLOCK];
        size_t block = count - begin < AGN__SOFT_BLOCK ? count - begin : AGN__SOFT_BLOCK;
        agn__soft_levels(model->centroids, tau, values + begin, block, share, mean);
        scale_by_variance(model->centroids, tau, share, mean, diff + begin, block);
    }
}

void agn__soft_quantiser_gradient(const struct agn_model *model, const float *values, double temperature,
                                  float *diff, size_t count)
{
    agn__soft_gradient(model, values, agn__soft_tau(model->centroids, (float)temperature), diff, count);
}
