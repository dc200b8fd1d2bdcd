/* Local-only: one network on the device classifies the image, and nothing is sent. */
#include "systems/parts.h"

static int build(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    model->map = (struct agn_shape){p->data.height, p->data.width, p->data.channels}; /* all of it stays */
    model->sent_channels = 0;
    if (p->model.local[0] == '\0')
        return agn_fail(AGN_ERR_ARG, "model.local is missing: a preset describes this network, such as "
                                     "conv:c16:s2 dw conv:c32:k1 dw:s2 conv:c64:k1");
    return agn__build_local(model);
}

const struct agn_system agn__system_local_only = {
    .name = "local-only",
    .meaning = "the device classifies the image by itself, and nothing is sent",
    .parts = 1U << AGN_LOCAL,
    .build = build,
    .phases = {AGN_PHASE_LOCAL, AGN_PHASE_DONE}};
