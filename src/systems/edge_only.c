/* Edge-only: the device sends the image as it is, and one network on the server classifies it. Without an
 * answer there is no prediction. */
#include <assert.h>
#include <math.h>

#include "systems/parts.h"

static int sent_shape(const struct agn_model *model, struct agn_map_shape *shape)
{
    const struct agn_preset *p = &model->preset;
    int status =
        agn_pixels_shape((unsigned)p->data.height, (uint32_t)(p->data.width * p->data.channels), shape);
    return status == 0
               ? AGN_OK
               : agn_fail(status,
                          "data: an image of %dx%dx%d cannot be sent as it is: at most 255 rows of %d "
                          "bytes or so are possible",
                          p->data.height, p->data.width, p->data.channels, 255 * 95);
}

static int build(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    const struct agn__classifier remote = {p->model.remote, p->model.remote_width, p->model.logits_bn != 0};
    struct agn_map_shape shape;
    int status = sent_shape(model, &shape);
    if (status == AGN_OK && agn_codec_needs_contexts(p->model.codec))
        status = agn_fail(AGN_ERR_ARG,
                          "model.codec = %s codes features, and edge-only sends pixels: expected raw3 "
                          "or lzw",
                          agn_codec_name(p->model.codec));
    model->map = (struct agn_shape){p->data.height, p->data.width, p->data.channels};
    model->sent_channels = p->data.channels;
    return status < 0 ? status : agn__build_classifier(model, AGN_REMOTE, model->map, &remote);
}

/* Pixels as they were normalised in training; a run that never came is 0, the mean. */
static int expand(const void *owner, const uint8_t *symbols, float *features)
{
    const struct agn_model *model = owner;
    const struct agn_normalisation *n = &model->normalisation;
    struct agn_map_shape shape;
    int missing = 0, channels = model->map.channels, status = sent_shape(model, &shape);
    assert(status == AGN_OK); /* as when the model was built */
    (void)status;
    int run = model->map.width * channels / shape.height;
    for (int row = 0; row < shape.channels; row++) {
        bool whole = true;
        for (int i = 0; i < shape.height; i++, symbols += shape.width, features += run) {
            uint8_t bytes[AGN_WIRE_SYMBOL_BITS * 256 / 8] = {0};
            bool came = agn_pixels_read(symbols, shape.width, bytes) == 0;
            whole = whole && came;
            for (int b = 0; b < run; b++) {
                int c = (i * run + b) % channels;
                features[b] = came ? ((float)bytes[b] - (float)n->mean[c]) / n->std[c] : 0.0F;
            }
        }
        missing += !whole;
    }
    return missing;
}

static float feature_limit(const struct agn_model *model)
{
    float limit = 0.0F;
    for (int c = 0; c < model->map.channels; c++) {
        float mean = (float)model->normalisation.mean[c];
        limit = fmaxf(limit, fmaxf(mean, 255.0F - mean) / model->normalisation.std[c]);
    }
    return limit;
}

const struct agn_system agn__system_edge_only = {
    .name = "edge-only",
    .meaning = "the image itself is sent, and the Remote NN alone classifies it",
    .parts = 1U << AGN_REMOTE,
    .build = build,
    .phases = {AGN_PHASE_REMOTE, AGN_PHASE_DONE},
    .sent_shape = sent_shape,
    .expand = expand,
    .feature_limit = feature_limit};
