/* SPINN (Laskaridis et al. 2020): one network, cut behind a ReLU6 of its first layers. The device computes
 * these and an exit; where the exit is sure the frame ends there, else the map at the cut goes to the server
 * in 8 bits, linearly quantised, and the rest of the network answers alone.
 *
 * A ReLU6 has a range that is known before training, 0 to 6. So device and server agree on the scale without
 * either telling the other. */
#include <assert.h>
#include <math.h>

#include "systems/parts.h"

enum { STEPS = 255, MOST_ROW_BYTES = 255 * 95 };
static const float limit = 6.0F; /* of a ReLU6 */

/* A row of the map is sent as an image's row is. */
static int sent_shape(const struct agn_model *model, struct agn_map_shape *shape)
{
    struct agn_shape map = model->map;
    int status = agn_pixels_shape((unsigned)map.height, (uint32_t)(map.width * map.channels), shape);
    return status == 0 ? AGN_OK
                       : agn_fail(status,
                                  "model.extractor makes a %dx%dx%d map, which cannot be sent: at most 255 "
                                  "rows of %d bytes or so are possible",
                                  map.height, map.width, map.channels, (int)MOST_ROW_BYTES);
}

static int check_cut(const struct agn_model *model)
{
    const struct agn_graph *graph = &model->parts[AGN_EXTRACTOR].graph;
    const struct agn_op_spec *last = &graph->ops[graph->count - 1];
    if (last->type != AGN_OP_RELU6 && !(last->type == AGN_OP_BATCHNORM && last->relu6))
        return agn_fail(AGN_ERR_ARG, "model.extractor ends without a ReLU6, and spinn cuts behind one: end "
                                     "it with conv or dw");
    if (agn_codec_needs_contexts(model->preset.model.codec))
        return agn_fail(AGN_ERR_ARG,
                        "model.codec = %s codes symbols of 3 bits, and spinn sends values of 8: expected "
                        "lzw or raw3",
                        agn_codec_name(model->preset.model.codec));
    return AGN_OK;
}

static int build(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    const struct agn__classifier remote = {p->model.remote, p->model.remote_width, p->model.logits_bn != 0};
    struct agn_map_shape shape;
    int status = agn__build_extractor(model, true);
    if (status == AGN_OK)
        status = check_cut(model);
    if (status == AGN_OK)
        status = sent_shape(model, &shape);
    model->sent_channels = model->map.channels;
    if (status == AGN_OK)
        status = agn__build_local(model);
    return status < 0 ? status : agn__build_classifier(model, AGN_REMOTE, model->map, &remote);
}

static void as_sent(const struct agn_model *model, const float *features, size_t count, float *values)
{
    (void)model;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++)
        values[i] = rintf(features[i] * (STEPS / limit)) / (STEPS / limit); /* as expand gives it */
}

/* A run that never came is 0, as most of a ReLU6's values are. */
static int expand(const void *owner, const uint8_t *symbols, float *features)
{
    const struct agn_normalisation steps = {.std = {STEPS / limit}}; /* in 1, of all channels */
    const struct agn_model *model = owner;
    struct agn_map_shape shape;
    int status = sent_shape(model, &shape);
    assert(status == AGN_OK); /* as when the model was built */
    (void)status;
    return agn__expand_bytes(model, &shape, &steps, 1, symbols, features);
}

static float feature_limit(const struct agn_model *model)
{
    (void)model;
    return limit;
}

const struct agn_system agn__system_spinn = {
    .name = "spinn",
    .meaning =
        "the device leaves at an exit that is sure, else sends its map in 8 bits and the server goes on",
    .parts = 1U << AGN_EXTRACTOR | 1U << AGN_LOCAL | 1U << AGN_REMOTE,
    .exits = true,
    .build = build,
    .phases = {AGN_PHASE_EXITS, AGN_PHASE_DONE},
    .sent_shape = sent_shape,
    .quantise = as_sent,
    .expand = expand,
    .feature_limit = feature_limit};
