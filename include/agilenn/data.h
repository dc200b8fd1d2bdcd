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
    const char *format;          /* one of agn_dataset_formats */
    const char *path;            /* a folder */
    const char *split;           /* "train", "test" or "validation" */
    int height, width, channels; /* size of the images; all formats but idx are resized to it */
    const char *bad_files;       /* NULL or "refuse": an error; "skip": they are left out, and mentioned */
    const char *ground; /* what shows where images are transparent (agn_dataset_ground); NULL: white */
    int limit;          /* keep at most this many images, spread evenly over the set; 0 = all */
    /* Where test and validation images are: a number between 0 and 1 is that share of the training images,
     * other text the name of a folder beside train (class folders only); NULL or "" the set's own test split,
     * and no validation. A share is drawn class by class from split_seed: first test, then validation from
     * what is left; a class keeps at least one image for training, and of two or more each share gets at
     * least one, test first. train_limit (0 = all) holds before shares are drawn, `limit` after it. */
    const char *test, *validation;
    uint64_t split_seed;
    int train_limit;
};

/* The share that a text names; 0: it is no number between 0 and 1. */
double agn_dataset_share(const char *text);
/* Can a set of this format be divided so? AGN_ERR_ARG or AGN_ERR_RANGE names data.test or data.validation. */
int agn_dataset_check_parts(const char *format, const char *test, const char *validation);

struct agn_dataset {
    int count, height, width, channels, classes;
    uint8_t *pixels; /* count x height x width x channels */
    uint16_t *labels;
    char **class_names; /* classes; never NULL, digits where the set has no names */
    char **files;       /* count: paths, where each image is a file of its own; else NULL */
};

/* Names, then NULL; agilenn/sets.h reads them. */
extern const char *const agn_dataset_formats[];
bool agn_dataset_format_known(const char *format);
/* "idx, folder, ... or tiny-imagenet": all of them, cut to size - 1 bytes. */
void agn_dataset_list_formats(char *text, size_t size);
/* Reads "white", "black" or "#RRGGBB" (six hexadecimal digits); false: it is neither. */
bool agn_dataset_ground(const char *text, uint8_t rgb[3]);

void agn_dataset_free(struct agn_dataset *dataset);

/* Mean and standard deviation per channel, in pixel values. */
void agn_dataset_statistics(const struct agn_dataset *dataset, double mean[AGN_MAX_CHANNELS],
                            double std[AGN_MAX_CHANNELS]);
/* Mean (rounded) and deviation (at least 1) of each channel, as networks take images. */
void agn_dataset_normalisation(const struct agn_dataset *data, struct agn_normalisation *normalisation);
/* AGN_ERR_RANGE: a label that is none of the set's classes; `what` names the set in the message. */
int agn_dataset_check_labels(const char *what, const struct agn_dataset *data);

struct agn_loader_config {
    int batch;
    bool shuffle;   /* a new order each epoch, from seed and epoch number only */
    bool drop_last; /* leave out a last, smaller batch */
    bool flip;      /* mirror left-right with probability 1/2 */
    int crop_pad;   /* pad by so many pixels (value mean), then crop at a random place */
    uint64_t seed;  /* image i of epoch e is the same whatever the number of threads */
    struct agn_normalisation normalisation;
    /* Of `parts` loaders with one seed, each gives its part of a common batch of batch * parts images:
     * positions part * batch to part * batch + batch - 1. 0 parts: 1. */
    int part, parts;
    bool whole; /* batches carry the images of all parts, too */
};

struct agn_batch {
    const float *images;    /* batch x height x width x channels; rows past `count` are 0 */
    const int32_t *labels;  /* batch; -1 past `count` */
    const int32_t *indices; /* batch; positions in the data set */
    int count;              /* with parts, 0 is possible in an epoch's last batch */
    /* With `whole`, the common batch that `images` is part of; else NULL, and `images` is all there is. */
    const float *whole_images;
    const int32_t *whole_labels;
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
