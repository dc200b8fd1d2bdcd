/* Weights rearranged or taken over before joint training: Algorithm 1 and kin, the warm start. */
#ifndef AGN_TRAIN_CHANNEL_SELECTION_H
#define AGN_TRAIN_CHANNEL_SELECTION_H

#include "agilenn/train.h"

/* Can channels be reordered in the weights, if they are to be? AGN_ERR_UNSUPPORTED says which network must
 * change. */
int agn__check_channel_order(const struct agn_model *model);
/* Reorders the extractor's channels by joint.selection. */
int agn__select_channels(struct agn_model *model, struct agn_group *group, const struct agn_dataset *data);

/* warm_start.c: copies the reference's weights to the remote network wherever names (but for the prefix) and
 * shapes agree; of a convolution that read all C channels, the remote one takes the sent ones' share. */
void agn__warm_start(struct agn_model *model);

#endif
