/* Cross-entropy against shares of classes instead of one class: what label smoothing, mixup and class weights
 * need. With all of a row on its label, and weight 1, it gives the bits of agn_softmax_ce_forward and
 * _backward. */
#include "train/soft_targets.h"
#include "agilenn/nn.h"

void agn__soft_ce_forward(const float *logits, const struct agn__soft_targets *t, float *prob, float *loss)
{
    agn_softmax_ce_forward(logits, t->labels, t->n, t->classes, prob, loss);
    for (int i = 0; i < t->n; i++) { /* sum t_c (log_sum - x_c) = w log_sum - sum t_c x_c, w = sum t_c */
        const float *row = logits + (size_t)i * (size_t)t->classes;
        const float *share = t->shares + (size_t)i * (size_t)t->classes;
        double mean = 0.0, weight = t->weights == NULL ? 1.0 : (double)t->weights[i];
        if (t->labels[i] < 0) {
            loss[i] = 0.0F;
            continue;
        }
        for (int c = 0; c < t->classes; c++)
            mean += (double)share[c] * (double)row[c];
        loss[i] = (float)(weight * ((double)loss[i] + (double)row[t->labels[i]]) - mean);
    }
}

void agn__soft_ce_backward(const float *prob, const struct agn__soft_targets *t, float scale, float *diff)
{
    for (int i = 0; i < t->n; i++) {
        float weight = t->weights == NULL ? 1.0F : t->weights[i];
        for (int c = 0; c < t->classes; c++) {
            size_t at = (size_t)i * (size_t)t->classes + (size_t)c;
            diff[at] = t->labels[i] < 0 ? 0.0F : scale * (weight * prob[at] - t->shares[at]);
        }
    }
}
