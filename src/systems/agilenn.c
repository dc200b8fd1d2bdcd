/* AgileNN: an extractor, a Local NN on its most important channels, a Remote NN on the others, and a
 * reference network that says which these are. */
#include "systems/parts.h"

static int check_kept(const struct agn_preset *p, struct agn_shape map)
{
    if (p->model.local_channels < map.channels)
        return AGN_OK;
    return agn_fail(AGN_ERR_RANGE,
                    "model.local_channels = %d, but model.extractor makes a %dx%dx%d map: of its %d channels "
                    "at least one must be left to send",
                    p->model.local_channels, map.height, map.width, map.channels, map.channels);
}

static int build(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    const struct agn__classifier remote = {p->model.remote, p->model.remote_width, p->model.logits_bn != 0};
    const struct agn__classifier reference = {p->model.reference, p->model.reference_width, false};
    /* with a Local NN of layers, one device computes both */
    int status = agn__build_extractor(model, p->model.local[0] != '\0');
    if (status == AGN_OK)
        status = check_kept(p, model->map);
    struct agn_shape rest = model->map;
    int first = p->model.sends == AGN_SENDS_ALL ? 0 : p->model.local_channels;
    rest.channels = model->sent_channels = model->map.channels - first;
    if (status == AGN_OK)
        status = agn__build_local(model);
    if (status == AGN_OK)
        status = agn__build_classifier(model, AGN_REMOTE, rest, &remote);
    return status < 0 ? status : agn__build_classifier(model, AGN_REFERENCE, model->map, &reference);
}

const struct agn_system agn__system_agilenn = {
    .name = "agilenn",
    .meaning = "the image is split by importance: k channels stay on the device, the others are sent",
    .parts = 1U << AGN_EXTRACTOR | 1U << AGN_LOCAL | 1U << AGN_REMOTE | 1U << AGN_REFERENCE,
    .build = build,
    .phases = {AGN_PHASE_REFERENCE, AGN_PHASE_JOINT, AGN_PHASE_DONE},
    .sent_shape = agn__sent_map};
