/* Does the order of importance that training settled still hold when the inputs change? Accuracy, importance
 * and bytes of a trained model on corrupted images (corruption.h), where some classes are rarer than others,
 * and on another data set of the same classes, beside those of the images as they are. */
#ifndef AGILENN_SHIFT_H
#define AGILENN_SHIFT_H

#include "agilenn/corruption.h"
#include "agilenn/model.h"

enum {
    AGN_SHIFT_RATIOS = 3, /* 10, 50, 100 */
    AGN_SHIFT_DRAWS = 3,
    AGN_SHIFT_MAX_ROWS =
        2 + AGN_CORRUPTION_COUNT * AGN_CORRUPTION_STRENGTHS + AGN_SHIFT_RATIOS * AGN_SHIFT_DRAWS
};
#define AGN_SHIFT_HOLDS 0.9 /* the rank correlation from which on an order is said to hold */

/* What is changed: the corruptions of agilenn/corruption.h by their numbers, then these. */
enum agn_shift_kind {
    AGN_SHIFT_LONG_TAIL = AGN_CORRUPTION_COUNT, /* some classes are rare */
    AGN_SHIFT_OTHER,                            /* another data set */
    AGN_SHIFT_CLEAN,                            /* nothing */
    AGN_SHIFT_KINDS
};
/* "noise", ..., "long-tail", "other", "clean". */
const char *agn_shift_kind_name(int kind);
/* Reads names with commas between into bits 1 << kind; "all": all that can be chosen, corruptions and
 * long-tail. AGN_ERR_ARG names what is none of them. */
int agn_shift_kinds_parse(const char *text, unsigned *kinds);

/* 0 or NULL asks for the default in brackets. */
struct agn_shift_config {
    struct agn_model *model;         /* its networks are run, nothing in it changes */
    const struct agn_dataset *data;  /* images as devices take them, before JPEG */
    const struct agn_dataset *other; /* of the same classes and size, likewise [none] */
    unsigned kinds;                  /* 1 << kind of what is measured beside clean and other [all] */
    const uint8_t *device;           /* a model.agn of this model (AGN_ERR_MISMATCH) [no bytes] */
    size_t device_bytes;
    int byte_images; /* so many images of each row, spread evenly, go through the device [all] */
    uint64_t seed;
    agn_progress_fn *progress;
    void *progress_user;
};

/* Images under one change. NAN: the model has no such part, or there is nothing to compare. */
struct agn_shift_row {
    int kind;
    int strength;     /* 1 to 5 of a corruption, 1 to 3 of AGN_SHIFT_LONG_TAIL, else 0 */
    int draw;         /* 1 to AGN_SHIFT_DRAWS of AGN_SHIFT_LONG_TAIL, else 0 */
    double parameter; /* of the corruption; ratio of the most to the least frequent class; else NAN */
    int images;
    /* In float, as agn_evaluation has them. Importance is that of images which the reference gets right. */
    double fused_accuracy, local_accuracy, remote_accuracy, reference_valid, skewness, disorder_rate;
    /* agn_rank_correlation of the channels' mean importance with that on the clean images, and share of the k
     * most important channels of these that still are. */
    double rank_correlation, top_kept;
    /* The same of single images with themselves as they were, mean over the `compared` ones: both times the
     * reference gets them right, and the correlation is defined. Corruptions only, else NAN and 0. */
    double image_rank_correlation, image_top_kept;
    int compared;
    /* By the int8 device: mean bytes of a frame's packets if it is sent, headers included, without what
     * carries them; share of frames that stay unsent by the device's margins or exits (NAN: it has none). */
    double bytes, unsent_share;
};

struct agn_shift {
    int images, byte_images; /* of the clean row; byte_images 0: no device */
    int channels, local_channels;
    int count;
    struct agn_shift_row rows[AGN_SHIFT_MAX_ROWS]; /* clean first, then by kind, strength and draw */
    /* Up to strength `holds` (0: not even at 1) all corruptions' rank_correlation is at least
     * AGN_SHIFT_HOLDS; `lowest` is the lowest of them up to there (holds 0: at strength 1), that of
     * `lowest_kind`. holds -1: there is no such correlation. */
    int holds, lowest_kind;
    double lowest;
    double seconds, images_per_s; /* all rows' images together */
};

/* Long tails (Cui et al. 2019): class r of C, in an order drawn from seed and draw, keeps round(n ratio^(-r /
 * (C - 1))) of its images, drawn likewise, at least one where it has any; n: images of the class that has the
 * fewest, but not none. Ratios 10, 50 and 100, each drawn three times.
 *
 * Uses the threads of OpenMP. Errors of agn_model_check_data, agn_corrupt and agn_model_evaluate;
 * AGN_ERR_MISMATCH: the device is another model's; AGN_ERR_INTERRUPTED. `result` is untouched on failure. */
int agn_shift_measure(const struct agn_shift_config *config, struct agn_shift *result);

/* Spearman's: Pearson's correlation of the ranks, equals having the mean of theirs; NAN where one side has
 * one rank only, or count is below 2. */
double agn_rank_correlation(const float *a, const float *b, int count);
/* Share of the k largest of `a` that are among the k largest of `b`; of equals the first are. 1 <= k <=
 * count. */
double agn_top_kept(const float *a, const float *b, int count, int k);

/* Adds a row's figures to the list, kind, strength, draw and parameter first. */
void agn_shift_row_figures(const struct agn_shift_row *row, struct agn_figures *figures);

/* shift.csv, a line for each row, shift.png and shift.svg into `folder`, which is made if need be (errors of
 * agilenn/plot.h). */
int agn_shift_write(const struct agn_shift *result, const char *title, const char *folder);

/* The first image of `data` under every corruption of `kinds` (0: all) in every strength, as a picture
 * (errors of agn_corrupt and agilenn/plot.h). */
int agn_shift_draw_samples(const struct agn_dataset *data, unsigned kinds, uint64_t seed, const char *path);

#endif
