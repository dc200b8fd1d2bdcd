/* Runs that differ in their seed only, as one design: means with intervals, and what its frames cost. */
#ifndef AGN_REPORT_DESIGNS_H
#define AGN_REPORT_DESIGNS_H

#include <math.h>

#include "agilenn/cost.h"
#include "report/results.h"

/* NAN: not known; low and high are NAN where there is no interval. */
struct agn__value {
    double mean, low, high;
};
#define AGN__UNKNOWN ((struct agn__value){(double)NAN, (double)NAN, (double)NAN})

struct agn__design {
    const struct agn__run *first;       /* done if there is one; text that all runs share */
    const struct agn__run *const *runs; /* those that are done, by seed */
    int done, others;                   /* others: failed, diverged, still running */
    bool copy;                          /* another plan before has the same runs */
};

struct agn__place {
    const struct agn__run *run;
    const struct agn__design *design;
};
/* By plan and place, each plan's beside each other. */
struct agn__designs {
    struct agn__design *list;
    const struct agn__run **runs;
    struct agn__place *places; /* of the runs, by plan and id */
    int count, place_count;
};
/* AGN_ERR_MEMORY. Freed with agn__report_designs_free. */
int agn__report_designs_make(const struct agn__results *results, struct agn__designs *designs);
/* The design of a run; NULL: there is no such run. */
const struct agn__design *agn__report_designs_find(const struct agn__designs *designs, const char *plan,
                                                   const char *id);
void agn__report_designs_free(struct agn__designs *designs);

/* Mean over seeds and its interval of 95 %: Student's t of two seeds and more; of one seed Wilson's over the
 * images for accuracies, else none. */
struct agn__value agn__design_value(const struct agn__design *design, enum agn__run_real figure);
struct agn__value agn__report_mean(const double *values, int count);

/* What a frame costs, modelled; mean over all frames, so that the parts add up to the whole. */
enum agn__cost { AGN__LOCAL_MS, AGN__ENCODE_MS, AGN__NETWORK_MS, AGN__TOTAL_MS, AGN__BOARD_MJ, AGN__COSTS };
/* Mean over seeds of the typical value, low and high. Rate and clock of the profiles where 0. */
struct agn__value agn__design_cost(const struct agn__design *design, const struct agn_board *board,
                                   const struct agn_radio *radio, enum agn__cost which);

/* What a setting that the plan varies has in this design; false: the plan does not vary it. */
bool agn__design_setting(const struct agn__design *design, const char *key, char value[128]);
/* All of the design's settings but these, "a=1 b=2"; "" where there are no others. */
void agn__design_others(const struct agn__design *design, const char *const *but, int but_count, char *text,
                        size_t cap);

/* From the preset's text; false where it cannot be read. image_bytes: of the pixels; channels: of the
 * extractor's map, 0 where unknown; k: those that stay. */
struct agn__shape {
    double image_bytes;
    int channels, k;
};
bool agn__design_shape(const struct agn__design *design, struct agn__shape *shape);

/* The data set as the paper's tables have it ("cifar10", "cifar100", "svhn", "imagenet200"), else the name
 * itself. */
const char *agn__dataset_key(const char *name);

#endif
