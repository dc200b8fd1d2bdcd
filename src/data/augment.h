/* Inside src/data: one image from 8-bit pixels to normalised, augmented floats. */
#ifndef AGN_DATA_AUGMENT_H
#define AGN_DATA_AUGMENT_H

#include "agilenn/data.h"

/* (pixel - mean) / std for every pixel value and channel. */
struct agn__normaliser {
    float table[AGN_MAX_CHANNELS][256];
};

/* What happens to one image. The image is padded by crop_pad pixels of value mean on all
 * sides, a window of the image's size is cut out at (top, left), 0 .. 2 crop_pad, and the
 * window is mirrored left-right where flip is set. */
struct agn__augmentation {
    int crop_pad, top, left;
    bool flip;
};

void agn__normaliser_init(struct agn__normaliser *normaliser, const struct agn_normalisation *normalisation);

/* Draws one image's augmentation. `key` stands for seed and epoch (agn__augment_key),
 * `index` is the image's position in the data set. */
uint64_t agn__augment_key(uint64_t seed, int epoch);
void agn__augment_draw(const struct agn_loader_config *config, uint64_t key, int index,
                       struct agn__augmentation *augmentation);

/* src: height x width x channels; dst: the same, normalised. */
void agn__augment_apply(const struct agn__normaliser *normaliser,
                        const struct agn__augmentation *augmentation, int height, int width, int channels,
                        const uint8_t *src, float *dst);

#endif
