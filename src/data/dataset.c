/* Data sets: the choice of a reader, and what all formats have in common.
 * Formats themselves are in idx.c and folder.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/dataset.h"

struct agn_dataset *agn__dataset_alloc(const struct agn_dataset_source *source, int count, int classes)
{
    struct agn_dataset *dataset = agn_alloc(1, sizeof *dataset);
    if (!dataset)
        return NULL;
    dataset->count = count;
    dataset->height = source->height;
    dataset->width = source->width;
    dataset->channels = source->channels;
    dataset->classes = classes;
    size_t image_bytes = (size_t)source->height * (size_t)source->width * (size_t)source->channels;
    dataset->pixels = agn_alloc((size_t)count, image_bytes);
    dataset->labels = agn_alloc((size_t)count, sizeof *dataset->labels);
    dataset->class_names = agn_alloc((size_t)classes, sizeof *dataset->class_names);
    if (!dataset->pixels || !dataset->labels || !dataset->class_names) {
        agn_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

int agn__dataset_name_classes(struct agn_dataset *dataset, const char *const *names, int names_count)
{
    for (int i = 0; i < dataset->classes; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%d", i);
        const char *name = names && i < names_count && names[i] ? names[i] : number;
        size_t size = strlen(name) + 1;
        dataset->class_names[i] = agn_alloc(size, 1);
        if (!dataset->class_names[i])
            return AGN_ERR_MEMORY;
        memcpy(dataset->class_names[i], name, size);
    }
    return AGN_OK;
}

int agn__limit_count(const struct agn_dataset_source *source, int total)
{
    return source->limit > 0 && source->limit < total ? source->limit : total;
}

int agn__limit_pick(int kept, int kept_count, int total)
{
    return (int)((int64_t)kept * total / kept_count);
}

static int check_source(const struct agn_dataset_source *source)
{
    if (!source->format || !source->path || !source->split)
        return agn_fail(AGN_ERR_ARG, "a data set needs a format, a folder and a split");
    if (strcmp(source->split, "train") != 0 && strcmp(source->split, "test") != 0)
        return agn_fail(AGN_ERR_ARG, "unknown split '%s': expected train or test", source->split);
    if (source->height < 1 || source->width < 1 || source->height > 4096 || source->width > 4096)
        return agn_fail(AGN_ERR_ARG, "image size %dx%d: height and width must be 1 to 4096", source->height,
                        source->width);
    if (source->channels < 1 || source->channels > AGN_MAX_CHANNELS)
        return agn_fail(AGN_ERR_ARG, "%d image channels: expected 1 to %d", source->channels,
                        AGN_MAX_CHANNELS);
    if (source->limit < 0)
        return agn_fail(AGN_ERR_ARG, "a limit of %d images: expected 0 (all) or more", source->limit);
    return AGN_OK;
}

int agn_dataset_open(const struct agn_dataset_source *source, struct agn_dataset **dataset)
{
    int status = check_source(source);
    if (status < 0)
        return status;
    if (strcmp(source->format, "idx") == 0)
        return agn__idx_open(source, dataset);
    if (strcmp(source->format, "folder") == 0)
        return agn__folder_open(source, dataset);
    return agn_fail(AGN_ERR_ARG, "unknown data set format '%s': expected idx or folder", source->format);
}

void agn_dataset_free(struct agn_dataset *dataset)
{
    if (!dataset)
        return;
    for (int i = 0; dataset->class_names && i < dataset->classes; i++)
        agn_free(dataset->class_names[i]);
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
