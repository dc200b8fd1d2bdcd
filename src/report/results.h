/* Runs, curves and plans of results files, in memory. */
#ifndef AGN_REPORT_RESULTS_H
#define AGN_REPORT_RESULTS_H

#include <stdbool.h>

#include "agilenn/base.h"

/* Columns of the table `runs`. Text that is NULL is "". Numbers that are NULL, no number or not finite are
 * NAN. */
enum agn__run_text {
    AGN__PLAN,
    AGN__ID,
    AGN__DATASET,
    AGN__PRESET,
    AGN__SYSTEM,
    AGN__DESIGN,
    AGN__SETTINGS,
    AGN__PRESET_TEXT,
    AGN__STATE,
    AGN__REASON,
    AGN__SPLIT,
    AGN__COMMIT,
    AGN__MACHINE,
    AGN__STARTED,
    AGN__COMMAND,
    AGN__RUN_TEXTS
};
enum agn__run_real {
    AGN__PLACE,
    AGN__SEED,
    AGN__IMAGES,
    AGN__IMAGES_SEEN,
    AGN__ACCURACY,
    AGN__SILENT_ACCURACY,
    AGN__FLOAT_ACCURACY,
    AGN__SKEWNESS,
    AGN__DISORDER_RATE,
    AGN__REFERENCE_VALID,
    AGN__ALPHA,
    AGN__SENT_SHARE,
    AGN__BYTES_MEAN,
    AGN__PACKETS,
    AGN__PACKET_BYTES,
    AGN__REPLY_BYTES,
    AGN__EXTRACT_INSTRUCTIONS,
    AGN__LOCAL_INSTRUCTIONS,
    AGN__ENCODE_INSTRUCTIONS,
    AGN__RAM_BYTES,
    AGN__FLASH_BYTES,
    AGN__TRAIN_SECONDS,
    AGN__SECONDS,
    AGN__THREADS,
    AGN__RUN_REALS
};

struct agn__run {
    const char *text[AGN__RUN_TEXTS];
    double real[AGN__RUN_REALS];
    bool done;
};

struct agn__curve_point {
    const char *plan, *id, *curve, *label, *figure;
    double x, value;
};

struct agn__plan {
    const char *name, *question, *text;
};

/* Text that lives as long as the results. */
struct agn__texts {
    struct agn__text_block *blocks;
};
/* A copy with at most `most` bytes, whose lines are one unless `lines`; NULL: no memory. */
const char *agn__report_keep(struct agn__texts *texts, const char *text, size_t most, bool lines);
void agn__report_drop(struct agn__texts *texts);

/* Runs by plan, place and id, each pair of plan and id once: of several files the one that is done, of those
 * the one begun last. Plans by name, those that only runs name included. Points by plan, curve, label,
 * figure, id, x. */
struct agn__results {
    struct agn__texts texts;
    struct agn__run *runs;
    struct agn__curve_point *points;
    struct agn__plan *plans;
    int run_count, point_count, plan_count;
};

/* Errors as of agn_report_write. Freed with agn__report_free, which takes a zeroed one, too, and must be
 * called after a failure as well. */
int agn__report_read(struct agn__results *results, const char *const *paths, int count);
void agn__report_free(struct agn__results *results);

#endif
