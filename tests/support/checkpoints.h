/* Checkpoints of which a test wants the model and where training stands. */
#ifndef AGN_TEST_CHECKPOINTS_H
#define AGN_TEST_CHECKPOINTS_H

#include "train/beside.h"

static inline int save_checkpoint(const struct agn_model *model, const char *path,
                                  const struct agn_train_state *state)
{
    const struct agn__beside nothing = {0};
    return agn__checkpoint_save(path, model, &nothing, state);
}

static inline int load_checkpoint(const char *path, struct agn_model **model, struct agn_train_state *state)
{
    struct agn__beside beside = {0};
    int status = agn__checkpoint_load(path, NULL, model, &beside, state);
    agn__beside_free(&beside);
    return status;
}

#endif
