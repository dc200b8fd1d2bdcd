/* Inside src/sets: where the images go that a reader finds.
 *
 * A reader does not know whether a data set is opened (images are brought to the source's size and
 * kept) or inspected (images are counted and forgotten, bad ones written down): it announces what
 * is there, then hands over images one by one, from any thread. */
#ifndef AGN_SETS_SINK_H
#define AGN_SETS_SINK_H

#include "sets/dataset.h"
#include "sets/findings.h"
#include "sets/image.h"

enum agn__part { AGN__PART_TRAIN, AGN__PART_TEST, AGN__PART_VALIDATION };

struct agn__sink {
    const struct agn_dataset_source *source;
    struct agn_dataset *dataset;          /* when opening: made by agn__sink_begin */
    struct agn_dataset_report *report;    /* when inspecting; else NULL */
    bool skip;                            /* when opening: bad files are left out */
    uint8_t ground[3];                    /* for the transparent parts of images */
    int channels;                         /* of the images that the reader should decode to */
    int total, kept;                      /* images there are; images that limit and part keep */
    struct agn_dataset_findings warnings; /* about images that are used */
    struct agn_dataset_findings skipped;  /* when opening: what is left out */
    bool *present;                        /* when opening: kept, the images that are in the data set */
    struct agn__unread unread;            /* files and folders; readers of files add to it */
    /* Which images are wanted (parts.h); source is then `resolved`. */
    struct agn_dataset_source resolved;
    enum agn__part part;
    bool shared; /* the part is a share of the training images, or what shares leave of them */
    double test_share, validation_share; /* 0: not a share */
    const uint16_t *labels; /* total: the reader's, set before agn__sink_begin if agn__parts_need_labels */
    int *picks;             /* kept: ascending; NULL: the limit's */
    uint64_t sum[AGN_MAX_CHANNELS], squares[AGN_MAX_CHANNELS], pixels;
};

/* Announces `total` > 0 images of `classes` classes; names as for agn__dataset_name_classes. */
int agn__sink_begin(struct agn__sink *sink, int total, int classes, const char *const *names,
                    int names_count);

/* Which of the `total` images is the kept-th one to hand over, 0 <= kept < sink->kept. */
int agn__sink_pick(const struct agn__sink *sink, int kept);

/* The first `kept` whose pick is `record` or a later one; sink->kept when there is none. */
int agn__sink_first(const struct agn__sink *sink, int record);

/* Takes image `kept`; label < classes. Any thread, each `kept` once. The image stays the caller's. */
int agn__sink_put(struct agn__sink *sink, int kept, int label, const struct agn__image *image);

/* A file or record is bad, with `status` and a sentence. AGN_OK: it is written down, go on without it. Else
 * the status to end with; the sentence has got the remedies. Any thread. */
int agn__sink_bad(struct agn__sink *sink, int status);

/* The same of what cannot be left out, such as a class: only an inspection goes on. */
int agn__sink_fault(struct agn__sink *sink, int status);

/* Notes a sentence about an image that is used nevertheless. Any thread. */
int agn__sink_warn(struct agn__sink *sink, const char *sentence);

/* Reads all that sink->source names. When opening, what was found beside images goes to the log; when
 * inspecting, to the report. The sink holds nothing of its own any more but the data set. */
int agn__sink_read(struct agn__sink *sink);

/* Runs load(user, i) for i of [first, end) on several threads. Ends early on a failure or an interruption;
 * returns the failure of the lowest i, with its sentence. `what` names the data in the latter case. */
int agn__load_parallel(int first, int end, int (*load)(void *user, int index), void *user, const char *what);

#endif
