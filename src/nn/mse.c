/* Mean squared error: loss and gradient. Rows are whole images: threads share them out, and each is summed in
 * double by eight partial sums, whatever the number of threads. */
#include "agilenn/nn.h"
#include "agilenn/vector.h"

enum { LANES = 8 };

/* The sum of (values - target)^2 */
AGN_SIMD static double sum_of_squares(const float *restrict values, const float *restrict target,
                                      size_t count)
{
    double sums[LANES] = {0.0}, sum = 0.0;
    size_t full = count / LANES * LANES;
    for (size_t i = 0; i < full; i += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            double d = (double)values[i + l] - (double)target[i + l];
            sums[l] += d * d;
        }
    }
    for (size_t i = full; i < count; i++) {
        double d = (double)values[i] - (double)target[i];
        sum += d * d;
    }
    for (size_t l = 0; l < LANES; l++)
        sum += sums[l];
    return sum;
}

/* diff may be one of the sources. */
AGN_SIMD static void scaled_difference(const float *values, const float *target, size_t count, float scale,
                                       float *diff)
{
    for (size_t i = 0; i < count; i++)
        diff[i] = scale * (values[i] - target[i]);
}

void agn_mse_forward(const float *values, const float *target, int n, size_t size, float scale, float *loss)
{
#pragma omp parallel for schedule(static) num_threads(agn_nn_workers())
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i * size;
        loss[i] = (float)((double)scale * sum_of_squares(values + at, target + at, size) / (double)size);
    }
}

void agn_mse_backward(const float *values, const float *target, int n, size_t size, float scale, float *diff)
{
    float factor = (float)(2.0 * (double)scale / (double)size);
#pragma omp parallel for schedule(static) num_threads(agn_nn_workers())
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i * size;
        scaled_difference(values + at, target + at, size, factor, diff + at);
    }
}
