/* Many trainings from one plan, each measured end to end, and the table of what came of them.
 *
 * A plan (docs/SWEEP.md) names presets, seeds and what is varied; a run is one preset with one set of values
 * and one seed: trained, quantised, measured through the device library, a socket and the server. Each run is
 * a process of its own and a row of a results file, an SQLite database that other programs may read. */
#ifndef AGILENN_SWEEP_H
#define AGILENN_SWEEP_H

#include "agilenn/figures.h"
#include "agilenn/preset.h"

enum {
    AGN_SWEEP_VERSION = 1, /* of results files */
    AGN_SWEEP_MOST_RUNS = 100000,
    AGN_SWEEP_NAME = 64,
    AGN_SWEEP_DESIGN = 1024,
    AGN_SWEEP_SETTINGS = 4096,
    AGN_SWEEP_PRESET = 16384,
};

/* ---- plans ----------------------------------------------------------------------- */

struct agn_sweep_plan;

/* Reads a plan and makes its runs: presets are loaded, every key and value is tried, every combination
 * checked (agn_preset_check, and whether a device could run its networks). Errors name file and line, or the
 * run: AGN_ERR_FORMAT, AGN_ERR_ARG, AGN_ERR_RANGE, those of agn_preset_load. `path` gives the plan its name.
 */
int agn_sweep_plan_load(const char *path, struct agn_sweep_plan **plan);
/* The same of a text. */
int agn_sweep_plan_parse(const char *text, const char *path, struct agn_sweep_plan **plan);
void agn_sweep_plan_free(struct agn_sweep_plan *plan);

const char *agn_sweep_plan_name(const struct agn_sweep_plan *plan);
const char *agn_sweep_plan_question(const struct agn_sweep_plan *plan);
int agn_sweep_plan_count(const struct agn_sweep_plan *plan); /* of its runs */

/* One run. */
struct agn_sweep_task {
    int place;   /* in the plan, from 0 on: all designs with the first seed, then with the next */
    char id[17]; /* 16 hexadecimal digits of all that decides its figures */
    char preset_name[AGN_SWEEP_NAME], dataset[AGN_SWEEP_NAME];
    char design[AGN_SWEEP_DESIGN]; /* what the plan varies: "joint.rho=0.7 model.grid=2", or the name of its
                                      line */
    char settings[AGN_SWEEP_SETTINGS]; /* the same as a JSON object of texts */
    struct agn_preset preset;          /* with all of it; the seed, too */
};
/* Run number `place`, from 0 to count - 1. */
int agn_sweep_plan_task(const struct agn_sweep_plan *plan, int place, struct agn_sweep_task *task);
/* Its place by id; AGN_ERR_NOT_FOUND. */
int agn_sweep_plan_find(const struct agn_sweep_plan *plan, const char *id);

/* ---- a row of a results file ------------------------------------------------------ */

/* Columns of the table `runs` behind `plan`, in order. TEXT(name, bytes) WHOLE(name) REAL(name). Meanings:
 * docs/SWEEP.md. A real number that is NAN, NULL in the file, is not known or does not apply. */
#define AGN_SWEEP_COLUMNS(TEXT, WHOLE, REAL)                                                                 \
    TEXT(id, 17)                                                                                             \
    WHOLE(place)                                                                                             \
    TEXT(dataset, AGN_SWEEP_NAME)                                                                            \
    TEXT(preset, AGN_SWEEP_NAME)                                                                             \
    TEXT(system, 24)                                                                                         \
    TEXT(design, AGN_SWEEP_DESIGN)                                                                           \
    TEXT(settings, AGN_SWEEP_SETTINGS)                                                                       \
    WHOLE(seed)                                                                                              \
    TEXT(preset_text, AGN_SWEEP_PRESET)                                                                      \
    TEXT(state, 12)                                                                                          \
    TEXT(reason, 512)                                                                                        \
    TEXT(split, 12)                                                                                          \
    WHOLE(images)                                                                                            \
    REAL(images_seen)                                                                                        \
    REAL(accuracy)                                                                                           \
    REAL(silent_accuracy)                                                                                    \
    REAL(float_accuracy)                                                                                     \
    REAL(skewness)                                                                                           \
    REAL(disorder_rate)                                                                                      \
    REAL(reference_valid)                                                                                    \
    REAL(alpha)                                                                                              \
    REAL(sent_share)                                                                                         \
    REAL(bytes_mean)                                                                                         \
    REAL(packets)                                                                                            \
    REAL(packet_bytes)                                                                                       \
    REAL(reply_bytes)                                                                                        \
    REAL(extract_instructions)                                                                               \
    REAL(local_instructions)                                                                                 \
    REAL(encode_instructions)                                                                                \
    REAL(ram_bytes)                                                                                          \
    REAL(flash_bytes)                                                                                        \
    REAL(train_seconds)                                                                                      \
    REAL(seconds)                                                                                            \
    TEXT(commit_id, 64)                                                                                      \
    TEXT(machine, 256)                                                                                       \
    WHOLE(threads)                                                                                           \
    TEXT(started, 32)                                                                                        \
    TEXT(command, 2048)

#define AGN__SWEEP_TEXT(name, bytes) char name[bytes];
#define AGN__SWEEP_WHOLE(name)       int name;
#define AGN__SWEEP_REAL(name)        double name;
struct agn_sweep_row {
    char plan[AGN_SWEEP_NAME];
    AGN_SWEEP_COLUMNS(AGN__SWEEP_TEXT, AGN__SWEEP_WHOLE, AGN__SWEEP_REAL)
};
#undef AGN__SWEEP_TEXT
#undef AGN__SWEEP_WHOLE
#undef AGN__SWEEP_REAL

/* A row of the table `curves`, what a run has measured beside. */
struct agn_sweep_point {
    char curve[16], label[48], figure[32];
    double x, value;
};

/* ---- results files ------------------------------------------------------------------ */

struct agn_sweep_file;

/* Opens a file to be read, or with `writes` to be written: made where there is none, and locked against
 * others who write (AGN_ERR_BUSY says who). AGN_ERR_VERSION: of a later version; errors of agn_database_open.
 */
int agn_sweep_open(const char *path, bool writes, struct agn_sweep_file **file);
void agn_sweep_close(struct agn_sweep_file *file);

/* Rows of one plan, or of all (NULL), by place; `see` may end it with a status < 0, which is returned. */
typedef int agn_sweep_see_fn(void *user, const struct agn_sweep_row *row);
int agn_sweep_each(struct agn_sweep_file *file, const char *plan, agn_sweep_see_fn *see, void *user);

/* Joins files (SQLite, or CSV of runs, curves and plans as agn_sweep_write_csv makes it) into `out`, which is
 * made if it is not there. Of rows with one plan and id the done one stays, of two the one that was begun
 * later.
 * `*rows`: how many runs were taken over. AGN_ERR_FORMAT names file and line, AGN_ERR_VERSION as above. Each
 * file is one transaction. */
int agn_sweep_merge(const char *out, const char *const *from, int count, int *rows);

enum agn_sweep_table { AGN_SWEEP_DESIGNS, AGN_SWEEP_RUNS, AGN_SWEEP_CURVES, AGN_SWEEP_PLANS };
/* A table as CSV, of one plan or of all (NULL). Runs, curves and plans without loss. */
int agn_sweep_write_csv(struct agn_sweep_file *file, const char *plan, enum agn_sweep_table table,
                        void *stream);

/* ---- designs: runs that differ in their seeds only -------------------------------------- */

/* Real columns of a row, from 0 on; name and its value. NULL: there are no more. */
const char *agn_sweep_figure_name(int figure);
double agn_sweep_figure(const struct agn_sweep_row *row, int figure);
int agn_sweep_figure_find(const char *name); /* -1: none */
enum { AGN_SWEEP_FIGURES = 24 };             /* room for them */

struct agn_sweep_design {
    struct agn_sweep_row first; /* one of its runs: names and settings */
    int done, failed, diverged, running;
    struct agn_statistic of[AGN_SWEEP_FIGURES]; /* of the runs that are done and have the figure */
};
typedef int agn_sweep_design_fn(void *user, const struct agn_sweep_design *design);
/* In the order of the plan; as agn_sweep_each. */
int agn_sweep_each_design(struct agn_sweep_file *file, const char *plan, agn_sweep_design_fn *see,
                          void *user);

/* A picture of a plan's designs: PNG, or SVG where `path` ends so. `x` is a figure or a setting's key, `y` a
 * figure, `by` a setting's key, "preset", or NULL: a line for each of its values. AGN_ERR_NOT_FOUND: no
 * design has them; errors of agilenn/gnuplot.h. */
struct agn_sweep_picture {
    const char *plan, *x, *y, *by;
};
int agn_sweep_plot(struct agn_sweep_file *file, const struct agn_sweep_picture *picture, const char *path);

/* ---- running ---------------------------------------------------------------------------- */

struct agn_sweep_report {
    int runs;                                 /* that were to be done: of the shard, or one */
    int before;                               /* of these, done already */
    int done, failed, diverged, copied, left; /* copied: from another plan; left: not begun, or interrupted */
    double seconds;
};

/* Tells of a run that has ended; `eta_s`: NAN, not known. */
typedef void agn_sweep_ended_fn(void *user, const struct agn_sweep_row *row,
                                const struct agn_sweep_report *so_far, double eta_s);

struct agn_sweep_config {
    const struct agn_sweep_plan *plan;
    const char *plan_path, *out; /* as a command line has them; OUT.d has a folder for each run under way */
    int jobs, threads;           /* runs at once [1], threads of each [cores / jobs] */
    int shard, shards;           /* of runs whose place % shards == shard; 0 of 0: all */
    const char *only;            /* the run of this id, even if it is done; NULL: all */
    int limit;                   /* begin no more than so many; 0: all */
    bool retry;                  /* failed and diverged runs again */
    bool keep; /* the folders of runs that are done: model.safetensors, model.agn, metrics.jsonl */
    /* Of the run at hand where jobs is 1, in its process, whose messages else go to OUT.d/ID/log; its `user`
     * is this process's stderr, a FILE *. NULL: none. */
    agn_progress_fn *progress;
    agn_sweep_ended_fn *ended; /* NULL: none */
    void *ended_user;
};

/* Does what is not done yet, each run in a process of its own, which the OOM killer finds first. What a run
 * fails with is its row's reason, and the others go on. AGN_ERR_INTERRUPTED: children have saved their
 * checkpoints, the same call goes on; after a kill, too. AGN_ERR_BUSY, AGN_ERR_IO and errors of
 * agn_sweep_open. */
int agn_sweep_run(const struct agn_sweep_config *config, struct agn_sweep_report *report);

#endif
