/* Cross-entropy against shares of classes instead of one class: what label smoothing and mixup need. With all
 * of a row on its label it gives the bits of agn_softmax_ce_forward and _backward. */
#include "train/train_internal.h"

void agn__soft_ce_forward(const float *logits, const int32_t *labels, const float *targets, int n,
                          int classes, float *prob, float *loss)
{
    agn_softmax_ce_forward(logits, labels, n, classes, prob, loss);
    for (int i = 0; i < n; i++) { /* sum t_c (log_sum - x_c) = (log_sum - x_label) + x_label - sum t_c x_c */
        const float *row = logits + (size_t)i * (size_t)classes;
        const float *target = targets + (size_t)i * (size_t)classes;
        double mean = 0.0;
        for (int c = 0; c < classes; c++) {
            mean += (double)target[c] * (double)row[c];
        }
        loss[i] = labels[i] < 0 ? 0.0F : (float)((double)loss[i] + (double)row[labels[i]] - mean);
    }
}

void agn__soft_ce_backward(const float *prob, const int32_t *labels, const float *targets, int n, int classes,
                           float scale, float *diff)
{
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < classes; c++) {
            size_t at = (size_t)i * (size_t)classes + (size_t)c;
            diff[at] = labels[i] < 0 ? 0.0F : scale * (prob[at] - targets[at]);
        }
    }
}
