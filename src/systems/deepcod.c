/* DeepCOD (Yao et al. 2020): one convolution on the device samples the image, 3 bits a value are sent, and
 * the server makes the image again and classifies that, by a network that was trained on images and stays as
 * it is. Without an answer there is no prediction. What the authors' code does and what differs:
 * docs/SYSTEMS.md. */
#include "systems/parts.h"

/* model.decoder on the symbols' values; behind it the image as the classifier knows it. */
static int append_decoder(struct agn_model *model, struct agn_graph *graph)
{
    const struct agn_preset *p = &model->preset;
    int op = agn_graph_init(graph, model->map);
    if (op >= 0)
        op = agn_graph_parse(graph, op, "decoder", p->model.decoder);
    if (op < 0)
        return agn__explain_network(op, "decoder");
    const struct agn_op_spec *last = &graph->ops[op];
    struct agn_shape made = last->shape;
    if (made.height != p->data.height || made.width != p->data.width || made.channels != p->data.channels ||
        last->type != AGN_OP_TANH) {
        return agn_fail(AGN_ERR_RANGE,
                        "model.decoder makes %dx%dx%d of the %dx%dx%d that are sent: expected an image of "
                        "%dx%dx%d, by tanh, such as: up conv:c64 up conv:c32 conv:c%d:a2",
                        made.height, made.width, made.channels, model->map.height, model->map.width,
                        model->map.channels, p->data.height, p->data.width, p->data.channels,
                        p->data.channels);
    }
    return op;
}

static int build(struct agn_model *model)
{
    const struct agn_preset *p = &model->preset;
    const struct agn__classifier remote = {p->model.remote, p->model.remote_width, p->model.logits_bn != 0};
    if (p->model.decoder[0] == '\0')
        return agn_fail(AGN_ERR_ARG, "model.decoder is missing: a preset describes this network, such as "
                                     "up conv:c64 up conv:c32 conv:c1:a2");
    int status = agn__build_extractor(model, true);
    if (status < 0)
        return status;
    model->sent_channels = model->map.channels;
    int op = append_decoder(model, &model->parts[AGN_REMOTE].graph);
    if (op < 0)
        return op;
    model->decoded = op;
    return agn__append_classifier(model, AGN_REMOTE, op, &remote);
}

const struct agn_system agn__system_deepcod = {
    .name = "deepcod",
    .meaning = "a compressed image is sent, and the server makes it an image again and classifies that",
    .parts = 1U << AGN_EXTRACTOR | 1U << AGN_REMOTE,
    .build = build,
    .phases = {AGN_PHASE_CLASSIFIER, AGN_PHASE_CODER, AGN_PHASE_DONE},
    .sent_shape = agn__sent_map};
