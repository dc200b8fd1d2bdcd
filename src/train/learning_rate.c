/* The learning rate over a phase. */
#include <math.h>

#include "train/trainer.h"

double agn__rate_factor(int64_t step, int64_t steps, int64_t warmup, double final)
{
    if (step < warmup)
        return (double)(step + 1) / (double)warmup;
    double share = steps > warmup ? (double)(step - warmup) / (double)(steps - warmup) : 1.0;
    return final + (1.0 - final) * 0.5 * (1.0 + cos(3.14159265358979323846 * share));
}
