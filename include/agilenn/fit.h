/* Which system and design suits a board, a radio and some limits? A search over a finite list of presets:
 * what each costs is known before it is trained, those that cannot fit are dropped, the others are trained
 * briefly, and the better third of them longer, until a time budget is used up (successive halving). All of
 * it is kept in a database in the folder of the search, so that an interrupted search goes on where it was.
 *
 * Accuracy, bytes and shares are measured, in float, on images held out from the training images; latency and
 * energy are modelled (agilenn/cost.h). */
#ifndef AGILENN_FIT_H
#define AGILENN_FIT_H

#include "agilenn/cost.h"
#include "agilenn/data.h"
#include "agilenn/preset.h"

enum {
    AGN_FIT_NAME = 48,
    AGN_FIT_REASON = 256,
    AGN_FIT_MOST = 48,   /* candidates */
    AGN_FIT_POINTS = 10, /* ways to use a trained candidate */
    AGN_FIT_RUNGS = 4,
    AGN_FIT_LIMITS = 5,
};

/* What may be limited. Accuracy is a floor, the others are ceilings. */
enum agn_fit_limit {
    AGN_FIT_LATENCY, /* ms: the slowest usual frame, typical */
    AGN_FIT_ENERGY,  /* mJ of the whole board, mean over frames, typical */
    AGN_FIT_RAM,     /* bytes: arena, state, packet buffer, stack */
    AGN_FIT_FLASH,   /* bytes: code and model */
    AGN_FIT_ACCURACY /* share of images, 0 to 1 */
};
/* "latency", "energy", "ram", "flash", "accuracy" */
const char *agn_fit_limit_name(enum agn_fit_limit limit);

/* 0: none. */
struct agn_fit_limits {
    double value[AGN_FIT_LIMITS];
};

/* Refuses at once what no design can meet: an accuracy above 1, less latency or energy than the board has
 * with nothing to compute, less flash than the smallest code. AGN_ERR_RANGE says which, and why. */
int agn_fit_check_limits(const struct agn_fit_limits *limits, const struct agn_board *board,
                         const struct agn_radio *radio);

/* ---- candidates ---------------------------------------------------------------- */

/* A candidate, and what is known of it before training. */
struct agn_fit_candidate {
    char name[AGN_FIT_NAME];
    struct agn_preset preset;
    bool is_base; /* the base's own design; it is trained in every rung */
    double ram_bytes, flash_bytes;
    struct agn_work work;         /* bytes and packets: a guess until they are measured */
    struct agn_cost cost;         /* of that work, with the fewest frames sent that are possible */
    unsigned missed;              /* 1 << limit: what it misses even at the low end */
    char dropped[AGN_FIT_REASON]; /* why it is not, or no longer, trained; "": it is */
    int rung;                     /* the last one it was measured on; -1: none */
};

/* The search space, docs/FIT.md describes it: presets on base's data set, with base's server network,
 * schedule and seed; those first that differ most, and before them, `with_base`, the base itself. Their
 * number, at most AGN_FIT_MOST. */
int agn_fit_space(const struct agn_preset *base, bool with_base,
                  struct agn_fit_candidate candidates[AGN_FIT_MOST]);

/* What it takes before training, from random weights: RAM, flash, work. AGN_ERR_UNSUPPORTED and others: it
 * cannot be built or run on the board's processor. */
int agn_fit_needs(const struct agn_board *board, struct agn_fit_candidate *candidate);

/* ---- measurements ---------------------------------------------------------------- */

/* A way to use a trained candidate: which frames the device sends. */
struct agn_fit_point {
    double asked; /* share as of `agilenn export --sent`, or with exits model.exit_threshold; 0: sends all */
    double accuracy, sent_share;
};

/* A candidate measured on a rung. NAN: of what it does not have. */
struct agn_fit_result {
    double images, seconds; /* trained on (counted again in each epoch); training, setting up, measuring */
    double overhead_s;      /* of these, what does not grow with the images */
    int measured_images;
    double local_accuracy;
    double packets, packet_bytes; /* of a frame that is sent, mean, with CoAP; 0: none was */
    double encode_instructions;   /* for these; 0: not known */
    int count;
    struct agn_fit_point points[AGN_FIT_POINTS];
};

/* A candidate at a point of a rung, with what it costs. */
struct agn_fit_design {
    int candidate, rung;
    struct agn_fit_point point;
    double local_accuracy, packets, packet_bytes, instructions, ram_bytes, flash_bytes;
    double latency_ms, energy_mj; /* typical, what limits are held against */
    struct agn_cost cost;
    double frames_per_second; /* typical, one after the other and as the radio lets them through */
    unsigned missed;          /* 1 << limit */
    bool front;               /* no other design of the last rungs is at least as good in all (see below) */
};

/* Is `a` at least as good as `b` in accuracy, latency, energy, RAM and flash, and better in one? */
bool agn_fit_dominates(const struct agn_fit_design *a, const struct agn_fit_design *b);

/* Marks those that no other one dominates. */
void agn_fit_mark_front(struct agn_fit_design *designs, int count);

/* 1 << limit for each limit that the design misses. */
unsigned agn_fit_missed(const struct agn_fit_design *design, const struct agn_fit_limits *limits);

/* The design to take, or -1 if all miss something. With a floor of accuracy the one of least energy; else,
 * of those whose accuracy is within a standard error of the best (over `images` images), the one of least
 * energy. */
int agn_fit_recommend(const struct agn_fit_design *designs, int count, const struct agn_fit_limits *limits,
                      int images);

/* ---- the search ------------------------------------------------------------------- */

/* Trains a candidate on `images` images and measures it. AGN_ERR_INTERRUPTED: by the user, or by the
 * deadline, a time of `now` at which it must be done, if there is one; *late says which. */
struct agn_fit_trainer {
    int (*needs)(void *user, const struct agn_board *board, struct agn_fit_candidate *candidate);
    int (*train)(void *user, const struct agn_fit_candidate *candidate, int rung, double images,
                 double deadline_s, bool *late, struct agn_fit_result *result);
    double (*now)(void *user); /* seconds, monotonic */
    void *user;
};

struct agn_fit_config {
    struct agn_preset base;
    bool with_base; /* its own design takes part */
    struct agn_board board;
    struct agn_radio radio;
    struct agn_fit_limits limits;
    int protocol;    /* version of the wire, 1 (or 0) or 2: what packets and answers take */
    double seconds;  /* time budget of the whole search, pauses between interruptions not counted */
    const char *out; /* folder of the search */
    bool resume;     /* go on with the search that is there */
    const struct agn_dataset *train, *validation; /* images as devices take them; not the test images */
    const struct agn_fit_trainer *trainer;        /* NULL: the real one */
    agn_progress_fn *progress;
    void *progress_user;
};

/* What giving up one limit would bring. */
struct agn_fit_price {
    enum agn_fit_limit limit;
    int without; /* design that misses this limit alone and is the most accurate; -1: none was seen */
    int with;    /* the most accurate one that misses none, of the same rung; -1: none */
    int nearest; /* design that misses this limit alone and by the least; -1 */
    int nearest_untrained;   /* candidate that was dropped before training, likewise; -1 */
    double needed_untrained; /* its figure, typical */
};

struct agn_fit_report {
    struct agn_fit_candidate candidates[AGN_FIT_MOST];
    int candidate_count;
    struct agn_fit_design *designs; /* all that were measured, rung by rung */
    int design_count;
    int measured_images, rungs;
    int recommended;                             /* a design; -1: nothing fits */
    struct agn_fit_price prices[AGN_FIT_LIMITS]; /* of the limits that there are */
    int price_count;
    double seconds; /* used by the search, in all its parts */
    int trainings;  /* finished, in all */
};

/* Fills a report, freed with agn_fit_report_free. DIR/fit.sqlite keeps the search, DIR/NAME.safetensors the
 * candidates' models as their last rung left them. AGN_ERR_STATE: there is a search already (or, with
 * `resume`, one of other settings; says which); AGN_ERR_INTERRUPTED: by the user, resume goes on. */
int agn_fit_run(const struct agn_fit_config *config, struct agn_fit_report **report);
void agn_fit_report_free(struct agn_fit_report *report);

/* ---- what is told of it ---------------------------------------------------------------- */

/* The designs of the front and those that are recommended, as DIR/fit.csv; the recommended preset as
 * DIR/recommended.ini with its model as recommended.safetensors beside it. */
int agn_fit_write(const struct agn_fit_config *config, const struct agn_fit_report *report);

/* Accuracy of the recommended design on test images, looked at once. */
int agn_fit_test(const struct agn_fit_config *config, const struct agn_fit_report *report,
                 const struct agn_dataset *test, struct agn_fit_point *point, double *local_accuracy);

#endif
