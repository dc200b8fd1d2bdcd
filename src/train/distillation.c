/* Distillation (Hinton et al. 2015): the fused prediction learns from the reference's, softened alike.
 *
 * T^2 KL(p || q), p = softmax(teacher / T), q = softmax(student / T); its gradient with respect to the
 * student's logits is T (q - p). The teacher is taken as given: no gradient goes through it. */
#include <math.h>

#include "train/train_internal.h"

/* log of the sum of exp(logit / temperature). */
static double log_sum(const float *logits, int classes, double temperature)
{
    double top = (double)logits[0], sum = 0.0;
    for (int c = 1; c < classes; c++) {
        top = fmax(top, (double)logits[c]);
    }
    for (int c = 0; c < classes; c++) {
        sum += exp(((double)logits[c] - top) / temperature);
    }
    return top / temperature + log(sum);
}

double agn__distil(const float *student, const float *teacher, int n, int classes, double temperature,
                   double scale, float *diff)
{
    double loss = 0.0;
    for (int i = 0; i < n; i++) {
        size_t row = (size_t)i * (size_t)classes;
        double student_sum = log_sum(student + row, classes, temperature);
        double teacher_sum = log_sum(teacher + row, classes, temperature);
        for (size_t at = row; at < row + (size_t)classes; at++) {
            double log_q = (double)student[at] / temperature - student_sum;
            double log_p = (double)teacher[at] / temperature - teacher_sum;
            loss += temperature * temperature * exp(log_p) * (log_p - log_q);
            diff[at] += (float)(scale * temperature * (exp(log_q) - exp(log_p)));
        }
    }
    return loss;
}
