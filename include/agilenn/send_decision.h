/* When an unsure device should ask the server: a margin for each class, learned on images that neither
 * network was trained on (hierarchical inference: a logistic regression on the local outputs). */
#ifndef AGILENN_SEND_DECISION_H
#define AGILENN_SEND_DECISION_H

#include "agilenn/curves.h"

/* What is asked for; the others are 0. */
struct agn_send_target {
    double sent;     /* share of the frames to be sent, above 0 to 1 */
    double may_lose; /* of accuracy, against sending all: as few are sent as that allows */
    double reach;    /* accuracy: as few are sent as reach it */
};

struct agn_send_decision {
    int classes, images;
    /* A frame of which the best local logit leads by as much or more, Q8.8, is not sent: 1..32767. */
    uint16_t margins[AGN_MAX_CLASSES];
    /* Of the images that it was learned on; accuracy as cross-fitting tells it. */
    double sent_share, accuracy, bytes; /* bytes: a frame, mean over all */
    double local_accuracy, fused_accuracy;
};

/* The chance that sending mends the answer (fused right, local wrong) is taken for
 *
 *   1 - sigmoid(w margin + b[local class] + b0)
 *
 * with w and b the maximum of likelihood less |b|^2 / 2 (Newton's method). Frames below one chance are not
 * sent, which for each class is a margin. What a share of sent frames is worth, which may_lose and reach ask
 * for, is measured by cross-fitting: every second image is judged by w and b of the others, and the margins
 * themselves come from all. AGN_ERR_ARG: fewer than two images, or a target out of range; AGN_ERR_RANGE:
 * `reach` is above what all sent frames reach; AGN_ERR_NUMERIC: a larger margin does not tell a surer answer
 * (w <= 0), as of a network that has not learned. */
int agn_send_decision_learn(const struct agn_curve_frame *frames, int count, int classes,
                            const struct agn_send_target *target, struct agn_send_decision *decision);

/* The same of the images, and a device model that has it: its `*bytes` (freed with agn_free) become others.
 * The errors above and those of agn_curves_measure and agn_deploy_margins. */
struct agn_send_learning {
    const struct agn_model *model;
    const struct agn_dataset *data; /* as agn_preset_as_sent leaves them */
    struct agn_send_target target;
    agn_progress_fn *progress;
    void *progress_user;
};
int agn_send_decision_deploy(const struct agn_send_learning *learning, uint8_t **bytes, size_t *size_bytes,
                             struct agn_send_decision *decision);

#endif
