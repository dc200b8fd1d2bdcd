/* A training: where it stands, and its phases. */
#ifndef AGN_TRAIN_TRAINER_H
#define AGN_TRAIN_TRAINER_H

#include <stdio.h>

#include "agilenn/train.h"
#include "train/beside.h"
#include "train/event_file.h"

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
enum { AGN__TALLY_SUMS = 10 };
struct agn__tally {
    int64_t steps; /* not summed over processes: all do the same ones */
    union {
        struct {
            double images, correct, measured, valid, disordered; /* measured: images whose importance was */
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
/* The Remote NN alone, on what the device sends. */
int agn__train_remote(struct agn__trainer *trainer);
/* The Local NN alone, on images. */
int agn__train_local(struct agn__trainer *trainer);
/* Extractor, Local NN and Remote NN of a system with an exit. */
int agn__train_exits(struct agn__trainer *trainer);
/* The Remote NN behind its decoder, on images; then extractor, quantiser and decoder in front of it. */
int agn__pretrain_classifier(struct agn__trainer *trainer);
int agn__train_coder(struct agn__trainer *trainer);
/* Phase 1 with reference.stem: the extractor learns to stand in for trainer->stem. */
int agn__imitate(struct agn__trainer *trainer);
int agn__train_jointly(struct agn__trainer *trainer);

/* learning_rate.c: warm-up, then cosine from 1 to `final`. */
double agn__rate_factor(int64_t step, int64_t steps, int64_t warmup, double final);

#endif
