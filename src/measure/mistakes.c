/* Which predictions of a data set are the worst. Showing them is the business of the command and of
 * plot_mistakes.c. */
#include <math.h>
#include <string.h>

#include "agilenn/measure.h"

static double probability_of(const float *logits, int classes, int class_index)
{
    double sum = 0.0;
    for (int c = 0; c < classes; c++)
        sum += exp((double)logits[c] - (double)logits[class_index]);
    return 1.0 / sum;
}

void agn_mistakes_add(struct agn_mistakes *mistakes, const struct agn_prediction *prediction, int classes)
{
    const float *logits = prediction->logits;
    struct agn_mistake mistake = {
        .image = prediction->image, .label = prediction->label, .predicted = prediction->predicted};
    if (mistake.predicted == mistake.label)
        return;
    mistakes->found++;
    mistake.margin = (double)logits[mistake.predicted] - (double)logits[mistake.label];
    if (isnan(mistake.margin))
        mistake.margin = 0.0; /* of a damaged model: nothing is known */
    int at = mistakes->count;
    while (at > 0 && mistake.margin > mistakes->list[at - 1].margin)
        at--;
    if (at == mistakes->capacity)
        return;
    mistake.probability = probability_of(logits, classes, mistake.predicted);
    if (mistakes->count < mistakes->capacity)
        mistakes->count++;
    memmove(mistakes->list + at + 1, mistakes->list + at,
            (size_t)(mistakes->count - 1 - at) * sizeof(*mistakes->list));
    mistakes->list[at] = mistake;
}
