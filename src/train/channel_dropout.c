/* Pre-training that puts importance into the first k channels from the start: in a share of the samples the
 * reference network sees these channels only. It learns to answer from them alone where it can and to take
 * the others as a refinement, as with nested dropout (Rippel et al. 2014) at a single border, so that joint
 * training may shrink the others without making the reference wrong. Draws come from seed and step alone. */
#include <string.h>

#include "train/preparation.h"

void agn__drop_channels(const struct agn__preparation *p, int64_t step, struct agn_shape map, float *features)
{
    double rate = p->preset->reference.channel_dropout;
    size_t positions = (size_t)map.height * (size_t)map.width, channels = (size_t)map.channels;
    size_t kept = (size_t)p->preset->model.local_channels;
    const uint64_t spread = 0x9E3779B97F4A7C15U, stream = 0x6368616E6E656C73U; /* apart from mixup's draws */
    struct agn_rng rng;
    if (rate <= 0.0)
        return;
    agn_rng_seed(&rng, (((uint64_t)p->preset->train.seed * spread) ^ (uint64_t)step) + stream);
    for (int i = 0; i < p->whole; i++) {
        bool drawn = agn_rng_uniform(&rng) < rate;
        if (!drawn || i < p->first || i >= p->first + p->batch)
            continue;
        float *sample = features + (size_t)(i - p->first) * positions * channels;
        for (size_t at = 0; at < positions; at++)
            memset(sample + at * channels + kept, 0, (channels - kept) * sizeof(float));
    }
}
