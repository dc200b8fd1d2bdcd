/* Training: pre-training, channel selection and joint training of a model, and its evaluation. */
#ifndef AGILENN_TRAIN_H
#define AGILENN_TRAIN_H

#include "agilenn/distributed.h"
#include "agilenn/model.h"
#include "agilenn/xai.h"

/* ---- checkpoints --------------------------------------------------------------- */

/* Where training stands; part of a checkpoint. */
struct agn_train_state {
    enum agn_phase phase;
    int64_t step;         /* steps done in the phase */
    double seconds;       /* training time so far */
    int64_t images;       /* images trained on so far */
    int64_t train_images; /* in the training set; 0: not known */
    int64_t data_hash;    /* of the training set's labels and pixels, > 0; 0: not known */
};

/* Where the training of a checkpoint stands; AGN_PHASE_DONE for a model file. Errors of agn_model_load. */
int agn_checkpoint_state(const char *path, struct agn_train_state *state);

/* ---- evaluation in float ------------------------------------------------------ */

struct agn_class_count {
    int images, right, local_right; /* of this class; `right` by the fused prediction */
    int predicted;                  /* fused predictions of it, right or wrong */
};

/* NAN: of a part that the model does not have. */
struct agn_evaluation {
    int images;
    double fused_accuracy, local_accuracy, remote_accuracy;
    double exit_share;      /* share of images that the device answers at its exit */
    double reference_valid; /* share of images that the reference gets right from F */
    double skewness;        /* mean importance of the first k channels, over those images */
    double disorder_rate;   /* share of them in which some later channel outweighs one of the first k */
    double alpha;
    double level_share[AGN_LEVELS];
    int levels_used; /* levels with at least 0.1 % of the symbols */
    float channel_importance[AGN_MAX_FEATURES];
    struct agn_class_count by_class[AGN_MAX_CLASSES]; /* the model's classes */
};

/* Adds them to the list. What was not measured is NAN. */
void agn_evaluation_figures(const struct agn_model *model, const struct agn_evaluation *evaluation,
                            struct agn_figures *figures);

/* Runs extractor, quantiser, both networks and the reference over a data set. Importance by the preset's
 * method. Changes nothing in the model. Errors of agn_model_check_data; AGN_ERR_NUMERIC:
 * importance is not a number. */
int agn_model_evaluate(struct agn_model *model, const struct agn_dataset *data,
                       struct agn_evaluation *evaluation);

/* What the model makes of one image; the logits are fused, the model's classes. Rows are valid during the
 * call. */
struct agn_prediction {
    int image, label, predicted; /* position in the data set, true class, class of the largest logit */
    const float *logits;
    /* Of each channel of the map, >= 0, as agn_xai_channel_importance sums it up; NULL: no reference. */
    const float *importance;
    bool reference_valid; /* the reference gets it right; else importance says little */
};
typedef void agn_prediction_fn(void *user, const struct agn_prediction *prediction);
/* The same as agn_model_evaluate, and tells of each image, in their order. */
int agn_model_evaluate_images(struct agn_model *model, const struct agn_dataset *data,
                              struct agn_evaluation *evaluation, agn_prediction_fn *tell, void *user);

/* ---- importance losses ----------------------------------------------------------- */

struct agn_importance_loss_config {
    int channels, local_channels;
    int positions; /* of a map whose elements count one by one; 0 or 1: channels count as wholes */
    double rho;
    double disorder_margin; /* by so much the first k should outweigh the others; 0 is the paper's */
};
struct agn_importance_loss {
    double skewness_loss,
        disorder_loss; /* max(0, rho - sum of the first k), max(0, max later - min first + margin) */
    double skewness;   /* sum of the first k normalised importances */
    bool disordered;
};
/* Losses of one sample from its importances (>= 0, not normalised; (positions, channels)), and, unless NULL,
 * the gradient of (skewness_loss + disorder_loss) with respect to them. The paper's definition is per
 * channel, its public code's per element: the smallest and the largest are then single elements. */
void agn_importance_loss(const struct agn_importance_loss_config *config, const float *importance,
                         struct agn_importance_loss *loss, float *gradient);

/* ---- training ---------------------------------------------------------------------- */

struct agn_train_config {
    struct agn_preset preset;
    const struct agn_dataset *train, *test; /* images as agn_preset_as_sent leaves them, here and below */
    const struct agn_dataset *validation;   /* accuracy on it is measured while training; NULL: none */
    const char
        *checkpoint;     /* path, written at each epoch's end, each minute and on interruption; NULL: none */
    const char *metrics; /* path of metrics.jsonl; NULL: none */
    const char *tensorboard; /* folder for an event file with the same figures; NULL: none */
    bool resume;             /* continue from the checkpoint */
    /* A reference network from a file, or NULL: with preset.reference.stem the extractor imitates that stem
     * in phase 1; else file and extractor agree and there is no phase 1. */
    const char *reference;
    const char *reference_out; /* path for the reference network as phase 1 leaves it; NULL: none */
    /* Processes that train together, or NULL. Each calls the functions below with the same settings and data
     * and gets the same model; rank 0 writes files and reports progress. train.batch is shared out. */
    struct agn_group *group;
    agn_progress_fn *progress;
    void *progress_user;
};

/* Settles what the preset leaves to the data: data.classes = 0 becomes the number of classes counted, and a
 * batch larger than the training set becomes as large as that (a multiple of the group's processes; logged).
 * Classes without a training image are logged, too.
 * AGN_ERR_RANGE: data.classes is another number than the data have; idx files may have fewer. */
int agn_train_fit_preset(struct agn_preset *preset, const struct agn_dataset *train,
                         const struct agn_dataset *test, struct agn_group *group);

struct agn_train_report {
    double seconds, images_per_s; /* over both phases, evaluation left out */
    double joint_images_per_s;
    double reference_accuracy;  /* of extractor + reference after pre-training, on the test images */
    double validation_accuracy; /* of the model; NAN: there are no validation images */
    double chosen_epochs;       /* of joint training after which the model was the best (train.choose); NAN */
    double stall_seconds;       /* waiting for data; of this process */
    int ranks;                  /* processes */
    struct agn_group_times sums;
    struct agn_evaluation evaluation;
};

/* Adds them to the list, those of the evaluation first. */
void agn_train_figures(const struct agn_model *model, const struct agn_train_report *report,
                       struct agn_figures *figures);

/* Refuses what agn_train_run would refuse before its first step; writes nothing. */
int agn_train_check(const struct agn_train_config *config);
/* Pre-trains, selects channels (Algorithm 1), trains jointly, evaluates. On interruption saves the
 * checkpoint and returns AGN_ERR_INTERRUPTED. */
int agn_train_run(const struct agn_train_config *config, struct agn_model **model,
                  struct agn_train_report *report);

#endif
