/* Skewness and disorder losses of one sample (paper, section 4), normalised; per channel as in the paper
 * (positions = 1), or per element of the map as in the paper's public code.
 *
 * n_e = I_e / sum I;  skewness loss = max(0, rho - sum of n_e over the first k channels);
 * disorder loss = max(0, max n_e of the others - min n_e of the first k + margin).
 * d/dI_e = (d/dn_e - sum_j d/dn_j n_j) / sum I. */
#include <assert.h>

#include "agilenn/train.h"

/* Sums and extremes over the two sides of the split. */
struct sides {
    double sum, first;
    int smallest, largest; /* indices: of the first k channels, of the others */
};

static struct sides survey(const struct agn_importance_loss_config *config, const float *importance,
                           int positions)
{
    int channels = config->channels, k = config->local_channels;
    struct sides s = {.smallest = 0, .largest = k};
    for (int p = 0; p < positions; p++) {
        for (int e = p * channels; e < (p + 1) * channels; e++) {
            s.sum += (double)importance[e];
            if (e < p * channels + k) {
                s.first += (double)importance[e];
                s.smallest = importance[e] < importance[s.smallest] ? e : s.smallest;
            } else {
                s.largest = importance[e] > importance[s.largest] ? e : s.largest;
            }
        }
    }
    return s;
}

void agn_importance_loss(const struct agn_importance_loss_config *config, const float *importance,
                         struct agn_importance_loss *loss, float *gradient)
{
    int channels = config->channels, k = config->local_channels;
    int positions = config->positions > 0 ? config->positions : 1;
    assert(k >= 1 && k < channels);
    struct sides s = survey(config, importance, positions);
    double scale = s.sum > 0.0 ? 1.0 / s.sum : 0.0;
    double gap = ((double)importance[s.largest] - (double)importance[s.smallest]) * scale;
    loss->skewness = s.first * scale;
    loss->skewness_loss = config->rho > loss->skewness ? config->rho - loss->skewness : 0.0;
    bool too_close = gap + config->disorder_margin > 0.0;
    loss->disorder_loss = too_close ? gap + config->disorder_margin : 0.0;
    loss->disordered = gap > 0.0;
    if (gradient == NULL)
        return;
    double on_first = loss->skewness_loss > 0.0 ? -1.0 : 0.0, on_gap = too_close ? 1.0 : 0.0;
    double mean = on_first * loss->skewness + on_gap * gap; /* sum_j dL/dn_j n_j */
    for (int e = 0; e < positions * channels; e++) {
        double d = e % channels < k ? on_first : 0.0;
        d += e == s.largest ? on_gap : 0.0;
        d -= e == s.smallest ? on_gap : 0.0;
        gradient[e] = (float)((d - mean) * scale);
    }
}
