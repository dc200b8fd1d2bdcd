/* What training tells while it runs: figures of the progress line, metrics.jsonl and TensorBoard's events. */
#ifndef AGN_TRAIN_METRICS_H
#define AGN_TRAIN_METRICS_H

#include "train/trainer.h"

/* What the figures are read from. */
struct agn__moment {
    const struct agn__trainer *trainer;
    const struct agn__phase_plan *plan;
    const struct agn__tally *tally; /* of the steps that they are about */
    int64_t steps;                  /* of the phase, in all */
    double rate, validation;        /* learning rate; accuracy measured last; NAN: not known */
};

/* Those of the progress line. */
void agn__metrics_show(const struct agn__moment *moment, struct agn_figure figures[AGN_PROGRESS_FIGURES]);

/* A line of metrics.jsonl and the same as events, where the trainer has them open: about the tally's steps,
 * or about the validation alone, whose line comes once an epoch. */
enum agn__metrics_line { AGN__METRICS_STEPS = 1, AGN__METRICS_VALIDATION = 2 };
void agn__metrics_write(const struct agn__moment *moment, enum agn__metrics_line line);

#endif
