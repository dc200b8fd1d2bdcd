/* Distillation (Hinton et al. 2015): the fused prediction learns from the reference's, softened alike.
 *
 * T^2 KL(p || q), p = softmax(teacher / T), q = softmax(student / T); its gradient with respect to the
 * student's logits is T (q - p). The teacher is taken as given: no gradient goes through it. */
#include <math.h>
#include <stddef.h>

#include "train/soft_targets.h"

/* log of the sum of exp(logit / temperature). */
static double log_sum(const float *logits, int classes, double temperature)
{
    double top = (double)logits[0], sum = 0.0;
    for (int c = 1; c < classes; c++)
        top = logits[c] > top ? logits[c] : top; /* gcc 12 for arm64 cannot compile a loop of fmax */
    for (int c = 0; c < classes; c++)
        sum += exp(((double)logits[c] - top) / temperature);
    return top / temperature + log(sum);
}

/* One image's share of the loss; adds to its gradient. */
static double distil_row(const float *student, const float *teacher, int classes, double temperature,
                         double scale, float *diff)
{
    double student_sum = log_sum(student, classes, temperature), loss = 0.0;
    double teacher_sum = log_sum(teacher, classes, temperature);
    for (int c = 0; c < classes; c++) {
        double log_q = (double)student[c] / temperature - student_sum;
        double log_p = (double)teacher[c] / temperature - teacher_sum;
        double p = exp(log_p);
        loss += p * (log_p - log_q);
        diff[c] += (float)(scale * temperature * (exp(log_q) - p));
    }
    return temperature * temperature * loss;
}

double agn__distil(const float *student, const float *teacher, int n, int classes, double temperature,
                   double scale, float *diff)
{
    double loss = 0.0;
    for (int i = 0; i < n; i++) {
        size_t row = (size_t)i * (size_t)classes;
        loss += distil_row(student + row, teacher + row, classes, temperature, scale, diff + row);
    }
    return loss;
}
