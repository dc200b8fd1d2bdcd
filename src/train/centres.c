/* The quantiser's levels in DeepCOD, "centres": weights like others, learned by Adam through the soft
 * assignment
 *
 *   s(x) = sum_l p_l c_l, p = softmax(-(x - c)^2 / tau),   ds/dc_l = p_l (1 + 2/tau (x - c_l) (c_l - s)),
 *
 * which stands for the nearest centre in backward. The authors' code has tau = 1 for values that start with a
 * deviation of about 8, as do its 16 (4x4x3 pixels within +-128 times weights of deviation 0.02: 0.02
 * sqrt(48) 60). Here a BN gives values a deviation of 1, so that a unit is 8 of theirs: centres start within
 * +-2, tau is 1/64, and a step of Adam, which knows no units, is an eighth. */
#include <math.h>
#include <string.h>

#include "train/deepcod.h"
#include "train/soft_levels.h"

static const float unit = 8.0F, first_range = 16.0F;
static const float memory = 0.98F; /* of the levels' usage, a step */
static const char name[] = "quantiser.moments";

float agn__centres_tau(void)
{
    return 1.0F / (unit * unit);
}

void agn__centres_initialise(struct agn_model *model)
{
    for (int l = 0; l < AGN_LEVELS; l++) {
        float place = ((float)l + 0.5F) / (float)AGN_LEVELS; /* in the middle of an eighth */
        model->centroids[l] = (2.0F * place - 1.0F) * first_range / unit;
        model->usage[l] = 1.0F / AGN_LEVELS;
    }
}

static void add_part(const struct agn_model *model, const float *values, const uint8_t *symbols,
                     const float *diff, size_t count, double sums[2 * AGN_LEVELS])
{
    const float *levels = model->centroids;
    double sharpness = 2.0 / (double)agn__centres_tau();
    for (size_t begin = 0; begin < count; begin += AGN__SOFT_BLOCK) {
        float share[AGN_LEVELS][AGN__SOFT_BLOCK], mean[AGN__SOFT_BLOCK];
        size_t block = count - begin < AGN__SOFT_BLOCK ? count - begin : AGN__SOFT_BLOCK;
        agn__soft_levels(levels, agn__centres_tau(), values + begin, block, share, mean);
        for (int l = 0; l < AGN_LEVELS; l++) {
            for (size_t i = 0; i < block; i++) {
                double x = (double)values[begin + i], c = (double)levels[l];
                double slope = (double)share[l][i] * (1.0 + sharpness * (x - c) * (c - (double)mean[i]));
                sums[l] += (double)diff[begin + i] * slope;
            }
        }
        for (size_t i = 0; i < block; i++)
            sums[AGN_LEVELS + symbols[begin + i]] += 1.0;
    }
}

/* By parts, as many for any number of threads, so that sums have the same bits. */
void agn__centres_gradient(const struct agn_model *model, const float *values, const uint8_t *symbols,
                           const float *diff, size_t count, double sums[AGN_LEVELS],
                           double shares[AGN_LEVELS])
{
    enum { PARTS = 16 };
    double of[PARTS][2 * AGN_LEVELS] = {{0.0}};
#pragma omp parallel for schedule(static)
    for (size_t p = 0; p < PARTS; p++) {
        size_t begin = count / PARTS * p, end = p + 1 < PARTS ? begin + count / PARTS : count;
        add_part(model, values + begin, symbols + begin, diff + begin, end - begin, of[p]);
    }
    for (int l = 0; l < AGN_LEVELS; l++) {
        sums[l] = shares[l] = 0.0;
        for (int p = 0; p < PARTS; p++) {
            sums[l] += of[p][l];
            shares[l] += of[p][AGN_LEVELS + l] / (double)count;
        }
    }
}

/* Of two neighbours that have passed each other. */
static void exchange(float *values, int l)
{
    float kept = values[l];
    values[l] = values[l - 1];
    values[l - 1] = kept;
}

static void sort(struct agn_model *model, float *first, float *second)
{
    for (int i = 1; i < AGN_LEVELS; i++) {
        for (int l = i; l > 0 && model->centroids[l] < model->centroids[l - 1]; l--) {
            exchange(model->centroids, l);
            exchange(model->usage, l);
            exchange(first, l);
            exchange(second, l);
        }
    }
}

void agn__centres_step(struct agn_model *model, struct agn__beside *beside, const double sums[AGN_LEVELS],
                       const double shares[AGN_LEVELS], double rate)
{
    float *first = beside->centre_moments, *second = first + AGN_LEVELS, *steps = second + AGN_LEVELS;
    double beta1 = model->preset.train.beta1, beta2 = model->preset.train.beta2;
    *steps += 1.0F;
    double t = (double)*steps, scale1 = 1.0 - pow(beta1, t), scale2 = 1.0 - pow(beta2, t);
    for (int l = 0; l < AGN_LEVELS; l++) {
        first[l] = (float)(beta1 * (double)first[l] + (1.0 - beta1) * sums[l]);
        second[l] = (float)(beta2 * (double)second[l] + (1.0 - beta2) * sums[l] * sums[l]);
        double direction = (double)first[l] / scale1 / (sqrt((double)second[l] / scale2) + 1e-8);
        model->centroids[l] -= (float)(rate / (double)unit * direction);
        model->usage[l] = memory * model->usage[l] + (1.0F - memory) * (float)shares[l];
    }
    sort(model, first, second);
}

/* ---- in checkpoints ------------------------------------------------------------------------- */

int agn__centre_moments_create(struct agn__beside *beside)
{
    beside->centre_moments = agn_alloc(AGN__CENTRE_MOMENTS, sizeof(float));
    return beside->centre_moments == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

int agn__centre_moments_append(const struct agn__beside *beside, struct agn_tensor_file *file)
{
    const struct agn_tensor_view view =
        agn_tensor_view_f32(name, beside->centre_moments, AGN__CENTRE_MOMENTS);
    return agn_tensor_file_append(file, &view, 1);
}

int agn__centre_moments_load(struct agn__beside *beside, const struct agn_tensor_file *file)
{
    const struct agn_tensor_view *view = agn_tensor_file_find(file, name);
    if (view == NULL || view->dtype != AGN_F32 || view->size_bytes != AGN__CENTRE_MOMENTS * sizeof(float)) {
        return agn_fail(AGN_ERR_FORMAT, "tensor '%s' is missing or has another size than %d floats", name,
                        (int)AGN__CENTRE_MOMENTS);
    }
    int status = agn__centre_moments_create(beside);
    for (size_t i = 0; status == AGN_OK && i < AGN__CENTRE_MOMENTS; i++) {
        float value = ((const float *)view->data)[i];
        if (!isfinite(value) || (i >= AGN_LEVELS && value < 0.0F))
            return agn_fail(AGN_ERR_FORMAT, "tensor '%s' holds impossible values", name);
        beside->centre_moments[i] = value;
    }
    return status;
}
