/* Whether a training can begin, and how one goes on. */
#ifndef AGN_TRAIN_START_H
#define AGN_TRAIN_START_H

#include "agilenn/train.h"

/* check_data.c: can these sets be trained on with this preset? */
int agn__check_training_data(const struct agn_train_config *config);

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

#endif
