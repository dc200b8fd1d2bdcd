/* Beside the model: what training keeps, and checkpoints with it. */
#ifndef AGN_TRAIN_BESIDE_H
#define AGN_TRAIN_BESIDE_H

#include "agilenn/train.h"

struct agn__average;
struct agn__best;

enum { AGN__CENTRE_MOMENTS = 2 * AGN_LEVELS + 1 }; /* first, second, steps so far */

struct agn__beside {
    struct agn__average *average; /* of the weights, with train.ema in joint training; else NULL */
    struct agn__best *best;       /* of the epochs so far, with train.choose = best; else NULL */
    float *symbol_counts;  /* (sent_channels, AGN_CONTEXTS, AGN_LEVELS), with joint.bits in joint training;
                              else NULL */
    float *centre_moments; /* AGN__CENTRE_MOMENTS: what Adam remembers of the quantiser's centres, in the
                              coder's training; else NULL */
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

/* centres.c: what Adam remembers of the quantiser's centres. */
int agn__centre_moments_create(struct agn__beside *beside);
int agn__centre_moments_append(const struct agn__beside *beside, struct agn_tensor_file *file);
int agn__centre_moments_load(struct agn__beside *beside, const struct agn_tensor_file *file);

/* checkpoint.c: a model, what stands beside it, and where training stands. Rank 0 reads the file for all of
 * the group, which may be NULL. `beside` is freed with agn__beside_free. */
int agn__checkpoint_save(const char *path, const struct agn_model *model, const struct agn__beside *beside,
                         const struct agn_train_state *state);
int agn__checkpoint_load(const char *path, struct agn_group *group, struct agn_model **model,
                         struct agn__beside *beside, struct agn_train_state *state);

#endif
