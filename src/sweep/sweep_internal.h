/* What the files of this room share. */
#ifndef AGN_SWEEP_INTERNAL_H
#define AGN_SWEEP_INTERNAL_H

#include "agilenn/database.h"
#include "agilenn/sweep.h"

/* ---- plans (plan.c reads, values.c splits, draws.c draws, expand.c makes runs) ------------------- */

enum { AGN__MOST_AXES = 32, AGN__MOST_VALUES = 1000, AGN__MOST_PRESETS = 64, AGN__MOST_SEEDS = 1000 };

struct agn__texts {
    char **items;
    int count;
};
void agn__texts_free(struct agn__texts *texts);
/* Takes a text apart: at "||" where it has one, else at "|", else at blanks; blanks around parts do not
 * count. At most `most` parts, none empty, unless the text is (0 parts). AGN_ERR_RANGE, AGN_ERR_FORMAT. */
int agn__texts_split(const char *text, int most, struct agn__texts *texts);

struct agn__axis {
    char key[64];             /* SECTION.KEY; the name of a line of [list] */
    struct agn__texts values; /* assignments of a line of [list] */
    char *range;              /* [random]: as it was written */
    int line;
};

enum agn__mode { AGN__GRID, AGN__LIST, AGN__RANDOM };

struct agn_sweep_plan {
    char name[AGN_SWEEP_NAME], path[1024], *text;
    char question[512], dataset[AGN_SWEEP_NAME];
    enum agn__mode mode;
    struct agn__texts presets, curves;
    struct agn_preset *loaded; /* with [set] */
    int seeds[AGN__MOST_SEEDS], seed_count;
    int points, random_seed; /* random */
    double images, sent, may_lose;
    char split[12];
    int measure_images, protocol;
    struct agn__axis set[AGN__MOST_AXES], *axes; /* lines of [list] may be many */
    int set_count, axis_count;
    char **drawn; /* (points, axes) */
    int designs;  /* of each preset */
    int count;
    uint64_t *ids;
};

/* Fills in all but presets and runs. */
int agn__plan_read(struct agn_sweep_plan *plan);
int agn__plan_expand(struct agn_sweep_plan *plan);
/* Fills in `drawn`: points that differ. */
int agn__plan_draw(struct agn_sweep_plan *plan);
/* "PATH, line N: what was said last"; returns the status. */
int agn__plan_fail_at(const struct agn_sweep_plan *plan, int line, int status);

/* FNV-1a of a text, going on with `hash`. */
#define AGN__HASH_START UINT64_C(14695981039346656037)
uint64_t agn__hash_text(uint64_t hash, const char *text);

/* ---- results files (results.c) ------------------------------------------------------------ */

struct agn_sweep_file {
    struct agn_database *database;
    char path[1024];
    int lock; /* file descriptor, -1: none */
};

enum agn__kind { AGN__TEXT, AGN__WHOLE, AGN__REAL };
struct agn__column {
    const char *name;
    enum agn__kind kind;
    size_t offset, size;
};
/* Of struct agn_sweep_row, `plan` the first. */
extern const struct agn__column agn__columns[];
extern const int agn__column_count;

int agn__results_put_plan(struct agn_sweep_file *file, const char *name, const char *question,
                          const char *text);
/* In one transaction; `points` takes the place of those that were there. */
int agn__results_put(struct agn_sweep_file *file, const struct agn_sweep_row *row,
                     const struct agn_sweep_point *points, int count);
/* Without a transaction of its own. */
int agn__results_put_row(struct agn_sweep_file *file, const struct agn_sweep_row *row);
int agn__results_put_point(struct agn_sweep_file *file, const char *plan, const char *id,
                           const struct agn_sweep_point *point);
/* 1: found; 0: not. plan NULL: of any plan, and done. */
int agn__results_get(struct agn_sweep_file *file, const char *plan, const char *id,
                     struct agn_sweep_row *row);
/* A copy of a done run of another plan: `row` has the new names. */
int agn__results_copy(struct agn_sweep_file *file, const char *from_plan, const struct agn_sweep_row *row);
/* Within a transaction: 1 where the row is new or better than that of its plan and id, which it replaces; 0
 * else. */
int agn__results_merge_row(struct agn_sweep_file *file, const struct agn_sweep_row *row);
void agn__row_read(struct agn_query *query, struct agn_sweep_row *row);
/* "plan, id, place, ...": the columns in order. */
extern const char agn__row_columns[];

/* Takes the file PATH.lock; AGN_ERR_BUSY says who has it. A descriptor to close. */
int agn__lock(const char *path);

/* CSV into an open file, within a transaction (csv_read.c). */
int agn__csv_merge(struct agn_sweep_file *file, const char *path, int *rows);

/* ---- one run (trial.c, in its own process) --------------------------------------------------- */

enum { AGN__MOST_POINTS = 4096 };

struct agn__outcome {
    bool whole;
    int status; /* < 0: row.reason says why */
    struct agn_sweep_row row;
    struct agn_sweep_point points[AGN__MOST_POINTS];
    int point_count;
};

struct agn__trial {
    const struct agn_sweep_plan *plan;
    const struct agn_sweep_task *task;
    const char *folder; /* of its files; a checkpoint there is gone on with */
    agn_progress_fn *progress;
    void *progress_user;
};
/* Trains, exports, measures; fills in figures of outcome->row, points, status and whole. */
void agn__trial_run(const struct agn__trial *trial, struct agn__outcome *outcome);

/* ---- curves (curves.c) ------------------------------------------------------------------------ */

struct agn_model;
struct agn_dataset;
struct agn_curves;
struct agn__curve_input {
    struct agn_model *model; /* nothing in it changes */
    const uint8_t *device;
    size_t device_bytes;
    const struct agn_dataset *data;   /* images that are measured on, as agn_preset_as_sent leaves them */
    const struct agn_dataset *images; /* the same as devices take them */
    int protocol;
    struct agn_curves *curves; /* NULL until a curve has measured them */
    struct agn__outcome *outcome;
};
/* The curve adds its points, none where it does not apply to the model. AGN_ERR_SPACE: no room. */
int agn__curve_measure(const char *name, struct agn__curve_input *input);
/* A point of the curve `before`, which each run has whose model has a reference network: skewness before
 * joint training. */
int agn__curve_add_before(struct agn__curve_input *input);
bool agn__curve_known(const char *name);
extern const char agn__curve_names[]; /* for messages */

#endif
