/* What all formats do with pixels once they are decoded: opacity, grey, the right way up. */
#include <stdio.h>

#include "sets/orientation.h"

/* Lays RGBA over the ground, in place, by the values in the file as viewers do. True when this hides a
 * picture: opacity varies, the result does not. */
static bool compose(uint8_t *pixels, size_t count, enum agn__alpha alpha_kind, const uint8_t ground[3])
{
    const uint8_t *src = pixels;
    uint8_t *dst = pixels, first_alpha = pixels[3];
    bool varied = false, flat = true;
    for (size_t i = 0; i < count; i++, src += 4, dst += 3) {
        unsigned alpha = src[3];
        varied |= alpha != first_alpha;
        for (int c = 0; c < 3; c++) {
            unsigned own = alpha_kind == AGN__ALPHA_MULTIPLIED ? src[c] * 255u : src[c] * alpha;
            unsigned sum = (own + ground[c] * (255 - alpha) + 127) / 255;
            dst[c] = (uint8_t)(sum < 255 ? sum : 255); /* multiplied colours may exceed their opacity */
            flat &= dst[c] == pixels[c];
        }
    }
    return varied && flat;
}

int agn__image_finish(struct agn__image_file *file, struct agn__image *decoded, enum agn__alpha alpha,
                      int orientation, struct agn__image *image)
{
    size_t count = (size_t)decoded->height * (size_t)decoded->width;
    const uint8_t *ground = file->ground;
    if (decoded->channels == 4) {
        if (compose(decoded->pixels, count, alpha, ground))
            (void)snprintf(
                file->warning, sizeof file->warning,
                "%s: its pixels are all alike on the ground #%02x%02x%02x (data.ground) that shows "
                "where it is transparent",
                file->name, ground[0], ground[1], ground[2]);
        decoded->channels = 3;
    }
    if (decoded->channels == 3 && file->channels == 1) {
        for (size_t i = 0; i < count; i++)
            decoded->pixels[i] = agn__luminance(decoded->pixels + 3 * i);
        decoded->channels = 1;
    }
    int status = agn__orientation_apply(decoded, orientation);
    if (status == AGN_OK)
        *image = *decoded;
    else
        agn_free(decoded->pixels);
    return status;
}
