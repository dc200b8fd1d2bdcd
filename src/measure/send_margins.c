/* A decision when to send, learned from what a device model and its server make of images, and put into it.
 */
#include "agilenn/send_decision.h"

int agn_send_decision_deploy(const struct agn_send_learning *learning, uint8_t **bytes, size_t *size_bytes,
                             struct agn_send_decision *decision)
{
    const int images = learning->data->count, classes = learning->model->classes;
    struct agn_curve_frame *frames = agn_alloc((size_t)images, sizeof(*frames));
    struct agn_curves *curves = agn_alloc(1, sizeof(*curves));
    const struct agn_curves_config config = {.model = learning->model,
                                             .device = *bytes,
                                             .device_bytes = *size_bytes,
                                             .data = learning->data,
                                             .packet_bytes = {AGN_WIRE_MAX_PACKET},
                                             .frames = frames,
                                             .whole_only = true,
                                             .progress = learning->progress,
                                             .progress_user = learning->progress_user};
    int status = frames == NULL || curves == NULL ? AGN_ERR_MEMORY : agn_curves_measure(&config, curves);
    if (status == AGN_OK)
        status = agn_send_decision_learn(frames, images, classes, &learning->target, decision);
    agn_free(frames);
    agn_free(curves);
    uint8_t *made = NULL;
    size_t made_bytes = 0;
    if (status == AGN_OK)
        status = agn_deploy_margins(*bytes, *size_bytes, decision->margins, classes, &made, &made_bytes);
    if (status == AGN_OK) {
        agn_free(*bytes);
        *bytes = made;
        *size_bytes = made_bytes;
    }
    return status;
}
