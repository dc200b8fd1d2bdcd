/* Feature attribution through a frozen reference network, with its exact derivative.
 *
 * F: features (n, h, w, c), NHWC. l: the reference's cross-entropy at the true label.
 * Every method but one is a sum of gradients on the line from the zero baseline to F:
 *
 *     A = F * sum_j weight_j * grad l(t_j F)          (element-wise product)
 *
 * and its derivative along dL/dA = u needs one Hessian-vector product a point:
 *
 *     dL/dF = u * sum_j weight_j grad l(t_j F) + sum_j weight_j t_j H_j (u * F)
 *
 * H_j: Hessian of l at t_j F, applied by one tangent and one tangent-backward pass. At t = 0 the
 * gradient depends on the label alone and is computed once for each class. The exception is
 * AGN_XAI_GRADIENT, A = grad l(F), with dL/dF = H u. */
#ifndef AGILENN_XAI_H
#define AGILENN_XAI_H

#include "agilenn/nn.h"

enum agn_xai_method {
    AGN_XAI_IG_TRAPEZOID, /* integrated gradients, trapezoidal rule, points >= 2 (Sundararajan et al. 2017) */
    AGN_XAI_IG_MIDPOINT,  /* integrated gradients, midpoint Riemann sum, points >= 1 */
    AGN_XAI_GRADIENT_X_INPUT,  /* one gradient, at F, times F */
    AGN_XAI_IG_GAUSS_LEGENDRE, /* integrated gradients, exact where the gradient is a polynomial in t of
                                * degree 2 points - 1 or less; points >= 1 */
    AGN_XAI_GRADIENT           /* gradient saliency (Simonyan et al. 2014): one gradient, at F, by itself */
};

enum { AGN_XAI_MAX_POINTS = 128 };

struct agn_xai_config {
    enum agn_xai_method method;
    int points;                    /* gradients on the line; ignored by the methods of one gradient */
    const struct agn_graph *graph; /* the reference: features -> logits */
    struct agn_params *params;     /* frozen while in use; must outlive the xai */
    int batch;
    bool differentiable; /* agn_xai_backward will be called */
    enum agn_compute compute;
};

struct agn_xai;

int agn_xai_create(const struct agn_xai_config *config, struct agn_xai **xai);
void agn_xai_free(struct agn_xai *xai);

/* Attributes `batch` samples; a label < 0 marks a row to skip. The results stay in `xai`, valid
 * until the next call: */
int agn_xai_attribute(struct agn_xai *xai, const float *features, const int32_t *labels);
const float *agn_xai_attributions(const struct agn_xai *xai); /* A, (batch, h, w, c) */
const float *agn_xai_gradient(const struct agn_xai *xai);     /* grad l(F) */
const float *agn_xai_logits(const struct agn_xai *xai);       /* of the reference at F, (batch, classes) */
const float *agn_xai_loss(const struct agn_xai *xai);         /* l(F) of each sample */
const bool *agn_xai_correct(const struct agn_xai *xai);       /* the reference's class is the label */

/* diff_features += dL/dF for the samples of the last agn_xai_attribute, whose `features` must be
 * unchanged. diff_attributions: dL/dA, (batch, h, w, c). */
int agn_xai_backward(struct agn_xai *xai, const float *features, const float *diff_attributions,
                     float *diff_features);

/* importance[i*c + j] = sum over positions of |A| of channel j of sample i. */
void agn_xai_channel_importance(const float *attributions, int n, struct agn_shape shape, float *importance);

/* The planned reference, for timing (agn_net_profile); owned by `xai`. */
struct agn_net *agn_xai_net(struct agn_xai *xai);

int agn_xai_method_from_name(const char *name); /* or AGN_ERR_ARG */
const char *agn_xai_method_name(enum agn_xai_method method);

#endif
