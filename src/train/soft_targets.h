/* Cross-entropy against shares of classes, and distillation. */
#ifndef AGN_TRAIN_SOFT_TARGETS_H
#define AGN_TRAIN_SOFT_TARGETS_H

#include <stdint.h>

struct agn__soft_targets {
    const int32_t *labels; /* n; < 0: a row to skip */
    const float *shares;   /* (n, classes): each row's sum is its weight */
    const float *weights;  /* n; NULL: all are 1 */
    int n, classes;
};
/* loss[i] = - sum over c of shares[c] log prob[c], and prob = softmax(logits). */
void agn__soft_ce_forward(const float *logits, const struct agn__soft_targets *targets, float *prob,
                          float *loss);
/* diff = scale * (weight prob - shares). */
void agn__soft_ce_backward(const float *prob, const struct agn__soft_targets *targets, float scale,
                           float *diff);

/* distillation.c: diff += scale * d/dstudent of T^2 KL(teacher || student), both softened by T; returns the
 * sum of the n rows' losses. */
double agn__distil(const float *student, const float *teacher, int n, int classes, double temperature,
                   double scale, float *diff);

#endif
