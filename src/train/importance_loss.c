/* Skewness and disorder losses of one sample (paper, section 4): per channel, normalised.
 *
 * n_c = I_c / sum I;  skewness loss = max(0, rho - sum_{c<k} n_c);
 * disorder loss = max(0, max_{c>=k} n_c - min_{c<k} n_c + margin).
 * d/dI_c = (d/dn_c - sum_j d/dn_j n_j) / sum I. */
#include <assert.h>

#include "agilenn/train.h"

void agn_importance_loss(const struct agn_importance_loss_config *config, const float *importance,
                         struct agn_importance_loss *loss, float *gradient)
{
    int channels = config->channels, k = config->local_channels, smallest = 0, largest = k;
    double sum = 0.0, first = 0.0;
    assert(k >= 1 && k < channels);
    for (int c = 0; c < channels; c++) {
        sum += (double)importance[c];
        if (c < k) {
            first += (double)importance[c];
            smallest = importance[c] < importance[smallest] ? c : smallest;
        } else {
            largest = importance[c] > importance[largest] ? c : largest;
        }
    }
    double scale = sum > 0.0 ? 1.0 / sum : 0.0;
    double gap = ((double)importance[largest] - (double)importance[smallest]) * scale;
    loss->skewness = first * scale;
    loss->skewness_loss = config->rho > loss->skewness ? config->rho - loss->skewness : 0.0;
    bool too_close = gap + config->disorder_margin > 0.0;
    loss->disorder_loss = too_close ? gap + config->disorder_margin : 0.0;
    loss->disordered = gap > 0.0;
    if (gradient == NULL) {
        return;
    }
    double on_first = loss->skewness_loss > 0.0 ? -1.0 : 0.0, on_gap = too_close ? 1.0 : 0.0;
    double mean = on_first * loss->skewness + on_gap * gap; /* sum_j dL/dn_j n_j */
    for (int c = 0; c < channels; c++) {
        double d = c < k ? on_first : 0.0;
        d += c == largest ? on_gap : 0.0;
        d -= c == smallest ? on_gap : 0.0;
        gradient[c] = (float)((d - mean) * scale);
    }
}
