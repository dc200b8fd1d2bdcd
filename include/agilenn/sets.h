/* Reading data sets from files. */
#ifndef AGILENN_SETS_H
#define AGILENN_SETS_H

#include "agilenn/data.h"

/* idx: train-images-idx3-ubyte[.gz] etc. (t10k-* for split "test").
 * folder: PATH/SPLIT/CLASS/ *.jpg|*.png|..., classes in byte order of their names. Without a folder test,
 * val, valid or validation is split "test" (logged); with a share for test, classes may lie in PATH itself.
 * cifar10, cifar100: the official binary version; fine labels. svhn: cropped digits, SPLIT_32x32.mat.
 * tiny-imagenet: the official layout, split "test" being its val. docs/DATA.md has the details.
 * Sizes change by a triangle filter (bilinear where images grow); one channel of three is
 * 0.299 R + 0.587 G + 0.114 B.
 * Errors name the file, the record, what was expected, and, for a missing Debian data
 * set, the package to install. */
int agn_dataset_open(const struct agn_dataset_source *source, struct agn_dataset **dataset);

/* Image size of a format all of whose images have one; false for those that have not, and idx. */
bool agn_dataset_format_size(const char *format, int *height, int *width, int *channels);
/* The format that a folder's files show; "folder" when nothing speaks for another. */
const char *agn_dataset_detect(const char *path);

/* ---- looking at all of a data set without keeping it ----------------------- */

enum {
    AGN_REPORT_SIZES = 16,
    AGN_REPORT_BAD = 1000,
    AGN_REPORT_WARNINGS = 200,
    AGN_REPORT_KINDS = 24, /* of what is not read */
    AGN_REPORT_KIND_BYTES = 32,
    AGN_REPORT_UNREAD = 5 /* names of each kind */
};

/* How many there were of something, and the first texts of them in byte order. */
struct agn_dataset_findings {
    char **texts;
    int kept, count;
};

/* Files and folders in a split that are not read, of one kind: an ending as ".psd", or some words. */
struct agn_dataset_unread {
    char kind[AGN_REPORT_KIND_BYTES];
    struct agn_dataset_findings found; /* paths */
};

struct agn_dataset_size {
    int height, width, count;
};

struct agn_dataset_report {
    int count, channels, classes;                         /* good images */
    char **class_names;                                   /* classes */
    int *class_counts;                                    /* classes */
    double mean[AGN_MAX_CHANNELS], std[AGN_MAX_CHANNELS]; /* over the pixels as they are in the files */
    struct agn_dataset_size sizes[AGN_REPORT_SIZES];      /* most frequent first */
    int size_count;
    int other_sizes;                 /* images of sizes for which `sizes` had no room */
    struct agn_dataset_findings bad; /* a sentence for each bad file or record */
    struct agn_dataset_findings
        warnings; /* a sentence for each image that is used, but not as it should be */
    struct agn_dataset_unread unread[AGN_REPORT_KINDS];
    int unread_kinds, unread_count;
};

/* Reads a split whole, going on after what is bad; the source's size is not looked at. AGN_OK also
 * when something was bad; an error when there is nothing to look at, no memory, or an interruption.
 * A limit holds. Freed with agn_dataset_report_free. */
int agn_dataset_inspect(const struct agn_dataset_source *source, struct agn_dataset_report *report);
void agn_dataset_report_free(struct agn_dataset_report *report);

#endif
