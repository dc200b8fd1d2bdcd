/* What systems build models of. */
#ifndef AGN_SYSTEMS_PARTS_H
#define AGN_SYSTEMS_PARTS_H

#include "agilenn/model.h"

/* The rows of agn_systems. */
extern const struct agn_system agn__system_agilenn, agn__system_edge_only, agn__system_local_only,
    agn__system_spinn;

/* Each gives AGN_OK or a failure that names the preset's setting. */

/* model.extractor on the image; sets model->map. */
int agn__build_extractor(struct agn_model *model);
/* model.local, a pooling grid and a dense layer on the first channels of model->map, those that
 * model->sent_channels leaves. */
int agn__build_local(struct agn_model *model);

struct agn__classifier {
    const char *text; /* the network, as presets describe it */
    double width;     /* of its channels */
    bool logits_bn;
};
/* The network, global average pooling if it lacks it, and the logits. */
int agn__build_classifier(struct agn_model *model, enum agn_role role, struct agn_shape input,
                          const struct agn__classifier *classifier);

#endif
