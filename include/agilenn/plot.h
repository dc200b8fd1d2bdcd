/* Plots as PNG files, where a function says so as SVG, too, drawn by gnuplot (Debian's gnuplot-nox).
 *
 * Each function writes the whole picture or nothing: a failure leaves `path` as it was. Errors:
 * AGN_ERR_NOT_FOUND when gnuplot is not installed (the message names the package); AGN_ERR_IO when
 * it fails or `path` cannot be written. The same input gives the same picture. */
#ifndef AGILENN_PLOT_H
#define AGILENN_PLOT_H

#include "agilenn/base.h"

/* Can plots be drawn here? For asking before long work. */
int agn_plot_available(void);

/* `before` and `after` joint training hold `channels` shares >= 0 that sum to 1 (struct agn_model's
 * importance_before and _after), means over the share of images that the reference gets right. */
struct agn_plot_channels {
    int channels, k; /* the first k stay on the device */
    const float *before, *after;
    double valid_before, valid_after; /* 0 to 1 */
};
/* Share of importance of each channel before and after joint training, as bars; the first k are marked, and
 * their sums (the skewness) stand in the legend beside the reference validity that they are worth. */
int agn_plot_importance(const char *path, const struct agn_plot_channels *shares);

/* Accuracy, skewness, reference validity, disorder rate, and the loss over the images trained on, from
 * a metrics.jsonl as agn_train_run writes it. Where a resumed training repeats steps, the later lines
 * count. AGN_ERR_FORMAT names the line that is not as expected. */
int agn_plot_training(const char *path, const char *metrics_path);

enum { AGN_PLOT_MAX_TRAININGS = 6 };
struct agn_plot_labelled {
    const char *label; /* any bytes */
    const char *metrics_path;
};
/* Joint training of several models in one picture: fused accuracy, skewness, reference validity and disorder
 * rate. AGN_ERR_FORMAT: a file is damaged, or holds no joint training. */
int agn_plot_comparison(const char *path, const struct agn_plot_labelled *trainings, int count);

/* One image and where its importance lies. The caller owns what it points to. */
struct agn_plot_explained {
    const char *title; /* of the row; any bytes */
    const uint8_t *pixels;
    int height, width, channels; /* of the image: NHWC, 1 grey or 3 RGB */
    const float *heat;           /* heat_height x heat_width, >= 0; scaled to its own maximum */
    int heat_height, heat_width;
    const float *importance; /* share of each feature channel */
    double skewness;
    bool reference_wrong; /* the reference does not see the true class: importance says little */
};

/* A second of a load on a server. Milliseconds may be NAN: there was nothing. */
struct agn_plot_second {
    double offered, answered, failed, paused; /* frames */
    double p50_ms, p99_ms, max_ms;            /* to their predictions */
};
struct agn_plot_load {
    const char *title; /* any bytes */
    const struct agn_plot_second *seconds;
    int count;
    /* A share of `shares` (0 to 1) of the frames takes at most so many ms to prediction or answer. */
    const double *shares, *prediction_ms, *answer_ms;
    int share_count;
};
/* Frames a second, the time to predictions over the seconds, and its distribution. At least one second and
 * one share (AGN_ERR_ARG). */
int agn_plot_load(const char *path, const struct agn_plot_load *load);

/* A design of a search (agilenn/fit.h). */
struct agn_plot_design {
    const char *name; /* any bytes */
    double latency_ms, energy_mj, accuracy;
    bool front; /* no other one is better in all */
};
struct agn_plot_front {
    const char *title; /* any bytes */
    const struct agn_plot_design *designs;
    int count;
    int marked;                               /* the recommended one; -1: none */
    double latency_limit_ms, energy_limit_mj; /* 0: none */
};
/* Accuracy over latency, and over energy. At least one design (AGN_ERR_ARG). */
int agn_plot_front(const char *path, const struct agn_plot_front *front);

enum { AGN_PLOT_MAX_SYSTEMS = 24 };
/* Which of several systems is best at each rate and clock. The caller owns what it points to. */
struct agn_plot_best {
    const char *title;                     /* any bytes */
    const char *const *names;              /* of the systems, any bytes */
    int systems;                           /* 1 to AGN_PLOT_MAX_SYSTEMS; colours repeat after 12 */
    const double *rates_kbps, *clocks_mhz; /* ascending, at least two of each */
    int rate_count, clock_count;
    const unsigned char *fastest,
        *thriftiest; /* (clocks, rates): number of a system, by latency and by energy */
};
/* Two fields side by side, latency and energy: areas in the colour of the system that wins there, with its
 * name where there is room; a legend of those that win anywhere. An SVG where `path` ends in ".svg".
 * AGN_ERR_ARG. */
int agn_plot_best(const char *path, const struct agn_plot_best *best);

enum { AGN_PLOT_MAX_CLASSES = 1000 };
struct agn_plot_confusion {
    int classes;        /* 1 to AGN_PLOT_MAX_CLASSES, else AGN_ERR_ARG */
    char *const *names; /* classes, any bytes */
    const int *counts;  /* (true class, predicted class) of images, >= 0 */
};
/* The confusion matrix as a heat map with a row for each true class, shaded by the share of its images. Up to
 * 40 classes have their names on both axes, more their numbers; up to 20 have counts in the cells. */
int agn_plot_confusion(const char *path, const struct agn_plot_confusion *confusion);

/* One picture of a sheet. The caller owns what it points to. */
struct agn_plot_mistake {
    const char *true_class, *predicted_class; /* any bytes */
    int image;                                /* position in the data set */
    double margin;
    const uint8_t *pixels; /* NHWC, 3 RGB or fewer, of which the first is shown in grey */
};
struct agn_plot_mistakes {
    const char *title;           /* any bytes */
    int height, width, channels; /* of all pictures: 1 to 1024 pixels, 1 to 3 channels */
    const struct agn_plot_mistake *mistakes;
    int count;
};
enum { AGN_PLOT_MAX_MISTAKES = 200, AGN_PLOT_MAX_SIDE = 1024 };
/* A sheet of 0 to AGN_PLOT_MAX_MISTAKES pictures, row by row, each enlarged by a whole factor to about 112
 * pixels (beyond 160 made smaller by one) with 'true → predicted' and its number beneath. AGN_ERR_ARG: a
 * number out of these ranges. */
int agn_plot_mistakes(const char *path, const struct agn_plot_mistakes *sheet);

/* Pictures in rows and columns, 1 or more of each. The caller owns what it points to. */
struct agn_plot_samples {
    const char *title; /* any bytes, here and in names */
    const char *const *row_names, *const *column_names;
    int rows, columns;
    int height, width, channels; /* of each: 1 to AGN_PLOT_MAX_SIDE pixels, 1 grey or 3 RGB */
    const uint8_t *pixels;       /* (rows, columns, height, width, channels) */
};
/* A sheet of them, each enlarged by a whole factor to about 64 pixels, or every so many pixels of it.
 * AGN_ERR_ARG: a number out of range, or more than AGN_PLOT_MAX_MISTAKES pictures. */
int agn_plot_samples(const char *path, const struct agn_plot_samples *samples);

enum { AGN_PLOT_MAX_ROWS = 24 };

/* A row for each image: the picture, the heat map over it, bars of channel importance with the first k
 * marked. 1 <= rows <= AGN_PLOT_MAX_ROWS. */
int agn_plot_explanation(const char *path, const struct agn_plot_explained *images, int rows,
                         int feature_channels, int k);

#endif
