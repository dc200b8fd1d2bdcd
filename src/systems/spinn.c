/* SPINN (Laskaridis et al. 2020): one network, its first layers in stages that end with a ReLU6, each with an
 * exit, and cut behind one of these. The device computes what stands before the cut; where an exit is sure
 * the frame ends there, else the map at the cut goes to the server in 8 bits, linearly quantised, and the
 * rest of the network answers alone.
 *
 * A ReLU6 has a range that is known before training, 0 to 6. So device and server agree on the scale without
 * either telling the other. */
#include <assert.h>
#include <math.h>

#include "systems/parts.h"

enum { STEPS = 255, MOST_ROW_BYTES = 255 * 95 };
static const float limit = 6.0F; /* of a ReLU6 */

/* A row of the map behind a stage is sent as an image's row is. */
static int shape_of(struct agn_shape map, struct agn_map_shape *shape)
{
    int status = agn_pixels_shape((unsigned)map.height, (uint32_t)(map.width * map.channels), shape);
    return status == 0 ? AGN_OK
                       : agn_fail(status,
                                  "model.extractor makes a %dx%dx%d map, which cannot be sent: at most 255 "
                                  "rows of %d bytes or so are possible",
                                  map.height, map.width, map.channels, (int)MOST_ROW_BYTES);
}

static int sent_shape(const struct agn_model *model, struct agn_map_shape *shape)
{
    return shape_of(model->map, shape);
}

static int check_cut(const struct agn_model *model, int stage)
{
    const struct agn_graph *graph = &model->parts[agn_stage_role(stage)].graph;
    const struct agn_op_spec *last = &graph->ops[graph->count - 1];
    struct agn_map_shape shape;
    char where[32] = "";
    if (agn_model_stages(model) > 1)
        snprintf(where, sizeof(where), "stage %d of ", stage);
    if (last->type != AGN_OP_RELU6 && !(last->type == AGN_OP_BATCHNORM && last->relu6))
        return agn_fail(AGN_ERR_ARG,
                        "%smodel.extractor ends without a ReLU6, and spinn cuts behind one: end "
                        "it with conv or dw",
                        where);
    return shape_of(last->shape, &shape);
}

static int check_codec(const struct agn_model *model)
{
    return agn_codec_needs_contexts(model->preset.model.codec)
               ? agn_fail(AGN_ERR_ARG,
                          "model.codec = %s codes symbols of 3 bits, and spinn sends values of 8: expected "
                          "lzw or raw3",
                          agn_codec_name(model->preset.model.codec))
               : AGN_OK;
}

static int build(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    const struct agn__classifier remote = {p->model.remote, p->model.remote_width, p->model.logits_bn != 0};
    int status = agn__build_stages(model);
    for (int stage = 1; stage <= agn_model_stages(model) && status == AGN_OK; stage++)
        status = check_cut(model, stage);
    if (status == AGN_OK)
        status = check_codec(model);
    model->sent_channels = model->map.channels;
    if (status == AGN_OK)
        status = agn__build_exits(model);
    return status < 0 ? status : agn__build_classifier(model, AGN_REMOTE, model->map, &remote);
}

static void as_sent(const struct agn_model *model, const float *features, size_t count, float *values)
{
    (void)model;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++)
        values[i] = rintf(features[i] * (STEPS / limit)) / (STEPS / limit); /* as expand gives it */
}

/* The map behind a stage. A run that never came is 0, as most of a ReLU6's values are. */
static int expand_map(struct agn_shape map, const uint8_t *symbols, float *features)
{
    const struct agn_normalisation steps = {.std = {STEPS / limit}}; /* in 1, of all channels */
    struct agn_map_shape shape;
    int status = shape_of(map, &shape);
    assert(status == AGN_OK); /* as when the model was built */
    (void)status;
    return agn__expand_bytes(map, &shape, &steps, 1, symbols, features);
}

static int expand(const void *owner, const uint8_t *symbols, float *features)
{
    return expand_map(((const struct agn_model *)owner)->map, symbols, features);
}

static float feature_limit(const struct agn_model *model)
{
    (void)model;
    return limit;
}

static int cut_at(const struct agn_model *model, int cut, struct agn_cut *result)
{
    result->map = cut == 0 ? agn__image_shape(&model->preset) : agn_model_stage_map(model, cut);
    result->feature_limit = cut == 0 ? agn__pixels_limit(model) : limit;
    return cut == 0 ? agn__pixels_shape(&model->preset, &result->sent) : shape_of(result->map, &result->sent);
}

static int expand_cut(const struct agn_model *model, int cut, const uint8_t *symbols, float *features)
{
    return cut == 0 ? agn__expand_pixels(model, symbols, features)
                    : expand_map(agn_model_stage_map(model, cut), symbols, features);
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
    .feature_limit = feature_limit,
    .cut = cut_at,
    .cut_expand = expand_cut};
