/* Normalisation, random crops and mirroring, straight from the pixels to the batch. */
#include <string.h>

#include "data/augment.h"

void agn__normaliser_init(struct agn__normaliser *normaliser, const struct agn_normalisation *normalisation)
{
    for (int c = 0; c < AGN_MAX_CHANNELS; c++) {
        float std = normalisation->std[c] > 0.0f ? normalisation->std[c] : 1.0f; /* channels not in use */
        for (int value = 0; value < 256; value++)
            normaliser->table[c][value] = (float)(value - normalisation->mean[c]) / std;
    }
}

uint64_t agn__augment_key(uint64_t seed, int epoch)
{
    /* Seeds are hashed before an epoch is added, so that (1, 2) and (2, 1) have nothing in common. */
    struct agn_rng rng;
    agn_rng_seed(&rng, seed);
    agn_rng_seed(&rng, agn_rng_u64(&rng) + (uint64_t)(uint32_t)epoch);
    return agn_rng_u64(&rng);
}

void agn__augment_draw(const struct agn_loader_config *config, uint64_t key, int index,
                       struct agn__augmentation *augmentation)
{
    *augmentation = (struct agn__augmentation){.crop_pad = config->crop_pad};
    if (config->crop_pad == 0 && !config->flip)
        return;
    struct agn_rng rng;
    agn_rng_seed(&rng, key + (uint64_t)(uint32_t)index);
    uint32_t places = 2u * (uint32_t)config->crop_pad + 1u;
    augmentation->top = (int)agn_rng_below(&rng, places);
    augmentation->left = (int)agn_rng_below(&rng, places);
    augmentation->flip = config->flip && (agn_rng_u64(&rng) >> 63) != 0;
}

/* Pixels in a row's order, or from its last to its first. */
static void copy_row(const struct agn__normaliser *normaliser, int channels, int pixels, const uint8_t *src,
                     float *dst)
{
    if (channels == 1) {
        const float *table = normaliser->table[0];
        for (int x = 0; x < pixels; x++)
            dst[x] = table[src[x]];
        return;
    }
    for (int x = 0; x < pixels; x++, src += channels, dst += channels)
        for (int c = 0; c < channels; c++)
            dst[c] = normaliser->table[c][src[c]];
}

static void copy_row_mirrored(const struct agn__normaliser *normaliser, int channels, int pixels,
                              const uint8_t *src, float *dst)
{
    src += (size_t)(pixels - 1) * (size_t)channels;
    for (int x = 0; x < pixels; x++, src -= channels, dst += channels)
        for (int c = 0; c < channels; c++)
            dst[c] = normaliser->table[c][src[c]];
}

void agn__augment_apply(const struct agn__normaliser *normaliser,
                        const struct agn__augmentation *augmentation, int height, int width, int channels,
                        const uint8_t *src, float *dst)
{
    size_t row = (size_t)width * (size_t)channels;
    int shift_y = augmentation->top - augmentation->crop_pad;
    int shift_x = augmentation->left - augmentation->crop_pad;
    /* Window columns [first, last) lie on the image; the others are padding. */
    int first = shift_x < 0 ? -shift_x : 0;
    int last = shift_x > 0 ? width - shift_x : width;
    first = first < width ? first : width;
    last = last > first ? last : first;
    int pixels = last - first;
    int dst_first = augmentation->flip ? width - last : first;

    for (int y = 0; y < height; y++, dst += row) {
        int src_y = y + shift_y;
        bool outside = src_y < 0 || src_y >= height;
        if (outside || pixels < width)
            memset(dst, 0, row * sizeof *dst); /* padding is the mean: 0 once normalised */
        if (outside || pixels == 0)
            continue;
        const uint8_t *from = src + (size_t)src_y * row + (size_t)(first + shift_x) * (size_t)channels;
        float *to = dst + (size_t)dst_first * (size_t)channels;
        if (augmentation->flip)
            copy_row_mirrored(normaliser, channels, pixels, from, to);
        else
            copy_row(normaliser, channels, pixels, from, to);
    }
}
