/* How good a model is, measured by several processes together. */
#ifndef AGN_TRAIN_EVALUATE_H
#define AGN_TRAIN_EVALUATE_H

#include "agilenn/train.h"

/* agn_model_evaluate, of which each process does a part. */
int agn__evaluate(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                  struct agn_evaluation *evaluation);

/* validate.c: share of images that are right, each process doing a part: by the fused prediction, in the
 * reference phase by the reference network. Changes nothing in the model. */
int agn__validate(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data,
                  enum agn_phase phase, double *accuracy);

#endif
