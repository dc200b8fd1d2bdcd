/* Softmax cross-entropy: loss, gradient, and their tangents. Rows are few and short: plain loops. */
#include <math.h>

#include "agilenn/nn.h"

static void softmax_row(const float *logits, int classes, float *prob, float *log_sum)
{
    float top = logits[0], sum = 0.0F;
    for (int c = 1; c < classes; c++)
        top = logits[c] > top ? logits[c] : top;
    for (int c = 0; c < classes; c++) {
        prob[c] = expf(logits[c] - top);
        sum += prob[c];
    }
    for (int c = 0; c < classes; c++)
        prob[c] /= sum;
    *log_sum = top + logf(sum);
}

void agn_softmax_ce_forward(const float *logits, const int32_t *labels, int n, int classes, float *prob,
                            float *loss)
{
    for (int i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * (size_t)classes;
        float log_sum;
        softmax_row(row, classes, prob + (size_t)i * (size_t)classes, &log_sum);
        if (loss != NULL)
            loss[i] = labels[i] < 0 ? 0.0F : log_sum - row[labels[i]];
    }
}

void agn_softmax_ce_backward(const float *prob, const int32_t *labels, int n, int classes, float scale,
                             float *diff)
{
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < classes; c++) {
            size_t at = (size_t)i * (size_t)classes + (size_t)c;
            diff[at] = labels[i] < 0 ? 0.0F : scale * (prob[at] - (c == labels[i] ? 1.0F : 0.0F));
        }
    }
}

void agn_softmax_ce_tangent_backward(const float *prob, const int32_t *labels, const float *tangent, int n,
                                     int classes, float *diff_dot)
{
    for (int i = 0; i < n; i++) {
        size_t row = (size_t)i * (size_t)classes;
        float mean = 0.0F;
        for (int c = 0; c < classes; c++)
            mean += prob[row + (size_t)c] * tangent[row + (size_t)c];
        for (int c = 0; c < classes; c++) {
            size_t at = row + (size_t)c;
            diff_dot[at] = labels[i] < 0 ? 0.0F : prob[at] * (tangent[at] - mean);
        }
    }
}
