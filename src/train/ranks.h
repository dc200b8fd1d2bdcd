/* Several processes that train as one. */
#ifndef AGN_TRAIN_RANKS_H
#define AGN_TRAIN_RANKS_H

#include "agilenn/train.h"
#include "train/trainer.h"

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
