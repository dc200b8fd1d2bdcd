/* What the files of training share. */
#ifndef AGN_TRAIN_INTERNAL_H
#define AGN_TRAIN_INTERNAL_H

#include <stdio.h>

#include "agilenn/train.h"
#include "train/event_file.h"

/* ---- quantiser_learning.c: centroids that follow the features -------------------
 * `values`, as many in each process of the group: the sent features of its images. */

/* Sets centroids to quantiles of the positive values. */
int agn__centroids_initialise(struct agn_model *model, struct agn_group *group, const float *values,
                              size_t count);
/* Moves each centroid towards the mean of its values; gives unused levels work. */
int agn__centroids_follow(struct agn_model *model, struct agn_group *group, const float *values,
                          const uint8_t *symbols, size_t count, double rate);
/* diff *= derivative of the soft assignment at `values`; temperature > 0. */
void agn__soft_quantiser_gradient(const struct agn_model *model, const float *values, double temperature,
                                  float *diff, size_t count);

/* ---- channel_selection.c: Algorithm 1 and kin ---------------------------------------- */

/* Can channels be reordered in the weights, if they are to be? AGN_ERR_UNSUPPORTED says which network must
 * change. */
int agn__check_channel_order(const struct agn_model *model);
/* Reorders the extractor's channels by joint.selection. */
int agn__select_channels(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data);

/* ---- warm_start.c ---- */

/* Copies the reference's weights to the remote network wherever names (but for the prefix) and shapes
 * agree; of a convolution that read all C channels, the remote one takes the sent ones' share. */
void agn__warm_start(struct agn_model *model);

/* ---- soft_targets.c: cross-entropy against shares of classes --------------------------------- */

struct agn__soft_targets {
    const int32_t *labels; /* n; < 0: a row to skip */
    const float *shares;   /* (n, classes): each row's sum is its weight */
    const float *weights;  /* n; NULL: all are 1 */
    int n, classes;
};
/* loss[i] = - sum over c of shares[c] log prob[c], and prob = softmax(logits). */
void agn__soft_ce_forward(const float *logits, const struct agn__soft_targets *targets, float *prob,
                          float *loss);
/* diff = scale * (weight prob - shares). */
void agn__soft_ce_backward(const float *prob, const struct agn__soft_targets *targets, float scale,
                           float *diff);

/* ---- distillation.c ---- */

/* diff += scale * d/dstudent of T^2 KL(teacher || student), both softened by T; returns the sum of the n
 * rows' losses. */
double agn__distil(const float *student, const float *teacher, int n, int classes, double temperature,
                   double scale, float *diff);

/* ---- preparation.c: mixup, cutout, label smoothing ------------------------------------------- */

struct agn__preparation {
    const struct agn_preset *preset;
    int batch, classes;
    int whole, first; /* images of the whole batch; where this process's begin in it */
    struct agn_shape image;
    float *targets;        /* (batch, classes): what a prediction should be */
    float *class_weights;  /* classes; NULL: all are 1 */
    float *target_weights; /* batch, with class_weights: the sum of each row of targets */
    int *partner;          /* of each image of the whole batch, in mixup */
};
/* `data` are the training images, whose classes train.class_weights balances; may be NULL without. On
 * failure, too, agn__preparation_release frees what there is. */
int agn__preparation_create(const struct agn_model *model, const struct agn_dataset *data,
                            const struct agn_group *group, struct agn__preparation *preparation);
/* From now on class c counts weights[c] in targets. */
int agn__preparation_weigh(struct agn__preparation *preparation, const float *weights);
/* w_c = images / (classes that have images * images of c); 1 for a class without. */
void agn__balanced_weights(const struct agn_dataset *data, int classes, float *weights);
/* What the batch prepared last is to be predicted as. */
struct agn__soft_targets agn__targets_of(const struct agn__preparation *preparation,
                                         const struct agn_batch *batch);
/* What the cross-entropy at a label counts. */
static inline float agn__label_weight(const struct agn__preparation *preparation, int32_t label)
{
    return preparation->class_weights == NULL || label < 0 ? 1.0F : preparation->class_weights[label];
}
void agn__preparation_release(struct agn__preparation *preparation);
/* Writes the batch's images, as the network is to see them, to `input`, and sets the targets. */
void agn__prepare_batch(struct agn__preparation *preparation, const struct agn_batch *batch,
                        enum agn_phase phase, int64_t step, float *input);
/* Zeroes the channels from k on in the samples that reference.channel_dropout draws at this step: of features
 * (batch, map), and again of their gradient. */
void agn__drop_channels(const struct agn__preparation *preparation, int64_t step, struct agn_shape map,
                        float *features);
/* The larger one of s and 1 - s, s from Beta(a, a); a > 0. */
double agn__draw_main_share(struct agn_rng *rng, double a);

/* ---- beside the model: what training keeps, and checkpoints with it ------------------------------- */

struct agn__average;
struct agn__best;

struct agn__beside {
    struct agn__average *average; /* of the weights, with train.ema in joint training; else NULL */
    struct agn__best *best;       /* of the epochs so far, with train.choose = best; else NULL */
    float *symbol_counts; /* (sent_channels, AGN_CONTEXTS, AGN_LEVELS), with joint.bits in joint training;
                             else NULL */
};
void agn__beside_free(struct agn__beside *beside);

/* average.c: the moving average of the weights. Starts it at the weights as they are. */
int agn__average_create(struct agn__beside *beside, const struct agn_model *model);
void agn__average_free(struct agn__average *average);
/* After step number `step` (from 0). */
void agn__average_follow(struct agn__beside *beside, const struct agn_model *model, int64_t step);
/* Average and weights change places: what is measured between two calls is the model that there will be. */
void agn__average_swap(struct agn__beside *beside, struct agn_model *model);
/* The average becomes the model and is freed. */
void agn__average_apply(struct agn__beside *beside, struct agn_model *model);
/* Calls `visit` for its memory, piece by piece, until an error. */
int agn__average_visit(struct agn__beside *beside, const struct agn_model *model,
                       int (*visit)(void *user, void *data, size_t size_bytes), void *user);
/* To and from a checkpoint. */
int agn__average_append(const struct agn__beside *beside, const struct agn_model *model,
                        struct agn_tensor_file *file);
int agn__average_load(struct agn__beside *beside, const struct agn_model *model,
                      const struct agn_tensor_file *file);

/* best.c: the parameters of a phase's best epoch. After `epochs` of the phase the model has this accuracy:
 * keeps its parameters unless that is less than before; of equals the later ones, which have more of the
 * other losses behind them. */
int agn__best_note(struct agn__beside *beside, struct agn_model *model, enum agn_phase phase, double accuracy,
                   double epochs);
/* They become the model and are freed; returns after how many epochs they were noted. */
double agn__best_apply(struct agn__beside *beside, struct agn_model *model);
void agn__best_free(struct agn__best *best);
/* To and from a checkpoint of `phase`; one without them loads none. */
int agn__best_append(const struct agn__beside *beside, struct agn_tensor_file *file);
int agn__best_load(struct agn__beside *beside, struct agn_model *model, const struct agn_tensor_file *file,
                   enum agn_phase phase);

/* symbol_rate.c: counts of symbols in their contexts. */
int agn__symbol_counts_create(struct agn__beside *beside, const struct agn_model *model);
int agn__symbol_counts_append(const struct agn__beside *beside, const struct agn_model *model,
                              struct agn_tensor_file *file);
int agn__symbol_counts_load(struct agn__beside *beside, const struct agn_model *model,
                            const struct agn_tensor_file *file);

/* checkpoint.c: a model, what stands beside it, and where training stands. Rank 0 reads the file for all of
 * the group, which may be NULL. `beside` is freed with agn__beside_free. */
int agn__checkpoint_save(const char *path, const struct agn_model *model, const struct agn__beside *beside,
                         const struct agn_train_state *state);
int agn__checkpoint_load(const char *path, struct agn_group *group, struct agn_model **model,
                         struct agn__beside *beside, struct agn_train_state *state);

/* ---- validate.c ---- */

/* Share of images that are right, each process doing a part: by the fused prediction, in the reference phase
 * by the reference network. Changes nothing in the model. */
int agn__validate(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                  enum agn_phase phase, double *accuracy);

/* ---- resume.c ---- */

/* AGN_ERR_MISMATCH: the checkpoint's model was made with other settings or on other images; names classes,
 * the first tensor, the first setting, or what else differs. The folder of the data may be another one, and
 * epochs may be as many as are done, or more. `state`: where training stands, with the hash of the images. */
int agn__check_resumable(const struct agn_model *saved, const struct agn_train_state *state,
                         const struct agn_train_config *config);
/* After agn__check_resumable: the saved model and where it stands take over folder and epochs of `config`. A
 * training that had ended goes on if it is to have more epochs. With `say`, epochs that change are logged. */
void agn__resume_with(struct agn_model *saved, struct agn_train_state *state,
                      const struct agn_train_config *config, bool say);
/* The message of a checkpoint that could not be loaded, and what to do about it. Returns `status`. */
int agn__explain_unusable(int status);

/* ---- check_data.c ---- */

/* Can these sets be trained on with this preset? */
int agn__check_training_data(const struct agn_train_config *config);
/* ---- evaluate.c ---- */

/* agn_model_evaluate, of which each process does a part. */
int agn__evaluate(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                  struct agn_evaluation *evaluation);

/* ---- learning_rate.c ------------------------------------------------------------------------ */

/* Warm-up, then cosine from 1 to `final`. */
double agn__rate_factor(int64_t step, int64_t steps, int64_t warmup, double final);

/* ---- phases ------------------------------------------------------------------------------ */

struct agn__trainer {
    const struct agn_train_config *config;
    struct agn_model *model;
    struct agn_train_state state;
    struct agn__beside beside;
    struct agn_loader *loader;
    FILE *metrics;
    struct agn__event_file *events;
    struct agn_part stem; /* open while phase 1 imitates it */
    bool check_only;      /* nothing is to be trained */
    bool adopted;         /* a pre-trained reference: phase 1 has nothing to do */
    double phase_start_s, phase_start_stall_s, last_report_s, last_checkpoint_s;
    int64_t phase_start_step;
    double joint_seconds;
    int64_t joint_images;
    struct agn_choice workers; /* all threads, or half of them */
    double chosen_epochs;      /* after which the phase's parameters were the best; NAN: they are the last */
};

/* What figures of some steps are made of (metrics.c), as sums over the steps and over processes. */
enum { AGN__TALLY_SUMS = 9 };
struct agn__tally {
    int64_t steps; /* not summed over processes: all do the same ones */
    union {
        struct {
            double images, correct, valid, disordered;
            double loss, skewness, skewness_loss, disorder_loss;
            double bits; /* of the sent symbols, with joint.bits */
        };
        double sums[AGN__TALLY_SUMS]; /* all of them */
    };
};
_Static_assert(sizeof(struct agn__tally) == (1 + AGN__TALLY_SUMS) * sizeof(double), "sums are not all");

/* Runs one step of a phase on a batch, or on this process's part of one; adds its figures to `tally`: losses
 * are means over the whole batch, so that the parts' figures add up. */
typedef int agn__step_fn(void *phase, const struct agn_batch *batch, double rate, struct agn__tally *tally);

struct agn__phase_plan {
    enum agn_phase phase;
    const char *name;
    double epochs, rate;
    int loader_epoch; /* number of the phase's first epoch for the loader, so that orders differ */
    agn__step_fn *step;
    void *user;
};

/* One step, by all threads or by half of them: where other work keeps the cores busy, fewer threads wait less
 * for one that has no core. Bits stay the same. Status. */
int agn__run_step(struct agn__trainer *trainer, agn__step_fn *step, void *phase,
                  const struct agn_batch *batch, double rate, struct agn__tally *tally);

/* The loop of both phases: batches, rate, progress, metrics, checkpoints, interruption. */
int agn__run_phase(struct agn__trainer *trainer, const struct agn__phase_plan *plan);

int agn__pretrain(struct agn__trainer *trainer);
/* Phase 1 with reference.stem: the extractor learns to stand in for trainer->stem. */
int agn__imitate(struct agn__trainer *trainer);
int agn__train_jointly(struct agn__trainer *trainer);

/* ---- ranks.c: several processes that train as one ------------------------------------- */

/* AGN_ERR_ARG: the batch cannot be shared out evenly. */
int agn__check_parts(const struct agn_train_config *config);
/* AGN_ERR_MISMATCH everywhere: a process has other settings or images. */
int agn__check_same_start(const struct agn_train_config *config);
/* Of the images' sizes, labels and pixels; > 0. */
int64_t agn__data_hash(const struct agn_dataset *data);
/* Sees to it that all have the same weights: machines may round differently. */
int agn__keep_together(struct agn__trainer *trainer);

/* What a net that trains needs to be one of several; it must outlive the net. */
struct agn__sharing {
    struct agn_group *group;
    struct agn_net_peers peers;
    bool begun;  /* in this backward */
    size_t rest; /* gradients before it are not being summed yet */
};
/* For agn_net_config.peers. The net's backward then starts to sum settled gradients. */
const struct agn_net_peers *agn__share(struct agn__sharing *sharing, struct agn_group *group);
/* After the net's backward: starts to sum the others. All are done after agn_group_await. */
int agn__sum_rest(struct agn__sharing *sharing, struct agn_params *params);

#endif
