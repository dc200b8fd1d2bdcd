/* Data sets in memory. Where they come from is src/sets' business. */
#include <math.h>

#include "agilenn/data.h"

void agn_dataset_free(struct agn_dataset *dataset)
{
    if (!dataset)
        return;
    for (int i = 0; dataset->class_names && i < dataset->classes; i++)
        agn_free(dataset->class_names[i]);
    for (int i = 0; dataset->files && i < dataset->count; i++)
        agn_free(dataset->files[i]);
    agn_free(dataset->files);
    agn_free(dataset->class_names);
    agn_free(dataset->pixels);
    agn_free(dataset->labels);
    agn_free(dataset);
}

void agn_dataset_statistics(const struct agn_dataset *dataset, double mean[AGN_MAX_CHANNELS],
                            double std[AGN_MAX_CHANNELS])
{
    /* Integer sums are exact: 2^64 holds the squares of 2^48 pixels. */
    uint64_t sum[AGN_MAX_CHANNELS] = {0}, squares[AGN_MAX_CHANNELS] = {0};
    int channels = dataset->channels;
    size_t pixels = (size_t)dataset->count * (size_t)dataset->height * (size_t)dataset->width;
    const uint8_t *pixel = dataset->pixels;
    for (size_t i = 0; i < pixels; i++, pixel += channels) {
        for (int c = 0; c < channels; c++) {
            sum[c] += pixel[c];
            squares[c] += (uint64_t)pixel[c] * pixel[c];
        }
    }
    for (int c = 0; c < AGN_MAX_CHANNELS; c++) {
        bool used = c < channels && pixels > 0;
        mean[c] = used ? (double)sum[c] / (double)pixels : 0.0;
        double variance = used ? (double)squares[c] / (double)pixels - mean[c] * mean[c] : 0.0;
        std[c] = variance > 0.0 ? sqrt(variance) : 0.0;
    }
}

void agn_dataset_normalisation(const struct agn_dataset *data, struct agn_normalisation *normalisation)
{
    double mean[AGN_MAX_CHANNELS], std[AGN_MAX_CHANNELS];
    agn_dataset_statistics(data, mean, std);
    for (int c = 0; c < data->channels; c++) {
        normalisation->mean[c] = (uint8_t)lround(fmin(fmax(mean[c], 0.0), 255.0));
        normalisation->std[c] = (float)fmax(std[c], 1.0);
    }
}

int agn_dataset_check_labels(const char *what, const struct agn_dataset *data)
{
    for (int i = 0; i < data->count; i++) {
        if (data->labels[i] >= data->classes) {
            return agn_fail(AGN_ERR_RANGE, "%s image %d has label %d, but the set has the classes 0 to %d",
                            what, i, data->labels[i], data->classes - 1);
        }
    }
    return AGN_OK;
}
