/* Data sets and loaders.
 *
 * A data set is a block of 8-bit images, NHWC, with labels; a loader turns it into
 * normalised float batches on a thread of its own. */
#ifndef AGILENN_DATA_H
#define AGILENN_DATA_H

#include "agilenn/base.h"

enum { AGN_MAX_CHANNELS = 4 };

/* How images become network input: (pixel - mean[c]) / std[c]. `mean` is a whole
 * pixel value so that the device's zero point represents it exactly, and border
 * padding (mean, that is 0 after normalisation) costs nothing there. */
struct agn_normalisation {
    uint8_t mean[AGN_MAX_CHANNELS];
    float std[AGN_MAX_CHANNELS]; /* in pixel values, > 0 */
};

struct agn_dataset_source {
    const char *format;          /* "idx" or "folder" */
    const char *path;            /* a folder */
    const char *split;           /* "train" or "test" */
    int height, width, channels; /* expected size; images of class folders are resized to it */
    int limit;                   /* keep at most this many images, spread evenly over the set; 0 = all */
};

struct agn_dataset {
    int count, height, width, channels, classes;
    uint8_t *pixels; /* count x height x width x channels */
    uint16_t *labels;
    char **class_names; /* classes; never NULL, digits where the set has no names */
};

/* idx: train-images-idx3-ubyte[.gz] etc. (t10k-* for split "test").
 * folder: PATH/SPLIT/CLASS/ *.jpg|*.jpeg|*.png, classes in byte order of their names.
 * Errors name the file, the record, what was expected, and, for a missing Debian data
 * set, the package to install. */
int agn_dataset_open(const struct agn_dataset_source *source, struct agn_dataset **dataset);
void agn_dataset_free(struct agn_dataset *dataset);

/* Mean and standard deviation per channel, in pixel values. */
void agn_dataset_statistics(const struct agn_dataset *dataset, double mean[AGN_MAX_CHANNELS],
                            double std[AGN_MAX_CHANNELS]);

struct agn_loader_config {
    int batch;
    bool shuffle;   /* a new order each epoch, from seed and epoch number only */
    bool drop_last; /* leave out a last, smaller batch */
    bool flip;      /* mirror left-right with probability 1/2 */
    int crop_pad;   /* pad by so many pixels (value mean), then crop at a random place */
    uint64_t seed;  /* image i of epoch e is the same whatever the number of threads */
    struct agn_normalisation normalisation;
};

struct agn_batch {
    const float *images;    /* batch x height x width x channels; rows past `count` are 0 */
    const int32_t *labels;  /* batch; -1 past `count` */
    const int32_t *indices; /* batch; positions in the data set */
    int count;
};

struct agn_loader;

/* The data set must outlive the loader. */
int agn_loader_create(const struct agn_dataset *dataset, const struct agn_loader_config *config,
                      struct agn_loader **loader);
/* Starts an epoch (0-based; drops what an unfinished one had prefetched). */
int agn_loader_start(struct agn_loader *loader, int epoch);
/* Next batch: 1, or 0 at the epoch's end, or an error. `batch` is valid until the next call. */
int agn_loader_next(struct agn_loader *loader, struct agn_batch *batch);
/* Batches in an epoch. */
int agn_loader_steps(const struct agn_loader *loader);
/* Seconds that agn_loader_next has waited for data since creation. */
double agn_loader_stall_s(const struct agn_loader *loader);
void agn_loader_free(struct agn_loader *loader);

#endif
