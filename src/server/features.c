/* Symbols to features and logits to Q8.8; see features.h. */
#include "agilenn/features.h"

#include <math.h>
#include <stddef.h>

static bool is_whole(const uint8_t *channel, size_t plane)
{
    for (size_t i = 0; i < plane; i++)
        if (channel[i] >= AGN_WIRE_LEVELS)
            return false;
    return true;
}

struct agn_received agn_map_received(const uint8_t *map, const struct agn_map_shape *shape)
{
    struct agn_received received = {.leading = true};
    size_t plane = (size_t)shape->height * shape->width;
    for (size_t channel = 0; channel < shape->channels; channel++) {
        bool whole = is_whole(map + channel * plane, plane);
        received.leading = received.leading && !(whole && received.missing > 0);
        received.missing += !whole;
    }
    return received;
}

int agn_features_expand(const uint8_t *map, const struct agn_map_shape *shape, const float *centroids,
                        const float *fill, float *features)
{
    size_t plane = (size_t)shape->height * shape->width;
    int missing = 0;
    for (size_t channel = 0; channel < shape->channels; channel++) {
        float absent = fill ? fill[channel] : 0.0f;
        bool whole = true;
        for (size_t i = 0; i < plane; i++) {
            uint8_t symbol = map[channel * plane + i];
            bool came = symbol < AGN_WIRE_LEVELS;
            whole = whole && came;
            features[i * shape->channels + channel] = came ? centroids[symbol] : absent;
        }
        missing += !whole;
    }
    return missing;
}

void agn_logits_scale(float *logits, int count, float trust)
{
    for (int i = 0; i < count; i++)
        logits[i] *= trust;
}

int agn_logits_to_q8(const float *logits, int count, int16_t *fixed)
{
    for (int i = 0; i < count; i++) {
        if (!isfinite(logits[i]))
            return AGN_ERR_NUMERIC;
        float scaled = roundf(logits[i] * 256.0f);
        fixed[i] = (int16_t)(scaled > 32767.0f ? 32767.0f : scaled < -32768.0f ? -32768.0f : scaled);
    }
    return 0;
}
