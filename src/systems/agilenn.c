/* AgileNN: an extractor, a Local NN on its most important channels, a Remote NN on the others, and a
 * reference network that says which these are. */
#include "systems/parts.h"

static int build(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    const struct agn__classifier remote = {p->model.remote, p->model.remote_width, p->model.logits_bn != 0};
    const struct agn__classifier reference = {p->model.reference, p->model.reference_width, false};
    int status = agn__build_extractor(model);
    struct agn_shape rest = model->map;
    rest.channels = model->sent_channels = model->map.channels - p->model.local_channels;
    if (status == AGN_OK)
        status = agn__build_local(model);
    if (status == AGN_OK)
        status = agn__build_classifier(model, AGN_REMOTE, rest, &remote);
    return status < 0 ? status : agn__build_classifier(model, AGN_REFERENCE, model->map, &reference);
}

static int sent_shape(const struct agn_model *model, struct agn_map_shape *shape)
{
    *shape = (struct agn_map_shape){.channels = (uint8_t)model->sent_channels,
                                    .height = (uint8_t)model->map.height,
                                    .width = (uint8_t)model->map.width};
    return AGN_OK;
}

const struct agn_system agn__system_agilenn = {
    .name = "agilenn",
    .meaning = "the image is split by importance: k channels stay on the device, the others are sent",
    .parts = 1U << AGN_EXTRACTOR | 1U << AGN_LOCAL | 1U << AGN_REMOTE | 1U << AGN_REFERENCE,
    .build = build,
    .phases = {AGN_PHASE_REFERENCE, AGN_PHASE_JOINT, AGN_PHASE_DONE},
    .sent_shape = sent_shape};
