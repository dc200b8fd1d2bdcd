/* Is what attribution calls important important? Deletion and insertion curves (Petsiuk, Das and Saenko,
 * "RISE", 2018), here over the channels of the feature map: channels are set to 0, the baseline of integrated
 * gradients, one after the other, and the reference network is asked after each; a good order of importance
 * makes it wrong early when the first go first, and late when they go last.
 *
 * Importance is each image's own, by the true class. The true class's probability and accuracy are means over
 * all images, also those that the reference gets wrong from the start. */
#ifndef AGILENN_DELETION_H
#define AGILENN_DELETION_H

#include "agilenn/model.h"
#include "agilenn/xai.h"

enum { AGN_DELETION_METHODS = 5, AGN_DELETION_DRAWS = 8 };

enum agn_deletion_order {
    AGN_DELETE_FALLING, /* most important first, by the method */
    AGN_DELETE_RISING,  /* least important first */
    AGN_DELETE_FIXED,   /* the model's: first the first k, then the others as they are sent */
    AGN_DELETE_RANDOM,  /* mean over permutations, of each image its own */
    AGN_DELETE_ORDERS
};
/* "falling", "rising", "fixed", "random". */
const char *agn_deletion_order_name(enum agn_deletion_order order);

/* After 0, 1, ... channels. Areas are those below the points joined by lines, the number of channels from 0
 * to 1 on the axis: 0 to 1. */
struct agn_deletion_curve {
    double accuracy[AGN_MAX_FEATURES + 1], probability[AGN_MAX_FEATURES + 1]; /* of the true class */
    double accuracy_area, probability_area;
};

/* Channels taken from all in this order, and put back into none in this order. Putting back is taking away
 * backwards: insertion in an order after n channels is deletion in the order turned round after all but n. */
struct agn_deletion_pair {
    struct agn_deletion_curve deletion, insertion;
};

struct agn_deletion_method {
    enum agn_xai_method method;
    struct agn_deletion_pair falling, rising;
    /* The fused prediction, after 0 to all sent channels of a frame did not come: most important first, by
     * this method, and last. Filled and weighed as the server does it. */
    struct agn_deletion_curve fused_falling, fused_rising;
};

/* 0 or NULL asks for the default in brackets. */
struct agn_deletion_config {
    struct agn_model *model;        /* its networks are run, nothing in it changes */
    const struct agn_dataset *data; /* as agn_preset_as_sent leaves them */
    const enum agn_xai_method *methods;
    int method_count; /* AGN_DELETION_METHODS at most [1, the preset's] */
    int points;       /* gradients on the line [the preset's] */
    int draws;        /* random orders, AGN_DELETION_DRAWS at most [3] */
    uint64_t seed;    /* of these */
    agn_progress_fn *progress;
    void *progress_user;
};

struct agn_deletion {
    int images, channels, local_channels, sent_channels, draws;
    int method_count;
    struct agn_deletion_method methods[AGN_DELETION_METHODS];
    struct agn_deletion_pair fixed, random; /* the same for all methods */
    double seconds;
};

/* AGN_ERR_UNSUPPORTED: no reference, Local NN, Remote NN or symbols; AGN_ERR_RANGE: draws or methods; errors
 * of agn_model_check_data and agn_xai_create. `result` is untouched on failure. */
int agn_deletion_measure(const struct agn_deletion_config *config, struct agn_deletion *result);

/* deletion.csv, deletion.png and deletion.svg into `folder`, which is made if need be (errors of
 * agilenn/plot.h). */
int agn_deletion_write(const struct agn_deletion *result, const char *title, const char *folder);

#endif
