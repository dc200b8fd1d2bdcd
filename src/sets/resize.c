/* Images to another size: rows first, then columns; see agn__image_resize. */
#include <math.h>
#include <string.h>

#include "sets/image.h"

enum {
    WEIGHT_BITS = 14, /* weights of a destination pixel sum to 1 << 14 */
    MIDDLE_BITS = 6   /* fraction bits kept between the two passes */
};

/* For each destination position, the source positions that count and how much. */
struct axis_filter {
    int taps;          /* weights stored per destination */
    int *first;        /* first source position */
    int *count;        /* source positions, <= taps */
    uint16_t *weights; /* dst x taps */
};

static void filter_free(struct axis_filter *filter)
{
    agn_free(filter->first);
    agn_free(filter->count);
    agn_free(filter->weights);
}

static int filter_init(struct axis_filter *filter, int src, int dst)
{
    double scale = (double)src / dst;
    double reach = scale > 1.0 ? scale : 1.0;
    filter->taps = (int)ceil(2.0 * reach) + 2;
    filter->first = agn_alloc((size_t)dst, sizeof(int));
    filter->count = agn_alloc((size_t)dst, sizeof(int));
    filter->weights = agn_alloc((size_t)dst * (size_t)filter->taps, sizeof(uint16_t));
    if (!filter->first || !filter->count || !filter->weights)
        return AGN_ERR_MEMORY;
    for (int i = 0; i < dst; i++) {
        double centre = (i + 0.5) * scale - 0.5;
        int first = (int)fmax(0.0, floor(centre - reach) + 1.0);
        int last = (int)fmin(src - 1.0, ceil(centre + reach) - 1.0);
        double total = 0.0;
        for (int j = first; j <= last; j++)
            total += 1.0 - fabs(j - centre) / reach;
        /* Rounding the running sum instead of each weight makes the weights' sum exact. */
        uint16_t *weights = filter->weights + (size_t)i * (size_t)filter->taps;
        double running = 0.0;
        int before = 0;
        for (int j = first; j <= last; j++) {
            running += 1.0 - fabs(j - centre) / reach;
            int now = j == last ? 1 << WEIGHT_BITS : (int)lround(running / total * (1 << WEIGHT_BITS));
            weights[j - first] = (uint16_t)(now - before);
            before = now;
        }
        filter->first[i] = first;
        filter->count[i] = last - first + 1;
    }
    return AGN_OK;
}

/* One row to `width` pixels with MIDDLE_BITS fraction bits. */
static void resize_row(const struct axis_filter *filter, int channels, int width, const uint8_t *src,
                       uint16_t *dst)
{
    for (int x = 0; x < width; x++, dst += channels) {
        const uint16_t *weights = filter->weights + (size_t)x * (size_t)filter->taps;
        for (int c = 0; c < channels; c++) {
            const uint8_t *from = src + (size_t)filter->first[x] * (size_t)channels + c;
            uint32_t sum = 0;
            for (int t = 0; t < filter->count[x]; t++)
                sum += (uint32_t)weights[t] * from[(size_t)t * (size_t)channels];
            const int shift = WEIGHT_BITS - MIDDLE_BITS;
            dst[c] = (uint16_t)((sum + (1u << (shift - 1))) >> shift);
        }
    }
}

int agn__image_resize(const struct agn__image *image, int height, int width, uint8_t *dst)
{
    size_t channels = (size_t)image->channels;
    if (image->height == height && image->width == width) {
        memcpy(dst, image->pixels, (size_t)height * (size_t)width * channels);
        return AGN_OK;
    }
    struct axis_filter across = {0}, down = {0};
    size_t row = (size_t)width * channels;
    uint16_t *middle = NULL;
    int status = filter_init(&across, image->width, width);
    if (status == AGN_OK)
        status = filter_init(&down, image->height, height);
    if (status == AGN_OK && !(middle = agn_alloc((size_t)image->height * row, sizeof *middle)))
        status = AGN_ERR_MEMORY;
    if (status != AGN_OK)
        goto out;
    for (int y = 0; y < image->height; y++)
        resize_row(&across, image->channels, width,
                   image->pixels + (size_t)y * (size_t)image->width * channels, middle + (size_t)y * row);
    for (int y = 0; y < height; y++) {
        const uint16_t *weights = down.weights + (size_t)y * (size_t)down.taps;
        const uint16_t *from = middle + (size_t)down.first[y] * row;
        for (size_t i = 0; i < row; i++) {
            uint32_t sum = 0;
            for (int t = 0; t < down.count[y]; t++)
                sum += (uint32_t)weights[t] * from[(size_t)t * row + i];
            const int shift = WEIGHT_BITS + MIDDLE_BITS;
            dst[(size_t)y * row + i] = (uint8_t)((sum + (1u << (shift - 1))) >> shift);
        }
    }
out:
    agn_free(middle);
    filter_free(&down);
    filter_free(&across);
    return status;
}
