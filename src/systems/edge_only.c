/* Edge-only: the device sends the image, as it is or as JPEG, and one network on the server classifies it.
 * Without an answer there is no prediction. */
#include "agilenn/pixels.h"
#include "systems/parts.h"

static int sent_shape(const struct agn_model *model, struct agn_map_shape *shape)
{
    return agn__pixels_shape(&model->preset, shape);
}

/* The image on the wire, of a preset whose codec is jpeg. */
static int image_of(const struct agn_preset *p, struct agn_pixels_image *image)
{
    image->format = (struct agn_jpeg_format){.width = (uint16_t)p->data.width,
                                             .height = (uint16_t)p->data.height,
                                             .interval = 1,
                                             .channels = (uint8_t)p->data.channels,
                                             .quality = (uint8_t)p->model.jpeg_quality};
    int status = agn__pixels_shape(p, &image->shape);
    if (status == AGN_OK && agn_jpeg_format_check(&image->format) < 0)
        status =
            agn_fail(AGN_ERR_ARG,
                     "model.codec = jpeg cannot code images of %dx%dx%d with quality %d: expected 1 or 3 "
                     "channels, sides up to %d, a quality of 1 to %d",
                     p->data.height, p->data.width, p->data.channels, p->model.jpeg_quality,
                     (int)AGN_JPEG_MAX_SIDE, (int)AGN_JPEG_MAX_QUALITY);
    return status;
}

static int check_codec(const struct agn_preset *p)
{
    struct agn_pixels_image image;
    if (agn_codec_needs_contexts(p->model.codec))
        return agn_fail(AGN_ERR_ARG,
                        "model.codec = %s codes features, and edge-only sends pixels: expected raw3, lzw or "
                        "jpeg",
                        agn_codec_name(p->model.codec));
    return p->model.codec == AGN_CODEC_JPEG ? image_of(p, &image) : AGN_OK;
}

static int build(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    const struct agn__classifier remote = {p->model.remote, p->model.remote_width, p->model.logits_bn != 0};
    struct agn_map_shape shape;
    int status = sent_shape(model, &shape);
    if (status == AGN_OK)
        status = check_codec(p);
    model->map = agn__image_shape(p);
    model->sent_channels = p->data.channels;
    return status < 0 ? status : agn__build_classifier(model, AGN_REMOTE, model->map, &remote);
}

static int expand(const void *owner, const uint8_t *symbols, float *features)
{
    return agn__expand_pixels(owner, symbols, features);
}

/* Packets of JPEG, to the symbols that the pixels would have been. */
static int decode(const void *owner, const struct agn_feature_packet *packet, uint8_t *map)
{
    const struct agn_model *model = owner;
    struct agn_pixels_image image;
    if (model->preset.model.codec != AGN_CODEC_JPEG)
        return AGN_ERR_UNSUPPORTED;
    int status = image_of(&model->preset, &image);
    return status < 0 ? status : agn_pixels_decode(&image, packet, map);
}

static int as_sent(const struct agn_preset *preset, struct agn_dataset *data)
{
    const double worth_a_line_s = 1.0;
    struct agn_pixels_image image;
    double begin_s = agn_now_s();
    int status = image_of(preset, &image);
    if (status == AGN_OK)
        status = agn_pixels_as_sent(&image, data->pixels, (size_t)data->count);
    double took_s = agn_now_s() - begin_s;
    if (status == AGN_OK && took_s > worth_a_line_s)
        agn_log(AGN_LOG_INFO, "%d images went through JPEG of quality %d and back in %.1f s", data->count,
                preset->model.jpeg_quality, took_s);
    return status;
}

const struct agn_system agn__system_edge_only = {
    .name = "edge-only",
    .meaning = "the image itself is sent, and the Remote NN alone classifies it",
    .parts = 1U << AGN_REMOTE,
    .build = build,
    .phases = {AGN_PHASE_REMOTE, AGN_PHASE_DONE},
    .sent_shape = sent_shape,
    .expand = expand,
    .feature_limit = agn__pixels_limit,
    .decode = decode,
    .as_sent = as_sent};
